//! Views and functions of users, evaluated inside a statement.

use std::sync::Arc;

use super::bind::{Binder, Scope, coerce};
use super::bound::Env;
use super::convert::cast;
use super::eval::{eval, test};
use super::failures::error;
use super::plan::rename;
use super::state::{Context, Frame};
use super::tree::{Expr, Module, ModuleBody, Statement, StatementKind};
use crate::message::SqlFailure;
use crate::value::{Column, Relation, Row, SqlType, Value};

/// How deep views and functions may call each other.
const MAX_DEPTH: u32 = 32;
/// A function runs to its end without a pause: a loop that turns oftener than this never ends.
const MAX_TURNS: u32 = 1_000_000;

/// A function or view with the database that its names are of.
#[derive(Debug, Clone)]
pub(super) struct Routine {
    pub(super) module: Arc<Module>,
    pub(super) database: Arc<str>,
}

/// What happens after a statement of a function.
enum Step {
    Next,
    Break,
    Continue,
    Return(Value),
}

fn inner<'a>(
    context: &Context<'a>,
    frame: &'a Frame,
    database: &'a str,
) -> Result<Context<'a>, SqlFailure> {
    if context.depth >= MAX_DEPTH {
        return Err(super::call::too_deep());
    }
    let mut inner = Context::new(context.host, context.session, frame);
    inner.database = Some(database);
    inner.depth = context.depth + 1;
    Ok(inner)
}

/// The columns of a view under the names that it gives them.
pub(super) fn view_columns(
    mut columns: Vec<Column>,
    names: &[String],
    view: &str,
) -> Result<Vec<Column>, SqlFailure> {
    rename(&mut columns, names, view)?;
    Ok(columns)
}

impl Routine {
    /// A frame in which the parameters have values.
    fn frame(&self, values: &[Value]) -> Frame {
        let mut frame = Frame::default();
        for (i, parameter) in self.module.parameters.iter().enumerate() {
            let value = values.get(i).cloned().unwrap_or(Value::Null);
            frame.variables.insert(parameter.name.to_lowercase(), (parameter.ty, value));
        }
        frame
    }

    /// The rows of a view.
    pub(super) fn view(&self, context: &Context<'_>) -> Result<Relation, SqlFailure> {
        let ModuleBody::View(names, query) = &self.module.body else {
            return Ok(Relation::default());
        };
        let frame = Frame::default();
        let inner = inner(context, &frame, &self.database)?;
        let plan = Binder::new(&inner).plan(query, None)?;
        let rows = plan.run(None, &inner)?;
        let columns = view_columns(plan.columns, names, self.module.name.last())?;
        Ok(Relation { columns, rows })
    }

    /// The columns of an inline table-valued function.
    pub(super) fn columns(&self, context: &Context<'_>) -> Result<Vec<Column>, SqlFailure> {
        let ModuleBody::Inline(query) = &self.module.body else {
            return Ok(Vec::new());
        };
        let frame = self.frame(&[]);
        let inner = inner(context, &frame, &self.database)?;
        let plan = Binder::new(&inner).plan(query, None)?;
        view_columns(plan.columns, &[], self.module.name.last())
    }

    /// The rows of an inline table-valued function.
    pub(super) fn rows(
        &self,
        values: &[Value],
        context: &Context<'_>,
    ) -> Result<Vec<Row>, SqlFailure> {
        let ModuleBody::Inline(query) = &self.module.body else {
            return Ok(Vec::new());
        };
        let frame = self.frame(values);
        let inner = inner(context, &frame, &self.database)?;
        Binder::new(&inner).plan(query, None)?.run(None, &inner)
    }

    /// The value of a scalar function.
    pub(super) fn value(
        &self,
        values: &[Value],
        context: &Context<'_>,
    ) -> Result<Value, SqlFailure> {
        let ModuleBody::Scalar(ty, statements) = &self.module.body else {
            return Ok(Value::Null);
        };
        let mut call = Call { routine: self, frame: self.frame(values), ty: *ty, turns: 0 };
        match call.run(statements, context)? {
            Step::Return(value) => Ok(value),
            _ => Ok(Value::Null),
        }
    }
}

/// A scalar function that is being evaluated.
struct Call<'r> {
    routine: &'r Routine,
    frame: Frame,
    ty: SqlType,
    turns: u32,
}

impl Call<'_> {
    fn evaluate(
        &self,
        expr: &Expr,
        ty: SqlType,
        context: &Context<'_>,
    ) -> Result<Value, SqlFailure> {
        let inner = inner(context, &self.frame, &self.routine.database)?;
        let bound = coerce(Binder::new(&inner).scalar(expr, &Scope::default())?, ty)?;
        eval(&bound, &Env::of(&[], None), &inner)
    }

    fn holds(&self, expr: &Expr, context: &Context<'_>) -> Result<bool, SqlFailure> {
        let inner = inner(context, &self.frame, &self.routine.database)?;
        let bound = Binder::new(&inner).scalar(expr, &Scope::default())?;
        Ok(test(&bound, &Env::of(&[], None), &inner)? == Some(true))
    }

    fn run(&mut self, statements: &[Statement], context: &Context<'_>) -> Result<Step, SqlFailure> {
        for statement in statements {
            match self.step(statement, context)? {
                Step::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Step::Next)
    }

    fn step(&mut self, statement: &Statement, context: &Context<'_>) -> Result<Step, SqlFailure> {
        match &statement.kind {
            StatementKind::Declare(variables) => {
                for (name, ty, value) in variables {
                    let value = match value {
                        Some(value) => self.evaluate(value, *ty, context)?,
                        None => Value::Null,
                    };
                    self.frame.variables.insert(name.to_lowercase(), (*ty, value));
                }
            }
            StatementKind::Set(name, value) => {
                let lower = name.to_lowercase();
                let ty = self.frame.variables.get(&lower).map_or(SqlType::Int, |(ty, _)| *ty);
                let value = self.evaluate(value, ty, context)?;
                self.frame.variables.insert(lower, (ty, value));
            }
            StatementKind::Select(query) => {
                let assigned = {
                    let inner = inner(context, &self.frame, &self.routine.database)?;
                    Binder::new(&inner).plan(query, None)?.run(None, &inner)?;
                    inner.assigned.take()
                };
                for (name, value) in assigned {
                    if let Some((_, slot)) = self.frame.variables.get_mut(&name) {
                        *slot = value;
                    }
                }
            }
            StatementKind::Block(body) => return self.run(body, context),
            StatementKind::If(condition, then, otherwise) => {
                return match (self.holds(condition, context)?, otherwise) {
                    (true, _) => self.step(then, context),
                    (false, Some(otherwise)) => self.step(otherwise, context),
                    (false, None) => Ok(Step::Next),
                };
            }
            StatementKind::While(condition, body) => {
                while self.holds(condition, context)? {
                    self.turns += 1;
                    if self.turns > MAX_TURNS {
                        return Err(error(
                            701,
                            17,
                            "There is insufficient system memory in resource pool 'default' to run this query.",
                        ));
                    }
                    match self.step(body, context)? {
                        Step::Next | Step::Continue => {}
                        Step::Break => break,
                        returned => return Ok(returned),
                    }
                }
            }
            StatementKind::Break => return Ok(Step::Break),
            StatementKind::Continue => return Ok(Step::Continue),
            StatementKind::Return(value) => {
                let value = match value {
                    Some(value) => self.evaluate(value, self.ty, context)?,
                    None => Value::Null,
                };
                return Ok(Step::Return(value));
            }
            // The parser lets nothing else into a function.
            _ => {}
        }
        Ok(Step::Next)
    }
}

/// The values of a call's arguments, as the parameters declare them.
pub(super) fn convert_arguments(
    module: &Module,
    values: &[(SqlType, Value)],
) -> Result<Vec<Value>, SqlFailure> {
    module
        .parameters
        .iter()
        .zip(values)
        .map(|(parameter, (ty, value))| cast(value, *ty, parameter.ty, None))
        .collect()
}

/// Error 313 or 8144 for a number of arguments that a function does not take.
pub(super) fn require_count(module: &Module, given: usize) -> Result<(), SqlFailure> {
    let (wanted, name) = (module.parameters.len(), module.name.parts.join("."));
    if given < wanted {
        return Err(error(
            313,
            16,
            format!(
                "An insufficient number of arguments were supplied for the procedure or function {name}."
            ),
        )
        .with_state(2));
    }
    if given > wanted {
        return Err(error(
            8144,
            16,
            format!("Procedure or function {name} has too many arguments specified."),
        ));
    }
    Ok(())
}
