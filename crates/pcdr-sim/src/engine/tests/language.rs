//! What statements leave behind: savepoints, defaults, completion codes, the text of a request.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::text::{SETUP, batch, client, ok};
use super::*;
use crate::front::{FrontSession, Replies, Reply, Request};

/// The command code of every DONE that tells of an error.
async fn failed_commands(session: &mut Box<dyn FrontSession>, text: &str) -> Vec<u16> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let run =
        session.run(Request::Batch(text.to_owned()), Replies(sender), CancellationToken::new());
    let collect = async {
        let mut codes = Vec::new();
        while let Some(reply) = receiver.recv().await {
            if let Reply::Done { command, error: true, .. } = reply {
                codes.push(command);
            }
        }
        codes
    };
    tokio::join!(run, collect).1
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_with_the_code_of_its_statement() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    for (statement, code) in [
        (r"BACKUP DATABASE nothing TO DISK = N'\\FS1\backup\x.bak'", 228),
        (r"BACKUP LOG nothing TO DISK = N'\\FS1\backup\x.trn'", 235),
        (r"RESTORE DATABASE x FROM DISK = N'\\FS1\backup\none.bak'", 229),
        (r"RESTORE HEADERONLY FROM DISK = N'\\FS1\backup\none.bak'", 250),
        (r"RESTORE FILELISTONLY FROM DISK = N'\\FS1\backup\none.bak'", 376),
        (r"RESTORE VERIFYONLY FROM DISK = N'\\FS1\backup\none.bak'", 377),
        ("ALTER DATABASE mgc SET PARTNER FAILOVER", 215),
        ("ALTER DATABASE master SET SINGLE_USER", 253),
        ("CREATE DATABASE mgc", 203),
        ("DROP DATABASE nothing", 204),
        ("USE nothing", 253),
        ("SELECT 1 / 0", 193),
        ("INSERT INTO mgc.dbo.t (id) VALUES (NULL)", 195),
        ("UPDATE mgc.dbo.t SET id = NULL", 197),
        ("ROLLBACK", 210),
    ] {
        assert_eq!(failed_commands(&mut session, statement).await, [code], "{statement}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_undoes_what_came_after_it_and_nothing_else() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    ok(
        &mut session,
        "BEGIN TRAN outside;
         UPDATE mgc.dbo.t SET name = N'first' WHERE id = 1;
         SAVE TRAN here;
         UPDATE mgc.dbo.t SET name = N'second' WHERE id = 1;
         DELETE FROM mgc.dbo.t WHERE id = 2;
         INSERT INTO mgc.dbo.t (id, name) VALUES (3, N'new');
         CREATE TABLE mgc.dbo.made (id int);
         DROP TABLE mgc.dbo.t;
         ROLLBACK TRAN here;
         INSERT INTO mgc.dbo.t (id, name) VALUES (4, N'four');",
    )
    .await;
    assert_eq!(ok(&mut session, "SELECT @@TRANCOUNT").await, [[Value::Int(1)]]);
    assert_eq!(batch(&mut session, "ROLLBACK TRAN nowhere").await.1, [6401]);
    ok(&mut session, "COMMIT").await;
    let rows = ok(&mut session, "SELECT id, name FROM mgc.dbo.t ORDER BY id").await;
    assert_eq!(
        rows,
        [
            [Value::Int(1), Value::string("first")],
            [Value::Int(2), Value::string("two")],
            [Value::Int(4), Value::string("four")],
        ]
    );
    assert_eq!(batch(&mut session, "SELECT id FROM mgc.dbo.made").await.1, [208]);
    assert_eq!(batch(&mut session, "SAVE TRAN x").await.1, [628]);
    ok(&mut session, "BEGIN TRAN outside; DELETE FROM mgc.dbo.t; ROLLBACK TRAN outside;").await;
    assert_eq!(ok(&mut session, "SELECT @@TRANCOUNT").await, [[Value::Int(0)]]);
    assert_eq!(ok(&mut session, "SELECT COUNT(*) FROM mgc.dbo.t").await, [[Value::Int(3)]]);
}

#[tokio::test(start_paused = true)]
async fn what_a_savepoint_undid_is_not_in_the_copy_that_a_log_backup_makes() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    ok(
        &mut session,
        r"BEGIN TRAN; SAVE TRAN s;
          INSERT INTO mgc.dbo.t (id) VALUES (3); UPDATE mgc.dbo.t SET id = 20 WHERE id = 2;
          ROLLBACK TRAN s; INSERT INTO mgc.dbo.t (id) VALUES (4); COMMIT;
          BACKUP LOG mgc TO DISK = N'\\FS1\backup\l.trn'",
    )
    .await;
    let mut other = client(&lab, "SQL3").await;
    ok(
        &mut other,
        r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH NORECOVERY;
          RESTORE LOG mgc FROM DISK = N'\\FS1\backup\l.trn' WITH RECOVERY",
    )
    .await;
    let rows = ok(&mut other, "SELECT id FROM mgc.dbo.t ORDER BY id").await;
    assert_eq!(rows, [[Value::Int(1)], [Value::Int(2)], [Value::Int(4)]]);
}

#[tokio::test(start_paused = true)]
async fn a_column_left_out_or_set_to_default_gets_its_default_here_and_in_a_restored_copy() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(
        &mut session,
        r"CREATE DATABASE mgc;
          CREATE TABLE mgc.dbo.d (id int IDENTITY(10, 5), n int NOT NULL DEFAULT 3 + (4),
              s nvarchar(20) CONSTRAINT df DEFAULT (N'it''s'), [at] datetime DEFAULT GETDATE(), x int NULL);
          INSERT INTO mgc.dbo.d (x) VALUES (1); INSERT INTO mgc.dbo.d DEFAULT VALUES;
          UPDATE mgc.dbo.d SET n = 0, s = N'other';
          UPDATE mgc.dbo.d SET n = DEFAULT, s = DEFAULT, x = DEFAULT WHERE id = 10;
          BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\d.bak'",
    )
    .await;
    let expected = [
        vec![Value::Int(10), Value::Int(7), Value::string("it's"), Value::Null],
        vec![Value::Int(15), Value::Int(0), Value::string("other"), Value::Null],
    ];
    let query = "SELECT id, n, s, x FROM mgc.dbo.d WHERE [at] IS NOT NULL ORDER BY id";
    assert_eq!(ok(&mut session, query).await, expected);
    let mut other = client(&lab, "SQL3").await;
    ok(
        &mut other,
        r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\d.bak'; INSERT INTO mgc.dbo.d (x) VALUES (9)",
    )
    .await;
    let rows = ok(&mut other, "SELECT id, n, s FROM mgc.dbo.d WHERE x = 9").await;
    assert_eq!(rows, [[Value::Int(20), Value::Int(7), Value::string("it's")]]);
}

#[tokio::test(start_paused = true)]
async fn another_session_reads_the_text_of_a_request_that_runs() {
    let lab = Lab::new();
    let mut one = client(&lab, "SQL1").await;
    let mut two = client(&lab, "SQL1").await;
    let text = "/* who */ WAITFOR DELAY '00:01:00' SELECT 1";
    let id = one.session_id();
    let waits = tokio::spawn(async move { ok(&mut one, text).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let query = format!(
        "SELECT t.text FROM sys.dm_exec_requests AS r \
         CROSS APPLY sys.dm_exec_sql_text(r.sql_handle) AS t WHERE r.session_id = {id}"
    );
    assert_eq!(ok(&mut two, &query).await, [[Value::string(text)]]);
    waits.await.unwrap();
    assert_eq!(ok(&mut two, &query).await, [[Value::Null; 0]; 0]);
}
