//! What mirroring's own steps do to both partners.

use super::{CopyState, Impossible, MirrorSession, Model, Witness};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{MirroringState, RecoveryModel};
use crate::topology::{Instance, Topology};

impl Model<'_> {
    /// The mirror comes first and waits; the principal then starts the session on both sides.
    pub(super) fn set_partner(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
        address: &str,
    ) -> Result<(), Impossible> {
        let here = topology.instance(instance).map(Instance::mirroring_address);
        let here = here.ok_or_else(|| Impossible(format!("{instance} is not in the topology")))?;
        let is_partner = |other: &&Instance| {
            other.name != *instance && other.mirroring_address().eq_ignore_ascii_case(address)
        };
        let partner = topology.instances().find(is_partner);
        let partner = partner.map(|partner| partner.name.clone());
        let partner = partner.ok_or_else(|| Impossible(format!("{address} is no partner")))?;
        let copy = self.copy(instance, database)?;
        if let Some(session) = &copy.mirroring {
            return if session.partner_address.eq_ignore_ascii_case(address) {
                Ok(())
            } else {
                Err(Impossible(format!("{database} has partner {}", session.partner_address)))
            };
        }
        let is_principal = match copy.state {
            CopyState::Online if copy.recovery_model.is_none_or(|is| is == RecoveryModel::Full) => {
                true
            }
            CopyState::Restoring => false,
            CopyState::Online | CopyState::Other(_) => {
                return Err(Impossible(format!(
                    "{database} on {instance} is {} in recovery model {:?}",
                    copy.state, copy.recovery_model
                )));
            }
        };
        let partner_address = address.to_owned();
        if is_principal {
            self.require_seen(&partner)?;
            let mirror = self.copy_in(&partner, database, CopyState::Restoring)?;
            let waits = |session: &MirrorSession| {
                !session.is_principal && session.partner_address.eq_ignore_ascii_case(&here)
            };
            if !mirror.mirroring.as_ref().is_some_and(waits) {
                return Err(Impossible(format!("{partner} does not wait for {instance}")));
            }
        }
        let mut session = MirrorSession::new(is_principal, partner_address);
        if is_principal {
            if let Some(mirror) = self.session_mut(&partner, database) {
                mirror.state = session.state;
            }
        } else {
            session.state = MirroringState::Disconnected; // nobody is contacted yet
        }
        self.copy(instance, database)?.mirroring = Some(session);
        Ok(())
    }

    /// The witness joins; given on the principal. All three have to be connected, and the mirror to have
    /// caught up (error 1426). Another witness has to be removed first.
    pub(super) fn set_witness(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
        address: &str,
    ) -> Result<(), Impossible> {
        let is = |other: &str| other.eq_ignore_ascii_case(address);
        let here = topology.instance(instance).map(Instance::mirroring_address);
        let session = self.session(instance, database)?;
        if is(&session.partner_address) || here.as_deref().is_some_and(is) {
            return Err(Impossible(format!("{address} is a partner and can be no witness")));
        }
        match &session.witness {
            Some(witness) if is(&witness.address) => return Ok(()),
            Some(Witness { address: other, .. }) => {
                return Err(Impossible(format!("{database} has the witness {other}")));
            }
            None => {}
        }
        if !session.is_principal {
            return Err(Impossible(format!("{instance} is not principal of {database}")));
        }
        if session.state != MirroringState::Synchronized {
            let state = session.state;
            return Err(Impossible(format!("mirroring of {database} is {state}")));
        }
        let partner = self.partner(topology, instance, database)?;
        let witness = topology.instances().find(|other| is(&other.mirroring_address()));
        if let Some(witness) = witness {
            self.require_seen(&witness.name)?;
        }
        for side in [instance, &partner] {
            if let Some(session) = self.session_mut(side, database) {
                session.witness = Some(Witness { address: address.to_owned(), is_seen: true });
            }
        }
        Ok(())
    }

    /// The mirror catches up; a session that is SUSPENDED does not, because nobody resumes it, and one that
    /// is DISCONNECTED does not, because the other partner is away or never joined.
    pub(super) fn await_synchronized(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let partner = self.partner(topology, instance, database)?;
        let state = self.session(instance, database)?.state;
        if matches!(state, MirroringState::Suspended | MirroringState::Disconnected) {
            return Err(Impossible(format!("mirroring of {database} is {state}")));
        }
        for side in [instance, &partner] {
            if let Some(session) = self.session_mut(side, database) {
                session.state = MirroringState::Synchronized;
            }
        }
        Ok(())
    }

    /// The witness leaves the session; given on the principal.
    pub(super) fn remove_witness(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let session = self.session(instance, database)?;
        if session.witness.is_some() && !session.is_principal {
            return Err(Impossible(format!("{instance} is not principal of {database}")));
        }
        for side in self.connected(topology, instance, database) {
            if let Some(session) = self.session_mut(&side, database) {
                session.witness = None;
            }
        }
        Ok(())
    }

    /// The session ends: the principal goes on, the mirror waits for log from where its principal had
    /// brought it. A partner that is not connected learns of it when it is.
    ///
    /// Source: "Removing Database Mirroring".
    pub(super) fn remove_mirroring(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        self.session(instance, database)?;
        // A mirror whose principal never joined was brought nowhere.
        let has_joined = match self.partner(topology, instance, database) {
            Ok(partner) => {
                self.unseen.contains(&partner) || self.session(&partner, database).is_ok()
            }
            Err(_) => true,
        };
        for side in self.connected(topology, instance, database) {
            let copy = self.copy(&side, database)?;
            if copy.mirroring.take().is_some_and(|session| !session.is_principal) && has_joined {
                copy.position = None;
            }
        }
        Ok(())
    }

    /// The sides of a session that a command on one of them reaches at once: that one, and its partner
    /// while they are connected.
    fn connected(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Vec<InstanceName> {
        let mut sides = vec![instance.clone()];
        let is_connected = self
            .session(instance, database)
            .is_ok_and(|session| session.state != MirroringState::Disconnected);
        if is_connected
            && let Ok(partner) = self.partner(topology, instance, database)
            && self.session(&partner, database).is_ok()
        {
            sides.push(partner);
        }
        sides
    }

    /// An endpoint goes only while no session that is known goes through it.
    pub(super) fn close_endpoint(&mut self, instance: &InstanceName) -> Result<(), Impossible> {
        self.require_seen(instance)?;
        let mut here =
            self.copies.iter().filter_map(|(name, all)| Some((name, all.get(instance)?)));
        match here.find(|(_, copy)| copy.mirroring.is_some()) {
            Some((name, _)) => Err(Impossible(format!("{name} on {instance} is mirrored"))),
            None => Ok(()),
        }
    }

    /// Principal and mirror swap: SAFETY FULL, SYNCHRONIZED, given on the principal.
    ///
    /// Source: "ALTER DATABASE (Transact-SQL) Database Mirroring".
    pub(super) fn fail_over(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let partner = self.partner(topology, instance, database)?;
        self.copy_in(instance, database, CopyState::Online)?;
        let session = self.session(instance, database)?;
        if !session.is_principal {
            return Err(Impossible(format!("{instance} is not principal of {database}")));
        }
        if session.state != MirroringState::Synchronized || !session.is_safety_full {
            let safety = if session.is_safety_full { "FULL" } else { "OFF" };
            let state = session.state;
            return Err(Impossible(format!(
                "mirroring of {database} is {state} with SAFETY {safety}"
            )));
        }
        self.copy_in(&partner, database, CopyState::Restoring)?;
        for (side, is_principal, state) in
            [(instance, false, CopyState::Restoring), (&partner, true, CopyState::Online)]
        {
            let copy = self.copy(side, database)?;
            copy.state = state;
            copy.position = None; // the swap writes to the log, and each side's is counted in the other way
            if let Some(session) = self.session_mut(side, database) {
                session.is_principal = is_principal;
                session.state = MirroringState::Synchronizing;
            }
        }
        Ok(())
    }

    /// The mirror serves without its principal: given on the mirror, which has lost the principal and,
    /// where there is a witness, still sees that.
    ///
    /// Source: "Force Service in a Database Mirroring Session (Transact-SQL)".
    pub(super) fn force_service(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        self.copy_in(instance, database, CopyState::Restoring)?;
        let session = self.session(instance, database)?;
        if session.is_principal {
            return Err(Impossible(format!("{instance} is principal of {database} already")));
        }
        let state = session.state;
        if !matches!(state, MirroringState::Disconnected | MirroringState::Suspended) {
            return Err(Impossible(format!("mirroring of {database} is {state}")));
        }
        if session.witness.as_ref().is_some_and(|witness| !witness.is_seen) {
            return Err(Impossible(format!("{instance} does not see the witness of {database}")));
        }
        // A principal that answers is lost only if the two do not see each other.
        if let Ok(partner) = self.partner(topology, instance, database)
            && !self.unseen.contains(&partner)
        {
            let there = self.session(&partner, database);
            if !there.is_ok_and(|there| there.is_principal) {
                return Err(Impossible(format!("{partner} is not principal of {database}")));
            }
            if state == MirroringState::Suspended {
                return Err(Impossible(format!("{partner} answers, and is principal")));
            }
        }
        let copy = self.copy(instance, database)?;
        copy.state = CopyState::Online;
        copy.position = None; // on a new fork
        if let Some(session) = self.session_mut(instance, database) {
            session.is_principal = true;
            session.state = MirroringState::Suspended;
        }
        Ok(())
    }

    pub(super) fn session(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<&MirrorSession, Impossible> {
        let copy = self.copy(instance, database)?;
        let session = copy.mirroring.as_ref();
        session.ok_or_else(|| Impossible(format!("{database} on {instance} is not mirrored")))
    }

    pub(super) fn session_mut(
        &mut self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Option<&mut MirrorSession> {
        self.copies.get_mut(database)?.get_mut(instance)?.mirroring.as_mut()
    }

    /// The other partner of a session, by its address.
    pub(super) fn partner(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<InstanceName, Impossible> {
        let address = self.session(instance, database)?.partner_address.clone();
        let partner =
            topology.instances().find(|i| i.mirroring_address().eq_ignore_ascii_case(&address));
        let partner = partner.map(|partner| partner.name.clone());
        partner.ok_or_else(|| Impossible(format!("no instance of the topology is {address}")))
    }
}
