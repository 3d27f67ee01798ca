//! The log shipping program: `sqllogship.exe -Backup`, `-Copy` and `-Restore`.
//!
//! Source: the vendor's pages "sqllogship application" and "About log shipping" for what each
//! operation does and in which order; file names, `.wrk` files and messages as observed.

mod backup;
mod copy;
mod restore;

use async_trait::async_trait;
use uuid::Uuid;

use crate::engine::errors::OsError;
use crate::engine::msdb::MonitorChange;
use crate::engine::msdb::monitor::{self, SessionStatus};
use crate::engine::msdb::store::same_name;
use crate::engine::security::AGENT_SERVICE;
use crate::engine::session::SessionHost;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::Admin;
use crate::tsql::host::{Host, Sink};
use crate::value::{Relation, Value};

use super::as_agent;
use super::log_shipping_files::{LogFile, base_name, join, list};
use super::steps::{Run, StepResult};

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    operation: Operation,
    id: Uuid,
    server: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Backup = 0,
    Copy = 1,
    Restore = 2,
}

/// Splits a command line at blanks, keeping what stands in quotes together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut begun = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// Reads a command line of the program: `None` when it starts another program, an error when its
/// arguments are none of the program's.
pub(super) fn command(line: &str) -> Option<Result<Command, String>> {
    let words = words(line);
    let program = base_name(words.first()?).to_lowercase();
    if program != "sqllogship.exe" && program != "sqllogship" {
        return None;
    }
    let usage = || {
        "Incorrect arguments. Usage: sqllogship -server <instance> { -backup <primary_id> | -copy <secondary_id> | -restore <secondary_id> }".to_owned()
    };
    let mut operation = None;
    let mut server = None;
    let mut arguments = words.iter().skip(1);
    while let Some(name) = arguments.next() {
        let Some(value) = arguments.next() else {
            return Some(Err(usage()));
        };
        let which = match name.to_lowercase().as_str() {
            "-server" => {
                server = Some(value.clone());
                continue;
            }
            "-verboselevel" | "-logintimeout" | "-querytimeout" => continue,
            "-backup" => Operation::Backup,
            "-copy" => Operation::Copy,
            "-restore" => Operation::Restore,
            _ => return Some(Err(usage())),
        };
        let Ok(id) = Uuid::parse_str(value) else {
            return Some(Err(usage()));
        };
        if operation.replace((which, id)).is_some() {
            return Some(Err(usage()));
        }
    }
    Some(match (operation, server) {
        (Some((operation, id)), Some(server)) => Ok(Command { operation, id, server }),
        _ => Err(usage()),
    })
}

/// Why an operation failed: the chain of errors, outermost first.
struct Failure(Vec<(String, String)>);

impl Failure {
    fn because(text: impl Into<String>) -> Failure {
        Failure(vec![(text.into(), "Microsoft.SqlServer.Management.LogShipping".to_owned())])
    }

    fn of_sql(outer: String, failure: &SqlFailure) -> Failure {
        let mut chain = Failure::because(outer);
        for message in &failure.0 {
            chain.0.push((
                format!("{} (Error {})", message.text, message.number),
                ".Net SqlClient Data Provider".to_owned(),
            ));
        }
        chain
    }

    fn of_file(what: &str, path: &str, os: OsError) -> Failure {
        let mut chain = Failure::because(format!("Could not {what} '{path}'."));
        chain.0.push((format!("Operating system error {os}."), "mscorlib".to_owned()));
        chain
    }
}

/// One run of the program.
struct Session<'a> {
    run: &'a Run,
    command: Command,
    number: i32,
    /// The database that rows are written under.
    database: String,
}

/// Collects nothing: the program does not read what statements say on their way.
struct Quiet;

#[async_trait]
impl Sink for Quiet {
    async fn result(&mut self, _relation: Relation, _command: u16) {}
    async fn message(&mut self, _message: SqlMessage) {}
}

/// Runs the program.
pub(super) async fn run(run: &Run, command: Command) -> StepResult {
    let own_name = as_agent(&run.world, &run.instance, |_, around| around.server_name());
    let Some(own_name) = own_name else {
        return StepResult::failed("The instance is gone.");
    };
    if !same_name(&own_name, &command.server) {
        return StepResult::failed(format!(
            "Could not connect to server {}: the program runs on {own_name} and works for it only.",
            command.server
        ));
    }
    let kind = command.operation as u8;
    let agent = (command.id, kind);
    let number = as_agent(&run.world, &run.instance, |msdb, _| {
        let number = msdb.agent.log_shipping_sessions.entry(agent).or_insert(0);
        *number += 1;
        *number
    });
    let mut session =
        Session { run, command, number: number.unwrap_or(1), database: String::new() };
    let result = match session.command.operation {
        Operation::Backup => session.backup().await,
        Operation::Copy => session.copy().await,
        Operation::Restore => session.restore().await,
    };
    match result {
        Ok(message) => {
            session.say(SessionStatus::Success, &message);
            StepResult { succeeded: true, message, error: (0, 0) }
        }
        Err(failure) => {
            session.fail(&failure);
            let text: Vec<&str> = failure.0.iter().map(|(text, _)| text.as_str()).collect();
            StepResult::failed(format!("*** Error: {}", text.join(" *** Error: ")))
        }
    }
}

impl Session<'_> {
    fn row(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("agent_id", Value::Uuid(self.command.id)),
            ("agent_type", Value::TinyInt(self.command.operation as u8)),
            ("session_id", Value::Int(self.number)),
            ("database_name", Value::string(&self.database)),
        ]
    }

    /// Makes a change of monitor rows here and, when there is one, on the remote monitor. A monitor
    /// out of reach stops no shipping: its rows age until it is refreshed.
    fn tell(&self, change: MonitorChange) {
        let (id, kind) = (self.command.id, self.command.operation as i64);
        as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            monitor::apply(msdb, around, change.clone());
            if let Some(remote) = monitor::remote_of_agent(msdb, around, id, kind) {
                let _unreachable = around.on_monitor(&remote, change);
            }
        });
    }

    fn times(&self) -> Vec<(&'static str, Value)> {
        as_agent(&self.run.world, &self.run.instance, |_, around| {
            let now = around.moment();
            vec![
                ("log_time", Value::DateTime(now.local)),
                ("log_time_utc", Value::DateTime(now.utc)),
            ]
        })
        .unwrap_or_default()
    }

    /// Writes a history row.
    fn say(&self, status: SessionStatus, message: &str) {
        let mut row = self.row();
        row.extend(self.times());
        row.push(("session_status", Value::TinyInt(status as u8)));
        row.push(("message", Value::string(message)));
        self.tell(MonitorChange::History(vec![row]));
    }

    /// Writes the errors of a failure, and the history row that ends the run.
    fn fail(&self, failure: &Failure) {
        let times = self.times();
        let rows = failure
            .0
            .iter()
            .enumerate()
            .map(|(i, (text, source))| {
                let mut row = self.row();
                row.extend(times.clone());
                row.push(("sequence_number", Value::BigInt(i as i64 + 1)));
                row.push(("message", Value::string(text)));
                row.push(("source", Value::string(source)));
                row.push(("help_url", Value::string("")));
                row
            })
            .collect();
        self.tell(MonitorChange::Errors(rows));
        let first = failure.0.first().map_or("", |(text, _)| text.as_str());
        self.say(SessionStatus::Error, first);
    }

    fn cleanup(&self) {
        let (id, kind) = (self.command.id, self.command.operation as i64);
        as_agent(&self.run.world, &self.run.instance, |msdb, around| {
            let _unreachable = monitor::cleanup_agent(msdb, around, id, kind);
        });
    }

    fn connect(&self) -> Result<SessionHost, Failure> {
        let login = self.run.login(AGENT_SERVICE, "SQL Server Log Shipping", "master");
        let instance = self.run.world.instance(&self.run.instance);
        instance
            .ok_or_else(|| Failure::because("The instance is gone."))?
            .open_internal(&login)
            .map_err(|e| Failure::of_sql("Could not connect to the server.".to_owned(), &e))
    }

    /// Runs a statement in a session of its own request.
    async fn statement(
        &self,
        host: &mut SessionHost,
        name: &str,
        what: Admin,
    ) -> Result<(), SqlFailure> {
        host.begin_request(name, name, self.run.cancel.clone());
        let result = host.admin(what, &mut Quiet).await;
        host.end_request();
        result.map(|_| ())
    }

    fn folder(&self, path: &str) -> Result<std::path::PathBuf, OsError> {
        self.run.world.path(&self.run.instance, path)
    }

    fn files(&self, folder: &str, database: &str) -> Result<Vec<LogFile>, Failure> {
        let failed = |os| Failure::of_file("list the files of", folder, os);
        let place = self.folder(folder).map_err(failed)?;
        list(&place, database).map_err(|e| failed(OsError::of(&e)))
    }

    /// Deletes log backup files that are older than a time; returns how many.
    fn delete_older(
        &self,
        folder: &str,
        database: &str,
        before: jiff::civil::DateTime,
        may_go: impl Fn(&LogFile) -> bool,
    ) -> usize {
        let Ok(files) = self.files(folder, database) else {
            return 0;
        };
        files
            .into_iter()
            .filter(|f| f.at < before && may_go(f))
            .filter(|f| {
                let path = self.run.world.writable_path(&self.run.instance, &join(folder, &f.name));
                path.is_ok_and(|p| std::fs::remove_file(p).is_ok())
            })
            .count()
    }

    fn utc(&self) -> jiff::civil::DateTime {
        crate::engine::state::local(self.run.world.now(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_needs_one_operation_and_a_server() {
        let id = "0a8d2a54-2b1e-4c3e-9d51-6d6d6f0d8c11";
        let line = format!(
            "\"C:\\Program Files\\Microsoft SQL Server\\150\\Tools\\Binn\\sqllogship.exe\" -Copy {id} -server DB1\\CHAT"
        );
        let read = command(&line).and_then(Result::ok);
        assert_eq!(
            read,
            Some(Command {
                operation: Operation::Copy,
                id: Uuid::parse_str(id).unwrap_or_default(),
                server: "DB1\\CHAT".to_owned()
            })
        );
        assert!(matches!(command("sqllogship.exe -server A"), Some(Err(_))));
        assert!(matches!(command("sqllogship.exe -backup nonsense -server A"), Some(Err(_))));
        assert!(command("robocopy.exe a b").is_none());
        assert!(command("").is_none());
    }
}
