//! The server that a client meets: one instance, with a certificate, and databases to try things on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use pcdr_sim::engine::session::Instance;
use pcdr_sim::engine::state::InstanceConfig;
use pcdr_sim::engine::world::World;
use pcdr_sim::front::{Front, Login, Replies, Reply, Request};
use pcdr_sim::wire::{CertificateAuthority, Listener, WireConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What went wrong while the server was set up.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// As in `@@SERVERNAME`.
const SERVER: &str = "SQL-A";
/// An online database, in full recovery.
const DATABASE: &str = "chat";
/// A database in the state RESTORING.
const RESTORING: &str = "standby";
/// Replies that may wait for being looked at.
const UNREAD_REPLIES: usize = 64;

/// A served instance. Dropping it ends every connection and removes its files.
pub struct StandIn {
    address: SocketAddr,
    password: String,
    folder: TempDir,
    _listener: Listener,
    _runtime: Runtime,
}

impl StandIn {
    /// Serves a new instance on a free port of this machine.
    ///
    /// # Errors
    ///
    /// No folder, port or certificate, or the instance refuses what sets it up.
    pub fn start() -> Result<StandIn, Failure> {
        let runtime = Runtime::new()?;
        let folder = tempfile::tempdir()?;
        let disks = folder.path().join("disks");
        std::fs::create_dir(&disks)?;
        let world = World::new(&disks, 1, "2026-03-01T10:00:00Z".parse()?)?;
        world.add_site("north");
        let config = InstanceConfig::new(SERVER, "north");
        let password = config.sa_password.clone();
        let instance = world.add_instance(config)?;

        let authority = CertificateAuthority::new("pcdr stand-in")?;
        let identity = authority.issue(&["localhost"], &[IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
        let stranger = CertificateAuthority::new("somebody else")?;
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        write("ca.pem", authority.pem())?;
        write("stranger.pem", stranger.pem())?;
        write("server.pem", identity.pem())?;

        let listener = runtime.block_on(async {
            prepare(&instance, &password).await?;
            let front: Arc<dyn Front> = Arc::new(instance);
            let config = Arc::new(WireConfig::with_identity(identity));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            Ok::<_, Failure>(Listener::bind(address, front, config).await?)
        })?;
        let address = listener.address();
        Ok(StandIn { address, password, folder, _listener: listener, _runtime: runtime })
    }

    /// A folder for whatever the client wants to write; it goes with the stand-in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a script needs to know, as environment variables.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("TDS_HOST", "localhost".to_owned()),
            ("TDS_ADDRESS", self.address.ip().to_string()),
            ("TDS_PORT", self.address.port().to_string()),
            ("TDS_SERVER_NAME", SERVER.to_owned()),
            ("TDS_USER", "sa".to_owned()),
            ("TDS_PASSWORD", self.password.clone()),
            ("TDS_DATABASE", DATABASE.to_owned()),
            ("TDS_RESTORING", RESTORING.to_owned()),
            ("TDS_CA_FILE", file("ca.pem")),
            ("TDS_STRANGER_FILE", file("stranger.pem")),
            ("TDS_CERTIFICATE_FILE", file("server.pem")),
            ("TDS_FOLDER", self.folder.path().display().to_string()),
        ]
    }
}

/// Creates the databases, through the instance's own language.
async fn prepare(instance: &Instance, password: &str) -> Result<(), Failure> {
    let mut session = instance.login(&Login::sql("sa", password)).await?;
    let batches = [
        format!("CREATE DATABASE [{DATABASE}]"),
        format!(
            "USE [{DATABASE}] CREATE TABLE dbo.kept (id int NOT NULL, text nvarchar(100) NULL)"
        ),
        format!("USE master CREATE DATABASE [{RESTORING}]"),
        format!("BACKUP DATABASE [{RESTORING}] TO DISK = N'D:\\standby.bak'"),
        format!(
            "RESTORE DATABASE [{RESTORING}] FROM DISK = N'D:\\standby.bak' WITH NORECOVERY, REPLACE"
        ),
    ];
    for batch in batches {
        let (sender, mut replies) = tokio::sync::mpsc::channel(UNREAD_REPLIES);
        let run = session.run(Request::Batch(batch.clone()), Replies(sender), Default::default());
        let watch = async {
            let mut errors = Vec::new();
            while let Some(reply) = replies.recv().await {
                if let Reply::Message(message) = reply
                    && message.is_error()
                {
                    errors.push(message.to_string());
                }
            }
            errors
        };
        let ((), errors) = tokio::join!(run, watch);
        if !errors.is_empty() {
            return Err(format!("{batch}: {}", errors.join("; ")).into());
        }
    }
    Ok(())
}
