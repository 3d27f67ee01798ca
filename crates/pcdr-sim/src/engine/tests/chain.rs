//! Backup headers, the log chain, recovery forks.

use super::*;
use crate::engine::state::Status;

#[tokio::test(start_paused = true)]
async fn a_log_backup_needs_a_full_backup_first() {
    let lab = Lab::new();
    let mut host = lab.on("SQL1").await;
    run(&mut host, Admin::CreateDatabase { name: "mgc".to_owned(), files: Vec::new() })
        .await
        .unwrap();
    fails(backup(&mut host, BackupKind::Log, "a.trn", &[]).await, &[4214, 3013]);
    set(&mut host, &["RECOVERY", "SIMPLE"]).await.unwrap();
    fails(backup(&mut host, BackupKind::Log, "a.trn", &[]).await, &[4208, 3013]);
}

#[tokio::test(start_paused = true)]
async fn each_log_begins_where_the_one_before_it_ends() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let mut previous: Option<SetHeader> = None;
    for i in 2..6 {
        add(&mut host, i);
        let file = format!("{i}.trn");
        backup(&mut host, BackupKind::Log, &file, &[]).await.unwrap();
        let header = lab.header(&share(&file));
        assert_eq!(header.begins_log_chain, previous.is_none());
        if let Some(previous) = previous {
            assert_eq!(header.first_lsn, previous.last_lsn);
        }
        assert!(header.last_lsn > header.first_lsn);
        previous = Some(header);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_backup_names_the_checkpoint_of_the_full_backup_before_it() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let first = lab.header(&share("full.bak"));
    assert_eq!(first.database_backup_lsn, Lsn::ZERO);
    backup(&mut host, BackupKind::Database, "copy.bak", &[flag("COPY_ONLY")]).await.unwrap();
    backup(&mut host, BackupKind::Database, "second.bak", &[]).await.unwrap();
    let second = lab.header(&share("second.bak"));
    assert_eq!(second.database_backup_lsn, first.checkpoint_lsn);
}

#[tokio::test(start_paused = true)]
async fn a_copy_only_log_backup_leaves_the_chain_alone() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "copy.trn", &[flag("COPY_ONLY")]).await.unwrap();
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "a.trn", &[]).await.unwrap();
    assert_eq!(lab.header(&share("a.trn")).first_lsn, lab.header(&share("copy.trn")).first_lsn);
}

#[tokio::test(start_paused = true)]
async fn logs_apply_only_in_their_order() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    for i in 2..5 {
        add(&mut host, i);
        backup(&mut host, BackupKind::Log, &format!("{i}.trn"), &[]).await.unwrap();
    }
    let mut copy = lab.on("SQL3").await;
    fails(log(&mut copy, "2.trn").await, &[3118, 3013]);
    full(&mut copy, "full.bak").await.unwrap();
    fails(log(&mut copy, "3.trn").await, &[4305, 3013]);
    log(&mut copy, "2.trn").await.unwrap();
    log(&mut copy, "3.trn").await.unwrap();
    fails(log(&mut copy, "2.trn").await, &[4326, 3013]);
    log(&mut copy, "4.trn").await.unwrap();
    // The newest once more is harmless.
    log(&mut copy, "4.trn").await.unwrap();
    assert_eq!(redo(&lab, "SQL3"), lab.header(&share("4.trn")).last_lsn);
    recover(&mut copy).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2, 3, 4]);
    fails(log(&mut copy, "4.trn").await, &[3117, 3013]);
    fails(recover(&mut copy).await, &[3153, 3013]);
}

#[tokio::test(start_paused = true)]
async fn work_that_was_not_committed_is_undone_by_recovery() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    host.begin().unwrap();
    add(&mut host, 99);
    let mut other = lab.on("SQL1").await;
    add(&mut other, 2);
    backup(&mut other, BackupKind::Log, "2.trn", &[]).await.unwrap();
    host.commit().unwrap();
    backup(&mut other, BackupKind::Log, "3.trn", &[]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    restore(&mut copy, BackupKind::Log, "2.trn", &[setting("STANDBY", "D:\\MSSQL\\Backup\\u.tuf")])
        .await
        .unwrap();
    assert_eq!(copy.relation(&table(), None).unwrap().rows, [[Value::Int(1)], [Value::Int(2)]]);
    // The open transaction goes on in the next log.
    log(&mut copy, "3.trn").await.unwrap();
    recover(&mut copy).await.unwrap();
    let mut ids = lab.ids("SQL3", "mgc");
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 99]);
}

#[tokio::test(start_paused = true)]
async fn the_tail_leaves_the_old_primary_restoring_and_loses_nothing() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "tail.trn", &[flag("NORECOVERY")]).await.unwrap();
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Restoring);
    let tail = lab.header(&share("tail.trn"));
    assert!(tail.force_offline);
    assert_eq!(redo(&lab, "SQL1"), tail.last_lsn);
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    log(&mut copy, "2.trn").await.unwrap();
    restore(&mut copy, BackupKind::Log, "tail.trn", &[flag("RECOVERY")]).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2, 3]);
    // Back again: the first log of the new primary spans two forks and fits the old one.
    add(&mut copy, 4);
    backup(&mut copy, BackupKind::Log, "back.trn", &[]).await.unwrap();
    let back = lab.header(&share("back.trn"));
    assert_ne!(back.first_fork, back.last_fork);
    assert_eq!(back.first_fork, tail.last_fork);
    assert_eq!(back.fork_point, Some(tail.last_lsn));
    assert_eq!(back.first_lsn, tail.last_lsn);
    log(&mut host, "back.trn").await.unwrap();
    add(&mut copy, 5);
    backup(&mut copy, BackupKind::Log, "tail2.trn", &[flag("NORECOVERY")]).await.unwrap();
    restore(&mut host, BackupKind::Log, "tail2.trn", &[flag("RECOVERY")]).await.unwrap();
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_log_of_another_fork_is_refused() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    restore(&mut copy, BackupKind::Log, "2.trn", &[flag("RECOVERY")]).await.unwrap();
    // Both go on: two forks.
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "old.trn", &[]).await.unwrap();
    add(&mut host, 4);
    backup(&mut host, BackupKind::Log, "old2.trn", &[]).await.unwrap();
    add(&mut copy, 30);
    backup(&mut copy, BackupKind::Log, "new.trn", &[]).await.unwrap();
    let mut third = lab.on("SQL4").await;
    full(&mut third, "full.bak").await.unwrap();
    log(&mut third, "2.trn").await.unwrap();
    log(&mut third, "old.trn").await.unwrap();
    fails(log(&mut third, "new.trn").await, &[4330, 3013]);
    log(&mut third, "old2.trn").await.unwrap();
    // The other way round.
    let mut fourth = lab.on("SQL2").await;
    full(&mut fourth, "full.bak").await.unwrap();
    log(&mut fourth, "2.trn").await.unwrap();
    log(&mut fourth, "new.trn").await.unwrap();
    fails(log(&mut fourth, "old2.trn").await, &[4330, 3013]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_a_full_backup_of_the_new_primary_takes_its_spanning_log() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    backup(&mut host, BackupKind::Log, "tail.trn", &[flag("NORECOVERY")]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    restore(&mut copy, BackupKind::Log, "tail.trn", &[]).await.unwrap();
    add(&mut copy, 2);
    backup(&mut copy, BackupKind::Database, "full2.bak", &[]).await.unwrap();
    add(&mut copy, 3);
    backup(&mut copy, BackupKind::Log, "span.trn", &[]).await.unwrap();
    let mut third = lab.on("SQL4").await;
    full(&mut third, "full2.bak").await.unwrap();
    log(&mut third, "span.trn").await.unwrap();
    recover(&mut third).await.unwrap();
    assert_eq!(lab.ids("SQL4", "mgc"), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_differential_backup_bridges_a_lost_log() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    for i in 2..4 {
        add(&mut host, i);
        backup(&mut host, BackupKind::Log, &format!("{i}.trn"), &[]).await.unwrap();
    }
    backup(&mut host, BackupKind::Database, "diff.bak", &[flag("DIFFERENTIAL")]).await.unwrap();
    add(&mut host, 4);
    backup(&mut host, BackupKind::Log, "4.trn", &[]).await.unwrap();
    let diff = lab.header(&share("diff.bak"));
    assert_eq!(diff.differential_base_guid, Some(lab.header(&share("full.bak")).set_guid));
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    log(&mut copy, "2.trn").await.unwrap();
    full(&mut copy, "diff.bak").await.unwrap();
    log(&mut copy, "4.trn").await.unwrap();
    recover(&mut copy).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2, 3, 4]);
    // Of another base it is refused.
    backup(&mut host, BackupKind::Database, "full2.bak", &[]).await.unwrap();
    backup(&mut host, BackupKind::Database, "diff2.bak", &[flag("DIFFERENTIAL")]).await.unwrap();
    let mut third = lab.on("SQL4").await;
    full(&mut third, "full.bak").await.unwrap();
    fails(full(&mut third, "diff2.bak").await, &[3136, 3013]);
}

#[tokio::test(start_paused = true)]
async fn an_online_database_is_not_overwritten_without_its_tail() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    fails(full(&mut host, "full.bak").await, &[3159, 3013]);
    let mut other = lab.in_database("SQL1", "mgc").await;
    fails(
        restore(&mut host, BackupKind::Database, "full.bak", &[flag("REPLACE")]).await,
        &[3101, 3013],
    );
    fails(
        restore(&mut other, BackupKind::Database, "full.bak", &[flag("REPLACE")]).await,
        &[3102, 3013],
    );
    drop(other);
    restore(&mut host, BackupKind::Database, "full.bak", &[flag("REPLACE")]).await.unwrap();
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Online);
}

#[tokio::test(start_paused = true)]
async fn a_backup_of_another_family_is_refused_without_replace() {
    let lab = Lab::new();
    let _host = lab.mgc().await;
    let mut other = lab.on("SQL3").await;
    run(&mut other, Admin::CreateDatabase { name: "mgc".to_owned(), files: Vec::new() })
        .await
        .unwrap();
    fails(full(&mut other, "full.bak").await, &[3154, 3013]);
    restore(&mut other, BackupKind::Database, "full.bak", &[flag("REPLACE"), flag("NORECOVERY")])
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopat_keeps_what_was_committed_before_it_and_nothing_later() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let stop = lab.instance("SQL1").with(|i| i.local(lab.world.now())).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "3.trn", &[]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    let stop = setting("STOPAT", &stop.to_string());
    restore(&mut copy, BackupKind::Log, "3.trn", &[stop, flag("RECOVERY")]).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2]);
    // Beyond the end of the log the database waits for more.
    let mut third = lab.on("SQL4").await;
    full(&mut third, "full.bak").await.unwrap();
    let heard = restore(
        &mut third,
        BackupKind::Log,
        "3.trn",
        &[setting("STOPAT", "2026-03-02T00:00:00"), flag("RECOVERY")],
    )
    .await
    .unwrap();
    assert!(heard.messages.iter().any(|message| message.number == 4322));
    assert_eq!(lab.database("SQL4", "mgc", |d| d.status), Status::Restoring);
}

#[tokio::test(start_paused = true)]
async fn headers_have_the_columns_of_the_version() {
    for (version, expected) in [((11, 0, 7001), 53), ((15, 0, 4000), 56), ((16, 0, 4236), 59)] {
        let lab = Lab::new();
        let _host = lab.mgc().await;
        let mut config = InstanceConfig::new("OTHER", "west");
        config.version = version;
        lab.world.add_instance(config).unwrap();
        let mut other = lab.on("OTHER").await;
        let result = information(&mut other, "HEADERONLY", "full.bak").await;
        if version.0 < 15 {
            fails(result, &[3169, 3013]);
            continue;
        }
        let heard = result.unwrap();
        assert_eq!(heard.results[0].columns.len(), expected);
        assert_eq!(heard.results[0].rows[0].len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_row_is_written_for_every_backup_and_restore() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    log(&mut copy, "2.trn").await.unwrap();
    let sets = lab.instance("SQL1").with(|i| i.msdb.history.backup_sets.len()).unwrap();
    assert_eq!(sets, 2);
    let restores = lab
        .instance("SQL3")
        .with(|i| {
            i.msdb
                .history
                .restores
                .iter()
                .map(|row| (row.restore_type, row.recovery))
                .collect::<Vec<_>>()
        })
        .unwrap();
    assert_eq!(restores, [('D', false), ('L', false)]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_backup() {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let lab = Lab::seeded(42);
        let _host = lab.mgc().await;
        bytes.push(std::fs::read(lab.world.path("SQL1", &share("full.bak")).unwrap()).unwrap());
    }
    assert_eq!(bytes[0], bytes[1]);
}
