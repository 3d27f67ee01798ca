//! Binding of arguments to parameters: names and their abbreviations, parameter sets, positions,
//! pipeline input, types. Source: "about_Parameters", "about_Parameter_Sets".

use std::collections::BTreeMap;

use super::failure::ErrorRecord;
use super::ops;
use super::value::Value;

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any value.
    Any,
    /// `System.String`, not null and not empty.
    Text,
    /// `Microsoft.Rtc.Management.Deploy.Fqdn`: validated.
    Fqdn,
    /// A switch.
    Switch,
    /// `System.Boolean`.
    Bool,
    /// `System.Int32`.
    Integer,
    /// A list of strings.
    Texts,
    /// A hashtable.
    Hash,
    /// A script block.
    Block,
    /// A member of an enumeration: its type and its members.
    Enum(&'static str, &'static [&'static str]),
    /// `PSListModifier[Fqdn]`: a hashtable with `Add`, `Remove`, `Replace`; `$null`; or a list.
    FqdnListModifier,
}

/// How a parameter takes part in one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Name of the set; empty for every set.
    pub set: &'static str,
    /// Needed in this set.
    pub mandatory: bool,
    /// Position of a value without a name.
    pub position: Option<u32>,
    /// Takes the pipeline's objects.
    pub from_pipeline: bool,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// As documented.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The sets it belongs to.
    pub uses: Vec<Use>,
    /// Takes every value that is left over, as one array.
    pub rest: bool,
}

impl Parameter {
    /// A parameter of every set, not mandatory.
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Parameter {
            name,
            kind,
            uses: vec![Use { set: "", mandatory: false, position: None, from_pipeline: false }],
            rest: false,
        }
    }

    /// Also takes every value that is left over.
    #[must_use]
    pub fn rest(mut self) -> Self {
        self.rest = true;
        self
    }

    /// Only in these sets.
    #[must_use]
    pub fn only_in(mut self, sets: &[&'static str]) -> Self {
        let first = self.uses[0];
        self.uses = sets.iter().map(|set| Use { set, ..first }).collect();
        self
    }

    /// Mandatory in each of its sets.
    #[must_use]
    pub fn mandatory(mut self) -> Self {
        self.uses.iter_mut().for_each(|u| u.mandatory = true);
        self
    }

    /// Also taken by position.
    #[must_use]
    pub fn at(mut self, position: u32) -> Self {
        self.uses.iter_mut().for_each(|u| u.position = Some(position));
        self
    }

    /// Also taken from the pipeline.
    #[must_use]
    pub fn from_pipeline(mut self) -> Self {
        self.uses.iter_mut().for_each(|u| u.from_pipeline = true);
        self
    }

    fn in_set(&self, set: &str) -> Option<&Use> {
        self.uses.iter().find(|u| u.set.is_empty() || u.set == set)
    }
}

/// A cmdlet's declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// For example `Set-CsPersistentChatState`.
    pub name: &'static str,
    /// The class, last part of every fully qualified error id of this cmdlet.
    pub class: &'static str,
    /// Set names; one empty name when there is only one set.
    pub sets: &'static [&'static str],
    /// Taken when several sets fit.
    pub default_set: Option<&'static str>,
    /// Own parameters.
    pub parameters: Vec<Parameter>,
    /// Knows `-WhatIf` and `-Confirm`.
    pub should_process: bool,
    /// Asks before it acts, unless `-Confirm:$false`.
    pub high_impact: bool,
}

/// Parameters that every cmdlet has. Source: "about_CommonParameters".
fn common(signature: &Signature) -> Vec<Parameter> {
    const ACTIONS: &[&str] = &["SilentlyContinue", "Stop", "Continue", "Inquire", "Ignore"];
    let action = Kind::Enum("System.Management.Automation.ActionPreference", ACTIONS);
    let mut list = vec![
        Parameter::new("Verbose", Kind::Switch),
        Parameter::new("Debug", Kind::Switch),
        Parameter::new("ErrorAction", action),
        Parameter::new("WarningAction", action),
        Parameter::new("InformationAction", action),
        Parameter::new("ErrorVariable", Kind::Text),
        Parameter::new("WarningVariable", Kind::Text),
        Parameter::new("OutVariable", Kind::Text),
        Parameter::new("OutBuffer", Kind::Integer),
        Parameter::new("PipelineVariable", Kind::Text),
    ];
    if signature.should_process {
        list.push(Parameter::new("WhatIf", Kind::Switch));
        list.push(Parameter::new("Confirm", Kind::Switch));
    }
    list
}

const ALIASES: &[(&str, &str)] = &[
    ("ea", "ErrorAction"),
    ("wa", "WarningAction"),
    ("vb", "Verbose"),
    ("wi", "WhatIf"),
    ("cf", "Confirm"),
];

/// An argument with its value computed.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// `-Name`, or `-Name:value`.
    Parameter(String, Option<Value>),
    /// A value.
    Value(Value),
}

/// Bound arguments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Bound {
    /// The chosen set.
    pub set: &'static str,
    values: BTreeMap<&'static str, Value>,
    /// The parameter that takes the pipeline's objects.
    pub pipeline_parameter: Option<&'static str>,
}

impl Bound {
    /// A bound value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The same call for one object of the pipeline.
    #[must_use]
    pub fn with_pipeline_object(&self, object: Value) -> Bound {
        let mut bound = self.clone();
        if let Some(name) = self.pipeline_parameter {
            bound.values.insert(name, object);
        }
        bound
    }

    /// Whether a parameter was bound.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A switch's state; `false` when it was not given.
    pub fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::is_true)
    }

    /// A value as text; empty when it was not given.
    pub fn text(&self, name: &str) -> String {
        self.get(name).map(Value::text).unwrap_or_default()
    }
}

fn failure(signature: &Signature, id: &str, message: String) -> ErrorRecord {
    let mut record = ErrorRecord::new(
        "InvalidArgument",
        "ParameterBindingException",
        &format!("{id},{}", signature.class),
        message,
    );
    record.activity = signature.name.to_owned();
    record
}

fn resolve<'a>(
    signature: &Signature,
    all: &'a [Parameter],
    name: &str,
) -> Result<&'a Parameter, ErrorRecord> {
    let alias = ALIASES
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
        .map_or(name, |(_, full)| full);
    if let Some(exact) = all.iter().find(|p| p.name.eq_ignore_ascii_case(alias)) {
        return Ok(exact);
    }
    let lower = name.to_lowercase();
    let fitting: Vec<&Parameter> =
        all.iter().filter(|p| p.name.to_lowercase().starts_with(&lower)).collect();
    match fitting.as_slice() {
        [one] => Ok(one),
        [] => Err(failure(
            signature,
            "NamedParameterNotFound",
            format!("A parameter cannot be found that matches parameter name '{name}'."),
        )),
        several => {
            let names: Vec<String> = several.iter().map(|p| format!("-{}", p.name)).collect();
            Err(failure(
                signature,
                "AmbiguousParameter",
                format!(
                    "The parameter name '{name}' is ambiguous. Possible matches: {}.",
                    names.join(" ")
                ),
            ))
        }
    }
}

/// Binds arguments to the parameters of a cmdlet.
///
/// # Errors
///
/// `NamedParameterNotFound`, `AmbiguousParameter`, `ParameterAlreadyBound`, `MissingArgument`,
/// `PositionalParameterNotFound`, `AmbiguousParameterSet`, `MissingMandatoryParameter`,
/// `InputObjectNotBound`, `CannotConvertArgument…`, `ParameterArgumentValidationError…`.
pub fn bind(
    signature: &Signature,
    given: Vec<Given>,
    has_pipeline_input: bool,
) -> Result<Bound, ErrorRecord> {
    let mut all = signature.parameters.clone();
    all.extend(common(signature));
    let mut raw: BTreeMap<&'static str, Value> = BTreeMap::new();
    let mut positional = Vec::new();
    let mut rest = given.into_iter().peekable();
    while let Some(argument) = rest.next() {
        match argument {
            Given::Value(value) => positional.push(value),
            Given::Parameter(name, attached) => {
                let parameter = resolve(signature, &all, &name)?;
                let value = match (parameter.kind, attached) {
                    (_, Some(value)) => value,
                    (Kind::Switch, None) => Value::Bool(true),
                    (_, None) => match rest.next_if(|next| matches!(next, Given::Value(_))) {
                        Some(Given::Value(value)) => value,
                        _ => {
                            return Err(failure(
                                signature,
                                "MissingArgument",
                                format!("Missing an argument for parameter '{}'.", parameter.name),
                            ));
                        }
                    },
                };
                if raw.insert(parameter.name, value).is_some() {
                    return Err(failure(
                        signature,
                        "ParameterAlreadyBound",
                        format!(
                            "Cannot bind parameter because parameter '{}' is specified more than \
                             once.",
                            parameter.name
                        ),
                    ));
                }
            }
        }
    }

    let mut candidates: Vec<&'static str> = signature.sets.to_vec();
    let narrow = |candidates: &mut Vec<&'static str>, parameter: &Parameter| {
        candidates.retain(|set| parameter.in_set(set).is_some());
        if candidates.is_empty() {
            return Err(ambiguous_set(signature));
        }
        Ok(())
    };
    for parameter in all.iter().filter(|p| raw.contains_key(p.name)) {
        narrow(&mut candidates, parameter)?;
    }

    for value in positional {
        let mut free: Vec<(u32, &Parameter)> = all
            .iter()
            .filter(|p| !raw.contains_key(p.name))
            .filter_map(|p| {
                let position =
                    candidates.iter().find_map(|set| p.in_set(set).and_then(|u| u.position))?;
                Some((position, p))
            })
            .collect();
        free.sort_by_key(|(position, _)| *position);
        let Some((_, parameter)) = free.first() else {
            if let Some(parameter) = all.iter().find(|p| p.rest) {
                let mut values =
                    raw.remove(parameter.name).map(Value::enumerate).unwrap_or_default();
                values.push(value);
                raw.insert(parameter.name, Value::array(values));
                continue;
            }
            return Err(failure(
                signature,
                "PositionalParameterNotFound",
                format!(
                    "A positional parameter cannot be found that accepts argument '{}'.",
                    value.text()
                ),
            ));
        };
        raw.insert(parameter.name, value);
        narrow(&mut candidates, parameter)?;
    }

    let mut pipeline_parameter = None;
    if has_pipeline_input {
        let taker = all.iter().find(|p| {
            !raw.contains_key(p.name)
                && candidates.iter().any(|set| p.in_set(set).is_some_and(|u| u.from_pipeline))
        });
        match taker {
            Some(parameter) => {
                candidates.retain(|set| parameter.in_set(set).is_some_and(|u| u.from_pipeline));
                pipeline_parameter = Some(parameter.name);
            }
            None => {
                return Err(failure(
                    signature,
                    "InputObjectNotBound",
                    "The input object cannot be bound to any parameters for the command, because \
                     the command does not take pipeline input."
                        .to_owned(),
                ));
            }
        }
    }

    let missing_in = |set: &str| -> Vec<&'static str> {
        all.iter()
            .filter(|p| p.in_set(set).is_some_and(|u| u.mandatory))
            .map(|p| p.name)
            .filter(|name| !raw.contains_key(name) && pipeline_parameter != Some(*name))
            .collect()
    };
    let complete: Vec<&'static str> =
        candidates.iter().copied().filter(|set| missing_in(set).is_empty()).collect();
    let default = signature.default_set;
    let set = match complete.as_slice() {
        [one] => one,
        [] => {
            let asked = match candidates.as_slice() {
                [one] => one,
                several => match default.filter(|set| several.contains(set)) {
                    Some(set) => set,
                    None => return Err(ambiguous_set(signature)),
                },
            };
            let mut record = failure(
                signature,
                "MissingMandatoryParameter",
                format!(
                    "Cannot process command because of one or more missing mandatory parameters: \
                     {}.",
                    missing_in(asked).join(" ")
                ),
            );
            record.exception = "ParameterBindingException".into();
            return Err(record);
        }
        several => match default.filter(|set| several.contains(set)) {
            Some(set) => set,
            None => return Err(ambiguous_set(signature)),
        },
    };

    let mut values = BTreeMap::new();
    for parameter in &all {
        if let Some(value) = raw.remove(parameter.name) {
            values.insert(parameter.name, convert(signature, parameter, value)?);
        }
    }
    Ok(Bound { set, values, pipeline_parameter })
}

fn ambiguous_set(signature: &Signature) -> ErrorRecord {
    failure(
        signature,
        "AmbiguousParameterSet",
        "Parameter set cannot be resolved using the specified named parameters.".to_owned(),
    )
}

/// Whether a text is a fully qualified domain name (labels of letters, digits, `-` and `_`).
pub fn is_fqdn(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
}

fn convert(
    signature: &Signature,
    parameter: &Parameter,
    value: Value,
) -> Result<Value, ErrorRecord> {
    let refuse = |why: String| {
        failure(
            signature,
            "CannotConvertArgumentNoMessage",
            format!("Cannot bind parameter '{}'. {why}", parameter.name),
        )
    };
    let not_null = |value: Value| {
        if matches!(value, Value::Null) {
            return Err(failure(
                signature,
                "ParameterArgumentValidationErrorNullNotAllowed",
                format!(
                    "Cannot bind argument to parameter '{}' because it is null.",
                    parameter.name
                ),
            ));
        }
        Ok(value)
    };
    let not_empty = |value: Value| {
        let value = not_null(value)?;
        if value.text().is_empty() {
            return Err(failure(
                signature,
                "ParameterArgumentValidationErrorEmptyStringNotAllowed",
                format!(
                    "Cannot bind argument to parameter '{}' because it is an empty string.",
                    parameter.name
                ),
            ));
        }
        Ok(value)
    };
    let fqdn = |value: &Value| match value {
        Value::String(s) if is_fqdn(s) => Ok(Value::string(s)),
        other => Err(refuse(format!(
            "Cannot convert value \"{}\" to type \"Microsoft.Rtc.Management.Deploy.Fqdn\": it is \
             not a fully qualified domain name.",
            other.text()
        ))),
    };
    match parameter.kind {
        Kind::Any => Ok(value),
        Kind::Text => match not_empty(value)? {
            Value::Array(_) => Err(refuse(
                "Cannot convert 'System.Object[]' to the type 'System.String'.".to_owned(),
            )),
            other => Ok(Value::string(other.text())),
        },
        Kind::Fqdn => fqdn(&not_empty(value)?),
        Kind::Switch | Kind::Bool => match value {
            Value::Bool(_) | Value::Integer(_) => Ok(Value::Bool(value.is_true())),
            other => Err(refuse(format!(
                "Cannot convert value \"{}\" to type \"System.Boolean\". Boolean parameters \
                 accept only Boolean values and numbers, such as $True, $False, 1 or 0.",
                other.text()
            ))),
        },
        Kind::Integer => {
            ops::integer(&value).map(Value::Integer).map_err(|why| refuse(why.message))
        }
        Kind::Texts => Ok(Value::array(
            not_null(value)?.enumerate().iter().map(|v| Value::string(v.text())).collect(),
        )),
        Kind::Hash => match not_null(value)? {
            hash @ Value::Hash(_) => Ok(hash),
            other => Err(refuse(format!(
                "Cannot convert the \"{}\" value to type \"System.Collections.Hashtable\".",
                other.text()
            ))),
        },
        Kind::Block => match value {
            block @ Value::ScriptBlock(_) => Ok(block),
            other => Err(refuse(format!(
                "Cannot convert the \"{}\" value to type \
                 \"System.Management.Automation.ScriptBlock\".",
                other.text()
            ))),
        },
        Kind::Enum(type_name, members) => {
            let text = not_null(value)?.text();
            let lower = text.to_lowercase();
            let fitting: Vec<&&str> =
                members.iter().filter(|m| m.eq_ignore_ascii_case(&text)).collect();
            let by_start: Vec<&&str> = members
                .iter()
                .filter(|m| !lower.is_empty() && m.to_lowercase().starts_with(&lower))
                .collect();
            match (fitting.as_slice(), by_start.as_slice()) {
                ([one], _) | ([], [one]) => Ok(Value::string(one)),
                _ => Err(refuse(format!(
                    "Cannot convert value \"{text}\" to type \"{type_name}\": the identifier name \
                     cannot be matched to a valid enumerator name. The possible values are: {}.",
                    members.join(", ")
                ))),
            }
        }
        Kind::FqdnListModifier => match value {
            Value::Null => Ok(Value::Null),
            Value::Hash(entries) => {
                let mut checked = Vec::new();
                for (key, list) in entries.iter() {
                    let name = key.text();
                    let Some(known) =
                        ["Add", "Remove", "Replace"].iter().find(|k| k.eq_ignore_ascii_case(&name))
                    else {
                        return Err(refuse(format!(
                            "The key '{name}' is not valid in a list modifier; the valid keys are \
                             Add, Remove and Replace."
                        )));
                    };
                    let list = list.clone().enumerate();
                    let fqdns: Result<Vec<Value>, ErrorRecord> = list.iter().map(fqdn).collect();
                    checked.push((Value::string(known), Value::array(fqdns?)));
                }
                Ok(Value::Hash(std::sync::Arc::new(checked)))
            }
            list => {
                let list = list.enumerate();
                let fqdns: Result<Vec<Value>, ErrorRecord> = list.iter().map(fqdn).collect();
                Ok(Value::Hash(std::sync::Arc::new(vec![(
                    Value::string("Replace"),
                    Value::array(fqdns?),
                )])))
            }
        },
    }
}
