//! Tables are created, altered and dropped.

use super::bind::Binder;
use super::constraints::{parent_key, require_key_of_rows, resolve};
use super::convert::cast;
use super::failures::{cannot_drop, error, invalid_column, name_taken, no_table_to_alter};
use super::host::{Constraint, ConstraintRule, KeyKind, TableRules};
use super::interpret::Run;
use super::parse::{object_name, parse_condition, parse_value};
use super::state::Table;
use super::store::{Target, is_local_temporary, row_scope};
use super::tree::{
    AlterTable, ColumnDefinition, ConstraintDefinition, ConstraintKind, Path, TableShape, same_name,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Relation, Row, SqlType, Value};

impl Run<'_> {
    /// The columns and rules that CREATE TABLE describes.
    fn build(
        &mut self,
        name: &Path,
        shape: &TableShape,
    ) -> Result<(Vec<Column>, TableRules), SqlFailure> {
        let short = name.last();
        for (i, definition) in shape.columns.iter().enumerate() {
            if shape.columns[..i].iter().any(|d| same_name(&d.name, &definition.name)) {
                return Err(error(
                    2705,
                    16,
                    format!(
                        "Column names in each table must be unique. Column name '{}' in table '{short}' is specified more than once.",
                        definition.name
                    ),
                ));
            }
        }
        let mut columns: Vec<Column> = shape
            .columns
            .iter()
            .map(|d| Column { name: d.name.clone().into(), ty: d.ty, nullable: d.nullable })
            .collect();
        let mut rules = TableRules::default();
        for (i, definition) in shape.columns.iter().enumerate() {
            if let Some((seed, step)) = definition.identity {
                if rules.identity.is_some() {
                    return Err(error(
                        2744,
                        16,
                        format!(
                            "Multiple identity columns specified for table '{short}'. Only one identity column per table is allowed."
                        ),
                    ));
                }
                rules.identity = Some((i, seed, step));
                rules.next_identity = seed;
            }
            if let Some((_, text)) = &definition.default {
                rules.defaults.insert(i, text.clone());
            }
            if let Some(text) = &definition.computed {
                let scope = row_scope(&columns, short);
                let value = parse_value(text)?;
                let ty = self
                    .with_context(|context| Ok(Binder::new(context).scalar(&value, &scope)?.ty))?;
                columns[i].ty = ty;
                rules.computed.insert(i, text.clone());
            }
        }
        rules.constraints = self.constraints(name, &shape.constraints, &columns, &[])?;
        Ok((columns, rules))
    }

    /// Constraints as written, resolved; the conditions of checks have to make sense.
    fn constraints(
        &self,
        name: &Path,
        definitions: &[ConstraintDefinition],
        columns: &[Column],
        existing: &[Constraint],
    ) -> Result<Vec<Constraint>, SqlFailure> {
        // A temporary table's foreign keys are not kept.
        let temporary = name.last().starts_with(['#', '@']);
        let kept: Vec<ConstraintDefinition> = definitions
            .iter()
            .filter(|d| !temporary || !matches!(d.kind, ConstraintKind::ForeignKey(..)))
            .cloned()
            .collect();
        self.with_context(|context| {
            let scope = row_scope(columns, name.last());
            for definition in &kept {
                if let ConstraintKind::Check(condition, _) = &definition.kind {
                    Binder::new(context).scalar(&parse_condition(condition)?, &scope)?;
                }
            }
            resolve(&kept, name.last(), columns, existing, |other, key, referenced| {
                // A table may refer to itself before it is there.
                if same_name(other.last(), name.last()) {
                    return Ok(own_key(&kept, referenced));
                }
                parent_key(context, other, key, referenced)
            })
        })
    }

    pub(super) fn create_table(
        &mut self,
        name: &Path,
        shape: &TableShape,
    ) -> Result<(), SqlFailure> {
        let (columns, rules) = self.build(name, shape)?;
        self.create(name, columns, rules, Vec::new())
    }

    pub(super) fn declare_table(
        &mut self,
        name: &str,
        shape: &TableShape,
    ) -> Result<(), SqlFailure> {
        let lower = name.to_lowercase();
        // A DECLARE in a loop keeps the rows.
        if self.frame().tables.contains_key(&lower) {
            return Ok(());
        }
        let (columns, rules) = self.build(&super::interpret::single(name), shape)?;
        let level = self.session.level;
        let table = Table { columns, rules, rows: Vec::new(), level, number: 0 };
        self.frame().tables.insert(lower, table);
        Ok(())
    }

    fn create(
        &mut self,
        name: &Path,
        columns: Vec<Column>,
        rules: TableRules,
        rows: Vec<Row>,
    ) -> Result<(), SqlFailure> {
        let lower = name.last().to_lowercase();
        if is_local_temporary(&lower) {
            // A procedure may make a table of a name that its caller uses, and then sees its own.
            if self.session.tables.get(&lower).is_some_and(|t| t.level == self.session.level) {
                return Err(name_taken(name.last()));
            }
            self.session.table_number += 1;
            let (level, number) = (self.session.level, self.session.table_number);
            let table = Table { columns, rules, rows, level, number };
            if let Some(hidden) = self.session.tables.insert(lower.clone(), table) {
                self.session.hidden.push((lower, hidden));
            }
            return Ok(());
        }
        let object = object_name(name);
        self.host.create_table(&object, columns, rules)?;
        if !rows.is_empty() {
            self.host.insert_minimally(&object, rows)?;
        }
        Ok(())
    }

    /// SELECT … INTO.
    pub(super) fn create_from(
        &mut self,
        name: &Path,
        relation: Relation,
    ) -> Result<(), SqlFailure> {
        if relation.columns.iter().any(|c| c.name.is_empty()) {
            return Err(error(
                1038,
                15,
                "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.",
            ));
        }
        for (i, column) in relation.columns.iter().enumerate() {
            if relation.columns[..i].iter().any(|c| same_name(&c.name, &column.name)) {
                return Err(error(
                    2705,
                    16,
                    format!(
                        "Column names in each table must be unique. Column name '{}' in table '{}' is specified more than once.",
                        column.name,
                        name.last()
                    ),
                ));
            }
        }
        self.create(name, relation.columns, TableRules::default(), relation.rows)
    }

    pub(super) fn drop_table(&mut self, name: &Path, if_exists: bool) -> Result<(), SqlFailure> {
        let lower = name.last().to_lowercase();
        if is_local_temporary(&lower) {
            match self.session.tables.remove(&lower) {
                None if !if_exists => return Err(cannot_drop("table", name.last())),
                None => {}
                Some(_) => {
                    let hidden = self.session.hidden.iter().rposition(|(n, _)| *n == lower);
                    if let Some(at) = hidden {
                        let (name, table) = self.session.hidden.remove(at);
                        self.session.tables.insert(name, table);
                    }
                }
            }
            return Ok(());
        }
        let object = object_name(name);
        let others = self.host.references_to(&object);
        if others.iter().any(|(child, _)| !same_name(&child.name, &object.name)) {
            return Err(error(
                3726,
                16,
                format!(
                    "Could not drop object '{}' because it is referenced by a FOREIGN KEY constraint.",
                    name.parts.join(".")
                ),
            ));
        }
        match self.host.drop_table(&object) {
            Err(failure) if if_exists && failure.cause().number == 3701 => Ok(()),
            other => other,
        }
    }

    pub(super) fn truncate(&mut self, name: &Path) -> Result<(), SqlFailure> {
        let target = self.target(name)?;
        if target.is_kept {
            if let Some(table) = self.kept_mut(name) {
                table.rows.clear();
                table.rules.next_identity = table.rules.identity.map_or(1, |(_, seed, _)| seed);
            }
            return Ok(());
        }
        let name = object_name(name);
        if !self.host.references_to(&name).is_empty() {
            return Err(error(
                4712,
                16,
                format!(
                    "Cannot truncate table '{}' because it is being referenced by a FOREIGN KEY constraint.",
                    name.name
                ),
            ));
        }
        let pairs = target.rows.into_iter().map(|row| (row, None)).collect();
        self.host.change(&name, pairs)?;
        Ok(())
    }

    /// ALTER TABLE.
    pub(super) fn alter_table(
        &mut self,
        name: &Path,
        alter: &AlterTable,
    ) -> Result<(), SqlFailure> {
        let mut target = self.target(name).map_err(|failure| match failure.cause().number {
            208 => no_table_to_alter(&name.parts.join(".")),
            _ => failure,
        })?;
        match alter {
            AlterTable::Add(shape) => self.add_to_table(&mut target, shape)?,
            AlterTable::DropColumn(names, if_exists) => {
                for dropped in names {
                    drop_column(&mut target, dropped, *if_exists)?;
                }
            }
            AlterTable::DropConstraint(names, if_exists) => {
                for dropped in names {
                    drop_constraint(&mut target, dropped, *if_exists)?;
                }
            }
            AlterTable::DropIndex(index, if_exists) => {
                drop_index(&mut target, index, *if_exists)?;
            }
            AlterTable::AlterColumn(column) => alter_column(&mut target, column)?,
        }
        self.replace(target)
    }

    fn add_to_table(&mut self, target: &mut Target, shape: &TableShape) -> Result<(), SqlFailure> {
        let table = target.path.last().to_owned();
        for definition in &shape.columns {
            if target.columns.iter().any(|c| same_name(&c.name, &definition.name)) {
                return Err(error(
                    2705,
                    16,
                    format!(
                        "Column names in each table must be unique. Column name '{}' in table '{table}' is specified more than once.",
                        definition.name
                    ),
                ));
            }
        }
        let at = target.columns.len();
        let added = TableShape { columns: shape.columns.clone(), constraints: Vec::new() };
        let mut whole = TableShape {
            columns: target
                .columns
                .iter()
                .map(|c| ColumnDefinition {
                    name: c.name.to_string(),
                    ty: c.ty,
                    nullable: c.nullable,
                    identity: None,
                    default: None,
                    computed: None,
                })
                .collect(),
            constraints: Vec::new(),
        };
        whole.columns.extend(added.columns);
        let (columns, rules) = self.build(&target.path, &whole)?;
        target.columns.extend(columns.into_iter().skip(at));
        target.rules.defaults.extend(rules.defaults);
        target.rules.computed.extend(rules.computed);
        if rules.identity.is_some() {
            target.rules.identity = rules.identity;
            target.rules.next_identity = rules.next_identity;
        }
        let mut rows = std::mem::take(&mut target.rows);
        for definition in &shape.columns {
            let filled = definition.default.as_ref().filter(|_| !definition.nullable);
            let value = match filled {
                Some((value, _)) => self.scalar_as(value, definition.ty)?,
                None => Value::Null,
            };
            let empty = definition.default.is_none()
                && definition.identity.is_none()
                && definition.computed.is_none();
            if !definition.nullable && empty && !rows.is_empty() {
                return Err(error(
                    4901,
                    16,
                    format!(
                        "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified, or the column being added is an identity or timestamp column, or alternatively if none of the previous conditions are satisfied the table must be empty to allow addition of this column. Column '{}' cannot be added to non-empty table '{table}' because it does not satisfy these conditions.",
                        definition.name
                    ),
                ));
            }
            rows.iter_mut().for_each(|row| row.push(value.clone()));
        }
        if rules.identity.is_some() {
            self.number_rows(target, &mut rows)?;
        }
        self.compute(target, &mut rows)?;
        target.rows = rows;
        for constraint in &shape.constraints {
            if let ConstraintKind::Default(_, text, column) = &constraint.kind {
                let i = column_index(target, column)?;
                target.rules.defaults.insert(i, text.clone());
            }
        }
        let existing = target.rules.constraints.clone();
        let new = self.constraints(&target.path, &shape.constraints, &target.columns, &existing)?;
        for constraint in new {
            require_key_of_rows(target, &constraint)?;
            target.rules.constraints.push(constraint);
        }
        // The rows that are there must satisfy the rest as well.
        let rows = std::mem::take(&mut target.rows);
        self.with_context(|context| {
            let verb = super::store::Verb::AlterTable;
            super::constraints::check(target, verb, &[], &rows, context)
        })?;
        target.rows = rows;
        Ok(())
    }

    /// Puts an altered table in the place of the old one.
    fn replace(&mut self, target: Target) -> Result<(), SqlFailure> {
        if target.is_kept {
            if let Some(table) = self.kept_mut(&target.path) {
                table.columns = target.columns;
                table.rules = target.rules;
                table.rows = target.rows;
            }
            return Ok(());
        }
        self.host.alter_table(&object_name(&target.path), target.columns, target.rules, target.rows)
    }

    /// CREATE INDEX.
    pub(super) fn create_index(
        &mut self,
        name: &str,
        unique: bool,
        table: &Path,
        columns: &[String],
    ) -> Result<(), SqlFailure> {
        let mut target = self.target(table).map_err(|failure| match failure.cause().number {
            208 => error(
                1088,
                16,
                format!("Cannot find the object \"{}\" because it does not exist or you do not have permissions.", table.parts.join(".")),
            ),
            _ => failure,
        })?;
        let definition = ConstraintDefinition {
            name: Some(name.to_owned()),
            kind: if unique {
                ConstraintKind::UniqueIndex(columns.to_vec())
            } else {
                ConstraintKind::Index(columns.to_vec())
            },
        };
        let existing = target.rules.constraints.clone();
        if existing.iter().any(|c| same_name(&c.name, name)) {
            return Err(error(
                1913,
                16,
                format!(
                    "The operation failed because an index or statistics with name '{name}' already exists on table '{}'.",
                    table.parts.join(".")
                ),
            ));
        }
        let new = self.constraints(table, &[definition], &target.columns, &existing)?;
        for constraint in new {
            require_key_of_rows(&target, &constraint)?;
            target.rules.constraints.push(constraint);
        }
        self.replace(target)
    }
}

/// The columns that a reference of a table to itself means.
fn own_key(definitions: &[ConstraintDefinition], referenced: &[String]) -> Vec<String> {
    if !referenced.is_empty() {
        return referenced.to_vec();
    }
    definitions
        .iter()
        .find_map(|d| match &d.kind {
            ConstraintKind::PrimaryKey(columns) => Some(columns.clone()),
            _ => None,
        })
        .unwrap_or_default()
}

fn column_index(target: &Target, name: &str) -> Result<usize, SqlFailure> {
    target.columns.iter().position(|c| same_name(&c.name, name)).ok_or_else(|| invalid_column(name))
}

fn drop_column(target: &mut Target, name: &str, if_exists: bool) -> Result<(), SqlFailure> {
    let Some(at) = target.columns.iter().position(|c| same_name(&c.name, name)) else {
        if if_exists {
            return Ok(());
        }
        return Err(error(
            4924,
            16,
            format!(
                "ALTER TABLE DROP COLUMN failed because column '{name}' does not exist in table '{}'.",
                target.path.last()
            ),
        ));
    };
    let holds = |c: &&Constraint| match &c.rule {
        ConstraintRule::Key { columns, .. } | ConstraintRule::ForeignKey { columns, .. } => {
            columns.contains(&at)
        }
        ConstraintRule::Check { column, .. } => {
            column.as_deref().is_some_and(|column| same_name(column, name))
        }
    };
    if let Some(constraint) = target.rules.constraints.iter().find(holds) {
        let holder = SqlMessage::new(
            5074,
            16,
            format!("The object '{}' is dependent on column '{name}'.", constraint.name),
        );
        let failed = SqlMessage::new(
            4922,
            16,
            format!(
                "ALTER TABLE DROP COLUMN {name} failed because one or more objects access this column."
            ),
        )
        .with_state(9);
        return Err(SqlFailure(vec![holder, failed]));
    }
    target.columns.remove(at);
    target.rows.iter_mut().for_each(|row| {
        row.remove(at);
    });
    let shift = |i: usize| if i > at { i - 1 } else { i };
    let rules = &mut target.rules;
    for texts in [&mut rules.defaults, &mut rules.computed] {
        *texts = std::mem::take(texts)
            .into_iter()
            .filter(|(i, _)| *i != at)
            .map(|(i, text)| (shift(i), text))
            .collect();
    }
    rules.identity =
        rules.identity.filter(|(i, ..)| *i != at).map(|(i, seed, step)| (shift(i), seed, step));
    for constraint in &mut rules.constraints {
        if let ConstraintRule::Key { columns, .. } | ConstraintRule::ForeignKey { columns, .. } =
            &mut constraint.rule
        {
            columns.iter_mut().for_each(|i| *i = shift(*i));
        }
    }
    Ok(())
}

fn drop_constraint(target: &mut Target, name: &str, if_exists: bool) -> Result<(), SqlFailure> {
    let before = target.rules.constraints.len();
    target.rules.constraints.retain(|c| !same_name(&c.name, name));
    if target.rules.constraints.len() < before || if_exists {
        return Ok(());
    }
    Err(SqlFailure(vec![
        error(3728, 16, format!("'{name}' is not a constraint.")).0.remove(0),
        SqlMessage::new(3727, 16, "Could not drop constraint. See previous errors.").with_state(0),
    ]))
}

fn drop_index(target: &mut Target, name: &str, if_exists: bool) -> Result<(), SqlFailure> {
    let is_index = |c: &Constraint| {
        let kind = match &c.rule {
            ConstraintRule::Key { kind, .. } => matches!(kind, KeyKind::Index | KeyKind::Plain),
            _ => false,
        };
        kind && same_name(&c.name, name)
    };
    let before = target.rules.constraints.len();
    target.rules.constraints.retain(|c| !is_index(c));
    if target.rules.constraints.len() < before || if_exists {
        return Ok(());
    }
    Err(cannot_drop("index", &format!("{}.{name}", target.path.parts.join("."))))
}

fn alter_column(target: &mut Target, definition: &ColumnDefinition) -> Result<(), SqlFailure> {
    let at = target.columns.iter().position(|c| same_name(&c.name, &definition.name));
    let Some(at) = at else {
        return Err(error(
            4924,
            16,
            format!(
                "ALTER TABLE ALTER COLUMN failed because column '{}' does not exist in table '{}'.",
                definition.name,
                target.path.last()
            ),
        ));
    };
    let (from, to): (SqlType, SqlType) = (target.columns[at].ty, definition.ty);
    for row in &mut target.rows {
        row[at] = cast(&row[at], from, to, None)?;
        if row[at].is_null() && !definition.nullable {
            return Err(SqlMessage::new(
                515,
                16,
                format!(
                    "Cannot insert the value NULL into column '{}', table '{}'; column does not allow nulls. UPDATE fails.",
                    definition.name,
                    target.shown.full()
                ),
            )
            .with_state(2)
            .into());
        }
    }
    target.columns[at].ty = to;
    target.columns[at].nullable = definition.nullable;
    Ok(())
}
