//! Functions that scripts use seldom, and those of XML, JSON and cursors.

use super::format::format_value;
use super::{Applied, constant, function, int, map_float, number, string, text, wrong_count};
use crate::tsql::bind::{Binding, coerce};
use crate::tsql::bound::{Apply, Bound, Node};
use crate::tsql::convert::{capacity, float, is_moment, is_national, is_number, text_type};
use crate::tsql::eval::eval_constant;
use crate::tsql::failures::error;
use crate::tsql::failures::too_long;
use crate::tsql::interpret::cursor_status;
use crate::tsql::parse::XML_TEXT;
use crate::tsql::state::Context;
use crate::value::{Length, SqlType, Value};

/// Binds a call; `None` when the function is not one of these.
pub(super) fn bind(name: &str, a: &[Bound], context: &Context<'_>) -> Option<Binding<Bound>> {
    let (least, most) = match name {
        "NEWID" | "NEWSEQUENTIALID" => (0, 0),
        "RAND" => (0, 1),
        "CRYPT_GEN_RANDOM" => (1, 2),
        "SIN" | "COS" | "TAN" | "COT" | "ASIN" | "ACOS" | "ATAN" | "DEGREES" | "RADIANS"
        | "SOUNDEX" | "ISJSON" => (1, 1),
        "LOG" => (1, 2),
        "ATN2" | "PARSENAME" | "DIFFERENCE" | "STRING_ESCAPE" | "CURSOR_STATUS" | "JSON_VALUE" => {
            (2, 2)
        }
        "FORMAT" => (2, 3),
        "FORMATMESSAGE" => (1, 21),
        "TIMEFROMPARTS" => (5, 5),
        "SMALLDATETIMEFROMPARTS" => (5, 5),
        _ if name == XML_TEXT => (1, 1),
        _ => return None,
    };
    if a.len() < least || a.len() > most {
        return Some(Err(wrong_count(name, least)));
    }
    let real = |apply: Apply| -> Binding<Bound> {
        let all =
            a.iter().map(|b| coerce(b.clone(), SqlType::Float)).collect::<Binding<Vec<_>>>()?;
        function(SqlType::Float, apply, all)
    };
    let two_texts = |ty: SqlType, apply: Apply| -> Binding<Bound> {
        let all = vec![text(a[0].clone(), 1, name)?, text(a[1].clone(), 2, name)?];
        function(ty, apply, all)
    };
    Some(match name {
        "NEWID" | "NEWSEQUENTIALID" => {
            return Some(Ok(Bound::new(
                SqlType::UniqueIdentifier,
                Node::Host("NEWID".to_owned(), Vec::new()),
            )));
        }
        // A seed only adds to what it is drawn from.
        "CRYPT_GEN_RANDOM" => int(a[0].clone()).map(|length| {
            Bound::new(
                SqlType::VarBinary(Length::Up(8000)),
                Node::Host("CRYPT_GEN_RANDOM".to_owned(), vec![length]),
            )
        }),
        "RAND" => match a.first() {
            // One number for the whole statement.
            None => match context.host.function("RAND", &[]) {
                Some(Ok((ty, value))) => constant(ty, value),
                Some(Err(failure)) => Err(failure),
                None => return None,
            },
            Some(seed) => int(seed.clone())
                .and_then(|seed| function(SqlType::Float, seeded_random, vec![seed])),
        },
        "SIN" => real(|v| map_float(v, f64::sin)),
        "COS" => real(|v| map_float(v, f64::cos)),
        "TAN" => real(|v| map_float(v, f64::tan)),
        "COT" => real(|v| map_float(v, |x| 1.0 / x.tan())),
        "ASIN" => real(|v| map_float(v, f64::asin)),
        "ACOS" => real(|v| map_float(v, f64::acos)),
        "ATAN" => real(|v| map_float(v, f64::atan)),
        "DEGREES" => real(|v| map_float(v, f64::to_degrees)),
        "RADIANS" => real(|v| map_float(v, f64::to_radians)),
        "ATN2" => real(arc_tangent),
        "LOG" => real(logarithm),
        "PARSENAME" => text(a[0].clone(), 1, name).and_then(|object| {
            function(SqlType::SYSNAME, parse_name, vec![object, int(a[1].clone())?])
        }),
        "SOUNDEX" => text(a[0].clone(), 1, name)
            .and_then(|t| function(SqlType::VarChar(Length::Up(4)), sound_of, vec![t])),
        "DIFFERENCE" => two_texts(SqlType::Int, likeness),
        "STRING_ESCAPE" => two_texts(SqlType::NVarChar(Length::Max), escape_json),
        "ISJSON" => {
            text(a[0].clone(), 1, name).and_then(|t| function(SqlType::Int, is_json, vec![t]))
        }
        "JSON_VALUE" => two_texts(SqlType::nvarchar(4000), json_value),
        "FORMAT" => format_call(name, a),
        "FORMATMESSAGE" => {
            let known = a.iter().map(|b| Some((b.ty, eval_constant(b, context)?)));
            match known.collect::<Option<Vec<_>>>() {
                Some(values) => formatted_message(&values),
                None => Err(super::invalid_argument(a[0].ty, 1, name)),
            }
        }
        "CURSOR_STATUS" => {
            let value = |b: &Bound| match eval_constant(b, context) {
                Some(Value::String(s)) => s.to_string(),
                _ => String::new(),
            };
            let (scope, cursor) = (value(&a[0]), value(&a[1]));
            let status = cursor_status(context.frame, context.session, &scope, &cursor);
            constant(SqlType::SmallInt, Value::SmallInt(status))
        }
        "TIMEFROMPARTS" => {
            let digits = match eval_constant(&a[4], context) {
                Some(Value::Int(n)) if (0..=7).contains(&n) => n as u8,
                _ => {
                    return Some(Err(error(
                        10760,
                        16,
                        "Scale argument is not valid. Valid expressions for data type time scale argument are integer constants and integer constant expressions.",
                    )));
                }
            };
            let all = a.iter().map(|b| int(b.clone())).collect::<Binding<Vec<_>>>();
            all.and_then(|all| function(SqlType::Time(digits), time_from_parts, all))
        }
        "SMALLDATETIMEFROMPARTS" => {
            let all = a.iter().map(|b| int(b.clone())).collect::<Binding<Vec<_>>>();
            all.and_then(|all| {
                function(SqlType::SmallDateTime, super::date::datetime_from_parts, all)
            })
        }
        _ => {
            let ty = a[0].ty;
            text(a[0].clone(), 1, "value")
                .and_then(|t| function(text_type(is_national(ty), capacity(ty)), xml_text, vec![t]))
        }
    })
}

fn format_call(name: &str, a: &[Bound]) -> Binding<Bound> {
    let value = a[0].clone();
    if !is_number(value.ty) && !is_moment(value.ty) {
        return Err(super::invalid_argument(value.ty, 1, name));
    }
    let mut all = vec![value, text(a[1].clone(), 2, name)?];
    if let Some(culture) = a.get(2) {
        all.push(text(culture.clone(), 3, name)?);
    }
    function(SqlType::nvarchar(4000), format_value, all)
}

fn formatted_message(values: &[(SqlType, Value)]) -> Binding<Bound> {
    let ty = SqlType::nvarchar(2048);
    let (Value::String(format), arguments) = (&values[0].1, &values[1..]) else {
        return constant(ty, Value::Null);
    };
    let text = crate::tsql::interpret::format_message(format, arguments)?;
    constant(ty, Value::string(text))
}

fn arc_tangent(values: &[Value]) -> Applied {
    match (float(&values[0]), float(&values[1])) {
        (Some(y), Some(x)) => Ok(Value::Float(y.atan2(x))),
        _ => Ok(Value::Null),
    }
}

fn logarithm(values: &[Value]) -> Applied {
    let base = values.get(1).map(float);
    match (float(&values[0]), base) {
        (None, _) | (_, Some(None)) => Ok(Value::Null),
        (Some(x), None) => map_float(&[Value::Float(x)], f64::ln),
        (Some(x), Some(Some(base))) => {
            let result = x.ln() / base.ln();
            if result.is_finite() {
                Ok(Value::Float(result))
            } else {
                Err(error(3623, 16, "An invalid floating point operation occurred."))
            }
        }
    }
}

/// The number that a seed gives, the same every time.
fn seeded_random(values: &[Value]) -> Applied {
    let Some(seed) = number(values, 0) else {
        return Ok(Value::Null);
    };
    let mut n = (seed as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    Ok(Value::Float(((n ^ (n >> 31)) >> 11) as f64 / (1_u64 << 53) as f64))
}

/// PARSENAME: part 1 is the object, 4 the server.
fn parse_name(values: &[Value]) -> Applied {
    let (Some(name), Some(part)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let Some(parts) = name_parts(name).filter(|parts| parts.len() <= 4) else {
        return Ok(Value::Null);
    };
    let part = usize::try_from(part).ok().filter(|part| (1..=4).contains(part));
    let found = part.and_then(|part| parts.len().checked_sub(part));
    let found = found.and_then(|i| parts.get(i)).filter(|text| !text.is_empty());
    Ok(found.map_or(Value::Null, Value::string))
}

/// The parts of a dotted name, brackets and quotes undone; `None` when one is not closed.
fn name_parts(name: &str) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let close = match c {
            '[' => ']',
            '"' => '"',
            '.' => {
                parts.push(String::new());
                continue;
            }
            _ => {
                parts.last_mut()?.push(c);
                continue;
            }
        };
        loop {
            match chars.next()? {
                c if c == close && chars.peek() == Some(&close) => {
                    chars.next();
                    parts.last_mut()?.push(close);
                }
                c if c == close => break,
                c => parts.last_mut()?.push(c),
            }
        }
    }
    Some(parts)
}

/// SOUNDEX: the first letter, and digits for the consonants that follow.
fn soundex(word: &str) -> String {
    let code = |c: char| match c.to_ascii_uppercase() {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        _ => '0',
    };
    let mut letters = word.chars().take_while(char::is_ascii_alphabetic);
    let Some(first) = letters.next() else {
        return "0000".to_owned();
    };
    let mut out = first.to_ascii_uppercase().to_string();
    let mut last = code(first);
    for c in letters {
        let next = code(c);
        // H and W do not keep equal sounds apart.
        if matches!(c.to_ascii_uppercase(), 'H' | 'W') {
            continue;
        }
        if next != '0' && next != last {
            out.push(next);
        }
        last = next;
    }
    format!("{:0<4}", out.chars().take(4).collect::<String>())
}

fn sound_of(values: &[Value]) -> Applied {
    Ok(string(values, 0).map_or(Value::Null, |s| Value::string(soundex(s))))
}

fn likeness(values: &[Value]) -> Applied {
    let (Some(a), Some(b)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    let (a, b) = (soundex(a), soundex(b));
    let same = a.chars().zip(b.chars()).filter(|(a, b)| a == b).count();
    Ok(Value::Int(i32::try_from(same).unwrap_or(0)))
}

fn escape_json(values: &[Value]) -> Applied {
    let (Some(s), Some(kind)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    if !kind.eq_ignore_ascii_case("json") {
        return Err(error(
            13618,
            16,
            "An invalid value was specified for argument 2 of the STRING_ESCAPE function.",
        ));
    }
    too_long(s.len())?;
    let quoted = serde_json::Value::from(s).to_string().replace('/', "\\/");
    Ok(Value::string(&quoted[1..quoted.len() - 1]))
}

fn is_json(values: &[Value]) -> Applied {
    Ok(string(values, 0).map_or(Value::Null, |s| {
        let parsed = serde_json::from_str::<serde_json::Value>(s);
        Value::Int(i32::from(parsed.is_ok_and(|v| v.is_object() || v.is_array())))
    }))
}

/// JSON_VALUE with the paths `$.a.b` and `$.a[1]`; NULL where nothing, an object or an array is found.
fn json_value(values: &[Value]) -> Applied {
    let (Some(json), Some(path)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    let parsed: serde_json::Value = serde_json::from_str(json).map_err(|_| {
        error(13609, 16, "JSON text is not properly formatted. Unexpected character is found.")
    })?;
    let invalid = || {
        error(
            13607,
            16,
            format!(
                "JSON path is not properly formatted. Unexpected character is found in '{path}'."
            ),
        )
    };
    let path = path.trim();
    let path = path.strip_prefix("lax ").unwrap_or(path).trim();
    let pointer = path.strip_prefix('$').ok_or_else(invalid)?;
    let pointer = pointer.replace('"', "").replace('[', ".").replace(']', "").replace('.', "/");
    Ok(match parsed.pointer(&pointer) {
        Some(serde_json::Value::String(s)) => Value::string(s),
        Some(serde_json::Value::Bool(b)) => Value::string(b.to_string()),
        Some(serde_json::Value::Number(n)) => Value::string(n.to_string()),
        _ => Value::Null,
    })
}

fn time_from_parts(values: &[Value]) -> Applied {
    let all: Option<Vec<i64>> = (0..5).map(|i| number(values, i)).collect();
    let Some(all) = all else {
        return Ok(Value::Null);
    };
    let invalid = || {
        error(
            289,
            16,
            "Cannot construct data type time, some of the arguments have values which are not valid.",
        )
    };
    let small = |n: i64| i8::try_from(n).map_err(|_| invalid());
    let unit = 10_i64.pow(9 - u32::try_from(all[4].clamp(0, 7)).unwrap_or(7));
    let nanoseconds = all[3].checked_mul(unit).and_then(|n| i32::try_from(n).ok());
    jiff::civil::Time::new(
        small(all[0])?,
        small(all[1])?,
        small(all[2])?,
        nanoseconds.ok_or_else(invalid)?,
    )
    .map(Value::Time)
    .map_err(|_| invalid())
}

/// What `.value('.', …)` reads: the text between tags, entities undone.
fn xml_text(values: &[Value]) -> Applied {
    let Some(xml) = string(values, 0) else {
        return Ok(Value::Null);
    };
    let mut out = String::new();
    let mut rest = xml;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        let close = if rest[at..].starts_with('<') { '>' } else { ';' };
        let Some(length) = rest[at..].find(close) else {
            return Err(error(
                9400,
                16,
                "XML parsing: line 1, character 1, unexpected end of input",
            ));
        };
        if close == ';' {
            let entity = &rest[at + 1..at + length];
            let number = entity
                .strip_prefix("#x")
                .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                .or_else(|| entity.strip_prefix('#').and_then(|n| n.parse().ok()));
            match (entity, number.and_then(char::from_u32)) {
                ("lt", _) => out.push('<'),
                ("gt", _) => out.push('>'),
                ("amp", _) => out.push('&'),
                ("quot", _) => out.push('"'),
                ("apos", _) => out.push('\''),
                (_, Some(c)) => out.push(c),
                _ => {
                    return Err(error(
                        9448,
                        16,
                        "XML parsing: line 1, character 1, well formed check: undeclared entity",
                    ));
                }
            }
        }
        rest = &rest[at + length + 1..];
    }
    out.push_str(rest);
    Ok(Value::string(out))
}
