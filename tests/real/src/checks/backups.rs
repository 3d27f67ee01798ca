//! What headers and positions say after backups and restores.

use std::sync::atomic::{AtomicBool, Ordering};

use pcdr_core::backup::BackupKind;
use pcdr_core::observation::DatabaseState;
use pcdr_core::ports::Progress;
use pcdr_core::step::{DatabaseAction, LogEnd, LogRange};
use pcdr_core::{ErrorCode, Lsn};
use pcdr_sql::statement::database;

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of backups and restores.
pub const CHECKS: &[Check] = &[
    check!(a_log_backup_starts_where_the_one_before_ended, needs: [Folders], decides: ["A1"]),
    check!(a_copy_stands_where_its_newest_log_backup_ends, needs: [Folders], decides: ["A2"]),
    check!(the_data_file_that_is_furthest_behind_tells_the_position, needs: [Folders], decides: ["A3"]),
    check!(a_standby_copy_tells_its_position_by_history, needs: [Folders], decides: ["A4"]),
    check!(a_waiting_copy_tells_family_and_fork, needs: [Folders], decides: ["A5"]),
    check!(restoring_the_newest_log_backup_again_changes_nothing, needs: [Folders], decides: ["A6"]),
    check!(the_history_of_a_recovered_copy_still_ends_with_its_last_log_backup, needs: [Folders], decides: ["A7"]),
    check!(a_log_backup_that_ended_before_a_full_backup_does_not_follow_it, needs: [Folders], decides: ["A8"]),
    check!(times_in_a_header_are_those_of_the_server_that_reads_it, needs: [Folders], decides: ["A9"]),
    check!(a_stopped_restore_can_be_made_again, needs: [Folders], decides: ["A10"]),
    check!(everything_committed_before_a_log_backup_began_is_in_it, needs: [Folders], decides: ["A37"]),
    check!(
        a_backup_that_was_cut_off_at_its_start_is_told_by_its_error_and_written_again,
        needs: [Folders],
        decides: ["A43"],
        carries_out: &[
            "database::back_up_database_again", "database::back_up_log_again", "database::restore_next_log",
        ]
    ),
];

async fn full(servers: &Servers) -> String {
    let path = servers.backup("full.bak");
    servers.act("primary", DatabaseAction::BackUpDatabase { path: path.clone() }).await;
    path
}

async fn last_log_backup_lsn(servers: &Servers) -> Option<Lsn> {
    let query = format!(
        "SELECT r.last_log_backup_lsn FROM sys.database_recovery_status AS r \
         JOIN sys.databases AS d ON d.database_id = r.database_id WHERE d.name = {};",
        servers.literal()
    );
    servers.row("primary", &query).await.optional("last_log_backup_lsn").unwrap()
}

async fn a_log_backup_starts_where_the_one_before_ended(servers: &Servers) {
    servers.create_database().await;
    let full = servers.header("primary", &full(servers).await).await;
    assert_eq!(full.kind, BackupKind::Full);
    let mut ends: Option<Lsn> = None;
    for number in 0..4 {
        if number != 2 {
            servers.write("primary", number * 10..number * 10 + 3).await; // the third holds nothing new
        }
        let path = servers.back_up_log("primary", &number.to_string()).await;
        let header = servers.header("secondary", &path).await;
        assert_eq!(header.kind, BackupKind::Log);
        assert_eq!(header.family, full.family);
        assert_eq!((header.first_fork, header.fork_point_lsn), (header.last_fork, None));
        assert!(header.first_lsn <= header.last_lsn);
        match ends {
            Some(ends) => assert_eq!(header.first_lsn, ends, "log backup {number}"),
            None => assert!(header.first_lsn <= full.last_lsn && full.last_lsn <= header.last_lsn),
        }
        assert_eq!(last_log_backup_lsn(servers).await, Some(header.last_lsn));
        ends = Some(header.last_lsn);
    }
}

async fn a_copy_stands_where_its_newest_log_backup_ends(servers: &Servers) {
    servers.initialise("secondary").await;
    for number in 1..4 {
        servers.write("primary", number * 10..number * 10 + 2).await;
        let path = servers.back_up_log("primary", &number.to_string()).await;
        let header = servers.header("secondary", &path).await;
        servers.restore_log("secondary", &path).await;
        let copy = servers.copy("secondary").await;
        let position = copy.log_position.known().copied().unwrap();
        assert_eq!(copy.state, DatabaseState::Restoring);
        assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
        assert_eq!(position.last_restored_lsn, Some(header.last_lsn));
        assert_eq!(position.fork, header.last_fork);
    }
    let primary = servers.copy("primary").await.log_position.known().copied().unwrap();
    assert_eq!(primary.redo_start_lsn, None, "a database that is ONLINE waits for nothing");
}

async fn the_data_file_that_is_furthest_behind_tells_the_position(servers: &Servers) {
    let literal = servers.literal();
    let folder = servers.facts["primary"].data_path.clone().expect("the folder of new databases");
    let file = |name: &str| {
        let name = format!("{}_{name}", servers.scratch);
        let (logical, path) = (pcdr_sql::quote::name(&name), quoted(&format!("{folder}{name}")));
        format!("(NAME = {}, FILENAME = {path})", logical.unwrap())
    };
    let files =
        format!(" ON PRIMARY {}, {} LOG ON {}", file("1.mdf"), file("2.ndf"), file("log.ldf"));
    servers.create_database_with(&files).await;
    let full = full(servers).await;
    servers.write("primary", 1..3).await;
    let log = servers.back_up_log("primary", "1").await;
    servers.seed("secondary", &full, &log).await;
    let positions = format!(
        "SELECT f.file_id, f.redo_start_lsn, f.redo_start_fork_guid FROM sys.master_files AS f \
         JOIN sys.databases AS d ON d.database_id = f.database_id \
         WHERE d.name = {literal} AND f.type = 0 AND f.redo_start_lsn IS NOT NULL ORDER BY f.redo_start_lsn;"
    );
    let rows = servers.rows("secondary", &positions).await;
    assert_eq!(rows.len(), 2, "every data file tells a position");
    let least: Lsn = rows[0].get("redo_start_lsn").unwrap();
    let told = servers.copy("secondary").await.log_position.known().unwrap().redo_start_lsn;
    assert_eq!(told, Some(least), "the file that is furthest behind decides");
}

async fn a_standby_copy_tells_its_position_by_history(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..12).await;
    let path = servers.back_up_log("primary", "1").await;
    let header = servers.header("secondary", &path).await;
    let (log, undo) = (quoted(&path), quoted(&servers.backup("undo.tuf")));
    let restore =
        format!("RESTORE LOG {} FROM DISK = {log} WITH STANDBY = {undo};", servers.identifier());
    servers.sql("secondary", &restore).await;
    let copy = servers.copy("secondary").await;
    assert!(copy.is_in_standby && copy.state == DatabaseState::Online && !copy.is_writable());
    let position = copy.log_position.known().copied().unwrap();
    assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
    assert_eq!(position.fork, header.last_fork);
    assert_eq!(servers.read("secondary").await.last(), Some(&11));
    // The next log backup and the recovery go by that position.
    servers.write("primary", 20..22).await;
    let next = servers.back_up_log("primary", "2").await;
    servers.restore_log("secondary", &next).await;
    let last_lsn = servers.header("secondary", &next).await.last_lsn;
    servers.act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(last_lsn)) }).await;
    assert_eq!(servers.read("secondary").await.last(), Some(&21));
}

async fn a_waiting_copy_tells_family_and_fork(servers: &Servers) {
    servers.create_database().await;
    let full = full(servers).await;
    let log = servers.back_up_log("primary", "1").await;
    let primary = servers.copy("primary").await.log_position.known().copied().unwrap();
    servers.seed("secondary", &full, &log).await;
    let position = servers.copy("secondary").await.log_position.known().copied();
    let position = position.expect("family and fork of a copy that waits for log");
    assert_eq!((position.family, position.fork), (primary.family, primary.fork));
}

async fn restoring_the_newest_log_backup_again_changes_nothing(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..12).await;
    let path = servers.back_up_log("primary", "1").await;
    servers.restore_log("secondary", &path).await;
    let before = servers.copy("secondary").await.log_position;
    // Without the range, the port has to send the statement again.
    servers.restore_log("secondary", &path).await;
    assert_eq!(servers.copy("secondary").await.log_position, before);
}

async fn the_history_of_a_recovered_copy_still_ends_with_its_last_log_backup(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..12).await;
    let path = servers.back_up_log("primary", "1").await;
    let header = servers.header("secondary", &path).await;
    servers.restore_log("secondary", &path).await;
    servers
        .act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(header.last_lsn)) })
        .await;
    let copy = servers.copy("secondary").await;
    assert!(copy.is_writable());
    let position = copy.log_position.known().copied().unwrap();
    assert_eq!(position.last_restored_lsn, Some(header.last_lsn));
    assert_eq!(position.redo_start_lsn, None);
}

async fn a_log_backup_that_ended_before_a_full_backup_does_not_follow_it(servers: &Servers) {
    servers.create_database().await;
    full(servers).await;
    servers.write("primary", 1..3).await;
    let early = servers.back_up_log("primary", "1").await;
    servers.write("primary", 3..5).await;
    let later = servers.backup("later.bak");
    servers.act("primary", DatabaseAction::BackUpDatabase { path: later.clone() }).await;
    servers.write("primary", 5..7).await;
    let spanning = servers.back_up_log("primary", "2").await;
    let (later_header, early_header) =
        (servers.header("secondary", &later).await, servers.header("secondary", &early).await);
    let spanning_header = servers.header("secondary", &spanning).await;
    assert!(early_header.last_lsn < later_header.last_lsn);
    // The log that spans the end of the full backup is the first to follow it.
    assert!(spanning_header.first_lsn <= later_header.last_lsn);
    assert!(later_header.last_lsn <= spanning_header.last_lsn);
    servers.seed("secondary", &later, &spanning).await;
    let restore = format!(
        "RESTORE LOG {} FROM DISK = {} WITH NORECOVERY;",
        servers.identifier(),
        quoted(&early)
    );
    assert_eq!(servers.sql_error("secondary", &restore).await, 4326);
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(position.redo_start_lsn, Some(spanning_header.last_lsn));
}

async fn times_in_a_header_are_those_of_the_server_that_reads_it(servers: &Servers) {
    const TOLERANCE_SECONDS: i64 = 120;
    servers.create_database().await;
    let before = servers.observe("primary").await.observed_at.unix_millis() / 1000;
    let path = full(servers).await;
    let after = servers.observe("primary").await.observed_at.unix_millis() / 1000;
    for reader in ["primary", "secondary"] {
        let header = servers.header(reader, &path).await;
        let (started, finished) =
            (header.started_at.unix_millis() / 1000, header.finished_at.unix_millis() / 1000);
        assert!(started >= before - TOLERANCE_SECONDS, "{reader}: {started} before {before}");
        assert!(finished <= after + TOLERANCE_SECONDS, "{reader}: {finished} after {after}");
        assert!(started <= finished);
    }
}

/// Wants to stop as soon as anything is under way.
#[derive(Default)]
struct StopAtOnce(AtomicBool);

impl Progress for StopAtOnce {
    fn report(&self, _percent: f32, _detail: &str) {}

    fn is_cancelled(&self) -> bool {
        self.0.store(true, Ordering::Relaxed);
        true
    }
}

async fn a_stopped_restore_can_be_made_again(servers: &Servers) {
    servers.create_database().await;
    let full = full(servers).await;
    servers.write("primary", 1..9).await;
    let log = servers.back_up_log("primary", "1").await;
    let header = servers.header("secondary", &log).await;
    let secondary = servers.topology.secondary().clone();
    let restore = DatabaseAction::RestoreDatabase {
        path: full,
        data_directory: secondary.data_directory,
        log_directory: None,
        replaces_existing: false,
    };
    let range = LogRange {
        first_lsn: header.first_lsn,
        last_lsn: header.last_lsn,
        last_fork: header.last_fork,
    };
    let restore_log = DatabaseAction::RestoreLog { path: log, log: Some(range) };
    let port = &servers.ports.instances[&secondary.name];
    for action in [restore, restore_log] {
        let stopped = StopAtOnce::default();
        if let Err(error) = port.run(&servers.database, &action, &stopped).await {
            assert_eq!(error.code, ErrorCode::Cancelled, "{error}");
        }
        assert!(stopped.0.into_inner(), "nobody asked whether to stop");
        servers.act("secondary", action).await;
    }
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
}

async fn everything_committed_before_a_log_backup_began_is_in_it(servers: &Servers) {
    // A datetime is exact to 3 ms, and a header to the second.
    const ROUNDING_MILLIS: i64 = 1_000;
    servers.initialise("secondary").await;
    let mut last_lsn = Lsn::default();
    for number in 1..4 {
        servers.write("primary", number * 10..number * 10 + 3).await;
        let committed = servers.observe("primary").await.observed_at.unix_millis();
        let path = servers.back_up_log("primary", &number.to_string()).await;
        // What comes later may be in it or not; what came before has to be.
        let header = servers.header("primary", &path).await;
        assert!(header.started_at.unix_millis() >= committed - ROUNDING_MILLIS);
        servers.restore_log("secondary", &path).await;
        last_lsn = header.last_lsn;
    }
    let committed = servers.read("primary").await;
    servers.act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(last_lsn)) }).await;
    assert_eq!(servers.read("secondary").await, committed);
}

fn quoted(path: &str) -> String {
    pcdr_sql::quote::path(path).unwrap()
}

/// Leaves the first bytes of a backup file, as an attempt that was cut off at its start does.
fn cut_off(servers: &Servers, ending: &str) {
    let path = servers.backup_mount().join(format!("{}_{ending}", servers.scratch));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(64).unwrap();
}

async fn a_backup_that_was_cut_off_at_its_start_is_told_by_its_error_and_written_again(
    servers: &Servers,
) {
    servers.create_database().await;
    let name = servers.scratch.as_str();
    let path = full(servers).await;
    cut_off(servers, "full.bak");
    // The action tells that the file holds no backup yet, and writes it.
    servers.act("primary", DatabaseAction::BackUpDatabase { path: path.clone() }).await;
    assert_eq!(servers.header("primary", &path).await.kind, BackupKind::Full);
    cut_off(servers, "full.bak");
    carry_out!(servers, "primary", database::back_up_database_again(name, &path));
    assert_eq!(servers.header("primary", &path).await.kind, BackupKind::Full);

    let log = servers.back_up_log("primary", "0").await;
    servers.seed("secondary", &path, &log).await;
    servers.write("primary", 1..4).await;
    let next = servers.backup("1.trn");
    std::fs::write(servers.backup_mount().join(format!("{}_1.trn", servers.scratch)), b"TAPE")
        .unwrap();
    carry_out!(servers, "primary", database::back_up_log_again(name, &next));
    let header = servers.header("secondary", &next).await;
    assert_eq!(header.kind, BackupKind::Log);
    // Where the copy stands comes first, and the log is restored in the same batch.
    let sets = carry_out!(servers, "secondary", database::restore_next_log(name, &next));
    assert_eq!(sets[0].rows.len(), 1, "{sets:?}");
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
}
