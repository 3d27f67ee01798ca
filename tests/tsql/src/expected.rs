//! What the statements are meant to be, as a text that a person can read and approve.

use std::fmt::Write as _;

use crate::Description;

/// A tree of at most so many characters is shown whole; of a longer one, which is that of a query, all
/// its statements, with the names and literals, say what it is.
const WHOLE_TREE: usize = 700;

/// Writes one statement's tree.
pub fn paragraph(name: &str, tree: &Description) -> String {
    let mut text = format!("## {name}\n");
    let whole = tree
        .tree
        .strip_prefix("TSqlScript(Batches=TSqlBatch(")
        .and_then(|rest| rest.strip_suffix("))"))
        .unwrap_or(&tree.tree)
        .replace(" )", ")");
    let mut line = |label: &str, values: &[String]| {
        if !values.is_empty() {
            // Into a String, writing cannot fail.
            let _ = writeln!(text, "{label}: {}", values.join(" | "));
        }
    };
    if whole.len() <= WHOLE_TREE {
        line("tree", &[whole.replace("Statements=", "")]);
    } else {
        line("statements", &[statements(&whole)]);
    }
    line("names", &tree.names);
    line("strings", &tree.strings);
    line("integers", &tree.integers);
    line("others", &tree.others);
    text
}

/// The statements in a tree, each with those inside of it in parentheses.
fn statements(tree: &str) -> String {
    let mut text = String::new();
    let mut open = Vec::new();
    for part in tree.split_inclusive(['(', ')']) {
        let class = part.trim_end_matches(['(', ')']).rsplit(['=', ' ']).next().unwrap_or_default();
        let statement = class.strip_suffix("Statement").filter(|_| part.ends_with('('));
        if let Some(statement) = statement {
            if !text.is_empty() && !text.ends_with('(') {
                text.push(' ');
            }
            text.push_str(statement);
            text.push('(');
        }
        if part.ends_with('(') {
            open.push(statement.is_some());
        } else if open.pop() == Some(true) {
            text.push(')');
        }
    }
    text.replace("()", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_shown_with_those_inside_of_them() {
        let tree = "IfStatement(Predicate=Exists(X=1 )ThenStatement=KillStatement(A=B(C=?)))EndStatement()";
        assert_eq!(statements(tree), "If(Kill) End");
    }
}
