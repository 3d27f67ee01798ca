//! `pcdr runbook`: a plan as a document for a person, with the exact T-SQL and cmdlets.

use std::fmt::Write as _;

use pcdr_core::drill::{file_mark, file_path};
use pcdr_core::settings::{Difference, Part};
use pcdr_core::step::{
    DatabaseAction, DrillAction, DrillStep, FileAction, LogEnd, LogShippingAction,
};
use pcdr_core::time::readable;
use pcdr_core::{Action, InstanceName, PlanContent, Topology};
use pcdr_sql::Password;
use pcdr_sql::quote::{self, QuoteError};
use pcdr_sql::statement::{Statement, database, log_shipping};

use crate::failure::Failure;

/// What a person does for one step.
struct Instruction {
    /// Where.
    place: String,
    /// Language of the block: `sql`, `powershell`, `bat`.
    language: &'static str,
    /// What to run.
    code: String,
    /// How to see that it took effect.
    check: &'static str,
}

/// Writes a plan as a runbook in Markdown.
///
/// # Errors
///
/// A name that no statement can carry.
pub fn write(topology: &Topology, plan: &PlanContent) -> Result<String, Failure> {
    let mut text = format!(
        "# Runbook: {}\n\nMade by pcdr at {} from what was seen at {}. It is valid for that state \
         only: if anything has changed since, make a new one.\n",
        plan.intent.as_str(),
        plan.planned_at,
        plan.observed_at
    );
    if plan.steps.is_empty() {
        text.push_str("\nNothing to do: the world is as this plan would leave it.\n");
        left_behind(&mut text, topology, plan)?;
        return Ok(text);
    }
    text.push_str("\n## Before you begin\n\n");
    if plan.predicted_losses.is_empty() {
        text.push_str("- Predicted loss: none.\n");
    }
    for loss in &plan.predicted_losses {
        let _infallible = writeln!(text, "- Predicted loss: {loss}.");
    }
    let _infallible = writeln!(
        text,
        "- Predicted duration: {} without the time that typing takes.",
        readable(plan.predicted_duration)
    );
    for consent in &plan.consents {
        let _infallible = writeln!(text, "- Consent given: `{consent}`.");
    }
    for note in &plan.notes {
        let _infallible = writeln!(text, "- {}.", inline(note));
    }
    text.push_str("- Stop at the first step that fails, and make a new runbook from there.\n");
    if let Some(evidence) = &plan.evidence {
        text.push_str("\nEvidence for the loss of the primary site:\n\n");
        for claim in &evidence.claims {
            let _infallible = writeln!(text, "- {}: {}", claim.vantage, inline(&claim.found));
        }
    }
    text.push_str("\n## Steps\n");
    for step in &plan.steps {
        let instruction = instruction(topology, &step.action)
            .map_err(|error| no_statement(&format!("step {}", step.id), &error))?;
        let after: Vec<String> = step.after.iter().map(ToString::to_string).collect();
        let after = if after.is_empty() { "nothing".to_owned() } else { after.join(", ") };
        let heading = format!("Step {}: {}", step.id, inline(&step.to_string()));
        let source = inline(&step.source.to_string());
        let facts = format!("- Source: {source}\n- After: {after}\n");
        write_instruction(&mut text, &heading, &facts, &instruction);
    }
    left_behind(&mut text, topology, plan)?;
    text.push_str(
        "\n## Afterwards\n\nRun `pcdr status`: it shows what this runbook should have left.\n",
    );
    Ok(text)
}

fn no_statement(what: &str, error: &QuoteError) -> Failure {
    Failure::failed(
        "quote",
        format!("a statement for {what} was needed, but {error}"),
        "Rename the object that the message names; no statement can carry its name.",
    )
}

/// What to do on instances that could not be reached, for when they are back.
fn left_behind(text: &mut String, topology: &Topology, plan: &PlanContent) -> Result<(), Failure> {
    if plan.left_behind.is_empty() {
        return Ok(());
    }
    text.push_str(
        "\n## When the instances are back\n\nThese could not be reached. What they may hold is removed \
         so, in this order; an entry that is not there gives an error, and needs nothing.\n",
    );
    for action in &plan.left_behind {
        let heading = inline(&action.to_string());
        let instruction =
            instruction(topology, action).map_err(|error| no_statement(&heading, &error))?;
        write_instruction(text, &heading, "", &instruction);
    }
    Ok(())
}

fn write_instruction(text: &mut String, heading: &str, facts: &str, instruction: &Instruction) {
    // A fence longer than any run of backquotes in the code cannot be ended by it.
    let longest = instruction.code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    let Instruction { place, language, code, check } = instruction;
    let _infallible = write!(
        text,
        "\n### {heading}\n\n{facts}- Where: {place}\n\n\
         {fence}{language}\n{}\n{fence}\n\nCheck: {check}\n",
        code.trim_end(),
    );
}

/// Text that cannot begin markup of its own.
fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' => {
                safe.push('\\');
                safe.push(c);
            }
            _ => safe.push(c),
        }
    }
    safe
}

/// The T-SQL of an action on an instance; `None` for an action elsewhere.
pub fn statement(action: &Action) -> Option<Result<String, QuoteError>> {
    match action {
        Action::Database(_, name, action) => Some(on_database(name.as_str(), action)),
        Action::LogShipping(_, name, action) => Some(on_log_shipping(name.as_str(), action)),
        Action::Files(..) | Action::Pool(..) => None,
    }
}

/// Where an action is carried out by hand and with which commands; why there are none otherwise.
pub fn command(topology: &Topology, action: &Action) -> String {
    match instruction(topology, action) {
        Ok(Instruction { place, code, .. }) => format!("-- {place}\n{}", code.trim_end()),
        Err(error) => format!("-- no statement can carry this name: {error}"),
    }
}

fn instruction(topology: &Topology, action: &Action) -> Result<Instruction, QuoteError> {
    match action {
        Action::Database(instance, name, action) => {
            let code = on_database(name.as_str(), action)?;
            let check = match action {
                DatabaseAction::RestoreLog { .. } | DatabaseAction::RestoreDatabase { .. } => {
                    "the message says that the restore processed pages successfully, and \
                     `sys.databases.state_desc` is RESTORING."
                }
                DatabaseAction::BackUpTail { .. } => {
                    "the message says that the backup processed pages successfully, and \
                     `sys.databases.state_desc` is RESTORING."
                }
                DatabaseAction::Recover { .. } => "`sys.databases.state_desc` is ONLINE.",
                DatabaseAction::EndSessions => "the query gives no row any more.",
                DatabaseAction::FailOverMirror => {
                    "`sys.database_mirroring.mirroring_role_desc` is MIRROR here and PRINCIPAL on \
                     the partner."
                }
                DatabaseAction::ForceService => {
                    "`sys.database_mirroring.mirroring_role_desc` is PRINCIPAL, and \
                     `sys.databases.state_desc` is ONLINE."
                }
                DatabaseAction::RemoveMirroring => {
                    "`sys.database_mirroring.mirroring_guid` is NULL."
                }
                DatabaseAction::AwaitSynchronized => {
                    "`sys.database_mirroring.mirroring_state_desc` is SYNCHRONIZED."
                }
                DatabaseAction::Drill(step) => match step.action {
                    DrillAction::RestoreDatabase { .. } | DrillAction::RestoreLog { .. } => {
                        "the message says that the restore processed pages successfully."
                    }
                    DrillAction::Recover { .. } => "`sys.databases.state_desc` is ONLINE.",
                    DrillAction::Check => "no message at all: any one is a finding.",
                    DrillAction::Drop => {
                        "every file of it was one of the drill, and `sys.databases` has no such row any \
                         more."
                    }
                },
                DatabaseAction::DropRestoring => {
                    "it was RESTORING or in standby before, and `sys.databases` has no such row any more."
                }
                _ => "the statement ends without an error.",
            };
            Ok(sql(topology, instance, code, check))
        }
        Action::LogShipping(instance, name, action) => {
            let code = on_log_shipping(name.as_str(), action)?;
            let check = "the statement ends without an error and returns 0.";
            Ok(sql(topology, instance, code, check))
        }
        Action::Files(_, FileAction::Copy { name, size_bytes, replaces_unreadable }) => {
            let quoted = |folder: &str| format!("\"{}\"", folder.replace('"', ""));
            let (from, to) = (topology.backup_share(), topology.copy_share());
            let file = quoted(name);
            // What lies there cannot be read; robocopy might take it for the newer one.
            let delete = if *replaces_unreadable {
                format!("del {}\n", quoted(&format!("{}\\{name}", to.unc)))
            } else {
                String::new()
            };
            let size = size_bytes.map_or_else(String::new, |bytes| format!("\nrem {bytes} bytes"));
            Ok(Instruction {
                place: "any computer that reaches both shares".to_owned(),
                language: "bat",
                code: format!(
                    "{delete}robocopy {} {} {file} /Z /COPY:DT{size}",
                    quoted(&from.unc),
                    quoted(&to.unc)
                ),
                check: "robocopy ends with exit code 1 (one file copied) and the sizes agree.",
            })
        }
        Action::Pool(pool, action) => {
            let pcdr_skype::ByHand { code, check } =
                pcdr_skype::by_hand(topology, pool.as_str(), action);
            let place = "the product's Management Shell".to_owned();
            Ok(Instruction { place, language: "powershell", code, check })
        }
    }
}

fn sql(
    topology: &Topology,
    instance: &InstanceName,
    code: String,
    check: &'static str,
) -> Instruction {
    let place = topology.instance(instance).map_or_else(
        || instance.to_string(),
        |found| {
            let name = found.instance.as_ref().map_or(String::new(), |name| format!("\\{name}"));
            format!("{instance}: query window on {}{name}, database master", found.host)
        },
    );
    Instruction { place: inline(&place), language: "sql", code, check }
}

fn batch(statement: &Statement) -> String {
    format!("USE [master];\nGO\n{}\nGO", statement.script().trim_end())
}

fn on_database(name: &str, action: &DatabaseAction) -> Result<String, QuoteError> {
    let statement = match action {
        DatabaseAction::CreateMirroringEndpoint { name, port, accounts } => {
            let mut code = batch(&database::create_endpoint(name, *port, false)?);
            for account in accounts {
                for grant in
                    [database::create_login(account)?, database::grant_connect(name, account)?]
                {
                    code.push_str(&format!("\n{}\nGO", grant.batch.trim_end()));
                }
            }
            return Ok(code);
        }
        DatabaseAction::SetRecoveryFull => database::set_recovery_full(name)?,
        DatabaseAction::BackUpDatabase { path } => database::back_up_database(name, path)?,
        DatabaseAction::BackUpLog { path } => database::back_up_log(name, path)?,
        DatabaseAction::BackUpTail { path, follows } => {
            let (tail, name) = (database::back_up_tail(name, path)?, quote::name(name)?);
            return Ok(format!(
                "-- The tail has to follow the last log backup; this must give the position\n-- {follows}:\n\
                 SELECT last_log_backup_lsn FROM sys.database_recovery_status WHERE database_id = DB_ID({name});\n\
                 GO\n{}",
                batch(&tail)
            ));
        }
        DatabaseAction::RestoreDatabase { path, .. } => {
            // Where the files go is asked of the backup itself.
            let (database, path) = (quote::identifier(name)?, quote::path(path)?);
            return Ok(format!(
                "USE [master];\nGO\nRESTORE DATABASE {database} FROM DISK = {path} WITH NORECOVERY;\nGO"
            ));
        }
        DatabaseAction::RestoreLog { path, .. } => database::restore_log(name, path)?,
        DatabaseAction::EndSessions => {
            let sessions = batch(&database::sessions(name)?);
            return Ok(format!(
                "{sessions}\n-- For every session in the answer: KILL <session_id>; then ask again.\n\
                 -- The same by the document: EXEC sp_who2;"
            ));
        }
        DatabaseAction::Recover { expect: Some(LogEnd::EndOf { path }) } => {
            let (recover, name, path) =
                (database::recover(name)?, quote::name(name)?, quote::path(path)?);
            return Ok(format!(
                "-- IsForceOffline must be 1, and LastLSN the same as redo_start_lsn, before you go on:\n\
                 RESTORE HEADERONLY FROM DISK = {path};\n\
                 SELECT redo_start_lsn FROM sys.master_files WHERE database_id = DB_ID({name}) AND type = 0;\n\
                 GO\n{}",
                batch(&recover)
            ));
        }
        DatabaseAction::Recover { .. } => database::recover(name)?,
        DatabaseAction::SetPartner { address } => database::set_partner(name, address)?,
        DatabaseAction::SetWitness { address } => database::set_witness(name, address)?,
        DatabaseAction::AwaitSynchronized => {
            let name = quote::name(name)?;
            return Ok(format!(
                "SELECT mirroring_state_desc FROM sys.database_mirroring WHERE database_id = DB_ID({name});"
            ));
        }
        DatabaseAction::FailOverMirror => database::fail_over_mirror(name)?,
        DatabaseAction::ForceService => database::force_service(name)?,
        DatabaseAction::RemoveWitness => database::remove_witness(name)?,
        DatabaseAction::RemoveMirroring => database::remove_mirroring(name)?,
        DatabaseAction::DropMirroringEndpoint { name } => database::drop_endpoint(name)?,
        DatabaseAction::StopMirroringEndpoint { name } => database::stop_endpoint(name)?,
        DatabaseAction::SetRecoveryBack { model } => database::set_recovery(name, *model)?,
        DatabaseAction::DropRestoring => database::drop_database(name)?,
        DatabaseAction::Drill(step) => return on_drill(name, step),
    };
    Ok(batch(&statement))
}

fn on_drill(copy: &str, step: &DrillStep) -> Result<String, QuoteError> {
    let statement = match &step.action {
        DrillAction::RestoreDatabase { path, directory } => {
            let example = file_path(directory, step.family, 0, "data.mdf");
            let (database, path) = (quote::identifier(copy)?, quote::path(path)?);
            let example = quote::path(&example)?;
            return Ok(format!(
                "USE [master];\nGO\n-- The files of the backup; each is moved to a name of the drill:\n\
                 RESTORE FILELISTONLY FROM DISK = {path};\nGO\n\
                 -- One MOVE for each LogicalName, numbered on, with the extension of its file:\n\
                 RESTORE DATABASE {database} FROM DISK = {path} WITH NORECOVERY,\n    \
                 MOVE N'<LogicalName>' TO {example};\nGO"
            ));
        }
        DrillAction::RestoreLog { path, .. } => database::restore_log(copy, path)?,
        DrillAction::Recover { .. } => database::recover(copy)?,
        DrillAction::Check => database::check_database(copy)?,
        DrillAction::Drop => {
            let name = quote::name(copy)?;
            return Ok(format!(
                "-- Every file has to begin with {}; otherwise it is somebody else's:\n\
                 SELECT physical_name FROM sys.master_files WHERE database_id = DB_ID({name});\nGO\n{}",
                file_mark(step.family),
                batch(&database::drop_database(copy)?)
            ));
        }
    };
    Ok(batch(&statement))
}

fn on_log_shipping(name: &str, action: &LogShippingAction) -> Result<String, QuoteError> {
    let quoted = quote::name(name)?;
    let run = |procedure: &str, from: &str, column: &str| {
        format!(
            "USE [msdb];\nGO\nDECLARE @job sysname;\nSELECT @job = j.name FROM {from} \
             JOIN msdb.dbo.sysjobs AS j ON j.job_id = {column};\n\
             EXEC msdb.dbo.{procedure} @job_name = @job;\nGO"
        )
    };
    let secondary = format!(
        "msdb.dbo.log_shipping_secondary AS s JOIN msdb.dbo.log_shipping_secondary_databases AS d \
         ON d.secondary_id = s.secondary_id AND d.secondary_database = {quoted}"
    );
    // A runbook holds no secret: whoever follows it fills it in.
    let to_fill_in = Password::new("to be filled in");
    let password = Some(&to_fill_in);
    Ok(match action {
        LogShippingAction::AddPrimary(settings) => {
            batch(&log_shipping::add_primary(name, settings, password)?)
        }
        LogShippingAction::AddSecondary(settings) => format!(
            "{}\n{}",
            batch(&log_shipping::add_secondary_primary(settings, password)?),
            batch(&log_shipping::add_secondary_database(name, settings)?)
        ),
        LogShippingAction::ChangePrimary { settings, changes } => {
            let mut code = batch(&log_shipping::change_primary(name, settings, password)?);
            code.push_str(&by_hand(changes));
            code
        }
        LogShippingAction::ChangeSecondary { settings, changes } => {
            let mut code = format!(
                "{}\n{}",
                batch(&log_shipping::change_secondary_primary(settings, password)?),
                batch(&log_shipping::change_secondary_database(name, settings)?)
            );
            code.push_str(&by_hand(changes));
            code
        }
        LogShippingAction::AddAlertJob { schedule } => format!(
            "{}\n-- Its job runs {schedule}; sp_update_schedule changes that.",
            batch(&log_shipping::add_alert_job())
        ),
        LogShippingAction::AddPrimarySecondary { secondary_server, secondary_database } => {
            batch(&log_shipping::add_primary_secondary(
                name,
                secondary_server,
                secondary_database.as_str(),
            )?)
        }
        LogShippingAction::HoldBackupJob { .. } => format!(
            "USE [msdb];\nGO\nSELECT j.name, j.enabled FROM msdb.dbo.log_shipping_primary_databases AS p \
             JOIN msdb.dbo.sysjobs AS j ON j.job_id = p.backup_job_id WHERE p.primary_database = {quoted};\n\
             -- EXEC msdb.dbo.sp_update_job @job_name = N'<name>', @enabled = 0;\n\
             -- Then wait until it does not run: EXEC msdb.dbo.sp_help_job @execution_status = 1;\nGO"
        ),
        LogShippingAction::HoldSecondaryJobs => format!(
            "USE [msdb];\nGO\nSELECT j.name, j.enabled FROM {secondary} JOIN msdb.dbo.sysjobs AS j \
             ON j.job_id IN (s.copy_job_id, s.restore_job_id);\n\
             -- For both: EXEC msdb.dbo.sp_update_job @job_name = N'<name>', @enabled = 0;\n\
             -- Then wait until neither runs: EXEC msdb.dbo.sp_help_job @execution_status = 1;\nGO"
        ),
        LogShippingAction::RemoveSecondary => {
            batch(&log_shipping::delete_secondary_database(name)?)
        }
        LogShippingAction::RemoveSecondaryPrimary { primary_server } => {
            batch(&log_shipping::delete_secondary_primary(primary_server, name)?)
        }
        LogShippingAction::RemovePrimarySecondary { secondary_server, secondary_database } => {
            batch(&log_shipping::delete_primary_secondary(
                name,
                secondary_server,
                secondary_database.as_str(),
            )?)
        }
        LogShippingAction::RemovePrimary => batch(&log_shipping::delete_primary(name)?),
        LogShippingAction::RemoveAlertJob => batch(&log_shipping::delete_alert_job()),
        LogShippingAction::RunBackupJob => run(
            "sp_start_job",
            &format!(
                "(SELECT backup_job_id FROM msdb.dbo.log_shipping_primary_databases WHERE primary_database = {quoted}) AS p"
            ),
            "p.backup_job_id",
        ),
        LogShippingAction::RunCopyJob => run("sp_start_job", &secondary, "s.copy_job_id"),
        LogShippingAction::RunRestoreJob => run("sp_start_job", &secondary, "s.restore_job_id"),
    })
}

/// What the log shipping procedures do not change: jobs and their schedules.
fn by_hand(changes: &[Difference]) -> String {
    let of_jobs = changes.iter().filter(|change| change.of == Part::Job);
    let lines = of_jobs.map(|change| {
        format!("\n-- In SQL Server Agent: {}.", quote::comment(&change.to_string()))
    });
    lines.collect()
}
