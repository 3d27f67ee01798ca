//! `pcdr rehearse`: the whole procedure on stand-ins, from configuration to proof.
//!
//! The code that configures, observes, plans and applies is the code for real servers; only what it
//! talks to stands in for them.

mod back;
mod clients;
mod drill;
mod proof;
mod random;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, RunError};
use pcdr_core::{Consent, DatabaseName, Intent, PlanContent, Timestamp, Topology};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_skype::ShellTransport;
use pcdr_sql::Dialer;

use crate::args::{Global, Rehearse, Scenario, Time};
use crate::connect::{self, Connected, SystemClock, Way};
use crate::failure::{Failure, Trouble};
use crate::meter::{CountedDialer, Meter, MeteredClock, MeteredShell, Span};
use crate::output::{self, Output};
use crate::plan;
use crate::sim::ShellDoor;
use crate::text;
use crate::topology_file::TopologyFile;
use crate::views::{RehearseDocument, StepResult};
use crate::watch::Watch;
use crate::workload::{self, Reach, Workload};
use crate::world::{self, StandIn};

use random::Random;

/// How many log backups are shipped before the disaster.
const ROUNDS: u64 = 4;

/// Rehearses a failover.
///
/// # Errors
///
/// Whatever keeps the rehearsal from its end; a proof that does not hold is a result, with exit
/// status 1.
pub fn run(arguments: &Rehearse, global: &Global, output: Output) -> Result<u8, Failure> {
    let began = std::time::Instant::now();
    let designed = match global.topology.as_deref() {
        Some(path) => TopologyFile::read(path)?,
        None => TopologyFile::built_in()?,
    };
    let (folder, temporary) = world::folder(arguments.keep.as_deref())?;
    let kept = temporary.is_none().then(|| folder.clone());
    let mut builder = match arguments.time {
        // One thread and a clock that jumps whenever everybody waits.
        Time::Virtual => tokio::runtime::Builder::new_current_thread(),
        Time::Real => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all();
    if arguments.time == Time::Virtual {
        builder.start_paused(true);
    }
    let runtime = builder.build().map_err(|error| {
        let message = format!("a runtime was needed, but: {error}");
        Failure::failed("runtime", message, "Free some memory.")
    })?;
    let rehearsal = Rehearsal { arguments, global, output, designed, folder, began };
    let mut document = runtime.block_on(async {
        tokio::select! {
            document = rehearsal.run() => document,
            // Ended from within, so that the temporary folder goes with it.
            _signal = tokio::signal::ctrl_c() => Err(Failure::failed(
                "interrupted",
                "the rehearsal was needed to its end, but Ctrl-C ended it",
                "Run it again: it left nothing but what --keep names.",
            )),
        }
    })?;
    document.kept = kept;
    document.wall_seconds = began.elapsed().as_secs_f64();
    output.result(&document, || report::text(&document))?;
    Ok(u8::from(!document.proved))
}

struct Rehearsal<'a> {
    arguments: &'a Rehearse,
    global: &'a Global,
    output: Output,
    designed: TopologyFile,
    folder: PathBuf,
    began: std::time::Instant,
}

/// Everything that the phases share.
struct Stage {
    stand_in: StandIn,
    connected: Connected,
    workload: Workload,
    dialer: Arc<dyn Dialer>,
    meter: Meter,
}

/// What was written, by database: the numbers of the records whose writing was acknowledged.
type Written = BTreeMap<DatabaseName, BTreeSet<u64>>;

impl Rehearsal<'_> {
    async fn run(self) -> Result<RehearseDocument, Failure> {
        let mut random = Random::new(self.arguments.seed);
        let topology = &self.designed.topology;
        let (instances, databases) = (topology.instances().count(), topology.databases().len());

        let phase = self.phase("prepare the stand-ins");
        let stage = self.prepare().await?;
        phase.done(&format!("{instances} instances, {databases} log-shipped databases"))?;

        let phase = self.phase("configure mirroring and log shipping");
        let steps = self.configure(&stage).await?;
        phase.done(&format!("{steps} steps, each read back"))?;

        let phase = self.phase("write, and ship the log");
        let mut written = Written::new();
        let shipped = self.work(&stage, &mut random, &mut written).await?;
        let records: usize = written.values().map(BTreeSet::len).sum();
        phase.done(&format!("{ROUNDS} log backups shipped, {records} chat records written"))?;

        if self.arguments.scenario == Scenario::Drill {
            return self.drill(&stage, &written, &shipped).await;
        }

        let struck = match self.arguments.scenario {
            Scenario::Disaster | Scenario::FullCycle => Some(self.strike(&stage).await?),
            Scenario::Planned | Scenario::Drill => None,
        };

        let phase = self.phase("observe and plan");
        let plan = self.plan(&stage).await?;
        phase.done(&format!("{} steps, verified", plan.steps.len()))?;
        self.output.text(&format!("\n{}\n", text::plan(&plan)))?;

        let phase = self.phase("apply");
        let (applied, silent_since) = match struck {
            Some(struck) => (self.apply(&stage, &plan).await?, struck),
            None => self.apply_while_clients_write(&stage, &plan, &mut written).await?,
        };
        phase.done(&format!("{} steps, each read back", applied.steps.len()))?;

        let phase = self.phase("prove");
        // Whatever was acknowledged must survive a planned failover; a disaster, what was shipped.
        let shipped = if struck.is_some() { &shipped } else { &written };
        let mut proofs = proof::prove(&stage, &plan, &written, shipped).await?;
        if self.arguments.scenario == Scenario::FullCycle {
            phase.done("the new primary serves")?;
            self.and_back(&stage, &mut proofs).await?;
        } else {
            phase.done(&proofs.summary())?;
        }
        let proved = proofs.claims.iter().all(|proof| proof.held);

        let saved_until = plan.predicted_losses.iter().filter_map(|loss| loss.saved_until).min();
        Ok(RehearseDocument {
            proved,
            scenario: self.arguments.scenario.as_str().to_owned(),
            seed: self.arguments.seed,
            time: self.time().to_owned(),
            plan,
            steps: applied.steps,
            proofs: proofs.claims,
            records_written: proofs.written,
            records_saved: proofs.saved,
            records_lost: proofs.lost,
            rpo_seconds: saved_until.map_or(0.0, |saved| silent_since.since(saved).as_secs_f64()),
            rto_seconds: applied.ended_at.since(silent_since).as_secs_f64(),
            run_seconds: applied.took.tokio.as_secs_f64(),
            own_seconds: applied.own.tokio.as_secs_f64(),
            own_computing_seconds: applied.own.wall.as_secs_f64(),
            wall_seconds: 0.0,
            kept: None,
        })
    }

    /// How time passes, in a word.
    fn time(&self) -> &'static str {
        match self.arguments.time {
            Time::Virtual => "virtual",
            Time::Real => "real",
        }
    }

    /// Takes the primary site away; gives the time.
    async fn strike(&self, stage: &Stage) -> Result<Timestamp, Failure> {
        let phase = self.phase("strike");
        let site = self.designed.topology.primary().site.to_string();
        stage.stand_in.lose_site(&site).await.map_err(|why| broken("strike", why))?;
        let struck = stage.ports().clock.now();
        phase.done(&format!("site {site} is lost between two log backups"))?;
        Ok(struck)
    }

    /// Builds the stand-in and the application's databases on it.
    async fn prepare(&self) -> Result<Stage, Failure> {
        let meter = Meter::new();
        let in_flight = (self.arguments.time == Time::Virtual).then(InFlight::new);
        let door = match &in_flight {
            Some(in_flight) => {
                tokio::spawn(in_flight.clone().keep_awake());
                None
            }
            None => Some(ShellDoor::open(&self.folder).await?),
        };
        let plan = world::Plan {
            folder: self.folder.clone(),
            seed: self.arguments.seed,
            begins_at: None,
            in_flight: in_flight.clone(),
            meter: Some(meter.clone()),
            shell_command: door.as_ref().map(|door| door.command.clone()).unwrap_or_default(),
        };
        let stand_in = StandIn::build(&self.designed, plan).await?;
        if let Some(door) = door {
            door.serve(&stand_in);
        }
        let topology = &stand_in.file.topology;
        let trace = connect::trace(self.global)?;
        let dialer: Arc<dyn Dialer> = Arc::new(CountedDialer { in_flight });
        let shell = match self.arguments.time {
            // Waiting for a child process would let virtual time run away.
            Time::Virtual => stand_in.shell_transport(),
            Time::Real => connect::shell_command(topology),
        };
        let metered = |shell| -> Arc<dyn ShellTransport> {
            Arc::new(MeteredShell { meter: meter.clone(), shell })
        };
        let way = Way {
            dialer: Arc::clone(&dialer),
            shell: shell.map(metered),
            clock: Arc::new(MeteredClock {
                meter: meter.clone(),
                clock: match self.arguments.time {
                    Time::Virtual => stand_in.clock(),
                    Time::Real => Arc::new(SystemClock),
                },
            }),
            trace: trace.clone(),
            folder: self.folder.join("state"),
        };
        let connected = connect::connect(topology, &way)?;
        let workload = Workload::new(topology, &dialer, trace.as_ref())?;
        workload.create_databases().await?;
        Ok(Stage { stand_in, connected, workload, dialer, meter })
    }

    async fn configure(&self, stage: &Stage) -> Result<usize, Failure> {
        let topology = stage.topology();
        let (plan, _) = plan::make(Intent::Configure, topology, stage.ports(), &[]).await?;
        let watch = Watch::new(Arc::clone(&stage.ports().clock), true);
        let report = run::apply(&plan, topology, stage.ports(), &owner(), &watch).await;
        Ok(report.map_err(|error| failed("configure", error))?.steps.len())
    }

    /// Writes between log backups, and after the last one; gives what the last one holds.
    async fn work(
        &self,
        stage: &Stage,
        random: &mut Random,
        written: &mut Written,
    ) -> Result<Written, Failure> {
        for round in 1..=ROUNDS {
            self.write(stage, random, written).await?;
            let topology = stage.topology();
            // The disaster finds a log backup that was copied but not restored, and one that was
            // not copied.
            let reach = match ROUNDS - round {
                0 => Reach::BackedUp,
                1 => Reach::Copied,
                _ => Reach::Restored,
            };
            for database in topology.databases() {
                let primary = &topology.primary().name;
                workload::ship(topology, stage.ports(), primary, database, reach).await?;
            }
        }
        let shipped = written.clone();
        // What comes now is in no log backup when the disaster strikes.
        self.write(stage, random, written).await?;
        Ok(shipped)
    }

    async fn write(
        &self,
        stage: &Stage,
        random: &mut Random,
        written: &mut Written,
    ) -> Result<(), Failure> {
        let topology = stage.topology();
        let primary = &topology.primary().name;
        for database in topology.databases() {
            let so_far = written.entry(database.clone()).or_default();
            for _ in 0..3 {
                let first = so_far.last().map_or(1, |last| last + 1);
                let numbers = first..first + random.between(5, 20);
                let now = stage.ports().clock.now().unix_millis();
                stage.workload.write(primary, database, numbers.clone(), now).await?;
                so_far.extend(numbers);
                let pause = match self.arguments.time {
                    Time::Virtual => Duration::from_millis(random.between(1_000, 40_000)),
                    Time::Real => Duration::from_millis(random.between(10, 100)),
                };
                stage.ports().clock.sleep(pause).await;
            }
        }
        Ok(())
    }

    async fn plan(&self, stage: &Stage) -> Result<PlanContent, Failure> {
        let (intent, consents): (_, &[Consent]) = match self.arguments.scenario {
            // Whoever struck the site knows that it is lost; waiting for the backup threshold would
            // prove it as well.
            Scenario::Disaster | Scenario::FullCycle => {
                (Intent::DisasterFailover, &[Consent::PrimarySiteLost])
            }
            Scenario::Planned | Scenario::Drill => (Intent::PlannedFailover, &[]),
        };
        let topology = stage.topology();
        let (plan, observation) = plan::make(intent, topology, stage.ports(), consents).await?;
        let document = plan::document(topology, &plan);
        world::write_file(&self.folder.join("plan.json"), &output::to_json(&document)?)?;
        let seen = output::to_json(&observation)?;
        world::write_file(&self.folder.join("observation.json"), &seen)?;
        Ok(document.plan)
    }

    /// Clients write until the old primary takes no more; gives the time from which on it took none.
    async fn apply_while_clients_write(
        &self,
        stage: &Stage,
        plan: &PlanContent,
        written: &mut Written,
    ) -> Result<(Applied, Timestamp), Failure> {
        let over = AtomicBool::new(false);
        let apply = async {
            let applied = self.apply(stage, plan).await;
            over.store(true, Ordering::Relaxed);
            applied
        };
        let (applied, silent_since) =
            tokio::join!(apply, clients::write_until_refused(stage, written, &over));
        let applied = applied?;
        let silent_since = silent_since.ok_or_else(|| {
            broken("the end of writing", "the old primary took writes to the end".into())
        })?;
        Ok((applied, silent_since))
    }

    async fn apply(&self, stage: &Stage, plan: &PlanContent) -> Result<Applied, Failure> {
        let clock = &stage.ports().clock;
        let watch = Watch::new(Arc::clone(clock), true);
        let (began, wall, worked) =
            (tokio::time::Instant::now(), std::time::Instant::now(), stage.meter.worked());
        let report = run::apply(plan, stage.topology(), stage.ports(), &owner(), &watch).await;
        let report = report.map_err(|error| failed("apply", error))?;
        let took = Span { tokio: began.elapsed(), wall: wall.elapsed() };
        let mut own = took.without(stage.meter.worked().without(worked));
        own.tokio += stage.meter.overslept(&report.steps);
        Ok(Applied { steps: watch.steps(), ended_at: report.ended_at, took, own })
    }

    /// Shows a phase while it runs, and its line when it is done.
    fn phase(&self, name: &'static str) -> Phase {
        let shown = output::stderr_is_terminal() && !self.output.json;
        let target =
            if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(name);
        bar.tick();
        Phase { name, bar, output: self.output, began: std::time::Instant::now(), all: self.began }
    }
}

/// What applying the plan gave.
struct Applied {
    steps: Vec<StepResult>,
    ended_at: Timestamp,
    took: Span,
    own: Span,
}

struct Phase {
    name: &'static str,
    bar: ProgressBar,
    output: Output,
    began: std::time::Instant,
    all: std::time::Instant,
}

impl Phase {
    fn done(self, found: &str) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        tracing::info!(phase = self.name, all = ?self.all.elapsed(), "done");
        let ms = self.began.elapsed().as_millis();
        self.output.text(&format!("{:<38} {found} ({ms} ms)\n", self.name))
    }
}

impl Stage {
    fn ports(&self) -> &Ports {
        &self.connected.ports
    }

    fn topology(&self) -> &Topology {
        &self.stand_in.file.topology
    }

    fn state_folder(&self) -> &Path {
        &self.connected.folder
    }
}

fn owner() -> Owner {
    Owner { who: plan::who(), run: plan::new_run() }
}

fn broken(phase: &str, why: String) -> Failure {
    Failure::failed("rehearsal", format!("{phase} was needed, but: {why}"), REPORT)
}

const REPORT: &str = "Run it again with --keep DIR and -vv, and report what it leaves.";

fn failed(phase: &str, error: RunError) -> Failure {
    match error {
        RunError::Refused(refusal) => refusal.into(),
        RunError::Store(error) => error.into(),
        RunError::Step { step, action, error, .. } => Failure::Failed(Trouble::new(
            error.code.as_str(),
            format!("{phase}: step {} failed: {action}: {error}", step.0),
            error.remedy,
        )),
    }
}
