//! The way back, after a rehearsed disaster: the site returns with a primary that takes writes, it is
//! fenced, the primary site takes over again while clients write, and everything is protected as before.

use std::collections::BTreeSet;

use pcdr_core::observation::PoolState;
use pcdr_core::observe::observe;
use pcdr_core::run;
use pcdr_core::{Consent, DatabaseName, Intent, Known, Observation};

use super::proof::Proofs;
use super::{Rehearsal, Stage, Written, broken, failed, owner};
use crate::failure::Failure;
use crate::plan;
use crate::watch::Watch;
use crate::workload::{self, Workload};

/// Records that somebody writes to the old primary before anybody looks.
const STALE_RECORDS: u64 = 3;

impl Rehearsal<'_> {
    /// Everything after the failover.
    pub(super) async fn and_back(&self, stage: &Stage, proofs: &mut Proofs) -> Result<(), Failure> {
        let topology = stage.topology();
        let (old, new) = (&topology.primary().name, &topology.secondary().name);

        let phase = self.phase("the site returns");
        let site = topology.primary().site.to_string();
        stage.stand_in.return_site(&site).await.map_err(|why| broken("the return", why))?;
        // Connections from before the disaster are dead.
        let clients = stage.clients(self)?;
        let mut kept = Written::new();
        // Numbers that neither copy has used: what was lost is still on the old primary.
        let mut unused = 0;
        for database in topology.databases() {
            let next = clients.read(old, database).await?.last().map_or(1, |last| last + 1);
            let now = stage.ports().clock.now().unix_millis();
            clients.write(old, database, next..next + STALE_RECORDS, now).await?;
            unused = unused.max(next + STALE_RECORDS);
            kept.insert(database.clone(), clients.read(new, database).await?);
        }
        let seen = observe(topology, stage.ports(), &plan::who(), None).await;
        let both =
            |database: &DatabaseName| workload::writable(topology, &seen, database).len() == 2;
        proofs.claim(
            "the old primary came back and took writes beside the new one",
            topology.databases().iter().all(both),
            format!("{STALE_RECORDS} records written to each of its databases"),
        );
        phase.done("with databases that take writes beside those that serve")?;

        let phase = self.phase("fence");
        let steps = self.carry_out(stage, Intent::Fence).await?;
        let seen = observe(topology, stage.ports(), &plan::who(), None).await;
        for database in topology.databases() {
            let writable = workload::writable(topology, &seen, database);
            proofs.claim(
                format!("{database}: after the fence, only the new primary takes writes"),
                writable == [new.clone()],
                format!("{} copies take writes", writable.len()),
            );
        }
        phase.done(&format!("{steps} steps, each read back"))?;

        let phase = self.phase("fail back");
        for (database, records) in &mut kept {
            let now = stage.ports().clock.now().unix_millis();
            let numbers = unused..unused + 5;
            clients.write(new, database, numbers.clone(), now).await?;
            records.extend(numbers);
        }
        let steps = self.carry_out(stage, Intent::Failback).await?;
        phase.done(&format!("{steps} steps, each read back"))?;

        let phase = self.phase("configure again");
        let steps = self.carry_out(stage, Intent::Configure).await?;
        phase.done(&format!("{steps} steps, each read back"))?;

        let seen = observe(topology, stage.ports(), &plan::who(), None).await;
        for (database, records) in &kept {
            let found = stage.clients(self)?.read(old, database).await?;
            on_records(proofs, database, records, &found);
            let writable = workload::writable(topology, &seen, database);
            proofs.claim(
                format!("{database}: the primary serves again, and no second copy takes writes"),
                writable == [old.clone()],
                format!("{} copies take writes", writable.len()),
            );
        }
        on_pool(proofs, stage, &seen);
        let again = plan::make(Intent::PlannedFailover, topology, stage.ports(), &[]).await;
        proofs.claim(
            "everything is protected again: the next failover would lose nothing",
            again.as_ref().is_ok_and(|(plan, _)| !plan.steps.is_empty()),
            match &again {
                Ok((plan, _)) => format!("a planned failover has {} steps", plan.steps.len()),
                Err(failure) => failure.text(false),
            },
        );
        Ok(())
    }

    /// Plans, applies, and finds nothing left to do; gives the number of steps.
    async fn carry_out(&self, stage: &Stage, intent: Intent) -> Result<usize, Failure> {
        // Without a pool nothing tells the planner which site serves; whoever rehearses knows.
        let consents: &[Consent] = match (intent, stage.topology().pool()) {
            (Intent::Fence, None) => &[Consent::SecondaryServes],
            _ => &[],
        };
        let (topology, ports) = (stage.topology(), stage.ports());
        let (plan, _) = plan::make(intent, topology, ports, consents).await?;
        let watch = Watch::new(std::sync::Arc::clone(&ports.clock), true);
        let applied = run::apply(&plan, topology, ports, &owner(), &watch).await;
        let report = applied.map_err(|error| failed(intent.as_str(), error))?;
        let (rest, _) = plan::make(intent, topology, ports, consents).await?;
        if !rest.steps.is_empty() {
            let why = format!("{} steps are left over", rest.steps.len());
            return Err(broken(intent.as_str(), why));
        }
        Ok(report.steps.len())
    }
}

impl Stage {
    /// Clients with connections of their own.
    fn clients(&self, rehearsal: &Rehearsal<'_>) -> Result<Workload, Failure> {
        let trace = crate::connect::trace(rehearsal.global)?;
        Ok(Workload::new(self.topology(), &self.dialer, trace.as_ref())?)
    }
}

fn on_records(
    proofs: &mut Proofs,
    database: &DatabaseName,
    expected: &BTreeSet<u64>,
    found: &BTreeSet<u64>,
) {
    let missing = expected.difference(found).count();
    let strangers = found.difference(expected).count();
    proofs.claim(
        format!("{database}: the primary has every record that the failover saved or the new primary took"),
        missing == 0,
        format!("{} records, {missing} of them missing", expected.len()),
    );
    proofs.claim(
        format!("{database}: and none of those that the old primary took on its own"),
        strangers == 0,
        format!("{strangers} unknown"),
    );
}

fn on_pool(proofs: &mut Proofs, stage: &Stage, seen: &Observation) {
    let (Some(pool), Some(shell)) = (stage.topology().pool(), &stage.stand_in.shell) else {
        return;
    };
    let state = seen.pool.as_ref().and_then(Known::known).and_then(|pool| pool.state.known());
    let active: BTreeSet<String> = shell.active_servers().into_iter().collect();
    let wanted = pool.servers.iter().filter(|server| server.is_active);
    let wanted: BTreeSet<String> =
        wanted.map(|server| server.fqdn.as_str().to_lowercase()).collect();
    proofs.claim(
        "the pool is Normal, and its active servers are those of the topology",
        state == Some(&PoolState::Normal) && active == wanted,
        format!("{state:?}, {} active servers", active.len()),
    );
}
