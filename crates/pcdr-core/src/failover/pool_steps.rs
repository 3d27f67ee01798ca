//! The steps of the pool around the databases, one after the other.

use std::time::Duration;

use crate::effect;
use crate::estimate;
use crate::name::ServerName;
use crate::observation::{InstanceObservation, PoolObservation};
use crate::plan::{Draft, Situation};
use crate::refusal::Refusal;
use crate::step::{Action, PoolAction, Source, StepId};
use crate::topology::{Pool, Server};

/// Where the pool's steps stand while a plan is written down.
#[derive(Debug, Default)]
pub(super) struct PoolSteps {
    /// The last one.
    pub(super) last: Option<StepId>,
    /// The steps of databases that no pool step has waited for yet.
    pub(super) waits_for: Vec<StepId>,
}

/// The pool, if the topology has one, and what was seen of it.
pub(super) fn pool<'a>(situation: &Situation<'a>) -> Option<(&'a Pool, &'a PoolObservation)> {
    let pool = situation.topology.pool()?;
    let observed = situation.observation.pool.as_ref()?.known()?;
    Some((pool, observed))
}

/// The state and the servers of a pool are in the Central Management store, which must take changes.
///
/// # Errors
///
/// A [`Refusal`] when it takes none, or this is not known.
pub(super) fn require_a_writable_configuration(
    situation: &Situation<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    let Some(observed) = &situation.observation.pool else { return Ok(()) };
    let pool = Refusal::unless_known(observed, || "the Persistent Chat pool".into())?;
    let store = || "the Central Management store".into();
    if !*Refusal::unless_known(&pool.is_configuration_writable, store)? {
        return Err(Refusal::ConfigurationStoreNotWritable);
    }
    let state = Refusal::unless_known(&pool.state, || "the pool state".into())?;
    draft.fact("pool state", format!("{state:?}"));
    Ok(())
}

impl PoolSteps {
    /// A pool step follows the pool step before it, and what was to be waited for.
    pub(super) fn step(
        &mut self,
        draft: &mut Draft,
        pool: &Pool,
        action: PoolAction,
        source: Source,
        expected: Duration,
    ) {
        let after: Vec<StepId> = self.last.into_iter().chain(self.waits_for.drain(..)).collect();
        let action = Action::Pool(pool.fqdn.clone(), action);
        self.last = Some(draft.step(action, after, source, expected));
    }

    /// Clears the active list, puts these servers on it, and waits until they write to the copy that
    /// serves; unless all of them were seen to do so.
    pub(super) fn activate(
        &mut self,
        draft: &mut Draft,
        situation: &Situation<'_>,
        serving: &InstanceObservation,
        is_wanted: impl Fn(&Server) -> bool,
        source: &Source,
    ) {
        let Some((pool, _)) = pool(situation) else { return };
        let copy = serving.databases.known().and_then(|all| all.get(&pool.database));
        let copy = copy.filter(|copy| copy.is_writable());
        let files = situation.observation.log_backups.get(&pool.database);
        let servers: Vec<ServerName> = pool
            .servers
            .iter()
            .filter(|server| is_wanted(server))
            .map(|server| server.fqdn.clone())
            .collect();
        let writes = |server: &ServerName| {
            copy.is_some_and(|copy| effect::has_pinged_since_recovery(serving, copy, files, server))
        };
        if servers.iter().all(writes) {
            return;
        }
        let clear = PoolAction::ClearActiveServers;
        self.step(draft, pool, clear, source.clone(), estimate::CMDLET);
        for server in &servers {
            let add = PoolAction::AddActiveServer(server.clone());
            self.step(draft, pool, add, source.clone(), estimate::CMDLET);
        }
        let wait = PoolAction::AwaitServers(servers);
        self.step(draft, pool, wait, source.clone(), estimate::CMDLET);
        draft.note(
            "no documented command reads the active list back: a server counts as active when it \
             has pinged the database that serves (tblServerIdentity.serverLastPingTime)",
        );
    }
}
