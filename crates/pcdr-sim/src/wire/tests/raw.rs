//! Bytes by hand: what no driver at hand sends, and the exact bits of the answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::front::{Act, PASSWORD, ScriptServer, Scripts, USER, done, result};
use crate::front::{DoneKind, Reply};
use crate::message::SqlMessage;
use crate::value::{Length, SqlType, Value};
use crate::wire::{WireConfig, WireError, serve};

type Served = tokio::task::JoinHandle<Result<(), WireError>>;

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

pub(crate) fn packet(kind: u8, status: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, status];
    packet.extend(((payload.len() + 8) as u16).to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend_from_slice(payload);
    packet
}

pub(crate) fn prelogin() -> Vec<u8> {
    let mut payload = vec![0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF];
    payload.extend([9, 0, 0, 0, 0, 0, 2]);
    packet(0x12, 1, &payload)
}

pub(crate) fn login() -> Vec<u8> {
    let hidden: Vec<u8> =
        utf16(PASSWORD).into_iter().map(|byte| byte.rotate_left(4) ^ 0xA5).collect();
    let fields = [utf16("host"), utf16(USER), hidden, utf16("app"), utf16("server")];
    let mut fixed = Vec::new();
    fixed.extend(0x7400_0004_u32.to_le_bytes());
    fixed.extend(8000_u32.to_le_bytes());
    fixed.extend([0; 24]);
    let mut data = Vec::new();
    for field in &fields {
        fixed.extend((94 + data.len() as u16).to_le_bytes());
        fixed.extend((field.len() as u16 / 2).to_le_bytes());
        data.extend_from_slice(field);
    }
    fixed.resize(90, 0);
    let mut payload = ((94 + data.len()) as u32).to_le_bytes().to_vec();
    payload.extend(fixed);
    payload.extend(data);
    packet(0x10, 1, &payload)
}

/// A login whose feature extension block is `features`.
pub(crate) fn login_with(features: &[u8]) -> Vec<u8> {
    let mut payload = login()[8..].to_vec();
    let at = payload.len() as u16;
    payload[27] |= 0x10;
    payload[56..58].copy_from_slice(&at.to_le_bytes());
    payload[58..60].copy_from_slice(&4_u16.to_le_bytes());
    payload.extend((u32::from(at) + 4).to_le_bytes());
    payload.extend_from_slice(features);
    let length = (payload.len() as u32).to_le_bytes();
    payload[..4].copy_from_slice(&length);
    packet(0x10, 1, &payload)
}

/// FEATUREEXT: a session recovery that nobody has to grant, and a token.
pub(crate) fn token_features(token: &str) -> Vec<u8> {
    let token = utf16(token);
    let mut features = vec![0x01, 2, 0, 0, 0, 7, 7, 0x02];
    features.extend((token.len() as u32 + 5).to_le_bytes());
    features.push(0x01 << 1 | 1);
    features.extend((token.len() as u32).to_le_bytes());
    features.extend(token);
    features.push(0xFF);
    features
}

pub(crate) fn batch(text: &str) -> Vec<u8> {
    let mut payload = 22_u32.to_le_bytes().to_vec();
    payload.extend([18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    payload.extend(utf16(text));
    packet(1, 1, &payload)
}

/// A procedure call; `parameters` as they stand on the wire.
pub(crate) fn call(parameters: &[u8]) -> Vec<u8> {
    let mut payload = 4_u32.to_le_bytes().to_vec();
    payload.extend([0xFF, 0xFF, 13, 0, 0, 0]);
    payload.extend_from_slice(parameters);
    packet(3, 1, &payload)
}

/// Reads one message; returns its payload without headers.
pub(crate) async fn message(stream: &mut DuplexStream) -> Vec<u8> {
    let mut payload = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.unwrap();
        assert_eq!(header[0], 4);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut part = vec![0; length - 8];
        stream.read_exact(&mut part).await.unwrap();
        payload.extend(part);
        if header[1] & 1 != 0 {
            return payload;
        }
    }
}

pub(crate) async fn logged_in(scripts: &Arc<Scripts>) -> (DuplexStream, Served) {
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let server = Arc::new(ScriptServer(Arc::clone(scripts)));
    let served = tokio::spawn(serve(far, server, Arc::new(WireConfig::default())));
    near.write_all(&prelogin()).await.unwrap();
    message(&mut near).await;
    near.write_all(&login()).await.unwrap();
    let answer = message(&mut near).await;
    let acknowledgement = [0xAD, 54, 0, 1, 0x74, 0, 0, 4, 22];
    assert!(answer.windows(9).any(|window| window == acknowledgement));
    (near, served)
}

/// Status and code of the completion that ends a message.
fn ending(payload: &[u8]) -> (u8, u16, u16, u64) {
    let token = &payload[payload.len() - 13..];
    (
        token[0],
        u16::from_le_bytes([token[1], token[2]]),
        u16::from_le_bytes([token[3], token[4]]),
        u64::from_le_bytes(token[5..].try_into().unwrap()),
    )
}

#[tokio::test]
async fn only_the_last_completion_of_a_response_says_that_nothing_follows() {
    let scripts = Scripts::new();
    let acts = vec![done(DoneKind::Statement, None), done(DoneKind::Statement, Some(3))];
    scripts.script("two", acts);
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&batch("two")).await.unwrap();
    let answer = message(&mut client).await;
    assert_eq!(answer.len(), 26);
    assert_eq!(ending(&answer[..13]), (0xFD, 0x01, 193, 0));
    assert_eq!(ending(&answer), (0xFD, 0x10, 193, 3));
}

#[tokio::test]
async fn an_attention_after_the_response_is_answered_by_a_message_of_its_own() {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&batch("one")).await.unwrap();
    assert_eq!(ending(&message(&mut client).await), (0xFD, 0x10, 193, 1));
    client.write_all(&packet(6, 1, &[])).await.unwrap();
    assert_eq!(message(&mut client).await.len(), 13);
    client.write_all(&packet(6, 1, &[])).await.unwrap();
    assert_eq!(ending(&message(&mut client).await), (0xFD, 0x20, 253, 0));
}

#[tokio::test(start_paused = true)]
async fn an_attention_during_the_response_ends_it_and_is_answered_by_a_message_of_its_own() {
    let scripts = Scripts::new();
    let mut acts = result(vec![(SqlType::Int, Value::Int(1))]);
    acts.push(Act::Sleep(Duration::from_secs(9)));
    scripts.script("slow", acts);
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&batch("slow")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.write_all(&packet(6, 1, &[])).await.unwrap();
    let answer = message(&mut client).await;
    assert_eq!(ending(&answer), (0xFD, 0x02, 0, 0));
    assert_eq!(ending(&answer[..answer.len() - 13]), (0xFD, 0x11, 193, 1));
    let acknowledgement = message(&mut client).await;
    assert_eq!(acknowledgement.len(), 13);
    assert_eq!(ending(&acknowledgement), (0xFD, 0x20, 253, 0));
}

#[tokio::test(start_paused = true)]
async fn progress_is_seen_while_the_statement_runs() {
    let scripts = Scripts::new();
    let acts = vec![
        Act::Send(Reply::Message(SqlMessage::new(3211, 10, "20 percent processed."))),
        Act::Sleep(Duration::from_secs(60)),
        done(DoneKind::Statement, None),
    ];
    scripts.script("restore", acts);
    let (mut client, _served) = logged_in(&scripts).await;
    let began = tokio::time::Instant::now();
    client.write_all(&batch("restore")).await.unwrap();
    let mut first = [0; 8];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!((first[0], first[1]), (4, 0), "a packet inside the message");
    assert!(began.elapsed() < Duration::from_secs(1));
    let mut token = [0; 9];
    client.read_exact(&mut token).await.unwrap();
    assert_eq!((token[0], token[8]), (0xAB, 0), "INFO of class 0");
}

#[tokio::test(start_paused = true)]
async fn a_killed_request_ends_with_status_0x102() {
    let scripts = Scripts::new();
    scripts.script("slow", vec![Act::Sleep(Duration::from_secs(9))]);
    let (mut client, served) = logged_in(&scripts).await;
    client.write_all(&batch("slow")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    scripts.kill_all();
    let answer = message(&mut client).await;
    assert_eq!(ending(&answer), (0xFD, 0x102, 0, 0));
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pipelined_request_is_answered_after_the_first_and_an_ignored_one_is_not_carried_out() {
    let scripts = Scripts::new();
    scripts.script("one", vec![done(DoneKind::Statement, Some(1))]);
    scripts.script("two", vec![done(DoneKind::Statement, Some(2))]);
    let (mut client, _served) = logged_in(&scripts).await;
    let mut bytes = batch("one");
    let mut ignored = batch("one");
    ignored[1] = 3;
    bytes.extend(ignored);
    bytes.extend(batch("two"));
    client.write_all(&bytes).await.unwrap();
    assert_eq!(ending(&message(&mut client).await).3, 1);
    assert_eq!(ending(&message(&mut client).await), (0xFD, 0x02, 0, 0));
    assert_eq!(ending(&message(&mut client).await).3, 2);
    assert_eq!(scripts.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn requests_of_the_transaction_manager_keep_their_names() {
    let named = |request: u8, head: &[u8], tail: &[u8]| {
        let mut payload = 4_u32.to_le_bytes().to_vec();
        payload.extend([request, 0]);
        payload.extend_from_slice(head);
        payload.extend([4, b'h', 0, b'i', 0]);
        payload.extend_from_slice(tail);
        packet(14, 1, &payload)
    };
    let scripts = Scripts::new();
    let (mut client, _served) = logged_in(&scripts).await;
    // Begin at an isolation level; save; roll back to it; commit, and begin again under the same name.
    let again = [1, 2, 2, b'o', 0];
    for bytes in
        [named(5, &[4], &[]), named(9, &[], &[]), named(8, &[], &[0]), named(7, &[], &again)]
    {
        client.write_all(&bytes).await.unwrap();
        assert_eq!(ending(&message(&mut client).await), (0xFD, 0, 212, 0));
    }
    let seen: Vec<_> = scripts.seen.lock().unwrap().iter().map(|r| format!("{r:?}")).collect();
    let expected = ["Begin(\"hi\")", "Save(\"hi\")", "Rollback(\"hi\")", "Commit", "Begin(\"o\")"];
    assert_eq!(seen, expected.map(|request| format!("Transaction({request})")));
    client.write_all(&named(5, &[6], &[])).await.unwrap();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "level 6 does not exist");
}

#[tokio::test]
async fn a_pooled_connection_is_reset_and_told_so() {
    let scripts = Scripts::new();
    scripts.script("one", vec![done(DoneKind::Statement, Some(1))]);
    let (mut client, _served) = logged_in(&scripts).await;
    let mut bytes = batch("one");
    bytes[1] = 0x09;
    client.write_all(&bytes).await.unwrap();
    let answer = message(&mut client).await;
    assert_eq!(&answer[..6], [0xE3, 3, 0, 18, 0, 0]);
    assert_eq!(ending(&answer).3, 1);
    assert_eq!(scripts.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn several_calls_in_one_message_are_answered_in_one_message() {
    let scripts = Scripts::new();
    let (mut client, _served) = logged_in(&scripts).await;
    let mut second = vec![0xFF, 0xFF, 0xFF, 12, 0, 0, 0];
    second.extend([0, 0, 0x26, 4, 4, 1, 0, 0, 0]);
    client.write_all(&call(&second)).await.unwrap();
    let answer = message(&mut client).await;
    assert_eq!(ending(&answer), (0xFE, 0, 224, 0));
    let names: Vec<_> = scripts.seen.lock().unwrap().iter().map(|r| format!("{r:?}")).collect();
    assert!(names[0].contains("sp_prepexec") && names[1].contains("sp_execute\""));
}

#[tokio::test]
async fn parameters_that_only_other_drivers_send_are_understood() {
    let collation = [9, 4, 0xD0, 0, 0x34];
    let utf8 = [9, 4, 0, 4, 0];
    let with = |head: &[u8], collation: [u8; 5], tail: &[u8]| {
        let mut bytes = head.to_vec();
        bytes.extend(collation);
        bytes.extend(tail);
        bytes
    };
    let cases: Vec<(Vec<u8>, SqlType, Value)> = vec![
        (vec![0x38, 7, 0, 0, 0], SqlType::Int, Value::Int(7)),
        (vec![0x1F], SqlType::nvarchar(1), Value::Null),
        (vec![0x7A, 0x10, 0x27, 0, 0], SqlType::Money, Value::Money(10_000)),
        (vec![0x27, 3, 2, b'a', 0x80], SqlType::VarChar(Length::Up(3)), Value::string("a€")),
        (vec![0x24, 0, 0], SqlType::UniqueIdentifier, Value::Null),
        (
            with(&[0xA7, 10, 0], utf8, &[2, 0, 0xC3, 0xA9]),
            SqlType::VarChar(Length::Up(10)),
            Value::string("é"),
        ),
        (
            with(&[0x63, 4, 0, 0, 0], collation, &[2, 0, 0, 0, b'x', 0]),
            SqlType::NText,
            Value::string("x"),
        ),
        (vec![0x62, 8, 0, 0, 0, 0, 0, 0, 0], SqlType::Variant, Value::Null),
        (
            vec![0x62, 8, 0, 0, 0, 6, 0, 0, 0, 0x38, 0, 5, 0, 0, 0],
            SqlType::Variant,
            Value::Variant(SqlType::Int, Box::new(Value::Int(5))),
        ),
        // An unpaired surrogate.
        (
            with(&[0xE7, 8, 0], collation, &[2, 0, 0x3D, 0xD8]),
            SqlType::nvarchar(4),
            Value::string("\u{fffd}"),
        ),
        // Chunks of unknown total length.
        (
            with(
                &[0xE7, 0xFF, 0xFF],
                collation,
                &[
                    0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, b'a', 0, 2, 0, 0,
                    0, b'b', 0, 0, 0, 0, 0,
                ],
            ),
            SqlType::NVarChar(Length::Max),
            Value::string("ab"),
        ),
    ];
    let scripts = Scripts::new();
    let (mut client, _served) = logged_in(&scripts).await;
    for (bytes, ty, value) in cases {
        let mut parameter = vec![0, 0];
        parameter.extend(&bytes);
        client.write_all(&call(&parameter)).await.unwrap();
        message(&mut client).await;
        let found = scripts.last_call().parameters[0].clone();
        assert_eq!((found.ty, found.value), (ty, value), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_table_valued_parameter_is_an_error_and_the_connection_stays() {
    let scripts = Scripts::new();
    scripts.script("one", vec![done(DoneKind::Statement, Some(1))]);
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&call(&[0, 0, 0xF3, 0, 0, 0])).await.unwrap();
    assert_eq!(ending(&message(&mut client).await).1, 2);
    client.write_all(&batch("one")).await.unwrap();
    assert_eq!(ending(&message(&mut client).await).3, 1);
}

#[tokio::test]
async fn malformed_requests_close_the_connection() {
    let cases = [
        packet(1, 1, &[1, 0]),
        packet(1, 1, &[200, 0, 0, 0, 65, 0]),
        packet(1, 1, &[4, 0, 0, 0, 65]),
        call(&[0, 0, 0x26, 3]),
        call(&[0, 0, 0x26, 4, 8, 0]),
        vec![1, 1, 0, 7, 0, 0, 0, 0],
        vec![1, 1, 0xFF, 0xFF, 0, 0, 0, 0],
        packet(0x53, 1, &[0; 16]),
    ];
    for bytes in cases {
        let scripts = Scripts::new();
        let (mut client, served) = logged_in(&scripts).await;
        client.write_all(&bytes).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "{bytes:?}");
        let error = served.await.unwrap().unwrap_err();
        assert!(matches!(error, WireError::Malformed { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_log_in_is_dropped() {
    let (mut near, far) = tokio::io::duplex(4096);
    let server = Arc::new(ScriptServer(Scripts::new()));
    let served = tokio::spawn(serve(far, server, Arc::new(WireConfig::default())));
    near.write_all(&prelogin()).await.unwrap();
    let error = served.await.unwrap().unwrap_err();
    assert!(matches!(error, WireError::LoginTimeout(_)), "{error}");
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_the_connection() {
    let (mut near, far) = tokio::io::duplex(1 << 20);
    let server = Arc::new(ScriptServer(Scripts::new()));
    let served = tokio::spawn(serve(far, server, Arc::new(WireConfig::default())));
    for _ in 0..10 {
        near.write_all(&packet(0x12, 0, &[0; 30_000])).await.unwrap();
    }
    let error = served.await.unwrap().unwrap_err();
    assert!(matches!(error, WireError::TooLong { .. }), "{error}");
}

/// What the server made of a login, and how it ended the connection if it did.
async fn outcome_of(login: Vec<u8>) -> (Option<Option<String>>, Vec<u8>, Served) {
    let scripts = Scripts::new();
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let server = Arc::new(ScriptServer(Arc::clone(&scripts)));
    let served = tokio::spawn(serve(far, server, Arc::new(WireConfig::default())));
    near.write_all(&prelogin()).await.unwrap();
    message(&mut near).await;
    near.write_all(&login).await.unwrap();
    near.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _cut = near.read_to_end(&mut answer).await;
    let seen = scripts.logins.lock().unwrap().pop();
    (seen.map(|login| login.access_token), answer, served)
}

#[tokio::test]
async fn the_token_of_a_federated_login_is_found_among_other_features_and_acknowledged() {
    let (seen, answer, _served) = outcome_of(login_with(&token_features("eyJ0"))).await;
    assert_eq!(seen, Some(Some("eyJ0".to_owned())));
    let acknowledgement = [0xAE, 0x02, 0, 0, 0, 0, 0xFF];
    assert!(answer.windows(7).any(|window| window == acknowledgement));
    let (seen, answer, _served) = outcome_of(login_with(&[0x01, 0, 0, 0, 0, 0xFF])).await;
    assert_eq!(seen, Some(None));
    assert!(!answer.windows(7).any(|window| window == acknowledgement));
}

#[tokio::test]
async fn features_that_do_not_end_or_lie_outside_are_malformed() {
    let whole = token_features("eyJ0");
    let mut other_library = whole.clone();
    other_library[12] = 0x02 << 1;
    let mut too_long = whole.clone();
    too_long[13] = 0xFF;
    let mut cases = vec![other_library, too_long];
    cases.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
    for features in cases {
        let (seen, answer, served) = outcome_of(login_with(&features)).await;
        assert_eq!((seen, answer.len()), (None, 0), "{features:?}");
        let error = served.await.unwrap().unwrap_err();
        assert!(matches!(error, WireError::Malformed { .. }), "{error}");
    }
}
