//! `pcdr configure`: what differs from the topology, and its mending, in one command.

use std::fmt::Write as _;

use pcdr_core::Intent;
use pcdr_core::drift::{Drift, drift};

use crate::args::{Configure, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::topology_file::TopologyFile;
use crate::views::{DiffDocument, Difference};
use crate::{connect, plan, text};

/// Shows what differs and what would be done about it; does it unless only the difference was asked for.
///
/// # Errors
///
/// The refusal, or what stopped the run.
pub async fn run(arguments: &Configure, global: &Global, output: Output) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let connected = connect::to_servers(&file, global)?;
    let (topology, consents) = (&file.topology, &arguments.consent);
    let made = plan::make(Intent::Configure, topology, &connected.ports, consents).await;
    let (made, seen) = made?;
    let found = drift(topology, &seen);
    if arguments.diff {
        let document = DiffDocument {
            is_as_designed: found.is_empty(),
            differences: found.iter().map(difference).collect(),
            steps: made.steps.iter().map(ToString::to_string).collect(),
        };
        output.result(&document, || show(&document))?;
        return Ok(0);
    }
    output.text(&text::plan(&made))?;
    let how = plan::How { yes: arguments.yes, keep: arguments.keep };
    plan::carry_out(&made, topology, &connected, how, output).await
}

fn difference(drift: &Drift) -> Difference {
    Difference {
        instance: drift.instance.to_string(),
        database: drift.database.as_ref().map(ToString::to_string),
        what: drift.what.clone(),
        found: drift.found.clone(),
        designed: drift.wanted.clone(),
    }
}

fn show(document: &DiffDocument) -> String {
    if document.differences.is_empty() {
        let mut text = "Everything that was observed is as designed.\n".to_owned();
        steps(&mut text, &document.steps);
        return text;
    }
    let mut table = text::table(["instance", "database", "what", "found", "designed"]);
    for one in &document.differences {
        table.add_row([
            one.instance.as_str(),
            one.database.as_deref().unwrap_or("-"),
            &one.what,
            &one.found,
            &one.designed,
        ]);
    }
    let mut text = format!("{table}\n");
    steps(&mut text, &document.steps);
    text
}

fn steps(text: &mut String, steps: &[String]) {
    if steps.is_empty() {
        text.push_str("\nNothing that pcdr configure would change.\n");
        return;
    }
    let _infallible = writeln!(text, "\npcdr configure would, in {} steps:", steps.len());
    for (number, step) in steps.iter().enumerate() {
        let _infallible = writeln!(text, "  {}. {step}", number + 1);
    }
}
