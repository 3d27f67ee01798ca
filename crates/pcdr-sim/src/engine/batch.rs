//! Batches that the server runs for itself: the T-SQL steps of jobs.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::session::SessionHost;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::ast::ObjectName;
use crate::tsql::host::{Argument, Host, Sink};
use crate::value::{Relation, Value};

/// Drops what a batch says: nobody watches it.
struct Unwatched;

#[async_trait]
impl Sink for Unwatched {
    async fn result(&mut self, _relation: Relation, _command: u16) {}
    async fn message(&mut self, _message: SqlMessage) {}
}

/// Runs a batch that calls one procedure without arguments, as the steps of the server's own jobs do,
/// in a session that nobody watches.
///
/// # Errors
///
/// What the procedure raises; 102 for any other batch; 2812 when there is no such procedure.
pub async fn run(
    mut host: SessionHost,
    batch: &str,
    cancel: CancellationToken,
) -> Result<(), SqlFailure> {
    let Some(name) = called(batch) else {
        let first: String = batch.split_whitespace().next().unwrap_or("").into();
        return Err(SqlMessage::new(
            102,
            15,
            format!("Incorrect syntax near '{first}': a step of a job on this server is one call of a procedure without arguments."),
        )
        .into());
    };
    host.begin_request("EXECUTE", cancel);
    let result = call(&mut host, &name).await;
    host.end_request();
    result
}

async fn call(host: &mut SessionHost, name: &ObjectName) -> Result<(), SqlFailure> {
    let parameters = host.procedure(name).ok_or_else(|| super::errors::no_procedure(&name.name))?;
    let arguments = parameters
        .into_iter()
        .map(|p| Argument { name: p.name, value: p.default.unwrap_or(Value::Null), given: false })
        .collect();
    host.call(name, arguments, &mut Unwatched).await.map(|_| ())
}

/// The procedure that a batch calls: `[EXEC[UTE]] [database.][schema.]name[;]`.
fn called(batch: &str) -> Option<ObjectName> {
    let text = batch.trim().trim_end_matches(';').trim_end();
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let is_exec = first.eq_ignore_ascii_case("exec") || first.eq_ignore_ascii_case("execute");
    let name = if is_exec { words.next()? } else { first };
    if words.next().is_some() {
        return None;
    }
    let mut parts: Vec<String> =
        name.split('.').map(|p| p.trim_matches(['[', ']']).to_owned()).collect();
    let fine = |p: &String| p.chars().all(|c| c.is_alphanumeric() || c == '_');
    if parts.len() > 3 || !parts.iter().all(fine) {
        return None;
    }
    let name = parts.pop().filter(|n| !n.is_empty())?;
    let schema = parts.pop().unwrap_or_default();
    let database = parts.pop().unwrap_or_default();
    Some(ObjectName { server: String::new(), database, schema, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_names_its_procedure_with_or_without_exec() {
        let name = called("exec sys.sp_check_log_shipping_monitor_alert;");
        assert_eq!(
            name.map(|n| (n.schema, n.name)).as_ref().map(|(s, n)| (s.as_str(), n.as_str())),
            Some(("sys", "sp_check_log_shipping_monitor_alert"))
        );
        assert!(called("msdb..sp_help_job").is_some());
        assert!(called("select 1").is_none());
        assert!(called("").is_none());
    }
}
