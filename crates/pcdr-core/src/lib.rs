//! pcdr-core
