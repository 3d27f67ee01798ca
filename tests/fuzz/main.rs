//! What no client sends, no file holds and no operator writes: nothing panics, nothing grows.
//!
//! Packets over a pipe into a served engine, statements into its sessions, backup files into its
//! reader, and documents into pcdr's own. A run is one seed; the seed is printed, `PCDR_SEED` repeats
//! it, `PCDR_FUZZ_CASES` says how many cases there are, and `PCDR_FUZZ_EACH=1` names each before it runs. `cargo xtask fuzz` builds this with
//! optimisation and with every check for overflow left in.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the seed and the figures of a run")]

mod bytes;
mod documents;
mod files;
mod grammar;
mod packets;
mod statements;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pcdr_tests::Random;

/// Cases of a run that nobody sized: small enough for a build without optimisation.
const CASES: u64 = 6_000;
/// A run is cut into rounds; each builds its worlds anew, so that what a server keeps by right (its log,
/// its history) goes with the world that kept it.
const ROUNDS: u64 = 25;
/// Rounds after which allocator and caches have taken what they need.
const WARM_UP: u64 = 10;
/// Growth of the resident size that the allocator's own fragments explain, in MiB: 1,000,000 cases of
/// which each lost 40 bytes would be more.
const GROWTH_MIB: f64 = 32.0;
/// No single case may take longer, in real time, on a machine that is busy with others.
const LONGEST_CASE: Duration = Duration::from_secs(20);

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The case that runs and since when, for the report of its panic.
static CASE: Mutex<Option<(String, Instant)>> = Mutex::new(None);

/// Names the case that runs from now on.
pub(crate) fn case(what: impl Into<String>) {
    let what = what.into();
    // What overflows the stack leaves no report.
    if std::env::var_os("PCDR_FUZZ_EACH").is_some() {
        println!("{what}");
    }
    *CASE.lock().unwrap() = Some((what, Instant::now()));
}

fn current() -> (String, Instant) {
    CASE.lock().unwrap().clone().unwrap_or_else(|| (String::new(), Instant::now()))
}

/// Ends the process, naming the case, when one does not end.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let (what, since) = current();
        if since.elapsed() > 3 * LONGEST_CASE {
            eprintln!("fuzz: does not end: {what}");
            std::process::exit(1);
        }
    }
}

/// What was done, and how often something happened that shows that the cases get anywhere.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) statements: u64,
    pub(crate) files: u64,
    pub(crate) documents: u64,
    pub(crate) sometimes: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.sometimes.entry(what).or_default() += 1;
    }
}

/// Runs one case. A panic is kept by the hook, and the run goes on.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// The resident size of this process in MiB; `None` where the system does not tell.
/// Source: proc(5), `/proc/pid/statm`, second field, in pages of 4 KiB on x86-64.
fn resident_mib() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0 / f64::from(1 << 20))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn no_packet_statement_file_or_document_panics_or_grows_the_process() {
    let seed = number("PCDR_SEED", 0x5EED);
    let cases = number("PCDR_FUZZ_CASES", CASES);
    println!("PCDR_SEED={seed} PCDR_FUZZ_CASES={cases}");
    std::thread::spawn(watch);
    std::panic::set_hook(Box::new(|info| {
        let (what, _) = current();
        PANICS.lock().unwrap().push(format!("{info}\n  case: {what}"));
    }));
    let mut tally = Tally::default();
    let mut after_warm_up = None;
    let mut random = Random(seed);
    for round in 0..ROUNDS {
        if round == WARM_UP {
            after_warm_up = resident_mib();
        }
        let share = |percent: u64| (cases * percent / 100 / ROUNDS).max(1);
        let mut own = || Random(random.below(u64::MAX));
        packets::round(&mut own(), share(60), &mut tally);
        statements::round(&mut own(), share(30), &mut tally);
        files::round(&mut own(), share(2), &mut tally);
        documents::round(&mut own(), share(8), &mut tally);
    }
    let _default = std::panic::take_hook();
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    let (before, after) = (after_warm_up.unwrap_or(f64::NAN), resident_mib().unwrap_or(f64::NAN));
    println!("fuzz: sometimes {:?}", tally.sometimes);
    println!(
        "fuzz: {} packets, {} statements, {} files, {} documents, {} panics, memory {before:.0} → {after:.0} MiB",
        tally.packets,
        tally.statements,
        tally.files,
        tally.documents,
        panics.len(),
    );
    assert!(panics.is_empty(), "PCDR_SEED={seed}\n{}", summary(&panics));
    if !before.is_nan() {
        assert!(
            after - before < GROWTH_MIB,
            "PCDR_SEED={seed}: memory grew {before} → {after} MiB"
        );
    }
    for what in [
        "logged in",
        "answered with rows",
        "attention acknowledged",
        "transaction begun",
        "connection closed as malformed",
        "statement succeeded",
        "statement refused while compiling",
        "statement failed while running",
        "nesting refused",
        "cancelled",
        "file restored",
        "file refused",
        "topology read",
        "observation planned",
        "observation refused",
    ] {
        assert!(tally.sometimes.contains_key(what), "never: {what}; {:?}", tally.sometimes);
    }
}

/// The panics by their place, each with one case.
fn summary(panics: &[String]) -> String {
    let mut places: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for panic in panics {
        places.entry(panic.lines().next().unwrap_or_default()).or_insert((0, panic)).0 += 1;
    }
    places.values().map(|(count, panic)| format!("{count} × {panic}\n")).collect()
}
