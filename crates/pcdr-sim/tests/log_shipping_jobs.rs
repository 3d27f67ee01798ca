//! Log shipping as its documentation describes it: set-up, jobs that run, failures, removal.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use pcdr_sim::engine::session::{Instance, SessionHost};
use pcdr_sim::engine::state::InstanceConfig;
use pcdr_sim::engine::world::World;
use pcdr_sim::front::Login;
use pcdr_sim::message::{SqlFailure, SqlMessage};
use pcdr_sim::tsql::ast::{Admin, Backup, BackupKind, BackupOption, ObjectName, Restore};
use pcdr_sim::tsql::host::{Argument, CallResult, Host, Sink};
use pcdr_sim::value::{Relation, SqlType, Value};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Collected {
    results: Vec<Relation>,
    messages: Vec<i32>,
}

#[async_trait]
impl Sink for Collected {
    async fn result(&mut self, relation: Relation, _command: u16) {
        self.results.push(relation);
    }
    async fn message(&mut self, message: SqlMessage) {
        self.messages.push(message.number);
    }
}

fn name(text: &str) -> ObjectName {
    let mut parts: Vec<String> = text.split('.').map(str::to_owned).collect();
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop().unwrap_or_default();
    let database = parts.pop().unwrap_or_default();
    ObjectName { server: String::new(), database, schema, name }
}

struct Client {
    host: SessionHost,
}

impl Client {
    async fn open(instance: &Instance) -> Client {
        Client::of(instance, "sa", "Sa-Passw0rd!").await.expect("sa logs in")
    }

    async fn of(instance: &Instance, user: &str, password: &str) -> Result<Client, SqlFailure> {
        let login = Login {
            host_name: "TEST".to_owned(),
            user_name: user.to_owned(),
            password: password.to_owned(),
            access_token: None,
            application_name: "test".to_owned(),
            database: String::new(),
            interface_name: "test".to_owned(),
            read_only_intent: false,
            process_id: 1,
            connection: Default::default(),
        };
        instance.open(&login).await.map(|host| Client { host })
    }

    async fn exec(
        &mut self,
        procedure: &str,
        given: &[(&str, Value)],
    ) -> Result<(CallResult, Collected), SqlFailure> {
        let procedure = name(procedure);
        let parameters =
            self.host.procedure(&procedure).unwrap_or_else(|| panic!("no procedure {procedure:?}"));
        for (wanted, _) in given {
            assert!(parameters.iter().any(|p| p.name == *wanted), "{procedure:?} has no {wanted}");
        }
        let arguments = parameters
            .into_iter()
            .map(|p| {
                let value = given.iter().find(|(n, _)| *n == p.name).map(|(_, v)| v.clone());
                Argument {
                    given: value.is_some(),
                    value: value.or(p.default).unwrap_or_else(|| panic!("{} is required", p.name)),
                    name: p.name,
                }
            })
            .collect();
        let mut sink = Collected::default();
        self.host.begin_request("EXECUTE", "", CancellationToken::new());
        let result = self.host.call(&procedure, arguments, &mut sink).await;
        self.host.end_request();
        result.map(|r| (r, sink))
    }

    async fn done(&mut self, procedure: &str, given: &[(&str, Value)]) -> CallResult {
        self.exec(procedure, given).await.unwrap_or_else(|e| panic!("{procedure}: {e}")).0
    }

    async fn error(&mut self, procedure: &str, given: &[(&str, Value)]) -> i32 {
        match self.exec(procedure, given).await {
            Ok(_) => 0,
            Err(e) => e.cause().number,
        }
    }

    async fn admin(&mut self, statement: Admin) -> Result<u16, SqlFailure> {
        self.host.begin_request("ADMIN", "", CancellationToken::new());
        let result = self.host.admin(statement, &mut Collected::default()).await;
        self.host.end_request();
        result
    }

    fn rows(&self, table: &str) -> Vec<BTreeMap<String, Value>> {
        let relation =
            self.host.relation(&name(table), None).unwrap_or_else(|e| panic!("{table}: {e}"));
        let names: Vec<String> = relation.columns.iter().map(|c| c.name.to_string()).collect();
        relation.rows.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect()
    }

    fn count(&self, table: &str) -> usize {
        self.rows(table).len()
    }

    async fn backup(&mut self, kind: BackupKind, database: &str, device: &str) {
        self.admin(Admin::Backup(Backup {
            kind,
            database: database.to_owned(),
            devices: vec![device.to_owned().into()],
            options: Vec::new(),
        }))
        .await
        .unwrap_or_else(|e| panic!("backup: {e}"));
    }
}

fn s(text: &str) -> Value {
    Value::string(text)
}

fn output(result: &CallResult, name: &str) -> Value {
    result.outputs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or(Value::Null)
}

fn text(row: &BTreeMap<String, Value>, column: &str) -> String {
    match row.get(column) {
        Some(Value::String(text)) => text.to_string(),
        Some(Value::Null) => String::new(),
        other => format!("{other:?}"),
    }
}

struct Pair {
    _folder: tempfile::TempDir,
    world: World,
    a: Instance,
    b: Instance,
    backup_job: Value,
    copy_job: Value,
    restore_job: Value,
}

const EVERY_15_MINUTES: &[(&str, i32)] = &[
    ("@freq_type", 4),
    ("@freq_interval", 1),
    ("@freq_subday_type", 4),
    ("@freq_subday_interval", 15),
];

async fn schedule(client: &mut Client, job: &Value) {
    let mut given = vec![("@schedule_name", s("every 15 minutes"))];
    given.extend(EVERY_15_MINUTES.iter().map(|(n, v)| (*n, Value::Int(*v))));
    let made = client.done("msdb.dbo.sp_add_schedule", &given).await;
    let id = output(&made, "@schedule_id");
    client
        .done("msdb.dbo.sp_attach_schedule", &[("@job_id", job.clone()), ("@schedule_id", id)])
        .await;
    client
        .done(
            "msdb.dbo.sp_update_job",
            &[("@job_id", job.clone()), ("@enabled", Value::TinyInt(1))],
        )
        .await;
}

/// Two sites with one database shipped from A to B, in the documented order.
async fn pair() -> Pair {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(folder.path(), 7, "2026-11-20T08:01:00Z".parse().expect("a time"))
        .expect("a world");
    world.add_site("one");
    world.add_site("two");
    world.link("one", "two", Duration::from_millis(5), 100_000_000);
    let a = world.add_instance(InstanceConfig::new("DB-A", "one")).expect("A");
    let b = world.add_instance(InstanceConfig::new("DB-B", "two")).expect("B");
    world.add_share("FS", "logs", "one").expect("a share");
    let mut on_a = Client::open(&a).await;
    let mut on_b = Client::open(&b).await;
    on_a.admin(Admin::CreateDatabase { name: "mgc".to_owned(), files: Vec::new() })
        .await
        .expect("mgc");
    on_a.backup(BackupKind::Database, "mgc", r"\\FS\logs\mgc.bak").await;
    on_b.admin(Admin::Restore(Restore {
        kind: BackupKind::Database,
        database: "mgc".to_owned(),
        devices: vec![r"\\FS\logs\mgc.bak".to_owned().into()],
        options: vec![BackupOption::Flag("NORECOVERY".to_owned())],
    }))
    .await
    .expect("restored");
    on_b.done("master.sys.xp_create_subdir", &[("@path", s(r"D:\copied"))]).await;
    let added = on_a
        .done(
            "master.dbo.sp_add_log_shipping_primary_database",
            &[
                ("@database", s("mgc")),
                ("@backup_directory", s(r"\\FS\logs")),
                ("@backup_share", s(r"\\FS\logs")),
                ("@backup_job_name", s("LSBackup_mgc")),
                ("@backup_retention_period", Value::Int(4320)),
                ("@threshold_alert_enabled", Value::Bit(true)),
            ],
        )
        .await;
    let backup_job = output(&added, "@backup_job_id");
    schedule(&mut on_a, &backup_job).await;
    on_a.done("master.dbo.sp_add_log_shipping_alert_job", &[]).await;
    on_a.done(
        "master.dbo.sp_add_log_shipping_primary_secondary",
        &[
            ("@primary_database", s("mgc")),
            ("@secondary_server", s("DB-B")),
            ("@secondary_database", s("mgc")),
        ],
    )
    .await;
    let added = on_b
        .done(
            "master.dbo.sp_add_log_shipping_secondary_primary",
            &[
                ("@primary_server", s("DB-A")),
                ("@primary_database", s("mgc")),
                ("@backup_source_directory", s(r"\\FS\logs")),
                ("@backup_destination_directory", s(r"D:\copied")),
                ("@copy_job_name", s("LSCopy_DB-A_mgc")),
                ("@restore_job_name", s("LSRestore_DB-A_mgc")),
            ],
        )
        .await;
    let copy_job = output(&added, "@copy_job_id");
    let restore_job = output(&added, "@restore_job_id");
    on_b.done(
        "sys.sp_add_log_shipping_secondary_database",
        &[
            ("@secondary_database", s("mgc")),
            ("@primary_server", s("DB-A")),
            ("@primary_database", s("mgc")),
            ("@threshold_alert", Value::Int(14_421)),
        ],
    )
    .await;
    Pair { _folder: folder, world, a, b, backup_job, copy_job, restore_job }
}

async fn run_job(client: &mut Client, job: &Value) -> BTreeMap<String, Value> {
    let outcomes = |client: &Client| -> Vec<BTreeMap<String, Value>> {
        let all = client.rows("msdb.dbo.sysjobhistory");
        all.into_iter().filter(|r| r["step_id"] == Value::Int(0) && r["job_id"] == *job).collect()
    };
    let before = outcomes(client).len();
    client.done("msdb.dbo.sp_start_job", &[("@job_id", job.clone())]).await;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let after = outcomes(client);
        if after.len() > before {
            return after[after.len() - 1].clone();
        }
    }
    panic!("the job did not end within a minute");
}

/// Makes the primary database write log.
fn write_log(p: &Pair) {
    let now = p.world.now();
    let mut state = p.world.lock();
    let instance = state.instances.get_mut("db-a").expect("DB-A");
    instance.database_mut("mgc").expect("mgc").add_log_volume(now, 100_000);
}

const SUCCEEDED: Value = Value::Int(1);
const FAILED: Value = Value::Int(0);

#[tokio::test(start_paused = true)]
async fn set_up_in_the_documented_order_creates_the_documented_rows() {
    let p = pair().await;
    let (a, b) = (Client::open(&p.a).await, Client::open(&p.b).await);
    assert_eq!(a.count("msdb.dbo.log_shipping_primary_databases"), 1);
    assert_eq!(a.count("msdb.dbo.log_shipping_monitor_primary"), 1);
    assert_eq!(a.count("msdb.dbo.log_shipping_primary_secondaries"), 1);
    assert_eq!(b.count("msdb.dbo.log_shipping_secondary"), 1);
    assert_eq!(b.count("msdb.dbo.log_shipping_secondary_databases"), 1);
    assert_eq!(b.count("msdb.dbo.log_shipping_monitor_secondary"), 1);
    let names: Vec<String> = b.rows("msdb.dbo.sysjobs").iter().map(|r| text(r, "name")).collect();
    assert_eq!(names, ["LSCopy_DB-A_mgc", "LSRestore_DB-A_mgc", "LSAlert_DB-B"]);
    let jobs = b.rows("msdb.dbo.sysjobs");
    assert_eq!(jobs[0]["enabled"], Value::TinyInt(0));
    assert_eq!(jobs[2]["enabled"], Value::TinyInt(1));
    let step = &a.rows("msdb.dbo.sysjobsteps")[0];
    assert_eq!(text(step, "step_name"), "Log shipping backup log job step.");
    assert_eq!(text(step, "subsystem"), "CmdExec");
    let primary = &a.rows("msdb.dbo.log_shipping_primary_databases")[0];
    assert!(matches!(primary["primary_id"], Value::Uuid(_)));
    assert_eq!(primary["backup_job_id"], p.backup_job);
}

#[tokio::test(start_paused = true)]
async fn procedures_answer_a_wrong_order_with_their_own_numbers() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    let mut b = Client::open(&p.b).await;
    let again = [
        ("@database", s("mgc")),
        ("@backup_directory", s(r"\\FS\logs")),
        ("@backup_share", s(r"\\FS\logs")),
        ("@backup_job_name", s("LSBackup_mgc")),
    ];
    assert_eq!(a.error("sp_add_log_shipping_primary_database", &again).await, 32_009);
    let mut on_b = again.clone();
    assert_eq!(b.error("sp_add_log_shipping_primary_database", &on_b).await, 32_007);
    on_b[1].1 = Value::Null;
    assert_eq!(b.error("sp_add_log_shipping_primary_database", &on_b).await, 32_052);
    on_b[0].1 = s("master");
    on_b[1].1 = s("x");
    assert_eq!(b.error("sp_add_log_shipping_primary_database", &on_b).await, 32_015);
    assert_eq!(
        a.error("sp_delete_log_shipping_primary_database", &[("@database", s("mgc"))]).await,
        32_011
    );
    assert_eq!(
        a.error("sp_help_log_shipping_primary_secondary", &[("@primary_database", s("x"))]).await,
        32_010
    );
    let pair_of = |server: &str| [("@primary_server", s(server)), ("@primary_database", s("mgc"))];
    assert_eq!(b.error("sp_delete_log_shipping_secondary_primary", &pair_of("DB-A")).await, 32_025);
    assert_eq!(b.error("sp_delete_log_shipping_secondary_primary", &pair_of("DB-X")).await, 32_023);
    let mut database = pair_of("DB-A").to_vec();
    database.push(("@secondary_database", s("mgc")));
    assert_eq!(b.error("sp_add_log_shipping_secondary_database", &database).await, 32_013);
    assert_eq!(
        b.error("sp_delete_log_shipping_secondary_database", &[("@secondary_database", s("x"))])
            .await,
        32_014
    );
    let unknown =
        [("@agent_id", Value::Uuid(uuid::Uuid::nil())), ("@agent_type", Value::TinyInt(0))];
    assert_eq!(a.error("sp_cleanup_log_shipping_history", &unknown).await, 32_016);
}

#[tokio::test(start_paused = true)]
async fn deleting_the_last_secondary_database_removes_jobs_and_parent_row() {
    let p = pair().await;
    let mut b = Client::open(&p.b).await;
    b.done("sp_delete_log_shipping_secondary_database", &[("@secondary_database", s("mgc"))]).await;
    for table in [
        "sysjobs",
        "sysjobsteps",
        "sysjobservers",
        "log_shipping_secondary",
        "log_shipping_secondary_databases",
        "log_shipping_monitor_secondary",
        "log_shipping_monitor_alert",
    ] {
        assert_eq!(b.count(&format!("msdb.dbo.{table}")), 0, "{table}");
    }
    assert!(b.rows("sys.databases").iter().any(|r| text(r, "name") == "mgc"));
}

#[tokio::test(start_paused = true)]
async fn scheduled_jobs_keep_the_secondary_at_most_two_intervals_behind() {
    let p = pair().await;
    let mut b = Client::open(&p.b).await;
    schedule(&mut b, &p.copy_job).await;
    schedule(&mut b, &p.restore_job).await;
    tokio::time::sleep(Duration::from_secs(46 * 60)).await;
    let a = Client::open(&p.a).await;
    let last = text(&a.rows("msdb.dbo.log_shipping_primary_databases")[0], "last_backup_file");
    assert_eq!(last, r"\\FS\logs\mgc_20261120084500.trn");
    // Copy and restore fire at the same second as the backup, so each lags one interval.
    let restored =
        text(&b.rows("msdb.dbo.log_shipping_secondary_databases")[0], "last_restored_file");
    assert!(restored.as_str() >= r"D:\copied\mgc_20261120081500.trn", "{restored}");
    assert!(b.rows("msdb.dbo.sysjobhistory").iter().all(|r| r["run_status"] == SUCCEEDED));
    let activity = b.rows("msdb.dbo.sysjobactivity");
    assert!(activity.iter().all(|r| r["session_id"] == Value::Int(1)));
}

#[tokio::test(start_paused = true)]
async fn backup_copy_and_restore_by_hand_bring_the_newest_log_over() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    let mut b = Client::open(&p.b).await;
    for job in [&p.backup_job] {
        assert_eq!(run_job(&mut a, job).await["run_status"], SUCCEEDED);
    }
    for job in [&p.copy_job, &p.restore_job] {
        let outcome = run_job(&mut b, job).await;
        assert_eq!(outcome["run_status"], SUCCEEDED, "{outcome:?}");
    }
    let backup = text(&a.rows("msdb.dbo.log_shipping_monitor_primary")[0], "last_backup_file");
    let restored =
        text(&b.rows("msdb.dbo.log_shipping_monitor_secondary")[0], "last_restored_file");
    assert_eq!(backup.rsplit('\\').next(), restored.rsplit('\\').next());
    let devices = a.rows("msdb.dbo.backupmediafamily");
    assert!(devices.iter().any(|r| text(r, "physical_device_name") == backup));
    let history = b.rows("msdb.dbo.restorehistory");
    assert!(history.iter().any(|r| r["restore_type"] == s("L")));
}

#[tokio::test(start_paused = true)]
async fn sp_start_job_returns_before_the_job_runs_and_a_second_start_is_refused() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    let (_, sink) = a
        .exec("msdb.dbo.sp_start_job", &[("@job_name", s("LSBackup_mgc"))])
        .await
        .expect("accepted");
    assert_eq!(sink.messages, [14_243]);
    let activity = |c: &Client| {
        c.rows("msdb.dbo.sysjobactivity").into_iter().find(|r| r["job_id"] == p.backup_job)
    };
    assert_eq!(activity(&a).map(|r| r["start_execution_date"].clone()), Some(Value::Null));
    assert_eq!(a.error("msdb.dbo.sp_start_job", &[("@job_name", s("LSBackup_mgc"))]).await, 22_022);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = activity(&a).expect("a row");
    assert!(!after["stop_execution_date"].is_null() && !after["job_history_id"].is_null());
    assert_eq!(a.error("msdb.dbo.sp_stop_job", &[("@job_name", s("LSBackup_mgc"))]).await, 22_022);
    assert_eq!(a.error("msdb.dbo.sp_start_job", &[("@job_name", s("nothing"))]).await, 14_262);
    assert_eq!(a.error("msdb.dbo.sp_start_job", &[]).await, 14_294);
}

#[tokio::test(start_paused = true)]
async fn backup_job_of_a_database_that_is_not_online_succeeds_without_a_backup() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    a.admin(Admin::Backup(Backup {
        kind: BackupKind::Log,
        database: "mgc".to_owned(),
        devices: vec![r"\\FS\logs\tail.trn".to_owned().into()],
        options: vec![BackupOption::Flag("NORECOVERY".to_owned())],
    }))
    .await
    .expect("the tail");
    assert_eq!(run_job(&mut a, &p.backup_job).await["run_status"], SUCCEEDED);
    assert!(a.rows("msdb.dbo.log_shipping_primary_databases")[0]["last_backup_file"].is_null());
    let said = a.rows("msdb.dbo.log_shipping_monitor_history_detail");
    assert!(
        said.iter().any(|r| text(r, "message").contains(
            "The backup job will not be performed until this database is brought online"
        ))
    );
}

#[tokio::test(start_paused = true)]
async fn restore_job_stops_at_a_gap_and_keeps_the_cause_in_the_error_rows() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    let mut b = Client::open(&p.b).await;
    write_log(&p);
    run_job(&mut a, &p.backup_job).await;
    let lost = text(&a.rows("msdb.dbo.log_shipping_primary_databases")[0], "last_backup_file");
    std::fs::remove_file(p.world.path("DB-A", &lost).expect("a path")).expect("removed");
    tokio::time::sleep(Duration::from_secs(60)).await;
    write_log(&p);
    run_job(&mut a, &p.backup_job).await;
    run_job(&mut b, &p.copy_job).await;
    assert_eq!(run_job(&mut b, &p.restore_job).await["run_status"], FAILED);
    let errors = b.rows("msdb.dbo.log_shipping_monitor_error_detail");
    assert!(errors.iter().any(|r| text(r, "message").contains("(Error 4305)")), "{errors:?}");
    let ended = b.rows("msdb.dbo.log_shipping_monitor_history_detail");
    assert_eq!(ended.last().map(|r| r["session_status"].clone()), Some(Value::TinyInt(3)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_share_fails_the_jobs_and_its_return_lets_them_catch_up() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    p.world.lose_share("FS", "logs");
    assert_eq!(run_job(&mut a, &p.backup_job).await["run_status"], FAILED);
    assert!(a.count("msdb.dbo.log_shipping_monitor_error_detail") > 0);
    p.world.return_share("FS", "logs");
    assert_eq!(run_job(&mut a, &p.backup_job).await["run_status"], SUCCEEDED);
    p.world.fail_next_job("DB-A", "LSBackup_mgc");
    assert_eq!(run_job(&mut a, &p.backup_job).await["run_status"], FAILED);
    assert_eq!(run_job(&mut a, &p.backup_job).await["run_status"], SUCCEEDED);
}

#[tokio::test(start_paused = true)]
async fn retention_deletes_old_backups_on_both_sides() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    let mut b = Client::open(&p.b).await;
    a.done(
        "sp_change_log_shipping_primary_database",
        &[("@database", s("mgc")), ("@backup_retention_period", Value::Int(60))],
    )
    .await;
    b.done(
        "sp_change_log_shipping_secondary_primary",
        &[
            ("@primary_server", s("DB-A")),
            ("@primary_database", s("mgc")),
            ("@file_retention_period", Value::Int(60)),
        ],
    )
    .await;
    let count = |server: &str, folder: &str| {
        let place = p.world.path(server, folder).expect("a path");
        std::fs::read_dir(place)
            .expect("a folder")
            .flatten()
            .filter(|e| e.path().extension().is_some_and(|x| x == "trn"))
            .count()
    };
    for _ in 0..2 {
        run_job(&mut a, &p.backup_job).await;
        run_job(&mut b, &p.copy_job).await;
        run_job(&mut b, &p.restore_job).await;
    }
    assert_eq!((count("DB-A", r"\\FS\logs") > 1, count("DB-B", r"D:\copied")), (true, 2));
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    run_job(&mut a, &p.backup_job).await;
    run_job(&mut b, &p.copy_job).await;
    run_job(&mut b, &p.restore_job).await;
    assert_eq!(count("DB-B", r"D:\copied"), 5, "files younger than an hour stay");
}

#[tokio::test(start_paused = true)]
async fn a_late_primary_makes_the_alert_job_fail_with_14420() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    run_job(&mut a, &p.backup_job).await;
    p.world.lose_share("FS", "logs");
    tokio::time::sleep(Duration::from_secs(50 * 60)).await;
    let failed = a.rows("msdb.dbo.sysjobhistory");
    assert!(failed.iter().any(|r| r["sql_message_id"] == Value::Int(14_420)));
    let (_, sink) = a.exec("sp_help_log_shipping_monitor", &[]).await.expect("a result");
    assert_eq!(sink.results[0].rows[0][0], Value::Bit(true));
    assert_eq!(sink.results[0].columns.len(), 15);
}

#[tokio::test(start_paused = true)]
async fn log_shipping_is_for_sysadmins_and_jobs_are_for_their_owners() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    a.admin(Admin::CreateLogin {
        name: "reader".to_owned(),
        password: Some("Secret-1".to_owned()),
        sid: None,
        default_database: None,
        must_change: false,
    })
    .await
    .expect("a login");
    let mut reader = Client::of(&p.a, "READER", "Secret-1").await.expect("logs in");
    assert_eq!(
        Client::of(&p.a, "reader", "secret-1").await.err().map(|e| e.cause().number),
        Some(18_456)
    );
    assert_eq!(reader.error("sp_help_log_shipping_monitor", &[]).await, 15_247);
    assert_eq!(
        reader.error("msdb.dbo.sp_start_job", &[("@job_name", s("LSBackup_mgc"))]).await,
        14_262
    );
    let denied = reader.host.relation(&name("msdb.dbo.sysjobs"), None).err();
    assert_eq!(denied.map(|e| e.cause().number), Some(229));
    let denied = reader.host.relation(&name("sys.dm_tran_locks"), None).err();
    assert_eq!(
        denied.map(|e| e.0.iter().map(|m| m.number).collect::<Vec<_>>()),
        Some(vec![300, 297])
    );
    assert_eq!(reader.count("sys.dm_exec_sessions"), 1);
    a.admin(Admin::Grant {
        verb: "GRANT".to_owned(),
        permissions: vec!["VIEW SERVER STATE".to_owned()],
        securable: None,
        grantees: vec!["reader".to_owned()],
    })
    .await
    .expect("granted");
    assert!(reader.count("sys.dm_exec_sessions") > 1);
}

#[tokio::test(start_paused = true)]
async fn every_view_has_its_documented_columns_and_every_row_fits_them() {
    let p = pair().await;
    let a = Client::open(&p.a).await;
    for (view, columns) in [
        ("sys.databases", 80),
        ("sys.master_files", 32),
        ("sys.database_recovery_status", 7),
        ("sys.dm_exec_sessions", 51),
        ("sys.dm_exec_requests", 0),
        ("sys.dm_server_services", 12),
        ("sys.dm_tran_locks", 15),
        ("sys.database_mirroring", 21),
        ("sys.database_mirroring_witnesses", 13),
        ("sys.database_mirroring_endpoints", 18),
        ("sys.endpoints", 10),
        ("sys.tcp_endpoints", 13),
        ("sys.dm_db_mirroring_connections", 27),
        ("sys.dm_exec_connections", 22),
        ("sys.server_principals", 13),
        ("sys.server_permissions", 10),
        ("sys.server_role_members", 2),
        ("sys.sql_logins", 14),
        ("sys.configurations", 9),
        ("sys.objects", 12),
        ("sys.tables", 15),
        ("sys.columns", 14),
        ("sys.types", 15),
        ("sys.schemas", 3),
        ("sys.database_principals", 15),
        ("sys.messages", 5),
        ("sys.dm_os_sys_info", 12),
        ("sys.dm_os_host_info", 7),
        ("sys.dm_os_enumerate_fixed_drives", 4),
        ("sys.sysprocesses", 32),
        ("master.dbo.sysprocesses", 32),
        ("sysdatabases", 12),
        ("msdb.dbo.backupset", 63),
        ("msdb.dbo.restorehistory", 13),
        ("msdb.dbo.sysjobs", 19),
        ("msdb.dbo.sysjobhistory", 16),
        ("msdb.dbo.sysschedules", 19),
        ("INFORMATION_SCHEMA.TABLES", 4),
    ] {
        let relation = a.host.relation(&name(view), None).unwrap_or_else(|e| panic!("{view}: {e}"));
        if columns > 0 {
            assert_eq!(relation.columns.len(), columns, "{view}");
        }
        for row in &relation.rows {
            assert_eq!(row.len(), relation.columns.len(), "{view}");
            for (value, column) in row.iter().zip(&relation.columns) {
                let fits = match (column.ty, value) {
                    (_, Value::Null) => column.nullable,
                    (SqlType::Bit, Value::Bit(_))
                    | (SqlType::TinyInt, Value::TinyInt(_))
                    | (SqlType::SmallInt, Value::SmallInt(_))
                    | (SqlType::Int, Value::Int(_))
                    | (SqlType::BigInt, Value::BigInt(_)) => true,
                    (
                        SqlType::Bit
                        | SqlType::TinyInt
                        | SqlType::SmallInt
                        | SqlType::Int
                        | SqlType::BigInt,
                        _,
                    ) => false,
                    (SqlType::UniqueIdentifier, v) => matches!(v, Value::Uuid(_)),
                    (SqlType::DateTime, v) => matches!(v, Value::DateTime(_)),
                    _ => true,
                };
                assert!(fits, "{view}.{} holds {value:?}", column.name);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tsql_step_runs_its_batch_and_its_error_fails_the_job() {
    let p = pair().await;
    let mut a = Client::open(&p.a).await;
    for (job, command) in
        [("good", "select name from sys.databases"), ("bad", "select * from nowhere.nothing")]
    {
        let made = a.done("msdb.dbo.sp_add_job", &[("@job_name", s(job))]).await;
        let id = output(&made, "@job_id");
        let of_job = ("@job_id", id.clone());
        a.done(
            "msdb.dbo.sp_add_jobstep",
            &[of_job.clone(), ("@step_name", s("one")), ("@command", s(command))],
        )
        .await;
        assert_eq!(a.error("msdb.dbo.sp_start_job", std::slice::from_ref(&of_job)).await, 14_256);
        a.done("msdb.dbo.sp_add_jobserver", &[of_job]).await;
        let expected = if job == "good" { SUCCEEDED } else { FAILED };
        assert_eq!(run_job(&mut a, &id).await["run_status"], expected, "{job}");
    }
    let rows = a.rows("msdb.dbo.sysjobhistory");
    assert!(rows.iter().any(|r| r["sql_message_id"] == Value::Int(208)));
}
