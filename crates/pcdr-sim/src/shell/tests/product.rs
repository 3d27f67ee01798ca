//! Pool state, active servers, parameter sets.

use std::time::Duration;

use super::fake::Bench;
use crate::shell::{CmsAvailability, PoolState};

#[tokio::test]
async fn pool_state_is_set_and_read_back() {
    let bench = Bench::new(Duration::ZERO);
    bench
        .ok("Set-CsPersistentChatState -Identity \"service:chat.test\" -PoolState FailedOver")
        .await;
    assert_eq!(bench.shell.pool_state("CHAT.test"), PoolState::FailedOver);
    let text = bench.ok("Get-CsPersistentChatState -Id PersistentChatServer:chat.test").await;
    assert!(text.contains("PoolState : FailedOver"), "{text}");
    bench.ok("Get-CsPersistentChatState | Set-CsPersistentChatState -PoolState Normal").await;
    assert_eq!(bench.shell.pool_state("chat.test"), PoolState::Normal);
}

#[tokio::test]
async fn bad_identity_and_bad_values_are_refused() {
    let bench = Bench::new(Duration::ZERO);
    for (script, id) in [
        (
            "Set-CsPersistentChatState -Identity 'service: chat.test' -PoolState FailedOver",
            "ServiceNotFound,",
        ),
        (
            "Set-CsPersistentChatState -Identity 'chat.test' -PoolState FailedOver",
            "InvalidIdentity,",
        ),
        (
            "Set-CsPersistentChatState -Identity service:chat.test -PoolState Broken",
            "CannotConvertArgumentNoMessage,",
        ),
        ("Set-CsPersistentChatState service:chat.test -PoolState", "MissingArgument,"),
        ("Set-CsPersistentChatState -Identity a -Identity b", "ParameterAlreadyBound,"),
        ("Get-CsPersistentChatActiveServer", "CommandNotFoundException"),
        ("Set-CsPersistentChatActiveServer -Identity global", "AmbiguousParameterSet,"),
        ("Set-CsPersistentChatActiveServer -Swap -ActiveServers $Null", "AmbiguousParameterSet,"),
        ("Set-CsPersistentChatActiveServer -ActiveServers @{Add='nobody.test'}", "ServerNotFound,"),
        (
            "Set-CsPersistentChatActiveServer -ActiveServers @{Insert='c1.a.test'}",
            "CannotConvertArgumentNoMessage,",
        ),
        (
            "Set-CsPersistentChatActiveServer -ActiveServers @{Add='c1 a'}",
            "CannotConvertArgumentNoMessage,",
        ),
        (
            "Install-CsMirrorDatabase -FileShare \\\\s\\x -SqlServerFqdn sql1.a.test",
            "AmbiguousParameterSet,",
        ),
        (
            "Install-CsMirrorDatabase -DatabaseType PersistentChat -FileShare \\\\s\\x",
            "MissingMandatoryParameter,",
        ),
        (
            "Install-CsMirrorDatabase -ConfiguredDatabases -DatabaseType User -FileShare \\\\s\\x -SqlServerFqdn sql1.a.test",
            "AmbiguousParameterSet,",
        ),
        ("Get-CsService -PersistentChatServer -EdgeServer", "AmbiguousParameterSet,"),
        ("Get-CsDatabaseMirrorState extra", "PositionalParameterNotFound,"),
        ("1 | Get-CsDatabaseMirrorState -PoolFqdn chat.test", "InputObjectNotBound,"),
        (
            "Set-CsPersistentChatState -Identity service:chat.test -Confirm:'no'",
            "CannotConvertArgumentNoMessage,",
        ),
    ] {
        let text = bench.fails(script).await;
        assert!(text.contains(&format!("FullyQualifiedErrorId : {id}")), "{script}: {text}");
    }
    assert_eq!(bench.shell.pool_state("chat.test"), PoolState::Normal);
}

#[tokio::test]
async fn active_servers_are_added_removed_swapped_and_cleared() {
    let bench = Bench::new(Duration::ZERO);
    bench.ok("Set-CsPersistentChatActiveServer -Identity PChatServerCollection -ActiveServers @{Add=\"c5.b.test\"; Remove='c1.a.test','c2.a.test'}").await;
    assert_eq!(bench.shell.active_servers(), ["c5.b.test"]);
    bench.ok("Set-CsPersistentChatActiveServer -Swap").await;
    assert_eq!(bench.shell.active_servers(), ["c1.a.test", "c2.a.test", "c6.b.test"]);
    bench.ok("Set-CsPersistentChatActiveServer -Identity global -ActiveServers $Null").await;
    assert!(bench.shell.active_servers().is_empty());
}

#[tokio::test]
async fn what_if_changes_nothing_and_a_lost_store_refuses_changes() {
    let bench = Bench::new(Duration::ZERO);
    let set = "Set-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver";
    let text = bench.ok(&format!("{set} -WhatIf")).await;
    assert!(text.starts_with("What if:"));
    bench.shell.set_cms(CmsAvailability::ReadOnly);
    assert!(bench.fails(set).await.contains("CentralManagementStoreIsReadOnly"));
    bench.ok("Get-CsPersistentChatState").await;
    bench.shell.set_cms(CmsAvailability::Available);
    bench.shell.set_site_up("A", false);
    assert!(
        bench
            .fails("Get-CsPersistentChatState")
            .await
            .contains("CannotConnectToCentralManagementStore")
    );
    bench.ok("Get-CsPersistentChatState -LocalStore").await;
    let status = "(Get-CsManagementStoreReplicationStatus -Central).ActiveMasterFQDN -eq $null";
    assert_eq!(bench.ok(status).await, "True\n");
    bench.shell.move_cms("fe.b.test", "B");
    bench.ok(set).await;
    assert_eq!(bench.shell.pool_state("chat.test"), PoolState::FailedOver);
}

#[tokio::test]
async fn a_cmdlet_fails_once_when_told_to() {
    let bench = Bench::new(Duration::ZERO);
    bench.shell.fail_next("get-cspersistentchatstate", "the store is busy");
    assert!(bench.fails("Get-CsPersistentChatState").await.contains("the store is busy"));
    bench.ok("Get-CsPersistentChatState").await;
}

#[tokio::test]
async fn services_are_listed_by_selector_and_pool() {
    let bench = Bench::new(Duration::ZERO);
    let text = bench
        .ok("Get-CsService -PersistentChatServer | Select-Object -ExpandProperty Identity")
        .await;
    assert_eq!(text, "PersistentChatServer:chat.test\n");
    let text = bench.ok("(Get-CsService -PersistentChatDatabase -PoolFqdn chat.test).Count").await;
    assert_eq!(text, "4\n");
    assert_eq!(bench.ok("Get-CsService -EdgeServer").await, "");
    let text = bench
        .ok("(Test-CsDatabase -DatabaseType PersistentChat -SqlServerFqdn sql1.a.test).Result")
        .await;
    assert_eq!(text, "Success\n");
}
