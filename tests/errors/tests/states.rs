//! What each state of a database, and each side of a mirroring session, lets through.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

use std::path::Path;

use pcdr_errors::scenario::{files, parse};
use pcdr_errors::stage::{Stage, virtually};
use pcdr_errors::table;

fn holds(name: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(here.join("tables").join(name)).unwrap();
    let (cells, titles) = table::scenarios(&text);
    let mut all = files(&here.join("scenarios"));
    all.retain(|(file, _)| file.starts_with("00_"));
    all.push((name.to_owned(), cells));
    let cells = parse(&all);
    assert_eq!(cells.len(), titles.len());
    let mut wrong = Vec::new();
    for (cell, title) in cells.iter().zip(&titles) {
        let outcome: Result<(), String> = virtually(async {
            let mut stage = Stage::new();
            for step in &cell.steps {
                stage.check(step).await?;
            }
            Ok(())
        });
        wrong.extend(outcome.err().map(|told| format!("{title}\n  {told}")));
    }
    println!("{name}: {} cells", cells.len());
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_state_of_a_database_lets_through_what_the_table_says() {
    holds("states.txt");
}

#[test]
fn each_side_of_a_mirroring_session_lets_through_what_the_table_says() {
    holds("mirroring.txt");
}
