//! How long pcdr waited for servers and cmdlets; the rest of a run's time is its own.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_sim::wire::inflight::InFlight;
use pcdr_skype::{Output, ShellTransport, TransportError};
use pcdr_sql::{Dialer, NetStream, TcpDialer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Measures on two clocks at once: tokio's, which may be virtual, and the wall's.
#[derive(Debug, Clone)]
pub struct Meter {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    waiting: u64,
    since: Instants,
    waited: Waited,
}

#[derive(Debug, Clone, Copy)]
struct Instants {
    tokio: tokio::time::Instant,
    wall: std::time::Instant,
}

/// Time on two clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waited {
    /// By tokio's clock.
    pub tokio: Duration,
    /// By the wall's.
    pub wall: Duration,
}

impl Instants {
    fn now() -> Instants {
        Instants { tokio: tokio::time::Instant::now(), wall: std::time::Instant::now() }
    }

    fn elapsed(self) -> Waited {
        Waited { tokio: self.tokio.elapsed(), wall: self.wall.elapsed() }
    }
}

impl Waited {
    /// What is left of `self` without `part`.
    pub fn without(self, part: Waited) -> Waited {
        Waited {
            tokio: self.tokio.saturating_sub(part.tokio),
            wall: self.wall.saturating_sub(part.wall),
        }
    }

    fn plus(self, other: Waited) -> Waited {
        Waited { tokio: self.tokio + other.tokio, wall: self.wall + other.wall }
    }
}

impl Meter {
    /// A meter that has measured nothing. Must be made inside the runtime whose clock it reads.
    pub fn new() -> Meter {
        let state = State { waiting: 0, since: Instants::now(), waited: Waited::default() };
        Meter { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) {
        let mut state = self.state();
        if state.waiting == 0 {
            state.since = Instants::now();
        }
        state.waiting += 1;
    }

    fn leave(&self) {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0 {
            state.waited = state.waited.plus(state.since.elapsed());
        }
    }

    /// Time so far in which at least one answer was being waited for.
    pub fn waited(&self) -> Waited {
        let state = self.state();
        if state.waiting == 0 { state.waited } else { state.waited.plus(state.since.elapsed()) }
    }

    fn wait(&self) -> Waiting {
        self.enter();
        Waiting(self.clone())
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

/// A wait that ends when it is dropped.
struct Waiting(Meter);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// A dialer whose connections are measured and, where time is virtual, counted.
#[derive(Debug, Clone)]
pub struct MeteredDialer {
    /// The meter.
    pub meter: Meter,
    /// Counts bytes under way; `None` where time is real.
    pub in_flight: Option<InFlight>,
}

#[async_trait]
impl Dialer for MeteredDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>> {
        let _waiting = self.meter.wait();
        let stream: Box<dyn NetStream> = match &self.in_flight {
            None => TcpDialer.dial(host, port).await?,
            Some(in_flight) => {
                let address: IpAddr = host.parse().map_err(io::Error::other)?;
                Box::new(in_flight.connect(SocketAddr::new(address, port)).await?)
            }
        };
        Ok(Box::new(Metered { stream, meter: self.meter.clone(), waiting: None }))
    }
}

/// A stream that notes how long its reader waits.
struct Metered {
    stream: Box<dyn NetStream>,
    meter: Meter,
    waiting: Option<Waiting>,
}

impl AsyncRead for Metered {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        match &read {
            Poll::Pending if this.waiting.is_none() => this.waiting = Some(this.meter.wait()),
            Poll::Pending => {}
            Poll::Ready(_) => this.waiting = None,
        }
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A Management Shell whose scripts are measured.
pub struct MeteredShell {
    /// The meter.
    pub meter: Meter,
    /// Runs the scripts.
    pub shell: Arc<dyn ShellTransport>,
}

impl fmt::Debug for MeteredShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MeteredShell").field(&self.shell).finish()
    }
}

#[async_trait]
impl ShellTransport for MeteredShell {
    async fn run(&self, script: &str) -> Result<Output, TransportError> {
        let _waiting = self.meter.wait();
        self.shell.run(script).await
    }
}
