//! The statements that change rows.

use super::query::{assignment_operator, undeclared_table};
use super::{Parsed, Parser};
use crate::tsql::lex::Kind;
use crate::tsql::tree::{
    ArgumentValue, Assignment, Change, Cte, Expr, Insert, InsertSource, Output, Path,
};

impl Parser {
    /// The table of INSERT, UPDATE, DELETE or OUTPUT INTO.
    pub(super) fn target(&mut self) -> Parsed<Path> {
        if self.peek().kind == Kind::Variable {
            let token = self.take();
            if !self.declared.contains(&token.text.to_lowercase()) {
                return Err(undeclared_table(&token));
            }
            return Ok(Path { parts: vec![token.text] });
        }
        self.path()
    }

    pub(super) fn output(&mut self) -> Parsed<Option<Output>> {
        if !self.accept("OUTPUT") {
            return Ok(None);
        }
        let items = self.items()?;
        let into = if self.accept("INTO") {
            let table = self.target()?;
            let columns = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
            Some((table, columns))
        } else {
            None
        };
        Ok(Some(Output { items, into }))
    }

    pub(super) fn insert(&mut self, ctes: Vec<Cte>) -> Parsed<Insert> {
        self.expect("INSERT")?;
        let top = self.change_top()?;
        self.accept("INTO");
        let table = self.target()?;
        self.table_hints()?;
        // `(` begins a list of columns unless it begins a query.
        let columns = if self.is_symbol("(")
            && !self.peek_at(1).is("SELECT")
            && !self.peek_at(1).is_symbol("(")
        {
            self.name_list()?
        } else {
            Vec::new()
        };
        let output = self.output()?;
        let source = if self.accept_all(&["DEFAULT", "VALUES"]) {
            InsertSource::Default
        } else if self.is("EXEC") || self.is("EXECUTE") {
            self.take();
            InsertSource::Execute(Box::new(self.execute()?))
        } else {
            InsertSource::Query(self.query()?)
        };
        Ok(Insert { top, table, columns, output, source, ctes })
    }

    pub(super) fn update(&mut self, ctes: Vec<Cte>) -> Parsed<Change> {
        self.expect("UPDATE")?;
        let top = self.change_top()?;
        let target = self.target()?;
        self.table_hints()?;
        self.expect("SET")?;
        let assignments = self.update_assignments()?;
        let output = self.output()?;
        self.change_tail(target, top, Some(assignments), output, ctes)
    }

    /// `column = value, …`, after SET.
    pub(super) fn update_assignments(&mut self) -> Parsed<Vec<Assignment>> {
        let mut assignments = vec![self.update_assignment()?];
        while self.accept_symbol(",") {
            assignments.push(self.update_assignment()?);
        }
        Ok(assignments)
    }

    fn update_assignment(&mut self) -> Parsed<Assignment> {
        if self.peek().kind == Kind::Variable {
            if let Some((variable, value)) = self.chained_assignment()? {
                return Ok(Assignment {
                    variable: Some(variable),
                    column: value.0,
                    value: ArgumentValue::Value(value.1),
                });
            }
            return Err(self.unexpected());
        }
        let column = self.path()?;
        let Some(op) = assignment_operator(&self.peek().text) else {
            return Err(self.unexpected());
        };
        self.take();
        let name = column.last().to_string();
        let value = match op {
            None if self.accept("DEFAULT") => ArgumentValue::Default,
            None => ArgumentValue::Value(self.value()?),
            Some(op) => {
                let value = Box::new(self.value()?);
                ArgumentValue::Value(Expr::Binary(op, Box::new(Expr::Column(column)), value))
            }
        };
        Ok(Assignment { variable: None, column: Some(name), value })
    }

    /// `@v = column = value` or `@v = value`.
    #[allow(
        clippy::type_complexity,
        reason = "a variable, then a column that may be left out, and a value"
    )]
    fn chained_assignment(&mut self) -> Parsed<Option<(String, (Option<String>, Expr))>> {
        if self.peek_at(1).is_symbol("=")
            && matches!(self.peek_at(2).kind, Kind::Word | Kind::Quoted)
            && self.peek_at(3).is_symbol("=")
        {
            let variable = self.variable()?;
            self.take();
            let column = self.identifier()?;
            self.take();
            return Ok(Some((variable, (Some(column), self.value()?))));
        }
        Ok(self.assignment()?.map(|(variable, value)| (variable, (None, value))))
    }

    pub(super) fn delete(&mut self, ctes: Vec<Cte>) -> Parsed<Change> {
        self.expect("DELETE")?;
        let top = self.change_top()?;
        self.accept("FROM");
        let target = self.target()?;
        self.table_hints()?;
        let output = self.output()?;
        self.change_tail(target, top, None, output, ctes)
    }

    fn change_tail(
        &mut self,
        target: Path,
        top: Option<Expr>,
        assignments: Option<Vec<Assignment>>,
        output: Option<Output>,
        ctes: Vec<Cte>,
    ) -> Parsed<Change> {
        let from = if self.accept("FROM") { self.sources()? } else { Vec::new() };
        let mut current_of = None;
        let filter = if !self.accept("WHERE") {
            None
        } else if self.accept_all(&["CURRENT", "OF"]) {
            current_of = Some(self.cursor_name()?);
            None
        } else {
            Some(self.condition()?)
        };
        self.option_clause()?;
        Ok(Change { target, top, assignments, output, from, filter, current_of, ctes })
    }
}
