//! Tokens to trees: a recursive-descent parser that follows the server's own grammar where it matters,
//! in particular that statements need no separator and that conditions are not values.

mod admin;
mod cursor;
mod definition;
mod expression;
mod merge;
mod module;
mod principal;
mod query;
mod statement;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Admin, ObjectName};
use super::lex::{Kind, Token, syntax_error, tokenize};
use super::tree::{Module, ModuleClass, Path, Statement, StatementKind};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Length, SqlType};

pub(super) use self::expression::XML_TEXT;
pub(super) use self::query::rewrite_defaults;

pub(super) type Parsed<T> = Result<T, SqlFailure>;

/// How deep expressions, queries and blocks may nest, so that no input exhausts the stack.
const MAX_DEPTH: usize = 40;

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Variables declared so far, in lower case.
    declared: BTreeSet<String>,
    /// Values for the variables of an administrative statement; absent while compiling.
    values: Option<BTreeMap<String, String>>,
    /// Labels by number, in lower case, each with where it stands; 0 while only GOTO has named it.
    labels: Vec<(String, u32)>,
    /// The batch, which becomes the definition of a module.
    source: String,
    /// What is being defined: some statements may not stand in it.
    inside: Option<ModuleClass>,
}

/// Parses a batch whose outer variables are `declared` (parameters of dynamic SQL).
///
/// # Errors
///
/// Compile errors (102, 105, 137, 155, 156 …): nothing of the batch may run.
pub(super) fn parse_batch(
    text: &str,
    declared: impl IntoIterator<Item = String>,
    quoted_identifier: bool,
) -> Parsed<Vec<Statement>> {
    let mut parser = Parser::new(tokenize(text, quoted_identifier)?);
    parser.source = text.to_owned();
    parser.declared = declared.into_iter().map(|n| n.to_lowercase()).collect();
    parser.batch()
}

/// Parses the tokens of an administrative statement again, now with its variables' values.
pub(super) fn parse_admin(tokens: &[Token], values: BTreeMap<String, String>) -> Parsed<Admin> {
    let mut parser = Parser::new(tokens.to_vec());
    parser.declared = values.keys().cloned().collect();
    parser.values = Some(values);
    parser.admin()
}

/// Parses the declaration text of `sp_executesql`: `@a int, @b nvarchar(10) = N'x' OUTPUT`.
pub(super) fn parse_parameters(text: &str) -> Parsed<Vec<(String, SqlType, bool)>> {
    let mut parser = Parser::new(tokenize(text, true)?);
    let mut parameters = Vec::new();
    while parser.peek().kind != Kind::End {
        if !parameters.is_empty() {
            parser.expect_symbol(",")?;
        }
        if parser.peek().kind != Kind::Variable {
            return Err(parser.unexpected());
        }
        let name = parser.take().text;
        parser.accept("AS");
        let ty = parser.type_name()?;
        let output = parser.accept("OUTPUT") || parser.accept("OUT");
        parameters.push((name, ty, output));
    }
    Ok(parameters)
}

/// Parses the batch that created a module.
pub(super) fn parse_module(text: &str) -> Parsed<Module> {
    match parse_batch(text, [], true)?.pop().map(|statement| statement.kind) {
        Some(StatementKind::CreateModule(module)) => Ok(*module),
        _ => Err(syntax_error("", 1)),
    }
}

/// Parses the name of a type, as the method `value` takes it.
fn parse_type(text: &str) -> Parsed<SqlType> {
    let mut parser = Parser::new(tokenize(text, true)?);
    let ty = parser.type_name()?;
    if parser.peek().kind == Kind::End { Ok(ty) } else { Err(parser.unexpected()) }
}

/// Parses one expression, as the catalog keeps a column's default.
pub(super) fn parse_value(text: &str) -> Parsed<crate::tsql::tree::Expr> {
    let mut parser = Parser::new(tokenize(text, true)?);
    let value = parser.value()?;
    if parser.peek().kind == Kind::End { Ok(value) } else { Err(parser.unexpected()) }
}

/// Parses one condition, as the catalog keeps a CHECK constraint.
pub(super) fn parse_condition(text: &str) -> Parsed<crate::tsql::tree::Expr> {
    let mut parser = Parser::new(tokenize(text, true)?);
    let value = parser.condition()?;
    if parser.peek().kind == Kind::End { Ok(value) } else { Err(parser.unexpected()) }
}

/// Parses an object name as the text of a variable or of `OBJECT_ID` gives it.
pub(super) fn parse_path(text: &str) -> Parsed<Path> {
    let mut parser = Parser::new(tokenize(text, true)?);
    let path = parser.path()?;
    if parser.peek().kind == Kind::End { Ok(path) } else { Err(parser.unexpected()) }
}

impl Parser {
    fn new(tokens: Vec<Token>) -> Parser {
        Parser {
            tokens,
            at: 0,
            depth: 0,
            declared: BTreeSet::new(),
            values: None,
            labels: Vec::new(),
            source: String::new(),
            inside: None,
        }
    }

    /// The text of tokens, as the catalog keeps expressions.
    fn text_of(&self, from: usize, to: usize) -> String {
        let text: Vec<String> = self.tokens[from..to].iter().map(Token::source).collect();
        text.join(" ")
    }

    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        // The last token is `End`, and there is always one.
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn is(&self, word: &str) -> bool {
        self.peek().is(word)
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        self.peek().is_symbol(symbol)
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.take();
        }
        found
    }

    /// Accepts all of the words or none.
    fn accept_all(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, word)| self.peek_at(i).is(word));
        if found {
            for _ in words {
                self.take();
            }
        }
        found
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Parsed<()> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Parsed<()> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error for the token that cannot stand here; at the end of the text the server names the
    /// last token.
    fn unexpected(&self) -> SqlFailure {
        let token = self.peek();
        if token.kind == Kind::End {
            let last = self.at.checked_sub(1).map(|i| &self.tokens[i]);
            return match last {
                Some(last) => syntax_error(&last.text, last.line),
                None => syntax_error("", token.line),
            };
        }
        if token.kind == Kind::Word && is_reserved(&token.text) {
            return SqlMessage::new(
                156,
                15,
                format!("Incorrect syntax near the keyword '{}'.", token.text),
            )
            .at_line(token.line)
            .into();
        }
        syntax_error(&token.text, token.line)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(self.peek().line));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Whether an identifier stands here: quoted, or a word that is not reserved.
    fn is_identifier(&self) -> bool {
        let token = self.peek();
        // A word before a colon is a label.
        (token.kind == Kind::Quoted || (token.kind == Kind::Word && !is_reserved(&token.text)))
            && !self.peek_at(1).is_symbol(":")
    }

    fn identifier(&mut self) -> Parsed<String> {
        if !self.is_identifier() {
            return Err(self.unexpected());
        }
        let token = self.take();
        if token.text.chars().count() > 128 {
            let start: String = token.text.chars().take(128).collect();
            return Err(SqlMessage::new(
                103,
                15,
                format!(
                    "The identifier that starts with '{start}' is too long. Maximum length is 128."
                ),
            )
            .at_line(token.line)
            .into());
        }
        if token.text.is_empty() {
            return Err(SqlMessage::new(
                1038,
                15,
                "An object or column name is missing or empty. For SELECT INTO statements, verify each column has a name. For other statements, look for empty alias names. Aliases defined as \"\" or [] are not allowed. Change the alias to a valid name.",
            )
            .at_line(token.line)
            .into());
        }
        Ok(token.text)
    }

    /// A name of one to four parts, where inner parts may be left out (`msdb..backupset`).
    fn path(&mut self) -> Parsed<Path> {
        let mut parts = vec![self.identifier()?];
        while self.is_symbol(".") {
            self.take();
            if self.is_symbol(".") {
                parts.push(String::new());
                continue;
            }
            // After a dot, a reserved word cannot be mistaken and the server accepts few; be as strict.
            parts.push(self.identifier()?);
            if parts.len() > 4 {
                return Err(self.unexpected());
            }
        }
        Ok(Path { parts })
    }

    fn variable(&mut self) -> Parsed<String> {
        if self.peek().kind != Kind::Variable {
            return Err(self.unexpected());
        }
        let token = self.take();
        self.require_declared(&token)?;
        Ok(token.text)
    }

    fn require_declared(&self, token: &Token) -> Parsed<()> {
        if self.declared.contains(&token.text.to_lowercase()) {
            return Ok(());
        }
        Err(SqlMessage::new(
            137,
            15,
            format!("Must declare the scalar variable \"{}\".", token.text),
        )
        .with_state(2)
        .at_line(token.line)
        .into())
    }

    /// A whole number literal.
    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.accept_symbol("-");
        let token = self.peek();
        match (token.kind, token.text.parse::<i64>()) {
            (Kind::Number, Ok(n)) => {
                self.take();
                Ok(if negative { -n } else { n })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Skips a parenthesised group that starts here.
    fn skip_group(&mut self) -> Parsed<()> {
        self.expect_symbol("(")?;
        let mut depth = 1;
        while depth > 0 {
            if self.peek().kind == Kind::End {
                return Err(self.unexpected());
            }
            let token = self.take();
            if token.is_symbol("(") {
                depth += 1;
            } else if token.is_symbol(")") {
                depth -= 1;
            }
        }
        Ok(())
    }

    fn type_name(&mut self) -> Parsed<SqlType> {
        let line = self.peek().line;
        if !matches!(self.peek().kind, Kind::Word | Kind::Quoted) {
            return Err(self.unexpected());
        }
        let mut name = self.take().text;
        if self.is_symbol(".") {
            self.take();
            name = self.take().text;
        }
        let name = name.to_ascii_lowercase();
        let mut lengths: Vec<Option<i64>> = Vec::new();
        if self.is_symbol("(") && name != "xml" {
            self.take();
            loop {
                if self.accept("MAX") {
                    lengths.push(None);
                } else {
                    lengths.push(Some(self.integer()?));
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        let unknown = || {
            SqlFailure::from(
                SqlMessage::new(
                    2715,
                    16,
                    format!("Column, parameter, or variable #1: Cannot find data type {name}."),
                )
                .with_state(3)
                .at_line(line),
            )
        };
        let out_of_range = |n: i64| {
            SqlFailure::from(
                SqlMessage::new(
                    131,
                    15,
                    format!("The size ({n}) given to the type '{name}' exceeds the maximum allowed for any data type (8000)."),
                )
                .at_line(line),
            )
        };
        let length = |limit: i64| -> Parsed<Length> {
            match lengths.first() {
                None => Ok(Length::Up(1)),
                Some(None) => Ok(Length::Max),
                Some(Some(n)) if (1..=limit).contains(n) => Ok(Length::Up(*n as u16)),
                Some(Some(n)) => Err(out_of_range(*n)),
            }
        };
        let fixed = |limit: i64| -> Parsed<u16> {
            match length(limit)? {
                Length::Up(n) => Ok(n),
                Length::Max => Err(out_of_range(0)),
            }
        };
        let digits = || -> Parsed<u8> {
            match lengths.first() {
                None => Ok(7),
                Some(Some(n)) if (0..=7).contains(n) => Ok(*n as u8),
                _ => Err(SqlMessage::new(1002, 16, "Line 1: Specified scale is invalid.")
                    .at_line(line)
                    .into()),
            }
        };
        Ok(match name.as_str() {
            "bit" => SqlType::Bit,
            "tinyint" => SqlType::TinyInt,
            "smallint" => SqlType::SmallInt,
            "int" | "integer" => SqlType::Int,
            "bigint" => SqlType::BigInt,
            "real" => SqlType::Real,
            "float" => match lengths.first() {
                Some(Some(n)) if (1..=24).contains(n) => SqlType::Real,
                _ => SqlType::Float,
            },
            "double" => {
                self.accept("PRECISION");
                SqlType::Float
            }
            "money" | "smallmoney" => SqlType::Money,
            "numeric" | "decimal" | "dec" => {
                let precision = lengths.first().copied().flatten().unwrap_or(18);
                let scale = lengths.get(1).copied().flatten().unwrap_or(0);
                if !(1..=38).contains(&precision) || !(0..=precision).contains(&scale) {
                    return Err(SqlMessage::new(
                        1002,
                        16,
                        format!("Line {line}: Specified scale {scale} is invalid."),
                    )
                    .at_line(line)
                    .into());
                }
                SqlType::Numeric { precision: precision as u8, scale: scale as u8 }
            }
            "char" | "character" => SqlType::Char(fixed(8000)?),
            "varchar" => SqlType::VarChar(length(8000)?),
            "nchar" => SqlType::NChar(fixed(4000)?),
            "nvarchar" => SqlType::NVarChar(length(4000)?),
            "sysname" => SqlType::SYSNAME,
            "binary" => SqlType::Binary(fixed(8000)?),
            "varbinary" => SqlType::VarBinary(length(8000)?),
            "timestamp" | "rowversion" => SqlType::Binary(8),
            "uniqueidentifier" => SqlType::UniqueIdentifier,
            "date" => SqlType::Date,
            "time" => SqlType::Time(digits()?),
            "smalldatetime" => SqlType::SmallDateTime,
            "datetime" => SqlType::DateTime,
            "datetime2" => SqlType::DateTime2(digits()?),
            "datetimeoffset" => SqlType::DateTimeOffset(digits()?),
            "sql_variant" => SqlType::Variant,
            "xml" => SqlType::Xml,
            "text" => SqlType::Text,
            "ntext" => SqlType::NText,
            "image" => SqlType::Image,
            _ => return Err(unknown()),
        })
    }
}

/// Error 191.
fn too_deep(line: u32) -> SqlFailure {
    SqlMessage::new(
        191,
        15,
        "Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.",
    )
    .at_line(line)
    .into()
}

/// A path of one to four parts as server, database, schema and name.
pub(super) fn object_name(path: &Path) -> ObjectName {
    let part = |from_end: usize| -> String {
        path.parts
            .len()
            .checked_sub(from_end)
            .and_then(|i| path.parts.get(i))
            .cloned()
            .unwrap_or_default()
    };
    ObjectName { server: part(4), database: part(3), schema: part(2), name: part(1) }
}

/// Source: Transact-SQL reference, "Reserved Keywords", without the ones that are names of functions.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "ADD", "ALL", "ALTER", "AND", "ANY", "AS", "ASC", "AUTHORIZATION", "BACKUP", "BEGIN",
    "BETWEEN", "BREAK", "BROWSE", "BULK", "BY", "CASCADE", "CASE", "CHECK", "CHECKPOINT", "CLOSE",
    "CLUSTERED", "COALESCE", "COLLATE", "COLUMN", "COMMIT", "COMPUTE", "CONSTRAINT", "CONTAINS",
    "CONTAINSTABLE", "CONTINUE", "CONVERT", "CREATE", "CROSS", "CURRENT", "CURRENT_DATE",
    "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "CURSOR", "DATABASE", "DBCC",
    "DEALLOCATE", "DECLARE", "DEFAULT", "DELETE", "DENY", "DESC", "DISK", "DISTINCT",
    "DISTRIBUTED", "DOUBLE", "DROP", "DUMP", "ELSE", "END", "ERRLVL", "ESCAPE", "EXCEPT", "EXEC",
    "EXECUTE", "EXISTS", "EXIT", "EXTERNAL", "FETCH", "FILE", "FILLFACTOR", "FOR", "FOREIGN",
    "FREETEXT", "FREETEXTTABLE", "FROM", "FULL", "FUNCTION", "GOTO", "GRANT", "GROUP", "HAVING",
    "HOLDLOCK", "IDENTITY", "IDENTITYCOL", "IDENTITY_INSERT", "IF", "IN", "INDEX", "INNER",
    "INSERT", "INTERSECT", "INTO", "IS", "JOIN", "KEY", "KILL", "LEFT", "LIKE", "LINENO", "LOAD",
    "MERGE", "NATIONAL", "NOCHECK", "NONCLUSTERED", "NOT", "NULL", "NULLIF", "OF", "OFF",
    "OFFSETS", "ON", "OPEN", "OPENDATASOURCE", "OPENQUERY", "OPENROWSET", "OPENXML", "OPTION",
    "OR", "ORDER", "OUTER", "OVER", "PERCENT", "PIVOT", "PLAN", "PRECISION", "PRIMARY", "PRINT",
    "PROC", "PROCEDURE", "PUBLIC", "RAISERROR", "READ", "READTEXT", "RECONFIGURE", "REFERENCES",
    "REPLICATION", "RESTORE", "RESTRICT", "RETURN", "REVERT", "REVOKE", "RIGHT", "ROLLBACK",
    "ROWCOUNT", "ROWGUIDCOL", "RULE", "SAVE", "SCHEMA", "SECURITYAUDIT", "SELECT", "SESSION_USER",
    "SET", "SETUSER", "SHUTDOWN", "SOME", "STATISTICS", "SYSTEM_USER", "TABLE", "TABLESAMPLE",
    "TEXTSIZE", "THEN", "TO", "TOP", "TRAN", "TRANSACTION", "TRIGGER", "TRUNCATE", "TRY_CONVERT",
    "TSEQUAL", "UNION", "UNIQUE", "UNPIVOT", "UPDATE", "UPDATETEXT", "USE", "USER", "VALUES",
    "VARYING", "VIEW", "WAITFOR", "WHEN", "WHERE", "WHILE", "WITH", "WRITETEXT",
];

fn is_reserved(word: &str) -> bool {
    let upper = || word.bytes().map(|byte| byte.to_ascii_uppercase());
    RESERVED.binary_search_by(|reserved| reserved.bytes().cmp(upper())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted_for_the_binary_search() {
        assert!(RESERVED.windows(2).all(|w| w[0] < w[1]));
    }
}
