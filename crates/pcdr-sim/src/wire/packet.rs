//! Packets: eight bytes of header, then payload; a message is one or more of them.
//!
//! Source: \[MS-TDS\] 2.2.3.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Metrics, WireError};

/// Packet types that a client sends.
pub(super) mod kind {
    pub(crate) const BATCH: u8 = 0x01;
    pub(crate) const RPC: u8 = 0x03;
    pub(crate) const RESPONSE: u8 = 0x04;
    pub(crate) const ATTENTION: u8 = 0x06;
    pub(crate) const TRANSACTION: u8 = 0x0E;
    pub(crate) const LOGIN: u8 = 0x10;
    pub(crate) const PRELOGIN: u8 = 0x12;
}

/// Status bits of a header.
mod status {
    /// The last packet of its message.
    pub(super) const END: u8 = 0x01;
    /// The client has changed its mind: the whole message is to be ignored.
    pub(super) const IGNORE: u8 = 0x02;
    /// Reset the session before this request (pooled connections), 0x10 keeps its transaction.
    pub(super) const RESET: u8 = 0x08 | 0x10;
}

pub(super) const HEADER: usize = 8;
/// Longest packet that the protocol allows to be negotiated, rounded up to what clients send.
const LONGEST_PACKET: usize = 32_768;
/// Packet size before the login has negotiated one.
pub(super) const FIRST_PACKET_SIZE: usize = 4096;

/// A whole message of a client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// The session is to be reset first.
    pub(super) reset: bool,
    /// The client has changed its mind while it sent this: nothing of it is to be done.
    pub(super) ignored: bool,
    pub(super) payload: Vec<u8>,
}

/// Takes messages out of received bytes. What has been received stays here until it is a whole
/// message, so that waiting for more can be given up at any moment.
pub(super) struct Inbox {
    received: Vec<u8>,
    /// Bytes of `received` that are already used.
    used: usize,
    partial: Option<Message>,
    limit: usize,
    metrics: Arc<Metrics>,
}

impl Inbox {
    pub(super) fn new(limit: usize, metrics: Arc<Metrics>) -> Inbox {
        Inbox { received: Vec::new(), used: 0, partial: None, limit, metrics }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether nothing of a message has been received.
    pub(super) fn is_empty(&self) -> bool {
        self.used == self.received.len() && self.partial.is_none()
    }

    /// The type of the packet that comes next, if its first byte is here.
    pub(super) fn next_kind(&self) -> Option<u8> {
        self.received.get(self.used).copied()
    }

    /// Reads once from the stream; `false` at its end. Safe to give up.
    pub(super) async fn fill<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<bool> {
        if self.used > 0 {
            self.received.drain(..self.used);
            self.used = 0;
        }
        self.received.reserve(8192);
        Ok(stream.read_buf(&mut self.received).await? > 0)
    }

    /// The next whole message, if it is here.
    pub(super) fn next(&mut self) -> Result<Option<Message>, WireError> {
        loop {
            let unread = &self.received[self.used..];
            let Some(header) = unread.get(..HEADER) else {
                return Ok(None);
            };
            let (kind, bits) = (header[0], header[1]);
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            if !(HEADER..=LONGEST_PACKET).contains(&length) {
                return Err(WireError::malformed(
                    "packet",
                    format!("its length is {length}, not between {HEADER} and {LONGEST_PACKET}"),
                ));
            }
            let Some(packet) = unread.get(..length) else {
                return Ok(None);
            };
            Metrics::count(&self.metrics.packets);
            let message = self.partial.get_or_insert_with(|| Message {
                kind,
                reset: bits & status::RESET != 0,
                ignored: false,
                payload: Vec::new(),
            });
            if message.kind != kind {
                return Err(WireError::malformed(
                    "packet",
                    format!(
                        "a packet of type {kind:#04x} inside a message of type {:#04x}",
                        message.kind
                    ),
                ));
            }
            if message.payload.len() + length - HEADER > self.limit {
                return Err(WireError::TooLong { limit: self.limit });
            }
            message.payload.extend_from_slice(&packet[HEADER..]);
            self.used += length;
            if bits & status::END != 0
                && let Some(mut message) = self.partial.take()
            {
                message.ignored = bits & status::IGNORE != 0;
                return Ok(Some(message));
            }
        }
    }

    /// Waits for the next whole message; `None` when the client has left between two messages.
    pub(super) async fn receive<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> Result<Option<Message>, WireError> {
        loop {
            if let Some(message) = self.next()? {
                return Ok(Some(message));
            }
            if !self.fill(stream).await? {
                return if self.is_empty() {
                    Ok(None)
                } else {
                    Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()))
                };
            }
        }
    }
}

/// Cuts a message of the server into packets.
pub(super) struct Outbox {
    /// Payload that is not yet in a packet.
    payload: Vec<u8>,
    /// Whole packets that are not yet written.
    packets: Vec<u8>,
    /// Payload bytes of a full packet.
    room: usize,
    /// Bound on `room` for tests.
    most: Option<usize>,
    session_id: u16,
    number: u8,
}

impl Outbox {
    pub(super) fn new(most: Option<usize>) -> Outbox {
        let mut outbox = Outbox {
            payload: Vec::new(),
            packets: Vec::new(),
            room: 0,
            most,
            session_id: 0,
            number: 0,
        };
        outbox.set_packet_size(FIRST_PACKET_SIZE);
        outbox
    }

    /// From the next packet on, packets are at most this long, header included.
    pub(super) fn set_packet_size(&mut self, size: usize) {
        let room = size.saturating_sub(HEADER);
        self.room = room.min(self.most.unwrap_or(room)).max(1);
    }

    pub(super) fn set_session_id(&mut self, session_id: u16) {
        self.session_id = session_id;
    }

    /// Appends to the message and cuts off what fills a packet.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.payload.extend_from_slice(bytes);
        // The last packet of a message may not be empty, so a full one waits for a successor.
        if self.payload.len() > self.room {
            let payload = std::mem::take(&mut self.payload);
            let mut rest = payload.as_slice();
            while rest.len() > self.room {
                let (full, tail) = rest.split_at(self.room);
                self.packet(full, 0);
                rest = tail;
            }
            self.payload.extend_from_slice(rest);
        }
    }

    /// Whether so much waits that it should be written before more is made.
    pub(super) fn is_full(&self) -> bool {
        self.packets.len() > 64 << 10
    }

    /// Makes a short packet of what waits, inside the message.
    pub(super) fn cut(&mut self) {
        let payload = std::mem::take(&mut self.payload);
        if !payload.is_empty() {
            self.packet(&payload, 0);
        }
    }

    /// Ends the message.
    pub(super) fn end(&mut self) {
        let payload = std::mem::take(&mut self.payload);
        self.packet(&payload, status::END);
        self.number = 0;
    }

    fn packet(&mut self, payload: &[u8], status: u8) {
        self.number = self.number.wrapping_add(1);
        let length = u16::try_from(payload.len() + HEADER).unwrap_or(u16::MAX);
        self.packets.extend([kind::RESPONSE, status]);
        self.packets.extend(length.to_be_bytes());
        self.packets.extend(self.session_id.to_be_bytes());
        self.packets.extend([self.number, 0]);
        self.packets.extend_from_slice(payload);
    }

    /// Writes every whole packet.
    pub(super) async fn flush<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let packets = std::mem::take(&mut self.packets);
        if !packets.is_empty() {
            stream.write_all(&packets).await?;
        }
        stream.flush().await
    }
}
