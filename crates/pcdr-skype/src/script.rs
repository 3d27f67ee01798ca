//! The envelope of every script, and the way back from its output to values.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ShellError, ShellErrorKind};
use crate::quote::quote;
use crate::transport::Output;

/// How much of what the shell printed goes into an error message, in characters.
const SHOWN: usize = 2000;

/// A script with the marker that its answer stands between.
#[derive(Debug, Clone)]
pub struct Script {
    text: String,
    marker: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Result { result: Value },
    Error { id: String, category: String, cmdlet: String, message: String },
}

impl Script {
    /// A script that runs `body` (statements, one line) and prints its objects as JSON. Values in the
    /// body must come from [`quote`].
    ///
    /// Banners, warnings and other output before and after do not matter: the answer stands between
    /// two lines with a marker that no other run has.
    pub fn new(module: Option<&str>, body: &str) -> Script {
        let marker = format!("pcdr-{}", uuid::Uuid::new_v4().simple());
        let import = module
            .map_or_else(String::new, |name| format!("Import-Module -Name {}; ", quote(name)));
        let answer = |what: &str| {
            format!(
                "Write-Output '<{marker}>'; ConvertTo-Json -Compress -Depth 6 -InputObject \
                 @{{{what}}}; Write-Output '</{marker}>'"
            )
        };
        let good = answer("result=$pcdrResult");
        let bad = answer(
            "id=\"$($_.FullyQualifiedErrorId)\"; category=\"$($_.CategoryInfo.Category)\"; \
             cmdlet=\"$($_.CategoryInfo.Activity)\"; message=\"$($_.Exception.Message)\"",
        );
        // The empty line completes the input of `-Command -` in every version.
        let text = format!(
            "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; try {{ \
             {import}$pcdrResult = @({body}); {good}; exit 0 }} catch {{ {bad}; exit 1 }}\n\n"
        );
        Script { text, marker }
    }

    /// What is sent to the shell.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The objects that the body gave.
    ///
    /// # Errors
    ///
    /// The cmdlet's own error; `NoAnswer` when the markers are missing; `UnexpectedAnswer` when
    /// what stands between them is not of the expected form.
    pub fn read<T: DeserializeOwned>(&self, output: &Output) -> Result<Vec<T>, ShellError> {
        let answer = self.between(&output.stdout).ok_or_else(|| {
            let said =
                if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
            let said: String = said.trim().chars().take(SHOWN).collect();
            ShellError::own(
                ShellErrorKind::NoAnswer,
                format!(
                    "the script's answer was needed, but the shell ended with exit code {} \
                     without it and said: {}",
                    output.exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string()),
                    if said.is_empty() { "nothing" } else { &said }
                ),
            )
        })?;
        let unexpected = |why: String| {
            let shown: String = answer.chars().take(SHOWN).collect();
            ShellError::own(
                ShellErrorKind::UnexpectedAnswer,
                format!("{why}; the answer was: {shown}"),
            )
        };
        match serde_json::from_str(&answer).map_err(|why| unexpected(why.to_string()))? {
            Answer::Error { id, category, cmdlet, message } => {
                Err(ShellError::from_record(id, &category, cmdlet, message))
            }
            Answer::Result { result } => objects(result)
                .into_iter()
                .map(|object| serde_json::from_value(object).map_err(|e| unexpected(e.to_string())))
                .collect(),
        }
    }

    /// The text between the markers. Line ends in it can only come from a console that wraps long
    /// lines: in compressed JSON every line end is escaped.
    fn between(&self, stdout: &str) -> Option<String> {
        let (_, rest) = stdout.split_once(&format!("<{}>", self.marker))?;
        let (answer, _) = rest.split_once(&format!("</{}>", self.marker))?;
        Some(answer.replace(['\r', '\n'], ""))
    }
}

/// The elements of a JSON list. Windows PowerShell sometimes writes an array as an object with the
/// members `value` and `Count`, because of type data that it adds to arrays.
fn objects(result: Value) -> Vec<Value> {
    match result {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        Value::Object(mut members)
            if members.len() == 2
                && members.contains_key("Count")
                && members.get("value").is_some_and(Value::is_array) =>
        {
            members.remove("value").map(objects).unwrap_or_default()
        }
        one => vec![one],
    }
}
