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
use crate::wire::{Listener, WireConfig, serve};

#[tokio::test(start_paused = true)]
async fn exchanges_over_tcp_never_time_out_and_a_long_statement_passes_at_once() {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let minute = vec![Act::Sleep(Duration::from_secs(60)), done(DoneKind::Statement, None)];
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
        let row = answer.await.unwrap_or_else(|_| panic!("exchange {exchange} timed out"));
        assert_eq!(row.unwrap().unwrap().get::<i32, _>(0), Some(1));
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "no virtual time has passed");

    let real = Instant::now();
    let began = tokio::time::Instant::now();
    client.simple_query("minute").await.unwrap().into_results().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(61));
    assert!(real.elapsed() < Duration::from_secs(5));

    // An answer that nobody reads stops the clock no longer than the patience of its keeper.
    assert!(timeout(Duration::from_secs(1), client.simple_query("minute")).await.is_err());
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(real.elapsed() < Duration::from_secs(5) + PATIENCE);
    drop(client);
    listener.cut().await;
    assert_eq!(in_flight.bytes(), 0);
    awake.abort();
}

/// Copies between two sockets on threads of its own, so that every byte is away for some real
/// time: what loopback does on a loaded machine, made certain.
fn relay(server: SocketAddr) -> SocketAddr {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn copy(mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            std::thread::sleep(Duration::from_millis(1));
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _closed = to.shutdown(std::net::Shutdown::Both);
    }

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || copy(client, forth));
        copy(server, back);
    });
    address
}

/// Exchanges over the relay until one times out; the number of those that did not.
async fn exchanges_before_a_timeout(keeper: bool) -> u32 {
    let scripts = Scripts::new();
    scripts.script("one", result(vec![(SqlType::Int, Value::Int(1))]));
    let in_flight = InFlight::new();
    let awake = match keeper {
        true => tokio::spawn(in_flight.clone().keep_awake()),
        false => tokio::spawn(async {}),
    };
    let socket = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = relay(socket.local_addr().unwrap());
    // The ends of the relayed connection name each other; the relay itself is not counted.
    let ends = (SocketAddr::from(([10, 0, 0, 1], 50_000)), SocketAddr::from(([10, 0, 0, 2], 1433)));
    let near = tokio::net::TcpStream::connect(relay).await.unwrap();
    let near = in_flight.wrap(near, ends.0, ends.1);
    let (far, _) = socket.accept().await.unwrap();
    let far = in_flight.wrap(far, ends.1, ends.0);
    let front = Arc::new(ScriptServer(Arc::clone(&scripts)));
    let config = Arc::new(WireConfig::default());
    let served = tokio::spawn(serve(far, front, config));
    let settings = client_config(EncryptionLevel::NotSupported);
    let Ok(mut client) = Client::connect(settings, near.compat_write()).await else {
        return 0; // the server's own limit has fired
    };
    let mut exchanges = 0;
    while exchanges < 200 {
        let answer = timeout(Duration::from_secs(15), async {
            let rows = client.simple_query("one").await?;
            rows.into_row().await
        });
        match answer.await {
            Ok(row) => assert_eq!(row.unwrap().unwrap().get::<i32, _>(0), Some(1)),
            Err(_elapsed) => break,
        }
        exchanges += 1;
    }
    awake.abort();
    served.abort();
    exchanges
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_away_for_a_while_stop_the_clock() {
    assert_eq!(exchanges_before_a_timeout(true).await, 200);
}

#[tokio::test(start_paused = true)]
async fn without_its_keeper_the_clock_jumps_over_bytes_that_are_away() {
    assert!(exchanges_before_a_timeout(false).await < 200);
}
