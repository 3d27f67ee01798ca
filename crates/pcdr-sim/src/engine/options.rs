//! The WITH clause of BACKUP and RESTORE, checked.

use jiff::civil;

use super::errors;
use crate::message::SqlMessage;
use crate::tsql::ast::BackupOption;

/// The options of one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct With {
    flags: Vec<String>,
    settings: Vec<(String, String)>,
    pub(crate) moves: Vec<(String, String)>,
}

const BACKUP_FLAGS: &[&str] = &[
    "NORECOVERY",
    "COPY_ONLY",
    "DIFFERENTIAL",
    "CHECKSUM",
    "NO_CHECKSUM",
    "STOP_ON_ERROR",
    "CONTINUE_AFTER_ERROR",
    "COMPRESSION",
    "NO_COMPRESSION",
    "INIT",
    "NOINIT",
    "FORMAT",
    "NOFORMAT",
    "SKIP",
    "NOSKIP",
    "STATS",
    "NO_TRUNCATE",
    "RESTART",
    "REWIND",
    "NOREWIND",
    "UNLOAD",
    "NOUNLOAD",
];
const BACKUP_SETTINGS: &[&str] = &[
    "STANDBY",
    "NAME",
    "DESCRIPTION",
    "EXPIREDATE",
    "RETAINDAYS",
    "MEDIANAME",
    "MEDIADESCRIPTION",
    "BLOCKSIZE",
    "BUFFERCOUNT",
    "MAXTRANSFERSIZE",
    "STATS",
];
const RESTORE_FLAGS: &[&str] = &[
    "RECOVERY",
    "NORECOVERY",
    "REPLACE",
    "CHECKSUM",
    "NO_CHECKSUM",
    "STOP_ON_ERROR",
    "CONTINUE_AFTER_ERROR",
    "STATS",
    "RESTRICTED_USER",
    "KEEP_REPLICATION",
    "KEEP_CDC",
    "ENABLE_BROKER",
    "NEW_BROKER",
    "ERROR_BROKER_CONVERSATIONS",
    "RESTART",
    "LOADHISTORY",
    "REWIND",
    "NOREWIND",
    "UNLOAD",
    "NOUNLOAD",
];
const RESTORE_SETTINGS: &[&str] = &[
    "STANDBY",
    "FILE",
    "MEDIANAME",
    "BLOCKSIZE",
    "BUFFERCOUNT",
    "MAXTRANSFERSIZE",
    "STATS",
    "STOPAT",
];

impl With {
    /// Checks the options against the statement.
    pub(crate) fn parse(options: &[BackupOption], statement: &str) -> Result<With, SqlMessage> {
        let backup = statement.starts_with("BACKUP");
        let (flags, settings) = if backup {
            (BACKUP_FLAGS, BACKUP_SETTINGS)
        } else {
            (RESTORE_FLAGS, RESTORE_SETTINGS)
        };
        let verb = if backup { "BACKUP" } else { "RESTORE" };
        let mut with = With::default();
        for option in options {
            match option {
                BackupOption::Flag(name) => {
                    let name = name.to_uppercase();
                    if !flags.contains(&name.as_str()) {
                        return Err(errors::unknown_option(&name, verb).with_state(1));
                    }
                    with.flags.push(name);
                }
                BackupOption::Setting(name, value) => {
                    let name = name.to_uppercase();
                    if !settings.contains(&name.as_str()) {
                        return Err(errors::unknown_option(&name, verb));
                    }
                    with.settings.push((name, value.clone()));
                }
                BackupOption::Move(from, to) if !backup => {
                    if with.moves.iter().any(|(f, _)| f.eq_ignore_ascii_case(from)) {
                        return Err(errors::conflicting_moves(from));
                    }
                    with.moves.push((from.clone(), to.clone()));
                }
                BackupOption::Move(..) => return Err(errors::unknown_option("MOVE", verb)),
            }
        }
        for (one, other) in [
            ("RECOVERY", "NORECOVERY"),
            ("CHECKSUM", "NO_CHECKSUM"),
            ("INIT", "NOINIT"),
            ("COMPRESSION", "NO_COMPRESSION"),
            ("STOP_ON_ERROR", "CONTINUE_AFTER_ERROR"),
        ] {
            if with.has(one) && with.has(other) {
                return Err(errors::conflicting_options(one, other));
            }
        }
        if with.standby().is_some() && (with.has("RECOVERY") || with.has("NORECOVERY")) {
            return Err(errors::conflicting_options("STANDBY", "RECOVERY, NORECOVERY"));
        }
        Ok(with)
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.settings.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u32>, SqlMessage> {
        self.text(name)
            .map(|text| text.trim().parse().map_err(|_| errors::bad_value(name)))
            .transpose()
    }

    pub(crate) fn standby(&self) -> Option<String> {
        self.text("STANDBY")
    }

    /// Percent between progress messages.
    pub(crate) fn stats(&self) -> Result<Option<u32>, SqlMessage> {
        Ok(self.number("STATS")?.or_else(|| self.has("STATS").then_some(10)))
    }

    /// STOPAT, local.
    pub(crate) fn stop_at(&self) -> Result<Option<civil::DateTime>, SqlMessage> {
        self.text("STOPAT")
            .map(|text| parse_datetime(&text).ok_or_else(|| errors::bad_value("STOPAT")))
            .transpose()
    }
}

/// A datetime literal in one of the forms that do not depend on the language.
pub(crate) fn parse_datetime(text: &str) -> Option<civil::DateTime> {
    let text = text.trim();
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.trim()),
        None => (text, "00:00:00"),
    };
    let date = if date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()) {
        format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..])
    } else {
        date.to_owned()
    };
    let time = match time.matches(':').count() {
        1 => format!("{time}:00"),
        _ => time.to_owned(),
    };
    format!("{date}T{time}").parse().ok()
}
