//! Expressions and conditions, by precedence.

use super::{Parsed, Parser, too_deep};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::lex::Kind;
use crate::tsql::tree::{
    BinaryOp, Call, CompareOp, Expr, Frame, FrameBound, OrderItem, Path, Window,
};
use crate::value::{Length, SqlType, Value};

/// How many operators may follow each other without parentheses: each makes the tree one deeper.
const MAX_CHAIN: usize = 300;

/// Functions whose first argument is a part of a date, written bare.
const DATE_PART_FUNCTIONS: [&str; 6] =
    ["DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATENAME", "DATEPART", "DATETRUNC"];

/// The function behind `.value`, under a name that no statement can spell.
pub(in crate::tsql) const XML_TEXT: &str = "\u{1}XML_TEXT";

impl Parser {
    /// A value; error 102 near an operator that makes a condition of it.
    pub(super) fn value(&mut self) -> Parsed<Expr> {
        self.deeper(|p| {
            let expr = p.sum()?;
            p.require_value(expr)
        })
    }

    fn require_value(&self, expr: Expr) -> Parsed<Expr> {
        if expr.is_condition() {
            return Err(self.unexpected());
        }
        Ok(expr)
    }

    /// A condition; error 4145 when a value stands in its place.
    pub(super) fn condition(&mut self) -> Parsed<Expr> {
        let expr = self.deeper(Parser::disjunction)?;
        self.require_condition(expr)
    }

    fn require_condition(&self, expr: Expr) -> Parsed<Expr> {
        if expr.is_condition() {
            return Ok(expr);
        }
        let token = self.peek();
        let (near, line) = if token.kind == Kind::End {
            let last = self.at.checked_sub(1).map(|i| &self.tokens[i]);
            last.map_or((String::new(), token.line), |t| (t.text.clone(), t.line))
        } else {
            (token.text.clone(), token.line)
        };
        Err(SqlMessage::new(
            4145,
            15,
            format!("An expression of non-boolean type specified in a context where a condition is expected, near '{near}'."),
        )
        .at_line(line)
        .into())
    }

    fn disjunction(&mut self) -> Parsed<Expr> {
        let first = self.conjunction()?;
        if !self.is("OR") {
            return Ok(first);
        }
        let mut all = vec![self.require_condition(first)?];
        while self.accept("OR") {
            let next = self.conjunction()?;
            all.push(self.require_condition(next)?);
        }
        Ok(Expr::Or(all))
    }

    fn conjunction(&mut self) -> Parsed<Expr> {
        let first = self.negation()?;
        if !self.is("AND") {
            return Ok(first);
        }
        let mut all = vec![self.require_condition(first)?];
        while self.accept("AND") {
            let next = self.negation()?;
            all.push(self.require_condition(next)?);
        }
        Ok(Expr::And(all))
    }

    fn negation(&mut self) -> Parsed<Expr> {
        if self.accept("NOT") {
            let inner = self.deeper(Parser::negation)?;
            return Ok(Expr::Not(Box::new(self.require_condition(inner)?)));
        }
        self.predicate()
    }

    fn compare_op(&self) -> Option<CompareOp> {
        let token = self.peek();
        if token.kind != Kind::Symbol {
            return None;
        }
        Some(match token.text.as_str() {
            "=" => CompareOp::Equal,
            "<>" | "!=" => CompareOp::NotEqual,
            "<" => CompareOp::Less,
            "<=" | "!>" => CompareOp::LessOrEqual,
            ">" => CompareOp::Greater,
            ">=" | "!<" => CompareOp::GreaterOrEqual,
            _ => return None,
        })
    }

    fn predicate(&mut self) -> Parsed<Expr> {
        if self.is("EXISTS") {
            self.take();
            self.expect_symbol("(")?;
            let query = self.deeper(Parser::query)?;
            self.expect_symbol(")")?;
            return Ok(Expr::Exists(Box::new(query)));
        }
        let left = self.sum()?;
        if left.is_condition() {
            return Ok(left);
        }
        if let Some(op) = self.compare_op() {
            self.take();
            for (word, all) in [("ALL", true), ("ANY", false), ("SOME", false)] {
                if self.is(word) && self.peek_at(1).is_symbol("(") {
                    self.take();
                    self.take();
                    let query = self.deeper(Parser::query)?;
                    self.expect_symbol(")")?;
                    return Ok(Expr::Quantified(Box::new(left), op, all, Box::new(query)));
                }
            }
            let right = self.sum()?;
            let right = self.require_value(right)?;
            return Ok(Expr::Compare(op, Box::new(left), Box::new(right)));
        }
        if self.accept("IS") {
            let negated = self.accept("NOT");
            self.expect("NULL")?;
            return Ok(negate(Expr::IsNull(Box::new(left)), negated));
        }
        let negated =
            self.is("NOT") && ["IN", "LIKE", "BETWEEN"].iter().any(|word| self.peek_at(1).is(word));
        if negated {
            self.take();
        }
        if self.accept("BETWEEN") {
            let low = self.sum()?;
            let low = self.require_value(low)?;
            self.expect("AND")?;
            let high = self.sum()?;
            let high = self.require_value(high)?;
            return Ok(negate(
                Expr::Between(Box::new(left), Box::new(low), Box::new(high)),
                negated,
            ));
        }
        if self.accept("LIKE") {
            let pattern = self.sum()?;
            let pattern = Box::new(self.require_value(pattern)?);
            let escape = if self.accept("ESCAPE") { Some(Box::new(self.sum()?)) } else { None };
            return Ok(negate(Expr::Like(Box::new(left), pattern, escape), negated));
        }
        if self.accept("IN") {
            self.expect_symbol("(")?;
            let expr = if self.is("SELECT") || self.is("WITH") {
                let query = self.deeper(Parser::query)?;
                Expr::InQuery(Box::new(left), Box::new(query))
            } else {
                Expr::InList(Box::new(left), self.values_until_close()?)
            };
            self.expect_symbol(")")?;
            return Ok(negate(expr, negated));
        }
        Ok(left)
    }

    /// One or more values separated by commas.
    pub(super) fn values_until_close(&mut self) -> Parsed<Vec<Expr>> {
        let mut values = vec![self.value()?];
        while self.accept_symbol(",") {
            values.push(self.value()?);
        }
        Ok(values)
    }

    fn sum(&mut self) -> Parsed<Expr> {
        self.operations(Parser::product, |symbol| {
            Some(match symbol {
                "+" => BinaryOp::Add,
                "-" => BinaryOp::Subtract,
                "&" => BinaryOp::BitAnd,
                "|" => BinaryOp::BitOr,
                "^" => BinaryOp::BitXor,
                _ => return None,
            })
        })
    }

    fn product(&mut self) -> Parsed<Expr> {
        self.operations(Parser::unary, |symbol| {
            Some(match symbol {
                "*" => BinaryOp::Multiply,
                "/" => BinaryOp::Divide,
                "%" => BinaryOp::Modulo,
                _ => return None,
            })
        })
    }

    /// Operands joined by operators of one rank, from left to right.
    fn operations(
        &mut self,
        operand: fn(&mut Parser) -> Parsed<Expr>,
        operator: fn(&str) -> Option<BinaryOp>,
    ) -> Parsed<Expr> {
        let mut left = operand(self)?;
        let mut chain = 0;
        while self.peek().kind == Kind::Symbol
            && let Some(op) = operator(&self.peek().text)
        {
            chain += 1;
            if chain > MAX_CHAIN {
                return Err(too_deep(self.peek().line));
            }
            left = self.require_value(left)?;
            self.take();
            let right = operand(self)?;
            let right = self.require_value(right)?;
            left = Expr::Binary(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        for symbol in ["-", "+", "~"] {
            if self.accept_symbol(symbol) {
                let inner = self.deeper(Parser::unary)?;
                let inner = self.require_value(inner)?;
                return Ok(match symbol {
                    "-" => Expr::Negate(Box::new(inner)),
                    "~" => Expr::BitNot(Box::new(inner)),
                    _ => inner,
                });
            }
        }
        let mut expr = self.primary()?;
        let mut chain = 0;
        loop {
            if self.is("COLLATE") {
                expr = self.require_value(expr)?;
                self.take();
                let name = self.identifier()?;
                expr = Expr::Collate(Box::new(expr), name);
            } else if self.is("AT") && self.peek_at(1).is("TIME") && self.peek_at(2).is("ZONE") {
                expr = self.require_value(expr)?;
                self.accept_all(&["AT", "TIME", "ZONE"]);
                let zone = self.primary()?;
                expr = Expr::AtTimeZone(Box::new(expr), Box::new(zone));
            } else if self.is_symbol(".") && self.peek_at(1).is("VALUE") {
                expr = self.require_value(expr)?;
                self.take();
                self.take();
                expr = self.xml_value(expr)?;
            } else {
                return Ok(expr);
            }
            chain += 1;
            if chain > MAX_DEPTH_OF_SUFFIXES {
                return Err(too_deep(self.peek().line));
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek().clone();
        match token.kind {
            Kind::Number => {
                self.take();
                number(&token.text).ok_or_else(|| out_of_range(&token.text, token.line))
            }
            Kind::Money => {
                self.take();
                let value = crate::tsql::convert::parse_numeric(&token.text, 4)
                    .and_then(|n| i64::try_from(n).ok())
                    .ok_or_else(|| out_of_range(&token.text, token.line))?;
                Ok(Expr::Literal(SqlType::Money, Value::Money(value)))
            }
            Kind::String | Kind::National => {
                self.take();
                Ok(string_literal(&token.text, token.kind == Kind::National))
            }
            Kind::Binary => {
                self.take();
                let bytes = crate::tsql::convert::parse_hex(&token.text);
                let length = match bytes.len() {
                    n @ 0..=8000 => Length::Up(n.max(1) as u16),
                    _ => Length::Max,
                };
                Ok(Expr::Literal(SqlType::VarBinary(length), Value::Binary(bytes.into())))
            }
            Kind::Variable => Ok(Expr::Variable(self.variable()?)),
            Kind::Global => {
                self.take();
                Ok(Expr::Global(token.text))
            }
            Kind::Symbol if token.text == "(" => {
                self.take();
                let inner = if self.is("SELECT") || self.is("WITH") {
                    Expr::Subquery(Box::new(self.deeper(Parser::query)?))
                } else {
                    self.deeper(Parser::disjunction)?
                };
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Kind::Word => self.word(&token.text),
            Kind::Quoted => self.column_or_call(),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str) -> Parsed<Expr> {
        let upper = word.to_ascii_uppercase();
        let called = self.peek_at(1).is_symbol("(");
        match upper.as_str() {
            "NULL" => {
                self.take();
                Ok(Expr::Null)
            }
            "CASE" => self.deeper(Parser::case),
            "CAST" | "TRY_CAST" if called => {
                self.take();
                self.take();
                let value = Box::new(self.value()?);
                self.expect("AS")?;
                let ty = default_cast_length(self.explicit_type()?);
                self.expect_symbol(")")?;
                Ok(Expr::Cast { value, ty, style: None, lenient: upper == "TRY_CAST" })
            }
            "CONVERT" | "TRY_CONVERT" if called => {
                self.take();
                self.take();
                let ty = default_cast_length(self.explicit_type()?);
                self.expect_symbol(",")?;
                let value = Box::new(self.value()?);
                let style =
                    if self.accept_symbol(",") { Some(Box::new(self.value()?)) } else { None };
                self.expect_symbol(")")?;
                Ok(Expr::Cast { value, ty, style, lenient: upper == "TRY_CONVERT" })
            }
            "IIF" if called => {
                self.take();
                self.take();
                let test = self.condition()?;
                self.expect_symbol(",")?;
                let yes = self.value()?;
                self.expect_symbol(",")?;
                let no = self.value()?;
                self.expect_symbol(")")?;
                Ok(Expr::Case {
                    operand: None,
                    branches: vec![(test, yes)],
                    otherwise: Some(Box::new(no)),
                })
            }
            "CURRENT_TIMESTAMP" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER" | "USER" => {
                self.take();
                let name = match upper.as_str() {
                    "CURRENT_TIMESTAMP" => "GETDATE",
                    "SYSTEM_USER" => "SUSER_SNAME",
                    _ => "USER_NAME",
                };
                Ok(Expr::Call(Box::new(Call {
                    name: Path { parts: vec![name.to_string()] },
                    arguments: Vec::new(),
                    distinct: false,
                    star: false,
                    over: None,
                    within: Vec::new(),
                })))
            }
            // Reserved words that are also functions.
            "COALESCE" | "NULLIF" | "LEFT" | "RIGHT" if called => {
                self.take();
                self.call(Path { parts: vec![upper] })
            }
            _ => self.column_or_call(),
        }
    }

    /// A type in CAST; a length is kept apart from "no length", which means 30 there.
    fn explicit_type(&mut self) -> Parsed<(SqlType, bool)> {
        let start = self.at;
        let ty = self.type_name()?;
        let sized = self.tokens[start..self.at]
            .iter()
            .any(|token| token.is_symbol("(") || token.is("SYSNAME"));
        Ok((ty, sized))
    }

    /// `('path', 'type')` after `.value`.
    fn xml_value(&mut self, value: Expr) -> Parsed<Expr> {
        self.expect_symbol("(")?;
        let line = self.peek().line;
        let path = self.string()?;
        self.expect_symbol(",")?;
        let ty = super::parse_type(&self.string()?)?;
        self.expect_symbol(")")?;
        // The text of the whole value, in the ways people ask for it.
        let compact: String = path.chars().filter(|c| !c.is_whitespace()).collect();
        let known = [".", "(.)[1]", "text()[1]", "(./text())[1]", "(text())[1]", "./text()[1]"];
        if !known.contains(&compact.as_str()) {
            return Err(SqlMessage::new(
                9335,
                16,
                format!("XQuery [value()]: The XQuery syntax '{path}' is not supported."),
            )
            .at_line(line)
            .into());
        }
        let text = Expr::Call(Box::new(Call {
            name: Path { parts: vec![XML_TEXT.to_string()] },
            arguments: vec![value],
            distinct: false,
            star: false,
            over: None,
            within: Vec::new(),
        }));
        Ok(Expr::Cast { value: Box::new(text), ty, style: None, lenient: false })
    }

    fn column_or_call(&mut self) -> Parsed<Expr> {
        let mut path = self.path()?;
        if self.is_symbol("(") {
            // `x.value('…', '…')` of a column.
            let types = matches!(self.peek_at(1).kind, Kind::String | Kind::National)
                && self.peek_at(2).is_symbol(",");
            if path.parts.len() > 1 && path.last() == "value" && types {
                path.parts.pop();
                return self.xml_value(Expr::Column(path));
            }
            return self.call(path);
        }
        Ok(Expr::Column(path))
    }

    fn call(&mut self, name: Path) -> Parsed<Expr> {
        self.expect_symbol("(")?;
        let upper = name.last().to_ascii_uppercase();
        let mut call = Call {
            name,
            arguments: Vec::new(),
            distinct: false,
            star: false,
            over: None,
            within: Vec::new(),
        };
        if self.accept_symbol("*") {
            call.star = true;
        } else if !self.is_symbol(")") {
            call.distinct = self.accept("DISTINCT");
            self.accept("ALL");
            if DATE_PART_FUNCTIONS.contains(&upper.as_str()) {
                let token = self.take();
                if !matches!(token.kind, Kind::Word | Kind::Quoted) {
                    self.at -= 1;
                    return Err(self.unexpected());
                }
                call.arguments.push(string_literal(&token.text, false));
                self.expect_symbol(",")?;
            }
            call.arguments.extend(self.values_until_close()?);
            if upper == "TRIM" && self.accept("FROM") {
                call.arguments.push(self.value()?);
            }
        }
        self.expect_symbol(")")?;
        if self.is("WITHIN") && self.peek_at(1).is("GROUP") {
            self.take();
            self.take();
            self.expect_symbol("(")?;
            call.within = self.order_by()?;
            self.expect_symbol(")")?;
        }
        if self.accept("OVER") {
            call.over = Some(self.window()?);
        }
        Ok(Expr::Call(Box::new(call)))
    }

    fn window(&mut self) -> Parsed<Window> {
        let mut window = Window::default();
        self.expect_symbol("(")?;
        if self.accept_all(&["PARTITION", "BY"]) {
            window.partition = self.values_until_close()?;
        }
        if self.is("ORDER") {
            window.order = self.order_by()?;
        }
        if self.is("ROWS") || self.is("RANGE") {
            let line = self.peek().line;
            let rows = self.take().is("ROWS");
            let frame = if self.accept("BETWEEN") {
                let (start, following) = self.frame_bound()?;
                if following && start == FrameBound::Unbounded {
                    return Err(self.unexpected());
                }
                self.expect("AND")?;
                let (end, following) = self.frame_bound()?;
                if !following && end == FrameBound::Unbounded {
                    return Err(self.unexpected());
                }
                Frame { rows, start, end }
            } else {
                let (start, following) = self.frame_bound()?;
                if following {
                    return Err(self.unexpected());
                }
                Frame { rows, start, end: FrameBound::CurrentRow }
            };
            let counts = |bound| matches!(bound, FrameBound::Rows(_));
            if !rows && (counts(frame.start) || counts(frame.end)) {
                return Err(SqlMessage::new(
                    4194,
                    16,
                    "RANGE is only supported with UNBOUNDED and CURRENT ROW window frame delimiters.",
                )
                .at_line(line)
                .into());
            }
            if window.order.is_empty() {
                return Err(SqlMessage::new(
                    10756,
                    15,
                    "Window frame with ROWS or RANGE must have an ORDER BY clause.",
                )
                .at_line(line)
                .into());
            }
            window.frame = Some(frame);
        }
        self.expect_symbol(")")?;
        Ok(window)
    }

    /// An end of a frame, and whether it lies after the current row.
    fn frame_bound(&mut self) -> Parsed<(FrameBound, bool)> {
        if self.accept_all(&["CURRENT", "ROW"]) {
            return Ok((FrameBound::CurrentRow, false));
        }
        let count = if self.accept("UNBOUNDED") { None } else { Some(self.integer()?) };
        let following = !self.accept("PRECEDING");
        if following {
            self.expect("FOLLOWING")?;
        }
        Ok(match count {
            None => (FrameBound::Unbounded, following),
            Some(n) if following => (FrameBound::Rows(n), true),
            Some(n) => (FrameBound::Rows(-n), false),
        })
    }

    /// `ORDER BY …`.
    pub(super) fn order_by(&mut self) -> Parsed<Vec<OrderItem>> {
        self.expect("ORDER")?;
        self.expect("BY")?;
        let mut items = Vec::new();
        loop {
            let value = self.value()?;
            let descending = self.accept("DESC");
            if !descending {
                self.accept("ASC");
            }
            items.push(OrderItem { value, descending });
            if !self.accept_symbol(",") {
                return Ok(items);
            }
        }
    }

    fn case(&mut self) -> Parsed<Expr> {
        self.expect("CASE")?;
        let operand = if self.is("WHEN") { None } else { Some(Box::new(self.value()?)) };
        let mut branches = Vec::new();
        while self.accept("WHEN") {
            let test = if operand.is_some() { self.value()? } else { self.condition()? };
            self.expect("THEN")?;
            branches.push((test, self.value()?));
        }
        if branches.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.accept("ELSE") { Some(Box::new(self.value()?)) } else { None };
        self.expect("END")?;
        Ok(Expr::Case { operand, branches, otherwise })
    }
}

const MAX_DEPTH_OF_SUFFIXES: usize = 20;

fn negate(expr: Expr, negated: bool) -> Expr {
    if negated { Expr::Not(Box::new(expr)) } else { expr }
}

/// A string literal has the type of its own length.
pub(super) fn string_literal(text: &str, national: bool) -> Expr {
    let length = text.chars().count().max(1);
    let length = match (national, length) {
        (true, 1..=4000) | (false, 1..=8000) => Length::Up(length as u16),
        _ => Length::Max,
    };
    let ty = if national { SqlType::NVarChar(length) } else { SqlType::VarChar(length) };
    Expr::Literal(ty, Value::string(text))
}

/// In CAST and CONVERT a character type without a length has 30 characters, elsewhere 1.
fn default_cast_length((ty, sized): (SqlType, bool)) -> SqlType {
    if sized {
        return ty;
    }
    match ty {
        SqlType::Char(_) => SqlType::Char(30),
        SqlType::NChar(_) => SqlType::NChar(30),
        SqlType::VarChar(_) => SqlType::VarChar(Length::Up(30)),
        SqlType::NVarChar(_) => SqlType::NVarChar(Length::Up(30)),
        SqlType::Binary(8) => SqlType::Binary(8),
        SqlType::Binary(_) => SqlType::Binary(30),
        SqlType::VarBinary(_) => SqlType::VarBinary(Length::Up(30)),
        other => other,
    }
}

fn number(text: &str) -> Option<Expr> {
    if text.contains(['e', 'E']) {
        let value: f64 = text.parse().ok()?;
        return value.is_finite().then_some(Expr::Literal(SqlType::Float, Value::Float(value)));
    }
    if let Some((whole, fraction)) = text.split_once('.') {
        let whole = whole.trim_start_matches('0');
        let scale = u8::try_from(fraction.len()).ok().filter(|&s| s <= 38)?;
        let precision = (whole.len() + fraction.len()).max(1);
        if precision > 38 {
            return None;
        }
        let digits = format!("0{whole}{fraction}");
        return Some(Expr::Literal(
            SqlType::Numeric { precision: precision as u8, scale },
            Value::Numeric { unscaled: digits.parse().ok()?, scale },
        ));
    }
    if let Ok(n) = text.parse::<i32>() {
        return Some(Expr::Literal(SqlType::Int, Value::Int(n)));
    }
    let digits = text.trim_start_matches('0');
    if digits.len() > 38 {
        return None;
    }
    Some(Expr::Literal(
        SqlType::Numeric { precision: digits.len().max(1) as u8, scale: 0 },
        Value::Numeric { unscaled: digits.parse().ok()?, scale: 0 },
    ))
}

fn out_of_range(text: &str, line: u32) -> SqlFailure {
    SqlMessage::new(
        1007,
        15,
        format!("The number '{text}' is out of the range for numeric representation (maximum precision 38)."),
    )
    .at_line(line)
    .into()
}
