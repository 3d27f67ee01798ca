//! The ports keep their contracts: the suite that the core brings for every implementation.

use pcdr_core::conformance;
use pcdr_core::step::DatabaseAction;

use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of the ports.
pub const CHECKS: &[Check] = &[
    check!(every_instance_keeps_the_contract_of_database_roles, needs: [Folders], decides: []),
    check!(an_instance_without_an_entry_keeps_the_contract_of_log_shipping_jobs, needs: [LogShipping, Sysadmin], decides: []),
    check!(the_folders_keep_the_contract_of_backup_files, needs: [Folders], decides: []),
    check!(lock_and_journal_keep_their_contract, needs: [], decides: []),
];

async fn every_instance_keeps_the_contract_of_database_roles(servers: &Servers) {
    servers.create_database().await;
    let port = &*servers.ports.instances[&servers.topology.primary().name];
    let kept = conformance::database_instance(port, &servers.database).await;
    let kept = kept.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(kept >= 20, "{kept} claims");
}

async fn an_instance_without_an_entry_keeps_the_contract_of_log_shipping_jobs(servers: &Servers) {
    for name in ["primary", "secondary"] {
        let port = &*servers.ports.jobs[&name.into()];
        let kept = conformance::log_shipping_jobs(port, &servers.database).await;
        let kept = kept.unwrap_or_else(|broken| panic!("{name}: {broken}"));
        assert!(kept >= 20, "{kept} claims");
    }
}

async fn the_folders_keep_the_contract_of_backup_files(servers: &Servers) {
    servers.create_database().await;
    let path = servers.backup("full.bak");
    servers.act("primary", DatabaseAction::BackUpDatabase { path }).await;
    servers.write("primary", 1..3).await;
    servers.back_up_log("primary", "20260101000000").await;
    let kept = conformance::backup_files(&*servers.ports.files, &servers.database).await;
    let kept = kept.unwrap_or_else(|broken| panic!("{broken}"));
    assert!(kept >= 6, "{kept} claims");
}

async fn lock_and_journal_keep_their_contract(servers: &Servers) {
    let kept = conformance::run_store(&*servers.ports.store).await;
    assert!(kept.unwrap_or_else(|broken| panic!("{broken}")) >= 7);
}
