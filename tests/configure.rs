//! Configure over the wire: what is refused or fails leaves everything as it was, and what was interrupted
//! is finished by the same plan, or by a new one.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, reason = "a randomised test prints its seed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::failure::Failure;
use pcdr_cli::plan;
use pcdr_core::ports::Owner;
use pcdr_core::run::{self, OnFailure, RunError, Watcher};
use pcdr_core::topology::Role;
use pcdr_core::{Intent, Plan, Refusal};
use pcdr_tests::{
    AtStep, Counted, Random, STRETCHED, Snapshot, Stage, Unseen, name, virtually, with_databases,
};

/// The file ends in the middle of a backup (3208), or a restore was interrupted (4319).
const NEEDS_A_NEW_PLAN: [i32; 2] = [3208, 4319];

async fn made(stage: &Stage, intent: Intent) -> Result<Plan, Failure> {
    let made = plan::make(intent, stage.topology(), stage.ports(), &[]).await;
    made.map(|(plan, _)| plan)
}

async fn planned(stage: &Stage) -> Plan {
    made(stage, Intent::Configure).await.unwrap_or_else(|failure| panic!("{}", failure.text(false)))
}

/// A refusal that changes nothing.
async fn refused(stage: &Stage) -> Refusal {
    let before = stage.snapshot().await;
    let failure = made(stage, Intent::Configure).await.map(|plan| plan.steps.len()).unwrap_err();
    let Failure::Refused(refusal) = failure else { panic!("{}", failure.text(false)) };
    assert!(!refusal.remedy().is_empty() && !refusal.to_string().is_empty());
    stage.unchanged_since(&before).await;
    *refusal
}

async fn sql(stage: &Stage, at: &str, batch: &str) {
    let sent = stage.workload.send(&name(at), batch.to_owned()).await;
    sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
}

fn step_of(plan: &Plan, wording: &str) -> u32 {
    let found = plan.steps.iter().find(|step| step.to_string().contains(wording));
    found.unwrap_or_else(|| panic!("no step says {wording}: {:#?}", words(plan))).id.0
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

/// Configured, and nothing differs from the design.
async fn prove(stage: &Stage, context: &str) {
    let rest = planned(stage).await;
    assert!(rest.steps.is_empty(), "{context}: left over: {:#?}", words(&rest));
    let drift = pcdr_core::drift::drift(stage.topology(), &stage.observe().await);
    assert_eq!(drift, [], "{context}");
    stage.told_no_secret();
}

async fn carry_out(stage: &Stage, context: &str) -> Plan {
    let plan = planned(stage).await;
    stage.succeeds(&plan).await;
    prove(stage, context).await;
    plan
}

/// A run that fails, and everything is as before; the error's code.
async fn fails_without_a_trace(
    stage: &Stage,
    plan: &Plan,
    watcher: &dyn Watcher,
    before: &Snapshot,
) -> String {
    let who = Owner { who: "test".into(), run: plan::new_run() };
    let run = run::apply(plan, stage.topology(), stage.ports(), &who, watcher);
    let error = run.await.unwrap_err();
    stage.note(&format!("{error}"));
    let RunError::Step { error, taken_back: Some(taken_back), .. } = error else {
        panic!("{error:?}")
    };
    assert!(taken_back.is_complete(), "{taken_back:#?}");
    stage.taken_back_to(before, error.code.as_str()).await;
    error.code.as_str().to_owned()
}

// ---- what is refused ------------------------------------------------------------------------------

#[test]
fn what_cannot_be_configured_is_refused_and_changes_nothing() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        sql(&stage, "sql-n1", "ALTER DATABASE mgc SET RECOVERY SIMPLE;").await;
        assert_eq!(refused(&stage).await.code(), "recovery_model_not_full");
        sql(&stage, "sql-n1", "ALTER DATABASE mgc SET RECOVERY FULL;").await;

        // A live database under the name, which nobody may overwrite, on either side.
        for at in ["sql-s1", "sql-n2"] {
            sql(&stage, at, "CREATE DATABASE mgc;").await;
            assert_eq!(refused(&stage).await.code(), "database_exists", "{at}");
            sql(&stage, at, "DROP DATABASE mgc;").await;
        }

        pcdr_sim::engine::agent::stop(&stage.stand_in.world, "sql-s1");
        assert_eq!(refused(&stage).await.code(), "agent_stopped");
        pcdr_sim::engine::agent::start(&stage.stand_in.world, "sql-s1");

        let edition = |edition: &str| {
            let mut world = stage.stand_in.world.lock();
            let config = &mut world.instances.get_mut("sql-n2").unwrap().config;
            std::mem::replace(&mut config.edition, edition.to_owned())
        };
        let was = edition("Standard Edition (64-bit)");
        assert_eq!(refused(&stage).await.code(), "cannot_pair");
        edition(&was);
        let version = |at: &str, (major, minor, build): (u8, u8, u16)| {
            let mut world = stage.stand_in.world.lock();
            let config = &mut world.instances.get_mut(at).unwrap().config;
            std::mem::replace(&mut config.version, (major, minor, build))
        };
        let was = version("sql-s1", (11, 0, 2100));
        assert_eq!(
            refused(&stage).await.code(),
            "cannot_pair",
            "a secondary older than its primary"
        );
        version("sql-s1", was);

        stage.stand_in.cut("controller", "sql-n2", false).await.unwrap();
        assert_eq!(refused(&stage).await.code(), "instance_not_observed");
        stage.stand_in.heal("controller", "sql-n2").await.unwrap();

        sql(&stage, "sql-n1", "DROP DATABASE mgc;").await;
        assert_eq!(refused(&stage).await.code(), "database_missing");
        stage.told_no_secret();
    });
}

#[test]
fn a_session_that_is_suspended_is_refused_until_it_goes_on() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        prove(&stage, "configured").await;
        sql(&stage, "sql-n1", "ALTER DATABASE mgc SET PARTNER SUSPEND;").await;
        let refusal = refused(&stage).await;
        assert_eq!(refusal.code(), "mirroring_suspended", "{refusal}");
        assert!(refusal.remedy().contains("SET PARTNER RESUME"));
        sql(&stage, "sql-n1", "ALTER DATABASE mgc SET PARTNER RESUME;").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        prove(&stage, "resumed").await;
    });
}

// ---- what fails on the way ------------------------------------------------------------------------

#[test]
fn what_goes_wrong_meanwhile_leaves_no_trace() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let stage = Arc::new(stage);
        let before = stage.snapshot().await;
        let world = stage.stand_in.world.clone();

        // The service account of a secondary reads the backups no more.
        let plan = planned(&stage).await;
        let lost = world.clone();
        let lose = AtStep::new(step_of(&plan, "sql-s1: restore database"), move |_| {
            lost.lose_share("files-s.example.net", "logbackups");
        });
        let code = fails_without_a_trace(&stage, &plan, &lose, &before).await;
        assert_eq!(code, "file_inaccessible");
        world.return_share("files-s.example.net", "logbackups");

        // The mirror's disk is full.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let plan = planned(&stage).await;
        let full = world.clone();
        let fill = AtStep::new(step_of(&plan, "sql-n2: restore database"), move |_| {
            full.fill_drive("sql-n2", "C", true);
            full.fill_drive("sql-n2", "D", true);
        });
        let code = fails_without_a_trace(&stage, &plan, &fill, &before).await;
        assert_eq!(code, "disk_full");
        world.fill_drive("sql-n2", "C", false);
        world.fill_drive("sql-n2", "D", false);

        // The mirror goes away for a while, and comes back while the rest is taken back.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let plan = planned(&stage).await;
        let struck = Arc::clone(&stage);
        let at = step_of(&plan, "sql-n1: set mirroring partner");
        let away = AtStep::new(at, move |_| {
            tokio::spawn(async move {
                struck.stand_in.lose_instance("sql-n2").await.unwrap();
                tokio::time::sleep(Duration::from_secs(40)).await;
                struck.stand_in.return_instance("sql-n2").await.unwrap();
            });
        });
        let code = fails_without_a_trace(&stage, &plan, &away, &before).await;
        assert!(["mirroring", "unreachable", "connection_lost"].contains(&code.as_str()), "{code}");

        tokio::time::sleep(Duration::from_secs(2)).await;
        carry_out(&stage, "after all of it").await;
    });
}

#[test]
fn another_tool_that_changes_things_meanwhile_keeps_what_it_made() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let stage = Arc::new(stage);
        // Between the plan and its run: the facts are not those of the plan.
        let plan = planned(&stage).await;
        sql(&stage, "sql-s1", "CREATE DATABASE mgc;").await;
        let before = stage.snapshot().await;
        let (code, told) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "database_exists", "{told}");
        stage.unchanged_since(&before).await;
        sql(&stage, "sql-s1", "DROP DATABASE mgc;").await;

        // While the plan runs: the step stops, and what the other one made is not dropped with the rest.
        let other = stage.another_program();
        let made = AtStep::new(step_of(&plan, "sql-n2: restore database"), move |_| {
            tokio::spawn(async move {
                other.send(&name("sql-s1"), "CREATE DATABASE mgc;".to_owned()).await.unwrap();
            });
        });
        let (code, told) = stage.stops(&plan, &made).await;
        assert_eq!(code, "wrong_backup", "{told}");
        assert!(told.contains("sql-s1: restore database"), "{told}");
        let seen = stage.observe().await;
        let copy = seen.database(&name("sql-s1"), &"mgc".into());
        assert!(copy.known().unwrap().unwrap().is_writable(), "somebody's database is gone");
        let mirror = seen.database(&name("sql-n2"), &"mgc".into());
        assert!(mirror.known().unwrap().is_none(), "the copy of this run is left");
        sql(&stage, "sql-s1", "DROP DATABASE mgc;").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        carry_out(&stage, "after the other tool").await;
    });
}

#[test]
fn what_cannot_be_taken_back_is_named_with_its_commands() {
    virtually(async {
        let stage = Arc::new(Stage::bare(STRETCHED).await);
        let plan = planned(&stage).await;
        let struck = Arc::clone(&stage);
        let at = step_of(&plan, "sql-n1: register sql-s1");
        let gone = AtStep::new(at, move |_| {
            tokio::spawn(async move {
                struck.stand_in.lose_instance("sql-n2").await.unwrap();
                struck.stand_in.lose_instance("sql-n1").await.unwrap();
            });
        });
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let run = run::apply(&plan, stage.topology(), stage.ports(), &who, &gone);
        let error = run.await.unwrap_err();
        let RunError::Step { taken_back: Some(taken_back), .. } = error else { panic!("{error}") };
        assert!(!taken_back.is_complete());
        let left: Vec<String> = taken_back.left.iter().map(ToString::to_string).collect();
        for part in [
            "sql-n1: remove log shipping and its backup job",
            "sql-n1: remove mirroring of mgc",
            "sql-n2: drop the copy of mgc",
            "sql-n2: drop mirroring endpoint",
        ] {
            assert!(left.iter().any(|action| action.contains(part)), "{part}: {left:#?}");
        }
        let text = pcdr_cli::text::taken_back(stage.topology(), &taken_back);
        for part in ["DROP DATABASE [mgc];", "DROP ENDPOINT [Mirroring];", "SET PARTNER OFF;"] {
            assert!(text.contains(part), "{text}");
        }
        // What could be reached was taken back: the secondary's entry, jobs and endpoints.
        let seen = stage.observe().await;
        let secondary = seen.instances[&name("sql-s1")].known().unwrap();
        assert!(secondary.log_shipping_secondary.known().unwrap().is_empty());
        assert!(secondary.mirroring_endpoint.known().unwrap().is_none(), "{taken_back:#?}");
        for at in ["sql-n1", "sql-n2"] {
            stage.stand_in.return_instance(at).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        carry_out(&stage, "when they are back").await;
    });
}

// ---- what is interrupted --------------------------------------------------------------------------

#[test]
fn a_configuration_that_is_dropped_anywhere_is_finished_by_the_same_plan_or_a_new_one() {
    let polls = virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let plan = planned(&stage).await;
        let (ended, polls) = Counted::new(stage.apply(&plan, &Unseen), u64::MAX).await;
        assert!(ended.unwrap().is_ok());
        polls
    });
    assert!(polls > 50, "{polls} polls");
    let mut same = 0;
    for seed in 51..61 {
        let limit = 1 + Random(seed).below(polls);
        let context = format!("seed {seed}: dropped after {limit} of {polls} polls");
        println!("{context}");
        virtually(async {
            let stage = Stage::bare(STRETCHED).await;
            let plan = planned(&stage).await;
            let (ended, _) = Counted::new(stage.apply(&plan, &Unseen), limit).await;
            if let Some(Err(error)) = ended {
                panic!("{context}: {error}");
            }
            tokio::time::sleep(Duration::from_secs(120)).await;
            match stage.apply(&plan, &Unseen).await {
                Ok(_) => same += 1,
                // Half a backup lies under its name, which is overwritten by nobody, or half a copy, which only a
                // new plan restores over.
                Err(RunError::Step { error, .. })
                    if error.number.is_some_and(|number| NEEDS_A_NEW_PLAN.contains(&number)) =>
                {
                    stage.succeeds(&planned(&stage).await).await;
                }
                Err(error) => panic!("{context}: {error}"),
            }
            prove(&stage, &context).await;
        });
    }
    assert!(same >= 6, "only {same} runs were finished by the same plan");
}

#[test]
fn a_failure_that_is_kept_is_finished_by_the_next_run() {
    virtually(async {
        let stage = Stage::bare(&with_databases(&["m]gc"])).await;
        let plan = planned(&stage).await;
        let world = stage.stand_in.world.clone();
        let lose = AtStep::new(step_of(&plan, "sql-s1: restore database"), move |_| {
            world.lose_share("files-s.example.net", "logbackups");
        });
        let who = Owner { who: "test".into(), run: plan::new_run() };
        let (topology, ports) = (stage.topology(), stage.ports());
        let run = run::apply_or(OnFailure::Keep, &plan, topology, ports, &who, &lose);
        let error = run.await.unwrap_err();
        assert!(matches!(error, RunError::Step { taken_back: None, .. }), "{error}");
        stage.stand_in.world.return_share("files-s.example.net", "logbackups");
        stage.succeeds(&plan).await;
        prove(&stage, "kept").await;
    });
}

// ---- a mirror that was one before -----------------------------------------------------------------

/// A log backup by hand, named as log shipping names its own.
async fn log_backup(stage: &Stage, number: u32) -> PathBuf {
    let file = format!("mgc_203001010000{number:02}.trn");
    let path = stage.topology().backup_share().path_of(&file);
    sql(stage, "sql-n1", "INSERT INTO mgc.dbo.tblChat (channelId, chatId, chatDate, userId, isAlert, content) SELECT 1, 1 + MAX(chatId), 1, 1, 0, N'x' FROM mgc.dbo.tblChat;").await;
    sql(stage, "sql-n1", &format!("BACKUP LOG mgc TO DISK = N'{path}';")).await;
    stage.mount("log-backups").join(file)
}

#[test]
fn a_former_mirror_joins_with_the_log_that_went_on_without_it_or_is_restored_again() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let mirror = stage.topology().role(Role::PrimaryMirror).unwrap().mirroring_address();
        let off = Intent::Remove { mirroring: true };

        // Nothing was backed up since: its own new log backup brings it on.
        stage.succeeds(&made(&stage, off).await.unwrap()).await;
        carry_out(&stage, "at once").await;

        // Two log backups were taken, and lie in the share.
        stage.succeeds(&made(&stage, off).await.unwrap()).await;
        for number in 1..=2 {
            log_backup(&stage, number).await;
        }
        let plan = carry_out(&stage, "with the chain").await;
        let restored = words(&plan);
        let restored = restored.iter().filter(|w| w.starts_with("sql-n2: restore log ")).count();
        assert!(restored >= 2, "{:#?}", words(&plan));
        assert!(
            !words(&plan).iter().any(|w| w.contains("back up database")),
            "{:#?}",
            words(&plan)
        );

        // One of them is gone: nothing but a new restore brings the log.
        stage.succeeds(&made(&stage, off).await.unwrap()).await;
        let lost = log_backup(&stage, 3).await;
        log_backup(&stage, 4).await;
        std::fs::remove_file(lost).unwrap();
        let plan = carry_out(&stage, "with a gap").await;
        step_of(&plan, "sql-n2: restore database mgc");
        assert!(plan.consents.is_empty(), "what the copy held is in the principal");

        // It was told its principal, which was not told; then the log went on.
        for with_log in [false, true] {
            stage.succeeds(&made(&stage, off).await.unwrap()).await;
            let file = log_backup(&stage, 5 + u32::from(with_log)).await;
            let path = stage
                .topology()
                .backup_share()
                .path_of(file.file_name().unwrap().to_str().unwrap());
            sql(
                &stage,
                "sql-n2",
                &format!("RESTORE LOG mgc FROM DISK = N'{path}' WITH NORECOVERY;"),
            )
            .await;
            let principal = stage.topology().primary().mirroring_address();
            sql(&stage, "sql-n2", &format!("ALTER DATABASE mgc SET PARTNER = N'{principal}';"))
                .await;
            if with_log {
                log_backup(&stage, 7).await;
            }
            let plan = carry_out(&stage, "half told").await;
            let told = words(&plan).iter().any(|w| w.contains("sql-n2: set mirroring partner"));
            assert_eq!(told, with_log, "{:#?}", words(&plan));
            step_of(&plan, &format!("sql-n1: set mirroring partner of mgc to {mirror}"));
        }
    });
}
