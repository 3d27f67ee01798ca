//! Every statement that the product can build, carried out for real.

use pcdr_core::DatabaseName;
use pcdr_core::observation::RecoveryModel;
use pcdr_core::ports::DatabaseInstance;
use pcdr_sql::quote::QuoteError;
use pcdr_sql::statement::database::Move;
use pcdr_sql::statement::{self, Statement, database, files, observe, preflight, rights, survey};

use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of statements; those of log shipping, jobs and mirroring stand with their subjects.
pub const CHECKS: &[Check] = &[
    check!(
        every_statement_that_asks_before_or_takes_back_is_carried_out,
        needs: [Folders, Sysadmin],
        decides: [],
        carries_out: &["preflight::preflight", "database::set_recovery", "database::drop_database"]
    ),
    check!(
        every_statement_that_gives_a_right_is_carried_out,
        needs: [Sysadmin],
        decides: [],
        carries_out: &[
            "rights::require_login", "rights::add_to_server_role", "rights::grant_on_server",
            "rights::create_user", "rights::add_to_role", "rights::grant_on_database",
            "rights::grant_select",
        ]
    ),
    check!(
        every_statement_on_databases_and_files_is_carried_out,
        needs: [Folders],
        decides: [],
        carries_out: &[
            "statement::check", "observe::observe", "survey::survey", "database::state", "database::last_restore",
            "database::set_recovery_full", "database::back_up_database", "database::back_up_log",
            "database::restore_database", "database::restore_log", "database::recover", "database::sessions",
            "database::kill", "database::progress", "database::endpoint", "files::header", "files::headers",
            "files::file_list",
        ]
    ),
];

/// What a builder gives back.
pub(super) trait Built {
    /// The statement.
    fn built(self) -> Statement;
}

impl Built for Statement {
    fn built(self) -> Statement {
        self
    }
}

impl Built for Result<Statement, QuoteError> {
    fn built(self) -> Statement {
        self.unwrap()
    }
}

/// Carries out the statement of a builder under the builder's name.
macro_rules! carry_out {
    ($servers:expr, $on:expr, $module:ident :: $builder:ident ( $($argument:expr),* )) => {
        $servers
            .carry_out(
                $on,
                concat!(stringify!($module), "::", stringify!($builder)),
                &$crate::checks::statements::Built::built($module::$builder($($argument),*)),
            )
            .await
    };
}
pub(super) use carry_out;

async fn every_statement_that_asks_before_or_takes_back_is_carried_out(servers: &Servers) {
    servers.create_database().await;
    let name = servers.scratch.as_str();
    let folder = servers.topology.backup_share().unc.clone();
    let sets = carry_out!(servers, "primary", preflight::preflight(&[name], &[], &[&folder]));
    assert!(sets.len() >= 4, "{} sets", sets.len());
    carry_out!(servers, "primary", database::set_recovery(name, RecoveryModel::Simple));
    carry_out!(servers, "primary", database::drop_database(name));
    let gone = format!("SELECT DB_ID({}) AS id;", servers.literal());
    let gone = servers.rows("primary", &gone).await;
    assert_eq!(gone[0].optional::<i32>("id").unwrap().unwrap_or(0), 0);
}

async fn every_statement_that_gives_a_right_is_carried_out(servers: &Servers) {
    servers.create_database().await;
    let (name, login) = (servers.scratch.as_str(), servers.scratch.as_str());
    let create = format!(
        "CREATE LOGIN {} WITH PASSWORD = N'pcdr-Test-1{}';",
        servers.identifier(),
        name.len()
    );
    servers.sql("primary", &create).await;
    carry_out!(servers, "primary", rights::require_login(login));
    carry_out!(servers, "primary", rights::add_to_server_role("dbcreator", login));
    carry_out!(servers, "primary", rights::grant_on_server("VIEW SERVER STATE", login));
    carry_out!(servers, "primary", rights::create_user(name, login));
    carry_out!(servers, "primary", rights::add_to_role(name, "db_datareader", login));
    carry_out!(servers, "primary", rights::grant_on_database(name, "ALTER", login));
    carry_out!(servers, "primary", rights::grant_select(name, "tblServerIdentity", login));
    let drop = format!("DROP LOGIN {};", servers.identifier());
    servers.sql("primary", &drop).await;
}

async fn every_statement_on_databases_and_files_is_carried_out(servers: &Servers) {
    servers.create_database().await;
    let name = servers.scratch.as_str();
    let (full, log) = (servers.backup("full.bak"), servers.backup("1.trn"));

    carry_out!(servers, "primary", statement::check());
    carry_out!(servers, "primary", database::set_recovery_full(name));
    let state = carry_out!(servers, "primary", database::state(name));
    assert_eq!(state[0].rows[0].optional::<i32>("state").unwrap(), Some(0));
    carry_out!(servers, "primary", database::back_up_database(name, &full));
    servers.write("primary", 1..4).await;
    carry_out!(servers, "primary", database::back_up_log(name, &log));

    let header = carry_out!(servers, "secondary", files::header(&full));
    assert_eq!(header[1].rows[0].get::<i32>("BackupType").unwrap(), 1);
    let headers = carry_out!(servers, "secondary", files::headers([full.as_str(), log.as_str()]));
    assert!(headers.len() >= 5, "a clock, and a number and a header for each file");
    let listed = carry_out!(servers, "secondary", files::file_list(&full));
    let folder = servers.topology.secondary().data_directory.clone();
    let moves: Vec<Move> = listed[0]
        .rows
        .iter()
        .map(|row| {
            let physical: String = row.get("PhysicalName").unwrap();
            let file = physical.rsplit(['\\', '/']).next().unwrap().to_owned();
            let path = match &folder {
                Some(folder) => format!("{folder}{file}"),
                None => physical,
            };
            Move { logical: row.get("LogicalName").unwrap(), path }
        })
        .collect();
    assert_eq!(moves.len(), 2);
    carry_out!(servers, "secondary", database::restore_database(name, &full, &moves, false));
    carry_out!(servers, "secondary", database::restore_log(name, &log));
    let last = carry_out!(servers, "secondary", database::last_restore(name));
    assert_eq!(last[0].rows[0].get::<String>("restore_type").unwrap().trim(), "L");
    let waits = carry_out!(servers, "secondary", database::state(name));
    assert_eq!(waits[0].rows[0].optional::<i32>("state").unwrap(), Some(1));
    carry_out!(servers, "secondary", database::recover(name));
    assert_eq!(servers.read("secondary").await, [1, 2, 3]);

    let session = servers.sit_in_database("secondary").await;
    let found = carry_out!(servers, "secondary", database::sessions(name));
    assert_eq!(found[0].rows.len(), 1);
    let id: i32 = found[0].rows[0].get("session_id").unwrap();
    let since: String = found[0].rows[0].get("login_time").unwrap();
    let there = carry_out!(servers, "secondary", database::progress(id));
    assert_eq!(there[0].rows[0].get::<String>("login_time").unwrap(), since);
    // A session of another login time is another session.
    carry_out!(servers, "secondary", database::kill(id, "2001-01-01 00:00:00.000"));
    let found = carry_out!(servers, "secondary", database::sessions(name));
    assert_eq!(found[0].rows.len(), 1);
    carry_out!(servers, "secondary", database::kill(id, &since));
    let gone = format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM sys.dm_exec_sessions AS s JOIN sys.databases AS d \
         ON d.database_id = s.database_id WHERE s.session_id = {id} AND d.name = {}) THEN 0 ELSE 1 END AS reached;",
        servers.literal()
    );
    servers.until("secondary", std::time::Duration::from_secs(30), &gone).await;
    drop(session);

    carry_out!(servers, "primary", database::endpoint());
    let names = [name, "pcdr_test_absent"];
    let sets = carry_out!(servers, "primary", observe::observe(&names));
    assert!(sets.len() > 10, "{} sections", sets.len());
    let sets = carry_out!(servers, "primary", survey::survey());
    assert!(sets.len() > 10, "{} sections", sets.len());
    let asked: Vec<DatabaseName> = names.map(DatabaseName::from).into();
    let seen = servers.instance("primary").observe(&asked).await.unwrap();
    let databases = seen.databases.known().cloned().unwrap();
    assert_eq!(databases.keys().map(DatabaseName::as_str).collect::<Vec<_>>(), [name]);
}
