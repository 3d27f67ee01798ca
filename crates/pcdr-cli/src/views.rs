//! What programs read: the JSON documents of every command, with their schemas.
//!
//! Documents of pcdr-core (plans, observations) are printed as the core writes them; the types that
//! describe them here exist for the schema, and a test holds the two together.

use std::path::PathBuf;

use pcdr_core::{Observation, PlanContent};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::SchemaOf;
use crate::failure::Trouble;
use crate::overview::OverviewDocument;
use crate::protection_views::ProtectionStatus;

/// What a command prints when it fails (`error`, exit status 1 or 2) or refuses (`refusal`, 3).
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FailureDocument {
    /// Something was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// The reasoned "no". Nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusalBody>,
}

impl FailureDocument {
    /// The document of an error.
    pub fn error(trouble: &Trouble) -> FailureDocument {
        FailureDocument {
            error: Some(ErrorBody {
                code: trouble.code.clone(),
                message: trouble.message.clone(),
                remedy: trouble.remedy.clone(),
                details: trouble.details.clone(),
            }),
            refusal: None,
        }
    }
}

/// An error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorBody {
    /// Stable, to branch on.
    pub code: String,
    /// What was needed and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// More, by code; for `invalid_topology` the list of violations.
    pub details: Value,
}

/// A refusal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RefusalBody {
    /// Stable, to branch on.
    pub code: String,
    /// What was needed and what was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// The consent that overrides it, for `--consent`; null when nothing does.
    pub consent: Option<String>,
    /// What that consent costs.
    pub price: Option<String>,
    /// The fields of the refusal, by code.
    pub details: Value,
}

/// `pcdr discover --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiscoverDocument {
    /// Whether the topology says all that is there, and nothing else.
    pub complete: bool,
    /// Whether it validates.
    pub valid: bool,
    /// The file that was written; null when none was.
    pub file: Option<String>,
    /// The topology as TOML; null when a question comes first, or nothing is log-shipped.
    pub topology: Option<String>,
    /// The instances as given, with what was made of each.
    pub instances: Vec<DiscoveredInstance>,
    /// What could not be found out, and what fits no topology.
    pub findings: Vec<DiscoveryFinding>,
}

/// An instance, and its place in the topology.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiscoveredInstance {
    /// As it was given.
    pub address: String,
    /// `@@SERVERNAME`; null when it did not tell.
    pub server_name: Option<String>,
    /// Its role, for example `primary-mirror`; null when none was found.
    pub role: Option<String>,
    /// What tells that role.
    pub why: String,
}

/// Something that a discovery has to tell.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiscoveryFinding {
    /// `question`, `incomplete`, `differs` or `note`.
    pub kind: String,
    /// Stable, to branch on.
    pub code: String,
    /// Where; null for all of it.
    pub instance: Option<String>,
    /// Of which database.
    pub database: Option<String>,
    /// What was found.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// `pcdr validate --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ValidateDocument {
    /// Always true; an invalid topology is an `error` instead.
    pub valid: bool,
    /// The file.
    pub file: String,
    /// What lock and journal go by.
    pub identity: String,
    /// Sites.
    pub sites: Vec<String>,
    /// Instances.
    pub instances: Vec<DesignedInstance>,
    /// Log-shipped databases.
    pub databases: Vec<String>,
    /// The chat pool's name, if there is one.
    pub pool: Option<String>,
    /// Its chat servers.
    pub servers: Vec<String>,
    /// Shares: UNC paths.
    pub shares: Vec<String>,
}

/// An instance as designed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DesignedInstance {
    /// Name.
    pub name: String,
    /// Site.
    pub site: String,
    /// Role, for example `primary-mirror`.
    pub role: String,
    /// `@@SERVERNAME`.
    pub server_name: String,
}

/// `pcdr status --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StatusDocument {
    /// What lock and journal go by.
    pub identity: String,
    /// When the observation began.
    pub taken_at: String,
    /// `ready`, `attention` (a failover would work, but look), `unknown` (nobody can say), `not_ready` (it
    /// would be refused) or `alarm` (act now).
    pub verdict: String,
    /// What the verdict on failover rests on: `plan` (made and verified from the log backups that are there)
    /// or `history` (of `msdb`).
    pub proof: String,
    /// What needs attention, most urgent first.
    pub findings: Vec<FindingStatus>,
    /// Every protection of every database: mirroring, log shipping to each secondary, the mirror's own entry.
    pub protections: Vec<ProtectionStatus>,
    /// What a disaster failover would lose now, by database; empty when it would be refused.
    pub at_risk: Vec<String>,
    /// Instances, by name.
    pub instances: Vec<InstanceStatus>,
    /// Log backups, by database.
    pub log_backups: Vec<LogBackupStatus>,
    /// The pool; null when the topology has none.
    pub pool: Option<PoolStatus>,
    /// By the journal here: when a drill proved each database recoverable last, and the newest drill where
    /// that failed after it.
    pub drills: Vec<DrillStatus>,
    /// Why nobody can say what drills proved: the journal cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drills_reason: Option<String>,
    /// Everything that was seen, as pcdr-core writes it: planning from it needs no server.
    #[schemars(with = "Value")]
    pub observation: Observation,
}

/// What `pcdr configure --diff` prints.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiffDocument {
    /// Whether nothing differs of what was observed.
    pub is_as_designed: bool,
    /// What differs, setting by setting.
    pub differences: Vec<Difference>,
    /// What `pcdr configure` would do about it, in order.
    pub steps: Vec<String>,
}

/// One thing that is not as designed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Difference {
    /// Where.
    pub instance: String,
    /// Of which database; null for the instance itself.
    pub database: Option<String>,
    /// A setting's name, or for example `mirroring session`.
    pub what: String,
    /// What is there.
    pub found: String,
    /// What the topology says.
    pub designed: String,
}

/// Something that needs attention.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FindingStatus {
    /// How urgent: `attention`, `unknown`, `not_ready` or `alarm`.
    pub verdict: String,
    /// Stable, to branch on.
    pub code: String,
    /// What was found and what to do.
    pub message: String,
    /// The database that it is about; null: all of them.
    pub database: Option<String>,
    /// The instance that it is about; null: all of them.
    pub instance: Option<String>,
}

/// One instance as seen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InstanceStatus {
    /// Name.
    pub name: String,
    /// Site.
    pub site: String,
    /// Designed role.
    pub role: String,
    /// Whether it answered.
    pub answers: bool,
    /// Why it did not.
    pub reason: Option<String>,
    /// `ProductVersion`.
    pub version: Option<String>,
    /// The topology's databases on it.
    pub databases: Vec<DatabaseStatus>,
}

/// One database on one instance as seen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DatabaseStatus {
    /// Name.
    pub name: String,
    /// `state_desc`.
    pub state: String,
    /// Whether it takes writes.
    pub is_writable: bool,
    /// Mirroring role and state, for example `PRINCIPAL, SYNCHRONIZED`; null when not mirrored.
    pub mirroring: Option<String>,
    /// Log shipping role, `primary` or `secondary`; null when it has none.
    pub log_shipping: Option<String>,
    /// User sessions; null when unknown.
    pub sessions: Option<usize>,
}

/// The log backups of one database as seen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LogBackupStatus {
    /// Database.
    pub database: String,
    /// Files in the backup share; null when it could not be read.
    pub in_share: Option<usize>,
    /// Files in the copy destination; null when it could not be read.
    pub copied: Option<usize>,
    /// End of the newest log backup whose header could be read.
    pub newest: Option<String>,
    /// Why a folder could not be read.
    pub reason: Option<String>,
}

/// The pool as seen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PoolStatus {
    /// Name.
    pub name: String,
    /// `Normal` or `FailedOver`; null when unknown.
    pub state: Option<String>,
    /// Why it is unknown.
    pub reason: Option<String>,
    /// Whether the Central Management store takes changes; null when unknown.
    pub is_configuration_writable: Option<bool>,
    /// Chat servers that pinged the serving database within the last minutes.
    pub serving: Vec<String>,
}

/// The number of the format of plan files.
pub const PLAN_FORMAT: u32 = 1;

/// `pcdr plan … --json`, and the file that `-o` writes and `pcdr apply` takes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanDocument {
    /// The format's number.
    pub pcdr_plan: u32,
    /// What lock and journal go by; a plan is for one topology.
    pub topology: String,
    /// Whether there is nothing to do.
    pub nothing_to_do: bool,
    /// The plan.
    #[schemars(with = "PlanSchema")]
    pub plan: PlanContent,
}

/// A duration.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "for the schema")]
struct DurationSchema {
    /// Whole seconds.
    secs: u64,
    /// Nanoseconds beside them.
    nanos: u32,
}

/// A verified plan.
#[derive(JsonSchema)]
#[schemars(rename = "Plan")]
#[allow(dead_code, reason = "for the schema")]
struct PlanSchema {
    /// `configure`, `disaster-failover`, `drill`, or an object whose one member is `mirror-failover` or `remove`
    /// with the options.
    intent: Value,
    /// When it was made.
    planned_at: String,
    /// When the observation began that it was made from.
    observed_at: String,
    /// Named consents that it needed.
    consents: Vec<String>,
    /// Steps in the order of their numbers.
    steps: Vec<StepSchema>,
    /// What will be lost, by database.
    predicted_losses: Vec<LossSchema>,
    /// Along the longest path.
    predicted_duration: DurationSchema,
    /// Invariants that hold after every step.
    invariants: Vec<String>,
    /// Evidence for the loss of the primary site.
    evidence: Option<Value>,
    /// What the operator should know.
    notes: Vec<String>,
    /// What is left to do by hand when instances that cannot be reached are back, in order.
    left_behind: Vec<ActionSchema>,
    /// Where a drill restores to and what it tries; only in a plan of a drill.
    drill: Option<Value>,
    /// The facts that the steps rest on.
    facts: std::collections::BTreeMap<String, String>,
}

/// A step.
#[derive(JsonSchema)]
#[schemars(rename = "Step")]
#[allow(dead_code, reason = "for the schema")]
struct StepSchema {
    /// Number, from 1.
    id: u32,
    /// What it does.
    action: ActionSchema,
    /// Steps that must have succeeded before.
    after: Vec<u32>,
    /// Where it comes from.
    source: SourceSchema,
    /// Expected duration.
    expected: DurationSchema,
}

/// What a step does.
#[derive(JsonSchema)]
#[schemars(rename = "Action")]
#[allow(dead_code, reason = "for the schema")]
struct ActionSchema {
    /// The port: `database`, `log_shipping`, `files` or `pool`.
    port: String,
    /// The subjects (instance, database, pool) and the instruction.
    r#do: Vec<Value>,
}

/// Document and step.
#[derive(JsonSchema)]
#[schemars(rename = "Source")]
#[allow(dead_code, reason = "for the schema")]
struct SourceSchema {
    /// Title.
    document: String,
    /// Section and step.
    step: String,
}

/// A predicted loss.
#[derive(JsonSchema)]
#[schemars(rename = "PredictedLoss")]
#[allow(dead_code, reason = "for the schema")]
struct LossSchema {
    /// Database.
    database: String,
    /// Records from this log position on are lost; decimal.
    from_lsn: String,
    /// The recovery fork of that position.
    fork: String,
    /// Everything committed before this is saved.
    saved_until: Option<String>,
    /// No record was accepted after this that the observer knows of.
    lost_until: String,
}

/// `pcdr apply … --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ApplyDocument {
    /// The run's name in the journal.
    pub run: String,
    /// Whether every step succeeded. When false, `error` says why.
    pub succeeded: bool,
    /// Steps that were carried out, in the order in which they ended.
    pub steps: Vec<StepResult>,
    /// Seconds from the lock to the end.
    pub seconds: f64,
    /// The journal file.
    pub journal: String,
    /// What a drill proved, by database; empty for everything else.
    pub drills: Vec<DrillStatus>,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// What a drill of one database proved.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DrillStatus {
    /// The database.
    pub database: String,
    /// Where its backups were restored.
    pub instance: String,
    /// Whether it was restored, recovered, and DBCC CHECKDB found nothing. When false, `error` says why.
    pub proven: bool,
    /// When its first step began.
    pub started_at: String,
    /// When its last step ended.
    pub ended_at: String,
    /// The full backup's file.
    pub full_backup: String,
    /// How many log backups follow it.
    pub log_backups: usize,
    /// The log position up to which they reach (exclusive).
    pub up_to_lsn: String,
    /// Everything committed before this time is in them.
    pub saved_until: String,
    /// Where the log began that no log backup held; null where nobody told.
    pub primary_lsn: Option<String>,
    /// Whether everything was tried that had been backed up; null where nobody told.
    pub is_complete: Option<bool>,
    /// From the first restore to an open database: what a recovery from these backups takes there.
    pub recovery_seconds: f64,
    /// How long each phase took, in order.
    pub phases: Vec<DrillPhase>,
    /// The step that failed, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A phase of a drill.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DrillPhase {
    /// `restore_full`, `restore_log`, `recover`, `check` or `drop`.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
}

/// One step as it went.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepResult {
    /// Number.
    pub step: u32,
    /// Wording.
    pub action: String,
    /// Document and step that it comes from.
    pub source: String,
    /// `done`, `already` (its effect was there before) or `failed`.
    pub outcome: String,
    /// Seconds since the run began.
    pub started: f64,
    /// Seconds that it took.
    pub took: f64,
}

/// `pcdr runbook … --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RunbookDocument {
    /// The runbook.
    pub markdown: String,
}

/// `pcdr preflight … --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PreflightDocument {
    /// Which topology.
    pub identity: String,
    /// Before what.
    pub command: String,
    /// When the observation began.
    pub taken_at: String,
    /// How many checks passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be made.
    pub not_checked: usize,
    /// Every instance of the topology.
    pub instances: Vec<InstanceChecksView>,
}

/// The checks of one instance.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InstanceChecksView {
    /// Name in the topology.
    pub instance: String,
    /// Role in the topology.
    pub role: String,
    /// The checks, in the order in which a run would meet what they look for.
    pub checks: Vec<CheckView>,
}

/// One check.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CheckView {
    /// Stable, to branch on.
    pub code: String,
    /// What was checked.
    pub subject: String,
    /// `passed`, `failed` or `not_checked`.
    pub outcome: String,
    /// What was found; null where it was not checked.
    pub found: Option<String>,
    /// What was needed; null unless it failed.
    pub needed: Option<String>,
    /// What to do; null unless it failed.
    pub remedy: Option<String>,
    /// Why it was not checked; null where it was.
    pub why: Option<String>,
}

/// `pcdr rights … --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RightsDocument {
    /// What pcdr shall be able to do.
    pub command: String,
    /// The login.
    pub login: String,
    /// Every instance of the topology.
    pub instances: Vec<InstanceRightsView>,
    /// What is needed beside rights on instances.
    pub beside: Vec<String>,
    /// The whole script, as the command prints it without `--json`.
    pub script: String,
}

/// What a login needs on one instance.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InstanceRightsView {
    /// Name in the topology.
    pub instance: String,
    /// Role in the topology.
    pub role: String,
    /// The rights; where one of them is `member of sysadmin`, it includes the others.
    pub needs: Vec<NeedView>,
    /// Facts that stay unknown although everything is given.
    pub stays_unknown: Vec<UnknownView>,
    /// The script for this instance, batches ended by lines `GO`.
    pub script: String,
}

/// A right and what needs it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NeedView {
    /// The right.
    pub right: String,
    /// What needs it.
    pub why: Vec<String>,
    /// The documents that say so.
    pub sources: Vec<String>,
    /// What was not confirmed on a server; null when nothing is in doubt.
    pub unconfirmed: Option<String>,
    /// When it is needed; null: always.
    pub only: Option<String>,
    /// The batch that gives it.
    pub statement: String,
}

/// A fact that an instance does not tell to a login with these rights.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UnknownView {
    /// The fact as an observation calls it.
    pub fact: String,
    /// When, and why.
    pub why: String,
    /// The document that says so.
    pub source: String,
}

/// The first line of `pcdr sim`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SimDocument {
    /// The instances and where they listen.
    pub instances: Vec<SimInstance>,
    /// File (PEM) with the certificate authority.
    pub ca_file: PathBuf,
    /// SQL login.
    pub login: String,
    /// File with its password; only its owner may read it.
    pub password_file: PathBuf,
    /// Topology file ready for the other commands.
    pub topology_file: PathBuf,
}

/// A served instance.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SimInstance {
    /// Name in the topology.
    pub name: String,
    /// Site.
    pub site: String,
    /// Address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// `pcdr rehearse --json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RehearseDocument {
    /// Whether everything was proved.
    pub proved: bool,
    /// What was rehearsed: `disaster`, `planned`, `full-cycle` or `drill`.
    pub scenario: String,
    /// The seed; the same seed rehearses the same.
    pub seed: u64,
    /// `virtual` or `real`.
    pub time: String,
    /// The plan that was applied.
    #[schemars(with = "PlanSchema")]
    pub plan: PlanContent,
    /// Its steps as they went.
    pub steps: Vec<StepResult>,
    /// What was proved, or not.
    pub proofs: Vec<Proof>,
    /// Chat records written to the old primary.
    pub records_written: u64,
    /// Chat records in the new primary.
    pub records_saved: u64,
    /// Chat records lost.
    pub records_lost: u64,
    /// Recovery point: seconds of accepted work that were lost.
    pub rpo_seconds: f64,
    /// Recovery time: seconds from the disaster, or from the first write that a planned failover
    /// refused, until the service resumed, on the rehearsal's clock.
    pub rto_seconds: f64,
    /// Seconds from the start of the run to its end, on the rehearsal's clock.
    pub run_seconds: f64,
    /// The part of `run_seconds` in which no server and no cmdlet worked for us and no effect of
    /// theirs was awaited, plus the last wait of each step, in which its effect may have been there.
    pub own_seconds: f64,
    /// The same on the wall: what pcdr itself computed.
    pub own_computing_seconds: f64,
    /// Seconds on the wall for the whole rehearsal.
    pub wall_seconds: f64,
    /// The kept folder.
    pub kept: Option<PathBuf>,
}

/// A claim and whether it held.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Proof {
    /// The claim.
    pub claim: String,
    /// Whether it held.
    pub held: bool,
    /// What was counted.
    pub found: String,
}

/// The schema of an output.
pub fn schema(what: SchemaOf) -> Schema {
    match what {
        SchemaOf::Discover => schemars::schema_for!(DiscoverDocument),
        SchemaOf::Validate => schemars::schema_for!(ValidateDocument),
        SchemaOf::Status => schemars::schema_for!(StatusDocument),
        SchemaOf::Preflight => schemars::schema_for!(PreflightDocument),
        SchemaOf::Rights => schemars::schema_for!(RightsDocument),
        SchemaOf::StatusOverview => schemars::schema_for!(OverviewDocument),
        SchemaOf::Diff => schemars::schema_for!(DiffDocument),
        SchemaOf::Plan => schemars::schema_for!(PlanDocument),
        SchemaOf::Apply => schemars::schema_for!(ApplyDocument),
        SchemaOf::Runbook => schemars::schema_for!(RunbookDocument),
        SchemaOf::Rehearse => schemars::schema_for!(RehearseDocument),
        SchemaOf::Sim => schemars::schema_for!(SimDocument),
        SchemaOf::Failure => schemars::schema_for!(FailureDocument),
    }
}
