//! pcdr
fn main() {}
