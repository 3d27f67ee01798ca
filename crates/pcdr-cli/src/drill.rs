//! `pcdr drill`: proves on a real instance that the databases can be recovered from their backups.

use std::fmt::Write as _;
use std::time::Duration;

use pcdr_core::drill::{DrillOutcome, DrillRecord, Place, latest};
use pcdr_core::journal::{Entry, Event};
use pcdr_core::ports::RunStore;
use pcdr_core::time::readable;
use pcdr_core::{DatabaseName, InstanceName, Intent, Topology};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::topology_file::TopologyFile;
use crate::views::{DrillPhase, DrillStatus};
use crate::{connect, plan, text};

/// Plans a drill, shows it, and carries it out unless only the plan was asked for.
///
/// # Errors
///
/// The refusal, or what stopped the run: also what DBCC CHECKDB found.
pub async fn run(arguments: &args::Drill, global: &Global, output: Output) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let topology = placed(&file.topology, &arguments.place);
    let connected = connect::to_servers(&file, global)?;
    let made = plan::make(Intent::Drill, &topology, &connected.ports, &arguments.consent).await;
    let (made, _) = made?;
    output.text(&text::plan(&made))?;
    let how = plan::How { yes: arguments.yes, keep: false };
    plan::carry_out(&made, &topology, &connected, how, output).await
}

/// The topology with the place of drills that a command names.
pub fn placed(topology: &Topology, named: &args::DrillPlace) -> Topology {
    let before = topology.drill();
    let instance = named.on.as_deref().map(InstanceName::from);
    let instance = instance.or_else(|| Some(before?.instance.clone()));
    let directory = named.directory.clone().or_else(|| Some(before?.directory.clone()));
    match directory {
        Some(directory) => {
            let instance = instance.unwrap_or_else(|| topology.secondary().name.clone());
            topology.clone().with_drill(Place { instance, directory })
        }
        None => topology.clone(),
    }
}

/// What a run proved, by its journal; nothing where that cannot be read.
pub(crate) async fn of_run(store: &dyn RunStore, run: &str) -> Vec<DrillStatus> {
    let entries = store.entries().await.unwrap_or_default();
    let own = entries.iter().filter(|entry| entry.run == run);
    own.filter_map(|entry| match &entry.event {
        Event::Drilled(record) => Some(view(record)),
        _ => None,
    })
    .collect()
}

/// When each database was proven recoverable last, by a journal, and the newest drill where that failed
/// after it.
pub(crate) fn last(entries: &[Entry]) -> Vec<DrillStatus> {
    latest(entries).values().flatten().map(view).collect()
}

fn view(record: &DrillRecord) -> DrillStatus {
    let seconds = |duration: Duration| duration.as_secs_f64();
    DrillStatus {
        database: record.database.to_string(),
        instance: record.instance.to_string(),
        proven: record.outcome == DrillOutcome::Proven,
        started_at: record.started_at.to_string(),
        ended_at: record.ended_at.to_string(),
        full_backup: record.full_backup.clone(),
        log_backups: record.log_backups,
        up_to_lsn: record.up_to_lsn.to_string(),
        saved_until: record.saved_until.to_string(),
        primary_lsn: record.primary_lsn.map(|lsn| lsn.to_string()),
        is_complete: record.is_complete,
        recovery_seconds: seconds(record.recovery()),
        phases: record
            .phases
            .iter()
            .map(|phase| DrillPhase {
                name: phase.name.clone(),
                seconds: seconds(Duration::from_millis(phase.millis)),
            })
            .collect(),
        error: match &record.outcome {
            DrillOutcome::Proven => None,
            DrillOutcome::Failed { step, message, .. } => Some(format!("{step}: {message}")),
        },
    }
}

/// The result of a drill, for people.
pub(crate) fn render(drills: &[DrillStatus]) -> String {
    let mut text = String::new();
    for drill in drills {
        let _infallible = writeln!(text, "{}", sentence(drill));
        if drill.phases.is_empty() {
            continue;
        }
        let phases = drill.phases.iter();
        let phases: Vec<String> =
            phases.map(|phase| format!("{} {}", phase.name, took(phase.seconds))).collect();
        let _infallible = writeln!(text, "  {}", phases.join(", "));
    }
    text
}

fn sentence(drill: &DrillStatus) -> String {
    let DrillStatus { database, instance, ended_at, up_to_lsn, saved_until, .. } = drill;
    match &drill.error {
        None => format!(
            "proven recoverable: {database} at {instance}, {ended_at}, up to LSN {up_to_lsn} (everything \
             committed before {saved_until}), CHECKDB clean, recovered in {}",
            took(drill.recovery_seconds)
        ),
        Some(error) => {
            format!("NOT proven recoverable: {database} at {instance}, {ended_at}: {error}")
        }
    }
}

fn took(seconds: f64) -> String {
    readable(Duration::from_secs_f64(seconds.max(0.0)))
}

/// What a status says of drills: of every database, or that there was none.
pub(crate) fn summary(databases: &[DatabaseName], drills: &[DrillStatus]) -> String {
    let mut text = String::new();
    for database in databases {
        let own: Vec<&DrillStatus> =
            drills.iter().filter(|drill| drill.database == database.as_str()).collect();
        for drill in &own {
            let _infallible = writeln!(text, "last {}", sentence(drill));
        }
        if !own.iter().any(|drill| drill.proven) {
            let _infallible =
                writeln!(text, "{database}: no drill on record here has proven it recoverable");
        }
    }
    text
}
