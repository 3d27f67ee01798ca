//! Statements that change rows and tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bind::{Binder, Collector, Scope, ScopeColumn, coerce};
use super::bound::{Bound, Env, Node};
use super::convert::cast;
use super::eval::{eval, test};
use super::failures::{error, invalid_column, invalid_object};
use super::host::{Sink, TableRules};
use super::interpret::{Flow, Outcome, Run};
use super::parse::{object_name, parse_value};
use super::plan::{HIDDEN, SourcePlan};
use super::state::{Context, Table};
use super::tree::{
    ArgumentValue, Change, ColumnDefinition, Expr, Insert, InsertSource, Item, Output, Path,
    Source, same_name,
};
use crate::message::SqlFailure;
use crate::value::{Column, Relation, Row, SqlType, Value};

/// A row before and after an UPDATE or DELETE, with the assigned variables.
struct Changed {
    pairs: Vec<(usize, Row, Option<Row>)>,
    variables: BTreeMap<String, Value>,
    output: Option<Relation>,
}

impl Run<'_> {
    /// The columns of a table, its identity column and its defaults.
    #[allow(clippy::type_complexity, reason = "three facts of one table")]
    fn target(
        &self,
        name: &Path,
    ) -> Result<(Vec<Column>, Option<usize>, Vec<Option<Expr>>), SqlFailure> {
        if let Some(table) = self.kept(name)? {
            let identity = table.definitions.iter().position(|d| d.identity.is_some());
            let default = |d: &ColumnDefinition| d.default.as_ref().map(|(value, _)| value.clone());
            let defaults = table.definitions.iter().map(default).collect();
            return Ok((table.columns(), identity, defaults));
        }
        let name = object_name(name);
        let columns = self.host.columns(&name)?;
        let rules = self.host.table_rules(&name).unwrap_or_default();
        let defaults = (0..columns.len())
            .map(|i| rules.defaults.get(&i).map(|text| parse_value(text)).transpose())
            .collect::<Result<_, _>>()?;
        Ok((columns, rules.identity.map(|(column, ..)| column), defaults))
    }

    /// The temporary table or table variable of that name; `Ok(None)` for a user table.
    fn kept(&self, name: &Path) -> Result<Option<&Table>, SqlFailure> {
        let lower = name.last().to_lowercase();
        let found = if lower.starts_with('@') {
            self.frames.last().and_then(|f| f.tables.get(&lower))
        } else if lower.starts_with('#') {
            self.session.tables.get(&lower)
        } else {
            return Ok(None);
        };
        found.map(Some).ok_or_else(|| invalid_object(&name.parts.join(".")))
    }

    fn kept_mut(&mut self, name: &Path) -> Option<&mut Table> {
        let lower = name.last().to_lowercase();
        if lower.starts_with('@') {
            self.frame().tables.get_mut(&lower)
        } else {
            self.session.tables.get_mut(&lower)
        }
    }

    pub(super) async fn insert(&mut self, insert: &Insert) -> Outcome {
        let source = match &insert.source {
            InsertSource::Execute(execute) => {
                let (flow, rows) = self.capture(execute).await?;
                if flow == Flow::Abort {
                    return Ok(flow);
                }
                // The rows arrive with the types that the procedure gave them.
                Some(rows)
            }
            _ => None,
        };
        self.host.running("INSERT");
        match self.insert_rows(insert, source) {
            Ok((count, output)) => {
                self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
                match output {
                    Some(relation) => self.out.result(relation, 195).await,
                    None => self.out.done(195, Some(count), false).await,
                }
                Ok(Flow::Next)
            }
            Err(failure) => Err(self.raised(failure)),
        }
    }

    fn insert_rows(
        &mut self,
        insert: &Insert,
        captured: Option<Vec<Row>>,
    ) -> Result<(u64, Option<Relation>), SqlFailure> {
        let (columns, identity, defaults) = self.target(&insert.table)?;
        let explicit_identity =
            identity.is_some()
                && self.session.options.identity_insert.as_deref().is_some_and(|t| {
                    t.rsplit('.').next() == Some(&insert.table.last().to_lowercase())
                });
        let positions: Vec<usize> = if insert.columns.is_empty() {
            (0..columns.len()).filter(|i| Some(*i) != identity || explicit_identity).collect()
        } else {
            insert
                .columns
                .iter()
                .map(|name| {
                    columns
                        .iter()
                        .position(|c| same_name(&c.name, name))
                        .ok_or_else(|| invalid_column(name))
                })
                .collect::<Result<Vec<_>, _>>()?
        };
        if let Some(identity) = identity
            && positions.contains(&identity)
            && !explicit_identity
        {
            return Err(error(
                544,
                16,
                format!(
                    "Cannot insert explicit value for identity column in table '{}' when IDENTITY_INSERT is set to OFF.",
                    insert.table.last()
                ),
            ));
        }
        let wrong_width = || {
            error(
                213,
                16,
                "Column name or number of supplied values does not match table definition.",
            )
        };
        let source: Vec<Row> = match (&insert.source, captured) {
            (InsertSource::Default, _) => vec![Vec::new()],
            (_, Some(rows)) => rows,
            (InsertSource::Query(query), None) => self.with_context(|context| {
                let binder = Binder::new(context).with_ctes(&insert.ctes)?;
                let plan = binder.plan(query, None)?;
                if plan.columns.len() != positions.len() {
                    return Err(wrong_width());
                }
                // Implicit conversions are checked by type before any row is converted.
                for (column, position) in plan.columns.iter().zip(&positions) {
                    let value = Bound::new(column.ty, Node::Column { depth: 0, index: 0 });
                    coerce(value, columns[*position].ty)?;
                }
                let rows = plan.run(None, context)?;
                rows.into_iter()
                    .map(|row| {
                        row.iter()
                            .zip(&plan.columns)
                            .zip(&positions)
                            .map(|((value, from), to)| cast(value, from.ty, columns[*to].ty, None))
                            .collect()
                    })
                    .collect()
            })?,
            (InsertSource::Execute(_), None) => Vec::new(),
        };
        let fallback = defaults
            .iter()
            .zip(&columns)
            .map(|(default, column)| match default {
                Some(default) => self.scalar_as(default, column.ty),
                None => Ok(Value::Null),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows = Vec::new();
        for values in source {
            let mut row = fallback.clone();
            if !matches!(insert.source, InsertSource::Default) {
                if values.len() != positions.len() {
                    return Err(wrong_width());
                }
                for (value, position) in values.into_iter().zip(&positions) {
                    let ty = columns[*position].ty;
                    row[*position] = match &value {
                        // Captured rows know only their shape.
                        Value::Variant(..) if ty != SqlType::Variant => cast(&value, ty, ty, None)?,
                        _ => cast(&value, natural_type(&value, ty), ty, None)?,
                    };
                }
            }
            rows.push(row);
        }
        let count = rows.len() as u64;
        let mut inserted = rows.clone();
        if self.kept(&insert.table)?.is_some() {
            self.append(&insert.table, &mut inserted, identity)?;
        } else {
            self.host.insert(&object_name(&insert.table), rows)?;
        }
        let output = self.output_rows(
            insert.output.as_ref(),
            &columns,
            &inserted.iter().map(|row| (None, Some(row.clone()))).collect::<Vec<_>>(),
        )?;
        let output = self.store_output(insert.output.as_ref(), output)?;
        Ok((count, output))
    }

    /// Adds rows to a temporary table: identity values, NOT NULL, single-column keys.
    fn append(
        &mut self,
        name: &Path,
        rows: &mut [Row],
        identity: Option<usize>,
    ) -> Result<(), SqlFailure> {
        let shown = name.last().to_string();
        let mut last_identity = None;
        let Some(table) = self.kept_mut(name) else {
            return Err(invalid_object(&shown));
        };
        for row in rows.iter_mut() {
            if let Some(i) = identity
                && row[i].is_null()
            {
                let definition = &table.definitions[i];
                let next = table.next_identity;
                row[i] = cast(&Value::BigInt(next), SqlType::BigInt, definition.ty, None)?;
                let step = definition.identity.map_or(1, |(_, step)| step);
                table.next_identity = next.saturating_add(step);
                last_identity = Some(next);
            }
        }
        check_rows(table, &shown, rows.iter(), &table.rows)?;
        table.rows.extend(rows.iter().cloned());
        if last_identity.is_some() {
            self.session.identity = last_identity;
        }
        Ok(())
    }

    /// UPDATE and DELETE.
    pub(super) async fn change(&mut self, change: &Change) -> Result<Flow, SqlFailure> {
        let update = change.assignments.is_some();
        self.host.running(if update { "UPDATE" } else { "DELETE" });
        let table = self.change_target(change);
        let changed = self.changes(change, &table)?;
        let count = changed.pairs.len() as u64;
        if let Some(kept) = self.kept(&table)? {
            let mut rows: Vec<Option<Row>> = kept.rows.iter().cloned().map(Some).collect();
            for (index, _, after) in &changed.pairs {
                rows[*index].clone_from(after);
            }
            let rows: Vec<Row> = rows.into_iter().flatten().collect();
            check_rows(kept, table.last(), rows.iter(), &[])?;
            if let Some(kept) = self.kept_mut(&table) {
                kept.rows = rows;
            }
        } else {
            let pairs =
                changed.pairs.into_iter().map(|(_, before, after)| (before, after)).collect();
            self.host.change(&object_name(&table), pairs)?;
        }
        for (name, value) in changed.variables {
            if let Some((_, slot)) = self.frame().variables.get_mut(&name) {
                *slot = value;
            }
        }
        self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        let command = if update { 197 } else { 196 };
        match self.store_output(change.output.as_ref(), changed.output)? {
            Some(relation) => self.out.result(relation, command).await,
            None => self.out.done(command, Some(count), false).await,
        }
        Ok(Flow::Next)
    }

    /// The table that is changed: the target may be an alias of FROM.
    fn change_target(&self, change: &Change) -> Path {
        fn find(source: &Source, alias: &str) -> Option<Path> {
            match source {
                Source::Table { name, alias: Some(found), .. } if same_name(found, alias) => {
                    Some(name.clone())
                }
                Source::Join { left, right, .. } => {
                    find(left, alias).or_else(|| find(right, alias))
                }
                _ => None,
            }
        }
        if change.target.parts.len() == 1 {
            let alias = change.target.last();
            if let Some(name) = change.from.iter().find_map(|s| find(s, alias)) {
                return name;
            }
        }
        change.target.clone()
    }

    fn changes(&self, change: &Change, table: &Path) -> Result<Changed, SqlFailure> {
        let assigned = change.assignments.as_deref().unwrap_or_default();
        let defaults = if assigned.iter().any(|a| a.value == ArgumentValue::Default) {
            self.target(table)?.2
        } else {
            Vec::new()
        };
        self.with_context(|context| {
            let binder = Binder::new(context).with_ctes(&change.ctes)?;
            let relation = Binder::new(context).table(table)?;
            let columns = relation.columns.clone();
            let width = columns.len();
            // Each row of the target carries its position, under a name that no query can spell.
            let mark = format!("{HIDDEN}row");
            let mut marked = relation.clone();
            marked.columns.push(Column::new(mark.clone(), SqlType::BigInt));
            for (i, row) in marked.rows.iter_mut().enumerate() {
                row.push(Value::BigInt(i as i64));
            }
            let name = format!("{HIDDEN}target");
            let mut binder = binder;
            binder.ctes.push((name.clone(), std::sync::Arc::new(marked)));
            let mut sources = change.from.clone();
            let replaced = sources.iter_mut().any(|s| replace_target(s, &change.target, &name));
            if !replaced {
                sources.insert(
                    0,
                    Source::Table {
                        name: super::interpret::single(&name),
                        arguments: None,
                        alias: Some(change.target.last().to_string()),
                        columns: Vec::new(),
                    },
                );
            }
            let (plan, scope_columns) = binder.sources(&sources, None)?;
            let scope = Scope { columns: scope_columns, outer: None };
            let filter = match &change.filter {
                Some(filter) => Some(binder.scalar(filter, &scope)?),
                None => None,
            };
            let start = scope.columns.iter().position(|c| c.name == mark).map_or(0, |i| i - width);
            let assignments =
                bind_assignments(&binder, change, &scope, &columns, &defaults, context)?;
            let limit = match &change.top {
                Some(top) => {
                    let bound = coerce(binder.scalar(top, &Scope::default())?, SqlType::BigInt)?;
                    match eval(&bound, &Env::of(&[], None), context)? {
                        Value::BigInt(n) => usize::try_from(n).unwrap_or(0),
                        _ => 0,
                    }
                }
                None => usize::MAX,
            };
            let rows = match &plan {
                Some(plan) => SourcePlan::run(plan, None, context)?,
                None => Vec::new(),
            };
            let mut seen = std::collections::BTreeSet::new();
            let mut pairs = Vec::new();
            for row in &rows {
                if pairs.len() >= limit {
                    break;
                }
                let env = Env::of(row, None);
                if let Some(filter) = &filter
                    && test(filter, &env, context)? != Some(true)
                {
                    continue;
                }
                let index = match row.get(start + width) {
                    Some(Value::BigInt(n)) => *n as usize,
                    // An outer join kept no row of the target.
                    _ => continue,
                };
                if !seen.insert(index) {
                    continue;
                }
                let before: Row = row[start..start + width].to_vec();
                let after = match &assignments {
                    None => None,
                    Some(assignments) => {
                        let mut after = before.clone();
                        for (column, variable, value) in assignments {
                            let value = eval(value, &env, context)?;
                            if let Some(column) = column {
                                after[*column] = value.clone();
                            }
                            if let Some(variable) = variable {
                                context.assigned.borrow_mut().insert(variable.clone(), value);
                            }
                        }
                        Some(after)
                    }
                };
                pairs.push((index, before, after));
            }
            let both: Vec<(Option<Row>, Option<Row>)> = pairs
                .iter()
                .map(|(_, before, after)| (Some(before.clone()), after.clone()))
                .collect();
            let output = output_relation(change.output.as_ref(), &columns, &both, context)?;
            Ok(Changed { pairs, variables: context.assigned.take(), output })
        })
    }

    fn output_rows(
        &self,
        output: Option<&Output>,
        columns: &[Column],
        rows: &[(Option<Row>, Option<Row>)],
    ) -> Result<Option<Relation>, SqlFailure> {
        self.with_context(|context| output_relation(output, columns, rows, context))
    }

    /// Puts OUTPUT … INTO where it belongs; what is left goes to the client.
    fn store_output(
        &mut self,
        output: Option<&Output>,
        relation: Option<Relation>,
    ) -> Result<Option<Relation>, SqlFailure> {
        let (Some(output), Some(relation)) = (output, relation) else {
            return Ok(None);
        };
        let Some((table, names)) = &output.into else {
            return Ok(Some(relation));
        };
        let insert = Insert {
            table: table.clone(),
            columns: names.clone(),
            output: None,
            source: InsertSource::Execute(Box::new(super::tree::Execute::Text(Expr::Null))),
            ctes: Vec::new(),
        };
        self.insert_rows(&insert, Some(relation.rows))?;
        Ok(None)
    }

    pub(super) fn create_table(
        &mut self,
        name: &Path,
        definitions: &[ColumnDefinition],
    ) -> Result<(), SqlFailure> {
        for (i, definition) in definitions.iter().enumerate() {
            if definitions[..i].iter().any(|d| same_name(&d.name, &definition.name)) {
                return Err(error(
                    2705,
                    16,
                    format!(
                        "Column names in each table must be unique. Column name '{}' in table '{}' is specified more than once.",
                        definition.name,
                        name.last()
                    ),
                ));
            }
        }
        let lower = name.last().to_lowercase();
        let table = Table::new(definitions.to_vec(), self.session.level);
        if lower.starts_with('#') {
            if self.session.tables.contains_key(&lower) {
                let mut failure = error(
                    2714,
                    16,
                    format!("There is already an object named '{}' in the database.", name.last()),
                );
                failure.0[0].state = 6;
                return Err(failure);
            }
            self.session.tables.insert(lower, table);
            return Ok(());
        }
        let identity = definitions
            .iter()
            .enumerate()
            .find_map(|(i, d)| d.identity.map(|(seed, step)| (i, seed, step)));
        let defaults = definitions
            .iter()
            .enumerate()
            .filter_map(|(i, d)| d.default.as_ref().map(|(_, text)| (i, text.clone())))
            .collect();
        let rules = TableRules { identity, defaults };
        self.host.create_table(&object_name(name), table.columns(), rules)
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
        let definitions: Vec<ColumnDefinition> = relation
            .columns
            .iter()
            .map(|c| ColumnDefinition {
                name: c.name.clone(),
                ty: c.ty,
                nullable: c.nullable,
                identity: None,
                default: None,
                unique: false,
            })
            .collect();
        self.create_table(name, &definitions)?;
        if let Some(table) = self
            .session
            .tables
            .get_mut(&name.last().to_lowercase())
            .filter(|_| name.last().starts_with('#'))
        {
            table.rows = relation.rows;
            return Ok(());
        }
        self.host.insert_minimally(&object_name(name), relation.rows)?;
        Ok(())
    }

    pub(super) fn drop_table(&mut self, name: &Path, if_exists: bool) -> Result<(), SqlFailure> {
        let lower = name.last().to_lowercase();
        if lower.starts_with('#') {
            if self.session.tables.remove(&lower).is_none() && !if_exists {
                let mut failure = error(
                    3701,
                    11,
                    format!(
                        "Cannot drop the table '{}', because it does not exist or you do not have permission.",
                        name.last()
                    ),
                );
                failure.0[0].state = 5;
                return Err(failure);
            }
            return Ok(());
        }
        match self.host.drop_table(&object_name(name)) {
            Err(failure) if if_exists && failure.cause().number == 3701 => Ok(()),
            other => other,
        }
    }

    pub(super) fn truncate(&mut self, name: &Path) -> Result<(), SqlFailure> {
        if self.kept(name)?.is_some() {
            if let Some(table) = self.kept_mut(name) {
                let definitions = table.definitions.clone();
                *table = Table::new(definitions, table.level);
            }
            return Ok(());
        }
        let name = object_name(name);
        let rows = self.host.relation(&name, None)?.rows;
        let pairs = rows.into_iter().map(|row| (row, None)).collect();
        self.host.change(&name, pairs)?;
        Ok(())
    }
}

type BoundAssignment = (Option<usize>, Option<String>, Bound);

fn bind_assignments(
    binder: &Binder<'_>,
    change: &Change,
    scope: &Scope<'_>,
    columns: &[Column],
    defaults: &[Option<Expr>],
    context: &Context<'_>,
) -> Result<Option<Vec<BoundAssignment>>, SqlFailure> {
    let Some(assignments) = &change.assignments else {
        return Ok(None);
    };
    assignments
        .iter()
        .map(|assignment| {
            let column = match &assignment.column {
                Some(name) => Some(
                    columns
                        .iter()
                        .position(|c| same_name(&c.name, name))
                        .ok_or_else(|| invalid_column(name))?,
                ),
                None => None,
            };
            let variable = assignment.variable.as_ref().map(|v| v.to_lowercase());
            let ty = match (column, &variable) {
                (Some(column), _) => columns[column].ty,
                (None, Some(variable)) => {
                    context.frame.variables.get(variable).map_or(SqlType::Int, |(ty, _)| *ty)
                }
                (None, None) => SqlType::Int,
            };
            let default = column.and_then(|column| defaults.get(column)).and_then(Option::as_ref);
            let value = match (&assignment.value, default) {
                (ArgumentValue::Value(value), _) | (ArgumentValue::Default, Some(value)) => value,
                (ArgumentValue::Default, None) => &Expr::Null,
            };
            let value = coerce(binder.scalar(value, scope)?, ty)?;
            Ok((column, variable, value))
        })
        .collect::<Result<Vec<_>, SqlFailure>>()
        .map(Some)
}

/// Points the target in FROM at its marked copy; false when FROM does not name it.
fn replace_target(source: &mut Source, target: &Path, marked: &str) -> bool {
    match source {
        Source::Table { name, alias, arguments: None, .. } => {
            let by_alias = target.parts.len() == 1
                && alias.as_ref().is_some_and(|alias| same_name(alias, target.last()));
            let by_name = alias.is_none() && same_name(name.last(), target.last());
            if by_alias || by_name {
                if alias.is_none() {
                    *alias = Some(name.last().to_string());
                }
                *name = super::interpret::single(marked);
                return true;
            }
            false
        }
        Source::Join { left, right, .. } => {
            replace_target(left, target, marked) || replace_target(right, target, marked)
        }
        _ => false,
    }
}

/// The rows of an OUTPUT clause, over `inserted` and `deleted`.
fn output_relation(
    output: Option<&Output>,
    columns: &[Column],
    rows: &[(Option<Row>, Option<Row>)],
    context: &Context<'_>,
) -> Result<Option<Relation>, SqlFailure> {
    let Some(output) = output else {
        return Ok(None);
    };
    let mut scope = Scope::default();
    for table in ["deleted", "inserted"] {
        let table: Arc<[String]> = Arc::from([table.to_owned()]);
        scope.columns.extend(columns.iter().map(|c| ScopeColumn {
            table: Arc::clone(&table),
            name: c.name.clone(),
            ty: c.ty,
            nullable: c.nullable,
        }));
    }
    let binder = Binder::new(context);
    let mut items = Vec::new();
    let mut found = Vec::new();
    for item in &output.items {
        match item {
            Item::Star(Some(table)) => {
                for (index, column) in scope.columns.iter().enumerate() {
                    if column.is_of(&table.parts) {
                        items.push(Bound::new(column.ty, Node::Column { depth: 0, index }));
                        found.push(Column::new(column.name.clone(), column.ty));
                    }
                }
            }
            Item::Value(expr, alias) => {
                let bound = binder.expr(expr, &scope, &mut Collector::default())?;
                let name = match (alias, expr) {
                    (Some(alias), _) => alias.clone(),
                    (None, Expr::Column(path)) => path.last().to_string(),
                    _ => String::new(),
                };
                found.push(Column::new(name, bound.ty));
                items.push(bound);
            }
            Item::Star(None) | Item::Assign(..) => {
                return Err(super::lex::syntax_error("*", 1));
            }
        }
    }
    let nulls = vec![Value::Null; columns.len()];
    let rows = rows
        .iter()
        .map(|(deleted, inserted)| {
            let row: Row = deleted
                .as_ref()
                .unwrap_or(&nulls)
                .iter()
                .chain(inserted.as_ref().unwrap_or(&nulls))
                .cloned()
                .collect();
            items.iter().map(|item| eval(item, &Env::of(&row, None), context)).collect()
        })
        .collect::<Result<Vec<Row>, _>>()?;
    Ok(Some(Relation { columns: found, rows }))
}

/// NOT NULL (515) and single-column keys (2627).
fn check_rows<'r>(
    table: &Table,
    name: &str,
    rows: impl Iterator<Item = &'r Row>,
    existing: &[Row],
) -> Result<(), SqlFailure> {
    let mut keys: Vec<std::collections::BTreeSet<String>> = table
        .definitions
        .iter()
        .enumerate()
        .map(|(i, d)| {
            if d.unique {
                existing.iter().map(|row| super::convert::hash_key(&row[i])).collect()
            } else {
                std::collections::BTreeSet::new()
            }
        })
        .collect();
    for row in rows {
        for (i, definition) in table.definitions.iter().enumerate() {
            if !definition.nullable && row[i].is_null() {
                let mut failure = error(
                    515,
                    16,
                    format!(
                        "Cannot insert the value NULL into column '{}', table '{name}'; column does not allow nulls. INSERT fails.",
                        definition.name
                    ),
                );
                failure.0[0].state = 2;
                return Err(failure);
            }
            if definition.unique && !keys[i].insert(super::convert::hash_key(&row[i])) {
                return Err(error(
                    2627,
                    14,
                    format!(
                        "Violation of PRIMARY KEY constraint on '{name}'. Cannot insert duplicate key. The duplicate key value is ({}).",
                        super::convert::to_text(&row[i], definition.ty, None)
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// The type that a value's shape suggests, near enough to `wanted` to convert from.
fn natural_type(value: &Value, wanted: SqlType) -> SqlType {
    use crate::value::Length;
    match (value, wanted) {
        (Value::DateTime(_), SqlType::DateTime | SqlType::SmallDateTime) => wanted,
        (Value::String(_), _) => SqlType::NVarChar(Length::Max),
        (Value::Binary(_), _) => SqlType::VarBinary(Length::Max),
        (Value::Variant(ty, _), _) => *ty,
        _ => value.base_type().unwrap_or(wanted),
    }
}
