//! One stand-in, and what was done to it so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pcdr_cli::workload::Workload;
use pcdr_core::effect::{Effect, effect};
use pcdr_core::model::{Model, Taken};
use pcdr_core::observe::{observe, observe_again};
use pcdr_core::ports::{Ports, Unwatched};
use pcdr_core::step::{FileAction, PoolAction};
use pcdr_core::{
    Action, DatabaseName, ErrorCode, InstanceError, InstanceName, Known, Observation, ServerName,
};
use pcdr_sql::Limits;
use pcdr_tests::{Random, STRETCHED, Stage};

use crate::facts::{Facts, changed};
use crate::kind::Kind;
use crate::verdict::Case;

/// The log-shipped database of the example.
pub(crate) const DATABASE: &str = "mgc";

/// Instances and the partners that their database is mirrored with.
pub(crate) const PARTNERS: [(&str, &str); 4] =
    [("sql-n1", "sql-n2"), ("sql-n2", "sql-n1"), ("sql-s1", "sql-s2"), ("sql-s2", "sql-s1")];

/// So long nothing is done after a change: chat servers have heard of it, and mirroring has settled.
const SETTLE: Duration = Duration::from_secs(3);

/// How much of the history a failure prints.
const REMEMBERED: usize = 60;

pub(crate) struct Walk {
    pub(crate) stage: Stage,
    pub(crate) ports: Ports,
    /// Whose sessions stay in the database.
    pub(crate) squatters: Workload,
    pub(crate) random: Random,
    history: Vec<String>,
    /// Backups that steps took.
    pub(crate) taken: BTreeMap<String, Taken>,
    /// Backups that were taken by hand.
    pub(crate) fulls: Vec<String>,
    pub(crate) logs: Vec<String>,
    pub(crate) down: BTreeSet<&'static str>,
    pub(crate) written: u64,
    stamps: u64,
}

impl Walk {
    pub(crate) async fn begin(seed: u64) -> Walk {
        let stage = Stage::bare(STRETCHED).await;
        let ports = stage.ports_within(Limits {
            query: Duration::from_secs(30),
            job: Duration::from_secs(600),
            mirroring: Duration::from_secs(5),
            sessions: Duration::from_secs(8),
        });
        let squatters = stage.another_program();
        let mut walk = Walk {
            stage,
            ports,
            squatters,
            random: Random(seed),
            history: Vec::new(),
            taken: BTreeMap::new(),
            fulls: Vec::new(),
            logs: Vec::new(),
            down: BTreeSet::new(),
            written: 0,
            stamps: 0,
        };
        walk.furnish().await;
        walk
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    pub(crate) fn note(&mut self, line: String) {
        // The port that a stand-in got from the system is another one in every run.
        let mut parts = line.split("127.0.0.1:");
        let mut line = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            line.push_str("127.0.0.1");
            line.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        self.history.push(line);
    }

    /// All that was done, oldest first.
    pub(crate) fn whole_history(self) -> Vec<String> {
        self.history
    }

    /// What was done last, newest at the end.
    pub(crate) fn history(&self) -> String {
        let from = self.history.len().saturating_sub(REMEMBERED);
        self.history[from..].join("\n")
    }

    pub(crate) fn instance(&mut self) -> InstanceName {
        let name = match self.random.below(20) {
            0..=6 => "sql-n1",
            7..=10 => "sql-n2",
            11..=16 => "sql-s1",
            17..=18 => "sql-s2",
            _ => "sql-n3",
        };
        InstanceName::from(name)
    }

    pub(crate) fn address(&self, instance: &InstanceName) -> String {
        self.stage.topology().instance(instance).expect("in the example").mirroring_address()
    }

    pub(crate) fn in_share(&self, name: &str) -> String {
        format!("{}\\{name}", self.stage.topology().backup_share().unc)
    }

    pub(crate) fn in_copies(&self, name: &str) -> String {
        format!("{}\\{name}", self.stage.topology().copy_share().unc)
    }

    /// Fourteen digits, later than all before: a time as backup jobs write it into names. Walks are
    /// quicker than names, so that it runs ahead of the clock.
    pub(crate) fn stamp(&mut self) -> String {
        self.stamps += 1;
        let seconds = self.stamps;
        let now = self.ports.clock.now().plus(Duration::from_secs(seconds));
        now.to_string().chars().filter(char::is_ascii_digit).take(14).collect()
    }

    /// Sends a batch by hand; whether it did what it says is for the observation to tell.
    pub(crate) async fn sql(&mut self, instance: &str, batch: String) -> bool {
        let sent = self.stage.workload.send(&instance.into(), batch.clone()).await;
        let result = match &sent {
            Ok(_) => "done".to_owned(),
            Err(error) => error
                .number
                .map_or_else(|| error.code.as_str().to_owned(), |n| format!("error {n}")),
        };
        self.note(format!("  by hand on {instance}: {batch} -- {result}"));
        sent.is_ok()
    }

    pub(crate) async fn settle(&self) {
        tokio::time::sleep(SETTLE).await;
    }

    pub(crate) async fn observe(&self, earlier: Option<&Observation>) -> Observation {
        observe(self.stage.topology(), &self.ports, "test", earlier).await
    }

    pub(crate) fn active_servers(&self) -> BTreeSet<ServerName> {
        let shell = self.stage.stand_in.shell.as_ref().expect("the example has a pool");
        shell.active_servers().into_iter().map(ServerName::from).collect()
    }

    /// The model of what was seen, with what only the stand-in knows.
    pub(crate) fn model<'a>(&self, seen: &'a Observation) -> Model<'a> {
        let mut model = Model::of(self.stage.topology(), seen);
        model.activated = Some(self.active_servers());
        model.taken = self.taken.clone();
        model
    }

    /// Tries one step of a kind; gives what was compared, and what was seen last.
    pub(crate) async fn case(&mut self, kind: Kind, before: Observation) -> (Case, Observation) {
        let is_possible = !self.one_in(3);
        let model = self.model(&before);
        let action = self.step(kind, &before, &model, is_possible);
        let mut predicted = model.clone();
        let applied = predicted.apply(self.stage.topology(), &action);
        let predicted = applied.map(|()| Facts::from(predicted)).map_err(|why| why.0);
        let facts = Facts::from(model);
        let done = self.carry_out(&action, &before).await;
        let result = match &done {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{}: {error}", error.code.as_str()),
        };
        let said = match &predicted {
            Ok(_) => "possible".to_owned(),
            Err(impossible) => format!("impossible: {impossible}"),
        };
        self.note(format!("step {action:?}\n     model: {said}\n     port: {result}"));
        if done.is_ok() {
            match &action {
                Action::Database(_, _, action) => self.remember(action),
                Action::Files(_, FileAction::Copy { name, .. }) => {
                    let (from, to) = (self.in_share(name), self.in_copies(name));
                    if let Some(taken) = self.taken.get(&from).cloned() {
                        self.taken.insert(to, taken);
                    }
                }
                Action::LogShipping(..) | Action::Pool(..) => {}
            }
        }
        self.settle().await;
        let after = self.observe(Some(&before)).await;
        let observed = Facts::from(self.model(&after));
        let changed = changed(&before, &after);
        let designed = self.stage.topology().instances().map(|i| i.mirroring_address()).collect();
        let before = facts;
        (Case { kind, action, before, predicted, done, observed, changed, designed }, after)
    }

    fn remember(&mut self, action: &pcdr_core::step::DatabaseAction) {
        use pcdr_core::step::DatabaseAction;
        let (path, kind) = match action {
            DatabaseAction::BackUpDatabase { path } => (path, Taken::Full),
            DatabaseAction::BackUpLog { path } => (path, Taken::Log),
            DatabaseAction::BackUpTail { path, follows } => {
                (path, Taken::Tail { follows: follows.clone() })
            }
            _ => return,
        };
        self.taken.insert(path.clone(), kind);
    }

    /// Through the port, and read back, as a run does it.
    async fn carry_out(&self, action: &Action, before: &Observation) -> Result<(), InstanceError> {
        match action {
            Action::Database(instance, database, action) => {
                self.ports.instances[instance].run(database, action, &Unwatched).await?;
            }
            Action::LogShipping(instance, database, action) => {
                self.ports.jobs[instance].run(database, action, &Unwatched).await?;
            }
            Action::Files(database, action) => {
                self.ports.files.run(database, action, &Unwatched).await?;
            }
            Action::Pool(_, action) => {
                let pool = self.ports.pool.as_ref().expect("the example has a pool");
                pool.run(action, &Unwatched).await?;
            }
        }
        self.read_back(action, before).await
    }

    async fn read_back(&self, action: &Action, before: &Observation) -> Result<(), InstanceError> {
        let patience = match action {
            Action::Pool(_, PoolAction::AwaitServers(_)) => 8,
            _ => 4,
        };
        let mut seen = before.clone();
        let mut found = String::new();
        for _ in 0..patience {
            match effect(self.stage.topology(), action, before, &seen) {
                Effect::Unobservable(_) => return Ok(()),
                Effect::Seen | Effect::NotSeen(_) => {}
            }
            observe_again(self.stage.topology(), &self.ports, action, &mut seen).await;
            found = match effect(self.stage.topology(), action, before, &seen) {
                Effect::Seen | Effect::Unobservable(_) => return Ok(()),
                Effect::NotSeen(found) => found,
            };
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let code = ErrorCode::EffectNotObserved;
        Err(InstanceError::new(code, "read back", "the effect was needed", found, "none"))
    }

    pub(crate) fn copy_of<'a>(
        seen: &'a Observation,
        instance: &str,
    ) -> Option<&'a pcdr_core::observation::DatabaseObservation> {
        match seen.database(&instance.into(), &DatabaseName::from(DATABASE)) {
            Known::Known(copy) => copy,
            Known::Unknown(_) => None,
        }
    }
}
