//! Log shipping: the procedures, the entries, the jobs, the alert job, the monitor.

use pcdr_core::Guid;
use pcdr_core::observation::MonitorAuthentication;
use pcdr_core::schedule::Schedule;
use pcdr_core::settings::{Compression, Monitor, PrimarySettings, RestoreMode, SecondarySettings};
use pcdr_core::step::LogShippingAction;
use pcdr_core::topology::{Authentication, SecretSource};
use pcdr_sql::Password;
use pcdr_sql::connection::{ResultSet, Row};
use pcdr_sql::statement::log_shipping;

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of log shipping.
pub const CHECKS: &[Check] = &[
    check!(
        every_statement_of_log_shipping_is_carried_out,
        needs: [LogShipping, Sysadmin],
        decides: [],
        carries_out: &[
            "log_shipping::primary_secondaries", "log_shipping::secondary_databases",
            "log_shipping::primary", "log_shipping::add_primary", "log_shipping::add_alert_job",
            "log_shipping::change_primary", "log_shipping::alert_job",
            "log_shipping::change_secondary_primary", "log_shipping::change_secondary_database",
            "log_shipping::delete_primary", "log_shipping::primary_secondary",
            "log_shipping::add_primary_secondary", "log_shipping::delete_primary_secondary",
            "log_shipping::delete_alert_job", "log_shipping::secondary",
            "log_shipping::secondary_primary", "log_shipping::add_secondary_primary",
            "log_shipping::add_secondary_database", "log_shipping::delete_secondary_database",
            "log_shipping::delete_secondary_primary",
        ]
    ),
    check!(the_jobs_of_an_entry_come_disabled_and_without_a_schedule, needs: [LogShipping, Sysadmin], decides: []),
    check!(an_alert_job_that_is_there_is_kept, needs: [LogShipping, Sysadmin], decides: ["A25"]),
    check!(a_secondary_without_a_monitor_gets_an_alert_job, needs: [LogShipping, Sysadmin], decides: ["A26"]),
    check!(the_last_secondary_database_takes_the_jobs_along, needs: [LogShipping, Sysadmin], decides: ["A27"]),
    check!(a_copy_that_is_not_online_cannot_become_a_primary, needs: [Folders, LogShipping, Sysadmin], decides: ["A28"]),
    check!(the_backup_job_names_its_file_after_the_database_and_the_time_in_utc, needs: [Folders, LogShipping, Agent, Sysadmin], decides: ["A29"]),
    check!(the_jobs_ship_the_log_and_the_tables_follow, needs: [Folders, LogShipping, Agent, Sysadmin], decides: ["A30"]),
    check!(a_job_with_nothing_to_do_succeeds, needs: [Folders, LogShipping, Agent, Sysadmin], decides: ["A31"]),
    check!(a_monitor_gets_a_row_for_primary_and_secondary, needs: [LogShipping, Sysadmin, Monitor], decides: ["A32"]),
    check!(a_linked_server_tells_with_which_login_a_monitor_is_reported_to, needs: [LogShipping, Sysadmin, Monitor], decides: ["A40"]),
    check!(a_monitor_that_does_not_let_the_login_in_is_error_32054, needs: [LogShipping, Sysadmin, Monitor], decides: ["A41"]),
];

fn primary_settings(servers: &Servers) -> PrimarySettings {
    let share = servers.topology.backup_share().unc.clone();
    PrimarySettings {
        backup_directory: share.clone(),
        backup_share: share,
        backup_job_name: format!("LSBackup_{}", servers.scratch),
        backup_retention_minutes: 4_320,
        backup_compression: Compression::Instance,
        backup_threshold_minutes: 60,
        raises_alert: true,
        history_retention_minutes: 5_760,
        monitor: None,
        connection_options: None,
        schedule_name: format!("LSBackupSchedule_{}", servers.scratch),
        schedule: Schedule::all_day(43_200),
    }
}

fn secondary_settings(servers: &Servers) -> SecondarySettings {
    let scratch = &servers.scratch;
    SecondarySettings {
        primary_server: servers.facts["primary"].server_name.clone(),
        primary_database: servers.database.clone(),
        backup_source_directory: servers.topology.backup_share().unc.clone(),
        backup_destination_directory: servers.topology.copy_share().unc.clone(),
        copy_job_name: format!("LSCopy_{scratch}"),
        restore_job_name: format!("LSRestore_{scratch}"),
        file_retention_minutes: 4_320,
        monitor: None,
        connection_options: None,
        restore_delay_minutes: 0,
        restore_mode: RestoreMode::NoRecovery,
        disconnect_users: false,
        restore_threshold_minutes: 45,
        raises_alert: true,
        history_retention_minutes: 5_760,
        copy_schedule_name: format!("LSCopySchedule_{scratch}"),
        copy_schedule: Schedule::all_day(43_200),
        restore_schedule_name: format!("LSRestoreSchedule_{scratch}"),
        restore_schedule: Schedule::all_day(43_200),
    }
}

/// The last row, which has the return code.
fn returned(sets: &[ResultSet]) -> &Row {
    let row = &sets.last().unwrap().rows[0];
    assert_eq!(row.get::<i32>("return_code").unwrap(), 0);
    row
}

async fn count(servers: &Servers, on: &str, from: &str) -> i32 {
    servers.row(on, &format!("SELECT COUNT(*) AS n FROM {from};")).await.get("n").unwrap()
}

async fn job_exists(servers: &Servers, on: &str, job: Guid) -> bool {
    count(servers, on, &format!("msdb.dbo.sysjobs AS j WHERE j.job_id = '{job}'")).await > 0
}

async fn every_statement_of_log_shipping_is_carried_out(servers: &Servers) {
    servers.create_database().await;
    let name = servers.scratch.as_str();
    let server = servers.facts["secondary"].server_name.clone();
    let settings = secondary_settings(servers);

    carry_out!(servers, "primary", log_shipping::primary_secondaries(name));
    let from = servers.topology.primary().server_name.clone();
    carry_out!(servers, "secondary", log_shipping::secondary_databases(&from, name));
    let sets = carry_out!(servers, "primary", log_shipping::primary(name));
    assert!(sets[0].rows.is_empty());
    let sets = carry_out!(
        servers,
        "primary",
        log_shipping::add_primary(name, &primary_settings(servers), None)
    );
    let job: Guid = returned(&sets).get("backup_job_id").unwrap();
    returned(&carry_out!(servers, "primary", log_shipping::add_alert_job()));
    let sets = carry_out!(servers, "primary", log_shipping::primary(name));
    assert_eq!(sets[0].rows[0].get::<Guid>("backup_job_id").unwrap(), job);
    let sets = carry_out!(servers, "primary", log_shipping::alert_job());
    assert_eq!(sets[0].rows.len(), 1);
    let changed = PrimarySettings { backup_threshold_minutes: 61, ..primary_settings(servers) };
    returned(&carry_out!(servers, "primary", log_shipping::change_primary(name, &changed, None)));
    let seen = servers.observe("primary").await;
    let entry = seen.log_shipping_primary.known().unwrap()[&servers.database].clone();
    assert_eq!(entry.backup_retention_minutes, 4_320);
    assert_eq!(entry.backup_threshold_minutes, Some(61));
    assert_eq!(entry.history_retention_minutes, Some(5_760));
    returned(&carry_out!(
        servers,
        "primary",
        log_shipping::add_primary_secondary(name, &server, name)
    ));
    let sets = carry_out!(servers, "primary", log_shipping::primary_secondary(name, &server, name));
    assert_eq!(sets[0].rows[0].get::<String>("secondary_server").unwrap(), server);

    let parent = &settings.primary_server;
    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::add_secondary_primary(&settings, None)
    ));
    let sets = carry_out!(servers, "secondary", log_shipping::secondary_primary(parent, name));
    assert_eq!(sets[0].rows.len(), 1);
    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::delete_secondary_primary(parent, name)
    ));
    let sets = carry_out!(servers, "secondary", log_shipping::secondary_primary(parent, name));
    assert!(sets[0].rows.is_empty());

    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::add_secondary_primary(&settings, None)
    ));
    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::add_secondary_database(name, &settings)
    ));
    let sets = carry_out!(servers, "secondary", log_shipping::secondary(name));
    assert_eq!(sets[0].rows.len(), 1);
    let changed = SecondarySettings {
        file_retention_minutes: 4_000,
        restore_delay_minutes: 5,
        ..settings.clone()
    };
    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::change_secondary_primary(&changed, None)
    ));
    returned(&carry_out!(
        servers,
        "secondary",
        log_shipping::change_secondary_database(name, &changed)
    ));
    let seen = servers.observe("secondary").await;
    let entry = seen.log_shipping_secondary.known().unwrap()[&servers.database].clone();
    assert_eq!(entry.primary_server, settings.primary_server);
    assert_eq!(entry.file_retention_minutes, Some(4_000));
    assert_eq!(entry.restore_mode, Some(RestoreMode::NoRecovery));
    assert_eq!(entry.restore_delay_minutes, 5);
    assert_eq!(entry.restore_threshold_minutes, Some(45));
    returned(&carry_out!(servers, "secondary", log_shipping::delete_secondary_database(name)));
    let sets = carry_out!(servers, "secondary", log_shipping::secondary(name));
    assert!(sets[0].rows.is_empty());

    returned(&carry_out!(
        servers,
        "primary",
        log_shipping::delete_primary_secondary(name, &server, name)
    ));
    let sets = carry_out!(servers, "primary", log_shipping::primary_secondary(name, &server, name));
    assert!(sets[0].rows.is_empty());
    returned(&carry_out!(servers, "primary", log_shipping::delete_primary(name)));
    returned(&carry_out!(servers, "primary", log_shipping::delete_alert_job()));
    assert!(!job_exists(servers, "primary", job).await);
}

async fn the_jobs_of_an_entry_come_disabled_and_without_a_schedule(servers: &Servers) {
    servers.create_database().await;
    let name = servers.scratch.as_str();
    let add = log_shipping::add_primary(name, &primary_settings(servers), None).unwrap();
    let sets = servers.sql("primary", &add.batch).await;
    let backup: Guid = returned(&sets).get("backup_job_id").unwrap();
    let add = log_shipping::add_secondary_primary(&secondary_settings(servers), None).unwrap();
    let sets = servers.sql("secondary", &add.batch).await;
    let (copy, restore): (Guid, Guid) = (
        returned(&sets).get("copy_job_id").unwrap(),
        returned(&sets).get("restore_job_id").unwrap(),
    );
    for (on, job) in [("primary", backup), ("secondary", copy), ("secondary", restore)] {
        let enabled = format!("msdb.dbo.sysjobs AS j WHERE j.job_id = '{job}' AND j.enabled = 0");
        assert_eq!(count(servers, on, &enabled).await, 1, "{on}");
        let schedules = format!("msdb.dbo.sysjobschedules AS s WHERE s.job_id = '{job}'");
        assert_eq!(count(servers, on, &schedules).await, 0, "{on}");
    }
}

/// The jobs whose step looks for late primaries and secondaries.
const ALERT_JOBS: &str = "msdb.dbo.sysjobs AS j JOIN msdb.dbo.sysjobsteps AS s ON s.job_id = j.job_id \
    WHERE s.command LIKE N'%sp_check_log_shipping_monitor_alert%'";

async fn an_alert_job_that_is_there_is_kept(servers: &Servers) {
    for _ in 0..3 {
        let sets = servers.sql("primary", &log_shipping::add_alert_job().batch).await;
        returned(&sets);
        assert_eq!(count(servers, "primary", ALERT_JOBS).await, 1);
    }
    let enabled = format!("{ALERT_JOBS} AND j.enabled = 1 AND s.subsystem = N'TSQL'");
    assert_eq!(count(servers, "primary", &enabled).await, 1);
}

async fn a_secondary_without_a_monitor_gets_an_alert_job(servers: &Servers) {
    let settings = secondary_settings(servers);
    let add = log_shipping::add_secondary_primary(&settings, None).unwrap();
    returned(&servers.sql("secondary", &add.batch).await);
    let add = log_shipping::add_secondary_database(&servers.scratch, &settings).unwrap();
    returned(&servers.sql("secondary", &add.batch).await);
    assert_eq!(count(servers, "secondary", ALERT_JOBS).await, 1);
}

async fn the_last_secondary_database_takes_the_jobs_along(servers: &Servers) {
    let settings = secondary_settings(servers);
    servers.ship("secondary", LogShippingAction::AddSecondary(Box::new(settings))).await;
    let sets =
        servers.sql("secondary", &log_shipping::secondary(&servers.scratch).unwrap().batch).await;
    let jobs: Vec<Guid> =
        ["copy_job_id", "restore_job_id"].map(|column| sets[0].rows[0].get(column).unwrap()).into();
    for job in &jobs {
        assert!(job_exists(servers, "secondary", *job).await);
    }
    servers.ship("secondary", LogShippingAction::RemoveSecondary).await;
    for job in jobs {
        assert!(!job_exists(servers, "secondary", job).await);
    }
    let parent = format!(
        "msdb.dbo.log_shipping_secondary AS s WHERE s.primary_database = {}",
        servers.literal()
    );
    assert_eq!(count(servers, "secondary", &parent).await, 0);
}

async fn a_copy_that_is_not_online_cannot_become_a_primary(servers: &Servers) {
    servers.initialise("secondary").await;
    let add =
        log_shipping::add_primary(&servers.scratch, &primary_settings(servers), None).unwrap();
    assert_eq!(servers.sql_error("secondary", &add.batch).await, 32007);
    let entry = format!(
        "msdb.dbo.log_shipping_primary_databases AS p WHERE p.primary_database = {}",
        servers.literal()
    );
    assert_eq!(count(servers, "secondary", &entry).await, 0);
}

/// Log shipping from the primary to a copy on the secondary.
pub(super) async fn set_up(servers: &Servers) {
    servers.initialise("secondary").await;
    let settings = primary_settings(servers);
    servers.ship("primary", LogShippingAction::AddPrimary(Box::new(settings))).await;
    let settings = secondary_settings(servers);
    servers.ship("secondary", LogShippingAction::AddSecondary(Box::new(settings))).await;
    let register = LogShippingAction::AddPrimarySecondary {
        secondary_server: servers.facts["secondary"].server_name.clone(),
        secondary_database: servers.database.clone(),
    };
    servers.ship("primary", register).await;
}

async fn the_backup_job_names_its_file_after_the_database_and_the_time_in_utc(servers: &Servers) {
    const TOLERANCE_SECONDS: i64 = 300;
    set_up(servers).await;
    let made = |files: &[String]| -> Vec<String> {
        let digits = |name: &String| {
            let rest = name.strip_prefix(&format!("{}_", servers.scratch))?.strip_suffix(".trn")?;
            (rest.len() == 14 && rest.bytes().all(|b| b.is_ascii_digit())).then(|| rest.to_owned())
        };
        files.iter().filter_map(digits).collect()
    };
    assert!(made(&servers.files(&servers.backup_mount())).is_empty());
    servers.write("primary", 10..13).await;
    servers.ship("primary", LogShippingAction::RunBackupJob).await;
    let files = servers.files(&servers.backup_mount());
    let times = made(&files);
    assert_eq!(times.len(), 1, "{files:?}");
    assert!(files.iter().all(|name| !name.ends_with(".wrk")), "{files:?}");
    let now = servers
        .row("primary", "SELECT CONVERT(nvarchar(19), GETUTCDATE(), 120) AS now;")
        .await
        .get::<String>("now")
        .unwrap();
    let seconds = |digits: &str| {
        let part = |from: usize, to: usize| digits[from..to].parse::<i64>().unwrap();
        // Days are enough of a calendar: both times are within minutes of each other.
        ((part(6, 8) * 24 + part(8, 10)) * 60 + part(10, 12)) * 60 + part(12, 14)
    };
    let now: String = now.chars().filter(char::is_ascii_digit).collect();
    let apart = (seconds(&now) - seconds(&times[0])).rem_euclid(31 * 86_400);
    assert!(apart <= TOLERANCE_SECONDS, "{} is {apart} s before {now}", times[0]);
}

async fn the_jobs_ship_the_log_and_the_tables_follow(servers: &Servers) {
    set_up(servers).await;
    servers.write("primary", 10..14).await;
    servers.ship("primary", LogShippingAction::RunBackupJob).await;
    servers.ship("secondary", LogShippingAction::RunCopyJob).await;
    servers.ship("secondary", LogShippingAction::RunRestoreJob).await;

    let seen = servers.observe("primary").await;
    let entry = seen.log_shipping_primary.known().unwrap()[&servers.database].clone();
    let file = entry.last_backup_file.expect("the table names the newest log backup");
    assert!(entry.last_backup_at.is_some());
    let name = |path: &str| path.rsplit(['\\', '/']).next().unwrap_or(path).to_lowercase();
    let seen = servers.observe("secondary").await;
    let entry = seen.log_shipping_secondary.known().unwrap()[&servers.database].clone();
    assert_eq!(entry.last_copied_file.as_deref().map(name), Some(name(&file)));
    assert_eq!(entry.last_restored_file.as_deref().map(name), Some(name(&file)));
    assert!(entry.last_restored_at.is_some());
    for job in [entry.copy_job, entry.restore_job] {
        let job = job.known().cloned().unwrap();
        assert!(job.is_enabled && !job.is_running, "{job:?}");
        assert_eq!(job.last_run_status, Some(1));
    }
    let header = servers.header("secondary", &servers.in_backups(&name_of(&file))).await;
    let position = servers.copy("secondary").await.log_position.known().copied().unwrap();
    assert_eq!(position.redo_start_lsn, Some(header.last_lsn));
    let listed = servers.ports.files.list(&servers.database, &[]).await.unwrap();
    let copied = listed.copied.known().cloned().unwrap();
    assert!(copied.iter().any(|file| file.name == name_of(&header_file(&listed, header.last_lsn))));
    // The monitor's rows of a primary and a secondary without a monitor are their own.
    let literal = servers.literal();
    for (on, row) in [
        (
            "primary",
            format!(
                "msdb.dbo.log_shipping_monitor_primary AS m WHERE m.primary_database = {literal} AND m.last_backup_file IS NOT NULL"
            ),
        ),
        (
            "secondary",
            format!(
                "msdb.dbo.log_shipping_monitor_secondary AS m WHERE m.secondary_database = {literal} AND m.last_restored_file IS NOT NULL"
            ),
        ),
    ] {
        assert_eq!(count(servers, on, &row).await, 1, "{on}");
    }
}

fn name_of(path: &str) -> String {
    path.rsplit(['\\', '/']).next().unwrap_or(path).to_owned()
}

/// The file in the backup folder that ends at a position.
fn header_file(files: &pcdr_core::observation::LogBackupFiles, last_lsn: pcdr_core::Lsn) -> String {
    let ends_there = |file: &&pcdr_core::backup::BackupFile| {
        file.header.known().is_some_and(|header| header.last_lsn == last_lsn)
    };
    files.share.known().unwrap().iter().find(ends_there).unwrap().name.clone()
}

async fn a_job_with_nothing_to_do_succeeds(servers: &Servers) {
    set_up(servers).await;
    let before = servers.copy("secondary").await.log_position;
    for _ in 0..2 {
        servers.ship("secondary", LogShippingAction::RunCopyJob).await;
        servers.ship("secondary", LogShippingAction::RunRestoreJob).await;
    }
    assert_eq!(servers.copy("secondary").await.log_position, before);
}

async fn a_monitor_gets_a_row_for_primary_and_secondary(servers: &Servers) {
    servers.create_database().await;
    let monitor = Some(Monitor {
        server: servers.facts["monitor"].server_name.clone(),
        login: None,
        connection_options: None,
    });
    let settings = PrimarySettings { monitor: monitor.clone(), ..primary_settings(servers) };
    let add = log_shipping::add_primary(&servers.scratch, &settings, None).unwrap().batch;
    returned(&servers.sql("primary", &add).await);
    let settings = SecondarySettings { monitor, ..secondary_settings(servers) };
    let add = log_shipping::add_secondary_primary(&settings, None).unwrap().batch;
    returned(&servers.sql("secondary", &add).await);
    let add = log_shipping::add_secondary_database(&servers.scratch, &settings).unwrap().batch;
    returned(&servers.sql("secondary", &add).await);
    let literal = servers.literal();
    for row in [
        format!(
            "msdb.dbo.log_shipping_monitor_primary AS m WHERE m.primary_database = {literal} AND m.backup_threshold = 60"
        ),
        format!(
            "msdb.dbo.log_shipping_monitor_secondary AS m WHERE m.secondary_database = {literal} AND m.restore_threshold = 45"
        ),
    ] {
        assert_eq!(count(servers, "monitor", &row).await, 1, "{row}");
    }
    assert_eq!(count(servers, "monitor", ALERT_JOBS).await, 1);
}

/// A monitor that is reported to with the suite's own login, and where its password is.
fn reporting(servers: &Servers) -> (PrimarySettings, String, SecretSource) {
    let Authentication::SqlLogin { login, password } =
        &servers.topology.connection().authentication
    else {
        panic!("the suite logs in with a SQL Server login")
    };
    let monitor = Some(Monitor {
        server: servers.facts["monitor"].server_name.clone(),
        login: Some(login.clone()),
        connection_options: None,
    });
    let settings = PrimarySettings { monitor, ..primary_settings(servers) };
    (settings, login.clone(), password.clone())
}

async fn a_linked_server_tells_with_which_login_a_monitor_is_reported_to(servers: &Servers) {
    servers.create_database().await;
    let (settings, login, source) = reporting(servers);
    let password = Password::read(&source).unwrap();
    let add = log_shipping::add_primary(&servers.scratch, &settings, Some(&password)).unwrap();
    returned(&servers.carry_out("primary", "log_shipping::add_primary", &add).await);
    let seen = servers.observe("primary").await;
    let entries = seen.log_shipping_primary.known().unwrap();
    let entry = entries.get(&servers.scratch.as_str().into()).unwrap();
    let expected = MonitorAuthentication::SqlServer { login: Some(login) };
    assert_eq!(entry.monitor_authentication, Some(expected));
}

async fn a_monitor_that_does_not_let_the_login_in_is_error_32054(servers: &Servers) {
    servers.create_database().await;
    let (settings, ..) = reporting(servers);
    // A login that is nowhere locks nobody out.
    let login = Some(servers.scratch.clone());
    let monitor = settings.monitor.clone().map(|monitor| Monitor { login, ..monitor });
    let settings = PrimarySettings { monitor, ..settings };
    let password = Password::new("not the password of anybody");
    let add = log_shipping::add_primary(&servers.scratch, &settings, Some(&password)).unwrap();
    assert_eq!(servers.refused("primary", &add).await, 32_054);
    let literal = servers.literal();
    let entry = format!(
        "msdb.dbo.log_shipping_primary_databases AS p WHERE p.primary_database = {literal}"
    );
    assert_eq!(count(servers, "primary", &entry).await, 0);
}
