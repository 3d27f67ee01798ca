//! The server: configuration options, services, the machine, messages.
//!
//! Source: the vendor's pages of `sys.configurations`, `sys.dm_server_services`,
//! `sys.dm_os_sys_info`, `sys.dm_os_host_info` and `sys.messages`.

use super::columns::objects::{CONFIGURATIONS, DM_OS_HOST_INFO, DM_OS_SYS_INFO, MESSAGES};
use super::columns::server::DM_SERVER_SERVICES;
use super::{View, rows};
use crate::engine::security::AGENT_SERVICE;
use crate::engine::state::InstanceState;
use crate::message::SqlFailure;
use crate::value::{Relation, SqlType, Value};

/// A configuration option: id, name, least, greatest, value, dynamic, advanced.
pub(crate) struct ConfigurationOption {
    pub(crate) id: i32,
    pub(crate) name: &'static str,
    pub(crate) minimum: i32,
    pub(crate) maximum: i32,
    pub(crate) value: i32,
    pub(crate) advanced: bool,
}

const fn option(
    id: i32,
    name: &'static str,
    (minimum, maximum, value): (i32, i32, i32),
    advanced: bool,
) -> ConfigurationOption {
    ConfigurationOption { id, name, minimum, maximum, value, advanced }
}

/// The options that the stand-in knows, with the value that each has after set-up.
pub(crate) const OPTIONS: &[ConfigurationOption] = &[
    option(103, "user connections", (0, 32_767, 0), true),
    option(117, "remote access", (0, 1, 1), false),
    option(518, "show advanced options", (0, 1, 0), false),
    option(1539, "max degree of parallelism", (0, 32_767, 0), true),
    option(1543, "min server memory (MB)", (0, i32::MAX, 0), true),
    option(1544, "max server memory (MB)", (128, i32::MAX, i32::MAX), true),
    option(1562, "clr enabled", (0, 1, 0), false),
    option(1576, "remote admin connections", (0, 1, 0), false),
    option(1579, "backup compression default", (0, 1, 0), false),
    option(1584, "backup checksum default", (0, 1, 0), false),
    option(16_384, "Agent XPs", (0, 1, 1), true),
    option(16_386, "Database Mail XPs", (0, 1, 0), true),
    option(16_388, "Ole Automation Procedures", (0, 1, 0), true),
    option(16_390, "xp_cmdshell", (0, 1, 0), true),
];

/// The value of an option: as set, and as it is in use since the last RECONFIGURE.
pub(crate) fn configured(instance: &InstanceState, option: &ConfigurationOption) -> (i32, i32) {
    if option.name == "Agent XPs" {
        let on = i32::from(instance.msdb.agent.is_running);
        return (on, on);
    }
    instance.msdb.configuration.get(option.name).copied().unwrap_or((option.value, option.value))
}

/// `sys.configurations`.
pub(super) fn configurations(view: View<'_>) -> Relation {
    let int = |n: i32| Value::Variant(SqlType::Int, Box::new(Value::Int(n)));
    let named = OPTIONS
        .iter()
        .map(|o| {
            let (value, in_use) = configured(view.instance, o);
            vec![
                ("configuration_id", Value::Int(o.id)),
                ("name", Value::string(o.name)),
                ("value", int(value)),
                ("minimum", int(o.minimum)),
                ("maximum", int(o.maximum)),
                ("value_in_use", int(in_use)),
                ("description", Value::string(o.name)),
                ("is_dynamic", Value::Bit(o.id != 103)),
                ("is_advanced", Value::Bit(o.advanced)),
            ]
        })
        .collect();
    rows(CONFIGURATIONS, view.major(), named)
}

/// `sys.dm_server_services`: the engine and the Agent.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn services(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER SECURITY STATE")?;
    let config = &view.instance.config;
    let instance = match config.instance_name() {
        "" => "MSSQLSERVER",
        name => name,
    };
    let started = Value::DateTimeOffset {
        utc: crate::engine::state::local(view.instance.started, 0),
        offset_minutes: config.utc_offset_minutes,
    };
    let agent = view.instance.msdb.agent.is_running;
    let folder = "C:\\Program Files\\Microsoft SQL Server\\MSSQL\\Binn";
    let service = |name: String, running: bool, id: i32, account: &str, program: &str| {
        vec![
            ("servicename", Value::string(name)),
            ("startup_type", Value::Int(2)),
            ("startup_type_desc", Value::string("Automatic")),
            ("status", Value::Int(if running { 4 } else { 1 })),
            ("status_desc", Value::string(if running { "Running" } else { "Stopped" })),
            ("process_id", Value::Int(if running { id } else { 0 })),
            ("last_startup_time", if running { started.clone() } else { Value::Null }),
            ("service_account", Value::string(account)),
            ("filename", Value::string(format!("\"{folder}\\{program}\" -s{instance}"))),
            ("is_clustered", Value::string("N")),
        ]
    };
    let mut engine = service(
        format!("SQL Server ({instance})"),
        true,
        process_id(view.instance),
        &config.service_account,
        "sqlservr.exe",
    );
    engine.push(("instant_file_initialization_enabled", Value::string("Y")));
    let named = vec![
        engine,
        service(
            format!("SQL Server Agent ({instance})"),
            agent,
            process_id(view.instance) + 4,
            AGENT_SERVICE,
            "SQLAGENT.EXE",
        ),
    ];
    Ok(rows(DM_SERVER_SERVICES, view.major(), named))
}

/// The engine's process id: another one after every start.
pub(super) fn process_id(instance: &InstanceState) -> i32 {
    let seconds = instance.started.as_second().rem_euclid(15_000);
    1000 + i32::try_from(seconds).unwrap_or(0) * 4
}

/// `sys.dm_os_sys_info`.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn sys_info(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let up = view.now.duration_since(view.instance.started).as_millis();
    let named = vec![vec![
        ("ms_ticks", Value::BigInt(i64::try_from(up).unwrap_or(i64::MAX))),
        ("cpu_count", Value::Int(4)),
        ("hyperthread_ratio", Value::Int(4)),
        ("physical_memory_kb", Value::BigInt(16 * 1024 * 1024)),
        ("virtual_memory_kb", Value::BigInt(137_438_953_344)),
        ("max_workers_count", Value::Int(512)),
        ("scheduler_count", Value::Int(4)),
        ("sqlserver_start_time", view.local(view.instance.started)),
    ]];
    Ok(rows(DM_OS_SYS_INFO, view.major(), named))
}

/// Whether the instance's paths are those of Linux.
pub(super) fn is_linux(instance: &InstanceState) -> bool {
    instance.config.data_path.starts_with('/')
}

/// `sys.dm_os_host_info`.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn host_info(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let (platform, distribution, release, sku) = if is_linux(view.instance) {
        ("Linux", "Ubuntu", "22.04", Value::Null)
    } else {
        ("Windows", "Windows Server 2019 Standard", "10.0", Value::Int(7))
    };
    let named = vec![vec![
        ("host_platform", Value::string(platform)),
        ("host_distribution", Value::string(distribution)),
        ("host_release", Value::string(release)),
        ("host_sku", sku),
        ("os_language_version", Value::Int(1033)),
        ("host_architecture", Value::string("X64")),
    ]];
    Ok(rows(DM_OS_HOST_INFO, view.major(), named))
}

/// The messages that monitoring looks up: number, severity, logged, text.
const TEXTS: &[(i32, u8, bool, &str)] = &[
    (
        1205,
        13,
        false,
        "Transaction (Process ID %d) was deadlocked on %.*ls resources with another process and has been chosen as the deadlock victim. Rerun the transaction.",
    ),
    (3101, 16, false, "Exclusive access could not be obtained because the database is in use."),
    (
        4305,
        16,
        false,
        "The log in this backup set begins at LSN %.*ls, which is too recent to apply to the database. An earlier log backup that includes LSN %.*ls can be restored.",
    ),
    (
        4326,
        16,
        false,
        "The log in this backup set terminates at LSN %.*ls, which is too early to apply to the database. A more recent log backup that includes LSN %.*ls can be restored.",
    ),
    (
        14_420,
        16,
        true,
        "The log shipping primary database %s.%s has backup threshold of %d minutes and has not performed a backup log operation for %d minutes. Check agent log and logshipping monitor information.",
    ),
    (
        14_421,
        16,
        true,
        "The log shipping secondary database %s.%s has restore threshold of %d minutes and is out of sync. No restore was performed for %d minutes. Restored latency is %d minutes. Check agent log and logshipping monitor information.",
    ),
    (18_456, 14, true, "Login failed for user '%.*ls'.%.*ls%.*ls"),
    (
        32_008,
        10,
        false,
        "Database %s is not ONLINE. The backup job will not be performed until this database is brought online.",
    ),
];

/// `sys.messages`, in English.
pub(super) fn messages(view: View<'_>) -> Relation {
    let named = TEXTS
        .iter()
        .map(|(id, severity, logged, text)| {
            vec![
                ("message_id", Value::Int(*id)),
                ("language_id", Value::SmallInt(1033)),
                ("severity", Value::TinyInt(*severity)),
                ("is_event_logged", Value::Bit(*logged)),
                ("text", Value::string(text)),
            ]
        })
        .collect();
    rows(MESSAGES, view.major(), named)
}
