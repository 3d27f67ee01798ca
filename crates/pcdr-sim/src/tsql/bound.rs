//! Expressions after their names and types are known.

use std::sync::Arc;

use super::plan::Plan;
use super::routine::Routine;
use super::tree::{BinaryOp, CompareOp};
use crate::message::SqlFailure;
use crate::value::{SqlType, Value};

/// Applies a built-in function to evaluated arguments.
pub(super) type Apply = fn(&[Value]) -> Result<Value, SqlFailure>;

/// An expression with its type.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    pub(super) ty: SqlType,
    pub(super) node: Node,
    /// A COLLATE clause asked for case-sensitive comparison.
    pub(super) sensitive: bool,
}

impl Bound {
    pub(super) fn new(ty: SqlType, node: Node) -> Bound {
        Bound { ty, node, sensitive: false }
    }

    pub(super) fn constant(ty: SqlType, value: Value) -> Bound {
        Bound::new(ty, Node::Constant(value))
    }

    /// Whether this is the literal NULL, which takes any type.
    pub(super) fn is_null(&self) -> bool {
        matches!(self.node, Node::Constant(Value::Null))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Node {
    Constant(Value),
    /// `depth` queries out.
    Column {
        depth: usize,
        index: usize,
    },
    Aggregate(usize),
    Window(usize),
    /// Lower-case name.
    Variable(String),
    Cast {
        inner: Box<Bound>,
        style: Option<Box<Bound>>,
        lenient: bool,
    },
    Arithmetic(BinaryOp, Box<Bound>, Box<Bound>),
    Concat(Box<Bound>, Box<Bound>),
    /// A `datetime` and a number of days, to be subtracted if the flag is set.
    AddDays(Box<Bound>, Box<Bound>, bool),
    Negate(Box<Bound>),
    BitNot(Box<Bound>),
    Compare(CompareOp, Box<Bound>, Box<Bound>),
    And(Vec<Bound>),
    Or(Vec<Bound>),
    Not(Box<Bound>),
    IsNull(Box<Bound>),
    /// Each candidate already has a common type with the operand, paired.
    InList(Vec<(Bound, Bound)>),
    /// Operand, operator, whether all must agree, query; IN is `= ANY`.
    Quantified(Box<Bound>, CompareOp, bool, Arc<Plan>),
    Like(Box<Bound>, Box<Bound>, Option<Box<Bound>>),
    Exists(Arc<Plan>),
    Case(Vec<(Bound, Bound)>, Option<Box<Bound>>),
    Coalesce(Vec<Bound>),
    Function(Apply, Vec<Bound>),
    Host(String, Vec<Bound>),
    /// A user's scalar function.
    Routine(Routine, Vec<Bound>),
    Subquery(Arc<Plan>),
}

/// The rows that an expression may look at, innermost first.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub(super) row: &'a [Value],
    pub(super) aggregates: &'a [Value],
    pub(super) windows: &'a [Value],
    pub(super) outer: Option<&'a Env<'a>>,
}

impl<'a> Env<'a> {
    pub(super) fn of(row: &'a [Value], outer: Option<&'a Env<'a>>) -> Env<'a> {
        Env { row, aggregates: &[], windows: &[], outer }
    }
}
