//! The planning rules.

pub(super) fn check() {}
