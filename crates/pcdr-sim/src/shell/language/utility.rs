//! Cmdlets of the language's own modules: Select-Object, Where-Object, ConvertTo-Json and others.

use std::sync::Arc;

use super::ast::Block;
use super::binder::{Bound, Kind, Parameter, Signature};
use super::eval::{Interpreter, Later};
use super::failure::{ErrorRecord, Flow};
use super::json;
use super::ops;
use super::value::{Object, Value};

const ALIASES: &[(&str, &str)] = &[
    ("select", "Select-Object"),
    ("where", "Where-Object"),
    ("?", "Where-Object"),
    ("foreach", "ForEach-Object"),
    ("%", "ForEach-Object"),
    ("echo", "Write-Output"),
    ("write", "Write-Output"),
    ("measure", "Measure-Object"),
    ("sort", "Sort-Object"),
    ("ipmo", "Import-Module"),
];

/// Modules that hold the product's cmdlets.
const MODULES: &[&str] = &["Lync", "SkypeForBusiness"];

/// The declaration of a utility cmdlet.
pub fn signature(name: &str) -> Option<Signature> {
    let name = ALIASES
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(name))
        .map_or(name, |(_, full)| full);
    let input = || Parameter::new("InputObject", Kind::Any).from_pipeline();
    let make = |name: &'static str, class: &'static str, parameters: Vec<Parameter>| Signature {
        name,
        class,
        sets: &[""],
        default_set: None,
        parameters,
        should_process: false,
        high_impact: false,
    };
    let known = match name.to_lowercase().as_str() {
        "select-object" => make(
            "Select-Object",
            "Microsoft.PowerShell.Commands.SelectObjectCommand",
            vec![
                input(),
                Parameter::new("Property", Kind::Any).at(0),
                Parameter::new("ExpandProperty", Kind::Text),
                Parameter::new("First", Kind::Integer),
                Parameter::new("Last", Kind::Integer),
            ],
        ),
        "where-object" => make(
            "Where-Object",
            "Microsoft.PowerShell.Commands.WhereObjectCommand",
            vec![input(), Parameter::new("FilterScript", Kind::Block).at(0).mandatory()],
        ),
        "foreach-object" => make(
            "ForEach-Object",
            "Microsoft.PowerShell.Commands.ForEachObjectCommand",
            vec![input(), Parameter::new("Process", Kind::Block).at(0).mandatory()],
        ),
        "sort-object" => make(
            "Sort-Object",
            "Microsoft.PowerShell.Commands.SortObjectCommand",
            vec![
                input(),
                Parameter::new("Property", Kind::Text).at(0),
                Parameter::new("Descending", Kind::Switch),
            ],
        ),
        "measure-object" => make(
            "Measure-Object",
            "Microsoft.PowerShell.Commands.MeasureObjectCommand",
            vec![input()],
        ),
        "convertto-json" => make(
            "ConvertTo-Json",
            "Microsoft.PowerShell.Commands.ConvertToJsonCommand",
            vec![
                input().at(0).mandatory(),
                Parameter::new("Depth", Kind::Integer),
                Parameter::new("Compress", Kind::Switch),
            ],
        ),
        "out-null" => {
            make("Out-Null", "Microsoft.PowerShell.Commands.OutNullCommand", vec![input()])
        }
        "out-string" => make(
            "Out-String",
            "Microsoft.PowerShell.Commands.OutStringCommand",
            vec![input(), Parameter::new("Width", Kind::Integer)],
        ),
        "write-output" => make(
            "Write-Output",
            "Microsoft.PowerShell.Commands.WriteOutputCommand",
            vec![input().at(0).mandatory(), Parameter::new("NoEnumerate", Kind::Switch)],
        ),
        "write-host" => make(
            "Write-Host",
            "Microsoft.PowerShell.Commands.WriteHostCommand",
            vec![
                Parameter::new("Object", Kind::Any).at(0).from_pipeline().rest(),
                Parameter::new("NoNewline", Kind::Switch),
                Parameter::new("ForegroundColor", Kind::Text),
                Parameter::new("BackgroundColor", Kind::Text),
            ],
        ),
        "write-warning" | "write-verbose" | "write-error" => {
            let (name, class) = match name.to_lowercase().as_str() {
                "write-warning" => {
                    ("Write-Warning", "Microsoft.PowerShell.Commands.WriteWarningCommand")
                }
                "write-verbose" => {
                    ("Write-Verbose", "Microsoft.PowerShell.Commands.WriteVerboseCommand")
                }
                _ => ("Write-Error", "Microsoft.PowerShell.Commands.WriteErrorException"),
            };
            make(
                name,
                class,
                vec![Parameter::new("Message", Kind::Text).at(0).from_pipeline().mandatory()],
            )
        }
        "get-date" => make(
            "Get-Date",
            "Microsoft.PowerShell.Commands.GetDateCommand",
            vec![Parameter::new("Format", Kind::Text), Parameter::new("Date", Kind::Any).at(0)],
        ),
        "import-module" => make(
            "Import-Module",
            "Microsoft.PowerShell.Commands.ImportModuleCommand",
            vec![
                Parameter::new("Name", Kind::Texts).at(0).mandatory(),
                Parameter::new("Force", Kind::Switch),
                Parameter::new("DisableNameChecking", Kind::Switch),
            ],
        ),
        "start-sleep" => make(
            "Start-Sleep",
            "Microsoft.PowerShell.Commands.StartSleepCommand",
            vec![
                Parameter::new("Seconds", Kind::Integer).at(0),
                Parameter::new("Milliseconds", Kind::Integer),
            ],
        ),
        _ => return None,
    };
    Some(known)
}

/// Runs a utility cmdlet.
pub(super) fn invoke<'a>(
    shell: &'a mut Interpreter,
    signature: &'a Signature,
    bound: &'a Bound,
    input: Option<Vec<Value>>,
) -> Later<'a, Vec<Value>> {
    Box::pin(async move {
        let given = |name: &str| bound.get(name).cloned();
        let objects = match (input, given("InputObject")) {
            (Some(input), _) => input,
            (None, Some(value)) => vec![value],
            (None, None) => Vec::new(),
        };
        let count = |name: &str| given(name).and_then(|v| ops::integer(&v).ok());
        match signature.name {
            "Select-Object" => select(shell, bound, objects).await,
            "Where-Object" => {
                let block = block_of(bound, "FilterScript");
                let mut kept = Vec::new();
                for object in objects {
                    let verdict = shell.run_for(&block, object.clone()).await?;
                    if Value::collect(verdict).is_true() {
                        kept.push(object);
                    }
                }
                Ok(kept)
            }
            "ForEach-Object" => {
                let block = block_of(bound, "Process");
                let mut all = Vec::new();
                for object in objects {
                    all.extend(shell.run_for(&block, object).await?);
                }
                Ok(all)
            }
            "Sort-Object" => {
                let mut objects = objects;
                let key = |value: &Value| match given("Property") {
                    Some(name) => value
                        .property(&name.text())
                        .map(|v| v.text())
                        .unwrap_or_default()
                        .to_lowercase(),
                    None => value.text().to_lowercase(),
                };
                objects.sort_by_key(key);
                if bound.switch("Descending") {
                    objects.reverse();
                }
                Ok(objects)
            }
            "Measure-Object" => Ok(vec![Value::object(
                "Microsoft.PowerShell.Commands.GenericMeasureInfo",
                vec![("Count", Value::Integer(objects.len() as i64))],
            )]),
            "ConvertTo-Json" => {
                let depth = count("Depth").unwrap_or(2);
                let Some(depth) = u32::try_from(depth).ok().filter(|d| (1..=100).contains(d))
                else {
                    return Err(ErrorRecord::new(
                        "InvalidData",
                        "ParameterBindingValidationException",
                        &format!("ParameterArgumentValidationError,{}", signature.class),
                        format!("The depth {depth} is outside of 1 to 100."),
                    )
                    .into());
                };
                let compress = bound.switch("Compress");
                let value = match objects.len() {
                    0 => return Ok(Vec::new()),
                    1 => objects.into_iter().next().unwrap_or(Value::Null),
                    _ => Value::array(objects),
                };
                Ok(vec![Value::string(json::to_json(&value, depth, compress))])
            }
            "Out-Null" => Ok(Vec::new()),
            "Out-String" => {
                let mut host = crate::shell::host::Host::default();
                objects.iter().for_each(|object| host.show(object));
                Ok(vec![Value::string(host.stdout)])
            }
            "Write-Output" => {
                if bound.switch("NoEnumerate") {
                    return Ok(objects);
                }
                Ok(objects.into_iter().flat_map(Value::enumerate).collect())
            }
            "Write-Host" => {
                let objects = given("Object").map_or(objects, |value| vec![value]);
                let text: Vec<String> = objects.iter().map(Value::text).collect();
                if bound.switch("NoNewline") {
                    shell.host.stdout.push_str(&text.join(" "));
                } else {
                    shell.host.line(&text.join(" "));
                }
                Ok(Vec::new())
            }
            "Write-Warning" | "Write-Verbose" => {
                let objects = given("Message").map_or(objects, |value| vec![value]);
                for object in objects {
                    if signature.name == "Write-Warning" {
                        shell.host.warning(&object.text());
                    } else {
                        shell.host.verbose(&object.text());
                    }
                }
                Ok(Vec::new())
            }
            "Write-Error" => {
                let message = given("Message").map_or_else(
                    || objects.iter().map(Value::text).collect::<Vec<_>>().join(" "),
                    |value| value.text(),
                );
                Err(ErrorRecord::new(
                    "NotSpecified",
                    "WriteErrorException",
                    signature.class,
                    message,
                )
                .non_terminating()
                .into())
            }
            "Get-Date" => {
                let now = match given("Date") {
                    Some(Value::DateTime(date)) => date,
                    Some(other) => {
                        return Err(ErrorRecord::new(
                            "InvalidArgument",
                            "ParameterBindingException",
                            &format!("CannotConvertArgumentNoMessage,{}", signature.class),
                            format!("'{}' is not a date here.", other.text()),
                        )
                        .into());
                    }
                    None => jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime(),
                };
                Ok(vec![match given("Format").map(|f| f.text()).as_deref() {
                    None => Value::DateTime(now),
                    Some("o" | "s") => Value::string(now.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
                    Some(other) => {
                        return Err(ErrorRecord::runtime(
                            "FormatNotSupported",
                            format!("The date format '{other}' is not supported by this shell."),
                        )
                        .into());
                    }
                }])
            }
            "Import-Module" => {
                for name in given("Name").unwrap_or(Value::Null).enumerate() {
                    let name = name.text();
                    if !MODULES.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                        return Err(ErrorRecord::new(
                            "ResourceUnavailable",
                            "FileNotFoundException",
                            &format!("Modules_ModuleNotFound,{}", signature.class),
                            format!(
                                "The specified module '{name}' was not loaded because no valid \
                                 module file was found in any module directory."
                            ),
                        )
                        .about(&name, "String")
                        .non_terminating()
                        .into());
                    }
                }
                Ok(Vec::new())
            }
            "Start-Sleep" => {
                let milliseconds = count("Milliseconds")
                    .unwrap_or_else(|| count("Seconds").unwrap_or(0).saturating_mul(1000));
                let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
                tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
                Ok(Vec::new())
            }
            other => Err(ErrorRecord::runtime(
                "CommandNotFoundException",
                format!("'{other}' is not available."),
            )
            .into()),
        }
    })
}

fn block_of(bound: &Bound, name: &str) -> Arc<Block> {
    match bound.get(name) {
        Some(Value::ScriptBlock(block)) => Arc::clone(block),
        _ => Arc::default(),
    }
}

/// A property to select: its name, or how it is computed.
enum Selected {
    Named(String),
    Computed(String, Arc<Block>),
}

fn selected(value: &Value) -> Result<Selected, ErrorRecord> {
    let Value::Hash(entries) = value else {
        return Ok(Selected::Named(value.text()));
    };
    let (mut name, mut expression) = (None, None);
    for (key, value) in entries.iter() {
        let key = key.text().to_lowercase();
        if !key.is_empty() && ("name".starts_with(&key) || "label".starts_with(&key)) {
            name = Some(value.text());
        } else if !key.is_empty() && "expression".starts_with(&key) {
            expression = Some(value.clone());
        } else {
            return Err(ErrorRecord::new(
                "InvalidArgument",
                "NotSupportedException",
                "DictionaryKeyIllegal,Microsoft.PowerShell.Commands.SelectObjectCommand",
                format!("The key '{key}' is not valid in a calculated property."),
            ));
        }
    }
    match (name, expression) {
        (Some(name), Some(Value::ScriptBlock(block))) => Ok(Selected::Computed(name, block)),
        (None, Some(Value::ScriptBlock(block))) => Ok(Selected::Computed(String::new(), block)),
        (_, Some(other)) => Ok(Selected::Named(other.text())),
        _ => Err(ErrorRecord::new(
            "InvalidArgument",
            "NotSupportedException",
            "DictionaryKeyMandatoryEntry,Microsoft.PowerShell.Commands.SelectObjectCommand",
            "A calculated property needs an expression.",
        )),
    }
}

async fn select(
    shell: &mut Interpreter,
    bound: &Bound,
    objects: Vec<Value>,
) -> Result<Vec<Value>, Flow> {
    let mut objects = objects;
    let limit = |name: &str| {
        bound.get(name).and_then(|v| ops::integer(v).ok()).map(|n| usize::try_from(n).unwrap_or(0))
    };
    if let Some(first) = limit("First") {
        objects.truncate(first);
    }
    if let Some(last) = limit("Last") {
        let skip = objects.len().saturating_sub(last);
        objects.drain(..skip);
    }
    if let Some(name) = bound.get("ExpandProperty") {
        let name = name.text();
        let mut all = Vec::new();
        for object in objects {
            match object.property(&name) {
                Some(value) => all.extend(value.enumerate()),
                None => {
                    return Err(ErrorRecord::new(
                        "InvalidArgument",
                        "PSArgumentException",
                        "ExpandPropertyNotFound,Microsoft.PowerShell.Commands.SelectObjectCommand",
                        format!("Property \"{name}\" cannot be found."),
                    )
                    .non_terminating()
                    .into());
                }
            }
        }
        return Ok(all);
    }
    let Some(property) = bound.get("Property") else {
        return Ok(objects);
    };
    let wanted: Result<Vec<Selected>, ErrorRecord> =
        property.clone().enumerate().iter().map(selected).collect();
    let wanted = wanted?;
    let mut all = Vec::new();
    for object in objects {
        let mut properties: Vec<(String, Value)> = Vec::new();
        for one in &wanted {
            match one {
                Selected::Named(pattern) if pattern.contains('*') => {
                    if let Value::Object(source) = &object {
                        let fitting =
                            source.properties.iter().filter(|(name, _)| ops::like(name, pattern));
                        properties.extend(fitting.cloned());
                    }
                }
                Selected::Named(name) => {
                    let value = object.property(name).unwrap_or(Value::Null);
                    properties.push((name.clone(), value));
                }
                Selected::Computed(name, block) => {
                    // Errors inside of a calculated property give null, as in the original.
                    let values = shell.run_quietly_for(block, object.clone()).await?;
                    let value = Value::collect(values);
                    properties.push((name.clone(), value));
                }
            }
        }
        all.push(Value::Object(Arc::new(Object {
            type_name: "Selected.System.Management.Automation.PSCustomObject".into(),
            properties,
        })));
    }
    Ok(all)
}
