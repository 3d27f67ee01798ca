//! A person as the pool port: nobody but a person reaches the Management Shell.
//!
//! Each action is shown as the exact cmdlet, and waits until the person says that it was done. What no
//! instance tells is asked for. What a person says is taken as said: the core reads back from the databases
//! what can be read there.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use pcdr_core::observation::{PoolObservation, PoolState};
use pcdr_core::ports::{PoolControl, Progress};
use pcdr_core::step::PoolAction;
use pcdr_core::topology::{Pool, Topology};
use pcdr_core::{Action, ErrorCode, InstanceError, Known, Reason, ServerName};
use tokio::sync::Mutex;

use crate::by_hand::by_hand;
use crate::shell::service;

/// Somebody who can be asked.
///
/// # Contract
///
/// * `ask` shows the whole question and gives one line of answer, without its line end.
/// * One question is asked at a time.
#[async_trait]
pub trait Person: fmt::Debug + Send + Sync {
    /// Asks.
    ///
    /// # Errors
    ///
    /// Why nobody answers, for example because there is no terminal.
    async fn ask(&self, question: &str) -> Result<String, NobodyAnswers>;
}

/// Nobody answers, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nobody answers: {0}")]
pub struct NobodyAnswers(pub String);

/// A Persistent Chat pool whose cmdlets a person runs.
#[derive(Debug)]
pub struct PersonPool<P> {
    person: P,
    topology: Topology,
    pool: Pool,
    said: Mutex<Said>,
}

/// What the person has said so far.
#[derive(Debug, Default)]
struct Said {
    observation: Option<PoolObservation>,
    /// Whether an action came after it: then an observation only reads that action back.
    acts: bool,
}

impl<P: Person> PersonPool<P> {
    /// The topology's pool; `None` when it has none.
    pub fn new(person: P, topology: &Topology) -> Option<PersonPool<P>> {
        let pool = topology.pool()?.clone();
        Some(PersonPool { person, topology: topology.clone(), pool, said: Mutex::default() })
    }

    fn error(&self, code: ErrorCode, needed: &str, found: String, remedy: &str) -> InstanceError {
        InstanceError::new(code, self.pool.fqdn.as_str(), needed, found, remedy)
    }

    /// Asks until `read` understands the answer.
    async fn ask<T>(
        &self,
        needed: &str,
        question: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, InstanceError> {
        loop {
            let answer = self.person.ask(question).await.map_err(|nobody| {
                self.error(
                    ErrorCode::Unreachable,
                    needed,
                    nobody.to_string(),
                    "Run pcdr at a terminal, or give [management_shell] a command.",
                )
            })?;
            if let Some(understood) = read(answer.trim()) {
                return Ok(understood);
            }
        }
    }

    async fn ask_state(&self) -> Result<Known<PoolState>, InstanceError> {
        let question = format!(
            "In the Management Shell, run\n\n    Get-CsPersistentChatState -Identity {}\n\nWhich PoolState \
             does it show? [Normal, FailedOver, or ? if it cannot be told]",
            service(self.pool.fqdn.as_str())
        );
        self.ask("the pool state was needed", &question, |answer| {
            match answer.to_lowercase().as_str() {
                "normal" => Some(Known::Known(PoolState::Normal)),
                "failedover" => Some(Known::Known(PoolState::FailedOver)),
                "?" => Some(not_told()),
                _ => None,
            }
        })
        .await
    }

    async fn ask_replicas(&self) -> Result<Known<BTreeMap<ServerName, bool>>, InstanceError> {
        let servers: Vec<&str> = self.pool.servers.iter().map(|one| one.fqdn.as_str()).collect();
        let question = format!(
            "Run\n\n    Get-CsManagementStoreReplicationStatus | Select-Object ReplicaFqdn, UpToDate\n\nWhich of \
             these are not up to date: {}? [none, their names, or ?]",
            servers.join(", ")
        );
        self.ask("the replication status was needed", &question, |answer| {
            if answer == "?" {
                return Some(not_told());
            }
            let named: Vec<&str> = match answer {
                "" => return None,
                none if none.eq_ignore_ascii_case("none") => Vec::new(),
                names => names.split([' ', ',']).filter(|name| !name.is_empty()).collect(),
            };
            let is_known = |name: &&str| servers.iter().any(|one| one.eq_ignore_ascii_case(name));
            if !named.iter().all(is_known) {
                return None;
            }
            let behind = |fqdn: &str| named.iter().any(|name| name.eq_ignore_ascii_case(fqdn));
            let all = self.pool.servers.iter();
            Some(Known::Known(
                all.map(|one| (one.fqdn.clone(), !behind(one.fqdn.as_str()))).collect(),
            ))
        })
        .await
    }

    async fn ask_store(&self) -> Result<Known<bool>, InstanceError> {
        let question = "Run\n\n    Get-CsManagementStoreReplicationStatus -CentralManagementStoreStatus\n\nDoes \
                        it name an active master and an active file transfer agent? [yes, no, or ?]";
        self.ask("the Central Management store was needed", question, |answer| {
            match answer.to_lowercase().as_str() {
                "yes" => Some(Known::Known(true)),
                "no" => Some(Known::Known(false)),
                "?" => Some(not_told()),
                _ => None,
            }
        })
        .await
    }
}

fn not_told<T>() -> Known<T> {
    Known::Unknown(Reason::new("not_told", "the person at the Management Shell could not tell"))
}

#[async_trait]
impl<P: Person> PoolControl for PersonPool<P> {
    async fn observe(&self) -> Result<PoolObservation, InstanceError> {
        let mut said = self.said.lock().await;
        if let Some(observation) = &said.observation
            && said.acts
        {
            return Ok(observation.clone());
        }
        let observation = PoolObservation {
            state: self.ask_state().await?,
            replicas_up_to_date: self.ask_replicas().await?,
            is_configuration_writable: self.ask_store().await?,
        };
        said.observation = Some(observation.clone());
        Ok(observation)
    }

    async fn run(
        &self,
        action: &PoolAction,
        _progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        if let PoolAction::AwaitServers(_) = action {
            return Ok(()); // whether servers write is read back from the database
        }
        let mut said = self.said.lock().await;
        let hand = by_hand(&self.topology, self.pool.fqdn.as_str(), action);
        let question = format!(
            "In the Management Shell, run\n\n    {}\n\nIt took effect when {}\nDone? [done, or what went wrong]",
            hand.code.replace('\n', "\n    "),
            hand.check
        );
        let step = Action::Pool(self.pool.fqdn.clone(), action.clone());
        let needed = format!("“{step}” was to be done");
        let answer = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let answer = self.ask(&needed, &question, answer).await?;
        said.acts = true;
        if !answer.eq_ignore_ascii_case("done") {
            let found = format!("the person at the Management Shell said: {answer}");
            let remedy = "Do what the cmdlet's message says, then run the same plan again.";
            return Err(self.error(ErrorCode::Cmdlet, &needed, found, remedy));
        }
        if let (PoolAction::SetState(state), Some(observation)) = (action, &mut said.observation) {
            observation.state = Known::Known(*state);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails with the place")]
mod tests {
    use std::collections::VecDeque;

    use pcdr_core::ports::Unwatched;

    use super::*;

    /// Answers in order; what it was asked is kept.
    #[derive(Debug, Default)]
    struct Scripted {
        answers: Mutex<VecDeque<&'static str>>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Person for Scripted {
        async fn ask(&self, question: &str) -> Result<String, NobodyAnswers> {
            self.asked.lock().await.push(question.to_owned());
            let answer = self.answers.lock().await.pop_front();
            answer.map(str::to_owned).ok_or_else(|| NobodyAnswers("the script ended".into()))
        }
    }

    fn pool(answers: &[&'static str]) -> PersonPool<Scripted> {
        let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
        let answers = Mutex::new(answers.iter().copied().collect());
        PersonPool::new(Scripted { answers, ..Scripted::default() }, &topology).unwrap()
    }

    #[tokio::test]
    async fn facts_are_what_the_person_said_and_unknown_where_nobody_can_tell() {
        let pool = pool(&["normal", "chat-n2.example.net", "yes", "?", "None", "?"]);
        let seen = pool.observe().await.unwrap();
        assert_eq!(seen.state, Known::Known(PoolState::Normal));
        let replicas = seen.replicas_up_to_date.known().unwrap();
        let behind: Vec<&str> =
            replicas.iter().filter(|(_, is)| !**is).map(|(name, _)| name.as_str()).collect();
        assert_eq!(behind, ["chat-n2.example.net"]);
        assert_eq!(seen.is_configuration_writable, Known::Known(true));
        // Asked again: what was true may have changed.
        let seen = pool.observe().await.unwrap();
        assert_eq!(seen.state.reason().map(|why| why.code.as_str()), Some("not_told"));
        assert!(seen.replicas_up_to_date.known().unwrap().values().all(|is| *is));
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_asked_for_again() {
        let pool = pool(&["", "perhaps", "FailedOver", "chat-x", "none", "no"]);
        let seen = pool.observe().await.unwrap();
        assert_eq!(seen.state, Known::Known(PoolState::FailedOver));
        assert_eq!(seen.is_configuration_writable, Known::Known(false));
        assert_eq!(pool.person.asked.lock().await.len(), 6);
    }

    #[tokio::test]
    async fn an_action_shows_its_cmdlet_and_is_read_back_without_asking_again() {
        let pool = pool(&["Normal", "none", "yes", "", "Done"]);
        pool.observe().await.unwrap();
        let action = PoolAction::SetState(PoolState::FailedOver);
        pool.run(&action, &Unwatched).await.unwrap();
        let asked = pool.person.asked.lock().await.pop().unwrap();
        let cmdlet =
            "Set-CsPersistentChatState -Identity 'service:chat.example.net' -PoolState FailedOver";
        assert!(asked.contains(cmdlet), "{asked}");
        assert_eq!(pool.observe().await.unwrap().state, Known::Known(PoolState::FailedOver));
    }

    #[tokio::test]
    async fn what_went_wrong_and_silence_are_errors() {
        let pool = pool(&["Normal", "none", "yes", "access denied"]);
        pool.observe().await.unwrap();
        let error = pool.run(&PoolAction::ClearActiveServers, &Unwatched).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Cmdlet);
        assert!(error.found.contains("access denied"), "{error}");
        let error = pool.run(&PoolAction::ClearActiveServers, &Unwatched).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unreachable);
        // The databases tell whether servers write: nobody is asked.
        pool.run(&PoolAction::AwaitServers(Vec::new()), &Unwatched).await.unwrap();
    }
}
