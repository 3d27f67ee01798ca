//! Queries: SELECT, its sources, set operators and common table expressions.

use super::module::require_unordered;
use super::{Parsed, Parser, is_reserved, too_deep};
use crate::tsql::lex::{Kind, Token};
use crate::tsql::tree::{
    BinaryOp, Body, Cte, Expr, Item, JoinKind, Path, Query, Select, SetOp, Shape, Source, Top,
};
use crate::value::Value;

/// How many sources may be joined in a row, how many SELECTs united: each makes the tree one deeper.
const MAX_CHAIN: usize = 100;

/// Source: Transact-SQL reference, "Table hints".
#[rustfmt::skip]
const HINTS: [&str; 20] = [
    "FORCESCAN", "FORCESEEK", "HOLDLOCK", "NOEXPAND", "NOLOCK", "NOWAIT", "PAGLOCK", "READCOMMITTED",
    "READCOMMITTEDLOCK", "READPAST", "READUNCOMMITTED", "REPEATABLEREAD", "ROWLOCK", "SERIALIZABLE",
    "SNAPSHOT", "TABLOCK", "TABLOCKX", "UPDLOCK", "XLOCK", "INDEX",
];

fn is_hint(token: &Token) -> bool {
    HINTS.iter().any(|hint| token.is(hint))
}

impl Parser {
    /// A query with everything that may follow it.
    pub(super) fn query(&mut self) -> Parsed<Query> {
        let ctes = if self.is("WITH") { self.ctes()? } else { Vec::new() };
        self.query_after(ctes)
    }

    pub(super) fn query_after(&mut self, ctes: Vec<Cte>) -> Parsed<Query> {
        let body = self.body()?;
        let mut query = Query { ctes, ..Query::bare(body) };
        if self.is("ORDER") {
            query.order = self.order_by()?;
            if self.accept("OFFSET") {
                query.offset = Some(self.value()?);
                if !self.accept("ROWS") {
                    self.expect("ROW")?;
                }
                if self.accept("FETCH") {
                    if !self.accept("NEXT") {
                        self.expect("FIRST")?;
                    }
                    query.fetch = Some(self.value()?);
                    if !self.accept("ROWS") {
                        self.expect("ROW")?;
                    }
                    self.expect("ONLY")?;
                }
            }
        }
        if self.is("FOR") && (self.peek_at(1).is("XML") || self.peek_at(1).is("JSON")) {
            self.take();
            query.shape = self.shape()?;
        }
        query.max_recursion = self.option_clause()?;
        Ok(query)
    }

    /// `OPTION (…)`: hints change no result, except for MAXRECURSION.
    pub(super) fn option_clause(&mut self) -> Parsed<Option<u32>> {
        if !self.is("OPTION") {
            return Ok(None);
        }
        self.take();
        let from = self.at;
        self.skip_group()?;
        let at = (from..self.at).find(|i| self.tokens[*i].is("MAXRECURSION"));
        let Some(token) = at.and_then(|at| self.tokens.get(at + 1)) else {
            return Ok(None);
        };
        match token.text.parse::<u32>() {
            Ok(limit) if limit <= 32_767 => Ok(Some(limit)),
            Ok(limit) => Err(crate::message::SqlMessage::new(
                310,
                15,
                format!("The value {limit} specified for the MAXRECURSION option exceeds the allowed maximum of 32767."),
            )
            .at_line(token.line)
            .into()),
            Err(_) => Err(crate::tsql::lex::syntax_error(&token.text, token.line)),
        }
    }

    fn shape(&mut self) -> Parsed<Shape> {
        if self.accept("XML") {
            self.expect("PATH")?;
            let mut element = "row".to_string();
            if self.accept_symbol("(") {
                element = self.string()?;
                self.expect_symbol(")")?;
            }
            let (mut root, mut typed) = (None, false);
            while self.accept_symbol(",") {
                if self.accept("ROOT") {
                    root = Some("root".to_string());
                    if self.accept_symbol("(") {
                        root = Some(self.string()?);
                        self.expect_symbol(")")?;
                    }
                } else {
                    self.expect("TYPE")?;
                    typed = true;
                }
            }
            return Ok(Shape::Xml { element, root, typed });
        }
        self.expect("JSON")?;
        self.expect("PATH")?;
        let (mut root, mut nulls, mut array) = (None, false, true);
        while self.accept_symbol(",") {
            if self.accept("ROOT") {
                root = Some("root".to_string());
                if self.accept_symbol("(") {
                    root = Some(self.string()?);
                    self.expect_symbol(")")?;
                }
            } else if self.accept("INCLUDE_NULL_VALUES") {
                nulls = true;
            } else {
                self.expect("WITHOUT_ARRAY_WRAPPER")?;
                array = false;
            }
        }
        Ok(Shape::Json { root, nulls, array })
    }

    /// A string literal.
    pub(super) fn string(&mut self) -> Parsed<String> {
        if matches!(self.peek().kind, Kind::String | Kind::National) {
            return Ok(self.take().text);
        }
        Err(self.unexpected())
    }

    pub(super) fn ctes(&mut self) -> Parsed<Vec<Cte>> {
        self.expect("WITH")?;
        let mut ctes = Vec::new();
        loop {
            let name = self.identifier()?;
            let columns = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
            self.expect("AS")?;
            self.expect_symbol("(")?;
            let query = self.deeper(Parser::query)?;
            require_unordered(&query, self.peek().line)?;
            self.expect_symbol(")")?;
            ctes.push(Cte { name, columns, query });
            if !self.accept_symbol(",") {
                return Ok(ctes);
            }
        }
    }

    /// `(a, b, …)`.
    pub(super) fn name_list(&mut self) -> Parsed<Vec<String>> {
        self.expect_symbol("(")?;
        let mut names = vec![self.identifier()?];
        while self.accept_symbol(",") {
            names.push(self.identifier()?);
        }
        self.expect_symbol(")")?;
        Ok(names)
    }

    fn body(&mut self) -> Parsed<Body> {
        let mut left = self.body_term()?;
        let mut chain = 0;
        loop {
            let op = if self.accept("UNION") {
                if self.accept("ALL") { SetOp::UnionAll } else { SetOp::Union }
            } else if self.accept("EXCEPT") {
                SetOp::Except
            } else {
                return Ok(left);
            };
            chain += 1;
            if chain > MAX_CHAIN {
                return Err(too_deep(self.peek().line));
            }
            let right = self.body_term()?;
            left = Body::Combined(op, Box::new(left), Box::new(right));
        }
    }

    fn body_term(&mut self) -> Parsed<Body> {
        let mut left = self.body_primary()?;
        let mut chain = 0;
        while self.accept("INTERSECT") {
            chain += 1;
            if chain > MAX_CHAIN {
                return Err(too_deep(self.peek().line));
            }
            let right = self.body_primary()?;
            left = Body::Combined(SetOp::Intersect, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn body_primary(&mut self) -> Parsed<Body> {
        if self.accept_symbol("(") {
            let query = self.deeper(|p| p.query_after(Vec::new()))?;
            self.expect_symbol(")")?;
            return Ok(Body::Nested(Box::new(query)));
        }
        if self.is("VALUES") {
            return self.rows().map(Body::Values);
        }
        self.deeper(Parser::select).map(|select| Body::Select(Box::new(select)))
    }

    /// `VALUES (…), (…)`.
    pub(super) fn rows(&mut self) -> Parsed<Vec<Vec<Expr>>> {
        self.expect("VALUES")?;
        let mut rows = Vec::new();
        loop {
            self.expect_symbol("(")?;
            let mut row = Vec::new();
            loop {
                row.push(if self.accept("DEFAULT") { Expr::Default } else { self.value()? });
                if !self.accept_symbol(",") {
                    break;
                }
            }
            rows.push(row);
            self.expect_symbol(")")?;
            if !self.accept_symbol(",") {
                return Ok(rows);
            }
        }
    }

    /// `TOP (n) [PERCENT] [WITH TIES]`.
    fn top(&mut self) -> Parsed<Option<Top>> {
        let Some(count) = self.change_top()? else {
            return Ok(None);
        };
        let percent = self.accept("PERCENT");
        let ties = self.accept_all(&["WITH", "TIES"]);
        Ok(Some(Top { count, percent, ties }))
    }

    /// `TOP (n)` or `TOP n`, as statements that change rows have it.
    pub(super) fn change_top(&mut self) -> Parsed<Option<Expr>> {
        if !self.accept("TOP") {
            return Ok(None);
        }
        if self.accept_symbol("(") {
            let count = self.value()?;
            self.expect_symbol(")")?;
            return Ok(Some(count));
        }
        if self.peek().kind == Kind::Variable {
            return Ok(Some(Expr::Variable(self.variable()?)));
        }
        let count = self.integer()?;
        Ok(Some(Expr::Literal(crate::value::SqlType::BigInt, Value::BigInt(count))))
    }

    fn select(&mut self) -> Parsed<Select> {
        self.expect("SELECT")?;
        let distinct = self.accept("DISTINCT");
        if !distinct {
            self.accept("ALL");
        }
        let top = self.top()?;
        let items = self.items()?;
        let into = if self.accept("INTO") { Some(self.path()?) } else { None };
        let from = if self.accept("FROM") { self.sources()? } else { Vec::new() };
        let filter = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        let (group, sets) = if self.accept("GROUP") {
            self.expect("BY")?;
            self.grouping()?
        } else {
            (Vec::new(), Vec::new())
        };
        let having = if self.accept("HAVING") { Some(self.condition()?) } else { None };
        Ok(Select { distinct, top, items, into, from, filter, group, sets, having })
    }

    /// The keys of GROUP BY, and the sets of them that ROLLUP, CUBE and GROUPING SETS make.
    #[allow(clippy::type_complexity, reason = "keys, then sets of their indexes")]
    fn grouping(&mut self) -> Parsed<(Vec<Expr>, Vec<Vec<usize>>)> {
        let mut keys = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut plain = true;
        loop {
            let element = self.grouping_element(&mut keys, &mut plain)?;
            sets = sets
                .iter()
                .flat_map(|set| {
                    element.iter().map(|more| {
                        let mut all = set.clone();
                        all.extend(more.iter().filter(|key| !set.contains(key)));
                        all
                    })
                })
                .collect();
            if sets.len() > 4096 {
                return Err(too_deep(self.peek().line));
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        if self.is("WITH") && (self.peek_at(1).is("ROLLUP") || self.peek_at(1).is("CUBE")) {
            self.take();
            let parts: Vec<Vec<usize>> = (0..keys.len()).map(|key| vec![key]).collect();
            sets = if self.take().is("CUBE") { cube(&parts) } else { rollup(&parts) };
            plain = false;
        }
        Ok((keys, if plain { Vec::new() } else { sets }))
    }

    fn grouping_element(
        &mut self,
        keys: &mut Vec<Expr>,
        plain: &mut bool,
    ) -> Parsed<Vec<Vec<usize>>> {
        let called = self.peek_at(1).is_symbol("(");
        if (self.is("ROLLUP") || self.is("CUBE")) && called {
            *plain = false;
            let is_cube = self.take().is("CUBE");
            self.expect_symbol("(")?;
            let mut parts = vec![self.grouping_part(keys)?];
            while self.accept_symbol(",") {
                parts.push(self.grouping_part(keys)?);
            }
            self.expect_symbol(")")?;
            if parts.len() > 12 {
                return Err(too_deep(self.peek().line));
            }
            return Ok(if is_cube { cube(&parts) } else { rollup(&parts) });
        }
        if self.is("GROUPING") && self.peek_at(1).is("SETS") {
            *plain = false;
            self.take();
            self.take();
            self.expect_symbol("(")?;
            let mut sets = Vec::new();
            loop {
                let nested = ["ROLLUP", "CUBE"].iter().any(|word| self.is(word))
                    && self.peek_at(1).is_symbol("(");
                if nested {
                    sets.extend(self.deeper(|p| p.grouping_element(keys, plain))?);
                } else {
                    sets.push(self.grouping_part(keys)?);
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
            return Ok(sets);
        }
        let value = self.value()?;
        Ok(vec![vec![key_index(keys, value)]])
    }

    /// One key, or several in parentheses that go together.
    fn grouping_part(&mut self, keys: &mut Vec<Expr>) -> Parsed<Vec<usize>> {
        if !self.accept_symbol("(") {
            let value = self.value()?;
            return Ok(vec![key_index(keys, value)]);
        }
        let mut part = Vec::new();
        if !self.is_symbol(")") {
            for value in self.values_until_close()? {
                part.push(key_index(keys, value));
            }
        }
        self.expect_symbol(")")?;
        Ok(part)
    }

    /// The select list, also of an OUTPUT clause.
    pub(super) fn items(&mut self) -> Parsed<Vec<Item>> {
        let mut items = vec![self.item()?];
        while self.accept_symbol(",") {
            items.push(self.item()?);
        }
        Ok(items)
    }

    fn item(&mut self) -> Parsed<Item> {
        if self.accept_symbol("*") {
            return Ok(Item::Star(None));
        }
        if self.peek().kind == Kind::Variable
            && self.peek_at(1).kind == Kind::Symbol
            && let Some((name, value)) = self.assignment()?
        {
            return Ok(Item::Assign(name, value));
        }
        // `t.*`
        let mut dots = 0;
        while self.is_part(dots) && self.peek_at(dots + 1).is_symbol(".") {
            dots += 2;
            if self.peek_at(dots).is_symbol("*") {
                let parts = (0..dots).step_by(2).map(|i| self.peek_at(i).text.clone()).collect();
                for _ in 0..=dots {
                    self.take();
                }
                return Ok(Item::Star(Some(Path { parts })));
            }
        }
        if (self.is_identifier() || self.peek().kind == Kind::String)
            && self.peek_at(1).is_symbol("=")
        {
            let alias = self.take().text;
            self.take();
            return Ok(Item::Value(self.value()?, Some(alias)));
        }
        let value = self.value()?;
        let alias = if self.accept("AS") {
            if matches!(self.peek().kind, Kind::String | Kind::National) {
                Some(self.take().text)
            } else {
                Some(self.identifier()?)
            }
        } else if self.is_identifier() || self.peek().kind == Kind::String {
            Some(self.take().text)
        } else {
            None
        };
        Ok(Item::Value(value, alias))
    }

    fn is_part(&self, ahead: usize) -> bool {
        let token = self.peek_at(ahead);
        token.kind == Kind::Quoted || (token.kind == Kind::Word && !is_reserved(&token.text))
    }

    /// `@v = …` or `@v += …`; `None` when the variable begins an expression.
    pub(super) fn assignment(&mut self) -> Parsed<Option<(String, Expr)>> {
        let Some(op) = assignment_operator(&self.peek_at(1).text) else {
            return Ok(None);
        };
        let name = self.variable()?;
        self.take();
        let value = self.value()?;
        let value = match op {
            None => value,
            Some(op) => Expr::Binary(op, Box::new(Expr::Variable(name.clone())), Box::new(value)),
        };
        Ok(Some((name, value)))
    }

    /// The sources of FROM, separated by commas.
    pub(super) fn sources(&mut self) -> Parsed<Vec<Source>> {
        let mut sources = vec![self.joined()?];
        while self.accept_symbol(",") {
            sources.push(self.joined()?);
        }
        if sources.len() > MAX_CHAIN {
            return Err(too_deep(self.peek().line));
        }
        Ok(sources)
    }

    fn join_kind(&mut self) -> Parsed<Option<(JoinKind, bool)>> {
        if self.accept("CROSS") {
            if self.accept("APPLY") {
                return Ok(Some((JoinKind::CrossApply, false)));
            }
            self.expect("JOIN")?;
            return Ok(Some((JoinKind::Inner, false)));
        }
        if self.is("OUTER") && self.peek_at(1).is("APPLY") {
            self.take();
            self.take();
            return Ok(Some((JoinKind::OuterApply, false)));
        }
        let kind = if self.accept("INNER") {
            JoinKind::Inner
        } else if self.is("LEFT") || self.is("RIGHT") || self.is("FULL") {
            let token = self.take();
            self.accept("OUTER");
            if token.is("LEFT") {
                JoinKind::Left
            } else if token.is("RIGHT") {
                JoinKind::Right
            } else {
                JoinKind::Full
            }
        } else if self.is("JOIN") {
            JoinKind::Inner
        } else {
            return Ok(None);
        };
        for hint in ["LOOP", "HASH", "MERGE", "REMOTE"] {
            self.accept(hint);
        }
        self.expect("JOIN")?;
        Ok(Some((kind, true)))
    }

    pub(super) fn joined(&mut self) -> Parsed<Source> {
        let mut left = self.source()?;
        let mut chain = 0;
        while let Some((kind, conditional)) = self.join_kind()? {
            chain += 1;
            if chain > MAX_CHAIN {
                return Err(too_deep(self.peek().line));
            }
            // `a JOIN b JOIN c ON … ON …`: the right side may itself be joined before its ON.
            let mut right = self.source()?;
            if conditional && !self.is("ON") {
                let mark = self.at;
                if let Some((inner, true)) = self.join_kind()? {
                    let innermost = self.deeper(Parser::source)?;
                    self.expect("ON")?;
                    let on = self.condition()?;
                    right = Source::Join {
                        kind: inner,
                        left: Box::new(right),
                        right: Box::new(innermost),
                        on: Some(on),
                    };
                } else {
                    self.at = mark;
                }
            }
            let on = if conditional {
                self.expect("ON")?;
                Some(self.condition()?)
            } else {
                None
            };
            left = Source::Join { kind, left: Box::new(left), right: Box::new(right), on };
        }
        Ok(left)
    }

    pub(super) fn alias(&mut self) -> Parsed<Option<String>> {
        if self.accept("AS") || self.is_identifier() {
            return self.identifier().map(Some);
        }
        Ok(None)
    }

    fn source(&mut self) -> Parsed<Source> {
        if self.accept_symbol("(") {
            if self.is("SELECT") || self.is("WITH") || self.is("VALUES") || self.nested_select() {
                let query = Box::new(self.deeper(Parser::query)?);
                require_unordered(&query, self.peek().line)?;
                self.expect_symbol(")")?;
                self.accept("AS");
                let alias = self.identifier()?;
                let columns = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
                return Ok(Source::Derived { query, alias, columns });
            }
            let inner = self.deeper(Parser::joined)?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.peek().kind == Kind::Variable {
            let token = self.take();
            if !self.declared.contains(&token.text.to_lowercase()) {
                return Err(undeclared_table(&token));
            }
            let alias = self.alias()?;
            return Ok(Source::Table {
                name: Path { parts: vec![token.text] },
                arguments: None,
                alias,
                columns: Vec::new(),
            });
        }
        let name = self.path()?;
        let mut arguments = None;
        if self.is_symbol("(") {
            if is_hint(self.peek_at(1)) && self.peek_at(2).is_symbol(")") {
                self.skip_group()?;
            } else {
                self.take();
                let mut values = Vec::new();
                if !self.is_symbol(")") {
                    loop {
                        values.push(if self.accept("DEFAULT") {
                            Expr::Null
                        } else {
                            self.value()?
                        });
                        if !self.accept_symbol(",") {
                            break;
                        }
                    }
                }
                self.expect_symbol(")")?;
                arguments = Some(values);
            }
        }
        let alias = self.alias()?;
        let mut columns = Vec::new();
        self.table_hints()?;
        if alias.is_some() && self.is_symbol("(") {
            if is_hint(self.peek_at(1)) {
                self.skip_group()?;
            } else if arguments.is_some() {
                columns = self.name_list()?;
            }
        }
        Ok(Source::Table { name, arguments, alias, columns })
    }

    /// `WITH (NOLOCK, …)`: locks are not simulated in queries, but an unknown hint is an error.
    pub(super) fn table_hints(&mut self) -> Parsed<()> {
        if self.is("WITH") && self.peek_at(1).is_symbol("(") {
            self.take();
            self.take();
            loop {
                if !is_hint(self.peek()) {
                    let token = self.peek();
                    return Err(crate::message::SqlMessage::new(
                        321,
                        15,
                        format!("\"{}\" is not a recognized table hints option. If it is intended as a parameter to a table-valued function or to the CHANGETABLE function, ensure that your database compatibility mode is set to 90.", token.text),
                    )
                    .at_line(token.line)
                    .into());
                }
                self.take();
                if self.is_symbol("(") {
                    self.skip_group()?;
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        Ok(())
    }

    /// Whether parentheses that open here hold a query rather than a join.
    fn nested_select(&self) -> bool {
        let mut ahead = 0;
        while self.peek_at(ahead).is_symbol("(") {
            ahead += 1;
        }
        ahead > 0 && self.peek_at(ahead).is("SELECT")
    }
}

/// The index of a key, which is added when it is new.
fn key_index(keys: &mut Vec<Expr>, value: Expr) -> usize {
    match keys.iter().position(|key| *key == value) {
        Some(index) => index,
        None => {
            keys.push(value);
            keys.len() - 1
        }
    }
}

/// (a, b, c): abc, ab, a, and the grand total.
fn rollup(parts: &[Vec<usize>]) -> Vec<Vec<usize>> {
    (0..=parts.len()).rev().map(|n| parts[..n].concat()).collect()
}

/// Every combination.
fn cube(parts: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let all = 1_usize << parts.len();
    (0..all)
        .rev()
        .map(|mask| {
            parts
                .iter()
                .enumerate()
                .filter(|(i, _)| mask & (1 << (parts.len() - 1 - i)) != 0)
                .flat_map(|(_, part)| part.iter().copied())
                .collect()
        })
        .collect()
}

/// Error 1087.
pub(super) fn undeclared_table(token: &Token) -> crate::message::SqlFailure {
    crate::message::SqlMessage::new(
        1087,
        15,
        format!("Must declare the table variable \"{}\".", token.text),
    )
    .with_state(2)
    .at_line(token.line)
    .into()
}

/// `=` and its compound forms: `Some(None)` for the plain one, `None` for anything else.
pub(super) fn assignment_operator(symbol: &str) -> Option<Option<BinaryOp>> {
    Some(match symbol {
        "=" => None,
        "+=" => Some(BinaryOp::Add),
        "-=" => Some(BinaryOp::Subtract),
        "*=" => Some(BinaryOp::Multiply),
        "/=" => Some(BinaryOp::Divide),
        "%=" => Some(BinaryOp::Modulo),
        "&=" => Some(BinaryOp::BitAnd),
        "|=" => Some(BinaryOp::BitOr),
        "^=" => Some(BinaryOp::BitXor),
        _ => return None,
    })
}

/// Puts an expression in the place of every DEFAULT among the values of an INSERT, by its position.
///
/// # Errors
///
/// Those of `default`.
pub(in crate::tsql) fn rewrite_defaults(
    query: &mut Query,
    default: impl Fn(usize) -> Parsed<Expr>,
) -> Parsed<()> {
    let Body::Values(rows) = &mut query.body else {
        return Ok(());
    };
    for row in rows {
        for (i, value) in row.iter_mut().enumerate() {
            if *value == Expr::Default {
                *value = default(i)?;
            }
        }
    }
    Ok(())
}
