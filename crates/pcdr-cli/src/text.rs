//! Plans, runs and observations as people read them.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use pcdr_core::evidence::{Evidence, Says};
use pcdr_core::run::TakenBack;
use pcdr_core::time::readable;
use pcdr_core::{Action, PlanContent, Step, Topology};

use crate::runbook;

/// A table with these headings, without frames, so that it can be cut and searched.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    let mut style = presets::NOTHING;
    style.header_separator = presets::UTF8_HORIZONTAL_ONLY.row_separator;
    table.load_style(style);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings);
    table
}

/// A plan: what will be lost, how long it takes, every step with its source, why it is safe.
pub fn plan(plan: &PlanContent) -> String {
    let mut text = String::new();
    let intent = plan.intent.as_str();
    let _infallible = writeln!(
        text,
        "Plan: {intent}, made at {} from what was seen at {}.",
        plan.planned_at, plan.observed_at
    );
    if plan.steps.is_empty() {
        text.push_str("Nothing to do: the world is as this plan would leave it.\n");
    }
    if let Some(evidence) = &plan.evidence {
        text.push_str(&self::evidence(evidence));
    }
    list(&mut text, "Consents given", plan.consents.iter());
    list(&mut text, "Predicted loss", plan.predicted_losses.iter());
    if !plan.steps.is_empty() {
        if plan.predicted_losses.is_empty() {
            text.push_str("\nPredicted loss: none.\n");
        }
        let duration = readable(plan.predicted_duration);
        let _infallible = write!(text, "\nPredicted duration: {duration}.\n\nSteps\n");
        steps(&mut text, &plan.steps);
    }
    list(&mut text, "Notes", plan.notes.iter());
    left_behind(&mut text, &plan.left_behind);
    if !plan.steps.is_empty() {
        let proved = "Proved: after every step these hold, on the model";
        list(&mut text, proved, plan.invariants.iter());
    }
    text
}

/// What a person does when instances are back, with its statements.
fn left_behind(text: &mut String, actions: &[Action]) {
    if actions.is_empty() {
        return;
    }
    text.push_str("\nTo be done by hand when the instance is back, in this order\n");
    for action in actions {
        let _infallible = writeln!(text, "  - {action}");
        // A name that no statement can carry is in none of the server's entries either.
        let Some(Ok(statement)) = runbook::statement(action) else { continue };
        for line in statement.lines() {
            let _infallible = writeln!(text, "      {line}");
        }
    }
}

/// The steps under the sentences of the documents that prescribe them; each document has a letter.
fn steps(text: &mut String, steps: &[Step]) {
    let mut documents: Vec<&str> = Vec::new();
    let mut sentence = None;
    for step in steps {
        let document = step.source.document.as_ref();
        let known = documents.iter().position(|known| *known == document);
        let index = known.unwrap_or_else(|| {
            documents.push(document);
            documents.len() - 1
        });
        if sentence != Some(&step.source) {
            let _infallible = writeln!(text, "  [{}] {}", letter(index), step.source.step);
            sentence = Some(&step.source);
        }
        let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
        let after = match after.as_slice() {
            [] => "at once".to_owned(),
            after => format!("after {}", after.join(", ")),
        };
        let expected = readable(step.expected);
        let _infallible = writeln!(text, "{:>6}. {step}  ({after}; about {expected})", step.id.0);
    }
    let _infallible = write!(text, "\nSources\n");
    for (index, document) in documents.iter().enumerate() {
        let _infallible = writeln!(text, "  [{}] {document}", letter(index));
    }
}

/// A for the first document, B for the second; numbers beyond Z.
fn letter(index: usize) -> String {
    u8::try_from(index)
        .ok()
        .filter(|index| *index < 26)
        .map_or_else(|| index.to_string(), |index| char::from(b'A' + index).to_string())
}

/// What each vantage point says about the loss of the primary site.
pub fn evidence(evidence: &Evidence) -> String {
    let mut text = String::from("\nEvidence for the loss of the primary site");
    text.push_str(if evidence.suffices() {
        ", which suffices\n"
    } else {
        ", which does not suffice\n"
    });
    for claim in &evidence.claims {
        let says = match claim.says {
            Says::Lost => "says lost",
            Says::Alive => "says alive",
            Says::Nothing => "says nothing",
        };
        let _infallible = writeln!(text, "  - {} {says}: {}", claim.vantage, claim.found);
    }
    text
}

fn list<T: std::fmt::Display>(
    text: &mut String,
    heading: &str,
    items: impl ExactSizeIterator<Item = T>,
) {
    if items.len() == 0 {
        return;
    }
    let _infallible = write!(text, "\n{heading}\n");
    for item in items {
        let _infallible = writeln!(text, "  - {item}");
    }
}

/// Seconds with three decimals.
pub fn seconds(seconds: f64) -> String {
    format!("{seconds:.3} s")
}

/// How far a configuration that failed was taken back, and the commands for what is left.
pub fn taken_back(topology: &Topology, taken_back: &TakenBack) -> String {
    let TakenBack { done, left, notes, stopped_by } = taken_back;
    let mut text = format!(
        "What this run created was {}taken back, in {} steps; what was there before it was not touched. \
         Backup files stay.",
        if taken_back.is_complete() { "" } else { "partly " },
        done.len()
    );
    for note in notes {
        let _infallible = write!(text, "\nNot taken back: {note}.");
    }
    if let Some(why) = stopped_by {
        let _infallible = write!(text, "\nTaking back stopped: {why}.");
    }
    for action in left {
        let command = runbook::command(topology, action);
        let _infallible = write!(text, "\nLeft: {action}. By hand:\n{command}");
    }
    text.push_str("\nThen configure again: it starts from what is there.");
    text
}
