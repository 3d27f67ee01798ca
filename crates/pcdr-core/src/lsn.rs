//! Positions in a database's log, and the forks in which they have a meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A log sequence number.
///
/// Ordered as a number; arithmetic on it has no meaning. Two positions compare only within one
/// recovery fork. Serialised as a decimal string, because it exceeds what JSON numbers keep exactly.
///
/// ```
/// use pcdr_core::Lsn;
///
/// let lsn: Lsn = "39000000172000001".parse()?;
/// assert!(lsn < "39000000172000002".parse()?);
/// # Ok::<(), pcdr_core::lsn::ParseLsnError>(())
/// ```
///
/// Source: `numeric(25,0)` columns of `msdb.dbo.backupset` and `sys.master_files`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u128);

impl Lsn {
    /// The largest value that `numeric(25,0)` holds.
    pub const MAX: Lsn = Lsn(9_999_999_999_999_999_999_999_999);

    /// A position; `None` beyond 25 decimal digits.
    pub const fn new(value: u128) -> Option<Lsn> {
        if value <= Lsn::MAX.0 { Some(Lsn(value)) } else { None }
    }

    /// The number as SQL Server prints it.
    pub const fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({})", self.0)
    }
}

/// A text that is not an LSN: up to 25 decimal digits and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log sequence number: up to 25 decimal digits are needed")]
pub struct ParseLsnError(String);

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Lsn, ParseLsnError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { text.parse().ok().and_then(Lsn::new) } else { None };
        value.ok_or_else(|| ParseLsnError(text.to_owned()))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lsn, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A globally unique identifier: recovery forks, database families, backup sets, jobs.
///
/// Written in the usual form of 8-4-4-4-12 hexadecimal digits, upper case as SQL Server prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub u128);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            v >> 96,
            (v >> 80) & 0xFFFF,
            (v >> 64) & 0xFFFF,
            (v >> 48) & 0xFFFF,
            v & 0xFFFF_FFFF_FFFF
        )
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a GUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a GUID: 32 hexadecimal digits grouped 8-4-4-4-12 are needed")]
pub struct ParseGuidError(String);

impl FromStr for Guid {
    type Err = ParseGuidError;

    fn from_str(text: &str) -> Result<Guid, ParseGuidError> {
        let error = || ParseGuidError(text.to_owned());
        let groups: Vec<&str> = text.split('-').collect();
        let lengths = [8, 4, 4, 4, 12];
        let well_formed = groups.len() == lengths.len()
            && groups
                .iter()
                .zip(lengths)
                .all(|(g, n)| g.len() == n && g.bytes().all(|b| b.is_ascii_hexdigit()));
        if !well_formed {
            return Err(error());
        }
        u128::from_str_radix(&groups.concat(), 16).map(Guid).map_err(|_| error())
    }
}

impl Serialize for Guid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Guid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Guid, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lsn_of_25_digits_survives_json_exactly() {
        let lsn: Lsn = "4500000001234500001000001".parse().unwrap();
        let json = serde_json::to_string(&lsn).unwrap();
        assert_eq!(json, "\"4500000001234500001000001\"");
        assert_eq!(serde_json::from_str::<Lsn>(&json).unwrap(), lsn);
    }

    #[test]
    fn more_than_25_digits_signs_and_blanks_are_no_lsn() {
        for text in ["", "-1", "+1", " 1", "1.0", "10000000000000000000000000", "1e3"] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_guid_reads_back_as_it_is_written() {
        let text = "0F2C5A10-89AB-4CDE-8F01-23456789ABCD";
        assert_eq!(text.parse::<Guid>().unwrap().to_string(), text);
        assert!("0F2C5A1089AB4CDE8F0123456789ABCD".parse::<Guid>().is_err());
    }
}
