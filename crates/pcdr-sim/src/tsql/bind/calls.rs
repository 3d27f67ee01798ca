//! Aggregates and window functions in expressions.

use super::super::bound::{Bound, Node};
use super::super::convert::{capacity, is_national, is_number, is_text, text_type};
use super::super::failures::error;
use super::super::functions;
use super::super::tree::{Call, Expr, Window};
use super::typing::{coerce, to_text};
use super::{
    Aggregate, AggregateKind, Binder, Binding, Collector, Scope, WINDOW_FUNCTIONS, WindowCall,
    WindowKind,
};
use crate::value::{SqlType, Value};

impl Binder<'_> {
    /// GROUPING and GROUPING_ID: which keys the row's set leaves out.
    pub(super) fn grouping(
        &self,
        name: &str,
        call: &Call,
        scope: &Scope<'_>,
        collector: &Collector,
    ) -> Binding<Bound> {
        let invalid = |at: usize| {
            error(
                8161,
                15,
                format!(
                    "Argument {at} of the {name} function does not match any of the expressions in the GROUP BY clause."
                ),
            )
        };
        let is_column = |key: &Expr, wanted: &Expr| match (key, wanted) {
            (Expr::Column(a), Expr::Column(b)) => match (scope.resolve(a), scope.resolve(b)) {
                (Ok((0, a, _)), Ok((0, b, _))) => a == b,
                _ => false,
            },
            _ => false,
        };
        let mut bits = Vec::new();
        for (at, argument) in call.arguments.iter().enumerate() {
            let found = collector
                .keys
                .iter()
                .position(|key| key == argument || is_column(key, argument))
                .ok_or_else(|| invalid(at + 1))?;
            bits.push(match &collector.key_columns {
                Some((start, types)) => Bound::new(
                    SqlType::TinyInt,
                    Node::Column { depth: 0, index: start + types.len() + found },
                ),
                // A plain GROUP BY leaves nothing out.
                None => Bound::constant(SqlType::TinyInt, Value::TinyInt(0)),
            });
        }
        if name == "GROUPING" {
            return match <[Bound; 1]>::try_from(bits) {
                Ok([bit]) => Ok(bit),
                Err(_) => Err(functions::wrong_count(name, 1)),
            };
        }
        Ok(Bound::new(SqlType::Int, Node::Function(functions::bits_to_number, bits)))
    }

    pub(super) fn aggregate(
        &self,
        kind: AggregateKind,
        name: &str,
        call: &Call,
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Aggregate> {
        let mut aggregate = Aggregate {
            kind,
            ty: if name == "COUNT_BIG" { SqlType::BigInt } else { SqlType::Int },
            argument: None,
            distinct: call.distinct,
            separator: None,
            order: Vec::new(),
        };
        if call.star {
            if kind != AggregateKind::Count {
                return Err(super::super::lex::syntax_error("*", 1));
            }
            return Ok(aggregate);
        }
        let wanted = if kind == AggregateKind::Join { 2 } else { 1 };
        if call.arguments.len() != wanted {
            return Err(functions::wrong_count(name, wanted));
        }
        let argument = self.expr(&call.arguments[0], scope, collector)?;
        match kind {
            AggregateKind::Count => {}
            AggregateKind::Min | AggregateKind::Max => {
                if argument.ty == SqlType::Bit {
                    return Err(functions::invalid_operand_type(argument.ty, name));
                }
                aggregate.ty = argument.ty;
            }
            AggregateKind::Join => {
                let separator = self.expr(&call.arguments[1], scope, collector)?;
                aggregate.ty = text_type(
                    is_national(argument.ty) || is_national(separator.ty) || !is_text(argument.ty),
                    capacity(argument.ty).map(|_| 8000),
                );
                aggregate.separator = Some(to_text(separator)?);
                aggregate.order = self.order(&call.within, scope, collector)?;
            }
            AggregateKind::Variance { .. } => {
                if !is_number(argument.ty) && !argument.is_null() {
                    return Err(functions::invalid_operand_type(argument.ty, name));
                }
                aggregate.ty = SqlType::Float;
                aggregate.argument = Some(coerce(argument, SqlType::Float)?);
                return Ok(aggregate);
            }
            AggregateKind::Sum | AggregateKind::Average => {
                aggregate.ty = match argument.ty {
                    SqlType::TinyInt | SqlType::SmallInt | SqlType::Int => SqlType::Int,
                    SqlType::BigInt => SqlType::BigInt,
                    SqlType::Money => SqlType::Money,
                    SqlType::Real | SqlType::Float => SqlType::Float,
                    SqlType::Numeric { scale, .. } => SqlType::Numeric {
                        precision: 38,
                        scale: if kind == AggregateKind::Average { scale.max(6) } else { scale },
                    },
                    _ if argument.is_null() => SqlType::Int,
                    other => return Err(functions::invalid_operand_type(other, name)),
                };
            }
        }
        aggregate.argument =
            Some(if kind == AggregateKind::Join { to_text(argument)? } else { argument });
        Ok(aggregate)
    }

    pub(super) fn window(
        &self,
        name: &str,
        call: &Call,
        window: &Window,
        scope: &Scope<'_>,
        collector: &mut Collector,
    ) -> Binding<Bound> {
        if !collector.allow_windows {
            return Err(error(
                4108,
                15,
                "Windowed functions can only appear in the SELECT or ORDER BY clauses.",
            ));
        }
        let partition = self.all(&window.partition, scope, collector)?;
        let order = self.order(&window.order, scope, collector)?;
        let arguments = if aggregate_kind(name).is_some() {
            Vec::new()
        } else {
            self.all(&call.arguments, scope, collector)?
        };
        let needs_order = aggregate_kind(name).is_none();
        if needs_order && !WINDOW_FUNCTIONS.contains(&name) {
            return Err(error(
                195,
                15,
                format!("'{name}' is not a recognized built-in function name."),
            )
            .with_state(10));
        }
        if needs_order && order.is_empty() {
            return Err(error(
                4112,
                15,
                format!("The function '{}' must have an OVER clause with ORDER BY.", name),
            ));
        }
        let mut arguments = arguments.into_iter();
        let first = arguments.next();
        let missing = || functions::wrong_count(name, 1);
        let (ty, kind) = match name {
            "ROW_NUMBER" => (SqlType::BigInt, WindowKind::RowNumber),
            "RANK" => (SqlType::BigInt, WindowKind::Rank),
            "DENSE_RANK" => (SqlType::BigInt, WindowKind::DenseRank),
            "NTILE" => (
                SqlType::BigInt,
                WindowKind::Tiles(coerce(first.ok_or_else(missing)?, SqlType::BigInt)?),
            ),
            "LAG" | "LEAD" => {
                let value = first.ok_or_else(missing)?;
                let offset = match arguments.next() {
                    Some(offset) => Some(coerce(offset, SqlType::BigInt)?),
                    None => None,
                };
                let ty = value.ty;
                let default = match arguments.next() {
                    Some(default) => Some(coerce(default, ty)?),
                    None => None,
                };
                let sign = if name == "LAG" { -1 } else { 1 };
                (ty, WindowKind::Shift(value, offset, default, sign))
            }
            "PERCENT_RANK" => (SqlType::Float, WindowKind::PercentRank),
            "CUME_DIST" => (SqlType::Float, WindowKind::CumulativeDistribution),
            "FIRST_VALUE" => {
                let value = first.ok_or_else(missing)?;
                (value.ty, WindowKind::First(value))
            }
            "LAST_VALUE" => {
                let value = first.ok_or_else(missing)?;
                (value.ty, WindowKind::Last(value))
            }
            _ => match aggregate_kind(name) {
                Some(kind) => {
                    // Arguments may be aggregates of the groups: SUM(COUNT(*)) OVER ().
                    let aggregate = self.aggregate(kind, name, call, scope, collector)?;
                    (aggregate.ty, WindowKind::Aggregate(aggregate))
                }
                None => {
                    return Err(error(
                        195,
                        15,
                        format!("'{name}' is not a recognized built-in function name."),
                    ));
                }
            },
        };
        let framed =
            matches!(kind, WindowKind::First(_) | WindowKind::Last(_) | WindowKind::Aggregate(_));
        if window.frame.is_some() && !framed {
            let text = format!("The function '{name}' may not have a window frame.");
            return Err(error(10752, 15, text));
        }
        collector.windows.push(WindowCall { kind, partition, order, frame: window.frame });
        Ok(Bound::new(ty, Node::Window(collector.windows.len() - 1)))
    }
}

pub(in crate::tsql) fn aggregate_kind(name: &str) -> Option<AggregateKind> {
    Some(match name {
        "COUNT" | "COUNT_BIG" => AggregateKind::Count,
        "MIN" => AggregateKind::Min,
        "MAX" => AggregateKind::Max,
        "SUM" => AggregateKind::Sum,
        "AVG" => AggregateKind::Average,
        "STRING_AGG" => AggregateKind::Join,
        "STDEV" => AggregateKind::Variance { sample: true, root: true },
        "STDEVP" => AggregateKind::Variance { sample: false, root: true },
        "VAR" => AggregateKind::Variance { sample: true, root: false },
        "VARP" => AggregateKind::Variance { sample: false, root: false },
        _ => return None,
    })
}
