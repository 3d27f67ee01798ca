//! Mirroring sessions, witnesses and endpoints.
//!
//! Source: the vendor's pages of `sys.database_mirroring`, `sys.database_mirroring_witnesses`,
//! `sys.database_mirroring_endpoints`, `sys.tcp_endpoints` and `sys.dm_db_mirroring_connections`.

use super::columns::objects as columns;
use super::{Named, View, databases, rows};
use crate::engine::mirroring_state::{EndpointState, MirroringRole, MirroringState};
use crate::engine::state::Database;
use crate::message::SqlFailure;
use crate::value::{Relation, Value};

fn session(view: View<'_>, d: &Database) -> Named {
    let mut row: Named = vec![("database_id", Value::Int(d.id))];
    let Some(m) = &d.mirroring else {
        return row;
    };
    // On a mirror only a sysadmin sees anything.
    if m.role == MirroringRole::Mirror && !view.is_sysadmin() {
        return row;
    }
    // A mirror that waits for its principal has an address, and no session yet.
    let (state, state_desc) =
        if m.waiting { MirroringState::Disconnected.code() } else { m.state.code() };
    let partner = view.state.instances.get(&m.partner);
    let instance = partner.map(|i| Value::string(&i.config.name));
    let (role, role_desc) = match m.role {
        MirroringRole::Principal => (1, "PRINCIPAL"),
        MirroringRole::Mirror => (2, "MIRROR"),
    };
    let (safety, safety_desc) = if m.safety_full { (2, "FULL") } else { (1, "OFF") };
    let (witness, witness_desc) = match (&m.witness_address, m.witness_connected) {
        (None, _) => (0, "UNKNOWN"),
        (Some(_), true) => (1, "CONNECTED"),
        (Some(_), false) => (2, "DISCONNECTED"),
    };
    row.extend([
        ("mirroring_guid", Value::Uuid(m.guid)),
        ("mirroring_state", Value::TinyInt(state)),
        ("mirroring_state_desc", Value::string(state_desc)),
        ("mirroring_role", Value::TinyInt(role)),
        ("mirroring_role_desc", Value::string(role_desc)),
        ("mirroring_role_sequence", Value::Int(m.role_sequence)),
        ("mirroring_safety_level", Value::TinyInt(safety)),
        ("mirroring_safety_level_desc", Value::string(safety_desc)),
        ("mirroring_safety_sequence", Value::Int(m.safety_sequence)),
        ("mirroring_partner_name", Value::string(&m.partner_address)),
        ("mirroring_partner_instance", instance.unwrap_or(Value::Null)),
        ("mirroring_witness_name", Value::string(m.witness_address.as_deref().unwrap_or(""))),
        ("mirroring_witness_state", Value::TinyInt(witness)),
        ("mirroring_witness_state_desc", Value::string(witness_desc)),
        ("mirroring_failover_lsn", Value::lsn(m.failover_lsn.0)),
        ("mirroring_connection_timeout", Value::BigInt(i64::from(m.timeout))),
        ("mirroring_redo_queue_type", Value::string("UNLIMITED")),
        ("mirroring_end_of_log_lsn", Value::lsn(d.log.next.0)),
        ("mirroring_replication_lsn", Value::lsn(m.failover_lsn.0)),
    ]);
    if m.witness_address.is_none() {
        row.retain(|(column, _)| *column != "mirroring_witness_name");
    }
    row
}

/// `sys.database_mirroring`: one row a database.
pub(super) fn mirroring(view: View<'_>) -> Relation {
    let all = databases::visible(view);
    let named = all.into_iter().map(|d| session(view, d)).collect();
    rows(columns::DATABASE_MIRRORING, view.major(), named)
}

/// `sys.database_mirroring_witnesses`: one row a session that this instance watches.
pub(super) fn witnesses(view: View<'_>) -> Relation {
    let name = |key: &str, address: &str| {
        let known = view.state.instances.get(key);
        Value::string(known.map_or(address, |i| i.config.name.as_str()))
    };
    let named = view
        .instance
        .witness_of
        .values()
        .map(|w| {
            let (safety, safety_desc) = if w.safety_full { (2, "FULL") } else { (1, "OFF") };
            // The numbers are the other way round from sys.database_mirroring's.
            let (sync, sync_desc) =
                if w.synchronized { (5, "SYNCHRONIZED") } else { (6, "UNSYNCHRONIZED") };
            vec![
                ("database_name", Value::string(&w.database)),
                ("principal_server_name", name(&w.principal, &w.principal_address)),
                ("mirror_server_name", name(&w.mirror, &w.mirror_address)),
                ("safety_level", Value::TinyInt(safety)),
                ("safety_level_desc", Value::string(safety_desc)),
                ("safety_sequence_number", Value::Int(w.safety_sequence)),
                ("role_sequence_number", Value::Int(w.role_sequence)),
                ("mirroring_guid", Value::Uuid(w.guid)),
                ("family_guid", Value::Uuid(w.family_guid)),
                ("is_suspended", Value::Bit(w.suspended)),
                ("is_suspended_sequence_number", Value::Int(1)),
                ("partner_sync_state", Value::TinyInt(sync)),
                ("partner_sync_state_desc", Value::string(sync_desc)),
            ]
        })
        .collect();
    rows(columns::DATABASE_MIRRORING_WITNESSES, view.major(), named)
}

/// `sys.endpoints` numbers states so.
fn state(e: &EndpointState) -> (u8, &'static str) {
    match e.definition.state.to_uppercase().as_str() {
        "STARTED" => (0, "STARTED"),
        "DISABLED" => (2, "DISABLED"),
        _ => (1, "STOPPED"),
    }
}

fn inherited(view: View<'_>, e: &EndpointState) -> Named {
    let (state, state_desc) = state(e);
    let logins = &view.instance.security.logins;
    let owner = logins.get(&e.owner.to_lowercase()).map_or(1, |l| l.id);
    vec![
        ("name", Value::string(&e.definition.name)),
        ("endpoint_id", Value::Int(e.id)),
        ("principal_id", Value::Int(owner)),
        ("protocol", Value::TinyInt(2)),
        ("protocol_desc", Value::string("TCP")),
        ("type", Value::TinyInt(4)),
        ("type_desc", Value::string("DATABASE_MIRRORING")),
        ("state", Value::TinyInt(state)),
        ("state_desc", Value::string(state_desc)),
    ]
}

/// The endpoints that every instance has: (name, id, protocol, its text).
const TSQL: &[(&str, i32, u8, &str)] = &[
    ("Dedicated Admin Connection", 1, 2, "TCP"),
    ("TSQL Local Machine", 2, 4, "SHARED_MEMORY"),
    ("TSQL Named Pipes", 3, 3, "NAMED_PIPES"),
    ("TSQL Default TCP", 4, 2, "TCP"),
];

fn tsql(&(name, id, protocol, text): &(&'static str, i32, u8, &'static str)) -> Named {
    vec![
        ("name", Value::string(name)),
        ("endpoint_id", Value::Int(id)),
        ("principal_id", Value::Int(1)),
        ("protocol", Value::TinyInt(protocol)),
        ("protocol_desc", Value::string(text)),
        ("type", Value::TinyInt(2)),
        ("type_desc", Value::string("TSQL")),
        ("state", Value::TinyInt(0)),
        ("state_desc", Value::string("STARTED")),
        ("is_admin_endpoint", Value::Bit(id == 1)),
    ]
}

/// The mirroring endpoint, for a login that owns it or has a permission on it or over all of them.
///
/// Source: "Metadata Visibility Configuration".
fn visible(view: View<'_>) -> impl Iterator<Item = &EndpointState> {
    let login = &view.session.login;
    let all = view.has("VIEW ANY DEFINITION") || view.has("ALTER ANY ENDPOINT");
    let given = move |e: &EndpointState| {
        view.instance.security.grants.iter().any(|g| {
            let on_it = g.securable.as_ref().is_some_and(|(class, name)| {
                class == "ENDPOINT" && name.eq_ignore_ascii_case(&e.definition.name)
            });
            let to_me = g.grantee.eq_ignore_ascii_case(login)
                || view.instance.security.in_role(login, &g.grantee);
            on_it && to_me && !g.denied
        })
    };
    let endpoint = view.instance.endpoint.iter();
    endpoint.filter(move |e| all || e.owner.eq_ignore_ascii_case(login) || given(e))
}

/// `sys.endpoints`.
pub(super) fn endpoints(view: View<'_>) -> Relation {
    let own = visible(view).map(|e| inherited(view, e));
    let named = TSQL.iter().map(tsql).chain(own).collect();
    rows(columns::ENDPOINTS, view.major(), named)
}

/// `sys.tcp_endpoints`.
pub(super) fn tcp_endpoints(view: View<'_>) -> Relation {
    let tcp = TSQL.iter().filter(|e| e.2 == 2).map(tsql);
    let own = visible(view).map(|e| {
        let mut row = inherited(view, e);
        row.push(("port", Value::Int(i32::from(e.definition.port))));
        row
    });
    rows(columns::TCP_ENDPOINTS, view.major(), tcp.chain(own).collect())
}

/// `connection_auth`: 1 to 4 alone, 5 to 7 with a certificate second, 8 to 10 with it first.
fn authentication(words: &[String]) -> (u8, String) {
    let at = |word: &str| words.iter().position(|w| w.eq_ignore_ascii_case(word));
    let (method, name) = if at("NTLM").is_some() {
        (1, "NTLM")
    } else if at("KERBEROS").is_some() {
        (2, "KERBEROS")
    } else {
        (3, "NEGOTIATE")
    };
    match (at("WINDOWS"), at("CERTIFICATE")) {
        (None, Some(_)) => (4, "CERTIFICATE".to_owned()),
        (Some(w), Some(c)) if w < c => (4 + method, format!("{name}, CERTIFICATE")),
        (Some(_), Some(_)) => (7 + method, format!("CERTIFICATE, {name}")),
        _ => (method, name.to_owned()),
    }
}

/// `encryption_algorithm`, by the words of the ENCRYPTION clause and the release's default.
fn encryption(words: &[String], major: u8) -> (u8, &'static str) {
    let at = |word: &str| words.iter().position(|w| w.eq_ignore_ascii_case(word));
    if at("DISABLED").is_some() {
        return (0, "NONE");
    }
    let algorithms = match (at("AES"), at("RC4")) {
        (Some(a), Some(r)) if a < r => 3,
        (Some(_), Some(_)) => 2,
        (Some(_), None) => 1,
        (None, Some(_)) => 0,
        (None, None) => u8::from(major >= 13),
    };
    match (at("SUPPORTED").is_some(), algorithms) {
        (false, 0) => (1, "RC4"),
        (false, 1) => (2, "AES"),
        (false, 2) => (5, "RC4, AES"),
        (false, _) => (6, "AES, RC4"),
        (true, 0) => (3, "NONE, RC4"),
        (true, 1) => (4, "NONE, AES"),
        (true, 2) => (7, "NONE, RC4, AES"),
        (true, _) => (8, "NONE, AES, RC4"),
    }
}

/// 0 where it authenticates as a Windows account.
fn certificate_id(view: View<'_>, endpoint: &EndpointState) -> i32 {
    let name = endpoint.definition.certificate().map(str::to_lowercase);
    let own = name.and_then(|name| view.instance.security.certificates.get(&name));
    own.map_or(0, |own| own.id)
}

/// `sys.database_mirroring_endpoints`: none or one.
pub(super) fn mirroring_endpoints(view: View<'_>) -> Relation {
    let named = visible(view)
        .map(|e| {
            let (role, role_desc) = match e.definition.role.to_uppercase().as_str() {
                "PARTNER" => (1, "PARTNER"),
                "WITNESS" => (2, "WITNESS"),
                "ALL" => (3, "ALL"),
                _ => (0, "NONE"),
            };
            let (auth, auth_desc) = authentication(&e.definition.authentication);
            let (algorithm, algorithm_desc) = encryption(&e.definition.encryption, view.major());
            let mut row = inherited(view, e);
            row.extend([
                ("role", Value::TinyInt(role)),
                ("role_desc", Value::string(role_desc)),
                ("is_encryption_enabled", Value::Bit(algorithm != 0)),
                ("connection_auth", Value::TinyInt(auth)),
                ("connection_auth_desc", Value::string(auth_desc)),
                ("certificate_id", Value::Int(certificate_id(view, e))),
                ("encryption_algorithm", Value::TinyInt(algorithm)),
                ("encryption_algorithm_desc", Value::string(algorithm_desc)),
            ]);
            row
        })
        .collect();
    rows(columns::DATABASE_MIRRORING_ENDPOINTS, view.major(), named)
}

/// `sys.dm_db_mirroring_connections`: one row a partner or witness that is reached.
///
/// # Errors
///
/// 300 and 297.
pub(super) fn connections(view: View<'_>) -> Result<Relation, SqlFailure> {
    view.must_see_state("VIEW SERVER SECURITY STATE")?;
    let mut peers: Vec<&str> = Vec::new();
    for m in view.instance.databases.values().filter_map(|d| d.mirroring.as_ref()) {
        if !m.waiting {
            peers.push(&m.partner);
            peers.extend(m.witness.as_deref());
        }
    }
    for w in view.instance.witness_of.values() {
        peers.extend([w.principal.as_str(), w.mirror.as_str()]);
    }
    peers.sort_unstable();
    peers.dedup();
    let connected = |peer: &&&str| {
        view.state.instances.get(**peer).filter(|i| i.running).is_some_and(|i| {
            crate::engine::msdb::around::reaches(
                view.state,
                &view.instance.config.site,
                &i.config.site,
            )
        })
    };
    let named = peers
        .iter()
        .filter(connected)
        .map(|peer| {
            let config = &view.state.instances[*peer].config;
            vec![
                ("state", Value::SmallInt(4)),
                ("state_desc", Value::string("LOGGED_IN")),
                ("connect_time", view.local(view.instance.started)),
                ("login_time", view.local(view.instance.started)),
                ("authentication_method", Value::string("Microsoft Negotiate")),
                ("principal_name", Value::string(&config.name)),
                ("remote_user_name", Value::string(format!("{}$", config.host()))),
                ("last_activity_time", view.local(view.now)),
                ("is_accept", Value::Bit(view.instance.key > config.name.to_lowercase())),
                ("login_state", Value::SmallInt(12)),
                ("login_state_desc", Value::string("ONLINE")),
                ("encryption_algorithm", Value::SmallInt(2)),
                ("encryption_algorithm_desc", Value::string("AES")),
            ]
        })
        .collect();
    Ok(rows(columns::DM_DB_MIRRORING_CONNECTIONS, view.major(), named))
}
