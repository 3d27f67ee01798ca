//! The WITH clause of BACKUP and RESTORE, checked.

use jiff::civil;

use super::errors;
use super::lsn::Lsn;
use crate::message::SqlMessage;
use crate::tsql::ast::{BackupOption, Device, DeviceClass};

/// The options of one statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct With {
    flags: Vec<String>,
    settings: Vec<(String, String)>,
    pub(crate) moves: Vec<(String, String)>,
    /// Algorithm and certificate.
    pub(crate) encryption: Option<(String, String)>,
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
    "STOPATMARK",
    "STOPBEFOREMARK",
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
                BackupOption::Encryption(algorithm, certificate) if backup => {
                    with.encryption = Some((algorithm.clone(), certificate.clone()));
                }
                BackupOption::Encryption(..) => {
                    return Err(errors::unknown_option("ENCRYPTION", verb));
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
        with.check_sizes()?;
        Ok(with)
    }

    /// BLOCKSIZE, MAXTRANSFERSIZE, BUFFERCOUNT and RETAINDAYS. Source: the pages of BACKUP and RESTORE.
    fn check_sizes(&self) -> Result<(), SqlMessage> {
        let outside = |option: &str, value: u32| errors::out_of_range(&value.to_string(), option);
        if let Some(size) = self.number("BLOCKSIZE")? {
            if !(512..=65_536).contains(&size) {
                return Err(outside("BLOCKSIZE", size));
            }
            if !size.is_power_of_two() {
                return Err(errors::no_power_of_two("BLOCKSIZE"));
            }
        }
        if let Some(size) = self.number("MAXTRANSFERSIZE")?
            && (size == 0 || size > 4_194_304 || size % 65_536 != 0)
        {
            return Err(outside("MAXTRANSFERSIZE", size));
        }
        if self.number("BUFFERCOUNT")? == Some(0) {
            return Err(outside("BUFFERCOUNT", 0));
        }
        if let Some(days) = self.number("RETAINDAYS")?
            && days > 99_999
        {
            return Err(outside("RETAINDAYS", days));
        }
        Ok(())
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

/// Where a RESTORE LOG stops, when that is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopMark {
    /// The record of this LSN is the last one (`true`) or the first one that is left out.
    Lsn(Lsn, bool),
    /// A marked transaction. No transaction here bears a mark, so none is ever reached.
    Named,
}

impl With {
    /// STOPATMARK and STOPBEFOREMARK.
    pub(crate) fn stop_mark(&self) -> Result<Option<StopMark>, SqlMessage> {
        let (text, included) = match (self.text("STOPATMARK"), self.text("STOPBEFOREMARK")) {
            (Some(text), _) => (text, true),
            (None, Some(text)) => (text, false),
            (None, None) => return Ok(None),
        };
        let Some(lsn) = text.get(..4).filter(|start| start.eq_ignore_ascii_case("lsn:")) else {
            return Ok(Some(StopMark::Named));
        };
        let lsn = text[lsn.len()..].trim().parse().map_err(|_| errors::mark_is_no_lsn())?;
        Ok(Some(StopMark::Lsn(Lsn(lsn), included)))
    }
}

/// The names of a statement's devices, checked.
///
/// # Errors
///
/// 3207 without a device, 3205 with more than 64, 3044 and 3057 for names that no device has, 3011 for
/// devices of different kinds, 3206 for a logical device: none is ever defined here.
pub(crate) fn devices(devices: &[Device]) -> Result<Vec<String>, SqlMessage> {
    const LONGEST: usize = 259;
    let Some(first) = devices.first() else {
        return Err(errors::no_device());
    };
    if devices.len() > 64 {
        return Err(errors::too_many_devices());
    }
    if devices.iter().any(|device| device.name.trim().is_empty()) {
        return Err(errors::empty_device());
    }
    if devices.iter().any(|device| device.name.chars().count() > LONGEST) {
        return Err(errors::device_name_too_long(LONGEST));
    }
    if let Some(device) = devices.iter().find(|device| device.class == DeviceClass::Logical) {
        return Err(errors::no_logical_device(&device.name));
    }
    if devices.iter().any(|device| device.class != first.class) {
        return Err(errors::mixed_devices());
    }
    Ok(devices.iter().map(|device| device.name.clone()).collect())
}

/// The database name of a BACKUP or RESTORE.
///
/// # Errors
///
/// 3025 without a name, 3123 for one that no database can have.
pub(crate) fn check_name(name: &str) -> Result<(), SqlMessage> {
    if name.is_empty() {
        return Err(errors::no_database_name());
    }
    if name.chars().count() > 128 {
        return Err(errors::invalid_database_name(name));
    }
    Ok(())
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
