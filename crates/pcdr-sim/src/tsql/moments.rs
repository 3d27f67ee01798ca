//! Dates and times: parsing, styles, parts and arithmetic.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

use super::convert::{exact, float, type_name};
use super::failures::error;
use super::language::{self, DateOrder};
use crate::message::SqlFailure;
use crate::value::{SqlType, Value};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;

/// Day zero of `datetime`.
fn epoch() -> DateTime {
    DateTime::constant(1900, 1, 1, 0, 0, 0, 0)
}

/// Nanoseconds since 1900-01-01.
fn nanos(moment: DateTime) -> i128 {
    moment.duration_since(epoch()).as_nanos()
}

fn from_nanos(nanos: i128) -> Option<DateTime> {
    // Two steps: jiff counts days from 1970, and refuses what from 1900 is more than it can count there.
    const DAYS_TO_1970: i128 = 25_567;
    let nanos = nanos.checked_sub(DAYS_TO_1970 * NANOS_PER_DAY)?;
    let seconds = i64::try_from(nanos.div_euclid(NANOS_PER_SECOND)).ok()?;
    let rest = nanos.rem_euclid(NANOS_PER_SECOND) as i32;
    let since_1970 = SignedDuration::new(seconds, rest);
    let moment = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).checked_add(since_1970).ok()?;
    (1..=9999).contains(&moment.year()).then_some(moment)
}

/// Days since 1900-01-01, with the time as a fraction.
pub(super) fn days_since_1900(value: &Value) -> f64 {
    match value {
        Value::DateTime(d) => nanos(*d) as f64 / NANOS_PER_DAY as f64,
        _ => 0.0,
    }
}

/// The moment `days` (with a fraction) after 1900-01-01.
fn from_days(days: f64) -> Option<DateTime> {
    from_nanos((days * NANOS_PER_DAY as f64).round() as i128)
}

fn round_digits(moment: DateTime, digits: u8) -> Option<DateTime> {
    let unit = 10i128.pow(9 - u32::from(digits.min(7)));
    let n = nanos(moment);
    from_nanos((n + unit / 2).div_euclid(unit) * unit)
}

/// `datetime` keeps three-hundredths of a second.
fn round_datetime(moment: DateTime) -> Option<DateTime> {
    let n = nanos(moment);
    let day = n.div_euclid(NANOS_PER_DAY);
    let ticks = (n.rem_euclid(NANOS_PER_DAY) * 300 + NANOS_PER_SECOND / 2) / NANOS_PER_SECOND;
    // Shown in milliseconds: .000, .003, .007.
    let milliseconds = (ticks * 10 + 1) / 3;
    let rounded = from_nanos(day * NANOS_PER_DAY + milliseconds * 1_000_000)?;
    (rounded.year() >= 1753).then_some(rounded)
}

fn out_of_range(from: SqlType, to: SqlType) -> SqlFailure {
    let mut failure = error(
        242,
        16,
        format!(
            "The conversion of a {} data type to a {} data type resulted in an out-of-range value.",
            type_name(from),
            type_name(to)
        ),
    );
    failure.0[0].state = 3;
    failure
}

fn unreadable() -> SqlFailure {
    error(241, 16, "Conversion failed when converting date and/or time from character string.")
}

/// Converts to a date or time type; `None` when the pair of types does not convert.
pub(super) fn cast(
    value: &Value,
    from: SqlType,
    to: SqlType,
    style: Option<i32>,
) -> Option<Result<Value, SqlFailure>> {
    let (local, offset, has_date) = match value {
        Value::String(text) => {
            let legacy = matches!(to, SqlType::DateTime | SqlType::SmallDateTime);
            match parse(text, style, legacy) {
                Ok(parsed) => (parsed.moment, parsed.offset, true),
                Err(Unreadable::NoSuchDay) if legacy => return Some(Err(out_of_range(from, to))),
                Err(_) => return Some(Err(unreadable())),
            }
        }
        Value::Date(d) => (d.to_datetime(Time::midnight()), None, true),
        Value::Time(t) => (epoch().date().to_datetime(*t), None, false),
        Value::DateTime(d) => (*d, None, true),
        Value::DateTimeOffset { utc, offset_minutes } => {
            (shift(*utc, i64::from(*offset_minutes))?, Some(*offset_minutes), true)
        }
        number if matches!(to, SqlType::DateTime | SqlType::SmallDateTime) => {
            let days = match exact(number) {
                Some((n, 0)) => n as f64,
                _ => float(number)?,
            };
            match from_days(days) {
                Some(moment) => (moment, None, true),
                None => {
                    return Some(Err(super::failures::overflow(type_name(to))));
                }
            }
        }
        _ => return None,
    };
    if !has_date && to == SqlType::Date {
        return None;
    }
    let rounded = match to {
        SqlType::Date => Some(Value::Date(local.date())),
        SqlType::Time(digits) => round_digits(local, digits).map(|m| Value::Time(m.time())),
        SqlType::DateTime2(digits) => round_digits(local, digits).map(Value::DateTime),
        SqlType::DateTime => round_datetime(local).map(Value::DateTime),
        SqlType::SmallDateTime => {
            let minute = 60 * NANOS_PER_SECOND;
            from_nanos((nanos(local) + minute / 2).div_euclid(minute) * minute)
                .filter(|m| (1900..=2079).contains(&m.year()))
                .map(Value::DateTime)
        }
        SqlType::DateTimeOffset(digits) => {
            let offset = offset.unwrap_or(0);
            round_digits(local, digits)
                .and_then(|m| shift(m, -i64::from(offset)))
                .map(|utc| Value::DateTimeOffset { utc, offset_minutes: offset })
        }
        _ => return None,
    };
    Some(rounded.ok_or_else(|| out_of_range(from, to)))
}

/// Moves a moment by minutes.
pub(super) fn shift(moment: DateTime, minutes: i64) -> Option<DateTime> {
    moment.checked_add(SignedDuration::from_mins(minutes)).ok()
}

struct ParsedMoment {
    moment: DateTime,
    offset: Option<i16>,
}

/// Why text is no moment.
enum Unreadable {
    Malformed,
    /// Numbers that stand in the right places and name no day or time.
    NoSuchDay,
}

/// Reads the forms that the session's date order and ISO 8601 allow; `legacy` for `datetime`, whose
/// dates with separators follow the session's order even when they begin with the year.
fn parse(text: &str, style: Option<i32>, legacy: bool) -> Result<ParsedMoment, Unreadable> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(ParsedMoment { moment: epoch(), offset: None });
    }
    let (date, rest) = parse_date(text, style, legacy)?;
    let (time, offset) = parse_time(rest.trim()).ok_or(Unreadable::Malformed)?;
    Ok(ParsedMoment { moment: date.to_datetime(time), offset })
}

/// The order of numbers in a style's date.
fn style_order(style: i32) -> Option<DateOrder> {
    Some(match style {
        1 | 10 | 22 | 101 | 110 => DateOrder::Mdy,
        3 | 4 | 5 | 13 | 103 | 104 | 105 | 113 => DateOrder::Dmy,
        2 | 11 | 20 | 21 | 23 | 25 | 102 | 111 | 120 | 121 | 126 | 127 => DateOrder::Ymd,
        _ => return None,
    })
}

fn parse_date(text: &str, style: Option<i32>, legacy: bool) -> Result<(Date, &str), Unreadable> {
    let number = |text: &str| text.parse::<i16>().map_err(|_| Unreadable::Malformed);
    // A year of two digits is one of 1950 to 2049; with four it is what it says.
    let make = |(y, m, d): (i16, i16, i16), short: bool| -> Result<Date, Unreadable> {
        let year = match y {
            0..=49 if short => y + 2000,
            50..=99 if short => y + 1900,
            _ => y,
        };
        let small = |n: i16| i8::try_from(n).map_err(|_| Unreadable::NoSuchDay);
        Date::new(year, small(m)?, small(d)?).map_err(|_| Unreadable::NoSuchDay)
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 8 {
        let parts = (number(&text[..4])?, number(&text[4..6])?, number(&text[6..8])?);
        return Ok((make(parts, false)?, text[8..].trim_start_matches('T')));
    }
    if digits == 6 && text.len() == 6 {
        let parts = (number(&text[..2])?, number(&text[2..4])?, number(&text[4..6])?);
        return Ok((make(parts, true)?, ""));
    }
    if digits == 4 && text.len() == 4 {
        return Ok((make((number(text)?, 1, 1), false)?, ""));
    }
    if digits > 0 && text[digits..].starts_with(':') {
        return Ok((epoch().date(), text));
    }
    let session = language::current();
    if digits > 0 && text[digits..].starts_with(['-', '/', '.']) {
        let end =
            text.find(|c: char| !(c.is_ascii_digit() || "-/.".contains(c))).unwrap_or(text.len());
        let parts: Vec<&str> = text[..end].split(['-', '/', '.']).collect();
        let [a, b, c] = parts[..] else { return Err(Unreadable::Malformed) };
        let rest = &text[end..];
        let iso = rest.starts_with(['T', 't']);
        let order = style.and_then(style_order).unwrap_or(session.order);
        let numbers = [number(a)?, number(b)?, number(c)?];
        let picked = if a.len() == 4 {
            // Only `datetime` reads the day before the month here.
            let day_first = legacy && !iso && order.day_first();
            if day_first { DateOrder::Ydm } else { DateOrder::Ymd }.pick(numbers)
        } else if c.len() == 4 {
            let order = if order.day_first() { DateOrder::Dmy } else { DateOrder::Mdy };
            order.pick(numbers)
        } else {
            order.pick(numbers)
        };
        return Ok((
            make(picked, a.len() < 3 && c.len() < 3)?,
            rest.strip_prefix(['T', 't']).unwrap_or(rest),
        ));
    }
    // `Nov 20 2026` and `20 Nov 2026`.
    let next = |text: &'_ str| -> (usize, usize) {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        let rest = text[end..].find(|c| c != ' ' && c != ',').map_or(text.len(), |i| end + i);
        (end, rest)
    };
    let (end, at) = next(text);
    let (first, text) = (&text[..end], &text[at..]);
    let (end, at) = next(text);
    let (second, text) = (&text[..end], &text[at..]);
    let (end, at) = next(text);
    let (year, rest) = (&text[..end], &text[at..]);
    let date = match (session.month_named(first), session.month_named(second)) {
        (Some(month), _) => make((number(year)?, month, number(second)?), year.len() < 3)?,
        (None, Some(month)) => make((number(year)?, month, number(first)?), year.len() < 3)?,
        _ => return Err(Unreadable::Malformed),
    };
    Ok((date, rest))
}

fn parse_time(text: &str) -> Option<(Time, Option<i16>)> {
    if text.is_empty() {
        return Some((Time::midnight(), None));
    }
    let upper = text.to_ascii_uppercase();
    let mut rest = upper.as_str();
    let mut offset = None;
    if let Some(stripped) = rest.strip_suffix('Z') {
        offset = Some(0);
        rest = stripped.trim_end();
    } else if let Some(at) = rest.rfind(['+', '-']) {
        let (hours, minutes) = rest[at + 1..].split_once(':')?;
        let minutes = hours.parse::<i16>().ok()?.checked_mul(60)? + minutes.parse::<i16>().ok()?;
        if minutes > 14 * 60 {
            return None;
        }
        offset = Some(if rest[at..].starts_with('-') { -minutes } else { minutes });
        rest = rest[..at].trim_end();
    }
    let mut half = None;
    for (suffix, afternoon) in [("AM", false), ("PM", true)] {
        if let Some(stripped) = rest.strip_suffix(suffix) {
            half = Some(afternoon);
            rest = stripped.trim_end();
            break;
        }
    }
    let mut parts = rest.splitn(3, ':');
    let mut hour: i8 = parts.next()?.parse().ok()?;
    let minute: i8 = match parts.next() {
        Some(minute) => minute.parse().ok()?,
        None if half.is_some() => 0,
        None => return None,
    };
    let seconds = parts.next().unwrap_or("0");
    let (second, fraction) = seconds.split_once(['.', ':']).unwrap_or((seconds, ""));
    let second: i8 = second.parse().ok()?;
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanosecond: i32 = format!("{fraction:0<9}").parse().ok()?;
    match half {
        Some(afternoon) if (1..=12).contains(&hour) => {
            hour = hour % 12 + if afternoon { 12 } else { 0 };
        }
        Some(_) => return None,
        None => {}
    }
    Some((Time::new(hour, minute, second, nanosecond).ok()?, offset))
}

fn fraction(time: Time, digits: u8) -> String {
    let digits = usize::from(digits);
    if digits == 0 {
        return String::new();
    }
    let all = format!("{:09}", time.subsec_nanosecond());
    format!(".{}", &all[..digits.min(9)])
}

fn offset_text(minutes: i16) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// A date or time as text in a CONVERT style.
pub(super) fn format(value: &Value, ty: SqlType, style: Option<i32>) -> String {
    let (moment, offset) = match value {
        Value::Date(d) => (d.to_datetime(Time::midnight()), None),
        Value::Time(t) => (epoch().date().to_datetime(*t), None),
        Value::DateTime(d) => (*d, None),
        Value::DateTimeOffset { utc, offset_minutes } => {
            (shift(*utc, i64::from(*offset_minutes)).unwrap_or(*utc), Some(*offset_minutes))
        }
        _ => return String::new(),
    };
    let digits = match ty {
        SqlType::Time(n) | SqlType::DateTime2(n) | SqlType::DateTimeOffset(n) => n,
        SqlType::SmallDateTime => 0,
        _ => 3,
    };
    let legacy = matches!(ty, SqlType::DateTime | SqlType::SmallDateTime);
    let style = style.unwrap_or(if legacy { 0 } else { 121 });
    let (date, time) = (moment.date(), moment.time());
    let (y, m, d) = (date.year(), date.month(), date.day());
    let (h, mi, s) = (time.hour(), time.minute(), time.second());
    let month = language::current().short_month(m);
    let clock = format!("{h:02}:{mi:02}:{s:02}");
    let hour12 = if h % 12 == 0 { 12 } else { h % 12 };
    let half = if h < 12 { "AM" } else { "PM" };
    let suffix = offset.map_or_else(String::new, |o| format!(" {}", offset_text(o)));
    let only_date = ty == SqlType::Date;
    let only_time = matches!(ty, SqlType::Time(_));
    let both = |date: String, time: String| {
        if only_date {
            date
        } else if only_time {
            time
        } else {
            format!("{date} {time}{suffix}")
        }
    };
    let y2 = y % 100;
    match style {
        2 => format!("{y2:02}.{m:02}.{d:02}"),
        4 => format!("{d:02}.{m:02}.{y2:02}"),
        5 => format!("{d:02}-{m:02}-{y2:02}"),
        6 => format!("{d:02} {month} {y2:02}"),
        7 => format!("{month} {d:02}, {y2:02}"),
        10 => format!("{m:02}-{d:02}-{y2:02}"),
        11 => format!("{y2:02}/{m:02}/{d:02}"),
        22 => both(format!("{m:02}/{d:02}/{y2:02}"), format!("{hour12:>2}:{mi:02}:{s:02} {half}")),
        1 => format!("{m:02}/{d:02}/{y2:02}"),
        101 => format!("{m:02}/{d:02}/{y}"),
        102 => format!("{y}.{m:02}.{d:02}"),
        3 => format!("{d:02}/{m:02}/{y2:02}"),
        103 => format!("{d:02}/{m:02}/{y}"),
        104 => format!("{d:02}.{m:02}.{y}"),
        105 => format!("{d:02}-{m:02}-{y}"),
        106 => format!("{d:02} {month} {y}"),
        107 => format!("{month} {d:02}, {y}"),
        8 | 108 | 24 => clock,
        110 => format!("{m:02}-{d:02}-{y}"),
        111 => format!("{y}/{m:02}/{d:02}"),
        12 => format!("{y2:02}{m:02}{d:02}"),
        112 => format!("{y}{m:02}{d:02}"),
        13 | 113 => both(
            format!("{d:02} {month} {y}"),
            format!("{clock}{}", fraction(time, digits).replacen('.', ":", usize::from(legacy))),
        ),
        14 | 114 => {
            format!("{clock}{}", fraction(time, digits).replacen('.', ":", usize::from(legacy)))
        }
        20 | 120 => both(format!("{y:04}-{m:02}-{d:02}"), clock),
        21 | 121 | 25 => both(
            format!("{y:04}-{m:02}-{d:02}"),
            format!("{clock}{}", fraction(time, if legacy { 3 } else { digits })),
        ),
        23 => format!("{y:04}-{m:02}-{d:02}"),
        126 | 127 => {
            // Trailing zeros: `datetime` leaves the fraction out only when it is zero.
            let fraction = if legacy && time.subsec_nanosecond() == 0 {
                String::new()
            } else {
                fraction(time, digits)
            };
            let zone = match (style, offset) {
                (126, Some(o)) => offset_text(o),
                (127, Some(_)) => "Z".to_string(),
                _ => String::new(),
            };
            if only_date {
                format!("{y:04}-{m:02}-{d:02}")
            } else if only_time {
                format!("{clock}{fraction}")
            } else if style == 127 && offset.is_some() {
                let utc = shift(moment, -i64::from(offset.unwrap_or(0))).unwrap_or(moment);
                format!("{}T{}{fraction}Z", utc.date(), {
                    let t = utc.time();
                    format!("{:02}:{:02}:{:02}", t.hour(), t.minute(), t.second())
                })
            } else {
                format!("{y:04}-{m:02}-{d:02}T{clock}{fraction}{zone}")
            }
        }
        9 | 109 => both(
            format!("{month} {d:>2} {y}"),
            format!(
                "{hour12:>2}:{mi:02}:{s:02}{}{half}",
                fraction(time, digits).replacen('.', ":", usize::from(legacy))
            ),
        ),
        _ => both(format!("{month} {d:>2} {y}"), format!("{hour12:>2}:{mi:02}{half}")),
    }
}

/// Whether a date or time has a text in this CONVERT style. The Hijri styles 130 and 131 are not known
/// here.
///
/// Source: Transact-SQL reference, "CAST and CONVERT", "Date and time styles".
pub(super) fn is_style(style: i32) -> bool {
    matches!(style, 0..=14 | 20..=25 | 100..=114 | 120 | 121 | 126 | 127)
}

/// A part of a date, by any of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    IsoWeek,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    Offset,
}

/// Source: Transact-SQL reference, "DATEPART", the table of parts and abbreviations.
pub(super) fn part(name: &str) -> Option<Part> {
    Some(match name.to_ascii_lowercase().as_str() {
        "year" | "yy" | "yyyy" => Part::Year,
        "quarter" | "qq" | "q" => Part::Quarter,
        "month" | "mm" | "m" => Part::Month,
        "dayofyear" | "dy" | "y" => Part::DayOfYear,
        "day" | "dd" | "d" => Part::Day,
        "week" | "wk" | "ww" => Part::Week,
        "iso_week" | "isowk" | "isoww" => Part::IsoWeek,
        "weekday" | "dw" => Part::Weekday,
        "hour" | "hh" => Part::Hour,
        "minute" | "mi" | "n" => Part::Minute,
        "second" | "ss" | "s" => Part::Second,
        "millisecond" | "ms" => Part::Millisecond,
        "microsecond" | "mcs" => Part::Microsecond,
        "nanosecond" | "ns" => Part::Nanosecond,
        "tzoffset" | "tz" => Part::Offset,
        _ => return None,
    })
}

/// A value's local date and time.
pub(super) fn local(value: &Value) -> Option<DateTime> {
    match value {
        Value::Date(d) => Some(d.to_datetime(Time::midnight())),
        Value::Time(t) => Some(epoch().date().to_datetime(*t)),
        Value::DateTime(d) => Some(*d),
        Value::DateTimeOffset { utc, offset_minutes } => shift(*utc, i64::from(*offset_minutes)),
        _ => None,
    }
}

fn sunday_offset(date: Date) -> i32 {
    i32::from(date.weekday().to_sunday_zero_offset())
}

fn week(date: Date) -> i32 {
    let first = Date::new(date.year(), 1, 1).unwrap_or(date);
    (i32::from(date.day_of_year()) - 1 + week_offset(first)) / 7 + 1
}

/// Days since the first day of the week, as DATEFIRST has it.
fn week_offset(date: Date) -> i32 {
    (sunday_offset(date) - i32::from(language::current().first_weekday)).rem_euclid(7)
}

/// `DATEPART`.
pub(super) fn date_part(part: Part, value: &Value) -> Option<i32> {
    let moment = local(value)?;
    let (date, time) = (moment.date(), moment.time());
    let nanosecond = time.subsec_nanosecond();
    Some(match part {
        Part::Year => i32::from(date.year()),
        Part::Quarter => (i32::from(date.month()) - 1) / 3 + 1,
        Part::Month => i32::from(date.month()),
        Part::DayOfYear => i32::from(date.day_of_year()),
        Part::Day => i32::from(date.day()),
        Part::Week => week(date),
        Part::IsoWeek => i32::from(date.iso_week_date().week()),
        Part::Weekday => week_offset(date) + 1,
        Part::Hour => i32::from(time.hour()),
        Part::Minute => i32::from(time.minute()),
        Part::Second => i32::from(time.second()),
        Part::Millisecond => nanosecond / 1_000_000,
        Part::Microsecond => nanosecond / 1000,
        Part::Nanosecond => nanosecond,
        Part::Offset => match value {
            Value::DateTimeOffset { offset_minutes, .. } => i32::from(*offset_minutes),
            _ => 0,
        },
    })
}

/// `DATENAME`.
pub(super) fn date_name(part: Part, value: &Value) -> Option<String> {
    let moment = local(value)?;
    Some(match (part, value) {
        (Part::Month, _) => language::current().month(moment.month()).to_string(),
        (Part::Weekday, _) => {
            language::current().weekday(sunday_offset(moment.date()) as usize).to_string()
        }
        (Part::Offset, Value::DateTimeOffset { offset_minutes, .. }) => {
            offset_text(*offset_minutes)
        }
        _ => date_part(part, value)?.to_string(),
    })
}

fn unit_nanos(part: Part) -> Option<i128> {
    Some(match part {
        Part::Day | Part::DayOfYear | Part::Weekday => NANOS_PER_DAY,
        Part::Week | Part::IsoWeek => 7 * NANOS_PER_DAY,
        Part::Hour => 3600 * NANOS_PER_SECOND,
        Part::Minute => 60 * NANOS_PER_SECOND,
        Part::Second => NANOS_PER_SECOND,
        Part::Millisecond => 1_000_000,
        Part::Microsecond => 1000,
        Part::Nanosecond => 1,
        Part::Year | Part::Quarter | Part::Month | Part::Offset => return None,
    })
}

/// `DATEADD`; error 517 when the result is out of range.
pub(super) fn date_add(part: Part, amount: i64, value: &Value) -> Result<Value, SqlFailure> {
    let out_of_range =
        || error(517, 16, "Adding a value to a 'datetime' column caused an overflow.");
    let add = |moment: DateTime| -> Option<DateTime> {
        if let Some(unit) = unit_nanos(part) {
            return from_nanos(nanos(moment) + unit.checked_mul(i128::from(amount))?);
        }
        let months = match part {
            Part::Year => amount.checked_mul(12)?,
            Part::Quarter => amount.checked_mul(3)?,
            _ => amount,
        };
        let total = i64::from(moment.year()) * 12 + i64::from(moment.month()) - 1;
        let total = total.checked_add(months)?;
        let year = i16::try_from(total.div_euclid(12)).ok()?;
        let first = Date::new(year, (total.rem_euclid(12) + 1) as i8, 1).ok()?;
        let day = moment.day().min(first.days_in_month());
        let date = Date::new(first.year(), first.month(), day).ok()?;
        (date.year() >= 1).then(|| date.to_datetime(moment.time()))
    };
    match value {
        Value::Date(d) => add(d.to_datetime(Time::midnight())).map(|m| Value::Date(m.date())),
        Value::Time(t) => add(epoch().date().to_datetime(*t)).map(|m| Value::Time(m.time())),
        Value::DateTime(d) => add(*d).map(Value::DateTime),
        Value::DateTimeOffset { utc, offset_minutes } => {
            add(*utc).map(|utc| Value::DateTimeOffset { utc, offset_minutes: *offset_minutes })
        }
        _ => None,
    }
    .ok_or_else(out_of_range)
}

/// `DATEDIFF`: how many boundaries of the part lie between the two.
pub(super) fn date_diff(part: Part, from: &Value, to: &Value) -> Option<i64> {
    let moment = |value: &Value| match value {
        Value::DateTimeOffset { utc, .. } => Some(*utc),
        other => local(other),
    };
    let (a, b) = (moment(from)?, moment(to)?);
    let months = |m: DateTime| i64::from(m.year()) * 12 + i64::from(m.month()) - 1;
    Some(match part {
        Part::Year => i64::from(b.year()) - i64::from(a.year()),
        Part::Quarter => months(b).div_euclid(3) - months(a).div_euclid(3),
        Part::Month => months(b) - months(a),
        Part::Week | Part::IsoWeek => {
            // Weeks begin on Sunday; 1899-12-31 was one.
            let weeks = |m: DateTime| (nanos(m).div_euclid(NANOS_PER_DAY) + 1).div_euclid(7);
            i64::try_from(weeks(b) - weeks(a)).ok()?
        }
        other => {
            let unit = unit_nanos(other)?;
            i64::try_from(nanos(b).div_euclid(unit) - nanos(a).div_euclid(unit)).ok()?
        }
    })
}

/// `date + number` and `date - number`, in days.
pub(super) fn add_days(value: &Value, days: f64) -> Option<Value> {
    match value {
        Value::DateTime(d) => from_nanos(nanos(*d) + (days * NANOS_PER_DAY as f64).round() as i128)
            .and_then(round_datetime)
            .map(Value::DateTime),
        _ => None,
    }
}

/// The number of days that a `datetime` difference stands for.
pub(super) fn as_days(value: &Value) -> Option<f64> {
    match value {
        Value::DateTime(_) => Some(days_since_1900(value)),
        other => float(other),
    }
}

/// `EOMONTH`.
pub(super) fn end_of_month(value: &Value, months: i64) -> Result<Value, SqlFailure> {
    let Some(moment) = local(value) else {
        return Ok(Value::Null);
    };
    let moved = date_add(Part::Month, months, &Value::Date(moment.date()))?;
    match moved {
        Value::Date(d) => Ok(Value::Date(d.last_of_month())),
        other => Ok(other),
    }
}

/// The duration that WAITFOR DELAY names: `hh:mm[:ss[.fff]]`.
pub(super) fn delay(text: &str) -> Option<std::time::Duration> {
    let (time, offset) = parse_time(text.trim())?;
    if offset.is_some() || text.trim().is_empty() {
        return None;
    }
    let since = time.duration_since(Time::midnight());
    since.try_into().ok()
}

/// Whether text could be a moment for a type; used by ISDATE.
pub(super) fn is_date(text: &str) -> bool {
    !text.trim().is_empty() && parse(text, None, true).is_ok_and(|p| p.moment.year() >= 1753)
}
