//! DBCC.

use std::time::Duration;

use crate::engine::access;
use crate::engine::errors;
use crate::engine::security::{self, Action};
use crate::engine::session::SessionHost;
use crate::message::{SqlFailure, SqlMessage};
use crate::tsql::host::Sink;

/// DBCC.
pub(crate) async fn dbcc(
    host: &SessionHost,
    command: &str,
    arguments: &[String],
    options: &[String],
    sink: &mut dyn Sink,
) -> Result<u16, SqlFailure> {
    use crate::tsql::host::Host as _;
    let current = host.database();
    let command = command.to_uppercase();
    let quiet = options.iter().any(|option| option == "NO_INFOMSGS");
    match command.as_str() {
        "CHECKDB" | "CHECKALLOC" | "CHECKCATALOG" => {
            let name = arguments
                .first()
                .map(|name| name.trim_matches(['[', ']', '\'', '"']).to_owned())
                .filter(|name| !name.is_empty() && name != "0")
                .unwrap_or(current);
            let me = host.me.session_id;
            let (bytes, rate, damaged) = host.try_change(|state, key, _| {
                let rate = state.costs.backup_rate.max(1);
                let instance = state.instances.get(key).ok_or_else(errors::killed)?;
                let own = access::check(instance, &name, me, &host.login)?;
                security::may(instance, &host.login, Action::AlterDatabase(&own.name))?;
                Ok((own.data_bytes, rate, own.damaged || own.condition.page_damaged))
            })?;
            host.pause(Duration::from_secs_f64(bytes as f64 / rate as f64))
                .await
                .map_err(|_| SqlFailure::from(errors::killed()))?;
            if damaged {
                return Err(SqlMessage::new(
                    8928,
                    16,
                    format!("Object ID 0: a page of database '{name}' could not be processed. CHECKDB found consistency errors."),
                )
                .into());
            }
            if !quiet {
                sink.message(SqlMessage::new(
                    8989,
                    10,
                    format!(
                        "{command} found 0 allocation errors and 0 consistency errors in database '{name}'."
                    ),
                ))
                .await;
            }
        }
        "TRACEON" | "TRACEOFF" | "FREEPROCCACHE" | "DROPCLEANBUFFERS" => {
            host.try_change(|state, key, _| {
                let instance = state.instances.get(key).ok_or_else(errors::killed)?;
                security::may(instance, &host.login, Action::Maintenance)
            })?;
        }
        _ => {
            return Err(SqlMessage::new(
                2526,
                16,
                format!("Incorrect DBCC statement. Check the documentation for the correct DBCC syntax and options ('{command}')."),
            )
            .into());
        }
    }
    if !quiet {
        sink.message(SqlMessage::new(
            2528,
            10,
            "DBCC execution completed. If DBCC printed error messages, contact your system administrator.",
        ))
        .await;
    }
    Ok(0)
}
