//! Errors of BACKUP and RESTORE.

use super::{OsError, error, messages};
use crate::engine::lsn::Lsn;
use crate::message::SqlMessage;

messages! {
    /// 3007.
    file_not_online(file: &str) = 3007, 16, 1, "The backup of the file or filegroup \"{file}\" is not permitted because it is not online. Container state: \"Offline\" (7). Restore status: 0. BACKUP can be performed by using the FILEGROUP or FILE clauses to restrict the selection to include only online data.";
    /// 3009.
    history_failed() = 3009, 16, 1, "Could not insert a backup or restore history/detail record in the msdb database. This may indicate a problem with the msdb database. The backup/restore operation was still successful.";
    /// 3011.
    mixed_devices() = 3011, 16, 1, "All backup devices must be of the same general class (for example, DISK and TAPE).";
    /// 3019.
    other_restart(statement: &str) = 3019, 16, 1, "The restart-checkpoint file is from a previous interrupted RESTORE operation and does not match the {statement} that is asked for. Give the same command again, or leave out RESTART.";
    /// 3021.
    backup_in_transaction() = 3021, 16, 0, "Cannot perform a backup or restore operation within a transaction.";
    /// 3023.
    serialized(name: &str) = 3023, 16, 2, "Backup, file manipulation and encryption changes on database '{name}' must be serialized. Reissue the statement after the current operation is completed.";
    /// 3024.
    only_full_of_master() = 3024, 16, 0, "You can only perform a full backup of the master database. Use BACKUP DATABASE to back up the entire master database.";
    /// 3025.
    no_database_name() = 3025, 16, 1, "Missing database name. Reissue the statement specifying a valid database name.";
    /// 3031.
    conflicting_options(one: &str, other: &str) = 3031, 16, 1, "Option '{one}' conflicts with option(s) '{other}'. Remove the conflicting option and reissue the statement.";
    /// 3032.
    unsupported_option(option: &str) = 3032, 16, 2, "One or more of the options ({option}) are not supported for this statement. Review the documentation for supported options.";
    /// 3033.
    emergency_backup() = 3033, 16, 0, "BACKUP DATABASE cannot be used on a database opened in emergency mode.";
    /// 3035.
    no_base(name: &str) = 3035, 16, 1, "Cannot perform a differential backup for database \"{name}\", because a current database backup does not exist. Perform a full database backup first.";
    /// 3036.
    warm_standby(name: &str) = 3036, 16, 1, "The database \"{name}\" is in warm-standby state (set by executing RESTORE WITH STANDBY) and cannot be backed up until the entire restore sequence is completed.";
    /// 3041.
    backup_failed(statement: &str, database: &str) = 3041, 16, 1, "BACKUP failed to complete the command {statement} {database}. Check the backup application log for detailed messages.";
    /// 3042.
    damaged_backup_made() = 3042, 10, 1, "BACKUP WITH CONTINUE_AFTER_ERROR successfully generated a backup of the damaged database. Refer to the SQL Server error log for information about the errors that were encountered.";
    /// 3043.
    backup_page_error(file: &str) = 3043, 16, 1, "BACKUP 'database' detected an error on page (1:0) in file '{file}'.";
    /// 3044.
    empty_device() = 3044, 16, 1, "Invalid zero-length device name. Reissue the BACKUP statement with a valid device name.";
    /// 3049.
    log_corrupt(name: &str) = 3049, 16, 1, "BACKUP detected corruption in the database log ({name}). Check the errorlog for more information.";
    /// 3057.
    device_name_too_long(limit: usize) = 3057, 16, 1, "Invalid device name. The length of the device name provided exceeds supported limit (maximum length is:{limit}). Reissue the BACKUP statement with a valid device name.";
    /// 3059.
    mirror_backup() = 3059, 16, 2, "This BACKUP or RESTORE command is not supported on a database mirror or secondary replica.";
    /// 3098.
    incompatible_media(device: &str) = 3098, 16, 2, "The backup cannot be performed because 'COMPRESSION' was requested after the media was formatted with an incompatible structure ('{device}'). Either append with the options used before, or use WITH FORMAT.";
    /// 3101.
    in_use() = 3101, 16, 1, "Exclusive access could not be obtained because the database is in use.";
    /// 3102.
    in_use_by_self(verb: &str, name: &str) = 3102, 16, 1, "{verb} cannot process database '{name}' because it is in use by this session. It is recommended that the master database be used when performing this operation.";
    /// 3104.
    mirrored_restore(name: &str) = 3104, 16, 1, "RESTORE cannot operate on database '{name}' because it is configured for database mirroring or has joined an availability group. Remove database mirroring first.";
    /// 3108.
    master_single_user() = 3108, 16, 1, "To restore the master database, the server must be running in single-user mode.";
    /// 3109.
    master_in_one_step() = 3109, 16, 1, "Master can only be restored and fully recovered in a single step using a full database backup. Options such as NORECOVERY, STANDBY, and STOPAT are not supported.";
    /// 3112.
    only_master() = 3112, 16, 1, "Cannot restore any database other than master when the server is in single user mode.";
    /// 3117.
    not_ready_to_roll_forward() = 3117, 16, 1, "The log or differential backup cannot be restored because no files are ready to rollforward.";
    /// 3118.
    restore_creates_only_full(name: &str) = 3118, 16, 1, "The database \"{name}\" does not exist. RESTORE can only create a database when restoring either a full backup or a file backup of the primary file.";
    /// 3119.
    restore_plan_failed() = 3119, 16, 1, "Problems were identified while planning for the RESTORE statement. Previous messages provide details.";
    /// 3120.
    beyond_set() = 3120, 16, 1, "This backup set will not be restored because all data has already been restored to a point beyond the time covered by this backup set.";
    /// 3123.
    invalid_database_name(name: &str) = 3123, 16, 1, "Invalid database name '{name}' specified for backup or restore operation.";
    /// 3132.
    missing_families(families: usize, given: usize) = 3132, 16, 1, "The media set has {families} media families but only {given} are provided. All members must be provided.";
    /// 3135.
    wrong_backup_type(device: &str, statement: &str) = 3135, 16, 2, "The backup set in file '{device}' cannot be used for this restore operation ({statement}).";
    /// 3136.
    wrong_base(device: &str) = 3136, 16, 1, "This differential backup ('{device}') cannot be restored because the database has not been restored to the correct earlier state.";
    /// 3142.
    file_exists(file: &str) = 3142, 16, 1, "File \"{file}\" cannot be restored over the existing \"{file}\". Reissue the RESTORE statement using WITH REPLACE to overwrite pre-existing files, or WITH MOVE to identify an alternate location.";
    /// 3145.
    stopat_in_simple() = 3145, 16, 1, "The STOPAT option is not supported for databases that use the SIMPLE recovery model.";
    /// 3147.
    not_on_tempdb() = 3147, 16, 1, "Backup and restore operations are not allowed on database tempdb.";
    /// 3153.
    already_recovered() = 3153, 16, 3, "The database is already fully recovered.";
    /// 3154.
    other_family(name: &str) = 3154, 16, 4, "The backup set holds a backup of a database other than the existing '{name}' database.";
    /// 3156.
    use_move(file: &str, path: &str) = 3156, 16, 4, "File '{file}' cannot be restored to '{path}'. Use WITH MOVE to identify a valid location for the file.";
    /// 3159.
    tail_not_backed_up(name: &str) = 3159, 16, 1, "The tail of the log for the database \"{name}\" has not been backed up. Use BACKUP LOG WITH NORECOVERY to back up the log if it contains work you do not want to lose. Use the WITH REPLACE or WITH STOPAT clause of the RESTORE statement to just overwrite the contents of the log.";
    /// 3167.
    could_not_start(name: &str) = 3167, 16, 1, "RESTORE could not start database '{name}'.";
    /// 3168.
    other_system_version(device: &str, from: &str, to: &str) = 3168, 16, 1, "The backup of the system database on the device {device} cannot be restored because it was created by a different version of the server ({from}) than this server ({to}).";
    /// 3169.
    newer_version(from: &str, to: &str) = 3169, 16, 1, "The database was backed up on a server running version {from}. That version is incompatible with this server, which is running version {to}. Either restore the database on a server that supports the backup, or use a backup that is compatible with this server.";
    /// 3170.
    bad_standby_file() = 3170, 16, 1, "The STANDBY filename is invalid.";
    /// 3173.
    stopat_in_tail(name: &str) = 3173, 16, 1, "The STOPAT clause provided with this RESTORE statement indicates that the tail of the log contains changes that must be backed up to reach the target point in time. The tail of the log for the database \"{name}\" has not been backed up. Use BACKUP LOG WITH NORECOVERY to back up the log, or use the WITH REPLACE clause to overwrite the contents of the log.";
    /// 3174.
    cannot_be_moved(file: &str) = 3174, 16, 1, "The file '{file}' cannot be moved by this RESTORE operation.";
    /// 3176.
    claimed_twice(path: &str, one: &str, other: &str) = 3176, 16, 1, "File '{path}' is claimed by '{other}' and '{one}'. The WITH MOVE clause can be used to relocate one or more files.";
    /// 3180.
    standby_needs_upgrade() = 3180, 16, 1, "This backup cannot be restored using WITH STANDBY because a database upgrade is needed. Reissue the RESTORE without WITH STANDBY.";
    /// 3181.
    may_lack_space() = 3181, 10, 1, "Attempting to restore this backup may encounter storage space problems. Subsequent messages will provide details.";
    /// 3182.
    damaged_when_backed_up() = 3182, 16, 1, "The backup set cannot be restored because the database was damaged when the backup occurred. Salvage attempts may exploit WITH CONTINUE_AFTER_ERROR.";
    /// 3183.
    page_error(database: &str, device: &str) = 3183, 16, 1, "RESTORE detected an error on page (1:0) in database \"{database}\" as read from the backup set on '{device}'.";
    /// 3184.
    restored_with_damage(statement: &str) = 3184, 10, 1, "{statement} WITH CONTINUE_AFTER_ERROR was successful but some damage was encountered. Inconsistencies in the database are possible.";
    /// 3185.
    suspect_stays() = 3185, 16, 1, "RESTORE cannot apply this backup set because the database is suspect. Restore a backup set that repairs the damage.";
    /// 3257.
    no_space(file: &str, bytes: u64) = 3257, 16, 1, "There is insufficient free space on disk volume for the file '{file}'. The database requires {bytes} additional free bytes.";
    /// 3187.
    no_checksums() = 3187, 16, 1, "RESTORE WITH CHECKSUM cannot be specified because the backup set does not contain checksum information.";
    /// 3188.
    set_of_damaged_database() = 3188, 10, 1, "The backup set was written with damaged data by a BACKUP WITH CONTINUE_AFTER_ERROR.";
    /// 3189.
    set_damaged() = 3189, 16, 1, "Damage to the backup set was detected.";
    /// 3191.
    file_not_writable(file: &str) = 3191, 16, 1, "Restore cannot continue because file '{file}' cannot be written. Ensure that all files in the database are writable.";
    /// 3201.
    cannot_open_device(device: &str, os: OsError) = 3201, 16, 1, "Cannot open backup device '{device}'. Operating system error {os}.";
    /// 3202.
    write_failed(device: &str, os: OsError) = 3202, 16, 1, "Write on \"{device}\" failed: {os}";
    /// 3203.
    read_failed(device: &str, os: OsError) = 3203, 16, 1, "Read on \"{device}\" failed: {os}";
    /// 3204.
    aborted() = 3204, 16, 1, "The backup or restore was aborted.";
    /// 3205.
    too_many_devices() = 3205, 16, 2, "Too many backup devices specified for backup or restore; only 64 are allowed.";
    /// 3206.
    no_logical_device(device: &str) = 3206, 16, 1, "Backup device '{device}' does not exist. To view existing backup devices, use the sys.backup_devices catalog view. To create a new backup device use either sp_addumpdevice or SQL Server Management Studio.";
    /// 3207.
    no_device() = 3207, 16, 1, "Backup or restore requires at least one backup device. Rerun your statement specifying a backup device.";
    /// 3208.
    unexpected_end(device: &str) = 3208, 16, 1, "Unexpected end of file while reading beginning of backup set. Confirm that the media contains a valid SQL Server backup set ('{device}').";
    /// 3211.
    percent(percent: u32) = 3211, 10, 1, "{percent} percent processed.";
    /// 3217.
    bad_value(option: &str) = 3217, 16, 1, "Invalid value specified for {option} parameter.";
    /// 3227.
    family_twice(device: &str, family: u16, other: &str) = 3227, 16, 1, "The backup media on \"{device}\" is part of media family {family} which has already been processed on \"{other}\". Ensure that backup devices are loaded with the correct media families.";
    /// 3231.
    other_family_count(device: &str, there: usize, given: usize) = 3231, 16, 1, "The media loaded on \"{device}\" is formatted to support {there} media families, but {given} media families are expected according to the backup device specification.";
    /// 3234.
    unknown_logical_file(file: &str, database: &str) = 3234, 16, 2, "Logical file '{file}' is not part of database '{database}'. Use RESTORE FILELISTONLY to list the logical file names.";
    /// 3241.
    malformed_media(device: &str) = 3241, 16, 0, "The media family on device '{device}' is incorrectly formed. SQL Server cannot process this media family.";
    /// 3242.
    not_tape_format(device: &str) = 3242, 16, 2, "The file on device '{device}' is not a valid Microsoft Tape Format backup set.";
    /// 3250.
    out_of_range(value: &str, option: &str) = 3250, 16, 1, "The value '{value}' is not within range for the {option} parameter.";
    /// 3253.
    no_power_of_two(option: &str) = 3253, 16, 1, "The block size parameter must supply a value that is a power of 2 ({option}).";
    /// 3254.
    empty_volume(device: &str) = 3254, 16, 1, "The volume on device '{device}' is empty.";
    /// 3256.
    incomplete_set(device: &str) = 3256, 16, 2, "The backup set on device '{device}' was terminated while it was being created and is incomplete. RESTORE sequence is terminated abnormally.";
    /// 3258.
    foreign_family(device: &str) = 3258, 16, 1, "The volume on the device '{device}' is not part of the media set that is currently being processed. Ensure that the backup devices are loaded with the correct media.";
    /// 3262.
    set_valid(position: u16) = 3262, 10, 1, "The backup set on file {position} is valid.";
    /// 3264.
    nothing_to_restart() = 3264, 16, 1, "The operation did not proceed far enough to allow RESTART. Reissue the statement without the RESTART qualifier.";
    /// 3266.
    damaged_end(device: &str) = 3266, 16, 1, "The backup data at the end of \"{device}\" is incorrectly formatted. Backup sets on the media might be damaged and unusable. To determine the backup sets on the media, use RESTORE HEADERONLY. To determine the usability of the backup sets, run RESTORE VERIFYONLY. If all of the backup sets are incomplete, reformat the media using BACKUP WITH FORMAT, which destroys all the backup sets.";
    /// 3271.
    io_error(device: &str, os: OsError) = 3271, 16, 1, "A nonrecoverable I/O error occurred on file \"{device}:\" {os}.";
    /// 3287.
    no_position(device: &str) = 3287, 16, 1, "The file ID on device '{device}' is incorrectly formed and can not be read.";
    /// 4030.
    not_expired(device: &str, at: &str) = 4030, 10, 1, "The medium on device '{device}' expires on {at} and cannot be overwritten.";
    /// 4035.
    pages_processed(pages: u64, database: &str, file: &str, position: u16) = 4035, 10, 1, "Processed {pages} pages for database '{database}', file '{file}' on file {position}.";
    /// 4037.
    other_media_name(device: &str, there: &str, given: &str) = 4037, 16, 1, "The volume on device '{device}' has the media name '{there}', which does not match the MEDIANAME '{given}' that is given.";
    /// 4202.
    bulk_logged_damaged(name: &str) = 4202, 16, 1, "BACKUP LOG is not possible because bulk logged changes exist in the database ({name}) and one or more filegroups are unavailable.";
    /// 4208.
    log_in_simple(statement: &str) = 4208, 16, 1, "The statement {statement} is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE.";
    /// 4212.
    log_of_master() = 4212, 16, 1, "Cannot back up the log of the master database. Use BACKUP DATABASE instead.";
    /// 4214.
    no_current_backup() = 4214, 16, 1, "BACKUP LOG cannot be performed because there is no current database backup.";
    /// 4217.
    log_of_read_only() = 4217, 10, 1, "BACKUP LOG cannot modify the database because the database is read-only. The backup will continue, although subsequent backups will duplicate the work of this backup.";
    /// 4305.
    too_recent(first: Lsn, needed: Lsn) = 4305, 16, 1, "The log in this backup set begins at LSN {first}, which is too recent to apply to the database. An earlier log backup that includes LSN {needed} can be restored.";
    /// 4312.
    gap_in_chain() = 4312, 16, 1, "This log cannot be restored because a gap in the log chain was created. Use more recent data backups to bridge the gap.";
    /// 4319.
    restore_interrupted() = 4319, 16, 1, "A previous restore operation was interrupted and did not complete processing. Either restore the backup set that was interrupted or restart the restore sequence.";
    /// 4322.
    before_stopat() = 4322, 10, 1, "This backup set contains records that were logged before the designated point in time. The database is being left in the restoring state so that more roll forward can be performed.";
    /// 4323.
    continued_before() = 4323, 16, 1, "A previous RESTORE WITH CONTINUE_AFTER_ERROR operation left the database in a potentially damaged state. To continue this RESTORE sequence, all further steps must include the CONTINUE_AFTER_ERROR option.";
    /// 4326.
    too_early(last: Lsn, needed: Lsn) = 4326, 16, 1, "The log in this backup set terminates at LSN {last}, which is too early to apply to the database. A more recent log backup that includes LSN {needed} can be restored.";
    /// 4327.
    stop_inhibited() = 4327, 16, 1, "The log in this backup set contains bulk-logged changes. Point-in-time recovery was inhibited. The database has been rolled forward to the end of the log.";
    /// 4329.
    before_mark() = 4329, 10, 1, "This log file contains records logged before the designated mark. The database is being left in the Restoring state so you can apply another log file.";
    /// 4330.
    wrong_path() = 4330, 16, 1, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database. The recovery path is the sequence of data and log backups that have brought the database to a particular recovery point. Find a compatible backup to restore, or restore the rest of the database to match a recovery point within this backup set.";
    /// 4334.
    mark_is_no_lsn() = 4334, 16, 1, "The named mark does not identify a valid LSN.";
    /// 4335.
    stopat_too_early() = 4335, 16, 1, "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that point.";
    /// 4338.
    stopat_before_set() = 4338, 16, 1, "The STOPAT clause specifies a point too early to allow this backup set to be restored. Choose a different stop point or use RESTORE DATABASE WITH RECOVERY to recover at the current point.";
    /// 4340.
    marks_for_logs() = 4340, 16, 1, "The point-in-time clause of this RESTORE statement is restricted for use by RESTORE LOG statements only. Omit the clause or use a clause that includes a timestamp.";
    /// 4341.
    stop_in_bulk_logged() = 4341, 16, 1, "This log backup contains bulk-logged changes. It cannot be used to stop at an arbitrary point in time.";
    /// 4353.
    conflicting_moves(file: &str) = 4353, 16, 1, "Conflicting file relocations have been specified for file '{file}'. Only a single WITH MOVE clause should be specified for any logical file name.";
    /// 18204.
    log_device_open(cause: &str) = 18204, 16, 1, "OpenMedia: Backup device failed to open. {cause}";
    /// 18264.
    database_backed_up(name: &str, first: Lsn, last: Lsn) = 18264, 10, 1, "Database backed up. Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18265.
    log_backed_up(name: &str, first: Lsn, last: Lsn) = 18265, 10, 1, "Log was backed up. Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18267.
    database_restored(name: &str, first: Lsn, last: Lsn) = 18267, 10, 1, "Database was restored: Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18268.
    log_restored(name: &str, first: Lsn, last: Lsn) = 18268, 10, 1, "Log was restored. Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18270.
    differential_backed_up(name: &str, first: Lsn, last: Lsn) = 18270, 10, 1, "Database differential changes were backed up. Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18271.
    differential_restored(name: &str, first: Lsn, last: Lsn) = 18271, 10, 1, "Database changes were restored. Database: {name}, first LSN: {first}, last LSN: {last}. This is an informational message only. No user action is required.";
    /// 18210.
    log_device_failed(cause: &str) = 18210, 16, 1, "RequestDurableMedia: failure on backup device. {cause}";
}
