//! Answers of a server, damaged: the driver reads them, and pcdr makes its cells of the values.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use pcdr_benches::raw;
use pcdr_sim::engine::state::Costs;
use pcdr_sim::wire::WireConfig;
use pcdr_sql::connection::Cell;
use pcdr_tests::{Random, virtually};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryItem};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::bytes::{below, damage};
use crate::packets::Connection;
use crate::statements::{SET_UP, run, session, world};
use crate::tally::{Layer, Tally};
use crate::{case, guarded};

/// Cases of one runtime.
const WORLD: u64 = 2_000;
/// Longer than any answer takes; in virtual time.
const LIMIT: Duration = Duration::from_secs(1);
/// What a server is asked for the answers that are damaged then: every type, NULL, several results,
/// messages, errors, and the catalogue that pcdr reads.
const ASKED: [&str; 12] = [
    "SELECT 1",
    "SELECT name, database_id, state_desc, create_date, owner_sid FROM sys.databases",
    "SELECT * FROM sys.master_files",
    "SELECT CAST(1 AS bit), CAST(2 AS tinyint), CAST(3 AS smallint), CAST(4 AS bigint), CAST(1.5 AS real), CAST(2.5 AS float), CAST(3.25 AS money)",
    "SELECT CAST('2026-03-01' AS date), CAST('10:11:12.1234567' AS time(7)), CAST('2026-03-01' AS smalldatetime), CAST('2026-03-01' AS datetime), CAST('2026-03-01' AS datetime2(3)), CAST('2026-03-01 10:00:00 +02:00' AS datetimeoffset(7))",
    "SELECT CAST(34000000077700001 AS numeric(25,0)), CAST(-1.25 AS numeric(38,10)), CAST('0b0c0d0e-0f10-1112-1314-151617181920' AS uniqueidentifier)",
    "SELECT CAST('a' AS char(3)), CAST('a' AS varchar(10)), CAST(N'b' AS nchar(2)), CAST(N'c' AS nvarchar(max)), CAST('d' AS varchar(max)), CAST(0x01 AS binary(2)), CAST(0x02 AS varbinary(max)), CAST(N'<a/>' AS xml)",
    "SELECT CAST(1 AS sql_variant), CAST(N'x' AS sql_variant), CAST(NULL AS sql_variant), CAST(1.5 AS sql_variant)",
    "SELECT CAST(NULL AS int), CAST(NULL AS nvarchar(max)), CAST(NULL AS datetime), CAST(NULL AS numeric(25,0)), CAST(NULL AS uniqueidentifier)",
    "PRINT N'said'; SELECT 1 AS one; SELECT N'two' AS two; RAISERROR (N'and failed', 16, 1)",
    "USE master; SELECT 1/0",
    "RAISERROR (N'the session ends', 20, 1) WITH LOG",
];

/// Whole answers of a server, packet headers included.
struct Recorded {
    greeting: Vec<u8>,
    login: Vec<u8>,
    answers: Vec<Vec<u8>>,
}

/// What the stand-in answers to the driver.
async fn record() -> Recorded {
    let (world, instance, _folder) = world(1);
    world.set_costs(Costs::in_real_time());
    let password = instance.with(|state| state.config.sa_password.clone()).unwrap();
    let mut own = session(&instance).await;
    for text in SET_UP {
        run(own.as_mut(), text).await;
    }
    let config = Arc::new(WireConfig::default());
    let mut recorded = Recorded { greeting: Vec::new(), login: Vec::new(), answers: Vec::new() };
    for text in ASKED {
        let mut connection = Connection::open(&instance, &config);
        recorded.greeting = connection.ask(&raw::prelogin()).await.unwrap();
        recorded.login = connection.ask(&raw::login("sa", &password, "")).await.unwrap();
        let (_open, answer) = connection.ask_to_the_end(&raw::batch(text)).await;
        assert!(answer.len() > 20, "{text}: {answer:?}");
        recorded.answers.push(answer);
    }
    recorded
}

/// Damages an answer and leaves its packets whole, so that the damage is read.
fn damaged(random: &mut Random, answer: &[u8]) -> Vec<u8> {
    let mut payload = raw::payload(answer);
    damage(random, &mut payload);
    if random.below(16) == 0 {
        // An answer in several packets.
        let at = below(random, payload.len() + 1);
        let mut first = raw::packet(4, &payload[..at]);
        first[1] = 0;
        return [first, raw::packet(4, &payload[at..])].concat();
    }
    raw::packet(4, &payload)
}

/// Receives one message and forgets it; `false` when there is none.
async fn received(stream: &mut DuplexStream) -> bool {
    loop {
        let mut header = [0; 8];
        if stream.read_exact(&mut header).await.is_err() {
            return false;
        }
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let mut rest = vec![0; length.saturating_sub(8)];
        if stream.read_exact(&mut rest).await.is_err() {
            return false;
        }
        if header[1] & 1 != 0 {
            return true;
        }
    }
}

/// Answers each message with the next answer, and waits for what nobody answers.
async fn answering(mut stream: DuplexStream, answers: Vec<Vec<u8>>) {
    for answer in answers {
        if !received(&mut stream).await || stream.write_all(&answer).await.is_err() {
            return;
        }
    }
    while received(&mut stream).await {}
}

/// Reads a whole answer; the number of its values.
async fn read(client: &mut Client<Compat<DuplexStream>>) -> Result<usize, tiberius::error::Error> {
    let mut stream = client.simple_query("SELECT 1").await?;
    let mut values = 0;
    while let Some(item) = stream.try_next().await? {
        match item {
            QueryItem::Metadata(metadata) => {
                values +=
                    metadata.columns().iter().map(|column| column.name().len()).sum::<usize>();
            }
            QueryItem::Row(row) => {
                for data in row.into_token_row() {
                    values += usize::from(Cell::from(data) != Cell::Null);
                }
            }
        }
    }
    Ok(values)
}

pub(crate) fn round(random: &mut Random, cases: u64, tally: &mut Tally) {
    let recorded = virtually(record());
    let mut left = cases;
    while left > 0 {
        let now = left.min(WORLD);
        left -= now;
        let seed = random.below(u64::MAX);
        let mut done = 0;
        while done < now {
            let from = done;
            guarded(|| virtually(in_one_world(&recorded, seed, from, now, &mut done, tally)));
        }
    }
}

async fn in_one_world(
    recorded: &Recorded,
    seed: u64,
    from: u64,
    to: u64,
    done: &mut u64,
    tally: &mut Tally,
) {
    let mut config = Config::new();
    config.authentication(AuthMethod::sql_server("sa", "unread"));
    config.encryption(EncryptionLevel::NotSupported);
    config.handshake_timeout(None);
    config.command_timeout(None);
    for number in from..to {
        *done = number + 1;
        tally.count(Layer::Answers);
        case(format!("answers, world {seed}, answer {number}"));
        let mut own = Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let random = &mut own;
        let mut answers = vec![recorded.greeting.clone(), recorded.login.clone()];
        // One in eight never gets beyond the greeting or the login.
        let early = random.below(16);
        if early < 2 {
            let at = early as usize;
            answers[at] = damaged(random, &answers[at]);
        }
        let (near, far) = tokio::io::duplex(1 << 16);
        let batches = 1 + random.below(3);
        for _ in 0..batches {
            let answer = &recorded.answers[below(random, recorded.answers.len())];
            answers.push(damaged(random, answer));
        }
        let server = tokio::spawn(answering(far, answers));
        let connecting = Client::connect(config.clone(), near.compat());
        match tokio::time::timeout(LIMIT, connecting).await {
            Ok(Ok(mut client)) => {
                for _ in 0..batches {
                    match tokio::time::timeout(LIMIT, read(&mut client)).await {
                        Ok(Ok(_values)) => tally.note("damaged answer read"),
                        Ok(Err(error)) => {
                            assert!(!error.to_string().is_empty());
                            tally.note("damaged answer refused");
                            if !matches!(error, tiberius::error::Error::Server(_)) {
                                break;
                            }
                        }
                        Err(_) => break,
                    }
                }
            }
            Ok(Err(_)) if early < 2 => tally.note("damaged login refused"),
            Ok(Err(error)) => panic!("an undamaged login was refused: {error}"),
            Err(_) => {}
        }
        server.abort();
    }
}
