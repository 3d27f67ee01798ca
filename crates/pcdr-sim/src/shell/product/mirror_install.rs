//! Installation and removal of mirrors.

use std::time::Duration;

use super::mirror::{part, sql_trouble};
use super::{Call, Outcome, trouble};
use crate::shell::host::Answer;
use crate::shell::language::failure::ErrorRecord;
use crate::shell::sql::{Sql, SqlTrouble, literal};
use crate::shell::topology::{Pair, SqlStore};

/// How long a mirror may take to catch up before its witness is set.
const SYNCHRONIZE_WAIT: Duration = Duration::from_secs(600);

/// Port of a witness endpoint that Topology Builder suggests.
const WITNESS_PORT: u16 = 7022;

fn designed(call: &Call<'_>) -> Vec<Pair> {
    call.shell.topology().pools.iter().flat_map(|pool| pool.pairs()).collect()
}

/// The pairs that the parameters name.
fn wanted(call: &Call<'_>) -> Result<Vec<Pair>, ErrorRecord> {
    let host = call.bound.text("SqlServerFqdn");
    let mut pairs = designed(call);
    if call.bound.has("ConfiguredDatabases") {
        if call.bound.has("ForInstance") && call.bound.switch("ForDefaultInstance") {
            return Err(trouble(
                "InvalidArgument",
                "ForInstanceAndForDefaultInstance",
                "ForInstance and ForDefaultInstance exclude each other.",
            ));
        }
        pairs.retain(|pair| pair.primary.fqdn.eq_ignore_ascii_case(&host));
        if call.bound.has("ForInstance") {
            let instance = call.bound.text("ForInstance");
            pairs.retain(|pair| pair.primary.instance.eq_ignore_ascii_case(&instance));
        } else if call.bound.switch("ForDefaultInstance") {
            pairs.retain(|pair| pair.primary.instance.is_empty());
        }
    } else {
        let instance = call.bound.text("SqlInstanceName");
        let database_type = call.bound.text("DatabaseType");
        pairs.retain(|pair| {
            pair.database_type == database_type && pair.primary.is(&host, &instance)
        });
    }
    let excluded = super::mirror::excluded(call);
    pairs.retain(|pair| !excluded.contains(&pair.database.to_owned()));
    if pairs.is_empty() {
        return Err(trouble(
            "ObjectNotFound",
            "DatabaseNotFound",
            format!(
                "The topology has no such database with {host} as its primary SQL Server \
                 instance."
            ),
        )
        .about(&host, "Fqdn"));
    }
    Ok(pairs)
}

fn mirror_of(pair: &Pair) -> Result<&SqlStore, ErrorRecord> {
    pair.mirror.as_ref().ok_or_else(|| {
        trouble(
            "InvalidOperation",
            "NoMirrorInTopology",
            format!(
                "The database {} on {} has no mirror in the topology: add one in Topology \
                 Builder and publish.",
                pair.database,
                pair.primary.name()
            ),
        )
    })
}

pub(super) async fn install(call: &mut Call<'_>) -> Outcome {
    let share = call.bound.text("FileShare");
    // A directory stands for a share where the stand-in runs.
    if !(share.starts_with("\\\\") || share.starts_with('/')) {
        return Err(trouble(
            "InvalidArgument",
            "FileShareIsNotUnc",
            format!("The file share \"{share}\" is not a UNC path."),
        )
        .about(&share, "String"));
    }
    let pairs = wanted(call)?;
    for pair in &pairs {
        let mirror = mirror_of(pair)?;
        call.host.line(&format!("Database Name:{}", pair.database));
        call.host.line(&format!("    Primary SQL: {}", pair.primary.name()));
        call.host.line(&format!("    Mirror SQL: {}", mirror.name()));
        let witness = pair.witness.as_ref().map_or_else(|| "none".to_owned(), SqlStore::name);
        call.host.line(&format!("    Witness SQL: {witness}"));
    }
    let mut answer = Answer::default();
    for pair in &pairs {
        let mirror = mirror_of(pair)?;
        let go = call.host.should_process(
            call.signature,
            call.bound,
            "Install-CsMirrorDatabase",
            &format!("{} on {}", pair.database, mirror.name()),
            &mut answer,
        )?;
        if go {
            install_one(call, pair, mirror, &share).await?;
        }
    }
    Ok(Vec::new())
}

async fn install_one(
    call: &mut Call<'_>,
    pair: &Pair,
    mirror: &SqlStore,
    share: &str,
) -> Result<(), ErrorRecord> {
    let doing = format!("The installation of the mirror of {} on {}", pair.database, mirror.name());
    let failed = |why: SqlTrouble| sql_trouble(&doing, &why);
    let database = pair.database;
    let mut primary = call.open(&pair.primary).await.map_err(failed)?;
    let mut on_mirror = call.open(mirror).await.map_err(failed)?;

    if part(&mut primary, database).await.map_err(failed)?.is_some() {
        return Err(trouble(
            "InvalidOperation",
            "DatabaseAlreadyMirrored",
            format!("{doing} failed: the database is mirrored already."),
        ));
    }
    let recovery = primary
        .run(&format!(
            "SELECT recovery_model_desc FROM sys.databases WHERE name = {}",
            literal(database)
        ))
        .await
        .map_err(failed)?;
    match recovery.first_text(0) {
        None => {
            return Err(trouble(
                "ObjectNotFound",
                "DatabaseNotFound",
                format!("{doing} failed: {} has no database {database}.", pair.primary.name()),
            ));
        }
        Some(model) if model.eq_ignore_ascii_case("FULL") => {}
        Some(_) => {
            primary
                .run(&format!("ALTER DATABASE [{database}] SET RECOVERY FULL"))
                .await
                .map_err(failed)?;
        }
    }
    remove_old_copy(call, &mut on_mirror, database, &doing).await?;

    let primary_port =
        endpoint(&mut primary, pair.primary.mirroring_port, "PARTNER").await.map_err(failed)?;
    let mirror_port =
        endpoint(&mut on_mirror, mirror.mirroring_port, "PARTNER").await.map_err(failed)?;

    let separator = if share.starts_with('/') { '/' } else { '\\' };
    let stem = format!("{}{separator}{database}", share.trim_end_matches(separator));
    let (full, log) =
        (literal(&format!("{stem}_mirror.bak")), literal(&format!("{stem}_mirror.trn")));
    call.host.verbose(&format!("Backing up {database}."));
    for batch in [
        format!("BACKUP DATABASE [{database}] TO DISK = {full} WITH FORMAT, INIT"),
        format!("BACKUP LOG [{database}] TO DISK = {log} WITH FORMAT, INIT"),
    ] {
        primary.run(&batch).await.map_err(failed)?;
    }
    call.host.verbose(&format!("Restoring {database}."));
    let moves = moves(call, pair, &mut on_mirror, &full).await.map_err(failed)?;
    for batch in [
        format!("RESTORE DATABASE [{database}] FROM DISK = {full} WITH NORECOVERY{moves}"),
        format!("RESTORE LOG [{database}] FROM DISK = {log} WITH NORECOVERY"),
        partner(database, &pair.primary.fqdn, primary_port),
    ] {
        on_mirror.run(&batch).await.map_err(failed)?;
    }
    primary.run(&partner(database, &mirror.fqdn, mirror_port)).await.map_err(failed)?;

    if let Some(witness) = &pair.witness {
        let suggested = match witness.mirroring_port {
            0 => WITNESS_PORT,
            port => port,
        };
        let mut on_witness = call.open(witness).await.map_err(failed)?;
        let port = endpoint(&mut on_witness, suggested, "WITNESS").await.map_err(failed)?;
        await_synchronized(&mut primary, database, &doing).await?;
        primary
            .run(&format!(
                "ALTER DATABASE [{database}] SET WITNESS = {}",
                literal(&format!("TCP://{}:{port}", witness.fqdn))
            ))
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// A witness is only accepted once the mirror has caught up (error 1426), so that is waited for.
async fn await_synchronized(
    primary: &mut Sql,
    database: &str,
    doing: &str,
) -> Result<(), ErrorRecord> {
    let deadline = tokio::time::Instant::now() + SYNCHRONIZE_WAIT;
    loop {
        let session = part(primary, database).await.map_err(|why| sql_trouble(doing, &why))?;
        let state = session.map(|part| part.state).unwrap_or_default();
        if state.eq_ignore_ascii_case("SYNCHRONIZED") {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(trouble(
                "OperationTimeout",
                "SynchronizedNotSeen",
                format!(
                    "{doing} was started, but the session was not SYNCHRONIZED within {} seconds.",
                    SYNCHRONIZE_WAIT.as_secs()
                ),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn partner(database: &str, fqdn: &str, port: u16) -> String {
    format!(
        "ALTER DATABASE [{database}] SET PARTNER = {}",
        literal(&format!("TCP://{fqdn}:{port}"))
    )
}

/// A database of that name on the mirror is dropped when the caller said so.
async fn remove_old_copy(
    call: &Call<'_>,
    on_mirror: &mut Sql,
    database: &str,
    doing: &str,
) -> Result<(), ErrorRecord> {
    let failed = |why: SqlTrouble| sql_trouble(doing, &why);
    let found = on_mirror
        .run(&format!("SELECT name FROM sys.databases WHERE name = {}", literal(database)))
        .await
        .map_err(failed)?;
    if found.first(0).is_none() {
        return Ok(());
    }
    if !call.bound.switch("DropExistingDatabasesOnMirror") {
        return Err(trouble(
            "ResourceExists",
            "DatabaseExistsOnMirror",
            format!(
                "{doing} failed: a database of this name exists there. Say \
                 -DropExistingDatabasesOnMirror to drop it."
            ),
        ));
    }
    if part(on_mirror, database).await.map_err(failed)?.is_some() {
        on_mirror
            .run(&format!("ALTER DATABASE [{database}] SET PARTNER OFF"))
            .await
            .map_err(failed)?;
    }
    on_mirror.run(&format!("DROP DATABASE [{database}]")).await.map_err(failed)?;
    Ok(())
}

/// The port of the mirroring endpoint: that of an existing one, otherwise a new one's.
/// Source: "Deploy SQL mirroring for Back End Server high availability": an existing mirroring
/// endpoint is reused with its own port.
async fn endpoint(sql: &mut Sql, port: u16, role: &str) -> Result<u16, SqlTrouble> {
    const QUERY: &str = "SELECT t.port FROM sys.tcp_endpoints AS t JOIN \
                         sys.database_mirroring_endpoints AS m ON m.endpoint_id = t.endpoint_id";
    let found = sql.run(QUERY).await?;
    if let Some(port) = found.first_text(0).and_then(|port| port.parse().ok()) {
        return Ok(port);
    }
    let port = if port == 0 { 5022 } else { port };
    sql.run(&format!(
        "CREATE ENDPOINT [mirroring_endpoint] STATE = STARTED AS TCP (LISTENER_PORT = {port}) \
         FOR DATABASE_MIRRORING (ROLE = {role})"
    ))
    .await?;
    Ok(port)
}

/// `MOVE` options from `-DatabasePathMap`, whose keys look like `PersistentChat:DbPath`.
async fn moves(
    call: &Call<'_>,
    pair: &Pair,
    on_mirror: &mut Sql,
    full: &str,
) -> Result<String, SqlTrouble> {
    let Some(map) = call.bound.get("DatabasePathMap") else {
        return Ok(String::new());
    };
    let folder =
        |what: &str| map.property(&format!("{}:{what}", pair.database_type)).map(|v| v.text());
    let list = on_mirror.run(&format!("RESTORE FILELISTONLY FROM DISK = {full}")).await?;
    let mut moves = String::new();
    let Some(files) = list.results.first() else {
        return Ok(moves);
    };
    let column = |name: &str| files.columns.iter().position(|c| c.name.eq_ignore_ascii_case(name));
    let (Some(logical), Some(physical), Some(kind)) =
        (column("LogicalName"), column("PhysicalName"), column("Type"))
    else {
        return Ok(moves);
    };
    for row in &files.rows {
        let text = |at: usize| match row.get(at) {
            Some(crate::value::Value::String(text)) => text.to_string(),
            _ => String::new(),
        };
        let what = if text(kind).starts_with('L') { "LogPath" } else { "DbPath" };
        if let Some(folder) = folder(what) {
            let path = text(physical);
            let file = path.rsplit(['\\', '/']).next().unwrap_or_default();
            let separator = if folder.starts_with('/') { '/' } else { '\\' };
            let target = format!("{}{separator}{file}", folder.trim_end_matches(separator));
            moves.push_str(&format!(", MOVE {} TO {}", literal(&text(logical)), literal(&target)));
        }
    }
    Ok(moves)
}

pub(super) async fn uninstall(call: &mut Call<'_>) -> Outcome {
    let mut answer = Answer::default();
    for pair in wanted(call)? {
        let mirror = mirror_of(&pair)?;
        let doing = format!("The removal of the mirror of {} on {}", pair.database, mirror.name());
        let failed = |why: SqlTrouble| sql_trouble(&doing, &why);
        let go = call.host.should_process(
            call.signature,
            call.bound,
            "Uninstall-CsMirrorDatabase",
            &format!("{} on {}", pair.database, mirror.name()),
            &mut answer,
        )?;
        if !go {
            continue;
        }
        let mut primary = call.open(&pair.primary).await.map_err(failed)?;
        if part(&mut primary, pair.database).await.map_err(failed)?.is_some() {
            primary
                .run(&format!("ALTER DATABASE [{}] SET PARTNER OFF", pair.database))
                .await
                .map_err(failed)?;
        } else {
            call.host.warning(&format!("The database {} is not mirrored.", pair.database));
        }
        if call.bound.switch("DropExistingDatabasesOnMirror") {
            let mut on_mirror = call.open(mirror).await.map_err(failed)?;
            remove_old_copy(call, &mut on_mirror, pair.database, &doing).await?;
        }
    }
    Ok(Vec::new())
}
