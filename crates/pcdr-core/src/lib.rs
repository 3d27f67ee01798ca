//! pcdr's core: from what was designed and what was seen to a verified plan, and through its run.
//!
//! No socket, no clock, no file, no randomness, no async runtime: everything that touches the world
//! is a [port](ports) that somebody else implements.

pub mod backup;
pub mod chain;
pub mod configure;
pub mod conformance;
pub mod consent;
pub mod effect;
pub mod error;
mod estimate;
pub mod evidence;
pub mod execution;
pub mod failover;
pub mod invariants;
pub mod journal;
pub mod known;
pub mod lsn;
pub mod mock;
pub mod model;
pub mod name;
pub mod observation;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod refusal;
pub mod run;
pub mod status;
pub mod step;
pub mod time;
pub mod topology;

pub use consent::Consent;
pub use error::{ErrorCode, InstanceError};
pub use known::{Known, Reason};
pub use lsn::{Guid, Lsn};
pub use name::{DatabaseName, InstanceName, PoolName, ServerName, ShareName, SiteName};
pub use observation::Observation;
pub use plan::{Intent, Plan, PlanContent, Situation};
pub use refusal::Refusal;
pub use step::{Action, Step, StepId};
pub use time::Timestamp;
pub use topology::Topology;
