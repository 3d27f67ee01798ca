//! `pcdr status`: who holds what, and what is unknown.

use std::fmt::Write as _;

use pcdr_core::effect::has_pinged_since_recovery;
use pcdr_core::observation::{DatabaseObservation, InstanceObservation, PoolState};
use pcdr_core::observe::observe_within;
use pcdr_core::status::{Proof, Status, Verdict, judge};
use pcdr_core::{DatabaseName, Known, Observation, ServerName, Timestamp, Topology};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::topology_file::TopologyFile;
use crate::views::{
    DatabaseStatus, DrillStatus, InstanceStatus, LogBackupStatus, PoolStatus, StatusDocument,
};
use crate::{connect, drill, overview, plan, protection_views, store, text};

/// A chat server counts as serving when it pinged within this time.
const PING_SECONDS: u64 = 300;

/// `pcdr status`: looks once, or again and again.
///
/// # Errors
///
/// A topology that cannot be read, or output that nobody takes. What cannot be observed is a result.
pub async fn run(arguments: &args::Status, global: &Global, output: Output) -> Result<u8, Failure> {
    let paths = &global.topology.paths;
    let files = overview::files(paths)?;
    if files.len() > 1 || paths.iter().any(|path| path.is_dir()) {
        return overview::run(&files, arguments, global, output).await;
    }
    let file = TopologyFile::named(global.topology.as_deref())?;
    let connected = connect::to_servers(&file, global)?;
    let (topology, ports) = (&file.topology, &connected.ports);
    let mut before: Option<(Observation, Status)> = None;
    loop {
        // What was read of log backups before is not read again.
        let earlier = before.as_ref().map(|(seen, _)| seen);
        let who = plan::who();
        let seen = observe_within(topology, ports, &who, earlier, arguments.timeout).await;
        let mut judged = judge(topology, &seen, ports.clock.now());
        if let Some((_, earlier)) = &before {
            judged.compare_with(earlier);
        }
        let drills = match ports.store.entries().await {
            Ok(entries) => Ok(drill::last(&entries)),
            Err(error) => Err(error.to_string()),
        };
        let document = document(topology, &judged, seen.clone(), drills);
        let Some(pause) = arguments.watch else {
            output.result(&document, || render(&document, &judged))?;
            return Ok(if arguments.exit_status { exit_status(judged.verdict) } else { 0 });
        };
        if output.json {
            output::print(&output::to_json_line(&document)?)?;
        } else {
            output::print(&format!("{}\n", render(&document, &judged)))?;
        }
        let ended = if arguments.exit_status { exit_status(judged.verdict) } else { 0 };
        before = Some((seen, judged));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ended),
        }
    }
}

/// The verdict as an exit status for monitoring; 1 to 3 keep their meaning.
pub(crate) fn exit_status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Ready => 0,
        Verdict::Attention | Verdict::Unknown => 4,
        Verdict::NotReady => 5,
        Verdict::Alarm => 6,
    }
}

/// The document of an observation.
pub fn document(
    topology: &Topology,
    judged: &Status,
    observation: Observation,
    drills: Result<Vec<DrillStatus>, String>,
) -> StatusDocument {
    let drills_reason = drills.as_ref().err().cloned();
    StatusDocument {
        identity: store::identity(topology),
        taken_at: observation.taken_at.to_string(),
        verdict: judged.verdict.as_str().to_owned(),
        proof: proof(judged.proof).to_owned(),
        findings: judged.findings.iter().map(protection_views::finding).collect(),
        protections: judged.protections.iter().map(protection_views::protection).collect(),
        at_risk: judged.at_risk.iter().map(ToString::to_string).collect(),
        instances: instances(topology, &observation),
        log_backups: topology.databases().iter().map(|d| log_backups(&observation, d)).collect(),
        pool: pool(topology, &observation),
        drills: drills.unwrap_or_default(),
        drills_reason,
        observation,
    }
}

pub(crate) fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Plan => "plan",
        Proof::History => "history",
    }
}

fn instances(topology: &Topology, observation: &Observation) -> Vec<InstanceStatus> {
    let status = |instance: &pcdr_core::topology::Instance| {
        let seen = observation.instance(&instance.name);
        InstanceStatus {
            name: instance.name.to_string(),
            site: instance.site.to_string(),
            role: instance.role.as_str().to_owned(),
            answers: seen.known().is_some(),
            reason: seen.reason().map(ToString::to_string),
            version: seen.known().map(|seen| seen.version.clone()),
            databases: seen.known().map(|seen| databases(seen)).unwrap_or_default(),
        }
    };
    topology.instances().map(status).collect()
}

fn databases(seen: &InstanceObservation) -> Vec<DatabaseStatus> {
    let Known::Known(all) = &seen.databases else { return Vec::new() };
    all.iter().map(|(name, copy)| database(seen, name, copy)).collect()
}

fn database(
    seen: &InstanceObservation,
    name: &DatabaseName,
    copy: &DatabaseObservation,
) -> DatabaseStatus {
    let upper = |text: String| text.to_uppercase();
    let is_primary = seen.log_shipping_primary.known().is_some_and(|all| all.contains_key(name));
    let is_secondary =
        seen.log_shipping_secondary.known().is_some_and(|all| all.contains_key(name));
    let mirroring = match &copy.mirroring {
        Known::Known(None) => None,
        Known::Known(Some(session)) => {
            Some(upper(format!("{:?}, {:?}", session.role, session.state)))
        }
        Known::Unknown(reason) => Some(format!("unknown: {reason}")),
    };
    DatabaseStatus {
        name: name.to_string(),
        state: if copy.is_in_standby {
            "STANDBY".to_owned()
        } else {
            upper(format!("{:?}", copy.state))
        },
        is_writable: copy.is_writable(),
        mirroring,
        log_shipping: match (is_primary, is_secondary) {
            (true, _) => Some("primary".to_owned()),
            (false, true) => Some("secondary".to_owned()),
            (false, false) => None,
        },
        sessions: copy.sessions.known().map(Vec::len),
    }
}

fn log_backups(observation: &Observation, database: &DatabaseName) -> LogBackupStatus {
    let Some(found) = observation.log_backups.get(database) else {
        return LogBackupStatus {
            database: database.to_string(),
            in_share: None,
            copied: None,
            newest: None,
            reason: Some("not observed".to_owned()),
        };
    };
    let folders = [&found.share, &found.copied];
    let newest = folders
        .iter()
        .filter_map(|folder| folder.known())
        .flatten()
        .filter_map(|file| file.header.known())
        .map(|header| header.finished_at)
        .max();
    LogBackupStatus {
        database: database.to_string(),
        in_share: found.share.known().map(Vec::len),
        copied: found.copied.known().map(Vec::len),
        newest: newest.map(|at| at.to_string()),
        reason: folders.iter().find_map(|folder| folder.reason()).map(ToString::to_string),
    }
}

fn pool(topology: &Topology, observation: &Observation) -> Option<PoolStatus> {
    let designed = topology.pool()?;
    let seen = observation.pool.as_ref().and_then(Known::known);
    let state = seen.and_then(|seen| seen.state.known());
    let unknown = || match &observation.pool {
        Some(Known::Unknown(reason)) => Some(reason.to_string()),
        Some(Known::Known(seen)) => seen.state.reason().map(ToString::to_string),
        None => Some("not observed".to_owned()),
    };
    Some(PoolStatus {
        name: designed.fqdn.to_string(),
        state: state.map(|state| format!("{state:?}")),
        reason: unknown(),
        is_configuration_writable: seen
            .and_then(|seen| seen.is_configuration_writable.known().copied()),
        serving: serving(topology, observation, &designed.database, state),
    })
}

/// Servers that pinged a copy that takes writes, lately.
fn serving(
    topology: &Topology,
    observation: &Observation,
    database: &DatabaseName,
    state: Option<&PoolState>,
) -> Vec<String> {
    let Some(state) = state else { return Vec::new() };
    let files = observation.log_backups.get(database);
    let mut serving: Vec<String> = Vec::new();
    for instance in topology.instances() {
        let Known::Known(seen) = observation.instance(&instance.name) else { continue };
        let offset = seen.utc_offset_minutes;
        let copy = observation.database(&instance.name, database);
        let Some(copy) = copy.known().copied().flatten().filter(|copy| copy.is_writable()) else {
            continue;
        };
        // No document says whether a ping's time is local or UTC.
        let is_recent = |at: &Timestamp| {
            let minutes = i64::from(offset) * 60_000;
            let other = Timestamp::from_unix_millis(at.unix_millis().saturating_add(minutes));
            let taken_at = observation.taken_at;
            taken_at.since(*at).as_secs() <= PING_SECONDS
                || taken_at.since(other).as_secs() <= PING_SECONDS
        };
        // Pings that came with a restored log backup were meant for the copy that is left behind.
        let own = |server: &ServerName| {
            *state != PoolState::FailedOver || has_pinged_since_recovery(seen, copy, files, server)
        };
        let pings = copy.server_pings.known().into_iter().flatten();
        let recent = pings.filter(|(server, at)| is_recent(at) && own(server));
        serving.extend(recent.map(|(server, _)| server.to_string()));
    }
    serving.sort_unstable();
    serving.dedup();
    serving
}

/// The document for people.
pub fn render(status: &StatusDocument, judged: &Status) -> String {
    let verdict = status.verdict.replace('_', " ");
    let mut text = format!("Verdict: {verdict}. Seen at {}.\n", status.taken_at);
    for finding in &status.findings {
        let _infallible = writeln!(text, "  - {}: {}", finding.verdict, finding.message);
    }
    for risk in &status.at_risk {
        let _infallible = writeln!(text, "  - a disaster failover now would lose {risk}");
    }
    text.push('\n');
    text.push_str(&protection_views::render(&judged.protections));
    text.push('\n');
    let mut table = text::table([
        "instance",
        "site",
        "role",
        "database",
        "state",
        "mirroring",
        "log shipping",
        "sessions",
    ]);
    for instance in &status.instances {
        let who = [instance.name.clone(), instance.site.clone(), instance.role.clone()];
        let row = |rest: [String; 5]| who.clone().into_iter().chain(rest).collect::<Vec<_>>();
        let dash = || "-".to_owned();
        if !instance.answers {
            table.add_row(row([dash(), "unknown".to_owned(), dash(), dash(), dash()]));
        } else if instance.databases.is_empty() {
            table.add_row(row([dash(), "answers".to_owned(), dash(), dash(), dash()]));
        }
        for database in &instance.databases {
            let writable = if database.is_writable { ", writable" } else { "" };
            table.add_row(row([
                database.name.clone(),
                format!("{}{writable}", database.state),
                database.mirroring.clone().unwrap_or_else(dash),
                database.log_shipping.clone().unwrap_or_else(dash),
                database.sessions.map_or("unknown".to_owned(), |count| count.to_string()),
            ]));
        }
    }
    let _infallible = writeln!(text, "{table}");
    for instance in &status.instances {
        if let Some(reason) = &instance.reason {
            let _infallible = writeln!(text, "{} is unknown: {reason}", instance.name);
        }
    }
    text.push('\n');
    let count = |count: Option<usize>| count.map_or("unknown".to_owned(), |n| n.to_string());
    for backups in &status.log_backups {
        let _infallible = writeln!(
            text,
            "log backups of {}: {} in the share, {} copied, newest {}",
            backups.database,
            count(backups.in_share),
            count(backups.copied),
            backups.newest.as_deref().unwrap_or("unknown"),
        );
        if let Some(reason) = &backups.reason {
            let _infallible = writeln!(text, "  {reason}");
        }
    }
    if let Some(pool) = &status.pool {
        let _infallible = writeln!(
            text,
            "pool {}: {}; serving: {}",
            pool.name,
            pool.state.as_deref().unwrap_or("unknown"),
            if pool.serving.is_empty() { "nobody".to_owned() } else { pool.serving.join(", ") },
        );
        if let Some(reason) = &pool.reason {
            let _infallible = writeln!(text, "  {reason}");
        }
    }
    let databases: Vec<DatabaseName> =
        status.log_backups.iter().map(|of| of.database.as_str().into()).collect();
    match &status.drills_reason {
        Some(reason) => {
            let _infallible = writeln!(text, "what drills proved is unknown: {reason}");
        }
        None => text.push_str(&drill::summary(&databases, &status.drills)),
    }
    text
}
