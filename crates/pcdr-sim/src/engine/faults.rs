//! What can go wrong in the world, made to go wrong.

use std::time::Duration;

use super::access;
use super::alter;
use super::database;
use super::errors::{self, OsError};
use super::mirroring;
use super::state::{Admission, Condition, Feature, Status};
use super::world::World;

impl World {
    /// Stops an instance at once, as a power failure does: sessions end, nothing is cleaned up.
    pub fn lose_instance(&self, name: &str) {
        let key = name.to_lowercase();
        if let Some(instance) = self.lock().instances.get_mut(&key) {
            instance.running = false;
            instance.admission = Admission::Open;
            for (_, session) in std::mem::take(&mut instance.sessions) {
                session.ended.cancel();
            }
            for database in instance.databases.values_mut() {
                database.exclusive = None;
                database.backup_running = None;
                database.single_user_holder = None;
            }
            instance.down.cancel();
        }
        mirroring::look(self);
    }

    /// Starts an instance again, with recovery of its databases.
    pub fn return_instance(&self, name: &str) {
        let key = name.to_lowercase();
        let now = self.now();
        {
            let mut state = self.lock();
            let root = self.root().to_owned();
            let Some(instance) = state.instances.get(&key).filter(|i| !i.running) else {
                return;
            };
            let missing: Vec<_> = instance
                .databases
                .iter()
                .map(|(name, own)| {
                    (name.clone(), database::unreadable_file(&state, &root, instance, own))
                })
                .collect();
            let Some(instance) = state.instances.get_mut(&key) else {
                return;
            };
            instance.running = true;
            let (version, level) = instance.config.database_version();
            instance.down = tokio_util::sync::CancellationToken::new();
            instance.started = now;
            mirroring::instance_started(instance);
            for (name, missing) in missing {
                let Some(own) = instance.databases.get_mut(&name) else {
                    continue;
                };
                let mut told = vec![errors::starting(&own.name)];
                if name == "tempdb" {
                    own.storage.tables.clear();
                    own.storage.open.clear();
                }
                let keeps =
                    matches!(own.status, Status::Offline | Status::Restoring | Status::Emergency)
                        || own.is_mirror();
                let bypassed = match &own.mirroring {
                    Some(session) if own.is_mirror() && !session.waiting => {
                        Some(errors::bypassed_as_mirror(&own.name))
                    }
                    Some(session) if session.quorum_lost => {
                        Some(errors::bypassed_as_inaccessible(&own.name))
                    }
                    _ => None,
                };
                if let Some(bypassed) = bypassed {
                    told = vec![bypassed];
                } else if keeps {
                    told = vec![errors::not_recovered(&own.name, own.status.code().1)];
                } else if own.version < version && own.standby.is_some() {
                    told.push(errors::standby_not_upgraded(&own.name));
                } else if own.version < version && own.read_only {
                    own.status = Status::RecoveryPending;
                    told.push(errors::read_only_not_upgraded(&own.name));
                } else {
                    if own.version < version {
                        told.push(errors::converting(&own.name, own.version, version));
                        told.push(errors::upgrade_step(&own.name, own.version, version));
                        own.version = version;
                        own.compatibility_level = own.compatibility_level.min(level);
                    }
                    told.extend(alter::start(own, missing, now).1);
                }
                for message in told {
                    instance.log_message(now, message);
                }
            }
            instance.log_message(now, errors::recovery_complete());
            instance.log_message(now, errors::ready());
        }
        mirroring::look(self);
        super::agent::started(self, &key);
    }

    /// Loses a site: its instances stop, its shares and links are gone.
    pub fn lose_site(&self, site: &str) {
        for instance in self.instances_of(site) {
            self.lose_instance(&instance);
        }
        self.set_site(site, true);
        mirroring::look(self);
    }

    /// Brings a site back, with every instance in it.
    pub fn return_site(&self, site: &str) {
        self.set_site(site, false);
        for instance in self.instances_of(site) {
            self.return_instance(&instance);
        }
        mirroring::look(self);
    }

    fn set_site(&self, site: &str, lost: bool) {
        if let Some(site) = self.lock().sites.get_mut(&site.to_lowercase()) {
            site.lost = lost;
        }
    }

    fn instances_of(&self, site: &str) -> Vec<String> {
        self.lock()
            .instances
            .values()
            .filter(|instance| instance.config.site.eq_ignore_ascii_case(site))
            .map(|instance| instance.key.clone())
            .collect()
    }

    /// Cuts the link from one site to another, and back when `both`. The same name twice isolates
    /// the instances of a site from each other.
    pub fn cut_link(&self, from: &str, to: &str, both: bool) {
        self.set_link(from, to, true);
        if both {
            self.set_link(to, from, true);
        }
        mirroring::look(self);
    }

    /// Heals both directions.
    pub fn heal_link(&self, one: &str, other: &str) {
        self.set_link(one, other, false);
        self.set_link(other, one, false);
        mirroring::look(self);
    }

    fn set_link(&self, from: &str, to: &str, cut: bool) {
        self.lock().links.entry((from.to_lowercase(), to.to_lowercase())).or_default().cut = cut;
    }

    fn change_share(&self, host: &str, name: &str, f: impl FnOnce(&mut super::state::Share)) {
        let key = format!("{}\\{}", host.to_lowercase(), name.to_lowercase());
        if let Some(share) = self.lock().shares.get_mut(&key) {
            f(share);
        }
    }

    /// Nobody reaches the share (OS error 53).
    pub fn lose_share(&self, host: &str, name: &str) {
        self.change_share(host, name, |share| share.lost = true);
    }

    /// The share is as it was.
    pub fn return_share(&self, host: &str, name: &str) {
        self.change_share(host, name, |share| {
            share.lost = false;
            share.read_only = false;
            share.full = false;
        });
    }

    /// The share can be read but not written (OS error 5).
    pub fn make_share_read_only(&self, host: &str, name: &str) {
        self.change_share(host, name, |share| share.read_only = true);
    }

    /// The share has no space left (OS error 112).
    pub fn fill_share(&self, host: &str, name: &str) {
        self.change_share(host, name, |share| share.full = true);
    }

    /// A drive of an instance (`D`, or `/`) has no space left, or has some again.
    pub fn fill_drive(&self, instance: &str, drive: &str, full: bool) {
        if let Some(instance) = self.lock().instances.get_mut(&instance.to_lowercase()) {
            let drive = drive.trim_end_matches([':', '\\']).to_uppercase();
            if full {
                instance.full_drives.insert(drive);
            } else {
                instance.full_drives.remove(&drive);
            }
        }
    }

    /// Cuts a file to its first `bytes` bytes, as an interrupted copy does.
    ///
    /// # Errors
    ///
    /// The operating system error.
    pub fn truncate_file(&self, instance: &str, path: &str, bytes: u64) -> Result<(), OsError> {
        let path = self.path(instance, path)?;
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(bytes))
            .map_err(|error| OsError::of(&error))
    }

    /// Flips a byte in the middle of the last third of a file.
    ///
    /// # Errors
    ///
    /// The operating system error.
    pub fn corrupt_file(&self, instance: &str, path: &str) -> Result<(), OsError> {
        let path = self.path(instance, path)?;
        let mut bytes = std::fs::read(&path).map_err(|error| OsError::of(&error))?;
        // The last line closes the set; what lies before it is content.
        let end = bytes
            .iter()
            .rev()
            .skip(1)
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |from_end| bytes.len() - 1 - from_end);
        let at = end.saturating_sub(end.min(64) / 2);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = if *byte == b'#' { b'%' } else { b'#' };
        }
        std::fs::write(&path, bytes).map_err(|error| OsError::of(&error))
    }

    /// Ends a session at once, inside whatever it runs.
    pub fn kill_connection(&self, instance: &str, session: u16) {
        let now = self.now();
        if let Some(instance) = self.lock().instances.get_mut(&instance.to_lowercase()) {
            access::kill_session(instance, session, now);
        }
        self.notify();
    }

    /// Ends a session when its next statement begins.
    pub fn kill_inside_next_statement(&self, instance: &str, session: u16) {
        self.lock().kill_inside.insert((instance.to_lowercase(), session));
    }

    /// The next run of a job fails.
    pub fn fail_next_job(&self, instance: &str, job: &str) {
        self.lock().fail_jobs.insert((instance.to_lowercase(), job.to_lowercase()));
    }

    /// The next request of an instance takes that much longer.
    pub fn delay_next_request(&self, instance: &str, duration: Duration) {
        self.lock().delays.insert(instance.to_lowercase(), duration);
    }

    /// Damages the data files of a database: it becomes SUSPECT, its log can still be backed up with
    /// NO_TRUNCATE unless `log_too`.
    pub fn damage_database(&self, instance: &str, name: &str, log_too: bool) {
        let now = self.now();
        if let Some(instance) = self.lock().instances.get_mut(&instance.to_lowercase()) {
            for id in access::others_using(instance, name, 0) {
                access::kill_session(instance, id, now);
            }
            if let Some(database) = instance.database_mut(name) {
                database.damaged = true;
                database.log_lost |= log_too;
                database.status = Status::Suspect;
            }
        }
        self.notify();
    }

    /// Loses the log file of a database and nothing else: it becomes SUSPECT and no tail can be taken.
    pub fn lose_log(&self, instance: &str, name: &str) {
        let now = self.now();
        if let Some(instance) = self.lock().instances.get_mut(&instance.to_lowercase()) {
            for id in access::others_using(instance, name, 0) {
                access::kill_session(instance, id, now);
            }
            if let Some(database) = instance.database_mut(name) {
                database.log_lost = true;
                database.status = Status::Suspect;
            }
        }
        self.notify();
    }

    /// A login can no longer log in because its password has expired.
    pub fn expire_login(&self, instance: &str, login: &str) {
        if let Some(login) = self
            .lock()
            .instances
            .get_mut(&instance.to_lowercase())
            .and_then(|instance| instance.security.logins.get_mut(&login.to_lowercase()))
        {
            login.expired = true;
        }
    }

    /// Whom the service of an instance lets in from now on. Sessions that are open stay.
    pub fn admit(&self, instance: &str, whom: Admission) {
        let now = self.now();
        if let Some(instance) = self.lock().instances.get_mut(&instance.to_lowercase()) {
            instance.admission = whom;
            if whom == Admission::Paused {
                instance.log_message(now, errors::pausing());
            }
        }
    }

    /// Stops an instance in an orderly way: as [`World::lose_instance`], but it says so in its log.
    pub fn stop_instance(&self, name: &str) {
        let now = self.now();
        if let Some(instance) = self.lock().instances.get_mut(&name.to_lowercase()) {
            instance.log_message(now, errors::stopping());
        }
        self.lose_instance(name);
    }

    /// Another release is installed on an instance that is stopped; its databases are upgraded when it
    /// starts.
    pub fn install_version(&self, instance: &str, version: (u8, u8, u16)) {
        if let Some(instance) =
            self.lock().instances.get_mut(&instance.to_lowercase()).filter(|i| !i.running)
        {
            instance.config.version = version;
        }
    }

    /// A login is locked, as too many wrong passwords lock it.
    pub fn lock_login(&self, instance: &str, login: &str) {
        if let Some(login) = self
            .lock()
            .instances
            .get_mut(&instance.to_lowercase())
            .and_then(|instance| instance.security.logins.get_mut(&login.to_lowercase()))
        {
            login.locked = true;
        }
    }

    fn worsen(&self, instance: &str, database: &str, how: impl FnOnce(&mut Condition)) {
        if let Some(database) = self
            .lock()
            .instances
            .get_mut(&instance.to_lowercase())
            .and_then(|instance| instance.database_mut(database))
        {
            how(&mut database.condition);
        }
    }

    /// A page of a database's data fails its checks from now on (824), or no longer; the database
    /// stays as it is.
    pub fn damage_page(&self, instance: &str, database: &str, damaged: bool) {
        self.worsen(instance, database, |condition| condition.page_damaged = damaged);
    }

    /// The data file of a database cannot be read from now on (823), or can again.
    pub fn fail_reads(&self, instance: &str, database: &str, error: Option<OsError>) {
        self.worsen(instance, database, |condition| condition.unreadable = error);
    }

    /// The log file of a database cannot be written from now on (9001), or can again.
    pub fn fail_log(&self, instance: &str, database: &str, fails: bool) {
        self.worsen(instance, database, |condition| condition.log_unavailable = fails);
    }

    /// Records in the log of a database are damaged: no log backup (3049), no recovery (9004).
    pub fn damage_log(&self, instance: &str, database: &str) {
        self.worsen(instance, database, |condition| condition.log_corrupt = true);
    }

    /// A database uses something that not every edition has.
    pub fn use_feature(&self, instance: &str, database: &str, feature: Feature) {
        self.worsen(instance, database, |condition| {
            condition.features.insert(feature);
        });
    }
}
