//! The table that a statement changes: what it is called, what it demands, and how rows reach it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ast::ObjectName;
use super::bind::{Binder, Scope, ScopeColumn};
use super::bound::{Bound, Env};
use super::constraints;
use super::convert::{capacity, cast, integer, is_binary, is_text, to_text};
use super::eval::eval;
use super::failures::{error, invalid_object};
use super::host::TableRules;
use super::interpret::Run;
use super::parse::{object_name, parse_value};
use super::state::Table;
use super::tree::Path;
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Row, SqlType, Value};

/// A table that a statement changes, as it is before.
pub(super) struct Target {
    pub(super) path: Path,
    pub(super) columns: Vec<Column>,
    pub(super) rules: TableRules,
    pub(super) rows: Vec<Row>,
    /// A temporary table or a table variable.
    pub(super) is_kept: bool,
    pub(super) shown: Shown,
}

/// A table's names in errors.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) database: String,
    /// With its schema; a temporary table's as tempdb keeps it.
    pub(super) table: String,
    /// With its schema, as the statement names it.
    pub(super) object: String,
}

impl Shown {
    /// Database, schema and name; a table variable's name alone.
    pub(super) fn full(&self) -> String {
        if self.table.starts_with('@') {
            return self.table.clone();
        }
        format!("{}.{}", self.database, self.table)
    }
}

/// What a statement does to a row, as errors call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
    Delete,
    Merge,
    /// A constraint meets the rows that are there.
    AlterTable,
}

impl Verb {
    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Insert => "INSERT",
            Verb::Update => "UPDATE",
            Verb::Delete => "DELETE",
            Verb::Merge => "MERGE",
            Verb::AlterTable => "ALTER TABLE",
        }
    }
}

/// A row that is changed: its index in [`Target::rows`], and what it becomes (`None`: deleted).
pub(super) type ChangedRow = (usize, Option<Row>);

/// Whether the name is that of a temporary table of this session, and not a global one.
pub(super) fn is_local_temporary(name: &str) -> bool {
    name.starts_with('#') && !name.starts_with("##")
}

/// Columns as an expression over one row sees them.
pub(super) fn row_scope(columns: &[Column], table: &str) -> Scope<'static> {
    let table: Arc<[String]> = Arc::from([table.to_owned()]);
    let columns = columns
        .iter()
        .map(|c| ScopeColumn {
            table: Arc::clone(&table),
            name: c.name.clone(),
            ty: c.ty,
            nullable: c.nullable,
        })
        .collect();
    Scope { columns, outer: None }
}

impl Run<'_> {
    /// The temporary table or table variable of that name; `Ok(None)` for a user table.
    pub(super) fn kept(&self, name: &Path) -> Result<Option<&Table>, SqlFailure> {
        let lower = name.last().to_lowercase();
        let found = if lower.starts_with('@') {
            self.frames.last().and_then(|f| f.tables.get(&lower))
        } else if is_local_temporary(&lower) {
            self.session.tables.get(&lower)
        } else {
            return Ok(None);
        };
        found.map(Some).ok_or_else(|| invalid_object(&name.parts.join(".")).with_state(0))
    }

    pub(super) fn kept_mut(&mut self, name: &Path) -> Option<&mut Table> {
        let lower = name.last().to_lowercase();
        if lower.starts_with('@') {
            self.frame().tables.get_mut(&lower)
        } else {
            self.session.tables.get_mut(&lower)
        }
    }

    /// A table as it is now.
    ///
    /// # Errors
    ///
    /// 208 when there is none, and what the server says of a table that may not be read.
    pub(super) fn target(&self, path: &Path) -> Result<Target, SqlFailure> {
        if let Some(table) = self.kept(path)? {
            return Ok(Target {
                path: path.clone(),
                columns: table.columns.clone(),
                rules: table.rules.clone(),
                rows: table.rows.clone(),
                is_kept: true,
                shown: kept_name(path.last(), table.number),
            });
        }
        let name = object_name(path);
        let relation = self.host.relation(&name, None)?;
        Ok(Target {
            path: path.clone(),
            rules: self.host.table_rules(&name).unwrap_or_default(),
            shown: self.shown(&name),
            columns: relation.columns,
            rows: relation.rows,
            is_kept: false,
        })
    }

    /// A table that gets new rows. A user table's rows are there only if a constraint compares new rows
    /// with them: whoever fills a table would otherwise copy it for each of its rows.
    pub(super) fn target_of_insert(&self, path: &Path) -> Result<Target, SqlFailure> {
        if self.kept(path)?.is_some() {
            return self.target(path);
        }
        let name = object_name(path);
        let columns = self.host.columns(&name)?;
        let rules = self.host.table_rules(&name).unwrap_or_default();
        if !rules.constraints.is_empty() {
            return self.target(path);
        }
        let shown = self.shown(&name);
        Ok(Target { path: path.clone(), rules, shown, columns, rows: Vec::new(), is_kept: false })
    }

    pub(super) fn shown(&self, name: &ObjectName) -> Shown {
        let schema = if name.schema.is_empty() { "dbo" } else { &name.schema };
        let table = format!("{schema}.{}", name.name);
        let database = if name.name.starts_with("##") {
            "tempdb".to_owned()
        } else if name.database.is_empty() {
            self.host.database()
        } else {
            name.database.clone()
        };
        Shown { database, object: table.clone(), table }
    }

    /// Gives new rows their identity values, in order, and notes the last one.
    pub(super) fn number_rows(
        &mut self,
        target: &mut Target,
        rows: &mut [Row],
    ) -> Result<(), SqlFailure> {
        let Some((column, _, step)) = target.rules.identity else {
            return Ok(());
        };
        let ty = target.columns[column].ty;
        let mut last = None;
        for row in rows {
            let value = match integer(&row[column]).or(exact_whole(&row[column])) {
                Some(given) => {
                    let given = i64::try_from(given).unwrap_or(i64::MAX);
                    let next = &mut target.rules.next_identity;
                    if (step >= 0 && given >= *next) || (step < 0 && given <= *next) {
                        *next = given.saturating_add(step);
                    }
                    given
                }
                None => {
                    let next = target.rules.next_identity;
                    row[column] = cast(&Value::BigInt(next), SqlType::BigInt, ty, None).map_err(
                        |_| {
                            error(
                                8115,
                                16,
                                format!(
                                    "Arithmetic overflow error converting IDENTITY to data type {}.",
                                    super::convert::type_name(ty)
                                ),
                            )
                        },
                    )?;
                    target.rules.next_identity = next.saturating_add(step);
                    next
                }
            };
            last = Some(value);
        }
        if last.is_some() {
            self.session.identity = last;
        }
        Ok(())
    }

    /// Fills in the computed columns of rows.
    pub(super) fn compute(&self, target: &Target, rows: &mut [Row]) -> Result<(), SqlFailure> {
        if target.rules.computed.is_empty() || rows.is_empty() {
            return Ok(());
        }
        self.with_context(|context| {
            let scope = row_scope(&target.columns, target.path.last());
            let computed = target
                .rules
                .computed
                .iter()
                .map(|(i, text)| {
                    Ok((*i, Binder::new(context).scalar(&parse_value(text)?, &scope)?))
                })
                .collect::<Result<BTreeMap<usize, Bound>, SqlFailure>>()?;
            for row in rows {
                for (i, bound) in &computed {
                    let value = eval(bound, &Env::of(row, None), context)?;
                    row[*i] = cast(&value, bound.ty, target.columns[*i].ty, None)?;
                }
            }
            Ok(())
        })
    }

    /// Converts a value to a column's type; text and bytes that do not fit are an error, unless only
    /// blanks or zeros are lost.
    pub(super) fn fit(
        &self,
        value: &Value,
        from: SqlType,
        target: &Target,
        column: usize,
    ) -> Result<Value, SqlFailure> {
        let column = &target.columns[column];
        if !self.session.options.cuts_text && !fits(value, from, column.ty) {
            return Err(self.truncated(value, from, target, column));
        }
        cast(value, from, column.ty, None)
    }

    fn truncated(
        &self,
        value: &Value,
        from: SqlType,
        target: &Target,
        column: &Column,
    ) -> SqlFailure {
        if self.major() < 15 {
            let state = if super::convert::is_national(column.ty) { 13 } else { 14 };
            return SqlMessage::new(8152, 16, "String or binary data would be truncated.")
                .with_state(state)
                .into();
        }
        let kept = cast(value, from, column.ty, None).unwrap_or(Value::Null);
        error(
            2628,
            16,
            format!(
                "String or binary data would be truncated in table '{}', column '{}'. Truncated value: '{}'.",
                target.shown.full(),
                column.name,
                to_text(&kept, column.ty, None)
            ),
        )
    }

    /// The server's major version.
    fn major(&self) -> u32 {
        let version = self.host.function("SERVERPROPERTY", &[Value::string("ProductVersion")]);
        match version {
            Some(Ok((ty, value))) => {
                to_text(&value, ty, None).split('.').next().and_then(|n| n.parse().ok())
            }
            _ => None,
        }
        .unwrap_or(0)
    }

    /// The numbers that an INSERT has used stay used when it fails.
    fn skip_identities(&mut self, target: &Target) {
        if target.rules.identity.is_none() {
            return;
        }
        let next = target.rules.next_identity;
        if !target.is_kept {
            self.host.skip_identities(&object_name(&target.path), next);
        } else if let Some(table) = self.kept_mut(&target.path) {
            table.rules.next_identity = next;
        }
    }

    /// Checks what the table demands, then changes it. `changed` and `inserted` are complete rows.
    pub(super) fn apply(
        &mut self,
        target: &Target,
        verb: Verb,
        changed: Vec<ChangedRow>,
        inserted: Vec<Row>,
    ) -> Result<(), SqlFailure> {
        let checked = self
            .with_context(|context| constraints::check(target, verb, &changed, &inserted, context));
        if let Err(failure) = checked {
            self.skip_identities(target);
            return Err(failure);
        }
        if target.is_kept {
            let Some(table) = self.kept_mut(&target.path) else {
                return Err(invalid_object(target.path.last()));
            };
            let mut rows: Vec<Option<Row>> =
                std::mem::take(&mut table.rows).into_iter().map(Some).collect();
            for (index, after) in changed {
                rows[index] = after;
            }
            table.rows = rows.into_iter().flatten().chain(inserted).collect();
            table.rules.next_identity = target.rules.next_identity;
            return Ok(());
        }
        let name = object_name(&target.path);
        if !changed.is_empty() {
            let pairs = changed
                .into_iter()
                .map(|(index, after)| (target.rows[index].clone(), after))
                .collect();
            self.host.change(&name, pairs)?;
        }
        if !inserted.is_empty() {
            self.host.insert(&name, inserted)?;
        }
        Ok(())
    }
}

/// The names of a temporary table or a table variable.
pub(super) fn kept_name(name: &str, number: u32) -> Shown {
    let database = "tempdb".to_owned();
    let object = format!("dbo.{name}");
    if name.starts_with('@') {
        return Shown { database, table: name.to_owned(), object };
    }
    // tempdb pads the name to 116 characters and adds twelve digits that tell sessions apart.
    let table = format!("dbo.{name:_<116}{number:012X}");
    Shown { database, table, object }
}

fn exact_whole(value: &Value) -> Option<i128> {
    match value {
        Value::Numeric { unscaled, scale: 0 } => Some(*unscaled),
        _ => None,
    }
}

/// Whether a conversion to the column's type loses neither characters other than trailing blanks nor
/// bytes other than trailing zeros.
fn fits(value: &Value, from: SqlType, to: SqlType) -> bool {
    let Some(room) = capacity(to).map(|n| n as usize) else {
        return true;
    };
    match value {
        Value::Variant(base, inner) => fits(inner, *base, to),
        Value::String(text) if is_text(to) && is_text(from) => {
            text.len() <= room || text.trim_end_matches(' ').chars().count() <= room
        }
        Value::Binary(bytes) if is_binary(to) && is_binary(from) => {
            bytes.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1) <= room
        }
        Value::Uuid(_) if is_text(to) => room >= 36,
        _ => true,
    }
}
