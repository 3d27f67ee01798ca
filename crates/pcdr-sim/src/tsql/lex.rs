//! T-SQL text to tokens.
//!
//! The language has its own tokenizer and parser rather than `sqlparser`'s, because that one takes a
//! following statement's first word as an alias (`SELECT 1 a KILL 5`), knows none of the
//! administrative statements, and keeps no position precise enough for error 102's token and line.

use crate::message::{SqlFailure, SqlMessage};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: keyword or identifier.
    Word,
    /// `[…]` or `"…"`, without its delimiters.
    Quoted,
    /// `@name`.
    Variable,
    /// `@@NAME`.
    Global,
    /// `'…'`.
    String,
    /// `N'…'`.
    National,
    /// Digits, with or without point and exponent.
    Number,
    /// `$` followed by digits.
    Money,
    /// `0x…`, without the prefix.
    Binary,
    /// An operator or a separator.
    Symbol,
    /// After the last token.
    End,
}

/// A token, its quoting undone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// From 1.
    pub(super) line: u32,
}

impl Token {
    /// Whether this is the unquoted keyword `word`, given in upper case.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The token as it could stand in a batch.
    pub(super) fn source(&self) -> String {
        let text = &self.text;
        match self.kind {
            Kind::Quoted => format!("[{}]", text.replace(']', "]]")),
            Kind::String => format!("'{}'", text.replace('\'', "''")),
            Kind::National => format!("N'{}'", text.replace('\'', "''")),
            Kind::Binary => format!("0x{text}"),
            _ => text.clone(),
        }
    }

    /// Whether this is the operator or separator `symbol`.
    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }
}

/// Error 102 at a token.
pub(super) fn syntax_error(near: &str, line: u32) -> SqlFailure {
    // The server quotes no more than the beginning of a long token.
    let near: String = near.chars().take(128).collect();
    SqlMessage::new(102, 15, format!("Incorrect syntax near '{near}'.")).at_line(line).into()
}

const SYMBOLS: [&str; 15] =
    ["<=", ">=", "<>", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::"];

/// Splits a batch into tokens; the last one is always [`Kind::End`]. `quoted_identifier` is the SET
/// option's state at the beginning of the text.
///
/// # Errors
///
/// 105 for an unclosed quotation, 113 for an unclosed comment, 102 for a character that begins nothing.
pub(super) fn tokenize(text: &str, quoted_identifier: bool) -> Result<Vec<Token>, SqlFailure> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, quoted_identifier };
    let mut tokens: Vec<Token> = Vec::new();
    while lexer.skip_blanks()? {
        let token = lexer.token()?;
        // The option has its effect on the text that follows, whether or not the statement is reached.
        if tokens.last().is_some_and(|last| last.is("QUOTED_IDENTIFIER")) {
            lexer.quoted_identifier = token.is("ON") || !token.is("OFF") && lexer.quoted_identifier;
        }
        tokens.push(token);
    }
    tokens.push(Token { kind: Kind::End, text: String::new(), line: lexer.line });
    Ok(tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: u32,
    /// Whether `"…"` is an identifier rather than a string.
    quoted_identifier: bool,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// Skips blanks and comments, which nest; false at the end of the text.
    fn skip_blanks(&mut self) -> Result<bool, SqlFailure> {
        loop {
            let Some(&c) = self.chars.get(self.at) else {
                return Ok(false);
            };
            if c.is_whitespace() || c == '\u{feff}' {
                self.bump();
            } else if c == '-' && self.peek(1) == '-' {
                while let Some(&c) = self.chars.get(self.at) {
                    if c == '\n' {
                        break;
                    }
                    self.at += 1;
                }
            } else if c == '/' && self.peek(1) == '*' {
                self.at += 2;
                let mut depth = 1;
                while depth > 0 {
                    if self.peek(0) == '*' && self.peek(1) == '/' {
                        self.at += 2;
                        depth -= 1;
                    } else if self.peek(0) == '/' && self.peek(1) == '*' {
                        self.at += 2;
                        depth += 1;
                    } else if self.bump().is_none() {
                        return Err(SqlMessage::new(113, 15, "Missing end comment mark '*/'.")
                            .at_line(self.line)
                            .into());
                    }
                }
            } else {
                return Ok(true);
            }
        }
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.chars.get(self.at).is_some_and(|&c| keep(c)) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// Reads up to `close`, which is doubled inside.
    fn quoted(&mut self, close: char) -> Result<String, SqlFailure> {
        let line = self.line;
        let mut text = String::new();
        while let Some(c) = self.bump() {
            if c == close {
                if self.peek(0) != close || self.at >= self.chars.len() {
                    return Ok(text);
                }
                self.at += 1;
            }
            text.push(c);
        }
        let shown: String = text.chars().take(128).collect();
        let unclosed = SqlMessage::new(
            105,
            15,
            format!("Unclosed quotation mark after the character string '{shown}'."),
        )
        .at_line(line);
        let mut failure = SqlFailure::from(unclosed);
        failure.0.extend(syntax_error(&shown, line).0);
        Err(failure)
    }

    fn token(&mut self) -> Result<Token, SqlFailure> {
        let line = self.line;
        let c = self.peek(0);
        let (kind, text) = if (c == 'N' || c == 'n') && self.peek(1) == '\'' {
            self.at += 2;
            (Kind::National, self.quoted('\'')?)
        } else if is_word_start(c) {
            (Kind::Word, self.take_while(is_word))
        } else if c == '\'' {
            self.at += 1;
            (Kind::String, self.quoted('\'')?)
        } else if c == '[' {
            self.at += 1;
            (Kind::Quoted, self.quoted(']')?)
        } else if c == '"' {
            self.at += 1;
            let text = self.quoted('"')?;
            (if self.quoted_identifier { Kind::Quoted } else { Kind::String }, text)
        } else if c == '$' && self.peek(1).is_alphabetic() {
            // `$action` and its like.
            self.at += 1;
            (Kind::Word, format!("${}", self.take_while(is_word)))
        } else if c == '@' {
            let global = self.peek(1) == '@';
            let name = self.take_while(is_word);
            if global { (Kind::Global, name.to_ascii_uppercase()) } else { (Kind::Variable, name) }
        } else if c == '0' && matches!(self.peek(1), 'x' | 'X') {
            self.at += 2;
            (Kind::Binary, self.take_while(|c| c.is_ascii_hexdigit()))
        } else if c.is_ascii_digit() || (c == '.' && self.peek(1).is_ascii_digit()) {
            (Kind::Number, self.number())
        } else if c == '$' && self.peek(1).is_ascii_digit() {
            self.at += 1;
            (Kind::Money, self.number())
        } else {
            let pair: String = [c, self.peek(1)].iter().collect();
            if SYMBOLS.contains(&pair.as_str()) {
                self.at += 2;
                (Kind::Symbol, pair)
            } else if "()+-*/%=<>,.;&|^~:".contains(c) {
                self.at += 1;
                (Kind::Symbol, c.to_string())
            } else {
                return Err(syntax_error(&c.to_string(), line));
            }
        };
        Ok(Token { kind, text, line })
    }

    fn number(&mut self) -> String {
        let mut text = self.take_while(|c| c.is_ascii_digit());
        if self.peek(0) == '.' {
            self.at += 1;
            text.push('.');
            text += &self.take_while(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(0), 'e' | 'E') {
            let sign = usize::from(matches!(self.peek(1), '+' | '-'));
            // T-SQL accepts a bare `e` as an exponent of zero; a word after digits is an alias.
            if self.peek(1 + sign).is_ascii_digit() {
                for _ in 0..=sign {
                    text.extend(self.bump());
                }
                text += &self.take_while(|c| c.is_ascii_digit());
            }
        }
        text
    }
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '#'
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '#' | '@' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<(Kind, String)> {
        let mut tokens: Vec<_> =
            tokenize(sql, true).unwrap().into_iter().map(|t| (t.kind, t.text)).collect();
        tokens.pop();
        tokens
    }

    #[test]
    fn quoting_is_undone_and_comments_nest() {
        assert_eq!(
            texts("[a]]b] \"c\"\"d\" N'o''brien' /* x /* y */ ' */ -- '\n'z'"),
            [
                (Kind::Quoted, "a]b".into()),
                (Kind::Quoted, "c\"d".into()),
                (Kind::National, "o'brien".into()),
                (Kind::String, "z".into()),
            ]
        );
    }

    #[test]
    fn an_unclosed_quotation_is_error_105_on_the_line_where_it_opens() {
        let failure = tokenize("SELECT 1\nSELECT 'abc\n", true).unwrap_err();
        assert_eq!((failure.cause().number, failure.cause().line), (105, 2));
        assert_eq!(tokenize("/* /* */", true).unwrap_err().cause().number, 113);
    }
}
