//! Instances as clients see them, and what statements need of the session that runs them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::access;
use super::errors;
use super::lsn::Lsn;
use super::security;
use super::state::{Admission, Database, InstanceState, RequestState, SessionState, WorldState};
use super::world::{SessionRef, World};
use crate::front::Login;
use crate::message::{SqlFailure, SqlMessage};

/// A handle to an instance of a world.
#[derive(Debug, Clone)]
pub struct Instance {
    world: World,
    key: String,
}

impl Instance {
    pub(crate) fn new(world: World, key: String) -> Instance {
        Instance { world, key }
    }

    /// Its world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Its key in the world's state: the lower-case name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Looks at its state. `f` must not lock the world.
    pub fn with<T>(&self, f: impl FnOnce(&InstanceState) -> T) -> Option<T> {
        self.world.lock().instances.get(&self.key).map(f)
    }

    /// Accepts an access token for a login from now on; one of a login that does not exist is refused
    /// when it comes.
    pub fn accept_token(&self, token: &str, login: &str) {
        if let Some(instance) = self.world.lock().instances.get_mut(&self.key) {
            instance.security.tokens.insert(token.to_owned(), login.to_lowercase());
        }
    }

    /// Whether the service runs.
    pub fn is_running(&self) -> bool {
        self.with(|instance| instance.running).unwrap_or(false)
    }

    /// Fires when the service stops: its listener is to be closed. A new one is made at every start.
    pub fn down(&self) -> CancellationToken {
        self.with(|instance| instance.down.clone()).unwrap_or_else(|| {
            let gone = CancellationToken::new();
            gone.cancel();
            gone
        })
    }

    /// Whether a client in a site reaches the instance now.
    pub fn reachable(&self, from_site: &str) -> bool {
        let state = self.world.lock();
        let Some(instance) = state.instances.get(&self.key) else {
            return false;
        };
        instance.running
            && state.linked(from_site, &instance.config.site)
            && state.linked(&instance.config.site, from_site)
    }

    /// Opens a session, or refuses with the errors that the client is to see.
    ///
    /// # Errors
    ///
    /// 18456; 4060 with 18456 when the requested database cannot be opened; 4064 for the default one.
    pub async fn open(&self, login: &Login) -> Result<SessionHost, SqlFailure> {
        let cost = self.world.lock().costs.connect;
        // A timer, even for no time at all, waits for the next millisecond.
        if !cost.is_zero() {
            tokio::time::sleep(cost).await;
        }
        self.open_session(login, true)
    }

    /// A session for work inside the server (an Agent job), without password or delay.
    ///
    /// # Errors
    ///
    /// As [`Instance::open`].
    pub fn open_internal(&self, login: &Login) -> Result<SessionHost, SqlFailure> {
        self.open_session(login, false)
    }

    fn open_session(&self, login: &Login, check_password: bool) -> Result<SessionHost, SqlFailure> {
        let now = self.world.now();
        let mut state = self.world.lock();
        let instance = state
            .instances
            .get_mut(&self.key)
            .filter(|instance| instance.running)
            .ok_or_else(|| {
                SqlMessage::new(6005, 14, "SHUTDOWN is in progress: the instance is not running.")
            })?;
        match instance.admission {
            Admission::Paused if check_password => return Err(errors::paused().into()),
            Admission::Starting if check_password => return Err(errors::not_ready().into()),
            _ => {}
        }
        let (name, default_database) = if check_password {
            let known = match &login.access_token {
                Some(token) => security::authenticate_token(instance, token)?,
                None => security::authenticate(instance, &login.user_name, &login.password)?,
            };
            (known.name, known.default_database)
        } else {
            (login.user_name.clone(), "master".to_owned())
        };
        if check_password {
            admit(instance, &name)?;
        }
        let id =
            (51..u16::MAX).find(|id| !instance.sessions.contains_key(id)).ok_or_else(|| {
                SqlMessage::new(17300, 16, "SQL Server was unable to run a new system task.")
            })?;
        let requested = !login.database.is_empty();
        let wanted = if requested { login.database.clone() } else { default_database };
        let database = match access::check(instance, &wanted, id, &name) {
            Ok(database) => database.name.clone(),
            Err(_) if requested => {
                return Err(SqlFailure(vec![
                    errors::cannot_open_requested(&wanted),
                    errors::login_failed(&name),
                ]));
            }
            Err(_) => {
                return Err(SqlFailure(vec![
                    SqlMessage::new(4064, 11, "Cannot open user default database. Login failed."),
                    errors::login_failed(&name),
                ]));
            }
        };
        take_single_user_slot(instance, &database, id);
        let serial = state.random.next_u64();
        let Some(instance) = state.instances.get_mut(&self.key) else {
            return Err(errors::login_failed(&name).into());
        };
        let ended = CancellationToken::new();
        instance.sessions.insert(
            id,
            SessionState {
                id,
                serial,
                login_time: now,
                login: name.clone(),
                host_name: login.host_name.clone(),
                program_name: login.application_name.clone(),
                interface_name: login.interface_name.clone(),
                process_id: login.process_id,
                connection: login.connection,
                database,
                transactions: Default::default(),
                transaction_count: 0,
                request: None,
                last_request_start: now,
                last_request_end: now,
                killed: false,
                global_tables: Vec::new(),
                ended: ended.clone(),
                is_user: true,
            },
        );
        Ok(SessionHost {
            me: SessionRef {
                world: self.world.clone(),
                instance: self.key.clone(),
                session_id: id,
            },
            login: name,
            serial,
            ended,
            cancel: CancellationToken::new(),
            owed: Duration::ZERO,
            savepoints: Vec::new(),
        })
    }
}

/// Whether the service lets the login in just now.
fn admit(instance: &InstanceState, login: &str) -> Result<(), SqlMessage> {
    let administrator = instance.security.in_role(login, "sysadmin");
    match instance.admission {
        Admission::Upgrading if !administrator => Err(errors::upgrading(login)),
        Admission::Administrators if !administrator => Err(errors::administrators_only(login)),
        Admission::SingleUser
            if !administrator || instance.sessions.values().any(|session| session.is_user) =>
        {
            Err(errors::one_administrator(login))
        }
        _ => Ok(()),
    }
}

/// A database in single-user mode belongs to the first session that enters it.
pub(crate) fn take_single_user_slot(instance: &mut InstanceState, database: &str, session: u16) {
    let alive: Vec<u16> = instance.sessions.keys().copied().collect();
    if let Some(database) = instance.database_mut(database)
        && database.user_access == super::state::UserAccess::Single
        && database.single_user_holder.is_none_or(|holder| !alive.contains(&holder))
    {
        database.single_user_holder = Some(session);
    }
}

/// One session inside the engine. Dropping it ends the session and rolls back what is open.
#[derive(Debug)]
pub struct SessionHost {
    /// Which session it is.
    pub me: SessionRef,
    /// Login name.
    pub login: String,
    serial: u64,
    /// Fires when the session is killed or its server stops.
    pub(crate) ended: CancellationToken,
    /// Fires when the running request is cancelled.
    pub(crate) cancel: CancellationToken,
    /// Latency that statements without an await have run up.
    pub(crate) owed: Duration,
    /// Savepoints of the open transaction, oldest first.
    pub(crate) savepoints: Vec<Savepoint>,
}

/// A place in a transaction: where the log of each database that it had changed ended then.
#[derive(Debug, Clone)]
pub(crate) struct Savepoint {
    pub(crate) name: String,
    pub(crate) ends: BTreeMap<String, Lsn>,
}

impl Drop for SessionHost {
    fn drop(&mut self) {
        let now = self.me.world.now();
        if let Some(instance) = self.me.world.lock().instances.get_mut(&self.me.instance) {
            let mine = instance
                .sessions
                .get(&self.me.session_id)
                .is_some_and(|session| session.serial == self.serial);
            if mine {
                access::end_session(instance, self.me.session_id, now);
            }
        }
        self.me.world.notify();
    }
}

/// The statement was stopped: cancelled, killed, or its server is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

impl SessionHost {
    /// Changes the state; `None` when the instance or the session is gone.
    pub(crate) fn update<T>(
        &self,
        f: impl FnOnce(&mut WorldState, &str, Timestamp) -> T,
    ) -> Option<T> {
        let now = self.me.world.now();
        let mut state = self.me.world.lock();
        let session = state.instances.get(&self.me.instance)?.sessions.get(&self.me.session_id)?;
        if session.serial != self.serial {
            return None;
        }
        Some(f(&mut state, &self.me.instance, now))
    }

    /// As [`SessionHost::update`], for a statement: the session that is gone fails with 596.
    pub(crate) fn try_change<T>(
        &self,
        f: impl FnOnce(&mut WorldState, &str, Timestamp) -> Result<T, SqlFailure>,
    ) -> Result<T, SqlFailure> {
        let me = self.me.session_id;
        self.update(|state, key, now| {
            // A killed session is on the list until its request has noticed; it changes nothing more.
            if session_mut(state, key, me).is_some_and(|session| session.killed) {
                return Err(errors::killed().into());
            }
            f(state, key, now)
        })
        .unwrap_or_else(|| Err(errors::killed().into()))
    }

    /// Whether the running statement is to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.cancel.is_cancelled() || self.ended.is_cancelled()
    }

    /// Lets time pass, unless the statement is stopped.
    pub(crate) async fn pause(&self, duration: Duration) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(Stopped),
            () = self.cancel.cancelled() => Err(Stopped),
            () = tokio::time::sleep(duration) => Ok(()),
        }
    }

    /// Waits until the world changes, at most a tenth of a second, unless the statement is stopped.
    pub(crate) async fn wait_for_change(&self) -> Result<(), Stopped> {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(Stopped),
            () = self.cancel.cancelled() => Err(Stopped),
            () = self.me.world.changed(Duration::from_millis(100)) => Ok(()),
        }
    }

    /// Pays what statements without an await have cost.
    pub async fn settle(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        if !owed.is_zero() {
            let _stopped = self.pause(owed).await;
        }
    }

    /// Begins a request: `command` is its kind, `text` what the client sent, and `cancel` stops it.
    pub fn begin_request(&mut self, command: &str, text: &str, cancel: CancellationToken) {
        self.cancel = cancel;
        let me = self.me.session_id;
        let statement = self.update(|state, key, now| {
            if let Some(session) = session_mut(state, key, me) {
                session.last_request_start = now;
                session.request = Some(RequestState {
                    command: command.to_owned(),
                    text: text.into(),
                    start: now,
                    percent_complete: 0.0,
                    estimated_completion_ms: 0,
                    wait_type: None,
                    blocked_by: None,
                    database: None,
                });
            }
            state.costs.statement + state.delays.remove(key).unwrap_or_default()
        });
        self.owed += statement.unwrap_or_default();
    }

    /// Ends a request. `false` when the session was killed meanwhile.
    pub fn end_request(&mut self) -> bool {
        let me = self.me.session_id;
        self.cancel = CancellationToken::new();
        let killed = self.update(|state, key, now| {
            let Some(session) = session_mut(state, key, me) else {
                return true;
            };
            session.request = None;
            session.last_request_end = now;
            let killed = session.killed;
            if killed && let Some(instance) = state.instances.get_mut(key) {
                access::end_session(instance, me, now);
            }
            killed
        });
        self.me.world.notify();
        !killed.unwrap_or(true)
    }

    /// Whether the session was killed or its server has stopped.
    pub fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Fires when the session is killed or its server stops.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Drops the global temporary tables that the session has made.
    pub(crate) fn drop_global_tables(&self) {
        let me = self.me.session_id;
        self.update(|state, key, now| {
            let made = session_mut(state, key, me).map(|s| std::mem::take(&mut s.global_tables));
            if let (Some(made), Some(instance)) = (made, state.instances.get_mut(key)) {
                access::drop_global_tables(instance, &made, now);
            }
        });
    }

    /// Notes the progress of the running statement.
    pub(crate) fn progress(&self, percent: f32, left: Duration, database: Option<&str>) {
        let me = self.me.session_id;
        self.update(|state, key, _| {
            if let Some(request) =
                session_mut(state, key, me).and_then(|session| session.request.as_mut())
            {
                request.percent_complete = percent;
                request.estimated_completion_ms =
                    i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
                if let Some(database) = database {
                    request.database = Some(database.to_lowercase());
                }
            }
        });
    }

    /// Works for `total`, telling progress; `step` is called after each of the pieces with the percent
    /// done.
    pub(crate) async fn work(
        &self,
        total: Duration,
        database: &str,
        sink: &mut dyn crate::tsql::host::Sink,
        stats: Option<u32>,
        mut step: impl FnMut(u32) -> Result<(), SqlMessage> + Send,
    ) -> Result<(), SqlMessage> {
        const PIECES: u32 = 20;
        let mut told = 0;
        // Each piece ends where it should: what one sleeps too long, the next does not.
        let began = tokio::time::Instant::now();
        for piece in 1..=PIECES {
            self.progress(
                (piece - 1) as f32 * 100.0 / PIECES as f32,
                total * (PIECES - piece + 1) / PIECES,
                Some(database),
            );
            let until = (total * piece / PIECES).saturating_sub(began.elapsed());
            self.pause(until).await.map_err(|Stopped| errors::aborted())?;
            if self.stopped() {
                return Err(errors::aborted());
            }
            let percent = piece * 100 / PIECES;
            step(percent)?;
            if let Some(every) = stats {
                let every = every.clamp(1, 100);
                if percent / every > told / every {
                    told = percent;
                    sink.message(errors::percent(percent)).await;
                }
            }
        }
        self.progress(100.0, Duration::ZERO, Some(database));
        Ok(())
    }
}

pub(crate) fn session_mut<'a>(
    state: &'a mut WorldState,
    instance: &str,
    session: u16,
) -> Option<&'a mut SessionState> {
    state.instances.get_mut(instance)?.sessions.get_mut(&session)
}

pub(crate) fn database_mut<'a>(
    state: &'a mut WorldState,
    instance: &str,
    database: &str,
) -> Option<&'a mut Database> {
    state.instances.get_mut(instance)?.databases.get_mut(&database.to_lowercase())
}
