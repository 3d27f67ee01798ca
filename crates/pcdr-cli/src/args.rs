//! The command line's words.

pub mod discover;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use pcdr_core::plan::FailoverBy;
use pcdr_core::step::NewPrincipal;
use pcdr_core::{Consent, Intent};

use discover::Discover;

/// Plan, prove, rehearse and carry out the disaster recovery of mirrored, log-shipped databases.
#[derive(Debug, Parser)]
#[command(
    name = "pcdr",
    version,
    long_about = "Plans, proves, rehearses and carries out the disaster recovery of databases that \
                  SQL Server protects with mirroring inside a data centre and log shipping between \
                  data centres, such as the stretched Persistent Chat pool of Lync Server 2013 and \
                  Skype for Business Server 2015.\n\nEvery plan is verified before anybody sees it, \
                  every refusal says what to do, and nothing runs that was not shown.",
    after_long_help = EXAMPLES,
    arg_required_else_help = true,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Where topologies are.
    #[command(flatten)]
    pub topology: Topologies,

    /// Print one JSON object instead of text (`pcdr schema` describes it)
    #[arg(long, global = true)]
    pub json: bool,

    /// Write every batch sent to a server into this file, as a T-SQL script, secrets masked
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub trace_sql: Option<PathBuf>,

    /// Folder of the lock and the journal; by default one per topology under the user's state folder
    #[arg(long, global = true, env = "PCDR_STATE", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state: Option<PathBuf>,

    /// Tell more on standard error; twice for everything (PCDR_LOG takes filters by module)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The topology files that were named: one, for every command but `status`.
#[derive(Debug, Args)]
pub struct Topologies {
    /// Topology file (TOML): sites, instances with their roles, pool, shares; status takes several, and
    /// folders of them
    #[arg(
        long = "topology",
        global = true,
        env = "PCDR_TOPOLOGY",
        value_name = "FILE",
        value_hint = ValueHint::AnyPath,
        action = clap::ArgAction::Append
    )]
    pub paths: Vec<PathBuf>,
}

impl Topologies {
    /// The only one, or the first.
    pub fn as_deref(&self) -> Option<&Path> {
        self.paths.first().map(PathBuf::as_path)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Rehearse a disaster from configuration to proof, on stand-ins; touches nothing else
    #[command(after_long_help = "Examples:\n  \
        pcdr rehearse\n  \
        pcdr rehearse --topology prod.toml --seed 7 --trace-sql sent.sql\n  \
        pcdr rehearse --json --keep drill-2026-03 --time real\n\n\
        The stand-ins speak SQL Server's protocol over real sockets on the loopback address; the \
        code that configures, observes, plans and applies is the code for real servers. Time is \
        virtual unless --time real is given: waiting costs nothing.")]
    Rehearse(Rehearse),

    /// Write the topology file of what is there: log shipping and mirroring of running instances
    #[command(after_long_help = discover::EXAMPLES)]
    Discover(Box<Discover>),

    /// Check a topology file against every planning rule
    #[command(after_long_help = "Examples:\n  \
        pcdr validate --topology prod.toml\n  \
        pcdr validate --topology prod.toml --json | jq '.error.details'\n\n\
        Every violation is shown at once, with line and column, the rule's document and what to do.")]
    Validate,

    /// Observe every instance, the shares and the pool, and show who holds what
    #[command(after_long_help = "Examples:\n  \
        pcdr status --topology prod.toml\n  \
        pcdr status --topology prod.toml --json > observation.json\n  \
        pcdr status --topology prod.toml --watch 30s\n  \
        pcdr status --topology prod.toml --exit-status || notify\n  \
        pcdr status --topology all-topologies/ --watch 30s\n\n\
        Changes nothing. What could not be observed is shown as unknown, with the reason.\n\
        Of several topologies, each instance is asked in one round trip and no log backup is read: the \
        history in msdb has to do, and one line a protection is shown, the worst first.")]
    Status(Status),

    /// Set mirroring and log shipping up as the topology designs them, and mend what differs
    #[command(after_long_help = "Examples:\n  \
        pcdr configure --topology prod.toml --diff\n  \
        pcdr configure --topology prod.toml\n  \
        pcdr configure --topology prod.toml --yes --json\n\n\
        What is as designed is left alone; run again, it changes nothing. A database that exists under \
        the name and takes no log of the primary is never overwritten without consent.\n\
        When a step fails, what this run created is taken back, and what was there before stays as it \
        was; --keep leaves it, and the next run goes on from there.\n\
        For review by another person: pcdr plan configure -o plan.json, then pcdr apply plan.json.")]
    Configure(Configure),

    /// Check everything that a command needs before it is given: rights, folders, space, clocks and more
    #[command(after_long_help = "Examples:\n  \
        pcdr preflight --topology prod.toml\n  \
        pcdr preflight configure --topology prod.toml\n  \
        pcdr preflight failover --topology prod.toml --json | jq '.instances[].checks[]'\n  \
        pcdr preflight mirror-failover --topology prod.toml --exit-status || notify\n\n\
        Changes nothing. Every check passes, fails, or says why it could not be made.")]
    Preflight(Preflight),

    /// Write the T-SQL that gives pcdr's login the rights that a command needs; runs none of it
    #[command(after_long_help = "Examples:\n  \
        pcdr rights --topology prod.toml --login pcdr > rights.sql\n  \
        pcdr rights failover --topology prod.toml --login 'EXAMPLE\\pcdr' --windows\n  \
        pcdr rights configure --topology prod.toml --login pcdr --json | jq '.instances[].needs'\n\n\
        For each instance by its role: every right with what needs it, its source, and what stays \
        unknown although it is given. There is no password in it.")]
    Rights(Rights),

    /// Make a verified plan; changes nothing
    Plan {
        /// What for.
        #[command(subcommand)]
        intent: PlanIntent,
    },

    /// Carry out a plan: lock, observe again, refuse if a fact has changed, then step by step
    #[command(after_long_help = "Examples:\n  \
        pcdr plan failover --topology prod.toml -o plan.json\n  \
        pcdr apply plan.json --topology prod.toml\n  \
        pcdr apply plan.json --topology prod.toml --yes --json\n\n\
        A run that was killed needs no repair: apply the same plan again, and what is left of it \
        is done. A plan whose facts have changed for any other reason is refused (exit status 3).")]
    Apply(Apply),

    /// Prove that the databases can be recovered: restore their backups beside production, check, drop
    #[command(after_long_help = "Examples:\n  \
        pcdr drill --topology prod.toml --directory 'S:\\drill'\n  \
        pcdr drill --topology prod.toml --on sql-s2 --yes --json\n  \
        pcdr plan drill --topology prod.toml -o drill.json\n\n\
        The newest full backup (*.bak) in the backup share or the copy destination and every log backup \
        after it are restored under another name, on the secondary unless another instance is named; the \
        copy is recovered, checked with DBCC CHECKDB, and dropped. No job, entry, backup or database of \
        production is touched; msdb keeps the rows that each restore writes. pcdr status shows what was \
        proven last. A drill that was cut off leaves its copy, which the next one drops first.")]
    Drill(Drill),

    /// Write the plan as a runbook for a person: exact T-SQL and cmdlets, in Markdown
    Runbook {
        /// What for.
        #[command(subcommand)]
        intent: RunbookIntent,
    },

    /// Serve the stand-ins of a topology until Ctrl-C, and take faults as commands on standard input
    #[command(after_long_help = "Examples:\n  \
        pcdr sim --topology prod.toml --keep sim          (first terminal)\n  \
        pcdr status --topology sim/topology.toml          (second terminal)\n\n\
        The first line of output is one JSON object that names the instances, their ports, the \
        files with certificate authority and password, and a topology file ready for the other \
        commands. Type help for the faults.")]
    Sim(Sim),

    /// Stand in for powershell.exe: send standard input to a served Management Shell
    #[command(hide = true)]
    SimShell(SimShell),

    /// Print the JSON schema of what a command prints under --json
    Schema {
        /// Which output.
        what: SchemaOf,
    },

    /// Print a completion script for a shell
    #[command(after_long_help = "Example:\n  pcdr completions bash > /etc/bash_completion.d/pcdr")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// What to plan.
#[derive(Debug, Subcommand)]
pub enum PlanIntent {
    /// Disaster failover: the primary site is lost, the secondary takes over
    #[command(after_long_help = "Examples:\n  \
        pcdr plan failover --topology prod.toml\n  \
        pcdr plan failover --topology prod.toml -o plan.json\n  \
        pcdr plan failover --topology prod.toml --consent primary-site-lost -o plan.json\n\n\
        A refusal (exit status 3) names what was needed, what was found, what to do and, where \
        there is one, the consent that overrides it with its price.")]
    Failover(Planned),

    /// Planned failover: both sites work, the secondary takes over, and nothing is lost
    #[command(after_long_help = "Examples:\n  \
        pcdr plan planned-failover --topology prod.toml -o plan.json\n\n\
        Log backups are restored while the service goes on; writes wait for the tail of the log \
        alone. The old primary is left RESTORING.")]
    PlannedFailover(Planned),

    /// Fence: the old primary came back after a failover and takes writes beside the new one
    #[command(after_long_help = "Example:\n  \
        pcdr plan fence --topology prod.toml -o fence.json\n\n\
        Its backup job is disabled, and its database is left RESTORING; what it accepted since the \
        failover is kept in a file. Nothing is done to the databases that serve.")]
    Fence(Planned),

    /// Failback: the primary site takes over again from the backup databases, without loss
    #[command(after_long_help = "Example:\n  \
        pcdr plan failback --topology prod.toml -o back.json\n\n\
        The primary is restored while the service goes on; writes wait for the tail of the log alone. \
        The pool is set Normal before servers are active again. Afterwards, pcdr configure sets \
        mirroring and log shipping up again.")]
    Failback(Planned),

    /// Configure: what is missing of mirroring and log shipping, and what differs
    #[command(after_long_help = "Example:\n  \
        pcdr plan configure --topology prod.toml -o plan.json")]
    Configure(Planned),

    /// Mirror failover: principal and mirror swap inside their site, without loss
    #[command(after_long_help = "Examples:\n  \
        pcdr plan mirror-failover --new-principal mirror --topology prod.toml -o plan.json\n  \
        pcdr plan mirror-failover --new-principal primary --by cmdlet --topology prod.toml\n\n\
        Needs a session that is SYNCHRONIZED with SAFETY FULL. Where the principal is lost, the \
        refusal names the consent that forces the mirror into service, and its price.")]
    MirrorFailover(MirrorFailover),

    /// Drill: restore the backups beside production, check the copy, and drop it
    #[command(after_long_help = "Example:\n  \
        pcdr plan drill --directory 'S:\\drill' --topology prod.toml -o drill.json")]
    Drill(DrillPlanned),

    /// Remove log shipping, and mirroring if asked; drops no database
    #[command(after_long_help = "Examples:\n  \
        pcdr plan remove --topology prod.toml -o plan.json\n  \
        pcdr plan remove --mirroring --consent leave-unreachable --topology prod.toml\n\n\
        Entries and jobs of other databases, primaries and secondaries are not touched. What is on \
        an instance that cannot be reached is listed with the statements to run when it is back.")]
    Remove(Remove),
}

/// What to write a runbook for.
#[derive(Debug, Subcommand)]
pub enum RunbookIntent {
    /// Disaster failover: the primary site is lost, the secondary takes over
    #[command(after_long_help = "Example:\n  \
        pcdr runbook failover --topology prod.toml -o failover.md")]
    Failover(Planned),

    /// Planned failover: both sites work, the secondary takes over, and nothing is lost
    #[command(after_long_help = "Example:\n  \
        pcdr runbook planned-failover --topology prod.toml -o planned.md")]
    PlannedFailover(Planned),

    /// Fence: the old primary came back after a failover and takes writes beside the new one
    #[command(after_long_help = "Example:\n  \
        pcdr runbook fence --topology prod.toml -o fence.md")]
    Fence(Planned),

    /// Failback: the primary site takes over again from the backup databases, without loss
    #[command(after_long_help = "Example:\n  \
        pcdr runbook failback --topology prod.toml -o back.md")]
    Failback(Planned),

    /// Configure: what is missing of mirroring and log shipping, and what differs
    #[command(after_long_help = "Example:\n  \
        pcdr runbook configure --topology prod.toml -o configure.md")]
    Configure(Planned),

    /// Mirror failover: principal and mirror swap inside their site, without loss
    #[command(after_long_help = "Example:\n  \
        pcdr runbook mirror-failover --new-principal mirror --topology prod.toml -o swap.md")]
    MirrorFailover(MirrorFailover),

    /// Drill: restore the backups beside production, check the copy, and drop it
    #[command(after_long_help = "Example:\n  \
        pcdr runbook drill --directory 'S:\\drill' --topology prod.toml -o drill.md")]
    Drill(DrillPlanned),

    /// Remove log shipping, and mirroring if asked; drops no database
    #[command(after_long_help = "Example:\n  \
        pcdr runbook remove --topology prod.toml -o remove.md")]
    Remove(Remove),
}

impl PlanIntent {
    /// The intent, and what every plan takes.
    pub fn wanted(&self) -> (Intent, &Planned) {
        match self {
            PlanIntent::Failover(planned) => (Intent::DisasterFailover, planned),
            PlanIntent::PlannedFailover(planned) => (Intent::PlannedFailover, planned),
            PlanIntent::Fence(planned) => (Intent::Fence, planned),
            PlanIntent::Failback(planned) => (Intent::Failback, planned),
            PlanIntent::Configure(planned) => (Intent::Configure, planned),
            PlanIntent::MirrorFailover(wanted) => (wanted.intent(), &wanted.planned),
            PlanIntent::Remove(wanted) => (wanted.intent(), &wanted.planned),
            PlanIntent::Drill(wanted) => (Intent::Drill, &wanted.planned),
        }
    }

    /// Where a drill restores to, as far as it is named here.
    pub fn place(&self) -> DrillPlace {
        match self {
            PlanIntent::Drill(wanted) => wanted.place.clone(),
            _ => DrillPlace::default(),
        }
    }
}

impl RunbookIntent {
    /// The intent, and what every plan takes.
    pub fn wanted(&self) -> (Intent, &Planned) {
        match self {
            RunbookIntent::Failover(planned) => (Intent::DisasterFailover, planned),
            RunbookIntent::PlannedFailover(planned) => (Intent::PlannedFailover, planned),
            RunbookIntent::Fence(planned) => (Intent::Fence, planned),
            RunbookIntent::Failback(planned) => (Intent::Failback, planned),
            RunbookIntent::Configure(planned) => (Intent::Configure, planned),
            RunbookIntent::MirrorFailover(wanted) => (wanted.intent(), &wanted.planned),
            RunbookIntent::Remove(wanted) => (wanted.intent(), &wanted.planned),
            RunbookIntent::Drill(wanted) => (Intent::Drill, &wanted.planned),
        }
    }

    /// Where a drill restores to, as far as it is named here.
    pub fn place(&self) -> DrillPlace {
        match self {
            RunbookIntent::Drill(wanted) => wanted.place.clone(),
            _ => DrillPlace::default(),
        }
    }
}

/// Options of `preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    /// Before what
    #[arg(default_value = "failover", value_name = "COMMAND", value_parser = preflight_commands())]
    pub command: pcdr_core::rights::Command,

    /// End with a status for scripts: 0 all passed, 4 some could not be checked, 5 some failed
    #[arg(long)]
    pub exit_status: bool,
}

fn preflight_commands() -> impl clap::builder::TypedValueParser<Value = pcdr_core::rights::Command>
{
    use clap::builder::TypedValueParser;
    use pcdr_core::rights::Command;
    let changing = Command::ALL.into_iter().filter(|command| !command.only_reads());
    clap::builder::PossibleValuesParser::new(changing.map(Command::as_str))
        .try_map(|name| name.parse::<Command>())
}

/// Options of `rights`.
#[derive(Debug, Args)]
pub struct Rights {
    /// What pcdr shall be able to do; plan, preflight and discover need what status needs
    #[arg(default_value = "status", value_name = "COMMAND", value_parser = rights_commands())]
    pub command: pcdr_core::rights::Command,

    /// The login that pcdr uses
    #[arg(long, value_name = "NAME")]
    pub login: String,

    /// It is a Windows account (DOMAIN\name), whose login the script creates; otherwise a SQL login that exists
    #[arg(long)]
    pub windows: bool,
}

fn rights_commands() -> impl clap::builder::TypedValueParser<Value = pcdr_core::rights::Command> {
    use clap::builder::TypedValueParser;
    use pcdr_core::rights::Command;
    clap::builder::PossibleValuesParser::new(Command::ALL.map(Command::as_str))
        .try_map(|name| name.parse::<Command>())
}

/// Options of `configure`.
#[derive(Debug, Args)]
pub struct Configure {
    /// Show what differs, setting by setting, and what would be done; change nothing
    #[arg(long)]
    pub diff: bool,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// When a step fails, keep what is done and go on later, instead of taking it back
    #[arg(long)]
    pub keep: bool,

    /// Accept by name what would be refused otherwise; may be repeated
    #[arg(long, value_name = "NAME", value_parser = consents())]
    pub consent: Vec<Consent>,
}

/// Options of a mirror failover.
#[derive(Debug, Args)]
pub struct MirrorFailover {
    /// The partner that is to be principal, by its role in the topology
    #[arg(long, value_enum)]
    pub new_principal: Partner,

    /// How: on the instances themselves, or by the product's cmdlet for the pool's databases
    #[arg(long, value_enum, default_value_t = By::TSql)]
    pub by: By,

    /// What every plan takes.
    #[command(flatten)]
    pub planned: Planned,
}

impl MirrorFailover {
    fn intent(&self) -> Intent {
        let new_principal = match self.new_principal {
            Partner::Primary => NewPrincipal::Primary,
            Partner::Mirror => NewPrincipal::Mirror,
        };
        let by = match self.by {
            By::TSql => FailoverBy::TSql,
            By::Cmdlet => FailoverBy::Cmdlet,
        };
        Intent::MirrorFailover { new_principal, by }
    }
}

/// A partner by its role in the topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Partner {
    /// The primary, or the secondary where its pair serves
    Primary,
    /// Its mirror
    Mirror,
}

/// How principal and mirror swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// ALTER DATABASE … SET PARTNER, on the instances themselves
    TSql,
    /// Invoke-CsDatabaseFailover, in the product's Management Shell
    Cmdlet,
}

/// Where a drill restores to; what is not named is as in `[drill]` of the topology.
#[derive(Debug, Clone, Default, Args)]
pub struct DrillPlace {
    /// The instance to restore on; by default the topology's, or the secondary
    #[arg(long, value_name = "INSTANCE")]
    pub on: Option<String>,

    /// The folder for the copy's files, as that instance sees it
    #[arg(long, value_name = "DIR")]
    pub directory: Option<String>,
}

/// Options of a drill that is planned.
#[derive(Debug, Args)]
pub struct DrillPlanned {
    /// Where it restores to.
    #[command(flatten)]
    pub place: DrillPlace,

    /// What every plan takes.
    #[command(flatten)]
    pub planned: Planned,
}

/// Options of `drill`.
#[derive(Debug, Args)]
pub struct Drill {
    /// Where it restores to.
    #[command(flatten)]
    pub place: DrillPlace,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Accept by name what would be refused otherwise; may be repeated
    #[arg(long, value_name = "NAME", value_parser = consents())]
    pub consent: Vec<Consent>,
}

/// Options of a removal.
#[derive(Debug, Args)]
pub struct Remove {
    /// Remove mirroring too: witness off, partner off
    #[arg(long)]
    pub mirroring: bool,

    /// What every plan takes.
    #[command(flatten)]
    pub planned: Planned,
}

impl Remove {
    fn intent(&self) -> Intent {
        Intent::Remove { mirroring: self.mirroring }
    }
}

/// What every plan takes.
#[derive(Debug, Args)]
pub struct Planned {
    /// Write it into this file, instead of standard output alone
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Accept by name what would be refused otherwise; may be repeated
    #[arg(long, value_name = "NAME", value_parser = consents())]
    pub consent: Vec<Consent>,
}

fn consents() -> impl clap::builder::TypedValueParser<Value = Consent> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Consent::ALL.map(Consent::as_str))
        .try_map(|name| name.parse::<Consent>())
}

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Look again every so often, until Ctrl-C; under --json one object a line
    #[arg(long, value_name = "DURATION", value_parser = every)]
    pub watch: Option<Duration>,

    /// End with a status for monitoring: 0 ready, 4 needs attention or is unknown, 5 a failover would be
    /// refused, 6 act now
    #[arg(long)]
    pub exit_status: bool,

    /// Wait no longer than this for anything that does not answer: it is shown as unknown
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = every)]
    pub timeout: Duration,

    /// Of several topologies, show what is fine too, and no matter how many lines that takes
    #[arg(long)]
    pub all: bool,
}

fn every(text: &str) -> Result<Duration, String> {
    let duration = pcdr_core::topology::parse_duration(text)
        .ok_or_else(|| format!("a duration such as 30s or 5m is needed, found {text:?}"))?;
    if duration < Duration::from_secs(1) {
        return Err("at least 1s is needed: every look is a request to each instance".to_owned());
    }
    Ok(duration)
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan, as `pcdr plan … -o` wrote it
    #[arg(value_name = "PLAN.json", value_hint = ValueHint::FilePath)]
    pub plan: PathBuf,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// When a step of a configuration fails, keep what is done instead of taking it back
    #[arg(long)]
    pub keep: bool,
}

/// Options of `rehearse`.
#[derive(Debug, Args)]
pub struct Rehearse {
    /// Seed of every choice: what is written, when the disaster strikes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// What happens
    #[arg(long, value_enum, default_value_t = Scenario::Disaster)]
    pub scenario: Scenario,

    /// Keep disks, shares, journal and plan in this folder, which must not exist or be empty
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub keep: Option<PathBuf>,

    /// How time passes
    #[arg(long, value_enum, default_value_t = Time::Virtual)]
    pub time: Time,
}

/// What a rehearsal rehearses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// The primary site is lost between two log backups
    Disaster,
    /// Both sites work; the secondary takes over while clients write, and nothing is lost
    Planned,
    /// The disaster, and the way back: the old primary returns and is fenced, failback, configure
    FullCycle,
    /// Both sites work; a drill restores the backups beside production, is cut off, and goes on
    Drill,
}

impl Scenario {
    /// Its name in arguments and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::Disaster => "disaster",
            Scenario::Planned => "planned",
            Scenario::FullCycle => "full-cycle",
            Scenario::Drill => "drill",
        }
    }
}

/// How time passes in a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Time {
    /// Waiting takes no time
    Virtual,
    /// As on the wall
    Real,
}

/// Options of `sim`.
#[derive(Debug, Args)]
pub struct Sim {
    /// Seed of every choice
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Keep everything in this folder, which must not exist or be empty; otherwise a temporary one
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub keep: Option<PathBuf>,
}

/// Options of `sim-shell`.
#[derive(Debug, Args)]
pub struct SimShell {
    /// Where the stand-in of the Management Shell listens
    #[arg(long, value_name = "ADDRESS")]
    pub connect: SocketAddr,

    /// File that holds the token; only its owner may read it
    #[arg(long, env = "PCDR_SIM_TOKEN_FILE", value_name = "FILE")]
    pub token_file: PathBuf,

    /// Take standard input line by line, as typed by a person
    #[arg(long)]
    pub interactive: bool,
}

/// Outputs that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `pcdr discover --json`
    Discover,
    /// `pcdr validate --json`
    Validate,
    /// `pcdr status --json`
    Status,
    /// `pcdr preflight … --json`
    Preflight,
    /// `pcdr rights … --json`
    Rights,
    /// `pcdr status --json` of several topologies
    StatusOverview,
    /// `pcdr configure --diff --json`
    Diff,
    /// `pcdr plan … --json` and the file that `pcdr plan … -o` writes
    Plan,
    /// `pcdr apply … --json`
    Apply,
    /// `pcdr runbook … --json`
    Runbook,
    /// `pcdr rehearse --json`
    Rehearse,
    /// The first line of `pcdr sim`
    Sim,
    /// What every command prints when it fails or refuses
    Failure,
}

const EXAMPLES: &str = "\
Examples:
  See the whole procedure on stand-ins, without a server:
    pcdr rehearse
  Write the topology of what is there, from the instances themselves:
    pcdr discover --instance sql-n1.example.net --instance sql-s1.example.net --login pcdr -o prod.toml
  Check a topology, look, plan, carry out:
    pcdr validate --topology prod.toml
    pcdr status --topology prod.toml
    pcdr plan failover --topology prod.toml -o plan.json
    pcdr apply plan.json --topology prod.toml
  The same as a document for a person:
    pcdr runbook failover --topology prod.toml -o failover.md

Exit status: 0 done or nothing to do, 1 error, 2 usage or invalid topology, 3 refused.
Passwords come from the environment variable or file that the topology names, never from here.";
