//! What an operator can accept by name, so that a plan may go on where it would be refused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A named consent. Each is one documented way out of one refusal, and has a price that the refusal
/// names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consent {
    /// "The primary site is lost": I know, by other means than pcdr's, that the primary and its mirror
    /// serve nobody and will not come back by themselves.
    PrimarySiteLost,
    /// "Recover in spite of the gap": the log backups after a missing one are given up.
    AcceptLogGap,
    /// "Ignore log backups that cannot be read".
    IgnoreUnreadableLogBackups,
    /// "The backup share is lost": only what was copied before is restored.
    BackupShareLost,
    /// "Without a mirror": serve from the new primary although its mirror cannot be set up now.
    WithoutMirror,
    /// "The copy that somebody recovered serves", although log backups were not restored into it.
    AcceptRecoveredCopy,
    /// "Set the recovery model to FULL": the log is kept, and grows, until it is backed up.
    SetRecoveryFull,
    /// "Replace the database that exists": what an instance holds under the database's name is lost.
    ReplaceExistingDatabase,
    /// "Force the mirror into service": the principal is gone, serves nobody and stays fenced; what
    /// only it has is given up.
    ForceService,
    /// "Without log shipping": the new principal serves although it takes no log backups.
    WithoutLogShipping,
    /// "Leave what cannot be reached": remove the rest, and what is on an instance that does not answer
    /// later, by hand.
    LeaveUnreachable,
    /// The backup databases of the secondary site are the ones that clients use.
    SecondaryServes,
    /// "Try whether the space suffices": a drill restores although nobody tells the free space.
    SpaceUnknown,
}

impl Consent {
    /// Every consent there is.
    pub const ALL: [Consent; 13] = [
        Consent::PrimarySiteLost,
        Consent::AcceptLogGap,
        Consent::IgnoreUnreadableLogBackups,
        Consent::BackupShareLost,
        Consent::WithoutMirror,
        Consent::AcceptRecoveredCopy,
        Consent::SetRecoveryFull,
        Consent::ReplaceExistingDatabase,
        Consent::ForceService,
        Consent::WithoutLogShipping,
        Consent::LeaveUnreachable,
        Consent::SecondaryServes,
        Consent::SpaceUnknown,
    ];

    /// The name to give, for example `primary-site-lost`.
    pub fn as_str(self) -> &'static str {
        match self {
            Consent::PrimarySiteLost => "primary-site-lost",
            Consent::AcceptLogGap => "accept-log-gap",
            Consent::IgnoreUnreadableLogBackups => "ignore-unreadable-log-backups",
            Consent::BackupShareLost => "backup-share-lost",
            Consent::WithoutMirror => "without-mirror",
            Consent::AcceptRecoveredCopy => "accept-recovered-copy",
            Consent::SetRecoveryFull => "set-recovery-full",
            Consent::ReplaceExistingDatabase => "replace-existing-database",
            Consent::ForceService => "force-service",
            Consent::WithoutLogShipping => "without-log-shipping",
            Consent::LeaveUnreachable => "leave-unreachable",
            Consent::SecondaryServes => "secondary-serves",
            Consent::SpaceUnknown => "space-unknown",
        }
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no consent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no consent; known are {known}", known = names())]
pub struct UnknownConsent(String);

fn names() -> String {
    Consent::ALL.map(Consent::as_str).join(", ")
}

impl FromStr for Consent {
    type Err = UnknownConsent;

    fn from_str(text: &str) -> Result<Consent, UnknownConsent> {
        let named = Consent::ALL.into_iter().find(|consent| consent.as_str() == text);
        named.ok_or_else(|| UnknownConsent(text.to_owned()))
    }
}
