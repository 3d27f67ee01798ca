//! Files and disks as the server sees them.
//!
//! Source: wide use of the undocumented functions `sys.dm_os_enumerate_filesystem`,
//! `sys.dm_os_file_exists` and `sys.dm_os_enumerate_fixed_drives`; the vendor's page of
//! `sys.dm_os_volume_stats`.

use std::path::Path;

use super::columns::objects::{
    DM_OS_ENUMERATE_FILESYSTEM, DM_OS_ENUMERATE_FIXED_DRIVES, DM_OS_FILE_EXISTS, DM_OS_VOLUME_STATS,
};
use super::{Named, View, rows};
use crate::engine::msdb::store::whole_number;
use crate::engine::paths;
use crate::message::SqlFailure;
use crate::value::{Relation, Value};

/// A file or folder below another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Names from the folder that was listed down to this one.
    pub parts: Vec<String>,
    /// Whether it is a folder.
    pub is_directory: bool,
    /// Bytes.
    pub size: u64,
    /// Seconds since it was last written.
    pub age_seconds: i64,
}

/// What is below a folder, by name, each folder before what is in it. Nothing when it cannot be read.
pub fn entries(folder: &Path, depth: usize) -> Vec<FileEntry> {
    let mut found = Vec::new();
    walk(folder, depth.min(64), &mut Vec::new(), &mut found);
    found
}

fn walk(folder: &Path, depth: usize, above: &mut Vec<String>, found: &mut Vec<FileEntry>) {
    if depth == 0 {
        return;
    }
    let Ok(read) = std::fs::read_dir(folder) else {
        return;
    };
    let mut all: Vec<std::fs::DirEntry> = read.flatten().collect();
    all.sort_by_key(|e| e.file_name().to_string_lossy().to_lowercase());
    for entry in all {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        above.push(entry.file_name().to_string_lossy().into_owned());
        let age = metadata.modified().ok().and_then(|m| m.elapsed().ok());
        found.push(FileEntry {
            parts: above.clone(),
            is_directory: metadata.is_dir(),
            size: if metadata.is_dir() { 0 } else { metadata.len() },
            age_seconds: age.map_or(0, |a| i64::try_from(a.as_secs()).unwrap_or(0)),
        });
        if metadata.is_dir() {
            walk(&entry.path(), depth - 1, above, found);
        }
        above.pop();
    }
}

fn argument(arguments: &[Value], at: usize) -> String {
    match arguments.get(at) {
        Some(Value::String(text)) => text.to_string(),
        _ => String::new(),
    }
}

fn separator(path: &str) -> char {
    if path.contains('/') && !path.contains('\\') { '/' } else { '\\' }
}

/// Whether a name matches a pattern of `*` and `?`, without regard to case.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    // Greedy with one point to come back to: linear in practice, never exponential.
    let (mut p, mut n, mut star, mut mark) = (0, 0, None, 0);
    while n < name.len() {
        if p < pattern.len() && (pattern[p] == '?' || (pattern[p] == name[n] && pattern[p] != '*'))
        {
            p += 1;
            n += 1;
        } else if p < pattern.len() && pattern[p] == '*' {
            star = Some(p);
            mark = n;
            p += 1;
        } else if let Some(s) = star {
            p = s + 1;
            mark += 1;
            n = mark;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// `sys.dm_os_enumerate_filesystem(directory, pattern)`: the whole tree below; a folder that cannot
/// be read gives no row.
pub(super) fn enumerate(view: View<'_>, arguments: &[Value]) -> Result<Relation, SqlFailure> {
    let directory = argument(arguments, 0);
    let pattern = match argument(arguments, 1) {
        text if text.is_empty() => "*".to_owned(),
        text => text,
    };
    let place = paths::resolve(view.state, view.world.root(), view.instance, &directory);
    let found = place.map(|p| entries(&p.path, 64)).unwrap_or_default();
    let slash = separator(&directory);
    let top = directory.trim_end_matches(['\\', '/']).to_owned();
    let named: Vec<Named> = found
        .into_iter()
        .filter_map(|e| {
            let (name, above) = e.parts.split_last()?;
            if !matches(&pattern, name) {
                return None;
            }
            let parent = above.iter().fold(top.clone(), |p, part| format!("{p}{slash}{part}"));
            let written = view
                .now
                .checked_sub(jiff::SignedDuration::from_secs(e.age_seconds))
                .map_or(Value::Null, |at| view.local(at));
            Some(vec![
                ("full_filesystem_path", Value::string(format!("{parent}{slash}{name}"))),
                ("parent_directory", Value::string(parent)),
                ("file_or_directory_name", Value::string(name)),
                ("level", Value::BigInt(above.len() as i64)),
                ("is_directory", Value::Bit(e.is_directory)),
                ("creation_time", written.clone()),
                ("last_access_time", written.clone()),
                ("last_write_time", written),
                ("size_in_bytes", Value::BigInt(i64::try_from(e.size).unwrap_or(i64::MAX))),
            ])
        })
        .collect();
    Ok(rows(DM_OS_ENUMERATE_FILESYSTEM, view.major(), named))
}

/// Whether a path is a file, is a folder, and whether its folder exists.
pub(crate) fn existence(view: View<'_>, path: &str) -> (bool, bool, bool) {
    let Ok(place) = paths::resolve(view.state, view.world.root(), view.instance, path) else {
        return (false, false, false);
    };
    let parent = place.path.parent().is_some_and(Path::is_dir);
    (place.path.is_file(), place.path.is_dir(), parent)
}

/// `sys.dm_os_file_exists(path)`.
pub(super) fn file_exists(view: View<'_>, arguments: &[Value]) -> Result<Relation, SqlFailure> {
    let (file, folder, parent) = existence(view, &argument(arguments, 0));
    let named = vec![vec![
        ("file_exists", Value::Bit(file)),
        ("file_is_a_directory", Value::Bit(folder)),
        ("parent_directory_exists", Value::Bit(parent)),
    ]];
    Ok(rows(DM_OS_FILE_EXISTS, view.major(), named))
}

/// Bytes that a disk of this world holds.
const DISK_BYTES: i64 = 1 << 40;

/// The drives that the instance's paths are on, with their free bytes.
pub(crate) fn drives(view: View<'_>) -> Vec<(String, i64)> {
    let config = &view.instance.config;
    let mut found: Vec<String> = [&config.data_path, &config.log_path, &config.backup_path]
        .into_iter()
        .map(|p| drive(p))
        .chain(view.instance.full_drives.iter().cloned())
        .collect();
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|d| {
            let full = view.instance.full_drives.contains(&d);
            (d, if full { 0 } else { DISK_BYTES / 2 })
        })
        .collect()
}

/// The drive of a path: its letter, or `/`.
fn drive(path: &str) -> String {
    match path.chars().next() {
        Some(letter) if letter.is_ascii_alphabetic() => letter.to_ascii_uppercase().to_string(),
        _ => "/".to_owned(),
    }
}

fn root_of(drive: &str) -> String {
    if drive == "/" { drive.to_owned() } else { format!("{drive}:\\") }
}

/// `sys.dm_os_enumerate_fixed_drives`.
pub(super) fn fixed_drives(view: View<'_>) -> Relation {
    let named = drives(view)
        .into_iter()
        .map(|(drive, free)| {
            vec![
                ("fixed_drive_path", Value::string(root_of(&drive))),
                ("drive_type", Value::Int(3)),
                ("drive_type_desc", Value::string("DRIVE_FIXED")),
                ("free_space_in_bytes", Value::BigInt(free)),
            ]
        })
        .collect();
    rows(DM_OS_ENUMERATE_FIXED_DRIVES, view.major(), named)
}

/// `sys.dm_os_volume_stats(database_id, file_id)`.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn volume_stats(view: View<'_>, arguments: &[Value]) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER PERFORMANCE STATE")?;
    let wanted = |at: usize| arguments.get(at).and_then(whole_number);
    let mut named = Vec::new();
    for database in view.instance.databases.values() {
        for file in &database.files {
            let this =
                wanted(0) == Some(i64::from(database.id)) && wanted(1) == Some(i64::from(file.id));
            if !this {
                continue;
            }
            let on = drive(&file.physical);
            let free = drives(view).into_iter().find(|d| d.0 == on).map_or(DISK_BYTES / 2, |d| d.1);
            named.push(vec![
                ("database_id", Value::Int(database.id)),
                ("file_id", Value::Int(file.id)),
                ("volume_mount_point", Value::string(root_of(&on))),
                ("volume_id", Value::string(format!("volume-{}", on.to_lowercase()))),
                ("logical_volume_name", Value::string("")),
                ("file_system_type", Value::string("NTFS")),
                ("total_bytes", Value::BigInt(DISK_BYTES)),
                ("available_bytes", Value::BigInt(free)),
                ("supports_compression", Value::TinyInt(1)),
                ("supports_alternate_streams", Value::TinyInt(1)),
                ("supports_sparse_files", Value::TinyInt(1)),
                ("is_read_only", Value::TinyInt(0)),
                ("is_compressed", Value::TinyInt(0)),
            ]);
        }
    }
    Ok(rows(DM_OS_VOLUME_STATS, view.major(), named))
}
