//! The vendor's own T-SQL parser, as a process that is given batches and describes their syntax trees.
//!
//! `cargo xtask tsql` sets it up and runs the tests of this package with [`PROGRAM`] set.

pub mod documented;
pub mod expected;
pub mod hostile;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use serde::Deserialize;

/// The environment variable that names the program which runs the parser.
pub const PROGRAM: &str = "PCDR_TSQL_PARSER";

/// What the parser says about one batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// Why it is not T-SQL; of SQL inside of SQL too.
    pub errors: Vec<ParseError>,
    /// How many batches it is, by the parser's own idea of `GO`.
    pub batches: usize,
    /// ScriptDom's class of each statement at the top.
    pub statements: Vec<String>,
    /// Every identifier and variable, in the order of the tree; so for the literals.
    pub names: Vec<String>,
    /// Values of the string literals, without those that are SQL themselves: their own are here instead.
    pub strings: Vec<String>,
    /// The integer literals, as written.
    pub integers: Vec<String>,
    /// All other literals, as written: NULL, MAX, decimal numbers …
    pub others: Vec<String>,
    /// A hash over the whole tree with its options, but without names and literals.
    pub shape: String,
    /// That tree, with [`Detail::Tree`].
    #[serde(default)]
    pub tree: String,
    /// That tree with its names and literals, with [`Detail::Nodes`].
    #[serde(default)]
    pub nodes: serde_json::Value,
}

/// How much the parser tells of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Its hash.
    Shape,
    /// The tree as text, without names and literals.
    Tree,
    /// The tree as nodes, with them.
    Nodes,
}

/// One error of the parser.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ParseError {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// ScriptDom's number; 0 for dynamic SQL that cannot be read because it is not made of literals.
    pub number: i32,
    /// ScriptDom's words.
    pub message: String,
}

impl Description {
    /// The same tree with other names and strings, each replaced as a whole.
    #[must_use]
    pub fn renamed(&self, rename: impl Fn(&str) -> Option<String>) -> Description {
        let all = |texts: &[String]| {
            texts.iter().map(|text| rename(text).unwrap_or_else(|| text.clone())).collect()
        };
        Description { names: all(&self.names), strings: all(&self.strings), ..self.clone() }
    }
}

/// A running parser.
pub struct Parser {
    process: Child,
    /// The writer has a thread: a reader that waits for it would wait for ever once both pipes are full.
    batches: Option<mpsc::Sender<String>>,
    writer: Option<JoinHandle<io::Result<()>>>,
    answers: BufReader<ChildStdout>,
}

impl Parser {
    /// Starts the parser that [`PROGRAM`] names.
    ///
    /// # Errors
    ///
    /// The variable is not set, or the program cannot be started.
    pub fn start(detail: Detail) -> io::Result<Parser> {
        let program = std::env::var_os(PROGRAM).map(PathBuf::from).ok_or_else(|| {
            io::Error::other(format!("{PROGRAM} is not set. Run: cargo xtask tsql"))
        })?;
        let mut process = Command::new(program)
            .args(match detail {
                Detail::Shape => None,
                Detail::Tree => Some("--tree"),
                Detail::Nodes => Some("--nodes"),
            })
            // The package brings no library for the world's languages, and parsing needs none.
            .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the parser was started without pipes"));
        };
        let (batches, receiver) = mpsc::channel();
        let writer = thread::spawn(move || write(input, &receiver));
        let answers = BufReader::new(output);
        Ok(Parser { process, batches: Some(batches), writer: Some(writer), answers })
    }

    /// Describes batches, in their order.
    ///
    /// # Errors
    ///
    /// The process ended, or said something else.
    pub fn describe<T: Into<String>>(
        &mut self,
        batches: impl IntoIterator<Item = T>,
    ) -> io::Result<Vec<Description>> {
        let mut count = 0;
        for batch in batches {
            let sender = self.batches.as_ref().ok_or_else(ended)?;
            sender.send(batch.into()).map_err(|_| ended())?;
            count += 1;
        }
        let mut line = String::new();
        (0..count)
            .map(|_| {
                line.clear();
                if self.answers.read_line(&mut line)? == 0 {
                    return Err(ended());
                }
                serde_json::from_str(&line).map_err(io::Error::other)
            })
            .collect()
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        // Closing its input ends the process; what it still says must not block it.
        self.batches = None;
        let _read = self.answers.read_to_end(&mut Vec::new());
        if let Some(writer) = self.writer.take() {
            let _written = writer.join();
        }
        let _status = self.process.wait();
    }
}

fn ended() -> io::Error {
    io::Error::other("the parser's process ended before it described every batch")
}

fn write(mut input: ChildStdin, batches: &mpsc::Receiver<String>) -> io::Result<()> {
    for batch in batches {
        let length = i32::try_from(batch.len()).map_err(io::Error::other)?;
        input.write_all(&[&length.to_le_bytes(), batch.as_bytes()].concat())?;
    }
    Ok(())
}

/// The batches of a script, split as its readers do: at every line that is `GO`, wherever it stands.
pub fn split_script(script: &str) -> Vec<String> {
    let mut batches = vec![String::new()];
    for line in script.split_inclusive('\n') {
        if line.trim().eq_ignore_ascii_case("go") {
            batches.push(String::new());
        } else if let Some(batch) = batches.last_mut() {
            batch.push_str(line);
        }
    }
    batches.retain(|batch| !batch.trim().is_empty());
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_go_even_inside_of_a_name() {
        assert_eq!(split_script("SELECT 1;\nGO\nSELECT [a\n go \nb];\nGO\n").len(), 3);
        assert_eq!(split_script("SELECT 1;\n"), ["SELECT 1;\n"]);
    }
}
