//! The host of a script: where its output goes and where answers to prompts come from.

use std::collections::VecDeque;

use super::language::binder::{Bound, Signature};
use super::language::failure::ErrorRecord;
use super::language::value::Value;

/// Output beyond this many bytes is cut: a script cannot exhaust the memory of the rehearsal.
const LONGEST_OUTPUT: usize = 16 << 20;

/// Output streams and the lines that a person would type.
#[derive(Debug, Default)]
pub struct Host {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Whether prompts may be shown.
    pub interactive: bool,
    /// What will be typed: statements and answers to prompts.
    pub lines: VecDeque<String>,
    /// `-Verbose` is in force.
    pub verbose: bool,
    /// Warnings are not shown.
    pub quiet: bool,
    /// `$ConfirmPreference` is `None`.
    pub never_confirm: bool,
}

/// What the person answered so far in one cmdlet call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Nothing that covers later questions.
    #[default]
    Each,
    /// Yes to all.
    YesToAll,
    /// No to all.
    NoToAll,
}

impl Host {
    /// A line of standard output.
    pub fn line(&mut self, text: &str) {
        if self.stdout.len() + text.len() < LONGEST_OUTPUT {
            self.stdout.push_str(text);
            self.stdout.push('\n');
        }
    }

    /// Text on standard error.
    pub fn error(&mut self, record: &ErrorRecord) {
        let text = record.render();
        if self.stderr.len() + text.len() < LONGEST_OUTPUT {
            self.stderr.push_str(&text);
        }
    }

    /// A warning; with redirected streams it lands on standard output, as in Windows PowerShell.
    pub fn warning(&mut self, text: &str) {
        if !self.quiet {
            self.line(&format!("WARNING: {text}"));
        }
    }

    /// A verbose message.
    pub fn verbose(&mut self, text: &str) {
        if self.verbose {
            self.line(&format!("VERBOSE: {text}"));
        }
    }

    /// Whether a change may be made: `-WhatIf` says no, `-Confirm` asks.
    ///
    /// # Errors
    ///
    /// A prompt is needed and nobody is there to answer it.
    pub fn should_process(
        &mut self,
        signature: &Signature,
        bound: &Bound,
        operation: &str,
        target: &str,
        answer: &mut Answer,
    ) -> Result<bool, ErrorRecord> {
        let what = format!("Performing the operation \"{operation}\" on target \"{target}\".");
        if bound.switch("WhatIf") {
            self.line(&format!("What if: {what}"));
            return Ok(false);
        }
        let ask = match bound.get("Confirm") {
            Some(confirm) => confirm.is_true(),
            None => signature.high_impact && !self.never_confirm,
        };
        match (ask, *answer) {
            (false, _) | (_, Answer::YesToAll) => return Ok(true),
            (_, Answer::NoToAll) => return Ok(false),
            (true, Answer::Each) => {}
        }
        if !self.interactive {
            return Err(not_interactive(signature));
        }
        self.line("Confirm");
        self.line("Are you sure you want to perform this action?");
        self.line(&what);
        loop {
            self.line(
                "[Y] Yes  [A] Yes to All  [N] No  [L] No to All  [S] Suspend  [?] Help (default \
                 is \"Y\"):",
            );
            let Some(typed) = self.lines.pop_front() else {
                return Err(not_interactive(signature));
            };
            match typed.trim().to_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(true),
                "a" | "yes to all" => {
                    *answer = Answer::YesToAll;
                    return Ok(true);
                }
                "n" | "no" => return Ok(false),
                "l" | "no to all" => {
                    *answer = Answer::NoToAll;
                    return Ok(false);
                }
                "?" => {
                    self.line("Y - Continue with only the next step of the operation.");
                    self.line("A - Continue with all the steps of the operation.");
                    self.line("N - Skip this operation and proceed with the next one.");
                    self.line("L - Skip this operation and all that follow.");
                    self.line("S - Pause the current pipeline (not available here).");
                }
                _ => {}
            }
        }
    }

    /// Shows a value the way the shell shows what a pipeline leaves.
    pub fn show(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter().for_each(|item| self.show(item)),
            Value::Object(object) => {
                let width = object
                    .properties
                    .iter()
                    .map(|(name, _)| name.chars().count())
                    .max()
                    .unwrap_or_default();
                self.line("");
                for (name, value) in &object.properties {
                    let text = match value {
                        Value::Array(items) => {
                            let items: Vec<String> = items.iter().map(Value::text).collect();
                            format!("{{{}}}", items.join(", "))
                        }
                        other => other.text(),
                    };
                    self.line(&format!("{name:width$} : {text}"));
                }
                self.line("");
            }
            Value::Hash(entries) => {
                self.line("");
                for (key, value) in entries.iter() {
                    self.line(&format!("{:30} {}", key.text(), value.text()));
                }
                self.line("");
            }
            Value::Error(record) => self.line(&record.render()),
            other => self.line(&other.text()),
        }
    }
}

fn not_interactive(signature: &Signature) -> ErrorRecord {
    let mut record = ErrorRecord::new(
        "InvalidOperation",
        "PSInvalidOperationException",
        &format!("InvalidOperation,{}", signature.class),
        "The shell is in NonInteractive mode: it cannot ask whether to go on. Say -Confirm:$false \
         to go on without a question.",
    );
    record.activity = signature.name.to_owned();
    record
}
