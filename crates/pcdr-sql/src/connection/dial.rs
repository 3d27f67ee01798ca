//! The seam below TDS: how bytes reach an instance.

use std::fmt;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::browser;

/// A byte stream to a server.
pub trait NetStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> NetStream for T {}

/// Opens byte streams to instances. Tests and rehearsals put theirs in the place of TCP.
#[async_trait]
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Opens a stream. The caller bounds the time.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>>;

    /// The TCP port of a named instance.
    ///
    /// Source: SQL Server Resolution Protocol (MC-SQLR), asked of SQL Server Browser on UDP 1434.
    async fn port_of(&self, host: &str, instance: &str) -> io::Result<u16> {
        browser::port_of(host, instance).await
    }
}

/// TCP: every address of the host is tried at once and the first that answers is taken; keep-alive
/// after 30 s, every 10 s, because a RESTORE of hours is a silent stream that firewalls drop.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>> {
        let addresses = tokio::net::lookup_host((host, port)).await?;
        let mut attempts: FuturesUnordered<_> = addresses.map(TcpStream::connect).collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        while let Some(attempt) = attempts.next().await {
            match attempt {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let keepalive = TcpKeepalive::new()
                        .with_time(Duration::from_secs(30))
                        .with_interval(Duration::from_secs(10));
                    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                    return Ok(Box::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
