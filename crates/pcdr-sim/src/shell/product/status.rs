//! Replication status, services, database tests.

use super::{Call, Outcome, chat, trouble};
use crate::shell::language::ops;
use crate::shell::language::value::Value;
use crate::shell::sql::literal;
use crate::shell::state::CmsAvailability;

fn now() -> Value {
    Value::DateTime(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

pub(super) fn replication(call: &mut Call<'_>) -> Outcome {
    let mut state = call.shell.state();
    state.settle();
    let available = state.availability() != CmsAvailability::Unavailable;
    if call.bound.switch("CentralManagementStoreStatus") {
        // Empty names mean that the store is down (L13-POOLFO step 3).
        let master = if available { state.cms_fqdn.as_str() } else { "" };
        let agents = if available { vec![Value::string(master)] } else { Vec::new() };
        let replicas = state.replicas.iter().map(|r| Value::string(&r.fqdn));
        return Ok(vec![Value::object(
            "Microsoft.Rtc.Management.Xds.CentralManagementStoreStatusResult",
            vec![
                ("ActiveMasterFQDN", if available { Value::string(master) } else { Value::Null }),
                ("ActiveMasterLastHeartBeat", if available { now() } else { Value::Null }),
                ("ActiveFileTransferAgents", Value::array(agents)),
                ("ActiveReplicas", Value::array(replicas.collect())),
                ("DeletedReplicas", Value::array(Vec::new())),
            ],
        )]);
    }
    if !available {
        return Err(chat::unavailable());
    }
    let wanted = call.bound.get("ReplicaFqdn").map(|v| v.text());
    if let Some(fqdn) = &wanted
        && !state.replicas.iter().any(|r| r.fqdn.eq_ignore_ascii_case(fqdn))
    {
        return Err(trouble(
            "ObjectNotFound",
            "ReplicaNotFound",
            format!("No replica has the FQDN \"{fqdn}\"."),
        )
        .about(fqdn, "String"));
    }
    let newest = state.master.version;
    let created = state.master.created;
    Ok(state
        .replicas
        .iter()
        .filter(|r| wanted.as_ref().is_none_or(|fqdn| r.fqdn.eq_ignore_ascii_case(fqdn)))
        .map(|replica| {
            Value::object(
                "Microsoft.Rtc.Management.Xds.ReplicaState",
                vec![
                    ("UpToDate", Value::Bool(replica.applied.version == newest)),
                    ("ReplicaFqdn", Value::string(&replica.fqdn)),
                    ("LastStatusReport", Value::DateTime(replica.applied.created)),
                    ("LastUpdateCreation", Value::DateTime(created)),
                    ("ProductVersion", Value::string("6.0.9319.0")),
                ],
            )
        })
        .collect())
}

struct Service {
    role: &'static str,
    fqdn: String,
    site: String,
    pool: String,
    dependents: Vec<String>,
}

fn services(call: &Call<'_>) -> Vec<Service> {
    let mut all = Vec::new();
    let topology = call.shell.topology();
    for pool in &topology.pools {
        let mut needs = vec![format!("Registrar:{}", pool.next_hop)];
        let stores = [
            ("PersistentChatDatabase", Some(&pool.content)),
            ("PersistentChatComplianceDatabase", pool.compliance.as_ref()),
        ];
        for (role, stores) in stores {
            let Some(stores) = stores else { continue };
            let every = [
                Some(&stores.primary),
                stores.primary_mirror.as_ref(),
                stores.backup.as_ref(),
                stores.backup_mirror.as_ref(),
            ];
            for store in every.into_iter().flatten() {
                needs.push(format!("{role}:{}", store.fqdn));
                all.push(Service {
                    role,
                    fqdn: store.fqdn.clone(),
                    site: pool.site.clone(),
                    pool: pool.fqdn.clone(),
                    dependents: Vec::new(),
                });
            }
        }
        all.push(Service {
            role: "PersistentChatServer",
            fqdn: pool.fqdn.clone(),
            site: pool.site.clone(),
            pool: pool.fqdn.clone(),
            dependents: needs,
        });
        all.push(Service {
            role: "Registrar",
            fqdn: pool.next_hop.clone(),
            site: pool.site.clone(),
            pool: pool.next_hop.clone(),
            dependents: Vec::new(),
        });
    }
    all.push(Service {
        role: "CentralManagement",
        fqdn: topology.cms_fqdn.clone(),
        site: topology.cms_site.clone(),
        pool: topology.cms_fqdn.clone(),
        dependents: Vec::new(),
    });
    all
}

pub(super) fn service(call: &mut Call<'_>) -> Outcome {
    chat::settings(call, call.bound.switch("LocalStore"))?;
    let pool = call.bound.get("PoolFqdn").map(|v| v.text());
    let identity = call.bound.get("Identity").map(|v| v.text());
    let filter = call.bound.get("Filter").map(|v| v.text());
    let role = match call.bound.set {
        "Identity" | "Filter" => None,
        role => Some(role),
    };
    let found: Vec<Value> = services(call)
        .into_iter()
        .filter(|service| {
            let its_identity = format!("{}:{}", service.role, service.fqdn);
            role.is_none_or(|role| role == service.role)
                && pool.as_ref().is_none_or(|pool| pool.eq_ignore_ascii_case(&service.pool))
                && identity.as_ref().is_none_or(|wanted| {
                    wanted.eq_ignore_ascii_case(&its_identity)
                        || wanted.eq_ignore_ascii_case(&format!("service:{}", service.fqdn))
                })
                && filter.as_ref().is_none_or(|filter| ops::like(&its_identity, filter))
        })
        .map(|service| {
            Value::object(
                &format!("Microsoft.Rtc.Management.Xds.Display{}", service.role),
                vec![
                    ("Identity", Value::string(format!("{}:{}", service.role, service.fqdn))),
                    ("SiteId", Value::string(format!("Site:{}", service.site))),
                    ("PoolFqdn", Value::string(&service.pool)),
                    (
                        "DependentServiceList",
                        Value::array(service.dependents.iter().map(Value::string).collect()),
                    ),
                    ("Role", Value::string(service.role)),
                ],
            )
        })
        .collect();
    match (identity, found.is_empty()) {
        (Some(identity), true) => Err(trouble(
            "ObjectNotFound",
            "ServiceNotFound",
            format!("No service has the identity \"{identity}\"."),
        )
        .about(&identity, "XdsIdentity")),
        _ => Ok(found),
    }
}

pub(super) async fn test_database(call: &mut Call<'_>) -> Outcome {
    if call.bound.switch("WhatIf") {
        call.host.line("What if: Performing the operation \"Test-CsDatabase\".");
        return Ok(Vec::new());
    }
    if call.bound.set == "CentralManagementDatabase" {
        let available = call.shell.state().availability() != CmsAvailability::Unavailable;
        let result = if available { "Success" } else { "Failure" };
        return Ok(vec![Value::object(
            "Microsoft.Rtc.SyntheticTransactions.TaskOutput",
            vec![("DatabaseName", Value::string("xds")), ("Result", Value::string(result))],
        )]);
    }
    let mut pairs: Vec<_> =
        call.shell.topology().pools.iter().flat_map(|pool| pool.pairs()).collect();
    if call.bound.has("SqlServerFqdn") {
        let fqdn = call.bound.text("SqlServerFqdn");
        pairs.retain(|pair| pair.primary.fqdn.eq_ignore_ascii_case(&fqdn));
    }
    if call.bound.has("DatabaseType") {
        let wanted = call.bound.text("DatabaseType");
        let instance = call.bound.text("SqlInstanceName");
        pairs.retain(|pair| {
            pair.database_type == wanted && pair.primary.instance.eq_ignore_ascii_case(&instance)
        });
    }
    let mut all = Vec::new();
    for pair in pairs {
        let tested = async {
            let mut sql = call.open(&pair.primary).await?;
            sql.run(&format!(
                "SELECT state_desc FROM sys.databases WHERE name = {}",
                literal(pair.database)
            ))
            .await
        }
        .await;
        let (result, error) = match tested {
            Ok(answer) if answer.first(0).is_some() => ("Success", String::new()),
            Ok(_) => ("Failure", "The database does not exist.".to_owned()),
            Err(why) => ("Failure", why.to_string()),
        };
        let mirror = pair.mirror.as_ref().map_or_else(String::new, |m| m.name());
        all.push(Value::object(
            "Microsoft.Rtc.SyntheticTransactions.TaskOutput",
            vec![
                ("DatabaseName", Value::string(pair.database)),
                ("SqlServer", Value::string(pair.primary.name())),
                ("MirrorSqlServer", Value::string(mirror)),
                ("Result", Value::string(result)),
                ("Error", Value::string(error)),
            ],
        ));
    }
    Ok(all)
}
