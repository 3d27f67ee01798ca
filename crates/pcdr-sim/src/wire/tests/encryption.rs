//! What client and server agree on, and what travels when they have.

use std::sync::Arc;

use tiberius::{Client, EncryptionLevel};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncWriteCompatExt;

use super::clients::client_config;
use super::front::{ScriptServer, Scripts, result};
use crate::value::{SqlType, Value};
use crate::wire::{CertificateAuthority, Encryption, Identity, WireConfig, serve};

struct Outcome {
    answer: Result<i32, tiberius::error::Error>,
    /// Everything that passed between the two.
    traffic: Vec<u8>,
}

/// Logs in over a pipe that keeps a copy, and reads one number.
async fn converse(
    client: EncryptionLevel,
    server: Encryption,
    identity: Option<Identity>,
    trusted: &CertificateAuthority,
) -> Outcome {
    let scripts = Scripts::new();
    scripts.script("secret", result(vec![(SqlType::Int, Value::Int(42))]));
    let (near, middle_near) = tokio::io::duplex(4096);
    let (middle_far, far) = tokio::io::duplex(4096);
    let config = Arc::new(WireConfig { encryption: server, identity, ..WireConfig::default() });
    tokio::spawn(serve(far, Arc::new(ScriptServer(scripts)), config));
    let tap = tokio::spawn(async move {
        let (mut near_read, mut near_write) = tokio::io::split(middle_near);
        let (mut far_read, mut far_write) = tokio::io::split(middle_far);
        let mut copy = Vec::new();
        let (mut one, mut two) = (vec![0; 4096], vec![0; 4096]);
        loop {
            tokio::select! {
                count = near_read.read(&mut one) => match count {
                    Ok(count) if count > 0 => {
                        copy.extend_from_slice(&one[..count]);
                        if far_write.write_all(&one[..count]).await.is_err() { break }
                    }
                    _ => break,
                },
                count = far_read.read(&mut two) => match count {
                    Ok(count) if count > 0 => {
                        copy.extend_from_slice(&two[..count]);
                        if near_write.write_all(&two[..count]).await.is_err() { break }
                    }
                    _ => break,
                },
            }
        }
        copy
    });
    let mut settings = client_config(client);
    settings.trust_cert_ca_bundle(trusted.pem().as_bytes());
    let answer = async {
        let mut client = Client::connect(settings, near.compat_write()).await?;
        let rows = client.simple_query("secret").await?;
        let row = rows.into_row().await?;
        Ok(row.and_then(|row| row.get(0)).unwrap_or_default())
    };
    let answer = answer.await;
    Outcome { answer, traffic: tap.await.unwrap() }
}

fn shows(traffic: &[u8], text: &str) -> bool {
    let needle: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    traffic.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn every_agreement_encrypts_what_it_promises() {
    let authority = CertificateAuthority::new("test").unwrap();
    let identity = || authority.issue(&["sql-a.example.com"], &[]).unwrap();
    // client, server, has a certificate, (login is seen, query is seen)
    let cases = [
        (EncryptionLevel::Required, Encryption::On, (false, false)),
        (EncryptionLevel::Required, Encryption::Required, (false, false)),
        (EncryptionLevel::On, Encryption::On, (false, false)),
        (EncryptionLevel::Off, Encryption::On, (false, true)),
        (EncryptionLevel::Off, Encryption::Required, (false, false)),
        (EncryptionLevel::NotSupported, Encryption::On, (true, true)),
        (EncryptionLevel::NotSupported, Encryption::Off, (true, true)),
        (EncryptionLevel::Strict, Encryption::Strict, (false, false)),
        (EncryptionLevel::Strict, Encryption::On, (false, false)),
    ];
    for (client, server, (login_is_seen, query_is_seen)) in cases {
        let outcome = converse(client, server, Some(identity()), &authority).await;
        let case = format!("client {client:?}, server {server:?}");
        assert_eq!(outcome.answer.unwrap(), 42, "{case}");
        assert_eq!(shows(&outcome.traffic, "operator"), login_is_seen, "{case}");
        assert_eq!(shows(&outcome.traffic, "secret"), query_is_seen, "{case}");
    }
}

#[tokio::test]
async fn settings_that_exclude_each_other_end_the_connection_before_the_login() {
    let authority = CertificateAuthority::new("test").unwrap();
    let identity = || Some(authority.issue(&["sql-a.example.com"], &[]).unwrap());
    let cases = [
        (EncryptionLevel::Required, Encryption::Off, None),
        (EncryptionLevel::NotSupported, Encryption::Required, identity()),
        (EncryptionLevel::Required, Encryption::Strict, identity()),
        (EncryptionLevel::Strict, Encryption::Off, None),
    ];
    for (client, server, identity) in cases {
        let outcome = converse(client, server, identity, &authority).await;
        let case = format!("client {client:?}, server {server:?}");
        assert!(outcome.answer.is_err(), "{case}");
        assert!(!shows(&outcome.traffic, "operator"), "{case}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_name_is_refused() {
    let ours = CertificateAuthority::new("ours").unwrap();
    let theirs = CertificateAuthority::new("theirs").unwrap();
    let forged = theirs.issue(&["sql-a.example.com"], &[]).unwrap();
    let outcome = converse(EncryptionLevel::Required, Encryption::On, Some(forged), &ours).await;
    assert!(matches!(outcome.answer, Err(tiberius::error::Error::Tls(_))));
    let other = ours.issue(&["sql-b.example.com"], &[]).unwrap();
    let outcome = converse(EncryptionLevel::Required, Encryption::On, Some(other), &ours).await;
    assert!(matches!(outcome.answer, Err(tiberius::error::Error::Tls(_))));
}
