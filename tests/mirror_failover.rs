//! Mirror failover over the wire: the log goes on being shipped from the new principal, and the
//! secondary never learns of it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::collections::BTreeSet;
use std::time::Duration;

use pcdr_cli::plan;
use pcdr_cli::workload::{self, Reach};
use pcdr_core::observation::{Mirroring, MirroringRole, MirroringState, Observation};
use pcdr_core::plan::FailoverBy;
use pcdr_core::step::NewPrincipal;
use pcdr_core::{Consent, DatabaseName, Intent, Plan, Refusal};
use pcdr_tests::{STRETCHED, Stage, name, virtually, with_databases};

fn to(new_principal: NewPrincipal, by: FailoverBy) -> Intent {
    Intent::MirrorFailover { new_principal, by }
}

const MIRROR: Intent =
    Intent::MirrorFailover { new_principal: NewPrincipal::Mirror, by: FailoverBy::TSql };
const PRIMARY: Intent =
    Intent::MirrorFailover { new_principal: NewPrincipal::Primary, by: FailoverBy::TSql };

async fn planned(stage: &Stage, intent: Intent, consents: &[Consent]) -> Plan {
    match plan::make(intent, stage.topology(), stage.ports(), consents).await {
        Ok((plan, _)) => plan,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

async fn refused(stage: &Stage, intent: Intent, consents: &[Consent]) -> Refusal {
    let made = plan::make(intent, stage.topology(), stage.ports(), consents).await;
    match made {
        Ok((plan, _)) => panic!("not refused: {:?}", plan.steps),
        Err(pcdr_cli::failure::Failure::Refused(refusal)) => *refusal,
        Err(failure) => panic!("{}", failure.text(false)),
    }
}

/// Plans and applies; then there is nothing to do.
async fn carry_out(stage: &Stage, intent: Intent, consents: &[Consent]) -> Plan {
    let plan = planned(stage, intent, consents).await;
    assert!(!plan.steps.is_empty());
    stage.succeeds(&plan).await;
    let rest = planned(stage, intent, consents).await;
    assert!(rest.steps.is_empty(), "left over: {:?}", rest.steps);
    plan
}

fn session<'a>(seen: &'a Observation, instance: &str, database: &DatabaseName) -> &'a Mirroring {
    let copy = match seen.instances[&name(instance)].known().unwrap().databases.known() {
        Some(all) => &all[database],
        None => panic!("{instance} does not tell its databases"),
    };
    copy.mirroring.known().unwrap().as_ref().unwrap()
}

async fn assert_principal(stage: &Stage, principal: &str, mirror: &str) {
    let seen = stage.observe().await;
    for database in stage.topology().databases() {
        let writable = workload::writable(stage.topology(), &seen, database);
        assert_eq!(writable, [name(principal)], "{database}");
        for (instance, role) in
            [(principal, MirroringRole::Principal), (mirror, MirroringRole::Mirror)]
        {
            let session = session(&seen, instance, database);
            assert_eq!((session.role, session.state), (role, MirroringState::Synchronized));
        }
    }
}

/// Writes on an instance, ships from there, and finds the records in what the secondary restored.
async fn ship_from(stage: &mut Stage, principal: &str, count: u64) {
    for database in stage.topology().databases().to_vec() {
        let first = stage.written[&database].all + 1;
        let now = stage.ports().clock.now().unix_millis();
        let numbers = first..first + count;
        stage.workload.write(&name(principal), &database, numbers, now).await.unwrap();
        stage.written.get_mut(&database).unwrap().all += count;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let topology = stage.topology();
        workload::ship(topology, stage.ports(), &name(principal), &database, Reach::Restored)
            .await
            .unwrap();
        let all = stage.written[&database].all;
        stage.written.get_mut(&database).unwrap().shipped = all;
    }
}

/// What the secondary's entries and jobs are.
async fn secondary_entries(stage: &Stage) -> String {
    let seen = stage.observe().await;
    let secondary = seen.instances[&name("sql-s1")].known().unwrap();
    let mut entries = secondary.log_shipping_secondary.known().unwrap().clone();
    for entry in entries.values_mut() {
        entry.last_copied_file = None;
        entry.last_copied_at = None;
        entry.last_restored_latency_minutes = None;
        entry.last_restored_file = None;
        entry.last_restored_at = None;
    }
    let mut value = serde_json::to_value(&entries).unwrap();
    forget_runs(&mut value);
    value.to_string()
}

/// Jobs run meanwhile; that is not what is compared.
fn forget_runs(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            members.retain(|key, _| !["is_running"].contains(&key.as_str()));
            members.retain(|key, _| !key.starts_with("last_run"));
            members.values_mut().for_each(forget_runs);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(forget_runs),
        _ => {}
    }
}

#[test]
fn log_shipping_goes_on_from_the_new_principal_and_after_the_way_back() {
    virtually(async {
        let mut stage = Stage::working(&with_databases(&["orders"])).await;
        let before = secondary_entries(&stage).await;
        let plan = carry_out(&stage, MIRROR, &[]).await;
        assert_eq!(plan.steps.len(), 4, "two databases, side by side");
        assert_principal(&stage, "sql-n2", "sql-n1").await;
        ship_from(&mut stage, "sql-n2", 7).await;
        carry_out(&stage, PRIMARY, &[]).await;
        assert_principal(&stage, "sql-n1", "sql-n2").await;
        ship_from(&mut stage, "sql-n1", 5).await;
        assert_eq!(secondary_entries(&stage).await, before, "the secondary was touched");
        // Both principals' log backups make one chain: a disaster loses only what was not shipped.
        stage.write(2).await;
        stage.strike().await;
        let disaster = stage.planned().await;
        stage.succeeds(&disaster).await;
        stage.prove().await;
    });
}

#[test]
fn the_cmdlet_swaps_too_and_its_effect_is_read_from_the_instances() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        let plan = carry_out(&stage, to(NewPrincipal::Mirror, FailoverBy::Cmdlet), &[]).await;
        assert!(plan.steps[0].to_string().starts_with("chat.example.net: fail mgc over"));
        assert_principal(&stage, "sql-n2", "sql-n1").await;
        ship_from(&mut stage, "sql-n2", 3).await;
        carry_out(&stage, to(NewPrincipal::Primary, FailoverBy::Cmdlet), &[]).await;
        assert_principal(&stage, "sql-n1", "sql-n2").await;
        let said = stage.shell.said.lock().unwrap().clone();
        assert!(said.contains("Invoke-CsDatabaseFailover"), "the cmdlet was called");
    });
}

#[test]
fn a_mirror_that_is_away_is_refused_and_nothing_changes() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.lose_instance("sql-n2").await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
        let before = stage.snapshot().await;
        let refusal = refused(&stage, MIRROR, &[Consent::ForceService]).await;
        assert_eq!(refusal.code(), "instance_not_observed", "{refusal}");
        stage.unchanged_since(&before).await;
        stage.stand_in.return_instance("sql-n2").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        carry_out(&stage, MIRROR, &[]).await;
    });
}

#[test]
fn an_automatic_failover_is_where_the_plan_wants_to_go_and_the_way_back_works() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.lose_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let plan = planned(&stage, MIRROR, &[]).await;
        assert!(plan.steps.is_empty(), "{:?}", plan.steps);
        assert!(
            plan.notes.iter().any(|note| note.contains("without a mirror")),
            "{:?}",
            plan.notes
        );
        stage.stand_in.return_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        carry_out(&stage, PRIMARY, &[]).await;
        assert_principal(&stage, "sql-n1", "sql-n2").await;
    });
}

/// The topology without its witness: mirroring does not fail over by itself.
fn without_witness() -> String {
    let from = STRETCHED.find("[[instances]]\nname = \"sql-n3\"").unwrap();
    let to = STRETCHED[from + 5..].find("[[instances]]").unwrap() + from + 5;
    format!("{}{}", &STRETCHED[..from], &STRETCHED[to..])
}

#[test]
fn service_is_forced_only_by_consent_and_the_old_principal_never_serves_beside_the_new_one() {
    virtually(async {
        let mut stage = Stage::working(&without_witness()).await;
        let mgc = DatabaseName::from("mgc");
        stage.stand_in.lose_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = stage.snapshot().await;
        let refusal = refused(&stage, MIRROR, &[]).await;
        assert_eq!(refusal.code(), "principal_lost", "{refusal}");
        let (consent, price) = refusal.way_out().unwrap();
        assert_eq!(consent, Consent::ForceService);
        assert!(price.contains("from log position"), "{price}");
        stage.unchanged_since(&before).await;

        let plan = carry_out(&stage, MIRROR, &[Consent::ForceService]).await;
        assert_eq!(plan.predicted_losses.len(), 1);
        let seen = stage.observe().await;
        assert_eq!(session(&seen, "sql-n2", &mgc).state, MirroringState::Suspended);
        assert_eq!(workload::writable(stage.topology(), &seen, &mgc), [name("sql-n2")]);
        ship_from(&mut stage, "sql-n2", 4).await;
        let found = stage.workload.read(&name("sql-n2"), &mgc).await.unwrap();
        let all: BTreeSet<u64> = (1..=stage.written[&mgc].all).collect();
        assert_eq!(found, all, "the mirror was synchronized: nothing was lost");

        stage.stand_in.return_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let seen = stage.observe().await;
        assert_eq!(workload::writable(stage.topology(), &seen, &mgc), [name("sql-n2")]);
        let refusal = refused(&stage, PRIMARY, &[Consent::ForceService]).await;
        assert_eq!(refusal.code(), "mirror_not_synchronized", "{refusal}");
        let resume = "ALTER DATABASE [mgc] SET PARTNER RESUME;".to_owned();
        stage.workload.send(&name("sql-n2"), resume).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        carry_out(&stage, PRIMARY, &[]).await;
        assert_principal(&stage, "sql-n1", "sql-n2").await;
    });
}

#[test]
fn without_its_witness_a_mirror_is_not_forced_by_any_consent() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        for lost in ["sql-n3", "sql-n1"] {
            stage.stand_in.lose_instance(lost).await.unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        let before = stage.snapshot().await;
        let refusal = refused(&stage, MIRROR, &[Consent::ForceService]).await;
        assert_eq!(refusal.code(), "service_cannot_be_forced", "{refusal}");
        stage.unchanged_since(&before).await;
    });
}

#[test]
fn a_principal_that_only_pcdr_cannot_reach_is_not_taken_for_lost() {
    virtually(async {
        let stage = Stage::working(&without_witness()).await;
        stage.stand_in.cut("controller", "sql-n1", false).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let refusal = refused(&stage, MIRROR, &[Consent::ForceService]).await;
        assert_eq!(refusal.code(), "instance_not_observed", "{refusal}");
    });
}

#[test]
fn a_mirror_without_a_log_shipping_entry_is_refused_and_configure_is_named() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        for batch in [
            "EXEC master.dbo.sp_delete_log_shipping_primary_secondary @primary_database = N'mgc', \
             @secondary_server = N'sql-s1', @secondary_database = N'mgc';",
            "EXEC master.dbo.sp_delete_log_shipping_primary_database @database = N'mgc';",
        ] {
            stage.workload.send(&name("sql-n2"), batch.to_owned()).await.unwrap();
        }
        let refusal = refused(&stage, MIRROR, &[]).await;
        assert_eq!(refusal.code(), "log_shipping_would_stop", "{refusal}");
        assert!(refusal.remedy().contains("configure"));
        carry_out(&stage, Intent::Configure, &[]).await;
        carry_out(&stage, MIRROR, &[]).await;
    });
}
