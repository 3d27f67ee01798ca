//! Errors of database mirroring.

use super::{error, messages};
use crate::message::SqlMessage;

messages! {
    /// 954.
    mirror(name: &str) = 954, 14, 1, "The database \"{name}\" cannot be opened. It is acting as a mirror database.";
    /// 955.
    no_quorum(name: &str) = 955, 14, 1, "Database {name} is enabled for Database Mirroring, but the database lacks quorum: the database cannot be opened.";
    /// 956.
    not_synchronized(name: &str) = 956, 14, 1, "Database {name} is enabled for Database Mirroring, but has not yet synchronized with its partner. Try the operation again later.";
    /// 957.
    mirrored_rename(name: &str) = 957, 17, 1, "Database '{name}' is enabled for Database Mirroring. The name of the database may not be changed.";
    /// 1404.
    mirror_busy(name: &str) = 1404, 16, 1, "The command failed because the database mirror is busy (\"{name}\"). Reissue the command later.";
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
    /// 1431.
    nobody_available(name: &str) = 1431, 16, 1, "Neither the partner nor the witness server instance for database \"{name}\" is available. Reissue the command when at least one of the instances becomes available.";
    /// 1440.
    active_as_principal(name: &str) = 1440, 10, 1, "Database mirroring is active with database '{name}' as the principal copy. This is an informational message only. No user action is required.";
    /// 1441.
    active_as_mirror(name: &str) = 1441, 10, 1, "Database mirroring is active with database '{name}' as the mirror copy. This is an informational message only. No user action is required.";
    /// 1442.
    inactive(name: &str) = 1442, 10, 1, "Database mirroring is inactive for database '{name}'. This is an informational message only. No user action is required.";
    /// 1443.
    terminated(name: &str) = 1443, 10, 1, "Database mirroring has been terminated for database '{name}'. This is an informational message only. No user action is required.";
    /// 1444.
    bypassed_as_mirror(name: &str) = 1444, 10, 1, "Bypassing recovery for database '{name}' because it is marked as a mirror database, which cannot be recovered. This is an informational message only. No user action is required.";
    /// 1445.
    bypassed_as_inaccessible(name: &str) = 1445, 10, 1, "Bypassing recovery for database '{name}' because it is marked as an inaccessible database mirroring database. A problem exists with the mirroring session: the session lacks a quorum or the communications links are broken. This is an informational message only. No user action is required.";
    /// 1446.
    same_witness(address: &str, name: &str) = 1446, 16, 1, "The \"{address}\" server is already acting as the witness of database \"{name}\".";
    /// 1463.
    edition_lacks_mirroring() = 1463, 16, 1, "Database mirroring is not available in the edition of this SQL Server instance.";
    /// 1469.
    mirrored_auto_close(name: &str) = 1469, 16, 1, "Database \"{name}\" is an auto-close database on one of the partners, which is incompatible with participating in database mirroring.";
    /// 1479.
    partner_silent(address: &str, name: &str, seconds: u32) = 1479, 16, 1, "The mirroring connection to \"{address}\" has timed out for database \"{name}\" after {seconds} seconds without a response. Check the service and network connections.";
    /// 1447.
    partners_not_up(name: &str) = 1447, 16, 1, "ALTER DATABASE \"{name}\" command cannot be executed until both partner server instances are up, running, and connected.";
    /// 1448.
    no_remote_copy(name: &str) = 1448, 16, 1, "The remote copy of database \"{name}\" does not exist. Check the database name and reenter the command.";
    /// 1449.
    bad_address(address: &str) = 1449, 16, 1, "ALTER DATABASE command failed due to an invalid server connection string '{address}'.";
    /// 1452.
    partner_is_self() = 1452, 16, 1, "The partner server instance name must be distinct from the server instance that manages the database.";
    /// 1453.
    partner_error(address: &str, name: &str) = 1453, 17, 1, "'{address}', the remote mirroring partner for database '{name}', encountered an error. Database mirroring has been suspended. Resolve the error on the remote server and resume mirroring, or remove mirroring and re-establish the mirror server instance.";
    /// 1454.
    own_error(name: &str) = 1454, 17, 1, "While acting as a mirroring partner for database '{name}', this server instance encountered an error. Database mirroring will be suspended. Try to resolve the error and resume mirroring.";
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
    /// 1470.
    only_on_principal(name: &str) = 1470, 16, 1, "The alter database for this partner config values may only be initiated on the current principal server for database \"{name}\".";
    /// 1473.
    mirroring_no_edition() = 1473, 16, 1, "This SQL Server edition does not allow changing the safety level. ALTER DATABASE command failed.";
    /// 1475.
    bulk_changes(name: &str) = 1475, 16, 1, "Database \"{name}\" may have bulk logged changes that have not been backed up. Take a log backup on the principal database/primary database. Then restore this backup either on the mirror database to enable database mirroring or on every secondary database to enable you to join it to the availability group.";
    /// 1476.
    timeout_too_long(seconds: u32) = 1476, 16, 1, "Database mirroring timeout value {seconds} exceeds the maximum value 32767.";
    /// 1477.
    safety_not_full(name: &str) = 1477, 16, 1, "The database mirroring safety level must be FULL to manually failover database \"{name}\".";
    /// 1478.
    insufficient_log(name: &str) = 1478, 16, 1, "The mirror database, \"{name}\", has insufficient transaction log data to preserve the log backup chain of the principal database.";
    /// 1480.
    role_change(name: &str, from: &str, to: &str, cause: &str) = 1480, 10, 1, "The database mirroring database \"{name}\" is changing roles from \"{from}\" to \"{to}\" because the mirroring session or availability group failed over due to {cause}.";
    /// 1486.
    transport_disabled() = 1486, 16, 1, "Database Mirroring Transport is disabled in the endpoint configuration.";
    /// 1488.
    mirrored_single_user(name: &str) = 1488, 16, 1, "Database \"{name}\" database is in single user mode which is incompatible with participating in database mirroring.";
}
