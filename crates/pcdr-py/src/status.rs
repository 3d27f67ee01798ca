//! Whether a failover would work now.

use pcdr_cli::status;
use pcdr_core::Timestamp;
use pcdr_core::status::{Status as Judged, judge};
use pyo3::prelude::*;
use serde_json::Value;

use crate::error::Trouble;
use crate::observation::Observation;
use crate::topology::Topology;
use crate::values;

/// What an observation says of the protections.
#[pyclass(frozen, module = "pcdr")]
pub(crate) struct Status {
    observation: Observation,
    verdict: &'static str,
    document: Value,
    text: String,
}

impl Status {
    /// Judges an observation as of `now`.
    ///
    /// # Errors
    ///
    /// [`Trouble::Bug`], which cannot be: the document is plain data.
    pub(crate) fn of(
        topology: &Topology,
        observation: Observation,
        now: Timestamp,
    ) -> Result<Status, Trouble> {
        let designed = topology.designed();
        let judged: Judged = judge(designed, &observation.inner, now);
        // Drills are on record in a journal, and this judges an observation alone.
        let drills = Err("no journal was read".to_owned());
        let document = status::document(designed, &judged, (*observation.inner).clone(), drills);
        let text = status::render(&document, &judged);
        let document =
            serde_json::to_value(&document).map_err(|error| Trouble::Bug(error.to_string()))?;
        Ok(Status { observation, verdict: judged.verdict.as_str(), document, text })
    }
}

#[pymethods]
impl Status {
    #[getter]
    fn verdict(&self) -> &'static str {
        self.verdict
    }

    #[getter]
    fn is_ready(&self) -> bool {
        self.verdict == "ready"
    }

    #[getter]
    fn findings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_python(py, &self.document["findings"])
    }

    #[getter]
    fn protections<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_python(py, &self.document["protections"])
    }

    #[getter]
    fn observation(&self) -> Observation {
        self.observation.clone()
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        values::to_python(py, &self.document)
    }

    fn to_json(&self) -> String {
        self.document.to_string()
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<pcdr.Status {} of {}>", self.verdict, self.observation.inner.taken_at)
    }
}
