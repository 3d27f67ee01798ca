//! Progress of a run, for people, and its steps' times, for everybody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use pcdr_core::ports::Clock;
use pcdr_core::run::Watcher;
use pcdr_core::time::readable;
use pcdr_core::{InstanceError, Step, StepId, Timestamp};

use crate::output;
use crate::views::StepResult;

/// Shows running steps on standard error, when it is a terminal, and notes their times.
pub struct Watch {
    clock: Arc<dyn Clock>,
    began: Timestamp,
    bars: MultiProgress,
    /// Whether each ended step is told as a line, where no bars can be shown.
    lines: bool,
    cancelled: Arc<AtomicBool>,
    /// What is left of the run, below the running steps.
    rest: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<StepId, (Timestamp, ProgressBar)>,
    ended: Vec<StepResult>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Watch {
    /// A watcher that tells times by this clock. `quiet` shows nothing at all.
    pub fn new(clock: Arc<dyn Clock>, quiet: bool) -> Watch {
        let terminal = output::stderr_is_terminal() && !quiet;
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let rest = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
        let rest = bars.add(rest);
        if let Ok(style) = ProgressStyle::with_template("  {msg}") {
            rest.set_style(style);
        }
        Watch {
            began: clock.now(),
            clock,
            bars,
            rest,
            lines: !terminal && !quiet,
            cancelled: Arc::default(),
            state: Mutex::default(),
        }
    }

    /// Set it to stop the run.
    pub fn cancellation(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    /// Steps in the order in which they ended.
    pub fn steps(&self) -> Vec<StepResult> {
        self.state().ended.clone()
    }

    /// Since the watcher was made.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since(self.began)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: &str) {
        if self.lines {
            output::complain(&format!("{line}\n"));
        } else {
            let _hidden = self.bars.println(line);
        }
    }
}

impl Watcher for Watch {
    fn started(&self, step: &Step) {
        let bar = self.bars.insert_before(&self.rest, ProgressBar::new(100));
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(format!("{:>3}", step.id.0));
        bar.set_message(step.to_string());
        bar.tick();
        self.state().running.insert(step.id, (self.clock.now(), bar));
    }

    fn progressed(&self, step: &Step, percent: f32, detail: &str) {
        if let Some((_, bar)) = self.state().running.get(&step.id) {
            bar.set_message(format!("{step}: {percent:.0} % {detail}"));
            bar.tick();
        }
    }

    fn ended(&self, step: &Step, result: Result<(), &InstanceError>) {
        let now = self.clock.now();
        let running = self.state().running.remove(&step.id);
        let started = running.as_ref().map_or(now, |(started, _)| *started);
        if let Some((_, bar)) = running {
            bar.finish_and_clear();
        }
        let took = now.since(started);
        let outcome = if result.is_ok() { "done" } else { "failed" };
        let number = step.id.0;
        self.tell(&match result {
            Ok(()) => format!("{number:>4}. {step}: {} ms", took.as_millis()),
            Err(error) => format!("{number:>4}. {step}: FAILED: {error}"),
        });
        self.state().ended.push(StepResult {
            step: number,
            action: step.to_string(),
            source: step.source.to_string(),
            outcome: outcome.to_owned(),
            started: started.since(self.began).as_secs_f64(),
            took: took.as_secs_f64(),
        });
    }

    fn remains(&self, at_least: Duration) {
        if at_least.is_zero() {
            self.rest.finish_and_clear();
        } else {
            self.rest.set_message(format!("at least {} left", readable(at_least)));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
