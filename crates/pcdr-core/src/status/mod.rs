//! Would a failover work now, and what would it lose?
//!
//! The answer comes from the planner itself: the primary site is taken out of the observation, as a
//! disaster would, and the plan that remains, or its refusal, is the verdict. Where no log backup was read,
//! as when many instances are looked at in one round trip each, the history in `msdb` has to do.

mod alert;
mod findings;
mod lag;
mod protection;
mod risk;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Serialize;

pub use alert::{Alert, AlertState};
pub use lag::{Lag, Trend};
pub use protection::{
    Change, JobRun, JobStatus, LastFile, LastFiles, Protection, ProtectionKind, RunOutcome,
};
pub use risk::AtRisk;

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
    /// What the verdict on failover rests on.
    pub proof: Proof,
    /// Every protection of every database, in the order of the topology.
    pub protections: Vec<Protection>,
    /// Every copy of every database.
    pub copies: Vec<CopyStatus>,
    /// The pool state; `None` without a pool.
    pub pool_state: Option<Known<PoolState>>,
    /// What a disaster failover would lose now, by database; without those whose failover would be
    /// refused, and empty when no log backup was read.
    pub at_risk: Vec<PredictedLoss>,
    /// Why a disaster failover would be refused now.
    pub refusal: Option<Refusal>,
    /// What needs attention, most urgent first.
    pub findings: Vec<Finding>,
}

/// How things stand; a later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A failover would work, and nothing needs attention.
    Ready,
    /// A failover would work, but something needs attention.
    Attention,
    /// Whether a failover would work is not known.
    Unknown,
    /// A failover would be refused.
    NotReady,
    /// Two copies take writes, or the like: act now.
    Alarm,
}

impl Verdict {
    /// Every verdict, from good to bad.
    pub const ALL: [Verdict; 5] =
        [Verdict::Ready, Verdict::Attention, Verdict::Unknown, Verdict::NotReady, Verdict::Alarm];

    /// As programs read it: `ready`, `attention`, `unknown`, `not_ready`, `alarm`.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ready => "ready",
            Verdict::Attention => "attention",
            Verdict::Unknown => "unknown",
            Verdict::NotReady => "not_ready",
            Verdict::Alarm => "alarm",
        }
    }
}

/// What a verdict on failover rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The planner made the plan, from the headers of the log backups that are there.
    Plan,
    /// The history in `msdb` has an unbroken chain of log backups; whether their files are there was not
    /// looked at.
    History,
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
    /// Whether it takes writes: ONLINE, neither STANDBY nor READ_ONLY.
    pub is_writable: bool,
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
    /// The database that it is about; `None`: all of them.
    pub database: Option<DatabaseName>,
    /// The instance that it is about; `None`: all of them.
    pub instance: Option<InstanceName>,
    /// Which protection it is about.
    pub about: About,
}

/// Which protections a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// All of them.
    Everything,
    /// Mirroring.
    Mirroring,
    /// Log shipping.
    LogShipping,
}

impl Finding {
    /// A finding about everything; [`Finding::of`], [`Finding::on`] and [`Finding::about`] narrow it.
    fn new(verdict: Verdict, code: &'static str, message: impl Into<String>) -> Finding {
        Finding {
            verdict,
            code,
            message: message.into(),
            database: None,
            instance: None,
            about: About::Everything,
        }
    }

    fn of(mut self, database: &DatabaseName) -> Finding {
        self.database = Some(database.clone());
        self
    }

    fn on(mut self, instance: &InstanceName) -> Finding {
        self.instance = Some(instance.clone());
        self
    }

    fn about(mut self, about: About) -> Finding {
        self.about = about;
        self
    }
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
/// let shipping = status.protections.iter().find(|one| one.to.as_str() == "sql-s1").unwrap();
/// assert_eq!(shipping.verdict, Verdict::NotReady);
/// ```
pub fn judge(topology: &Topology, observation: &Observation, now: Timestamp) -> Status {
    let mut findings = Vec::new();
    let copies = findings::copies(topology, observation, &mut findings);
    findings::two_writable_copies(&copies, &mut findings);
    findings::jobs(topology, observation, &mut findings);
    findings::lateness(topology, observation, now, &mut findings);
    let pool_state = observation.pool.as_ref().map(|pool| match pool {
        Known::Known(pool) => pool.state.clone(),
        Known::Unknown(reason) => Known::Unknown(reason.clone()),
    });
    let is_failed_over = matches!(&pool_state, Some(Known::Known(PoolState::FailedOver)));
    // Without the files there is nothing to plan from.
    let proof = if observation.log_backups.is_empty() { Proof::History } else { Proof::Plan };
    let mut failover = Failover::default();
    if is_failed_over {
        let message = "The pool is failed over: there is no copy in the other site until it is failed \
                       back.";
        findings.push(Finding::new(Verdict::Attention, "failed_over", message));
    } else {
        // After a failover nothing is as designed, and a failback makes it so again.
        findings.extend(drift(topology, observation).into_iter().map(findings::of_drift));
        match proof {
            Proof::Plan => failover = would_fail_over(topology, observation, now),
            Proof::History => risk::chains_on_record(topology, observation, &mut findings),
        }
    }
    findings.append(&mut failover.findings);
    let mut protections =
        protection::all(topology, observation, &failover.losses, now, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
    for protection in &mut protections {
        protection.conclude(&findings);
    }
    let verdict = findings.first().map_or(Verdict::Ready, |finding| finding.verdict);
    Status {
        observed_at: observation.taken_at,
        verdict,
        proof,
        protections,
        copies,
        pool_state,
        at_risk: failover.losses,
        refusal: failover.refusal,
        findings,
    }
}

impl Status {
    /// Notes in each protection what has changed since an earlier status of the same topology.
    pub fn compare_with(&mut self, earlier: &Status) {
        for protection in &mut self.protections {
            let before = earlier.protections.iter().find(|before| before.is_same(protection));
            protection.change = before.map(|before| protection.since(before, earlier.observed_at));
        }
    }
}

/// What the planner says if the primary site is lost now.
#[derive(Default)]
struct Failover {
    losses: Vec<PredictedLoss>,
    /// The first refusal.
    refusal: Option<Refusal>,
    findings: Vec<Finding>,
}

fn would_fail_over(topology: &Topology, observation: &Observation, now: Timestamp) -> Failover {
    let mut lost = observation.clone();
    let primary_site = &topology.primary().site;
    for instance in topology.instances().filter(|instance| instance.site == *primary_site) {
        let gone = Known::unknown("unreachable", "taken out to see what a failover would do");
        lost.instances.insert(instance.name.clone(), gone);
    }
    let mut consents = BTreeSet::from([Consent::PrimarySiteLost]);
    // A share that stands in the lost site is lost with it: what was copied is what there is.
    if topology.backup_share().site == *primary_site {
        for files in lost.log_backups.values_mut() {
            files.share =
                Known::unknown("site_lost", "the backup share stands in the primary's site");
        }
        consents.insert(Consent::BackupShareLost);
    }
    let whole = match plan_without_primary(topology, &lost, &consents, now) {
        Ok(losses) => return Failover { losses, ..Failover::default() },
        Err(refusal) => refusal,
    };
    let mut failover = Failover { refusal: Some(whole.clone()), ..Failover::default() };
    let refused = |refusal: &Refusal| {
        let message = format!("A failover would be refused: {refusal}. {}", refusal.remedy());
        Finding::new(Verdict::NotReady, refusal.code(), message)
            .on(&topology.secondary().name)
            .about(About::LogShipping)
    };
    if topology.databases().len() == 1 {
        let finding = refused(&whole).of(&topology.databases()[0]);
        failover.findings.push(finding);
        return failover;
    }
    // One database is enough for a refusal of all: which of them is it?
    let mut of_all = true;
    let mut findings = Vec::new();
    for database in topology.databases() {
        let (one, seen) = (topology.only(database), lost.only(topology, database));
        match plan_without_primary(&one, &seen, &consents, now) {
            Ok(mut losses) => {
                of_all = false;
                failover.losses.append(&mut losses);
            }
            Err(refusal) => {
                of_all &= refusal == whole;
                findings.push(refused(&refusal).of(database));
            }
        }
    }
    failover.findings = if of_all { vec![refused(&whole)] } else { findings };
    if failover.findings.is_empty() {
        failover.findings.push(refused(&whole)); // only together they cannot
    }
    failover
}

fn plan_without_primary(
    topology: &Topology,
    lost: &Observation,
    consents: &BTreeSet<Consent>,
    now: Timestamp,
) -> Result<Vec<PredictedLoss>, Refusal> {
    let situation = Situation::new(topology, lost, consents, now);
    run::plan(Intent::DisasterFailover, &situation).map(|plan| plan.predicted_losses.clone())
}
