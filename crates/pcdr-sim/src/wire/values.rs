//! Values as the wire carries them, both ways.
//!
//! Source: \[MS-TDS\] 2.2.5.5.

use uuid::Uuid;

use super::cursor::{Cursor, to_utf16, utf16};
use super::types::{self, Form, TypeInfo, token};
use super::{WireError, calendar, collation};
use crate::value::{Length, SqlType, Value};

/// Longest character or binary value outside of the `max` types, in bytes.
const LONGEST: usize = 8000;
/// A text pointer and its timestamp; clients skip both.
const TEXT_POINTER: [u8; 25] = {
    let mut pointer = [0; 25];
    pointer[0] = 16;
    pointer
};

/// Appends a value as a column or parameter of this type carries it. `what` names it in errors.
///
/// Numbers widen and numerics take the declared scale; nothing else is converted.
pub(super) fn write(
    out: &mut Vec<u8>,
    what: &str,
    ty: SqlType,
    value: &Value,
) -> Result<(), WireError> {
    // A sql_variant's content may stand where its base type is declared.
    let value = match (ty, value) {
        (SqlType::Variant, value) => value,
        (_, Value::Variant(_, content)) => content,
        (_, value) => value,
    };
    if value.is_null() {
        write_null(out, ty);
        return Ok(());
    }
    let mismatch = || WireError::Mismatch {
        what: what.to_owned(),
        declared: format!("{ty:?}"),
        found: format!("{value:?}").chars().take(200).collect(),
    };
    match ty {
        SqlType::Variant => write_variant(out, value).ok_or_else(mismatch),
        SqlType::Char(_)
        | SqlType::VarChar(_)
        | SqlType::NChar(_)
        | SqlType::NVarChar(_)
        | SqlType::Binary(_)
        | SqlType::VarBinary(_)
        | SqlType::Xml
        | SqlType::Text
        | SqlType::NText
        | SqlType::Image => {
            let bytes = string_bytes(ty, value).ok_or_else(mismatch)?;
            match ty {
                SqlType::Text | SqlType::NText | SqlType::Image => {
                    out.extend(TEXT_POINTER);
                    out.extend((bytes.len() as u32).to_le_bytes());
                    out.extend(bytes);
                }
                SqlType::VarChar(Length::Max)
                | SqlType::NVarChar(Length::Max)
                | SqlType::VarBinary(Length::Max)
                | SqlType::Xml => write_chunks(out, &bytes),
                _ if bytes.len() > LONGEST => return Err(mismatch()),
                _ => {
                    out.extend((bytes.len() as u16).to_le_bytes());
                    out.extend(bytes);
                }
            }
            Ok(())
        }
        _ => {
            let start = out.len();
            out.push(0);
            write_scalar(out, ty, value).ok_or_else(mismatch)?;
            out[start] = (out.len() - start - 1) as u8;
            Ok(())
        }
    }
}

fn write_null(out: &mut Vec<u8>, ty: SqlType) {
    match ty {
        SqlType::VarChar(Length::Max)
        | SqlType::NVarChar(Length::Max)
        | SqlType::VarBinary(Length::Max)
        | SqlType::Xml => out.extend(u64::MAX.to_le_bytes()),
        SqlType::Char(_)
        | SqlType::VarChar(_)
        | SqlType::NChar(_)
        | SqlType::NVarChar(_)
        | SqlType::Binary(_)
        | SqlType::VarBinary(_) => out.extend(u16::MAX.to_le_bytes()),
        SqlType::Variant => out.extend(0_u32.to_le_bytes()),
        _ => out.push(0),
    }
}

fn write_chunks(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_le_bytes());
    for chunk in bytes.chunks(32 << 10) {
        out.extend((chunk.len() as u32).to_le_bytes());
        out.extend_from_slice(chunk);
    }
    out.extend(0_u32.to_le_bytes());
}

/// The bytes of a character or binary value, padded where the type has a fixed length.
fn string_bytes(ty: SqlType, value: &Value) -> Option<Vec<u8>> {
    let mut bytes = match (ty, value) {
        (SqlType::Char(_) | SqlType::VarChar(_) | SqlType::Text, Value::String(text)) => {
            collation::encode(text)
        }
        (
            SqlType::NChar(_) | SqlType::NVarChar(_) | SqlType::NText | SqlType::Xml,
            Value::String(text),
        ) => to_utf16(text),
        (SqlType::Binary(_) | SqlType::VarBinary(_) | SqlType::Image, Value::Binary(bytes)) => {
            bytes.to_vec()
        }
        _ => return None,
    };
    let (length, padding): (usize, &[u8]) = match ty {
        SqlType::Char(length) => (length.into(), b" "),
        SqlType::NChar(length) => (usize::from(length) * 2, b" \0"),
        SqlType::Binary(length) => (length.into(), b"\0"),
        _ => (0, b"\0"),
    };
    while bytes.len() < length.min(LONGEST) {
        bytes.extend_from_slice(padding);
    }
    Some(bytes)
}

/// A number that is whole, for widening.
fn whole(value: &Value) -> Option<i128> {
    Some(match value {
        Value::Bit(bit) => i128::from(*bit),
        Value::TinyInt(number) => (*number).into(),
        Value::SmallInt(number) => (*number).into(),
        Value::Int(number) => (*number).into(),
        Value::BigInt(number) => (*number).into(),
        _ => return None,
    })
}

/// The bytes of a value of a type of fixed length, without that length.
fn write_scalar(out: &mut Vec<u8>, ty: SqlType, value: &Value) -> Option<()> {
    match (ty, value) {
        (SqlType::Bit, _) => out.push(u8::from(whole(value)? != 0)),
        (SqlType::TinyInt, _) => out.push(u8::try_from(whole(value)?).ok()?),
        (SqlType::SmallInt, _) => out.extend(i16::try_from(whole(value)?).ok()?.to_le_bytes()),
        (SqlType::Int, _) => out.extend(i32::try_from(whole(value)?).ok()?.to_le_bytes()),
        (SqlType::BigInt, _) => out.extend(i64::try_from(whole(value)?).ok()?.to_le_bytes()),
        (SqlType::Real, Value::Real(number)) => out.extend(number.to_le_bytes()),
        (SqlType::Float, Value::Float(number)) => out.extend(number.to_le_bytes()),
        (SqlType::Float, Value::Real(number)) => out.extend(f64::from(*number).to_le_bytes()),
        (SqlType::Float, _) => out.extend((whole(value)? as f64).to_le_bytes()),
        (SqlType::Money, Value::Money(ten_thousandths)) => {
            out.extend(((ten_thousandths >> 32) as i32).to_le_bytes());
            out.extend((*ten_thousandths as u32).to_le_bytes());
        }
        (SqlType::Money, _) => {
            let money = i64::try_from(whole(value)?.checked_mul(10_000)?).ok()?;
            write_scalar(out, ty, &Value::Money(money))?;
        }
        (SqlType::Numeric { precision, scale }, _) => {
            let unscaled = match value {
                Value::Numeric { unscaled, scale: given } => rescale(*unscaled, *given, scale)?,
                _ => rescale(whole(value)?, 0, scale)?,
            };
            let length = usize::from(types::numeric_length(precision) - 1);
            let magnitude = unscaled.unsigned_abs().to_le_bytes();
            if magnitude[length..].iter().any(|byte| *byte != 0) {
                return None;
            }
            out.push(u8::from(unscaled >= 0));
            out.extend_from_slice(&magnitude[..length]);
        }
        (SqlType::UniqueIdentifier, Value::Uuid(uuid)) => out.extend(uuid.to_bytes_le()),
        (SqlType::Date, Value::Date(date)) => push_days(out, calendar::date_days(*date)?),
        (SqlType::Time(scale), Value::Time(time)) => {
            push_ticks(out, calendar::time_ticks(*time, scale), scale);
        }
        (SqlType::SmallDateTime, Value::DateTime(at)) => {
            let (days, minutes) = calendar::smalldatetime(*at)?;
            out.extend(days.to_le_bytes());
            out.extend(minutes.to_le_bytes());
        }
        (SqlType::DateTime, Value::DateTime(at)) => {
            let (days, ticks) = calendar::datetime(*at)?;
            out.extend(days.to_le_bytes());
            out.extend(ticks.to_le_bytes());
        }
        (SqlType::DateTime2(scale), Value::DateTime(at)) => {
            push_ticks(out, calendar::time_ticks(at.time(), scale), scale);
            push_days(out, calendar::date_days(at.date())?);
        }
        (SqlType::DateTimeOffset(scale), Value::DateTimeOffset { utc, offset_minutes }) => {
            push_ticks(out, calendar::time_ticks(utc.time(), scale), scale);
            push_days(out, calendar::date_days(utc.date())?);
            out.extend(offset_minutes.to_le_bytes());
        }
        _ => return None,
    }
    Some(())
}

fn push_days(out: &mut Vec<u8>, days: u32) {
    out.extend_from_slice(&days.to_le_bytes()[..3]);
}

fn push_ticks(out: &mut Vec<u8>, ticks: u64, scale: u8) {
    out.extend_from_slice(&ticks.to_le_bytes()[..calendar::time_length(scale).into()]);
}

/// Changes the scale of a numeric, rounding half away from zero as SQL Server does.
fn rescale(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    let factor = 10_i128.checked_pow(u32::from(from.abs_diff(to)))?;
    if to >= from {
        return unscaled.checked_mul(factor);
    }
    let half = (factor / 2) * unscaled.signum();
    Some(unscaled.checked_add(half)? / factor)
}

fn write_variant(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    let (ty, content) = match value {
        Value::Variant(ty, content) => (*ty, content.as_ref()),
        bare => (bare.base_type()?, bare),
    };
    let mut body = Vec::new();
    let characters = |body: &mut Vec<u8>, token: u8, length: u16| {
        body.extend([token, 7]);
        body.extend(collation::BYTES);
        body.extend(length.to_le_bytes());
    };
    let limit = |length: Length, bytes_per_character: u16| match length {
        Length::Up(count) => count.saturating_mul(bytes_per_character).min(8000),
        Length::Max => 8000,
    };
    match ty {
        SqlType::Bit => body.extend([token::BIT, 0]),
        SqlType::TinyInt => body.extend([token::INT1, 0]),
        SqlType::SmallInt => body.extend([token::INT2, 0]),
        SqlType::Int => body.extend([token::INT4, 0]),
        SqlType::BigInt => body.extend([token::INT8, 0]),
        SqlType::Real => body.extend([token::REAL, 0]),
        SqlType::Float => body.extend([token::FLOAT, 0]),
        SqlType::Money => body.extend([token::MONEY, 0]),
        SqlType::DateTime => body.extend([token::DATETIME, 0]),
        SqlType::SmallDateTime => body.extend([token::SMALLDATETIME, 0]),
        SqlType::UniqueIdentifier => body.extend([token::GUID, 0]),
        SqlType::Date => body.extend([token::DATE, 0]),
        SqlType::Time(scale) => body.extend([token::TIME, 1, scale]),
        SqlType::DateTime2(scale) => body.extend([token::DATETIME2, 1, scale]),
        SqlType::DateTimeOffset(scale) => body.extend([token::DATETIMEOFFSET, 1, scale]),
        SqlType::Numeric { precision, scale } => {
            body.extend([token::NUMERIC, 2, precision, scale]);
        }
        SqlType::Char(length) => characters(&mut body, token::CHAR, length),
        SqlType::VarChar(length) => characters(&mut body, token::VARCHAR, limit(length, 1)),
        SqlType::NChar(length) => characters(&mut body, token::NCHAR, length.saturating_mul(2)),
        SqlType::NVarChar(length) => characters(&mut body, token::NVARCHAR, limit(length, 2)),
        SqlType::Binary(length) => {
            body.extend([token::BINARY, 2]);
            body.extend(length.to_le_bytes());
        }
        SqlType::VarBinary(length) => {
            body.extend([token::VARBINARY, 2]);
            body.extend(limit(length, 1).to_le_bytes());
        }
        SqlType::Variant | SqlType::Xml | SqlType::Text | SqlType::NText | SqlType::Image => {
            return None;
        }
    }
    match string_bytes(ty, content) {
        Some(bytes) if bytes.len() > LONGEST => return None,
        Some(bytes) => body.extend(bytes),
        None => write_scalar(&mut body, ty, content)?,
    }
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(body);
    Some(())
}

/// Reads the value that follows a TYPE_INFO.
pub(super) fn read(from: &mut Cursor<'_>, info: TypeInfo) -> Result<Value, WireError> {
    let bytes = match info.form {
        Form::Fixed(0) => return Ok(Value::Null),
        Form::Fixed(length) => from.take(length.into())?,
        Form::Byte => match from.u8()? {
            0 => return Ok(Value::Null),
            length => from.take(length.into())?,
        },
        Form::OldByte => {
            let length = from.u8()?;
            from.take(length.into())?
        }
        Form::Short => match from.u16()? {
            u16::MAX => return Ok(Value::Null),
            length => from.take(length.into())?,
        },
        Form::Long if info.ty == SqlType::Variant => match from.u32()? {
            0 => return Ok(Value::Null),
            length => return read_variant(from.take(length as usize)?),
        },
        Form::Long => match from.u32()? {
            u32::MAX => return Ok(Value::Null),
            length => from.take(length as usize)?,
        },
        Form::Chunks => {
            return match read_chunks(from)? {
                None => Ok(Value::Null),
                Some(bytes) => content(info.ty, info.collation, &bytes),
            };
        }
    };
    content(info.ty, info.collation, bytes)
}

/// A value in chunks: a total length, which may be unknown, then chunks until an empty one.
fn read_chunks(from: &mut Cursor<'_>) -> Result<Option<Vec<u8>>, WireError> {
    const UNKNOWN: u64 = u64::MAX - 1;
    let total = from.u64()?;
    if total == u64::MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        match from.u32()? {
            0 => break,
            length => bytes.extend_from_slice(from.take(length as usize)?),
        }
    }
    if total != UNKNOWN && total != bytes.len() as u64 {
        return Err(
            from.fail(format!("{total} bytes in chunks were announced, {} were sent", bytes.len()))
        );
    }
    Ok(Some(bytes))
}

fn content(ty: SqlType, collation: [u8; 5], bytes: &[u8]) -> Result<Value, WireError> {
    let mut from = Cursor::new("value", bytes);
    let wrong = |why: &str| {
        WireError::malformed("value", format!("{} bytes are no {ty:?}: {why}", bytes.len()))
    };
    let outside = || wrong("it lies outside of the calendar");
    let value = match ty {
        SqlType::Bit => Value::Bit(from.u8()? != 0),
        SqlType::TinyInt => Value::TinyInt(from.u8()?),
        SqlType::SmallInt => Value::SmallInt(from.i16()?),
        SqlType::Int => Value::Int(from.i32()?),
        SqlType::BigInt => Value::BigInt(from.u64()? as i64),
        SqlType::Real => Value::Real(f32::from_bits(from.u32()?)),
        SqlType::Float => Value::Float(f64::from_bits(from.u64()?)),
        SqlType::Money if bytes.len() == 4 => Value::Money(from.i32()?.into()),
        SqlType::Money => {
            let high = i64::from(from.i32()?) << 32;
            Value::Money(high | i64::from(from.u32()?))
        }
        SqlType::Numeric { scale, .. } => {
            let is_positive = from.u8()? != 0;
            let magnitude = from.rest();
            let mut buffer = [0; 16];
            buffer
                .get_mut(..magnitude.len())
                .ok_or_else(|| wrong("it is too long"))?
                .copy_from_slice(magnitude);
            let unscaled = i128::try_from(u128::from_le_bytes(buffer))
                .map_err(|_too_large| wrong("it has more than 38 digits"))?;
            Value::Numeric { unscaled: if is_positive { unscaled } else { -unscaled }, scale }
        }
        SqlType::Char(_) | SqlType::VarChar(_) | SqlType::Text => {
            Value::string(collation::decode(collation, from.rest()))
        }
        SqlType::NChar(_) | SqlType::NVarChar(_) | SqlType::NText | SqlType::Xml => {
            let text = from.rest();
            if !text.len().is_multiple_of(2) {
                return Err(wrong("UTF-16 needs an even number"));
            }
            let text = utf16(text);
            Value::string(match ty {
                SqlType::Xml => text.trim_start_matches('\u{feff}'),
                _ => &text,
            })
        }
        SqlType::Binary(_) | SqlType::VarBinary(_) | SqlType::Image => {
            Value::Binary(from.rest().into())
        }
        SqlType::UniqueIdentifier => {
            let mut id = [0; 16];
            id.copy_from_slice(from.take(16)?);
            Value::Uuid(Uuid::from_bytes_le(id))
        }
        SqlType::Date => Value::Date(calendar::date(days(&mut from)?).ok_or_else(outside)?),
        SqlType::Time(scale) => {
            let ticks = ticks(&mut from, bytes.len())?;
            Value::Time(calendar::time(ticks, scale).ok_or_else(outside)?)
        }
        SqlType::SmallDateTime => {
            let (days, minutes) = (from.u16()?, from.u16()?);
            Value::DateTime(calendar::from_smalldatetime(days, minutes).ok_or_else(outside)?)
        }
        SqlType::DateTime => {
            let (days, ticks) = (from.i32()?, from.u32()?);
            Value::DateTime(calendar::from_datetime(days, ticks).ok_or_else(outside)?)
        }
        SqlType::DateTime2(scale) => {
            let ticks = ticks(&mut from, bytes.len().saturating_sub(3))?;
            let time = calendar::time(ticks, scale).ok_or_else(outside)?;
            let date = calendar::date(days(&mut from)?).ok_or_else(outside)?;
            Value::DateTime(date.to_datetime(time))
        }
        SqlType::DateTimeOffset(scale) => {
            let ticks = ticks(&mut from, bytes.len().saturating_sub(5))?;
            let time = calendar::time(ticks, scale).ok_or_else(outside)?;
            let date = calendar::date(days(&mut from)?).ok_or_else(outside)?;
            let offset_minutes = from.i16()?;
            if !(-840..=840).contains(&offset_minutes) {
                return Err(wrong("its offset is more than 14 hours"));
            }
            Value::DateTimeOffset { utc: date.to_datetime(time), offset_minutes }
        }
        SqlType::Variant => return Err(wrong("a sql_variant cannot be nested")),
    };
    if !from.is_empty() {
        return Err(wrong("that is too many"));
    }
    Ok(value)
}

fn days(from: &mut Cursor<'_>) -> Result<u32, WireError> {
    let bytes = from.take(3)?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]))
}

fn ticks(from: &mut Cursor<'_>, length: usize) -> Result<u64, WireError> {
    if !(3..=5).contains(&length) {
        return Err(from.fail(format!("a time takes 3 to 5 bytes, not {length}")));
    }
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(from.take(length)?);
    Ok(u64::from_le_bytes(bytes))
}

/// The content of a `sql_variant`: base type, properties, value.
fn read_variant(bytes: &[u8]) -> Result<Value, WireError> {
    let mut from = Cursor::new("sql_variant", bytes);
    let base = from.u8()?;
    let length = from.u8()?;
    let mut properties = Cursor::new("sql_variant", from.take(length.into())?);
    let mut characters = collation::BYTES;
    let ty = match base {
        token::BIT => SqlType::Bit,
        token::INT1 => SqlType::TinyInt,
        token::INT2 => SqlType::SmallInt,
        token::INT4 => SqlType::Int,
        token::INT8 => SqlType::BigInt,
        token::REAL => SqlType::Real,
        token::FLOAT => SqlType::Float,
        token::MONEY | token::SMALLMONEY => SqlType::Money,
        token::DATETIME => SqlType::DateTime,
        token::SMALLDATETIME => SqlType::SmallDateTime,
        token::GUID => SqlType::UniqueIdentifier,
        token::DATE => SqlType::Date,
        token::TIME => SqlType::Time(scale(&mut properties)?),
        token::DATETIME2 => SqlType::DateTime2(scale(&mut properties)?),
        token::DATETIMEOFFSET => SqlType::DateTimeOffset(scale(&mut properties)?),
        token::NUMERIC | token::DECIMAL => {
            let (precision, scale) = (properties.u8()?, properties.u8()?);
            if !(1..=38).contains(&precision) || scale > precision {
                return Err(from.fail(format!("numeric({precision},{scale}) does not exist")));
            }
            SqlType::Numeric { precision, scale }
        }
        token::CHAR | token::VARCHAR | token::NCHAR | token::NVARCHAR => {
            characters.copy_from_slice(properties.take(5)?);
            let bytes = properties.u16()?;
            match base {
                token::CHAR => SqlType::Char(bytes),
                token::VARCHAR => SqlType::VarChar(Length::Up(bytes)),
                token::NCHAR => SqlType::NChar(bytes / 2),
                _ => SqlType::nvarchar(bytes / 2),
            }
        }
        token::BINARY => SqlType::Binary(properties.u16()?),
        token::VARBINARY => SqlType::VarBinary(Length::Up(properties.u16()?)),
        other => return Err(from.fail(format!("its base type {other:#04x} does not exist"))),
    };
    let value = content(ty, characters, from.rest())?;
    Ok(Value::Variant(ty, Box::new(value)))
}

fn scale(properties: &mut Cursor<'_>) -> Result<u8, WireError> {
    match properties.u8()? {
        scale @ 0..=7 => Ok(scale),
        scale => Err(properties.fail(format!("a time of scale {scale} does not exist"))),
    }
}
