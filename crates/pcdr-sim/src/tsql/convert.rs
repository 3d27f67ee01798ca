//! Types against each other: precedence, names, casts and comparison.

use std::cmp::Ordering;
use std::sync::Arc;

use uuid::Uuid;

use super::failures::{error, overflow};
use super::moments;
use crate::message::SqlFailure;
use crate::value::{Length, SqlType, Value};

type Converted = Result<Value, SqlFailure>;

/// The type's name in error messages and `SQL_VARIANT_PROPERTY`.
pub(super) fn type_name(ty: SqlType) -> &'static str {
    match ty {
        SqlType::Bit => "bit",
        SqlType::TinyInt => "tinyint",
        SqlType::SmallInt => "smallint",
        SqlType::Int => "int",
        SqlType::BigInt => "bigint",
        SqlType::Real => "real",
        SqlType::Float => "float",
        SqlType::Money => "money",
        SqlType::Numeric { .. } => "numeric",
        SqlType::Char(_) => "char",
        SqlType::VarChar(_) => "varchar",
        SqlType::NChar(_) => "nchar",
        SqlType::NVarChar(_) => "nvarchar",
        SqlType::Binary(_) => "binary",
        SqlType::VarBinary(_) => "varbinary",
        SqlType::UniqueIdentifier => "uniqueidentifier",
        SqlType::Date => "date",
        SqlType::Time(_) => "time",
        SqlType::SmallDateTime => "smalldatetime",
        SqlType::DateTime => "datetime",
        SqlType::DateTime2(_) => "datetime2",
        SqlType::DateTimeOffset(_) => "datetimeoffset",
        SqlType::Variant => "sql_variant",
        SqlType::Xml => "xml",
        SqlType::Text => "text",
        SqlType::NText => "ntext",
        SqlType::Image => "image",
    }
}

/// Source: Transact-SQL reference, "Data type precedence"; higher wins.
fn precedence(ty: SqlType) -> u8 {
    match ty {
        SqlType::Variant => 29,
        SqlType::Xml => 28,
        SqlType::DateTimeOffset(_) => 27,
        SqlType::DateTime2(_) => 26,
        SqlType::DateTime => 25,
        SqlType::SmallDateTime => 24,
        SqlType::Date => 23,
        SqlType::Time(_) => 22,
        SqlType::Float => 21,
        SqlType::Real => 20,
        SqlType::Numeric { .. } => 19,
        SqlType::Money => 18,
        SqlType::BigInt => 16,
        SqlType::Int => 15,
        SqlType::SmallInt => 14,
        SqlType::TinyInt => 13,
        SqlType::Bit => 12,
        SqlType::NText => 11,
        SqlType::Text => 10,
        SqlType::Image => 9,
        SqlType::UniqueIdentifier => 7,
        SqlType::NVarChar(_) => 6,
        SqlType::NChar(_) => 5,
        SqlType::VarChar(_) => 4,
        SqlType::Char(_) => 3,
        SqlType::VarBinary(_) => 2,
        SqlType::Binary(_) => 1,
    }
}

pub(super) fn is_text(ty: SqlType) -> bool {
    matches!(
        ty,
        SqlType::Char(_)
            | SqlType::VarChar(_)
            | SqlType::NChar(_)
            | SqlType::NVarChar(_)
            | SqlType::Text
            | SqlType::NText
            | SqlType::Xml
    )
}

pub(super) fn is_national(ty: SqlType) -> bool {
    matches!(ty, SqlType::NChar(_) | SqlType::NVarChar(_) | SqlType::NText | SqlType::Xml)
}

pub(super) fn is_binary(ty: SqlType) -> bool {
    matches!(ty, SqlType::Binary(_) | SqlType::VarBinary(_) | SqlType::Image)
}

pub(super) fn is_integer(ty: SqlType) -> bool {
    matches!(
        ty,
        SqlType::Bit | SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt
    )
}

pub(super) fn is_number(ty: SqlType) -> bool {
    is_integer(ty)
        || matches!(ty, SqlType::Real | SqlType::Float | SqlType::Money | SqlType::Numeric { .. })
}

pub(super) fn is_moment(ty: SqlType) -> bool {
    matches!(
        ty,
        SqlType::Date
            | SqlType::Time(_)
            | SqlType::SmallDateTime
            | SqlType::DateTime
            | SqlType::DateTime2(_)
            | SqlType::DateTimeOffset(_)
    )
}

/// Characters (or bytes) that a type can hold; `None` for max.
pub(super) fn capacity(ty: SqlType) -> Option<u32> {
    match ty {
        SqlType::Char(n) | SqlType::NChar(n) | SqlType::Binary(n) => Some(u32::from(n)),
        SqlType::VarChar(Length::Up(n))
        | SqlType::NVarChar(Length::Up(n))
        | SqlType::VarBinary(Length::Up(n)) => Some(u32::from(n)),
        SqlType::VarChar(Length::Max)
        | SqlType::NVarChar(Length::Max)
        | SqlType::VarBinary(Length::Max)
        | SqlType::Xml
        | SqlType::Text
        | SqlType::NText
        | SqlType::Image => None,
        SqlType::Bit => Some(1),
        SqlType::TinyInt => Some(3),
        SqlType::SmallInt => Some(6),
        SqlType::Int => Some(12),
        SqlType::BigInt => Some(24),
        SqlType::UniqueIdentifier => Some(36),
        SqlType::Numeric { .. } => Some(41),
        _ => Some(40),
    }
}

/// A varying character type of at most `length` characters, `max` beyond what fits in a page.
pub(super) fn text_type(national: bool, length: Option<u32>) -> SqlType {
    let limit = if national { 4000 } else { 8000 };
    let length = match length {
        None => Length::Max,
        Some(n) => Length::Up(n.clamp(1, limit) as u16),
    };
    if national { SqlType::NVarChar(length) } else { SqlType::VarChar(length) }
}

/// Digits that an exact type may have before and after the point.
fn digits(ty: SqlType) -> (u8, u8) {
    match ty {
        SqlType::Bit => (1, 0),
        SqlType::TinyInt => (3, 0),
        SqlType::SmallInt => (5, 0),
        SqlType::Int => (10, 0),
        SqlType::BigInt => (19, 0),
        SqlType::Money => (19, 4),
        SqlType::Numeric { precision, scale } => (precision, scale),
        _ => (38, 0),
    }
}

/// The numeric type that an exact type takes part in arithmetic as.
pub(super) fn as_numeric(ty: SqlType) -> (u8, u8) {
    digits(ty)
}

/// The type that holds values of both, by precedence.
pub(super) fn common(a: SqlType, b: SqlType) -> SqlType {
    if a == b {
        return a;
    }
    let (high, low) = if precedence(a) >= precedence(b) { (a, b) } else { (b, a) };
    match high {
        SqlType::Numeric { precision, scale } if is_number(low) => {
            let (p2, s2) = digits(low);
            let scale = scale.max(s2);
            let whole = (precision - scale.min(precision))
                .max(precision.saturating_sub(digits(high).1))
                .max(p2.saturating_sub(s2));
            SqlType::Numeric { precision: (whole + scale).min(38), scale }
        }
        SqlType::DateTime2(n) => match low {
            SqlType::DateTime2(m) | SqlType::Time(m) => SqlType::DateTime2(n.max(m)),
            _ => high,
        },
        SqlType::DateTimeOffset(n) => match low {
            SqlType::DateTimeOffset(m) | SqlType::DateTime2(m) => SqlType::DateTimeOffset(n.max(m)),
            _ => high,
        },
        SqlType::Time(n) => match low {
            SqlType::Time(m) => SqlType::Time(n.max(m)),
            _ => high,
        },
        ty if is_text(ty) && (is_text(low) || is_binary(low)) => {
            let length = match (capacity(high), capacity(low)) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
            match (high, low) {
                (SqlType::Char(a), SqlType::Char(b)) => SqlType::Char(a.max(b)),
                (SqlType::NChar(a), SqlType::NChar(b)) => SqlType::NChar(a.max(b)),
                (SqlType::Xml, _) => SqlType::Xml,
                _ => text_type(is_national(high) || is_national(low), length),
            }
        }
        ty if is_binary(ty) => match (capacity(high), capacity(low)) {
            (Some(a), Some(b)) => SqlType::VarBinary(Length::Up(a.max(b) as u16)),
            _ => SqlType::VarBinary(Length::Max),
        },
        _ => high,
    }
}

/// Digits with an optional sign and point, times ten to the `scale`, rounded half away from zero.
pub(super) fn parse_numeric(text: &str, scale: u8) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut value: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut bytes = fraction.bytes();
    for _ in 0..scale {
        let digit = bytes.next().map_or(0, |b| i128::from(b - b'0'));
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    if bytes.next().is_some_and(|b| b >= b'5') {
        value = value.checked_add(1)?;
    }
    Some(if negative { -value } else { value })
}

pub(super) fn parse_hex(text: &str) -> Vec<u8> {
    let padded = if text.len() % 2 == 1 { format!("0{text}") } else { text.to_string() };
    padded
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            Some((high * 16 + low) as u8)
        })
        .collect()
}

/// `unscaled` × 10^-`scale` in digits.
pub(super) fn format_numeric(unscaled: i128, scale: u8) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = unscaled.unsigned_abs().to_string();
    let scale = usize::from(scale);
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// Changes the scale, rounding half away from zero; `None` on overflow.
pub(super) fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return unscaled.checked_mul(10i128.checked_pow(u32::from(to - from))?);
    }
    let divisor = 10i128.checked_pow(u32::from(from - to))?;
    let quotient = unscaled / divisor;
    let remainder = unscaled % divisor;
    if remainder.abs() >= divisor - remainder.abs() {
        quotient.checked_add(unscaled.signum())
    } else {
        Some(quotient)
    }
}

/// A whole number in a value, without rounding.
pub(super) fn integer(value: &Value) -> Option<i128> {
    Some(match value {
        Value::Bit(b) => i128::from(*b),
        Value::TinyInt(n) => i128::from(*n),
        Value::SmallInt(n) => i128::from(*n),
        Value::Int(n) => i128::from(*n),
        Value::BigInt(n) => i128::from(*n),
        _ => return None,
    })
}

/// An exact number as unscaled digits and scale.
pub(super) fn exact(value: &Value) -> Option<(i128, u8)> {
    match value {
        Value::Numeric { unscaled, scale } => Some((*unscaled, *scale)),
        Value::Money(n) => Some((i128::from(*n), 4)),
        other => integer(other).map(|n| (n, 0)),
    }
}

/// Any number as a float.
pub(super) fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(f) => Some(*f),
        Value::Real(f) => Some(f64::from(*f)),
        other => exact(other).map(|(n, scale)| n as f64 / 10f64.powi(i32::from(scale))),
    }
}

/// A float as T-SQL prints it: six significant digits.
fn format_float(value: f64, style: i32) -> String {
    if style == 3 {
        return format!("{value}");
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let digits = match style {
        1 => 8,
        2 => 16,
        _ => 6,
    };
    // The exponent after rounding to the digits that are shown.
    let shown = format!("{value:.*e}", (digits - 1) as usize);
    let exponent: i32 = shown.split_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    if style == 0 && (-4..digits).contains(&exponent) {
        let decimals = (digits - 1 - exponent).max(0) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') {
            return text.trim_end_matches('0').trim_end_matches('.').to_string();
        }
        return text;
    }
    let text = format!("{value:.*e}", (digits - 1) as usize);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if style == 0 && mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:03}", exponent.abs())
}

/// A value as text, before any truncation.
pub(super) fn to_text(value: &Value, from: SqlType, style: Option<i32>) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.to_string(),
        Value::Bit(b) => if *b { "1" } else { "0" }.to_string(),
        Value::Real(f) => format_float(f64::from(*f), style.unwrap_or(0)),
        Value::Float(f) => format_float(*f, style.unwrap_or(0)),
        Value::Money(n) => {
            let scale = if matches!(style, Some(2 | 126)) { 4 } else { 2 };
            let text = rescale(i128::from(*n), 4, scale)
                .map_or_else(String::new, |n| format_numeric(n, scale));
            if style == Some(1) { with_commas(&text) } else { text }
        }
        Value::Numeric { unscaled, scale } => format_numeric(*unscaled, *scale),
        Value::Binary(bytes) => {
            let hex = || bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
            match style {
                Some(1) => format!("0x{}", hex()),
                Some(2) => hex(),
                // Latin-1: each byte is a character of the server's code page.
                _ => bytes.iter().map(|b| char::from(*b)).collect(),
            }
        }
        Value::Uuid(u) => u.hyphenated().to_string().to_uppercase(),
        Value::Variant(ty, inner) => to_text(inner, *ty, style),
        Value::Date(_) | Value::Time(_) | Value::DateTime(_) | Value::DateTimeOffset { .. } => {
            moments::format(value, from, style)
        }
        other => integer(other).map_or_else(String::new, |n| n.to_string()),
    }
}

/// A number's text with a comma after every three digits left of the point.
pub(super) fn with_commas(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits.find('.').map_or((digits, ""), |at| digits.split_at(at));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

/// Error 281 for a style that a value has no text in.
fn require_style(from: SqlType, style: Option<i32>) -> Result<(), SqlFailure> {
    match style.filter(|style| is_moment(from) && !moments::is_style(*style)) {
        None => Ok(()),
        Some(style) => Err(error(
            281,
            16,
            format!(
                "{style} is not a valid style number when converting from {} to a character string.",
                type_name(from)
            ),
        )),
    }
}

fn not_allowed(from: SqlType, to: SqlType) -> SqlFailure {
    let mut failure = error(
        529,
        16,
        format!(
            "Explicit conversion from data type {} to {} is not allowed.",
            type_name(from),
            type_name(to)
        ),
    );
    failure.0[0].state = 2;
    failure
}

fn conversion_failed(value: &str, from: SqlType, to: SqlType) -> SqlFailure {
    error(
        245,
        16,
        format!(
            "Conversion failed when converting the {} value '{value}' to data type {}.",
            type_name(from),
            type_name(to)
        ),
    )
}

fn conversion_error(from: SqlType, to: SqlType) -> SqlFailure {
    error(8114, 16, format!("Error converting data type {} to {}.", type_name(from), type_name(to)))
        .with_state(5)
}

fn fit_integer(n: i128, to: SqlType) -> Converted {
    let failed = || overflow(type_name(to));
    Ok(match to {
        SqlType::Bit => Value::Bit(n != 0),
        SqlType::TinyInt => Value::TinyInt(u8::try_from(n).map_err(|_| {
            error(220, 16, format!("Arithmetic overflow error for data type tinyint, value = {n}."))
                .with_state(2)
        })?),
        SqlType::SmallInt => Value::SmallInt(i16::try_from(n).map_err(|_| {
            error(
                220,
                16,
                format!("Arithmetic overflow error for data type smallint, value = {n}."),
            )
        })?),
        SqlType::Int => Value::Int(i32::try_from(n).map_err(|_| failed())?),
        _ => Value::BigInt(i64::try_from(n).map_err(|_| failed())?),
    })
}

fn fit_text(text: &str, ty: SqlType) -> Value {
    let Some(length) = capacity(ty) else {
        return Value::string(text);
    };
    let length = length as usize;
    match ty {
        SqlType::Char(_) | SqlType::NChar(_) => {
            let mut fitted = first_units(text, length).to_owned();
            let missing = length.saturating_sub(fitted.encode_utf16().count());
            fitted.extend(std::iter::repeat_n(' ', missing));
            Value::string(fitted)
        }
        _ => Value::string(first_units(text, length)),
    }
}

/// The text cut to a declared length, which counts UTF-16 units: a character outside of the basic plane
/// takes two. One of which only half would fit is left out, because no text here can hold half of it.
fn first_units(text: &str, length: usize) -> &str {
    if text.len() <= length {
        return text;
    }
    let mut units = 0;
    let cut = text.char_indices().find(|(_, letter)| {
        units += letter.len_utf16();
        units > length
    });
    cut.map_or(text, |(end, _)| &text[..end])
}

fn fit_binary(bytes: &[u8], ty: SqlType) -> Value {
    let mut bytes = bytes.to_vec();
    if let Some(length) = capacity(ty) {
        bytes.truncate(length as usize);
        if let SqlType::Binary(n) = ty {
            bytes.resize(usize::from(n), 0);
        }
    }
    Value::Binary(bytes.into())
}

/// Converts a value of type `from` to type `to`.
///
/// # Errors
///
/// 245, 8114, 241, 242, 8115, 220, 8169 and 529, as the pair of types requires.
pub(super) fn cast(value: &Value, from: SqlType, to: SqlType, style: Option<i32>) -> Converted {
    if let Value::Variant(base, inner) = value {
        if to == SqlType::Variant {
            return Ok(value.clone());
        }
        return cast(inner, *base, to, style);
    }
    if value.is_null() {
        return Ok(Value::Null);
    }
    match to {
        SqlType::Variant => Ok(Value::Variant(from, Box::new(value.clone()))),
        SqlType::Bit | SqlType::TinyInt | SqlType::SmallInt | SqlType::Int | SqlType::BigInt => {
            to_integer(value, from, to)
        }
        SqlType::Numeric { .. } | SqlType::Money => to_exact(value, from, to),
        SqlType::Real | SqlType::Float => {
            let number = match value {
                Value::String(s) if s.trim().is_empty() => 0.0,
                Value::String(s) => s
                    .trim()
                    .parse::<f64>()
                    .ok()
                    .filter(|f| f.is_finite())
                    .ok_or_else(|| conversion_error(from, to))?,
                other => float(other).ok_or_else(|| not_allowed(from, to))?,
            };
            if to == SqlType::Real {
                let narrow = number as f32;
                if narrow.is_infinite() {
                    return Err(overflow("real"));
                }
                Ok(Value::Real(narrow))
            } else {
                Ok(Value::Float(number))
            }
        }
        ty if is_text(ty) => {
            require_style(from, style)?;
            let text = to_text(value, from, style);
            let fits = capacity(ty).is_none_or(|n| text.len() <= n as usize);
            if !fits && is_number(from) {
                // Numbers are never cut: an integer prints as a star, anything else overflows.
                if is_integer(from) && !is_national(ty) {
                    return Ok(fit_text("*", ty));
                }
                return Err(overflow(type_name(ty)));
            }
            Ok(fit_text(&text, ty))
        }
        ty if is_binary(ty) => {
            let bytes: Arc<[u8]> = match value {
                Value::Binary(bytes) => bytes.clone(),
                Value::String(s) if style == Some(1) || style == Some(2) => {
                    let hex = s.trim();
                    let bare = hex.strip_prefix("0x").or_else(|| hex.strip_prefix("0X"));
                    // Style 1 wants the prefix, style 2 must not have it.
                    let hex = match (style, bare) {
                        (Some(1), Some(bare)) => bare,
                        (Some(2), None) => hex,
                        _ => return Err(conversion_error(from, to)),
                    };
                    if hex.len() % 2 == 1 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                        return Err(conversion_error(from, to));
                    }
                    parse_hex(hex).into()
                }
                Value::String(s) if is_national(from) => {
                    s.encode_utf16().flat_map(u16::to_le_bytes).collect()
                }
                Value::String(s) => s.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
                Value::Uuid(u) => u.to_bytes_le().into(),
                other => {
                    let n = integer(other).ok_or_else(|| not_allowed(from, to))?;
                    let width = match other {
                        Value::BigInt(_) => 8,
                        Value::Int(_) => 4,
                        Value::SmallInt(_) => 2,
                        _ => 1,
                    };
                    let all = n.to_be_bytes();
                    let all = &all[16 - width..];
                    let keep = capacity(ty).map_or(width, |n| (n as usize).min(width));
                    let mut bytes = all[width - keep..].to_vec();
                    if let SqlType::Binary(n) = ty {
                        // Numbers are padded on the left.
                        while bytes.len() < usize::from(n) {
                            bytes.insert(0, 0);
                        }
                    }
                    bytes.into()
                }
            };
            Ok(fit_binary(&bytes, ty))
        }
        SqlType::UniqueIdentifier => match value {
            Value::Uuid(_) => Ok(value.clone()),
            Value::String(s) => {
                let text = s.trim().trim_start_matches('{');
                let text: String = text.chars().take(36).collect();
                Uuid::try_parse(&text).map(Value::Uuid).map_err(|_| {
                    let mut failure = error(
                        8169,
                        16,
                        "Conversion failed when converting from a character string to uniqueidentifier.",
                    );
                    failure.0[0].state = 2;
                    failure
                })
            }
            Value::Binary(bytes) => {
                let mut all = [0; 16];
                for (to, from) in all.iter_mut().zip(bytes.iter()) {
                    *to = *from;
                }
                Ok(Value::Uuid(Uuid::from_bytes_le(all)))
            }
            _ => Err(not_allowed(from, to)),
        },
        _ => moments::cast(value, from, to, style).unwrap_or_else(|| Err(not_allowed(from, to))),
    }
}

fn to_integer(value: &Value, from: SqlType, to: SqlType) -> Converted {
    let number = match value {
        Value::String(s) => {
            let text = s.trim();
            if text.is_empty() {
                0
            } else if to == SqlType::Bit && text.eq_ignore_ascii_case("true") {
                1
            } else if to == SqlType::Bit && text.eq_ignore_ascii_case("false") {
                0
            } else {
                match text.parse::<i128>() {
                    Ok(n) => {
                        let narrow = match to {
                            SqlType::TinyInt if u8::try_from(n).is_err() => Some(("INT1", 1)),
                            SqlType::SmallInt if i16::try_from(n).is_err() => Some(("INT2", 2)),
                            _ => None,
                        };
                        if let Some((column, state)) = narrow {
                            return Err(error(
                                244,
                                16,
                                format!(
                                    "The conversion of the {} value '{text}' overflowed an {column} column. Use a larger integer column.",
                                    type_name(from)
                                ),
                            )
                            .with_state(state));
                        }
                        if to == SqlType::Int && i32::try_from(n).is_err() {
                            return Err(error(
                                248,
                                16,
                                format!(
                                    "The conversion of the {} value '{text}' overflowed an int column.",
                                    type_name(from)
                                ),
                            ));
                        }
                        n
                    }
                    Err(_) if to == SqlType::BigInt => return Err(conversion_error(from, to)),
                    Err(_) => return Err(conversion_failed(s, from, to)),
                }
            }
        }
        Value::Float(_) | Value::Real(_) => {
            let f = float(value).unwrap_or(0.0);
            if to == SqlType::Bit { i128::from(f != 0.0) } else { f.trunc() as i128 }
        }
        Value::Money(n) if to != SqlType::Bit => rescale(i128::from(*n), 4, 0).unwrap_or(i128::MAX),
        Value::Numeric { unscaled, scale } if to != SqlType::Bit => {
            10i128.checked_pow(u32::from(*scale)).map_or(0, |divisor| unscaled / divisor)
        }
        Value::Binary(bytes) => {
            let mut n: i128 = 0;
            for b in bytes.iter().rev().take(8).rev() {
                n = n << 8 | i128::from(*b);
            }
            match to {
                SqlType::Int => i128::from(n as u32 as i32),
                SqlType::SmallInt => i128::from(n as u16 as i16),
                SqlType::TinyInt => i128::from(n as u8),
                _ => i128::from(n as u64 as i64),
            }
        }
        Value::DateTime(_) if matches!(from, SqlType::DateTime | SqlType::SmallDateTime) => {
            i128::from(moments::days_since_1900(value).round() as i64)
        }
        other => exact(other).ok_or_else(|| not_allowed(from, to))?.0,
    };
    fit_integer(number, to)
}

fn to_exact(value: &Value, from: SqlType, to: SqlType) -> Converted {
    let (precision, scale) = digits(to);
    let unscaled = match value {
        Value::String(s) => {
            let text = s.trim();
            let text = if to == SqlType::Money {
                text.trim_start_matches('$').replace(',', "")
            } else {
                text.to_string()
            };
            if text.is_empty() && to == SqlType::Money {
                0
            } else {
                parse_numeric(&text, scale).ok_or_else(|| {
                    if to == SqlType::Money {
                        error(
                            235,
                            16,
                            "Cannot convert a char value to money. The char value has incorrect syntax.",
                        )
                        .with_state(0)
                    } else {
                        conversion_error(from, to)
                    }
                })?
            }
        }
        Value::Float(_) | Value::Real(_) => {
            let f = float(value).unwrap_or(0.0) * 10f64.powi(i32::from(scale));
            if f.abs() >= 1e38 {
                return Err(overflow(type_name(to)));
            }
            f.round() as i128
        }
        other => {
            let (n, from_scale) = exact(other).ok_or_else(|| not_allowed(from, to))?;
            rescale(n, from_scale, scale).ok_or_else(|| overflow(type_name(to)))?
        }
    };
    if to == SqlType::Money {
        return i64::try_from(unscaled).map(Value::Money).map_err(|_| overflow("money"));
    }
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    if unscaled.abs() >= limit {
        let mut failure = error(
            8115,
            16,
            format!(
                "Arithmetic overflow error converting {} to data type numeric.",
                if is_text(from) {
                    type_name(from)
                } else if matches!(from, SqlType::Numeric { .. }) {
                    "numeric"
                } else {
                    type_name(from)
                }
            ),
        );
        failure.0[0].state = 8;
        return Err(failure);
    }
    Ok(Value::Numeric { unscaled, scale })
}

/// A character string as the default collation compares it: no case, no trailing blanks.
pub(super) fn fold(text: &str) -> String {
    text.trim_end_matches(' ').to_lowercase()
}

/// Orders two values that are not NULL and have a common type. NULL sorts first.
pub(super) fn compare(a: &Value, b: &Value, case_sensitive: bool) -> Ordering {
    match (a, b) {
        (Value::Variant(_, a), b) => compare(a, b, case_sensitive),
        (a, Value::Variant(_, b)) => compare(a, b, case_sensitive),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::String(a), Value::String(b)) if case_sensitive => {
            a.trim_end_matches(' ').cmp(b.trim_end_matches(' '))
        }
        (Value::String(a), Value::String(b)) => fold(a).cmp(&fold(b)),
        (Value::Binary(a), Value::Binary(b)) => {
            // Binary values compare as if padded with zeros.
            let length = a.len().max(b.len());
            let byte = |bytes: &[u8], i: usize| bytes.get(i).copied().unwrap_or(0);
            (0..length)
                .map(|i| byte(a, i).cmp(&byte(b, i)))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        }
        (Value::Uuid(a), Value::Uuid(b)) => uuid_order(a).cmp(&uuid_order(b)),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        (Value::DateTimeOffset { utc: a, .. }, Value::DateTimeOffset { utc: b, .. }) => a.cmp(b),
        (a, b) => match (exact(a), exact(b)) {
            (Some((x, xs)), Some((y, ys))) => {
                let scale = xs.max(ys);
                match (rescale(x, xs, scale), rescale(y, ys, scale)) {
                    (Some(x), Some(y)) => x.cmp(&y),
                    _ => (x as f64 / 10f64.powi(i32::from(xs)))
                        .total_cmp(&(y as f64 / 10f64.powi(i32::from(ys)))),
                }
            }
            _ => match (float(a), float(b)) {
                (Some(x), Some(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
                _ => family(a).cmp(&family(b)),
            },
        },
    }
}

/// SQL Server orders identifiers by their last six bytes first.
fn uuid_order(uuid: &Uuid) -> [u8; 16] {
    let b = uuid.to_bytes_le();
    [
        b[10], b[11], b[12], b[13], b[14], b[15], b[8], b[9], b[6], b[7], b[4], b[5], b[0], b[1],
        b[2], b[3],
    ]
}

/// Families of a `sql_variant`, which order values of different kinds.
fn family(value: &Value) -> u8 {
    match value {
        Value::DateTimeOffset { .. } | Value::DateTime(_) | Value::Date(_) | Value::Time(_) => 5,
        Value::Float(_) | Value::Real(_) => 4,
        Value::String(_) => 2,
        Value::Binary(_) => 1,
        Value::Uuid(_) => 0,
        _ => 3,
    }
}

/// A key under which equal values meet, for DISTINCT, GROUP BY and hash joins.
pub(super) fn hash_key(value: &Value) -> String {
    match value {
        Value::Variant(_, inner) => hash_key(inner),
        Value::Null => "0".to_string(),
        Value::String(s) => format!("s{}", fold(s)),
        Value::Binary(b) => {
            let end = b.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
            format!("b{:?}", &b[..end])
        }
        Value::Uuid(u) => format!("u{u}"),
        Value::Date(d) => format!("d{d}"),
        Value::Time(t) => format!("t{t}"),
        Value::DateTime(d) => format!("m{d}"),
        Value::DateTimeOffset { utc, .. } => format!("o{utc}"),
        Value::Float(f) => format!("f{}", f + 0.0),
        Value::Real(f) => format!("f{}", f64::from(*f) + 0.0),
        other => match exact(other) {
            Some((mut n, mut scale)) => {
                while scale > 0 && n % 10 == 0 {
                    n /= 10;
                    scale -= 1;
                }
                format!("n{n}.{scale}")
            }
            None => String::new(),
        },
    }
}
