//! When a SQL Server Agent job runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// When a job runs: every so often, on some days of the week, between two times of day.
///
/// This is what a log shipping schedule needs of what SQL Server Agent can express.
///
/// Source: "sp_add_schedule (Transact-SQL)".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Seconds between two runs; see [`interval`] for what the Agent takes.
    pub every_seconds: u32,
    /// Days on which it runs.
    pub days: Days,
    /// First time of day at which it may run.
    pub from: TimeOfDay,
    /// Last time of day at which it may run, inclusive; before `from`: on the next day.
    pub until: TimeOfDay,
}

impl Schedule {
    /// Every so often, all day, every day.
    pub const fn all_day(every_seconds: u32) -> Schedule {
        Schedule { every_seconds, days: Days::ALL, from: TimeOfDay(0), until: TimeOfDay(86_399) }
    }

    /// Seconds of a day in which it may run.
    pub fn window_seconds(&self) -> u32 {
        let (from, until) = (self.from.0, self.until.0);
        if until >= from { until - from + 1 } else { 86_400 - from + until + 1 }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.every_seconds;
        match seconds {
            s if s.is_multiple_of(3600) => write!(f, "every {} h", s / 3600)?,
            s if s.is_multiple_of(60) => write!(f, "every {} min", s / 60)?,
            s => write!(f, "every {s} s")?,
        }
        if self.days != Days::ALL {
            write!(f, " on {}", self.days)?;
        }
        if (self.from.0, self.until.0) != (0, 86_399) {
            write!(f, " from {} until {}", self.from, self.until)?;
        }
        Ok(())
    }
}

/// A unit of the Agent's subday frequency, by its `freq_subday_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// 2.
    Seconds,
    /// 4.
    Minutes,
    /// 8.
    Hours,
}

impl Unit {
    /// `freq_subday_type`.
    pub fn subday_type(self) -> i32 {
        match self {
            Unit::Seconds => 2,
            Unit::Minutes => 4,
            Unit::Hours => 8,
        }
    }

    /// Seconds in one of it.
    fn seconds(self) -> u32 {
        match self {
            Unit::Seconds => 1,
            Unit::Minutes => 60,
            Unit::Hours => 3600,
        }
    }
}

/// How the Agent takes an interval: as whole seconds, minutes or hours, at most 100 of them, and no
/// shorter than 10 seconds. `None` when it cannot be expressed.
pub fn interval(every_seconds: u32) -> Option<(Unit, u32)> {
    [Unit::Hours, Unit::Minutes, Unit::Seconds].into_iter().find_map(|unit| {
        let count = every_seconds / unit.seconds();
        let is_whole = every_seconds.is_multiple_of(unit.seconds());
        (every_seconds >= 10 && is_whole && (1..=100).contains(&count)).then_some((unit, count))
    })
}

/// `freq_type` of a schedule that runs every day.
const DAILY: i32 = 4;
/// `freq_type` of a schedule that runs on some days of every week.
const WEEKLY: i32 = 8;

/// The columns of `msdb.dbo.sysschedules` that say when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the columns by their names")]
pub struct Frequency {
    pub freq_type: i32,
    pub freq_interval: i32,
    pub freq_subday_type: i32,
    pub freq_subday_interval: i32,
    pub freq_recurrence_factor: i32,
    /// As HHMMSS.
    pub active_start_time: i32,
    /// As HHMMSS.
    pub active_end_time: i32,
}

impl Frequency {
    /// The columns of a schedule; `None` when the Agent cannot express it.
    pub fn of(schedule: &Schedule) -> Option<Frequency> {
        let (unit, count) = interval(schedule.every_seconds)?;
        let is_daily = schedule.days == Days::ALL;
        Some(Frequency {
            freq_type: if is_daily { DAILY } else { WEEKLY },
            freq_interval: if is_daily { 1 } else { i32::from(schedule.days.0) },
            freq_subday_type: unit.subday_type(),
            freq_subday_interval: i32::try_from(count).ok()?,
            freq_recurrence_factor: i32::from(!is_daily),
            active_start_time: schedule.from.as_hhmmss(),
            active_end_time: schedule.until.as_hhmmss(),
        })
    }

    /// The schedule of these columns; `None` when it is another kind of schedule than log shipping
    /// needs, for example a monthly one.
    pub fn schedule(&self) -> Option<Schedule> {
        let days = match (self.freq_type, self.freq_interval, self.freq_recurrence_factor) {
            (DAILY, 1, _) => Days::ALL,
            (WEEKLY, days, 1) => Days::new(u8::try_from(days).ok()?)?,
            _ => return None,
        };
        let unit = [Unit::Seconds, Unit::Minutes, Unit::Hours]
            .into_iter()
            .find(|unit| unit.subday_type() == self.freq_subday_type)?;
        let count = u32::try_from(self.freq_subday_interval).ok().filter(|count| *count > 0)?;
        Some(Schedule {
            every_seconds: unit.seconds().checked_mul(count)?,
            days,
            from: TimeOfDay::from_hhmmss(self.active_start_time)?,
            until: TimeOfDay::from_hhmmss(self.active_end_time)?,
        })
    }
}

/// Days of the week; never none.
///
/// Source: `freq_interval` of a weekly schedule: 1 Sunday, 2 Monday, 4 Tuesday … 64 Saturday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days(u8);

const DAY_NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Days {
    /// Every day.
    pub const ALL: Days = Days(0b111_1111);

    /// Days from the Agent's bits; `None` for none, or for bits that are no day.
    pub fn new(bits: u8) -> Option<Days> {
        (1..=Days::ALL.0).contains(&bits).then_some(Days(bits))
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = DAY_NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let names: Vec<&str> = days.map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}

/// A text that is no schedule's part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{needed} is needed, found {found:?}")]
pub struct ParseScheduleError {
    needed: &'static str,
    found: String,
}

impl FromStr for Days {
    type Err = ParseScheduleError;

    /// Reads names of days, three letters each, separated by commas.
    fn from_str(text: &str) -> Result<Days, ParseScheduleError> {
        let bit = |day: &str| DAY_NAMES.iter().position(|name| *name == day.trim());
        let bits = text.split(',').try_fold(0u8, |bits, day| Some(bits | (1 << bit(day)?)));
        bits.and_then(Days::new).ok_or_else(|| ParseScheduleError {
            needed: "days of the week such as \"mon, tue\"",
            found: text.to_owned(),
        })
    }
}

/// A time of day, in seconds since midnight of the server's own clock; less than 86,400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// Seconds since midnight.
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// As the Agent's columns have it: 10:45:30 is 104530.
    pub fn as_hhmmss(self) -> i32 {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        i32::try_from(hours * 10_000 + minutes * 100 + seconds).unwrap_or(i32::MAX)
    }

    /// From the Agent's columns; `None` when it is no time of day.
    pub fn from_hhmmss(number: i32) -> Option<TimeOfDay> {
        let number = u32::try_from(number).ok()?;
        let (hours, minutes, seconds) = (number / 10_000, number / 100 % 100, number % 100);
        let is_time = hours < 24 && minutes < 60 && seconds < 60;
        is_time.then_some(TimeOfDay(hours * 3600 + minutes * 60 + seconds))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 3600, self.0 / 60 % 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = ParseScheduleError;

    /// Reads `hh:mm` or `hh:mm:ss`.
    fn from_str(text: &str) -> Result<TimeOfDay, ParseScheduleError> {
        let two = |part: &str| {
            let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse::<i32>().ok()).flatten()
        };
        let parts: Option<Vec<i32>> = text.split(':').map(two).collect();
        let time = match parts.as_deref() {
            Some([hours, minutes]) => TimeOfDay::from_hhmmss(hours * 10_000 + minutes * 100),
            Some([hours, minutes, seconds]) => {
                TimeOfDay::from_hhmmss(hours * 10_000 + minutes * 100 + seconds)
            }
            _ => None,
        };
        time.ok_or_else(|| ParseScheduleError {
            needed: "a time of day such as 06:30 or 23:59:59",
            found: text.to_owned(),
        })
    }
}

/// Both are written as their text.
macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(Days, TimeOfDay);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_taken_in_the_largest_unit_that_expresses_it() {
        let cases = [(10, 2, 10), (60, 4, 1), (90, 2, 90), (900, 4, 15), (7200, 8, 2)];
        for (seconds, subday_type, count) in cases {
            let (unit, found) = interval(seconds).unwrap();
            assert_eq!((unit.subday_type(), found), (subday_type, count), "{seconds}");
        }
        for impossible in [0, 9, 101, 6_060, 100 * 3600 + 1] {
            assert_eq!(interval(impossible), None, "{impossible}");
        }
    }

    #[test]
    fn every_schedule_that_can_be_expressed_is_read_back_as_it_was() {
        for every_seconds in 1..=90_000 {
            for (days, from, until) in
                [("mon, fri", "22:00", "05:59:59"), ("sun", "00:00", "23:59:59")]
            {
                let (days, from) = (days.parse().unwrap(), from.parse().unwrap());
                let until = until.parse().unwrap();
                let schedule = Schedule { every_seconds, days, from, until };
                if let Some(frequency) = Frequency::of(&schedule) {
                    assert_eq!(frequency.schedule(), Some(schedule));
                }
            }
        }
    }

    #[test]
    fn a_window_over_midnight_is_counted_once() {
        let night = Schedule {
            from: "22:00".parse().unwrap(),
            until: "05:59:59".parse().unwrap(),
            ..Schedule::all_day(900)
        };
        assert_eq!(night.window_seconds(), 8 * 3600);
        assert_eq!(Schedule::all_day(900).window_seconds(), 86_400);
        assert_eq!(night.to_string(), "every 15 min from 22:00:00 until 05:59:59");
    }

    #[test]
    fn a_monthly_schedule_is_none_that_log_shipping_needs() {
        let monthly = Frequency {
            freq_type: 16,
            freq_interval: 1,
            freq_subday_type: 4,
            freq_subday_interval: 15,
            freq_recurrence_factor: 1,
            active_start_time: 0,
            active_end_time: 235_959,
        };
        assert_eq!(monthly.schedule(), None);
    }

    #[test]
    fn texts_that_are_no_time_or_day_are_refused() {
        for text in ["24:00", "1:00", "10:60", "", "10:00:00:00", "-1:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
        for text in ["", "monday", "mon,", "mon tue"] {
            assert!(text.parse::<Days>().is_err(), "{text}");
        }
        assert_eq!("sat,mon".parse::<Days>().unwrap().to_string(), "mon, sat");
    }
}
