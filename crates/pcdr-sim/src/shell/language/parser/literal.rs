//! Numbers, variable names and strings.

use super::super::ast::{Expr, Piece};
use super::{Parsed, Parser, is_double_quote, is_name, is_name_start, is_single_quote};

impl Parser {
    pub(super) fn number(&mut self) -> Parsed<Expr> {
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
    pub(super) fn variable_name(&mut self) -> Parsed<String> {
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
    pub(super) fn verbatim(&mut self) -> Parsed<String> {
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
    pub(super) fn expandable_content(
        &mut self,
        pieces: &mut Vec<Piece>,
        text: &mut String,
    ) -> Parsed<()> {
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
    pub(super) fn expansion(&mut self, pieces: &mut Vec<Piece>, text: &mut String) -> Parsed<()> {
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
