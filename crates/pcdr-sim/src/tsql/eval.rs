//! Bound expressions to values.

use std::cmp::Ordering;

use super::bound::{Bound, Env, Node};
use super::convert::{cast, compare, exact, float, is_text, rescale, to_text, type_name};
use super::failures::{divide_by_zero, error, overflow, too_long};
use super::moments;
use super::state::Context;
use super::tree::{BinaryOp, CompareOp};
use crate::message::SqlFailure;
use crate::value::{SqlType, Value};

type Evaluated = Result<Value, SqlFailure>;

/// Evaluates an expression that looks at no row; `None` when it does, or fails.
pub(super) fn eval_constant(bound: &Bound, context: &Context<'_>) -> Option<Value> {
    if looks_at_rows(bound) {
        return None;
    }
    eval(bound, &Env::of(&[], None), context).ok()
}

fn looks_at_rows(bound: &Bound) -> bool {
    match &bound.node {
        Node::Constant(_) | Node::Variable(_) => false,
        Node::Cast { inner, style, .. } => {
            looks_at_rows(inner) || style.as_ref().is_some_and(|s| looks_at_rows(s))
        }
        Node::Arithmetic(_, a, b) | Node::Concat(a, b) | Node::AddDays(a, b, _) => {
            looks_at_rows(a) || looks_at_rows(b)
        }
        Node::Negate(a) => looks_at_rows(a),
        Node::Coalesce(all) | Node::Function(_, all) | Node::Host(_, all) => {
            all.iter().any(looks_at_rows)
        }
        _ => true,
    }
}

fn truth(value: Option<bool>) -> Value {
    value.map_or(Value::Null, Value::Bit)
}

/// A condition's outcome: unknown is `None`.
pub(super) fn test(
    bound: &Bound,
    env: &Env<'_>,
    context: &Context<'_>,
) -> Result<Option<bool>, SqlFailure> {
    Ok(match eval(bound, env, context)? {
        Value::Bit(b) => Some(b),
        _ => None,
    })
}

pub(super) fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
    }
}

pub(super) fn eval(bound: &Bound, env: &Env<'_>, context: &Context<'_>) -> Evaluated {
    match &bound.node {
        Node::Constant(value) => Ok(value.clone()),
        Node::Column { depth, index } => {
            let mut env = env;
            for _ in 0..*depth {
                match env.outer {
                    Some(outer) => env = outer,
                    None => return Ok(Value::Null),
                }
            }
            Ok(env.row.get(*index).cloned().unwrap_or(Value::Null))
        }
        Node::Aggregate(index) => Ok(env.aggregates.get(*index).cloned().unwrap_or(Value::Null)),
        Node::Window(index) => Ok(env.windows.get(*index).cloned().unwrap_or(Value::Null)),
        Node::Variable(name) => Ok(context.variable(name)),
        Node::Cast { inner, style, lenient } => {
            let value = eval(inner, env, context)?;
            let style = match style {
                Some(style) => match eval(style, env, context)? {
                    Value::Int(n) => Some(n),
                    _ => return Ok(Value::Null),
                },
                None => None,
            };
            match cast(&value, inner.ty, bound.ty, style) {
                // Even the lenient form refuses conversions that never exist.
                Err(failure) if *lenient && failure.cause().number != 529 => Ok(Value::Null),
                other => other,
            }
        }
        Node::Arithmetic(..) | Node::Concat(..) => chain(bound, env, context),
        Node::AddDays(moment, days, minus) => {
            let moment = eval(moment, env, context)?;
            let days = eval(days, env, context)?;
            if moment.is_null() || days.is_null() {
                return Ok(Value::Null);
            }
            let days = moments::as_days(&days).unwrap_or(0.0);
            moments::add_days(&moment, if *minus { -days } else { days })
                .ok_or_else(|| overflow("datetime"))
        }
        Node::Negate(inner) => negate(&eval(inner, env, context)?),
        Node::BitNot(inner) => Ok(match eval(inner, env, context)? {
            Value::Bit(b) => Value::Bit(!b),
            Value::TinyInt(n) => Value::TinyInt(!n),
            Value::SmallInt(n) => Value::SmallInt(!n),
            Value::Int(n) => Value::Int(!n),
            Value::BigInt(n) => Value::BigInt(!n),
            _ => Value::Null,
        }),
        Node::Compare(op, left, right) => {
            let left = eval(left, env, context)?;
            let right = eval(right, env, context)?;
            if left.is_null() || right.is_null() {
                if context.session.options.nulls_are_equal {
                    let equal = left.is_null() && right.is_null();
                    return Ok(match op {
                        CompareOp::Equal => Value::Bit(equal),
                        CompareOp::NotEqual => Value::Bit(!equal),
                        _ => Value::Null,
                    });
                }
                return Ok(Value::Null);
            }
            Ok(Value::Bit(holds(*op, compare(&left, &right, bound.sensitive))))
        }
        Node::And(all) => {
            let mut unknown = false;
            for condition in all {
                match test(condition, env, context)? {
                    Some(false) => return Ok(Value::Bit(false)),
                    Some(true) => {}
                    None => unknown = true,
                }
            }
            Ok(truth((!unknown).then_some(true)))
        }
        Node::Or(all) => {
            let mut unknown = false;
            for condition in all {
                match test(condition, env, context)? {
                    Some(true) => return Ok(Value::Bit(true)),
                    Some(false) => {}
                    None => unknown = true,
                }
            }
            Ok(truth((!unknown).then_some(false)))
        }
        Node::Not(inner) => Ok(truth(test(inner, env, context)?.map(|b| !b))),
        Node::IsNull(inner) => Ok(Value::Bit(eval(inner, env, context)?.is_null())),
        Node::InList(pairs) => {
            let mut unknown = false;
            let Some((operand, _)) = pairs.first() else {
                return Ok(Value::Bit(false));
            };
            let operand = eval(operand, env, context)?;
            if operand.is_null() {
                return Ok(Value::Null);
            }
            for (_, item) in pairs {
                let item = eval(item, env, context)?;
                if item.is_null() {
                    unknown = true;
                } else if compare(&operand, &item, bound.sensitive).is_eq() {
                    return Ok(Value::Bit(true));
                }
            }
            Ok(truth((!unknown).then_some(false)))
        }
        Node::Quantified(value, op, all, plan) => {
            let value = eval(value, env, context)?;
            let mut unknown = false;
            let rows = plan.run(Some(env), context)?;
            for row in &rows {
                let item = row.first().unwrap_or(&Value::Null);
                if value.is_null() || item.is_null() {
                    unknown = true;
                } else if holds(*op, compare_any(&value, item, bound.sensitive)) != *all {
                    return Ok(Value::Bit(!*all));
                }
            }
            Ok(truth((!unknown).then_some(*all)))
        }
        Node::Like(value, pattern, escape) => {
            let value = eval(value, env, context)?;
            let pattern = eval(pattern, env, context)?;
            let escape = match escape {
                Some(escape) => match eval(escape, env, context)? {
                    Value::String(s) => s.chars().next(),
                    _ => return Ok(Value::Null),
                },
                None => None,
            };
            Ok(match (&value, &pattern) {
                (Value::String(text), Value::String(pattern)) => {
                    Value::Bit(like(text, pattern, escape, bound.sensitive))
                }
                _ => Value::Null,
            })
        }
        Node::Exists(plan) => Ok(Value::Bit(!plan.run(Some(env), context)?.is_empty())),
        Node::Case(branches, otherwise) => {
            for (condition, result) in branches {
                if test(condition, env, context)? == Some(true) {
                    return eval(result, env, context);
                }
            }
            match otherwise {
                Some(otherwise) => eval(otherwise, env, context),
                None => Ok(Value::Null),
            }
        }
        Node::Coalesce(all) => {
            for item in all {
                let value = eval(item, env, context)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
        Node::Function(apply, arguments) => {
            let values =
                arguments.iter().map(|a| eval(a, env, context)).collect::<Result<Vec<_>, _>>()?;
            let value = apply(&values)?;
            // Strings keep to their declared length.
            if is_text(bound.ty) && matches!(value, Value::String(_)) {
                return cast(&value, bound.ty, bound.ty, None);
            }
            Ok(value)
        }
        Node::Host(name, arguments) => {
            let values =
                arguments.iter().map(|a| eval(a, env, context)).collect::<Result<Vec<_>, _>>()?;
            match context.host.function(name, &values) {
                Some(Ok((ty, value))) if ty != bound.ty => cast(&value, ty, bound.ty, None),
                Some(Ok((_, value))) => Ok(value),
                Some(Err(failure)) => Err(failure),
                None => Err(error(
                    195,
                    15,
                    format!("'{name}' is not a recognized built-in function name."),
                )),
            }
        }
        Node::Routine(routine, arguments) => {
            let values =
                arguments.iter().map(|a| eval(a, env, context)).collect::<Result<Vec<_>, _>>()?;
            routine.value(&values, context)
        }
        Node::Subquery(plan) => {
            let rows = plan.run(Some(env), context)?;
            if rows.len() > 1 {
                return Err(error(
                    512,
                    16,
                    "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.",
                ));
            }
            Ok(rows
                .into_iter()
                .next()
                .and_then(|row| row.into_iter().next())
                .unwrap_or(Value::Null))
        }
    }
}

/// A chain of operators, evaluated from the left without recursion: it may be long.
#[inline(never)]
fn chain(bound: &Bound, env: &Env<'_>, context: &Context<'_>) -> Evaluated {
    let mut links = Vec::new();
    let mut first = bound;
    while let Node::Arithmetic(_, left, right) | Node::Concat(left, right) = &first.node {
        links.push((first, right));
        first = left;
    }
    let mut value = eval(first, env, context)?;
    for (link, right) in links.into_iter().rev() {
        let right = eval(right, env, context)?;
        value = match &link.node {
            Node::Arithmetic(op, ..) => arithmetic(*op, &value, &right, link.ty)?,
            _ if context.session.options.null_joins_as_empty => {
                let empty = Value::string("");
                let side =
                    |value: &Value| if value.is_null() { empty.clone() } else { value.clone() };
                concatenate(&side(&value), &side(&right), link.ty)?
            }
            _ => concatenate(&value, &right, link.ty)?,
        };
    }
    Ok(value)
}

fn concatenate(left: &Value, right: &Value, ty: SqlType) -> Evaluated {
    Ok(match (left, right) {
        (Value::String(a), Value::String(b)) => {
            too_long(a.len() + b.len())?;
            let joined = format!("{a}{b}");
            cast(&Value::string(joined), ty, ty, None)?
        }
        (Value::Binary(a), Value::Binary(b)) => {
            too_long(a.len() + b.len())?;
            Value::Binary(a.iter().chain(b.iter()).copied().collect())
        }
        _ => Value::Null,
    })
}

/// Compares values whose types were not unified when they were bound (a subquery's column).
fn compare_any(a: &Value, b: &Value, sensitive: bool) -> Ordering {
    match (a, b) {
        (Value::String(text), other) if !matches!(other, Value::String(_)) => {
            if let Some(n) = float(other)
                && let Ok(parsed) = text.trim().parse::<f64>()
            {
                return parsed.total_cmp(&n);
            }
            compare(a, b, sensitive)
        }
        (other, Value::String(_)) if !matches!(other, Value::String(_)) => {
            compare_any(b, a, sensitive).reverse()
        }
        _ => compare(a, b, sensitive),
    }
}

pub(super) fn negate(value: &Value) -> Evaluated {
    Ok(match value {
        Value::SmallInt(n) => Value::SmallInt(n.checked_neg().ok_or_else(|| overflow("smallint"))?),
        Value::TinyInt(0) => Value::TinyInt(0),
        Value::TinyInt(_) => return Err(overflow("tinyint")),
        Value::Int(n) => Value::Int(n.checked_neg().ok_or_else(|| overflow("int"))?),
        Value::BigInt(n) => Value::BigInt(n.checked_neg().ok_or_else(|| overflow("bigint"))?),
        Value::Money(n) => Value::Money(n.checked_neg().ok_or_else(|| overflow("money"))?),
        Value::Real(f) => Value::Real(-f),
        Value::Float(f) => Value::Float(-f),
        Value::Numeric { unscaled, scale } => Value::Numeric { unscaled: -unscaled, scale: *scale },
        _ => Value::Null,
    })
}

fn arithmetic(op: BinaryOp, left: &Value, right: &Value, ty: SqlType) -> Evaluated {
    if left.is_null() || right.is_null() {
        return Ok(Value::Null);
    }
    match ty {
        SqlType::Float | SqlType::Real => {
            let (a, b) = (float(left).unwrap_or(0.0), float(right).unwrap_or(0.0));
            let result = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Subtract => a - b,
                BinaryOp::Multiply => a * b,
                BinaryOp::Divide | BinaryOp::Modulo if b == 0.0 => return Err(divide_by_zero()),
                BinaryOp::Divide => a / b,
                BinaryOp::Modulo => a % b,
                _ => return Ok(Value::Null),
            };
            if !result.is_finite() {
                return Err(overflow(type_name(ty)));
            }
            cast(&Value::Float(result), SqlType::Float, ty, None)
        }
        SqlType::Numeric { scale, .. } => {
            let (Some(a), Some(b)) = (exact(left), exact(right)) else {
                return Ok(Value::Null);
            };
            let unscaled = exact_arithmetic(op, a, b, scale)?.ok_or_else(numeric_overflow)?;
            let wide = SqlType::Numeric { precision: 38, scale };
            cast(&Value::Numeric { unscaled, scale }, wide, ty, None)
        }
        SqlType::Money => {
            let (Some((a, s1)), Some((b, s2))) = (exact(left), exact(right)) else {
                return Ok(Value::Null);
            };
            let unscaled =
                exact_arithmetic(op, (a, s1), (b, s2), 4)?.ok_or_else(|| overflow("money"))?;
            cast(&Value::Numeric { unscaled, scale: 4 }, ty, ty, None)
        }
        _ => {
            let (Some((a, _)), Some((b, _))) = (exact(left), exact(right)) else {
                return Ok(Value::Null);
            };
            let result = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Subtract => a - b,
                BinaryOp::Multiply => a * b,
                BinaryOp::Divide | BinaryOp::Modulo if b == 0 => return Err(divide_by_zero()),
                BinaryOp::Divide => a / b,
                BinaryOp::Modulo => a % b,
                BinaryOp::BitAnd => a & b,
                BinaryOp::BitOr => a | b,
                BinaryOp::BitXor => a ^ b,
            };
            let wide = Value::Numeric { unscaled: result, scale: 0 };
            if ty == SqlType::Bit {
                return Ok(Value::Bit(result != 0));
            }
            cast(&wide, SqlType::BigInt, ty, None).map_err(|_| overflow(type_name(ty)))
        }
    }
}

fn numeric_overflow() -> SqlFailure {
    error(8115, 16, "Arithmetic overflow error converting numeric to data type numeric.")
}

/// Exact arithmetic to `scale`; `Ok(None)` on overflow.
fn exact_arithmetic(
    op: BinaryOp,
    (a, s1): (i128, u8),
    (b, s2): (i128, u8),
    scale: u8,
) -> Result<Option<i128>, SqlFailure> {
    let aligned = |n: i128, s: u8| rescale(n, s, s1.max(s2));
    let common = s1.max(s2);
    Ok(match op {
        BinaryOp::Add | BinaryOp::Subtract => aligned(a, s1)
            .zip(aligned(b, s2))
            .and_then(
                |(x, y)| {
                    if op == BinaryOp::Add { x.checked_add(y) } else { x.checked_sub(y) }
                },
            )
            .and_then(|n| rescale(n, common, scale)),
        BinaryOp::Multiply => a.checked_mul(b).and_then(|n| rescale(n, s1 + s2, scale)),
        BinaryOp::Divide | BinaryOp::Modulo if b == 0 => return Err(divide_by_zero()),
        BinaryOp::Divide => divide(a, b, i32::from(scale) + i32::from(s2) - i32::from(s1)),
        BinaryOp::Modulo => {
            aligned(a, s1).zip(aligned(b, s2)).and_then(|(x, y)| rescale(x % y, common, scale))
        }
        _ => None,
    })
}

/// `a` × 10^`shift` ÷ `b`, digit by digit so that the dividend never overflows.
fn divide(a: i128, b: i128, shift: i32) -> Option<i128> {
    let negative = (a < 0) != (b < 0);
    let (a, b) = (a.checked_abs()?, b.checked_abs()?);
    let mut quotient = a / b;
    let mut remainder = a % b;
    if shift < 0 {
        let divisor = 10i128.checked_pow(shift.unsigned_abs())?;
        quotient /= divisor;
    }
    for _ in 0..shift.max(0) {
        remainder = remainder.checked_mul(10)?;
        quotient = quotient.checked_mul(10)?.checked_add(remainder / b)?;
        remainder %= b;
    }
    Some(if negative { -quotient } else { quotient })
}

/// LIKE, with `%`, `_`, `[a-z]` and `[^a-z]`.
pub(super) fn like(text: &str, pattern: &str, escape: Option<char>, sensitive: bool) -> bool {
    let prepare = |s: &str| -> Vec<char> {
        if sensitive { s.chars().collect() } else { s.to_lowercase().chars().collect() }
    };
    let (text, pattern) = (prepare(text), prepare(pattern));
    let escape = if sensitive { escape } else { escape.and_then(|c| c.to_lowercase().next()) };
    let parts = like_parts(&pattern, escape);
    // Trailing blanks of the text do not count, those of the pattern do.
    matches_parts(&text, &parts) || {
        let trimmed = text.iter().rposition(|c| *c != ' ').map_or(0, |i| i + 1);
        trimmed < text.len() && matches_parts(&text[..trimmed], &parts)
    }
}

enum LikePart {
    Any,
    One,
    Char(char),
    Set(bool, Vec<(char, char)>),
}

fn like_parts(pattern: &[char], escape: Option<char>) -> Vec<LikePart> {
    let mut parts = Vec::new();
    let mut i = 0;
    while i < pattern.len() {
        let c = pattern[i];
        i += 1;
        if Some(c) == escape && i < pattern.len() {
            parts.push(LikePart::Char(pattern[i]));
            i += 1;
            continue;
        }
        match c {
            '%' => {
                if !matches!(parts.last(), Some(LikePart::Any)) {
                    parts.push(LikePart::Any);
                }
            }
            '_' => parts.push(LikePart::One),
            '[' => {
                let negated = pattern.get(i) == Some(&'^');
                let start = i + usize::from(negated);
                let mut end = start;
                // A bracket right after the opening one stands for itself only as `[]]`… which the
                // server does not support: the class ends at the first `]` that is not escaped.
                while end < pattern.len() && pattern[end] != ']' {
                    end += if Some(pattern[end]) == escape { 2 } else { 1 };
                }
                if end >= pattern.len() {
                    // Never closed: matches nothing.
                    parts.push(LikePart::Set(false, Vec::new()));
                    i = pattern.len();
                    continue;
                }
                let mut set = Vec::new();
                let mut k = start;
                while k < end {
                    if Some(pattern[k]) == escape && k + 1 < end {
                        k += 1;
                    }
                    if k + 2 < end && pattern[k + 1] == '-' {
                        set.push((pattern[k], pattern[k + 2]));
                        k += 3;
                    } else {
                        set.push((pattern[k], pattern[k]));
                        k += 1;
                    }
                }
                parts.push(LikePart::Set(negated, set));
                i = end + 1;
            }
            c => parts.push(LikePart::Char(c)),
        }
    }
    parts
}

/// Matches greedily with a single point of return, so that no pattern takes exponential time.
fn matches_parts(text: &[char], parts: &[LikePart]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if p < parts.len() {
            if matches!(parts[p], LikePart::Any) {
                retry = Some((t, p + 1));
                p += 1;
                continue;
            }
            if t < text.len() && part_matches(&parts[p], text[t]) {
                t += 1;
                p += 1;
                continue;
            }
        } else if t == text.len() {
            return true;
        }
        match retry {
            Some((from, after)) if from < text.len() => {
                retry = Some((from + 1, after));
                t = from + 1;
                p = after;
            }
            _ => return false,
        }
    }
}

fn part_matches(part: &LikePart, c: char) -> bool {
    match part {
        LikePart::Any | LikePart::One => true,
        LikePart::Char(expected) => *expected == c,
        LikePart::Set(negated, ranges) => {
            ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
        }
    }
}

/// PATINDEX: the position of the first match, from 1, or 0.
pub(super) fn pattern_index(text: &str, pattern: &str) -> usize {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let parts = like_parts(&pattern, None);
    let Some(LikePart::Any) = parts.first() else {
        return usize::from(matches_parts(&text, &parts));
    };
    let rest = &parts[1..];
    (0..=text.len()).find(|start| matches_parts(&text[*start..], rest)).map_or(0, |start| start + 1)
}

/// Text of a value for PRINT and messages.
pub(super) fn display(value: &Value, ty: SqlType) -> String {
    to_text(value, ty, None)
}
