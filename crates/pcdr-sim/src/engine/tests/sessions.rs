//! Sessions, KILL, exclusive access, states.

use std::time::Duration;

use super::*;
use crate::engine::state::{Status, UserAccess};
use crate::tsql::ast::Termination;

#[tokio::test(start_paused = true)]
async fn a_login_that_names_an_unavailable_database_gets_4060_and_18456() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    backup(&mut host, BackupKind::Log, "t.trn", &[flag("NORECOVERY")]).await.unwrap();
    for database in ["mgc", "nothing"] {
        let failure = lab.instance("SQL1").open(&login(database)).await.unwrap_err();
        assert_eq!(numbers(&failure), [4060, 18456]);
    }
    let failure = host.use_database("mgc").unwrap_err();
    assert_eq!(numbers(&failure), [927]);
    let failure = host.use_database("nothing").unwrap_err();
    assert_eq!(numbers(&failure), [911]);
    let mut wrong = login("");
    wrong.password = "guess".to_owned();
    let failure = lab.instance("SQL1").open(&wrong).await.unwrap_err();
    assert_eq!(numbers(&failure), [18456]);
}

#[tokio::test(start_paused = true)]
async fn an_access_token_opens_a_session_of_its_login_and_any_other_is_refused() {
    let lab = Lab::new();
    let instance = lab.instance("SQL1");
    instance.accept_token("eyJ0.good", "SA");
    instance.accept_token("eyJ0.orphan", "nobody");
    let mut federated = login("");
    federated.user_name.clear();
    federated.password.clear();
    federated.access_token = Some("eyJ0.good".to_owned());
    assert_eq!(instance.open(&federated).await.unwrap().login, "sa");
    for token in ["eyJ0.orphan", "eyJ0.goo", ""] {
        federated.access_token = Some(token.to_owned());
        let failure = instance.open(&federated).await.unwrap_err();
        assert_eq!(numbers(&failure), [18456]);
        assert!(failure.cause().text.contains("<token-identified principal>"));
    }
}

#[tokio::test(start_paused = true)]
async fn kill_says_what_it_cannot_kill() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let own = i64::from(host.me.session_id);
    for (session_id, status_only, number, state) in [
        (own, false, 6104, 1),
        (12, false, 6107, 1),
        (4000, false, 6106, 2),
        (99_999, false, 6101, 1),
        (0, false, 6101, 1),
    ] {
        let failure = run(&mut host, Admin::Kill { session_id, status_only }).await.unwrap_err();
        assert_eq!((failure.cause().number, failure.cause().state), (number, state));
    }
    let other = lab.on("SQL1").await;
    let id = i64::from(other.me.session_id);
    let status = |session_id| Admin::Kill { session_id, status_only: true };
    fails(run(&mut host, status(id)).await, &[6120]);
    host.begin().unwrap();
    fails(run(&mut host, status(id)).await, &[6115]);
}

#[tokio::test(start_paused = true)]
async fn a_killed_session_loses_its_open_work() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let mut victim = lab.in_database("SQL1", "mgc").await;
    victim.begin().unwrap();
    add(&mut victim, 50);
    run(&mut host, Admin::Kill { session_id: i64::from(victim.me.session_id), status_only: false })
        .await
        .unwrap();
    assert!(victim.is_ended());
    assert!(victim.insert(&table(), vec![vec![Value::Int(51)]]).is_err());
    add(&mut host, 2);
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn single_user_evicts_others_and_keeps_them_out() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let other = lab.in_database("SQL1", "mgc").await;
    fails(set_with(&mut host, &["SINGLE_USER"], Some(Termination::NoWait)).await, &[5070, 5069]);
    let heard =
        set_with(&mut host, &["SINGLE_USER"], Some(Termination::RollbackImmediate)).await.unwrap();
    let told: Vec<(i32, u8)> = heard.messages.iter().map(|m| (m.number, m.state)).collect();
    assert_eq!(told, [(5060, 2), (5060, 1)]);
    assert!(other.is_ended());
    let mut third = lab.on("SQL1").await;
    assert_eq!(numbers(&third.use_database("mgc").unwrap_err()), [924]);
    fails(set(&mut third, &["MULTI_USER"]).await, &[5064, 5069]);
    // On one connection, from master: the safe order of a planned failover.
    backup(&mut host, BackupKind::Log, "t.trn", &[flag("NORECOVERY")]).await.unwrap();
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Restoring);
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    restore(&mut copy, BackupKind::Log, "t.trn", &[]).await.unwrap();
    assert_eq!(lab.database("SQL3", "mgc", |d| d.user_access), UserAccess::Single);
}

#[tokio::test(start_paused = true)]
async fn rollback_after_waits_its_seconds() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let other = lab.in_database("SQL1", "mgc").await;
    let began = lab.world.now();
    set_with(&mut host, &["OFFLINE"], Some(Termination::RollbackAfterSeconds(5))).await.unwrap();
    let waited = lab.world.now().duration_since(began).as_secs_f64();
    assert!((5.0..6.0).contains(&waited), "{waited}");
    assert!(other.is_ended());
    assert_eq!(numbers(&host.use_database("mgc").unwrap_err()), [942]);
    fails(backup(&mut host, BackupKind::Log, "t.trn", &[]).await, &[942, 3013]);
    set(&mut host, &["ONLINE"]).await.unwrap();
    host.use_database("mgc").unwrap();
}

#[tokio::test(start_paused = true)]
async fn single_user_without_termination_waits_until_the_others_leave() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let other = lab.in_database("SQL1", "mgc").await;
    let work = tokio::spawn(async move {
        set(&mut host, &["SINGLE_USER"]).await.unwrap();
        host
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!work.is_finished());
    drop(other);
    work.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_can_be_set_on_a_restoring_database() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    backup(&mut host, BackupKind::Log, "t.trn", &[flag("NORECOVERY")]).await.unwrap();
    for words in [&["OFFLINE"][..], &["RECOVERY", "SIMPLE"], &["MULTI_USER"]] {
        fails(set(&mut host, words).await, &[5052, 5069]);
    }
    run(&mut host, Admin::DropDatabase { names: vec!["mgc".to_owned()], if_exists: false })
        .await
        .unwrap();
    fails(set(&mut host, &["OFFLINE"]).await, &[5011, 5069]);
}

#[tokio::test(start_paused = true)]
async fn backup_inside_a_transaction_is_refused_and_the_transaction_lives() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    host.begin().unwrap();
    add(&mut host, 2);
    fails(backup(&mut host, BackupKind::Log, "t.trn", &[]).await, &[3021, 3013]);
    fails(set(&mut host, &["MULTI_USER"]).await, &[226]);
    host.commit().unwrap();
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_another_transaction_holds_is_not_changed() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let mut other = lab.on("SQL1").await;
    host.begin().unwrap();
    Host::change(&mut host, &table(), vec![(vec![Value::Int(1)], Some(vec![Value::Int(10)]))])
        .unwrap();
    let failure =
        Host::change(&mut other, &table(), vec![(vec![Value::Int(1)], None)]).unwrap_err();
    assert_eq!(numbers(&failure), [1222]);
    host.rollback();
    assert_eq!(Host::change(&mut other, &table(), vec![(vec![Value::Int(1)], None)]).unwrap(), 1);
    assert!(lab.ids("SQL1", "mgc").is_empty());
}
