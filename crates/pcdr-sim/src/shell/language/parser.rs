//! From text to syntax tree. One pass over the characters, because the language has two ways of
//! reading the same characters: as an expression and as an argument of a command.

mod expression;
mod literal;

use super::ast::{Argument, Block, Command, Element, Expr, Piece, Pipeline, Position, Statement};
use super::failure::ErrorRecord;

/// How deep constructs may nest: a limit of the stand-in, so that no input exhausts its stack.
const DEEPEST: u32 = 96;

/// How many operators may follow each other, for the same reason.
const LONGEST_CHAIN: usize = 1000;

/// How many member accesses may follow each other.
const LONGEST_ACCESS: usize = 100;

/// Why a text is not a script.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseFailure {
    /// As a record for the error stream.
    pub record: Box<ErrorRecord>,
    /// The text ends too early: more lines may complete it.
    pub incomplete: bool,
}

/// Parses a whole script.
///
/// # Errors
///
/// What was expected and where.
pub fn parse(text: &str) -> Result<Block, ParseFailure> {
    let mut parser = Parser::new(text);
    let block = parser.statements(None)?;
    Ok(block)
}

/// Whether a character is one of the four that begin and end a verbatim string.
/// Source: PowerShell language specification, "single-quote-character".
pub fn is_single_quote(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}')
}

fn is_double_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2013}' | '\u{2014}' | '\u{2015}')
}

fn is_blank(c: char) -> bool {
    c != '\n' && c != '\r' && (c.is_whitespace() || c == '\u{a0}')
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

type Parsed<T> = Result<T, ParseFailure>;

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn new(text: &str) -> Self {
        Parser { text: text.chars().collect(), at: 0, depth: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn ahead(&self, by: usize) -> Option<char> {
        self.text.get(self.at + by).copied()
    }

    fn position_of(&self, at: usize) -> Position {
        let before = &self.text[..at.min(self.text.len())];
        let line = before.iter().filter(|c| **c == '\n').count() as u32 + 1;
        let column = before.iter().rev().take_while(|c| **c != '\n').count() as u32 + 1;
        Position { line, column }
    }

    fn failure(&self, id: &str, message: impl Into<String>, incomplete: bool) -> ParseFailure {
        let mut record =
            ErrorRecord::new("ParserError", "ParentContainsErrorRecordException", id, message);
        record.position = self.position_of(self.at);
        let start = self.text[..self.at.min(self.text.len())]
            .iter()
            .rposition(|c| *c == '\n')
            .map_or(0, |i| i + 1);
        record.source_text = self.text[start..].iter().take_while(|c| **c != '\n').collect();
        ParseFailure { record: Box::new(record), incomplete }
    }

    fn unexpected<T>(&self, wanted: &str) -> Parsed<T> {
        Err(match self.peek() {
            None => self.failure(
                "MissingExpression",
                format!("The script ends where {wanted} was expected."),
                true,
            ),
            Some(c) => self.failure(
                "UnexpectedToken",
                format!("Unexpected '{c}' where {wanted} was expected."),
                false,
            ),
        })
    }

    fn too_complicated(&self) -> ParseFailure {
        self.failure(
            "ScriptTooComplicated",
            "The script nests too deeply, or an expression is too long.",
            false,
        )
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEEPEST {
            return Err(self.too_complicated());
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Blanks, comments and line continuations; not line ends.
    fn skip_blanks(&mut self) -> Parsed<()> {
        loop {
            match self.peek() {
                Some(c) if is_blank(c) => self.at += 1,
                Some('`') if matches!(self.ahead(1), Some('\n')) => self.at += 2,
                Some('`') if self.ahead(1) == Some('\r') && self.ahead(2) == Some('\n') => {
                    self.at += 3;
                }
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                Some('<') if self.ahead(1) == Some('#') => {
                    self.at += 2;
                    loop {
                        match self.peek() {
                            None => {
                                return Err(self.failure(
                                    "MissingTerminatorMultiLineComment",
                                    "A block comment has no closing #>.",
                                    true,
                                ));
                            }
                            Some('#') if self.ahead(1) == Some('>') => break,
                            Some(_) => self.at += 1,
                        }
                    }
                    self.at += 2;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Blanks and line ends.
    fn skip_lines(&mut self) -> Parsed<()> {
        loop {
            self.skip_blanks()?;
            match self.peek() {
                Some('\n' | '\r') => self.at += 1,
                _ => return Ok(()),
            }
        }
    }

    fn expect(&mut self, wanted: char) -> Parsed<()> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        self.unexpected(&format!("'{wanted}'"))
    }

    /// Statements up to `end`, which is not consumed.
    fn statements(&mut self, end: Option<char>) -> Parsed<Block> {
        let mut statements = Vec::new();
        loop {
            self.skip_lines()?;
            while self.peek() == Some(';') {
                self.at += 1;
                self.skip_lines()?;
            }
            match self.peek() {
                None if end.is_none() => return Ok(Block(statements)),
                None => return self.unexpected("a closing bracket"),
                Some(c) if Some(c) == end => return Ok(Block(statements)),
                Some(_) => {}
            }
            statements.push(self.nested(Self::statement)?);
            self.skip_blanks()?;
            match self.peek() {
                None | Some('\n' | '\r' | ';') => {}
                Some(c) if Some(c) == end => {}
                Some('}') if self.block_ended() => {}
                Some(_) if self.block_ended() => {}
                Some(_) => return self.unexpected("the end of the statement"),
            }
        }
    }

    /// After `{ … }` of a statement the next statement may follow directly.
    fn block_ended(&self) -> bool {
        self.text[..self.at].iter().rev().find(|c| !c.is_whitespace()) == Some(&'}')
            && self.peek().is_some_and(|c| !matches!(c, '}' | ')' | ']'))
    }

    fn block(&mut self) -> Parsed<Block> {
        self.skip_lines()?;
        self.expect('{')?;
        let block = self.statements(Some('}'))?;
        self.expect('}')?;
        Ok(block)
    }

    /// The keyword here, in lower case, if a word begins here.
    fn word(&self) -> String {
        self.text[self.at..]
            .iter()
            .take_while(|c| is_name(**c) || **c == '-')
            .collect::<String>()
            .to_lowercase()
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let word = self.word();
        match word.as_str() {
            "try" => self.try_statement(),
            "if" => self.if_statement(),
            "foreach" if self.after_word(7) == Some('(') => self.foreach_statement(),
            "exit" | "throw" | "return" => {
                self.at += word.len();
                self.skip_blanks()?;
                let value = match self.peek() {
                    None | Some('\n' | '\r' | ';' | '}' | ')') => None,
                    Some(_) => Some(self.pipeline()?),
                };
                Ok(match word.as_str() {
                    "exit" => Statement::Exit(value),
                    "throw" => Statement::Throw(value),
                    _ => Statement::Return(value),
                })
            }
            "while" | "for" | "do" | "switch" | "function" | "filter" | "trap" | "param"
            | "begin" | "process" | "class" | "enum" | "using" | "data" | "break" | "continue"
            | "catch" | "finally" | "else" | "elseif" => Err(self.failure(
                "KeywordNotSupported",
                format!("The keyword '{word}' cannot be used here in this shell."),
                false,
            )),
            _ => self.assignment_or_pipeline(),
        }
    }

    fn after_word(&self, length: usize) -> Option<char> {
        self.text[(self.at + length).min(self.text.len())..].iter().copied().find(|c| !is_blank(*c))
    }

    fn try_statement(&mut self) -> Parsed<Statement> {
        self.at += 3;
        let body = self.block()?;
        let (mut catch, mut finally) = (None, None);
        loop {
            let before = self.at;
            self.skip_lines()?;
            let word = self.word();
            if word == "catch" && catch.is_none() && finally.is_none() {
                self.at += 5;
                self.skip_lines()?;
                if self.peek() == Some('[') {
                    let name = self.type_name()?;
                    let short = name.rsplit('.').next().unwrap_or_default().to_lowercase();
                    if short != "exception" {
                        return Err(self.failure(
                            "TypedCatchNotSupported",
                            format!("This shell cannot catch [{name}] alone; use a plain catch."),
                            false,
                        ));
                    }
                }
                catch = Some(self.block()?);
            } else if word == "finally" && finally.is_none() {
                self.at += 7;
                finally = Some(self.block()?);
            } else {
                if catch.is_none() && finally.is_none() {
                    let at_end = self.peek().is_none();
                    return Err(self.failure(
                        "MissingCatchOrFinally",
                        "The try statement has neither a catch nor a finally block.",
                        at_end,
                    ));
                }
                self.at = before;
                return Ok(Statement::Try { body, catch, finally });
            }
        }
    }

    fn condition(&mut self) -> Parsed<Pipeline> {
        self.skip_lines()?;
        self.expect('(')?;
        self.skip_lines()?;
        let condition = self.pipeline()?;
        self.skip_lines()?;
        self.expect(')')?;
        Ok(condition)
    }

    fn if_statement(&mut self) -> Parsed<Statement> {
        self.at += 2;
        let mut clauses = vec![(self.condition()?, self.block()?)];
        loop {
            let before = self.at;
            self.skip_lines()?;
            match self.word().as_str() {
                "elseif" => {
                    self.at += 6;
                    clauses.push((self.condition()?, self.block()?));
                }
                "else" => {
                    self.at += 4;
                    let otherwise = Some(self.block()?);
                    return Ok(Statement::If { clauses, otherwise });
                }
                _ => {
                    self.at = before;
                    return Ok(Statement::If { clauses, otherwise: None });
                }
            }
        }
    }

    fn foreach_statement(&mut self) -> Parsed<Statement> {
        self.at += 7;
        self.skip_blanks()?;
        self.expect('(')?;
        self.skip_lines()?;
        self.expect('$')?;
        let variable = self.variable_name()?;
        self.skip_lines()?;
        if self.word() != "in" {
            return self.unexpected("'in'");
        }
        self.at += 2;
        self.skip_lines()?;
        let source = self.pipeline()?;
        self.skip_lines()?;
        self.expect(')')?;
        let body = self.block()?;
        Ok(Statement::Foreach { variable, source, body })
    }

    fn assignment_or_pipeline(&mut self) -> Parsed<Statement> {
        if self.peek() == Some('$') && self.ahead(1).is_some_and(|c| c != '(') {
            let before = self.at;
            self.at += 1;
            if let Ok(variable) = self.variable_name() {
                self.skip_blanks()?;
                let append = self.peek() == Some('+') && self.ahead(1) == Some('=');
                if append || self.peek() == Some('=') {
                    self.at += if append { 2 } else { 1 };
                    self.skip_lines()?;
                    let value = Box::new(self.nested(Self::statement)?);
                    return Ok(Statement::Assign { variable, append, value });
                }
            }
            self.at = before;
        }
        Ok(Statement::Pipeline(self.pipeline()?))
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let position = self.position_of(self.at);
        let mut elements = vec![self.element(true)?];
        loop {
            self.skip_blanks()?;
            if self.peek() != Some('|') {
                return Ok(Pipeline { elements, position });
            }
            self.at += 1;
            self.skip_lines()?;
            elements.push(self.element(false)?);
        }
    }

    fn begins_expression(&self) -> bool {
        let Some(c) = self.peek() else { return false };
        match c {
            '$' | '(' | '[' | '{' => true,
            '@' => matches!(self.ahead(1), Some('(' | '{')),
            ',' | '!' => true,
            c if is_single_quote(c) || is_double_quote(c) => true,
            c if c.is_ascii_digit() => true,
            c if is_dash(c) || c == '+' => {
                self.ahead(1).is_some_and(|n| n.is_ascii_digit() || n == '$' || n == '(')
                    || matches!(self.word_after_dash().as_str(), "not" | "join")
            }
            _ => false,
        }
    }

    fn word_after_dash(&self) -> String {
        self.text[(self.at + 1).min(self.text.len())..]
            .iter()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect::<String>()
            .to_lowercase()
    }

    fn element(&mut self, first: bool) -> Parsed<Element> {
        if self.peek() == Some('&') {
            self.at += 1;
            self.skip_blanks()?;
            let start = self.at;
            let name = self.nested(Self::primary)?;
            return self.command(name, start);
        }
        if self.begins_expression() {
            if !first {
                return Err(self.failure(
                    "ExpressionsMustBeFirstInPipeline",
                    "An expression can only be the first element of a pipeline.",
                    false,
                ));
            }
            return Ok(Element::Expression(self.expression()?));
        }
        let start = self.at;
        let word: String = self.text[self.at..]
            .iter()
            .take_while(|c| is_name(**c) || matches!(c, '-' | '\\' | '.' | ':' | '%' | '?'))
            .collect();
        if word.is_empty() {
            return self.unexpected("a command");
        }
        self.at += word.chars().count();
        self.command(Expr::String(word), start)
    }

    fn command(&mut self, name: Expr, start: usize) -> Parsed<Element> {
        let mut arguments = Vec::new();
        loop {
            self.skip_blanks()?;
            let Some(c) = self.peek() else { break };
            match c {
                '\n' | '\r' | ';' | '|' | ')' | '}' => break,
                '>' | '<' | '&' => {
                    return Err(self.failure(
                        "RedirectionNotSupported",
                        format!("'{c}' is not supported here in this shell."),
                        false,
                    ));
                }
                c if is_dash(c) && self.ahead(1).is_some_and(is_name_start) => {
                    self.at += 1;
                    let name: String =
                        self.text[self.at..].iter().take_while(|c| is_name(**c)).collect();
                    self.at += name.chars().count();
                    let value = if self.peek() == Some(':') {
                        self.at += 1;
                        self.skip_blanks()?;
                        Some(self.argument_list()?)
                    } else {
                        None
                    };
                    arguments.push(Argument::Parameter(name, value));
                }
                _ => arguments.push(Argument::Value(self.argument_list()?)),
            }
        }
        let text: String = self.text[start..self.at].iter().collect();
        Ok(Element::Command(Command {
            name,
            arguments,
            position: self.position_of(start),
            text: text.trim_end().to_owned(),
        }))
    }

    /// Arguments joined by commas are one array.
    fn argument_list(&mut self) -> Parsed<Expr> {
        self.joined_by_commas(|p| p.nested(Self::argument))
    }

    fn argument(&mut self) -> Parsed<Expr> {
        match self.peek() {
            None => self.unexpected("an argument"),
            Some('$') if self.ahead(1) == Some('(') => self.primary_with_members(),
            Some('$')
                if self.ahead(1).is_some_and(|c| is_name_start(c) || matches!(c, '{' | '?')) =>
            {
                let before = self.at;
                let value = self.primary_with_members()?;
                if self.word_ended() {
                    return Ok(value);
                }
                self.at = before;
                self.bare_word()
            }
            Some('(' | '{') => self.primary_with_members(),
            Some('@') if matches!(self.ahead(1), Some('(' | '{')) => self.primary_with_members(),
            Some(c) if is_single_quote(c) || is_double_quote(c) => {
                let before = self.at;
                let value = self.primary_with_members()?;
                if self.word_ended() {
                    return Ok(value);
                }
                self.at = before;
                self.bare_word()
            }
            Some(c) if c.is_ascii_digit() => {
                let before = self.at;
                if let Ok(number) = self.number()
                    && self.word_ended()
                {
                    return Ok(number);
                }
                self.at = before;
                self.bare_word()
            }
            Some(_) => self.bare_word(),
        }
    }

    fn word_ended(&self) -> bool {
        match self.peek() {
            None => true,
            Some(c) => c.is_whitespace() || matches!(c, ',' | ';' | '|' | ')' | '}' | '&' | '>'),
        }
    }

    /// A word without quotes: variables in it expand, quoted parts join in.
    fn bare_word(&mut self) -> Parsed<Expr> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut text = String::new();
        let start = self.at;
        while !self.word_ended() {
            let Some(c) = self.peek() else { break };
            match c {
                '(' | '{' | '<' => return self.unexpected("the end of the argument"),
                '`' => {
                    self.at += 1;
                    match self.peek() {
                        None => return self.unexpected("a character after the backtick"),
                        Some(c) => text.push(c),
                    }
                    self.at += 1;
                }
                '$' => self.expansion(&mut pieces, &mut text)?,
                c if is_single_quote(c) => text.push_str(&self.verbatim()?),
                c if is_double_quote(c) => {
                    self.at += 1;
                    self.expandable_content(&mut pieces, &mut text)?;
                }
                c => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        if self.at == start {
            return self.unexpected("an argument");
        }
        if pieces.is_empty() {
            return Ok(Expr::String(text));
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Expr::Expandable(pieces))
    }
}
