//! The product's observation against other questions about the same things.

use pcdr_core::Guid;
use pcdr_core::observation::{DatabaseState, RecoveryModel, UserAccess};

use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of the observation.
pub const CHECKS: &[Check] = &[
    check!(the_observation_agrees_with_what_other_queries_say, needs: [Folders], decides: []),
    check!(every_section_of_the_observation_is_answered, needs: [Sysadmin, LogShipping], decides: []),
    check!(the_agent_that_runs_is_listed_as_a_service, needs: [Agent], decides: ["A18"]),
    check!(a_session_in_the_database_is_observed_and_can_be_ended, needs: [], decides: ["A19"]),
];

async fn the_observation_agrees_with_what_other_queries_say(servers: &Servers) {
    servers.initialise("secondary").await;
    for on in ["primary", "secondary"] {
        let seen = servers.observe(on).await;
        let facts = &servers.facts[on];
        assert_eq!(seen.server_name.as_deref(), Some(facts.server_name.as_str()));
        assert_eq!((&seen.version, &seen.edition), (&facts.version, &facts.edition));
        let literal = servers.literal();
        let row = servers
            .row(
                on,
                &format!(
                    "SELECT CAST(DATABASEPROPERTYEX({literal}, N'Status') AS nvarchar(60)) AS status, \
                     CAST(DATABASEPROPERTYEX({literal}, N'Recovery') AS nvarchar(60)) AS recovery, \
                     CAST(DATABASEPROPERTYEX({literal}, N'UserAccess') AS nvarchar(60)) AS access, \
                     CAST(DATEDIFF(minute, GETUTCDATE(), GETDATE()) AS int) AS minutes;"
                ),
            )
            .await;
        let copy = servers.copy(on).await;
        assert_eq!(copy.state.as_str(), row.get::<String>("status").unwrap());
        assert_eq!(row.get::<String>("recovery").unwrap(), "FULL");
        assert_eq!(row.get::<String>("access").unwrap(), "MULTI_USER");
        assert_eq!(
            (copy.recovery_model, copy.user_access),
            (RecoveryModel::Full, UserAccess::MultiUser)
        );
        assert!(!copy.is_in_standby && !copy.is_read_only);
        // The two clocks of that query are not read at the same time.
        let minutes: i32 = row.get("minutes").unwrap();
        assert!((i32::from(seen.utc_offset_minutes) - minutes).abs() <= 1, "{minutes}");
        assert_eq!(copy.mirroring.known(), Some(&None));
    }
    // Family and fork also by a header, and the restore by msdb.
    let header = servers.header("primary", &servers.backup("0.trn")).await;
    let position = servers.copy("primary").await.log_position.known().copied().unwrap();
    assert_eq!((position.family, position.fork), (header.family, header.last_fork));
    let query = format!(
        "SELECT TOP (1) s.backup_set_uuid, h.recovery FROM msdb.dbo.restorehistory AS h \
         JOIN msdb.dbo.backupset AS s ON s.backup_set_id = h.backup_set_id \
         WHERE h.destination_database_name = {} ORDER BY h.restore_history_id DESC;",
        servers.literal()
    );
    let row = servers.row("secondary", &query).await;
    assert_eq!(row.get::<Guid>("backup_set_uuid").unwrap(), header.backup_set);
    assert_eq!(row.get::<bool>("recovery"), Ok(false).map_err(|()| unreachable!()));
    assert_eq!(servers.copy("primary").await.state, DatabaseState::Online);
}

async fn every_section_of_the_observation_is_answered(servers: &Servers) {
    servers.create_database().await;
    for on in ["primary", "secondary"] {
        let seen = servers.observe(on).await;
        assert!(seen.databases.known().is_some(), "{:?}", seen.databases);
        assert!(seen.log_shipping_primary.known().is_some(), "{:?}", seen.log_shipping_primary);
        assert!(seen.log_shipping_secondary.known().is_some(), "{:?}", seen.log_shipping_secondary);
        assert!(seen.mirroring_endpoint.known().is_some(), "{:?}", seen.mirroring_endpoint);
        let survey = servers.instance(on).survey().await.unwrap();
        assert!(survey.seen.databases.known().is_some(), "{:?}", survey.seen.databases);
        assert!(survey.partnerships.known().is_some(), "{:?}", survey.partnerships);
        assert!(survey.witnessed.known().is_some(), "{:?}", survey.witnessed);
        assert!(survey.services.known().is_some(), "{:?}", survey.services);
        assert!(survey.endpoint_security.known().is_some(), "{:?}", survey.endpoint_security);
        let files = survey.files.known().cloned().unwrap();
        let is_listed = |log: bool| {
            let mut ours = files.iter().filter(|file| file.database.as_str() == servers.scratch);
            ours.any(|file| file.is_log == log)
        };
        assert!(on != "primary" || (is_listed(false) && is_listed(true)), "{files:?}");
    }
    let copy = servers.copy("primary").await;
    assert!(copy.log_position.known().is_some(), "{:?}", copy.log_position);
    assert!(copy.mirroring.known().is_some() && copy.sessions.known().is_some());
    assert!(copy.server_pings.known().is_some_and(|pings| pings.is_empty()));
}

async fn the_agent_that_runs_is_listed_as_a_service(servers: &Servers) {
    for on in ["primary", "secondary"] {
        let seen = servers.observe(on).await;
        assert_eq!(seen.agent_running.known(), Some(&true), "{on}: {:?}", seen.agent_running);
    }
}

async fn a_session_in_the_database_is_observed_and_can_be_ended(servers: &Servers) {
    use pcdr_core::step::DatabaseAction;
    servers.create_database().await;
    let session = servers.sit_in_database("primary").await;
    let seen = servers.copy("primary").await;
    let sessions = seen.sessions.known().cloned().unwrap();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0].program_name, "pcdr test suite");
    servers.act("primary", DatabaseAction::EndSessions).await;
    assert!(servers.copy("primary").await.sessions.known().unwrap().is_empty());
    let mut session = session;
    let statement = pcdr_sql::statement::check();
    assert!(session.batch(&statement, Some(crate::servers::LIMIT)).await.is_err());
}
