//! Several backup sets in one file, and the statements that read media without restoring.

use super::text::{SETUP, batch, client, ok};
use super::*;

/// SETUP's `full.bak` with a log backup and a second full backup after it.
async fn three_sets(lab: &Lab) -> Box<dyn crate::front::FrontSession> {
    let mut session = client(lab, "SQL1").await;
    ok(&mut session, SETUP).await;
    ok(
        &mut session,
        r"INSERT INTO mgc.dbo.t (id) VALUES (3);
          BACKUP LOG mgc TO DISK = N'\\FS1\backup\full.bak' WITH NOINIT;
          INSERT INTO mgc.dbo.t (id) VALUES (4);
          BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\full.bak';",
    )
    .await;
    session
}

#[tokio::test(start_paused = true)]
async fn file_chooses_the_set_and_without_it_the_first_is_meant() {
    let lab = Lab::new();
    let mut session = three_sets(&lab).await;
    let headers =
        ok(&mut session, r"RESTORE HEADERONLY FROM DISK = N'\\FS1\backup\full.bak'").await;
    let kinds: Vec<_> = headers.iter().map(|row| (row[2].clone(), row[5].clone())).collect();
    assert_eq!(
        kinds,
        [
            (Value::TinyInt(1), Value::SmallInt(1)),
            (Value::TinyInt(2), Value::SmallInt(2)),
            (Value::TinyInt(1), Value::SmallInt(3)),
        ]
    );
    let mut other = client(&lab, "SQL3").await;
    for (file, ids) in [("", 2), (", FILE = 3", 4)] {
        let restore = format!(
            r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH REPLACE{file}"
        );
        ok(&mut other, &restore).await;
        let count = ok(&mut other, "SELECT COUNT(*) FROM mgc.dbo.t").await;
        assert_eq!(count, [[Value::Int(ids)]], "{restore}");
    }
    ok(
        &mut other,
        r"RESTORE DATABASE mgc FROM DISK = N'\\FS1\backup\full.bak' WITH REPLACE, NORECOVERY, FILE = 1;
          RESTORE LOG mgc FROM DISK = N'\\FS1\backup\full.bak' WITH FILE = 2",
    )
    .await;
    assert_eq!(ok(&mut other, "SELECT COUNT(*) FROM mgc.dbo.t").await, [[Value::Int(3)]]);
    let missing = r"RESTORE DATABASE x FROM DISK = N'\\FS1\backup\full.bak' WITH FILE = 4";
    assert_eq!(batch(&mut other, missing).await.1, [3287, 3013]);
}

#[tokio::test(start_paused = true)]
async fn init_leaves_one_set_on_the_same_media() {
    let lab = Lab::new();
    let mut session = three_sets(&lab).await;
    ok(&mut session, r"BACKUP DATABASE mgc TO DISK = N'\\FS1\backup\full.bak' WITH INIT").await;
    let headers =
        ok(&mut session, r"RESTORE HEADERONLY FROM DISK = N'\\FS1\backup\full.bak'").await;
    assert_eq!(headers.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_file_list_names_data_and_log_of_the_set() {
    let lab = Lab::new();
    let mut session = three_sets(&lab).await;
    let files = ok(
        &mut session,
        r"RESTORE FILELISTONLY FROM DISK = N'\\FS1\backup\full.bak' WITH FILE = 3",
    )
    .await;
    let found: Vec<_> = files.iter().map(|row| (row[0].clone(), row[2].clone())).collect();
    assert_eq!(
        found,
        [
            (Value::string("mgc"), Value::string("D")),
            (Value::string("mgc_log"), Value::string("L")),
        ]
    );
    // Release 15 has 22 columns.
    assert_eq!(files[0].len(), 22);
}

#[tokio::test(start_paused = true)]
async fn a_label_is_one_row_that_names_the_media_set_and_its_family() {
    let lab = Lab::new();
    let mut session = three_sets(&lab).await;
    let label = ok(&mut session, r"RESTORE LABELONLY FROM DISK = N'\\FS1\backup\full.bak'").await;
    assert_eq!(label.len(), 1);
    assert_eq!(label[0].len(), 13);
    let recorded =
        ok(&mut session, "SELECT DISTINCT media_uuid FROM msdb.dbo.backupmediaset").await;
    assert!(recorded.iter().any(|row| label[0].contains(&row[0])), "{label:?} {recorded:?}");
    let missing = r"RESTORE LABELONLY FROM DISK = N'\\FS1\backup\none.bak'";
    assert_eq!(batch(&mut session, missing).await.1, [3201, 3013]);
}
