//! Alerts 14420 and 14421: whether they are raised, and whether anybody would be told.

use serde::Serialize;

use crate::known::Known;
use crate::name::{DatabaseName, InstanceName};
use crate::observation::{InstanceObservation, Monitored, MonitoredSide, Observation};
use crate::time::Timestamp;
use crate::topology::{Instance, Topology};

/// One of the two alerts of log shipping, for one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// 14420: no log backup for longer than the threshold; 14421: no restore, or a late one.
    pub number: u16,
    /// The instance whose alert job raises it: the monitor, or the instance itself.
    pub watched_by: InstanceName,
    /// Whether it is raised.
    pub state: AlertState,
    /// `backup_threshold` or `restore_threshold`, in minutes; `None` while unknown.
    pub threshold_minutes: Option<i32>,
    /// Minutes since the last log backup or restore, as the watcher knows it; `None` while unknown, and
    /// before the first one.
    pub elapsed_minutes: Option<u64>,
    /// `last_restored_latency`, in minutes; of 14421.
    pub latency_minutes: Option<i32>,
    /// `threshold_alert_enabled`; `None` while unknown.
    pub is_enabled: Option<bool>,
    /// Whether the alert job is there, enabled, and its Agent runs; `None` while unknown.
    pub is_job_at_work: Option<bool>,
}

/// Whether an alert is raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nothing is late, and somebody would be told.
    Quiet,
    /// Something is late, and the alert is raised.
    Raised,
    /// Nobody would be told: the alert is off, or its job is missing, disabled or stopped.
    Muted {
        /// Whether something is late.
        is_late: bool,
        /// Why nobody is told.
        why: String,
    },
    /// The watcher has no row for it: it watches nothing.
    NotWatched,
    /// It cannot be said, because…
    Unknown(crate::Reason),
}

/// What the watcher has on record.
struct Row {
    threshold_minutes: Option<i32>,
    is_enabled: Option<bool>,
    last_at: Option<Timestamp>,
    latency_minutes: Option<i32>,
}

impl From<&Monitored> for Row {
    fn from(row: &Monitored) -> Row {
        Row {
            threshold_minutes: Some(row.threshold_minutes),
            is_enabled: Some(row.raises_alert),
            last_at: row.last_at,
            latency_minutes: row.latency_minutes,
        }
    }
}

/// 14420 of a primary.
pub(super) fn of_backups(
    topology: &Topology,
    observation: &Observation,
    primary: &Instance,
    database: &DatabaseName,
    now: Timestamp,
) -> Alert {
    let entry = |seen: &InstanceObservation| {
        seen.log_shipping_primary.as_ref().map(|all| {
            all.get(database).map(|entry| {
                let row = Row {
                    threshold_minutes: entry.backup_threshold_minutes,
                    is_enabled: entry.raises_alert,
                    last_at: entry.last_backup_at,
                    latency_minutes: None,
                };
                (row, entry.monitor_server.clone())
            })
        })
    };
    let asked = Asked { topology, observation, instance: primary, database, now };
    asked.alert(14420, MonitoredSide::Primary, entry)
}

/// 14421 of a secondary.
pub(super) fn of_restores(
    topology: &Topology,
    observation: &Observation,
    secondary: &Instance,
    database: &DatabaseName,
    now: Timestamp,
) -> Alert {
    let entry = |seen: &InstanceObservation| {
        seen.log_shipping_secondary.as_ref().map(|all| {
            all.get(database).map(|entry| {
                let row = Row {
                    threshold_minutes: entry.restore_threshold_minutes,
                    is_enabled: entry.raises_alert,
                    last_at: entry.last_restored_at,
                    latency_minutes: entry.last_restored_latency_minutes,
                };
                (row, entry.monitor_server.clone())
            })
        })
    };
    let asked = Asked { topology, observation, instance: secondary, database, now };
    asked.alert(14421, MonitoredSide::Secondary, entry)
}

struct Asked<'a> {
    topology: &'a Topology,
    observation: &'a Observation,
    instance: &'a Instance,
    database: &'a DatabaseName,
    now: Timestamp,
}

impl Asked<'_> {
    fn alert(
        &self,
        number: u16,
        side: MonitoredSide,
        entry: impl Fn(&InstanceObservation) -> Known<Option<(Row, Option<String>)>>,
    ) -> Alert {
        let mut alert = Alert {
            number,
            watched_by: self.instance.name.clone(),
            state: AlertState::NotWatched,
            threshold_minutes: None,
            elapsed_minutes: None,
            latency_minutes: None,
            is_enabled: None,
            is_job_at_work: None,
        };
        let seen = match self.observation.instance(&self.instance.name) {
            Known::Known(seen) => seen,
            Known::Unknown(reason) => return Alert { state: AlertState::Unknown(reason), ..alert },
        };
        let (row, monitor) = match entry(seen) {
            Known::Known(Some(found)) => found,
            Known::Known(None) => return alert,
            Known::Unknown(reason) => return Alert { state: AlertState::Unknown(reason), ..alert },
        };
        let (row, watcher) = match monitor {
            None => (row, seen),
            Some(server) => match self.monitor(&server, side, &mut alert) {
                Known::Known(Some(found)) => found,
                Known::Known(None) => return alert,
                Known::Unknown(reason) => {
                    return Alert { state: AlertState::Unknown(reason), ..alert };
                }
            },
        };
        self.judge(row, watcher, alert)
    }

    /// The row of a remote monitor, which is what its alert job goes by.
    fn monitor(
        &self,
        server: &str,
        side: MonitoredSide,
        alert: &mut Alert,
    ) -> Known<Option<(Row, &InstanceObservation)>> {
        let mut all = self.topology.instances();
        let Some(monitor) = all.find(|one| one.server_name.eq_ignore_ascii_case(server)) else {
            return Known::unknown(
                "not_in_topology",
                format!("the monitor {server} is not an instance of the topology"),
            );
        };
        alert.watched_by = monitor.name.clone();
        let seen = match self.observation.instances.get(&monitor.name) {
            Some(Known::Known(seen)) => seen,
            Some(Known::Unknown(reason)) => return Known::Unknown(reason.clone()),
            None => {
                return Known::unknown(
                    "not_observed",
                    format!("{} was not observed", monitor.name),
                );
            }
        };
        match &seen.log_shipping_monitored {
            Known::Known(rows) => {
                let own = &self.instance.server_name;
                let found = rows.iter().find(|row| {
                    row.side == side
                        && row.server.eq_ignore_ascii_case(own)
                        && row.database == self.database.as_str()
                });
                Known::Known(found.map(|row| (Row::from(row), seen)))
            }
            Known::Unknown(reason) => Known::Unknown(reason.clone()),
        }
    }

    fn judge(&self, row: Row, watcher: &InstanceObservation, mut alert: Alert) -> Alert {
        let (Some(threshold), Some(is_enabled)) = (row.threshold_minutes, row.is_enabled) else {
            return alert; // the entry has no row beside it
        };
        alert.threshold_minutes = Some(threshold);
        alert.is_enabled = Some(is_enabled);
        alert.latency_minutes = row.latency_minutes;
        alert.elapsed_minutes = row.last_at.map(|at| self.now.since(at).as_secs() / 60);
        let is_over = |minutes: u64| u64::try_from(threshold).is_ok_and(|limit| minutes > limit);
        let latency = row.latency_minutes.and_then(|minutes| u64::try_from(minutes).ok());
        // Observed, not documented: a restore that came late raises 14421, too.
        let is_late = alert.elapsed_minutes.is_some_and(is_over) || latency.is_some_and(is_over);
        let muted = |why: String| AlertState::Muted { is_late, why };
        let by = &alert.watched_by;
        alert.state = match (&watcher.alert_job, &watcher.agent_running) {
            _ if !is_enabled => muted("the alert is not enabled".to_owned()),
            (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => {
                AlertState::Unknown(reason.clone())
            }
            (Known::Known(job), Known::Known(is_running)) => {
                let at_work = job.as_ref().is_some_and(|job| job.is_enabled) && *is_running;
                alert.is_job_at_work = Some(at_work);
                match job {
                    None => muted(format!("{by} has no alert job")),
                    Some(job) if !job.is_enabled => muted(format!("{} is disabled", job.name)),
                    Some(_) if !is_running => muted(format!("SQL Server Agent is stopped on {by}")),
                    Some(_) if is_late => AlertState::Raised,
                    Some(_) => AlertState::Quiet,
                }
            }
        };
        alert
    }
}
