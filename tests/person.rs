//! A person at the Management Shell: pcdr shows the cmdlets, somebody runs them, and the databases tell
//! whether they took effect.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pcdr_cli::{plan, workload};
use pcdr_core::observation::PoolState;
use pcdr_core::ports::{Owner, Ports};
use pcdr_core::run::{self, RunError};
use pcdr_core::{ErrorCode, Intent, Known};
use pcdr_skype::{NobodyAnswers, Person, PersonPool, Product, Script, Shell, ShellTransport};
use pcdr_tests::{STRETCHED, Stage, Unseen, name, virtually};
use serde_json::Value;

/// Somebody who runs what is shown, word by word, and reports what came of it.
#[derive(Debug)]
struct Operator {
    transport: Arc<dyn ShellTransport>,
    shell: Shell,
    /// Types nothing that holds this text, and says why.
    refuses: Option<&'static str>,
    ran: Arc<Mutex<Vec<String>>>,
}

impl Operator {
    fn at(stage: &Stage, refuses: Option<&'static str>) -> Operator {
        let transport = stage.stand_in.shell_transport().unwrap();
        let shell = Shell::new(Arc::clone(&transport), Product::default());
        Operator { transport, shell, refuses, ran: Arc::default() }
    }

    async fn types(&self, code: &str) -> String {
        if let Some(refused) = self.refuses.filter(|refused| code.contains(refused)) {
            return format!("I may not run {refused}");
        }
        self.ran.lock().unwrap().push(code.to_owned());
        // The confirmation question is answered with yes.
        let script = Script::new(None, &format!("{code} -Confirm:$false"));
        let output = self.transport.run(script.text()).await.unwrap();
        match script.read::<Value>(&output) {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

#[async_trait]
impl Person for Operator {
    async fn ask(&self, question: &str) -> Result<String, NobodyAnswers> {
        let lines: Vec<&str> =
            question.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        let code: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with('#')).collect();
        let code = code.join("; ");
        let servers = ["chat-n1.example.net", "chat-s1.example.net"];
        Ok(if code.starts_with("Get-CsPersistentChatState") {
            self.shell.pool_state("chat.example.net").await.unwrap().to_string()
        } else if code.contains("-CentralManagementStoreStatus") {
            let status = self.shell.cms_status().await.unwrap();
            if status.is_available() { "yes".to_owned() } else { "no".to_owned() }
        } else if code.starts_with("Get-CsManagementStoreReplicationStatus") {
            let all = self.shell.replication_status(&servers).await.unwrap();
            let behind = all.into_iter().filter(|one| one.up_to_date != Some(true));
            let behind: Vec<String> = behind.map(|one| one.replica).collect();
            if behind.is_empty() { "none".to_owned() } else { behind.join(", ") }
        } else {
            self.types(&code).await
        })
    }
}

fn ports(stage: &Stage, operator: Operator) -> Ports {
    let pool = PersonPool::new(operator, stage.topology()).unwrap();
    Ports { pool: Some(Arc::new(pool)), ..stage.ports().clone() }
}

async fn hand_over(stage: &Stage, ports: &Ports) -> Result<(), RunError> {
    let made = plan::make(Intent::PlannedFailover, stage.topology(), ports, &[]).await;
    let (plan, _) = made.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
    let who = Owner { who: "test".into(), run: plan::new_run() };
    run::apply(&plan, stage.topology(), ports, &who, &Unseen).await.map(|_| ())
}

#[test]
fn a_planned_failover_is_carried_out_by_a_person_who_types_what_is_shown() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let operator = Operator::at(&stage, None);
        let ran = Arc::clone(&operator.ran);
        let ports = ports(&stage, operator);
        hand_over(&stage, &ports).await.unwrap_or_else(|error| panic!("{error}"));
        let ran = ran.lock().unwrap().clone();
        let cmdlets: Vec<&str> =
            ran.iter().map(|code| code.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(
            cmdlets,
            [
                "Set-CsPersistentChatActiveServer",
                "Set-CsPersistentChatState",
                "Install-CsMirrorDatabase",
                "Set-CsPersistentChatActiveServer",
                "Set-CsPersistentChatActiveServer",
                "Set-CsPersistentChatActiveServer",
                "Set-CsPersistentChatActiveServer",
                "Set-CsPersistentChatActiveServer",
            ],
            "{ran:#?}"
        );
        let seen = stage.observe().await;
        let pool = seen.pool.as_ref().unwrap().known().unwrap();
        assert_eq!(pool.state, Known::Known(PoolState::FailedOver));
        let writable = workload::writable(stage.topology(), &seen, &"mgc".into());
        assert_eq!(writable, [name("sql-s1")]);
        stage.told_no_secret();
    });
}

#[test]
fn what_the_person_could_not_do_stops_the_run_and_the_next_one_finishes_it() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let refuses = Operator::at(&stage, Some("Set-CsPersistentChatState"));
        let error = hand_over(&stage, &ports(&stage, refuses)).await.unwrap_err();
        let RunError::Step { error, .. } = &error else { panic!("{error}") };
        assert_eq!(error.code, ErrorCode::Cmdlet);
        assert!(error.found.contains("I may not run Set-CsPersistentChatState"), "{error}");
        let willing = Operator::at(&stage, None);
        let finished = hand_over(&stage, &ports(&stage, willing)).await;
        finished.unwrap_or_else(|error| panic!("{error}"));
        let writable = workload::writable(stage.topology(), &stage.observe().await, &"mgc".into());
        assert_eq!(writable, [name("sql-s1")]);
    });
}
