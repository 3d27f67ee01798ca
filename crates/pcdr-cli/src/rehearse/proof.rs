//! What a rehearsal proves: by what clients read over the wire, against what the stand-in's engine
//! knows of its own log.

use std::collections::BTreeSet;

use pcdr_core::effect::{has_pinged_since_recovery, is_mirrored_to};
use pcdr_core::journal::first_broken;
use pcdr_core::observation::{MirroringState, PoolState};
use pcdr_core::observe::observe;
use pcdr_core::topology::Role;
use pcdr_core::{DatabaseName, Known, Lsn, Observation, PlanContent};

use super::{Stage, Written, broken};
use crate::failure::Failure;
use crate::plan;
use crate::views::Proof;
use crate::workload;

/// The claims, and the records that were counted for them.
pub(super) struct Proofs {
    pub(super) claims: Vec<Proof>,
    pub(super) written: u64,
    pub(super) saved: u64,
    pub(super) lost: u64,
}

/// Chat records of one database by what the log says of them.
struct Records {
    /// Committed on the old primary.
    written: BTreeSet<u64>,
    /// Of those, at a log position that the plan said would be lost.
    doomed: BTreeSet<u64>,
    /// In the new primary.
    found: BTreeSet<u64>,
}

/// Looks at everything that the plan promised.
pub(super) async fn prove(
    stage: &Stage,
    plan: &PlanContent,
    written: &Written,
    shipped: &Written,
) -> Result<Proofs, Failure> {
    let topology = stage.topology();
    let mut proofs = Proofs { claims: Vec::new(), written: 0, saved: 0, lost: 0 };
    let seen = observe(topology, stage.ports(), &plan::who(), None).await;
    for database in topology.databases() {
        let records = records(stage, plan, database).await?;
        on_records(&mut proofs, database, &records, written, shipped);
        on_copies(&mut proofs, stage, &seen, database);
    }
    on_pool(&mut proofs, stage, &seen);
    on_journal(&mut proofs, stage).await?;
    for database in topology.databases() {
        on_writing(&mut proofs, stage, database).await?;
    }
    Ok(proofs)
}

impl Proofs {
    /// How many claims held.
    pub(super) fn summary(&self) -> String {
        let held = self.claims.iter().filter(|proof| proof.held).count();
        format!("{held} of {} claims held", self.claims.len())
    }

    pub(super) fn claim(&mut self, claim: impl Into<String>, held: bool, found: impl Into<String>) {
        self.claims.push(Proof { claim: claim.into(), held, found: found.into() });
    }
}

async fn records(
    stage: &Stage,
    plan: &PlanContent,
    database: &DatabaseName,
) -> Result<Records, Failure> {
    let topology = stage.topology();
    let old = &topology.primary().server_name;
    let rows = stage.stand_in.world.inspect(old, database.as_str(), "dbo", "tblChat");
    let rows = rows.ok_or_else(|| broken("the old primary's log", "it has no tblChat".into()))?;
    let loss = plan.predicted_losses.iter().find(|loss| loss.database == *database);
    let mut written = BTreeSet::new();
    let mut doomed = BTreeSet::new();
    for row in rows {
        let number =
            row.row.get(1).and_then(number).ok_or_else(|| {
                broken("the old primary's log", "a chat record has no number".into())
            })?;
        written.insert(number);
        let at = row.commit.map(|commit| commit.lsn.to_string().parse::<Lsn>());
        let at = match at {
            Some(Ok(at)) => at,
            _ => return Err(broken("the old primary's log", "a record has no position".into())),
        };
        if loss.is_some_and(|loss| at >= loss.from_lsn) {
            doomed.insert(number);
        }
    }
    let found = stage.workload.read(&topology.secondary().name, database).await?;
    Ok(Records { written, doomed, found })
}

pub(super) fn number(value: &pcdr_sim::value::Value) -> Option<u64> {
    match value {
        pcdr_sim::value::Value::BigInt(number) => u64::try_from(*number).ok(),
        pcdr_sim::value::Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn on_records(
    proofs: &mut Proofs,
    database: &DatabaseName,
    records: &Records,
    sent: &Written,
    shipped: &Written,
) {
    let Records { written, doomed, found } = records;
    let none = BTreeSet::new();
    let sent = sent.get(database).unwrap_or(&none);
    proofs.claim(
        format!("{database}: the old primary holds every record whose writing it acknowledged"),
        sent.is_subset(written),
        format!("{} acknowledged, {} held", sent.len(), written.len()),
    );
    // By what was written before the last log backup, not by what the plan says of itself: a plan
    // that restores too little would predict its own loss.
    let saved = shipped.get(database).unwrap_or(&none);
    let missing = saved.difference(found).count();
    let (which, how_many) = if saved == sent {
        ("every record that was acknowledged", "acknowledged")
    } else {
        ("every record that a shipped backup held", "shipped")
    };
    proofs.claim(
        format!("{database}: {which} is in the new primary"),
        missing == 0,
        format!("{} {how_many}, {missing} of them missing", saved.len()),
    );
    let lost: BTreeSet<u64> = written.difference(found).copied().collect();
    proofs.claim(
        format!("{database}: the records lost are exactly the predicted ones"),
        lost == *doomed,
        format!("{} predicted by log position, {} lost", doomed.len(), lost.len()),
    );
    let strangers = found.difference(written).count();
    proofs.claim(
        format!("{database}: the new primary holds no record that the old one did not"),
        strangers == 0,
        format!("{} records, {strangers} unknown", found.len()),
    );
    proofs.written += written.len() as u64;
    proofs.saved += found.len() as u64;
    proofs.lost += lost.len() as u64;
}

fn on_copies(proofs: &mut Proofs, stage: &Stage, seen: &Observation, database: &DatabaseName) {
    let topology = stage.topology();
    let secondary = topology.secondary();
    let writable = workload::writable(topology, seen, database);
    // An instance that does not answer is not thereby proved to be down: the engine is asked.
    let running = topology.instances().filter(|instance| {
        let name = &instance.server_name;
        seen.instance(&instance.name).known().is_none()
            && stage.stand_in.world.instance(name).is_some_and(|found| found.is_running())
    });
    let hidden: Vec<&str> = running.map(|instance| instance.name.as_str()).collect();
    let names: Vec<&str> = writable.iter().map(pcdr_core::InstanceName::as_str).collect();
    proofs.claim(
        format!("{database}: no second copy takes writes"),
        writable == [secondary.name.clone()] && hidden.is_empty(),
        format!(
            "writable on {}; instances that run unseen: {}",
            if names.is_empty() { "no instance".to_owned() } else { names.join(", ") },
            hidden.len()
        ),
    );
}

fn on_pool(proofs: &mut Proofs, stage: &Stage, seen: &Observation) {
    let topology = stage.topology();
    let (Some(pool), Some(shell)) = (topology.pool(), &stage.stand_in.shell) else { return };
    let state = seen.pool.as_ref().and_then(Known::known).and_then(|pool| pool.state.known());
    proofs.claim(
        "the pool state is FailedOver",
        state == Some(&PoolState::FailedOver),
        state.map_or("unknown".to_owned(), |state| format!("{state:?}")),
    );
    let wanted: BTreeSet<String> = pool
        .servers
        .iter()
        .filter(|server| server.is_active_after_failover)
        .map(|server| server.fqdn.as_str().to_lowercase())
        .collect();
    let active: BTreeSet<String> = shell.active_servers().into_iter().collect();
    proofs.claim(
        "the active servers are those of the topology, and no other",
        active == wanted,
        active.iter().cloned().collect::<Vec<_>>().join(", "),
    );
    let copy = seen.database(&topology.secondary().name, &pool.database);
    let copy = copy.known().copied().flatten();
    let files = seen.log_backups.get(&pool.database);
    let secondary = seen.instance(&topology.secondary().name);
    let pinging = pool
        .servers
        .iter()
        .filter(|server| server.is_active_after_failover)
        .filter(|server| match (secondary.known(), copy) {
            (Some(seen), Some(copy)) => has_pinged_since_recovery(seen, copy, files, &server.fqdn),
            _ => false,
        })
        .count();
    proofs.claim(
        "every active server writes to the new primary",
        pinging == wanted.len(),
        format!("{pinging} of {} have pinged it since", wanted.len()),
    );
    if let Some(mirror) = topology.role(Role::SecondaryMirror) {
        let session = copy.and_then(|copy| copy.mirroring.known()).and_then(Option::as_ref);
        let synchronized =
            session.is_some_and(|session| session.state == MirroringState::Synchronized);
        proofs.claim(
            format!("{} mirrors the new primary", mirror.name),
            synchronized && copy.is_some_and(|copy| is_mirrored_to(copy, mirror)),
            session.map_or("no mirroring session".to_owned(), |session| {
                format!("{:?} with {}", session.state, session.partner_address)
            }),
        );
    }
}

async fn on_journal(proofs: &mut Proofs, stage: &Stage) -> Result<(), Failure> {
    let entries = stage.ports().store.entries().await?;
    let broken = first_broken(&entries);
    proofs.claim(
        "the journal is whole",
        broken.is_none() && !entries.is_empty(),
        format!("{} sealed entries in {}", entries.len(), stage.state_folder().display()),
    );
    Ok(())
}

/// The new primary does what a primary is for.
async fn on_writing(
    proofs: &mut Proofs,
    stage: &Stage,
    database: &DatabaseName,
) -> Result<(), Failure> {
    let new = &stage.topology().secondary().name;
    let next = stage.workload.read(new, database).await?.last().map_or(1, |last| last + 1);
    let now = stage.ports().clock.now().unix_millis();
    stage.workload.write(new, database, next..next + 1, now).await?;
    let found = stage.workload.read(new, database).await?.contains(&next);
    proofs.claim(
        format!("{database}: the new primary takes writes"),
        found,
        format!("record {next} written and read back"),
    );
    Ok(())
}
