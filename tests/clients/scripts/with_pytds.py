"""python-tds, which implements the protocol in Python."""

import time

import pytds
from checks import CA_FILE, DATABASE, HOST, PASSWORD, PORT, SOON_SECONDS, USER, check, holds, raises, run, same, say
from dbapi import ENCRYPTED, Adapter, define, one, running, wait_until


class Pytds(Adapter):
    Error = pytds.Error

    def connect(self, database=DATABASE, password=PASSWORD, autocommit=True, authority=CA_FILE, timeout=None, login_only=False):
        return pytds.connect(
            HOST,
            port=PORT,
            database=database,
            user=USER,
            password=password,
            autocommit=autocommit,
            cafile=authority,
            validate_host=True,
            enc_login_only=login_only,
            timeout=timeout,
            disable_connect_retry=True,
        )

    def connect_trusting(self, authority):
        return self.connect(authority=authority)

    def sent(self, value):
        return pytds.Binary(value) if isinstance(value, bytes) else value

    def numbers(self, error):
        return [error.number]

    def every_error(self, connection, statement):
        cursor = connection.cursor()
        found = []
        step = lambda: cursor.execute(statement) or True
        goes_on = True
        while goes_on:
            try:
                goes_on = step()
            except self.Error:
                # One exception for each statement; what follows is read on, and the messages stay.
                found = [error.number for _kind, error in cursor.messages]
            step = cursor.nextset
        return found

    def call(self, connection, procedure, inputs, output):
        cursor = connection.cursor()
        name, kind, length = output
        kind = "int" if kind is int else f"nvarchar({length})"
        parameters = {f"@{key}": value for key, value in inputs.items()}
        parameters[f"@{name}"] = pytds.output(param_type=kind)
        # The output is the last of the parameters, and of what comes back.
        value = cursor.callproc(procedure, parameters)[-1]
        return cursor.get_proc_return_status(), value

    def messages(self, connection, statement):
        cursor = connection.cursor()
        cursor.execute(statement)
        while cursor.nextset():
            pass
        return [(error.number, error.text) for _kind, error in cursor.messages]


ADAPTER = Pytds()
define(ADAPTER)


@check
def connects_without_encryption():
    with ADAPTER.connect(authority=None) as connection:
        same(one(connection, ENCRYPTED), "FALSE", "encrypt_option")


@check
def encrypts_the_login_alone():
    with ADAPTER.connect(login_only=True) as connection:
        same(one(connection, ENCRYPTED), "FALSE", "encrypt_option")
        same(one(connection, "SELECT 5"), 5, "afterwards")


@check
def cancelled_statement_stops_and_the_connection_is_usable():
    with ADAPTER.connect(timeout=1) as connection, ADAPTER.connect() as other:
        session = one(connection, "SELECT @@SPID")
        cursor = connection.cursor()
        started = time.monotonic()
        # The client's own limit: it sends an attention and waits for its acknowledgement.
        raises(lambda: cursor.execute("WAITFOR DELAY '00:01:00'; SELECT 1"), TimeoutError)
        holds(time.monotonic() - started < SOON_SECONDS, "the statement was stopped")
        wait_until(lambda: not running(other, session), "nothing runs any more")
        same(one(connection, "SELECT 5"), 5, "afterwards")
        # A result that is left unread is cancelled as well.
        cursor = connection.cursor()
        cursor.execute("SELECT a.object_id FROM sys.all_objects AS a CROSS JOIN sys.all_objects AS b")
        cursor.fetchone()
        cursor.cancel()
        same(one(connection, "SELECT 6"), 6, "after a result that was cut")


@check
def prepared_statement_runs_many_times():
    with ADAPTER.connect() as connection:
        cursor = connection.cursor()
        handle = pytds.output(param_type="int")
        cursor.callproc("sp_prepare", (handle, "@a int, @b nvarchar(20)", "SELECT @a + 1, @b + N'!'", 1))
        (prepared,) = cursor.get_proc_outputs()
        say(f"handle {prepared}")
        for number in range(50):
            cursor.callproc("sp_execute", (prepared, number, f"n{number}"))
            same(tuple(cursor.fetchone()), (number + 1, f"n{number}!"), f"run {number}")
        cursor.callproc("sp_unprepare", (prepared,))
        error = raises(lambda: cursor.callproc("sp_execute", (prepared, 1, "n")), ADAPTER.Error)
        same(error.number, 8179, "a handle that is gone")


run()
