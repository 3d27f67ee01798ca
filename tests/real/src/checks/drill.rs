//! A drill's copy beside the database whose backups it is made from.

use pcdr_core::drill::{BesideQuestion, CopySeen, copy_name, stranger};
use pcdr_core::known::Known;
use pcdr_core::observation::DatabaseState;
use pcdr_core::ports::Unwatched;
use pcdr_core::step::{DatabaseAction, DrillAction, DrillStep, LogRange};
use pcdr_core::{Guid, InstanceName};
use pcdr_sql::statement::{database, files};

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of drills.
pub const CHECKS: &[Check] = &[check!(
    a_copy_is_known_by_the_names_of_its_files_in_every_state,
    needs: [Folders],
    decides: ["A42"],
    carries_out: &["database::check_database", "files::drives"]
)];

async fn act(servers: &Servers, family: Guid, action: DrillAction) {
    let what = format!("{action:?}");
    let of = servers.database.clone();
    let copy = copy_name(&of);
    let step = DatabaseAction::Drill(Box::new(DrillStep { of, family, action }));
    let port = &servers.ports.instances[&InstanceName::from("secondary")];
    if let Err(error) = port.run(&copy, &step, &Unwatched).await {
        panic!("{what}: {error}");
    }
}

/// The copy as the instance tells of it, and that it is the drill's own.
async fn seen(servers: &Servers, family: Guid, directory: &str) -> CopySeen {
    let question = BesideQuestion {
        copies: vec![copy_name(&servers.database)],
        backups: Vec::new(),
        directory: directory.to_owned(),
    };
    let port = &servers.ports.instances[&InstanceName::from("secondary")];
    let beside = port.look_beside(&question).await.unwrap();
    let copies = beside.copies.known().cloned().unwrap();
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    assert_eq!(stranger(&servers.database, family, copy), None, "{copy:?}");
    copy.clone()
}

async fn state(servers: &Servers) -> Option<DatabaseState> {
    let copy = copy_name(&servers.database);
    let port = &servers.ports.instances[&InstanceName::from("secondary")];
    let seen = port.observe(std::slice::from_ref(&copy)).await.unwrap();
    seen.databases.known().unwrap().get(&copy).map(|copy| copy.state)
}

async fn a_copy_is_known_by_the_names_of_its_files_in_every_state(servers: &Servers) {
    servers.initialise("secondary").await;
    servers.write("primary", 10..14).await;
    let path = servers.back_up_log("primary", "1").await;
    let before = servers.copy("secondary").await;
    let full = servers.backup("full.bak");
    let header = servers.header("secondary", &full).await;
    let family = header.family;
    let directory =
        servers.facts["secondary"].data_path.clone().expect("the folder of new databases");
    let restore = DrillAction::RestoreDatabase { path: full, directory: directory.clone() };
    act(servers, family, restore.clone()).await;
    act(servers, family, restore).await; // it is there
    seen(servers, family, &directory).await;
    assert_eq!(state(servers).await, Some(DatabaseState::Restoring));
    for path in [servers.backup("0.trn"), path] {
        let header = servers.header("secondary", &path).await;
        let log = LogRange {
            first_lsn: header.first_lsn,
            last_lsn: header.last_lsn,
            last_fork: header.last_fork,
        };
        act(servers, family, DrillAction::RestoreLog { path, log }).await;
    }
    let at = servers.header("secondary", &servers.backup("1.trn")).await.last_lsn;
    act(servers, family, DrillAction::Recover { at }).await;
    let copy = seen(servers, family, &directory).await;
    assert_eq!((state(servers).await, copy.family), (Some(DatabaseState::Online), Some(family)));
    act(servers, family, DrillAction::Check).await;
    let name = copy_name(&servers.database);
    let found = carry_out!(servers, "secondary", database::check_database(name.as_str()));
    assert!(found.iter().all(|set| set.rows.is_empty()), "{found:?}");
    if servers.facts["secondary"].platform == "Windows" {
        let drives = carry_out!(servers, "secondary", files::drives());
        assert!(!drives[0].rows.is_empty());
    } else {
        servers.counts_as_carried_out("files::drives"); // drives have no letters there
    }
    // The copy that waits for log did not notice.
    let after = servers.copy("secondary").await;
    assert_eq!((after.state, &after.log_position), (before.state, &before.log_position));
    assert!(matches!(after.log_position, Known::Known(_)));
    act(servers, family, DrillAction::Drop).await;
    act(servers, family, DrillAction::Drop).await; // it is gone
    assert_eq!(state(servers).await, None);
}
