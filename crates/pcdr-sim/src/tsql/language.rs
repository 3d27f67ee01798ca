//! LANGUAGE, DATEFORMAT and DATEFIRST of a session.
//!
//! They decide how text becomes a date, deep inside conversions; [`with`] puts them in force for what a
//! statement evaluates.

use std::cell::Cell;

/// A language that the server knows.
///
/// Source: the vendor's page "sys.syslanguages".
struct Known {
    name: &'static str,
    alias: &'static str,
    id: i16,
    order: DateOrder,
    first_weekday: u8,
    months: [&'static str; 12],
    short_months: [&'static str; 12],
    /// From Sunday.
    weekdays: [&'static str; 7],
}

static KNOWN: [Known; 4] = [
    Known {
        name: "us_english",
        alias: "English",
        id: 0,
        order: DateOrder::Mdy,
        first_weekday: 7,
        months: ENGLISH_MONTHS,
        short_months: ENGLISH_SHORT_MONTHS,
        weekdays: ENGLISH_WEEKDAYS,
    },
    Known {
        name: "Deutsch",
        alias: "German",
        id: 1,
        order: DateOrder::Dmy,
        first_weekday: 1,
        months: [
            "Januar",
            "Februar",
            "März",
            "April",
            "Mai",
            "Juni",
            "Juli",
            "August",
            "September",
            "Oktober",
            "November",
            "Dezember",
        ],
        short_months: [
            "Jan", "Feb", "Mrz", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
        ],
        weekdays: ["Sonntag", "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag"],
    },
    Known {
        name: "Français",
        alias: "French",
        id: 2,
        order: DateOrder::Dmy,
        first_weekday: 1,
        months: [
            "janvier",
            "février",
            "mars",
            "avril",
            "mai",
            "juin",
            "juillet",
            "août",
            "septembre",
            "octobre",
            "novembre",
            "décembre",
        ],
        short_months: [
            "janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "sept", "oct", "nov",
            "déc",
        ],
        weekdays: ["dimanche", "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi"],
    },
    Known {
        name: "British",
        alias: "British English",
        id: 23,
        order: DateOrder::Dmy,
        first_weekday: 1,
        months: ENGLISH_MONTHS,
        short_months: ENGLISH_SHORT_MONTHS,
        weekdays: ENGLISH_WEEKDAYS,
    },
];

const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ENGLISH_SHORT_MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ENGLISH_WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The order of month, day and year in a date written with separators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
    Ydm,
    Myd,
    Dym,
}

impl DateOrder {
    /// By the name that SET DATEFORMAT takes.
    pub(super) fn named(name: &str) -> Option<DateOrder> {
        Some(match name.to_ascii_lowercase().as_str() {
            "mdy" => DateOrder::Mdy,
            "dmy" => DateOrder::Dmy,
            "ymd" => DateOrder::Ymd,
            "ydm" => DateOrder::Ydm,
            "myd" => DateOrder::Myd,
            "dym" => DateOrder::Dym,
            _ => return None,
        })
    }

    /// Year, month and day of three numbers in this order.
    pub(super) fn pick(self, [a, b, c]: [i16; 3]) -> (i16, i16, i16) {
        match self {
            DateOrder::Mdy => (c, a, b),
            DateOrder::Dmy => (c, b, a),
            DateOrder::Ymd => (a, b, c),
            DateOrder::Ydm => (a, c, b),
            DateOrder::Myd => (b, a, c),
            DateOrder::Dym => (b, c, a),
        }
    }

    /// Whether the day stands before the month.
    pub(super) fn day_first(self) -> bool {
        matches!(self, DateOrder::Dmy | DateOrder::Ydm | DateOrder::Dym)
    }
}

/// A session's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Language {
    /// Index in the list of known languages.
    known: usize,
    pub(super) order: DateOrder,
    /// 1 is Monday.
    pub(super) first_weekday: u8,
}

impl Default for Language {
    fn default() -> Language {
        Language { known: 0, order: DateOrder::Mdy, first_weekday: 7 }
    }
}

impl Language {
    /// By name or alias, with its own date order and first day of the week.
    pub(super) fn named(name: &str) -> Option<Language> {
        let known = KNOWN.iter().position(|k| {
            super::tree::same_name(k.name, name) || super::tree::same_name(k.alias, name)
        })?;
        let found = &KNOWN[known];
        Some(Language { known, order: found.order, first_weekday: found.first_weekday })
    }

    pub(super) fn name(self) -> &'static str {
        KNOWN[self.known].name
    }

    /// `@@LANGID`.
    pub(super) fn id(self) -> i16 {
        KNOWN[self.known].id
    }

    /// The name of a month, from 1.
    pub(super) fn month(self, month: i8) -> &'static str {
        KNOWN[self.known].months[index(month)]
    }

    pub(super) fn short_month(self, month: i8) -> &'static str {
        KNOWN[self.known].short_months[index(month)]
    }

    /// The name of a day of the week, Sunday being 0.
    pub(super) fn weekday(self, since_sunday: usize) -> &'static str {
        KNOWN[self.known].weekdays[since_sunday % 7]
    }

    /// The number of the month that a word names.
    pub(super) fn month_named(self, word: &str) -> Option<i16> {
        let known = &KNOWN[self.known];
        let is = |name: &&str| super::tree::same_name(name, word);
        known
            .months
            .iter()
            .position(is)
            .or_else(|| known.short_months.iter().position(is))
            .map(|i| i as i16 + 1)
    }
}

fn index(month: i8) -> usize {
    usize::try_from(month).unwrap_or(1).clamp(1, 12) - 1
}

thread_local! {
    static CURRENT: Cell<Language> = Cell::new(Language::default());
}

/// Runs `work`, which must not wait for anything, under a session's settings.
pub(super) fn with<T>(language: Language, work: impl FnOnce() -> T) -> T {
    /// Puts the settings back even if `work` panics.
    struct Restore(Language);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(language));
    work()
}

/// The settings in force.
pub(super) fn current() -> Language {
    CURRENT.get()
}
