//! Versions and editions: which instances can be partners in mirroring, and which can ship logs.
//!
//! Source: "Prerequisites, Restrictions, and Recommendations for Database Mirroring"; "About Log Shipping
//! (SQL Server)"; "Editions and supported features of SQL Server".

use crate::observation::InstanceObservation;

/// The first number of `SERVERPROPERTY('ProductVersion')`; `None` when there is none.
pub(crate) fn major(seen: &InstanceObservation) -> Option<u32> {
    seen.version.split('.').next()?.parse().ok()
}

/// The edition without its architecture and licence: `Enterprise Edition: Core-based Licensing
/// (64-bit)` and `Enterprise Edition (64-bit)` are one.
fn edition(seen: &InstanceObservation) -> &str {
    seen.edition.split([' ', ':', '(']).next().unwrap_or_default()
}

/// Why an instance ships no logs, neither as primary nor as secondary.
pub(crate) fn cannot_ship(seen: &InstanceObservation) -> Option<String> {
    (edition(seen) == "Express").then(|| "Express ships no logs".to_owned())
}

/// Why two instances cannot be partners, or one of them the witness of the other.
pub(crate) fn cannot_mirror(
    one: &InstanceObservation,
    other: &InstanceObservation,
    is_witness: bool,
) -> Option<String> {
    if major(other) != major(one) {
        let (one, other) = (&one.version, &other.version);
        return Some(format!("mirroring needs one version, found {one} and {other}"));
    }
    if !is_witness && edition(other) != edition(one) {
        let (one, other) = (&one.edition, &other.edition);
        return Some(format!("mirroring needs one edition, found {one} and {other}"));
    }
    None
}

/// Why a secondary cannot restore what a primary backs up. A secondary may be newer, and readable
/// between restores only where it is not.
pub(crate) fn cannot_restore(
    primary: &InstanceObservation,
    secondary: &InstanceObservation,
    is_standby: bool,
) -> Option<String> {
    let (from, to) = (&primary.version, &secondary.version);
    if major(secondary) < major(primary) {
        return Some(format!(
            "a secondary must not be older than its primary, found {from} and {to}"
        ));
    }
    (is_standby && major(secondary) != major(primary))
        .then(|| format!("standby needs one version, found {from} and {to}"))
}
