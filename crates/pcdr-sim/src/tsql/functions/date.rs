//! Functions of dates and times, applied to values. NULL in gives NULL out.

use super::{Applied, number, string};
use crate::message::SqlFailure;
use crate::tsql::convert::integer;
use crate::tsql::failures::error;
use crate::tsql::moments;
use crate::tsql::moments::Part;
use crate::value::{SqlType, Value};

pub(super) fn part_of(values: &[Value]) -> Option<Part> {
    string(values, 0).and_then(moments::part)
}

pub(super) fn date_part(values: &[Value]) -> Applied {
    Ok(part_of(values)
        .and_then(|part| moments::date_part(part, &values[1]))
        .map_or(Value::Null, Value::Int))
}

pub(super) fn date_name(values: &[Value]) -> Applied {
    Ok(part_of(values)
        .and_then(|part| moments::date_name(part, &values[1]))
        .map_or(Value::Null, Value::string))
}

pub(super) fn date_add(values: &[Value]) -> Applied {
    match (part_of(values), number(values, 1)) {
        (Some(part), Some(amount)) if !values[2].is_null() => {
            moments::date_add(part, amount, &values[2])
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn difference(values: &[Value]) -> Option<i64> {
    moments::date_diff(part_of(values)?, &values[1], &values[2])
}

pub(super) fn date_diff(values: &[Value]) -> Applied {
    match difference(values) {
        None => Ok(Value::Null),
        Some(n) => i32::try_from(n).map(Value::Int).map_err(|_| {
            error(
                535,
                16,
                "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.",
            )
            .with_state(0)
        }),
    }
}

pub(super) fn date_diff_big(values: &[Value]) -> Applied {
    Ok(difference(values).map_or(Value::Null, Value::BigInt))
}

pub(super) fn end_of_month(values: &[Value]) -> Applied {
    match number(values, 1) {
        Some(months) if !values[0].is_null() => moments::end_of_month(&values[0], months),
        _ => Ok(Value::Null),
    }
}

pub(super) fn from_parts(
    values: &[Value],
    nanos_per_unit: i64,
) -> Option<Option<jiff::civil::DateTime>> {
    let mut parts = [0i64; 8];
    for (i, part) in parts.iter_mut().enumerate() {
        if i < values.len() {
            *part = number(values, i)?;
        }
    }
    let small = |n: i64| i8::try_from(n).ok();
    let build = || {
        let [y, mo, d, h, mi, s, fraction, _] = parts;
        let nanosecond = i32::try_from(fraction.checked_mul(nanos_per_unit)?).ok()?;
        jiff::civil::DateTime::new(
            i16::try_from(y).ok().filter(|y| *y >= 1)?,
            small(mo)?,
            small(d)?,
            small(h)?,
            small(mi)?,
            small(s)?,
            nanosecond,
        )
        .ok()
    };
    Some(build())
}

pub(super) fn not_a_date(name: &str) -> SqlFailure {
    error(
        289,
        16,
        format!(
            "Cannot construct data type {name}, some of the arguments have values which are not valid."
        ),
    )
}

pub(super) fn date_from_parts(values: &[Value]) -> Applied {
    match from_parts(values, 0) {
        None => Ok(Value::Null),
        Some(moment) => Ok(Value::Date(moment.ok_or_else(|| not_a_date("date"))?.date())),
    }
}

pub(super) fn datetime_from_parts(values: &[Value]) -> Applied {
    match from_parts(values, 1_000_000) {
        None => Ok(Value::Null),
        Some(moment) => {
            let moment = Value::DateTime(moment.ok_or_else(|| not_a_date("datetime"))?);
            crate::tsql::convert::cast(&moment, SqlType::DateTime2(7), SqlType::DateTime, None)
        }
    }
}

pub(super) fn datetime2_from_parts(values: &[Value]) -> Applied {
    let digits = number(values, 7).unwrap_or(7).clamp(0, 7);
    match from_parts(values, 10i64.pow(9 - digits as u32)) {
        None => Ok(Value::Null),
        Some(moment) => Ok(Value::DateTime(moment.ok_or_else(|| not_a_date("datetime2"))?)),
    }
}

/// Minutes of `+hh:mm`, or of a number.
pub(super) fn offset_minutes(value: &Value) -> Option<i16> {
    let minutes = match value {
        Value::String(s) => {
            let s = s.trim();
            let (sign, rest) = match s.as_bytes().first()? {
                b'-' => (-1, &s[1..]),
                b'+' => (1, &s[1..]),
                _ => return None,
            };
            let (hours, minutes) = rest.split_once(':')?;
            sign * (hours.parse::<i64>().ok()?.checked_mul(60)? + minutes.parse::<i64>().ok()?)
        }
        other => i64::try_from(integer(other)?).ok()?,
    };
    i16::try_from(minutes).ok().filter(|m| m.abs() <= 14 * 60)
}

pub(super) fn bad_zone() -> SqlFailure {
    error(9812, 16, "The timezone provided to builtin function todatetimeoffset is invalid.")
}

pub(super) fn switch_offset(values: &[Value]) -> Applied {
    match (&values[0], &values[1]) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::DateTimeOffset { utc, .. }, zone) => Ok(Value::DateTimeOffset {
            utc: *utc,
            offset_minutes: offset_minutes(zone).ok_or_else(bad_zone)?,
        }),
        _ => Ok(Value::Null),
    }
}

pub(super) fn to_offset(values: &[Value]) -> Applied {
    match (&values[0], &values[1]) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::DateTime(local), zone) => {
            let minutes = offset_minutes(zone).ok_or_else(bad_zone)?;
            let utc = moments::shift(*local, -i64::from(minutes)).ok_or_else(bad_zone)?;
            Ok(Value::DateTimeOffset { utc, offset_minutes: minutes })
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn zone(values: &[Value]) -> Result<Option<Value>, SqlFailure> {
    let Some(name) = string(values, 1) else {
        return Ok(None);
    };
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(Some(Value::BigInt(0)));
    }
    Err(error(
        9820,
        16,
        format!("The time zone parameter '{name}' provided to AT TIME ZONE clause is invalid."),
    ))
}

pub(super) fn zone_switch(values: &[Value]) -> Applied {
    match zone(values)? {
        Some(offset) => switch_offset(&[values[0].clone(), offset]),
        None => Ok(Value::Null),
    }
}

pub(super) fn zone_attach(values: &[Value]) -> Applied {
    match zone(values)? {
        Some(offset) => to_offset(&[values[0].clone(), offset]),
        None => Ok(Value::Null),
    }
}
