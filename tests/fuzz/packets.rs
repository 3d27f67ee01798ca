//! Packets in every state of a connection, over a pipe into a served engine.

use std::sync::Arc;

use pcdr_benches::raw;
use pcdr_sim::engine::session::Instance;
use pcdr_sim::engine::state::Costs;
use pcdr_sim::wire::{WireConfig, WireError, serve};
use pcdr_tests::{Random, virtually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::bytes::{below, damage, pick};
use crate::grammar;
use crate::statements::{SET_UP, run, session, world};
use crate::tally::{Layer, Tally};
use crate::{case, guarded};

/// Packets of one world.
const WORLD: u64 = 5_000;

/// Turns that the server has before a request counts as one that does not end by itself.
const TURNS: u32 = 64;
/// Turns that it has after the end of an answer, for the answer to another request.
const TURNS_AFTER: u32 = 8;

/// One connection.
pub(crate) struct Connection {
    config: Arc<WireConfig>,
    stream: DuplexStream,
    served: JoinHandle<Result<(), WireError>>,
    /// It was logged in to.
    logged_in: bool,
}

impl Connection {
    pub(crate) fn open(instance: &Instance, config: &Arc<WireConfig>) -> Connection {
        let (stream, far) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(serve(far, Arc::new(instance.clone()), Arc::clone(config)));
        Connection { config: Arc::clone(config), stream, served, logged_in: false }
    }

    /// Sends bytes and receives what the server has to say; `None` when it has closed the connection.
    /// A request that still runs then is told to stop.
    pub(crate) async fn ask(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (open, answer) = self.ask_to_the_end(bytes).await;
        open.then_some(answer)
    }

    /// As [`Connection::ask`], with what a server says before it closes the connection.
    pub(crate) async fn ask_to_the_end(&mut self, bytes: &[u8]) -> (bool, Vec<u8>) {
        let before = self.config.metrics.requests();
        let mut answer = Vec::new();
        let mut open = self.hear(bytes, &mut answer).await;
        if open && self.config.metrics.requests() > before && !is_whole(&answer) {
            open = self.hear(&raw::packet(0x06, &[]), &mut answer).await;
        }
        (open, answer)
    }

    /// Sends bytes and receives for as many turns of the server as a small request needs. No timer is
    /// waited for: time that is virtual does not pass while a loop runs. `false` when the connection
    /// was closed.
    async fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) -> bool {
        let (mut read, mut write) = tokio::io::split(&mut self.stream);
        let mut part = vec![0; 4096];
        // A server that answers before it has read everything must not wait for a client that writes.
        let sent = async {
            let _closed = write.write_all(bytes).await;
            std::future::pending::<()>().await;
        };
        let received = async {
            let mut left = TURNS;
            while left > 0 {
                tokio::select! {
                    biased;
                    more = read.read(&mut part) => match more {
                        Ok(0) | Err(_) => return false,
                        Ok(count) => {
                            answer.extend_from_slice(&part[..count]);
                            if is_whole(answer) {
                                left = left.min(TURNS_AFTER);
                            }
                        }
                    },
                    () = tokio::task::yield_now() => left -= 1,
                }
            }
            true
        };
        tokio::select! {
            biased;
            () = sent => false,
            open = received => open,
        }
    }
}

/// Whether the last packet of an answer says that it is the last.
fn is_whole(mut answer: &[u8]) -> bool {
    let mut last = false;
    while let Some(header) = answer.get(..8) {
        last = header[1] & 0x01 != 0;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        answer = answer.get(length.max(8)..).unwrap_or_default();
    }
    last
}

fn parameters(random: &mut Random) -> Vec<u8> {
    let collation = [9, 4, 0xD0, 0, 0x34];
    let all: [(&str, Vec<u8>, Vec<u8>); 12] = [
        ("@a", vec![0x26, 4], vec![4, 1, 2, 3, 4]),
        ("@b", [vec![0xE7, 100, 0], collation.to_vec()].concat(), vec![4, 0, 65, 0, 66, 0]),
        (
            "@c",
            [vec![0xE7, 0xFF, 0xFF], collation.to_vec()].concat(),
            vec![4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 65, 0, 66, 0, 0, 0, 0, 0],
        ),
        ("@d", vec![0x6C, 17, 38, 4], vec![5, 1, 1, 2, 3, 4]),
        ("@e", vec![0x2B, 7], vec![10, 1, 2, 3, 4, 5, 1, 2, 3, 60, 0]),
        ("@f", vec![0x6F, 8], vec![8, 1, 0, 0, 0, 1, 0, 0, 0]),
        ("@g", vec![0x24, 16], [vec![16], vec![7; 16]].concat()),
        ("@h", vec![0x62, 0x49, 0x1F, 0, 0], vec![9, 0, 0, 0, 0x6C, 2, 10, 2, 1, 1, 2, 3, 4]),
        ("@i", vec![0xF1, 0], vec![0xFF; 8]),
        ("@j", vec![0x29, 3], vec![4, 1, 2, 3, 1]),
        ("@k", vec![0x6D, 8], vec![8, 0, 0, 0, 0, 0, 0, 0xF0, 0x7F]),
        ("@l", vec![0xA5, 8, 0], vec![3, 0, 1, 2, 3]),
    ];
    let mut bytes = Vec::new();
    for _ in 0..random.below(6) {
        let (name, info, value) = &all[below(random, all.len())];
        bytes.push(name.len() as u8);
        bytes.extend(raw::utf16(name));
        bytes.push(random.below(4) as u8 & 1);
        bytes.extend(info);
        bytes.extend(value);
    }
    bytes
}

fn text_parameter(text: &str) -> Vec<u8> {
    let text = raw::utf16(text);
    let mut bytes = vec![0, 0, 0xE7, 0x40, 0x1F, 9, 4, 0xD0, 0, 0x34];
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text);
    bytes
}

/// A procedure call by number or by name.
fn call(random: &mut Random) -> Vec<u8> {
    let mut payload = 4_u32.to_le_bytes().to_vec();
    if random.below(3) == 0 {
        let name = pick(
            random,
            &["sp_executesql", "sp_who", "msdb.dbo.sp_help_job", "sp_reset_connection", "none"],
        );
        payload.extend((name.len() as u16).to_le_bytes());
        payload.extend(raw::utf16(name));
    } else {
        payload.extend([0xFF, 0xFF, random.below(17) as u8, 0]);
    }
    payload.extend([0, 0]);
    if random.below(2) == 0 {
        payload.extend(text_parameter(pick(random, &["SELECT @a", "SELECT 1", "SELECT @a, @b"])));
        payload.extend(text_parameter(pick(random, &["@a int", "", "@a int, @b nvarchar(50)"])));
    }
    payload.extend(parameters(random));
    raw::packet(0x03, &payload)
}

/// One message of a client, whole and valid.
fn message(random: &mut Random, password: &str) -> Vec<u8> {
    match random.below(16) {
        0 => raw::prelogin(),
        1 => raw::login("sa", password, ""),
        2..=4 => call(random),
        5 => raw::packet(0x06, &[]),
        6 => raw::packet(0x0E, &[4, 0, 0, 0, 5, 0, random.below(6) as u8, 0]),
        7 => raw::packet(
            0x0E,
            &[4, 0, 0, 0, 7 + random.below(3) as u8, 0, 0, random.below(2) as u8, 1, 0],
        ),
        8 => raw::packet(0x07, &parameters(random)),
        9 => {
            let kind = random.below(256) as u8;
            raw::packet(kind, &[1, 2, 3, 4, 5, 6, 7, 8])
        }
        10 | 11 => {
            let text = grammar::batch(random);
            let short: String = text.chars().take(2_000).collect();
            raw::batch(&short)
        }
        _ => raw::batch(pick(
            random,
            &[
                "SELECT 1",
                "SELECT name FROM sys.databases",
                "WAITFOR DELAY '00:00:09'",
                "BEGIN TRANSACTION",
                "RAISERROR (N'x', 20, 1) WITH LOG",
                "PRINT 'x'",
            ],
        )),
    }
}

/// The same message in several packets, of which only the last says that it ends.
fn split(random: &mut Random, message: &[u8]) -> Vec<u8> {
    let (kind, payload) = (message[0], &message[8..]);
    let mut bytes = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(1 + below(random, rest.len()));
        let mut packet = raw::packet(kind, part);
        packet[1] = u8::from(tail.is_empty());
        bytes.extend(packet);
        rest = tail;
    }
    bytes
}

/// What is done to a message before it is sent.
fn changed(random: &mut Random, mut message: Vec<u8>) -> Vec<u8> {
    match random.below(8) {
        0 => message,
        1 => {
            let at = below(random, message.len());
            message.truncate(at);
            message
        }
        2 if message.len() > 8 => split(random, &message),
        3 => {
            // The header alone: type, status, length.
            let at = below(random, 4);
            message[at] = random.below(256) as u8;
            message
        }
        _ => {
            let header = message.len().min(8);
            let mut payload = message.split_off(header);
            damage(random, &mut payload);
            payload.truncate(30_000);
            let length = (payload.len() as u16 + 8).to_be_bytes();
            // The header tells the truth, so that the damage is read.
            message[2..4].copy_from_slice(&length);
            message.extend(payload);
            message
        }
    }
}

pub(crate) fn round(random: &mut Random, cases: u64, tally: &mut Tally) {
    let mut left = cases;
    while left > 0 {
        let now = left.min(WORLD);
        left -= now;
        let seed = random.below(u64::MAX);
        let mut done = 0;
        while done < now {
            let from = done;
            guarded(|| virtually(in_one_world(seed, from, now, &mut done, tally)));
        }
    }
}

async fn in_one_world(seed: u64, from: u64, to: u64, done: &mut u64, tally: &mut Tally) {
    let (world, instance, _folder) = world(seed);
    // A small batch then needs no timer to end.
    world.set_costs(Costs::in_real_time());
    let password = instance.with(|state| state.config.sa_password.clone()).unwrap();
    let mut first = session(&instance).await;
    for text in SET_UP {
        run(first.as_mut(), text).await;
    }
    drop(first);
    let config = Arc::new(WireConfig { max_message_bytes: 1 << 20, ..WireConfig::default() });
    let mut connection: Option<Connection> = None;
    for number in from..to {
        *done = number + 1;
        tally.count(Layer::Packets);
        case(format!("packets, world {seed}, packet {number}"));
        let mut own = Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let random = &mut own;
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let mut open = Connection::open(&instance, &config);
                // One in eight is damaged before the login, as many before the greeting.
                let state = random.below(8);
                if state > 0 {
                    open.ask(&raw::prelogin()).await;
                }
                if state > 1 {
                    let answer = open.ask(&raw::login("sa", &password, "")).await;
                    open.logged_in = answer.is_some_and(|bytes| bytes.contains(&0xAD));
                    if open.logged_in {
                        tally.note("logged in");
                    }
                }
                open
            }
        };
        let message = message(random, &password);
        let mut bytes = changed(random, message);
        if random.below(16) == 0 {
            // The next request before the answer to this one.
            bytes.extend(self::message(random, &password));
        }
        match open.ask(&bytes).await {
            Some(answer) => {
                if open.logged_in && answer.len() >= 21 {
                    let ends = &answer[answer.len() - 13..];
                    let status = u16::from_le_bytes([ends[1], ends[2]]);
                    match ends[0] {
                        0xFD | 0xFE if status & 0x20 != 0 => tally.note("attention acknowledged"),
                        0xFD | 0xFE if status & 0x02 != 0 => tally.note("answered with an error"),
                        0xFD | 0xFE if status & 0x10 != 0 => tally.note("answered with rows"),
                        _ => {}
                    }
                }
                if answer.windows(5).any(|token| token == [0xE3, 11, 0, 8, 8]) {
                    tally.note("transaction begun");
                }
                if random.below(64) > 0 {
                    connection = Some(open);
                }
            }
            None => {
                if let Ok(Err(WireError::Malformed { .. })) = open.served.await {
                    tally.note("connection closed as malformed");
                }
            }
        }
    }
}
