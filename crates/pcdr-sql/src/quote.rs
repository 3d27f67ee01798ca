//! The only place where a name, a path or a text becomes part of a T-SQL batch.
//!
//! Database names, job names, logins and paths are hostile input: `a]; DROP DATABASE b; --` is a
//! legal database name. Everything that a batch builder did not write itself passes through here.

/// The longest identifier, in UTF-16 units (`sysname`).
pub const MAX_IDENTIFIER: usize = 128;

/// The longest path that BACKUP and RESTORE take (message 3057), in UTF-16 units.
pub const MAX_PATH: usize = 259;

/// A text that cannot be part of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// An empty name or path.
    #[error("a name was needed, but it is empty")]
    Empty,
    /// More characters than the server takes.
    #[error("{text:?} has {length} UTF-16 units, but the server takes at most {limit}")]
    TooLong {
        /// The text.
        text: String,
        /// Its length in UTF-16 units.
        length: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// A NUL character: the server would cut the text there.
    #[error("{0:?} contains a NUL character")]
    Nul(String),
    /// The character U+FFFF: the server refers to nothing that has it in its name.
    #[error("{0:?} contains the character U+FFFF, which no name on a server can have")]
    NotInNames(String),
    /// A server network address that is not `TCP://host:port`.
    #[error("{0:?} is not a server network address: TCP://host:port is needed")]
    Address(String),
}

/// A name as a bracketed identifier: `m]gc` becomes `[m]]gc]`.
///
/// ```
/// use pcdr_sql::quote::{identifier, literal};
///
/// assert_eq!(identifier("m]gc").unwrap(), "[m]]gc]");
/// assert_eq!(literal("o'brien").unwrap(), "N'o''brien'");
/// assert!(identifier("").is_err());
/// ```
///
/// # Errors
///
/// Empty, longer than 128 UTF-16 units, or with a character that no batch can carry: NUL or U+FFFF.
pub fn identifier(name: &str) -> Result<String, QuoteError> {
    check(name, MAX_IDENTIFIER)?;
    Ok(format!("[{}]", name.replace(']', "]]")))
}

/// A name as a Unicode literal, for comparison with a `sysname` column.
///
/// # Errors
///
/// As [`identifier`].
pub fn name(name: &str) -> Result<String, QuoteError> {
    check(name, MAX_IDENTIFIER)?;
    literal(name)
}

/// A text as a Unicode literal: `o'brien` becomes `N'o''brien'`.
///
/// # Errors
///
/// With a character that no batch can carry: NUL or U+FFFF.
pub fn literal(text: &str) -> Result<String, QuoteError> {
    check_characters(text)?;
    Ok(format!("N'{}'", text.replace('\'', "''")))
}

/// A file or folder as a Unicode literal.
///
/// # Errors
///
/// Empty, longer than the server takes, or with a character that no batch can carry: NUL or U+FFFF.
pub fn path(path: &str) -> Result<String, QuoteError> {
    check(path, MAX_PATH)?;
    literal(path)
}

/// A server network address as a Unicode literal.
///
/// # Errors
///
/// Anything but `TCP://host:port`.
pub fn server_address(address: &str) -> Result<String, QuoteError> {
    let well_formed = address
        .get(..6)
        .filter(|scheme| scheme.eq_ignore_ascii_case("TCP://"))
        .and_then(|_| address.get(6..))
        .and_then(|rest| rest.rsplit_once(':'))
        .is_some_and(|(host, port)| {
            let host_is_plain = !host.is_empty()
                && host.chars().all(|c| c.is_alphanumeric() || ".-_[]:%".contains(c));
            host_is_plain && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    if well_formed { literal(address) } else { Err(QuoteError::Address(address.to_owned())) }
}

fn check(text: &str, limit: usize) -> Result<(), QuoteError> {
    if text.is_empty() {
        return Err(QuoteError::Empty);
    }
    check_characters(text)?;
    let length = text.encode_utf16().count();
    if length > limit {
        return Err(QuoteError::TooLong { text: text.to_owned(), length, limit });
    }
    Ok(())
}

/// U+FFFF is where the vendor's own parser takes a batch to end, inside of quotes too.
///
/// Source: "0xFFFF character is not valid as an object identifier" (SQL Server 2014, Upgrade Advisor):
/// since SQL Server 2005, what has it in its name cannot be referenced.
fn check_characters(text: &str) -> Result<(), QuoteError> {
    if text.contains('\0') {
        return Err(QuoteError::Nul(text.to_owned()));
    }
    if text.contains('\u{ffff}') {
        return Err(QuoteError::NotInNames(text.to_owned()));
    }
    Ok(())
}

/// A text for one comment line: nothing in it can end the line.
pub fn comment(text: &str) -> String {
    text.chars().map(|c| if breaks_line(c) { ' ' } else { c }).collect()
}

fn breaks_line(c: char) -> bool {
    c.is_control() || c == '\u{2028}' || c == '\u{2029}'
}

/// A batch as part of a script that `sqlcmd` or Management Studio reads.
///
/// Batches are sent as such, but in a script a line `GO` inside a name would end the batch, and
/// `sqlcmd` would replace `$(x)` or run a line such as `:r file`. A batch with such a text is written
/// as a literal that is executed, in which no line and no `$(` of the original remains whole.
pub fn script(batch: &str) -> String {
    let is_plain = !batch.contains("$(") && !batch.lines().any(is_script_command);
    if is_plain {
        return batch.to_owned();
    }
    let mut text = String::from("DECLARE @batch nvarchar(max) = CAST(N'' AS nvarchar(max))");
    let mut piece = String::new();
    let flush = |text: &mut String, piece: &mut String| {
        if !piece.is_empty() {
            text.push_str(" + N'");
            text.push_str(piece);
            text.push('\'');
            piece.clear();
        }
    };
    let mut last = ' ';
    for c in batch.chars() {
        if breaks_line(c) && c != '\t' {
            flush(&mut text, &mut piece);
            text.push_str(&format!(" + NCHAR({})", c as u32));
        } else {
            if c == '(' && last == '$' {
                flush(&mut text, &mut piece);
            }
            piece.push(c);
            if c == '\'' {
                piece.push(c);
            }
        }
        last = c;
    }
    flush(&mut text, &mut piece);
    text.push_str(";\nEXEC (@batch);");
    text
}

/// Whether `sqlcmd` may take a line for one of its own commands.
fn is_script_command(line: &str) -> bool {
    const COMMANDS: [&str; 7] = ["go", "exit", "quit", "reset", "ed", "list", "serverlist"];
    // Line ends that `str::lines` does not know still end a line for some readers.
    line.split(|c| breaks_line(c) && c != '\t').any(|line| {
        let line = line.trim_start();
        if line.starts_with(':') || line.starts_with("!!") {
            return true;
        }
        let word: String = line
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '@' || *c == '#')
            .collect();
        COMMANDS.contains(&word.to_ascii_lowercase().as_str())
    })
}

/// Writes a list of literals: `N'a', N'b'`.
///
/// # Errors
///
/// As [`name`], for the first that cannot be written.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, QuoteError> {
    let quoted: Result<Vec<String>, QuoteError> = names.into_iter().map(name).collect();
    Ok(quoted?.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a bracketed identifier as the server does; the rest after it.
    fn read_identifier(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix('[')?;
        let mut name = String::new();
        loop {
            let end = rest.find(']')?;
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix(']') {
                Some(after) => {
                    name.push(']');
                    rest = after;
                }
                None => return Some((name, rest)),
            }
        }
    }

    /// Reads a Unicode literal as the server does; the rest after it.
    fn read_literal(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix("N'")?;
        let mut value = String::new();
        loop {
            let end = rest.find('\'')?;
            value.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => return Some((value, rest)),
            }
        }
    }

    /// Names made of the pieces that break careless quoting.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("]".to_owned()),
            Just("'".to_owned()),
            Just("\"".to_owned()),
            Just("--".to_owned()),
            Just("/*".to_owned()),
            Just("*/".to_owned()),
            Just("\r\n".to_owned()),
            Just("\nGO\n".to_owned()),
            Just("$(x)".to_owned()),
            Just("\n:r file\n".to_owned()),
            Just("\u{2028}".to_owned()),
            Just("😀".to_owned()),
            Just("; DROP DATABASE mgc; ".to_owned()),
            "[ -~]{0,6}",
            "\\PC{0,4}",
        ];
        proptest::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn a_quoted_identifier_is_one_identifier_with_the_same_name(text in hostile()) {
            if let Ok(quoted) = identifier(&text) {
                prop_assert_eq!(read_identifier(&quoted), Some((text, "")));
            }
        }

        #[test]
        fn a_quoted_literal_is_one_literal_with_the_same_text(text in hostile()) {
            let quoted = literal(&text).unwrap();
            prop_assert_eq!(read_literal(&quoted), Some((text, "")));
        }

        #[test]
        fn a_comment_stays_on_its_line(text in hostile()) {
            let comment = comment(&text);
            let is_broken = comment.chars().any(breaks_line);
            prop_assert!(!is_broken, "{comment:?}");
        }

        #[test]
        fn no_line_of_a_script_is_a_separator(text in hostile()) {
            let batch = format!("SELECT {};", literal(&text).unwrap());
            let script = script(&batch);
            for line in script.lines() {
                prop_assert!(!line.trim().eq_ignore_ascii_case("go"), "{script}");
                prop_assert!(!line.trim_start().starts_with(':'), "{script}");
            }
            prop_assert!(!script.contains("$("), "{script}");
        }

        #[test]
        fn a_wrapped_script_spells_the_same_batch(text in hostile()) {
            let batch = format!("SELECT {};", literal(&text).unwrap());
            let written = script(&batch);
            if written == batch {
                return Ok(());
            }
            let mut rest = written
                .strip_prefix("DECLARE @batch nvarchar(max) = CAST(N'' AS nvarchar(max))")
                .unwrap();
            let mut read = String::new();
            while let Some(after) = rest.strip_prefix(" + ") {
                if let Some(code) = after.strip_prefix("NCHAR(") {
                    let (number, tail) = code.split_once(')').unwrap();
                    read.push(char::from_u32(number.parse().unwrap()).unwrap());
                    rest = tail;
                } else {
                    let (value, tail) = read_literal(after).unwrap();
                    read.push_str(&value);
                    rest = tail;
                }
            }
            prop_assert_eq!(rest, ";\nEXEC (@batch);");
            prop_assert_eq!(read, batch);
        }
    }

    #[test]
    fn names_of_128_units_pass_and_of_129_do_not() {
        assert!(identifier(&"ü".repeat(128)).is_ok());
        assert!(identifier(&"x".repeat(129)).is_err());
        // A character outside the basic plane counts twice.
        assert!(identifier(&"😀".repeat(64)).is_ok());
        assert!(identifier(&"😀".repeat(65)).is_err());
    }

    #[test]
    fn empty_names_and_characters_that_end_a_batch_are_refused() {
        assert_eq!(identifier(""), Err(QuoteError::Empty));
        for text in ["a\0b", "a\u{ffff}b"] {
            assert!(identifier(text).is_err());
            assert!(name(text).is_err());
            assert!(path(text).is_err());
            assert!(literal(text).is_err());
        }
        assert_eq!(literal("").unwrap(), "N''");
    }

    #[test]
    fn only_server_network_addresses_are_addresses() {
        assert!(server_address("TCP://sql1.example.com:5022").is_ok());
        assert!(server_address("tcp://[fe80::1%3]:5022").is_ok());
        for text in [
            "",
            "sql1:5022",
            "TCP://sql1",
            "TCP://:5022",
            "TCP://a b:1",
            "TCP://a':1",
            "TCP://a:0",
            "TCP://a:70000",
        ] {
            assert!(server_address(text).is_err(), "{text}");
        }
    }
}
