//! What a run did.

use std::time::SystemTime;

use pcdr_core::run;
use pyo3::prelude::*;

use crate::plan::Plan;
use crate::topology::Topology;
use crate::values;

/// A run that ended in success.
#[pyclass(frozen, get_all, module = "pcdr")]
pub(crate) struct Report {
    /// The run's id, as in the journal.
    run: String,
    /// The journal's file; None where the run store is in Python.
    journal: Option<String>,
    plan: Plan,
    started_at: SystemTime,
    ended_at: SystemTime,
    steps: Vec<StepReport>,
}

/// When a step ran.
#[pyclass(frozen, get_all, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct StepReport {
    number: u32,
    text: String,
    started_at: SystemTime,
    acted_at: SystemTime,
    ended_at: SystemTime,
}

impl Report {
    pub(crate) fn of(
        report: run::Report,
        run: String,
        journal: Option<String>,
        of: Topology,
    ) -> Report {
        let text = |number| {
            let step = report.plan.steps.iter().find(|step| step.id == number);
            step.map(ToString::to_string).unwrap_or_default()
        };
        let steps = report.steps.iter().map(|step| StepReport {
            number: step.step.0,
            text: text(step.step),
            started_at: values::moment(step.started_at),
            acted_at: values::moment(step.acted_at),
            ended_at: values::moment(step.ended_at),
        });
        Report {
            run,
            journal,
            started_at: values::moment(report.started_at),
            ended_at: values::moment(report.ended_at),
            steps: steps.collect(),
            plan: Plan { content: report.plan.into(), of },
        }
    }
}

#[pymethods]
impl Report {
    fn __repr__(&self) -> String {
        format!("<pcdr.Report of run {}, {} steps>", self.run, self.steps.len())
    }
}

#[pymethods]
impl StepReport {
    fn __repr__(&self) -> String {
        format!("<pcdr.StepReport {}. {}>", self.number, self.text)
    }
}
