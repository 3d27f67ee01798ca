//! What came of a step: the model and the stand-in agree, or they differ in something that the model
//! leaves out on purpose, or one of them is wrong.

use pcdr_core::step::{DatabaseAction, PoolAction};
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
    /// Server network addresses as the topology has them.
    pub(crate) designed: Vec<String>,
}

impl Case {
    /// The instances that the step names.
    fn places(&self) -> Vec<&str> {
        match &self.action {
            Action::Database(at, ..) | Action::LogShipping(at, ..) => vec![at.as_str()],
            Action::Pool(_, PoolAction::InstallMirror { primary, mirror, .. }) => {
                vec![primary.as_str(), mirror.as_str()]
            }
            Action::Pool(_, PoolAction::FailOverDatabase { from, to, .. }) => {
                vec![from.as_str(), to.as_str()]
            }
            Action::Files(..) | Action::Pool(..) => vec!["pool"],
        }
    }

    /// Whether a copy is mirrored with a partner whose endpoint has another port than is designed.
    fn has_another_port(&self, facts: &Facts, place: &str) -> bool {
        let session = facts.get(place, "mirroring");
        let partner = session.split_once(", partner ").map(|(_, address)| address);
        partner.is_some_and(|address| {
            !self.designed.iter().any(|designed| designed.eq_ignore_ascii_case(address))
        })
    }

    /// Whether the model says that the step changes something, and what.
    pub(crate) fn foretells_a_change(&self) -> bool {
        self.predicted.as_ref().is_ok_and(|after| !after.differences(&self.before).is_empty())
    }

    /// What was known of where it was tried.
    pub(crate) fn facts_before(&self) -> String {
        let places = self.places();
        let lines: Vec<String> =
            places.iter().map(|at| format!("before, {at}: {}", self.before.of(at))).collect();
        lines.join("\n")
    }
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
    CaughtUp = "a session that synchronizes gets there by itself",
    MirrorStream = "a mirror's position moves with its principal",
    CopyJob = "which files the copy job takes is the job's decision",
    EndpointPort = "a partner whose endpoint has another port than is designed is nobody that is known",
    Salvage = "whether a principal that was given up is RESTORING or ONLINE once mirroring ends, the \
               documents say differently",
    Sessions = "clients come and go, and go with the database",
    // Why only the model calls a step possible.
    StoreReadOnly = "no documented command tells that the configuration store is read-only",
    SafetyOff = "whether a session with SAFETY OFF gets to SYNCHRONIZED is waited for, not foretold",
    NeverJoined = "a mirror that waits for its first principal shows as one that has lost it",
    Handshake = "endpoints, rights and log of a mirroring session are tried, not foretold",
    Endpoint = "an endpoint that exists is compared by the port",
    Settings = "an entry that exists is compared by the port",
    OtherFile = "files are compared by the port when they are copied or written",
    JobRecord = "a job that fails says so in its record",
    ShareAway = "whether a share answers is for a job's record to tell",
    RestoreJob = "a restore job restores what it finds, and stops at a file that does not apply, or at a \
                  copy that does not wait for log",
    HalfInstalled = "a cmdlet that stops half way leaves endpoints, its backups and the mirror's copy as \
                     they are then",
    TakenLog = "which log a backup will hold that a step takes is not known before",
    NoFullBackup = "whether a full backup was ever taken is not observed",
    Silence = "whether chat servers reach their database is waited for, not foretold",
    ReaderDown = "headers of backups are unknown while the instance that reads them is down",
    // Why only the port calls a step possible: plans are held to more than servers are.
    Replaces = "a plan restores over a copy, or drops one, only where it says so",
    NotOfThePlan = "a plan restores only what it took, or what was listed and copied",
    NotWritable = "a plan treats a copy that takes no writes as no primary",
    EntryAlone = "a plan makes no entry for a database that is not there, or not in its role",
    Labels = "which instances a cmdlet's label means is documented for the primary's pair of a pool \
              that is Normal",
    ForceUnneeded = "no document says what the cmdlet does with -Force while the principal answers",
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
const NOT_MIRRORED: i32 = 1416;

fn of_difference(case: &Case, difference: &Difference) -> Option<LeftOut> {
    let Difference { place, field, predicted, observed } = difference;
    let at = case.action.instance().map_or("", |instance| instance.as_str());
    let is_file = matches!(*field, "log" | "in share" | "copied");
    let is_position = matches!(*field, "position" | "fork");
    let is_mirror = |facts: &Facts| facts.get(place, "mirroring").starts_with("mirror");
    match case.kind {
        Kind::Recover if is_position && place == at => Some(LeftOut::NewFork),
        Kind::BackUpLog | Kind::BackUpTail | Kind::RunBackupJob | Kind::InstallMirror
            if is_file && predicted == ABSENT =>
        {
            Some(LeftOut::OwnBackups)
        }
        Kind::InstallMirror if is_file && place.ends_with("_mirror.trn") => {
            Some(LeftOut::OwnBackups)
        }
        Kind::RunCopyJob if *field == "copied" && predicted == "false" => Some(LeftOut::CopyJob),
        // Another secondary's job with the same destination copies again, from a file that went bad.
        Kind::RunCopyJob
            if is_file && observed == ABSENT && case.before.get(place, "in share") == "false" =>
        {
            Some(LeftOut::CopyJob)
        }
        Kind::RemoveMirroring if *field == "state" && predicted == "RECOVERING" => {
            Some(LeftOut::Salvage)
        }
        // Of a partner at an address of its own, the model knows nothing.
        Kind::InstallMirror
            if *field == "mirroring" && case.has_another_port(&case.observed, place) =>
        {
            Some(LeftOut::EndpointPort)
        }
        _ if place != at && case.has_another_port(&case.before, at) => Some(LeftOut::EndpointPort),
        _ if is_file && case.observed.get("sql-s1", "unseen") == "true" => {
            Some(LeftOut::ReaderDown)
        }
        _ if is_position && is_mirror(&case.observed) => Some(LeftOut::MirrorStream),
        _ if *field == "session state"
            && (predicted.as_str(), observed.as_str()) == ("SYNCHRONIZING", "SYNCHRONIZED") =>
        {
            Some(LeftOut::CaughtUp)
        }
        _ if *field == "sessions" => {
            let active = |facts: &Facts| !facts.get("pool", "active servers").is_empty();
            let swaps = matches!(case.kind, Kind::FailOverMirror | Kind::FailOverDatabase);
            let goes = swaps && observed == "false";
            (goes || active(&case.before) || active(&case.observed)).then_some(LeftOut::Sessions)
        }
        _ => None,
    }
}

/// Why the model may call impossible what the port does.
fn of_impossible(case: &Case, impossible: &str) -> Option<LeftOut> {
    let at = case.action.instance().map_or("", |instance| instance.as_str());
    let state = case.before.get(at, "state");
    let says = |whys: &[&str]| whys.iter().any(|why| impossible.contains(why));
    match case.kind {
        Kind::RestoreDatabase if says(&["exists", "does not exist"]) => Some(LeftOut::Replaces),
        Kind::RestoreDatabase if says(&["was taken"]) => Some(LeftOut::NotOfThePlan),
        Kind::Copy if says(&["is not known"]) => Some(LeftOut::NotOfThePlan),
        Kind::RestoreLog
            if says(&[
                "was taken",
                "not known",
                "not copied",
                "is unknown",
                "does not apply",
                "does not stand",
            ]) =>
        {
            Some(LeftOut::NotOfThePlan)
        }
        Kind::SetRecoveryFull | Kind::BackUpDatabase | Kind::BackUpLog | Kind::BackUpTail
            if state == "ONLINE" =>
        {
            Some(LeftOut::NotWritable)
        }
        Kind::AddPrimary if state == "ONLINE" => Some(LeftOut::EntryAlone),
        Kind::AddSecondary if says(&["not waiting for log", "has no"]) => Some(LeftOut::EntryAlone),
        Kind::InstallMirror if says(&["must not be dropped"]) => Some(LeftOut::Replaces),
        Kind::FailOverMirror | Kind::FailOverDatabase if says(&["no instance of the topology"]) => {
            Some(LeftOut::EndpointPort)
        }
        Kind::FailOverDatabase if says(&["labels mean", "means while"]) => Some(LeftOut::Labels),
        Kind::FailOverDatabase if says(&["can hand over itself"]) => Some(LeftOut::ForceUnneeded),
        _ => None,
    }
}

/// Why a step may fail that the model calls possible.
fn of_failure(case: &Case, error: &InstanceError) -> Option<LeftOut> {
    let number = error.number.unwrap_or_default();
    let at = case.action.instance().map_or("", |instance| instance.as_str());
    let before = |field| case.before.get(at, field);
    match (case.kind, error.code) {
        (
            Kind::SetState | Kind::ClearActiveServers | Kind::AddActiveServer,
            ErrorCode::PermissionDenied,
        ) => Some(LeftOut::StoreReadOnly),
        (Kind::AwaitSynchronized, ErrorCode::TimedOut) if before("safety") == "OFF" => {
            Some(LeftOut::SafetyOff)
        }
        (Kind::ForceService, ErrorCode::Mirroring) if number == NOT_MIRRORED => {
            Some(LeftOut::NeverJoined)
        }
        (Kind::FailOverDatabase, ErrorCode::Cmdlet) if error.found.contains("Msg 1416,") => {
            Some(LeftOut::NeverJoined)
        }
        (Kind::InstallMirror, ErrorCode::EffectNotObserved)
            if case.has_another_port(&case.observed, case.places()[0]) =>
        {
            Some(LeftOut::EndpointPort)
        }
        // The cmdlet sets the partners, and says the server's error in its own.
        (Kind::InstallMirror, ErrorCode::Cmdlet)
            if NOTHING_LISTENS.iter().any(|it| error.found.contains(&format!("Msg {it},"))) =>
        {
            Some(LeftOut::Handshake)
        }
        (Kind::SetPartner | Kind::SetWitness, ErrorCode::Mirroring)
            if NOTHING_LISTENS.contains(&number) || LOG_DOES_NOT_MATCH.contains(&number) =>
        {
            Some(LeftOut::Handshake)
        }
        (Kind::RunRestoreJob, ErrorCode::Agent)
            if error.found.contains("Could not apply log backup file")
                || before("state") != "waiting for log"
                || before("mirroring") != "none" =>
        {
            Some(LeftOut::RestoreJob)
        }
        (Kind::RunCopyJob, ErrorCode::Agent)
            if error.found.contains("Operating system error 53")
                && case.before.get("sql-s1", "unseen") == "true" =>
        {
            Some(LeftOut::ShareAway)
        }
        (
            Kind::CreateMirroringEndpoint
            | Kind::DropMirroringEndpoint
            | Kind::StopMirroringEndpoint,
            ErrorCode::Mirroring,
        ) => Some(LeftOut::Endpoint),
        (Kind::AddPrimary, ErrorCode::LogShipping)
            if number == 0 && before("log shipping primary") == "true" =>
        {
            Some(LeftOut::Settings)
        }
        (Kind::AddSecondary, ErrorCode::LogShipping)
            if number == 0 && before("secondary entry") != "none" =>
        {
            Some(LeftOut::Settings)
        }
        (
            Kind::Copy | Kind::BackUpLog | Kind::BackUpTail | Kind::BackUpDatabase,
            ErrorCode::FileInaccessible,
        ) if number == 0 => Some(LeftOut::OtherFile),
        (Kind::RestoreDatabase, ErrorCode::FileInaccessible) => Some(LeftOut::OtherFile),
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
        (Kind::BackUpLog | Kind::BackUpTail, _) if number == NO_FULL_BACKUP => {
            Some(LeftOut::NoFullBackup)
        }
        (Kind::RunBackupJob, ErrorCode::Agent) if error.found.contains("(Error 4214)") => {
            Some(LeftOut::NoFullBackup)
        }
        (Kind::AwaitServers, ErrorCode::EffectNotObserved) => Some(LeftOut::Silence),
        (Kind::Recover, ErrorCode::EffectNotObserved) => Some(LeftOut::NotWritable),
        _ => None,
    }
}

/// What a failed step may leave changed.
fn of_change(case: &Case, error: &InstanceError) -> Option<LeftOut> {
    match (case.kind, error.code) {
        // Its own record.
        (Kind::RunBackupJob | Kind::RunCopyJob, ErrorCode::Agent) => {
            let is_as_before = case.before.differences(&case.observed).is_empty();
            is_as_before.then_some(LeftOut::JobRecord)
        }
        // What it restored before it stopped, and its own record.
        (Kind::RunRestoreJob, ErrorCode::Agent) => {
            let at = case.action.instance().map_or("", |instance| instance.as_str());
            let is_its = |difference: &Difference| {
                difference.place == at && matches!(difference.field, "position" | "fork")
            };
            let all = case.before.differences(&case.observed);
            all.iter().all(is_its).then_some(LeftOut::RestoreJob)
        }
        // Endpoints, backups, the mirror's copy.
        (Kind::InstallMirror, ErrorCode::Cmdlet) => {
            let places = case.places();
            let may_be_left = |difference: &Difference| {
                let Difference { place, field, .. } = difference;
                let of_primary = matches!(*field, "position" | "recovery model");
                place == places[1]
                    || (place == places[0] && of_primary)
                    || place.ends_with("_mirror.trn")
            };
            let all = case.before.differences(&case.observed);
            all.iter().all(may_be_left).then_some(LeftOut::HalfInstalled)
        }
        // It was installed.
        (Kind::InstallMirror, ErrorCode::EffectNotObserved) => {
            case.has_another_port(&case.observed, case.places()[0]).then_some(LeftOut::EndpointPort)
        }
        // The cmdlet moved another pair than the step names.
        (Kind::FailOverDatabase, ErrorCode::EffectNotObserved) => {
            let impossible = case.predicted.as_ref().err();
            let labels = |why: &String| why.contains("labels mean") || why.contains("means while");
            impossible.is_some_and(labels).then_some(LeftOut::Labels)
        }
        // It was recovered, and takes no writes, because it was READ_ONLY when it was backed up.
        (Kind::Recover, ErrorCode::EffectNotObserved) => Some(LeftOut::NotWritable),
        _ => None,
    }
}
