//! The drill's own copy: its name, its mark, and how it is told from everybody else's databases.
//!
//! The mark is in the names of its files: they can be seen in every state of a database, also while it
//! waits for log, and a restore that was interrupted leaves them behind as well.

use serde::{Deserialize, Serialize};

use crate::lsn::Guid;
use crate::name::DatabaseName;

/// The longest name of a database, in UTF-16 code units (`sysname`).
const LONGEST_NAME: usize = 128;

/// What every copy's name begins with.
const PREFIX: &str = "pcdr_drill_";

/// The name of the copy of a database. Two databases never have the same: a name that would be too long is
/// cut, and told from others by a digest of all of it.
///
/// ```
/// # use pcdr_core::drill::copy_name;
/// assert_eq!(copy_name(&"mgc".into()).as_str(), "pcdr_drill_mgc");
/// ```
pub fn copy_name(database: &DatabaseName) -> DatabaseName {
    let whole = format!("{PREFIX}{database}");
    if whole.encode_utf16().count() <= LONGEST_NAME {
        return whole.into();
    }
    let digest = blake3::hash(database.as_str().as_bytes()).to_hex();
    let mut name = String::new();
    for c in whole.chars() {
        // 16 digits, and the tilde that no digit is.
        if name.encode_utf16().count() + c.len_utf16() > LONGEST_NAME - 17 {
            break;
        }
        name.push(c);
    }
    format!("{name}~{}", &digest[..16]).into()
}

/// Whether a database has a name that copies of drills have; that it is one takes [more](stranger).
pub fn is_copy_name(database: &str) -> bool {
    database.starts_with(PREFIX)
}

/// What the name of every file of a copy begins with: no other database has such files.
pub fn file_mark(family: Guid) -> String {
    format!("pcdr-drill-{family}")
}

/// The path of one file of a copy. `number` tells the files of one backup apart; `original` is where the
/// backup says that the file was, and gives the extension.
pub fn file_path(directory: &str, family: Guid, number: usize, original: &str) -> String {
    let separator = if directory.contains('\\') || !directory.contains('/') { '\\' } else { '/' };
    let directory = directory.trim_end_matches(['\\', '/']);
    let name = original.rsplit(['\\', '/']).next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let extension = extension.filter(|e| !e.is_empty() && e.chars().all(char::is_alphanumeric));
    let extension = extension.map_or_else(String::new, |extension| format!(".{extension}"));
    format!("{directory}{separator}{}_{number}{extension}", file_mark(family))
}

/// A database that has the name of a copy, as an instance tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySeen {
    /// Its name, as it was asked for.
    pub name: DatabaseName,
    /// Its family; `None` while the instance does not tell.
    pub family: Option<Guid>,
    /// The paths of its files (`sys.master_files.physical_name`).
    pub files: Vec<String>,
    /// What they take on the disk.
    pub size_bytes: u64,
}

/// What keeps a database from being the drill's own copy of a database of this family; `None`: it is its
/// own, by name, by the mark of every file, and by its family where the instance tells it.
pub fn stranger(of: &DatabaseName, family: Guid, seen: &CopySeen) -> Option<String> {
    let name = copy_name(of);
    if seen.name != name {
        return Some(format!("its name is {}, not {name}", seen.name));
    }
    if let Some(other) = seen.family.filter(|other| *other != family) {
        return Some(format!("it is of family {other}, not of {family}"));
    }
    if seen.files.is_empty() {
        return Some("the instance tells none of its files".to_owned());
    }
    let mark = format!("{}_", file_mark(family)).to_lowercase();
    let is_marked = |path: &&String| {
        let file = path.rsplit(['\\', '/']).next().unwrap_or_default();
        file.to_lowercase().starts_with(&mark)
    };
    let unmarked = seen.files.iter().find(|path| !is_marked(path))?;
    Some(format!("its file {unmarked} is none that a drill restores"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Guid = Guid(0xFA);

    fn seen() -> CopySeen {
        CopySeen {
            name: copy_name(&"mgc".into()),
            family: Some(FAMILY),
            files: vec![
                file_path("S:\\drill", FAMILY, 0, "D:\\Data\\mgc.mdf"),
                file_path("S:\\drill\\", FAMILY, 1, "/var/opt/mgc_log.ldf"),
            ],
            size_bytes: 8192,
        }
    }

    #[test]
    fn a_copy_is_recognised_only_by_name_family_and_mark_together() {
        let of = "mgc".into();
        assert_eq!(stranger(&of, FAMILY, &seen()), None);
        assert_eq!(stranger(&of, FAMILY, &CopySeen { family: None, ..seen() }), None);
        let others = [
            CopySeen { name: "pcdr_drill_orders".into(), ..seen() },
            CopySeen { family: Some(Guid(0xBAD)), ..seen() },
            CopySeen { files: Vec::new(), ..seen() },
            CopySeen { files: vec!["D:\\Data\\mgc.mdf".to_owned()], ..seen() },
            CopySeen {
                files: [seen().files, vec!["S:\\drill\\x.ndf".to_owned()]].concat(),
                ..seen()
            },
            CopySeen {
                files: vec![file_path("S:\\drill", Guid(0xBAD), 0, "D:\\mgc.mdf")],
                family: None,
                ..seen()
            },
        ];
        for other in others {
            assert!(stranger(&of, FAMILY, &other).is_some(), "{other:?}");
        }
    }

    #[test]
    fn names_of_copies_are_no_longer_than_a_name_may_be_and_never_the_same() {
        let long = "ü".repeat(120);
        let names = ["mgc", "mgc2", long.as_str(), &format!("{long}x"), &"😀".repeat(64)]
            .map(|name| copy_name(&name.into()));
        for (at, name) in names.iter().enumerate() {
            assert!(name.as_str().encode_utf16().count() <= LONGEST_NAME, "{name}");
            assert!(!names[..at].contains(name), "{name}");
        }
    }

    #[test]
    fn files_go_into_the_directory_in_its_own_way_of_writing() {
        let path = file_path("/scratch/", FAMILY, 2, "D:\\Data\\mgc.ndf");
        assert_eq!(path, format!("/scratch/{}_2.ndf", file_mark(FAMILY)));
        // A container of FILESTREAM is a folder without an extension.
        let path = file_path("S:\\drill", FAMILY, 3, "D:\\Data\\stream");
        assert!(path.ends_with("_3"), "{path}");
    }
}
