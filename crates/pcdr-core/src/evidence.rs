//! Whether the primary site is lost: what each vantage point says.
//!
//! An unreachable instance is evidence, not proof: the network between it and the observer may be
//! what is lost. The evidence suffices when no instance of the primary site that could serve the
//! databases answers the observer, *and* a second, independent vantage point agrees: no log backup has
//! arrived in the backup share for longer than the backup threshold.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::known::Known;
use crate::observation::Observation;
use crate::time::{Timestamp, readable};
use crate::topology::{Role, Topology};

/// Everything known about the loss of the primary site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// One claim for each vantage point and instance.
    pub claims: Vec<Claim>,
}

/// What one vantage point says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Who or what looked.
    pub vantage: String,
    /// What it found.
    pub found: String,
    /// What that says about the loss.
    pub says: Says,
}

/// What a claim says about the loss of the primary site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It is lost.
    Lost,
    /// It is alive.
    Alive,
    /// Nothing, either way.
    Nothing,
}

impl Evidence {
    /// Whether the evidence suffices without an operator's consent.
    pub fn suffices(&self) -> bool {
        let lost = |claim: &&Claim| claim.says == Says::Lost;
        let vantages: std::collections::BTreeSet<&str> =
            self.claims.iter().filter(lost).map(|claim| claim.vantage.as_str()).collect();
        let contradicted = self.claims.iter().any(|claim| claim.says == Says::Alive);
        let controller_saw_all = self
            .claims
            .iter()
            .filter(|claim| claim.vantage == CONTROLLER)
            .all(|claim| claim.says == Says::Lost);
        !contradicted && controller_saw_all && vantages.len() >= 2
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, claim) in self.claims.iter().enumerate() {
            let separator = if i > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {}", claim.vantage, claim.found)?;
        }
        Ok(())
    }
}

const CONTROLLER: &str = "controller";
const BACKUP_SHARE: &str = "backup share";

/// Collects what each vantage point says.
pub fn collect(topology: &Topology, observation: &Observation, now: Timestamp) -> Evidence {
    let mut claims = Vec::new();
    for instance in topology.instances() {
        if !matches!(instance.role, Role::Primary | Role::PrimaryMirror) {
            continue;
        }
        let (found, says) = match observation.instance(&instance.name) {
            Known::Known(_) => (format!("{} answers", instance.name), Says::Alive),
            Known::Unknown(reason) if reason.code == "unreachable" => {
                (format!("{} cannot be reached", instance.name), Says::Lost)
            }
            Known::Unknown(reason) => {
                // A server that refuses a login or shows a certificate is there.
                let there =
                    matches!(reason.code.as_str(), "login_failed" | "certificate_not_trusted");
                let says = if there { Says::Alive } else { Says::Nothing };
                (format!("{} could not be observed: {reason}", instance.name), says)
            }
        };
        claims.push(Claim { vantage: CONTROLLER.into(), found, says });
    }
    claims.push(backup_share(topology, observation, now));
    Evidence { claims }
}

/// The backup share as a witness: has the primary shipped a log backup lately?
fn backup_share(topology: &Topology, observation: &Observation, now: Timestamp) -> Claim {
    let threshold_minutes = u64::try_from(topology.log_shipping().backup_threshold_minutes);
    let threshold = Duration::from_secs(threshold_minutes.unwrap_or(0) * 60);
    let shares = observation.log_backups.values().filter_map(|files| files.share.known());
    let newest = shares
        .flatten()
        .filter_map(|file| file.header.known())
        .map(|header| header.finished_at)
        .max();
    let (found, says) = match newest {
        Some(at) if now.since(at) > threshold => (
            format!(
                "the newest log backup is {} old, more than the threshold of {}",
                readable(now.since(at)),
                readable(threshold)
            ),
            Says::Lost,
        ),
        Some(at) => (
            format!(
                "the newest log backup is {} old, less than the threshold of {}",
                readable(now.since(at)),
                readable(threshold)
            ),
            Says::Nothing,
        ),
        None => ("no log backup can be read".to_owned(), Says::Nothing),
    };
    Claim { vantage: BACKUP_SHARE.into(), found, says }
}
