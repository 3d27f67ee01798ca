//! When a SQL Server Agent schedule fires next.
//!
//! Source: the vendor's pages "sysschedules" and "sp_add_schedule" (`freq_type`, `freq_interval`,
//! `freq_subday_type`, `freq_relative_interval`, `freq_recurrence_factor`, active dates and times).

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};

use super::store::Record;

/// A row of `sysschedules`, as far as it decides when a job runs. All times are the server's local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// 1 once, 4 daily, 8 weekly, 16 monthly, 32 monthly relative, 64 at the Agent's start, 128 idle.
    pub freq_type: i64,
    /// Days, weekday bits, day of the month or kind of day, by `freq_type`.
    pub freq_interval: i64,
    /// 1 at the time, 2 seconds, 4 minutes, 8 hours.
    pub freq_subday_type: i64,
    /// How many of those between runs.
    pub freq_subday_interval: i64,
    /// 1 first, 2 second, 4 third, 8 fourth, 16 last.
    pub freq_relative_interval: i64,
    /// Weeks or months between runs.
    pub freq_recurrence_factor: i64,
    /// First day.
    pub start_date: Date,
    /// Last day.
    pub end_date: Date,
    /// First second of a day's window.
    pub start_second: i64,
    /// Last second of a day's window; before `start_second` when the window passes midnight.
    pub end_second: i64,
}

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How far ahead a run is looked for: a yearly schedule with a leap day still fires within it.
const HORIZON_DAYS: i32 = 366 * 9;

/// A date in Agent's form, `yyyymmdd`.
pub fn date_number(date: Date) -> i32 {
    i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day())
}

/// A time in Agent's form, `hhmmss` as a plain number: 93005 is 09:30:05.
pub fn time_number(time: Time) -> i32 {
    i32::from(time.hour()) * 10_000 + i32::from(time.minute()) * 100 + i32::from(time.second())
}

/// A duration in Agent's form, `hhmmss`; hours grow past 24.
pub fn duration_number(seconds: i64) -> i32 {
    let seconds = seconds.max(0);
    i32::try_from(seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60)
        .unwrap_or(i32::MAX)
}

/// The date of `yyyymmdd`, if there is such a day.
pub fn date_of(number: i64) -> Option<Date> {
    Date::new(
        i16::try_from(number / 10_000).ok()?,
        i8::try_from(number / 100 % 100).ok()?,
        i8::try_from(number % 100).ok()?,
    )
    .ok()
}

/// The second of the day of `hhmmss`, if there is such a time.
pub fn second_of(number: i64) -> Option<i64> {
    let (h, m, s) = (number / 10_000, number / 100 % 100, number % 100);
    ((0..24).contains(&h) && (0..60).contains(&m) && (0..60).contains(&s))
        .then_some(h * 3600 + m * 60 + s)
}

impl Schedule {
    /// Reads a row of `sysschedules`; `None` when its dates or times are none.
    pub fn of(row: &Record<'_>) -> Option<Schedule> {
        Some(Schedule {
            freq_type: row.int("freq_type"),
            freq_interval: row.int("freq_interval"),
            freq_subday_type: row.int("freq_subday_type"),
            freq_subday_interval: row.int("freq_subday_interval"),
            freq_relative_interval: row.int("freq_relative_interval"),
            freq_recurrence_factor: row.int("freq_recurrence_factor"),
            start_date: date_of(row.int("active_start_date"))?,
            end_date: date_of(row.int("active_end_date"))?,
            start_second: second_of(row.int("active_start_time"))?,
            end_second: second_of(row.int("active_end_time"))?,
        })
    }

    /// The first run after `after`; `None` when there is none in the years ahead.
    pub fn next_after(&self, after: DateTime) -> Option<DateTime> {
        // A window that passes midnight puts runs of one day's schedule on the next day.
        let mut day = after.date().yesterday().ok()?.max(self.start_date);
        for _ in 0..HORIZON_DAYS {
            if day > self.end_date {
                return None;
            }
            if self.runs_on(day) {
                let found = self.first_on(day, after);
                if found.is_some() {
                    return found;
                }
            }
            if self.freq_type == 1 && day > self.start_date {
                return None;
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    fn runs_on(&self, day: Date) -> bool {
        let every = |n: i64| n.max(1);
        match self.freq_type {
            1 => day == self.start_date,
            4 => days_between(self.start_date, day) % every(self.freq_interval) == 0,
            8 => {
                let bit = 1 << day.weekday().to_sunday_zero_offset();
                let weeks = (days_between(self.start_date, day)
                    + i64::from(self.start_date.weekday().to_sunday_zero_offset()))
                    / 7;
                self.freq_interval & bit != 0 && weeks % every(self.freq_recurrence_factor) == 0
            }
            16 => {
                i64::from(day.day()) == self.freq_interval
                    && months_between(self.start_date, day) % every(self.freq_recurrence_factor)
                        == 0
            }
            32 => {
                self.is_relative_day(day)
                    && months_between(self.start_date, day) % every(self.freq_recurrence_factor)
                        == 0
            }
            // At the Agent's start, or when the processor is idle: not a matter of the calendar.
            _ => false,
        }
    }

    fn is_kind(&self, day: Date) -> bool {
        let weekday = day.weekday();
        let weekend = matches!(weekday, Weekday::Saturday | Weekday::Sunday);
        match self.freq_interval {
            n @ 1..=7 => i64::from(weekday.to_sunday_zero_offset()) + 1 == n,
            8 => true,
            9 => !weekend,
            10 => weekend,
            _ => false,
        }
    }

    fn is_relative_day(&self, day: Date) -> bool {
        if !self.is_kind(day) {
            return false;
        }
        let in_month = |d: &Date| d.month() == day.month() && d.year() == day.year();
        let before = std::iter::successors(day.yesterday().ok(), |d| d.yesterday().ok())
            .take_while(in_month)
            .filter(|d| self.is_kind(*d))
            .count();
        let is_last = || {
            !std::iter::successors(day.tomorrow().ok(), |d| d.tomorrow().ok())
                .take_while(in_month)
                .any(|d| self.is_kind(d))
        };
        match self.freq_relative_interval {
            1 => before == 0,
            2 => before == 1,
            4 => before == 2,
            8 => before == 3,
            16 => is_last(),
            _ => false,
        }
    }

    fn first_on(&self, day: Date, after: DateTime) -> Option<DateTime> {
        let unit = match self.freq_subday_type {
            2 => 1,
            4 => 60,
            8 => 3600,
            _ => 0,
        };
        let step = unit * self.freq_subday_interval.max(0);
        let midnight = day.at(0, 0, 0, 0);
        let first = midnight.checked_add(self.start_second.seconds()).ok()?;
        if first > after {
            return Some(first);
        }
        if step == 0 {
            return None;
        }
        let window = (self.end_second - self.start_second).rem_euclid(DAY);
        let passed = seconds_between(first, after);
        let offset = (passed / step + 1) * step;
        (offset <= window).then(|| first.checked_add(offset.seconds()).ok()).flatten()
    }
}

/// Whole seconds from one time to another, rounded down.
pub fn seconds_between(from: DateTime, to: DateTime) -> i64 {
    let span = to.duration_since(from);
    let whole = span.as_secs();
    if span.subsec_nanos() < 0 { whole - 1 } else { whole }
}

fn days_between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_secs().div_euclid(DAY)
}

fn months_between(from: Date, to: Date) -> i64 {
    (i64::from(to.year()) - i64::from(from.year())) * 12 + i64::from(to.month())
        - i64::from(from.month())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{date, datetime};

    fn daily(minutes: i64) -> Schedule {
        Schedule {
            freq_type: 4,
            freq_interval: 1,
            freq_subday_type: if minutes == 0 { 1 } else { 4 },
            freq_subday_interval: minutes,
            freq_relative_interval: 0,
            freq_recurrence_factor: 0,
            start_date: date(2026, 1, 1),
            end_date: date(9999, 12, 31),
            start_second: 0,
            end_second: 23 * 3600 + 59 * 60,
        }
    }

    fn all(schedule: &Schedule, from: DateTime, count: usize) -> Vec<String> {
        std::iter::successors(schedule.next_after(from), |t| schedule.next_after(*t))
            .take(count)
            .map(|t| t.to_string())
            .collect()
    }

    #[test]
    fn every_fifteen_minutes_crosses_midnight() {
        assert_eq!(
            all(&daily(15), datetime(2026, 3, 1, 23, 31, 0, 0), 3),
            ["2026-03-01T23:45:00", "2026-03-02T00:00:00", "2026-03-02T00:15:00"]
        );
    }

    #[test]
    fn a_run_at_this_very_second_is_not_the_next_run() {
        assert_eq!(all(&daily(15), datetime(2026, 3, 1, 12, 15, 0, 0), 1), ["2026-03-01T12:30:00"]);
    }

    #[test]
    fn a_window_past_midnight_goes_on_the_next_day() {
        let schedule = Schedule { start_second: 23 * 3600, end_second: 3600, ..daily(60) };
        assert_eq!(
            all(&schedule, datetime(2026, 3, 1, 22, 0, 0, 0), 4),
            [
                "2026-03-01T23:00:00",
                "2026-03-02T00:00:00",
                "2026-03-02T01:00:00",
                "2026-03-02T23:00:00"
            ]
        );
    }

    #[test]
    fn every_second_week_on_monday_and_friday_skips_the_week_between() {
        let schedule = Schedule {
            freq_type: 8,
            freq_interval: 2 | 32,
            freq_recurrence_factor: 2,
            start_date: date(2026, 3, 2), // a Monday
            ..daily(0)
        };
        assert_eq!(
            all(&schedule, datetime(2026, 3, 1, 0, 0, 0, 0), 3),
            ["2026-03-02T00:00:00", "2026-03-06T00:00:00", "2026-03-16T00:00:00"]
        );
    }

    #[test]
    fn the_last_weekday_of_a_month_is_found() {
        let schedule = Schedule {
            freq_type: 32,
            freq_interval: 9,
            freq_relative_interval: 16,
            freq_recurrence_factor: 1,
            ..daily(0)
        };
        assert_eq!(
            all(&schedule, datetime(2026, 1, 31, 0, 0, 0, 0), 2),
            ["2026-02-27T00:00:00", "2026-03-31T00:00:00"]
        );
    }

    #[test]
    fn the_31st_skips_short_months_and_once_runs_once() {
        let monthly =
            Schedule { freq_type: 16, freq_interval: 31, freq_recurrence_factor: 1, ..daily(0) };
        assert_eq!(
            all(&monthly, datetime(2026, 1, 31, 1, 0, 0, 0), 2),
            ["2026-03-31T00:00:00", "2026-05-31T00:00:00"]
        );
        let once = Schedule { freq_type: 1, ..daily(0) };
        assert_eq!(once.next_after(datetime(2026, 1, 1, 0, 0, 0, 0)), None);
        assert!(once.next_after(datetime(2025, 12, 31, 23, 0, 0, 0)).is_some());
    }

    #[test]
    fn agent_numbers_are_written_as_the_tables_show_them() {
        assert_eq!(date_number(date(2026, 11, 20)), 20_261_120);
        assert_eq!(time_number(jiff::civil::time(9, 30, 5, 0)), 93_005);
        assert_eq!(duration_number(3600 * 30 + 61), 300_101);
        assert_eq!(second_of(235_960), None);
        assert_eq!(date_of(20_260_230), None);
    }
}
