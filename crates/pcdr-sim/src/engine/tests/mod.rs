//! The engine driven through its Rust interface. Time is virtual.

mod chain;
mod failures;
mod language;
mod media;
mod mirroring;
mod random;
mod sessions;
mod text;

use jiff::Timestamp;

use super::lsn::Lsn;
use super::media::{Media, SetHeader};
use super::session::{Instance, SessionHost};
use super::state::{Database, InstanceConfig};
use super::world::World;
use crate::front::Login;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::{
    Admin, AlterDatabase, AlterDatabaseAction, Backup, BackupKind, BackupOption, Endpoint,
    ObjectName, PartnerOption, Restore, RestoreInformation,
};
use crate::tsql::host::{Host, Sink};
use crate::value::{Column, Relation, SqlType, Value};

/// Collects what a statement says.
#[derive(Debug, Default)]
struct Heard {
    messages: Vec<SqlMessage>,
    results: Vec<Relation>,
}

#[async_trait::async_trait]
impl Sink for Heard {
    async fn result(&mut self, relation: Relation, _command: u16) {
        self.results.push(relation);
    }
    async fn message(&mut self, message: SqlMessage) {
        self.messages.push(message);
    }
}

/// Two sites with two instances each, a witness, and a share in each site.
struct Lab {
    world: World,
    _root: tempfile::TempDir,
}

fn epoch() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

fn login(database: &str) -> Login {
    Login {
        host_name: "admin".to_owned(),
        user_name: "sa".to_owned(),
        password: "Sa-Passw0rd!".to_owned(),
        access_token: None,
        application_name: "test".to_owned(),
        database: database.to_owned(),
        interface_name: "ODBC".to_owned(),
        read_only_intent: false,
        process_id: 1,
        connection: Default::default(),
    }
}

impl Lab {
    fn new() -> Lab {
        Lab::seeded(7)
    }

    fn seeded(seed: u64) -> Lab {
        let root = tempfile::tempdir().unwrap();
        let world = World::new(root.path(), seed, epoch()).unwrap();
        for site in ["east", "west"] {
            world.add_site(site);
        }
        for (name, site) in [
            ("SQL1", "east"),
            ("SQL2", "east"),
            ("WIT", "east"),
            ("SQL3", "west"),
            ("SQL4", "west"),
        ] {
            world.add_instance(InstanceConfig::new(name, site)).unwrap();
        }
        world.add_share("FS1", "backup", "east").unwrap();
        world.add_share("FS2", "backup", "west").unwrap();
        Lab { world, _root: root }
    }

    fn instance(&self, name: &str) -> Instance {
        self.world.instance(name).unwrap()
    }

    async fn on(&self, name: &str) -> SessionHost {
        self.instance(name).open(&login("")).await.unwrap()
    }

    async fn in_database(&self, name: &str, database: &str) -> SessionHost {
        self.instance(name).open(&login(database)).await.unwrap()
    }

    fn database<T>(&self, instance: &str, name: &str, f: impl FnOnce(&Database) -> T) -> T {
        self.instance(instance)
            .with(|instance| f(instance.database(name).expect("database")))
            .unwrap()
    }

    fn header(&self, path: &str) -> SetHeader {
        let file = self.world.path("SQL1", path).unwrap();
        let media = Media::parse(std::fs::read(file).unwrap()).unwrap();
        media.sets.last().unwrap().header.clone()
    }

    /// Ids in the table of a database, with any state.
    fn ids(&self, instance: &str, database: &str) -> Vec<i32> {
        self.world
            .inspect(instance, database, "dbo", "t")
            .unwrap_or_default()
            .into_iter()
            .map(|row| match row.row[0] {
                Value::Int(id) => id,
                _ => -1,
            })
            .collect()
    }

    /// A database `mgc` with a table on SQL1, and a full backup of it in `full.bak`.
    async fn mgc(&self) -> SessionHost {
        let mut host = self.on("SQL1").await;
        run(&mut host, Admin::CreateDatabase { name: "mgc".to_owned(), files: Vec::new() })
            .await
            .unwrap();
        host.create_table(
            &table(),
            vec![Column { name: "id".into(), ty: SqlType::Int, nullable: false }],
            Default::default(),
        )
        .unwrap();
        add(&mut host, 1);
        backup(&mut host, BackupKind::Database, "full.bak", &[]).await.unwrap();
        host
    }
}

fn table() -> ObjectName {
    ObjectName { database: "mgc".to_owned(), name: "t".to_owned(), ..ObjectName::default() }
}

fn add(host: &mut SessionHost, id: i32) {
    host.insert(&table(), vec![vec![Value::Int(id)]]).unwrap();
}

async fn run(host: &mut SessionHost, statement: Admin) -> Result<Heard, SqlFailure> {
    let mut heard = Heard::default();
    host.begin_request("", "", tokio_util::sync::CancellationToken::new());
    let result = host.admin(statement, &mut heard).await;
    host.end_request();
    result.map(|_| heard)
}

fn flag(name: &str) -> BackupOption {
    BackupOption::Flag(name.to_owned())
}

fn setting(name: &str, value: &str) -> BackupOption {
    BackupOption::Setting(name.to_owned(), value.to_owned())
}

fn share(file: &str) -> String {
    format!("\\\\FS1\\backup\\{file}")
}

async fn backup(
    host: &mut SessionHost,
    kind: BackupKind,
    file: &str,
    options: &[BackupOption],
) -> Result<Heard, SqlFailure> {
    run(
        host,
        Admin::Backup(Backup {
            kind,
            database: "mgc".to_owned(),
            devices: vec![share(file).into()],
            options: options.to_vec(),
        }),
    )
    .await
}

async fn restore(
    host: &mut SessionHost,
    kind: BackupKind,
    file: &str,
    options: &[BackupOption],
) -> Result<Heard, SqlFailure> {
    let devices = if file.is_empty() { Vec::new() } else { vec![share(file).into()] };
    run(
        host,
        Admin::Restore(Restore {
            kind,
            database: "mgc".to_owned(),
            devices,
            options: options.to_vec(),
        }),
    )
    .await
}

async fn full(host: &mut SessionHost, file: &str) -> Result<Heard, SqlFailure> {
    restore(host, BackupKind::Database, file, &[flag("NORECOVERY")]).await
}

async fn log(host: &mut SessionHost, file: &str) -> Result<Heard, SqlFailure> {
    restore(host, BackupKind::Log, file, &[flag("NORECOVERY")]).await
}

async fn recover(host: &mut SessionHost) -> Result<Heard, SqlFailure> {
    restore(host, BackupKind::Database, "", &[flag("RECOVERY")]).await
}

async fn information(host: &mut SessionHost, verb: &str, file: &str) -> Result<Heard, SqlFailure> {
    run(
        host,
        Admin::RestoreInformation(RestoreInformation {
            verb: verb.to_owned(),
            devices: vec![share(file).into()],
            options: Vec::new(),
        }),
    )
    .await
}

async fn set(host: &mut SessionHost, words: &[&str]) -> Result<Heard, SqlFailure> {
    set_with(host, words, None).await
}

async fn set_with(
    host: &mut SessionHost,
    words: &[&str],
    termination: Option<crate::tsql::ast::Termination>,
) -> Result<Heard, SqlFailure> {
    run(
        host,
        Admin::AlterDatabase(AlterDatabase {
            database: "mgc".to_owned(),
            action: AlterDatabaseAction::Set {
                options: vec![words.iter().map(|word| (*word).to_owned()).collect()],
                termination,
            },
        }),
    )
    .await
}

async fn partner(host: &mut SessionHost, option: PartnerOption) -> Result<Heard, SqlFailure> {
    run(
        host,
        Admin::AlterDatabase(AlterDatabase {
            database: "mgc".to_owned(),
            action: AlterDatabaseAction::Partner(option),
        }),
    )
    .await
}

fn numbers(failure: &SqlFailure) -> Vec<i32> {
    failure.0.iter().map(|message| message.number).collect()
}

#[track_caller]
fn fails(result: Result<Heard, SqlFailure>, expected: &[i32]) {
    match result {
        Ok(_) => panic!("expected {expected:?}, succeeded"),
        Err(failure) => assert_eq!(numbers(&failure), expected, "{failure}"),
    }
}

fn endpoint(port: u16, role: &str) -> Admin {
    Admin::CreateEndpoint(Endpoint {
        name: "Mirroring".to_owned(),
        state: "STARTED".to_owned(),
        port,
        role: role.to_owned(),
        authentication: Vec::new(),
        encryption: Vec::new(),
    })
}

fn redo(lab: &Lab, instance: &str) -> Lsn {
    lab.database(instance, "mgc", |d| d.redo.as_ref().unwrap().lsn)
}
