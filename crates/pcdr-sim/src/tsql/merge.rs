//! MERGE: rows of a source against the rows of a table.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::bind::{Binder, Scope, ScopeColumn, coerce};
use super::bound::{Bound, Env};
use super::change::{BoundAssignment, OutputRow, bind_assignments, default_values, limit};
use super::convert::{is_binary, is_text};
use super::eval::{eval, test};
use super::failures::error;
use super::host::Sink as _;
use super::interpret::{Flow, Run};
use super::plan::SourcePlan;
use super::state::Context;
use super::store::{ChangedRow, Target, Verb};
use super::tree::{ArgumentValue, Expr, Merge, MergeAction, MergeBranch, MergeWhen};
use crate::message::SqlFailure;
use crate::value::{Row, SqlType, Value};

/// A branch with its names and types known.
struct Branch {
    when: MergeWhen,
    condition: Option<Bound>,
    action: Action,
}

enum Action {
    Update(Vec<BoundAssignment>),
    Delete,
    /// Positions and values.
    Insert(Vec<usize>, Vec<Bound>),
}

/// What a MERGE does to the table.
#[derive(Default)]
struct Outcome {
    changed: Vec<ChangedRow>,
    inserted: Vec<Row>,
    /// For OUTPUT: the action, the row of the source, and which of `changed` or `inserted` it is.
    touched: Vec<(&'static str, Row, usize)>,
}

impl Run<'_> {
    pub(super) async fn merge(&mut self, merge: &Merge) -> Result<Flow, SqlFailure> {
        self.host.running("MERGE");
        let mut target = self.target(&merge.target)?;
        let (mut outcome, source_columns) = self.merge_rows(merge, &target)?;
        self.number_rows(&mut target, &mut outcome.inserted)?;
        self.compute(&target, &mut outcome.inserted)?;
        for (_, after) in &mut outcome.changed {
            if let Some(row) = after {
                self.compute(&target, std::slice::from_mut(row))?;
            }
        }
        let count = (outcome.changed.len() + outcome.inserted.len()) as u64;
        let shown = if merge.output.is_some() { touched(&outcome, &target) } else { Vec::new() };
        self.apply(&target, Verb::Merge, outcome.changed, outcome.inserted)?;
        self.session.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        match self.output(merge.output.as_ref(), &target.columns, &source_columns, &shown)? {
            Some(relation) => self.out.result(relation, MERGE).await,
            None => self.out.done(MERGE, Some(count), false).await,
        }
        Ok(Flow::Next)
    }

    fn merge_rows(
        &self,
        merge: &Merge,
        target: &Target,
    ) -> Result<(Outcome, Vec<ScopeColumn>), SqlFailure> {
        let defaults = default_values(target)?;
        self.with_context(|context| {
            let binder = Binder::new(context).with_ctes(&merge.ctes, None)?;
            let (plan, source_columns) =
                binder.sources(std::slice::from_ref(&merge.source), None)?;
            let source = match &plan {
                Some(plan) => SourcePlan::run(plan, None, context)?,
                None => Vec::new(),
            };
            let name: Arc<[String]> =
                merge.alias.clone().map_or(merge.target.parts.clone(), |alias| vec![alias]).into();
            // Both sides are in sight, the target's columns first.
            let own = target.columns.iter().map(|c| ScopeColumn {
                table: Arc::clone(&name),
                name: c.name.clone(),
                ty: c.ty,
                nullable: c.nullable,
            });
            let columns = own.chain(source_columns.iter().cloned()).collect();
            let scope = Scope { columns, outer: None };
            let on = binder.scalar(&merge.on, &scope)?;
            let branches = merge
                .branches
                .iter()
                .map(|b| self.bind_branch(&binder, b, &scope, target, &defaults, context))
                .collect::<Result<Vec<_>, _>>()?;
            let most = match &merge.top {
                Some(top) => limit(&binder, top, context)?,
                None => usize::MAX,
            };
            let mut outcome = self.match_rows(&on, &branches, &source, target, context)?;
            let mut room = most;
            outcome.changed.truncate(room);
            room -= outcome.changed.len();
            outcome.inserted.truncate(room);
            // The values of `inserted` are those of the INSERT; the rest of each row is defaults.
            let mut extra = source_columns;
            extra.push(ScopeColumn {
                table: Arc::from([]),
                name: Cow::Borrowed("$action"),
                ty: SqlType::nvarchar(10),
                nullable: false,
            });
            Ok((outcome, extra))
        })
    }

    fn bind_branch(
        &self,
        binder: &Binder<'_>,
        branch: &MergeBranch,
        scope: &Scope<'_>,
        target: &Target,
        defaults: &[Option<Expr>],
        context: &Context<'_>,
    ) -> Result<Branch, SqlFailure> {
        let condition = match &branch.condition {
            Some(condition) => Some(binder.scalar(condition, scope)?),
            None => None,
        };
        let action = match &branch.action {
            MergeAction::Delete => Action::Delete,
            MergeAction::Update(assignments) => Action::Update(bind_assignments(
                binder,
                assignments,
                scope,
                target,
                defaults,
                context,
            )?),
            MergeAction::Insert(names, values) => {
                let positions = self.insert_positions(target, names)?;
                let Some(values) = values else {
                    let action = Action::Insert(Vec::new(), Vec::new());
                    return Ok(Branch { when: branch.when, condition, action });
                };
                if values.len() != positions.len() {
                    return Err(error(
                        213,
                        16,
                        "Column name or number of supplied values does not match table definition.",
                    ));
                }
                let bound = values
                    .iter()
                    .zip(&positions)
                    .map(|(value, position)| {
                        let ty = target.columns[*position].ty;
                        let value = match (value, &defaults[*position]) {
                            (ArgumentValue::Value(value), _) => value,
                            (ArgumentValue::Default, Some(default)) => default,
                            (ArgumentValue::Default, None) => &Expr::Null,
                        };
                        let value = binder.scalar(value, scope)?;
                        let alike = is_text(ty) && is_text(value.ty)
                            || is_binary(ty) && is_binary(value.ty);
                        if alike && !value.is_null() { Ok(value) } else { coerce(value, ty) }
                    })
                    .collect::<Result<Vec<_>, SqlFailure>>()?;
                Action::Insert(positions, bound)
            }
        };
        Ok(Branch { when: branch.when, condition, action })
    }

    fn match_rows(
        &self,
        on: &Bound,
        branches: &[Branch],
        source: &[Row],
        target: &Target,
        context: &Context<'_>,
    ) -> Result<Outcome, SqlFailure> {
        let defaults = default_values(target)?;
        let mut outcome = Outcome::default();
        let mut matched = BTreeSet::new();
        let mut changed = BTreeSet::new();
        let nobody = vec![Value::Null; target.columns.len()];
        let chosen = |when: MergeWhen, row: &[Value]| -> Result<Option<&Branch>, SqlFailure> {
            for branch in branches.iter().filter(|b| b.when == when) {
                let holds = match &branch.condition {
                    Some(condition) => test(condition, &Env::of(row, None), context)? == Some(true),
                    None => true,
                };
                if holds {
                    return Ok(Some(branch));
                }
            }
            Ok(None)
        };
        let both =
            |own: &[Value], other: &[Value]| -> Row { own.iter().chain(other).cloned().collect() };
        for other in source {
            let mut any = false;
            for (index, own) in target.rows.iter().enumerate() {
                let row = both(own, other);
                if test(on, &Env::of(&row, None), context)? != Some(true) {
                    continue;
                }
                any = true;
                matched.insert(index);
                let Some(branch) = chosen(MergeWhen::Matched, &row)? else {
                    continue;
                };
                if !changed.insert(index) {
                    return Err(error(
                        8672,
                        16,
                        "The MERGE statement attempted to UPDATE or DELETE the same row more than once. This happens when a target row matches more than one source row. A MERGE statement cannot UPDATE/DELETE the same row of the target table multiple times. Refine the ON clause to ensure a target row matches at most one source row, or use the GROUP BY clause to group the source rows.",
                    ));
                }
                self.take_branch(branch, index, &row, other, target, context, &mut outcome)?;
            }
            if any {
                continue;
            }
            let row = both(&nobody, other);
            if let Some(Branch { action: Action::Insert(positions, values), .. }) =
                chosen(MergeWhen::NotMatched, &row)?
            {
                let mut new = self.blank_row(target, &defaults, positions)?;
                for (position, value) in positions.iter().zip(values) {
                    let result = eval(value, &Env::of(&row, None), context)?;
                    new[*position] = self.fit(&result, value.ty, target, *position)?;
                }
                outcome.touched.push(("INSERT", other.clone(), outcome.inserted.len()));
                outcome.inserted.push(new);
            }
        }
        let width = source.first().map_or(0, Vec::len);
        let nothing = vec![Value::Null; width];
        for (index, own) in target.rows.iter().enumerate() {
            if matched.contains(&index) {
                continue;
            }
            let row = both(own, &nothing);
            if let Some(branch) = chosen(MergeWhen::NotMatchedBySource, &row)? {
                self.take_branch(branch, index, &row, &nothing, target, context, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    #[allow(clippy::too_many_arguments, reason = "a row in all its forms, and where it goes")]
    fn take_branch(
        &self,
        branch: &Branch,
        index: usize,
        row: &Row,
        other: &[Value],
        target: &Target,
        context: &Context<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), SqlFailure> {
        let (action, after) = match &branch.action {
            Action::Update(assignments) => {
                let mut after = target.rows[index].clone();
                self.assign_row(assignments, &Env::of(row, None), target, &mut after, context)?;
                ("UPDATE", Some(after))
            }
            _ => ("DELETE", None),
        };
        outcome.touched.push((action, other.to_vec(), outcome.changed.len()));
        outcome.changed.push((index, after));
        Ok(())
    }
}

/// The code in DONE.
const MERGE: u16 = super::interpret::MERGE;

fn touched(outcome: &Outcome, target: &Target) -> Vec<OutputRow> {
    outcome
        .touched
        .iter()
        .filter_map(|(action, source, at)| {
            let mut beside = source.clone();
            beside.push(Value::string(action));
            if *action == "INSERT" {
                let inserted = Some(outcome.inserted.get(*at)?.clone());
                return Some(OutputRow { deleted: None, inserted, beside });
            }
            let (index, after) = outcome.changed.get(*at)?;
            let deleted = Some(target.rows[*index].clone());
            Some(OutputRow { deleted, inserted: after.clone(), beside })
        })
        .collect()
}
