//! The cases that run: their names, their panics, and those that do not end.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// No single case may take longer, in real time, on a machine that is busy with others.
pub(crate) const LONGEST_CASE: Duration = Duration::from_secs(20);

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The case of each thread and since when it runs.
static RUNNING: LazyLock<Mutex<HashMap<ThreadId, (String, Instant)>>> =
    LazyLock::new(Mutex::default);

static EACH: LazyLock<bool> = LazyLock::new(|| std::env::var_os("PCDR_FUZZ_EACH").is_some());

thread_local! {
    static CASE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Names the case that this thread runs from now on.
pub(crate) fn case(what: String) {
    // What overflows the stack leaves no report.
    if *EACH {
        println!("{what}");
    }
    CASE.with_borrow_mut(|case| case.clone_from(&what));
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    running.insert(std::thread::current().id(), (what, Instant::now()));
}

/// This thread has no case any more.
pub(crate) fn idle() {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&std::thread::current().id());
}

/// Keeps panics instead of printing them, and ends the process, naming the case, when one does not end.
pub(crate) fn prepare() {
    std::panic::set_hook(Box::new(|info| {
        let what = CASE.with_borrow(String::clone);
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        panics.push(format!("{info}\n  case: {what}"));
    }));
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            for (what, since) in running.values() {
                if since.elapsed() > 3 * LONGEST_CASE {
                    eprintln!("fuzz: does not end: {what}");
                    std::process::exit(1);
                }
            }
        }
    });
}

/// Runs one case. A panic is kept by the hook, and the run goes on.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    let ended = catch_unwind(AssertUnwindSafe(run)).ok();
    idle();
    ended
}

/// Everything that panicked; from here on a panic is printed again.
pub(crate) fn panics() -> Vec<String> {
    let _default = std::panic::take_hook();
    std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The panics by their place, each with one case.
pub(crate) fn summary(panics: &[String]) -> String {
    let mut places: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for panic in panics {
        places.entry(panic.lines().next().unwrap_or_default()).or_insert((0, panic)).0 += 1;
    }
    places.values().map(|(count, panic)| format!("{count} × {panic}\n")).collect()
}
