//! Mirroring: its state, and the failover of a mirrored database.

use std::time::Duration;

use super::{Call, Outcome, chat, trouble};
use crate::shell::host::Answer;
use crate::shell::language::failure::ErrorRecord;
use crate::shell::language::value::Value;
use crate::shell::sql::{Sql, SqlTrouble, literal};
use crate::shell::topology::{Pair, SqlStore};

/// How long a failover may take until the new principal is seen.
const FAILOVER_WAIT: Duration = Duration::from_secs(60);

impl Call<'_> {
    /// A session of the person who runs the shell.
    pub(super) async fn open(&self, store: &SqlStore) -> Result<Sql, SqlTrouble> {
        Sql::open(
            self.shell.connections(),
            &self.shell.topology().shell_site,
            store,
            self.shell.sql_login(),
            "Management Shell",
            "master",
        )
        .await
    }

    /// The pairs that a pool uses now, of one type or of all.
    fn pairs(&self, local: bool) -> Result<Vec<Pair>, ErrorRecord> {
        let fqdn = self.bound.text("PoolFqdn");
        let Some(pool) =
            self.shell.topology().pools.iter().find(|pool| pool.fqdn.eq_ignore_ascii_case(&fqdn))
        else {
            return Err(trouble(
                "ObjectNotFound",
                "PoolNotFound",
                format!("The topology has no pool {fqdn} with databases of this shell."),
            )
            .about(&fqdn, "Fqdn"));
        };
        let settings = chat::settings(self, local)?;
        let mut pairs = pool.pairs_in(settings.pool_state(&pool.fqdn));
        if self.bound.has("DatabaseType") {
            let wanted = self.bound.text("DatabaseType");
            pairs.retain(|pair| pair.database_type == wanted);
            if pairs.is_empty() {
                return Err(trouble(
                    "ObjectNotFound",
                    "DatabaseNotFound",
                    format!("The pool {fqdn} has no database of type {wanted}."),
                ));
            }
        }
        Ok(pairs)
    }
}

/// An error of a cmdlet because of SQL Server.
pub(super) fn sql_trouble(doing: &str, why: &SqlTrouble) -> ErrorRecord {
    let id = match why {
        SqlTrouble::Unreachable(_) => "SqlServerNotReachable",
        SqlTrouble::Refused(..) => "SqlExecutionFailed",
    };
    trouble("InvalidOperation", id, format!("{doing} failed: {why}"))
}

/// What an instance says about its part in a mirroring session.
pub(super) struct Part {
    pub(super) role: String,
    pub(super) state: String,
}

/// `None` when the database is not mirrored or does not exist there.
pub(super) async fn part(sql: &mut Sql, database: &str) -> Result<Option<Part>, SqlTrouble> {
    let answer = sql
        .run(&format!(
            "SELECT m.mirroring_role_desc, m.mirroring_state_desc FROM sys.database_mirroring AS \
             m JOIN sys.databases AS d ON d.database_id = m.database_id WHERE d.name = {} AND \
             m.mirroring_guid IS NOT NULL",
            literal(database)
        ))
        .await?;
    Ok(answer
        .first_text(0)
        .map(|role| Part { role, state: answer.first_text(1).unwrap_or_default() }))
}

async fn part_on(call: &Call<'_>, store: &SqlStore, database: &str) -> Option<Part> {
    let mut sql = call.open(store).await.ok()?;
    part(&mut sql, database).await.ok().flatten()
}

fn capitalised(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut chars = lower.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => lower,
    }
}

pub(super) async fn state(call: &mut Call<'_>) -> Outcome {
    let mut all = Vec::new();
    for pair in call.pairs(call.bound.switch("LocalStore"))? {
        let on_primary = part_on(call, &pair.primary, pair.database).await;
        let on_mirror = match &pair.mirror {
            Some(mirror) => part_on(call, mirror, pair.database).await,
            None => None,
        };
        let role = |part: &Option<Part>| {
            Value::string(part.as_ref().map_or_else(
                || "DatabaseInaccessibleOrMirroringNotEnabled".to_owned(),
                |part| capitalised(&part.role),
            ))
        };
        let status = |part: &Option<Part>| {
            Value::string(part.as_ref().map(|part| part.state.to_lowercase()).unwrap_or_default())
        };
        all.push(Value::object(
            "Microsoft.Rtc.Management.Deployment.DatabaseMirrorState",
            vec![
                ("DatabaseName", Value::string(pair.database)),
                ("StateOnPrimary", role(&on_primary)),
                ("StateOnMirror", role(&on_mirror)),
                ("MirroringStatusOnPrimary", status(&on_primary)),
                (call.shell.mirror_status_property(), status(&on_mirror)),
            ],
        ));
    }
    Ok(all)
}

/// The databases that `-ExcludeDatabaseList` leaves out, in lower case.
pub(super) fn excluded(call: &Call<'_>) -> Vec<String> {
    let list = call.bound.get("ExcludeDatabaseList").cloned().unwrap_or(Value::Null);
    list.enumerate().iter().map(|v| v.text().to_lowercase()).collect()
}

pub(super) async fn failover(call: &mut Call<'_>) -> Outcome {
    let excluded = excluded(call);
    let to_mirror = call.bound.text("NewPrincipal") == "Mirror";
    let force = call.bound.switch("Force");
    let mut answer = Answer::default();
    for pair in call.pairs(call.bound.switch("LocalStore"))? {
        if excluded.contains(&pair.database.to_owned()) {
            continue;
        }
        let Some(mirror) = &pair.mirror else {
            return Err(trouble(
                "InvalidOperation",
                "NoMirrorInTopology",
                format!(
                    "The database {} on {} has no mirror in the topology.",
                    pair.database,
                    pair.primary.name()
                ),
            ));
        };
        let (target, other) =
            if to_mirror { (mirror, &pair.primary) } else { (&pair.primary, mirror) };
        let go = call.host.should_process(
            call.signature,
            call.bound,
            "Invoke-CsDatabaseFailover",
            &format!("{} to {}", pair.database, target.name()),
            &mut answer,
        )?;
        if !go {
            continue;
        }
        fail_over_to(call, &pair, target, other, force).await?;
    }
    Ok(Vec::new())
}

async fn fail_over_to(
    call: &mut Call<'_>,
    pair: &Pair,
    target: &SqlStore,
    other: &SqlStore,
    force: bool,
) -> Result<(), ErrorRecord> {
    let doing = format!("The failover of {} to {}", pair.database, target.name());
    let failed = |why: &SqlTrouble| sql_trouble(&doing, why);
    let mut on_target = call.open(target).await.map_err(|why| failed(&why))?;
    match part(&mut on_target, pair.database).await.map_err(|why| failed(&why))? {
        None => {
            return Err(trouble(
                "InvalidOperation",
                "DatabaseNotMirrored",
                format!("{doing} failed: the database is not mirrored there."),
            ));
        }
        Some(part) if part.role.eq_ignore_ascii_case("PRINCIPAL") => {
            call.host.warning(&format!(
                "{} is the principal of {} already.",
                target.name(),
                pair.database
            ));
            return Ok(());
        }
        Some(_) => {}
    }
    match call.open(other).await {
        Ok(mut on_principal) => {
            on_principal
                .run(&format!("ALTER DATABASE [{}] SET PARTNER FAILOVER", pair.database))
                .await
                .map_err(|why| failed(&why))?;
        }
        Err(why) if !force => {
            let mut record = failed(&why);
            record
                .message
                .push_str(" Say -Force to fail over although the current principal is lost.");
            return Err(record);
        }
        Err(_) => {
            on_target
                .run(&format!(
                    "ALTER DATABASE [{}] SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
                    pair.database
                ))
                .await
                .map_err(|why| failed(&why))?;
        }
    }
    let deadline = tokio::time::Instant::now() + FAILOVER_WAIT;
    loop {
        let seen = part(&mut on_target, pair.database).await;
        match seen {
            Ok(Some(part)) if part.role.eq_ignore_ascii_case("PRINCIPAL") => return Ok(()),
            // The change of role may end the session.
            Err(SqlTrouble::Unreachable(_)) => {
                if let Ok(again) = call.open(target).await {
                    on_target = again;
                }
            }
            _ => {}
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(trouble(
                "OperationTimeout",
                "FailoverNotSeen",
                format!(
                    "{doing} was started, but {} did not become the principal within {} seconds.",
                    target.name(),
                    FAILOVER_WAIT.as_secs()
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
