//! Reading the TOML form of a topology.

use super::{Topology, Violations};

pub(super) fn parse(_text: &str) -> Result<Topology, Violations> {
    super::rules::check();
    Err(Violations(Vec::new()))
}
