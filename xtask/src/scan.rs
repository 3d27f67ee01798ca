//! Finds the uses of those parts of the standard library that act on the world.
//!
//! It reads tokens, not types, which is enough: whatever is used must first be named, in full or in a
//! `use`. Comments, texts and items behind `#[cfg(test)]` do not count.

/// One use of something that pure code may not use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Counted from 1.
    pub(crate) line: usize,
    /// As `std::fs`, whatever way it was named in the source.
    pub(crate) path: &'static str,
    pub(crate) why: &'static str,
    pub(crate) remedy: &'static str,
}

const TAKE_A_PORT: &str = "Let an adapter do it behind a port";
const TAKE_NOW: &str = "Take the time as an argument";
const TAKE_BTREE: &str = "Use a BTreeMap or BTreeSet";

/// Path, what it does, what to do instead.
const RULES: &[(&str, &str, &str)] = &[
    (
        "std::net",
        "opens sockets",
        "For addresses alone use core::net; otherwise let an adapter do it",
    ),
    ("std::fs", "reads and writes files", TAKE_A_PORT),
    ("std::process", "spawns and ends processes", TAKE_A_PORT),
    ("std::thread", "spawns and sleeps", "Leave concurrency to whoever runs the plan"),
    ("std::env", "reads the process's surroundings", "Take the value as an argument"),
    ("std::os", "reaches the operating system", TAKE_A_PORT),
    ("std::time::Instant", "reads a clock", TAKE_NOW),
    ("std::time::SystemTime", "reads a clock", TAKE_NOW),
    ("std::io::stdin", "reads standard input", TAKE_A_PORT),
    ("std::io::stdout", "writes standard output", "Return a value"),
    ("std::io::stderr", "writes standard error", "Return a value"),
    ("std::collections::HashMap", "has an order drawn at random", TAKE_BTREE),
    ("std::collections::HashSet", "has an order drawn at random", TAKE_BTREE),
    ("std::collections::hash_map", "has an order drawn at random", TAKE_BTREE),
    ("std::collections::hash_set", "has an order drawn at random", TAKE_BTREE),
    ("std::hash::RandomState", "draws a random number", TAKE_BTREE),
    ("std::hash::DefaultHasher", "is not stable between releases", "Use blake3"),
];

/// Macros that write to the process's output.
const MACROS: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];

/// Every finding in the Rust source `text`, in the order of lines.
pub(crate) fn findings(text: &str) -> Vec<Finding> {
    let tokens = without_tests(tokens(text));
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let Some(word) = tokens[at].word() else {
            continue;
        };
        if MACROS.contains(&word) && symbol_at(&tokens, at + 1) == Some('!') {
            found.push(Finding {
                line: tokens[at].line,
                path: "println! and its like",
                why: "writes to the process's output",
                remedy: "Return a value",
            });
        }
        // In the middle of a path everything has been seen from its beginning.
        if at >= 2 && is_separator(&tokens, at - 2) && !starts_path(&tokens, at - 2) {
            continue;
        }
        let mut paths = Vec::new();
        collect_paths(&tokens, at, String::new(), &mut paths);
        for (path, line) in paths {
            for &(rule, why, remedy) in RULES {
                if names(&path, rule) {
                    found.push(Finding { line, path: rule, why, remedy });
                }
            }
        }
    }
    found.sort_by_key(|finding| (finding.line, finding.path));
    found.dedup();
    found
}

/// Whether `path`, which may end in a glob, brings in what `rule` forbids.
fn names(path: &str, rule: &str) -> bool {
    let below = |path: &str, rule: &str| {
        path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    if let Some(module) = path.strip_suffix("::*")
        && rule.rsplit_once("::").is_some_and(|(parent, _)| parent == module)
    {
        return true;
    }
    // After `use std::time;` the clock is `time::Instant`.
    let short = rule.strip_prefix("std::").filter(|short| short.contains("::"));
    below(path, rule) || short.is_some_and(|short| below(path, short))
}

/// The paths that start at `at`: one, or each leaf of `a::{b, c::d}`. A leaf has its own line.
/// Returns the index after them.
fn collect_paths(
    tokens: &[Token],
    at: usize,
    prefix: String,
    paths: &mut Vec<(String, usize)>,
) -> usize {
    let Some(token) = tokens.get(at) else {
        return at;
    };
    let join = |name: &str| {
        if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") }
    };
    match &token.kind {
        Kind::Word(word) => {
            // `{self}` is the module itself.
            let path =
                if word == "self" && !prefix.is_empty() { prefix.clone() } else { join(word) };
            let continues = is_separator(tokens, at + 1)
                && tokens.get(at + 3).is_some_and(|next| {
                    matches!(next.kind, Kind::Word(_) | Kind::Symbol('{' | '*'))
                });
            if continues {
                return collect_paths(tokens, at + 3, path, paths);
            }
            paths.push((path, token.line));
            at + 1
        }
        Kind::Symbol('*') => {
            paths.push((join("*"), token.line));
            at + 1
        }
        Kind::Symbol('{') => {
            let mut next = at + 1;
            while let Some(token) = tokens.get(next) {
                match token.kind {
                    Kind::Symbol('}') => return next + 1,
                    Kind::Word(_) | Kind::Symbol('{' | '*') => {
                        next = collect_paths(tokens, next, prefix.clone(), paths);
                        // `as other_name`
                        if tokens.get(next).and_then(Token::word) == Some("as") {
                            next += 2;
                        }
                    }
                    Kind::Symbol(_) => next += 1,
                }
            }
            next
        }
        Kind::Symbol(_) => at + 1,
    }
}

/// One token of Rust source, as far as this scan needs them.
#[derive(Debug)]
struct Token {
    kind: Kind,
    line: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Identifier, keyword or number.
    Word(String),
    /// Any other visible character.
    Symbol(char),
}

impl Token {
    fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Symbol(_) => None,
        }
    }
}

fn symbol_at(tokens: &[Token], at: usize) -> Option<char> {
    match tokens.get(at)?.kind {
        Kind::Symbol(symbol) => Some(symbol),
        Kind::Word(_) => None,
    }
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    symbol_at(tokens, at) == Some(':') && symbol_at(tokens, at + 1) == Some(':')
}

/// Whether the `::` at `at` is the first thing in its path, as in `::std::fs`.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    at == 0 || (tokens[at - 1].word().is_none() && symbol_at(tokens, at - 1) != Some('>'))
}

/// Leaves out items behind `#[cfg(test)]` and `#[cfg(all(test, …))]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens, at) {
            at = after_item(&tokens, at);
            continue;
        }
        kept.push(at);
        at += 1;
    }
    let mut kept = kept.into_iter().peekable();
    tokens
        .into_iter()
        .enumerate()
        .filter_map(|(index, token)| kept.next_if_eq(&index).map(|_| token))
        .collect()
}

fn is_test_attribute(tokens: &[Token], at: usize) -> bool {
    let text: Vec<String> = tokens[at..]
        .iter()
        .take(7)
        .map(|token| match &token.kind {
            Kind::Word(word) => word.clone(),
            Kind::Symbol(symbol) => symbol.to_string(),
        })
        .collect();
    let text = text.concat();
    text.starts_with("#[cfg(test)]") || text.starts_with("#[cfg(all(test")
}

/// The index after the item whose attributes start at `at`: after its block, or its semicolon.
fn after_item(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, _) in tokens.iter().enumerate().skip(at) {
        match symbol_at(tokens, index) {
            Some('(' | '[' | '{') => depth += 1,
            Some(closing @ (')' | ']' | '}')) => {
                depth = depth.saturating_sub(1);
                if depth == 0 && closing == '}' {
                    return index + 1;
                }
            }
            Some(';') if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Splits Rust source into tokens, without comments and without texts.
fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < characters.len() {
        let here = characters[at];
        let next = characters.get(at + 1).copied();
        let end = match here {
            '/' if next == Some('/') => end_of_line(&characters, at),
            '/' if next == Some('*') => end_of_comment(&characters, at),
            '"' => end_of_text(&characters, at),
            '\'' => end_of_quote(&characters, at),
            _ if here.is_alphanumeric() || here == '_' => {
                let mut end = at;
                while end < characters.len()
                    && (characters[end].is_alphanumeric() || characters[end] == '_')
                {
                    end += 1;
                }
                let word: String = characters[at..end].iter().collect();
                match (word.as_str(), characters.get(end)) {
                    ("r" | "br" | "cr", Some('"' | '#')) => {
                        end_of_raw_text(&characters, end).unwrap_or(end)
                    }
                    _ => {
                        tokens.push(Token { kind: Kind::Word(word), line });
                        end
                    }
                }
            }
            _ => {
                if !here.is_whitespace() {
                    tokens.push(Token { kind: Kind::Symbol(here), line });
                }
                at + 1
            }
        };
        line += characters[at..end].iter().filter(|&&character| character == '\n').count();
        at = end;
    }
    tokens
}

fn end_of_line(characters: &[char], at: usize) -> usize {
    characters[at..].iter().position(|&c| c == '\n').map_or(characters.len(), |found| at + found)
}

/// Block comments nest.
fn end_of_comment(characters: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    characters.len()
}

fn end_of_text(characters: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < characters.len() {
        match characters[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// A character such as `'"'` or `'\n'`; a lifetime such as `'a` ends after its quote.
fn end_of_quote(characters: &[char], at: usize) -> usize {
    if characters.get(at + 1) == Some(&'\\') {
        // The escaped character may itself be a quote.
        let rest = characters.iter().skip(at + 3);
        return rest
            .take_while(|&&c| c != '\'')
            .count()
            .saturating_add(at + 4)
            .min(characters.len());
    }
    if characters.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// `at` is after the `r`. Nothing for a raw identifier such as `r#type`.
fn end_of_raw_text(characters: &[char], at: usize) -> Option<usize> {
    let hashes = characters[at..].iter().take_while(|&&c| c == '#').count();
    if characters.get(at + hashes) != Some(&'"') {
        return None;
    }
    let mut at = at + hashes + 1;
    while at < characters.len() {
        let closing = characters[at] == '"'
            && characters[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closing {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(characters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, &'static str)> {
        findings(text).into_iter().map(|finding| (finding.line, finding.path)).collect()
    }

    #[test]
    fn a_full_path_is_found_with_its_line() {
        assert_eq!(found("fn f() {\n    std::fs::read(\"x\");\n}"), [(2, "std::fs")]);
        assert_eq!(found("::std::net::TcpStream::connect(a)"), [(1, "std::net")]);
    }

    #[test]
    fn each_leaf_of_a_grouped_use_is_found_on_its_own_line() {
        let text = "use std::{\n    fmt,\n    net::{IpAddr as A, TcpStream},\n    \
                    time::{Duration, Instant},\n    fs::{self, File},\n};";
        assert_eq!(found(text), [(3, "std::net"), (4, "std::time::Instant"), (5, "std::fs")]);
    }

    #[test]
    fn a_module_imported_whole_does_not_hide_its_contents() {
        assert_eq!(
            found("use std::time;\nlet t = time::Instant::now();"),
            [(2, "std::time::Instant")]
        );
        assert_eq!(
            found("use std::collections::*;"),
            [
                (1, "std::collections::HashMap"),
                (1, "std::collections::HashSet"),
                (1, "std::collections::hash_map"),
                (1, "std::collections::hash_set"),
            ]
        );
    }

    #[test]
    fn pure_parts_of_the_library_pass() {
        let text = "use std::collections::{BTreeMap, BTreeSet};\nuse std::time::Duration;\n\
                    use core::net::IpAddr;\nuse std::sync::Arc;\nuse crate::std_like::fs;\n\
                    fn instant(time: &Time) -> Instant { time.instant() }";
        assert_eq!(found(text), []);
    }

    #[test]
    fn comments_and_texts_do_not_count() {
        let text = "//! std::fs\n/* std::net /* std::env */ std::env */\n\
                    const A: &str = \"std::thread \\\" std::fs\";\n\
                    const B: &str = r#\"std::process \" std::fs\"#;\n\
                    const C: char = '\"'; // std::fs\nfn f<'a>(x: &'a str) { let q = '\\''; }\n\
                    std::env::var(x)";
        assert_eq!(found(text), [(7, "std::env")]);
    }

    #[test]
    fn tests_may_do_what_they_need_and_what_follows_them_may_not() {
        let text = "#[cfg(test)]\nmod tests {\n    use std::fs;\n    fn f() { fs::read(\"{\"); }\n}\n\
                    #[cfg(test)]\nuse std::env;\nuse std::thread;";
        assert_eq!(found(text), [(8, "std::thread")]);
    }

    #[test]
    fn printing_is_found() {
        assert_eq!(found("println!(\"x\");"), [(1, "println! and its like")]);
        assert_eq!(found("let println = 1;"), []);
    }

    #[test]
    fn no_input_panics() {
        for text in
            ["'", "'\\", "r#\"", "\"\\", "/*", "std::", "use std::{", "#[cfg(test)]", "r#", "*/"]
        {
            findings(text);
        }
    }
}
