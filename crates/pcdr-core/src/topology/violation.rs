//! What is wrong with a topology file, where, and what to do.

use std::fmt;

use serde::Serialize;

/// Where in the file, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One violation of a planning rule or of the file's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Stable, to branch on, for example `too_many_active_servers`; one of [`ALL_CODES`].
    pub code: &'static str,
    /// Where; for something that is missing, the head of the section that should hold it, and the
    /// file's first character when the section is missing too.
    pub place: Place,
    /// Byte range in the text, end exclusive; empty when something is missing.
    pub span: (usize, usize),
    /// What was needed and what was found. Never holds the value of a secret.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Document that states the rule; empty for the form of the file.
    pub source: &'static str,
}

impl Violation {
    /// The line of `text` (the text that was parsed) that the violation points at, to show under it.
    ///
    /// `None` when the line speaks of a password or another secret: it must not be shown.
    pub fn excerpt<'t>(&self, text: &'t str) -> Option<&'t str> {
        let line = text.lines().nth(self.place.line.checked_sub(1)?)?;
        let lower = line.to_lowercase();
        let is_secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
        (!is_secret && self.code != Code::SecretInFile.as_str()).then_some(line)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: {} [{}]. {}", self.message, self.code, self.remedy)
    }
}

/// Every violation found in one topology file, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violations(pub Vec<Violation>);

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(violation, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Parts of keys that announce a secret.
pub(super) const SECRET_WORDS: [&str; 6] =
    ["password", "passwd", "pwd", "passphrase", "secret", "token"];

/// The file's own form: no document states it.
const FORM: &str = "";
const PLAN: &str = "Plan for high availability and disaster recovery for Persistent Chat Server in \
                    Skype for Business Server 2015";
const CONFIGURE: &str = "Configure high availability and disaster recovery for Persistent Chat \
                         Server in Skype for Business Server 2015";
const MANAGE: &str = "Manage high availability and disaster recovery for Persistent Chat Server in \
                      Skype for Business Server 2015";
const CAPACITY: &str =
    "Capacity planning for Persistent Chat Server in Skype for Business Server 2015";
const CHAT_TOPOLOGY: &str = "Plan Persistent Chat Server topology";
const MIRRORING: &str = "Deploy SQL mirroring for Back End Server high availability in Skype for \
                         Business Server 2015";
const IDENTIFIERS: &str = "Database Identifiers";
const INSTANCE: &str = "Instance Configuration";
const SPN: &str = "Register a Service Principal Name for Kerberos Connections";
const ENDPOINT: &str = "The Database Mirroring Endpoint (SQL Server)";
const LOG_SHIPPING: &str = "About Log Shipping (SQL Server)";
const LOG_SHIPPING_PRIMARY: &str = "sp_add_log_shipping_primary_database (Transact-SQL)";
const LOG_SHIPPING_SECONDARY_DATABASE: &str =
    "sp_add_log_shipping_secondary_database (Transact-SQL)";
const SCHEDULE: &str = "sp_add_schedule (Transact-SQL)";
const LOG_SHIPPING_SECONDARY: &str = "sp_add_log_shipping_secondary_primary (Transact-SQL)";

/// Declares the codes once: the enumeration, its spelling, its source and the table of all of them.
macro_rules! codes {
    ($($name:ident $text:literal $source:ident;)*) => {
        /// Every rule, so that no code can be reported that is not in [`ALL_CODES`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Code {
            $($name,)*
        }

        impl Code {
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            pub(super) fn source(self) -> &'static str {
                match self { $(Code::$name => $source,)* }
            }
        }

        /// Every code that a [`Violation`] of a topology can have.
        pub const ALL_CODES: &[&str] = &[$($text,)*];
    };
}

codes! {
    // The form of the file.
    SyntaxError "syntax_error" FORM;
    UnknownKey "unknown_key" FORM;
    WrongType "wrong_type" FORM;
    MissingKey "missing_key" FORM;
    SecretInFile "secret_in_file" FORM;
    EmptyText "empty_text" FORM;
    TextTooLong "text_too_long" IDENTIFIERS;
    ControlCharacter "control_character" FORM;
    OutOfRange "out_of_range" FORM;
    BadDuration "bad_duration" FORM;
    UnknownRole "unknown_role" FORM;
    BadHost "bad_host" FORM;
    BadInstanceName "bad_instance_name" INSTANCE;
    BadServiceAccount "bad_service_account" FORM;
    BadUnc "bad_unc" FORM;
    BadFolder "bad_folder" LOG_SHIPPING_PRIMARY;
    BadMirroringPort "bad_mirroring_port" ENDPOINT;
    NoPasswordSource "no_password_source" FORM;
    TwoPasswordSources "two_password_sources" FORM;
    NoTokenSource "no_token_source" FORM;
    TwoTokenSources "two_token_sources" FORM;
    UnknownWord "unknown_word" FORM;
    BadSchedule "bad_schedule" SCHEDULE;
    UnknownEncryption "unknown_encryption" FORM;
    UnknownAuthentication "unknown_authentication" FORM;
    KeyOfOtherAuthentication "key_of_other_authentication" FORM;
    KerberosNeedsFullName "kerberos_needs_full_name" SPN;
    EmptyCommand "empty_command" FORM;
    CommandOfAPerson "command_of_a_person" FORM;
    ToBeCompleted "to_be_completed" FORM;
    // Names and references.
    DuplicateSite "duplicate_site" FORM;
    DuplicateLink "duplicate_link" FORM;
    LinkToItself "link_to_itself" FORM;
    DuplicateInstance "duplicate_instance" FORM;
    DuplicateAddress "duplicate_address" FORM;
    DuplicateServerName "duplicate_server_name" LOG_SHIPPING;
    DuplicateMirroringPort "duplicate_mirroring_port" ENDPOINT;
    DuplicateDatabase "duplicate_database" FORM;
    DuplicateServer "duplicate_server" FORM;
    DuplicateShare "duplicate_share" FORM;
    DuplicateUnc "duplicate_unc" FORM;
    DuplicateMount "duplicate_mount" FORM;
    UnknownSite "unknown_site" FORM;
    UnknownInstance "unknown_instance" FORM;
    UnknownShare "unknown_share" FORM;
    UnknownDatabase "unknown_database" FORM;
    // Roles and sites.
    NoDatabase "no_database" LOG_SHIPPING;
    NoPrimary "no_primary" LOG_SHIPPING;
    SeveralPrimaries "several_primaries" LOG_SHIPPING;
    NoSecondary "no_secondary" LOG_SHIPPING;
    SeveralSecondaries "several_secondaries" PLAN;
    DuplicateRole "duplicate_role" PLAN;
    InstanceInTwoRoles "instance_in_two_roles" PLAN;
    MirrorWithoutPartner "mirror_without_partner" PLAN;
    WitnessWithoutMirror "witness_without_mirror" MIRRORING;
    MirrorInAnotherSite "mirror_in_another_site" PLAN;
    WitnessInAnotherSite "witness_in_another_site" PLAN;
    FurtherSecondaryWithoutSettings "further_secondary_without_settings" LOG_SHIPPING;
    NotAFurtherSecondary "not_a_further_secondary" LOG_SHIPPING;
    SecondaryInPrimarySite "secondary_in_primary_site" PLAN;
    // Log shipping.
    BackupShareIsCopyShare "backup_share_is_copy_share" PLAN;
    CopyShareNotAtSecondary "copy_share_not_at_secondary" PLAN;
    BackupDirectoryNotOnPrimary "backup_directory_not_on_primary" CONFIGURE;
    LocalSystemNeedsLocalFolder "local_system_needs_local_folder" CONFIGURE;
    BackupRetentionTooShort "backup_retention_too_short" LOG_SHIPPING_PRIMARY;
    FileRetentionTooShort "file_retention_too_short" LOG_SHIPPING_SECONDARY;
    RestoreDelayNotZero "restore_delay_not_zero" CONFIGURE;
    RestoreModeNotNorecovery "restore_mode_not_norecovery" CONFIGURE;
    DisconnectUsersWithoutStandby "disconnect_users_without_standby" LOG_SHIPPING_SECONDARY_DATABASE;
    ScheduleNotExpressible "schedule_not_expressible" SCHEDULE;
    ScheduleShorterThanInterval "schedule_shorter_than_interval" SCHEDULE;
    BadConnectionOptions "bad_connection_options" LOG_SHIPPING_PRIMARY;
    MonitorLoginWithoutMonitor "monitor_login_without_monitor" LOG_SHIPPING_PRIMARY;
    MonitorPasswordWithoutLogin "monitor_password_without_login" LOG_SHIPPING_PRIMARY;
    // The pool.
    NoServer "no_server" CHAT_TOPOLOGY;
    TooManyServers "too_many_servers" CAPACITY;
    NoActiveServer "no_active_server" MANAGE;
    TooManyActiveServers "too_many_active_servers" CAPACITY;
    NoServerActiveAfterFailover "no_server_active_after_failover" MANAGE;
    TooManyServersActiveAfterFailover "too_many_servers_active_after_failover" CAPACITY;
    ActiveServerNotNearPrimary "active_server_not_near_primary" PLAN;
    ActiveServerNotNearSecondary "active_server_not_near_secondary" MANAGE;
    ComplianceDatabaseIsLogShipped "compliance_database_is_log_shipped" MANAGE;
    ComplianceDatabaseIsContentDatabase "compliance_database_is_content_database" PLAN;
    ContentDatabaseNotMgc "content_database_not_mgc" PLAN;
    ComplianceDatabaseNotMgccomp "compliance_database_not_mgccomp" PLAN;
}
