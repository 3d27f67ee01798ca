//! Queries after their names and types are known.

mod sources;

use self::sources::null_column;
pub(super) use self::sources::rename;

use std::sync::Arc;

use super::bind::{Aggregate, Binder, Binding, Collector, Scope, WindowCall, coerce};
use super::bound::{Bound, Node};
use super::convert::common;
use super::failures::{error, too_many};
use super::routine::Routine;
use super::tree::{
    Body, Cte, Expr, Item, JoinKind, Path, Query, Select, SetOp, Shape, Source, same_name,
};
use crate::value::{Column, Length, Relation, Row, SqlType, Value};

/// A query ready to run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) columns: Vec<Column>,
    pub(super) body: PlanBody,
    /// Over the output columns, when the body is not a SELECT (which sorts itself).
    pub(super) order: Vec<(usize, bool)>,
    pub(super) offset: Option<Bound>,
    pub(super) fetch: Option<Bound>,
    pub(super) shape: Shape,
    /// The columns before FOR XML or FOR JSON made one text of them.
    pub(super) inner_columns: Vec<Column>,
}

#[derive(Debug, Clone)]
pub(super) enum PlanBody {
    Select(Box<SelectPlan>),
    Values(Vec<Vec<Bound>>),
    /// Types of both sides before they are converted to the common ones.
    Combined(SetOp, Box<Plan>, Box<Plan>, Vec<SqlType>),
    Nested(Box<Plan>),
}

#[derive(Debug, Clone)]
pub(super) struct SelectPlan {
    pub(super) source: Option<SourcePlan>,
    pub(super) filter: Option<Bound>,
    pub(super) grouped: bool,
    pub(super) keys: Vec<Bound>,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) having: Option<Bound>,
    pub(super) windows: Vec<WindowCall>,
    pub(super) items: Vec<Bound>,
    pub(super) order: Vec<(OrderKey, bool)>,
    pub(super) distinct: bool,
    pub(super) top: Option<TopPlan>,
    /// ROLLUP and its like: the keys of each set. The keys' values and whether each is left out stand
    /// after the row's own columns.
    pub(super) sets: Vec<Vec<usize>>,
    /// The variable that each item assigns, in a SELECT that returns nothing.
    pub(super) assigns: Vec<String>,
    pub(super) width: usize,
}

#[derive(Debug, Clone)]
pub(super) struct TopPlan {
    /// A whole number, or a percentage as a float.
    pub(super) count: Bound,
    pub(super) percent: bool,
    pub(super) ties: bool,
}

#[derive(Debug, Clone)]
pub(super) enum OrderKey {
    Output(usize),
    Value(Bound),
}

#[derive(Debug, Clone)]
pub(super) enum SourcePlan {
    Rows(Arc<Vec<Row>>),
    /// A function of the server, with its arguments.
    Function(Path, Vec<Bound>),
    /// An inline table-valued function of a user.
    Routine(Routine, Vec<Bound>),
    Split(Vec<Bound>),
    Series(Vec<Bound>),
    Query(Box<Plan>),
    Join {
        kind: JoinKind,
        left: Box<SourcePlan>,
        right: Box<SourcePlan>,
        on: Option<Bound>,
        /// Columns that must be equal, left and right, to look candidates up by.
        keys: Vec<(usize, usize)>,
        left_width: usize,
        right_width: usize,
    },
}

impl Binder<'_> {
    /// Binds a query whose enclosing query is `outer`.
    pub(super) fn plan(&self, query: &Query, outer: Option<&Scope<'_>>) -> Binding<Plan> {
        if query.ctes.is_empty() {
            return self.plan_body(query, outer);
        }
        self.with_ctes(&query.ctes, query.max_recursion)?.plan_body(query, outer)
    }

    /// Evaluates common table expressions: they see nothing of the queries around them.
    pub(super) fn with_ctes(&self, ctes: &[Cte], max_recursion: Option<u32>) -> Binding<Self> {
        let mut binder = self.clone();
        for cte in ctes {
            let relation = binder.cte(cte, max_recursion.unwrap_or(DEFAULT_RECURSION))?;
            binder.ctes.push((cte.name.clone(), Arc::new(relation)));
        }
        Ok(binder)
    }

    fn cte(&self, cte: &Cte, most: u32) -> Binding<Relation> {
        let name_columns = |mut columns: Vec<Column>| -> Binding<Vec<Column>> {
            rename(&mut columns, &cte.columns, &cte.name)?;
            Ok(columns)
        };
        // Anchor UNION ALL recursion: the recursive part sees the rows of the step before.
        if let Body::Combined(SetOp::UnionAll, anchor, step) = &cte.query.body
            && mentions(step, &cte.name)
        {
            let single =
                |body: &Body| Query { ctes: cte.query.ctes.clone(), ..Query::bare(body.clone()) };
            let anchor = self.plan(&single(anchor), None)?;
            let columns = name_columns(anchor.columns.clone())?;
            let mut delta = anchor.run(None, self.context)?;
            let mut all = Relation { columns: columns.clone(), rows: delta.clone() };
            let step = single(step);
            require_same_types(self, &step, cte, &columns)?;
            let mut depth = 0;
            while !delta.is_empty() {
                depth += 1;
                if most > 0 && depth > most {
                    return Err(error(
                        530,
                        16,
                        format!(
                            "The statement terminated. The maximum recursion {most} has been exhausted before statement completion."
                        ),
                    ));
                }
                if all.rows.len() > MAX_ROWS {
                    return Err(super::failures::out_of_memory());
                }
                let mut binder = self.clone();
                let relation = Relation { columns: columns.clone(), rows: delta };
                binder.ctes.push((cte.name.clone(), Arc::new(relation)));
                delta = binder.plan(&step, None)?.run(None, self.context)?;
                all.rows.extend(delta.iter().cloned());
                too_many(&all.rows)?;
            }
            return Ok(all);
        }
        let plan = self.plan(&cte.query, None)?;
        Ok(Relation {
            columns: name_columns(plan.columns.clone())?,
            rows: plan.run(None, self.context)?,
        })
    }

    fn plan_body(&self, query: &Query, outer: Option<&Scope<'_>>) -> Binding<Plan> {
        let empty = Scope::default();
        let scope = outer.unwrap_or(&empty);
        let limit = |expr: &Option<Expr>| -> Binding<Option<Bound>> {
            match expr {
                Some(expr) => Ok(Some(coerce(self.scalar(expr, scope)?, SqlType::BigInt)?)),
                None => Ok(None),
            }
        };
        let mut plan = match &query.body {
            Body::Select(select) => self.plan_select(select, query, outer)?,
            body => {
                let mut plan = self.plan_set(body, outer)?;
                plan.order = query
                    .order
                    .iter()
                    .map(|item| {
                        let index = match &item.value {
                            Expr::Literal(_, Value::Int(n)) => usize::try_from(*n - 1)
                                .ok()
                                .filter(|i| *i < plan.columns.len()),
                            Expr::Column(path) => plan
                                .columns
                                .iter()
                                .position(|c| same_name(&c.name, path.last())),
                            _ => None,
                        };
                        index.map(|i| (i, item.descending)).ok_or_else(|| {
                            error(
                                104,
                                16,
                                "ORDER BY items must appear in the select list if the statement contains a UNION, INTERSECT or EXCEPT operator.",
                            )
                        })
                    })
                    .collect::<Binding<Vec<_>>>()?;
                plan
            }
        };
        plan.offset = limit(&query.offset)?;
        plan.fetch = limit(&query.fetch)?;
        plan.shape = query.shape.clone();
        plan.inner_columns = plan.columns.clone();
        match &plan.shape {
            Shape::Rows => {}
            Shape::Xml { typed, .. } => {
                let (name, ty) = if *typed {
                    ("", SqlType::Xml)
                } else {
                    ("XML_F52E2B61-18A1-11d1-B105-00805F49916B", SqlType::NVarChar(Length::Max))
                };
                plan.columns = vec![Column::new(name, ty)];
            }
            Shape::Json { .. } => {
                plan.columns = vec![Column::new(
                    "JSON_F52E2B61-18A1-11d1-B105-00805F49916B",
                    SqlType::NVarChar(Length::Max),
                )];
            }
        }
        Ok(plan)
    }

    fn plan_set(&self, body: &Body, outer: Option<&Scope<'_>>) -> Binding<Plan> {
        match body {
            Body::Select(select) => {
                let bare = Query::bare(Body::Values(Vec::new()));
                self.plan_select(select, &bare, outer)
            }
            Body::Nested(query) => {
                let plan = self.plan(query, outer)?;
                Ok(simple_plan(plan.columns.clone(), PlanBody::Nested(Box::new(plan))))
            }
            Body::Values(rows) => self.plan_values(rows, outer),
            Body::Combined(op, left, right) => {
                let left = self.plan_set(left, outer)?;
                let right = self.plan_set(right, outer)?;
                if left.columns.len() != right.columns.len() {
                    return Err(error(
                        205,
                        16,
                        "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.",
                    ));
                }
                let mut columns = Vec::new();
                for (i, (a, b)) in left.columns.iter().zip(&right.columns).enumerate() {
                    let ty = match (null_column(&left, i), null_column(&right, i)) {
                        (true, _) => b.ty,
                        (_, true) => a.ty,
                        _ => common(a.ty, b.ty),
                    };
                    // Raises the same errors as any implicit conversion.
                    for from in [a.ty, b.ty] {
                        coerce(Bound::new(from, Node::Column { depth: 0, index: i }), ty)?;
                    }
                    columns.push(Column {
                        name: a.name.clone(),
                        ty,
                        nullable: a.nullable || b.nullable,
                    });
                }
                let types = columns.iter().map(|c| c.ty).collect();
                Ok(simple_plan(
                    columns,
                    PlanBody::Combined(*op, Box::new(left), Box::new(right), types),
                ))
            }
        }
    }

    fn plan_values(&self, rows: &[Vec<Expr>], outer: Option<&Scope<'_>>) -> Binding<Plan> {
        let scope = Scope { columns: Vec::new(), outer };
        let width = rows.first().map_or(0, Vec::len);
        let mut bound = Vec::new();
        for row in rows {
            if row.len() != width {
                return Err(error(
                    10709,
                    16,
                    "The number of columns for each row in a table value constructor must be the same.",
                ));
            }
            let row = row.iter().map(|e| self.scalar(e, &scope)).collect::<Binding<Vec<_>>>()?;
            bound.push(row);
        }
        let mut columns = Vec::new();
        for i in 0..width {
            let ty = bound
                .iter()
                .map(|row| &row[i])
                .filter(|b| !b.is_null())
                .map(|b| b.ty)
                .reduce(common)
                .unwrap_or(SqlType::Int);
            for row in &mut bound {
                row[i] = coerce(row[i].clone(), ty)?;
            }
            columns.push(Column::new("", ty));
        }
        Ok(simple_plan(columns, PlanBody::Values(bound)))
    }

    fn plan_select(
        &self,
        select: &Select,
        query: &Query,
        outer: Option<&Scope<'_>>,
    ) -> Binding<Plan> {
        let (source, columns) = self.sources(&select.from, outer)?;
        let scope = Scope { columns, outer };
        let filter = match &select.filter {
            Some(filter) => Some(self.scalar(filter, &scope)?),
            None => None,
        };
        let aggregated = !select.group.is_empty()
            || select.having.is_some()
            || select.items.iter().any(|item| match item {
                Item::Value(e, _) | Item::Assign(_, e) => has_aggregate(e),
                Item::Star(_) => false,
            })
            || query.order.iter().any(|item| has_aggregate(&item.value));
        let keys =
            select.group.iter().map(|e| self.scalar(e, &scope)).collect::<Binding<Vec<_>>>()?;
        let mut collector = Collector {
            allow_aggregates: true,
            allow_windows: true,
            grouped: aggregated,
            keys: select.group.clone(),
            key_columns: (!select.sets.is_empty())
                .then(|| (scope.columns.len(), keys.iter().map(|key| key.ty).collect())),
            ..Collector::default()
        };
        let mut items = Vec::new();
        let mut output = Vec::new();
        let mut assigns = Vec::new();
        for item in &select.items {
            match item {
                Item::Star(table) => {
                    let mut any = false;
                    for (index, column) in scope.columns.iter().enumerate() {
                        let named = table.as_ref().is_none_or(|t| column.is_of(&t.parts));
                        if !named || column.name.starts_with(HIDDEN) {
                            continue;
                        }
                        any = true;
                        let expr = Expr::Column(Path { parts: vec![column.name.to_string()] });
                        if collector.grouped && !collector.keys.contains(&expr) {
                            // Raises 8120 for a column that is no key.
                            self.expr(&expr, &scope, &mut collector)?;
                        }
                        items.push(Bound::new(column.ty, Node::Column { depth: 0, index }));
                        output.push(Column {
                            name: column.name.clone(),
                            ty: column.ty,
                            nullable: column.nullable,
                        });
                    }
                    if !any {
                        return Err(match table {
                            Some(table) => error(
                                107,
                                15,
                                format!(
                                    "The column prefix '{}' does not match with a table name or alias name used in the query.",
                                    table.parts.join(".")
                                ),
                            ),
                            None => error(263, 16, "Must specify table to select from."),
                        });
                    }
                }
                Item::Value(expr, alias) => {
                    let bound = self.expr(expr, &scope, &mut collector)?;
                    let name = match (alias, expr) {
                        (Some(alias), _) => alias.clone(),
                        (None, Expr::Column(path)) => path.last().to_string(),
                        _ => String::new(),
                    };
                    let nullable = match &bound.node {
                        Node::Column { depth: 0, index } => {
                            scope.columns.get(*index).is_none_or(|column| column.nullable)
                        }
                        Node::Constant(value) => value.is_null(),
                        _ => true,
                    };
                    output.push(Column { name: name.into(), ty: bound.ty, nullable });
                    items.push(bound);
                }
                Item::Assign(name, expr) => {
                    let lower = name.to_lowercase();
                    let ty = match self.context.frame.variables.get(&lower) {
                        Some((ty, _)) => *ty,
                        None => {
                            return Err(error(
                                137,
                                15,
                                format!("Must declare the scalar variable \"{name}\"."),
                            ));
                        }
                    };
                    let bound = coerce(self.expr(expr, &scope, &mut collector)?, ty)?;
                    items.push(bound);
                    assigns.push(lower);
                }
            }
        }
        if !assigns.is_empty() && assigns.len() != items.len() {
            return Err(error(
                141,
                15,
                "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.",
            ));
        }
        let having = match &select.having {
            Some(having) => {
                collector.allow_windows = false;
                let bound = self.expr(having, &scope, &mut collector)?;
                collector.allow_windows = true;
                Some(bound)
            }
            None => None,
        };
        let mut order = Vec::new();
        for item in &query.order {
            let key = self.order_key(&item.value, &output, &scope, &mut collector)?;
            if select.distinct && matches!(key, OrderKey::Value(_)) {
                let position = select
                    .items
                    .iter()
                    .position(|i| matches!(i, Item::Value(e, _) if *e == item.value));
                match position {
                    Some(i) => order.push((OrderKey::Output(i), item.descending)),
                    None => {
                        return Err(error(
                            145,
                            15,
                            "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.",
                        ));
                    }
                }
                continue;
            }
            order.push((key, item.descending));
        }
        let top = match &select.top {
            Some(top) => {
                if top.ties && query.order.is_empty() {
                    return Err(error(
                        1062,
                        16,
                        "The TOP N WITH TIES clause is not allowed without a corresponding ORDER BY clause.",
                    ));
                }
                let ty = if top.percent { SqlType::Float } else { SqlType::BigInt };
                let count = self.scalar(&top.count, outer.unwrap_or(&Scope::default()))?;
                let count = coerce(count, ty)?;
                Some(TopPlan { count, percent: top.percent, ties: top.ties })
            }
            None => None,
        };
        let plan = SelectPlan {
            source,
            filter,
            grouped: aggregated,
            keys,
            aggregates: collector.aggregates,
            having,
            windows: collector.windows,
            items,
            order,
            distinct: select.distinct,
            top,
            sets: select.sets.clone(),
            assigns,
            width: scope.columns.len(),
        };
        Ok(simple_plan(output, PlanBody::Select(Box::new(plan))))
    }

    #[inline(never)]
    fn order_key(
        &self,
        expr: &Expr,
        output: &[Column],
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<OrderKey> {
        if let Expr::Literal(_, Value::Int(n)) = expr {
            return match usize::try_from(*n - 1) {
                Ok(i) if i < output.len() => Ok(OrderKey::Output(i)),
                _ => Err(error(
                    108,
                    16,
                    format!(
                        "The ORDER BY position number {n} is out of range of the number of items in the select list."
                    ),
                )),
            };
        }
        // An alias goes before a column of the same name.
        if let Expr::Column(path) = expr
            && path.parts.len() == 1
        {
            let position = output.iter().position(|c| same_name(&c.name, path.last()));
            if let Some(i) = position {
                return Ok(OrderKey::Output(i));
            }
        }
        self.expr(expr, scope, collector).map(OrderKey::Value)
    }
}

/// How often a common table expression recurs without OPTION (MAXRECURSION).
const DEFAULT_RECURSION: u32 = 100;
/// No recursion may take the stand-in's memory.
const MAX_ROWS: usize = 1_000_000;

/// Error 240: the recursive part gives every column the type that the anchor gave it.
fn require_same_types(
    binder: &Binder<'_>,
    step: &Query,
    cte: &Cte,
    columns: &[Column],
) -> Binding<()> {
    let mut inner = binder.clone();
    let empty = Relation { columns: columns.to_vec(), rows: Vec::new() };
    inner.ctes.push((cte.name.clone(), Arc::new(empty)));
    let plan = inner.plan(step, None)?;
    let differs = columns.iter().enumerate().find(|(i, column)| {
        plan.columns.get(*i).is_some_and(|found| found.ty != column.ty) && !null_column(&plan, *i)
    });
    match differs {
        None => Ok(()),
        Some((_, column)) => Err(error(
            240,
            16,
            format!(
                "Types don't match between the anchor and the recursive part in column \"{}\" of recursive query \"{}\".",
                column.name, cte.name
            ),
        )),
    }
}

/// Begins the name of a column that `*` does not show.
pub(super) const HIDDEN: char = '\u{1}';

fn simple_plan(columns: Vec<Column>, body: PlanBody) -> Plan {
    Plan {
        inner_columns: columns.clone(),
        columns,
        body,
        order: Vec::new(),
        offset: None,
        fetch: None,
        shape: Shape::Rows,
    }
}

fn mentions(body: &Body, name: &str) -> bool {
    fn source_mentions(source: &Source, name: &str) -> bool {
        match source {
            Source::Table { name: table, .. } => {
                table.parts.len() == 1 && same_name(table.last(), name)
            }
            Source::Derived { query, .. } => mentions(&query.body, name),
            Source::Join { left, right, .. } => {
                source_mentions(left, name) || source_mentions(right, name)
            }
        }
    }
    match body {
        Body::Select(select) => select.from.iter().any(|s| source_mentions(s, name)),
        Body::Combined(_, a, b) => mentions(a, name) || mentions(b, name),
        Body::Nested(query) => mentions(&query.body, name),
        Body::Values(_) => false,
    }
}

/// Whether an expression holds an aggregate of its own query.
fn has_aggregate(expr: &Expr) -> bool {
    let all = |exprs: &[Expr]| exprs.iter().any(has_aggregate);
    match expr {
        Expr::Null
        | Expr::Default
        | Expr::Literal(..)
        | Expr::Column(_)
        | Expr::Variable(_)
        | Expr::Global(_)
        | Expr::Exists(_)
        | Expr::Subquery(_) => false,
        Expr::Negate(a)
        | Expr::BitNot(a)
        | Expr::Not(a)
        | Expr::IsNull(a)
        | Expr::Collate(a, _)
        | Expr::InQuery(a, _)
        | Expr::Quantified(a, ..) => has_aggregate(a),
        Expr::Binary(_, a, b) | Expr::Compare(_, a, b) | Expr::AtTimeZone(a, b) => {
            has_aggregate(a) || has_aggregate(b)
        }
        Expr::And(items) | Expr::Or(items) => all(items),
        Expr::Between(a, b, c) => has_aggregate(a) || has_aggregate(b) || has_aggregate(c),
        Expr::InList(a, items) => has_aggregate(a) || all(items),
        Expr::Like(a, b, _) => has_aggregate(a) || has_aggregate(b),
        Expr::Case { operand, branches, otherwise } => {
            operand.as_deref().is_some_and(has_aggregate)
                || branches.iter().any(|(a, b)| has_aggregate(a) || has_aggregate(b))
                || otherwise.as_deref().is_some_and(has_aggregate)
        }
        Expr::Cast { value, .. } => has_aggregate(value),
        Expr::Call(call) => {
            let own = super::bind::aggregate_kind(&call.name.last().to_ascii_uppercase()).is_some()
                && call.over.is_none();
            own || all(&call.arguments)
                || call.over.as_ref().is_some_and(|w| {
                    all(&w.partition) || w.order.iter().any(|o| has_aggregate(&o.value))
                })
        }
    }
}
