//! The way to servers that the environment names, tried on a stand-in that is served like a server: in
//! real time, shared by all checks, and known by nothing but addresses, a login and folders.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use pcdr_cli::topology_file::TopologyFile;
use pcdr_cli::world::{self, StandIn};
use pcdr_real::environment::Settings;
use pcdr_real::survey::{Need, Survey};
use pcdr_real::{Check, Ground, checks};
use tokio::runtime::Runtime;

const DESIGN: &str = r#"
sites = [{ name = "here" }, { name = "there" }]
databases = [{ name = "unused" }]

[[instances]]
name = "a"
site = "here"
role = "primary"
host = "sql-a.example.test"

[[instances]]
name = "b"
site = "there"
role = "secondary"
host = "sql-b.example.test"

[[shares]]
name = "backups"
site = "there"
unc = '\\files.example.test\backups'

[[shares]]
name = "copies"
site = "there"
unc = '\\sql-b.example.test\copies'

[log_shipping]
backup_share = "backups"
copy_share = "copies"

[connection]
login = "pcdr"
password_env = "REPLACED"
"#;

fn served(runtime: &Runtime, folder: &Path) -> StandIn {
    served_as(runtime, folder, DESIGN)
}

fn served_as(runtime: &Runtime, folder: &Path, design: &str) -> StandIn {
    let path = folder.join("designed.toml");
    std::fs::write(&path, design).unwrap();
    let designed = TopologyFile::read(&path).unwrap_or_else(|failure| panic!("{failure:?}"));
    let plan = world::Plan {
        folder: folder.to_owned(),
        seed: 1,
        begins_at: None,
        in_flight: None,
        meter: None,
        shell_command: Vec::new(),
    };
    runtime
        .block_on(StandIn::build(&designed, plan))
        .unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// The variables that whoever has these servers would set.
fn variables(stand_in: &StandIn) -> Vec<(String, String)> {
    let topology = &stand_in.file.topology;
    let address = |name: &str| {
        let address = stand_in.address(&name.into()).unwrap();
        format!("{},{}", address.ip(), address.port())
    };
    let mount = |share: &pcdr_core::topology::Share| share.mount.clone().unwrap();
    [
        ("PCDR_TEST_PRIMARY", address("a")),
        ("PCDR_TEST_SECONDARY", address("b")),
        ("PCDR_TEST_LOGIN", world::LOGIN.to_owned()),
        ("PCDR_TEST_PASSWORD_FILE", stand_in.password_file.display().to_string()),
        ("PCDR_TEST_CA_FILE", stand_in.ca_file.display().to_string()),
        ("PCDR_TEST_BACKUP_SHARE", topology.backup_share().unc.clone()),
        ("PCDR_TEST_BACKUP_MOUNT", mount(topology.backup_share())),
        ("PCDR_TEST_COPY_SHARE", topology.copy_share().unc.clone()),
        ("PCDR_TEST_COPY_MOUNT", mount(topology.copy_share())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn named(variables: Vec<(String, String)>) -> Ground {
    Ground::Named(Box::new(Settings::read(variables.into_iter()).unwrap().unwrap()))
}

fn check(name: &str) -> &'static Check {
    checks::all().find(|check| check.name == name).unwrap()
}

#[test]
fn servers_that_are_named_are_asked_used_and_left_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let stand_in = served(&runtime, folder.path());
    let ground = named(variables(&stand_in));
    assert!(ground.is_shared());

    let survey = Survey::of(&ground).unwrap();
    assert_eq!(survey.servers.len(), 2);
    let missing: Vec<Need> = survey.missing.keys().copied().collect();
    assert_eq!(missing, [Need::Monitor, Need::Mirroring, Need::Witness, Need::Account]);
    let skipped = survey.skips(check("a_witness_joins_a_synchronized_session")).unwrap();
    assert!(skipped.contains("mirror"), "{skipped}");

    for name in [
        "the_chain_that_is_resolved_can_be_restored",
        "every_statement_of_log_shipping_is_carried_out",
        "a_configured_database_is_shipped_and_failed_over",
    ] {
        assert_eq!(survey.skips(check(name)), None, "{name}");
        check(name).run_on(&ground).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    drop(stand_in);
}

#[test]
fn without_folders_only_what_needs_them_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let stand_in = served(&runtime, folder.path());
    let mut variables = variables(&stand_in);
    variables.retain(|(name, _)| !name.contains("_BACKUP_") && !name.contains("_COPY_"));
    let ground = named(variables);
    let survey = Survey::of(&ground).unwrap();
    assert!(survey.missing[&Need::Folders].contains("PCDR_TEST_BACKUP_SHARE"));
    let with_folders = check("the_chain_that_is_resolved_can_be_restored");
    assert!(survey.skips(with_folders).is_some());
    let without = check("an_alert_job_that_is_there_is_kept");
    assert_eq!(survey.skips(without), None);
    without.run_on(&ground).unwrap_or_else(|why| panic!("{why}"));
    drop(stand_in);
}

/// On Linux, servers have no UNC paths: a folder is mounted at the same path on each.
#[cfg(unix)]
#[test]
fn servers_on_linux_ship_through_a_folder_that_is_mounted_on_each() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let on_linux = DESIGN.replace("host = ", "data_directory = \"/var/opt/mssql/data\"\nhost = ");
    let stand_in = served_as(&runtime, folder.path(), &on_linux);
    let of = |server: &str| stand_in.world.path(stand_in.server_name(server).unwrap(), "/shared");
    let (here, there) = (of("a").unwrap(), of("b").unwrap());
    for name in ["backups", "copies"] {
        std::fs::create_dir_all(here.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(&here, &there).unwrap();
    let mut variables = variables(&stand_in);
    for (name, value) in &mut variables {
        let folder = if name.contains("_COPY_") { "copies" } else { "backups" };
        if name.ends_with("_SHARE") {
            *value = format!("/shared/{folder}");
        } else if name.ends_with("_MOUNT") {
            *value = here.join(folder).display().to_string();
        }
    }
    let ground = named(variables);
    let survey = Survey::of(&ground).unwrap();
    assert!(survey.servers.iter().all(|line| line.ends_with("Linux")), "{:?}", survey.servers);
    assert!(!survey.missing.contains_key(&Need::Folders), "{:?}", survey.missing);
    for name in [
        "the_folders_keep_the_contract_of_backup_files",
        "the_jobs_ship_the_log_and_the_tables_follow",
        "a_configured_database_is_shipped_and_failed_over",
    ] {
        assert_eq!(survey.skips(check(name)), None, "{name}");
        check(name).run_on(&ground).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    drop(stand_in);
}

/// A check that fails after it made things.
const FAILING: Check = Check {
    name: "it_fails_in_the_middle",
    needs: &[],
    decides: &[],
    carries_out: &[],
    run: |servers| {
        Box::pin(async move {
            servers.create_database().await;
            let job = pcdr_sql::quote::name(&format!("{} job", servers.scratch)).unwrap();
            servers.sql("primary", &format!("EXEC msdb.dbo.sp_add_job @job_name = {job};")).await;
            servers
                .sql("primary", pcdr_sql::statement::log_shipping::add_alert_job().batch.as_str())
                .await;
            panic!("in the middle");
        })
    },
};

/// A check that changes what is not its own, past every guard.
const MEDDLING: Check = Check {
    name: "it_changes_something_else",
    needs: &[],
    decides: &[],
    carries_out: &[],
    run: |servers| {
        Box::pin(async move {
            let meddle = format!("CREATE DATABASE somebody_elses; -- {}", servers.scratch);
            servers.sql("secondary", &meddle).await;
        })
    },
};

#[test]
fn a_check_that_fails_is_cleaned_up_after_and_one_that_meddles_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let stand_in = served(&runtime, folder.path());
    let ground = named(variables(&stand_in));
    let names = || -> Vec<(String, usize)> {
        let state = stand_in.world.lock();
        let of = |(name, instance): (&String, &pcdr_sim::engine::state::InstanceState)| {
            (name.clone(), instance.databases.len())
        };
        state.instances.iter().map(of).collect()
    };
    let before = names();
    let why = FAILING.run_on(&ground).unwrap_err();
    assert_eq!(why, "in the middle");
    assert_eq!(names(), before, "databases are left");
    // The next check starts from what was there: nothing of the first one is left on the servers.
    check("an_alert_job_that_is_there_is_kept").run_on(&ground).unwrap();

    let why = MEDDLING.run_on(&ground).unwrap_err();
    assert!(why.contains("something else was changed") && why.contains("somebody_elses"), "{why}");
}
