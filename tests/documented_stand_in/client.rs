//! A client of the stand-in, with something of everything to ask about.

use pcdr_sim::engine::{state::InstanceConfig, world::World};
use pcdr_sim::front::{Front, FrontSession, Login, Replies, Reply, Request};
use pcdr_sim::value;

/// What one batch was answered.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) sets: Vec<Vec<value::Column>>,
    pub(crate) rows: Vec<value::Row>,
    pub(crate) errors: Vec<(i32, String)>,
}

impl Answer {
    pub(crate) fn number(&self) -> i32 {
        self.errors.first().map_or(0, |(number, _)| *number)
    }
}

pub(crate) struct Client {
    pub(crate) year: u16,
    session: Box<dyn FrontSession>,
    _folder: tempfile::TempDir,
    _world: World,
}

/// The primary `shipped` and the secondary `received`, both on one instance that is its own monitor.
pub(crate) const SHIPPING: &[&str] = &[
    "CREATE DATABASE shipped; CREATE DATABASE received;",
    "BACKUP DATABASE shipped TO DISK = N'D:\\shipped.bak';",
    "RESTORE DATABASE received FROM DISK = N'D:\\shipped.bak' WITH NORECOVERY, REPLACE,
     MOVE N'shipped' TO N'D:\\r.mdf', MOVE N'shipped_log' TO N'D:\\r.ldf';",
    "EXEC master.dbo.sp_add_log_shipping_primary_database @database = N'shipped',
     @backup_directory = N'D:\\b', @backup_share = N'D:\\b', @backup_job_name = N'backs up';",
    "EXEC master.dbo.sp_add_log_shipping_primary_secondary @primary_database = N'shipped',
     @secondary_server = N'SQL1', @secondary_database = N'received';",
    "EXEC master.dbo.sp_add_log_shipping_secondary_primary @primary_server = N'SQL1',
     @primary_database = N'shipped', @backup_source_directory = N'D:\\b',
     @backup_destination_directory = N'D:\\c', @copy_job_name = N'copies', @restore_job_name = N'restores';",
    "EXEC master.dbo.sp_add_log_shipping_secondary_database @secondary_database = N'received',
     @primary_server = N'SQL1', @primary_database = N'shipped';",
    "EXEC master.dbo.sp_add_log_shipping_alert_job;",
];

impl Client {
    pub(crate) async fn of(year: u16, version: (u8, u8, u16)) -> Client {
        let folder = tempfile::tempdir().unwrap();
        let epoch = "2026-03-01T10:00:00Z".parse().unwrap();
        let world = World::new(folder.path(), 1, epoch).unwrap();
        world.add_site("north");
        let config = InstanceConfig { version, ..InstanceConfig::new("SQL1", "north") };
        let login = Login::sql("sa", &config.sa_password);
        let instance = world.add_instance(config).unwrap();
        let session = instance.login(&login).await.unwrap();
        let mut client = Client { year, session, _folder: folder, _world: world };
        for batch in SHIPPING {
            let answer = client.ask(batch).await;
            assert_eq!(answer.errors, [], "{year} {batch}");
        }
        client
    }

    pub(crate) async fn ask(&mut self, batch: &str) -> Answer {
        let (sender, mut replies) = tokio::sync::mpsc::channel(64);
        let run =
            self.session.run(Request::Batch(batch.to_owned()), Replies(sender), Default::default());
        let listen = async {
            let mut answer = Answer::default();
            while let Some(reply) = replies.recv().await {
                match reply {
                    Reply::Columns(columns) => answer.sets.push(columns),
                    Reply::Row(row) => answer.rows.push(row),
                    Reply::Message(message) if message.is_error() => {
                        answer.errors.push((message.number, message.text));
                    }
                    _ => {}
                }
            }
            answer
        };
        tokio::join!(run, listen).1
    }
}
