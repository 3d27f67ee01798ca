//! What pcdr itself reads: topologies, plans, observations, journals, positions, times.

use std::collections::BTreeSet;
use std::str::FromStr;

use pcdr_cli::views::PlanDocument;
use pcdr_core::mock::MockWorld;
use pcdr_core::observe::observe;
use pcdr_core::run::plan;
use pcdr_core::{Consent, Guid, Intent, Lsn, Observation, Situation, Timestamp, Topology};
use pcdr_tests::Random;

use crate::bytes::{damage, damage_text, pick};
use crate::tally::{Layer, Tally};
use crate::{case, guarded};

/// A topology whose primary site is lost after a few log backups, and what was seen of it.
fn struck() -> (Topology, Observation) {
    let topology = Topology::parse(pcdr_tests::STRETCHED).unwrap();
    let world = MockWorld::new(topology.clone());
    for database in topology.databases() {
        for i in 0..4 {
            world.ship(database.as_str(), 1000 + i * 100, 1100 + i * 100);
        }
    }
    for name in ["sql-n1", "sql-n2", "sql-n3"] {
        world.lose_instance(name);
    }
    let seen = pcdr_tests::virtually(observe(&topology, &world.ports(), "fuzz", None));
    (topology, seen)
}

pub(crate) fn round(random: &mut Random, cases: u64, tally: &mut Tally) {
    let (topology, seen) = struck();
    let consents = BTreeSet::from([Consent::PrimarySiteLost, Consent::WithoutMirror]);
    let situation = Situation::new(&topology, &seen, &consents, seen.taken_at);
    let made = plan(Intent::DisasterFailover, &situation).unwrap();
    let document = pcdr_cli::plan::document(&topology, &made);
    let document = serde_json::to_string(&document).unwrap();
    let observation = serde_json::to_string(&seen).unwrap();
    for _ in 0..cases {
        tally.count(Layer::Documents);
        let seed = random.below(u64::MAX);
        let mut own = Random(seed);
        let random = &mut own;
        let kind = random.below(6);
        let original = match kind {
            0 | 1 => pcdr_tests::STRETCHED,
            2 => &document,
            _ => &observation,
        };
        let text = damage_text(random, original);
        case(format!("document of kind {kind}, seed {seed}"));
        guarded(|| match kind {
            0 | 1 => {
                if Topology::parse(&text).is_ok() {
                    tally.note("topology read");
                }
            }
            2 => {
                let mut bytes = document.clone().into_bytes();
                damage(random, &mut bytes);
                let _no_plan = serde_json::from_slice::<PlanDocument>(&bytes);
                if let Ok(document) = serde_json::from_str::<PlanDocument>(&text) {
                    tally.note("plan read");
                    for step in &document.plan.steps {
                        assert!(!step.to_string().is_empty());
                    }
                }
            }
            3 => {
                let word = pick(
                    random,
                    &[
                        "2026-03-01T10:00:00Z",
                        "34000000077700001",
                        "primary-site-lost",
                        "0b0c0d0e-0f10-1112-1314-151617181920",
                    ],
                );
                let word = damage_text(random, word);
                let _refused = (
                    Lsn::from_str(&word),
                    Guid::from_str(&word),
                    Timestamp::from_str(&word).map(|t| t.to_string()),
                    Consent::from_str(&word),
                );
            }
            _ => {
                let Ok(seen) = serde_json::from_str::<Observation>(&text) else { return };
                // Half of the time the operator has consented to nothing.
                let none = BTreeSet::new();
                let given = if random.below(2) == 0 { &consents } else { &none };
                let situation = Situation::new(&topology, &seen, given, seen.taken_at);
                match plan(Intent::DisasterFailover, &situation) {
                    Ok(plan) => {
                        tally.note("observation planned");
                        assert!(plan.steps.iter().all(|step| !step.to_string().is_empty()));
                    }
                    Err(refusal) => {
                        tally.note("observation refused");
                        assert!(!refusal.to_string().is_empty() && !refusal.remedy().is_empty());
                    }
                }
            }
        });
    }
}
