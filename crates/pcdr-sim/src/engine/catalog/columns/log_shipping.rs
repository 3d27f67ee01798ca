//! Columns of the `msdb` tables of log shipping.
//!
//! Source: the vendor's page "Log shipping tables and stored procedures" and the pages of the tables.
//! The last six tables belong to SQL Server 2000; they are still there and always empty.

use super::{ColumnDef, bytes, not_null, null, text};
#[allow(unused_imports, reason = "one list of types serves every table")]
use crate::value::{Length, SqlType, SqlType::*};

/// Columns of `msdb.dbo.log_shipping_primary_databases`.
pub const LOG_SHIPPING_PRIMARY_DATABASES: &[ColumnDef] = &[
    not_null("primary_id", UniqueIdentifier),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_directory", text(500)),
    not_null("backup_share", text(500)),
    not_null("backup_retention_period", Int),
    not_null("backup_job_id", UniqueIdentifier),
    not_null("monitor_server", SqlType::SYSNAME),
    not_null("monitor_server_security_mode", Bit),
    null("last_backup_file", text(500)),
    null("last_backup_date", DateTime),
    not_null("user_specified_monitor", Bit),
    not_null("backup_compression", TinyInt),
];

/// Columns of `msdb.dbo.log_shipping_primary_secondaries`.
pub const LOG_SHIPPING_PRIMARY_SECONDARIES: &[ColumnDef] = &[
    not_null("primary_id", UniqueIdentifier),
    not_null("secondary_server", SqlType::SYSNAME),
    not_null("secondary_database", SqlType::SYSNAME),
];

/// Columns of `msdb.dbo.log_shipping_secondary`.
pub const LOG_SHIPPING_SECONDARY: &[ColumnDef] = &[
    not_null("secondary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_source_directory", text(500)),
    not_null("backup_destination_directory", text(500)),
    not_null("file_retention_period", Int),
    not_null("copy_job_id", UniqueIdentifier),
    not_null("restore_job_id", UniqueIdentifier),
    not_null("monitor_server", SqlType::SYSNAME),
    not_null("monitor_server_security_mode", Bit),
    not_null("user_specified_monitor", Bit),
    null("last_copied_file", text(500)),
    null("last_copied_date", DateTime),
];

/// Columns of `msdb.dbo.log_shipping_secondary_databases`.
pub const LOG_SHIPPING_SECONDARY_DATABASES: &[ColumnDef] = &[
    not_null("secondary_database", SqlType::SYSNAME),
    not_null("secondary_id", UniqueIdentifier),
    not_null("restore_delay", Int),
    not_null("restore_all", Bit),
    not_null("restore_mode", Bit),
    not_null("disconnect_users", Bit),
    null("block_size", Int),
    null("buffer_count", Int),
    null("max_transfer_size", Int),
    null("last_restored_file", text(500)),
    null("last_restored_date", DateTime),
];

/// Columns of `msdb.dbo.log_shipping_monitor_primary`.
pub const LOG_SHIPPING_MONITOR_PRIMARY: &[ColumnDef] = &[
    not_null("primary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("backup_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_backup_file", text(500)),
    null("last_backup_date", DateTime),
    null("last_backup_date_utc", DateTime),
    not_null("history_retention_period", Int),
];

/// Columns of `msdb.dbo.log_shipping_monitor_secondary`.
pub const LOG_SHIPPING_MONITOR_SECONDARY: &[ColumnDef] = &[
    not_null("secondary_server", SqlType::SYSNAME),
    not_null("secondary_database", SqlType::SYSNAME),
    not_null("secondary_id", UniqueIdentifier),
    not_null("primary_server", SqlType::SYSNAME),
    not_null("primary_database", SqlType::SYSNAME),
    not_null("restore_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_copied_file", text(500)),
    null("last_copied_date", DateTime),
    null("last_copied_date_utc", DateTime),
    null("last_restored_file", text(500)),
    null("last_restored_date", DateTime),
    null("last_restored_date_utc", DateTime),
    null("last_restored_latency", Int),
    not_null("history_retention_period", Int),
];

/// Columns of `msdb.dbo.log_shipping_monitor_alert`.
pub const LOG_SHIPPING_MONITOR_ALERT: &[ColumnDef] = &[not_null("alert_job_id", UniqueIdentifier)];

/// Columns of `msdb.dbo.log_shipping_monitor_history_detail`.
pub const LOG_SHIPPING_MONITOR_HISTORY_DETAIL: &[ColumnDef] = &[
    not_null("agent_id", UniqueIdentifier),
    not_null("agent_type", TinyInt),
    not_null("session_id", Int),
    not_null("database_name", SqlType::SYSNAME),
    not_null("session_status", TinyInt),
    not_null("log_time", DateTime),
    not_null("log_time_utc", DateTime),
    null("message", NVarChar(Length::Max)),
];

/// Columns of `msdb.dbo.log_shipping_monitor_error_detail`.
pub const LOG_SHIPPING_MONITOR_ERROR_DETAIL: &[ColumnDef] = &[
    not_null("agent_id", UniqueIdentifier),
    not_null("agent_type", TinyInt),
    not_null("session_id", Int),
    null("database_name", SqlType::SYSNAME),
    not_null("sequence_number", Int),
    not_null("log_time", DateTime),
    not_null("log_time_utc", DateTime),
    null("message", NVarChar(Length::Max)),
    null("source", NVarChar(Length::Max)),
    null("help_url", NVarChar(Length::Max)),
];

/// Columns of `msdb.dbo.log_shipping_primaries`.
pub const LOG_SHIPPING_PRIMARIES: &[ColumnDef] = &[
    not_null("primary_id", Int),
    not_null("primary_server_name", SqlType::SYSNAME),
    not_null("primary_database_name", SqlType::SYSNAME),
    not_null("maintenance_plan_id", UniqueIdentifier),
    not_null("backup_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    null("last_backup_filename", text(500)),
    null("last_updated", DateTime),
    not_null("planned_outage_start_time", Int),
    not_null("planned_outage_end_time", Int),
    not_null("planned_outage_weekday_mask", Int),
    not_null("source_directory", text(500)),
];

/// Columns of `msdb.dbo.log_shipping_secondaries`.
pub const LOG_SHIPPING_SECONDARIES: &[ColumnDef] = &[
    not_null("primary_id", Int),
    not_null("secondary_server_name", SqlType::SYSNAME),
    not_null("secondary_database_name", SqlType::SYSNAME),
    null("last_copied_filename", text(500)),
    null("last_loaded_filename", text(500)),
    null("last_copied_last_updated", DateTime),
    null("last_loaded_last_updated", DateTime),
    not_null("secondary_plan_id", UniqueIdentifier),
    not_null("copy_enabled", Bit),
    not_null("load_enabled", Bit),
    not_null("out_of_sync_threshold", Int),
    not_null("threshold_alert", Int),
    not_null("threshold_alert_enabled", Bit),
    not_null("planned_outage_start_time", Int),
    not_null("planned_outage_end_time", Int),
    not_null("planned_outage_weekday_mask", Int),
    not_null("allow_role_change", Bit),
];

/// Columns of `msdb.dbo.log_shipping_plans`.
pub const LOG_SHIPPING_PLANS: &[ColumnDef] = &[
    not_null("plan_id", UniqueIdentifier),
    not_null("plan_name", SqlType::SYSNAME),
    not_null("description", text(500)),
    not_null("source_server", SqlType::SYSNAME),
    not_null("source_dir", text(500)),
    not_null("destination_dir", text(500)),
    not_null("copy_job_id", UniqueIdentifier),
    not_null("load_job_id", UniqueIdentifier),
    not_null("history_retention_period", Int),
    not_null("file_retention_period", Int),
    not_null("maintenance_plan_id", UniqueIdentifier),
    not_null("backup_job_id", UniqueIdentifier),
    not_null("share_name", text(500)),
];

/// Columns of `msdb.dbo.log_shipping_plan_databases`.
pub const LOG_SHIPPING_PLAN_DATABASES: &[ColumnDef] = &[
    not_null("plan_id", UniqueIdentifier),
    not_null("source_database", SqlType::SYSNAME),
    not_null("destination_database", SqlType::SYSNAME),
    not_null("load_delay", Int),
    not_null("load_all", Bit),
    null("last_file_copied", text(500)),
    not_null("date_last_copied", DateTime),
    null("last_file_loaded", text(500)),
    not_null("date_last_loaded", DateTime),
    not_null("copy_enabled", Bit),
    not_null("load_enabled", Bit),
    not_null("recover_db", Bit),
    not_null("terminate_users", Bit),
];

/// Columns of `msdb.dbo.log_shipping_plan_history`.
pub const LOG_SHIPPING_PLAN_HISTORY: &[ColumnDef] = &[
    not_null("sequence_id", Int),
    not_null("plan_id", UniqueIdentifier),
    not_null("source_database", SqlType::SYSNAME),
    not_null("destination_database", SqlType::SYSNAME),
    not_null("activity", Bit),
    not_null("succeeded", Bit),
    not_null("num_files", Int),
    null("last_file", text(256)),
    not_null("end_time", DateTime),
    not_null("duration", Int),
    not_null("error_number", Int),
    not_null("message", text(500)),
];

/// Columns of `msdb.dbo.log_shipping_databases`.
pub const LOG_SHIPPING_DATABASES: &[ColumnDef] = &[
    not_null("database_name", SqlType::SYSNAME),
    not_null("maintenance_plan_id", UniqueIdentifier),
];

/// Columns of `msdb.dbo.log_shipping_monitor`.
pub const LOG_SHIPPING_MONITOR: &[ColumnDef] = &[
    not_null("monitor_server_name", SqlType::SYSNAME),
    not_null("logon_type", Int),
    not_null("logon_data", bytes(256)),
];
