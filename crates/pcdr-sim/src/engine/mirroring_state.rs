//! What a mirrored database knows of its session.

use jiff::Timestamp;
use uuid::Uuid;

use super::lsn::Lsn;

/// `mirroring_role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirroringRole {
    /// 1 PRINCIPAL.
    Principal,
    /// 2 MIRROR.
    Mirror,
}

/// `mirroring_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirroringState {
    /// 0.
    Suspended,
    /// 1: from the other partner.
    Disconnected,
    /// 2.
    Synchronizing,
    /// 3: on the principal only.
    PendingFailover,
    /// 4.
    Synchronized,
}

impl MirroringState {
    /// `mirroring_state` and `mirroring_state_desc`.
    pub const fn code(self) -> (u8, &'static str) {
        match self {
            MirroringState::Suspended => (0, "SUSPENDED"),
            MirroringState::Disconnected => (1, "DISCONNECTED"),
            MirroringState::Synchronizing => (2, "SYNCHRONIZING"),
            MirroringState::PendingFailover => (3, "PENDING_FAILOVER"),
            MirroringState::Synchronized => (4, "SYNCHRONIZED"),
        }
    }
}

/// One partner's side of a mirroring session. Source: `sys.database_mirroring`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirroring {
    /// `mirroring_guid`.
    pub guid: Uuid,
    /// Own role.
    pub role: MirroringRole,
    /// The session as this side sees it.
    pub state: MirroringState,
    /// SAFETY FULL (true) or OFF.
    pub safety_full: bool,
    /// `mirroring_safety_sequence`.
    pub safety_sequence: i32,
    /// `mirroring_role_sequence`.
    pub role_sequence: i32,
    /// `mirroring_partner_name`: the partner's network address.
    pub partner_address: String,
    /// Key of the partner in [`super::state::WorldState::instances`].
    pub partner: String,
    /// `mirroring_witness_name`.
    pub witness_address: Option<String>,
    /// Key of the witness.
    pub witness: Option<String>,
    /// Whether this side sees the witness.
    pub witness_connected: bool,
    /// `mirroring_failover_lsn`.
    pub failover_lsn: Lsn,
    /// `mirroring_connection_timeout`, in seconds.
    pub timeout: u32,
    /// SUSPENDED until RESUME, whatever the connection does.
    pub suspended: bool,
    /// Whether the session has not started: the mirror waits for its principal.
    pub waiting: bool,
    /// A principal without quorum does not serve (955).
    pub quorum_lost: bool,
    /// Since when the partner has been out of sight.
    pub partner_lost_since: Option<Timestamp>,
    /// When SYNCHRONIZING is due to become SYNCHRONIZED.
    pub synchronized_at: Option<Timestamp>,
}

/// A session that an instance watches as witness. Source: `sys.database_mirroring_witnesses`.
#[derive(Debug, Clone, PartialEq)]
pub struct WitnessSession {
    /// Database name.
    pub database: String,
    /// Address of the principal.
    pub principal_address: String,
    /// Key of the principal.
    pub principal: String,
    /// Address of the mirror.
    pub mirror_address: String,
    /// Key of the mirror.
    pub mirror: String,
    /// SAFETY FULL.
    pub safety_full: bool,
    /// `safety_sequence_number`.
    pub safety_sequence: i32,
    /// `role_sequence_number`.
    pub role_sequence: i32,
    /// `mirroring_guid`.
    pub guid: Uuid,
    /// `family_guid`.
    pub family_guid: Uuid,
    /// Suspended.
    pub suspended: bool,
    /// Whether the partners were synchronized when the witness last heard of them.
    pub synchronized: bool,
}

/// The instance's one mirroring endpoint. Source: `sys.database_mirroring_endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// As created.
    pub definition: crate::tsql::ast::Endpoint,
    /// `endpoint_id`.
    pub id: i32,
    /// Creator.
    pub owner: String,
}

impl EndpointState {
    /// Whether it accepts connections.
    pub fn started(&self) -> bool {
        self.definition.state.eq_ignore_ascii_case("STARTED")
    }

    /// Whether it may be a partner (`PARTNER`, `ALL`) or a witness (`WITNESS`, `ALL`).
    pub fn plays(&self, role: &str) -> bool {
        let own = &self.definition.role;
        own.eq_ignore_ascii_case("ALL") || own.eq_ignore_ascii_case(role)
    }
}
