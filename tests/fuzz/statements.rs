//! Statements in sessions of a live engine.

use std::pin::pin;
use std::task::Poll;

use pcdr_sim::engine::session::Instance;
use pcdr_sim::engine::state::InstanceConfig;
use pcdr_sim::engine::world::World;
use pcdr_sim::front::{Front, FrontSession, Login, Replies, Reply, Request};
use pcdr_tests::{Random, virtually};
use tokio_util::sync::CancellationToken;

use crate::grammar;
use crate::running::LONGEST_CASE;
use crate::tally::{Layer, Tally};
use crate::{case, guarded};

/// Batches of one session, and of one world.
const SESSION: u64 = 50;
const WORLD: u64 = 2_000;
/// Times that a batch may give way before it is cancelled, and after that before it counts as one that
/// cannot be.
const PATIENCE: u32 = 40;
const STUCK: u32 = 4_000;
/// Numbers of errors that the parser raises, of which nothing of a batch has run.
const WHILE_COMPILING: [i32; 8] = [102, 103, 105, 113, 137, 156, 174, 319];
/// The statement nests too deeply.
const TOO_DEEP: i32 = 191;

/// A world with one instance, a folder for backups, and a database.
pub(crate) fn world(seed: u64) -> (World, Instance, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), seed, "2026-03-01T10:00:00Z".parse().unwrap()).unwrap();
    world.add_site("here");
    let instance = world.add_instance(InstanceConfig::new("sql-a", "here")).unwrap();
    for folder in ["D:\\b", "D:\\d"] {
        std::fs::create_dir_all(world.path("sql-a", folder).unwrap()).unwrap();
    }
    (world, instance, folder)
}

/// A session of `sa`.
pub(crate) async fn session(instance: &Instance) -> Box<dyn FrontSession> {
    let password = instance.with(|state| state.config.sa_password.clone()).unwrap();
    instance.login(&Login::sql("sa", &password)).await.unwrap()
}

pub(crate) const SET_UP: [&str; 3] = [
    "CREATE DATABASE fuzz",
    "USE fuzz; CREATE TABLE dbo.records (id int NULL, said nvarchar(100) NULL, amount numeric(20,4) NULL, at datetime2 NULL)",
    "INSERT INTO dbo.records (id, said) VALUES (1, N'one'), (2, N'two'), (3, NULL)",
];

/// How a batch ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) errors: Vec<i32>,
    pub(crate) rows: u64,
    pub(crate) cancelled: bool,
}

/// Runs a batch to its end, and cancels it when it does not come to one.
pub(crate) async fn run(session: &mut dyn FrontSession, text: &str) -> Ended {
    let (sender, mut replies) = tokio::sync::mpsc::channel(64);
    let cancel = CancellationToken::new();
    let mut ended = Ended::default();
    let mut polls = 0;
    let mut run =
        pin!(session.run(Request::Batch(text.to_owned()), Replies(sender), cancel.clone()));
    std::future::poll_fn(|context| {
        loop {
            let finished = run.as_mut().poll(context).is_ready();
            let mut drained = false;
            while let Poll::Ready(Some(reply)) = replies.poll_recv(context) {
                drained = true;
                match reply {
                    Reply::Row(_) => ended.rows += 1,
                    Reply::Message(message) if message.is_error() => {
                        ended.errors.push(message.number)
                    }
                    _ => {}
                }
            }
            if finished {
                return Poll::Ready(());
            }
            polls += 1;
            if polls == PATIENCE && !drained {
                ended.cancelled = true;
                cancel.cancel();
                continue;
            }
            assert!(polls < STUCK || drained, "a cancelled batch goes on");
            if polls > PATIENCE && !cancel.is_cancelled() {
                ended.cancelled = true;
                cancel.cancel();
            }
            if !drained {
                return Poll::Pending;
            }
        }
    })
    .await;
    ended
}

pub(crate) fn round(random: &mut Random, cases: u64, tally: &mut Tally) {
    let mut left = cases;
    while left > 0 {
        let now = left.min(WORLD);
        left -= now;
        let seed = random.below(u64::MAX);
        // Batches of one world share its fate: a panic ends the world as well.
        let mut done = 0;
        while done < now {
            let from = done;
            guarded(|| virtually(in_one_world(seed, from, now, &mut done, tally)));
        }
    }
}

async fn in_one_world(seed: u64, from: u64, to: u64, done: &mut u64, tally: &mut Tally) {
    let (_world, instance, _folder) = world(seed);
    let mut own: Option<Box<dyn FrontSession>> = None;
    for number in from..to {
        *done = number + 1;
        tally.count(Layer::Statements);
        let text = grammar::batch(&mut Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let shown: String = text.chars().take(600).collect();
        case(format!("statements, world {seed}, batch {number}: {shown}"));
        if number % SESSION == 0
            || own.as_ref().is_none_or(|session| session.ended().is_cancelled())
        {
            drop(own.take());
            own = Some(session(&instance).await);
        }
        let Some(session) = own.as_deref_mut() else { continue };
        if number % SESSION == 0 || number == from {
            for text in SET_UP {
                run(session, text).await;
            }
        }
        let began = std::time::Instant::now();
        let ended = run(session, &text).await;
        assert!(began.elapsed() < LONGEST_CASE, "took {:?}", began.elapsed());
        if ended.rows > 0 {
            tally.note("statement with rows");
        }
        match ended.errors.first() {
            None if ended.cancelled => tally.note("cancelled"),
            None => tally.note("statement succeeded"),
            Some(&TOO_DEEP) => tally.note("nesting refused"),
            Some(number) if WHILE_COMPILING.contains(number) => {
                tally.note("statement refused while compiling");
            }
            Some(_) => tally.note("statement failed while running"),
        }
    }
}
