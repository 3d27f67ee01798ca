//! PRELOGIN: versions, encryption, instance name.
//!
//! Source: \[MS-TDS\] 2.2.6.5.

use super::cursor::Cursor;
use super::{Encryption, WireError};
use crate::front::ServerIdentity;

const VERSION: u8 = 0;
const ENCRYPTION: u8 = 1;
const INSTANCE: u8 = 2;
const THREAD_ID: u8 = 3;
const MARS: u8 = 4;
const FEDERATED_LOGIN: u8 = 6;
const TERMINATOR: u8 = 0xFF;

/// What a client asks for, as it is written in its option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// 0: the login packet only, unless the server insists.
    LoginOnly,
    /// 1 or 3: everything.
    Everything,
    /// 2: cannot.
    Nothing,
}

/// The first message of a client.
#[derive(Debug)]
pub(super) struct Prelogin {
    pub(super) wish: Wish,
    /// Without its terminator; empty when the client names none.
    pub(super) instance: String,
    /// The client is going to log in by a token.
    pub(super) federated: bool,
}

/// What client and server agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// No TLS at all.
    Plain,
    /// TLS for the login packet, then none.
    LoginOnly,
    /// TLS until the end.
    Everything,
    /// TLS was there before PRELOGIN.
    Strict,
    /// The client is answered and then turned away.
    Impossible(&'static str),
}

impl Prelogin {
    pub(super) fn decode(payload: &[u8]) -> Result<Prelogin, WireError> {
        let mut prelogin =
            Prelogin { wish: Wish::Nothing, instance: String::new(), federated: false };
        let mut table = Cursor::new("PRELOGIN", payload);
        loop {
            let option = table.u8()?;
            if option == TERMINATOR {
                return Ok(prelogin);
            }
            let offset = usize::from(table.u16()?.swap_bytes());
            let length = usize::from(table.u16()?.swap_bytes());
            let data = payload
                .get(offset..offset + length)
                .ok_or_else(|| table.fail(format!("option {option} lies outside of it")))?;
            match option {
                ENCRYPTION => {
                    prelogin.wish = match data.first() {
                        Some(0) => Wish::LoginOnly,
                        Some(1 | 3) => Wish::Everything,
                        Some(2) => Wish::Nothing,
                        // 0x80 and above announce a client certificate (TDS 8.0 drivers).
                        other => {
                            return Err(table.fail(format!("encryption {other:?} is unknown")));
                        }
                    }
                }
                INSTANCE => {
                    let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
                    prelogin.instance = String::from_utf8_lossy(name).into_owned();
                }
                FEDERATED_LOGIN => prelogin.federated = data.first() == Some(&1),
                _ => {}
            }
        }
    }

    /// Whether the instance that the client named is this one.
    pub(super) fn names(&self, identity: &ServerIdentity) -> bool {
        self.instance.is_empty()
            || self.instance.eq_ignore_ascii_case(&identity.instance_name)
            || (identity.instance_name.is_empty()
                && self.instance.eq_ignore_ascii_case("MSSQLSERVER"))
    }

    /// The agreement and the answer byte that tells it to the client.
    pub(super) fn agree(&self, setting: Encryption, strict: bool) -> (Agreement, u8) {
        const OFF: u8 = 0;
        const ON: u8 = 1;
        const NOT_SUPPORTED: u8 = 2;
        const REQUIRED: u8 = 3;
        if strict {
            return (Agreement::Strict, ON);
        }
        match (setting, self.wish) {
            (Encryption::Strict, _) => (
                Agreement::Impossible("the server accepts TDS 8.0 (strict) connections only"),
                REQUIRED,
            ),
            (Encryption::Off, Wish::Nothing | Wish::LoginOnly) => (Agreement::Plain, NOT_SUPPORTED),
            (Encryption::Off, Wish::Everything) => (
                Agreement::Impossible("the client insists and the server has no certificate"),
                NOT_SUPPORTED,
            ),
            (Encryption::On, Wish::Nothing) => (Agreement::Plain, NOT_SUPPORTED),
            (Encryption::On, Wish::LoginOnly) => (Agreement::LoginOnly, OFF),
            (Encryption::On | Encryption::Required, Wish::Everything) => {
                (Agreement::Everything, ON)
            }
            (Encryption::Required, Wish::LoginOnly) => (Agreement::Everything, REQUIRED),
            (Encryption::Required, Wish::Nothing) => (
                Agreement::Impossible("the server insists and the client cannot encrypt"),
                REQUIRED,
            ),
        }
    }
}

/// The server's answer.
pub(super) fn answer(identity: &ServerIdentity, encryption: u8, asked: &Prelogin) -> Vec<u8> {
    let instance_is_ours = asked.names(identity);
    let (major, minor, build) = identity.version;
    let [high, low] = build.to_be_bytes();
    let mut options = vec![
        (VERSION, vec![major, minor, high, low, 0, 0]),
        (ENCRYPTION, vec![encryption]),
        (INSTANCE, vec![u8::from(!instance_is_ours)]),
        (THREAD_ID, vec![]),
        (MARS, vec![0]),
    ];
    if asked.federated {
        options.push((FEDERATED_LOGIN, vec![1]));
    }
    let mut offset = (options.len() * 5 + 1) as u16;
    let mut answer = Vec::new();
    for (option, data) in &options {
        answer.push(*option);
        answer.extend(offset.to_be_bytes());
        answer.extend((data.len() as u16).to_be_bytes());
        offset += data.len() as u16;
    }
    answer.push(TERMINATOR);
    for (_, data) in &options {
        answer.extend_from_slice(data);
    }
    answer
}
