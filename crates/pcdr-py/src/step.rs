//! A step of a plan.

use std::time::Duration;

use pyo3::prelude::*;

use crate::error::Trouble;
use crate::values;

/// One instruction of a plan.
#[pyclass(frozen, eq, module = "pcdr")]
#[derive(Clone, PartialEq)]
pub(crate) struct Step {
    inner: pcdr_core::Step,
    text: String,
}

impl From<&pcdr_core::Step> for Step {
    fn from(step: &pcdr_core::Step) -> Step {
        Step { inner: step.clone(), text: step.to_string() }
    }
}

#[pymethods]
impl Step {
    #[getter]
    pub(crate) fn number(&self) -> u32 {
        self.inner.id.0
    }

    #[getter]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    #[getter]
    fn after(&self) -> Vec<u32> {
        self.inner.after.iter().map(|before| before.0).collect()
    }

    #[getter]
    fn source(&self) -> String {
        self.inner.source.to_string()
    }

    #[getter]
    fn expected(&self) -> Duration {
        self.inner.expected
    }

    #[getter]
    fn instance(&self) -> Option<&str> {
        self.inner.action.instance().map(pcdr_core::InstanceName::as_str)
    }

    #[getter]
    fn database(&self) -> Option<&str> {
        self.inner.action.database().map(pcdr_core::DatabaseName::as_str)
    }

    #[getter]
    fn action<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let action = serde_json::to_value(&self.inner.action);
        let action = action.map_err(|error| Trouble::Bug(error.to_string()))?;
        values::to_python(py, &action)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<pcdr.Step {}. {}>", self.inner.id.0, self.text)
    }
}
