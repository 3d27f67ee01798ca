//! `pcdr preflight`: every check before a command, and how it ended.

use std::fmt::Write as _;

use pcdr_core::observe::observe;
use pcdr_core::preflight::{Check, Outcome, Report, ask, check};

use crate::args::{self, Global};
use crate::failure::Failure;
use crate::output::Output;
use crate::topology_file::TopologyFile;
use crate::views::{CheckView, InstanceChecksView, PreflightDocument};
use crate::{connect, plan, store};

/// `pcdr preflight`: observes, asks, and tells every check. Changes nothing.
///
/// # Errors
///
/// A topology that cannot be read, or output that nobody takes. What cannot be checked is a result.
pub async fn run(
    arguments: &args::Preflight,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let file = TopologyFile::named(global.topology.as_deref())?;
    let connected = connect::to_servers(&file, global)?;
    let (topology, ports) = (&file.topology, &connected.ports);
    let observation = observe(topology, ports, &plan::who(), None).await;
    let answers =
        ask(arguments.command, topology, &connected.preflight, ports.clock.as_ref()).await;
    let report = check(arguments.command, topology, &observation, &answers);
    let document = document(&store::identity(topology), &report);
    output.result(&document, || render(&report))?;
    Ok(if arguments.exit_status { exit_status(&report) } else { 0 })
}

/// For scripts; 1 to 3 keep their meaning.
fn exit_status(report: &Report) -> u8 {
    match report.counts() {
        (_, 0, 0) => 0,
        (_, 0, _) => 4,
        _ => 5,
    }
}

/// The JSON form.
pub fn document(identity: &str, report: &Report) -> PreflightDocument {
    let (passed, failed, not_checked) = report.counts();
    let view = |check: &Check| {
        let mut view = CheckView {
            code: check.code.to_owned(),
            subject: check.subject.clone(),
            outcome: String::new(),
            found: None,
            needed: None,
            remedy: None,
            why: None,
        };
        match check.outcome.clone() {
            Outcome::Passed { found } => {
                view.outcome = "passed".to_owned();
                view.found = Some(found);
            }
            Outcome::Failed { needed, found, remedy } => {
                view.outcome = "failed".to_owned();
                (view.needed, view.found, view.remedy) = (Some(needed), Some(found), Some(remedy));
            }
            Outcome::NotChecked { why } => {
                view.outcome = "not_checked".to_owned();
                view.why = Some(why);
            }
        }
        view
    };
    PreflightDocument {
        identity: identity.to_owned(),
        command: report.command.as_str().to_owned(),
        taken_at: report.taken_at.to_string(),
        passed,
        failed,
        not_checked,
        instances: report
            .instances
            .iter()
            .map(|one| InstanceChecksView {
                instance: one.instance.to_string(),
                role: one.role.as_str().to_owned(),
                checks: one.checks.iter().map(view).collect(),
            })
            .collect(),
    }
}

/// The form for people: what failed first says so, and what was not checked is told like the rest.
pub fn render(report: &Report) -> String {
    let (passed, failed, not_checked) = report.counts();
    let mut text = format!(
        "Preflight of {}, seen at {}: {passed} passed, {failed} failed, {not_checked} could not be checked.\n",
        report.command.as_str(),
        report.taken_at
    );
    for instance in &report.instances {
        let role = instance.role.as_str();
        let _infallible = writeln!(text, "\n{} ({role})", instance.instance);
        for Check { subject, outcome, .. } in &instance.checks {
            let _infallible = match outcome {
                Outcome::Passed { found } => writeln!(text, "  passed       {subject}: {found}"),
                Outcome::Failed { needed, found, remedy } => writeln!(
                    text,
                    "  FAILED       {subject}\n                 needed: {needed}\n                 \
                     found: {found}\n                 what to do: {remedy}"
                ),
                Outcome::NotChecked { why } => writeln!(text, "  not checked  {subject}: {why}"),
            };
        }
    }
    text
}
