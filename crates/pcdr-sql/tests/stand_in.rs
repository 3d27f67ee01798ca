//! The ports over real TLS connections to the SQL Server stand-in.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use pcdr_core::conformance;
use pcdr_core::observation::{DatabaseState, MirroringRole};
use pcdr_core::ports::{BackupFiles, DatabaseInstance, LogShippingJobs, Unwatched};
use pcdr_core::schedule::Schedule;
use pcdr_core::settings::{
    Compression, PrimarySettings, RestoreMode, SecondarySettings, primary_differences,
    secondary_differences,
};
use pcdr_core::step::{DatabaseAction, LogEnd, LogRange, LogShippingAction};
use pcdr_core::topology::{Encryption, Share};
use pcdr_core::{DatabaseName, ErrorCode, Known, Lsn};
use pcdr_sim::engine::state::InstanceConfig;
use pcdr_sim::engine::world::World;
use pcdr_sim::wire::{CertificateAuthority, Listener, WireConfig};
use pcdr_sql::connection::{Connection, ResultSet};
use pcdr_sql::statement::{self, Kind, Statement};
use pcdr_sql::{
    Credentials, Endpoint, Limits, Password, ShareFiles, SqlError, SqlInstance, TcpDialer,
};

fn sa(password: &str) -> Credentials {
    Credentials::SqlLogin { login: "sa".to_owned(), password: Password::new(password) }
}

const PRIMARY: &str = "SQL1";
const SECONDARY: &str = "SQL3";

/// Two sites with an instance and a share each.
struct Lab {
    world: World,
    authority: CertificateAuthority,
    listeners: Vec<(String, String, Listener)>,
    _root: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Lab {
        Lab::of(InstanceConfig::new(PRIMARY, "east").version).await
    }

    /// Instances of another release.
    async fn of(version: (u8, u8, u16)) -> Lab {
        let root = tempfile::tempdir().unwrap();
        let epoch = "2026-03-01T08:00:00Z".parse().unwrap();
        let world = World::new(root.path(), 7, epoch).unwrap();
        let authority = CertificateAuthority::new("lab").unwrap();
        let mut listeners = Vec::new();
        for (name, site) in [(PRIMARY, "east"), (SECONDARY, "west")] {
            world.add_site(site);
            let config = InstanceConfig { version, ..InstanceConfig::new(name, site) };
            let password = config.sa_password.clone();
            let instance = world.add_instance(config).unwrap();
            let localhost = Ipv4Addr::LOCALHOST;
            let identity = authority.issue(&[name], &[localhost.into()]).unwrap();
            let wire = Arc::new(WireConfig::with_identity(identity));
            let front = Arc::new(instance);
            let listener = Listener::bind((localhost, 0).into(), front, wire).await.unwrap();
            listeners.push((name.to_owned(), password, listener));
        }
        world.link("east", "west", Duration::ZERO, u64::MAX);
        world.add_share("FS1", "backup", "east").unwrap();
        world.add_share("FS3", "copy", "west").unwrap();
        Lab { world, authority, listeners, _root: root }
    }

    fn listener(&self, name: &str) -> &(String, String, Listener) {
        self.listeners.iter().find(|(of, ..)| of == name).unwrap()
    }

    fn endpoint(&self, name: &str) -> Endpoint {
        let (_, password, listener) = self.listener(name);
        Endpoint {
            name: name.to_lowercase(),
            host: "127.0.0.1".to_owned(),
            tcp_port: Some(listener.address().port()),
            instance: None,
            credentials: sa(password),
            encryption: Encryption::Mandatory,
            ca_bundle: Some(Arc::new(self.authority.pem().as_bytes().to_vec())),
            host_name_in_certificate: None,
            connect_timeout: Duration::from_secs(15),
            application: "pcdr".to_owned(),
            dialer: Arc::new(TcpDialer),
            trace: None,
        }
    }

    fn instance(&self, name: &str) -> SqlInstance {
        SqlInstance::new(name.to_lowercase().into(), self.endpoint(name), Limits::default())
    }

    /// Runs a batch as an administrator would.
    async fn sql(&self, name: &str, batch: &str) -> Result<Vec<ResultSet>, SqlError> {
        let mut connection = Connection::open(&self.endpoint(name)).await?;
        let statement =
            Statement { batch: batch.to_owned(), kind: Kind::Change, secrets: Vec::new() };
        Ok(connection.batch(&statement, None).await?)
    }

    /// Sends a statement of pcdr's own, with its secrets.
    async fn send(&self, name: &str, statement: &Statement) -> Result<Vec<ResultSet>, SqlError> {
        let mut connection = Connection::open(&self.endpoint(name)).await?;
        Ok(connection.batch(statement, None).await?)
    }

    fn share(&self, host: &str, name: &str) -> Share {
        let mount = self.world.root().join("shares").join(host.to_lowercase()).join(name);
        Share {
            name: name.into(),
            site: "east".into(),
            unc: format!(r"\\{host}\{name}"),
            mount: Some(mount.to_str().unwrap().to_owned()),
        }
    }
}

fn quoted(name: &str) -> String {
    pcdr_sql::quote::identifier(name).unwrap()
}

#[tokio::test]
async fn no_statement_is_a_syntax_error_or_names_what_does_not_exist() {
    const NOT_UNDERSTOOD: [i32; 14] =
        [102, 105, 113, 137, 155, 156, 170, 195, 201, 207, 208, 319, 2812, 4104];
    let lab = Lab::new().await;
    let mut wrong = Vec::new();
    for (name, statement) in statement::samples("m]g'c", r"\\FS1\backup\o'brien.trn").unwrap() {
        if let Err(error) = lab.send(PRIMARY, &statement).await {
            let is_wrong = match error.number() {
                Some(number) => NOT_UNDERSTOOD.contains(&number),
                None => !matches!(error, SqlError::Lost(_)),
            };
            if is_wrong {
                wrong.push(format!("{name}: {error}\n{}", statement.batch));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn every_section_of_an_observation_is_known() {
    let lab = Lab::new().await;
    lab.sql(PRIMARY, "CREATE DATABASE mgc;").await.unwrap();
    let instance = lab.instance(PRIMARY);
    let seen = instance.observe(&["mgc".into()]).await.unwrap();
    let json = format!("{seen:#?}");
    assert!(!json.contains("Unknown"), "{json}");
    assert_eq!(seen.server_name.as_deref(), Some(PRIMARY));
    assert_eq!(lab.listener(PRIMARY).2.metrics().requests(), 2, "one of them was CREATE");
}

#[tokio::test]
async fn hostile_names_are_observed_as_what_they_are() {
    let lab = Lab::new().await;
    let long = format!("{}{}", "x".repeat(100), "ü".repeat(28));
    let names = ["m]gc", "o'brien", "with blank inside", "-- x", "a; DROP DATABASE b", &long];
    for name in names {
        lab.sql(PRIMARY, &format!("CREATE DATABASE {};", quoted(name))).await.unwrap();
    }
    let databases: Vec<DatabaseName> = names.iter().map(|name| (*name).into()).collect();
    let seen = lab.instance(PRIMARY).observe(&databases).await.unwrap();
    let all = seen.databases.known().unwrap();
    for name in &databases {
        let database = all.get(name).unwrap_or_else(|| panic!("{name}: {all:?}"));
        assert_eq!(database.state, DatabaseState::Online);
        assert!(database.log_position.known().is_some(), "{database:?}");
    }
}

#[tokio::test]
async fn an_instance_over_the_wire_keeps_the_contract_of_its_port() {
    let lab = Lab::new().await;
    lab.sql(PRIMARY, "CREATE DATABASE mgc;").await.unwrap();
    let instance = lab.instance(PRIMARY);
    let kept = conformance::database_instance(&instance, &"mgc".into()).await.unwrap();
    assert!(kept > 5);
    let kept = conformance::log_shipping_jobs(&instance, &"mgc".into()).await.unwrap();
    assert!(kept > 5);
}

#[tokio::test]
async fn a_database_is_shipped_restored_and_recovered_at_the_named_position_only() {
    let lab = Lab::new().await;
    let name = "m]g c'1";
    let database = DatabaseName::from(name);
    lab.sql(PRIMARY, &format!("CREATE DATABASE {};", quoted(name))).await.unwrap();
    let (primary, secondary) = (lab.instance(PRIMARY), lab.instance(SECONDARY));
    let run = async |instance: &SqlInstance, action: DatabaseAction| {
        // Twice: an effect that is there is success.
        DatabaseInstance::run(instance, &database, &action, &Unwatched).await?;
        DatabaseInstance::run(instance, &database, &action, &Unwatched).await
    };
    let full = r"\\FS1\backup\m]g c'1.bak".to_owned();
    let log = r"\\FS1\backup\m]g c'1_20260301080000.trn".to_owned();
    run(&primary, DatabaseAction::SetRecoveryFull).await.unwrap();
    run(&primary, DatabaseAction::BackUpDatabase { path: full.clone() }).await.unwrap();
    run(&primary, DatabaseAction::BackUpLog { path: log.clone() }).await.unwrap();
    let restore = DatabaseAction::RestoreDatabase {
        path: full,
        data_directory: Some("D:\\MSSQL\\DATA\\".to_owned()),
        log_directory: None,
        replaces_existing: false,
    };
    run(&secondary, restore).await.unwrap();
    let header = secondary.header(&log).await.unwrap();
    let range = LogRange {
        first_lsn: header.first_lsn,
        last_lsn: header.last_lsn,
        last_fork: header.last_fork,
    };
    run(&secondary, DatabaseAction::RestoreLog { path: log.clone(), log: Some(range) })
        .await
        .unwrap();
    run(&secondary, DatabaseAction::RestoreLog { path: log, log: None }).await.unwrap();

    let seen = secondary.observe(std::slice::from_ref(&database)).await.unwrap();
    let copy = &seen.databases.known().unwrap()[&database];
    assert_eq!(copy.state, DatabaseState::Restoring);
    let position = *copy.log_position.known().unwrap();
    assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
    assert_eq!((position.family, position.fork), (header.family, header.last_fork));

    let wrong =
        DatabaseAction::Recover { expect: Lsn::new(header.last_lsn.get() + 1).map(LogEnd::Lsn) };
    let error = run(&secondary, wrong).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::WrongState, "{error}");
    run(&secondary, DatabaseAction::Recover { expect: Some(LogEnd::Lsn(header.last_lsn)) })
        .await
        .unwrap();
    let seen = secondary.observe(std::slice::from_ref(&database)).await.unwrap();
    assert!(seen.databases.known().unwrap()[&database].is_writable());
}

#[tokio::test]
async fn backup_files_on_mounted_shares_keep_the_contract_of_their_port() {
    let lab = Lab::new().await;
    lab.sql(PRIMARY, "CREATE DATABASE mgc; ALTER DATABASE mgc SET RECOVERY FULL;").await.unwrap();
    lab.sql(PRIMARY, r"BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\mgc.bak';").await.unwrap();
    for number in 1..=3 {
        let file = format!(r"\\FS1\backup\mgc_2026030108000{number}.trn");
        lab.sql(PRIMARY, &format!("BACKUP LOG mgc TO DISK = N'{file}';")).await.unwrap();
    }
    let (share, copied) = (lab.share("FS1", "backup"), lab.share("FS3", "copy"));
    let folder = std::path::PathBuf::from(share.mount.clone().unwrap());
    std::fs::write(folder.join("mgc_20260301080009.trn"), b"not a backup").unwrap();
    std::fs::write(folder.join("mgc_20260301080010.wrk"), b"half").unwrap();
    let reader = Arc::new(lab.instance(SECONDARY));
    let files = ShareFiles::new(&share, &copied, reader);
    let before = lab.listener(SECONDARY).2.metrics().requests();
    let listed = files.list(&"mgc".into(), &[]).await.unwrap();
    // All headers in one round trip, and one more for the cause of the one that is damaged.
    assert_eq!(lab.listener(SECONDARY).2.metrics().requests() - before, 2);
    let all = listed.share.known().unwrap();
    assert_eq!(all.len(), 5);
    assert_eq!(all.iter().filter(|file| file.header.known().is_some()).count(), 3);
    assert_eq!(all[3].header.reason().unwrap().code, "backup_damaged");
    assert_eq!(all[4].header.reason().unwrap().code, "still_growing");
    conformance::backup_files(&files, &"mgc".into()).await.unwrap();
}

fn primary_settings() -> PrimarySettings {
    PrimarySettings {
        backup_directory: r"\\FS1\backup".to_owned(),
        backup_share: r"\\FS1\backup".to_owned(),
        backup_job_name: "LSBackup_o'brien]".to_owned(),
        backup_retention_minutes: 4320,
        backup_compression: Compression::Instance,
        backup_threshold_minutes: 60,
        raises_alert: true,
        history_retention_minutes: 5760,
        monitor: None,
        connection_options: None,
        schedule_name: "LSBackupSchedule_o'brien]".to_owned(),
        schedule: Schedule::all_day(900),
    }
}

fn restore_full(path: String) -> DatabaseAction {
    DatabaseAction::RestoreDatabase {
        path,
        data_directory: None,
        log_directory: None,
        replaces_existing: false,
    }
}

fn secondary_settings(database: &str) -> SecondarySettings {
    SecondarySettings {
        primary_server: PRIMARY.to_owned(),
        primary_database: database.into(),
        backup_source_directory: r"\\FS1\backup".to_owned(),
        backup_destination_directory: r"\\FS3\copy".to_owned(),
        copy_job_name: "LSCopy_o'brien]".to_owned(),
        restore_job_name: "LSRestore_o'brien]".to_owned(),
        file_retention_minutes: 4320,
        monitor: None,
        connection_options: None,
        restore_delay_minutes: 0,
        restore_mode: RestoreMode::NoRecovery,
        disconnect_users: false,
        restore_threshold_minutes: 45,
        raises_alert: true,
        history_retention_minutes: 5760,
        copy_schedule_name: "copy".to_owned(),
        copy_schedule: Schedule::all_day(900),
        restore_schedule_name: "restore".to_owned(),
        restore_schedule: Schedule::all_day(900),
    }
}

/// A database that is backed up on the primary and restored, waiting for log, on the secondary.
async fn shipped(lab: &Lab, name: &str) -> (SqlInstance, SqlInstance, DatabaseName) {
    let database = DatabaseName::from(name);
    let create =
        format!("CREATE DATABASE {0}; ALTER DATABASE {0} SET RECOVERY FULL;", quoted(name));
    lab.sql(PRIMARY, &create).await.unwrap();
    let (primary, secondary) = (lab.instance(PRIMARY), lab.instance(SECONDARY));
    let path = format!(r"\\FS1\backup\{name}.bak");
    let backup = DatabaseAction::BackUpDatabase { path: path.clone() };
    DatabaseInstance::run(&primary, &database, &backup, &Unwatched).await.unwrap();
    let restore = restore_full(path);
    DatabaseInstance::run(&secondary, &database, &restore, &Unwatched).await.unwrap();
    (primary, secondary, database)
}

#[tokio::test]
async fn log_shipping_is_configured_run_held_and_removed() {
    let lab = Lab::new().await;
    let (primary, secondary, database) = shipped(&lab, "o'brien]").await;
    let run = async |instance: &SqlInstance, action: &LogShippingAction| {
        LogShippingJobs::run(instance, &database, action, &Unwatched).await
    };
    let add_primary = LogShippingAction::AddPrimary(Box::new(primary_settings()));
    let add_secondary = LogShippingAction::AddSecondary(Box::new(secondary_settings("o'brien]")));
    let register = LogShippingAction::AddPrimarySecondary {
        secondary_server: SECONDARY.to_owned(),
        secondary_database: database.clone(),
    };
    for _ in 0..2 {
        run(&primary, &add_primary).await.unwrap();
        run(&secondary, &add_secondary).await.unwrap();
        run(&primary, &register).await.unwrap();
    }
    let other = PrimarySettings { backup_threshold_minutes: 61, ..primary_settings() };
    let other = run(&primary, &LogShippingAction::AddPrimary(Box::new(other))).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::LogShipping, "{other}");
    assert!(other.found.contains("backup_threshold 60 → 61"), "{other}");

    let asked = std::slice::from_ref(&database);
    let seen = primary.observe(asked).await.unwrap();
    let entry = &seen.log_shipping_primary.known().unwrap()[&database];
    assert!(entry.backup_job.known().unwrap().is_enabled);
    assert_eq!(entry.secondaries, [(SECONDARY.to_owned(), "o'brien]".to_owned())]);

    run(&primary, &LogShippingAction::RunBackupJob).await.unwrap();
    run(&secondary, &LogShippingAction::RunCopyJob).await.unwrap();
    run(&secondary, &LogShippingAction::RunRestoreJob).await.unwrap();
    let seen = secondary.observe(asked).await.unwrap();
    let entry = &seen.log_shipping_secondary.known().unwrap()[&database];
    assert!(entry.last_restored_file.is_some(), "{entry:?}");
    assert_eq!(entry.restore_job.known().unwrap().last_run_status, Some(1));

    run(&secondary, &LogShippingAction::HoldSecondaryJobs).await.unwrap();
    let seen = secondary.observe(asked).await.unwrap();
    let entry = &seen.log_shipping_secondary.known().unwrap()[&database];
    for job in [&entry.copy_job, &entry.restore_job] {
        let job = job.known().unwrap();
        assert!(!job.is_enabled && !job.is_running, "{job:?}");
    }
    for _ in 0..2 {
        run(&secondary, &LogShippingAction::RemoveSecondary).await.unwrap();
    }
    let seen = secondary.observe(asked).await.unwrap();
    assert!(seen.log_shipping_secondary.known().unwrap().is_empty());
    let gone = run(&secondary, &LogShippingAction::RunCopyJob).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::LogShipping);
}

#[tokio::test]
async fn every_setting_that_is_changed_in_place_is_observed_as_changed() {
    let lab = Lab::new().await;
    let (primary, secondary, database) = shipped(&lab, "o'brien]").await;
    let run = async |instance: &SqlInstance, action: LogShippingAction| {
        LogShippingJobs::run(instance, &database, &action, &Unwatched).await.unwrap();
        let seen = instance.observe(std::slice::from_ref(&database)).await.unwrap();
        (
            seen.log_shipping_primary.known().unwrap().get(&database).cloned(),
            seen.log_shipping_secondary.known().unwrap().get(&database).cloned(),
        )
    };
    let before = primary_settings();
    let (entry, _) = run(&primary, LogShippingAction::AddPrimary(Box::new(before))).await;
    let night = Schedule {
        every_seconds: 90,
        days: "mon, sun".parse().unwrap(),
        from: "22:00".parse().unwrap(),
        until: "05:59:59".parse().unwrap(),
    };
    let after = PrimarySettings {
        backup_directory: r"\\FS1\other".to_owned(),
        backup_share: r"\\FS1\other".to_owned(),
        backup_retention_minutes: 1000,
        backup_compression: Compression::On,
        backup_threshold_minutes: 61,
        raises_alert: false,
        history_retention_minutes: 2000,
        schedule: night,
        ..primary_settings()
    };
    let changes = primary_differences(&after, &entry.unwrap());
    assert_eq!(changes.len(), 8, "{changes:?}");
    let change = LogShippingAction::ChangePrimary { settings: Box::new(after.clone()), changes };
    let (entry, _) = run(&primary, change).await;
    assert_eq!(primary_differences(&after, &entry.unwrap()), []);

    let before = secondary_settings("o'brien]");
    let (_, entry) = run(&secondary, LogShippingAction::AddSecondary(Box::new(before))).await;
    let after = SecondarySettings {
        backup_source_directory: r"\\FS1\other".to_owned(),
        backup_destination_directory: r"\\FS3\other".to_owned(),
        file_retention_minutes: 1000,
        restore_delay_minutes: 5,
        restore_mode: RestoreMode::Standby,
        disconnect_users: true,
        restore_threshold_minutes: 46,
        raises_alert: false,
        history_retention_minutes: 2000,
        copy_schedule: Schedule::all_day(20),
        restore_schedule: night,
        ..secondary_settings("o'brien]")
    };
    let changes = secondary_differences(&after, &entry.unwrap());
    assert_eq!(changes.len(), 11, "{changes:?}");
    let change = LogShippingAction::ChangeSecondary { settings: Box::new(after.clone()), changes };
    let (_, entry) = run(&secondary, change).await;
    assert_eq!(secondary_differences(&after, &entry.unwrap()), []);
}

#[tokio::test]
async fn an_alert_job_is_there_once_and_on_time() {
    let lab = Lab::new().await;
    let (primary, _, database) = shipped(&lab, "mgc").await;
    for every_seconds in [120, 300, 300] {
        let schedule = Schedule::all_day(every_seconds);
        let add = LogShippingAction::AddAlertJob { schedule };
        LogShippingJobs::run(&primary, &database, &add, &Unwatched).await.unwrap();
        let seen = primary.observe(std::slice::from_ref(&database)).await.unwrap();
        let job = seen.alert_job.known().unwrap().clone().unwrap();
        assert!(job.is_enabled);
        let schedules: Vec<_> = job.schedules.iter().map(|one| one.schedule).collect();
        assert_eq!(schedules, [Some(schedule)]);
    }
}

#[tokio::test]
async fn a_change_that_fails_half_way_is_changed_back() {
    let lab = Lab::new().await;
    let (primary, _, database) = shipped(&lab, "mgc").await;
    let add = LogShippingAction::AddPrimary(Box::new(primary_settings()));
    LogShippingJobs::run(&primary, &database, &add, &Unwatched).await.unwrap();
    // No schedule can carry this name, so the entry is changed and the schedule is not.
    let settings = PrimarySettings {
        backup_threshold_minutes: 61,
        schedule_name: "x".repeat(129),
        schedule: Schedule::all_day(60),
        ..primary_settings()
    };
    let change = LogShippingAction::ChangePrimary { settings: Box::new(settings), changes: vec![] };
    let error = LogShippingJobs::run(&primary, &database, &change, &Unwatched).await.unwrap_err();
    assert!(!error.found.contains("could not be taken back"), "{error}");
    let seen = primary.observe(std::slice::from_ref(&database)).await.unwrap();
    let entry = &seen.log_shipping_primary.known().unwrap()[&database];
    assert_eq!(primary_differences(&primary_settings(), entry), []);
}

#[tokio::test]
async fn a_configuration_that_fails_half_way_leaves_nothing_behind() {
    let lab = Lab::new().await;
    let (primary, _, database) = shipped(&lab, "mgc").await;
    // No schedule can carry this name, so the second of its steps fails.
    let settings = PrimarySettings { schedule_name: "x".repeat(129), ..primary_settings() };
    let add = LogShippingAction::AddPrimary(Box::new(settings));
    let error = LogShippingJobs::run(&primary, &database, &add, &Unwatched).await.unwrap_err();
    assert!(!error.found.contains("could not be taken back"), "{error}");
    let seen = primary.observe(&[database]).await.unwrap();
    assert!(seen.log_shipping_primary.known().unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_log_and_a_log_of_another_database_are_told_apart() {
    let lab = Lab::new().await;
    let (_, secondary, database) = shipped(&lab, "mgc").await;
    lab.sql(PRIMARY, "CREATE DATABASE other; ALTER DATABASE other SET RECOVERY FULL;")
        .await
        .unwrap();
    for batch in [
        "USE mgc; CREATE TABLE dbo.t (c int); INSERT dbo.t VALUES (1);",
        r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\mgc_1.trn';",
        "USE mgc; INSERT dbo.t VALUES (2);",
        r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\mgc_2.trn';",
        r"BACKUP DATABASE other TO DISK = N'\\FS1\backup\other.bak';",
        r"BACKUP LOG other TO DISK = N'\\FS1\backup\other_1.trn';",
    ] {
        lab.sql(PRIMARY, batch).await.unwrap();
    }
    let restore = async |file: &str| {
        let path = format!(r"\\FS1\backup\{file}");
        let action = DatabaseAction::RestoreLog { path, log: None };
        DatabaseInstance::run(&secondary, &database, &action, &Unwatched).await
    };
    let gap = restore("mgc_2.trn").await.unwrap_err();
    assert_eq!((gap.code, gap.number), (ErrorCode::LogGap, Some(4305)), "{gap}");
    let foreign = restore("other_1.trn").await.unwrap_err();
    assert_eq!(foreign.code, ErrorCode::WrongBackup, "{foreign}");
    let missing = restore("none.trn").await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::FileInaccessible, "{missing}");
    restore("mgc_1.trn").await.unwrap();
    restore("mgc_2.trn").await.unwrap();
    restore("mgc_1.trn").await.unwrap();
}

#[tokio::test]
async fn a_database_is_replaced_only_by_a_backup_of_itself() {
    let lab = Lab::new().await;
    let (_, secondary, database) = shipped(&lab, "mgc").await;
    lab.sql(PRIMARY, "CREATE DATABASE other;").await.unwrap();
    lab.sql(PRIMARY, r"BACKUP DATABASE other TO DISK = N'\\FS1\backup\other.bak';").await.unwrap();
    let path = r"\\FS1\backup\other.bak".to_owned();
    let restore = restore_full(path);
    let refused = DatabaseInstance::run(&secondary, &database, &restore, &Unwatched).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::WrongBackup);
}

#[tokio::test]
async fn every_session_in_a_database_is_ended_and_others_stay() {
    let lab = Lab::new().await;
    lab.sql(PRIMARY, "CREATE DATABASE mgc;").await.unwrap();
    let mut users = Vec::new();
    for batch in ["USE mgc;", "USE mgc;", "USE msdb;"] {
        let mut user = Connection::open(&lab.endpoint(PRIMARY)).await.unwrap();
        let change = Statement { batch: batch.to_owned(), kind: Kind::Change, secrets: Vec::new() };
        user.batch(&change, None).await.unwrap();
        users.push(user);
    }
    let instance = lab.instance(PRIMARY);
    let database = DatabaseName::from("mgc");
    let asked = std::slice::from_ref(&database);
    let seen = instance.observe(asked).await.unwrap();
    assert_eq!(seen.databases.known().unwrap()[&database].sessions.known().unwrap().len(), 2);
    let end = DatabaseAction::EndSessions;
    DatabaseInstance::run(&instance, &database, &end, &Unwatched).await.unwrap();
    let mut alive = Vec::new();
    for user in &mut users {
        alive.push(user.batch(&statement::check(), None).await.is_ok());
    }
    assert_eq!(alive, [false, false, true]);
}

#[tokio::test]
async fn an_endpoint_is_created_once_and_another_port_is_refused() {
    let lab = Lab::new().await;
    let instance = lab.instance(PRIMARY);
    let create = |port| DatabaseAction::CreateMirroringEndpoint {
        name: "Mirror]ing".to_owned(),
        port,
        accounts: vec![r"EXAMPLE\o'brien".to_owned()],
    };
    let database = DatabaseName::from("mgc");
    for _ in 0..2 {
        DatabaseInstance::run(&instance, &database, &create(5022), &Unwatched).await.unwrap();
    }
    let seen = instance.observe(&[]).await.unwrap();
    let endpoint = seen.mirroring_endpoint.known().unwrap().clone().unwrap();
    assert_eq!((endpoint.name.as_str(), endpoint.port), ("Mirror]ing", 5022));
    assert!(endpoint.is_started && endpoint.allows_partner && endpoint.allows_witness);
    let refused = DatabaseInstance::run(&instance, &database, &create(5023), &Unwatched).await;
    assert_eq!(refused.unwrap_err().code, ErrorCode::Mirroring);
}

#[tokio::test]
async fn a_mirroring_session_is_set_up_synchronized_and_failed_over() {
    let lab = Lab::new().await;
    let (primary, secondary, database) = shipped(&lab, "mgc").await;
    let run = async |instance: &SqlInstance, action: DatabaseAction| {
        DatabaseInstance::run(instance, &database, &action, &Unwatched).await?;
        DatabaseInstance::run(instance, &database, &action, &Unwatched).await
    };
    for instance in [&primary, &secondary] {
        let accounts = Vec::new();
        let create = DatabaseAction::CreateMirroringEndpoint {
            name: "Mirroring".to_owned(),
            port: 5022,
            accounts,
        };
        run(instance, create).await.unwrap();
    }
    let address = |name: &str| format!("TCP://{}:5022", InstanceConfig::new(name, "east").fqdn);
    let partner = |name: &str| DatabaseAction::SetPartner { address: address(name) };
    let log = r"\\FS1\backup\mgc_1.trn".to_owned();
    run(&primary, DatabaseAction::BackUpLog { path: log.clone() }).await.unwrap();
    run(&secondary, DatabaseAction::RestoreLog { path: log, log: None }).await.unwrap();
    DatabaseInstance::run(&secondary, &database, &partner(PRIMARY), &Unwatched).await.unwrap();
    run(&primary, partner(SECONDARY)).await.unwrap();
    run(&primary, DatabaseAction::AwaitSynchronized).await.unwrap();
    run(&primary, DatabaseAction::FailOverMirror).await.unwrap();
    let seen = secondary.observe(std::slice::from_ref(&database)).await.unwrap();
    let copy = &seen.databases.known().unwrap()[&database];
    assert_eq!(copy.mirroring_role(), Some(MirroringRole::Principal));
}

#[tokio::test]
async fn a_refused_login_a_lost_server_and_a_damaged_file_have_codes_of_their_own() {
    let lab = Lab::new().await;
    let (_, secondary, database) = shipped(&lab, "mgc").await;
    lab.sql(PRIMARY, r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\mgc_1.trn';").await.unwrap();
    lab.world.truncate_file(PRIMARY, r"\\FS1\backup\mgc_1.trn", 700).unwrap();
    let path = r"\\FS1\backup\mgc_1.trn".to_owned();
    let restore = DatabaseAction::RestoreLog { path, log: None };
    let damaged = DatabaseInstance::run(&secondary, &database, &restore, &Unwatched).await;
    let damaged = damaged.unwrap_err();
    assert_eq!(damaged.code, ErrorCode::BackupDamaged, "{damaged}");

    let mut endpoint = lab.endpoint(PRIMARY);
    endpoint.credentials = sa("not the password");
    let stranger = SqlInstance::new("sql1".into(), endpoint, Limits::default());
    let refused = stranger.observe(&[]).await.unwrap_err();
    assert_eq!((refused.code, refused.number), (ErrorCode::LoginFailed, Some(18456)));

    lab.world.lose_instance(SECONDARY);
    let lost = secondary.observe(&[]).await.unwrap_err();
    assert_eq!(lost.code, ErrorCode::Unreachable, "{lost}");
}

#[tokio::test]
async fn what_a_release_does_not_tell_is_unknown_by_itself() {
    for (version, is_told) in [((11, 0, 7001), false), ((12, 0, 6024), true), ((16, 0, 4236), true)]
    {
        let lab = Lab::of(version).await;
        lab.sql(PRIMARY, "CREATE DATABASE mgc;").await.unwrap();
        lab.sql(PRIMARY, r"BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\mgc.bak';").await.unwrap();
        lab.sql(PRIMARY, r"BACKUP LOG mgc TO DISK = N'\\FS1\backup\mgc.trn';").await.unwrap();
        let seen = lab.instance(PRIMARY).observe(&["mgc".into()]).await.unwrap();
        let copy = &seen.databases.known().unwrap()[&DatabaseName::from("mgc")];
        match &copy.log_since_backup_bytes {
            Known::Known(_) => assert!(is_told, "{version:?}"),
            Known::Unknown(reason) => {
                assert!(!is_told, "{version:?}: {reason}");
                assert!(
                    reason.message.contains("log_space_in_bytes_since_last_backup"),
                    "{reason}"
                );
            }
        }
        let taken = copy.log_backups_taken.known().unwrap();
        assert_eq!(taken.len(), 1, "{version:?}");
        assert_eq!(taken[0].path.as_deref(), Some(r"\\FS1\backup\mgc.trn"));
        let position = copy.log_position.known().unwrap();
        assert_eq!(Some(taken[0].last_lsn), position.last_log_backup_lsn);
        assert!(taken[0].started_at <= taken[0].finished_at && taken[0].size_bytes > 0);
    }
}
