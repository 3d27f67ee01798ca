//! How a connection comes about: encryption, authentication, names, redirects; over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pcdr_core::ErrorCode;
use pcdr_core::ports::DatabaseInstance;
use pcdr_core::topology::{Encryption, SecretSource};
use pcdr_sim::front::ServerIdentity;
use pcdr_sim::wire::{Browser, BrowserEntry, CertificateAuthority};
use pcdr_sql::connection::{Connection, ask_browser};
use pcdr_sql::{Credentials, Dialer, NetStream, TcpDialer, Trace};
use support::{Act, Server, done, int, row, text};

fn server() -> Vec<Act> {
    row(vec![
        ("pcdr_server", int(1)),
        ("now", support::now()),
        ("server_name", text("SQL1")),
        ("version", text("16.0.4003.1")),
        ("edition", text("Standard Edition (64-bit)")),
    ])
}

#[tokio::test]
async fn a_strict_server_is_reached_by_strict_encryption_only() {
    let server = Server::start_strict(|_| server()).await;
    let error = server.instance().observe(&[]).await.unwrap_err();
    assert!(
        matches!(error.code, ErrorCode::Protocol | ErrorCode::CertificateNotTrusted),
        "{error}"
    );
    assert_eq!(server.attempts(), 0);
    let strict = server.instance_with(|endpoint| endpoint.encryption = Encryption::Strict);
    assert_eq!(strict.observe(&[]).await.unwrap().version, "16.0.4003.1");
    assert_eq!(server.attempts(), 1);
}

#[tokio::test]
async fn a_strict_connection_verifies_authority_and_name_before_it_says_a_word() {
    let server = Server::start_strict(|_| server()).await;
    let other = CertificateAuthority::new("other").unwrap();
    let other = Arc::new(other.pem().as_bytes().to_vec());
    let strict = |change: &dyn Fn(&mut pcdr_sql::Endpoint)| {
        server.instance_with(|endpoint| {
            endpoint.encryption = Encryption::Strict;
            change(endpoint);
        })
    };
    let unknown = strict(&|endpoint| endpoint.ca_bundle = None);
    let untrusted = strict(&|endpoint| endpoint.ca_bundle = Some(Arc::clone(&other)));
    let misnamed = strict(&|endpoint| {
        endpoint.host_name_in_certificate = Some("sql2.example.com".to_owned());
    });
    for instance in [unknown, untrusted, misnamed] {
        let error = instance.observe(&[]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::CertificateNotTrusted, "{error}");
    }
    assert_eq!(server.attempts(), 0, "no password was sent to a server that is not trusted");
    let named = strict(&|endpoint| {
        endpoint.host_name_in_certificate = Some("sql1.example.com".to_owned());
    });
    named.observe(&[]).await.unwrap();
}

struct TokenFile {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl TokenFile {
    fn new(token: &str) -> TokenFile {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, token).unwrap();
        TokenFile { path, _folder: folder }
    }

    fn credentials(&self) -> Credentials {
        Credentials::AccessToken(SecretSource::File(self.path.to_str().unwrap().to_owned()))
    }
}

#[tokio::test]
async fn an_access_token_is_read_anew_for_every_connection() {
    let server = Server::start(|_| server()).await;
    let file = TokenFile::new("eyJ0.first.token\n");
    let mut endpoint = server.endpoint();
    endpoint.credentials = file.credentials();
    *server.fake.token.lock().unwrap() = Some("eyJ0.first.token".to_owned());
    Connection::open(&endpoint).await.unwrap();
    *server.fake.token.lock().unwrap() = Some("eyJ0.second.token".to_owned());
    let refused = Connection::open(&endpoint).await.unwrap_err();
    assert_eq!(refused.number(), Some(18456));
    std::fs::write(&file.path, "eyJ0.second.token").unwrap();
    Connection::open(&endpoint).await.unwrap();
    assert_eq!(server.attempts(), 3, "a refused token is not tried again");
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_access_token_of_any_length_arrives_and_is_shown_nowhere() {
    let server = Server::start(|_| support::failed(50_000, 16, "eyJ0.leaked")).await;
    // A token with many groups has several thousand characters: more than one packet.
    for token in ["eyJ0.leaked".to_owned(), format!("eyJ0.leaked{}", "a".repeat(20_000))] {
        let file = TokenFile::new(&token);
        *server.fake.token.lock().unwrap() = Some(token.clone());
        let (buffer, mut endpoint) = (Buffer::default(), server.endpoint());
        endpoint.credentials = file.credentials();
        endpoint.trace = Some(Trace::to_writer(buffer.clone()));
        assert!(!format!("{endpoint:?}").contains("eyJ0"));
        let mut connection = Connection::open(&endpoint).await.unwrap();
        let batch = format!("SELECT N'{token}';");
        let statement = pcdr_sql::statement::Statement {
            batch,
            kind: pcdr_sql::statement::Kind::Query,
            secrets: Vec::new(),
        };
        connection.batch(&statement, None).await.unwrap_err();
        let shown = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert!(shown.contains("SELECT N'***'"), "{shown}");
        assert!(!shown.contains(&token), "{shown}");
    }
}

/// Asks a browser of its own, as if it listened on port 1434.
#[derive(Debug)]
struct Browsing(u16);

#[async_trait]
impl Dialer for Browsing {
    async fn dial(&self, host: &str, port: u16) -> std::io::Result<Box<dyn NetStream>> {
        TcpDialer.dial(host, port).await
    }

    async fn port_of(&self, host: &str, instance: &str) -> std::io::Result<u16> {
        ask_browser(host, self.0, instance).await
    }
}

#[tokio::test]
async fn a_named_instance_is_found_through_the_browser_and_an_unknown_one_is_unreachable() {
    let server = Server::start(|_| server()).await;
    let entry = |instance: &str, port| BrowserEntry {
        identity: ServerIdentity {
            server_name: format!("SQL1\\{instance}"),
            instance_name: instance.to_owned(),
            version: (15, 0, 2000),
        },
        port,
    };
    let entries = vec![entry("OTHER", 1), entry("CHAT", server.listener.address().port())];
    let browser = Browser::bind((Ipv4Addr::LOCALHOST, 0).into(), entries).await.unwrap();
    let named = |name: &str| {
        server.instance_with(|endpoint| {
            endpoint.tcp_port = None;
            endpoint.instance = Some(name.to_owned());
            endpoint.dialer = Arc::new(Browsing(browser.address().port()));
        })
    };
    named("chat").observe(&[]).await.unwrap();
    let error = named("GONE").observe(&[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unreachable, "{error}");
    assert!(error.found.contains("GONE") && error.found.contains("Browser"), "{error}");
}

#[tokio::test]
async fn the_name_in_the_certificate_is_that_of_the_server_redirected_to() {
    let there = Server::start(|_| server()).await;
    let here = Server::start(|_| vec![done(None)]).await;
    // `localhost` is not in the certificate, 127.0.0.1 is.
    let port = there.listener.address().port();
    *here.fake.redirect.lock().unwrap() = Some(("localhost".to_owned(), port));
    let both = [here.authority.pem(), there.authority.pem()].concat();
    let instance =
        here.instance_with(|endpoint| endpoint.ca_bundle = Some(Arc::new(both.into_bytes())));
    let error = instance.observe(&[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::CertificateNotTrusted, "{error}");
    assert_eq!(there.attempts(), 0);
}

#[cfg(not(all(unix, feature = "kerberos")))]
#[tokio::test]
async fn kerberos_that_is_not_built_in_is_an_error_that_says_how_to_build_it() {
    let server = Server::start(|_| server()).await;
    let instance = server.instance_with(|endpoint| endpoint.credentials = Credentials::Kerberos);
    let error = instance.observe(&[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::LoginFailed, "{error}");
    assert!(error.remedy.contains("--features kerberos"), "{error}");
    assert_eq!(server.attempts(), 0);
}

#[cfg(all(unix, feature = "kerberos"))]
#[tokio::test]
async fn kerberos_without_a_ticket_is_an_error_that_names_kinit() {
    let server = Server::start(|_| server()).await;
    let instance = server.instance_with(|endpoint| endpoint.credentials = Credentials::Kerberos);
    let error = instance.observe(&[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::LoginFailed, "{error}");
    assert!(error.remedy.contains("kinit"), "{error}");
    assert_eq!(server.attempts(), 0);
}
