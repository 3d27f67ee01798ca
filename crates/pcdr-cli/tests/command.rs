//! The binary without a server: arguments, exit status, outputs.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

mod support;

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;
use support::{assert_schema, json, pcdr, run, status, stderr, stdout, stretched, topology};

#[test]
fn a_valid_topology_is_shown_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let path = topology(folder.path(), &stretched());
    let shown = run(&["validate", "--topology", &path]);
    assert_eq!(status(&shown), 0, "{}", stderr(&shown));
    assert!(stdout(&shown).contains("sql-s2"));
    let document = json(&run(&["validate", "--topology", &path, "--json"]));
    assert_eq!(document["valid"], true);
    assert_schema("validate", &document);
}

#[test]
fn every_violation_is_told_at_once_with_its_place_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let broken = stretched()
        .replace("active_after_failover = true", "active = true")
        .replace("[mirroring]", "[mirroring]\ncolour = 3");
    let path = topology(folder.path(), &broken);
    let told = run(&["validate", "--topology", &path]);
    assert_eq!(status(&told), 2);
    assert!(stdout(&told).is_empty());
    let text = stderr(&told);
    assert!(text.contains("unknown_key") && text.contains("too_many_active_servers"), "{text}");
    let line = broken.lines().position(|line| line.starts_with("colour")).unwrap() + 1;
    assert!(text.contains(&format!("designed.toml:{line}:1")), "{text}");
    let document = json(&run(&["validate", "--topology", &path, "--json"]));
    assert_schema("failure", &document);
    assert_eq!(document["error"]["code"], "invalid_topology");
    let details = document["error"]["details"].as_array().unwrap();
    assert!(details.len() >= 2);
    assert!(details.iter().all(|v| !v["remedy"].as_str().unwrap().is_empty()));
}

#[test]
fn a_secret_in_the_topology_file_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = stretched()
        .replace("login = \"pcdr\"", "login = 7\npassword = \"hunter2\"\nfrobnicate = 1");
    let path = topology(folder.path(), &text);
    for arguments in [&["validate"][..], &["validate", "--json"]] {
        let told = pcdr(arguments).env("PCDR_TOPOLOGY", &path).output().unwrap();
        assert_eq!(status(&told), 2);
        let all = stdout(&told) + &stderr(&told);
        assert!(all.contains("frobnicate") && !all.contains("hunter2"), "{all}");
    }
}

#[test]
fn a_wrong_call_exits_with_2_and_speaks_json_when_asked() {
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["plan"],
        &["plan", "failover", "--consent", "whatever"],
        &["validate"],
        &["validate", "--topology", "/no/such/file"],
        &["apply", "/no/such/plan.json"],
    ] {
        let told = run(arguments);
        assert_eq!(status(&told), 2, "{arguments:?}: {}", stderr(&told));
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let told = run(&with_json);
        assert_eq!(status(&told), 2, "{with_json:?}");
        assert_schema("failure", &json(&told));
    }
}

#[test]
fn files_that_are_no_topology_are_told_apart_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [&b""[..], b"\0\0\0", b"\xff\xfe[[sites]]", b"[[[[", "ü = \"中".as_bytes()] {
        let path = folder.path().join("t.toml");
        std::fs::write(&path, bytes).unwrap();
        let told = run(&["validate", "--topology", path.to_str().unwrap(), "--json"]);
        assert_eq!(status(&told), 2, "{bytes:?}: {}", stderr(&told));
        assert_schema("failure", &json(&told));
    }
    let told = run(&["validate", "--topology", folder.path().to_str().unwrap()]);
    assert_eq!(status(&told), 2);
}

#[test]
fn several_topologies_are_for_status_and_a_folder_without_any_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = topology(folder.path(), &stretched());
    let told = run(&["validate", "--topology", &path, "--topology", &path, "--json"]);
    assert_eq!((status(&told), &json(&told)["error"]["code"]), (2, &"several_topologies".into()));
    let empty = tempfile::tempdir().unwrap();
    let told = run(&["status", "--topology", empty.path().to_str().unwrap(), "--json"]);
    assert_eq!((status(&told), &json(&told)["error"]["code"]), (2, &"no_topology".into()));
}

#[test]
fn a_missing_password_says_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = topology(folder.path(), &stretched());
    let told = run(&["status", "--topology", &path, "--json"]);
    assert_eq!(status(&told), 1);
    let message = json(&told)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("PCDR_PASSWORD"), "{message}");
}

#[test]
fn a_plan_that_is_no_plan_is_a_wrong_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = topology(folder.path(), &stretched());
    let plan = folder.path().join("plan.json");
    for text in ["", "{}", "[1]", "{\"pcdr_plan\": 1}", "null"] {
        std::fs::write(&plan, text).unwrap();
        let told = run(&["apply", plan.to_str().unwrap(), "--topology", &path, "--yes"]);
        assert_eq!(status(&told), 2, "{text}: {}", stderr(&told));
    }
}

#[test]
fn help_teaches_with_examples() {
    for arguments in
        [&["--help"][..], &["plan", "failover", "--help"], &["apply", "--help"], &["sim", "--help"]]
    {
        let help = run(arguments);
        assert_eq!(status(&help), 0);
        assert!(stdout(&help).contains("pcdr "), "{arguments:?}");
        assert!(stdout(&help).contains("Example") || stdout(&help).contains("Examples"));
    }
    assert!(!stdout(&run(&["--help"])).contains("sim-shell"));
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]);
        assert_eq!(status(&script), 0);
        assert!(stdout(&script).contains("rehearse"), "{shell}");
    }
}

#[test]
fn rights_are_a_script_for_each_instance_and_ask_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let topology = topology(folder.path(), &stretched());
    let told = run(&["rights", "failover", "--topology", &topology, "--login", "pcdr", "--json"]);
    assert_eq!(status(&told), 0, "{}", stderr(&told));
    let document = json(&told);
    assert_schema("rights", &document);
    assert_eq!(document["instances"].as_array().unwrap().len(), 5);
    let text = stdout(&run(&["rights", "failover", "--topology", &topology, "--login", "pcdr"]));
    assert_eq!(text, document["script"].as_str().unwrap());
    assert_eq!(
        text.matches("ALTER SERVER ROLE [sysadmin] ADD MEMBER [pcdr];").count(),
        1,
        "{text}"
    );
    let wrong = run(&["rights", "--topology", &topology, "--login", "pcdr", "--windows"]);
    assert_eq!(status(&wrong), 2, "a Windows account has a domain");
    assert_eq!(status(&run(&["rights", "rehearse", "--topology", &topology, "--login", "p"])), 2);
}

#[test]
fn every_schema_is_json_with_a_title() {
    for what in [
        "discover",
        "validate",
        "status",
        "rights",
        "preflight",
        "status-overview",
        "plan",
        "apply",
        "runbook",
        "rehearse",
        "sim",
        "failure",
    ] {
        let schema = json(&run(&["schema", what]));
        assert!(schema["title"].is_string(), "{what}");
        assert_eq!(schema["type"], "object", "{what}");
    }
}

#[test]
fn nothing_is_coloured_where_nobody_sees_colours() {
    for arguments in [&["validate"][..], &["--help"], &["validate", "--topology", "/no/such/file"]]
    {
        let told = pcdr(arguments).env("NO_COLOR", "1").output().unwrap();
        let all = stdout(&told) + &stderr(&told);
        assert!(!all.contains('\u{1b}'), "{arguments:?}: {all}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = pcdr(&["schema", "rehearse"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

fn rehearse(arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["rehearse", "--json"].iter().chain(arguments).copied().collect();
    let rehearsed = run(&all);
    assert_eq!(status(&rehearsed), 0, "{}{}", stdout(&rehearsed), stderr(&rehearsed));
    json(&rehearsed)
}

#[test]
fn a_rehearsal_proves_what_its_plan_promised_within_30_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("sent.sql");
    let keep = folder.path().join("kept");
    let document =
        rehearse(&["--trace-sql", trace.to_str().unwrap(), "--keep", keep.to_str().unwrap()]);
    assert_schema("rehearse", &document);
    assert_eq!(document["proved"], true);
    assert!(document["wall_seconds"].as_f64().unwrap() < 30.0);
    assert!(document["records_lost"].as_u64().unwrap() > 0);
    for step in 1..=7 {
        let source = format!("Fail over Persistent Chat Server, step {step}:");
        let steps = document["steps"].as_array().unwrap();
        assert!(
            steps.iter().any(|s| s["source"].as_str().unwrap().contains(&source)),
            "no step cites {source}"
        );
    }
    let sent = std::fs::read_to_string(trace).unwrap();
    let password = std::fs::read_to_string(keep.join("password")).unwrap();
    assert!(!sent.contains(password.trim()));
    let batches = sent.lines().filter(|line| *line == "GO").count();
    let comments = sent.lines().filter(|line| line.starts_with("-- ") && line.contains(" took "));
    assert_eq!(batches, comments.count());
    assert!(sent.contains("RESTORE LOG [mgc]") && batches > 50);
    let plan: Value =
        serde_json::from_str(&std::fs::read_to_string(keep.join("plan.json")).unwrap()).unwrap();
    assert_schema("plan", &plan);
}

#[test]
fn rehearsals_of_other_seeds_prove_too() {
    for seed in 100..105 {
        let document = rehearse(&["--seed", &seed.to_string()]);
        assert_eq!(document["proved"], true, "seed {seed}");
    }
}

#[test]
fn a_planned_failover_is_rehearsed_while_clients_write_and_loses_nothing() {
    for seed in ["1", "7"] {
        let document = rehearse(&["--scenario", "planned", "--seed", seed]);
        assert_schema("rehearse", &document);
        assert_eq!(document["proved"], true, "seed {seed}: {document}");
        assert_eq!(document["records_lost"], 0);
        assert_eq!(document["records_saved"], document["records_written"]);
        let proofs = document["proofs"].as_array().unwrap();
        let claim = "every record that was acknowledged is in the new primary";
        assert!(proofs.iter().any(|proof| proof["claim"].as_str().unwrap().contains(claim)));
    }
}

#[test]
fn a_full_cycle_is_rehearsed_and_ends_protected_as_at_the_start() {
    let document = rehearse(&["--scenario", "full-cycle"]);
    assert_schema("rehearse", &document);
    assert_eq!(document["proved"], true, "{document}");
    let proofs = document["proofs"].as_array().unwrap();
    for claim in ["took writes beside the new one", "the pool is Normal", "protected again"] {
        assert!(
            proofs.iter().any(|proof| proof["claim"].as_str().unwrap().contains(claim)),
            "{claim}"
        );
    }
}

#[test]
fn a_rehearsal_in_real_time_reaches_the_shell_through_a_child_process_and_proves() {
    let document = rehearse(&["--time", "real"]);
    assert_eq!(
        (&document["proved"], document["time"].as_str()),
        (&Value::Bool(true), Some("real"))
    );
}

#[test]
fn topologies_without_pool_or_mirrors_and_with_named_instances_rehearse_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = stretched();
    let (head, rest) = text.split_once("[pool]").unwrap();
    let (_, tail) = rest.split_once("# Log backups are written here.").unwrap();
    let without_pool = format!("{head}#{tail}");
    let optional = ["primary-mirror", "primary-witness", "secondary-mirror"];
    let kept: Vec<&str> = text
        .split("[[instances]]")
        .filter(|part| !optional.iter().any(|role| part.contains(&format!("\"{role}\""))))
        .collect();
    let (_, after) = text.split_once("# The databases whose").unwrap();
    let without_mirrors = format!("{}# The databases whose{after}", kept.join("[[instances]]"));
    let named = text
        .replace(
            "host = \"sql-s1.example.net\"",
            "host = \"sql-s1.example.net\"\ninstance = \"CHAT\"",
        )
        .replace(
            "host = \"sql-n1.example.net\"",
            "host = \"sql-n1.example.net\"\ninstance = \"chat\"",
        );
    for (what, text) in
        [("no pool", without_pool), ("no mirrors", without_mirrors), ("named instances", named)]
    {
        let path = topology(folder.path(), &text);
        let document = rehearse(&["--topology", &path]);
        assert_eq!(document["proved"], true, "{what}: {document}");
    }
}

#[test]
fn hostile_names_work_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    // 128 characters, at most 255 bytes with the name of its log file.
    let long = format!("{}{}", "ü中".repeat(30), "a".repeat(68));
    let databases = ["m]gc", "o'brien", &long, "a; DROP -- %name%"]
        .map(|name| format!("[[databases]]\nname = {name:?}\n"))
        .concat();
    let text = stretched()
        .replace("[pool]", &format!("{databases}\n[pool]"))
        .replace(r"\\files-s.example.net\logbackups", r"\\files-s.example.net\log backups\o&brien");
    let path = topology(folder.path(), &text);
    let document = rehearse(&["--topology", &path]);
    assert_eq!(document["proved"], true, "{document}");
}

#[test]
fn a_rehearsal_keeps_no_folder_that_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "").unwrap();
    let told = run(&["rehearse", "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(status(&told), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
