//! `pcdr plan` and `pcdr apply`: make a plan, carry one out.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pcdr_core::drill::observe_for_a_drill;
use pcdr_core::observe::observe;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, OnFailure, RunError, TakenBack};
use pcdr_core::{Consent, Intent, Observation, Plan, PlanContent, Situation, Topology};

use crate::args::{Apply, DrillPlace, Global, Planned};
use crate::connect::{self, Connected};
use crate::drill;
use crate::failure::{Failure, Trouble};
use crate::output::{self, Output};
use crate::store;
use crate::text;
use crate::topology_file::TopologyFile;
use crate::views::{ApplyDocument, ErrorBody, PLAN_FORMAT, PlanDocument, RunbookDocument};
use crate::watch::Watch;

/// Longest plan file.
const LONGEST: u64 = 256 << 20;

/// Who acts, for people: user and host.
pub fn who() -> String {
    let from = |names: &[&str]| {
        let set = names.iter().filter_map(|name| std::env::var(name).ok());
        set.into_iter().find(|value| !value.is_empty())
    };
    let user = from(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| from(&["HOSTNAME", "COMPUTERNAME"]))
        .unwrap_or_else(|| "unknown".to_owned());
    format!("{user}@{host} (process {})", std::process::id())
}

/// A name for a new run: unique, and in the order of time.
pub fn new_run() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Observes and plans.
///
/// # Errors
///
/// The refusal.
pub async fn make(
    intent: Intent,
    topology: &Topology,
    ports: &Ports,
    consents: &[Consent],
) -> Result<(Plan, Observation), Failure> {
    let observation = match intent {
        Intent::Drill => observe_for_a_drill(topology, ports, &who(), topology.drill()).await,
        _ => observe(topology, ports, &who(), None).await,
    };
    let consents: BTreeSet<Consent> = consents.iter().copied().collect();
    let situation = Situation::new(topology, &observation, &consents, ports.clock.now());
    let plan = run::plan(intent, &situation)?;
    Ok((plan, observation))
}

/// The file form of a plan.
pub fn document(topology: &Topology, plan: &PlanContent) -> PlanDocument {
    PlanDocument {
        pcdr_plan: PLAN_FORMAT,
        topology: store::identity(topology),
        nothing_to_do: plan.steps.is_empty(),
        plan: plan.clone(),
    }
}

/// `pcdr plan …`.
pub async fn plan(
    intent: Intent,
    arguments: &Planned,
    place: &DrillPlace,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let topology = drill::placed(&file.topology, place);
    let connected = connect::to_servers(&file, global)?;
    let ports = &connected.ports;
    let (plan, _) = make(intent, &topology, ports, &arguments.consent).await?;
    let document = document(&topology, &plan);
    if let Some(path) = &arguments.output {
        write(path, &output::to_json(&document)?)?;
    }
    output.result(&document, || {
        let mut text = text::plan(&plan);
        text.push_str("\nNothing has been changed.");
        if let Some(path) = &arguments.output {
            let path = path.display();
            text.push_str(&format!(" Written to {path}; carry it out with: pcdr apply {path}"));
        }
        text.push('\n');
        text
    })?;
    Ok(0)
}

/// `pcdr runbook …`.
pub async fn runbook(
    intent: Intent,
    arguments: &Planned,
    place: &DrillPlace,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let topology = drill::placed(&file.topology, place);
    let connected = connect::to_servers(&file, global)?;
    let ports = &connected.ports;
    let (plan, _) = make(intent, &topology, ports, &arguments.consent).await?;
    let markdown = crate::runbook::write(&topology, &plan)?;
    if let Some(path) = &arguments.output {
        write(path, &markdown)?;
        output.result(&RunbookDocument { markdown }, || {
            format!("Written to {}.\n", path.display())
        })?;
    } else {
        output.result(&RunbookDocument { markdown: markdown.clone() }, || markdown)?;
    }
    Ok(0)
}

/// Writes a file so that it is there whole or not at all.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::file("be written", path, error);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    std::fs::write(&new, text).map_err(|error| failed(&error))?;
    std::fs::rename(&new, path).map_err(|error| failed(&error))
}

/// Reads a plan file.
fn read(path: &Path) -> Result<PlanDocument, Failure> {
    let no_plan = |found: String| {
        Failure::usage(
            "plan_file",
            format!("{} was needed to be a plan, but: {found}", path.display()),
            "Make one with: pcdr plan failover -o plan.json",
        )
    };
    let length = std::fs::metadata(path).map_err(|error| no_plan(error.to_string()))?.len();
    if length > LONGEST {
        return Err(no_plan(format!("it has {length} bytes, more than {LONGEST}")));
    }
    let bytes = std::fs::read(path).map_err(|error| no_plan(error.to_string()))?;
    let document: PlanDocument =
        serde_json::from_slice(&bytes).map_err(|error| no_plan(error.to_string()))?;
    if document.pcdr_plan != PLAN_FORMAT {
        return Err(no_plan(format!(
            "its format is {}, and this pcdr reads {PLAN_FORMAT}",
            document.pcdr_plan
        )));
    }
    Ok(document)
}

/// `pcdr apply`.
pub async fn apply(arguments: &Apply, global: &Global, output: Output) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let document = read(&arguments.plan)?;
    let identity = store::identity(&file.topology);
    if document.topology != identity {
        return Err(Failure::usage(
            "plan_of_another_topology",
            format!(
                "a plan for this topology ({identity}) was needed, but {} is for {}",
                arguments.plan.display(),
                document.topology
            ),
            "Name the topology that the plan was made with, or make a new plan.",
        ));
    }
    let connected = connect::to_servers(&file, global)?;
    output.text(&text::plan(&document.plan))?;
    let how = How { yes: arguments.yes, keep: arguments.keep };
    carry_out(&document.plan, &file.topology, &connected, how, output).await
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Nobody is asked.
    pub yes: bool,
    /// What a configuration that fails did is kept.
    pub keep: bool,
}

/// Asks, runs the plan and tells how it ended.
pub(crate) async fn carry_out(
    plan: &PlanContent,
    topology: &Topology,
    connected: &Connected,
    how: How,
    output: Output,
) -> Result<u8, Failure> {
    if !how.yes && !plan.steps.is_empty() {
        confirm()?;
    }
    let Connected { ports, folder, .. } = connected;
    let owner = Owner { who: who(), run: new_run() };
    let watch = Watch::new(Arc::clone(&ports.clock), output.json);
    stop_on_ctrl_c(&watch);
    let on_failure = if how.keep { OnFailure::Keep } else { OnFailure::TakeBack };
    let ended = run::apply_or(on_failure, plan, topology, ports, &owner, &watch).await;
    let journal = folder.join("journal.jsonl").display().to_string();
    let steps = watch.steps();
    let seconds = watch.elapsed().as_secs_f64();
    let drills = drill::of_run(&*ports.store, &owner.run).await;
    let result = |succeeded, error| ApplyDocument {
        run: owner.run.clone(),
        succeeded,
        steps,
        seconds,
        journal,
        drills,
        error,
    };
    match ended {
        Ok(report) => {
            let document = result(true, None);
            output.result(&document, || applied(&document, report.steps.is_empty()))?;
            Ok(0)
        }
        Err(error) => match stopped(error, topology, plan.steps.len()) {
            Failure::Failed(trouble) if output.json && trouble.is_of_a_step() => {
                let body = ErrorBody {
                    code: trouble.code,
                    message: trouble.message,
                    remedy: trouble.remedy,
                    details: trouble.details,
                };
                output.result(&result(false, Some(body)), String::new)?;
                Ok(1)
            }
            failure => Err(failure),
        },
    }
}

/// Why a run did not end in success, with what to do now. `steps` is how many its plan has.
pub fn stopped(error: RunError, topology: &Topology, steps: usize) -> Failure {
    match error {
        RunError::Refused(refusal) => refusal.into(),
        RunError::Store(error) => error.into(),
        RunError::Step { step, action, error, succeeded, world: _, taken_back } => {
            let then = match &taken_back {
                Some(taken_back) => text::taken_back(topology, taken_back),
                None => format!(
                    "{succeeded} of {steps} steps are done and stay done. Then plan again: the new plan \
                     starts from what is there."
                ),
            };
            let taken_back = taken_back.as_deref().map(|found| took_back(topology, found));
            Failure::Failed(Trouble {
                code: error.code.as_str().to_owned(),
                message: format!("step {} failed: {action}: {error}", step.0),
                remedy: format!("{} {then}", error.remedy),
                details: serde_json::json!({
                    "at": error.at, "number": error.number, "step": step.0, "succeeded": succeeded,
                    "taken_back": taken_back,
                }),
            })
        }
    }
}

/// What was taken back, for programs.
fn took_back(topology: &Topology, taken_back: &TakenBack) -> serde_json::Value {
    let left: Vec<serde_json::Value> = taken_back
        .left
        .iter()
        .map(|action| {
            serde_json::json!({
                "what": action.to_string(),
                "command": crate::runbook::command(topology, action),
            })
        })
        .collect();
    serde_json::json!({
        "is_complete": taken_back.is_complete(),
        "done": taken_back.done,
        "left": left,
        "notes": taken_back.notes,
        "stopped_by": taken_back.stopped_by,
    })
}

/// What a run did, for people.
fn applied(document: &ApplyDocument, nothing: bool) -> String {
    if nothing {
        return "Nothing was changed.\n".to_owned();
    }
    format!(
        "\n{}\n\n{}Done in {}. Journal: {}\n",
        steps_table(&document.steps),
        drill::render(&document.drills),
        text::seconds(document.seconds),
        document.journal
    )
}

/// Steps and their times.
pub fn steps_table(steps: &[crate::views::StepResult]) -> comfy_table::Table {
    let mut table = text::table(["step", "what", "began", "took", "outcome"]);
    for step in steps {
        table.add_row([
            step.step.to_string(),
            step.action.clone(),
            text::seconds(step.started),
            text::seconds(step.took),
            step.outcome.clone(),
        ]);
    }
    table
}

/// Asks the person at the terminal.
fn confirm() -> Result<(), Failure> {
    let not_confirmed = |found: &str| {
        Failure::usage(
            "not_confirmed",
            format!("a yes was needed before anything is changed, but {found}"),
            "Read the plan and type yes, or give --yes.",
        )
    };
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(not_confirmed("standard input is no terminal"));
    }
    output::complain("\nCarry this out? Type yes: ");
    let mut answer = String::new();
    let _unreadable_is_no = stdin.lock().read_line(&mut answer);
    if answer.trim() == "yes" { Ok(()) } else { Err(not_confirmed("the answer was another")) }
}

/// The first Ctrl-C asks the run to stop cleanly; the second ends the process, which is safe too.
fn stop_on_ctrl_c(watch: &Watch) {
    let cancelled = watch.cancellation();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if cancelled.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            output::complain(
                "\nStopping after the running steps; what a configuration created is then taken back. \
                 Ctrl-C again ends at once.\n",
            );
        }
    });
}
