//! A TDS client that costs next to nothing: requests are bytes made beforehand, and of an answer only
//! the packet headers are looked at. Without TLS, without a driver, one request after the other.
//!
//! Source: \[MS-TDS\] 2.2.3 (packets), 2.2.6.4 (LOGIN7), 2.2.7 (tokens).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Packet header.
const HEADER: usize = 8;
/// Packet types: batch, LOGIN7, PRELOGIN.
const BATCH: u8 = 0x01;
const LOGIN: u8 = 0x10;
const PRELOGIN: u8 = 0x12;
/// The packet ends its message.
const END: u8 = 0x01;
/// DONE: the statement failed.
const FAILED: u16 = 0x02;

/// A logged-in connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Every row, each value as text; NULL is `None`.
    pub rows: Vec<Vec<Option<String>>>,
    /// The row count of the last completion.
    pub count: u64,
}

impl Client {
    /// Connects and logs in, without encryption.
    ///
    /// # Errors
    ///
    /// The server is not there, or refused the login.
    pub fn connect(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
    ) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Client { stream, received: vec![0; 64 << 10] };
        client.ask(&prelogin())?;
        let acknowledged = client.ask(&login(user, password, database)).map(<[u8]>::to_vec)?;
        // LOGINACK of TDS 7.4.
        if !acknowledged.windows(9).any(|found| found == [0xAD, 54, 0, 1, 0x74, 0, 0, 4, 22]) {
            return Err(invalid("the login was refused"));
        }
        Ok(client)
    }

    /// Sends a request and receives the whole answer: its bytes, headers included.
    ///
    /// # Errors
    ///
    /// The connection broke, or an answer of 64 KiB or more came.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        self.stream.write_all(request)?;
        let (mut filled, mut packet) = (0, 0);
        loop {
            if filled == self.received.len() {
                return Err(invalid("the answer is longer than any small batch's"));
            }
            let count = self.stream.read(&mut self.received[filled..])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            while filled >= packet + HEADER {
                let header = &self.received[packet..packet + HEADER];
                let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                if filled < packet + length {
                    break;
                }
                let last = header[1] & END != 0;
                packet += length.max(HEADER);
                if last {
                    return Ok(&self.received[..packet]);
                }
            }
        }
    }

    /// Sends a batch and decodes the answer. For the values that small batches return: integers and
    /// Unicode text.
    ///
    /// # Errors
    ///
    /// As [`Client::ask`]; an answer that says that the statement failed, or holds other types.
    pub fn query(&mut self, text: &str) -> io::Result<Answer> {
        let bytes = self.ask(&batch(text))?;
        decode(&payload(bytes))
    }
}

/// The bytes of a batch.
pub fn batch(text: &str) -> Vec<u8> {
    // ALL_HEADERS with the transaction descriptor: no transaction, one request outstanding.
    let mut payload = vec![22, 0, 0, 0, 18, 0, 0, 0, 2, 0];
    payload.extend([0; 8]);
    payload.extend([1, 0, 0, 0]);
    payload.extend(utf16(text));
    packet(BATCH, &payload)
}

/// Text as it stands on the wire.
pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A message of one packet.
pub fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind, END];
    packet.extend(((payload.len() + HEADER) as u16).to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend_from_slice(payload);
    packet
}

/// The first message: a version, and that encryption is not supported.
pub fn prelogin() -> Vec<u8> {
    let options = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 2];
    packet(PRELOGIN, &options)
}

/// A login with name and password; an empty database is the login's own.
pub fn login(user: &str, password: &str, database: &str) -> Vec<u8> {
    /// Where the texts begin.
    const FIXED: u16 = 94;
    let hidden = utf16(password).into_iter().map(|byte| byte.rotate_left(4) ^ 0xA5).collect();
    let texts = [
        utf16("bench"),
        utf16(user),
        hidden,
        utf16("pcdr-benches"),
        utf16("localhost"),
        Vec::new(),
        utf16("raw"),
        Vec::new(),
        utf16(database),
    ];
    let mut fixed = Vec::new();
    fixed.extend(0x7400_0004_u32.to_le_bytes());
    fixed.extend(4096_u32.to_le_bytes());
    fixed.extend([0; 24]);
    let mut data = Vec::new();
    for text in &texts {
        fixed.extend((FIXED + data.len() as u16).to_le_bytes());
        fixed.extend((text.len() as u16 / 2).to_le_bytes());
        data.extend_from_slice(text);
    }
    fixed.resize(usize::from(FIXED) - 4, 0);
    let mut payload = (u32::from(FIXED) + data.len() as u32).to_le_bytes().to_vec();
    payload.extend(fixed);
    payload.extend(data);
    packet(LOGIN, &payload)
}

/// The message without its packets' headers.
pub fn payload(mut bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    while let Some(header) = bytes.get(..HEADER) {
        let length = usize::from(u16::from_be_bytes([header[2], header[3]])).max(HEADER);
        payload.extend_from_slice(&bytes[HEADER..length.min(bytes.len())]);
        bytes = &bytes[length.min(bytes.len())..];
    }
    payload
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Takes bytes from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| invalid("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> io::Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn integer(&mut self, width: u8) -> io::Result<i64> {
        let mut bytes = [0; 8];
        let taken = self.take(width.into())?;
        bytes
            .get_mut(..taken.len())
            .ok_or_else(|| invalid("a long integer"))?
            .copy_from_slice(taken);
        let unused = 64 - 8 * u32::from(width);
        // Sign extension; tinyint has no sign.
        let value = i64::from_le_bytes(bytes);
        Ok(if width <= 1 { value } else { value << unused >> unused })
    }

    fn text(&mut self, bytes: usize) -> io::Result<String> {
        let units: Vec<u16> =
            self.take(bytes)?.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
        String::from_utf16(&units).map_err(|_| invalid("text is no UTF-16"))
    }
}

fn decode(payload: &[u8]) -> io::Result<Answer> {
    let mut from = Cursor(payload);
    let mut answer = Answer { rows: Vec::new(), count: 0 };
    let mut types = Vec::new();
    while let Ok(token) = from.u8() {
        match token {
            0x81 => {
                types.clear();
                for _ in 0..from.u16()? {
                    let _user_type_and_flags = from.take(6)?;
                    let kind = from.u8()?;
                    match kind {
                        0x26 => drop(from.u8()?),
                        0x38 => {}
                        0xE7 => drop(from.take(7)?),
                        other => return Err(invalid(&format!("type {other:#04x}"))),
                    }
                    types.push(kind);
                    let name = usize::from(from.u8()?);
                    from.text(2 * name)?;
                }
            }
            0xD1 => {
                let mut row = Vec::new();
                for kind in &types {
                    row.push(match kind {
                        0x38 => Some(from.integer(4)?.to_string()),
                        0x26 => match from.u8()? {
                            0 => None,
                            width => Some(from.integer(width)?.to_string()),
                        },
                        _ => match from.u16()? {
                            u16::MAX => None,
                            length => Some(from.text(length.into())?),
                        },
                    });
                }
                answer.rows.push(row);
            }
            0xFD => {
                let status = from.u16()?;
                let _command = from.u16()?;
                answer.count = u64::try_from(from.integer(8)?).unwrap_or(0);
                if status & FAILED != 0 {
                    return Err(invalid("the statement failed"));
                }
            }
            0xAA | 0xAB | 0xE3 => {
                let length = from.u16()?;
                from.take(length.into())?;
            }
            other => return Err(invalid(&format!("token {other:#04x}"))),
        }
    }
    Ok(answer)
}
