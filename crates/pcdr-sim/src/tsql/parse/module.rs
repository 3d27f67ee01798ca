//! CREATE, ALTER and DROP of procedures, functions and views.

use super::{Parsed, Parser};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::lex::Kind;
use crate::tsql::tree::{
    Body, CreateMode, Item, Module, ModuleBody, ModuleClass, ParameterDefinition, Path, Query,
    Statement, StatementKind,
};

impl Parser {
    /// The class of module that the words at `ahead` name.
    pub(super) fn module_class(&self, ahead: usize) -> Option<ModuleClass> {
        let token = self.peek_at(ahead);
        if token.is("PROC") || token.is("PROCEDURE") {
            Some(ModuleClass::Procedure)
        } else if token.is("FUNCTION") {
            Some(ModuleClass::Function)
        } else if token.is("VIEW") {
            Some(ModuleClass::View)
        } else {
            None
        }
    }

    /// `CREATE [OR ALTER]` or `ALTER`, when a module follows.
    pub(super) fn begins_module(&self) -> bool {
        let or_alter = self.is("CREATE") && self.peek_at(1).is("OR") && self.peek_at(2).is("ALTER");
        self.module_class(if or_alter { 3 } else { 1 }).is_some()
    }

    pub(super) fn create_module(&mut self) -> Parsed<StatementKind> {
        let (at, line) = (self.at, self.peek().line);
        let mode = if self.accept("ALTER") {
            CreateMode::Alter
        } else {
            self.expect("CREATE")?;
            if self.accept("OR") {
                self.expect("ALTER")?;
                CreateMode::CreateOrAlter
            } else {
                CreateMode::Create
            }
        };
        let Some(class) = self.module_class(0) else {
            return Err(self.unexpected());
        };
        self.take();
        if at != 0 {
            let what = match class {
                ModuleClass::Procedure => "CREATE/ALTER PROCEDURE",
                ModuleClass::Function => "CREATE FUNCTION",
                ModuleClass::View => "CREATE VIEW",
            };
            return Err(SqlMessage::new(
                111,
                15,
                format!("'{what}' must be the first statement in a query batch."),
            )
            .at_line(line)
            .into());
        }
        self.inside = Some(class);
        let name = self.path()?;
        if name.parts.len() > 2 {
            return Err(SqlMessage::new(
                166,
                15,
                format!("'CREATE/ALTER {}' does not allow specifying the database name as a prefix to the object name.", class.word().to_uppercase()),
            )
            .at_line(line)
            .into());
        }
        let parsed = match class {
            ModuleClass::Procedure => self.procedure(),
            ModuleClass::Function => self.function(),
            ModuleClass::View => self.view().map(|body| (Vec::new(), body)),
        };
        // Errors name what is being defined.
        let (parameters, body) = parsed.map_err(|mut failure: SqlFailure| {
            for message in &mut failure.0 {
                name.last().clone_into(&mut message.procedure);
            }
            failure
        })?;
        let text = self.source.clone();
        Ok(StatementKind::CreateModule(Box::new(Module { mode, name, parameters, body, text })))
    }

    fn parameters(&mut self) -> Parsed<Vec<ParameterDefinition>> {
        let mut parameters = Vec::new();
        while self.peek().kind == Kind::Variable {
            let name = self.take().text;
            self.accept("AS");
            let ty = self.type_name()?;
            self.accept("NULL");
            let default = if self.accept_symbol("=") { Some(self.value()?) } else { None };
            let output = self.accept("OUTPUT") || self.accept("OUT");
            self.accept("READONLY");
            self.declared.insert(name.to_lowercase());
            parameters.push(ParameterDefinition { name, ty, default, output });
            if !self.accept_symbol(",") {
                break;
            }
            if self.peek().kind != Kind::Variable {
                return Err(self.unexpected());
            }
        }
        Ok(parameters)
    }

    /// `WITH RECOMPILE, EXECUTE AS …`: who it runs as and how it is stored changes nothing here.
    fn module_options(&mut self) -> Parsed<()> {
        if !self.accept("WITH") {
            return Ok(());
        }
        loop {
            if self.accept("EXECUTE") || self.accept("EXEC") {
                self.expect("AS")?;
                if matches!(self.peek().kind, Kind::String | Kind::National | Kind::Word) {
                    self.take();
                } else {
                    return Err(self.unexpected());
                }
            } else if !["RECOMPILE", "ENCRYPTION", "SCHEMABINDING", "VIEW_METADATA"]
                .iter()
                .any(|word| self.accept(word))
            {
                return Err(self.unexpected());
            }
            if !self.accept_symbol(",") {
                return Ok(());
            }
        }
    }

    fn procedure(&mut self) -> Parsed<(Vec<ParameterDefinition>, ModuleBody)> {
        let parenthesised = self.accept_symbol("(");
        let parameters = self.parameters()?;
        if parenthesised {
            self.expect_symbol(")")?;
        }
        self.module_options()?;
        self.expect("AS")?;
        Ok((parameters, ModuleBody::Procedure(self.rest()?)))
    }

    /// The statements up to the end of the batch: they all belong to the module.
    fn rest(&mut self) -> Parsed<Vec<Statement>> {
        let mut body = Vec::new();
        self.statements_until(&mut body, |p| p.peek().kind == Kind::End)?;
        if body.is_empty() {
            return Err(self.unexpected());
        }
        Ok(body)
    }

    fn function(&mut self) -> Parsed<(Vec<ParameterDefinition>, ModuleBody)> {
        self.expect_symbol("(")?;
        let parameters = self.parameters()?;
        self.expect_symbol(")")?;
        self.expect("RETURNS")?;
        if self.accept("TABLE") {
            self.module_options()?;
            self.accept("AS");
            self.expect("RETURN")?;
            let parenthesised = self.accept_symbol("(");
            let query = self.query()?;
            if parenthesised {
                self.expect_symbol(")")?;
            }
            require_unordered(&query, self.peek().line)?;
            self.accept_symbol(";");
            self.end()?;
            return Ok((parameters, ModuleBody::Inline(query)));
        }
        let ty = self.type_name()?;
        self.module_options()?;
        self.accept("AS");
        if !self.is("BEGIN") {
            return Err(self.unexpected());
        }
        let body = self.rest()?;
        for statement in &body {
            require_pure(statement)?;
        }
        let last = match body.as_slice() {
            [Statement { kind: StatementKind::Block(body), .. }] => body.last(),
            _ => None,
        };
        if !last.is_some_and(|s| matches!(s.kind, StatementKind::Return(_))) {
            let line = self.peek().line;
            return Err(SqlMessage::new(
                455,
                16,
                "The last statement included within a function must be a return statement.",
            )
            .with_state(2)
            .at_line(line)
            .into());
        }
        Ok((parameters, ModuleBody::Scalar(ty, body)))
    }

    fn view(&mut self) -> Parsed<ModuleBody> {
        let columns = if self.is_symbol("(") { self.name_list()? } else { Vec::new() };
        self.module_options()?;
        self.expect("AS")?;
        let query = self.query()?;
        require_unordered(&query, self.peek().line)?;
        self.accept_all(&["WITH", "CHECK", "OPTION"]);
        while self.accept_symbol(";") {}
        self.end()?;
        Ok(ModuleBody::View(columns, query))
    }

    fn end(&self) -> Parsed<()> {
        if self.peek().kind == Kind::End { Ok(()) } else { Err(self.unexpected()) }
    }

    /// `DROP PROCEDURE [IF EXISTS] name, …`.
    pub(super) fn drop_module(&mut self, class: ModuleClass) -> Parsed<StatementKind> {
        self.take();
        self.take();
        let if_exists = self.accept_all(&["IF", "EXISTS"]);
        let mut names: Vec<Path> = vec![self.path()?];
        while self.accept_symbol(",") {
            names.push(self.path()?);
        }
        Ok(StatementKind::DropModule(class, names, if_exists))
    }
}

/// Error 1033 for an ORDER BY that could order nothing.
pub(super) fn require_unordered(query: &Query, line: u32) -> Parsed<()> {
    let limited = match &query.body {
        Body::Select(select) => select.top.is_some(),
        _ => false,
    };
    let shaped = query.shape != crate::tsql::tree::Shape::Rows;
    if query.order.is_empty() || limited || query.offset.is_some() || shaped {
        return Ok(());
    }
    Err(SqlMessage::new(
        1033,
        15,
        "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is also specified.",
    )
    .at_line(line)
    .into())
}

/// Errors 443 and 444 for what a function may not do.
fn require_pure(statement: &Statement) -> Parsed<()> {
    let refused = |operator: &str| -> SqlFailure {
        SqlMessage::new(
            443,
            16,
            format!("Invalid use of a side-effecting operator '{operator}' within a function."),
        )
        .with_state(15)
        .at_line(statement.line)
        .into()
    };
    match &statement.kind {
        StatementKind::Declare(_)
        | StatementKind::Set(..)
        | StatementKind::Break
        | StatementKind::Continue
        | StatementKind::Return(_) => Ok(()),
        StatementKind::Block(body) => body.iter().try_for_each(require_pure),
        StatementKind::If(_, then, otherwise) => {
            require_pure(then)?;
            otherwise.as_deref().map_or(Ok(()), require_pure)
        }
        StatementKind::While(_, body) => require_pure(body),
        StatementKind::Select(query) => {
            let assigns = match &query.body {
                Body::Select(select) => {
                    select.into.is_none()
                        && select.items.iter().any(|item| matches!(item, Item::Assign(..)))
                }
                _ => false,
            };
            if assigns {
                return Ok(());
            }
            Err(SqlMessage::new(
                444,
                16,
                "Select statements included within a function cannot return data to a client.",
            )
            .with_state(2)
            .at_line(statement.line)
            .into())
        }
        StatementKind::Insert(_) => Err(refused("INSERT")),
        StatementKind::Change(change) if change.assignments.is_none() => Err(refused("DELETE")),
        StatementKind::Change(_) => Err(refused("UPDATE")),
        StatementKind::Merge(_) => Err(refused("MERGE")),
        StatementKind::Execute(_) => Err(refused("EXECUTE STRING")),
        StatementKind::Print(_) => Err(refused("PRINT")),
        StatementKind::RaiseError { .. } => Err(refused("RAISERROR")),
        StatementKind::Throw(_) => Err(refused("THROW")),
        StatementKind::Try(..) => Err(refused("BEGIN TRY")),
        StatementKind::WaitFor(..) => Err(refused("WAITFOR")),
        StatementKind::BeginTransaction(_) => Err(refused("BEGIN TRANSACTION")),
        StatementKind::Commit => Err(refused("COMMIT TRANSACTION")),
        StatementKind::Rollback(_) => Err(refused("ROLLBACK TRANSACTION")),
        StatementKind::SetOption(..) => Err(refused("SET OPTION ON")),
        StatementKind::CreateTable(..) => Err(refused("CREATE TABLE")),
        StatementKind::DropTable(..) => Err(refused("DROP OBJECT")),
        _ => Err(refused("STATEMENT")),
    }
}
