//! The page of assumptions, the checks and the statement builders keep step with each other.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pcdr_real::checks;
use pcdr_real::survey::Need;

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/certainty.md");
    std::fs::read_to_string(page).unwrap()
}

/// Of each assumption, by its id: the text up to the next heading.
fn assumptions(page: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for section in page.split("\n### ").skip(1) {
        let (id, rest) = section.split_once(':').expect("an id and a colon");
        let text = rest.split("\n## ").next().unwrap();
        assert!(found.insert(id.to_owned(), text.to_owned()).is_none(), "{id} stands there twice");
    }
    found
}

/// The check that a paragraph names.
fn decided_by(text: &str) -> Vec<&str> {
    let after = text.split("*Decided by*").nth(1).unwrap_or_default();
    after.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_assumption_says_where_it_matters_what_breaks_and_which_check_decides_it() {
    let page = page();
    let assumptions = assumptions(&page);
    assert!(assumptions.len() >= 37);
    for (id, text) in &assumptions {
        assert!(id.strip_prefix('A').is_some_and(|n| n.parse::<u32>().is_ok()), "{id}");
        assert!(text.contains("*Matters in*") && text.contains("*If false*"), "{id}");
        let named = decided_by(text);
        assert_eq!(named.len(), 1, "{id}: {named:?}");
        let check = checks::all().find(|check| check.name == named[0]);
        let check = check.unwrap_or_else(|| panic!("{id}: there is no check {}", named[0]));
        assert!(check.decides.contains(&id.as_str()), "{id}: {} does not know it", check.name);
    }
}

#[test]
fn every_check_that_decides_something_names_an_assumption_of_the_page() {
    let page = page();
    let assumptions = assumptions(&page);
    let mut decided = BTreeSet::new();
    for check in checks::all() {
        for id in check.decides {
            let text = assumptions.get(*id).unwrap_or_else(|| panic!("{}: {id}", check.name));
            assert_eq!(decided_by(text), [check.name], "{id}");
            assert!(decided.insert(*id), "{id} is decided twice");
        }
    }
    assert_eq!(decided.len(), assumptions.len());
}

#[test]
fn names_of_checks_are_unique_and_every_need_is_needed() {
    let names: BTreeSet<&str> = checks::all().map(|check| check.name).collect();
    assert_eq!(names.len(), checks::all().count());
    for need in Need::ALL {
        assert!(checks::all().any(|check| check.needs.contains(&need)), "{need:?}");
    }
}

#[test]
fn every_statement_builder_is_carried_out_by_a_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/pcdr-sql/src/statement");
    let mut builders = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let module = match path.file_stem().unwrap().to_str().unwrap() {
            "mod" => "statement",
            module => module,
        }
        .to_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let Some(signature) = line.strip_prefix("pub fn ") else { continue };
            let name = signature.split(['(', '<']).next().unwrap();
            builders.insert(format!("{module}::{name}"));
        }
    }
    // It lists the others, and builds nothing of its own.
    assert!(builders.remove("statement::samples"));
    let carried_out: BTreeSet<String> =
        checks::all().flat_map(|check| check.carries_out).map(|name| (*name).to_owned()).collect();
    assert_eq!(builders, carried_out);
}
