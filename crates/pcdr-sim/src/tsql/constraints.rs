//! What tables demand of their rows: NOT NULL, keys, checks and references.

use std::collections::BTreeSet;

use super::ast::ObjectName;
use super::bind::Binder;
use super::bound::Env;
use super::convert::{hash_key, to_text};
use super::eval::test;
use super::failures::{error, invalid_object};
use super::host::{Constraint, ConstraintRule, KeyKind};
use super::parse::{object_name, parse_condition};
use super::state::Context;
use super::store::{ChangedRow, Target, Verb, row_scope};
use super::tree::{ConstraintDefinition, ConstraintKind, Path, same_name};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Column, Relation, Row, Value};

/// Checks the rows that a statement makes, and those that it takes away.
///
/// # Errors
///
/// 515, 547, 2601 and 2627.
pub(super) fn check(
    target: &Target,
    verb: Verb,
    changed: &[ChangedRow],
    inserted: &[Row],
    context: &Context<'_>,
) -> Result<(), SqlFailure> {
    let made: Vec<&Row> =
        changed.iter().filter_map(|(_, after)| after.as_ref()).chain(inserted).collect();
    // MERGE names the part of it that fails for a NULL.
    let filling = match verb {
        Verb::Merge if inserted.is_empty() => Verb::Update,
        Verb::Merge => Verb::Insert,
        other => other,
    };
    for row in &made {
        require_values(target, filling, row)?;
    }
    for constraint in &target.rules.constraints {
        match &constraint.rule {
            ConstraintRule::Key { kind: KeyKind::Plain, .. } => {}
            ConstraintRule::Key { columns, kind } => {
                require_unique(target, constraint, columns, *kind, changed, &made)?;
            }
            ConstraintRule::Check { condition, column } => {
                let scope = row_scope(&target.columns, target.path.last());
                let condition =
                    Binder::new(context).scalar(&parse_condition(condition)?, &scope)?;
                for row in &made {
                    if test(&condition, &Env::of(row, None), context)? == Some(false) {
                        return Err(conflict(verb, "CHECK", constraint, target, column.as_deref()));
                    }
                }
            }
            ConstraintRule::ForeignKey { columns, schema, table, referenced } => {
                let other = ObjectName {
                    server: String::new(),
                    database: object_name(&target.path).database,
                    schema: schema.clone(),
                    name: table.clone(),
                };
                let reference = Reference { columns, other: &other, referenced };
                require_parent(target, verb, constraint, &reference, changed, &made, context)?;
            }
        }
    }
    if !target.is_kept && !changed.is_empty() {
        require_no_orphans(target, verb, changed, &made, context)?;
    }
    Ok(())
}

fn require_values(target: &Target, verb: Verb, row: &Row) -> Result<(), SqlFailure> {
    let missing = target.columns.iter().zip(row).find(|(c, value)| !c.nullable && value.is_null());
    let Some((column, _)) = missing else {
        return Ok(());
    };
    Err(SqlMessage::new(
        515,
        16,
        format!(
            "Cannot insert the value NULL into column '{}', table '{}'; column does not allow nulls. {} fails.",
            column.name,
            target.shown.full(),
            verb.word()
        ),
    )
    .with_state(2)
    .into())
}

/// The values of some columns as one text, equal for values that the server takes for equal.
fn key(row: &Row, columns: &[usize]) -> String {
    let mut key = String::new();
    for column in columns {
        let part = hash_key(&row[*column]);
        key += &format!("{}:{part}", part.len());
    }
    key
}

fn require_unique(
    target: &Target,
    constraint: &Constraint,
    columns: &[usize],
    kind: KeyKind,
    changed: &[ChangedRow],
    made: &[&Row],
) -> Result<(), SqlFailure> {
    let gone: BTreeSet<usize> = changed.iter().map(|(index, _)| *index).collect();
    let mut keys: BTreeSet<String> = target
        .rows
        .iter()
        .enumerate()
        .filter(|(index, _)| !gone.contains(index))
        .map(|(_, row)| key(row, columns))
        .collect();
    match made.iter().find(|row| !keys.insert(key(row, columns))) {
        None => Ok(()),
        Some(row) => Err(duplicate(target, constraint, columns, kind, row)),
    }
}

fn duplicate(
    target: &Target,
    constraint: &Constraint,
    columns: &[usize],
    kind: KeyKind,
    row: &Row,
) -> SqlFailure {
    let values: Vec<String> = columns
        .iter()
        .map(|i| match &row[*i] {
            Value::Null => "<NULL>".to_owned(),
            value => to_text(value, target.columns[*i].ty, None),
        })
        .collect();
    let (values, object, name) = (values.join(", "), &target.shown.object, &constraint.name);
    let what = match kind {
        KeyKind::Primary => "PRIMARY KEY",
        KeyKind::Unique => "UNIQUE KEY",
        KeyKind::Index | KeyKind::Plain => {
            return error(
                2601,
                14,
                format!(
                    "Cannot insert duplicate key row in object '{object}' with unique index '{name}'. The duplicate key value is ({values})."
                ),
            );
        }
    };
    error(
        2627,
        14,
        format!(
            "Violation of {what} constraint '{name}'. Cannot insert duplicate key in object '{object}'. The duplicate key value is ({values})."
        ),
    )
}

/// Error 547 for a table that the constraint looks at.
fn conflict(
    verb: Verb,
    what: &str,
    constraint: &Constraint,
    target: &Target,
    column: Option<&str>,
) -> SqlFailure {
    conflict_in(verb, what, &constraint.name, &target.shown.database, &target.shown.table, column)
}

fn conflict_in(
    verb: Verb,
    what: &str,
    name: &str,
    database: &str,
    table: &str,
    column: Option<&str>,
) -> SqlFailure {
    let column = column.map_or_else(String::new, |column| format!(", column '{column}'"));
    SqlMessage::new(
        547,
        16,
        format!(
            "The {} statement conflicted with the {what} constraint \"{name}\". The conflict occurred in database \"{database}\", table \"{table}\"{column}.",
            verb.word()
        ),
    )
    .with_state(0)
    .into()
}

/// A foreign key: own columns, the other table and its columns.
struct Reference<'a> {
    columns: &'a [usize],
    other: &'a ObjectName,
    referenced: &'a [String],
}

fn positions(relation: &Relation, names: &[String]) -> Vec<usize> {
    names
        .iter()
        .filter_map(|name| relation.columns.iter().position(|c| same_name(&c.name, name)))
        .collect()
}

/// Whether the other table of a reference is the changed table itself.
fn is_same(target: &Target, other: &ObjectName) -> bool {
    let own = object_name(&target.path);
    let schema = |name: &ObjectName| {
        if name.schema.is_empty() { "dbo".to_owned() } else { name.schema.clone() }
    };
    same_name(&own.name, &other.name) && same_name(&schema(&own), &schema(other))
}

fn require_parent(
    target: &Target,
    verb: Verb,
    constraint: &Constraint,
    reference: &Reference<'_>,
    changed: &[ChangedRow],
    made: &[&Row],
    context: &Context<'_>,
) -> Result<(), SqlFailure> {
    if made.is_empty() {
        return Ok(());
    }
    let relation = context.host.relation(reference.other, None)?;
    let at = positions(&relation, reference.referenced);
    let mut there: BTreeSet<String> = relation.rows.iter().map(|row| key(row, &at)).collect();
    if is_same(target, reference.other) {
        let gone: BTreeSet<usize> = changed.iter().map(|(index, _)| *index).collect();
        there = target
            .rows
            .iter()
            .enumerate()
            .filter(|(index, _)| !gone.contains(index))
            .map(|(_, row)| key(row, &at))
            .chain(made.iter().map(|row| key(row, &at)))
            .collect();
    }
    let refers = |row: &&&Row| !reference.columns.iter().any(|i| row[*i].is_null());
    if made.iter().filter(refers).all(|row| there.contains(&key(row, reference.columns))) {
        return Ok(());
    }
    let column = match reference.referenced {
        [one] => Some(one.as_str()),
        _ => None,
    };
    let schema = if reference.other.schema.is_empty() { "dbo" } else { &reference.other.schema };
    let what =
        if is_same(target, reference.other) { "FOREIGN KEY SAME TABLE" } else { "FOREIGN KEY" };
    let table = format!("{schema}.{}", reference.other.name);
    Err(conflict_in(verb, what, &constraint.name, &target.shown.database, &table, column))
}

/// Rows that others refer to may not go.
fn require_no_orphans(
    target: &Target,
    verb: Verb,
    changed: &[ChangedRow],
    made: &[&Row],
    context: &Context<'_>,
) -> Result<(), SqlFailure> {
    let own = object_name(&target.path);
    let own_relation = Relation { columns: target.columns.clone(), rows: Vec::new() };
    for (child, constraint) in context.host.references_to(&own) {
        let ConstraintRule::ForeignKey { columns, referenced, .. } = &constraint.rule else {
            continue;
        };
        let at = positions(&own_relation, referenced);
        let remaining: BTreeSet<String> = made.iter().map(|row| key(row, &at)).collect();
        let gone: BTreeSet<String> = changed
            .iter()
            .map(|(index, _)| key(&target.rows[*index], &at))
            .filter(|key| !remaining.contains(key))
            .collect();
        if gone.is_empty() {
            continue;
        }
        let itself = is_same(target, &child);
        let relation = context.host.relation(&child, None)?;
        // A row that refers to itself, or that goes by the same statement, holds nothing.
        let leaving: BTreeSet<usize> = changed.iter().map(|(index, _)| *index).collect();
        let held = if itself {
            target
                .rows
                .iter()
                .enumerate()
                .filter(|(index, _)| !leaving.contains(index))
                .any(|(_, row)| gone.contains(&key(row, columns)))
        } else {
            relation.rows.iter().any(|row| gone.contains(&key(row, columns)))
        };
        if held {
            let column = match columns.as_slice() {
                [one] => relation.columns.get(*one).map(|c| &*c.name),
                _ => None,
            };
            let what = if itself { "SAME TABLE REFERENCE" } else { "REFERENCE" };
            let table = format!("{}.{}", child.schema, child.name);
            return Err(conflict_in(
                verb,
                what,
                &constraint.name,
                &target.shown.database,
                &table,
                column,
            ));
        }
    }
    Ok(())
}

/// A name such as the server makes for a constraint that has none: what it is, the table's first
/// letters, and eight bytes in hexadecimal.
fn made_up(prefix: &str, table: &str, seed: &str) -> String {
    // FNV-1a: the same statement gets the same name again.
    let hash = format!("{table} {prefix} {seed}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let (short, digits): (String, String) = match prefix {
        "CK" | "DF" => (
            table.chars().take(9).collect(),
            format!("{}__{:08X}", seed.chars().take(5).collect::<String>(), hash as u32),
        ),
        "FK" => (
            table.chars().take(9).collect(),
            format!("{}__{:08X}", seed.chars().take(5).collect::<String>(), hash as u32),
        ),
        _ => (table.chars().take(8).collect(), format!("{hash:016X}")),
    };
    format!("{prefix}__{short}__{digits}")
}

/// Constraints as written to constraints over columns by index. `parent` finds the columns of another
/// table's primary key.
///
/// # Errors
///
/// 1911 for a column that is not there, 8110 for a second primary key, 1767 and 1776 for a foreign key
/// that refers to nothing.
pub(super) fn resolve(
    definitions: &[ConstraintDefinition],
    table: &str,
    columns: &[Column],
    existing: &[Constraint],
    parent: impl Fn(&Path, &str, &[String]) -> Result<Vec<String>, SqlFailure>,
) -> Result<Vec<Constraint>, SqlFailure> {
    let index = |name: &String| -> Result<usize, SqlFailure> {
        columns.iter().position(|c| same_name(&c.name, name)).ok_or_else(|| {
            error(
                1911,
                16,
                format!("Column name '{name}' does not exist in the target table or view."),
            )
        })
    };
    let indexes = |names: &[String]| names.iter().map(index).collect::<Result<Vec<_>, _>>();
    let mut all = existing.to_vec();
    for definition in definitions {
        let named = |prefix: &str, seed: &str| {
            definition.name.clone().unwrap_or_else(|| made_up(prefix, table, seed))
        };
        let constraint = match &definition.kind {
            ConstraintKind::PrimaryKey(names) => {
                let is_primary = |c: &Constraint| {
                    matches!(c.rule, ConstraintRule::Key { kind: KeyKind::Primary, .. })
                };
                if all.iter().any(is_primary) {
                    let text =
                        format!("Cannot add multiple PRIMARY KEY constraints to table '{table}'.");
                    return Err(SqlMessage::new(8110, 16, text).with_state(0).into());
                }
                let rule = ConstraintRule::Key { columns: indexes(names)?, kind: KeyKind::Primary };
                Constraint { name: named("PK", &names.join(",")), rule }
            }
            ConstraintKind::Unique(names) => {
                let rule = ConstraintRule::Key { columns: indexes(names)?, kind: KeyKind::Unique };
                Constraint { name: named("UQ", &names.join(",")), rule }
            }
            ConstraintKind::UniqueIndex(names) => {
                let rule = ConstraintRule::Key { columns: indexes(names)?, kind: KeyKind::Index };
                Constraint { name: named("IX", &names.join(",")), rule }
            }
            ConstraintKind::Index(names) => {
                let rule = ConstraintRule::Key { columns: indexes(names)?, kind: KeyKind::Plain };
                Constraint { name: named("IX", &names.join(",")), rule }
            }
            ConstraintKind::Check(condition, column) => {
                let name = named("CK", column.as_deref().unwrap_or(condition));
                let rule =
                    ConstraintRule::Check { condition: condition.clone(), column: column.clone() };
                Constraint { name, rule }
            }
            ConstraintKind::ForeignKey(names, other, referenced) => {
                let name = named("FK", &names.join(","));
                let own = indexes(names)?;
                let referenced = parent(other, &name, referenced)?;
                let other = object_name(other);
                Constraint {
                    name,
                    rule: ConstraintRule::ForeignKey {
                        columns: own,
                        schema: if other.schema.is_empty() {
                            "dbo".to_owned()
                        } else {
                            other.schema
                        },
                        table: other.name,
                        referenced,
                    },
                }
            }
            ConstraintKind::Default(..) => continue,
        };
        all.push(constraint);
    }
    Ok(all.split_off(existing.len()))
}

/// Error 1776 with 1750, or 1767, for a foreign key that refers to nothing unique.
pub(super) fn no_parent(name: &str, table: &str, exists: bool) -> SqlFailure {
    let cause = if exists {
        SqlMessage::new(
            1776,
            16,
            format!(
                "There are no primary or candidate keys in the referenced table '{table}' that match the referencing column list in the foreign key '{name}'."
            ),
        )
    } else {
        SqlMessage::new(
            1767,
            16,
            format!("Foreign key '{name}' references invalid table '{table}'."),
        )
    };
    SqlFailure(vec![
        cause.with_state(0),
        SqlMessage::new(1750, 16, "Could not create constraint or index. See previous errors.")
            .with_state(1),
    ])
}

/// Whether rows that are there already satisfy a new key.
///
/// # Errors
///
/// 1505 with 1750 when two of them are equal in it.
pub(super) fn require_key_of_rows(
    target: &Target,
    constraint: &Constraint,
) -> Result<(), SqlFailure> {
    let ConstraintRule::Key { columns, kind } = &constraint.rule else {
        return Ok(());
    };
    if *kind == KeyKind::Plain {
        return Ok(());
    }
    let mut keys = BTreeSet::new();
    let Some(row) = target.rows.iter().find(|row| !keys.insert(key(row, columns))) else {
        return Ok(());
    };
    let values: Vec<String> = columns
        .iter()
        .map(|i| match &row[*i] {
            Value::Null => "<NULL>".to_owned(),
            value => to_text(value, target.columns[*i].ty, None),
        })
        .collect();
    let cause = SqlMessage::new(
        1505,
        16,
        format!(
            "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object name '{}' and the index name '{}'. The duplicate key value is ({}).",
            target.shown.object,
            constraint.name,
            values.join(", ")
        ),
    );
    let mut failure = SqlFailure::from(cause);
    if *kind != KeyKind::Index {
        failure.0.push(SqlMessage::new(
            1750,
            16,
            "Could not create constraint or index. See previous errors.",
        ));
    }
    Err(failure)
}

/// The columns that a foreign key refers to: those named, or the primary key's.
///
/// # Errors
///
/// 1767 and 1776.
pub(super) fn parent_key(
    context: &Context<'_>,
    other: &Path,
    name: &str,
    referenced: &[String],
) -> Result<Vec<String>, SqlFailure> {
    let shown = other.parts.join(".");
    let object = object_name(other);
    let relation =
        context.host.relation(&object, None).map_err(|failure| match failure.cause().number {
            208 => no_parent(name, &shown, false),
            _ => failure,
        })?;
    let rules = context.host.table_rules(&object).ok_or_else(|| invalid_object(&shown))?;
    let found = rules.constraints.iter().find_map(|constraint| match &constraint.rule {
        ConstraintRule::Key { columns, kind } if *kind != KeyKind::Plain => {
            let names: Vec<String> =
                columns.iter().map(|i| relation.columns[*i].name.to_string()).collect();
            let wanted = if referenced.is_empty() {
                *kind == KeyKind::Primary
            } else {
                names.len() == referenced.len()
                    && referenced.iter().all(|r| names.iter().any(|n| same_name(n, r)))
            };
            wanted.then(|| if referenced.is_empty() { names } else { referenced.to_vec() })
        }
        _ => None,
    });
    found.ok_or_else(|| no_parent(name, &shown, true))
}
