//! The book names every code that a user can meet.
#![allow(clippy::unwrap_used, missing_docs)]

use pcdr_core::Consent;
use pcdr_core::discover::{Code, Kind};
use pcdr_core::topology::ALL_CODES;

const TOPOLOGY: &str = include_str!("../../../docs/src/topology.md");
const DISCOVER: &str = include_str!("../../../docs/src/discover.md");
const REFUSALS: &str = include_str!("../../../docs/src/refusals.md");

#[test]
fn every_topology_code_is_in_the_book() {
    let missing: Vec<_> =
        ALL_CODES.iter().filter(|code| !TOPOLOGY.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_code_of_a_discovery_is_in_the_book_under_what_it_means() {
    let sections = [
        (Kind::Question, "A *question*"),
        (Kind::Incomplete, "What is *incomplete*"),
        (Kind::Differs, "What *differs*"),
        (Kind::Note, "A *note*"),
    ];
    for code in Code::ALL {
        let (_, head) = sections.iter().find(|(kind, _)| *kind == code.kind()).unwrap();
        let section = DISCOVER.split(head).nth(1).unwrap().split("\n\n").next().unwrap();
        assert!(section.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
    }
}

#[test]
fn every_consent_and_every_refusal_code_is_in_the_book() {
    for consent in Consent::ALL {
        assert!(REFUSALS.contains(&format!("`{consent}`")), "{consent}");
    }
    let source = include_str!("../src/refusal.rs");
    let codes: Vec<&str> = source
        .lines()
        .filter(|line| line.trim_start().starts_with("Refusal::"))
        .filter_map(|line| line.split("=> \"").nth(1)?.strip_suffix("\","))
        .collect();
    assert!(codes.len() >= 17, "{codes:?}");
    for code in codes {
        assert!(REFUSALS.contains(&format!("| `{code}` |")), "{code}");
    }
}
