//! Columns of the views of logins, roles and permissions.
//!
//! Source: the vendor's pages of the same names ("Security catalog views").

use super::{ColumnDef, bytes, not_null, null, text};
#[allow(unused_imports, reason = "one list of types serves every table")]
use crate::value::{Length, SqlType, SqlType::*};

/// Columns of `sys.server_principals`.
pub const SERVER_PRINCIPALS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("principal_id", Int),
    null("sid", bytes(85)),
    not_null("type", Char(1)),
    null("type_desc", text(60)),
    null("is_disabled", Bit),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    null("default_database_name", SqlType::SYSNAME),
    null("default_language_name", SqlType::SYSNAME),
    null("credential_id", Int),
    null("owning_principal_id", Int),
    not_null("is_fixed_role", Bit),
];

/// Columns of `sys.sql_logins`.
pub const SQL_LOGINS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("principal_id", Int),
    null("sid", bytes(85)),
    not_null("type", Char(1)),
    null("type_desc", text(60)),
    null("is_disabled", Bit),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    null("default_database_name", SqlType::SYSNAME),
    null("default_language_name", SqlType::SYSNAME),
    null("credential_id", Int),
    null("is_policy_checked", Bit),
    null("is_expiration_checked", Bit),
    null("password_hash", bytes(256)),
];

/// Columns of `sys.server_role_members` and `sys.database_role_members`.
pub const ROLE_MEMBERS: &[ColumnDef] =
    &[not_null("role_principal_id", Int), not_null("member_principal_id", Int)];

/// Columns of `sys.server_permissions` and `sys.database_permissions`.
pub const PERMISSIONS: &[ColumnDef] = &[
    not_null("class", TinyInt),
    null("class_desc", text(60)),
    not_null("major_id", Int),
    not_null("minor_id", Int),
    not_null("grantee_principal_id", Int),
    not_null("grantor_principal_id", Int),
    not_null("type", Char(4)),
    null("permission_name", text(128)),
    not_null("state", Char(1)),
    null("state_desc", text(60)),
];

/// Columns of `sys.database_principals`.
pub const DATABASE_PRINCIPALS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("principal_id", Int),
    not_null("type", Char(1)),
    null("type_desc", text(60)),
    null("default_schema_name", SqlType::SYSNAME),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    null("owning_principal_id", Int),
    null("sid", bytes(85)),
    not_null("is_fixed_role", Bit),
    not_null("authentication_type", Int),
    null("authentication_type_desc", text(60)),
    null("default_language_name", SqlType::SYSNAME),
    null("default_language_lcid", Int),
    not_null("allow_encrypted_value_modifications", Bit).since(13),
];

/// Columns of `sys.servers`.
pub const SERVERS: &[ColumnDef] = &[
    not_null("server_id", Int),
    not_null("name", SqlType::SYSNAME),
    not_null("product", SqlType::SYSNAME),
    not_null("provider", SqlType::SYSNAME),
    null("data_source", text(4_000)),
    null("location", text(4_000)),
    null("provider_string", text(4_000)),
    null("catalog", SqlType::SYSNAME),
    null("connect_timeout", Int),
    null("query_timeout", Int),
    not_null("is_linked", Bit),
    not_null("is_remote_login_enabled", Bit),
    not_null("is_rpc_out_enabled", Bit),
    not_null("is_data_access_enabled", Bit),
    not_null("is_collation_compatible", Bit),
    not_null("uses_remote_collation", Bit),
    null("collation_name", SqlType::SYSNAME),
    not_null("lazy_schema_validation", Bit),
    not_null("is_system", Bit),
    not_null("is_publisher", Bit),
    null("is_subscriber", Bit),
    null("is_distributor", Bit),
    null("is_nonsql_subscriber", Bit),
    null("is_remote_proc_transaction_promotion_enabled", Bit),
    not_null("modify_date", DateTime),
];

/// Columns of `sys.linked_logins`.
pub const LINKED_LOGINS: &[ColumnDef] = &[
    not_null("server_id", Int),
    null("local_principal_id", Int),
    not_null("uses_self_credential", Bit),
    null("remote_name", SqlType::SYSNAME),
    not_null("modify_date", DateTime),
];

/// Columns of `sys.certificates`.
pub const CERTIFICATES: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    not_null("certificate_id", Int),
    null("principal_id", Int),
    not_null("pvt_key_encryption_type", Char(2)),
    null("pvt_key_encryption_type_desc", text(60)),
    not_null("is_active_for_begin_dialog", Bit),
    null("issuer_name", text(442)),
    null("cert_serial_number", text(64)),
    null("sid", bytes(85)),
    null("string_sid", text(128)),
    null("subject", text(4_000)),
    null("expiry_date", DateTime),
    null("start_date", DateTime),
    not_null("thumbprint", bytes(32)),
    null("attested_by", text(260)),
    null("pvt_key_last_backup_date", DateTime),
];

/// Columns of `sys.symmetric_keys`.
pub const SYMMETRIC_KEYS: &[ColumnDef] = &[
    not_null("name", SqlType::SYSNAME),
    null("principal_id", Int),
    not_null("symmetric_key_id", Int),
    not_null("key_length", Int),
    not_null("key_algorithm", Char(2)),
    null("algorithm_desc", text(60)),
    not_null("create_date", DateTime),
    not_null("modify_date", DateTime),
    null("key_guid", UniqueIdentifier),
    null("key_thumbprint", Variant),
    null("provider_type", text(120)),
    null("cryptographic_provider_guid", UniqueIdentifier),
    null("cryptographic_provider_algid", Variant),
];
