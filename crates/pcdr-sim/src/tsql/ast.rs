//! The administrative statements, which no general SQL parser knows.
//!
//! Queries, expressions and the procedural language have their own trees beside this one. Names
//! and paths are evaluated before a statement reaches the engine: `BACKUP LOG @db TO DISK = @path`
//! arrives here with the variables' values.

/// A name of up to four parts; parts left out are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectName {
    /// Linked server.
    pub server: String,
    /// Database.
    pub database: String,
    /// Schema.
    pub schema: String,
    /// The object itself.
    pub name: String,
}

/// An administrative statement, ready to be carried out by the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Admin {
    /// `BACKUP DATABASE` and `BACKUP LOG`.
    Backup(Backup),
    /// `RESTORE DATABASE` and `RESTORE LOG`.
    Restore(Restore),
    /// `RESTORE HEADERONLY`, `FILELISTONLY`, `LABELONLY` and `VERIFYONLY`.
    RestoreInformation(RestoreInformation),
    /// `CREATE DATABASE name`, with the file clauses ignored except for their paths.
    CreateDatabase {
        /// Name.
        name: String,
        /// `(NAME = …, FILENAME = …)`, data files first.
        files: Vec<FileSpec>,
    },
    /// `DROP DATABASE [IF EXISTS] name, …`.
    DropDatabase {
        /// Names.
        names: Vec<String>,
        /// Whether a missing database is no error.
        if_exists: bool,
    },
    /// `ALTER DATABASE name …`.
    AlterDatabase(AlterDatabase),
    /// `CREATE ENDPOINT … FOR DATABASE_MIRRORING`.
    CreateEndpoint(Endpoint),
    /// `ALTER ENDPOINT name STATE = …`.
    AlterEndpoint {
        /// Name.
        name: String,
        /// STARTED, STOPPED or DISABLED.
        state: String,
    },
    /// `DROP ENDPOINT name`.
    DropEndpoint {
        /// Name.
        name: String,
    },
    /// `CREATE LOGIN`.
    CreateLogin {
        /// Name.
        name: String,
        /// `None` for `FROM WINDOWS`.
        password: Option<String>,
        /// `SID = 0x…`.
        sid: Option<Vec<u8>>,
        /// `DEFAULT_DATABASE`.
        default_database: Option<String>,
        /// `MUST_CHANGE`: the first login has to change the password.
        must_change: bool,
    },
    /// `ALTER LOGIN name …`.
    AlterLogin {
        /// Name.
        name: String,
        /// What changes.
        change: LoginChange,
    },
    /// `CREATE MASTER KEY ENCRYPTION BY PASSWORD = '…'`.
    CreateMasterKey,
    /// `DROP MASTER KEY`.
    DropMasterKey,
    /// `CREATE CERTIFICATE name`: a new one, or one that was made elsewhere.
    CreateCertificate {
        /// Name.
        name: String,
        /// `AUTHORIZATION user`.
        owner: Option<String>,
        /// Where it comes from.
        from: CertificateSource,
    },
    /// `BACKUP CERTIFICATE name TO FILE = …`.
    BackupCertificate {
        /// Name.
        name: String,
        /// Where to.
        to: CertificateFiles,
    },
    /// `DROP CERTIFICATE name`.
    DropCertificate {
        /// Name.
        name: String,
    },
    /// `DROP USER name`.
    DropUser {
        /// Name.
        user: String,
    },
    /// `DROP LOGIN name`.
    DropLogin {
        /// Name.
        name: String,
    },
    /// `ALTER SERVER ROLE role ADD|DROP MEMBER login`.
    AlterServerRole {
        /// Role.
        role: String,
        /// Login.
        member: String,
        /// ADD or DROP.
        add: bool,
    },
    /// `CREATE USER user FOR LOGIN login`, in the current database.
    CreateUser {
        /// User.
        user: String,
        /// Login.
        login: String,
    },
    /// `ALTER ROLE role ADD|DROP MEMBER user`, in the current database.
    AlterRole {
        /// Role.
        role: String,
        /// User.
        member: String,
        /// ADD or DROP.
        add: bool,
    },
    /// `GRANT`, `DENY` or `REVOKE`, kept as its words: permissions, securable (class and name), grantees.
    Grant {
        /// GRANT, DENY or REVOKE.
        verb: String,
        /// Permission names.
        permissions: Vec<String>,
        /// For example (`ENDPOINT`, `Mirroring`); `None` for a statement permission.
        securable: Option<(String, String)>,
        /// Logins or users.
        grantees: Vec<String>,
    },
    /// `KILL n [WITH STATUSONLY]`.
    Kill {
        /// Session id.
        session_id: i64,
        /// Report only.
        status_only: bool,
    },
    /// `KILL n WITH COMMIT | ROLLBACK`, which is for distributed transactions only.
    KillOutcome,
    /// `KILL 'unit of work'`: ends a distributed transaction.
    KillTransaction {
        /// Its GUID, as written.
        unit_of_work: String,
    },
    /// `CHECKPOINT`.
    Checkpoint,
    /// `DBCC command (arguments) [WITH options]`.
    Dbcc {
        /// For example CHECKDB.
        command: String,
        /// As written, evaluated.
        arguments: Vec<String>,
        /// Upper case.
        options: Vec<String>,
    },
    /// `RECONFIGURE [WITH OVERRIDE]`.
    Reconfigure,
}

/// A file in CREATE DATABASE and ALTER DATABASE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSpec {
    /// `NAME`.
    pub logical: String,
    /// `FILENAME`.
    pub physical: String,
    /// `SIZE`, in bytes.
    pub size_bytes: Option<u64>,
    /// `MAXSIZE`, in bytes; `None` also for UNLIMITED.
    pub max_size_bytes: Option<u64>,
    /// It stands behind LOG ON, or is added with ADD LOG FILE.
    pub is_log: bool,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// `WITH SUBJECT = …, START_DATE = …, EXPIRY_DATE = …`: it is made.
    New {
        /// Subject.
        subject: String,
        /// First moment, as written; now where it is left out.
        start: Option<String>,
        /// End, as written; a year later where it is left out.
        expiry: Option<String>,
    },
    /// `FROM FILE = …`.
    Files(CertificateFiles),
    /// `FROM BINARY = 0x…`: its public part.
    Binary(Vec<u8>),
}

/// The files of a certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The public part.
    pub file: String,
    /// File and password of the private key.
    pub private_key: Option<(String, String)>,
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateFiles").field("file", &self.file).finish_non_exhaustive()
    }
}

/// What `ALTER LOGIN` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginChange {
    /// `ENABLE` (true) or `DISABLE`.
    Enabled(bool),
    /// `WITH PASSWORD = '…'`.
    Password(String),
    /// `WITH PASSWORD = '…' UNLOCK`.
    Unlock(String),
    /// `WITH DEFAULT_DATABASE = …`.
    DefaultDatabase(String),
}

/// What kind of device a backup is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceClass {
    /// `DISK = …`.
    Disk,
    /// `TAPE = …`.
    Tape,
    /// `URL = …`.
    Url,
    /// The name of a device of `sys.backup_devices`.
    Logical,
}

/// A backup device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Kind.
    pub class: DeviceClass,
    /// Path, address or name.
    pub name: String,
}

impl From<String> for Device {
    /// A file.
    fn from(name: String) -> Device {
        Device { class: DeviceClass::Disk, name }
    }
}

/// What a backup covers or a restore applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupKind {
    /// `DATABASE`.
    Database,
    /// `LOG`.
    Log,
}

/// `BACKUP`.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// DATABASE or LOG.
    pub kind: BackupKind,
    /// Database name.
    pub database: String,
    /// `TO DISK = …`, one a stripe.
    pub devices: Vec<Device>,
    /// The WITH clause.
    pub options: Vec<BackupOption>,
}

/// `RESTORE DATABASE` or `RESTORE LOG`.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// DATABASE or LOG.
    pub kind: BackupKind,
    /// Database name.
    pub database: String,
    /// `FROM DISK = …`; empty for the form that only recovers.
    pub devices: Vec<Device>,
    /// The WITH clause.
    pub options: Vec<BackupOption>,
}

/// An option of BACKUP or RESTORE, as written: `NAME`, `NAME = value` or `MOVE 'a' TO 'b'`.
#[derive(Debug, Clone, PartialEq)]
pub enum BackupOption {
    /// Upper case, for example NORECOVERY.
    Flag(String),
    /// For example (`STATS`, `10`), (`STANDBY`, path), (`STOPAT`, time); the name in upper case.
    Setting(String, String),
    /// `MOVE logical TO physical`.
    Move(String, String),
    /// `ENCRYPTION (ALGORITHM = algorithm, SERVER CERTIFICATE = name)`.
    Encryption(String, String),
}

/// `RESTORE HEADERONLY` and its like.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoreInformation {
    /// HEADERONLY, FILELISTONLY, LABELONLY or VERIFYONLY.
    pub verb: String,
    /// `FROM DISK = …`.
    pub devices: Vec<Device>,
    /// The WITH clause.
    pub options: Vec<BackupOption>,
}

/// `ALTER DATABASE`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterDatabase {
    /// Database name; empty for CURRENT.
    pub database: String,
    /// What to alter.
    pub action: AlterDatabaseAction,
}

/// What `ALTER DATABASE` alters.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterDatabaseAction {
    /// `MODIFY NAME = new`.
    ModifyName(String),
    /// `ADD FILE` and `ADD LOG FILE`.
    AddFile(Vec<FileSpec>),
    /// `REMOVE FILE name`.
    RemoveFile(String),
    /// `MODIFY FILE (NAME = name, OFFLINE)`.
    FileOffline(String),
    /// `MODIFY FILE (NAME = name, …)`: sizes and the path of the next start.
    ModifyFile(FileSpec),
    /// `REBUILD LOG [ON (…)]`.
    RebuildLog(Option<FileSpec>),
    /// `SET option [, …] [WITH termination]`, for example `RECOVERY FULL`, `SINGLE_USER`, `OFFLINE`.
    Set {
        /// Words of each option in upper case, for example ["RECOVERY", "FULL"].
        options: Vec<Vec<String>>,
        /// `WITH …`.
        termination: Option<Termination>,
    },
    /// `SET PARTNER …`.
    Partner(PartnerOption),
    /// `SET WITNESS = 'address'`, or `None` for OFF.
    Witness(Option<String>),
}

/// How `ALTER DATABASE … SET` treats other sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// `ROLLBACK IMMEDIATE`.
    RollbackImmediate,
    /// `ROLLBACK AFTER n SECONDS`.
    RollbackAfterSeconds(u32),
    /// `NO_WAIT`.
    NoWait,
}

/// `SET PARTNER …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartnerOption {
    /// `= 'TCP://host:port'`.
    Address(String),
    /// `FAILOVER`.
    Failover,
    /// `FORCE_SERVICE_ALLOW_DATA_LOSS`.
    ForceService,
    /// `OFF`.
    Off,
    /// `SUSPEND`.
    Suspend,
    /// `RESUME`.
    Resume,
    /// `SAFETY FULL` (true) or `OFF`.
    Safety(bool),
    /// `TIMEOUT n`, in seconds.
    Timeout(u32),
}

/// `CREATE ENDPOINT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name.
    pub name: String,
    /// STARTED, STOPPED or DISABLED; STOPPED when left out.
    pub state: String,
    /// `LISTENER_PORT`.
    pub port: u16,
    /// WITNESS, PARTNER or ALL.
    pub role: String,
    /// The AUTHENTICATION words in upper case, certificate name as written.
    pub authentication: Vec<String>,
    /// The ENCRYPTION words in upper case.
    pub encryption: Vec<String>,
}

impl Endpoint {
    /// The certificate that it authenticates by, if it does.
    pub fn certificate(&self) -> Option<&str> {
        let mut words = self.authentication.iter();
        words.find(|word| *word == "CERTIFICATE")?;
        words.next().map(String::as_str)
    }

    /// Whether it authenticates as a Windows account.
    pub fn takes_windows(&self) -> bool {
        match self.authentication.first().map(String::as_str) {
            Some("CERTIFICATE") => self.authentication.get(2).is_some_and(|word| word == "WINDOWS"),
            _ => true,
        }
    }
}
