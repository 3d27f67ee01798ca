//! The shell behind a port.

use std::sync::Arc;
use std::time::Duration;

use super::fake::Bench;
use crate::shell::{connect_and_run, serve};

#[tokio::test]
async fn a_client_with_the_token_gets_streams_and_exit_code() {
    let bench = Bench::new(Duration::ZERO);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(serve(listener, Arc::clone(&bench.shell), "secret".into()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let script = "Write-Output 'a\nb'; Write-Error no; exit 7";
    let code = connect_and_run(address, "secret", script, false, &mut out, &mut err).await.unwrap();
    assert_eq!((code, out.as_slice()), (7, b"a\nb\n".as_slice()));
    assert!(String::from_utf8(err).unwrap().contains("Write-Error"));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let refused = connect_and_run(address, "secreT", script, false, &mut out, &mut err).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    assert!(out.is_empty());
    task.abort();
}
