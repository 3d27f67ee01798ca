//! Statements that hold no other ones.

use super::codes::admin_code;
use super::{CANNOT_BE_SET, Flow, REFUSED_WHILE_COMPILING, Run, undeclared};

use super::super::ast::Admin;
use super::super::convert::integer;
use super::super::eval::display;
use super::super::failures::error;
use super::super::host::Sink;
use super::super::parse::parse_admin;
use super::super::tree::{
    AlterTable, ConstraintKind, Expr, Path, Statement, StatementKind, TableShape,
};
use crate::front::Reply;
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{SqlType, Value};

impl Run<'_> {
    /// A statement that holds no other.
    pub(super) async fn simple(&mut self, statement: &Statement) -> Result<Flow, SqlFailure> {
        match &statement.kind {
            StatementKind::Declare(variables) => {
                for (name, ty, value) in variables {
                    let value = match value {
                        Some(value) => self.scalar_as(value, *ty)?,
                        None => Value::Null,
                    };
                    let lower = name.to_lowercase();
                    // A DECLARE in a loop keeps the value unless it assigns one.
                    let slot = self.frame().variables.entry(lower).or_insert((*ty, Value::Null));
                    if !value.is_null() {
                        *slot = (*ty, value);
                    }
                }
            }
            StatementKind::DeclareTable(name, shape) => self.declare_table(name, shape)?,
            StatementKind::DeclareCursor(definition) => self.declare_cursor(definition)?,
            StatementKind::DeclareCursorVariable(name) => {
                self.frame().cursors.entry(name.to_lowercase()).or_insert(None);
            }
            StatementKind::OpenCursor(name) => self.open_cursor(name)?,
            StatementKind::Fetch(fetch) => self.fetch(fetch).await?,
            StatementKind::CloseCursor(name) => self.close_cursor(name)?,
            StatementKind::DeallocateCursor(name) => self.deallocate_cursor(name)?,
            StatementKind::Label(number) => {
                if self.entering == Some(*number) {
                    self.entering = None;
                }
            }
            StatementKind::Goto(number) => return Ok(Flow::Goto(*number)),
            StatementKind::Merge(merge) => {
                self.begin_implicit().await;
                return self.merge(merge).await;
            }
            StatementKind::CreateModule(module) => {
                self.create_module(module)?;
                self.out.done(222, None, false).await;
            }
            StatementKind::DropModule(class, names, if_exists) => {
                for name in names {
                    self.drop_module(*class, name, *if_exists)?;
                }
                self.out.done(223, None, false).await;
            }
            StatementKind::AlterTable(name, alter) => {
                self.alter_table(name, alter)?;
                if let AlterTable::Add(shape) = &**alter {
                    self.tell_skipped(name, shape, statement.line).await;
                }
                self.out.done(216, None, false).await;
            }
            StatementKind::CreateIndex { name, unique, table, columns } => {
                self.create_index(name, *unique, table, columns)?;
                self.out.done(200, None, false).await;
            }
            StatementKind::DropIndex(names, if_exists) => {
                for (name, table) in names {
                    let alter = AlterTable::DropIndex(name.clone(), *if_exists);
                    self.alter_table(table, &alter)?;
                }
                self.out.done(201, None, false).await;
            }
            StatementKind::Set(name, value) => {
                let lower = name.to_lowercase();
                if self.frame().cursors.contains_key(&lower) {
                    self.set_cursor(&lower, value)?;
                    return Ok(Flow::Next);
                }
                let ty = self.frame().variables.get(&lower).map(|(ty, _)| *ty);
                let ty = ty.ok_or_else(|| undeclared(name))?;
                let value = self.scalar_as(value, ty)?;
                self.assign(name, ty, &value)?;
                self.session.row_count = 1;
            }
            StatementKind::SetOption(names, words) => {
                self.set_option(names, words).await?;
                // A driver's lone SET still ends with a DONE of its own.
                self.out.done(249, None, false).await;
            }
            StatementKind::Select(query) => {
                self.begin_implicit().await;
                self.host.running("SELECT");
                self.select(query).await?;
            }
            StatementKind::Change(change) => {
                self.begin_implicit().await;
                return self.change(change).await;
            }
            StatementKind::CreateTable(name, columns) => {
                self.create_table(name, columns)?;
                self.tell_skipped(name, columns, statement.line).await;
                self.out.done(198, None, false).await;
            }
            StatementKind::DropTable(names, if_exists) => {
                for name in names {
                    self.drop_table(name, *if_exists)?;
                }
                self.out.done(199, None, false).await;
            }
            StatementKind::Truncate(name) => {
                self.truncate(name)?;
                self.out.done(233, None, false).await;
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
            StatementKind::Return(value) => {
                let status = match value {
                    Some(value) => integer(&self.scalar_as(value, SqlType::Int)?).unwrap_or(0),
                    None => 0,
                };
                return Ok(Flow::Return(status as i32));
            }
            StatementKind::Print(value) => {
                let (ty, value) = self.scalar(value)?;
                let text = display(&value, ty);
                let text: String = text.chars().take(8000).collect();
                let mut message =
                    SqlMessage::new(0, 0, if text.is_empty() { " ".into() } else { text })
                        .at_line(statement.line);
                message.procedure.clone_from(&self.frame().procedure);
                self.out.message(message).await;
            }
            StatementKind::WaitFor(delay, value) => {
                self.host.running("WAITFOR");
                self.wait_for(*delay, value).await?;
            }
            StatementKind::Use(name) => {
                let old = self.host.database();
                self.host.use_database(name)?;
                let new = self.host.database();
                self.out.send(Reply::Database { new: new.clone(), old }).await;
                let text = format!("Changed database context to '{new}'.");
                self.out
                    .message(SqlMessage::new(5701, 0, text).with_state(2).at_line(statement.line))
                    .await;
                self.out.done(226, None, false).await;
            }
            StatementKind::BeginTransaction(name) => {
                let name = self.transaction_name(name)?;
                self.begin_transaction(name).await?;
                self.out.done(212, None, false).await;
            }
            StatementKind::Commit => {
                self.commit().await?;
                self.out.done(213, None, false).await;
            }
            StatementKind::Rollback(name) => {
                let name = self.transaction_name(name)?;
                self.rollback(name).await?;
                self.out.done(210, None, false).await;
            }
            StatementKind::Save(name) => {
                let name = self.transaction_name(&Some(name.clone()))?.unwrap_or_default();
                self.save(&name)?;
                self.out.done(0, None, false).await;
            }
            StatementKind::Admin(tokens) => {
                let values = self.variable_texts();
                let admin = parse_admin(tokens, values)?;
                self.admin(admin).await?;
            }
            // Carried out by their own functions.
            StatementKind::Block(_)
            | StatementKind::If(..)
            | StatementKind::While(..)
            | StatementKind::Try(..)
            | StatementKind::Execute(_)
            | StatementKind::Insert(_)
            | StatementKind::Throw(_)
            | StatementKind::RaiseError { .. } => {}
        }
        Ok(Flow::Next)
    }

    /// Tells of the foreign keys that a temporary table does not get.
    pub(super) async fn tell_skipped(&mut self, table: &Path, shape: &TableShape, line: u32) {
        if !table.last().starts_with('#') {
            return;
        }
        for (i, constraint) in shape.constraints.iter().enumerate() {
            if matches!(constraint.kind, ConstraintKind::ForeignKey(..)) {
                let name = constraint.name.clone().unwrap_or_else(|| (i + 1).to_string());
                let text = format!(
                    "Skipping FOREIGN KEY constraint '{name}' definition for temporary table. FOREIGN KEY constraints are not enforced on local or global temporary tables."
                );
                self.out.message(SqlMessage::new(1756, 10, text).at_line(line)).await;
            }
        }
    }

    pub(super) async fn admin(&mut self, admin: Admin) -> Result<(), SqlFailure> {
        let (name, code) = admin_code(&admin);
        self.command = code;
        self.host.running(name);
        self.out.progress = matches!(admin, Admin::Backup(_) | Admin::Restore(_)).then_some(code);
        let result = self.host.admin(admin, &mut self.out).await;
        self.out.end_progress();
        let code = result.inspect_err(|failure| {
            // An option that a system database cannot have is refused while compiling.
            if failure.cause().number == CANNOT_BE_SET {
                self.command = REFUSED_WHILE_COMPILING;
            }
        })?;
        self.out.done(code, None, false).await;
        Ok(())
    }

    pub(super) async fn wait_for(&mut self, delay: bool, value: &Expr) -> Result<(), SqlFailure> {
        let (ty, value) = self.scalar(value)?;
        let text = match (&value, ty) {
            (Value::DateTime(d), _) => d.time().to_string(),
            _ => display(&value, ty),
        };
        let invalid = || {
            error(
                148,
                15,
                format!("Incorrect time syntax in time string '{text}' used with WAITFOR."),
            )
        };
        let mut duration = super::super::moments::delay(&text).ok_or_else(invalid)?;
        if !delay {
            let now = match self.host.function("GETDATE", &[]) {
                Some(Ok((_, Value::DateTime(now)))) => now.time(),
                _ => return Err(invalid()),
            };
            let since = now.duration_since(jiff::civil::Time::midnight());
            let since = std::time::Duration::try_from(since).map_err(|_| invalid())?;
            // A time that has passed is tomorrow's.
            duration = duration
                .checked_sub(since)
                .unwrap_or(duration + std::time::Duration::from_secs(86_400) - since);
        }
        self.host.wait(duration).await;
        Ok(())
    }
}
