"""The vendor's ODBC driver, through the vendor's mssql-python and by itself. Its argument is the encryption."""

import os
import sys
import time

import mssql_python
import odbc
from checks import (
    CA_FILE,
    DATABASE,
    HOST,
    PASSWORD,
    PORT,
    RESTORING,
    SOON_SECONDS,
    USER,
    VARIANTS,
    check,
    holds,
    raises,
    run,
    same,
    say,
)
from dbapi import Adapter, Background, define, one, running, wait_until

ENCRYPT = sys.argv[1]
# A pool would hand the sessions that a check has ended to the next one.
mssql_python.pooling(enabled=False)


def connection_string(database, password, authority):
    # The driver asks the machine's own store, whose place OpenSSL takes from here.
    os.environ["SSL_CERT_FILE"] = authority
    return f"Server=tcp:{HOST},{PORT};Database={database};UID={USER};PWD={{{password}}};Encrypt={ENCRYPT};"


def driver(database=DATABASE, password=PASSWORD, authority=CA_FILE):
    return odbc.Connection(connection_string(database, password, authority))


class MssqlPython(Adapter):
    place = "?"
    Error = mssql_python.Error
    # Said by the driver itself, with the places where a server would say a number.
    texts = {
        18456: "Login failed for user 'sa'.",
        4060: f'Cannot open database "{RESTORING}" requested by the login. The login failed.',
        927: f"Database '{RESTORING}' cannot be opened.",
    }
    tells_every_error_of_a_login = False
    cannot_send = {("date", "'0001-01-01'"): "it refuses dates before 1753"}

    def connect(self, database=DATABASE, password=PASSWORD, autocommit=True, authority=CA_FILE):
        return mssql_python.connect(connection_string(database, password, authority), autocommit=autocommit)

    def connect_trusting(self, authority):
        return self.connect(authority=authority)

    def numbers(self, error):
        # It tells the texts only; the driver's own records, below, have the numbers as well.
        return [number for number, text in self.texts.items() if text in str(error)]

    def variants(self):
        # It hands this type out as text when it is inside of a sql_variant.
        return [typed for typed in VARIANTS if not typed.declared.startswith("datetimeoffset")]

    def messages(self, connection, statement):
        with driver() as connection, connection.statement() as asked:
            return [(number, text) for number, _state, text in asked.every_record(statement)]

    def every_error(self, connection, statement):
        return [number for number, _text in self.messages(connection, statement)]


ADAPTER = MssqlPython()
define(ADAPTER, leave_out=["output_parameters_and_return_status_arrive"])


@check
def output_parameters_and_return_status_arrive():
    with driver() as connection:
        # A call of a procedure, which takes its parameters by place.
        with connection.statement() as call:
            status = call.bind_int(1, direction=odbc.PARAM_OUTPUT)
            call.bind_text(2, "SET @out = @in * 2")
            call.bind_text(3, "@in int, @out int OUTPUT")
            call.bind_int(4, 21)
            doubled = call.bind_int(5, direction=odbc.PARAM_OUTPUT)
            call.execute("{? = CALL sp_executesql(?, ?, ?, ?)}")
            while call.more():
                pass
            same((status.value, doubled.value), (0, 42), "status and output")
        # A statement with outputs.
        with connection.statement() as call:
            status = call.bind_int(1, direction=odbc.PARAM_OUTPUT)
            call.bind_text(2, "night")
            job = call.bind_text(3, size=36, direction=odbc.PARAM_OUTPUT, kind=odbc.SQL_GUID)
            call.execute("EXEC ? = msdb.dbo.sp_add_job @job_name = ?, @job_id = ?")
            while call.more():
                pass
            identity = job.raw.decode("utf-16-le").split("\0")[0]
            say(f"status {status.value}, job {identity}")
            same(status.value, 0, "status")
            same(connection.rows(f"SELECT name FROM msdb.dbo.sysjobs WHERE job_id = '{identity}'"), [("night",)])
        with connection.statement() as call:
            call.bind_int(1, direction=odbc.PARAM_OUTPUT)
            call.bind_text(2, "night")
            error = raises(lambda: call.execute("{? = CALL msdb.dbo.sp_add_job(?)}"), odbc.OdbcError)
            same(error.numbers(), [14261], "a job that is there already")


@check
def cancelled_statement_stops_and_the_connection_is_usable():
    with driver() as connection, ADAPTER.connect() as other:
        ((session,),) = connection.rows("SELECT @@SPID")
        with connection.statement() as statement:
            call = Background(lambda: statement.execute("WAITFOR DELAY '00:01:00'; SELECT 1"))
            wait_until(lambda: running(other, session), "the statement runs")
            statement.cancel()
            error = call.ends()
            say(repr(error))
            holds(isinstance(error, odbc.OdbcError) and error.records[0][1] == "HY008", f"HY008 was needed, {error!r} found")
        wait_until(lambda: not running(other, session), "nothing runs any more")
        same(connection.rows("SELECT 5"), [("5",)], "afterwards")
        # The driver's own limit, in seconds, is an attention as well.
        started = time.monotonic()
        with connection.statement(timeout=1) as statement:
            error = raises(lambda: statement.execute("WAITFOR DELAY '00:01:00'"), odbc.OdbcError)
            same(error.records[0][1], "HYT00", "SQLSTATE of a time-out")
        holds(time.monotonic() - started < SOON_SECONDS, "the statement was stopped")
        # A result that is left unread.
        with connection.statement() as statement:
            statement.execute("SELECT a.object_id FROM sys.all_objects AS a CROSS JOIN sys.all_objects AS b")
            statement.fetch()
            statement.close_cursor()
        same(connection.rows("SELECT 6"), [("6",)], "after a result that was cut")


@check
def prepared_statement_runs_many_times():
    with ADAPTER.connect() as connection:
        cursor = connection.cursor()
        for number in range(50):
            cursor.execute("SELECT ? + 1, ? + N'!'", (number, f"n{number}"))
            same(tuple(cursor.fetchone()), (number + 1, f"n{number}!"), f"run {number}")
        cursor.executemany("INSERT dbo.kept VALUES (?, ?)", [(100 + n, f"row {n}") for n in range(300)])
        same(one(connection, "SELECT COUNT(*) FROM dbo.kept WHERE id >= 100"), 300, "rows that were inserted")
    with driver() as connection, connection.statement() as statement:
        statement.prepare("SELECT ? + 1, ? + N'!'")
        for number in range(50):
            statement.bound.clear()
            statement.bind_int(1, number)
            statement.bind_text(2, f"n{number}")
            statement.execute()
            same(statement.rows(), [(str(number + 1), f"n{number}!")], f"run {number} of the driver")
            statement.close_cursor()


@check
def errors_carry_number_state_and_sqlstate():
    error = raises(lambda: driver(password="not the password"), odbc.OdbcError)
    holds(18456 in error.numbers(), f"18456 was needed in {error.numbers()}")
    error = raises(lambda: driver(database=RESTORING), odbc.OdbcError)
    holds({4060, 18456} <= set(error.numbers()), f"4060 and 18456 were needed in {error.numbers()}")
    with driver() as connection, connection.statement() as statement:
        found = statement.every_record("SELECT 1 / 0")
        holds((8134, "22012", "Divide by zero error encountered.") in found, f"{found}")
    with driver() as connection, connection.statement() as statement:
        found = statement.every_record("SELECT * FROM dbo.nothing_of_that_name")
        holds((208, "42S02", "Invalid object name 'dbo.nothing_of_that_name'.") in found, f"{found}")


@check
def transactions_of_the_driver_end_as_they_are_told():
    with driver() as connection, driver() as other:
        connection.autocommit(False)
        for how, wanted in ((odbc.ROLLBACK, "0"), (odbc.COMMIT, "1")):
            with connection.statement() as statement:
                statement.execute("INSERT dbo.kept VALUES (20, N'driver')")
                same(statement.row_count(), 1, "rows")
            same(connection.rows("SELECT @@TRANCOUNT"), [("1",)], "open transactions")
            connection.end(how)
            same(other.rows("SELECT COUNT(*) FROM dbo.kept WHERE id = 20"), [(wanted,)], "rows afterwards")
        connection.autocommit(True)
        same(connection.rows("SELECT @@TRANCOUNT"), [("0",)], "open transactions in the end")


run()
