//! Names and paths that are legal and hostile, from configuration to proof.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use pcdr_tests::{STRETCHED, Stage, Unseen, name, virtually, with_databases};

/// Databases beside `mgc`, each shipped on its own.
fn databases() -> Vec<String> {
    // 128 characters, as many as a name may have.
    let long = format!("{}{}", "ü中".repeat(30), "a".repeat(68));
    let plain = ["m]gc", "o'brien", "[x]]", "-- '; DROP DATABASE mgc", "%s {0} $(x) `b`", "mgc_2"];
    plain.map(str::to_owned).into_iter().chain([long]).collect()
}

/// Shares whose folders have blanks, quotes, brackets and letters beyond ASCII.
fn shares(text: &str) -> String {
    text.replace(
        r"'\\files-s.example.net\logbackups'",
        r#""\\\\files-s.example.net\\log backups\\o'brien’s [x] ü中 & $(y); -- %z%""#,
    )
    .replace(
        r"'\\sql-s1.example.net\logcopies'",
        r#""\\\\sql-s1.example.net\\log copies$\\it's `here` [a]] {0}""#,
    )
}

#[test]
fn hostile_databases_shares_and_paths_fail_over_side_by_side() {
    virtually(async {
        let names = databases();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let stage = Stage::struck(&shares(&with_databases(&names))).await;
        let plan = stage.planned().await;
        stage.succeeds(&plan).await;
        stage.prove().await;
        assert_eq!(stage.topology().databases().len(), 8);
        let runbook = pcdr_cli::runbook::write(stage.topology(), &plan);
        let runbook = runbook.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        assert!(runbook.contains("[m]]gc]") && runbook.contains("o''brien"));
    });
}

#[test]
fn a_run_over_hostile_names_that_was_dropped_is_finished() {
    virtually(async {
        let stage = Stage::struck(&shares(&with_databases(&["m]gc", "o'brien"]))).await;
        let plan = stage.planned().await;
        let (ended, _) = pcdr_tests::Counted::new(stage.apply(&plan, &Unseen), 150).await;
        assert!(ended.is_none());
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_login_and_a_password_of_odd_characters_connect() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let login = "o'brien]; -- ü中 \"x\"";
        let password = "'\";}{=--ü中 %s $(x)`]\\ and twenty more characters";
        for instance in stage.topology().instances() {
            let literal = |text: &str| format!("N'{}'", text.replace('\'', "''"));
            let identifier = format!("[{}]", login.replace(']', "]]"));
            let create = format!(
                "CREATE LOGIN {identifier} WITH PASSWORD = {}; \
                 ALTER SERVER ROLE sysadmin ADD MEMBER {identifier};",
                literal(password)
            );
            stage.workload.send(&name(instance.name.as_str()), create).await.unwrap();
        }
        stage.strike().await;
        let file = stage.folder.join("odd password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let (topology, connected) = stage.reconnect(|text| {
            let mut table: toml::Table = text.parse().unwrap();
            let connection = table["connection"].as_table_mut().unwrap();
            connection.insert("login".into(), login.into());
            connection.insert("password_file".into(), file.display().to_string().into());
            toml::to_string(&table).unwrap()
        });
        let intent = pcdr_core::Intent::DisasterFailover;
        let consents = [pcdr_core::Consent::PrimarySiteLost];
        let made = pcdr_cli::plan::make(intent, &topology, &connected.ports, &consents).await;
        let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        let owner = pcdr_core::ports::Owner { who: "test".into(), run: "odd".into() };
        let ended =
            pcdr_core::run::apply(&plan, &topology, &connected.ports, &owner, &Unseen).await;
        ended.unwrap_or_else(|error| panic!("{error}"));
        for sent in ["sent-0.sql", "state-0/journal.jsonl"] {
            let text = std::fs::read_to_string(stage.folder.join(sent)).unwrap();
            assert!(!text.contains(password) && !text.is_empty(), "{sent}");
        }
    });
}

#[test]
fn a_pool_and_instances_of_hostile_but_legal_names_fail_over() {
    virtually(async {
        let text = shares(STRETCHED)
            .replace("name = \"sql-s1\"", "name = \"s1 [the 'one'] ü\"")
            .replace("name = \"north\"", "name = \"North's [site] ü\"")
            .replace("site = \"north\"", "site = \"North's [site] ü\"")
            .replace("\"north\", \"south\"", "\"North's [site] ü\", \"south\"")
            .replace("endpoint_name = \"Mirroring\"", "endpoint_name = \"Mirr]or'ing; --\"");
        let stage = Stage::struck(&text).await;
        let plan = stage.planned().await;
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}
