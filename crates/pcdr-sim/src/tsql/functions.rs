//! Built-in functions that need nothing of the server: their types, and how to apply them.

use super::bind::{Binding, coerce, compare, identity, to_text, unify};
use super::bound::{Apply, Bound, Node};
use super::convert::{
    as_numeric, capacity, exact, float, integer, is_binary, is_integer, is_moment, is_national,
    is_number, is_text, rescale, text_type, type_name,
};
use super::eval::pattern_index;
use super::failures::{error, overflow};
use super::moments::{self, Part};
use super::state::Context;
use super::tree::CompareOp;
use crate::message::SqlFailure;
use crate::value::{Length, SqlType, Value};

type Applied = Result<Value, SqlFailure>;

/// Error 174.
pub(super) fn wrong_count(name: &str, wanted: usize) -> SqlFailure {
    error(174, 15, format!("The {} function requires {wanted} argument(s).", name.to_lowercase()))
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
        "ISNULL" | "NULLIF" | "LEFT" | "RIGHT" | "REPLICATE" | "PATINDEX" | "POWER" | "ATN2" => {
            (2, 2)
        }
        "DATALENGTH" | "LEN" | "UPPER" | "LOWER" | "LTRIM" | "RTRIM" | "REVERSE" | "SPACE"
        | "CHAR" | "NCHAR" | "UNICODE" | "ASCII" | "ABS" | "CEILING" | "FLOOR" | "SIGN"
        | "SQRT" | "SQUARE" | "EXP" | "LOG10" | "ISNUMERIC" | "ISDATE" | "YEAR" | "MONTH"
        | "DAY" | "BIN_CHECKSUM" => (1, 1),
        "TRIM" | "QUOTENAME" | "LOG" | "EOMONTH" => (1, 2),
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
        "LOG" if a.len() == 1 => real(|v| map_float(v, f64::ln)),
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

fn len(values: &[Value]) -> Applied {
    Ok(string(values, 0).map_or(Value::Null, |s| {
        let n = s.trim_end_matches(' ').chars().count();
        Value::Int(i32::try_from(n).unwrap_or(i32::MAX))
    }))
}

fn trim_characters(values: &[Value]) -> Applied {
    Ok(match (string(values, 0), string(values, 1)) {
        (Some(characters), Some(text)) => {
            let set: Vec<char> = characters.chars().collect();
            Value::string(text.trim_matches(|c| set.contains(&c)))
        }
        _ => Value::Null,
    })
}

fn negative_length(name: &str) -> SqlFailure {
    error(537, 16, format!("Invalid length parameter passed to the {name} function."))
}

fn left(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let n = usize::try_from(n).map_err(|_| negative_length("LEFT or SUBSTRING"))?;
    Ok(Value::string(s.chars().take(n).collect::<String>()))
}

fn right(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let n = usize::try_from(n).map_err(|_| negative_length("right"))?;
    let skip = s.chars().count().saturating_sub(n);
    Ok(Value::string(s.chars().skip(skip).collect::<String>()))
}

/// The part of `0..length` that SUBSTRING's start (from 1, possibly before it) and count cover.
fn window(start: i64, count: i64, length: usize) -> Option<(usize, usize)> {
    if count < 0 {
        return None;
    }
    let end = start.saturating_add(count).max(1);
    let start = start.max(1);
    let from = usize::try_from(start - 1).ok()?.min(length);
    let to = usize::try_from(end - 1).ok()?.clamp(from, length.max(from));
    Some((from, to))
}

fn substring(values: &[Value]) -> Applied {
    let (Some(s), Some(start), Some(count)) =
        (string(values, 0), number(values, 1), number(values, 2))
    else {
        return Ok(Value::Null);
    };
    let chars: Vec<char> = s.chars().collect();
    let (from, to) =
        window(start, count, chars.len()).ok_or_else(|| negative_length("LEFT or SUBSTRING"))?;
    Ok(Value::string(chars[from..to].iter().collect::<String>()))
}

fn sub_binary(values: &[Value]) -> Applied {
    let (Some(Value::Binary(b)), Some(start), Some(count)) =
        (values.first(), number(values, 1), number(values, 2))
    else {
        return Ok(Value::Null);
    };
    let (from, to) =
        window(start, count, b.len()).ok_or_else(|| negative_length("LEFT or SUBSTRING"))?;
    Ok(Value::Binary(b[from..to].into()))
}

fn char_index(values: &[Value]) -> Applied {
    let (Some(needle), Some(hay)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    // Character by character, so that folding case cannot move positions.
    let fold = |s: &str| -> Vec<String> { s.chars().map(|c| c.to_lowercase().collect()).collect() };
    let (needle, hay) = (fold(needle), fold(hay));
    let start = usize::try_from(number(values, 2).unwrap_or(1).max(1) - 1).unwrap_or(0);
    if needle.is_empty() || start >= hay.len() {
        return Ok(Value::Int(0));
    }
    let found = hay[start..]
        .windows(needle.len())
        .position(|w| w == needle.as_slice())
        .map_or(0, |i| i + start + 1);
    Ok(Value::Int(i32::try_from(found).unwrap_or(0)))
}

fn pat_index(values: &[Value]) -> Applied {
    let (Some(pattern), Some(text)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    Ok(Value::Int(i32::try_from(pattern_index(text, pattern)).unwrap_or(0)))
}

fn replace(values: &[Value]) -> Applied {
    let (Some(s), Some(from), Some(to)) = (string(values, 0), string(values, 1), string(values, 2))
    else {
        return Ok(Value::Null);
    };
    if from.is_empty() {
        return Ok(Value::string(s));
    }
    let chars: Vec<char> = s.chars().collect();
    let lower = |c: &char| -> String { c.to_lowercase().collect() };
    let folded: Vec<String> = chars.iter().map(lower).collect();
    let needle: Vec<String> = from.chars().map(|c| c.to_lowercase().collect()).collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        if folded[i..].starts_with(&needle) {
            out.push_str(to);
            i += needle.len();
        } else {
            out.push(chars[i]);
            i += 1;
        }
        too_long(out.len())?;
    }
    Ok(Value::string(out))
}

/// No single value may take the stand-in's memory.
fn too_long(bytes: usize) -> Result<(), SqlFailure> {
    if bytes > 64 << 20 {
        return Err(error(
            701,
            17,
            "There is insufficient system memory in resource pool 'default' to run this query.",
        ));
    }
    Ok(())
}

fn translate(values: &[Value]) -> Applied {
    let (Some(s), Some(from), Some(to)) = (string(values, 0), string(values, 1), string(values, 2))
    else {
        return Ok(Value::Null);
    };
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    if from.len() != to.len() {
        return Err(error(
            9828,
            16,
            "The second and third arguments of the TRANSLATE built-in function must contain an equal number of characters.",
        ));
    }
    let map = |c: char| from.iter().position(|f| *f == c).map_or(c, |i| to[i]);
    Ok(Value::string(s.chars().map(map).collect::<String>()))
}

fn stuff(values: &[Value]) -> Applied {
    let (Some(s), Some(start), Some(count)) =
        (string(values, 0), number(values, 1), number(values, 2))
    else {
        return Ok(Value::Null);
    };
    let chars: Vec<char> = s.chars().collect();
    let Ok(from) = usize::try_from(start - 1) else {
        return Ok(Value::Null);
    };
    let Ok(count) = usize::try_from(count) else {
        return Ok(Value::Null);
    };
    if from >= chars.len() {
        return Ok(Value::Null);
    }
    let mut out: String = chars[..from].iter().collect();
    out.push_str(string(values, 3).unwrap_or(""));
    out.extend(&chars[from.saturating_add(count).min(chars.len())..]);
    Ok(Value::string(out))
}

fn replicate(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let Ok(n) = usize::try_from(n) else {
        return Ok(Value::Null);
    };
    too_long(s.len().saturating_mul(n))?;
    Ok(Value::string(s.repeat(n)))
}

fn space(values: &[Value]) -> Applied {
    let Some(n) = number(values, 0).and_then(|n| usize::try_from(n).ok()) else {
        return Ok(Value::Null);
    };
    Ok(Value::string(" ".repeat(n.min(8000))))
}

fn quote_name(values: &[Value]) -> Applied {
    let Some(s) = string(values, 0) else {
        return Ok(Value::Null);
    };
    if s.chars().count() > 128 {
        return Ok(Value::Null);
    }
    let quote = match values.get(1) {
        None => "[",
        Some(Value::String(q)) => q,
        Some(_) => return Ok(Value::Null),
    };
    let (open, close) = match quote.chars().next() {
        Some('[' | ']') => ('[', ']'),
        Some(c @ ('\'' | '"' | '`')) => (c, c),
        Some('(' | ')') => ('(', ')'),
        Some('{' | '}') => ('{', '}'),
        Some('<' | '>') => ('<', '>'),
        _ => return Ok(Value::Null),
    };
    let doubled: String = std::iter::repeat_n(close, 2).collect();
    Ok(Value::string(format!("{open}{}{close}", s.replace(close, &doubled))))
}

/// NULL counts as the empty string.
fn concat(values: &[Value]) -> Applied {
    Ok(Value::string((0..values.len()).filter_map(|i| string(values, i)).collect::<String>()))
}

/// NULL is left out together with its separator.
fn concat_with(values: &[Value]) -> Applied {
    let separator = string(values, 0).unwrap_or("");
    let parts: Vec<&str> = (1..values.len()).filter_map(|i| string(values, i)).collect();
    Ok(Value::string(parts.join(separator)))
}

fn character(values: &[Value]) -> Applied {
    Ok(number(values, 0)
        .and_then(|n| u8::try_from(n).ok())
        .map_or(Value::Null, |n| Value::string(char::from(n).to_string())))
}

fn national_character(values: &[Value]) -> Applied {
    Ok(number(values, 0)
        .and_then(|n| u32::try_from(n).ok())
        .and_then(char::from_u32)
        .map_or(Value::Null, |c| Value::string(c.to_string())))
}

fn code(values: &[Value]) -> Applied {
    Ok(string(values, 0)
        .and_then(|s| s.chars().next())
        .map_or(Value::Null, |c| Value::Int(c as i32)))
}

fn str_number(values: &[Value]) -> Applied {
    let Some(value) = values.first().and_then(float) else {
        return Ok(Value::Null);
    };
    let length = number(values, 1).unwrap_or(10).clamp(0, 8000) as usize;
    let decimals = number(values, 2).unwrap_or(0).clamp(0, 16) as usize;
    let text = format!("{value:.decimals$}");
    if text.len() > length {
        return Ok(Value::string("*".repeat(length)));
    }
    Ok(Value::string(format!("{text:>length$}")))
}

fn abs(values: &[Value]) -> Applied {
    Ok(match &values[0] {
        Value::Int(n) => Value::Int(n.checked_abs().ok_or_else(|| overflow("int"))?),
        Value::BigInt(n) => Value::BigInt(n.checked_abs().ok_or_else(|| overflow("bigint"))?),
        Value::Money(n) => Value::Money(n.checked_abs().ok_or_else(|| overflow("money"))?),
        Value::Numeric { unscaled, scale } => {
            Value::Numeric { unscaled: unscaled.abs(), scale: *scale }
        }
        Value::Float(f) => Value::Float(f.abs()),
        _ => Value::Null,
    })
}

fn sign(values: &[Value]) -> Applied {
    Ok(match &values[0] {
        Value::Int(n) => Value::Int(n.signum()),
        Value::BigInt(n) => Value::BigInt(n.signum()),
        Value::Money(n) => Value::Money(n.signum() * 10_000),
        Value::Numeric { unscaled, scale } => Value::Numeric {
            unscaled: unscaled.signum() * 10i128.pow(u32::from(*scale).min(37)),
            scale: *scale,
        },
        Value::Float(f) if *f == 0.0 => Value::Float(0.0),
        Value::Float(f) => Value::Float(f.signum()),
        _ => Value::Null,
    })
}

fn round_whole(values: &[Value]) -> Applied {
    let up = matches!(values.get(1), Some(Value::Bit(true)));
    let whole = |n: i128, scale: u8| {
        let unit = 10i128.pow(u32::from(scale).min(38));
        let floor = n.div_euclid(unit);
        if up && n.rem_euclid(unit) != 0 { floor + 1 } else { floor }
    };
    Ok(match &values[0] {
        Value::Float(f) => Value::Float(if up { f.ceil() } else { f.floor() }),
        Value::Real(f) => Value::Float(f64::from(if up { f.ceil() } else { f.floor() })),
        Value::Money(n) => Value::Money(
            i64::try_from(whole(i128::from(*n), 4) * 10_000).map_err(|_| overflow("money"))?,
        ),
        Value::Numeric { unscaled, scale } => {
            Value::Numeric { unscaled: whole(*unscaled, *scale), scale: 0 }
        }
        other => other.clone(),
    })
}

fn round(values: &[Value]) -> Applied {
    let Some(digits) = number(values, 1) else {
        return Ok(Value::Null);
    };
    let truncate = number(values, 2).is_some_and(|n| n != 0);
    if let Value::Float(f) = &values[0] {
        let unit = 10f64.powi(digits.clamp(-300, 300) as i32);
        let scaled = f * unit;
        let rounded = if truncate { scaled.trunc() } else { scaled.round() };
        let result = rounded / unit;
        return Ok(Value::Float(if result.is_finite() { result } else { *f }));
    }
    let Some((n, scale)) = exact(&values[0]) else {
        return Ok(Value::Null);
    };
    let drop = i64::from(scale) - digits;
    if drop <= 0 {
        return Ok(values[0].clone());
    }
    let result = match u32::try_from(drop).ok().and_then(|d| 10i128.checked_pow(d)) {
        None => 0,
        Some(unit) => {
            let kept = if truncate { n / unit } else { rescale(n, drop as u8, 0).unwrap_or(0) };
            kept.checked_mul(unit).ok_or_else(|| overflow("numeric"))?
        }
    };
    let fit = |name: &'static str| move |_| overflow(name);
    Ok(match &values[0] {
        Value::Int(_) => Value::Int(i32::try_from(result).map_err(fit("int"))?),
        Value::BigInt(_) => Value::BigInt(i64::try_from(result).map_err(fit("bigint"))?),
        Value::Money(_) => Value::Money(i64::try_from(result).map_err(fit("money"))?),
        _ => Value::Numeric { unscaled: result, scale },
    })
}

fn power(values: &[Value]) -> Applied {
    let (Some(a), Some(b)) = (float(&values[0]), float(&values[1])) else {
        return Ok(Value::Null);
    };
    let result = a.powf(b);
    if result.is_finite() { Ok(Value::Float(result)) } else { Err(overflow("float")) }
}

fn part_of(values: &[Value]) -> Option<Part> {
    string(values, 0).and_then(moments::part)
}

fn date_part(values: &[Value]) -> Applied {
    Ok(part_of(values)
        .and_then(|part| moments::date_part(part, &values[1]))
        .map_or(Value::Null, Value::Int))
}

fn date_name(values: &[Value]) -> Applied {
    Ok(part_of(values)
        .and_then(|part| moments::date_name(part, &values[1]))
        .map_or(Value::Null, Value::string))
}

fn date_add(values: &[Value]) -> Applied {
    match (part_of(values), number(values, 1)) {
        (Some(part), Some(amount)) if !values[2].is_null() => {
            moments::date_add(part, amount, &values[2])
        }
        _ => Ok(Value::Null),
    }
}

fn difference(values: &[Value]) -> Option<i64> {
    moments::date_diff(part_of(values)?, &values[1], &values[2])
}

fn date_diff(values: &[Value]) -> Applied {
    match difference(values) {
        None => Ok(Value::Null),
        Some(n) => i32::try_from(n).map(Value::Int).map_err(|_| {
            error(
                535,
                16,
                "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.",
            )
        }),
    }
}

fn date_diff_big(values: &[Value]) -> Applied {
    Ok(difference(values).map_or(Value::Null, Value::BigInt))
}

fn end_of_month(values: &[Value]) -> Applied {
    match number(values, 1) {
        Some(months) if !values[0].is_null() => moments::end_of_month(&values[0], months),
        _ => Ok(Value::Null),
    }
}

fn from_parts(values: &[Value], nanos_per_unit: i64) -> Option<Option<jiff::civil::DateTime>> {
    let mut parts = [0i64; 8];
    for (i, part) in parts.iter_mut().enumerate() {
        if i < values.len() {
            *part = number(values, i)?;
        }
    }
    let small = |n: i64| i8::try_from(n).ok();
    let build = || {
        let [y, mo, d, h, mi, s, fraction, _] = parts;
        let nanosecond = i32::try_from(fraction.checked_mul(nanos_per_unit)?).ok()?;
        jiff::civil::DateTime::new(
            i16::try_from(y).ok().filter(|y| *y >= 1)?,
            small(mo)?,
            small(d)?,
            small(h)?,
            small(mi)?,
            small(s)?,
            nanosecond,
        )
        .ok()
    };
    Some(build())
}

fn not_a_date(name: &str) -> SqlFailure {
    error(
        289,
        16,
        format!(
            "Cannot construct data type {name}, some of the arguments have values which are not valid."
        ),
    )
}

fn date_from_parts(values: &[Value]) -> Applied {
    match from_parts(values, 0) {
        None => Ok(Value::Null),
        Some(moment) => Ok(Value::Date(moment.ok_or_else(|| not_a_date("date"))?.date())),
    }
}

fn datetime_from_parts(values: &[Value]) -> Applied {
    match from_parts(values, 1_000_000) {
        None => Ok(Value::Null),
        Some(moment) => {
            let moment = Value::DateTime(moment.ok_or_else(|| not_a_date("datetime"))?);
            super::convert::cast(&moment, SqlType::DateTime2(7), SqlType::DateTime, None)
        }
    }
}

fn datetime2_from_parts(values: &[Value]) -> Applied {
    let digits = number(values, 7).unwrap_or(7).clamp(0, 7);
    match from_parts(values, 10i64.pow(9 - digits as u32)) {
        None => Ok(Value::Null),
        Some(moment) => Ok(Value::DateTime(moment.ok_or_else(|| not_a_date("datetime2"))?)),
    }
}

/// Minutes of `+hh:mm`, or of a number.
fn offset_minutes(value: &Value) -> Option<i16> {
    let minutes = match value {
        Value::String(s) => {
            let s = s.trim();
            let (sign, rest) = match s.as_bytes().first()? {
                b'-' => (-1, &s[1..]),
                b'+' => (1, &s[1..]),
                _ => return None,
            };
            let (hours, minutes) = rest.split_once(':')?;
            sign * (hours.parse::<i64>().ok()?.checked_mul(60)? + minutes.parse::<i64>().ok()?)
        }
        other => i64::try_from(integer(other)?).ok()?,
    };
    i16::try_from(minutes).ok().filter(|m| m.abs() <= 14 * 60)
}

fn bad_zone() -> SqlFailure {
    error(9812, 16, "The timezone provided to builtin function todatetimeoffset is invalid.")
}

fn switch_offset(values: &[Value]) -> Applied {
    match (&values[0], &values[1]) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::DateTimeOffset { utc, .. }, zone) => Ok(Value::DateTimeOffset {
            utc: *utc,
            offset_minutes: offset_minutes(zone).ok_or_else(bad_zone)?,
        }),
        _ => Ok(Value::Null),
    }
}

fn to_offset(values: &[Value]) -> Applied {
    match (&values[0], &values[1]) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::DateTime(local), zone) => {
            let minutes = offset_minutes(zone).ok_or_else(bad_zone)?;
            let utc = moments::shift(*local, -i64::from(minutes)).ok_or_else(bad_zone)?;
            Ok(Value::DateTimeOffset { utc, offset_minutes: minutes })
        }
        _ => Ok(Value::Null),
    }
}

fn zone(values: &[Value]) -> Result<Option<Value>, SqlFailure> {
    let Some(name) = string(values, 1) else {
        return Ok(None);
    };
    if name.eq_ignore_ascii_case("UTC") {
        return Ok(Some(Value::BigInt(0)));
    }
    Err(error(
        9820,
        16,
        format!("The time zone parameter '{name}' provided to AT TIME ZONE clause is invalid."),
    ))
}

fn zone_switch(values: &[Value]) -> Applied {
    match zone(values)? {
        Some(offset) => switch_offset(&[values[0].clone(), offset]),
        None => Ok(Value::Null),
    }
}

fn zone_attach(values: &[Value]) -> Applied {
    match zone(values)? {
        Some(offset) => to_offset(&[values[0].clone(), offset]),
        None => Ok(Value::Null),
    }
}
