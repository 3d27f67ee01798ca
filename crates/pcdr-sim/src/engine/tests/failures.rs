//! Damaged files, lost shares, interrupted work.

use std::time::Duration;

use super::text::{SETUP, batch, client, ok};
use super::*;
use crate::engine::errors::OsError;
use crate::engine::state::{Costs, Status};
use crate::front::Front as _;

#[tokio::test(start_paused = true)]
async fn a_missing_file_is_error_2_and_a_missing_folder_error_3() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    for (device, os) in [("nothing.trn", "error 2("), ("no\\folder.trn", "error 3(")] {
        let failure = log(&mut host, device).await.unwrap_err();
        assert_eq!(numbers(&failure), [3201, 3013]);
        assert_eq!(failure.cause().state, 2);
        assert!(failure.cause().text.contains(os), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_share_is_error_53_a_read_only_one_5_and_a_full_one_112() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    lab.world.fill_share("FS1", "backup");
    let failure = backup(&mut host, BackupKind::Log, "a.trn", &[]).await.unwrap_err();
    assert!(failure.cause().text.contains("error 112("), "{failure}");
    lab.world.return_share("FS1", "backup");
    lab.world.make_share_read_only("FS1", "backup");
    let failure = backup(&mut host, BackupKind::Log, "a.trn", &[]).await.unwrap_err();
    assert!(failure.cause().text.contains("error 5("), "{failure}");
    assert_eq!(failure.cause().state, 1);
    lab.world.lose_share("FS1", "backup");
    let failure = backup(&mut host, BackupKind::Log, "a.trn", &[]).await.unwrap_err();
    assert!(failure.cause().text.contains("error 53("), "{failure}");
    lab.world.return_share("FS1", "backup");
    backup(&mut host, BackupKind::Log, "a.trn", &[]).await.unwrap();
    // Across a cut link nobody reads it.
    let mut copy = lab.on("SQL3").await;
    lab.world.cut_link("west", "east", false);
    let failure = full(&mut copy, "full.bak").await.unwrap_err();
    assert!(failure.cause().text.contains("error 53("), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn no_path_leaves_the_root() {
    let lab = Lab::new();
    for path in [
        "\\\\FS1\\backup\\..\\..\\x",
        "D:\\..\\..\\..\\etc\\passwd",
        "/../../etc/passwd",
        "..\\x",
        "\\\\FS1\\..\\x",
        "\\\\..\\..\\x",
    ] {
        assert!(lab.world.path("SQL1", path).is_err(), "{path}");
    }
    assert_eq!(lab.world.path("SQL1", "\\\\NOBODY\\x\\y"), Err(OsError::NETWORK_PATH));
}

#[tokio::test(start_paused = true)]
async fn truncated_corrupt_and_foreign_files_are_detected() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    let file = lab.world.path("SQL1", &share("full.bak")).unwrap();
    let size = std::fs::metadata(&file).unwrap().len();
    let copy_to = |name: &str| {
        let target = lab.world.path("SQL1", &share(name)).unwrap();
        std::fs::copy(&file, target).unwrap();
    };
    copy_to("short.bak");
    lab.world.truncate_file("SQL1", &share("short.bak"), size - 100).unwrap();
    fails(information(&mut host, "HEADERONLY", "short.bak").await, &[3256, 3013]);
    copy_to("stub.bak");
    lab.world.truncate_file("SQL1", &share("stub.bak"), 20).unwrap();
    fails(information(&mut host, "HEADERONLY", "stub.bak").await, &[3208, 3013]);
    copy_to("empty.bak");
    lab.world.truncate_file("SQL1", &share("empty.bak"), 0).unwrap();
    fails(information(&mut host, "HEADERONLY", "empty.bak").await, &[3254, 3013]);
    std::fs::write(lab.world.path("SQL1", &share("word.doc")).unwrap(), "no backup\n").unwrap();
    fails(information(&mut host, "HEADERONLY", "word.doc").await, &[3241, 3013]);
    backup(&mut host, BackupKind::Database, "sums.bak", &[flag("CHECKSUM")]).await.unwrap();
    information(&mut host, "VERIFYONLY", "sums.bak").await.unwrap();
    lab.world.corrupt_file("SQL1", &share("sums.bak")).unwrap();
    fails(information(&mut host, "VERIFYONLY", "sums.bak").await, &[3183, 3013]);
    copy_to("plain.bak");
    lab.world.corrupt_file("SQL1", &share("plain.bak")).unwrap();
    let mut copy = lab.on("SQL3").await;
    fails(full(&mut copy, "plain.bak").await, &[3189, 3013]);
}

fn slow() -> Costs {
    Costs { backup_rate: 100_000, restore_rate: 100_000, ..Costs::default() }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_still_being_written_cannot_be_restored() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    lab.world.set_costs(slow());
    let writer = tokio::spawn(async move {
        backup(&mut host, BackupKind::Database, "slow.bak", &[]).await.unwrap();
        host
    });
    tokio::time::sleep(Duration::from_secs(15)).await;
    let mut copy = lab.on("SQL3").await;
    fails(full(&mut copy, "slow.bak").await, &[3256, 3013]);
    writer.await.unwrap();
    full(&mut copy, "slow.bak").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_restore_leaves_the_database_restoring_and_asks_for_the_same_set() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    lab.world.set_costs(slow());
    let mut victim = lab.on("SQL3").await;
    let id = victim.me.session_id;
    let work = tokio::spawn(async move { full(&mut victim, "full.bak").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let percent = lab
        .instance("SQL3")
        .with(|i| i.sessions[&id].request.as_ref().unwrap().percent_complete)
        .unwrap();
    assert!(percent > 0.0 && percent < 100.0, "{percent}");
    let mut admin = lab.on("SQL3").await;
    fails(full(&mut admin, "full.bak").await, &[3101, 3013]);
    run(&mut admin, Admin::Kill { session_id: i64::from(id), status_only: false }).await.unwrap();
    fails(work.await.unwrap(), &[3204, 3013]);
    assert_eq!(lab.database("SQL3", "mgc", |d| d.status), Status::Restoring);
    lab.world.set_costs(Costs::default());
    fails(log(&mut admin, "2.trn").await, &[4319, 3013]);
    fails(recover(&mut admin).await, &[4319, 3013]);
    full(&mut admin, "full.bak").await.unwrap();
    log(&mut admin, "2.trn").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_killed_tail_backup_leaves_the_database_online() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    lab.world.set_costs(slow());
    let id = host.me.session_id;
    let work = tokio::spawn(async move {
        backup(&mut host, BackupKind::Log, "tail.trn", &[flag("NORECOVERY")]).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    lab.world.kill_connection("SQL1", id);
    fails(work.await.unwrap(), &[3204, 3013]);
    let mut host = lab.on("SQL1").await;
    assert_eq!(lab.database("SQL1", "mgc", |d| d.status), Status::Online);
    lab.world.set_costs(Costs::default());
    add(&mut host, 3);
    backup(&mut host, BackupKind::Log, "tail2.trn", &[flag("NORECOVERY")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_lost_comes_back_with_what_was_committed() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    host.begin().unwrap();
    add(&mut host, 3);
    lab.world.lose_instance("SQL1");
    assert!(host.is_ended());
    assert!(!lab.instance("SQL1").reachable("east"));
    assert!(lab.instance("SQL1").open(&login("")).await.is_err());
    // The dead still show what they had.
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2]);
    lab.world.return_instance("SQL1");
    drop(host);
    let mut host = lab.on("SQL1").await;
    add(&mut host, 4);
    assert_eq!(lab.ids("SQL1", "mgc"), [1, 2, 4]);
}

#[tokio::test(start_paused = true)]
async fn the_tail_of_a_damaged_database_can_be_saved() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    lab.world.damage_database("SQL1", "mgc", false);
    fails(backup(&mut host, BackupKind::Log, "t.trn", &[]).await, &[926, 3013]);
    backup(&mut host, BackupKind::Log, "t.trn", &[flag("NO_TRUNCATE")]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    full(&mut copy, "full.bak").await.unwrap();
    log(&mut copy, "t.trn").await.unwrap();
    recover(&mut copy).await.unwrap();
    assert_eq!(lab.ids("SQL3", "mgc"), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_standby_without_its_undo_file_must_be_restored_from_the_beginning() {
    let lab = Lab::new();
    let mut host = lab.mgc().await;
    add(&mut host, 2);
    backup(&mut host, BackupKind::Log, "2.trn", &[]).await.unwrap();
    let mut copy = lab.on("SQL3").await;
    let undo = "D:\\MSSQL\\Backup\\mgc.tuf";
    restore(&mut copy, BackupKind::Database, "full.bak", &[setting("STANDBY", undo)])
        .await
        .unwrap();
    let failure = copy.insert(&table(), vec![vec![Value::Int(9)]]).unwrap_err();
    assert_eq!(numbers(&failure), [3906]);
    let reader = lab.in_database("SQL3", "mgc").await;
    fails(log(&mut copy, "2.trn").await, &[3101, 3013]);
    drop(reader);
    std::fs::remove_file(lab.world.path("SQL3", undo).unwrap()).unwrap();
    fails(log(&mut copy, "2.trn").await, &[3441, 3013]);
}

#[tokio::test(start_paused = true)]
async fn files_of_another_database_are_not_overwritten() {
    let lab = Lab::new();
    let _host = lab.mgc().await;
    let mut host = lab.on("SQL1").await;
    let result = run(
        &mut host,
        Admin::Restore(Restore {
            kind: BackupKind::Database,
            database: "drill".to_owned(),
            devices: vec![share("full.bak").into()],
            options: vec![],
        }),
    )
    .await;
    fails(result, &[1834, 3156, 1834, 3156, 3119, 3013]);
    let moved = |from: &str, to: &str| BackupOption::Move(from.to_owned(), to.to_owned());
    run(
        &mut host,
        Admin::Restore(Restore {
            kind: BackupKind::Database,
            database: "drill".to_owned(),
            devices: vec![share("full.bak").into()],
            options: vec![
                moved("mgc", "D:\\MSSQL\\DATA\\drill.mdf"),
                moved("mgc_log", "D:\\MSSQL\\DATA\\drill.ldf"),
            ],
        }),
    )
    .await
    .unwrap();
    let own = lab.database("SQL1", "mgc", |d| d.database_guid);
    assert_ne!(lab.database("SQL1", "drill", |d| d.database_guid), own);
}

#[tokio::test(start_paused = true)]
async fn a_full_drive_takes_no_backup_until_it_has_space_again() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    lab.world.fill_drive("SQL1", "D:", true);
    let to_drive = r"BACKUP DATABASE mgc TO DISK = N'D:\MSSQL\DATA\x.bak'";
    assert_eq!(batch(&mut session, to_drive).await.1.last(), Some(&3013));
    lab.world.fill_drive("SQL1", "D:", false);
    ok(&mut session, to_drive).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_killed_inside_its_next_statement_answers_nothing_more_and_leaves_nothing() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    lab.world.kill_inside_next_statement("SQL1", session.session_id());
    let (rows, _) = batch(&mut session, "DELETE FROM mgc.dbo.t; SELECT 1").await;
    assert!(rows.is_empty(), "{rows:?}");
    assert!(session.ended().is_cancelled());
    let mut other = client(&lab, "SQL1").await;
    assert_eq!(ok(&mut other, "SELECT COUNT(*) FROM mgc.dbo.t").await, [[Value::Int(2)]]);
}

#[tokio::test(start_paused = true)]
async fn only_the_next_request_is_delayed() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    lab.world.delay_next_request("SQL1", Duration::from_secs(40));
    for expected in [true, false] {
        let began = tokio::time::Instant::now();
        ok(&mut session, "SELECT 1").await;
        assert_eq!(began.elapsed() >= Duration::from_secs(40), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_password_refuses_the_login_with_its_own_error() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, "CREATE LOGIN app WITH PASSWORD = N'Secret!1'").await;
    let mut app = login("");
    app.user_name = "app".to_owned();
    app.password = "Secret!1".to_owned();
    lab.instance("SQL1").login(&app).await.unwrap();
    lab.world.expire_login("SQL1", "app");
    let Err(failure) = lab.instance("SQL1").login(&app).await else {
        panic!("the login was accepted");
    };
    assert_eq!(failure.cause().number, 18487);
}

#[tokio::test(start_paused = true)]
async fn a_database_ten_times_larger_takes_longer_to_back_up() {
    let lab = Lab::new();
    let mut session = client(&lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    let mut times = Vec::new();
    for gigabytes in [1_u64, 10] {
        lab.world.set_data_bytes("SQL1", "mgc", gigabytes << 30);
        let began = tokio::time::Instant::now();
        ok(&mut session, r"BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\size.bak' WITH INIT").await;
        times.push(began.elapsed());
    }
    assert!(times[1] > times[0] * 5, "{times:?}");
}
