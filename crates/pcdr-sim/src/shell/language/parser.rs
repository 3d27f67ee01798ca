//! From text to syntax tree. One pass over the characters, because the language has two ways of
//! reading the same characters: as an expression and as an argument of a command.

use std::sync::Arc;

use super::ast::{
    Argument, Block, Command, Element, Expr, Operator, Piece, Pipeline, Position, Statement,
};
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
        let mut items = vec![self.nested(Self::argument)?];
        loop {
            let before = self.at;
            self.skip_blanks()?;
            if self.peek() != Some(',') {
                self.at = before;
                break;
            }
            self.at += 1;
            self.skip_lines()?;
            items.push(self.nested(Self::argument)?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::List(items) })
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

    // --- expressions, loosest first ---

    fn expression(&mut self) -> Parsed<Expr> {
        self.nested(|p| p.binary(0))
    }

    /// The operator here, with its level of binding, without consuming it.
    fn operator(&self) -> Option<(Operator, u32, usize)> {
        use Operator as O;
        let c = self.peek()?;
        let symbol = |operator, level| Some((operator, level, 1));
        if is_dash(c) {
            let word = self.word_after_dash();
            let plain = word.as_str();
            let (operator, level) = match plain {
                "and" => (O::And, 0),
                "or" => (O::Or, 0),
                "eq" | "ieq" => (O::Equal, 1),
                "ceq" => (O::CaseSensitiveEqual, 1),
                "ne" | "ine" => (O::NotEqual, 1),
                "cne" => (O::CaseSensitiveNotEqual, 1),
                "gt" => (O::Greater, 1),
                "ge" => (O::GreaterOrEqual, 1),
                "lt" => (O::Less, 1),
                "le" => (O::LessOrEqual, 1),
                "like" | "ilike" => (O::Like, 1),
                "notlike" | "inotlike" => (O::NotLike, 1),
                "contains" | "icontains" => (O::Contains, 1),
                "notcontains" | "inotcontains" => (O::NotContains, 1),
                "in" | "iin" => (O::In, 1),
                "notin" | "inotin" => (O::NotIn, 1),
                "join" => (O::Join, 1),
                "f" => (O::Format, 4),
                _ => return if plain.is_empty() { symbol(O::Subtract, 2) } else { None },
            };
            return Some((operator, level, 1 + word.chars().count()));
        }
        match c {
            '+' => symbol(O::Add, 2),
            '*' => symbol(O::Multiply, 3),
            '/' => symbol(O::Divide, 3),
            '%' => symbol(O::Remainder, 3),
            '.' if self.ahead(1) == Some('.') => Some((O::Range, 5, 2)),
            _ => None,
        }
    }

    /// Operators that bind at least as tightly as `loosest`.
    fn binary(&mut self, loosest: u32) -> Parsed<Expr> {
        let mut left = self.comma_list()?;
        let mut operators = 0;
        loop {
            let before = self.at;
            self.skip_blanks()?;
            if self.peek().is_some_and(is_dash)
                && self.operator().is_none()
                && self.ahead(1).is_some_and(is_name_start)
            {
                return Err(self.failure(
                    "UnexpectedToken",
                    format!("'-{}' is not an operator of this shell.", self.word_after_dash()),
                    false,
                ));
            }
            match self.operator() {
                Some((operator, level, length)) if level >= loosest => {
                    operators += 1;
                    if operators > LONGEST_CHAIN {
                        return Err(self.too_complicated());
                    }
                    self.at += length;
                    self.skip_lines()?;
                    let right = self.nested(|p| p.binary(level + 1))?;
                    left = Expr::Binary(operator, Box::new(left), Box::new(right));
                }
                _ => {
                    self.at = before;
                    return Ok(left);
                }
            }
        }
    }

    fn comma_list(&mut self) -> Parsed<Expr> {
        let mut items = vec![self.unary()?];
        loop {
            let before = self.at;
            self.skip_blanks()?;
            if self.peek() != Some(',') {
                self.at = before;
                break;
            }
            self.at += 1;
            self.skip_lines()?;
            items.push(self.unary()?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::List(items) })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        self.nested(|p| {
            p.skip_blanks()?;
            match p.peek() {
                Some('!') => {
                    p.at += 1;
                    Ok(Expr::Unary(Operator::Not, Box::new(p.unary()?)))
                }
                Some(',') => {
                    p.at += 1;
                    Ok(Expr::Unary(Operator::Comma, Box::new(p.unary()?)))
                }
                Some(c) if is_dash(c) => {
                    let word = p.word_after_dash();
                    match word.as_str() {
                        "not" => {
                            p.at += 4;
                            Ok(Expr::Unary(Operator::Not, Box::new(p.unary()?)))
                        }
                        "join" => {
                            p.at += 5;
                            let empty = Box::new(Expr::String(String::new()));
                            Ok(Expr::Binary(Operator::Join, Box::new(p.unary()?), empty))
                        }
                        "" => {
                            p.at += 1;
                            Ok(Expr::Unary(Operator::Subtract, Box::new(p.unary()?)))
                        }
                        _ => p.unexpected("an expression"),
                    }
                }
                Some('+') => {
                    p.at += 1;
                    p.unary()
                }
                Some('[') => {
                    let name = p.type_name()?;
                    if p.peek() == Some(':') && p.ahead(1) == Some(':') {
                        p.at += 2;
                        let member = p.simple_name()?;
                        p.expect('(')?;
                        let arguments = p.call_arguments()?;
                        let call = Expr::StaticCall(name, member, arguments);
                        return p.members(call);
                    }
                    Ok(Expr::Cast(name, Box::new(p.unary()?)))
                }
                _ => p.primary_with_members(),
            }
        })
    }

    fn type_name(&mut self) -> Parsed<String> {
        self.expect('[')?;
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if !(is_name(c) || c == '.') {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        if self.peek() == Some('[') && self.ahead(1) == Some(']') {
            name.push_str("[]");
            self.at += 2;
        }
        self.expect(']')?;
        Ok(name)
    }

    fn simple_name(&mut self) -> Parsed<String> {
        let name: String = self.text[self.at..].iter().take_while(|c| is_name(**c)).collect();
        if name.is_empty() {
            return self.unexpected("a member name");
        }
        self.at += name.chars().count();
        Ok(name)
    }

    fn primary_with_members(&mut self) -> Parsed<Expr> {
        let primary = self.nested(Self::primary)?;
        self.members(primary)
    }

    fn members(&mut self, mut target: Expr) -> Parsed<Expr> {
        for _ in 0..LONGEST_ACCESS {
            match self.peek() {
                Some('.') if self.ahead(1).is_some_and(|c| c != '.' && !c.is_whitespace()) => {
                    self.at += 1;
                    let name = match self.peek() {
                        Some('$') => self.nested(Self::primary)?,
                        Some(c) if is_single_quote(c) || is_double_quote(c) => {
                            self.nested(Self::primary)?
                        }
                        _ => Expr::String(self.simple_name()?),
                    };
                    target = match (self.peek(), name) {
                        (Some('('), Expr::String(name)) => {
                            self.at += 1;
                            let arguments = self.call_arguments()?;
                            Expr::Call(Box::new(target), name, arguments)
                        }
                        (_, name) => Expr::Member(Box::new(target), Box::new(name)),
                    };
                }
                Some('[') => {
                    self.at += 1;
                    self.skip_lines()?;
                    let index = self.expression()?;
                    self.skip_lines()?;
                    self.expect(']')?;
                    target = Expr::Index(Box::new(target), Box::new(index));
                }
                _ => return Ok(target),
            }
        }
        Err(self.too_complicated())
    }

    fn call_arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.skip_lines()?;
        if self.peek() == Some(')') {
            self.at += 1;
            return Ok(Vec::new());
        }
        let list = self.expression()?;
        self.skip_lines()?;
        self.expect(')')?;
        Ok(match list {
            Expr::List(items) => items,
            one => vec![one],
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let Some(c) = self.peek() else {
            return self.unexpected("an expression");
        };
        match c {
            '$' if self.ahead(1) == Some('(') => {
                self.at += 2;
                let block = self.statements(Some(')'))?;
                self.expect(')')?;
                Ok(Expr::Sub(block))
            }
            '$' => {
                self.at += 1;
                Ok(Expr::Variable(self.variable_name()?))
            }
            '(' => {
                self.at += 1;
                self.skip_lines()?;
                let inside = self.nested(Self::statement)?;
                self.skip_lines()?;
                self.expect(')')?;
                Ok(Expr::Paren(Box::new(inside)))
            }
            '@' if self.ahead(1) == Some('(') => {
                self.at += 2;
                let block = self.statements(Some(')'))?;
                self.expect(')')?;
                Ok(Expr::ArrayOf(block))
            }
            '@' if self.ahead(1) == Some('{') => {
                self.at += 2;
                self.hashtable()
            }
            '{' => {
                self.at += 1;
                let block = self.statements(Some('}'))?;
                self.expect('}')?;
                Ok(Expr::ScriptBlock(Arc::new(block)))
            }
            c if is_single_quote(c) => Ok(Expr::String(self.verbatim()?)),
            c if is_double_quote(c) => {
                self.at += 1;
                let (mut pieces, mut text) = (Vec::new(), String::new());
                self.expandable_content(&mut pieces, &mut text)?;
                if pieces.is_empty() {
                    return Ok(Expr::String(text));
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(text));
                }
                Ok(Expr::Expandable(pieces))
            }
            c if c.is_ascii_digit() => self.number(),
            _ => self.unexpected("an expression"),
        }
    }

    fn hashtable(&mut self) -> Parsed<Expr> {
        let mut entries = Vec::new();
        loop {
            self.skip_lines()?;
            while self.peek() == Some(';') {
                self.at += 1;
                self.skip_lines()?;
            }
            match self.peek() {
                Some('}') => {
                    self.at += 1;
                    return Ok(Expr::Hash(entries));
                }
                None => return self.unexpected("'}'"),
                Some(_) => {}
            }
            let key = match self.peek() {
                Some(c) if is_name_start(c) => Expr::String(self.simple_name()?),
                _ => self.nested(Self::primary)?,
            };
            self.skip_blanks()?;
            self.expect('=')?;
            self.skip_lines()?;
            let value = self.nested(Self::statement)?;
            entries.push((key, value));
            self.skip_blanks()?;
            match self.peek() {
                Some('}' | ';' | '\n' | '\r') => {}
                _ => return self.unexpected("';' or '}'"),
            }
        }
    }

    fn number(&mut self) -> Parsed<Expr> {
        if self.peek() == Some('0') && matches!(self.ahead(1), Some('x' | 'X')) {
            let digits: String =
                self.text[self.at + 2..].iter().take_while(|c| c.is_ascii_hexdigit()).collect();
            self.at += 2 + digits.len();
            return i64::from_str_radix(&digits, 16).map(Expr::Integer).map_err(|_| {
                self.failure("BadNumericConstant", "The number is not valid.", false)
            });
        }
        let mut digits: String =
            self.text[self.at..].iter().take_while(|c| c.is_ascii_digit()).collect();
        self.at += digits.len();
        let fraction =
            self.peek() == Some('.') && self.ahead(1).is_some_and(|c| c.is_ascii_digit());
        if fraction {
            let rest: String =
                self.text[self.at + 1..].iter().take_while(|c| c.is_ascii_digit()).collect();
            self.at += 1 + rest.len();
            digits = format!("{digits}.{rest}");
            if let Ok(number) = digits.parse() {
                return Ok(Expr::Real(number));
            }
        }
        digits
            .parse()
            .map(Expr::Integer)
            .map_err(|_| self.failure("BadNumericConstant", "The number is too large.", false))
    }

    /// After the `$`: a name, a special name or `{any text}`.
    fn variable_name(&mut self) -> Parsed<String> {
        match self.peek() {
            Some('{') => {
                self.at += 1;
                let name: String = self.text[self.at..].iter().take_while(|c| **c != '}').collect();
                self.at += name.chars().count();
                self.expect('}')?;
                Ok(name)
            }
            Some(c @ ('?' | '$' | '^')) => {
                self.at += 1;
                Ok(c.to_string())
            }
            Some(c) if is_name(c) => {
                let mut name = String::new();
                while let Some(c) = self.peek() {
                    let scope =
                        c == ':' && !name.contains(':') && self.ahead(1).is_some_and(is_name_start);
                    if !is_name(c) && !scope {
                        break;
                    }
                    name.push(c);
                    self.at += 1;
                }
                Ok(name)
            }
            _ => self.unexpected("a variable name"),
        }
    }

    /// `'…'`: any of the single quotes ends it, two in a row stand for the second of them.
    fn verbatim(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => {
                    return Err(self.failure(
                        "TerminatorExpectedAtEndOfString",
                        "The string is missing the terminator: '.",
                        true,
                    ));
                }
                Some(c) if is_single_quote(c) => {
                    self.at += 1;
                    match self.peek() {
                        Some(second) if is_single_quote(second) => text.push(second),
                        _ => return Ok(text),
                    }
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
    }

    /// The rest of `"…"`, through its end.
    fn expandable_content(&mut self, pieces: &mut Vec<Piece>, text: &mut String) -> Parsed<()> {
        loop {
            match self.peek() {
                None => {
                    return Err(self.failure(
                        "TerminatorExpectedAtEndOfString",
                        "The string is missing the terminator: \".",
                        true,
                    ));
                }
                Some(c) if is_double_quote(c) => {
                    self.at += 1;
                    match self.peek() {
                        Some(second) if is_double_quote(second) => {
                            text.push(second);
                            self.at += 1;
                        }
                        _ => return Ok(()),
                    }
                }
                Some('`') => {
                    self.at += 1;
                    match self.peek() {
                        None => continue,
                        Some('n') => text.push('\n'),
                        Some('r') => text.push('\r'),
                        Some('t') => text.push('\t'),
                        Some('0') => text.push('\0'),
                        Some('a') => text.push('\u{7}'),
                        Some('b') => text.push('\u{8}'),
                        Some('f') => text.push('\u{c}'),
                        Some('v') => text.push('\u{b}'),
                        Some(other) => text.push(other),
                    }
                    self.at += 1;
                }
                Some('$') => self.expansion(pieces, text)?,
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
    }

    /// `$name`, `${name}` or `$(…)` inside a string; a `$` before anything else is itself.
    fn expansion(&mut self, pieces: &mut Vec<Piece>, text: &mut String) -> Parsed<()> {
        let next = self.ahead(1);
        let is_variable =
            next.is_some_and(|c| is_name(c) || matches!(c, '{' | '(' | '?' | '$' | '^'));
        if !is_variable {
            text.push('$');
            self.at += 1;
            return Ok(());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(text)));
        }
        pieces.push(Piece::Expression(self.nested(Self::primary)?));
        Ok(())
    }
}
