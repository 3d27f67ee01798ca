//! One client's script, run as a process of its own, and what it said about each check.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::checks::{Client, Language};
use crate::stand_in::{Failure, StandIn};

/// Time that a script has for all of its checks together.
const LIMIT: Duration = Duration::from_secs(180);

/// Where the clients are: what `cargo xtask clients` has installed.
#[derive(Debug, Clone)]
pub struct Installed {
    folder: PathBuf,
}

/// Whether a check held; otherwise why not.
pub type Verdict = Result<(), String>;

/// What a script reported.
#[derive(Debug)]
pub struct Reported {
    verdicts: BTreeMap<String, Verdict>,
    /// How the script ended, for the checks that it did not come to.
    ended: String,
}

impl Reported {
    /// The verdict on a check. A check that was not reported has failed.
    pub fn verdict(&self, check: &str) -> Verdict {
        self.verdicts
            .get(check)
            .cloned()
            .unwrap_or_else(|| Err(format!("the script never came to it; {}", self.ended)))
    }

    /// Checks that were reported and that nobody asked for.
    pub fn unknown(&self, known: &[&str]) -> Vec<&str> {
        self.verdicts.keys().map(String::as_str).filter(|name| !known.contains(name)).collect()
    }
}

impl Installed {
    /// The clients in this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Installed {
        Installed { folder: folder.into() }
    }

    /// Where a client's transcript is written.
    pub fn transcript(&self, client: &Client) -> PathBuf {
        self.folder.join("transcripts").join(format!("{}.txt", client.name))
    }

    /// Runs a client's script against a stand-in of its own.
    ///
    /// # Errors
    ///
    /// The stand-in does not start, or the script cannot be started.
    pub fn run(&self, client: &Client) -> Result<Reported, Failure> {
        let stand_in = StandIn::start()?;
        let transcript = self.transcript(client);
        if let Some(folder) = transcript.parent() {
            fs::create_dir_all(folder)?;
        }
        let output = File::create(&transcript)?;
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut command = match client.language {
            Language::Python => {
                let mut command = Command::new(self.folder.join("venv/bin/python"));
                // Compiled files do not belong into the source.
                command.arg("-B").env("PYTHONIOENCODING", "utf-8");
                command
            }
            Language::JavaScript => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", self.folder.join("node_modules"));
                command
            }
        };
        command
            .arg(scripts.join(client.script))
            .args(client.arguments)
            .envs(stand_in.environment())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .current_dir(stand_in.folder())
            .stdin(Stdio::null())
            // One file for both, so that what went wrong stands where it went wrong.
            .stderr(output.try_clone()?)
            .stdout(output);
        let ended = wait(&mut command)?;
        let said = fs::read(&transcript)?;
        Ok(Reported { verdicts: verdicts(&String::from_utf8_lossy(&said)), ended })
    }
}

/// Runs a command to its end, or to the end of its time.
fn wait(command: &mut Command) -> Result<String, Failure> {
    let mut child = command.spawn()?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(words(status));
        }
        if started.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(format!("it was stopped after {} s", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn words(status: ExitStatus) -> String {
    match status.success() {
        true => "it ended by itself".to_owned(),
        false => format!("it ended with {status}"),
    }
}

/// Reads the lines `ok NAME` and `FAILED NAME: WHY`. A check that is reported twice holds only if it
/// did both times.
fn verdicts(said: &str) -> BTreeMap<String, Verdict> {
    let mut verdicts: BTreeMap<String, Verdict> = BTreeMap::new();
    for line in said.lines() {
        let (name, verdict) = if let Some(name) = line.strip_prefix("ok ") {
            (name, Ok(()))
        } else if let Some(rest) = line.strip_prefix("FAILED ") {
            let (name, why) = rest.split_once(": ").unwrap_or((rest, "no reason given"));
            (name, Err(why.to_owned()))
        } else {
            continue;
        };
        let known = verdicts.entry(name.to_owned()).or_insert(Ok(()));
        if known.is_ok() {
            *known = verdict;
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_not_reported_has_failed() {
        let reported = Reported {
            verdicts: verdicts("-- one\nok one\nFAILED two: 4060 was needed\nnot ok three\n"),
            ended: "it ended by itself".to_owned(),
        };
        assert_eq!(reported.verdict("one"), Ok(()));
        assert_eq!(reported.verdict("two"), Err("4060 was needed".to_owned()));
        assert!(reported.verdict("three").unwrap_err().contains("never came to it"));
        assert_eq!(reported.unknown(&["one"]), ["two"]);
    }

    #[test]
    fn a_later_success_does_not_hide_a_failure() {
        let verdicts = verdicts("FAILED one: no\nok one\n");
        assert_eq!(verdicts["one"], Err("no".to_owned()));
    }
}
