//! Functions of text and of bytes, applied to values. NULL in gives NULL out unless said otherwise.

use super::{Applied, number, string};
use crate::message::SqlFailure;
use crate::tsql::convert::float;
use crate::tsql::eval::pattern_index;
use crate::tsql::failures::error;
use crate::tsql::failures::too_long;
use crate::value::Value;

/// LEN. Without a collation for supplementary characters, one of those counts as two.
pub(super) fn len(values: &[Value]) -> Applied {
    Ok(string(values, 0).map_or(Value::Null, |s| {
        let n = s.trim_end_matches(' ').encode_utf16().count();
        Value::Int(i32::try_from(n).unwrap_or(i32::MAX))
    }))
}

pub(super) fn trim_characters(values: &[Value]) -> Applied {
    Ok(match (string(values, 0), string(values, 1)) {
        (Some(characters), Some(text)) => {
            let set: Vec<char> = characters.chars().collect();
            Value::string(text.trim_matches(|c| set.contains(&c)))
        }
        _ => Value::Null,
    })
}

pub(super) fn negative_length(name: &str) -> SqlFailure {
    error(537, 16, format!("Invalid length parameter passed to the {name} function.")).with_state(2)
}

pub(super) fn left(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let n = usize::try_from(n).map_err(|_| negative_length("LEFT or SUBSTRING"))?;
    Ok(Value::string(s.chars().take(n).collect::<String>()))
}

pub(super) fn right(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let n = usize::try_from(n).map_err(|_| negative_length("right"))?;
    let skip = s.chars().count().saturating_sub(n);
    Ok(Value::string(s.chars().skip(skip).collect::<String>()))
}

/// The part of `0..length` that SUBSTRING's start (from 1, possibly before it) and count cover.
pub(super) fn window(start: i64, count: i64, length: usize) -> Option<(usize, usize)> {
    if count < 0 {
        return None;
    }
    let end = start.saturating_add(count).max(1);
    let start = start.max(1);
    let from = usize::try_from(start - 1).ok()?.min(length);
    let to = usize::try_from(end - 1).ok()?.clamp(from, length.max(from));
    Some((from, to))
}

pub(super) fn substring(values: &[Value]) -> Applied {
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

pub(super) fn sub_binary(values: &[Value]) -> Applied {
    let (Some(Value::Binary(b)), Some(start), Some(count)) =
        (values.first(), number(values, 1), number(values, 2))
    else {
        return Ok(Value::Null);
    };
    let (from, to) =
        window(start, count, b.len()).ok_or_else(|| negative_length("LEFT or SUBSTRING"))?;
    Ok(Value::Binary(b[from..to].into()))
}

pub(super) fn char_index(values: &[Value]) -> Applied {
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

pub(super) fn pat_index(values: &[Value]) -> Applied {
    let (Some(pattern), Some(text)) = (string(values, 0), string(values, 1)) else {
        return Ok(Value::Null);
    };
    Ok(Value::Int(i32::try_from(pattern_index(text, pattern)).unwrap_or(0)))
}

pub(super) fn replace(values: &[Value]) -> Applied {
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

pub(super) fn translate(values: &[Value]) -> Applied {
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

pub(super) fn stuff(values: &[Value]) -> Applied {
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

pub(super) fn replicate(values: &[Value]) -> Applied {
    let (Some(s), Some(n)) = (string(values, 0), number(values, 1)) else {
        return Ok(Value::Null);
    };
    let Ok(n) = usize::try_from(n) else {
        return Ok(Value::Null);
    };
    too_long(s.len().saturating_mul(n))?;
    Ok(Value::string(s.repeat(n)))
}

pub(super) fn space(values: &[Value]) -> Applied {
    let Some(n) = number(values, 0).and_then(|n| usize::try_from(n).ok()) else {
        return Ok(Value::Null);
    };
    Ok(Value::string(" ".repeat(n.min(8000))))
}

pub(super) fn quote_name(values: &[Value]) -> Applied {
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
pub(super) fn concat(values: &[Value]) -> Applied {
    let parts: Vec<&str> = (0..values.len()).filter_map(|i| string(values, i)).collect();
    too_long(parts.iter().map(|part| part.len()).sum())?;
    Ok(Value::string(parts.concat()))
}

/// NULL is left out together with its separator.
pub(super) fn concat_with(values: &[Value]) -> Applied {
    let separator = string(values, 0).unwrap_or("");
    let parts: Vec<&str> = (1..values.len()).filter_map(|i| string(values, i)).collect();
    too_long(parts.iter().map(|part| part.len() + separator.len()).sum())?;
    Ok(Value::string(parts.join(separator)))
}

pub(super) fn character(values: &[Value]) -> Applied {
    Ok(number(values, 0)
        .and_then(|n| u8::try_from(n).ok())
        .map_or(Value::Null, |n| Value::string(char::from(n).to_string())))
}

pub(super) fn national_character(values: &[Value]) -> Applied {
    Ok(number(values, 0)
        .and_then(|n| u32::try_from(n).ok())
        .and_then(char::from_u32)
        .map_or(Value::Null, |c| Value::string(c.to_string())))
}

pub(super) fn code(values: &[Value]) -> Applied {
    Ok(string(values, 0)
        .and_then(|s| s.chars().next())
        .map_or(Value::Null, |c| Value::Int(c as i32)))
}

pub(super) fn str_number(values: &[Value]) -> Applied {
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
