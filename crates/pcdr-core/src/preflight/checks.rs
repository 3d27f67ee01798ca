//! The checks, in the order in which a run would meet what they look for.

use std::collections::BTreeMap;

use super::space::{self, Room};
use super::{Answer, Answered, Check, Outcome, folders};
use crate::failover::Side;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{
    DatabaseObservation, InstanceObservation, Job, MirroringState, Observation, RecoveryModel,
};
use crate::release;
use crate::rights::{Command, Need, Right, rights};
use crate::settings::RestoreMode;
use crate::topology::{Instance, Role, Topology};

/// The most that a clock may differ from another. The documents give no number: log shipping compares
/// times of its servers in minutes, and pcdr the times of its evidence in seconds.
pub(super) const CLOCK_LIMIT_SECONDS: i64 = 60;

const RIGHTS_REMEDY: &str = "let an administrator run what `pcdr rights` writes for the command";

pub(super) struct Checks<'a> {
    pub(super) command: Command,
    pub(super) topology: &'a Topology,
    pub(super) observation: &'a Observation,
    pub(super) answers: &'a BTreeMap<InstanceName, Known<Answered>>,
}

pub(super) fn passed(found: impl Into<String>) -> Outcome {
    Outcome::Passed { found: found.into() }
}

pub(super) fn failed(
    needed: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Outcome {
    Outcome::Failed { needed: needed.into(), found: found.into(), remedy: remedy.into() }
}

pub(super) fn not_checked(why: impl std::fmt::Display) -> Outcome {
    Outcome::NotChecked { why: why.to_string() }
}

impl<'a> Checks<'a> {
    pub(super) fn of(&self, instance: &'a Instance) -> Vec<Check> {
        let mut all = Vec::new();
        let mut add = |code, subject: String, outcome| all.push(Check { code, subject, outcome });
        add("answers", format!("{} answers", instance.name), self.answers_at_all(instance));
        for (subject, outcome) in self.rights(instance) {
            add("right", subject, outcome);
        }
        if self.needs_agent(instance) {
            add("agent", "SQL Server Agent runs".to_owned(), self.agent(instance));
        }
        if self.ships(instance) && self.ships_logs() {
            add("edition", "the edition ships logs".to_owned(), self.edition(instance));
        }
        for (subject, outcome) in self.releases(instance) {
            add("release", subject, outcome);
        }
        for (subject, outcome) in self.recovery_models(instance) {
            add("recovery_model", subject, outcome);
        }
        if self.command == Command::Configure && self.is_partner(instance) {
            let subject = "the engine's service account is the designed one".to_owned();
            add("service_account", subject, self.service_account(instance));
        }
        for (code, subject, outcome) in self.folders(instance) {
            add(code, subject, outcome);
        }
        for (subject, outcome) in self.space(instance) {
            add("space", subject, outcome);
        }
        for (subject, outcome) in self.clocks(instance) {
            add("clock", subject, outcome);
        }
        for (code, subject, outcome) in self.mirroring(instance) {
            add(code, subject, outcome);
        }
        all
    }

    // ---- what is known ------------------------------------------------------------------------

    pub(super) fn seen(&self, instance: &Instance) -> Known<&'a InstanceObservation> {
        self.observation.instance(&instance.name)
    }

    pub(super) fn answer(&self, instance: &Instance) -> Known<&'a Answer> {
        self.answered(instance).map(|answered| &answered.answer)
    }

    fn answered(&self, instance: &Instance) -> Known<&'a Answered> {
        match self.answers.get(&instance.name) {
            Some(known) => known.as_ref(),
            None => Known::unknown("not_asked", format!("{} was not asked", instance.name)),
        }
    }

    pub(super) fn copy(
        &self,
        instance: &Instance,
        database: &DatabaseName,
    ) -> Known<Option<&'a DatabaseObservation>> {
        self.observation.database(&instance.name, database)
    }

    /// The instance that serves a database: the primary, or its mirror after a failover inside the site.
    pub(super) fn principal(&self, database: &DatabaseName) -> Option<&'a Instance> {
        let candidates = [Some(self.topology.primary()), self.topology.role(Role::PrimaryMirror)];
        candidates.into_iter().flatten().find(|instance| {
            let copy = self.copy(instance, database);
            copy.known().copied().flatten().is_some_and(DatabaseObservation::is_writable)
        })
    }

    fn ships(&self, instance: &Instance) -> bool {
        matches!(
            instance.role,
            Role::Primary | Role::PrimaryMirror | Role::Secondary | Role::FurtherSecondary
        )
    }

    fn is_partner(&self, instance: &Instance) -> bool {
        let mirrors = [Role::PrimaryMirror, Role::SecondaryMirror];
        mirrors.into_iter().any(|mirror| self.topology.role(mirror).is_some())
            && instance.role != Role::FurtherSecondary
            && instance.role != Role::Monitor
    }

    // ---- the instance and the login -----------------------------------------------------------

    fn answers_at_all(&self, instance: &Instance) -> Outcome {
        match self.seen(instance) {
            Known::Known(seen) => passed(format!("{}, {}", seen.version, seen.edition)),
            Known::Unknown(reason) if self.does_without(instance) => not_checked(format!(
                "{} does without it, and it does not answer: {reason}",
                self.command.as_str()
            )),
            Known::Unknown(reason) => failed(
                "an answer",
                reason.to_string(),
                "repair what the reason names, then check again",
            ),
        }
    }

    /// A disaster took it, or it has not come back yet.
    fn does_without(&self, instance: &Instance) -> bool {
        matches!(self.command, Command::Failover | Command::Fence)
            && instance.site == self.topology.primary().site
    }

    /// Whether the command needs logs to be shipped, so that an edition without it is in the way.
    fn ships_logs(&self) -> bool {
        matches!(
            self.command,
            Command::Configure | Command::Failover | Command::PlannedFailover | Command::Remove
        )
    }

    fn rights(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        let needed = rights(self.command, self.topology).instances;
        let needed = needed.into_iter().find(|of| of.instance == instance.name);
        let needs: Vec<Need> = needed.into_iter().flat_map(|of| of.needs).collect();
        let answer = self.answer(instance);
        let held = |right: &Right| match &answer {
            Known::Known(answer) => match answer.rights.get(right) {
                Some(held) => held.clone(),
                None => Known::unknown("not_asked", "it was not asked for"),
            },
            Known::Unknown(reason) => Known::Unknown(reason.clone()),
        };
        if held(&Right::SYSADMIN) == Known::Known(true) {
            let found = format!("{}, which includes the rest", Right::SYSADMIN);
            return vec![("the login's rights".to_owned(), passed(found))];
        }
        let outcome = |need: &Need| match held(&need.right) {
            Known::Known(true) => passed("given"),
            Known::Known(false) => match need.only {
                Some(only) => passed(format!("not given, and only needed {only}")),
                None => failed(
                    format!("{}: {}", need.right, need.why.join("; ")),
                    "it is not given to pcdr's login",
                    RIGHTS_REMEDY,
                ),
            },
            Known::Unknown(reason) => not_checked(reason),
        };
        needs.iter().map(|need| (format!("right: {}", need.right), outcome(need))).collect()
    }

    // ---- services, releases, recovery model ---------------------------------------------------

    fn needs_agent(&self, instance: &Instance) -> bool {
        let has_jobs = self.ships(instance) || instance.role == Role::Monitor;
        match self.command {
            Command::Configure | Command::Remove => has_jobs,
            // The backup jobs go on at the new principal.
            Command::MirrorFailover => {
                matches!(instance.role, Role::Primary | Role::PrimaryMirror)
            }
            // Jobs are held and then removed, running or not; backups are taken without them.
            Command::Failover | Command::PlannedFailover | Command::Fence | Command::Failback => {
                false
            }
            Command::Status
            | Command::Discover
            | Command::Preflight
            | Command::Plan
            | Command::Drill => false,
        }
    }

    fn agent(&self, instance: &Instance) -> Outcome {
        match self.seen(instance) {
            Known::Known(seen) => match &seen.agent_running {
                Known::Known(true) => passed("it runs"),
                Known::Known(false) => failed(
                    "SQL Server Agent to run: backup, copy and restore are its jobs",
                    "it does not run",
                    "start the service, and let it start by itself",
                ),
                Known::Unknown(reason) => not_checked(reason),
            },
            Known::Unknown(reason) => not_checked(reason),
        }
    }

    fn edition(&self, instance: &Instance) -> Outcome {
        match self.seen(instance) {
            Known::Known(seen) => match release::cannot_ship(seen) {
                Some(why) => failed(
                    "an edition with log shipping and SQL Server Agent",
                    format!("{} ({why})", seen.edition),
                    "use another edition than Express",
                ),
                None => passed(seen.edition.clone()),
            },
            Known::Unknown(reason) => not_checked(reason),
        }
    }

    fn releases(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        let primary = self.topology.primary();
        let secondary = self.topology.secondary();
        let judge = |other: &Instance, why: &dyn Fn(&InstanceObservation, &InstanceObservation) -> Option<String>| {
            match (self.seen(other), self.seen(instance)) {
                (Known::Known(one), Known::Known(this)) => match why(one, this) {
                    None => passed(format!("{} and {}", one.version, this.version)),
                    Some(why) => failed(
                        format!("a release that fits {}", other.name),
                        why,
                        "bring the instances to releases and editions that fit, the secondary first",
                    ),
                },
                (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => not_checked(reason),
            }
        };
        let mirrors = |other: &Instance, is_witness: bool| {
            let subject = format!("release and edition fit mirroring with {}", other.name);
            (subject, judge(other, &|a, b| release::cannot_mirror(a, b, is_witness)))
        };
        let restores = |from: &Instance| {
            let options = self.topology.log_shipping();
            let own = options.secondaries.iter().find(|own| own.instance == instance.name);
            let is_standby = own.is_some_and(|own| own.restore_mode == RestoreMode::Standby);
            let subject = format!("the release restores what {} backs up", from.name);
            (subject, judge(from, &|a, b| release::cannot_restore(a, b, is_standby)))
        };
        use Command::{Configure, Failback, Failover, PlannedFailover};
        match (instance.role, self.command) {
            (Role::PrimaryMirror, Configure | Command::MirrorFailover) => {
                vec![mirrors(primary, false)]
            }
            (Role::PrimaryWitness, Configure) => vec![mirrors(primary, true)],
            (Role::Secondary | Role::FurtherSecondary, Configure)
            | (Role::Secondary, Failover | PlannedFailover) => vec![restores(primary)],
            (Role::SecondaryMirror, Configure | Failover | PlannedFailover) => {
                vec![mirrors(secondary, false)]
            }
            (Role::Primary, Failback) => vec![restores(secondary)],
            _ => Vec::new(),
        }
    }

    fn recovery_models(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        match self.command {
            Command::Configure if Side::Primary.has(instance.role) => {}
            Command::Failback if Side::Backup.has(instance.role) => {
                return self.recovery_models_that_serve(instance);
            }
            _ => return Vec::new(),
        }
        let is_mirrored = self.topology.role(Role::PrimaryMirror).is_some();
        let mut all = Vec::new();
        for database in self.topology.databases() {
            let subject = format!("recovery model of {database}");
            let serves = self.principal(database).map(|principal| &principal.name);
            let outcome = match self.copy(instance, database) {
                Known::Unknown(reason) if instance.role == Role::Primary => not_checked(reason),
                Known::Known(None) if instance.role == Role::Primary && serves.is_none() => failed(
                    format!("{database} on the primary or its mirror"),
                    "there is no such database",
                    "create it there, or let the product create it",
                ),
                Known::Known(Some(copy)) if serves == Some(&instance.name) => {
                    match copy.recovery_model {
                        RecoveryModel::Full => passed("FULL"),
                        RecoveryModel::BulkLogged if !is_mirrored => passed("BULK_LOGGED"),
                        other => failed(
                            "FULL",
                            other.to_string(),
                            "set it to FULL, or let configure do so by the consent set-recovery-full",
                        ),
                    }
                }
                _ => continue, // another instance serves it, and is looked at
            };
            all.push((subject, outcome));
        }
        all
    }

    /// The log backups that take a database back to the primary need FULL.
    fn recovery_models_that_serve(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        let served = |database: &DatabaseName| match self.copy(instance, database) {
            Known::Known(Some(copy)) if copy.is_writable() => Some(copy.recovery_model),
            _ => None, // the other partner's, or refused for another reason
        };
        let judge = |found: RecoveryModel| match found {
            RecoveryModel::Full => passed("FULL"),
            other => failed("FULL", other.to_string(), "set it to FULL and take a full backup"),
        };
        let databases = self.topology.databases().iter();
        let served = databases.filter_map(|database| Some((database, served(database)?)));
        served
            .map(|(database, found)| (format!("recovery model of {database}"), judge(found)))
            .collect()
    }

    fn service_account(&self, instance: &Instance) -> Outcome {
        let Some(designed) = &instance.service_account else {
            return not_checked("the topology names no service_account for the instance");
        };
        let services = match self.answer(instance) {
            Known::Known(answer) => answer.services.as_ref(),
            Known::Unknown(reason) => Known::Unknown(reason),
        };
        let services = match services {
            Known::Known(services) => services,
            Known::Unknown(reason) => return not_checked(reason),
        };
        let Some(engine) = services.iter().find(|service| service.is_engine()) else {
            return not_checked("the instance lists no service of the engine");
        };
        if engine.account.eq_ignore_ascii_case(designed) {
            return passed(engine.account.clone());
        }
        let account = engine.account.to_uppercase();
        if account.starts_with("NT ") || account == "LOCALSYSTEM" || account.ends_with('$') {
            return not_checked(format!(
                "it runs as {}, which is another account on the network",
                engine.account
            ));
        }
        failed(
            format!("{designed}, which the partners' endpoints let connect"),
            engine.account.clone(),
            "correct service_account in the topology, or the service",
        )
    }

    // ---- folders ------------------------------------------------------------------------------

    fn folders(&self, instance: &Instance) -> Vec<(&'static str, String, Outcome)> {
        let mut all = Vec::new();
        for folder in folders(self.command, self.topology, instance) {
            let outcome = match self.answer(instance) {
                Known::Known(answer) => match answer.folders.get(&folder) {
                    Some(Known::Known(true)) => passed(
                        "the service account sees it (by xp_fileexist, which is not documented)",
                    ),
                    Some(Known::Known(false)) => failed(
                        "a folder that the service account can open",
                        "it does not see one (by xp_fileexist, which is not documented)",
                        "check path, share, network, and the rights of the service account on share and folder",
                    ),
                    Some(Known::Unknown(reason)) => not_checked(reason),
                    None => not_checked("it was not asked for"),
                },
                Known::Unknown(reason) => not_checked(reason),
            };
            all.push(("folder", format!("folder {folder}"), outcome));
        }
        if all.is_empty() || !self.ships_logs() {
            return all;
        }
        for database in self.topology.databases() {
            match instance.role {
                Role::Primary | Role::PrimaryMirror => all.push((
                    "folder_written",
                    format!("backups of {database} are written"),
                    self.written(instance, "backup", |seen| {
                        seen.log_shipping_primary
                            .as_ref()
                            .map(|all| all.get(database).map(|e| &e.backup_job))
                    }),
                )),
                Role::Secondary | Role::FurtherSecondary => all.push((
                    "folder_written",
                    format!("copies of {database} are written"),
                    self.written(instance, "copy", |seen| {
                        seen.log_shipping_secondary
                            .as_ref()
                            .map(|all| all.get(database).map(|e| &e.copy_job))
                    }),
                )),
                _ => {}
            }
            if instance.role == Role::Secondary {
                all.push((
                    "headers",
                    format!("headers of log backups of {database} are read"),
                    self.headers(database),
                ));
            }
        }
        all
    }

    /// Whether a folder is written, by the last run of the job that writes there: nothing documented
    /// tries it without leaving a file.
    fn written(
        &self,
        instance: &Instance,
        kind: &str,
        job: impl Fn(&'a InstanceObservation) -> Known<Option<&'a Known<Job>>>,
    ) -> Outcome {
        const NO_WAY: &str =
            "no documented statement tries to write into a folder without leaving a file there";
        let seen = match self.seen(instance) {
            Known::Known(seen) => seen,
            Known::Unknown(reason) => return not_checked(reason),
        };
        let job = match job(seen) {
            Known::Known(Some(Known::Known(job))) => job,
            Known::Known(Some(Known::Unknown(reason))) => return not_checked(reason),
            Known::Unknown(reason) => return not_checked(reason),
            Known::Known(None) => {
                return not_checked(format!("{NO_WAY}, and there is no {kind} job yet"));
            }
        };
        match (job.last_run_status, job.last_run_at) {
            (Some(1), Some(at)) => passed(format!("the {kind} job succeeded at {at}")),
            (Some(0), _) => failed(
                format!("a {kind} job whose last run succeeded"),
                "its last run failed",
                format!("read what the steps of the job {} said", job.name),
            ),
            _ => not_checked(format!("{NO_WAY}, and the {kind} job has no finished run")),
        }
    }

    fn headers(&self, database: &DatabaseName) -> Outcome {
        let files = match self.observation.log_backups.get(database).map(|files| &files.share) {
            Some(Known::Known(files)) => files,
            Some(Known::Unknown(reason)) => return not_checked(reason),
            None => return not_checked("the backup share was not looked at"),
        };
        let unread: Vec<(&str, &Reason)> = files
            .iter()
            .filter_map(|file| file.header.reason().map(|reason| (file.name.as_str(), reason)))
            .collect();
        if files.is_empty() {
            return not_checked("there is no log backup in the share whose header could be read");
        }
        match unread.first() {
            Some((name, reason)) if unread.len() == files.len() => failed(
                "the secondary to read headers of log backups in the share",
                format!("{name}: {reason}"),
                "check the rights of the secondary's service account on the share, and of pcdr's login",
            ),
            _ => passed(format!("of {} of {}", files.len() - unread.len(), files.len())),
        }
    }

    // ---- space --------------------------------------------------------------------------------

    fn space(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        let rooms = match self.command {
            Command::Configure => space::to_configure(self, instance),
            Command::Failover | Command::PlannedFailover => space::to_fail_over(self, instance),
            Command::Failback => space::to_fail_back(self, instance),
            Command::Drill => space::to_drill(self, instance),
            _ => Vec::new(),
        };
        let volumes = match self.answer(instance) {
            Known::Known(answer) => answer.volumes.as_ref(),
            Known::Unknown(reason) => Known::Unknown(reason),
        };
        let outcome =
            |room: &Room| space::judge(room, volumes.as_ref().map(|volumes| volumes.as_slice()));
        rooms.iter().map(|room| (room.subject.clone(), outcome(room))).collect()
    }

    // ---- clocks -------------------------------------------------------------------------------

    fn clocks(&self, instance: &Instance) -> Vec<(String, Outcome)> {
        let mine = self.answered(instance).map(ahead);
        let mut all = vec![(
            "clock against this computer's".to_owned(),
            match &mine {
                Known::Known(mine) => clock(*mine, (0, 0)),
                Known::Unknown(reason) => not_checked(reason),
            },
        )];
        let primary = self.topology.primary();
        if instance.name != primary.name && self.ships(instance) {
            let outcome = match (mine, self.answered(primary).map(ahead)) {
                (Known::Known(mine), Known::Known(theirs)) => clock(mine, theirs),
                (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => not_checked(reason),
            };
            all.push((format!("clock against that of {}", primary.name), outcome));
        }
        all
    }

    // ---- mirroring ----------------------------------------------------------------------------

    fn mirroring(&self, instance: &Instance) -> Vec<(&'static str, String, Outcome)> {
        let looks = match self.command {
            Command::Configure => self.is_partner(instance),
            Command::MirrorFailover => {
                matches!(instance.role, Role::Primary | Role::PrimaryMirror | Role::PrimaryWitness)
            }
            Command::Failover | Command::PlannedFailover => {
                self.topology.role(Role::SecondaryMirror).is_some()
                    && matches!(instance.role, Role::Secondary | Role::SecondaryMirror)
            }
            _ => false,
        };
        if !looks || !self.is_partner(instance) {
            return Vec::new();
        }
        let mut all =
            vec![("endpoint", "the mirroring endpoint".to_owned(), self.endpoint(instance))];
        if matches!(instance.role, Role::Primary | Role::PrimaryMirror) {
            for database in self.topology.databases() {
                let subject = format!("the partners of {database} reach each other");
                all.push(("endpoint_connection", subject, self.connection(instance, database)));
            }
        } else {
            let why =
                "no statement lets an instance try another's endpoint without setting a partner";
            all.push((
                "endpoint_connection",
                "partners reach the endpoint".to_owned(),
                not_checked(why),
            ));
        }
        all
    }

    fn endpoint(&self, instance: &Instance) -> Outcome {
        let endpoint = match self.seen(instance) {
            Known::Known(seen) => seen.mirroring_endpoint.as_ref(),
            Known::Unknown(reason) => Known::Unknown(reason),
        };
        let is_witness = matches!(instance.role, Role::PrimaryWitness | Role::SecondaryWitness);
        let port = instance.mirroring_port;
        let needed = format!("an endpoint that is STARTED on port {port}, in a role that fits");
        match endpoint {
            Known::Unknown(reason) => not_checked(reason),
            Known::Known(None) if self.command == Command::Configure => {
                passed("there is none, and configure creates it")
            }
            Known::Known(None) => {
                failed(needed, "there is none", "run `pcdr configure`, which creates it")
            }
            Known::Known(Some(endpoint)) => {
                let fits =
                    if is_witness { endpoint.allows_witness } else { endpoint.allows_partner };
                // configure starts an endpoint; it changes neither port nor role of one.
                let is_usable = endpoint.is_started || self.command == Command::Configure;
                if fits && is_usable && endpoint.port == port {
                    return passed(format!("{} on port {port}", endpoint.name));
                }
                let state = if endpoint.is_started { "STARTED" } else { "not STARTED" };
                let role = if fits { "fits" } else { "does not fit" };
                let found = format!(
                    "{} is {state} on port {}, its role {role}",
                    endpoint.name, endpoint.port
                );
                failed(needed, found, "alter the endpoint, or mirroring_port in the topology")
            }
        }
    }

    fn connection(&self, instance: &Instance, database: &DatabaseName) -> Outcome {
        let copy = match self.copy(instance, database) {
            Known::Known(Some(copy)) => copy,
            Known::Known(None) => return not_checked("there is no such database here yet"),
            Known::Unknown(reason) => return not_checked(reason),
        };
        match &copy.mirroring {
            Known::Known(Some(session)) => match session.state {
                MirroringState::Disconnected => failed(
                    "a session whose partners are connected",
                    "it is DISCONNECTED",
                    "check the partner, its endpoint, the network between them, and CONNECT on both endpoints",
                ),
                _ if session.is_witness_connected == Some(false) => failed(
                    "a witness that is connected",
                    "it is not",
                    "check the witness, its endpoint, and the network to it",
                ),
                state => passed(format!("the session is {state}")),
            },
            Known::Known(None) => not_checked(
                "no session yet, and no statement lets an instance try another's endpoint without setting a partner",
            ),
            Known::Unknown(reason) => not_checked(reason),
        }
    }
}

/// By how many milliseconds a clock is ahead of the asking computer's: at least and at most, since the
/// answer was given at some time between asking and having it.
fn ahead(answered: &Answered) -> (i64, i64) {
    let now = answered.answer.now.unix_millis();
    (now - answered.answered_at.unix_millis(), now - answered.asked_at.unix_millis())
}

/// Whether two clocks agree, each told by how much it is ahead of a third, at least and at most.
fn clock((least, most): (i64, i64), (other_least, other_most): (i64, i64)) -> Outcome {
    let (least, most) = (least - other_most, most - other_least);
    let limit = CLOCK_LIMIT_SECONDS * 1000;
    let certainly = if least > 0 { least } else { (-most).max(0) };
    let at_most = least.abs().max(most.abs());
    let seconds = |millis: i64| format!("{}.{:03} s", millis / 1000, millis % 1000);
    if certainly > limit {
        let way = if least > 0 { "ahead" } else { "behind" };
        return failed(
            format!("clocks that differ by at most {CLOCK_LIMIT_SECONDS} s"),
            format!("it is {} {way}", seconds(certainly)),
            "let both take their time from the same source",
        );
    }
    if at_most > limit {
        return not_checked(format!(
            "the answer took too long to tell: the clocks differ by {} to {}",
            seconds(certainly),
            seconds(at_most)
        ));
    }
    passed(format!("they differ by at most {}", seconds(at_most)))
}
