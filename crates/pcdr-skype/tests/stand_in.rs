//! The scripts against the Management Shell stand-in, which reads them as a PowerShell would.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_sim::front::{
    DoneKind, Front, FrontSession, Login, Replies, Reply, Request, ServerIdentity,
};
use pcdr_sim::message::SqlFailure;
use pcdr_sim::shell::{
    ChatPool, ChatServer, CmsAvailability, FixedConnections, ManagementShell, ShellConfig,
    ShellTopology, SqlStore, SqlStores,
};
use pcdr_sim::value::{Column, SqlType, Value};
use pcdr_skype::{
    DatabaseType, InstallMirror, NewPrincipal, Output, PoolState, Product, Shell, ShellErrorKind,
    ShellTransport, TransportError, quote,
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct InProcess {
    shell: Arc<ManagementShell>,
    /// Printed before and after the script's own output.
    noise: &'static str,
    scripts: Mutex<Vec<String>>,
}

#[async_trait]
impl ShellTransport for InProcess {
    async fn run(&self, script: &str) -> Result<Output, TransportError> {
        self.scripts.lock().unwrap().push(script.to_owned());
        let output = self.shell.run_script(script, false).await;
        Ok(Output {
            stdout: format!("{}{}{}", self.noise, output.stdout, self.noise),
            stderr: output.stderr,
            exit_code: Some(output.exit_code),
        })
    }
}

/// Role of each host in the one mirroring session.
type Roles = Arc<Mutex<BTreeMap<String, &'static str>>>;

/// A SQL Server that only knows its part in the mirroring session.
struct Partner(String, Roles);

struct Session(String, Roles);

#[async_trait]
impl Front for Partner {
    fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            server_name: self.0.clone(),
            instance_name: String::new(),
            version: (12, 0, 5000),
        }
    }

    async fn login(&self, _login: &Login) -> Result<Box<dyn FrontSession>, SqlFailure> {
        Ok(Box::new(Session(self.0.clone(), Arc::clone(&self.1))))
    }
}

impl Session {
    fn row(&self, batch: &str) -> Option<Vec<Value>> {
        let mut roles = self.1.lock().unwrap();
        if batch.contains("sys.database_mirroring AS") {
            let role = roles.get(&self.0)?;
            return Some(vec![Value::string(role), Value::string("SYNCHRONIZED")]);
        }
        if batch.contains("recovery_model_desc") {
            return Some(vec![Value::string("FULL"), Value::Null]);
        }
        if batch.contains("tcp_endpoints") {
            return Some(vec![Value::Int(5022), Value::Null]);
        }
        if batch.contains("SET PARTNER = ") {
            let role = if roles.is_empty() { "MIRROR" } else { "PRINCIPAL" };
            roles.insert(self.0.clone(), role);
        }
        if batch.ends_with("SET PARTNER FAILOVER") {
            for role in roles.values_mut() {
                *role = if *role == "MIRROR" { "PRINCIPAL" } else { "MIRROR" };
            }
        }
        None
    }
}

#[async_trait]
impl FrontSession for Session {
    fn session_id(&self) -> u16 {
        51
    }

    fn database(&self) -> String {
        "master".into()
    }

    fn ended(&self) -> CancellationToken {
        CancellationToken::new()
    }

    async fn run(&mut self, request: Request, replies: Replies, _cancel: CancellationToken) {
        let Request::Batch(batch) = request else { return };
        if let Some(row) = self.row(&batch) {
            let columns = vec![Column::new("a", SqlType::SYSNAME); 2];
            replies.send(Reply::Columns(columns)).await;
            replies.send(Reply::Row(row)).await;
        }
        let done = Reply::Done { kind: DoneKind::Statement, command: 0, rows: None, error: false };
        replies.send(done).await;
    }
}

fn bench(delay: Duration, noise: &'static str) -> (Shell, Arc<InProcess>) {
    let roles = Roles::default();
    let connections = FixedConnections::default();
    for host in ["sql1.test", "sql2.test"] {
        connections.add(host, "", Arc::new(Partner(host.into(), Arc::clone(&roles))));
    }
    let store = |fqdn: &str| SqlStore {
        fqdn: fqdn.into(),
        instance: String::new(),
        site: "A".into(),
        mirroring_port: 5022,
    };
    let server = |id: i32, fqdn: &str| ChatServer {
        id,
        fqdn: fqdn.into(),
        site: "A".into(),
        replication_delay: None,
    };
    let topology = ShellTopology {
        pools: vec![ChatPool {
            fqdn: "chat.test".into(),
            site: "A".into(),
            next_hop: "fe.test".into(),
            servers: vec![server(1, "c1.test"), server(2, "c2.test")],
            content: SqlStores {
                primary: store("sql1.test"),
                primary_mirror: Some(store("sql2.test")),
                primary_witness: None,
                backup: Some(store("sql3.test")),
                backup_mirror: None,
                backup_witness: None,
            },
            compliance: None,
            active: Vec::new(),
        }],
        cms_fqdn: "fe.test".into(),
        cms_site: "A".into(),
        shell_fqdn: "admin.test".into(),
        shell_site: "A".into(),
        other_replicas: Vec::new(),
    };
    let mut config = ShellConfig::new(topology, Arc::new(connections));
    config.replication_delay = delay;
    let transport = Arc::new(InProcess {
        shell: ManagementShell::new(config),
        noise,
        scripts: Mutex::default(),
    });
    let shell = Shell::new(Arc::clone(&transport) as _, Product::default());
    (shell, transport)
}

fn plain() -> (Shell, Arc<InProcess>) {
    bench(Duration::ZERO, "")
}

#[tokio::test]
async fn pool_state_is_set_and_read_through_banners_and_warnings() {
    let noise = "Welcome!\nWARNING: <pcdr-> {\"result\":[\"FailedOver\"]}\n";
    let (shell, _) = bench(Duration::ZERO, noise);
    assert_eq!(shell.pool_state("chat.test").await, Ok(PoolState::Normal));
    shell.set_pool_state("chat.test", PoolState::FailedOver).await.unwrap();
    assert_eq!(shell.pool_state("chat.test").await, Ok(PoolState::FailedOver));
    let shell = shell.with_module("SkypeForBusiness");
    shell.set_pool_state("chat.test", PoolState::Normal).await.unwrap();
    assert_eq!(shell.pool_state("chat.test").await, Ok(PoolState::Normal));
}

#[tokio::test]
async fn active_servers_are_cleared_and_added_one_call_per_server() {
    let (shell, transport) = plain();
    shell.add_active_servers(&["c2.test", "c1.test"]).await.unwrap();
    assert_eq!(transport.shell.active_servers(), ["c2.test", "c1.test"]);
    let script = transport.scripts.lock().unwrap().pop().unwrap();
    assert_eq!(script.matches("Set-CsPersistentChatActiveServer").count(), 2);
    shell.remove_active_servers(&["c2.test"]).await.unwrap();
    assert_eq!(transport.shell.active_servers(), ["c1.test"]);
    shell.clear_active_servers().await.unwrap();
    assert!(transport.shell.active_servers().is_empty());
    shell.add_active_servers(&[]).await.unwrap();
}

#[tokio::test]
async fn a_mirror_is_installed_without_a_prompt_and_the_principal_moves() {
    let (shell, _) = plain();
    let what = InstallMirror {
        database_type: DatabaseType::PersistentChat,
        file_share: r"\\dc\share".into(),
        sql_server_fqdn: "sql1.test".into(),
        sql_instance_name: None,
        drop_existing_databases_on_mirror: true,
    };
    shell.install_mirror(&what).await.unwrap();
    let content = DatabaseType::PersistentChat;
    let state = shell.mirror_state("chat.test", content).await.unwrap();
    assert_eq!(state.len(), 1);
    assert_eq!(state[0].database_name, "mgc");
    assert_eq!(
        (state[0].state_on_primary.as_str(), state[0].state_on_mirror.as_str()),
        ("Principal", "Mirror")
    );
    assert_eq!(state[0].status_on_mirror, "synchronized");
    shell.fail_over_database("chat.test", content, NewPrincipal::Mirror, false).await.unwrap();
    let state = shell.mirror_state("chat.test", content).await.unwrap();
    assert_eq!(state[0].state_on_primary, "Mirror");
    let again = shell.install_mirror(&what).await.unwrap_err();
    assert_eq!(again.cmdlet, "Install-CsMirrorDatabase");
    assert!(again.fully_qualified_error_id.starts_with("DatabaseAlreadyMirrored,"), "{again}");
    let named = InstallMirror { sql_instance_name: Some("chat".into()), ..what };
    let missing = shell.install_mirror(&named).await.unwrap_err();
    assert_eq!(missing.kind, ShellErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_up_to_date_only_after_the_change_reached_it() {
    let (shell, _) = bench(Duration::from_secs(90), "");
    let up_to_date = async |shell: &Shell| {
        let status = shell.replication_status(&["c2.test", "c1.test"]).await.unwrap();
        assert_eq!(status[0].replica, "c2.test");
        assert!(!status[0].last_update_creation.is_empty());
        (status[0].up_to_date, status[1].up_to_date)
    };
    assert_eq!(up_to_date(&shell).await, (Some(true), Some(true)));
    shell.set_pool_state("chat.test", PoolState::FailedOver).await.unwrap();
    assert_eq!(up_to_date(&shell).await, (Some(false), Some(false)));
    tokio::time::advance(Duration::from_secs(90)).await;
    assert_eq!(up_to_date(&shell).await, (Some(true), Some(true)));
    assert_eq!(shell.replication_status(&[]).await, Ok(Vec::new()));
    let unknown = shell.replication_status(&["c9.test"]).await.unwrap_err();
    assert_eq!(unknown.kind, ShellErrorKind::NotFound);
}

#[tokio::test]
async fn a_lost_central_management_store_is_seen() {
    let (shell, transport) = plain();
    let status = shell.cms_status().await.unwrap();
    assert_eq!(status.active_master, "fe.test");
    assert_eq!(status.file_transfer_agents, ["fe.test"]);
    assert!(status.is_available());
    transport.shell.set_cms(CmsAvailability::Unavailable);
    assert!(!shell.cms_status().await.unwrap().is_available());
    let lost = shell.pool_state("chat.test").await.unwrap_err();
    assert_eq!(lost.kind, ShellErrorKind::Unavailable);
    transport.shell.set_cms(CmsAvailability::ReadOnly);
    let refused = shell.set_pool_state("chat.test", PoolState::FailedOver).await.unwrap_err();
    assert_eq!(refused.kind, ShellErrorKind::PermissionDenied);
}

#[tokio::test]
async fn errors_are_typed_and_carry_identifier_cmdlet_and_message() {
    let (shell, transport) = plain();
    let error = shell.pool_state("nobody.test").await.unwrap_err();
    assert_eq!(error.kind, ShellErrorKind::NotFound);
    assert_eq!(error.cmdlet, "Get-CsPersistentChatState");
    assert!(error.fully_qualified_error_id.starts_with("ServiceNotFound,"));
    assert!(error.message.contains("nobody.test"));
    let error = shell.add_active_servers(&["c1.test'; exit 0; '"]).await.unwrap_err();
    assert_eq!(error.kind, ShellErrorKind::InvalidArguments);
    transport.shell.fail_next("Get-CsPersistentChatState", "it’s <broken>\nreally");
    let error = shell.pool_state("chat.test").await.unwrap_err();
    assert_eq!(error.message, "it’s <broken>\nreally");
    assert_eq!(error.kind, ShellErrorKind::Failed);
    let error = shell.with_module("Nope").pool_state("chat.test").await.unwrap_err();
    assert_eq!(error.cmdlet, "Import-Module");
}

#[tokio::test]
async fn no_hostile_name_gets_out_of_its_quotes() {
    let (shell, transport) = plain();
    for hostile in [
        "x' -PoolState FailedOver; '",
        "x’; Set-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver; ‘",
        "x\n\nSet-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver\n",
        "$(Set-CsPersistentChatState -Identity service:chat.test -PoolState FailedOver)",
        "`'; exit 0 #",
        "x\0y",
    ] {
        let error = shell.set_pool_state(hostile, PoolState::Normal).await.unwrap_err();
        assert_eq!(error.kind, ShellErrorKind::NotFound, "{hostile:?}: {error}");
        assert!(error.message.contains(hostile), "{hostile:?}: {error}");
        let script = transport.scripts.lock().unwrap().pop().unwrap();
        let script = script.strip_suffix("\n\n").unwrap();
        assert!(script.chars().all(|c| matches!(c, ' '..='~')), "{script}");
    }
    assert_eq!(shell.pool_state("chat.test").await, Ok(PoolState::Normal));
}

#[tokio::test]
async fn a_shell_that_says_something_else_gives_no_answer() {
    #[derive(Debug)]
    struct Mute;
    #[async_trait]
    impl ShellTransport for Mute {
        async fn run(&self, _script: &str) -> Result<Output, TransportError> {
            Ok(Output {
                stdout: String::new(),
                stderr: "powershell: not licensed".into(),
                exit_code: Some(5),
            })
        }
    }
    let shell = Shell::new(Arc::new(Mute), Product::LyncServer2013);
    let error = shell.clear_active_servers().await.unwrap_err();
    assert_eq!(error.kind, ShellErrorKind::NoAnswer);
    assert!(error.message.contains("exit code 5") && error.message.contains("not licensed"));
}

proptest! {
    // A failure prints its smallest input and its seed; nothing is written beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_survives_quoting_and_the_shells_tokenizer(
        text in prop_oneof![
            any::<String>(),
            prop::collection::vec(
                prop::sample::select(vec!["'", "’", "‘", "‚", "‛", "\"", "“", "$(", ")", "`", "\n", "\r", "\0", "a", " ", ",", "#", "-", "\u{2028}", "\u{1f600}"]),
                0..30,
            ).prop_map(|parts| parts.concat()),
        ]
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, transport) = plain();
        let script = format!("ConvertTo-Json -Compress -InputObject {}", quote(&text));
        prop_assert!(script.chars().all(|c| matches!(c, ' '..='~')));
        let output = runtime.block_on(transport.shell.run_script(&script, false));
        prop_assert_eq!(&output.stderr, "");
        let read: String = serde_json::from_str(output.stdout.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read, text);
    }
}
