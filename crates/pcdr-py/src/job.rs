//! Work that goes on while the interpreter does something else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::BoundObject;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::error::{self, Trouble};
use crate::event::Progress;
use crate::runtime::runtime;

/// The result of a job, made when somebody asks for it, by a thread that holds the interpreter.
type Outcome = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Work on the runtime's threads.
#[pyclass(frozen, module = "pcdr._pcdr")]
pub(crate) struct Job {
    shared: Arc<Shared>,
    /// What ends the work wherever it is.
    abort: AbortHandle,
    /// Whether being asked to stop ends it wherever it is: right for what only looks.
    only_looks: bool,
}

/// What the work and who waits for it have in common.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
}

#[derive(Default)]
struct State {
    events: VecDeque<Progress>,
    result: Option<Outcome>,
    has_ended: bool,
    waker: Option<Py<PyAny>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody asked to stop.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Tells who waits.
    pub(crate) fn tell(&self, event: Progress) {
        self.state().events.push_back(event);
        self.wake();
    }

    fn finish(&self, result: Outcome) {
        {
            let mut state = self.state();
            state.result = Some(result);
            state.has_ended = true;
        }
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        if self.state().waker.is_none() {
            return;
        }
        // An interpreter that has ended waits for nothing any more.
        Python::try_attach(|py| {
            let waker = self.state().waker.as_ref().map(|waker| waker.clone_ref(py));
            if let Some(waker) = waker {
                // A loop that was closed has nobody to wake; whoever closed it was told by the loop.
                let _closed = waker.call0(py);
            }
        });
    }
}

/// What a job's work gets, to tell how far it is and to see whether it shall stop.
pub(crate) type Watched = Arc<Shared>;

/// Starts work that changes something: asked to stop, it ends by itself.
pub(crate) fn start<T, F>(work: impl FnOnce(Watched) -> F) -> PyResult<Job>
where
    F: Future<Output = Result<T, Trouble>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    spawn(false, work)
}

/// Starts work that only looks: asked to stop, it is dropped.
pub(crate) fn look<T, F>(work: F) -> PyResult<Job>
where
    F: Future<Output = Result<T, Trouble>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    spawn(true, |_| work)
}

fn spawn<T, F>(only_looks: bool, work: impl FnOnce(Watched) -> F) -> PyResult<Job>
where
    F: Future<Output = Result<T, Trouble>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        changed: Condvar::new(),
        cancelled: AtomicBool::new(false),
    });
    let runtime = runtime()?;
    let task = runtime.spawn(work(Arc::clone(&shared)));
    let abort = task.abort_handle();
    let told = Arc::clone(&shared);
    runtime.spawn(async move {
        let result = match task.await {
            Ok(result) => result,
            Err(ended) if ended.is_panic() => Err(Trouble::Bug(error::words(&*ended.into_panic()))),
            Err(_) => Err(Trouble::failed(
                "cancelled",
                "the end of the work was needed, but it was given up",
                "Look again: an observation tells what took effect.",
            )),
        };
        told.finish(Box::new(move |py| {
            let value = result?.into_pyobject(py).map_err(Into::into)?;
            Ok(value.into_any().unbind())
        }));
    });
    Ok(Job { shared, abort, only_looks })
}

#[pymethods]
impl Job {
    /// Waits until something has happened or the time is up; whether the work has ended.
    fn wait(&self, py: Python<'_>, timeout_seconds: f64) -> bool {
        let timeout = Duration::try_from_secs_f64(timeout_seconds).unwrap_or_default();
        py.detach(|| {
            let state = self.shared.state();
            let nothing_yet = |state: &mut State| state.events.is_empty() && !state.has_ended;
            let waited = self.shared.changed.wait_timeout_while(state, timeout, nothing_yet);
            waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
        })
    }

    /// What has happened since the last call, in order.
    fn events(&self) -> Vec<Progress> {
        self.shared.state().events.drain(..).collect()
    }

    /// Whether the work has ended.
    #[getter]
    fn has_ended(&self) -> bool {
        self.shared.state().has_ended
    }

    /// Calls `waker()`, from any thread, whenever something has happened.
    fn wake_by(&self, waker: Py<PyAny>) {
        self.shared.state().waker = Some(waker);
    }

    /// Asks the work to stop: cleanly where it changes something, at once where it only looks.
    fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::Relaxed);
        if self.only_looks {
            self.abort.abort();
        }
    }

    /// Ends the work wherever it is, as the end of the process would.
    fn abort(&self) {
        self.abort.abort();
    }

    /// The result of work that has ended; can be asked for once.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let result = self.shared.state().result.take();
        match result {
            Some(result) => result(py),
            None => Err(PyRuntimeError::new_err("the result is not there, or was taken before")),
        }
    }
}
