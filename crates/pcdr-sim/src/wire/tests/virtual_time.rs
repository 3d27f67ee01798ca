//! A paused clock over real sockets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiberius::{Client, EncryptionLevel};
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncWriteCompatExt;

use super::clients::client_config;
use super::front::{Act, ScriptServer, Scripts, done, result};
use crate::front::DoneKind;
use crate::value::{SqlType, Value};
use crate::wire::inflight::{InFlight, PATIENCE};
use crate::wire::{Listener, WireConfig};

#[tokio::test(start_paused = true)]
async fn exchanges_over_tcp_never_time_out_and_a_long_statement_passes_at_once() {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let minute = vec![
        Act::Sleep(Duration::from_secs(60)),
        done(DoneKind::Statement, None),
    ];
    scripts.script("minute", minute);
    let in_flight = InFlight::new();
    let awake = tokio::spawn(in_flight.clone().keep_awake());
    let listener = Listener::bind_counted(
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Arc::new(ScriptServer(Arc::clone(&scripts))),
        Arc::new(WireConfig::default()),
        in_flight.clone(),
    )
    .await
    .unwrap();
    let limit = Duration::from_secs(15);
    let began = tokio::time::Instant::now();
    let stream = in_flight.connect(listener.address()).await.unwrap();
    let settings = client_config(EncryptionLevel::NotSupported);
    let connecting = Client::connect(settings, stream.compat_write());
    let mut client = timeout(limit, connecting).await.unwrap().unwrap();
    for exchange in 0..200 {
        let answer = timeout(limit, async {
            let rows = client.simple_query("one").await?;
            rows.into_row().await
        });
        let row = answer
            .await
            .unwrap_or_else(|_| panic!("exchange {exchange} timed out"));
        assert_eq!(row.unwrap().unwrap().get::<i32, _>(0), Some(1));
    }
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "no virtual time has passed"
    );

    let real = Instant::now();
    let began = tokio::time::Instant::now();
    client
        .simple_query("minute")
        .await
        .unwrap()
        .into_results()
        .await
        .unwrap();
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(61));
    assert!(real.elapsed() < Duration::from_secs(5));

    // An answer that nobody reads stops the clock no longer than the patience of its keeper.
    assert!(
        timeout(Duration::from_secs(1), client.simple_query("minute"))
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(real.elapsed() < Duration::from_secs(5) + PATIENCE);
    drop(client);
    listener.cut().await;
    assert_eq!(in_flight.bytes(), 0);
    awake.abort();
}
