//! What must hold after every step, each as a named function.
//!
//! Planner, executor and tests call the same functions.

use crate::drill::copy_name;
use crate::model::{CopyState, Model, Taken};
use crate::name::DatabaseName;
use crate::step::{Action, DatabaseAction, DrillAction, LogEnd, PoolAction};
use crate::topology::Topology;

/// A named invariant over the model, the action that led there, and the topology.
pub struct Invariant {
    /// What it says, for people.
    pub name: &'static str,
    /// The check; an error says what was found instead.
    pub check: fn(&Topology, &Model<'_>, &Action) -> Result<(), String>,
}

/// Every invariant, in the order checked.
pub const ALL: [Invariant; 13] = [
    Invariant { name: "at most one writable copy serves", check: at_most_one_writable_copy_serves },
    Invariant {
        name: "a database is recovered only when no log backup that applies is left",
        check: nothing_restorable_is_left_behind,
    },
    Invariant {
        name: "no copy is recovered beside one that takes writes",
        check: no_copy_is_recovered_beside_one_that_takes_writes,
    },
    Invariant { name: "the tail is the last log backup", check: the_tail_is_the_last_log_backup },
    Invariant {
        name: "chat servers are active only on a copy that takes writes",
        check: active_servers_have_a_serving_copy,
    },
    Invariant {
        name: "at most four servers are active, near the database that serves",
        check: active_servers_are_few_and_near,
    },
    Invariant {
        name: "the compliance database is never failed over",
        check: compliance_database_is_never_failed_over,
    },
    Invariant { name: "a database and its mirror share a site", check: mirrors_share_a_site },
    Invariant {
        name: "copy and restore jobs run only on a copy that waits for log",
        check: log_shipping_jobs_match_the_role,
    },
    Invariant {
        name: "a mirrored database is not restored or recovered by hand",
        check: mirrored_copies_are_left_to_mirroring,
    },
    Invariant {
        name: "service is forced only where the principal does not answer",
        check: service_is_forced_only_without_the_principal,
    },
    Invariant {
        name: "a copy is dropped only while another one serves",
        check: copies_are_dropped_only_beside_one_that_serves,
    },
    Invariant {
        name: "a drill changes nothing but its own copy, and tries all of the log",
        check: a_drill_changes_nothing_but_its_own_copy,
    },
];

/// At most one writable copy of a database is where the pool state sends writes.
pub fn at_most_one_writable_copy_serves(
    topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Some(database) = concerned(topology, last) else { return Ok(()) };
    if model.serving(topology, database).nth(1).is_none() {
        return Ok(());
    }
    let serving: Vec<&str> =
        model.serving(topology, database).map(|(name, _)| name.as_str()).collect();
    Err(format!("{database} takes writes on {}", serving.join(" and ")))
}

/// Never recover a database while a restorable log backup is known.
pub fn nothing_restorable_is_left_behind(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, database, DatabaseAction::Recover { expect }) = last else {
        return Ok(());
    };
    let copy = model.copy_of(instance, database);
    if let (Some(LogEnd::EndOf { path }), Some(copy)) = (expect, copy)
        && matches!(model.taken.get(path), Some(Taken::Tail { .. }))
        && copy.stands_at_end_of.as_ref() == Some(path)
    {
        return Ok(()); // the tail ends the log, and it follows everything before
    }
    let Some(position) = copy.and_then(|copy| copy.position) else {
        return Err(format!("the log position of {database} on {instance} is unknown"));
    };
    match model.still_applying(database, position).next() {
        Some((file, _)) => Err(format!("{file} applies at {} and was not restored", position.lsn)),
        None => Ok(()),
    }
}

/// Two copies that are open at once could both take writes, whatever the pool state says.
pub fn no_copy_is_recovered_beside_one_that_takes_writes(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, database, DatabaseAction::Recover { .. }) = last else {
        return Ok(());
    };
    let copies = model.copies.get(database).into_iter().flatten();
    let mut others =
        copies.filter(|(name, copy)| *name != instance && copy.state == CopyState::Online);
    match others.next() {
        Some((other, _)) => Err(format!("{database} takes writes on {other}, too")),
        None => Ok(()),
    }
}

/// A log backup after the tail could not be taken, and one that is under way meanwhile would end in a
/// file that nobody waits for.
pub fn the_tail_is_the_last_log_backup(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, database, DatabaseAction::BackUpTail { .. }) = last else {
        return Ok(());
    };
    match model.copy_of(instance, database) {
        Some(copy) if copy.backup_job_may_run => {
            Err(format!("the backup job of {database} on {instance} may run"))
        }
        _ => Ok(()),
    }
}

/// Servers that the plan put on the active list have a copy to write to.
pub fn active_servers_have_a_serving_copy(
    topology: &Topology,
    model: &Model<'_>,
    _last: &Action,
) -> Result<(), String> {
    let Some(pool) = topology.pool() else { return Ok(()) };
    let active = model.activated.as_ref().is_some_and(|servers| !servers.is_empty());
    if active && model.serving(topology, &pool.database).next().is_none() {
        return Err(format!("servers are active, but no copy of {} serves", pool.database));
    }
    Ok(())
}

/// Active servers: at most four, in the site of the serving copy or one with a fast link to it.
///
/// Source: Plan for high availability and disaster recovery for Persistent Chat Server; the
/// IMPORTANT note of failover step 7.
pub fn active_servers_are_few_and_near(
    topology: &Topology,
    model: &Model<'_>,
    _last: &Action,
) -> Result<(), String> {
    let (Some(pool), Some(active)) = (topology.pool(), &model.activated) else { return Ok(()) };
    if active.len() > 4 {
        return Err(format!("{} servers are active", active.len()));
    }
    for (instance, _) in model.serving(topology, &pool.database) {
        let Some(instance) = topology.instance(instance) else { continue };
        for server in pool.servers.iter().filter(|server| active.contains(&server.fqdn)) {
            if !topology.is_near(&server.site, &instance.site) {
                return Err(format!(
                    "{} in {} is active, but {} serves in {} without a fast link",
                    server.fqdn, server.site, instance.name, instance.site
                ));
            }
        }
    }
    Ok(())
}

/// `mgccomp` is transient and never failed over.
///
/// Source: Manage high availability and disaster recovery for Persistent Chat Server.
pub fn compliance_database_is_never_failed_over(
    topology: &Topology,
    _model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let compliance = topology.pool().and_then(|pool| pool.compliance_database.as_ref());
    match last {
        Action::Database(
            _,
            database,
            DatabaseAction::Recover { .. }
            | DatabaseAction::BackUpTail { .. }
            | DatabaseAction::RestoreLog { .. }
            | DatabaseAction::RestoreDatabase { .. },
        ) if Some(database) == compliance => Err(format!("{database} would be failed over")),
        _ => Ok(()),
    }
}

/// Partners of a mirroring session stand in one site.
pub fn mirrors_share_a_site(
    topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Some(database) = concerned(topology, last) else { return Ok(()) };
    for (instance, copy) in model.copies.get(database).into_iter().flatten() {
        let Some(session) = &copy.mirroring else { continue };
        let here = topology.instance(instance);
        let there = topology.instances().find(|i| i.mirroring_address() == session.partner_address);
        if let (Some(here), Some(there)) = (here, there)
            && here.site != there.site
        {
            return Err(format!("{database} is mirrored from {} to {}", here.site, there.site));
        }
    }
    Ok(())
}

/// The database of which an action may have changed who serves or who mirrors: its own, or the pool's;
/// none when it copies a file or adds log to a copy, which stays what it is.
fn concerned<'a>(topology: &'a Topology, last: &'a Action) -> Option<&'a DatabaseName> {
    match last {
        Action::Files(..) | Action::Database(_, _, DatabaseAction::RestoreLog { .. }) => None,
        _ => last.database().or_else(|| topology.pool().map(|pool| &pool.database)),
    }
}

/// A copy that takes writes has no copy or restore job that could run against it.
pub fn log_shipping_jobs_match_the_role(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, database, DatabaseAction::Recover { .. }) = last else {
        return Ok(());
    };
    let copy = model.copy_of(instance, database);
    match copy {
        Some(copy)
            if copy.state == CopyState::Online
                && copy.secondary_entry.as_ref().is_some_and(|entry| entry.jobs_may_run) =>
        {
            Err(format!("{database} on {instance} is online with copy and restore jobs enabled"))
        }
        _ => Ok(()),
    }
}

/// Restoring or recovering a copy that mirroring holds would fail (3104) or tear the session.
pub fn mirrored_copies_are_left_to_mirroring(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(
        instance,
        database,
        DatabaseAction::Recover { .. } | DatabaseAction::RestoreLog { .. },
    ) = last
    else {
        return Ok(());
    };
    match model.copy_of(instance, database) {
        Some(copy) if copy.mirroring.is_some() => {
            Err(format!("{database} on {instance} is mirrored"))
        }
        _ => Ok(()),
    }
}

/// A principal that answers could still serve: then two copies would take writes.
pub fn service_is_forced_only_without_the_principal(
    topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let (instance, database) = match last {
        Action::Database(instance, database, DatabaseAction::ForceService) => (instance, database),
        Action::Pool(_, PoolAction::FailOverDatabase { database, to, force: true, .. }) => {
            (to, database)
        }
        _ => return Ok(()),
    };
    let session = model.copy_of(instance, database).and_then(|copy| copy.mirroring.as_ref());
    let address = session.map_or("", |session| &session.partner_address);
    let former = topology.instances().find(|i| i.mirroring_address().eq_ignore_ascii_case(address));
    match former {
        Some(former) if model.unseen.contains(&former.name) => Ok(()),
        Some(former) => Err(format!("{} answers", former.name)),
        None => Err(format!("{address} is no instance of the topology")),
    }
}

/// The copy of a drill is a database that the topology does not know, under the name that is only its own;
/// and what is recovered for a trial has every log backup that applies.
pub fn a_drill_changes_nothing_but_its_own_copy(
    topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, name, DatabaseAction::Drill(step)) = last else {
        return Ok(());
    };
    let is_known = topology.observed_databases().any(|known| known == name);
    if is_known || *name != copy_name(&step.of) || model.copy_of(instance, name).is_some() {
        return Err(format!("{name} on {instance} is not the drill's own copy of {}", step.of));
    }
    let copy = model.drills.copies.get(&(instance.clone(), name.clone()));
    let position = copy.and_then(|copy| copy.position);
    if let (DrillAction::Recover { .. }, Some(position)) = (&step.action, position)
        && let Some((file, _)) = model.still_applying(&step.of, position).next()
    {
        return Err(format!("{file} applies at {} and is not tried", position.lsn));
    }
    Ok(())
}

/// What a dropped copy holds is in one that takes writes.
pub fn copies_are_dropped_only_beside_one_that_serves(
    _topology: &Topology,
    model: &Model<'_>,
    last: &Action,
) -> Result<(), String> {
    let Action::Database(instance, database, DatabaseAction::DropRestoring) = last else {
        return Ok(());
    };
    let copies = model.copies.get(database).into_iter().flatten();
    if copies.clone().any(|(_, copy)| copy.state == CopyState::Online) {
        return Ok(());
    }
    Err(format!("{database} on {instance} was dropped, and no copy that is known serves"))
}
