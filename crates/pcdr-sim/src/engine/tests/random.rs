//! Random histories. A failing run names its seed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::engine::mirroring_state::MirroringRole;
use crate::engine::state::{Random, Status};

fn pick(random: &mut Random, n: u64) -> u64 {
    random.next_u64() % n
}

/// Any full backup, any later differential of it, and the logs after it rebuild what was committed.
#[tokio::test(start_paused = true)]
async fn any_way_through_the_backups_rebuilds_what_was_committed() {
    for seed in 0..25_u64 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let lab = Lab::seeded(seed);
        let mut host = lab.mgc().await;
        let mut long = lab.on("SQL1").await;
        let mut open = false;
        // (kind, file, base)
        let mut files: Vec<(char, String, usize)> = vec![('D', "full.bak".to_owned(), 0)];
        let mut base = 0;
        let mut next = 2;
        for step in 0..40 {
            match pick(&mut random, 10) {
                0..=3 => {
                    add(&mut host, next);
                    next += 1;
                }
                4 => {
                    if open {
                        if pick(&mut random, 2) == 0 {
                            long.commit().unwrap();
                        } else {
                            long.rollback();
                        }
                        open = false;
                    } else {
                        long.begin().unwrap();
                        add(&mut long, next);
                        next += 1;
                        open = true;
                    }
                }
                5 => {
                    let rows = host.relation(&table(), None).unwrap().rows;
                    if let Some(row) = rows.first() {
                        let _locked = Host::change(&mut host, &table(), vec![(row.clone(), None)]);
                    }
                }
                6 | 7 => {
                    let file = format!("{step}.trn");
                    backup(&mut host, BackupKind::Log, &file, &[]).await.unwrap();
                    files.push(('L', file, base));
                }
                8 => {
                    let file = format!("{step}.dif");
                    backup(&mut host, BackupKind::Database, &file, &[flag("DIFFERENTIAL")])
                        .await
                        .unwrap();
                    files.push(('I', file, base));
                }
                _ => {
                    let file = format!("{step}.bak");
                    backup(&mut host, BackupKind::Database, &file, &[]).await.unwrap();
                    base = files.len();
                    files.push(('D', file, base));
                }
            }
        }
        backup(&mut host, BackupKind::Log, "last.trn", &[]).await.unwrap();
        files.push(('L', "last.trn".to_owned(), base));
        let mut expected = lab.ids("SQL1", "mgc");
        expected.sort_unstable();
        let fulls: Vec<usize> = (0..files.len()).filter(|i| files[*i].0 == 'D').collect();
        let start = fulls[pick(&mut random, fulls.len() as u64) as usize];
        let mut copy = lab.on("SQL3").await;
        full(&mut copy, &files[start].1).await.unwrap();
        let differentials: Vec<usize> =
            (start..files.len()).filter(|i| files[*i].0 == 'I' && files[*i].2 == start).collect();
        let mut from = start;
        if !differentials.is_empty() && pick(&mut random, 2) == 0 {
            from = differentials[pick(&mut random, differentials.len() as u64) as usize];
            full(&mut copy, &files[from].1).await.unwrap();
        }
        for (kind, file, _) in &files[from..] {
            if *kind == 'L' {
                log(&mut copy, file).await.unwrap();
            }
        }
        recover(&mut copy).await.unwrap();
        let mut found = lab.ids("SQL3", "mgc");
        found.sort_unstable();
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// Whatever is lost and cut, a mirrored database with a witness serves in one place at most, and what
/// it has acknowledged is there in the end.
#[tokio::test(start_paused = true)]
async fn no_acknowledged_row_is_lost_and_no_two_principals_serve_with_a_witness() {
    for seed in 0..150_u64 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let root = tempfile::tempdir().unwrap();
        let world = World::new(root.path(), seed, epoch()).unwrap();
        for (name, site) in [("SQL1", "a"), ("SQL2", "b"), ("WIT", "c")] {
            world.add_site(site);
            world.add_instance(InstanceConfig::new(name, site)).unwrap();
        }
        world.add_site("files");
        world.add_share("FS1", "backup", "files").unwrap();
        let lab = Lab { world, _root: root };
        let mut host = super::mirroring::mirrored(&lab).await;
        super::mirroring::witness(&lab, &mut host).await.unwrap();
        drop(host);
        let mut acknowledged: BTreeMap<i32, ()> = BTreeMap::from([(1, ())]);
        let mut next = 2;
        let names = ["SQL1", "SQL2", "WIT"];
        let sites = ["a", "b", "c"];
        let links = [("a", "b"), ("b", "c"), ("a", "c")];
        for _ in 0..40 {
            match pick(&mut random, 12) {
                0 => lab.world.lose_instance(names[pick(&mut random, 3) as usize]),
                1 | 2 => lab.world.return_instance(names[pick(&mut random, 3) as usize]),
                3 => {
                    let (one, other) = links[pick(&mut random, 3) as usize];
                    lab.world.cut_link(one, other, pick(&mut random, 2) == 0);
                }
                4 | 5 => {
                    let (one, other) = links[pick(&mut random, 3) as usize];
                    lab.world.heal_link(one, other);
                }
                6 => {
                    let site = sites[pick(&mut random, 3) as usize];
                    lab.world.lose_site(site);
                    lab.world.return_site(site);
                }
                7 => {
                    let wait = pick(&mut random, 15_000);
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                8 => {
                    let name = names[pick(&mut random, 2) as usize];
                    if let Ok(mut admin) = lab.instance(name).open(&login("")).await {
                        let _refused = partner(&mut admin, PartnerOption::Failover).await;
                    }
                }
                _ => {
                    let mut served = 0;
                    for name in ["SQL1", "SQL2"] {
                        let Ok(mut client) = lab.instance(name).open(&login("mgc")).await else {
                            continue;
                        };
                        if client.insert(&table(), vec![vec![Value::Int(next)]]).is_ok() {
                            acknowledged.insert(next, ());
                            next += 1;
                            served += 1;
                        }
                    }
                    assert!(served <= 1, "two principals serve, seed {seed}");
                }
            }
        }
        for name in names {
            lab.world.return_instance(name);
        }
        for (one, other) in links {
            lab.world.heal_link(one, other);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let principals: Vec<&str> = ["SQL1", "SQL2"]
            .into_iter()
            .filter(|name| {
                lab.database(name, "mgc", |d| {
                    d.mirroring.as_ref().unwrap().role == MirroringRole::Principal
                        && d.status == Status::Online
                })
            })
            .collect();
        assert_eq!(principals.len(), 1, "seed {seed}");
        for name in ["SQL1", "SQL2"] {
            let mut found = lab.ids(name, "mgc");
            found.sort_unstable();
            let expected: Vec<i32> = acknowledged.keys().copied().collect();
            assert_eq!(found, expected, "{name}, seed {seed}");
        }
    }
}
