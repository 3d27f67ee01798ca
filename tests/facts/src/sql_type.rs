//! SQL Server's types, as its documentation writes them.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A type without its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is the SQL Server type of its name")]
pub enum Base {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    Numeric,
    Char,
    VarChar,
    NChar,
    NVarChar,
    NText,
    Binary,
    VarBinary,
    UniqueIdentifier,
    DateTime,
    DateTime2,
    DateTimeOffset,
    SqlVariant,
}

const NAMES: [(Base, &str); 20] = [
    (Base::Bit, "bit"),
    (Base::TinyInt, "tinyint"),
    (Base::SmallInt, "smallint"),
    (Base::Int, "int"),
    (Base::BigInt, "bigint"),
    (Base::Real, "real"),
    (Base::Float, "float"),
    (Base::Numeric, "numeric"),
    (Base::Char, "char"),
    (Base::VarChar, "varchar"),
    (Base::NChar, "nchar"),
    (Base::NVarChar, "nvarchar"),
    (Base::NText, "ntext"),
    (Base::Binary, "binary"),
    (Base::VarBinary, "varbinary"),
    (Base::UniqueIdentifier, "uniqueidentifier"),
    (Base::DateTime, "datetime"),
    (Base::DateTime2, "datetime2"),
    (Base::DateTimeOffset, "datetimeoffset"),
    (Base::SqlVariant, "sql_variant"),
];

/// What stands in the parentheses after a type's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Nothing.
    None,
    /// Characters or bytes.
    Length(u16),
    /// `max`.
    Max,
    /// Digits in all, and after the point.
    Digits(u8, u8),
    /// Digits of the fractions of a second.
    Fractions(u8),
}

/// A type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SqlType {
    /// Its name.
    pub base: Base,
    /// Its size.
    pub size: Size,
}

impl SqlType {
    /// Whole numbers that it holds, both ends included; `None` for other types. A `bit` holds 0 and 1.
    #[must_use]
    pub fn integers(self) -> Option<(i64, i64)> {
        Some(match self.base {
            Base::Bit => (0, 1),
            Base::TinyInt => (0, 255),
            Base::SmallInt => (i16::MIN.into(), i16::MAX.into()),
            Base::Int => (i32::MIN.into(), i32::MAX.into()),
            Base::BigInt => (i64::MIN, i64::MAX),
            _ => return None,
        })
    }

    /// Whether it holds text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self.base, Base::Char | Base::VarChar | Base::NChar | Base::NVarChar | Base::NText)
    }

    /// How many characters or bytes it holds; `None`: no limit that matters, or no such thing.
    #[must_use]
    pub fn length(self) -> Option<u16> {
        match self.size {
            Size::Length(length) => Some(length),
            _ => None,
        }
    }
}

impl FromStr for SqlType {
    type Err = String;

    fn from_str(text: &str) -> Result<SqlType, String> {
        let wrong = || format!("{text:?} is no type that is written so");
        if text == "sysname" {
            return Ok(SqlType { base: Base::NVarChar, size: Size::Length(128) });
        }
        let (name, size) = match text.split_once('(') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(wrong)?)),
            None => (text, None),
        };
        let base = NAMES.iter().find(|(_, known)| *known == name).ok_or_else(wrong)?.0;
        let is_sized = matches!(
            base,
            Base::Char
                | Base::VarChar
                | Base::NChar
                | Base::NVarChar
                | Base::Binary
                | Base::VarBinary
        );
        let size = match (base, size) {
            (Base::Numeric, Some(digits)) => {
                let (precision, scale) = digits.split_once(',').ok_or_else(wrong)?;
                let number = |text: &str| text.parse().map_err(|_| wrong());
                Size::Digits(number(precision)?, number(scale)?)
            }
            (Base::DateTime2 | Base::DateTimeOffset, Some(fractions)) => {
                Size::Fractions(fractions.parse().map_err(|_| wrong())?)
            }
            (_, Some("max")) if is_sized => Size::Max,
            (_, Some(length)) if is_sized => Size::Length(length.parse().map_err(|_| wrong())?),
            (Base::Numeric | Base::DateTime2 | Base::DateTimeOffset, None) => return Err(wrong()),
            (_, None) if !is_sized => Size::None,
            _ => return Err(wrong()),
        };
        Ok(SqlType { base, size })
    }
}

impl TryFrom<String> for SqlType {
    type Error = String;

    fn try_from(text: String) -> Result<SqlType, String> {
        text.parse()
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(base, _)| *base == self.base).map_or("", |(_, name)| name);
        f.write_str(name)?;
        match self.size {
            Size::None => Ok(()),
            Size::Length(length) => write!(f, "({length})"),
            Size::Max => f.write_str("(max)"),
            Size::Digits(precision, scale) => write!(f, "({precision},{scale})"),
            Size::Fractions(digits) => write!(f, "({digits})"),
        }
    }
}
