//! Procedures, functions and views of users: created, dropped, and procedures called.

use std::sync::Arc;

use super::{Flow, Raised, Run};
use crate::front::DoneKind;
use crate::message::SqlFailure;
use crate::tsql::ast::ObjectName;
use crate::tsql::bind::Binder;
use crate::tsql::call::{Final, Given, bind_arguments, outputs_of, too_deep};
use crate::tsql::failures::{cannot_drop, error, name_taken};
use crate::tsql::host::ProcedureParameter;
use crate::tsql::parse::{object_name, parse_module};
use crate::tsql::routine;
use crate::tsql::state::Frame;
use crate::tsql::store::is_local_temporary;
use crate::tsql::tree::{CreateMode, Module, ModuleBody, ModuleClass, Path, Statement};
use crate::value::{SqlType, Value};

/// How deep calls may nest.
pub(in crate::tsql) const MAX_LEVEL: u32 = 32;

impl Run<'_> {
    /// CREATE or ALTER of a procedure, function or view.
    pub(super) fn create_module(&mut self, module: &Module) -> Result<(), SqlFailure> {
        let name = module.name.last();
        self.define_module(module).map_err(|failure| failure.in_procedure(name, 1))
    }

    fn define_module(&mut self, module: &Module) -> Result<(), SqlFailure> {
        let lower = module.name.last().to_lowercase();
        let class = module.class();
        if is_local_temporary(&lower) && class == ModuleClass::Procedure {
            let known = self.session.procedures.contains_key(&lower);
            require_mode(module, known.then_some(ModuleClass::Procedure))?;
            let level = self.session.level;
            self.session.procedures.insert(lower, (Arc::new(module.clone()), level));
            return Ok(());
        }
        let name = object_name(&module.name);
        let there = self.host.module(&name).map(|found| class_of(&found.object_type));
        require_mode(module, there)?;
        if there.is_none() && self.host.relation(&name, None).is_ok() {
            return Err(name_taken(&name.name));
        }
        // Names in a view are resolved when it is created, those in a procedure when it runs.
        if let ModuleBody::View(columns, query) = &module.body {
            self.with_context(|context| {
                let plan = Binder::new(context).plan(query, None)?;
                routine::view_columns(plan.columns, columns, module.name.last()).map(|_| ())
            })?;
        }
        self.host.store_module(&name, module.object_type(), &module.text)
    }

    pub(super) fn drop_module(
        &mut self,
        class: ModuleClass,
        path: &Path,
        if_exists: bool,
    ) -> Result<(), SqlFailure> {
        let lower = path.last().to_lowercase();
        let shown = path.parts.join(".");
        let missing = || {
            if if_exists { Ok(()) } else { Err(cannot_drop(class.word(), &shown)) }
        };
        if is_local_temporary(&lower) && class == ModuleClass::Procedure {
            return match self.session.procedures.remove(&lower) {
                Some(_) => Ok(()),
                None => missing(),
            };
        }
        let name = object_name(path);
        match self.host.module(&name) {
            None => missing(),
            Some(found) if class_of(&found.object_type) != class => Err(error(
                3705,
                16,
                format!(
                    "Cannot use DROP {} with '{shown}' because '{shown}' is a {}. Use DROP {}.",
                    class.word().to_uppercase(),
                    class_of(&found.object_type).word(),
                    class_of(&found.object_type).word().to_uppercase()
                ),
            )),
            Some(_) => self.host.drop_module(&name),
        }
    }

    /// The user's procedure that a path means, and its database; a temporary one has none.
    pub(in crate::tsql) fn find_procedure(
        &self,
        path: &Path,
    ) -> Result<Option<(Arc<Module>, String)>, SqlFailure> {
        let lower = path.last().to_lowercase();
        if is_local_temporary(&lower) {
            let found = self.session.procedures.get(&lower);
            return Ok(found.map(|(module, _)| (module.clone(), self.host.database())));
        }
        let mut name = object_name(path);
        let mut found = self.host.module(&name);
        // One whose name begins with sp_ is found in master from everywhere.
        if found.is_none() && name.database.is_empty() && lower.starts_with("sp_") {
            "master".clone_into(&mut name.database);
            let here = self.host.database();
            found = self.host.module(&name);
            if let Some(found) = &mut found {
                found.database = here;
            }
        }
        match found {
            Some(found) if found.object_type == "P" => {
                Ok(Some((Arc::new(parse_module(&found.text)?), found.database)))
            }
            _ => Ok(None),
        }
    }

    /// Calls a user's procedure.
    pub(in crate::tsql) async fn call_module(
        &mut self,
        module: &Module,
        database: &str,
        given: Vec<Given>,
    ) -> Result<(Flow, i32, Vec<Final>), Raised> {
        let ModuleBody::Procedure(body) = &module.body else {
            return Ok((Flow::Next, 0, Vec::new()));
        };
        let prepared = self.prepare_module(module, &given);
        let (parameters, mut frame) = match prepared {
            Ok(prepared) => prepared,
            Err(failure) => return Err(self.raised_by_call(failure, module.name.last())),
        };
        module.name.last().clone_into(&mut frame.procedure);
        let outputs = outputs_of(&given, &parameters);
        let here = self.host.database();
        let elsewhere = !here.eq_ignore_ascii_case(database);
        if elsewhere && let Err(failure) = self.host.use_database(database) {
            return Err(self.raised(failure));
        }
        let result = self.nested(frame, body).await;
        if elsewhere {
            let _gone = self.host.use_database(&here);
        }
        let (flow, frame) = result?;
        let status = match flow {
            Flow::Return(status) => status,
            // Without RETURN, the status tells the worst error.
            _ if frame.worst > 10 => 10 - i32::from(frame.worst),
            _ => 0,
        };
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
        let flow = if flow == Flow::Abort { Flow::Abort } else { Flow::Next };
        Ok((flow, status, finals))
    }

    /// The parameters of a procedure, and a frame in which they have their values.
    fn prepare_module(
        &mut self,
        module: &Module,
        given: &[Given],
    ) -> Result<(Vec<ProcedureParameter>, Frame), SqlFailure> {
        let parameters = module
            .parameters
            .iter()
            .map(|p| {
                let default = match &p.default {
                    Some(default) => Some(self.scalar_as(default, p.ty)?),
                    None => None,
                };
                Ok(ProcedureParameter { name: p.name.clone(), ty: p.ty, default, output: p.output })
            })
            .collect::<Result<Vec<_>, SqlFailure>>()?;
        let name = ObjectName { name: module.name.last().to_owned(), ..ObjectName::default() };
        let arguments = bind_arguments(&name, &parameters, given)?;
        let mut frame = Frame::default();
        for (argument, parameter) in arguments.into_iter().zip(&parameters) {
            frame.variables.insert(argument.name.to_lowercase(), (parameter.ty, argument.value));
        }
        Ok((parameters, frame))
    }

    /// Runs statements one level deeper; what they make for themselves goes with them.
    pub(in crate::tsql) async fn nested(
        &mut self,
        mut frame: Frame,
        statements: &[Statement],
    ) -> Result<(Flow, Frame), Raised> {
        if self.session.level >= MAX_LEVEL {
            return Err(self.raised(too_deep()));
        }
        let outer = self.frame();
        frame.caught.clone_from(&outer.caught);
        frame.rethrow.clone_from(&outer.rethrow);
        let kind = std::mem::replace(&mut self.out.kind, DoneKind::InProcedure);
        let options = self.session.options.clone();
        let command = self.command;
        self.session.level += 1;
        let level = self.session.level;
        self.frames.push(frame);
        let outcome = self.boxed_statements(statements).await;
        let frame = self.frames.pop().unwrap_or_default();
        self.end_level(level);
        self.session.level -= 1;
        self.command = command;
        // SET options return to what they were before the call.
        self.out.no_count = options.no_count;
        self.session.options = options;
        self.out.kind = kind;
        Ok((outcome?, frame))
    }

    /// Drops what a level has made; what it had hidden is seen again.
    fn end_level(&mut self, level: u32) {
        self.session.tables.retain(|_, table| table.level < level);
        self.session.procedures.retain(|_, (_, made)| *made < level);
        let mut still = Vec::new();
        for (name, table) in std::mem::take(&mut self.session.hidden).into_iter().rev() {
            if table.level < level && !self.session.tables.contains_key(&name) {
                self.session.tables.insert(name, table);
            } else if table.level < level {
                still.push((name, table));
            }
        }
        still.reverse();
        self.session.hidden = still;
    }
}

fn class_of(object_type: &str) -> ModuleClass {
    match object_type {
        "V" => ModuleClass::View,
        "FN" | "IF" => ModuleClass::Function,
        _ => ModuleClass::Procedure,
    }
}

/// Whether CREATE or ALTER may go on, given what has the name already.
fn require_mode(module: &Module, there: Option<ModuleClass>) -> Result<(), SqlFailure> {
    match (module.mode, there) {
        (CreateMode::Create, Some(_)) => Err(name_taken(module.name.last()).with_state(3)),
        (CreateMode::Alter, None) => {
            let text = format!("Invalid object name '{}'.", module.name.parts.join("."));
            Err(error(208, 16, text).with_state(6))
        }
        (_, Some(class)) if class != module.class() => Err(error(
            2010,
            16,
            format!(
                "Cannot perform alter on '{}' because it is an incompatible object type.",
                module.name.parts.join(".")
            ),
        )),
        _ => Ok(()),
    }
}
