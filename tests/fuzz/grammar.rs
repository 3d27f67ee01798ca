//! Random T-SQL: from a grammar, mutated, and built to be deep, long or odd.

use pcdr_tests::Random;

use crate::bytes::{EDGES, ODD, damage_text, pick};

const TYPES: [&str; 32] = [
    "bit",
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "real",
    "float",
    "money",
    "numeric(38,37)",
    "numeric(25,0)",
    "decimal(1,1)",
    "char(3)",
    "varchar(8000)",
    "varchar(max)",
    "nchar(2)",
    "nvarchar(4000)",
    "nvarchar(max)",
    "binary(2)",
    "varbinary(8000)",
    "varbinary(max)",
    "uniqueidentifier",
    "date",
    "time(7)",
    "smalldatetime",
    "datetime",
    "datetime2(0)",
    "datetimeoffset(7)",
    "sql_variant",
    "xml",
    "sysname",
    "varchar(0)",
    "numeric(39,0)",
];
const TABLES: [&str; 16] = [
    "sys.databases",
    "sys.master_files",
    "sys.objects",
    "sys.columns",
    "sys.dm_exec_requests",
    "sys.dm_exec_sessions",
    "msdb.dbo.backupset",
    "msdb.dbo.sysjobs",
    "INFORMATION_SCHEMA.TABLES",
    "dbo.records",
    "records",
    "#kept",
    "@none",
    "sys.database_mirroring",
    "msdb..restorehistory",
    "fuzz.dbo.nothing",
];
const COLUMNS: [&str; 12] = [
    "name",
    "database_id",
    "id",
    "said",
    "at",
    "amount",
    "*",
    "type",
    "d.name",
    "state_desc",
    "object_id",
    "create_date",
];
const FUNCTIONS: [&str; 92] = [
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "CHOOSE",
    "ISNULL",
    "NULLIF",
    "LEFT",
    "RIGHT",
    "REPLICATE",
    "PATINDEX",
    "POWER",
    "ATN2",
    "DATALENGTH",
    "LEN",
    "UPPER",
    "LOWER",
    "LTRIM",
    "RTRIM",
    "REVERSE",
    "SPACE",
    "TRIM",
    "QUOTENAME",
    "LOG",
    "EOMONTH",
    "SUBSTRING",
    "REPLACE",
    "TRANSLATE",
    "DATEADD",
    "DATEDIFF",
    "DATEDIFF_BIG",
    "CHARINDEX",
    "ROUND",
    "STR",
    "STUFF",
    "DATEPART",
    "DATENAME",
    "SWITCHOFFSET",
    "TODATETIMEOFFSET",
    "DATETIMEFROMPARTS",
    "DATETIME2FROMPARTS",
    "DATEFROMPARTS",
    "PI",
    "SQL_VARIANT_PROPERTY",
    "GREATEST",
    "LEAST",
    "ISNUMERIC",
    "ISDATE",
    "CHAR",
    "NCHAR",
    "UNICODE",
    "ASCII",
    "SQRT",
    "SQUARE",
    "EXP",
    "LOG10",
    "ABS",
    "SIGN",
    "CEILING",
    "FLOOR",
    "YEAR",
    "MONTH",
    "DAY",
    "SERVERPROPERTY",
    "DATABASEPROPERTYEX",
    "DB_ID",
    "DB_NAME",
    "SUSER_SNAME",
    "SUSER_SID",
    "IS_SRVROLEMEMBER",
    "HAS_DBACCESS",
    "HAS_PERMS_BY_NAME",
    "OBJECT_ID",
    "OBJECT_NAME",
    "SCHEMA_NAME",
    "GETDATE",
    "SYSDATETIMEOFFSET",
    "ERROR_NUMBER",
    "ERROR_MESSAGE",
    "XACT_STATE",
    "SCOPE_IDENTITY",
    "FORMATMESSAGE",
    "FORMAT",
    "CHECKSUM",
    "NEWID",
    "COUNT",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "STRING_AGG",
    "JSON_VALUE",
    "msdb.dbo.agent_datetime",
];
const PARTS: [&str; 14] = [
    "year",
    "quarter",
    "month",
    "dayofyear",
    "day",
    "week",
    "weekday",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "nanosecond",
    "tzoffset",
];
const OPERATORS: [&str; 14] =
    ["+", "-", "*", "/", "%", "&", "|", "^", "=", "<", ">=", "<>", "!<", "!="];
const GLOBALS: [&str; 10] = [
    "@@VERSION",
    "@@SPID",
    "@@ROWCOUNT",
    "@@ERROR",
    "@@TRANCOUNT",
    "@@SERVERNAME",
    "@@NOTHING",
    "@v",
    "@w",
    "@undeclared",
];
/// Statements as clients send them; they are run whole, and damaged.
const WHOLE: [&str; 40] = [
    "SELECT 1",
    "SELECT @@VERSION",
    "SELECT name, database_id FROM sys.databases WHERE name = N'fuzz'",
    "INSERT INTO dbo.records (id, said, amount) VALUES (1, N'x', 1.5)",
    "INSERT INTO dbo.records (said) OUTPUT inserted.id SELECT TOP (3) name FROM sys.objects",
    "UPDATE dbo.records SET said = said + N'!', amount = amount * 2 WHERE id < 3",
    "DELETE TOP (5) FROM dbo.records WHERE id > 1",
    "DECLARE @t table (id int PRIMARY KEY, n nvarchar(10)); INSERT @t VALUES (1, 'a'), (2, 'b'); SELECT * FROM @t",
    "CREATE TABLE #kept (id int IDENTITY(1,1), said nvarchar(max)); INSERT #kept (said) VALUES ('x'); DROP TABLE #kept",
    "CREATE TABLE dbo.more (id int NOT NULL, c char(2000)); DROP TABLE dbo.more",
    "WITH n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT SUM(i) FROM n",
    "SELECT ROW_NUMBER() OVER (PARTITION BY type ORDER BY name) FROM sys.objects",
    "SELECT d.name, f.file_id FROM sys.databases AS d LEFT JOIN sys.master_files AS f ON f.database_id = d.database_id",
    "SELECT * FROM sys.databases AS d CROSS APPLY (SELECT COUNT(*) AS c FROM sys.master_files AS f WHERE f.database_id = d.database_id) AS x",
    "SELECT name FROM sys.databases FOR XML PATH('d'), ROOT('r')",
    "SELECT name, state FROM sys.databases FOR JSON PATH",
    "BEGIN TRY SELECT 1/0; END TRY BEGIN CATCH SELECT ERROR_NUMBER(), ERROR_MESSAGE(); THROW; END CATCH",
    "DECLARE @v int = 0; WHILE @v < 10 BEGIN SET @v += 1; IF @v = 5 CONTINUE; IF @v = 8 BREAK; END; PRINT @v",
    "WHILE 1 = 1 SET @v = 1",
    "DECLARE @v int = 0; WHILE 1 = 1 SET @v = @v + 1",
    "WAITFOR DELAY '00:00:05'",
    "RAISERROR (N'%s is %d', 16, 1, N'x', 7) WITH NOWAIT",
    "BEGIN TRANSACTION; SAVE TRANSACTION s; INSERT INTO dbo.records (said) VALUES ('y'); ROLLBACK TRANSACTION s; COMMIT",
    "EXEC sp_executesql N'SELECT @a + 1', N'@a int', @a = 41",
    "DECLARE @r int; EXEC @r = sp_executesql N'SET @o = 7', N'@o int OUTPUT', @o = @r OUTPUT; SELECT @r",
    "EXEC (N'SELECT ' + N'1')",
    "EXEC msdb.dbo.sp_add_job @job_name = N'j', @enabled = 1",
    "EXEC msdb.dbo.sp_help_job @job_name = N'j'",
    "EXEC master.dbo.xp_fileexist N'D:\\none'",
    "EXEC sp_configure 'show advanced options', 1; RECONFIGURE",
    "BACKUP DATABASE [fuzz] TO DISK = N'D:\\b\\f.bak' WITH INIT, CHECKSUM, STATS = 10",
    "BACKUP LOG [fuzz] TO DISK = N'D:\\b\\f.trn' WITH NO_TRUNCATE, NORECOVERY",
    "RESTORE HEADERONLY FROM DISK = N'D:\\b\\f.bak'",
    "RESTORE DATABASE [copy] FROM DISK = N'D:\\b\\f.bak' WITH MOVE N'fuzz' TO N'D:\\d\\c.mdf', NORECOVERY, REPLACE",
    "RESTORE LOG [copy] FROM DISK = N'D:\\b\\f.trn' WITH STANDBY = N'D:\\b\\u.tuf', STOPAT = N'2026-03-01T10:00:00'",
    "ALTER DATABASE [fuzz] SET RECOVERY FULL WITH ROLLBACK IMMEDIATE",
    "ALTER DATABASE [fuzz] SET PARTNER = N'TCP://other:5022'",
    "CREATE DATABASE [one]; DROP DATABASE [one]",
    "USE fuzz; DBCC CHECKDB (N'fuzz') WITH NO_INFOMSGS",
    "SET NOCOUNT ON; SET XACT_ABORT ON; SET ROWCOUNT 2; SELECT name FROM sys.objects; SET ROWCOUNT 0",
];

/// One batch.
pub(crate) fn batch(random: &mut Random) -> String {
    match random.below(12) {
        0 => pick(random, &WHOLE).to_owned(),
        1..=3 => {
            let whole = pick(random, &WHOLE);
            damage_text(random, whole)
        }
        4 => extreme(random),
        5 => {
            let made = Maker { random, left: 60 }.statements();
            damage_text(random, &made)
        }
        _ => Maker { random, left: 60 }.statements(),
    }
}

/// Deep, long or wide.
fn extreme(random: &mut Random) -> String {
    let n = [5, 39, 41, 300, 3_000, 20_000][random.below(6) as usize];
    let few = n.min(2_000);
    let nest = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    let list = |item: &str, separator: &str| vec![item; n].join(separator);
    match random.below(32) {
        0 => format!("SELECT {}", nest("(", "1", ")")),
        1 => format!("SELECT {}1", "- ".repeat(n)),
        2 => format!("SELECT 1 WHERE {} 1 = 1", "NOT ".repeat(n)),
        3 => format!("SELECT {}", nest("(SELECT ", "1", ")")),
        4 => format!("SELECT {}", nest("CASE WHEN 1 = 1 THEN ", "1", " END")),
        5 => nest("BEGIN ", "SELECT 1", " END"),
        6 => format!("{} SELECT 1", "IF 1 = 1".repeat(n)),
        7 => format!("IF 1 = 0 SELECT 1 {}", "ELSE IF 1 = 0 SELECT 2 ".repeat(n)),
        8 => format!("SELECT {}", list("1", " + ")),
        9 => format!("SELECT {}", list("N'a'", " + ")),
        10 => format!("SELECT 1 WHERE {}", list("1 = 1", " AND ")),
        11 => format!("SELECT 1 WHERE {}", list("1 = 0", " OR ")),
        12 => format!("SELECT 1 WHERE 1 IN ({})", list("2", ",")),
        13 => format!("SELECT name FROM sys.databases WHERE name IN ({})", list("N'x'", ",")),
        14 => list("SELECT 1", " UNION ALL "),
        15 => vec!["SELECT 1"; few].join(" UNION "),
        16 => {
            format!("INSERT INTO dbo.records (id) VALUES {}", vec!["(1)"; few.min(300)].join(","))
        }
        17 => format!("SELECT N'{}'", "x".repeat(n * 10)),
        18 => format!("SELECT 0x{}", "ab".repeat(n)),
        19 => format!("SELECT {}", "9".repeat(n)),
        20 => format!("SELECT 1.{}", "9".repeat(n)),
        21 => format!("{} SELECT 1 {}", "/*".repeat(n), "*/".repeat(n)),
        22 => format!("SELECT {}", nest("COALESCE(1, ", "1", ")")),
        23 => format!("SELECT {} FROM sys.databases", list("name", ",")),
        24 => format!("SELECT {}", nest("CAST(", "1", " AS int)")),
        25 => nest("BEGIN TRY ", "SELECT 1", " END TRY BEGIN CATCH END CATCH"),
        26 => format!(
            "SELECT * FROM {}",
            vec!["sys.databases AS a"; few.min(40)].join(" CROSS JOIN ")
        ),
        27 => format!("EXEC {}", nest("(N'EXEC ", "x", "')")),
        28 => format!("SELECT {}", nest("REPLICATE(", "N'x'", ", 8000)")),
        29 => format!("SELECT [{}]", "a".repeat(n)),
        30 => format!("SELECT * FROM {}", nest("(SELECT * FROM ", "sys.databases AS d", ") AS d")),
        _ => format!("{}SELECT 1{}", "WHILE 1 = 1 BEGIN ".repeat(n), " END".repeat(n)),
    }
}

/// Writes statements; what is left bounds their size.
struct Maker<'a> {
    random: &'a mut Random,
    left: u32,
}

impl Maker<'_> {
    fn one_of(&mut self, from: &[&str]) -> String {
        pick(self.random, from).to_owned()
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    /// Several of something, at least one.
    fn several(&mut self, separator: &str, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = 1 + self.random.below(3);
        (0..count).map(|_| one(self)).collect::<Vec<_>>().join(separator)
    }

    fn statements(&mut self) -> String {
        let declared = if self.chance(2) {
            format!("DECLARE @v {} = {}, @w sql_variant;\n", self.one_of(&TYPES), self.literal())
        } else {
            String::new()
        };
        declared + &self.several("\n", Self::statement)
    }

    fn statement(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return "SELECT 0".to_owned();
        }
        match self.random.below(16) {
            0 => format!("IF {} {} ELSE {}", self.condition(), self.statement(), self.statement()),
            1 => format!("WHILE {} BEGIN {} BREAK END", self.condition(), self.statement()),
            2 => format!(
                "BEGIN TRY {} END TRY BEGIN CATCH {} END CATCH",
                self.statement(),
                self.statement()
            ),
            3 => format!("SET @v = {}", self.value()),
            4 => format!("PRINT {}", self.value()),
            5 => format!(
                "INSERT INTO dbo.records (id, said, amount, at) VALUES ({}, {}, {}, {})",
                self.value(),
                self.value(),
                self.value(),
                self.value()
            ),
            6 => format!(
                "UPDATE dbo.records SET {} = {} WHERE {}",
                self.one_of(&COLUMNS),
                self.value(),
                self.condition()
            ),
            7 => format!("DELETE FROM {} WHERE {}", self.one_of(&TABLES), self.condition()),
            8 => {
                let level = self.literal();
                format!("RAISERROR ({}, {level}, 1, {})", self.text(), self.literal())
            }
            9 => {
                let inner = self.statement().replace('\'', "''");
                format!(
                    "EXEC sp_executesql N'{inner}', N'@p {}', @p = {}",
                    self.one_of(&TYPES),
                    self.literal()
                )
            }
            _ => self.query(),
        }
    }

    fn query(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return "SELECT 0".to_owned();
        }
        let top = if self.chance(6) { format!("TOP ({}) ", self.value()) } else { String::new() };
        let distinct = if self.chance(6) { "DISTINCT " } else { "" };
        let mut text = format!("SELECT {distinct}{top}{}", self.several(", ", Self::value));
        if self.chance(2) {
            text += &format!(" FROM {}", self.source());
            if self.chance(2) {
                text += &format!(" WHERE {}", self.condition());
            }
            if self.chance(5) {
                text += &format!(
                    " GROUP BY {} HAVING {}",
                    self.several(", ", Self::value),
                    self.condition()
                );
            }
            if self.chance(4) {
                text += &format!(" ORDER BY {} DESC", self.value());
                if self.chance(3) {
                    text += &format!(
                        " OFFSET {} ROWS FETCH NEXT {} ROWS ONLY",
                        self.value(),
                        self.value()
                    );
                }
            }
        }
        match self.random.below(12) {
            0 => format!("{text} UNION {}", self.query()),
            1 => format!("{text} EXCEPT {}", self.query()),
            2 => format!("{text} FOR XML RAW"),
            3 => format!("{text} FOR JSON AUTO"),
            _ => text,
        }
    }

    fn source(&mut self) -> String {
        match self.random.below(10) {
            0 => format!("({}) AS d", self.query()),
            1 => format!(
                "{} AS d JOIN {} AS e ON {}",
                self.one_of(&TABLES),
                self.one_of(&TABLES),
                self.condition()
            ),
            2 => format!("STRING_SPLIT({}, {})", self.text(), self.text()),
            3 => format!("GENERATE_SERIES({}, {})", self.literal(), self.literal()),
            4 => format!("(VALUES ({}), ({})) AS d (name)", self.value(), self.value()),
            5 => format!("{} AS d OUTER APPLY ({}) AS e", self.one_of(&TABLES), self.query()),
            _ => format!("{} AS d", self.one_of(&TABLES)),
        }
    }

    fn condition(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return "1 = 1".to_owned();
        }
        match self.random.below(10) {
            0 => format!("({} AND {})", self.condition(), self.condition()),
            1 => format!("({} OR NOT {})", self.condition(), self.condition()),
            2 => format!("{} LIKE {} ESCAPE {}", self.value(), self.pattern(), self.text()),
            3 => format!("{} IN ({})", self.value(), self.several(", ", Self::value)),
            4 => format!("{} BETWEEN {} AND {}", self.value(), self.value(), self.value()),
            5 => format!("EXISTS ({})", self.query()),
            6 => format!("{} IS NOT NULL", self.value()),
            7 => format!("{} >= ALL ({})", self.value(), self.query()),
            _ => format!("{} {} {}", self.value(), pick(self.random, &OPERATORS), self.value()),
        }
    }

    fn value(&mut self) -> String {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return "1".to_owned();
        }
        match self.random.below(20) {
            0..=5 => self.literal(),
            6 | 7 => self.one_of(&COLUMNS),
            8 => self.one_of(&GLOBALS),
            9..=11 => {
                let name = self.one_of(&FUNCTIONS);
                let mut arguments =
                    if self.chance(8) { String::new() } else { self.several(", ", Self::value) };
                if name.starts_with("DATE") && self.chance(2) {
                    arguments = format!("{}, {arguments}", pick(self.random, &PARTS));
                }
                format!("{name}({arguments})")
            }
            12 => format!("CAST({} AS {})", self.value(), self.one_of(&TYPES)),
            13 => format!(
                "TRY_CONVERT({}, {}, {})",
                self.one_of(&TYPES),
                self.value(),
                self.literal()
            ),
            14 => format!(
                "CONVERT({}, {}, {})",
                self.one_of(&TYPES),
                self.value(),
                self.random.below(140)
            ),
            15 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.condition(),
                self.value(),
                self.value()
            ),
            16 => format!("({})", self.query()),
            17 => format!("-{}", self.value()),
            18 => format!(
                "SUM({}) OVER (PARTITION BY {} ORDER BY {})",
                self.value(),
                self.value(),
                self.value()
            ),
            _ => format!(
                "({} {} {})",
                self.value(),
                pick(self.random, &OPERATORS[..8]),
                self.value()
            ),
        }
    }

    fn literal(&mut self) -> String {
        match self.random.below(8) {
            0..=2 => self.one_of(&EDGES),
            3 => "NULL".to_owned(),
            4 => format!("0x{:x}", self.random.below(u64::MAX)),
            5 => self.one_of(&[
                "'2026-02-29'",
                "'9999-12-31T23:59:59.9999999'",
                "'0001-01-01'",
                "'24:00'",
                "'1753-01-01'",
                "'2026-03-01 10:00:00 +14:00'",
                "'20261332'",
                "'0c1b0d0e-0f10-1112-1314-151617181920'",
            ]),
            _ => self.text(),
        }
    }

    fn text(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(5) {
            text += pick(
                self.random,
                &[
                    "a",
                    "Z",
                    "0",
                    " ",
                    "%s",
                    "%d",
                    "%*.*x",
                    ",",
                    "dbo.records",
                    "D:\\x",
                    "-",
                    "fuzz",
                ],
            );
            if self.chance(4) {
                text += pick(self.random, &ODD);
            }
        }
        format!("N'{}'", text.replace('\'', "''"))
    }

    fn pattern(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.below(7) {
            text +=
                pick(self.random, &["%", "_", "[", "]", "^", "-", "a", "[a-z]", "[^", "[]]", "!"]);
        }
        format!("N'{text}'")
    }
}
