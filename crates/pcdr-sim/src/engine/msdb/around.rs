//! Procedures in the world: who calls, which server, and how the monitor server is reached.

use uuid::Uuid;

use crate::engine::security::authenticate;
use crate::engine::state::{InstanceState, LinkedServer, RecoveryModel, Status, WorldState};
use crate::engine::world::SessionRef;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::ObjectName;
use crate::tsql::host::{Argument, CallResult, ProcedureParameter, Sink};
use crate::value::Row;

use super::arguments::error;
use super::signature::resolve;
use super::{
    AgentRole, Arguments, Caller, DatabaseFacts, Moment, MonitorChange, Msdb, MsdbTable, Outcome,
    Surroundings,
};

/// The release whose parameters are assumed where no instance is known.
const NEWEST: u8 = 17;

/// The parameters of a system procedure, whatever the current database and the release; `None` when
/// there is no such procedure.
pub fn procedure(name: &ObjectName) -> Option<Vec<ProcedureParameter>> {
    let found = resolve(name, "msdb", NEWEST).or_else(|| resolve(name, "master", NEWEST))?;
    Some(found.parameters(NEWEST))
}

/// The parameters of a procedure as a session finds it: by its current database and its server's
/// release; `None` when there is no such procedure there.
pub fn procedure_for(session: &SessionRef, name: &ObjectName) -> Option<Vec<ProcedureParameter>> {
    // A session that ended meanwhile learns so from the call, not from a missing procedure.
    let (database, major) = place(session).unwrap_or_else(|| ("master".to_owned(), 15));
    resolve(name, &database, major).map(|s| s.parameters(major))
}

fn place(session: &SessionRef) -> Option<(String, u8)> {
    session.view(|v| (v.session.database.clone(), v.instance.config.version.0))
}

/// What surrounds a procedure while the world is locked and the instance's own `msdb` is taken out.
#[derive(Debug)]
pub struct InWorld<'a> {
    /// Everything else.
    pub state: &'a mut WorldState,
    /// Key of the instance.
    pub instance: &'a str,
    /// Now, UTC.
    pub now: jiff::Timestamp,
    /// Who calls.
    pub caller: Caller,
}

impl InWorld<'_> {
    fn own(&self) -> Option<&InstanceState> {
        self.state.instances.get(self.instance)
    }
}

/// Takes an instance's `msdb` out of the world, runs `f` beside the rest, and puts it back.
pub fn with_msdb<T>(
    state: &mut WorldState,
    instance: &str,
    now: jiff::Timestamp,
    caller: Caller,
    f: impl FnOnce(&mut Msdb, &mut dyn Surroundings) -> T,
) -> Option<T> {
    let mut msdb = std::mem::take(&mut state.instances.get_mut(instance)?.msdb);
    let result = f(&mut msdb, &mut InWorld { state, instance, now, caller });
    state.instances.get_mut(instance)?.msdb = msdb;
    Some(result)
}

/// Who a login is to the procedures.
pub fn caller(instance: &InstanceState, login: &str) -> Caller {
    let found = instance.security.logins.get(&login.to_lowercase());
    let is_sysadmin = instance.security.in_role(login, "sysadmin");
    let role = |name: &str| {
        crate::engine::security::is_database_role_member(instance, login, "msdb", name)
    };
    Caller {
        login: found.map_or_else(|| login.to_owned(), |l| l.name.clone()),
        sid: found.map(|l| l.sid.clone()).unwrap_or_default(),
        is_sysadmin,
        agent_role: if role("SQLAgentOperatorRole") {
            AgentRole::Operator
        } else if role("SQLAgentReaderRole") {
            AgentRole::Reader
        } else if role("SQLAgentUserRole") {
            AgentRole::User
        } else {
            AgentRole::None
        },
    }
}

/// The Agent itself, when it writes rows.
pub fn agent_caller(instance: &InstanceState) -> Caller {
    Caller { is_sysadmin: true, ..caller(instance, "sa") }
}

impl Surroundings for InWorld<'_> {
    fn caller(&self) -> Caller {
        self.caller.clone()
    }

    fn server_name(&self) -> String {
        self.own().map(|i| i.config.name.clone()).unwrap_or_default()
    }

    fn major(&self) -> u8 {
        self.own().map_or(NEWEST, |i| i.config.version.0)
    }

    fn moment(&self) -> Moment {
        let minutes = self.own().map_or(0, |i| i.config.utc_offset_minutes);
        moment(self.now, minutes)
    }

    fn new_id(&mut self) -> Uuid {
        self.state.random.guid()
    }

    fn database(&self, name: &str) -> Option<DatabaseFacts> {
        let database = self.own()?.database(name)?;
        Some(DatabaseFacts {
            is_online: database.status == Status::Online && database.standby.is_none(),
            is_simple: database.recovery_model == RecoveryModel::Simple,
        })
    }

    fn login_sid(&self, login: &str) -> Option<Vec<u8>> {
        let logins = &self.own()?.security.logins;
        logins.get(&login.to_lowercase()).map(|l| l.sid.clone())
    }

    fn login_name(&self, sid: &[u8]) -> Option<String> {
        let logins = &self.own()?.security.logins;
        logins.values().find(|l| l.sid == sid).map(|l| l.name.clone())
    }

    fn on_monitor(&mut self, server: &str, change: MonitorChange) -> Result<(), SqlFailure> {
        let key = server.to_lowercase();
        let login = self.own().and_then(|own| own.links.get(&key)?.login.clone());
        let caller = self.let_in(server, login.as_ref())?;
        let now = self.now;
        with_msdb(self.state, &key, now, caller, |msdb, around| {
            super::monitor::apply(msdb, around, change);
        })
        .ok_or_else(|| no_link(server, "The server cannot be reached."))
    }

    fn link(&mut self, server: &str, login: Option<(String, String)>) -> Result<(), SqlFailure> {
        self.let_in(server, login.as_ref())?;
        if let Some(own) = self.state.instances.get_mut(self.instance) {
            // What number the server ends the name with, no document says; this one only depends on the name.
            let number = number_of(server);
            let link = LinkedServer {
                name: format!("LOGSHIPLINK_{}_{number}", server.to_uppercase()),
                data_source: server.to_owned(),
                login,
            };
            own.links.insert(server.to_lowercase(), link);
        }
        Ok(())
    }
}

impl InWorld<'_> {
    /// Who this server is on its monitor.
    fn let_in(&self, server: &str, login: Option<&(String, String)>) -> Result<Caller, SqlFailure> {
        let unreachable = || no_link(server, "The server cannot be reached.");
        let here = self.own().map(|i| i.config.site.clone()).ok_or_else(unreachable)?;
        let there = self.state.instances.get(&server.to_lowercase()).ok_or_else(unreachable)?;
        if !there.running || !reaches(self.state, &here, &there.config.site) {
            return Err(unreachable());
        }
        let Some((login, password)) = login else { return Ok(agent_caller(there)) };
        let known = authenticate(there, login, password).map_err(|refused| {
            let reason = refused.0.first().map_or_else(String::new, |first| first.text.clone());
            no_link(server, &reason)
        })?;
        // The page of the procedures that write the monitor's rows names no permission; those of their
        // sisters all name this one.
        if !there.security.in_role(&known.name, "sysadmin") {
            return Err(no_link(server, "The login is not a member of sysadmin there."));
        }
        Ok(caller(there, &known.name))
    }
}

fn no_link(server: &str, reason: &str) -> SqlFailure {
    error(
        32054,
        format!(
            "There was an error establishing a link to the remote monitor server '{server}'. {reason}"
        ),
    )
}

/// A number that follows from a name (FNV-1a).
fn number_of(name: &str) -> i32 {
    let bytes = name.to_uppercase().into_bytes();
    let hash = bytes
        .into_iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    i32::from_ne_bytes(hash.to_ne_bytes())
}

/// Whether a site reaches another, there and back.
pub fn reaches(state: &WorldState, from: &str, to: &str) -> bool {
    let (from, to) = (from.to_lowercase(), to.to_lowercase());
    let lost = |site: &str| state.sites.get(site).is_some_and(|s| s.lost);
    let cut = |a: &str, b: &str| {
        a != b && state.links.get(&(a.to_owned(), b.to_owned())).is_some_and(|l| l.cut)
    };
    !lost(&from) && !lost(&to) && !cut(&from, &to) && !cut(&to, &from)
}

/// A time as a server shows it, in whole milliseconds as `datetime` keeps it.
pub fn moment(now: jiff::Timestamp, utc_offset_minutes: i16) -> Moment {
    Moment { local: local(now, utc_offset_minutes), utc: local(now, 0) }
}

/// A time as a server's local `datetime`: whole milliseconds.
pub fn local(at: jiff::Timestamp, utc_offset_minutes: i16) -> jiff::civil::DateTime {
    let at = crate::engine::state::local(at, utc_offset_minutes);
    let ms = at.subsec_nanosecond() / 1_000_000 * 1_000_000;
    at.with().subsec_nanosecond(ms).build().unwrap_or(at)
}

/// Runs a system procedure for a session.
///
/// # Errors
///
/// What the procedure raises; 2812 when there is none.
pub async fn call(
    session: &SessionRef,
    name: &ObjectName,
    arguments: Vec<Argument>,
    sink: &mut dyn Sink,
) -> Result<CallResult, SqlFailure> {
    let missing = || SqlFailure::from(crate::engine::errors::no_procedure(&name.name));
    let (database, major) =
        place(session).ok_or_else(|| SqlFailure::from(crate::engine::errors::killed()))?;
    let signature = resolve(name, &database, major).ok_or_else(missing)?;
    let ran = {
        let now = session.world.now();
        let mut state = session.world.lock();
        let caller = state
            .instances
            .get(&session.instance)
            .and_then(|i| {
                let s = i.sessions.get(&session.session_id)?;
                Some(caller(i, &s.login))
            })
            .ok_or_else(missing)?;
        with_msdb(&mut state, &session.instance, now, caller, |msdb, around| {
            super::run(signature.procedure, msdb, around, Arguments(&arguments))
        })
        .flatten()
    };
    let outcome: Outcome = match ran {
        Some(outcome) => outcome.map_err(|e| raised_by(e, signature.name))?,
        None => crate::engine::system_procedures::run(
            session,
            signature.procedure,
            Arguments(&arguments),
        )
        .await
        .map_err(|e| raised_by(e, signature.name))?,
    };
    crate::engine::agent::signalled(&session.world, &session.instance, &outcome.signals);
    for message in outcome.messages {
        sink.message(SqlMessage { procedure: signature.name.to_owned(), ..message }).await;
    }
    for relation in outcome.results {
        sink.result(relation, SELECT).await;
    }
    Ok(CallResult { status: outcome.status, outputs: outcome.outputs })
}

/// The table of `msdb` that a name means in a session's current database, if it means one.
pub fn named_by(current: &str, name: &ObjectName) -> Option<MsdbTable> {
    let database = if name.database.is_empty() { current } else { &name.database };
    let schema = name.schema.to_lowercase();
    let there = name.server.is_empty()
        && database.eq_ignore_ascii_case("msdb")
        && matches!(schema.as_str(), "" | "dbo");
    there.then(|| MsdbTable::named(&name.name)).flatten()
}

/// Changes a table by hand, as administrators do.
fn by_hand(
    session: &SessionRef,
    table: MsdbTable,
    permission: &str,
    f: impl FnOnce(&mut super::store::Table, u8) -> u64,
) -> Result<u64, SqlFailure> {
    let mut state = session.world.lock();
    let instance =
        state.instances.get_mut(&session.instance).ok_or_else(crate::engine::errors::killed)?;
    let login = instance
        .sessions
        .get(&session.session_id)
        .map(|s| s.login.clone())
        .ok_or_else(crate::engine::errors::killed)?;
    let role =
        |r: &str| crate::engine::security::is_database_role_member(instance, &login, "msdb", r);
    if !role("db_owner") && !role("db_datawriter") {
        return Err(crate::engine::catalog::denied(permission, table.name(), "msdb", "dbo"));
    }
    let major = instance.config.version.0;
    let count = f(&mut instance.msdb[table], major);
    drop(state);
    // Schedules and jobs may have been among them.
    crate::engine::agent::signalled(&session.world, &session.instance, &[super::Signal::Schedules]);
    Ok(count)
}

/// Adds rows to a table by hand.
///
/// # Errors
///
/// 229 without the right to.
pub fn append(session: &SessionRef, table: MsdbTable, rows: Vec<Row>) -> Result<u64, SqlFailure> {
    by_hand(session, table, "INSERT", |t, major| t.append(major, rows))
}

/// Changes or deletes rows of a table by hand.
///
/// # Errors
///
/// 229 without the right to.
pub fn change(
    session: &SessionRef,
    table: MsdbTable,
    changes: Vec<(Row, Option<Row>)>,
) -> Result<u64, SqlFailure> {
    by_hand(session, table, "UPDATE", |t, major| t.change(major, changes))
}

/// The code of SELECT in a DONE token.
const SELECT: u16 = 193;

/// The failure with the procedure's name on each error that has none.
fn raised_by(mut failure: SqlFailure, procedure: &str) -> SqlFailure {
    for message in &mut failure.0 {
        if message.procedure.is_empty() {
            message.procedure = procedure.to_owned();
        }
    }
    failure
}
