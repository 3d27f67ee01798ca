//! What may be in the way of a recovery: readers in a standby copy, a restore job that runs, files that change
//! while they are copied.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

use std::fs;
use std::time::Duration;

use pcdr_cli::workload::{self, Reach};
use pcdr_core::{Consent, DatabaseName, Known, Plan};
use pcdr_sim::engine::state::Costs;
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, virtually};

fn mgc() -> DatabaseName {
    "mgc".into()
}

fn step_of(plan: &Plan, words: &str) -> u32 {
    let step = plan.steps.iter().find(|step| step.to_string().contains(words));
    step.unwrap_or_else(|| panic!("no step says {words:?}")).id.0
}

/// The example without its pool, with copies that can be read between restores.
fn readable() -> String {
    let (before, pool) = STRETCHED.split_once("[pool]\n").unwrap();
    let at = pool.find("[[shares]]").unwrap();
    let text = format!("{before}{}", &pool[at..]);
    let (before, after) = text.split_once("[log_shipping]\n").unwrap();
    format!("{before}[log_shipping]\nrestore_mode = \"standby\"\n{after}")
}

/// Sessions in a database on the secondary.
fn sessions_in(stage: &Stage, database: &str) -> usize {
    let world = stage.stand_in.world.lock();
    let sessions = world.instances["sql-s1"].sessions.values();
    sessions.filter(|session| session.database.eq_ignore_ascii_case(database)).count()
}

#[test]
fn readers_of_a_standby_copy_do_not_keep_the_log_from_being_restored() {
    virtually(async {
        let stage = Stage::working(&readable()).await;
        let seen = stage.observe().await;
        let copy = seen.database(&stage.topology().secondary().name, &mgc());
        assert!(matches!(copy, Known::Known(Some(copy)) if copy.is_in_standby), "{copy:?}");
        let secondary = stage.topology().secondary().name.clone();
        let readers = [stage.another_program(), stage.another_program()];
        for reader in &readers {
            let read = "USE [mgc]; SELECT COUNT(*) AS records FROM dbo.tblChat;".to_owned();
            reader.send(&secondary, read).await.unwrap();
        }
        assert_eq!(sessions_in(&stage, "mgc"), 2);
        stage.strike().await;
        let plan = stage.planned().await;
        assert!(step_of(&plan, "end every session") < step_of(&plan, "restore log"));
        stage.succeeds(&plan).await;
        let found = stage.workload.read(&secondary, &mgc()).await.unwrap();
        let shipped = stage.written[&mgc()].shipped;
        assert!((1..=shipped).all(|number| found.contains(&number)), "{found:?}");
    });
}

#[test]
fn a_restore_job_that_runs_is_waited_for_and_what_it_restored_is_not_restored_again() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        stage
            .stand_in
            .world
            .set_costs(Costs { device: Duration::from_secs(5), ..Costs::default() });
        let seen = stage.observe().await;
        let seen = seen.instance(&stage.topology().secondary().name);
        let seen = seen.known().unwrap();
        let entries = seen.log_shipping_secondary.known().unwrap();
        let job = entries[&mgc()].restore_job.known().unwrap().name.clone();
        let start = format!("EXEC msdb.dbo.sp_start_job @job_name = N'{job}';");
        stage.workload.send(&stage.topology().secondary().name, start).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let began = tokio::time::Instant::now();
        stage.succeeds(&plan).await;
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(4), "the run waited for the job, but took {took:?}");
        stage.prove().await;
    });
}

#[test]
fn a_backup_that_loses_its_end_before_it_is_copied_stops_the_run_and_whole_again_finishes_it() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let newest = stage.backups("log-backups").pop().unwrap();
        let whole = fs::read(&newest).unwrap();
        let file = newest.clone();
        let half = whole[..whole.len() / 2].to_vec();
        let watcher = AtStep::new(step_of(&plan, "copy log backup"), move |_| {
            fs::write(&file, half).unwrap();
        });
        let (code, told) = stage.stops(&plan, &watcher).await;
        assert_eq!(code, "file_inaccessible", "{told}");
        let copy = stage.mount("log-copies").join(newest.file_name().unwrap());
        assert!(!copy.exists(), "half a backup got the name of a whole one");
        fs::write(&newest, whole).unwrap();
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_copy_that_loses_its_end_before_it_is_restored_stops_the_run_and_is_copied_again() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        stage.write(4).await;
        let primary = stage.topology().primary().name.clone();
        workload::ship(stage.topology(), stage.ports(), &primary, &mgc(), Reach::BackedUp)
            .await
            .unwrap();
        let so_far = stage.written.get_mut(&mgc()).unwrap();
        so_far.shipped = so_far.all;
        stage.strike().await;
        let plan = stage.planned().await;
        let name = stage.backups("log-backups").pop().unwrap();
        let copy = stage.mount("log-copies").join(name.file_name().unwrap());
        // When the last restore starts, its file is there: now it is not whole any more.
        let last = plan.steps.iter().rfind(|step| step.to_string().contains("restore log"));
        let file = copy.clone();
        let watcher = AtStep::new(last.unwrap().id.0, move |_| {
            let whole = fs::read(&file).unwrap();
            fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        });
        let (code, told) = stage.stops(&plan, &watcher).await;
        assert_eq!(code, "backup_damaged", "{told}");
        // The damaged copy gives way to its original.
        let again = stage.plan(&[Consent::PrimarySiteLost]).await;
        let again = again.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        stage.apply(&again, &Unseen).await.unwrap_or_else(|error| panic!("{error}"));
        stage.prove().await;
    });
}
