//! What the tests of this package ask about: every statement, and what a rehearsal sends.

use std::process::Command;

use pcdr_core::schedule::{Frequency, Schedule};
use pcdr_sql::quote::QuoteError;
use pcdr_sql::statement::{self, Statement, database, files, jobs, observe};

pub(crate) const NEEDS: &str = "cargo xtask tsql sets it up";

/// What names and paths are called in ordinary statements.
pub(crate) const NAME: &str = "orders";
pub(crate) const PATH: &str = r"\\files.example.net\backups\orders.bak";
pub(crate) const ADDRESS: &str = "TCP://sql1.example.net:5022";

/// Every sample, and what the samples leave out: other numbers of databases and files, and more
/// places for a name.
pub(crate) fn statements(
    name: &str,
    path: &str,
    address: &str,
) -> Result<Vec<(&'static str, Statement)>, QuoteError> {
    let mut all = statement::samples(name, path)?;
    all.push(("observe nothing", observe::observe(&[])?));
    all.push(("observe one", observe::observe(&[name])?));
    all.push(("observe three", observe::observe(&[name, "mgc", name])?));
    all.push(("headers of none", files::headers([])?));
    all.push(("activity of no job", jobs::activity(&[])));
    all.push(("kill by any time", database::kill(57, name)?));
    all.push(("grant on any endpoint", database::grant_connect(name, name)?));
    for (what, every_seconds) in [("schedule by the second", 15), ("schedule by the hour", 7_200)] {
        let frequency = Frequency::of(&Schedule::all_day(every_seconds)).expect("expressible");
        all.push((what, jobs::add_schedule(name, &frequency)?));
    }
    all.push(("partner at any address", database::set_partner(name, address)?));
    all.push(("witness at any address", database::set_witness(name, address)?));
    Ok(all)
}

/// Rehearses on stand-ins, with a second database of that name, and gives back what was sent.
pub(crate) fn rehearse(name: &str) -> String {
    let command = std::env::var_os("PCDR_COMMAND").expect("cargo xtask tsql builds the command");
    let folder = tempfile::tempdir().unwrap();
    let (topology, trace) = (folder.path().join("topology.toml"), folder.path().join("sent.sql"));
    let built_in = pcdr_core::topology::EXAMPLE;
    let two = built_in.replacen(
        "[[databases]]",
        &format!("[[databases]]\nname = \"{name}\"\n\n[[databases]]"),
        1,
    );
    assert_ne!(two, built_in, "the example has a [[databases]] section");
    std::fs::write(&topology, two).unwrap();
    let output = Command::new(command)
        .arg("rehearse")
        .arg("--topology")
        .arg(&topology)
        .arg("--trace-sql")
        .arg(&trace)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the rehearsal ended with {}: {said}", output.status);
    std::fs::read_to_string(&trace).unwrap()
}
