//! CREATE, DROP and ALTER DATABASE, and DBCC.

use std::time::Duration;

use jiff::Timestamp;

use super::access;
use super::database;
use super::errors;
use super::mirroring;
use super::security::{self, Action};
use super::session::{SessionHost, database_mut};
use super::state::{Database, InstanceState, RecoveryModel, Status, UserAccess, WorldState};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{AlterDatabase, AlterDatabaseAction, Termination};
use crate::tsql::host::Sink;

fn is_system(name: &str) -> bool {
    ["master", "tempdb", "model", "msdb"].iter().any(|system| system.eq_ignore_ascii_case(name))
}

fn in_transaction(instance: &InstanceState, session: u16) -> bool {
    instance.sessions.get(&session).is_some_and(|session| session.transaction_count > 0)
}

/// CREATE DATABASE.
pub(crate) async fn create(
    host: &SessionHost,
    name: &str,
    files: &[(String, String)],
) -> Result<u16, SqlFailure> {
    let cost = host.me.world.lock().costs.device;
    host.pause(cost).await.map_err(|_| SqlFailure::from(errors::killed()))?;
    let root = host.me.world.root().to_owned();
    host.try_change(|state, key, now| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        if in_transaction(instance, host.me.session_id) {
            return Err(errors::in_transaction("CREATE DATABASE").into());
        }
        security::may(instance, &host.login, Action::CreateDatabase)?;
        if instance.database(name).is_some() {
            return Err(errors::database_exists(name).into());
        }
        if name.is_empty() || name.chars().count() > 128 {
            return Err(SqlMessage::new(
                1038,
                15,
                "An object or column name is missing or empty, or longer than 128 characters.",
            )
            .into());
        }
        let created = database::new_database(
            &mut state.random,
            instance,
            name,
            files,
            &host.login,
            now,
        );
        let used = instance.databases.values().find_map(|other| {
            created.files.iter().find_map(|file| {
                other
                    .files
                    .iter()
                    .any(|own| own.physical.eq_ignore_ascii_case(&file.physical))
                    .then(|| (file.physical.clone(), other.name.clone()))
            })
        });
        if let Some((file, other)) = used {
            return Err(SqlFailure(vec![
                errors::file_used_by(&file, &other),
                errors::create_failed(),
            ]));
        }
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        for file in &created.files {
            let exists = super::paths::resolve(state, &root, instance, &file.physical)
                .is_ok_and(|place| place.path.exists());
            if exists {
                return Err(SqlFailure(vec![
                    SqlMessage::new(
                        5170,
                        16,
                        format!(
                            "Cannot create file '{}' because it already exists. Change the file path or the file name, and retry the operation.",
                            file.physical
                        ),
                    ),
                    errors::create_failed(),
                ]));
            }
        }
        if let Err((os, path)) = database::write_files(state, &root, instance, &created) {
            database::delete_files(state, &root, instance, &created.files);
            return Err(SqlFailure(vec![
                errors::create_file(os, &path),
                errors::create_failed(),
            ]));
        }
        if let Some(instance) = state.instances.get_mut(key) {
            instance.databases.insert(name.to_lowercase(), created);
        }
        Ok(203)
    })
}

/// DROP DATABASE.
pub(crate) fn drop(
    host: &SessionHost,
    names: &[String],
    if_exists: bool,
) -> Result<u16, SqlFailure> {
    let root = host.me.world.root().to_owned();
    let me = host.me.session_id;
    for name in names {
        host.try_change(|state, key, now| {
            let instance = state.instances.get(key).ok_or_else(errors::killed)?;
            if in_transaction(instance, me) {
                return Err(errors::in_transaction("DROP DATABASE").into());
            }
            let Some(old) = instance.database(name) else {
                return if if_exists {
                    Ok(())
                } else {
                    Err(errors::cannot_drop("database", name).into())
                };
            };
            if is_system(name) {
                return Err(errors::drop_system(&old.name).into());
            }
            if !old.owner.eq_ignore_ascii_case(&host.login) {
                security::may(instance, &host.login, Action::DropDatabase(&old.name))?;
            }
            if old.mirroring.is_some() {
                return Err(SqlMessage::new(
                    3743,
                    16,
                    format!(
                        "The database '{}' is enabled for database mirroring. Database mirroring must be removed before you drop the database.",
                        old.name
                    ),
                )
                .into());
            }
            let mine = instance
                .sessions
                .get(&me)
                .is_some_and(|session| session.database.eq_ignore_ascii_case(name));
            let busy = old.exclusive.is_some() || old.backup_running.is_some();
            if mine || busy || !access::others_using(instance, name, me).is_empty() {
                let state = if old.single_user_holder.is_some_and(|holder| holder != me) {
                    4
                } else {
                    3
                };
                return Err(errors::drop_in_use(&old.name).with_state(state).into());
            }
            if old.status != Status::Offline {
                database::delete_files(state, &root, instance, &old.files.clone());
            }
            if let Some(instance) = state.instances.get_mut(key) {
                instance.databases.remove(&name.to_lowercase());
                instance.log_error(now, format!("Database {name} was dropped."));
            }
            Ok(())
        })?;
    }
    host.me.world.notify();
    Ok(204)
}

/// ALTER DATABASE.
pub(crate) async fn run(
    host: &SessionHost,
    statement: AlterDatabase,
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    let name = if statement.database.is_empty() {
        use crate::tsql::host::Host as _;
        host.database()
    } else {
        statement.database.clone()
    };
    host.try_change(|state, key, _| {
        let instance = state.instances.get(key).ok_or_else(errors::killed)?;
        if in_transaction(instance, host.me.session_id) {
            return Err(errors::in_transaction("ALTER DATABASE").into());
        }
        let Some(own) = instance.database(&name) else {
            return Err(errors::closed_by_5069(errors::cannot_alter(&name)));
        };
        if !own.owner.eq_ignore_ascii_case(&host.login) {
            security::may(instance, &host.login, Action::AlterDatabase(&own.name)).map_err(
                |failure| {
                    failure
                        .0
                        .into_iter()
                        .next()
                        .map_or_else(|| errors::killed().into(), errors::closed_by_5069)
                },
            )?;
        }
        Ok(())
    })?;
    match statement.action {
        AlterDatabaseAction::ModifyName(new) => rename(host, &name, &new),
        AlterDatabaseAction::Set { options, termination } => {
            set(host, &name, options, termination, sink).await
        }
        AlterDatabaseAction::Partner(option) => {
            mirroring::set_partner(host, &name, option, sink).await
        }
        AlterDatabaseAction::Witness(address) => mirroring::set_witness(host, &name, address).await,
    }
    .map(|()| 215)
}

fn rename(host: &SessionHost, name: &str, new: &str) -> Result<(), SqlFailure> {
    let me = host.me.session_id;
    host.try_change(|state, key, _| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        if is_system(name) {
            return Err(errors::closed_by_5069(errors::not_in_database("MODIFY NAME", name)));
        }
        if instance.database(new).is_some() && !new.eq_ignore_ascii_case(name) {
            return Err(errors::database_exists(new).into());
        }
        if !access::others_using(instance, name, me).is_empty() {
            return Err(SqlMessage::new(
                5030,
                16,
                "The database could not be exclusively locked to perform the operation.",
            )
            .into());
        }
        let Some(own) = instance.database(name) else {
            return Err(errors::closed_by_5069(errors::cannot_alter(name)));
        };
        if own.mirroring.is_some() {
            return Err(errors::mirrored_rename(name).into());
        }
        if own.status != Status::Online {
            return Err(errors::closed_by_5069(errors::not_permitted_in_state(
                own.status.code().1,
            )));
        }
        if let Some(mut own) = instance.databases.remove(&name.to_lowercase()) {
            own.name = new.to_owned();
            instance.databases.insert(new.to_lowercase(), own);
        }
        for session in instance.sessions.values_mut() {
            if session.database.eq_ignore_ascii_case(name) {
                session.database = new.to_owned();
            }
        }
        Ok(())
    })
}

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

async fn set(
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
            apply(host, state, key, name, words, now).map_err(errors::closed_by_5069)?;
        }
        Ok(())
    })?;
    host.me.world.notify();
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
            return Err(SqlMessage::new(
                5078,
                16,
                format!(
                    "Cannot alter database options for \"{name}\" because it is READ_ONLY, OFFLINE, or marked SUSPECT."
                ),
            ));
        }
        Status::Suspect | Status::RecoveryPending
            if !matches!(
                option,
                "EMERGENCY" | "ONLINE" | "OFFLINE" | "SINGLE_USER" | "MULTI_USER"
            ) =>
        {
            return Err(SqlMessage::new(
                5078,
                16,
                format!(
                    "Cannot alter database options for \"{name}\" because it is READ_ONLY, OFFLINE, or marked SUSPECT."
                ),
            ));
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
) -> Result<(), SqlMessage> {
    let me = host.me.session_id;
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
    let own = database_mut(state, key, name).ok_or_else(|| errors::cannot_alter(name))?;
    let second = words.get(1).map_or("", String::as_str);
    match words.first().map_or("", String::as_str) {
        "RECOVERY" => {
            let model = match second {
                "FULL" => RecoveryModel::Full,
                "BULK_LOGGED" => RecoveryModel::BulkLogged,
                "SIMPLE" => RecoveryModel::Simple,
                _ => return Err(errors::bad_value("RECOVERY")),
            };
            if model == RecoveryModel::Simple {
                own.last_log_backup_lsn = None;
                own.begins_log_chain = true;
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
            if let Some(session) = super::session::session_mut(state, key, me)
                && session.database.eq_ignore_ascii_case(name)
            {
                session.database = "master".to_owned();
            }
        }
        "ONLINE" => match own.status {
            Status::Online => {}
            _ => start(own, missing.clone(), now)?,
        },
        "EMERGENCY" => own.status = Status::Emergency,
        "READ_ONLY" => own.read_only = true,
        "READ_WRITE" => own.read_only = false,
        "COMPATIBILITY_LEVEL" => {
            own.compatibility_level = words
                .iter()
                .filter_map(|word| word.trim_start_matches('=').trim().parse().ok())
                .next()
                .ok_or_else(|| errors::bad_value("COMPATIBILITY_LEVEL"))?;
        }
        _ => {}
    }
    let text = format!("Setting database option {} to ON for database '{name}'.", words.join(" "));
    if let Some(instance) = state.instances.get_mut(key) {
        instance.log_error(now, text);
    }
    Ok(())
}

/// Opens a database: what the service does at its start, and SET ONLINE.
pub(crate) fn start(
    own: &mut Database,
    missing: Option<(String, errors::OsError)>,
    now: Timestamp,
) -> Result<(), SqlMessage> {
    if let Some((file, os)) = missing {
        own.status = Status::RecoveryPending;
        return Err(errors::open_file(&file, os));
    }
    if own.damaged || own.log_lost {
        own.status = Status::Suspect;
        return Err(errors::suspect(&own.name));
    }
    if own.standby.is_some() || own.redo.is_some() {
        own.status = if own.standby.is_some() { Status::Online } else { Status::Restoring };
        return Ok(());
    }
    own.recover(now, None);
    Ok(())
}

/// DBCC.
pub(crate) async fn dbcc(
    host: &SessionHost,
    command: &str,
    arguments: &[String],
    options: &[String],
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    use crate::tsql::host::Host as _;
    let current = host.database();
    let command = command.to_uppercase();
    let quiet = options.iter().any(|option| option == "NO_INFOMSGS");
    match command.as_str() {
        "CHECKDB" | "CHECKALLOC" | "CHECKCATALOG" => {
            let name = arguments
                .first()
                .map(|name| name.trim_matches(['[', ']', '\'', '"']).to_owned())
                .filter(|name| !name.is_empty() && name != "0")
                .unwrap_or(current);
            let me = host.me.session_id;
            let (bytes, rate, damaged) = host.try_change(|state, key, _| {
                let rate = state.costs.backup_rate.max(1);
                let instance = state.instances.get(key).ok_or_else(errors::killed)?;
                let own = access::check(instance, &name, me, &host.login)?;
                security::may(instance, &host.login, Action::AlterDatabase(&own.name))?;
                Ok((own.data_bytes, rate, own.damaged))
            })?;
            host.pause(Duration::from_secs_f64(bytes as f64 / rate as f64))
                .await
                .map_err(|_| SqlFailure::from(errors::killed()))?;
            if damaged {
                return Err(SqlMessage::new(
                    8928,
                    16,
                    format!("Object ID 0: a page of database '{name}' could not be processed. CHECKDB found consistency errors."),
                )
                .into());
            }
            if !quiet {
                sink.message(SqlMessage::new(
                    8989,
                    10,
                    format!(
                        "{command} found 0 allocation errors and 0 consistency errors in database '{name}'."
                    ),
                ))
                .await;
            }
        }
        "TRACEON" | "TRACEOFF" | "FREEPROCCACHE" | "DROPCLEANBUFFERS" => {
            host.try_change(|state, key, _| {
                let instance = state.instances.get(key).ok_or_else(errors::killed)?;
                security::may(instance, &host.login, Action::Maintenance)
            })?;
        }
        _ => {
            return Err(SqlMessage::new(
                2526,
                16,
                format!("Incorrect DBCC statement. Check the documentation for the correct DBCC syntax and options ('{command}')."),
            )
            .into());
        }
    }
    if !quiet {
        sink.message(SqlMessage::new(
            2528,
            10,
            "DBCC execution completed. If DBCC printed error messages, contact your system administrator.",
        ))
        .await;
    }
    Ok(0)
}
