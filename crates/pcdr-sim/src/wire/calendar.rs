//! Days and ticks of the wire's date and time types.
//!
//! Source: \[MS-TDS\] 2.2.5.5.1.8 (TIME, DATETIME2 and their like) and 2.2.5.5.1.2.

use jiff::Span;
use jiff::civil::{Date, DateTime, Time};

const NANOS_PER_DAY: i64 = 86_400_000_000_000;
/// Day 0 of `date`, `datetime2` and `datetimeoffset`.
const YEAR_ONE: Date = Date::constant(1, 1, 1);
/// Day 0 of `datetime` and `smalldatetime`.
const YEAR_1900: Date = Date::constant(1900, 1, 1);

fn days_between(epoch: Date, date: Date) -> i32 {
    epoch.until(date).map_or(0, |span| span.get_days())
}

fn date_after(epoch: Date, days: i32) -> Option<Date> {
    let span = Span::new().try_days(days).ok()?;
    let date = epoch.checked_add(span).ok()?;
    (1..=9999).contains(&date.year()).then_some(date)
}

/// Nanoseconds since midnight.
fn nanos(time: Time) -> i64 {
    let seconds =
        (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1_000_000_000 + i64::from(time.subsec_nanosecond())
}

fn time_at(nanos: i64) -> Option<Time> {
    if !(0..NANOS_PER_DAY).contains(&nanos) {
        return None;
    }
    let seconds = nanos / 1_000_000_000;
    Time::new(
        (seconds / 3600) as i8,
        (seconds / 60 % 60) as i8,
        (seconds % 60) as i8,
        (nanos % 1_000_000_000) as i32,
    )
    .ok()
}

/// Days since 0001-01-01; `None` before it.
pub(super) fn date_days(date: Date) -> Option<u32> {
    u32::try_from(days_between(YEAR_ONE, date)).ok()
}

pub(super) fn date(days: u32) -> Option<Date> {
    date_after(YEAR_ONE, i32::try_from(days).ok()?)
}

/// Bytes that a time of this scale takes.
pub(super) fn time_length(scale: u8) -> u8 {
    match scale {
        0..=2 => 3,
        3 | 4 => 4,
        _ => 5,
    }
}

fn tick(scale: u8) -> i64 {
    10_i64.pow(u32::from(9 - scale.min(7)))
}

/// Ticks of 10^-scale seconds since midnight. Digits that the scale lacks are cut off, so that a
/// time never moves to another day.
pub(super) fn time_ticks(time: Time, scale: u8) -> u64 {
    (nanos(time) / tick(scale)) as u64
}

pub(super) fn time(ticks: u64, scale: u8) -> Option<Time> {
    time_at(i64::try_from(ticks).ok()?.checked_mul(tick(scale))?)
}

/// `datetime`: days since 1900 and three-hundredths of a second, rounded as SQL Server rounds.
pub(super) fn datetime(at: DateTime) -> Option<(i32, u32)> {
    let mut days = days_between(YEAR_1900, at.date());
    let mut ticks = (nanos(at.time()) * 3 + 5_000_000) / 10_000_000;
    if ticks >= 86_400 * 300 {
        ticks = 0;
        days += 1;
    }
    (at.year() >= 1753).then_some((days, ticks as u32))
}

/// The datetime of these days and ticks, to the nanosecond that rounds back to them.
pub(super) fn from_datetime(days: i32, ticks: u32) -> Option<DateTime> {
    // SQL Server shows milliseconds that end in 0, 3 or 7; clients do the same.
    let milliseconds = (i64::from(ticks) * 10 + 1) / 3;
    let date = date_after(YEAR_1900, days)?;
    Some(date.to_datetime(time_at(milliseconds * 1_000_000)?))
}

/// `smalldatetime`: days since 1900 and minutes, rounded.
pub(super) fn smalldatetime(at: DateTime) -> Option<(u16, u16)> {
    let mut days = days_between(YEAR_1900, at.date());
    let mut minutes = (nanos(at.time()) + 30_000_000_000) / 60_000_000_000;
    if minutes >= 1440 {
        minutes = 0;
        days += 1;
    }
    Some((u16::try_from(days).ok()?, minutes as u16))
}

pub(super) fn from_smalldatetime(days: u16, minutes: u16) -> Option<DateTime> {
    let date = date_after(YEAR_1900, days.into())?;
    Some(date.to_datetime(time_at(i64::from(minutes) * 60_000_000_000)?))
}

#[cfg(test)]
mod tests {
    use jiff::civil;

    use super::*;

    #[test]
    fn known_days_are_counted_as_the_protocol_counts_them() {
        assert_eq!(date_days(civil::date(1, 1, 1)), Some(0));
        assert_eq!(date_days(civil::date(9999, 12, 31)), Some(3_652_058));
        let noon = civil::date(1900, 1, 2).at(12, 0, 0, 0);
        assert_eq!(datetime(noon), Some((1, 12 * 3600 * 300)));
        assert_eq!(datetime(civil::date(1752, 12, 31).at(0, 0, 0, 0)), None);
    }

    #[test]
    fn the_last_instant_of_a_day_rounds_into_the_next_day() {
        let last = civil::date(2026, 3, 1).at(23, 59, 59, 999_900_000);
        let (days, ticks) = datetime(last).unwrap();
        assert_eq!(from_datetime(days, ticks), Some(civil::date(2026, 3, 2).at(0, 0, 0, 0)));
    }

    #[test]
    fn every_tick_of_datetime_survives() {
        for ticks in (0..300).chain(86_399 * 300..86_400 * 300) {
            let at = from_datetime(46_000, ticks).unwrap();
            assert_eq!(datetime(at), Some((46_000, ticks)), "{at}");
        }
    }

    #[test]
    fn nothing_outside_of_the_calendar_is_accepted() {
        assert_eq!(date(3_652_059), None);
        assert_eq!(date(u32::MAX), None);
        assert_eq!(time(864_000_000_000, 7), None);
        assert_eq!(time(u64::MAX, 0), None);
        assert_eq!(from_datetime(i32::MIN, 0), None);
        assert_eq!(from_datetime(0, u32::MAX), None);
    }
}
