//! Error records, as the shell shows them and as scripts read them.

use super::ast::Position;
use super::value::{Object, Value};
use std::sync::Arc;

/// An error.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRecord {
    /// What `$_.Exception.Message` gives.
    pub message: String,
    /// For example `InvalidArgument`.
    pub category: String,
    /// Short name of the exception's type.
    pub exception: String,
    /// For example `NamedParameterNotFound,Microsoft.Rtc.Management.…`.
    pub fully_qualified_error_id: String,
    /// The cmdlet that raised it; empty outside of a cmdlet.
    pub activity: String,
    /// What it was about.
    pub target: String,
    /// Type of the target.
    pub target_type: String,
    /// Ends the statement whatever `$ErrorActionPreference` says.
    pub terminating: bool,
    /// Where.
    pub position: Position,
    /// The text of the command there.
    pub source_text: String,
}

impl ErrorRecord {
    /// An error with an identifier, not tied to a cmdlet yet.
    pub fn new(category: &str, exception: &str, id: &str, message: impl Into<String>) -> Self {
        ErrorRecord {
            message: message.into(),
            category: category.to_owned(),
            exception: exception.to_owned(),
            fully_qualified_error_id: id.to_owned(),
            activity: String::new(),
            target: String::new(),
            target_type: String::new(),
            terminating: true,
            position: Position::default(),
            source_text: String::new(),
        }
    }

    /// A run-time error of the language itself.
    pub fn runtime(id: &str, message: impl Into<String>) -> Self {
        ErrorRecord::new("InvalidOperation", "RuntimeException", id, message)
    }

    /// With the thing it is about.
    #[must_use]
    pub fn about(mut self, target: impl Into<String>, target_type: &str) -> Self {
        self.target = target.into();
        self.target_type = target_type.to_owned();
        self
    }

    /// Written with `WriteError`: the script goes on unless its preference is `Stop`.
    #[must_use]
    pub fn non_terminating(mut self) -> Self {
        self.terminating = false;
        self
    }

    /// A property of the record, as scripts read it.
    pub fn property(&self, name: &str) -> Option<Value> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("FullyQualifiedErrorId") {
            Some(Value::string(&self.fully_qualified_error_id))
        } else if is("Exception") {
            Some(Value::Object(Arc::new(Object {
                type_name: self.exception.clone(),
                properties: vec![("Message".to_owned(), Value::string(&self.message))],
            })))
        } else if is("CategoryInfo") {
            Some(Value::object(
                "ErrorCategoryInfo",
                vec![
                    ("Category", Value::enumeration(&self.category, 0)),
                    ("Activity", Value::string(&self.activity)),
                    ("Reason", Value::string(&self.exception)),
                    ("TargetName", Value::string(&self.target)),
                    ("TargetType", Value::string(&self.target_type)),
                ],
            ))
        } else if is("TargetObject") {
            Some(Value::string(&self.target))
        } else if is("InvocationInfo") {
            Some(Value::object(
                "InvocationInfo",
                vec![
                    ("MyCommand", Value::string(&self.activity)),
                    ("ScriptLineNumber", Value::Integer(i64::from(self.position.line))),
                    ("Line", Value::string(&self.source_text)),
                ],
            ))
        } else {
            None
        }
    }

    /// The text on the error stream.
    pub fn render(&self) -> String {
        let mut out = String::new();
        if !self.activity.is_empty() {
            out.push_str(&self.activity);
            out.push_str(" : ");
        }
        out.push_str(&self.message);
        out.push('\n');
        if self.position.line > 0 {
            out.push_str(&format!(
                "At line:{} char:{}\n",
                self.position.line, self.position.column
            ));
            let first_line = self.source_text.lines().next().unwrap_or_default();
            out.push_str(&format!(
                "+ {first_line}\n+ {}\n",
                "~".repeat(first_line.chars().count().max(1))
            ));
        }
        out.push_str(&format!(
            "    + CategoryInfo          : {}: ({}:{}) [{}], {}\n",
            self.category, self.target, self.target_type, self.activity, self.exception
        ));
        out.push_str(&format!(
            "    + FullyQualifiedErrorId : {}\n\n",
            self.fully_qualified_error_id
        ));
        out
    }
}

/// Why the normal order of statements is left.
#[derive(Debug, Clone, PartialEq)]
pub enum Flow {
    /// An error that ends its statement; it looks for a catch block.
    Error(Box<ErrorRecord>),
    /// An error that ends the script (`throw`, or the preference `Stop`), unless caught.
    Fatal(Box<ErrorRecord>),
    /// `exit`.
    Exit(i32),
    /// `return`, with what the block gave.
    Return(Vec<Value>),
}

impl From<ErrorRecord> for Flow {
    fn from(error: ErrorRecord) -> Flow {
        Flow::Error(Box::new(error))
    }
}
