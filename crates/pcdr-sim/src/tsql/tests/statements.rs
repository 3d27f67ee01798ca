//! Rows, administrative statements, syntax errors, and input that means nothing.

use super::{Server, first_error, one, rows};
use crate::front::Reply;
use crate::tsql::ast::{
    Admin, AlterDatabaseAction, BackupKind, BackupOption, PartnerOption, Termination,
};

fn admin(sql: &str) -> Admin {
    let mut server = Server::new();
    server.rows(sql);
    server.host.admin.remove(0)
}

#[test]
fn tables_keep_what_is_put_into_them() {
    assert_eq!(
        rows("CREATE TABLE #t (id int IDENTITY(10,5) PRIMARY KEY, name nvarchar(10) NOT NULL, n int DEFAULT 7)
INSERT #t (name) VALUES (N'a'), ('b')
INSERT INTO #t (name, n) SELECT 'c', 3
UPDATE t SET n += 1, name = UPPER(name) FROM #t AS t WHERE t.n = 7
DELETE TOP (1) FROM #t WHERE n = 3
SELECT *, SCOPE_IDENTITY() FROM #t"),
        ["10|A|8|20", "15|B|8|20"]
    );
    assert_eq!(
        rows(
            "DECLARE @t TABLE (a int) INSERT @t VALUES (1), (2) DELETE @t WHERE a = 1 SELECT a FROM @t TRUNCATE TABLE backupmediafamily SELECT COUNT(*) FROM backupmediafamily"
        ),
        ["2", "0"]
    );
    assert_eq!(
        rows(
            "SELECT database_name, MAX(last_lsn) l INTO #x FROM backupset GROUP BY database_name SELECT COUNT(*) FROM #x DROP TABLE IF EXISTS #x, #y"
        ),
        ["2"]
    );
    assert_eq!(first_error("CREATE TABLE #t (a int NOT NULL) INSERT #t VALUES (NULL)").0, 515);
    assert_eq!(first_error("DROP TABLE #nothing").0, 3701);
    assert_eq!(
        rows(
            "CREATE TABLE #t (a int) INSERT #t OUTPUT inserted.a VALUES (4) UPDATE #t SET a = 5 OUTPUT deleted.a, inserted.a"
        ),
        ["4", "4|5"]
    );
    assert_eq!(
        rows(
            "CREATE TABLE dbo.u (a int) INSERT dbo.u VALUES (1) UPDATE dbo.u SET a = a + 1 WHERE a = 1 SELECT a FROM u"
        ),
        ["2"]
    );
}

#[test]
fn temporary_tables_of_dynamic_sql_go_with_it() {
    let mut server = Server::new();
    server.rows("EXEC (N'CREATE TABLE #d (a int)') CREATE TABLE #d (a int)");
    assert_eq!(server.rows("SELECT COUNT(*) FROM #d"), ["0"]);
}

#[test]
fn a_temporary_table_is_found_by_its_object_id() {
    assert_eq!(
        rows(
            "IF OBJECT_ID('tempdb..#t') IS NOT NULL DROP TABLE #t CREATE TABLE #t (a int) IF OBJECT_ID(N'tempdb..#t') IS NULL SELECT 'no' IF NOT EXISTS (SELECT * FROM #t) SELECT 'empty'"
        ),
        ["empty"]
    );
}

#[test]
fn a_restore_arrives_with_its_names_unquoted() {
    let Admin::Restore(restore) =
        admin("RESTORE LOG [a]]b] FROM DISK = N'o''brien.trn' WITH NORECOVERY, STATS = 5")
    else {
        panic!("no restore");
    };
    assert_eq!(restore.kind, BackupKind::Log);
    assert_eq!(restore.database, "a]b");
    assert_eq!(restore.devices, ["o'brien.trn".to_owned().into()]);
    assert_eq!(
        restore.options,
        [
            BackupOption::Flag("NORECOVERY".into()),
            BackupOption::Setting("STATS".into(), "5".into())
        ]
    );
}

#[test]
fn variables_in_a_backup_are_its_names_and_paths() {
    let Admin::Backup(backup) = admin(
        "DECLARE @db sysname = N'mgc', @p nvarchar(260) = N'\\\\share\\x' SET @p += N'.trn' BACKUP LOG @db TO DISK = @p, DISK = 'b' WITH NORECOVERY, INIT",
    ) else {
        panic!("no backup");
    };
    assert_eq!(backup.database, "mgc");
    assert_eq!(backup.devices, ["\\\\share\\x.trn", "b"].map(|name| name.to_owned().into()));
}

#[test]
fn an_unknown_option_stops_the_batch_before_it_begins() {
    let mut server = Server::new();
    assert_eq!(server.text("SELECT 1 BACKUP DATABASE mgc TO DISK = 'x' WITH NOSUCH"), ["!155"]);
    assert!(server.host.admin.is_empty());
    assert_eq!(first_error("BACKUP DATABASE mgc TO DISK = 'x' WITH NORECOVERY").0, 155);
}

#[test]
fn every_message_of_a_backup_has_its_done() {
    let replies = Server::new().replies("BACKUP DATABASE mgc TO DISK = 'x'");
    let shape: Vec<&str> = replies
        .iter()
        .map(|r| match r {
            Reply::Message(_) => "info",
            Reply::Done { command: 228, .. } => "done",
            _ => "other",
        })
        .collect();
    assert_eq!(shape, ["info", "done", "info", "done"]);
}

#[test]
fn alter_database_is_understood() {
    let Admin::AlterDatabase(alter) = admin(
        "ALTER DATABASE [mgc] SET SINGLE_USER, RECOVERY FULL WITH ROLLBACK IMMEDIATE SELECT 1",
    ) else {
        panic!("no alter");
    };
    assert_eq!(
        alter.action,
        AlterDatabaseAction::Set {
            options: vec![vec!["SINGLE_USER".into()], vec!["RECOVERY".into(), "FULL".into()]],
            termination: Some(Termination::RollbackImmediate)
        }
    );
    for (sql, expected) in [
        ("FAILOVER", PartnerOption::Failover),
        ("= N'TCP://a:5022'", PartnerOption::Address("TCP://a:5022".into())),
        ("SAFETY OFF", PartnerOption::Safety(false)),
        ("TIMEOUT 20", PartnerOption::Timeout(20)),
    ] {
        let Admin::AlterDatabase(alter) = admin(&format!("ALTER DATABASE mgc SET PARTNER {sql}"))
        else {
            panic!("no alter");
        };
        assert_eq!(alter.action, AlterDatabaseAction::Partner(expected));
    }
}

#[test]
fn the_other_administrative_statements_parse() {
    for sql in [
        "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 5022, LISTENER_IP = ALL) FOR DATABASE_MIRRORING (AUTHENTICATION = WINDOWS NEGOTIATE, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL)",
        "ALTER ENDPOINT Mirroring STATE = STOPPED",
        "CREATE LOGIN [D\\sql$] FROM WINDOWS",
        "CREATE LOGIN pcdr WITH PASSWORD = N'p''w', SID = 0x0102, DEFAULT_DATABASE = [msdb], CHECK_POLICY = OFF",
        "CREATE USER pcdr FOR LOGIN pcdr",
        "ALTER ROLE db_datareader ADD MEMBER pcdr",
        "ALTER SERVER ROLE sysadmin DROP MEMBER pcdr",
        "GRANT CONNECT ON ENDPOINT::Mirroring TO [D\\sql$]",
        "GRANT VIEW SERVER STATE, ALTER ANY CONNECTION TO pcdr",
        "KILL 55",
        "CHECKPOINT",
        "DBCC CHECKDB (N'mgc') WITH NO_INFOMSGS, PHYSICAL_ONLY",
        "RECONFIGURE WITH OVERRIDE",
        "CREATE DATABASE [x y] ON (NAME = a, FILENAME = 'c:\\a.mdf', SIZE = 10MB) LOG ON (NAME = b, FILENAME = 'c:\\b.ldf')",
        "DROP DATABASE IF EXISTS a, b",
        "RESTORE HEADERONLY FROM DISK = N'x' WITH NOUNLOAD",
        "RESTORE DATABASE mgc FROM DISK = 'a', DISK = 'b' WITH REPLACE, MOVE 'd' TO 'e', FILE = 2, STANDBY = N'u.tuf'",
        "RESTORE DATABASE mgc WITH RECOVERY",
    ] {
        let mut server = Server::new();
        assert_eq!(server.rows(&format!("{sql} PRINT 'x'")), ["#x"], "{sql}");
        assert_eq!(server.host.admin.len(), 1, "{sql}");
    }
}

#[test]
fn hostile_names_stay_names() {
    assert_eq!(
        one("SELECT '/* not */ -- a comment' AS [a]]; DROP DATABASE x --] /* but /* this */ is */"),
        "/* not */ -- a comment"
    );
    assert_eq!(
        one("SELECT N'o''brien', 'a''''b', \"n\" FROM (SELECT 1 AS n) [']"),
        "o'brien|a''b|1"
    );
}

#[test]
fn syntax_errors_name_token_and_line() {
    assert_eq!(first_error("SELECT 1\nSELECT FROM x"), (156, 2));
    assert_eq!(first_error("SELECT 1\n\nBLAH BLAH"), (102, 3));
    assert_eq!(first_error("SELECT (1"), (102, 1));
    assert_eq!(first_error("\nSELECT 'abc"), (105, 2));
    assert_eq!(first_error("BEGIN SELECT 1"), (102, 1));
    assert_eq!(first_error("SELECT 1 a KILL x"), (102, 1));
    assert_eq!(first_error("SELECT 1=1"), (102, 1));
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(first_error(&deep).0, 191);
    let chain = format!("SELECT 1{}", " + 1".repeat(5000));
    assert_eq!(first_error(&chain).0, 191);
}

#[test]
fn the_deepest_input_that_is_accepted_fits_on_the_stack() {
    let chain = format!("SELECT 1{}", " + 1".repeat(290));
    assert_eq!(one(&chain), "291");
    let union = format!("SELECT 1{}", " UNION SELECT 1".repeat(90));
    assert_eq!(one(&union), "1");
}

#[test]
fn nesting_that_is_accepted_fits_on_the_stack() {
    let deep = format!("SELECT {}1{}", "ABS(".repeat(30), ")".repeat(30));
    assert_eq!(one(&deep), "1");
    let nested = format!("SELECT {}1{}", "(SELECT ".repeat(10), ")".repeat(10));
    assert_eq!(one(&nested), "1");
}

#[test]
fn blocks_that_are_accepted_fit_on_the_stack() {
    let blocks = format!("{}SELECT 1{}", "BEGIN ".repeat(30), " END".repeat(30));
    assert_eq!(one(&blocks), "1");
}

#[test]
fn dynamic_sql_that_calls_itself_ends_at_the_limit() {
    let call = "DECLARE @s nvarchar(max) = N'EXEC sp_executesql @s, N''@s nvarchar(max)'', @s = @s' EXEC sp_executesql @s, N'@s nvarchar(max)', @s = @s";
    assert_eq!(first_error(call).0, 217);
}

#[test]
fn no_soup_of_tokens_makes_the_server_panic() {
    const WORDS: &[&str] = &[
        "SELECT",
        "FROM",
        "backupset",
        "WHERE",
        "(",
        ")",
        ",",
        "*",
        "1",
        "'x'",
        "N'y'",
        "=",
        "<",
        "+",
        "-",
        "/",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "BEGIN",
        "TRY",
        "CATCH",
        "IF",
        "WHILE",
        "BREAK",
        "AND",
        "OR",
        "NOT",
        "IN",
        "EXISTS",
        "NULL",
        "IS",
        "LIKE",
        "BETWEEN",
        "@a",
        "@@ROWCOUNT",
        "DECLARE",
        "int",
        "SET",
        "EXEC",
        "sp_double",
        "GROUP",
        "BY",
        "ORDER",
        "HAVING",
        "COUNT",
        "MAX",
        "OVER",
        "ROW_NUMBER",
        "JOIN",
        "ON",
        "LEFT",
        "CROSS",
        "APPLY",
        "UNION",
        "ALL",
        "WITH",
        "AS",
        "x",
        "b.type",
        "INSERT",
        "INTO",
        "#t",
        "VALUES",
        "UPDATE",
        "DELETE",
        "TOP",
        "CAST",
        "CONVERT",
        "varchar",
        "THROW",
        "RAISERROR",
        "BACKUP",
        "DATABASE",
        "RESTORE",
        "LOG",
        "DISK",
        "TO",
        "ALTER",
        "KILL",
        ";",
        "0x1f",
        "1.5",
        "1e5",
        "GETDATE",
        "DATEADD",
        "day",
        "[q]",
        "TABLE",
        "CREATE",
        "RETURN",
        "SUBSTRING",
        "LEN",
        "99999999999",
        ".",
        "%",
        "&",
        "FOR",
        "JSON",
        "PATH",
        "XML",
    ];
    let mut state = 0x5eed_u64;
    let seed = state;
    let mut next = |n: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for round in 0..6000 {
        let length = 1 + next(24);
        let mut words: Vec<&str> = (0..length).map(|_| WORDS[next(WORDS.len())]).collect();
        if round % 2 == 0 {
            words.insert(0, "SELECT");
        }
        // Loops that never end are not this test's subject.
        if words.contains(&"WHILE") {
            continue;
        }
        let sql = words.join(" ");
        let result = std::panic::catch_unwind(|| Server::new().replies(&sql));
        assert!(result.is_ok(), "seed {seed:#x}, round {round}: {sql}");
    }
}
