//! The tokens of a response.
//!
//! Source: \[MS-TDS\] 2.2.7.

use super::cursor::to_utf16;
use super::{WireError, collation, types, values};
use crate::front::{DoneKind, ServerIdentity};
use crate::message::SqlMessage;
use crate::value::{Column, SqlType, Value};

/// Bits of a completion token's status.
pub(super) mod done {
    /// More follows in this response.
    pub(crate) const MORE: u16 = 0x01;
    /// The statement failed.
    pub(crate) const ERROR: u16 = 0x02;
    /// The row count counts.
    pub(crate) const COUNT: u16 = 0x10;
    /// Acknowledges an attention.
    pub(crate) const ATTENTION: u16 = 0x20;
    /// The server ends the connection (together with [`ERROR`]).
    pub(crate) const SERVER_ERROR: u16 = 0x100;
}

/// CurCmd of a completion that belongs to no statement.
pub(super) const NO_COMMAND: u16 = 0;

/// Characters of a message text that are sent; SQL Server itself cuts at 2,047.
const LONGEST_TEXT: usize = 4000;

fn b_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(units.len() as u8);
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

fn us_varchar(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(LONGEST_TEXT).collect();
    out.extend((units.len() as u16).to_le_bytes());
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

/// A token whose body is preceded by its length in two bytes.
fn with_length(token: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![token];
    out.extend((body.len() as u16).to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// ERROR or INFO. SQL Server sends severity 10 as class 0.
pub(super) fn message(message: &SqlMessage, server_name: &str) -> Vec<u8> {
    let (token, class) = match message.severity {
        10 => (0xAB, 0),
        class @ 0..=9 => (0xAB, class),
        class => (0xAA, class),
    };
    let mut body = Vec::new();
    body.extend(message.number.to_le_bytes());
    body.extend([message.state, class]);
    us_varchar(&mut body, &message.text);
    b_varchar(&mut body, server_name);
    b_varchar(&mut body, &message.procedure);
    body.extend(message.line.to_le_bytes());
    with_length(token, &body)
}

/// DONE, DONEPROC or DONEINPROC.
pub(super) fn done(kind: DoneKind, status: u16, command: u16, rows: u64) -> Vec<u8> {
    let mut out = vec![match kind {
        DoneKind::Statement => 0xFD,
        DoneKind::Procedure => 0xFE,
        DoneKind::InProcedure => 0xFF,
    }];
    out.extend(status.to_le_bytes());
    out.extend(command.to_le_bytes());
    out.extend(rows.to_le_bytes());
    out
}

/// COLMETADATA.
pub(super) fn columns(columns: &[Column]) -> Vec<u8> {
    let mut out = vec![0x81];
    out.extend((columns.len() as u16).to_le_bytes());
    for column in columns {
        out.extend(user_type_and_flags(column.nullable));
        types::write(&mut out, column.ty);
        if types::has_table_name(column.ty) {
            out.push(1);
            us_varchar(&mut out, "");
        }
        b_varchar(&mut out, &column.name);
    }
    out
}

fn user_type_and_flags(nullable: bool) -> [u8; 6] {
    [0, 0, 0, 0, u8::from(nullable), 0]
}

/// ROW. The row needs one value per column.
pub(super) fn row(columns: &[Column], row: &[Value]) -> Result<Vec<u8>, WireError> {
    if columns.len() != row.len() {
        return Err(WireError::Mismatch {
            what: "a row".to_owned(),
            declared: format!("with {} columns", columns.len()),
            found: format!("{} values", row.len()),
        });
    }
    let mut out = vec![0xD1];
    for (column, value) in columns.iter().zip(row) {
        values::write(&mut out, &column.name, column.ty, value)?;
    }
    Ok(out)
}

/// RETURNSTATUS.
pub(super) fn return_status(status: i32) -> Vec<u8> {
    let mut out = vec![0x79];
    out.extend(status.to_le_bytes());
    out
}

/// RETURNVALUE of an output parameter.
pub(super) fn return_value(
    ordinal: u16,
    name: &str,
    ty: SqlType,
    value: &Value,
) -> Result<Vec<u8>, WireError> {
    let mut out = vec![0xAC];
    out.extend(ordinal.to_le_bytes());
    b_varchar(&mut out, name);
    out.push(0x01);
    out.extend(user_type_and_flags(true));
    types::write(&mut out, ty);
    values::write(&mut out, name, ty, value)?;
    Ok(out)
}

fn env_change(kind: u8, new: &[u8], old: &[u8]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend_from_slice(new);
    body.extend_from_slice(old);
    with_length(0xE3, &body)
}

fn text_change(kind: u8, new: &str, old: &str) -> Vec<u8> {
    let mut both = [Vec::new(), Vec::new()];
    b_varchar(&mut both[0], new);
    b_varchar(&mut both[1], old);
    env_change(kind, &both[0], &both[1])
}

/// ENVCHANGE 1.
pub(super) fn database_change(new: &str, old: &str) -> Vec<u8> {
    text_change(1, new, old)
}

/// ENVCHANGE 2.
pub(super) fn language_change(new: &str) -> Vec<u8> {
    text_change(2, new, "")
}

/// ENVCHANGE 4, in decimal digits.
pub(super) fn packet_size_change(new: usize, old: usize) -> Vec<u8> {
    text_change(4, &new.to_string(), &old.to_string())
}

/// ENVCHANGE 20: the client is to log in elsewhere, over TCP.
pub(super) fn routing(host: &str, port: u16) -> Vec<u8> {
    let host: Vec<u16> = host.encode_utf16().take(1024).collect();
    let mut route = vec![0];
    route.extend(port.to_le_bytes());
    route.extend((host.len() as u16).to_le_bytes());
    route.extend(host.iter().flat_map(|unit| unit.to_le_bytes()));
    let mut new = (route.len() as u16).to_le_bytes().to_vec();
    new.extend(route);
    env_change(20, &new, &[0, 0])
}

/// ENVCHANGE 7.
pub(super) fn collation_change() -> Vec<u8> {
    let mut new = vec![5];
    new.extend(collation::BYTES);
    env_change(7, &new, &[0])
}

/// ENVCHANGE 18: the session was reset.
pub(super) fn reset_acknowledged() -> Vec<u8> {
    env_change(18, &[0], &[0])
}

fn descriptor(transaction: u64) -> [u8; 9] {
    let mut bytes = [8; 9];
    bytes[1..].copy_from_slice(&transaction.to_le_bytes());
    bytes
}

/// ENVCHANGE 8.
pub(super) fn transaction_begun(transaction: u64) -> Vec<u8> {
    env_change(8, &descriptor(transaction), &[0])
}

/// ENVCHANGE 9.
pub(super) fn transaction_committed(transaction: u64) -> Vec<u8> {
    env_change(9, &[0], &descriptor(transaction))
}

/// ENVCHANGE 10.
pub(super) fn transaction_rolled_back(transaction: u64) -> Vec<u8> {
    env_change(10, &[0], &descriptor(transaction))
}

/// FEATUREEXTACK of a federated login, without a nonce.
pub(super) fn federated_login_acknowledged() -> Vec<u8> {
    vec![0xAE, 0x02, 0, 0, 0, 0, 0xFF]
}

/// LOGINACK. The version is big-endian here, unlike everywhere else.
pub(super) fn login_ack(tds_version: u32, identity: &ServerIdentity) -> Vec<u8> {
    const PROGRAM: &str = "Microsoft SQL Server\0\0";
    let (major, minor, build) = identity.version;
    let [high, low] = build.to_be_bytes();
    let mut body = vec![1];
    body.extend(tds_version.to_be_bytes());
    body.push(PROGRAM.len() as u8);
    body.extend(to_utf16(PROGRAM));
    body.extend([major, minor, high, low]);
    with_length(0xAD, &body)
}
