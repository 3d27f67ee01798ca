//! Whether an action's effect can be seen in an observation: the read-back of every step.

use crate::known::Known;
use crate::name::{DatabaseName, ServerName};
use crate::observation::{
    DatabaseObservation, DatabaseState, InstanceObservation, LogBackupFiles, MirroringRole,
    MirroringState, Observation, RecoveryModel,
};
use crate::settings;
use crate::step::{Action, DatabaseAction, DrillAction, FileAction, LogShippingAction, PoolAction};
use crate::time::Timestamp;
use crate::topology::{Instance, Topology};

/// What an observation says about an action's effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It is there.
    Seen,
    /// It is not there (yet); with what was found instead.
    NotSeen(String),
    /// Nothing documented reads it back; with the reason. The action's own success must do.
    Unobservable(&'static str),
}

impl Effect {
    fn when(seen: bool, found: impl FnOnce() -> String) -> Effect {
        if seen { Effect::Seen } else { Effect::NotSeen(found()) }
    }
}

/// Looks for the effect of an action in an observation. `before` is what was seen before the action ran:
/// some effects show only as a change.
pub fn effect(
    topology: &Topology,
    action: &Action,
    before: &Observation,
    observation: &Observation,
) -> Effect {
    match action {
        Action::Database(instance, database, action) => {
            let seen = match observation.instance(instance) {
                Known::Known(seen) => seen,
                Known::Unknown(reason) => {
                    return Effect::NotSeen(format!("{instance} is unknown: {reason}"));
                }
            };
            if let DatabaseAction::CreateMirroringEndpoint { .. } = action {
                let endpoint = seen.mirroring_endpoint.known().and_then(Option::as_ref);
                let started = endpoint.is_some_and(|endpoint| endpoint.is_started);
                return Effect::when(started, || "no started mirroring endpoint".into());
            }
            if let DatabaseAction::DropMirroringEndpoint { name } = action {
                return endpoint_gone(name, true, seen);
            }
            if let DatabaseAction::StopMirroringEndpoint { name } = action {
                return endpoint_gone(name, false, seen);
            }
            match observation.database(instance, database) {
                Known::Known(Some(copy)) => on_database(action, copy),
                Known::Known(None) if drops(action) => Effect::Seen,
                Known::Known(None) => Effect::NotSeen(format!("{instance} has no {database}")),
                Known::Unknown(reason) => {
                    Effect::NotSeen(format!("{database} on {instance} is unknown: {reason}"))
                }
            }
        }
        Action::LogShipping(instance, database, action) => {
            let Known::Known(seen) = observation.instance(instance) else {
                return Effect::NotSeen(format!("{instance} is unknown"));
            };
            if let LogShippingAction::RemoveSecondaryPrimary { primary_server } = action {
                return registration_gone(seen, database, primary_server);
            }
            let primary = seen.log_shipping_primary.as_ref().map(|all| all.get(database));
            let secondary = seen.log_shipping_secondary.as_ref().map(|all| all.get(database));
            on_log_shipping(action, primary, secondary, &seen.alert_job)
        }
        Action::Files(_, FileAction::Copy { .. }) => {
            Effect::Unobservable("a copy is verified by reading it back before it gets its name")
        }
        Action::Pool(_, action) => on_pool(topology, action, before, observation),
    }
}

/// Whether the effect of an action is that the database is gone.
fn drops(action: &DatabaseAction) -> bool {
    match action {
        DatabaseAction::DropRestoring => true,
        DatabaseAction::Drill(step) => step.action == DrillAction::Drop,
        _ => false,
    }
}

fn on_the_copy_of_a_drill(action: &DrillAction, copy: &DatabaseObservation) -> Effect {
    let state = || format!("the drill's copy is {}", copy.state);
    match action {
        DrillAction::RestoreDatabase { .. } => {
            Effect::when(copy.state == DatabaseState::Restoring, state)
        }
        DrillAction::RestoreLog { log, .. } => stands_at(copy, log.last_lsn),
        // Whether it is READ_ONLY, as its database may have been, makes no difference.
        DrillAction::Recover { .. } => {
            Effect::when(copy.state == DatabaseState::Online && !copy.is_in_standby, state)
        }
        DrillAction::Check => Effect::Unobservable("the end of DBCC CHECKDB is its result"),
        DrillAction::Drop => Effect::NotSeen(state()),
    }
}

/// Whether a copy that waits for log stands at a position or beyond it.
fn stands_at(copy: &DatabaseObservation, lsn: crate::Lsn) -> Effect {
    match &copy.log_position {
        Known::Known(position) => {
            let at = position.redo_start_lsn.or(position.last_restored_lsn);
            Effect::when(at.is_some_and(|at| at >= lsn), || {
                at.map_or_else(|| "no log position".into(), |at| format!("it stands at {at}"))
            })
        }
        Known::Unknown(reason) => Effect::NotSeen(format!("its log position: {reason}")),
    }
}

fn on_database(action: &DatabaseAction, copy: &DatabaseObservation) -> Effect {
    let state = || format!("the database is {}", copy.state);
    match action {
        // Read back by the caller, from the instance.
        DatabaseAction::CreateMirroringEndpoint { .. }
        | DatabaseAction::DropMirroringEndpoint { .. }
        | DatabaseAction::StopMirroringEndpoint { .. } => Effect::Seen,
        DatabaseAction::SetRecoveryBack { model } => {
            Effect::when(copy.recovery_model == *model, || {
                format!("the recovery model is {}", copy.recovery_model)
            })
        }
        DatabaseAction::DropRestoring => Effect::NotSeen(state()),
        DatabaseAction::Drill(step) => on_the_copy_of_a_drill(&step.action, copy),
        DatabaseAction::SetRecoveryFull => {
            Effect::when(copy.recovery_model == RecoveryModel::Full, || {
                format!("the recovery model is {:?}", copy.recovery_model)
            })
        }
        DatabaseAction::BackUpDatabase { .. } | DatabaseAction::BackUpLog { .. } => {
            Effect::Unobservable("a backup is proved by the restore that reads it")
        }
        DatabaseAction::BackUpTail { .. } | DatabaseAction::RestoreDatabase { .. } => {
            Effect::when(copy.state == DatabaseState::Restoring, state)
        }
        DatabaseAction::RestoreLog { log: None, .. } => {
            Effect::when(copy.state == DatabaseState::Restoring, state)
        }
        DatabaseAction::RestoreLog { log: Some(log), .. } => stands_at(copy, log.last_lsn),
        DatabaseAction::EndSessions => match &copy.sessions {
            Known::Known(sessions) => Effect::when(sessions.is_empty(), || {
                format!("{} sessions are in it", sessions.len())
            }),
            Known::Unknown(reason) => Effect::NotSeen(format!("its sessions: {reason}")),
        },
        // A copy of a database that was READ_ONLY is so, too, and takes no writes.
        DatabaseAction::Recover { .. } => Effect::when(copy.is_writable(), || {
            let read_only = if copy.is_read_only { " and READ_ONLY" } else { "" };
            format!("{}{read_only}", state())
        }),
        DatabaseAction::SetPartner { address } => match copy.mirroring.known() {
            Some(Some(mirroring)) => {
                Effect::when(mirroring.partner_address.eq_ignore_ascii_case(address), || {
                    format!("its partner is {}", mirroring.partner_address)
                })
            }
            // On the mirror, the session is not shown before the principal has joined it.
            _ if copy.state == DatabaseState::Restoring => {
                Effect::Unobservable("a mirror shows its session once the principal has joined")
            }
            _ => Effect::NotSeen("it is not mirrored".into()),
        },
        DatabaseAction::SetWitness { address } => {
            let witness = copy.mirroring.known().and_then(Option::as_ref);
            let witness = witness.and_then(|mirroring| mirroring.witness_address.as_deref());
            Effect::when(witness.is_some_and(|w| w.eq_ignore_ascii_case(address)), || {
                format!("its witness is {}", witness.unwrap_or("none"))
            })
        }
        DatabaseAction::AwaitSynchronized => synchronized(copy),
        DatabaseAction::FailOverMirror => {
            Effect::when(copy.mirroring_role() == Some(MirroringRole::Mirror), || {
                format!("its mirroring role is {:?}", copy.mirroring_role())
            })
        }
        DatabaseAction::ForceService => serves_as_principal(copy),
        DatabaseAction::RemoveWitness => match &copy.mirroring {
            Known::Known(session) => {
                let witness = session.as_ref().and_then(|session| session.witness_address.as_ref());
                Effect::when(witness.is_none(), || {
                    format!("its witness is {}", witness.map_or("none", String::as_str))
                })
            }
            Known::Unknown(reason) => Effect::NotSeen(format!("its mirroring: {reason}")),
        },
        DatabaseAction::RemoveMirroring => match &copy.mirroring {
            Known::Known(session) => Effect::when(session.is_none(), || "it is mirrored".into()),
            Known::Unknown(reason) => Effect::NotSeen(format!("its mirroring: {reason}")),
        },
    }
}

/// Whether an instance has no endpoint of this name any more, or none that is started.
fn endpoint_gone(name: &str, is_drop: bool, seen: &InstanceObservation) -> Effect {
    match &seen.mirroring_endpoint {
        Known::Known(None) => Effect::Seen,
        Known::Known(Some(endpoint)) if endpoint.name != *name => Effect::Seen,
        Known::Known(Some(endpoint)) => Effect::when(!is_drop && !endpoint.is_started, || {
            let state = if endpoint.is_started { "started" } else { "there" };
            format!("mirroring endpoint {} is {state}", endpoint.name)
        }),
        Known::Unknown(reason) => Effect::NotSeen(format!("the mirroring endpoint: {reason}")),
    }
}

fn serves_as_principal(copy: &DatabaseObservation) -> Effect {
    let role = copy.mirroring_role();
    let serves = role == Some(MirroringRole::Principal) && copy.is_writable();
    Effect::when(serves, || format!("it is {} with the mirroring role {role:?}", copy.state))
}

/// Whether no primary of this name is registered without a secondary database.
fn registration_gone(
    seen: &InstanceObservation,
    database: &DatabaseName,
    primary_server: &str,
) -> Effect {
    match &seen.log_shipping_unfinished {
        Known::Known(all) => {
            let there = all.iter().any(|registered| {
                registered.primary_database == *database
                    && registered.primary_server.eq_ignore_ascii_case(primary_server)
            });
            Effect::when(!there, || format!("{primary_server} is still registered"))
        }
        Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
    }
}

fn synchronized(copy: &DatabaseObservation) -> Effect {
    let state = copy.mirroring.known().and_then(Option::as_ref).map(|mirroring| mirroring.state);
    Effect::when(state == Some(MirroringState::Synchronized), || {
        state.map_or_else(|| "it is not mirrored".into(), |s| format!("mirroring is {s:?}"))
    })
}

fn on_log_shipping(
    action: &LogShippingAction,
    primary: Known<Option<&crate::observation::LogShippingPrimary>>,
    secondary: Known<Option<&crate::observation::LogShippingSecondary>>,
    alert_job: &Known<Option<crate::observation::Job>>,
) -> Effect {
    let as_designed = |differences: Vec<settings::Difference>| {
        Effect::when(differences.is_empty(), || {
            let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
            format!("not as designed: {}", texts.join(", "))
        })
    };
    match action {
        LogShippingAction::AddPrimary(settings)
        | LogShippingAction::ChangePrimary { settings, .. } => match primary {
            Known::Known(Some(entry)) => {
                as_designed(settings::primary_differences(settings, entry))
            }
            Known::Known(None) => Effect::NotSeen("there is no log shipping primary entry".into()),
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::AddSecondary(settings)
        | LogShippingAction::ChangeSecondary { settings, .. } => match secondary {
            Known::Known(Some(entry)) => {
                as_designed(settings::secondary_differences(settings, entry))
            }
            Known::Known(None) => {
                Effect::NotSeen("there is no log shipping secondary entry".into())
            }
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::AddAlertJob { schedule } => match alert_job {
            Known::Known(Some(job)) => as_designed(settings::alert_job_differences(schedule, job)),
            Known::Known(None) => Effect::NotSeen("there is no alert job".into()),
            Known::Unknown(reason) => Effect::NotSeen(format!("the alert job: {reason}")),
        },
        LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
            let there =
                primary.known().copied().flatten().is_some_and(|entry| {
                    is_registered(entry, secondary_server, secondary_database)
                });
            Effect::when(there, || format!("{secondary_server} is not registered"))
        }
        LogShippingAction::HoldBackupJob { .. } => match primary {
            Known::Known(None) => Effect::Seen,
            Known::Known(Some(entry)) => Effect::when(!entry.backup_job_may_run(), || {
                "the backup job is enabled or running".into()
            }),
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::HoldSecondaryJobs => match secondary {
            Known::Known(None) => Effect::Seen,
            Known::Known(Some(entry)) => {
                let busy = [&entry.copy_job, &entry.restore_job]
                    .into_iter()
                    .any(|job| job.known().is_none_or(|job| job.is_enabled || job.is_running));
                Effect::when(!busy, || "a copy or restore job is enabled or running".into())
            }
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::RemoveSecondary => match secondary {
            Known::Known(entry) => {
                Effect::when(entry.is_none(), || "the entry is still there".into())
            }
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::RemoveAlertJob => match alert_job {
            Known::Known(job) => Effect::when(job.is_none(), || "the alert job is there".into()),
            Known::Unknown(reason) => Effect::NotSeen(format!("the alert job: {reason}")),
        },
        // Read back by the caller, from the registrations without a secondary database.
        LogShippingAction::RemoveSecondaryPrimary { .. } => Effect::Seen,
        LogShippingAction::RemovePrimarySecondary { secondary_server, secondary_database } => {
            match primary {
                Known::Known(entry) => {
                    let there = entry.is_some_and(|entry| {
                        is_registered(entry, secondary_server, secondary_database)
                    });
                    Effect::when(!there, || format!("{secondary_server} is still registered"))
                }
                Known::Unknown(reason) => {
                    Effect::NotSeen(format!("log shipping is unknown: {reason}"))
                }
            }
        }
        LogShippingAction::RemovePrimary => match primary {
            Known::Known(entry) => {
                Effect::when(entry.is_none(), || "the entry is still there".into())
            }
            Known::Unknown(reason) => Effect::NotSeen(format!("log shipping is unknown: {reason}")),
        },
        LogShippingAction::RunBackupJob
        | LogShippingAction::RunCopyJob
        | LogShippingAction::RunRestoreJob => {
            Effect::Unobservable("the end of the run itself was awaited")
        }
    }
}

/// Whether a secondary is registered in a primary's entry.
fn is_registered(
    entry: &crate::observation::LogShippingPrimary,
    secondary_server: &str,
    secondary_database: &DatabaseName,
) -> bool {
    entry.secondaries.iter().any(|(server, database)| {
        server.eq_ignore_ascii_case(secondary_server) && database == secondary_database.as_str()
    })
}

fn on_pool(
    topology: &Topology,
    action: &PoolAction,
    before: &Observation,
    observation: &Observation,
) -> Effect {
    match action {
        PoolAction::SetState(state) => {
            let pool = observation.pool.as_ref().and_then(Known::known);
            let found = pool.and_then(|pool| pool.state.known());
            Effect::when(found == Some(state), || format!("the pool state is {found:?}"))
        }
        PoolAction::InstallMirror { primary, mirror, database, .. } => {
            match (observation.database(primary, database), topology.instance(mirror)) {
                (Known::Known(Some(copy)), Some(mirror)) if is_mirrored_to(copy, mirror) => {
                    synchronized(copy)
                }
                _ => Effect::NotSeen(format!("{database} is not mirrored to {mirror}")),
            }
        }
        PoolAction::FailOverDatabase { database, to, .. } => {
            match observation.database(to, database) {
                Known::Known(Some(copy)) => serves_as_principal(copy),
                Known::Known(None) => Effect::NotSeen(format!("{to} has no {database}")),
                Known::Unknown(reason) => {
                    Effect::NotSeen(format!("{database} on {to} is unknown: {reason}"))
                }
            }
        }
        PoolAction::ClearActiveServers => {
            Effect::Unobservable("no documented command reads the active list")
        }
        PoolAction::AddActiveServer(_) => {
            Effect::Unobservable("no documented command reads the active list")
        }
        PoolAction::AwaitServers(servers) => {
            let Some(pool) = topology.pool() else {
                return Effect::NotSeen("there is no pool".into());
            };
            // A ping that changed was written to this copy after the action began, whatever zone its
            // time is in.
            let pinged = |server: &&ServerName| {
                topology.instances().any(|instance| {
                    let ping = |observation: &Observation| match observation
                        .database(&instance.name, &pool.database)
                    {
                        Known::Known(Some(copy)) if copy.is_writable() => {
                            copy.server_pings.known().and_then(|pings| pings.get(*server)).copied()
                        }
                        _ => None,
                    };
                    ping(observation).is_some_and(|now| ping(before).is_none_or(|then| now > then))
                })
            };
            let silent: Vec<&str> =
                servers.iter().filter(|s| !pinged(s)).map(ServerName::as_str).collect();
            Effect::when(silent.is_empty(), || {
                format!("{} have not pinged the database yet", silent.join(", "))
            })
        }
    }
}

/// Whether a copy is the principal of a session with this mirror.
pub fn is_mirrored_to(copy: &DatabaseObservation, mirror: &Instance) -> bool {
    let session = copy.mirroring.known().and_then(Option::as_ref);
    session.is_some_and(|session| {
        session.role == MirroringRole::Principal
            && session.partner_address.eq_ignore_ascii_case(&mirror.mirroring_address())
    })
}

/// Whether a server's last ping in a recovered copy is newer than everything that was restored into it:
/// then the server wrote it to this copy itself.
///
/// The published schema does not say which zone a ping's time is in, local or UTC; it has to be newer
/// in both.
pub fn has_pinged_since_recovery(
    seen: &InstanceObservation,
    copy: &DatabaseObservation,
    files: Option<&LogBackupFiles>,
    server: &ServerName,
) -> bool {
    // The new primary's own log backups were not restored into it.
    let is_own = |by: &str| seen.server_name.as_ref().is_some_and(|n| n.eq_ignore_ascii_case(by));
    let restored_until = files
        .into_iter()
        .flat_map(|files| [&files.share, &files.copied])
        .filter_map(Known::known)
        .flatten()
        .filter_map(|file| file.header.known())
        .filter(|header| !is_own(&header.server))
        .map(|header| header.finished_at)
        .max();
    let ping = copy.server_pings.known().and_then(|pings| pings.get(server));
    let (Some(ping), Some(restored_until)) = (ping, restored_until) else { return false };
    let offset_millis = i64::from(seen.utc_offset_minutes) * 60_000;
    let as_utc = Timestamp::from_unix_millis(ping.unix_millis().saturating_add(offset_millis));
    *ping > restored_until && as_utc > restored_until
}
