//! Which steps may run now, given the outcomes so far.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::PlanContent;
use crate::step::{Step, StepId};

/// The state of a run over the graph of a plan. Pure: whoever runs steps asks and tells.
#[derive(Debug, Clone)]
pub struct Execution {
    steps: BTreeMap<StepId, Step>,
    succeeded: BTreeSet<StepId>,
    running: BTreeSet<StepId>,
    failed: BTreeSet<StepId>,
}

impl Execution {
    /// Nothing has run yet.
    pub fn new(plan: &PlanContent) -> Execution {
        Execution {
            steps: plan.steps.iter().map(|step| (step.id, step.clone())).collect(),
            succeeded: BTreeSet::new(),
            running: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Takes every step that may start now, in the order of their numbers. After a failure there is
    /// none: the run stops at the first failed step, and what runs is let to its end.
    pub fn start_ready(&mut self) -> Vec<Step> {
        if !self.failed.is_empty() {
            return Vec::new();
        }
        let ready: Vec<Step> = self
            .steps
            .values()
            .filter(|step| !self.succeeded.contains(&step.id) && !self.running.contains(&step.id))
            .filter(|step| step.after.iter().all(|before| self.succeeded.contains(before)))
            .cloned()
            .collect();
        self.running.extend(ready.iter().map(|step| step.id));
        ready
    }

    /// A running step ended.
    pub fn ended(&mut self, step: StepId, succeeded: bool) {
        assert!(self.running.remove(&step), "only a step that was started can end");
        if succeeded {
            self.succeeded.insert(step);
        } else {
            self.failed.insert(step);
        }
    }

    /// Whether every step succeeded.
    pub fn is_done(&self) -> bool {
        self.succeeded.len() == self.steps.len()
    }

    /// How many steps succeeded.
    pub fn succeeded(&self) -> usize {
        self.succeeded.len()
    }
}
