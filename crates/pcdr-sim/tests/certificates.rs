//! Mirroring endpoints that authenticate by certificate, set up as the vendor's example does it: whose
//! certificate is unknown, expired or without CONNECT is not let in.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use support::{Client, Lab};

/// Master key, certificate and endpoint: what lets an instance out.
async fn outbound(client: &mut Client, name: &str, expiry: &str) {
    let batch = format!(
        "CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'a Strong1 password';\n\
         CREATE CERTIFICATE {name} WITH SUBJECT = 'of {name}', EXPIRY_DATE = '{expiry}';\n\
         CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 5022, LISTENER_IP = ALL) \
         FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE {name}, ENCRYPTION = REQUIRED ALGORITHM AES, ROLE = ALL);"
    );
    assert_eq!(client.text(&batch).await, "");
}

/// The public part of a certificate, as a literal.
async fn public(client: &mut Client, name: &str) -> String {
    let rows = client.rows(&format!("SELECT CERTENCODED(CERT_ID(N'{name}')) AS c;")).await;
    rows[0]["c"].clone()
}

/// Login, user, the other's certificate: what lets another instance in, once it may connect.
async fn inbound(client: &mut Client, other: &str, encoded: &str) {
    let batch = format!(
        "CREATE LOGIN {other}_login WITH PASSWORD = 'a Strong1 password';\n\
         CREATE USER {other}_user FOR LOGIN {other}_login;\n\
         CREATE CERTIFICATE {other} AUTHORIZATION {other}_user FROM BINARY = {encoded};"
    );
    assert_eq!(client.text(&batch).await, "");
}

async fn connect(client: &mut Client, other: &str) {
    let grant = format!("GRANT CONNECT ON ENDPOINT::Mirroring TO {other}_login;");
    assert_eq!(client.text(&grant).await, "");
}

/// A database on SQL1, restored on SQL2, which has been told its principal.
async fn prepared(one: &mut Client, two: &mut Client) {
    let batch = "CREATE DATABASE mgc;\nALTER DATABASE mgc SET RECOVERY FULL;\n\
                 BACKUP DATABASE mgc TO DISK = '\\\\FS\\logs\\f.bak' WITH INIT;\n\
                 BACKUP LOG mgc TO DISK = '\\\\FS\\logs\\l.trn' WITH INIT;";
    assert!(!one.text(batch).await.contains("Msg"));
    let batch = "RESTORE DATABASE mgc FROM DISK = '\\\\FS\\logs\\f.bak' WITH NORECOVERY;\n\
                 RESTORE LOG mgc FROM DISK = '\\\\FS\\logs\\l.trn' WITH NORECOVERY;\n\
                 ALTER DATABASE mgc SET PARTNER = 'TCP://sql1.example.test:5022';";
    assert!(!two.text(batch).await.contains("Msg"));
}

const SET_PARTNER: &str = "ALTER DATABASE mgc SET PARTNER = 'TCP://sql2.example.test:5022';";

fn log_tells(lab: &Lab, instance: &str, what: &str) -> bool {
    let world = lab.world.lock();
    world.instances[instance].error_log.iter().any(|(_, text)| text.contains(what))
}

async fn mirroring_state(client: &mut Client) -> String {
    let query = "SELECT m.mirroring_state_desc AS s FROM sys.database_mirroring AS m \
                 JOIN sys.databases AS d ON d.database_id = m.database_id WHERE d.name = 'mgc';";
    client.rows(query).await[0]["s"].clone()
}

#[tokio::test(start_paused = true)]
async fn both_sides_need_each_others_certificate_and_connect() {
    let lab = Lab::new();
    let (mut one, mut two) = (lab.client("SQL1").await, lab.client("SQL2").await);
    outbound(&mut one, "c1", "20301231").await;
    outbound(&mut two, "c2", "20301231").await;
    prepared(&mut one, &mut two).await;

    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"));
    assert!(log_tells(&lab, "sql1", "Certificate not found. State 89"));
    let (first, second) = (public(&mut one, "c1").await, public(&mut two, "c2").await);
    inbound(&mut one, "c2", &second).await;
    connect(&mut one, "c2").await;
    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"), "SQL2 does not know SQL1");
    inbound(&mut two, "c1", &first).await;
    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"), "its login may not connect");
    assert!(log_tells(&lab, "sql2", "CONNECT permission"));
    connect(&mut two, "c1").await;
    assert_eq!(one.text(SET_PARTNER).await, "");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mirroring_state(&mut one).await, "SYNCHRONIZED");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_another_key_under_the_right_name_is_not_the_one_that_is_shown() {
    let lab = Lab::new();
    let (mut one, mut two) = (lab.client("SQL1").await, lab.client("SQL2").await);
    outbound(&mut one, "c1", "20301231").await;
    outbound(&mut two, "c2", "20301231").await;
    prepared(&mut one, &mut two).await;
    let first = public(&mut one, "c1").await;
    inbound(&mut two, "c1", &first).await;
    connect(&mut two, "c1").await;
    // SQL1 takes in its own certificate under the name of the other's.
    let mut other = first.clone().into_bytes();
    other[5] = if other[5] == b'0' { b'1' } else { b'0' };
    inbound(&mut one, "c2", std::str::from_utf8(&other).expect("hexadecimal")).await;
    connect(&mut one, "c2").await;
    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"));
    assert!(log_tells(&lab, "sql1", "Certificate not found"));
}

#[tokio::test(start_paused = true)]
async fn windows_and_certificate_do_not_go_together() {
    let lab = Lab::new();
    let (mut one, mut two) = (lab.client("SQL1").await, lab.client("SQL2").await);
    outbound(&mut one, "c1", "20301231").await;
    let windows = "CREATE ENDPOINT Mirroring STATE = STARTED AS TCP (LISTENER_PORT = 5022) \
                   FOR DATABASE_MIRRORING (ROLE = ALL);";
    assert_eq!(two.text(windows).await, "");
    prepared(&mut one, &mut two).await;
    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"));
    assert!(log_tells(&lab, "sql1", "no compatible authentication protocol"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_certificate_ends_no_session_and_lets_none_begin_anew() {
    let lab = Lab::new();
    let (mut one, mut two) = (lab.client("SQL1").await, lab.client("SQL2").await);
    outbound(&mut one, "c1", "20261122").await;
    outbound(&mut two, "c2", "20301231").await;
    prepared(&mut one, &mut two).await;
    let (first, second) = (public(&mut one, "c1").await, public(&mut two, "c2").await);
    inbound(&mut one, "c2", &second).await;
    connect(&mut one, "c2").await;
    inbound(&mut two, "c1", &first).await;
    connect(&mut two, "c1").await;
    assert_eq!(one.text(SET_PARTNER).await, "");
    tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(mirroring_state(&mut one).await, "SYNCHRONIZED", "the connection stands");
    // A link that is lost for a while has to be made again.
    lab.world.cut_link("one", "two", true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    lab.world.heal_link("one", "two");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mirroring_state(&mut one).await, "DISCONNECTED");
    let off = "ALTER DATABASE mgc SET PARTNER OFF;";
    assert!(!one.text(off).await.contains("Msg"));
    assert!(!two.text(off).await.contains("Msg"));
    two.text("ALTER DATABASE mgc SET PARTNER = 'TCP://sql1.example.test:5022';").await;
    assert!(one.text(SET_PARTNER).await.contains("Msg 1418"));
    assert!(log_tells(&lab, "sql2", "Certificate expired"));
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_one_another_is_refused_in_the_wrong_order() {
    let lab = Lab::new();
    let mut one = lab.client("SQL1").await;
    let without_key = "CREATE CERTIFICATE c1 WITH SUBJECT = 's';";
    assert!(one.text(without_key).await.contains("Msg 15581"));
    let unknown = "CREATE ENDPOINT e STATE = STARTED AS TCP (LISTENER_PORT = 5022) \
                   FOR DATABASE_MIRRORING (AUTHENTICATION = CERTIFICATE nobody, ROLE = ALL);";
    assert!(one.text(unknown).await.contains("Msg 15151"));
    outbound(&mut one, "c1", "20301231").await;
    assert!(one.text("DROP CERTIFICATE c1;").await.contains("Msg 15352"));
    assert!(one.text("DROP MASTER KEY;").await.contains("Msg 15580"));
    let first = public(&mut one, "c1").await;
    let mut two = lab.client("SQL2").await;
    inbound(&mut two, "c1", &first).await;
    assert!(two.text("DROP USER c1_user;").await.contains("Msg 15138"));
    let rows = two
        .rows(
            "SELECT c.name, c.pvt_key_encryption_type AS kind, p.name AS owner, c.expiry_date AS until \
             FROM sys.certificates AS c JOIN sys.database_principals AS p ON p.principal_id = c.principal_id;",
        )
        .await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["kind"].as_str(), rows[0]["owner"].as_str()), ("NA", "c1_user"));
    assert!(rows[0]["until"].starts_with("2030-12-31"), "{rows:?}");
    for statement in ["DROP CERTIFICATE c1;", "DROP USER c1_user;", "DROP LOGIN c1_login;"] {
        assert_eq!(two.text(statement).await, "", "{statement}");
    }
    for statement in ["DROP ENDPOINT Mirroring;", "DROP CERTIFICATE c1;", "DROP MASTER KEY;"] {
        assert_eq!(one.text(statement).await, "", "{statement}");
    }
    let keys =
        "SELECT COUNT(*) AS n FROM sys.symmetric_keys WHERE name = '##MS_DatabaseMasterKey##';";
    assert_eq!(one.rows(keys).await[0]["n"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_password_can_be_drawn_at_random_and_is_never_the_same() {
    let lab = Lab::new();
    let mut one = lab.client("SQL1").await;
    let draw =
        "SELECT CONVERT(nvarchar(64), CRYPT_GEN_RANDOM(24), 2) AS r, CRYPT_GEN_RANDOM(0) AS n;";
    let (first, second) = (one.rows(draw).await, one.rows(draw).await);
    assert_eq!(first[0]["r"].len(), 48);
    assert_ne!(first[0]["r"], second[0]["r"]);
    assert_eq!(first[0]["n"], "NULL");
}
