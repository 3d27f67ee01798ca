//! Who uses a database, and who may.

use super::errors;
use super::security::{self, Action};
use super::state::{Database, InstanceState, Status, UserAccess};
use crate::message::SqlMessage;

/// The sessions that use a database, apart from `me`: by their current database, an open transaction,
/// a running statement or the single-user slot.
pub fn others_using(instance: &InstanceState, database: &str, me: u16) -> Vec<u16> {
    let key = database.to_lowercase();
    let holder = instance.databases.get(&key).and_then(|database| database.single_user_holder);
    instance
        .sessions
        .values()
        .filter(|session| session.id != me)
        .filter(|session| {
            session.database.to_lowercase() == key
                || session.transactions.contains_key(&key)
                || session
                    .request
                    .as_ref()
                    .is_some_and(|request| request.database.as_deref() == Some(key.as_str()))
                || holder == Some(session.id)
        })
        .map(|session| session.id)
        .collect()
}

/// Whether another session holds the one place of a single-user database.
pub fn taken(instance: &InstanceState, database: &Database, session: u16) -> bool {
    database.user_access == UserAccess::Single
        && database
            .single_user_holder
            .is_some_and(|holder| holder != session && instance.sessions.contains_key(&holder))
}

/// Why a session cannot use a database, if it cannot.
///
/// # Errors
///
/// 911, 916, 922 to 927, 942, 945, 952, 954, 955.
pub fn check<'a>(
    instance: &'a InstanceState,
    name: &str,
    session: u16,
    login: &str,
) -> Result<&'a Database, SqlMessage> {
    let Some(database) = instance.database(name) else {
        return Err(errors::no_database(name));
    };
    let name = &database.name;
    if let Some(mirroring) = &database.mirroring {
        if database.is_mirror() && !mirroring.waiting {
            return Err(if database.status == Status::Recovering {
                errors::recovering(name)
            } else {
                errors::mirror(name)
            });
        }
        if mirroring.quorum_lost {
            return Err(errors::no_quorum(name));
        }
    }
    if let Some(error) = errors::closed(name, database.status) {
        return Err(error);
    }
    if database.exclusive.is_some_and(|owner| owner != session) {
        return Err(errors::in_transition(name));
    }
    if database.status == Status::Emergency && !instance.security.in_role(login, "sysadmin") {
        return Err(errors::no_user(login, name));
    }
    match database.user_access {
        UserAccess::Single => {
            if taken(instance, database, session) {
                return Err(errors::single_user(name));
            }
        }
        UserAccess::Restricted => {
            if security::may(instance, login, Action::UseRestricted(name)).is_err() {
                return Err(errors::restricted(name));
            }
        }
        UserAccess::Multi => {}
    }
    if security::may(instance, login, Action::Use(name)).is_err() {
        return Err(errors::no_user(login, name));
    }
    Ok(database)
}

/// Ends a session: its work is undone, its slots are free. `true` when it was there.
pub fn end_session(instance: &mut InstanceState, id: u16, now: jiff::Timestamp) -> bool {
    let Some(session) = instance.sessions.remove(&id) else {
        return false;
    };
    session.ended.cancel();
    undo(instance, &session.transactions, now);
    drop_global_tables(instance, &session.global_tables, now);
    release(instance, id);
    true
}

/// Drops the global temporary tables of a session that ends or begins anew.
pub(crate) fn drop_global_tables(
    instance: &mut InstanceState,
    names: &[String],
    now: jiff::Timestamp,
) {
    let Some(tempdb) = instance.database_mut("tempdb").filter(|_| !names.is_empty()) else {
        return;
    };
    let transaction = tempdb.begin(now);
    for name in names {
        let table = super::storage::table_key("", name);
        if tempdb.storage.tables.contains_key(&table) {
            tempdb.append(now, transaction, super::log::LogOp::DropTable { table });
        }
    }
    tempdb.commit(now, transaction);
}

/// Kills a session: its work is undone at once; it leaves the list when its request has noticed.
pub fn kill_session(instance: &mut InstanceState, id: u16, now: jiff::Timestamp) {
    let Some(session) = instance.sessions.get_mut(&id) else {
        return;
    };
    session.ended.cancel();
    if session.request.is_none() {
        end_session(instance, id, now);
        return;
    }
    session.killed = true;
    session.transaction_count = 0;
    if let Some(request) = &mut session.request {
        request.command = "KILLED/ROLLBACK".to_owned();
    }
    let transactions = std::mem::take(&mut session.transactions);
    undo(instance, &transactions, now);
}

fn undo(
    instance: &mut InstanceState,
    transactions: &std::collections::BTreeMap<String, super::storage::TransactionId>,
    now: jiff::Timestamp,
) {
    for (database, transaction) in transactions {
        if let Some(database) = instance.databases.get_mut(database)
            && database.status == Status::Online
        {
            database.rollback(now, *transaction);
        }
    }
}

fn release(instance: &mut InstanceState, id: u16) {
    for database in instance.databases.values_mut() {
        if database.single_user_holder == Some(id) {
            database.single_user_holder = None;
        }
        if database.exclusive == Some(id) {
            database.exclusive = None;
        }
        if database.backup_running == Some(id) {
            database.backup_running = None;
        }
    }
}
