//! Would a failover work now, and what would it lose?
//!
//! The answer comes from the planner itself: the primary site is taken out of the observation, as a
//! disaster would, and the plan that remains, or its refusal, is the verdict.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::consent::Consent;
use crate::drift::drift;
use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{DatabaseState, MirroringRole, MirroringState, Observation, PoolState};
use crate::plan::{Intent, PredictedLoss, Situation};
use crate::refusal::Refusal;
use crate::run;
use crate::time::Timestamp;
use crate::topology::{Role, Topology};

/// The state of a topology, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// When the observation began.
    pub observed_at: Timestamp,
    /// The worst of everything below.
    pub verdict: Verdict,
    /// Every copy of every database.
    pub copies: Vec<CopyStatus>,
    /// The pool state; `None` without a pool.
    pub pool_state: Option<Known<PoolState>>,
    /// What a disaster failover would lose now, by database; empty when it would be refused.
    pub at_risk: Vec<PredictedLoss>,
    /// Why a disaster failover would be refused now.
    pub refusal: Option<Refusal>,
    /// What needs attention, most urgent first.
    pub findings: Vec<Finding>,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A failover would work, and nothing needs attention.
    Ready,
    /// A failover would work, but something needs attention.
    Attention,
    /// A failover would be refused.
    NotReady,
    /// Two copies take writes, or the like: act now.
    Alarm,
}

/// One copy of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyStatus {
    /// Where.
    pub instance: InstanceName,
    /// What the instance was designed for.
    pub role: Role,
    /// Which database.
    pub database: DatabaseName,
    /// Its state; `Known(None)`: it does not exist there.
    pub state: Known<Option<DatabaseState>>,
    /// Mirroring role and state, when mirrored.
    pub mirroring: Option<(MirroringRole, MirroringState)>,
    /// Log shipping: last file and when, by what the instance does (back up or restore).
    pub log_shipping: Option<(String, Option<Timestamp>)>,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How urgent.
    pub verdict: Verdict,
    /// Stable, to branch on.
    pub code: &'static str,
    /// For people: what was found and what to do.
    pub message: String,
}

/// Judges an observation.
///
/// ```
/// # use pcdr_core::{mock::MockWorld, observe::observe, status::{judge, Verdict}, Topology};
/// # fn block_on<F: Future>(f: F) -> F::Output {
/// #     let mut f = std::pin::pin!(f);
/// #     let mut c = std::task::Context::from_waker(std::task::Waker::noop());
/// #     loop { if let std::task::Poll::Ready(o) = f.as_mut().poll(&mut c) { return o } }
/// # }
/// # let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
/// # let world = MockWorld::new(topology.clone());
/// world.ship("mgc", 1000, 1100);
/// world.ship("mgc", 1200, 1300); // 1100..1200 is missing
/// let observation = block_on(observe(&topology, &world.ports(), "me", None));
/// let status = judge(&topology, &observation, world.now());
/// assert_eq!(status.verdict, Verdict::NotReady);
/// assert_eq!(status.findings[0].code, "log_chain_gap");
/// ```
pub fn judge(topology: &Topology, observation: &Observation, now: Timestamp) -> Status {
    let mut findings = Vec::new();
    let copies = copies(topology, observation, &mut findings);
    two_writable_copies(&copies, &mut findings);
    jobs(topology, observation, &mut findings);
    lateness(topology, observation, now, &mut findings);
    let pool_state = observation.pool.as_ref().map(|pool| match pool {
        Known::Known(pool) => pool.state.clone(),
        Known::Unknown(reason) => Known::Unknown(reason.clone()),
    });
    let failed_over = matches!(&pool_state, Some(Known::Known(PoolState::FailedOver)));
    let (at_risk, refusal) = if failed_over {
        findings.push(Finding {
            verdict: Verdict::Attention,
            code: "failed_over",
            message: "The pool is failed over: there is no copy in the other site until it is \
                      failed back."
                .to_owned(),
        });
        (Vec::new(), None)
    } else {
        // After a failover nothing is as designed, and a failback makes it so again.
        findings.extend(drift(topology, observation).into_iter().map(|one| Finding {
            verdict: Verdict::Attention,
            code: "drift",
            message: format!("Not as designed: {one}."),
        }));
        would_fail_over(topology, observation, now)
    };
    if let Some(refusal) = &refusal {
        findings.push(Finding {
            verdict: Verdict::NotReady,
            code: refusal.code(),
            message: format!("A failover would be refused: {refusal}. {}", refusal.remedy()),
        });
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    let verdict = findings.first().map_or(Verdict::Ready, |finding| finding.verdict);
    let observed_at = observation.taken_at;
    Status { observed_at, verdict, copies, pool_state, at_risk, refusal, findings }
}

/// What the planner says if the primary site is lost now.
fn would_fail_over(
    topology: &Topology,
    observation: &Observation,
    now: Timestamp,
) -> (Vec<PredictedLoss>, Option<Refusal>) {
    let mut lost = observation.clone();
    let primary_site = &topology.primary().site;
    for instance in topology.instances().filter(|instance| instance.site == *primary_site) {
        let gone = Known::unknown("unreachable", "taken out to see what a failover would do");
        lost.instances.insert(instance.name.clone(), gone);
    }
    let consents = BTreeSet::from([Consent::PrimarySiteLost]);
    let situation = Situation::new(topology, &lost, &consents, now);
    match run::plan(Intent::DisasterFailover, &situation) {
        Ok(plan) => (plan.predicted_losses.clone(), None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    }
}

fn copies(
    topology: &Topology,
    observation: &Observation,
    findings: &mut Vec<Finding>,
) -> Vec<CopyStatus> {
    let mut copies = Vec::new();
    for instance in topology.instances() {
        let holds =
            !matches!(instance.role, Role::PrimaryWitness | Role::SecondaryWitness | Role::Monitor);
        let seen = observation.instance(&instance.name);
        if let Known::Unknown(reason) = &seen {
            findings.push(Finding {
                verdict: Verdict::Attention,
                code: "instance_not_observed",
                message: format!("{} could not be observed: {reason}", instance.name),
            });
        }
        if let Some(Known::Known(false)) =
            seen.known().map(|seen| seen.agent_running.as_ref().map(|r| *r))
        {
            findings.push(Finding {
                verdict: Verdict::Attention,
                code: "agent_not_running",
                message: format!("SQL Server Agent does not run on {}: start it.", instance.name),
            });
        }
        for database in topology.databases().iter().filter(|_| holds) {
            let copy = observation.database(&instance.name, database);
            let session = copy.known().copied().flatten().and_then(|copy| {
                let session = copy.mirroring.known()?.as_ref()?;
                Some((session.role, session.state))
            });
            if let Some((MirroringRole::Principal, state)) = session
                && state != MirroringState::Synchronized
            {
                findings.push(Finding {
                    verdict: Verdict::Attention,
                    code: "mirror_not_synchronized",
                    message: format!(
                        "Mirroring of {database} on {} is {state:?}: it is exposed.",
                        instance.name
                    ),
                });
            }
            let log_shipping = seen.known().and_then(|seen| {
                let primary = seen.log_shipping_primary.known().and_then(|all| all.get(database));
                let secondary =
                    seen.log_shipping_secondary.known().and_then(|all| all.get(database));
                let backed_up = primary.map(|entry| {
                    (entry.last_backup_file.clone().unwrap_or_default(), entry.last_backup_at)
                });
                let restored = secondary.map(|entry| {
                    (entry.last_restored_file.clone().unwrap_or_default(), entry.last_restored_at)
                });
                backed_up.or(restored)
            });
            copies.push(CopyStatus {
                instance: instance.name.clone(),
                role: instance.role,
                database: database.clone(),
                state: copy.map(|copy| copy.map(|copy| copy.state)),
                mirroring: session,
                log_shipping,
            });
        }
    }
    copies
}

/// What the newest run of each log shipping job said.
fn jobs(topology: &Topology, observation: &Observation, findings: &mut Vec<Finding>) {
    const FAILED: i32 = 0;
    const CANCELLED: i32 = 3;
    for instance in topology.instances() {
        let Known::Known(seen) = observation.instance(&instance.name) else { continue };
        let primaries = seen.log_shipping_primary.known().into_iter().flatten();
        let secondaries = seen.log_shipping_secondary.known().into_iter().flatten();
        let jobs = primaries
            .map(|(_, entry)| &entry.backup_job)
            .chain(secondaries.flat_map(|(_, entry)| [&entry.copy_job, &entry.restore_job]));
        for job in jobs.filter_map(Known::known) {
            let how = match job.last_run_status {
                Some(FAILED) => "failed",
                Some(CANCELLED) => "was cancelled",
                _ => continue,
            };
            let when = job.last_run_at.map_or_else(String::new, |at| format!(" at {at}"));
            findings.push(Finding {
                verdict: Verdict::Attention,
                code: "job_failed",
                message: format!(
                    "The last run of {} on {}{when} {how}: read its history and repair the cause.",
                    job.name, instance.name
                ),
            });
        }
    }
}

/// A backup or a restore that is later than its threshold, as alerts 14420 and 14421 judge it. The mirror
/// backs nothing up while it mirrors, so only an instance that serves is judged as a primary.
fn lateness(
    topology: &Topology,
    observation: &Observation,
    now: Timestamp,
    findings: &mut Vec<Finding>,
) {
    let mut judge = |what: &str, code, at: Option<Timestamp>, threshold: Option<i32>| {
        let (Some(at), Some(threshold)) = (at, threshold) else { return };
        let minutes = now.since(at).as_secs() / 60;
        if u64::try_from(threshold).is_ok_and(|threshold| minutes > threshold) {
            findings.push(Finding {
                verdict: Verdict::Attention,
                code,
                message: format!(
                    "{what} {minutes} min ago, later than its threshold of {threshold}."
                ),
            });
        }
    };
    for instance in topology.instances() {
        let Known::Known(seen) = observation.instance(&instance.name) else { continue };
        let name = &instance.name;
        let serves = |database: &DatabaseName| matches!(observation.database(name, database), Known::Known(Some(copy)) if copy.is_writable());
        for (database, entry) in seen.log_shipping_primary.known().into_iter().flatten() {
            if serves(database) {
                let what = format!("The last log backup of {database} on {name} was");
                let threshold = entry.backup_threshold_minutes;
                judge(&what, "backup_late", entry.last_backup_at, threshold);
            }
        }
        for (database, entry) in seen.log_shipping_secondary.known().into_iter().flatten() {
            let what = format!("The last restore of {database} on {name} was");
            let threshold = entry.restore_threshold_minutes;
            judge(&what, "restore_late", entry.last_restored_at, threshold);
        }
    }
}

/// Two copies of one database that take writes are an alarm, whichever the pool uses.
fn two_writable_copies(copies: &[CopyStatus], findings: &mut Vec<Finding>) {
    let databases: BTreeSet<&DatabaseName> = copies.iter().map(|copy| &copy.database).collect();
    for database in databases {
        let online: Vec<&str> = copies
            .iter()
            .filter(|copy| copy.database == *database)
            .filter(|copy| copy.state == Known::Known(Some(DatabaseState::Online)))
            .map(|copy| copy.instance.as_str())
            .collect();
        if online.len() > 1 {
            findings.push(Finding {
                verdict: Verdict::Alarm,
                code: "two_writable_copies",
                message: format!(
                    "{database} is ONLINE on {}: only one may take writes. Find out which one the \
                     pool uses and take the other OFFLINE before anything else.",
                    online.join(" and ")
                ),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockWorld;
    use crate::observe::observe;

    fn status(change: impl FnOnce(&MockWorld)) -> Status {
        let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
        let world = MockWorld::new(topology.clone());
        world.ship("mgc", 1000, 1100);
        change(&world);
        let observation = block_on(observe(&topology, &world.ports(), "test", None));
        judge(&topology, &observation, world.now())
    }

    /// Carries the plan out that configures the world.
    fn configure(world: &MockWorld) {
        let topology = Topology::parse(crate::topology::EXAMPLE).unwrap();
        world.change_instance("sql-s1", |seen| {
            let Known::Known(databases) = &mut seen.databases else { return };
            databases.clear();
            let Known::Known(entries) = &mut seen.log_shipping_secondary else { return };
            entries.clear();
        });
        let ports = world.ports();
        block_on(async {
            let observation = observe(&topology, &ports, "test", None).await;
            let nothing = BTreeSet::new();
            let situation = Situation::new(&topology, &observation, &nothing, world.now());
            let plan = run::plan(Intent::Configure, &situation).unwrap();
            let owner = crate::ports::Owner { who: "test".into(), run: "r".into() };
            run::apply(&plan, &topology, &ports, &owner, &Quiet).await.unwrap();
        });
    }

    struct Quiet;

    impl run::Watcher for Quiet {
        fn started(&self, _: &crate::Step) {}
        fn progressed(&self, _: &crate::Step, _: f32, _: &str) {}
        fn ended(&self, _: &crate::Step, _: Result<(), &crate::InstanceError>) {}
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        loop {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
    }

    #[test]
    fn a_configured_topology_is_ready_and_says_what_is_at_risk() {
        let status = status(configure);
        assert_eq!(status.verdict, Verdict::Ready, "{:?}", status.findings);
        assert_eq!(status.at_risk[0].from_lsn.get(), 1100);
    }

    #[test]
    fn a_topology_that_is_not_configured_needs_attention_setting_by_setting() {
        let status = status(|_| {});
        assert_eq!(status.verdict, Verdict::Attention);
        let messages: Vec<&str> = status.findings.iter().map(|one| one.message.as_str()).collect();
        let expected = "Not as designed: sql-n1, mgc: mirroring session is none, designed is \
                        TCP://sql-n2.example.net:5022.";
        assert!(messages.contains(&expected), "{messages:#?}");
    }

    #[test]
    fn a_failed_job_and_a_late_backup_are_named() {
        let status = status(|world| {
            configure(world);
            let long_ago = Timestamp::from_unix_millis(world.now().unix_millis() - 61 * 60_000);
            world.change_instance("sql-n1", |seen| {
                let Known::Known(all) = &mut seen.log_shipping_primary else { return };
                let entry = all.get_mut(&"mgc".into()).unwrap();
                entry.last_backup_at = Some(long_ago);
                let Known::Known(job) = &mut entry.backup_job else { return };
                job.last_run_status = Some(0);
            });
        });
        let codes: Vec<&str> = status.findings.iter().map(|one| one.code).collect();
        assert_eq!(codes, ["job_failed", "backup_late"], "{:?}", status.findings);
        assert!(status.findings[1].message.contains("61 min ago"), "{:?}", status.findings);
    }

    #[test]
    fn a_gap_makes_it_not_ready_for_the_planners_own_reason() {
        let status = status(|world| world.ship("mgc", 1200, 1300));
        assert_eq!(status.verdict, Verdict::NotReady);
        assert_eq!(status.findings[0].code, "log_chain_gap");
    }

    #[test]
    fn two_online_copies_are_an_alarm() {
        let status = status(|world| {
            world.change_instance("sql-s1", |seen| {
                let Known::Known(databases) = &mut seen.databases else { return };
                databases.get_mut(&"mgc".into()).unwrap().state = DatabaseState::Online;
            });
        });
        assert_eq!(status.verdict, Verdict::Alarm);
        assert_eq!(status.findings[0].code, "two_writable_copies");
    }
}
