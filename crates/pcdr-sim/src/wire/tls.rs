//! TLS, inside PRELOGIN packets (TDS 7.x) or before everything else (TDS 8.0).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::packet::{HEADER, kind};
use super::{Identity, WireError};

/// First byte of a TLS handshake record: no TDS packet type.
pub(super) const HANDSHAKE_RECORD: u8 = 0x16;

/// A client's stream before and after TLS.
pub(super) enum Transport<S> {
    Plain(Wrapped<S>),
    Tls(Box<TlsStream<Wrapped<S>>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Reads the first byte, to see whether the client starts with TLS. It stays to be read.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        match self {
            Transport::Plain(stream) => {
                let mut byte = [0];
                if stream.inner.read(&mut byte).await? == 0 {
                    return Ok(None);
                }
                stream.first = Some(byte[0]);
                Ok(Some(byte[0]))
            }
            Transport::Tls(_) => Ok(None),
        }
    }

    /// Makes the handshake; its records travel in PRELOGIN packets when `wrapped`.
    pub(super) async fn encrypt(
        self,
        identity: &Identity,
        wrapped: bool,
    ) -> Result<Transport<S>, WireError> {
        let Transport::Plain(mut stream) = self else {
            return Ok(self);
        };
        stream.wrapping = wrapped;
        let settings = if wrapped { identity.inside_packets() } else { identity.strict() };
        let mut tls = TlsAcceptor::from(settings).accept(stream).await?;
        tls.get_mut().0.wrapping = false;
        Ok(Transport::Tls(Box::new(tls)))
    }

    /// Drops TLS after the login packet and goes on with the bare stream.
    pub(super) fn decrypt(self) -> Transport<S> {
        match self {
            Transport::Tls(tls) => Transport::Plain(tls.into_inner().0),
            plain @ Transport::Plain(_) => plain,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A stream that, while `wrapping`, carries what passes through it as payload of PRELOGIN packets.
///
/// Each flush makes one packet of what was written since the last; on reading, headers vanish. It
/// never reads beyond the packet it is in, so that nothing is lost when wrapping ends.
pub(super) struct Wrapped<S> {
    inner: S,
    /// A byte that was read ahead.
    first: Option<u8>,
    wrapping: bool,
    /// Header of the packet that is being read, as far as it has come.
    header: Vec<u8>,
    /// Payload bytes of that packet that are still to come.
    remaining: usize,
    written: Vec<u8>,
    /// A packet on its way out, and how much of it has gone.
    packet: Vec<u8>,
    gone: usize,
}

/// Longest payload of one outgoing PRELOGIN packet: the packet size before a login.
const ROOM: usize = super::packet::FIRST_PACKET_SIZE - HEADER;

impl<S: AsyncRead + AsyncWrite + Unpin> Wrapped<S> {
    pub(super) fn new(inner: S) -> Wrapped<S> {
        Wrapped {
            inner,
            first: None,
            wrapping: false,
            header: Vec::new(),
            remaining: 0,
            written: Vec::new(),
            packet: Vec::new(),
            gone: 0,
        }
    }

    fn read_raw(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(byte) = self.first.take()
        {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }

    /// Writes the packet on its way out, then the next ones.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.gone < self.packet.len() {
                let rest = &self.packet[self.gone..];
                let count = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.gone += count;
            }
            self.packet.clear();
            self.gone = 0;
            if self.written.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = self.written.len().min(ROOM);
            let length = (count + HEADER) as u16;
            self.packet.extend([kind::PRELOGIN, 0x01]);
            self.packet.extend(length.to_be_bytes());
            self.packet.extend([0, 0, 0, 0]);
            self.packet.extend(self.written.drain(..count));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wrapped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.wrapping {
            return this.read_raw(cx, buf);
        }
        while this.remaining == 0 {
            let mut bytes = [0; HEADER];
            let mut missing = ReadBuf::new(&mut bytes[..HEADER - this.header.len()]);
            ready!(this.read_raw(cx, &mut missing))?;
            if missing.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.header.extend_from_slice(missing.filled());
            if let [found, _, high, low, ..] = this.header[..]
                && this.header.len() == HEADER
            {
                let length = usize::from(u16::from_be_bytes([high, low]));
                if found != kind::PRELOGIN || length < HEADER {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!(
                            "a TLS record in a PRELOGIN packet was needed, a packet of type \
                             {found:#04x} and length {length} was found"
                        ),
                    )));
                }
                this.remaining = length - HEADER;
                this.header.clear();
            }
        }
        let mut part = buf.take(this.remaining);
        ready!(this.read_raw(cx, &mut part))?;
        let count = part.filled().len();
        this.remaining -= count;
        // `take` writes into the same memory, so these bytes are there; this marks them so.
        let bytes = part.filled().to_vec();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wrapped<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.wrapping {
            this.written.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
