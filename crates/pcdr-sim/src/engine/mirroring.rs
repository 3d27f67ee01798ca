//! Database mirroring: sessions, shipping of log, witness and quorum, failover.
//!
//! [`tick`] is level-triggered: it looks at who sees whom and brings every session to the state that
//! follows; faults, statements and timers only call it.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::access;
use super::errors;
use super::lsn::Lsn;
use super::mirroring_state::{
    EndpointState, Mirroring, MirroringRole, MirroringState, WitnessSession,
};
use super::session::database_mut;
use super::state::{InstanceState, Redo, Status, WorldState};
use super::world::World;
use crate::message::{SqlFailure, SqlMessage};

mod handshake;
mod shipping;
mod statements;

use handshake::handshake;
use shipping::{catch_up, stop_on_error};
pub(crate) use shipping::{log_needed, share_metadata, ship};
pub(crate) use statements::{
    alter_endpoint, create_endpoint, drop_endpoint, set_partner, set_witness,
};

/// Looks at every session now, and again when the next deadline is due.
pub fn look(world: &World) {
    let now = world.now();
    let mut state = world.lock();
    state.mirroring_dirty = false;
    state.seen_at = now;
    let next = tick(&mut state, now);
    if let Some(at) = next
        && state.mirroring_wake.is_none_or(|wake| at < wake)
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        state.mirroring_wake = Some(at);
        let wait = world.until(at);
        let weak = world.downgrade();
        runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            if let Some(world) = weak.upgrade() {
                {
                    let mut state = world.lock();
                    if state.mirroring_wake == Some(at) {
                        state.mirroring_wake = None;
                    }
                }
                look(&world);
            }
        });
    }
    drop(state);
    world.notify();
}

pub(crate) fn look_if_dirty(world: &World) {
    let dirty = world.lock().mirroring_dirty;
    if dirty {
        look(world);
    }
}

fn session<'a>(state: &'a WorldState, key: &str, database: &str) -> Option<&'a Mirroring> {
    state
        .instances
        .get(key)?
        .databases
        .get(database)?
        .mirroring
        .as_ref()
        .filter(|mirroring| !mirroring.waiting)
}

fn session_mut<'a>(
    state: &'a mut WorldState,
    key: &str,
    database: &str,
) -> Option<&'a mut Mirroring> {
    database_mut(state, key, database)?.mirroring.as_mut().filter(|mirroring| !mirroring.waiting)
}

fn endpoint_open(state: &WorldState, key: &str, role: &str) -> bool {
    state
        .instances
        .get(key)
        .and_then(|instance| instance.endpoint.as_ref())
        .is_some_and(|endpoint| endpoint.started() && endpoint.plays(role))
}

/// Whether a partner of a session sees the other one's instance.
fn sees_partner(state: &WorldState, key: &str, mirroring: &Mirroring) -> bool {
    state.connected(key, &mirroring.partner)
        && endpoint_open(state, key, "PARTNER")
        && endpoint_open(state, &mirroring.partner, "PARTNER")
        && handshake(state, key, &mirroring.partner, is_connected(mirroring)).is_ok()
}

/// Whether the connection to the partner stands: one that stands is not authenticated again.
fn is_connected(mirroring: &Mirroring) -> bool {
    let states = [
        MirroringState::Synchronizing,
        MirroringState::Synchronized,
        MirroringState::PendingFailover,
    ];
    mirroring.partner_lost_since.is_none() && states.contains(&mirroring.state)
}

fn sees_witness(state: &WorldState, key: &str, mirroring: &Mirroring) -> bool {
    mirroring.witness.as_ref().is_some_and(|witness| {
        state.connected(key, witness)
            && endpoint_open(state, witness, "WITNESS")
            && handshake(state, key, witness, mirroring.witness_connected).is_ok()
    })
}

/// Whether the witness gives a principal quorum: it is in sight and knows of no later principal.
fn witness_supports(state: &WorldState, key: &str, mirroring: &Mirroring) -> bool {
    sees_witness(state, key, mirroring)
        && mirroring
            .witness
            .as_ref()
            .and_then(|witness| state.instances.get(witness))
            .and_then(|instance| instance.witness_of.get(&mirroring.guid))
            .is_some_and(|watched| watched.role_sequence <= mirroring.role_sequence)
}

/// Before a commit: a principal whose mirror is out of sight goes on alone if it may.
///
/// # Errors
///
/// 955 when neither partner nor witness is in sight.
pub(crate) fn before_commit(
    state: &mut WorldState,
    key: &str,
    database: &str,
    now: Timestamp,
) -> Result<(), SqlFailure> {
    let Some(mirroring) = session(state, key, database).cloned() else {
        return Ok(());
    };
    if mirroring.role != MirroringRole::Principal || sees_partner(state, key, &mirroring) {
        return Ok(());
    }
    state.mirroring_dirty = true;
    let alone = mirroring.witness.is_none() || witness_supports(state, key, &mirroring);
    if alone {
        disconnect(state, key, database, now);
        Ok(())
    } else {
        lose_quorum(state, key, database, now);
        Err(errors::no_quorum(database).into())
    }
}

fn tell_witness(
    state: &mut WorldState,
    witness: Option<&String>,
    guid: Uuid,
    tell: impl FnOnce(&mut WitnessSession),
) {
    if let Some(watched) = witness
        .and_then(|key| state.instances.get_mut(key))
        .and_then(|instance| instance.witness_of.get_mut(&guid))
    {
        tell(watched);
    }
}

/// Writes to the error log of an instance.
fn tell(state: &mut WorldState, key: &str, message: SqlMessage, now: Timestamp) {
    if let Some(instance) = state.instances.get_mut(key) {
        instance.log_message(now, message);
    }
}

fn set_state(state: &mut WorldState, key: &str, database: &str, new: MirroringState) {
    if let Some(mirroring) = session_mut(state, key, database) {
        mirroring.state = new;
    }
}

fn disconnect(state: &mut WorldState, key: &str, database: &str, now: Timestamp) {
    let Some(mirroring) = session(state, key, database).cloned() else {
        return;
    };
    if let Some(own) = session_mut(state, key, database) {
        own.state =
            if own.suspended { MirroringState::Suspended } else { MirroringState::Disconnected };
        own.synchronized_at = None;
        own.partner_lost_since = own.partner_lost_since.or(Some(now));
    }
    // An instance that is gone closes its connections; one out of reach leaves them without an answer.
    if state.instances.get(&mirroring.partner).is_some_and(|partner| partner.running) {
        let (address, seconds) = (&mirroring.partner_address, mirroring.timeout);
        tell(state, key, errors::partner_silent(address, database, seconds), now);
    }
    // The witness learns it from the principal: after that the mirror may not take over by itself.
    if mirroring.role == MirroringRole::Principal && witness_supports(state, key, &mirroring) {
        tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
            watched.synchronized = false;
        });
    }
}

fn lose_quorum(state: &mut WorldState, key: &str, database: &str, now: Timestamp) {
    disconnect(state, key, database, now);
    let fresh = match session_mut(state, key, database) {
        Some(own) if !own.quorum_lost => {
            own.quorum_lost = true;
            true
        }
        _ => false,
    };
    if fresh {
        drop_clients(state, key, database, now);
    }
}

fn drop_clients(state: &mut WorldState, key: &str, database: &str, now: Timestamp) {
    if let Some(instance) = state.instances.get_mut(key) {
        // No session has the id 0.
        for id in access::others_using(instance, database, 0) {
            access::kill_session(instance, id, now);
        }
    }
}

/// How long a partner that is out of sight is waited for.
fn patience(state: &WorldState, mirroring: &Mirroring) -> Duration {
    let running = state.instances.get(&mirroring.partner).is_some_and(|partner| partner.running);
    if running {
        Duration::from_secs(u64::from(mirroring.timeout))
    } else {
        state.costs.mirror_failover
    }
}

/// Brings every session to the state that follows from who sees whom. Returns when to look again.
pub fn tick(state: &mut WorldState, now: Timestamp) -> Option<Timestamp> {
    let all: Vec<(String, String)> = state
        .instances
        .iter()
        .filter(|(_, instance)| instance.running)
        .flat_map(|(key, instance)| {
            instance
                .databases
                .iter()
                .filter(|(_, database)| database.mirroring.as_ref().is_some_and(|m| !m.waiting))
                .map(|(name, _)| (key.clone(), name.clone()))
        })
        .collect();
    let mut next: Option<Timestamp> = None;
    let mut due = |at: Timestamp| {
        next = Some(next.map_or(at, |known| known.min(at)));
    };
    for (key, database) in all {
        let Some(mirroring) = session(state, &key, &database).cloned() else {
            continue;
        };
        let witnessed = sees_witness(state, &key, &mirroring);
        if let Some(own) = session_mut(state, &key, &database) {
            own.witness_connected = witnessed;
        }
        if sees_partner(state, &key, &mirroring) {
            if let Some(at) = together(state, &key, &database, &mirroring, now) {
                due(at);
            }
            continue;
        }
        // Out of sight.
        let since = mirroring.partner_lost_since.unwrap_or(now);
        if let Some(own) = session_mut(state, &key, &database) {
            own.partner_lost_since = Some(since);
        }
        let deadline = since + patience(state, &mirroring);
        if now < deadline {
            due(deadline);
            continue;
        }
        match mirroring.role {
            MirroringRole::Principal => {
                if mirroring.witness.is_none() || witness_supports(state, &key, &mirroring) {
                    if let Some(own) = session_mut(state, &key, &database) {
                        own.quorum_lost = false;
                    }
                    if !matches!(
                        mirroring.state,
                        MirroringState::Disconnected | MirroringState::Suspended
                    ) {
                        disconnect(state, &key, &database, now);
                    }
                } else {
                    lose_quorum(state, &key, &database, now);
                }
            }
            MirroringRole::Mirror => alone_as_mirror(state, &key, &database, &mirroring, now),
        }
    }
    next
}

/// A mirror that does not see its principal: takes over when the witness agrees.
fn alone_as_mirror(
    state: &mut WorldState,
    key: &str,
    database: &str,
    mirroring: &Mirroring,
    now: Timestamp,
) {
    let witness_agrees = mirroring.witness.as_ref().is_some_and(|witness| {
        sees_witness(state, key, mirroring)
            && !state.connected(witness, &mirroring.partner)
            && state
                .instances
                .get(witness)
                .and_then(|instance| instance.witness_of.get(&mirroring.guid))
                .is_some_and(|watched| {
                    watched.synchronized && watched.role_sequence == mirroring.role_sequence
                })
    });
    // A mirror that has restarted, or that has given up once, waits for its principal.
    let fresh = mirroring.state == MirroringState::Synchronized;
    if witness_agrees && fresh && mirroring.safety_full && !mirroring.suspended {
        take_over(state, key, database, now, None, "Failover from partner");
        return;
    }
    if let Some(own) = session_mut(state, key, database)
        && !own.suspended
    {
        own.state = MirroringState::Disconnected;
    }
}

/// Both partners see each other: roles are settled, the mirror catches up.
fn together(
    state: &mut WorldState,
    key: &str,
    database: &str,
    mirroring: &Mirroring,
    now: Timestamp,
) -> Option<Timestamp> {
    let partner = mirroring.partner.clone();
    let other =
        session(state, &partner, database).filter(|other| other.guid == mirroring.guid).cloned();
    let Some(other) = other else {
        // The partner has removed the session meanwhile.
        remove(state, key, database);
        return None;
    };
    if let Some(own) = session_mut(state, key, database) {
        own.partner_lost_since = None;
        own.quorum_lost = false;
    }
    if mirroring.role == other.role {
        let (loser, winner) = if mirroring.role_sequence < other.role_sequence {
            (key.to_owned(), partner.clone())
        } else {
            (partner.clone(), key.to_owned())
        };
        demote(state, &loser, &winner, database, now);
        return Some(now);
    }
    if mirroring.role != MirroringRole::Principal {
        return None;
    }
    if mirroring.suspended || other.suspended {
        for side in [key, partner.as_str()] {
            if let Some(own) = session_mut(state, side, database) {
                own.suspended = true;
                own.synchronized_at = None;
                own.state = MirroringState::Suspended;
            }
        }
        return None;
    }
    match mirroring.state {
        // A mirror that was away for less than its principal waits comes back all the same.
        MirroringState::Synchronized | MirroringState::PendingFailover
            if other.state != MirroringState::Disconnected =>
        {
            None
        }
        MirroringState::Synchronized
        | MirroringState::PendingFailover
        | MirroringState::Disconnected
        | MirroringState::Suspended => {
            let at = now + transfer_time(state, key, &partner, database);
            begin_synchronizing(state, key, &partner, database, at);
            Some(at)
        }
        MirroringState::Synchronizing => match mirroring.synchronized_at {
            Some(at) if now < at => Some(at),
            Some(_) => {
                catch_up(state, key, &partner, database);
                let full = mirroring.safety_full;
                for side in [key, partner.as_str()] {
                    if let Some(own) = session_mut(state, side, database) {
                        own.synchronized_at = None;
                        if full {
                            own.state = MirroringState::Synchronized;
                        }
                    }
                }
                tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
                    watched.synchronized = full;
                });
                None
            }
            None => {
                let behind = log_needed(state, key, database)
                    < state
                        .instances
                        .get(key)
                        .and_then(|instance| instance.databases.get(database))
                        .map(|own| own.log.next);
                if !behind && !mirroring.safety_full {
                    return None;
                }
                let at = now + transfer_time(state, key, &partner, database);
                begin_synchronizing(state, key, &partner, database, at);
                Some(at)
            }
        },
    }
}

fn begin_synchronizing(
    state: &mut WorldState,
    key: &str,
    partner: &str,
    database: &str,
    at: Timestamp,
) {
    if let Some(own) = session(state, key, database).cloned()
        && witness_supports(state, key, &own)
    {
        tell_witness(state, own.witness.as_ref(), own.guid, |watched| {
            watched.synchronized = false;
        });
    }
    for side in [key, partner] {
        if let Some(own) = session_mut(state, side, database) {
            own.state = MirroringState::Synchronizing;
            own.synchronized_at = Some(at);
            own.partner_lost_since = None;
        }
    }
}

fn transfer_time(state: &WorldState, key: &str, partner: &str, database: &str) -> Duration {
    let (Some(one), Some(other)) = (state.instances.get(key), state.instances.get(partner)) else {
        return Duration::ZERO;
    };
    let from = other.databases.get(database).map_or(Lsn::ZERO, |mirror| mirror.log.next);
    let bytes: u64 = one.databases.get(database).map_or(0, |own| {
        own.log.range(from, own.log.next).iter().map(super::log::LogRecord::bytes).sum()
    });
    let link = state.link(&one.config.site, &other.config.site);
    state.costs.mirror_synchronize
        + link.latency * 2
        + Duration::from_secs_f64(bytes as f64 / link.bandwidth.max(1) as f64)
}

/// The mirror becomes principal.
fn take_over(
    state: &mut WorldState,
    key: &str,
    database: &str,
    now: Timestamp,
    fork: Option<Uuid>,
    cause: &str,
) {
    let Some(before) = session(state, key, database).cloned() else {
        return;
    };
    let forced = fork.is_some();
    let mut told = Vec::new();
    if let Some(own) = database_mut(state, key, database) {
        let failover_lsn = own.log.next;
        own.redo =
            Some(Redo { lsn: failover_lsn, fork: own.fork(), interrupted: None, stopped: false });
        if let Some(mirroring) = own.mirroring.as_mut() {
            mirroring.role = MirroringRole::Principal;
            mirroring.role_sequence += 1;
            mirroring.failover_lsn = failover_lsn;
            mirroring.suspended = forced;
            mirroring.quorum_lost = false;
            mirroring.synchronized_at = None;
            mirroring.state =
                if forced { MirroringState::Suspended } else { MirroringState::Disconnected };
        }
        told = own.recover(now, fork);
    }
    if let Some(instance) = state.instances.get_mut(key) {
        for message in told {
            instance.log_message(now, message);
        }
    }
    let sequence = before.role_sequence + 1;
    let (own_address, partner_address) = (address_of(state, key), before.partner_address.clone());
    let (own_key, partner_key) = (key.to_owned(), before.partner.clone());
    tell_witness(state, before.witness.as_ref(), before.guid, |watched| {
        watched.role_sequence = sequence;
        watched.synchronized = false;
        watched.suspended = forced;
        watched.principal = own_key;
        watched.principal_address = own_address;
        watched.mirror = partner_key;
        watched.mirror_address = partner_address;
    });
    if let Some(instance) = state.instances.get_mut(key) {
        let message = errors::role_change(database, "MIRROR", "PRINCIPAL", cause);
        instance.log_message(now, message);
    }
}

/// A former principal learns that its partner has the role now.
fn demote(state: &mut WorldState, key: &str, winner: &str, database: &str, now: Timestamp) {
    drop_clients(state, key, database, now);
    let Some(new) = session(state, winner, database).cloned() else {
        return;
    };
    if let Some(own) = database_mut(state, key, database) {
        // Rolled back only by RESUME after a forced failover: until then nobody may look at it.
        own.status = if new.suspended { Status::Recovering } else { Status::Restoring };
        if let Some(mirroring) = own.mirroring.as_mut() {
            mirroring.role = MirroringRole::Mirror;
            mirroring.role_sequence = new.role_sequence;
            mirroring.safety_full = new.safety_full;
            mirroring.suspended = new.suspended;
            mirroring.quorum_lost = false;
            mirroring.witness = new.witness.clone();
            mirroring.witness_address = new.witness_address.clone();
            mirroring.state = new.state;
        }
    }
    if let Some(instance) = state.instances.get_mut(key) {
        let message = errors::role_change(database, "PRINCIPAL", "MIRROR", "Role synchronization");
        instance.log_message(now, message);
    }
}

/// Ends a session on one side.
fn remove(state: &mut WorldState, key: &str, database: &str) {
    let Some(own) = database_mut(state, key, database) else {
        return;
    };
    let Some(old) = own.mirroring.take() else {
        return;
    };
    if old.role == MirroringRole::Mirror {
        own.status = Status::Restoring;
        let lsn = own.redo.as_ref().map_or(own.log.next, |redo| redo.lsn.max(own.log.next));
        own.redo = Some(Redo { lsn, fork: own.fork(), interrupted: None, stopped: false });
    }
    if let Some(instance) =
        old.witness.as_ref().and_then(|witness| state.instances.get_mut(witness))
    {
        instance.witness_of.remove(&old.guid);
    }
}

fn address_of(state: &WorldState, key: &str) -> String {
    state.instances.get(key).map_or_else(String::new, |instance| {
        format!(
            "TCP://{}:{}",
            instance.config.fqdn,
            instance.endpoint.as_ref().map_or(0, |endpoint| endpoint.definition.port)
        )
    })
}

/// The instance whose endpoint listens on an address.
fn by_address(state: &WorldState, address: &str) -> Result<Option<String>, ()> {
    let rest = address
        .get(..6)
        .filter(|scheme| scheme.eq_ignore_ascii_case("TCP://"))
        .map(|_| &address[6..])
        .ok_or(())?;
    let (host, port) = rest.rsplit_once(':').ok_or(())?;
    let port: u16 = port.trim_end_matches('/').parse().map_err(|_| ())?;
    if host.is_empty() {
        return Err(());
    }
    Ok(state
        .instances
        .values()
        .find(|instance| {
            (instance.config.fqdn.eq_ignore_ascii_case(host)
                || instance.config.host().eq_ignore_ascii_case(host))
                && instance
                    .endpoint
                    .as_ref()
                    .is_some_and(|endpoint| endpoint.definition.port == port)
        })
        .map(|instance| instance.key.clone()))
}

/// What happens to the sessions of an instance whose service starts: nothing is served before the
/// partners have been asked.
pub(crate) fn instance_started(instance: &mut InstanceState) {
    for database in instance.databases.values_mut() {
        if let Some(mirroring) = database.mirroring.as_mut() {
            mirroring.synchronized_at = None;
            if mirroring.state != MirroringState::Suspended && !mirroring.waiting {
                mirroring.state = MirroringState::Disconnected;
            }
            if mirroring.role == MirroringRole::Principal && !mirroring.waiting {
                mirroring.quorum_lost = mirroring.witness.is_some();
            }
        }
    }
}
