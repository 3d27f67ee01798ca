//! The trees of queries, expressions and the procedural language.

use super::lex::Token;
use crate::value::{SqlType, Value};

/// An identifier path; names compare without regard to case.
#[derive(Debug, Clone)]
pub(super) struct Path {
    pub(super) parts: Vec<String>,
}

impl Path {
    pub(super) fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Path) -> bool {
        self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(|(a, b)| same_name(a, b))
    }
}

/// Whether two identifiers name the same thing under a case-insensitive collation.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    // Every name of a query meets every column in sight: most pairs are ASCII and differ.
    a.eq_ignore_ascii_case(b)
        || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
    BitOr,
    BitXor,
}

impl BinaryOp {
    /// The name that error messages use.
    pub(super) fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Subtract => "subtract",
            BinaryOp::Multiply => "multiply",
            BinaryOp::Divide => "divide",
            BinaryOp::Modulo => "modulo",
            BinaryOp::BitAnd => "'&'",
            BinaryOp::BitOr => "'|'",
            BinaryOp::BitXor => "'^'",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Null,
    Literal(SqlType, Value),
    Column(Path),
    Variable(String),
    Global(String),
    Negate(Box<Expr>),
    BitNot(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    InList(Box<Expr>, Vec<Expr>),
    InQuery(Box<Expr>, Box<Query>),
    Like(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Exists(Box<Query>),
    /// Operand, operator, whether ALL, query.
    Quantified(Box<Expr>, CompareOp, bool, Box<Query>),
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        value: Box<Expr>,
        ty: SqlType,
        style: Option<Box<Expr>>,
        /// TRY_CAST and TRY_CONVERT give NULL where the others fail.
        lenient: bool,
    },
    Call(Box<Call>),
    Subquery(Box<Query>),
    Collate(Box<Expr>, String),
    AtTimeZone(Box<Expr>, Box<Expr>),
}

impl Expr {
    /// Whether this is a condition rather than a value; T-SQL keeps the two apart.
    pub(super) fn is_condition(&self) -> bool {
        matches!(
            self,
            Expr::Compare(..)
                | Expr::And(_)
                | Expr::Or(_)
                | Expr::Not(_)
                | Expr::IsNull(_)
                | Expr::Between(..)
                | Expr::InList(..)
                | Expr::InQuery(..)
                | Expr::Like(..)
                | Expr::Exists(_)
                | Expr::Quantified(..)
        )
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) name: Path,
    pub(super) arguments: Vec<Expr>,
    pub(super) distinct: bool,
    /// `COUNT(*)`.
    pub(super) star: bool,
    pub(super) over: Option<Window>,
    /// `WITHIN GROUP (ORDER BY …)`.
    pub(super) within: Vec<OrderItem>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Window {
    pub(super) partition: Vec<Expr>,
    pub(super) order: Vec<OrderItem>,
    /// Whether the frame is the whole partition or runs up to the current row's peers.
    pub(super) frame: Frame,
}

/// The frames that are understood; others are error 102.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Frame {
    /// RANGE UNBOUNDED PRECEDING TO CURRENT ROW with an ORDER BY, else the partition.
    #[default]
    Default,
    /// ROWS UNBOUNDED PRECEDING AND CURRENT ROW.
    RowsToCurrent,
    /// UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING.
    Whole,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderItem {
    pub(super) value: Expr,
    pub(super) descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub(super) ctes: Vec<Cte>,
    pub(super) body: Body,
    pub(super) order: Vec<OrderItem>,
    pub(super) offset: Option<Expr>,
    pub(super) fetch: Option<Expr>,
    pub(super) shape: Shape,
}

/// The FOR clause.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Shape {
    #[default]
    Rows,
    /// `FOR XML PATH('element')`, with ROOT.
    Xml { element: String, root: Option<String> },
    /// `FOR JSON PATH`, with ROOT, INCLUDE_NULL_VALUES and WITHOUT_ARRAY_WRAPPER.
    Json { root: Option<String>, nulls: bool, array: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cte {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) query: Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetOp {
    Union,
    UnionAll,
    Except,
    Intersect,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Combined(SetOp, Box<Body>, Box<Body>),
    Nested(Box<Query>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Select {
    pub(super) distinct: bool,
    pub(super) top: Option<Expr>,
    pub(super) items: Vec<Item>,
    pub(super) into: Option<Path>,
    pub(super) from: Vec<Source>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    pub(super) having: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// `*` or `t.*`.
    Star(Option<Path>),
    Value(Expr, Option<String>),
    Assign(String, Expr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    CrossApply,
    OuterApply,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Table {
        /// A table variable's name starts with `@`.
        name: Path,
        arguments: Option<Vec<Expr>>,
        alias: Option<String>,
        columns: Vec<String>,
    },
    Derived {
        query: Box<Query>,
        alias: String,
        columns: Vec<String>,
    },
    Join {
        kind: JoinKind,
        left: Box<Source>,
        right: Box<Source>,
        on: Option<Expr>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct ColumnDefinition {
    pub(super) name: String,
    pub(super) ty: SqlType,
    pub(super) nullable: bool,
    pub(super) identity: Option<(i64, i64)>,
    /// The expression, and its text, as the catalog keeps it.
    pub(super) default: Option<(Expr, String)>,
    /// PRIMARY KEY or UNIQUE on this column alone.
    pub(super) unique: bool,
}

#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "one a statement, never moved about")]
pub(super) enum InsertSource {
    Default,
    Query(Query),
    Execute(Box<Execute>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Insert {
    pub(super) table: Path,
    pub(super) columns: Vec<String>,
    pub(super) output: Option<Output>,
    pub(super) source: InsertSource,
    pub(super) ctes: Vec<Cte>,
}

/// The OUTPUT clause.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Output {
    pub(super) items: Vec<Item>,
    pub(super) into: Option<(Path, Vec<String>)>,
}

/// UPDATE and DELETE.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) target: Path,
    pub(super) top: Option<Expr>,
    /// `None` for DELETE.
    pub(super) assignments: Option<Vec<Assignment>>,
    pub(super) output: Option<Output>,
    pub(super) from: Vec<Source>,
    pub(super) filter: Option<Expr>,
    pub(super) ctes: Vec<Cte>,
}

/// `column = value`, `@variable = value` or `@variable = column = value`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    pub(super) variable: Option<String>,
    pub(super) column: Option<String>,
    pub(super) value: ArgumentValue,
}

/// A value, or the word DEFAULT.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ArgumentValue {
    Default,
    Value(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallArgument {
    /// With its `@`.
    pub(super) name: Option<String>,
    pub(super) value: ArgumentValue,
    pub(super) output: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Execute {
    Procedure {
        /// `@rc` in `EXEC @rc = p`.
        result: Option<String>,
        /// The name, or a variable that holds it.
        name: Result<Path, String>,
        arguments: Vec<CallArgument>,
    },
    /// `EXEC ('…' + @x)`.
    Text(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statement {
    pub(super) line: u32,
    pub(super) kind: StatementKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum StatementKind {
    Declare(Vec<(String, SqlType, Option<Expr>)>),
    DeclareTable(String, Vec<ColumnDefinition>),
    Set(String, Expr),
    /// Option names in upper case and the words of their setting.
    SetOption(Vec<String>, Vec<String>),
    Select(Query),
    Insert(Box<Insert>),
    Change(Box<Change>),
    CreateTable(Path, Vec<ColumnDefinition>),
    /// Names and IF EXISTS.
    DropTable(Vec<Path>, bool),
    Truncate(Path),
    Block(Vec<Statement>),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    While(Expr, Box<Statement>),
    Try(Vec<Statement>, Vec<Statement>),
    Break,
    Continue,
    Return(Option<Expr>),
    Throw(Option<Box<(Expr, Expr, Expr)>>),
    RaiseError {
        message: Expr,
        severity: Expr,
        state: Expr,
        arguments: Vec<Expr>,
        /// WITH LOG, NOWAIT, SETERROR.
        set_error: bool,
    },
    Print(Expr),
    /// Whether DELAY (else TIME), and the time text.
    WaitFor(bool, Expr),
    Use(String),
    /// With the transaction's name.
    BeginTransaction(Option<String>),
    Commit,
    /// The name of a savepoint or of the transaction.
    Rollback(Option<String>),
    Save(String),
    Execute(Box<Execute>),
    /// Tokens of an administrative statement that has passed the parser once; it is parsed again with
    /// the values of its variables.
    Admin(Vec<Token>),
}
