//! Looking at everything at once: one observation from all ports.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, join3, select};

use crate::backup::BackupFile;
use crate::error::InstanceError;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{InstanceObservation, LogBackupFiles, Observation};
use crate::ports::Ports;
use crate::step::{Action, PoolAction};
use crate::topology::{Role, Topology};

/// Observes every instance, every log backup and the pool, side by side.
///
/// What cannot be seen is unknown in the result, with the error's code and text as reason; nothing fails.
/// `earlier` saves reading headers again of files that have not changed.
pub async fn observe(
    topology: &Topology,
    ports: &Ports,
    observer: &str,
    earlier: Option<&Observation>,
) -> Observation {
    look(topology, ports, observer, earlier, None).await
}

/// As [`observe`], but nobody is waited for longer than `limit`: what has not answered by then is unknown,
/// with the code `timed_out`.
pub async fn observe_within(
    topology: &Topology,
    ports: &Ports,
    observer: &str,
    earlier: Option<&Observation>,
    limit: Duration,
) -> Observation {
    look(topology, ports, observer, earlier, Some(limit)).await
}

/// Observes every instance, in one round trip each, and nothing else: no log backup is listed or read, and
/// the pool is not asked. Nobody is waited for longer than `limit`.
pub async fn observe_instances(
    topology: &Topology,
    ports: &Ports,
    observer: &str,
    limit: Duration,
) -> Observation {
    let taken_at = ports.clock.now();
    let instances = instances(topology, ports, Some(limit)).await;
    Observation {
        taken_at,
        observer: observer.to_owned(),
        instances,
        log_backups: BTreeMap::new(),
        pool: topology
            .pool()
            .map(|pool| Known::unknown("not_observed", format!("{} was not asked", pool.fqdn))),
        drill: None,
    }
}

async fn instances(
    topology: &Topology,
    ports: &Ports,
    limit: Option<Duration>,
) -> BTreeMap<InstanceName, Known<InstanceObservation>> {
    let databases: Vec<DatabaseName> = topology.observed_databases().cloned().collect();
    let asked = topology.instances().map(|instance| async {
        let answer = instance_of(ports, &instance.name, &databases);
        let late = || not_in_time(instance.name.as_str(), limit);
        (instance.name.clone(), within(ports, limit, answer, late).await)
    });
    join_all(asked).await.into_iter().collect()
}

async fn look(
    topology: &Topology,
    ports: &Ports,
    observer: &str,
    earlier: Option<&Observation>,
    limit: Option<Duration>,
) -> Observation {
    let taken_at = ports.clock.now();
    let files = topology.databases().iter().map(|database| async move {
        let known = earlier.and_then(|o| o.log_backups.get(database));
        let late = || {
            let what = format!("the log backups of {database}");
            LogBackupFiles { share: not_in_time(&what, limit), copied: not_in_time(&what, limit) }
        };
        let found = within(ports, limit, files_of(ports, database, known), late).await;
        (database.clone(), found)
    });
    let pool = async {
        match (&ports.pool, topology.pool()) {
            (Some(pool), Some(designed)) => {
                let asked = async {
                    match pool.observe().await {
                        Ok(seen) => Known::Known(seen),
                        Err(error) => unknown(&error),
                    }
                };
                let late = || not_in_time(designed.fqdn.as_str(), limit);
                Some(within(ports, limit, asked, late).await)
            }
            (None, Some(pool)) => Some(Known::unknown(
                "no_pool_control",
                format!("no way to control {} is configured", pool.fqdn),
            )),
            (_, None) => None,
        }
    };
    let (instances, log_backups, pool) =
        join3(instances(topology, ports, limit), join_all(files), pool).await;
    Observation {
        taken_at,
        observer: observer.to_owned(),
        instances,
        log_backups: log_backups.into_iter().collect(),
        pool,
        drill: None,
    }
}

/// What is asked, or what stands for it when the limit passes first.
async fn within<T>(
    ports: &Ports,
    limit: Option<Duration>,
    asked: impl Future<Output = T>,
    late: impl FnOnce() -> T,
) -> T {
    let Some(limit) = limit else { return asked.await };
    match select(pin!(asked), ports.clock.sleep(limit)).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => late(),
    }
}

fn not_in_time<T>(what: &str, limit: Option<Duration>) -> Known<T> {
    let limit = crate::time::readable(limit.unwrap_or_default());
    Known::unknown("timed_out", format!("{what} did not answer within {limit}"))
}

/// Observes again only what an action may have changed, into an existing observation: the databases that it
/// concerns, on the instances that it concerns. Of a hundred databases side by side, each step reads its own.
pub async fn observe_again(
    topology: &Topology,
    ports: &Ports,
    action: &Action,
    observation: &mut Observation,
) {
    let mut instances: Vec<&InstanceName> = action.instance().into_iter().collect();
    match action {
        Action::Pool(_, PoolAction::InstallMirror { primary, mirror, .. }) => {
            instances.extend([primary, mirror]);
        }
        Action::Pool(_, PoolAction::FailOverDatabase { from, to, .. }) => {
            instances.extend([from, to]);
        }
        Action::Pool(_, PoolAction::AwaitServers(_)) => {
            let serving =
                topology.instances().filter(|i| matches!(i.role, Role::Primary | Role::Secondary));
            instances.extend(serving.map(|instance| &instance.name));
        }
        Action::Pool(
            _,
            PoolAction::SetState(_)
            | PoolAction::ClearActiveServers
            | PoolAction::AddActiveServer(_),
        ) => {
            if let Some(pool) = &ports.pool {
                let seen = pool.observe().await;
                observation.pool = Some(seen.map_or_else(|error| unknown(&error), Known::Known));
            }
        }
        Action::Database(..) | Action::LogShipping(..) | Action::Files(..) => {}
    }
    let concerned = concerned(topology, action);
    let seen: Vec<_> = instances
        .into_iter()
        .map(|name| {
            // Where something is known of the other databases, it is kept; else all are asked for.
            let is_partial = match observation.instances.get(name) {
                Some(Known::Known(before)) => before.databases.known().is_some(),
                Some(Known::Unknown(_)) => false,
                None => true,
            };
            let all = || {
                let others = topology.observed_databases().filter(|name| !concerned.contains(name));
                others.chain(&concerned).cloned().collect()
            };
            let databases = if is_partial { concerned.clone() } else { all() };
            async move {
                let seen = instance_of(ports, name, &databases).await;
                (name.clone(), seen, databases)
            }
        })
        .collect();
    for (name, seen, databases) in join_all(seen).await {
        observation.take_over(name, seen, &databases);
    }
}

/// The databases that an action concerns.
pub(crate) fn concerned(topology: &Topology, action: &Action) -> Vec<DatabaseName> {
    let database = match action {
        Action::Database(_, database, _)
        | Action::LogShipping(_, database, _)
        | Action::Files(database, _)
        | Action::Pool(
            _,
            PoolAction::InstallMirror { database, .. }
            | PoolAction::FailOverDatabase { database, .. },
        ) => Some(database),
        Action::Pool(
            _,
            PoolAction::AwaitServers(_)
            | PoolAction::SetState(_)
            | PoolAction::ClearActiveServers
            | PoolAction::AddActiveServer(_),
        ) => topology.pool().map(|pool| &pool.database),
    };
    database.into_iter().cloned().collect()
}

async fn instance_of(
    ports: &Ports,
    name: &InstanceName,
    databases: &[DatabaseName],
) -> Known<InstanceObservation> {
    let Some(instance) = ports.instances.get(name).map(Arc::clone) else {
        return Known::unknown("no_connection", format!("no way to reach {name} is configured"));
    };
    match instance.observe(databases).await {
        Ok(seen) => Known::Known(seen),
        Err(error) => unknown(&error),
    }
}

async fn files_of(
    ports: &Ports,
    database: &DatabaseName,
    earlier: Option<&LogBackupFiles>,
) -> LogBackupFiles {
    let known: Vec<BackupFile> = earlier
        .into_iter()
        .flat_map(|files| [&files.share, &files.copied])
        .filter_map(Known::known)
        .flatten()
        .filter(|file| file.header.known().is_some())
        .cloned()
        .collect();
    match ports.files.list(database, &known).await {
        Ok(files) => files,
        Err(error) => LogBackupFiles { share: unknown(&error), copied: unknown(&error) },
    }
}

fn unknown<T>(error: &InstanceError) -> Known<T> {
    Known::Unknown(Reason::new(error.code.as_str(), error.to_string()))
}
