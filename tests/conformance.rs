//! Every port of pcdr keeps its contract against the stand-ins, over the wire: the same suite that the
//! mock passes.
#![allow(clippy::unwrap_used, missing_docs)]

use pcdr_core::conformance;
use pcdr_core::{DatabaseName, InstanceName};
use pcdr_tests::{STRETCHED, Stage, virtually};

#[test]
fn every_port_keeps_its_contract_over_the_wire() {
    virtually(every_port());
}

async fn every_port() {
    let stage = Stage::working(STRETCHED).await;
    let ports = stage.ports();
    let mgc: DatabaseName = "mgc".into();
    let primary: InstanceName = "sql-n1".into();
    let elsewhere: InstanceName = "sql-s2".into();

    let instance = &*ports.instances[&primary];
    let kept = conformance::database_instance(instance, &mgc).await.unwrap();
    assert!(kept >= 20, "{kept} claims");
    let mirror = &*ports.instances[&InstanceName::from("sql-n2")];
    let kept = conformance::mirroring_partners(instance, mirror, &mgc).await.unwrap();
    assert!(kept >= 11, "{kept} claims");
    let jobs = &*ports.jobs[&elsewhere];
    let kept = conformance::log_shipping_jobs(jobs, &mgc).await.unwrap();
    assert!(kept >= 20, "{kept} claims");
    let kept = conformance::backup_files(&*ports.files, &mgc).await.unwrap();
    assert!(kept >= 6, "{kept} claims");
    let kept = conformance::pool_control(&**ports.pool.as_ref().unwrap()).await.unwrap();
    assert!(kept >= 9, "{kept} claims");
    let kept = conformance::run_store(&*ports.store).await.unwrap();
    assert!(kept >= 7, "{kept} claims");
}
