//! The journal of a run: who did what, when, with what result, each entry sealed to the one before.

use serde::{Deserialize, Serialize};

use crate::drill::DrillRecord;
use crate::time::Timestamp;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Position in the journal, from 1.
    pub number: u64,
    /// When, by the runner's clock.
    pub at: Timestamp,
    /// The run.
    pub run: String,
    /// Who runs it.
    pub who: String,
    /// What happened.
    pub event: Event,
    /// Seal of the entry before; zeros in the first. Hexadecimal.
    pub previous: String,
    /// Seal of this entry over everything above it. Hexadecimal.
    pub seal: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A run began with this plan.
    RunStarted {
        /// The intent's name.
        intent: String,
        /// Every step's wording, in order.
        steps: Vec<String>,
        /// Named consents that the operator gave.
        consents: Vec<String>,
    },
    /// A step began.
    StepStarted {
        /// Step number.
        step: u32,
        /// Wording.
        action: String,
    },
    /// A step's effect was observed.
    StepSucceeded {
        /// Step number.
        step: u32,
        /// The effect was there before the step ran.
        already: bool,
    },
    /// A step failed.
    StepFailed {
        /// Step number.
        step: u32,
        /// The error's code.
        code: String,
        /// The error's text.
        message: String,
    },
    /// A drill of one database ended: what it proved, or what kept it from that.
    Drilled(DrillRecord),
    /// The run ended.
    RunEnded {
        /// Whether every step succeeded.
        succeeded: bool,
    },
}

impl Entry {
    /// An entry that follows `previous` (`None`: the first).
    pub fn following(
        previous: Option<&Entry>,
        at: Timestamp,
        run: &str,
        who: &str,
        event: Event,
    ) -> Entry {
        let mut entry = Entry {
            number: previous.map_or(1, |entry| entry.number + 1),
            at,
            run: run.to_owned(),
            who: who.to_owned(),
            event,
            previous: previous.map_or_else(|| "0".repeat(64), |entry| entry.seal.clone()),
            seal: String::new(),
        };
        entry.seal = entry.expected_seal();
        entry
    }

    fn expected_seal(&self) -> String {
        let content = (&self.number, &self.at, &self.run, &self.who, &self.event, &self.previous);
        let bytes = serde_json::to_vec(&content).expect("plain data always serialises");
        blake3::hash(&bytes).to_hex().to_string()
    }
}

/// The number of the first entry that does not follow from the ones before it: changed, lost or added.
///
/// ```
/// use pcdr_core::journal::{first_broken, Entry, Event};
/// use pcdr_core::Timestamp;
///
/// let at = Timestamp::from_unix_millis(0);
/// let first = Entry::following(None, at, "run-1", "me", Event::RunEnded { succeeded: true });
/// let mut second =
///     Entry::following(Some(&first), at, "run-1", "me", Event::RunEnded { succeeded: true });
/// assert_eq!(first_broken(&[first.clone(), second.clone()]), None);
/// second.who = "somebody else".to_owned();
/// assert_eq!(first_broken(&[first, second]), Some(2));
/// ```
pub fn first_broken(entries: &[Entry]) -> Option<u64> {
    let zeros = "0".repeat(64);
    let mut previous: &str = &zeros;
    for (entry, number) in entries.iter().zip(1..) {
        if entry.number != number
            || entry.previous != previous
            || entry.seal != entry.expected_seal()
        {
            return Some(number);
        }
        previous = &entry.seal;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for step in 1..=5 {
            let event = Event::StepSucceeded { step, already: false };
            let at = Timestamp::from_unix_millis(i64::from(step));
            entries.push(Entry::following(entries.last(), at, "r1", "me", event));
        }
        entries
    }

    #[test]
    fn an_untouched_journal_is_whole() {
        assert_eq!(first_broken(&journal()), None);
    }

    #[test]
    fn a_changed_removed_or_reordered_entry_is_found() {
        let mut changed = journal();
        changed[2].event = Event::StepSucceeded { step: 3, already: true };
        assert_eq!(first_broken(&changed), Some(3));
        let mut removed = journal();
        removed.remove(1);
        assert_eq!(first_broken(&removed), Some(2));
        let mut reordered = journal();
        reordered.swap(3, 4);
        assert_eq!(first_broken(&reordered), Some(4));
    }
}
