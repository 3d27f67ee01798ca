//! Plans: what a procedure made, or what was read from a file of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pcdr_cli::views::{PLAN_FORMAT, PlanDocument};
use pcdr_cli::{plan, runbook, store, text};
use pcdr_core::plan::{PlanContent, PredictedLoss as Loss};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::error::{Trouble, guarded};
use crate::step::Step;
use crate::topology::Topology;
use crate::values;

/// A plan for a topology.
#[pyclass(frozen, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) content: Arc<PlanContent>,
    pub(crate) of: Topology,
}

#[pymethods]
impl Plan {
    #[staticmethod]
    fn from_json(text: &str, topology: PyRef<'_, Topology>) -> PyResult<Plan> {
        let no_plan = |found: String| {
            let message = format!("a plan in JSON was needed, but: {found}");
            Trouble::usage("plan_file", message, "Give what Plan.to_json or pcdr plan -o wrote.")
        };
        let document: PlanDocument =
            serde_json::from_str(text).map_err(|error| no_plan(error.to_string()))?;
        if document.pcdr_plan != PLAN_FORMAT {
            let found = document.pcdr_plan;
            let found = format!("its format is {found}, and this pcdr reads {PLAN_FORMAT}");
            return Err(no_plan(found).into());
        }
        let identity = store::identity(topology.designed());
        if document.topology != identity {
            let message = format!(
                "a plan for this topology ({identity}) was needed, but it is for {}",
                document.topology
            );
            let remedy = "Give the topology that the plan was made with, or make a new plan.";
            return Err(Trouble::usage("plan_of_another_topology", message, remedy).into());
        }
        Ok(Plan { content: Arc::new(document.plan), of: topology.clone() })
    }

    fn to_json(&self) -> PyResult<String> {
        let document = plan::document(self.of.designed(), &self.content);
        let text = serde_json::to_string_pretty(&document);
        Ok(text.map_err(|error| Trouble::Bug(error.to_string()))?)
    }

    #[getter]
    fn topology(&self) -> Topology {
        self.of.clone()
    }

    #[getter]
    fn intent(&self) -> &'static str {
        self.content.intent.as_str()
    }

    #[getter]
    fn planned_at(&self) -> SystemTime {
        values::moment(self.content.planned_at)
    }

    #[getter]
    fn observed_at(&self) -> SystemTime {
        values::moment(self.content.observed_at)
    }

    #[getter]
    fn consents(&self) -> Vec<String> {
        self.content.consents.iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn steps(&self) -> Vec<Step> {
        self.content.steps.iter().map(Step::from).collect()
    }

    #[getter]
    fn graph(&self) -> BTreeMap<u32, Vec<u32>> {
        let after = |step: &pcdr_core::Step| step.after.iter().map(|before| before.0).collect();
        self.content.steps.iter().map(|step| (step.id.0, after(step))).collect()
    }

    #[getter]
    fn predicted_losses(&self) -> Vec<PredictedLoss> {
        self.content.predicted_losses.iter().map(PredictedLoss::from).collect()
    }

    #[getter]
    fn predicted_duration(&self) -> Duration {
        self.content.predicted_duration
    }

    #[getter]
    fn invariants(&self) -> Vec<String> {
        self.content.invariants.clone()
    }

    #[getter]
    fn notes(&self) -> Vec<String> {
        self.content.notes.clone()
    }

    #[getter]
    fn left_behind(&self) -> Vec<String> {
        self.content.left_behind.iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn facts(&self) -> BTreeMap<String, String> {
        self.content.facts.clone()
    }

    #[getter]
    fn evidence(&self) -> Option<String> {
        self.content.evidence.as_ref().map(|evidence| text::evidence(evidence).trim().to_owned())
    }

    fn runbook(&self, py: Python<'_>) -> PyResult<String> {
        let written = || guarded(|| Ok(runbook::write(self.of.designed(), &self.content)?));
        Ok(py.detach(written)?)
    }

    fn __len__(&self) -> usize {
        self.content.steps.len()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Plan>().is_ok_and(|other| other.get().content == self.content)
    }

    fn __str__(&self) -> String {
        text::plan(&self.content)
    }

    fn __repr__(&self) -> String {
        let content = &self.content;
        format!(
            "<pcdr.Plan {} of {}, {} steps>",
            content.intent.as_str(),
            content.planned_at,
            content.steps.len()
        )
    }

    fn _repr_html_(&self) -> String {
        let mut html = String::from("<table><thead><tr><th>step</th><th>what</th><th>after</th>");
        html.push_str("<th>about</th></tr></thead><tbody>");
        for step in &self.content.steps {
            let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
            html.push_str(&format!(
                "<tr><td>{}</td><td title=\"{}\">{}</td><td>{}</td><td>{}</td></tr>",
                step.id,
                escaped(&step.source.to_string()),
                escaped(&step.to_string()),
                after.join(", "),
                pcdr_core::time::readable(step.expected)
            ));
        }
        html.push_str("</tbody></table>");
        let losses = self.content.predicted_losses.iter().map(ToString::to_string);
        let losses: Vec<String> = losses.map(|loss| escaped(&loss)).collect();
        let losses = if losses.is_empty() { "none".to_owned() } else { losses.join("<br>") };
        html.push_str(&format!("<p>Predicted loss: {losses}</p>"));
        html
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("cannot pickle pcdr.Plan: use to_json and from_json"))
    }
}

/// Text as HTML: names are hostile input.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
        html
    })
}

/// The records of one database that a plan will lose.
#[pyclass(frozen, get_all, eq, module = "pcdr")]
#[derive(Clone, PartialEq)]
pub(crate) struct PredictedLoss {
    database: String,
    from_lsn: String,
    saved_until: Option<SystemTime>,
    lost_until: SystemTime,
    span: Option<Duration>,
    text: String,
}

impl From<&Loss> for PredictedLoss {
    fn from(loss: &Loss) -> PredictedLoss {
        PredictedLoss {
            database: loss.database.to_string(),
            from_lsn: loss.from_lsn.to_string(),
            saved_until: loss.saved_until.map(values::moment),
            lost_until: values::moment(loss.lost_until),
            span: loss.span(),
            text: loss.to_string(),
        }
    }
}

#[pymethods]
impl PredictedLoss {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<pcdr.PredictedLoss {}>", self.text)
    }
}
