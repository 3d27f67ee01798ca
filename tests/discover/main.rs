//! What pcdr configured is discovered as it was designed, and configuring what was discovered changes nothing.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

mod draw;
mod findings;

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use pcdr_cli::args::{Cli, Command};
use pcdr_cli::discover;
use pcdr_cli::plan;
use pcdr_core::discover::{Discovered, Kind};
use pcdr_core::drift::drift;
use pcdr_core::observe::observe;
use pcdr_core::settings::RestoreMode;
use pcdr_core::topology::{Instance, LogShipping, Role, Share};
use pcdr_core::{Intent, ShareName, Timestamp, Topology};
use pcdr_sql::FleetOptions;
use pcdr_tests::{Random, STRETCHED, Stage, Unseen, virtually};

/// A stage on which pcdr has configured the topology.
async fn configured(text: &str) -> Stage {
    let stage = Stage::bare(text).await;
    let made = plan::make(Intent::Configure, stage.topology(), stage.ports(), &[]).await;
    let (made, _) = made.unwrap_or_else(|failure| panic!("{}\n{text}", failure.text(false)));
    stage.apply(&made, &Unseen).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    // Chat servers ping every two seconds.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    stage
}

/// An instance of the stage as a person gives it: with its full name, or as a bare address.
fn address(stage: &Stage, instance: &Instance, with_name: bool) -> String {
    let address = stage.stand_in.address(&instance.name).unwrap();
    let bare = format!("{},{}", address.ip(), address.port());
    if with_name { format!("{}={bare}", instance.host) } else { bare }
}

/// What a person gives to discover the whole stage: no instance tells these.
fn arguments(stage: &Stage) -> Vec<String> {
    let topology = stage.topology();
    let mut arguments = Vec::new();
    let mut give = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    for instance in topology.instances() {
        // Mirroring tells the partners' names, and nothing those of the others.
        let is_told = topology.role(Role::PrimaryMirror).is_some()
            && [Role::Primary, Role::PrimaryMirror, Role::PrimaryWitness].contains(&instance.role);
        give("instance", address(stage, instance, !is_told));
        if matches!(instance.role, Role::SecondaryMirror | Role::SecondaryWitness) {
            give("role", format!("{}={}", instance.role.as_str(), instance.server_name));
        }
        // By any name that a person may know it by.
        let known_as = match instance.role {
            Role::Primary => &instance.host,
            _ => &instance.server_name,
        };
        give("site", format!("{}={known_as}", instance.site));
    }
    if topology.role(Role::FurtherSecondary).is_some() {
        give("role", format!("secondary={}", topology.secondary().server_name));
    }
    for share in topology.shares() {
        if let Some(rest) = share.unc.strip_prefix(r"\\") {
            give("site", format!("{}={}", share.site, rest.split('\\').next().unwrap()));
        }
        give("mount", format!("{}={}", share.unc, share.mount.as_ref().unwrap()));
    }
    if let Some(pool) = topology.pool() {
        give("pool", pool.fqdn.to_string());
        for server in &pool.servers {
            give("site", format!("{}={}", server.site, server.fqdn));
            if server.is_active_after_failover {
                give("active-after-failover", server.fqdn.to_string());
            }
        }
    }
    arguments
}

/// Runs `pcdr discover` with these arguments, over the stage's own network.
async fn discover(stage: &Stage, arguments: &[String]) -> Discovered {
    let password = stage.stand_in.password_file.display().to_string();
    let ca_file = stage.stand_in.ca_file.display().to_string();
    let connect = ["--login", "pcdr", "--password-file", &password, "--ca-file", &ca_file];
    let words = ["pcdr", "discover"].into_iter().chain(connect);
    let words = words.chain(arguments.iter().map(String::as_str));
    let command = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).command;
    let Command::Discover(wanted) = command else { panic!("another command") };
    let connection = wanted.login.connection().unwrap_or_else(|failure| panic!("{failure:?}"));
    let options = FleetOptions { dialer: stage.dialer(), ..FleetOptions::default() };
    let surveys = discover::survey(&wanted.instances, &connection, &options, |_| {}).await;
    let surveys = surveys.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
    let taken_at = Timestamp::from_unix_millis(1_772_361_900_000);
    let found =
        pcdr_core::discover::discover(&discover::given(&wanted, connection, surveys, taken_at));
    for finding in &found.findings {
        stage.note(&finding.to_string());
    }
    stage.note(found.file.as_deref().unwrap_or_default());
    found
}

/// A topology as a list of what it says, without what no instance tells and nobody is asked for: the links.
fn said(topology: &Topology) -> Vec<String> {
    let plain = |folder: &str| folder.trim_end_matches(['\\', '/']).to_owned();
    let unc = |name: &ShareName| ShareName::from(plain(&topology.share(name).unwrap().unc));
    let mut said: Vec<String> = Vec::new();
    for instance in topology.instances() {
        let mut instance = instance.clone();
        instance.data_directory = instance.data_directory.as_deref().map(plain);
        said.push(format!("{instance:?}"));
    }
    let databases: BTreeSet<_> = topology.databases().iter().collect();
    said.push(format!("{databases:?}"));
    let shares: BTreeMap<String, Share> = topology
        .shares()
        .map(|share| (plain(&share.unc), Share { name: unc(&share.name), ..share.clone() }))
        .collect();
    said.push(format!("{shares:?}"));
    let mut log_shipping: LogShipping = topology.log_shipping().clone();
    log_shipping.backup_share = unc(&log_shipping.backup_share);
    for secondary in &mut log_shipping.secondaries {
        secondary.copy_share = unc(&secondary.copy_share);
    }
    said.push(format!("{log_shipping:?}"));
    said.push(format!("{:?} {:?}", topology.mirroring(), topology.connection()));
    let pool = topology.pool().cloned().map(|mut pool| {
        pool.servers.sort_by(|a, b| a.fqdn.cmp(&b.fqdn));
        pool
    });
    said.push(format!("{pool:?} {:?}", topology.management_shell()));
    let sites: Vec<_> = topology.sites().collect();
    said.push(format!("{sites:?}"));
    said
}

/// Discovers the stage, and proves that nothing is lost and nothing would change.
async fn round_trip(stage: &Stage, seed: u64) {
    let found = discover(stage, &arguments(stage)).await;
    let file = found.file.clone().unwrap_or_else(|| panic!("seed {seed}: {:?}", found.findings));
    let told: Vec<_> = found.findings.iter().filter(|f| f.code.kind() != Kind::Note).collect();
    assert!(told.is_empty(), "seed {seed}: {told:?}\n{file}");
    assert!(found.is_complete() && !found.is_nothing_there, "seed {seed}");
    let (topology, connected) = stage.reconnect(|_| file.clone());
    for (designed, discovered) in said(stage.topology()).into_iter().zip(said(&topology)) {
        assert_eq!(designed, discovered, "seed {seed}\n{file}");
    }
    assert_eq!(said(stage.topology()).len(), said(&topology).len(), "seed {seed}\n{file}");
    let seen = observe(&topology, &connected.ports, "test", None).await;
    let differences = drift(&topology, &seen);
    assert!(differences.is_empty(), "seed {seed}: {differences:?}\n{file}");
    let made = plan::make(Intent::Configure, &topology, &connected.ports, &[]).await;
    let (made, _) = made.unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.text(false)));
    assert!(made.steps.is_empty(), "seed {seed}: {:?}\n{file}", made.steps);
}

#[test]
fn the_example_is_discovered_as_it_was_configured() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        round_trip(&stage, 0).await;
        stage.told_no_secret();
    });
}

#[test]
fn every_drawn_topology_is_discovered_as_it_was_configured() {
    let from_environment = std::env::var("PCDR_SEED").ok().map(|seed| seed.parse().unwrap());
    let seeds: Vec<u64> = from_environment.map_or_else(|| (1..=8).collect(), |seed| vec![seed]);
    let drawn: Vec<(u64, String)> =
        seeds.iter().map(|seed| (*seed, draw::topology(&mut Random(*seed)))).collect();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    for (_, text) in &drawn {
        met.extend(meets(&Topology::parse(text).unwrap()));
    }
    // Nothing tells of the mirror and the witness of a secondary: the example has one of them.
    let wanted = Role::ALL.len() - 2 + SITUATIONS;
    assert!(from_environment.is_some() || met.len() == wanted, "met only {met:?}");
    for (seed, text) in &drawn {
        println!("seed {seed}: PCDR_SEED={seed} replays it");
        virtually(async {
            let stage = configured(text).await;
            round_trip(&stage, *seed).await;
        });
    }
}

const SITUATIONS: usize = 11;

/// Which roles and situations a topology has.
fn meets(topology: &Topology) -> Vec<&'static str> {
    let settings = topology.log_shipping();
    let second = &settings.secondaries[0];
    let situations: [(&str, bool); SITUATIONS] = [
        ("several databases", topology.databases().len() > 1),
        ("a hostile database", topology.databases().iter().any(|d| d.as_str().contains('\''))),
        ("a named instance", topology.instances().any(|i| i.instance.is_some())),
        ("a local backup folder", settings.backup_directory.is_some()),
        ("a local copy folder", topology.copy_share().unc.starts_with('D')),
        ("folders of its own", topology.secondary().data_directory.is_some()),
        ("standby", second.restore_mode == RestoreMode::Standby),
        ("disconnected users", second.disconnect_users),
        ("a delay", second.restore_delay_minutes > 0),
        ("days and hours", settings.backup_schedule.to_string().contains(" from ")),
        ("no alert", !settings.raises_backup_alert),
    ];
    let situations = situations.into_iter().filter(|(_, met)| *met).map(|(what, _)| what);
    let roles = Role::ALL.into_iter().filter(|role| topology.role(*role).is_some());
    situations.chain(roles.map(Role::as_str)).collect()
}
