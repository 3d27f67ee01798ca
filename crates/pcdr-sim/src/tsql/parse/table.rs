//! CREATE TABLE's list of columns, and the statements that change rows.

use super::query::{assignment_operator, undeclared_table};
use super::{Parsed, Parser};
use crate::tsql::lex::{Kind, Token};
use crate::tsql::tree::{
    ArgumentValue, Assignment, Change, ColumnDefinition, Cte, Expr, Insert, InsertSource, Output,
    Path,
};

impl Parser {
    /// `(name type …, …)` of a table or a table variable.
    pub(super) fn column_definitions(&mut self) -> Parsed<Vec<ColumnDefinition>> {
        self.expect_symbol("(")?;
        let mut columns: Vec<ColumnDefinition> = Vec::new();
        loop {
            if self.is("CONSTRAINT")
                || self.is("PRIMARY")
                || self.is("UNIQUE")
                || self.is("CHECK")
                || self.is("FOREIGN")
                || self.is("INDEX")
            {
                self.table_constraint(&mut columns)?;
            } else {
                columns.push(self.column_definition()?);
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok(columns)
    }

    fn column_definition(&mut self) -> Parsed<ColumnDefinition> {
        let name = self.identifier()?;
        let ty = self.type_name()?;
        let mut column = ColumnDefinition {
            name,
            ty,
            nullable: true,
            identity: None,
            default: None,
            unique: false,
        };
        loop {
            if self.accept_all(&["NOT", "NULL"]) {
                column.nullable = false;
            } else if self.accept("NULL") || self.accept("ROWGUIDCOL") || self.accept("SPARSE") {
            } else if self.accept("IDENTITY") {
                column.nullable = false;
                column.identity = Some((1, 1));
                if self.accept_symbol("(") {
                    let seed = self.integer()?;
                    self.expect_symbol(",")?;
                    column.identity = Some((seed, self.integer()?));
                    self.expect_symbol(")")?;
                }
            } else if self.accept("CONSTRAINT") || self.accept("COLLATE") {
                self.identifier()?;
            } else if self.accept("DEFAULT") {
                let from = self.at;
                let value = self.value()?;
                let text: Vec<String> =
                    self.tokens[from..self.at].iter().map(Token::source).collect();
                column.default = Some((value, text.join(" ")));
            } else if self.accept_all(&["PRIMARY", "KEY"]) {
                column.nullable = false;
                column.unique = true;
                self.index_options()?;
            } else if self.accept("UNIQUE") {
                column.unique = true;
                self.index_options()?;
            } else if self.accept("CHECK") {
                self.skip_group()?;
            } else if self.accept("REFERENCES") {
                self.path()?;
                if self.is_symbol("(") {
                    self.skip_group()?;
                }
            } else {
                return Ok(column);
            }
        }
    }

    fn index_options(&mut self) -> Parsed<()> {
        if !self.accept("CLUSTERED") {
            self.accept("NONCLUSTERED");
        }
        if self.is("WITH") && self.peek_at(1).is_symbol("(") {
            self.take();
            self.skip_group()?;
        }
        Ok(())
    }

    /// Keys and checks over several columns are read and only their NOT NULL is kept.
    fn table_constraint(&mut self, columns: &mut [ColumnDefinition]) -> Parsed<()> {
        if self.accept("CONSTRAINT") {
            self.identifier()?;
        }
        if self.accept("INDEX") {
            self.identifier()?;
            self.accept("UNIQUE");
            self.index_options()?;
            return self.skip_group();
        }
        if self.accept("CHECK") {
            return self.skip_group();
        }
        if self.accept_all(&["FOREIGN", "KEY"]) {
            self.skip_group()?;
            self.expect("REFERENCES")?;
            self.path()?;
            return if self.is_symbol("(") { self.skip_group() } else { Ok(()) };
        }
        let primary = self.accept_all(&["PRIMARY", "KEY"]);
        if !primary {
            self.expect("UNIQUE")?;
        }
        self.index_options()?;
        self.expect_symbol("(")?;
        let mut names = Vec::new();
        loop {
            names.push(self.identifier()?);
            if !self.accept("ASC") {
                self.accept("DESC");
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        self.index_options()?;
        for column in columns {
            let named = names.iter().any(|name| crate::tsql::tree::same_name(name, &column.name));
            if named && primary {
                column.nullable = false;
            }
            if named && names.len() == 1 {
                column.unique = true;
            }
        }
        Ok(())
    }

    /// The table of INSERT, UPDATE, DELETE or OUTPUT INTO.
    fn target(&mut self) -> Parsed<Path> {
        if self.peek().kind == Kind::Variable {
            let token = self.take();
            if !self.declared.contains(&token.text.to_lowercase()) {
                return Err(undeclared_table(&token));
            }
            return Ok(Path { parts: vec![token.text] });
        }
        self.path()
    }

    fn output(&mut self) -> Parsed<Option<Output>> {
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
        Ok(Insert { table, columns, output, source, ctes })
    }

    pub(super) fn update(&mut self, ctes: Vec<Cte>) -> Parsed<Change> {
        self.expect("UPDATE")?;
        let top = self.top()?;
        let target = self.target()?;
        self.table_hints()?;
        self.expect("SET")?;
        let mut assignments = Vec::new();
        loop {
            assignments.push(self.update_assignment()?);
            if !self.accept_symbol(",") {
                break;
            }
        }
        let output = self.output()?;
        self.change_tail(target, top, Some(assignments), output, ctes)
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
        let top = self.top()?;
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
        let filter = if self.accept("WHERE") { Some(self.condition()?) } else { None };
        if self.accept("OPTION") {
            self.skip_group()?;
        }
        Ok(Change { target, top, assignments, output, from, filter, ctes })
    }
}
