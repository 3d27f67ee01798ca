//! What a rehearsal does to the stand-ins as their application would: databases with the published
//! schema, chat records, and log backups. All of it over the wire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pcdr_core::ports::{Ports, Unwatched};
use pcdr_core::step::LogShippingAction;
use pcdr_core::topology::Instance;
use pcdr_core::{DatabaseName, InstanceError, InstanceName, Known, Observation, Topology};
use pcdr_sql::connection::ResultSet;
use pcdr_sql::pool::Pool;
use pcdr_sql::quote;
use pcdr_sql::statement::{Kind, Statement};
use pcdr_sql::{Access, Dialer, FleetOptions, SqlError, Trace};

/// Limit for one statement of the workload.
const LIMIT: Duration = Duration::from_secs(60);

/// `DateTime.Ticks` of 1970-01-01, and of a second.
const TICKS_AT_EPOCH: i64 = 621_355_968_000_000_000;
const TICKS_PER_MILLISECOND: i64 = 10_000;

/// Tables of the published schema as far as a rehearsal needs them.
///
/// Source: "Persistent Chat database schema", tables `tblChat` and `tblServerIdentity`.
const CONTENT_TABLES: [&str; 2] = [
    "CREATE TABLE {database}.dbo.tblServerIdentity (serverID int NOT NULL PRIMARY KEY, \
     serverAddress nvarchar(256) NULL, serverLastPingTime datetime NULL);",
    "CREATE TABLE {database}.dbo.tblChat (channelId int NOT NULL, chatId bigint NOT NULL PRIMARY KEY, \
     chatDate bigint NOT NULL, userId int NOT NULL, isAlert bit NOT NULL, content nvarchar(4000) NULL);",
];
/// Source: the same, `tblComplianceData`.
const COMPLIANCE_TABLE: &str = "CREATE TABLE {database}.dbo.tblComplianceData (cmplEventID bigint \
     NOT NULL PRIMARY KEY, entryDate datetime NOT NULL, cmplType int NOT NULL);";

/// Sends the application's statements to the instances of a topology.
#[derive(Debug)]
pub struct Workload {
    topology: Topology,
    pools: Vec<(InstanceName, Pool)>,
}

impl Workload {
    /// Connections to every instance. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// The password or the certificate authority cannot be read.
    pub fn new(
        topology: &Topology,
        dialer: &Arc<dyn Dialer>,
        trace: Option<&Trace>,
    ) -> Result<Workload, InstanceError> {
        let options = FleetOptions {
            dialer: Arc::clone(dialer),
            trace: trace.cloned(),
            ..FleetOptions::default()
        };
        let access = Access::read(topology.connection(), &options)?;
        let pool = |instance: &Instance| {
            let mut endpoint = access.endpoint(instance);
            "pcdr rehearsal workload".clone_into(&mut endpoint.application);
            (instance.name.clone(), Pool::new(endpoint))
        };
        Ok(Workload { topology: topology.clone(), pools: topology.instances().map(pool).collect() })
    }

    /// Sends one batch.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn send(
        &self,
        instance: &InstanceName,
        batch: String,
    ) -> Result<Vec<ResultSet>, InstanceError> {
        let needed = "a statement of the rehearsal was to be carried out";
        let Some((_, pool)) = self.pools.iter().find(|(name, _)| name == instance) else {
            let error = SqlError::Protocol("it is not in the topology".to_owned());
            return Err(error.at(instance.as_str(), needed));
        };
        let statement = Statement { batch, kind: Kind::Change, secrets: Vec::new() };
        pool.change(&statement, LIMIT).await.map_err(|error| error.at(instance.as_str(), needed))
    }

    /// Creates the application's databases on the primary, with the published schema's tables.
    /// A database that exists is left as it is.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn create_databases(&self) -> Result<(), InstanceError> {
        let primary = self.topology.primary().name.clone();
        let pool = self.topology.pool();
        let compliance = pool.and_then(|pool| pool.compliance_database.clone());
        for database in self.topology.databases() {
            self.create_database(&primary, database, &CONTENT_TABLES).await?;
        }
        if let Some(database) = compliance {
            self.create_database(&primary, &database, &[COMPLIANCE_TABLE]).await?;
        }
        Ok(())
    }

    async fn create_database(
        &self,
        instance: &InstanceName,
        database: &DatabaseName,
        tables: &[&str],
    ) -> Result<(), InstanceError> {
        let quoted = |result: Result<String, quote::QuoteError>| {
            result.map_err(|error| SqlError::from(error).at(instance.as_str(), "a name was needed"))
        };
        let identifier = quoted(quote::identifier(database.as_str()))?;
        let literal = quoted(quote::name(database.as_str()))?;
        let found = self
            .send(
                instance,
                format!("SELECT d.name FROM sys.databases AS d WHERE d.name = {literal};"),
            )
            .await?;
        if found.iter().any(|set| !set.rows.is_empty()) {
            return Ok(());
        }
        self.send(instance, format!("CREATE DATABASE {identifier};")).await?;
        self.send(instance, format!("ALTER DATABASE {identifier} SET RECOVERY FULL;")).await?;
        for table in tables {
            self.send(instance, table.replace("{database}", &identifier)).await?;
        }
        Ok(())
    }

    /// Writes chat records, one transaction each, with these numbers.
    ///
    /// # Errors
    ///
    /// The server's; the records before are written.
    pub async fn write(
        &self,
        instance: &InstanceName,
        database: &DatabaseName,
        numbers: std::ops::Range<u64>,
        unix_millis: i64,
    ) -> Result<(), InstanceError> {
        let table = self.chat_table(instance, database)?;
        let ticks = TICKS_AT_EPOCH + unix_millis * TICKS_PER_MILLISECOND;
        for number in numbers {
            let (channel, user) = (number % 7 + 1, number % 50 + 1);
            let batch = format!(
                "INSERT INTO {table} (channelId, chatId, chatDate, userId, isAlert, content) VALUES \
                 ({channel}, {number}, {ticks}, {user}, 0, N'message {number}');"
            );
            self.send(instance, batch).await?;
        }
        Ok(())
    }

    /// The numbers of every chat record.
    ///
    /// # Errors
    ///
    /// The server's.
    pub async fn read(
        &self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<BTreeSet<u64>, InstanceError> {
        let table = self.chat_table(instance, database)?;
        let sets = self.send(instance, format!("SELECT chatId FROM {table};")).await?;
        let needed = "the numbers of the chat records were needed";
        let mut numbers = BTreeSet::new();
        for row in sets.iter().flat_map(|set| &set.rows) {
            let number: i64 =
                row.get("chatId").map_err(|error| error.at(instance.as_str(), needed))?;
            numbers.insert(u64::try_from(number).unwrap_or(u64::MAX));
        }
        Ok(numbers)
    }

    fn chat_table(
        &self,
        instance: &InstanceName,
        database: &DatabaseName,
    ) -> Result<String, InstanceError> {
        quote::identifier(database.as_str())
            .map(|database| format!("{database}.dbo.tblChat"))
            .map_err(|error| SqlError::from(error).at(instance.as_str(), "a name was needed"))
    }
}

/// The instance that takes writes of a database now.
pub fn writable(
    topology: &Topology,
    observation: &Observation,
    database: &DatabaseName,
) -> Vec<InstanceName> {
    topology
        .instances()
        .filter(|instance| {
            let copy = observation.database(&instance.name, database);
            matches!(copy, Known::Known(Some(copy)) if copy.is_writable())
        })
        .map(|instance| instance.name.clone())
        .collect()
}

/// How far a log backup gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Into the backup share.
    BackedUp,
    /// Into the copy destination.
    Copied,
    /// Into the secondary database.
    Restored,
}

/// Ships the log of a database once: backup job, copy job, restore job, each to its end, as far as
/// asked.
///
/// # Errors
///
/// The job's.
pub async fn ship(
    topology: &Topology,
    ports: &Ports,
    primary: &InstanceName,
    database: &DatabaseName,
    reach: Reach,
) -> Result<(), InstanceError> {
    let secondary = &topology.secondary().name;
    let jobs = [
        (Reach::BackedUp, primary, LogShippingAction::RunBackupJob),
        (Reach::Copied, secondary, LogShippingAction::RunCopyJob),
        (Reach::Restored, secondary, LogShippingAction::RunRestoreJob),
    ];
    for (_, instance, action) in jobs.into_iter().filter(|(needed, ..)| *needed <= reach) {
        if let Some(jobs) = ports.jobs.get(instance) {
            jobs.run(database, &action, &Unwatched).await?;
        }
    }
    Ok(())
}
