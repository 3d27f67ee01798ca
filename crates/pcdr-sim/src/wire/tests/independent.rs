//! The bytes of the wire as an implementation by others decodes them: a misunderstanding that the
//! wire shares with one driver shows here.

use tds_protocol::token::{ColMetaData, DoneStatus, Token, TokenParser};
use tokio::io::AsyncWriteExt;

use super::clients::every_type;
use super::front::{Act, Scripts, done, failed, result};
use super::raw::{batch, call, logged_in, login, message, prelogin};
use crate::front::{DoneKind, Reply};
use crate::message::SqlMessage;
use crate::value::{SqlType, Value};
use crate::wire::{WireConfig, serve};

fn bits(status: DoneStatus) -> String {
    let names = [
        (status.more, "more"),
        (status.error, "error"),
        (status.count, "count"),
        (status.attn, "attention"),
        (status.srverror, "server error"),
    ];
    let set: Vec<&str> = names.iter().filter(|(is_set, _)| *is_set).map(|(_, n)| *n).collect();
    set.join(" ")
}

/// Every token of a message in words; the message has to be used up.
fn tokens(payload: Vec<u8>) -> Vec<String> {
    let mut parser = TokenParser::new(payload.into());
    let mut metadata: Option<ColMetaData> = None;
    let mut found = Vec::new();
    while let Some(token) = parser.next_token_with_metadata(metadata.as_ref()).unwrap() {
        found.push(match token {
            Token::ColMetaData(columns) => {
                let text = format!("{} columns", columns.columns.len());
                metadata = Some(columns);
                text
            }
            Token::Row(_) => "row".to_owned(),
            Token::Done(done) => format!("DONE {} {}", done.row_count, bits(done.status)),
            Token::DoneProc(done) => format!("DONEPROC {} {}", done.row_count, bits(done.status)),
            Token::DoneInProc(done) => {
                format!("DONEINPROC {} {}", done.row_count, bits(done.status))
            }
            Token::ReturnStatus(status) => format!("status {status}"),
            Token::ReturnValue(value) => {
                format!("value {} {} {:?}", value.param_ordinal, value.param_name, &value.value[..])
            }
            Token::Error(error) => format!(
                "error {} {} {} {} {} {}",
                error.number, error.class, error.state, error.line, error.server, error.message
            ),
            Token::Info(info) => format!("info {} {} {}", info.number, info.class, info.message),
            // This decoder reads the version little-endian; here alone the wire is big-endian.
            Token::LoginAck(ack) => format!("login {:#010x}", ack.tds_version.swap_bytes()),
            Token::EnvChange(change) => format!("{:?} {:?}", change.env_type, change.new_value),
            other => panic!("{other:?}"),
        });
    }
    assert!(!parser.has_remaining());
    found
}

#[tokio::test]
async fn prelogin_and_login_are_answered_as_documented() {
    let (mut client, far) = tokio::io::duplex(4096);
    let server = std::sync::Arc::new(super::front::ScriptServer(Scripts::new()));
    tokio::spawn(serve(far, server, std::sync::Arc::new(WireConfig::default())));
    client.write_all(&prelogin()).await.unwrap();
    let answer = message(&mut client).await;
    let answer = tds_protocol::prelogin::PreLogin::decode(answer.as_slice()).unwrap();
    assert!(!answer.mars);
    client.write_all(&login()).await.unwrap();
    let found = tokens(message(&mut client).await);
    assert_eq!(
        found,
        [
            "Database String(\"msdb\")",
            "info 5701 0 Changed database context to 'msdb'.",
            "SqlCollation Binary(b\"\\t\\x04\\xd0\\04\")",
            "Language String(\"us_english\")",
            "info 5703 0 Changed language setting to us_english.",
            "login 0x74000004",
            "PacketSize String(\"8000\")",
            "DONE 0 ",
        ]
    );
}

#[tokio::test]
async fn rows_of_every_type_and_of_nulls_are_decoded_to_their_end() {
    let scripts = Scripts::new();
    let count = every_type().len();
    let mut acts = result(every_type());
    acts.extend(result(every_type().into_iter().map(|(ty, _)| (ty, Value::Null)).collect()));
    scripts.script("all", acts);
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&batch("all")).await.unwrap();
    let columns = format!("{count} columns");
    let columns = columns.as_str();
    assert_eq!(
        tokens(message(&mut client).await),
        [columns, "row", "DONE 1 more count", columns, "row", "DONE 1 count"]
    );
}

#[tokio::test]
async fn messages_errors_and_completions_of_a_batch_keep_their_order() {
    let scripts = Scripts::new();
    let mut acts = result(vec![(SqlType::Int, Value::Int(1))]);
    acts.push(Act::Send(Reply::Message(SqlMessage::new(3211, 10, "20 percent processed."))));
    acts.push(done(DoneKind::Statement, None));
    acts.push(Act::Send(Reply::Message(SqlMessage::new(3201, 16, "Cannot open").with_state(2))));
    acts.extend(failed(SqlMessage::new(3013, 16, "BACKUP LOG is terminating").at_line(4)));
    scripts.script("backup", acts);
    let (mut client, _served) = logged_in(&scripts).await;
    client.write_all(&batch("backup")).await.unwrap();
    assert_eq!(
        tokens(message(&mut client).await),
        [
            "1 columns",
            "row",
            "DONE 1 more count",
            "info 3211 0 20 percent processed.",
            "DONE 0 more",
            "error 3201 16 2 1 SQL-A Cannot open",
            "error 3013 16 1 4 SQL-A BACKUP LOG is terminating",
            "DONE 0 error",
        ]
    );
}

#[tokio::test]
async fn a_procedure_ends_with_its_status_and_its_output_parameters() {
    let scripts = Scripts::new();
    let (mut client, _served) = logged_in(&scripts).await;
    let by_reference = [2, b'@', 0, b'a', 0, 1, 0x26, 4, 4, 7, 0, 0, 0];
    client.write_all(&call(&by_reference)).await.unwrap();
    let found = tokens(message(&mut client).await);
    assert_eq!(found[..4], ["1 columns", "row", "DONEINPROC 1 more count", "status -3"]);
    assert!(found[4].starts_with("value 0 @a"), "{}", found[4]);
    assert_eq!(found[5], "DONEPROC 0 ");
}
