//! A monitor that both sides report to with a SQL Server login: configured, changed, refused and discovered,
//! and its password told to nobody.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use pcdr_cli::plan;
use pcdr_core::observation::MonitorAuthentication;
use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, RunError};
use pcdr_core::{Intent, Plan, Topology};
use pcdr_sim::engine::msdb::MsdbTable;
use pcdr_sql::{Fleet, FleetOptions};
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, name, virtually};

/// Hostile in T-SQL, in a trace and in JSON, and long enough to be looked for.
const PASSWORD: &str = "o'hara]\"--\\ zap;GO monitor-secret";
const LOGIN: &str = "ship]'log";

/// The example with a monitor, and how it is reported to.
fn designed(login: &str) -> String {
    let monitor = "[[instances]]\nname = \"sql-m1\"\nsite = \"south\"\nrole = \"monitor\"\n\
                   host = \"sql-m1.example.net\"\n\n";
    let with_monitor = STRETCHED.replacen("[[databases]]", &format!("{monitor}[[databases]]"), 1);
    with_monitor.replacen("[log_shipping]\n", &format!("[log_shipping]\n{login}"), 1)
}

/// A file with a password, and the lines of a topology that name it.
fn login_with(password: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{password}\n")).unwrap();
    let lines = format!(
        "monitor_login = {LOGIN:?}\nmonitor_password_file = {:?}\n",
        file.to_str().unwrap()
    );
    (folder, lines)
}

async fn sql(stage: &Stage, at: &str, batch: &str) {
    let sent = stage.workload.send(&name(at), batch.to_owned()).await;
    sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
}

/// The login as an administrator makes it on the monitor.
async fn create_login(stage: &Stage) {
    let login = pcdr_sql::quote::identifier(LOGIN).unwrap();
    let password = pcdr_sql::quote::literal(PASSWORD).unwrap();
    let create = format!("CREATE LOGIN {login} WITH PASSWORD = {password};");
    sql(stage, "sql-m1", &create).await;
    sql(stage, "sql-m1", &format!("ALTER SERVER ROLE sysadmin ADD MEMBER {login};")).await;
}

async fn planned(stage: &Stage) -> Plan {
    let made = plan::make(Intent::Configure, stage.topology(), stage.ports(), &[]).await;
    made.unwrap_or_else(|failure| panic!("{}", failure.text(false))).0
}

/// Nothing that anybody was told, and no file beside the one that holds it, has the password.
fn told_no_password(stage: &Stage, plan: &Plan) {
    stage.told_no_secret();
    let json = serde_json::to_string(&plan.steps).unwrap();
    let escaped = serde_json::to_string(PASSWORD).unwrap();
    for text in [format!("{plan:?}"), json, stage.told.lock().unwrap().clone()] {
        for secret in ["monitor-secret", escaped.trim_matches('"')] {
            assert!(!text.contains(secret), "told");
        }
    }
    let mut looked_at = 0;
    for entry in std::fs::read_dir(&stage.folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        // The statement that an administrator sent names it; the test sent that one, not pcdr.
        assert!(!text.contains("monitor-secret"), "{}", path.display());
        looked_at += 1;
    }
    assert!(looked_at >= 2, "the trace and the topology were looked at");
}

/// Who reported a database to the monitor, by its own tables: (primaries, secondaries).
fn reported(stage: &Stage) -> (usize, usize) {
    let world = stage.stand_in.world.lock();
    let msdb = &world.instances["sql-m1"].msdb;
    let rows = |table: MsdbTable| msdb[table].records().count();
    (rows(MsdbTable::MonitorPrimary), rows(MsdbTable::MonitorSecondary))
}

#[test]
fn both_sides_report_to_the_monitor_with_the_login_and_its_password_is_told_to_nobody() {
    virtually(async {
        let (_folder, lines) = login_with(PASSWORD);
        let stage = Stage::bare(&designed(&lines)).await;
        create_login(&stage).await;
        let plan = planned(&stage).await;
        stage.succeeds(&plan).await;
        assert_eq!(reported(&stage), (2, 1), "primary, its mirror, and the secondary");

        let seen = stage.observe().await;
        let expected = Some(MonitorAuthentication::SqlServer { login: Some(LOGIN.to_owned()) });
        let primary = seen.instances[&name("sql-n1")].known().unwrap();
        let entry = &primary.log_shipping_primary.known().unwrap()[&"mgc".into()];
        assert_eq!(entry.monitor_authentication, expected);
        let secondary = seen.instances[&name("sql-s1")].known().unwrap();
        let entry = &secondary.log_shipping_secondary.known().unwrap()[&"mgc".into()];
        assert_eq!(entry.monitor_authentication, expected);
        assert_eq!(pcdr_core::drift::drift(stage.topology(), &seen), []);
        assert!(planned(&stage).await.steps.is_empty());
        told_no_password(&stage, &plan);

        let sent = std::fs::read_to_string(stage.folder.join("sent.sql")).unwrap();
        assert!(sent.contains("@monitor_server_password = @P1"), "it is sent apart");
    });
}

#[test]
fn a_wrong_password_or_a_login_without_rights_is_32054_and_leaves_nothing_behind() {
    virtually(async {
        let (_folder, lines) = login_with("another password than that");
        let stage = Stage::bare(&designed(&lines)).await;
        create_login(&stage).await;
        let before = stage.snapshot().await;
        let login = pcdr_sql::quote::identifier(LOGIN).unwrap();
        for context in ["wrong password", "no rights"] {
            if context == "no rights" {
                std::fs::write(_folder.path().join("password"), PASSWORD).unwrap();
                let drop = format!("ALTER SERVER ROLE sysadmin DROP MEMBER {login};");
                sql(&stage, "sql-m1", &drop).await;
            }
            let plan = planned(&stage).await;
            let error = stage.apply(&plan, &Unseen).await.unwrap_err();
            let RunError::Step { error, taken_back: Some(taken_back), .. } = error else {
                panic!("{context}: {error:?}")
            };
            assert_eq!(error.number, Some(32054), "{context}: {error}");
            assert!(taken_back.is_complete(), "{context}: {taken_back:#?}");
            stage.taken_back_to(&before, context).await;
            told_no_password(&stage, &plan);
        }
        assert_eq!(reported(&stage), (0, 0));
    });
}

#[test]
fn a_password_that_cannot_be_read_is_named_by_its_place() {
    virtually(async {
        let (folder, lines) = login_with(PASSWORD);
        let stage = Stage::bare(&designed(&lines)).await;
        create_login(&stage).await;
        std::fs::remove_file(folder.path().join("password")).unwrap();
        let before = stage.snapshot().await;
        let plan = planned(&stage).await;
        let error = stage.apply(&plan, &Unseen).await.unwrap_err();
        let RunError::Step { error, .. } = error else { panic!("{error:?}") };
        assert!(error.found.contains("password"), "{error}");
        stage.taken_back_to(&before, "unreadable").await;
    });
}

#[test]
fn windows_authentication_is_changed_to_a_login_in_place_and_back_when_the_run_fails() {
    virtually(async {
        let stage = Stage::bare(&designed("")).await;
        create_login(&stage).await;
        stage.succeeds(&planned(&stage).await).await;
        assert_eq!(reported(&stage), (2, 1));
        let windows = stage.observe().await;

        // The same world under a topology that names the login.
        let (_folder, lines) = login_with(PASSWORD);
        let text = stage.stand_in.file.text.replacen(
            "[log_shipping]\n",
            &format!("[log_shipping]\n{lines}"),
            1,
        );
        let topology = Topology::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        let options = FleetOptions { dialer: stage.dialer(), ..FleetOptions::default() };
        let fleet = Fleet::connect(&topology, &options).unwrap();
        let ports = Ports {
            instances: fleet.database_instances(),
            jobs: fleet.log_shipping_jobs(),
            files: fleet.files(),
            ..stage.ports().clone()
        };
        let drift = pcdr_core::drift::drift(&topology, &windows);
        let modes = drift.iter().filter(|one| one.what == "monitor_server_security_mode");
        assert_eq!(modes.count(), 3, "{drift:#?}");
        let make = || plan::make(Intent::Configure, &topology, &ports, &[]);
        let (plan, _) = make().await.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let texts: Vec<String> = plan.steps.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().all(|text| text.contains("monitor_server_security_mode 1 → 0")),
            "{texts:?}"
        );
        assert_eq!(texts.len(), 3);

        let before = stage.snapshot().await;
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let disable = |disabled: bool| {
            let mut world = stage.stand_in.world.lock();
            let logins = &mut world.instances.get_mut("sql-m1").unwrap().security.logins;
            logins.get_mut(LOGIN).unwrap().disabled = disabled;
        };
        let watcher = AtStep::new(plan.steps[1].id.0, |_| disable(true));
        let error = run::apply(&plan, &topology, &ports, &who, &watcher).await.unwrap_err();
        let RunError::Step { error, taken_back: Some(taken_back), .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(error.number, Some(32054), "{error}");
        assert!(taken_back.is_complete(), "{taken_back:#?}");
        stage.taken_back_to(&before, "the second change failed").await;

        disable(false);
        let (plan, _) = make().await.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let applied = run::apply(&plan, &topology, &ports, &who, &Unseen).await;
        applied.unwrap_or_else(|error| panic!("{error}"));
        let seen = observe(&topology, &ports, "test", None).await;
        assert_eq!(pcdr_core::drift::drift(&topology, &seen), []);
        told_no_password(&stage, &plan);
    });
}
