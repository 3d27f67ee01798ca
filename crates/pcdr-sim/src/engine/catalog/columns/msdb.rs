//! Columns of the `msdb` tables that hold backup history and SQL Server Agent's jobs.
//!
//! Source: the vendor's pages "Backup and restore tables" and "SQL Server Agent tables"; order and
//! nullability of the backup tables as observed on release 16.

use super::{ColumnDef, bytes, not_null, null, text};
#[allow(unused_imports, reason = "one list of types serves every table")]
use crate::value::{Length, SqlType, SqlType::*};

/// Columns of `msdb.dbo.backupset`.
pub const BACKUPSET: &[ColumnDef] = &[
    not_null("backup_set_id", Int),
    not_null("backup_set_uuid", UniqueIdentifier),
    not_null("media_set_id", Int),
    null("first_family_number", TinyInt),
    null("first_media_number", SmallInt),
    null("last_family_number", TinyInt),
    null("last_media_number", SmallInt),
    null("catalog_family_number", TinyInt),
    null("catalog_media_number", SmallInt),
    null("position", Int),
    null("expiration_date", DateTime),
    null("software_vendor_id", Int),
    null("name", text(128)),
    null("description", text(255)),
    null("user_name", text(128)),
    null("software_major_version", TinyInt),
    null("software_minor_version", TinyInt),
    null("software_build_version", SmallInt),
    null("time_zone", SmallInt),
    null("mtf_minor_version", TinyInt),
    null("first_lsn", SqlType::LSN),
    null("last_lsn", SqlType::LSN),
    null("checkpoint_lsn", SqlType::LSN),
    null("database_backup_lsn", SqlType::LSN),
    null("database_creation_date", DateTime),
    null("backup_start_date", DateTime),
    null("backup_finish_date", DateTime),
    null("type", Char(1)),
    null("sort_order", SmallInt),
    null("code_page", SmallInt),
    null("compatibility_level", TinyInt),
    null("database_version", Int),
    null("backup_size", Numeric { precision: 20, scale: 0 }),
    null("database_name", text(128)),
    null("server_name", text(128)),
    null("machine_name", text(128)),
    null("flags", Int),
    null("unicode_locale", Int),
    null("unicode_compare_style", Int),
    null("collation_name", text(128)),
    null("is_password_protected", Bit),
    null("recovery_model", text(60)),
    null("has_bulk_logged_data", Bit),
    null("is_snapshot", Bit),
    null("is_readonly", Bit),
    null("is_single_user", Bit),
    null("has_backup_checksums", Bit),
    null("is_damaged", Bit),
    null("begins_log_chain", Bit),
    null("has_incomplete_metadata", Bit),
    null("is_force_offline", Bit),
    null("is_copy_only", Bit),
    null("first_recovery_fork_guid", UniqueIdentifier),
    null("last_recovery_fork_guid", UniqueIdentifier),
    null("fork_point_lsn", SqlType::LSN),
    null("database_guid", UniqueIdentifier),
    null("family_guid", UniqueIdentifier),
    null("differential_base_lsn", SqlType::LSN),
    null("differential_base_guid", UniqueIdentifier),
    null("compressed_backup_size", Numeric { precision: 20, scale: 0 }),
    null("key_algorithm", text(32)).since(12),
    null("encryptor_thumbprint", bytes(20)).since(12),
    null("encryptor_type", text(32)).since(12),
    null("last_valid_restore_time", DateTime).since(16),
    null("compression_algorithm", text(32)).since(16),
];

/// Columns of `msdb.dbo.backupmediafamily`.
pub const BACKUPMEDIAFAMILY: &[ColumnDef] = &[
    not_null("media_set_id", Int),
    not_null("family_sequence_number", TinyInt),
    null("media_family_id", UniqueIdentifier),
    null("media_count", Int),
    null("logical_device_name", text(128)),
    null("physical_device_name", text(260)),
    null("device_type", TinyInt),
    null("physical_block_size", Int),
    not_null("mirror", TinyInt),
];

/// Columns of `msdb.dbo.backupmediaset`.
pub const BACKUPMEDIASET: &[ColumnDef] = &[
    not_null("media_set_id", Int),
    null("media_uuid", UniqueIdentifier),
    null("media_family_count", TinyInt),
    null("name", text(128)),
    null("description", text(255)),
    null("software_name", text(128)),
    null("software_vendor_id", Int),
    null("MTF_major_version", TinyInt),
    null("mirror_count", TinyInt),
    null("is_password_protected", Bit),
    null("is_compressed", Bit),
    null("is_encrypted", Bit).since(12),
];

/// Columns of `msdb.dbo.backupfile`.
pub const BACKUPFILE: &[ColumnDef] = &[
    not_null("backup_set_id", Int),
    null("first_family_number", TinyInt),
    null("first_media_number", SmallInt),
    null("filegroup_name", text(128)),
    null("page_size", Int),
    not_null("file_number", Numeric { precision: 10, scale: 0 }),
    null("backed_up_page_count", Numeric { precision: 10, scale: 0 }),
    null("file_type", Char(1)),
    null("source_file_block_size", Numeric { precision: 10, scale: 0 }),
    null("file_size", Numeric { precision: 20, scale: 0 }),
    null("logical_name", text(128)),
    null("physical_drive", text(260)),
    null("physical_name", text(260)),
    null("state", TinyInt),
    null("state_desc", text(64)),
    null("create_lsn", SqlType::LSN),
    null("drop_lsn", SqlType::LSN),
    null("file_guid", UniqueIdentifier),
    null("read_only_lsn", SqlType::LSN),
    null("read_write_lsn", SqlType::LSN),
    null("differential_base_lsn", SqlType::LSN),
    null("differential_base_guid", UniqueIdentifier),
    null("backup_size", Numeric { precision: 20, scale: 0 }),
    null("filegroup_guid", UniqueIdentifier),
    null("is_readonly", Bit),
    null("is_present", Bit),
];

/// Columns of `msdb.dbo.restorehistory`.
pub const RESTOREHISTORY: &[ColumnDef] = &[
    not_null("restore_history_id", Int),
    null("restore_date", DateTime),
    null("destination_database_name", text(128)),
    null("user_name", text(128)),
    not_null("backup_set_id", Int),
    null("restore_type", Char(1)),
    null("replace", Bit),
    null("recovery", Bit),
    null("restart", Bit),
    null("stop_at", DateTime),
    null("device_count", TinyInt),
    null("stop_at_mark_name", text(128)),
    null("stop_before", Bit),
];

/// Columns of `msdb.dbo.restorefile`.
pub const RESTOREFILE: &[ColumnDef] = &[
    not_null("restore_history_id", Int),
    null("file_number", Numeric { precision: 10, scale: 0 }),
    null("destination_phys_drive", text(260)),
    null("destination_phys_name", text(260)),
];

/// Columns of `msdb.dbo.sysjobs`.
pub const SYSJOBS: &[ColumnDef] = &[
    not_null("job_id", UniqueIdentifier),
    not_null("originating_server_id", Int),
    not_null("name", SqlType::SYSNAME),
    not_null("enabled", TinyInt),
    null("description", text(512)),
    not_null("start_step_id", Int),
    not_null("category_id", Int),
    not_null("owner_sid", bytes(85)),
    not_null("notify_level_eventlog", Int),
    not_null("notify_level_email", Int),
    not_null("notify_level_netsend", Int),
    not_null("notify_level_page", Int),
    not_null("notify_email_operator_id", Int),
    not_null("notify_netsend_operator_id", Int),
    not_null("notify_page_operator_id", Int),
    not_null("delete_level", Int),
    not_null("date_created", DateTime),
    not_null("date_modified", DateTime),
    not_null("version_number", Int),
];

/// Columns of `msdb.dbo.sysjobactivity`.
pub const SYSJOBACTIVITY: &[ColumnDef] = &[
    not_null("session_id", Int),
    not_null("job_id", UniqueIdentifier),
    null("run_requested_date", DateTime),
    null("run_requested_source", SqlType::SYSNAME),
    null("queued_date", DateTime),
    null("start_execution_date", DateTime),
    null("last_executed_step_id", Int),
    null("last_executed_step_date", DateTime),
    null("stop_execution_date", DateTime),
    null("job_history_id", Int),
    null("next_scheduled_run_date", DateTime),
];

/// Columns of `msdb.dbo.syssessions`.
pub const SYSSESSIONS: &[ColumnDef] =
    &[not_null("session_id", Int), not_null("agent_start_date", DateTime)];

/// Columns of `msdb.dbo.sysjobhistory`.
pub const SYSJOBHISTORY: &[ColumnDef] = &[
    not_null("instance_id", Int),
    not_null("job_id", UniqueIdentifier),
    not_null("step_id", Int),
    not_null("step_name", SqlType::SYSNAME),
    not_null("sql_message_id", Int),
    not_null("sql_severity", Int),
    null("message", text(4000)),
    not_null("run_status", Int),
    not_null("run_date", Int),
    not_null("run_time", Int),
    not_null("run_duration", Int),
    not_null("operator_id_emailed", Int),
    not_null("operator_id_netsent", Int),
    not_null("operator_id_paged", Int),
    not_null("retries_attempted", Int),
    not_null("server", SqlType::SYSNAME),
];

/// Columns of `msdb.dbo.sysjobsteps`.
pub const SYSJOBSTEPS: &[ColumnDef] = &[
    not_null("job_id", UniqueIdentifier),
    not_null("step_id", Int),
    not_null("step_name", SqlType::SYSNAME),
    not_null("subsystem", text(40)),
    null("command", NVarChar(Length::Max)),
    not_null("flags", Int),
    null("additional_parameters", NText),
    not_null("cmdexec_success_code", Int),
    not_null("on_success_action", TinyInt),
    not_null("on_success_step_id", Int),
    not_null("on_fail_action", TinyInt),
    not_null("on_fail_step_id", Int),
    null("server", SqlType::SYSNAME),
    null("database_name", SqlType::SYSNAME),
    null("database_user_name", SqlType::SYSNAME),
    not_null("retry_attempts", Int),
    not_null("retry_interval", Int),
    not_null("os_run_priority", Int),
    null("output_file_name", text(200)),
    null("last_run_outcome", Int),
    not_null("last_run_duration", Int),
    not_null("last_run_retries", Int),
    not_null("last_run_date", Int),
    not_null("last_run_time", Int),
    null("proxy_id", Int),
    null("step_uid", UniqueIdentifier),
];

/// Columns of `msdb.dbo.sysjobservers`.
pub const SYSJOBSERVERS: &[ColumnDef] = &[
    not_null("job_id", UniqueIdentifier),
    not_null("server_id", Int),
    not_null("last_run_outcome", TinyInt),
    null("last_outcome_message", text(4000)),
    not_null("last_run_date", Int),
    not_null("last_run_time", Int),
    not_null("last_run_duration", Int),
];

/// Columns of `msdb.dbo.sysschedules`.
pub const SYSSCHEDULES: &[ColumnDef] = &[
    not_null("schedule_id", Int),
    not_null("schedule_uid", UniqueIdentifier),
    not_null("originating_server_id", Int),
    not_null("name", SqlType::SYSNAME),
    not_null("owner_sid", bytes(85)),
    not_null("enabled", Int),
    not_null("freq_type", Int),
    not_null("freq_interval", Int),
    not_null("freq_subday_type", Int),
    not_null("freq_subday_interval", Int),
    not_null("freq_relative_interval", Int),
    not_null("freq_recurrence_factor", Int),
    not_null("active_start_date", Int),
    not_null("active_end_date", Int),
    not_null("active_start_time", Int),
    not_null("active_end_time", Int),
    not_null("date_created", DateTime),
    not_null("date_modified", DateTime),
    not_null("version_number", Int),
];

/// Columns of `msdb.dbo.sysjobschedules`.
pub const SYSJOBSCHEDULES: &[ColumnDef] = &[
    not_null("schedule_id", Int),
    not_null("job_id", UniqueIdentifier),
    not_null("next_run_date", Int),
    not_null("next_run_time", Int),
];

/// Columns of `msdb.dbo.syscategories`.
pub const SYSCATEGORIES: &[ColumnDef] = &[
    not_null("category_id", Int),
    not_null("category_class", Int),
    not_null("category_type", TinyInt),
    not_null("name", SqlType::SYSNAME),
];

/// Columns of `msdb.dbo.dbm_monitor_data`, of which the stand-in keeps nothing but the settings.
pub const DBM_MONITOR_ALERTS: &[ColumnDef] = &[
    not_null("database_id", Int),
    null("retention_period", Int),
    null("time_behind", Int),
    not_null("enable_time_behind", Bit),
    null("send_queue", Int),
    not_null("enable_send_queue", Bit),
    null("redo_queue", Int),
    not_null("enable_redo_queue", Bit),
    null("average_delay", Int),
    not_null("enable_average_delay", Bit),
];
