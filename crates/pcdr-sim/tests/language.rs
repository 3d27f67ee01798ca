//! T-SQL as people write it, as text: `language/*.txt` hold what a client sends and what it must
//! see. The expected answers are those of the vendor's documentation, never of the stand-in.
//!
//! A case begins with a sentence after `# `; `GO` ends a batch; a line `-- session NAME` goes on in
//! another session; a batch after `-- quiet` shows only its errors; what stands after `----` is what the client prints. A case has a new server.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::{Client, Lab};

struct Case {
    title: String,
    line: usize,
    script: Vec<String>,
    expected: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut answering = false;
    for (i, line) in text.lines().enumerate() {
        let is_title = line.starts_with("# ");
        let Some(case) = cases.last_mut().filter(|c| !is_title || c.script.is_empty()) else {
            assert!(is_title || line.is_empty(), "line {}: a case begins with `# `", i + 1);
            if is_title {
                answering = false;
                cases.push(Case {
                    title: line[2..].to_owned(),
                    line: i + 1,
                    script: Vec::new(),
                    expected: String::new(),
                });
            }
            continue;
        };
        if is_title {
            case.title = format!("{} {}", case.title, &line[2..]);
        } else if line == "----" && !answering {
            answering = true;
        } else if answering {
            case.expected += line;
            case.expected += "\n";
        } else {
            case.script.push(line.to_owned());
        }
    }
    cases
}

async fn run(script: &[String]) -> String {
    let lab = Lab::new();
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let mut current = String::new();
    let mut quiet = false;
    let mut out = String::new();
    let mut batch: Vec<&str> = Vec::new();
    for line in script.iter().map(String::as_str).chain(["GO"]) {
        let session = line.strip_prefix("-- session ");
        if line == "-- quiet" {
            quiet = true;
            continue;
        }
        if line != "GO" && session.is_none() {
            batch.push(line);
            continue;
        }
        if batch.iter().any(|line| !line.trim().is_empty()) {
            if !clients.contains_key(&current) {
                clients.insert(current.clone(), lab.client("SQL1").await);
            }
            let client = clients.get_mut(&current).expect("a client");
            let text = client.text(&batch.join("\n")).await;
            if !quiet || text.contains("Msg ") {
                out += &text;
            }
            quiet = false;
        }
        batch.clear();
        if let Some(session) = session {
            current = session.to_owned();
        }
    }
    out
}

/// Runs every case of a file and shows all that differ.
fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language").join(file);
    let text = std::fs::read_to_string(&path).expect("the scenarios");
    let cases = cases(&text);
    assert!(!cases.is_empty(), "{file} has no case");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let mut differences = String::new();
    for case in &cases {
        let found = runtime.block_on(run(&case.script));
        let expected = case.expected.trim_end();
        if found.trim_end() != expected {
            differences += &format!(
                "\n{file}:{}: {}\n--- expected\n{expected}\n--- found\n{}\n",
                case.line,
                case.title,
                found.trim_end()
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(concat!(stringify!($name), ".txt"));
        })*

        #[test]
        fn every_scenario_file_is_run() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language");
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .expect("the folder")
                .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
                .collect();
            files.sort();
            assert_eq!(files, [$(concat!(stringify!($name), ".txt")),*]);
        }
    };
}

scenarios! {
    changing_rows
    constraints
    control_of_flow
    conversions
    cursors
    dates
    dynamic_sql
    errors
    for_clause
    modules
    queries
    refusals
    scripts
    set_options
    strings
    temporary_tables
    windows
}
