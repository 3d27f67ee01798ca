//! Operators, conversions and the few methods of built-in types.

use super::ast::Operator;
use super::failure::ErrorRecord;
use super::value::Value;

type Computed = Result<Value, ErrorRecord>;

/// `a -op b` for every operator but `-and`, `-or` (which do not always need `b`).
///
/// # Errors
///
/// Operands that the operator does not take.
pub fn binary(operator: Operator, left: &Value, right: &Value) -> Computed {
    use Operator as O;
    Ok(match operator {
        O::Equal => filter_or(left, |v| equal(v, right, false)),
        O::NotEqual => filter_or(left, |v| !equal(v, right, false)),
        O::CaseSensitiveEqual => filter_or(left, |v| equal(v, right, true)),
        O::CaseSensitiveNotEqual => filter_or(left, |v| !equal(v, right, true)),
        O::Greater => filter_or(left, |v| compare(v, right).is_gt()),
        O::GreaterOrEqual => filter_or(left, |v| compare(v, right).is_ge()),
        O::Less => filter_or(left, |v| compare(v, right).is_lt()),
        O::LessOrEqual => filter_or(left, |v| compare(v, right).is_le()),
        O::Like => filter_or(left, |v| like(&v.text(), &right.text())),
        O::NotLike => filter_or(left, |v| !like(&v.text(), &right.text())),
        O::Contains => Value::Bool(contains(left, right)),
        O::NotContains => Value::Bool(!contains(left, right)),
        O::In => Value::Bool(contains(right, left)),
        O::NotIn => Value::Bool(!contains(right, left)),
        O::Join => {
            let items = left.clone().enumerate();
            let texts: Vec<String> = items.iter().map(Value::text).collect();
            Value::string(texts.join(&right.text()))
        }
        O::Format => format(&left.text(), &right.clone().enumerate())?,
        O::Range => {
            let (from, to) = (integer(left)?, integer(right)?);
            if from.abs_diff(to) > 100_000 {
                return Err(ErrorRecord::runtime(
                    "RangeTooLarge",
                    "The range has more than 100,000 elements.",
                ));
            }
            Value::array(if from <= to {
                (from..=to).map(Value::Integer).collect()
            } else {
                (to..=from).rev().map(Value::Integer).collect()
            })
        }
        O::Add => add(left, right)?,
        O::Subtract => arithmetic(left, right, i64::checked_sub, |a, b| a - b)?,
        O::Multiply => arithmetic(left, right, i64::checked_mul, |a, b| a * b)?,
        O::Divide => {
            let divisor = number(right)?;
            if divisor == 0.0 {
                return Err(ErrorRecord::runtime(
                    "RuntimeException",
                    "Attempted to divide by zero.",
                ));
            }
            match (left, right) {
                (Value::Integer(a), Value::Integer(b)) if a.checked_rem(*b) == Some(0) => {
                    Value::Integer(a / b)
                }
                _ => Value::Real(number(left)? / divisor),
            }
        }
        O::Remainder => arithmetic(left, right, i64::checked_rem, |a, b| a % b)?,
        O::And | O::Or | O::Not | O::Comma => {
            return Err(ErrorRecord::runtime(
                "BadOperator",
                "The operator does not combine two values.",
            ));
        }
    })
}

/// Against an array a comparison filters; against one value it is true or false.
fn filter_or(left: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    match left {
        Value::Array(items) => Value::array(items.iter().filter(|v| holds(v)).cloned().collect()),
        one => Value::Bool(holds(one)),
    }
}

/// Equality after conversion of the right side to the type of the left.
pub fn equal(left: &Value, right: &Value, case_sensitive: bool) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(a), other) => *a == other.is_true(),
        (Value::Integer(_) | Value::Real(_), other) => match (number(left), number(other)) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        },
        (Value::Enum(a), Value::Integer(b)) => a.number == *b,
        (a, b) if case_sensitive => a.text() == b.text(),
        (a, b) => a.text().to_lowercase() == b.text().to_lowercase(),
    }
}

fn compare(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Integer(_) | Value::Real(_) | Value::Null, _) => number(left)
            .ok()
            .zip(number(right).ok())
            .and_then(|(a, b)| a.partial_cmp(&b))
            .unwrap_or(std::cmp::Ordering::Equal),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        _ => left.text().to_lowercase().cmp(&right.text().to_lowercase()),
    }
}

fn contains(collection: &Value, item: &Value) -> bool {
    match collection {
        Value::Array(items) => items.iter().any(|v| equal(v, item, false)),
        one => equal(one, item, false),
    }
}

/// Wildcards `*` and `?`, without regard to case.
pub fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_at, matched)) => {
                    p = star_at + 1;
                    t = matched + 1;
                    star = Some((star_at, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

fn format(template: &str, values: &[Value]) -> Computed {
    let bad =
        || ErrorRecord::runtime("FormatError", "The format string does not fit its arguments.");
    let mut out = String::new();
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' if rest.peek() == Some(&'{') => {
                rest.next();
                out.push('{');
            }
            '}' if rest.peek() == Some(&'}') => {
                rest.next();
                out.push('}');
            }
            '{' => {
                let mut index = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some(d) => index.push(d),
                        None => return Err(bad()),
                    }
                }
                let index: usize = index.parse().map_err(|_| bad())?;
                out.push_str(&values.get(index).ok_or_else(bad)?.text());
            }
            '}' => return Err(bad()),
            c => out.push(c),
        }
    }
    Ok(Value::string(out))
}

fn add(left: &Value, right: &Value) -> Computed {
    match left {
        Value::Null => Ok(right.clone()),
        Value::Array(items) => {
            let mut all = items.to_vec();
            all.extend(right.clone().enumerate());
            Ok(Value::array(all))
        }
        Value::String(s) => Ok(Value::string(format!("{s}{}", right.text()))),
        Value::Integer(_) | Value::Real(_) => {
            arithmetic(left, right, i64::checked_add, |a, b| a + b)
        }
        other => Err(ErrorRecord::runtime(
            "MethodNotFound",
            format!("Method invocation failed: [{}] has no addition.", other.type_name()),
        )),
    }
}

fn arithmetic(
    left: &Value,
    right: &Value,
    exact: impl Fn(i64, i64) -> Option<i64>,
    real: impl Fn(f64, f64) -> f64,
) -> Computed {
    if let (Ok(a), Ok(b)) = (integer(left), integer(right))
        && let Some(result) = exact(a, b)
    {
        return Ok(Value::Integer(result));
    }
    Ok(Value::Real(real(number(left)?, number(right)?)))
}

/// The value as a whole number.
///
/// # Errors
///
/// `InvalidCastFromStringToInteger` and its like.
pub fn integer(value: &Value) -> Result<i64, ErrorRecord> {
    match value {
        Value::Null => Ok(0),
        Value::Bool(b) => Ok(i64::from(*b)),
        Value::Integer(n) => Ok(*n),
        Value::Enum(e) => Ok(e.number),
        Value::String(s) => s.trim().parse().map_err(|_| cannot_convert(value, "System.Int32")),
        _ => Err(cannot_convert(value, "System.Int32")),
    }
}

fn number(value: &Value) -> Result<f64, ErrorRecord> {
    match value {
        Value::Real(n) => Ok(*n),
        Value::String(s) => s.trim().parse().map_err(|_| cannot_convert(value, "System.Double")),
        other => integer(other).map(|n| n as f64),
    }
}

fn cannot_convert(value: &Value, to: &str) -> ErrorRecord {
    ErrorRecord::new(
        "InvalidArgument",
        "RuntimeException",
        "InvalidCastConversion",
        format!("Cannot convert value \"{}\" to type \"{to}\".", value.text()),
    )
}

/// `[type]value`.
///
/// # Errors
///
/// The conversion is impossible, or the type is not known here (`TypeNotFound`).
pub fn cast(type_name: &str, value: Value) -> Computed {
    let lower = type_name.to_lowercase();
    match lower.strip_prefix("system.").unwrap_or(&lower) {
        "string" => Ok(Value::string(value.text())),
        "int" | "int32" | "int64" | "long" => match value {
            Value::Real(n) if n.abs() < 9e15 => Ok(Value::Integer(n.round_ties_even() as i64)),
            other => integer(&other).map(Value::Integer),
        },
        "bool" | "boolean" | "switch" => Ok(Value::Bool(value.is_true())),
        "double" => number(&value).map(Value::Real),
        "char" => match &value {
            Value::String(s) if s.chars().count() == 1 => Ok(value.clone()),
            other => integer(other)
                .ok()
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n <= 0xffff)
                .and_then(char::from_u32)
                .map(|c| Value::string(c.to_string()))
                .ok_or_else(|| cannot_convert(other, "System.Char")),
        },
        "array" | "object[]" | "string[]" => {
            let items = match value {
                Value::Null => Vec::new(),
                other => other.enumerate(),
            };
            Ok(Value::array(if lower.contains("string") {
                items.iter().map(|v| Value::string(v.text())).collect()
            } else {
                items
            }))
        }
        "pscustomobject" | "management.automation.pscustomobject" => Ok(match value {
            Value::Hash(entries) => Value::Object(std::sync::Arc::new(super::value::Object {
                type_name: "System.Management.Automation.PSCustomObject".into(),
                properties: entries.iter().map(|(k, v)| (k.text(), v.clone())).collect(),
            })),
            other => other,
        }),
        "ordered" | "hashtable" | "collections.hashtable" => match value {
            Value::Hash(_) => Ok(value),
            other => Err(cannot_convert(&other, "System.Collections.Hashtable")),
        },
        "void" => Ok(Value::Null),
        _ => Err(unknown_type(type_name)),
    }
}

fn unknown_type(type_name: &str) -> ErrorRecord {
    ErrorRecord::runtime("TypeNotFound", format!("Unable to find type [{type_name}]."))
        .about(type_name, "TypeName")
}

/// `[type]::method(arguments)`.
///
/// # Errors
///
/// `TypeNotFound`, `MethodNotFound`, or what the method refuses.
pub fn static_call(type_name: &str, method: &str, arguments: &[Value]) -> Computed {
    let lower = type_name.to_lowercase();
    let short = lower.strip_prefix("system.").unwrap_or(&lower);
    match (short, method.to_lowercase().as_str(), arguments) {
        ("char", "convertfromutf32", [code]) => integer(code)
            .ok()
            .and_then(|n| u32::try_from(n).ok())
            .and_then(char::from_u32)
            .map(|c| Value::string(c.to_string()))
            .ok_or_else(|| {
                ErrorRecord::new(
                    "NotSpecified",
                    "MethodInvocationException",
                    "ArgumentOutOfRangeException",
                    "A valid UTF32 value is between 0x000000 and 0x10ffff, without surrogates.",
                )
            }),
        ("string", "isnullorempty", [value]) => Ok(Value::Bool(value.text().is_empty())),
        ("string", "join", [separator, values]) => binary(Operator::Join, values, separator),
        ("char" | "string", _, _) => Err(no_method(type_name, method)),
        _ => Err(unknown_type(type_name)),
    }
}

fn no_method(type_name: &str, method: &str) -> ErrorRecord {
    ErrorRecord::runtime(
        "MethodNotFound",
        format!(
            "Method invocation failed because [{type_name}] does not contain a method named \
             '{method}'."
        ),
    )
    .about(method, "String")
}

/// `target.method(arguments)`.
///
/// # Errors
///
/// `InvokeMethodOnNull`, `MethodNotFound`.
pub fn call(target: &Value, method: &str, arguments: &[Value]) -> Computed {
    let name = method.to_lowercase();
    if matches!(target, Value::Null) {
        return Err(ErrorRecord::runtime(
            "InvokeMethodOnNull",
            "You cannot call a method on a null-valued expression.",
        ));
    }
    let first = || arguments.first().map(Value::text).unwrap_or_default();
    match (target, name.as_str(), arguments.len()) {
        (_, "tostring", 0) => Ok(Value::string(target.text())),
        (Value::DateTime(t), "tostring", 1) if matches!(first().as_str(), "o" | "s") => {
            Ok(Value::string(t.strftime("%Y-%m-%dT%H:%M:%S").to_string()))
        }
        (Value::DateTime(_), "touniversaltime" | "tolocaltime", 0) => Ok(target.clone()),
        (Value::String(s), "trim", 0) => Ok(Value::string(s.trim())),
        (Value::String(s), "tolower" | "tolowerinvariant", 0) => {
            Ok(Value::string(s.to_lowercase()))
        }
        (Value::String(s), "toupper" | "toupperinvariant", 0) => {
            Ok(Value::string(s.to_uppercase()))
        }
        (Value::String(s), "contains", 1) => Ok(Value::Bool(s.contains(&first()))),
        (Value::String(s), "startswith", 1) => Ok(Value::Bool(s.starts_with(&first()))),
        (Value::String(s), "endswith", 1) => Ok(Value::Bool(s.ends_with(&first()))),
        (Value::String(s), "replace", 2) if !first().is_empty() => {
            Ok(Value::string(s.replace(&first(), &arguments[1].text())))
        }
        (Value::String(s), "split", 1) if !first().is_empty() => {
            let separators = first();
            Ok(Value::array(s.split(|c| separators.contains(c)).map(Value::string).collect()))
        }
        (Value::Array(_), "contains", 1) => Ok(Value::Bool(contains(target, &arguments[0]))),
        (Value::Hash(_), "containskey" | "contains", 1) => {
            let Value::Hash(entries) = target else {
                return Ok(Value::Bool(false));
            };
            Ok(Value::Bool(entries.iter().any(|(k, _)| k.text().eq_ignore_ascii_case(&first()))))
        }
        _ => Err(no_method(target.type_name(), method)),
    }
}
