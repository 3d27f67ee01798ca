//! Topology files: what is accepted, and what is complained about, where.
//!
//! The scenarios in `topologies/*.txt` are edits of `topologies/stretched.toml` and the violations
//! that follow; see [`edited`] for their form. `PCDR_BLESS=1` rewrites the expectations, to be
//! reviewed like any other change.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcdr_core::schedule::Schedule;
use pcdr_core::topology::{
    ALL_CODES, Authentication, Encryption, Place, Role, SecretSource, ShellBy, Topology, Violations,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

const STRETCHED: &str = include_str!("topologies/stretched.toml");

fn scenario_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topologies");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// The file that a scenario describes, line by line:
///
/// * `# …` explains it;
/// * `@ line` goes to just after the next line that reads so;
/// * `- line` takes out the next line that reads so;
/// * `+ line` puts a line in there (at the end before the first `@` or `-`);
/// * `| line` is a line of a file of its own, instead of the edited one.
fn edited(scenario: &str) -> String {
    let mut lines: Vec<String> = STRETCHED.lines().map(str::to_owned).collect();
    let mut own: Vec<String> = Vec::new();
    let mut position = None;
    for edit in scenario.lines().filter(|line| !line.trim().is_empty()) {
        let (command, text) = edit.split_at_checked(1).unwrap();
        let text = text.strip_prefix(' ').unwrap_or(text);
        let find = |lines: &[String]| {
            let start = position.unwrap_or(0);
            let found = lines[start..].iter().position(|line| line == text);
            start + found.unwrap_or_else(|| panic!("no line {text:?} after line {start}"))
        };
        match command {
            "#" => {}
            "@" => position = Some(find(&lines) + 1),
            "-" => {
                let found = find(&lines);
                lines.remove(found);
                position = Some(found);
            }
            "+" => {
                let at = position.unwrap_or(lines.len());
                lines.insert(at, text.to_owned());
                position = position.map(|position| position + 1);
            }
            "|" => own.push(text.to_owned()),
            _ => panic!("what is {edit:?}?"),
        }
    }
    let mut text = if own.is_empty() { lines } else { own }.join("\n");
    text.push('\n');
    text
}

/// One line for each violation: place, code, the text it marks, message.
fn answer(text: &str) -> String {
    let violations = match Topology::parse(text) {
        Ok(_) => return "accepted\n".to_owned(),
        Err(violations) => violations,
    };
    let mut answer = String::new();
    for violation in violations.0 {
        let Place { line, column } = violation.place;
        let marked = &text[violation.span.0..violation.span.1];
        let (code, message) = (violation.code, violation.message);
        answer += &format!("{line}:{column} {code} «{marked}» {message}\n");
    }
    answer
}

#[test]
fn every_scenario_gives_the_violations_it_names() {
    let is_blessing = std::env::var_os("PCDR_BLESS").is_some();
    for path in scenario_files() {
        let file = std::fs::read_to_string(&path).unwrap();
        let mut blessed = Vec::new();
        for scenario in file.split("\n====\n") {
            let (question, expected) = scenario.split_once("\n----").unwrap();
            let answer = answer(&edited(question));
            if !is_blessing {
                assert_eq!(expected.trim(), answer.trim(), "{}:\n{question}", path.display());
            }
            blessed.push(format!("{question}\n----\n{}", answer.trim()));
        }
        if is_blessing {
            std::fs::write(&path, blessed.join("\n====\n") + "\n").unwrap();
        }
    }
}

#[test]
fn every_code_has_a_scenario() {
    let mut seen = BTreeSet::new();
    for path in scenario_files() {
        let file = std::fs::read_to_string(&path).unwrap();
        for scenario in file.split("\n====\n") {
            let (question, _) = scenario.split_once("\n----").unwrap();
            if let Err(violations) = Topology::parse(&edited(question)) {
                seen.extend(violations.0.iter().map(|violation| violation.code));
            }
        }
    }
    let all: BTreeSet<&str> = ALL_CODES.iter().copied().collect();
    let missing: Vec<_> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "codes without a scenario: {missing:?}");
    assert!(seen.is_subset(&all));
}

#[test]
fn codes_are_unique_and_in_snake_case() {
    let all: BTreeSet<&str> = ALL_CODES.iter().copied().collect();
    assert_eq!(all.len(), ALL_CODES.len());
    let is_snake = |code: &str| code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    assert!(all.iter().all(|code| is_snake(code)));
}

#[test]
fn what_link_and_disks_bear_is_declared_between_1_and_16() {
    let declared = |copies: u32, restores: u32| {
        let text =
            STRETCHED.replace("fast = false", &format!("fast = false\ncopies_at_once = {copies}"));
        let role = "role = \"secondary\"";
        Topology::parse(&text.replace(role, &format!("restores_at_once = {restores}\n{role}")))
    };
    let topology = declared(1, 3).unwrap();
    let (north, south) = ("north".into(), "south".into());
    assert_eq!(topology.link(&south, &north).unwrap().copies_at_once, 1);
    assert_eq!(topology.secondary().restores_at_once, 3);
    let violations = declared(0, 17).unwrap_err();
    let codes: Vec<&str> = violations.0.iter().map(|violation| violation.code).collect();
    assert_eq!(codes, ["out_of_range", "out_of_range"]);
}

#[test]
fn stretched_example_is_read_with_the_wizards_defaults() {
    let topology = Topology::parse(STRETCHED).unwrap_or_else(|violations| panic!("{violations}"));
    assert_eq!(topology.sites().count(), 2);
    assert_eq!(topology.instances().count(), 5);
    assert_eq!(topology.primary().name.as_str(), "sql-n1");
    assert_eq!(topology.secondary().name.as_str(), "sql-s1");
    assert_eq!(topology.primary().server_name, "sql-n1");
    assert_eq!(topology.primary().mirroring_address(), "TCP://sql-n1.example.net:5022");
    assert_eq!(topology.role(Role::PrimaryWitness).unwrap().mirroring_port, 7022);
    assert!(topology.role(Role::SecondaryWitness).is_none());
    assert_eq!(topology.links()[0].megabits_per_second, Some(1000));
    assert_eq!(topology.links()[0].copies_at_once, 2);
    assert_eq!(topology.secondary().restores_at_once, 16);
    assert!(!topology.is_near(&"north".into(), &"south".into()));
    let pool = topology.pool().unwrap();
    assert_eq!(pool.servers.iter().filter(|server| server.is_active).count(), 4);
    assert_eq!(pool.servers.iter().filter(|server| server.is_active_after_failover).count(), 4);
    assert_eq!(topology.backup_share().unc, r"\\files-s.example.net\logbackups");
    assert_eq!(topology.copy_share().unc, r"\\sql-s1.example.net\logcopies");
    let shipping = topology.log_shipping();
    assert_eq!(shipping.backup_retention_minutes, 4320);
    assert_eq!(shipping.backup_threshold_minutes, 60);
    assert_eq!(shipping.secondaries[0].file_retention_minutes, 4320);
    assert_eq!(shipping.secondaries[0].restore_threshold_minutes, 45);
    assert_eq!(shipping.secondaries[0].restore_delay_minutes, 0);
    assert_eq!(shipping.history_retention_minutes, 5760);
    assert_eq!(shipping.secondaries[0].restore_schedule, Schedule::all_day(900));
    assert_eq!(topology.mirroring().timeout_seconds, 10);
    let connection = topology.connection();
    assert_eq!(connection.encryption, Encryption::Mandatory);
    let password = SecretSource::Environment("PCDR_PASSWORD".to_owned());
    let login = "pcdr".to_owned();
    assert_eq!(connection.authentication, Authentication::SqlLogin { login, password });
    let shell = topology.management_shell().unwrap();
    assert!(matches!(&shell.by, ShellBy::Command(words) if words[0] == "powershell.exe"));
    assert_eq!(shell.timeout, Duration::from_secs(600));
}

#[test]
fn a_person_runs_the_cmdlets_where_the_file_says_so() {
    let text = format!("{STRETCHED}\n[management_shell]\nby = \"person\"\n");
    let topology = Topology::parse(&text).unwrap();
    assert_eq!(topology.management_shell().unwrap().by, ShellBy::Person);
}

#[test]
fn named_instance_has_its_host_label_and_name_as_server_name() {
    let text = STRETCHED.replacen("port = 1433", "instance = \"CHAT\"", 1);
    let topology = Topology::parse(&text).unwrap();
    assert_eq!(topology.primary().server_name, r"sql-n1\CHAT");
    assert_eq!(topology.primary().port, None);
}

#[test]
fn hostile_database_names_are_names_like_any_other() {
    let long = "数".repeat(127) + "é";
    for name in
        ["m]gc", "o'brien", "a b", " lead", "--", "x;DROP TABLE y", "$(rm)", "\u{1F4BE}", &long]
    {
        let text = format!("{STRETCHED}\n[[databases]]\nname = {name:?}\n");
        let topology = Topology::parse(&text).unwrap_or_else(|violations| panic!("{violations}"));
        assert_eq!(topology.databases()[1].as_str(), name);
    }
    // 65 characters outside the basic plane are 130 of SQL Server's.
    let text = format!("{STRETCHED}\n[[databases]]\nname = \"{}\"\n", "\u{1F4BE}".repeat(65));
    assert_eq!(codes(&text), ["text_too_long"]);
}

#[test]
fn a_share_may_be_a_mounted_folder_where_there_is_no_pool() {
    let (before, rest) = STRETCHED.split_once("[pool]").unwrap();
    let (_, after) = rest.split_once("# Log backups are written here.").unwrap();
    let without_pool = format!("{before}# {after}");
    let mounted = |text: &str, folder: &str| {
        let copies = r"'\\sql-s1.example.net\logcopies'";
        assert!(text.contains(copies));
        text.replace(copies, &format!("'{folder}'"))
    };
    let topology = Topology::parse(&mounted(&without_pool, "/srv/copies/")).unwrap();
    assert_eq!(topology.copy_share().path_of("a.trn"), "/srv/copies/a.trn");
    let windows = topology.backup_share();
    assert_eq!(windows.path_of("a b.trn"), format!("{}\\a b.trn", windows.unc));
    for bad in ["/", "srv", "/srv//copies", "/srv/../copies", "/srv/.", r"/srv\copies"] {
        assert_eq!(codes(&mounted(&without_pool, bad)), ["bad_unc"], "{bad}");
    }
    // The secondary alone reads its copies, so that they may lie in a folder of its own.
    let local = mounted(&without_pool, r"D:\copies");
    assert_eq!(codes(&local), ["bad_unc"], "pcdr does not know how to get there");
    let unc = r"unc = 'D:\copies'";
    let local = local.replace(unc, &format!("{unc}\nmount = '/mnt/copies'"));
    assert_eq!(Topology::parse(&local).unwrap().copy_share().path_of("a.trn"), r"D:\copies\a.trn");
    let backups = local.replace(r"'\\files-s.example.net\logbackups'", r"'D:\log'");
    assert_eq!(codes(&backups), ["bad_unc"], "the other site reads the backups, too");
    // The servers of a pool are on Windows.
    assert_eq!(codes(&mounted(STRETCHED, "/srv/copies")), ["bad_unc"]);
}

fn codes(text: &str) -> Vec<&'static str> {
    let violations = Topology::parse(text).unwrap_err();
    violations.0.iter().map(|violation| violation.code).collect()
}

#[test]
fn ten_active_servers_are_too_many() {
    let server = |i| {
        format!("[[pool.servers]]\nfqdn = \"x{i}.example.net\"\nsite = \"north\"\nactive = true\n")
    };
    let six: String = (0..6).map(server).collect();
    let violations = Topology::parse(&format!("{STRETCHED}\n{six}")).unwrap_err();
    let found = |code| violations.0.iter().find(|violation| violation.code == code).unwrap();
    assert!(found("too_many_active_servers").message.contains("found 10"));
    assert!(found("too_many_servers").message.contains("found 14"));
}

#[test]
fn place_counts_characters_and_survives_byte_order_mark_and_carriage_returns() {
    let place = |text: &str| Topology::parse(text).unwrap_err().0[0].place;
    assert_eq!(place("\u{feff}colour = 1\n"), Place { line: 1, column: 1 });
    let text = STRETCHED.replace('\n', "\r\n");
    assert!(Topology::parse(&text).is_ok());
    let text = format!(
        "# é数\n{}",
        STRETCHED.replacen("name = \"north\"", "name = \"north\" # é\nsize = 数", 1)
    );
    assert_eq!(place(&text).line, 11);
    assert_eq!(place(&text).column, 8);
    // Characters, not bytes, before the place on its own line.
    let text = STRETCHED.replacen("[\"north\", \"south\"]", "[\"nörth\", \"söuth\"]", 1);
    let violations = Topology::parse(&text).unwrap_err();
    assert_eq!(violations.0[0].place, Place { line: 17, column: 12 });
    assert_eq!(violations.0[1].place, Place { line: 17, column: 21 });
}

#[test]
fn a_password_in_the_file_is_repeated_nowhere() {
    let secret = "hunter2-correct-horse";
    for line in [
        format!("password = \"{secret}\""),
        format!("Password = ['{secret}']"),
        format!("sql_password = {{ value = \"{secret}\" }}"),
        format!("extra = {{ deep = [{{ pwd = \"{secret}\" }}] }}"),
        format!("password = \"{secret}"),
        format!("password = {secret}"),
        format!("password_env = {{ {secret} }}"),
        format!("login = [\"{secret}\"]"),
    ] {
        let text = format!("{STRETCHED}{line}\n").replace("login = \"pcdr\"\n", "");
        let violations = Topology::parse(&text).unwrap_err();
        let shown = format!("{violations} {violations:?}");
        assert!(!shown.contains(secret), "{shown}");
        if line.contains("password") || line.contains("Password") {
            for violation in &violations.0 {
                let excerpt = violation.excerpt(&text);
                assert!(excerpt.is_none_or(|line| !line.contains(secret)), "{violation}");
            }
        }
        if !line.ends_with("horse")
            && !line.starts_with("login")
            && !line.starts_with("password_env")
        {
            assert!(violations.0.iter().any(|violation| violation.code == "secret_in_file"));
        }
    }
}

#[test]
fn deep_nesting_and_huge_numbers_are_violations() {
    for text in [
        format!("sites = {}", "[".repeat(100_000)),
        format!("sites = {}{}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{} = 1", vec!["a"; 5_000].join(".")),
        STRETCHED.replacen("1433", "99999999999999999999999999", 1),
        STRETCHED.replacen("1433", "-9223372036854775808", 1),
        STRETCHED.replacen("1433", "0x7fff_ffff_ffff_ffff", 1),
        STRETCHED.replacen("\"15m\"", "\"99999999999999999999d\"", 1),
    ] {
        assert!(!Topology::parse(&text).unwrap_err().0.is_empty());
    }
}

/// What must hold for any text.
fn check_any(text: &str) -> Result<(), TestCaseError> {
    let Err(Violations(violations)) = Topology::parse(text) else {
        return Ok(());
    };
    prop_assert!(!violations.is_empty());
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut last = 0;
    for violation in violations {
        let (start, end) = violation.span;
        prop_assert!(last <= start && start <= end && end <= text.len());
        prop_assert!(text.get(start..end).is_some(), "not between characters: {violation:?}");
        prop_assert!(ALL_CODES.contains(&violation.code));
        // The slow and obvious place.
        let before = &text[..start];
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(bom.min(start), |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        prop_assert_eq!(violation.place, Place { line, column });
        violation.excerpt(text);
        last = start;
    }
    Ok(())
}

/// One change: where (in parts of 2^16 of the text), how much, and what goes in.
fn mutation() -> impl Strategy<Value = (u16, u8, String)> {
    let token = prop::sample::select(vec![
        "",
        "\n",
        "\"",
        "'",
        "[",
        "]",
        "[[",
        "]]",
        "=",
        ".",
        "{",
        "}",
        ",",
        "#",
        "true",
        "false",
        "0",
        "-1",
        "1e400",
        "\"\"",
        "\u{0}",
        "\\",
        "\"\\u0000\"",
        "\u{feff}",
        "\r",
        "[[instances]]\n",
        "[pool]\n",
        "name = \"é\"\n",
        "role = \"primary\"\n",
        "south",
        "north",
        "é",
        "数",
        "\u{1F4BE}",
        "'''",
        "\"\"\"",
        "1979-05-27",
        "inf",
        "password = \"x\"\n",
    ]);
    let insertion = prop_oneof![3 => token.prop_map(str::to_owned), 1 => "\\PC{0,8}"];
    (any::<u16>(), prop_oneof![Just(0u8), any::<u8>()], insertion)
}

fn mutated(text: &str, mutations: &[(u16, u8, String)]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, removed, inserted) in mutations {
        let at = chars.len() * usize::from(*at) / 65_536;
        let end = (at + usize::from(*removed)).min(chars.len());
        chars.splice(at..end, inserted.chars());
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        // PROPTEST_CASES asks for more; a failure prints its seed and keeps it beside this file.
        cases: ProptestConfig::default().cases.max(1_000),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn mutated_files_never_panic_and_have_right_places(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        check_any(&mutated(STRETCHED, &mutations))?;
    }

    /// Values replaced whole keep the file readable, so that the rules are reached.
    #[test]
    fn replaced_values_never_panic_and_have_right_places(
        lines in prop::collection::vec((0usize..200, prop::sample::select(vec![
            "\"north\"", "\"primary\"", "\"secondary-mirror\"", "\"sql-n1\"", "\"mgc\"", "\"mgccomp\"",
            "0", "-1", "5022", "true", "false", "[]", "{}", "\"\"", "' '", "\"\\u0000\"", "\"log-copies\"",
            "\"1s\"", "\"23h\"", "'D:\\x'", "'\\\\a\\b'", "[\"north\", \"north\"]", "1.5", "1979-05-27",
            "[1]", "[[\"a\"]]", "\"sql-n1.example.net\"", "9223372036854775807",
        ])), 1..8),
    ) {
        let mut text: Vec<String> = STRETCHED.lines().map(str::to_owned).collect();
        let count = text.len();
        for (line, value) in lines {
            let line = &mut text[line % count];
            if let Some((key, _)) = line.split_once(" = ") {
                *line = format!("{key} = {value}");
            }
        }
        check_any(&text.join("\n"))?;
    }

    #[test]
    fn any_text_never_panics(text in "(?s).{0,200}") {
        check_any(&text)?;
    }
}
