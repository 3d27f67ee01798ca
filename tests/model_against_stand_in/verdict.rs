//! What came of a step: the model and the stand-in agree, or they differ in something that the model
//! leaves out on purpose, or one of them is wrong.

use pcdr_core::step::DatabaseAction;
use pcdr_core::{Action, ErrorCode, InstanceError};

use crate::facts::{ABSENT, Difference, Facts};
use crate::kind::Kind;

/// A step that was predicted and carried out.
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) action: Action,
    pub(crate) before: Facts,
    /// What the model predicts, or why it calls the step impossible.
    pub(crate) predicted: Result<Facts, String>,
    /// What the port said, and the read-back of the effect.
    pub(crate) done: Result<(), InstanceError>,
    pub(crate) observed: Facts,
    /// What has changed, of everything that can be observed.
    pub(crate) changed: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// Possible for both, and all facts are as predicted, but for what is left out.
    Possible,
    /// Impossible for both; nothing has changed.
    Impossible,
    /// Impossible for the model; the port found it done already and has changed nothing.
    DoneAlready,
    /// Only the model calls it possible, for a reason that is left out; nothing has changed.
    OnlyForTheModel,
    /// Only the port calls it possible, for a reason that is left out.
    OnlyForThePort,
    /// One of them is wrong.
    Wrong(String),
}

macro_rules! left_out {
    ($($name:ident = $reason:literal),* $(,)?) => {
        /// What the model leaves out on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum LeftOut { $($name),* }

        impl LeftOut {
            pub(crate) const ALL: &[LeftOut] = &[$(LeftOut::$name),*];

            /// Why.
            pub(crate) fn reason(self) -> &'static str {
                match self { $(LeftOut::$name => $reason),* }
            }
        }
    };
}

left_out! {
    // What a step that both call possible does beyond the prediction.
    NewFork = "a recovered copy is on a fork of its own, whose name cannot be foretold",
    OwnBackups = "a log backup that a step takes is known by its path, not by its content",
    PositionOfRoles = "after a swap each partner's position is counted in the other way",
    MirrorStream = "a mirror's position moves with its principal",
    CopyJob = "which files the copy job takes is the job's decision",
    Sessions = "clients come and go, and go with the database",
    // Why only the model calls a step possible.
    StoreReadOnly = "no documented command tells that the configuration store is read-only",
    SessionState = "whether a session synchronizes is waited for, not foretold",
    Handshake = "endpoints, rights and log of a mirroring session are tried, not foretold",
    Endpoint = "an endpoint that exists is compared by the port",
    Settings = "an entry that exists is compared by the port",
    OtherFile = "files are compared by the port when they are copied or written",
    JobRun = "a job can fail, which its record tells",
    Installation = "what a cmdlet does inside is its own; it may stop half way",
    TakenLog = "which log a backup will hold that a step takes is not known before",
    NoFullBackup = "whether a full backup was ever taken is not observed",
    Silence = "whether chat servers reach their database is waited for, not foretold",
    ReaderDown = "headers of backups are unknown while the instance that reads them is down",
    // Why only the port calls a step possible: plans are held to more than servers are.
    Replaces = "a plan restores over a copy, or drops one, only where it says so",
    NotOfThePlan = "a plan restores only what it took, or what was listed and copied",
    NotWritable = "a plan treats a copy that takes no writes as no primary",
    EntryAlone = "a plan makes no entry for a database that is not there, or not in its role",
}

pub(crate) fn judge(case: &Case) -> (Verdict, Vec<LeftOut>) {
    match (&case.predicted, &case.done) {
        (Ok(predicted), Ok(())) => {
            let mut left_out = Vec::new();
            for difference in predicted.differences(&case.observed) {
                match of_difference(case, &difference) {
                    Some(found) => left_out.push(found),
                    None => {
                        let Difference { field, predicted, observed, .. } = &difference;
                        let short = |text: &str| text.chars().take(24).collect::<String>();
                        let signature = match *field {
                            "position" | "fork" | "family" | "log" => String::new(),
                            _ => format!(": {} became {}", short(predicted), short(observed)),
                        };
                        let text = format!("{:?} {field}{signature} | {difference:?}", case.kind);
                        return (Verdict::Wrong(text), left_out);
                    }
                }
            }
            (Verdict::Possible, left_out)
        }
        (Err(_), Err(error)) => match (&case.changed, of_change(case, error)) {
            (None, _) => (Verdict::Impossible, Vec::new()),
            (Some(_), Some(left_out)) => (Verdict::Impossible, vec![left_out]),
            (Some(changed), None) => {
                let how = format!("{:?} fails ({}) and changes", case.kind, error.code.as_str());
                (Verdict::Wrong(format!("{how} | {changed}")), Vec::new())
            }
        },
        (Err(_), Ok(())) if case.changed.is_none() => (Verdict::DoneAlready, Vec::new()),
        (Err(impossible), Ok(())) => match of_impossible(case, impossible) {
            Some(found) => (Verdict::OnlyForThePort, vec![found]),
            None => {
                let changed = case.changed.clone().unwrap_or_default();
                let text = format!("{:?} impossible, done | {impossible}: {changed}", case.kind);
                (Verdict::Wrong(text), Vec::new())
            }
        },
        (Ok(_), Err(error)) => {
            let (code, number) = (error.code.as_str(), error.number.unwrap_or_default());
            if let (Some(changed), None) = (&case.changed, of_change(case, error)) {
                let how = format!("{:?} fails ({code} {number}) and changes", case.kind);
                return (Verdict::Wrong(format!("{how} | {changed}")), Vec::new());
            }
            match of_failure(case, error) {
                Some(found) => (Verdict::OnlyForTheModel, vec![found]),
                None => {
                    let how = format!("{:?} possible, fails ({code} {number})", case.kind);
                    (Verdict::Wrong(format!("{how} | {error}")), Vec::new())
                }
            }
        }
    }
}

const NOTHING_LISTENS: [i32; 6] = [1418, 1456, 1486, 1426, 1427, 1460];
const LOG_DOES_NOT_MATCH: [i32; 5] = [1407, 1408, 1412, 1475, 1478];
const NO_FULL_BACKUP: i32 = 4214;

fn of_difference(case: &Case, difference: &Difference) -> Option<LeftOut> {
    let Difference { place, field, predicted, observed } = difference;
    let at = case.action.instance().map_or("", |instance| instance.as_str());
    let is_file = matches!(*field, "log" | "in share" | "copied");
    let is_position = matches!(*field, "position" | "fork");
    match case.kind {
        Kind::Recover if is_position && place == at => Some(LeftOut::NewFork),
        Kind::BackUpLog | Kind::RunBackupJob | Kind::InstallMirror
            if is_file && predicted == ABSENT =>
        {
            Some(LeftOut::OwnBackups)
        }
        Kind::InstallMirror if is_file && place.ends_with("_mirror.trn") => {
            Some(LeftOut::OwnBackups)
        }
        Kind::InstallMirror if is_position => Some(LeftOut::OwnBackups),
        Kind::FailOverMirror if is_position => Some(LeftOut::PositionOfRoles),
        Kind::RunCopyJob if is_file => Some(LeftOut::CopyJob),
        _ if is_file && case.observed.get("sql-s1", "unseen") == "true" => {
            Some(LeftOut::ReaderDown)
        }
        _ if is_position && case.observed.get(place, "mirroring").starts_with("mirror") => {
            Some(LeftOut::MirrorStream)
        }
        _ if *field == "sessions" => {
            let active = |facts: &Facts| !facts.get("pool", "active servers").is_empty();
            let goes = case.kind == Kind::FailOverMirror && observed == "false";
            (goes || active(&case.before) || active(&case.observed)).then_some(LeftOut::Sessions)
        }
        _ => None,
    }
}

/// Why the model may call impossible what the port does.
fn of_impossible(case: &Case, impossible: &str) -> Option<LeftOut> {
    let at = case.action.instance().map_or("", |instance| instance.as_str());
    let state = case.before.get(at, "state");
    match case.kind {
        Kind::RestoreDatabase if state != ABSENT => Some(LeftOut::Replaces),
        Kind::RestoreDatabase if impossible.contains("was taken") => Some(LeftOut::NotOfThePlan),
        Kind::Copy if impossible.contains("is not known") => Some(LeftOut::NotOfThePlan),
        Kind::RestoreLog
            if ["was taken", "not known", "not copied", "is unknown", "does not apply"]
                .iter()
                .any(|why| impossible.contains(why)) =>
        {
            Some(LeftOut::NotOfThePlan)
        }
        Kind::SetRecoveryFull | Kind::BackUpDatabase | Kind::BackUpLog if state == "ONLINE" => {
            Some(LeftOut::NotWritable)
        }
        Kind::AddPrimary | Kind::AddSecondary | Kind::AddPrimarySecondary => {
            Some(LeftOut::EntryAlone)
        }
        Kind::InstallMirror if impossible.contains("must not be dropped") => {
            Some(LeftOut::Replaces)
        }
        _ => None,
    }
}

/// Why a step may fail that the model calls possible.
fn of_failure(case: &Case, error: &InstanceError) -> Option<LeftOut> {
    let number = error.number.unwrap_or_default();
    match (case.kind, error.code) {
        (
            Kind::SetState | Kind::ClearActiveServers | Kind::AddActiveServer,
            ErrorCode::PermissionDenied,
        ) => Some(LeftOut::StoreReadOnly),
        (Kind::AwaitSynchronized, ErrorCode::TimedOut | ErrorCode::Mirroring)
        | (Kind::FailOverMirror, ErrorCode::Mirroring) => Some(LeftOut::SessionState),
        (Kind::SetPartner | Kind::SetWitness, ErrorCode::Mirroring)
            if NOTHING_LISTENS.contains(&number) || LOG_DOES_NOT_MATCH.contains(&number) =>
        {
            Some(LeftOut::Handshake)
        }
        (Kind::CreateMirroringEndpoint, ErrorCode::Mirroring) => Some(LeftOut::Endpoint),
        (Kind::AddPrimary | Kind::AddSecondary, ErrorCode::LogShipping) if number == 0 => {
            Some(LeftOut::Settings)
        }
        (Kind::Copy | Kind::BackUpLog | Kind::BackUpDatabase, ErrorCode::FileInaccessible)
            if number == 0 =>
        {
            Some(LeftOut::OtherFile)
        }
        (Kind::RestoreDatabase, ErrorCode::FileInaccessible) => Some(LeftOut::OtherFile),
        (Kind::RunBackupJob | Kind::RunCopyJob | Kind::RunRestoreJob, ErrorCode::Agent) => {
            Some(LeftOut::JobRun)
        }
        (Kind::InstallMirror, ErrorCode::Cmdlet) => Some(LeftOut::Installation),
        (
            Kind::RestoreLog,
            ErrorCode::LogGap
            | ErrorCode::WrongBackup
            | ErrorCode::AlreadyRestored
            | ErrorCode::BackupDamaged,
        ) if matches!(
            &case.action,
            Action::Database(_, _, DatabaseAction::RestoreLog { log: None, .. })
        ) =>
        {
            Some(LeftOut::TakenLog)
        }
        (Kind::BackUpLog, _) if number == NO_FULL_BACKUP => Some(LeftOut::NoFullBackup),
        (Kind::AwaitServers, ErrorCode::EffectNotObserved) => Some(LeftOut::Silence),
        (Kind::Recover, ErrorCode::EffectNotObserved) => Some(LeftOut::NotWritable),
        _ => None,
    }
}

/// What a failed step may leave changed.
fn of_change(case: &Case, error: &InstanceError) -> Option<LeftOut> {
    match (case.kind, error.code) {
        (Kind::InstallMirror, ErrorCode::Cmdlet) => Some(LeftOut::Installation),
        (Kind::RunBackupJob | Kind::RunCopyJob | Kind::RunRestoreJob, ErrorCode::Agent) => {
            Some(LeftOut::JobRun)
        }
        // It was recovered, and takes no writes, because it was READ_ONLY when it was backed up.
        (Kind::Recover, ErrorCode::EffectNotObserved) => Some(LeftOut::NotWritable),
        _ => None,
    }
}
