//! A thin TCP shell around [`serve`].

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::inflight::InFlight;
use super::{Metrics, WireConfig, serve};
use crate::front::Front;

/// Accepts connections until it is dropped or told to stop.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    cut: CancellationToken,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The address is in use or not of this machine.
    pub async fn bind(
        address: SocketAddr,
        front: Arc<dyn Front>,
        config: Arc<WireConfig>,
    ) -> io::Result<Listener> {
        Listener::start(address, front, config, None).await
    }

    /// Listens like [`bind`](Listener::bind) and counts the bytes of every connection; clients
    /// connect with [`InFlight::connect`] of the same counter.
    ///
    /// # Errors
    ///
    /// The address is in use or not of this machine.
    pub async fn bind_counted(
        address: SocketAddr,
        front: Arc<dyn Front>,
        config: Arc<WireConfig>,
        in_flight: InFlight,
    ) -> io::Result<Listener> {
        Listener::start(address, front, config, Some(in_flight)).await
    }

    async fn start(
        address: SocketAddr,
        front: Arc<dyn Front>,
        config: Arc<WireConfig>,
        in_flight: Option<InFlight>,
    ) -> io::Result<Listener> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let metrics = Arc::clone(&config.metrics);
        let cut = CancellationToken::new();
        let accepting = tokio::spawn(accept(socket, front, config, in_flight, cut.clone()));
        Ok(Listener { address, metrics, cut, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was received so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Stops accepting and drops every connection at once, as when the machine is lost. Clients
    /// see their connections end without a word. Returns when the address is free again.
    pub async fn cut(mut self) {
        self.cut.cancel();
        let _ended = (&mut self.accepting).await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

async fn accept(
    socket: TcpListener,
    front: Arc<dyn Front>,
    config: Arc<WireConfig>,
    in_flight: Option<InFlight>,
    cut: CancellationToken,
) {
    // Dropping the set drops every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cut.cancelled() => break,
            accepted = socket.accept() => match accepted {
                Ok((stream, _peer)) => {
                    let (front, config) = (Arc::clone(&front), Arc::clone(&config));
                    connections.spawn(converse(stream, front, config, in_flight.clone()));
                }
                Err(error) => {
                    // Too many open files, or a client that left in the queue: both pass.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::task::yield_now().await;
                }
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
    drop(socket);
    connections.shutdown().await;
}

async fn converse(
    stream: TcpStream,
    front: Arc<dyn Front>,
    config: Arc<WireConfig>,
    in_flight: Option<InFlight>,
) {
    // Responses are written whole; waiting for more would only delay their last packets.
    let _not_supported = stream.set_nodelay(true);
    let outcome = match in_flight {
        None => serve(stream, front, config).await,
        Some(in_flight) => match in_flight.register(stream) {
            Ok(stream) => serve(stream, front, config).await,
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended");
    }
}
