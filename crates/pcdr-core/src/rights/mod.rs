//! What pcdr's login needs to be allowed, for each command, on each instance.
//!
//! Three tables: from an action to its [duties](Duty), from a duty to its rights, and from a command and
//! an instance's role to the duties there. The first two are exhaustive, so that a new action cannot be
//! without its rights; a test holds the third to the plans that are really made.

mod duty;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;

pub use duty::{Duty, Need, Right, duties};

use crate::failover::Side;
use crate::name::InstanceName;
use crate::step::Source;
use crate::topology::{Instance, Role, Topology};

/// A command that uses instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the commands by their names")]
pub enum Command {
    Status,
    Discover,
    Preflight,
    Plan,
    Configure,
    Failover,
    PlannedFailover,
    MirrorFailover,
    Fence,
    Failback,
    Remove,
    Drill,
}

impl Command {
    /// Every command, from those that only read to those that change most.
    pub const ALL: [Command; 12] = [
        Command::Status,
        Command::Discover,
        Command::Preflight,
        Command::Plan,
        Command::Configure,
        Command::Failover,
        Command::PlannedFailover,
        Command::MirrorFailover,
        Command::Fence,
        Command::Failback,
        Command::Remove,
        Command::Drill,
    ];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Command::Status => "status",
            Command::Discover => "discover",
            Command::Preflight => "preflight",
            Command::Plan => "plan",
            Command::Configure => "configure",
            Command::Failover => "failover",
            Command::PlannedFailover => "planned-failover",
            Command::MirrorFailover => "mirror-failover",
            Command::Fence => "fence",
            Command::Failback => "failback",
            Command::Remove => "remove",
            Command::Drill => "drill",
        }
    }

    /// Whether it changes nothing on any instance.
    pub fn only_reads(self) -> bool {
        match self {
            Command::Status | Command::Discover | Command::Preflight | Command::Plan => true,
            Command::Configure
            | Command::Failover
            | Command::PlannedFailover
            | Command::MirrorFailover
            | Command::Fence
            | Command::Failback
            | Command::Remove
            | Command::Drill => false,
        }
    }

    /// What it does on an instance of a role.
    fn duties(self, topology: &Topology, instance: &Instance) -> Vec<Duty> {
        let role = instance.role;
        let mut all = vec![Duty::Observe];
        // The secondary reads the headers of the log backups: it is the one that restores them.
        if role == Role::Secondary {
            all.push(Duty::ReadBackups);
        }
        let ships = holds_copies(role) && role != Role::SecondaryMirror;
        match self {
            Command::Status | Command::Discover | Command::Preflight | Command::Plan => {}
            Command::Configure => {
                let mirrors = [Role::PrimaryMirror, Role::SecondaryMirror];
                let has_mirrors = mirrors.into_iter().any(|mirror| topology.role(mirror).is_some());
                let is_partner = role != Role::FurtherSecondary && role != Role::Monitor;
                if has_mirrors && is_partner {
                    all.push(Duty::CreateEndpoint);
                }
                if ships {
                    all.extend([
                        Duty::AdministerLogShipping,
                        Duty::AlterDatabase,
                        Duty::BackUp,
                        Duty::ReadBackups,
                        Duty::RestoreNew,
                        Duty::RestoreExisting,
                        Duty::EndSessions,
                    ]);
                }
                if role == Role::Monitor {
                    all.push(Duty::AdministerLogShipping);
                }
            }
            Command::Failover => all.extend(takes_over(role)),
            Command::PlannedFailover => {
                all.extend(takes_over(role));
                if Side::Primary.has(role) {
                    all.extend(GIVES_UP);
                    all.push(Duty::OperateJobs);
                }
            }
            Command::Fence => {
                if Side::Primary.has(role) {
                    all.extend(GIVES_UP);
                    all.push(Duty::OperateJobs);
                }
            }
            Command::Failback => {
                if Side::Backup.has(role) {
                    all.extend(GIVES_UP);
                    all.push(Duty::AlterComplianceDatabase);
                }
                if role == Role::Primary {
                    all.extend([
                        Duty::ReadBackups,
                        Duty::RestoreNew,
                        Duty::RestoreExisting,
                        Duty::EndSessions,
                    ]);
                }
            }
            Command::MirrorFailover => {
                if holds_copies(role) && role != Role::FurtherSecondary {
                    all.extend([
                        Duty::ObserveMirror,
                        Duty::AlterDatabase,
                        Duty::AlterClosedDatabase,
                    ]);
                }
            }
            Command::Drill => {
                if is_drilled_on(topology, instance) {
                    all.extend([
                        Duty::ReadBackups,
                        Duty::RestoreNew,
                        Duty::RestoreExisting,
                        Duty::EndSessions,
                        Duty::CheckDatabase,
                        Duty::DropCopy,
                    ]);
                }
            }
            Command::Remove => {
                if ships {
                    all.extend([
                        Duty::OperateJobs,
                        Duty::AdministerLogShipping,
                        Duty::AlterDatabase,
                    ]);
                }
                if role == Role::Monitor {
                    all.push(Duty::AdministerLogShipping);
                }
            }
        }
        all.sort();
        all.dedup();
        all
    }
}

/// A command that [`Command::as_str`] does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("one of {all} was needed, found {0:?}", all = names())]
pub struct UnknownCommand(pub String);

fn names() -> String {
    Command::ALL.map(Command::as_str).join(", ")
}

impl FromStr for Command {
    type Err = UnknownCommand;

    fn from_str(text: &str) -> Result<Command, UnknownCommand> {
        let found = Command::ALL.into_iter().find(|command| command.as_str() == text);
        found.ok_or_else(|| UnknownCommand(text.to_owned()))
    }
}

/// What it takes to become the one that serves, from a copy that waits for log.
fn takes_over(role: Role) -> &'static [Duty] {
    match role {
        Role::Secondary => &[
            Duty::OperateJobs,
            Duty::AdministerLogShipping,
            Duty::RestoreExisting,
            Duty::EndSessions,
        ],
        _ => &[],
    }
}

/// What it takes to give writes up: the mirroring session ends, then the tail of the log is taken.
const GIVES_UP: [Duty; 4] =
    [Duty::AlterDatabase, Duty::EndSessions, Duty::BackUp, Duty::ReadBackups];

/// Whether drills restore on an instance: the one that the topology names, or the secondary.
fn is_drilled_on(topology: &Topology, instance: &Instance) -> bool {
    let named = topology.drill().map_or(&topology.secondary().name, |place| &place.instance);
    instance.name == *named
}

/// Whether an instance of this role may come to hold a copy of the databases.
fn holds_copies(role: Role) -> bool {
    match role {
        Role::Primary
        | Role::PrimaryMirror
        | Role::Secondary
        | Role::FurtherSecondary
        | Role::SecondaryMirror => true,
        Role::PrimaryWitness | Role::SecondaryWitness | Role::Monitor => false,
    }
}

/// What a login needs for a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rights {
    /// The command.
    pub command: Command,
    /// Every instance of the topology, in its order.
    pub instances: Vec<InstanceRights>,
    /// What is needed beside rights on instances, and is not a matter of T-SQL.
    pub beside: Vec<String>,
}

/// What a login needs on one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceRights {
    /// The instance.
    pub instance: InstanceName,
    /// Its role.
    pub role: Role,
    /// Every right with what needs it; one that is in another, such as any in `sysadmin`, is there too.
    pub needs: Vec<Need>,
    /// What stays unknown although everything of `needs` is given.
    pub stays_unknown: Vec<StaysUnknown>,
}

impl InstanceRights {
    /// Whether something needs the server role that includes every other right.
    pub fn needs_sysadmin(&self) -> bool {
        self.needs.iter().any(|need| need.right == Right::SYSADMIN)
    }
}

/// A fact that an instance does not tell to a login with these rights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaysUnknown {
    /// Stable: the fact as an observation calls it.
    pub fact: &'static str,
    /// When, and why.
    pub why: &'static str,
    /// The document that says so.
    pub source: Source,
}

/// The mirroring session of a copy that is not open.
const MIRRORING: StaysUnknown = StaysUnknown {
    fact: "mirroring",
    why: "the mirroring session of a copy that is not ONLINE is shown to members of sysadmin only",
    source: Source::new("sys.database_mirroring (Transact-SQL)", "Permissions"),
};

/// What a login needs for a command in a topology.
pub fn rights(command: Command, topology: &Topology) -> Rights {
    let of = |instance: &Instance| {
        let duties = command.duties(topology, instance);
        let mut merged: BTreeMap<Right, Need> = BTreeMap::new();
        for duty in duties {
            for need in duty.needs(topology, holds_copies(instance.role)) {
                merged
                    .entry(need.right.clone())
                    .and_modify(|known| known.merge(&need))
                    .or_insert(need);
            }
        }
        let needs: Vec<Need> = merged.into_values().collect();
        let is_sysadmin = needs.iter().any(|need| need.right == Right::SYSADMIN);
        let hidden = holds_copies(instance.role) && !is_sysadmin;
        InstanceRights {
            instance: instance.name.clone(),
            role: instance.role,
            needs,
            stays_unknown: hidden.then_some(MIRRORING).into_iter().collect(),
        }
    };
    Rights {
        command,
        instances: topology.instances().map(of).collect(),
        beside: beside(command, topology),
    }
}

fn beside(command: Command, topology: &Topology) -> Vec<String> {
    let (share, copies) = (&topology.backup_share().unc, &topology.copy_share().unc);
    let mut all = vec![format!(
        "The account that runs pcdr lists {share} and {copies}: it needs to read both folders."
    )];
    if matches!(command, Command::Failover | Command::PlannedFailover) {
        all.push(format!(
            "The account that runs pcdr copies log backups from {share} to {copies}: it needs to \
             write the second."
        ));
    }
    if !command.only_reads() {
        all.push(format!(
            "The service accounts of SQL Server and SQL Server Agent write and read {share} and \
             {copies}: what the login may do gives them nothing."
        ));
    }
    if command == Command::Drill {
        all.push(
            "The service account of SQL Server writes the folder that the drill restores into, and reads the \
             full backups: what the login may do gives it nothing."
                .to_owned(),
        );
    }
    if topology.pool().is_some() {
        all.push(
            "Cmdlets of the pool run in the Management Shell under an account of its own: what the \
             login may do gives it nothing."
                .to_owned(),
        );
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, DatabaseName};

    fn topology() -> Topology {
        Topology::parse(crate::topology::EXAMPLE).unwrap()
    }

    #[test]
    fn both_ways_of_a_mirror_failover_have_their_duties() {
        let topology = topology();
        let database: DatabaseName = "mgc".into();
        for (name, action) in [
            ("sql-n1", crate::step::DatabaseAction::FailOverMirror),
            ("sql-n2", crate::step::DatabaseAction::ForceService),
            ("sql-s2", crate::step::DatabaseAction::FailOverMirror),
        ] {
            let instance = topology.instance(&name.into()).unwrap();
            let has = Command::MirrorFailover.duties(&topology, instance);
            let action = Action::Database(name.into(), database.clone(), action);
            assert!(!duties(&action).is_empty());
            assert!(duties(&action).iter().all(|duty| has.contains(duty)), "{action}");
        }
    }

    #[test]
    fn what_only_reads_needs_no_server_role_anywhere() {
        for command in Command::ALL.into_iter().filter(|command| command.only_reads()) {
            for instance in rights(command, &topology()).instances {
                let role = |need: &Need| matches!(need.right, Right::ServerRole(_));
                assert!(!instance.needs.iter().any(role), "{}", instance.instance);
                assert!(instance.needs.len() >= 3, "{instance:?}");
            }
        }
    }

    #[test]
    fn sysadmin_is_needed_only_where_log_shipping_is_administered_or_a_mirror_is_looked_at() {
        let needs = |command| -> Vec<String> {
            let all = rights(command, &topology()).instances;
            let those = all.iter().filter(|instance| instance.needs_sysadmin());
            those.map(|instance| instance.instance.to_string()).collect()
        };
        assert_eq!(needs(Command::Configure), ["sql-n1", "sql-n2", "sql-s1"]);
        assert_eq!(needs(Command::Failover), ["sql-s1"]);
        assert_eq!(needs(Command::PlannedFailover), ["sql-s1"]);
        assert_eq!(needs(Command::Fence), [""; 0]);
        assert_eq!(needs(Command::Failback), [""; 0]);
        // Where the mirror is, now or after a failover, shows it to nobody else.
        assert_eq!(needs(Command::MirrorFailover), ["sql-n1", "sql-n2", "sql-s1", "sql-s2"]);
        assert_eq!(needs(Command::Plan), [""; 0]);
    }

    #[test]
    fn every_right_says_why_and_where_it_is_written() {
        for command in Command::ALL {
            assert_eq!(command.as_str().parse(), Ok(command));
            for need in rights(command, &topology()).instances.into_iter().flat_map(|i| i.needs) {
                assert!(!need.why.is_empty() && !need.sources.is_empty(), "{need:?}");
            }
        }
        assert!("rehearse".parse::<Command>().is_err());
    }
}
