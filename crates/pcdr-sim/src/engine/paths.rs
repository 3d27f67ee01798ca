//! From the paths that servers write to folders of the world.
//!
//! `\\host\share\x` is `<root>/shares/host/share/x`, `D:\x` and `/x` on an instance are
//! `<root>/instances/<instance>/D/x` and `<root>/instances/<instance>/root/x`. No path leaves the root:
//! parts are checked one by one and `..` is refused.

use std::path::{Path, PathBuf};

use super::errors::OsError;
use super::state::{InstanceState, WorldState};

/// A place on a disk of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// On this machine.
    pub path: PathBuf,
    /// Why it cannot be written, if it cannot.
    pub write_error: Option<OsError>,
}

/// The place that an instance means by a path.
///
/// # Errors
///
/// 53 and 67 for shares out of reach, 123 for names that no file can have.
pub fn resolve(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    path: &str,
) -> Result<Place, OsError> {
    let disk = disk(state, root, instance, path)?;
    Ok(Place { path: walk(disk.base, &disk.rest)?, write_error: disk.write_error })
}

/// Why what an instance means by a path cannot be written, as far as the disk says so: nothing is
/// looked for on it, so this is quick enough for every change of a row. A path that means nothing
/// has no disk that could be full.
pub fn write_error(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    path: &str,
) -> Option<OsError> {
    disk(state, root, instance, path).ok()?.write_error
}

/// The disk that a path is on.
struct Disk {
    /// Its folder on this machine.
    base: PathBuf,
    /// The rest of the path, with slashes.
    rest: String,
    /// Why it cannot be written, if it cannot.
    write_error: Option<OsError>,
}

fn disk(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    path: &str,
) -> Result<Disk, OsError> {
    let text = path.trim();
    if text.is_empty() {
        return Err(OsError::INVALID_NAME);
    }
    let unix = text.replace('\\', "/");
    if let Some(unc) = unix.strip_prefix("//") {
        return share_disk(state, root, instance, unc);
    }
    let mut chars = unix.chars();
    let (first, second) = (chars.next(), chars.next());
    if let (Some(letter), Some(':')) = (first, second) {
        if !letter.is_ascii_alphabetic() {
            return Err(OsError::INVALID_NAME);
        }
        let drive = letter.to_ascii_uppercase().to_string();
        let full = instance.full_drives.contains(&drive);
        return Ok(Disk {
            base: instance_folder(root, instance).join(&drive),
            rest: unix[2..].to_owned(),
            write_error: full.then_some(OsError::DISK_FULL),
        });
    }
    if let Some(rest) = unix.strip_prefix('/') {
        return Ok(Disk {
            base: instance_folder(root, instance).join("root"),
            rest: rest.to_owned(),
            write_error: instance.full_drives.contains("/").then_some(OsError::DISK_FULL),
        });
    }
    let separator = if instance.config.backup_path.contains('/') { '/' } else { '\\' };
    let absolute = format!("{}{separator}{text}", instance.config.backup_path);
    if absolute.starts_with(['\\', '/']) || absolute.as_bytes().get(1) == Some(&b':') {
        return disk(state, root, instance, &absolute);
    }
    Err(OsError::INVALID_NAME)
}

fn share_disk(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    unc: &str,
) -> Result<Disk, OsError> {
    let mut parts = unc.splitn(3, '/');
    let host = parts.next().unwrap_or_default().to_lowercase();
    let name = parts.next().unwrap_or_default().to_lowercase();
    let rest = parts.next().unwrap_or_default();
    if host.is_empty() || name.is_empty() {
        return Err(OsError::INVALID_NAME);
    }
    let Some(share) = state.shares.get(&format!("{host}\\{name}")) else {
        let known = state.shares.values().any(|s| s.host.eq_ignore_ascii_case(&host));
        return Err(if known { OsError::NETWORK_NAME } else { OsError::NETWORK_PATH });
    };
    let gone = share.lost
        || state.sites.get(&share.site.to_lowercase()).is_some_and(|site| site.lost)
        || !state.linked(&instance.config.site, &share.site)
        || !state.linked(&share.site, &instance.config.site);
    if gone {
        return Err(OsError::NETWORK_PATH);
    }
    let write_error = if share.full {
        Some(OsError::DISK_FULL)
    } else {
        share.read_only.then_some(OsError::ACCESS_DENIED)
    };
    match &share.alias {
        Some((owner, local)) => {
            let owner = state.instances.get(owner).ok_or(OsError::NETWORK_PATH)?;
            if !owner.running {
                return Err(OsError::NETWORK_PATH);
            }
            if local.starts_with("\\\\") || local.starts_with("//") {
                return Err(OsError::NETWORK_NAME);
            }
            let shared = disk(state, root, owner, local)?;
            Ok(Disk {
                base: shared.base,
                rest: format!("{}/{rest}", shared.rest),
                write_error: write_error.or(shared.write_error),
            })
        }
        None => Ok(Disk {
            base: root.join("shares").join(safe(&host)).join(safe(&name)),
            rest: rest.to_owned(),
            write_error,
        }),
    }
}

/// The folder that holds the disks of an instance.
pub fn instance_folder(root: &Path, instance: &InstanceState) -> PathBuf {
    root.join("instances").join(safe(&instance.key))
}

/// A folder name for any host, share or instance name.
pub(crate) fn safe(name: &str) -> String {
    let text: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '$') { c } else { '~' })
        .collect();
    if text.is_empty() { "~".to_owned() } else { text }
}

/// Joins the parts of `rest` to `base`; a part that exists in another case is that file.
fn walk(base: PathBuf, rest: &str) -> Result<PathBuf, OsError> {
    let mut path = base;
    for part in rest.split('/') {
        if part.is_empty() || part == "." {
            continue;
        }
        let forbidden =
            |c: char| c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\\');
        if part == ".." || part.chars().any(forbidden) || part.len() > 255 {
            return Err(OsError::INVALID_NAME);
        }
        let exact = path.join(part);
        path = if exact.exists() {
            exact
        } else {
            std::fs::read_dir(&path)
                .ok()
                .and_then(|entries| {
                    entries.flatten().find(|entry| {
                        entry.file_name().to_string_lossy().to_lowercase().eq(&part.to_lowercase())
                    })
                })
                .map_or(exact, |entry| entry.path())
        };
    }
    Ok(path)
}

/// What opening a file that may be missing means: 2 when only the file is missing, 3 when its folder is.
pub fn open_error(path: &Path, error: &std::io::Error) -> OsError {
    let os = OsError::of(error);
    if os == OsError::FILE_NOT_FOUND && path.parent().is_some_and(|folder| !folder.is_dir()) {
        return OsError::PATH_NOT_FOUND;
    }
    os
}
