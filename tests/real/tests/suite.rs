//! Every check, on the stand-in or on the servers that the environment names.
//!
//! A program of its own instead of `#[test]` functions: only the servers know which checks they allow, and
//! a check that was not made must not count as one that held.
#![allow(clippy::print_stdout, reason = "what a test run says is its result")]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use pcdr_real::survey::Survey;
use pcdr_real::{Check, Ground, checks, scratch};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let ground = match Ground::from_environment() {
        Ok(ground) => ground,
        Err(mistake) => return refuse(&mistake),
    };
    if arguments.list {
        let trials = checks::all().map(|check| trial(check, &ground, None)).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    println!("\nrun {} on {}", scratch::run_id(), ground.describe());
    let survey = match Survey::of(&ground) {
        Ok(survey) => survey,
        Err(why) => return refuse(&why),
    };
    for server in &survey.servers {
        println!("  {server}");
    }
    if ground.is_shared() {
        arguments.test_threads = Some(1);
    }
    let skipped: Vec<(&Check, String)> =
        checks::all().filter_map(|check| Some((check, survey.skips(check)?))).collect();
    let why = |check: &Check| skipped.iter().find(|(other, _)| other.name == check.name);
    let mut trials: Vec<Trial> =
        checks::all().map(|check| trial(check, &ground, why(check).map(|(_, why)| why))).collect();
    // The stand-in claims to be able to do everything that a check may need.
    let not_made: Vec<&str> = skipped.iter().map(|(check, _)| check.name).collect();
    if !ground.is_shared() {
        let not_made = format!("{not_made:?}");
        let nothing = skipped.is_empty();
        trials.push(Trial::test("the_stand_in_skips_nothing", move || {
            if nothing { Ok(()) } else { Err(Failed::from(not_made)) }
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for (check, why) in &skipped {
        println!("SKIPPED {}: {why}", check.name);
    }
    println!(
        "{} checks, {} skipped by what the servers said",
        checks::all().count(),
        skipped.len()
    );
    conclusion.exit_code()
}

fn trial(check: &'static Check, ground: &Ground, skipped: Option<&String>) -> Trial {
    let ground = ground.clone();
    let trial = Trial::test(check.name, move || check.run_on(&ground).map_err(Failed::from));
    trial.with_ignored_flag(skipped.is_some())
}

fn refuse(why: &str) -> ExitCode {
    println!("the suite cannot run: {why}");
    ExitCode::FAILURE
}
