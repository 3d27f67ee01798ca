//! Licences and sources of everything in `Cargo.lock`, against `deny.toml`.
//!
//! A small part of what cargo-deny does, so that a machine without it is not without a check.

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::report::Checked;

/// Where every dependency must come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks each package's licence, source and name against `deny.toml`.
pub(crate) fn check(shell: &Shell) -> Checked {
    let policy = Policy::read(shell)?;
    let metadata = cmd!(shell, "cargo metadata --locked --format-version 1 --all-features")
        .quiet()
        .read()
        .map_err(|error| error.to_string())?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("cargo metadata printed something else than JSON: {error}"))?;
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let problems: Vec<String> =
        packages.iter().flat_map(|package| policy.problems_with(package)).collect();
    if packages.is_empty() {
        Err("cargo metadata names no packages".to_owned())
    } else if problems.is_empty() {
        Ok(format!("{} packages", packages.len()))
    } else {
        Err(problems.join("\n"))
    }
}

/// What `deny.toml` says, as far as it is checked here.
struct Policy {
    allowed_licences: Vec<String>,
    denied_crates: Vec<String>,
}

impl Policy {
    fn read(shell: &Shell) -> Result<Self, String> {
        let text = shell.read_file("deny.toml").map_err(|error| error.to_string())?;
        let table: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
        let list = |section: &str, key: &str| -> Result<Vec<toml::Value>, String> {
            let entries = table.get(section).and_then(|section| section.get(key)?.as_array());
            entries.cloned().ok_or_else(|| format!("deny.toml needs a list {section}.{key}"))
        };
        let texts = |values: Vec<toml::Value>| -> Vec<String> {
            values.iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect()
        };
        // Entries that only limit the number of versions, or the crates that may use one, are left to
        // cargo-deny.
        let denied = list("bans", "deny")?
            .into_iter()
            .filter(|entry| {
                entry.get("deny-multiple-versions").is_none() && entry.get("wrappers").is_none()
            })
            .filter_map(|entry| entry.get("crate").cloned())
            .collect();
        Ok(Self {
            allowed_licences: texts(list("licenses", "allow")?),
            denied_crates: texts(denied),
        })
    }

    fn problems_with(&self, package: &Value) -> Vec<String> {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = text("name");
        let mut problems = Vec::new();
        if self.denied_crates.iter().any(|denied| denied == name) {
            problems.push(format!("{name} is denied by deny.toml; see cargo tree -i {name}"));
        }
        // A workspace member has no source.
        if let Some(source) = package["source"].as_str()
            && source != CRATES_IO
        {
            problems.push(format!("{name} comes from {source}, needed is crates.io"));
        }
        match satisfied(text("license"), &self.allowed_licences) {
            Some(true) => {}
            Some(false) => problems.push(format!(
                "{name} is licensed as '{}', which deny.toml does not allow",
                text("license")
            )),
            None => problems.push(format!(
                "{name} names its licence as '{}', which is no SPDX expression",
                text("license")
            )),
        }
        problems
    }
}

/// Whether the SPDX expression can be satisfied by the allowed licences; nothing when it is none.
fn satisfied(expression: &str, allowed: &[String]) -> Option<bool> {
    // `/` is cargo's older spelling of OR.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let result = any_of(&words, &mut at, allowed)?;
    (at == words.len()).then_some(result)
}

/// `a OR b`
fn any_of(words: &[&str], at: &mut usize, allowed: &[String]) -> Option<bool> {
    let mut result = all_of(words, at, allowed)?;
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        result |= all_of(words, at, allowed)?;
    }
    Some(result)
}

/// `a AND b`, which binds closer than OR
fn all_of(words: &[&str], at: &mut usize, allowed: &[String]) -> Option<bool> {
    let mut result = one(words, at, allowed)?;
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        result &= one(words, at, allowed)?;
    }
    Some(result)
}

/// `a`, `a WITH exception` or `( … )`
fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> Option<bool> {
    let word = *words.get(*at)?;
    *at += 1;
    match word {
        "(" => {
            let result = any_of(words, at, allowed)?;
            let closed = words.get(*at) == Some(&")");
            *at += 1;
            closed.then_some(result)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        licence => {
            let mut licence = licence.to_owned();
            if words.get(*at) == Some(&"WITH") {
                licence = format!("{licence} WITH {}", words.get(*at + 1)?);
                *at += 2;
            }
            Some(allowed.contains(&licence))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_mit_and_isc(expression: &str) -> Option<bool> {
        satisfied(expression, &["MIT".to_owned(), "ISC".to_owned()])
    }

    #[test]
    fn one_of_several_choices_is_enough() {
        assert_eq!(with_mit_and_isc("MIT OR LGPL-2.1-or-later"), Some(true));
        assert_eq!(with_mit_and_isc("GPL-3.0/MIT"), Some(true));
        assert_eq!(with_mit_and_isc("GPL-3.0 OR LGPL-2.1-or-later"), Some(false));
    }

    #[test]
    fn every_joined_licence_is_needed() {
        assert_eq!(with_mit_and_isc("ISC AND (GPL-3.0 OR MIT)"), Some(true));
        assert_eq!(with_mit_and_isc("ISC AND GPL-3.0"), Some(false));
        assert_eq!(with_mit_and_isc("GPL-3.0 AND ISC OR MIT"), Some(true));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert_eq!(with_mit_and_isc("MIT WITH something"), Some(false));
    }

    #[test]
    fn what_is_no_expression_is_told_from_a_refused_one() {
        for text in ["", "MIT OR", "(MIT", "MIT ISC", "OR", "MIT WITH"] {
            assert_eq!(with_mit_and_isc(text), None, "{text}");
        }
    }
}
