//! TYPE_INFO: how a declared type is written and read.
//!
//! Source: \[MS-TDS\] 2.2.5.4 to 2.2.5.6.

use super::WireError;
use super::collation;
use super::cursor::Cursor;
use crate::value::{Length, SqlType};

/// Type tokens. Those without comment are nullable and variable in length.
pub(super) mod token {
    pub(crate) const NULL: u8 = 0x1F; // fixed
    pub(crate) const IMAGE: u8 = 0x22;
    pub(crate) const TEXT: u8 = 0x23;
    pub(crate) const GUID: u8 = 0x24;
    pub(crate) const OLD_VARBINARY: u8 = 0x25;
    pub(crate) const INT_N: u8 = 0x26;
    pub(crate) const OLD_VARCHAR: u8 = 0x27;
    pub(crate) const DATE: u8 = 0x28;
    pub(crate) const TIME: u8 = 0x29;
    pub(crate) const DATETIME2: u8 = 0x2A;
    pub(crate) const DATETIMEOFFSET: u8 = 0x2B;
    pub(crate) const OLD_BINARY: u8 = 0x2D;
    pub(crate) const OLD_CHAR: u8 = 0x2F;
    pub(crate) const INT1: u8 = 0x30; // fixed
    pub(crate) const BIT: u8 = 0x32; // fixed
    pub(crate) const INT2: u8 = 0x34; // fixed
    pub(crate) const OLD_DECIMAL: u8 = 0x37;
    pub(crate) const INT4: u8 = 0x38; // fixed
    pub(crate) const SMALLDATETIME: u8 = 0x3A; // fixed
    pub(crate) const REAL: u8 = 0x3B; // fixed
    pub(crate) const MONEY: u8 = 0x3C; // fixed
    pub(crate) const DATETIME: u8 = 0x3D; // fixed
    pub(crate) const FLOAT: u8 = 0x3E; // fixed
    pub(crate) const OLD_NUMERIC: u8 = 0x3F;
    pub(crate) const VARIANT: u8 = 0x62;
    pub(crate) const NTEXT: u8 = 0x63;
    pub(crate) const BIT_N: u8 = 0x68;
    pub(crate) const DECIMAL: u8 = 0x6A;
    pub(crate) const NUMERIC: u8 = 0x6C;
    pub(crate) const FLOAT_N: u8 = 0x6D;
    pub(crate) const MONEY_N: u8 = 0x6E;
    pub(crate) const DATETIME_N: u8 = 0x6F;
    pub(crate) const SMALLMONEY: u8 = 0x7A; // fixed
    pub(crate) const INT8: u8 = 0x7F; // fixed
    pub(crate) const VARBINARY: u8 = 0xA5;
    pub(crate) const VARCHAR: u8 = 0xA7;
    pub(crate) const BINARY: u8 = 0xAD;
    pub(crate) const CHAR: u8 = 0xAF;
    pub(crate) const NVARCHAR: u8 = 0xE7;
    pub(crate) const NCHAR: u8 = 0xEF;
    pub(crate) const UDT: u8 = 0xF0;
    pub(crate) const XML: u8 = 0xF1;
    pub(crate) const TABLE: u8 = 0xF3;
}

/// Length in TYPE_INFO that says `max`.
const MAX: u16 = 0xFFFF;
/// Longest value of a `sql_variant`, as SQL Server declares it.
const VARIANT_LENGTH: u32 = 8009;

/// Bytes of a numeric value, its sign included.
pub(super) fn numeric_length(precision: u8) -> u8 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

/// Appends the TYPE_INFO of a type. Types are always written in their nullable form: clients
/// accept it for columns that are never NULL, and no engine error can then break the stream.
pub(super) fn write(out: &mut Vec<u8>, ty: SqlType) {
    let characters = |out: &mut Vec<u8>, token: u8, bytes: u16| {
        out.push(token);
        out.extend(bytes.to_le_bytes());
        out.extend(collation::BYTES);
    };
    let bytes = |out: &mut Vec<u8>, token: u8, length: u16| {
        out.push(token);
        out.extend(length.to_le_bytes());
    };
    match ty {
        SqlType::Bit => out.extend([token::BIT_N, 1]),
        SqlType::TinyInt => out.extend([token::INT_N, 1]),
        SqlType::SmallInt => out.extend([token::INT_N, 2]),
        SqlType::Int => out.extend([token::INT_N, 4]),
        SqlType::BigInt => out.extend([token::INT_N, 8]),
        SqlType::Real => out.extend([token::FLOAT_N, 4]),
        SqlType::Float => out.extend([token::FLOAT_N, 8]),
        SqlType::Money => out.extend([token::MONEY_N, 8]),
        SqlType::Numeric { precision, scale } => {
            out.extend([token::NUMERIC, numeric_length(precision), precision, scale]);
        }
        SqlType::Char(length) => characters(out, token::CHAR, length),
        SqlType::VarChar(length) => characters(out, token::VARCHAR, declared(length, 1)),
        SqlType::NChar(length) => characters(out, token::NCHAR, length.saturating_mul(2)),
        SqlType::NVarChar(length) => characters(out, token::NVARCHAR, declared(length, 2)),
        SqlType::Binary(length) => bytes(out, token::BINARY, length),
        SqlType::VarBinary(length) => bytes(out, token::VARBINARY, declared(length, 1)),
        SqlType::UniqueIdentifier => out.extend([token::GUID, 16]),
        SqlType::Date => out.push(token::DATE),
        SqlType::Time(scale) => out.extend([token::TIME, scale]),
        SqlType::SmallDateTime => out.extend([token::DATETIME_N, 4]),
        SqlType::DateTime => out.extend([token::DATETIME_N, 8]),
        SqlType::DateTime2(scale) => out.extend([token::DATETIME2, scale]),
        SqlType::DateTimeOffset(scale) => out.extend([token::DATETIMEOFFSET, scale]),
        SqlType::Variant => {
            out.push(token::VARIANT);
            out.extend(VARIANT_LENGTH.to_le_bytes());
        }
        SqlType::Xml => out.extend([token::XML, 0]),
        SqlType::Text => long(out, token::TEXT, 0x7FFF_FFFF, true),
        SqlType::NText => long(out, token::NTEXT, 0x7FFF_FFFE, true),
        SqlType::Image => long(out, token::IMAGE, 0x7FFF_FFFF, false),
    }
}

fn long(out: &mut Vec<u8>, token: u8, length: u32, has_collation: bool) {
    out.push(token);
    out.extend(length.to_le_bytes());
    if has_collation {
        out.extend(collation::BYTES);
    }
}

/// Whether COLMETADATA names a table after this type.
pub(super) fn has_table_name(ty: SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::NText | SqlType::Image)
}

/// Length in bytes as it is declared, at least one character.
fn declared(length: Length, bytes_per_character: u16) -> u16 {
    match length {
        Length::Max => MAX,
        Length::Up(count) => count.max(1).saturating_mul(bytes_per_character).min(8000),
    }
}

/// How a value of a type that was read follows its TYPE_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Always there, this long.
    Fixed(u8),
    /// One byte of length; 0 is NULL.
    Byte,
    /// One byte of length; 0 is an empty value (types from before SQL Server 7.0).
    OldByte,
    /// Two bytes of length; 0xFFFF is NULL.
    Short,
    /// Four bytes of length; 0xFFFFFFFF is NULL, or for `sql_variant` 0.
    Long,
    /// Chunks.
    Chunks,
}

/// A TYPE_INFO as a client sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypeInfo {
    pub(super) ty: SqlType,
    pub(super) form: Form,
    pub(super) collation: [u8; 5],
}

/// What came of reading a TYPE_INFO.
pub(super) enum Read {
    Known(TypeInfo),
    /// A type that clients may send and this server does not take.
    Unsupported(&'static str),
}

/// Reads a TYPE_INFO.
pub(super) fn read(from: &mut Cursor<'_>) -> Result<Read, WireError> {
    let token = from.u8()?;
    let known = |ty, form| Ok(Read::Known(TypeInfo { ty, form, collation: collation::BYTES }));
    let sized = |from: &Cursor<'_>, what: &str, size: u8| {
        from.fail(format!("a {what} of {size} bytes does not exist"))
    };
    match token {
        token::NULL => known(SqlType::nvarchar(1), Form::Fixed(0)),
        token::INT1 => known(SqlType::TinyInt, Form::Fixed(1)),
        token::BIT => known(SqlType::Bit, Form::Fixed(1)),
        token::INT2 => known(SqlType::SmallInt, Form::Fixed(2)),
        token::INT4 => known(SqlType::Int, Form::Fixed(4)),
        token::INT8 => known(SqlType::BigInt, Form::Fixed(8)),
        token::REAL => known(SqlType::Real, Form::Fixed(4)),
        token::FLOAT => known(SqlType::Float, Form::Fixed(8)),
        token::MONEY => known(SqlType::Money, Form::Fixed(8)),
        token::SMALLMONEY => known(SqlType::Money, Form::Fixed(4)),
        token::DATETIME => known(SqlType::DateTime, Form::Fixed(8)),
        token::SMALLDATETIME => known(SqlType::SmallDateTime, Form::Fixed(4)),
        token::INT_N => match from.u8()? {
            1 => known(SqlType::TinyInt, Form::Byte),
            2 => known(SqlType::SmallInt, Form::Byte),
            4 => known(SqlType::Int, Form::Byte),
            8 => known(SqlType::BigInt, Form::Byte),
            size => Err(sized(from, "integer", size)),
        },
        token::BIT_N => match from.u8()? {
            1 => known(SqlType::Bit, Form::Byte),
            size => Err(sized(from, "bit", size)),
        },
        token::FLOAT_N => match from.u8()? {
            4 => known(SqlType::Real, Form::Byte),
            8 => known(SqlType::Float, Form::Byte),
            size => Err(sized(from, "float", size)),
        },
        token::MONEY_N => match from.u8()? {
            4 | 8 => known(SqlType::Money, Form::Byte),
            size => Err(sized(from, "money", size)),
        },
        token::DATETIME_N => match from.u8()? {
            4 => known(SqlType::SmallDateTime, Form::Byte),
            8 => known(SqlType::DateTime, Form::Byte),
            size => Err(sized(from, "datetime", size)),
        },
        token::GUID => match from.u8()? {
            // FreeTDS declares NULLs with length 0.
            0 | 16 => known(SqlType::UniqueIdentifier, Form::Byte),
            size => Err(sized(from, "uniqueidentifier", size)),
        },
        token::NUMERIC | token::DECIMAL | token::OLD_NUMERIC | token::OLD_DECIMAL => {
            let _size = from.u8()?;
            let (precision, scale) = (from.u8()?, from.u8()?);
            if !(1..=38).contains(&precision) || scale > precision {
                return Err(from.fail(format!("numeric({precision},{scale}) does not exist")));
            }
            known(SqlType::Numeric { precision, scale }, Form::Byte)
        }
        token::DATE => known(SqlType::Date, Form::Byte),
        token::TIME | token::DATETIME2 | token::DATETIMEOFFSET => {
            let scale = from.u8()?;
            if scale > 7 {
                return Err(from.fail(format!("a time of scale {scale} does not exist")));
            }
            known(
                match token {
                    token::TIME => SqlType::Time(scale),
                    token::DATETIME2 => SqlType::DateTime2(scale),
                    _ => SqlType::DateTimeOffset(scale),
                },
                Form::Byte,
            )
        }
        token::CHAR | token::VARCHAR | token::NCHAR | token::NVARCHAR => {
            let bytes = from.u16()?;
            let collation = read_collation(from)?;
            let (ty, form) = match token {
                token::CHAR => (SqlType::Char(bytes), Form::Short),
                token::NCHAR => (SqlType::NChar(bytes / 2), Form::Short),
                token::VARCHAR => (SqlType::VarChar(length(bytes, 1)), form(bytes)),
                _ => (SqlType::NVarChar(length(bytes, 2)), form(bytes)),
            };
            Ok(Read::Known(TypeInfo { ty, form, collation }))
        }
        token::BINARY => known(SqlType::Binary(from.u16()?), Form::Short),
        token::VARBINARY => {
            let bytes = from.u16()?;
            known(SqlType::VarBinary(length(bytes, 1)), form(bytes))
        }
        token::OLD_CHAR => known(SqlType::Char(from.u8()?.into()), Form::OldByte),
        token::OLD_VARCHAR => {
            let bytes = from.u8()?.into();
            known(SqlType::VarChar(Length::Up(bytes)), Form::OldByte)
        }
        token::OLD_BINARY => known(SqlType::Binary(from.u8()?.into()), Form::OldByte),
        token::OLD_VARBINARY => {
            let bytes = from.u8()?.into();
            known(SqlType::VarBinary(Length::Up(bytes)), Form::OldByte)
        }
        token::TEXT | token::NTEXT => {
            let _length = from.u32()?;
            let collation = read_collation(from)?;
            Ok(Read::Known(TypeInfo {
                ty: match token {
                    token::TEXT => SqlType::Text,
                    _ => SqlType::NText,
                },
                form: Form::Long,
                collation,
            }))
        }
        token::IMAGE => {
            let _length = from.u32()?;
            known(SqlType::Image, Form::Long)
        }
        token::VARIANT => {
            let _length = from.u32()?;
            known(SqlType::Variant, Form::Long)
        }
        token::XML => {
            if from.u8()? != 0 {
                let (_database, _schema) = (from.b_varchar()?, from.b_varchar()?);
                let _collection = from.us_varchar()?;
            }
            known(SqlType::Xml, Form::Chunks)
        }
        token::UDT => Ok(Read::Unsupported("a CLR type")),
        token::TABLE => Ok(Read::Unsupported("a table-valued parameter")),
        other => Err(from.fail(format!("type {other:#04x} does not exist"))),
    }
}

fn read_collation(from: &mut Cursor<'_>) -> Result<[u8; 5], WireError> {
    let mut collation = [0; 5];
    collation.copy_from_slice(from.take(5)?);
    Ok(collation)
}

fn length(bytes: u16, bytes_per_character: u16) -> Length {
    match bytes {
        MAX => Length::Max,
        bytes => Length::Up(bytes / bytes_per_character),
    }
}

fn form(bytes: u16) -> Form {
    match bytes {
        MAX => Form::Chunks,
        _ => Form::Short,
    }
}
