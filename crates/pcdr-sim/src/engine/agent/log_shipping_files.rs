//! Log backup files: their names, and which of them a folder holds.

use jiff::civil::DateTime;

/// A log backup file of a database, `<database>_<YYYYMMDDHHMMSS>.trn` with the time in UTC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogFile {
    /// When the backup began, UTC. Names of one database sort as their times do.
    pub(super) at: DateTime,
    /// Name without folder.
    pub(super) name: String,
}

/// The name of a database's log backup of a time, with an extension.
pub(super) fn file_name(database: &str, at: DateTime, extension: &str) -> String {
    format!("{database}_{}.{extension}", at.strftime("%Y%m%d%H%M%S"))
}

/// Reads the name of a log backup file of a database; `None` for any other file.
pub(super) fn parse(database: &str, name: &str) -> Option<LogFile> {
    let lower = name.to_lowercase();
    let prefix = format!("{}_", database.to_lowercase());
    let digits = lower.strip_prefix(&prefix)?.strip_suffix(".trn")?;
    if digits.len() != 14 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i16>().ok();
    let small = |range: std::ops::Range<usize>| i8::try_from(n(range)?).ok();
    let at = DateTime::new(
        n(0..4)?,
        small(4..6)?,
        small(6..8)?,
        small(8..10)?,
        small(10..12)?,
        small(12..14)?,
        0,
    )
    .ok()?;
    Some(LogFile { at, name: name.to_owned() })
}

/// The log backup files of a database in a folder, oldest first.
pub(super) fn list(folder: &std::path::Path, database: &str) -> std::io::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = std::fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| parse(database, &entry.file_name().to_string_lossy()))
        .collect();
    files.sort();
    Ok(files)
}

/// The last part of a path as a server writes it.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// Folder and name as one path, in the folder's own spelling.
pub(super) fn join(folder: &str, name: &str) -> String {
    let separator = if folder.contains('/') && !folder.contains('\\') { '/' } else { '\\' };
    if folder.ends_with(['\\', '/']) {
        format!("{folder}{name}")
    } else {
        format!("{folder}{separator}{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::datetime;

    #[test]
    fn a_file_name_is_read_back_as_it_was_written() {
        let at = datetime(2026, 11, 20, 9, 30, 5, 0);
        let name = file_name("m]g_c", at, "trn");
        assert_eq!(name, "m]g_c_20261120093005.trn");
        assert_eq!(parse("M]G_C", &name).map(|f| f.at), Some(at));
    }

    #[test]
    fn files_of_other_databases_and_unfinished_files_are_no_log_backups() {
        assert_eq!(parse("mgc", "mgc_comp_20261120093005.trn"), None);
        assert_eq!(parse("mgc", "mgc_20261120093005.wrk"), None);
        assert_eq!(parse("mgc", "mgc_2026112009300é.trn"), None);
        assert_eq!(parse("mgc", "mgc_20261399093005.trn"), None);
    }

    #[test]
    fn a_path_keeps_the_spelling_of_its_folder() {
        assert_eq!(join(r"\\fs\logs", "a.trn"), r"\\fs\logs\a.trn");
        assert_eq!(join("/var/opt/tlogs", "a.trn"), "/var/opt/tlogs/a.trn");
        assert_eq!(join("D:\\logs\\", "a.trn"), r"D:\logs\a.trn");
        assert_eq!(base_name(r"\\fs\logs\a.trn"), "a.trn");
    }
}
