//! Statements carried out one after the other, and what an error ends.

mod codes;
mod cursor;
mod module;
mod options;
mod raise;
mod simple;
mod transaction;

use self::codes::{ends_batch, is_compile_error, statement_code};
use std::collections::BTreeMap;
use std::pin::Pin;

use super::bind::{Binder, Scope, coerce};
use super::bound::Env;
use super::convert::cast;
use super::eval::{display, eval, test};
use super::failures::error;
use super::host::{Host, Sink};
use super::language;
use super::output::Output;
use super::parse::parse_batch;
use super::state::{Context, Frame, Session};
use super::tree::{Body, Execute, Expr, Insert, Path, Query, Statement, StatementKind};
use crate::front::{DoneKind, Replies, Reply, Request};
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Relation, SqlType, Value};

/// Runs T-SQL for one session and keeps the session's language state: options, temporary tables and
/// the transaction count.
#[derive(Debug, Default)]
pub struct Interpreter {
    session: Session,
}

/// What happens after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(i32),
    /// On at the label of that number.
    Goto(usize),
    /// The batch ends.
    Abort,
}

/// An error on its way to a CATCH block or to the client.
#[derive(Debug)]
pub(super) struct Raised {
    pub(super) failure: SqlFailure,
    /// The nesting level it was raised at.
    pub(super) level: u32,
    /// Raised by RAISERROR, which ends no batch.
    pub(super) by_raiserror: bool,
    /// Raised by THROW, which ends the batch.
    pub(super) by_throw: bool,
}

pub(super) use self::cursor::cursor_status;
pub(super) use self::module::MAX_LEVEL;
pub(super) use self::raise::format_message;

pub(super) type Outcome = Result<Flow, Raised>;

/// What a statement comes to, on the heap.
type Boxed<'s> = Pin<Box<dyn Future<Output = Outcome> + Send + 's>>;

/// One request being carried out.
pub(super) struct Run<'a> {
    pub(super) session: &'a mut Session,
    pub(super) host: &'a mut dyn Host,
    pub(super) out: Output,
    pub(super) frames: Vec<Frame>,
    /// Enclosing TRY blocks.
    tries: u32,
    steps: u32,
    /// The code in DONE of the statement that runs, for the DONE of its failure.
    pub(super) command: u16,
    /// The label that a GOTO is on its way to.
    entering: Option<usize>,
}

impl Interpreter {
    /// An interpreter with the options of a fresh session.
    pub fn new() -> Interpreter {
        let mut session = Session::default();
        session.options.lock_timeout = -1;
        Interpreter { session }
    }

    /// `@@TRANCOUNT`.
    pub fn transaction_count(&self) -> i32 {
        self.session.transactions
    }

    /// Forgets temporary tables, options and the transaction, as `sp_reset_connection` does. The
    /// transaction itself is the host's to roll back.
    pub fn reset(&mut self) {
        *self = Interpreter::new();
    }

    /// Carries out one request. The last reply is a [`Reply::Done`].
    pub async fn run(&mut self, host: &mut dyn Host, request: Request, replies: &Replies) {
        self.session.level = 0;
        let mut run = Run {
            session: &mut self.session,
            host,
            out: Output::new(replies),
            frames: vec![Frame::default()],
            tries: 0,
            steps: 0,
            command: 0,
            entering: None,
        };
        run.out.no_count = run.session.options.no_count;
        match request {
            Request::Batch(text) => run.batch(&text).await,
            Request::Rpc(rpc) => run.rpc(rpc).await,
            Request::Transaction(request) => run.transaction(request).await,
        }
        if !run.out.ended {
            run.out.kind = DoneKind::Statement;
            run.out
                .send(Reply::Done {
                    kind: DoneKind::Statement,
                    command: 0,
                    rows: None,
                    error: false,
                })
                .await;
        }
        self.session.level = 0;
        // Table variables and parameters go with the batch; temporary tables of level 0 stay.
        self.session.tables.retain(|_, table| table.level == 0);
        self.session.hidden.clear();
    }
}

impl Run<'_> {
    async fn batch(&mut self, text: &str) {
        match self.parse(text, []) {
            Ok(statements) => {
                let outcome = self.statements(&statements).await;
                self.finish(outcome).await;
            }
            Err(failure) => {
                self.session.error = failure.cause().number;
                self.out.fail(&failure).await;
                self.out.done(0, None, true).await;
            }
        }
    }

    /// Parses a batch under the session's options.
    pub(super) fn parse(
        &self,
        text: &str,
        declared: impl IntoIterator<Item = String>,
    ) -> Result<Vec<Statement>, SqlFailure> {
        parse_batch(text, declared, !self.session.options.quotes_are_strings)
    }

    /// Reports an error that nothing caught.
    pub(super) async fn finish(&mut self, outcome: Outcome) {
        if let Err(raised) = outcome {
            self.report(&raised).await;
        }
    }

    /// Sends an error and decides whether the batch goes on.
    async fn report(&mut self, raised: &Raised) -> Flow {
        let cause = raised.failure.cause();
        let (number, severity) = (cause.number, cause.severity);
        let compiling = is_compile_error(cause);
        self.session.error = raised.failure.0.last().map_or(number, |m| m.number);
        self.session.row_count = 0;
        self.out.fail(&raised.failure).await;
        let worst = &mut self.frame().worst;
        *worst = (*worst).max(severity);
        if severity < 20
            && CHANGES_ROWS.contains(&self.command)
            && !compiling
            && !IS_REFUSED.contains(&number)
        {
            let ended = SqlMessage::new(3621, 0, "The statement has been terminated.");
            let line = raised.failure.cause().line;
            self.out.send(Reply::Message(ended.at_line(line))).await;
        }
        let doomed = self.session.options.abort_transaction && !raised.by_raiserror;
        let ends = severity >= 20 || raised.by_throw || doomed || ends_batch(number) || compiling;
        if self.session.transactions > 0
            && (doomed || severity >= 20 || ends_batch(number) || self.session.doomed)
        {
            self.roll_back().await;
        }
        self.out.done(self.command, None, true).await;
        if !ends {
            Flow::Next
        } else if compiling && self.session.level > 0 && !doomed && severity < 20 {
            // Only the dynamic batch it was raised in ends.
            Flow::Return(0)
        } else {
            Flow::Abort
        }
    }

    async fn roll_back(&mut self) {
        self.restore_tables(0);
        self.session.before.clear();
        self.host.rollback();
        self.session.transactions = 0;
        self.session.doomed = false;
        let descriptor = self.session.descriptor;
        self.out.send(Reply::TransactionRolledBack(descriptor)).await;
    }

    pub(super) fn frame(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// Runs `work` with everything an expression may ask.
    pub(super) fn with_context<T>(
        &self,
        work: impl FnOnce(&Context<'_>) -> Result<T, SqlFailure>,
    ) -> Result<T, SqlFailure> {
        static NONE: std::sync::OnceLock<Frame> = std::sync::OnceLock::new();
        let frame = match self.frames.last() {
            Some(frame) => frame,
            None => NONE.get_or_init(Frame::default),
        };
        language::with(self.session.options.language, || {
            work(&Context::new(&*self.host, self.session, frame))
        })
    }

    /// Evaluates an expression outside of any query.
    pub(super) fn scalar(&self, expr: &Expr) -> Result<(SqlType, Value), SqlFailure> {
        self.with_context(|context| {
            let bound = Binder::new(context).scalar(expr, &Scope::default())?;
            let value = eval(&bound, &Env::of(&[], None), context)?;
            Ok((bound.ty, value))
        })
    }

    /// Evaluates an expression and converts it implicitly.
    pub(super) fn scalar_as(&self, expr: &Expr, ty: SqlType) -> Result<Value, SqlFailure> {
        self.with_context(|context| {
            let bound = coerce(Binder::new(context).scalar(expr, &Scope::default())?, ty)?;
            eval(&bound, &Env::of(&[], None), context)
        })
    }

    fn condition(&self, expr: &Expr) -> Result<bool, SqlFailure> {
        self.with_context(|context| {
            let bound = Binder::new(context).scalar(expr, &Scope::default())?;
            Ok(test(&bound, &Env::of(&[], None), context)? == Some(true))
        })
    }

    /// Assigns to a declared variable, converting to its type.
    pub(super) fn assign(
        &mut self,
        name: &str,
        from: SqlType,
        value: &Value,
    ) -> Result<(), SqlFailure> {
        let lower = name.to_lowercase();
        if let Some((ty, _)) = self.frame().variables.get(&lower) {
            let ty = *ty;
            let converted =
                language::with(self.session.options.language, || cast(value, from, ty, None))?;
            self.frame().variables.insert(lower, (ty, converted));
        }
        Ok(())
    }

    pub(super) async fn statements(&mut self, statements: &[Statement]) -> Outcome {
        let mut at = 0;
        while let Some(statement) = statements.get(at) {
            // On the way to a label, only statements that hold it are entered.
            let passed = self.entering.is_some_and(|label| !holds_label(statement, label));
            at += 1;
            if passed {
                continue;
            }
            match self.statement(statement).await? {
                Flow::Next => {}
                Flow::Goto(label) if statements.iter().any(|s| holds_label(s, label)) => {
                    self.entering = Some(label);
                    at = 0;
                }
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    /// Carries out one statement; an error goes to the enclosing TRY if there is one.
    async fn statement(&mut self, statement: &Statement) -> Outcome {
        if self.host.is_cancelled() {
            return Ok(Flow::Abort);
        }
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
        if self.session.options.no_execute
            && !matches!(statement.kind, StatementKind::SetOption(..))
        {
            return Ok(Flow::Next);
        }
        self.command = statement_code(&statement.kind);
        let raised = match self.carry_out(statement).await {
            Ok(flow) => {
                // Statements that only steer leave the error of the one before.
                let steers = matches!(
                    statement.kind,
                    StatementKind::If(..)
                        | StatementKind::While(..)
                        | StatementKind::Block(_)
                        | StatementKind::Try(..)
                        | StatementKind::Execute(_)
                        | StatementKind::RaiseError { .. }
                );
                if !steers {
                    self.session.error = 0;
                }
                return Ok(flow);
            }
            Err(raised) => raised,
        };
        self.raise(raised, statement.line).await
    }

    async fn raise(&mut self, mut raised: Raised, line: u32) -> Outcome {
        if raised.failure.0.is_empty() {
            return Ok(Flow::Next);
        }
        let procedure = self.frame().procedure.clone();
        for message in &mut raised.failure.0 {
            if message.procedure.is_empty() && raised.level == self.session.level {
                message.procedure.clone_from(&procedure);
            }
            if raised.level == self.session.level && message.line <= 1 && !raised.by_throw {
                message.line = line;
            }
        }
        let severity = raised.failure.cause().severity;
        if self.tries > 0 && severity < 20 {
            return Err(raised);
        }
        Ok(self.report(&raised).await)
    }

    pub(super) fn raised(&self, failure: SqlFailure) -> Raised {
        Raised { failure, level: self.session.level, by_raiserror: false, by_throw: false }
    }

    /// Boxed by functions that never wait, so that the calls of a deep nest hold no futures on the stack.
    #[inline(never)]
    pub(super) fn boxed_statements<'s>(&'s mut self, body: &'s [Statement]) -> Boxed<'s> {
        Box::pin(self.statements(body))
    }

    #[inline(never)]
    fn boxed_statement<'s>(&'s mut self, statement: &'s Statement) -> Boxed<'s> {
        Box::pin(self.statement(statement))
    }

    #[inline(never)]
    fn boxed_try<'s>(&'s mut self, body: &'s [Statement], handler: &'s [Statement]) -> Boxed<'s> {
        Box::pin(self.try_catch(body, handler))
    }

    #[inline(never)]
    fn boxed_execute<'s>(&'s mut self, execute: &'s Execute) -> Boxed<'s> {
        Box::pin(self.execute(execute))
    }

    #[inline(never)]
    fn boxed_insert<'s>(&'s mut self, insert: &'s Insert) -> Boxed<'s> {
        Box::pin(self.insert(insert))
    }

    #[inline(never)]
    fn boxed_simple<'s>(
        &'s mut self,
        statement: &'s Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Flow, SqlFailure>> + Send + 's>> {
        Box::pin(self.simple(statement))
    }

    async fn carry_out(&mut self, statement: &Statement) -> Outcome {
        // Statements that hold others pass their errors and flow through.
        match &statement.kind {
            StatementKind::Block(body) => return self.boxed_statements(body).await,
            StatementKind::If(condition, then, otherwise) => {
                let holds = match self.entering {
                    Some(label) => holds_label(then, label),
                    None => self.condition(condition).map_err(|f| self.raised(f))?,
                };
                return match (holds, otherwise) {
                    (true, _) => self.boxed_statement(then).await,
                    (false, Some(otherwise)) => self.boxed_statement(otherwise).await,
                    (false, None) => Ok(Flow::Next),
                };
            }
            StatementKind::While(condition, body) => {
                while self.entering.is_some()
                    || self.condition(condition).map_err(|f| self.raised(f))?
                {
                    match self.boxed_statement(body).await? {
                        Flow::Next | Flow::Continue => {}
                        Flow::Break => break,
                        other => return Ok(other),
                    }
                }
                return Ok(Flow::Next);
            }
            StatementKind::Try(body, handler) => return self.boxed_try(body, handler).await,
            StatementKind::Execute(execute) => return self.boxed_execute(execute).await,
            StatementKind::Insert(insert) => {
                self.begin_implicit().await;
                return self.boxed_insert(insert).await;
            }
            StatementKind::Throw(arguments) => {
                return self.throw(arguments.as_deref(), statement.line);
            }
            StatementKind::RaiseError { message, severity, state, arguments, set_error } => {
                return self.raise_error(message, severity, state, arguments, *set_error).await;
            }
            _ => {}
        }
        match self.boxed_simple(statement).await {
            Ok(flow) => Ok(flow),
            Err(failure) => Err(self.raised(failure)),
        }
    }

    async fn try_catch(&mut self, body: &[Statement], handler: &[Statement]) -> Outcome {
        let level = self.session.level;
        self.tries += 1;
        let outcome = self.boxed_statements(body).await;
        self.tries -= 1;
        let raised = match outcome {
            Ok(flow) => return Ok(flow),
            Err(raised) => raised,
        };
        let number = raised.failure.cause().number;
        if raised.level == level
            && !raised.by_throw
            && !raised.by_raiserror
            && is_compile_error(raised.failure.cause())
        {
            return if self.tries > 0 { Err(raised) } else { Ok(self.report(&raised).await) };
        }
        if self.session.transactions > 0
            && (self.session.options.abort_transaction || ends_batch(number))
        {
            self.session.doomed = true;
        }
        let Some(last) = raised.failure.0.last().cloned() else {
            return Ok(Flow::Next);
        };
        self.session.error = last.number;
        let frame = self.frame();
        frame.caught.push(last);
        frame.rethrow.push(raised.failure);
        let outcome = self.boxed_statements(handler).await;
        let frame = self.frame();
        frame.caught.pop();
        frame.rethrow.pop();
        outcome
    }

    fn variable_texts(&mut self) -> BTreeMap<String, String> {
        self.frame()
            .variables
            .iter()
            .map(|(name, (ty, value))| (name.clone(), display(value, *ty)))
            .collect()
    }

    /// A query at the top of a statement.
    async fn select(&mut self, query: &Query) -> Result<(), SqlFailure> {
        let into = into_of(&query.body).cloned();
        let assigns = match &query.body {
            Body::Select(select) => {
                select.items.iter().any(|item| matches!(item, super::tree::Item::Assign(..)))
            }
            _ => false,
        };
        let limit = self.session.options.row_count;
        let format_only = self.session.options.format_only;
        let (columns, rows, assigned) = self.with_context(|context| {
            let plan = Binder::new(context).plan(query, None)?;
            let rows = if format_only { Ok(Vec::new()) } else { plan.run(None, context) };
            Ok((plan.columns, rows, context.assigned.take()))
        })?;
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(failure) => {
                // The statement has begun: its header is out before the error.
                if !assigns && into.is_none() && !self.out.is_capturing() {
                    self.out.send(Reply::Columns(columns)).await;
                }
                return Err(failure);
            }
        };
        if let Some(limit) = limit {
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let relation = Relation { columns, rows };
        let count = relation.rows.len();
        self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        if assigns {
            for (name, value) in assigned {
                if let Some((_, slot)) = self.frame().variables.get_mut(&name) {
                    *slot = value;
                }
            }
            return Ok(());
        }
        if let Some(into) = into {
            self.create_from(&into, relation)?;
            self.out.done(193, Some(count as u64), false).await;
            return Ok(());
        }
        self.out.result(relation, 193).await;
        Ok(())
    }
}

/// INTO stands in the first SELECT, also of those that UNION and its like combine.
fn into_of(body: &Body) -> Option<&Path> {
    match body {
        Body::Select(select) => select.into.as_ref(),
        Body::Combined(_, first, _) => into_of(first),
        Body::Nested(_) | Body::Values(_) => None,
    }
}

/// Whether a label stands in a statement or in one that it holds.
fn holds_label(statement: &Statement, label: usize) -> bool {
    match &statement.kind {
        StatementKind::Label(number) => *number == label,
        StatementKind::Block(body) => body.iter().any(|s| holds_label(s, label)),
        StatementKind::If(_, then, otherwise) => {
            holds_label(then, label) || otherwise.as_ref().is_some_and(|s| holds_label(s, label))
        }
        StatementKind::While(_, body) => holds_label(body, label),
        _ => false,
    }
}

pub(super) fn undeclared(name: &str) -> SqlFailure {
    error(137, 15, format!("Must declare the scalar variable \"{name}\"."))
}

/// "Option … cannot be set in database …".
const CANNOT_BE_SET: i32 = 5058;
/// The code in DONE of statements that are refused before they run.
const REFUSED_WHILE_COMPILING: u16 = 253;

/// The codes in DONE of INSERT and MERGE.
pub(super) const INSERT: u16 = 195;
pub(super) const MERGE: u16 = 279;
/// The state of error 213 for the rows of a procedure.
pub(super) const WRONG_RESULT: u8 = 7;
/// Errors of such statements that 3621 does not follow: an identity column that is given a value, a
/// cursor that cannot be written through.
const IS_REFUSED: [i32; 3] = [213, 544, 16929];
/// The codes of statements whose error 3621 follows.
const CHANGES_ROWS: [u16; 4] = [INSERT, 196, 197, MERGE];

/// A path of one part, for names the language makes itself.
pub(super) fn single(name: &str) -> Path {
    Path { parts: vec![name.to_string()] }
}
