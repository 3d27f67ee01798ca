//! From the result sets of an observation to what the instance said.

mod codes;
mod history;
mod log_shipping;

use std::collections::BTreeMap;

use pcdr_core::discover::{DatabaseFile, EndpointSecurity, Partnership, Service, Survey};
use pcdr_core::drill::is_copy_name;
use pcdr_core::observation::{
    DatabaseObservation, DatabaseState, InstanceObservation, LogPosition, Mirroring,
    MirroringEndpoint, Session,
};
use pcdr_core::{DatabaseName, Guid, Known, Lsn, Reason, ServerName};

use crate::connection::{LocalTime, ResultSet, Row, ServerTime};
use crate::error::{SqlError, meaning};
use crate::statement::observe::ERROR;

pub(crate) use codes::{database_state, mirroring_role, mirroring_state, recovery_model};
use codes::{user_access, witness_is_connected};
pub(crate) use log_shipping::read_schedule;
use log_shipping::{
    read_alert_job, read_jobs, read_monitored, read_primaries, read_secondaries, read_unfinished,
};

use history::{history_of, log_space, read_log_space, read_restored, read_taken};

/// Rows of a section, or why there are none.
pub(crate) type Section<'a> = Known<Vec<&'a Row>>;

/// The answer, by section.
pub(crate) struct Answer<'a> {
    pub(crate) sets: &'a [ResultSet],
}

impl<'a> Answer<'a> {
    pub(crate) fn section(&self, tag: &str) -> Section<'a> {
        let mut rows: Option<Vec<&Row>> = None;
        for set in self.sets.iter().filter(|set| set.tag() == tag) {
            if set.has(ERROR) {
                if let Some(row) = set.rows.first() {
                    return Known::Unknown(failed(row, tag));
                }
            } else {
                rows.get_or_insert_default().extend(&set.rows);
            }
        }
        match rows {
            Some(rows) => Known::Known(rows),
            None => Known::unknown("not_answered", format!("{tag} was not answered")),
        }
    }

    /// A section that is wholly known or, when one row of it cannot be read, wholly unknown.
    pub(crate) fn read<T>(
        &self,
        tag: &str,
        read: impl FnMut(&'a Row) -> Result<T, SqlError>,
    ) -> Known<Vec<T>> {
        match self.section(tag) {
            Known::Known(rows) => known(rows.into_iter().map(read).collect()),
            Known::Unknown(reason) => Known::Unknown(reason),
        }
    }
}

fn known<T>(read: Result<T, SqlError>) -> Known<T> {
    match read {
        Ok(value) => Known::Known(value),
        Err(error) => Known::unknown("protocol", error.to_string()),
    }
}

pub(crate) fn failed(row: &Row, tag: &str) -> Reason {
    let number = row.optional::<i32>(tag).ok().flatten().unwrap_or(0);
    let message: Option<String> = row.optional(ERROR).ok().flatten();
    let message = message.unwrap_or_else(|| "the section failed".to_owned());
    Reason::new(
        meaning(number).0.as_str(),
        format!("{} (error {number})", crate::quote::comment(&message)),
    )
}

/// Which databases were asked for.
enum Names<'a> {
    /// These, by the spelling that was asked for: the server may spell a database otherwise.
    Asked(&'a [DatabaseName]),
    /// All of them, as the server spells them.
    Every,
}

impl Names<'_> {
    fn of(&self, row: &Row, column: &str) -> Result<Option<DatabaseName>, SqlError> {
        let name: String = row.get(column)?;
        let asked = match self {
            Names::Asked(asked) => *asked,
            Names::Every => return Ok(Some(DatabaseName::from(name))),
        };
        let exact = asked.iter().find(|asked| asked.as_str() == name);
        let similar = || {
            let lower = name.to_lowercase();
            let mut similar = asked.iter().filter(|a| a.as_str().to_lowercase() == lower);
            match (similar.next(), similar.next()) {
                (Some(only), None) => Some(only),
                _ => None,
            }
        };
        Ok(exact.or_else(similar).cloned())
    }

    /// Reads rows by database; rows of others are left out.
    fn keyed<T>(
        &self,
        answer: &Answer<'_>,
        tag: &str,
        column: &str,
        mut read: impl FnMut(&Row) -> Result<T, SqlError>,
    ) -> Known<Vec<(DatabaseName, T)>> {
        let pairs = answer.read(tag, |row| match self.of(row, column)? {
            Some(name) => Ok(Some((name, read(row)?))),
            None => Ok(None),
        });
        pairs.map(|pairs| pairs.into_iter().flatten().collect())
    }
}

/// Reads an observation of these databases.
///
/// # Errors
///
/// Only when the instance's own section cannot be read; everything else becomes unknown by itself.
pub(crate) fn read(
    sets: &[ResultSet],
    databases: &[DatabaseName],
) -> Result<InstanceObservation, SqlError> {
    read_instance(&Answer { sets }, &Names::Asked(databases))
}

fn server_row<'a>(answer: &Answer<'a>) -> Result<&'a Row, SqlError> {
    match answer.section("pcdr_server") {
        Known::Known(rows) => rows
            .first()
            .copied()
            .ok_or_else(|| SqlError::Protocol("the instance does not describe itself".to_owned())),
        Known::Unknown(reason) => Err(SqlError::Protocol(reason.message)),
    }
}

fn read_instance(answer: &Answer<'_>, names: &Names<'_>) -> Result<InstanceObservation, SqlError> {
    let server = server_row(answer)?;
    let time: ServerTime = server.get("now")?;
    let jobs = read_jobs(answer, time.offset_minutes);
    Ok(InstanceObservation {
        observed_at: time.now,
        utc_offset_minutes: time.offset_minutes,
        server_name: server.optional("server_name")?,
        version: server.optional("version")?.unwrap_or_default(),
        edition: server.optional("edition")?.unwrap_or_default(),
        agent_running: agent(answer),
        databases: read_databases(answer, names, time.offset_minutes),
        log_shipping_primary: read_primaries(answer, names, &jobs),
        log_shipping_secondary: read_secondaries(answer, names, &jobs),
        alert_job: read_alert_job(answer, &jobs),
        log_shipping_unfinished: read_unfinished(answer, names),
        log_shipping_monitored: answer.read("pcdr_monitored", read_monitored),
        mirroring_endpoint: read_endpoint(answer),
    })
}

/// Reads a survey, which tells of every database.
///
/// # Errors
///
/// As [`read`].
pub(crate) fn read_survey(sets: &[ResultSet]) -> Result<Survey, SqlError> {
    const LOG: i32 = 1;
    let answer = Answer { sets };
    let partnerships = answer.read("pcdr_partnerships", |row| {
        Ok(Partnership {
            database: DatabaseName::from(row.get::<String>("name")?),
            guid: row.get("mirroring_guid")?,
            partner_instance: row
                .optional::<String>("mirroring_partner_instance")?
                .filter(|name| !name.is_empty()),
            timeout_seconds: row.optional("timeout")?,
        })
    });
    let services = answer.read("pcdr_services", |row| {
        Ok(Service { name: row.get("servicename")?, account: row.get("service_account")? })
    });
    let security = answer.read("pcdr_endpoint_security", |row| {
        Ok(EndpointSecurity {
            authentication: row.optional("connection_auth_desc")?.unwrap_or_default(),
            encryption: row.optional("encryption_algorithm_desc")?.unwrap_or_default(),
        })
    });
    let files = answer.read("pcdr_files", |row| {
        Ok(DatabaseFile {
            database: DatabaseName::from(row.get::<String>("name")?),
            is_log: row.get::<i32>("type")? == LOG,
            path: row.get("physical_name")?,
        })
    });
    Ok(Survey {
        seen: read_instance(&answer, &Names::Every)?,
        instance_name: server_row(&answer)?.optional("instance_name")?,
        partnerships,
        witnessed: answer.read("pcdr_witnessed", |row| row.get("mirroring_guid")),
        services,
        endpoint_security: security.map(|all| all.into_iter().next()),
        files,
    })
}

fn agent(answer: &Answer<'_>) -> Known<bool> {
    const RUNNING: i32 = 4;
    let status = answer.read("pcdr_agent", |row| row.optional::<i32>("status"));
    match status {
        Known::Known(status) => match status.first() {
            Some(status) => Known::Known(*status == Some(RUNNING)),
            None => Known::unknown(
                "not_listed",
                "the instance lists no SQL Server Agent service (sys.dm_server_services)",
            ),
        },
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

fn read_databases(
    answer: &Answer<'_>,
    names: &Names<'_>,
    offset: i16,
) -> Known<BTreeMap<DatabaseName, DatabaseObservation>> {
    let positions = names.keyed(answer, "pcdr_positions", "name", read_position);
    let restores = names.keyed(answer, "pcdr_restores", "name", read_restore);
    let mirroring = names.keyed(answer, "pcdr_mirroring", "name", read_mirroring);
    let sessions = names.keyed(answer, "pcdr_sessions", "name", read_session);
    let taken = names.keyed(answer, "pcdr_taken", "name", |row| read_taken(row, offset));
    let restored = names.keyed(answer, "pcdr_restored", "name", |row| read_restored(row, offset));
    let log_spaces = read_log_space(answer, names);
    let pings = Pings::read(answer, names, offset);

    let rows = names.keyed(answer, "pcdr_databases", "name", |row| {
        let state = database_state(row.get("state")?)?;
        let is_in_standby = row.optional("is_in_standby")?.unwrap_or(false);
        Ok(DatabaseObservation {
            state,
            is_in_standby,
            is_read_only: row.optional("is_read_only")?.unwrap_or(false),
            user_access: user_access(row.get("user_access")?)?,
            recovery_model: recovery_model(row.get("recovery_model")?)?,
            log_position: Known::unknown("not_answered", "no log position was answered"),
            mirroring: Known::unknown("not_answered", "no mirroring session was answered"),
            sessions: Known::Known(Vec::new()),
            server_pings: Known::unknown("not_online", "read only while the database is ONLINE"),
            log_since_backup_bytes: Known::unknown(
                "not_online",
                "told only while the database is ONLINE",
            ),
            log_backups_taken: Known::Known(Vec::new()),
            log_backups_restored: Known::Known(Vec::new()),
        })
    });
    rows.map(|rows| {
        let mut all = BTreeMap::new();
        for (name, mut database) in rows {
            database.log_position = log_position(&name, &database, &positions, &restores);
            database.mirroring = match &mirroring {
                Known::Known(rows) => match rows.iter().find(|(of, _)| *of == name) {
                    Some((_, session)) => session.clone().fact(&database),
                    None => Known::Known(None),
                },
                Known::Unknown(reason) => Known::Unknown(reason.clone()),
            };
            database.sessions = of_database(&sessions, &name);
            if database.state == DatabaseState::Online && !is_copy_name(name.as_str()) {
                database.server_pings = pings.of(&name);
                database.log_since_backup_bytes = log_space(&log_spaces, &name);
            }
            database.log_backups_taken = history_of(&taken, &name);
            database.log_backups_restored = history_of(&restored, &name);
            all.insert(name, database);
        }
        all
    })
}

/// The rows of one database.
fn of_database<T: Clone>(
    rows: &Known<Vec<(DatabaseName, T)>>,
    database: &DatabaseName,
) -> Known<Vec<T>> {
    rows.as_ref().map(|rows| {
        let of_this = rows.iter().filter(|(of, _)| of == database);
        of_this.map(|(_, row)| row.clone()).collect()
    })
}

/// `pcdr_positions` of one database.
struct Position {
    family: Option<Guid>,
    fork: Option<Guid>,
    last_log_backup_lsn: Option<Lsn>,
    redo_start_lsn: Option<Lsn>,
    redo_start_fork: Option<Guid>,
}

fn read_position(row: &Row) -> Result<Position, SqlError> {
    Ok(Position {
        family: row.optional("family_guid")?,
        fork: row.optional("recovery_fork_guid")?,
        last_log_backup_lsn: row.optional("last_log_backup_lsn")?,
        redo_start_lsn: row.optional("redo_start_lsn")?,
        redo_start_fork: row.optional("redo_start_fork_guid")?,
    })
}

/// `pcdr_restores` of one database: the newest restore, which tells what a database that is not
/// open does not tell itself.
#[derive(Clone, Copy)]
pub(crate) struct Restored {
    pub(crate) is_log: bool,
    pub(crate) family: Option<Guid>,
    pub(crate) fork: Option<Guid>,
    pub(crate) last_lsn: Option<Lsn>,
}

pub(crate) fn read_restore(row: &Row) -> Result<Restored, SqlError> {
    let restore_type: Option<String> = row.optional("restore_type")?;
    Ok(Restored {
        is_log: restore_type.is_some_and(|kind| kind.trim() == "L"),
        family: row.optional("family_guid")?,
        fork: row.optional("last_recovery_fork_guid")?,
        last_lsn: row.optional("last_lsn")?,
    })
}

fn log_position(
    name: &DatabaseName,
    database: &DatabaseObservation,
    positions: &Known<Vec<(DatabaseName, Position)>>,
    restores: &Known<Vec<(DatabaseName, Restored)>>,
) -> Known<LogPosition> {
    let position = match positions {
        Known::Known(rows) => rows.iter().find(|(of, _)| of == name).map(|(_, p)| p),
        Known::Unknown(reason) => return Known::Unknown(reason.clone()),
    };
    let Some(position) = position else {
        return Known::unknown("not_answered", "the instance tells no log position");
    };
    let restored = restores
        .known()
        .and_then(|rows| rows.iter().find(|(of, _)| of == name))
        .map(|(_, restored)| *restored);
    let last_restored_lsn = restored.filter(|r| r.is_log).and_then(|r| r.last_lsn);
    let waits = database.is_waiting_for_log();
    let restored = restored.filter(|_| waits);
    let from_restore = |value: fn(Restored) -> Option<Guid>| restored.and_then(value);

    let family = position.family.or_else(|| from_restore(|r| r.family));
    let fork = if waits {
        let redo_fork = position.redo_start_fork.or_else(|| from_restore(|r| r.fork));
        redo_fork.or(position.fork)
    } else {
        position.fork
    };
    // A standby database is open, so its files tell no position; its history does.
    let redo_start_lsn = if waits {
        let restored_to = restored.and_then(|r| r.last_lsn);
        position.redo_start_lsn.or(restored_to)
    } else {
        None
    };
    match (family, fork) {
        (Some(family), Some(fork)) => Known::Known(LogPosition {
            family,
            fork,
            redo_start_lsn,
            last_log_backup_lsn: if waits { None } else { position.last_log_backup_lsn },
            last_restored_lsn,
        }),
        _ => Known::unknown(
            "not_told",
            "the instance tells neither family nor fork of the database while it is not open \
             (sys.database_recovery_status, sys.master_files)",
        ),
    }
}

/// `pcdr_mirroring` of one database.
#[derive(Clone)]
struct MirroringRow {
    session: Option<Mirroring>,
    is_sysadmin: Option<bool>,
}

impl MirroringRow {
    /// The columns are NULL both when there is no session and when the login may not see it: a
    /// mirror shows them to sysadmin only.
    fn fact(self, database: &DatabaseObservation) -> Known<Option<Mirroring>> {
        let may_hide = database.state != DatabaseState::Online && self.is_sysadmin != Some(true);
        match self.session {
            None if may_hide => Known::unknown(
                "permission_denied",
                "mirroring of a database that is not ONLINE is shown to sysadmin only",
            ),
            session => Known::Known(session),
        }
    }
}

fn read_mirroring(row: &Row) -> Result<MirroringRow, SqlError> {
    let is_sysadmin = row.optional("is_sysadmin")?;
    let role = row.optional::<i32>("role")?;
    let state = row.optional::<i32>("state")?;
    let session = match (role, state) {
        (Some(role), Some(state)) => Some(Mirroring {
            role: mirroring_role(role)?,
            state: mirroring_state(state)?,
            partner_address: row.optional("mirroring_partner_name")?.unwrap_or_default(),
            witness_address: row
                .optional::<String>("mirroring_witness_name")?
                .filter(|name| !name.is_empty()),
            is_witness_connected: witness_is_connected(row.optional("witness_state")?),
            is_safety_full: row.optional::<i32>("safety")? == Some(2),
            end_of_log_lsn: row.optional("mirroring_end_of_log_lsn")?,
        }),
        _ => None,
    };
    Ok(MirroringRow { session, is_sysadmin })
}

pub(crate) fn read_session(row: &Row) -> Result<Session, SqlError> {
    Ok(Session {
        session_id: row.get("session_id")?,
        login_time: row.get("login_time")?,
        login_name: row.optional("login_name")?.unwrap_or_default(),
        program_name: row.optional("program_name")?.unwrap_or_default(),
    })
}

type PingRow = (DatabaseName, Result<(ServerName, LocalTime), Reason>);

/// `pcdr_pings` of all databases; each fails by itself.
struct Pings {
    rows: Vec<PingRow>,
    offset: i16,
}

impl Pings {
    fn read(answer: &Answer<'_>, names: &Names<'_>, offset: i16) -> Pings {
        let mut rows = Vec::new();
        for set in answer.sets.iter().filter(|set| set.tag() == "pcdr_pings") {
            for row in &set.rows {
                let Ok(Some(name)) = names.of(row, "name") else {
                    continue;
                };
                let ping = if set.has(ERROR) {
                    Err(failed(row, "pcdr_pings"))
                } else {
                    match ping(row) {
                        Ok(Some(ping)) => Ok(ping),
                        Ok(None) => continue,
                        Err(error) => Err(Reason::new("protocol", error.to_string())),
                    }
                };
                rows.push((name, ping));
            }
        }
        Pings { rows, offset }
    }

    fn of(&self, name: &DatabaseName) -> Known<BTreeMap<ServerName, pcdr_core::Timestamp>> {
        let mut pings = BTreeMap::new();
        for (_, ping) in self.rows.iter().filter(|(of, _)| of == name) {
            match ping {
                Ok((server, time)) => {
                    pings.insert(server.clone(), time.at_offset(self.offset));
                }
                Err(reason) => return Known::Unknown(reason.clone()),
            }
        }
        Known::Known(pings)
    }
}

fn ping(row: &Row) -> Result<Option<(ServerName, LocalTime)>, SqlError> {
    let address: Option<String> = row.optional("address")?;
    let time: Option<LocalTime> = row.optional("pinged_at")?;
    Ok(address.zip(time).map(|(address, time)| (ServerName::from(host_of(&address)), time)))
}

/// The host in a WCF address such as `net.tcp://chat1.example.com:8011/`.
fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let end = rest.find(['/', ':', '?']).unwrap_or(rest.len());
    &rest[..end]
}

fn utc(row: &Row, column: &str) -> Result<Option<pcdr_core::Timestamp>, SqlError> {
    Ok(row.optional::<LocalTime>(column)?.map(LocalTime::utc))
}

fn read_endpoint(answer: &Answer<'_>) -> Known<Option<MirroringEndpoint>> {
    const STARTED: i32 = 0;
    const PARTNER: i32 = 1;
    const WITNESS: i32 = 2;
    const ALL: i32 = 3;
    let endpoints = answer.read("pcdr_endpoint", |row| {
        let role: i32 = row.get("role")?;
        Ok(MirroringEndpoint {
            name: row.get("name")?,
            port: row.get("port")?,
            is_started: row.get::<i32>("state")? == STARTED,
            allows_partner: role == PARTNER || role == ALL,
            allows_witness: role == WITNESS || role == ALL,
        })
    });
    endpoints.map(|endpoints| endpoints.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Cell;

    fn set(columns: &[&str], rows: Vec<Vec<Cell>>) -> ResultSet {
        let mut set = ResultSet::new(columns.iter().map(|c| (*c).to_owned()).collect());
        set.rows = rows.into_iter().map(|cells| Row::of(columns, cells)).collect();
        set
    }

    fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn server() -> ResultSet {
        set(
            &["pcdr_server", "now", "server_name", "version", "edition"],
            vec![vec![
                Cell::Int(1),
                Cell::Instant(1000, 60),
                text("SQL1"),
                text("15.0"),
                text("Std"),
            ]],
        )
    }

    fn databases(state: i64) -> ResultSet {
        set(
            &[
                "pcdr_databases",
                "name",
                "state",
                "is_in_standby",
                "is_read_only",
                "user_access",
                "recovery_model",
            ],
            vec![vec![
                Cell::Int(1),
                text("MGC"),
                Cell::Int(state),
                Cell::Bool(false),
                Cell::Bool(false),
                Cell::Int(0),
                Cell::Int(1),
            ]],
        )
    }

    const POSITIONS: [&str; 7] = [
        "pcdr_positions",
        "name",
        "family_guid",
        "recovery_fork_guid",
        "last_log_backup_lsn",
        "redo_start_lsn",
        "redo_start_fork_guid",
    ];

    #[test]
    fn a_failed_section_is_unknown_with_its_number_and_leaves_the_others_known() {
        let denied = set(
            &["pcdr_sessions", "error"],
            vec![vec![Cell::Int(300), text("VIEW SERVER STATE was denied")]],
        );
        let seen = read(&[server(), databases(0), denied], &["mgc".into()]).unwrap();
        let all = seen.databases.known().unwrap();
        let database = &all[&DatabaseName::from("mgc")];
        let reason = database.sessions.reason().unwrap();
        assert_eq!(reason.code, "permission_denied");
        assert!(reason.message.contains("300"));
        assert_eq!(seen.agent_running.reason().unwrap().code, "not_answered");
    }

    #[test]
    fn a_restoring_copy_stands_on_its_redo_fork_and_an_online_one_on_its_recovery_fork() {
        let position = set(
            &POSITIONS,
            vec![vec![
                Cell::Int(1),
                text("mgc"),
                Cell::Guid(Guid(1)),
                Cell::Guid(Guid(2)),
                Cell::Decimal(50, 0),
                Cell::Decimal(70, 0),
                Cell::Guid(Guid(3)),
            ]],
        );
        for (state, fork, redo) in [(1, Guid(3), Lsn::new(70)), (0, Guid(2), None)] {
            let sets = [server(), databases(state), position.clone()];
            let seen = read(&sets, &["mgc".into()]).unwrap();
            let all = seen.databases.known().unwrap();
            let position = *all[&DatabaseName::from("mgc")].log_position.known().unwrap();
            assert_eq!((position.fork, position.redo_start_lsn), (fork, redo));
        }
    }

    #[test]
    fn a_copy_that_tells_no_family_takes_it_from_its_restore_history() {
        let position = set(
            &POSITIONS,
            vec![vec![
                Cell::Int(1),
                text("mgc"),
                Cell::Null,
                Cell::Null,
                Cell::Null,
                Cell::Decimal(70, 0),
                Cell::Guid(Guid(3)),
            ]],
        );
        let restores = set(
            &[
                "pcdr_restores",
                "name",
                "family_guid",
                "last_recovery_fork_guid",
                "last_lsn",
                "restore_type",
            ],
            vec![vec![
                Cell::Int(1),
                text("mgc"),
                Cell::Guid(Guid(9)),
                Cell::Guid(Guid(3)),
                Cell::Decimal(70, 0),
                text("L"),
            ]],
        );
        let seen = read(&[server(), databases(1), position, restores], &["mgc".into()]).unwrap();
        let all = seen.databases.known().unwrap();
        let position = all[&DatabaseName::from("mgc")].log_position.known().unwrap();
        assert_eq!(position.family, Guid(9));
        assert_eq!(position.last_restored_lsn, Lsn::new(70));
    }

    #[test]
    fn hidden_mirroring_of_a_mirror_is_unknown_and_not_absent() {
        let columns = [
            "pcdr_mirroring",
            "name",
            "role",
            "state",
            "safety",
            "mirroring_partner_name",
            "mirroring_witness_name",
            "is_sysadmin",
        ];
        let row = |sysadmin| {
            let mut cells = vec![Cell::Int(1), text("mgc")];
            cells.extend(std::iter::repeat_n(Cell::Null, 5));
            cells.push(Cell::Int(sysadmin));
            set(&columns, vec![cells])
        };
        for (sysadmin, is_known) in [(0, false), (1, true)] {
            let seen = read(&[server(), databases(1), row(sysadmin)], &["mgc".into()]).unwrap();
            let all = seen.databases.known().unwrap();
            let mirroring = &all[&DatabaseName::from("mgc")].mirroring;
            assert_eq!(mirroring.known().is_some(), is_known);
        }
    }

    #[test]
    fn a_database_that_was_not_asked_for_is_left_out() {
        let seen = read(&[server(), databases(0)], &["other".into()]).unwrap();
        assert!(seen.databases.known().unwrap().is_empty());
    }

    #[test]
    fn the_host_of_a_service_address_is_the_chat_server() {
        assert_eq!(host_of("net.tcp://chat1.example.com:8011/svc"), "chat1.example.com");
        assert_eq!(host_of("chat1.example.com"), "chat1.example.com");
    }
}
