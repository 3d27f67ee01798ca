//! From the result sets of a preflight to what the instance answered.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pcdr_core::preflight::{Answer, File, Preflight, Question, Service, Volume};
use pcdr_core::rights::Right;
use pcdr_core::{DatabaseName, InstanceError, Known};

use crate::connection::{ResultSet, Row, ServerTime};
use crate::error::SqlError;
use crate::instance::SqlInstance;
use crate::observation::{self, failed};
use crate::statement::observe::ERROR;
use crate::statement::{HIDDEN, preflight};

/// The column of `xp_fileexist` by which its answer is known.
const FILE_EXISTS: &str = "File Exists";

#[async_trait]
impl Preflight for SqlInstance {
    async fn connect(&self) -> Result<(), InstanceError> {
        self.check().await
    }

    async fn answer(&self, question: &Question) -> Result<Answer, InstanceError> {
        let answered = async {
            let names: Vec<&str> = question.databases.iter().map(DatabaseName::as_str).collect();
            let folders: Vec<&str> = question.folders.iter().map(String::as_str).collect();
            let statement = preflight::preflight(&names, &question.rights, &folders)?;
            read(&self.read(&statement).await?, question)
        };
        answered.await.map_err(|error| self.error(&error, "answers before a command were needed"))
    }
}

/// Reads the answer to a question.
///
/// # Errors
///
/// When the instance does not tell its time, or whether the login has a right is no number; everything
/// else becomes unknown by itself.
pub(crate) fn read(sets: &[ResultSet], question: &Question) -> Result<Answer, SqlError> {
    let sections = observation::Answer { sets };
    let now: ServerTime = match sections.section("pcdr_server") {
        Known::Known(rows) => rows
            .first()
            .ok_or_else(|| SqlError::Protocol("the instance does not tell its time".to_owned()))?
            .get("now")?,
        Known::Unknown(reason) => return Err(SqlError::Protocol(reason.message)),
    };
    Ok(Answer {
        now: now.now,
        rights: rights(sets, &question.rights)?,
        services: sections.read("pcdr_services", |row| {
            Ok(Service { name: row.get("servicename")?, account: row.get("service_account")? })
        }),
        volumes: sections.read("pcdr_volumes", |row| {
            Ok(Volume {
                mount_point: row.get("volume_mount_point")?,
                total_bytes: unsigned(row.get("total_bytes")?),
                available_bytes: unsigned(row.get("available_bytes")?),
            })
        }),
        files: sections
            .read("pcdr_files", |row| file(row, &question.databases))
            .map(|files| files.into_iter().flatten().collect()),
        folders: folders(sets, &question.folders)?,
    })
}

fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

fn file(row: &Row, databases: &[DatabaseName]) -> Result<Option<File>, SqlError> {
    const PAGE_BYTES: u64 = 8192;
    let name: String = row.get("name")?;
    let same = |asked: &&DatabaseName| asked.as_str().to_lowercase() == name.to_lowercase();
    let Some(database) = databases.iter().find(same) else { return Ok(None) };
    Ok(Some(File {
        database: database.clone(),
        is_log: row.get::<i32>("type")? == 1,
        path: row.get("physical_name")?,
        size_bytes: unsigned(row.get("pages")?).saturating_mul(PAGE_BYTES),
    }))
}

/// The item that a row of a numbered section is about.
fn numbered<'a, T>(row: &Row, items: &'a [T]) -> Result<Option<&'a T>, SqlError> {
    let number: i32 = row.get("number")?;
    Ok(usize::try_from(number).ok().and_then(|number| items.get(number)))
}

fn rights(sets: &[ResultSet], asked: &[Right]) -> Result<BTreeMap<Right, Known<bool>>, SqlError> {
    let none = || Known::unknown("not_answered", "whether the login has it was not answered");
    let mut all: BTreeMap<Right, Known<bool>> =
        asked.iter().map(|right| (right.clone(), none())).collect();
    for set in sets.iter().filter(|set| set.tag() == "pcdr_right") {
        for row in &set.rows {
            let Some(right) = numbered(row, asked)? else { continue };
            let held = if set.has(ERROR) {
                // A login that has no user in a database has nothing that is given there.
                match row.optional::<i32>("pcdr_right") {
                    Ok(Some(HIDDEN)) => Known::Known(false),
                    _ => Known::Unknown(failed(row, "pcdr_right")),
                }
            } else {
                match row.optional::<i32>("held")? {
                    Some(held) => Known::Known(held == 1),
                    None => Known::unknown(
                        "not_there",
                        "the instance knows nothing of that name, or does not show it",
                    ),
                }
            };
            all.insert(right.clone(), held);
        }
    }
    Ok(all)
}

fn folders(
    sets: &[ResultSet],
    asked: &[String],
) -> Result<BTreeMap<String, Known<bool>>, SqlError> {
    let none = || Known::unknown("not_answered", "whether it is seen was not answered");
    let mut all: BTreeMap<String, Known<bool>> =
        asked.iter().map(|folder| (folder.clone(), none())).collect();
    let mut of: Option<&String> = None;
    for set in sets {
        match (set.tag(), set.rows.first()) {
            ("pcdr_folder", Some(row)) if set.has(ERROR) => {
                if let Some(folder) = numbered(row, asked)? {
                    all.insert(folder.clone(), Known::Unknown(failed(row, "pcdr_folder")));
                }
                of = None;
            }
            ("pcdr_folder", Some(row)) => of = numbered(row, asked)?,
            (FILE_EXISTS, Some(row)) => {
                if let Some(folder) = of.take() {
                    let seen = match row.optional::<i32>("File is a Directory") {
                        Ok(Some(seen)) => Known::Known(seen == 1),
                        Ok(None) => none(),
                        Err(error) => Known::unknown("protocol", error.to_string()),
                    };
                    all.insert(folder.clone(), seen);
                }
            }
            _ => {}
        }
    }
    Ok(all)
}
