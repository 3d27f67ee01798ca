//! The product's cmdlets: declarations and dispatch.
//!
//! Source: the cmdlet reference of Skype for Business Server ("Set-CsPersistentChatState",
//! "Set-CsPersistentChatActiveServer", "Install-CsMirrorDatabase", "Uninstall-CsMirrorDatabase",
//! "Invoke-CsDatabaseFailover", "Get-CsDatabaseMirrorState", "Get-CsService", "Test-CsDatabase",
//! "Get-CsManagementStoreReplicationStatus"). Messages and class names are the stand-in's own.

mod chat;
mod mirror;
mod mirror_install;
mod status;

use async_trait::async_trait;

use super::ManagementShell;
use super::host::Host;
use super::language::binder::{Bound, Kind, Parameter, Signature};
use super::language::eval::Commands;
use super::language::failure::ErrorRecord;
use super::language::value::Value;

const POOL_STATES: &[&str] = &["Normal", "FailedOver"];
const PRINCIPALS: &[&str] = &["Primary", "Mirror"];
const DATABASE_TYPES: &[&str] = &[
    "ActiveMonitoring",
    "Application",
    "Archiving",
    "CentralMgmt",
    "Edge",
    "Lyss",
    "Monitoring",
    "PersistentChat",
    "PersistentChatCompliance",
    "Provision",
    "Registrar",
    "SigninTelemetry",
    "User",
];
/// Selector switches of Get-CsService.
const SERVICES: &[&str] = SERVICE_SETS.split_at(2).1;

const DATABASE_TYPE: Kind =
    Kind::Enum("Microsoft.Rtc.Management.Deploy.DatabaseNameType", DATABASE_TYPES);
const POOL_STATE: Kind = Kind::Enum(
    "Microsoft.Rtc.Management.WritableConfig.Settings.PersistentChat.PoolState",
    POOL_STATES,
);

/// Every cmdlet of the product that the stand-in has.
fn signatures() -> Vec<Signature> {
    let plain = |name, class, sets, parameters| Signature {
        name,
        class,
        sets,
        default_set: None,
        parameters,
        should_process: false,
        high_impact: false,
    };
    let changing = |name, class, sets, parameters, high_impact| Signature {
        name,
        class,
        sets,
        default_set: None,
        parameters,
        should_process: true,
        high_impact,
    };
    let p = Parameter::new;
    let mut all = vec![
        Signature {
            default_set: Some("Identity"),
            ..plain(
                "Get-CsPersistentChatState",
                "Microsoft.Rtc.Management.PersistentChat.GetPersistentChatStateCmdlet",
                &["Identity", "Filter"],
                vec![
                    p("Identity", Kind::Text).only_in(&["Identity"]).at(0),
                    p("Filter", Kind::Text).only_in(&["Filter"]).mandatory(),
                    p("LocalStore", Kind::Switch),
                ],
            )
        },
        Signature {
            default_set: Some("Identity"),
            ..changing(
                "Set-CsPersistentChatState",
                "Microsoft.Rtc.Management.PersistentChat.SetPersistentChatStateCmdlet",
                &["Identity", "Instance"],
                vec![
                    p("Identity", Kind::Text).only_in(&["Identity"]).at(0),
                    p("Instance", Kind::Any).only_in(&["Instance"]).mandatory().from_pipeline(),
                    p("PoolState", POOL_STATE),
                    p("Force", Kind::Switch),
                ],
                false,
            )
        },
        changing(
            "Set-CsPersistentChatActiveServer",
            "Microsoft.Rtc.Management.PersistentChat.SetPersistentChatActiveServerCmdlet",
            &["Explicit", "Swap"],
            vec![
                p("Identity", Kind::Text).at(0),
                p("ActiveServers", Kind::FqdnListModifier).only_in(&["Explicit"]).mandatory(),
                p("Swap", Kind::Switch).only_in(&["Swap"]).mandatory(),
                p("Force", Kind::Switch),
            ],
            false,
        ),
        changing(
            "Install-CsMirrorDatabase",
            "Microsoft.Rtc.Management.Deployment.InstallMirrorDatabaseCmdlet",
            &["ByConfigured", "ByDatabase"],
            vec![
                p("ConfiguredDatabases", Kind::Switch).only_in(&["ByConfigured"]).mandatory(),
                p("ForInstance", Kind::Text).only_in(&["ByConfigured"]),
                p("ForDefaultInstance", Kind::Switch).only_in(&["ByConfigured"]),
                p("DatabaseType", DATABASE_TYPE).only_in(&["ByDatabase"]).mandatory(),
                p("SqlInstanceName", Kind::Text).only_in(&["ByDatabase"]),
                p("FileShare", Kind::Text).mandatory(),
                p("SqlServerFqdn", Kind::Fqdn).mandatory(),
                p("DatabasePathMap", Kind::Hash),
                p("DropExistingDatabasesOnMirror", Kind::Switch),
                p("ExcludeDatabaseList", Kind::Texts),
                p("Report", Kind::Text),
            ],
            true,
        ),
        changing(
            "Uninstall-CsMirrorDatabase",
            "Microsoft.Rtc.Management.Deployment.UninstallMirrorDatabaseCmdlet",
            &[""],
            vec![
                p("DatabaseType", DATABASE_TYPE).mandatory(),
                p("SqlServerFqdn", Kind::Fqdn).mandatory(),
                p("SqlInstanceName", Kind::Text),
                p("DropExistingDatabasesOnMirror", Kind::Switch),
                p("Report", Kind::Text),
            ],
            true,
        ),
        changing(
            "Invoke-CsDatabaseFailover",
            "Microsoft.Rtc.Management.Deployment.InvokeDatabaseFailoverCmdlet",
            &[""],
            vec![
                p("PoolFqdn", Kind::Fqdn).mandatory(),
                p("DatabaseType", DATABASE_TYPE).mandatory(),
                p(
                    "NewPrincipal",
                    Kind::Enum("Microsoft.Rtc.Management.Deployment.NewPrincipal", PRINCIPALS),
                )
                .mandatory(),
                p("ExcludeDatabaseList", Kind::Texts),
                p("Force", Kind::Switch),
                p("LocalStore", Kind::Switch),
                p("Report", Kind::Text),
            ],
            true,
        ),
        plain(
            "Get-CsDatabaseMirrorState",
            "Microsoft.Rtc.Management.Deployment.GetDatabaseMirrorStateCmdlet",
            &[""],
            vec![
                p("PoolFqdn", Kind::Fqdn).mandatory(),
                p("DatabaseType", DATABASE_TYPE),
                p("LocalStore", Kind::Switch),
                p("Report", Kind::Text),
            ],
        ),
        Signature {
            default_set: Some("Replica"),
            ..plain(
                "Get-CsManagementStoreReplicationStatus",
                "Microsoft.Rtc.Management.Xds.GetReplicationStatusCmdlet",
                &["Replica", "Status"],
                vec![
                    p("ReplicaFqdn", Kind::Text).only_in(&["Replica"]).at(0),
                    p("CentralManagementStoreStatus", Kind::Switch)
                        .only_in(&["Status"])
                        .mandatory(),
                ],
            )
        },
        changing(
            "Test-CsDatabase",
            "Microsoft.Rtc.Management.Deployment.TestDatabaseCmdlet",
            &["CentralManagementDatabase", "ConfiguredDatabases", "DatabaseType", "LocalService"],
            vec![
                p("CentralManagementDatabase", Kind::Switch)
                    .only_in(&["CentralManagementDatabase"])
                    .mandatory(),
                p("ConfiguredDatabases", Kind::Switch)
                    .only_in(&["ConfiguredDatabases"])
                    .mandatory(),
                p("DatabaseType", DATABASE_TYPE).only_in(&["DatabaseType"]).mandatory(),
                p("LocalService", Kind::Switch).only_in(&["LocalService"]).mandatory(),
                sql_server_of_test(),
                p("SqlInstanceName", Kind::Text)
                    .only_in(&["CentralManagementDatabase", "DatabaseType"]),
                p("Report", Kind::Text),
            ],
            false,
        ),
    ];
    let mut service = vec![
        p("Identity", Kind::Text).only_in(&["Identity"]).at(0),
        p("Filter", Kind::Text).only_in(&["Filter"]).mandatory(),
        p("PoolFqdn", Kind::Fqdn),
        p("LocalStore", Kind::Switch),
    ];
    for name in SERVICES {
        service.push(p(name, Kind::Switch).only_in(&[name]).mandatory());
    }
    all.push(Signature {
        default_set: Some("Identity"),
        ..plain(
            "Get-CsService",
            "Microsoft.Rtc.Management.Xds.GetServiceCmdlet",
            SERVICE_SETS,
            service,
        )
    });
    all
}

/// The sets of Get-CsService: two for all of them, then one per selector.
const SERVICE_SETS: &[&str] = &[
    "Identity",
    "Filter",
    "ApplicationDatabase",
    "ApplicationServer",
    "ArchivingDatabase",
    "ArchivingServer",
    "BackupServer",
    "CentralManagement",
    "CentralManagementDatabase",
    "ConferencingServer",
    "Director",
    "EdgeServer",
    "FileStore",
    "ManagementServer",
    "MediationServer",
    "MonitoringDatabase",
    "MonitoringServer",
    "PersistentChatComplianceDatabase",
    "PersistentChatDatabase",
    "PersistentChatServer",
    "PstnGateway",
    "Registrar",
    "TrustedApplicationPool",
    "UserDatabase",
    "UserServer",
    "VideoGateway",
    "VideoInteropServer",
    "WacServer",
    "WebServer",
];

fn sql_server_of_test() -> Parameter {
    let mut parameter = Parameter::new("SqlServerFqdn", Kind::Fqdn).only_in(&[
        "CentralManagementDatabase",
        "ConfiguredDatabases",
        "DatabaseType",
    ]);
    for place in &mut parameter.uses {
        place.mandatory = place.set != "CentralManagementDatabase";
    }
    parameter
}

/// One cmdlet call.
pub(super) struct Call<'a> {
    pub(super) shell: &'a ManagementShell,
    pub(super) signature: &'a Signature,
    pub(super) bound: &'a Bound,
    pub(super) host: &'a mut Host,
}

type Outcome = Result<Vec<Value>, ErrorRecord>;

#[async_trait]
impl Commands for ManagementShell {
    fn signature(&self, name: &str) -> Option<Signature> {
        signatures().into_iter().find(|signature| signature.name.eq_ignore_ascii_case(name))
    }

    async fn invoke(&self, signature: &Signature, bound: &Bound, host: &mut Host) -> Outcome {
        if let Some(message) = self.state().take_failure(signature.name) {
            return Err(ErrorRecord::new(
                "InvalidOperation",
                "ManagementException",
                "OperationFailed",
                message,
            )
            .non_terminating());
        }
        let mut call = Call { shell: self, signature, bound, host };
        match signature.name {
            "Get-CsPersistentChatState" => chat::get_state(&mut call),
            "Set-CsPersistentChatState" => chat::set_state(&mut call),
            "Set-CsPersistentChatActiveServer" => chat::set_active_server(&mut call),
            "Install-CsMirrorDatabase" => mirror_install::install(&mut call).await,
            "Uninstall-CsMirrorDatabase" => mirror_install::uninstall(&mut call).await,
            "Invoke-CsDatabaseFailover" => mirror::failover(&mut call).await,
            "Get-CsDatabaseMirrorState" => mirror::state(&mut call).await,
            "Get-CsManagementStoreReplicationStatus" => status::replication(&mut call),
            "Get-CsService" => status::service(&mut call),
            "Test-CsDatabase" => status::test_database(&mut call).await,
            other => Err(ErrorRecord::new(
                "NotImplemented",
                "NotImplementedException",
                "NotImplemented",
                format!("The cmdlet {other} is declared but cannot run."),
            )),
        }
    }
}

/// An error of a product cmdlet, which goes to the error stream.
fn trouble(category: &str, id: &str, message: impl Into<String>) -> ErrorRecord {
    ErrorRecord::new(category, "ManagementException", id, message).non_terminating()
}
