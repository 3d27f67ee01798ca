//! SQL Server Agent: picks up requests, fires schedules, runs jobs step by step and writes history.
//!
//! One task for each start of an instance's service; it sleeps until the next schedule or request and
//! ends with the service. A request is picked up a moment after `sp_start_job` has returned: until
//! then the job's activity row shows the run before.

mod log_shipping;
mod log_shipping_files;
mod rows;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::msdb::around::{agent_caller, moment, with_msdb};
use super::msdb::{Moment, Msdb, RunRequest, RunSource, Signal, Surroundings, schedules};
use super::world::{WeakWorld, World};

/// The Agent of an instance: what tells its task to look again, and how a run is stopped.
#[derive(Debug, Default)]
pub struct Agent {
    wake: Arc<Notify>,
    stop: CancellationToken,
    runs: BTreeMap<Uuid, CancellationToken>,
}

/// How long a request waits until the Agent notices it.
const PICK_UP: Duration = Duration::from_millis(20);

/// Called once when the service of an instance starts: the Agent starts with it.
pub fn started(world: &World, instance: &str) {
    start(world, instance);
}

/// Starts the Agent of an instance, if it is not running: a new session, and none of the old one's
/// runs.
pub fn start(world: &World, instance: &str) {
    let now = world.now();
    let mut state = world.lock();
    let Some(own) = state.instances.get_mut(instance) else {
        return;
    };
    own.agent.stop.cancel();
    own.agent.stop = own.down.child_token();
    own.agent.wake = Arc::new(Notify::new());
    own.agent.runs.clear();
    let (stop, wake) = (own.agent.stop.clone(), own.agent.wake.clone());
    let local = moment(now, own.config.utc_offset_minutes);
    rows::new_session(&mut own.msdb, local);
    own.log_error(now, "SQLServerAgent service successfully started.");
    drop(state);
    // Without a runtime nothing can run; rows can still be set up and looked at.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(serve(world.downgrade(), instance.to_owned(), stop, wake, local));
    }
}

/// Stops the Agent of an instance; its runs are stopped hard, their activity rows stay open.
pub fn stop(world: &World, instance: &str) {
    let mut state = world.lock();
    if let Some(own) = state.instances.get_mut(instance) {
        own.agent.stop.cancel();
        own.agent.runs.clear();
        own.msdb.agent.is_running = false;
        own.msdb.agent.pending.clear();
        own.msdb.agent.running.clear();
    }
    drop(state);
    world.notify();
}

/// Acts on what a procedure asked of the Agent.
pub fn signalled(world: &World, instance: &str, signals: &[Signal]) {
    if signals.is_empty() {
        return;
    }
    let now = world.now();
    let mut state = world.lock();
    let Some(own) = state.instances.get_mut(instance) else {
        return;
    };
    for signal in signals {
        match signal {
            Signal::Stop(job) => {
                if let Some(run) = own.agent.runs.get(job) {
                    run.cancel();
                }
            }
            Signal::Schedules => {
                let at = moment(now, own.config.utc_offset_minutes);
                rows::activity_for_all(&mut own.msdb);
                schedules::refresh_next_runs(&mut own.msdb, at);
            }
            Signal::Start { .. } => {}
        }
    }
    own.agent.wake.notify_one();
}

/// What the task does next.
enum Next {
    Sleep(Option<Duration>),
    Gone,
}

async fn serve(
    world: WeakWorld,
    instance: String,
    stop: CancellationToken,
    wake: Arc<Notify>,
    began: Moment,
) {
    let mut looked_at = began;
    loop {
        let next = match world.upgrade() {
            Some(world) => look(&world, &instance, &mut looked_at),
            None => Next::Gone,
        };
        let Next::Sleep(sleep) = next else { return };
        let due = async {
            match sleep {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = wake.notified() => tokio::time::sleep(PICK_UP).await,
            () = due => {}
        }
        if stop.is_cancelled() {
            return;
        }
        if let Some(world) = world.upgrade() {
            pick_up(&world, &instance, &stop, &mut looked_at);
        }
    }
}

/// How long until the next schedule fires.
fn look(world: &World, instance: &str, looked_at: &mut Moment) -> Next {
    let now = world.now();
    let state = world.lock();
    let Some(own) = state.instances.get(instance) else {
        return Next::Gone;
    };
    let at = moment(now, own.config.utc_offset_minutes);
    let next = schedules::next_runs(&own.msdb, looked_at.local).into_iter().next();
    Next::Sleep(next.map(|(due, ..)| {
        let left = due.duration_since(at.local);
        // The shown time is cut to the millisecond: never wake before it is really due.
        Duration::try_from(left).unwrap_or(Duration::ZERO) + Duration::from_millis(1)
    }))
}

/// Queues the schedules that are due and starts every queued run.
fn pick_up(world: &World, instance: &str, stop: &CancellationToken, looked_at: &mut Moment) {
    let now = world.now();
    let mut guard = world.lock();
    let state = &mut *guard;
    let fail_jobs = &mut state.fail_jobs;
    let Some(own) = state.instances.get_mut(instance) else {
        return;
    };
    let at = moment(now, own.config.utc_offset_minutes);
    let due: Vec<_> = schedules::next_runs(&own.msdb, looked_at.local)
        .into_iter()
        .take_while(|run| run.0 <= at.local)
        .collect();
    *looked_at = at;
    for (_, job, id, name) in due {
        let busy = own.msdb.agent.running.contains_key(&job)
            || own.msdb.agent.pending.iter().any(|r| r.job == job);
        // A schedule that fires while its job runs is passed over, as the Agent does.
        if !busy {
            own.msdb.agent.pending.push_back(RunRequest {
                job,
                step: None,
                source: RunSource::Schedule,
                by: format!("{id} ({name})"),
                at: at.local,
            });
        }
    }
    let requests: Vec<RunRequest> = own.msdb.agent.pending.drain(..).collect();
    let mut runs = Vec::new();
    for request in requests {
        let Some(job) = rows::begin(&mut own.msdb, &request, at) else {
            continue;
        };
        let cancel = stop.child_token();
        own.agent.runs.insert(request.job, cancel.clone());
        let fails = fail_jobs.remove(&(instance.to_owned(), job.name.to_lowercase()))
            || fail_jobs.remove(&(instance.to_owned(), "*".to_owned()));
        runs.push(steps::Run {
            world: world.clone(),
            instance: instance.to_owned(),
            job,
            request,
            cancel,
            service: stop.clone(),
            fails,
            began: now,
        });
    }
    schedules::refresh_next_runs(&mut own.msdb, at);
    drop(guard);
    for run in runs {
        tokio::spawn(run.execute());
    }
    world.notify();
}

/// Runs `f` over an instance's `msdb` as the Agent itself.
fn as_agent<T>(
    world: &World,
    instance: &str,
    f: impl FnOnce(&mut Msdb, &mut dyn Surroundings) -> T,
) -> Option<T> {
    let now = world.now();
    let mut state = world.lock();
    let own = state.instances.get(instance)?;
    // What a stopped server's task still wanted to write is lost with it.
    if !own.running {
        return None;
    }
    let caller = agent_caller(own);
    with_msdb(&mut state, instance, now, caller, f)
}
