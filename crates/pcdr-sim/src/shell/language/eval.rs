//! Runs a script.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use super::ast::{
    Argument, Block, Command, Element, Expr, Operator, Piece, Pipeline, Position, Statement,
};
use super::binder::{self, Bound, Given, Signature};
use super::failure::{ErrorRecord, Flow};
use super::ops;
use super::utility;
use super::value::Value;
use crate::shell::host::Host;

/// Commands beside those of the language itself.
#[async_trait]
pub trait Commands: Send + Sync {
    /// The declaration of a command, by its name in any case.
    fn signature(&self, name: &str) -> Option<Signature>;

    /// Runs a command for one pipeline object, or once without pipeline input.
    async fn invoke(
        &self,
        signature: &Signature,
        bound: &Bound,
        host: &mut Host,
    ) -> Result<Vec<Value>, ErrorRecord>;
}

pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Flow>> + Send + 'a>>;

/// Where a pipeline's output goes.
pub(super) enum Sink<'a> {
    /// Shown at once.
    Shown,
    /// Kept as values.
    Kept(&'a mut Vec<Value>),
}

/// A running session: its variables, its host and its commands.
pub struct Interpreter {
    /// Output and typed lines.
    pub host: Host,
    commands: Arc<dyn Commands>,
    scopes: Vec<BTreeMap<String, Value>>,
    /// `$?`.
    success: bool,
    /// How many try blocks surround the current statement.
    guarded: u32,
    calls: u32,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The process's exit code.
    pub exit_code: i32,
    /// By `exit`: nothing more may run.
    pub by_exit: bool,
}

const DEEPEST_CALL: u32 = 40;

impl Interpreter {
    /// A fresh session.
    pub fn new(commands: Arc<dyn Commands>, host: Host) -> Self {
        let mut variables = BTreeMap::new();
        variables.insert("erroractionpreference".into(), Value::string("Continue"));
        variables.insert("confirmpreference".into(), Value::string("High"));
        variables.insert(
            "psversiontable".into(),
            Value::object(
                "Hashtable",
                vec![
                    ("PSVersion", Value::string("5.1.14393.0")),
                    ("PSEdition", Value::string("Desktop")),
                ],
            ),
        );
        Interpreter { host, commands, scopes: vec![variables], success: true, guarded: 0, calls: 0 }
    }

    /// Runs a parsed script to its end.
    pub async fn run(&mut self, script: &Block) -> Ended {
        self.guarded = 0;
        let result = self.block(script, &mut Sink::Shown).await;
        let (exit_code, by_exit) = match result {
            Ok(()) | Err(Flow::Return(_)) => (i32::from(!self.success), false),
            Err(Flow::Exit(code)) => (code, true),
            Err(Flow::Error(record) | Flow::Fatal(record)) => {
                self.host.error(&record);
                self.success = false;
                (1, false)
            }
        };
        Ended { exit_code, by_exit }
    }

    pub(super) fn variable(&self, name: &str) -> Value {
        let lower = name.to_lowercase();
        let plain = match lower.split_once(':') {
            Some(("env", _)) => return Value::Null,
            Some((_, plain)) => plain,
            None => &lower,
        };
        match plain {
            "null" => return Value::Null,
            "true" => return Value::Bool(true),
            "false" => return Value::Bool(false),
            "?" => return Value::Bool(self.success),
            _ => {}
        }
        let plain = if plain == "psitem" { "_" } else { plain };
        self.scopes.iter().rev().find_map(|scope| scope.get(plain)).cloned().unwrap_or(Value::Null)
    }

    pub(super) fn set_variable(&mut self, name: &str, value: Value) -> Result<(), Flow> {
        let lower = name.to_lowercase();
        let (scope, plain) = lower.split_once(':').unwrap_or(("", &lower));
        if matches!(plain, "null" | "true" | "false" | "?") {
            if plain == "null" {
                return Ok(());
            }
            return Err(ErrorRecord::new(
                "WriteError",
                "SessionStateUnauthorizedAccessException",
                "VariableNotWritable",
                format!("Cannot overwrite variable {plain} because it is read-only or constant."),
            )
            .into());
        }
        let target = match scope {
            "script" | "global" => self.scopes.first_mut(),
            _ => self.scopes.last_mut(),
        };
        if let Some(target) = target {
            target.insert(plain.to_owned(), value);
        }
        Ok(())
    }

    /// What is to happen at a non-terminating error.
    fn error_action(&self, bound: Option<&Bound>) -> String {
        match bound.and_then(|b| b.get("ErrorAction")) {
            Some(action) => action.text().to_lowercase(),
            None => self.variable("ErrorActionPreference").text().to_lowercase(),
        }
    }

    fn report(&mut self, record: ErrorRecord, action: &str) -> Result<(), Flow> {
        self.success = false;
        match action {
            "stop" | "inquire" => Err(Flow::Fatal(Box::new(record))),
            "silentlycontinue" | "ignore" => Ok(()),
            _ => {
                self.host.error(&record);
                Ok(())
            }
        }
    }

    pub(super) fn block<'a>(
        &'a mut self,
        block: &'a Block,
        sink: &'a mut Sink<'_>,
    ) -> Later<'a, ()> {
        Box::pin(async move {
            for statement in &block.0 {
                match self.statement(statement, sink).await {
                    Err(Flow::Error(record))
                        if self.guarded == 0 && self.error_action(None) != "stop" =>
                    {
                        let action = self.error_action(None);
                        self.report(*record, &action)?;
                    }
                    other => other?,
                }
            }
            Ok(())
        })
    }

    fn emit(&mut self, values: Vec<Value>, sink: &mut Sink<'_>) {
        match sink {
            Sink::Shown => values.iter().for_each(|value| self.host.show(value)),
            Sink::Kept(kept) => kept.extend(values),
        }
    }

    fn statement<'a>(
        &'a mut self,
        statement: &'a Statement,
        sink: &'a mut Sink<'_>,
    ) -> Later<'a, ()> {
        Box::pin(async move {
            match statement {
                Statement::Pipeline(pipeline) => {
                    let values = self.pipeline(pipeline).await?;
                    self.emit(values, sink);
                    Ok(())
                }
                Statement::Assign { variable, append, value } => {
                    let mut value = self.statement_value(value).await?;
                    if *append {
                        value = ops::binary(Operator::Add, &self.variable(variable), &value)?;
                    }
                    self.success = true;
                    self.set_variable(variable, value)
                }
                Statement::If { clauses, otherwise } => {
                    for (condition, body) in clauses {
                        let value = Value::collect(self.pipeline(condition).await?);
                        if value.is_true() {
                            return self.block(body, sink).await;
                        }
                    }
                    match otherwise {
                        Some(body) => self.block(body, sink).await,
                        None => Ok(()),
                    }
                }
                Statement::Foreach { variable, source, body } => {
                    for item in self.pipeline(source).await? {
                        self.set_variable(variable, item)?;
                        self.block(body, sink).await?;
                    }
                    Ok(())
                }
                Statement::Try { body, catch, finally } => {
                    if catch.is_some() {
                        self.guarded += 1;
                    }
                    let mut result = self.block(body, sink).await;
                    if let Some(catch) = catch {
                        self.guarded -= 1;
                        if let Err(Flow::Error(record) | Flow::Fatal(record)) = result {
                            let before = self.variable("_");
                            self.set_variable("_", Value::Error(Arc::new(*record)))?;
                            result = self.block(catch, sink).await;
                            self.set_variable("_", before)?;
                        }
                    }
                    if let Some(finally) = finally {
                        self.block(finally, sink).await?;
                    }
                    result
                }
                Statement::Exit(code) => {
                    let code = match code {
                        Some(code) => {
                            let value = Value::collect(self.pipeline(code).await?);
                            i32::try_from(ops::integer(&value)?).unwrap_or(-1)
                        }
                        None => 0,
                    };
                    Err(Flow::Exit(code))
                }
                Statement::Throw(value) => {
                    let value = match value {
                        Some(value) => Value::collect(self.pipeline(value).await?),
                        None => self.variable("_"),
                    };
                    let record = match value {
                        Value::Error(record) => Arc::unwrap_or_clone(record),
                        other => {
                            let text = match other.text() {
                                empty if empty.is_empty() => "ScriptHalted".to_owned(),
                                text => text,
                            };
                            ErrorRecord::new("OperationStopped", "RuntimeException", &text, &text)
                                .about(&text, "String")
                        }
                    };
                    Err(Flow::Fatal(Box::new(record)))
                }
                Statement::Return(value) => {
                    let values = match value {
                        Some(value) => self.pipeline(value).await?,
                        None => Vec::new(),
                    };
                    Err(Flow::Return(values))
                }
            }
        })
    }

    /// The objects that a pipeline leaves.
    pub(super) fn pipeline<'a>(&'a mut self, pipeline: &'a Pipeline) -> Later<'a, Vec<Value>> {
        Box::pin(async move {
            let mut values = Vec::new();
            for (index, element) in pipeline.elements.iter().enumerate() {
                values = match element {
                    Element::Expression(expr) => {
                        let value = self.expr(expr).await.map_err(|flow| {
                            let place = (pipeline.position, String::new());
                            placed(flow, &place)
                        })?;
                        self.success = true;
                        // A null expression is one object; a pipeline in brackets that gave
                        // nothing is none.
                        match (value, expr) {
                            (Value::Null, Expr::Paren(_) | Expr::Sub(_) | Expr::ArrayOf(_)) => {
                                Vec::new()
                            }
                            (value, _) => value.enumerate(),
                        }
                    }
                    Element::Command(command) => {
                        let input = (index > 0).then_some(values);
                        self.command(command, input).await?
                    }
                };
            }
            Ok(values)
        })
    }

    fn command<'a>(
        &'a mut self,
        command: &'a Command,
        input: Option<Vec<Value>>,
    ) -> Later<'a, Vec<Value>> {
        Box::pin(async move {
            let place = (command.position, command.text.clone());
            let name = self.expr(&command.name).await?;
            if let Value::ScriptBlock(block) = &name {
                return self.call_block(block, input).await;
            }
            let name = name.text();
            let found = utility::signature(&name)
                .map(|signature| (true, signature))
                .or_else(|| self.commands.signature(&name).map(|s| (false, s)));
            let Some((is_utility, signature)) = found else {
                self.success = false;
                let mut record = ErrorRecord::new(
                    "ObjectNotFound",
                    "CommandNotFoundException",
                    "CommandNotFoundException",
                    format!(
                        "The term '{name}' is not recognized as the name of a cmdlet, function, \
                         script file, or operable program."
                    ),
                )
                .about(&name, "String");
                record.activity = name;
                return Err(placed(record.into(), &place));
            };
            let mut given = Vec::new();
            for argument in &command.arguments {
                given.push(match argument {
                    Argument::Value(expr) => Given::Value(self.expr(expr).await?),
                    Argument::Parameter(name, None) => Given::Parameter(name.clone(), None),
                    Argument::Parameter(name, Some(expr)) => {
                        Given::Parameter(name.clone(), Some(self.expr(expr).await?))
                    }
                });
            }
            let has_input = input.as_ref().is_some_and(|i| is_utility || !i.is_empty());
            let bound = match binder::bind(&signature, given, has_input) {
                Ok(bound) => bound,
                Err(record) => {
                    self.success = false;
                    return Err(placed(record.into(), &place));
                }
            };
            let quiet_action = bound
                .get("WarningAction")
                .map_or_else(|| self.variable("WarningPreference").text(), Value::text);
            self.host.quiet =
                matches!(quiet_action.to_lowercase().as_str(), "silentlycontinue" | "ignore");
            self.host.verbose = bound.switch("Verbose");
            self.host.never_confirm =
                self.variable("ConfirmPreference").text().eq_ignore_ascii_case("None");
            self.success = true;

            let result = if is_utility {
                let result = utility::invoke(self, &signature, &bound, input).await;
                result.map_err(|flow| name_activity(flow, &signature))
            } else {
                self.invoke_command(&signature, &bound, input).await
            };
            match result {
                Ok(values) => {
                    if let Some(variable) = bound.get("OutVariable") {
                        self.set_variable(&variable.text(), Value::collect(values.clone()))?;
                    }
                    Ok(values)
                }
                Err(flow) => {
                    let flow = placed(flow, &place);
                    let Flow::Error(record) = flow else {
                        return Err(flow);
                    };
                    self.success = false;
                    if let Some(variable) = bound.get("ErrorVariable") {
                        let value = Value::Error(Arc::new((*record).clone()));
                        self.set_variable(&variable.text(), value)?;
                    }
                    if record.terminating {
                        return Err(Flow::Error(record));
                    }
                    let action = self.error_action(Some(&bound));
                    self.report(*record, &action)?;
                    Ok(Vec::new())
                }
            }
        })
    }

    async fn invoke_command(
        &mut self,
        signature: &Signature,
        bound: &Bound,
        input: Option<Vec<Value>>,
    ) -> Result<Vec<Value>, Flow> {
        let commands = Arc::clone(&self.commands);
        let calls = match input {
            None => vec![bound.clone()],
            Some(objects) => {
                objects.into_iter().map(|object| bound.with_pipeline_object(object)).collect()
            }
        };
        let mut values = Vec::new();
        for bound in &calls {
            match commands.invoke(signature, bound, &mut self.host).await {
                Ok(given) => values.extend(given),
                Err(mut record) => {
                    if record.activity.is_empty() {
                        record.activity = signature.name.to_owned();
                    }
                    if !record.fully_qualified_error_id.contains(',') {
                        record.fully_qualified_error_id =
                            format!("{},{}", record.fully_qualified_error_id, signature.class);
                    }
                    return Err(record.into());
                }
            }
        }
        Ok(values)
    }

    /// Runs a script block in a scope of its own; `return` ends it.
    async fn call_block(
        &mut self,
        block: &Block,
        input: Option<Vec<Value>>,
    ) -> Result<Vec<Value>, Flow> {
        let mut scope = BTreeMap::new();
        scope.insert("input".to_owned(), Value::array(input.unwrap_or_default()));
        self.scopes.push(scope);
        let result = self.run_block(block).await;
        self.scopes.pop();
        result
    }

    /// Runs a script block in the current scope; `return` ends it.
    pub(super) async fn run_block(&mut self, block: &Block) -> Result<Vec<Value>, Flow> {
        if self.calls >= DEEPEST_CALL {
            return Err(ErrorRecord::runtime(
                "CallDepthOverflow",
                "The script failed due to call depth overflow.",
            )
            .into());
        }
        self.calls += 1;
        let mut kept = Vec::new();
        let result = self.block(block, &mut Sink::Kept(&mut kept)).await;
        self.calls -= 1;
        match result {
            Ok(()) => Ok(kept),
            Err(Flow::Return(values)) => {
                kept.extend(values);
                Ok(kept)
            }
            Err(flow) => Err(flow),
        }
    }

    /// Runs a script block with `$_` set.
    pub(super) async fn run_for(&mut self, block: &Block, item: Value) -> Result<Vec<Value>, Flow> {
        let before = self.variable("_");
        self.set_variable("_", item)?;
        let result = self.run_block(block).await;
        self.set_variable("_", before)?;
        result
    }

    /// The same, but errors show nowhere: a failing block gives nothing.
    pub(super) async fn run_quietly_for(
        &mut self,
        block: &Block,
        item: Value,
    ) -> Result<Vec<Value>, Flow> {
        self.guarded += 1;
        let result = self.run_for(block, item).await;
        self.guarded -= 1;
        match result {
            Err(Flow::Error(_) | Flow::Fatal(_)) => Ok(Vec::new()),
            other => other,
        }
    }

    fn expr<'a>(&'a mut self, expr: &'a Expr) -> Later<'a, Value> {
        Box::pin(async move {
            Ok(match expr {
                Expr::String(text) => Value::string(text),
                Expr::Integer(n) => Value::Integer(*n),
                Expr::Real(n) => Value::Real(*n),
                Expr::Variable(name) => self.variable(name),
                Expr::Expandable(pieces) => {
                    let mut text = String::new();
                    for piece in pieces {
                        match piece {
                            Piece::Text(plain) => text.push_str(plain),
                            Piece::Expression(inner) => {
                                text.push_str(&self.expr(inner).await?.text());
                            }
                        }
                    }
                    Value::string(text)
                }
                Expr::List(items) => {
                    let mut values = Vec::new();
                    for item in items {
                        values.push(self.expr(item).await?);
                    }
                    Value::array(values)
                }
                Expr::ArrayOf(block) => {
                    let mut kept = Vec::new();
                    self.block(block, &mut Sink::Kept(&mut kept)).await?;
                    Value::array(kept)
                }
                Expr::Sub(block) => {
                    let mut kept = Vec::new();
                    self.block(block, &mut Sink::Kept(&mut kept)).await?;
                    Value::collect(kept)
                }
                Expr::Paren(statement) => {
                    let value = self.statement_value(statement).await?;
                    match &**statement {
                        Statement::Assign { variable, .. } => self.variable(variable),
                        _ => value,
                    }
                }
                Expr::Hash(entries) => {
                    let mut pairs: Vec<(Value, Value)> = Vec::new();
                    for (key, statement) in entries {
                        let key = self.expr(key).await?;
                        if pairs.iter().any(|(k, _)| ops::equal(k, &key, false)) {
                            return Err(ErrorRecord::runtime(
                                "DuplicateKeyInHashLiteral",
                                format!("Duplicate key '{}' in a hash literal.", key.text()),
                            )
                            .into());
                        }
                        let value = self.statement_value(statement).await?;
                        pairs.push((key, value));
                    }
                    Value::Hash(Arc::new(pairs))
                }
                Expr::ScriptBlock(block) => Value::ScriptBlock(Arc::clone(block)),
                Expr::Member(target, name) => {
                    let target = self.expr(target).await?;
                    let name = self.expr(name).await?.text();
                    target.property(&name).unwrap_or(Value::Null)
                }
                Expr::Index(target, index) => {
                    let target = self.expr(target).await?;
                    let index = self.expr(index).await?;
                    self::index(&target, &index)?
                }
                Expr::Call(target, method, arguments) => {
                    let target = self.expr(target).await?;
                    let arguments = self.all(arguments).await?;
                    ops::call(&target, method, &arguments)?
                }
                Expr::StaticCall(type_name, method, arguments) => {
                    let arguments = self.all(arguments).await?;
                    ops::static_call(type_name, method, &arguments)?
                }
                Expr::Cast(type_name, inner) => {
                    let value = self.expr(inner).await?;
                    ops::cast(type_name, value)?
                }
                Expr::Unary(Operator::Not, inner) => {
                    Value::Bool(!self.expr(inner).await?.is_true())
                }
                Expr::Unary(Operator::Comma, inner) => Value::array(vec![self.expr(inner).await?]),
                Expr::Unary(_, inner) => {
                    let value = self.expr(inner).await?;
                    ops::binary(Operator::Subtract, &Value::Integer(0), &value)?
                }
                Expr::Binary(..) => self.chain(expr).await?,
            })
        })
    }

    /// Operators that follow each other, from left to right: a long sum must not nest calls.
    async fn chain(&mut self, expr: &Expr) -> Result<Value, Flow> {
        let mut rest = Vec::new();
        let mut first = expr;
        while let Expr::Binary(operator, left, right) = first {
            rest.push((*operator, right));
            first = left;
        }
        let mut value = self.expr(first).await?;
        for (operator, right) in rest.into_iter().rev() {
            value = match (operator, value.is_true()) {
                (Operator::And, false) => Value::Bool(false),
                (Operator::Or, true) => Value::Bool(true),
                (Operator::And | Operator::Or, _) => Value::Bool(self.expr(right).await?.is_true()),
                _ => {
                    let right = self.expr(right).await?;
                    ops::binary(operator, &value, &right)?
                }
            };
        }
        Ok(value)
    }

    /// A statement used as a value: an array that is the whole of it stays an array, although a
    /// pipeline would unroll it.
    async fn statement_value(&mut self, statement: &Statement) -> Result<Value, Flow> {
        match whole_expression(statement) {
            Some(inner) => self.expr(inner).await,
            None => {
                let mut kept = Vec::new();
                self.statement(statement, &mut Sink::Kept(&mut kept)).await?;
                Ok(Value::collect(kept))
            }
        }
    }

    async fn all(&mut self, exprs: &[Expr]) -> Result<Vec<Value>, Flow> {
        let mut values = Vec::new();
        for expr in exprs {
            values.push(self.expr(expr).await?);
        }
        Ok(values)
    }
}

/// The expression that is all of a statement.
fn whole_expression(statement: &Statement) -> Option<&Expr> {
    match statement {
        Statement::Pipeline(pipeline) => match pipeline.elements.as_slice() {
            [Element::Expression(expr)] => Some(expr),
            _ => None,
        },
        _ => None,
    }
}

fn index(target: &Value, index: &Value) -> Result<Value, ErrorRecord> {
    match target {
        Value::Null => Err(ErrorRecord::runtime("NullArray", "Cannot index into a null array.")),
        Value::Hash(_) => Ok(target.property(&index.text()).unwrap_or(Value::Null)),
        Value::Array(items) => {
            let at = ops::integer(index)?;
            let at = if at < 0 { at + items.len() as i64 } else { at };
            Ok(usize::try_from(at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned()
                .unwrap_or(Value::Null))
        }
        other => match ops::integer(index)? {
            0 | -1 => Ok(other.clone()),
            _ => Ok(Value::Null),
        },
    }
}

fn placed(flow: Flow, place: &(Position, String)) -> Flow {
    let place_record = |mut record: Box<ErrorRecord>| {
        if record.position.line == 0 {
            record.position = place.0;
            record.source_text.clone_from(&place.1);
        }
        record
    };
    match flow {
        Flow::Error(record) => Flow::Error(place_record(record)),
        Flow::Fatal(record) => Flow::Fatal(place_record(record)),
        other => other,
    }
}

fn name_activity(flow: Flow, signature: &Signature) -> Flow {
    match flow {
        Flow::Error(mut record) if record.activity.is_empty() && record.position.line == 0 => {
            record.activity = signature.name.to_owned();
            Flow::Error(record)
        }
        other => other,
    }
}
