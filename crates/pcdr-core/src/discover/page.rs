//! A TOML document with comments, written line by line.

use toml::Value;

/// How far a comment may reach.
const WIDTH: usize = 110;

/// The document so far.
#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// A comment of as many lines as it needs.
    pub(super) fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in harmless(text).split(' ').filter(|word| !word.is_empty()) {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line = String::from("#  ");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    pub(super) fn blank(&mut self) {
        self.line("");
    }

    /// The head of a table, after an empty line.
    pub(super) fn table(&mut self, head: &str) {
        self.blank();
        self.line(head);
    }

    /// A key with its value, and where the value comes from.
    pub(super) fn key(&mut self, key: &str, value: impl Into<Value>, read_from: &str) {
        let value = value.into();
        if read_from.is_empty() {
            self.line(&format!("{key} = {value}"));
        } else {
            self.line(&format!("{key} = {value} # {}", harmless(read_from)));
        }
    }

    /// A key whose value is a list of texts, one a line.
    pub(super) fn list(&mut self, key: &str, texts: &[String]) {
        self.line(&format!("{key} = ["));
        for text in texts {
            let value = Value::String(harmless(text));
            self.line(&format!("  {value},"));
        }
        self.line("]");
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// A text that cannot end its line: what a server is called is not under our control.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_value_or_its_comment() {
        let hostile = "a'b\"c\"\"\"d'''e\\f]\n[g]\u{7f}\u{85}\u{2028}中 # = ";
        let mut page = Page::default();
        page.comment(hostile);
        page.list("list", &[hostile.to_owned()]);
        page.table("[table]");
        page.key("key", hostile, hostile);
        let text = page.into_text();
        let read: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read["table"]["key"].as_str(), Some(hostile));
        assert_eq!(read["list"][0].as_str(), Some(harmless(hostile).as_str()));
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn a_long_comment_is_broken_into_lines_and_loses_no_word() {
        let mut page = Page::default();
        let words: Vec<String> = (0..200).map(|number| format!("word{number}")).collect();
        page.comment(&words.join(" "));
        let text = page.into_text();
        assert!(text.lines().all(|line| line.starts_with('#') && line.len() <= WIDTH));
        let read: Vec<&str> =
            text.split(['#', ' ', '\n']).filter(|word| !word.is_empty()).collect();
        assert_eq!(read, words);
    }
}
