//! EXEC: procedures of the server, dynamic SQL, and the same as remote procedure calls.

use super::ast::ObjectName;
use super::convert::{cast, integer};
use super::failures::error;
use super::host::{Argument, ProcedureParameter};
use super::interpret::{Flow, MAX_LEVEL, Outcome, Raised, Run};
use super::parse::{object_name, parse_parameters, parse_path};
use super::state::Frame;
use super::tree::{ArgumentValue, CallArgument, Execute, Expr, Path};
use crate::front::{DoneKind, Reply, Rpc, RpcParameter};
use crate::message::SqlFailure;
use crate::value::{Length, SqlType, Value};

/// An argument of a call with its value.
pub(super) struct Given {
    name: Option<String>,
    /// `None` for DEFAULT.
    value: Option<(SqlType, Value)>,
    /// The caller's variable, for OUTPUT.
    variable: Option<String>,
    output: bool,
}

/// A declared parameter's final value.
pub(super) struct Final {
    pub(super) ty: SqlType,
    pub(super) value: Value,
}

impl Run<'_> {
    /// EXEC in a batch.
    pub(super) async fn execute(&mut self, execute: &Execute) -> Outcome {
        match execute {
            Execute::Text(text) => {
                let text = match self.scalar_as(text, SqlType::NVarChar(Length::Max)) {
                    Ok(text) => text,
                    Err(failure) => return Err(self.raised(failure)),
                };
                let text = match &text {
                    Value::String(s) => s.to_string(),
                    _ => return Ok(Flow::Next),
                };
                let flow = self.dynamic(&text, Frame::default()).await?.0;
                Ok(after(flow))
            }
            Execute::Procedure { result, name, arguments } => {
                let prepared = self.prepare_call(name, arguments);
                let (path, given) = match prepared {
                    Ok(prepared) => prepared,
                    Err(failure) => return Err(self.raised(failure)),
                };
                let outer = self.session.level == 0 && self.out.kind == DoneKind::Statement;
                let targets: Vec<Option<String>> =
                    given.iter().filter(|g| g.output).map(|g| g.variable.clone()).collect();
                let (flow, status, finals) = self.call(&path, given).await?;
                if flow == Flow::Abort {
                    return Ok(flow);
                }
                let assigned = targets
                    .iter()
                    .zip(&finals)
                    .filter_map(|(target, last)| target.as_ref().map(|t| (t, last)))
                    .try_for_each(|(target, last)| self.assign(target, last.ty, &last.value))
                    .and_then(|()| match result {
                        Some(result) => self.assign(result, SqlType::Int, &Value::Int(status)),
                        None => Ok(()),
                    });
                if let Err(failure) = assigned {
                    return Err(self.raised(failure));
                }
                if outer && !self.out.is_capturing() {
                    self.out.send(Reply::ReturnStatus(status)).await;
                    self.out
                        .send(Reply::Done {
                            kind: DoneKind::Procedure,
                            command: 224,
                            rows: None,
                            error: false,
                        })
                        .await;
                }
                Ok(Flow::Next)
            }
        }
    }

    fn prepare_call(
        &mut self,
        name: &Result<Path, String>,
        arguments: &[CallArgument],
    ) -> Result<(Path, Vec<Given>), SqlFailure> {
        let path = match name {
            Ok(path) => path.clone(),
            Err(variable) => {
                let value =
                    self.scalar_as(&Expr::Variable(variable.clone()), SqlType::nvarchar(4000))?;
                match &value {
                    Value::String(text) => parse_path(text)?,
                    _ => {
                        return Err(error(2812, 16, "Could not find stored procedure ''."));
                    }
                }
            }
        };
        let mut given = Vec::new();
        for argument in arguments {
            let value = match &argument.value {
                ArgumentValue::Default => None,
                ArgumentValue::Value(value) => Some(self.scalar(value)?),
            };
            let variable = match &argument.value {
                ArgumentValue::Value(Expr::Variable(name)) => Some(name.clone()),
                _ => None,
            };
            if argument.output && variable.is_none() {
                return Err(error(
                    179,
                    15,
                    "Cannot use the OUTPUT option when passing a constant to a stored procedure.",
                ));
            }
            given.push(Given {
                name: argument.name.clone(),
                value,
                variable,
                output: argument.output,
            });
        }
        Ok((path, given))
    }

    /// Calls a procedure; the final values are those of the arguments passed with OUTPUT, in order.
    async fn call(
        &mut self,
        path: &Path,
        given: Vec<Given>,
    ) -> Result<(Flow, i32, Vec<Final>), Raised> {
        if path.last().eq_ignore_ascii_case("sp_executesql") {
            return self.execute_sql_in(path, given).await;
        }
        let name = object_name(path);
        let system = self.host.procedure(&name);
        if system.is_none() {
            match self.find_procedure(path) {
                Ok(Some((module, database))) => {
                    return self.call_module(&module, &database, given).await;
                }
                Ok(None) => {}
                Err(failure) => return Err(self.raised(failure)),
            }
        }
        let Some(parameters) = system else {
            let mut failure = error(
                2812,
                16,
                format!("Could not find stored procedure '{}'.", path.parts.join(".")),
            );
            failure.0[0].state = 62;
            return Err(self.raised(failure));
        };
        let outputs = outputs_of(&given, &parameters);
        let arguments = match bind_arguments(&name, &parameters, &given) {
            Ok(arguments) => arguments,
            Err(failure) => return Err(self.raised_by_call(failure, &name.name)),
        };
        if self.session.level >= MAX_LEVEL {
            return Err(self.raised(too_deep()));
        }
        let kind = std::mem::replace(&mut self.out.kind, DoneKind::InProcedure);
        self.session.level += 1;
        self.host.running("EXECUTE");
        let result = self.host.call(&name, arguments, &mut self.out).await;
        self.session.level -= 1;
        self.out.kind = kind;
        let result = match result {
            Ok(result) => result,
            Err(mut failure) => {
                for message in &mut failure.0 {
                    if message.procedure.is_empty() {
                        message.procedure.clone_from(&name.name);
                    }
                }
                let mut raised = self.raised(failure);
                // It was raised inside: a TRY around the call catches whatever it is.
                raised.level += 1;
                return Err(raised);
            }
        };
        self.session.row_count = self.out.last_count;
        self.session.error = 0;
        let finals = outputs
            .iter()
            .map(|name| {
                let ty = parameters
                    .iter()
                    .find(|p| p.name.eq_ignore_ascii_case(name))
                    .map_or(SqlType::Variant, |p| p.ty);
                let value = result
                    .outputs
                    .iter()
                    .find(|(n, _)| n.eq_ignore_ascii_case(name))
                    .map_or(Value::Null, |(_, v)| v.clone());
                Final { ty, value }
            })
            .collect();
        Ok((Flow::Next, result.status, finals))
    }

    /// An error about the arguments of a call: the procedure is named, and none of its lines.
    pub(super) fn raised_by_call(&self, failure: SqlFailure, procedure: &str) -> Raised {
        let mut raised = self.raised(failure.in_procedure(procedure, 0));
        raised.level += 1;
        raised
    }

    /// `sp_executesql` as the procedure of a database: it runs there, and the session is back here after.
    async fn execute_sql_in(
        &mut self,
        path: &Path,
        given: Vec<Given>,
    ) -> Result<(Flow, i32, Vec<Final>), Raised> {
        let here = self.host.database();
        let there = object_name(path).database;
        let elsewhere = !there.is_empty() && !there.eq_ignore_ascii_case(&here);
        if elsewhere && let Err(failure) = self.host.use_database(&there) {
            return Err(self.raised(failure));
        }
        let result = self.execute_sql(given).await;
        if elsewhere {
            let _gone = self.host.use_database(&here);
        }
        result
    }

    /// `sp_executesql @stmt, @params, …`.
    async fn execute_sql(&mut self, given: Vec<Given>) -> Result<(Flow, i32, Vec<Final>), Raised> {
        let prepared = prepare_dynamic(&given);
        let (text, declared) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) if failure.cause().number == 214 => {
                let mut raised =
                    self.raised(failure.with_state(2).in_procedure("sp_executesql", 1));
                raised.level += 1;
                return Err(raised);
            }
            Err(failure) => return Err(self.raised(failure)),
        };
        let shown = parameterised(given.get(1), &text);
        let rest: Vec<Given> = given.into_iter().skip(2).collect();
        self.run_parameterised(&text, declared, rest).await.map_err(|mut raised| {
            // The query is shown with its parameters.
            for message in raised.failure.0.iter_mut().filter(|m| m.number == 8178) {
                if let Some((_, missing)) = message.text.split_once(" expects ") {
                    message.text = format!("The parameterized query '{shown}' expects {missing}");
                }
            }
            raised
        })
    }

    async fn run_parameterised(
        &mut self,
        text: &str,
        declared: Vec<(String, SqlType, bool)>,
        given: Vec<Given>,
    ) -> Result<(Flow, i32, Vec<Final>), Raised> {
        let parameters: Vec<ProcedureParameter> = declared
            .iter()
            .map(|(name, ty, output)| ProcedureParameter {
                name: name.clone(),
                ty: *ty,
                default: None,
                output: *output,
            })
            .collect();
        let outputs = outputs_of(&given, &parameters);
        let arguments = match bind_arguments(&ObjectName::default(), &parameters, &given) {
            Ok(arguments) => arguments,
            Err(failure) => return Err(self.raised(failure)),
        };
        let mut frame = Frame::default();
        for (argument, parameter) in arguments.into_iter().zip(&parameters) {
            frame.variables.insert(argument.name.to_lowercase(), (parameter.ty, argument.value));
        }
        let (flow, frame) = self.dynamic(text, frame).await?;
        let finals = outputs
            .iter()
            .map(|name| {
                let (ty, value) = frame
                    .variables
                    .get(&name.to_lowercase())
                    .cloned()
                    .unwrap_or((SqlType::Variant, Value::Null));
                Final { ty, value }
            })
            .collect();
        let status = match flow {
            Flow::Return(status) => status,
            _ => 0,
        };
        Ok((after(flow), status, finals))
    }

    /// Runs text as a batch of its own, one level deeper. A USE in it has its effect only there.
    async fn dynamic(&mut self, text: &str, frame: Frame) -> Result<(Flow, Frame), Raised> {
        let names: Vec<String> = frame.variables.keys().cloned().collect();
        let statements = match self.parse(text, names) {
            Ok(statements) => statements,
            Err(failure) => {
                let mut raised = self.raised(failure);
                // A TRY around the EXEC catches errors of compiling what it runs.
                raised.level += 1;
                return Err(raised);
            }
        };
        let here = self.host.database();
        let result = self.nested(frame, &statements).await;
        let there = self.host.database();
        if there != here && self.host.use_database(&here).is_ok() {
            self.out.send(Reply::Database { new: here, old: there }).await;
        }
        result
    }

    /// A remote procedure call.
    pub(super) async fn rpc(&mut self, rpc: Rpc) {
        self.out.kind = DoneKind::InProcedure;
        let outputs: Vec<(u16, RpcParameter)> = rpc
            .parameters
            .iter()
            .enumerate()
            .filter(|(_, p)| p.output)
            .map(|(i, p)| (i as u16, p.clone()))
            .collect();
        let lower = rpc.procedure.to_lowercase();
        let mut handle = None;
        let result = match lower.as_str() {
            "sp_prepexec" | "sp_prepare" | "sp_execute" | "sp_unprepare" => {
                let given = rpc.parameters.iter().map(given_of).collect();
                match self.prepared(&lower, given).await {
                    Ok((made, rest)) => {
                        handle = made;
                        Ok(rest)
                    }
                    Err(raised) => Err(raised),
                }
            }
            _ => {
                let given = rpc.parameters.iter().map(given_of).collect();
                match parse_path(&rpc.procedure) {
                    Ok(path) => self.call(&path, given).await,
                    Err(failure) => Err(self.raised(failure)),
                }
            }
        };
        let (status, failed) = match result {
            Ok((_, status, finals)) => {
                self.out.send(Reply::ReturnStatus(status)).await;
                let made =
                    handle.map(|handle| Final { ty: SqlType::Int, value: Value::Int(handle) });
                let finals = made.into_iter().chain(finals);
                let mut values: Vec<_> = outputs.iter().zip(finals).collect();
                // Large values come after all others. \[MS-TDS\] 2.2.7.19.
                values.sort_by_key(|((_, parameter), _)| is_large(parameter.ty));
                for ((ordinal, parameter), last) in values {
                    let value =
                        cast(&last.value, last.ty, parameter.ty, None).unwrap_or(Value::Null);
                    // What was passed by place comes back without a name: the vendor's driver takes
                    // it in no other way.
                    let name = parameter.name.clone();
                    self.out
                        .send(Reply::ReturnValue {
                            ordinal: *ordinal,
                            name,
                            ty: parameter.ty,
                            value,
                        })
                        .await;
                }
                (status, false)
            }
            Err(raised) => {
                self.session.error = raised.failure.cause().number;
                self.finish(Err(raised)).await;
                (-6, true)
            }
        };
        if failed {
            self.out.send(Reply::ReturnStatus(status)).await;
        }
        self.out
            .send(Reply::Done {
                kind: DoneKind::Procedure,
                command: 224,
                rows: None,
                error: failed,
            })
            .await;
    }

    /// The prepared-statement procedures that drivers call.
    #[allow(clippy::type_complexity, reason = "the new handle, then what a call returns")]
    async fn prepared(
        &mut self,
        procedure: &str,
        mut given: Vec<Given>,
    ) -> Result<(Option<i32>, (Flow, i32, Vec<Final>)), Raised> {
        let text = |given: &[Given], index: usize| match given.get(index).map(|g| &g.value) {
            Some(Some((_, Value::String(s)))) => s.to_string(),
            _ => String::new(),
        };
        let nothing = (Flow::Next, 0, Vec::new());
        if procedure == "sp_prepexec" || procedure == "sp_prepare" {
            let entry = (text(&given, 1), text(&given, 2));
            let parsed = parse_parameters(&entry.0).and_then(|declared| {
                let names: Vec<String> = declared.iter().map(|(n, ..)| n.clone()).collect();
                self.parse(&entry.1, names).map(|_| declared)
            });
            let declared = match parsed {
                Ok(declared) => declared,
                Err(failure) => return Err(self.raised(failure)),
            };
            let handle = self.session.prepared.last_key_value().map_or(1, |(last, _)| last + 1);
            self.session.prepared.insert(handle, entry.clone());
            if procedure == "sp_prepare" {
                return Ok((Some(handle), nothing));
            }
            let rest = given.split_off(given.len().min(3));
            let result = self.run_parameterised(&entry.1, declared, rest).await?;
            return Ok((Some(handle), result));
        }
        let handle = match given.first().map(|g| &g.value) {
            Some(Some((_, value))) => integer(value).and_then(|n| i32::try_from(n).ok()),
            _ => None,
        };
        let Some(entry) = handle.and_then(|h| self.session.prepared.get(&h).cloned()) else {
            return Err(self.raised(error(
                8179,
                16,
                format!("Could not find prepared statement with handle {}.", handle.unwrap_or(0)),
            )));
        };
        if procedure == "sp_unprepare" {
            if let Some(handle) = handle {
                self.session.prepared.remove(&handle);
            }
            return Ok((None, nothing));
        }
        let declared = match parse_parameters(&entry.0) {
            Ok(declared) => declared,
            Err(failure) => return Err(self.raised(failure)),
        };
        let rest = given.split_off(given.len().min(1));
        let result = self.run_parameterised(&entry.1, declared, rest).await?;
        Ok((None, result))
    }

    /// Runs EXEC for INSERT … EXEC and hands back the rows.
    pub(super) async fn capture(
        &mut self,
        execute: &Execute,
    ) -> Result<(Flow, Vec<crate::value::Relation>), Raised> {
        if self.out.is_capturing() {
            return Err(self.raised(error(8164, 16, "An INSERT EXEC statement cannot be nested.")));
        }
        self.out.begin_capture();
        let outcome = Box::pin(self.execute(execute)).await;
        let rows = self.out.end_capture();
        Ok((outcome?, rows))
    }
}

/// Whether values of the type travel in chunks.
fn is_large(ty: SqlType) -> bool {
    matches!(
        ty,
        SqlType::VarChar(Length::Max)
            | SqlType::NVarChar(Length::Max)
            | SqlType::VarBinary(Length::Max)
            | SqlType::Xml
    )
}

fn given_of(parameter: &RpcParameter) -> Given {
    Given {
        name: (!parameter.name.is_empty()).then(|| parameter.name.clone()),
        value: Some((parameter.ty, parameter.value.clone())),
        variable: None,
        output: parameter.output,
    }
}

/// What remains of a dynamic batch's flow for its caller.
fn after(flow: Flow) -> Flow {
    match flow {
        Flow::Abort => Flow::Abort,
        _ => Flow::Next,
    }
}

/// The names of the parameters that are passed with OUTPUT, in order.
pub(super) fn outputs_of(given: &[Given], parameters: &[ProcedureParameter]) -> Vec<String> {
    given
        .iter()
        .enumerate()
        .filter(|(_, g)| g.output)
        .filter_map(|(i, g)| match &g.name {
            Some(name) => Some(name.clone()),
            None => parameters.get(i).map(|p| p.name.clone()),
        })
        .collect()
}

pub(super) fn too_deep() -> SqlFailure {
    error(
        217,
        16,
        "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).",
    )
}

/// A query with its parameters as errors show it.
fn parameterised(declared: Option<&Given>, text: &str) -> String {
    match declared.and_then(|g| g.value.as_ref()) {
        Some((_, Value::String(declared))) => format!("({declared}){text}"),
        _ => text.to_owned(),
    }
}

/// The text and declarations of sp_executesql, whose parameters may be named or positional.
#[allow(clippy::type_complexity, reason = "the text, then its parameters as declared")]
fn prepare_dynamic(given: &[Given]) -> Result<(String, Vec<(String, SqlType, bool)>), SqlFailure> {
    let text = |index: usize, name: &str| -> Result<String, SqlFailure> {
        match given.get(index).map(|g| &g.value) {
            Some(Some((ty, Value::String(s)))) if super::convert::is_national(*ty) => {
                Ok(s.to_string())
            }
            Some(Some((_, Value::Null))) | None => Ok(String::new()),
            _ => Err(error(
                214,
                16,
                format!("Procedure expects parameter '{name}' of type 'ntext/nchar/nvarchar'."),
            )),
        }
    };
    if given.is_empty() {
        return Err(error(
            201,
            16,
            "Procedure or function 'sp_executesql' expects parameter '@statement', which was not supplied.",
        ));
    }
    let statement = text(0, "@statement")?;
    let declared = parse_parameters(&text(1, "@params")?)?;
    Ok((statement, declared))
}

fn same(a: &str, b: &str) -> bool {
    super::tree::same_name(a, b)
}

/// Matches arguments with declared parameters.
///
/// # Errors
///
/// 119, 201, 8143, 8144, 8145, 8162 and conversions.
pub(super) fn bind_arguments(
    procedure: &ObjectName,
    parameters: &[ProcedureParameter],
    given: &[Given],
) -> Result<Vec<Argument>, SqlFailure> {
    let shown = if procedure.name.is_empty() { String::new() } else { procedure.name.clone() };
    let mut slots: Vec<Option<&Given>> = vec![None; parameters.len()];
    let mut named = false;
    for (i, argument) in given.iter().enumerate() {
        let index = match &argument.name {
            Some(name) => {
                named = true;
                let index = parameters.iter().position(|p| same(&p.name, name));
                index.ok_or_else(|| {
                    error(8145, 16, format!("{name} is not a parameter for procedure {shown}."))
                        .with_state(2)
                })?
            }
            None if named => {
                return Err(error(
                    119,
                    15,
                    format!(
                        "Must pass parameter number {} and subsequent parameters as '@name = value'. After the form '@name = value' has been used, all subsequent parameters must be passed in the form '@name = value'.",
                        i + 1
                    ),
                ));
            }
            None if i < parameters.len() => i,
            None => {
                return Err(error(
                    8144,
                    16,
                    format!("Procedure or function {shown} has too many arguments specified."),
                )
                .with_state(2));
            }
        };
        if slots[index].is_some() {
            return Err(error(
                8143,
                16,
                format!("Parameter '{}' was supplied multiple times.", parameters[index].name),
            ));
        }
        if argument.output && !parameters[index].output {
            return Err(error(
                8162,
                16,
                format!(
                    "The formal parameter \"{}\" was not declared as an OUTPUT parameter, but the actual parameter passed in requested output.",
                    parameters[index].name
                ),
            ));
        }
        slots[index] = Some(argument);
    }
    let missing = |parameter: &ProcedureParameter| {
        if procedure.name.is_empty() {
            let names: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
            error(
                8178,
                16,
                format!(
                    "The parameterized query '({})' expects the parameter '{}', which was not supplied.",
                    names.join(","),
                    parameter.name
                ),
            )
        } else {
            let mut failure = error(
                201,
                16,
                format!(
                    "Procedure or function '{shown}' expects parameter '{}', which was not supplied.",
                    parameter.name
                ),
            );
            failure.0[0].state = 4;
            failure
        }
    };
    parameters
        .iter()
        .zip(slots)
        .map(|(parameter, slot)| {
            let (value, given) = match slot.and_then(|g| g.value.as_ref()) {
                Some((ty, value)) => (convert(value, *ty, parameter)?, true),
                None => match &parameter.default {
                    Some(default) => (default.clone(), false),
                    None => return Err(missing(parameter)),
                },
            };
            Ok(Argument { name: parameter.name.clone(), value, given })
        })
        .collect()
}

fn convert(
    value: &Value,
    from: SqlType,
    parameter: &ProcedureParameter,
) -> Result<Value, SqlFailure> {
    cast(value, from, parameter.ty, None).map_err(|failure| {
        // Conversions of arguments have an error of their own, whatever they fail of: text that is no
        // number, date or GUID, and numbers out of range.
        if matches!(failure.cause().number, 220 | 241 | 242 | 244 | 245 | 248 | 8114 | 8115 | 8169)
        {
            let mut failure = error(
                8114,
                16,
                format!(
                    "Error converting data type {} to {}.",
                    super::convert::type_name(from),
                    super::convert::type_name(parameter.ty)
                ),
            );
            failure.0[0].state = 5;
            failure
        } else {
            failure
        }
    })
}
