//! Plans to rows: joins, groups, windows, order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bind::{Aggregate, AggregateKind, WindowCall, WindowKind};
use super::bound::{Bound, Env};
use super::convert::{cast, compare, exact, float, hash_key, rescale};
use super::eval::{eval, test};
use super::failures::{divide_by_zero, error, out_of_memory, overflow, too_long, too_many};
use super::plan::{OrderKey, Plan, PlanBody, SelectPlan, SourcePlan, TopPlan};
use super::routine::convert_arguments;
use super::shape;
use super::state::Context;
use super::tree::{FrameBound, JoinKind, SetOp, Shape};
use crate::message::SqlFailure;
use crate::value::{Row, SqlType, Value};

type Rows = Result<Vec<Row>, SqlFailure>;

/// A row on its way to the output, with the values that its group and windows gave it.
struct Entry {
    row: Row,
    aggregates: Vec<Value>,
    windows: Vec<Value>,
}

impl Entry {
    fn env<'a>(&'a self, outer: Option<&'a Env<'a>>) -> Env<'a> {
        Env { row: &self.row, aggregates: &self.aggregates, windows: &self.windows, outer }
    }
}

fn key_of(values: &[Value]) -> String {
    let mut key = String::new();
    for value in values {
        let part = hash_key(value);
        // The length keeps ("a", "b") apart from ("ab", "").
        key.push_str(&part.len().to_string());
        key.push(':');
        key.push_str(&part);
    }
    key
}

fn distinct(rows: Vec<Row>) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    rows.into_iter().filter(|row| seen.insert(key_of(row))).collect()
}

fn order_rows(a: &[Value], b: &[Value], descending: impl Iterator<Item = bool>) -> Ordering {
    for ((a, b), descending) in a.iter().zip(b).zip(descending) {
        let order = compare(a, b, false);
        let order = if descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn count_of(
    bound: &Bound,
    outer: Option<&Env<'_>>,
    context: &Context<'_>,
) -> Result<usize, SqlFailure> {
    let env = Env::of(&[], outer);
    // TOP and OFFSET were bound in the enclosing scope.
    let env = outer.unwrap_or(&env);
    match eval(bound, env, context)? {
        Value::BigInt(n) if n >= 0 => Ok(usize::try_from(n).unwrap_or(usize::MAX)),
        Value::Null => Err(error(
            1060,
            15,
            "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.",
        )),
        _ => Err(error(1014, 15, "A TOP or FETCH clause contains an invalid value.")),
    }
}

/// How many of `rows` TOP keeps.
fn limit_of(
    top: Option<&TopPlan>,
    rows: usize,
    outer: Option<&Env<'_>>,
    context: &Context<'_>,
) -> Result<usize, SqlFailure> {
    let Some(top) = top else {
        return Ok(rows);
    };
    if !top.percent {
        return Ok(count_of(&top.count, outer, context)?.min(rows));
    }
    let empty = Env::of(&[], None);
    match eval(&top.count, outer.unwrap_or(&empty), context)? {
        // A part of a row counts as a row.
        Value::Float(percent) if (0.0..=100.0).contains(&percent) => {
            Ok(((rows as f64 * percent / 100.0).ceil() as usize).min(rows))
        }
        _ => Err(error(1031, 15, "Percent values must be between 0 and 100.")),
    }
}

impl Plan {
    /// The query's rows, `outer` being the row of the enclosing query.
    pub(super) fn run(&self, outer: Option<&Env<'_>>, context: &Context<'_>) -> Rows {
        let mut rows = match &self.body {
            PlanBody::Select(select) => select.run(outer, context)?,
            PlanBody::Nested(plan) => plan.run(outer, context)?,
            PlanBody::Values(values) => {
                let env = Env::of(&[], outer);
                values
                    .iter()
                    .map(|row| row.iter().map(|b| eval(b, &env, context)).collect())
                    .collect::<Rows>()?
            }
            PlanBody::Combined(op, left, right, types) => {
                combine(*op, left, right, types, outer, context)?
            }
        };
        if !self.order.is_empty() {
            rows.sort_by(|a, b| {
                let pick = |row: &Row| -> Vec<Value> {
                    self.order.iter().map(|(i, _)| row[*i].clone()).collect()
                };
                order_rows(&pick(a), &pick(b), self.order.iter().map(|(_, d)| *d))
            });
        }
        if let Some(offset) = &self.offset {
            let skip = count_of(offset, outer, context)?.min(rows.len());
            rows.drain(..skip);
        }
        if let Some(fetch) = &self.fetch {
            rows.truncate(count_of(fetch, outer, context)?);
        }
        match &self.shape {
            Shape::Rows => Ok(rows),
            _ if rows.is_empty() => Ok(Vec::new()),
            shape => {
                Ok(vec![vec![Value::string(shape::render(shape, &self.inner_columns, &rows))]])
            }
        }
    }
}

fn combine(
    op: SetOp,
    left: &Plan,
    right: &Plan,
    types: &[SqlType],
    outer: Option<&Env<'_>>,
    context: &Context<'_>,
) -> Rows {
    let side = |plan: &Plan| -> Rows {
        let rows = plan.run(outer, context)?;
        rows.into_iter()
            .map(|row| {
                row.iter()
                    .zip(&plan.columns)
                    .zip(types)
                    .map(|((value, column), ty)| {
                        if column.ty == *ty {
                            Ok(value.clone())
                        } else {
                            cast(value, column.ty, *ty, None)
                        }
                    })
                    .collect()
            })
            .collect()
    };
    let mut rows = side(left)?;
    let others = side(right)?;
    let keys = || -> BTreeSet<String> { others.iter().map(|row| key_of(row)).collect() };
    Ok(match op {
        SetOp::UnionAll => {
            rows.extend(others);
            rows
        }
        SetOp::Union => {
            rows.extend(others);
            distinct(rows)
        }
        SetOp::Except => {
            let keys = keys();
            rows.retain(|row| !keys.contains(&key_of(row)));
            distinct(rows)
        }
        SetOp::Intersect => {
            let keys = keys();
            rows.retain(|row| keys.contains(&key_of(row)));
            distinct(rows)
        }
    })
}

impl SelectPlan {
    /// The entries after FROM, WHERE, GROUP BY, HAVING and the windows.
    fn entries(
        &self,
        outer: Option<&Env<'_>>,
        context: &Context<'_>,
    ) -> Result<Vec<Entry>, SqlFailure> {
        let holds = |row: &Row| -> Result<bool, SqlFailure> {
            match &self.filter {
                Some(filter) => Ok(test(filter, &Env::of(row, outer), context)? == Some(true)),
                None => Ok(true),
            }
        };
        let mut rows = Vec::new();
        match &self.source {
            // Only what passes is copied.
            Some(SourcePlan::Rows(all)) => {
                for row in all.iter() {
                    if holds(row)? {
                        rows.push(row.clone());
                    }
                }
            }
            Some(source) => {
                for row in source.run(outer, context)? {
                    if holds(&row)? {
                        rows.push(row);
                    }
                }
            }
            None => {
                if holds(&Vec::new())? {
                    rows.push(Vec::new());
                }
            }
        }
        let mut entries = if self.grouped {
            self.groups(rows, outer, context)?
        } else {
            rows.into_iter()
                .map(|row| Entry { row, aggregates: Vec::new(), windows: Vec::new() })
                .collect()
        };
        if let Some(having) = &self.having {
            let mut kept = Vec::new();
            for entry in entries {
                if test(having, &entry.env(outer), context)? == Some(true) {
                    kept.push(entry);
                }
            }
            entries = kept;
        }
        let mut columns = Vec::new();
        for window in &self.windows {
            columns.push(window_values(window, &entries, outer, context)?);
        }
        for (i, entry) in entries.iter_mut().enumerate() {
            entry.windows = columns.iter().map(|column| column[i].clone()).collect();
        }
        Ok(entries)
    }

    fn groups(
        &self,
        rows: Vec<Row>,
        outer: Option<&Env<'_>>,
        context: &Context<'_>,
    ) -> Result<Vec<Entry>, SqlFailure> {
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows {
            let env = Env::of(&row, outer);
            let keys = self
                .keys
                .iter()
                .map(|key| eval(key, &env, context))
                .collect::<Result<Vec<_>, _>>()?;
            keyed.push((keys, row));
        }
        if self.sets.is_empty() {
            let all: Vec<usize> = (0..self.keys.len()).collect();
            return self.groups_of(&all, keyed, outer, context);
        }
        let mut entries = Vec::new();
        for set in &self.sets {
            entries.extend(self.groups_of(set, keyed.clone(), outer, context)?);
        }
        Ok(entries)
    }

    /// The groups of rows that agree on some of the keys.
    fn groups_of(
        &self,
        set: &[usize],
        keyed: Vec<(Vec<Value>, Row)>,
        outer: Option<&Env<'_>>,
        context: &Context<'_>,
    ) -> Result<Vec<Entry>, SqlFailure> {
        let mut order: BTreeMap<String, usize> = BTreeMap::new();
        let mut groups: Vec<(Vec<Value>, Vec<Row>)> = Vec::new();
        for (keys, row) in keyed {
            let chosen: Vec<Value> = set.iter().map(|i| keys[*i].clone()).collect();
            let index = *order.entry(key_of(&chosen)).or_insert_with(|| {
                groups.push((keys, Vec::new()));
                groups.len() - 1
            });
            groups[index].1.push(row);
        }
        if groups.is_empty() && set.is_empty() && (self.keys.is_empty() || !self.sets.is_empty()) {
            // Aggregates without GROUP BY, and a grand total, give a row even for no rows.
            groups.push((vec![Value::Null; self.keys.len()], Vec::new()));
        }
        groups
            .into_iter()
            .map(|(keys, rows)| {
                let envs: Vec<Env<'_>> = rows.iter().map(|row| Env::of(row, outer)).collect();
                let aggregates = self
                    .aggregates
                    .iter()
                    .map(|a| aggregate(a, &envs, context))
                    .collect::<Result<Vec<_>, _>>()?;
                // Every row of the group agrees on the keys; the first speaks for all.
                let mut row =
                    rows.into_iter().next().unwrap_or_else(|| vec![Value::Null; self.width]);
                if !self.sets.is_empty() {
                    let left_out = |i: usize| !set.contains(&i);
                    row.extend(
                        keys.into_iter()
                            .enumerate()
                            .map(|(i, key)| if left_out(i) { Value::Null } else { key }),
                    );
                    let flags = (0..self.keys.len()).map(|i| Value::TinyInt(left_out(i).into()));
                    row.extend(flags);
                }
                Ok(Entry { row, aggregates, windows: Vec::new() })
            })
            .collect()
    }

    fn run(&self, outer: Option<&Env<'_>>, context: &Context<'_>) -> Rows {
        let mut entries = self.entries(outer, context)?;
        if !self.assigns.is_empty() {
            let limit = limit_of(self.top.as_ref(), entries.len(), outer, context)?;
            return self.assign(entries, limit, outer, context);
        }
        if self.order.is_empty() && !self.distinct {
            let limit = limit_of(self.top.as_ref(), entries.len(), outer, context)?;
            entries.truncate(limit);
        }
        let mut keyed: Vec<(Vec<Value>, Row)> = Vec::new();
        for entry in &entries {
            let env = entry.env(outer);
            let row = self
                .items
                .iter()
                .map(|item| eval(item, &env, context))
                .collect::<Result<Row, _>>()?;
            let keys = self
                .order
                .iter()
                .map(|(key, _)| match key {
                    OrderKey::Output(i) => Ok(row[*i].clone()),
                    OrderKey::Value(bound) => eval(bound, &env, context),
                })
                .collect::<Result<Vec<_>, _>>()?;
            keyed.push((keys, row));
        }
        if self.distinct {
            let mut seen = BTreeSet::new();
            keyed.retain(|(_, row)| seen.insert(key_of(row)));
        }
        if !self.order.is_empty() {
            keyed.sort_by(|a, b| order_rows(&a.0, &b.0, self.order.iter().map(|(_, d)| *d)));
        }
        if !self.order.is_empty() || self.distinct {
            let mut limit = limit_of(self.top.as_ref(), keyed.len(), outer, context)?;
            if self.top.as_ref().is_some_and(|top| top.ties)
                && let Some((last, _)) = limit.checked_sub(1).and_then(|last| keyed.get(last))
            {
                let tied = |keys: &[Value]| {
                    order_rows(keys, last, std::iter::repeat_n(false, last.len())).is_eq()
                };
                limit += keyed[limit..].iter().take_while(|(keys, _)| tied(keys)).count();
            }
            keyed.truncate(limit);
        }
        Ok(keyed.into_iter().map(|(_, row)| row).collect())
    }

    /// `SELECT @a = …`: the last row stays, and each row sees what the one before assigned.
    fn assign(
        &self,
        mut entries: Vec<Entry>,
        limit: usize,
        outer: Option<&Env<'_>>,
        context: &Context<'_>,
    ) -> Rows {
        if !self.order.is_empty() {
            let mut keyed = Vec::new();
            for entry in entries {
                let env = entry.env(outer);
                let keys = self
                    .order
                    .iter()
                    .map(|(key, _)| match key {
                        OrderKey::Output(i) => match self.items.get(*i) {
                            Some(item) => eval(item, &env, context),
                            None => Ok(Value::Null),
                        },
                        OrderKey::Value(bound) => eval(bound, &env, context),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                keyed.push((keys, entry));
            }
            keyed.sort_by(|a, b| order_rows(&a.0, &b.0, self.order.iter().map(|(_, d)| *d)));
            entries = keyed.into_iter().map(|(_, entry)| entry).collect();
        }
        entries.truncate(limit);
        for entry in &entries {
            let env = entry.env(outer);
            for (name, item) in self.assigns.iter().zip(&self.items) {
                let value = eval(item, &env, context)?;
                context.assigned.borrow_mut().insert(name.clone(), value);
            }
        }
        Ok(vec![Vec::new(); entries.len()])
    }
}

impl SourcePlan {
    /// The rows of a FROM clause.
    pub(super) fn run(&self, outer: Option<&Env<'_>>, context: &Context<'_>) -> Rows {
        let arguments = |bounds: &[Bound]| -> Result<Vec<Value>, SqlFailure> {
            let empty = Env::of(&[], None);
            let env = outer.unwrap_or(&empty);
            bounds.iter().map(|b| eval(b, env, context)).collect()
        };
        match self {
            SourcePlan::Rows(rows) => Ok(rows.as_ref().clone()),
            SourcePlan::Query(plan) => plan.run(outer, context),
            SourcePlan::Function(name, bounds) => {
                let values = arguments(bounds)?;
                let relation = context.host.relation(&context.object(name), Some(&values))?;
                Ok(relation.rows)
            }
            SourcePlan::Routine(routine, bounds) => {
                let values = arguments(bounds)?;
                let typed: Vec<(SqlType, Value)> =
                    bounds.iter().map(|b| b.ty).zip(values).collect();
                let values = convert_arguments(&routine.module, &typed)?;
                routine.rows(&values, context)
            }
            SourcePlan::Split(bounds) => {
                let values = arguments(bounds)?;
                let (Some(Value::String(text)), Some(Value::String(separator))) =
                    (values.first(), values.get(1))
                else {
                    return Ok(Vec::new());
                };
                if separator.chars().count() != 1 {
                    return Err(error(
                        214,
                        16,
                        "Procedure expects parameter 'separator' of type 'nchar(1)/nvarchar(1)'.",
                    ));
                }
                Ok(text
                    .split(separator.as_ref())
                    .enumerate()
                    .map(|(i, part)| {
                        let mut row = vec![Value::string(part)];
                        if values.len() == 3 {
                            row.push(Value::BigInt(i as i64 + 1));
                        }
                        row
                    })
                    .collect())
            }
            SourcePlan::Series(bounds) => {
                let values = arguments(bounds)?;
                let number = |i: usize| match values.get(i) {
                    Some(Value::BigInt(n)) => Some(*n),
                    _ => None,
                };
                let (Some(mut at), Some(end)) = (number(0), number(1)) else {
                    return Ok(Vec::new());
                };
                let step = number(2).unwrap_or(if at <= end { 1 } else { -1 });
                let mut rows = Vec::new();
                while step != 0 && (if step > 0 { at <= end } else { at >= end }) {
                    if rows.len() >= 1_000_000 {
                        return Err(out_of_memory());
                    }
                    rows.push(vec![Value::BigInt(at)]);
                    match at.checked_add(step) {
                        Some(next) => at = next,
                        None => break,
                    }
                }
                Ok(rows)
            }
            SourcePlan::Join { kind, left, right, on, keys, left_width, right_width } => {
                let left = left.run(outer, context)?;
                if matches!(kind, JoinKind::CrossApply | JoinKind::OuterApply) {
                    let mut rows = Vec::new();
                    for row in left {
                        let found = right.run(Some(&Env::of(&row, outer)), context)?;
                        if found.is_empty() && *kind == JoinKind::OuterApply {
                            rows.push(joined(&row, &vec![Value::Null; *right_width]));
                        }
                        rows.extend(found.iter().map(|other| joined(&row, other)));
                        too_many(&rows)?;
                    }
                    return Ok(rows);
                }
                let right = right.run(outer, context)?;
                let matcher = Matcher::new(&right, keys);
                let mut used = vec![false; right.len()];
                let mut rows = Vec::new();
                for row in &left {
                    let mut any = false;
                    for index in matcher.candidates(row) {
                        let candidate = joined(row, &right[index]);
                        let holds = match on {
                            Some(on) => {
                                test(on, &Env::of(&candidate, outer), context)? == Some(true)
                            }
                            None => true,
                        };
                        if holds {
                            any = true;
                            used[index] = true;
                            rows.push(candidate);
                        }
                    }
                    if !any && matches!(kind, JoinKind::Left | JoinKind::Full) {
                        rows.push(joined(row, &vec![Value::Null; *right_width]));
                    }
                    too_many(&rows)?;
                }
                if matches!(kind, JoinKind::Right | JoinKind::Full) {
                    let nulls = vec![Value::Null; *left_width];
                    rows.extend(
                        right
                            .iter()
                            .zip(&used)
                            .filter(|(_, used)| !**used)
                            .map(|(row, _)| joined(&nulls, row)),
                    );
                }
                Ok(rows)
            }
        }
    }
}

fn joined(left: &[Value], right: &[Value]) -> Row {
    left.iter().chain(right).cloned().collect()
}

/// Finds the rows of the right side that can match, by the columns that must be equal.
struct Matcher<'a> {
    keys: &'a [(usize, usize)],
    index: Option<HashMap<String, Vec<usize>>>,
    count: usize,
}

impl<'a> Matcher<'a> {
    fn new(right: &[Row], keys: &'a [(usize, usize)]) -> Matcher<'a> {
        let index = (!keys.is_empty()).then(|| {
            let mut index: HashMap<String, Vec<usize>> = HashMap::new();
            for (i, row) in right.iter().enumerate() {
                let values: Vec<Value> = keys.iter().map(|(_, r)| row[*r].clone()).collect();
                index.entry(key_of(&values)).or_default().push(i);
            }
            index
        });
        Matcher { keys, index, count: right.len() }
    }

    fn candidates(&self, left: &[Value]) -> Vec<usize> {
        match &self.index {
            None => (0..self.count).collect(),
            Some(index) => {
                let values: Vec<Value> = self.keys.iter().map(|(l, _)| left[*l].clone()).collect();
                index.get(&key_of(&values)).cloned().unwrap_or_default()
            }
        }
    }
}

fn aggregate(
    aggregate: &Aggregate,
    envs: &[Env<'_>],
    context: &Context<'_>,
) -> Result<Value, SqlFailure> {
    let Some(argument) = &aggregate.argument else {
        return count(envs.len(), aggregate.ty);
    };
    let mut values = Vec::new();
    for env in envs {
        let value = eval(argument, env, context)?;
        if !value.is_null() {
            let keys = aggregate
                .order
                .iter()
                .map(|(key, _)| eval(key, env, context))
                .collect::<Result<Vec<_>, _>>()?;
            values.push((keys, value));
        }
    }
    if aggregate.distinct {
        let mut seen = BTreeSet::new();
        values.retain(|(_, value)| seen.insert(hash_key(value)));
    }
    if !aggregate.order.is_empty() {
        values.sort_by(|a, b| order_rows(&a.0, &b.0, aggregate.order.iter().map(|(_, d)| *d)));
    }
    let mut values = values.into_iter().map(|(_, value)| value);
    match aggregate.kind {
        AggregateKind::Count => count(values.count(), aggregate.ty),
        AggregateKind::Min => Ok(values
            .reduce(|a, b| if compare(&b, &a, false).is_lt() { b } else { a })
            .unwrap_or(Value::Null)),
        AggregateKind::Max => Ok(values
            .reduce(|a, b| if compare(&b, &a, false).is_gt() { b } else { a })
            .unwrap_or(Value::Null)),
        AggregateKind::Join => {
            let separator = match (&aggregate.separator, envs.first()) {
                (Some(separator), Some(env)) => match eval(separator, env, context)? {
                    Value::String(s) => s.to_string(),
                    _ => String::new(),
                },
                _ => String::new(),
            };
            let Some(first) = values.next() else {
                return Ok(Value::Null);
            };
            let text = |value: Value| match value {
                Value::String(s) => s.to_string(),
                _ => String::new(),
            };
            let mut joined = text(first);
            for value in values {
                joined.push_str(&separator);
                joined.push_str(&text(value));
                too_long(joined.len())?;
            }
            Ok(Value::string(joined))
        }
        AggregateKind::Variance { sample, root } => {
            let all: Vec<f64> = values.filter_map(|v| float(&v)).collect();
            Ok(variance(&all, sample, root))
        }
        AggregateKind::Sum | AggregateKind::Average => {
            sum(aggregate.kind == AggregateKind::Average, values.collect(), aggregate.ty)
        }
    }
}

/// The variance of numbers or its root; NULL for none, or for a sample of one.
fn variance(all: &[f64], sample: bool, root: bool) -> Value {
    let n = all.len() as f64;
    let over = if sample { n - 1.0 } else { n };
    if over <= 0.0 {
        return Value::Null;
    }
    let mean = all.iter().sum::<f64>() / n;
    let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / over;
    Value::Float(if root { variance.sqrt() } else { variance })
}

fn count(n: usize, ty: SqlType) -> Result<Value, SqlFailure> {
    if ty == SqlType::BigInt {
        return Ok(Value::BigInt(n as i64));
    }
    i32::try_from(n).map(Value::Int).map_err(|_| overflow("int"))
}

fn sum(average: bool, values: Vec<Value>, ty: SqlType) -> Result<Value, SqlFailure> {
    if values.is_empty() {
        return Ok(Value::Null);
    }
    let n = values.len() as i128;
    if ty == SqlType::Float {
        let total: f64 = values.iter().filter_map(float).sum();
        return Ok(Value::Float(if average { total / n as f64 } else { total }));
    }
    let name = super::convert::type_name(ty);
    let result_scale = match ty {
        SqlType::Numeric { scale, .. } => scale,
        SqlType::Money => 4,
        _ => 0,
    };
    let mut total: i128 = 0;
    for value in &values {
        let part = exact(value)
            .and_then(|(n, scale)| rescale(n, scale, result_scale))
            .ok_or_else(|| overflow(name))?;
        total = total.checked_add(part).ok_or_else(|| overflow(name))?;
    }
    if average {
        total = total.checked_div(n).ok_or_else(divide_by_zero)?;
    }
    let exact = Value::Numeric { unscaled: total, scale: result_scale };
    let wide = SqlType::Numeric { precision: 38, scale: result_scale };
    cast(&exact, wide, ty, None).map_err(|_| overflow(name))
}

/// The window function's value for every entry.
fn window_values(
    window: &WindowCall,
    entries: &[Entry],
    outer: Option<&Env<'_>>,
    context: &Context<'_>,
) -> Result<Vec<Value>, SqlFailure> {
    let mut partitions: BTreeMap<String, Vec<(Vec<Value>, usize)>> = BTreeMap::new();
    for (i, entry) in entries.iter().enumerate() {
        let env = entry.env(outer);
        let keys = window
            .partition
            .iter()
            .map(|b| eval(b, &env, context))
            .collect::<Result<Vec<_>, _>>()?;
        let order = window
            .order
            .iter()
            .map(|(b, _)| eval(b, &env, context))
            .collect::<Result<Vec<_>, _>>()?;
        partitions.entry(key_of(&keys)).or_default().push((order, i));
    }
    let mut result = vec![Value::Null; entries.len()];
    for mut members in partitions.into_values() {
        members.sort_by(|a, b| order_rows(&a.0, &b.0, window.order.iter().map(|(_, d)| *d)));
        partition_values(window, &members, entries, outer, context, &mut result)?;
    }
    Ok(result)
}

fn partition_values(
    window: &WindowCall,
    members: &[(Vec<Value>, usize)],
    entries: &[Entry],
    outer: Option<&Env<'_>>,
    context: &Context<'_>,
    result: &mut [Value],
) -> Result<(), SqlFailure> {
    let env = |member: usize| entries[members[member].1].env(outer);
    let (mut rank, mut dense) = (0, 0);
    // Where the peers of the current row end: the default frame reaches that far.
    let peers_end = |from: usize| {
        (from..members.len())
            .find(|k| {
                order_rows(
                    &members[*k].0,
                    &members[from].0,
                    std::iter::repeat_n(false, window.order.len()),
                )
                .is_ne()
            })
            .unwrap_or(members.len())
    };
    // The first peer of each row, for a frame that begins at the current one.
    let first_peer = |of: usize| {
        let differs = |k: &usize| {
            let plain = std::iter::repeat_n(false, window.order.len());
            order_rows(&members[*k].0, &members[of].0, plain).is_ne()
        };
        (0..of).rev().find(differs).map_or(0, |k| k + 1)
    };
    let mut end = 0;
    let mut running = Value::Null;
    let mut ran: Option<(usize, usize)> = None;
    for k in 0..members.len() {
        let new_peers = k >= end;
        if new_peers {
            rank = k as i64 + 1;
            dense += 1;
            end = peers_end(k);
        }
        result[members[k].1] = match &window.kind {
            WindowKind::RowNumber => Value::BigInt(k as i64 + 1),
            WindowKind::Rank => Value::BigInt(rank),
            WindowKind::DenseRank => Value::BigInt(dense),
            WindowKind::Tiles(tiles) => {
                let tiles = match eval(tiles, &env(k), context)? {
                    Value::BigInt(n) if n > 0 => n as usize,
                    _ => {
                        return Err(error(
                            4116,
                            16,
                            "The function 'NTILE' takes only a positive int or bigint expression as its input.",
                        ));
                    }
                };
                let (size, larger) = (members.len() / tiles, members.len() % tiles);
                let boundary = larger * (size + 1);
                let tile = if k < boundary {
                    k / (size + 1)
                } else {
                    larger + (k - boundary) / size.max(1)
                };
                Value::BigInt(tile as i64 + 1)
            }
            WindowKind::Shift(value, offset, default, sign) => {
                let offset = match offset {
                    Some(offset) => match eval(offset, &env(k), context)? {
                        Value::BigInt(n) => n,
                        _ => 1,
                    },
                    None => 1,
                };
                let target = i64::try_from(k)
                    .ok()
                    .and_then(|k| k.checked_add(offset.checked_mul(*sign)?))
                    .and_then(|t| usize::try_from(t).ok())
                    .filter(|t| *t < members.len());
                match (target, default) {
                    (Some(target), _) => eval(value, &env(target), context)?,
                    (None, Some(default)) => eval(default, &env(k), context)?,
                    (None, None) => Value::Null,
                }
            }
            WindowKind::PercentRank => Value::Float(if members.len() < 2 {
                0.0
            } else {
                (rank - 1) as f64 / (members.len() - 1) as f64
            }),
            WindowKind::CumulativeDistribution => Value::Float(end as f64 / members.len() as f64),
            WindowKind::First(value) => match frame(window, k, end, members.len(), &first_peer) {
                (from, to) if from < to => eval(value, &env(from), context)?,
                _ => Value::Null,
            },
            WindowKind::Last(value) => match frame(window, k, end, members.len(), &first_peer) {
                (from, to) if from < to => eval(value, &env(to - 1), context)?,
                _ => Value::Null,
            },
            WindowKind::Aggregate(over) => {
                let (from, to) = frame(window, k, end, members.len(), &first_peer);
                if ran != Some((from, to)) {
                    let envs: Vec<Env<'_>> = (from..to.max(from)).map(env).collect();
                    running = aggregate(over, &envs, context)?;
                    ran = Some((from, to));
                }
                running.clone()
            }
        };
    }
    Ok(())
}

/// The members of a partition that row `k` looks at: from the first, up to but not including the
/// second. `end` is where the peers of the row end.
fn frame(
    window: &WindowCall,
    k: usize,
    end: usize,
    count: usize,
    first_peer: &dyn Fn(usize) -> usize,
) -> (usize, usize) {
    let Some(frame) = window.frame else {
        return (0, if window.order.is_empty() { count } else { end });
    };
    let at = |offset: i64| (k as i64).saturating_add(offset).clamp(0, count as i64) as usize;
    let from = match frame.start {
        FrameBound::Unbounded => 0,
        FrameBound::CurrentRow if frame.rows => k,
        FrameBound::CurrentRow => first_peer(k),
        FrameBound::Rows(n) => at(n),
    };
    let to = match frame.end {
        FrameBound::Unbounded => count,
        FrameBound::CurrentRow if frame.rows => k + 1,
        FrameBound::CurrentRow => end,
        FrameBound::Rows(n) => at(n.saturating_add(1)),
    };
    (from, to)
}
