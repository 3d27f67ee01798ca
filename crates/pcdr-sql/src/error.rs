//! From what the driver or the server said to what it means.

use std::sync::Arc;
use std::time::Duration;

use pcdr_core::{ErrorCode, InstanceError};

use crate::quote::QuoteError;

/// One error of the server, as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (error {number}, severity {class}, state {state})")]
pub struct ServerError {
    /// Error number.
    pub number: i32,
    /// Severity; from 20 on the server closes the connection.
    pub class: u8,
    /// State.
    pub state: u8,
    /// Text, in the language of the login.
    pub message: String,
    /// Procedure that raised it; empty outside procedures.
    pub procedure: String,
}

impl ServerError {
    /// Whether a file could not be opened or written because there is no space: the operating
    /// system's number stands in the text in every language.
    ///
    /// Source: Windows system error codes, 39 (`ERROR_HANDLE_DISK_FULL`) and 112
    /// (`ERROR_DISK_FULL`); on Linux SQL Server reports the same.
    fn is_disk_full(&self) -> bool {
        [" 112(", " 39("].iter().any(|number| self.message.contains(number))
    }
}

/// What can go wrong between pcdr and one instance, before anyone says what it means for a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// The password or token cannot be read.
    #[error("the password or access token cannot be read: {0}")]
    Secret(String),
    /// Kerberos is needed, and this program was built without it.
    #[error("this pcdr was built without Kerberos")]
    NotBuiltIn,
    /// Kerberos gave no ticket for the instance.
    #[error("no Kerberos ticket: {0}")]
    Kerberos(String),
    /// No connection could be made.
    #[error("no connection to {address}: {message}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Cause.
        message: String,
    },
    /// The TLS handshake failed.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// The server answered with an error.
    #[error(transparent)]
    Server(ServerError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// Something that is not the server's protocol, or a value that cannot be.
    #[error("not understood: {0}")]
    Protocol(String),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A procedure returned a failure without raising an error.
    #[error("{procedure} returned {code} without an error")]
    Returned {
        /// Name.
        procedure: String,
        /// What it returned; `NULL` where it returned nothing.
        code: String,
    },
    /// Stopped by the operator.
    #[error("cancelled by the operator")]
    Cancelled,
    /// A name that no batch can carry.
    #[error(transparent)]
    Quote(#[from] QuoteError),
}

impl SqlError {
    /// The server's error number, if it was the server's error.
    pub fn number(&self) -> Option<i32> {
        match self {
            SqlError::Server(error) => Some(error.number),
            _ => None,
        }
    }

    /// Whether the connection cannot be used any more.
    pub(crate) fn breaks_connection(&self) -> bool {
        match self {
            SqlError::Server(error) => error.class >= 20,
            SqlError::Quote(_) => false,
            _ => true,
        }
    }

    /// Whether the session ended under the request: it was killed, or its server or network went.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            SqlError::Lost(_) => true,
            SqlError::Server(error) => error.class >= 20,
            _ => false,
        }
    }

    /// From the driver's error while a connection was being made.
    pub(crate) fn connecting(address: &str, error: tiberius::error::Error) -> SqlError {
        match error {
            tiberius::error::Error::Tls(message) => SqlError::Tls(without_advice(&message)),
            tiberius::error::Error::Io { message, .. } if message.contains("handshake") => {
                SqlError::Tls(message)
            }
            tiberius::error::Error::Io { message, .. } => {
                SqlError::Unreachable { address: address.to_owned(), message }
            }
            other => match SqlError::running(other) {
                // A server that is shutting down refuses logins: nothing of ours was lost.
                SqlError::Server(error) if meaning(error.number).0 == ErrorCode::ConnectionLost => {
                    SqlError::Unreachable {
                        address: address.to_owned(),
                        message: error.to_string(),
                    }
                }
                error => error,
            },
        }
    }

    /// From the driver's error while a request ran.
    pub(crate) fn running(error: tiberius::error::Error) -> SqlError {
        match error {
            tiberius::error::Error::Server(error) => SqlError::Server(ServerError {
                number: i32::try_from(error.code()).unwrap_or(i32::MAX),
                class: error.class(),
                state: error.state(),
                message: error.message().to_owned(),
                procedure: error.procedure().to_owned(),
            }),
            tiberius::error::Error::Io { message, .. } => SqlError::Lost(message),
            tiberius::error::Error::Tls(message) => SqlError::Lost(without_advice(&message)),
            // The text of a conversion error prints the value, which may be a secret.
            tiberius::error::Error::Conversion(_) => {
                SqlError::Protocol("a value is not of the expected type".to_owned())
            }
            #[cfg(all(unix, feature = "kerberos"))]
            tiberius::error::Error::Gssapi(message) => SqlError::Kerberos(message),
            other => SqlError::Protocol(other.to_string()),
        }
    }

    /// What it means for somebody who needed something of an instance.
    ///
    /// `at` is the instance's name, `needed` a clause such as `a connection was needed`.
    pub fn at(&self, at: &str, needed: &str) -> InstanceError {
        let (code, found, remedy) = match self {
            SqlError::Secret(message) => (
                ErrorCode::LoginFailed,
                format!("the password or access token cannot be read: {message}"),
                "set the environment variable or file that the topology names",
            ),
            SqlError::NotBuiltIn => (
                ErrorCode::LoginFailed,
                self.to_string(),
                "build it with `cargo install --features kerberos` on a Unix system with the MIT \
                 Kerberos headers (libkrb5-dev) and libclang, or use another authentication",
            ),
            SqlError::Kerberos(message) => (
                ErrorCode::LoginFailed,
                format!("Kerberos gave no ticket: {}", one_line(message)),
                "get a ticket with kinit; check that the instance's service principal name is \
                 MSSQLSvc/host:port with the host as the topology spells it, and the realm of that \
                 host in krb5.conf",
            ),
            SqlError::Unreachable { address, message } => (
                ErrorCode::Unreachable,
                format!("{address} does not answer: {}", one_line(message)),
                "check that the instance runs, its TCP port, name resolution and the firewall; \
                 an instance that does not answer is not proved to be down",
            ),
            SqlError::Tls(message) => (
                ErrorCode::CertificateNotTrusted,
                format!("the secure connection was refused: {}", one_line(message)),
                "name the signing certificate as ca_file, or the name in the certificate as \
                 host_name_in_certificate; a server that offers neither TLS 1.2 nor 1.3 with ECDHE, \
                 or an X.509 v1 certificate (SQL Server 2014 and older on old Windows), needs a \
                 newer certificate and TLS settings, or a pcdr built with the feature tls-native; \
                 encrypt = \"strict\" needs SQL Server 2022",
            ),
            SqlError::Server(error) => {
                let (code, remedy) = match meaning(error.number) {
                    (ErrorCode::FileInaccessible, _) if error.is_disk_full() => meaning(3257),
                    other => other,
                };
                let found = format!("{} (error {})", one_line(&error.message), error.number);
                (code, found, remedy)
            }
            SqlError::Lost(message) => (
                ErrorCode::ConnectionLost,
                format!("the connection broke: {}", one_line(message)),
                "observe again: whether the statement took effect is not known",
            ),
            SqlError::Protocol(message) => (
                ErrorCode::Protocol,
                format!("the answer was not understood: {}", one_line(message)),
                "check that a SQL Server instance answers at this address",
            ),
            SqlError::TimedOut(limit) => (
                ErrorCode::TimedOut,
                format!("there was no answer within {} s", limit.as_secs()),
                "check the load of the instance, then observe again",
            ),
            SqlError::Returned { .. } => (
                ErrorCode::Server,
                self.to_string(),
                "look into the server's error log and the history of its jobs",
            ),
            SqlError::Cancelled => (
                ErrorCode::Cancelled,
                "the operator stopped it".to_owned(),
                "observe again, then plan again",
            ),
            SqlError::Quote(error) => (
                ErrorCode::Server,
                error.to_string(),
                "use another name: no statement can carry this one",
            ),
        };
        let mut error = InstanceError::new(code, at, needed, found, remedy);
        error.number = self.number();
        error.source = Some(Arc::new(self.clone()));
        error
    }
}

/// The driver's advice to switch verification off is none that pcdr gives.
fn without_advice(message: &str) -> String {
    match message.find(" To connect anyway") {
        Some(end) => message[..end].to_owned(),
        None => message.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    crate::quote::comment(text.trim())
}

/// What an error number means, and what to do about it.
///
/// Source: "Database Engine events and errors".
#[rustfmt::skip]
pub fn meaning(number: i32) -> (ErrorCode, &'static str) {
    use ErrorCode::*;
    match number {
        // Logins.
        18456 => (LoginFailed, "check login and password; the server's error log has the true reason"),
        18452 | 17806 => (LoginFailed, "use a login of a trusted domain, or a SQL login"),
        18470 => (LoginFailed, "enable the login"),
        18486 => (LoginFailed, "unlock the login, and find out who tries wrong passwords"),
        18487 | 18488 => (LoginFailed, "set a new password for the login"),
        4060..=4064 => (LoginFailed, "let the login connect to master, and make master its default database"),
        17892 => (LoginFailed, "a logon trigger refuses the login: let it pass"),
        18451 | 18461 | 18401 | 17142 | 17187 => (Unreachable, "wait until the server accepts connections again"),
        // Permissions.
        229 | 230 | 262 | crate::statement::HIDDEN | 297 | 300 | 916 | 3110 | 5011 | 6102 | 14252 | 14260 | 14390 | 14393
        | 14525 | 15151 | 15247 => (PermissionDenied, "grant the permission to pcdr's login; changes of log shipping need sysadmin"),
        // Others are in the way.
        3101 | 3102 | 3702 | 3703 | 924 | 5030 | 5061 | 5064 | 5070 | 5006 => (InUse, "end the sessions in the database, then try again"),
        3023 | 1205 | 1222 | 1807 | 952 | 5059 | 845 => (InUse, "another statement changes the database at the same time: wait and try again"),
        // States.
        911 | 3118 | 5002 | 15010 => (WrongState, "check the name of the database on this instance"),
        3117 => (WrongState, "the database is recovered and takes no more log: start again from a full backup"),
        921 | 922 | 926 | 927 | 942 | 945 | 954 | 3033 | 3036 | 3148 | 3153 | 3159 | 3185 | 4208 | 4214
        | 4306 | 5004 | 5052 | 5063 | 5078 => (WrongState, "observe the database, then plan again"),
        3104 | 1468 | 3743 | 3059 => (WrongState, "remove mirroring of the database first"),
        3169 | 3180 | 905 | 909 | 933 | 943 | 948 => (WrongBackup, "restore on a server of the same or a later version and edition"),
        4319 | 4323 | 4347 => (WrongState, "restore the interrupted backup again"),
        // The log chain.
        4305 | 4303 | 4349 => (LogGap, "restore the missing earlier log backup first; look for it in the backup share, the copy folder and on the primary"),
        4312 | 4318 => (LogGap, "the log chain is broken: a differential or full backup is needed"),
        4330 | 3116 | 3121 | 3154 | 3136 | 3141 | 3120 | 3135 => (WrongBackup, "choose a backup of the same database on the same recovery fork"),
        4326 => (AlreadyRestored, "nothing: everything in this backup is already applied"),
        4338 | 4335 | 4343 => (WrongBackup, "choose another stop point"),
        3234 | 1834 | 3156 | 3174 | 5183 | 5170 => (WrongState, "name a folder for the database's files (data_directory) in which they may be created"),
        // Backups.
        3203 | 3208 | 3241 | 3242 | 3254 | 3256 | 3183 | 3189 | 3186 | 3182 | 3243 | 3266 | 3270 | 3284
        | 3132 | 3258 | 3231 | 3287 => (BackupDamaged, "copy the file again; if the original is damaged too, look for another copy"),
        // What DBCC CHECKDB finds.
        2508..=2580 | 8901..=8988 | 8991..=8999 => (BackupDamaged, "the restored copy is damaged, and so may be the database that was backed up: run DBCC CHECKDB there, and keep older backups"),
        33111 => (BackupDamaged, "restore the certificate that encrypted the backup into master first"),
        823 | 824 | 829 | 3313 | 3314 | 3441 | 3443 | 3456 | 9003 | 9004 | 9015 => (BackupDamaged, "the copy is damaged: restore it from a full backup"),
        // Files and space.
        3201 | 3202 | 3206 | 3229 | 5105 | 5110 | 5120 | 5121 | 5123 | 5133 | 3057 | 22048 | 22049 => (FileInaccessible, "check path, share, network and the rights of the SQL Server service account"),
        3257 | 1101 | 1105 | 9002 | 5149 | 3271 => (DiskFull, "free space on the disk or in the log, then try again"),
        3009 => (Server, "the backup or restore itself is done, its history is not: repair msdb, then observe again"),
        3013 | 5069 => (Server, "look into the server's error log for the cause"),
        // What pcdr itself cancels ends as `SqlError::Cancelled`: somebody else ended this one.
        3204 => (ConnectionLost, "observe again: whether the statement took effect is not known"),
        // Mirroring.
        1418 | 1456 => (Mirroring, "check name, port and state of both mirroring endpoints; where they authenticate by \
            certificate, that each side has the other's, that it has not expired, and that its login has CONNECT: the \
            error logs tell which (28047)"),
        955 | 956 | 1402..=1500 => (Mirroring, "observe the mirroring session on both partners; take and restore a log backup if the mirror is behind"),
        // Log shipping and Agent.
        32007 | 32009..=32018 | 32022..=32025 | 32028 | 32052..=32057 => (LogShipping, "compare the log shipping entries with the topology"),
        14256..=14258 | 14261 | 14262 | 14274 | 14278 | 14287 | 14288 | 14293 | 14371..=14377
        | 14528 | 22022 | 15281 => (Agent, "check SQL Server Agent and the job"),
        // Connections.
        596 | 4014 | 6005 => (ConnectionLost, "observe again: whether the statement took effect is not known"),
        _ => (Server, "look the error number up, then observe again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: i32, class: u8) -> SqlError {
        SqlError::Server(ServerError {
            number,
            class,
            state: 1,
            message: "text\nof two lines".to_owned(),
            procedure: String::new(),
        })
    }

    #[test]
    fn every_number_that_branches_a_run_has_its_own_code() {
        for (number, code) in [
            (18456, ErrorCode::LoginFailed),
            (4060, ErrorCode::LoginFailed),
            (3101, ErrorCode::InUse),
            (4305, ErrorCode::LogGap),
            (4330, ErrorCode::WrongBackup),
            (4326, ErrorCode::AlreadyRestored),
            (3241, ErrorCode::BackupDamaged),
            (3201, ErrorCode::FileInaccessible),
            (9002, ErrorCode::DiskFull),
            (1418, ErrorCode::Mirroring),
            (32010, ErrorCode::LogShipping),
            (22022, ErrorCode::Agent),
            (596, ErrorCode::ConnectionLost),
            (4242, ErrorCode::Server),
        ] {
            assert_eq!(meaning(number).0, code, "{number}");
        }
    }

    #[test]
    fn a_translated_error_keeps_its_number_and_source_on_one_line() {
        let error = server(4305, 16).at("sql1", "the log had to be restored");
        assert_eq!(error.number, Some(4305));
        assert!(error.source.is_some());
        assert!(!error.to_string().contains('\n'), "{error}");
        assert!(error.to_string().contains("4305"), "{error}");
    }

    #[test]
    fn severity_20_breaks_the_connection_and_16_does_not() {
        assert!(server(596, 21).breaks_connection());
        assert!(!server(4305, 16).breaks_connection());
        assert!(SqlError::Lost(String::new()).breaks_connection());
    }

    #[test]
    fn the_drivers_advice_to_trust_everything_is_not_passed_on() {
        let error = SqlError::connecting(
            "sql1:1433",
            tiberius::error::Error::Tls(
                "rejected: UnknownIssuer. To connect anyway you can: trust_cert()".into(),
            ),
        );
        let error = error.at("sql1", "a connection was needed");
        assert_eq!(error.code, ErrorCode::CertificateNotTrusted);
        assert!(error.found.contains("UnknownIssuer"));
        assert!(!error.found.contains("trust_cert"));
    }
}
