//! ENDPOINT, SET PARTNER and SET WITNESS.

use super::*;
use crate::engine::security::{self, Action};
use crate::engine::session::SessionHost;
use crate::engine::state::{RecoveryModel, UserAccess};
use crate::message::SqlMessage;
use crate::tsql::ast::{Endpoint, PartnerOption};
use crate::tsql::host::Sink;

fn may_change_endpoints(host: &SessionHost, instance: &InstanceState) -> Result<(), SqlFailure> {
    let open = instance
        .sessions
        .get(&host.me.session_id)
        .is_some_and(|session| session.transaction_count > 0);
    if open {
        return Err(errors::in_transaction("CREATE/ALTER/DROP ENDPOINT").into());
    }
    security::may(instance, &host.login, Action::Endpoint)
}

/// CREATE ENDPOINT.
pub(crate) fn create_endpoint(host: &SessionHost, endpoint: Endpoint) -> Result<u16, SqlFailure> {
    host.try_change(|state, key, now| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        may_change_endpoints(host, instance)?;
        if instance.endpoint.is_some() {
            return Err(errors::endpoint_exists().into());
        }
        if let Some(name) = endpoint.certificate() {
            let own = instance.security.certificates.get(&name.to_lowercase());
            if own.is_none_or(|own| !own.has_private_key) {
                return Err(errors::no_securable("find", "certificate", name).into());
            }
        }
        let express = instance.config.edition.to_lowercase().contains("express");
        if express && !endpoint.role.eq_ignore_ascii_case("WITNESS") {
            return Err(SqlMessage::new(
                7880,
                16,
                "This edition of SQL Server supports only the WITNESS role of a database mirroring endpoint.",
            )
            .into());
        }
        let host_name = instance.config.host().to_lowercase();
        let port = endpoint.port;
        instance.endpoint = Some(EndpointState {
            definition: endpoint,
            id: 65_536,
            owner: host.login.clone(),
        });
        instance.log_error(now, format!("The Database Mirroring endpoint is now listening on port {port}."));
        let taken = state.instances.values().any(|other| {
            other.key != key
                && other.config.host().eq_ignore_ascii_case(&host_name)
                && other
                    .endpoint
                    .as_ref()
                    .is_some_and(|other| other.definition.port == port)
        });
        if taken {
            if let Some(instance) = state.instances.get_mut(key) {
                instance.endpoint = None;
            }
            return Err(SqlMessage::new(
                9692,
                16,
                format!("The Database Mirroring endpoint cannot listen on port {port} because it is in use by another process."),
            )
            .into());
        }
        Ok(0)
    })
}

/// ALTER ENDPOINT … STATE.
pub(crate) fn alter_endpoint(
    host: &SessionHost,
    name: &str,
    new_state: &str,
) -> Result<u16, SqlFailure> {
    host.try_change(|state, key, _| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        may_change_endpoints(host, instance)?;
        match instance
            .endpoint
            .as_mut()
            .filter(|endpoint| endpoint.definition.name.eq_ignore_ascii_case(name))
        {
            Some(endpoint) => {
                endpoint.definition.state = new_state.to_uppercase();
                Ok(())
            }
            None => Err(errors::no_securable("alter", "endpoint", name).into()),
        }
    })?;
    look(&host.me.world);
    Ok(0)
}

/// DROP ENDPOINT.
pub(crate) fn drop_endpoint(host: &SessionHost, name: &str) -> Result<u16, SqlFailure> {
    host.try_change(|state, key, _| {
        let instance = state.instances.get_mut(key).ok_or_else(errors::killed)?;
        may_change_endpoints(host, instance)?;
        let known = instance
            .endpoint
            .take_if(|endpoint| endpoint.definition.name.eq_ignore_ascii_case(name));
        match known {
            Some(_) => Ok(()),
            None => Err(errors::no_securable("drop", "endpoint", name).into()),
        }
    })?;
    look(&host.me.world);
    Ok(0)
}

fn closed<T>(result: Result<T, SqlMessage>) -> Result<T, SqlFailure> {
    // Mirroring refusals stand alone: 5069 follows only refusals of ordinary options.
    result.map_err(SqlFailure::from)
}

/// ALTER DATABASE … SET PARTNER.
pub(crate) async fn set_partner(
    host: &SessionHost,
    name: &str,
    option: PartnerOption,
    sink: &mut dyn Sink,
) -> Result<(), SqlFailure> {
    let lower = name.to_lowercase();
    if let PartnerOption::Failover = option {
        return fail_over(host, &lower, sink).await;
    }
    host.try_change(|state, key, now| {
        state.seen_at = now;
        closed(match option {
            PartnerOption::Address(address) => set_address(state, key, &lower, &address, now),
            PartnerOption::ForceService => force(state, key, &lower, now),
            PartnerOption::Off => off(state, key, &lower, now),
            PartnerOption::Suspend => suspend(state, key, &lower, now),
            PartnerOption::Resume => resume(state, key, &lower, now),
            PartnerOption::Safety(full) => safety(state, key, &lower, full),
            PartnerOption::Timeout(seconds) => timeout(state, key, &lower, seconds),
            PartnerOption::Failover => Ok(()),
        })
    })?;
    look(&host.me.world);
    Ok(())
}

fn principal(state: &WorldState, key: &str, database: &str) -> Result<Mirroring, SqlMessage> {
    let mirroring = any(state, key, database)?;
    if mirroring.role != MirroringRole::Principal {
        return Err(errors::only_on_principal(database));
    }
    Ok(mirroring)
}

fn any(state: &WorldState, key: &str, database: &str) -> Result<Mirroring, SqlMessage> {
    session(state, key, database).cloned().ok_or_else(|| errors::not_mirrored(database))
}

fn set_address(
    state: &mut WorldState,
    key: &str,
    name: &str,
    address: &str,
    now: Timestamp,
) -> Result<(), SqlMessage> {
    let partner = by_address(state, address).map_err(|()| errors::bad_address(address))?;
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let own = instance.databases.get(name).ok_or_else(|| errors::cannot_alter(name))?;
    let exact = own.name.clone();
    if own.is_system {
        return Err(errors::not_in_database("PARTNER", &exact));
    }
    if own.mirroring.as_ref().is_some_and(|m| !m.waiting) {
        return Err(errors::already_mirrored(&exact));
    }
    let edition = instance.config.edition.to_lowercase();
    if ["express", "web", "workgroup"].iter().any(|lacking| edition.contains(lacking)) {
        return Err(errors::edition_lacks_mirroring());
    }
    if !endpoint_open(state, key, "PARTNER") {
        return Err(errors::transport_disabled());
    }
    if partner.as_deref() == Some(key) {
        return Err(errors::partner_is_self());
    }
    match own.status {
        Status::Restoring => {
            if own.redo.as_ref().is_some_and(|redo| redo.interrupted.is_some()) {
                return Err(errors::restore_interrupted());
            }
            let guid = state.random.guid();
            let lsn = database_mut(state, key, name).map_or(Lsn::ZERO, |own| own.log.next);
            if let Some(own) = database_mut(state, key, name) {
                own.mirroring = Some(Mirroring {
                    guid,
                    role: MirroringRole::Mirror,
                    state: MirroringState::Disconnected,
                    safety_full: true,
                    safety_sequence: 1,
                    role_sequence: 1,
                    partner_address: address.to_owned(),
                    partner: partner.unwrap_or_default(),
                    witness_address: None,
                    witness: None,
                    witness_connected: false,
                    failover_lsn: lsn,
                    timeout: 10,
                    suspended: false,
                    waiting: true,
                    quorum_lost: false,
                    partner_lost_since: None,
                    synchronized_at: None,
                });
            }
            return Ok(());
        }
        Status::Online if own.standby.is_none() => {}
        Status::Emergency | Status::Suspect => return Err(errors::mirrored_suspect(&exact)),
        other => {
            return Err(
                errors::closed(&exact, other).unwrap_or_else(|| errors::not_recovering(&exact))
            );
        }
    }
    if own.recovery_model != RecoveryModel::Full {
        return Err(errors::not_full_recovery(&exact));
    }
    if own.read_only {
        return Err(errors::mirrored_read_only(&exact));
    }
    if own.user_access == UserAccess::Single {
        return Err(errors::mirrored_single_user(&exact));
    }
    if own.condition.auto_close {
        return Err(errors::mirrored_auto_close(&exact));
    }
    if own.condition.bulk_logged {
        return Err(errors::bulk_changes(&exact));
    }
    if own.files.iter().any(|file| file.offline) {
        return Err(errors::mirroring_offline_files());
    }
    let partner = partner
        .filter(|partner| state.connected(key, partner) && endpoint_open(state, partner, "PARTNER"))
        .ok_or_else(|| errors::unreachable_partner(address))?;
    if let Err(why) = handshake(state, key, &partner, false) {
        tell(state, key, why.clone(), now);
        tell(state, &partner, why, now);
        return Err(errors::unreachable_partner(address));
    }
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    let own = instance.databases.get(name).ok_or_else(|| errors::cannot_alter(name))?;
    let remote = state
        .instances
        .get(&partner)
        .and_then(|instance| instance.databases.get(name))
        .ok_or_else(|| errors::no_remote_copy(&exact))?;
    if remote.mirroring.as_ref().is_some_and(|m| !m.waiting) {
        return Err(errors::remote_configured(&exact));
    }
    if remote.exclusive.is_some() {
        return Err(errors::mirror_busy(&exact));
    }
    if remote.status != Status::Restoring {
        return Err(errors::not_recovering(&exact));
    }
    if remote.family_guid != own.family_guid {
        return Err(errors::not_related(&exact));
    }
    let Some(waiting) = &remote.mirroring else {
        return Err(errors::not_mirrored(&exact).with_state(31));
    };
    if by_address(state, &waiting.partner_address) != Ok(Some(key.to_owned())) {
        return Err(errors::unreachable_partner(&waiting.partner_address));
    }
    let redo = remote.redo.as_ref().ok_or_else(|| errors::not_recovering(&exact))?;
    if redo.interrupted.is_some() {
        return Err(errors::remote_not_opened(&exact));
    }
    if !own.path.continues(&remote.path, redo.lsn) {
        return Err(errors::not_far_enough(&exact));
    }
    if redo.lsn < own.log.truncated_to || redo.lsn > own.log.next {
        return Err(errors::not_within_log(&exact));
    }
    match own.last_log_backup_lsn {
        Some(chain) if redo.lsn > chain => return Err(errors::insufficient_log(&exact)),
        None => return Err(errors::insufficient_log(&exact)),
        Some(_) => {}
    }
    // Agreed.
    let guid = state.random.guid();
    let own_address = address_of(state, key);
    let at = now + transfer_time(state, key, &partner, name);
    let end = database_mut(state, key, name).map_or(Lsn::ZERO, |own| own.log.next);
    let mut mirroring = Mirroring {
        guid,
        role: MirroringRole::Principal,
        state: MirroringState::Synchronizing,
        safety_full: true,
        safety_sequence: 1,
        role_sequence: 1,
        partner_address: address.to_owned(),
        partner: partner.clone(),
        witness_address: None,
        witness: None,
        witness_connected: false,
        failover_lsn: end,
        timeout: 10,
        suspended: false,
        waiting: false,
        quorum_lost: false,
        partner_lost_since: None,
        synchronized_at: Some(at),
    };
    if let Some(own) = database_mut(state, key, name) {
        own.mirroring = Some(mirroring.clone());
    }
    mirroring.role = MirroringRole::Mirror;
    mirroring.partner = key.to_owned();
    mirroring.partner_address = own_address;
    if let Some(remote) = database_mut(state, &partner, name) {
        remote.mirroring = Some(mirroring);
    }
    tell(state, key, errors::active_as_principal(&exact), now);
    tell(state, &partner, errors::active_as_mirror(&exact), now);
    Ok(())
}

async fn fail_over(host: &SessionHost, name: &str, sink: &mut dyn Sink) -> Result<(), SqlFailure> {
    let (cost, mirroring) = host.try_change(|state, key, _| {
        let mirroring = closed(principal(state, key, name))?;
        closed(may_fail_over(state, key, name, &mirroring))?;
        set_state(state, key, name, MirroringState::PendingFailover);
        Ok((state.costs.mirror_failover, mirroring))
    })?;
    let waited = host.pause(cost).await;
    let outcome = host.try_change(|state, key, now| {
        let still = session(state, key, name)
            .is_some_and(|m| m.guid == mirroring.guid && m.role == MirroringRole::Principal);
        if waited.is_err() || !still || !sees_partner(state, key, &mirroring) {
            if still {
                set_state(state, key, name, mirroring.state);
            }
            return closed(Err(errors::partners_not_up(name)));
        }
        // Open work of the clients is rolled back, and the mirror gets the very end of the log.
        let me = host.me.session_id;
        if let Some(instance) = state.instances.get_mut(key) {
            for id in access::others_using(instance, name, me) {
                access::kill_session(instance, id, now);
            }
            if let Some(session) = instance.sessions.get_mut(&me)
                && session.database.eq_ignore_ascii_case(name)
            {
                session.database = "master".to_owned();
            }
        }
        set_state(state, key, name, MirroringState::Synchronized);
        ship(state, key, name);
        take_over(state, &mirroring.partner, name, now, None, "Manual failover");
        demote_by_command(state, key, &mirroring.partner, name, now);
        let at = now + transfer_time(state, &mirroring.partner, key, name);
        begin_synchronizing(state, &mirroring.partner, key, name, at);
        Ok(())
    });
    look(&host.me.world);
    outcome?;
    sink.message(errors::role_change(name, "PRINCIPAL", "MIRROR", "Manual failover")).await;
    Ok(())
}

/// As [`demote`], without ending the session that gave the command.
fn demote_by_command(
    state: &mut WorldState,
    key: &str,
    winner: &str,
    database: &str,
    now: Timestamp,
) {
    let Some(new) = session(state, winner, database).cloned() else {
        return;
    };
    if let Some(own) = database_mut(state, key, database) {
        own.status = Status::Restoring;
        if let Some(mirroring) = own.mirroring.as_mut() {
            mirroring.role = MirroringRole::Mirror;
            mirroring.role_sequence = new.role_sequence;
        }
    }
    if let Some(instance) = state.instances.get_mut(key) {
        let message = errors::role_change(database, "PRINCIPAL", "MIRROR", "Manual failover");
        instance.log_message(now, message);
    }
}

fn may_fail_over(
    state: &WorldState,
    key: &str,
    name: &str,
    mirroring: &Mirroring,
) -> Result<(), SqlMessage> {
    if !mirroring.safety_full {
        return Err(errors::safety_not_full(name));
    }
    if !sees_partner(state, key, mirroring) {
        return Err(errors::partners_not_up(name));
    }
    if mirroring.state != MirroringState::Synchronized {
        return Err(errors::not_caught_up(name));
    }
    Ok(())
}

fn force(state: &mut WorldState, key: &str, name: &str, now: Timestamp) -> Result<(), SqlMessage> {
    let mirroring = any(state, key, name)?;
    if mirroring.role != MirroringRole::Mirror || sees_partner(state, key, &mirroring) {
        return Err(errors::cannot_be_forced(name));
    }
    if mirroring.witness.is_some() && !sees_witness(state, key, &mirroring) {
        return Err(errors::cannot_be_forced(name));
    }
    let fork = state.random.guid();
    take_over(state, key, name, now, Some(fork), "Forced failover");
    Ok(())
}

fn off(state: &mut WorldState, key: &str, name: &str, now: Timestamp) -> Result<(), SqlMessage> {
    let Some(mirroring) = state
        .instances
        .get(key)
        .and_then(|instance| instance.databases.get(name))
        .and_then(|database| database.mirroring.clone())
    else {
        return Err(errors::not_mirrored(name));
    };
    let connected = !mirroring.waiting && sees_partner(state, key, &mirroring);
    remove(state, key, name);
    tell(state, key, errors::terminated(name), now);
    if connected
        && session(state, &mirroring.partner, name).is_some_and(|m| m.guid == mirroring.guid)
    {
        remove(state, &mirroring.partner, name);
        tell(state, &mirroring.partner, errors::terminated(name), now);
    }
    Ok(())
}

fn suspend(
    state: &mut WorldState,
    key: &str,
    name: &str,
    now: Timestamp,
) -> Result<(), SqlMessage> {
    let mirroring = any(state, key, name)?;
    let mut sides = vec![key.to_owned()];
    if sees_partner(state, key, &mirroring) {
        sides.push(mirroring.partner.clone());
    }
    for side in sides {
        if let Some(own) = session_mut(state, &side, name) {
            own.suspended = true;
            own.state = MirroringState::Suspended;
            own.synchronized_at = None;
        }
        tell(state, &side, errors::inactive(name), now);
    }
    tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
        watched.suspended = true;
        watched.synchronized = false;
    });
    Ok(())
}

fn resume(state: &mut WorldState, key: &str, name: &str, now: Timestamp) -> Result<(), SqlMessage> {
    let mirroring = any(state, key, name)?;
    if !sees_partner(state, key, &mirroring) {
        return Err(nobody(state, key, name, &mirroring));
    }
    for side in [key.to_owned(), mirroring.partner.clone()] {
        if let Some(own) = session_mut(state, &side, name) {
            own.suspended = false;
            own.state = MirroringState::Disconnected;
        }
    }
    // What made it suspend may still be there.
    let principal = match mirroring.role {
        MirroringRole::Principal => key.to_owned(),
        MirroringRole::Mirror => mirroring.partner.clone(),
    };
    if stop_on_error(state, &principal, name, now) {
        return Ok(());
    }
    tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
        watched.suspended = false;
    });
    Ok(())
}

/// Why a command for both partners cannot be given: the other one is away, and perhaps the witness too.
fn nobody(state: &WorldState, key: &str, name: &str, mirroring: &Mirroring) -> SqlMessage {
    if mirroring.witness.is_some() && !sees_witness(state, key, mirroring) {
        errors::nobody_available(name)
    } else {
        errors::partners_not_up(name)
    }
}

fn safety(state: &mut WorldState, key: &str, name: &str, full: bool) -> Result<(), SqlMessage> {
    let mirroring = principal(state, key, name)?;
    let edition = state
        .instances
        .get(key)
        .map(|instance| instance.config.edition.to_lowercase())
        .unwrap_or_default();
    if !full && edition.contains("standard") {
        return Err(errors::mirroring_no_edition());
    }
    if !sees_partner(state, key, &mirroring) {
        return Err(nobody(state, key, name, &mirroring));
    }
    for side in [key.to_owned(), mirroring.partner.clone()] {
        if let Some(own) = session_mut(state, &side, name)
            && own.safety_full != full
        {
            own.safety_full = full;
            own.safety_sequence += 1;
            if own.state == MirroringState::Synchronized || full {
                own.state = MirroringState::Synchronizing;
                own.synchronized_at = None;
            }
        }
    }
    tell_witness(state, mirroring.witness.as_ref(), mirroring.guid, |watched| {
        watched.safety_full = full;
        watched.safety_sequence += 1;
        watched.synchronized = false;
    });
    Ok(())
}

fn timeout(state: &mut WorldState, key: &str, name: &str, seconds: u32) -> Result<(), SqlMessage> {
    let mirroring = principal(state, key, name)?;
    if seconds > 32_767 {
        return Err(errors::timeout_too_long(seconds));
    }
    for side in [key.to_owned(), mirroring.partner.clone()] {
        if let Some(own) = session_mut(state, &side, name) {
            own.timeout = seconds.max(5);
        }
    }
    Ok(())
}

/// ALTER DATABASE … SET WITNESS.
pub(crate) async fn set_witness(
    host: &SessionHost,
    name: &str,
    address: Option<String>,
) -> Result<(), SqlFailure> {
    let lower = name.to_lowercase();
    host.try_change(|state, key, now| {
        state.seen_at = now;
        closed(match address {
            Some(address) => add_witness(state, key, &lower, &address, now),
            None => {
                let mirroring = principal(state, key, &lower)?;
                if mirroring.witness.is_none() {
                    return closed(Err(SqlMessage::new(
                        1439,
                        16,
                        format!("There is currently no witness associated with the database \"{lower}\"."),
                    )));
                }
                remove_witness(state, key, &lower, &mirroring);
                Ok(())
            }
        })
    })?;
    look(&host.me.world);
    Ok(())
}

fn remove_witness(state: &mut WorldState, key: &str, name: &str, mirroring: &Mirroring) {
    if let Some(witness) =
        mirroring.witness.as_ref().and_then(|witness| state.instances.get_mut(witness))
    {
        witness.witness_of.remove(&mirroring.guid);
    }
    let mut sides = vec![key.to_owned()];
    if sees_partner(state, key, mirroring) {
        sides.push(mirroring.partner.clone());
    }
    for side in sides {
        if let Some(own) = session_mut(state, &side, name) {
            own.witness = None;
            own.witness_address = None;
            own.witness_connected = false;
            own.quorum_lost = false;
        }
    }
}

fn add_witness(
    state: &mut WorldState,
    key: &str,
    name: &str,
    address: &str,
    now: Timestamp,
) -> Result<(), SqlMessage> {
    let witness = by_address(state, address).map_err(|()| errors::bad_address(address))?;
    let mirroring = principal(state, key, name)?;
    let Some(witness) = witness.filter(|witness| state.connected(key, witness)) else {
        return Err(errors::not_delivered(address, name));
    };
    if witness == key || witness == mirroring.partner {
        return Err(errors::witness_is_partner());
    }
    if mirroring.witness.as_deref() == Some(witness.as_str()) {
        return Err(errors::same_witness(address, name));
    }
    if !endpoint_open(state, &witness, "WITNESS") {
        return Err(errors::not_a_witness(address));
    }
    for side in [key, mirroring.partner.as_str()] {
        if let Err(why) = handshake(state, side, &witness, false) {
            tell(state, side, why.clone(), now);
            tell(state, &witness, why, now);
            return Err(errors::not_delivered(address, name));
        }
    }
    if mirroring.state != MirroringState::Synchronized
        || !sees_partner(state, key, &mirroring)
        || !state.connected(&mirroring.partner, &witness)
    {
        return Err(errors::witness_needs_all(name));
    }
    if mirroring.witness.is_some() {
        remove_witness(state, key, name, &mirroring);
    }
    let (exact, family_guid) = state
        .instances
        .get(key)
        .and_then(|instance| instance.databases.get(name))
        .map(|own| (own.name.clone(), own.family_guid))
        .ok_or_else(|| errors::cannot_alter(name))?;
    let principal_address = address_of(state, key);
    for side in [key.to_owned(), mirroring.partner.clone()] {
        if let Some(own) = session_mut(state, &side, name) {
            own.witness = Some(witness.clone());
            own.witness_address = Some(address.to_owned());
            own.witness_connected = true;
        }
    }
    if let Some(instance) = state.instances.get_mut(&witness) {
        instance.witness_of.insert(
            mirroring.guid,
            WitnessSession {
                database: exact,
                principal_address,
                principal: key.to_owned(),
                mirror_address: mirroring.partner_address.clone(),
                mirror: mirroring.partner.clone(),
                safety_full: mirroring.safety_full,
                safety_sequence: mirroring.safety_sequence,
                role_sequence: mirroring.role_sequence,
                guid: mirroring.guid,
                family_guid,
                suspended: false,
                synchronized: true,
            },
        );
    }
    Ok(())
}
