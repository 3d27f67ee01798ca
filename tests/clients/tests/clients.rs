//! One line for each check of each client; `cargo xtask clients` installs the clients and runs them.
#![allow(clippy::print_stdout, reason = "where the transcripts are belongs to the test's output")]

use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use pcdr_clients_by_others::checks::CLIENTS;
use pcdr_clients_by_others::script::{Installed, Reported, Verdict};

/// The folder with the installed clients.
const INSTALLED: &str = "PCDR_CLIENTS";

/// What a check reads of what its client's script reported.
type Look = Box<dyn Fn(&Reported) -> Verdict + Send>;

fn main() {
    let arguments = Arguments::from_args();
    let installed = std::env::var_os(INSTALLED).map(Installed::in_folder);
    let mut trials = Vec::new();
    for client in &CLIENTS {
        // The first check that runs starts the script, the others read what it reported.
        let run: Arc<OnceLock<Result<Reported, String>>> = Arc::default();
        let mut ask = |name: String, look: Look| {
            let (run, installed) = (Arc::clone(&run), installed.clone());
            let trial = Trial::test(name, move || {
                let Some(installed) = &installed else {
                    return Err(Failed::from(format!(
                        "the folder with the clients is needed in {INSTALLED}; \
                         run cargo xtask clients, which installs them and sets it"
                    )));
                };
                let reported =
                    run.get_or_init(|| installed.run(client).map_err(|error| error.to_string()));
                match reported {
                    Ok(reported) => look(reported).map_err(|why| {
                        let transcript = installed.transcript(client);
                        Failed::from(format!("{why}\nTranscript: {}", transcript.display()))
                    }),
                    Err(error) => Err(Failed::from(error.clone())),
                }
            });
            // Needs more than this workspace: left out unless asked for.
            trials.push(trial.with_ignored_flag(true));
        };
        let checks = client.checks();
        for check in &checks {
            let check: &'static str = check;
            ask(format!("{}::{check}", client.name), Box::new(move |said| said.verdict(check)));
        }
        ask(
            format!("{}::reports_nothing_that_was_not_asked_for", client.name),
            Box::new(move |said| match said.unknown(&checks)[..] {
                [] => Ok(()),
                ref unknown => Err(format!("reported as well: {}", unknown.join(", "))),
            }),
        );
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(installed) = &installed {
        for client in &CLIENTS {
            for (check, why) in client.cannot {
                println!("{} is not asked for {check}: {why}", client.name);
            }
            println!(
                "{}: {} checks; transcript: {}",
                client.name,
                client.checks().len(),
                installed.transcript(client).display()
            );
        }
    }
    conclusion.exit();
}
