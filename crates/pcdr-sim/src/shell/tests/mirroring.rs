//! Mirror installation, removal and failover.

use std::time::Duration;

use super::fake::Bench;

const INSTALL: &str = "Install-CsMirrorDatabase -DatabaseType PersistentChat -FileShare \\\\dc\\share -SqlServerFqdn sql1.a.test";

#[tokio::test]
async fn a_prompt_is_an_error_when_nobody_can_answer() {
    let bench = Bench::new(Duration::ZERO);
    let text = bench.fails(INSTALL).await;
    assert!(text.contains("InvalidOperation,"), "{text}");
    let world = bench.world.lock().unwrap();
    assert!(!world.batches.iter().any(|b| b.contains("BACKUP")));
}

#[tokio::test]
async fn a_prompt_takes_the_next_typed_line() {
    for (answers, installed) in
        [("A", true), ("", true), ("?\nwhat\ny", true), ("N", false), ("L", false)]
    {
        let bench = Bench::new(Duration::ZERO);
        let output = bench.shell.run_script(&format!("{INSTALL}\n{answers}\n"), true).await;
        assert!(output.stdout.contains("[Y] Yes  [A] Yes to All"), "{}", output.stdout);
        assert!(output.stdout.contains("Database Name:mgc"));
        assert_eq!(
            !bench.world.lock().unwrap().roles.is_empty(),
            installed,
            "{answers}: {}",
            output.stderr
        );
    }
}

#[tokio::test]
async fn a_mirror_is_installed_with_backups_through_the_share() {
    let bench = Bench::new(Duration::ZERO);
    bench.world.lock().unwrap().endpoints.insert("sql2.a.test".into(), 5099);
    bench.ok(&format!("{INSTALL} -Confirm:$false")).await;
    let batches = bench.world.lock().unwrap().batches.clone();
    let changes: Vec<&str> =
        batches.iter().map(String::as_str).filter(|b| !b.contains("SELECT")).collect();
    assert_eq!(
        changes,
        [
            "sql1.a.test: ALTER DATABASE [mgc] SET RECOVERY FULL",
            "sql1.a.test: CREATE ENDPOINT [mirroring_endpoint] STATE = STARTED AS TCP (LISTENER_PORT = 5022) FOR DATABASE_MIRRORING (ROLE = PARTNER)",
            "sql1.a.test: BACKUP DATABASE [mgc] TO DISK = N'\\\\dc\\share\\mgc_mirror.bak' WITH FORMAT, INIT",
            "sql1.a.test: BACKUP LOG [mgc] TO DISK = N'\\\\dc\\share\\mgc_mirror.trn' WITH FORMAT, INIT",
            "sql2.a.test: RESTORE DATABASE [mgc] FROM DISK = N'\\\\dc\\share\\mgc_mirror.bak' WITH NORECOVERY",
            "sql2.a.test: RESTORE LOG [mgc] FROM DISK = N'\\\\dc\\share\\mgc_mirror.trn' WITH NORECOVERY",
            "sql2.a.test: ALTER DATABASE [mgc] SET PARTNER = N'TCP://sql1.a.test:5022'",
            "sql1.a.test: ALTER DATABASE [mgc] SET PARTNER = N'TCP://sql2.a.test:5099'",
            "wit.a.test: CREATE ENDPOINT [mirroring_endpoint] STATE = STARTED AS TCP (LISTENER_PORT = 7022) FOR DATABASE_MIRRORING (ROLE = WITNESS)",
            "sql1.a.test: ALTER DATABASE [mgc] SET WITNESS = N'TCP://wit.a.test:7022'",
        ]
    );
}

#[tokio::test]
async fn an_existing_copy_on_the_mirror_is_dropped_only_when_told_so() {
    let bench = Bench::new(Duration::ZERO);
    bench.world.lock().unwrap().databases.insert("sql2.a.test".into(), false);
    assert!(
        bench.fails(&format!("{INSTALL} -Confirm:$false")).await.contains("DatabaseExistsOnMirror")
    );
    bench.ok(&format!("{INSTALL} -Confirm:$false -Drop")).await;
    assert!(
        bench
            .fails(&format!("{INSTALL} -Confirm:$false -Drop"))
            .await
            .contains("DatabaseAlreadyMirrored")
    );
    bench.ok("Uninstall-CsMirrorDatabase -DatabaseType PersistentChat -SqlServerFqdn sql1.a.test -Drop -Confirm:$false").await;
    assert!(bench.world.lock().unwrap().roles.is_empty());
}

#[tokio::test]
async fn an_error_of_sql_server_is_the_cmdlets_error() {
    let bench = Bench::new(Duration::ZERO);
    bench.world.lock().unwrap().fail = Some("BACKUP LOG");
    let text = bench.fails(&format!("{INSTALL} -Confirm:$false")).await;
    assert!(text.contains("SqlExecutionFailed,") && text.contains("Msg 3201"), "{text}");
}

#[tokio::test]
async fn failover_moves_the_principal_and_needs_force_when_it_is_lost() {
    let bench = Bench::new(Duration::ZERO);
    bench.ok(&format!("{INSTALL} -Confirm:$false")).await;
    let state = "Get-CsDatabaseMirrorState -PoolFqdn chat.test -DatabaseType PersistentChat | ForEach-Object { \"$($_.StateOnPrimary) $($_.StateOnMirror) $($_.MirroringStatusOnPrimary)\" }";
    assert_eq!(bench.ok(state).await, "Principal Mirror synchronized\n");
    let failover = "Invoke-CsDatabaseFailover -PoolFqdn chat.test -DatabaseType PersistentChat -Confirm:$false";
    bench.ok(&format!("{failover} -NewPrincipal Mirror")).await;
    assert_eq!(bench.ok(state).await, "Mirror Principal synchronized\n");
    bench.connections.set_reachable("sql2.a.test", "", false);
    assert!(
        bench
            .fails(&format!("{failover} -NewPrincipal Primary"))
            .await
            .contains("SqlServerNotReachable")
    );
    bench.ok(&format!("{failover} -NewPrincipal Primary -Force")).await;
    assert_eq!(
        bench.ok(state).await,
        "Principal DatabaseInaccessibleOrMirroringNotEnabled synchronized\n"
    );
    let text = bench.fails("Invoke-CsDatabaseFailover -PoolFqdn chat.test -DatabaseType User -NewPrincipal Mirror -Confirm:$false").await;
    assert!(text.contains("DatabaseNotFound"));
}

#[tokio::test]
async fn after_the_pool_failed_over_the_backup_gets_the_mirror() {
    let bench = Bench::new(Duration::ZERO);
    bench.ok("Set-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver").await;
    bench.ok("Install-CsMirrorDatabase -ConfiguredDatabases -FileShare \\\\dc\\share -SqlServerFqdn sql3.b.test -Confirm:$false").await;
    let world = bench.world.lock().unwrap();
    assert_eq!(world.roles.get("sql4.b.test"), Some(&"MIRROR"));
}
