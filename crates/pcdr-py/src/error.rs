//! Refusals, errors and bugs as Python exceptions of `pcdr.errors`.

use std::sync::Arc;

use pcdr_cli::failure::{self, Failure};
use pcdr_core::topology::Violations;
use pcdr_core::{InstanceError, Refusal};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};

use crate::topology::Violation;
use crate::values;

/// Why a call ended without its result.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The reasoned "no".
    Refused(Box<Refusal>),
    /// The world.
    Instance(Said),
    /// A call that cannot be right.
    Usage(Said),
    /// A topology that breaks rules.
    Topology(Violations),
    /// A broken invariant.
    Bug(String),
    /// Something that is closed.
    Closed(&'static str),
    /// An exception of Python's own.
    Python(PyErr),
    /// Something that an exception of a port in Python led to.
    Caused(Box<Trouble>, PyErr),
}

/// What every exception says.
#[derive(Debug)]
pub(crate) struct Said {
    code: String,
    message: String,
    remedy: String,
    details: Value,
    /// The original; a Python exception among its sources becomes the cause.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Said {
    fn new(code: impl Into<String>, message: impl Into<String>, remedy: impl Into<String>) -> Said {
        Said {
            code: code.into(),
            message: message.into(),
            remedy: remedy.into(),
            details: json!({}),
            source: None,
        }
    }
}

impl From<failure::Trouble> for Said {
    fn from(trouble: failure::Trouble) -> Said {
        let failure::Trouble { code, message, remedy, details } = trouble;
        let details = if details.is_null() { json!({}) } else { details };
        Said { code, message, remedy, details, source: None }
    }
}

impl Trouble {
    /// An error of the world.
    pub(crate) fn failed(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Trouble {
        Trouble::Instance(Said::new(code, message, remedy))
    }

    /// A call that cannot be right.
    pub(crate) fn usage(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Trouble {
        Trouble::Usage(Said::new(code, message, remedy))
    }

    /// Keeps the original error of the world, so that an exception of a port in Python is not lost.
    pub(crate) fn with_source(
        mut self,
        original: Option<Arc<dyn std::error::Error + Send + Sync>>,
    ) -> Trouble {
        if let Trouble::Instance(said) = &mut self {
            said.source = original;
        }
        self
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        match failure {
            Failure::Refused(refusal) => Trouble::Refused(refusal),
            Failure::Topology { violations, .. } => Trouble::Topology(violations),
            Failure::Usage(trouble) => Trouble::Usage(trouble.into()),
            Failure::Failed(trouble) => Trouble::Instance(trouble.into()),
            Failure::OutputClosed => Trouble::Bug("nothing is written here".to_owned()),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Trouble {
        Trouble::Refused(Box::new(refusal))
    }
}

impl From<InstanceError> for Trouble {
    fn from(error: InstanceError) -> Trouble {
        let original = error.source.clone();
        Trouble::from(Failure::from(error)).with_source(original)
    }
}

impl From<PyErr> for Trouble {
    fn from(error: PyErr) -> Trouble {
        Trouble::Python(error)
    }
}

impl From<Trouble> for PyErr {
    fn from(trouble: Trouble) -> PyErr {
        Python::try_attach(|py| trouble.raise(py))
            .unwrap_or_else(|| PyRuntimeError::new_err("the interpreter has ended"))
    }
}

impl Trouble {
    fn raise(self, py: Python<'_>) -> PyErr {
        let made = match self {
            Trouble::Python(error) => return error,
            Trouble::Caused(trouble, cause) => {
                let error = trouble.raise(py);
                if error.cause(py).is_none() {
                    error.set_cause(py, Some(cause));
                }
                return error;
            }
            Trouble::Closed(what) => {
                return PyValueError::new_err(format!("{what} are closed"));
            }
            Trouble::Refused(refusal) => {
                let way_out = refusal.way_out();
                let mut details = serde_json::to_value(&*refusal).unwrap_or(Value::Null);
                if let Some(details) = details.as_object_mut() {
                    details.remove("code");
                }
                let mut said = Said::new(refusal.code(), refusal.to_string(), refusal.remedy());
                said.details = details;
                exception(py, "Refusal", said, |more| {
                    let consent = way_out.as_ref().map(|(consent, _)| consent.to_string());
                    more.set_item("consent", consent)?;
                    more.set_item("price", way_out.map(|(_, price)| price))
                })
            }
            Trouble::Instance(said) => exception(py, "InstanceError", said, |_| Ok(())),
            Trouble::Usage(said) => exception(py, "UsageError", said, |_| Ok(())),
            Trouble::Topology(violations) => {
                let message = violations.to_string();
                let remedy = "Do what each violation says.";
                let said = Said::new("invalid_topology", message, remedy);
                let violations: Vec<Violation> =
                    violations.0.into_iter().map(Violation::from).collect();
                exception(py, "TopologyError", said, |more| more.set_item("violations", violations))
            }
            Trouble::Bug(message) => {
                let remedy = "Stop, and report it with this message.";
                exception(py, "Bug", Said::new("bug", message, remedy), |_| Ok(()))
            }
        };
        made.unwrap_or_else(|error| error)
    }
}

/// An instance of a class of `pcdr.errors`.
fn exception(
    py: Python<'_>,
    class: &str,
    said: Said,
    more: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyResult<PyErr> {
    let keywords = PyDict::new(py);
    keywords.set_item("code", said.code)?;
    keywords.set_item("remedy", said.remedy)?;
    keywords.set_item("details", values::to_python(py, &said.details)?)?;
    more(&keywords)?;
    let class = py.import("pcdr.errors")?.getattr(class)?;
    let error = PyErr::from_value(class.call((said.message,), Some(&keywords))?);
    if let Some(cause) = said.source.as_deref().and_then(raised_in_python) {
        error.set_cause(py, Some(cause.clone_ref(py)));
    }
    Ok(error)
}

/// An exception that code in Python raised, on its way through Rust.
#[derive(Debug)]
pub(crate) struct RaisedInPython(pub(crate) PyErr);

impl std::fmt::Display for RaisedInPython {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for RaisedInPython {}

fn raised_in_python<'a>(
    error: &'a (dyn std::error::Error + Send + Sync + 'static),
) -> Option<&'a PyErr> {
    let mut error: &(dyn std::error::Error + 'static) = error;
    loop {
        if let Some(RaisedInPython(raised)) = error.downcast_ref() {
            return Some(raised);
        }
        error = error.source()?;
    }
}

/// Carries out something that must not panic, and tells a panic as the bug that it is.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    ended.unwrap_or_else(|panic| Err(Trouble::Bug(words(&*panic))))
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
