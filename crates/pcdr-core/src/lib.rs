//! pcdr's core: from what was designed and what was seen to a verified plan, and through its run.
//!
//! No socket, no clock, no file, no randomness, no async runtime: everything that touches the world
//! is a [port](ports) that somebody else implements.
//!
//! ```
//! use std::collections::BTreeSet;
//! use pcdr_core::{mock::MockWorld, observe::observe, run::plan};
//! use pcdr_core::{Consent, Intent, Situation, Topology};
//!
//! # fn block_on<F: Future>(f: F) -> F::Output {
//! #     let mut f = std::pin::pin!(f);
//! #     let mut c = std::task::Context::from_waker(std::task::Waker::noop());
//! #     loop { if let std::task::Poll::Ready(o) = f.as_mut().poll(&mut c) { return o } }
//! # }
//! let topology = Topology::parse(pcdr_core::topology::EXAMPLE)?;
//! let world = MockWorld::new(topology.clone()); // your own ports in a real tool
//! world.ship("mgc", 1000, 1100);
//! ["sql-n1", "sql-n2", "sql-n3"].map(|lost| world.lose_instance(lost));
//!
//! let observation = block_on(observe(&topology, &world.ports(), "me", None));
//! let nothing = BTreeSet::new();
//! let situation = Situation::new(&topology, &observation, &nothing, world.now());
//! let refusal = plan(Intent::DisasterFailover, &situation).unwrap_err();
//! assert_eq!(refusal.code(), "primary_loss_not_proved");
//!
//! let confirmed = BTreeSet::from([Consent::PrimarySiteLost]);
//! let situation = Situation { consents: &confirmed, ..situation };
//! let plan = plan(Intent::DisasterFailover, &situation)?;
//! assert_eq!(plan.predicted_losses[0].from_lsn.to_string(), "1100");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod backup;
pub mod chain;
pub mod configure;
pub mod conformance;
pub mod consent;
pub mod discover;
pub mod drift;
pub mod drill;
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
pub mod preflight;
pub mod refusal;
mod release;
pub mod remove;
pub mod rights;
pub mod run;
pub mod schedule;
pub mod settings;
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
