//! The servers that this one knows, and how it logs in to them.
//!
//! Source: the vendor's pages "sys.servers" and "sys.linked_logins".

use super::columns::security as columns;
use super::{Named, View, rows};
use crate::engine::state::LinkedServer;
use crate::value::{Relation, Value};

/// `server_id` of this server itself.
const OWN: i32 = 0;

/// The linked servers with their `server_id`.
fn linked(view: View<'_>) -> impl Iterator<Item = (i32, &LinkedServer)> {
    (OWN + 1..).zip(view.instance.links.values())
}

/// `sys.servers`: this server, then the linked ones.
pub(super) fn servers(view: View<'_>) -> Relation {
    let row = |id: i32, name: &str, source: &str| -> Named {
        vec![
            ("server_id", Value::Int(id)),
            ("name", Value::string(name)),
            ("product", Value::string("SQL Server")),
            ("provider", Value::string("SQLNCLI")),
            ("data_source", Value::string(source)),
            ("connect_timeout", Value::Int(0)),
            ("query_timeout", Value::Int(0)),
            ("is_linked", Value::Bit(id != OWN)),
            ("is_rpc_out_enabled", Value::Bit(true)),
            ("uses_remote_collation", Value::Bit(true)),
            ("modify_date", view.local(view.instance.started)),
        ]
    };
    let own = view.instance.config.name.as_str();
    let mut named = vec![row(OWN, own, own)];
    named.extend(linked(view).map(|(id, link)| row(id, &link.name, &link.data_source)));
    rows(columns::SERVERS, view.major(), named)
}

/// `sys.linked_logins`: one row for every local login (0) of each linked server; never a password.
pub(super) fn linked_logins(view: View<'_>) -> Relation {
    let sees = view.has("ALTER ANY LINKED SERVER") || view.has("VIEW ANY DEFINITION");
    let named = linked(view)
        .filter(|_| sees)
        .map(|(id, link)| {
            let remote = match &link.login {
                Some((login, _)) => Value::string(login),
                None => Value::Null,
            };
            vec![
                ("server_id", Value::Int(id)),
                ("local_principal_id", Value::Int(0)),
                ("uses_self_credential", Value::Bit(link.login.is_none())),
                ("remote_name", remote),
                ("modify_date", view.local(view.instance.started)),
            ]
        })
        .collect();
    rows(columns::LINKED_LOGINS, view.major(), named)
}
