"""The checks that read the same for every client with Python's database interface (PEP 249).

A script gives an [`Adapter`], which says what is different about its client, and calls [`define`].
"""

import threading
import time
from functools import partial

from checks import (
    CA_FILE,
    DATABASE,
    NON_BMP,
    PASSWORD,
    RESTORING,
    SERVER_NAME,
    SOON_SECONDS,
    STRANGER_FILE,
    TYPES,
    VARIANTS,
    all_same,
    check as mark,
    holds,
    raises,
    same,
    say,
)

# Whether the session's connection is encrypted as a whole.
ENCRYPTED = "SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID"
# Characters of a value that no single packet holds.
MANY = 1_500_000


class Adapter:
    """What is different about a client. The defaults are those that most clients share."""

    # The place of a parameter in a statement.
    place = "%s"
    # Errors of the client, as PEP 249 names their base.
    Error = Exception
    # The declared types whose values come out otherwise than in Python's own terms, and how.
    out = {}
    # Values that this client cannot send, by declared type and literal, and why.
    cannot_send = {}
    # Whether a failed login shows more than its last error.
    tells_every_error_of_a_login = True
    # As the server tells it: 7.4.
    tds_version = 0x74000004
    # What an error of the certificate says.
    distrust = "certificate verify failed"

    def sent(self, value):
        """A value as this client wants it for a parameter."""
        return value

    def connect_trusting(self, authority):
        """Connects as [`connect`] does, but trusts the authority of this file only."""
        raise NotImplementedError

    def call(self, connection, procedure, inputs, output):
        """Calls a procedure with named inputs, and one output of (name, type in Python, length). Gives back
        its return status and the output."""
        raise NotImplementedError

    def connect(self, database=DATABASE, password=PASSWORD, autocommit=True):
        raise NotImplementedError

    def numbers(self, error):
        """Every server error number that an exception carries, in order."""
        raise NotImplementedError

    def messages(self, connection, statement):
        """The messages that a statement without rows sends: numbers (None where the client does not tell
        them) and texts."""
        raise NotImplementedError

    def variants(self):
        """What is to come out of a sql_variant."""
        return VARIANTS

    def every_error(self, connection, statement):
        """All errors of a batch, in order: numbers, or texts where the client tells no numbers."""
        raise NotImplementedError

    def begin(self, connection):
        """Leaves the mode in which every statement is its own transaction."""
        connection.autocommit = False


def rows(connection, statement, parameters=()):
    """All rows of a statement."""
    cursor = connection.cursor()
    if parameters:
        cursor.execute(statement, parameters)
    else:
        cursor.execute(statement)
    found = [tuple(row) for row in cursor.fetchall()]
    cursor.close()
    return found


def one(connection, statement, parameters=()):
    """The one value of a statement."""
    ((value,),) = rows(connection, statement, parameters)
    return value


def running(connection, session):
    """Whether a session runs a request, as another session sees it."""
    found = rows(connection, f"SELECT command FROM sys.dm_exec_requests WHERE session_id = {session}")
    return bool(found)


def errors_are(found, wanted):
    """Needs these errors, each as its number or, where the client tells only that, as its text."""
    say(found)
    fits = [error == number or str(error).startswith(text) for error, (number, text) in zip(found, wanted)]
    holds(len(found) == len(wanted) and all(fits), f"{wanted} were needed, {found} were found")


def lives(connection, session):
    """Whether there is such a session."""
    return one(connection, f"SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE session_id = {session}") == 1


def wait_until(condition, what):
    """Looks until a condition holds."""
    until = time.monotonic() + SOON_SECONDS
    while not condition():
        holds(time.monotonic() < until, f"within {SOON_SECONDS} s: {what}")
        time.sleep(0.02)


class Background(threading.Thread):
    """Runs a call and keeps what came of it."""

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function = function
        self.error = None
        self.start()

    def run(self):
        try:
            self.function()
        except Exception as error:
            self.error = error

    def ends(self):
        self.join(SOON_SECONDS)
        holds(not self.is_alive(), f"the call is still waiting after {SOON_SECONDS} s")
        return self.error


def define(adapter, leave_out=()):
    """Defines the shared checks for a client, but for those that its script defines itself."""

    def check(function):
        if function.__name__ not in leave_out:
            mark(function)

    @check
    def connects_and_is_told_who_the_server_is():
        with adapter.connect() as connection:
            found = rows(
                connection,
                "SELECT @@SERVERNAME, DB_NAME(), SUSER_SNAME(), CAST(SERVERPROPERTY('ProductVersion') AS nvarchar(30))",
            )
            say(found)
            same(found[0][:3], (SERVER_NAME, DATABASE, "sa"))

    @check
    def wrong_password_is_refused_with_18456():
        error = raises(lambda: adapter.connect(password="not the password"), adapter.Error)
        holds(18456 in adapter.numbers(error), f"18456 was needed in {adapter.numbers(error)}")
        holds("Login failed for user 'sa'." in str(error), str(error))

    @check
    def restoring_database_is_refused_with_4060():
        error = raises(lambda: adapter.connect(database=RESTORING), adapter.Error)
        # Some clients keep the number of the last error only, but the text of each.
        refusal = f'Cannot open database "{RESTORING}" requested by the login. The login failed.'
        if adapter.tells_every_error_of_a_login:
            holds(4060 in adapter.numbers(error) or refusal in str(error), f"{adapter.numbers(error)} {error}")
        holds(18456 in adapter.numbers(error) or "Login failed for user 'sa'." in str(error), str(error))
        with adapter.connect() as connection:
            error = raises(lambda: connection.cursor().execute(f"USE [{RESTORING}]"), adapter.Error)
            same(adapter.numbers(error), [927], "USE of a restoring database")
            same(one(connection, "SELECT DB_NAME()"), DATABASE)

    @check
    def values_of_every_type_come_out():
        with adapter.connect() as connection:
            found = []
            for typed in TYPES:
                value = partial(one, connection, f"SELECT {typed.sql()}")
                found.append((typed.declared, value, adapter.out.get(typed.declared, lambda v: v)(typed.value)))
            for typed in adapter.variants():
                value = partial(one, connection, f"SELECT CAST({typed.sql()} AS sql_variant)")
                found.append((f"sql_variant of {typed.declared}", value, typed.value))
            # The same again as the columns of one row, where a misread length shows in the next column.
            columns = ", ".join(f"{typed.sql()} AS c{index}" for index, typed in enumerate(TYPES))
            (row,) = rows(connection, f"SELECT {columns}")
            say("all of them as the columns of one row")
            for typed, value in zip(TYPES, row, strict=True):
                wanted = adapter.out.get(typed.declared, lambda v: v)(typed.value)
                found.append((f"column of {typed.declared}", value, wanted))
            all_same(found)

    @check
    def null_of_every_type_comes_out():
        with adapter.connect() as connection:
            declared = [typed.declared for typed in TYPES] + ["sql_variant"]
            columns = ", ".join(f"CAST(NULL AS {name}) AS c{index}" for index, name in enumerate(declared))
            (row,) = rows(connection, f"SELECT {columns}, 17 AS last")
            all_same([*zip(declared, row[:-1], [None] * len(declared), strict=True), ("the last", row[-1], 17)])

    @check
    def values_of_every_type_go_in():
        with adapter.connect() as connection:
            found = []
            for typed in TYPES:
                why_not = adapter.cannot_send.get((typed.declared, typed.literal))
                if why_not:
                    say(f"{typed.sql()} is not sent: {why_not}")
                    continue
                sent = f"CAST({adapter.place} AS {typed.declared})"
                # The server compares what it was sent with what its own language reads.
                if typed.comparable:
                    test = f"{sent} = {typed.sql()}"
                elif typed.declared == "image":
                    test = f"CAST({sent} AS varbinary(max)) = CAST({typed.sql()} AS varbinary(max))"
                else:
                    test = f"CAST({sent} AS nvarchar(max)) = CAST({typed.sql()} AS nvarchar(max))"
                value = partial(one, connection, f"SELECT CASE WHEN {test} THEN 1 ELSE 0 END", (adapter.sent(typed.value),))
                found.append((f"{typed.declared} {typed.literal[:30]} equals what was sent", value, 1))
            all_same(found)

    @check
    def null_of_every_type_goes_in():
        with adapter.connect() as connection:
            found = []
            for typed in TYPES:
                test = f"CAST({adapter.place} AS {typed.declared}) IS NULL"
                value = partial(one, connection, f"SELECT CASE WHEN {test} THEN 1 ELSE 0 END", (None,))
                found.append((f"{typed.declared} is NULL", value, 1))
            all_same(found)

    @check
    def several_result_sets_keep_their_order():
        with adapter.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT 1 AS a; SELECT n FROM (VALUES (1), (2), (3)) AS t (n) ORDER BY n; SELECT CAST(NULL AS int) AS n WHERE 1 = 0; SELECT N'last' AS b"
            )
            sets = []
            while True:
                if cursor.description:
                    sets.append(([column[0] for column in cursor.description], [tuple(r) for r in cursor.fetchall()]))
                if not cursor.nextset():
                    break
            say(sets)
            same(sets, [(["a"], [(1,)]), (["n"], [(1,), (2,), (3,)]), (["n"], []), (["b"], [("last",)])])
            cursor.close()
            same(one(connection, "SELECT 5"), 5, "afterwards")

    @check
    def every_error_of_a_batch_arrives():
        with adapter.connect() as connection:
            # The documented pair: the cause, then the statement's own end.
            backup = f"BACKUP DATABASE [{DATABASE}] TO DISK = N'Q:\\none\\x.bak'"
            cause = (3201, "Cannot open backup device 'Q:\\none\\x.bak'.")
            end = (3013, "BACKUP DATABASE is terminating abnormally.")
            errors_are(adapter.every_error(connection, backup), [cause, end])
            three = "RAISERROR(N'first', 16, 1); RAISERROR(N'second', 16, 2); SELECT 1 / 0"
            division = (8134, "Divide by zero error encountered.")
            errors_are(adapter.every_error(connection, three), [(50000, "first"), (50000, "second"), division])
            same(one(connection, "SELECT 5"), 5, "afterwards")

    @check
    def messages_arrive_and_are_no_errors():
        with adapter.connect() as connection:
            statement = f"PRINT N'{NON_BMP}'; RAISERROR(N'half %d', 10, 1, 50) WITH NOWAIT; RAISERROR(N'mild', 5, 3)"
            found = adapter.messages(connection, statement)
            say(found)
            wanted = [(0, NON_BMP), (50000, "half 50"), (50000, "mild")]
            same([text for _number, text in found], [text for _number, text in wanted])
            for (number, _text), (wanted_number, _) in zip(found, wanted, strict=True):
                if number is not None:
                    same(number, wanted_number)

    @check
    def values_of_megabytes_go_in_and_come_out():
        with adapter.connect() as connection:
            text = "\u0436" * MANY
            (row,) = rows(
                connection,
                f"SELECT LEN({adapter.place}), REPLICATE(CAST(N'\U0001f600' AS nvarchar(max)), {MANY})",
                (text,),
            )
            same(row[0], MANY, "characters that went in")
            same(row[1], "\U0001f600" * MANY, "characters that came out")
            data = bytes(range(256)) * 8192
            value = one(connection, f"SELECT CAST({adapter.place} AS varbinary(max))", (adapter.sent(data),))
            same(value, data, "bytes there and back")
            numbers = rows(
                connection,
                "SELECT a.object_id, REPLICATE(N'x', 2000) FROM sys.all_objects AS a CROSS JOIN "
                "(VALUES (1), (2), (3), (4), (5)) AS b (n)",
            )
            say(f"{len(numbers)} rows of 2,000 characters")
            holds(all(len(row[1]) == 2000 for row in numbers), "every row is whole")

    @check
    def committed_transaction_stays():
        with adapter.connect() as connection, adapter.connect() as other:
            adapter.begin(connection)
            connection.cursor().execute("INSERT dbo.kept VALUES (1, N'committed')")
            same(one(connection, "SELECT @@TRANCOUNT"), 1, "open transactions")
            connection.commit()
            same(one(other, "SELECT COUNT(*) FROM dbo.kept WHERE id = 1"), 1, "rows after the commit")
            connection.rollback()
            same(one(other, "SELECT COUNT(*) FROM dbo.kept WHERE id = 1"), 1, "rows after a rollback of nothing")

    @check
    def transaction_is_rolled_back():
        with adapter.connect() as connection, adapter.connect() as other:
            adapter.begin(connection)
            connection.cursor().execute("INSERT dbo.kept VALUES (2, N'rolled back')")
            same(one(connection, "SELECT COUNT(*) FROM dbo.kept WHERE id = 2"), 1, "rows inside")
            connection.rollback()
            same(one(other, "SELECT COUNT(*) FROM dbo.kept WHERE id = 2"), 0, "rows after the rollback")
            # One that nobody ends goes with its connection.
            connection.cursor().execute("INSERT dbo.kept VALUES (3, N'abandoned')")
            connection.close()
            wait_until(
                lambda: one(other, "SELECT COUNT(*) FROM dbo.kept WHERE id = 3") == 0, "the abandoned row is gone"
            )

    @check
    def killed_session_is_noticed():
        with adapter.connect() as other:
            victim = adapter.connect()
            session = one(victim, "SELECT @@SPID")
            call = Background(lambda: victim.cursor().execute("WAITFOR DELAY '00:01:00'"))
            wait_until(lambda: running(other, session), "the statement runs")
            other.cursor().execute(f"KILL {session}")
            error = call.ends()
            say(repr(error))
            holds(isinstance(error, adapter.Error), f"an error of the client was needed, {error!r} was found")
            raises(lambda: rows(victim, "SELECT 1"))
            wait_until(lambda: not lives(other, session), "the session is gone")
            # One that was killed while it did nothing notices at its next statement.
            idle = adapter.connect()
            session = one(idle, "SELECT @@SPID")
            other.cursor().execute(f"KILL {session}")
            wait_until(lambda: not lives(other, session), "the idle session is gone")
            raises(lambda: rows(idle, "SELECT 1"))
            with adapter.connect() as again:
                same(one(again, "SELECT 5"), 5, "a new connection")

    @check
    def certificate_is_verified_and_the_connection_encrypted():
        error = raises(lambda: adapter.connect_trusting(STRANGER_FILE))
        holds(adapter.distrust in str(error), f"{adapter.distrust!r} was needed in {error}")
        with adapter.connect_trusting(CA_FILE) as connection:
            found = rows(
                connection,
                "SELECT encrypt_option, protocol_version, net_packet_size FROM sys.dm_exec_connections "
                "WHERE session_id = @@SPID",
            )
            say(found)
            same(found[0][0], "TRUE", "encrypt_option")
            same(found[0][1], adapter.tds_version, "protocol_version")

    @check
    def output_parameters_and_return_status_arrive():
        with adapter.connect() as connection:
            inputs = {"stmt": "SET @out = @in * 2", "params": "@in int, @out int OUTPUT", "in": 21}
            same(adapter.call(connection, "sp_executesql", inputs, ("out", int, 4)), (0, 42), "sp_executesql")
            job = {"job_name": "night"}
            status, identity = adapter.call(connection, "msdb.dbo.sp_add_job", job, ("job_id", str, 36))
            same(status, 0, "status of sp_add_job")
            named = one(connection, "SELECT name FROM msdb.dbo.sysjobs WHERE job_id = " + f"'{identity}'")
            same(named, "night", "the job of the identifier that came back")
            error = raises(lambda: adapter.call(connection, "msdb.dbo.sp_add_job", job, ("job_id", str, 36)))
            holds(14261 in adapter.numbers(error), f"14261 was needed in {adapter.numbers(error)}")
            same(one(connection, "SELECT 5"), 5, "afterwards")
