//! The syntax tree of a script.

use std::sync::Arc;

/// Where in the script something begins, for error positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// Statements in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block(pub Vec<Statement>);

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `a | b | c`.
    Pipeline(Pipeline),
    /// `$name = …`, `$name += …`.
    Assign {
        /// The variable, without its `$`.
        variable: String,
        /// `+=`.
        append: bool,
        /// What is assigned.
        value: Box<Statement>,
    },
    /// `if (…) { … } elseif (…) { … } else { … }`.
    If {
        /// Conditions with their blocks.
        clauses: Vec<(Pipeline, Block)>,
        /// The `else` block.
        otherwise: Option<Block>,
    },
    /// `foreach ($name in …) { … }`.
    Foreach {
        /// The variable, without its `$`.
        variable: String,
        /// What is enumerated.
        source: Pipeline,
        /// Run once per element.
        body: Block,
    },
    /// `try { … } catch { … } finally { … }`.
    Try {
        /// The guarded statements.
        body: Block,
        /// The block for terminating errors.
        catch: Option<Block>,
        /// Runs in any case.
        finally: Option<Block>,
    },
    /// `exit n`.
    Exit(Option<Pipeline>),
    /// `throw …`.
    Throw(Option<Pipeline>),
    /// `return …`.
    Return(Option<Pipeline>),
}

/// Elements joined by `|`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Never empty.
    pub elements: Vec<Element>,
    /// Where it begins.
    pub position: Position,
}

/// One element of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    /// An expression; only as the first element.
    Expression(Expr),
    /// A command with its arguments.
    Command(Command),
}

/// A command call.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The name, or the value that `&` calls.
    pub name: Expr,
    /// In order.
    pub arguments: Vec<Argument>,
    /// Where it begins.
    pub position: Position,
    /// Its own text, for error positions.
    pub text: String,
}

/// An argument of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// `-Name`, or `-Name:value`.
    Parameter(String, Option<Expr>),
    /// A value.
    Value(Expr),
}

/// A piece of an expandable string.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// `$name` or `$(…)`.
    Expression(Expr),
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A string without expansion.
    String(String),
    /// A string with expansion.
    Expandable(Vec<Piece>),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// `$name`, without the `$`; the scope prefix is kept.
    Variable(String),
    /// `a, b, c`.
    List(Vec<Expr>),
    /// `@( … )`.
    ArrayOf(Block),
    /// `$( … )`.
    Sub(Block),
    /// `( … )`.
    Paren(Box<Statement>),
    /// `@{ key = value }`.
    Hash(Vec<(Expr, Statement)>),
    /// `{ … }`.
    ScriptBlock(Arc<Block>),
    /// `target.name`.
    Member(Box<Expr>, Box<Expr>),
    /// `target[index]`.
    Index(Box<Expr>, Box<Expr>),
    /// `target.name(arguments)`.
    Call(Box<Expr>, String, Vec<Expr>),
    /// `[type]::name(arguments)`.
    StaticCall(String, String, Vec<Expr>),
    /// `[type]value`.
    Cast(String, Box<Expr>),
    /// `-not x`, `-x`, `,x`.
    Unary(Operator, Box<Expr>),
    /// `a -op b`.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the operator of its name")]
pub enum Operator {
    And,
    Or,
    Not,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Like,
    NotLike,
    Contains,
    NotContains,
    In,
    NotIn,
    Join,
    Format,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Range,
    Comma,
    CaseSensitiveEqual,
    CaseSensitiveNotEqual,
}
