//! Errors of databases, files, recovery, logins and sessions.

use super::{OsError, error, messages};
use crate::engine::lsn::Lsn;
use crate::message::SqlMessage;

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
    /// 823.
    io_failed(file: &str, os: OsError) = 823, 24, 2, "The operating system returned error {os} to SQL Server during a read at offset 0 in file '{file}'.";
    /// 824.
    page_failed(file: &str) = 824, 24, 2, "SQL Server detected a logical consistency-based I/O error: incorrect checksum. It occurred during a read of page (1:0) in file '{file}'.";
    /// 905.
    no_partitioning(name: &str) = 905, 21, 1, "Database '{name}' cannot be started in this edition of SQL Server because it contains a partition function. Only Enterprise edition of SQL Server supports partitioning.";
    /// 909.
    no_compression(name: &str) = 909, 21, 1, "Database '{name}' cannot be started in this edition of SQL Server because part or all of object 'dbo' is enabled with data compression or vardecimal storage format.";
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
    /// 933.
    missing_features(name: &str) = 933, 21, 1, "Database '{name}' cannot be started because some of the database functionality is not available in the current edition of SQL Server.";
    /// 942.
    offline(name: &str) = 942, 14, 4, "Database '{name}' cannot be opened because it is offline.";
    /// 944.
    converting(name: &str, from: i32, to: i32) = 944, 10, 1, "Converting database '{name}' from version {from} to the current version {to}.";
    /// 945.
    recovery_pending(name: &str) = 945, 16, 2, "Database '{name}' cannot be opened due to inaccessible files or insufficient memory or disk space.";
    /// 951.
    upgrade_step(name: &str, from: i32, to: i32) = 951, 10, 1, "Database '{name}' running the upgrade step from version {from} to version {to}.";
    /// 952.
    in_transition(name: &str) = 952, 16, 1, "Database '{name}' is in transition. Try the statement later.";
    /// 1105.
    filegroup_full(object: &str, name: &str) = 1105, 17, 2, "Could not allocate space for object '{object}' in database '{name}' because the 'PRIMARY' filegroup is full. Create disk space by deleting unneeded files or by adding additional files.";
    /// 1222.
    lock_timeout() = 1222, 16, 51, "Lock request time out period exceeded.";
    /// 1801.
    database_exists(name: &str) = 1801, 16, 3, "Database '{name}' already exists. Choose a different database name.";
    /// 1802.
    create_failed() = 1802, 16, 4, "CREATE DATABASE failed. Some file names listed could not be created. Check related errors.";
    /// 1803.
    too_small(megabytes: u64) = 1803, 17, 1, "The primary file must be at least {megabytes} MB to accommodate a copy of the model database.";
    /// 1807.
    model_in_use() = 1807, 17, 3, "Could not obtain exclusive lock on database 'model'. Retry the operation later.";
    /// 1827.
    edition_limit(megabytes: u64) = 1827, 16, 2, "CREATE DATABASE or ALTER DATABASE failed because the resulting cumulative database size would exceed your licensed limit of {megabytes} MB per database.";
    /// 1828.
    logical_name_used(file: &str) = 1828, 16, 3, "The logical file name \"{file}\" is already in use. Choose a different name.";
    /// 1833.
    name_not_free(file: &str) = 1833, 16, 2, "File '{file}' cannot be reused until after the next BACKUP LOG operation. If the database is participating in an availability group, a dropped file can be reused only after the truncation LSN of the primary availability replica has passed the drop LSN of the file and a subsequent BACKUP LOG operation has completed.";
    /// 1834.
    file_used_by(file: &str, database: &str) = 1834, 16, 1, "The file '{file}' cannot be overwritten. It is being used by database '{database}'.";
    /// 2714.
    object_exists(name: &str) = 2714, 16, 6, "There is already an object named '{name}' in the database.";
    /// 2812.
    no_procedure(name: &str) = 2812, 16, 62, "Could not find stored procedure '{name}'.";
    /// 3313.
    redo_failed(name: &str, lsn: Lsn) = 3313, 21, 2, "During redoing of a logged operation in database '{name}', an error occurred at log record ID {lsn}. Typically, the specific failure is previously logged as an error in the operating system error log. Restore the database from a full backup, or repair the database.";
    /// 3314.
    undo_failed(name: &str, lsn: Lsn) = 3314, 21, 3, "During undoing of a logged operation in database '{name}', an error occurred at log record ID {lsn}. Typically, the specific failure is logged previously as an error in the operating system error log. Restore the database or file from a backup, or repair the database.";
    /// 3402.
    not_recovered(name: &str, state: &str) = 3402, 10, 1, "The database '{name}' is marked {state} and is in a state that does not allow recovery to be run.";
    /// 3406.
    rolled_forward(count: usize, name: &str) = 3406, 10, 1, "{count} transactions rolled forward in database '{name}'. This is an informational message only.";
    /// 3407.
    rolled_back(count: usize, name: &str) = 3407, 10, 1, "{count} transactions rolled back in database '{name}'. This is an informational message only.";
    /// 3408.
    recovery_complete() = 3408, 10, 1, "Recovery is complete. This is an informational message only. No user action is required.";
    /// 3414.
    recovery_failed(name: &str) = 3414, 21, 1, "An error occurred during recovery, preventing the database '{name}' from restarting. Diagnose the recovery errors and fix them, or restore from a known good backup.";
    /// 3415.
    read_only_not_upgraded(name: &str) = 3415, 16, 1, "Database '{name}' cannot be upgraded because it is read-only, has read-only files or the user does not have permissions to modify some of the files. Make the database or files writeable, and rerun recovery.";
    /// 3419.
    standby_not_upgraded(name: &str) = 3419, 16, 1, "Recovery for database '{name}' is being skipped because it requires an upgrade but is marked for Standby. Use RESTORE DATABASE WITH NORECOVERY to take the database back to a Restoring state and continue the restore sequence.";
    /// 3421.
    recovery_completed(name: &str) = 3421, 10, 1, "Recovery completed for database {name}. This is an informational message only. No user action is required.";
    /// 3441.
    standby_file_lost(database: &str, file: &str, os: OsError) = 3441, 21, 1, "During startup of warm standby database '{database}', its standby file ('{file}') was inaccessible to the RESTORE statement. The operating system error was '{os}'. The database must be restored from the beginning.";
    /// 3442.
    undo_file_full(name: &str, file: &str) = 3442, 21, 1, "Recovery of warm standby database '{name}' failed. There is insufficient room in the undo file '{file}'. Increase the size of the undo file by freeing space and retry the operation.";
    /// 3445.
    foreign_undo_file(name: &str, file: &str) = 3445, 21, 1, "File '{file}' is not a valid undo file for database '{name}'. Verify the file path, and specify the correct file.";
    /// 3446.
    log_file_missing(name: &str) = 3446, 16, 2, "Primary log file is not available for database '{name}'. The log cannot be backed up.";
    /// 3447.
    log_files_not_scanned(name: &str) = 3447, 16, 1, "Could not activate or scan all of the log files for database '{name}'.";
    /// 3454.
    recovery_checkpoint(name: &str) = 3454, 10, 1, "Recovery is writing a checkpoint in database '{name}'. This is an informational message only. No user action is required.";
    /// 3505.
    may_not_checkpoint(name: &str) = 3505, 14, 1, "Only the owner of database \"{name}\" or someone with relevant permissions can run the CHECKPOINT statement.";
    /// 3701.
    cannot_drop(kind: &str, name: &str) = 3701, 11, 1, "Cannot drop the {kind} '{name}', because it does not exist or you do not have permission.";
    /// 3702.
    drop_in_use(name: &str) = 3702, 16, 3, "Cannot drop database \"{name}\" because it is currently in use.";
    /// 3708.
    drop_system(name: &str) = 3708, 16, 4, "Cannot drop the database '{name}' because it is a system database.";
    /// 3906.
    read_only(name: &str) = 3906, 16, 1, "Failed to update database \"{name}\" because the database is read-only.";
    /// 3908.
    no_begin_in_emergency(name: &str) = 3908, 16, 1, "Could not run BEGIN TRANSACTION in database '{name}' because the database is in bypass recovery mode.";
    /// 4060.
    cannot_open_requested(name: &str) = 4060, 11, 1, "Cannot open database \"{name}\" requested by the login. The login failed.";
    /// 5003.
    mirroring_offline_files() = 5003, 16, 9, "Database mirroring cannot be enabled while the database has offline files.";
    /// 5004.
    not_writable(name: &str) = 5004, 16, 1, "To use ALTER DATABASE, the database must be in a writable state in which a checkpoint can be executed ('{name}' is not).";
    /// 5009.
    files_not_found() = 5009, 16, 4, "One or more files listed in the statement could not be found or could not be initialized.";
    /// 5011.
    cannot_alter(name: &str) = 5011, 14, 5, "User does not have permission to alter database '{name}', the database does not exist, or the database is not in a state that allows access checks.";
    /// 5014.
    no_such_file(file: &str, name: &str) = 5014, 16, 3, "The file '{file}' does not exist in database '{name}'.";
    /// 5023.
    no_rebuild(name: &str) = 5023, 16, 2, "The database '{name}' must be suspect or in emergency mode to rebuild the log.";
    /// 5029.
    log_rebuilt(name: &str) = 5029, 10, 1, "Warning: The log for database '{name}' has been rebuilt. Transactional consistency has been lost. The RESTORE chain was broken, and the server no longer has context on the previous log files, so you will need to know what they were. You should run DBCC CHECKDB to validate physical consistency.";
    /// 5030.
    not_locked() = 5030, 16, 2, "The database could not be exclusively locked to perform the operation.";
    /// 5052.
    not_permitted_in_state(state: &str) = 5052, 16, 1, "ALTER DATABASE is not permitted while a database is in the {state} state.";
    /// 5058.
    not_in_database(option: &str, name: &str) = 5058, 16, 2, "Option '{option}' cannot be set in database '{name}'.";
    /// 5059.
    alter_in_transition(name: &str) = 5059, 16, 1, "Database '{name}' is in transition. Try the ALTER DATABASE statement later.";
    /// 5060.
    rolling_back(percent: u8) = 5060, 10, 1, "Nonqualified transactions are being rolled back. Estimated rollback completion: {percent}%.";
    /// 5061.
    alter_lock(name: &str) = 5061, 16, 1, "ALTER DATABASE failed because a lock could not be placed on database '{name}'. Try again later.";
    /// 5062.
    options_conflict(option: &str) = 5062, 16, 1, "Option \"{option}\" conflicts with another requested option. The options cannot both be requested at the same time.";
    /// 5063.
    alter_standby(name: &str) = 5063, 16, 1, "Database '{name}' is in warm standby. A warm-standby database is read-only.";
    /// 5064.
    alter_single_user(name: &str) = 5064, 16, 1, "Changes to the state or options of database '{name}' cannot be made at this time. The database is in single-user mode, and a user is currently connected to it.";
    /// 5066.
    single_and_restricted() = 5066, 16, 1, "Database options single user and dbo use only cannot be set at the same time.";
    /// 5070.
    others_using() = 5070, 16, 2, "Database state cannot be changed while other users are using the database.";
    /// 5078.
    options_not_changed(name: &str) = 5078, 16, 1, "Cannot alter database options for \"{name}\" because it is READ_ONLY, OFFLINE, or marked SUSPECT.";
    /// 5084.
    option_set(option: &str, value: &str, name: &str) = 5084, 10, 1, "Setting database option {option} to {value} for database '{name}'.";
    /// 5103.
    max_below_size(file: &str) = 5103, 16, 1, "MAXSIZE cannot be less than SIZE for file '{file}'.";
    /// 5105.
    file_activation(file: &str) = 5105, 16, 2, "A file activation error occurred. The physical file name '{file}' may be incorrect. Diagnose and correct additional errors, and retry the operation.";
    /// 5120.
    open_file(file: &str, os: OsError) = 5120, 16, 101, "Unable to open the physical file \"{file}\". Operating system error {os}.";
    /// 5123.
    create_file(os: OsError, file: &str) = 5123, 16, 1, "CREATE FILE encountered operating system error {os} while attempting to open or create the physical file '{file}'.";
    /// 5133.
    directory_lookup(file: &str, os: OsError) = 5133, 16, 1, "Directory lookup for the file \"{file}\" failed with the operating system error {os}.";
    /// 5149.
    expand_file(os: OsError, file: &str) = 5149, 16, 3, "MODIFY FILE encountered operating system error {os} while attempting to expand the physical file '{file}'.";
    /// 5170.
    file_is_there(file: &str) = 5170, 16, 1, "Cannot create file '{file}' because it already exists. Change the file path or the file name, and retry the operation.";
    /// 5181.
    not_restarted(name: &str) = 5181, 16, 5, "Could not restart database \"{name}\". Reverting to the previous status.";
    /// 6101.
    invalid_process(id: i64) = 6101, 16, 1, "Session ID {id} is not a valid process ID. Choose a number between 1 and 2048.";
    /// 6104.
    kill_self() = 6104, 16, 1, "Cannot use KILL to kill your own process.";
    /// 6106.
    no_process(id: i64) = 6106, 16, 2, "Process ID {id} is not an active process ID.";
    /// 6107.
    kill_system() = 6107, 14, 1, "Only user processes can be killed.";
    /// 6108.
    no_outcome() = 6108, 16, 1, "KILL SPID WITH COMMIT/ROLLBACK is not supported by Microsoft SQL Server. To resolve a distributed transaction use KILL UOW.";
    /// 6109.
    kill_progress(id: i64) = 6109, 10, 1, "SPID {id}: transaction rollback in progress. Estimated rollback completion: 0%. Estimated time remaining: 0 seconds.";
    /// 6110.
    no_unit_of_work(unit: &str) = 6110, 16, 1, "The distributed transaction with UOW {unit} does not exist.";
    /// 6115.
    kill_in_transaction() = 6115, 16, 1, "KILL command cannot be used inside user transactions.";
    /// 6120.
    no_status_report(id: i64) = 6120, 16, 1, "Status report cannot be obtained. Rollback operation for Process ID {id} is not in progress.";
    /// 7862.
    endpoint_exists() = 7862, 16, 1, "An endpoint of the requested type already exists. Only one endpoint of this type is supported. Use ALTER ENDPOINT or DROP the existing endpoint.";
    /// 9001.
    log_unavailable(name: &str) = 9001, 21, 4, "The log for database '{name}' is not available. Check the operating system error log for related error messages. Resolve any errors and restart the database.";
    /// 9002.
    log_full(name: &str, reason: &str) = 9002, 17, 4, "The transaction log for database '{name}' is full due to '{reason}'.";
    /// 9004.
    log_processing(name: &str) = 9004, 21, 1, "An error occurred while processing the log for database '{name}'. If possible, restore from backup. If a backup is not available, it might be necessary to rebuild the log.";
    /// 12104.
    current_failed() = 12104, 16, 2, "ALTER DATABASE CURRENT failed because the current database is a system database.";
    /// 15151.
    no_securable(verb: &str, kind: &str, name: &str) = 15151, 16, 1, "Cannot {verb} the {kind} '{name}', because it does not exist or you do not have permission.";
    /// 17126.
    ready() = 17126, 10, 1, "SQL Server is now ready for client connections. This is an informational message; no user action is required.";
    /// 17137.
    starting(name: &str) = 17137, 10, 1, "Starting up database '{name}'.";
    /// 17142.
    paused() = 17142, 16, 1, "SQL Server service has been paused. No new connections will be allowed. To resume the service, use SQL Computer Manager or the Services application in Control Panel.";
    /// 17144.
    pausing() = 17144, 10, 1, "SQL Server is not allowing new connections because the Service Control Manager requested a pause. To resume the service, use SQL Computer Manager or the Services application in Control Panel.";
    /// 17148.
    stopping() = 17148, 10, 1, "SQL Server is terminating in response to a 'stop' request from Service Control Manager. This is an informational message only. No user action is required.";
    /// 17187.
    not_ready() = 17187, 16, 1, "SQL Server is not ready to accept new client connections. Wait a few minutes before trying again. If you have access to the error log, look for the informational message that indicates that SQL Server is ready before trying to connect again.";
    /// 18401.
    upgrading(login: &str) = 18401, 14, 1, "Login failed for user '{login}'. Reason: Server is in script upgrade mode. Only administrator can connect at this time.";
    /// 18451.
    administrators_only(login: &str) = 18451, 14, 1, "Login failed for user '{login}'. Only administrators may connect at this time.";
    /// 18456.
    login_failed(login: &str) = 18456, 14, 1, "Login failed for user '{login}'.";
    /// 18461.
    one_administrator(login: &str) = 18461, 14, 1, "Login failed for user '{login}'. Reason: Server is in single user mode. Only one administrator can connect at this time.";
    /// 18486.
    locked_out(login: &str) = 18486, 14, 1, "Login failed for user '{login}' because the account is currently locked out. The system administrator can unlock it.";
}

/// 33111.
pub fn no_server_certificate(thumbprint: &[u8]) -> SqlMessage {
    let shown: String = thumbprint.iter().map(|byte| format!("{byte:02X}")).collect();
    error(33_111, 16, 3, format!("Cannot find server certificate with thumbprint '0x{shown}'."))
}
