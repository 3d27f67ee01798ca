//! Tables of states and statements, as text.
//!
//! `columns PREFIX@INSTANCE: a b` names states: each is the `given PREFIX a` of the scenarios, and the
//! statements run on that instance. A line at the margin is a statement or a step; the indented lines
//! under it are what each state answers, one line for each `columns` line: `ok`, or error numbers with
//! slashes between.

/// Scenarios as text, one for each cell, numbered from 1, and what each is about.
pub fn scenarios(table: &str) -> (String, Vec<String>) {
    let mut columns: Vec<Vec<(String, String)>> = Vec::new();
    let mut statement: Option<String> = None;
    let mut line_of_it = 0;
    let (mut text, mut titles) = (String::new(), Vec::new());
    for line in table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(rest) = line.strip_prefix("columns ") {
            let (place, names) = rest.split_once(':').expect("columns PREFIX@INSTANCE: names");
            let (prefix, instance) = place.split_once('@').expect("PREFIX@INSTANCE");
            let named = |name| (format!("{prefix} {name}"), instance.to_owned());
            columns.push(names.split_whitespace().map(named).collect());
            continue;
        }
        if !line.starts_with(' ') {
            statement = Some(line.trim().to_owned());
            line_of_it = 0;
            continue;
        }
        let statement = statement.as_deref().expect("a statement before its answers");
        let row = &columns[line_of_it];
        line_of_it += 1;
        let answers: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(answers.len(), row.len(), "`{statement}` has {answers:?}");
        for ((given, instance), answer) in row.iter().zip(answers) {
            let step = match statement.split(' ').next() {
                Some("login") => statement.to_owned(),
                _ => format!("{instance}> {statement}"),
            };
            let fails = match answer {
                "ok" => String::new(),
                numbers => format!("  fails {}\n", numbers.replace('/', " ")),
            };
            titles.push(format!("{given}: {statement}"));
            let number = titles.len();
            text.push_str(&format!("{number} a cell\n  given {given}\n  {step}\n{fails}\n"));
        }
    }
    (text, titles)
}
