//! The topology file as written: what could be read, each part with its place, nothing decided yet.
//!
//! A part is `None` when it is absent or when it was unreadable and has been complained about, so
//! that one mistake does not bring a second complaint.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::read::{Fields, Findings, Span, Text, quoted};
use super::violation::Code;
use super::{Encryption, Initialise, Role};
use crate::schedule::{Days, Schedule, TimeOfDay};
use crate::settings::{Compression, RestoreMode};

pub(super) struct File {
    /// What [`discover`](crate::discover) could not find out; nothing once a person has seen to it.
    pub(super) to_be_completed: Vec<Text>,
    pub(super) sites: Vec<SiteRow>,
    pub(super) links: Vec<LinkRow>,
    pub(super) instances: Vec<InstanceRow>,
    pub(super) databases: Vec<DatabaseRow>,
    pub(super) pool: Option<PoolRow>,
    pub(super) shares: Vec<ShareRow>,
    pub(super) log_shipping: Option<LogShippingRow>,
    pub(super) mirroring: MirroringRow,
    pub(super) connection: Option<ConnectionRow>,
    pub(super) management_shell: Option<ManagementShellRow>,
    pub(super) drill: Option<DrillRow>,
}

pub(super) struct SiteRow {
    pub(super) name: Option<Text>,
}

pub(super) struct LinkRow {
    pub(super) between: Option<(Text, Text)>,
    pub(super) is_fast: Option<bool>,
    pub(super) megabits_per_second: Option<u32>,
    pub(super) copies_at_once: Option<u32>,
}

pub(super) struct InstanceRow {
    pub(super) name: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) role: Option<Spanned<Role>>,
    pub(super) host: Option<Text>,
    pub(super) instance: Option<Text>,
    pub(super) server_name: Option<Text>,
    pub(super) port: Option<u16>,
    pub(super) connect_host: Option<Text>,
    pub(super) mirroring_port: Option<Spanned<u16>>,
    pub(super) service_account: Option<Text>,
    pub(super) data_directory: Option<Text>,
    pub(super) log_directory: Option<Text>,
    pub(super) restores_at_once: Option<u32>,
}

pub(super) struct DatabaseRow {
    pub(super) name: Option<Text>,
}

pub(super) struct PoolRow {
    pub(super) head: Span,
    pub(super) fqdn: Option<Text>,
    pub(super) database: Option<Text>,
    pub(super) compliance_database: Option<Text>,
    pub(super) servers: Vec<ServerRow>,
}

pub(super) struct ServerRow {
    pub(super) head: Span,
    pub(super) fqdn: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) active: Option<Spanned<bool>>,
    pub(super) active_after_failover: Option<Spanned<bool>>,
}

pub(super) struct ShareRow {
    pub(super) name: Option<Text>,
    pub(super) site: Option<Text>,
    pub(super) unc: Option<Text>,
    pub(super) mount: Option<Text>,
}

pub(super) struct LogShippingRow {
    pub(super) head: Span,
    pub(super) backup_share: Option<Text>,
    pub(super) backup_directory: Option<Text>,
    pub(super) copy_share: Option<Text>,
    pub(super) backup_retention_minutes: Setting<i32>,
    pub(super) backup_threshold_minutes: Setting<i32>,
    pub(super) file_retention_minutes: Setting<i32>,
    pub(super) restore_threshold_minutes: Setting<i32>,
    pub(super) restore_delay_minutes: Setting<i32>,
    pub(super) history_retention_minutes: Setting<i32>,
    pub(super) backup_compression: Option<Compression>,
    pub(super) backup_alert: Option<bool>,
    pub(super) restore_alert: Option<bool>,
    pub(super) restore_mode: Option<Spanned<RestoreMode>>,
    pub(super) disconnect_users: Option<Spanned<bool>>,
    pub(super) initialise: Option<Initialise>,
    pub(super) further: Vec<FurtherRow>,
    pub(super) backup: ScheduleRow,
    pub(super) copy: ScheduleRow,
    pub(super) restore: ScheduleRow,
    pub(super) alert_every: Setting<Duration>,
    pub(super) primary_connection_options: Option<Text>,
    pub(super) secondary_connection_options: Option<Text>,
    pub(super) monitor_connection_options: Option<Text>,
    pub(super) monitor_login: Option<Text>,
    pub(super) monitor_password: SecretRow,
}

/// One more secondary; what it leaves out is as in `[log_shipping]`.
pub(super) struct FurtherRow {
    pub(super) instance: Option<Text>,
    pub(super) copy_share: Option<Text>,
    pub(super) restore_delay_minutes: Option<i32>,
    pub(super) restore_mode: Option<Spanned<RestoreMode>>,
    pub(super) disconnect_users: Option<Spanned<bool>>,
}

/// When a job runs, as written.
pub(super) struct ScheduleRow {
    /// Name of the key of the interval.
    pub(super) key: &'static str,
    pub(super) every: Setting<Duration>,
    pub(super) days: Option<Days>,
    pub(super) from: Option<Spanned<TimeOfDay>>,
    pub(super) until: Option<TimeOfDay>,
}

impl ScheduleRow {
    pub(super) fn schedule(&self) -> Schedule {
        let all_day = Schedule::all_day(whole_seconds(self.every.value));
        Schedule {
            days: self.days.unwrap_or(all_day.days),
            from: self.from.as_ref().map_or(all_day.from, |from| *from.get_ref()),
            until: self.until.unwrap_or(all_day.until),
            ..all_day
        }
    }
}

/// The seconds of an interval; 0, which no schedule can have, for a fraction of a second.
pub(super) fn whole_seconds(every: Duration) -> u32 {
    if every.subsec_nanos() != 0 {
        return 0;
    }
    u32::try_from(every.as_secs()).unwrap_or(0)
}

/// A value that has a default, and where it was written, if it was.
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) span: Option<Span>,
}

impl<T> Setting<T> {
    fn new<U>(written: Option<Spanned<U>>, default: T, convert: impl Fn(U) -> T) -> Self {
        let span = written.as_ref().map(Spanned::span);
        let value = written.map_or(default, |written| convert(written.into_inner()));
        Self { value, span }
    }
}

pub(super) struct MirroringRow {
    pub(super) endpoint_name: Option<Text>,
    pub(super) timeout_seconds: Option<u32>,
}

pub(super) struct ConnectionRow {
    pub(super) head: Span,
    pub(super) encrypt: Option<Encryption>,
    /// `None`: written, and not understood.
    pub(super) authentication: Option<Method>,
    pub(super) login: Option<Text>,
    pub(super) password: SecretRow,
    pub(super) access_token: SecretRow,
    pub(super) ca_file: Option<Text>,
    pub(super) host_name_in_certificate: Option<Text>,
    pub(super) connect_timeout: Option<Duration>,
}

/// How an instance is told who pcdr is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    SqlLogin,
    AccessToken,
    Kerberos,
}

/// Where a secret is. Both may be written; one may be unreadable.
pub(super) struct SecretRow {
    /// The key is there, readable or not.
    pub(super) is_written: bool,
    pub(super) env: Option<Text>,
    pub(super) file: Option<Text>,
}

pub(super) struct DrillRow {
    pub(super) instance: Option<Text>,
    pub(super) directory: Option<Text>,
}

pub(super) struct ManagementShellRow {
    pub(super) by_person: Option<Spanned<bool>>,
    pub(super) command: Option<Spanned<Vec<Text>>>,
    pub(super) timeout: Option<Duration>,
}

/// `sysname`: the longest name SQL Server takes, in UTF-16 code units.
const NAME: usize = 128;
/// The longest host name that DNS takes.
const HOST: usize = 255;
/// `nvarchar(500)`: folders and shares in the log shipping tables.
const FOLDER: usize = 500;
/// `nvarchar(260)`: `sys.master_files.physical_name`.
const DATA_FOLDER: usize = 260;
/// `nvarchar(4000)`: connection options of the log shipping procedures.
const OPTIONS: usize = 4_000;
/// Paths and arguments on pcdr's own machine.
const LOCAL: usize = 4_096;

/// Copies and restores side by side. An instance is given no more long statements at once than this.
const AT_ONCE: std::ops::RangeInclusive<i64> = 1..=16;
const MINUTES: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;
/// A day schedule of SQL Server Agent repeats at the earliest after 10 seconds, and within the day.
const SCHEDULE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(86_399);
const CONNECT: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(600);
const CMDLET: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Reads every section.
pub(super) fn read(root: &DeTable<'_>, findings: &mut Findings) -> File {
    let mut root = Fields::new(findings, "the file", 0..0, root);
    let to_be_completed = root.texts("to_be_completed", LOCAL).map(Spanned::into_inner);
    let file = File {
        to_be_completed: to_be_completed.unwrap_or_default(),
        sites: rows(&mut root, "sites", "[[sites]]", site),
        links: rows(&mut root, "links", "[[links]]", link),
        instances: rows(&mut root, "instances", "[[instances]]", instance),
        databases: rows(&mut root, "databases", "[[databases]]", database),
        pool: section(&mut root, "pool", "[pool]", pool),
        shares: rows(&mut root, "shares", "[[shares]]", share),
        log_shipping: section(&mut root, "log_shipping", "[log_shipping]", log_shipping),
        mirroring: section(&mut root, "mirroring", "[mirroring]", mirroring)
            .unwrap_or(MirroringRow { endpoint_name: None, timeout_seconds: None }),
        connection: section(&mut root, "connection", "[connection]", connection),
        management_shell: section(
            &mut root,
            "management_shell",
            "[management_shell]",
            management_shell,
        ),
        drill: section(&mut root, "drill", "[drill]", drill),
    };
    for (key, title, purpose) in [
        ("sites", "[[sites]]", "two data centres"),
        ("instances", "[[instances]]", "the SQL Server instances"),
        ("shares", "[[shares]]", "the shares of log shipping"),
        ("log_shipping", "[log_shipping]", "how logs are shipped"),
        ("connection", "[connection]", "how to connect to the instances"),
    ] {
        if !root.has(key) {
            root.missing(title, &format!("Add {title}: {purpose}."));
        }
    }
    root.finish();
    file
}

fn rows<T>(
    root: &mut Fields<'_, '_>,
    key: &'static str,
    title: &'static str,
    read: impl Fn(&mut Fields<'_, '_>, Span) -> T,
) -> Vec<T> {
    let mut rows = Vec::new();
    for (head, table) in root.tables(key) {
        let mut fields = root.inside(title, (head.clone(), table));
        rows.push(read(&mut fields, head));
        fields.finish();
    }
    rows
}

fn section<T>(
    root: &mut Fields<'_, '_>,
    key: &'static str,
    title: &'static str,
    read: impl Fn(&mut Fields<'_, '_>, Span) -> T,
) -> Option<T> {
    let (head, table) = root.table(key)?;
    let mut fields = root.inside(title, (head.clone(), table));
    let row = read(&mut fields, head);
    fields.finish();
    Some(row)
}

fn site(fields: &mut Fields<'_, '_>, _: Span) -> SiteRow {
    SiteRow { name: fields.required_text("name", NAME) }
}

fn link(fields: &mut Fields<'_, '_>, _: Span) -> LinkRow {
    if !fields.has("between") {
        fields.missing("between", "Add a line `between = [\"north\", \"south\"]` to [[links]].");
    }
    let between = fields.texts("between", NAME).and_then(|sites| {
        let span = sites.span();
        match <[Text; 2]>::try_from(sites.into_inner()) {
            Ok([a, b]) => Some((a, b)),
            Err(sites) => {
                let message =
                    format!("`between` in [[links]] needs two sites, found {}", sites.len());
                let remedy = "Name the two sites that the link joins.".to_owned();
                fields.report(Code::WrongType, span, message, remedy);
                None
            }
        }
    });
    if !fields.has("fast") {
        fields.missing(
            "fast",
            "Declare `fast = true` for low latency and high bandwidth, `fast = false` otherwise; \
             the product's documents give no number.",
        );
    }
    LinkRow {
        between,
        is_fast: fields.flag("fast").map(Spanned::into_inner),
        megabits_per_second: fields
            .number("megabits_per_second", 1..=i64::from(u32::MAX), Code::OutOfRange)
            .and_then(|number| u32::try_from(number.into_inner()).ok()),
        copies_at_once: at_once(fields, "copies_at_once"),
    }
}

/// How many of something may run side by side.
fn at_once(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<u32> {
    let number = fields.number(key, AT_ONCE, Code::OutOfRange)?;
    u32::try_from(number.into_inner()).ok()
}

fn instance(fields: &mut Fields<'_, '_>, _: Span) -> InstanceRow {
    let name = fields.required_text("name", NAME);
    let site = fields.required_text("site", NAME);
    let role = fields.required_text("role", NAME).and_then(|text| role(fields, &text));
    let port = |number: Spanned<i64>| {
        let span = number.span();
        Some(Spanned::new(span, u16::try_from(number.into_inner()).ok()?))
    };
    InstanceRow {
        name,
        site,
        role,
        host: fields.required_text("host", HOST),
        instance: fields.text("instance", NAME),
        server_name: fields.text("server_name", NAME),
        port: fields
            .number("port", 1..=65_535, Code::OutOfRange)
            .and_then(port)
            .map(Spanned::into_inner),
        connect_host: fields.text("connect_host", HOST),
        mirroring_port: fields
            .number("mirroring_port", 1_024..=32_767, Code::BadMirroringPort)
            .and_then(port),
        service_account: fields.text("service_account", NAME),
        data_directory: fields.text("data_directory", DATA_FOLDER),
        log_directory: fields.text("log_directory", DATA_FOLDER),
        restores_at_once: at_once(fields, "restores_at_once"),
    }
}

fn role(fields: &mut Fields<'_, '_>, text: &Text) -> Option<Spanned<Role>> {
    let found = Role::ALL.into_iter().find(|role| role.as_str() == text.get_ref());
    let Some(role) = found else {
        let names = Role::ALL.map(Role::as_str);
        let message = format!("`role` needs a known role, found {:?}", text.get_ref());
        let remedy = format!("Write one of {}.", names.join(", "));
        fields.report(Code::UnknownRole, text.span(), message, remedy);
        return None;
    };
    Some(Spanned::new(text.span(), role))
}

fn database(fields: &mut Fields<'_, '_>, _: Span) -> DatabaseRow {
    DatabaseRow { name: fields.required_text("name", NAME) }
}

fn pool(fields: &mut Fields<'_, '_>, head: Span) -> PoolRow {
    PoolRow {
        head,
        fqdn: fields.required_text("fqdn", HOST),
        database: fields.required_text("database", NAME),
        compliance_database: fields.text("compliance_database", NAME),
        servers: rows(fields, "servers", "[[pool.servers]]", |fields, head| ServerRow {
            head,
            fqdn: fields.required_text("fqdn", HOST),
            site: fields.required_text("site", NAME),
            active: fields.flag("active"),
            active_after_failover: fields.flag("active_after_failover"),
        }),
    }
}

fn share(fields: &mut Fields<'_, '_>, _: Span) -> ShareRow {
    ShareRow {
        name: fields.required_text("name", NAME),
        site: fields.required_text("site", NAME),
        unc: fields.required_text("unc", FOLDER),
        mount: fields.text("mount", LOCAL),
    }
}

fn log_shipping(fields: &mut Fields<'_, '_>, head: Span) -> LogShippingRow {
    let minutes = |fields: &mut Fields<'_, '_>, key, range, default: i32| {
        let written = fields.number(key, range, Code::OutOfRange);
        Setting::new(written, default, |minutes| i32::try_from(minutes).unwrap_or(default))
    };
    // Defaults: what SQL Server Management Studio's log shipping wizard proposes.
    LogShippingRow {
        head,
        backup_share: fields.required_text("backup_share", NAME),
        backup_directory: fields.text("backup_directory", FOLDER),
        copy_share: fields.required_text("copy_share", NAME),
        backup_retention_minutes: minutes(fields, "backup_retention_minutes", MINUTES, 4_320),
        backup_threshold_minutes: minutes(fields, "backup_threshold_minutes", MINUTES, 60),
        file_retention_minutes: minutes(fields, "file_retention_minutes", MINUTES, 4_320),
        restore_threshold_minutes: minutes(fields, "restore_threshold_minutes", MINUTES, 45),
        restore_delay_minutes: minutes(fields, "restore_delay_minutes", 0..=i64::from(i32::MAX), 0),
        history_retention_minutes: minutes(fields, "history_retention_minutes", MINUTES, 5_760),
        backup_compression: fields
            .choice("backup_compression", &COMPRESSIONS.map(|c| (c.as_str(), c)))
            .map(Spanned::into_inner),
        backup_alert: fields.flag("backup_alert").map(Spanned::into_inner),
        restore_alert: fields.flag("restore_alert").map(Spanned::into_inner),
        restore_mode: fields.choice("restore_mode", &RESTORE_MODES.map(|m| (m.as_str(), m))),
        disconnect_users: fields.flag("disconnect_users"),
        initialise: fields
            .choice("initialise", &INITIALISE.map(|i| (i.as_str(), i)))
            .map(Spanned::into_inner),
        further: rows(
            fields,
            "further_secondaries",
            "[[log_shipping.further_secondaries]]",
            |fields, _| FurtherRow {
                instance: fields.required_text("instance", NAME),
                copy_share: fields.required_text("copy_share", NAME),
                restore_delay_minutes: fields
                    .number("restore_delay_minutes", 0..=i64::from(i32::MAX), Code::OutOfRange)
                    .and_then(|number| i32::try_from(number.into_inner()).ok()),
                restore_mode: fields
                    .choice("restore_mode", &RESTORE_MODES.map(|m| (m.as_str(), m))),
                disconnect_users: fields.flag("disconnect_users"),
            },
        ),
        backup: schedule(fields, ["backup_every", "backup_days", "backup_from", "backup_until"]),
        copy: schedule(fields, ["copy_every", "copy_days", "copy_from", "copy_until"]),
        restore: schedule(
            fields,
            ["restore_every", "restore_days", "restore_from", "restore_until"],
        ),
        // Source: "sp_add_log_shipping_alert_job": every two minutes.
        alert_every: every(fields, "alert_every", Duration::from_secs(120)),
        primary_connection_options: fields.text("primary_connection_options", OPTIONS),
        secondary_connection_options: fields.text("secondary_connection_options", OPTIONS),
        monitor_connection_options: fields.text("monitor_connection_options", OPTIONS),
        monitor_login: fields.text("monitor_login", NAME),
        monitor_password: secret(fields, "monitor_password_env", "monitor_password_file"),
    }
}

const COMPRESSIONS: [Compression; 3] = [Compression::Instance, Compression::On, Compression::Off];
const RESTORE_MODES: [RestoreMode; 2] = [RestoreMode::NoRecovery, RestoreMode::Standby];
const INITIALISE: [Initialise; 2] = [Initialise::FullBackup, Initialise::AlreadyInitialised];

fn every(fields: &mut Fields<'_, '_>, key: &'static str, default: Duration) -> Setting<Duration> {
    let written = fields.duration(key, SCHEDULE);
    Setting::new(written, default, |every| every)
}

fn schedule(
    fields: &mut Fields<'_, '_>,
    [key, days, from, until]: [&'static str; 4],
) -> ScheduleRow {
    ScheduleRow {
        key,
        every: every(fields, key, Duration::from_secs(15 * 60)),
        days: fields.parsed(days, Code::BadSchedule).map(Spanned::into_inner),
        from: fields.parsed(from, Code::BadSchedule),
        until: fields.parsed(until, Code::BadSchedule).map(Spanned::into_inner),
    }
}

fn mirroring(fields: &mut Fields<'_, '_>, _: Span) -> MirroringRow {
    MirroringRow {
        endpoint_name: fields.text("endpoint_name", NAME),
        // The server turns 0 to 4 into 5 and refuses more than 32767 (message 1476).
        timeout_seconds: fields
            .number("timeout_seconds", 5..=32_767, Code::OutOfRange)
            .and_then(|number| u32::try_from(number.into_inner()).ok()),
    }
}

fn connection(fields: &mut Fields<'_, '_>, head: Span) -> ConnectionRow {
    let encrypt = match fields.text("encrypt", NAME) {
        Some(text) => encryption(fields, &text),
        None => None,
    };
    let authentication = match fields.text("authentication", NAME) {
        Some(text) => method(fields, &text),
        None => (!fields.has("authentication")).then_some(Method::SqlLogin),
    };
    let login = match authentication {
        Some(Method::SqlLogin) => fields.required_text("login", NAME),
        _ => fields.text("login", NAME),
    };
    ConnectionRow {
        head,
        encrypt,
        authentication,
        login,
        password: secret(fields, "password_env", "password_file"),
        access_token: secret(fields, "access_token_env", "access_token_file"),
        ca_file: fields.text("ca_file", LOCAL),
        host_name_in_certificate: fields.text("host_name_in_certificate", HOST),
        connect_timeout: fields.duration("connect_timeout", CONNECT).map(Spanned::into_inner),
    }
}

fn secret(fields: &mut Fields<'_, '_>, env: &'static str, file: &'static str) -> SecretRow {
    SecretRow {
        is_written: fields.has(env) || fields.has(file),
        env: fields.text(env, LOCAL),
        file: fields.text(file, LOCAL),
    }
}

fn encryption(fields: &mut Fields<'_, '_>, text: &Text) -> Option<Encryption> {
    match text.get_ref().as_str() {
        "mandatory" => Some(Encryption::Mandatory),
        "strict" => Some(Encryption::Strict),
        _ => {
            let message =
                format!("`encrypt` needs mandatory or strict, found {}", quoted(text.get_ref()));
            let remedy = "Write \"mandatory\", or \"strict\" for TDS 8.0 (SQL Server 2022 and \
                          later). Encryption cannot be switched off.";
            fields.report(Code::UnknownEncryption, text.span(), message, remedy.to_owned());
            None
        }
    }
}

const METHODS: [(&str, Method); 3] = [
    ("sql-login", Method::SqlLogin),
    ("access-token", Method::AccessToken),
    ("kerberos", Method::Kerberos),
];

fn method(fields: &mut Fields<'_, '_>, text: &Text) -> Option<Method> {
    let found = METHODS.iter().find(|(name, _)| name == text.get_ref());
    if found.is_none() {
        let names: Vec<_> = METHODS.iter().map(|(name, _)| *name).collect();
        let message = format!(
            "`authentication` needs one of {}, found {}",
            names.join(", "),
            quoted(text.get_ref())
        );
        let remedy = "Write one of them, or take the line out for sql-login.".to_owned();
        fields.report(Code::UnknownAuthentication, text.span(), message, remedy);
    }
    found.map(|(_, method)| *method)
}

/// An authentication as the file spells it.
pub(super) fn method_name(method: Method) -> &'static str {
    let found = METHODS.iter().find(|(_, known)| *known == method);
    found.map_or("unknown", |(name, _)| name)
}

fn drill(fields: &mut Fields<'_, '_>, _: Span) -> DrillRow {
    DrillRow {
        instance: fields.text("instance", NAME),
        directory: fields.required_text("directory", DATA_FOLDER),
    }
}

fn management_shell(fields: &mut Fields<'_, '_>, _: Span) -> ManagementShellRow {
    ManagementShellRow {
        by_person: fields.choice("by", &[("command", false), ("person", true)]),
        command: fields.texts("command", LOCAL),
        timeout: fields.duration("timeout", CMDLET).map(Spanned::into_inner),
    }
}
