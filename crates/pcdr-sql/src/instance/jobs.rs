//! Running and holding SQL Server Agent jobs.

use std::time::Duration;

use futures_util::future::try_join_all;
use pcdr_core::ports::Progress;
use pcdr_core::{ErrorCode, Guid, InstanceError};
use tokio::time::Instant;

use super::SqlInstance;
use super::answers::{self, Outcome, Run};
use crate::error::SqlError;
use crate::statement;

/// How often a job is looked at; its end is seen within 250 ms.
const POLL: Duration = Duration::from_millis(100);

/// The Agent refuses: the job runs already, or the Agent does not run.
const AGENT_REFUSES: i32 = 22022;

/// The Agent is starting.
const AGENT_STARTS: i32 = 14258;

/// `run_status` of a success.
const SUCCEEDED: i32 = 1;

/// How often starting is tried while other runs are in the way.
const STARTS: usize = 5;

impl SqlInstance {
    /// Starts a job and waits for the end of that run, which must succeed.
    pub(super) async fn run_job(
        &self,
        job: Guid,
        needed: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let deadline = Instant::now() + self.limits.job;
        let run = self.start_job(job, needed, deadline, progress).await?;
        let failed = |error: SqlError| self.error(&error, needed);
        let outcome = statement::jobs::outcome(job, run.before);
        loop {
            let row = self.read_row(&outcome).await.map_err(failed)?;
            let row = row.ok_or_else(|| failed(SqlError::Protocol("no answer".to_owned())))?;
            let outcome = answers::outcome(&row).map_err(failed)?;
            if outcome.instance_id.is_some() {
                return self.judge(job, &run, outcome, needed).await;
            }
            if outcome.agent_session != run.agent_session {
                return Err(self.refuse(
                    ErrorCode::Agent,
                    needed,
                    "SQL Server Agent was restarted while the job ran",
                    "observe again: how far the run came is not known",
                ));
            }
            self.wait(needed, deadline, progress).await?;
        }
    }

    async fn judge(
        &self,
        job: Guid,
        run: &Run,
        outcome: Outcome,
        needed: &str,
    ) -> Result<(), InstanceError> {
        if outcome.status == Some(SUCCEEDED) {
            return Ok(());
        }
        // The outcome only names the step that failed; the step says why.
        let steps = statement::jobs::step_messages(job, run.before);
        let step = self.read_row(&steps).await.ok().flatten();
        let step = step.and_then(|row| answers::step_message(&row).ok().flatten());
        let message = step.or(outcome.message);
        let how = match outcome.status {
            Some(3) => "was cancelled",
            _ => "failed",
        };
        let message = crate::quote::comment(message.unwrap_or_default().trim());
        Err(self.refuse(
            ErrorCode::Agent,
            needed,
            format!("the run {how}: {message}"),
            "look into the history of the job, repair the cause, then plan again",
        ))
    }

    /// Queues a job. A run that is already on its way may have begun too early to see what this one
    /// is for: its end is awaited, then the job is started again.
    async fn start_job(
        &self,
        job: Guid,
        needed: &str,
        deadline: Instant,
        progress: &dyn Progress,
    ) -> Result<Run, InstanceError> {
        let failed = |error: SqlError| self.error(&error, needed);
        let mut last = None;
        for _ in 0..STARTS {
            match self.call(&statement::jobs::start(job), "sp_start_job").await {
                Ok(row) => return answers::run(&row).map_err(failed),
                Err(error) if error.number() == Some(AGENT_REFUSES) => {
                    // The text that tells the two cases apart is localised; the activity is not.
                    if !self.any_runs(&[job]).await.map_err(failed)? {
                        last = Some(error);
                        self.wait(needed, deadline, progress).await?;
                        continue;
                    }
                    self.await_idle(&[job], needed, deadline, progress).await?;
                    last = Some(error);
                }
                Err(error) if error.number() == Some(AGENT_STARTS) => {
                    last = Some(error);
                    self.wait(needed, deadline, progress).await?;
                }
                Err(error) => return Err(failed(error)),
            }
        }
        let error =
            last.unwrap_or_else(|| SqlError::Protocol("the job was not started".to_owned()));
        Err(failed(error))
    }

    /// Disables jobs, then waits until none of them runs: disabling stops no run.
    pub(super) async fn hold_jobs(
        &self,
        jobs: &[Guid],
        needed: &str,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let deadline = Instant::now() + self.limits.job;
        let disabled = jobs.iter().map(|job| async move {
            let disable = statement::jobs::enable(*job, false);
            self.call(&disable, "sp_update_job").await.map(drop)
        });
        let disabled = try_join_all(disabled).await;
        disabled.map_err(|error| self.error(&error, needed))?;
        self.await_idle(jobs, needed, deadline, progress).await
    }

    async fn await_idle(
        &self,
        jobs: &[Guid],
        needed: &str,
        deadline: Instant,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        loop {
            let runs = self.any_runs(jobs).await;
            if !runs.map_err(|error| self.error(&error, needed))? {
                return Ok(());
            }
            self.wait(needed, deadline, progress).await?;
        }
    }

    async fn any_runs(&self, jobs: &[Guid]) -> Result<bool, SqlError> {
        answers::any_runs(&self.read(&statement::jobs::activity(jobs)).await?)
    }

    /// Waits a moment, unless time is up or the operator wants to stop. The job itself goes on.
    async fn wait(
        &self,
        needed: &str,
        deadline: Instant,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        if progress.is_cancelled() {
            return Err(self.error(&SqlError::Cancelled, needed));
        }
        if Instant::now() >= deadline {
            return Err(self.refuse(
                ErrorCode::TimedOut,
                needed,
                format!("the job did not end within {} s", self.limits.job.as_secs()),
                "look at the job; it may still run",
            ));
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }
}
