//! Requests: batches, procedure calls, the transaction manager.
//!
//! Source: \[MS-TDS\] 2.2.6.6 (RPC), 2.2.6.7 (SQLBatch), 2.2.6.9 (transaction manager).

use super::WireError;
use super::cursor::{Cursor, utf16};
use super::packet::{Message, kind};
use super::types::{self, Read};
use super::values;
use crate::front::{Request, Rpc, RpcParameter, TransactionRequest};

/// What a message asks for.
pub(super) enum Asked {
    /// These, in order, answered in one response.
    Requests(Vec<Request>),
    /// Something that is well formed and that this server does not do.
    Unsupported(String),
}

impl From<Request> for Asked {
    fn from(request: Request) -> Asked {
        Asked::Requests(vec![request])
    }
}

/// Decodes a request.
pub(super) fn decode(message: &Message) -> Result<Asked, WireError> {
    match message.kind {
        kind::BATCH => batch(&message.payload),
        kind::RPC => rpc(&message.payload),
        kind::TRANSACTION => transaction(&message.payload),
        0x07 => Ok(Asked::Unsupported("Bulk load".to_owned())),
        other => {
            Err(WireError::malformed("request", format!("a message of type {other:#04x} is none")))
        }
    }
}

/// Skips ALL_HEADERS: the transaction descriptor is the session's own anyway.
fn skip_headers(from: &mut Cursor<'_>) -> Result<(), WireError> {
    let length = from.u32()?;
    let rest = length
        .checked_sub(4)
        .ok_or_else(|| from.fail(format!("headers of {length} bytes do not exist")))?;
    from.take(rest as usize)?;
    Ok(())
}

fn batch(payload: &[u8]) -> Result<Asked, WireError> {
    let mut from = Cursor::new("batch", payload);
    skip_headers(&mut from)?;
    let text = from.rest();
    if !text.len().is_multiple_of(2) {
        return Err(from.fail(format!("{} bytes are no UTF-16", text.len())));
    }
    Ok(Request::Batch(utf16(text)).into())
}

fn rpc(payload: &[u8]) -> Result<Asked, WireError> {
    /// Between two calls of one message; the second says that the first is not to be executed.
    const NEXT_CALL: [u8; 2] = [0xFF, 0xFE];
    let mut from = Cursor::new("procedure call", payload);
    skip_headers(&mut from)?;
    let mut requests = Vec::new();
    loop {
        let procedure = match from.u16()? {
            u16::MAX => {
                let id = from.u16()?;
                well_known(id)
                    .ok_or_else(|| from.fail(format!("procedure number {id} does not exist")))?
                    .to_owned()
            }
            length => from.utf16(length.into())?,
        };
        let _options = from.u16()?;
        let mut parameters = Vec::new();
        while let Some(next) = from.peek()
            && !NEXT_CALL.contains(&next)
        {
            let name = from.b_varchar()?;
            let status = from.u8()?;
            if status & 0x08 != 0 {
                return Ok(Asked::Unsupported("An encrypted parameter".to_owned()));
            }
            let info = match types::read(&mut from)? {
                Read::Known(info) => info,
                Read::Unsupported(what) => {
                    return Ok(Asked::Unsupported(format!("Parameter {name}: {what}")));
                }
            };
            let value = values::read(&mut from, info)?;
            let takes_default = status & 0x02 != 0;
            if takes_default && !name.is_empty() {
                continue; // what is not passed takes its default
            }
            parameters.push(RpcParameter { name, output: status & 0x01 != 0, ty: info.ty, value });
        }
        let call = Request::Rpc(Rpc { procedure, parameters });
        if from.is_empty() {
            requests.push(call);
            return Ok(Asked::Requests(requests));
        }
        if from.u8()? != 0xFE {
            requests.push(call);
        }
        if from.is_empty() {
            return Ok(Asked::Requests(requests));
        }
    }
}

/// Procedures that clients call by number. Source: \[MS-TDS\] 2.2.6.6, ProcID.
fn well_known(id: u16) -> Option<&'static str> {
    const NAMES: [&str; 15] = [
        "sp_cursor",
        "sp_cursoropen",
        "sp_cursorprepare",
        "sp_cursorexecute",
        "sp_cursorprepexec",
        "sp_cursorunprepare",
        "sp_cursorfetch",
        "sp_cursoroption",
        "sp_cursorclose",
        "sp_executesql",
        "sp_prepare",
        "sp_execute",
        "sp_prepexec",
        "sp_prepexecrpc",
        "sp_unprepare",
    ];
    NAMES.get(usize::from(id).checked_sub(1)?).copied()
}

fn transaction(payload: &[u8]) -> Result<Asked, WireError> {
    let mut from = Cursor::new("transaction request", payload);
    skip_headers(&mut from)?;
    match from.u16()? {
        5 => Ok(Request::Transaction(begin(&mut from)?).into()),
        7 => {
            let _name = name(&mut from)?;
            end(&mut from, TransactionRequest::Commit)
        }
        8 => {
            let name = name(&mut from)?;
            end(&mut from, TransactionRequest::Rollback(name))
        }
        9 => {
            let name = name(&mut from)?;
            Ok(Request::Transaction(TransactionRequest::Save(name)).into())
        }
        other => Ok(Asked::Unsupported(format!("Transaction manager request {other}"))),
    }
}

/// The end of a transaction, and the begin of the next where the client asks for it in the same request.
fn end(from: &mut Cursor<'_>, end: TransactionRequest) -> Result<Asked, WireError> {
    const BEGIN_AGAIN: u8 = 0x01;
    let mut requests = vec![Request::Transaction(end)];
    if !from.is_empty() && from.u8()? & BEGIN_AGAIN != 0 {
        requests.push(Request::Transaction(begin(from)?));
    }
    Ok(Asked::Requests(requests))
}

/// Isolation level, which changes nothing that this server computes, and name.
fn begin(from: &mut Cursor<'_>) -> Result<TransactionRequest, WireError> {
    const NO_CHANGE: u8 = 0;
    const SNAPSHOT: u8 = 5;
    match from.u8()? {
        NO_CHANGE..=SNAPSHOT => Ok(TransactionRequest::Begin(name(from)?)),
        level => Err(from.fail(format!("isolation level {level} does not exist"))),
    }
}

/// A name, after its length in bytes.
fn name(from: &mut Cursor<'_>) -> Result<String, WireError> {
    let bytes = from.u8()?;
    if bytes % 2 != 0 {
        return Err(from.fail(format!("{bytes} bytes are no UTF-16")));
    }
    from.utf16((bytes / 2).into())
}
