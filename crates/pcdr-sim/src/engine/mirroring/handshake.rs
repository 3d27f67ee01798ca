//! Whether two mirroring endpoints let each other in.
//!
//! Source: "Use Certificates for a Database Mirroring Endpoint (Transact-SQL)", "The Database Mirroring
//! Endpoint (SQL Server)". That a certificate which expires ends no connection, but lets none be made, is seen
//! by others.

use super::*;

/// Whether two endpoints can open a connection now.
///
/// # Errors
///
/// Why not, as the error logs tell it (28047).
pub(super) fn handshake(
    state: &WorldState,
    one: &str,
    other: &str,
    is_connected: bool,
) -> Result<(), SqlMessage> {
    let endpoint = |key: &str| state.instances.get(key).and_then(|it| it.endpoint.as_ref());
    let (Some(a), Some(b)) = (endpoint(one), endpoint(other)) else {
        return Ok(()); // whether there is one, is another question
    };
    if a.definition.takes_windows() && b.definition.takes_windows() {
        return Ok(());
    }
    if a.definition.certificate().is_none() || b.definition.certificate().is_none() {
        return Err(failed("There is no compatible authentication protocol. State 21"));
    }
    let expires = !is_connected;
    accepts(state, one, other, expires)?;
    accepts(state, other, one, expires)
}

/// Whether `here` takes the certificate that `there` shows.
fn accepts(state: &WorldState, here: &str, there: &str, expires: bool) -> Result<(), SqlMessage> {
    let invalid = |reason: &str| {
        failed(&format!(
            "The certificate used by the peer is invalid due to the following reason: {reason}. State 89"
        ))
    };
    let not_found = || invalid("Certificate not found");
    let (Some(here), Some(there)) = (state.instances.get(here), state.instances.get(there)) else {
        return Err(not_found());
    };
    let shown = there.endpoint.as_ref().and_then(|endpoint| endpoint.definition.certificate());
    let shown = shown.and_then(|name| there.security.certificates.get(&name.to_lowercase()));
    let shown = shown.filter(|own| own.has_private_key).ok_or_else(not_found)?;
    let known = here.security.certificates.values();
    let mut known = known.filter(|known| known.thumbprint == shown.thumbprint).peekable();
    known.peek().ok_or_else(not_found)?;
    if expires && state.seen_at >= shown.expiry {
        return Err(invalid("Certificate expired"));
    }
    if expires && state.seen_at < shown.start {
        return Err(invalid("Certificate not yet valid"));
    }
    let may_connect = known.any(|known| {
        let sid = here.database("master").and_then(|master| {
            let mut users = master.security.users.iter();
            users.find(|(user, _)| user.eq_ignore_ascii_case(&known.owner)).map(|(_, sid)| sid)
        });
        let login = here.security.logins.values().find(|login| Some(&login.sid) == sid);
        login.is_some_and(|login| has_connect(here, &login.name))
    });
    if may_connect {
        return Ok(());
    }
    Err(failed(
        "The login that owns the certificate does not have CONNECT permission on the endpoint. State 84",
    ))
}

fn has_connect(instance: &InstanceState, login: &str) -> bool {
    let Some(endpoint) = &instance.endpoint else { return false };
    let name = &endpoint.definition.name;
    let given = instance.security.grants.iter().filter(|grant| {
        grant.permission == "CONNECT"
            && grant.grantee.eq_ignore_ascii_case(login)
            && grant
                .securable
                .as_ref()
                .is_some_and(|(class, on)| class == "ENDPOINT" && on.eq_ignore_ascii_case(name))
    });
    let mut given = given.peekable();
    let is_granted = given.peek().is_some() && !given.any(|grant| grant.denied);
    instance.security.in_role(login, "sysadmin")
        || endpoint.owner.eq_ignore_ascii_case(login)
        || is_granted
}

fn failed(reason: &str) -> SqlMessage {
    SqlMessage::new(
        28_047,
        10,
        format!(
            "Database Mirroring login attempt failed with error: 'Connection handshake failed. {reason}.'."
        ),
    )
}
