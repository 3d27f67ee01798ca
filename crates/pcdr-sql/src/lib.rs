//! pcdr-sql
