//! Bad input, end to end over the wire in virtual time: broken log chains, servers that are lost,
//! shut or changed. What is refused changes nothing, and after a repair the failover is proved.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that unwraps fails with the place")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pcdr_cli::failure::Failure;
use pcdr_cli::plan;
use pcdr_cli::workload::Reach;
use pcdr_core::run::RunError;
use pcdr_core::{Consent, Intent, Refusal};
use pcdr_sim::shell::CmsAvailability;
use pcdr_sim::wire::CertificateAuthority;
use pcdr_tests::{AtStep, STRETCHED, Stage, Unseen, name, virtually, with_databases};

const LOST: &[Consent] = &[Consent::PrimarySiteLost];

/// Plans and carries out, and proves.
async fn fails_over(stage: &Stage) {
    let plan = stage.planned().await;
    stage.succeeds(&plan).await;
    stage.prove().await;
}

/// The number of the first step whose wording starts so, behind the instance.
fn step_of(plan: &pcdr_core::PlanContent, wording: &str) -> u32 {
    let found = plan.steps.iter().find(|step| step.to_string().contains(wording));
    found.unwrap_or_else(|| panic!("no step says {wording}")).id.0
}

/// Moves a file out of its folder; gives what brings it back.
fn take_away(path: &Path, aside: &Path) -> (PathBuf, PathBuf) {
    let hidden = aside.join(path.file_name().unwrap());
    std::fs::rename(path, &hidden).unwrap();
    (hidden, path.to_owned())
}

// ---- the log chain --------------------------------------------------------------------------------

#[test]
fn a_gap_is_refused_and_closed_by_the_missing_log_backup() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let missing = stage.backups("log-copies").pop().unwrap();
        let original = stage.mount("log-backups").join(missing.file_name().unwrap());
        std::fs::remove_file(&missing).unwrap();
        let (hidden, back) = take_away(&original, &stage.folder);
        let refusal = stage.refused(LOST).await;
        assert_eq!(refusal.code(), "log_chain_gap", "{refusal}");
        assert_eq!(refusal.way_out().map(|(consent, _)| consent), Some(Consent::AcceptLogGap));
        std::fs::rename(hidden, back).unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_gap_that_is_accepted_loses_what_was_told_and_no_more() {
    virtually(async {
        let stage = Stage::struck(&with_databases(&["other"])).await;
        for share in ["log-copies", "log-backups"] {
            let of_mgc = stage
                .backups(share)
                .into_iter()
                .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("mgc_"));
            std::fs::remove_file(of_mgc.collect::<Vec<_>>()[1].clone()).unwrap();
        }
        assert_eq!(stage.refused(LOST).await.code(), "log_chain_gap");
        let plan = stage.plan(&[Consent::PrimarySiteLost, Consent::AcceptLogGap]).await;
        let plan = plan.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        stage.succeeds(&plan).await;
        stage.prove_except(&BTreeSet::from(["mgc"]), true).await;
        let secondary = &stage.topology().secondary().name;
        let found = stage.workload.read(secondary, &"mgc".into()).await.unwrap();
        assert_eq!(found, (1..=5).collect(), "the first log backup was restored, and no other");
    });
}

#[test]
fn a_fork_is_refused_until_one_history_is_chosen() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let folder = stage.topology().backup_share().unc.clone();
        let first = stage.backups("log-backups").remove(0);
        let full = std::fs::read_dir(stage.mount("log-backups")).unwrap();
        let full = full
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .find(|name| name.ends_with(".bak") && name.starts_with("mgc"))
            .unwrap();
        let first = first.file_name().unwrap().to_str().unwrap();
        // Somebody recovered a copy on a third instance and lets it ship its log to the same place.
        for batch in [
            format!("RESTORE DATABASE mgc FROM DISK = N'{folder}\\{full}' WITH NORECOVERY;"),
            format!("RESTORE LOG mgc FROM DISK = N'{folder}\\{first}' WITH RECOVERY;"),
            "DELETE FROM mgc.dbo.tblChat WHERE chatId = 1;".to_owned(),
            format!("BACKUP LOG mgc TO DISK = N'{folder}\\mgc_20991231235959.trn';"),
        ] {
            let sent = stage.workload.send(&name("sql-n3"), batch.clone()).await;
            sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
        }
        stage.strike().await;
        let refusal = stage.refused(LOST).await;
        assert_eq!(refusal.code(), "log_chain_forked", "{refusal}");
        let other = stage.mount("log-backups").join("mgc_20991231235959.trn");
        take_away(&other, &stage.folder);
        fails_over(&stage).await;
    });
}

#[test]
fn a_truncated_log_backup_is_refused_unless_a_whole_one_is_elsewhere() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let newest = stage.backups("log-backups").pop().unwrap();
        let whole = std::fs::read(&newest).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&newest, &whole[..length]).unwrap();
            let refusal = stage.refused(LOST).await;
            assert_eq!(refusal.code(), "log_backup_unreadable", "{length} bytes: {refusal}");
        }
        std::fs::write(&newest, &whole).unwrap();
        // A copy that was interrupted is made again from its original.
        let copied = stage.backups("log-copies").pop().unwrap();
        std::fs::write(&copied, &std::fs::read(&copied).unwrap()[..700]).unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_log_backup_that_is_damaged_inside_is_refused_or_fails_without_harm() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let newest = stage.backups("log-backups").pop().unwrap();
        let whole = std::fs::read(&newest).unwrap();
        let share = stage.topology().backup_share().unc.clone();
        let path = format!("{share}\\{}", newest.file_name().unwrap().to_str().unwrap());
        stage.stand_in.world.corrupt_file("sql-s1", &path).unwrap();
        assert_ne!(std::fs::read(&newest).unwrap(), whole);
        match stage.plan(LOST).await {
            Err(Failure::Refused(refusal)) => {
                let code = refusal.code();
                assert!(["log_backup_damaged", "log_backup_unreadable"].contains(&code), "{code}");
            }
            Err(failure) => panic!("{}", failure.text(false)),
            Ok(plan) => {
                let (code, told) = stage.stops(&plan, &Unseen).await;
                assert_eq!(code, "backup_damaged", "{told}");
                let copied = stage.mount("log-copies").join(newest.file_name().unwrap());
                std::fs::remove_file(copied).unwrap();
            }
        }
        std::fs::write(&newest, &whole).unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn files_that_are_no_log_backup_of_the_database_are_told_apart() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let folder = stage.topology().backup_share().unc.clone();
        // A database of the same name and of another family, and one of another name.
        for batch in [
            "CREATE DATABASE mgc;".to_owned(),
            "ALTER DATABASE mgc SET RECOVERY FULL;".to_owned(),
            format!("BACKUP DATABASE mgc TO DISK = N'{folder}\\foreign.bak';"),
            "CREATE TABLE mgc.dbo.t (a int NOT NULL PRIMARY KEY);".to_owned(),
            format!("BACKUP LOG mgc TO DISK = N'{folder}\\mgc_20991231235959.trn';"),
            "CREATE DATABASE [mgc_2];".to_owned(),
            "ALTER DATABASE [mgc_2] SET RECOVERY FULL;".to_owned(),
            format!("BACKUP DATABASE [mgc_2] TO DISK = N'{folder}\\foreign2.bak';"),
            format!("BACKUP LOG [mgc_2] TO DISK = N'{folder}\\mgc_2_20991231235959.trn';"),
        ] {
            let sent = stage.workload.send(&name("sql-n3"), batch.clone()).await;
            sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
        }
        stage.strike().await;
        let plan = stage.planned().await;
        let notes = plan.notes.join("\n");
        assert!(notes.contains("mgc_20991231235959.trn"), "{notes}");
        assert!(!notes.contains("mgc_2_"), "{notes}");

        // Something that is no backup at all may be anything: refused.
        let garbage = stage.mount("log-backups").join("mgc_20991231235958.trn");
        std::fs::write(&garbage, [0xFFu8, 0, 7, b'\n', 0xC3].repeat(1000)).unwrap();
        let refusal = stage.refused(LOST).await;
        assert_eq!(refusal.code(), "log_backup_unreadable", "{refusal}");
        assert!(refusal.to_string().contains("mgc_20991231235958.trn"), "{refusal}");
        std::fs::remove_file(&garbage).unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_foreign_file_under_the_name_of_a_needed_log_backup_is_never_overwritten() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        let folder = stage.topology().copy_share().unc.clone();
        let needed = stage.backups("log-backups").pop().unwrap();
        let needed = needed.file_name().unwrap().to_str().unwrap().to_owned();
        for batch in [
            "CREATE DATABASE mgc;".to_owned(),
            "ALTER DATABASE mgc SET RECOVERY FULL;".to_owned(),
            format!("BACKUP DATABASE mgc TO DISK = N'{folder}\\foreign.bak';"),
            format!("BACKUP LOG mgc TO DISK = N'{folder}\\{needed}';"),
        ] {
            let sent = stage.workload.send(&name("sql-n3"), batch.clone()).await;
            sent.unwrap_or_else(|error| panic!("{batch}: {error}"));
        }
        stage.strike().await;
        let foreign = stage.mount("log-copies").join(&needed);
        let content = std::fs::read(&foreign).unwrap();
        match stage.plan(LOST).await {
            Err(failure) => {
                assert!(matches!(failure, Failure::Refused(_)), "{}", failure.text(false));
                println!("{}", failure.text(false));
            }
            Ok(plan) => {
                let (code, told) = stage.stops(&plan, &Unseen).await;
                assert_eq!(code, "file_inaccessible", "{told}");
            }
        }
        assert_eq!(std::fs::read(&foreign).unwrap(), content);
        take_away(&foreign, &stage.folder);
        fails_over(&stage).await;
    });
}

#[test]
fn a_log_backup_that_still_grows_is_waited_for() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let growing = stage.mount("log-backups").join("mgc_20991231235959.wrk");
        std::fs::write(&growing, b"half").unwrap();
        let refusal = stage.refused(LOST).await;
        let Refusal::LogBackupUnreadable { reason, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(reason.code, "still_growing");
        std::fs::remove_file(growing).unwrap();
        // The unfinished copy of a log backup that is whole in the share holds nobody up.
        let newest = stage.backups("log-backups").pop().unwrap();
        let unfinished = newest.with_extension("wrk");
        let unfinished = stage.mount("log-copies").join(unfinished.file_name().unwrap());
        std::fs::write(unfinished, b"half").unwrap();
        fails_over(&stage).await;
    });
}

// ---- instances ------------------------------------------------------------------------------------

#[test]
fn an_unreachable_secondary_is_refused_until_it_answers() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        stage.stand_in.cut("controller", "sql-s1", false).await.unwrap();
        let refusal = stage.refused(LOST).await;
        let Refusal::InstanceNotObserved { reason, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(reason.code, "unreachable");
        stage.stand_in.heal("controller", "sql-s1").await.unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_primary_that_serves_is_never_failed_away_from() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        assert_eq!(stage.refused(&[]).await.code(), "primary_alive");
        assert_eq!(stage.refused(LOST).await.code(), "primary_alive");
        // Its mirror took over: that copy serves.
        stage.stand_in.lose_instance("sql-n1").await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let refusal = stage.refused(LOST).await;
        let Refusal::PrimaryAlive { instance, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(instance.as_str(), "sql-n2");
        stage.strike().await;
        fails_over(&stage).await;
    });
}

#[test]
fn a_primary_that_comes_back_between_plan_and_apply_stops_the_apply() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        stage.stand_in.return_site("north").await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let before = stage.snapshot().await;
        let (code, told) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "primary_alive", "{told}");
        stage.unchanged_since(&before).await;
        stage.strike().await;
        fails_over(&stage).await;
    });
}

#[test]
fn a_primary_behind_a_cut_is_not_taken_for_lost() {
    virtually(async {
        let stage = Stage::working(STRETCHED).await;
        stage.stand_in.cut("controller", "north", false).await.unwrap();
        let refusal = stage.refused(&[]).await;
        assert_eq!(refusal.code(), "primary_loss_not_proved", "{refusal}");
        assert_eq!(refusal.way_out().map(|(consent, _)| consent), Some(Consent::PrimarySiteLost));
    });
}

/// Plans over other ports; the reason why the secondary was not observed.
async fn not_observed(stage: &Stage, change: impl Fn(&str) -> String) -> String {
    let before = stage.snapshot().await;
    let (topology, connected) = stage.reconnect(change);
    let made = plan::make(Intent::DisasterFailover, &topology, &connected.ports, LOST).await;
    let failure = made.map(|(plan, _)| plan.steps.len()).unwrap_err();
    stage.note(&failure.text(false));
    let Failure::Refused(refusal) = failure else { panic!("{}", failure.text(false)) };
    let Refusal::InstanceNotObserved { reason, .. } = *refusal else { panic!("{refusal}") };
    stage.unchanged_since(&before).await;
    reason.code.to_string()
}

#[test]
fn a_login_that_is_refused_and_a_stranger_s_certificate_are_told_apart() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let wrong = stage.folder.join("wrong");
        std::fs::write(&wrong, "not the password, but one that must not be shown\n").unwrap();
        let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
        let password_file = quoted(&stage.stand_in.password_file);
        let code = not_observed(&stage, |text| {
            let own = toml_line(text, "password_file");
            assert!(own.contains("password"), "{password_file}");
            text.replace(&own, &format!("password_file = {}", quoted(&wrong)))
        });
        assert_eq!(code.await, "login_failed");
        assert!(!stage.told.lock().unwrap().contains("must not be shown"));
        std::fs::remove_file(&wrong).unwrap();

        let other = stage.folder.join("other.pem");
        std::fs::write(&other, CertificateAuthority::new("pcdr sim").unwrap().pem()).unwrap();
        let code = not_observed(&stage, |text| {
            text.replace(&toml_line(text, "ca_file"), &format!("ca_file = {}", quoted(&other)))
        });
        assert_eq!(code.await, "certificate_not_trusted");

        let code = not_observed(&stage, |text| {
            let own = toml_line(text, "ca_file");
            text.replace(&own, &format!("{own}\nhost_name_in_certificate = \"other.example.net\""))
        });
        assert_eq!(code.await, "certificate_not_trusted");

        stage.stand_in.world.expire_login("sql-s1", "pcdr");
        assert_eq!(not_observed(&stage, str::to_owned).await, "login_failed");
        let login = |expired| {
            let mut world = stage.stand_in.world.lock();
            let security = &mut world.instances.get_mut("sql-s1").unwrap().security;
            security.logins.get_mut("pcdr").unwrap().expired = expired;
        };
        login(false);
        fails_over(&stage).await;
    });
}

fn toml_line(text: &str, key: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(&format!("{key} = ")));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

/// Takes server roles from pcdr's login on the secondary, or gives them.
fn set_roles(stage: &Stage, instance: &str, roles: &[&str]) {
    let mut world = stage.stand_in.world.lock();
    let security = &mut world.instances.get_mut(instance).unwrap().security;
    let login = security.logins.get_mut("pcdr").unwrap();
    login.roles = roles.iter().map(|role| (*role).to_owned()).collect();
}

#[test]
fn a_login_without_rights_is_refused_and_never_takes_hidden_for_missing() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        set_roles(&stage, "sql-s1", &[]);
        let refusal = stage.refused(LOST).await;
        let Refusal::FactUnknown { reason, .. } = &refusal else { panic!("{refusal}") };
        assert_eq!(reason.code, "permission_denied", "{refusal}");
        set_roles(&stage, "sql-s1", &["sysadmin"]);
        // Where a login is not shown every database, none is known to be missing.
        for instance in ["sql-s1", "sql-s2"] {
            let hide = "DENY VIEW ANY DATABASE TO [pcdr];".to_owned();
            stage.workload.send(&name(instance), hide).await.unwrap();
            set_roles(&stage, instance, &[]);
            let refusal = stage.refused(LOST).await;
            let expected =
                if instance == "sql-s1" { "fact_unknown" } else { "mirror_not_available" };
            assert_eq!(refusal.code(), expected, "{refusal}");
            assert!(refusal.to_string().contains("VIEW ANY DATABASE"), "{refusal}");
            set_roles(&stage, instance, &["sysadmin"]);
        }
        fails_over(&stage).await;
    });
}

#[test]
fn rights_that_are_taken_away_during_a_run_stop_it_at_a_step_that_names_them() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let step = step_of(&plan, "with norecovery");
        let world = stage.stand_in.world.clone();
        let take = AtStep::new(step, move |_| {
            let mut world = world.lock();
            let security = &mut world.instances.get_mut("sql-s1").unwrap().security;
            security.logins.get_mut("pcdr").unwrap().roles.clear();
            // Whoever restored it owns it, and may go on.
            let instance = world.instances.get_mut("sql-s1").unwrap();
            "sa".clone_into(&mut instance.database_mut("mgc").unwrap().owner);
        });
        let (code, told) = stage.stops(&plan, &take).await;
        assert_eq!(code, "permission_denied", "{told}");
        set_roles(&stage, "sql-s1", &["sysadmin"]);
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn an_unreachable_mirror_is_refused_or_left_for_later() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        stage.stand_in.lose_instance("sql-s2").await.unwrap();
        let refusal = stage.refused(LOST).await;
        assert_eq!(refusal.code(), "mirror_not_available", "{refusal}");
        let consents = [Consent::PrimarySiteLost, Consent::WithoutMirror];
        let plan = stage.plan(&consents).await;
        let plan = plan.unwrap_or_else(|failure| panic!("{}", failure.text(false)));
        stage.succeeds(&plan).await;
        stage.prove_except(&BTreeSet::new(), false).await;
        stage.stand_in.return_instance("sql-s2").await.unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_mirror_that_is_lost_during_a_run_stops_it_and_a_new_plan_finishes() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let world = stage.stand_in.world.clone();
        let step = step_of(&plan, "mirror mgc");
        let lose = AtStep::new(step, move |_| world.lose_instance("sql-s2"));
        let (code, told) = stage.stops(&plan, &lose).await;
        println!("{code} {told}");
        assert!(["cmdlet", "effect_not_observed"].contains(&code), "{code} {told}");
        stage.stand_in.return_instance("sql-s2").await.unwrap();
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

// ---- shares, disks, services ----------------------------------------------------------------------

#[test]
fn a_lost_share_is_refused_until_it_is_back_or_given_up() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        stage.stand_in.lose_share("log-copies").await.unwrap();
        let refusal = stage.plan(LOST).await.map(|plan| plan.steps.len()).unwrap_err();
        assert!(matches!(&refusal, Failure::Refused(r) if r.code() == "fact_unknown"));
        stage.stand_in.return_share("log-copies").await.unwrap();
        stage.stand_in.lose_share("log-backups").await.unwrap();
        let refusal = stage.refused(LOST).await;
        assert_eq!(refusal.code(), "backup_share_unreadable", "{refusal}");
        stage.stand_in.return_share("log-backups").await.unwrap();
        fails_over(&stage).await;
    });
}

#[test]
fn a_share_that_is_lost_during_a_run_stops_it_and_applying_again_finishes() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let mount = stage.mount("log-backups");
        let aside = stage.folder.join("aside");
        let (from, to) = (mount.clone(), aside.clone());
        let lose = AtStep::new(1, move |_| std::fs::rename(from, to).unwrap());
        let (code, told) = stage.stops(&plan, &lose).await;
        assert_eq!(code, "file_inaccessible", "{told}");
        assert!(matches!(
            stage.apply(&plan, &Unseen).await,
            Err(RunError::Refused(Refusal::BackupShareUnreadable { .. }))
        ));
        std::fs::rename(aside, mount).unwrap();
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_copy_destination_stops_the_copy_and_leaves_no_half_file() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        let newest = stage.backups("log-backups").pop().unwrap();
        let newest = newest.file_name().unwrap().to_str().unwrap().to_owned();
        // Whatever is written there finds no space left.
        let temporary = stage.mount("log-copies").join(format!("{newest}.pcdr-tmp"));
        std::os::unix::fs::symlink("/dev/full", &temporary).unwrap();
        let (code, told) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "disk_full", "{told}");
        assert!(!stage.mount("log-copies").join(&newest).exists());
        let _removed_already = std::fs::remove_file(&temporary);
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_full_disk_of_the_secondary_stops_the_restore_and_applying_again_finishes() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let plan = stage.planned().await;
        stage.stand_in.world.fill_drive("sql-s1", "D", true);
        let (code, told) = stage.stops(&plan, &Unseen).await;
        assert_eq!(code, "disk_full", "{told}");
        assert!(told.contains("restore log"), "{told}");
        stage.stand_in.world.fill_drive("sql-s1", "D", false);
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_central_management_store_without_master_is_refused() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let shell = Arc::clone(stage.stand_in.shell.as_ref().unwrap());
        shell.set_cms(CmsAvailability::Unavailable);
        let refusal = stage.refused(LOST).await;
        assert!(
            ["configuration_store_not_writable", "fact_unknown"].contains(&refusal.code()),
            "{refusal}"
        );
        shell.set_cms(CmsAvailability::Available);
        fails_over(&stage).await;
    });
}

#[test]
fn a_central_management_store_lost_during_a_run_stops_it_and_applying_again_finishes() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        let shell = Arc::clone(stage.stand_in.shell.as_ref().unwrap());
        let plan = stage.planned().await;
        let faulty = Arc::clone(&shell);
        let lose = AtStep::new(step_of(&plan, "set the pool state"), move |_| {
            // No documented command tells this beforehand.
            faulty.set_cms(CmsAvailability::ReadOnly);
        });
        let (code, told) = stage.stops(&plan, &lose).await;
        assert_eq!(code, "permission_denied", "{told}");
        shell.set_cms(CmsAvailability::Available);
        stage.succeeds(&plan).await;
        stage.prove().await;
    });
}

#[test]
fn a_stopped_agent_on_the_secondary_does_not_stop_a_failover() {
    virtually(async {
        let stage = Stage::struck(STRETCHED).await;
        pcdr_sim::engine::agent::stop(&stage.stand_in.world, "sql-s1");
        fails_over(&stage).await;
    });
}

#[test]
fn a_stopped_agent_is_named_when_a_job_is_to_run() {
    virtually(async {
        let mut stage = Stage::working(STRETCHED).await;
        pcdr_sim::engine::agent::stop(&stage.stand_in.world, "sql-s1");
        let topology = stage.topology().clone();
        let primary = &topology.primary().name;
        let database = &topology.databases()[0];
        let error =
            pcdr_cli::workload::ship(&topology, stage.ports(), primary, database, Reach::Restored);
        let error = error.await.unwrap_err();
        assert_eq!(error.code.as_str(), "agent", "{error}");
        assert!(error.to_string().contains("Agent") && !error.remedy.is_empty(), "{error}");
        pcdr_sim::engine::agent::start(&stage.stand_in.world, "sql-s1");
        stage.ship(Reach::Restored).await;
        stage.strike().await;
        fails_over(&stage).await;
    });
}

#[test]
fn a_share_that_cannot_be_written_stops_the_configuration_and_it_is_done_again() {
    virtually(async {
        let stage = Stage::bare(STRETCHED).await;
        let configure = || async {
            let made = plan::make(Intent::Configure, stage.topology(), stage.ports(), &[]).await;
            made.unwrap_or_else(|failure| panic!("{}", failure.text(false))).0
        };
        let plan = configure().await;
        let world = &stage.stand_in.world;
        for fill in [true, false] {
            if fill {
                world.fill_share("files-s.example.net", "logbackups");
            } else {
                world.return_share("files-s.example.net", "logbackups");
                world.make_share_read_only("files-s.example.net", "logbackups");
            }
            let (code, told) = stage.stops(&plan, &Unseen).await;
            let expected = if fill { "disk_full" } else { "file_inaccessible" };
            assert_eq!(code, expected, "{told}");
        }
        world.return_share("files-s.example.net", "logbackups");
        let rest = configure().await;
        stage.succeeds(&rest).await;
        assert!(configure().await.steps.is_empty());
        stage.told_no_secret();
    });
}
