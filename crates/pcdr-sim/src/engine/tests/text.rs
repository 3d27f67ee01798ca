//! The engine driven by T-SQL, as a client does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::engine::client::{Session, run_batch};
use crate::engine::state::{Costs, Status};
use crate::front::{Front, FrontSession, Replies, Reply, Request};

/// Runs a batch; rows and the numbers of the errors.
pub(super) async fn batch(
    session: &mut Box<dyn FrontSession>,
    text: &str,
) -> (Vec<Vec<Value>>, Vec<i32>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let run =
        session.run(Request::Batch(text.to_owned()), Replies(sender), CancellationToken::new());
    let collect = async {
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        let mut last = None;
        while let Some(reply) = receiver.recv().await {
            match &reply {
                Reply::Row(row) => rows.push(row.clone()),
                Reply::Message(message) if message.is_error() => errors.push(message.number),
                _ => {}
            }
            last = Some(reply);
        }
        assert!(matches!(last, Some(Reply::Done { .. })), "the last reply is a Done: {last:?}");
        (rows, errors)
    };
    tokio::join!(run, collect).1
}

pub(super) async fn ok(session: &mut Box<dyn FrontSession>, text: &str) -> Vec<Vec<Value>> {
    let (rows, errors) = batch(session, text).await;
    assert_eq!(errors, [0_i32; 0], "{text}");
    rows
}

pub(super) async fn client(lab: &Lab, instance: &str) -> Box<dyn FrontSession> {
    lab.instance(instance).login(&login("")).await.unwrap()
}

pub(super) const SETUP: &str = r"
CREATE DATABASE mgc;
ALTER DATABASE mgc SET RECOVERY FULL;
CREATE TABLE mgc.dbo.t (id int NOT NULL, name nvarchar(40) NULL);
INSERT INTO mgc.dbo.t (id, name) VALUES (1, N'one'), (2, N'two');
BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\full.bak' WITH INIT, CHECKSUM;
";

#[tokio::test(start_paused = true)]
async fn a_planned_failover_by_hand_moves_every_row() {
    let lab = Lab::new();
    let mut primary = client(&lab, "SQL1").await;
    let mut secondary = client(&lab, "SQL3").await;
    ok(&mut primary, SETUP).await;
    ok(
        &mut secondary,
        r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH NORECOVERY;",
    )
    .await;
    ok(&mut primary, "UPDATE mgc.dbo.t SET name = N'three' WHERE id = 2;").await;
    ok(
        &mut primary,
        r"USE master;
          ALTER DATABASE mgc SET RESTRICTED_USER WITH ROLLBACK IMMEDIATE;
          BACKUP LOG mgc TO DISK = N'\\FS1\backup\tail.trn' WITH NORECOVERY;",
    )
    .await;
    assert_eq!(batch(&mut primary, "SELECT * FROM mgc.dbo.t").await.1, [927]);
    let header =
        ok(&mut secondary, r"RESTORE HEADERONLY FROM DISK = N'\\FS1\backup\tail.trn';").await;
    assert_eq!(header.len(), 1);
    ok(
        &mut secondary,
        r"RESTORE LOG mgc FROM DISK = N'\\FS1\backup\tail.trn' WITH NORECOVERY;
          RESTORE DATABASE mgc WITH RECOVERY;
          ALTER DATABASE mgc SET MULTI_USER;",
    )
    .await;
    let rows = ok(&mut secondary, "SELECT id, name FROM mgc.dbo.t ORDER BY id").await;
    assert_eq!(
        rows,
        [[Value::Int(1), Value::string("one")], [Value::Int(2), Value::string("three")]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_variable_names_the_file_and_an_error_is_caught() {
    let lab = Lab::new();
    let mut primary = client(&lab, "SQL1").await;
    ok(&mut primary, SETUP).await;
    let rows = ok(
        &mut primary,
        r"DECLARE @path nvarchar(260) = N'\\FS1\nothing\x.trn';
          BEGIN TRY BACKUP LOG mgc TO DISK = @path; SELECT 0; END TRY
          BEGIN CATCH SELECT ERROR_NUMBER(); END CATCH",
    )
    .await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0], [Value::Int(3013)]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_in_text_is_undone_by_rollback() {
    let lab = Lab::new();
    let mut primary = client(&lab, "SQL1").await;
    ok(&mut primary, SETUP).await;
    ok(&mut primary, "BEGIN TRAN; DELETE FROM mgc.dbo.t WHERE id = 1;").await;
    let (_, errors) = batch(&mut primary, r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\x.trn'").await;
    assert_eq!(errors, [3021, 3013]);
    ok(&mut primary, "ROLLBACK;").await;
    assert_eq!(ok(&mut primary, "SELECT COUNT(*) FROM mgc.dbo.t").await, [[Value::Int(2)]]);
}

#[tokio::test(start_paused = true)]
async fn an_attention_stops_a_restore() {
    let lab = Lab::new();
    let mut primary = client(&lab, "SQL1").await;
    ok(&mut primary, SETUP).await;
    lab.world.set_costs(Costs { restore_rate: 100_000, ..Costs::default() });
    let mut secondary = client(&lab, "SQL3").await;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let work = tokio::spawn(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
        let text = r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH NORECOVERY, STATS = 10";
        let run = secondary.run(Request::Batch(text.to_owned()), Replies(sender), stop);
        let drain = async { while receiver.recv().await.is_some() {} };
        tokio::join!(run, drain);
        secondary
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    cancel.cancel();
    let mut secondary = work.await.unwrap();
    assert_eq!(lab.database("SQL3", "mgc", |d| d.status), Status::Restoring);
    lab.world.set_costs(Costs::default());
    let (_, errors) = batch(&mut secondary, "RESTORE DATABASE mgc WITH RECOVERY").await;
    assert_eq!(errors, [4319, 3013]);
    ok(&mut secondary, r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH RECOVERY")
        .await;
}

#[tokio::test(start_paused = true)]
async fn mirroring_is_set_up_and_failed_over_in_text() {
    let lab = Lab::new();
    let mut principal = client(&lab, "SQL1").await;
    let mut mirror = client(&lab, "SQL2").await;
    ok(&mut principal, SETUP).await;
    for session in [&mut principal, &mut mirror] {
        ok(
            session,
            "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 5022)
             FOR DATABASE_MIRRORING (ROLE = PARTNER);",
        )
        .await;
    }
    ok(&mut principal, r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\1.trn'").await;
    ok(
        &mut mirror,
        r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH NORECOVERY;
          RESTORE LOG mgc FROM DISK = N'\\FS1\backup\1.trn' WITH NORECOVERY;
          ALTER DATABASE mgc SET PARTNER = N'TCP://sql1.example.test:5022';",
    )
    .await;
    ok(&mut principal, "ALTER DATABASE mgc SET PARTNER = N'TCP://sql2.example.test:5022';").await;
    ok(&mut principal, "WAITFOR DELAY '00:00:02'").await;
    ok(&mut principal, "ALTER DATABASE mgc SET PARTNER FAILOVER;").await;
    ok(&mut mirror, "INSERT INTO mgc.dbo.t VALUES (3, N'new')").await;
    assert_eq!(batch(&mut principal, "SELECT * FROM mgc.dbo.t").await.1, [954]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_session_is_as_after_its_login() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    ok(&mut session, "USE mgc; BEGIN TRAN; INSERT INTO t VALUES (9, N'x');").await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let reset = Request::Rpc(crate::front::Rpc {
        procedure: "sp_reset_connection".to_owned(),
        parameters: Vec::new(),
    });
    session.run(reset, Replies(sender), CancellationToken::new()).await;
    assert!(matches!(receiver.recv().await, Some(Reply::Done { error: false, .. })));
    assert_eq!(session.database(), "master");
    assert_eq!(ok(&mut session, "SELECT COUNT(*) FROM mgc.dbo.t").await, [[Value::Int(2)]]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_the_server_itself_reports_its_errors() {
    let lab = Lab::new();
    let host = lab.instance("SQL1").open_internal(&login("")).unwrap();
    let failure = run_batch(host, "BACKUP LOG nothing TO DISK = 'x'", CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(numbers(&failure), [911, 3013]);
    let host = lab.instance("SQL1").open_internal(&login("")).unwrap();
    let session = Session::new(host);
    assert!(session.session_id() > 50);
}
