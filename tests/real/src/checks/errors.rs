//! Error numbers by which a run decides what to do.

use pcdr_core::step::DatabaseAction;

use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of error numbers.
pub const CHECKS: &[Check] = &[
    check!(a_backup_file_that_does_not_exist_is_error_3201, needs: [Folders], decides: ["A15"]),
    check!(headers_after_a_file_that_cannot_be_read_are_answered, needs: [Folders], decides: ["A16"]),
    check!(recovering_an_online_database_is_error_3153, needs: [Folders], decides: ["A17"]),
    check!(log_in_the_wrong_order_is_error_4305_or_4326, needs: [Folders], decides: []),
    check!(a_restore_into_a_database_in_use_is_error_3101, needs: [Folders], decides: []),
];

fn restore_log(servers: &Servers, path: &str) -> String {
    let (database, path) = (servers.identifier(), pcdr_sql::quote::path(path).unwrap());
    format!("RESTORE LOG {database} FROM DISK = {path} WITH NORECOVERY;")
}

async fn a_backup_file_that_does_not_exist_is_error_3201(servers: &Servers) {
    for on in ["primary", "secondary"] {
        let missing = servers.backup("never_written.trn");
        let error = servers.instance(on).header(&missing).await.unwrap_err();
        assert_eq!(error.number(), Some(3201), "{on}: {error}");
    }
}

async fn headers_after_a_file_that_cannot_be_read_are_answered(servers: &Servers) {
    servers.create_database().await;
    let full = servers.backup("full.bak");
    servers.act("primary", DatabaseAction::BackUpDatabase { path: full.clone() }).await;
    let name = format!("{}_broken.trn", servers.scratch);
    std::fs::write(servers.backup_mount().join(&name), b"no backup at all").unwrap();
    let (broken, missing) = (servers.backup("broken.trn"), servers.backup("missing.trn"));
    let paths = [full.clone(), broken, full.clone(), missing, full];
    let headers = servers.instance("secondary").headers(&paths).await.unwrap();
    let known: Vec<bool> = headers.iter().map(|header| header.known().is_some()).collect();
    assert_eq!(known, [true, false, true, false, true]);
    for unread in [&headers[1], &headers[3]] {
        let code = unread.reason().unwrap().code.to_string();
        assert!(["backup_damaged", "file_inaccessible"].contains(&code.as_str()), "{code}");
    }
}

async fn recovering_an_online_database_is_error_3153(servers: &Servers) {
    servers.create_database().await;
    let recover = format!("RESTORE DATABASE {} WITH RECOVERY;", servers.identifier());
    assert_eq!(servers.sql_error("primary", &recover).await, 3153);
}

async fn log_in_the_wrong_order_is_error_4305_or_4326(servers: &Servers) {
    servers.initialise("secondary").await;
    let mut paths = Vec::new();
    for number in 1..4 {
        servers.write("primary", number * 10..number * 10 + 2).await;
        paths.push(servers.back_up_log("primary", &number.to_string()).await);
    }
    let too_early = restore_log(servers, &paths[1]);
    assert_eq!(servers.sql_error("secondary", &too_early).await, 4305);
    for path in &paths {
        servers.restore_log("secondary", path).await;
    }
    let too_late = restore_log(servers, &paths[0]);
    assert_eq!(servers.sql_error("secondary", &too_late).await, 4326);
}

async fn a_restore_into_a_database_in_use_is_error_3101(servers: &Servers) {
    servers.create_database().await;
    let full = servers.backup("full.bak");
    servers.act("primary", DatabaseAction::BackUpDatabase { path: full.clone() }).await;
    let database = servers.identifier();
    let session = servers.sit_in_database("primary").await;
    let restore = format!(
        "RESTORE DATABASE {database} FROM DISK = {} WITH NORECOVERY, REPLACE;",
        pcdr_sql::quote::path(&full).unwrap()
    );
    assert_eq!(servers.sql_error("primary", &restore).await, 3101);
    // The product ends that session, and sees that it is gone.
    assert_eq!(servers.copy("primary").await.sessions.known().unwrap().len(), 1);
    servers.act("primary", DatabaseAction::EndSessions).await;
    assert!(servers.copy("primary").await.sessions.known().unwrap().is_empty());
    drop(session);
}
