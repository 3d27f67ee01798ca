//! The documentation's links and the book's table of contents.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::report::Checked;

/// The book's pages, relative to the workspace.
const BOOK: &str = "docs/src";

/// Checks that every relative link in `files` (relative to `root`) leads to a file that exists, and
/// every `#anchor` to a heading. Links to other machines are not followed.
pub(crate) fn links(root: &Path, files: &[PathBuf]) -> Checked {
    let mut problems = Vec::new();
    let mut checked = 0;
    for file in files {
        let text = read(&root.join(file))?;
        for (line, target) in links_in(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            if let Some(problem) = problem_with(root, file, &text, &target) {
                problems.push(format!("{}:{line}: {problem}", file.display()));
            }
        }
    }
    if problems.is_empty() {
        Ok(format!("{checked} links in {} files", files.len()))
    } else {
        Err(problems.join("\n"))
    }
}

fn problem_with(root: &Path, file: &Path, text: &str, target: &str) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let linked = if path.is_empty() {
        file.to_owned()
    } else {
        normal(&file.parent().unwrap_or(Path::new("")).join(path))
    };
    let on_disk = root.join(&linked);
    if !on_disk.exists() {
        return Some(format!("link to {target}: there is no {}", linked.display()));
    }
    if anchor.is_empty() || linked.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let other = if path.is_empty() { text.to_owned() } else { read(&on_disk).ok()? };
    (!anchors_in(&other).contains(anchor))
        .then(|| format!("link to {target}: {} has no heading #{anchor}", linked.display()))
}

/// Checks that the book's table of contents names every page exactly once, and no other.
pub(crate) fn summary_is_complete(root: &Path) -> Checked {
    let book = root.join(BOOK);
    let pages: BTreeSet<PathBuf> =
        markdown_below(&book).into_iter().filter(|page| page != Path::new("SUMMARY.md")).collect();
    let mut problems = Vec::new();
    let mut named = BTreeSet::new();
    for (line, target) in links_in(&read(&book.join("SUMMARY.md"))?) {
        let page = normal(Path::new(&target));
        if !pages.contains(&page) {
            problems.push(format!("{BOOK}/SUMMARY.md:{line}: there is no page {target}"));
        }
        if !named.insert(page) {
            problems.push(format!("{BOOK}/SUMMARY.md:{line}: {target} is named twice"));
        }
    }
    problems.extend(
        pages
            .difference(&named)
            .map(|page| format!("{BOOK}/{} is missing in {BOOK}/SUMMARY.md", page.display())),
    );
    if problems.is_empty() {
        Ok(format!("{} pages", pages.len()))
    } else {
        Err(problems.join("\n"))
    }
}

/// Every Markdown file below `folder`, relative to it, sorted; build output and hidden folders left out.
pub(crate) fn markdown_below(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder.join(below)) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = below.join(&name);
            if folder.join(&path).is_dir() {
                if name != "target" && !name.to_string_lossy().starts_with('.') {
                    walk(folder, &path, found);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, Path::new(""), &mut found);
    found.sort();
    found
}

/// The targets of `[text](target)`, each with its line, outside code.
fn links_in(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (line, content) in prose(text) {
        let content = without_code(content);
        let mut rest = content.as_str();
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            // What follows a space is a title.
            if let Some(target) = rest[..end].split_whitespace().next() {
                links.push((line, target.trim_matches(['<', '>']).to_owned()));
            }
            rest = &rest[end..];
        }
    }
    links
}

/// The anchors of the headings, as mdBook and GitHub make them.
fn anchors_in(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter_map(|(_, line)| {
            let heading = line.trim_start_matches('#');
            (heading.len() < line.len() && heading.starts_with(' ')).then(|| {
                heading
                    .trim()
                    .chars()
                    .filter_map(|character| match character {
                        ' ' => Some('-'),
                        '-' | '_' => Some(character),
                        _ if character.is_alphanumeric() => character.to_lowercase().next(),
                        _ => None,
                    })
                    .collect()
            })
        })
        .collect()
}

/// The lines outside fenced code, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<&str> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let marker =
            ["```", "~~~"].into_iter().find(|marker| line.trim_start().starts_with(marker));
        match (fence, marker) {
            (None, None) => return Some((index + 1, line)),
            (None, Some(opening)) => fence = Some(opening),
            (Some(opening), Some(marker)) if opening == marker => fence = None,
            _ => {}
        }
        None
    })
}

/// The line without its `code`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Resolves `.` and `..` in the text of the path, as a link is resolved.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code_only() {
        let text = "See [a](a.md) and [b](<b.md> \"title\"), not `[c](c.md)`.\n```\n[d](d.md)\n```\n\
                    [e](e.md#x)";
        assert_eq!(
            links_in(text),
            [(1, "a.md".to_owned()), (1, "b.md".to_owned()), (5, "e.md#x".to_owned())]
        );
    }

    #[test]
    fn anchors_are_those_of_mdbook() {
        let anchors = anchors_in("# Exit status\n## What `pcdr` does, and why\n#not a heading\n");
        assert_eq!(
            anchors.into_iter().collect::<Vec<_>>(),
            ["exit-status", "what-pcdr-does-and-why"]
        );
    }

    #[test]
    fn a_link_is_resolved_from_its_own_file() {
        assert_eq!(
            normal(Path::new("docs/src/decisions/../errors.md")),
            Path::new("docs/src/errors.md")
        );
        assert_eq!(normal(Path::new("./a.md")), Path::new("a.md"));
    }

    #[test]
    fn a_link_to_nothing_is_a_problem() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = Path::new("README.md");
        assert!(problem_with(root, file, "", "nowhere.md").is_some());
        assert!(problem_with(root, file, "", "src/docs.rs").is_none());
        // The file of the link itself stands for any file that exists.
        let file = Path::new("Cargo.toml");
        assert!(problem_with(root, file, "", "").is_none());
    }
}
