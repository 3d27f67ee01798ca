//! Calls of procedures.

use std::collections::BTreeSet;

use pcdr_facts::{Base, Needed, Parameter, Procedure, SqlType};

use super::node::Node;
use super::{Check, EXECUTE_SQL, plain};

impl<'a> Check<'a> {
    pub(super) fn execute(&mut self, statement: Node<'_>) {
        let Some(what) = statement.node("ExecuteSpecification") else {
            return self.problem("EXECUTE of nothing");
        };
        if let Some(returned) = what.node("Variable") {
            let ty = self.variable(returned.text("Name"));
            if ty.is_some_and(|ty| ty != plain(Base::Int)) {
                self.problem("a return code is an int");
            }
        }
        let called = what.node("ExecutableEntity");
        let name = called
            .and_then(|called| called.node("ProcedureReference"))
            .and_then(|reference| reference.node("ProcedureReference"))
            .and_then(|reference| reference.node("Name"));
        let (Some(called), Some(name)) = (called, name) else {
            return self.problem("EXECUTE of something else than a named procedure");
        };
        let parts = name.parts();
        let arguments = called.nodes("Parameters");
        if parts.last().is_some_and(|last| last.eq_ignore_ascii_case(EXECUTE_SQL)) {
            let inner = arguments
                .first()
                .and_then(|argument| argument.node("ParameterValue"))
                .and_then(|literal| literal.node("sql"));
            match inner {
                Some(script) if arguments.len() == 1 => self.script(script),
                _ => self.problem(format!("{EXECUTE_SQL} of something else than one literal")),
            }
            return;
        }
        let documented = parts.last().and_then(|last| self.facts.procedure(last));
        let Some(procedure) = documented.filter(|procedure| procedure.is_in(self.year)) else {
            return self.problem(format!("{} is no documented procedure", parts.join(".")));
        };
        self.found.called.insert(procedure.name.clone());
        self.named(procedure, &parts);
        self.sent(procedure);
        self.arguments(procedure, &arguments);
        if let Some(answered) = self.facts.result(&procedure.name) {
            self.answered(answered);
        }
    }

    /// Whether its database and schema are those in which it lives.
    fn named(&mut self, procedure: &Procedure, parts: &[&str]) {
        let [database, schema, _] = parts else {
            return self.problem(format!(
                "{} is not called by database, schema and name: which one is meant depends on where \
                 the connection stands",
                procedure.name
            ));
        };
        let lives = procedure.database.as_deref();
        if !lives.is_some_and(|lives| lives.eq_ignore_ascii_case(database)) {
            self.problem(format!("{} does not live in {database}", procedure.name));
        }
        if !procedure.schema.eq_ignore_ascii_case(schema) {
            self.problem(format!("{} is not in the schema {schema}", procedure.name));
        }
    }

    fn sent(&mut self, procedure: &Procedure) {
        let is_right = |place| procedure.runs_on.contains(place);
        if !self.places.is_empty() && !self.places.iter().any(is_right) {
            self.problem(format!(
                "{} is for {:?}, and is sent to {:?}",
                procedure.name, procedure.runs_on, self.places
            ));
        }
    }

    fn arguments(&mut self, procedure: &Procedure, arguments: &[Node<'_>]) {
        let mut given = BTreeSet::new();
        for (position, argument) in arguments.iter().enumerate() {
            let name = argument.node("Variable").map(|variable| variable.text("Name"));
            let parameter = match name {
                Some(name) => procedure.parameter(name),
                None if procedure.positional => procedure.parameters.get(position),
                None => {
                    let problem = format!("{}: argument {position} has no name", procedure.name);
                    self.problem(problem);
                    continue;
                }
            };
            let Some(parameter) = parameter.filter(|parameter| parameter.is_in(self.year)) else {
                let name = name.unwrap_or("one more argument");
                self.problem(format!("{} has no {name} in {}", procedure.name, self.year));
                continue;
            };
            let full = format!("{}.{}", procedure.name, parameter.name);
            if !given.insert(parameter.name.to_lowercase()) {
                self.problem(format!("{full} is given twice"));
            }
            self.argument(&full, parameter, *argument);
            self.found.called.insert(full);
        }
        let is_given = |name: &str| given.contains(&name.to_lowercase());
        for parameter in procedure.parameters_in(self.year) {
            let missing = match parameter.needed {
                Needed::Yes => !is_given(&parameter.name),
                Needed::One => {
                    let other = parameter.instead_of.as_deref();
                    !is_given(&parameter.name) && !other.is_some_and(is_given)
                }
                Needed::No => false,
            };
            if missing {
                self.problem(format!("{} needs {}", procedure.name, parameter.name));
            }
        }
    }

    fn argument(&mut self, full: &str, parameter: &Parameter, argument: Node<'_>) {
        let Some(value) = argument.node("ParameterValue") else {
            return self.problem(format!("{full} is given no value"));
        };
        if argument.is("IsOutput") != parameter.output {
            self.problem(format!("{full} gives a value back exactly when it is OUTPUT"));
        }
        let (negative, value) = match value.class() {
            "UnaryExpression" if value.text("UnaryExpressionType") == "Negative" => {
                (true, value.node("Expression").unwrap_or(value))
            }
            _ => (false, value),
        };
        let ty = parameter.ty;
        let wrong = match value.class() {
            "IntegerLiteral" => {
                let number = value.value().parse::<i64>().map(|n| if negative { -n } else { n });
                let fits = ty.integers().zip(number.ok());
                let fits = fits.is_some_and(|((low, high), n)| (low..=high).contains(&n));
                (!fits).then(|| format!("{full} is {ty}, which {} is not", value.value()))
            }
            "StringLiteral" => text_problem(full, ty, value),
            "NullLiteral" => (parameter.needed != Needed::No)
                .then(|| format!("{full} is needed, and is given NULL")),
            "VariableReference" => {
                let name = value.text("Name");
                let declared = self.variable(name);
                declared
                    .filter(|declared| *declared != ty)
                    .map(|declared| format!("{full} is {ty}, and {name} is {declared}"))
            }
            other => Some(format!("{full} is given a {other}, which the check does not know")),
        };
        if let Some(wrong) = wrong {
            self.problem(wrong);
        }
    }
}

fn text_problem(full: &str, ty: SqlType, literal: Node<'_>) -> Option<String> {
    let text = literal.value();
    if ty.base == Base::UniqueIdentifier {
        let is_guid = text.len() == 36
            && text.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => c.is_ascii_hexdigit(),
            });
        return (!is_guid).then(|| format!("{full} is a GUID, which {text:?} is not"));
    }
    if !ty.is_text() {
        return Some(format!("{full} is {ty}, and is given a text"));
    }
    let is_unicode = matches!(ty.base, Base::NChar | Base::NVarChar | Base::NText);
    if is_unicode && !literal.is("IsNational") {
        return Some(format!("{full} is {ty}: without N, '…' loses what the code page lacks"));
    }
    let length = text.encode_utf16().count();
    let too_long = ty.length().is_some_and(|longest| length > usize::from(longest));
    too_long.then(|| format!("{full} is {ty}, and is given {length} characters"))
}
