//! Statements: the procedural language, and the first word of everything else.

use super::{Parsed, Parser};
use crate::message::SqlMessage;
use crate::tsql::lex::Kind;
use crate::tsql::tree::{
    ArgumentValue, CallArgument, ConstraintKind, Execute, Expr, Statement, StatementKind,
};

/// First words of administrative statements; `ALTER`, `CREATE` and `DROP` need a second look.
const ADMIN: [&str; 9] =
    ["BACKUP", "RESTORE", "GRANT", "DENY", "REVOKE", "KILL", "CHECKPOINT", "DBCC", "RECONFIGURE"];

impl Parser {
    pub(super) fn batch(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        self.skip_separators();
        // A batch may begin with the bare name of a procedure.
        if self.is_identifier() && !self.begins_statement() {
            let line = self.peek().line;
            let execute = self.execute()?;
            statements.push(Statement { line, kind: StatementKind::Execute(Box::new(execute)) });
        }
        self.statements_until(&mut statements, |p| p.peek().kind == Kind::End)?;
        self.require_labels()?;
        Ok(statements)
    }

    /// Error 133 for a GOTO whose label is nowhere.
    fn require_labels(&self) -> Parsed<()> {
        match self.labels.iter().find(|(_, line)| *line == 0) {
            None => Ok(()),
            Some((name, _)) => Err(SqlMessage::new(
                133,
                15,
                format!("A GOTO statement references the label '{name}' but the label has not been declared."),
            )
            .at_line(self.peek().line)
            .into()),
        }
    }

    /// The number of a label, which may stand after the GOTO that names it.
    fn label(&mut self, name: &str) -> usize {
        let lower = name.to_lowercase();
        match self.labels.iter().position(|(known, _)| *known == lower) {
            Some(number) => number,
            None => {
                self.labels.push((lower, 0));
                self.labels.len() - 1
            }
        }
    }

    /// Statements whose first word is not reserved.
    fn begins_statement(&self) -> bool {
        self.is("THROW")
    }

    fn skip_separators(&mut self) {
        while self.accept_symbol(";") {}
    }

    pub(super) fn statements_until(
        &mut self,
        statements: &mut Vec<Statement>,
        end: impl Fn(&Parser) -> bool,
    ) -> Parsed<()> {
        loop {
            self.skip_separators();
            if end(self) {
                return Ok(());
            }
            statements.push(self.statement()?);
        }
    }

    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        self.deeper(|p| {
            let line = p.peek().line;
            let kind = p.statement_kind()?;
            Ok(Statement { line, kind })
        })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        let token = self.peek().clone();
        if token.is_symbol("(") {
            return self.query().map(StatementKind::Select);
        }
        if token.kind != Kind::Word {
            return Err(self.unexpected());
        }
        if self.peek_at(1).is_symbol(":") {
            self.take();
            self.take();
            let number = self.label(&token.text);
            if self.labels[number].1 > 0 {
                return Err(SqlMessage::new(
                    132,
                    15,
                    format!("The label '{}' has already been declared. Label names must be unique within a query batch or stored procedure.", token.text),
                )
                .at_line(token.line)
                .into());
            }
            self.labels[number].1 = token.line;
            return Ok(StatementKind::Label(number));
        }
        let word = token.text.to_ascii_uppercase();
        if ADMIN.contains(&word.as_str()) {
            return self.admin_statement();
        }
        match word.as_str() {
            "SELECT" => self.query().map(StatementKind::Select),
            "WITH" => {
                let ctes = self.ctes()?;
                if self.is("INSERT") {
                    let insert = self.insert(ctes)?;
                    Ok(StatementKind::Insert(Box::new(insert)))
                } else if self.is("UPDATE") {
                    let change = self.update(ctes)?;
                    Ok(StatementKind::Change(Box::new(change)))
                } else if self.is("DELETE") {
                    let change = self.delete(ctes)?;
                    Ok(StatementKind::Change(Box::new(change)))
                } else if self.is("MERGE") {
                    Ok(StatementKind::Merge(Box::new(self.merge(ctes)?)))
                } else {
                    self.query_after(ctes).map(StatementKind::Select)
                }
            }
            "INSERT" => Ok(StatementKind::Insert(Box::new(self.insert(Vec::new())?))),
            "UPDATE" => Ok(StatementKind::Change(Box::new(self.update(Vec::new())?))),
            "DELETE" => Ok(StatementKind::Change(Box::new(self.delete(Vec::new())?))),
            "MERGE" => Ok(StatementKind::Merge(Box::new(self.merge(Vec::new())?))),
            "DECLARE" => self.declare(),
            "OPEN" => {
                self.take();
                self.cursor_name().map(StatementKind::OpenCursor)
            }
            "FETCH" => self.fetch(),
            "CLOSE" => {
                self.take();
                self.cursor_name().map(StatementKind::CloseCursor)
            }
            "DEALLOCATE" => {
                self.take();
                self.cursor_name().map(StatementKind::DeallocateCursor)
            }
            "GOTO" => {
                self.take();
                if !matches!(self.peek().kind, Kind::Word | Kind::Quoted) {
                    return Err(self.unexpected());
                }
                let name = self.take().text;
                Ok(StatementKind::Goto(self.label(&name)))
            }
            "SET" => self.set(),
            "IF" => {
                self.take();
                let test = self.condition()?;
                let then = Box::new(self.statement()?);
                let mark = self.at;
                self.skip_separators();
                if self.accept("ELSE") {
                    let otherwise = Box::new(self.statement()?);
                    return Ok(StatementKind::If(test, then, Some(otherwise)));
                }
                self.at = mark;
                Ok(StatementKind::If(test, then, None))
            }
            "WHILE" => {
                self.take();
                let test = self.condition()?;
                Ok(StatementKind::While(test, Box::new(self.statement()?)))
            }
            "BEGIN" => self.begin(),
            "BREAK" => {
                self.take();
                Ok(StatementKind::Break)
            }
            "CONTINUE" => {
                self.take();
                Ok(StatementKind::Continue)
            }
            "RETURN" => {
                self.take();
                let value = if self.begins_value() { Some(self.value()?) } else { None };
                Ok(StatementKind::Return(value))
            }
            "THROW" => {
                self.take();
                if self.is_symbol(";") || !self.begins_value() {
                    return Ok(StatementKind::Throw(None));
                }
                let number = self.value()?;
                self.expect_symbol(",")?;
                let message = self.value()?;
                self.expect_symbol(",")?;
                let state = self.value()?;
                Ok(StatementKind::Throw(Some(Box::new((number, message, state)))))
            }
            "RAISERROR" => self.raise_error(),
            "PRINT" => {
                self.take();
                self.value().map(StatementKind::Print)
            }
            "WAITFOR" => {
                self.take();
                let delay = self.accept("DELAY");
                if !delay {
                    self.expect("TIME")?;
                }
                Ok(StatementKind::WaitFor(delay, self.value()?))
            }
            "USE" => {
                if self.inside.is_some() {
                    return Err(SqlMessage::new(
                        154,
                        15,
                        "a USE database statement is not allowed in a procedure, function or trigger.",
                    )
                    .at_line(token.line)
                    .into());
                }
                self.take();
                self.identifier().map(StatementKind::Use)
            }
            "COMMIT" => {
                self.take();
                self.transaction_word();
                self.transaction_name()?;
                Ok(StatementKind::Commit)
            }
            "ROLLBACK" => {
                self.take();
                let named = self.is("TRAN") || self.is("TRANSACTION");
                self.transaction_word();
                let name = if named { self.transaction_name()? } else { None };
                Ok(StatementKind::Rollback(name))
            }
            "SAVE" => {
                self.take();
                if !self.accept("TRAN") {
                    self.expect("TRANSACTION")?;
                }
                match self.transaction_name()? {
                    Some(name) => Ok(StatementKind::Save(name)),
                    None => Err(self.unexpected()),
                }
            }
            "EXEC" | "EXECUTE" => {
                self.take();
                Ok(StatementKind::Execute(Box::new(self.execute()?)))
            }
            "TRUNCATE" => {
                self.take();
                self.expect("TABLE")?;
                self.path().map(StatementKind::Truncate)
            }
            "CREATE" if self.peek_at(1).is("TABLE") => {
                self.take();
                self.take();
                let name = self.path()?;
                let shape = self.table_shape()?;
                self.storage_clauses()?;
                Ok(StatementKind::CreateTable(name, shape))
            }
            "ALTER" if self.peek_at(1).is("TABLE") => self.alter_table(),
            "CREATE" if self.begins_index() => self.create_index(),
            "DROP" if self.peek_at(1).is("INDEX") => self.drop_index(),
            "DROP" if self.peek_at(1).is("TABLE") => {
                self.take();
                self.take();
                let if_exists = self.accept_all(&["IF", "EXISTS"]);
                let mut names = vec![self.path()?];
                while self.accept_symbol(",") {
                    names.push(self.path()?);
                }
                Ok(StatementKind::DropTable(names, if_exists))
            }
            "CREATE" | "ALTER" if self.begins_module() => self.create_module(),
            "DROP" if self.module_class(1).is_some() => match self.module_class(1) {
                Some(class) => self.drop_module(class),
                None => Err(self.unexpected()),
            },
            "CREATE" | "ALTER" | "DROP" => self.admin_statement(),
            _ => Err(self.unexpected()),
        }
    }

    fn admin_statement(&mut self) -> Parsed<StatementKind> {
        let start = self.at;
        self.admin()?;
        let mut tokens = self.tokens[start..self.at].to_vec();
        let mut end = self.peek().clone();
        end.kind = Kind::End;
        end.text.clear();
        tokens.push(end);
        Ok(StatementKind::Admin(tokens))
    }

    /// Whether a value can begin here: RETURN and THROW may stand without one.
    fn begins_value(&self) -> bool {
        let token = self.peek();
        match token.kind {
            Kind::End => false,
            Kind::Symbol => ["(", "-", "+", "~"].contains(&token.text.as_str()),
            Kind::Word => {
                self.is_identifier()
                    || ["CASE", "NULL", "CONVERT", "COALESCE", "NULLIF"]
                        .iter()
                        .any(|word| token.is(word))
            }
            _ => true,
        }
    }

    fn transaction_word(&mut self) {
        if !self.accept("TRAN") && !self.accept("TRANSACTION") {
            self.accept("WORK");
        }
    }

    fn transaction_name(&mut self) -> Parsed<Option<String>> {
        if self.peek().kind == Kind::Variable {
            return self.variable().map(Some);
        }
        if self.is_identifier() && !self.begins_statement() {
            return self.identifier().map(Some);
        }
        Ok(None)
    }

    fn begin(&mut self) -> Parsed<StatementKind> {
        self.expect("BEGIN")?;
        if self.is("TRAN") || self.is("TRANSACTION") {
            self.take();
            let name = self.transaction_name()?;
            if self.accept_all(&["WITH", "MARK"])
                && matches!(self.peek().kind, Kind::String | Kind::National)
            {
                self.take();
            }
            return Ok(StatementKind::BeginTransaction(name));
        }
        let mut body = Vec::new();
        let ends = |p: &Parser| p.is("END") || p.peek().kind == Kind::End;
        if self.accept("TRY") {
            self.statements_until(&mut body, ends)?;
            self.expect("END")?;
            self.expect("TRY")?;
            self.skip_separators();
            self.expect("BEGIN")?;
            self.expect("CATCH")?;
            let mut handler = Vec::new();
            self.statements_until(&mut handler, ends)?;
            self.expect("END")?;
            self.expect("CATCH")?;
            return Ok(StatementKind::Try(body, handler));
        }
        self.statements_until(&mut body, ends)?;
        if body.is_empty() {
            return Err(self.unexpected());
        }
        self.expect("END")?;
        Ok(StatementKind::Block(body))
    }

    fn declare(&mut self) -> Parsed<StatementKind> {
        self.expect("DECLARE")?;
        if matches!(self.peek().kind, Kind::Word | Kind::Quoted) {
            return self.declare_cursor();
        }
        self.declarations()
    }

    /// `@a int, @b …`.
    fn declarations(&mut self) -> Parsed<StatementKind> {
        let mut variables = Vec::new();
        loop {
            let token = self.peek().clone();
            if token.kind != Kind::Variable {
                return Err(self.unexpected());
            }
            self.take();
            let lower = token.text.to_lowercase();
            if self.declared.contains(&lower) {
                return Err(SqlMessage::new(
                    134,
                    15,
                    format!("The variable name '{}' has already been declared. Variable names must be unique within a query batch or stored procedure.", token.text),
                )
                .at_line(token.line)
                .into());
            }
            self.accept("AS");
            if variables.is_empty() && self.accept("TABLE") {
                let shape = self.table_shape()?;
                // A table variable refers to no other table.
                if shape
                    .constraints
                    .iter()
                    .any(|c| matches!(c.kind, ConstraintKind::ForeignKey(..)))
                {
                    let text = "Incorrect syntax near the keyword 'REFERENCES'.";
                    return Err(SqlMessage::new(156, 15, text).at_line(token.line).into());
                }
                self.declared.insert(lower);
                return Ok(StatementKind::DeclareTable(token.text, shape));
            }
            if self.accept("CURSOR") {
                self.declared.insert(lower);
                let mut all = Vec::new();
                if !variables.is_empty() {
                    all.push(StatementKind::Declare(variables));
                }
                all.push(StatementKind::DeclareCursorVariable(token.text));
                if self.accept_symbol(",") {
                    all.push(self.declarations()?);
                }
                let line = token.line;
                let all = all.into_iter().map(|kind| Statement { line, kind }).collect();
                return Ok(StatementKind::Block(all));
            }
            let ty = self.type_name()?;
            let value = if self.accept_symbol("=") { Some(self.value()?) } else { None };
            self.declared.insert(lower);
            variables.push((token.text, ty, value));
            if !self.accept_symbol(",") {
                return Ok(StatementKind::Declare(variables));
            }
        }
    }

    fn set(&mut self) -> Parsed<StatementKind> {
        self.expect("SET")?;
        if self.peek().kind == Kind::Variable
            && self.peek_at(1).is_symbol("=")
            && self.peek_at(2).is("CURSOR")
        {
            let name = self.variable()?;
            self.take();
            self.take();
            let definition = self.cursor(name)?;
            return Ok(StatementKind::DeclareCursor(Box::new(definition)));
        }
        if self.peek().kind == Kind::Variable {
            return match self.assignment()? {
                Some((name, value)) => Ok(StatementKind::Set(name, value)),
                None => {
                    self.variable()?;
                    Err(self.unexpected())
                }
            };
        }
        if self.accept_all(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
            let mut words = vec![self.take().text.to_ascii_uppercase()];
            if words[0] == "READ" || words[0] == "REPEATABLE" {
                words.push(self.take().text.to_ascii_uppercase());
            }
            let known = [
                "READ UNCOMMITTED",
                "READ COMMITTED",
                "REPEATABLE READ",
                "SNAPSHOT",
                "SERIALIZABLE",
            ];
            if !known.contains(&words.join(" ").as_str()) {
                self.at -= 1;
                return Err(self.unexpected());
            }
            return Ok(StatementKind::SetOption(vec!["ISOLATION".into()], words));
        }
        let mut names = Vec::new();
        loop {
            let token = self.peek().clone();
            let name = token.text.to_ascii_uppercase();
            if token.kind != Kind::Word || !OPTIONS.contains(&name.as_str()) {
                if token.kind == Kind::Word && !super::is_reserved(&token.text) {
                    return Err(SqlMessage::new(
                        195,
                        15,
                        format!("'{}' is not a recognized SET option.", token.text),
                    )
                    .with_state(5)
                    .at_line(token.line)
                    .into());
                }
                return Err(self.unexpected());
            }
            self.take();
            if name == "STATISTICS" {
                names.push(format!("STATISTICS {}", self.take().text));
            } else {
                names.push(name);
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        let table = names[0] == "IDENTITY_INSERT";
        let mut words = Vec::new();
        if table {
            words.push(self.path()?.parts.join("."));
        }
        let token = self.peek().clone();
        match token.kind {
            Kind::Word | Kind::String | Kind::National | Kind::Number => {
                self.take();
                let keeps_case = names[0] == "LANGUAGE";
                words.push(if keeps_case { token.text } else { token.text.to_ascii_uppercase() });
            }
            Kind::Variable => {
                words.push(self.variable()?);
            }
            Kind::Symbol if token.text == "-" => {
                words.push(self.integer()?.to_string());
            }
            _ => return Err(self.unexpected()),
        }
        Ok(StatementKind::SetOption(names, words))
    }

    fn raise_error(&mut self) -> Parsed<StatementKind> {
        self.expect("RAISERROR")?;
        self.expect_symbol("(")?;
        let message = self.value()?;
        self.expect_symbol(",")?;
        let severity = self.value()?;
        self.expect_symbol(",")?;
        let state = self.value()?;
        let mut arguments = Vec::new();
        while self.accept_symbol(",") {
            arguments.push(self.value()?);
        }
        self.expect_symbol(")")?;
        let mut set_error = false;
        if self.accept("WITH") {
            loop {
                if self.accept("SETERROR") {
                    set_error = true;
                } else if !self.accept("NOWAIT") && !self.accept("LOG") {
                    return Err(self.unexpected());
                }
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        Ok(StatementKind::RaiseError { message, severity, state, arguments, set_error })
    }

    /// What follows EXEC.
    pub(super) fn execute(&mut self) -> Parsed<Execute> {
        if self.accept_symbol("(") {
            let text = self.value()?;
            self.expect_symbol(")")?;
            if self.accept("AS") {
                return Err(self.unexpected());
            }
            return Ok(Execute::Text(text));
        }
        let mut result = None;
        if self.peek().kind == Kind::Variable && self.peek_at(1).is_symbol("=") {
            result = Some(self.variable()?);
            self.take();
        }
        let name = if self.peek().kind == Kind::Variable {
            Err(self.variable()?)
        } else {
            Ok(self.path()?)
        };
        let mut arguments = Vec::new();
        if self.begins_argument() {
            loop {
                arguments.push(self.argument()?);
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        if self.accept("WITH") {
            // RECOMPILE changes nothing here; RESULT SETS would, and is refused.
            self.expect("RECOMPILE")?;
        }
        Ok(Execute::Procedure { result, name, arguments })
    }

    fn begins_argument(&self) -> bool {
        let token = self.peek();
        match token.kind {
            Kind::End => false,
            Kind::Symbol => token.text == "-" || token.text == "+",
            Kind::Word => {
                (self.is_identifier() && !self.begins_statement())
                    || token.is("NULL")
                    || token.is("DEFAULT")
            }
            _ => true,
        }
    }

    fn argument(&mut self) -> Parsed<CallArgument> {
        let mut name = None;
        if self.peek().kind == Kind::Variable && self.peek_at(1).is_symbol("=") {
            name = Some(self.take().text);
            self.take();
        }
        if self.accept("DEFAULT") {
            return Ok(CallArgument { name, value: ArgumentValue::Default, output: false });
        }
        let token = self.peek().clone();
        // Arguments are constants, variables and globals, not expressions; a bare word is a string.
        let value = match token.kind {
            Kind::Word if !token.is("NULL") => {
                let text = self.identifier()?;
                super::expression::string_literal(&text, true)
            }
            Kind::Quoted => {
                self.take();
                super::expression::string_literal(&token.text, true)
            }
            Kind::Symbol => {
                if !self.is_symbol("-") && !self.is_symbol("+") {
                    return Err(self.unexpected());
                }
                let negative = self.take().text == "-";
                if !matches!(self.peek().kind, Kind::Number | Kind::Money) {
                    return Err(self.unexpected());
                }
                let number = self.constant()?;
                if negative { Expr::Negate(Box::new(number)) } else { number }
            }
            _ => self.constant()?,
        };
        let output = (self.is("OUTPUT") || self.is("OUT")) && {
            self.take();
            true
        };
        Ok(CallArgument { name, value: ArgumentValue::Value(value), output })
    }

    fn constant(&mut self) -> Parsed<Expr> {
        // A constant is one token; `value` would go on over operators that EXEC does not allow.
        let next = self.peek_at(1).clone();
        let value = self.value()?;
        match (&value, next.kind) {
            (Expr::Binary(..) | Expr::Collate(..), _) => {
                Err(crate::tsql::lex::syntax_error(&next.text, next.line))
            }
            _ => Ok(value),
        }
    }
}

/// Source: Transact-SQL reference, "SET statements", without those that answer plans in the place of
/// results.
#[rustfmt::skip]
const OPTIONS: [&str; 33] = [
    "ANSI_DEFAULTS", "ANSI_NULLS", "ANSI_NULL_DFLT_OFF", "ANSI_NULL_DFLT_ON", "ANSI_PADDING",
    "ANSI_WARNINGS", "ARITHABORT", "ARITHIGNORE", "CONCAT_NULL_YIELDS_NULL", "CONTEXT_INFO",
    "CURSOR_CLOSE_ON_COMMIT", "DATEFIRST", "DATEFORMAT", "DEADLOCK_PRIORITY", "FIPS_FLAGGER", "FMTONLY",
    "FORCEPLAN", "IDENTITY_INSERT", "IMPLICIT_TRANSACTIONS", "LANGUAGE", "LOCK_TIMEOUT", "NOCOUNT",
    "NOEXEC", "NUMERIC_ROUNDABORT", "PARSEONLY", "QUERY_GOVERNOR_COST_LIMIT", "QUOTED_IDENTIFIER",
    "REMOTE_PROC_TRANSACTIONS", "ROWCOUNT", "STATISTICS", "TEXTSIZE", "XACT_ABORT", "NO_BROWSETABLE",
];
