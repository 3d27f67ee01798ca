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
    // Every name of a query meets every column in sight: most pairs differ in their first letter, and
    // an ASCII letter is the same letter whatever comes after it.
    if let ([a, ..], [b, ..]) = (a.as_bytes(), b.as_bytes())
        && a.is_ascii()
        && b.is_ascii()
        && !a.eq_ignore_ascii_case(b)
    {
        return false;
    }
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
    /// The word DEFAULT among the values of an INSERT.
    Default,
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
    /// ROWS or RANGE; without one, RANGE up to the current row where there is an ORDER BY, else the
    /// whole partition.
    pub(super) frame: Option<Frame>,
}

/// The rows around the current one that a window function looks at, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// ROWS counts rows; RANGE takes the peers of the current row along.
    pub(super) rows: bool,
    pub(super) start: FrameBound,
    pub(super) end: FrameBound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameBound {
    /// UNBOUNDED PRECEDING as a start, UNBOUNDED FOLLOWING as an end.
    Unbounded,
    CurrentRow,
    /// Rows from the current one: negative before it, positive after it.
    Rows(i64),
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
    /// OPTION (MAXRECURSION n); 0 is without limit.
    pub(super) max_recursion: Option<u32>,
}

impl Query {
    /// A query of its body alone.
    pub(super) fn bare(body: Body) -> Query {
        Query {
            ctes: Vec::new(),
            body,
            order: Vec::new(),
            offset: None,
            fetch: None,
            shape: Shape::Rows,
            max_recursion: None,
        }
    }
}

/// The FOR clause.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Shape {
    #[default]
    Rows,
    /// `FOR XML PATH('element')`, with ROOT and TYPE.
    Xml { element: String, root: Option<String>, typed: bool },
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
    pub(super) top: Option<Top>,
    pub(super) items: Vec<Item>,
    pub(super) into: Option<Path>,
    pub(super) from: Vec<Source>,
    pub(super) filter: Option<Expr>,
    pub(super) group: Vec<Expr>,
    /// ROLLUP, CUBE and GROUPING SETS: which keys each set groups by; empty for a plain GROUP BY.
    pub(super) sets: Vec<Vec<usize>>,
    pub(super) having: Option<Expr>,
}

/// `TOP (n) [PERCENT] [WITH TIES]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Top {
    pub(super) count: Expr,
    pub(super) percent: bool,
    pub(super) ties: bool,
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
    /// `name AS expression`: the expression's text.
    pub(super) computed: Option<String>,
}

/// What CREATE TABLE says in its parentheses.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct TableShape {
    pub(super) columns: Vec<ColumnDefinition>,
    pub(super) constraints: Vec<ConstraintDefinition>,
}

/// A constraint as written; columns by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConstraintDefinition {
    pub(super) name: Option<String>,
    pub(super) kind: ConstraintKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ConstraintKind {
    PrimaryKey(Vec<String>),
    Unique(Vec<String>),
    /// CREATE UNIQUE INDEX.
    UniqueIndex(Vec<String>),
    /// CREATE INDEX.
    Index(Vec<String>),
    /// The condition's text, and its column when it stands at one.
    Check(String, Option<String>),
    /// Own columns, the other table, its columns (empty: its primary key).
    ForeignKey(Vec<String>, Path, Vec<String>),
    /// `DEFAULT (…) FOR column`, in ALTER TABLE.
    Default(Expr, String, String),
}

/// ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AlterTable {
    Add(TableShape),
    /// Names and IF EXISTS.
    DropColumn(Vec<String>, bool),
    DropConstraint(Vec<String>, bool),
    /// DROP INDEX.
    DropIndex(String, bool),
    AlterColumn(ColumnDefinition),
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
    pub(super) top: Option<Expr>,
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
    /// WHERE CURRENT OF.
    pub(super) current_of: Option<CursorName>,
    pub(super) ctes: Vec<Cte>,
}

/// `column = value`, `@variable = value` or `@variable = column = value`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    pub(super) variable: Option<String>,
    pub(super) column: Option<String>,
    pub(super) value: ArgumentValue,
}

/// MERGE.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merge {
    pub(super) top: Option<Expr>,
    pub(super) target: Path,
    pub(super) alias: Option<String>,
    pub(super) source: Source,
    pub(super) on: Expr,
    pub(super) branches: Vec<MergeBranch>,
    pub(super) output: Option<Output>,
    pub(super) ctes: Vec<Cte>,
}

/// WHEN … THEN …
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MergeBranch {
    pub(super) when: MergeWhen,
    /// AND …
    pub(super) condition: Option<Expr>,
    pub(super) action: MergeAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeWhen {
    Matched,
    /// BY TARGET: a row of the source alone.
    NotMatched,
    NotMatchedBySource,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum MergeAction {
    Update(Vec<Assignment>),
    Delete,
    /// Columns (empty: all) and values; `None` for DEFAULT VALUES.
    Insert(Vec<String>, Option<Vec<ArgumentValue>>),
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
    DeclareTable(String, TableShape),
    /// `DECLARE name CURSOR … FOR query`, and `SET @name = CURSOR … FOR query`.
    DeclareCursor(Box<CursorDefinition>),
    /// `DECLARE @name CURSOR`.
    DeclareCursorVariable(String),
    OpenCursor(CursorName),
    Fetch(Box<Fetch>),
    CloseCursor(CursorName),
    DeallocateCursor(CursorName),
    /// `name:`; labels are numbered as the batch has them.
    Label(usize),
    Goto(usize),
    Merge(Box<Merge>),
    /// CREATE or ALTER of a procedure, function or view: always a batch of its own.
    CreateModule(Box<Module>),
    /// PROCEDURE, FUNCTION or VIEW, names and IF EXISTS.
    DropModule(ModuleClass, Vec<Path>, bool),
    AlterTable(Path, Box<AlterTable>),
    /// Name, whether unique, table, columns.
    CreateIndex {
        name: String,
        unique: bool,
        table: Path,
        columns: Vec<String>,
    },
    /// Names with their tables, and IF EXISTS.
    DropIndex(Vec<(String, Path)>, bool),
    Set(String, Expr),
    /// Option names in upper case and the words of their setting.
    SetOption(Vec<String>, Vec<String>),
    Select(Query),
    Insert(Box<Insert>),
    Change(Box<Change>),
    CreateTable(Path, TableShape),
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

/// A cursor's name, or the variable that holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CursorName {
    /// GLOBAL was written: a local cursor of that name is not meant.
    pub(super) global: bool,
    /// With its `@` if it is a variable.
    pub(super) name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct CursorDefinition {
    /// A variable's name begins with `@`.
    pub(super) name: String,
    /// LOCAL or GLOBAL; the database option decides otherwise, and is GLOBAL.
    pub(super) local: Option<bool>,
    /// SCROLL, or a kind that scrolls by itself.
    pub(super) scrolls: bool,
    /// INSENSITIVE or STATIC: the number of rows is known once it is open.
    pub(super) is_static: bool,
    pub(super) query: Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Next,
    Prior,
    First,
    Last,
    Absolute,
    Relative,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fetch {
    pub(super) direction: Direction,
    /// For ABSOLUTE and RELATIVE.
    pub(super) count: Option<Expr>,
    pub(super) cursor: CursorName,
    /// INTO; empty: the row goes to the client.
    pub(super) into: Vec<String>,
}

/// What kind of object a module is to CREATE and DROP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModuleClass {
    Procedure,
    Function,
    View,
}

impl ModuleClass {
    /// The word of its statements, in lower case.
    pub(super) fn word(self) -> &'static str {
        match self {
            ModuleClass::Procedure => "procedure",
            ModuleClass::Function => "function",
            ModuleClass::View => "view",
        }
    }
}

/// CREATE, ALTER or CREATE OR ALTER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CreateMode {
    Create,
    Alter,
    CreateOrAlter,
}

/// A parameter as a module declares it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ParameterDefinition {
    /// With its `@`.
    pub(super) name: String,
    pub(super) ty: SqlType,
    pub(super) default: Option<Expr>,
    pub(super) output: bool,
}

/// A procedure, function or view.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Module {
    pub(super) mode: CreateMode,
    pub(super) name: Path,
    pub(super) parameters: Vec<ParameterDefinition>,
    pub(super) body: ModuleBody,
    /// The whole batch.
    pub(super) text: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModuleBody {
    Procedure(Vec<Statement>),
    /// What a scalar function returns, and its statements.
    Scalar(SqlType, Vec<Statement>),
    /// An inline table-valued function.
    Inline(Query),
    /// Column names, if given, and the query.
    View(Vec<String>, Query),
}

impl Module {
    pub(super) fn class(&self) -> ModuleClass {
        match self.body {
            ModuleBody::Procedure(_) => ModuleClass::Procedure,
            ModuleBody::Scalar(..) | ModuleBody::Inline(_) => ModuleClass::Function,
            ModuleBody::View(..) => ModuleClass::View,
        }
    }

    /// `sys.objects.type`.
    pub(super) fn object_type(&self) -> &'static str {
        match self.body {
            ModuleBody::Procedure(_) => "P",
            ModuleBody::Scalar(..) => "FN",
            ModuleBody::Inline(_) => "IF",
            ModuleBody::View(..) => "V",
        }
    }
}
