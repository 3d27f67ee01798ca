//! What happens in a run, as a callback is told.

use pcdr_core::plan::PlanContent;
use pcdr_core::{InstanceError, run};
use pyo3::prelude::*;

use crate::job::Watched;
use crate::step::Step;

/// Something that happened in a run.
#[pyclass(frozen, get_all, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Progress {
    /// `started`, `progressed`, `ended`, `failed` or `takes_back`.
    kind: &'static str,
    /// The step; None for `takes_back`.
    step: Option<Step>,
    /// How far it is, 0.0 to 100.0; of `progressed` only.
    percent: Option<f32>,
    /// More, for people.
    detail: Option<String>,
    /// Code of the error; of `failed` only.
    code: Option<&'static str>,
}

#[pymethods]
impl Progress {
    fn __repr__(&self) -> String {
        let step = self
            .step
            .as_ref()
            .map_or_else(String::new, |step| format!(" {}. {}", step.number(), step.text()));
        let detail = self.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        format!("<pcdr.Progress {}{step}{detail}>", self.kind)
    }
}

/// Tells a job's waiters what happens in its run.
pub(crate) struct Teller(pub(crate) Watched);

impl Teller {
    fn tell(&self, kind: &'static str, step: &pcdr_core::Step) -> Progress {
        let step = Some(Step::from(step));
        Progress { kind, step, percent: None, detail: None, code: None }
    }
}

impl run::Watcher for Teller {
    fn started(&self, step: &pcdr_core::Step) {
        self.0.tell(self.tell("started", step));
    }

    fn progressed(&self, step: &pcdr_core::Step, percent: f32, detail: &str) {
        let event = self.tell("progressed", step);
        let detail = Some(detail.to_owned());
        self.0.tell(Progress { percent: Some(percent), detail, ..event });
    }

    fn ended(&self, step: &pcdr_core::Step, result: Result<(), &InstanceError>) {
        self.0.tell(match result {
            Ok(()) => self.tell("ended", step),
            Err(error) => Progress {
                detail: Some(error.to_string()),
                code: Some(error.code.as_str()),
                ..self.tell("failed", step)
            },
        });
    }

    fn takes_back(&self, plan: &PlanContent) {
        let detail = Some(format!("what was created is taken back in {} steps", plan.steps.len()));
        let kind = "takes_back";
        self.0.tell(Progress { kind, step: None, percent: None, detail, code: None });
    }

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
