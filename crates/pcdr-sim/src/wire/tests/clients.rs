//! What tiberius gets from the wire.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil;
use tiberius::{AuthMethod, Client, ColumnData, Command, Config, EncryptionLevel, ToSql};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use uuid::Uuid;

use super::front::{Act, PASSWORD, ScriptServer, Scripts, USER, done, failed, result};
use crate::front::{DoneKind, Reply};
use crate::message::SqlMessage;
use crate::value::{Column, Length, SqlType, Value};
use crate::wire::{
    CertificateAuthority, Encryption, Faults, Listener, WireConfig, WireError, serve,
};

type Served = tokio::task::JoinHandle<Result<(), WireError>>;

pub(crate) fn client_config(encryption: EncryptionLevel) -> Config {
    let mut config = Config::new();
    config.host("sql-a.example.com");
    config.authentication(AuthMethod::sql_server(USER, PASSWORD));
    config.database("msdb");
    config.application_name("pcdr");
    config.encryption(encryption);
    config.handshake_timeout(None);
    config.command_timeout(None);
    config
}

/// A client without encryption over a pipe.
pub(crate) async fn plain(
    scripts: &Arc<Scripts>,
    faults: Faults,
) -> (Client<Compat<DuplexStream>>, Served) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let server = Arc::new(ScriptServer(Arc::clone(scripts)));
    let config =
        Arc::new(WireConfig { encryption: Encryption::Off, faults, ..WireConfig::default() });
    let served = tokio::spawn(serve(far, server, config));
    let config = client_config(EncryptionLevel::NotSupported);
    let client = Client::connect(config, near.compat_write()).await.unwrap();
    (client, served)
}

pub(crate) fn every_type() -> Vec<(SqlType, Value)> {
    let at = civil::date(2026, 3, 1).at(13, 14, 15, 123_456_700);
    vec![
        (SqlType::Bit, Value::Bit(true)),
        (SqlType::TinyInt, Value::TinyInt(255)),
        (SqlType::SmallInt, Value::SmallInt(-32768)),
        (SqlType::Int, Value::Int(i32::MIN)),
        (SqlType::BigInt, Value::BigInt(i64::MIN)),
        (SqlType::Real, Value::Real(1.5)),
        (SqlType::Float, Value::Float(-2.25)),
        (SqlType::Money, Value::Money(-12_345_678)),
        (SqlType::LSN, Value::lsn(4_500_000_001_234_500_001)),
        (
            SqlType::Numeric { precision: 38, scale: 4 },
            Value::Numeric { unscaled: -(10_i128.pow(37)) - 7, scale: 4 },
        ),
        (SqlType::Char(5), Value::string("ab€")),
        (SqlType::VarChar(Length::Up(20)), Value::string("Ünï")),
        (SqlType::NChar(4), Value::string("ж😀")),
        (SqlType::SYSNAME, Value::string("päris😀")),
        (SqlType::VarChar(Length::Max), Value::string("v".repeat(9000))),
        (SqlType::NVarChar(Length::Max), Value::string("😀".repeat(9000))),
        (SqlType::Binary(4), Value::Binary(Arc::from([1, 2].as_slice()))),
        (SqlType::VarBinary(Length::Up(10)), Value::Binary(Arc::from([].as_slice()))),
        (SqlType::VarBinary(Length::Max), Value::Binary(Arc::from(vec![9; 70_000]))),
        (
            SqlType::UniqueIdentifier,
            Value::Uuid(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)),
        ),
        (SqlType::Date, Value::Date(at.date())),
        (SqlType::Time(7), Value::Time(at.time())),
        (SqlType::SmallDateTime, Value::DateTime(at)),
        (SqlType::DateTime, Value::DateTime(at)),
        (SqlType::DateTime2(7), Value::DateTime(at)),
        (SqlType::DateTimeOffset(7), Value::DateTimeOffset { utc: at, offset_minutes: -330 }),
        (SqlType::Variant, Value::Variant(SqlType::Int, Box::new(Value::Int(7)))),
        (SqlType::Variant, Value::string("naked")),
        (SqlType::Xml, Value::string("<a>ж</a>")),
        (SqlType::Text, Value::string("text€")),
        (SqlType::NText, Value::string("ntext😀")),
        (SqlType::Image, Value::Binary(Arc::from([3].as_slice()))),
    ]
}

/// A value that the driver only converts from types of other crates.
struct Raw(ColumnData<'static>);

impl ToSql for Raw {
    fn to_sql(&self) -> ColumnData<'_> {
        self.0.clone()
    }
}

/// The value as the driver shows it.
fn shown(data: &ColumnData<'_>) -> String {
    match data {
        ColumnData::String(Some(text)) if text.len() > 100 => {
            format!("{} characters of {:?}", text.chars().count(), text.chars().next())
        }
        ColumnData::Binary(Some(bytes)) if bytes.len() > 100 => format!("{} bytes", bytes.len()),
        ColumnData::Xml(Some(xml)) => format!("Xml({xml})"),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn values_of_every_type_arrive_as_they_were_sent() {
    let scripts = Scripts::new();
    scripts.script("all", result(every_type()));
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let rows = client.simple_query("all").await.unwrap();
    let row = rows.into_row().await.unwrap().unwrap();
    let found: Vec<String> = row.cells().map(|(_, data)| shown(data)).collect();
    let at_ticks = (13 * 3600 + 14 * 60 + 15) as u64;
    let days_1900 = 46_080;
    let expected: Vec<String> = [
        ColumnData::Bit(Some(true)),
        ColumnData::U8(Some(255)),
        ColumnData::I16(Some(-32768)),
        ColumnData::I32(Some(i32::MIN)),
        ColumnData::I64(Some(i64::MIN)),
        ColumnData::F32(Some(1.5)),
        ColumnData::F64(Some(-2.25)),
        ColumnData::F64(Some(-1234.5678)),
        ColumnData::Numeric(Some(tiberius::numeric::Numeric::new_with_scale(
            4_500_000_001_234_500_001,
            0,
        ))),
        ColumnData::Numeric(Some(tiberius::numeric::Numeric::new_with_scale(
            -(10_i128.pow(37)) - 7,
            4,
        ))),
        ColumnData::String(Some("ab€  ".into())),
        ColumnData::String(Some("Ünï".into())),
        ColumnData::String(Some("ж😀 ".into())),
        ColumnData::String(Some("päris😀".into())),
        ColumnData::String(Some("v".repeat(9000).into())),
        ColumnData::String(Some("😀".repeat(9000).into())),
        ColumnData::Binary(Some(vec![1, 2, 0, 0].into())),
        ColumnData::Binary(Some(vec![].into())),
        ColumnData::Binary(Some(vec![9; 70_000].into())),
        ColumnData::Guid(Some(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff))),
        ColumnData::Date(Some(tiberius::time::Date::new(739_675))),
        ColumnData::Time(Some(tiberius::time::Time::new(at_ticks * 10_000_000 + 1_234_567, 7))),
        ColumnData::SmallDateTime(Some(tiberius::time::SmallDateTime::new(
            days_1900,
            13 * 60 + 14,
        ))),
        ColumnData::DateTime(Some(tiberius::time::DateTime::new(
            days_1900.into(),
            at_ticks as u32 * 300 + 37,
        ))),
        ColumnData::DateTime2(Some(tiberius::time::DateTime2::new(
            tiberius::time::Date::new(739_675),
            tiberius::time::Time::new(at_ticks * 10_000_000 + 1_234_567, 7),
        ))),
        ColumnData::DateTimeOffset(Some(tiberius::time::DateTimeOffset::new(
            tiberius::time::DateTime2::new(
                tiberius::time::Date::new(739_675),
                tiberius::time::Time::new(at_ticks * 10_000_000 + 1_234_567, 7),
            ),
            -330,
        ))),
        ColumnData::I32(Some(7)),
        ColumnData::String(Some("naked".into())),
    ]
    .iter()
    .map(shown)
    .chain(["Xml(<a>ж</a>)".to_owned()])
    .chain(
        [
            ColumnData::String(Some("text€".into())),
            ColumnData::String(Some("ntext😀".into())),
            ColumnData::Binary(Some(vec![3].into())),
        ]
        .iter()
        .map(shown),
    )
    .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn null_of_every_type_arrives_as_null() {
    let scripts = Scripts::new();
    let nulls: Vec<_> = every_type().into_iter().map(|(ty, _)| (ty, Value::Null)).collect();
    let count = nulls.len();
    scripts.script("nulls", result(nulls));
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let rows = client.simple_query("nulls").await.unwrap();
    let row = rows.into_row().await.unwrap().unwrap();
    assert_eq!(row.len(), count);
    for (column, data) in row.cells() {
        assert!(shown(data).ends_with("(None)"), "{column:?} {data:?}");
    }
}

#[tokio::test]
async fn parameters_of_every_type_come_back_from_a_procedure() {
    let scripts = Scripts::new();
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let time = tiberius::time::Time::new(123_456_789, 7);
    let date = tiberius::time::Date::new(739_675);
    let parameters: Vec<(&str, Box<dyn ToSql>, Value)> = vec![
        ("@p1", Box::new(7_u8), Value::TinyInt(7)),
        ("@p2", Box::new(-2_i16), Value::SmallInt(-2)),
        ("@p3", Box::new(-3_i32), Value::Int(-3)),
        ("@p4", Box::new(i64::MAX), Value::BigInt(i64::MAX)),
        ("@p5", Box::new(1.5_f32), Value::Real(1.5)),
        ("@p6", Box::new(2.5_f64), Value::Float(2.5)),
        ("@p7", Box::new(true), Value::Bit(true)),
        ("@p8", Box::new("päris😀"), Value::string("päris😀")),
        ("@p9", Box::new("😀".repeat(500_000)), Value::string("😀".repeat(500_000))),
        ("@p10", Box::new(Uuid::from_u128(17)), Value::Uuid(Uuid::from_u128(17))),
        ("@p11", Box::new(vec![1_u8; 1 << 20]), Value::Binary(Arc::from(vec![1_u8; 1 << 20]))),
        (
            "@p12",
            Box::new(tiberius::numeric::Numeric::new_with_scale(-450_000_000_123_450_000, 0)),
            Value::Numeric { unscaled: -450_000_000_123_450_000, scale: 0 },
        ),
        ("@p13", Box::new(Raw(ColumnData::Date(Some(date)))), Value::Date(civil::date(2026, 3, 1))),
        (
            "@p14",
            Box::new(Raw(ColumnData::Time(Some(time)))),
            Value::Time(civil::time(0, 0, 12, 345_678_900)),
        ),
        (
            "@p15",
            Box::new(Raw(ColumnData::DateTime2(Some(tiberius::time::DateTime2::new(date, time))))),
            Value::DateTime(civil::date(2026, 3, 1).at(0, 0, 12, 345_678_900)),
        ),
        (
            "@p16",
            Box::new(Raw(ColumnData::DateTimeOffset(Some(tiberius::time::DateTimeOffset::new(
                tiberius::time::DateTime2::new(date, time),
                60,
            ))))),
            Value::DateTimeOffset {
                utc: civil::date(2026, 3, 1).at(0, 0, 12, 345_678_900),
                offset_minutes: 60,
            },
        ),
        (
            "@p17",
            Box::new(Raw(ColumnData::DateTime(Some(tiberius::time::DateTime::new(46_080, 300))))),
            Value::DateTime(civil::date(2026, 3, 1).at(0, 0, 1, 0)),
        ),
        (
            "@p18",
            Box::new(Raw(ColumnData::SmallDateTime(Some(tiberius::time::SmallDateTime::new(
                46_080, 61,
            ))))),
            Value::DateTime(civil::date(2026, 3, 1).at(1, 1, 0, 0)),
        ),
        ("@p19", Box::new(Option::<i32>::None), Value::Null),
        ("@p20", Box::new(Option::<&str>::None), Value::Null),
        ("@p21", Box::new(""), Value::string("")),
    ];
    let values: Vec<&dyn ToSql> = parameters.iter().map(|(_, value, _)| value.as_ref()).collect();
    let rows = client.query("SELECT 1", &values).await.unwrap();
    let row = rows.into_row().await.unwrap().unwrap();

    let call = scripts.last_call();
    assert_eq!(call.procedure, "sp_executesql");
    assert_eq!(call.parameters[0].value, Value::string("SELECT 1"));
    for ((name, _, expected), found) in parameters.iter().zip(&call.parameters[2..]) {
        assert_eq!(&found.name.to_lowercase(), name);
        assert!(found.value == *expected, "{name} arrived otherwise");
    }
    assert_eq!(row.len(), parameters.len() + 2);
    let long: &str = row.get(10).unwrap();
    assert_eq!(long.chars().count(), 500_000);
    let bytes: &[u8] = row.get(12).unwrap();
    assert_eq!(bytes.len(), 1 << 20);
    let empty: &str = row.get(22).unwrap();
    assert_eq!(empty, "");
}

#[tokio::test]
async fn return_status_and_output_parameters_arrive() {
    let scripts = Scripts::new();
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let mut command = Command::new("msdb.dbo.sp_add_log_shipping_primary_database");
    command.bind_param("@database", "rtcshared");
    command.bind_out_param("@primary_id", Uuid::from_u128(5));
    command.bind_out_param("@missing", Option::<&str>::None);
    let outcome = command.exec(&mut client).await.unwrap();
    let outcome = outcome.into_command_result().await.unwrap();
    assert_eq!(outcome.return_code() as i32, -3);
    let id: Option<Uuid> = outcome.try_return_value("@primary_id").unwrap();
    assert_eq!(id, Some(Uuid::from_u128(5)));
    let missing: Option<&str> = outcome.try_return_value("@missing").unwrap();
    assert_eq!(missing, None);
    assert_eq!(scripts.last_call().procedure, "msdb.dbo.sp_add_log_shipping_primary_database");
}

#[tokio::test]
async fn several_result_sets_keep_their_order_and_the_connection_stays_usable() {
    let scripts = Scripts::new();
    let mut acts = Vec::new();
    for number in 0..3 {
        acts.extend(result(vec![(SqlType::Int, Value::Int(number))]));
        acts.push(done(DoneKind::Statement, Some(5)));
        acts.push(Act::Send(Reply::Message(SqlMessage::new(0, 0, "printed"))));
    }
    acts.push(done(DoneKind::Statement, None));
    scripts.script("three", acts);
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    for _ in 0..3 {
        let sets = client.simple_query("three").await.unwrap();
        let sets = sets.into_results().await.unwrap();
        let found: Vec<i32> = sets.iter().map(|rows| rows[0].get(0).unwrap()).collect();
        assert_eq!(found, [0, 1, 2]);
    }
}

#[tokio::test]
async fn an_error_after_rows_arrives_after_the_rows() {
    let scripts = Scripts::new();
    let mut acts = result(vec![(SqlType::Int, Value::Int(1))]);
    let error =
        SqlMessage::new(3201, 16, "Cannot open backup device").with_state(2).at_line(70_000);
    acts.extend(failed(error));
    scripts.script("late", acts);
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let answer = client.simple_query("late").await.unwrap().into_results().await;
    let tiberius::error::Error::Server(error) = answer.unwrap_err() else {
        panic!("no server error");
    };
    assert_eq!((error.code(), error.state(), error.class()), (3201, 2, 16));
    assert_eq!((error.server(), error.line()), ("SQL-A", 70_000));
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    client.simple_query("one").await.unwrap().into_results().await.unwrap();
}

#[tokio::test]
async fn an_error_of_severity_twenty_closes_the_connection() {
    let scripts = Scripts::new();
    scripts.script("fatal", failed(SqlMessage::new(9001, 21, "The log is not available")));
    let (mut client, served) = plain(&scripts, Faults::default()).await;
    // The driver returns the error from the call itself when nothing comes before it.
    let error = client.simple_query("fatal").await.unwrap_err();
    assert_eq!(error.code(), Some(9001));
    served.await.unwrap().unwrap();
    assert!(client.simple_query("fatal").await.is_err());
}

#[tokio::test]
async fn a_wrong_password_is_refused_with_18456() {
    let scripts = Scripts::new();
    let (near, far) = tokio::io::duplex(4096);
    let server = Arc::new(ScriptServer(Arc::clone(&scripts)));
    let config = Arc::new(WireConfig::default());
    let served = tokio::spawn(serve(far, server, Arc::clone(&config)));
    let mut wrong = client_config(EncryptionLevel::NotSupported);
    wrong.authentication(AuthMethod::sql_server(USER, "guess"));
    let error = Client::connect(wrong, near.compat_write()).await.unwrap_err();
    assert_eq!(error.code(), Some(18456));
    served.await.unwrap().unwrap();
    assert_eq!((config.metrics.connections(), config.metrics.logins()), (1, 0));
}

#[tokio::test]
async fn the_login_tells_who_the_client_is() {
    let scripts = Scripts::new();
    let (_client, _served) = plain(&scripts, Faults::default()).await;
    let login = scripts.logins.lock().unwrap()[0].clone();
    assert_eq!(login.user_name, USER);
    assert_eq!(login.password, PASSWORD);
    assert_eq!(login.application_name, "pcdr");
    assert_eq!(login.database, "msdb");
    assert!(!login.read_only_intent);
    assert!(!format!("{login:?}").contains(PASSWORD));
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_running_statement_stops_it_and_this_driver_misses_the_acknowledgement() {
    let scripts = Scripts::new();
    let long = vec![Act::Sleep(Duration::from_secs(3600)), done(DoneKind::Statement, None)];
    scripts.script("long", long);
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let limit = Duration::from_secs(10);
    assert!(tokio::time::timeout(limit, client.simple_query("long")).await.is_err());
    // The acknowledgement is a message of its own, for which this driver does not wait. Its connection
    // still has that message before it: it can only be closed.
    let error = client.cancel_query().await.unwrap_err();
    assert!(matches!(error, tiberius::error::Error::Protocol(_)), "{error}");
    assert_eq!(*scripts.cancelled.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_killed_session_gets_596_while_a_request_runs_and_silence_while_none_does() {
    let scripts = Scripts::new();
    scripts.script("long", vec![Act::Sleep(Duration::from_secs(3600))]);
    let (mut busy, busy_end) = plain(&scripts, Faults::default()).await;
    let (_idle, idle_end) = plain(&scripts, Faults::default()).await;
    let killer = Arc::clone(&scripts);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        killer.kill_all();
    });
    let answer = match busy.simple_query("long").await {
        Ok(stream) => stream.into_results().await.map(drop),
        Err(error) => Err(error),
    };
    let tiberius::error::Error::Server(error) = answer.unwrap_err() else {
        panic!("no server error");
    };
    assert_eq!((error.code(), error.class()), (596, 21));
    busy_end.await.unwrap().unwrap();
    idle_end.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_stops_its_statement() {
    let scripts = Scripts::new();
    scripts.script("long", vec![Act::Sleep(Duration::from_secs(3600))]);
    let (mut client, served) = plain(&scripts, Faults::default()).await;
    let limit = Duration::from_secs(1);
    assert!(tokio::time::timeout(limit, client.simple_query("long")).await.is_err());
    drop(client);
    assert!(served.await.unwrap().is_err());
    assert_eq!(*scripts.cancelled.lock().unwrap(), 1);
}

#[tokio::test]
async fn transactions_of_the_transaction_manager_begin_and_end() {
    let scripts = Scripts::new();
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    client.begin_transaction().await.unwrap();
    client.rollback_transaction().await.unwrap();
    client.begin_transaction().await.unwrap();
    client.commit_transaction().await.unwrap();
    assert_eq!(scripts.seen.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn answers_survive_packets_and_segments_of_every_size() {
    let mut short = every_type();
    short.retain(|(ty, _)| !matches!(ty, SqlType::VarChar(_) | SqlType::NVarChar(_)));
    for size in [1, 2, 3, 5, 7, 8, 9, 13, 64, 511, 4088] {
        let scripts = Scripts::new();
        scripts.script("all", result(short.clone()));
        let faults = Faults {
            bytes_per_segment: Some(size),
            payload_per_packet: Some(size),
            ..Faults::default()
        };
        let (mut client, _served) = plain(&scripts, faults).await;
        let rows = client.simple_query("all").await.unwrap();
        let row = rows.into_row().await.unwrap().unwrap();
        assert_eq!(row.len(), short.len(), "size {size}");
    }
}

#[tokio::test]
async fn a_value_that_its_column_cannot_hold_is_reported_by_name() {
    let scripts = Scripts::new();
    scripts.script("wrong", result(vec![(SqlType::Int, Value::string("x"))]));
    let (mut client, served) = plain(&scripts, Faults::default()).await;
    let answer = client.simple_query("wrong").await.unwrap().into_results().await;
    assert_eq!(answer.unwrap_err().code(), Some(3624));
    let error = served.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("c0"), "{error}");
}

#[tokio::test]
async fn rows_that_do_not_fit_into_memory_at_once_are_streamed() {
    let scripts = Scripts::new();
    let mut acts =
        vec![Act::Send(Reply::Columns(vec![Column::new("n", SqlType::NVarChar(Length::Max))]))];
    for _ in 0..200 {
        acts.push(Act::Send(Reply::Row(vec![Value::string("x".repeat(10_000))])));
    }
    acts.push(done(DoneKind::Statement, Some(200)));
    scripts.script("many", acts);
    let (mut client, _served) = plain(&scripts, Faults::default()).await;
    let rows = client.simple_query("many").await.unwrap();
    assert_eq!(rows.into_first_result().await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_listener_counts_requests_and_its_connections_end_when_it_is_cut() {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let authority = CertificateAuthority::new("test").unwrap();
    let identity = authority.issue(&["sql-a.example.com"], &[]).unwrap();
    let config = Arc::new(WireConfig::with_identity(identity));
    let server = Arc::new(ScriptServer(Arc::clone(&scripts)));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind(address, server, config).await.unwrap();
    let address = listener.address();
    let mut settings = client_config(EncryptionLevel::Required);
    settings.trust_cert_ca_bundle(authority.pem().as_bytes());
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = Client::connect(settings, stream.compat()).await.unwrap();
    for _ in 0..4 {
        client.simple_query("one").await.unwrap().into_results().await.unwrap();
    }
    let metrics = Arc::clone(listener.metrics());
    assert_eq!((metrics.connections(), metrics.logins(), metrics.requests()), (1, 1, 4));
    listener.cut().await;
    assert!(client.simple_query("one").await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_cut_anywhere_is_an_error_and_never_a_wrong_answer() {
    for cut in 0..700 {
        let scripts = Scripts::new();
        let mut acts = result(vec![(SqlType::SYSNAME, Value::string("x".repeat(60)))]);
        acts.extend(result(vec![(SqlType::Int, Value::Int(7))]));
        scripts.script("two", acts);
        let (near, far) = tokio::io::duplex(64 << 10);
        let config = WireConfig {
            faults: Faults { cut_after_written: Some(cut), ..Faults::default() },
            ..WireConfig::default()
        };
        let server = Arc::new(ScriptServer(Arc::clone(&scripts)));
        let served = tokio::spawn(serve(far, server, Arc::new(config)));
        let answer = async {
            let config = client_config(EncryptionLevel::NotSupported);
            let mut client = Client::connect(config, near.compat_write()).await?;
            let sets = client.simple_query("two").await?.into_results().await?;
            Ok::<_, tiberius::error::Error>(sets.len())
        };
        let answer = tokio::time::timeout(Duration::from_secs(5), answer).await;
        match answer.unwrap_or_else(|_| panic!("the client hangs at {cut}")) {
            Ok(sets) => assert_eq!(sets, 2, "cut after {cut} bytes"),
            Err(_) => assert!(served.await.unwrap().is_err(), "cut after {cut} bytes"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_write_waits_when_the_line_is_slow() {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let delay = Duration::from_millis(250);
    let faults = Faults { delay: Some(delay), ..Faults::default() };
    let (mut client, _served) = plain(&scripts, faults).await;
    let began = tokio::time::Instant::now();
    client.simple_query("one").await.unwrap().into_results().await.unwrap();
    assert_eq!(began.elapsed(), delay);
}
