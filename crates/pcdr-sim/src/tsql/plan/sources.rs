//! Where a query reads: tables, functions, joins.

use super::{Plan, PlanBody, SourcePlan};
use std::sync::Arc;

use super::super::ast::ObjectName;
use super::super::bind::{Binder, Binding, Scope, ScopeColumn, coerce};
use super::super::bound::{Bound, Node};
use super::super::convert::text_type;
use super::super::eval::eval_constant;
use super::super::failures::{error, invalid_object};
use super::super::parse::parse_module;
use super::super::routine::Routine;
use super::super::store::is_local_temporary;
use super::super::tree::{Expr, JoinKind, Module, ModuleBody, Path, Source, same_name};
use crate::value::{Column, Relation, SqlType, Value};

impl Binder<'_> {
    /// The sources of FROM, joined, with their columns.
    pub(in crate::tsql) fn sources(
        &self,
        sources: &[Source],
        outer: Option<&Scope<'_>>,
    ) -> Binding<(Option<SourcePlan>, Vec<ScopeColumn>)> {
        let mut result: Option<(SourcePlan, Vec<ScopeColumn>)> = None;
        for source in sources {
            let next = self.source(source, outer)?;
            result = Some(match result {
                None => next,
                Some(left) => join(JoinKind::Inner, left, next, None),
            });
        }
        Ok(match result {
            Some((plan, columns)) => (Some(plan), columns),
            None => (None, Vec::new()),
        })
    }

    pub(in crate::tsql) fn source(
        &self,
        source: &Source,
        outer: Option<&Scope<'_>>,
    ) -> Binding<(SourcePlan, Vec<ScopeColumn>)> {
        match source {
            Source::Table { name, arguments, alias, columns } => {
                let (plan, mut found) = match arguments {
                    Some(arguments) => self.function_source(name, arguments, outer)?,
                    None => {
                        let Relation { columns, rows } = self.table(name)?;
                        (SourcePlan::Rows(Arc::new(rows)), columns)
                    }
                };
                if !columns.is_empty() {
                    rename(&mut found, columns, name.last())?;
                }
                let table = match alias {
                    Some(alias) => vec![alias.clone()],
                    None => name.parts.clone(),
                };
                Ok((plan, scope_columns(found, table)))
            }
            Source::Derived { query, alias, columns } => {
                let plan = self.plan(query, outer)?;
                let mut found = plan.columns.clone();
                rename(&mut found, columns, alias)?;
                let table = vec![alias.clone()];
                Ok((SourcePlan::Query(Box::new(plan)), scope_columns(found, table)))
            }
            Source::Join { kind, left, right, on } => {
                let left = self.source(left, outer)?;
                let apply = matches!(kind, JoinKind::CrossApply | JoinKind::OuterApply);
                let right = if apply {
                    let scope = Scope { columns: left.1.clone(), outer };
                    self.source(right, Some(&scope))?
                } else {
                    self.source(right, outer)?
                };
                let on = match on {
                    Some(on) => {
                        let mut columns = left.1.clone();
                        columns.extend(right.1.iter().cloned());
                        Some(self.scalar(on, &Scope { columns, outer })?)
                    }
                    None => None,
                };
                Ok(join(*kind, left, right, on))
            }
        }
    }

    /// The rows of a table, wherever it lives.
    pub(in crate::tsql) fn table(&self, name: &Path) -> Binding<Relation> {
        let lower = name.last().to_lowercase();
        if name.parts.len() == 1 {
            for (cte, relation) in self.ctes.iter().rev() {
                if same_name(cte, name.last()) {
                    return Ok(Relation::clone(relation));
                }
            }
        }
        let kept = if lower.starts_with('@') {
            Some(self.context.frame.tables.get(&lower))
        } else if is_local_temporary(&lower) {
            Some(self.context.session.tables.get(&lower))
        } else {
            None
        };
        match kept {
            Some(Some(table)) => {
                Ok(Relation { columns: table.columns.clone(), rows: table.rows.clone() })
            }
            Some(None) => Err(invalid_object(&name.parts.join(".")).with_state(0)),
            None => {
                let object = self.context.object(name);
                match self.context.host.relation(&object, None) {
                    Err(failure) if failure.cause().number == 208 => {
                        match self.routine(&object, |module| {
                            matches!(module.body, ModuleBody::View(..))
                        })? {
                            Some(view) => view.view(self.context),
                            None => Err(failure),
                        }
                    }
                    other => other,
                }
            }
        }
    }

    /// A user's view or function of that name, if it is one of those wanted.
    pub(in crate::tsql) fn routine(
        &self,
        name: &ObjectName,
        wanted: impl Fn(&Module) -> bool,
    ) -> Binding<Option<Routine>> {
        let Some(stored) = self.context.host.module(name) else {
            return Ok(None);
        };
        let module = parse_module(&stored.text)?;
        let routine =
            Routine { module: Arc::new(module), database: Arc::from(stored.database.as_str()) };
        Ok(wanted(&routine.module).then_some(routine))
    }

    pub(in crate::tsql) fn function_source(
        &self,
        name: &Path,
        arguments: &[Expr],
        outer: Option<&Scope<'_>>,
    ) -> Binding<(SourcePlan, Vec<Column>)> {
        let empty = Scope::default();
        let scope = outer.unwrap_or(&empty);
        let bound = arguments.iter().map(|e| self.scalar(e, scope)).collect::<Binding<Vec<_>>>()?;
        if name.parts.len() == 1 {
            let upper = name.last().to_ascii_uppercase();
            if upper == "STRING_SPLIT" {
                if !(2..=3).contains(&bound.len()) {
                    return Err(super::super::functions::wrong_count("string_split", 2));
                }
                let ty = bound[0].ty;
                let ty = text_type(
                    super::super::convert::is_national(ty),
                    super::super::convert::capacity(ty),
                );
                let mut columns = vec![Column::new("value", ty)];
                if bound.len() == 3 {
                    columns.push(Column::new("ordinal", SqlType::BigInt));
                }
                let bound = bound
                    .into_iter()
                    .map(super::super::bind::to_text)
                    .collect::<Binding<Vec<_>>>()?;
                return Ok((SourcePlan::Split(bound), columns));
            }
            if upper == "GENERATE_SERIES" && (2..=3).contains(&bound.len()) {
                let bound = bound
                    .into_iter()
                    .map(|b| coerce(b, SqlType::BigInt))
                    .collect::<Binding<Vec<_>>>()?;
                return Ok((
                    SourcePlan::Series(bound),
                    vec![Column::new("value", SqlType::BigInt)],
                ));
            }
        }
        let known: Vec<Value> =
            bound.iter().map(|b| eval_constant(b, self.context).unwrap_or(Value::Null)).collect();
        let object = self.context.object(name);
        match self.context.host.relation(&object, Some(&known)) {
            Ok(relation) => Ok((SourcePlan::Function(name.clone(), bound), relation.columns)),
            Err(failure) if failure.cause().number == 208 => {
                let inline = |module: &Module| matches!(module.body, ModuleBody::Inline(_));
                match self.routine(&object, inline)? {
                    None => Err(failure),
                    Some(routine) => {
                        super::super::routine::require_count(&routine.module, bound.len())?;
                        let columns = routine.columns(self.context)?;
                        Ok((SourcePlan::Routine(routine, bound), columns))
                    }
                }
            }
            Err(failure) => Err(failure),
        }
    }
}

pub(super) fn scope_columns(columns: Vec<Column>, table: Vec<String>) -> Vec<ScopeColumn> {
    let table: Arc<[String]> = table.into();
    columns
        .into_iter()
        .map(|c| ScopeColumn {
            table: Arc::clone(&table),
            name: c.name,
            ty: c.ty,
            nullable: c.nullable,
        })
        .collect()
}

pub(in crate::tsql) fn rename(
    columns: &mut [Column],
    names: &[String],
    table: &str,
) -> Binding<()> {
    if names.is_empty() {
        // Every column of a table needs a name.
        if let Some(index) = columns.iter().position(|c| c.name.is_empty()) {
            return Err(error(
                8155,
                16,
                format!("No column name was specified for column {} of '{table}'.", index + 1),
            ));
        }
        return Ok(());
    }
    if names.len() != columns.len() {
        let (number, word) =
            if names.len() < columns.len() { (8158, "more") } else { (8159, "fewer") };
        return Err(error(
            number,
            16,
            format!("'{table}' has {word} columns than were specified in the column list."),
        ));
    }
    for (column, name) in columns.iter_mut().zip(names) {
        column.name = name.clone().into();
    }
    Ok(())
}

pub(super) fn join(
    kind: JoinKind,
    left: (SourcePlan, Vec<ScopeColumn>),
    right: (SourcePlan, Vec<ScopeColumn>),
    on: Option<Bound>,
) -> (SourcePlan, Vec<ScopeColumn>) {
    let (left, mut left_columns) = left;
    let (right, mut right_columns) = right;
    let (left_width, right_width) = (left_columns.len(), right_columns.len());
    let apply = matches!(kind, JoinKind::CrossApply | JoinKind::OuterApply);
    let keys = match &on {
        Some(on) if !apply => equal_columns(on, left_width),
        _ => Vec::new(),
    };
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        left_columns.iter_mut().for_each(|c| c.nullable = true);
    }
    if matches!(kind, JoinKind::Left | JoinKind::Full | JoinKind::OuterApply) {
        right_columns.iter_mut().for_each(|c| c.nullable = true);
    }
    left_columns.extend(right_columns);
    let plan = SourcePlan::Join {
        kind,
        left: Box::new(left),
        right: Box::new(right),
        on,
        keys,
        left_width,
        right_width,
    };
    (plan, left_columns)
}

/// Pairs of columns that the condition requires to be equal.
pub(super) fn equal_columns(on: &Bound, left_width: usize) -> Vec<(usize, usize)> {
    match &on.node {
        Node::And(all) => all.iter().flat_map(|b| equal_columns(b, left_width)).collect(),
        Node::Compare(super::super::tree::CompareOp::Equal, a, b) => match (&a.node, &b.node) {
            (Node::Column { depth: 0, index: a }, Node::Column { depth: 0, index: b })
                if (*a < left_width) != (*b < left_width) =>
            {
                vec![((*a).min(*b), (*a).max(*b) - left_width)]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Whether an output column is the literal NULL, which takes the other side's type.
pub(super) fn null_column(plan: &Plan, index: usize) -> bool {
    match &plan.body {
        PlanBody::Select(select) => select.items.get(index).is_some_and(Bound::is_null),
        _ => false,
    }
}
