//! Remove over the wire: nothing of the topology is left, nothing of others is touched, and a side that
//! is gone is left to a person.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use pcdr_cli::plan;
use pcdr_core::ports::Owner;
use pcdr_core::run::{self, Watcher};
use pcdr_core::{Consent, InstanceError, Intent, Plan, Step};
use pcdr_tests::{STRETCHED, Stage, Unseen, name, virtually, with_databases};

const REMOVE: Intent = Intent::Remove { mirroring: false };
const WITH_MIRRORING: Intent = Intent::Remove { mirroring: true };

async fn planned(stage: &Stage, intent: Intent, consents: &[Consent]) -> Plan {
    match plan::make(intent, stage.topology(), stage.ports(), consents).await {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

/// Plans and applies; then there is nothing to do.
async fn carry_out(stage: &Stage, intent: Intent, consents: &[Consent]) -> Plan {
    let plan = planned(stage, intent, consents).await;
    assert!(!plan.steps.is_empty());
    stage.succeeds(&plan).await;
    let rest = planned(stage, intent, consents).await;
    assert!(rest.steps.is_empty(), "left over: {:?}", rest.steps);
    plan
}

/// The rows that a query gives on an instance, each as text.
async fn rows(stage: &Stage, instance: &str, query: &str) -> Vec<String> {
    let mut sets = stage.workload.send(&name(instance), query.to_owned()).await;
    if sets.is_err() {
        // Its session may have been one of those that were ended.
        sets = stage.workload.send(&name(instance), query.to_owned()).await;
    }
    let sets = sets.unwrap();
    let rows = sets.iter().flat_map(|set| &set.rows);
    rows.map(|row| row.get::<String>("name").unwrap()).collect()
}

const JOBS: &str =
    "SELECT j.name FROM msdb.dbo.sysjobs AS j WHERE j.name LIKE N'LS%' ORDER BY j.name;";
const SCHEDULES: &str =
    "SELECT s.name FROM msdb.dbo.sysschedules AS s WHERE s.name LIKE N'LS%' ORDER BY s.name;";

/// No entry, job or schedule of log shipping is left on these instances, and every database is.
async fn assert_gone(stage: &Stage, instances: &[&str]) {
    assert_entries_and_jobs_gone(stage, instances).await;
    for instance in instances {
        let left = rows(stage, instance, SCHEDULES).await;
        assert!(left.is_empty(), "{instance}: {left:?}");
    }
}

async fn assert_entries_and_jobs_gone(stage: &Stage, instances: &[&str]) {
    let seen = stage.observe().await;
    for instance in instances {
        let own = seen.instances[&name(instance)].known().unwrap();
        assert!(own.log_shipping_primary.known().unwrap().is_empty(), "{instance}");
        assert!(own.log_shipping_secondary.known().unwrap().is_empty(), "{instance}");
        assert!(own.log_shipping_unfinished.known().unwrap().is_empty(), "{instance}");
        let left = rows(stage, instance, JOBS).await;
        assert!(left.is_empty(), "{instance}: {left:?}");
        let databases = own.databases.known().unwrap();
        for database in stage.topology().databases() {
            assert!(databases.contains_key(database), "{database} on {instance}");
        }
    }
}

#[test]
fn after_a_removal_nothing_is_left_and_a_second_one_plans_nothing() {
    virtually(async {
        let stage = Stage::working(&with_databases(&["orders", "o'brien]"])).await;
        assert_eq!(
            rows(&stage, "sql-s1", JOBS).await.len(),
            7,
            "jobs of three databases, and alerts"
        );
        let plan = carry_out(&stage, REMOVE, &[]).await;
        assert_eq!(plan.steps.len(), 21, "six for each database, and three alert jobs");
        assert_gone(&stage, &["sql-n1", "sql-n2", "sql-s1"]).await;
        // The reviewed plan again: what is left of it is nothing.
        let report = stage.apply(&plan, &Unseen).await.unwrap();
        assert!(report.steps.is_empty());
        stage.told_no_secret();
    });
}

#[test]
fn mirroring_goes_too_if_asked_and_the_mirror_stays_restoring() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        carry_out(&stage, WITH_MIRRORING, &[]).await;
        assert_gone(&stage, &["sql-n1", "sql-n2", "sql-s1"]).await;
        let seen = stage.observe().await;
        for (instance, state) in [("sql-n1", "ONLINE"), ("sql-n2", "RESTORING")] {
            let own = seen.instances[&name(instance)].known().unwrap();
            let copy = &own.databases.known().unwrap()[&"mgc".into()];
            assert_eq!(copy.state.as_str(), state);
            assert_eq!(copy.mirroring.known(), Some(&None), "{instance}");
        }
    });
}

#[test]
fn configure_after_remove_ships_the_log_again() {
    virtually(async {
        for intent in [REMOVE, WITH_MIRRORING] {
            let mut stage = Stage::working(STRETCHED).await;
            carry_out(&stage, intent, &[]).await;
            stage.write(3).await;
            carry_out(&stage, Intent::Configure, &[]).await;
            stage.write(4).await;
            stage.ship(pcdr_cli::workload::Reach::Restored).await;
            stage.strike().await;
            let disaster = stage.planned().await;
            stage.succeeds(&disaster).await;
            stage.prove().await;
        }
    });
}

/// A future that is dropped after so many polls, as a process is that dies.
struct Mortal<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicU64>,
    limit: u64,
}

impl<F: Future> Future for Mortal<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls.fetch_add(1, Ordering::Relaxed) >= self.limit {
            return Poll::Ready(None);
        }
        self.future.as_mut().poll(context).map(Some)
    }
}

/// Notes at which polls a step begins and ends.
struct Noting<'a> {
    words: &'a str,
    polls: Arc<AtomicU64>,
    span: Mutex<(u64, u64)>,
}

impl Watcher for Noting<'_> {
    fn started(&self, step: &Step) {
        if step.to_string().contains(self.words) {
            self.span.lock().unwrap().0 = self.polls.load(Ordering::Relaxed);
        }
    }
    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}
    fn ended(&self, step: &Step, _result: Result<(), &InstanceError>) {
        if step.to_string().contains(self.words) {
            self.span.lock().unwrap().1 = self.polls.load(Ordering::Relaxed);
        }
    }
}

/// Configures until so many polls are over; when the step of these words began and ended.
async fn configure_until(stage: &Stage, words: &str, limit: u64) -> (u64, u64) {
    let configure = planned(stage, Intent::Configure, &[]).await;
    let polls = Arc::new(AtomicU64::new(0));
    let watcher = Noting { words, polls: Arc::clone(&polls), span: Mutex::default() };
    let future = Box::pin(stage.apply(&configure, &watcher));
    if let Some(ended) = (Mortal { future, polls, limit }).await {
        ended.unwrap();
    }
    watcher.span.into_inner().unwrap()
}

#[test]
fn a_configuration_that_died_inside_a_log_shipping_step_is_removed() {
    virtually(async {
        let mut unfinished = 0;
        for words in ["sql-n1: configure mgc as", "sql-s1: configure mgc as"] {
            let stage = Stage::bare(STRETCHED).await;
            let (began, ended) = configure_until(&stage, words, u64::MAX).await;
            assert!(began < ended, "{began}..{ended}");
            for eighth in [1, 3, 5, 7] {
                let stage = Stage::bare(STRETCHED).await;
                let limit = began + (ended - began) * eighth / 8;
                configure_until(&stage, words, limit).await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                let seen = stage.observe().await;
                let own = seen.instances[&name("sql-s1")].known().unwrap();
                unfinished += own.log_shipping_unfinished.known().unwrap().len();
                carry_out(&stage, REMOVE, &[]).await;
                // A schedule that was made and not attached yet is nobody's, and stays.
                let all = ["sql-n1", "sql-n2", "sql-s1"];
                assert_entries_and_jobs_gone(&stage, &all).await;
            }
        }
        assert!(unfinished > 0, "no registration was left without its database");
    });
}

#[test]
fn with_the_primary_dead_the_rest_is_removed_and_its_statements_are_listed_for_later() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.lose_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let refused = plan::make(REMOVE, stage.topology(), stage.ports(), &[]).await;
        let failure = refused.map(|(plan, _)| plan.steps.len()).unwrap_err();
        assert!(failure.text(false).contains("leave-unreachable"), "{}", failure.text(false));

        let plan = carry_out(&stage, REMOVE, &[Consent::LeaveUnreachable]).await;
        assert_gone(&stage, &["sql-n2", "sql-s1"]).await;
        let text = pcdr_cli::text::plan(&plan);
        let runbook = pcdr_cli::runbook::write(stage.topology(), &plan).unwrap();

        stage.stand_in.return_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!rows(&stage, "sql-n1", JOBS).await.is_empty(), "it came back with its job");
        // The listed statements, as a person would run them.
        for action in &plan.left_behind {
            let script = pcdr_cli::runbook::statement(action).unwrap().unwrap();
            for part in script.split("\nGO").filter(|part| part.contains("EXEC")) {
                let part = part.trim().trim_start_matches("USE [master];");
                assert!(runbook.contains(part) && !part.is_empty(), "{runbook}");
                let line = part.lines().last().unwrap();
                assert!(text.contains(line), "{text}");
                stage.workload.send(&name("sql-n1"), part.to_owned()).await.unwrap();
            }
        }
        let rest = planned(&stage, REMOVE, &[]).await;
        assert!(rest.steps.is_empty(), "left over: {:?}", rest.steps);
        assert_gone(&stage, &["sql-n1", "sql-n2", "sql-s1"]).await;
    });
}

#[test]
fn with_the_secondary_dead_the_primaries_are_cleaned_and_it_can_be_finished_later() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.lose_instance("sql-s1").await.unwrap();
        let plan = carry_out(&stage, WITH_MIRRORING, &[Consent::LeaveUnreachable]).await;
        assert_eq!(plan.left_behind.len(), 2);
        assert_gone(&stage, &["sql-n1", "sql-n2"]).await;
        stage.stand_in.return_instance("sql-s1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        carry_out(&stage, REMOVE, &[]).await;
        assert_gone(&stage, &["sql-n1", "sql-n2", "sql-s1"]).await;
    });
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    virtually(async {
        let stage = Stage::working(&with_databases(&["orders"])).await;
        let (topology, connected) = stage.reconnect(|text| {
            let from = text.find("[[databases]]\nname = \"orders\"").unwrap();
            format!("{}{}", &text[..from], &text[from + "[[databases]]\nname = \"orders\"".len()..])
        });
        let register = "EXEC master.dbo.sp_add_log_shipping_primary_secondary @primary_database = N'mgc', \
             @secondary_server = N'SQL-OTHER', @secondary_database = N'mgc';";
        stage.workload.send(&name("sql-n1"), register.to_owned()).await.unwrap();
        let others = |jobs: Vec<String>| {
            jobs.into_iter().filter(|job| !job.contains("mgc")).collect::<Vec<_>>()
        };
        let before = [rows(&stage, "sql-n2", JOBS).await, rows(&stage, "sql-s1", JOBS).await];
        let made = plan::make(REMOVE, &topology, &connected.ports, &[]).await;
        let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let owner = Owner { who: "test".into(), run: plan::new_run() };
        let ran = run::apply(&plan, &topology, &connected.ports, &owner, &Unseen).await;
        ran.unwrap_or_else(|error| panic!("{error}"));
        let after = [rows(&stage, "sql-n2", JOBS).await, rows(&stage, "sql-s1", JOBS).await];
        for (before, after) in before.into_iter().zip(after) {
            assert_eq!(others(before), after, "jobs of orders, and the alert job, stay");
        }
        assert!(rows(&stage, "sql-n1", JOBS).await.contains(&"LSBackup_mgc".to_owned()));
        let seen = stage.observe().await;
        let own = seen.instances[&name("sql-n1")].known().unwrap();
        let entries = own.log_shipping_primary.known().unwrap();
        assert_eq!(entries[&"mgc".into()].secondaries, [("SQL-OTHER".into(), "mgc".into())]);
        assert!(entries.contains_key(&"orders".into()));
        let (rest, _) = plan::make(REMOVE, &topology, &connected.ports, &[])
            .await
            .unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        assert!(rest.steps.is_empty(), "{:?}", rest.steps);
    });
}
