"""FreeTDS through pymssql, which brings a FreeTDS of its own."""

import os
import time

import pymssql
from checks import CA_FILE, DATABASE, FOLDER, HOST, PASSWORD, PORT, SOON_SECONDS, STRANGER_FILE, USER, check, holds, raises, run, same, say
from dbapi import ENCRYPTED, Adapter, define, one, running, wait_until
from pymssql import _mssql

CONFIGURATION = os.path.join(FOLDER, "freetds.conf")
os.environ["FREETDSCONF"] = CONFIGURATION
with open(CONFIGURATION, "w", encoding="utf-8") as file:
    for name, authority, encryption in (
        ("server", CA_FILE, "require"),
        ("stranger", STRANGER_FILE, "require"),
        ("plain", CA_FILE, "off"),
    ):
        file.write(
            f"[{name}]\nhost = {HOST}\nport = {PORT}\ntds version = 7.4\nencryption = {encryption}\n"
            f"ca file = {authority}\ncheck certificate hostname = yes\nclient charset = UTF-8\n"
        )


class Pymssql(Adapter):
    Error = pymssql.Error
    tells_every_error_of_a_login = False
    distrust = "TDS server connection failed (stranger)"

    def connect(self, database=DATABASE, password=PASSWORD, autocommit=True, server="server", timeout=0):
        return pymssql.connect(
            server=server,
            port=str(PORT),
            user=USER,
            password=password,
            database=database,
            autocommit=autocommit,
            timeout=timeout,
            login_timeout=20,
            tds_version="7.4",
            use_datetime2=True,
        )

    def connect_trusting(self, authority):
        return self.connect(server={CA_FILE: "server", STRANGER_FILE: "stranger"}[authority])

    def messages(self, connection, statement):
        found = []
        inner = connection._conn
        inner.set_msghandler(lambda state, severity, server, procedure, line, text: found.append(text.decode()))
        cursor = connection.cursor()
        step = lambda: cursor.execute(statement) or True
        goes_on = True
        while goes_on:
            try:
                goes_on = step()
            except self.Error:
                # One exception for each statement; what follows is read on.
                pass
            step = cursor.nextset
        inner.set_msghandler(None)
        return [(None, text) for text in found]

    def every_error(self, connection, statement):
        return [text for _number, text in self.messages(connection, statement)]

    def variants(self):
        say("this client hands out the bytes of a sql_variant as they came")
        return []

    def call(self, connection, procedure, inputs, output):
        inner = connection._conn
        call = inner.init_procedure(procedure)
        for key, value in inputs.items():
            call.bind(value, _mssql.SQLINT4 if isinstance(value, int) else _mssql.SQLVARCHAR, f"@{key}")
        name, kind, length = output
        if kind is int:
            call.bind(None, _mssql.SQLINT4, f"@{name}", output=True, null=True)
        else:
            call.bind(None, _mssql.SQLVARCHAR, f"@{name}", output=True, null=True, max_length=length)
        status = call.execute()
        while inner.nextresult():
            pass
        return status, call.parameters[f"@{name}"]

    def numbers(self, error):
        inner = error.args[0] if len(error.args) == 1 else error.args
        return [inner[0]]

    def begin(self, connection):
        connection.autocommit(False)


ADAPTER = Pymssql()
define(ADAPTER)


@check
def connects_without_encryption():
    with ADAPTER.connect(server="plain") as connection:
        same(one(connection, ENCRYPTED), "FALSE", "encrypt_option")


@check
def cancelled_statement_stops_and_the_connection_is_usable():
    with ADAPTER.connect(timeout=1) as connection, ADAPTER.connect() as other:
        session = one(connection, "SELECT @@SPID")
        started = time.monotonic()
        # The library's own limit: it sends an attention and waits for its acknowledgement.
        raises(lambda: connection.cursor().execute("WAITFOR DELAY '00:01:00'; SELECT 1"), ADAPTER.Error)
        holds(time.monotonic() - started < SOON_SECONDS, "the statement was stopped")
        wait_until(lambda: not running(other, session), "nothing runs any more")
        # This is how the library defines it: a statement that outlives its limit takes the connection along.
        holds(not connection._conn.connected, "the client has closed the connection")
    with ADAPTER.connect() as connection:
        # A result that is left unread is cancelled by an attention of its own.
        cursor = connection.cursor()
        cursor.execute("SELECT a.object_id FROM sys.all_objects AS a CROSS JOIN sys.all_objects AS b")
        cursor.fetchone()
        connection._conn.cancel()
        same(one(connection, "SELECT 6"), 6, "after a result that was cut")


@check
def prepared_statement_runs_many_times():
    with ADAPTER.connect() as connection:
        inner = connection._conn

        def call(procedure, *parameters):
            call = inner.init_procedure(procedure)
            for value in parameters:
                if value is None:
                    call.bind(None, _mssql.SQLINT4, output=True, null=True)
                else:
                    call.bind(value, _mssql.SQLINT4 if isinstance(value, int) else _mssql.SQLVARCHAR)
            same(call.execute(), 0, f"status of {procedure}")
            return call

        prepare = call("sp_prepare", None, "@a int, @b nvarchar(20)", "SELECT @a + 1, @b + N'!'", 1)
        say(prepare.parameters)
        handle = list(prepare.parameters.values())[0]
        for number in range(50):
            call("sp_execute", handle, number, f"n{number}")
            (row,) = list(inner)
            same((row[0], row[1]), (number + 1, f"n{number}!"), f"run {number}")
        call("sp_unprepare", handle)
        error = raises(lambda: call("sp_execute", handle, 1, "n"), _mssql.MSSQLDatabaseException)
        same(error.number, 8179, "a handle that is gone")


run()
