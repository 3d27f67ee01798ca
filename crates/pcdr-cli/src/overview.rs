//! `pcdr status` of several topologies: one round trip an instance, one line a protection, worst first,
//! folded to one screen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use pcdr_core::observe::observe_instances;
use pcdr_core::ports::Ports;
use pcdr_core::status::{Protection, Status, Verdict, judge};
use pcdr_core::{Known, Observation, Timestamp};
use pcdr_sql::TcpDialer;
use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{self, Global};
use crate::connect::{self, SystemClock, Way};
use crate::failure::Failure;
use crate::output::{self, Output};
use crate::protection_views::{self as shown, ProtectionStatus};
use crate::topology_file::TopologyFile;
use crate::views::FindingStatus;
use crate::{plan, status, store, text};

/// Topologies that are looked at side by side; within one, all its instances are.
const SIDE_BY_SIDE: usize = 64;

/// Lines shown when the terminal does not tell its height.
const LINES: usize = 40;

/// `pcdr status --json` of several topologies.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OverviewDocument {
    /// When the first observation began.
    pub taken_at: String,
    /// The worst verdict.
    pub verdict: String,
    /// Instances that were asked, each in one round trip.
    pub instances_asked: usize,
    /// Instances that answered.
    pub instances_answered: usize,
    /// Databases.
    pub databases: usize,
    /// Protections by verdict.
    pub protections_by_verdict: BTreeMap<String, usize>,
    /// Milliseconds from the first request to the last answer.
    pub took_milliseconds: u64,
    /// The topologies, in the order in which they were named.
    pub topologies: Vec<TopologyStatus>,
}

/// One of several topologies.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TopologyStatus {
    /// Its file.
    pub file: String,
    /// What lock and journal go by.
    pub identity: String,
    /// `ready`, `attention`, `unknown`, `not_ready` or `alarm`.
    pub verdict: String,
    /// What the verdict on failover rests on: always `history`, since no log backup was read.
    pub proof: String,
    /// What needs attention, most urgent first.
    pub findings: Vec<FindingStatus>,
    /// Every protection of every database.
    pub protections: Vec<ProtectionStatus>,
    /// Instances that did not answer: name and reason.
    pub not_observed: BTreeMap<String, String>,
}

/// A topology and the way to it.
pub struct Watched {
    /// The topology.
    pub file: TopologyFile,
    /// Connections to its instances.
    pub ports: Ports,
}

/// One look at all of them.
pub struct Overview {
    looked: Vec<Looked>,
    began: Timestamp,
    took: Duration,
}

struct Looked {
    file: PathBuf,
    identity: String,
    status: Status,
    instances: usize,
    not_observed: BTreeMap<String, String>,
}

/// The topology files that the paths name: files as they are, folders with every `*.toml` in them.
///
/// # Errors
///
/// A folder that cannot be listed, or that holds none.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let listed = std::fs::read_dir(path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        });
        let mut found = listed.map_err(|error| Failure::file("be listed", path, &error))?;
        found.retain(|path| {
            path.extension().is_some_and(|ending| ending == "toml") && path.is_file()
        });
        if found.is_empty() {
            return Err(Failure::usage(
                "no_topology",
                format!(
                    "{} was needed to hold topology files, but it has no *.toml",
                    path.display()
                ),
                "Name a folder of topology files, or the files themselves.",
            ));
        }
        found.sort();
        all.extend(found);
    }
    Ok(all)
}

/// `pcdr status` of several topologies: looks once, or again and again.
///
/// # Errors
///
/// A topology that cannot be read, or output that nobody takes. What cannot be observed is a result.
pub async fn run(
    files: &[PathBuf],
    arguments: &args::Status,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let trace = connect::trace(global)?;
    let mut watched = Vec::new();
    for path in files {
        let file = TopologyFile::read(path)?;
        let way = Way {
            dialer: Arc::new(TcpDialer),
            shell: None,
            clock: Arc::new(SystemClock),
            trace: trace.clone(),
            folder: store::folder(global.state.as_deref(), &file.topology)?,
        };
        let ports = connect::connect(&file.topology, &way)?.ports;
        watched.push(Watched { file, ports });
    }
    let mut before: Option<Overview> = None;
    loop {
        let mut seen = look(&watched, arguments.timeout).await;
        if let Some(before) = &before {
            for (now, then) in seen.looked.iter_mut().zip(&before.looked) {
                now.status.compare_with(&then.status);
            }
        }
        let ended = if arguments.exit_status { status::exit_status(seen.verdict()) } else { 0 };
        let lines = if arguments.all { usize::MAX } else { room() };
        let Some(pause) = arguments.watch else {
            output.result(&seen.document(), || seen.render(lines))?;
            return Ok(ended);
        };
        if output.json {
            output::print(&output::to_json_line(&seen.document())?)?;
        } else {
            output::print(&format!("{}\n", seen.render(lines)))?;
        }
        before = Some(seen);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ended),
        }
    }
}

/// Lines that fit on the terminal.
fn room() -> usize {
    terminal_size::terminal_size().map_or(LINES, |(_, height)| usize::from(height.0)).max(10)
}

/// Looks at every topology, many side by side; each instance is asked once, and none is waited for longer
/// than the limit.
pub async fn look(watched: &[Watched], limit: Duration) -> Overview {
    let clock = tokio::time::Instant::now();
    let who = plan::who();
    let looks = watched.iter().map(|Watched { file, ports }| {
        let who = &who;
        async move {
            let seen = observe_instances(&file.topology, ports, who, limit).await;
            Looked::of(file, &seen, ports.clock.now())
        }
    });
    let looked: Vec<Looked> =
        futures_util::stream::iter(looks).buffered(SIDE_BY_SIDE).collect().await;
    let began = looked.iter().map(|one| one.status.observed_at).min();
    let began = began.unwrap_or(Timestamp::from_unix_millis(0));
    Overview { looked, began, took: clock.elapsed() }
}

impl Looked {
    fn of(file: &TopologyFile, seen: &Observation, now: Timestamp) -> Looked {
        let not_observed = seen.instances.iter().filter_map(|(name, seen)| match seen {
            Known::Known(_) => None,
            Known::Unknown(reason) => Some((name.to_string(), reason.to_string())),
        });
        Looked {
            file: file.path.clone(),
            identity: store::identity(&file.topology),
            not_observed: not_observed.collect(),
            instances: seen.instances.len(),
            status: judge(&file.topology, seen, now),
        }
    }
}

/// Protections that are shown in one line: of one topology, one kind and between the same instances, with
/// the same verdict for the same reasons.
struct Line<'a> {
    file: &'a Path,
    worst: &'a Protection,
    count: usize,
}

impl Overview {
    fn verdict(&self) -> Verdict {
        self.looked.iter().map(|one| one.status.verdict).max().unwrap_or(Verdict::Ready)
    }

    fn protections(&self) -> impl Iterator<Item = (&Looked, &Protection)> {
        self.looked.iter().flat_map(|one| one.status.protections.iter().map(move |p| (one, p)))
    }

    fn by_verdict(&self) -> BTreeMap<Verdict, usize> {
        let mut counts: BTreeMap<Verdict, usize> =
            Verdict::ALL.into_iter().map(|verdict| (verdict, 0)).collect();
        for (_, protection) in self.protections() {
            *counts.entry(protection.verdict).or_default() += 1;
        }
        counts
    }

    fn answered(&self) -> (usize, usize) {
        let asked: usize = self.looked.iter().map(|one| one.instances).sum();
        let silent: usize = self.looked.iter().map(|one| one.not_observed.len()).sum();
        (asked, asked - silent)
    }

    fn databases(&self) -> usize {
        let of = |one: &Looked| {
            let mut names: Vec<_> =
                one.status.protections.iter().map(|p| p.database.clone()).collect();
            names.sort();
            names.dedup();
            names.len()
        };
        self.looked.iter().map(of).sum()
    }

    /// For programs.
    pub fn document(&self) -> OverviewDocument {
        let (asked, answered) = self.answered();
        let by_verdict = self.by_verdict();
        OverviewDocument {
            taken_at: self.began.to_string(),
            verdict: self.verdict().as_str().to_owned(),
            instances_asked: asked,
            instances_answered: answered,
            databases: self.databases(),
            protections_by_verdict: by_verdict
                .into_iter()
                .map(|(verdict, count)| (verdict.as_str().to_owned(), count))
                .collect(),
            took_milliseconds: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            topologies: self.looked.iter().map(topology).collect(),
        }
    }

    /// The lines, worst first: of equal verdicts, most bytes at risk first.
    fn lines(&self) -> Vec<Line<'_>> {
        let mut folded: BTreeMap<(usize, String, &str, String), Line<'_>> = BTreeMap::new();
        for (number, looked) in self.looked.iter().enumerate() {
            for protection in &looked.status.protections {
                let key = (
                    number,
                    shown::name(protection),
                    protection.verdict.as_str(),
                    shown::codes(protection),
                );
                let line = folded.entry(key).or_insert(Line {
                    file: &looked.file,
                    worst: protection,
                    count: 0,
                });
                line.count += 1;
                if urgency(protection) > urgency(line.worst) {
                    line.worst = protection;
                }
            }
        }
        let mut lines: Vec<Line<'_>> = folded.into_values().collect();
        lines.sort_by_key(|line| std::cmp::Reverse(urgency(line.worst)));
        lines
    }

    /// For people, in at most so many lines.
    pub fn render(&self, room: usize) -> String {
        // Headings, the line below them, the summary of three lines, and the prompt.
        const AROUND: usize = 7;
        let (asked, answered) = self.answered();
        let mut text = format!(
            "{} of {asked} instances answered, in {:.1} s; {} topologies, {} databases. Seen at {}.\n",
            answered,
            self.took.as_secs_f64(),
            self.looked.len(),
            self.databases(),
            self.began,
        );
        let counts: Vec<String> = self
            .by_verdict()
            .into_iter()
            .rev()
            .map(|(verdict, count)| format!("{count} {}", verdict.as_str().replace('_', " ")))
            .collect();
        let _infallible = writeln!(text, "Protections: {}.", counts.join(", "));
        let lines = self.lines();
        let is_shown = |line: &&Line<'_>| room == usize::MAX || line.worst.verdict > Verdict::Ready;
        let wanted: Vec<&Line<'_>> = lines.iter().filter(is_shown).collect();
        let fitting = room.saturating_sub(AROUND);
        if !wanted.is_empty() {
            let headings =
                ["verdict", "database", "protection", "at risk now", "behind", "why", "topology"];
            let mut table = text::table(headings);
            table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
            for line in wanted.iter().take(fitting) {
                let one = line.worst;
                let database = match line.count {
                    1 => one.database.to_string(),
                    count => format!("{} and {} more", one.database, count - 1),
                };
                let file = line.file.file_stem().unwrap_or(line.file.as_os_str());
                table.add_row([
                    shown::verdict(one),
                    database,
                    shown::name(one),
                    shown::risk_cell(one),
                    shown::lag_cell(one),
                    shown::codes(one),
                    file.to_string_lossy().into_owned(),
                ]);
            }
            let _infallible = writeln!(text, "{table}");
        }
        if wanted.len() > fitting {
            let more = wanted.len() - fitting;
            let _infallible = writeln!(text, "… and {more} more lines: --all shows them.");
        }
        text
    }
}

/// Worse is greater; then more bytes at risk, then unknown bytes.
fn urgency(protection: &Protection) -> (Verdict, u64) {
    let bytes = protection.at_risk.as_ref().map(|risk| risk.bytes.known().copied());
    (protection.verdict, bytes.map_or(0, |bytes| bytes.unwrap_or(u64::MAX)))
}

fn topology(looked: &Looked) -> TopologyStatus {
    let status = &looked.status;
    TopologyStatus {
        file: looked.file.display().to_string(),
        identity: looked.identity.clone(),
        verdict: status.verdict.as_str().to_owned(),
        proof: status::proof(status.proof).to_owned(),
        findings: status.findings.iter().map(shown::finding).collect(),
        protections: status.protections.iter().map(shown::protection).collect(),
        not_observed: looked.not_observed.clone(),
    }
}
