//! What a drill has to see beside an ordinary observation: full backups, and the place it restores to.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::choice::choose;
use super::copy::{CopySeen, copy_name};
use crate::backup::BackupFile;
use crate::known::{Known, Reason};
use crate::name::{DatabaseName, InstanceName};
use crate::observation::Observation;
use crate::observe::observe;
use crate::ports::Ports;
use crate::topology::Topology;

/// Where a drill restores to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The instance.
    pub instance: InstanceName,
    /// The folder for the files of copies, as the instance sees it.
    pub directory: String,
}

/// What was seen for a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillObservation {
    /// The place that was looked at.
    pub place: Place,
    /// Files of full backups in the backup share and in the copy destination, by database.
    pub full_backups: BTreeMap<DatabaseName, Known<Vec<BackupFile>>>,
    /// What the instance tells of the place.
    pub beside: Known<Beside>,
}

/// What an instance is asked of the place of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BesideQuestion {
    /// Names of copies.
    pub copies: Vec<DatabaseName>,
    /// Files of full backups whose contents are asked for, as the instance sees them.
    pub backups: Vec<String>,
    /// The folder for the files of copies.
    pub directory: String,
}

/// What an instance tells of the place of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// The databases that have the name of a copy, whoever made them.
    pub copies: Known<Vec<CopySeen>>,
    /// Whether the service account sees the folder.
    ///
    /// Source: the undocumented procedure `xp_fileexist`; unconfirmed.
    pub is_directory: Known<bool>,
    /// Free bytes on the folder's volume.
    ///
    /// Source: `sys.dm_os_volume_stats`, or the undocumented procedure `xp_fixeddrives` for a drive on which
    /// no database has a file.
    pub free_bytes: Known<u64>,
    /// What the files of a database take once a full backup is restored, by the backup's path.
    ///
    /// Source: `RESTORE FILELISTONLY`, column `Size`.
    pub restored_bytes: BTreeMap<String, Known<u64>>,
}

/// Observes everything, and what a drill at `place` has to see beside it.
pub async fn observe_for_a_drill(
    topology: &Topology,
    ports: &Ports,
    observer: &str,
    place: Option<&Place>,
) -> Observation {
    let mut observation = observe(topology, ports, observer, None).await;
    let Some(place) = place else { return observation };
    let listed = topology.databases().iter().map(|database| async {
        let listed = match ports.files.list_full(database).await {
            Ok(listed) => listed,
            Err(error) => Known::Unknown(Reason::new(error.code.as_str(), error.to_string())),
        };
        (database.clone(), listed)
    });
    let full_backups: BTreeMap<_, _> = join_all(listed).await.into_iter().collect();
    let chosen: BTreeSet<String> = topology
        .databases()
        .iter()
        .filter_map(|database| {
            let choice = choose(topology, &observation, &full_backups, database).ok()?;
            Some(choice.full.path.clone())
        })
        .collect();
    let question = BesideQuestion {
        copies: topology.databases().iter().map(copy_name).collect(),
        backups: chosen.into_iter().collect(),
        directory: place.directory.clone(),
    };
    let beside = match ports.instances.get(&place.instance) {
        Some(port) => match port.look_beside(&question).await {
            Ok(beside) => Known::Known(beside),
            Err(error) => Known::Unknown(Reason::new(error.code.as_str(), error.to_string())),
        },
        None => Known::unknown("no_connection", "no way to reach the instance is configured"),
    };
    observation.drill = Some(DrillObservation { place: place.clone(), full_backups, beside });
    observation
}
