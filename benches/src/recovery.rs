//! A recovery of many log backups on stand-ins in virtual time: by pcdr, by the documented sequence, and
//! the shortest time that the costs leave to anybody.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a measurement that fails says where"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::over_links::OverLinks;
use pcdr_cli::plan;
use pcdr_core::ports::{BackupFiles, Owner, Ports, Unwatched};
use pcdr_core::step::FileAction;
use pcdr_core::{Consent, DatabaseName, InstanceName, Intent, Topology};
use pcdr_sim::engine::media;
use pcdr_sim::engine::state::Costs;

use crate::many::{Many, Time, Unseen, name};

/// Both shares in reach, and a link between them: the file server of the lost primary is still there.
const TOPOLOGY: &str = r#"
[[sites]]
name = "north"
[[sites]]
name = "south"
[[links]]
between = ["north", "south"]
fast = false
megabits_per_second = 800
[[instances]]
name = "sql-n1"
site = "north"
role = "primary"
host = "sql-n1.example.net"
port = 1433
[[instances]]
name = "sql-s1"
site = "south"
role = "secondary"
host = "sql-s1.example.net"
port = 1433
[[shares]]
name = "log-backups"
site = "north"
unc = '\\files-n.example.net\logbackups'
[[shares]]
name = "log-copies"
site = "south"
unc = '\\sql-s1.example.net\logcopies'
[log_shipping]
backup_share = "log-backups"
copy_share = "log-copies"
backup_every = "23h"
copy_every = "23h"
restore_every = "23h"
[connection]
login = "pcdr"
password_env = "PCDR_PASSWORD"
"#;

/// A round trip, to a server and over the link.
pub const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Opening a backup to read its header.
pub const HEADER: Duration = Duration::from_millis(5);
/// The link, in bytes per second.
pub const LINK: u64 = 100_000_000;
/// A restore beside its bytes, and the bytes per second.
pub const RESTORE: (Duration, u64) = (Duration::from_millis(30), 200_000_000);
/// Recovering a database.
pub const RECOVERY: Duration = Duration::from_millis(10);

/// Log backups that nobody has copied yet, of databases whose primary is lost.
pub struct Backlog {
    many: Many,
    /// The files of each database in the order of its log: name and size in bytes.
    files: Vec<Vec<(String, u64)>>,
}

impl Backlog {
    /// So many databases with so many log backups each, of 8 to 24 MB.
    pub async fn of(databases: usize, each: usize) -> Backlog {
        let many = Many::of(TOPOLOGY, databases, Time::Virtual).await;
        many.configure_side_by_side().await;
        let topology = many.stand_in.file.topology.clone();
        let world = &many.stand_in.world;
        let primary = topology.primary();
        let share = topology.backup_share();
        let mount = PathBuf::from(share.mount.as_ref().unwrap());
        let mut files = Vec::new();
        for number in 0..databases {
            let database = name(number);
            let mut of_database = Vec::new();
            for file in 0..each {
                let megabytes = 8 + (number * 7 + file * 5) % 17;
                let at = u64::try_from(file + 1).unwrap();
                many.workload
                    .write(&primary.name, &database.as_str().into(), at..at + 1, 0)
                    .await
                    .unwrap();
                let bytes = u64::try_from(megabytes).unwrap() * 1_000_000;
                world.add_log_volume(&primary.server_name, &database, bytes);
                let file = format!("{database}_{:014}.trn", file + 1);
                let path = share.path_of(&file);
                let backup = format!("BACKUP LOG [{database}] TO DISK = N'{path}';");
                many.workload.send(&primary.name, backup).await.unwrap();
                let size = media::declared_size(&mount.join(&file)).unwrap();
                of_database.push((file, size));
            }
            files.push(of_database);
        }
        many.stand_in.lose_instance("sql-n1").await.unwrap();
        world.link("north", "south", ROUND_TRIP / 2, LINK);
        world.set_costs(Costs {
            statement: ROUND_TRIP,
            header: HEADER,
            device: RESTORE.0,
            restore_rate: RESTORE.1,
            recovery: RECOVERY,
            ..Costs::default()
        });
        Backlog { many, files }
    }

    fn topology(&self) -> &Topology {
        &self.many.stand_in.file.topology
    }

    /// Ports without anything known or open, whose copies take the time of the link.
    fn ports(&self) -> Ports {
        let ports = self.many.ports_of_another_process();
        let files = OverLinks::new(ports.files, &self.many.stand_in.world, self.topology());
        Ports { files: Arc::new(files), ..ports }
    }

    /// Sizes in bytes, by database, in the order of the log.
    pub fn sizes(&self) -> Vec<Vec<u64>> {
        let sizes = |files: &Vec<(String, u64)>| files.iter().map(|(_, size)| *size).collect();
        self.files.iter().map(sizes).collect()
    }

    /// The time from the first look to the last recovery, by pcdr; every database takes writes and has
    /// every record after it.
    pub async fn recovered_by_pcdr(&self) -> Duration {
        let ports = self.ports();
        let began = tokio::time::Instant::now();
        let consents = [Consent::PrimarySiteLost];
        let made = plan::make(Intent::DisasterFailover, self.topology(), &ports, &consents).await;
        let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let owner = Owner { who: "bench".into(), run: plan::new_run() };
        let report = pcdr_core::run::apply(&plan, self.topology(), &ports, &owner, &Unseen).await;
        report.unwrap_or_else(|error| panic!("{error}"));
        let took = began.elapsed();
        self.prove().await;
        took
    }

    /// The same by the documented sequence: one database after another, every file copied, then every
    /// header read, then every log restored, one by one.
    pub async fn recovered_by_the_documents(&self) -> Duration {
        let ports = self.ports();
        let secondary = self.topology().secondary().name.clone();
        let began = tokio::time::Instant::now();
        for (number, files) in self.files.iter().enumerate() {
            let database = DatabaseName::from(name(number).as_str());
            for (file, _) in files {
                copy(&*ports.files, &database, file).await;
            }
            for (file, _) in files {
                let path = self.topology().copy_share().path_of(file);
                let header = format!("RESTORE HEADERONLY FROM DISK = N'{path}';");
                self.send(&secondary, header).await;
            }
            for (file, _) in files {
                let path = self.topology().copy_share().path_of(file);
                let restore =
                    format!("RESTORE LOG [{database}] FROM DISK = N'{path}' WITH NORECOVERY;");
                self.send(&secondary, restore).await;
            }
            self.send(&secondary, format!("RESTORE DATABASE [{database}] WITH RECOVERY;")).await;
        }
        let took = began.elapsed();
        self.prove().await;
        took
    }

    async fn send(&self, instance: &InstanceName, batch: String) {
        self.many.workload.send(instance, batch).await.unwrap_or_else(|error| panic!("{error}"));
    }

    async fn prove(&self) {
        let secondary = &self.topology().secondary().name;
        for (number, files) in self.files.iter().enumerate() {
            let read = self.many.workload.read(secondary, &name(number).as_str().into()).await;
            assert_eq!(read.unwrap().len(), files.len(), "records of {}", name(number));
        }
    }
}

async fn copy(files: &dyn BackupFiles, database: &DatabaseName, name: &str) {
    let copy =
        FileAction::Copy { name: name.to_owned(), size_bytes: None, replaces_unreadable: false };
    files.run(database, &copy, &Unwatched).await.unwrap_or_else(|error| panic!("{error}"));
}

/// The shortest time that the costs leave, whoever does it. Written from the costs alone: it knows
/// nothing of plans and steps.
///
/// Somebody looks at the server, reads at least one header, and stops the jobs of the database, one round
/// trip each. Then the link is busy until the last byte is over, and no database is ready before its own
/// bytes are over and everything that came late is restored, in the order of the log. At the end somebody
/// sees to the sessions and recovers, one round trip each.
pub fn critical_path(sizes: &[Vec<u64>]) -> Duration {
    let over_the_link = |bytes: u64| Duration::from_secs_f64(bytes as f64 / LINK as f64);
    let restored = |bytes: u64| {
        let seconds = bytes as f64 / RESTORE.1 as f64;
        ROUND_TRIP + RESTORE.0 + Duration::from_secs_f64(seconds)
    };
    let before = ROUND_TRIP + (ROUND_TRIP + HEADER) + ROUND_TRIP;
    let after = ROUND_TRIP + (ROUND_TRIP + RECOVERY);
    let mut longest = Duration::ZERO;
    for files in sizes {
        // Alone on the link, copies back to back: when is each restored, and so the last?
        let (mut copied, mut ready) = (ROUND_TRIP, Duration::ZERO);
        for bytes in files {
            copied += over_the_link(*bytes);
            ready = ready.max(copied) + restored(*bytes);
        }
        longest = longest.max(ready);
    }
    // All together, the link is busy for all bytes, and one of the last files is still to be restored.
    let all: u64 = sizes.iter().flatten().sum();
    let last = sizes.iter().filter_map(|files| files.last()).map(|bytes| restored(*bytes)).min();
    let together = ROUND_TRIP + over_the_link(all) + last.unwrap_or_default();
    before + longest.max(together) + after
}
