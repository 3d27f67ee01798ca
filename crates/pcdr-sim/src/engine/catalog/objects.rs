//! Schemas, tables, columns and types of a database.
//!
//! Source: the vendor's pages "Object catalog views" and "Information schema views".

use super::columns::objects as columns;
use super::columns::{ColumnDef, not_null, null, text};
use super::{Named, View, rows};
use crate::engine::modules;
use crate::engine::msdb::{MsdbTable, backup_history};
use crate::engine::state::Database;
use crate::message::SqlFailure;
use crate::value::{Column, Length, Relation, SqlType, Value};

/// The schemas of every database, and their ids.
const SCHEMAS: &[(&str, i32)] = &[("dbo", 1), ("guest", 2), ("INFORMATION_SCHEMA", 3), ("sys", 4)];

fn schema_ids(database: &Database) -> Vec<(String, i32)> {
    let mut all: Vec<(String, i32)> = SCHEMAS.iter().map(|(n, i)| ((*n).to_owned(), *i)).collect();
    for table in database.storage.tables.values() {
        let name = &table.definition.schema;
        if !all.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
            let next = i32::try_from(all.len()).unwrap_or(0) + 1;
            all.push((name.clone(), next));
        }
    }
    all
}

/// `sys.schemas`.
pub(super) fn schemas(view: View<'_>, database: &str) -> Relation {
    let named = view
        .instance
        .database(database)
        .map(schema_ids)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, id)| {
            vec![
                ("name", Value::string(name)),
                ("schema_id", Value::Int(id)),
                ("principal_id", Value::Int(id.min(4))),
            ]
        })
        .collect();
    rows(columns::SCHEMAS, view.major(), named)
}

/// A table as the views show it: name, schema, id, columns, when created, identity column.
struct Shown {
    name: String,
    schema: String,
    id: i32,
    columns: Vec<Column>,
    created: jiff::Timestamp,
    identity: Option<usize>,
    is_system: bool,
}

/// First `object_id` of the tables of `msdb`.
const MSDB_OBJECTS: i32 = 1_000_000;

/// The tables of `msdb`: name, columns, and the column that the server numbers.
fn msdb_tables() -> impl Iterator<Item = backup_history::NamedTable> {
    let tables = MsdbTable::ALL.iter().map(|t| (t.name(), t.columns(), t.identity()));
    tables.chain(backup_history::TABLES)
}

fn shown(view: View<'_>, database: &str) -> Vec<Shown> {
    let Some(database) = view.instance.database(database) else {
        return Vec::new();
    };
    let own = view.session.transactions.get(&database.name.to_lowercase()).copied();
    let mut all: Vec<Shown> = database
        .storage
        .tables
        .values()
        .filter(|t| t.visible_to(own) && t.definition.schema != "sys")
        .map(|t| Shown {
            name: t.definition.name.clone(),
            schema: t.definition.schema.clone(),
            id: t.definition.object_id,
            columns: t.definition.columns.clone(),
            created: t.definition.created,
            identity: t.definition.identity.map(|(i, _, _)| i),
            is_system: false,
        })
        .collect();
    if database.name == "msdb" {
        for (i, (name, columns, identity)) in msdb_tables().enumerate() {
            let columns = super::of_release(columns, view.major());
            all.push(Shown {
                name: name.to_owned(),
                schema: "dbo".to_owned(),
                id: MSDB_OBJECTS + i32::try_from(i).unwrap_or(0),
                identity: identity.and_then(|name| columns.iter().position(|c| c.name == name)),
                columns,
                created: database.created,
                is_system: true,
            });
        }
    }
    all
}

/// The id of a table of a database by its one- or two-part name.
pub(super) fn object_id(database: &Database, name: &str) -> Option<i32> {
    let parts: Vec<&str> = name.split('.').map(|p| p.trim_matches(['[', ']'])).collect();
    let table = parts.last()?;
    let schema = parts.len().checked_sub(2).map_or("dbo", |i| parts[i]);
    let schema = if schema.is_empty() { "dbo" } else { schema };
    let key = crate::engine::storage::table_key(schema, table);
    if let Some(found) = database.storage.tables.get(&key).filter(|_| schema != "sys") {
        return Some(found.definition.object_id);
    }
    let msdb = msdb_tables()
        .position(|(name, ..)| name.eq_ignore_ascii_case(table))
        .filter(|_| database.name == "msdb" && schema.eq_ignore_ascii_case("dbo"))?;
    Some(MSDB_OBJECTS + i32::try_from(msdb).unwrap_or(0))
}

/// The name of a table of a database by its id, with its schema.
pub(super) fn object_name(database: &Database, id: i32) -> Option<(String, String)> {
    let user = database
        .storage
        .tables
        .values()
        .find(|t| t.definition.object_id == id)
        .map(|t| (t.definition.schema.clone(), t.definition.name.clone()));
    let module = || {
        let found = modules::all(database, None).into_iter().find(|m| m.object_id == id)?;
        Some((found.schema, found.name))
    };
    user.or_else(module).or_else(|| {
        let at = usize::try_from(id.checked_sub(MSDB_OBJECTS)?).ok()?;
        let (name, ..) = msdb_tables().nth(at).filter(|_| database.name == "msdb")?;
        Some(("dbo".to_owned(), name.to_owned()))
    })
}

fn object(view: View<'_>, schemas: &[(String, i32)], table: &Shown) -> Named {
    let schema = schemas.iter().find(|(n, _)| n.eq_ignore_ascii_case(&table.schema));
    vec![
        ("name", Value::string(&table.name)),
        ("object_id", Value::Int(table.id)),
        ("schema_id", Value::Int(schema.map_or(1, |s| s.1))),
        ("type", Value::string("U ")),
        ("type_desc", Value::string("USER_TABLE")),
        ("create_date", view.local(table.created)),
        ("modify_date", view.local(table.created)),
        ("is_ms_shipped", Value::Bit(table.is_system)),
    ]
}

/// `sys.objects`: tables, and the procedures, functions and views of users.
pub(super) fn objects(view: View<'_>, database: &str) -> Relation {
    let schemas = view.instance.database(database).map(schema_ids).unwrap_or_default();
    let mut named: Vec<Named> =
        shown(view, database).iter().map(|t| object(view, &schemas, t)).collect();
    named.extend(modules_of(view, database).iter().map(|m| {
        let schema = schemas.iter().find(|(n, _)| n.eq_ignore_ascii_case(&m.schema));
        let described = match m.object_type.trim_end() {
            "P" => "SQL_STORED_PROCEDURE",
            "V" => "VIEW",
            "IF" => "SQL_INLINE_TABLE_VALUED_FUNCTION",
            _ => "SQL_SCALAR_FUNCTION",
        };
        vec![
            ("name", Value::string(&m.name)),
            ("object_id", Value::Int(m.object_id)),
            ("schema_id", Value::Int(schema.map_or(1, |s| s.1))),
            ("type", Value::string(&m.object_type)),
            ("type_desc", Value::string(described)),
            ("create_date", Value::DateTime(m.modified)),
            ("modify_date", Value::DateTime(m.modified)),
        ]
    }));
    rows(columns::OBJECTS, view.major(), named)
}

fn modules_of(view: View<'_>, database: &str) -> Vec<modules::Shown> {
    let Some(database) = view.instance.database(database) else {
        return Vec::new();
    };
    let own = view.session.transactions.get(&database.name.to_lowercase()).copied();
    modules::all(database, own)
}

/// The definition of a module by its id.
pub(super) fn definition(view: View<'_>, id: i64) -> Option<String> {
    let all = modules_of(view, &view.session.database);
    all.into_iter().find(|m| i64::from(m.object_id) == id).map(|m| m.text)
}

/// The id and type of a module by its one- or two-part name.
pub(super) fn module_id(view: View<'_>, database: &str, dotted: &str) -> Option<(i32, String)> {
    let (schema, name) = dotted.split_once('.').unwrap_or(("dbo", dotted));
    let schema = if schema.is_empty() { "dbo" } else { schema };
    let all = modules_of(view, database);
    all.into_iter()
        .find(|m| {
            m.schema.eq_ignore_ascii_case(schema) && m.name.to_lowercase() == name.to_lowercase()
        })
        .map(|m| (m.object_id, m.object_type.trim_end().to_owned()))
}

/// `sys.tables`.
pub(super) fn tables(view: View<'_>, database: &str) -> Relation {
    let schemas = view.instance.database(database).map(schema_ids).unwrap_or_default();
    let named = shown(view, database)
        .iter()
        .map(|t| {
            let mut row = object(view, &schemas, t);
            row.push(("max_column_id_used", Value::BigInt(t.columns.len() as i64)));
            row
        })
        .collect();
    rows(columns::TABLES, view.major(), named)
}

/// A type as the catalogue describes it: name, system type id, bytes, precision, scale.
fn described(ty: SqlType) -> (&'static str, u8, i16, u8, u8) {
    let bytes = |n: u16, width: i16| i16::try_from(n).unwrap_or(i16::MAX / 2) * width;
    let long = |length: Length, width: i16| match length {
        Length::Up(n) => bytes(n, width),
        Length::Max => -1,
    };
    match ty {
        SqlType::Bit => ("bit", 104, 1, 1, 0),
        SqlType::TinyInt => ("tinyint", 48, 1, 3, 0),
        SqlType::SmallInt => ("smallint", 52, 2, 5, 0),
        SqlType::Int => ("int", 56, 4, 10, 0),
        SqlType::BigInt => ("bigint", 127, 8, 19, 0),
        SqlType::Real => ("real", 59, 4, 24, 0),
        SqlType::Float => ("float", 62, 8, 53, 0),
        SqlType::Money => ("money", 60, 8, 19, 4),
        SqlType::Numeric { precision, scale } => {
            let size = match precision {
                ..=9 => 5,
                10..=19 => 9,
                20..=28 => 13,
                _ => 17,
            };
            ("numeric", 108, size, precision, scale)
        }
        SqlType::Char(n) => ("char", 175, bytes(n, 1), 0, 0),
        SqlType::VarChar(n) => ("varchar", 167, long(n, 1), 0, 0),
        SqlType::NChar(n) => ("nchar", 239, bytes(n, 2), 0, 0),
        SqlType::NVarChar(n) => ("nvarchar", 231, long(n, 2), 0, 0),
        SqlType::Binary(n) => ("binary", 173, bytes(n, 1), 0, 0),
        SqlType::VarBinary(n) => ("varbinary", 165, long(n, 1), 0, 0),
        SqlType::UniqueIdentifier => ("uniqueidentifier", 36, 16, 0, 0),
        SqlType::Date => ("date", 40, 3, 10, 0),
        SqlType::Time(s) => ("time", 41, 5, 16, s),
        SqlType::SmallDateTime => ("smalldatetime", 58, 4, 16, 0),
        SqlType::DateTime => ("datetime", 61, 8, 23, 3),
        SqlType::DateTime2(s) => ("datetime2", 42, 8, 27, s),
        SqlType::DateTimeOffset(s) => ("datetimeoffset", 43, 10, 34, s),
        SqlType::Variant => ("sql_variant", 98, 8016, 0, 0),
        SqlType::Xml => ("xml", 241, -1, 0, 0),
        SqlType::Text => ("text", 35, 16, 0, 0),
        SqlType::NText => ("ntext", 99, 16, 0, 0),
        SqlType::Image => ("image", 34, 16, 0, 0),
    }
}

fn is_text(name: &str) -> bool {
    name.ends_with("char") || name.ends_with("text")
}

/// `sys.columns`.
pub(super) fn columns(view: View<'_>, database: &str) -> Relation {
    let collation =
        view.instance.database(database).map_or(Value::Null, |d| Value::string(&d.collation));
    let mut named = Vec::new();
    for table in shown(view, database) {
        for (i, column) in table.columns.iter().enumerate() {
            let (name, id, length, precision, scale) = described(column.ty);
            let of_text = if is_text(name) { collation.clone() } else { Value::Null };
            named.push(vec![
                ("object_id", Value::Int(table.id)),
                ("name", Value::string(&column.name)),
                ("column_id", Value::BigInt(i as i64 + 1)),
                ("system_type_id", Value::TinyInt(id)),
                ("user_type_id", Value::Int(i32::from(id))),
                ("max_length", Value::SmallInt(length)),
                ("precision", Value::TinyInt(precision)),
                ("scale", Value::TinyInt(scale)),
                ("collation_name", of_text),
                ("is_nullable", Value::Bit(column.nullable)),
                ("is_ansi_padded", Value::Bit(is_text(name))),
                ("is_identity", Value::Bit(table.identity == Some(i))),
            ]);
        }
    }
    rows(columns::COLUMNS, view.major(), named)
}

/// The types of every release.
const TYPES: &[SqlType] = &[
    SqlType::Image,
    SqlType::Text,
    SqlType::UniqueIdentifier,
    SqlType::Date,
    SqlType::Time(7),
    SqlType::DateTime2(7),
    SqlType::DateTimeOffset(7),
    SqlType::TinyInt,
    SqlType::SmallInt,
    SqlType::Int,
    SqlType::SmallDateTime,
    SqlType::Real,
    SqlType::Money,
    SqlType::DateTime,
    SqlType::Float,
    SqlType::Variant,
    SqlType::NText,
    SqlType::Bit,
    SqlType::Numeric { precision: 38, scale: 38 },
    SqlType::BigInt,
    SqlType::VarBinary(Length::Up(8000)),
    SqlType::VarChar(Length::Up(8000)),
    SqlType::Binary(8000),
    SqlType::Char(8000),
    SqlType::NVarChar(Length::Up(4000)),
    SqlType::NChar(4000),
    SqlType::Xml,
];

/// `sys.types`, with `sysname` as the one alias.
pub(super) fn types(view: View<'_>) -> Relation {
    let describe = |name: &str, user_id: i32, ty: SqlType| {
        let (_, id, length, precision, scale) = described(ty);
        vec![
            ("name", Value::string(name)),
            ("system_type_id", Value::TinyInt(id)),
            ("user_type_id", Value::Int(user_id)),
            ("schema_id", Value::Int(4)),
            ("max_length", Value::SmallInt(length)),
            ("precision", Value::TinyInt(precision)),
            ("scale", Value::TinyInt(scale)),
            ("is_nullable", Value::Bit(name != "sysname")),
        ]
    };
    let mut named: Vec<Named> = TYPES
        .iter()
        .map(|ty| {
            let (name, id, ..) = described(*ty);
            describe(name, i32::from(id), *ty)
        })
        .collect();
    named.push(describe("sysname", 256, SqlType::SYSNAME));
    rows(columns::TYPES, view.major(), named)
}

const IS_TABLES: &[ColumnDef] = &[
    null("TABLE_CATALOG", text(128)),
    null("TABLE_SCHEMA", SqlType::SYSNAME),
    not_null("TABLE_NAME", SqlType::SYSNAME),
    null("TABLE_TYPE", SqlType::VarChar(Length::Up(10))),
];

const IS_COLUMNS: &[ColumnDef] = &[
    null("TABLE_CATALOG", text(128)),
    null("TABLE_SCHEMA", text(128)),
    not_null("TABLE_NAME", text(128)),
    null("COLUMN_NAME", text(128)),
    null("ORDINAL_POSITION", SqlType::Int),
    null("IS_NULLABLE", SqlType::VarChar(Length::Up(3))),
    null("DATA_TYPE", text(128)),
    null("CHARACTER_MAXIMUM_LENGTH", SqlType::Int),
];

/// `INFORMATION_SCHEMA.TABLES` and `.COLUMNS`.
pub(super) fn information_schema(
    view: View<'_>,
    database: &str,
    object: &str,
) -> Option<Result<Relation, SqlFailure>> {
    let catalog = view.instance.database(database)?.name.clone();
    let place = |table: &Shown| -> Named {
        vec![
            ("TABLE_CATALOG", Value::string(&catalog)),
            ("TABLE_SCHEMA", Value::string(&table.schema)),
            ("TABLE_NAME", Value::string(&table.name)),
        ]
    };
    let all = shown(view, database);
    let (defs, named) = match object {
        "tables" => {
            let one = |t: &Shown| {
                let mut row = place(t);
                row.push(("TABLE_TYPE", Value::string("BASE TABLE")));
                row
            };
            (IS_TABLES, all.iter().map(one).collect())
        }
        "columns" => {
            let mut named = Vec::new();
            for t in &all {
                for (i, c) in t.columns.iter().enumerate() {
                    let (name, _, length, ..) = described(c.ty);
                    let width = if name.starts_with('n') { 2 } else { 1 };
                    let characters = match c.ty {
                        SqlType::Text | SqlType::Image => i32::MAX,
                        SqlType::NText => i32::MAX / 2,
                        _ if length < 0 => -1,
                        _ => i32::from(length / width),
                    };
                    let mut row = place(t);
                    row.extend([
                        ("COLUMN_NAME", Value::string(&c.name)),
                        ("ORDINAL_POSITION", Value::BigInt(i as i64 + 1)),
                        ("IS_NULLABLE", Value::string(if c.nullable { "YES" } else { "NO" })),
                        ("DATA_TYPE", Value::string(name)),
                    ]);
                    if is_text(name) || name.ends_with("binary") || name == "image" {
                        row.push(("CHARACTER_MAXIMUM_LENGTH", Value::Int(characters)));
                    }
                    named.push(row);
                }
            }
            (IS_COLUMNS, named)
        }
        _ => return None,
    };
    Some(Ok(rows(defs, view.major(), named)))
}
