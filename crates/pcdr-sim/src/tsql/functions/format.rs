//! FORMAT: numbers and moments by .NET's format strings, for the invariant and the US culture.

use super::{Applied, string};
use crate::tsql::convert::{exact, float, format_numeric, rescale, with_commas};
use crate::tsql::failures::error;
use crate::tsql::language::Language;
use crate::tsql::moments;
use crate::value::Value;

/// NULL for a format that does not fit the value, as the server gives it.
pub(super) fn format_value(values: &[Value]) -> Applied {
    if values[0].is_null() {
        return Ok(Value::Null);
    }
    let Some(format) = string(values, 1) else {
        return Ok(Value::Null);
    };
    // Other cultures have other separators and names, which are not known here.
    if let Some(culture) = string(values, 2)
        && !["", "en-us", "en-gb"].contains(&culture.to_lowercase().as_str())
    {
        return Err(error(
            9818,
            16,
            format!(
                "The culture parameter '{culture}' provided in the function call is not supported."
            ),
        ));
    }
    let british = string(values, 2).is_some_and(|c| c.eq_ignore_ascii_case("en-gb"));
    let text = match moments::local(&values[0]) {
        Some(moment) => format_moment(moment, format, british),
        None => format_number(&values[0], format),
    };
    Ok(text.map_or(Value::Null, Value::string))
}

fn digits_of(value: &Value, decimals: u8) -> Option<String> {
    if let Some((n, scale)) = exact(value) {
        return rescale(n, scale, decimals).map(|n| format_numeric(n, decimals));
    }
    float(value).map(|f| format!("{f:.*}", usize::from(decimals)))
}

fn format_number(value: &Value, format: &str) -> Option<String> {
    let mut chars = format.chars();
    let first = chars.next()?;
    let precision: Option<u8> = match chars.as_str() {
        "" => None,
        digits => digits.parse().ok(),
    };
    let standard = first.is_ascii_alphabetic()
        && (format.len() == 1 || (format.len() <= 3 && precision.is_some()));
    if !standard {
        return custom_number(value, format);
    }
    let decimals = precision.unwrap_or(2);
    Some(match first.to_ascii_uppercase() {
        'N' => with_commas(&digits_of(value, decimals)?),
        'F' => digits_of(value, decimals)?,
        'C' => {
            let text = with_commas(&digits_of(value, decimals)?);
            match text.strip_prefix('-') {
                Some(text) => format!("(${text})"),
                None => format!("${text}"),
            }
        }
        'P' => {
            let hundredfold = Value::Float(float(value)? * 100.0);
            format!("{} %", with_commas(&digits_of(&hundredfold, decimals)?))
        }
        'D' => {
            let text = digits_of(value, 0)?;
            let width = usize::from(precision.unwrap_or(0));
            match text.strip_prefix('-') {
                Some(text) => format!("-{text:0>width$}"),
                None => format!("{text:0>width$}"),
            }
        }
        'X' => {
            let (n, _) = exact(value)?;
            let width = usize::from(precision.unwrap_or(0));
            let n = i64::try_from(n).ok()?;
            if first == 'x' { format!("{n:0>width$x}") } else { format!("{n:0>width$X}") }
        }
        'G' => match exact(value) {
            Some((n, scale)) => format_numeric(n, scale),
            None => float(value)?.to_string(),
        },
        _ => return None,
    })
}

/// `0` and `#` with a point, commas, a percent sign and other text around them.
fn custom_number(value: &Value, format: &str) -> Option<String> {
    let is_pattern = |c: char| matches!(c, '0' | '#' | '.' | ',');
    let start = format.find(is_pattern)?;
    let end = format.rfind(is_pattern)? + 1;
    let (before, pattern, after) = (&format[..start], &format[start..end], &format[end..]);
    if !pattern.chars().all(is_pattern) {
        return None;
    }
    let (whole, fraction) = pattern.split_once('.').unwrap_or((pattern, ""));
    let percent = after.contains('%') || before.contains('%');
    let scaled = if percent { Value::Float(float(value)? * 100.0) } else { value.clone() };
    let text = digits_of(&scaled, u8::try_from(fraction.len()).ok()?)?;
    let negative = text.starts_with('-');
    let (digits, decimals) =
        text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
    let least = whole.chars().filter(|c| *c == '0').count();
    let digits = digits.trim_start_matches('0');
    let mut digits = format!("{digits:0>least$}");
    if whole.contains(',') {
        digits = with_commas(&digits);
    }
    // Zeros beyond the last `0` of the pattern are not shown.
    let least = fraction.rfind('0').map_or(0, |i| i + 1);
    let mut kept = decimals.trim_end_matches('0').len().max(least);
    kept = kept.min(decimals.len());
    let point = if kept > 0 { "." } else { "" };
    let sign = if negative && (digits.chars().any(|c| c != '0') || kept > 0) { "-" } else { "" };
    let quote = |s: &str| s.replace(['\'', '"', '\\'], "");
    Some(format!("{sign}{}{digits}{point}{}{}", quote(before), &decimals[..kept], quote(after)))
}

fn format_moment(moment: jiff::civil::DateTime, format: &str, british: bool) -> Option<String> {
    let date = if british { "dd/MM/yyyy" } else { "M/d/yyyy" };
    let time = if british { "HH:mm" } else { "h:mm tt" };
    let long_time = if british { "HH:mm:ss" } else { "h:mm:ss tt" };
    let long_date = if british { "dd MMMM yyyy" } else { "dddd, MMMM d, yyyy" };
    let pattern = match format {
        "d" => date.to_owned(),
        "D" => long_date.to_owned(),
        "t" => time.to_owned(),
        "T" => long_time.to_owned(),
        "f" => format!("{long_date} {time}"),
        "F" => format!("{long_date} {long_time}"),
        "g" => format!("{date} {time}"),
        "G" => format!("{date} {long_time}"),
        "s" => "yyyy-MM-ddTHH:mm:ss".to_owned(),
        "u" => "yyyy-MM-dd HH:mm:ssZ".to_owned(),
        "o" | "O" => "yyyy-MM-ddTHH:mm:ss.fffffff".to_owned(),
        "m" | "M" => if british { "dd MMMM" } else { "MMMM d" }.to_owned(),
        "y" | "Y" => "MMMM yyyy".to_owned(),
        one if one.len() == 1 => return None,
        custom => custom.to_owned(),
    };
    let names = Language::default();
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c == '\\' {
            out.extend(chars.get(i + 1));
            i += 2;
            continue;
        }
        if c == '\'' || c == '"' {
            let end = chars[i + 1..].iter().position(|q| *q == c)? + i + 1;
            out.extend(&chars[i + 1..end]);
            i = end + 1;
            continue;
        }
        let run = chars[i..].iter().take_while(|x| **x == c).count();
        let hour12 = if moment.hour() % 12 == 0 { 12 } else { moment.hour() % 12 };
        let half = if moment.hour() < 12 { "AM" } else { "PM" };
        let padded = |n: i32| if run > 1 { format!("{n:02}") } else { n.to_string() };
        let weekday = usize::try_from(moment.date().weekday().to_sunday_zero_offset()).ok()?;
        match (c, run) {
            ('y', 1 | 2) => out += &format!("{:02}", moment.year() % 100),
            ('y', _) => out += &format!("{:0run$}", moment.year()),
            ('M', 3) => out += names.short_month(moment.month()),
            ('M', 4..) => out += names.month(moment.month()),
            ('M', _) => out += &padded(i32::from(moment.month())),
            ('d', 3) => out += &names.weekday(weekday)[..3],
            ('d', 4..) => out += names.weekday(weekday),
            ('d', _) => out += &padded(i32::from(moment.day())),
            ('H', _) => out += &padded(i32::from(moment.hour())),
            ('h', _) => out += &padded(i32::from(hour12)),
            ('m', _) => out += &padded(i32::from(moment.minute())),
            ('s', _) => out += &padded(i32::from(moment.second())),
            ('f', 1..=7) => out += &format!("{:09}", moment.subsec_nanosecond())[..run],
            ('t', 1) => out += &half[..1],
            ('t', _) => out += half,
            _ => out.extend(&chars[i..i + run]),
        }
        i += run;
    }
    Some(out)
}
