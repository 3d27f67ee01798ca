//! Replication delay and the chat servers.

use std::time::Duration;

use super::fake::Bench;
use crate::shell::{ChatServers, Ping};

fn written(host: &str) -> Option<Ping> {
    Some(Ping::Written(host.to_owned()))
}

const STATUS: &str = "(Get-CsManagementStoreReplicationStatus -ReplicaFqdn c5.b.test).UpToDate";

#[tokio::test(start_paused = true)]
async fn a_change_reaches_a_replica_only_after_its_delay() {
    let bench = Bench::new(Duration::from_secs(60));
    assert_eq!(bench.ok(STATUS).await, "True\n");
    bench.ok("Set-CsPersistentChatActiveServer -ActiveServers $Null").await;
    assert_eq!(bench.ok(STATUS).await, "False\n");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(bench.ok(STATUS).await, "False\n");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bench.ok(STATUS).await, "True\n");
    assert!(
        bench
            .fails("Get-CsManagementStoreReplicationStatus nobody.test")
            .await
            .contains("ReplicaNotFound")
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_or_lost_replica_stays_behind_until_it_returns() {
    let bench = Bench::new(Duration::from_secs(10));
    bench.shell.set_replication_stuck("c5.b.test", true);
    bench.shell.set_server_running("c6.b.test", false);
    bench.ok("Set-CsPersistentChatActiveServer -ActiveServers $Null").await;
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(bench.shell.is_up_to_date("c1.a.test"));
    assert!(!bench.shell.is_up_to_date("c5.b.test"));
    assert!(!bench.shell.is_up_to_date("c6.b.test"));
    bench.shell.set_replication_stuck("c5.b.test", false);
    bench.shell.set_server_running("c6.b.test", true);
    assert!(!bench.shell.is_up_to_date("c5.b.test"));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(bench.shell.is_up_to_date("c5.b.test"));
    assert!(bench.shell.is_up_to_date("c6.b.test"));
}

#[tokio::test(start_paused = true)]
async fn chat_servers_follow_their_own_copy_of_the_settings() {
    let bench = Bench::new(Duration::from_secs(60));
    let servers = ChatServers::start(&bench.shell, Duration::from_secs(5));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(servers.latest("c1.a.test"), written("sql1.a.test"));
    assert_eq!(servers.latest("c5.b.test"), Some(Ping::Idle));

    bench.ok("Set-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(servers.latest("c1.a.test"), written("sql1.a.test"));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(servers.latest("c1.a.test"), written("sql3.b.test"));

    bench.shell.set_site_up("A", false);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(servers.latest("c1.a.test"), Some(Ping::Idle));
    let before = bench.world.lock().unwrap().pings.clone();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.world.lock().unwrap().pings, before);
}

#[tokio::test(start_paused = true)]
async fn chat_servers_find_the_current_principal() {
    let bench = Bench::new(Duration::ZERO);
    bench.ok("Install-CsMirrorDatabase -DatabaseType PersistentChat -FileShare \\\\dc\\share -SqlServerFqdn sql1.a.test -Confirm:$false").await;
    let servers = ChatServers::start(&bench.shell, Duration::from_secs(5));
    bench.ok("Invoke-CsDatabaseFailover -PoolFqdn chat.test -DatabaseType PersistentChat -NewPrincipal Mirror -Confirm:$false").await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(servers.latest("c1.a.test"), written("sql2.a.test"));
    bench.connections.set_reachable("sql2.a.test", "", false);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(matches!(servers.latest("c1.a.test"), Some(Ping::Failed(_))));
}
