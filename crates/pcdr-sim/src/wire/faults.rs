//! Faults of a network: streams that are cut, slow, or delivered in small pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What goes wrong on the way. The default is nothing.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The connection breaks when this many bytes have been read.
    pub cut_after_read: Option<u64>,
    /// The connection breaks when this many bytes have been written.
    pub cut_after_written: Option<u64>,
    /// Every write waits this long.
    pub delay: Option<Duration>,
    /// Reads and writes take at most this many bytes at a time; 0 counts as 1.
    pub bytes_per_segment: Option<usize>,
    /// Packets of the server carry at most this many bytes, whatever was negotiated; 0 counts as 1.
    pub payload_per_packet: Option<usize>,
}

/// A stream with faults. Works on either end.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
    read: u64,
    written: u64,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Faulty<S> {
    /// Wraps a stream; `payload_per_packet` is not a matter of the stream and means nothing here.
    pub fn new(inner: S, faults: Faults) -> Faulty<S> {
        Faulty { inner, faults, read: 0, written: 0, waiting: None }
    }

    fn segment(&self, wanted: usize) -> usize {
        wanted.min(self.faults.bytes_per_segment.map_or(wanted, |n| n.max(1)))
    }
}

/// How many of `wanted` bytes fit before the cut; an error at the cut.
fn before_cut(cut: Option<u64>, so_far: u64, wanted: usize) -> io::Result<usize> {
    let Some(cut) = cut else {
        return Ok(wanted);
    };
    match usize::try_from(cut.saturating_sub(so_far)) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::ConnectionReset,
            format!("the connection was cut after {cut} bytes"),
        )),
        Ok(left) => Ok(wanted.min(left)),
        Err(_larger_than_memory) => Ok(wanted),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let wanted = this.segment(buf.remaining());
        let wanted = before_cut(this.faults.cut_after_read, this.read, wanted)?;
        if wanted == buf.remaining() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            this.read += (buf.filled().len() - before) as u64;
            return Poll::Ready(Ok(()));
        }
        let mut bytes = vec![0; wanted];
        let mut part = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        this.read += part.filled().len() as u64;
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(delay) = this.faults.delay {
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
            ready!(waiting.as_mut().poll(cx));
        }
        let wanted = this.segment(buf.len());
        let wanted = before_cut(this.faults.cut_after_written, this.written, wanted)?;
        let count = ready!(Pin::new(&mut this.inner).poll_write(cx, &buf[..wanted]))?;
        this.waiting = None;
        this.written += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
