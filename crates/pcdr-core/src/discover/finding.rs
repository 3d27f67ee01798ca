//! What a discovery has to tell: what it could not find out, and what no topology can say.

use std::fmt;

use serde::Serialize;

use crate::name::DatabaseName;

/// What a finding means for the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No file can be written before somebody answers.
    Question,
    /// The file is written and does not validate before somebody completes it.
    Incomplete,
    /// The file is valid, and not all that is there is as it says: `configure` would change it.
    Differs,
    /// Worth knowing.
    Note,
}

/// Declares the codes once: the enumeration, its spelling, its kind and the table of all of them.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $kind:ident;)*) => {
        /// Why something is a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Stable, to branch on.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What it means for the file.
            pub fn kind(self) -> Kind {
                match self { $(Code::$name => Kind::$kind,)* }
            }

            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$name,)*];
        }
    };
}

codes! {
    /// `--role` or `--site` names an instance that is not among the given ones.
    UnknownMember "unknown_member" Question;
    /// `--database` names one that is log-shipped nowhere here.
    DatabaseNotFound "database_not_found" Question;
    /// Two addresses lead to one `@@SERVERNAME`.
    SameServerName "same_server_name" Question;
    /// Two databases of one instance have names that differ in case only.
    NamesDifferInCase "names_differ_in_case" Question;
    /// The primary that a secondary's entry names did not answer or was not given.
    PrimaryNotGiven "primary_not_given" Question;
    /// No secondary of a primary answered or was given.
    SecondaryNotGiven "secondary_not_given" Question;
    /// The secondaries of a database name different primaries.
    PrimariesDisagree "primaries_disagree" Question;
    /// The databases have different primaries: more than one topology.
    SeveralPrimaries "several_primaries" Question;
    /// The databases of one primary have different mirrors.
    SeveralMirrors "several_mirrors" Question;
    /// Several secondaries, and nothing tells which one a failover goes to.
    SeveralSecondaries "several_secondaries" Question;
    /// The secondary database has another name than its primary.
    SecondaryRenamed "secondary_renamed" Question;
    /// One instance has two roles, which no topology can say.
    TwoRoles "two_roles" Question;
    /// `--pool` was said, and `mgc` is not log-shipped here.
    PoolWithoutContentDatabase "pool_without_content_database" Question;
    /// `--role` says otherwise than what is there.
    RoleContradicted "role_contradicted" Question;

    /// An instance did not answer.
    NotObserved "not_observed" Incomplete;
    /// `@@SERVERNAME` is NULL.
    NoServerName "no_server_name" Incomplete;
    /// Something on an instance could not be read.
    Unreadable "unreadable" Incomplete;
    /// The primary has no entry of a database that its secondary receives.
    PrimaryWithoutEntry "primary_without_entry" Incomplete;
    /// An instance was given and has no part in what was found.
    NoPart "no_part" Incomplete;
    /// A mirroring partner was not given.
    MirrorNotGiven "mirror_not_given" Incomplete;
    /// A witness was not given.
    WitnessNotGiven "witness_not_given" Incomplete;
    /// A registered secondary was not given, beside one that was.
    FurtherNotGiven "further_secondary_not_given" Incomplete;
    /// The monitor was not given.
    MonitorNotGiven "monitor_not_given" Incomplete;
    /// The monitor has another role too, which no topology can say.
    MonitorHasAnotherRole "monitor_has_another_role" Incomplete;
    /// The sides report to the monitor with a SQL Server login, and nothing tells which.
    MonitorLoginUnknown "monitor_login_unknown" Incomplete;
    /// A setting that a topology needs was not told.
    SettingUnknown "setting_unknown" Incomplete;
    /// A job without a schedule, or with one that no topology can say.
    ScheduleNotExpressible "schedule_not_expressible" Incomplete;
    /// The chat servers of the pool could not be read.
    PoolServersUnknown "pool_servers_unknown" Incomplete;
    /// Nothing tells where a chat server stands.
    ServerSiteUnknown "server_site_unknown" Incomplete;
    /// Nothing tells which chat servers serve after a failover.
    ActiveAfterFailoverUnknown "active_after_failover_unknown" Incomplete;
    /// What was found breaks a planning rule.
    BreaksRule "breaks_rule" Incomplete;

    /// Not as the written topology says.
    NotAsWritten "not_as_written" Differs;
    /// `configure` would refuse what is there.
    ConfigureRefuses "configure_refuses" Differs;
    /// A primary is registered on a secondary instance without any database.
    RegisteredWithoutDatabase "registered_without_database" Differs;
    /// An instance ships the log of a database, and is neither its primary nor its mirror.
    SecondPrimary "second_primary" Differs;

    /// Something was assumed about sites.
    SiteAssumed "site_assumed" Note;
    /// A database is mirrored and its log is not shipped.
    MirroredOnly "mirrored_only" Note;
    /// The content database of a Persistent Chat pool is there; its pool cannot be read here.
    PoolNotRead "pool_not_read" Note;
    /// Nothing tells the full name of a host, so that its address is written.
    HostNotTold "host_not_told" Note;
    /// The account of a service cannot be written as a domain account.
    AccountNotWritten "account_not_written" Note;
    /// Endpoints have different names.
    EndpointNamesDiffer "endpoint_names_differ" Note;
    /// A mirroring endpoint authenticates by certificate.
    CertificateEndpoint "certificate_endpoint" Note;
    /// The password of the login that reports to the monitor has to be given.
    MonitorPasswordNotTold "monitor_password_not_told" Note;
    /// Connection options of SQL Server 2025 stand in no table.
    ConnectionOptionsNotTold "connection_options_not_told" Note;
}

/// One thing that a discovery has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub code: Code,
    /// Which instance, by its address as given or `@@SERVERNAME`; `None`: all of it.
    pub instance: Option<String>,
    /// Which database.
    pub database: Option<DatabaseName>,
    /// What was found.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: Vec<&str> = [self.instance.as_deref(), self.database.as_ref().map(|d| d.as_str())]
            .into_iter()
            .flatten()
            .collect();
        if !at.is_empty() {
            write!(f, "{}: ", at.join(", "))?;
        }
        write!(f, "{}. {}", self.found, self.remedy)
    }
}
