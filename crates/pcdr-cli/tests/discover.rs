//! `pcdr discover` as a person runs it: against a served stand-in, by words, files and exit status.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

mod support;

use std::process::Output;

use support::{Sim, assert_schema, json, pcdr, run, status, stderr, stdout};

/// `--instance` for each of these, with its full name.
fn instances(sim: &Sim, names: &[&str]) -> Vec<String> {
    let all = sim.first_line["instances"].as_array().unwrap();
    let address = |name: &&str| {
        let found = all.iter().find(|instance| instance["name"] == **name).unwrap();
        let (host, port) = (found["host"].as_str().unwrap(), &found["port"]);
        ["--instance".to_owned(), format!("{name}.example.net={host},{port}")]
    };
    names.iter().flat_map(address).collect()
}

const ALL: [&str; 5] = ["sql-n1", "sql-n2", "sql-n3", "sql-s1", "sql-s2"];

/// Runs it with the login that the stand-in takes.
fn discover(sim: &Sim, instances: &[String], more: &[&str]) -> Output {
    let text = |key: &str| sim.first_line[key].as_str().unwrap().to_owned();
    let (ca_file, password_file) = (text("ca_file"), text("password_file"));
    let mut words = vec!["discover", "--ca-file", &ca_file, "--password-file", &password_file];
    words.extend(["--login", "pcdr"]);
    words.extend(instances.iter().map(String::as_str));
    words.extend(more);
    let output = sim.pcdr(&words);
    let secret = std::fs::read_to_string(&password_file).unwrap();
    for told in [stdout(&output), stderr(&output)] {
        assert!(!told.contains(secret.trim()), "{told}");
    }
    output
}

fn sites() -> [&'static str; 6] {
    [
        "--site",
        "north=sql-n1",
        "--site",
        "south=sql-s1,files-s.example.net",
        "--role",
        "secondary-mirror=sql-s2",
    ]
}

#[test]
fn a_discovered_file_validates_and_configure_finds_nothing_to_change() {
    let sim = Sim::prepared();
    let file = sim.path("found.toml").to_str().unwrap().to_owned();
    let written = [&sites()[..], &["-o", &file]].concat();
    let found = discover(&sim, &instances(&sim, &ALL), &written);
    assert_eq!(status(&found), 0, "{}{}", stdout(&found), stderr(&found));
    assert!(stdout(&found).contains("is written: valid, and all that is there is as it says."));
    assert!(stderr(&found).contains("sql-n1, SQL Server "), "progress: {}", stderr(&found));

    let with_file =
        |words: &[&str]| sim.command(words).env("PCDR_TOPOLOGY", &file).output().unwrap();
    assert_eq!(status(&with_file(&["validate"])), 0);
    let diff = json(&with_file(&["configure", "--diff", "--json"]));
    assert_eq!(diff["is_as_designed"], true, "{diff}");
    assert_eq!(diff["steps"].as_array().unwrap().len(), 0, "{diff}");

    let before = std::fs::read_to_string(&file).unwrap();
    let again = discover(&sim, &instances(&sim, &["sql-s2"]), &written);
    assert_eq!(status(&again), 2, "a file that is there is not overwritten");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let replaced = [&written[..], &["--replace"]].concat();
    assert_eq!(status(&discover(&sim, &instances(&sim, &ALL), &replaced)), 0);
}

#[test]
fn the_file_alone_goes_to_standard_output_and_the_same_facts_to_json() {
    let sim = Sim::prepared();
    let found = discover(&sim, &instances(&sim, &ALL), &sites());
    assert_eq!(status(&found), 0, "{}", stderr(&found));
    let text = stdout(&found);
    assert!(pcdr_core::Topology::parse(&text).is_ok(), "{text}");
    assert!(stderr(&found).contains("told by"), "{}", stderr(&found));

    let found = discover(&sim, &instances(&sim, &ALL), &[&sites()[..], &["--json"]].concat());
    let document = json(&found);
    assert_schema("discover", &document);
    assert_eq!((&document["complete"], &document["valid"]), (&true.into(), &true.into()));
    assert_eq!(document["instances"][1]["role"], "primary-mirror");
    assert_eq!(stderr(&found), "");
    let lines = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(document["topology"].as_str().unwrap()), lines(&text), "but for the time");
}

#[test]
fn an_incomplete_file_says_so_by_status_and_by_validate() {
    let mut sim = Sim::prepared();
    let file = sim.path("partial.toml").to_str().unwrap().to_owned();
    sim.tell("lose instance sql-n3", "ok");
    let names = instances(&sim, &["sql-n1", "sql-n2", "sql-n3", "sql-s1"]);
    let found = discover(&sim, &names, &["-o", &file]);
    assert_eq!(status(&found), 4, "{}", stdout(&found));
    assert!(stdout(&found).contains("pcdr validate refuses it until it is completed"));
    assert!(stdout(&found).contains("sql-n3.example.net="), "{}", stdout(&found));
    let refused = run(&["validate", "--topology", &file, "--json"]);
    assert_eq!(status(&refused), 2);
    let codes = json(&refused)["error"]["details"].to_string();
    assert!(codes.contains("\"to_be_completed\""), "{codes}");

    let asked = discover(&sim, &instances(&sim, &["sql-s1"]), &["-o", "never.toml", "--json"]);
    assert_eq!(status(&asked), 4);
    let document = json(&asked);
    assert_schema("discover", &document);
    assert!(document["file"].is_null() && document["topology"].is_null(), "{document}");
    assert_eq!(document["findings"][0]["code"], "primary_not_given");
    assert!(!std::path::Path::new("never.toml").exists());
}

#[test]
fn nothing_there_and_nobody_reached_are_told_apart() {
    let mut sim = Sim::prepared();
    let file = sim.path("nothing.toml").to_str().unwrap().to_owned();
    let nothing = discover(&sim, &instances(&sim, &["sql-s2"]), &["-o", &file]);
    assert_eq!(status(&nothing), 5, "{}", stdout(&nothing));
    assert!(stdout(&nothing).contains("Nothing is log-shipped on these instances"));
    sim.tell("lose instance sql-s2", "ok");
    let nobody = discover(&sim, &instances(&sim, &["sql-s2"]), &["-o", &file]);
    assert_eq!(status(&nobody), 4, "{}", stdout(&nobody));
    assert!(stdout(&nobody).contains("did not answer"), "{}", stdout(&nobody));
    assert!(!std::path::Path::new(&file).exists());
}

#[test]
fn calls_that_cannot_be_right_end_with_status_2_and_say_what_is_needed() {
    for (words, needed) in [
        (&["discover"][..], "--instance"),
        (&["discover", "--instance", "sql1"], "--login"),
        (&["discover", "--instance", "sql1:1433", "--login", "x"], "after a comma"),
        (&["discover", "--instance", "a", "--role", "boss=a"], "primary-mirror"),
        (&["discover", "--instance", "a", "--kerberos", "--login", "x"], "cannot be used"),
        (&["discover", "--instance", "a", "--login", "x", "--connect-timeout", "1h"], "10m"),
    ] {
        let told = run(words);
        assert_eq!(status(&told), 2, "{words:?}");
        assert!(stderr(&told).contains(needed), "{words:?}: {}", stderr(&told));
    }
    let without = pcdr(&["discover", "--instance", "127.0.0.1,1", "--login", "x", "--json"]);
    let told = { without }.output().unwrap();
    assert_eq!(status(&told), 1, "the password is nowhere");
    assert!(json(&told)["error"]["message"].as_str().unwrap().contains("PCDR_PASSWORD"));
    let help = stdout(&run(&["discover", "--help"]));
    for taught in ["secondary-mirror", "to_be_completed", "pcdr sim", "5  nothing is log-shipped"] {
        assert!(help.contains(taught), "{taught}: {help}");
    }
}
