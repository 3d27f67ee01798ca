//! The command transport, with small programs in the place of the shell.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::time::{Duration, Instant};

use pcdr_skype::{CommandTransport, ShellTransport, TransportError};

fn sh(script: &str) -> CommandTransport {
    CommandTransport::new("sh", ["-c", script])
}

#[tokio::test]
async fn the_script_goes_to_standard_input_and_all_streams_come_back() {
    let output = sh("cat; echo no >&2; exit 3").run("it's a script\n").await.unwrap();
    assert_eq!(output.stdout, "it's a script\n");
    assert_eq!(output.stderr, "no\n");
    assert_eq!(output.exit_code, Some(3));
}

#[tokio::test]
async fn a_large_script_and_a_command_that_does_not_read_it_do_not_block() {
    let large = "x".repeat(1 << 20);
    let output = sh("cat").run(&large).await.unwrap();
    assert_eq!(output.stdout.len(), large.len());
    let output = sh("echo done").run(&large).await.unwrap();
    assert_eq!(output.stdout, "done\n");
}

#[tokio::test]
async fn a_byte_order_mark_and_broken_text_are_tolerated() {
    let output = sh(r"printf '\357\273\277ok \377'").run("").await.unwrap();
    assert_eq!(output.stdout, "ok \u{fffd}");
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended() {
    let started = Instant::now();
    let transport = CommandTransport::new("sleep", ["30"]).with_timeout(Duration::from_millis(200));
    let error = transport.run("").await.unwrap_err();
    assert!(matches!(error, TransportError::TimedOut { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn endless_output_is_cut_off() {
    let transport = CommandTransport::new("yes", Vec::<String>::new()).with_output_limit(1000);
    let error = transport.run("").await.unwrap_err();
    assert!(matches!(error, TransportError::TooMuchOutput { limit: 1000 }), "{error}");
}

#[tokio::test]
async fn a_missing_command_is_named() {
    let error =
        CommandTransport::new("/nowhere/powershell", ["-Command", "-"]).run("").await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/powershell"), "{error}");
}
