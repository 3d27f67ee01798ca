//! What steps do to the pool: its state, its active servers, and the mirroring of its databases.

use std::collections::BTreeSet;

use super::{Copy, CopyState, Impossible, MirrorSession, Model, Witness};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{MirroringState, PoolState, RecoveryModel};
use crate::step::{NewPrincipal, PoolAction};
use crate::topology::{Instance, Role, Topology};

impl Model<'_> {
    fn require_writable_configuration(&self) -> Result<(), Impossible> {
        match self.is_configuration_writable {
            Some(false) => Err(Impossible("the pool's configuration cannot be changed".into())),
            Some(true) | None => Ok(()),
        }
    }

    /// The cmdlet takes a label in the place of an instance. Which instances it means is documented for
    /// the primary's pair of a pool that is Normal, and for nothing else.
    fn require_pair(
        &self,
        topology: &Topology,
        database: &DatabaseName,
        (from, to): (&InstanceName, &InstanceName),
        new_principal: NewPrincipal,
    ) -> Result<(), Impossible> {
        require_pools(topology, database)?;
        if self.pool_state != Some(PoolState::Normal) {
            let state = self.pool_state;
            return Err(Impossible(format!(
                "which instances the labels mean is not documented while the pool state is {state:?}"
            )));
        }
        let role = |instance: &InstanceName| topology.instance(instance).map(|i| i.role);
        let needed = match new_principal {
            NewPrincipal::Primary => (Some(Role::PrimaryMirror), Some(Role::Primary)),
            NewPrincipal::Mirror => (Some(Role::Primary), Some(Role::PrimaryMirror)),
        };
        if (role(from), role(to)) != needed {
            return Err(Impossible(format!(
                "from {from} to {to} is not what {new_principal:?} means while the pool is Normal"
            )));
        }
        Ok(())
    }

    /// The mirror of one of the pool's databases, as the topology designs it: the cmdlet is told the
    /// primary only. It restores there, establishes the session, and adds the designed witness.
    ///
    /// Source: `Install-CsMirrorDatabase`.
    fn install_mirror(
        &mut self,
        topology: &Topology,
        (primary, mirror): (&InstanceName, &InstanceName),
        database: &DatabaseName,
        drops_existing: bool,
    ) -> Result<(), Impossible> {
        require_pools(topology, database)?;
        let instance = |name: &InstanceName| {
            topology.instance(name).ok_or_else(|| Impossible(format!("no {name}")))
        };
        let (primary, mirror) = (instance(primary)?, instance(mirror)?);
        let witness = match (primary.role, mirror.role) {
            (Role::Primary, Role::PrimaryMirror) => topology.role(Role::PrimaryWitness),
            (Role::Secondary, Role::SecondaryMirror) => topology.role(Role::SecondaryWitness),
            _ => {
                return Err(Impossible(format!(
                    "{} is not designed as the mirror of {}",
                    mirror.name, primary.name
                )));
            }
        };
        self.require_seen(&mirror.name)?;
        if let Some(witness) = witness {
            self.require_seen(&witness.name)?;
        }
        let copy = self.copy_in(&primary.name, database, CopyState::Online)?;
        if copy.mirroring.is_some() {
            return Err(Impossible(format!("{database} on {} is mirrored", primary.name)));
        }
        let family = copy.family;
        if let Some(existing) = self.copy_of(&mirror.name, database) {
            let found = existing.state;
            let is_same = family.is_some() && existing.family == family;
            if found != CopyState::Restoring || !is_same || !drops_existing {
                return Err(Impossible(format!(
                    "{} holds {database} {found}, which must not be dropped",
                    mirror.name
                )));
            }
        }
        let session = |is_principal, partner: &Instance| MirrorSession {
            state: MirroringState::Synchronized,
            witness: witness
                .map(|witness| Witness { address: witness.mirroring_address(), is_seen: true }),
            ..MirrorSession::new(is_principal, partner.mirroring_address())
        };
        let copy = self.copy(&primary.name, database)?;
        copy.recovery_model = Some(RecoveryModel::Full);
        copy.position = None; // the cmdlet takes backups of its own
        copy.mirroring = Some(session(true, mirror));
        let copy = Copy {
            state: CopyState::Restoring,
            recovery_model: Some(RecoveryModel::Full),
            family,
            position: None,
            mirroring: Some(session(false, primary)),
            secondary_entry: None,
            is_log_shipping_primary: false,
            backup_job_may_run: false,
            stands_at_end_of: None,
            registered_secondaries: Vec::new(),
            has_sessions: false,
        };
        self.insert(&mirror.name, database, copy);
        Ok(())
    }

    pub(super) fn apply_pool(
        &mut self,
        topology: &Topology,
        action: &PoolAction,
    ) -> Result<(), Impossible> {
        match action {
            PoolAction::SetState(state) => {
                self.require_writable_configuration()?;
                self.pool_state = Some(*state);
                Ok(())
            }
            PoolAction::InstallMirror { primary, mirror, database, drops_existing, .. } => {
                self.install_mirror(topology, (primary, mirror), database, *drops_existing)
            }
            PoolAction::FailOverDatabase { database, from, to, new_principal, force } => {
                self.require_pair(topology, database, (from, to), *new_principal)?;
                if *force && !self.unseen.contains(from) {
                    return Err(Impossible(format!("{from} answers, and can hand over itself")));
                }
                if *force {
                    return self.force_service(topology, to, database);
                }
                let partner = self.partner(topology, from, database)?;
                if partner != *to {
                    return Err(Impossible(format!("{to} is not the partner of {from}")));
                }
                self.fail_over(topology, from, database)
            }
            PoolAction::ClearActiveServers => {
                self.require_writable_configuration()?;
                self.activated = Some(BTreeSet::new());
                Ok(())
            }
            PoolAction::AddActiveServer(server) => {
                self.require_writable_configuration()?;
                let known = topology.pool().map(|pool| &pool.servers);
                if !known.into_iter().flatten().any(|known| known.fqdn == *server) {
                    return Err(Impossible(format!("{server} is no server of the pool")));
                }
                self.activated.get_or_insert_default().insert(server.clone());
                Ok(())
            }
            PoolAction::AwaitServers(servers) => {
                let active = self.activated.clone().unwrap_or_default();
                if let Some(server) = servers.iter().find(|server| !active.contains(*server)) {
                    return Err(Impossible(format!("{server} is not active")));
                }
                let pool = topology.pool().ok_or_else(|| Impossible("there is no pool".into()))?;
                if !servers.is_empty() && self.serving(topology, &pool.database).next().is_none() {
                    return Err(Impossible(format!("no copy of {} takes writes", pool.database)));
                }
                Ok(())
            }
        }
    }
}

fn require_pools(topology: &Topology, database: &DatabaseName) -> Result<(), Impossible> {
    let is_pools = topology.pool().is_some_and(|pool| {
        pool.database == *database || pool.compliance_database.as_ref() == Some(database)
    });
    if is_pools {
        return Ok(());
    }
    Err(Impossible(format!("{database} is no database of the pool")))
}
