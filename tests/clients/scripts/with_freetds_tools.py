"""FreeTDS's own tools, as Debian builds them: tsql and bsqldb. They show what they get as text."""

import os
import re
import subprocess
import time

from checks import (
    CA_FILE,
    DATABASE,
    FOLDER,
    HOST,
    NON_BMP,
    PASSWORD,
    PORT,
    RESTORING,
    SERVER_NAME,
    SOON_SECONDS,
    STRANGER_FILE,
    TYPES,
    USER,
    all_same,
    check,
    holds,
    run,
    same,
    say,
)

CONFIGURATION = os.path.join(FOLDER, "freetds.conf")
with open(CONFIGURATION, "w", encoding="utf-8") as file:
    for name, encryption, authority in (
        ("server", "require", CA_FILE),
        ("stranger", "require", STRANGER_FILE),
        ("plain", "off", CA_FILE),
    ):
        file.write(
            f"[{name}]\nhost = {HOST}\nport = {PORT}\ntds version = 7.4\nencryption = {encryption}\n"
            f"ca file = {authority}\ncheck certificate hostname = yes\nclient charset = UTF-8\ntext size = 8000000\n"
        )
ENVIRONMENT = {**os.environ, "FREETDSCONF": CONFIGURATION}


def tsql(text, server="server", database=DATABASE, password=PASSWORD, options="qf"):
    """Everything that tsql says about these batches, each of which ends with GO."""
    command = ["tsql", "-S", server, "-U", USER, "-P", password, "-D", database, "-o", options, "-t", "|"]
    ran = subprocess.run(
        command, input=f"{text}\nGO\nexit\n", env=ENVIRONMENT, text=True, capture_output=True, timeout=60, check=False
    )
    for line in (ran.stdout + ran.stderr).splitlines():
        say(line[:200])
    return ran.stdout + ran.stderr


def bsqldb(text, database=DATABASE, password=PASSWORD, wait=True):
    """The rows that bsqldb writes, and what it says beside them."""
    path = os.path.join(FOLDER, f"batch-{time.monotonic_ns()}.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    command = ["bsqldb", "-S", "server", "-U", USER, "-P", password, "-D", database, "-t", "|", "-i", path, "-h", "-q"]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    if not wait:
        return process
    rows, said = process.communicate(timeout=60)
    for line in (rows + said).splitlines():
        say(line[:200])
    return rows, said


def row_of(text):
    """The one row of a query, as tsql writes it: it shows more types than bsqldb."""
    (row,) = [line for line in tsql(text, options="qfh").splitlines() if "|" in line]
    return row.split("|")


def messages(text):
    """(number, severity, state, text) of each message that tsql shows."""
    found = re.findall(r"Msg (\d+) \(severity (\d+), state (\d+)\) from (\S+)(?:, Procedure \S+)? Line (\d+):\n\s*\"(.*)\"", text)
    return [(int(number), int(severity), int(state), said) for number, severity, state, _server, _line, said in found]


@check
def connects_and_is_told_who_the_server_is():
    said = tsql("SELECT @@SERVERNAME, DB_NAME(), SUSER_SNAME()")
    holds(f"{SERVER_NAME}|{DATABASE}|sa" in said, said)
    rows, _said = bsqldb("SELECT @@SERVERNAME, DB_NAME(), SUSER_SNAME()")
    same(rows.strip(), f"{SERVER_NAME}|{DATABASE}|sa", "bsqldb")


@check
def wrong_password_is_refused_with_18456():
    said = tsql("SELECT 1", password="not the password")
    holds("Msg 18456 (severity 14, state 1)" in said and "Login failed for user 'sa'." in said, said)


@check
def restoring_database_is_refused_with_4060():
    _rows, said = bsqldb("SELECT DB_NAME()", database=RESTORING)
    wanted = f'Cannot open database "{RESTORING}" requested by the login. The login failed.'
    holds("Msg 4060, Level 11, State 1" in said and wanted in said, said)
    same([number for number, *_rest in messages(tsql(f"USE [{RESTORING}]"))], [927], "USE")


@check
def certificate_is_verified_and_the_connection_encrypted():
    query = "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"
    holds("20002" in tsql(query, server="stranger"), "a certificate of a stranger was taken")
    holds("TRUE" in tsql(query), "the connection is not encrypted")


@check
def connects_without_encryption():
    query = "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"
    holds("FALSE" in tsql(query, server="plain"), "the connection is encrypted")


# Declared type, literal, and how this client writes it.
SHOWN = [
    ("bit", "1", "1"),
    ("tinyint", "255", "255"),
    ("smallint", "-32768", "-32768"),
    ("int", "-2147483648", "-2147483648"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("decimal(9,4)", "-12345.6789", "-12345.6789"),
    ("decimal(38,0)", "-" + "9" * 38, "-" + "9" * 38),
    ("decimal(38,38)", "0." + "1" * 38, "0." + "1" * 38),
    ("money", "-922337203685477.5808", "-922337203685477.5808"),
    ("smallmoney", "-214748.3648", "-214748.3648"),
    ("float", "-2.25", "-2.25"),
    ("real", "1.5", "1.5"),
    ("char(6)", "'ab\u20ac'", "ab\u20ac   "),
    ("varchar(20)", "'\u00dcn\u00ef'", "\u00dcn\u00ef"),
    ("nchar(5)", "N'\u0436'", "\u0436    "),
    ("nvarchar(40)", f"N'{NON_BMP}'", NON_BMP),
    ("nvarchar(max)", f"N'{NON_BMP}'", NON_BMP),
    ("xml", "N'<a>\u0436</a>'", "<a>\u0436</a>"),
    ("ntext", f"N'{NON_BMP}'", NON_BMP),
    ("uniqueidentifier", "'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-AABBCCDDEEFF"),
    ("binary(4)", "0x0102", "01020000"),
    ("varbinary(max)", "0x00FF80", "00FF80"),
]
# What this client shows of dates depends on its configuration of locales; what it read is compared by its year.
YEARS = [
    ("date", "'9999-12-31'", "9999"),
    ("smalldatetime", "'2026-03-01 13:14:00'", "2026"),
    ("datetime", "'1753-01-01'", "1753"),
    ("datetime2(7)", "'2026-03-01 13:14:15.1234567'", "2026"),
    ("datetimeoffset(7)", "'2026-03-01 13:14:15.1234567 -05:30'", "2026"),
]


@check
def values_of_every_type_come_out():
    columns = ", ".join(f"CAST({literal} AS {declared}) AS c{index}" for index, (declared, literal, _) in enumerate(SHOWN))
    found = row_of(f"SELECT {columns}, 17 AS last")
    same(len(found), len(SHOWN) + 1, "columns")
    all_same((declared, value.removeprefix("0x").upper() if "bin" in declared else value,
              wanted) for (declared, _literal, wanted), value in zip(SHOWN, found))
    same(found[-1], "17", "the last")
    columns = ", ".join(f"CAST({literal} AS {declared}) AS c{index}" for index, (declared, literal, _) in enumerate(YEARS))
    found = row_of(f"SELECT {columns}, CAST('13:14:15' AS time(7)) AS t")
    for (declared, _literal, year), value in zip(YEARS, found):
        holds(year in value, f"{declared}: {year} was needed in {value}")
    holds("01:14" in found[-1], f"time: {found[-1]}")


@check
def null_of_every_type_comes_out():
    declared = [typed.declared for typed in TYPES] + ["sql_variant"]
    columns = ", ".join(f"CAST(NULL AS {name}) AS c{index}" for index, name in enumerate(declared))
    found = row_of(f"SELECT {columns}, 17 AS last")
    all_same([*zip(declared, found[:-1], ["NULL"] * len(declared), strict=True), ("the last", found[-1], "17")])


@check
def several_result_sets_keep_their_order():
    rows, _said = bsqldb("SELECT 1 AS a SELECT n FROM (VALUES (1), (2), (3)) AS t (n) SELECT N'last' AS b\nGO\nSELECT 5")
    same(rows.split(), ["1", "1", "2", "3", "last", "5"])


@check
def every_error_of_a_batch_arrives():
    found = messages(tsql(f"BACKUP DATABASE [{DATABASE}] TO DISK = N'Q:\\none\\x.bak'"))
    same([(number, severity) for number, severity, *_rest in found], [(3201, 16), (3013, 16)], "BACKUP")
    found = messages(tsql("RAISERROR(N'first', 16, 1) RAISERROR(N'second', 16, 2)\nSELECT 1 / 0"))
    same([number for number, *_rest in found], [50000, 50000, 8134], "three statements")


@check
def messages_arrive_and_are_no_errors():
    _rows, said = bsqldb(f"PRINT N'{NON_BMP}' RAISERROR(N'half %d', 10, 1, 50) WITH NOWAIT SELECT 5")
    holds(NON_BMP in said and "half 50" in said, said)


@check
def output_parameters_and_return_status_arrive():
    said = tsql("EXEC msdb.dbo.sp_add_job @job_name = N'night'", options="t")
    holds("(return status = 0)" in said, said)


@check
def values_of_megabytes_go_in_and_come_out():
    text = "\u0436" * 400_000
    rows, said = bsqldb(f"SELECT LEN(N'{text}'), REPLICATE(CAST(N'\u0436' AS nvarchar(max)), 1500000)")
    length, value = rows.rstrip("\n").split("|")
    same(int(length), len(text), "characters that went in")
    # It writes characters of this type as the bytes of its own character set.
    same(bytes.fromhex(value.removeprefix("0x")).decode("utf-8"), "\u0436" * 1_500_000, "characters that came out")


@check
def committed_transaction_stays():
    bsqldb("BEGIN TRANSACTION INSERT dbo.kept VALUES (1, N'committed') COMMIT")
    same(bsqldb("SELECT COUNT(*) FROM dbo.kept WHERE id = 1")[0].strip(), "1")


@check
def transaction_is_rolled_back():
    bsqldb("BEGIN TRANSACTION INSERT dbo.kept VALUES (2, N'rolled back')\nGO\nROLLBACK")
    bsqldb("BEGIN TRANSACTION INSERT dbo.kept VALUES (3, N'abandoned')")
    same(bsqldb("SELECT COUNT(*) FROM dbo.kept WHERE id IN (2, 3)")[0].strip(), "0")


@check
def killed_session_is_noticed():
    process = bsqldb("WAITFOR DELAY '00:01:00'", wait=False)
    victim = "SELECT session_id FROM sys.dm_exec_requests WHERE command = N'WAITFOR'"
    until = time.monotonic() + SOON_SECONDS
    while not (session := bsqldb(victim)[0].strip()):
        holds(time.monotonic() < until, "the statement does not run")
    bsqldb(f"KILL {session}")
    _rows, said = process.communicate(timeout=SOON_SECONDS)
    say(said)
    holds(process.returncode != 0 and said, "the client did not notice")


run()
