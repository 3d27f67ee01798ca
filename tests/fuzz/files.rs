//! Backup files, damaged: the reader alone, and the statements that read them.

use std::path::PathBuf;

use pcdr_sim::engine::media::{Media, declared_size};
use pcdr_tests::{Random, virtually};

use crate::bytes::{below, damage, damage_text};
use crate::statements::{SET_UP, run, session, world};
use crate::tally::{Layer, Tally};
use crate::{case, guarded};

/// Files of one world.
const WORLD: u64 = 100;
/// What reads a file, from the mildest to the one that needs all of it.
const READERS: [&str; 7] = [
    "RESTORE LABELONLY FROM DISK = N'D:\\b\\x.bak'",
    "RESTORE HEADERONLY FROM DISK = N'D:\\b\\x.bak'",
    "RESTORE FILELISTONLY FROM DISK = N'D:\\b\\x.bak' WITH FILE = 1",
    "RESTORE VERIFYONLY FROM DISK = N'D:\\b\\x.bak'",
    "RESTORE DATABASE [copy] FROM DISK = N'D:\\b\\x.bak' WITH MOVE N'fuzz' TO N'D:\\d\\c.mdf', MOVE N'fuzz_log' TO N'D:\\d\\c.ldf', NORECOVERY, REPLACE",
    "RESTORE LOG [copy] FROM DISK = N'D:\\b\\x.bak' WITH NORECOVERY",
    "RESTORE DATABASE [copy] WITH RECOVERY",
];

/// The files that a server writes: full, differential, log, and two sets in one.
fn originals() -> Vec<Vec<u8>> {
    virtually(async {
        let (world, instance, _folder) = world(1);
        let mut session = session(&instance).await;
        for text in SET_UP.into_iter().chain([
            "ALTER DATABASE [fuzz] SET RECOVERY FULL",
            "BACKUP DATABASE [fuzz] TO DISK = N'D:\\b\\full.bak' WITH INIT, CHECKSUM",
            "INSERT INTO dbo.records (id) VALUES (4)",
            "BACKUP DATABASE [fuzz] TO DISK = N'D:\\b\\diff.bak' WITH DIFFERENTIAL, INIT",
            "BACKUP LOG [fuzz] TO DISK = N'D:\\b\\log.trn' WITH INIT",
            "BACKUP DATABASE [fuzz] TO DISK = N'D:\\b\\two.bak' WITH INIT",
            "BACKUP LOG [fuzz] TO DISK = N'D:\\b\\two.bak' WITH NOINIT",
        ]) {
            let ended = run(session.as_mut(), text).await;
            assert!(ended.errors.is_empty(), "{text}: {:?}", ended.errors);
        }
        let read = |name: &str| {
            std::fs::read(world.path("sql-a", &format!("D:\\b\\{name}")).unwrap()).unwrap()
        };
        ["full.bak", "diff.bak", "log.trn", "two.bak"].map(read).into()
    })
}

/// The seal of a set, as a backup ends with it, made true again after its lines were changed.
/// Damage that a checksum finds reaches only the checksum.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    let mut start = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"SET ") {
            start = whole.len();
        }
        if line.starts_with(b"END ") {
            let set = &whole[start..];
            let hash = set.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
            let end = format!("END {} {hash:016x}\n", set.len());
            whole.extend_from_slice(end.as_bytes());
        } else {
            whole.extend_from_slice(line);
        }
    }
    whole
}

fn damaged(random: &mut Random, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    match random.below(5) {
        0 => damage(random, &mut bytes),
        1 => bytes.truncate(below(random, original.len())),
        _ => {
            let text = damage_text(random, &String::from_utf8_lossy(original));
            bytes = sealed(text.as_bytes());
        }
    }
    bytes
}

pub(crate) fn round(random: &mut Random, cases: u64, tally: &mut Tally) {
    let originals = originals();
    let mut left = cases;
    while left > 0 {
        let now = left.min(WORLD);
        left -= now;
        let seed = random.below(u64::MAX);
        let mut done = 0;
        while done < now {
            let from = done;
            guarded(|| virtually(in_one_world(&originals, seed, from, now, &mut done, tally)));
        }
    }
}

async fn in_one_world(
    originals: &[Vec<u8>],
    seed: u64,
    from: u64,
    to: u64,
    done: &mut u64,
    tally: &mut Tally,
) {
    let (world, instance, _folder) = world(seed);
    let path: PathBuf = world.path("sql-a", "D:\\b\\x.bak").unwrap();
    let mut own = session(&instance).await;
    for number in from..to {
        *done = number + 1;
        tally.count(Layer::Files);
        case(format!("files, world {seed}, file {number}"));
        let mut random = Random(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let original = &originals[below(&mut random, originals.len())];
        let bytes = damaged(&mut random, original);
        std::fs::write(&path, &bytes).unwrap();
        let _refused = (Media::parse(bytes), declared_size(&path));
        for text in READERS {
            let ended = run(own.as_mut(), text).await;
            let restored = text.starts_with("RESTORE DATABASE") && ended.errors.is_empty();
            tally.note(if restored { "file restored" } else { "file refused" });
            if own.ended().is_cancelled() {
                own = session(&instance).await;
            }
        }
        run(own.as_mut(), "DROP DATABASE [copy]").await;
    }
}
