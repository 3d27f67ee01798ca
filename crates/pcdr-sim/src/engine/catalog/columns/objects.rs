//! Columns of the views of objects, mirroring, endpoints, locks, connections and the file system.
//!
//! Source: the vendor's pages of the same names. Where the vendor documents no type (the file
//! functions of release 14 and later), the types are those of the nearest documented column.

use super::{ColumnDef, bytes, not_null, null, text};
#[allow(unused_imports, reason = "one list of types serves every table")]
use crate::value::{Length, SqlType, SqlType::*};

/// Columns of `sys.database_mirroring`.
pub const DATABASE_MIRRORING: &[ColumnDef] = &[
    not_null("database_id", Int),
    null("mirroring_guid", UniqueIdentifier),
    null("mirroring_state", TinyInt),
    null("mirroring_state_desc", text(60)),
    null("mirroring_role", TinyInt),
    null("mirroring_role_desc", text(60)),
    null("mirroring_role_sequence", Int),
    null("mirroring_safety_level", TinyInt),
    null("mirroring_safety_level_desc", text(60)),
    null("mirroring_safety_sequence", Int),
    null("mirroring_partner_name", text(128)),
    null("mirroring_partner_instance", text(128)),
    null("mirroring_witness_name", text(128)),
    null("mirroring_witness_state", TinyInt),
    null("mirroring_witness_state_desc", text(60)),
    null("mirroring_failover_lsn", SqlType::LSN),
    null("mirroring_connection_timeout", Int),
    null("mirroring_redo_queue", Int),
    null("mirroring_redo_queue_type", text(60)),
    null("mirroring_end_of_log_lsn", SqlType::LSN),
    null("mirroring_replication_lsn", SqlType::LSN),
];

/// Columns of `sys.database_mirroring_witnesses`.
pub const DATABASE_MIRRORING_WITNESSES: &[ColumnDef] = &[
    not_null("database_name", SqlType::SYSNAME),
    not_null("principal_server_name", SqlType::SYSNAME),
    not_null("mirror_server_name", SqlType::SYSNAME),
    not_null("safety_level", TinyInt),
    null("safety_level_desc", text(60)),
    not_null("safety_sequence_number", Int),
    not_null("role_sequence_number", Int),
    not_null("mirroring_guid", UniqueIdentifier),
    not_null("family_guid", UniqueIdentifier),
    null("is_suspended", Bit),
    null("is_suspended_sequence_number", Int),
    null("partner_sync_state", TinyInt),
    null("partner_sync_state_desc", text(60)),
];

/// Columns of `sys.endpoints`.
pub const ENDPOINTS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("endpoint_id", Int),
    null("principal_id", Int),
    not_null("protocol", TinyInt),
    null("protocol_desc", text(60)),
    not_null("type", TinyInt),
    null("type_desc", text(60)),
    null("state", TinyInt),
    null("state_desc", text(60)),
    not_null("is_admin_endpoint", Bit),
];

/// Columns of `sys.tcp_endpoints`.
pub const TCP_ENDPOINTS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("endpoint_id", Int),
    null("principal_id", Int),
    not_null("protocol", TinyInt),
    null("protocol_desc", text(60)),
    not_null("type", TinyInt),
    null("type_desc", text(60)),
    null("state", TinyInt),
    null("state_desc", text(60)),
    not_null("is_admin_endpoint", Bit),
    not_null("port", Int),
    not_null("is_dynamic_port", Bit),
    null("ip_address", text(45)),
];

/// Columns of `sys.database_mirroring_endpoints`.
pub const DATABASE_MIRRORING_ENDPOINTS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("endpoint_id", Int),
    null("principal_id", Int),
    not_null("protocol", TinyInt),
    null("protocol_desc", text(60)),
    not_null("type", TinyInt),
    null("type_desc", text(60)),
    null("state", TinyInt),
    null("state_desc", text(60)),
    not_null("is_admin_endpoint", Bit),
    null("role", TinyInt),
    null("role_desc", text(60)),
    not_null("is_encryption_enabled", Bit),
    not_null("connection_auth", TinyInt),
    null("connection_auth_desc", text(60)),
    not_null("certificate_id", Int),
    not_null("encryption_algorithm", TinyInt),
    null("encryption_algorithm_desc", text(60)),
];

/// Columns of `sys.dm_db_mirroring_connections`.
pub const DM_DB_MIRRORING_CONNECTIONS: &[ColumnDef] = &[
    null("connection_id", UniqueIdentifier),
    null("transport_stream_id", UniqueIdentifier),
    null("state", SmallInt),
    null("state_desc", text(60)),
    null("connect_time", DateTime),
    null("login_time", DateTime),
    null("authentication_method", text(128)),
    null("principal_name", text(128)),
    null("remote_user_name", text(128)),
    null("last_activity_time", DateTime),
    null("is_accept", Bit),
    null("login_state", SmallInt),
    null("login_state_desc", text(60)),
    null("peer_certificate_id", Int),
    null("encryption_algorithm", SmallInt),
    null("encryption_algorithm_desc", text(60)),
    null("receives_posted", SmallInt),
    null("is_receive_flow_controlled", Bit),
    null("sends_posted", SmallInt),
    null("is_send_flow_controlled", Bit),
    null("total_bytes_sent", BigInt),
    null("total_bytes_received", BigInt),
    null("total_fragments_sent", BigInt),
    null("total_fragments_received", BigInt),
    null("total_sends", BigInt),
    null("total_receives", BigInt),
    null("peer_arbitration_id", UniqueIdentifier),
];

/// Columns of `sys.dm_tran_locks`, as far as they are known to be used.
pub const DM_TRAN_LOCKS: &[ColumnDef] = &[
    not_null("resource_type", text(60)),
    not_null("resource_subtype", text(60)),
    not_null("resource_database_id", Int),
    null("resource_description", text(256)),
    null("resource_associated_entity_id", BigInt),
    not_null("resource_lock_partition", Int),
    not_null("request_mode", text(60)),
    not_null("request_type", text(60)),
    not_null("request_status", text(60)),
    not_null("request_reference_count", SmallInt),
    not_null("request_lifetime", Int),
    not_null("request_session_id", Int),
    not_null("request_exec_context_id", Int),
    not_null("request_request_id", Int),
    not_null("request_owner_type", text(60)),
];

/// Columns of `sys.dm_exec_connections`.
pub const DM_EXEC_CONNECTIONS: &[ColumnDef] = &[
    null("session_id", Int),
    null("most_recent_session_id", Int),
    not_null("connect_time", DateTime),
    not_null("net_transport", text(40)),
    null("protocol_type", text(40)),
    null("protocol_version", Int),
    null("endpoint_id", Int),
    not_null("encrypt_option", text(40)),
    not_null("auth_scheme", text(40)),
    not_null("node_affinity", SmallInt),
    null("num_reads", Int),
    null("num_writes", Int),
    null("last_read", DateTime),
    null("last_write", DateTime),
    null("net_packet_size", Int),
    null("client_net_address", SqlType::VarChar(Length::Up(48))),
    null("client_tcp_port", Int),
    null("local_net_address", SqlType::VarChar(Length::Up(48))),
    null("local_tcp_port", Int),
    not_null("connection_id", UniqueIdentifier),
    null("parent_connection_id", UniqueIdentifier),
    null("most_recent_sql_handle", bytes(64)),
];

/// Columns of `sys.configurations`.
pub const CONFIGURATIONS: &[ColumnDef] = &[
    not_null("configuration_id", Int),
    not_null("name", text(35)),
    null("value", Variant),
    null("minimum", Variant),
    null("maximum", Variant),
    null("value_in_use", Variant),
    not_null("description", text(255)),
    not_null("is_dynamic", Bit),
    not_null("is_advanced", Bit),
];

/// Columns of `sys.schemas`.
pub const SCHEMAS: &[ColumnDef] =
    &[not_null("name", SqlType::SYSNAME), not_null("schema_id", Int), null("principal_id", Int)];

/// Columns of `sys.objects`.
pub const OBJECTS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("object_id", Int),
    null("principal_id", Int),
    not_null("schema_id", Int),
    not_null("parent_object_id", Int),
    null("type", Char(2)),
    null("type_desc", text(60)),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    not_null("is_ms_shipped", Bit),
    not_null("is_published", Bit),
    not_null("is_schema_published", Bit),
];

/// Columns of `sys.tables`, as far as they carry something here.
pub const TABLES: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("object_id", Int),
    null("principal_id", Int),
    not_null("schema_id", Int),
    not_null("parent_object_id", Int),
    null("type", Char(2)),
    null("type_desc", text(60)),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    not_null("is_ms_shipped", Bit),
    not_null("is_published", Bit),
    not_null("is_schema_published", Bit),
    null("lob_data_space_id", Int),
    null("filestream_data_space_id", Int),
    not_null("max_column_id_used", Int),
];

/// Columns of `sys.columns`, as far as they carry something here.
pub const COLUMNS: &[ColumnDef] = &[
    not_null("object_id", Int),
    null("name", SqlType::SYSNAME),
    not_null("column_id", Int),
    not_null("system_type_id", TinyInt),
    not_null("user_type_id", Int),
    not_null("max_length", SmallInt),
    not_null("precision", TinyInt),
    not_null("scale", TinyInt),
    null("collation_name", SqlType::SYSNAME),
    null("is_nullable", Bit),
    not_null("is_ansi_padded", Bit),
    not_null("is_rowguidcol", Bit),
    not_null("is_identity", Bit),
    not_null("is_computed", Bit),
];

/// Columns of `sys.types`.
pub const TYPES: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("system_type_id", TinyInt),
    not_null("user_type_id", Int),
    not_null("schema_id", Int),
    null("principal_id", Int),
    not_null("max_length", SmallInt),
    not_null("precision", TinyInt),
    not_null("scale", TinyInt),
    null("collation_name", SqlType::SYSNAME),
    null("is_nullable", Bit),
    not_null("is_user_defined", Bit),
    not_null("is_assembly_type", Bit),
    not_null("default_object_id", Int),
    not_null("rule_object_id", Int),
    not_null("is_table_type", Bit),
];

/// Columns of `sys.messages`.
pub const MESSAGES: &[ColumnDef] = &[
    not_null("message_id", Int),
    not_null("language_id", SmallInt),
    null("severity", TinyInt),
    not_null("is_event_logged", Bit),
    not_null("text", text(2048)),
];

/// Columns of `sys.dm_os_sys_info`, as far as they carry something here.
pub const DM_OS_SYS_INFO: &[ColumnDef] = &[
    not_null("cpu_ticks", BigInt),
    not_null("ms_ticks", BigInt),
    not_null("cpu_count", Int),
    not_null("hyperthread_ratio", Int),
    not_null("physical_memory_kb", BigInt),
    not_null("virtual_memory_kb", BigInt),
    not_null("committed_kb", BigInt),
    not_null("committed_target_kb", BigInt),
    not_null("max_workers_count", Int),
    not_null("scheduler_count", Int),
    not_null("sqlserver_start_time_ms_ticks", BigInt),
    not_null("sqlserver_start_time", DateTime),
];

/// Columns of `sys.dm_os_host_info` (release 14 and later).
pub const DM_OS_HOST_INFO: &[ColumnDef] = &[
    not_null("host_platform", text(256)),
    not_null("host_distribution", text(256)),
    not_null("host_release", text(256)),
    not_null("host_service_pack_level", text(256)),
    null("host_sku", Int),
    not_null("os_language_version", Int),
    not_null("host_architecture", text(256)).since(15),
];

/// Columns of `sys.dm_os_volume_stats(database_id, file_id)`.
pub const DM_OS_VOLUME_STATS: &[ColumnDef] = &[
    null("database_id", Int),
    null("file_id", Int),
    null("volume_mount_point", text(512)),
    null("volume_id", text(512)),
    null("logical_volume_name", text(512)),
    null("file_system_type", text(512)),
    not_null("total_bytes", BigInt),
    not_null("available_bytes", BigInt),
    null("supports_compression", TinyInt),
    null("supports_alternate_streams", TinyInt),
    null("supports_sparse_files", TinyInt),
    null("is_read_only", TinyInt),
    null("is_compressed", TinyInt),
];

/// Columns of `sys.dm_os_enumerate_filesystem(directory, pattern)` (release 14 and later).
pub const DM_OS_ENUMERATE_FILESYSTEM: &[ColumnDef] = &[
    not_null("full_filesystem_path", text(256)),
    not_null("parent_directory", text(256)),
    not_null("file_or_directory_name", text(256)),
    not_null("level", Int),
    not_null("is_directory", Bit),
    not_null("is_read_only", Bit),
    not_null("is_system", Bit),
    not_null("is_hidden", Bit),
    not_null("has_integrity_stream", Bit),
    not_null("is_temporary", Bit),
    not_null("is_sparse", Bit),
    not_null("creation_time", DateTime2(7)),
    not_null("last_access_time", DateTime2(7)),
    not_null("last_write_time", DateTime2(7)),
    not_null("size_in_bytes", BigInt),
];

/// Columns of `sys.dm_os_file_exists(path)` (release 14 and later).
pub const DM_OS_FILE_EXISTS: &[ColumnDef] = &[
    not_null("file_exists", TinyInt),
    not_null("file_is_a_directory", TinyInt),
    not_null("parent_directory_exists", TinyInt),
];

/// Columns of `sys.dm_os_enumerate_fixed_drives` (release 15 and later).
pub const DM_OS_ENUMERATE_FIXED_DRIVES: &[ColumnDef] = &[
    not_null("fixed_drive_path", text(256)),
    not_null("drive_type", Int),
    not_null("drive_type_desc", text(256)),
    not_null("free_space_in_bytes", BigInt),
];

/// Columns of `sys.dm_exec_sql_text(handle)`.
pub const DM_EXEC_SQL_TEXT: &[ColumnDef] = &[
    null("dbid", SmallInt),
    null("objectid", Int),
    null("number", SmallInt),
    not_null("encrypted", Bit),
    null("text", SqlType::NVarChar(Length::Max)),
];

/// Columns of the compatibility view `sys.sysprocesses`.
pub const SYSPROCESSES: &[ColumnDef] = &[
    not_null("spid", SmallInt),
    not_null("kpid", SmallInt),
    not_null("blocked", SmallInt),
    not_null("waittype", Binary(2)),
    not_null("waittime", BigInt),
    not_null("lastwaittype", NChar(32)),
    not_null("waitresource", NChar(256)),
    not_null("dbid", SmallInt),
    null("uid", SmallInt),
    not_null("cpu", Int),
    not_null("physical_io", BigInt),
    not_null("memusage", Int),
    not_null("login_time", DateTime),
    not_null("last_batch", DateTime),
    not_null("ecid", SmallInt),
    not_null("open_tran", SmallInt),
    not_null("status", NChar(30)),
    not_null("sid", Binary(86)),
    not_null("hostname", NChar(128)),
    not_null("program_name", NChar(128)),
    not_null("hostprocess", NChar(10)),
    not_null("cmd", NChar(16)),
    not_null("nt_domain", NChar(128)),
    not_null("nt_username", NChar(128)),
    not_null("net_address", NChar(12)),
    not_null("net_library", NChar(12)),
    not_null("loginame", NChar(128)),
    not_null("context_info", Binary(128)),
    not_null("sql_handle", Binary(20)),
    not_null("stmt_start", Int),
    not_null("stmt_end", Int),
    not_null("request_id", Int),
];

/// Columns of the compatibility view `sys.sysdatabases`.
pub const SYSDATABASES: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("dbid", SmallInt),
    null("sid", bytes(85)),
    not_null("mode", SmallInt),
    not_null("status", Int),
    not_null("status2", Int),
    not_null("crdate", DateTime),
    not_null("reserved", DateTime),
    not_null("category", Int),
    not_null("cmptlevel", TinyInt),
    null("filename", text(260)),
    null("version", SmallInt),
];
