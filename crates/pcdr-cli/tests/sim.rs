//! `pcdr sim` in one process, every other command in others.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use support::{Sim, assert_schema, json, status, stderr, stdout, stretched};

const CONSENT: [&str; 2] = ["--consent", "primary-site-lost"];

/// Makes a plan with the operator's word that the site is lost; its file.
fn plan(sim: &Sim) -> String {
    let path = sim.path("plan.json").to_str().unwrap().to_owned();
    let planned = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "-o", &path, "--json"]);
    assert_eq!(status(&planned), 0, "{}", stdout(&planned));
    assert_schema("plan", &json(&planned));
    path
}

fn assert_failed_over(sim: &Sim) {
    let seen = json(&sim.pcdr(&["status", "--json"]));
    assert_schema("status", &seen);
    assert_eq!(seen["pool"]["state"], "FailedOver", "{seen}");
    let instances = seen["instances"].as_array().unwrap();
    let copies: Vec<(&str, bool, &str)> = instances
        .iter()
        .flat_map(|i| i["databases"].as_array().unwrap().iter().map(move |d| (i, d)))
        .map(|(instance, database)| {
            let mirroring = database["mirroring"].as_str().unwrap_or_default();
            (
                instance["name"].as_str().unwrap(),
                database["is_writable"].as_bool().unwrap(),
                mirroring,
            )
        })
        .collect();
    assert_eq!(
        copies,
        [("sql-s1", true, "PRINCIPAL, SYNCHRONIZED"), ("sql-s2", false, "MIRROR, SYNCHRONIZED")]
    );
    assert_eq!(seen["pool"]["serving"].as_array().unwrap().len(), 4);
}

#[test]
fn status_plan_runbook_and_apply_work_from_other_processes() {
    let mut sim = Sim::prepared();
    assert_schema("sim", &sim.first_line);
    let seen = json(&sim.pcdr(&["status", "--json"]));
    assert_schema("status", &seen);
    assert_eq!(seen["verdict"], "ready", "{seen}");

    let refused = sim.pcdr(&["plan", "failover", "--json"]);
    assert_eq!(status(&refused), 3);
    assert_eq!(json(&refused)["refusal"]["code"], "primary_alive");

    sim.tell("lose site north", "ok");
    let refused = sim.pcdr(&["plan", "failover", "--json"]);
    assert_eq!(status(&refused), 3);
    assert_schema("failure", &json(&refused));
    assert_eq!(json(&refused)["refusal"]["consent"], "primary-site-lost");
    let refused = sim.pcdr(&["plan", "failover"]);
    assert!(stderr(&refused).contains("--consent primary-site-lost"), "{}", stderr(&refused));

    let runbook = sim.pcdr(&["runbook", "failover", CONSENT[0], CONSENT[1]]);
    let text = stdout(&runbook);
    for exact in [
        "sp_delete_log_shipping_secondary_database @secondary_database = N'mgc'",
        "RESTORE LOG [mgc] FROM DISK = N'",
        "RESTORE DATABASE [mgc] WITH RECOVERY;",
        "Set-CsPersistentChatState -Identity 'service:chat.example.net' -PoolState FailedOver",
        "Install-CsMirrorDatabase -DatabaseType PersistentChat",
        "-ActiveServers $Null",
        "robocopy",
    ] {
        assert!(text.contains(exact), "{exact} is missing:\n{text}");
    }

    let plan = plan(&sim);
    let unasked = sim.pcdr(&["apply", &plan]);
    assert_eq!(status(&unasked), 2, "without --yes and without a terminal nothing is done");
    let applied = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&applied), 0, "{}{}", stdout(&applied), stderr(&applied));
    assert_schema("apply", &json(&applied));
    assert_failed_over(&sim);

    let again = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "--json"]);
    assert_eq!((status(&again), &json(&again)["nothing_to_do"]), (0, &serde_json::json!(true)));
}

#[test]
fn a_drill_is_on_record_and_status_shows_it() {
    let sim = Sim::prepared_from(&format!("{}\n[drill]\ndirectory = 'D:\\drill'\n", stretched()));
    let seen = stdout(&sim.pcdr(&["status"]));
    assert!(seen.contains("mgc: no drill on record here has proven it recoverable"), "{seen}");

    let elsewhere = sim.pcdr(&["plan", "drill", "--directory", "D:\\no such folder", "--json"]);
    assert_eq!(status(&elsewhere), 3);
    assert_schema("failure", &json(&elsewhere));
    assert_eq!(json(&elsewhere)["refusal"]["code"], "drill_directory_missing");

    let path = sim.path("drill.json").to_str().unwrap().to_owned();
    let planned = sim.pcdr(&["plan", "drill", "-o", &path, "--json"]);
    assert_eq!(status(&planned), 0, "{}", stdout(&planned));
    assert_schema("plan", &json(&planned));
    let text = stdout(&sim.pcdr(&["runbook", "drill"]));
    for exact in [
        "RESTORE FILELISTONLY FROM DISK = N'",
        "MOVE N'<LogicalName>' TO N'D:\\drill\\pcdr-drill-",
        "RESTORE LOG [pcdr_drill_mgc] FROM DISK = N'",
        "DBCC CHECKDB (N'pcdr_drill_mgc') WITH NO_INFOMSGS, ALL_ERRORMSGS;",
        "DROP DATABASE [pcdr_drill_mgc];",
    ] {
        assert!(text.contains(exact), "{exact} is missing:\n{text}");
    }
    // The reviewed plan, and then one of its own.
    for arguments in [vec!["apply", &path], vec!["drill", "--on", "sql-s1"]] {
        let applied = sim.pcdr(&[&arguments[..], &["--yes", "--json"]].concat());
        assert_eq!(status(&applied), 0, "{}{}", stdout(&applied), stderr(&applied));
        assert_schema("apply", &json(&applied));
        let drills = json(&applied)["drills"].clone();
        assert_eq!((&drills[0]["database"], &drills[0]["proven"]), (&"mgc".into(), &true.into()));
    }
    let seen = sim.pcdr(&["status", "--json"]);
    assert_schema("status", &json(&seen));
    assert_eq!(json(&seen)["drills"].as_array().unwrap().len(), 1);
    let seen = stdout(&sim.pcdr(&["status"]));
    assert!(seen.contains("last proven recoverable: mgc at sql-s1, "), "{seen}");
}

#[test]
fn a_run_killed_in_one_step_after_another_is_finished_by_applying_again() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    let plan = plan(&sim);
    for attempt in 0..8_u64 {
        let mut child = sim
            .command(&["apply", &plan, "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Killed a little later each time, so that other steps are struck.
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut ended = 0;
        while ended < attempt / 2 && told.next().is_some() {
            ended += 1;
        }
        std::thread::sleep(Duration::from_millis(3 + attempt * 5));
        let _already_gone = child.kill();
        child.wait().unwrap();
    }
    let applied = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&applied), 0, "{}{}", stdout(&applied), stderr(&applied));
    assert_failed_over(&sim);
    let journal = std::fs::read_to_string(sim.path("state").join("journal.jsonl")).unwrap();
    assert!(journal.lines().count() > 14);
}

#[test]
fn a_second_run_is_refused_and_names_the_first() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    let plan = plan(&sim);
    let mut first = sim
        .command(&["apply", &plan, "--yes"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(first.stderr.take().unwrap()).lines();
    told.next().unwrap().unwrap();
    let second = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&second), 1);
    let error = &json(&second)["error"];
    assert_eq!(error["code"], "locked");
    let holder = format!("process {}", first.id());
    assert!(error["message"].as_str().unwrap().contains(&holder), "{error}");
    for _line in told {}
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_plan_whose_facts_have_changed_is_refused() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    let plan = plan(&sim);
    sim.tell("return site north", "ok");
    let refused = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    let before = json(&sim.pcdr(&["status", "--json"]));
    assert_eq!(before["pool"]["state"], "Normal");
}

#[test]
fn a_gap_in_the_log_chain_is_refused_with_its_position_and_price() {
    let mut sim = Sim::prepared();
    sim.tell("write 4", "4 records written");
    sim.tell("run job sql-n1 LSBackup_mgc", "started");
    sim.wait_for_backups(4);
    sim.tell("lose site north", "ok");
    let copied = sim.files("log-copies");
    let missing: Vec<String> =
        sim.files("log-backups").into_iter().filter(|f| f.ends_with(".trn")).collect();
    let pending: Vec<&String> = missing.iter().filter(|file| !copied.contains(file)).collect();
    let first = pending.iter().find(|file| !file.contains("initial")).unwrap();
    std::fs::remove_file(sim.mount("log-backups").join(first.as_str())).unwrap();
    let refused = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    let refusal = &json(&refused)["refusal"];
    assert_eq!(refusal["code"], "log_chain_gap");
    assert_eq!(refusal["consent"], "accept-log-gap");
}

#[test]
fn a_truncated_log_backup_is_refused_and_nothing_is_changed() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    let copied = sim.files("log-copies");
    let newest = sim
        .files("log-backups")
        .into_iter()
        .filter(|file| file.ends_with(".trn") && !file.contains("initial"))
        .rfind(|file| !copied.contains(file))
        .unwrap();
    sim.tell(&format!("truncate {newest} 100"), "ok");
    let refused = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    let code = json(&refused)["refusal"]["code"].as_str().unwrap().to_owned();
    assert!(code == "log_backup_unreadable" || code == "log_backup_damaged", "{code}");
}

#[test]
fn a_damaged_log_backup_stops_the_run_before_recovery_and_a_good_copy_finishes_it() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    let copied = sim.files("log-copies");
    let newest = sim
        .files("log-backups")
        .into_iter()
        .filter(|file| file.ends_with(".trn") && !file.contains("initial"))
        .rfind(|file| !copied.contains(file))
        .unwrap();
    let path = sim.mount("log-backups").join(&newest);
    let good = std::fs::read(&path).unwrap();
    sim.tell(&format!("corrupt {newest}"), "ok");
    let plan = plan(&sim);
    let failed = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&failed), 1, "{}", stdout(&failed));
    assert_schema("apply", &json(&failed));
    assert_eq!(json(&failed)["error"]["code"], "backup_damaged");
    let seen = json(&sim.pcdr(&["status", "--json"]));
    assert_eq!(seen["pool"]["state"], "Normal");
    assert!(!seen["instances"].to_string().contains("\"is_writable\":true"), "{seen}");

    std::fs::write(&path, &good).unwrap();
    std::fs::write(sim.mount("log-copies").join(&newest), &good).unwrap();
    let applied = sim.pcdr(&["apply", &plan, "--yes", "--json"]);
    assert_eq!(status(&applied), 0, "{}{}", stdout(&applied), stderr(&applied));
    assert_failed_over(&sim);
}

#[test]
fn a_lost_backup_share_is_refused_until_the_operator_gives_it_up() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    sim.tell("lose share log-backups", "ok");
    let refused = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    assert_eq!(json(&refused)["refusal"]["consent"], "backup-share-lost");
    sim.tell("return share log-backups", "ok");
    plan(&sim);
}

#[test]
fn a_folder_of_topologies_makes_one_document_and_one_screen() {
    let mut sim = Sim::prepared();
    let folder = sim.path("topologies");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a.toml", "b.toml"] {
        std::fs::copy(&sim.topology, folder.join(name)).unwrap();
    }
    let folder = folder.to_str().unwrap().to_owned();
    let trace = sim.path("overview.sql");
    let looked = sim.pcdr(&[
        "status",
        "--topology",
        &folder,
        "--json",
        "--exit-status",
        "--trace-sql",
        trace.to_str().unwrap(),
    ]);
    let seen = json(&looked);
    assert_schema("status-overview", &seen);
    assert_eq!((status(&looked), &seen["verdict"]), (0, &"ready".into()), "{seen}");
    assert_eq!((&seen["instances_asked"], &seen["instances_answered"]), (&10.into(), &10.into()));
    assert_eq!(seen["protections_by_verdict"]["ready"], 6);
    assert_eq!(seen["topologies"][1]["proof"], "history");
    // One trace has the one batch of each instance of both.
    let sent = std::fs::read_to_string(&trace).unwrap();
    assert_eq!(sent.lines().filter(|line| *line == "GO").count(), 10, "{sent}");

    sim.tell("lose instance sql-s1", "ok");
    let lost = sim.pcdr(&["status", "--topology", &folder, "--exit-status"]);
    assert_eq!(status(&lost), 4);
    let screen = stdout(&lost);
    assert!(screen.starts_with("8 of 10 instances answered"), "{screen}");
    assert!(screen.contains("chain_not_known, instance_not_observed"), "{screen}");
    assert!(!screen.contains("mirroring"), "what is ready is not shown: {screen}");
    let all = stdout(&sim.pcdr(&["status", "--topology", &folder, "--all"]));
    assert!(all.contains("mirroring sql-n1 → sql-n2"), "{all}");
}

#[test]
fn an_unreachable_secondary_is_refused() {
    let mut sim = Sim::prepared();
    sim.tell("lose site north", "ok");
    sim.tell("lose instance sql-s1", "ok");
    let refused = sim.pcdr(&["plan", "failover", CONSENT[0], CONSENT[1], "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    assert_eq!(json(&refused)["refusal"]["code"], "instance_not_observed");
}

#[test]
fn a_wrong_password_and_an_untrusted_certificate_are_told_apart() {
    let sim = Sim::start(&support::stretched());
    let text = std::fs::read_to_string(&sim.topology).unwrap();
    let wrong = sim.path("wrong-password");
    std::fs::write(&wrong, "hunter2\n").unwrap();
    let password_file = sim.first_line["password_file"].as_str().unwrap();
    let changed = sim.path("wrong.toml");
    std::fs::write(&changed, text.replace(password_file, wrong.to_str().unwrap())).unwrap();
    let reason = |topology: &std::path::Path| {
        let seen =
            sim.command(&["status", "--json"]).env("PCDR_TOPOLOGY", topology).output().unwrap();
        assert!(!stdout(&seen).contains("hunter2"));
        json(&seen)["instances"][0]["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason(&changed).contains("(login_failed)"), "{}", reason(&changed));

    let other = Sim::start(&support::stretched());
    let ca_file = sim.first_line["ca_file"].as_str().unwrap();
    let foreign = other.first_line["ca_file"].as_str().unwrap();
    let changed = sim.path("foreign.toml");
    std::fs::write(&changed, text.replace(ca_file, foreign)).unwrap();
    assert!(reason(&changed).contains("(certificate_not_trusted)"), "{}", reason(&changed));
}

#[test]
fn a_line_that_is_no_command_is_answered_and_serving_goes_on() {
    let mut sim = Sim::start(&support::stretched());
    for line in
        ["frobnicate", "lose instance nobody", "cut north nowhere", "write many", "corrupt x"]
    {
        assert!(sim.ask(line).starts_with("error: "), "{line}");
    }
    sim.tell("cut controller sql-n1", "ok");
    let seen = json(&sim.pcdr(&["status", "--json"]));
    assert_eq!(seen["instances"][0]["answers"], false);
    sim.tell("heal controller sql-n1", "ok");
    let seen = json(&sim.pcdr(&["status", "--json"]));
    assert_eq!(seen["instances"][0]["answers"], true);
}

#[test]
fn status_is_ready_by_its_exit_status_until_something_is_lost_and_can_be_watched() {
    let mut sim = Sim::prepared();
    let ready = sim.pcdr(&["status", "--json", "--exit-status"]);
    let seen = json(&ready);
    assert_eq!((status(&ready), &seen["verdict"]), (0, &"ready".into()), "{}", seen["findings"]);

    let mut watching = sim
        .command(&["status", "--json", "--watch", "1s"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["verdict"], "ready");
    sim.tell("lose site north", "ok");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while next()["verdict"] == "ready" {
        assert!(std::time::Instant::now() < deadline, "the loss was never seen");
    }
    watching.kill().unwrap();
    watching.wait().unwrap();

    let lost = sim.pcdr(&["status", "--exit-status"]);
    assert_eq!(status(&lost), 4, "{}", stdout(&lost));
    let often = sim.pcdr(&["status", "--watch", "10ms"]);
    assert_eq!(status(&often), 2);
}

#[test]
fn configure_sets_up_changes_nothing_the_second_time_and_mends_what_was_changed() {
    // The stand-in's clock is the wall's: no schedule shall come due in between.
    let mut sim = Sim::start(&support::stretched().replace("= \"15m\"", "= \"23h\""));
    sim.tell("databases", "ok");
    let diff = json(&sim.pcdr(&["configure", "--diff", "--json"]));
    assert_schema("diff", &diff);
    assert_eq!(diff["is_as_designed"], false);
    let unasked = sim.pcdr(&["configure"]);
    assert_eq!(status(&unasked), 2, "{}", stderr(&unasked));
    let configured = sim.pcdr(&["configure", "--yes", "--json"]);
    assert_eq!(status(&configured), 0, "{}", stdout(&configured));
    assert_eq!(json(&configured)["steps"].as_array().unwrap().len(), 27);

    let again = sim.pcdr(&["configure", "--yes", "--json"]);
    assert_eq!(json(&again)["steps"].as_array().unwrap().len(), 0, "{}", stdout(&again));
    let diff = json(&sim.pcdr(&["configure", "--diff", "--json"]));
    assert_eq!(diff["is_as_designed"], true, "{diff}");
    assert_eq!(status(&sim.pcdr(&["status", "--exit-status"])), 0);

    sim.tell(
        "sql sql-s1 EXEC master.dbo.sp_change_log_shipping_secondary_database \
         @secondary_database = N'mgc', @restore_threshold = 999;",
        "ok",
    );
    sim.tell(
        "sql sql-n1 EXEC msdb.dbo.sp_update_job @job_name = N'LSBackup_mgc', @enabled = 0;",
        "ok",
    );
    let diff = json(&sim.pcdr(&["configure", "--diff", "--json"]));
    let what: Vec<&str> = diff["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["backup job", "restore_threshold"], "{diff}");
    assert_eq!(status(&sim.pcdr(&["status", "--exit-status"])), 4);
    let mended = sim.pcdr(&["configure", "--yes", "--json"]);
    assert_eq!(json(&mended)["steps"].as_array().unwrap().len(), 2, "{}", stdout(&mended));
    assert_eq!(status(&sim.pcdr(&["status", "--exit-status"])), 0);

    // What is there is kept when nobody says otherwise, and replaced by whoever says so.
    sim.tell("sql sql-n1 ALTER DATABASE [mgc] SET PARTNER OFF;", "ok");
    sim.tell("sql sql-n1 ALTER DATABASE [mgc] SET RECOVERY SIMPLE;", "ok");
    let refused = sim.pcdr(&["configure", "--yes", "--json"]);
    assert_eq!(status(&refused), 3, "{}", stdout(&refused));
    assert_eq!(json(&refused)["refusal"]["code"], "recovery_model_not_full");
}
