//! Reads values out of a TOML document and keeps every complaint, with its place.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::violation::{Code, Place, SECRET_WORDS, Violation, Violations};

/// Byte range in the text.
pub(super) type Span = Range<usize>;
/// A text with its place.
pub(super) type Text = Spanned<String>;

/// Complaints, collected; places are worked out once, at the end.
#[derive(Default)]
pub(super) struct Findings(Vec<(Span, Code, String, String)>);

impl Findings {
    /// Notes one violation: what was needed and found, and what to do.
    pub(super) fn report(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.0.push((span, code, message.into(), remedy.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The violations in the order of the file.
    pub(super) fn into_violations(mut self, text: &str) -> Violations {
        self.0.sort_by(|(a, x, ..), (b, y, ..)| (a.start, a.end, x).cmp(&(b.start, b.end, y)));
        let mut cursor = Cursor::start(text);
        let violations = self.0.into_iter().map(|(span, code, message, remedy)| Violation {
            code: code.as_str(),
            place: cursor.advance_to(span.start),
            span: (span.start, span.end),
            message,
            remedy,
            source: code.source(),
        });
        Violations(violations.collect())
    }
}

/// Walks the text once, so that a file with many complaints on one long line stays linear.
struct Cursor<'t> {
    text: &'t str,
    offset: usize,
    place: Place,
}

impl<'t> Cursor<'t> {
    fn start(text: &'t str) -> Self {
        // A byte order mark takes no column.
        let offset = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let place = Place { line: 1, column: 1 };
        Self { text, offset, place }
    }

    fn advance_to(&mut self, offset: usize) -> Place {
        let rest = self.text.get(self.offset..).unwrap_or_default();
        for c in rest.chars() {
            if self.offset >= offset {
                break;
            }
            self.offset += c.len_utf8();
            if c == '\n' {
                self.place.line += 1;
                self.place.column = 1;
            } else {
                self.place.column += 1;
            }
        }
        self.place
    }
}

/// One table of the file, read key by key; [`Fields::finish`] complains about the keys left over.
pub(super) struct Fields<'a, 't> {
    findings: &'a mut Findings,
    /// The table's name as a reader of the file knows it, for example `[[instances]]`.
    title: &'static str,
    /// Where complaints about missing keys point.
    head: Span,
    table: &'a DeTable<'t>,
    known: Vec<&'static str>,
}

impl<'a, 't> Fields<'a, 't> {
    pub(super) fn new(
        findings: &'a mut Findings,
        title: &'static str,
        head: Span,
        table: &'a DeTable<'t>,
    ) -> Self {
        Self { findings, title, head, table, known: Vec::new() }
    }

    /// A table inside this one, read with the same findings.
    pub(super) fn inside<'b>(
        &'b mut self,
        title: &'static str,
        (head, table): (Span, &'b DeTable<'t>),
    ) -> Fields<'b, 't> {
        Fields::new(self.findings, title, head, table)
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.push(key);
        let mut entries = self.table.iter();
        let (_, value) = entries.find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(value)
    }

    /// Notes a violation found while reading this table.
    pub(super) fn report(&mut self, code: Code, span: Span, message: String, remedy: String) {
        self.findings.report(code, span, message, remedy);
    }

    pub(super) fn missing(&mut self, key: &str, remedy: &str) {
        let start = self.head.start;
        let message = format!("{} needs `{key}`, which is missing", self.title);
        self.findings.report(Code::MissingKey, start..start, message, remedy);
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, needed: &str) {
        let message = format!(
            "`{key}` in {} needs {needed}, found {}",
            self.title,
            type_name(value.get_ref())
        );
        let remedy = format!("Write {needed} there.");
        self.findings.report(Code::WrongType, value.span(), message, remedy);
    }

    /// An optional text of at most `limit` UTF-16 code units, as SQL Server counts characters.
    pub(super) fn text(&mut self, key: &'static str, limit: usize) -> Option<Text> {
        let value = self.get(key)?;
        self.text_of(key, value, limit)
    }

    fn text_of(
        &mut self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        limit: usize,
    ) -> Option<Text> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a text in quotes");
            return None;
        };
        let span = value.span();
        let place = format!("`{key}` in {}", self.title);
        if text.trim().is_empty() {
            let message = format!("{place} needs a text, found an empty one");
            let remedy = "Write the value, or take the line out.";
            self.findings.report(Code::EmptyText, span, message, remedy);
            return None;
        }
        let length = text.encode_utf16().count();
        if length > limit {
            let message = format!("{place} may have {limit} characters, found {length}");
            let remedy = "Use a shorter one; SQL Server counts UTF-16 code units.";
            self.findings.report(Code::TextTooLong, span, message, remedy);
            return None;
        }
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            let message =
                format!("{place} must have no control character, found U+{:04X}", c as u32);
            let remedy = "Take it out; in double quotes \\t and \\n are control characters, so write \
                          paths in single quotes.";
            self.findings.report(Code::ControlCharacter, span, message, remedy);
            return None;
        }
        Some(Spanned::new(span, text.to_owned()))
    }

    /// A text that must be there.
    pub(super) fn required_text(&mut self, key: &'static str, limit: usize) -> Option<Text> {
        if !self.has(key) {
            self.known.push(key);
            self.missing(key, &format!("Add a line `{key} = \"…\"` to {}.", self.title));
            return None;
        }
        self.text(key, limit)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.keys().any(|name| name.get_ref().as_ref() == key)
    }

    /// An optional list of texts, with the place of the whole list.
    pub(super) fn texts(&mut self, key: &'static str, limit: usize) -> Option<Spanned<Vec<Text>>> {
        let value = self.get(key)?;
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            texts.push(self.text_of(key, item, limit));
        }
        let texts: Option<Vec<_>> = texts.into_iter().collect();
        Some(Spanned::new(value.span(), texts?))
    }

    /// An optional `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<Spanned<bool>> {
        let value = self.get(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        Some(Spanned::new(value.span(), flag?))
    }

    /// An optional text that is one of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<Spanned<T>> {
        let text = self.text(key, 64)?;
        let found = choices.iter().find(|(word, _)| word == text.get_ref());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let message = format!(
                "`{key}` in {} needs one of {}, found {}",
                self.title,
                words.join(", "),
                quoted(text.get_ref())
            );
            let remedy = "Write one of them, or take the line out for the first.".to_owned();
            self.findings.report(Code::UnknownWord, text.span(), message, &remedy);
        }
        found.map(|(_, value)| Spanned::new(text.span(), *value))
    }

    /// An optional text that something else reads.
    pub(super) fn parsed<T>(&mut self, key: &'static str, code: Code) -> Option<Spanned<T>>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        let text = self.text(key, 64)?;
        match text.get_ref().parse() {
            Ok(value) => Some(Spanned::new(text.span(), value)),
            Err(error) => {
                let message = format!("`{key}` in {}: {error}", self.title);
                let remedy = "Write it in that form, or take the line out.";
                self.findings.report(code, text.span(), message, remedy);
                None
            }
        }
    }

    /// An optional whole number within `range`.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
        code: Code,
    ) -> Option<Spanned<i64>> {
        let value = self.get(key)?;
        let Some(digits) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        // TOML integers beyond 64 bits parse as text only: they are out of any range here.
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(Spanned::new(value.span(), number));
        }
        let (low, high) = range.into_inner();
        let message = format!(
            "`{key}` in {} needs a number from {low} to {high}, found {}",
            self.title,
            digits.as_str()
        );
        let remedy = "Choose a number in that range.";
        self.findings.report(code, value.span(), message, remedy);
        None
    }

    /// An optional duration such as `"15m"` or `"1h30m"` within `range`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Spanned<Duration>> {
        let text = self.text(key, 64)?;
        let place = format!("`{key}` in {}", self.title);
        let Some(duration) = parse_duration(text.get_ref()) else {
            let message = format!("{place} needs a duration, found \"{}\"", text.get_ref());
            let remedy = "Write whole numbers with d, h, m, s or ms, largest first: \"30s\", \"15m\", \
                          \"1h30m\".";
            self.findings.report(Code::BadDuration, text.span(), message, remedy);
            return None;
        };
        if !range.contains(&duration) {
            let (low, high) = range.into_inner();
            let message =
                format!("{place} needs a duration from {low:?} to {high:?}, found {duration:?}");
            let remedy = "Choose a duration in that range.";
            self.findings.report(Code::OutOfRange, text.span(), message, remedy);
            return None;
        }
        Some(Spanned::new(text.span(), duration))
    }

    /// The tables under `key` (`[[key]]`), each with the place of its head.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(Span, &'a DeTable<'t>)> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let needed = "a list of tables ([[…]])";
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, needed);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(table) => tables.push((item.span(), table)),
                None => self.wrong_type(key, item, needed),
            }
        }
        tables
    }

    /// The table under `key` (`[key]`), with the place of its head.
    pub(super) fn table(&mut self, key: &'static str) -> Option<(Span, &'a DeTable<'t>)> {
        let value = self.get(key)?;
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table ([…])");
        }
        Some((value.span(), table?))
    }

    /// Complains about every key that nobody asked for.
    pub(super) fn finish(self) {
        for (name, value) in self.table.iter() {
            let key = name.get_ref().as_ref();
            if self.known.contains(&key) {
                continue;
            }
            if is_secret(key) {
                report_secret(self.findings, name.span(), key);
                continue;
            }
            let message = format!("{} has no key `{}`", self.title, key.escape_debug());
            let remedy = match closest(key, &self.known) {
                Some(known) => format!("Write `{known}` if that is meant, or take it out."),
                None => format!("Take it out; known here: {}.", self.known.join(", ")),
            };
            self.findings.report(Code::UnknownKey, name.span(), message, remedy);
            find_secrets(self.findings, value.get_ref());
        }
    }
}

/// A text from the file for a message: in quotes, backslashes as written, anything unusual escaped.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    if text.chars().all(is_plain) {
        format!("'{text}'")
    } else {
        format!("'{}'", text.escape_debug())
    }
}

/// Looks for passwords in parts of the file that are not read otherwise. The depth is bounded by
/// the TOML parser's own limit.
fn find_secrets(findings: &mut Findings, value: &DeValue<'_>) {
    if let Some(items) = value.as_array() {
        for item in items.iter() {
            find_secrets(findings, item.get_ref());
        }
    }
    for (name, value) in value.as_table().into_iter().flatten() {
        let key = name.get_ref().as_ref();
        if is_secret(key) {
            report_secret(findings, name.span(), key);
        } else {
            find_secrets(findings, value.get_ref());
        }
    }
}

fn report_secret(findings: &mut Findings, span: Span, key: &str) {
    let message =
        format!("`{}` looks like a secret; a topology file must hold none", key.escape_debug());
    let remedy = "Take it out, change the password if others could read the file, and name in \
                  [connection] where it is: `password_env = \"PCDR_PASSWORD\"` or `password_file = \
                  \"/run/secrets/pcdr\"`.";
    findings.report(Code::SecretInFile, span, message, remedy);
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    key == "pass" || SECRET_WORDS.iter().any(|word| key.ends_with(word))
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Reads `1h30m`: whole numbers with units from large to small. `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut rest = text;
    let mut total = 0u64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters])?;
        if unit < next_unit {
            return None;
        }
        next_unit = unit + 1;
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(UNITS[unit].1)?)?;
    }
    (next_unit > 0).then(|| Duration::from_millis(total))
}

/// The known key at most two letters away, for "did you mean".
fn closest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > 40 {
        return None;
    }
    let distances = known.iter().map(|known| (distance(key, known), *known));
    let (distance, known) = distances.min()?;
    (distance <= 2).then_some(known)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            let replace = diagonal + usize::from(x != *y);
            row[j + 1] = replace.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_largest_unit_first() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("1d"), Some(86_400));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for text in [
            "",
            "15",
            "m",
            "-1m",
            "1m1h",
            "1m1m",
            "1.5h",
            "15 m",
            "99999999999999999999d",
            "18446744073709551615d",
            "1é",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn suggestion_is_at_most_two_letters_away() {
        assert_eq!(closest("sevrer_name", &["server_name", "site"]), Some("server_name"));
        assert_eq!(closest("colour", &["server_name", "site"]), None);
    }
}
