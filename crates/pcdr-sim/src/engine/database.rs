//! What a database does by itself: log its changes, check-point, truncate, recover, own files.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use super::errors::{self, OsError};
use super::log::{Fork, Log, LogOp, LogRecord, RecoveryPath};
use super::lsn::Lsn;
use super::paths;
use super::security::DatabaseSecurity;
use super::state::{
    Database, DatabaseFile, InstanceState, Random, RecoveryModel, Status, UserAccess, WorldState,
};
use super::storage::{Storage, TransactionId, table_key};
use crate::message::SqlMessage;
use crate::tsql::ast::FileSpec;

/// Bytes of a new database's data file.
pub(crate) const NEW_DATA_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of a new database's log file.
pub(crate) const NEW_LOG_BYTES: u64 = 8 * 1024 * 1024;

/// A new database of an instance, ONLINE, not yet registered and without its files on disk.
pub fn new_database(
    random: &mut Random,
    instance: &mut InstanceState,
    name: &str,
    files: &[FileSpec],
    owner: &str,
    now: Timestamp,
) -> Database {
    let id = instance.next_database_id;
    instance.next_database_id += 1;
    let is_system = matches!(name, "master" | "tempdb" | "model" | "msdb");
    let create_lsn = Lsn::new(34, 24, 1);
    let family_guid = random.guid();
    let (version, compatibility_level) = instance.config.database_version();
    let simple = is_system && name != "model";
    let mut list: Vec<DatabaseFile> = files
        .iter()
        .enumerate()
        .map(|(i, spec)| DatabaseFile {
            id: i32::try_from(i).unwrap_or(i32::MAX - 1) + 1,
            guid: random.guid(),
            is_log: spec.is_log,
            logical: spec.logical.clone(),
            physical: spec.physical.clone(),
            size: spec.size_bytes.unwrap_or(if i == 0 { NEW_DATA_BYTES } else { NEW_LOG_BYTES }),
            create_lsn,
            offline: false,
        })
        .collect();
    if list.is_empty() {
        list.push(DatabaseFile {
            id: 1,
            guid: random.guid(),
            is_log: false,
            logical: name.to_owned(),
            physical: format!("{}{name}.mdf", instance.config.data_path),
            size: NEW_DATA_BYTES,
            create_lsn,
            offline: false,
        });
    }
    if !list.iter().any(|file| file.is_log) {
        list.push(DatabaseFile {
            id: i32::try_from(list.len()).unwrap_or(1) + 1,
            guid: random.guid(),
            is_log: true,
            logical: format!("{name}_log"),
            physical: format!("{}{name}_log.ldf", instance.config.log_path),
            size: NEW_LOG_BYTES,
            create_lsn,
            offline: false,
        });
    }
    list.sort_by_key(|file| file.is_log);
    let mut database = Database {
        name: name.to_owned(),
        id,
        is_system,
        created: now,
        owner: owner.to_owned(),
        status: Status::Online,
        standby: None,
        user_access: UserAccess::Multi,
        single_user_holder: None,
        recovery_model: if simple { RecoveryModel::Simple } else { RecoveryModel::Full },
        read_only: false,
        compatibility_level,
        version,
        collation: instance.config.collation.clone(),
        files: list,
        family_guid,
        database_guid: random.guid(),
        broker_guid: random.guid(),
        path: RecoveryPath(vec![Fork { guid: random.guid(), start: create_lsn }]),
        differential_base: None,
        changed_bytes: 0,
        last_log_backup_lsn: None,
        begins_log_chain: true,
        redo: None,
        log: Log::starting_at(create_lsn),
        extra_log_bytes: 0,
        data_bytes: 3 * 1024 * 1024,
        storage: Storage { next_object_id: 245_575_913, ..Storage::default() },
        mirroring: None,
        security: DatabaseSecurity::default(),
        exclusive: None,
        backup_running: None,
        log_lost: false,
        damaged: false,
        condition: Default::default(),
    };
    database.checkpoint(now);
    database
}

/// Creates the files of a database on disk, small, so that checks of files find them.
///
/// # Errors
///
/// The operating system error and the path.
pub fn write_files(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    database: &Database,
) -> Result<(), (OsError, String)> {
    for file in &database.files {
        let at = |os: OsError| (os, file.physical.clone());
        let place = paths::resolve(state, root, instance, &file.physical).map_err(at)?;
        if let Some(os) = place.write_error {
            return Err(at(os));
        }
        let text = format!(
            "{} file {} of database {} ({})\n",
            if file.is_log { "log" } else { "data" },
            file.id,
            database.name,
            database.database_guid
        );
        std::fs::write(&place.path, text)
            .map_err(|error| at(paths::open_error(&place.path, &error)))?;
    }
    Ok(())
}

/// Deletes the files of a database; what is missing already is no error.
pub fn delete_files(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    files: &[DatabaseFile],
) {
    for file in files {
        if let Ok(place) = paths::resolve(state, root, instance, &file.physical) {
            let _missing = std::fs::remove_file(place.path);
        }
    }
}

/// Which log file of a database cannot be opened, counted from 0.
pub fn unreadable_log(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    database: &Database,
) -> Option<usize> {
    database.files.iter().filter(|file| file.is_log).position(|file| {
        !paths::resolve(state, root, instance, &file.physical)
            .is_ok_and(|place| place.path.exists())
    })
}

/// The first file of a database that cannot be opened.
pub fn unreadable_file(
    state: &WorldState,
    root: &Path,
    instance: &InstanceState,
    database: &Database,
) -> Option<(String, OsError)> {
    database.files.iter().find_map(|file| {
        let place = match paths::resolve(state, root, instance, &file.physical) {
            Ok(place) => place,
            Err(os) => return Some((file.physical.clone(), os)),
        };
        std::fs::metadata(&place.path)
            .err()
            .map(|error| (file.physical.clone(), paths::open_error(&place.path, &error)))
    })
}

impl Database {
    /// Writes a record to the log and carries it out.
    pub fn append(&mut self, now: Timestamp, transaction: TransactionId, op: LogOp) -> Lsn {
        let lsn = self.log.next;
        let record = LogRecord {
            lsn,
            transaction: if matches!(op, LogOp::Begin) { lsn } else { transaction },
            at: now,
            op,
        };
        self.log.next = lsn.next_slot();
        self.accept(record);
        lsn
    }

    /// Takes a record that has its LSN already: from the own log or from a mirroring partner.
    fn accept(&mut self, record: LogRecord) {
        let bytes = record.bytes();
        self.log.unflushed += bytes;
        self.changed_bytes += bytes;
        self.storage.apply(&record);
        self.change_files(&record.op);
        self.log.records.push(record);
    }

    /// Carries out what a log record says about files. A file that is there already keeps its place.
    pub fn change_files(&mut self, op: &LogOp) {
        match op {
            LogOp::AddFile { file } if self.files.iter().all(|own| own.guid != file.guid) => {
                self.files.push(file.clone());
                self.files.sort_by_key(|file| file.is_log);
            }
            LogOp::RemoveFile { guid } => self.files.retain(|own| own.guid != *guid),
            _ => {}
        }
    }

    /// Takes the log that a principal sends; `next` is the principal's end of log.
    pub fn receive(&mut self, records: &[LogRecord], next: Lsn) {
        for record in records {
            if record.lsn >= self.log.next {
                self.log.next = record.lsn.next_slot();
                if matches!(record.op, LogOp::Checkpoint) {
                    self.log.checkpoint = record.lsn;
                }
                self.accept(record.clone());
            }
        }
        self.log.next = self.log.next.max(next);
        self.log.unflushed = 0;
    }

    /// Begins a transaction.
    pub fn begin(&mut self, now: Timestamp) -> TransactionId {
        self.append(now, Lsn::ZERO, LogOp::Begin)
    }

    /// Commits a transaction: its records reach the disk.
    pub fn commit(&mut self, now: Timestamp, transaction: TransactionId) {
        self.append(now, transaction, LogOp::Commit);
        self.log.flush();
        self.truncate_if_simple();
    }

    /// Undoes a transaction.
    pub fn rollback(&mut self, now: Timestamp, transaction: TransactionId) {
        if self.storage.open.contains_key(&transaction) {
            self.append(now, transaction, LogOp::Abort);
            self.log.flush();
        }
    }

    /// Undoes what a transaction did since `to`, by changes that set the old state again: the log of
    /// a transaction is kept until it ends, so what was before can be read from it.
    pub fn undo_since(&mut self, now: Timestamp, transaction: TransactionId, to: Lsn) {
        let own: Vec<&LogRecord> = self
            .log
            .range(transaction, self.log.next)
            .iter()
            .filter(|record| record.transaction == transaction)
            .collect();
        let (kept, undone) = own.split_at(own.partition_point(|record| record.lsn < to));
        let mut changes = Vec::new();
        let mut rows = BTreeSet::new();
        for record in undone.iter().rev() {
            match &record.op {
                LogOp::CreateTable { definition } => {
                    let table = table_key(&definition.schema, &definition.name);
                    changes.push(LogOp::DropTable { table });
                }
                LogOp::AlterTable { table, before, after } => {
                    changes.push(LogOp::AlterTable {
                        table: table.clone(),
                        before: after.clone(),
                        after: before.clone(),
                    });
                }
                LogOp::DropTable { table } => {
                    changes.push(LogOp::KeepTable { table: table.clone() });
                }
                op => {
                    if let Some((table, row_id, _)) = op.row() {
                        rows.insert((table, row_id));
                    }
                }
            }
        }
        for (table, row_id) in rows {
            let before = kept.iter().rev().find_map(|record| {
                record.op.row().filter(|(t, id, _)| (*t, *id) == (table, row_id))
            });
            let before = match before {
                Some((_, _, content)) => content.cloned(),
                None => self
                    .storage
                    .tables
                    .get(table)
                    .and_then(|stored| stored.rows.get(&row_id))
                    .and_then(|row| row.committed.clone()),
            };
            let table = table.to_owned();
            changes.push(match before {
                Some(after) => LogOp::Update { table, row_id, after },
                None => LogOp::Delete { table, row_id },
            });
        }
        for op in changes {
            self.append(now, transaction, op);
        }
    }

    /// Writes a checkpoint and returns its LSN.
    pub fn checkpoint(&mut self, now: Timestamp) -> Lsn {
        self.log.flush();
        let lsn = self.append(now, Lsn::ZERO, LogOp::Checkpoint);
        self.log.checkpoint = lsn;
        self.log.flush();
        self.truncate_if_simple();
        lsn
    }

    /// Adds log volume without meaning.
    pub fn add_log_volume(&mut self, now: Timestamp, bytes: u64) {
        let transaction = self.begin(now);
        self.append(now, transaction, LogOp::Filler { bytes });
        self.commit(now, transaction);
    }

    /// The log is kept for log backups: FULL or BULK_LOGGED, and a chain has begun.
    pub fn keeps_log(&self) -> bool {
        self.recovery_model != RecoveryModel::Simple && self.last_log_backup_lsn.is_some()
    }

    fn truncate_if_simple(&mut self) {
        if !self.keeps_log() && self.mirroring.is_none() {
            let to = self
                .storage
                .oldest_open()
                .map_or(self.log.checkpoint, |open| open.min(self.log.checkpoint));
            self.log.truncate(to);
        }
    }

    /// Forgets log that was backed up and that neither an open transaction nor a mirror needs.
    pub fn truncate_backed_up(&mut self, mirror_needs: Option<Lsn>) {
        let mut to = match self.last_log_backup_lsn {
            Some(lsn) => lsn,
            None => return,
        };
        for limit in [self.storage.oldest_open(), mirror_needs].into_iter().flatten() {
            to = to.min(limit);
        }
        self.log.truncate(to);
    }

    /// Ends a restore sequence or a mirror's redo: undoes what is open and goes ONLINE, on a new fork
    /// when `fork` names one. Returns what the error log tells of it.
    pub fn recover(&mut self, now: Timestamp, fork: Option<uuid::Uuid>) -> Vec<SqlMessage> {
        let mut told = Vec::new();
        let forward = self
            .log
            .range(self.log.checkpoint, self.log.next)
            .iter()
            .filter(|record| record.op == LogOp::Commit)
            .count();
        if forward > 0 {
            told.push(errors::rolled_forward(forward, &self.name));
        }
        if let Some(guid) = fork {
            let start = self.redo.as_ref().map_or(self.log.next, |redo| redo.lsn);
            self.path.0.push(Fork { guid, start });
        }
        let open: Vec<TransactionId> = self.storage.open.keys().copied().collect();
        if !open.is_empty() {
            told.push(errors::rolled_back(open.len(), &self.name));
        }
        for transaction in open {
            self.append(now, transaction, LogOp::Abort);
        }
        self.log.flush();
        self.status = Status::Online;
        self.standby = None;
        self.redo = None;
        told.push(errors::recovery_checkpoint(&self.name));
        self.checkpoint(now);
        told.push(errors::recovery_completed(&self.name));
        told
    }

    /// Bytes that a full backup holds.
    pub fn full_bytes(&self) -> u64 {
        self.data_bytes.max(64 * 1024)
    }
}
