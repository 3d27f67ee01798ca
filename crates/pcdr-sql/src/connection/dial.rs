//! The seam below TDS: how bytes reach an instance.

use std::fmt;
use std::io;
use std::net::SocketAddr;
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
        browser::port_of(host, browser::PORT, instance).await
    }
}

/// TCP: every address of the host is tried at once and the first that answers is taken; keep-alive
/// after 30 s, every 10 s, because a RESTORE of hours is a silent stream that firewalls drop.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn NetStream>> {
        let stream = first_of(tokio::net::lookup_host((host, port)).await?).await?;
        stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(30))
            .with_interval(Duration::from_secs(10));
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        Ok(Box::new(stream))
    }
}

/// The first address that answers; the others are left alone.
async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut attempts: FuturesUnordered<_> = addresses.map(TcpStream::connect).collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn one_dead_and_one_silent_address_do_not_keep_from_the_third() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = listener.local_addr().unwrap();
        let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        // TEST-NET-1: nobody is there, and mostly nobody says so.
        let silent = "192.0.2.1:1433".parse().unwrap();
        let dialled = first_of([refuses, silent, answers].into_iter());
        let stream = tokio::time::timeout(Duration::from_secs(5), dialled).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answers);
    }

    #[tokio::test]
    async fn no_address_and_no_answer_are_errors() {
        assert!(first_of(std::iter::empty()).await.is_err());
        let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = first_of([refuses].into_iter()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
