//! How a call reaches what a topology names.

use std::path::PathBuf;
use std::sync::Arc;

use pcdr_cli::connect::{self, Connected, SystemClock};
use pcdr_cli::failure::Failure;
use pcdr_cli::store;
use pcdr_core::ports::Clock;
use pcdr_sql::{TcpDialer, Trace};
use pyo3::prelude::*;

use crate::error::Trouble;
use crate::topology::Topology;

/// How a topology is reached, where that is not the usual way.
#[pyclass(frozen, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Ports {
    state: Option<PathBuf>,
    trace: Option<Trace>,
}

#[pymethods]
impl Ports {
    #[new]
    #[pyo3(signature = (*, state=None, trace_sql=None))]
    fn new(state: Option<PathBuf>, trace_sql: Option<PathBuf>) -> PyResult<Ports> {
        let trace = trace_sql.map(|path| {
            Trace::to_file(&path).map_err(|error| Failure::file("take the trace", &path, &error))
        });
        Ok(Ports { state, trace: trace.transpose().map_err(Trouble::from)? })
    }

    fn __repr__(&self) -> String {
        let state = self.state.as_ref().map(|state| format!(" state={}", state.display()));
        format!("<pcdr.Ports{}>", state.unwrap_or_default())
    }
}

/// The time of a topology's world: that of its stand-ins, or the clock on the wall.
///
/// # Errors
///
/// [`Trouble::Closed`].
pub(crate) fn clock(topology: &Topology) -> Result<Arc<dyn Clock>, Trouble> {
    Ok(topology.way()?.map_or_else(|| Arc::new(SystemClock) as _, |way| Arc::clone(&way.clock)))
}

/// The way of one call, taken while the interpreter is held.
pub(crate) struct Way {
    inner: connect::Way,
}

impl Way {
    /// The way that was given, or the usual one.
    ///
    /// # Errors
    ///
    /// [`Trouble::Closed`], or no folder for the journal.
    pub(crate) fn of(topology: &Topology, given: Option<&Ports>) -> Result<Way, Trouble> {
        let mut inner = match topology.way()? {
            Some(way) => way.clone(),
            None => connect::Way {
                dialer: Arc::new(TcpDialer),
                shell: None,
                clock: Arc::new(SystemClock),
                trace: None,
                folder: store::folder(
                    given.and_then(|given| given.state.as_deref()),
                    topology.designed(),
                )?,
            },
        };
        if let Some(given) = given {
            if let Some(state) = &given.state {
                inner.folder.clone_from(state);
            }
            if let Some(trace) = &given.trace {
                inner.trace = Some(trace.clone());
            }
        }
        Ok(Way { inner })
    }

    /// Ports to everything that the topology names. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// The secret, the certificate file or the state folder.
    pub(crate) fn connect(&self, topology: &Topology) -> Result<Connected, Trouble> {
        Ok(connect::connect(topology.designed(), &self.inner)?)
    }
}
