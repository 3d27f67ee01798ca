//! Built-in functions that need nothing of the server: their types, and how to apply them.

mod date;
mod format;
mod more;
mod number;
mod text;

use self::date::{
    date_add, date_diff, date_diff_big, date_from_parts, date_name, date_part, datetime_from_parts,
    datetime2_from_parts, end_of_month, switch_offset, to_offset, zone_attach, zone_switch,
};
use self::number::{abs, power, round, round_whole, sign};
use self::text::{
    char_index, character, code, concat, concat_with, left, len, national_character, pat_index,
    quote_name, replace, replicate, right, space, str_number, stuff, sub_binary, substring,
    translate, trim_characters,
};
use super::bind::{Binding, coerce, compare, identity, to_text, unify};
use super::bound::{Apply, Bound, Node};
use super::convert::{
    as_numeric, capacity, float, integer, is_binary, is_integer, is_moment, is_national, is_number,
    is_text, text_type, type_name,
};
use super::failures::error;
use super::moments;
use super::state::Context;
use super::tree::CompareOp;
use crate::message::SqlFailure;
use crate::value::{Length, SqlType, Value};

type Applied = Result<Value, SqlFailure>;

/// Error 174.
pub(super) fn wrong_count(name: &str, wanted: usize) -> SqlFailure {
    error(174, 15, format!("The {} function requires {wanted} argument(s).", name.to_lowercase()))
}

/// The bits of `GROUPING_ID` as a number, the first one the highest.
pub(super) fn bits_to_number(values: &[Value]) -> Applied {
    let bit = |value: &Value| i32::from(matches!(value, Value::TinyInt(1)));
    Ok(Value::Int(values.iter().fold(0, |n, value| n << 1 | bit(value))))
}

/// Error 8116.
pub(super) fn invalid_argument(ty: SqlType, at: usize, name: &str) -> SqlFailure {
    error(
        8116,
        16,
        format!(
            "Argument data type {} is invalid for argument {at} of {} function.",
            type_name(ty),
            name.to_lowercase()
        ),
    )
}

/// Error 8117 for an aggregate.
pub(super) fn invalid_operand_type(ty: SqlType, name: &str) -> SqlFailure {
    error(
        8117,
        16,
        format!(
            "Operand data type {} is invalid for {} operator.",
            type_name(ty),
            name.to_lowercase()
        ),
    )
}

fn function(ty: SqlType, apply: Apply, arguments: Vec<Bound>) -> Binding<Bound> {
    Ok(Bound::new(ty, Node::Function(apply, arguments)))
}

fn constant(ty: SqlType, value: Value) -> Binding<Bound> {
    Ok(Bound::constant(ty, value))
}

fn text(bound: Bound, at: usize, name: &str) -> Binding<Bound> {
    if bound.ty == SqlType::Variant || is_moment(bound.ty) && name == "LEN_STRICT" {
        return Err(invalid_argument(bound.ty, at, name));
    }
    if is_binary(bound.ty) && !bound.is_null() {
        return Err(invalid_argument(bound.ty, at, name));
    }
    to_text(bound)
}

fn int(bound: Bound) -> Binding<Bound> {
    coerce(bound, SqlType::BigInt)
}

/// Binds a call; `None` when there is no such function here.
pub(super) fn bind(
    name: &str,
    arguments: Vec<Bound>,
    context: &Context<'_>,
) -> Option<Binding<Bound>> {
    if let Some(bound) = session_function(name, &arguments, context) {
        return Some(bound);
    }
    if let Some(bound) = more::bind(name, &arguments, context) {
        return Some(bound);
    }
    let (least, most) = arity(name)?;
    if arguments.len() < least || arguments.len() > most {
        return Some(Err(wrong_count(name, least)));
    }
    Some(
        bind_general(name, &arguments)
            .or_else(|| bind_text(name, &arguments))
            .or_else(|| bind_math(name, &arguments))
            .or_else(|| bind_date(name, &arguments))
            .unwrap_or_else(|| Err(wrong_count(name, least))),
    )
}

/// How many arguments each function takes.
fn arity(name: &str) -> Option<(usize, usize)> {
    Some(match name {
        "COALESCE" | "CONCAT" => (1, 254),
        "CONCAT_WS" => (2, 254),
        "CHOOSE" => (2, 254),
        "ISNULL" | "NULLIF" | "LEFT" | "RIGHT" | "REPLICATE" | "PATINDEX" | "POWER" => (2, 2),
        "DATALENGTH" | "LEN" | "UPPER" | "LOWER" | "LTRIM" | "RTRIM" | "REVERSE" | "SPACE"
        | "CHAR" | "NCHAR" | "UNICODE" | "ASCII" | "ABS" | "CEILING" | "FLOOR" | "SIGN"
        | "SQRT" | "SQUARE" | "EXP" | "LOG10" | "ISNUMERIC" | "ISDATE" | "YEAR" | "MONTH"
        | "DAY" => (1, 1),
        "TRIM" | "QUOTENAME" | "EOMONTH" => (1, 2),
        "SUBSTRING" | "REPLACE" | "TRANSLATE" | "DATEADD" | "DATEDIFF" | "DATEDIFF_BIG"
        | "DATEFROMPARTS" => (3, 3),
        "CHARINDEX" | "ROUND" => (2, 3),
        "STR" => (1, 3),
        "STUFF" => (4, 4),
        "DATEPART" | "DATENAME" | "SWITCHOFFSET" | "TODATETIMEOFFSET" => (2, 2),
        "DATETIMEFROMPARTS" => (7, 7),
        "DATETIME2FROMPARTS" => (8, 8),
        "PI" => (0, 0),
        "SQL_VARIANT_PROPERTY" => (2, 2),
        "GREATEST" | "LEAST" => (1, 254),
        _ => return None,
    })
}

/// Functions of the session's own language state; constant while a statement runs.
fn session_function(
    name: &str,
    arguments: &[Bound],
    context: &Context<'_>,
) -> Option<Binding<Bound>> {
    if !arguments.is_empty() {
        return None;
    }
    let caught = context.frame.caught.last();
    let number = |pick: fn(&crate::message::SqlMessage) -> i32| {
        constant(SqlType::Int, caught.map_or(Value::Null, |m| Value::Int(pick(m))))
    };
    Some(match name {
        "ERROR_NUMBER" => number(|m| m.number),
        "ERROR_SEVERITY" => number(|m| i32::from(m.severity)),
        "ERROR_STATE" => number(|m| i32::from(m.state)),
        "ERROR_LINE" => number(|m| i32::try_from(m.line).unwrap_or(i32::MAX)),
        "ERROR_MESSAGE" => constant(
            SqlType::nvarchar(4000),
            caught.map_or(Value::Null, |m| Value::string(&m.text)),
        ),
        "ERROR_PROCEDURE" => constant(
            SqlType::SYSNAME,
            caught
                .filter(|m| !m.procedure.is_empty())
                .map_or(Value::Null, |m| Value::string(&m.procedure)),
        ),
        "XACT_STATE" => constant(
            SqlType::SmallInt,
            Value::SmallInt(match (context.session.transactions, context.session.doomed) {
                (0, _) => 0,
                (_, true) => -1,
                (_, false) => 1,
            }),
        ),
        "SCOPE_IDENTITY" => Ok(identity(context.session.identity)),
        "ROWCOUNT_BIG" => constant(SqlType::BigInt, Value::BigInt(context.session.row_count)),
        _ => return None,
    })
}

fn bind_general(name: &str, a: &[Bound]) -> Option<Binding<Bound>> {
    Some(match name {
        "COALESCE" => {
            if a.iter().all(Bound::is_null) {
                return Some(Err(error(
                    4127,
                    16,
                    "At least one of the arguments to COALESCE must be an expression that is not the NULL constant.",
                )));
            }
            unify(a.to_vec()).map(|(ty, all)| Bound::new(ty, Node::Coalesce(all)))
        }
        "ISNULL" => {
            let ty = if a[0].is_null() { a[1].ty } else { a[0].ty };
            coerce(a[0].clone(), ty).and_then(|first| {
                let second = coerce(a[1].clone(), ty)?;
                Ok(Bound::new(ty, Node::Coalesce(vec![first, second])))
            })
        }
        "NULLIF" => compare(CompareOp::Equal, a[0].clone(), a[1].clone()).map(|same| {
            let null = Bound::constant(a[0].ty, Value::Null);
            Bound::new(a[0].ty, Node::Case(vec![(same, null)], Some(Box::new(a[0].clone()))))
        }),
        "CHOOSE" => int(a[0].clone()).and_then(|index| {
            let (ty, values) = unify(a[1..].to_vec())?;
            let branches = values
                .into_iter()
                .enumerate()
                .map(|(i, value)| {
                    let position = Bound::constant(SqlType::BigInt, Value::BigInt(i as i64 + 1));
                    Ok((compare(CompareOp::Equal, index.clone(), position)?, value))
                })
                .collect::<Binding<Vec<_>>>()?;
            Ok(Bound::new(ty, Node::Case(branches, None)))
        }),
        "GREATEST" => unify(a.to_vec()).and_then(|(ty, all)| function(ty, greatest, all)),
        "LEAST" => unify(a.to_vec()).and_then(|(ty, all)| function(ty, least, all)),
        "ISNUMERIC" => function(SqlType::Int, is_numeric, a.to_vec()),
        "ISDATE" => {
            text(a[0].clone(), 1, name).and_then(|t| function(SqlType::Int, is_date, vec![t]))
        }
        "DATALENGTH" => {
            let national = Bound::constant(SqlType::Bit, Value::Bit(is_national(a[0].ty)));
            function(SqlType::Int, data_length, vec![a[0].clone(), national])
        }
        "SQL_VARIANT_PROPERTY" => to_text(a[1].clone()).and_then(|property| {
            let value = coerce(a[0].clone(), SqlType::Variant)?;
            function(SqlType::Variant, variant_property, vec![value, property])
        }),
        _ => return None,
    })
}

fn bind_text(name: &str, a: &[Bound]) -> Option<Binding<Bound>> {
    let first = || text(a[0].clone(), 1, name);
    let same = |apply: Apply| {
        first().and_then(|t| {
            let ty = text_type(is_national(t.ty), capacity(t.ty));
            function(ty, apply, vec![t])
        })
    };
    let wide = |t: SqlType| text_type(is_national(t), capacity(t).map(|_| 8000));
    Some(match name {
        "LEN" => first().and_then(|t| function(SqlType::Int, len, vec![t])),
        "UPPER" => same(|v| map_text(v, |s| s.to_uppercase())),
        "LOWER" => same(|v| map_text(v, |s| s.to_lowercase())),
        "LTRIM" => same(|v| map_text(v, |s| s.trim_start_matches(' ').to_string())),
        "RTRIM" => same(|v| map_text(v, |s| s.trim_end_matches(' ').to_string())),
        "REVERSE" => same(|v| map_text(v, |s| s.chars().rev().collect())),
        "TRIM" if a.len() == 1 => same(|v| map_text(v, |s| s.trim_matches(' ').to_string())),
        "TRIM" => first().and_then(|characters| {
            let t = text(a[1].clone(), 2, name)?;
            function(
                text_type(is_national(t.ty), capacity(t.ty)),
                trim_characters,
                vec![characters, t],
            )
        }),
        "LEFT" | "RIGHT" => first().and_then(|t| {
            let ty = text_type(is_national(t.ty), capacity(t.ty));
            let count = int(a[1].clone())?;
            function(ty, if name == "LEFT" { left } else { right }, vec![t, count])
        }),
        "SUBSTRING" if is_binary(a[0].ty) && !a[0].is_null() => {
            int(a[1].clone()).and_then(|from| {
                let count = int(a[2].clone())?;
                let ty = SqlType::VarBinary(
                    capacity(a[0].ty).map_or(Length::Max, |n| Length::Up(n as u16)),
                );
                function(ty, sub_binary, vec![a[0].clone(), from, count])
            })
        }
        "SUBSTRING" => first().and_then(|t| {
            let ty = text_type(is_national(t.ty), capacity(t.ty));
            let from = int(a[1].clone())?;
            let count = int(a[2].clone())?;
            function(ty, substring, vec![t, from, count])
        }),
        "CHARINDEX" => first().and_then(|needle| {
            let hay = text(a[1].clone(), 2, name)?;
            let mut all = vec![needle, hay];
            if let Some(start) = a.get(2) {
                all.push(int(start.clone())?);
            }
            function(SqlType::Int, char_index, all)
        }),
        "PATINDEX" => first().and_then(|pattern| {
            let t = text(a[1].clone(), 2, name)?;
            function(SqlType::Int, pat_index, vec![pattern, t])
        }),
        "REPLACE" | "TRANSLATE" => first().and_then(|t| {
            let ty = wide(t.ty);
            let from = text(a[1].clone(), 2, name)?;
            let to = text(a[2].clone(), 3, name)?;
            function(ty, if name == "REPLACE" { replace } else { translate }, vec![t, from, to])
        }),
        "STUFF" => first().and_then(|t| {
            let from = int(a[1].clone())?;
            let count = int(a[2].clone())?;
            let with = text(a[3].clone(), 4, name)?;
            function(wide(t.ty), stuff, vec![t, from, count, with])
        }),
        "REPLICATE" => first().and_then(|t| {
            let count = int(a[1].clone())?;
            function(wide(t.ty), replicate, vec![t, count])
        }),
        "SPACE" => int(a[0].clone())
            .and_then(|count| function(SqlType::VarChar(Length::Up(8000)), space, vec![count])),
        "QUOTENAME" => first().and_then(|t| {
            let mut all = vec![t];
            if let Some(quote) = a.get(1) {
                all.push(text(quote.clone(), 2, name)?);
            }
            function(SqlType::nvarchar(258), quote_name, all)
        }),
        "CONCAT" | "CONCAT_WS" => a
            .iter()
            .map(|b| to_text_or_variant(b.clone()))
            .collect::<Binding<Vec<_>>>()
            .and_then(|all| {
                let national = all.iter().any(|b| is_national(b.ty));
                let total = all
                    .iter()
                    .map(|b| capacity(b.ty))
                    .try_fold(0, |sum: u32, n| n.map(|n| sum.saturating_add(n)));
                let ty =
                    text_type(national, if name == "CONCAT" { total } else { total.map(|_| 8000) });
                function(ty, if name == "CONCAT" { concat } else { concat_with }, all)
            }),
        "CHAR" => int(a[0].clone()).and_then(|n| function(SqlType::Char(1), character, vec![n])),
        "NCHAR" => {
            int(a[0].clone()).and_then(|n| function(SqlType::NChar(1), national_character, vec![n]))
        }
        "UNICODE" | "ASCII" => first().and_then(|t| function(SqlType::Int, code, vec![t])),
        "STR" => coerce(a[0].clone(), SqlType::Float).and_then(|value| {
            let mut all = vec![value];
            for b in &a[1..] {
                all.push(int(b.clone())?);
            }
            function(SqlType::VarChar(Length::Up(8000)), str_number, all)
        }),
        _ => return None,
    })
}

fn bind_math(name: &str, a: &[Bound]) -> Option<Binding<Bound>> {
    let real = |apply: Apply| {
        coerce(a[0].clone(), SqlType::Float)
            .and_then(|value| function(SqlType::Float, apply, vec![value]))
    };
    let numeric = |b: &Bound| -> Binding<Bound> {
        if is_number(b.ty) { Ok(b.clone()) } else { coerce(b.clone(), SqlType::Float) }
    };
    let wider = |ty: SqlType| match ty {
        SqlType::Bit | SqlType::TinyInt | SqlType::SmallInt => SqlType::Int,
        SqlType::Real => SqlType::Float,
        other => other,
    };
    let whole = |ty: SqlType| match wider(ty) {
        SqlType::Numeric { precision, .. } => SqlType::Numeric { precision, scale: 0 },
        other => other,
    };
    Some(match name {
        "PI" => constant(SqlType::Float, Value::Float(std::f64::consts::PI)),
        "SQRT" => real(|v| map_float(v, f64::sqrt)),
        "SQUARE" => real(|v| map_float(v, |f| f * f)),
        "EXP" => real(|v| map_float(v, f64::exp)),
        "LOG10" => real(|v| map_float(v, f64::log10)),
        "ABS" | "SIGN" => numeric(&a[0]).and_then(|b| {
            let ty = wider(b.ty);
            let b = coerce(b, ty)?;
            function(ty, if name == "ABS" { abs } else { sign }, vec![b])
        }),
        "CEILING" | "FLOOR" => numeric(&a[0]).and_then(|b| {
            let ty = whole(b.ty);
            let up = Bound::constant(SqlType::Bit, Value::Bit(name == "CEILING"));
            let b = if is_integer(b.ty) { coerce(b, ty)? } else { b };
            function(ty, round_whole, vec![b, up])
        }),
        "ROUND" => numeric(&a[0]).and_then(|b| {
            let ty = wider(b.ty);
            let b = coerce(b, ty)?;
            let mut all = vec![b, int(a[1].clone())?];
            if let Some(truncate) = a.get(2) {
                all.push(int(truncate.clone())?);
            }
            function(ty, round, all)
        }),
        "POWER" => numeric(&a[0]).and_then(|b| {
            let ty = wider(b.ty);
            let base = coerce(b, SqlType::Float)?;
            let exponent = coerce(a[1].clone(), SqlType::Float)?;
            let raised = Bound::new(SqlType::Float, Node::Function(power, vec![base, exponent]));
            coerce(raised, ty)
        }),
        _ => return None,
    })
}

fn date_argument(bound: &Bound, at: usize, name: &str) -> Binding<Bound> {
    match bound.ty {
        ty if is_moment(ty) => Ok(bound.clone()),
        ty if is_text(ty) || bound.is_null() => coerce(
            bound.clone(),
            // Text is read with its offset and its fraction.
            if name == "SWITCHOFFSET" {
                SqlType::DateTimeOffset(7)
            } else if name == "DATEADD" {
                SqlType::DateTime
            } else {
                SqlType::DateTime2(7)
            },
        ),
        ty if is_number(ty) => coerce(bound.clone(), SqlType::DateTime),
        ty => Err(invalid_argument(ty, at, name)),
    }
}

fn date_part_argument(bound: &Bound, name: &str) -> Binding<Bound> {
    let Node::Constant(Value::String(part)) = &bound.node else {
        return Err(invalid_argument(bound.ty, 1, name));
    };
    if moments::part(part).is_none() {
        return Err(error(
            155,
            15,
            format!("'{part}' is not a recognized {} option.", name.to_lowercase()),
        ));
    }
    Ok(bound.clone())
}

fn bind_date(name: &str, a: &[Bound]) -> Option<Binding<Bound>> {
    Some(match name {
        "YEAR" | "MONTH" | "DAY" => date_argument(&a[0], 1, name).and_then(|value| {
            let part = Bound::constant(
                SqlType::VarChar(Length::Up(5)),
                Value::string(name.to_lowercase()),
            );
            function(SqlType::Int, date_part, vec![part, value])
        }),
        "DATEPART" | "DATENAME" => date_part_argument(&a[0], name).and_then(|part| {
            let value = date_argument(&a[1], 2, name)?;
            if name == "DATEPART" {
                function(SqlType::Int, date_part, vec![part, value])
            } else {
                function(SqlType::nvarchar(30), date_name, vec![part, value])
            }
        }),
        "DATEADD" => date_part_argument(&a[0], name).and_then(|part| {
            let amount = int(a[1].clone())?;
            let value = date_argument(&a[2], 3, name)?;
            function(value.ty, date_add, vec![part, amount, value])
        }),
        "DATEDIFF" | "DATEDIFF_BIG" => date_part_argument(&a[0], name).and_then(|part| {
            let from = date_argument(&a[1], 2, name)?;
            let to = date_argument(&a[2], 3, name)?;
            if name == "DATEDIFF" {
                function(SqlType::Int, date_diff, vec![part, from, to])
            } else {
                function(SqlType::BigInt, date_diff_big, vec![part, from, to])
            }
        }),
        "EOMONTH" => date_argument(&a[0], 1, name).and_then(|value| {
            let months = match a.get(1) {
                Some(months) => int(months.clone())?,
                None => Bound::constant(SqlType::BigInt, Value::BigInt(0)),
            };
            function(SqlType::Date, end_of_month, vec![value, months])
        }),
        "DATEFROMPARTS" | "DATETIMEFROMPARTS" | "DATETIME2FROMPARTS" => {
            a.iter().map(|b| int(b.clone())).collect::<Binding<Vec<_>>>().and_then(|parts| {
                match name {
                    "DATEFROMPARTS" => function(SqlType::Date, date_from_parts, parts),
                    "DATETIMEFROMPARTS" => function(SqlType::DateTime, datetime_from_parts, parts),
                    _ => function(SqlType::DateTime2(7), datetime2_from_parts, parts),
                }
            })
        }
        "SWITCHOFFSET" | "TODATETIMEOFFSET" => {
            let minutes =
                if is_number(a[1].ty) { int(a[1].clone()) } else { text(a[1].clone(), 2, name) };
            minutes.and_then(|offset| {
                let switch = name == "SWITCHOFFSET";
                let digits = match a[0].ty {
                    SqlType::DateTimeOffset(n) | SqlType::DateTime2(n) => n,
                    SqlType::DateTime => 3,
                    _ => 7,
                };
                let value = if switch {
                    coerce(a[0].clone(), SqlType::DateTimeOffset(digits))?
                } else {
                    coerce(a[0].clone(), SqlType::DateTime2(digits))?
                };
                let apply: Apply = if switch { switch_offset } else { to_offset };
                function(SqlType::DateTimeOffset(digits), apply, vec![value, offset])
            })
        }
        _ => return None,
    })
}

/// `value AT TIME ZONE zone`: only UTC and fixed offsets are known.
pub(super) fn at_time_zone(value: Bound, zone: Bound) -> Binding<Bound> {
    if let SqlType::DateTimeOffset(n) = value.ty {
        return function(SqlType::DateTimeOffset(n), zone_switch, vec![value, zone]);
    }
    let digits = match value.ty {
        SqlType::DateTime2(n) => n,
        SqlType::DateTime => 3,
        _ => 7,
    };
    let value = coerce(value, SqlType::DateTime2(digits))?;
    function(SqlType::DateTimeOffset(digits), zone_attach, vec![value, zone])
}

fn to_text_or_variant(bound: Bound) -> Binding<Bound> {
    if bound.ty == SqlType::Variant {
        return Err(invalid_argument(bound.ty, 1, "concat"));
    }
    to_text(bound)
}

// What follows applies functions to values. NULL in gives NULL out unless said otherwise.

fn string(values: &[Value], index: usize) -> Option<&str> {
    match values.get(index) {
        Some(Value::String(s)) => Some(s),
        _ => None,
    }
}

fn number(values: &[Value], index: usize) -> Option<i64> {
    values.get(index).and_then(integer).and_then(|n| i64::try_from(n).ok())
}

fn map_text(values: &[Value], map: fn(&str) -> String) -> Applied {
    Ok(string(values, 0).map_or(Value::Null, |s| Value::string(map(s))))
}

fn map_float(values: &[Value], map: fn(f64) -> f64) -> Applied {
    let Some(value) = values.first().and_then(float) else {
        return Ok(Value::Null);
    };
    let result = map(value);
    if result.is_finite() {
        Ok(Value::Float(result))
    } else {
        Err(error(3623, 16, "An invalid floating point operation occurred."))
    }
}

fn extreme(values: &[Value], greatest: bool) -> Applied {
    Ok(values
        .iter()
        .filter(|v| !v.is_null())
        .cloned()
        .reduce(|a, b| {
            let order = super::convert::compare(&b, &a, false);
            if (greatest && order.is_gt()) || (!greatest && order.is_lt()) { b } else { a }
        })
        .unwrap_or(Value::Null))
}

fn greatest(values: &[Value]) -> Applied {
    extreme(values, true)
}

fn least(values: &[Value]) -> Applied {
    extreme(values, false)
}

fn is_numeric(values: &[Value]) -> Applied {
    Ok(Value::Int(match &values[0] {
        Value::String(s) => {
            let text = s.trim().trim_start_matches('$').replace(',', "");
            i32::from(
                text.parse::<f64>().is_ok_and(f64::is_finite)
                    && text.bytes().all(|b| !b.is_ascii_alphabetic() || b == b'e' || b == b'E'),
            )
        }
        other => i32::from(float(other).is_some()),
    }))
}

fn is_date(values: &[Value]) -> Applied {
    Ok(Value::Int(i32::from(string(values, 0).is_some_and(moments::is_date))))
}

fn data_length(values: &[Value]) -> Applied {
    let national = matches!(values.get(1), Some(Value::Bit(true)));
    fn length(value: &Value, national: bool) -> Option<usize> {
        Some(match value {
            Value::Null => return None,
            Value::String(s) if national => s.encode_utf16().count() * 2,
            Value::String(s) => s.chars().count(),
            Value::Binary(b) => b.len(),
            Value::Bit(_) | Value::TinyInt(_) => 1,
            Value::SmallInt(_) => 2,
            Value::Int(_) | Value::Real(_) => 4,
            Value::Uuid(_) => 16,
            Value::Date(_) => 3,
            Value::Time(_) => 5,
            Value::Numeric { unscaled, .. } => {
                // Magnitudes of 9, 19 and 28 digits fit in 4, 8 and 12 bytes, beside the sign.
                let digits = unscaled.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
                if digits <= 9 {
                    5
                } else if digits <= 19 {
                    9
                } else if digits <= 28 {
                    13
                } else {
                    17
                }
            }
            Value::DateTimeOffset { .. } => 10,
            Value::Variant(ty, inner) => return length(inner, is_national(*ty)),
            _ => 8,
        })
    }
    Ok(length(&values[0], national)
        .map_or(Value::Null, |n| Value::Int(i32::try_from(n).unwrap_or(i32::MAX))))
}

fn variant_property(values: &[Value]) -> Applied {
    let (Some(Value::Variant(ty, inner)), Some(property)) = (values.first(), string(values, 1))
    else {
        return Ok(Value::Null);
    };
    let variant = |ty, value| Ok(Value::Variant(ty, Box::new(value)));
    let (precision, scale) = as_numeric(*ty);
    match property.to_lowercase().as_str() {
        "basetype" => variant(SqlType::SYSNAME, Value::string(type_name(*ty))),
        "precision" => variant(SqlType::Int, Value::Int(i32::from(precision))),
        "scale" => variant(SqlType::Int, Value::Int(i32::from(scale))),
        "maxlength" => match data_length(&[(**inner).clone(), Value::Bit(is_national(*ty))])? {
            Value::Null => Ok(Value::Null),
            length => variant(SqlType::Int, length),
        },
        _ => Ok(Value::Null),
    }
}
