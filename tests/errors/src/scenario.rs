//! Scenarios as text.
//!
//! A line at the margin begins a scenario: its number and what happens, or `given NAME` for steps that
//! others begin with. Indented lines are steps; a line that is indented twice goes on with the one above.
//!
//! | Step | Meaning |
//! |---|---|
//! | `given NAME` | the steps of that name |
//! | `SQL1> text` | a batch, in the instance's first session, which is `sa`'s |
//! | `SQL1.b> text` | a batch in another session; `{SQL1.b}` in a text is a session's id |
//! | `start SQL1.b> text` | a batch that goes on beside the next steps |
//! | `end SQL1.b` | its end |
//! | `cancel SQL1.b` | the client gives up on it |
//! | `wait 5` | five seconds pass |
//! | `login SQL1.b user password database` | a session of another login; the database may be left out |
//! | `leave SQL1.b` | the session ends |
//! | `fault …` | something goes wrong in the world, see [`crate::stage`] |
//! | `fails 3101 3013` | the errors of the step above, all of them and in this order |
//! | `says 4035 3014` | messages among those of the step above |
//! | `gives text` | the first value of the step's last result |
//! | `log SQL1 18264` | the instance has written it to its log |
//!
//! A step without `fails` has no error.

use std::collections::BTreeMap;

/// One step with what is expected of it.
#[derive(Debug, Clone)]
pub struct Step {
    /// Line in its file, from 1.
    pub line: usize,
    /// What is done.
    pub text: String,
    /// Errors, in order.
    pub fails: Vec<i32>,
    /// Informational messages that are among those sent.
    pub says: Vec<i32>,
    /// The first value of the last result.
    pub gives: Option<String>,
}

/// One scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The number that it is about.
    pub number: i32,
    /// What happens.
    pub title: String,
    /// File name.
    pub file: String,
    /// Steps, with those that it begins with.
    pub steps: Vec<Step>,
}

/// Reads scenario files: (name, text).
pub fn parse(files: &[(String, String)]) -> Vec<Scenario> {
    let mut given: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    let mut scenarios = Vec::new();
    for (file, text) in files {
        let mut blocks: Vec<(String, Vec<Step>)> = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let at = || format!("{file}:{}", i + 1);
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            if !line.starts_with(' ') {
                // A `given` block is known to what follows it, here and in later files.
                if let Some((heading, steps)) = blocks.last()
                    && let Some(name) = heading.strip_prefix("given ")
                {
                    given.insert(name.to_owned(), steps.clone());
                }
                blocks.push((line.trim().to_owned(), Vec::new()));
                continue;
            }
            let (_, steps) = blocks.last_mut().unwrap_or_else(|| panic!("{}: no heading", at()));
            let words = line.trim();
            if line.starts_with("    ") {
                let step = steps.last_mut().unwrap_or_else(|| panic!("{}: no step", at()));
                step.text.push('\n');
                step.text.push_str(words);
                continue;
            }
            let numbers = |list: &str| -> Vec<i32> {
                list.split_whitespace()
                    .map(|n| n.parse().unwrap_or_else(|_| panic!("{}: {n}", at())))
                    .collect()
            };
            let last = |steps: &mut Vec<Step>| -> usize {
                steps.len().checked_sub(1).unwrap_or_else(|| panic!("{}: no step", at()))
            };
            if let Some(list) = words.strip_prefix("fails ") {
                let last = last(steps);
                steps[last].fails = numbers(list);
            } else if let Some(list) = words.strip_prefix("says ") {
                let last = last(steps);
                steps[last].says = numbers(list);
            } else if let Some(value) = words.strip_prefix("gives ") {
                let last = last(steps);
                steps[last].gives = Some(value.to_owned());
            } else if let Some(name) = words.strip_prefix("given ") {
                let own = given.get(name).unwrap_or_else(|| panic!("{}: given {name}?", at()));
                steps.extend(own.iter().cloned());
            } else {
                steps.push(Step {
                    line: i + 1,
                    text: words.to_owned(),
                    fails: Vec::new(),
                    says: Vec::new(),
                    gives: None,
                });
            }
        }
        for (heading, steps) in blocks {
            if let Some(name) = heading.strip_prefix("given ") {
                given.insert(name.to_owned(), steps);
                continue;
            }
            let (number, title) = heading
                .split_once(' ')
                .unwrap_or_else(|| panic!("{file}: `{heading}` has no title"));
            scenarios.push(Scenario {
                number: number.parse().unwrap_or_else(|_| panic!("{file}: {heading}")),
                title: title.to_owned(),
                file: file.clone(),
                steps,
            });
        }
    }
    scenarios
}

/// The files of a folder, in the order of their names.
pub fn files(folder: &std::path::Path) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}
