//! Which steps may run now, given the outcomes so far: the order of a recovery.
//!
//! Of one database, files are copied while earlier ones are restored, in the order of the log. Databases
//! are side by side, as far as the link and the disks are declared to bear it; where there are more steps
//! than room, those come first that the most work waits for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::name::{DatabaseName, InstanceName};
use crate::plan::PlanContent;
use crate::step::{Action, DatabaseAction, FileAction, Step, StepId};
use crate::topology::{DEFAULT_COPIES_AT_ONCE, DEFAULT_RESTORES_AT_ONCE, Topology};

/// What copies and restores share, and so cannot all use at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    /// The way from the backup share to the copy destination.
    Link,
    /// The disks of an instance.
    Disks(InstanceName),
}

/// How many steps may use what they share at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    copies: usize,
    restores: BTreeMap<InstanceName, usize>,
}

impl Limits {
    /// As the topology declares them.
    pub fn of(topology: &Topology) -> Limits {
        let (from, to) = (&topology.backup_share().site, &topology.copy_share().site);
        let link = topology.link(from, to);
        let restores = topology.instances().map(|instance| {
            let limit = usize::try_from(instance.restores_at_once).unwrap_or(usize::MAX);
            (instance.name.clone(), limit)
        });
        let copies = link.map_or(DEFAULT_COPIES_AT_ONCE, |link| link.copies_at_once);
        Limits {
            copies: usize::try_from(copies).unwrap_or(usize::MAX),
            restores: restores.collect(),
        }
    }

    fn of_resource(&self, resource: &Resource) -> usize {
        match resource {
            Resource::Link => self.copies,
            Resource::Disks(instance) => match self.restores.get(instance) {
                Some(limit) => *limit,
                None => usize::try_from(DEFAULT_RESTORES_AT_ONCE).unwrap_or(usize::MAX),
            },
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Steps before it have not succeeded yet.
    Waits,
    /// It may start when there is room.
    Ready,
    Running,
    /// Its port said that it was done; its effect is being observed.
    Acted,
    Succeeded,
    Failed,
}

#[derive(Debug, Clone)]
struct Node {
    step: Step,
    standing: Standing,
    /// How many steps before it are still needed.
    needs: usize,
    /// Steps that need the effect of this one to have been observed.
    then: Vec<StepId>,
    /// The next restore of the same log, which needs this one to have been done: the server itself
    /// refuses log that does not follow.
    continued_by: Vec<StepId>,
    resource: Option<Resource>,
    /// How long it and what waits for it take at least.
    weight: Duration,
}

/// The state of a run over the graph of a plan. Pure: whoever runs steps asks and tells.
#[derive(Debug, Clone)]
pub struct Execution {
    nodes: BTreeMap<StepId, Node>,
    limits: Limits,
    /// Steps that may start, by what they need room on; the most urgent first.
    ready: BTreeMap<Option<Resource>, BTreeSet<(Reverse<Duration>, StepId)>>,
    used: BTreeMap<Resource, usize>,
    /// Steps that need nothing more before them and have not succeeded; the longest way ahead first.
    open: BTreeSet<(Reverse<Duration>, StepId)>,
    /// What all copies together take that have not succeeded.
    copies_ahead: Duration,
    succeeded: usize,
    has_failed: bool,
}

impl Execution {
    /// Nothing has run yet.
    pub fn new(plan: &PlanContent, limits: Limits) -> Execution {
        let mut nodes: BTreeMap<StepId, Node> = BTreeMap::new();
        let mut before_in_chain: BTreeMap<StepId, StepId> = BTreeMap::new();
        for step in &plan.steps {
            let chain = restored_log(&step.action);
            let mut needs: BTreeSet<StepId> = step.after.iter().copied().collect();
            for &before in &step.after {
                let Some(node) = nodes.get_mut(&before) else { continue };
                let other = restored_log(&node.step.action);
                if chain.is_some() && chain == other {
                    node.continued_by.push(step.id);
                    before_in_chain.insert(step.id, before);
                } else if other.is_some() {
                    // What comes after a log needs every restore of it to have been observed.
                    let mut at = before;
                    while let Some(&earlier) = before_in_chain.get(&at) {
                        needs.insert(earlier);
                        at = earlier;
                    }
                }
            }
            for before in &needs {
                if let Some(node) = nodes.get_mut(before)
                    && !node.continued_by.contains(&step.id)
                {
                    node.then.push(step.id);
                }
            }
            let node = Node {
                step: step.clone(),
                standing: Standing::Waits,
                needs: needs.len(),
                then: Vec::new(),
                continued_by: Vec::new(),
                resource: resource(&step.action),
                weight: Duration::ZERO,
            };
            nodes.insert(step.id, node);
        }
        let weights = weights(&nodes);
        let mut execution = Execution {
            nodes,
            limits,
            ready: BTreeMap::new(),
            used: BTreeMap::new(),
            open: BTreeSet::new(),
            copies_ahead: Duration::ZERO,
            succeeded: 0,
            has_failed: false,
        };
        for (id, weight) in weights {
            if let Some(node) = execution.nodes.get_mut(&id) {
                node.weight = weight;
                if node.resource == Some(Resource::Link) {
                    execution.copies_ahead += node.step.expected;
                }
            }
        }
        let free: Vec<StepId> =
            execution.nodes.values().filter(|node| node.needs == 0).map(|n| n.step.id).collect();
        for id in free {
            execution.is_ready(id);
        }
        execution
    }

    fn is_ready(&mut self, id: StepId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.standing = Standing::Ready;
        let place = self.ready.entry(node.resource.clone()).or_default();
        place.insert((Reverse(node.weight), id));
        self.open.insert((Reverse(node.weight), id));
    }

    /// One of the steps before it is no longer needed.
    fn release(&mut self, id: StepId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.needs -= 1;
        if node.needs == 0 {
            self.is_ready(id);
        }
    }

    /// Takes every step that may start now, in the order of their numbers. After a failure there is
    /// none: the run stops at the first failed step, and what runs is let to its end.
    pub fn start_ready(&mut self) -> Vec<Step> {
        if self.has_failed {
            return Vec::new();
        }
        let mut started = Vec::new();
        for (resource, waiting) in &mut self.ready {
            let mut room = usize::MAX;
            if let Some(resource) = resource {
                let used = self.used.get(resource).copied().unwrap_or_default();
                room = self.limits.of_resource(resource).saturating_sub(used);
            }
            while room > 0
                && let Some((_, id)) = waiting.pop_first()
            {
                room -= 1;
                started.push(id);
            }
        }
        started.sort_unstable();
        let mut steps = Vec::with_capacity(started.len());
        for id in started {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            node.standing = Standing::Running;
            if let Some(resource) = &node.resource {
                *self.used.entry(resource.clone()).or_default() += 1;
            }
            steps.push(node.step.clone());
        }
        steps
    }

    /// A running step's port said that it was done; whether its effect is there is still to be observed.
    /// The next log of the same database may be restored meanwhile.
    pub fn acted(&mut self, step: StepId) {
        let node = self.nodes.get_mut(&step).filter(|node| node.standing == Standing::Running);
        let node = node.expect("only a step that was started can have been done");
        node.standing = Standing::Acted;
        let next = std::mem::take(&mut node.continued_by);
        let resource = node.resource.clone();
        self.leave(resource);
        for id in next {
            self.release(id);
        }
    }

    /// A running step ended: its effect was observed, or it failed.
    pub fn ended(&mut self, step: StepId, succeeded: bool) {
        let node = self.nodes.get_mut(&step);
        let node = node.filter(|n| matches!(n.standing, Standing::Running | Standing::Acted));
        let node = node.expect("only a step that was started can end");
        let was_running = node.standing == Standing::Running;
        let resource = node.resource.clone();
        if was_running {
            self.leave(resource);
        }
        let Some(node) = self.nodes.get_mut(&step) else { return };
        if !succeeded {
            node.standing = Standing::Failed;
            self.has_failed = true;
            return;
        }
        node.standing = Standing::Succeeded;
        self.succeeded += 1;
        self.open.remove(&(Reverse(node.weight), step));
        if node.resource == Some(Resource::Link) {
            self.copies_ahead -= node.step.expected;
        }
        let mut next = std::mem::take(&mut node.then);
        next.append(&mut node.continued_by);
        for id in next {
            self.release(id);
        }
    }

    fn leave(&mut self, resource: Option<Resource>) {
        if let Some(used) = resource.and_then(|resource| self.used.get_mut(&resource)) {
            *used -= 1;
        }
    }

    /// Whether every step succeeded.
    pub fn is_done(&self) -> bool {
        self.succeeded == self.nodes.len()
    }

    /// How many steps succeeded.
    pub fn succeeded(&self) -> usize {
        self.succeeded
    }

    /// How long what is left takes at least, as the plan expected it: the longest way through the steps
    /// that have not succeeded, or all copies over the link, whichever is longer. What a running step has
    /// behind it is not known here, and counts as ahead.
    pub fn remaining(&self) -> Duration {
        let longest = self.open.first().map_or(Duration::ZERO, |(Reverse(weight), _)| *weight);
        longest.max(self.copies_ahead)
    }
}

/// The log that an action restores from, by where it goes.
fn restored_log(action: &Action) -> Option<(&InstanceName, &DatabaseName)> {
    match action {
        Action::Database(instance, database, DatabaseAction::RestoreLog { .. }) => {
            Some((instance, database))
        }
        _ => None,
    }
}

/// What an action shares with others.
fn resource(action: &Action) -> Option<Resource> {
    match action {
        Action::Files(_, FileAction::Copy { .. }) => Some(Resource::Link),
        Action::Database(
            instance,
            _,
            DatabaseAction::RestoreLog { .. } | DatabaseAction::RestoreDatabase { .. },
        ) => Some(Resource::Disks(instance.clone())),
        Action::Database(..) | Action::LogShipping(..) | Action::Pool(..) => None,
    }
}

/// How long each step and what waits for it take at least. Steps come in the order of their numbers, and
/// each is followed only by later ones.
fn weights(nodes: &BTreeMap<StepId, Node>) -> BTreeMap<StepId, Duration> {
    let mut weights: BTreeMap<StepId, Duration> = BTreeMap::new();
    for (id, node) in nodes.iter().rev() {
        let after = node.then.iter().chain(&node.continued_by);
        let longest = after.filter_map(|id| weights.get(id)).max().copied().unwrap_or_default();
        weights.insert(*id, node.step.expected + longest);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsn::Lsn;
    use crate::plan::Intent;
    use crate::step::{LogEnd, Source};
    use crate::time::Timestamp;

    const SOURCE: Source = Source::new("a test", "a step");

    /// A plan of copies and restores: for each database so many files, a copy and a restore each, and
    /// the recovery at the end.
    fn plan(databases: &[(&str, usize)]) -> PlanContent {
        let mut steps: Vec<Step> = Vec::new();
        let mut add = |action: Action, after: Vec<StepId>, seconds: u64| {
            let id = StepId(u32::try_from(steps.len() + 1).unwrap());
            let expected = Duration::from_secs(seconds);
            steps.push(Step { id, action, after, source: SOURCE, expected });
            id
        };
        for (name, files) in databases {
            let database = DatabaseName::from(*name);
            let on = |action| Action::Database("s".into(), database.clone(), action);
            let copies: Vec<StepId> = (0..*files)
                .map(|file| {
                    let name = format!("{name}{file}");
                    let copy =
                        FileAction::Copy { name, size_bytes: None, replaces_unreadable: false };
                    add(Action::Files(database.clone(), copy), Vec::new(), 1)
                })
                .collect();
            let mut last: Option<StepId> = None;
            for copy in copies {
                let restore = DatabaseAction::RestoreLog { path: "x".into(), log: None };
                last = Some(add(on(restore), last.into_iter().chain([copy]).collect(), 1));
            }
            let expect = Some(LogEnd::Lsn(Lsn::default()));
            add(on(DatabaseAction::Recover { expect }), last.into_iter().collect(), 1);
        }
        PlanContent {
            intent: Intent::DisasterFailover,
            planned_at: Timestamp::from_unix_millis(0),
            observed_at: Timestamp::from_unix_millis(0),
            consents: Vec::new(),
            steps,
            predicted_losses: Vec::new(),
            predicted_duration: Duration::ZERO,
            invariants: Vec::new(),
            evidence: None,
            notes: Vec::new(),
            left_behind: Vec::new(),
            facts: BTreeMap::new(),
            drill: None,
        }
    }

    fn limits(copies: usize, restores: usize) -> Limits {
        Limits { copies, restores: BTreeMap::from([("s".into(), restores)]) }
    }

    fn words(steps: &[Step]) -> Vec<String> {
        let word = |step: &Step| match &step.action {
            Action::Files(_, FileAction::Copy { name, .. }) => format!("copy {name}"),
            Action::Database(_, database, DatabaseAction::RestoreLog { .. }) => {
                format!("restore {database} {}", step.id)
            }
            Action::Database(_, database, _) => format!("recover {database}"),
            other => panic!("{other:?}"),
        };
        steps.iter().map(word).collect()
    }

    #[test]
    fn files_are_copied_in_the_order_of_the_log_and_restored_while_later_ones_are_copied() {
        let mut run = Execution::new(&plan(&[("a", 3)]), limits(1, 1));
        assert_eq!(words(&run.start_ready()), ["copy a0"]);
        assert!(run.start_ready().is_empty(), "the link bears one copy");
        run.acted(StepId(1));
        run.ended(StepId(1), true);
        assert_eq!(words(&run.start_ready()), ["copy a1", "restore a 4"]);
        run.ended(StepId(2), true);
        assert_eq!(words(&run.start_ready()), ["copy a2"]);
        assert_eq!(run.succeeded(), 2);
    }

    #[test]
    fn the_next_log_is_restored_before_the_effect_of_the_last_was_observed_but_nothing_else_begins()
    {
        let mut run = Execution::new(&plan(&[("a", 2)]), limits(2, 1));
        assert_eq!(words(&run.start_ready()), ["copy a0", "copy a1"]);
        run.ended(StepId(1), true);
        run.ended(StepId(2), true);
        assert_eq!(words(&run.start_ready()), ["restore a 3"]);
        run.acted(StepId(3));
        assert_eq!(words(&run.start_ready()), ["restore a 4"]);
        run.acted(StepId(4));
        run.ended(StepId(4), true);
        // The first restore's effect has not been seen yet.
        assert!(run.start_ready().is_empty());
        run.ended(StepId(3), true);
        assert_eq!(words(&run.start_ready()), ["recover a"]);
        run.ended(StepId(5), true);
        assert!(run.is_done());
        assert_eq!(run.remaining(), Duration::ZERO);
    }

    #[test]
    fn the_database_with_the_longest_way_to_go_gets_the_link_first() {
        let mut run = Execution::new(&plan(&[("a", 1), ("b", 3)]), limits(1, 2));
        assert_eq!(run.remaining(), Duration::from_secs(5));
        let mut copied = Vec::new();
        loop {
            let started = run.start_ready();
            if started.is_empty() {
                break;
            }
            for step in &started {
                run.ended(step.id, true);
            }
            copied.extend(words(&started).into_iter().filter(|word| word.starts_with("copy")));
        }
        assert_eq!(copied, ["copy b0", "copy b1", "copy a0", "copy b2"]);
        assert!(run.is_done());
    }

    #[test]
    fn no_more_restores_run_at_once_than_the_disks_are_declared_to_bear() {
        let many: Vec<(String, usize)> = (0..5).map(|n| (format!("d{n}"), 1)).collect();
        let many: Vec<(&str, usize)> = many.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let mut run = Execution::new(&plan(&many), limits(5, 2));
        for copy in run.start_ready() {
            run.ended(copy.id, true);
        }
        let first = run.start_ready();
        assert_eq!(first.len(), 2);
        run.acted(first[0].id); // its effect is observed while the disks do other work
        assert_eq!(run.start_ready().len(), 1);
        run.ended(first[1].id, true);
        assert_eq!(words(&run.start_ready()).len(), 2, "its recovery, and another restore");
    }

    #[test]
    fn nothing_starts_after_a_failure() {
        let mut run = Execution::new(&plan(&[("a", 2)]), limits(2, 1));
        run.start_ready();
        run.ended(StepId(1), true);
        run.ended(StepId(2), false);
        assert!(run.start_ready().is_empty());
        assert_eq!(run.succeeded(), 1);
        assert!(!run.is_done());
    }
}
