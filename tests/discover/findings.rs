//! What a discovery says of what it cannot find out, and of what fits no topology.

use std::collections::BTreeSet;

use pcdr_core::Topology;
use pcdr_core::discover::{Discovered, Kind};
use pcdr_tests::{STRETCHED, Stage, name, virtually};

use super::{address, arguments, configured, discover};

/// The codes of the findings that are more than notes.
fn codes(found: &Discovered) -> BTreeSet<&'static str> {
    let told = found.findings.iter().filter(|finding| finding.code.kind() != Kind::Note);
    told.map(|finding| finding.code.as_str()).collect()
}

fn only(codes: &[&'static str]) -> BTreeSet<&'static str> {
    codes.iter().copied().collect()
}

/// The codes with which `pcdr validate` refuses the file.
fn refused(found: &Discovered) -> BTreeSet<&'static str> {
    let file = found.file.as_deref().unwrap();
    let violations = Topology::parse(file).expect_err("the file has to be completed").0;
    violations.into_iter().map(|violation| violation.code).collect()
}

/// `--instance` for these instances, by name.
fn instances(stage: &Stage, names: &[&str]) -> Vec<String> {
    let topology = stage.topology();
    let given = names.iter().map(|name| topology.instance(&(*name).into()).unwrap());
    given.flat_map(|one| ["--instance".to_owned(), address(stage, one, true)]).collect()
}

async fn run(stage: &Stage, instance: &str, batch: &str) {
    let sent = stage.workload.send(&name(instance), batch.to_owned()).await;
    sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
}

#[test]
fn what_is_not_given_is_asked_for_and_never_guessed() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        for (given, wanted) in [
            (&["sql-s1"][..], "primary_not_given"),
            (&["sql-n1", "sql-n2", "sql-n3"], "secondary_not_given"),
        ] {
            let found = discover(&stage, &instances(&stage, given)).await;
            assert!(found.file.is_none() && !found.is_complete() && !found.is_nothing_there);
            assert_eq!(codes(&found), only(&[wanted]));
        }
        let found = discover(&stage, &instances(&stage, &["sql-n1", "sql-s1"])).await;
        assert_eq!(codes(&found), only(&["mirror_not_given", "witness_not_given"]));
        assert_eq!(refused(&found), only(&["to_be_completed"]));
        let all = ["sql-n1", "sql-n2", "sql-n3", "sql-s1", "sql-s2"];
        let found = discover(&stage, &instances(&stage, &all)).await;
        assert_eq!(codes(&found), only(&["no_part"]), "nothing tells of the secondary's mirror");
        assert_eq!(refused(&found), only(&["to_be_completed", "missing_key"]));
        let nothing = discover(&stage, &instances(&stage, &["sql-s2"])).await;
        assert!(nothing.is_nothing_there && nothing.file.is_none());
    });
}

#[test]
fn an_instance_that_does_not_answer_is_named_and_leaves_the_file_open() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let arguments = arguments(&stage);
        stage.stand_in.lose_instance("sql-s2").await.unwrap();
        let found = discover(&stage, &arguments).await;
        assert_eq!(codes(&found), only(&["not_observed"]));
        assert!(refused(&found).contains("to_be_completed"));
        let alone = instances(&stage, &["sql-s2"]);
        let found = discover(&stage, &alone).await;
        assert!(!found.is_nothing_there, "unknown is not nothing");
        stage.stand_in.lose_instance("sql-n1").await.unwrap();
        let found = discover(&stage, &arguments).await;
        assert!(found.file.is_none());
        assert_eq!(codes(&found), only(&["primary_not_given", "not_observed"]));
    });
}

#[test]
fn a_login_without_rights_finds_out_nothing_and_says_so() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        for instance in stage.topology().instances() {
            let batch =
                "DENY VIEW ANY DATABASE TO pcdr; ALTER SERVER ROLE sysadmin DROP MEMBER pcdr;";
            let sent = batch.to_owned();
            stage.workload.send(&instance.name, sent).await.unwrap();
        }
        let found = discover(&stage, &arguments(&stage)).await;
        assert!(!found.is_nothing_there && found.file.is_none());
        assert!(codes(&found).contains("unreadable"), "{:?}", found.findings);
    });
}

#[test]
fn what_differs_between_primary_and_mirror_is_told_and_the_file_is_valid() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let change = "EXEC master.dbo.sp_change_log_shipping_primary_database @database = N'mgc', \
                      @backup_threshold = 7;";
        run(&stage, "sql-n2", change).await;
        let disable = "EXEC msdb.dbo.sp_update_job @job_name = N'LSCopy_sql-n1_mgc', @enabled = 0;";
        run(&stage, "sql-s1", disable).await;
        let found = discover(&stage, &arguments(&stage)).await;
        assert_eq!(codes(&found), only(&["not_as_written"]));
        let told: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        let is_told = |text: &str| told.iter().any(|finding| finding.starts_with(text));
        assert!(is_told("sql-n2, mgc: backup_threshold is 7, the file says 60."), "{told:#?}");
        assert!(is_told("sql-s1, mgc: copy job is disabled, the file says enabled."), "{told:#?}");
        assert!(found.topology.is_some() && !found.is_complete());
        assert!(found.file.unwrap().contains("# - sql-n2, mgc: backup_threshold is 7"));
    });
}

#[test]
fn a_schedule_that_no_topology_can_say_is_left_open() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let monthly = "DECLARE @job uniqueidentifier = (SELECT job_id FROM msdb.dbo.sysjobs WHERE name = N'LSBackup_mgc'); \
                       DECLARE @id int = (SELECT schedule_id FROM msdb.dbo.sysjobschedules WHERE job_id = @job); \
                       EXEC msdb.dbo.sp_update_schedule @schedule_id = @id, @freq_type = 16, @freq_interval = 1, \
                       @freq_recurrence_factor = 1;";
        run(&stage, "sql-n1", monthly).await;
        let found = discover(&stage, &arguments(&stage)).await;
        assert_eq!(codes(&found), only(&["schedule_not_expressible"]));
        assert_eq!(refused(&found), only(&["to_be_completed"]));
        assert!(!found.file.unwrap().contains("\nbackup_every"), "a default would be a guess");
    });
}

#[test]
fn a_pair_that_was_left_half_configured_is_told() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let delete = "EXEC master.dbo.sp_delete_log_shipping_secondary_database @secondary_database = N'mgc';";
        run(&stage, "sql-s1", delete).await;
        let found = discover(&stage, &arguments(&stage)).await;
        assert!(found.file.is_none());
        assert_eq!(codes(&found), only(&["secondary_not_given"]), "{:?}", found.findings);
        let told = found.findings[0].to_string();
        assert!(told.contains("mgc on sql-s1, which has no log shipping entry of it"), "{told}");
    });
}

#[test]
fn of_several_secondaries_nobody_but_a_person_says_which_one_a_failover_goes_to() {
    virtually(async {
        let further = "[[instances]]\nname = \"sql-t1\"\nsite = \"south\"\nrole = \"further-secondary\"\n\
                       host = \"sql-t1.example.net\"\n[[shares]]\nname = \"log-copies-sql-t1\"\nsite = \"south\"\n\
                       unc = '\\\\sql-t1.example.net\\logcopies'\n[[log_shipping.further_secondaries]]\n\
                       instance = \"sql-t1\"\ncopy_share = \"log-copies-sql-t1\"\n";
        let stage = configured(&format!("{STRETCHED}{further}")).await;
        let all = arguments(&stage);
        let unsaid: Vec<String> = {
            let place = all.iter().position(|word| word == "secondary=sql-s1").unwrap();
            let is_that = |at: &usize| *at == place || *at + 1 == place;
            (0..all.len()).filter(|at| !is_that(at)).map(|at| all[at].clone()).collect()
        };
        let found = discover(&stage, &unsaid).await;
        assert!(found.file.is_none());
        assert_eq!(codes(&found), only(&["several_secondaries"]));
        super::round_trip(&stage, 0).await;
        let given = instances(&stage, &["sql-n1", "sql-n2", "sql-n3", "sql-s1"]);
        let found = discover(&stage, &given).await;
        assert_eq!(codes(&found), only(&["further_secondary_not_given"]));
        assert_eq!(refused(&found), only(&["to_be_completed"]));
    });
}

#[test]
fn a_stated_role_and_a_stated_site_that_cannot_be_are_refused() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let mut given = instances(&stage, &["sql-n1", "sql-n2", "sql-n3", "sql-s1"]);
        for (words, code) in [
            (["--role", "primary-mirror=sql-n3"], "role_contradicted"),
            (["--role", "monitor=nobody"], "unknown_member"),
            (["--site", "north=nobody"], "unknown_member"),
            (["--database", "nothing"], "database_not_found"),
        ] {
            let length = given.len();
            given.extend(words.map(str::to_owned));
            let found = discover(&stage, &given).await;
            assert!(found.file.is_none(), "{words:?}");
            assert!(codes(&found).contains(code), "{words:?}: {:?}", found.findings);
            given.truncate(length);
        }
    });
}

#[test]
fn after_a_failover_the_topology_that_was_is_not_told_as_the_one_that_is() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let all = arguments(&stage);
        let plan = stage.planned().await;
        stage.succeeds(&plan).await;
        stage.prove().await;
        let found = discover(&stage, &all).await;
        assert!(found.file.is_none() && !found.is_nothing_there, "the first site is not reached");
        let site = stage.topology().primary().site.to_string();
        stage.stand_in.return_site(&site).await.unwrap();
        let found = discover(&stage, &all).await;
        assert!(found.file.is_none());
        assert!(codes(&found).contains("secondary_not_given"), "{:?}", found.findings);
        let told: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|text| text.contains("fail back")), "{told:#?}");
    });
}

#[test]
fn while_the_mirror_is_principal_the_same_topology_is_discovered() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        run(&stage, "sql-n1", "ALTER DATABASE mgc SET PARTNER FAILOVER;").await;
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        super::round_trip(&stage, 0).await;
    });
}

#[test]
fn what_no_instance_tells_of_the_pool_is_asked_for() {
    virtually(async {
        let stage = configured(STRETCHED).await;
        let mut given = instances(&stage, &["sql-n1", "sql-n2", "sql-n3", "sql-s1"]);
        given.extend(["--pool", "chat.example.net"].map(str::to_owned));
        let found = discover(&stage, &given).await;
        let wanted = ["server_site_unknown", "active_after_failover_unknown", "breaks_rule"];
        assert_eq!(codes(&found), only(&wanted), "{:?}", found.findings);
        assert!(refused(&found).contains("to_be_completed"));
        let file = found.file.unwrap();
        assert_eq!(file.matches("[[pool.servers]]").count(), 4, "only active servers ping: {file}");
        assert_eq!(file.matches("active = true").count(), 4, "{file}");

        run(&stage, "sql-n1", "DROP TABLE mgc.dbo.tblServerIdentity;").await;
        let found = discover(&stage, &arguments(&stage)).await;
        assert!(codes(&found).contains("pool_servers_unknown"), "{:?}", found.findings);
        assert!(found.topology.is_none());
    });
}

#[test]
fn a_pool_without_its_content_database_is_a_question() {
    virtually(async {
        let text =
            STRETCHED.split("[pool]").next().unwrap().replace("name = \"mgc\"", "name = \"erp\"");
        let rest = STRETCHED.split("# Log backups are written here.").nth(1).unwrap();
        let stage = configured(&format!("{text}#{rest}")).await;
        super::round_trip(&stage, 0).await;
        let mut given = instances(&stage, &["sql-n1", "sql-n2", "sql-n3", "sql-s1"]);
        given.extend(["--pool", "chat.example.net"].map(str::to_owned));
        let found = discover(&stage, &given).await;
        assert_eq!(codes(&found), only(&["pool_without_content_database"]));
    });
}
