//! `pcdr._pcdr`: what the Python package `pcdr` is made of.
//!
//! Conversions between Rust and Python and nothing else: what is decided is decided in `pcdr-core`, and
//! files, journals and stand-ins are those of the command. Whatever takes time is a `Job` on the
//! runtime's threads, which the package waits for, blocking or in asyncio, with the interpreter released.

mod calls;
mod error;
mod event;
mod job;
mod observation;
mod plan;
mod ports;
mod python_port;
mod report;
mod runtime;
mod servers;
mod status;
mod step;
mod topology;
mod values;

use pyo3::prelude::*;

/// The native part of the package `pcdr`.
#[pymodule]
mod _pcdr {
    #[pymodule_export]
    use super::calls::{apply, observe, plan, plan_from, sim, status, status_from};
    #[pymodule_export]
    use super::event::Progress;
    #[pymodule_export]
    use super::job::Job;
    #[pymodule_export]
    use super::observation::Observation;
    #[pymodule_export]
    use super::plan::{Plan, PredictedLoss};
    #[pymodule_export]
    use super::ports::Ports;
    #[pymodule_export]
    use super::python_port::StepProgress;
    #[pymodule_export]
    use super::report::{Report, StepReport};
    #[pymodule_export]
    use super::servers::StandIns;
    #[pymodule_export]
    use super::status::Status;
    #[pymodule_export]
    use super::step::Step;
    #[pymodule_export]
    use super::topology::{Instance, Topology, Violation, example};
}
