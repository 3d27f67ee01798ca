//! INSERT, UPDATE and DELETE.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bind::{Binder, Collector, Scope, ScopeColumn, coerce};
use super::bound::{Bound, Env, Node};
use super::convert::{is_binary, is_text};
use super::eval::{eval, test};
use super::failures::{error, invalid_column, invalid_object};
use super::host::Sink;
use super::interpret::{Flow, Outcome, Run};
use super::parse::{parse_value, rewrite_defaults};
use super::plan::{HIDDEN, SourcePlan};
use super::state::Context;
use super::store::{ChangedRow, Target, Verb};
use super::tree::{
    ArgumentValue, Assignment, Body, Change, Cte, Expr, Insert, InsertSource, Item, Output, Path,
    Source, same_name,
};
use crate::message::SqlFailure;
use crate::value::{Column, Relation, Row, SqlType, Value};

/// What OUTPUT sees of one row that a statement touches.
#[derive(Default)]
pub(super) struct OutputRow {
    pub(super) deleted: Option<Row>,
    pub(super) inserted: Option<Row>,
    /// Values of the columns beside `deleted` and `inserted`.
    pub(super) beside: Row,
}

/// The rows that an UPDATE or DELETE found, with the assigned variables.
struct Found {
    rows: Vec<ChangedRow>,
    beside: Vec<Row>,
    beside_columns: Vec<ScopeColumn>,
    variables: BTreeMap<String, Value>,
}

impl Run<'_> {
    pub(super) async fn insert(&mut self, insert: &Insert) -> Outcome {
        let captured = match &insert.source {
            InsertSource::Execute(execute) => {
                let (flow, relations) = self.capture(execute).await?;
                if flow == Flow::Abort {
                    return Ok(flow);
                }
                Some(relations)
            }
            _ => None,
        };
        self.command = super::interpret::INSERT;
        self.host.running("INSERT");
        match self.insert_rows(insert, captured) {
            Ok((count, output)) => {
                self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
                match output {
                    Some(relation) => self.out.result(relation, super::interpret::INSERT).await,
                    None => self.out.done(super::interpret::INSERT, Some(count), false).await,
                }
                Ok(Flow::Next)
            }
            Err(failure) => Err(self.raised(failure)),
        }
    }

    fn insert_rows(
        &mut self,
        insert: &Insert,
        captured: Option<Vec<Relation>>,
    ) -> Result<(u64, Option<Relation>), SqlFailure> {
        let mut target = self.target_of_insert(&insert.table)?;
        let positions = self.insert_positions(&target, &insert.columns)?;
        let sources = match (&insert.source, captured) {
            (InsertSource::Default, _) | (InsertSource::Execute(_), None) => Vec::new(),
            (_, Some(relations)) => relations,
            (InsertSource::Query(_), None) => {
                vec![self.insert_source(insert, &target, &positions)?]
            }
        };
        let mut rows = Vec::new();
        let defaults = default_values(&target)?;
        if matches!(insert.source, InsertSource::Default) {
            rows.push(self.blank_row(&target, &defaults, &[])?);
        }
        for source in sources {
            if source.columns.len() != positions.len() {
                return Err(wrong_width().with_state(super::interpret::WRONG_RESULT));
            }
            for values in source.rows {
                let mut row = self.blank_row(&target, &defaults, &positions)?;
                for ((value, column), position) in
                    values.iter().zip(&source.columns).zip(&positions)
                {
                    row[*position] = self.fit(value, column.ty, &target, *position)?;
                }
                rows.push(row);
            }
        }
        self.number_rows(&mut target, &mut rows)?;
        self.compute(&target, &mut rows)?;
        let count = rows.len() as u64;
        let shown: Vec<OutputRow> = match &insert.output {
            Some(_) => rows
                .iter()
                .map(|row| OutputRow { inserted: Some(row.clone()), ..OutputRow::default() })
                .collect(),
            None => Vec::new(),
        };
        self.apply(&target, Verb::Insert, Vec::new(), rows)?;
        let output = self.output(insert.output.as_ref(), &target.columns, &[], &shown)?;
        Ok((count, output))
    }

    /// The rows of an INSERT's query.
    fn insert_source(
        &self,
        insert: &Insert,
        target: &Target,
        positions: &[usize],
    ) -> Result<Relation, SqlFailure> {
        let InsertSource::Query(query) = &insert.source else {
            return Ok(Relation::default());
        };
        let mut query = query.clone();
        rewrite_defaults(&mut query, |column| {
            let text = positions.get(column).and_then(|i| target.rules.defaults.get(i));
            text.map_or(Ok(Expr::Null), |text| parse_value(text))
        })?;
        self.with_context(|context| {
            let binder = Binder::new(context).with_ctes(&insert.ctes, query.max_recursion)?;
            let plan = binder.plan(&query, None)?;
            let (given, wanted) = (plan.columns.len(), positions.len());
            if given != wanted {
                return Err(wrong_count(&query.body, !insert.columns.is_empty(), given, wanted));
            }
            // Implicit conversions are checked by type before any row is converted.
            for (column, position) in plan.columns.iter().zip(positions) {
                let value = Bound::new(column.ty, Node::Column { depth: 0, index: 0 });
                coerce(value, target.columns[*position].ty)?;
            }
            let mut rows = plan.run(None, context)?;
            rows.truncate(row_limit(context));
            if let Some(top) = &insert.top {
                rows.truncate(limit(&binder, top, context)?);
            }
            Ok(Relation { columns: plan.columns, rows })
        })
    }

    /// The columns that an INSERT gives, in the order of its values.
    pub(super) fn insert_positions(
        &self,
        target: &Target,
        names: &[String],
    ) -> Result<Vec<usize>, SqlFailure> {
        let name = target.path.last();
        let identity = target.rules.identity.map(|(column, ..)| column);
        let explicit_identity = identity.is_some()
            && self
                .session
                .options
                .identity_insert
                .as_deref()
                .is_some_and(|table| table.rsplit('.').next() == Some(&name.to_lowercase()));
        let open = |i: &usize| {
            (Some(*i) != identity || explicit_identity) && !target.rules.computed.contains_key(i)
        };
        if names.is_empty() {
            return Ok((0..target.columns.len()).filter(open).collect());
        }
        let mut positions = Vec::new();
        for given in names {
            let found = target.columns.iter().position(|c| same_name(&c.name, given));
            let position = found.ok_or_else(|| invalid_column(given))?;
            if positions.contains(&position) {
                return Err(error(
                    264,
                    16,
                    format!(
                        "The column name '{given}' is specified more than once in the SET clause or column list of an INSERT. A column cannot be assigned more than one value in the same clause. Modify the clause to make sure that a column is updated only once. If this statement updates or inserts columns into a view, column aliasing can conceal the duplication in your code."
                    ),
                ));
            }
            if target.rules.computed.contains_key(&position) {
                return Err(computed(given));
            }
            positions.push(position);
        }
        if let Some(identity) = identity
            && positions.contains(&identity)
            && !explicit_identity
        {
            return Err(error(
                544,
                16,
                format!(
                    "Cannot insert explicit value for identity column in table '{name}' when IDENTITY_INSERT is set to OFF."
                ),
            ));
        }
        Ok(positions)
    }

    /// A row of defaults, for the columns that `given` leaves out.
    pub(super) fn blank_row(
        &self,
        target: &Target,
        defaults: &[Option<Expr>],
        given: &[usize],
    ) -> Result<Row, SqlFailure> {
        target
            .columns
            .iter()
            .zip(defaults)
            .enumerate()
            .map(|(i, (column, default))| match default {
                Some(default) if !given.contains(&i) => self.scalar_as(default, column.ty),
                _ => Ok(Value::Null),
            })
            .collect()
    }

    /// UPDATE and DELETE.
    pub(super) async fn change(&mut self, change: &Change) -> Result<Flow, SqlFailure> {
        if let Some(cursor) = &change.current_of {
            self.find_cursor(cursor)?;
            return Err(error(16929, 16, "The cursor is READ ONLY."));
        }
        let update = change.assignments.is_some();
        self.host.running(if update { "UPDATE" } else { "DELETE" });
        let (verb, command) = if update { (Verb::Update, 197) } else { (Verb::Delete, 196) };
        let target = self.target(&change_target(change))?;
        let mut found = self.find_changes(change, &target)?;
        let mut after: Vec<Row> = found.rows.iter_mut().filter_map(|(_, row)| row.take()).collect();
        self.compute(&target, &mut after)?;
        if update {
            for ((_, slot), row) in found.rows.iter_mut().zip(after) {
                *slot = Some(row);
            }
        }
        let count = found.rows.len() as u64;
        let shown: Vec<OutputRow> = match &change.output {
            Some(_) => found
                .rows
                .iter()
                .zip(found.beside)
                .map(|((index, after), beside)| OutputRow {
                    deleted: Some(target.rows[*index].clone()),
                    inserted: after.clone(),
                    beside,
                })
                .collect(),
            None => Vec::new(),
        };
        self.apply(&target, verb, found.rows, Vec::new())?;
        for (name, value) in found.variables {
            if let Some((_, slot)) = self.frame().variables.get_mut(&name) {
                *slot = value;
            }
        }
        self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        let output = change.output.as_ref();
        match self.output(output, &target.columns, &found.beside_columns, &shown)? {
            Some(relation) => self.out.result(relation, command).await,
            None => self.out.done(command, Some(count), false).await,
        }
        Ok(Flow::Next)
    }

    fn find_changes(&self, change: &Change, target: &Target) -> Result<Found, SqlFailure> {
        let defaults = default_values(target)?;
        self.with_context(|context| {
            let (binder, sources) = marked(change, target, context)?;
            let (plan, scope_columns) = binder.sources(&sources, None)?;
            let scope = Scope { columns: scope_columns, outer: None };
            let filter = match &change.filter {
                Some(filter) => Some(binder.scalar(filter, &scope)?),
                None => None,
            };
            let mark = scope.columns.iter().position(|c| c.name == mark_name()).unwrap_or(0);
            let assignments = match &change.assignments {
                Some(all) => {
                    Some(bind_assignments(&binder, all, &scope, target, &defaults, context)?)
                }
                None => None,
            };
            let limit = match &change.top {
                Some(top) => limit(&binder, top, context)?.min(row_limit(context)),
                None => row_limit(context),
            };
            let rows = match &plan {
                Some(plan) => SourcePlan::run(plan, None, context)?,
                None => Vec::new(),
            };
            let mut seen = BTreeSet::new();
            let mut found = Found {
                rows: Vec::new(),
                beside: Vec::new(),
                beside_columns: Vec::new(),
                variables: BTreeMap::new(),
            };
            for row in rows {
                if found.rows.len() >= limit {
                    break;
                }
                let env = Env::of(&row, None);
                if let Some(filter) = &filter
                    && test(filter, &env, context)? != Some(true)
                {
                    continue;
                }
                let index = match row.get(mark) {
                    Some(Value::BigInt(n)) => *n as usize,
                    // An outer join kept no row of the target.
                    _ => continue,
                };
                if !seen.insert(index) {
                    continue;
                }
                let after = match &assignments {
                    None => None,
                    Some(all) => {
                        let mut after = target.rows[index].clone();
                        self.assign_row(all, &env, target, &mut after, context)?;
                        Some(after)
                    }
                };
                found.rows.push((index, after));
                if change.output.is_some() {
                    found.beside.push(row);
                }
            }
            if change.output.is_none() {
                found.beside = vec![Vec::new(); found.rows.len()];
            } else {
                found.beside_columns = scope.columns;
            }
            found.variables = context.assigned.take();
            Ok(found)
        })
    }

    /// Carries out assignments on a row; every value is that of the row before.
    pub(super) fn assign_row(
        &self,
        assignments: &[BoundAssignment],
        env: &Env<'_>,
        target: &Target,
        after: &mut Row,
        context: &Context<'_>,
    ) -> Result<(), SqlFailure> {
        for (column, variable, value) in assignments {
            let mut result = eval(value, env, context)?;
            if let Some(column) = column {
                result = self.fit(&result, value.ty, target, *column)?;
                after[*column].clone_from(&result);
            }
            if let Some(variable) = variable {
                context.assigned.borrow_mut().insert(variable.clone(), result);
            }
        }
        Ok(())
    }

    /// Evaluates the OUTPUT clause and puts OUTPUT … INTO where it belongs; what is left goes to the
    /// client.
    pub(super) fn output(
        &mut self,
        output: Option<&Output>,
        columns: &[Column],
        beside: &[ScopeColumn],
        rows: &[OutputRow],
    ) -> Result<Option<Relation>, SqlFailure> {
        let Some(output) = output else {
            return Ok(None);
        };
        let relation =
            self.with_context(|context| output_relation(output, columns, beside, rows, context))?;
        let Some((table, names)) = &output.into else {
            return Ok(Some(relation));
        };
        let insert = Insert {
            top: None,
            table: table.clone(),
            columns: names.clone(),
            output: None,
            source: InsertSource::Default,
            ctes: Vec::new(),
        };
        let execute = super::tree::Execute::Text(Expr::Null);
        let insert = Insert { source: InsertSource::Execute(Box::new(execute)), ..insert };
        self.insert_rows(&insert, Some(vec![relation]))?;
        Ok(None)
    }
}

/// The defaults of a table's columns, read once for all rows.
pub(super) fn default_values(target: &Target) -> Result<Vec<Option<Expr>>, SqlFailure> {
    (0..target.columns.len())
        .map(|i| target.rules.defaults.get(&i).map(|text| parse_value(text)).transpose())
        .collect()
}

/// How many rows SET ROWCOUNT allows.
fn row_limit(context: &Context<'_>) -> usize {
    let limit = context.session.options.row_count;
    limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

pub(super) fn limit(
    binder: &Binder<'_>,
    top: &Expr,
    context: &Context<'_>,
) -> Result<usize, SqlFailure> {
    let bound = coerce(binder.scalar(top, &Scope::default())?, SqlType::BigInt)?;
    Ok(match eval(&bound, &Env::of(&[], None), context)? {
        Value::BigInt(n) => usize::try_from(n).unwrap_or(0),
        _ => 0,
    })
}

fn wrong_width() -> SqlFailure {
    error(213, 16, "Column name or number of supplied values does not match table definition.")
}

/// The error for a number of values that does not match the list of columns.
fn wrong_count(body: &Body, listed: bool, given: usize, wanted: usize) -> SqlFailure {
    let values = matches!(body, Body::Values(_));
    match (listed, values, given < wanted) {
        (false, ..) => wrong_width(),
        (true, true, true) => error(
            109,
            15,
            "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.",
        ),
        (true, true, false) => error(
            110,
            15,
            "There are fewer columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.",
        ),
        (true, false, true) => error(
            120,
            15,
            "The select list for the INSERT statement contains fewer items than the insert list. The number of SELECT values must match the number of INSERT columns.",
        ),
        (true, false, false) => error(
            121,
            15,
            "The select list for the INSERT statement contains more items than the insert list. The number of SELECT values must match the number of INSERT columns.",
        ),
    }
}

fn computed(name: &str) -> SqlFailure {
    error(
        271,
        16,
        format!(
            "The column \"{name}\" cannot be modified because it is either a computed column or is the result of a UNION operator."
        ),
    )
}

/// The name of the column that carries a row's position in the target, which no query can spell.
fn mark_name() -> String {
    format!("{HIDDEN}row")
}

/// The common table expression that an UPDATE or DELETE names as its target, and the table under it.
fn target_cte(change: &Change) -> Option<(usize, Path)> {
    if change.target.parts.len() != 1 {
        return None;
    }
    let named = aliased(change).unwrap_or_else(|| change.target.clone());
    let at = change.ctes.iter().position(|cte| same_name(&cte.name, named.last()))?;
    let Body::Select(select) = &change.ctes[at].query.body else {
        return None;
    };
    fn first(source: &Source) -> Option<&Path> {
        match source {
            Source::Table { name, arguments: None, .. } => Some(name),
            Source::Join { left, .. } => first(left),
            _ => None,
        }
    }
    first(select.from.first()?).cloned().map(|table| (at, table))
}

/// The table that FROM gives the target's alias.
fn aliased(change: &Change) -> Option<Path> {
    fn find(source: &Source, alias: &str) -> Option<Path> {
        match source {
            Source::Table { name, alias: Some(found), .. } if same_name(found, alias) => {
                Some(name.clone())
            }
            Source::Join { left, right, .. } => find(left, alias).or_else(|| find(right, alias)),
            _ => None,
        }
    }
    if change.target.parts.len() != 1 {
        return None;
    }
    change.from.iter().find_map(|source| find(source, change.target.last()))
}

/// The table whose rows are changed: the target may be an alias of FROM, or a common table expression.
fn change_target(change: &Change) -> Path {
    match target_cte(change) {
        Some((_, table)) => table,
        None => aliased(change).unwrap_or_else(|| change.target.clone()),
    }
}

/// A binder and sources in which each row of the target carries its position.
fn marked<'a>(
    change: &Change,
    target: &Target,
    context: &'a Context<'a>,
) -> Result<(Binder<'a>, Vec<Source>), SqlFailure> {
    let mut relation = Relation { columns: target.columns.clone(), rows: target.rows.clone() };
    relation.columns.push(Column::new(mark_name(), SqlType::BigInt));
    for (i, row) in relation.rows.iter_mut().enumerate() {
        row.push(Value::BigInt(i as i64));
    }
    let name = format!("{HIDDEN}target");
    let mut binder = Binder::new(context);
    let mut ctes: Vec<Cte> = change.ctes.clone();
    let mut sources = change.from.clone();
    binder.ctes.push((name.clone(), Arc::new(relation)));
    if let Some((at, table)) = target_cte(change) {
        let cte = &mut ctes[at];
        if let Body::Select(select) = &mut cte.query.body {
            let end = Path { parts: vec![table.last().to_owned()] };
            let replace = |source: &mut Source| {
                replace_target(source, &end, &name) || replace_named(source, &table, &name)
            };
            if !select.from.iter_mut().any(replace) {
                return Err(invalid_object(change.target.last()));
            }
            let column = Expr::Column(Path { parts: vec![mark_name()] });
            select.items.push(Item::Value(column, Some(mark_name())));
        }
        if !cte.columns.is_empty() {
            cte.columns.push(mark_name());
        }
        if sources.is_empty() {
            sources.push(Source::Table {
                name: change.target.clone(),
                arguments: None,
                alias: None,
                columns: Vec::new(),
            });
        }
        return Ok((binder.with_ctes(&ctes, None)?, sources));
    }
    let binder = binder.with_ctes(&ctes, None)?;
    if !sources.iter_mut().any(|s| replace_target(s, &change.target, &name)) {
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
    Ok((binder, sources))
}

/// A column by index, a variable, and the value that one or both of them get.
pub(super) type BoundAssignment = (Option<usize>, Option<String>, Bound);

pub(super) fn bind_assignments(
    binder: &Binder<'_>,
    assignments: &[Assignment],
    scope: &Scope<'_>,
    target: &Target,
    defaults: &[Option<Expr>],
    context: &Context<'_>,
) -> Result<Vec<BoundAssignment>, SqlFailure> {
    assignments
        .iter()
        .map(|assignment| {
            let column = match &assignment.column {
                Some(name) => {
                    let found = target.columns.iter().position(|c| same_name(&c.name, name));
                    Some(found.ok_or_else(|| invalid_column(name))?)
                }
                None => None,
            };
            if let Some(column) = column {
                let name = &target.columns[column].name;
                if target.rules.computed.contains_key(&column) {
                    return Err(computed(name));
                }
                if target.rules.identity.is_some_and(|(identity, ..)| identity == column) {
                    let text = format!("Cannot update identity column '{name}'.");
                    return Err(error(8102, 16, text));
                }
            }
            let variable = assignment.variable.as_ref().map(|v| v.to_lowercase());
            let ty = match (column, &variable) {
                (Some(column), _) => target.columns[column].ty,
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
            let value = binder.scalar(value, scope)?;
            // Text keeps its own length, so that what is cut can be told.
            let alike = column.is_some()
                && (is_text(ty) && is_text(value.ty) || is_binary(ty) && is_binary(value.ty));
            let value = if alike && !value.is_null() { value } else { coerce(value, ty)? };
            Ok((column, variable, value))
        })
        .collect()
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

/// The same for a table that stands in FROM under any alias.
fn replace_named(source: &mut Source, table: &Path, marked: &str) -> bool {
    match source {
        Source::Table { name, arguments: None, .. } if name == table => {
            *name = super::interpret::single(marked);
            true
        }
        Source::Join { left, right, .. } => {
            replace_named(left, table, marked) || replace_named(right, table, marked)
        }
        _ => false,
    }
}

/// The rows of an OUTPUT clause, over `inserted`, `deleted` and what stands beside them.
fn output_relation(
    output: &Output,
    columns: &[Column],
    beside: &[ScopeColumn],
    rows: &[OutputRow],
    context: &Context<'_>,
) -> Result<Relation, SqlFailure> {
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
    scope.columns.extend(beside.iter().cloned());
    let binder = Binder::new(context);
    let mut items = Vec::new();
    let mut found = Vec::new();
    for item in &output.items {
        match item {
            Item::Star(Some(table)) => {
                for (index, column) in scope.columns.iter().enumerate() {
                    if column.is_of(&table.parts) && !column.name.starts_with(HIDDEN) {
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
        .map(|touched| {
            let row: Row = touched
                .deleted
                .as_ref()
                .unwrap_or(&nulls)
                .iter()
                .chain(touched.inserted.as_ref().unwrap_or(&nulls))
                .chain(&touched.beside)
                .cloned()
                .collect();
            items.iter().map(|item| eval(item, &Env::of(&row, None), context)).collect()
        })
        .collect::<Result<Vec<Row>, _>>()?;
    Ok(Relation { columns: found, rows })
}
