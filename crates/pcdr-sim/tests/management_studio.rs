//! The script that Management Studio makes for log shipping, run as it comes: primary part, then
//! secondary part, in the context of msdb, the procedures by three-part names. Afterwards the jobs
//! ship the log.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::time::Duration;

use pcdr_sim::front::Reply;
use support::{Client, Lab, printed};

/// What has to be there before the script: the database with a full backup, restored at the other end.
const PREPARE_PRIMARY: &str = r"
CREATE DATABASE [sales]
CREATE TABLE [sales].dbo.orders (id int NOT NULL PRIMARY KEY, placed datetime NOT NULL DEFAULT GETDATE())
INSERT [sales].dbo.orders (id) VALUES (1)
BACKUP DATABASE [sales] TO DISK = N'\\FS\logs\sales.bak' WITH INIT";

const PREPARE_SECONDARY: &str = r"
EXEC master.sys.xp_create_subdir N'D:\shipped'
RESTORE DATABASE [sales] FROM DISK = N'\\FS\logs\sales.bak' WITH NORECOVERY";

const PRIMARY: &str = r"
-- Execute the following statements on the Primary to configure Log Shipping
-- for the database [SQL1].[sales].
-- The script is to be run on the Primary in the context of the [msdb] database.
-------------------------------------------------------------------------------------
-- Adding the Log Shipping configuration

-- ****** Begin: Script to be run at Primary: [SQL1] ******


DECLARE @LS_BackupJobId	AS uniqueidentifier
DECLARE @LS_PrimaryId	AS uniqueidentifier
DECLARE @SP_Add_RetCode	As int


EXEC @SP_Add_RetCode = master.dbo.sp_add_log_shipping_primary_database
		@database = N'sales'
		,@backup_directory = N'\\FS\logs'
		,@backup_share = N'\\FS\logs'
		,@backup_job_name = N'LSBackup_sales'
		,@backup_retention_period = 4320
		,@backup_compression = 2
		,@backup_threshold = 60
		,@threshold_alert_enabled = 1
		,@history_retention_period = 5760
		,@backup_job_id = @LS_BackupJobId OUTPUT
		,@primary_id = @LS_PrimaryId OUTPUT
		,@overwrite = 1


IF (@@ERROR = 0 AND @SP_Add_RetCode = 0)
BEGIN

DECLARE @LS_BackUpScheduleUID	As uniqueidentifier
DECLARE @LS_BackUpScheduleID	AS int


EXEC msdb.dbo.sp_add_schedule
		@schedule_name =N'LSBackupSchedule_SQL11'
		,@enabled = 1
		,@freq_type = 4
		,@freq_interval = 1
		,@freq_subday_type = 4
		,@freq_subday_interval = 15
		,@freq_recurrence_factor = 0
		,@active_start_date = 20261120
		,@active_end_date = 99991231
		,@active_start_time = 0
		,@active_end_time = 235900
		,@schedule_uid = @LS_BackUpScheduleUID OUTPUT
		,@schedule_id = @LS_BackUpScheduleID OUTPUT

EXEC msdb.dbo.sp_attach_schedule
		@job_id = @LS_BackupJobId
		,@schedule_id = @LS_BackUpScheduleID

EXEC msdb.dbo.sp_update_job
		@job_id = @LS_BackupJobId
		,@enabled = 1


END


EXEC master.dbo.sp_add_log_shipping_alert_job

EXEC master.dbo.sp_add_log_shipping_primary_secondary
		@primary_database = N'sales'
		,@secondary_server = N'SQL2'
		,@secondary_database = N'sales'
		,@overwrite = 1

-- ****** End: Script to be run at Primary: [SQL1]  ******
";

const SECONDARY: &str = r"
-- Execute the following statements on the Secondary to configure Log Shipping
-- for the database [SQL2].[sales].
-- The script is to be run on the Secondary in the context of the [msdb] database.
-------------------------------------------------------------------------------------
-- Adding the Log Shipping configuration

-- ****** Begin: Script to be run at Secondary: [SQL2] ******


DECLARE @LS_Secondary__CopyJobId	AS uniqueidentifier
DECLARE @LS_Secondary__RestoreJobId	AS uniqueidentifier
DECLARE @LS_Secondary__SecondaryId	AS uniqueidentifier
DECLARE @LS_Add_RetCode	As int


EXEC @LS_Add_RetCode = master.dbo.sp_add_log_shipping_secondary_primary
		@primary_server = N'SQL1'
		,@primary_database = N'sales'
		,@backup_source_directory = N'\\FS\logs'
		,@backup_destination_directory = N'D:\shipped'
		,@copy_job_name = N'LSCopy_SQL1_sales'
		,@restore_job_name = N'LSRestore_SQL1_sales'
		,@file_retention_period = 4320
		,@overwrite = 1
		,@copy_job_id = @LS_Secondary__CopyJobId OUTPUT
		,@restore_job_id = @LS_Secondary__RestoreJobId OUTPUT
		,@secondary_id = @LS_Secondary__SecondaryId OUTPUT

IF (@@ERROR = 0 AND @LS_Add_RetCode = 0)
BEGIN

DECLARE @LS_SecondaryCopyJobScheduleUID	As uniqueidentifier
DECLARE @LS_SecondaryCopyJobScheduleID	AS int


EXEC msdb.dbo.sp_add_schedule
		@schedule_name =N'DefaultCopyJobSchedule'
		,@enabled = 1
		,@freq_type = 4
		,@freq_interval = 1
		,@freq_subday_type = 4
		,@freq_subday_interval = 15
		,@freq_recurrence_factor = 0
		,@active_start_date = 20261120
		,@active_end_date = 99991231
		,@active_start_time = 0
		,@active_end_time = 235900
		,@schedule_uid = @LS_SecondaryCopyJobScheduleUID OUTPUT
		,@schedule_id = @LS_SecondaryCopyJobScheduleID OUTPUT

EXEC msdb.dbo.sp_attach_schedule
		@job_id = @LS_Secondary__CopyJobId
		,@schedule_id = @LS_SecondaryCopyJobScheduleID

DECLARE @LS_SecondaryRestoreJobScheduleUID	As uniqueidentifier
DECLARE @LS_SecondaryRestoreJobScheduleID	AS int


EXEC msdb.dbo.sp_add_schedule
		@schedule_name =N'DefaultRestoreJobSchedule'
		,@enabled = 1
		,@freq_type = 4
		,@freq_interval = 1
		,@freq_subday_type = 4
		,@freq_subday_interval = 15
		,@freq_recurrence_factor = 0
		,@active_start_date = 20261120
		,@active_end_date = 99991231
		,@active_start_time = 0
		,@active_end_time = 235900
		,@schedule_uid = @LS_SecondaryRestoreJobScheduleUID OUTPUT
		,@schedule_id = @LS_SecondaryRestoreJobScheduleID OUTPUT

EXEC msdb.dbo.sp_attach_schedule
		@job_id = @LS_Secondary__RestoreJobId
		,@schedule_id = @LS_SecondaryRestoreJobScheduleID


END


DECLARE @LS_Add_RetCode2	As int


IF (@@ERROR = 0 AND @LS_Add_RetCode = 0)
BEGIN

EXEC @LS_Add_RetCode2 = master.dbo.sp_add_log_shipping_secondary_database
		@secondary_database = N'sales'
		,@primary_server = N'SQL1'
		,@primary_database = N'sales'
		,@restore_delay = 0
		,@restore_mode = 0
		,@disconnect_users	= 0
		,@restore_threshold = 45
		,@threshold_alert_enabled = 1
		,@history_retention_period	= 5760
		,@overwrite = 1

END


IF (@@error = 0 AND @LS_Add_RetCode = 0)
BEGIN

EXEC msdb.dbo.sp_update_job
		@job_id = @LS_Secondary__CopyJobId
		,@enabled = 1

EXEC msdb.dbo.sp_update_job
		@job_id = @LS_Secondary__RestoreJobId
		,@enabled = 1

END


-- ****** End: Script to be run at Secondary: [SQL2] ******
";

/// Runs a batch in which no statement may fail.
async fn succeed(client: &mut Client, batch: &str) {
    let replies = client.replies(batch).await;
    let failed = replies.iter().any(|r| matches!(r, Reply::Message(m) if m.is_error()));
    assert!(!failed, "{}", printed(&replies));
}

async fn configured() -> (Lab, Client, Client) {
    let lab = Lab::new();
    let (mut primary, mut secondary) = (lab.client("SQL1").await, lab.client("SQL2").await);
    succeed(&mut primary, PREPARE_PRIMARY).await;
    succeed(&mut secondary, PREPARE_SECONDARY).await;
    for client in [&mut primary, &mut secondary] {
        succeed(client, "USE [msdb]").await;
    }
    succeed(&mut primary, PRIMARY).await;
    succeed(&mut secondary, SECONDARY).await;
    (lab, primary, secondary)
}

#[tokio::test(start_paused = true)]
async fn the_generated_script_runs_unchanged_at_both_ends() {
    let (_lab, mut primary, mut secondary) = configured().await;
    assert_eq!(
        primary
            .text(
                "SELECT p.primary_database, p.backup_retention_period AS minutes, j.name, j.enabled, s.name AS schedule
                 FROM msdb.dbo.log_shipping_primary_databases AS p
                 JOIN msdb.dbo.sysjobs AS j ON j.job_id = p.backup_job_id
                 JOIN msdb.dbo.sysjobschedules AS js ON js.job_id = j.job_id
                 JOIN msdb.dbo.sysschedules AS s ON s.schedule_id = js.schedule_id"
            )
            .await
            .lines()
            .nth(1),
        Some("sales | 4320 | LSBackup_sales | 1 | LSBackupSchedule_SQL11")
    );
    let jobs = secondary
        .rows("SELECT name, enabled FROM msdb.dbo.sysjobs WHERE name LIKE 'LS[CR]%' ORDER BY name")
        .await;
    let jobs: Vec<(&str, &str)> =
        jobs.iter().map(|row| (row["name"].as_str(), row["enabled"].as_str())).collect();
    assert_eq!(jobs, [("LSCopy_SQL1_sales", "1"), ("LSRestore_SQL1_sales", "1")]);
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_the_generated_script_ship_the_log() {
    let (_lab, mut primary, mut secondary) = configured().await;
    succeed(&mut primary, "INSERT [sales].dbo.orders (id) VALUES (2), (3)").await;
    tokio::time::sleep(Duration::from_secs(61 * 60)).await;
    let failed = "SELECT step_name, message FROM msdb.dbo.sysjobhistory WHERE run_status <> 1";
    assert_eq!(primary.rows(failed).await, []);
    assert_eq!(secondary.rows(failed).await, []);
    let state = "SELECT last_restored_file AS f, CASE WHEN DATEDIFF(minute, last_restored_date_utc, GETUTCDATE()) <= 15 THEN 'fresh' ELSE 'stale' END AS age FROM msdb.dbo.log_shipping_monitor_secondary";
    let state = secondary.rows(state).await;
    assert!(state[0]["f"].starts_with(r"D:\shipped\sales_20261120"), "{state:?}");
    assert_eq!(state[0]["age"], "fresh");
    succeed(&mut secondary, "RESTORE DATABASE [sales] WITH RECOVERY").await;
    let orders = secondary.rows("SELECT COUNT(*) AS n FROM [sales].dbo.orders").await;
    assert_eq!(orders[0]["n"], "3");
}

#[tokio::test(start_paused = true)]
async fn the_guards_of_the_generated_script_skip_what_depends_on_a_failed_call() {
    let lab = Lab::new();
    let mut primary = lab.client("SQL1").await;
    // No such database: the first call fails, and only the two unguarded calls run.
    let text = primary.text(PRIMARY).await;
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("Msg ")).collect();
    assert!(errors.len() >= 2, "{text}");
    let schedules = primary.rows("SELECT name FROM msdb.dbo.sysschedules").await;
    assert!(schedules.iter().all(|row| row["name"] != "LSBackupSchedule_SQL11"), "{schedules:?}");
    let alert = primary.rows("SELECT name FROM msdb.dbo.sysjobs").await;
    assert!(alert.iter().any(|row| row["name"].starts_with("LSAlert_")), "{alert:?}");
}
