//! The certificates and the master key of master.
//!
//! Source: the vendor's pages "sys.certificates" and "sys.symmetric_keys".

use super::columns::security as columns;
use super::{View, principals, rows};
use crate::value::{Relation, Value};

/// Whether the login sees what is in master, and the database asked about is master: no other has any here.
fn sees(view: View<'_>, database: &str) -> bool {
    database.eq_ignore_ascii_case("master")
        && (view.has("CONTROL SERVER") || view.has("VIEW ANY DEFINITION"))
}

/// `sys.certificates`.
pub(super) fn certificates(view: View<'_>, database: &str) -> Relation {
    let all = view.instance.security.certificates.values().filter(|_| sees(view, database));
    let named = all
        .map(|own| {
            let (kind, text) = match own.has_private_key {
                true => ("MK", "ENCRYPTED_BY_MASTER_KEY"),
                false => ("NA", "NO_PRIVATE_KEY"),
            };
            let owner = principals::user_id(view, "master", &own.owner);
            vec![
                ("name", Value::string(&own.name)),
                ("certificate_id", Value::Int(own.id)),
                ("principal_id", owner.map_or(Value::Null, Value::Int)),
                ("pvt_key_encryption_type", Value::string(kind)),
                ("pvt_key_encryption_type_desc", Value::string(text)),
                ("is_active_for_begin_dialog", Value::Bit(true)),
                ("issuer_name", Value::string(&own.subject)),
                ("subject", Value::string(&own.subject)),
                // The dates of a certificate are in UTC, wherever the server is.
                ("expiry_date", Value::DateTime(crate::engine::state::local(own.expiry, 0))),
                ("start_date", Value::DateTime(crate::engine::state::local(own.start, 0))),
                ("thumbprint", Value::Binary(own.thumbprint.clone().into())),
            ]
        })
        .collect();
    rows(columns::CERTIFICATES, view.major(), named)
}

/// `sys.symmetric_keys`: the master key of master, where there is one.
pub(super) fn symmetric_keys(view: View<'_>, database: &str) -> Relation {
    let has_key = view.instance.security.master_key && sees(view, database);
    let named = has_key.then(|| {
        vec![
            ("name", Value::string("##MS_DatabaseMasterKey##")),
            ("principal_id", Value::Int(1)),
            ("symmetric_key_id", Value::Int(101)),
            ("key_length", Value::Int(256)),
            ("key_algorithm", Value::string("A3")),
            ("algorithm_desc", Value::string("AES_256")),
            ("create_date", view.local(view.instance.started)),
            ("modify_date", view.local(view.instance.started)),
        ]
    });
    rows(columns::SYMMETRIC_KEYS, view.major(), named.into_iter().collect())
}
