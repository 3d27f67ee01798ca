//! Copies of backup files that take the time of the stand-in's links.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use pcdr_core::backup::BackupFile;
use pcdr_core::observation::LogBackupFiles;
use pcdr_core::ports::{BackupFiles, Progress};
use pcdr_core::step::FileAction;
use pcdr_core::topology::Share;
use pcdr_core::{DatabaseName, InstanceError, Topology};
use pcdr_sim::engine::world::World;

/// Backup files whose copies first come over the link between the shares' sites. The folders of a
/// stand-in lie side by side on one disk: without this, a copy takes no time where time is virtual.
pub struct OverLinks {
    files: Arc<dyn BackupFiles>,
    world: World,
    from: Share,
    to: Share,
}

impl OverLinks {
    /// The same files, far away.
    pub fn new(files: Arc<dyn BackupFiles>, world: &World, topology: &Topology) -> OverLinks {
        let (from, to) = (topology.backup_share().clone(), topology.copy_share().clone());
        OverLinks { files, world: world.clone(), from, to }
    }
}

#[async_trait]
impl BackupFiles for OverLinks {
    async fn list(
        &self,
        database: &DatabaseName,
        known: &[BackupFile],
    ) -> Result<LogBackupFiles, InstanceError> {
        self.files.list(database, known).await
    }

    async fn run(
        &self,
        database: &DatabaseName,
        action: &FileAction,
        progress: &dyn Progress,
    ) -> Result<(), InstanceError> {
        let FileAction::Copy { name, .. } = action;
        let file = PathBuf::from(self.from.mount.as_ref().unwrap_or(&self.from.unc)).join(name);
        self.world.carry_backup(self.from.site.as_str(), self.to.site.as_str(), &file).await;
        self.files.run(database, action, progress).await
    }
}
