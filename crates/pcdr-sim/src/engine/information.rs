//! RESTORE HEADERONLY, FILELISTONLY, LABELONLY and VERIFYONLY.

use super::errors;
use super::lsn::Lsn;
use super::media::{Media, SetHeader};
use super::options::{self, With};
use super::restore::{check_media_name, choose, damage, read_device, refused_place};
use super::security::{self, Action};
use super::session::SessionHost;
use super::state::{RecoveryModel, WorldState};
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::RestoreInformation;
use crate::tsql::host::Sink;
use crate::value::{Column, Length, Relation, Row, SqlType, Value};

/// Carries out the statement and returns its code for DONE.
pub(crate) async fn run(
    host: &SessionHost,
    statement: RestoreInformation,
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    let verb = statement.verb.to_uppercase();
    let name = match verb.as_str() {
        "VERIFYONLY" => "VERIFY DATABASE".to_owned(),
        other => format!("RESTORE {other}"),
    };
    let with = match With::parse(&statement.options, &name) {
        Ok(with) => with,
        Err(error) if error.number == 155 => return Err(error.into()),
        Err(error) => return Err(errors::closed_by_3013(&name, [error])),
    };
    let (result, wait) = host
        .update(|state, key, _| {
            let wait = state.costs.header;
            (answer(host, state, key, &verb, &statement, &with), wait)
        })
        .unwrap_or_else(|| (Err(errors::killed()), std::time::Duration::ZERO));
    host.pause(wait).await.map_err(|_| errors::closed_by_3013(&name, [errors::aborted()]))?;
    let Answer { relation, position, bytes, may_lack_space } =
        result.map_err(|error| errors::closed_by_3013(&name, [error]))?;
    match verb.as_str() {
        "VERIFYONLY" => {
            let rate = host.me.world.lock().costs.restore_rate.max(1);
            let duration = std::time::Duration::from_secs_f64(bytes as f64 / rate as f64);
            let stats = with.stats().map_err(|error| errors::closed_by_3013(&name, [error]))?;
            host.work(duration, "master", sink, stats, |_| Ok(()))
                .await
                .map_err(|error| errors::closed_by_3013(&name, [error]))?;
            if may_lack_space {
                sink.message(errors::may_lack_space()).await;
            }
            sink.message(errors::set_valid(position)).await;
            Ok(377)
        }
        _ => {
            sink.result(relation, 230).await;
            Ok(if verb == "FILELISTONLY" { 376 } else { 250 })
        }
    }
}

/// What the media say.
#[derive(Default)]
struct Answer {
    relation: Relation,
    /// Of the set that was verified.
    position: u16,
    /// To be read for it.
    bytes: u64,
    /// A file of it could not be where it would go.
    may_lack_space: bool,
}

impl Answer {
    fn rows(relation: Relation) -> Answer {
        Answer { relation, position: 1, ..Answer::default() }
    }
}

fn answer(
    host: &SessionHost,
    state: &WorldState,
    key: &str,
    verb: &str,
    statement: &RestoreInformation,
    with: &With,
) -> Result<Answer, SqlMessage> {
    let root = host.me.world.root();
    let instance = state.instances.get(key).ok_or_else(errors::killed)?;
    if security::may(instance, &host.login, Action::RestoreNew).is_err() {
        return Err(errors::permission(instance, Action::RestoreNew));
    }
    let devices = options::devices(&statement.devices)?;
    let version = instance.config.version;
    let first_device = devices.first().cloned().unwrap_or_default();
    let position = with.number("FILE")?;
    match verb {
        "HEADERONLY" => {
            let media = read_device(state, root, key, &first_device)?;
            check_media_name(with, &first_device, media.header.name.as_deref())?;
            if let Some(problem) = media.tail {
                return Err(problem.message(&first_device));
            }
            for set in &media.sets {
                super::restore::check_version(&set.header, version)?;
                super::restore::check_encryption(&set.header, &instance.security)?;
            }
            let rows = media
                .sets
                .iter()
                .filter(|set| position.is_none_or(|p| u32::from(set.header.position) == p))
                .map(|set| header_row(&set.header, version))
                .collect::<Vec<_>>();
            if rows.is_empty() {
                return Err(errors::no_position(&first_device));
            }
            Ok(Answer::rows(Relation { columns: header_columns(version), rows }))
        }
        "LABELONLY" => {
            let media = read_device(state, root, key, &first_device)?;
            check_media_name(with, &first_device, media.header.name.as_deref())?;
            Ok(Answer::rows(label(&media)))
        }
        "FILELISTONLY" => {
            let chosen = choose(state, root, key, &devices, position.unwrap_or(1))?;
            Ok(Answer::rows(file_list(&chosen.header, version)))
        }
        _ => {
            let chosen = choose(state, root, key, &devices, position.unwrap_or(1))?;
            if with.has("CHECKSUM") && !chosen.header.checksums {
                return Err(errors::no_checksums());
            }
            if chosen.damaged {
                return Err(damage(&chosen.header, &first_device));
            }
            check_media_name(with, &first_device, chosen.media_name.as_deref())?;
            // Where a restore would put the files: told of, no error.
            let name = chosen.header.database_name.to_lowercase();
            let short = chosen.header.files.iter().any(|file| {
                let moved =
                    with.moves.iter().find(|(of, _)| of.eq_ignore_ascii_case(&file.logical));
                let target = moved.map_or(&file.physical, |(_, to)| to);
                let bytes = chosen.header.size;
                refused_place(state, root, instance, &name, target, bytes, true).is_some()
            });
            Ok(Answer {
                position: chosen.header.position,
                bytes: chosen.header.compressed_size,
                may_lack_space: short,
                ..Answer::default()
            })
        }
    }
}

fn text(value: &Option<String>) -> Value {
    value.as_ref().map_or(Value::Null, Value::string)
}

fn lsn(value: Option<Lsn>) -> Value {
    value.map_or(Value::Null, Lsn::value)
}

fn big(value: u64) -> Value {
    Value::BigInt(i64::try_from(value).unwrap_or(i64::MAX))
}

const GUID: SqlType = SqlType::UniqueIdentifier;
const NAME: SqlType = SqlType::nvarchar(128);

fn header_columns(version: (u8, u8, u16)) -> Vec<Column> {
    let mut list: Vec<(&str, SqlType)> = vec![
        ("BackupName", NAME),
        ("BackupDescription", SqlType::nvarchar(255)),
        ("BackupType", SqlType::TinyInt),
        ("ExpirationDate", SqlType::DateTime),
        ("Compressed", SqlType::TinyInt),
        ("Position", SqlType::SmallInt),
        ("DeviceType", SqlType::TinyInt),
        ("UserName", NAME),
        ("ServerName", NAME),
        ("DatabaseName", NAME),
        ("DatabaseVersion", SqlType::Int),
        ("DatabaseCreationDate", SqlType::DateTime),
        ("BackupSize", SqlType::BigInt),
        ("FirstLSN", SqlType::LSN),
        ("LastLSN", SqlType::LSN),
        ("CheckpointLSN", SqlType::LSN),
        ("DatabaseBackupLSN", SqlType::LSN),
        ("BackupStartDate", SqlType::DateTime),
        ("BackupFinishDate", SqlType::DateTime),
        ("SortOrder", SqlType::SmallInt),
        ("CodePage", SqlType::SmallInt),
        ("UnicodeLocaleId", SqlType::Int),
        ("UnicodeComparisonStyle", SqlType::Int),
        ("CompatibilityLevel", SqlType::TinyInt),
        ("SoftwareVendorId", SqlType::Int),
        ("SoftwareVersionMajor", SqlType::Int),
        ("SoftwareVersionMinor", SqlType::Int),
        ("SoftwareVersionBuild", SqlType::Int),
        ("MachineName", NAME),
        ("Flags", SqlType::Int),
        ("BindingID", GUID),
        ("RecoveryForkID", GUID),
        ("Collation", NAME),
        ("FamilyGUID", GUID),
        ("HasBulkLoggedData", SqlType::Bit),
        ("IsSnapshot", SqlType::Bit),
        ("IsReadOnly", SqlType::Bit),
        ("IsSingleUser", SqlType::Bit),
        ("HasBackupChecksums", SqlType::Bit),
        ("IsDamaged", SqlType::Bit),
        ("BeginsLogChain", SqlType::Bit),
        ("HasIncompleteMetaData", SqlType::Bit),
        ("IsForceOffline", SqlType::Bit),
        ("IsCopyOnly", SqlType::Bit),
        ("FirstRecoveryForkID", GUID),
        ("ForkPointLSN", SqlType::LSN),
        ("RecoveryModel", SqlType::nvarchar(60)),
        ("DifferentialBaseLSN", SqlType::LSN),
        ("DifferentialBaseGUID", GUID),
        ("BackupTypeDescription", NAME),
        ("BackupSetGUID", GUID),
        ("CompressedBackupSize", SqlType::BigInt),
        ("Containment", SqlType::TinyInt),
    ];
    if (version.0, version.2) >= (12, 2342) {
        list.extend([
            ("KeyAlgorithm", SqlType::nvarchar(32)),
            ("EncryptorThumbprint", SqlType::VarBinary(Length::Up(20))),
            ("EncryptorType", SqlType::nvarchar(32)),
        ]);
    }
    if version.0 >= 16 {
        list.extend([
            ("LastValidRestoreTime", SqlType::DateTime),
            ("TimeZone", SqlType::SmallInt),
            ("CompressionAlgorithm", SqlType::nvarchar(32)),
        ]);
    }
    columns(&list)
}

fn columns(list: &[(&'static str, SqlType)]) -> Vec<Column> {
    list.iter().map(|(name, ty)| Column::new(*name, *ty)).collect()
}

fn header_row(header: &SetHeader, version: (u8, u8, u16)) -> Row {
    let (kind, _, description) = header.kind.code();
    let mut row = vec![
        text(&header.name),
        text(&header.description),
        Value::TinyInt(kind),
        header.expiration.map_or(Value::Null, Value::DateTime),
        Value::TinyInt(u8::from(header.compressed)),
        Value::SmallInt(i16::try_from(header.position).unwrap_or(i16::MAX)),
        Value::TinyInt(2),
        Value::string(&header.user_name),
        Value::string(&header.server_name),
        Value::string(&header.database_name),
        Value::Int(header.database_version),
        Value::DateTime(header.local(header.database_created)),
        big(header.size),
        header.first_lsn.value(),
        header.last_lsn.value(),
        header.checkpoint_lsn.value(),
        header.database_backup_lsn.value(),
        Value::DateTime(header.local(header.start)),
        Value::DateTime(header.local(header.finish)),
        Value::SmallInt(52),
        Value::SmallInt(0),
        Value::Int(1033),
        Value::Int(196_609),
        Value::TinyInt(header.compatibility_level),
        Value::Int(4608),
        Value::Int(i32::from(header.version.0)),
        Value::Int(i32::from(header.version.1)),
        Value::Int(i32::from(header.version.2)),
        Value::string(&header.machine_name),
        Value::Int(header.flags()),
        Value::Uuid(header.binding_id),
        Value::Uuid(header.last_fork),
        Value::string(&header.collation),
        Value::Uuid(header.family_guid),
        Value::Bit(header.bulk_logged),
        Value::Bit(false),
        Value::Bit(header.read_only),
        Value::Bit(header.single_user),
        Value::Bit(header.checksums),
        Value::Bit(header.damaged),
        Value::Bit(header.begins_log_chain),
        Value::Bit(header.incomplete_metadata),
        Value::Bit(header.force_offline),
        Value::Bit(header.copy_only),
        Value::Uuid(header.first_fork),
        lsn(header.fork_point),
        Value::string(match header.recovery_model {
            RecoveryModel::BulkLogged => "BULK-LOGGED",
            other => other.code().1,
        }),
        lsn(header.differential_base_lsn),
        header.differential_base_guid.map_or(Value::Null, Value::Uuid),
        Value::string(description),
        Value::Uuid(header.set_guid),
        big(header.compressed_size),
        Value::TinyInt(0),
    ];
    if (version.0, version.2) >= (12, 2342) {
        row.extend(header.encryptor());
    }
    if version.0 >= 16 {
        row.extend([
            header
                .last_valid_restore_time
                .map_or(Value::Null, |at| Value::DateTime(header.local(at))),
            Value::SmallInt(header.utc_offset_minutes / 15),
            if header.compressed { Value::string("MS_XPRESS") } else { Value::Null },
        ]);
    }
    row
}

fn file_list(header: &SetHeader, version: (u8, u8, u16)) -> Relation {
    let mut list = vec![
        ("LogicalName", NAME),
        ("PhysicalName", SqlType::nvarchar(260)),
        ("Type", SqlType::NChar(1)),
        ("FileGroupName", NAME),
        ("Size", SqlType::BigInt),
        ("MaxSize", SqlType::BigInt),
        ("FileId", SqlType::BigInt),
        ("CreateLSN", SqlType::LSN),
        ("DropLSN", SqlType::LSN),
        ("UniqueId", GUID),
        ("ReadOnlyLSN", SqlType::LSN),
        ("ReadWriteLSN", SqlType::LSN),
        ("BackupSizeInBytes", SqlType::BigInt),
        ("SourceBlockSize", SqlType::Int),
        ("FileGroupId", SqlType::Int),
        ("LogGroupGUID", GUID),
        ("DifferentialBaseLSN", SqlType::LSN),
        ("DifferentialBaseGUID", GUID),
        ("IsReadOnly", SqlType::Bit),
        ("IsPresent", SqlType::Bit),
        ("TDEThumbprint", SqlType::VarBinary(Length::Up(20))),
    ];
    if version.0 >= 13 {
        list.push(("SnapshotUrl", SqlType::nvarchar(336)));
    }
    let rows = header
        .files
        .iter()
        .map(|file| {
            let mut row = vec![
                Value::string(&file.logical),
                Value::string(&file.physical),
                Value::string(if file.is_log { "L" } else { "D" }),
                if file.is_log { Value::Null } else { Value::string("PRIMARY") },
                big(file.size),
                Value::BigInt(if file.is_log { 2_199_023_255_552 } else { 35_184_372_080_640 }),
                Value::BigInt(i64::from(file.id)),
                file.create_lsn.value(),
                Lsn::ZERO.value(),
                Value::Uuid(file.guid),
                Lsn::ZERO.value(),
                Lsn::ZERO.value(),
                if file.is_log { Value::BigInt(0) } else { big(header.size) },
                Value::Int(4096),
                Value::Int(i32::from(!file.is_log)),
                Value::Null,
                lsn(header.differential_base_lsn),
                header.differential_base_guid.map_or(Value::Null, Value::Uuid),
                Value::Bit(header.read_only),
                Value::Bit(true),
                Value::Null,
            ];
            if version.0 >= 13 {
                row.push(Value::Null);
            }
            row
        })
        .collect();
    Relation { columns: columns(&list), rows }
}

fn label(media: &Media) -> Relation {
    let header = &media.header;
    Relation {
        columns: columns(&[
            ("MediaName", NAME),
            ("MediaSetId", GUID),
            ("FamilyCount", SqlType::Int),
            ("FamilySequenceNumber", SqlType::Int),
            ("MediaFamilyId", GUID),
            ("MediaSequenceNumber", SqlType::Int),
            ("MediaLabelPresent", SqlType::TinyInt),
            ("MediaDescription", SqlType::nvarchar(255)),
            ("SoftwareName", NAME),
            ("SoftwareVendorId", SqlType::Int),
            ("MediaDate", SqlType::DateTime),
            ("Mirror_Count", SqlType::Int),
            ("IsCompressed", SqlType::Bit),
        ]),
        rows: vec![vec![
            text(&header.name),
            Value::Uuid(header.media_set),
            Value::Int(i32::from(header.family_count)),
            Value::Int(i32::from(header.family_number)),
            Value::Uuid(header.family),
            Value::Int(1),
            Value::TinyInt(0),
            text(&header.description),
            Value::string("Microsoft SQL Server"),
            Value::Int(4608),
            Value::DateTime(header.date),
            Value::Int(1),
            Value::Bit(header.compressed),
        ]],
    }
}
