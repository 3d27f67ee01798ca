//! What is made of what instances answer: roles, questions, gaps, and never a guess.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pcdr_core::discover::{
    Discovered, Given, GivenInstance, Kind, Partnership, Service, Survey, discover,
};
use pcdr_core::observation::{
    DatabaseObservation, DatabaseState, InstanceObservation, Job, JobSchedule, LogShippingPrimary,
    LogShippingSecondary, Mirroring, MirroringEndpoint, MirroringRole, MirroringState,
    MonitorAuthentication, RecoveryModel, RegisteredPrimary, UserAccess,
};
use pcdr_core::schedule::Schedule;
use pcdr_core::settings::{Compression, RestoreMode};
use pcdr_core::topology::{Authentication, Connection, Encryption, Role, SecretSource};
use pcdr_core::{DatabaseName, Guid, Known, Timestamp, Topology};

const NOW: Timestamp = Timestamp::from_unix_millis(1_772_361_900_000);

fn job(name: &str, seconds: u32) -> Known<Job> {
    let schedule = Some(Schedule::all_day(seconds));
    Known::Known(Job {
        id: Guid(1),
        name: name.to_owned(),
        is_enabled: true,
        is_running: false,
        last_run_status: None,
        last_run_at: None,
        last_run_message: None,
        last_failure: None,
        schedules: vec![JobSchedule { id: 1, name: name.to_owned(), is_enabled: true, schedule }],
    })
}

/// An instance with an alert job, an endpoint and nothing else.
fn instance(server: &str) -> Survey {
    let endpoint = MirroringEndpoint {
        name: "Mirroring".to_owned(),
        port: 5022,
        is_started: true,
        allows_partner: true,
        allows_witness: true,
    };
    let service =
        Service { name: "SQL Server (MSSQLSERVER)".to_owned(), account: r"EXAMPLE\sql".to_owned() };
    Survey {
        seen: InstanceObservation {
            observed_at: NOW,
            utc_offset_minutes: 0,
            server_name: Some(server.to_owned()),
            version: "15.0.4153.1".to_owned(),
            edition: "Standard Edition (64-bit)".to_owned(),
            agent_running: Known::Known(true),
            databases: Known::Known(BTreeMap::new()),
            log_shipping_primary: Known::Known(BTreeMap::new()),
            log_shipping_secondary: Known::Known(BTreeMap::new()),
            alert_job: job("LSAlert", 120).map(Some),
            log_shipping_unfinished: Known::Known(Vec::new()),
            log_shipping_monitored: Known::Known(Vec::new()),
            mirroring_endpoint: Known::Known(Some(endpoint)),
        },
        instance_name: None,
        partnerships: Known::Known(Vec::new()),
        witnessed: Known::Known(Vec::new()),
        services: Known::Known(vec![service]),
        endpoint_security: Known::Known(None),
        files: Known::Known(Vec::new()),
    }
}

fn known<T>(known: &mut Known<T>) -> &mut T {
    match known {
        Known::Known(value) => value,
        Known::Unknown(reason) => panic!("{reason}"),
    }
}

fn copy(survey: &mut Survey, database: &str, state: DatabaseState) {
    let copy = DatabaseObservation {
        state,
        is_in_standby: false,
        is_read_only: false,
        user_access: UserAccess::MultiUser,
        recovery_model: RecoveryModel::Full,
        log_position: Known::unknown("not_asked", "not asked"),
        mirroring: Known::Known(None),
        sessions: Known::Known(Vec::new()),
        server_pings: Known::unknown("not_asked", "not asked"),
        log_since_backup_bytes: Known::unknown("not_asked", "not asked"),
        log_backups_taken: Known::unknown("not_asked", "not asked"),
        log_backups_restored: Known::unknown("not_asked", "not asked"),
    };
    known(&mut survey.seen.databases).insert(database.into(), copy);
}

/// `database` is log-shipped from this instance to those servers, where it has the name beside them.
fn ships(survey: &mut Survey, database: &str, secondaries: &[(&str, &str)]) {
    copy(survey, database, DatabaseState::Online);
    let entry = LogShippingPrimary {
        backup_directory: r"\\files.example.net\log".to_owned(),
        backup_share: r"\\files.example.net\log".to_owned(),
        backup_retention_minutes: 4320,
        backup_compression: Some(Compression::Instance),
        last_backup_file: None,
        last_backup_at: None,
        backup_threshold_minutes: Some(60),
        raises_alert: Some(true),
        history_retention_minutes: Some(5760),
        monitor_server: None,
        monitor_authentication: None,
        backup_job: job("LSBackup", 900),
        secondaries: secondaries.iter().map(|(s, d)| ((*s).to_owned(), (*d).to_owned())).collect(),
    };
    known(&mut survey.seen.log_shipping_primary).insert(database.into(), entry);
}

/// `database` receives the log of a server's database.
fn receives(survey: &mut Survey, database: &str, (server, primary): (&str, &str)) {
    copy(survey, database, DatabaseState::Restoring);
    let own = survey.seen.server_name.clone().unwrap();
    let entry = LogShippingSecondary {
        primary_server: server.to_owned(),
        primary_database: primary.into(),
        backup_source_directory: r"\\files.example.net\log".to_owned(),
        backup_destination_directory: format!(r"\\{own}.example.net\copies"),
        file_retention_minutes: Some(4320),
        monitor_server: None,
        monitor_authentication: None,
        last_copied_file: None,
        last_copied_at: None,
        last_restored_file: None,
        last_restored_at: None,
        last_restored_latency_minutes: None,
        restore_threshold_minutes: Some(45),
        raises_alert: Some(true),
        history_retention_minutes: Some(5760),
        restore_delay_minutes: 0,
        restores_all: Some(true),
        restore_mode: Some(RestoreMode::NoRecovery),
        disconnect_users: Some(false),
        copy_job: job("LSCopy", 900),
        restore_job: job("LSRestore", 900),
    };
    known(&mut survey.seen.log_shipping_secondary).insert(database.into(), entry);
}

/// One side of a mirroring session.
fn mirrors(survey: &mut Survey, database: &str, partner: &str, role: MirroringRole, guid: u128) {
    let session = Mirroring {
        role,
        state: MirroringState::Synchronized,
        partner_address: format!("TCP://{partner}.example.net:5022"),
        witness_address: None,
        is_witness_connected: None,
        is_safety_full: true,
        end_of_log_lsn: None,
    };
    let databases = known(&mut survey.seen.databases);
    databases.get_mut(&DatabaseName::from(database)).unwrap().mirroring =
        Known::Known(Some(session));
    known(&mut survey.partnerships).push(Partnership {
        database: database.into(),
        guid: Guid(guid),
        partner_instance: Some(partner.to_owned()),
        timeout_seconds: Some(10),
    });
}

fn given(surveys: Vec<Survey>) -> Given {
    let password = SecretSource::Environment("PCDR_PASSWORD".to_owned());
    let instance = |survey: Survey| {
        let server = survey.seen.server_name.clone().unwrap_or_else(|| "nameless".to_owned());
        GivenInstance {
            address: server.to_lowercase(),
            host: None,
            connect_host: format!("{}.example.net", server.to_lowercase()),
            port: None,
            instance: None,
            survey: Known::Known(survey),
        }
    };
    Given {
        taken_at: NOW,
        instances: surveys.into_iter().map(instance).collect(),
        sites: Vec::new(),
        roles: Vec::new(),
        databases: Vec::new(),
        pool: None,
        active_after_failover: Vec::new(),
        mounts: Vec::new(),
        connection: Connection {
            encryption: Encryption::Mandatory,
            authentication: Authentication::SqlLogin { login: "pcdr".to_owned(), password },
            ca_file: None,
            host_name_in_certificate: None,
            connect_timeout: Duration::from_secs(15),
        },
    }
}

/// A primary with its mirror, and a secondary.
fn a_pair_and_its_secondary() -> Vec<Survey> {
    let [mut one, mut two, mut three] = ["N1", "N2", "S1"].map(instance);
    ships(&mut one, "db", &[("S1", "db")]);
    ships(&mut two, "db", &[("S1", "db")]);
    receives(&mut three, "db", ("N1", "db"));
    mirrors(&mut one, "db", "N2", MirroringRole::Principal, 7);
    copy(&mut two, "db", DatabaseState::Restoring);
    mirrors(&mut two, "db", "N1", MirroringRole::Mirror, 7);
    vec![one, two, three]
}

/// The codes of what is more than a note.
fn codes(found: &Discovered) -> BTreeSet<&'static str> {
    let told = found.findings.iter().filter(|finding| finding.code.kind() != Kind::Note);
    told.map(|finding| finding.code.as_str()).collect()
}

fn only(codes: &[&'static str]) -> BTreeSet<&'static str> {
    codes.iter().copied().collect()
}

fn roles(found: &Discovered) -> Vec<Option<Role>> {
    found.instances.iter().map(|placed| placed.role).collect()
}

#[test]
fn roles_follow_from_entries_and_sessions_whatever_the_order_of_the_instances() {
    let wanted = [Some(Role::Primary), Some(Role::PrimaryMirror), Some(Role::Secondary)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let surveys = a_pair_and_its_secondary();
        let found = discover(&given(order.map(|at| surveys[at].clone()).to_vec()));
        assert!(found.is_complete(), "{:?}", found.findings);
        assert_eq!(roles(&found), order.map(|at| wanted[at]));
        let topology = found.topology.unwrap();
        assert_eq!(topology.primary().host, "N1.example.net", "as the partner calls it");
        assert_ne!(topology.primary().site, topology.secondary().site);
    }
}

#[test]
fn the_designed_primary_stays_the_primary_while_its_mirror_is_principal() {
    let mut surveys = a_pair_and_its_secondary();
    for (at, role, state) in [
        (0, MirroringRole::Mirror, DatabaseState::Restoring),
        (1, MirroringRole::Principal, DatabaseState::Online),
    ] {
        let databases = known(&mut surveys[at].seen.databases);
        let copy = databases.get_mut(&DatabaseName::from("db")).unwrap();
        copy.state = state;
        known(&mut copy.mirroring).as_mut().unwrap().role = role;
    }
    let found = discover(&given(surveys));
    assert!(found.is_complete(), "{:?}", found.findings);
    assert_eq!(roles(&found)[0], Some(Role::Primary));
}

#[test]
fn instances_that_ship_each_others_databases_are_two_topologies() {
    let [mut one, mut two] = ["N1", "S1"].map(instance);
    ships(&mut one, "a", &[("S1", "a")]);
    receives(&mut two, "a", ("N1", "a"));
    ships(&mut two, "b", &[("N1", "b")]);
    receives(&mut one, "b", ("S1", "b"));
    let mut given = given(vec![one, two]);
    let found = discover(&given);
    assert_eq!(codes(&found), only(&["several_primaries"]));
    assert!(found.file.is_none());
    for (database, role) in [("a", Role::Primary), ("B", Role::Secondary)] {
        given.databases = vec![database.into()];
        let found = discover(&given);
        assert!(found.is_complete(), "{database}: {:?}", found.findings);
        assert_eq!(roles(&found)[0], Some(role));
    }
}

#[test]
fn what_no_topology_can_say_is_a_question() {
    let [mut one, mut two, mut three] = ["N1", "S1", "S2"].map(instance);
    ships(&mut one, "db", &[("S1", "copy of db")]);
    receives(&mut two, "copy of db", ("N1", "db"));
    let found = discover(&given(vec![one.clone(), two]));
    assert!(codes(&found).contains("secondary_renamed"), "{:?}", found.findings);
    assert!(found.file.is_none());

    let mut two = instance("S1");
    receives(&mut two, "db", ("N1", "db"));
    receives(&mut three, "db", ("N9", "db"));
    let found = discover(&given(vec![one.clone(), two, three]));
    assert_eq!(codes(&found), only(&["primaries_disagree"]));

    let found = discover(&given(vec![one.clone(), one]));
    assert!(codes(&found).contains("same_server_name"), "{:?}", found.findings);

    let mut surveys = a_pair_and_its_secondary();
    surveys.push(instance("S2"));
    receives(&mut surveys[3], "db", ("N1", "db"));
    let found = discover(&given(surveys));
    assert!(codes(&found).contains("several_secondaries") && found.file.is_none());
    assert_eq!(roles(&found)[1], Some(Role::PrimaryMirror), "what is known is told all the same");
}

#[test]
fn a_monitor_that_is_the_secondary_too_leaves_the_file_open() {
    let mut surveys = a_pair_and_its_secondary();
    for at in [0, 1] {
        let entries = known(&mut surveys[at].seen.log_shipping_primary);
        entries.values_mut().for_each(|entry| entry.monitor_server = Some("S1".to_owned()));
    }
    let found = discover(&given(surveys.clone()));
    assert!(codes(&found).contains("monitor_has_another_role"), "{:?}", found.findings);
    assert!(found.file.is_some() && found.topology.is_none());

    let entries = known(&mut surveys[2].seen.log_shipping_secondary);
    entries.values_mut().for_each(|entry| entry.monitor_server = Some("M1".to_owned()));
    for at in [0, 1] {
        let entries = known(&mut surveys[at].seen.log_shipping_primary);
        entries.values_mut().for_each(|entry| entry.monitor_server = Some("m1".to_owned()));
    }
    let found = discover(&given(surveys.clone()));
    assert_eq!(codes(&found), only(&["monitor_not_given"]));
    surveys.push(instance("M1"));
    let found = discover(&given(surveys));
    assert!(found.is_complete(), "{:?}", found.findings);
    assert_eq!(roles(&found)[3], Some(Role::Monitor));
}

#[test]
fn the_login_that_reports_to_the_monitor_is_written_and_its_password_is_asked_for() {
    let mut surveys = a_pair_and_its_secondary();
    surveys.push(instance("M1"));
    let mut tell = |login: Option<&str>| {
        let login = login.map(str::to_owned);
        for at in [0, 1] {
            for entry in known(&mut surveys[at].seen.log_shipping_primary).values_mut() {
                entry.monitor_server = Some("M1".to_owned());
                entry.monitor_authentication =
                    Some(MonitorAuthentication::SqlServer { login: login.clone() });
            }
        }
        for entry in known(&mut surveys[2].seen.log_shipping_secondary).values_mut() {
            entry.monitor_server = Some("M1".to_owned());
            entry.monitor_authentication =
                Some(MonitorAuthentication::SqlServer { login: login.clone() });
        }
        discover(&given(surveys.clone()))
    };
    let found = tell(Some("ship"));
    assert!(found.is_complete(), "{:?}", found.findings);
    let asks = |code: &str| found.findings.iter().any(|finding| finding.code.as_str() == code);
    assert!(asks("monitor_password_not_told"), "{:?}", found.findings);
    let topology = found.topology.unwrap();
    let login = topology.log_shipping().monitor_login.as_ref().unwrap();
    assert_eq!(login.login, "ship");
    assert_eq!(login.password, SecretSource::Environment("PCDR_MONITOR_PASSWORD".to_owned()));

    let found = tell(None);
    assert!(codes(&found).contains("monitor_login_unknown"), "{:?}", found.findings);
    assert!(found.file.is_some() && found.topology.is_none(), "the file is left open");
}

#[test]
fn a_second_source_of_the_log_and_a_half_registered_primary_are_told() {
    let mut surveys = a_pair_and_its_secondary();
    surveys.push(instance("N3"));
    ships(&mut surveys[3], "db", &[("S1", "db")]);
    let half = RegisteredPrimary { primary_server: "N2".to_owned(), primary_database: "db".into() };
    known(&mut surveys[2].seen.log_shipping_unfinished).push(half);
    let found = discover(&given(surveys));
    assert_eq!(codes(&found), only(&["second_primary", "registered_without_database", "no_part"]));
}

#[test]
fn a_primary_without_an_entry_and_a_local_copy_folder_leave_the_file_open_and_say_why() {
    let mut surveys = a_pair_and_its_secondary();
    for at in [0, 1] {
        known(&mut surveys[at].seen.log_shipping_primary).clear();
    }
    let found = discover(&given(surveys));
    assert_eq!(codes(&found), only(&["primary_without_entry"]));
    assert!(found.file.is_some() && found.topology.is_none());

    let mut surveys = a_pair_and_its_secondary();
    let entries = known(&mut surveys[2].seen.log_shipping_secondary);
    for entry in entries.values_mut() {
        entry.backup_destination_directory = r"D:\copies".to_owned();
    }
    let mut given = given(surveys);
    let found = discover(&given);
    assert_eq!(codes(&found), only(&["breaks_rule"]));
    assert!(found.findings[0].remedy.contains("`mount`"), "{:?}", found.findings);
    given.mounts = vec![(r"d:\Copies\".to_owned(), "/mnt/copies".to_owned())];
    let found = discover(&given);
    assert!(found.is_complete(), "{:?}", found.findings);
}

#[test]
fn what_configure_would_refuse_is_told() {
    let mut surveys = a_pair_and_its_secondary();
    surveys[2].seen.agent_running = Known::Known(false);
    let found = discover(&given(surveys));
    assert_eq!(codes(&found), only(&["configure_refuses"]));
    assert!(found.topology.is_some() && !found.is_complete());
}

#[test]
fn a_hundred_databases_among_two_hundred_other_instances_are_told_apart() {
    let [mut one, mut two, mut three] = ["N1", "N2", "S1"].map(instance);
    for number in 0..100 {
        let name = format!("db{number:03}");
        ships(&mut one, &name, &[("S1", &name)]);
        ships(&mut two, &name, &[("S1", &name)]);
        receives(&mut three, &name, ("N1", &name));
        mirrors(&mut one, &name, "N2", MirroringRole::Principal, number);
        copy(&mut two, &name, DatabaseState::Restoring);
        mirrors(&mut two, &name, "N1", MirroringRole::Mirror, number);
    }
    let mut others: Vec<Survey> = (0..200).map(|number| instance(&format!("X{number}"))).collect();
    for (number, other) in (1_000..).zip(&mut others) {
        copy(other, "own", DatabaseState::Online);
        mirrors(other, "own", &format!("Y{number}"), MirroringRole::Principal, number);
    }
    let wanted = given([vec![one.clone(), two.clone(), three.clone()], others].concat());
    let found = discover(&wanted);
    assert_eq!(codes(&found), only(&["no_part"]));
    assert_eq!(found.findings.iter().filter(|f| f.code.as_str() == "no_part").count(), 200);
    let alone = discover(&given(vec![one, two, three]));
    assert!(alone.is_complete(), "{:?}", alone.findings);
    assert_eq!(alone.topology.unwrap().databases().len(), 100);
}

#[test]
fn names_that_differ_in_case_between_instances_are_one() {
    let [mut one, mut two] = ["N1", "S1"].map(instance);
    ships(&mut one, "Db", &[("s1", "Db")]);
    receives(&mut two, "DB", ("n1", "dB"));
    let found = discover(&given(vec![one, two]));
    let topology = found.topology.as_ref().unwrap_or_else(|| panic!("{:?}", found.findings));
    assert_eq!(topology.databases(), [DatabaseName::from("Db")]);
}

#[test]
fn a_mirror_whose_session_is_hidden_is_known_by_its_name_and_its_hiding_is_told() {
    let mut surveys = a_pair_and_its_secondary();
    known(&mut surveys[1].partnerships).clear();
    let found = discover(&given(surveys.clone()));
    assert_eq!(roles(&found)[1], Some(Role::PrimaryMirror));

    let databases = known(&mut surveys[0].seen.databases);
    let copy = databases.get_mut(&DatabaseName::from("db")).unwrap();
    copy.mirroring = Known::unknown("permission_denied", "sysadmin only");
    known(&mut surveys[0].partnerships).clear();
    let found = discover(&given(surveys));
    assert!(codes(&found).contains("unreadable"), "{:?}", found.findings);
    assert!(!found.is_complete());
}

type Hide = (&'static str, fn(&mut Survey));

fn hidden<T>() -> Known<T> {
    Known::unknown("permission_denied", "hidden")
}

/// Everything without which something of the file would be a guess.
const HIDE: [Hide; 12] = [
    ("databases", |s| s.seen.databases = hidden()),
    ("primaries", |s| s.seen.log_shipping_primary = hidden()),
    ("secondaries", |s| s.seen.log_shipping_secondary = hidden()),
    ("alert job", |s| s.seen.alert_job = hidden()),
    ("unfinished", |s| s.seen.log_shipping_unfinished = hidden()),
    ("endpoint", |s| s.seen.mirroring_endpoint = hidden()),
    ("partnerships", |s| s.partnerships = hidden()),
    ("witnessed", |s| s.witnessed = hidden()),
    ("server name", |s| s.seen.server_name = None),
    ("everything", |s| {
        s.seen.log_shipping_primary = hidden();
        s.seen.log_shipping_secondary = hidden();
        s.partnerships = hidden();
    }),
    ("jobs", |s| {
        if let Known::Known(all) = &mut s.seen.log_shipping_primary {
            all.values_mut().for_each(|entry| entry.backup_job = hidden());
        }
        if let Known::Known(all) = &mut s.seen.log_shipping_secondary {
            all.values_mut().for_each(|entry| entry.copy_job = hidden());
        }
    }),
    ("thresholds", |s| {
        if let Known::Known(all) = &mut s.seen.log_shipping_primary {
            all.values_mut().for_each(|entry| entry.backup_threshold_minutes = None);
        }
        if let Known::Known(all) = &mut s.seen.log_shipping_secondary {
            all.values_mut().for_each(|entry| entry.restore_threshold_minutes = None);
        }
    }),
];

#[test]
fn nothing_that_is_hidden_is_guessed_and_no_file_with_a_gap_validates() {
    let mut files = 0;
    for (first, hide) in HIDE {
        for (second, hide_too) in HIDE {
            for (at, other) in [(0, 0), (0, 2), (2, 0), (1, 2), (2, 2)] {
                let mut surveys = a_pair_and_its_secondary();
                hide(&mut surveys[at]);
                hide_too(&mut surveys[other]);
                let found = discover(&given(surveys));
                let what = format!("{first} of {at}, {second} of {other}: {:?}", found.findings);
                // The second of two entries is compared only: what it does not tell differs in nothing.
                let is_told = at != 1 || other != 1;
                assert!(!found.is_complete() || !is_told, "{what}");
                assert!(!found.is_nothing_there, "{what}");
                if let Some(file) = &found.file {
                    files += 1;
                    assert!(file.parse::<toml::Table>().is_ok(), "{what}\n{file}");
                    assert_eq!(Topology::parse(file).is_ok(), found.topology.is_some(), "{what}");
                    assert!(found.topology.is_none(), "{what}\n{file}");
                }
            }
        }
    }
    assert!(files > 100, "only {files} files were written");
}

#[test]
fn a_server_of_a_hostile_name_writes_a_file_that_says_only_what_it_is() {
    let hostile = "N1\n[pool]\nfqdn = \"evil\" # '''\u{7f}\"\"\"";
    let [mut one, mut two] = [hostile, "S1"].map(instance);
    ships(&mut one, "d\nb\"'", &[("S1", "d\nb\"'")]);
    receives(&mut two, "d\nb\"'", (hostile, "d\nb\"'"));
    let found = discover(&given(vec![one, two]));
    let file = found.file.unwrap();
    let table: toml::Table = file.parse().unwrap_or_else(|error| panic!("{error}\n{file}"));
    assert!(!table.contains_key("pool"), "{file}");
    assert!(found.topology.is_none(), "control characters are no name");
    assert!(found.findings.iter().any(|finding| finding.code.as_str() == "breaks_rule"));
}
