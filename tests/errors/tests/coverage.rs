//! Every known error is provoked by a scenario, or its absence has a reason.
#![allow(clippy::unwrap_used, missing_docs)]
#![allow(clippy::print_stdout, reason = "the counts are part of what the test says")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pcdr_errors::facts::{ErrorFact, errors, not_supported};
use pcdr_errors::scenario::{Scenario, files, parse};
use pcdr_errors::stage::{Heard, Stage, virtually};

/// A scenario that takes longer is named with its duration.
const SLOW: std::time::Duration = std::time::Duration::from_secs(1);

fn scenarios() -> Vec<Scenario> {
    parse(&files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")))
}

#[test]
fn every_number_stands_in_a_scenario_or_in_the_list_of_what_is_left_out() {
    let known: BTreeSet<i32> = errors().into_keys().collect();
    let played: BTreeSet<i32> = scenarios().iter().map(|scenario| scenario.number).collect();
    let mut left_out = BTreeSet::new();
    for group in not_supported() {
        assert!(!group.numbers.is_empty(), "`{}` names no number", group.reason);
        for number in group.numbers {
            assert!(left_out.insert(number), "{number} is left out twice");
        }
    }
    let both: Vec<&i32> = played.intersection(&left_out).collect();
    let all: BTreeSet<i32> = played.union(&left_out).copied().collect();
    let neither: Vec<&i32> = known.difference(&all).collect();
    let unknown: Vec<&i32> = all.difference(&known).collect();
    println!("{} errors: {} provoked, {} left out", known.len(), played.len(), left_out.len());
    assert!(both.is_empty(), "provoked and left out: {both:?}");
    assert!(neither.is_empty(), "neither provoked nor left out: {neither:?}");
    assert!(unknown.is_empty(), "not in errors.json: {unknown:?}");
}

/// What an error is sent as has to be what is known of it.
fn judge(
    heard: &Heard,
    facts: &BTreeMap<i32, ErrorFact>,
    left_out: &BTreeSet<i32>,
) -> Result<(), String> {
    for message in &heard.messages {
        let Some(fact) = facts.get(&message.number) else {
            continue;
        };
        if left_out.contains(&fact.number) {
            return Err(format!("{} is in the list of what is left out: {message}", fact.number));
        }
        if message.severity != fact.severity {
            return Err(format!("{message}: known with severity {}", fact.severity));
        }
        if !message.text.to_lowercase().contains(&fact.key_words.to_lowercase()) {
            return Err(format!("{message}: lacks the words `{}`", fact.key_words));
        }
    }
    Ok(())
}

async fn play(
    scenario: &Scenario,
    facts: &BTreeMap<i32, ErrorFact>,
    left_out: &BTreeSet<i32>,
) -> Result<(), String> {
    let mut stage = Stage::new();
    let mut raised = false;
    for step in &scenario.steps {
        let heard = stage.check(step).await?;
        judge(&heard, facts, left_out)?;
        let expected = step.fails.iter().chain(&step.says).any(|n| *n == scenario.number);
        raised |= (expected || step.text.starts_with("log "))
            && heard.messages.iter().any(|message| message.number == scenario.number);
    }
    if raised { Ok(()) } else { Err("never expects its own number".to_owned()) }
}

fn answered_as_they_say(file: &str) {
    let facts = errors();
    let left_out: BTreeSet<i32> =
        not_supported().into_iter().flat_map(|group| group.numbers).collect();
    let only = std::env::var("PCDR_SCENARIO").ok().and_then(|number| number.parse::<i32>().ok());
    let all = scenarios();
    let mut wrong = Vec::new();
    let mut count = 0;
    let wanted =
        |one: &&Scenario| one.file == file && only.is_none_or(|number| one.number == number);
    for scenario in all.iter().filter(wanted) {
        count += 1;
        let began = std::time::Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            virtually(play(scenario, &facts, &left_out))
        }));
        let took = began.elapsed();
        if took > SLOW {
            println!("{} {}: {took:?}", scenario.number, scenario.title);
        }
        let told = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(told)) => told,
            Err(panic) => panic
                .downcast_ref::<String>()
                .cloned()
                .unwrap_or_else(|| "the scenario panicked".to_owned()),
        };
        wrong.push(format!("{} {} ({})\n  {told}", scenario.number, scenario.title, scenario.file));
    }
    println!("{file}: {count} scenarios");
    assert!(wrong.is_empty(), "{} of {count} go wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! played {
    ($($name:ident: $file:literal;)*) => {
        $(#[test]
        fn $name() {
            answered_as_they_say($file);
        })*

        const FILES: &[&str] = &["00_given.txt", $($file),*];
    };
}

played! {
    backups_are_answered_as_the_scenarios_say: "10_backup.txt";
    restores_are_answered_as_the_scenarios_say: "20_restore.txt";
    databases_are_answered_as_the_scenarios_say: "30_database.txt";
    sessions_are_answered_as_the_scenarios_say: "40_sessions.txt";
    mirroring_is_answered_as_the_scenarios_say: "50_mirroring.txt";
    jobs_are_answered_as_the_scenarios_say: "60_jobs.txt";
    log_shipping_is_answered_as_the_scenarios_say: "70_shipping.txt";
    the_language_is_answered_as_the_scenarios_say: "80_language.txt";
}

#[test]
fn every_file_of_scenarios_is_played() {
    let there = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"));
    let there: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(there, FILES);
}
