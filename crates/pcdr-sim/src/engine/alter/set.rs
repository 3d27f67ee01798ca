//! ALTER DATABASE … SET.

use std::time::Duration;

use jiff::Timestamp;

use super::{is_system, start};
use crate::engine::access;
use crate::engine::database;
use crate::engine::errors;
use crate::engine::security::{self, Action};
use crate::engine::session::{SessionHost, database_mut, session_mut};
use crate::engine::state::{
    Database, InstanceState, RecoveryModel, Status, UserAccess, WorldState,
};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::Termination;
use crate::tsql::host::Sink;

/// Options that need the database for themselves.
fn needs_exclusive(words: &[String]) -> bool {
    matches!(
        words.first().map(String::as_str),
        Some(
            "SINGLE_USER"
                | "OFFLINE"
                | "RESTRICTED_USER"
                | "READ_ONLY"
                | "READ_WRITE"
                | "EMERGENCY"
        )
    )
}

pub(super) async fn set(
    host: &SessionHost,
    name: &str,
    options: Vec<Vec<String>>,
    termination: Option<Termination>,
    sink: &mut dyn Sink,
) -> Result<(), SqlFailure> {
    let me = host.me.session_id;
    let options: Vec<Vec<String>> = options
        .into_iter()
        .map(|words| words.iter().map(|word| word.to_uppercase()).collect())
        .collect();
    check_together(&options).map_err(errors::closed_by_5069)?;
    let exclusive = options.iter().any(|words| needs_exclusive(words));
    // What does not depend on other sessions.
    host.try_change(|state, key, _| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        let own = instance
            .database(name)
            .ok_or_else(|| errors::closed_by_5069(errors::cannot_alter(name)))?;
        for words in &options {
            check_option(instance, own, words, me).map_err(errors::closed_by_5069)?;
        }
        Ok(())
    })?;
    if exclusive {
        evict(host, name, &options, termination, sink).await?;
    }
    host.try_change(|state, key, now| {
        for words in &options {
            apply(host, state, key, name, words, now).map_err(errors::closed_by_5069_after)?;
        }
        Ok(())
    })?;
    host.me.world.notify();
    Ok(())
}

/// Options of one statement that exclude each other.
fn check_together(options: &[Vec<String>]) -> Result<(), SqlMessage> {
    let groups: [&[&str]; 3] = [
        &["ONLINE", "OFFLINE", "EMERGENCY"],
        &["READ_ONLY", "READ_WRITE"],
        &["SINGLE_USER", "RESTRICTED_USER", "MULTI_USER"],
    ];
    let names: Vec<&str> =
        options.iter().filter_map(|words| words.first().map(String::as_str)).collect();
    if names.contains(&"SINGLE_USER") && names.contains(&"RESTRICTED_USER") {
        return Err(errors::single_and_restricted());
    }
    for (i, name) in names.iter().enumerate() {
        let excluded = names.iter().take(i).any(|earlier| {
            earlier == name
                || groups.iter().any(|group| group.contains(name) && group.contains(earlier))
        });
        if excluded {
            return Err(errors::options_conflict(name));
        }
    }
    Ok(())
}

fn check_option(
    instance: &InstanceState,
    own: &Database,
    words: &[String],
    me: u16,
) -> Result<(), SqlMessage> {
    let option = words.first().map_or("", String::as_str);
    let name = &own.name;
    const KNOWN: &[&str] = &[
        "RECOVERY",
        "SINGLE_USER",
        "RESTRICTED_USER",
        "MULTI_USER",
        "OFFLINE",
        "ONLINE",
        "EMERGENCY",
        "READ_ONLY",
        "READ_WRITE",
        "PAGE_VERIFY",
        "AUTO_CLOSE",
        "AUTO_SHRINK",
        "AUTO_CREATE_STATISTICS",
        "AUTO_UPDATE_STATISTICS",
        "COMPATIBILITY_LEVEL",
        "TRUSTWORTHY",
        "ENABLE_BROKER",
        "DISABLE_BROKER",
        "NEW_BROKER",
        "ALLOW_SNAPSHOT_ISOLATION",
        "READ_COMMITTED_SNAPSHOT",
        "TARGET_RECOVERY_TIME",
    ];
    if !KNOWN.contains(&option) {
        return Err(SqlMessage::new(
            5075,
            16,
            format!("Incorrect syntax near '{option}': it is not an option of ALTER DATABASE SET."),
        ));
    }
    let holder = own
        .single_user_holder
        .filter(|holder| *holder != me && instance.sessions.contains_key(holder));
    if own.user_access == UserAccess::Single && holder.is_some() {
        return Err(errors::alter_single_user(name));
    }
    let state_option = matches!(
        option,
        "SINGLE_USER" | "OFFLINE" | "EMERGENCY" | "READ_ONLY" | "READ_WRITE" | "RESTRICTED_USER"
    );
    if is_system(name) && (state_option || (name == "tempdb" && option == "RECOVERY")) {
        return Err(errors::not_in_database(option, name));
    }
    if name == "master" && option == "RECOVERY" {
        return Err(errors::not_in_database(option, name).with_state(5));
    }
    if own.mirroring.is_some()
        && (matches!(option, "OFFLINE" | "SINGLE_USER" | "READ_ONLY" | "RECOVERY" | "EMERGENCY"))
    {
        return Err(errors::involved_in_mirroring(name));
    }
    match own.status {
        Status::Restoring | Status::Recovering => {
            return Err(errors::not_permitted_in_state(if own.status == Status::Restoring {
                "Restoring"
            } else {
                "Recovering"
            }));
        }
        Status::Offline if option != "ONLINE" && option != "OFFLINE" => {
            return Err(errors::options_not_changed(name));
        }
        Status::Suspect | Status::RecoveryPending
            if !matches!(
                option,
                "EMERGENCY" | "ONLINE" | "OFFLINE" | "SINGLE_USER" | "MULTI_USER"
            ) =>
        {
            return Err(errors::options_not_changed(name));
        }
        _ => {}
    }
    if own.standby.is_some()
        && !matches!(
            option,
            "SINGLE_USER" | "MULTI_USER" | "RESTRICTED_USER" | "OFFLINE" | "ONLINE"
        )
    {
        return Err(errors::alter_standby(name));
    }
    Ok(())
}

/// Makes the database free of other sessions, in the way that the statement asks for.
async fn evict(
    host: &SessionHost,
    name: &str,
    options: &[Vec<String>],
    termination: Option<Termination>,
    sink: &mut dyn Sink,
) -> Result<(), SqlFailure> {
    let me = host.me.session_id;
    // RESTRICTED_USER leaves those in who may stay.
    let restricted =
        options.iter().any(|words| words.first().is_some_and(|word| word == "RESTRICTED_USER"));
    let others = |instance: &InstanceState| -> Vec<u16> {
        access::others_using(instance, name, me)
            .into_iter()
            .filter(|id| {
                !restricted
                    || instance.sessions.get(id).is_some_and(|session| {
                        security::may(instance, &session.login, Action::UseRestricted(name))
                            .is_err()
                    })
            })
            .collect()
    };
    let deadline = match termination {
        Some(Termination::RollbackAfterSeconds(seconds)) => {
            Some(host.me.world.now() + Duration::from_secs(u64::from(seconds)))
        }
        Some(Termination::RollbackImmediate) => Some(host.me.world.now()),
        _ => None,
    };
    let mut told = false;
    loop {
        let present = host.try_change(|state, key, now| {
            let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
            let present = others(instance);
            if present.is_empty() {
                return Ok((false, false));
            }
            if termination == Some(Termination::NoWait) {
                return Err(errors::closed_by_5069(errors::others_using()));
            }
            let due = deadline.is_some_and(|at| now >= at);
            if due {
                for id in present {
                    access::kill_session(instance, id, now);
                }
            }
            Ok((true, due))
        })?;
        if present.1 && !told {
            told = true;
            sink.message(errors::rolling_back(0).with_state(2)).await;
        }
        if !present.0 {
            break;
        }
        host.me.world.notify();
        let stopped = if present.1 {
            host.pause(Duration::from_millis(1)).await
        } else {
            let left = deadline.map_or(Duration::from_secs(1), |at| host.me.world.until(at));
            tokio::select! {
                done = host.wait_for_change() => done,
                done = host.pause(left) => done,
            }
        };
        if stopped.is_err() {
            return Err(errors::closed_by_5069(errors::alter_lock(name)));
        }
    }
    if told {
        sink.message(errors::rolling_back(100)).await;
    }
    Ok(())
}

fn apply(
    host: &SessionHost,
    state: &mut WorldState,
    key: &str,
    name: &str,
    words: &[String],
    now: Timestamp,
) -> Result<(), Vec<SqlMessage>> {
    let me = host.me.session_id;
    let mut told = Vec::new();
    let root = host.me.world.root().to_owned();
    let missing = state
        .instances
        .get(key)
        .and_then(|instance| {
            instance
                .database(name)
                .map(|own| database::unreadable_file(state, &root, instance, own))
        })
        .flatten();
    let own = database_mut(state, key, name).ok_or_else(|| vec![errors::cannot_alter(name)])?;
    let second = words.get(1).map_or("", String::as_str);
    match words.first().map_or("", String::as_str) {
        "RECOVERY" => {
            let model = match second {
                "FULL" => RecoveryModel::Full,
                "BULK_LOGGED" => RecoveryModel::BulkLogged,
                "SIMPLE" => RecoveryModel::Simple,
                _ => return Err(vec![errors::bad_value("RECOVERY")]),
            };
            if model == RecoveryModel::Simple {
                own.last_log_backup_lsn = None;
                own.begins_log_chain = true;
                own.condition.bulk_logged = false;
                own.condition.dropped_files.clear();
            }
            own.recovery_model = model;
            own.checkpoint(now);
        }
        "SINGLE_USER" => {
            own.user_access = UserAccess::Single;
            own.single_user_holder = Some(me);
        }
        "RESTRICTED_USER" => {
            own.user_access = UserAccess::Restricted;
            own.single_user_holder = None;
        }
        "MULTI_USER" => {
            own.user_access = UserAccess::Multi;
            own.single_user_holder = None;
        }
        "OFFLINE" => {
            own.status = Status::Offline;
            if let Some(session) = session_mut(state, key, me)
                && session.database.eq_ignore_ascii_case(name)
            {
                session.database = "master".to_owned();
            }
        }
        "ONLINE" => match own.status {
            Status::Online => {}
            _ => {
                let (started, messages) = start(own, missing, now);
                told = messages;
                if let Err(cause) = started {
                    log(state, key, told, now);
                    return Err(vec![cause]);
                }
            }
        },
        "AUTO_CLOSE" => own.condition.auto_close = second == "ON",
        "EMERGENCY" => own.status = Status::Emergency,
        option @ ("READ_ONLY" | "READ_WRITE") => {
            // The database is closed and opened again for it.
            if let Some((file, os)) = missing {
                return Err(vec![errors::open_file(&file, os), errors::not_restarted(&own.name)]);
            }
            own.read_only = option == "READ_ONLY";
        }
        "COMPATIBILITY_LEVEL" => {
            own.compatibility_level = words
                .iter()
                .filter_map(|word| word.trim_start_matches('=').trim().parse().ok())
                .next()
                .ok_or_else(|| vec![errors::bad_value("COMPATIBILITY_LEVEL")])?;
        }
        _ => {}
    }
    let option = words.first().map_or("", String::as_str);
    let value = if second.is_empty() { "ON" } else { second };
    told.push(errors::option_set(option, value, name));
    log(state, key, told, now);
    Ok(())
}

fn log(state: &mut WorldState, key: &str, messages: Vec<SqlMessage>, now: Timestamp) {
    if let Some(instance) = state.instances.get_mut(key) {
        for message in messages {
            instance.log_message(now, message);
        }
    }
}
