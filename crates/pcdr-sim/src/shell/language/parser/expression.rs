//! Expressions, loosest operator first.

use std::sync::Arc;

use super::super::ast::{Expr, Operator, Piece};
use super::{
    LONGEST_ACCESS, LONGEST_CHAIN, Parsed, Parser, is_dash, is_double_quote, is_name,
    is_name_start, is_single_quote,
};

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.nested(|p| p.binary(0))
    }

    /// The operator here, with its level of binding, without consuming it.
    pub(super) fn operator(&self) -> Option<(Operator, u32, usize)> {
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
    pub(super) fn binary(&mut self, loosest: u32) -> Parsed<Expr> {
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

    pub(super) fn comma_list(&mut self) -> Parsed<Expr> {
        self.joined_by_commas(Self::unary)
    }

    /// One item, or an array of several.
    pub(super) fn joined_by_commas(&mut self, item: fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        let mut items = vec![item(self)?];
        loop {
            let before = self.at;
            self.skip_blanks()?;
            if self.peek() != Some(',') {
                self.at = before;
                break;
            }
            self.at += 1;
            self.skip_lines()?;
            items.push(item(self)?);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Expr::List(items) })
    }

    pub(super) fn unary(&mut self) -> Parsed<Expr> {
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

    pub(super) fn type_name(&mut self) -> Parsed<String> {
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

    pub(super) fn simple_name(&mut self) -> Parsed<String> {
        let name: String = self.text[self.at..].iter().take_while(|c| is_name(**c)).collect();
        if name.is_empty() {
            return self.unexpected("a member name");
        }
        self.at += name.chars().count();
        Ok(name)
    }

    pub(super) fn primary_with_members(&mut self) -> Parsed<Expr> {
        let primary = self.nested(Self::primary)?;
        self.members(primary)
    }

    pub(super) fn members(&mut self, mut target: Expr) -> Parsed<Expr> {
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

    pub(super) fn call_arguments(&mut self) -> Parsed<Vec<Expr>> {
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

    pub(super) fn primary(&mut self) -> Parsed<Expr> {
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

    pub(super) fn hashtable(&mut self) -> Parsed<Expr> {
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
}
