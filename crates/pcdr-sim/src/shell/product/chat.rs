//! Pool state and active servers.

use super::{Call, Outcome, trouble};
use crate::shell::host::Answer;
use crate::shell::language::failure::ErrorRecord;
use crate::shell::language::ops;
use crate::shell::language::value::Value;
use crate::shell::state::{CmsAvailability, Settings};
use crate::shell::topology::{ChatPool, PoolState};

const STATE_TYPE: &str =
    "Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PersistentChatState";

/// The settings as the master has them, or as the shell's own computer has them.
pub(super) fn settings(call: &Call<'_>, local: bool) -> Result<Settings, ErrorRecord> {
    let mut state = call.shell.state();
    if local {
        let fqdn = call.shell.topology().shell_fqdn.clone();
        return state.replica(&fqdn).map(|replica| replica.applied.clone()).ok_or_else(|| {
            trouble(
                "ObjectNotFound",
                "LocalStoreNotFound",
                "This computer has no local replica of the Central Management store.",
            )
        });
    }
    state.settle();
    match state.availability() {
        CmsAvailability::Unavailable => Err(unavailable()),
        _ => Ok(state.master.clone()),
    }
}

pub(super) fn unavailable() -> ErrorRecord {
    trouble(
        "ResourceUnavailable",
        "CannotConnectToCentralManagementStore",
        "Cannot connect to the Central Management store: the SQL Server database xds does not \
         answer.",
    )
}

fn writable(call: &Call<'_>) -> Result<(), ErrorRecord> {
    match call.shell.state().availability() {
        CmsAvailability::Available => Ok(()),
        CmsAvailability::ReadOnly => Err(trouble(
            "PermissionDenied",
            "CentralManagementStoreIsReadOnly",
            "The Central Management store is read-only: the change was not made.",
        )),
        CmsAvailability::Unavailable => Err(unavailable()),
    }
}

/// The pool of a service identity: `service:<fqdn>` or `PersistentChatServer:<fqdn>`.
fn pool<'a>(call: &Call<'a>, identity: &str) -> Result<&'a ChatPool, ErrorRecord> {
    let Some((kind, fqdn)) = identity.split_once(':') else {
        return Err(trouble(
            "InvalidArgument",
            "InvalidIdentity",
            format!("\"{identity}\" is not a service identity; the form is service:<pool FQDN>."),
        )
        .about(identity, "XdsIdentity"));
    };
    let known_kind =
        ["service", "PersistentChatServer"].iter().any(|known| known.eq_ignore_ascii_case(kind));
    call.shell
        .topology()
        .pools
        .iter()
        .find(|pool| known_kind && pool.fqdn.eq_ignore_ascii_case(fqdn))
        .ok_or_else(|| {
            trouble(
                "ObjectNotFound",
                "ServiceNotFound",
                format!("No Persistent Chat service has the identity \"{identity}\"."),
            )
            .about(identity, "XdsIdentity")
        })
}

fn state_object(pool: &ChatPool, state: PoolState) -> Value {
    // The numbers are the order of the documented names; the documents give none.
    let number = match state {
        PoolState::Normal => 0,
        PoolState::FailedOver => 1,
    };
    Value::object(
        STATE_TYPE,
        vec![
            ("Identity", Value::string(format!("PersistentChatServer:{}", pool.fqdn))),
            ("PoolState", Value::enumeration(state.name(), number)),
        ],
    )
}

pub(super) fn get_state(call: &mut Call<'_>) -> Outcome {
    let settings = settings(call, call.bound.switch("LocalStore"))?;
    let all = &call.shell.topology().pools;
    let fitting: Vec<&ChatPool> = if call.bound.has("Identity") {
        vec![pool(call, &call.bound.text("Identity"))?]
    } else {
        let filter = match call.bound.get("Filter") {
            Some(filter) => filter.text(),
            None => "*".to_owned(),
        };
        all.iter()
            .filter(|pool| ops::like(&format!("PersistentChatServer:{}", pool.fqdn), &filter))
            .collect()
    };
    Ok(fitting
        .into_iter()
        .map(|pool| state_object(pool, settings.pool_state(&pool.fqdn)))
        .collect())
}

pub(super) fn set_state(call: &mut Call<'_>) -> Outcome {
    let (identity, given) = match call.bound.get("Instance") {
        Some(instance) => {
            let property = |name: &str| instance.property(name).map(|v| v.text());
            let (Some(identity), Some(state)) = (property("Identity"), property("PoolState"))
            else {
                return Err(trouble(
                    "InvalidArgument",
                    "InvalidInstance",
                    "The instance is not a PersistentChatState.",
                ));
            };
            (identity, state)
        }
        None => (call.bound.text("Identity"), "Normal".to_owned()),
    };
    let wanted = match call.bound.get("PoolState") {
        Some(state) => state.text(),
        None => given,
    };
    let pool = pool(call, &identity)?;
    let state = if wanted.eq_ignore_ascii_case("FailedOver") {
        PoolState::FailedOver
    } else {
        PoolState::Normal
    };
    if state == PoolState::FailedOver && pool.pairs_in(state).is_empty() {
        return Err(trouble(
            "InvalidOperation",
            "NoBackupDatabase",
            format!(
                "The pool {} has no backup database in the topology, so it cannot fail over.",
                pool.fqdn
            ),
        ));
    }
    writable(call)?;
    let mut answer = Answer::default();
    let go = call.host.should_process(
        call.signature,
        call.bound,
        "Set-CsPersistentChatState",
        &identity,
        &mut answer,
    )?;
    if go {
        let key = pool.fqdn.to_lowercase();
        call.shell.state().change(|settings| {
            settings.pool_states.insert(key, state);
        });
    }
    Ok(Vec::new())
}

pub(super) fn set_active_server(call: &mut Call<'_>) -> Outcome {
    if call.bound.has("Identity") {
        let identity = call.bound.text("Identity");
        let global = ["global", "PChatServerCollection"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&identity));
        if !global {
            pool(call, &identity)?;
        }
    }
    let known: Vec<String> = call
        .shell
        .topology()
        .pools
        .iter()
        .flat_map(|pool| pool.servers.iter().map(|server| server.fqdn.to_lowercase()))
        .collect();
    let before = settings(call, false)?.active;
    let mut after = before.clone();
    if call.bound.set == "Swap" {
        after = known.iter().filter(|fqdn| !before.contains(fqdn)).cloned().collect();
    } else {
        match call.bound.get("ActiveServers") {
            None | Some(Value::Null) => after.clear(),
            Some(modifier) => {
                let listed = |name: &str| -> Vec<String> {
                    let list = modifier.property(name).unwrap_or(Value::Null).enumerate();
                    list.iter()
                        .filter(|v| !matches!(v, Value::Null))
                        .map(|v| v.text().to_lowercase())
                        .collect()
                };
                if modifier.property("Replace").is_some() {
                    after = listed("Replace");
                }
                for fqdn in listed("Add") {
                    if after.contains(&fqdn) {
                        call.host.warning(&format!("The server {fqdn} is already active."));
                    } else {
                        after.push(fqdn);
                    }
                }
                for fqdn in listed("Remove") {
                    after.retain(|other| *other != fqdn);
                }
            }
        }
    }
    if let Some(unknown) = after.iter().find(|fqdn| !known.contains(fqdn)) {
        return Err(trouble(
            "ObjectNotFound",
            "ServerNotFound",
            format!("{unknown} is not a Persistent Chat server of the topology."),
        )
        .about(unknown, "Fqdn"));
    }
    if call.shell.enforces_active_limit() && after.len() > 4 {
        return Err(trouble(
            "LimitsExceeded",
            "TooManyActiveServers",
            format!("{} servers would be active; at most 4 may be.", after.len()),
        ));
    }
    writable(call)?;
    let mut answer = Answer::default();
    let go = call.host.should_process(
        call.signature,
        call.bound,
        "Set-CsPersistentChatActiveServer",
        "PChatServerCollection",
        &mut answer,
    )?;
    if go {
        call.shell.state().change(|settings| settings.active = after);
    }
    Ok(Vec::new())
}
