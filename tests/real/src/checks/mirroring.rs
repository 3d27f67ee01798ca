//! Mirroring: endpoints, the session, its failover.

use pcdr_core::observation::{DatabaseState, MirroringRole, MirroringState};
use pcdr_core::step::{DatabaseAction, LogEnd};
use pcdr_sql::statement::database;

use super::statements::carry_out;
use crate::check::{Check, check};
use crate::servers::Servers;

/// Checks of mirroring.
pub const CHECKS: &[Check] = &[
    check!(
        every_statement_of_mirroring_is_carried_out,
        needs: [Folders, Sysadmin, Mirroring, Account],
        decides: [],
        carries_out: &[
            "database::create_endpoint", "database::start_endpoint", "database::create_login",
            "database::grant_connect", "database::set_partner", "database::fail_over_mirror",
            "database::force_service", "database::remove_mirroring",
        ]
    ),
    check!(
        an_endpoint_that_nobody_uses_is_stopped_and_dropped,
        needs: [Sysadmin, Mirroring],
        decides: [],
        carries_out: &["database::endpoint_uses", "database::stop_endpoint", "database::drop_endpoint"]
    ),
    check!(
        a_witness_joins_a_synchronized_session,
        needs: [Folders, Sysadmin, Mirroring, Witness],
        decides: [],
        carries_out: &["database::set_witness", "database::remove_witness"]
    ),
    check!(a_mirror_that_waits_for_its_principal_can_be_told_again, needs: [Folders, Sysadmin, Mirroring], decides: ["A33"]),
    check!(a_session_that_is_synchronized_says_so_on_both_sides, needs: [Folders, Sysadmin, Mirroring], decides: ["A34"]),
    check!(a_mirroring_failover_swaps_the_roles_and_loses_nothing, needs: [Folders, Sysadmin, Mirroring], decides: ["A35"]),
    check!(the_log_chain_goes_on_over_a_mirroring_failover, needs: [Folders, Sysadmin, Mirroring], decides: ["A36"]),
    check!(partners_and_witness_call_their_session_by_one_guid, needs: [Folders, Sysadmin, Mirroring], decides: ["A38"]),
];

fn address(servers: &Servers, name: &str) -> String {
    servers.topology.instance(&name.into()).unwrap().mirroring_address()
}

async fn an_endpoint_that_nobody_uses_is_stopped_and_dropped(servers: &Servers) {
    // An instance has one endpoint for mirroring, and somebody's own is left alone.
    let seen = servers.observe("secondary").await;
    assert_eq!(seen.mirroring_endpoint.known(), Some(&None), "needed without a mirroring endpoint");
    let name = servers.scratch.as_str();
    let port = servers.topology.secondary().mirroring_port;
    servers.sql("secondary", &database::create_endpoint(name, port, false).unwrap().batch).await;
    let uses = carry_out!(servers, "secondary", database::endpoint_uses());
    assert_eq!(uses[0].rows[0].get::<i32>("partners").unwrap(), 0);
    carry_out!(servers, "secondary", database::stop_endpoint(name));
    carry_out!(servers, "secondary", database::drop_endpoint(name));
    let seen = servers.observe("secondary").await;
    assert_eq!(seen.mirroring_endpoint.known(), Some(&None));
}

async fn endpoints(servers: &Servers) {
    for name in ["primary", "mirror", "witness"] {
        let Some(instance) = servers.topology.instance(&name.into()) else { continue };
        let action = DatabaseAction::CreateMirroringEndpoint {
            name: servers.topology.mirroring().endpoint_name.clone(),
            port: instance.mirroring_port,
            accounts: instance.service_account.clone().into_iter().collect(),
        };
        servers.act(name, action).await;
    }
}

/// A synchronized session from the primary to the mirror.
async fn mirrored(servers: &Servers) {
    endpoints(servers).await;
    servers.initialise("mirror").await;
    let partner = |name: &str| DatabaseAction::SetPartner { address: address(servers, name) };
    servers.act("mirror", partner("primary")).await;
    servers.act("primary", partner("mirror")).await;
    servers.act("primary", DatabaseAction::AwaitSynchronized).await;
}

async fn every_statement_of_mirroring_is_carried_out(servers: &Servers) {
    let endpoint = servers.topology.mirroring().endpoint_name.clone();
    for name in ["primary", "mirror"] {
        let instance = servers.topology.instance(&name.into()).unwrap().clone();
        let found = servers.sql(name, &database::endpoint().batch).await;
        let existing: Option<String> = found[0].rows[0].optional("name").unwrap();
        let endpoint = match existing {
            None => {
                carry_out!(
                    servers,
                    name,
                    database::create_endpoint(&endpoint, instance.mirroring_port, false)
                );
                endpoint.clone()
            }
            // An instance has one: making another is refused.
            Some(existing) => {
                let another = database::create_endpoint(&servers.scratch, 32_000, false).unwrap();
                servers.sql_error(name, &another.batch).await;
                servers.counts_as_carried_out("database::create_endpoint");
                existing
            }
        };
        carry_out!(servers, name, database::start_endpoint(&endpoint));
        let account = instance.service_account.unwrap();
        carry_out!(servers, name, database::create_login(&account));
        carry_out!(servers, name, database::grant_connect(&endpoint, &account));
        let found = servers.sql(name, &database::endpoint().batch).await;
        assert_eq!(found[0].rows[0].get::<i32>("state").unwrap(), 0, "STARTED");
        assert_eq!(found[0].rows[0].get::<u16>("port").unwrap(), instance.mirroring_port);
    }
    servers.initialise("mirror").await;
    let scratch = servers.scratch.as_str();
    carry_out!(servers, "mirror", database::set_partner(scratch, &address(servers, "primary")));
    carry_out!(servers, "primary", database::set_partner(scratch, &address(servers, "mirror")));
    servers.act("primary", DatabaseAction::AwaitSynchronized).await;
    carry_out!(servers, "primary", database::fail_over_mirror(scratch));
    servers.act("mirror", DatabaseAction::AwaitSynchronized).await;
    assert_eq!(servers.copy("mirror").await.mirroring_role(), Some(MirroringRole::Principal));
    // The principal is there: service is not forced on its mirror.
    let force = database::force_service(scratch).unwrap();
    servers.sql_error("primary", &force.batch).await;
    servers.counts_as_carried_out("database::force_service");
    carry_out!(servers, "mirror", database::remove_mirroring(scratch));
    assert_eq!(servers.copy("mirror").await.mirroring.known(), Some(&None));
}

async fn a_witness_joins_a_synchronized_session(servers: &Servers) {
    mirrored(servers).await;
    let witness = address(servers, "witness");
    carry_out!(servers, "primary", database::set_witness(&servers.scratch, &witness));
    servers.act("primary", DatabaseAction::SetWitness { address: witness.clone() }).await;
    let session = servers.copy("primary").await.mirroring.known().cloned().flatten().unwrap();
    assert!(session.witness_address.is_some_and(|address| address.eq_ignore_ascii_case(&witness)));
    carry_out!(servers, "primary", database::remove_witness(&servers.scratch));
    let session = servers.copy("primary").await.mirroring.known().cloned().flatten().unwrap();
    assert_eq!(session.witness_address, None);
}

async fn a_mirror_that_waits_for_its_principal_can_be_told_again(servers: &Servers) {
    endpoints(servers).await;
    servers.initialise("mirror").await;
    let partner = |name: &str| DatabaseAction::SetPartner { address: address(servers, name) };
    for _ in 0..2 {
        servers.act("mirror", partner("primary")).await;
    }
    for _ in 0..2 {
        servers.act("primary", partner("mirror")).await;
    }
    servers.act("primary", DatabaseAction::AwaitSynchronized).await;
}

async fn a_session_that_is_synchronized_says_so_on_both_sides(servers: &Servers) {
    mirrored(servers).await;
    servers.write("primary", 10..13).await;
    for (name, role, other) in [
        ("primary", MirroringRole::Principal, "mirror"),
        ("mirror", MirroringRole::Mirror, "primary"),
    ] {
        let copy = servers.copy(name).await;
        let session = copy.mirroring.known().cloned().flatten().unwrap();
        assert_eq!((session.role, session.state), (role, MirroringState::Synchronized), "{name}");
        assert!(session.is_safety_full && session.witness_address.is_none());
        assert!(session.partner_address.eq_ignore_ascii_case(&address(servers, other)));
    }
    assert_eq!(servers.copy("mirror").await.state, DatabaseState::Restoring);
}

async fn a_mirroring_failover_swaps_the_roles_and_loses_nothing(servers: &Servers) {
    mirrored(servers).await;
    servers.write("primary", 10..13).await;
    let before = servers.read("primary").await;
    servers.act("primary", DatabaseAction::FailOverMirror).await;
    servers.act("mirror", DatabaseAction::AwaitSynchronized).await;
    let (old, new) = (servers.copy("primary").await, servers.copy("mirror").await);
    assert_eq!(old.mirroring_role(), Some(MirroringRole::Mirror));
    assert_eq!(new.mirroring_role(), Some(MirroringRole::Principal));
    assert!(new.is_writable() && old.state == DatabaseState::Restoring);
    assert_eq!(servers.read("mirror").await, before);
    // And back.
    servers.write("mirror", 20..22).await;
    let before = servers.read("mirror").await;
    servers.act("mirror", DatabaseAction::FailOverMirror).await;
    servers.act("primary", DatabaseAction::AwaitSynchronized).await;
    assert_eq!(servers.read("primary").await, before);
}

async fn the_log_chain_goes_on_over_a_mirroring_failover(servers: &Servers) {
    mirrored(servers).await;
    let (full, log) = (servers.backup("full.bak"), servers.backup("0.trn"));
    servers.seed("secondary", &full, &log).await;
    servers.write("primary", 10..12).await;
    let one = servers.back_up_log("primary", "1").await;
    servers.act("primary", DatabaseAction::FailOverMirror).await;
    servers.act("mirror", DatabaseAction::AwaitSynchronized).await;
    servers.write("mirror", 20..22).await;
    let two = servers.back_up_log("mirror", "2").await;
    let (first, second) =
        (servers.header("secondary", &one).await, servers.header("secondary", &two).await);
    assert_eq!(second.first_lsn, first.last_lsn, "no position is missing");
    for path in [&one, &two] {
        servers.restore_log("secondary", path).await;
    }
    servers
        .act("secondary", DatabaseAction::Recover { expect: Some(LogEnd::Lsn(second.last_lsn)) })
        .await;
    assert_eq!(servers.read("secondary").await, servers.read("mirror").await);
}

async fn partners_and_witness_call_their_session_by_one_guid(servers: &Servers) {
    mirrored(servers).await;
    let mut guids = Vec::new();
    for (on, other) in [("primary", "mirror"), ("mirror", "primary")] {
        let survey = servers.instance(on).survey().await.unwrap();
        let sessions = survey.partnerships.known().cloned().unwrap();
        let session = sessions.into_iter().find(|one| one.database.as_str() == servers.scratch);
        let session = session.unwrap_or_else(|| panic!("{on} has no session"));
        let partner = session.partner_instance.unwrap_or_default();
        let wanted = &servers.facts[other].server_name;
        assert!(partner.eq_ignore_ascii_case(wanted), "{on}: {partner} instead of {wanted}");
        guids.push(session.guid);
    }
    assert_eq!(guids[0], guids[1]);
    if servers.topology.instance(&"witness".into()).is_some() {
        servers
            .act("primary", DatabaseAction::SetWitness { address: address(servers, "witness") })
            .await;
        let survey = servers.instance("witness").survey().await.unwrap();
        let witnessed = survey.witnessed.known().cloned().unwrap();
        assert!(witnessed.contains(&guids[0]), "{witnessed:?}");
    }
}
