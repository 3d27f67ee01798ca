//! What mirroring's own steps do to both partners.

use super::{CopyState, Impossible, MirrorSession, Model};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::MirroringState;
use crate::topology::Topology;

impl Model<'_> {
    /// The mirror catches up; a session that is SUSPENDED does not, because nobody resumes it.
    pub(super) fn await_synchronized(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let partner = self.partner(topology, instance, database)?;
        if self.session(instance, database)?.state == MirroringState::Suspended {
            return Err(Impossible(format!("mirroring of {database} is SUSPENDED")));
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
        let partner = self.partner(topology, instance, database)?;
        if !self.session(instance, database)?.is_principal {
            return Err(Impossible(format!("{instance} is not principal of {database}")));
        }
        for side in [instance, &partner] {
            if let Some(session) = self.session_mut(side, database) {
                session.sees_witness = None;
            }
        }
        Ok(())
    }

    /// The session ends on both sides: the principal goes on, the mirror waits for log.
    pub(super) fn remove_mirroring(
        &mut self,
        topology: &Topology,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        let partner = self.partner(topology, instance, database)?;
        for side in [instance, &partner] {
            if let Ok(copy) = self.copy(side, database) {
                copy.mirroring = None;
            }
        }
        Ok(())
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
            self.copy(side, database)?.state = state;
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
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<(), Impossible> {
        self.copy_in(instance, database, CopyState::Restoring)?;
        let session = self.session(instance, database)?;
        if session.is_principal {
            return Err(Impossible(format!("{instance} is principal of {database} already")));
        }
        if !matches!(session.state, MirroringState::Disconnected | MirroringState::Suspended) {
            let state = session.state;
            return Err(Impossible(format!("mirroring of {database} is {state}")));
        }
        if session.sees_witness == Some(false) {
            return Err(Impossible(format!("{instance} does not see the witness of {database}")));
        }
        self.copy(instance, database)?.state = CopyState::Online;
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
