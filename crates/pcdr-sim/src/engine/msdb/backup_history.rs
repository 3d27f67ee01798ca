//! Backup and restore history as rows, and its deletion.
//!
//! Source: the vendor's pages of the tables; `sp_delete_backuphistory` and
//! `sp_delete_database_backuphistory`.

use jiff::civil;

use crate::engine::catalog::columns::{ColumnDef, msdb as columns};
use crate::engine::catalog::rows;
use crate::engine::media::{SetHeader, SetKind};
use crate::engine::state::RecoveryModel;
use crate::message::SqlFailure;
use crate::value::{Relation, Value};

use super::history::{BackupSetRow, History, MediaSetRow};
use super::{Arguments, Msdb, Outcome, Surroundings};

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::string)
}

fn size(bytes: u64) -> Value {
    Value::Numeric { unscaled: i128::from(bytes), scale: 0 }
}

/// Backup headers spell one recovery model with a hyphen.
fn recovery_model(model: RecoveryModel) -> &'static str {
    match model {
        RecoveryModel::BulkLogged => "BULK-LOGGED",
        other => other.code().1,
    }
}

fn backup_set(row: &BackupSetRow) -> Vec<(&'static str, Value)> {
    let h: &SetHeader = &row.header;
    let lsn = |l: crate::engine::lsn::Lsn| Value::lsn(l.0);
    let [algorithm, thumbprint, encryptor] = h.encryptor();
    vec![
        ("key_algorithm", algorithm),
        ("encryptor_thumbprint", thumbprint),
        ("encryptor_type", encryptor),
        ("backup_set_id", Value::Int(row.id)),
        ("backup_set_uuid", Value::Uuid(h.set_guid)),
        ("media_set_id", Value::Int(row.media_set_id)),
        ("first_family_number", Value::TinyInt(1)),
        ("first_media_number", Value::SmallInt(1)),
        ("last_family_number", Value::TinyInt(1)),
        ("last_media_number", Value::SmallInt(1)),
        ("catalog_family_number", Value::TinyInt(1)),
        ("catalog_media_number", Value::SmallInt(1)),
        ("position", Value::Int(i32::from(h.position))),
        ("expiration_date", h.expiration.map_or(Value::Null, Value::DateTime)),
        ("software_vendor_id", Value::Int(4608)),
        ("name", text(h.name.as_deref())),
        ("description", text(h.description.as_deref())),
        ("user_name", Value::string(&h.user_name)),
        ("software_major_version", Value::TinyInt(h.version.0)),
        ("software_minor_version", Value::TinyInt(h.version.1)),
        ("software_build_version", Value::Int(i32::from(h.version.2))),
        ("time_zone", Value::SmallInt(h.utc_offset_minutes / 15)),
        ("mtf_minor_version", Value::TinyInt(0)),
        ("first_lsn", lsn(h.first_lsn)),
        ("last_lsn", lsn(h.last_lsn)),
        ("checkpoint_lsn", lsn(h.checkpoint_lsn)),
        ("database_backup_lsn", lsn(h.database_backup_lsn)),
        ("database_creation_date", Value::DateTime(h.local(h.database_created))),
        ("backup_start_date", Value::DateTime(h.local(h.start))),
        ("backup_finish_date", Value::DateTime(h.local(h.finish))),
        ("type", Value::string(h.kind.code().1.to_string())),
        ("sort_order", Value::SmallInt(52)),
        ("code_page", Value::SmallInt(0)),
        ("compatibility_level", Value::TinyInt(h.compatibility_level)),
        ("database_version", Value::Int(h.database_version)),
        ("backup_size", size(h.size)),
        ("database_name", Value::string(&h.database_name)),
        ("server_name", Value::string(&h.server_name)),
        ("machine_name", Value::string(&h.machine_name)),
        ("flags", Value::Int(h.flags())),
        ("unicode_locale", Value::Int(1033)),
        ("unicode_compare_style", Value::Int(196_609)),
        ("collation_name", Value::string(&h.collation)),
        ("is_password_protected", Value::Bit(false)),
        ("recovery_model", Value::string(recovery_model(h.recovery_model))),
        ("has_bulk_logged_data", Value::Bit(h.bulk_logged)),
        ("is_snapshot", Value::Bit(false)),
        ("is_readonly", Value::Bit(h.read_only)),
        ("is_single_user", Value::Bit(h.single_user)),
        ("has_backup_checksums", Value::Bit(h.checksums)),
        ("is_damaged", Value::Bit(h.damaged)),
        ("begins_log_chain", Value::Bit(h.begins_log_chain)),
        ("has_incomplete_metadata", Value::Bit(h.incomplete_metadata)),
        ("is_force_offline", Value::Bit(h.force_offline)),
        ("is_copy_only", Value::Bit(h.copy_only)),
        ("first_recovery_fork_guid", Value::Uuid(h.first_fork)),
        ("last_recovery_fork_guid", Value::Uuid(h.last_fork)),
        ("fork_point_lsn", h.fork_point.map_or(Value::Null, lsn)),
        ("database_guid", Value::Uuid(h.binding_id)),
        ("family_guid", Value::Uuid(h.family_guid)),
        ("differential_base_lsn", h.differential_base_lsn.map_or(Value::Null, lsn)),
        ("differential_base_guid", h.differential_base_guid.map_or(Value::Null, Value::Uuid)),
        ("compressed_backup_size", size(h.compressed_size)),
        (
            "last_valid_restore_time",
            h.last_valid_restore_time.map_or(Value::Null, |t| Value::DateTime(h.local(t))),
        ),
        ("compression_algorithm", text(h.compressed.then_some("MS_XPRESS"))),
    ]
}

fn media_set(row: &MediaSetRow) -> Vec<(&'static str, Value)> {
    vec![
        ("media_set_id", Value::Int(row.id)),
        ("media_uuid", Value::Uuid(row.guid)),
        ("media_family_count", Value::BigInt(row.devices.len() as i64)),
        ("name", text(row.name.as_deref())),
        ("description", text(row.description.as_deref())),
        ("software_name", Value::string("Microsoft SQL Server")),
        ("software_vendor_id", Value::Int(4608)),
        ("MTF_major_version", Value::TinyInt(1)),
        ("mirror_count", Value::TinyInt(1)),
        ("is_password_protected", Value::Bit(false)),
        ("is_compressed", Value::Bit(row.compressed)),
        ("is_encrypted", Value::Bit(false)),
    ]
}

fn media_families(row: &MediaSetRow) -> Vec<Vec<(&'static str, Value)>> {
    let devices = row.devices.iter().enumerate();
    devices
        .map(|(i, (guid, path))| {
            vec![
                ("media_set_id", Value::Int(row.id)),
                ("family_sequence_number", Value::BigInt(i as i64 + 1)),
                ("media_family_id", Value::Uuid(*guid)),
                ("media_count", Value::Int(1)),
                ("physical_device_name", Value::string(path)),
                ("device_type", Value::TinyInt(2)),
                ("physical_block_size", Value::Int(4096)),
                ("mirror", Value::TinyInt(0)),
            ]
        })
        .collect()
}

fn backup_files(row: &BackupSetRow) -> Vec<Vec<(&'static str, Value)>> {
    let h = &row.header;
    let present = |is_log: bool| is_log == (h.kind == SetKind::Log);
    h.files
        .iter()
        .map(|f| {
            vec![
                ("backup_set_id", Value::Int(row.id)),
                ("first_family_number", Value::TinyInt(1)),
                ("first_media_number", Value::SmallInt(1)),
                ("filegroup_name", text((!f.is_log).then_some("PRIMARY"))),
                ("page_size", if f.is_log { Value::Null } else { Value::Int(8192) }),
                ("file_number", Value::Int(f.id)),
                ("file_type", Value::string(if f.is_log { "L" } else { "D" })),
                ("source_file_block_size", Value::Int(512)),
                ("file_size", size(f.size)),
                ("logical_name", Value::string(&f.logical)),
                ("physical_name", Value::string(&f.physical)),
                ("state", Value::TinyInt(0)),
                ("state_desc", Value::string("ONLINE")),
                ("create_lsn", Value::lsn(f.create_lsn.0)),
                ("file_guid", Value::Uuid(f.guid)),
                ("backup_size", size(if present(f.is_log) { h.size } else { 0 })),
                ("is_readonly", Value::Bit(false)),
                ("is_present", Value::Bit(present(f.is_log))),
            ]
        })
        .collect()
}

/// Name, columns, and the column that the server numbers.
pub(crate) type NamedTable = (&'static str, &'static [ColumnDef], Option<&'static str>);

/// The six history tables.
pub(crate) const TABLES: [NamedTable; 6] = [
    ("backupset", columns::BACKUPSET, Some("backup_set_id")),
    ("backupmediaset", columns::BACKUPMEDIASET, Some("media_set_id")),
    ("backupmediafamily", columns::BACKUPMEDIAFAMILY, None),
    ("backupfile", columns::BACKUPFILE, None),
    ("restorehistory", columns::RESTOREHISTORY, Some("restore_history_id")),
    ("restorefile", columns::RESTOREFILE, None),
];

/// One of the six history tables, under the columns of a release.
pub fn table(history: &History, name: &str, major: u8) -> Option<Relation> {
    let sets = || history.backup_sets.iter();
    let media = || history.media_sets.iter();
    Some(match name.to_lowercase().as_str() {
        "backupset" => rows(columns::BACKUPSET, major, sets().map(backup_set).collect()),
        "backupmediaset" => rows(columns::BACKUPMEDIASET, major, media().map(media_set).collect()),
        "backupmediafamily" => {
            rows(columns::BACKUPMEDIAFAMILY, major, media().flat_map(media_families).collect())
        }
        "backupfile" => rows(columns::BACKUPFILE, major, sets().flat_map(backup_files).collect()),
        "restorehistory" => rows(
            columns::RESTOREHISTORY,
            major,
            history
                .restores
                .iter()
                .map(|r| {
                    vec![
                        ("restore_history_id", Value::Int(r.id)),
                        ("restore_date", Value::DateTime(r.date)),
                        ("destination_database_name", Value::string(&r.database)),
                        ("user_name", Value::string(&r.user)),
                        ("backup_set_id", Value::Int(r.backup_set_id)),
                        ("restore_type", Value::string(r.restore_type.to_string())),
                        ("replace", Value::Bit(r.replace)),
                        ("recovery", Value::Bit(r.recovery)),
                        ("restart", Value::Bit(r.restart)),
                        ("stop_at", r.stop_at.map_or(Value::Null, Value::DateTime)),
                        ("device_count", Value::SmallInt(r.device_count)),
                    ]
                })
                .collect(),
        ),
        "restorefile" => rows(
            columns::RESTOREFILE,
            major,
            history
                .restores
                .iter()
                .flat_map(|r| {
                    r.files.iter().map(|(number, path)| {
                        let drive: String = path.chars().take(2).collect();
                        vec![
                            ("restore_history_id", Value::Int(r.id)),
                            ("file_number", Value::Int(*number)),
                            ("destination_phys_drive", Value::string(drive)),
                            ("destination_phys_name", Value::string(path)),
                        ]
                    })
                })
                .collect(),
        ),
        _ => return None,
    })
}

/// Removes backup sets that the test picks, with the restores and media that hang on them.
fn remove(history: &mut History, gone: impl Fn(&BackupSetRow) -> bool) {
    let sets: Vec<i32> = history.backup_sets.iter().filter(|s| gone(s)).map(|s| s.id).collect();
    history.restores.retain(|r| !sets.contains(&r.backup_set_id));
    history.backup_sets.retain(|s| !sets.contains(&s.id));
    let used: Vec<i32> = history.backup_sets.iter().map(|s| s.media_set_id).collect();
    history.media_sets.retain(|m| used.contains(&m.id));
}

fn must_be_sysadmin(around: &dyn Surroundings) -> Result<(), SqlFailure> {
    if around.caller().is_sysadmin {
        return Ok(());
    }
    Err(super::arguments::error(15247, "User does not have permission to perform this action."))
}

/// `sp_delete_backuphistory`: sets that finished before a local time.
///
/// # Errors
///
/// 15247 unless sysadmin.
pub fn delete_older(
    msdb: &mut Msdb,
    around: &dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    must_be_sysadmin(around)?;
    let oldest: Option<civil::DateTime> = match a.value("@oldest_date") {
        Value::DateTime(at) => Some(at),
        Value::Date(day) => Some(day.at(0, 0, 0, 0)),
        _ => None,
    };
    if let Some(oldest) = oldest {
        remove(&mut msdb.history, |s| s.header.local(s.header.finish) < oldest);
    }
    Ok(Outcome::ok())
}

/// `sp_delete_database_backuphistory`.
///
/// # Errors
///
/// 15247 unless sysadmin.
pub fn delete_database(
    msdb: &mut Msdb,
    around: &dyn Surroundings,
    a: Arguments<'_>,
) -> Result<Outcome, SqlFailure> {
    must_be_sysadmin(around)?;
    let name = a.text("@database_name").unwrap_or_default();
    remove(&mut msdb.history, |s| super::store::same_name(&s.header.database_name, &name));
    Ok(Outcome::ok())
}
