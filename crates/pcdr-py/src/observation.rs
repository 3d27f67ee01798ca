//! What was seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use pcdr_core::Known;
use pyo3::prelude::*;

use crate::error::Trouble;
use crate::values;

/// What was seen, by whom, when.
#[pyclass(frozen, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Observation {
    pub(crate) inner: Arc<pcdr_core::Observation>,
}

#[pymethods]
impl Observation {
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Observation> {
        let inner = serde_json::from_str(text).map_err(|error| {
            Trouble::usage(
                "observation",
                format!("an observation in JSON was needed, but: {error}"),
                "Give what Observation.to_json wrote.",
            )
        })?;
        Ok(Observation { inner: Arc::new(inner) })
    }

    #[getter]
    fn taken_at(&self) -> SystemTime {
        values::moment(self.inner.taken_at)
    }

    #[getter]
    fn observer(&self) -> &str {
        &self.inner.observer
    }

    #[getter]
    fn unreachable(&self) -> BTreeMap<String, String> {
        let unknown = self.inner.instances.iter().filter_map(|(name, seen)| match seen {
            Known::Known(_) => None,
            Known::Unknown(reason) => Some((name.to_string(), reason.to_string())),
        });
        unknown.collect()
    }

    fn to_json(&self) -> PyResult<String> {
        let text = serde_json::to_string(&*self.inner);
        Ok(text.map_err(|error| Trouble::Bug(error.to_string()))?)
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let value = serde_json::to_value(&*self.inner);
        values::to_python(py, &value.map_err(|error| Trouble::Bug(error.to_string()))?)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Observation>().is_ok_and(|other| other.get().inner == self.inner)
    }

    fn __repr__(&self) -> String {
        let unknown = self.unreachable();
        format!(
            "<pcdr.Observation of {}, {} of {} instances answered>",
            self.inner.taken_at,
            self.inner.instances.len() - unknown.len(),
            self.inner.instances.len()
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(pyo3::exceptions::PyTypeError::new_err(
            "cannot pickle pcdr.Observation: use to_json and from_json",
        ))
    }
}
