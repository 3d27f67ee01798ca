//! Steps with their names, times and outcomes.

use std::time::Instant;

use xshell::Cmd;

/// One line when a check holds; otherwise the problems, one per line.
pub(crate) type Checked = Result<String, String>;

/// The steps of one chore. Every step runs, so that one look shows everything that is wrong.
pub(crate) struct Report {
    started: Instant,
    /// Name of each failed step, and the command that repeats it.
    failed: Vec<(String, String)>,
    done: usize,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), failed: Vec::new(), done: 0 }
    }

    /// Runs one check of our own; `repeat` is the command that runs it again. Says whether it held.
    pub(crate) fn check(
        &mut self,
        name: &str,
        repeat: &str,
        check: impl FnOnce() -> Checked,
    ) -> bool {
        println!("--> {name}");
        let started = Instant::now();
        let outcome = check();
        let seconds = started.elapsed().as_secs_f64();
        self.done += 1;
        match outcome {
            Ok(summary) => {
                println!("<-- {name}: ok in {seconds:.1} s{}", after_colon(&summary));
                true
            }
            Err(problems) => {
                println!("{problems}");
                println!("<-- {name}: FAILED after {seconds:.1} s; repeat with: {repeat}");
                self.failed.push((name.to_owned(), repeat.to_owned()));
                false
            }
        }
    }

    /// Runs one command with its output going straight to the terminal.
    pub(crate) fn command(&mut self, name: &str, command: Cmd<'_>) -> bool {
        let repeat = command.to_string();
        self.command_repeated_by(name, &repeat, command)
    }

    /// The same for a command that its own text does not repeat, because of its environment.
    pub(crate) fn command_repeated_by(
        &mut self,
        name: &str,
        repeat: &str,
        command: Cmd<'_>,
    ) -> bool {
        self.check(name, repeat, || {
            command.quiet().run().map(|()| String::new()).map_err(|error| error.to_string())
        })
    }

    /// Prints what failed and says whether nothing did.
    pub(crate) fn finish(self) -> bool {
        let seconds = self.started.elapsed().as_secs_f64();
        println!();
        if self.failed.is_empty() {
            println!("{} steps ok in {seconds:.1} s", self.done);
            return true;
        }
        println!("{} of {} steps FAILED in {seconds:.1} s:", self.failed.len(), self.done);
        for (name, repeat) in &self.failed {
            println!("  {name}: repeat with: {repeat}");
        }
        false
    }
}

fn after_colon(summary: &str) -> String {
    if summary.is_empty() { String::new() } else { format!(": {summary}") }
}
