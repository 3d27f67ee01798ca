//! Tests of the stand-in, by subject.

mod fake;
mod language;
mod mirroring;
mod product;
mod replication;
mod serving;
