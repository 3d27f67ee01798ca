//! One suite that holds every implementation of the ports to its contract.
//!
//! The in-memory mock, the stand-ins over the wire and real servers all pass it; whoever writes a port
//! of their own runs it in their tests. Each function returns how many claims it checked, or the first
//! that does not hold.
//!
//! ```
//! # use pcdr_core::{conformance, mock::MockWorld, Topology};
//! # let topology = Topology::parse(pcdr_core::topology::EXAMPLE).unwrap();
//! # let world = MockWorld::new(topology);
//! # let ports = world.ports();
//! # fn block_on<F: Future>(f: F) -> F::Output {
//! #     let mut f = std::pin::pin!(f);
//! #     let mut c = std::task::Context::from_waker(std::task::Waker::noop());
//! #     loop { if let std::task::Poll::Ready(o) = f.as_mut().poll(&mut c) { return o } }
//! # }
//! let checked = block_on(conformance::run_store(&*ports.store)).unwrap();
//! assert!(checked > 3);
//! ```

use crate::error::ErrorCode;
use crate::journal::{Entry, Event};
use crate::known::Known;
use crate::name::DatabaseName;
use crate::observation::{InstanceObservation, LogBackupFiles, MirroringRole, PoolState};
use crate::ports::{
    BackupFiles, DatabaseInstance, LogShippingJobs, Owner, PoolControl, RunStore, Unwatched,
};
use crate::step::{DatabaseAction, FileAction, LogShippingAction, PoolAction};
use crate::time::Timestamp;

/// A claim of a contract that an implementation does not keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the contract says “{claim}”, but {found}")]
pub struct ContractBroken {
    /// The claim.
    pub claim: &'static str,
    /// What was found.
    pub found: String,
}

struct Claims {
    kept: usize,
}

impl Claims {
    fn new() -> Claims {
        Claims { kept: 0 }
    }

    fn hold(
        &mut self,
        claim: &'static str,
        holds: bool,
        found: impl std::fmt::Debug,
    ) -> Result<(), ContractBroken> {
        if !holds {
            return Err(ContractBroken { claim, found: format!("{found:?}") });
        }
        self.kept += 1;
        Ok(())
    }
}

/// Names that nobody should give a database, and that must work all the same.
pub fn hostile_names() -> Vec<DatabaseName> {
    let mut names: Vec<DatabaseName> = [
        "m]gc",
        "[m]]gc]",
        "o'brien",
        "a'; DROP DATABASE master; --",
        "/* comment */",
        "with blank ",
        "-- x",
        "N'x'",
        "Überprüfung 聊天 😀",
        "%_[a-z]",
    ]
    .map(DatabaseName::from)
    .to_vec();
    names.push("ﬀ".repeat(128).as_str().into());
    names
}

/// Checks a [`DatabaseInstance`] that holds `database`, ONLINE and writable, with nobody else changing
/// it. Changes nothing that matters: it sets the recovery model to FULL and ends sessions in it.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn database_instance(
    port: &dyn DatabaseInstance,
    database: &DatabaseName,
) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let asked = [database.clone()];

    let first = port.observe(&asked).await;
    claims.hold("an instance that answers can be observed", first.is_ok(), &first)?;
    let second = port.observe(&asked).await;
    let same = matches!((&first, &second), (Ok(a), Ok(b)) if settled(a) == settled(b));
    claims.hold("observing changes nothing", same, (&first, &second))?;
    let there = first.as_ref().is_ok_and(|seen| knows(seen, database) == Some(true));
    claims.hold("a database that exists is observed", there, &first)?;

    let hostile = hostile_names();
    let seen = port.observe(&hostile).await;
    let absent =
        seen.as_ref().is_ok_and(|seen| hostile.iter().all(|name| knows(seen, name) == Some(false)));
    claims.hold(
        "a database of a hostile name that does not exist is known not to",
        absent,
        &seen,
    )?;

    for action in [DatabaseAction::SetRecoveryFull, DatabaseAction::EndSessions] {
        for _ in 0..2 {
            let done = port.run(database, &action, &Unwatched).await;
            claims.hold(
                "an action whose effect is there succeeds",
                done.is_ok(),
                (&action, &done),
            )?;
        }
    }
    let recover = DatabaseAction::Recover { expect: None };
    let done = port.run(database, &recover, &Unwatched).await;
    claims.hold("recovering an online database succeeds", done.is_ok(), &done)?;

    let before = port.observe(&asked).await;
    let missing = DatabaseAction::RestoreLog {
        path: r"\\no-such-server\no such share\o'brien].trn".into(),
        log: Some(crate::step::LogRange {
            first_lsn: crate::Lsn::default(),
            last_lsn: crate::Lsn::MAX,
            last_fork: crate::Guid(1),
        }),
    };
    let failed = port.run(database, &missing, &Unwatched).await;
    claims.hold("restoring a log into an online database fails", failed.is_err(), &failed)?;
    let failed = port.run(database, &DatabaseAction::ForceService, &Unwatched).await;
    let claim = "a database that serves is not forced into service as somebody's mirror";
    claims.hold(claim, failed.is_err() || is_principal(&before, database), &failed)?;
    let after = port.observe(&asked).await;
    let same = matches!((&before, &after), (Ok(a), Ok(b)) if settled(a) == settled(b));
    claims.hold("a failed action leaves the database as it was", same, (&before, &after))?;

    for name in hostile {
        let failed = port.run(&name, &DatabaseAction::SetRecoveryFull, &Unwatched).await;
        let claim = "an action on a database that does not exist is an error of the instance";
        claims.hold(claim, failed.is_err(), (&name, &failed))?;
    }
    Ok(claims.kept)
}

/// Checks both partners of a mirroring session, each as [`DatabaseInstance`]: `database` is ONLINE on
/// `principal` and SYNCHRONIZED. Swaps the roles and swaps them back.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn mirroring_partners(
    principal: &dyn DatabaseInstance,
    mirror: &dyn DatabaseInstance,
    database: &DatabaseName,
) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let asked = [database.clone()];
    let forced = mirror.run(database, &DatabaseAction::ForceService, &Unwatched).await;
    claims.hold("service is not forced while the principal is there", forced.is_err(), &forced)?;
    for (from, to) in [(principal, mirror), (mirror, principal)] {
        for _ in 0..2 {
            let done = from.run(database, &DatabaseAction::FailOverMirror, &Unwatched).await;
            claims.hold("failing over what has failed over succeeds", done.is_ok(), &done)?;
        }
        let done = to.run(database, &DatabaseAction::AwaitSynchronized, &Unwatched).await;
        claims.hold("a failover ends SYNCHRONIZED", done.is_ok(), &done)?;
        let (left, taken) = (from.observe(&asked).await, to.observe(&asked).await);
        let writable = |seen: &Result<InstanceObservation, _>| {
            let all = seen.as_ref().ok().and_then(|seen| seen.databases.known());
            all.and_then(|all| all.get(database)).is_some_and(|copy| copy.is_writable())
        };
        let moved = writable(&taken) && is_principal(&taken, database);
        claims.hold("the former mirror serves as principal", moved, &taken)?;
        let left_alone = !writable(&left) && !is_principal(&left, database);
        claims.hold("the former principal does not serve any more", left_alone, &left)?;
    }
    Ok(claims.kept)
}

/// Checks [`LogShippingJobs`] of an instance on which `database` is *not* log-shipped.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn log_shipping_jobs(
    port: &dyn LogShippingJobs,
    database: &DatabaseName,
) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let nobody = LogShippingAction::RemovePrimarySecondary {
        secondary_server: "o'brien]".into(),
        secondary_database: "m]gc".into(),
    };
    let unknown = LogShippingAction::RemoveSecondaryPrimary { primary_server: "o'brien]".into() };
    for action in [
        LogShippingAction::HoldSecondaryJobs,
        LogShippingAction::RemoveSecondary,
        LogShippingAction::RemovePrimary,
        nobody,
        unknown,
    ] {
        let done = port.run(database, &action, &Unwatched).await;
        claims.hold("what is not there need not be removed", done.is_ok(), (&action, &done))?;
        for name in hostile_names() {
            let done = port.run(&name, &action, &Unwatched).await;
            claims.hold("hostile names are only names", done.is_ok(), (&name, &done))?;
        }
    }
    let register = LogShippingAction::AddPrimarySecondary {
        secondary_server: "o'brien]".into(),
        secondary_database: "m]gc".into(),
    };
    let failed = port.run(database, &register, &Unwatched).await;
    let claim = "a secondary cannot be registered for a database that is no primary";
    claims.hold(claim, failed.is_err(), &failed)?;
    Ok(claims.kept)
}

/// Checks [`BackupFiles`] with at least one log backup of `database` in the backup share.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn backup_files(
    port: &dyn BackupFiles,
    database: &DatabaseName,
) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let listed = port.list(database, &[]).await;
    let share = listed.as_ref().ok().and_then(|files| files.share.known()).cloned();
    let Some(file) = share.as_ref().and_then(|files| files.first()).cloned() else {
        claims.hold("the backup share is listed", false, &listed)?;
        return Ok(claims.kept);
    };
    let readable = file.header.known().is_some();
    claims.hold("a whole log backup has a header", readable, &file)?;
    let again = port.list(database, share.as_deref().unwrap_or_default()).await;
    claims.hold(
        "headers read before need not be read again",
        paths(&again) == paths(&listed),
        &again,
    )?;

    let copy = FileAction::Copy {
        name: file.name.clone(),
        size_bytes: Some(file.size_bytes),
        replaces_unreadable: false,
    };
    for _ in 0..2 {
        let done = port.run(database, &copy, &Unwatched).await;
        claims.hold("copying a file that is there already succeeds", done.is_ok(), &done)?;
    }
    let copied = port.list(database, &[]).await;
    let there = copied.as_ref().ok().and_then(|files| files.copied.known()).is_some_and(|all| {
        all.iter().any(|other| {
            other.name == file.name
                && other.size_bytes == file.size_bytes
                && other.header == file.header
        })
    });
    claims.hold("a copied file is complete under its name", there, &copied)?;

    let missing = FileAction::Copy {
        name: "no such o'brien].trn".into(),
        size_bytes: Some(1),
        replaces_unreadable: false,
    };
    let failed = port.run(database, &missing, &Unwatched).await;
    claims.hold("copying a file that is not there fails", failed.is_err(), &failed)?;
    let after = port.list(database, &[]).await;
    claims.hold("a failed copy leaves nothing behind", paths(&after) == paths(&copied), &after)?;
    Ok(claims.kept)
}

/// Checks a [`PoolControl`] of a pool in state `Normal`; leaves it so.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn pool_control(port: &dyn PoolControl) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let first = port.observe().await;
    let state = first.as_ref().ok().and_then(|seen| seen.state.known()).copied();
    claims.hold("the state of the pool is observed", state == Some(PoolState::Normal), &first)?;
    for state in
        [PoolState::Normal, PoolState::FailedOver, PoolState::FailedOver, PoolState::Normal]
    {
        let done = port.run(&PoolAction::SetState(state), &Unwatched).await;
        claims.hold("an action whose effect is there succeeds", done.is_ok(), (state, &done))?;
        let seen = port.observe().await;
        let is = seen.as_ref().ok().and_then(|seen| seen.state.known()).copied();
        claims.hold("a state that was set is observed", is == Some(state), (state, &seen))?;
    }
    let nowhere = PoolAction::FailOverDatabase {
        database: "o'brien]".into(),
        from: "no such instance".into(),
        to: "nor this one".into(),
        new_principal: crate::step::NewPrincipal::Mirror,
        force: false,
    };
    let failed = port.run(&nowhere, &Unwatched).await;
    claims.hold("a database that is not the pool's cannot fail over", failed.is_err(), &failed)?;
    Ok(claims.kept)
}

/// Checks a [`RunStore`] that nobody else uses; appends two entries.
///
/// # Errors
///
/// The first claim that does not hold.
pub async fn run_store(port: &dyn RunStore) -> Result<usize, ContractBroken> {
    let mut claims = Claims::new();
    let (a, b) =
        (Owner { who: "a".into(), run: "1".into() }, Owner { who: "b".into(), run: "2".into() });
    let lock = port.lock(&a).await;
    claims.hold("a free lock can be taken", lock.is_ok(), lock.as_ref().err())?;
    let refused = port.lock(&b).await.err();
    let locked = refused.as_ref().is_some_and(|error| error.code == ErrorCode::Locked);
    claims.hold("a held lock cannot be taken", locked, &refused)?;
    let named = refused.as_ref().is_some_and(|error| error.to_string().contains(&a.to_string()));
    claims.hold("whoever wants a held lock learns who holds it", named, &refused)?;
    drop(lock);
    let lock = port.lock(&b).await;
    claims.hold("a dropped lock is free", lock.is_ok(), lock.as_ref().err())?;

    let before = port.entries().await.unwrap_or_default();
    let mut last = before.last().cloned();
    let mut appended = before;
    for succeeded in [false, true] {
        let at = Timestamp::from_unix_millis(1);
        let entry = Entry::following(last.as_ref(), at, "2", "b", Event::RunEnded { succeeded });
        let done = port.append(&entry).await;
        claims.hold("an entry can be appended", done.is_ok(), &done)?;
        last = Some(entry.clone());
        appended.push(entry);
    }
    let entries = port.entries().await;
    let same = entries.as_ref().is_ok_and(|entries| *entries == appended);
    claims.hold("entries come back in the order appended", same, &entries)?;
    Ok(claims.kept)
}

/// An observation without what changes by itself.
fn settled(seen: &InstanceObservation) -> InstanceObservation {
    let mut seen = seen.clone();
    seen.observed_at = Timestamp::from_unix_millis(0);
    if let Known::Known(databases) = &mut seen.databases {
        for copy in databases.values_mut() {
            copy.server_pings = Known::unknown("not_compared", "changes by itself");
            copy.log_since_backup_bytes = Known::unknown("not_compared", "changes by itself");
            copy.sessions = Known::unknown("not_compared", "changes by itself");
            if let Known::Known(Some(session)) = &mut copy.mirroring {
                session.end_of_log_lsn = None;
            }
        }
    }
    seen
}

fn is_principal(
    seen: &Result<InstanceObservation, crate::InstanceError>,
    database: &DatabaseName,
) -> bool {
    let all = seen.as_ref().ok().and_then(|seen| seen.databases.known());
    let role = all.and_then(|all| all.get(database)).and_then(|copy| copy.mirroring_role());
    role == Some(MirroringRole::Principal)
}

fn knows(seen: &InstanceObservation, database: &DatabaseName) -> Option<bool> {
    seen.databases.known().map(|all| all.contains_key(database))
}

fn paths(files: &Result<LogBackupFiles, crate::InstanceError>) -> Option<Vec<String>> {
    let files = files.as_ref().ok()?;
    let mut paths: Vec<String> = [&files.share, &files.copied]
        .into_iter()
        .filter_map(Known::known)
        .flatten()
        .map(|file| file.path.clone())
        .collect();
    paths.sort();
    Some(paths)
}
