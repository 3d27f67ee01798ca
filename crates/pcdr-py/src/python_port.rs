//! Ports that are implemented in Python: plain methods or coroutine functions, plain data in and out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pcdr_core::journal::Entry;
use pcdr_core::observation::PoolObservation;
use pcdr_core::ports::{Owner, PoolControl, Progress, RunLock, RunStore};
use pcdr_core::step::PoolAction;
use pcdr_core::{ErrorCode, InstanceError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::RaisedInPython;
use crate::values;

/// How often a running step is told whether it shall stop, and asked how far it is.
const TURN: Duration = Duration::from_millis(50);

/// What code in Python raised last in one call of the package.
pub(crate) type Raised = Arc<Mutex<Option<PyErr>>>;

/// An object in Python that is a port, for the time of one call of the package.
#[derive(Clone)]
pub(crate) struct Object(Arc<Inner>);

struct Inner {
    object: Arc<Py<PyAny>>,
    /// Where its coroutines run; None: in a loop of the package's own.
    event_loop: Option<Py<PyAny>>,
    what: &'static str,
    raised: Raised,
}

/// What a method is given.
enum Argument {
    Plain(Value),
    Progress(Arc<Shared>),
}

impl Object {
    pub(crate) fn new(
        object: Arc<Py<PyAny>>,
        event_loop: Option<Py<PyAny>>,
        what: &'static str,
        raised: Raised,
    ) -> Object {
        Object(Arc::new(Inner { object, event_loop, what, raised }))
    }

    /// Calls a method on a thread that may wait, and gives what it gives back, or what its awaitable does.
    async fn call(
        &self,
        method: &'static str,
        arguments: Vec<Argument>,
    ) -> Result<Py<PyAny>, InstanceError> {
        let this = self.clone();
        let called = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| {
                let Inner { object, event_loop, .. } = &*this.0;
                let arguments = arguments.into_iter().map(|argument| match argument {
                    Argument::Plain(value) => values::to_python(py, &value),
                    Argument::Progress(shared) => {
                        Ok(Bound::new(py, StepProgress { shared })?.into_any())
                    }
                });
                let arguments = PyTuple::new(py, arguments.collect::<PyResult<Vec<_>>>()?)?;
                let answer = object.bind(py).call_method1(method, arguments)?;
                let settled = py.import("pcdr._loops")?.getattr("settled")?;
                Ok(settled.call1((answer, event_loop.as_ref()))?.unbind())
            })
        });
        match called.await {
            Ok(Some(Ok(answer))) => Ok(answer),
            Ok(Some(Err(raised))) => Err(self.failed(method, raised)),
            Ok(None) | Err(_) => Err(self.error(
                ErrorCode::Cancelled,
                method,
                "the interpreter has ended".to_owned(),
            )),
        }
    }

    /// The same for a method that gives plain data.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        arguments: Vec<Argument>,
    ) -> Result<T, InstanceError> {
        let answer = self.call(method, arguments).await?;
        let read = Python::try_attach(|py| values::from_python(answer.bind(py), method));
        let value = match read {
            Some(Ok(value)) => value,
            Some(Err(raised)) => return Err(self.failed(method, raised)),
            None => Value::Null,
        };
        serde_json::from_value(value).map_err(|error| {
            let found = format!("what it gave back is something else: {error}");
            self.error(ErrorCode::Protocol, method, found)
        })
    }

    fn error(&self, code: ErrorCode, method: &str, found: String) -> InstanceError {
        let needed = format!("an answer of its method {method} was needed");
        InstanceError::new(code, self.0.what, needed, found, "Look at its code in Python.")
    }

    /// An exception as an error of the world; one of `pcdr.InstanceError` keeps its code.
    fn failed(&self, method: &str, raised: PyErr) -> InstanceError {
        let mut code = ErrorCode::Server;
        let found = Python::try_attach(|py| {
            let value = raised.value(py);
            let named = value.getattr("code").and_then(|code| code.extract::<String>());
            if let Ok(known) = serde_json::from_value(Value::from(named.unwrap_or_default())) {
                code = known;
            }
            let mut last = self.0.raised.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(raised.clone_ref(py));
            format!("it raised {raised}")
        });
        let mut error = self.error(code, method, found.unwrap_or_default());
        error.source = Some(Arc::new(RaisedInPython(raised)));
        error
    }

    fn plain<T: Serialize>(&self, method: &str, value: &T) -> Result<Argument, InstanceError> {
        let value = serde_json::to_value(value);
        value.map(Argument::Plain).map_err(|error| {
            self.error(
                ErrorCode::Protocol,
                method,
                format!("it cannot be told what to do: {error}"),
            )
        })
    }
}

/// How far a step in Python is, and whether it shall stop.
#[derive(Default)]
struct Shared {
    reports: Mutex<Vec<(f32, String)>>,
    is_cancelled: AtomicBool,
}

impl Shared {
    fn pass_on(&self, progress: &dyn Progress) {
        let reports =
            std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner));
        for (percent, detail) in reports {
            progress.report(percent, &detail);
        }
        self.is_cancelled.store(progress.is_cancelled(), Ordering::Relaxed);
    }
}

/// What a step in Python tells and asks.
#[pyclass(frozen, module = "pcdr")]
pub(crate) struct StepProgress {
    shared: Arc<Shared>,
}

#[pymethods]
impl StepProgress {
    #[pyo3(signature = (percent, detail=""))]
    fn report(&self, percent: f32, detail: &str) {
        let mut reports = self.shared.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.push((percent, detail.to_owned()));
    }

    #[getter]
    fn is_cancelled(&self) -> bool {
        self.shared.is_cancelled.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl PoolControl for Object {
    async fn observe(&self) -> Result<PoolObservation, InstanceError> {
        self.ask("observe", Vec::new()).await
    }

    async fn run(&self, action: &PoolAction, progress: &dyn Progress) -> Result<(), InstanceError> {
        let shared = Arc::new(Shared::default());
        shared.pass_on(progress);
        let told = Argument::Progress(Arc::clone(&shared));
        let run = self.call("run", vec![self.plain("run", action)?, told]);
        tokio::pin!(run);
        loop {
            tokio::select! {
                ended = &mut run => {
                    shared.pass_on(progress);
                    return ended.map(|_| ());
                }
                () = tokio::time::sleep(TURN) => shared.pass_on(progress),
            }
        }
    }
}

/// What a run store in Python gave for its lock.
struct HeldLock(Py<PyAny>);

impl RunLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // An interpreter that has ended holds no lock any more.
        Python::try_attach(|py| {
            if let Err(raised) = self.0.bind(py).call_method0("release") {
                raised.write_unraisable(py, Some(self.0.bind(py)));
            }
        });
    }
}

#[async_trait]
impl RunStore for Object {
    async fn lock(&self, owner: &Owner) -> Result<Box<dyn RunLock>, InstanceError> {
        let lock = self.call("lock", vec![self.plain("lock", owner)?]).await?;
        Ok(Box::new(HeldLock(lock)))
    }

    async fn append(&self, entry: &Entry) -> Result<(), InstanceError> {
        self.call("append", vec![self.plain("append", entry)?]).await.map(|_| ())
    }

    async fn entries(&self) -> Result<Vec<Entry>, InstanceError> {
        self.ask("entries", Vec::new()).await
    }
}
