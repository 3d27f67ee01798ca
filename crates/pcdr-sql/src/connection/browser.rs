//! Which TCP port a named instance listens on, asked of SQL Server Browser.
//!
//! Asked here and not in the driver, which asks once and then builds names from port 1434.
//!
//! Source: MC-SQLR, `CLNT_UCAST_INST` and `SVR_RESP`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

/// Where SQL Server Browser listens (UDP).
pub(super) const PORT: u16 = 1434;
const ASK: u8 = 0x04;
const ANSWER: u8 = 0x05;
const ATTEMPTS: usize = 3;
const WAIT: Duration = Duration::from_secs(1);

/// The TCP port of a named instance, asked of the browser at a UDP port, which is 1434 outside of
/// tests: every address of the host, three times each.
///
/// # Errors
///
/// The name cannot be resolved, or nobody answers for this instance.
pub async fn port_of(host: &str, browser: u16, instance: &str) -> io::Result<u16> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, browser)).await?.collect();
    for _ in 0..ATTEMPTS {
        for address in &addresses {
            if let Ok(Ok(port)) = tokio::time::timeout(WAIT, ask(*address, instance)).await {
                return Ok(port);
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        format!(
            "SQL Server Browser on {host} (UDP {browser}) does not tell the port of instance \
             {instance}; name the port in the topology"
        ),
    ))
}

async fn ask(address: SocketAddr, instance: &str) -> io::Result<u16> {
    let local: SocketAddr =
        if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let mut question = vec![ASK];
    question.extend_from_slice(instance.as_bytes());
    socket.send(&question).await?;
    let mut answer = vec![0u8; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if let Some(port) = read(&answer[..length], instance) {
            return Ok(port);
        }
    }
}

/// Reads `0x05`, a length, and `;`-separated names and values.
fn read(answer: &[u8], instance: &str) -> Option<u16> {
    let (header, text) = answer.split_at_checked(3)?;
    if header[0] != ANSWER {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    for server in text.split(";;") {
        let fields: Vec<&str> = server.split(';').collect();
        let value = |name: &str| {
            fields
                .chunks(2)
                .find(|pair| pair[0].eq_ignore_ascii_case(name))
                .and_then(|pair| pair.get(1).copied())
        };
        let named = value("InstanceName").is_some_and(|name| name.eq_ignore_ascii_case(instance));
        if named && let Some(port) = value("tcp").and_then(|port| port.parse().ok()) {
            return Some(port);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(text: &str) -> Vec<u8> {
        let mut bytes = vec![ANSWER, 0, 0];
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn the_port_of_the_named_instance_is_read_and_no_other() {
        let text = "ServerName;SQL1;InstanceName;A;IsClustered;No;Version;15.0;tcp;50001;;\
                    ServerName;SQL1;InstanceName;RTC;IsClustered;No;Version;15.0;tcp;50002;;";
        assert_eq!(read(&answer(text), "rtc"), Some(50002));
        assert_eq!(read(&answer(text), "B"), None);
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(bytes: Vec<u8>) {
            let _ = read(&bytes, "RTC");
        }
    }
}
