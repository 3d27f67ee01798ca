//! The procedural language and calls.

use super::{Server, first_error, rows};
use crate::front::{DoneKind, Reply, Request, Rpc, RpcParameter};
use crate::value::{Length, SqlType, Value};

#[test]
fn statements_need_no_separator() {
    assert_eq!(
        rows(
            "DECLARE @a int = 1, @b nvarchar(20) SET @a += 4 SELECT @b = N'x' IF @a = 5 SELECT @a, @b ELSE SELECT 0 WHILE @a < 7 BEGIN SET @a += 1 IF @a = 6 CONTINUE PRINT @a END SELECT 'end'"
        ),
        ["5|x", "#7", "end"]
    );
}

#[test]
fn an_error_in_a_try_block_goes_to_its_handler_and_the_batch_goes_on() {
    assert_eq!(
        rows("BEGIN TRY SELECT 1/0; SELECT 'not reached' END TRY
BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_SEVERITY(), ERROR_LINE(), ERROR_MESSAGE(), ERROR_PROCEDURE() END CATCH
SELECT ERROR_NUMBER(), 'after'"),
        ["8134|16|1|Divide by zero error encountered.|NULL", "NULL|after"]
    );
}

#[test]
fn a_missing_object_is_caught_only_from_a_deeper_level() {
    let mut server = Server::new();
    assert_eq!(
        server.text("BEGIN TRY SELECT * FROM nowhere END TRY BEGIN CATCH SELECT 'caught' END CATCH SELECT 'after'"),
        ["!208"]
    );
    assert_eq!(
        server.text("BEGIN TRY EXEC (N'SELECT * FROM nowhere') END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH SELECT 'after'"),
        ["208", "after"]
    );
    assert_eq!(
        server.text(
            "BEGIN TRY EXEC (N'SELECT FROM') END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH"
        ),
        ["156"]
    );
}

#[test]
fn an_uncaught_missing_object_ends_only_the_dynamic_batch() {
    assert_eq!(
        Server::new().text("EXEC (N'SELECT * FROM nowhere SELECT 1') SELECT 2"),
        ["!208", "2"]
    );
}

#[test]
fn throw_ends_the_batch_and_raiserror_does_not() {
    let mut server = Server::new();
    assert_eq!(
        server.text("RAISERROR('low %s %d%%', 10, 1, N'x', 5) WITH NOWAIT; RAISERROR(N'high', 16, 3); SELECT @@ERROR; THROW 50001, 'stop', 2; SELECT 'not reached'"),
        ["#low x 5%", "!50000", "50000", "!50001"]
    );
    assert_eq!(
        server.text("BEGIN TRY BACKUP DATABASE nosuch TO DISK = 'x' END TRY BEGIN CATCH SELECT ERROR_NUMBER(); THROW END CATCH"),
        ["3013", "!911", "!3013"]
    );
}

#[test]
fn errors_end_what_the_server_ends() {
    let mut server = Server::new();
    assert_eq!(server.text("SELECT 1/0; SELECT 2"), ["!8134", "2"]);
    assert_eq!(server.text("SELECT CAST('x' AS int); SELECT 2"), ["!245"]);
    assert_eq!(server.text("EXEC nosuch; SELECT 2"), ["!2812", "2"]);
    assert_eq!(server.text("SET XACT_ABORT ON; SELECT 1/0; SELECT 2"), ["!8134"]);
    assert_eq!(server.text("SELECT 1 SELECT FROM"), ["!156"]);
}

#[test]
fn transactions_are_counted() {
    let mut server = Server::new();
    assert_eq!(
        server.rows("BEGIN TRAN BEGIN TRANSACTION t SELECT @@TRANCOUNT COMMIT SELECT @@TRANCOUNT, XACT_STATE() ROLLBACK SELECT @@TRANCOUNT"),
        ["2", "1|1", "0"]
    );
    assert_eq!(server.text("COMMIT"), ["!3902"]);
    assert_eq!(server.text("ROLLBACK TRANSACTION"), ["!3903"]);
    let replies = server.replies("BEGIN TRAN COMMIT");
    assert!(replies.iter().any(|r| matches!(r, Reply::TransactionBegun(_))));
    assert!(replies.iter().any(|r| matches!(r, Reply::TransactionCommitted(_))));
}

#[test]
fn procedures_take_named_positional_and_output_arguments() {
    let mut server = Server::new();
    assert_eq!(
        server.rows("DECLARE @d int, @rc int EXEC @rc = sp_double 21, @d OUTPUT, @label = N'x' SELECT @rc, @d"),
        ["42|x", "7|42"]
    );
    assert_eq!(server.rows("sp_double 2"), ["4|none"]);
    assert_eq!(
        server.rows("EXEC msdb.dbo.sp_double @label = DEFAULT, @value = 3 SELECT 1"),
        ["6|none", "1"]
    );
    assert_eq!(server.rows("DECLARE @p sysname = 'dbo.sp_double' EXEC @p 4"), ["8|none"]);
    for (sql, number) in [
        ("EXEC sp_double", 201),
        ("EXEC sp_double 1, 2, 3, 4", 8144),
        ("EXEC sp_double @nothing = 1", 8145),
        ("EXEC sp_double @value = 1, 2", 119),
        ("EXEC sp_double 'abc'", 8114),
    ] {
        assert_eq!(first_error(sql).0, number, "{sql}");
    }
    let failure = server.errors("EXEC sp_fail").remove(0);
    assert_eq!((failure.number, failure.procedure.as_str()), (14262, "sp_fail"));
    assert_eq!(
        server
            .rows("BEGIN TRY EXEC sp_fail END TRY BEGIN CATCH SELECT ERROR_PROCEDURE() END CATCH"),
        ["sp_fail"]
    );
}

#[test]
fn dynamic_sql_sees_its_parameters_and_returns_its_outputs() {
    assert_eq!(
        rows(
            "DECLARE @n int EXEC sp_executesql N'SELECT @n = COUNT(*) FROM backupset WHERE database_name = @d', N'@d sysname, @n int OUTPUT', @d = N'mgc', @n = @n OUTPUT SELECT @n"
        ),
        ["3"]
    );
    assert_eq!(rows("DECLARE @s nvarchar(100) = N'SELECT 1' EXEC (@s + N' + 1')"), ["2"]);
    assert_eq!(first_error("EXEC sp_executesql 'SELECT 1'").0, 214);
    assert_eq!(first_error("EXEC sp_executesql N'SELECT @x', N'@x int'").0, 8178);
    assert_eq!(first_error("DECLARE @s nvarchar(max) = N'EXEC(@s)' EXEC sp_executesql N'EXEC sp_executesql @s, N''@s nvarchar(max)'', @s', N'@s nvarchar(max)', @s").0, 137);
}

#[test]
fn a_remote_call_ends_with_status_values_and_done() {
    let parameter =
        |name: &str, output, ty, value| RpcParameter { name: name.to_string(), output, ty, value };
    let text = SqlType::NVarChar(Length::Max);
    let replies = Server::new().request(Request::Rpc(Rpc {
        procedure: "sp_executesql".to_string(),
        parameters: vec![
            parameter("", false, text, Value::string("SELECT @p1; SET @p2 = 9")),
            parameter("", false, text, Value::string("@p1 int, @p2 int OUTPUT")),
            parameter("@p1", false, SqlType::Int, Value::Int(5)),
            parameter("@p2", true, SqlType::Int, Value::Null),
        ],
    }));
    let kinds: Vec<String> = replies
        .iter()
        .map(|reply| match reply {
            Reply::Columns(_) => "columns".to_string(),
            Reply::Row(row) => format!("row {}", super::show(row)),
            Reply::Done { kind, command, rows, .. } => format!("{kind:?} {command} {rows:?}"),
            Reply::ReturnStatus(n) => format!("status {n}"),
            Reply::ReturnValue { ordinal, value, .. } => format!("value {ordinal} {value:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "columns",
            "row 5",
            "InProcedure 193 Some(1)",
            "status 0",
            "value 3 Int(9)",
            "Procedure 224 None"
        ]
    );
}

#[test]
fn counts_are_left_out_under_nocount() {
    let replies = Server::new().replies("SET NOCOUNT ON; SELECT 1");
    assert!(replies.iter().any(|r| matches!(
        r,
        Reply::Done { kind: DoneKind::Statement, command: 193, rows: None, .. }
    )));
}

#[test]
fn insert_exec_keeps_the_rows_from_the_client() {
    assert_eq!(
        rows(
            "CREATE TABLE #t (d bigint, l varchar(20)) INSERT INTO #t EXEC sp_double 5 INSERT #t EXEC (N'SELECT 1, N''a'' UNION ALL SELECT 2, N''b''') SELECT @@ROWCOUNT SELECT * FROM #t ORDER BY d"
        ),
        ["2", "1|a", "2|b", "10|none"]
    );
    assert_eq!(first_error("CREATE TABLE #t (a int) INSERT #t EXEC sp_double 5").0, 213);
}

#[test]
fn waiting_is_done_in_the_servers_time() {
    let mut server = Server::new();
    server.rows("WAITFOR DELAY '00:00:01.500' DECLARE @d char(8) = '00:01:00' WAITFOR DELAY @d");
    assert_eq!(server.host.waited, std::time::Duration::from_millis(61_500));
    assert_eq!(first_error("WAITFOR DELAY 'soon'").0, 148);
}

#[test]
fn using_a_database_tells_the_client() {
    let replies = Server::new().replies("USE msdb");
    assert!(
        matches!(&replies[0], Reply::Database { new, old } if new == "msdb" && old == "master")
    );
    assert_eq!(first_error("USE nothere"), (911, 1));
    assert_eq!(rows("USE [mgc] SELECT DB_NAME()"), ["#Changed database context to 'mgc'.", "mgc"]);
}
