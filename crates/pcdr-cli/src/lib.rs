//! The `pcdr` command: arguments in, text or one JSON object out.
//!
//! Nothing is decided here: plans and refusals come from `pcdr-core`, which this crate connects to
//! servers, to a person and to the stand-ins.

pub mod args;
pub mod configure;
pub mod connect;
pub mod discover;
pub mod drill;
pub mod failure;
pub mod meter;
pub mod output;
pub mod over_links;
pub mod overview;
pub mod person;
pub mod plan;
pub mod preflight;
pub mod protection_views;
pub mod rehearse;
pub mod rights;
pub mod runbook;
pub mod sim;
pub mod sim_shell;
pub mod status;
pub mod store;
pub mod text;
pub mod topology_file;
pub mod views;
pub mod watch;
pub mod workload;
pub mod world;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use failure::Failure;
use output::Output;
use topology_file::TopologyFile;

/// Reads the arguments, does what they say, and tells how it ended.
///
/// Exit status: 0 done or nothing to do, 1 error, 2 usage or invalid topology, 3 refused.
pub fn main() -> ExitCode {
    let arguments = match Cli::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    log_to_stderr(arguments.global.verbose);
    let output = Output { json: arguments.global.json };
    match run(arguments, output) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => tell(&failure, output),
    }
}

/// Help and version are results; anything else is a wrong call.
fn misused(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _closed = error.print();
        return ExitCode::SUCCESS;
    }
    let asked_for_json = std::env::args_os().any(|argument| argument == "--json");
    if asked_for_json {
        let remedy = "Run the command with --help.";
        let failure = Failure::usage("usage", error.to_string().trim().to_owned(), remedy);
        return tell(&failure, Output { json: true });
    }
    let _closed = error.print();
    ExitCode::from(2)
}

fn tell(failure: &Failure, output: Output) -> ExitCode {
    if matches!(failure, Failure::OutputClosed) {
        return ExitCode::SUCCESS;
    }
    if output.json {
        // Whoever reads JSON reads standard output; one that is closed has nobody to tell.
        let _told = output.result(&failure.document(), String::new);
    } else {
        output::complain(&failure.text(output::stderr_is_terminal()));
    }
    ExitCode::from(failure.exit_status())
}

/// Events go to standard error, never among results.
fn log_to_stderr(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = std::env::var("PCDR_LOG")
        .ok()
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| {
            EnvFilter::new(format!(
                "off,pcdr_cli={level},pcdr_sql={level},pcdr_skype={level},pcdr_sim={level}"
            ))
        });
    let colours = output::stderr_is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    let _already_set = subscriber.try_init();
}

fn run(arguments: Cli, output: Output) -> Result<u8, Failure> {
    let Cli { global, command } = arguments;
    if global.topology.paths.len() > 1 && !matches!(command, Command::Status(_)) {
        return Err(Failure::usage(
            "several_topologies",
            format!("one topology was needed, but {} were named", global.topology.paths.len()),
            "Name one: only status takes several.",
        ));
    }
    match command {
        Command::Validate => {
            let file = TopologyFile::named(global.topology.as_deref())?;
            output.result(&file.document(), || file.summary())?;
            Ok(0)
        }
        Command::Discover(wanted) => {
            several_threads()?.block_on(discover::run(&wanted, &global, output))
        }
        Command::SimShell(shell) => several_threads()?.block_on(sim_shell::run(&shell)),
        Command::Schema { what } => {
            output::print(&output::to_json(&views::schema(what))?)?;
            Ok(0)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pcdr", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(0)
        }
        Command::Status(wanted) => {
            several_threads()?.block_on(status::run(&wanted, &global, output))
        }
        Command::Preflight(wanted) => {
            several_threads()?.block_on(preflight::run(&wanted, &global, output))
        }
        Command::Rights(wanted) => rights::run(&wanted, &global, output),
        Command::Plan { intent } => {
            let ((wanted, planned), place) = (intent.wanted(), intent.place());
            several_threads()?.block_on(plan::plan(wanted, planned, &place, &global, output))
        }
        Command::Runbook { intent } => {
            let ((wanted, planned), place) = (intent.wanted(), intent.place());
            several_threads()?.block_on(plan::runbook(wanted, planned, &place, &global, output))
        }
        Command::Configure(wanted) => {
            several_threads()?.block_on(configure::run(&wanted, &global, output))
        }
        Command::Apply(wanted) => {
            several_threads()?.block_on(plan::apply(&wanted, &global, output))
        }
        Command::Drill(wanted) => several_threads()?.block_on(drill::run(&wanted, &global, output)),
        Command::Sim(wanted) => several_threads()?.block_on(sim::run(&wanted, &global)),
        Command::Rehearse(wanted) => rehearse::run(&wanted, &global, output),
    }
}

fn several_threads() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::failed(
            "runtime",
            format!("threads were needed, but: {error}"),
            "Free some memory.",
        )
    })
}
