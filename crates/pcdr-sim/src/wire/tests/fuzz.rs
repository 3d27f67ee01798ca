//! Bytes that no client sends: nothing may panic and nothing may hang.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::front::{ScriptServer, Scripts, done};
use super::raw::{batch, call, login, login_with, packet, prelogin, token_features, utf16};
use crate::front::DoneKind;
use crate::wire::{WireConfig, serve};

/// xorshift64*: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.next() as u8,
                2 => bytes[at] = [0, 0xFF, 0x7F, 0x80, 8][self.below(5)],
                3 => bytes.truncate(at.max(1)),
                _ => {
                    let copy = bytes[at..bytes.len().min(at + 9)].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
    }
}

fn parameters() -> Vec<u8> {
    let mut bytes = Vec::new();
    let collation = [9, 4, 0xD0, 0, 0x34];
    for (name, info, value) in [
        ("@a", vec![0x26, 4], vec![4, 1, 2, 3, 4]),
        ("@b", [vec![0xE7, 100, 0], collation.to_vec()].concat(), vec![4, 0, 65, 0, 66, 0]),
        (
            "@c",
            [vec![0xE7, 0xFF, 0xFF], collation.to_vec()].concat(),
            vec![4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 65, 0, 66, 0, 0, 0, 0, 0],
        ),
        ("@d", vec![0x6C, 17, 38, 4], vec![5, 1, 1, 2, 3, 4]),
        ("@e", vec![0x2B, 7], vec![10, 1, 2, 3, 4, 5, 1, 2, 3, 60, 0]),
        ("@f", vec![0x6F, 8], vec![8, 1, 0, 0, 0, 1, 0, 0, 0]),
        ("@g", vec![0x24, 16], [vec![16], vec![7; 16]].concat()),
        ("@h", vec![0x62, 0x49, 0x1F, 0, 0], vec![9, 0, 0, 0, 0x6C, 2, 10, 2, 1, 1, 2, 3, 4]),
        ("@i", vec![0xF1, 0], vec![0xFF; 8]),
        ("@j", vec![0x29, 3], vec![4, 1, 2, 3, 1]),
    ] {
        bytes.push(name.len() as u8);
        bytes.extend(utf16(name));
        bytes.push(1);
        bytes.extend(info);
        bytes.extend(value);
    }
    bytes
}

/// Sends the bytes, leaves, and sees the server end.
async fn survives(bytes: Vec<u8>, seed: u64) {
    let scripts = Scripts::new();
    scripts.script("one", vec![done(DoneKind::Statement, Some(1))]);
    let (near, far) = tokio::io::duplex(1 << 20);
    let server = Arc::new(ScriptServer(scripts));
    let served = tokio::spawn(serve(far, server, Arc::new(WireConfig::default())));
    let (mut read, mut write) = tokio::io::split(near);
    let sending = tokio::spawn(async move {
        let _closed = write.write_all(&bytes).await;
        let _closed = write.shutdown().await;
    });
    let mut answer = Vec::new();
    let _cut = read.read_to_end(&mut answer).await;
    sending.await.unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(120), served).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("seed {seed}: the server hangs"));
    if let Err(error) = outcome {
        assert!(!error.is_panic(), "seed {seed}: the server panicked");
    }
}

fn from_environment() -> u64 {
    std::env::var("PCDR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x7D5)
}

#[tokio::test(start_paused = true)]
async fn no_bytes_make_the_server_panic_or_hang() {
    let first = from_environment();
    println!("PCDR_SEED={first}");
    for seed in first..first + 1500 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut messages = vec![
            prelogin(),
            login(),
            batch("one"),
            call(&parameters()),
            packet(6, 1, &[]),
            packet(0x0E, 1, &[4, 0, 0, 0, 7, 0, 0, 1, 0]),
            batch("one"),
        ];
        match random.below(10) {
            0 => {
                let count = random.below(3000);
                messages = vec![(0..count).map(|_| random.next() as u8).collect()];
            }
            1 => {
                if random.below(2) == 0 {
                    messages[1] = login_with(&token_features("eyJ0.token"));
                }
                let target = random.below(2);
                random.mutate(&mut messages[target]);
            }
            _ => {
                let target = 2 + random.below(5);
                random.mutate(&mut messages[target]);
                // Keep the length true half of the time, so that the mutation gets past it.
                let message = &mut messages[target];
                if message.len() >= 8 && random.below(2) == 0 {
                    let length = (message.len() as u16).to_be_bytes();
                    message[2..4].copy_from_slice(&length);
                }
            }
        }
        let bytes = messages.concat();
        let run = AssertUnwindSafe(survives(bytes, seed));
        run.0.await;
    }
}
