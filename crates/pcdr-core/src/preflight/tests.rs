//! Each check in its three outcomes.

use super::*;
use crate::mock::MockWorld;
use crate::observation::{DatabaseState, Mirroring, MirroringRole, MirroringState, RecoveryModel};
use crate::observe::observe;

/// A world in which every check of a command can be made.
struct Ground {
    topology: Topology,
    observation: Observation,
    answers: BTreeMap<InstanceName, Known<Answered>>,
}

const ASKED: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);
const GIB: u64 = 1 << 30;

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn good(topology: &Topology, instance: &Instance) -> Answer {
    let questions = || Command::ALL.map(|command| question(command, topology, instance));
    let file = |is_log, path: &str| File {
        database: "mgc".into(),
        is_log,
        path: path.to_owned(),
        size_bytes: GIB,
    };
    Answer {
        now: ASKED.plus(std::time::Duration::from_millis(200)),
        rights: questions()
            .into_iter()
            .flat_map(|question| question.rights)
            .map(|right| (right, Known::Known(true)))
            .collect(),
        services: Known::Known(vec![
            Service { name: "SQL Server Agent (MSSQLSERVER)".into(), account: "X\\agent".into() },
            Service {
                name: "SQL Server (MSSQLSERVER)".into(),
                account: instance.service_account.clone().unwrap_or_default(),
            },
        ]),
        volumes: Known::Known(vec![Volume {
            mount_point: "D:\\".into(),
            total_bytes: 100 * GIB,
            available_bytes: 50 * GIB,
        }]),
        files: Known::Known(vec![file(false, "D:\\data\\mgc.mdf"), file(true, "d:\\log\\mgc.ldf")]),
        folders: questions()
            .into_iter()
            .flat_map(|question| question.folders)
            .map(|folder| (folder, Known::Known(true)))
            .collect(),
    }
}

impl Ground {
    fn new() -> Ground {
        let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
        let world = MockWorld::new(topology.clone());
        world.ship("mgc", 1000, 1100);
        let observation = block_on(observe(&topology, &world.ports(), "test", None));
        let answers = topology.instances().map(|instance| {
            let answered = Answered {
                asked_at: ASKED,
                answered_at: ASKED.plus(std::time::Duration::from_millis(400)),
                answer: good(&topology, instance),
            };
            (instance.name.clone(), Known::Known(answered))
        });
        let answers = answers.collect();
        Ground { topology, observation, answers }
    }

    fn answer(&mut self, instance: &str) -> &mut Answer {
        match self.answers.get_mut(&InstanceName::from(instance)) {
            Some(Known::Known(answered)) => &mut answered.answer,
            _ => panic!("{instance} has no answer"),
        }
    }

    fn seen(&mut self, instance: &str) -> &mut crate::observation::InstanceObservation {
        match self.observation.instances.get_mut(&InstanceName::from(instance)) {
            Some(Known::Known(seen)) => seen,
            _ => panic!("{instance} was not seen"),
        }
    }

    fn copy(&mut self, instance: &str) -> &mut crate::observation::DatabaseObservation {
        match &mut self.seen(instance).databases {
            Known::Known(all) => all.get_mut(&DatabaseName::from("mgc")).unwrap(),
            Known::Unknown(_) => panic!("{instance} does not tell its databases"),
        }
    }

    /// How the checks of a code on an instance ended: P, F or N, in their order.
    fn ended(&self, command: Command, instance: &str, code: &str) -> String {
        let report = check(command, &self.topology, &self.observation, &self.answers);
        report
            .checks()
            .filter(|(name, check)| name.as_str() == instance && check.code == code)
            .map(|(_, check)| match check.outcome {
                Outcome::Passed { .. } => 'P',
                Outcome::Failed { .. } => 'F',
                Outcome::NotChecked { .. } => 'N',
            })
            .collect()
    }
}

fn reason() -> Reason {
    Reason::new("permission_denied", "VIEW SERVER STATE is missing")
}

#[test]
fn nothing_fails_where_everything_is_as_it_should_be() {
    let mut ground = Ground::new();
    for instance in ["sql-n1", "sql-n2", "sql-s1"] {
        assert_eq!(ground.ended(Command::Configure, instance, "agent"), "P", "{instance}");
        assert!(ground.ended(Command::Configure, instance, "clock").starts_with('P'));
    }
    ground.seen("sql-s2").databases = Known::Known(BTreeMap::new());
    let mut met = std::collections::BTreeSet::new();
    for command in Command::ALL.into_iter().filter(|command| !command.only_reads()) {
        let report = check(command, &ground.topology, &ground.observation, &ground.answers);
        for (instance, check) in report.checks() {
            let is_failure = matches!(check.outcome, Outcome::Failed { .. });
            // The mock has no mirroring endpoints, which only configure creates.
            let is_missing = check.code == "endpoint" && command != Command::Configure;
            assert!(!is_failure || is_missing, "{instance}: {check:?}");
            assert!(ALL_CODES.contains(&check.code), "{}", check.code);
            met.insert(check.code);
        }
        assert_eq!(report.instances.len(), 5);
        assert!(report.instances.iter().all(|instance| instance.checks.len() >= 3));
    }
    assert_eq!(met.len(), ALL_CODES.len(), "a code that no check has: {met:?}");
}

#[test]
fn an_instance_that_does_not_answer_fails_except_where_a_failover_does_without_it() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Failover, "sql-n1", "answers"), "P");
    for lost in ["sql-n1", "sql-s1"] {
        let unknown = Known::unknown("unreachable", "no route");
        ground.observation.instances.insert(lost.into(), unknown);
        ground.answers.insert(lost.into(), Known::unknown("unreachable", "no route"));
    }
    assert_eq!(ground.ended(Command::Failover, "sql-n1", "answers"), "N");
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "answers"), "F");
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "answers"), "F");
    assert_eq!(
        ground.ended(Command::Fence, "sql-n1", "answers"),
        "N",
        "fence again when it is back"
    );
    assert_eq!(ground.ended(Command::Fence, "sql-s1", "answers"), "F");
    assert_eq!(ground.ended(Command::PlannedFailover, "sql-n1", "answers"), "F");
    // No other check of it is left out, and none passes.
    let all = |code| ground.ended(Command::Configure, "sql-s1", code);
    let codes = ["right", "agent", "edition", "release", "folder", "folder_written", "space"];
    for code in codes.into_iter().chain(["clock", "endpoint"]) {
        assert!(!all(code).is_empty() && all(code).chars().all(|c| c == 'N'), "{code}");
    }
}

#[test]
fn a_right_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "right"), "P", "sysadmin has all");
    ground.answer("sql-s1").rights.insert(Right::SYSADMIN, Known::Known(false));
    let ended = ground.ended(Command::Failover, "sql-s1", "right");
    assert_eq!(ended.matches('F').count(), 1, "sysadmin itself: {ended}");
    let kill = Right::Server("ALTER ANY CONNECTION");
    ground.answer("sql-s1").rights.insert(kill.clone(), Known::Known(false));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "right").matches('F').count(), 2);
    ground.answer("sql-s1").rights.insert(kill, Known::Unknown(reason()));
    let ended = ground.ended(Command::Failover, "sql-s1", "right");
    assert_eq!((ended.matches('F').count(), ended.matches('N').count()), (1, 1));
}

#[test]
fn a_right_that_is_needed_only_at_times_does_not_fail() {
    let mut ground = Ground::new();
    ground.answer("sql-n3").rights.insert(Right::SYSADMIN, Known::Known(false));
    let any_endpoint = Right::Server("ALTER ANY ENDPOINT");
    ground.answer("sql-n3").rights.insert(any_endpoint, Known::Known(false));
    assert!(!ground.ended(Command::Configure, "sql-n3", "right").contains('F'));
}

#[test]
fn agent_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Remove, "sql-n1", "agent"), "P");
    ground.seen("sql-n1").agent_running = Known::Known(false);
    assert_eq!(ground.ended(Command::Remove, "sql-n1", "agent"), "F");
    ground.seen("sql-n1").agent_running = Known::Unknown(reason());
    assert_eq!(ground.ended(Command::Remove, "sql-n1", "agent"), "N");
}

#[test]
fn express_ships_no_logs_and_a_secondary_is_not_older() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "edition"), "P");
    ground.seen("sql-s1").edition = "Express Edition (64-bit)".into();
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "edition"), "F");
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "release"), "P");
    ground.seen("sql-s1").version = "11.0.7001.0".into();
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "release"), "F");
    assert_eq!(ground.ended(Command::Failover, "sql-s2", "release"), "F", "nor is it a partner");
    let unknown = Known::Unknown(reason());
    ground.observation.instances.insert("sql-n1".into(), unknown);
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "release"), "N");
}

#[test]
fn recovery_model_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "recovery_model"), "P");
    ground.copy("sql-n1").recovery_model = RecoveryModel::Simple;
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "recovery_model"), "F");
    ground.copy("sql-n1").recovery_model = RecoveryModel::BulkLogged;
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "recovery_model"), "F", "is mirrored");
    ground.seen("sql-n1").databases = Known::Unknown(reason());
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "recovery_model"), "N");
    ground.seen("sql-n1").databases = Known::Known(BTreeMap::new());
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "recovery_model"), "F", "no database");
}

#[test]
fn the_service_account_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "service_account"), "P");
    let run_as = |account: &str| {
        let service = Service { name: "SQL Server (A)".into(), account: account.into() };
        Known::Known(vec![service])
    };
    ground.answer("sql-n1").services = run_as("EXAMPLE\\other");
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "service_account"), "F");
    ground.answer("sql-n1").services = run_as("NT SERVICE\\MSSQLSERVER");
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "service_account"), "N");
    ground.answer("sql-n1").services = Known::Unknown(reason());
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "service_account"), "N");
}

#[test]
fn a_folder_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "folder"), "PP", "share and copies");
    let share = ground.topology.backup_share().unc.clone();
    ground.answer("sql-s1").folders.insert(share.clone(), Known::Known(false));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "folder"), "FP");
    ground.answer("sql-s1").folders.insert(share, Known::Unknown(reason()));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "folder"), "NP");
}

#[test]
fn the_folder_that_a_tail_goes_to_is_the_share_wherever_the_jobs_back_up_to() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::PlannedFailover, "sql-s1", "folder"), "PP", "it copies");
    let share = ground.topology.backup_share().unc.clone();
    for instance in ["sql-n1", "sql-n2", "sql-s1", "sql-s2"] {
        ground.answer(instance).folders.insert(share.clone(), Known::Known(false));
    }
    for (command, ended) in [
        (Command::PlannedFailover, ["F", "F", "FP", ""]),
        (Command::Fence, ["F", "F", "", ""]),
        (Command::Failback, ["F", "", "F", "F"]),
        (Command::MirrorFailover, ["", "", "", ""]),
    ] {
        let found = ["sql-n1", "sql-n2", "sql-s1", "sql-s2"]
            .map(|instance| ground.ended(command, instance, "folder"));
        assert_eq!(found, ended, "{}", command.as_str());
    }
}

#[test]
fn a_failback_needs_full_where_the_database_is_served_and_room_where_its_copy_is_missing() {
    let mut ground = Ground::new();
    let way_back =
        |ground: &Ground, instance, code| ground.ended(Command::Failback, instance, code);
    assert_eq!(way_back(&ground, "sql-s1", "recovery_model"), "", "it does not serve");
    assert_eq!(way_back(&ground, "sql-n1", "space"), "", "its copy is there");
    ground.copy("sql-s1").state = DatabaseState::Online;
    assert_eq!(way_back(&ground, "sql-s1", "recovery_model"), "P");
    ground.copy("sql-s1").recovery_model = RecoveryModel::Simple;
    assert_eq!(way_back(&ground, "sql-s1", "recovery_model"), "F");
    ground.seen("sql-n1").databases = Known::Known(BTreeMap::new());
    assert_eq!(way_back(&ground, "sql-n1", "space"), "P");
    ground.answer("sql-n1").volumes = Known::Known(Vec::new());
    assert_eq!(way_back(&ground, "sql-n1", "space"), "N", "no volume is told");
    ground.copy("sql-s1").state = DatabaseState::Restoring;
    assert_eq!(way_back(&ground, "sql-n1", "space"), "N", "nobody serves it");
    ground.seen("sql-n1").version = "10.50.6000.34".to_owned();
    assert_eq!(
        way_back(&ground, "sql-n1", "release"),
        "F",
        "an older release restores nothing newer"
    );
}

#[test]
fn that_a_folder_is_written_is_told_by_the_job_alone() {
    let mut ground = Ground::new();
    let job = |ground: &mut Ground, status| {
        let Known::Known(entries) = &mut ground.seen("sql-s1").log_shipping_secondary else {
            panic!("no entries")
        };
        let entry = entries.get_mut(&DatabaseName::from("mgc")).unwrap();
        let Known::Known(job) = &mut entry.copy_job else { panic!("no job") };
        job.last_run_status = status;
        job.last_run_at = status.map(|_| ASKED);
    };
    for (status, ended) in [(Some(1), "P"), (Some(0), "F"), (None, "N")] {
        job(&mut ground, status);
        assert_eq!(ground.ended(Command::Configure, "sql-s1", "folder_written"), ended);
    }
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "folder_written"), "N", "no job yet");
}

#[test]
fn headers_pass_fail_and_are_unknown() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "headers"), "P");
    let files = ground.observation.log_backups.get_mut(&DatabaseName::from("mgc")).unwrap();
    let Known::Known(share) = &mut files.share else { panic!("no share") };
    assert!(!share.is_empty());
    share.iter_mut().for_each(|file| file.header = Known::Unknown(reason()));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "headers"), "F");
    let files = ground.observation.log_backups.get_mut(&DatabaseName::from("mgc")).unwrap();
    files.share = Known::Known(Vec::new());
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "headers"), "N");
}

#[test]
fn space_to_restore_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    ground.seen("sql-s1").databases = Known::Known(BTreeMap::new());
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "P");
    let volume = |available_bytes| Volume {
        mount_point: "D:\\".into(),
        total_bytes: 10 * GIB,
        available_bytes,
    };
    ground.answer("sql-s1").volumes = Known::Known(vec![volume(2 * GIB - 1)]);
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "F", "a byte too few");
    ground.answer("sql-s1").volumes = Known::Known(vec![volume(2 * GIB)]);
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "P", "data and log");
    let mounted = Volume { mount_point: "D:\\data\\".into(), ..volume(0) };
    ground.answer("sql-s1").volumes = Known::Known(vec![volume(9 * GIB), mounted]);
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "F", "the nearest volume");
    ground.answer("sql-s1").volumes = Known::Known(Vec::new());
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "N", "no volume is told");
    ground.answer("sql-n1").files = Known::Unknown(reason());
    assert_eq!(ground.ended(Command::Configure, "sql-s1", "space"), "N");
    // The backup goes to a share.
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "space"), "N");
}

#[test]
fn space_for_the_log_that_is_left_is_what_was_not_restored() {
    let mut ground = Ground::new();
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "space"), "P");
    ground.answer("sql-s1").volumes = Known::Known(vec![Volume {
        mount_point: "D:\\".into(),
        total_bytes: 10 * GIB,
        available_bytes: 0,
    }]);
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "space"), "F");
}

#[test]
fn clocks_pass_fail_and_are_unknown() {
    let ahead = |millis: i64| {
        let mut ground = Ground::new();
        ground.answer("sql-s1").now = Timestamp::from_unix_millis(ASKED.unix_millis() + millis);
        ground.ended(Command::Failover, "sql-s1", "clock")
    };
    assert_eq!(ahead(0), "PP", "against this computer's, and against the primary's");
    let limit = checks::CLOCK_LIMIT_SECONDS * 1000;
    assert_eq!(ahead(limit + 401), "FN", "later than the end of the answer by more");
    assert_eq!(ahead(limit + 400), "NN", "it may have been told at the answer's end");
    assert_eq!(ahead(-limit - 1), "FN");
    assert_eq!(ahead(10 * limit), "FF");
    let mut ground = Ground::new();
    ground.answers.insert("sql-n1".into(), Known::Unknown(reason()));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "clock"), "PN");
    // An answer that took minutes tells nothing, and is no failure.
    let Some(Known::Known(slow)) = ground.answers.get_mut(&InstanceName::from("sql-s1")) else {
        panic!("no answer")
    };
    slow.answered_at = ASKED.plus(std::time::Duration::from_secs(300));
    assert_eq!(ground.ended(Command::Failover, "sql-s1", "clock"), "NN");
}

#[test]
fn the_endpoint_passes_fails_and_is_unknown() {
    let mut ground = Ground::new();
    let endpoint = |port, is_started| {
        Known::Known(Some(crate::observation::MirroringEndpoint {
            name: "Mirroring".into(),
            port,
            is_started,
            allows_partner: true,
            allows_witness: false,
        }))
    };
    let designed = ground.topology.primary().mirroring_port;
    ground.seen("sql-n1").mirroring_endpoint = endpoint(designed, true);
    assert_eq!(ground.ended(Command::MirrorFailover, "sql-n1", "endpoint"), "P");
    ground.seen("sql-n1").mirroring_endpoint = endpoint(designed, false);
    assert_eq!(ground.ended(Command::MirrorFailover, "sql-n1", "endpoint"), "F");
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "endpoint"), "P", "it is started then");
    ground.seen("sql-n1").mirroring_endpoint = endpoint(designed + 1, true);
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "endpoint"), "F");
    ground.seen("sql-n3").mirroring_endpoint = endpoint(7022, true);
    assert_eq!(ground.ended(Command::Configure, "sql-n3", "endpoint"), "F", "it is no witness");
    ground.seen("sql-n1").mirroring_endpoint = Known::Known(None);
    assert_eq!(ground.ended(Command::Configure, "sql-n1", "endpoint"), "P");
    assert_eq!(ground.ended(Command::MirrorFailover, "sql-n1", "endpoint"), "F");
    ground.seen("sql-n1").mirroring_endpoint = Known::Unknown(reason());
    assert_eq!(ground.ended(Command::MirrorFailover, "sql-n1", "endpoint"), "N");
}

#[test]
fn a_connection_is_told_by_the_session_alone() {
    let mut ground = Ground::new();
    let session = |state, is_witness_connected| {
        Known::Known(Some(Mirroring {
            role: MirroringRole::Principal,
            state,
            partner_address: "TCP://sql-n2.example.net:5022".into(),
            witness_address: None,
            is_witness_connected,
            is_safety_full: true,
            end_of_log_lsn: None,
        }))
    };
    let mut ended = |mirroring| {
        ground.copy("sql-n1").mirroring = mirroring;
        assert_eq!(ground.copy("sql-n1").state, DatabaseState::Online);
        ground.ended(Command::MirrorFailover, "sql-n1", "endpoint_connection")
    };
    assert_eq!(ended(session(MirroringState::Synchronized, Some(true))), "P");
    assert_eq!(ended(session(MirroringState::Synchronized, Some(false))), "F", "no witness");
    assert_eq!(ended(session(MirroringState::Disconnected, None)), "F");
    assert_eq!(ended(Known::Known(None)), "N");
    assert_eq!(ended(Known::Unknown(reason())), "N");
}
