//! Mirroring: set-up order, shipping, failover.

use std::time::Duration;

use super::*;
use crate::engine::mirroring_state::{Mirroring, MirroringRole, MirroringState};
use crate::engine::state::Status;

fn address(instance: &str) -> PartnerOption {
    PartnerOption::Address(format!("TCP://{}.example.test:5022", instance.to_lowercase()))
}

fn mirroring(lab: &Lab, instance: &str) -> Mirroring {
    lab.database(instance, "mgc", |d| d.mirroring.clone().expect("mirrored"))
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// `mgc` on SQL1, mirrored on SQL2.
pub(super) async fn mirrored(lab: &Lab) -> SessionHost {
    let mut host = lab.mgc().await;
    let mut mirror = lab.on("SQL2").await;
    run(&mut host, endpoint(5022, "PARTNER")).await.unwrap();
    run(&mut mirror, endpoint(5022, "PARTNER")).await.unwrap();
    backup(&mut host, BackupKind::Log, "m.trn", &[]).await.unwrap();
    full(&mut mirror, "full.bak").await.unwrap();
    log(&mut mirror, "m.trn").await.unwrap();
    partner(&mut mirror, address("SQL1")).await.unwrap();
    partner(&mut host, address("SQL2")).await.unwrap();
    assert_eq!(mirroring(lab, "SQL1").state, MirroringState::Synchronizing);
    settle().await;
    assert_eq!(mirroring(lab, "SQL1").state, MirroringState::Synchronized);
    assert_eq!(mirroring(lab, "SQL2").state, MirroringState::Synchronized);
    host
}

pub(super) async fn witness(lab: &Lab, host: &mut SessionHost) -> Result<Heard, SqlFailure> {
    let mut third = lab.on("WIT").await;
    run(&mut third, endpoint(7022, "WITNESS")).await.unwrap();
    run(
        host,
        Admin::AlterDatabase(AlterDatabase {
            database: "mgc".to_owned(),
            action: AlterDatabaseAction::Witness(Some("TCP://wit.example.test:7022".to_owned())),
        }),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn set_partner_names_each_thing_that_is_missing() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let mut mirror = lab.on("SQL2").await;
    fails(partner(&mut host, PartnerOption::Off).await, &[1416]);
    fails(partner(&mut host, address("SQL2")).await, &[1486]);
    run(&mut host, endpoint(5022, "PARTNER")).await.unwrap();
    fails(partner(&mut host, address("SQL2")).await, &[1418]);
    run(&mut mirror, endpoint(5022, "PARTNER")).await.unwrap();
    fails(partner(&mut host, address("SQL1")).await, &[1452]);
    fails(partner(&mut host, PartnerOption::Address("sql2".to_owned())).await, &[1449]);
    fails(partner(&mut host, address("SQL2")).await, &[1448]);
    restore(&mut mirror, BackupKind::Database, "full.bak", &[]).await.unwrap();
    fails(partner(&mut host, address("SQL2")).await, &[1464]);
    restore(&mut mirror, BackupKind::Database, "full.bak", &[flag("REPLACE"), flag("NORECOVERY")])
        .await
        .unwrap();
    // Principal before mirror.
    fails(partner(&mut host, address("SQL2")).await, &[1416]);
    partner(&mut mirror, address("SQL1")).await.unwrap();
    // The copy lacks the log since the full backup began.
    fails(partner(&mut host, address("SQL2")).await, &[1478]);
    partner(&mut mirror, PartnerOption::Off).await.unwrap();
    // A log backup that the mirror does not have.
    backup(&mut host, BackupKind::Log, "1.trn", &[]).await.unwrap();
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    partner(&mut mirror, address("SQL1")).await.unwrap();
    fails(partner(&mut host, address("SQL2")).await, &[1412]);
    partner(&mut mirror, PartnerOption::Off).await.unwrap();
    log(&mut mirror, "1.trn").await.unwrap();
    log(&mut mirror, "2.trn").await.unwrap();
    partner(&mut mirror, address("SQL1")).await.unwrap();
    set(&mut host, &["RECOVERY", "BULK_LOGGED"]).await.unwrap();
    fails(partner(&mut host, address("SQL2")).await, &[1465]);
    set(&mut host, &["RECOVERY", "FULL"]).await.unwrap();
    partner(&mut host, address("SQL2")).await.unwrap();
    fails(partner(&mut host, address("SQL2")).await, &[1405]);
}

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_on_the_mirror() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    add(&mut host, 2);
    assert_eq!(lab.ids("SQL2", "mgc"), [1, 2]);
    let mut mirror = lab.on("SQL2").await;
    assert_eq!(numbers(&mirror.use_database("mgc").unwrap_err()), [954]);
    fails(backup(&mut mirror, BackupKind::Log, "x.trn", &[]).await, &[3059, 3013]);
    fails(full(&mut mirror, "full.bak").await, &[3104, 3013]);
    fails(partner(&mut mirror, PartnerOption::Failover).await, &[1470]);
}

#[tokio::test(start_paused = true)]
async fn a_manual_failover_swaps_the_roles_and_keeps_the_log_chain() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    let reader = lab.in_database("SQL1", "mgc").await;
    partner(&mut host, PartnerOption::Failover).await.unwrap();
    assert!(reader.is_ended());
    assert_eq!(mirroring(&lab, "SQL2").role, MirroringRole::Principal);
    assert_eq!(mirroring(&lab, "SQL1").role, MirroringRole::Mirror);
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Restoring);
    let mut new = lab.on("SQL2").await;
    settle().await;
    add(&mut new, 3);
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2, 3]);
    backup(&mut new, BackupKind::Log, "3.trn", &[]).await.unwrap();
    let (before, after) = (lab.header(&share("2.trn")), lab.header(&share("3.trn")));
    assert_eq!(after.first_lsn, before.last_lsn);
    assert_eq!(after.first_fork, after.last_fork);
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    for file in ["m.trn", "2.trn", "3.trn"] {
        log(&mut copy, file).await.unwrap();
    }
    recover(&mut copy).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn mirror_and_witness_take_over_when_the_principal_is_lost() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    witness(&lab, &mut host).await.unwrap();
    add(&mut host, 2);
    lab.world.lose_instance("SQL1");
    settle().await;
    assert_eq!(mirroring(&lab, "SQL2").role, MirroringRole::Principal);
    assert_eq!(lab.database("SQL2", "mgc", |d| d.status), Status::Online);
    let mut new = lab.on("SQL2").await;
    add(&mut new, 3);
    lab.world.return_instance("SQL1");
    settle().await;
    assert_eq!(mirroring(&lab, "SQL1").role, MirroringRole::Mirror);
    assert_eq!(mirroring(&lab, "SQL1").state, MirroringState::Synchronized);
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn without_a_witness_the_mirror_waits_until_it_is_forced() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    add(&mut host, 2);
    let mut mirror = lab.on("SQL2").await;
    fails(partner(&mut mirror, PartnerOption::ForceService).await, &[1455]);
    lab.world.lose_instance("SQL1");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mirroring(&lab, "SQL2").role, MirroringRole::Mirror);
    assert_eq!(mirroring(&lab, "SQL2").state, MirroringState::Disconnected);
    partner(&mut mirror, PartnerOption::ForceService).await.unwrap();
    add(&mut mirror, 3);
    assert_eq!(mirroring(&lab, "SQL2").state, MirroringState::Suspended);
    lab.world.return_instance("SQL1");
    settle().await;
    assert_eq!(mirroring(&lab, "SQL1").role, MirroringRole::Mirror);
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Recovering);
    partner(&mut mirror, PartnerOption::Resume).await.unwrap();
    settle().await;
    assert_eq!(mirroring(&lab, "SQL2").state, MirroringState::Synchronized);
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_principal_goes_on_alone_while_the_witness_sees_it() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    witness(&lab, &mut host).await.unwrap();
    lab.world.lose_instance("SQL2");
    add(&mut host, 2);
    assert_eq!(mirroring(&lab, "SQL1").state, MirroringState::Disconnected);
    // The mirror is stale now: it may not take over.
    lab.world.lose_instance("SQL1");
    lab.world.return_instance("SQL2");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mirroring(&lab, "SQL2").role, MirroringRole::Mirror);
    lab.world.return_instance("SQL1");
    settle().await;
    assert_eq!(mirroring(&lab, "SQL1").role, MirroringRole::Principal);
    assert_eq!(lab.ids("SQL2", "mgc"), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_principal_without_quorum_does_not_serve() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    witness(&lab, &mut host).await.unwrap();
    lab.world.lose_instance("SQL2");
    lab.world.lose_instance("WIT");
    let failure = host.insert(&table(), vec![vec![Value::Int(9)]]).unwrap_err();
    assert_eq!(numbers(&failure), [955]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut host = lab.on("SQL1").await;
    assert_eq!(numbers(&host.use_database("mgc").unwrap_err()), [955]);
    lab.world.return_instance("WIT");
    settle().await;
    host.use_database("mgc").unwrap();
    assert_eq!(lab.ids("SQL1", "mgc"), [1]);
}

#[tokio::test(start_paused = true)]
async fn removing_mirroring_leaves_the_mirror_restoring() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    add(&mut host, 2);
    fails(partner(&mut host, PartnerOption::Timeout(40_000)).await, &[1476]);
    partner(&mut host, PartnerOption::Off).await.unwrap();
    assert_eq!(lab.database("SQL2", "mgc", |d| d.status), Status::Restoring);
    let mut mirror = lab.on("SQL2").await;
    // Log taken since then fits.
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "3.trn", &[]).await.unwrap();
    log(&mut mirror, "3.trn").await.unwrap();
    recover(&mut mirror).await.unwrap();
    assert_eq!(lab.ids("SQL2", "mgc"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn suspended_mirroring_catches_up_on_resume() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    partner(&mut host, PartnerOption::Suspend).await.unwrap();
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    assert_eq!(lab.ids("SQL2", "mgc"), [1]);
    fails(partner(&mut host, PartnerOption::Failover).await, &[1422]);
    partner(&mut host, PartnerOption::Resume).await.unwrap();
    settle().await;
    assert_eq!(lab.ids("SQL2", "mgc"), [1, 2]);
    assert_eq!(mirroring(&lab, "SQL1").state, MirroringState::Synchronized);
}

#[tokio::test(start_paused = true)]
async fn without_safety_a_commit_waits_for_nobody_and_only_force_fails_over() {
    let lab = Lab::new();
    let mut host = mirrored(&lab).await;
    partner(&mut host, PartnerOption::Safety(false)).await.unwrap();
    assert!(!mirroring(&lab, "SQL1").safety_full);
    assert!(!mirroring(&lab, "SQL2").safety_full);
    assert_eq!(mirroring(&lab, "SQL1").safety_sequence, 2);
    settle().await;
    // Never SYNCHRONIZED without safety: the principal does not know what the mirror has.
    assert_eq!(mirroring(&lab, "SQL1").state, MirroringState::Synchronizing);
    add(&mut host, 2);
    settle().await;
    assert_eq!(lab.ids("SQL2", "mgc"), [1, 2]);
    fails(partner(&mut host, PartnerOption::Failover).await, &[1477]);
    partner(&mut host, PartnerOption::Safety(true)).await.unwrap();
    settle().await;
    assert_eq!(mirroring(&lab, "SQL1").state, MirroringState::Synchronized);
    partner(&mut host, PartnerOption::Failover).await.unwrap();
}
