//! The system procedures that are about the server rather than `msdb`: sessions, options, files.
//!
//! Source: the vendor's pages of `sp_who`, `sp_configure`, `sp_helpdb` and `sp_dbmmonitorresults`;
//! wide use of `sp_who2` and of the undocumented `xp_` file procedures.

use std::path::{Path, PathBuf};

use super::catalog::columns::{ColumnDef, not_null, null, text};
use super::catalog::{self, View};
use super::errors::OsError;
use super::msdb::arguments::{error, relation};
use super::msdb::store::same_name;
use super::msdb::{Arguments, Outcome, Procedure};
use super::world::SessionRef;
use crate::message::{SqlFailure, SqlMessage};
use crate::value::{Length, SqlType, SqlType::*, Value};

/// Runs a procedure that [`super::msdb::run`] leaves to the server.
///
/// # Errors
///
/// What the procedure raises.
pub async fn run(
    session: &SessionRef,
    procedure: Procedure,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    use Procedure as P;
    let gone = || {
        SqlFailure::from(SqlMessage::new(
            596,
            21,
            "Cannot continue the execution because the session is in the kill state.",
        ))
    };
    let view = |f: &dyn Fn(View<'_>) -> Result<Outcome, SqlFailure>| {
        session.view(f).unwrap_or_else(|| Err(gone()))
    };
    match procedure {
        P::Who => view(&|v| Ok(who(v, a))),
        P::Who2 => view(&|v| Ok(who2(v, a))),
        P::Helpdb => view(&|v| help_databases(v, a)),
        P::Fixeddrives => view(&|v| Ok(fixed_drives(v))),
        P::Fileexist => view(&|v| Ok(file_exists(v, a))),
        P::DbmResults => view(&|v| mirroring_results(v, a)),
        P::DbmUpdate => view(&|v| must_be_sysadmin(v).map(|()| Outcome::ok())),
        P::Servicecontrol => {
            let running = view(&|v| {
                must_be_sysadmin(v)?;
                Ok(Outcome { status: i32::from(v.instance.msdb.agent.is_running), ..Outcome::ok() })
            })?;
            service_control(session, a, running.status == 1)
        }
        P::Cmdshell => Err(switched_off("xp_cmdshell")),
        P::Configure => configure(session, a),
        P::Dirtree => Ok(dirtree(session, a)),
        P::Subdirs => subdirs(session, a),
        P::CreateSubdir | P::DeleteFile | P::DeleteFiles | P::CopyFile | P::CopyFiles => {
            view(&|v| must_be_sysadmin(v).map(|()| Outcome::ok()))?;
            let name = match procedure {
                P::CreateSubdir => "xp_create_subdir",
                P::DeleteFile => "xp_delete_file",
                P::DeleteFiles => "xp_delete_files",
                P::CopyFile => "xp_copy_file",
                _ => "xp_copy_files",
            };
            let done = match procedure {
                P::CreateSubdir => create_subdir(session, a),
                P::DeleteFile => delete_file(session, a),
                P::DeleteFiles => delete_files(session, a),
                _ => copy_files(session, a),
            };
            done.map(|()| Outcome::ok()).map_err(|os| file_error(name, os))
        }
        _ => Ok(Outcome::ok()),
    }
}

fn must_be_sysadmin(view: View<'_>) -> Result<(), SqlFailure> {
    if view.is_sysadmin() {
        return Ok(());
    }
    Err(error(15_247, "User does not have permission to perform this action."))
}

fn switched_off(component: &str) -> SqlFailure {
    error(
        15_281,
        format!(
            "SQL Server blocked access to procedure 'sys.{component}' of component '{component}' because this component is turned off as part of the security configuration for this server."
        ),
    )
}

fn file_error(procedure: &str, os: OsError) -> SqlFailure {
    error(22_048, format!("{procedure}() returned error {}, '{}'", os.0, os.text()))
}

// ---- sessions --------------------------------------------------------------------------------------

const WHO: &[ColumnDef] = &[
    not_null("spid", SmallInt),
    not_null("ecid", SmallInt),
    not_null("status", NChar(30)),
    null("loginame", NChar(128)),
    not_null("hostname", NChar(128)),
    null("blk", Char(5)),
    null("dbname", NChar(128)),
    not_null("cmd", NChar(16)),
    not_null("request_id", Int),
];

/// Which sessions a caller asked for: by id, by login, or `active`.
fn wanted<'a>(view: View<'a>, a: Arguments<'_>) -> Vec<&'a super::state::SessionState> {
    let name = a.text("@loginame");
    let id = name.as_ref().and_then(|n| n.trim().parse::<u16>().ok());
    let active = name.as_ref().is_some_and(|n| n.eq_ignore_ascii_case("active"));
    let all = view.has("VIEW SERVER STATE");
    view.instance
        .sessions
        .values()
        .filter(|s| all || s.id == view.session.id)
        .filter(|s| match (&name, id) {
            _ if active => s.request.is_some(),
            (_, Some(id)) => s.id == id,
            (Some(login), None) => same_name(login, &s.login),
            (None, None) => true,
        })
        .collect()
}

fn who(view: View<'_>, a: Arguments<'_>) -> Outcome {
    let rows = wanted(view, a)
        .into_iter()
        .map(|s| {
            let (status, command) = catalog::status_and_command(s);
            let blocked = s.request.as_ref().and_then(|r| r.blocked_by);
            vec![
                ("spid", Value::Int(i32::from(s.id))),
                ("ecid", Value::SmallInt(0)),
                ("status", Value::string(format!("{status:<30}"))),
                ("loginame", Value::string(&s.login)),
                ("hostname", Value::string(&s.host_name)),
                ("blk", Value::string(format!("{:<5}", blocked.unwrap_or(0)))),
                ("dbname", Value::string(&s.database)),
                ("cmd", Value::string(command.chars().take(16).collect::<String>())),
                ("request_id", Value::Int(0)),
            ]
        })
        .collect();
    Outcome::rows(relation(WHO, rows))
}

const WHO2: &[ColumnDef] = &[
    not_null("SPID", Char(5)),
    null("Status", text(30)),
    null("Login", SqlType::SYSNAME),
    null("HostName", SqlType::SYSNAME),
    null("BlkBy", Char(5)),
    null("DBName", SqlType::SYSNAME),
    null("Command", text(16)),
    null("CPUTime", Int),
    null("DiskIO", Int),
    null("LastBatch", VarChar(Length::Up(14))),
    null("ProgramName", text(128)),
    not_null("SPID", Char(5)),
    not_null("REQUESTID", Int),
];

fn who2(view: View<'_>, a: Arguments<'_>) -> Outcome {
    let nobody = || Value::string("  .");
    let rows = wanted(view, a)
        .into_iter()
        .map(|s| {
            let (status, command) = catalog::status_and_command(s);
            let status = match status {
                "sleeping" => status.to_owned(),
                other => other.to_uppercase(),
            };
            let blocked = s.request.as_ref().and_then(|r| r.blocked_by);
            let spid = Value::string(format!("{:<5}", s.id));
            let last =
                super::state::local(s.last_request_start, view.instance.config.utc_offset_minutes);
            vec![
                spid,
                Value::string(format!("{status:<30}")),
                Value::string(&s.login),
                if s.host_name.is_empty() { nobody() } else { Value::string(&s.host_name) },
                blocked.map_or_else(nobody, |b| Value::string(format!("{b:<5}"))),
                Value::string(&s.database),
                Value::string(command.chars().take(16).collect::<String>()),
                Value::Int(0),
                Value::Int(0),
                Value::string(last.strftime("%m/%d %H:%M:%S").to_string()),
                Value::string(&s.program_name),
                Value::string(format!("{:<5}", s.id)),
                Value::Int(0),
            ]
        })
        .collect();
    // Two columns share a name: rows are built by position.
    let mut result = relation(WHO2, Vec::new());
    result.rows = rows;
    Outcome::rows(result)
}

const HELPDB: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    null("db_size", text(13)),
    null("owner", SqlType::SYSNAME),
    null("dbid", SmallInt),
    null("created", text(11)),
    null("status", text(600)),
    null("compatibility_level", TinyInt),
];

fn help_databases(view: View<'_>, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let name = a.text("@dbname");
    if let Some(name) = &name
        && view.instance.database(name).is_none()
    {
        return Err(error(
            15_010,
            format!(
                "The database '{name}' does not exist. Supply a valid database name. To see available databases, use sys.databases."
            ),
        ));
    }
    let rows = view
        .instance
        .databases
        .values()
        .filter(|d| name.as_ref().is_none_or(|n| same_name(n, &d.name)))
        .map(|d| {
            let bytes: u64 = d.files.iter().map(|f| f.size).sum();
            let size = format!("{:.2} MB", bytes as f64 / 1_048_576.0);
            let created = super::state::local(d.created, view.instance.config.utc_offset_minutes);
            let status = format!(
                "Status={}, Updateability={}, UserAccess={}, Recovery={}, Version={}, Collation={}",
                d.status.code().1,
                if d.read_only || d.standby.is_some() { "READ_ONLY" } else { "READ_WRITE" },
                d.user_access.code().1,
                d.recovery_model.code().1,
                d.version,
                d.collation,
            );
            vec![
                ("name", Value::string(&d.name)),
                ("db_size", Value::string(format!("{size:>13}"))),
                ("owner", Value::string(&d.owner)),
                ("dbid", Value::Int(d.id)),
                ("created", Value::string(created.strftime("%b %e %Y").to_string())),
                ("status", Value::string(status)),
                ("compatibility_level", Value::TinyInt(d.compatibility_level)),
            ]
        })
        .collect();
    Ok(Outcome::rows(relation(HELPDB, rows)))
}

// ---- options ---------------------------------------------------------------------------------------

const CONFIGURE: &[ColumnDef] = &[
    not_null("name", text(35)),
    null("minimum", Int),
    null("maximum", Int),
    null("config_value", Int),
    null("run_value", Int),
];

fn configure(session: &SessionRef, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    let name = a.text("@configname").map(|n| n.trim().to_lowercase());
    let value = a.int("@configvalue");
    let mut state = session.world.lock();
    let Some(instance) = state.instances.get_mut(&session.instance) else {
        return Ok(Outcome::ok());
    };
    let login = instance.sessions.get(&session.session_id).map(|s| s.login.clone());
    let allowed = login
        .is_some_and(|l| super::security::has_server_permission(instance, &l, "ALTER SETTINGS"));
    let advanced = catalog::OPTIONS
        .iter()
        .find(|o| o.name == "show advanced options")
        .is_some_and(|o| catalog::configured(instance, o).1 == 1);
    let shown: Vec<_> = catalog::OPTIONS
        .iter()
        .filter(|o| advanced || !o.advanced)
        .filter(|o| name.as_ref().is_none_or(|n| o.name.to_lowercase().starts_with(n)))
        .collect();
    if name.is_some() && shown.is_empty() {
        return Err(error(
            15_123,
            format!(
                "The configuration option '{}' does not exist, or it may be an advanced option.",
                name.unwrap_or_default()
            ),
        ));
    }
    if let (Some(value), Some(name)) = (value, &name) {
        if !allowed {
            return Err(error(15_247, "User does not have permission to perform this action."));
        }
        let exact = shown.iter().find(|o| o.name.eq_ignore_ascii_case(name));
        let option = match (exact, shown.as_slice()) {
            (Some(option), _) => option,
            (None, [one]) => one,
            _ => {
                return Err(error(
                    15_124,
                    format!("The configuration option '{name}' is not unique."),
                ));
            }
        };
        let fits =
            i32::try_from(value).ok().filter(|v| (option.minimum..=option.maximum).contains(v));
        let Some(new) = fits else {
            return Err(error(
                15_129,
                format!(
                    "'{value}' is not a valid value for configuration option '{}'.",
                    option.name
                ),
            ));
        };
        let (old, in_use) = catalog::configured(instance, option);
        instance.msdb.configuration.insert(option.name, (new, in_use));
        return Ok(Outcome::ok().saying(SqlMessage::new(
            15_457,
            10,
            format!("Configuration option '{}' changed from {old} to {new}. Run the RECONFIGURE statement to install.", option.name),
        )));
    }
    let rows = shown
        .iter()
        .map(|o| {
            let (value, in_use) = catalog::configured(instance, o);
            vec![
                ("name", Value::string(o.name)),
                ("minimum", Value::Int(o.minimum)),
                ("maximum", Value::Int(o.maximum)),
                ("config_value", Value::Int(value)),
                ("run_value", Value::Int(in_use)),
            ]
        })
        .collect();
    Ok(Outcome::rows(relation(CONFIGURE, rows)))
}

/// Puts every option that `sp_configure` changed into use: RECONFIGURE.
pub fn reconfigure(instance: &mut super::state::InstanceState) {
    for (value, in_use) in instance.msdb.configuration.values_mut() {
        *in_use = *value;
    }
}

fn service_control(
    session: &SessionRef,
    a: Arguments<'_>,
    agent_runs: bool,
) -> Result<Outcome, SqlFailure> {
    const STATE: &[ColumnDef] = &[null("Current Service State", text(40))];
    let service = a.text("@service").unwrap_or_default().to_lowercase();
    let agent = service.contains("agent");
    match a.text("@action").unwrap_or_default().to_uppercase().as_str() {
        "QUERYSTATE" => {
            let text = if !agent || agent_runs { "Running." } else { "Stopped." };
            let row = vec![("Current Service State", Value::string(text))];
            Ok(Outcome::rows(relation(STATE, vec![row])))
        }
        "START" if agent && !agent_runs => {
            super::agent::start(&session.world, &session.instance);
            Ok(Outcome::ok())
        }
        "STOP" if agent && agent_runs => {
            super::agent::stop(&session.world, &session.instance);
            Ok(Outcome::ok())
        }
        other => Err(error(
            22_003,
            format!(
                "xp_servicecontrol cannot {other} the service '{service}' in its present state."
            ),
        )),
    }
}

// ---- files -----------------------------------------------------------------------------------------

fn place(session: &SessionRef, path: &str) -> Result<PathBuf, OsError> {
    session.world.path(&session.instance, path)
}

fn writable(session: &SessionRef, path: &str) -> Result<PathBuf, OsError> {
    session.world.writable_path(&session.instance, path)
}

fn dirtree(session: &SessionRef, a: Arguments<'_>) -> Outcome {
    const PLAIN: &[ColumnDef] = &[null("subdirectory", text(512)), null("depth", Int)];
    const WITH_FILES: &[ColumnDef] =
        &[null("subdirectory", text(512)), null("depth", Int), null("file", Int)];
    let files = a.int("@file") == Some(1);
    let depth = match a.int("@depth") {
        Some(n @ 1..=64) => n as usize,
        _ => 64,
    };
    let folder = a.text("@path").and_then(|p| place(session, &p).ok());
    let found = folder.map(|f| catalog::entries(&f, depth)).unwrap_or_default();
    let rows = found
        .into_iter()
        .filter(|e| files || e.is_directory)
        .map(|e| {
            let depth = e.parts.len() as i64;
            vec![
                ("subdirectory", Value::string(e.parts.last().map_or("", String::as_str))),
                ("depth", Value::BigInt(depth)),
                ("file", Value::Int(i32::from(!e.is_directory))),
            ]
        })
        .collect();
    Outcome::rows(relation(if files { WITH_FILES } else { PLAIN }, rows))
}

fn subdirs(session: &SessionRef, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    const COLUMNS: &[ColumnDef] = &[null("subdirectory", text(512))];
    let path = a.text("@path").unwrap_or_default();
    let folder = place(session, &path)
        .and_then(|p| if p.is_dir() { Ok(p) } else { Err(OsError::PATH_NOT_FOUND) })
        .map_err(|os| file_error("xp_subdirs", os))?;
    let rows = catalog::entries(&folder, 1)
        .into_iter()
        .filter(|e| e.is_directory)
        .map(|e| vec![("subdirectory", Value::string(&e.parts[0]))])
        .collect();
    Ok(Outcome::rows(relation(COLUMNS, rows)))
}

fn file_exists(view: View<'_>, a: Arguments<'_>) -> Outcome {
    const COLUMNS: &[ColumnDef] = &[
        null("File Exists", Int),
        null("File is a Directory", Int),
        null("Parent Directory Exists", Int),
    ];
    let (file, folder, parent) = catalog::existence(view, &a.text("@path").unwrap_or_default());
    let outcome = Outcome::ok().giving("@exists", Value::Int(i32::from(file)));
    // With the second argument the value goes there, and no set is sent.
    let wants_value = a.0.iter().any(|x| x.name.eq_ignore_ascii_case("@exists") && x.given);
    if wants_value {
        return outcome;
    }
    let row = vec![
        ("File Exists", Value::Int(i32::from(file))),
        ("File is a Directory", Value::Int(i32::from(folder))),
        ("Parent Directory Exists", Value::Int(i32::from(parent))),
    ];
    Outcome { results: vec![relation(COLUMNS, vec![row])], ..outcome }
}

fn fixed_drives(view: View<'_>) -> Outcome {
    const COLUMNS: &[ColumnDef] = &[null("drive", Char(1)), null("MB free", Int)];
    let rows = catalog::drives(view)
        .into_iter()
        .filter(|(drive, _)| drive != "/")
        .map(|(drive, free)| {
            vec![("drive", Value::string(drive)), ("MB free", Value::BigInt(free / 1_048_576))]
        })
        .collect();
    Outcome::rows(relation(COLUMNS, rows))
}

fn create_subdir(session: &SessionRef, a: Arguments<'_>) -> Result<(), OsError> {
    let path = writable(session, &a.text("@path").unwrap_or_default())?;
    std::fs::create_dir_all(path).map_err(|e| OsError::of(&e))
}

/// Folder and last part of a path.
fn split(path: &str) -> (&str, &str) {
    path.rfind(['\\', '/']).map_or(("", path), |i| (&path[..i], &path[i + 1..]))
}

/// The files of a folder that match the pattern in a path's last part.
fn matching(session: &SessionRef, path: &str) -> Result<Vec<PathBuf>, OsError> {
    let (folder, pattern) = split(path);
    let folder = place(session, folder)?;
    let mut found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map_err(|e| super::paths::open_error(&folder, &e))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_file())
        .filter(|p| {
            let name = p.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| catalog::matches(pattern, &n))
        })
        .collect();
    found.sort();
    Ok(found)
}

fn delete_files(session: &SessionRef, a: Arguments<'_>) -> Result<(), OsError> {
    let path = a.text("@path").unwrap_or_default();
    writable(session, split(&path).0)?;
    let found = matching(session, &path)?;
    if found.is_empty() {
        return Err(OsError::FILE_NOT_FOUND);
    }
    for file in found {
        std::fs::remove_file(file).map_err(|e| OsError::of(&e))?;
    }
    Ok(())
}

/// Deletes one backup file, or those of a folder that were last written before a time.
fn delete_file(session: &SessionRef, a: Arguments<'_>) -> Result<(), OsError> {
    let path = a.text("@path").unwrap_or_default();
    let target = writable(session, &path)?;
    if target.is_file() {
        return delete_backup(&target, None);
    }
    if !target.is_dir() {
        return Err(OsError::FILE_NOT_FOUND);
    }
    let extension = a.text("@extension").unwrap_or_default().trim_start_matches('.').to_lowercase();
    let offset = session.view(|v| v.instance.config.utc_offset_minutes).unwrap_or(0);
    let before = a
        .text("@cutoff")
        .and_then(|t| t.trim().replace(' ', "T").parse::<jiff::civil::DateTime>().ok())
        .and_then(|t| super::state::offset(offset).to_timestamp(t).ok());
    let depth = if a.int("@subfolders") == Some(1) { 2 } else { 1 };
    for entry in catalog::entries(&target, depth) {
        let file = entry.parts.iter().fold(target.clone(), |p, part| p.join(part));
        let fits =
            file.extension().is_some_and(|e| e.to_string_lossy().to_lowercase() == extension);
        if !entry.is_directory && fits {
            delete_backup(&file, before)?;
        }
    }
    Ok(())
}

/// Deletes a file if it is a backup, and was finished before a time when one is given.
fn delete_backup(file: &Path, before: Option<jiff::Timestamp>) -> Result<(), OsError> {
    let bytes = std::fs::read(file).map_err(|e| OsError::of(&e))?;
    let Ok(media) = super::media::Media::parse(bytes) else {
        return Ok(()); // not a backup: left alone
    };
    // This world's clock may run apart from the disk's: the backup itself knows when it was written.
    let written = media.sets.last().map(|s| s.header.finish);
    if before.is_none_or(|cutoff| written.is_none_or(|w| w < cutoff)) {
        std::fs::remove_file(file).map_err(|e| OsError::of(&e))?;
    }
    Ok(())
}

fn copy_files(session: &SessionRef, a: Arguments<'_>) -> Result<(), OsError> {
    let source = a.text("@source").unwrap_or_default();
    let target = writable(session, &a.text("@destination").unwrap_or_default())?;
    let found = matching(session, &source)?;
    if found.is_empty() {
        return Err(OsError::FILE_NOT_FOUND);
    }
    for file in found {
        let to = match file.file_name() {
            Some(name) if target.is_dir() => target.join(name),
            _ => target.clone(),
        };
        std::fs::copy(&file, &to).map_err(|e| super::paths::open_error(&to, &e))?;
    }
    Ok(())
}

// ---- mirroring monitor -------------------------------------------------------------------------------

const DBM_RESULTS: &[ColumnDef] = &[
    not_null("database_name", SqlType::SYSNAME),
    null("role", Int),
    null("mirroring_state", Int),
    null("witness_status", Int),
    null("log_generation_rate", Int),
    null("unsent_log", Int),
    null("send_rate", Int),
    null("unrestored_log", Int),
    null("recovery_rate", Int),
    null("transaction_delay", Int),
    null("transactions_per_sec", Int),
    null("average_delay", Int),
    not_null("time_recorded", DateTime),
    null("time_behind", DateTime),
    not_null("local_time", DateTime),
];

fn mirroring_results(view: View<'_>, a: Arguments<'_>) -> Result<Outcome, SqlFailure> {
    use super::mirroring_state::MirroringRole;
    let login = &view.session.login;
    let allowed =
        super::security::is_database_role_member(view.instance, login, "msdb", "dbm_monitor");
    if !allowed {
        return Err(error(
            32_046,
            "Only members of the sysadmin fixed server role or the 'dbm_monitor' role in msdb can perform this operation.",
        ));
    }
    let name = a.text("@database_name").unwrap_or_default();
    let session = view.instance.database(&name).and_then(|d| d.mirroring.as_ref().map(|m| (d, m)));
    let Some((database, m)) = session else {
        return Err(error(32_039, format!("The database '{name}' is not being mirrored.")));
    };
    let principal = m.role == MirroringRole::Principal;
    let witness = match (&m.witness, m.witness_connected) {
        (None, _) => 0,
        (Some(_), true) => 1,
        (Some(_), false) => 2,
    };
    // What the partner does not have yet, in the two logs' own positions.
    let partner = view.state.instances.get(&m.partner).and_then(|i| i.database(&database.name));
    let unsent = partner.map(|p| {
        let (ahead, behind) = if principal { (database, p) } else { (p, database) };
        let bytes: u64 = ahead
            .log
            .records
            .iter()
            .filter(|r| r.lsn >= behind.log.next)
            .map(super::log::LogRecord::bytes)
            .sum();
        Value::BigInt(i64::try_from(bytes / 1024).unwrap_or(i64::MAX))
    });
    let now = view.local(view.now);
    let row = vec![
        ("database_name", Value::string(&database.name)),
        ("role", Value::Int(if principal { 1 } else { 2 })),
        ("mirroring_state", Value::Int(i32::from(m.state.code().0))),
        ("witness_status", Value::Int(witness)),
        ("unsent_log", unsent.unwrap_or(Value::Null)),
        ("unrestored_log", Value::Int(0)),
        ("average_delay", Value::Int(0)),
        ("time_recorded", Value::DateTime(super::msdb::around::moment(view.now, 0).utc)),
        ("time_behind", Value::DateTime(super::msdb::around::moment(view.now, 0).utc)),
        ("local_time", now),
    ];
    Ok(Outcome::rows(relation(DBM_RESULTS, vec![row])))
}
