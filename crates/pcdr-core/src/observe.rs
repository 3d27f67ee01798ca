//! Looking at everything at once: one observation from all ports.

use std::sync::Arc;

use futures_util::future::{join_all, join3};

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
    let taken_at = ports.clock.now();
    let databases: Vec<DatabaseName> = topology.observed_databases().cloned().collect();
    let instances = topology.instances().map(|instance| async {
        (instance.name.clone(), instance_of(ports, &instance.name, &databases).await)
    });
    let files = topology.databases().iter().map(|database| async {
        let known = earlier.and_then(|o| o.log_backups.get(database));
        (database.clone(), files_of(ports, database, known).await)
    });
    let pool = async {
        match (&ports.pool, topology.pool()) {
            (Some(pool), Some(_)) => Some(match pool.observe().await {
                Ok(seen) => Known::Known(seen),
                Err(error) => unknown(&error),
            }),
            (None, Some(pool)) => Some(Known::unknown(
                "no_pool_control",
                format!("no way to control {} is configured", pool.fqdn),
            )),
            (_, None) => None,
        }
    };
    let (instances, log_backups, pool) = join3(join_all(instances), join_all(files), pool).await;
    Observation {
        taken_at,
        observer: observer.to_owned(),
        instances: instances.into_iter().collect(),
        log_backups: log_backups.into_iter().collect(),
        pool,
    }
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
            let all = || topology.observed_databases().cloned().collect();
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
