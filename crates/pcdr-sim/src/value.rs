//! SQL Server's types and values, as the engine computes with them and the wire carries them.
//!
//! A [`Value`] knows its own shape; a [`SqlType`] is what a column, variable or parameter declares.
//! Numerics are exact (`i128` and a scale): an LSN is `numeric(25,0)` and must never pass a float.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::civil;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a character or binary type may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Length {
    /// Characters for character types, bytes for binary types.
    Up(u16),
    /// `max`: carried in chunks on the wire.
    Max,
}

/// A declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the SQL Server type of its name")]
pub enum SqlType {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    Money,
    /// `numeric(precision, scale)`; `decimal` is the same type.
    Numeric {
        precision: u8,
        scale: u8,
    },
    Char(u16),
    VarChar(Length),
    NChar(u16),
    NVarChar(Length),
    Binary(u16),
    VarBinary(Length),
    UniqueIdentifier,
    Date,
    /// Fractional seconds digits, 0 to 7.
    Time(u8),
    SmallDateTime,
    DateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    /// `sql_variant`: the value carries its own base type.
    Variant,
    Xml,
    Text,
    NText,
    Image,
}

impl SqlType {
    /// `sysname`, which is `nvarchar(128)`.
    pub const SYSNAME: SqlType = SqlType::NVarChar(Length::Up(128));
    /// The type of every LSN column.
    pub const LSN: SqlType = SqlType::Numeric { precision: 25, scale: 0 };

    /// `nvarchar(n)`.
    pub const fn nvarchar(characters: u16) -> SqlType {
        SqlType::NVarChar(Length::Up(characters))
    }
}

/// One value. Names compare and sort without regard to case, as the default collation does; values
/// keep the case they were written in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the SQL Server type of its name")]
pub enum Value {
    Null,
    Bit(bool),
    TinyInt(u8),
    SmallInt(i16),
    Int(i32),
    BigInt(i64),
    Real(f32),
    Float(f64),
    /// Ten-thousandths.
    Money(i64),
    /// `unscaled` × 10^-`scale`.
    Numeric {
        unscaled: i128,
        scale: u8,
    },
    /// Every character type.
    String(#[serde(with = "shared_text")] Arc<str>),
    /// Every binary type.
    Binary(#[serde(with = "shared_bytes")] Arc<[u8]>),
    Uuid(Uuid),
    Date(civil::Date),
    Time(civil::Time),
    /// `smalldatetime`, `datetime` and `datetime2`: local to the server, without a zone.
    DateTime(civil::DateTime),
    /// `utc` is the instant; `offset_minutes` says how the server displays it.
    DateTimeOffset {
        utc: civil::DateTime,
        offset_minutes: i16,
    },
    /// A `sql_variant`'s content with its base type; never nested, never `Null`.
    Variant(SqlType, Box<Value>),
}

impl Value {
    /// A string value.
    pub fn string(text: impl AsRef<str>) -> Value {
        Value::String(Arc::from(text.as_ref()))
    }

    /// An LSN, or any other `numeric(25,0)`.
    pub fn lsn(lsn: u128) -> Value {
        Value::Numeric { unscaled: lsn as i128, scale: 0 }
    }

    /// The type that a bare value has inside a `sql_variant`; `None` for NULL and for a value that is
    /// a variant already.
    pub fn base_type(&self) -> Option<SqlType> {
        Some(match self {
            Value::Bit(_) => SqlType::Bit,
            Value::TinyInt(_) => SqlType::TinyInt,
            Value::SmallInt(_) => SqlType::SmallInt,
            Value::Int(_) => SqlType::Int,
            Value::BigInt(_) => SqlType::BigInt,
            Value::Real(_) => SqlType::Real,
            Value::Float(_) => SqlType::Float,
            Value::Money(_) => SqlType::Money,
            Value::Numeric { scale, .. } => SqlType::Numeric { precision: 38, scale: *scale },
            Value::String(_) => SqlType::nvarchar(4000),
            Value::Binary(_) => SqlType::VarBinary(Length::Up(8000)),
            Value::Uuid(_) => SqlType::UniqueIdentifier,
            Value::Date(_) => SqlType::Date,
            Value::Time(_) => SqlType::Time(7),
            Value::DateTime(_) => SqlType::DateTime2(7),
            Value::DateTimeOffset { .. } => SqlType::DateTimeOffset(7),
            Value::Null | Value::Variant(..) => return None,
        })
    }

    /// Whether this is SQL's NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

/// A column of a result set, table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Empty for an expression without an alias. Names of the catalogue are not copied.
    pub name: Cow<'static, str>,
    /// Declared type.
    pub ty: SqlType,
    /// Whether NULL may occur.
    pub nullable: bool,
}

impl Column {
    /// A column that may be NULL.
    pub fn new(name: impl Into<Cow<'static, str>>, ty: SqlType) -> Column {
        Column { name: name.into(), ty, nullable: true }
    }
}

/// A row: one value per column of its relation.
pub type Row = Vec<Value>;

/// Rows with their columns: the content of a table, a view, a table-valued function or a result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relation {
    /// In order.
    pub columns: Vec<Column>,
    /// Every row has as many values as there are columns.
    pub rows: Vec<Row>,
}

mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        Ok(Arc::from(String::deserialize(from)?))
    }
}

mod shared_bytes {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(Arc::from(Vec::<u8>::deserialize(from)?))
    }
}
