//! Mirror failover: principal and mirror swap roles inside their site.
//!
//! The document is one statement, or one cmdlet, and the wait for SYNCHRONIZED. What pcdr adds: the
//! target is named, so that a run that stopped can go on; the new principal must be able to go on
//! shipping the log; every database's effect is read back; and where the principal is lost, service is
//! forced only in the states in which the documents allow it, by a consent that names its price.

use crate::consent::Consent;
use crate::estimate;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{LogShippingPrimary, Mirroring, MirroringRole, MirroringState, PoolState};
use crate::plan::{Draft, FailoverBy, Intent, Plan, PredictedLoss, Situation};
use crate::refusal::Refusal;
use crate::settings::is_same_folder;
use crate::step::{Action, DatabaseAction, NewPrincipal, PoolAction, Source, StepId};
use crate::topology::{Instance, Pool, Role, Topology};

/// Plans that the partner designed as `new_principal` is principal of every mirrored database.
///
/// From a state in which part of it was done already, the plan is the remainder; when the partner is
/// principal of everything, it has no steps.
///
/// # Errors
///
/// A [`Refusal`] when a precondition does not hold; nothing has been changed.
pub fn plan(
    situation: &Situation<'_>,
    new_principal: NewPrincipal,
    by: FailoverBy,
) -> Result<Plan, Refusal> {
    let mut run = Runbook::start(situation, new_principal, by);

    situation.require_a_fresh_observation()?;

    for pair in &run.require_mirrored_databases()? {
        match run.require_a_principal(pair)? {
            Standing::IsPrincipal(session) => run.await_synchronized_or_explain(pair, session),
            Standing::CanSwap => {
                run.require_log_shipping_to_go_on(pair)?;
                let swapped = run.swap(pair)?; // clients are disconnected and come back
                run.await_synchronized(pair, Some(swapped)); // from here on it can swap back
            }
            Standing::PrincipalLost(session) => {
                run.require_log_shipping_to_go_on(pair)?;
                run.force_service(pair)?; // cannot be undone: what only the principal has is given up
                run.explain_exposure(pair, session);
            }
        }
    }
    run.draft.verify(situation)
}

const SWAP: Source = Source::new(
    "Manually Fail Over a Database Mirroring Session (Transact-SQL)",
    "on the principal, in master: SET PARTNER FAILOVER",
);
const CMDLET: Source = Source::new(
    "Failing over a mirrored database",
    "Invoke-CsDatabaseFailover with the new principal",
);
const AWAIT: Source = Source::new(
    "Role Switching During a Database Mirroring Session",
    "manual failover: the former principal synchronizes as the new mirror",
);
const FORCE: Source = Source::new(
    "Force Service in a Database Mirroring Session (Transact-SQL)",
    "on the mirror, in master: SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
);

/// The two partners of one database.
struct Pair<'a> {
    database: &'a DatabaseName,
    /// The partner that is to be principal.
    to: &'a Instance,
    /// The other one.
    from: &'a Instance,
    /// Whether it is the pair of the primary, and not that of the secondary.
    is_primary_pair: bool,
}

/// Where a pair stands.
enum Standing<'a> {
    /// The partner is principal already.
    IsPrincipal(&'a Mirroring),
    /// The other one is, and can hand over without loss.
    CanSwap,
    /// The other one is lost, and the operator forces this one into service; with its session.
    PrincipalLost(&'a Mirroring),
}

struct Runbook<'a> {
    situation: &'a Situation<'a>,
    topology: &'a Topology,
    new_principal: NewPrincipal,
    by: FailoverBy,
    draft: Draft,
    /// The last call of the cmdlet; the next one waits for it. Statements run side by side.
    cmdlet: Option<StepId>,
}

impl<'a> Runbook<'a> {
    fn start(
        situation: &'a Situation<'a>,
        new_principal: NewPrincipal,
        by: FailoverBy,
    ) -> Runbook<'a> {
        Runbook {
            situation,
            topology: situation.topology,
            new_principal,
            by,
            draft: Draft::new(Intent::MirrorFailover { new_principal, by }, situation),
            cmdlet: None,
        }
    }

    // ---- requirements -------------------------------------------------------------------------

    /// Every mirrored database with the pair that serves it; at least one.
    fn require_mirrored_databases(&mut self) -> Result<Vec<Pair<'a>>, Refusal> {
        let mut mirrored = Vec::new();
        let mut others = Vec::new();
        let mut unknown = None;
        for database in self.topology.observed_databases() {
            match self.serving_pair(database) {
                Ok(Some(pair)) => mirrored.push(pair),
                Ok(None) => others.push(format!("{database} is not mirrored")),
                Err((instance, reason)) => {
                    others.push(format!("{database} is not seen to be mirrored ({})", reason.code));
                    unknown.get_or_insert(Refusal::InstanceNotObserved { instance, reason });
                }
            }
        }
        if mirrored.is_empty() {
            let found = others.join(", ");
            return Err(unknown.unwrap_or(Refusal::NotMirrored { found }));
        }
        for other in others {
            self.draft.note(format!("{other} and stays where it is"));
        }
        Ok(mirrored)
    }

    /// The pair whose partners have a session of this database; where both pairs have one, that of the
    /// principal which takes writes. An error when no session is seen, and who does not tell.
    fn serving_pair(
        &mut self,
        database: &'a DatabaseName,
    ) -> Result<Option<Pair<'a>>, (InstanceName, Reason)> {
        let pairs =
            [(Role::Primary, Role::PrimaryMirror), (Role::Secondary, Role::SecondaryMirror)];
        let mut found = Vec::new();
        let mut unknown = None;
        for (designed, mirror) in pairs {
            let (Some(designed), Some(mirror)) =
                (self.topology.role(designed), self.topology.role(mirror))
            else {
                continue;
            };
            let mut sees_session = false;
            for instance in [designed, mirror] {
                match self.session(instance, database) {
                    Known::Known(session) => sees_session |= session.is_some(),
                    Known::Unknown(reason) => {
                        unknown.get_or_insert((instance.name.clone(), reason));
                    }
                }
            }
            if sees_session {
                let (to, from) = match self.new_principal {
                    NewPrincipal::Primary => (designed, mirror),
                    NewPrincipal::Mirror => (mirror, designed),
                };
                let is_primary_pair = designed.role == Role::Primary;
                found.push(Pair { database, to, from, is_primary_pair });
            }
        }
        if found.len() > 1 {
            found
                .retain(|pair| [pair.to, pair.from].iter().any(|i| self.takes_writes(i, database)));
        }
        match (found.into_iter().next(), unknown) {
            (Some(pair), _) => {
                for instance in [pair.to, pair.from] {
                    let session = match self.session(instance, database) {
                        Known::Known(Some(session)) => {
                            format!("{:?}, {}", session.role, session.state)
                        }
                        Known::Known(None) => "none".to_owned(),
                        Known::Unknown(reason) => format!("unknown ({})", reason.code),
                    };
                    self.draft
                        .fact(format!("mirroring of {database} on {}", instance.name), session);
                }
                Ok(Some(pair))
            }
            (None, Some(unknown)) => Err(unknown),
            (None, None) => Ok(None),
        }
    }

    /// A principal that can hand over; or, where it is lost, the consent to do without.
    fn require_a_principal(&mut self, pair: &Pair<'a>) -> Result<Standing<'a>, Refusal> {
        let refuse = |found: String| {
            Err(Refusal::MirrorNotSynchronized { database: pair.database.clone(), found })
        };
        let (to, from) = (&pair.to.name, &pair.from.name);
        let here = match self.session(pair.to, pair.database) {
            Known::Known(session) => session,
            Known::Unknown(reason) => {
                return Err(Refusal::InstanceNotObserved { instance: to.clone(), reason });
            }
        };
        let there = self.session(pair.from, pair.database);
        let here = match here {
            Some(here) => here,
            None => return refuse(format!("{to} has no session")),
        };
        match (here.role, there) {
            (MirroringRole::Principal, Known::Known(Some(there)))
                if there.role == MirroringRole::Principal =>
            {
                refuse(format!("{to} and {from} are both principal: stop the one that is wrong"))
            }
            (MirroringRole::Principal, _) => Ok(Standing::IsPrincipal(here)),
            (MirroringRole::Mirror, Known::Known(Some(there)))
                if there.role == MirroringRole::Principal =>
            {
                if there.state != MirroringState::Synchronized || !there.is_safety_full {
                    let safety = if there.is_safety_full { "FULL" } else { "OFF" };
                    return refuse(format!(
                        "on its principal {from} it is {} with SAFETY {safety}",
                        there.state
                    ));
                }
                Ok(Standing::CanSwap)
            }
            (MirroringRole::Mirror, Known::Known(_)) => {
                refuse(format!("{to} is mirror, and {from} answers but is not principal"))
            }
            (MirroringRole::Mirror, Known::Unknown(reason)) => {
                self.require_consent_to_force(pair, here, reason)?;
                Ok(Standing::PrincipalLost(here))
            }
        }
    }

    /// Service may be forced on a mirror that has lost its principal and sees its witness, if there is
    /// one.
    fn require_consent_to_force(
        &mut self,
        pair: &Pair<'a>,
        session: &Mirroring,
        reason: Reason,
    ) -> Result<(), Refusal> {
        let (principal, mirror) = (pair.from.name.clone(), pair.to.name.clone());
        let database = pair.database.clone();
        let has_lost_it =
            matches!(session.state, MirroringState::Disconnected | MirroringState::Suspended);
        // A server that refuses a login is there, and a mirror that is connected has a principal.
        if reason.code != "unreachable" || !has_lost_it {
            return Err(Refusal::InstanceNotObserved { instance: principal, reason });
        }
        if let Some(witness) = &session.witness_address
            && session.is_witness_connected != Some(true)
        {
            let found = format!("its witness {witness} is not connected");
            return Err(Refusal::ServiceCannotBeForced { mirror, database, found });
        }
        if !self.situation.accepts(Consent::ForceService) {
            let end_of_log = session.end_of_log_lsn;
            return Err(Refusal::PrincipalLost { principal, mirror, database, end_of_log, reason });
        }
        self.draft.consent(Consent::ForceService);
        Ok(())
    }

    /// The new principal's own backup job takes over as soon as its database is ONLINE: it needs an
    /// entry with the same share. Nothing changes on the secondary.
    ///
    /// Source: "Database Mirroring and Log Shipping".
    fn require_log_shipping_to_go_on(&mut self, pair: &Pair<'a>) -> Result<(), Refusal> {
        let Pair { database, to, from, .. } = pair;
        if !self.topology.databases().contains(database) {
            return Ok(()); // never log-shipped
        }
        let share = match self.primary_entry(from, database) {
            Known::Known(Some(entry)) => entry.backup_share.as_str(),
            Known::Known(None) => {
                self.draft.note(format!("{} does not ship the log of {database}", from.name));
                return Ok(());
            }
            Known::Unknown(_) => self.topology.backup_share().unc.as_str(),
        };
        let agent = self.situation.observation.instance(&to.name);
        let agent_stopped =
            agent.known().is_some_and(|seen| seen.agent_running == Known::Known(false));
        let found = match self.primary_entry(to, database) {
            Known::Unknown(reason) => Some(format!("whether it can is unknown: {reason}")),
            Known::Known(None) => Some("it has no log shipping entry".to_owned()),
            Known::Known(Some(entry)) if !is_same_folder(&entry.backup_share, share) => {
                Some(format!("its backup share is {} instead of {share}", entry.backup_share))
            }
            Known::Known(Some(entry)) => match &entry.backup_job {
                Known::Unknown(reason) => Some(format!("its backup job is unknown: {reason}")),
                Known::Known(job) if !job.is_enabled => {
                    Some(format!("its backup job {} is disabled", job.name))
                }
                Known::Known(_) if agent_stopped => {
                    Some("SQL Server Agent does not run there".to_owned())
                }
                Known::Known(_) => None,
            },
        };
        let Some(found) = found else { return Ok(()) };
        let (instance, database) = (to.name.clone(), DatabaseName::clone(database));
        let refusal = Refusal::LogShippingWouldStop { instance, database, found };
        if !self.situation.accepts(Consent::WithoutLogShipping) {
            return Err(refusal);
        }
        self.draft.consent(Consent::WithoutLogShipping);
        self.draft.note(format!("accepted: {refusal}"));
        Ok(())
    }

    /// The pool, where the cmdlet is asked for and can do it.
    fn require_the_cmdlet(&mut self, pair: &Pair<'a>) -> Result<Option<&'a Pool>, Refusal> {
        let database = pair.database;
        if self.by == FailoverBy::TSql {
            return Ok(None);
        }
        let refuse = |found: &str| {
            let (database, found) = (database.clone(), found.to_owned());
            Err(Refusal::CmdletNotUsable { database, found })
        };
        let Some(pool) = self.topology.pool() else {
            return refuse("the topology has no pool");
        };
        if pool.database != *database && pool.compliance_database.as_ref() != Some(database) {
            self.draft.note(format!("{database} is not the pool's: it fails over by T-SQL"));
            return Ok(None);
        }
        let seen = self.situation.observation.pool.as_ref().and_then(Known::known);
        match seen.and_then(|seen| seen.state.known()) {
            Some(PoolState::Normal) if pair.is_primary_pair => Ok(Some(pool)),
            Some(_) => refuse(
                "no document says which instances it calls Primary and Mirror unless the pool is \
                 Normal and its primary's pair serves",
            ),
            None => refuse("the pool state is unknown"),
        }
    }

    // ---- steps --------------------------------------------------------------------------------

    fn swap(&mut self, pair: &Pair<'a>) -> Result<StepId, Refusal> {
        let Pair { database, to, from, .. } = pair;
        self.draft.note(format!(
            "the clients of {database} are disconnected, their open transactions are rolled back, and \
             they connect to {} again by themselves where they know their failover partner",
            to.name
        ));
        if let Some(pool) = self.require_the_cmdlet(pair)? {
            return Ok(self.call_cmdlet(pool, pair, false));
        }
        let action = on(&from.name, database, DatabaseAction::FailOverMirror);
        Ok(self.draft.step(action, None, SWAP, estimate::SWAP))
    }

    fn await_synchronized(&mut self, pair: &Pair<'a>, after: Option<StepId>) {
        let action = on(&pair.to.name, pair.database, DatabaseAction::AwaitSynchronized);
        self.draft.step(action, after, AWAIT, estimate::SWAP);
    }

    /// A failover that another run or the witness made is awaited; one that was forced, or whose old
    /// principal is away, ends in a state that does not go over by itself.
    fn await_synchronized_or_explain(&mut self, pair: &Pair<'a>, session: &Mirroring) {
        match session.state {
            MirroringState::Synchronized => {}
            MirroringState::Synchronizing
            | MirroringState::PendingFailover
            | MirroringState::Unsynchronized => self.await_synchronized(pair, None),
            MirroringState::Suspended | MirroringState::Disconnected => {
                self.explain_exposure(pair, session);
            }
        }
    }

    fn force_service(&mut self, pair: &Pair<'a>) -> Result<(), Refusal> {
        self.predict_loss(pair);
        if let Some(pool) = self.require_the_cmdlet(pair)? {
            self.call_cmdlet(pool, pair, true);
            return Ok(());
        }
        let action = on(&pair.to.name, pair.database, DatabaseAction::ForceService);
        self.draft.step(action, None, FORCE, estimate::STATEMENT);
        Ok(())
    }

    fn call_cmdlet(&mut self, pool: &Pool, pair: &Pair<'a>, force: bool) -> StepId {
        let action = PoolAction::FailOverDatabase {
            database: pair.database.clone(),
            from: pair.from.name.clone(),
            to: pair.to.name.clone(),
            new_principal: self.new_principal,
            force,
        };
        let action = Action::Pool(pool.fqdn.clone(), action);
        let called = self.draft.step(action, self.cmdlet, CMDLET, estimate::CMDLET);
        self.cmdlet = Some(called);
        called
    }

    /// What the principal had accepted and the mirror has not.
    fn predict_loss(&mut self, pair: &Pair<'a>) {
        let Pair { database, to, from, .. } = pair;
        let copy = self.situation.observation.database(&to.name, database);
        let copy = copy.known().copied().flatten();
        let fork = copy.and_then(|copy| copy.log_position.known()).map(|position| position.fork);
        let session = copy.and_then(|copy| copy.mirroring.known()?.as_ref());
        let end_of_log = session.and_then(|session| session.end_of_log_lsn);
        match (end_of_log, fork) {
            (Some(from_lsn), Some(fork)) => self.draft.loses(PredictedLoss {
                database: DatabaseName::clone(database),
                from_lsn,
                fork,
                saved_until: None,
                lost_until: self.situation.observation.taken_at,
            }),
            _ => self.draft.note(format!(
                "what {} had not sent of {database} is lost; {} does not tell how far its own log \
                 reaches",
                from.name, to.name
            )),
        }
    }

    fn explain_exposure(&mut self, pair: &Pair<'a>, session: &Mirroring) {
        let Pair { database, to, from, .. } = pair;
        let (to, from) = (&to.name, &from.name);
        self.draft.note(format!(
            "{to} serves {database} without a mirror until {from} is back and mirroring goes on; its \
             log cannot be truncated meanwhile and grows"
        ));
        if session.state == MirroringState::Suspended || session.role == MirroringRole::Mirror {
            self.draft.note(format!(
                "when {from} is back, mirroring of {database} stays SUSPENDED and {from}'s copy cannot \
                 be opened: ALTER DATABASE … SET PARTNER RESUME on {to} rolls back there what only {from} \
                 has, for good; to look at that first, keep {from} off the network, or remove mirroring"
            ));
        }
    }

    // ---- helpers ------------------------------------------------------------------------------

    fn session(
        &self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Known<Option<&'a Mirroring>> {
        match self.situation.observation.database(&instance.name, database) {
            Known::Known(Some(copy)) => copy.mirroring.as_ref().map(Option::as_ref),
            Known::Known(None) => Known::Known(None),
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }

    fn takes_writes(&self, instance: &Instance, database: &DatabaseName) -> bool {
        let copy = self.situation.observation.database(&instance.name, database);
        copy.known().copied().flatten().is_some_and(|copy| copy.is_writable())
    }

    fn primary_entry(
        &self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Known<Option<&'a LogShippingPrimary>> {
        match self.situation.observation.instance(&instance.name) {
            Known::Known(seen) => {
                seen.log_shipping_primary.as_ref().map(|entries| entries.get(database))
            }
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }
}

fn on(instance: &InstanceName, database: &DatabaseName, action: DatabaseAction) -> Action {
    Action::Database(instance.clone(), database.clone(), action)
}
