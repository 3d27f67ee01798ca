//! A model's content as a list of facts, which can be compared and read. A new member of the model
//! fails to compile here until it is compared, too.

use std::collections::BTreeMap;

use pcdr_core::model::{Copy, Entries, LogFile, MirrorSession, Model, SecondaryEntry, Witness};
use pcdr_core::observation::MirroringRole;
use pcdr_core::{DatabaseName, Known, Observation, Timestamp};

use crate::walk::DATABASE;

/// What is unknown in a model equals everything.
pub(crate) const UNKNOWN: &str = "unknown";
pub(crate) const ABSENT: &str = "absent";

/// By where (instance, file, or pool) and what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts(BTreeMap<(String, &'static str), String>);

/// A fact on which two descriptions of the world differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) place: String,
    pub(crate) field: &'static str,
    pub(crate) predicted: String,
    pub(crate) observed: String,
}

impl Facts {
    fn add(&mut self, place: &str, field: &'static str, value: impl ToString) {
        self.0.insert((place.to_owned(), field), value.to_string());
    }

    pub(crate) fn get(&self, place: &str, field: &'static str) -> &str {
        self.0.get(&(place.to_owned(), field)).map_or(ABSENT, String::as_str)
    }

    /// All facts of a place, to be read.
    pub(crate) fn of(&self, place: &str) -> String {
        let of = self.0.iter().filter(|((at, _), _)| at == place);
        let all: Vec<String> = of.map(|((_, field), value)| format!("{field}: {value}")).collect();
        all.join("; ")
    }

    /// Where a prediction is not what was observed.
    pub(crate) fn differences(&self, observed: &Facts) -> Vec<Difference> {
        let keys = self.0.keys().chain(observed.0.keys().filter(|key| !self.0.contains_key(*key)));
        let mut found = Vec::new();
        for (place, field) in keys {
            let predicted = self.get(place, field).to_owned();
            let observed = observed.get(place, field).to_owned();
            if predicted != observed && predicted != UNKNOWN {
                found.push(Difference { place: place.clone(), field, predicted, observed });
            }
        }
        found
    }

    fn add_copy(&mut self, place: &str, copy: &Copy) {
        let Copy {
            state,
            recovery_model,
            family,
            position,
            mirroring,
            secondary_entry,
            is_log_shipping_primary,
            backup_job_may_run,
            registered_secondaries,
            stands_at_end_of: _, // what the plan itself did; an observation does not tell it
            has_sessions,
        } = copy;
        self.add(place, "state", state);
        let model = recovery_model.map_or(UNKNOWN.to_owned(), |model| format!("{model:?}"));
        self.add(place, "recovery model", model);
        let unknown = || UNKNOWN.to_owned();
        self.add(place, "family", family.map_or_else(unknown, |family| family.to_string()));
        self.add(place, "fork", position.map_or_else(unknown, |at| at.fork.to_string()));
        self.add(place, "position", position.map_or_else(unknown, |at| at.lsn.to_string()));
        let session = mirroring.as_ref().map_or("none".to_owned(), |session| {
            let role = if session.is_principal { "principal" } else { "mirror" };
            format!("{role}, partner {}", session.partner_address)
        });
        self.add(place, "mirroring", session);
        if let Some(session) = mirroring {
            self.add_session(place, session);
        }
        self.add_entries(place, secondary_entry.as_ref(), *is_log_shipping_primary);
        self.add(place, "backup job may run", backup_job_may_run);
        self.add_registered(place, registered_secondaries);
        self.add(place, "sessions", has_sessions);
    }

    fn add_session(&mut self, place: &str, session: &MirrorSession) {
        // Who is partner to whom stands with the copy.
        let MirrorSession { is_principal: _, partner_address: _, state, is_safety_full, witness } =
            session;
        self.add(place, "session state", state);
        self.add(place, "safety", if *is_safety_full { "FULL" } else { "OFF" });
        let witness = match witness {
            None => "none".to_owned(),
            Some(Witness { address, is_seen: true }) => format!("{address}, in sight"),
            Some(Witness { address, is_seen: false }) => format!("{address}, out of sight"),
        };
        self.add(place, "witness", witness);
    }

    fn add_registered(&mut self, place: &str, secondaries: &[(String, String)]) {
        let registered: std::collections::BTreeSet<_> = secondaries.iter().collect();
        self.add(place, "registered secondaries", format!("{registered:?}"));
    }

    fn add_entries(&mut self, place: &str, secondary: Option<&SecondaryEntry>, is_primary: bool) {
        let entry = secondary.map_or_else(
            || "none".to_owned(),
            |SecondaryEntry { primary_server, primary_database, jobs_may_run }| {
                let jobs = if *jobs_may_run { "may run" } else { "are held" };
                format!("of {primary_server}.{primary_database}, jobs {jobs}")
            },
        );
        self.add(place, "secondary entry", entry);
        self.add(place, "log shipping primary", is_primary);
    }
}

impl From<Model<'_>> for Facts {
    fn from(model: Model<'_>) -> Facts {
        let mut facts = Facts::default();
        let database = DatabaseName::from(DATABASE);
        let files: Vec<(String, LogFile)> =
            model.log_files_of(&database).map(|(name, file)| (name.to_owned(), *file)).collect();
        let Model {
            copies,
            entries_left,
            unseen,
            pool_state,
            is_configuration_writable,
            activated,
            log_files: _, // as above
            taken,
            drills: _, // the steps of a drill are compared in their order, see tests/drill.rs
        } = model;
        for (instance, copy) in copies.get(&database).into_iter().flatten() {
            facts.add_copy(instance.as_str(), copy);
        }
        for (instance, entries) in entries_left.get(&database).into_iter().flatten() {
            let Entries { secondary, is_primary, backup_job_may_run, registered_secondaries } =
                entries;
            facts.add(instance.as_str(), "backup job may run", backup_job_may_run);
            facts.add_entries(instance.as_str(), secondary.as_ref(), *is_primary);
            facts.add_registered(instance.as_str(), registered_secondaries);
        }
        for instance in unseen {
            facts.add(instance.as_str(), "unseen", true);
        }
        let state = pool_state.map_or(UNKNOWN.to_owned(), |state| format!("{state:?}"));
        facts.add("pool", "state", state);
        let writable = is_configuration_writable.map_or(UNKNOWN.to_owned(), |is| is.to_string());
        facts.add("pool", "configuration is writable", writable);
        let active: Vec<String> = activated.iter().flatten().map(ToString::to_string).collect();
        facts.add("pool", "active servers", active.join(" "));
        for (name, file) in files {
            let LogFile { range, first_fork, family, is_in_share, is_copied } = file;
            facts.add(&name, "log", format!("{range:?} from {first_fork} of {family}"));
            facts.add(&name, "in share", is_in_share);
            facts.add(&name, "copied", is_copied);
        }
        for (path, kind) in taken {
            facts.add(&path, "taken", format!("{kind:?}"));
        }
        facts
    }
}

/// The first line in which two observations differ, apart from the time, and from who is connected.
pub(crate) fn changed(before: &Observation, after: &Observation) -> Option<String> {
    let (before, after) = (settled(before), settled(after));
    if before == after {
        return None;
    }
    let lines = |observation: &Observation| {
        let text = serde_json::to_string_pretty(observation).expect("plain data");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) = (lines(&before), lines(&after));
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let around = |lines: &[String]| {
        let from = same.saturating_sub(3);
        lines[from.min(lines.len())..(same + 4).min(lines.len())].join("\n")
    };
    Some(format!("{}\n  became\n{}", around(&before), around(&after)))
}

fn settled(observation: &Observation) -> Observation {
    let mut observation = observation.clone();
    let epoch = Timestamp::from_unix_millis(0);
    observation.taken_at = epoch;
    for instance in observation.instances.values_mut() {
        let Known::Known(instance) = instance else {
            // One that is away says so in different words, as the connection breaks or is refused.
            *instance = Known::unknown("not_compared", "nobody answers");
            continue;
        };
        instance.observed_at = epoch;
        if let Known::Known(Some(job)) = &mut instance.alert_job {
            // It runs by itself.
            (job.is_running, job.last_run_status, job.last_run_at) = (false, None, None);
            (job.last_run_message, job.last_failure) = (None, None);
        }
        let Known::Known(databases) = &mut instance.databases else { continue };
        for copy in databases.values_mut() {
            copy.sessions = Known::unknown("not_compared", "changes by itself");
            copy.server_pings = Known::unknown("not_compared", "changes by itself");
            copy.log_since_backup_bytes = Known::unknown("not_compared", "changes by itself");
            if let Known::Known(Some(session)) = &mut copy.mirroring {
                session.end_of_log_lsn = None; // the log moves by itself
            }
            if copy.mirroring_role() == Some(MirroringRole::Mirror) {
                copy.log_position = Known::unknown("not_compared", "moves with the principal");
            }
        }
    }
    observation
}
