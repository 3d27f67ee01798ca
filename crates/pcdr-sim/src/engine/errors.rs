//! The errors and informational messages that the engine raises. Source: `sys.messages`; wording is
//! our own around the words that tell the cases of a number apart.

use super::lsn::Lsn;
use super::security::Action;
use super::state::{InstanceState, Status};
use crate::message::{SqlFailure, SqlMessage};

fn error(number: i32, severity: u8, state: u8, text: impl Into<String>) -> SqlMessage {
    SqlMessage::new(number, severity, text).with_state(state)
}

/// An operating system error with its number and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OsError(pub u32);

impl OsError {
    /// 2.
    pub const FILE_NOT_FOUND: OsError = OsError(2);
    /// 3.
    pub const PATH_NOT_FOUND: OsError = OsError(3);
    /// 5.
    pub const ACCESS_DENIED: OsError = OsError(5);
    /// 53.
    pub const NETWORK_PATH: OsError = OsError(53);
    /// 67.
    pub const NETWORK_NAME: OsError = OsError(67);
    /// 80.
    pub const EXISTS: OsError = OsError(80);
    /// 112.
    pub const DISK_FULL: OsError = OsError(112);
    /// 123.
    pub const INVALID_NAME: OsError = OsError(123);

    /// The system's words for it.
    pub const fn text(self) -> &'static str {
        match self.0 {
            2 => "The system cannot find the file specified.",
            3 => "The system cannot find the path specified.",
            5 => "Access is denied.",
            32 => "The process cannot access the file because it is being used by another process.",
            53 => "The network path was not found.",
            67 => "The network name cannot be found.",
            80 => "The file exists.",
            112 => "There is not enough space on the disk.",
            123 => "The filename, directory name, or volume label syntax is incorrect.",
            _ => "The operating system reported an error.",
        }
    }

    /// What an I/O error of this machine means there.
    pub fn of(error: &std::io::Error) -> OsError {
        match error.kind() {
            std::io::ErrorKind::NotFound => OsError::FILE_NOT_FOUND,
            std::io::ErrorKind::PermissionDenied => OsError::ACCESS_DENIED,
            std::io::ErrorKind::AlreadyExists => OsError::EXISTS,
            std::io::ErrorKind::StorageFull => OsError::DISK_FULL,
            std::io::ErrorKind::NotADirectory => OsError::PATH_NOT_FOUND,
            std::io::ErrorKind::IsADirectory => OsError::ACCESS_DENIED,
            _ => OsError(1117),
        }
    }
}

impl std::fmt::Display for OsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.0, self.text())
    }
}

/// 3013 and the cause before it.
pub fn closed_by_3013(statement: &str, causes: impl IntoIterator<Item = SqlMessage>) -> SqlFailure {
    let mut all: Vec<SqlMessage> = causes.into_iter().collect();
    all.push(error(3013, 16, 1, format!("{statement} is terminating abnormally.")));
    SqlFailure(all)
}

/// 5069 and the cause before it.
pub fn closed_by_5069(cause: SqlMessage) -> SqlFailure {
    SqlFailure(vec![cause, error(5069, 16, 1, "ALTER DATABASE statement failed.")])
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) = $number:literal, $severity:literal, $state:literal, $text:literal;)*) => {
        $($(#[$doc])* pub fn $name($($arg: $ty),*) -> SqlMessage {
            error($number, $severity, $state, format!($text))
        })*
    };
}

messages! {
    /// 155.
    unknown_option(option: &str, statement: &str) = 155, 15, 1, "'{option}' is not a recognized {statement} option.";
    /// 208.
    no_object(name: &str) = 208, 16, 1, "Invalid object name '{name}'.";
    /// 226.
    in_transaction(statement: &str) = 226, 16, 6, "{statement} statement not allowed within multi-statement transaction.";
    /// 515.
    null_not_allowed(column: &str, table: &str) = 515, 16, 2, "Cannot insert the value NULL into column '{column}', table '{table}'; column does not allow nulls. The statement fails.";
    /// 596.
    killed() = 596, 21, 1, "Cannot continue the execution because the session is in the kill state.";
    /// 911.
    no_database(name: &str) = 911, 16, 1, "Database '{name}' does not exist. Make sure that the name is entered correctly.";
    /// 916.
    no_user(login: &str, database: &str) = 916, 14, 1, "The server principal \"{login}\" is not able to access the database \"{database}\" under the current security context.";
    /// 922.
    recovering(name: &str) = 922, 14, 1, "Database '{name}' is being recovered. Waiting until recovery is finished.";
    /// 923.
    restricted(name: &str) = 923, 14, 1, "Database '{name}' is in restricted mode. Only the database owner and members of the dbcreator and sysadmin roles can access it.";
    /// 924.
    single_user(name: &str) = 924, 14, 1, "Database '{name}' is already open and can only have one user at a time.";
    /// 926.
    suspect(name: &str) = 926, 14, 1, "Database '{name}' cannot be opened. It has been marked SUSPECT by recovery.";
    /// 927.
    restoring(name: &str) = 927, 14, 2, "Database '{name}' cannot be opened. It is in the middle of a restore.";
    /// 942.
    offline(name: &str) = 942, 14, 4, "Database '{name}' cannot be opened because it is offline.";
    /// 945.
    recovery_pending(name: &str) = 945, 16, 2, "Database '{name}' cannot be opened due to inaccessible files or insufficient memory or disk space.";
    /// 952.
    in_transition(name: &str) = 952, 16, 1, "Database '{name}' is in transition. Try the statement later.";
    /// 954.
    mirror(name: &str) = 954, 14, 1, "The database \"{name}\" cannot be opened. It is acting as a mirror database.";
    /// 955.
    no_quorum(name: &str) = 955, 14, 1, "Database {name} is enabled for Database Mirroring, but the database lacks quorum: the database cannot be opened.";
    /// 956.
    not_synchronized(name: &str) = 956, 14, 1, "Database {name} is enabled for Database Mirroring, but has not yet synchronized with its partner. Try the operation again later.";
    /// 957.
    mirrored_rename(name: &str) = 957, 17, 1, "Database '{name}' is enabled for Database Mirroring. The name of the database may not be changed.";
    /// 1222.
    lock_timeout() = 1222, 16, 51, "Lock request time out period exceeded.";
    /// 1405.
    already_mirrored(name: &str) = 1405, 16, 1, "The database \"{name}\" is already enabled for database mirroring.";
    /// 1406.
    cannot_force(name: &str) = 1406, 16, 1, "Unable to force service safely for database \"{name}\". Remove database mirroring and recover the database to gain access.";
    /// 1407.
    not_related(name: &str) = 1407, 16, 1, "The remote copy of database \"{name}\" is not related to the local copy of the database.";
    /// 1408.
    not_far_enough(name: &str) = 1408, 16, 1, "The remote copy of database \"{name}\" is not recovered far enough to enable database mirroring. Log backups that are missing must be applied to it.";
    /// 1410.
    remote_already_mirrored(name: &str) = 1410, 16, 1, "The remote copy of database \"{name}\" is already enabled for database mirroring.";
    /// 1412.
    not_within_log(name: &str) = 1412, 16, 1, "The remote copy of database \"{name}\" has not been rolled forward to a point in time that is encompassed in the local copy of the database log.";
    /// 1416.
    not_mirrored(name: &str) = 1416, 16, 1, "Database \"{name}\" is not configured for database mirroring.";
    /// 1418.
    unreachable_partner(address: &str) = 1418, 16, 1, "The server network address \"{address}\" can not be reached or does not exist. Check the network address name and that the ports for the local and remote endpoints are operational.";
    /// 1419.
    remote_not_opened(name: &str) = 1419, 16, 1, "The remote copy of database \"{name}\" cannot be opened. Check its name and reenter the command.";
    /// 1422.
    not_caught_up(name: &str) = 1422, 16, 1, "The mirror server instance is not caught up to the recent changes to database \"{name}\". Unable to fail over.";
    /// 1426.
    witness_needs_all(name: &str) = 1426, 16, 1, "To issue ALTER DATABASE SET WITNESS, all three server instances must be interconnected, and the mirror database must be caught up. Database \"{name}\" does not meet this.";
    /// 1427.
    not_a_witness(address: &str) = 1427, 16, 1, "The server instance '{address}' could not act as the database mirroring witness.";
    /// 1429.
    witness_is_partner() = 1429, 16, 1, "The witness server instance name must be distinct from both of the server instances that manage the database.";
    /// 1447.
    partners_not_up(name: &str) = 1447, 16, 1, "ALTER DATABASE \"{name}\" command cannot be executed until both partner server instances are up, running, and connected.";
    /// 1448.
    no_remote_copy(name: &str) = 1448, 16, 1, "The remote copy of database \"{name}\" does not exist. Check the database name and reenter the command.";
    /// 1449.
    bad_address(address: &str) = 1449, 16, 1, "ALTER DATABASE command failed due to an invalid server connection string '{address}'.";
    /// 1452.
    partner_is_self() = 1452, 16, 1, "The partner server instance name must be distinct from the server instance that manages the database.";
    /// 1455.
    cannot_be_forced(name: &str) = 1455, 16, 1, "The database mirroring service cannot be forced for database \"{name}\" because the database is not in the correct state to become the principal database.";
    /// 1456.
    not_delivered(address: &str, name: &str) = 1456, 16, 1, "The ALTER DATABASE command could not be sent to the remote server instance '{address}'. The database mirroring configuration of \"{name}\" was not changed.";
    /// 1460.
    remote_configured(name: &str) = 1460, 16, 1, "The database \"{name}\" is already configured for database mirroring on the remote server. Database mirroring must be disabled there first.";
    /// 1464.
    not_recovering(name: &str) = 1464, 16, 1, "Database \"{name}\" is not in a recovering state which is required for a mirror database or secondary database. The remote database must be restored using WITH NORECOVERY.";
    /// 1465.
    not_full_recovery(name: &str) = 1465, 16, 1, "Database \"{name}\" database is not in full recovery mode on both partners.";
    /// 1466.
    mirrored_read_only(name: &str) = 1466, 16, 1, "Database \"{name}\" is read-only on one of the server instances, which is incompatible with participating in database mirroring.";
    /// 1467.
    mirrored_suspect(name: &str) = 1467, 16, 1, "Database \"{name}\" is in emergency or suspect mode on one of the partners.";
    /// 1468.
    involved_in_mirroring(name: &str) = 1468, 16, 1, "The operation cannot be performed on database \"{name}\" because it is involved in a database mirroring session.";
    /// 1473.
    mirroring_no_edition() = 1473, 16, 1, "This SQL Server edition does not allow changing the safety level. ALTER DATABASE command failed.";
    /// 1470.
    only_on_principal(name: &str) = 1470, 16, 1, "The alter database for this partner config values may only be initiated on the current principal server for database \"{name}\".";
    /// 1476.
    timeout_too_long(seconds: u32) = 1476, 16, 1, "Database mirroring timeout value {seconds} exceeds the maximum value 32767.";
    /// 1477.
    safety_not_full(name: &str) = 1477, 16, 1, "The database mirroring safety level must be FULL to manually failover database \"{name}\".";
    /// 1478.
    insufficient_log(name: &str) = 1478, 16, 1, "The mirror database, \"{name}\", has insufficient transaction log data to preserve the log backup chain of the principal database.";
    /// 1480.
    role_change(name: &str, from: &str, to: &str, cause: &str) = 1480, 10, 1, "The database mirroring database \"{name}\" is changing roles from \"{from}\" to \"{to}\" because the mirroring session or availability group failed over due to {cause}.";
    /// 1488.
    mirrored_single_user(name: &str) = 1488, 16, 1, "Database \"{name}\" database is in single user mode which is incompatible with participating in database mirroring.";
    /// 1801.
    database_exists(name: &str) = 1801, 16, 3, "Database '{name}' already exists. Choose a different database name.";
    /// 1802.
    create_failed() = 1802, 16, 4, "CREATE DATABASE failed. Some file names listed could not be created. Check related errors.";
    /// 1834.
    file_used_by(file: &str, database: &str) = 1834, 16, 1, "The file '{file}' cannot be overwritten. It is being used by database '{database}'.";
    /// 2714.
    object_exists(name: &str) = 2714, 16, 6, "There is already an object named '{name}' in the database.";
    /// 2812.
    no_procedure(name: &str) = 2812, 16, 62, "Could not find stored procedure '{name}'.";
    /// 3021.
    backup_in_transaction() = 3021, 16, 0, "Cannot perform a backup or restore operation within a transaction.";
    /// 3023.
    serialized(name: &str) = 3023, 16, 2, "Backup, file manipulation and encryption changes on database '{name}' must be serialized. Reissue the statement after the current operation is completed.";
    /// 3024.
    only_full_of_master() = 3024, 16, 0, "You can only perform a full backup of the master database. Use BACKUP DATABASE to back up the entire master database.";
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
    /// 3044.
    empty_device() = 3044, 16, 1, "Invalid zero-length device name. Reissue the BACKUP statement with a valid device name.";
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
    /// 3117.
    not_ready_to_roll_forward() = 3117, 16, 1, "The log or differential backup cannot be restored because no files are ready to rollforward.";
    /// 3118.
    restore_creates_only_full(name: &str) = 3118, 16, 1, "The database \"{name}\" does not exist. RESTORE can only create a database when restoring either a full backup or a file backup of the primary file.";
    /// 3119.
    restore_plan_failed() = 3119, 16, 1, "Problems were identified while planning for the RESTORE statement. Previous messages provide details.";
    /// 3120.
    beyond_set() = 3120, 16, 1, "This backup set will not be restored because all data has already been restored to a point beyond the time covered by this backup set.";
    /// 3132.
    missing_families(families: usize, given: usize) = 3132, 16, 1, "The media set has {families} media families but only {given} are provided. All members must be provided.";
    /// 3135.
    wrong_backup_type(device: &str, statement: &str) = 3135, 16, 2, "The backup set in file '{device}' cannot be used for this restore operation ({statement}).";
    /// 3136.
    wrong_base(device: &str) = 3136, 16, 1, "This differential backup ('{device}') cannot be restored because the database has not been restored to the correct earlier state.";
    /// 3142.
    file_exists(file: &str) = 3142, 16, 1, "File \"{file}\" cannot be restored over the existing \"{file}\". Reissue the RESTORE statement using WITH REPLACE to overwrite pre-existing files, or WITH MOVE to identify an alternate location.";
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
    /// 3169.
    newer_version(from: &str, to: &str) = 3169, 16, 1, "The database was backed up on a server running version {from}. That version is incompatible with this server, which is running version {to}. Either restore the database on a server that supports the backup, or use a backup that is compatible with this server.";
    /// 3170.
    bad_standby_file() = 3170, 16, 1, "The STANDBY filename is invalid.";
    /// 3180.
    standby_needs_upgrade() = 3180, 16, 1, "This backup cannot be restored using WITH STANDBY because a database upgrade is needed. Reissue the RESTORE without WITH STANDBY.";
    /// 3183.
    page_error(database: &str, device: &str) = 3183, 16, 1, "RESTORE detected an error on page (1:0) in database \"{database}\" as read from the backup set on '{device}'.";
    /// 3187.
    no_checksums() = 3187, 16, 1, "RESTORE WITH CHECKSUM cannot be specified because the backup set does not contain checksum information.";
    /// 3189.
    set_damaged() = 3189, 16, 1, "Damage to the backup set was detected.";
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
    /// 3207.
    no_device() = 3207, 16, 1, "Backup or restore requires at least one backup device. Rerun your statement specifying a backup device.";
    /// 3208.
    unexpected_end(device: &str) = 3208, 16, 1, "Unexpected end of file while reading beginning of backup set. Confirm that the media contains a valid SQL Server backup set ('{device}').";
    /// 3217.
    bad_value(option: &str) = 3217, 15, 1, "Invalid value specified for {option} parameter.";
    /// 3234.
    unknown_logical_file(file: &str, database: &str) = 3234, 16, 2, "Logical file '{file}' is not part of database '{database}'. Use RESTORE FILELISTONLY to list the logical file names.";
    /// 3241.
    malformed_media(device: &str) = 3241, 16, 0, "The media family on device '{device}' is incorrectly formed. SQL Server cannot process this media family.";
    /// 3242.
    not_tape_format(device: &str) = 3242, 16, 2, "The file on device '{device}' is not a valid Microsoft Tape Format backup set.";
    /// 3254.
    empty_volume(device: &str) = 3254, 16, 1, "The volume on device '{device}' is empty.";
    /// 3256.
    incomplete_set(device: &str) = 3256, 16, 2, "The backup set on device '{device}' was terminated while it was being created and is incomplete. RESTORE sequence is terminated abnormally.";
    /// 3258.
    foreign_family(device: &str) = 3258, 16, 1, "The volume on the device '{device}' is not part of the media set that is currently being processed. Ensure that the backup devices are loaded with the correct media.";
    /// 3271.
    io_error(device: &str, os: OsError) = 3271, 16, 1, "A nonrecoverable I/O error occurred on file \"{device}:\" {os}.";
    /// 3287.
    no_position(device: &str) = 3287, 16, 1, "The file ID on device '{device}' is incorrectly formed and can not be read.";
    /// 3441.
    standby_file_lost(database: &str, file: &str, os: OsError) = 3441, 21, 1, "During startup of warm standby database '{database}', its standby file ('{file}') was inaccessible to the RESTORE statement. The operating system error was '{os}'. The database must be restored from the beginning.";
    /// 3701.
    cannot_drop(kind: &str, name: &str) = 3701, 11, 1, "Cannot drop the {kind} '{name}', because it does not exist or you do not have permission.";
    /// 3702.
    drop_in_use(name: &str) = 3702, 16, 3, "Cannot drop database \"{name}\" because it is currently in use.";
    /// 3708.
    drop_system(name: &str) = 3708, 16, 4, "Cannot drop the database '{name}' because it is a system database.";
    /// 3906.
    read_only(name: &str) = 3906, 16, 1, "Failed to update database \"{name}\" because the database is read-only.";
    /// 4060.
    cannot_open_requested(name: &str) = 4060, 11, 1, "Cannot open database \"{name}\" requested by the login. The login failed.";
    /// 4208.
    log_in_simple(statement: &str) = 4208, 16, 1, "The statement {statement} is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE.";
    /// 4214.
    no_current_backup() = 4214, 16, 1, "BACKUP LOG cannot be performed because there is no current database backup.";
    /// 4305.
    too_recent(first: Lsn, needed: Lsn) = 4305, 16, 1, "The log in this backup set begins at LSN {first}, which is too recent to apply to the database. An earlier log backup that includes LSN {needed} can be restored.";
    /// 4319.
    restore_interrupted() = 4319, 16, 1, "A previous restore operation was interrupted and did not complete processing. Either restore the backup set that was interrupted or restart the restore sequence.";
    /// 4322.
    before_stopat() = 4322, 10, 1, "This backup set contains records that were logged before the designated point in time. The database is being left in the restoring state so that more roll forward can be performed.";
    /// 4326.
    too_early(last: Lsn, needed: Lsn) = 4326, 16, 1, "The log in this backup set terminates at LSN {last}, which is too early to apply to the database. A more recent log backup that includes LSN {needed} can be restored.";
    /// 4330.
    wrong_path() = 4330, 16, 1, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database. The recovery path is the sequence of data and log backups that have brought the database to a particular recovery point. Find a compatible backup to restore, or restore the rest of the database to match a recovery point within this backup set.";
    /// 4335.
    stopat_too_early() = 4335, 16, 1, "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that point.";
    /// 4353.
    conflicting_moves(file: &str) = 4353, 16, 1, "Conflicting file relocations have been specified for file '{file}'. Only a single WITH MOVE clause should be specified for any logical file name.";
    /// 5011.
    cannot_alter(name: &str) = 5011, 14, 5, "User does not have permission to alter database '{name}', the database does not exist, or the database is not in a state that allows access checks.";
    /// 5052.
    not_permitted_in_state(state: &str) = 5052, 16, 1, "ALTER DATABASE is not permitted while a database is in the {state} state.";
    /// 5058.
    not_in_database(option: &str, name: &str) = 5058, 16, 2, "Option '{option}' cannot be set in database '{name}'.";
    /// 5060.
    rolling_back(percent: u8) = 5060, 10, 1, "Nonqualified transactions are being rolled back. Estimated rollback completion: {percent}%.";
    /// 5061.
    alter_lock(name: &str) = 5061, 16, 1, "ALTER DATABASE failed because a lock could not be placed on database '{name}'. Try again later.";
    /// 5063.
    alter_standby(name: &str) = 5063, 16, 1, "Database '{name}' is in warm standby. A warm-standby database is read-only.";
    /// 5064.
    alter_single_user(name: &str) = 5064, 16, 1, "Changes to the state or options of database '{name}' cannot be made at this time. The database is in single-user mode, and a user is currently connected to it.";
    /// 5070.
    others_using() = 5070, 16, 2, "Database state cannot be changed while other users are using the database.";
    /// 5123.
    create_file(os: OsError, file: &str) = 5123, 16, 1, "CREATE FILE encountered operating system error {os} while attempting to open or create the physical file '{file}'.";
    /// 5149.
    expand_file(os: OsError, file: &str) = 5149, 16, 3, "MODIFY FILE encountered operating system error {os} while attempting to expand the physical file '{file}'.";
    /// 5120.
    open_file(file: &str, os: OsError) = 5120, 16, 101, "Unable to open the physical file \"{file}\". Operating system error {os}.";
    /// 5133.
    directory_lookup(file: &str, os: OsError) = 5133, 16, 1, "Directory lookup for the file \"{file}\" failed with the operating system error {os}.";
    /// 6101.
    invalid_process(id: i64) = 6101, 16, 1, "Session ID {id} is not a valid process ID. Choose a number between 1 and 2048.";
    /// 6104.
    kill_self() = 6104, 16, 1, "Cannot use KILL to kill your own process.";
    /// 6106.
    no_process(id: i64) = 6106, 16, 2, "Process ID {id} is not an active process ID.";
    /// 6107.
    kill_system() = 6107, 14, 1, "Only user processes can be killed.";
    /// 6109.
    kill_progress(id: i64) = 6109, 10, 1, "SPID {id}: transaction rollback in progress. Estimated rollback completion: 0%. Estimated time remaining: 0 seconds.";
    /// 6115.
    kill_in_transaction() = 6115, 16, 1, "KILL command cannot be used inside user transactions.";
    /// 6120.
    no_status_report(id: i64) = 6120, 16, 1, "Status report cannot be obtained. Rollback operation for Process ID {id} is not in progress.";
    /// 7862.
    endpoint_exists() = 7862, 16, 1, "An endpoint of the requested type already exists. Only one endpoint of this type is supported. Use ALTER ENDPOINT or DROP the existing endpoint.";
    /// 9002.
    log_full(name: &str, reason: &str) = 9002, 17, 4, "The transaction log for database '{name}' is full due to '{reason}'.";
    /// 15151.
    no_securable(verb: &str, kind: &str, name: &str) = 15151, 16, 1, "Cannot {verb} the {kind} '{name}', because it does not exist or you do not have permission.";
    /// 18456.
    login_failed(login: &str) = 18456, 14, 1, "Login failed for user '{login}'.";
    /// 3211.
    percent(percent: u32) = 3211, 10, 1, "{percent} percent processed.";
    /// 3262.
    set_valid(position: u16) = 3262, 10, 1, "The backup set on file {position} is valid.";
    /// 4035.
    pages_processed(pages: u64, database: &str, file: &str, position: u16) = 4035, 10, 1, "Processed {pages} pages for database '{database}', file '{file}' on file {position}.";
}

/// 3014.
pub fn success(statement: &str, pages: u64, seconds: f64) -> SqlMessage {
    let rate = if seconds > 0.0 { pages as f64 * 8192.0 / 1_048_576.0 / seconds } else { 0.0 };
    error(
        3014,
        10,
        1,
        format!(
            "{statement} successfully processed {pages} pages in {seconds:.3} seconds ({rate:.3} MB/sec)."
        ),
    )
}

/// Why a database in that state cannot be opened.
pub fn closed(name: &str, status: Status) -> Option<SqlMessage> {
    match status {
        Status::Online | Status::Emergency => None,
        Status::Restoring => Some(restoring(name)),
        Status::Recovering => Some(recovering(name)),
        Status::RecoveryPending => Some(recovery_pending(name)),
        Status::Suspect => Some(suspect(name)),
        Status::Offline => Some(offline(name)),
    }
}

/// The error for a missing permission.
pub fn permission(_instance: &InstanceState, action: Action<'_>) -> SqlMessage {
    match action {
        Action::Backup(database) => error(
            262,
            14,
            1,
            format!("BACKUP DATABASE permission denied in database '{database}'."),
        ),
        Action::RestoreNew | Action::CreateDatabase => {
            error(262, 14, 1, "CREATE DATABASE permission denied in database 'master'.")
        }
        Action::RestoreExisting(database) => error(
            3110,
            14,
            1,
            format!("User does not have permission to RESTORE database '{database}'."),
        ),
        Action::DropDatabase(database) => cannot_drop("database", database),
        Action::AlterDatabase(database) => cannot_alter(database),
        Action::Kill => {
            error(6102, 14, 2, "User does not have permission to use the KILL statement.")
        }
        Action::Use(database) => no_user("", database),
        Action::UseRestricted(database) => restricted(database),
        Action::Endpoint | Action::Maintenance => {
            error(297, 16, 1, "The user does not have permission to perform this action.")
        }
        Action::Data(database, write) => error(
            229,
            14,
            5,
            format!(
                "The {} permission was denied on the object in database '{database}'.",
                if write { "UPDATE" } else { "SELECT" }
            ),
        ),
        Action::Schema(database) => {
            error(262, 14, 1, format!("CREATE TABLE permission denied in database '{database}'."))
        }
    }
}
