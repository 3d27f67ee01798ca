//! How a call reaches what a topology names.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use pcdr_cli::connect::{self, Connected, SystemClock};
use pcdr_cli::failure::Failure;
use pcdr_cli::store;
use pcdr_core::ports::Clock;
use pcdr_sql::{TcpDialer, Trace};
use pyo3::prelude::*;

use crate::error::Trouble;
use crate::python_port::{Object, Raised};
use crate::topology::Topology;

/// How a topology is reached, where that is not the usual way.
#[pyclass(frozen, module = "pcdr")]
#[derive(Clone)]
pub(crate) struct Ports {
    state: Option<PathBuf>,
    trace: Option<Trace>,
    /// The application around the databases, in Python.
    pool: Option<Arc<Py<PyAny>>>,
    /// Lock and journal, in Python.
    store: Option<Arc<Py<PyAny>>>,
}

#[pymethods]
impl Ports {
    #[new]
    #[pyo3(signature = (*, state=None, trace_sql=None, pool=None, store=None))]
    fn new(
        state: Option<PathBuf>,
        trace_sql: Option<PathBuf>,
        pool: Option<Py<PyAny>>,
        store: Option<Py<PyAny>>,
    ) -> PyResult<Ports> {
        let trace = trace_sql.map(|path| {
            Trace::to_file(&path).map_err(|error| Failure::file("take the trace", &path, &error))
        });
        let trace = trace.transpose().map_err(Trouble::from)?;
        Ok(Ports { state, trace, pool: pool.map(Arc::new), store: store.map(Arc::new) })
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
    pool: Option<Object>,
    store: Option<Object>,
    raised: Raised,
}

impl Way {
    /// The way that was given, or the usual one.
    ///
    /// # Errors
    ///
    /// [`Trouble::Closed`], or no folder for the journal.
    pub(crate) fn of(
        topology: &Topology,
        given: Option<&Ports>,
        event_loop: Option<&Bound<'_, PyAny>>,
    ) -> Result<Way, Trouble> {
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
        let raised = Raised::default();
        let object = |object: Option<&Arc<Py<PyAny>>>, what| {
            let object = Arc::clone(object?);
            let event_loop = event_loop.map(|event_loop| event_loop.clone().unbind());
            Some(Object::new(object, event_loop, what, Arc::clone(&raised)))
        };
        let pool = object(given.and_then(|given| given.pool.as_ref()), "pool control in Python");
        let store = object(given.and_then(|given| given.store.as_ref()), "run store in Python");
        Ok(Way { inner, pool, store, raised })
    }

    /// Ports to everything that the topology names. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// The secret, the certificate file or the state folder.
    pub(crate) fn connect(&self, topology: &Topology) -> Result<Connected, Trouble> {
        let mut connected = connect::connect(topology.designed(), &self.inner)?;
        if let Some(pool) = &self.pool {
            connected.ports.pool = Some(Arc::new(pool.clone()));
        }
        if let Some(store) = &self.store {
            connected.ports.store = Arc::new(store.clone());
        }
        Ok(connected)
    }

    /// Whether lock and journal are in Python.
    pub(crate) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// What went wrong, with what a port in Python raised before, which may be why.
    pub(crate) fn because(&self, trouble: Trouble) -> Trouble {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner).take();
        match raised {
            Some(raised) => Trouble::Caused(Box::new(trouble), raised),
            None => trouble,
        }
    }
}
