//! How long servers and cmdlets worked for pcdr; the rest of a run's time is its own.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_core::Timestamp;
use pcdr_core::ports::Clock;
use pcdr_core::run::StepReport;
use pcdr_sim::front::{Front, FrontSession, Login, Replies, Request, ServerIdentity};
use pcdr_sim::message::SqlFailure;
use pcdr_sim::wire::inflight::InFlight;
use pcdr_skype::{Output, ShellTransport, TransportError};
use pcdr_sql::{Dialer, NetStream, TcpDialer};
use tokio_util::sync::CancellationToken;

/// Measures on two clocks at once: tokio's, which may be virtual, and the wall's.
#[derive(Debug, Clone)]
pub struct Meter {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    working: u64,
    since: Instants,
    worked: Span,
    /// Waits for an effect, from when to when.
    pauses: Vec<(Timestamp, Timestamp)>,
}

#[derive(Debug, Clone, Copy)]
struct Instants {
    tokio: tokio::time::Instant,
    wall: std::time::Instant,
}

/// Time on two clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// By tokio's clock.
    pub tokio: Duration,
    /// By the wall's.
    pub wall: Duration,
}

impl Instants {
    fn now() -> Instants {
        Instants { tokio: tokio::time::Instant::now(), wall: std::time::Instant::now() }
    }

    fn elapsed(self) -> Span {
        Span { tokio: self.tokio.elapsed(), wall: self.wall.elapsed() }
    }
}

impl Span {
    /// What is left of `self` without `part`.
    pub fn without(self, part: Span) -> Span {
        Span {
            tokio: self.tokio.saturating_sub(part.tokio),
            wall: self.wall.saturating_sub(part.wall),
        }
    }

    fn plus(self, other: Span) -> Span {
        Span { tokio: self.tokio + other.tokio, wall: self.wall + other.wall }
    }
}

impl Meter {
    /// A meter that has measured nothing. Must be made inside the runtime whose clock it reads.
    pub fn new() -> Meter {
        let state = State {
            working: 0,
            since: Instants::now(),
            worked: Span::default(),
            pauses: Vec::new(),
        };
        Meter { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) {
        let mut state = self.state();
        if state.working == 0 {
            state.since = Instants::now();
        }
        state.working += 1;
    }

    fn leave(&self) {
        let mut state = self.state();
        state.working = state.working.saturating_sub(1);
        if state.working == 0 {
            state.worked = state.worked.plus(state.since.elapsed());
        }
    }

    /// Time so far in which at least one server or cmdlet worked for pcdr.
    pub fn worked(&self) -> Span {
        let state = self.state();
        if state.working == 0 { state.worked } else { state.worked.plus(state.since.elapsed()) }
    }

    /// How long the last wait of each step's read-back was, together: at most so late were effects
    /// noticed.
    pub fn overslept(&self, steps: &[StepReport]) -> Duration {
        let state = self.state();
        let last = |step: &StepReport| {
            let mut within = state.pauses.iter().rev();
            let found = within.find(|(_, end)| (step.acted_at..=step.ended_at).contains(end));
            found.map_or(Duration::ZERO, |(began, end)| end.since(*began))
        };
        steps.iter().map(last).sum()
    }

    fn work(&self) -> Working {
        self.enter();
        Working(self.clone())
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

/// Work that ends when it is dropped.
struct Working(Meter);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Connects to stand-ins; where time is virtual, bytes under way are counted.
#[derive(Debug, Clone)]
pub struct CountedDialer {
    /// Counts bytes under way; `None` where time is real.
    pub in_flight: Option<InFlight>,
}

#[async_trait]
impl Dialer for CountedDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>> {
        match &self.in_flight {
            None => TcpDialer.dial(host, port).await,
            Some(in_flight) => {
                let address: IpAddr = host.parse().map_err(io::Error::other)?;
                Ok(Box::new(in_flight.connect(SocketAddr::new(address, port)).await?))
            }
        }
    }
}

/// A server whose work for pcdr is measured; its work for others is not.
pub struct MeteredFront {
    /// The meter.
    pub meter: Meter,
    /// The server.
    pub front: Arc<dyn Front>,
}

#[async_trait]
impl Front for MeteredFront {
    fn identity(&self) -> ServerIdentity {
        self.front.identity()
    }

    async fn login(&self, login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        if login.application_name != pcdr_sql::APPLICATION {
            return self.front.login(login).await;
        }
        let _working = self.meter.work();
        let session = self.front.login(login).await?;
        Ok(Box::new(MeteredSession { meter: self.meter.clone(), session }))
    }
}

struct MeteredSession {
    meter: Meter,
    session: Box<dyn FrontSession>,
}

#[async_trait]
impl FrontSession for MeteredSession {
    fn session_id(&self) -> u16 {
        self.session.session_id()
    }

    fn database(&self) -> String {
        self.session.database()
    }

    fn ended(&self) -> CancellationToken {
        self.session.ended()
    }

    async fn run(&mut self, request: Request, replies: Replies, cancel: CancellationToken) {
        let _working = self.meter.work();
        self.session.run(request, replies, cancel).await;
    }
}

/// A clock whose waits are measured: in them an effect is awaited that a server or the product has yet
/// to bring about. The end of the last wait of a step may lie after the effect.
pub struct MeteredClock {
    /// The meter.
    pub meter: Meter,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Clock for MeteredClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        let began = self.clock.now();
        {
            let _working = self.meter.work();
            self.clock.sleep(duration).await;
        }
        self.meter.state().pauses.push((began, self.clock.now()));
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
        let _working = self.meter.work();
        self.shell.run(script).await
    }
}
