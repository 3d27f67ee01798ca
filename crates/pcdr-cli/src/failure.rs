//! Why a command ended without its result, and how that is told to people and to programs.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};
use pcdr_core::topology::{Place, Violation, Violations};
use pcdr_core::{InstanceError, Refusal};
use serde::Serialize;
use serde_json::Value;

use crate::views::{ErrorBody, FailureDocument, RefusalBody};

/// Why a command ended without its result.
#[derive(Debug)]
pub enum Failure {
    /// Exit status 2: the call cannot be right whatever the world is like.
    Usage(Trouble),
    /// Exit status 2: the topology breaks rules.
    Topology {
        /// The file as it was named.
        file: String,
        /// Its text.
        text: String,
        /// What is wrong, all of it.
        violations: Violations,
    },
    /// Exit status 3: the reasoned "no".
    Refused(Box<Refusal>),
    /// Exit status 1: the world.
    Failed(Trouble),
    /// Nobody reads standard output any more: end quietly.
    OutputClosed,
}

/// An error with what to do about it.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// Stable, to branch on.
    pub code: String,
    /// What was needed and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// More for programs.
    pub details: Value,
}

impl Trouble {
    /// An error.
    pub fn new(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Trouble {
        Trouble {
            code: code.into(),
            message: message.into(),
            remedy: remedy.into(),
            details: Value::Null,
        }
    }
}

impl Trouble {
    /// Whether a step of a run failed, rather than something before the first one.
    pub fn is_of_a_step(&self) -> bool {
        self.details.get("step").is_some()
    }
}

impl Failure {
    /// An error of the world.
    pub fn failed(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Failure {
        Failure::Failed(Trouble::new(code, message, remedy))
    }

    /// A call that cannot be right.
    pub fn usage(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Failure {
        Failure::Usage(Trouble::new(code, message, remedy))
    }

    /// A file that cannot be read or written.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
        Failure::failed(
            "file",
            format!("{} was needed to {doing}, but: {error}", path.display()),
            "Check that the path is right and that you may use it.",
        )
    }

    /// The process's exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            Failure::OutputClosed => 0,
            Failure::Failed(_) => 1,
            Failure::Usage(_) | Failure::Topology { .. } => 2,
            Failure::Refused(_) => 3,
        }
    }

    /// The JSON form.
    pub fn document(&self) -> FailureDocument {
        match self {
            Failure::Usage(trouble) | Failure::Failed(trouble) => FailureDocument::error(trouble),
            Failure::Topology { file, violations, .. } => FailureDocument {
                error: Some(ErrorBody {
                    code: "invalid_topology".into(),
                    message: summary(file, violations),
                    remedy: "Do what each violation says, then validate again.".into(),
                    details: serde_json::to_value(&violations.0).unwrap_or(Value::Null),
                }),
                refusal: None,
            },
            Failure::Refused(refusal) => {
                let way_out = refusal.way_out();
                FailureDocument {
                    error: None,
                    refusal: Some(RefusalBody {
                        code: refusal.code().into(),
                        message: refusal.to_string(),
                        remedy: refusal.remedy(),
                        consent: way_out.as_ref().map(|(consent, _)| consent.to_string()),
                        price: way_out.map(|(_, price)| price),
                        details: serde_json::to_value(refusal).unwrap_or(Value::Null),
                    }),
                }
            }
            Failure::OutputClosed => FailureDocument { error: None, refusal: None },
        }
    }

    /// What was needed and what was found, in one sentence.
    pub fn message(&self) -> String {
        match self {
            Failure::Usage(trouble) | Failure::Failed(trouble) => trouble.message.clone(),
            Failure::Topology { file, violations, .. } => summary(file, violations),
            Failure::Refused(refusal) => refusal.to_string(),
            Failure::OutputClosed => String::new(),
        }
    }

    /// The form for people.
    pub fn text(&self, is_terminal: bool) -> String {
        let mut shown = match self {
            Failure::OutputClosed => return String::new(),
            Failure::Usage(trouble) | Failure::Failed(trouble) => Shown::of(trouble),
            Failure::Refused(refusal) => Shown::refusal(refusal),
            Failure::Topology { file, text, violations } => Shown::topology(file, text, violations),
        };
        if let Failure::Refused(_) = self {
            shown.message = format!("refused: {}", shown.message);
        }
        let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let theme =
            if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(100);
        let mut text = String::new();
        match handler.render_report(&mut text, &shown) {
            Ok(()) => text,
            Err(fmt::Error) => shown.to_string(),
        }
    }
}

fn summary(file: &str, violations: &Violations) -> String {
    let count = violations.0.len();
    let rules = if count == 1 { "rule" } else { "rules" };
    format!("{file} was needed to be a valid topology, but it breaks {count} {rules}")
}

impl From<InstanceError> for Failure {
    fn from(error: InstanceError) -> Failure {
        #[derive(Serialize)]
        struct Details<'a> {
            at: &'a str,
            number: Option<i32>,
        }
        let details = Details { at: &error.at, number: error.number };
        Failure::Failed(Trouble {
            code: error.code.as_str().into(),
            message: error.to_string(),
            remedy: error.remedy.clone(),
            details: serde_json::to_value(details).unwrap_or(Value::Null),
        })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(Box::new(refusal))
    }
}

/// What miette renders.
#[derive(Debug)]
struct Shown {
    code: String,
    message: String,
    help: String,
    source: Option<miette::NamedSource<String>>,
    label: Option<LabeledSpan>,
    related: Vec<Shown>,
}

impl Shown {
    fn of(trouble: &Trouble) -> Shown {
        Shown {
            code: trouble.code.clone(),
            message: trouble.message.clone(),
            help: trouble.remedy.clone(),
            source: None,
            label: None,
            related: Vec::new(),
        }
    }

    fn refusal(refusal: &Refusal) -> Shown {
        let mut help = refusal.remedy();
        if let Some((consent, price)) = refusal.way_out() {
            help.push_str(&format!("\nWay out: --consent {consent}, at the price of: {price}."));
        }
        let message = refusal.to_string();
        Shown::of(&Trouble::new(refusal.code(), message, help))
    }

    fn topology(file: &str, text: &str, violations: &Violations) -> Shown {
        let help = "Do what each violation says, then validate again.";
        let mut shown =
            Shown::of(&Trouble::new("invalid_topology", summary(file, violations), help));
        let shown_text = without_secrets(text, violations);
        shown.related =
            violations.0.iter().map(|v| Shown::violation(file, &shown_text, v)).collect();
        shown
    }

    fn violation(file: &str, text: &str, violation: &Violation) -> Shown {
        let place = violation.place;
        let mut help = violation.remedy.clone();
        if !violation.source.is_empty() {
            help.push_str(&format!("\nSource: {}", violation.source));
        }
        let message = format!("{file}:{}:{}: {}", place.line, place.column, violation.message);
        let mut shown = Shown::of(&Trouble::new(violation.code, message, help));
        // A line that speaks of a secret is not shown.
        if violation.excerpt(text).is_some_and(|line| !line.trim().is_empty()) {
            let (start, end) = violation.span;
            let end = end.max(start).min(text.len());
            shown.source = Some(miette::NamedSource::new(file, text.to_owned()));
            shown.label = Some(LabeledSpan::new(
                Some("here".to_owned()),
                start.min(end),
                end - start.min(end),
            ));
        }
        shown
    }
}

/// The text with every line blanked that is beside no violation or that speaks of a secret; lengths
/// stay, so that spans stay right.
fn without_secrets(text: &str, violations: &Violations) -> String {
    let lines: BTreeSet<usize> = violations
        .0
        .iter()
        .flat_map(|violation| violation.place.line.saturating_sub(1)..=violation.place.line + 1)
        .collect();
    let Some(any) = violations.0.first() else { return String::new() };
    let is_harmless = |number: usize, line: &str| {
        let place = Place { line: 1, column: 1 };
        let here = Violation { code: "", place, ..any.clone() };
        lines.contains(&number) && here.excerpt(line).is_some()
    };
    text.split_inclusive('\n')
        .zip(1..)
        .map(|(line, number)| {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            let content = &line[..line.len() - end.len()];
            let shown = if is_harmless(number, content) {
                content.to_owned()
            } else {
                " ".repeat(content.len())
            };
            shown + end
        })
        .collect()
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(&self.code))
    }

    fn help(&self) -> Option<Box<dyn fmt::Display + '_>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = self.label.clone()?;
        Some(Box::new(std::iter::once(label)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|shown| shown as &dyn Diagnostic)))
    }
}
