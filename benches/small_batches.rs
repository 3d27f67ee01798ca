//! Small batches over one TCP connection on the loopback, without TLS, one after the other, with the
//! stand-in on one processor and its client on another.
//!
//! Reach: 20,000 batches a second. The limit is a server that only sends as many bytes back: the same
//! client, the same sizes, in turns with the stand-in. The driver that pcdr uses is there for
//! information.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pcdr_benches::raw::{Client, batch};
use pcdr_sim::engine::state::{Costs, InstanceConfig};
use pcdr_sim::engine::world::World;
use pcdr_sim::wire::{Listener, WireConfig};
use rustix::thread::{CpuSet, sched_setaffinity};
use tiberius::{AuthMethod, Config, EncryptionLevel};
use tokio_util::compat::TokioAsyncWriteCompatExt;

const REACH: f64 = 20_000.0;
const CLIENT: usize = 0;
const SERVER: usize = 1;
/// Turns of the stand-in and the echo, and batches of each turn.
const TURNS: usize = 15;
const BATCHES: usize = 2_000;

/// Keeps this thread on one processor, where the machine has it.
fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor % std::thread::available_parallelism().map_or(1, usize::from));
    sched_setaffinity(None, &set).unwrap();
}

/// The stand-in on a thread of its own; where it listens, and the password of `sa`.
fn stand_in() -> (SocketAddr, String) {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        pin(SERVER);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let disks = tempfile::tempdir().unwrap();
            let world =
                World::new(disks.path(), 1, "2026-03-01T10:00:00Z".parse().unwrap()).unwrap();
            world.set_costs(Costs::in_real_time());
            world.add_site("here");
            let config = InstanceConfig::new("sql-a", "here");
            let password = config.sa_password.clone();
            let instance = world.add_instance(config).unwrap();
            let any = (Ipv4Addr::LOCALHOST, 0).into();
            let listener = Listener::bind(any, Arc::new(instance), Arc::new(WireConfig::default()))
                .await
                .unwrap();
            sender.send((listener.address(), password)).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

/// A server that answers every `asked` bytes with `answered` bytes, and a client's connection to it.
fn echo(asked: usize, answered: usize) -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        pin(SERVER);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut request, answer) = (vec![0; asked], vec![0; answered]);
        while stream.read_exact(&mut request).is_ok() && stream.write_all(&answer).is_ok() {}
    });
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// How often in a second `work` is done.
fn rate(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    for _ in 0..BATCHES {
        work();
    }
    BATCHES as f64 / began.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn small_batches(c: &mut Criterion) {
    pin(CLIENT);
    let (address, password) = stand_in();
    let mut client = Client::connect(address, "sa", &password, "").unwrap();
    client.query("CREATE DATABASE bench").unwrap();
    client.query("USE bench").unwrap();
    client.query("CREATE TABLE dbo.records (id int NOT NULL, said nvarchar(100) NULL)").unwrap();
    let mut inserted = 0_u64;
    let mut group = c.benchmark_group("small_batches");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for (name, text) in [
        ("select_1", "SELECT 1"),
        ("version", "SELECT @@VERSION"),
        ("row_by_key", "SELECT name, database_id, state FROM sys.databases WHERE name = N'bench'"),
        ("insert", "INSERT INTO dbo.records (id, said) VALUES (1, N'a record of some length')"),
    ] {
        // Decoded once; from then on the same bytes have to come.
        let said = client.query(text).unwrap();
        let rows = said.rows.iter().map(|row| row.iter().flatten().map(String::as_str).collect());
        let rows: Vec<Vec<&str>> = rows.collect();
        match name {
            "select_1" => assert_eq!(rows, [["1"]]),
            "version" => assert!(rows[0][0].starts_with("Microsoft SQL Server"), "{rows:?}"),
            "row_by_key" => assert_eq!(rows, [["bench", "5", "0"]]),
            _ => assert_eq!((rows.len(), said.count), (0, 1)),
        }
        let request = batch(text);
        let expected = client.ask(&request).unwrap().to_vec();
        inserted += 2;
        let mut once = |client: &mut Client| {
            assert!(client.ask(&request).unwrap() == expected);
            inserted += 1;
        };
        group.bench_function(name, |b| b.iter(|| once(&mut client)));
        let mut limit = echo(request.len(), expected.len());
        let mut answer = vec![0; expected.len()];
        let (mut rates, mut limits) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            rates.push(rate(|| once(&mut client)));
            limits.push(rate(|| {
                limit.write_all(&request).unwrap();
                limit.read_exact(&mut answer).unwrap();
            }));
        }
        let ratios = rates.iter().zip(&limits).map(|(rate, limit)| rate / limit).collect();
        let (rate, limit, ratio) = (median(rates), median(limits), median(ratios));
        let driver = median(driver(address, &password, text));
        println!(
            "small_batches/{name}: {rate:.0} batches/s (reach: {REACH}), {ratio:.2} × the {limit:.0}/s of \
             an echo of {} and {} bytes; with tiberius {driver:.0}/s",
            request.len(),
            expected.len(),
        );
        if name == "insert" {
            inserted += (3 * BATCHES) as u64;
        } else {
            inserted = 0;
        }
    }
    group.finish();
    // Every record that was acknowledged is there.
    let counted = client.query("SELECT COUNT(*) FROM dbo.records").unwrap();
    assert_eq!(counted.rows, [[Some(inserted.to_string())]]);
}

/// The rates of the driver that pcdr uses.
fn driver(address: SocketAddr, password: &str, text: &str) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = Config::new();
        config.authentication(AuthMethod::sql_server("sa", password));
        config.encryption(EncryptionLevel::NotSupported);
        config.database("bench");
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = tiberius::Client::connect(config, stream.compat_write()).await.unwrap();
        let mut rates = Vec::new();
        for _ in 0..3 {
            let began = Instant::now();
            for _ in 0..BATCHES {
                client.simple_query(text).await.unwrap().into_results().await.unwrap();
            }
            rates.push(BATCHES as f64 / began.elapsed().as_secs_f64());
        }
        rates
    })
}

criterion_group!(benches, small_batches);
criterion_main!(benches);
