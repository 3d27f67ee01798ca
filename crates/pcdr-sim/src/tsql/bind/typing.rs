//! Types of expressions: implicit conversions, common types, and what operators give.

use super::Binding;
use crate::message::SqlFailure;
use crate::tsql::bound::{Bound, Node};
use crate::tsql::convert::{
    as_numeric, capacity, cast, common, is_binary, is_integer, is_moment, is_national, is_number,
    is_text, text_type, type_name,
};
use crate::tsql::failures::error;
use crate::tsql::tree::{BinaryOp, CompareOp};
use crate::value::{Length, SqlType, Value};

pub(super) fn invalid_operand(ty: SqlType, operator: &str) -> SqlFailure {
    error(
        8117,
        16,
        format!("Operand data type {} is invalid for {operator} operator.", type_name(ty)),
    )
}

/// Converts implicitly; error 257 or 206 for pairs that need CONVERT.
pub(in crate::tsql) fn coerce(bound: Bound, to: SqlType) -> Binding<Bound> {
    if bound.ty == to {
        return Ok(bound);
    }
    if bound.is_null() {
        return Ok(Bound::constant(to, Value::Null));
    }
    let from = bound.ty;
    let clash = (is_moment(from) && (is_number(to) || to == SqlType::UniqueIdentifier))
        || (is_number(from)
            && (matches!(
                to,
                SqlType::Date
                    | SqlType::Time(_)
                    | SqlType::DateTime2(_)
                    | SqlType::DateTimeOffset(_)
            ) || to == SqlType::UniqueIdentifier))
        || (from == SqlType::UniqueIdentifier && (is_number(to) || is_moment(to)))
        || matches!(
            (from, to),
            (SqlType::Time(_), SqlType::Date) | (SqlType::Date, SqlType::Time(_))
        );
    if from == SqlType::Variant || (is_text(from) && is_binary(to) && to != SqlType::Image) {
        return Err(error(
            257,
            16,
            format!(
                "Implicit conversion from data type {} to {} is not allowed. Use the CONVERT function to run this query.",
                type_name(from),
                type_name(to)
            ),
        )
        .with_state(3));
    }
    if clash {
        return Err(error(
            206,
            16,
            format!(
                "Operand type clash: {} is incompatible with {}",
                type_name(from),
                type_name(to)
            ),
        ));
    }
    if let Node::Constant(value) = &bound.node
        && let Ok(value) = cast(value, from, to, None)
    {
        let mut folded = Bound::constant(to, value);
        folded.sensitive = bound.sensitive;
        return Ok(folded);
    }
    let sensitive = bound.sensitive;
    let mut converted =
        Bound::new(to, Node::Cast { inner: Box::new(bound), style: None, lenient: false });
    converted.sensitive = sensitive;
    Ok(converted)
}

/// The expression as text of its own length.
pub(in crate::tsql) fn to_text(bound: Bound) -> Binding<Bound> {
    if is_text(bound.ty) {
        return Ok(bound);
    }
    let ty = text_type(false, capacity(bound.ty).or(Some(40)));
    coerce(bound, ty)
}

/// Gives all expressions their common type; NULL literals follow.
pub(in crate::tsql) fn unify(bounds: Vec<Bound>) -> Binding<(SqlType, Vec<Bound>)> {
    let ty =
        bounds.iter().filter(|b| !b.is_null()).map(|b| b.ty).reduce(common).unwrap_or(SqlType::Int);
    let bounds = bounds.into_iter().map(|b| coerce(b, ty)).collect::<Binding<Vec<_>>>()?;
    Ok((ty, bounds))
}

pub(in crate::tsql) fn compare(op: CompareOp, left: Bound, right: Bound) -> Binding<Bound> {
    let sensitive = left.sensitive || right.sensitive;
    let (left, right) = if is_text(left.ty) && is_text(right.ty) {
        (left, right)
    } else {
        let ty = match (left.is_null(), right.is_null()) {
            (true, _) => right.ty,
            (_, true) => left.ty,
            _ => common(left.ty, right.ty),
        };
        (coerce(left, ty)?, coerce(right, ty)?)
    };
    let mut bound = Bound::new(SqlType::Bit, Node::Compare(op, Box::new(left), Box::new(right)));
    bound.sensitive = sensitive;
    Ok(bound)
}

pub(super) fn incompatible(op: BinaryOp, left: SqlType, right: SqlType) -> SqlFailure {
    error(
        402,
        16,
        format!(
            "The data types {} and {} are incompatible in the {} operator.",
            type_name(left),
            type_name(right),
            op.name()
        ),
    )
}

pub(super) fn binary(op: BinaryOp, left: Bound, right: Bound) -> Binding<Bound> {
    let (mut left, mut right) = (left, right);
    if left.is_null() && !right.is_null() {
        left = Bound::constant(right.ty, Value::Null);
    } else if right.is_null() && !left.is_null() {
        right = Bound::constant(left.ty, Value::Null);
    }
    let (l, r) = (left.ty, right.ty);
    if l == SqlType::Variant || r == SqlType::Variant {
        return Err(incompatible(op, l, r));
    }
    if op == BinaryOp::Add && ((is_text(l) && is_text(r)) || (is_binary(l) && is_binary(r))) {
        let length = match (capacity(l), capacity(r)) {
            (Some(a), Some(b)) => Some(a + b),
            _ => None,
        };
        let ty = if is_binary(l) {
            SqlType::VarBinary(match length {
                Some(n) => Length::Up(n.min(8000) as u16),
                None => Length::Max,
            })
        } else {
            text_type(is_national(l) || is_national(r), length)
        };
        let sensitive = left.sensitive || right.sensitive;
        let mut bound = Bound::new(ty, Node::Concat(Box::new(left), Box::new(right)));
        bound.sensitive = sensitive;
        return Ok(bound);
    }
    let plain_moment = |ty| matches!(ty, SqlType::DateTime | SqlType::SmallDateTime);
    if matches!(op, BinaryOp::Add | BinaryOp::Subtract) && (plain_moment(l) || plain_moment(r)) {
        let minus = op == BinaryOp::Subtract;
        let (moment, days) = if plain_moment(l) {
            (left, right)
        } else if !minus {
            (right, left)
        } else {
            (coerce(left, SqlType::DateTime)?, right)
        };
        let days = if is_text(days.ty) { coerce(days, SqlType::DateTime)? } else { days };
        if !is_number(days.ty) && !plain_moment(days.ty) {
            return Err(incompatible(op, l, r));
        }
        return Ok(Bound::new(moment.ty, Node::AddDays(Box::new(moment), Box::new(days), minus)));
    }
    if matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor) {
        if !is_integer(l) || !is_integer(r) {
            return Err(incompatible(op, l, r));
        }
    } else if is_text(l) && is_text(r) {
        return Err(invalid_operand(l, op.name()));
    }
    for ty in [l, r] {
        if !is_number(ty) && !is_text(ty) && !is_binary(ty) {
            let (a, b) = if is_moment(l) { (l, r) } else { (r, l) };
            return Err(error(
                206,
                16,
                format!(
                    "Operand type clash: {} is incompatible with {}",
                    type_name(a),
                    type_name(b)
                ),
            ));
        }
    }
    let ty = common(l, r);
    // Bits compute as themselves only in bit operators.
    let ty = if ty == SqlType::Bit
        && !matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor)
    {
        return Err(invalid_operand(ty, op.name()));
    } else {
        ty
    };
    if let SqlType::Numeric { .. } = ty {
        let keep =
            |b: Bound| -> Binding<Bound> { if is_number(b.ty) { Ok(b) } else { coerce(b, ty) } };
        let (left, right) = (keep(left)?, keep(right)?);
        let ty = numeric_result(op, as_numeric(left.ty), as_numeric(right.ty));
        return Ok(Bound::new(ty, Node::Arithmetic(op, Box::new(left), Box::new(right))));
    }
    let (left, right) = (coerce(left, ty)?, coerce(right, ty)?);
    Ok(Bound::new(ty, Node::Arithmetic(op, Box::new(left), Box::new(right))))
}

/// Source: Transact-SQL reference, "Precision, scale, and length".
pub(super) fn numeric_result(op: BinaryOp, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> SqlType {
    let (p1, s1, p2, s2) = (i32::from(p1), i32::from(s1), i32::from(p2), i32::from(s2));
    let (precision, scale) = match op {
        BinaryOp::Multiply => (p1 + p2 + 1, s1 + s2),
        BinaryOp::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        BinaryOp::Modulo => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
    };
    if precision <= 38 {
        return SqlType::Numeric { precision: precision.max(1) as u8, scale: scale as u8 };
    }
    let whole = precision - scale;
    let scale = if matches!(op, BinaryOp::Multiply | BinaryOp::Divide) {
        if whole < 32 { scale.min(38 - whole) } else { scale.min(6) }
    } else {
        scale.min((38 - whole).max(0))
    };
    SqlType::Numeric { precision: 38, scale: scale as u8 }
}
