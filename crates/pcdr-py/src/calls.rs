//! The calls of the package: observe, judge, plan, carry out, serve stand-ins.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::plan::{new_run, stopped, who};
use pcdr_core::observe::{observe as look_at, observe_within};
use pcdr_core::ports::{self, Owner};
use pcdr_core::run::{self, OnFailure};
use pcdr_core::step::NewPrincipal;
use pcdr_core::{Consent, Intent, PlanContent, Situation, Timestamp};
use pyo3::prelude::*;

use crate::error::{Trouble, guarded};
use crate::event::Teller;
use crate::job::{Job, look, start};
use crate::observation::Observation;
use crate::plan::Plan;
use crate::ports::{Ports, Way, clock};
use crate::report::Report;
use crate::servers::StandIns;
use crate::status::Status;
use crate::topology::Topology;
use crate::values;

/// Looks, no longer than so many seconds at anybody.
async fn seen(
    topology: &Topology,
    ports: &ports::Ports,
    timeout: Option<Duration>,
) -> pcdr_core::Observation {
    let designed = topology.designed();
    match timeout {
        Some(limit) => observe_within(designed, ports, &who(), None, limit).await,
        None => look_at(designed, ports, &who(), None).await,
    }
}

fn timeout(seconds: Option<f64>) -> Result<Option<Duration>, Trouble> {
    let wrong = |_| {
        let message =
            format!("timeout_seconds was needed to be a span of time, but it is {seconds:?}");
        Trouble::usage("timeout_seconds", message, "Give a number from 0 on, or None.")
    };
    seconds.map(|seconds| Duration::try_from_secs_f64(seconds).map_err(wrong)).transpose()
}

#[pyfunction]
pub(crate) fn observe(
    topology: PyRef<'_, Topology>,
    ports: Option<PyRef<'_, Ports>>,
    timeout_seconds: Option<f64>,
    event_loop: Option<Bound<'_, PyAny>>,
) -> PyResult<Job> {
    let (topology, way) =
        (topology.clone(), Way::of(&topology, ports.as_deref(), event_loop.as_ref())?);
    let timeout = timeout(timeout_seconds)?;
    look(async move {
        let connected = way.connect(&topology)?;
        let inner = seen(&topology, &connected.ports, timeout).await;
        Ok(Observation { inner: Arc::new(inner) })
    })
}

#[pyfunction]
pub(crate) fn status(
    topology: PyRef<'_, Topology>,
    ports: Option<PyRef<'_, Ports>>,
    timeout_seconds: Option<f64>,
    event_loop: Option<Bound<'_, PyAny>>,
) -> PyResult<Job> {
    let (topology, way) =
        (topology.clone(), Way::of(&topology, ports.as_deref(), event_loop.as_ref())?);
    let timeout = timeout(timeout_seconds)?;
    look(async move {
        let connected = way.connect(&topology)?;
        let inner = Arc::new(seen(&topology, &connected.ports, timeout).await);
        let now = connected.ports.clock.now();
        Status::of(&topology, Observation { inner }, now)
    })
}

#[pyfunction]
pub(crate) fn status_from(
    py: Python<'_>,
    topology: PyRef<'_, Topology>,
    observation: PyRef<'_, Observation>,
    now: Option<Bound<'_, PyAny>>,
) -> PyResult<Status> {
    let now = moment(&topology, now.as_ref())?;
    let (topology, observation) = (topology.clone(), observation.clone());
    Ok(py.detach(|| guarded(|| Status::of(&topology, observation, now)))?)
}

/// The time that was given, or that the topology's world shows.
fn moment(topology: &Topology, given: Option<&Bound<'_, PyAny>>) -> PyResult<Timestamp> {
    match given {
        Some(given) => values::timestamp(given, "now"),
        None => Ok(clock(topology)?.now()),
    }
}

/// What is wanted, by the words of the command line.
fn intent(
    name: &str,
    new_principal: Option<&str>,
    by_cmdlet: bool,
    mirroring: bool,
) -> Result<Intent, Trouble> {
    let wrong = |message: String| {
        let remedy = "Give configure, failover, planned-failover, fence, failback, remove, or \
                      mirror-failover with new_principal=\"primary\" or \"mirror\".";
        Trouble::usage("intent", message, remedy)
    };
    if name != "mirror-failover" && (new_principal.is_some() || by_cmdlet) {
        return Err(wrong(format!("new_principal and by were given, but {name} has neither")));
    }
    if name != "remove" && mirroring {
        return Err(wrong(format!("mirroring was given, but {name} has no such choice")));
    }
    Ok(match name {
        "configure" => Intent::Configure,
        "failover" | "disaster-failover" => Intent::DisasterFailover,
        "planned-failover" => Intent::PlannedFailover,
        "fence" => Intent::Fence,
        "failback" => Intent::Failback,
        "remove" => Intent::Remove { mirroring },
        "mirror-failover" => {
            let new_principal = match new_principal {
                Some("primary") => NewPrincipal::Primary,
                Some("mirror") => NewPrincipal::Mirror,
                other => {
                    return Err(wrong(format!(
                        "mirror-failover needs new_principal to be primary or mirror, but it is {other:?}"
                    )));
                }
            };
            use pcdr_core::plan::FailoverBy::{Cmdlet, TSql};
            Intent::MirrorFailover { new_principal, by: if by_cmdlet { Cmdlet } else { TSql } }
        }
        other => return Err(wrong(format!("{other:?} is no intent"))),
    })
}

/// Named consents.
fn accepted(names: &[String]) -> Result<BTreeSet<Consent>, Trouble> {
    let known = |name: &String| {
        name.parse::<Consent>().map_err(|unknown| {
            Trouble::usage("consent", unknown.to_string(), "Give consents that a refusal names.")
        })
    };
    names.iter().map(known).collect()
}

/// What is wanted, and what is accepted for it.
#[derive(FromPyObject)]
pub(crate) struct Wanted {
    #[pyo3(item)]
    intent: String,
    #[pyo3(item)]
    new_principal: Option<String>,
    #[pyo3(item)]
    by_cmdlet: bool,
    #[pyo3(item)]
    mirroring: bool,
    #[pyo3(item)]
    consents: Vec<String>,
}

impl Wanted {
    fn read(&self) -> Result<(Intent, BTreeSet<Consent>), Trouble> {
        let Wanted { intent: name, new_principal, by_cmdlet, mirroring, consents } = self;
        let intent = intent(name, new_principal.as_deref(), *by_cmdlet, *mirroring)?;
        Ok((intent, accepted(consents)?))
    }
}

fn made(
    wanted: (Intent, &BTreeSet<Consent>),
    of: Topology,
    observation: &pcdr_core::Observation,
    now: Timestamp,
) -> Result<Plan, Trouble> {
    let (intent, consents) = wanted;
    let situation = Situation::new(of.designed(), observation, consents, now);
    let plan = run::plan(intent, &situation)?;
    Ok(Plan { content: Arc::new(PlanContent::clone(&plan)), of })
}

#[pyfunction]
pub(crate) fn plan(
    wanted: Wanted,
    topology: PyRef<'_, Topology>,
    ports: Option<PyRef<'_, Ports>>,
    event_loop: Option<Bound<'_, PyAny>>,
) -> PyResult<Job> {
    let (intent, consents) = wanted.read()?;
    let (topology, way) =
        (topology.clone(), Way::of(&topology, ports.as_deref(), event_loop.as_ref())?);
    look(async move {
        let connected = way.connect(&topology)?;
        let observation = seen(&topology, &connected.ports, None).await;
        let now = connected.ports.clock.now();
        made((intent, &consents), topology, &observation, now).map_err(|error| way.because(error))
    })
}

#[pyfunction]
pub(crate) fn plan_from(
    py: Python<'_>,
    wanted: Wanted,
    topology: PyRef<'_, Topology>,
    observation: PyRef<'_, Observation>,
    now: Option<Bound<'_, PyAny>>,
) -> PyResult<Plan> {
    let (intent, consents) = wanted.read()?;
    let now = moment(&topology, now.as_ref())?;
    let (topology, observation) = (topology.clone(), observation.clone());
    Ok(py.detach(|| guarded(|| made((intent, &consents), topology, &observation.inner, now)))?)
}

#[pyfunction]
pub(crate) fn apply(
    plan: PyRef<'_, Plan>,
    ports: Option<PyRef<'_, Ports>>,
    keep: bool,
    event_loop: Option<Bound<'_, PyAny>>,
) -> PyResult<Job> {
    let Plan { content, of } = plan.clone();
    let way = Way::of(&of, ports.as_deref(), event_loop.as_ref())?;
    let on_failure = if keep { OnFailure::Keep } else { OnFailure::TakeBack };
    start(|watched| async move {
        let connected = way.connect(&of)?;
        let owner = Owner { who: who(), run: new_run() };
        let watcher = Teller(watched);
        let (designed, ports) = (of.designed(), &connected.ports);
        let ended = run::apply_or(on_failure, &content, designed, ports, &owner, &watcher).await;
        match ended {
            Ok(report) => {
                let journal = connected.folder.join("journal.jsonl").display().to_string();
                let journal = (!way.has_store()).then_some(journal);
                Ok(Report::of(report, owner.run, journal, of))
            }
            Err(error) => {
                let original = match &error {
                    run::RunError::Store(error) | run::RunError::Step { error, .. } => {
                        error.source.clone()
                    }
                    run::RunError::Refused(_) => None,
                };
                let failure = stopped(error, of.designed(), content.steps.len());
                Err(way.because(Trouble::from(failure).with_source(original)))
            }
        }
    })
}

#[pyfunction]
pub(crate) fn sim(
    topology: PyRef<'_, Topology>,
    seed: u64,
    keep: Option<PathBuf>,
) -> PyResult<Job> {
    let designed = Arc::clone(&topology.file);
    start(|_| StandIns::serve(designed, seed, keep))
}
