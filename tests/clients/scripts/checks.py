"""What the scripts in Python share: reporting, and values of every type.

A check is a function; its name is what is reported. Everything that is printed goes into the transcript;
only the lines `ok NAME` and `FAILED NAME: WHY` are read.
"""

import datetime
import os
import sys
import traceback
import uuid
from decimal import Decimal

HOST = os.environ["TDS_HOST"]
ADDRESS = os.environ["TDS_ADDRESS"]
PORT = int(os.environ["TDS_PORT"])
SERVER_NAME = os.environ["TDS_SERVER_NAME"]
USER = os.environ["TDS_USER"]
PASSWORD = os.environ["TDS_PASSWORD"]
DATABASE = os.environ["TDS_DATABASE"]
RESTORING = os.environ["TDS_RESTORING"]
CA_FILE = os.environ["TDS_CA_FILE"]
STRANGER_FILE = os.environ["TDS_STRANGER_FILE"]
CERTIFICATE_FILE = os.environ["TDS_CERTIFICATE_FILE"]
FOLDER = os.environ["TDS_FOLDER"]

# Longer than anything here takes, and shorter than the statements that are cancelled.
SOON_SECONDS = 10

_checks = []


def check(function):
    """Marks a check."""
    _checks.append(function)
    return function


def say(text):
    """Writes into the transcript."""
    print("   ", text, flush=True)


def run():
    """Runs every check, whatever became of those before it."""
    failed = 0
    for function in _checks:
        name = function.__name__
        print("--", name, flush=True)
        try:
            function()
        except Exception as error:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            why = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAILED {name}: {why[:600]}", flush=True)
        else:
            print("ok", name, flush=True)
    # A client may keep threads; nothing that they still do is asked for.
    sys.stdout.flush()
    os._exit(1 if failed else 0)


def same(found, wanted, what=""):
    """Needs equal values of the same type."""
    shown = [repr(value) if len(repr(value)) < 200 else repr(value)[:200] + "..." for value in (found, wanted)]
    if type(found) is not type(wanted) or found != wanted:
        raise AssertionError(f"{what}: {shown[1]} was needed, {shown[0]} was found")


def all_same(triples):
    """Needs every (what, found, wanted) to be the same, and names all that are not. What is found may be
    a call that finds it."""
    wrong = []
    for what, found, wanted in triples:
        try:
            found = found() if callable(found) else found
            same(found, wanted, what)
        except AssertionError as error:
            wrong.append(str(error))
        except Exception as error:
            wrong.append(f"{what}: {error!r}")
        else:
            say(f"{what}: {str(found)[:60]!r}")
    if wrong:
        raise AssertionError("; ".join(wrong))


def holds(condition, what):
    """Needs a condition."""
    if not condition:
        raise AssertionError(what)


def raises(function, kinds=Exception):
    """The error that a call ends with."""
    try:
        result = function()
    except kinds as error:
        say(f"{type(error).__name__}: {str(error)[:300]}")
        return error
    raise AssertionError(f"an error was needed, {result!r} was found")


_UTC = datetime.timezone.utc


def _zone(minutes):
    return datetime.timezone(datetime.timedelta(minutes=minutes))


class Typed:
    """A value: its declared type, how T-SQL writes it, and what a client in Python makes of it."""

    def __init__(self, declared, literal, value, comparable=True):
        self.declared = declared
        self.literal = literal
        self.value = value
        # Whether T-SQL compares values of the type.
        self.comparable = comparable

    def sql(self):
        return f"CAST({self.literal} AS {self.declared})"


NON_BMP = "p\u00e4ris \u0436 \U0001f600"
LONG = "\U0001f600\u0436a" * 4000

TYPES = [
    Typed("bit", "1", True),
    Typed("bit", "0", False),
    Typed("tinyint", "255", 255),
    Typed("smallint", "-32768", -32768),
    Typed("int", "-2147483648", -2147483648),
    Typed("bigint", "-9223372036854775808", -9223372036854775808),
    Typed("bigint", "9223372036854775807", 9223372036854775807),
    Typed("decimal(9,4)", "-12345.6789", Decimal("-12345.6789")),
    Typed("decimal(19,0)", "9999999999999999999", Decimal("9999999999999999999")),
    Typed("numeric(28,10)", "123456789012345678.0123456789", Decimal("123456789012345678.0123456789")),
    Typed("numeric(25,0)", "4500000001234500001", Decimal("4500000001234500001")),
    Typed("decimal(38,0)", "-" + "9" * 38, Decimal("-" + "9" * 38)),
    Typed("decimal(38,38)", "0." + "1" * 38, Decimal("0." + "1" * 38)),
    Typed("money", "-922337203685477.5808", Decimal("-922337203685477.5808")),
    Typed("money", "922337203685477.5807", Decimal("922337203685477.5807")),
    Typed("smallmoney", "-214748.3648", Decimal("-214748.3648")),
    Typed("float", "-2.25E-5", -2.25e-5),
    Typed("float", "1.7976931348623157E308", 1.7976931348623157e308),
    Typed("real", "1.5", 1.5),
    Typed("date", "'0001-01-01'", datetime.date(1, 1, 1)),
    Typed("date", "'9999-12-31'", datetime.date(9999, 12, 31)),
    Typed("time(0)", "'23:59:59'", datetime.time(23, 59, 59)),
    Typed("time(3)", "'13:14:15.123'", datetime.time(13, 14, 15, 123000)),
    Typed("time(7)", "'13:14:15.123456'", datetime.time(13, 14, 15, 123456)),
    Typed("smalldatetime", "'2026-03-01 13:14:00'", datetime.datetime(2026, 3, 1, 13, 14)),
    Typed("datetime", "'1753-01-01 00:00:00'", datetime.datetime(1753, 1, 1)),
    Typed("datetime", "'9999-12-31 23:59:59.990'", datetime.datetime(9999, 12, 31, 23, 59, 59, 990000)),
    Typed("datetime2(0)", "'0001-01-01 00:00:01'", datetime.datetime(1, 1, 1, 0, 0, 1)),
    Typed("datetime2(3)", "'2026-03-01 13:14:15.123'", datetime.datetime(2026, 3, 1, 13, 14, 15, 123000)),
    Typed("datetime2(7)", "'9999-12-31 23:59:59.999999'", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    Typed(
        "datetimeoffset(0)",
        "'2026-03-01 13:14:15 +14:00'",
        datetime.datetime(2026, 3, 1, 13, 14, 15, tzinfo=_zone(840)),
    ),
    Typed(
        "datetimeoffset(7)",
        "'2026-03-01 13:14:15.123456 -05:30'",
        datetime.datetime(2026, 3, 1, 13, 14, 15, 123456, tzinfo=_zone(-330)),
    ),
    Typed("char(6)", "'ab\u20ac'", "ab\u20ac   "),
    Typed("varchar(20)", "'\u00dcn\u00ef'", "\u00dcn\u00ef"),
    Typed("varchar(20)", "''", ""),
    Typed("varchar(max)", "REPLICATE(CAST('v' AS varchar(max)), 9000)", "v" * 9000),
    Typed("nchar(5)", "N'\u0436\U0001f600'", "\u0436\U0001f600  "),
    Typed("nvarchar(40)", f"N'{NON_BMP}'", NON_BMP),
    Typed("nvarchar(max)", "REPLICATE(CAST(N'\U0001f600\u0436a' AS nvarchar(max)), 4000)", LONG),
    Typed("binary(4)", "0x0102", b"\x01\x02\x00\x00"),
    Typed("varbinary(8)", "0x00FF80", b"\x00\xff\x80"),
    Typed("varbinary(8)", "0x", b""),
    Typed("varbinary(max)", "0x" + "09" * 9000, b"\x09" * 9000),
    Typed(
        "uniqueidentifier",
        "'00112233-4455-6677-8899-AABBCCDDEEFF'",
        uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
    ),
    Typed("xml", "N'<a>\u0436</a>'", "<a>\u0436</a>", comparable=False),
    Typed("text", "'text\u20ac'", "text\u20ac", comparable=False),
    Typed("ntext", f"N'{NON_BMP}'", NON_BMP, comparable=False),
    Typed("image", "0x0300", b"\x03\x00", comparable=False),
]

# What a sql_variant holds, by its base type.
VARIANTS = [
    Typed("int", "7", 7),
    Typed("bigint", "-7", -7),
    Typed("bit", "1", True),
    Typed("float", "1.5", 1.5),
    Typed("decimal(38,4)", "-1.5", Decimal("-1.5000")),
    Typed("money", "1.5", Decimal("1.5000")),
    Typed("nvarchar(20)", f"N'{NON_BMP}'", NON_BMP),
    Typed("varchar(20)", "'ab\u20ac'", "ab\u20ac"),
    Typed("varbinary(8)", "0x0102", b"\x01\x02"),
    Typed("datetime", "'2026-03-01 13:14:15'", datetime.datetime(2026, 3, 1, 13, 14, 15)),
    Typed("datetime2(7)", "'2026-03-01 13:14:15.123456'", datetime.datetime(2026, 3, 1, 13, 14, 15, 123456)),
    Typed("date", "'2026-03-01'", datetime.date(2026, 3, 1)),
    Typed("time(7)", "'13:14:15.123456'", datetime.time(13, 14, 15, 123456)),
    Typed(
        "datetimeoffset(7)",
        "'2026-03-01 13:14:15 +01:00'",
        datetime.datetime(2026, 3, 1, 13, 14, 15, tzinfo=_zone(60)),
    ),
    Typed(
        "uniqueidentifier",
        "'00112233-4455-6677-8899-AABBCCDDEEFF'",
        uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
    ),
]
