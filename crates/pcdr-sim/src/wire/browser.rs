//! SQL Server Browser: tells clients the ports of named instances.
//!
//! Source: \[MC-SQLR\], sections 2.2.1 to 2.2.5.

use std::net::SocketAddr;

use tokio::io;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::front::ServerIdentity;

const BROADCAST: u8 = 0x02;
const ALL: u8 = 0x03;
const ONE: u8 = 0x04;
const RESPONSE: u8 = 0x05;

/// An instance that the browser knows.
#[derive(Debug, Clone)]
pub struct BrowserEntry {
    /// Names and version of the instance; a default instance is called `MSSQLSERVER`.
    pub identity: ServerIdentity,
    /// Where it listens.
    pub port: u16,
}

impl BrowserEntry {
    fn instance_name(&self) -> &str {
        match self.identity.instance_name.as_str() {
            "" => "MSSQLSERVER",
            name => name,
        }
    }

    fn description(&self) -> String {
        let (server, _instance) =
            self.identity.server_name.split_once('\\').unwrap_or((&self.identity.server_name, ""));
        let (major, minor, build) = self.identity.version;
        format!(
            "ServerName;{server};InstanceName;{};IsClustered;No;Version;{major}.{minor}.{build}.0;\
             tcp;{};;",
            self.instance_name(),
            self.port
        )
    }
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Browser {
    address: SocketAddr,
    answering: JoinHandle<()>,
}

impl Browser {
    /// Listens on `address`, in the field on UDP port 1434; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The address is in use or not of this machine.
    pub async fn bind(address: SocketAddr, entries: Vec<BrowserEntry>) -> io::Result<Browser> {
        let socket = UdpSocket::bind(address).await?;
        let address = socket.local_addr()?;
        let answering = tokio::spawn(async move {
            let mut request = [0; 64];
            loop {
                let Ok((length, client)) = socket.recv_from(&mut request).await else {
                    // A client that has closed its port already; the next one is not to suffer.
                    tokio::task::yield_now().await;
                    continue;
                };
                if let Some(answer) = answer(&entries, &request[..length]) {
                    let _gone = socket.send_to(&answer, client).await;
                }
            }
        });
        Ok(Browser { address, answering })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

/// The answer to a request. An instance that is not known is not answered, and neither is anything
/// that is no request: clients wait and try again.
fn answer(entries: &[BrowserEntry], request: &[u8]) -> Option<Vec<u8>> {
    let text: String = match request {
        [BROADCAST | ALL, ..] => entries.iter().map(BrowserEntry::description).collect(),
        [ONE, name @ ..] => {
            let name = name.split(|byte| *byte == 0).next()?;
            let name = String::from_utf8_lossy(name);
            entries
                .iter()
                .find(|entry| entry.instance_name().eq_ignore_ascii_case(&name))?
                .description()
        }
        _ => return None,
    };
    let length = u16::try_from(text.len()).ok()?;
    let mut answer = vec![RESPONSE];
    answer.extend(length.to_le_bytes());
    answer.extend(text.into_bytes());
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn entry(instance_name: &str, port: u16) -> BrowserEntry {
        let identity = ServerIdentity {
            server_name: format!("SQL-A\\{instance_name}"),
            instance_name: instance_name.to_owned(),
            version: (15, 0, 2000),
        };
        BrowserEntry { identity, port }
    }

    #[tokio::test]
    async fn a_named_instance_is_found_without_regard_to_case() {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let browser = Browser::bind(here, vec![entry("RTC", 1500), entry("Lync", 1501)]);
        let browser = browser.await.unwrap();
        let client = UdpSocket::bind(here).await.unwrap();
        client.send_to(b"\x04lync\0", browser.address()).await.unwrap();
        let mut answer = [0; 512];
        let (length, _) = client.recv_from(&mut answer).await.unwrap();
        let expected = "ServerName;SQL-A;InstanceName;Lync;IsClustered;No;Version;15.0.2000.0;\
                        tcp;1501;;";
        assert_eq!(answer[..3], [5, expected.len() as u8, 0]);
        assert_eq!(&answer[3..length], expected.as_bytes());
    }

    #[test]
    fn an_unknown_instance_and_nonsense_are_not_answered() {
        let entries = [entry("RTC", 1500)];
        assert_eq!(answer(&entries, b"\x04other"), None);
        assert_eq!(answer(&entries, b""), None);
        assert_eq!(answer(&entries, b"\xFFx"), None);
        assert!(answer(&entries, b"\x03").is_some());
    }
}
