//! Releases of SQL Server.

use std::fmt;

use serde::Deserialize;

/// A release, by the year in its name. Servicing (`CU1`, `SP4`) is kept as text and compares as nothing:
/// what a later service pack brought counts as there in the whole release.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Release {
    /// `2014` of SQL Server 2014.
    pub year: u16,
    /// `CU1`, where only a later build of that release has it.
    pub servicing: Option<String>,
}

/// Releases whose servers pcdr meets, with the major number of their version.
///
/// Source: the list of releases; the product's own servers run 2008 R2 to 2019.
pub const RELEASES: [(u16, u8); 8] = [
    (2008, 10),
    (2012, 11),
    (2014, 12),
    (2016, 13),
    (2017, 14),
    (2019, 15),
    (2022, 16),
    (2025, 17),
];

impl TryFrom<String> for Release {
    type Error = String;

    fn try_from(text: String) -> Result<Release, String> {
        let (year, servicing) = match text.split_once(' ') {
            Some((year, servicing)) => (year, Some(servicing.to_owned())),
            None => (text.as_str(), None),
        };
        match year.parse() {
            Ok(year @ 2000..=2025) => Ok(Release { year, servicing }),
            _ => Err(format!("{text:?} is no release of SQL Server, such as \"2014 CU1\"")),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servicing {
            Some(servicing) => write!(f, "SQL Server {} {servicing}", self.year),
            None => write!(f, "SQL Server {}", self.year),
        }
    }
}
