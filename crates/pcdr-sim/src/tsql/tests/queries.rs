//! Queries and expressions.

use super::{first_error, one, rows};

#[test]
fn a_catalogue_join_picks_the_newest_log_backup_of_each_database() {
    let found = rows(
        "SELECT b.database_name, b.last_lsn, f.physical_device_name
         FROM msdb.dbo.backupset AS b WITH (NOLOCK)
         LEFT JOIN msdb.dbo.backupmediafamily f ON f.backup_set_id = b.backup_set_id
         WHERE b.last_lsn = (SELECT MAX(x.last_lsn) FROM msdb..backupset x WHERE x.database_name = b.database_name)
         ORDER BY b.database_name DESC",
    );
    assert_eq!(
        found,
        ["mgccomp|4500000001234500001000003|NULL", "mgc|4500000001234500001000012|NULL"]
    );
}

#[test]
fn log_sequence_numbers_stay_exact() {
    assert_eq!(
        one("SELECT CAST('4500000001234500001000001' AS numeric(25,0)) + 1"),
        "4500000001234500001000002"
    );
    assert_eq!(one("SELECT MAX(last_lsn) - MIN(first_lsn) FROM msdb.dbo.backupset"), "11");
    assert_eq!(one("SELECT CAST(1 AS decimal(10,2)) / 3"), "0.3333333333333");
    assert_eq!(one("SELECT 7 / 2, 7 % 2, -7 / 2, 7 / 2.0"), "3|1|-3|3.500000");
}

#[test]
fn unknown_is_neither_true_nor_false() {
    assert_eq!(
        one(
            "SELECT CASE WHEN NULL = NULL THEN 'y' ELSE 'n' END, CASE WHEN NOT (1 = NULL) THEN 'y' ELSE 'n' END"
        ),
        "n|n"
    );
    assert!(rows("SELECT 1 WHERE 1 NOT IN (2, NULL)").is_empty());
    assert_eq!(one("SELECT 1 WHERE 2 IN (2, NULL)"), "1");
}

#[test]
fn the_whole_calendar_can_be_written() {
    assert_eq!(
        one("SELECT CAST('0001-01-01' AS date), CAST('00010203' AS date), CAST('1/2/03' AS date)"),
        "0001-01-01|0001-02-03|2003-01-02"
    );
    assert_eq!(
        one("SELECT YEAR(CAST('9999-12-31 23:59:59.990' AS datetime)), DATEPART(DAYOFYEAR, \
             CAST('9999-12-31 23:59:59.9999999' AS datetime2(7)))"),
        "9999|365"
    );
    assert_eq!(first_error("SELECT CAST('9999-12-31 23:59:59.9999999' AS datetime)").0, 242);
    for days in ["-1e308", "1e308", "-1e6", "1e7"] {
        assert_eq!(first_error(&format!("SELECT CAST({days} AS datetime)")).0, 8115, "{days}");
    }
}

#[test]
fn lengths_count_utf_16_units() {
    assert_eq!(one("SELECT LEN(N'ж😀'), DATALENGTH(CAST(N'ж😀' AS nchar(5)))"), "3|10");
    assert_eq!(one("SELECT CAST(N'ж😀a' AS nvarchar(3)) + N'|'"), "ж😀|");
    // Half a character cannot be kept.
    assert_eq!(one("SELECT CAST(N'ж😀a' AS nvarchar(2)) + N'|'"), "ж|");
}

#[test]
fn text_compares_without_case_and_trailing_blanks() {
    assert_eq!(one("SELECT 1 WHERE 'Abc ' = N'aBC'"), "1");
    assert!(rows("SELECT 1 WHERE 'Abc' = 'abc' COLLATE Latin1_General_BIN").is_empty());
    assert_eq!(
        one(
            "SELECT 1 WHERE 'a_b' LIKE 'A[_]b' AND 'a%' LIKE 'a!%' ESCAPE '!' AND 'x5' LIKE '[w-y][^0-4]'"
        ),
        "1"
    );
    assert!(rows("SELECT 1 WHERE 'axb' LIKE 'a[_]b'").is_empty());
}

#[test]
fn groups_windows_and_sets_work_together() {
    assert_eq!(
        rows(
            "SELECT database_name, COUNT(*) n, STRING_AGG(type, ',') WITHIN GROUP (ORDER BY backup_set_id DESC) t FROM backupset GROUP BY database_name HAVING COUNT(*) > 0 ORDER BY n DESC"
        ),
        ["mgc|3|L,L,D", "mgccomp|1|D"]
    );
    assert_eq!(
        rows(
            "SELECT backup_set_id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY database_name ORDER BY last_lsn DESC) AS r FROM backupset) x WHERE r = 1 ORDER BY 1"
        ),
        ["3", "4"]
    );
    assert_eq!(
        rows(
            "SELECT backup_set_id, LAG(last_lsn) OVER (ORDER BY backup_set_id) - first_lsn FROM backupset WHERE database_name = 'mgc' ORDER BY backup_set_id"
        ),
        ["1|NULL", "2|0", "3|0"]
    );
    assert_eq!(
        rows("SELECT 1 AS a UNION SELECT 2 UNION ALL SELECT 1 EXCEPT SELECT 2 ORDER BY a"),
        ["1"]
    );
    assert_eq!(
        one(
            "SELECT COUNT(*), SUM(backup_set_id), AVG(backup_set_id), MIN(type) FROM backupset WHERE 1 = 0"
        ),
        "0|NULL|NULL|NULL"
    );
}

#[test]
fn common_table_expressions_may_recur() {
    assert_eq!(
        rows(
            "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT i FROM n WHERE i > 2"
        ),
        ["3", "4"]
    );
    assert_eq!(
        first_error("WITH n AS (SELECT 1 i UNION ALL SELECT i FROM n) SELECT * FROM n").0,
        530
    );
}

#[test]
fn apply_passes_each_row_to_the_function() {
    assert_eq!(
        rows(
            "SELECT p.d, f.full_filesystem_path FROM (VALUES (N'c:\\a'), (N'c:\\b')) AS p(d) CROSS APPLY sys.dm_os_enumerate_filesystem(p.d, N'*.trn') AS f"
        ),
        ["c:\\a|c:\\a\\x.trn", "c:\\b|c:\\b\\x.trn"]
    );
    assert_eq!(rows("SELECT s.value FROM STRING_SPLIT('a,b', ',') s"), ["a", "b"]);
    assert_eq!(
        rows(
            "SELECT b.backup_set_id, x.d FROM backupset b OUTER APPLY (SELECT TOP (1) physical_device_name d FROM backupmediafamily f WHERE f.backup_set_id = b.backup_set_id ORDER BY d DESC) x WHERE b.backup_set_id < 4"
        ),
        ["1|a.bak", "2|b2.trn", "3|NULL"]
    );
}

#[test]
fn dates_follow_the_documented_styles() {
    assert_eq!(
        one("SELECT CONVERT(varchar(30), GETDATE(), 120), CONVERT(char(8), GETDATE(), 112)"),
        "2026-11-20 19:30:00|20261120"
    );
    assert_eq!(one("SELECT CONVERT(varchar, GETDATE())"), "Nov 20 2026  7:30PM");
    assert_eq!(
        one(
            "SELECT DATEDIFF(minute, '2026-11-20T19:00:00', GETDATE()), DATEPART(weekday, GETDATE()), DATENAME(month, GETDATE())"
        ),
        "30|6|November"
    );
    assert_eq!(
        one("SELECT CONVERT(varchar(30), DATEADD(month, 1, CAST('20240131' AS datetime)), 126)"),
        "2024-02-29T00:00:00"
    );
    assert_eq!(
        one(
            "SELECT CONVERT(varchar(40), CAST('2026-01-02T03:04:05.1239999' AS datetime2(3)), 126)"
        ),
        "2026-01-02T03:04:05.124"
    );
    assert_eq!(
        one("SELECT CONVERT(varchar(40), CAST('2026-01-02 03:04:05.005' AS datetime), 121)"),
        "2026-01-02 03:04:05.007"
    );
    assert_eq!(first_error("SELECT CAST('not a date' AS datetime)").0, 241);
}

#[test]
fn strings_have_their_functions() {
    assert_eq!(
        one(
            "SELECT QUOTENAME('a]b'), LEN('ab  '), DATALENGTH(N'ab'), SUBSTRING('abcdef', 0, 3), STUFF('abc', 2, 1, 'XY'), CHARINDEX('C', 'abc'), REPLACE('aBa', 'b', '--'), RIGHT('abc', 2), CONCAT('a', NULL, 1), REVERSE('abc')"
        ),
        "[a]]b]|2|4|ab|aXYc|3|a--a|bc|a1|cba"
    );
    assert_eq!(
        one(
            "SELECT ISNULL(NULLIF('a', 'A'), 'none'), COALESCE(NULL, 2.5, 1), IIF(1 > 2, 'y', 'n'), CHOOSE(2, 'a', 'b')"
        ),
        "n|2.5|n|b"
    );
    assert_eq!(
        one("SELECT CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(128)) + N'!'"),
        "11.0.2100.60!"
    );
    assert_eq!(first_error("SELECT SERVERPROPERTY('ProductVersion') + N'!'").0, 402);
}

#[test]
fn rows_become_json_and_xml() {
    assert_eq!(
        one("SELECT 1 AS [a.b], N'x\"/' AS [a.c], NULL AS d FOR JSON PATH"),
        r#"[{"a":{"b":1,"c":"x\"\/"}}]"#
    );
    assert_eq!(
        one(
            "SELECT STUFF((SELECT ',' + physical_device_name FROM backupmediafamily FOR XML PATH('')), 1, 1, '')"
        ),
        "a.bak,b.trn,b2.trn"
    );
}

#[test]
fn wrong_names_and_types_have_their_numbers() {
    for (sql, number) in [
        ("SELECT nothing FROM backupset", 207),
        ("SELECT b.nothing FROM backupset b", 207),
        ("SELECT x.a FROM backupset b", 4104),
        ("SELECT backup_set_id FROM backupset a JOIN backupmediafamily b ON 1 = 1", 209),
        ("SELECT * FROM nowhere", 208),
        ("SELECT NO_SUCH_FUNCTION(1)", 195),
        ("SELECT database_name, COUNT(*) FROM backupset", 8120),
        ("SELECT 1 FROM backupset WHERE COUNT(*) > 1", 147),
        ("SELECT 1/0", 8134),
        ("SELECT 2147483647 + 1", 8115),
        ("SELECT CAST(2147483648 AS int)", 8115),
        ("SELECT CAST('abc' AS int)", 245),
        ("SELECT CAST('abc' AS numeric(25,0))", 8114),
        ("SELECT 1 UNION SELECT 1, 2", 205),
        ("SELECT (SELECT backup_set_id FROM backupset)", 512),
        ("SELECT @missing", 137),
        ("SELECT CAST('x' AS uniqueidentifier)", 8169),
        ("SELECT 1 WHERE 1", 4145),
        ("SELECT LEFT('abc', -1)", 537),
        ("SELECT CAST('a' AS nosuchtype)", 2715),
    ] {
        assert_eq!(first_error(sql).0, number, "{sql}");
    }
}

#[test]
fn a_product_of_tables_or_a_text_that_would_take_the_memory_is_refused_with_701() {
    let series = "GENERATE_SERIES(1, 3000)";
    let product = format!("SELECT COUNT(*) FROM {series} AS a CROSS JOIN {series} AS b");
    assert_eq!(first_error(&product).0, 701);
    let applied = format!(
        "SELECT COUNT(*) FROM {series} AS a CROSS APPLY (SELECT b.value FROM {series} AS b) AS c"
    );
    assert_eq!(first_error(&applied).0, 701);
    let long = "REPLICATE(CAST('x' AS varchar(max)), 40000000)";
    for text in [format!("SELECT {long} + {long}"), format!("SELECT CONCAT({long}, {long})")] {
        assert_eq!(first_error(&text).0, 701);
    }
    assert_eq!(
        one(
            "SELECT COUNT(*) FROM GENERATE_SERIES(1, 300) AS a CROSS JOIN GENERATE_SERIES(1, 300) AS b"
        ),
        "90000"
    );
}

#[test]
fn names_beyond_ascii_are_found_in_any_case() {
    assert_eq!(one("SELECT d.ÜBER + d.[\u{212a}] FROM (SELECT 1 AS über, 2 AS k) AS d"), "3");
}
