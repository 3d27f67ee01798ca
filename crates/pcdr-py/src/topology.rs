//! What was designed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pcdr_cli::connect::Way;
use pcdr_cli::store;
use pcdr_cli::topology_file::{BUILT_IN, TopologyFile};
use pcdr_core::topology;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyMapping;
use serde_json::Value;

use crate::error::{Trouble, guarded};
use crate::values;

/// A designed, validated topology.
#[pyclass(frozen, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Topology {
    pub(crate) file: Arc<TopologyFile>,
    /// How stand-ins are reached that serve it in this process; None: over the network.
    pub(crate) stand_ins: Option<Arc<Reach>>,
}

/// The way to stand-ins in this process, for as long as they are open.
pub(crate) struct Reach {
    pub(crate) way: Way,
    pub(crate) is_closed: AtomicBool,
}

impl Topology {
    pub(crate) fn designed(&self) -> &pcdr_core::Topology {
        &self.file.topology
    }

    /// The way to its stand-ins, where it is served by some.
    ///
    /// # Errors
    ///
    /// [`Trouble::Closed`] when they are closed.
    pub(crate) fn way(&self) -> Result<Option<&Way>, Trouble> {
        let Some(reach) = &self.stand_ins else { return Ok(None) };
        if reach.is_closed.load(Ordering::Relaxed) {
            return Err(Trouble::Closed("the stand-ins of this topology"));
        }
        Ok(Some(&reach.way))
    }

    fn parsed(name: PathBuf, text: String) -> Result<Topology, Trouble> {
        let file = guarded(|| Ok(TopologyFile::of(name, text)?))?;
        Ok(Topology { file: Arc::new(file), stand_ins: None })
    }
}

/// The text of the example topology, a stretched Persistent Chat pool.
#[pyfunction]
pub(crate) fn example() -> &'static str {
    BUILT_IN
}

#[pymethods]
impl Topology {
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Topology> {
        let file = py.detach(|| guarded(|| Ok(TopologyFile::read(&path)?)))?;
        Ok(Topology { file: Arc::new(file), stand_ins: None })
    }

    #[staticmethod]
    fn from_text(py: Python<'_>, text: String) -> PyResult<Topology> {
        Ok(py.detach(|| Topology::parsed(PathBuf::from("<text>"), text))?)
    }

    #[staticmethod]
    fn from_dict(py: Python<'_>, mapping: &Bound<'_, PyMapping>) -> PyResult<Topology> {
        let value = values::from_python(mapping.as_any(), "topology")?;
        let text = toml(value)?;
        Ok(py.detach(|| Topology::parsed(PathBuf::from("<dict>"), text))?)
    }

    #[staticmethod]
    fn validate(py: Python<'_>, text: &str) -> PyResult<Vec<Violation>> {
        let parsed = py.detach(|| guarded(|| Ok(pcdr_core::Topology::parse(text))))?;
        Ok(match parsed {
            Ok(_) => Vec::new(),
            Err(violations) => violations.0.into_iter().map(Violation::from).collect(),
        })
    }

    #[getter]
    fn identity(&self) -> String {
        store::identity(self.designed())
    }

    #[getter]
    fn sites(&self) -> Vec<String> {
        self.designed().sites().map(|site| site.name.to_string()).collect()
    }

    #[getter]
    fn instances(&self) -> Vec<Instance> {
        let instance = |instance: &topology::Instance| Instance {
            name: instance.name.to_string(),
            site: instance.site.to_string(),
            role: instance.role.as_str().to_owned(),
            server_name: instance.server_name.clone(),
            host: instance.host.clone(),
            port: instance.port,
        };
        self.designed().instances().map(instance).collect()
    }

    #[getter]
    fn databases(&self) -> Vec<String> {
        self.designed().databases().iter().map(ToString::to_string).collect()
    }

    #[getter]
    fn pool(&self) -> Option<String> {
        self.designed().pool().map(|pool| pool.fqdn.to_string())
    }

    #[getter]
    fn servers(&self) -> Vec<String> {
        let servers = self.designed().pool().map(|pool| pool.servers.as_slice());
        servers.unwrap_or_default().iter().map(|server| server.fqdn.to_string()).collect()
    }

    /// Two topologies are equal when they design the same and are reached the same way.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let Ok(other) = other.cast::<Topology>() else { return false };
        let other = other.get();
        let same_way = match (&self.stand_ins, &other.stand_ins) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_way && self.designed() == other.designed()
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.identity().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        format!(
            "<pcdr.Topology {} of {} from {}>",
            self.identity(),
            self.databases().join(", "),
            self.file.path.display()
        )
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "cannot pickle pcdr.Topology: give the other process the file or the text that it is from",
        ))
    }
}

/// A mapping as the text that a file of it would have.
fn toml(value: Value) -> PyResult<String> {
    if let Some(place) = null(&value, "topology") {
        return Err(PyTypeError::new_err(format!(
            "{place} was needed to have a value, but it is None: leave the key out"
        )));
    }
    toml::to_string(&value).map_err(|error| PyTypeError::new_err(format!("topology: {error}")))
}

/// Where a value is missing; TOML has no word for that.
fn null(value: &Value, place: &str) -> Option<String> {
    match value {
        Value::Null => Some(place.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| null(item, &format!("{place}[{index}]"))),
        Value::Object(items) => {
            items.iter().find_map(|(key, item)| null(item, &format!("{place}.{key}")))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// An instance of a topology.
#[pyclass(frozen, get_all, eq, module = "pcdr")]
#[derive(Clone, PartialEq)]
pub(crate) struct Instance {
    name: String,
    site: String,
    role: String,
    server_name: String,
    host: String,
    port: Option<u16>,
}

#[pymethods]
impl Instance {
    fn __repr__(&self) -> String {
        format!("<pcdr.Instance {}, {} in {}>", self.name, self.role, self.site)
    }
}

/// One violation of a planning rule or of the form of a topology.
#[pyclass(frozen, get_all, eq, module = "pcdr")]
#[derive(Clone, PartialEq)]
pub(crate) struct Violation {
    code: String,
    line: usize,
    column: usize,
    message: String,
    remedy: String,
    source: String,
}

impl From<topology::Violation> for Violation {
    fn from(violation: topology::Violation) -> Violation {
        Violation {
            code: violation.code.to_owned(),
            line: violation.place.line,
            column: violation.place.column,
            message: violation.message,
            remedy: violation.remedy,
            source: violation.source.to_owned(),
        }
    }
}

#[pymethods]
impl Violation {
    fn __str__(&self) -> String {
        let Violation { code, line, column, message, remedy, .. } = self;
        format!("{line}:{column}: {message} [{code}]. {remedy}")
    }

    fn __repr__(&self) -> String {
        format!("<pcdr.Violation {}>", self.__str__())
    }
}
