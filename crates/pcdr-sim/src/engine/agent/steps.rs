//! A run of a job: its steps, one after the other.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::engine::client::run_batch;
use crate::engine::msdb::around::moment;
use crate::engine::msdb::jobs::by_whom;
use crate::engine::msdb::{Moment, RunRequest};
use crate::engine::security::AGENT_SERVICE;
use crate::engine::world::World;
use crate::front::Login;
use crate::message::SqlFailure;

use super::rows::{self, Ended, Job, RunStatus, Step};
use super::{as_agent, log_shipping};

/// One run.
pub(super) struct Run {
    pub(super) world: World,
    pub(super) instance: String,
    pub(super) job: Job,
    pub(super) request: RunRequest,
    /// Fires when the run is to stop.
    pub(super) cancel: CancellationToken,
    /// Fires when the Agent stops.
    pub(super) service: CancellationToken,
    /// The first step is to fail (a fault).
    pub(super) fails: bool,
    pub(super) began: Timestamp,
}

/// What a step came to.
pub(super) struct StepResult {
    pub(super) succeeded: bool,
    pub(super) message: String,
    pub(super) error: (i32, u8),
}

impl StepResult {
    pub(super) fn failed(message: impl Into<String>) -> StepResult {
        StepResult { succeeded: false, message: message.into(), error: (0, 0) }
    }

    pub(super) fn from_sql(result: Result<(), SqlFailure>) -> StepResult {
        match result {
            Ok(()) => StepResult { succeeded: true, message: String::new(), error: (0, 0) },
            Err(failure) => {
                let text: Vec<String> = failure
                    .0
                    .iter()
                    .map(|m| format!("{} [SQLSTATE 42000] (Error {})", m.text, m.number))
                    .collect();
                let last = failure.0.last();
                StepResult {
                    succeeded: false,
                    message: text.join("  "),
                    error: last.map_or((0, 0), |m| (m.number, m.severity)),
                }
            }
        }
    }
}

impl Run {
    fn moment(&self, at: Timestamp) -> Moment {
        let minutes = self
            .world
            .lock()
            .instances
            .get(&self.instance)
            .map_or(0, |i| i.config.utc_offset_minutes);
        moment(at, minutes)
    }

    fn server(&self) -> String {
        let state = self.world.lock();
        let own = state.instances.get(&self.instance);
        own.map(|i| i.config.name.clone()).unwrap_or_default()
    }

    /// The account that a step runs as: a sysadmin's jobs run as the service.
    fn account(&self) -> (String, bool) {
        let state = self.world.lock();
        let security = state.instances.get(&self.instance).map(|i| &i.security);
        let owner = security.and_then(|s| s.logins.values().find(|l| l.sid == self.job.owner_sid));
        match owner {
            Some(login) if !login.roles.contains("sysadmin") => (login.name.clone(), false),
            _ => (AGENT_SERVICE.to_owned(), true),
        }
    }

    pub(super) async fn execute(self) {
        let server = self.server();
        let mut next = self.job.start_step;
        let mut last: Option<&Step> = None;
        let mut fails = self.fails;
        let status = loop {
            let Some(step) = self.job.steps.iter().find(|s| s.id == next) else {
                break RunStatus::Failed;
            };
            last = Some(step);
            let status = self.step(step, &server, std::mem::take(&mut fails)).await;
            if self.service.is_cancelled() {
                return;
            }
            let (action, target) = match status {
                RunStatus::Cancelled => break RunStatus::Cancelled,
                RunStatus::Succeeded => step.on_success,
                _ => step.on_fail,
            };
            match action {
                3 => next += 1,
                4 => next = target,
                2 => break RunStatus::Failed,
                _ => break RunStatus::Succeeded,
            }
            if action == 3 && !self.job.steps.iter().any(|s| s.id == next) {
                break status;
            }
        };
        let how = match status {
            RunStatus::Succeeded => "The job succeeded.",
            RunStatus::Cancelled => "The job was stopped prior to completion by a user.",
            _ => "The job failed.",
        };
        let steps = match last {
            Some(step) => format!("The last step to run was step {} ({}).", step.id, step.name),
            None => "The job has no steps defined.".to_owned(),
        };
        let invoked = by_whom(&self.request);
        let message = format!("{how}  The Job was invoked by {invoked}.  {steps}");
        let (began, ended) = (self.moment(self.began), self.moment(self.world.now()));
        as_agent(&self.world, &self.instance, |msdb, _| {
            rows::end(
                msdb,
                &self.job,
                &Ended {
                    step: (0, "(Job outcome)"),
                    status,
                    message: &message,
                    error: (0, 0),
                    retries: 0,
                    began,
                    ended,
                    server: &server,
                },
            );
        });
        if let Some(own) = self.world.lock().instances.get_mut(&self.instance) {
            own.agent.runs.remove(&self.job.id);
        }
        self.world.notify();
    }

    async fn step(&self, step: &Step, server: &str, fails: bool) -> RunStatus {
        let (account, is_service) = self.account();
        let mut attempt = 0;
        loop {
            let began = self.moment(self.world.now());
            self.note(step, attempt, false);
            let result = if fails {
                Some(StepResult::failed("The step was made to fail by a fault of this world."))
            } else {
                tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => None,
                    result = self.attempt(step, &account, is_service) => Some(result),
                }
            };
            if self.service.is_cancelled() {
                return RunStatus::Cancelled;
            }
            let ended = self.moment(self.world.now());
            let (status, text, error) = match result {
                None => (
                    RunStatus::Cancelled,
                    format!(
                        "Executed as user: {account}. The step was cancelled (stopped) as the result of a stop job request."
                    ),
                    (0, 0),
                ),
                Some(result) => {
                    let again = !result.succeeded && attempt < step.retries;
                    let (status, end) = match (result.succeeded, again) {
                        (true, _) => (RunStatus::Succeeded, "The step succeeded."),
                        (false, true) => (RunStatus::Retry, "The step failed and is tried again."),
                        (false, false) => (RunStatus::Failed, "The step failed."),
                    };
                    let text = format!("Executed as user: {account}. {}  {end}", result.message);
                    (status, text, result.error)
                }
            };
            as_agent(&self.world, &self.instance, |msdb, _| {
                rows::history(
                    msdb,
                    self.job.id,
                    &Ended {
                        step: (step.id, &step.name),
                        status,
                        message: &text,
                        error,
                        retries: attempt,
                        began,
                        ended,
                        server,
                    },
                )
            });
            if status != RunStatus::Retry {
                return status;
            }
            attempt += 1;
            self.note(step, attempt, true);
            let minutes = u64::try_from(step.retry_minutes).unwrap_or(0);
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return RunStatus::Cancelled,
                () = tokio::time::sleep(Duration::from_secs(minutes * 60)) => {}
            }
        }
    }

    /// Notes where the run stands, for `sp_help_job`.
    fn note(&self, step: &Step, retries: i64, waits: bool) {
        as_agent(&self.world, &self.instance, |msdb, _| {
            if let Some(run) = msdb.agent.running.get_mut(&self.job.id) {
                run.step = (step.id, step.name.clone());
                run.retries = retries;
                run.is_waiting_for_retry = waits;
            }
        });
    }

    async fn attempt(&self, step: &Step, account: &str, is_service: bool) -> StepResult {
        match step.subsystem.to_lowercase().as_str() {
            "tsql" => self.tsql(step, account).await,
            "cmdexec" if !is_service => StepResult::failed(
                "Non-SysAdmins have been denied permission to run CmdExec job steps without a proxy account.",
            ),
            "cmdexec" => self.cmdexec(step).await,
            other => StepResult::failed(format!(
                "The {other} subsystem failed to load: this server has none. The job has been suspended."
            )),
        }
    }

    async fn tsql(&self, step: &Step, account: &str) -> StepResult {
        let Some(instance) = self.world.instance(&self.instance) else {
            return StepResult::failed("The instance is gone.");
        };
        let login = self.login(
            account,
            &format!(
                "SQLAgent - TSQL JobStep (Job 0x{} : Step {})",
                self.job.id.simple().to_string().to_uppercase(),
                step.id
            ),
            &step.database,
        );
        let result = match instance.open_internal(&login) {
            Ok(host) => run_batch(host, &step.command, self.cancel.clone()).await,
            Err(refused) => Err(refused),
        };
        StepResult::from_sql(result)
    }

    pub(super) fn login(&self, account: &str, program: &str, database: &str) -> Login {
        Login {
            host_name: self.server(),
            user_name: account.to_owned(),
            password: String::new(),
            access_token: None,
            application_name: program.to_owned(),
            database: database.to_owned(),
            interface_name: "ODBC".to_owned(),
            read_only_intent: false,
            process_id: 1,
            connection: Default::default(),
        }
    }

    async fn cmdexec(&self, step: &Step) -> StepResult {
        match log_shipping::command(&step.command) {
            Some(Ok(command)) => log_shipping::run(self, command).await,
            Some(Err(usage)) => StepResult::failed(usage),
            None => StepResult::failed(format!(
                "The process could not be created for step {} of job {} (reason: The system cannot find the file specified).",
                step.id,
                self.job.id.hyphenated()
            )),
        }
    }
}
