//! Names and types of expressions: trees in, [`Bound`] expressions out.

mod calls;
mod typing;

pub(super) use self::calls::aggregate_kind;
use self::typing::{binary, invalid_operand};
pub(super) use self::typing::{coerce, compare, to_text, unify};
use std::borrow::Cow;
use std::sync::Arc;

use super::bound::{Bound, Node};
use super::convert::{common, is_binary, is_integer, is_number, is_text, type_name};
use super::eval::eval_constant;
use super::failures::{error, invalid_column};
use super::functions;
use super::plan::Plan;
use super::state::Context;
use super::tree::{Call, CompareOp, Expr, Module, ModuleBody, OrderItem, Path, Query, same_name};
use crate::message::SqlFailure;
use crate::value::{Length, Relation, SqlType, Value};

pub(super) type Binding<T> = Result<T, SqlFailure>;

/// A column that a name may mean.
#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    /// The alias, or all parts of the table's name.
    pub(super) table: Arc<[String]>,
    pub(super) name: Cow<'static, str>,
    pub(super) ty: SqlType,
    pub(super) nullable: bool,
}

/// The columns in sight, and those of the enclosing queries.
#[derive(Default)]
pub(super) struct Scope<'a> {
    pub(super) columns: Vec<ScopeColumn>,
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn find(&self, path: &Path) -> Binding<Option<usize>> {
        let Some((name, table)) = path.parts.split_last() else {
            return Ok(None);
        };
        let mut found = None;
        for (index, column) in self.columns.iter().enumerate() {
            if same_name(&column.name, name) && column.is_of(table) {
                if found.is_some() {
                    return Err(error(209, 16, format!("Ambiguous column name '{name}'.")));
                }
                found = Some(index);
            }
        }
        Ok(found)
    }

    /// The column's depth and index.
    pub(super) fn resolve(&self, path: &Path) -> Binding<(usize, usize, &ScopeColumn)> {
        let mut scope = self;
        let mut depth = 0;
        loop {
            if let Some(index) = scope.find(path)? {
                return Ok((depth, index, &scope.columns[index]));
            }
            match scope.outer {
                Some(outer) => {
                    scope = outer;
                    depth += 1;
                }
                None => break,
            }
        }
        if path.parts.len() > 1 && !self.has_table(&path.parts[..path.parts.len() - 1]) {
            return Err(error(
                4104,
                16,
                format!(
                    "The multi-part identifier \"{}\" could not be bound.",
                    path.parts.join(".")
                ),
            ));
        }
        Err(invalid_column(path.last()))
    }

    fn has_table(&self, table: &[String]) -> bool {
        self.columns.iter().any(|c| c.is_of(table))
            || self.outer.is_some_and(|outer| outer.has_table(table))
    }
}

impl ScopeColumn {
    /// Whether a qualifier names this column's table: it must match the end of the table's name.
    pub(super) fn is_of(&self, qualifier: &[String]) -> bool {
        if qualifier.len() > self.table.len() {
            return false;
        }
        let tail = &self.table[self.table.len() - qualifier.len()..];
        tail.iter().zip(qualifier).all(|(a, b)| a.is_empty() || b.is_empty() || same_name(a, b))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregateKind {
    Count,
    Min,
    Max,
    Sum,
    Average,
    Join,
    /// STDEV, STDEVP, VAR and VARP: whether of a sample, and whether its square root is taken.
    Variance {
        sample: bool,
        root: bool,
    },
}

/// An aggregate over the rows of a group or of a window.
#[derive(Debug, Clone)]
pub(super) struct Aggregate {
    pub(super) kind: AggregateKind,
    pub(super) ty: SqlType,
    /// `None` for `COUNT(*)`.
    pub(super) argument: Option<Bound>,
    pub(super) distinct: bool,
    pub(super) separator: Option<Bound>,
    pub(super) order: Vec<(Bound, bool)>,
}

#[derive(Debug, Clone)]
pub(super) enum WindowKind {
    RowNumber,
    Rank,
    DenseRank,
    Tiles(Bound),
    /// LAG (negative) and LEAD: value, offset, default.
    Shift(Bound, Option<Bound>, Option<Bound>, i64),
    PercentRank,
    CumulativeDistribution,
    First(Bound),
    Last(Bound),
    Aggregate(Aggregate),
}

#[derive(Debug, Clone)]
pub(super) struct WindowCall {
    pub(super) kind: WindowKind,
    pub(super) partition: Vec<Bound>,
    pub(super) order: Vec<(Bound, bool)>,
    pub(super) frame: Option<super::tree::Frame>,
}

/// What the select list has collected while it was bound.
#[derive(Default)]
pub(super) struct Collector {
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) windows: Vec<WindowCall>,
    /// Aggregates are allowed here.
    pub(super) allow_aggregates: bool,
    pub(super) allow_windows: bool,
    /// The query is grouped: columns must be keys.
    pub(super) grouped: bool,
    pub(super) keys: Vec<Expr>,
    /// Grouping sets: where the keys' values stand, and their types.
    pub(super) key_columns: Option<(usize, Vec<SqlType>)>,
}

impl Collector {
    /// A key's value in a query with grouping sets.
    fn key(&self, index: usize) -> Option<Bound> {
        let (start, types) = self.key_columns.as_ref()?;
        let ty = *types.get(index)?;
        Some(Bound::new(ty, Node::Column { depth: 0, index: start + index }))
    }
}

/// Binds expressions and queries of one statement.
#[derive(Clone)]
pub(super) struct Binder<'a> {
    pub(super) context: &'a Context<'a>,
    /// Common table expressions in sight, by name, later ones first in meaning.
    pub(super) ctes: Vec<(String, Arc<Relation>)>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Binder<'a> {
        Binder { context, ctes: Vec::new() }
    }

    /// An expression outside of any query, or one that may not aggregate.
    pub(super) fn scalar(&self, expr: &Expr, scope: &Scope<'_>) -> Binding<Bound> {
        self.expr(expr, scope, &mut Collector::default())
    }

    pub(super) fn expr(
        &self,
        expr: &Expr,
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Bound> {
        if collector.grouped
            && let Some(index) = collector.keys.iter().position(|key| key == expr)
        {
            if let Some(key) = collector.key(index) {
                return Ok(key);
            }
            collector.grouped = false;
            let bound = self.expr_inner(expr, scope, collector);
            collector.grouped = true;
            return bound;
        }
        self.expr_inner(expr, scope, collector)
    }

    fn boxed(
        &self,
        expr: &Expr,
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Box<Bound>> {
        self.expr(expr, scope, collector).map(Box::new)
    }

    fn all(
        &self,
        exprs: &[Expr],
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Vec<Bound>> {
        exprs.iter().map(|e| self.expr(e, scope, collector)).collect()
    }

    fn expr_inner(
        &self,
        expr: &Expr,
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Bound> {
        let condition = |node| Ok(Bound::new(SqlType::Bit, node));
        match expr {
            Expr::Null => Ok(Bound::constant(SqlType::Int, Value::Null)),
            Expr::Default => Err(error(156, 15, "Incorrect syntax near the keyword 'DEFAULT'.")),
            Expr::Literal(ty, value) => Ok(Bound::constant(*ty, value.clone())),
            Expr::Column(path) => self.column(path, scope, collector),
            Expr::Variable(name) => {
                let lower = name.to_lowercase();
                let Some((ty, _)) = self.context.frame.variables.get(&lower) else {
                    return Err(error(
                        137,
                        15,
                        format!("Must declare the scalar variable \"{name}\"."),
                    ));
                };
                Ok(Bound::new(*ty, Node::Variable(lower)))
            }
            Expr::Global(name) => self.global(name),
            Expr::Negate(inner) => {
                let inner = self.boxed(inner, scope, collector)?;
                let ty = inner.ty;
                if !is_number(ty) {
                    return Err(invalid_operand(ty, "minus"));
                }
                if let Node::Constant(value) = &inner.node
                    && let Ok(negated) = super::eval::negate(value)
                {
                    return Ok(Bound::constant(ty, negated));
                }
                Ok(Bound::new(ty, Node::Negate(inner)))
            }
            Expr::BitNot(inner) => {
                let inner = self.boxed(inner, scope, collector)?;
                if !is_integer(inner.ty) {
                    return Err(invalid_operand(inner.ty, "'~'"));
                }
                Ok(Bound::new(inner.ty, Node::BitNot(inner)))
            }
            Expr::Binary(..) => self.chain(expr, scope, collector),
            Expr::Compare(op, left, right) => {
                let left = self.expr(left, scope, collector)?;
                let right = self.expr(right, scope, collector)?;
                compare(*op, left, right)
            }
            Expr::And(all) => condition(Node::And(self.all(all, scope, collector)?)),
            Expr::Or(all) => condition(Node::Or(self.all(all, scope, collector)?)),
            Expr::Not(inner) => condition(Node::Not(self.boxed(inner, scope, collector)?)),
            Expr::IsNull(inner) => condition(Node::IsNull(self.boxed(inner, scope, collector)?)),
            Expr::Between(value, low, high) => {
                let value = self.expr(value, scope, collector)?;
                let low = self.expr(low, scope, collector)?;
                let high = self.expr(high, scope, collector)?;
                condition(Node::And(vec![
                    compare(CompareOp::GreaterOrEqual, value.clone(), low)?,
                    compare(CompareOp::LessOrEqual, value, high)?,
                ]))
            }
            Expr::InList(value, list) => {
                let value = self.expr(value, scope, collector)?;
                let list = self.all(list, scope, collector)?;
                let mut sensitive = value.sensitive;
                // The whole list takes part in choosing the type.
                let mut ty = value.ty;
                for item in list.iter().filter(|item| !item.is_null()) {
                    ty = common(ty, item.ty);
                    sensitive |= item.sensitive;
                }
                let keep = |b: Bound| {
                    if is_text(ty) && is_text(b.ty) { Ok(b) } else { coerce(b, ty) }
                };
                let value = keep(value)?;
                let pairs = list
                    .into_iter()
                    .map(|item| Ok((value.clone(), keep(item)?)))
                    .collect::<Binding<Vec<_>>>()?;
                let mut bound = Bound::new(SqlType::Bit, Node::InList(pairs));
                bound.sensitive = sensitive;
                Ok(bound)
            }
            Expr::InQuery(value, query) => {
                let value = self.expr(value, scope, collector)?;
                self.quantified(value, CompareOp::Equal, false, query, scope)
            }
            Expr::Quantified(value, op, all, query) => {
                let value = self.expr(value, scope, collector)?;
                self.quantified(value, *op, *all, query, scope)
            }
            Expr::Like(value, pattern, escape) => {
                let value = self.expr(value, scope, collector)?;
                let pattern = self.expr(pattern, scope, collector)?;
                let escape = match escape {
                    Some(escape) => Some(Box::new(self.expr(escape, scope, collector)?)),
                    None => None,
                };
                for (side, at) in [(&value, 1), (&pattern, 2)] {
                    if side.ty == SqlType::Variant || is_binary(side.ty) {
                        return Err(functions::invalid_argument(side.ty, at, "like"));
                    }
                }
                let sensitive = value.sensitive || pattern.sensitive;
                let mut bound = Bound::new(
                    SqlType::Bit,
                    Node::Like(Box::new(to_text(value)?), Box::new(to_text(pattern)?), escape),
                );
                bound.sensitive = sensitive;
                Ok(bound)
            }
            Expr::Exists(query) => condition(Node::Exists(Arc::new(self.query(query, scope)?))),
            Expr::Case { operand, branches, otherwise } => {
                let operand = match operand {
                    Some(operand) => Some(self.expr(operand, scope, collector)?),
                    None => None,
                };
                let mut tests = Vec::new();
                let mut results = Vec::new();
                for (test, result) in branches {
                    let test = self.expr(test, scope, collector)?;
                    tests.push(match &operand {
                        Some(operand) => compare(CompareOp::Equal, operand.clone(), test)?,
                        None => test,
                    });
                    results.push(self.expr(result, scope, collector)?);
                }
                if let Some(otherwise) = otherwise {
                    results.push(self.expr(otherwise, scope, collector)?);
                }
                if results.iter().all(Bound::is_null) {
                    return Err(error(
                        8133,
                        16,
                        "At least one of the result expressions in a CASE specification must be an expression other than the NULL constant.",
                    ));
                }
                let (ty, mut results) = unify(results)?;
                let otherwise =
                    if otherwise.is_some() { results.pop().map(Box::new) } else { None };
                let branches = tests.into_iter().zip(results).collect();
                Ok(Bound::new(ty, Node::Case(branches, otherwise)))
            }
            Expr::Cast { value, ty, style, lenient } => {
                let inner = self.boxed(value, scope, collector)?;
                let style = match style {
                    Some(style) => {
                        Some(Box::new(coerce(self.expr(style, scope, collector)?, SqlType::Int)?))
                    }
                    None => None,
                };
                let mut bound = Bound::new(*ty, Node::Cast { inner, style, lenient: *lenient });
                if *lenient {
                    bound.sensitive = false;
                }
                Ok(bound)
            }
            Expr::Call(call) => self.call(call, scope, collector),
            Expr::Subquery(query) => {
                let plan = self.query(query, scope)?;
                if plan.columns.len() != 1 {
                    return Err(one_column_only());
                }
                Ok(Bound::new(plan.columns[0].ty, Node::Subquery(Arc::new(plan))))
            }
            Expr::Collate(inner, name) => {
                let mut inner = self.expr(inner, scope, collector)?;
                let upper = name.to_ascii_uppercase();
                let known = upper == "DATABASE_DEFAULT"
                    || upper == "CATALOG_DEFAULT"
                    || ["_BIN", "_BIN2", "_CI_", "_CS_"].iter().any(|part| upper.contains(part));
                if !known {
                    return Err(error(448, 16, format!("Invalid collation '{name}'.")));
                }
                if !is_text(inner.ty) {
                    return Err(error(
                        447,
                        16,
                        format!(
                            "Expression type {} is invalid for COLLATE clause.",
                            type_name(inner.ty)
                        ),
                    ));
                }
                inner.sensitive = upper.contains("_BIN") || upper.contains("_CS_");
                Ok(inner)
            }
            Expr::AtTimeZone(value, zone) => {
                let value = self.expr(value, scope, collector)?;
                let zone = to_text(self.expr(zone, scope, collector)?)?;
                functions::at_time_zone(value, zone)
            }
        }
    }

    /// A chain of operators, bound from the left without recursion: it may be long.
    #[inline(never)]
    fn chain(&self, expr: &Expr, scope: &Scope<'_>, collector: &mut Collector) -> Binding<Bound> {
        let mut links = Vec::new();
        let mut first = expr;
        while let Expr::Binary(op, left, right) = first {
            links.push((*op, right));
            first = left;
            if collector.grouped && collector.keys.contains(first) {
                break;
            }
        }
        let mut bound = self.expr(first, scope, collector)?;
        for (op, right) in links.into_iter().rev() {
            bound = binary(op, bound, self.expr(right, scope, collector)?)?;
        }
        Ok(bound)
    }

    fn column(&self, path: &Path, scope: &Scope<'_>, collector: &mut Collector) -> Binding<Bound> {
        let (depth, index, column) = scope.resolve(path)?;
        if collector.grouped && depth == 0 {
            let key = collector.keys.iter().position(|key| match key {
                Expr::Column(key) => scope.resolve(key).is_ok_and(|(d, i, _)| d == 0 && i == index),
                _ => false,
            });
            if let Some(key) = key.and_then(|key| collector.key(key)) {
                return Ok(key);
            }
            if key.is_none() {
                let table = column.table.last().cloned().unwrap_or_default();
                return Err(error(
                    8120,
                    16,
                    format!(
                        "Column '{table}.{}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause.",
                        column.name
                    ),
                ));
            }
        }
        Ok(Bound::new(column.ty, Node::Column { depth, index }))
    }

    fn global(&self, name: &str) -> Binding<Bound> {
        let session = self.context.session;
        let int = |n: i32| Ok(Bound::constant(SqlType::Int, Value::Int(n)));
        match name {
            "@@ROWCOUNT" => int(i32::try_from(session.row_count).unwrap_or(i32::MAX)),
            "@@ERROR" => int(session.error),
            "@@TRANCOUNT" => int(session.transactions),
            "@@NESTLEVEL" => int(i32::try_from(session.level).unwrap_or(i32::MAX)),
            "@@LOCK_TIMEOUT" => int(session.options.lock_timeout),
            "@@IDENTITY" => Ok(identity(session.identity)),
            "@@FETCH_STATUS" => int(session.fetch_status),
            "@@CURSOR_ROWS" => int(session.cursor_rows),
            "@@DATEFIRST" => Ok(Bound::constant(
                SqlType::TinyInt,
                Value::TinyInt(session.options.language.first_weekday),
            )),
            "@@LANGUAGE" => Ok(Bound::constant(
                SqlType::SYSNAME,
                Value::string(session.options.language.name()),
            )),
            "@@LANGID" => Ok(Bound::constant(
                SqlType::SmallInt,
                Value::SmallInt(session.options.language.id()),
            )),
            _ => {
                if let Some((ty, value)) = self.context.host.global(name) {
                    return Ok(Bound::constant(ty, value));
                }
                match name {
                    "@@SPID" => Ok(Bound::constant(
                        SqlType::SmallInt,
                        Value::SmallInt(self.context.host.session_id() as i16),
                    )),
                    // The server reads an unknown global as an undeclared variable.
                    _ => {
                        Err(error(137, 15, format!("Must declare the scalar variable \"{name}\".")))
                    }
                }
            }
        }
    }

    fn quantified(
        &self,
        value: Bound,
        op: CompareOp,
        all: bool,
        query: &Query,
        scope: &Scope<'_>,
    ) -> Binding<Bound> {
        let plan = self.query(query, scope)?;
        if plan.columns.len() != 1 {
            return Err(one_column_only());
        }
        let sensitive = value.sensitive;
        let mut bound =
            Bound::new(SqlType::Bit, Node::Quantified(Box::new(value), op, all, Arc::new(plan)));
        bound.sensitive = sensitive;
        Ok(bound)
    }

    /// A query nested in an expression.
    fn query(&self, query: &Query, scope: &Scope<'_>) -> Binding<Plan> {
        self.plan(query, Some(scope))
    }

    pub(super) fn order(
        &self,
        items: &[OrderItem],
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Vec<(Bound, bool)>> {
        items
            .iter()
            .map(|item| Ok((self.expr(&item.value, scope, collector)?, item.descending)))
            .collect()
    }

    fn call(&self, call: &Call, scope: &Scope<'_>, collector: &mut Collector) -> Binding<Bound> {
        let name = call.name.last().to_ascii_uppercase();
        if let Some(window) = &call.over {
            return self.window(&name, call, window, scope, collector);
        }
        if let Some(kind) = aggregate_kind(&name) {
            if !collector.allow_aggregates {
                return Err(error(
                    147,
                    15,
                    "An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.",
                ));
            }
            let aggregate = self.aggregate(kind, &name, call, scope, &mut Collector::default())?;
            let ty = aggregate.ty;
            collector.aggregates.push(aggregate);
            return Ok(Bound::new(ty, Node::Aggregate(collector.aggregates.len() - 1)));
        }
        if name == "GROUPING" || name == "GROUPING_ID" {
            return self.grouping(&name, call, scope, collector);
        }
        if WINDOW_FUNCTIONS.contains(&name.as_str()) {
            return Err(error(
                10753,
                15,
                format!("The function '{}' must have an OVER clause.", name),
            ));
        }
        let arguments = self.all(&call.arguments, scope, collector)?;
        let schema = call.name.parts.len().checked_sub(2);
        let schema = schema.map(|i| call.name.parts[i].clone());
        if schema.as_deref().is_none_or(|s| same_name(s, "sys"))
            && let Some(bound) = functions::bind(&name, arguments.clone(), self.context)
        {
            return bound;
        }
        if name == "OBJECT_ID"
            && let Some(Value::String(text)) =
                arguments.first().and_then(|a| eval_constant(a, self.context))
            && let Ok(path) = super::parse::parse_path(&text)
            && super::store::is_local_temporary(path.last())
        {
            // Temporary tables live here; their identifiers are negative, as in tempdb.
            let found = self.context.session.tables.contains_key(&path.last().to_lowercase());
            let value = if found { Value::Int(-1_000_000) } else { Value::Null };
            return Ok(Bound::constant(SqlType::Int, value));
        }
        let full = call.name.parts.join(".");
        let host_name = if schema.is_some() { full.clone() } else { name };
        if let Some(bound) = self.host_function(&host_name, arguments.clone()) {
            return Ok(bound);
        }
        if schema.is_some()
            && let Some(bound) = self.user_function(&call.name, arguments)?
        {
            return Ok(bound);
        }
        Err({
            if call.name.parts.len() > 1 {
                error(
                    4121,
                    16,
                    format!(
                        "Cannot find either column \"{}\" or the user-defined function or aggregate \"{full}\", or the name is ambiguous.",
                        call.name.parts[0]
                    ),
                )
            } else {
                let mut failure =
                    error(195, 15, format!("'{full}' is not a recognized built-in function name."));
                failure.0[0].state = 10;
                failure
            }
        })
    }

    /// A user's scalar function.
    fn user_function(&self, path: &Path, arguments: Vec<Bound>) -> Binding<Option<Bound>> {
        let object = self.context.object(path);
        let scalar = |module: &Module| matches!(module.body, ModuleBody::Scalar(..));
        let Some(routine) = self.routine(&object, scalar)? else {
            return Ok(None);
        };
        super::routine::require_count(&routine.module, arguments.len())?;
        let ModuleBody::Scalar(ty, _) = routine.module.body else {
            return Ok(None);
        };
        let arguments = arguments
            .into_iter()
            .zip(&routine.module.parameters)
            .map(|(argument, parameter)| coerce(argument, parameter.ty))
            .collect::<Binding<Vec<_>>>()?;
        Ok(Some(Bound::new(ty, Node::Routine(routine, arguments))))
    }

    /// A function of the server. Its type is asked for once, with the arguments that are constant
    /// and NULL for the others.
    fn host_function(&self, name: &str, arguments: Vec<Bound>) -> Option<Bound> {
        let known: Vec<Value> = arguments
            .iter()
            .map(|a| eval_constant(a, self.context).unwrap_or(Value::Null))
            .collect();
        let ty = match self.context.host.function(name, &known)? {
            Ok((ty, _)) => ty,
            // The error is raised when, and if, the function is reached.
            Err(_) => SqlType::NVarChar(Length::Up(4000)),
        };
        Some(Bound::new(ty, Node::Host(name.to_string(), arguments)))
    }
}

/// Functions that need an OVER clause with ORDER BY.
const WINDOW_FUNCTIONS: [&str; 10] = [
    "ROW_NUMBER",
    "RANK",
    "DENSE_RANK",
    "NTILE",
    "LAG",
    "LEAD",
    "FIRST_VALUE",
    "LAST_VALUE",
    "PERCENT_RANK",
    "CUME_DIST",
];

fn one_column_only() -> SqlFailure {
    error(
        116,
        16,
        "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
    )
}

/// `SCOPE_IDENTITY()` and `@@IDENTITY`.
pub(super) fn identity(value: Option<i64>) -> Bound {
    Bound::constant(
        SqlType::Numeric { precision: 38, scale: 0 },
        value.map_or(Value::Null, |n| Value::Numeric { unscaled: i128::from(n), scale: 0 }),
    )
}
