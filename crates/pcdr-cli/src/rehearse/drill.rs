//! A rehearsed drill: cut off before it drops its copy, looked into, and done again, while nothing of
//! production changes.

use std::collections::{BTreeMap, BTreeSet};

use pcdr_core::drill::copy_name;
use pcdr_core::observation::DatabaseState;
use pcdr_core::observe::observe;
use pcdr_core::run::{self, RunError, Watcher};
use pcdr_core::step::{DatabaseAction, DrillAction};
use pcdr_core::{Action, DatabaseName, InstanceError, Intent, Known, PlanContent, Step};

use super::proof::{Proofs, number};
use super::{Rehearsal, Stage, Written, broken, failed, owner};
use crate::args::DrillPlace;
use crate::drill;
use crate::failure::Failure;
use crate::output;
use crate::plan;
use crate::text;
use crate::views::{DrillStatus, RehearseDocument};
use crate::workload::{self, Reach};
use crate::world;

/// Where a drill restores to when the topology names no folder.
const FOLDER: &str = "D:\\pcdr-drill";

impl Rehearsal<'_> {
    /// Everything after the log was shipped.
    pub(super) async fn drill(
        &self,
        stage: &Stage,
        written: &Written,
        shipped: &Written,
    ) -> Result<RehearseDocument, Failure> {
        let named = stage.topology().drill().is_none().then(|| FOLDER.to_owned());
        let topology = drill::placed(stage.topology(), &DrillPlace { on: None, directory: named });
        let place = topology.drill().ok_or_else(|| broken("a place", "there is none".into()))?;
        stage
            .stand_in
            .make_folder(&place.instance, &place.directory)
            .map_err(|error| broken("the folder of the drill", error.to_string()))?;
        let ports = stage.ports();

        let phase = self.phase("observe and plan");
        let (made, _) = plan::make(Intent::Drill, &topology, ports, &[]).await?;
        let document = plan::document(&topology, &made);
        world::write_file(&self.folder.join("plan.json"), &output::to_json(&document)?)?;
        phase.done(&format!("{} steps, verified", made.steps.len()))?;
        self.output.text(&format!("\n{}\n", text::plan(&made)))?;
        let before = production(stage).await;

        let phase = self.phase("drill, and cut it off");
        let cut = CutBeforeTheDrop { stage, instance: place.instance.to_string() };
        match run::apply(&made, &topology, ports, &owner(), &cut).await {
            Err(RunError::Step { action, .. }) if action.contains("drop ") => {}
            Err(error) => return Err(failed("drill", error)),
            Ok(_) => return Err(broken("the cut", "the drill went on to its end".into())),
        }
        let returned = stage.stand_in.return_instance(place.instance.as_str()).await;
        returned.map_err(|why| broken("the return", why))?;
        phase
            .done(&format!("{} is lost before the copy is dropped, and returns", place.instance))?;

        let mut proofs = Proofs { claims: Vec::new(), written: 0, saved: 0, lost: 0 };
        let first = &topology.databases()[0];
        on_records(&mut proofs, stage, &made, first, (written, shipped))?;

        let phase = self.phase("apply the same plan again");
        let applied = self.apply(stage, &made).await?;
        phase.done(&format!("{} steps, each read back", applied.steps.len()))?;

        let phase = self.phase("prove");
        let entries = ports.store.entries().await?;
        let drills = drill::last(&entries);
        on_result(&mut proofs, &topology, &made, &drills);
        on_place(&mut proofs, stage, &made).await?;
        proofs.claim(
            "production is as it was: databases, mirroring, jobs",
            production(stage).await == before,
            format!("{} facts compared", before.len()),
        );
        for database in topology.databases() {
            let primary = &topology.primary().name;
            let shipped =
                workload::ship(&topology, ports, primary, database, Reach::Restored).await;
            proofs.claim(
                format!("{database}: log shipping goes on after the drill"),
                shipped.is_ok(),
                shipped.err().map_or("one more log backup restored".to_owned(), |e| e.to_string()),
            );
        }
        phase.done(&proofs.summary())?;
        self.output.text(&format!("\n{}", drill::render(&drills)))?;

        let trials = made.drill.as_ref().map(|drill| drill.trials.as_slice()).unwrap_or_default();
        let saved_until = trials.iter().map(|trial| trial.saved_until).min();
        let planned_at = made.planned_at;
        Ok(RehearseDocument {
            proved: proofs.claims.iter().all(|proof| proof.held),
            scenario: self.arguments.scenario.as_str().to_owned(),
            seed: self.arguments.seed,
            time: self.time().to_owned(),
            plan: document.plan,
            steps: applied.steps,
            proofs: proofs.claims,
            records_written: proofs.written,
            records_saved: proofs.saved,
            records_lost: proofs.lost,
            rpo_seconds: saved_until.map_or(0.0, |saved| planned_at.since(saved).as_secs_f64()),
            rto_seconds: drills.iter().map(|drill| drill.recovery_seconds).sum(),
            run_seconds: applied.took.tokio.as_secs_f64(),
            own_seconds: applied.own.tokio.as_secs_f64(),
            own_computing_seconds: applied.own.wall.as_secs_f64(),
            wall_seconds: 0.0,
            kept: None,
        })
    }
}

/// What a drill must not change, as text: the state of every copy, its sessions of mirroring, and whether
/// its jobs are enabled.
async fn production(stage: &Stage) -> BTreeMap<String, String> {
    let seen = observe(stage.topology(), stage.ports(), &plan::who(), None).await;
    let mut facts = BTreeMap::new();
    for (name, instance) in &seen.instances {
        let Known::Known(instance) = instance else {
            facts.insert(name.to_string(), "does not answer".to_owned());
            continue;
        };
        for (database, copy) in instance.databases.known().into_iter().flatten() {
            let state = format!("{} {:?}", copy.state, copy.mirroring_role());
            facts.insert(format!("{database} on {name}"), state);
        }
        for (database, entry) in instance.log_shipping_primary.known().into_iter().flatten() {
            let job = entry.backup_job.known().map(|job| job.is_enabled);
            facts.insert(format!("backup job of {database} on {name}"), format!("{job:?}"));
        }
        for (database, entry) in instance.log_shipping_secondary.known().into_iter().flatten() {
            let jobs = [&entry.copy_job, &entry.restore_job];
            let jobs = jobs.map(|job| job.known().map(|job| job.is_enabled));
            facts.insert(format!("jobs of {database} on {name}"), format!("{jobs:?}"));
        }
    }
    facts
}

/// Loses the instance when the first copy is about to be dropped.
struct CutBeforeTheDrop<'a> {
    stage: &'a Stage,
    instance: String,
}

impl Watcher for CutBeforeTheDrop<'_> {
    fn started(&self, step: &Step) {
        let Action::Database(_, _, DatabaseAction::Drill(drill)) = &step.action else { return };
        let server = self.stage.stand_in.server_name(&self.instance);
        if let (DrillAction::Drop, Some(server)) = (&drill.action, server) {
            self.stage.stand_in.world.lose_instance(server);
        }
    }

    fn progressed(&self, _step: &Step, _percent: f32, _detail: &str) {}

    fn ended(&self, _step: &Step, _result: Result<(), &InstanceError>) {}
}

/// The copy that was cut off holds what was shipped, and nothing else.
fn on_records(
    proofs: &mut Proofs,
    stage: &Stage,
    made: &PlanContent,
    database: &DatabaseName,
    (written, shipped): (&Written, &Written),
) -> Result<(), Failure> {
    let instance = made.drill.as_ref().map(|drill| drill.place.instance.as_str());
    let server = instance.and_then(|instance| stage.stand_in.server_name(instance));
    let copy = copy_name(database);
    let rows = server
        .and_then(|server| stage.stand_in.world.inspect(server, copy.as_str(), "dbo", "tblChat"));
    let rows = rows.ok_or_else(|| broken("the drill's copy", "it has no tblChat".into()))?;
    let found: BTreeSet<u64> =
        rows.iter().filter_map(|row| row.row.get(1).and_then(number)).collect();
    let none = BTreeSet::new();
    let expected = shipped.get(database).unwrap_or(&none);
    let all = written.get(database).unwrap_or(&none);
    let count = |set: &BTreeSet<u64>| u64::try_from(set.len()).unwrap_or(u64::MAX);
    proofs.claim(
        format!("{database}: the drill's copy holds every record that was shipped, and no other"),
        found == *expected,
        format!("{} records, {} of them shipped", found.len(), expected.len()),
    );
    proofs.written += count(all);
    proofs.saved += count(&found);
    proofs.lost += count(all).saturating_sub(count(&found));
    Ok(())
}

/// What is on record is what was promised.
fn on_result(
    proofs: &mut Proofs,
    topology: &pcdr_core::Topology,
    made: &PlanContent,
    drills: &[DrillStatus],
) {
    let trials = made.drill.as_ref().map(|drill| drill.trials.as_slice()).unwrap_or_default();
    for database in topology.databases() {
        let mut own = drills.iter().filter(|drill| drill.database == database.as_str());
        let (found, failed) =
            (own.clone().find(|drill| drill.proven), own.any(|drill| !drill.proven));
        let promised = trials.iter().find(|trial| trial.database == *database);
        let as_promised = found.zip(promised).is_some_and(|(found, promised)| {
            found.up_to_lsn == promised.up_to_lsn.to_string() && found.is_complete == Some(true)
        });
        proofs.claim(
            format!("{database}: proven recoverable on record, up to the newest log backup"),
            as_promised && !failed,
            found.map_or("nothing is on record".to_owned(), |found| {
                format!("up to LSN {}", found.up_to_lsn)
            }),
        );
    }
}

/// Nothing is left of the copies.
async fn on_place(proofs: &mut Proofs, stage: &Stage, made: &PlanContent) -> Result<(), Failure> {
    let Some(place) = made.drill.as_ref().map(|drill| &drill.place) else { return Ok(()) };
    let port = stage.ports().instances.get(&place.instance);
    let port = port.ok_or_else(|| broken("the instance", "it has no port".into()))?;
    let names: Vec<DatabaseName> = stage.topology().databases().iter().map(copy_name).collect();
    let left = port.observe(&names).await?.databases;
    let left: Vec<DatabaseState> =
        left.known().into_iter().flatten().map(|(_, copy)| copy.state).collect();
    let server = stage.stand_in.server_name(place.instance.as_str()).unwrap_or_default();
    let folder = stage.stand_in.world.path(server, &place.directory);
    let files = folder.ok().and_then(|folder| std::fs::read_dir(folder).ok());
    let files = files.map(Iterator::count);
    proofs.claim(
        "no copy of the drill is left, and no file of one",
        left.is_empty() && files == Some(0),
        format!("{} databases, {files:?} files", left.len()),
    );
    Ok(())
}
