//! A fault inside every step of a failover, and a run that is dropped anywhere: running again
//! finishes with the same proof.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, reason = "a randomised test prints its seed")]

use std::sync::Arc;
use std::time::Duration;

use pcdr_core::Plan;
use pcdr_core::run::RunError;
use pcdr_tests::{
    AtStep, Counted, Random, STRETCHED, ShellFault, Stage, Unseen, virtually, with_databases,
};

/// What strikes inside a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Every session on the secondary and on its mirror ends with its next statement.
    NextStatement,
    /// Every session there ends after so long.
    Sessions(Duration),
    /// The secondary stops after so long, and starts two seconds later.
    Secondary(Duration),
    /// The process of the Management Shell ends before it did anything.
    ShellBefore,
    /// The process of the Management Shell ends after it did everything.
    ShellAfter,
}

const SERVERS: [&str; 2] = ["sql-s1", "sql-s2"];

fn sessions(stage: &Stage) -> Vec<(&'static str, u16)> {
    let world = stage.stand_in.world.lock();
    let of = |server: &'static str| {
        world.instances[server].sessions.keys().map(move |session| (server, *session))
    };
    SERVERS.into_iter().flat_map(of).collect()
}

async fn strike(stage: &Stage, fault: Fault) {
    let world = &stage.stand_in.world;
    match fault {
        Fault::NextStatement => {
            for (server, session) in sessions(stage) {
                world.kill_inside_next_statement(server, session);
            }
        }
        Fault::Sessions(after) => {
            tokio::time::sleep(after).await;
            for (server, session) in sessions(stage) {
                world.kill_connection(server, session);
            }
        }
        Fault::Secondary(after) => {
            tokio::time::sleep(after).await;
            stage.stand_in.lose_instance("sql-s1").await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            stage.stand_in.return_instance("sql-s1").await.unwrap();
        }
        Fault::ShellBefore | Fault::ShellAfter => {}
    }
}

/// Whether the run stopped.
async fn struck_inside(step: u32, fault: Fault, context: &str) -> bool {
    let stage = Arc::new(Stage::struck(STRETCHED).await);
    let plan = stage.planned().await;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let struck = Arc::clone(&stage);
    let watcher = AtStep::new(step, move |_| {
        // The shell's faults strike the step's own script, and no earlier or later one.
        match fault {
            Fault::ShellBefore => struck.shell.fail_next(ShellFault::Before),
            Fault::ShellAfter => struck.shell.fail_next(ShellFault::After),
            Fault::NextStatement | Fault::Sessions(_) | Fault::Secondary(_) => {}
        }
        tokio::spawn(async move {
            strike(&struck, fault).await;
            drop(struck);
            let _nobody_waits = sender.send(());
        });
    });
    let ended = stage.apply(&plan, &watcher).await;
    receiver.await.unwrap();
    let stopped = match ended {
        Ok(_) => false,
        Err(RunError::Step { error, action, .. }) => {
            println!("{context}: {action}: {}: {error}", error.code.as_str());
            assert!(!error.remedy.is_empty());
            let code = error.code.as_str();
            assert!(
                ["connection_lost", "unreachable", "cmdlet"].contains(&code),
                "{context}: {code}"
            );
            true
        }
        Err(error) => panic!("{context}: {error}"),
    };
    stage.shell.heal();
    tokio::time::sleep(Duration::from_secs(5)).await;
    again(&stage, &plan, context).await;
    stopped
}

/// The same plan again, to its end.
async fn again(stage: &Stage, plan: &Plan, context: &str) {
    if let Err(error) = stage.apply(plan, &Unseen).await {
        panic!("{context}: again: {error}");
    }
    println!("{context}: finished");
    stage.prove().await;
}

fn steps(plan: &Plan) -> u32 {
    plan.steps.iter().map(|step| step.id.0).max().unwrap_or_default()
}

fn count_steps() -> u32 {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        steps(&stage.planned().await)
    })
}

/// Strikes inside every step; how many runs stopped.
fn inside_every_step(fault: impl Fn(u32) -> Fault) -> usize {
    let last = count_steps();
    assert!(last >= 15);
    let strikes = (1..=last).map(|step| {
        let fault = fault(step);
        let context = format!("{fault:?} in step {step}");
        virtually(struck_inside(step, fault, &context))
    });
    strikes.filter(|stopped| *stopped).count()
}

#[test]
fn a_pooled_connection_that_dies_at_its_next_use_is_replaced_unnoticed() {
    // Every connection is asked whether it lives before it is used again.
    assert_eq!(inside_every_step(|_| Fault::NextStatement), 0, "runs were stopped");
}

#[test]
fn connections_killed_during_any_step_are_survived() {
    let seed = 11;
    println!("seed {seed}");
    let stopped = inside_every_step(|step| {
        let micros = Random(seed * 1000 + u64::from(step)).below(25_000);
        Fault::Sessions(Duration::from_micros(micros))
    });
    assert!(stopped >= 3, "only {stopped} runs were stopped");
}

#[test]
fn an_instance_lost_for_a_moment_during_any_step_is_survived() {
    let seed = 21;
    println!("seed {seed}");
    let stopped = inside_every_step(|step| {
        let micros = Random(seed * 1000 + u64::from(step)).below(10_000);
        Fault::Secondary(Duration::from_micros(micros))
    });
    assert!(stopped >= 3, "only {stopped} runs were stopped");
}

#[test]
fn a_management_shell_that_dies_during_any_step_is_survived() {
    let mut stopped = 0;
    for step in 8..=count_steps() {
        for fault in [Fault::ShellBefore, Fault::ShellAfter] {
            let context = format!("{fault:?} in step {step}");
            stopped += u32::from(virtually(struck_inside(step, fault, &context)));
        }
    }
    assert!(stopped >= 6, "only {stopped} runs were stopped");
}

#[test]
fn a_run_dropped_anywhere_is_finished_by_the_next() {
    let polls = virtually(async {
        let stage = Stage::struck(&with_databases(&["m]gc"])).await;
        let plan = stage.planned().await;
        let (ended, polls) = Counted::new(stage.apply(&plan, &Unseen), u64::MAX).await;
        assert!(ended.unwrap().is_ok());
        polls
    });
    assert!(polls > 50, "{polls} polls");
    for seed in 31..43 {
        let limit = 1 + Random(seed).below(polls);
        let context = format!("seed {seed}: dropped after {limit} of {polls} polls");
        println!("{context}");
        virtually(async {
            let stage = Stage::struck(&with_databases(&["m]gc"])).await;
            let plan = stage.planned().await;
            let (ended, _) = Counted::new(stage.apply(&plan, &Unseen), limit).await;
            if let Some(Err(error)) = ended {
                panic!("{context}: {error}");
            }
            again(&stage, &plan, &context).await;
        });
    }
}
