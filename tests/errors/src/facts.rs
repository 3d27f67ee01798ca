//! What is known of each error, and which ones the stand-in leaves out.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What is known of one error. Source: the vendor's message list and pages, and what live instances
/// were seen to send.
#[derive(Debug, Clone, Deserialize)]
pub struct ErrorFact {
    /// The number that clients match on.
    pub number: i32,
    /// 0 to 25; 10 and below is informational.
    pub severity: u8,
    /// The areas that raise it, for example `backup`.
    #[serde(rename = "where")]
    pub areas: Vec<String>,
    /// `documented`, or `unconfirmed` when something in the row rests on no vendor document.
    pub certainty: String,
    /// In a few words.
    pub meaning: String,
    /// Words of its text that tell it apart.
    pub key_words: String,
}

/// Every known error, by number.
pub fn errors() -> BTreeMap<i32, ErrorFact> {
    let rows: Vec<ErrorFact> = serde_json::from_str(include_str!("../errors.json")).unwrap();
    let count = rows.len();
    let by_number: BTreeMap<i32, ErrorFact> =
        rows.into_iter().map(|row| (row.number, row)).collect();
    assert_eq!(by_number.len(), count, "a number stands twice in errors.json");
    by_number
}

/// Why numbers are left out, and what happens instead.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// Why.
    pub reason: String,
    /// What the stand-in does instead.
    pub instead: String,
    /// Which.
    pub numbers: Vec<i32>,
}

/// The groups of `not_supported.txt`: a reason, a line `instead: …`, lines of numbers.
pub fn not_supported() -> Vec<LeftOut> {
    let mut groups: Vec<LeftOut> = Vec::new();
    for line in include_str!("../not_supported.txt").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            let group = groups.last_mut().expect("numbers follow a reason");
            assert!(!group.instead.is_empty(), "`{}` has no `instead:`", group.reason);
            group.numbers.extend(line.split_whitespace().map(|n| n.parse::<i32>().unwrap()));
        } else if let Some(instead) = line.strip_prefix("instead:") {
            groups.last_mut().expect("`instead:` follows a reason").instead =
                instead.trim().to_owned();
        } else {
            let reason = line.to_owned();
            groups.push(LeftOut { reason, instead: String::new(), numbers: Vec::new() });
        }
    }
    groups
}
