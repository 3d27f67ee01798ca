//! Recovery forks, and whether the chain that is resolved can be restored.

use pcdr_core::chain::{self, Start};
use pcdr_core::observation::DatabaseState;
use pcdr_core::step::{DatabaseAction, LogEnd};
use pcdr_sql::statement::database;

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of the log chain.
pub const CHECKS: &[Check] = &[
    check!(the_chain_that_is_resolved_can_be_restored, needs: [Folders], decides: ["A11"]),
    check!(recovery_begins_a_fork_and_the_first_log_backup_after_it_spans_both, needs: [Folders], decides: ["A12"]),
    check!(the_old_primary_takes_the_log_of_the_new_one, needs: [Folders], decides: ["A13"]),
    check!(
        a_tail_follows_the_last_log_backup_and_its_copy_stands_where_it_ends,
        needs: [Folders],
        decides: ["A39"],
        carries_out: &["database::back_up_tail"]
    ),
    check!(log_of_the_fork_that_was_left_is_refused, needs: [Folders], decides: ["A14"]),
];

async fn the_chain_that_is_resolved_can_be_restored(servers: &Servers) {
    servers.initialise("secondary").await;
    for number in 1..6 {
        if number != 3 {
            servers.write("primary", number * 10..number * 10 + 2).await;
        }
        servers.back_up_log("primary", &number.to_string()).await;
    }
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    let start = Start {
        family: position.family,
        fork: position.fork,
        lsn: position.redo_start_lsn.unwrap(),
    };
    let listed = servers.ports.files.list(&servers.database, &[]).await.unwrap();
    let mut files = listed.share.known().cloned().unwrap();
    files.reverse(); // order is found by position
    let chain = chain::resolve(start, &files).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(chain.unread.is_empty());
    for index in &chain.restore {
        servers.restore_log("secondary", &files[*index].path).await;
    }
    let after = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(after.redo_start_lsn, Some(chain.reaches));
    assert_eq!(after.fork, chain.fork);
    servers
        .act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(chain.reaches)) })
        .await;
    assert_eq!(servers.read("secondary").await, servers.read("primary").await);
}

/// The tail, its restore, and the recovery of the secondary; the path of the tail.
async fn fail_over(servers: &Servers) -> String {
    let tail = servers.backup("tail.trn");
    let back_up = format!(
        "BACKUP LOG {} TO DISK = {} WITH NORECOVERY;",
        servers.identifier(),
        pcdr_sql::quote::path(&tail).unwrap()
    );
    servers.sql("primary", &back_up).await;
    assert_eq!(servers.copy("primary").await.state, DatabaseState::Restoring);
    let header = servers.header("secondary", &tail).await;
    assert!(header.is_tail, "IsForceOffline tells a tail");
    servers.restore_log("secondary", &tail).await;
    servers
        .act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(header.last_lsn)) })
        .await;
    tail
}

async fn recovery_begins_a_fork_and_the_first_log_backup_after_it_spans_both(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..13).await;
    let tail = fail_over(servers).await;
    let tail = servers.header("secondary", &tail).await;
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_ne!(position.fork, tail.last_fork, "recovery begins a fork");
    assert_eq!(position.family, tail.family, "of the same family");

    servers.write("secondary", 20..23).await;
    let first = servers.back_up_log("secondary", "after_1").await;
    servers.write("secondary", 30..33).await;
    let second = servers.back_up_log("secondary", "after_2").await;
    let (first, second) =
        (servers.header("secondary", &first).await, servers.header("secondary", &second).await);
    assert_eq!((first.first_fork, first.last_fork), (tail.last_fork, position.fork));
    let fork_point = first.fork_point_lsn.expect("the position of the fork");
    assert!(first.first_lsn <= fork_point && fork_point <= first.last_lsn);
    assert!(first.first_lsn <= tail.last_lsn && tail.last_lsn < first.last_lsn);
    assert_eq!((second.first_fork, second.last_fork), (position.fork, position.fork));
    assert_eq!(second.first_lsn, first.last_lsn);
}

async fn the_old_primary_takes_the_log_of_the_new_one(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..13).await;
    fail_over(servers).await;
    servers.write("secondary", 20..23).await;
    let first = servers.back_up_log("secondary", "after_1").await;
    servers.write("secondary", 30..33).await;
    let second = servers.back_up_log("secondary", "after_2").await;

    let position = servers.copy("primary").await.log_position.known().copied().unwrap();
    let start = Start {
        family: position.family,
        fork: position.fork,
        lsn: position.redo_start_lsn.unwrap(),
    };
    let listed = servers.ports.files.list(&servers.database, &[]).await.unwrap();
    let files = listed.share.known().cloned().unwrap();
    let chain = chain::resolve(start, &files).unwrap_or_else(|broken| panic!("{broken}"));
    let names: Vec<&str> = chain.restore.iter().map(|index| files[*index].path.as_str()).collect();
    assert_eq!(names, [&first, &second]);
    for path in names {
        servers.restore_log("primary", path).await;
    }
    let reached = servers.copy("primary").await.log_position.known().copied().unwrap();
    assert_eq!((reached.redo_start_lsn, reached.fork), (Some(chain.reaches), chain.fork));
    servers
        .act("primary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(chain.reaches)) })
        .await;
    assert_eq!(servers.read("primary").await, servers.read("secondary").await);
}

async fn a_tail_follows_the_last_log_backup_and_its_copy_stands_where_it_ends(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..13).await;
    let last = servers.back_up_log("primary", "1").await;
    servers.restore_log("secondary", &last).await;
    let last = servers.header("primary", &last).await;
    let before = servers.copy("primary").await.log_position.known().copied().unwrap();
    assert_eq!(before.last_log_backup_lsn, Some(last.last_lsn));
    servers.write("primary", 20..23).await;
    let written = servers.read("primary").await;

    let path = servers.backup("1_tail.trn");
    carry_out!(servers, "primary", database::back_up_tail(servers.scratch.as_str(), &path));
    let tail = servers.header("secondary", &path).await;
    assert!(tail.is_tail, "IsForceOffline tells a tail");
    assert_eq!(tail.first_lsn, last.last_lsn);
    let fenced = servers.copy("primary").await;
    assert_eq!(fenced.state, DatabaseState::Restoring);
    servers.restore_log("secondary", &path).await;
    let after = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(after.redo_start_lsn, Some(tail.last_lsn));
    let end = Some(LogEnd::EndOf { path });
    servers.act("secondary", DatabaseAction::Recover { expect: end }).await;
    assert_eq!(servers.read("secondary").await, written, "nothing is lost");
}

async fn log_of_the_fork_that_was_left_is_refused(servers: &Servers) {
    servers.initialise("secondary").await;
    // Without a tail: the primary goes on, and so does the recovered copy.
    servers.act("secondary", DatabaseAction::Recover { expect: None }).await;
    servers.write("primary", 10..13).await;
    servers.write("secondary", 20..23).await;
    let full = servers.backup("new.bak");
    servers.act("secondary", DatabaseAction::BackUpDatabase { path: full.clone() }).await;
    let left = servers.back_up_log("primary", "left").await;
    let left_header = servers.header("primary", &left).await;
    let full_header = servers.header("secondary", &full).await;
    assert_ne!(left_header.last_fork, full_header.last_fork);
    assert_eq!(left_header.family, full_header.family);

    // A copy of the new history must not take log of the old one.
    let drop = format!("DROP DATABASE {};", servers.identifier());
    servers.sql("primary", &drop).await;
    let instance = servers.topology.primary().data_directory.clone();
    let restore = DatabaseAction::RestoreDatabase {
        path: full,
        data_directory: instance,
        log_directory: None,
        replaces_existing: false,
    };
    servers.act("primary", restore).await;
    let restore = format!(
        "RESTORE LOG {} FROM DISK = {} WITH NORECOVERY;",
        servers.identifier(),
        pcdr_sql::quote::path(&left).unwrap()
    );
    let number = servers.sql_error("primary", &restore).await;
    assert!([4305, 4326, 4330].contains(&number), "{number}");
    assert_eq!(servers.copy("primary").await.state, DatabaseState::Restoring);
}
