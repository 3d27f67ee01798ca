//! `ConvertTo-Json` as Windows PowerShell 5.1 does it: enumerations as numbers, dates as
//! `\/Date(…)\/`, `'`, `<`, `>` and `&` escaped.

use super::value::Value;

/// The JSON text of a value. What lies deeper than `depth` is given as text.
pub fn to_json(value: &Value, depth: u32, compress: bool) -> String {
    let mut out = String::new();
    write_value(&mut out, value, depth, compress, 0);
    out
}

fn write_value(out: &mut String, value: &Value, depth: u32, compress: bool, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Integer(n) => out.push_str(&n.to_string()),
        Value::Real(n) if n.is_finite() => out.push_str(&n.to_string()),
        Value::Real(n) => write_string(out, &n.to_string()),
        Value::String(s) => write_string(out, s),
        Value::Enum(e) => out.push_str(&e.number.to_string()),
        Value::DateTime(t) => {
            let milliseconds =
                t.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |z| z.timestamp().as_millisecond());
            out.push_str(&format!("\"\\/Date({milliseconds})\\/\""));
        }
        Value::Array(items) => {
            if (level as u64) > u64::from(depth) {
                return write_string(out, &value.text());
            }
            let mut list = List::open(out, '[', ']', compress, level);
            for item in items.iter() {
                list.next();
                write_value(list.out, item, depth, compress, level + 1);
            }
            list.close();
        }
        Value::Hash(_) | Value::Object(_) | Value::Error(_) => {
            if (level as u64) > u64::from(depth) {
                return write_string(out, &value.text());
            }
            let members: Vec<(String, Value)> = match value {
                Value::Hash(entries) => {
                    entries.iter().map(|(key, value)| (key.text(), value.clone())).collect()
                }
                Value::Object(object) => object.properties.clone(),
                Value::Error(error) => ["Exception", "TargetObject", "FullyQualifiedErrorId"]
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), error.property(name)?)))
                    .collect(),
                _ => Vec::new(),
            };
            let mut list = List::open(out, '{', '}', compress, level);
            for (name, value) in &members {
                list.next();
                write_string(list.out, name);
                list.out.push(':');
                if !compress {
                    list.out.push_str("  ");
                }
                write_value(list.out, value, depth, compress, level + 1);
            }
            list.close();
        }
        Value::ScriptBlock(_) => write_string(out, &value.text()),
    }
}

struct List<'a> {
    out: &'a mut String,
    close: char,
    compress: bool,
    level: usize,
    count: usize,
}

impl<'a> List<'a> {
    fn open(out: &'a mut String, open: char, close: char, compress: bool, level: usize) -> Self {
        out.push(open);
        List { out, close, compress, level, count: 0 }
    }

    fn next(&mut self) {
        if self.count > 0 {
            self.out.push(',');
        }
        self.count += 1;
        self.line(self.level + 1);
    }

    fn line(&mut self, level: usize) {
        if !self.compress {
            self.out.push_str("\r\n");
            self.out.push_str(&"    ".repeat(level));
        }
    }

    fn close(mut self) {
        self.line(self.level);
        self.out.push(self.close);
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\'' | '<' | '>' | '&' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
