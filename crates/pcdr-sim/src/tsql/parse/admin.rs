//! Administrative statements.
//!
//! Each is parsed when its batch is compiled, with placeholders for variables, and again when it runs,
//! with their values: [`crate::tsql::ast`] then holds names and paths and nothing to evaluate.

use super::{Parsed, Parser};
use crate::message::SqlMessage;
use crate::tsql::ast::{
    Admin, AlterDatabase, AlterDatabaseAction, Backup, BackupKind, BackupOption, Device,
    DeviceClass, FileSpec, PartnerOption, Restore, RestoreInformation, Termination,
};
use crate::tsql::lex::Kind;

impl Parser {
    pub(super) fn admin(&mut self) -> Parsed<Admin> {
        let word = self.peek().text.to_ascii_uppercase();
        match word.as_str() {
            "BACKUP" => self.backup(),
            "RESTORE" => self.restore(),
            "GRANT" | "DENY" | "REVOKE" => self.grant(),
            "KILL" => {
                self.take();
                if self.peek().kind == Kind::String {
                    return Ok(Admin::KillTransaction { unit_of_work: self.string()? });
                }
                let session_id = self.integer()?;
                if self.accept_all(&["WITH", "COMMIT"]) || self.accept_all(&["WITH", "ROLLBACK"]) {
                    return Ok(Admin::KillOutcome);
                }
                let status_only = self.accept_all(&["WITH", "STATUSONLY"]);
                Ok(Admin::Kill { session_id, status_only })
            }
            "CHECKPOINT" => {
                self.take();
                if self.peek().kind == Kind::Number {
                    self.integer()?;
                }
                Ok(Admin::Checkpoint)
            }
            "DBCC" => self.dbcc(),
            "RECONFIGURE" => {
                self.take();
                self.accept_all(&["WITH", "OVERRIDE"]);
                Ok(Admin::Reconfigure)
            }
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop_object(),
            _ => Err(self.unexpected()),
        }
    }

    /// The value of a variable, or a placeholder while compiling.
    fn variable_text(&mut self) -> Parsed<String> {
        let name = self.variable()?;
        Ok(match &self.values {
            Some(values) => values.get(&name.to_lowercase()).cloned().unwrap_or_default(),
            None => "1".to_string(),
        })
    }

    /// A name, or a variable that holds one.
    fn name_or_variable(&mut self) -> Parsed<String> {
        if self.peek().kind == Kind::Variable { self.variable_text() } else { self.identifier() }
    }

    /// A string literal or a variable.
    pub(super) fn text(&mut self) -> Parsed<String> {
        if self.peek().kind == Kind::Variable { self.variable_text() } else { self.string() }
    }

    fn devices(&mut self) -> Parsed<Vec<Device>> {
        let classes =
            [("DISK", DeviceClass::Disk), ("URL", DeviceClass::Url), ("TAPE", DeviceClass::Tape)];
        let mut devices = Vec::new();
        loop {
            let known = classes
                .iter()
                .find(|(word, _)| self.is(word) && self.peek_at(1).is_symbol("="))
                .copied();
            devices.push(match known {
                Some((_, class)) => {
                    self.take();
                    self.expect_symbol("=")?;
                    Device { class, name: self.text()? }
                }
                None => Device { class: DeviceClass::Logical, name: self.name_or_variable()? },
            });
            if !self.accept_symbol(",") {
                return Ok(devices);
            }
        }
    }

    fn backup(&mut self) -> Parsed<Admin> {
        self.expect("BACKUP")?;
        if self.accept("CERTIFICATE") {
            return self.backup_certificate();
        }
        let kind = self.kind()?;
        let database = self.name_or_variable()?;
        self.expect("TO")?;
        let devices = self.devices()?;
        let options = self.backup_options(if kind == BackupKind::Log {
            Allowed::BackupLog
        } else {
            Allowed::BackupDatabase
        })?;
        Ok(Admin::Backup(Backup { kind, database, devices, options }))
    }

    fn kind(&mut self) -> Parsed<BackupKind> {
        if self.accept("LOG") || self.accept("TRAN") || self.accept("TRANSACTION") {
            return Ok(BackupKind::Log);
        }
        self.expect("DATABASE")?;
        Ok(BackupKind::Database)
    }

    fn restore(&mut self) -> Parsed<Admin> {
        self.expect("RESTORE")?;
        for verb in ["HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY"] {
            if self.accept(verb) {
                self.expect("FROM")?;
                let devices = self.devices()?;
                let options = self.backup_options(Allowed::Information)?;
                return Ok(Admin::RestoreInformation(RestoreInformation {
                    verb: verb.to_string(),
                    devices,
                    options,
                }));
            }
        }
        let kind = self.kind()?;
        let database = self.name_or_variable()?;
        let devices = if self.accept("FROM") { self.devices()? } else { Vec::new() };
        let options = self.backup_options(Allowed::Restore)?;
        Ok(Admin::Restore(Restore { kind, database, devices, options }))
    }

    fn backup_options(&mut self, allowed: Allowed) -> Parsed<Vec<BackupOption>> {
        let mut options = Vec::new();
        if !self.accept("WITH") {
            return Ok(options);
        }
        loop {
            let token = self.peek().clone();
            if token.kind != Kind::Word {
                return Err(self.unexpected());
            }
            let name = token.text.to_ascii_uppercase();
            if !allowed.knows(&name) {
                return Err(SqlMessage::new(
                    155,
                    15,
                    format!("'{}' is not a recognized {} option.", token.text, allowed.statement()),
                )
                .at_line(token.line)
                .into());
            }
            self.take();
            if name == "MOVE" {
                let logical = self.text()?;
                self.expect("TO")?;
                options.push(BackupOption::Move(logical, self.text()?));
            } else if name == "ENCRYPTION" {
                self.expect_symbol("(")?;
                self.expect("ALGORITHM")?;
                self.expect_symbol("=")?;
                let algorithm = self.identifier()?.to_ascii_uppercase();
                self.expect_symbol(",")?;
                self.expect("SERVER")?;
                self.expect("CERTIFICATE")?;
                self.expect_symbol("=")?;
                options.push(BackupOption::Encryption(algorithm, self.identifier()?));
                self.expect_symbol(")")?;
            } else if self.accept_symbol("=") {
                let value = match self.peek().kind {
                    Kind::Number => self.integer()?.to_string(),
                    _ => self.text()?,
                };
                if self.accept("AFTER") {
                    self.text()?;
                }
                options.push(BackupOption::Setting(name, value));
            } else if NEEDS_VALUE.contains(&name.as_str()) {
                return Err(self.unexpected());
            } else {
                options.push(BackupOption::Flag(name));
            }
            if !self.accept_symbol(",") {
                return Ok(options);
            }
        }
    }

    fn dbcc(&mut self) -> Parsed<Admin> {
        self.expect("DBCC")?;
        let command = self.identifier()?.to_ascii_uppercase();
        let mut arguments = Vec::new();
        if self.accept_symbol("(") {
            while !self.is_symbol(")") {
                let token = self.peek().clone();
                arguments.push(match token.kind {
                    Kind::Variable => self.variable_text()?,
                    Kind::Symbol => self.integer()?.to_string(),
                    Kind::End => return Err(self.unexpected()),
                    _ => self.take().text,
                });
                if !self.accept_symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        let mut options = Vec::new();
        if self.accept("WITH") {
            loop {
                options.push(self.identifier()?.to_ascii_uppercase());
                if !self.accept_symbol(",") {
                    break;
                }
            }
        }
        Ok(Admin::Dbcc { command, arguments, options })
    }

    fn create(&mut self) -> Parsed<Admin> {
        self.expect("CREATE")?;
        if self.accept("DATABASE") {
            let name = self.identifier()?;
            let mut files = Vec::new();
            if self.accept("ON") {
                self.accept("PRIMARY");
                self.file_list(&mut files, false)?;
                if self.accept_all(&["LOG", "ON"]) {
                    self.file_list(&mut files, true)?;
                }
            }
            if self.accept("COLLATE") {
                self.identifier()?;
            }
            return Ok(Admin::CreateDatabase { name, files });
        }
        if self.accept("ENDPOINT") {
            return self.endpoint();
        }
        if self.accept("LOGIN") {
            return self.login();
        }
        if self.accept_all(&["MASTER", "KEY"]) {
            return self.master_key();
        }
        if self.accept("CERTIFICATE") {
            return self.certificate();
        }
        if self.accept("USER") {
            let user = self.identifier()?;
            let mut login = user.clone();
            if self.accept("FOR") || self.accept("FROM") {
                self.expect("LOGIN")?;
                login = self.identifier()?;
            }
            if self.accept_all(&["WITH", "DEFAULT_SCHEMA"]) {
                self.expect_symbol("=")?;
                self.identifier()?;
            }
            return Ok(Admin::CreateUser { user, login });
        }
        Err(self.unexpected())
    }

    /// `(NAME = a, FILENAME = 'b', SIZE = …), …`.
    fn file_list(&mut self, files: &mut Vec<FileSpec>, is_log: bool) -> Parsed<()> {
        loop {
            let (file, offline) = self.file_spec(is_log)?;
            if offline {
                return Err(self.unexpected());
            }
            files.push(file);
            if !self.accept_symbol(",") {
                return Ok(());
            }
        }
    }

    /// One file in parentheses, and whether it says OFFLINE.
    fn file_spec(&mut self, is_log: bool) -> Parsed<(FileSpec, bool)> {
        self.expect_symbol("(")?;
        let mut file = FileSpec { is_log, ..FileSpec::default() };
        let mut offline = false;
        loop {
            let key = self.take().text.to_ascii_uppercase();
            if key == "OFFLINE" {
                offline = true;
            } else {
                self.expect_symbol("=")?;
                match key.as_str() {
                    "NAME" => {
                        file.logical =
                            if self.is_identifier() { self.identifier()? } else { self.text()? };
                    }
                    "FILENAME" => file.physical = self.text()?,
                    "SIZE" => file.size_bytes = self.file_size()?,
                    "MAXSIZE" => file.max_size_bytes = self.file_size()?,
                    "FILEGROWTH" => {
                        self.file_size()?;
                    }
                    _ => {
                        self.at -= 1;
                        return Err(self.unexpected());
                    }
                }
            }
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        Ok((file, offline))
    }

    /// A size in bytes: a number of MB, or of the unit behind it; `None` for UNLIMITED and percent.
    fn file_size(&mut self) -> Parsed<Option<u64>> {
        if self.accept("UNLIMITED") {
            return Ok(None);
        }
        let number = u64::try_from(self.integer()?).map_err(|_| self.unexpected())?;
        if self.accept_symbol("%") {
            return Ok(None);
        }
        let mut unit = 1_u64 << 20;
        for (word, bytes) in [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)] {
            if self.accept(word) {
                unit = bytes;
            }
        }
        Ok(Some(number.saturating_mul(unit)))
    }

    fn drop_object(&mut self) -> Parsed<Admin> {
        self.expect("DROP")?;
        if self.accept("DATABASE") {
            let if_exists = self.accept_all(&["IF", "EXISTS"]);
            let mut names = vec![self.identifier()?];
            while self.accept_symbol(",") {
                names.push(self.identifier()?);
            }
            return Ok(Admin::DropDatabase { names, if_exists });
        }
        if self.accept("ENDPOINT") {
            return Ok(Admin::DropEndpoint { name: self.identifier()? });
        }
        if self.accept("CERTIFICATE") {
            return Ok(Admin::DropCertificate { name: self.identifier()? });
        }
        if self.accept_all(&["MASTER", "KEY"]) {
            return Ok(Admin::DropMasterKey);
        }
        if self.accept("USER") {
            return Ok(Admin::DropUser { user: self.identifier()? });
        }
        if self.accept("LOGIN") {
            return Ok(Admin::DropLogin { name: self.identifier()? });
        }
        Err(self.unexpected())
    }

    fn alter(&mut self) -> Parsed<Admin> {
        self.expect("ALTER")?;
        if self.accept("DATABASE") {
            return self.alter_database();
        }
        if self.accept("ENDPOINT") {
            let name = self.identifier()?;
            self.expect("STATE")?;
            let state = self.endpoint_state()?;
            return Ok(Admin::AlterEndpoint { name, state });
        }
        if self.accept("LOGIN") {
            return self.alter_login();
        }
        if self.accept_all(&["SERVER", "ROLE"]) {
            let (role, add, member) = self.membership()?;
            return Ok(Admin::AlterServerRole { role, member, add });
        }
        if self.accept("ROLE") {
            let (role, add, member) = self.membership()?;
            return Ok(Admin::AlterRole { role, member, add });
        }
        Err(self.unexpected())
    }

    fn alter_database(&mut self) -> Parsed<Admin> {
        let database = if self.accept("CURRENT") { String::new() } else { self.identifier()? };
        let action = if self.accept_all(&["MODIFY", "FILE"]) {
            let (file, offline) = self.file_spec(false)?;
            if offline {
                AlterDatabaseAction::FileOffline(file.logical)
            } else {
                AlterDatabaseAction::ModifyFile(file)
            }
        } else if self.accept("MODIFY") {
            self.expect("NAME")?;
            self.expect_symbol("=")?;
            AlterDatabaseAction::ModifyName(self.identifier()?)
        } else if self.accept("ADD") {
            let is_log = self.accept("LOG");
            self.expect("FILE")?;
            let mut files = Vec::new();
            self.file_list(&mut files, is_log)?;
            AlterDatabaseAction::AddFile(files)
        } else if self.accept_all(&["REMOVE", "FILE"]) {
            AlterDatabaseAction::RemoveFile(self.identifier()?)
        } else if self.accept_all(&["REBUILD", "LOG"]) {
            let on = self.accept("ON");
            AlterDatabaseAction::RebuildLog(if on { Some(self.file_spec(true)?.0) } else { None })
        } else {
            self.expect("SET")?;
            if self.accept("PARTNER") {
                AlterDatabaseAction::Partner(self.partner()?)
            } else if self.accept("WITNESS") {
                if self.accept("OFF") {
                    AlterDatabaseAction::Witness(None)
                } else {
                    self.expect_symbol("=")?;
                    AlterDatabaseAction::Witness(Some(self.string()?))
                }
            } else {
                let mut options = Vec::new();
                loop {
                    options.push(self.database_option()?);
                    if !self.accept_symbol(",") {
                        break;
                    }
                }
                AlterDatabaseAction::Set { options, termination: self.termination()? }
            }
        };
        Ok(Admin::AlterDatabase(AlterDatabase { database, action }))
    }

    fn database_option(&mut self) -> Parsed<Vec<String>> {
        let token = self.peek().clone();
        let name = token.text.to_ascii_uppercase();
        let Some((_, values)) =
            DATABASE_OPTIONS.iter().find(|(option, _)| token.kind == Kind::Word && *option == name)
        else {
            return Err(self.unexpected());
        };
        self.take();
        let mut words = vec![name];
        if values.is_empty() {
            return Ok(words);
        }
        self.accept_symbol("=");
        if values.contains(&"#") && self.peek().kind == Kind::Number {
            words.push(self.integer()?.to_string());
            for unit in ["SECONDS", "MINUTES"] {
                if self.accept(unit) {
                    words.push(unit.to_string());
                }
            }
            return Ok(words);
        }
        if values.iter().any(|value| self.is(value)) {
            words.push(self.take().text.to_ascii_uppercase());
            if self.is_symbol("(") {
                self.skip_group()?;
            }
            return Ok(words);
        }
        Err(self.unexpected())
    }

    fn termination(&mut self) -> Parsed<Option<Termination>> {
        if !self.accept("WITH") {
            return Ok(None);
        }
        if self.accept("NO_WAIT") {
            return Ok(Some(Termination::NoWait));
        }
        self.expect("ROLLBACK")?;
        if self.accept("IMMEDIATE") {
            return Ok(Some(Termination::RollbackImmediate));
        }
        self.expect("AFTER")?;
        let seconds = u32::try_from(self.integer()?).map_err(|_| self.unexpected())?;
        self.accept("SECONDS");
        Ok(Some(Termination::RollbackAfterSeconds(seconds)))
    }

    fn partner(&mut self) -> Parsed<PartnerOption> {
        if self.accept_symbol("=") {
            return self.string().map(PartnerOption::Address);
        }
        for (word, option) in [
            ("FAILOVER", PartnerOption::Failover),
            ("FORCE_SERVICE_ALLOW_DATA_LOSS", PartnerOption::ForceService),
            ("OFF", PartnerOption::Off),
            ("SUSPEND", PartnerOption::Suspend),
            ("RESUME", PartnerOption::Resume),
        ] {
            if self.accept(word) {
                return Ok(option);
            }
        }
        if self.accept("SAFETY") {
            if self.accept("FULL") {
                return Ok(PartnerOption::Safety(true));
            }
            self.expect("OFF")?;
            return Ok(PartnerOption::Safety(false));
        }
        self.expect("TIMEOUT")?;
        let seconds = u32::try_from(self.integer()?).map_err(|_| self.unexpected())?;
        Ok(PartnerOption::Timeout(seconds))
    }
}

/// Which statement's WITH clause is read.
#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    BackupDatabase,
    BackupLog,
    Restore,
    Information,
}

impl Allowed {
    /// The statement as error 155 names it.
    fn statement(self) -> &'static str {
        match self {
            Allowed::BackupDatabase | Allowed::BackupLog => "BACKUP",
            Allowed::Restore | Allowed::Information => "RESTORE",
        }
    }

    fn knows(self, name: &str) -> bool {
        let own: &[&str] = match self {
            Allowed::BackupDatabase => &["DIFFERENTIAL"],
            Allowed::BackupLog => &["NORECOVERY", "STANDBY", "NO_TRUNCATE"],
            Allowed::Restore | Allowed::Information => &[],
        };
        let shared = match self {
            Allowed::BackupDatabase | Allowed::BackupLog => BACKUP_OPTIONS,
            Allowed::Restore | Allowed::Information => RESTORE_OPTIONS,
        };
        own.contains(&name) || shared.contains(&name) || COMMON_OPTIONS.contains(&name)
    }
}

// Source: Transact-SQL reference, "BACKUP" and "RESTORE Arguments".
#[rustfmt::skip]
const COMMON_OPTIONS: &[&str] = &[
    "CHECKSUM", "NO_CHECKSUM", "STOP_ON_ERROR", "CONTINUE_AFTER_ERROR", "MEDIANAME", "BLOCKSIZE",
    "BUFFERCOUNT", "MAXTRANSFERSIZE", "STATS", "RESTART", "REWIND", "NOREWIND", "UNLOAD", "NOUNLOAD",
    "METADATA_ONLY", "SNAPSHOT", "CREDENTIAL",
];
#[rustfmt::skip]
const BACKUP_OPTIONS: &[&str] = &[
    "COPY_ONLY", "COMPRESSION", "NO_COMPRESSION", "INIT", "NOINIT", "FORMAT", "NOFORMAT", "SKIP",
    "NOSKIP", "NAME", "DESCRIPTION", "EXPIREDATE", "RETAINDAYS", "MEDIADESCRIPTION", "ENCRYPTION",
];
#[rustfmt::skip]
const RESTORE_OPTIONS: &[&str] = &[
    "RECOVERY", "NORECOVERY", "STANDBY", "REPLACE", "MOVE", "FILE", "STOPAT", "STOPATMARK",
    "STOPBEFOREMARK", "RESTRICTED_USER", "KEEP_REPLICATION", "KEEP_CDC", "ENABLE_BROKER", "NEW_BROKER",
    "ERROR_BROKER_CONVERSATIONS", "PARTIAL", "LOADHISTORY", "PASSWORD", "MEDIAPASSWORD",
];
#[rustfmt::skip]
const NEEDS_VALUE: &[&str] = &[
    "STANDBY", "FILE", "STOPAT", "STOPATMARK", "STOPBEFOREMARK", "NAME", "DESCRIPTION", "EXPIREDATE",
    "RETAINDAYS", "MEDIANAME", "MEDIADESCRIPTION", "BLOCKSIZE", "BUFFERCOUNT", "MAXTRANSFERSIZE",
    "PASSWORD", "MEDIAPASSWORD", "CREDENTIAL",
];

const ON_OFF: &[&str] = &["ON", "OFF"];

/// Options of `ALTER DATABASE … SET` with their values; `#` stands for a number.
///
/// Source: Transact-SQL reference, "ALTER DATABASE SET options".
const DATABASE_OPTIONS: &[(&str, &[&str])] = &[
    ("SINGLE_USER", &[]),
    ("RESTRICTED_USER", &[]),
    ("MULTI_USER", &[]),
    ("ONLINE", &[]),
    ("OFFLINE", &[]),
    ("EMERGENCY", &[]),
    ("READ_ONLY", &[]),
    ("READ_WRITE", &[]),
    ("ENABLE_BROKER", &[]),
    ("DISABLE_BROKER", &[]),
    ("NEW_BROKER", &[]),
    ("ERROR_BROKER_CONVERSATIONS", &[]),
    ("RECOVERY", &["FULL", "BULK_LOGGED", "SIMPLE"]),
    ("PAGE_VERIFY", &["CHECKSUM", "TORN_PAGE_DETECTION", "NONE"]),
    ("PARAMETERIZATION", &["SIMPLE", "FORCED"]),
    ("CURSOR_DEFAULT", &["LOCAL", "GLOBAL"]),
    ("COMPATIBILITY_LEVEL", &["#"]),
    ("TARGET_RECOVERY_TIME", &["#"]),
    ("DELAYED_DURABILITY", &["DISABLED", "ALLOWED", "FORCED"]),
    ("CONTAINMENT", &["NONE", "PARTIAL"]),
    ("ALLOW_SNAPSHOT_ISOLATION", ON_OFF),
    ("READ_COMMITTED_SNAPSHOT", ON_OFF),
    ("AUTO_CLOSE", ON_OFF),
    ("AUTO_CREATE_STATISTICS", ON_OFF),
    ("AUTO_SHRINK", ON_OFF),
    ("AUTO_UPDATE_STATISTICS", ON_OFF),
    ("AUTO_UPDATE_STATISTICS_ASYNC", ON_OFF),
    ("ANSI_NULL_DEFAULT", ON_OFF),
    ("ANSI_NULLS", ON_OFF),
    ("ANSI_PADDING", ON_OFF),
    ("ANSI_WARNINGS", ON_OFF),
    ("ARITHABORT", ON_OFF),
    ("CONCAT_NULL_YIELDS_NULL", ON_OFF),
    ("CURSOR_CLOSE_ON_COMMIT", ON_OFF),
    ("DATE_CORRELATION_OPTIMIZATION", ON_OFF),
    ("DB_CHAINING", ON_OFF),
    ("ENCRYPTION", ON_OFF),
    ("HONOR_BROKER_PRIORITY", ON_OFF),
    ("NUMERIC_ROUNDABORT", ON_OFF),
    ("QUERY_STORE", ON_OFF),
    ("QUOTED_IDENTIFIER", ON_OFF),
    ("RECURSIVE_TRIGGERS", ON_OFF),
    ("TRUSTWORTHY", ON_OFF),
];
