//! Functions of numbers, applied to values. NULL in gives NULL out.

use super::{Applied, number};
use crate::tsql::convert::{exact, float, rescale};
use crate::tsql::failures::overflow;
use crate::value::Value;

pub(super) fn abs(values: &[Value]) -> Applied {
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

pub(super) fn sign(values: &[Value]) -> Applied {
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

pub(super) fn round_whole(values: &[Value]) -> Applied {
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

pub(super) fn round(values: &[Value]) -> Applied {
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

pub(super) fn power(values: &[Value]) -> Applied {
    let (Some(a), Some(b)) = (float(&values[0]), float(&values[1])) else {
        return Ok(Value::Null);
    };
    let result = a.powf(b);
    if result.is_finite() { Ok(Value::Float(result)) } else { Err(overflow("float")) }
}
