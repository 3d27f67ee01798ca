//! What a run has done, and how deep it got.

use std::collections::BTreeMap;
use std::time::Duration;

/// What is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// Packets of a client, to the served engine.
    Packets,
    /// Batches, to a session of the engine.
    Statements,
    /// Answers of a server, to the driver and pcdr's cells.
    Answers,
    /// Backup files, to the reader and the statements that read them.
    Files,
    /// Topologies, plans and observations, to pcdr.
    Documents,
}

impl Layer {
    pub(crate) const ALL: [Layer; 5] =
        [Layer::Packets, Layer::Statements, Layer::Answers, Layer::Files, Layer::Documents];

    /// The layer's share of all cases.
    pub(crate) fn percent(self) -> u64 {
        match self {
            Layer::Packets => 50,
            Layer::Statements => 34,
            Layer::Answers => 10,
            Layer::Files => 1,
            Layer::Documents => 5,
        }
    }
}

/// What has to happen in every run, or the cases get nowhere.
pub(crate) const SOMETIMES: [(Layer, &str); 21] = [
    (Layer::Packets, "logged in"),
    (Layer::Packets, "answered with rows"),
    (Layer::Packets, "answered with an error"),
    (Layer::Packets, "attention acknowledged"),
    (Layer::Packets, "transaction begun"),
    (Layer::Packets, "connection closed as malformed"),
    (Layer::Statements, "statement succeeded"),
    (Layer::Statements, "statement with rows"),
    (Layer::Statements, "statement refused while compiling"),
    (Layer::Statements, "statement failed while running"),
    (Layer::Statements, "nesting refused"),
    (Layer::Statements, "cancelled"),
    (Layer::Answers, "damaged answer read"),
    (Layer::Answers, "damaged answer refused"),
    (Layer::Answers, "damaged login refused"),
    (Layer::Files, "file restored"),
    (Layer::Files, "file refused"),
    (Layer::Documents, "topology read"),
    (Layer::Documents, "plan read"),
    (Layer::Documents, "observation planned"),
    (Layer::Documents, "observation refused"),
];

/// What was done, and how often something happened that shows that the cases get anywhere.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: BTreeMap<Layer, (u64, Duration)>,
    sometimes: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.sometimes.entry(what).or_default() += 1;
    }

    /// One more case.
    pub(crate) fn count(&mut self, layer: Layer) {
        self.done.entry(layer).or_default().0 += 1;
    }

    pub(crate) fn took(&mut self, layer: Layer, time: Duration) {
        self.done.entry(layer).or_default().1 += time;
    }

    pub(crate) fn add(&mut self, other: Tally) {
        for (layer, (cases, time)) in other.done {
            let own = self.done.entry(layer).or_default();
            own.0 += cases;
            own.1 += time;
        }
        for (what, count) in other.sometimes {
            *self.sometimes.entry(what).or_default() += count;
        }
    }

    pub(crate) fn cases(&self) -> u64 {
        self.done.values().map(|(cases, _)| cases).sum()
    }

    pub(crate) fn has(&self, what: &str) -> bool {
        self.sometimes.contains_key(what)
    }

    /// One line for each layer, with what happened in it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |(layer, (cases, time)): (&Layer, &(u64, Duration))| {
            let happened = |(of, what): &(Layer, &'static str)| {
                let count = self.sometimes.get(what).copied().unwrap_or(0);
                (of == layer).then(|| format!("{what} {count}"))
            };
            let happened: Vec<String> = SOMETIMES.iter().filter_map(happened).collect();
            let seconds = time.as_secs_f64();
            format!("{layer:?}: {cases} in {seconds:.0} s of a thread: {}", happened.join(", "))
        };
        self.done.iter().map(line).collect()
    }
}
