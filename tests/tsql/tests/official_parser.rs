//! Every statement that pcdr can send, and everything that a rehearsal really sent, before the vendor's
//! own T-SQL parser. Run by `cargo xtask tsql`, which sets the parser up.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place and the value")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pcdr_core::rights::{Command, rights};
use pcdr_official_parser::hostile::Names;
use pcdr_official_parser::{Description, Detail, Parser, expected, split_script};
use pcdr_sql::quote;
use pcdr_sql::rights::{Login, script};
use support::{ADDRESS, NAME, NEEDS, PATH, rehearse, statements};

/// How many hostile names are drawn.
const HOSTILE_NAMES: usize = 12_000;

/// Names worth trying on every statement, each a known way to break out of quotes.
const WORST: [&str; 14] = [
    "]",
    "'",
    "]]]",
    "'''",
    "a]b'c\"; DROP DATABASE evil; -- /*\nGO\n",
    "\nGO\n",
    "\r\nGO\r\nDROP DATABASE evil\r\nGO\r\n",
    "N'",
    "'+N'",
    "/*",
    "--",
    "$(x)\n:r file",
    "\u{2019}\u{ff07}\u{1f600}\u{2028}\u{feff}\u{1}",
    "]; EXEC sys.sp_executesql N'DROP DATABASE evil'; --",
];

fn rejected(name: &str, batch: &str, tree: &Description) -> Option<String> {
    let errors: Vec<String> = tree
        .errors
        .iter()
        .map(|error| {
            format!("  {}:{} {} {}", error.line, error.column, error.number, error.message)
        })
        .collect();
    if errors.is_empty() && tree.batches == 1 {
        return None;
    }
    Some(format!("{name}: {} batches\n{}\n{batch}\n", tree.batches, errors.join("\n")))
}

/// What an ordinary tree must become with these instead of the ordinary names.
fn renamed(tree: &Description, name: &str, path: &str, address: &str) -> Description {
    tree.renamed(|text| match text {
        NAME => Some(name.to_owned()),
        PATH => Some(path.to_owned()),
        ADDRESS => Some(address.to_owned()),
        _ => None,
    })
}

fn ordinary(parser: &mut Parser) -> Vec<(&'static str, Description)> {
    let all = statements(NAME, PATH, ADDRESS).unwrap();
    let trees = parser.describe(all.iter().map(|(_, one)| one.batch.as_str())).unwrap();
    let problems: Vec<String> = all
        .iter()
        .zip(&trees)
        .filter_map(|((name, one), tree)| rejected(name, &one.batch, tree))
        .collect();
    assert!(problems.is_empty(), "{}", problems.concat());
    all.into_iter().map(|(name, _)| name).zip(trees).collect()
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn the_parser_tells_where_an_error_is_also_inside_of_dynamic_sql() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let answers = parser
        .describe([
            "SELECT 1;\nSELECT 2 FORM t x;",
            "EXEC sys.sp_executesql N'SELECT\n 1 FORM t x';",
            "EXEC (@unknown);",
            "SELECT 1 FROM [a\nGO\nb];",
        ])
        .unwrap();
    let places: Vec<Vec<(u32, u32)>> = answers
        .iter()
        .map(|tree| tree.errors.iter().map(|error| (error.line, error.column)).collect())
        .collect();
    assert_eq!(places, [vec![(2, 15)], vec![(2, 9)], vec![(1, 7)], vec![]]);
    assert_eq!(answers[3].batches, 1);
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn a_name_that_leaves_its_quotes_is_noticed() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let careless =
        |name: &str| format!("RESTORE LOG [{name}] FROM DISK = N'{PATH}' WITH NORECOVERY;");
    let hostile = [
        "a] WITH RECOVERY; --",
        "a] WITH RECOVERY; RESTORE LOG [a",
        "a] FROM DISK = N'b' WITH RECOVERY; --",
        "]",
    ];
    let trees = parser.describe([careless(NAME)]).unwrap();
    for (tree, name) in parser.describe(hostile.map(careless)).unwrap().iter().zip(hostile) {
        assert_ne!(*tree, renamed(&trees[0], name, PATH, ADDRESS), "{name}");
    }
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_statement_is_accepted_and_its_tree_is_the_approved_one() {
    let mut parser = Parser::start(Detail::Tree).expect(NEEDS);
    let trees = ordinary(&mut parser);
    let text = trees
        .iter()
        // The other observations are the same sections, with other numbers of databases.
        .filter(|(name, _)| !name.starts_with("observe "))
        .map(|(name, tree)| expected::paragraph(name, tree))
        .collect::<Vec<_>>()
        .join("\n");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("statements.txt");
    if std::env::var_os("PCDR_BLESS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let approved = std::fs::read_to_string(&file).unwrap_or_default();
    let changed: Vec<String> = {
        let known: BTreeSet<&str> = approved.split("\n\n").map(str::trim_end).collect();
        text.split("\n\n")
            .map(str::trim_end)
            .filter(|one| !known.contains(one))
            .map(|one| format!("{one}\n\n"))
            .collect()
    };
    assert!(
        approved == text,
        "these trees are not the approved ones of tests/tsql/statements.txt:\n\n{}Read them; if they \
         are what is meant, approve them with PCDR_BLESS=1 cargo xtask tsql, and commit the file.",
        changed.concat()
    );
    println!("{} statements accepted, each tree as approved", trees.len());
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn the_worst_names_change_no_tree_of_any_statement() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let ordinary = ordinary(&mut parser);
    let mut count = 0;
    for hostile in WORST {
        let path = format!("\\\\h\\{hostile}\\f.trn");
        let all = statements(hostile, &path, ADDRESS).unwrap();
        let trees = parser.describe(all.iter().map(|(_, one)| one.batch.as_str())).unwrap();
        for (((name, one), tree), (_, ordinary)) in all.iter().zip(&trees).zip(&ordinary) {
            assert_eq!(rejected(name, &one.batch, tree), None, "{hostile:?}");
            let meant = renamed(ordinary, hostile, &path, ADDRESS);
            assert_eq!(tree, &meant, "{name} with {hostile:?}: {}", one.batch);
            if *name == "restore log" && hostile.contains("evil") {
                let (names, strings) = (&tree.names, &tree.strings);
                println!(
                    "{:?}\n  is {:?} of {names:?} from {strings:?}",
                    one.batch, tree.statements
                );
            }
            count += 1;
        }
    }
    println!("{} names in {} statements: {count} trees unchanged", WORST.len(), ordinary.len());
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_character_is_one_that_a_name_keeps_or_one_that_is_refused() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let characters = || ('\0'..='\u{ffff}').map(|c| format!("a{c}b"));
    let refused: Vec<String> =
        characters().filter(|name| quote::identifier(name).is_err()).collect();
    assert_eq!(refused, ["a\0b", "a\u{ffff}b"]);

    let names: Vec<String> = characters().filter(|name| !refused.contains(name)).collect();
    let mut differ = Vec::new();
    for names in names.chunks(5_000) {
        let batches = names.iter().map(|name| {
            let (literal, identifier) = (quote::literal(name), quote::identifier(name));
            format!("SELECT {} AS {};", literal.unwrap(), identifier.unwrap())
        });
        for (tree, name) in parser.describe(batches).unwrap().iter().zip(names) {
            let same = tree.errors.is_empty()
                && tree.batches == 1
                && tree.strings == [name.as_str()]
                && tree.names == [name.as_str()];
            if !same {
                differ.push(name);
            }
        }
    }
    assert!(differ.is_empty(), "{differ:?}");
    println!("{} characters as identifier and as literal, 2 refused", names.len());
}

/// One hostile statement that was sent, and what it must be.
struct Sent {
    hostile: [String; 3],
    of: usize,
    batch: String,
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn no_hostile_name_changes_the_tree_of_a_statement() {
    let seed = std::env::var("PCDR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x7D5);
    println!("PCDR_SEED={seed}");
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let ordinary = ordinary(&mut parser);
    let mut names = Names::new(seed);
    let mut seen = vec![0_usize; ordinary.len()];
    let (mut count, mut scripts, mut drawn) = (0, 0, 0);
    while drawn < HOSTILE_NAMES {
        let mut sent: Vec<Sent> = Vec::new();
        for _ in 0..250 {
            // The paths are names as well, elsewhere in the statements.
            let (name, path) = (names.name(), names.name());
            let hostile_address = format!("TCP://{}:5022", names.name());
            let is_address = quote::server_address(&hostile_address).is_ok();
            let address = if is_address { hostile_address } else { ADDRESS.to_owned() };
            let all = statements(&name, &path, &address)
                .unwrap_or_else(|error| panic!("{name:?} {path:?} {address:?}: {error}"));
            for (of, (called, one)) in all.into_iter().enumerate() {
                // An observation takes as long as fifty of the others.
                let every = if called.starts_with("observe") { 64 } else { 4 };
                let takes_address = is_address && called.ends_with("at any address");
                if (of + drawn / 2) % every == 0 || takes_address {
                    let hostile = [name.clone(), path.clone(), address.clone()];
                    sent.push(Sent { hostile, of, batch: one.batch });
                }
            }
            drawn += 2;
        }
        let trees = parser.describe(sent.iter().map(|one| one.batch.as_str())).unwrap();
        for (one, tree) in sent.iter().zip(&trees) {
            let (called, ordinary) = &ordinary[one.of];
            let [name, path, address] = &one.hostile;
            assert_eq!(rejected(called, &one.batch, tree), None, "PCDR_SEED={seed} {name:?}");
            let meant = renamed(ordinary, name, path, address);
            assert_eq!(
                tree, &meant,
                "PCDR_SEED={seed} {called} with {:?}: {}",
                one.hostile, one.batch
            );
            seen[one.of] += 1;
            count += 1;
        }
        scripts += written_as_scripts(&mut parser, sent.iter().zip(&trees).step_by(25));
    }
    assert!(seen.iter().all(|times| *times > 50), "too few: {seen:?}");
    println!(
        "{drawn} hostile names, {count} statements, {scripts} of them wrapped for a script too: 0 trees changed"
    );
}

/// Writes batches as `--trace-sql` does. No reader may split them, and where one had to be wrapped, what
/// runs must be the same tree. Says how many were wrapped.
fn written_as_scripts<'a>(
    parser: &mut Parser,
    sent: impl Iterator<Item = (&'a Sent, &'a Description)>,
) -> usize {
    let wrapped: Vec<(String, &Description)> = sent
        .map(|(one, tree)| (quote::script(&one.batch), &one.batch, tree))
        .filter(|(script, batch, _)| script != *batch)
        .map(|(script, _, tree)| (script, tree))
        .collect();
    let trees = parser.describe(wrapped.iter().map(|(script, _)| script.as_str())).unwrap();
    for ((script, original), tree) in wrapped.iter().zip(&trees) {
        assert_eq!(rejected("script", script, tree), None);
        assert_eq!(split_script(script).len(), 1, "{script}");
        assert_eq!(tree.statements, ["DeclareVariableStatement", "ExecuteStatement"], "{script}");
        assert!(tree.strings.ends_with(&original.strings), "{script}");
        let (last, names) = tree.names.split_last().unwrap();
        assert_eq!(last, "@batch");
        assert!(names.ends_with(&original.names), "{script}");
    }
    wrapped.len()
}

/// What the tests sent is kept by `cargo xtask test`. Without such a run before it, `cargo xtask tsql` has
/// the rehearsals alone.
#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn everything_that_the_test_suite_sent_is_accepted() {
    let Some(folder) = std::env::var_os("PCDR_TRACES") else {
        println!("no test run has left a trace: cargo xtask test does");
        return;
    };
    let mut sent = BTreeSet::new();
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let script = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        files += 1;
        for batch in split_script(&script) {
            let lines = batch.lines().filter(|line| !line.starts_with("-- "));
            let text: Vec<&str> = lines.collect();
            if text.iter().any(|line| !line.trim().is_empty()) {
                sent.insert(text.join("\n"));
            }
        }
    }
    assert!(files > 0 && sent.len() > 500, "{} batches in {files} traces", sent.len());
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let trees = parser.describe(sent.iter().map(String::as_str)).unwrap();
    let problems: Vec<String> = sent
        .iter()
        .zip(&trees)
        .filter_map(|(batch, tree)| rejected("a test", batch, tree))
        .collect();
    assert!(problems.is_empty(), "{}", problems.concat());
    let shapes: BTreeSet<&str> = trees.iter().map(|tree| tree.shape.as_str()).collect();
    println!(
        "{} different batches of {} shapes in {files} traces of the test suite: all accepted",
        sent.len(),
        shapes.len()
    );
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn every_script_of_rights_is_accepted_whatever_the_login_is_called() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    let topology = pcdr_core::Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
    let mut shapes = Vec::new();
    for name in [r"EXAMPLE\pcdr", "p]c'd\r -- N' ; [y] é😀"] {
        let mut batches = Vec::new();
        for command in Command::ALL {
            for of in rights(command, &topology).instances {
                for login in [Login::Sql(name), Login::Windows(name)] {
                    let text = script(&of, login).unwrap();
                    let split = split_script(&text);
                    let whole = parser.describe([text]).unwrap();
                    // Only comments stand behind the last GO, and they are no batch.
                    assert!(whole[0].batches == split.len() || whole[0].batches + 1 == split.len());
                    batches.extend(split);
                }
            }
        }
        let trees = parser.describe(batches.iter().map(String::as_str)).unwrap();
        let problems: Vec<String> = batches
            .iter()
            .zip(&trees)
            .filter(|(_, tree)| !tree.errors.is_empty())
            .filter_map(|(batch, tree)| rejected(name, batch, tree))
            .collect();
        assert!(problems.is_empty(), "{}", problems.concat());
        println!("{} batches of rights for {name:?}: all accepted", batches.len());
        shapes.push(trees.into_iter().map(|tree| tree.shape).collect::<BTreeSet<String>>());
    }
    assert!(shapes[0].len() >= 6 && shapes[0] == shapes[1], "a login left its quotes");
}

#[test]
#[ignore = "needs the vendor's parser: cargo xtask tsql sets it up"]
fn everything_that_a_rehearsal_sends_is_accepted_whatever_a_database_is_called() {
    let mut parser = Parser::start(Detail::Shape).expect(NEEDS);
    // Nothing in it that a script must wrap, so that the shapes can be compared; and no character that
    // Windows keeps out of the name of a file.
    let hostile = "m]g'c -- N' ; [y] é😀";
    let mut shapes = Vec::new();
    for name in [NAME, hostile] {
        let script = rehearse(name);
        // Where no connection came about, only that comment stands in the trace.
        let sent: Vec<String> = split_script(&script)
            .into_iter()
            .filter(|batch| {
                batch.lines().any(|line| !line.trim().is_empty() && !line.starts_with("-- "))
            })
            .collect();
        let trees = parser.describe(sent.iter().map(String::as_str)).unwrap();
        let problems: Vec<String> = sent
            .iter()
            .zip(&trees)
            .filter_map(|(batch, tree)| rejected(name, batch, tree))
            .collect();
        assert!(problems.is_empty(), "{}", problems.concat());
        let whole = parser.describe([script]).unwrap();
        assert_eq!(
            whole[0].batches,
            sent.len(),
            "{name}: the parser's own GO splits the trace otherwise"
        );

        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for class in trees.iter().flat_map(|tree| &tree.statements) {
            *kinds.entry(class.trim_end_matches("Statement")).or_default() += 1;
        }
        println!("rehearsal with a database {name:?}: {} batches accepted: {kinds:?}", sent.len());
        shapes.push(trees.into_iter().map(|tree| tree.shape).collect::<BTreeSet<String>>());
    }
    let differ: Vec<&String> = shapes[0].symmetric_difference(&shapes[1]).collect();
    assert!(differ.is_empty(), "{} of {} shapes differ", differ.len(), shapes[0].len());
}
