//! `pcdr`: plans, proves, rehearses and carries out disaster recovery. The story is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    pcdr_cli::main()
}
