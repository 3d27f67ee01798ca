//! The columns of every table, view and table-valued function that the stand-in offers: names,
//! order, types, nullability, and the first release that has the column.
//!
//! These lists are data: [`super::columns`] turns them into the columns of one release.

pub mod log_shipping;
pub mod msdb;
pub mod objects;
pub mod security;
pub mod server;

use crate::value::{Column, Length, SqlType};

/// One column of a catalogue relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnDef {
    /// Name, as the vendor spells it.
    pub name: &'static str,
    /// Declared type.
    pub ty: SqlType,
    /// Whether NULL may occur.
    pub nullable: bool,
    /// First major version that has the column (13 is SQL Server 2016); 0: all of them.
    pub since: u8,
}

impl ColumnDef {
    /// The same column, but only from a release on.
    #[must_use]
    pub const fn since(mut self, major: u8) -> ColumnDef {
        self.since = major;
        self
    }
}

/// A column that never holds NULL.
pub const fn not_null(name: &'static str, ty: SqlType) -> ColumnDef {
    ColumnDef { name, ty, nullable: false, since: 0 }
}

/// A column that may hold NULL.
pub const fn null(name: &'static str, ty: SqlType) -> ColumnDef {
    ColumnDef { name, ty, nullable: true, since: 0 }
}

/// `nvarchar(n)`.
pub const fn text(characters: u16) -> SqlType {
    SqlType::nvarchar(characters)
}

/// `varbinary(n)`.
pub const fn bytes(length: u16) -> SqlType {
    SqlType::VarBinary(Length::Up(length))
}

/// The columns that a release has, as a result set describes them.
pub fn of_release(columns: &[ColumnDef], major: u8) -> Vec<Column> {
    columns
        .iter()
        .filter(|c| c.since <= major)
        .map(|c| Column { name: c.name.into(), ty: c.ty, nullable: c.nullable })
        .collect()
}
