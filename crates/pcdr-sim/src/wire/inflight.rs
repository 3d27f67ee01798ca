//! Virtual time over real sockets.
//!
//! Tokio's paused clock jumps to the next timer whenever every task waits. Bytes between two
//! sockets of the same process are invisible to it: both ends wait, the kernel has the bytes, and
//! the clock jumps, so that a time-out of 15 s fires over an answer that would have come within a
//! microsecond. An [`InFlight`] counts the bytes that were written and not yet read, and
//! [`InFlight::keep_awake`], a task that yields instead of waiting while there are any, keeps the
//! runtime from being idle until they have arrived.
//!
//! Only bytes that somebody waits for count. A pooled connection that nobody reads may hold bytes
//! for ever, and so may an end whose reader was dropped; the first is recognised by its reader not
//! waiting, the second by [`PATIENCE`] of real time without any movement, after which its bytes no
//! longer count until somebody reads again.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Real time without any movement after which bytes on their way are given up. Loopback
/// delivers within microseconds; a loaded machine may take milliseconds.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// A direction of a connection: from one address to another.
type Way = (SocketAddr, SocketAddr);

/// Bytes on their way from one end to the other.
#[derive(Debug, Default)]
struct Traffic {
    bytes: u64,
    /// The reading end has asked for bytes and waits.
    awaited: bool,
    /// The writing end is registered and open.
    has_writer: bool,
    /// The reading end is registered and open.
    has_reader: bool,
    /// The reading end has closed: what is written now is never read.
    closed: bool,
    /// Nobody came for these bytes in time; the next read counts again.
    given_up: bool,
}

impl Traffic {
    /// Whether somebody waits for these bytes, or has yet to accept the connection they are on.
    fn is_awaited(&self) -> bool {
        self.bytes > 0 && !self.given_up && (self.awaited || !self.has_reader)
    }
}

#[derive(Debug, Default)]
struct Ways {
    traffic: BTreeMap<Way, Traffic>,
    /// Holds that keep the clock still whatever moves.
    holds: u64,
    /// Counts every movement.
    movements: u64,
}

impl Ways {
    fn is_busy(&self) -> bool {
        self.holds > 0 || self.traffic.values().any(Traffic::is_awaited)
    }
}

#[derive(Debug, Default)]
struct Shared {
    ways: Mutex<Ways>,
    moved: Notify,
}

/// Counts bytes between sockets of this process. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    shared: Arc<Shared>,
}

impl InFlight {
    /// A counter of its own.
    pub fn new() -> InFlight {
        InFlight::default()
    }

    /// Bytes on their way, awaited or not.
    pub fn bytes(&self) -> u64 {
        self.ways().traffic.values().map(|way| way.bytes).sum()
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.shared.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the counts and tells [`keep_awake`](InFlight::keep_awake).
    fn change<T>(&self, change: impl FnOnce(&mut Ways) -> T) -> T {
        let result = {
            let mut ways = self.ways();
            ways.movements += 1;
            change(&mut ways)
        };
        self.shared.moved.notify_one();
        result
    }

    /// Connects to a server of this process and counts the connection. The clock stands still
    /// until the connection is there, within [`PATIENCE`].
    ///
    /// # Errors
    ///
    /// The server refuses or cannot be reached.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<Counted<TcpStream>> {
        let hold = self.hold();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        drop(hold);
        self.register(stream)
    }

    /// Counts a connected socket. Both ends of a connection must be registered.
    ///
    /// # Errors
    ///
    /// The socket is no longer connected.
    pub fn register(&self, stream: TcpStream) -> io::Result<Counted<TcpStream>> {
        let (here, there) = (stream.local_addr()?, stream.peer_addr()?);
        Ok(self.wrap(stream, here, there))
    }

    /// Counts any stream between two addresses; the other end names them the other way round.
    pub fn wrap<S>(&self, stream: S, here: SocketAddr, there: SocketAddr) -> Counted<S> {
        self.change(|ways| {
            ways.traffic.entry((here, there)).or_default().has_writer = true;
            let into = ways.traffic.entry((there, here)).or_default();
            into.has_reader = true;
            into.closed = false;
            into.given_up = false;
        });
        Counted { stream, in_flight: self.clone(), out: (here, there), into: (there, here) }
    }

    /// Keeps the clock still until the guard is dropped, but not longer than [`PATIENCE`] of real
    /// time without movement: for moments at which something is on its way that is no byte.
    pub fn hold(&self) -> Hold {
        self.change(|ways| ways.holds += 1);
        Hold { in_flight: self.clone() }
    }

    /// Never ends. Spawn it once per runtime with a paused clock; abort it with the test.
    pub async fn keep_awake(self) {
        loop {
            let mut seen = None;
            let mut since = Instant::now();
            loop {
                let (busy, movements) = {
                    let ways = self.ways();
                    (ways.is_busy(), ways.movements)
                };
                if !busy {
                    break;
                }
                if seen != Some(movements) {
                    seen = Some(movements);
                    since = Instant::now();
                } else if since.elapsed() > PATIENCE {
                    // Otherwise every later movement would cost this patience again.
                    for way in self.ways().traffic.values_mut() {
                        way.given_up = true;
                    }
                    break;
                }
                tokio::task::yield_now().await;
            }
            self.shared.moved.notified().await;
        }
    }
}

/// Keeps the clock still; see [`InFlight::hold`].
#[derive(Debug)]
pub struct Hold {
    in_flight: InFlight,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.in_flight.change(|ways| ways.holds -= 1);
    }
}

/// One end of a counted connection.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    in_flight: InFlight,
    out: Way,
    into: Way,
}

impl<S> Counted<S> {
    /// The stream itself.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The other end will read nothing more.
    fn forget_out(&self) {
        let out = self.out;
        self.in_flight.change(|ways| {
            if let Some(way) = ways.traffic.get_mut(&out) {
                way.bytes = 0;
                way.closed = true;
            }
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let room = buf.remaining();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let count = (buf.filled().len() - before) as u64;
        let into = this.into;
        this.in_flight.change(|ways| {
            if let Some(way) = ways.traffic.get_mut(&into) {
                way.awaited = read.is_pending();
                way.given_up = false;
                way.bytes = way.bytes.saturating_sub(count);
            }
        });
        match &read {
            Poll::Ready(Err(_)) => this.forget_out(),
            Poll::Ready(Ok(())) if count == 0 && room > 0 => this.forget_out(),
            _ => {}
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        let out = this.out;
        this.in_flight.change(|ways| {
            if let Some(way) = ways.traffic.get_mut(&out)
                && !way.closed
            {
                way.bytes += count as u64;
            }
        });
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        let (out, into) = (self.out, self.into);
        self.in_flight.change(|ways| {
            if let Some(way) = ways.traffic.get_mut(&into) {
                way.bytes = 0;
                way.awaited = false;
                way.has_reader = false;
                way.closed = true;
            }
            if let Some(way) = ways.traffic.get_mut(&out) {
                way.has_writer = false;
                if !way.has_reader {
                    way.bytes = 0;
                }
            }
            // Ports are used again: nothing may stay behind once both ends are gone.
            for way in [out, into] {
                let gone = ways
                    .traffic
                    .get(&way)
                    .is_some_and(|traffic| !traffic.has_writer && !traffic.has_reader);
                if gone {
                    ways.traffic.remove(&way);
                }
            }
        });
    }
}
