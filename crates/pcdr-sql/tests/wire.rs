//! Connections, pool, cancellation and error translation, over real TLS connections.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pcdr_core::ports::{DatabaseInstance, Progress, Unwatched};
use pcdr_core::step::DatabaseAction;
use pcdr_core::{DatabaseName, ErrorCode};
use pcdr_sim::value::{SqlType, Value};
use pcdr_sim::wire::inflight::InFlight;
use pcdr_sql::pool::SIDE_BY_SIDE;
use pcdr_sql::{Dialer, NetStream, Password, Trace};
use support::{Act, Server, bit, done, failed, int, null, row, text};

fn mgc() -> DatabaseName {
    "mgc".into()
}

/// Answers an observation with what the instance says of itself, and with one database.
fn observation() -> Vec<Act> {
    let mut acts = row(vec![
        ("pcdr_server", int(1)),
        ("now", support::now()),
        ("server_name", text("SQL1")),
        ("version", text("15.0.4153.1")),
        ("edition", text("Standard Edition (64-bit)")),
    ]);
    acts.extend(row(vec![
        ("pcdr_databases", int(1)),
        ("name", text("mgc")),
        ("state", int(0)),
        ("is_in_standby", bit(false)),
        ("is_read_only", bit(false)),
        ("user_access", int(0)),
        ("recovery_model", int(1)),
    ]));
    acts.extend(row(vec![("pcdr_sessions", int(300)), ("error", text("denied"))]));
    acts
}

/// Answers the question where a database stands.
fn standing(state: i32) -> Vec<Act> {
    row(vec![
        ("session_id", int(51)),
        ("login_time", text("2026-03-01 10:45:00.123")),
        ("name", text("mgc")),
        ("state", int(state)),
        ("is_in_standby", bit(false)),
        ("is_read_only", bit(false)),
        ("recovery_model", int(3)),
        ("redo_start_lsn", null(SqlType::LSN)),
        ("redo_start_fork_guid", null(SqlType::UniqueIdentifier)),
        ("family_guid", null(SqlType::UniqueIdentifier)),
        ("last_log_backup_lsn", null(SqlType::LSN)),
        ("mirroring_role", null(SqlType::Int)),
        ("mirroring_state", null(SqlType::Int)),
        ("mirroring_safety", null(SqlType::Int)),
        ("mirroring_partner_name", null(SqlType::SYSNAME)),
        ("mirroring_witness_name", null(SqlType::SYSNAME)),
    ])
}

#[tokio::test]
async fn an_observation_is_one_round_trip_and_the_next_one_reuses_its_connection() {
    let server = Server::start(|_| observation()).await;
    let instance = server.instance();
    for observations in 1..=3 {
        let seen = instance.observe(&[mgc()]).await.unwrap();
        assert_eq!(seen.version, "15.0.4153.1");
        let database = &seen.databases.known().unwrap()[&mgc()];
        assert_eq!(database.sessions.reason().unwrap().code, "permission_denied");
        assert_eq!(server.requests(), observations);
    }
    assert_eq!(server.logins(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_one_login_attempt_and_fails_at_once() {
    let server = Server::start(|_| observation()).await;
    let instance =
        server.instance_with(|endpoint| endpoint.credentials = support::password("wrong"));
    let started = Instant::now();
    let error = instance.observe(&[mgc()]).await.unwrap_err();
    assert_eq!((error.code, error.number), (ErrorCode::LoginFailed, Some(18456)));
    assert_eq!(server.attempts(), 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(!format!("{error:?} {error}").contains("wrong"));
}

#[tokio::test]
async fn an_unknown_authority_and_another_host_name_are_not_trusted() {
    let server = Server::start(|_| observation()).await;
    let unknown = server.instance_with(|endpoint| endpoint.ca_bundle = None);
    let name = Some("sql2.example.com".to_owned());
    let other = server.instance_with(|endpoint| endpoint.host_name_in_certificate = name);
    for instance in [unknown, other] {
        let error = instance.observe(&[mgc()]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::CertificateNotTrusted, "{error}");
        assert!(!error.found.contains("trust_cert"), "{error}");
    }
    assert_eq!(server.attempts(), 0, "no password was sent to a server that is not trusted");
    let name = Some("sql1.example.com".to_owned());
    let named = server.instance_with(|endpoint| endpoint.host_name_in_certificate = name);
    named.observe(&[mgc()]).await.unwrap();
}

#[tokio::test]
async fn a_login_that_is_redirected_goes_there_and_the_certificate_there_is_checked() {
    let first = Server::start(|_| observation()).await;
    let second = Server::start(|_| observation()).await;
    let to = ("127.0.0.1\\CHAT".to_owned(), second.listener.address().port());
    *first.fake.redirect.lock().unwrap() = Some(to);
    let both = first.authority.pem().to_owned() + second.authority.pem();
    let trusting = first.instance_with(|e| e.ca_bundle = Some(Arc::new(both.into_bytes())));
    trusting.observe(&[mgc()]).await.unwrap();
    assert_eq!((first.logins(), second.logins()), (0, 1));
    let error = first.instance().observe(&[mgc()]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CertificateNotTrusted, "{error}");
}

#[tokio::test]
async fn a_server_that_redirects_to_itself_is_given_up_after_five_logins() {
    let server = Server::start(|_| observation()).await;
    let port = server.listener.address().port();
    *server.fake.redirect.lock().unwrap() = Some(("127.0.0.1".to_owned(), port));
    let error = server.instance().observe(&[mgc()]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Protocol, "{error}");
    assert_eq!(server.attempts(), 5);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable_at_once() {
    let server = Server::start(|_| observation()).await;
    let instance = server.instance();
    server.listener.cut().await;
    let started = Instant::now();
    let error = instance.observe(&[mgc()]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unreachable, "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_that_was_killed_is_replaced_unnoticed() {
    let killed = Arc::new(AtomicBool::new(false));
    let kill = Arc::clone(&killed);
    let server = Server::start(move |_| match kill.swap(false, Ordering::SeqCst) {
        true => vec![Act::Die],
        false => observation(),
    })
    .await;
    let instance = server.instance();
    instance.observe(&[mgc()]).await.unwrap();
    killed.store(true, Ordering::SeqCst);
    instance.observe(&[mgc()]).await.unwrap();
    assert_eq!(server.logins(), 2);
}

#[tokio::test]
async fn an_error_of_severity_16_keeps_the_connection_and_names_its_number() {
    let server = Server::start(|batch| match batch.starts_with("ALTER") {
        true => failed(5061, 16, "ALTER DATABASE failed because a lock could not be placed."),
        false => standing(0),
    })
    .await;
    let instance = server.instance();
    for _ in 0..2 {
        let database = mgc();
        let run = instance.run(&database, &DatabaseAction::SetRecoveryFull, &Unwatched);
        let error = run.await.unwrap_err();
        assert_eq!((error.code, error.number), (ErrorCode::InUse, Some(5061)));
    }
    assert_eq!(server.logins(), 1);
}

#[tokio::test]
async fn a_statement_whose_session_is_killed_is_a_lost_connection_and_is_not_repeated() {
    let server = Server::start(|batch| match batch.starts_with("ALTER") {
        true => vec![Act::Die],
        false => standing(0),
    })
    .await;
    let instance = server.instance();
    let database = mgc();
    let run = instance.run(&database, &DatabaseAction::SetRecoveryFull, &Unwatched);
    let error = run.await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ConnectionLost, "{error}");
    let batches = server.fake.batches.lock().unwrap();
    assert_eq!(batches.iter().filter(|batch| batch.starts_with("ALTER")).count(), 1);
}

/// An operator who wants to stop as soon as something runs.
struct Impatient(AtomicBool);

impl Progress for Impatient {
    fn report(&self, _percent: f32, _detail: &str) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_cancelled_statement_gets_an_attention_and_its_connection_is_dropped() {
    let server = Server::start(|batch| {
        if batch.starts_with("ALTER") {
            vec![Act::Sleep(Duration::from_secs(3600)), done(None)]
        } else if batch.contains("percent_complete") {
            // The session is gone.
            vec![done(Some(0))]
        } else {
            standing(0)
        }
    })
    .await;
    let instance = server.instance();
    let progress = Impatient(AtomicBool::new(true));
    let database = mgc();
    let run = instance.run(&database, &DatabaseAction::SetRecoveryFull, &progress);
    let error = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap().unwrap_err();
    assert_eq!(error.code, ErrorCode::Cancelled, "{error}");
    assert_eq!(server.listener.metrics().attentions(), 1);
    let before = server.logins();
    let database = mgc();
    let run = instance.run(&database, &DatabaseAction::EndSessions, &Unwatched);
    let _ = run.await;
    assert!(server.logins() >= before);
}

#[tokio::test]
async fn dropping_a_run_stops_its_statement_cleanly() {
    let server = Server::start(|batch| match batch.starts_with("ALTER") {
        true => vec![Act::Sleep(Duration::from_secs(3600)), done(None)],
        false => standing(0),
    })
    .await;
    let instance = server.instance();
    let database = mgc();
    let run = instance.run(&database, &DatabaseAction::SetRecoveryFull, &Unwatched);
    let _dropped = tokio::time::timeout(Duration::from_millis(300), run).await;
    let attention = async {
        while server.listener.metrics().attentions() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), attention).await.unwrap();
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_trace_has_every_batch_and_no_password() {
    let server = Server::start(|_| observation()).await;
    let buffer = Buffer::default();
    let trace = Trace::to_writer(buffer.clone());
    trace.mask(&Password::new(support::PASSWORD));
    let instance = server.traced(&trace);
    let hostile = DatabaseName::from("m]gc'\nGO\n$(x)");
    instance.observe(&[hostile]).await.unwrap();
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    assert!(text.starts_with("-- 20") && text.contains(" sql1 took ") && text.contains("3 rows"));
    assert!(!text.contains(support::PASSWORD));
    let separators = text.lines().filter(|line| line.trim() == "GO").count();
    assert_eq!(separators, 1, "{text}");
}

#[tokio::test]
async fn observations_side_by_side_take_a_connection_each_up_to_the_bound_and_more_wait() {
    let server = Server::start(|_| {
        let mut acts = vec![Act::Sleep(Duration::from_millis(20))];
        acts.extend(observation());
        acts
    })
    .await;
    let instance = Arc::new(server.instance());
    let all = (0..3 * SIDE_BY_SIDE).map(|_| {
        let instance = Arc::clone(&instance);
        tokio::spawn(async move { instance.observe(&[mgc()]).await.map(|_| ()) })
    });
    for observed in futures_util::future::join_all(all).await {
        observed.unwrap().unwrap();
    }
    let logins = server.logins();
    assert!((2..=u64::from(SIDE_BY_SIDE)).contains(&logins), "{logins}");
    assert_eq!(server.requests(), 3 * u64::from(SIDE_BY_SIDE));
}

#[tokio::test]
async fn an_instance_that_refused_a_login_is_asked_again_by_the_next_request() {
    let server = Server::start(|_| observation()).await;
    server.fake.refusals.store(1, Ordering::SeqCst);
    let instance = server.instance();
    let error = instance.observe(&[mgc()]).await.unwrap_err();
    assert_eq!((error.code, error.number), (ErrorCode::Unreachable, Some(18401)));
    instance.observe(&[mgc()]).await.unwrap();
    assert_eq!(server.attempts(), 2);
}

/// TCP whose bytes hold a paused clock still.
#[derive(Debug)]
struct Counted(InFlight);

#[async_trait::async_trait]
impl Dialer for Counted {
    async fn dial(&self, host: &str, port: u16) -> std::io::Result<Box<dyn NetStream>> {
        let address = SocketAddr::new(host.parse().map_err(std::io::Error::other)?, port);
        Ok(Box::new(self.0.connect(address).await?))
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_statement_has_no_limit_and_is_watched_every_second() {
    let hours = Duration::from_secs(6 * 3600);
    let in_flight = InFlight::new();
    let awake = tokio::spawn(in_flight.clone().keep_awake());
    let server = Server::start_counted(in_flight.clone(), move |batch| {
        if batch.starts_with("ALTER") {
            vec![Act::Sleep(hours), done(None)]
        } else if batch.contains("percent_complete") {
            row(vec![
                ("session_id", int(51)),
                ("login_time", text("2026-03-01 10:45:00.123")),
                ("percent_complete", (SqlType::Float, Value::Float(12.5))),
                ("command", text("ALTER DATABASE")),
                ("remaining_ms", (SqlType::BigInt, Value::BigInt(1))),
            ])
        } else {
            standing(0)
        }
    })
    .await;
    let instance = server.instance_with(|endpoint| endpoint.dialer = Arc::new(Counted(in_flight)));
    let seen = Watched::default();
    let (real, began) = (Instant::now(), tokio::time::Instant::now());
    let database = mgc();
    let run = instance.run(&database, &DatabaseAction::SetRecoveryFull, &seen);
    let watched = tokio::time::timeout(Duration::from_secs(60), run).await;
    assert!(watched.is_err(), "no limit of pcdr's own ended the statement");
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert!(real.elapsed() < Duration::from_secs(30));
    let reports = seen.0.lock().unwrap();
    assert!(reports.len() >= 50, "{}", reports.len());
    assert!(reports.iter().all(|percent| (*percent - 12.5).abs() < f32::EPSILON));
    awake.abort();
}

#[derive(Default)]
struct Watched(Mutex<Vec<f32>>);

impl Progress for Watched {
    fn report(&self, percent: f32, _detail: &str) {
        self.0.lock().unwrap().push(percent);
    }
}
