"""The vendor's ODBC driver without anything in between: the calls of its library itself.

mssql-python hides the numbers of errors, and has no procedures with output and no server cursors. The driver
has; this binds as much of it as the checks need.
"""

import ctypes
import glob
import os

SQL_NTS = -3
SQL_NULL_DATA = -1
SUCCESS, SUCCESS_WITH_INFO, NO_DATA = 0, 1, 100
HANDLE_ENV, HANDLE_DBC, HANDLE_STMT = 1, 2, 3
ATTR_ODBC_VERSION, ATTR_AUTOCOMMIT, ATTR_QUERY_TIMEOUT, ATTR_CURSOR_TYPE, ATTR_CONCURRENCY = 200, 102, 0, 6, 7
CURSOR_FORWARD_ONLY, CURSOR_KEYSET, CURSOR_DYNAMIC, CURSOR_STATIC = 0, 1, 2, 3
CONCUR_READ_ONLY, CONCUR_LOCK, CONCUR_ROWVER, CONCUR_VALUES = 1, 2, 3, 4
FETCH_NEXT, FETCH_FIRST, FETCH_LAST, FETCH_PRIOR, FETCH_ABSOLUTE, FETCH_RELATIVE = 1, 2, 3, 4, 5, 6
PARAM_INPUT, PARAM_INPUT_OUTPUT, PARAM_OUTPUT = 1, 2, 4
C_WCHAR, C_SLONG = -8, -16
SQL_INTEGER, SQL_WVARCHAR, SQL_GUID = 4, -9, -11
DRIVER_NOPROMPT = 0
COMMIT, ROLLBACK = 0, 1


def _library():
    import mssql_python_odbc

    folder = os.path.dirname(mssql_python_odbc.__file__)
    (path,) = glob.glob(f"{folder}/libs/linux/debian_ubuntu/x86_64/lib/libmsodbcsql-*.so*")
    return ctypes.CDLL(path)


_driver = _library()
for _name in ("SQLGetData", "SQLBindParameter"):
    getattr(_driver, _name).restype = ctypes.c_short


def wide(text):
    """Text as the driver takes it: UTF-16."""
    return ctypes.create_string_buffer(text.encode("utf-16-le") + b"\0\0")


class OdbcError(Exception):
    """Every record of a failed call, as (number, SQLSTATE, text)."""

    def __init__(self, records):
        self.records = records
        super().__init__("; ".join(f"{number} {state} {text}" for number, state, text in records))

    def numbers(self):
        return [number for number, _state, _text in self.records if number]


class Handle:
    """A handle of the driver."""

    def __init__(self, kind, parent=None):
        self.kind = kind
        self.value = ctypes.c_void_p()
        parent = parent.value if parent else None
        result = _driver.SQLAllocHandle(ctypes.c_short(kind), parent, ctypes.byref(self.value))
        if result not in (SUCCESS, SUCCESS_WITH_INFO):
            raise OdbcError([(0, "", "no handle")])

    def records(self):
        """What the last call left: errors and messages."""
        found = []
        for index in range(1, 100):
            state = ctypes.create_string_buffer(16)
            number = ctypes.c_int()
            text = ctypes.create_string_buffer(16384)
            length = ctypes.c_short()
            result = _driver.SQLGetDiagRecW(
                ctypes.c_short(self.kind),
                self.value,
                ctypes.c_short(index),
                state,
                ctypes.byref(number),
                text,
                ctypes.c_short(8000),
                ctypes.byref(length),
            )
            if result not in (SUCCESS, SUCCESS_WITH_INFO):
                break
            said = text.raw[: length.value * 2].decode("utf-16-le")
            found.append((number.value, state.raw[:10].decode("utf-16-le"), said.rsplit("]", 1)[-1]))
        return found

    def ask(self, name, *arguments):
        """Calls a function of the driver on this handle."""
        result = getattr(_driver, name)(self.value, *arguments)
        if result not in (SUCCESS, SUCCESS_WITH_INFO, NO_DATA):
            raise OdbcError(self.records())
        return result

    def free(self):
        _driver.SQLFreeHandle(ctypes.c_short(self.kind), self.value)


class Connection(Handle):
    """A connection, which a connection string opens."""

    _environment = None

    def __init__(self, text):
        if Connection._environment is None:
            Connection._environment = Handle(HANDLE_ENV)
            Connection._environment.ask(
                "SQLSetEnvAttr", ctypes.c_int(ATTR_ODBC_VERSION), ctypes.c_void_p(380), ctypes.c_int(0)
            )
        super().__init__(HANDLE_DBC, Connection._environment)
        out = ctypes.create_string_buffer(4096)
        length = ctypes.c_short()
        self.ask(
            "SQLDriverConnectW",
            None,
            wide(text),
            ctypes.c_short(SQL_NTS),
            out,
            ctypes.c_short(1000),
            ctypes.byref(length),
            ctypes.c_ushort(DRIVER_NOPROMPT),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        _driver.SQLDisconnect(self.value)
        self.free()

    def autocommit(self, on):
        self.ask("SQLSetConnectAttrW", ctypes.c_int(ATTR_AUTOCOMMIT), ctypes.c_void_p(int(on)), ctypes.c_int(0))

    def end(self, how):
        result = _driver.SQLEndTran(ctypes.c_short(HANDLE_DBC), self.value, ctypes.c_short(how))
        if result not in (SUCCESS, SUCCESS_WITH_INFO):
            raise OdbcError(self.records())

    def statement(self, **attributes):
        return Statement(self, **attributes)

    def rows(self, text):
        """All rows of a statement, as texts."""
        with self.statement() as statement:
            statement.execute(text)
            return statement.rows()


class Statement(Handle):
    """A statement. `cursor` and `concurrency` choose a cursor on the server."""

    def __init__(self, connection, cursor=None, concurrency=None, timeout=None):
        super().__init__(HANDLE_STMT, connection)
        # What is bound must live as long as the statement does.
        self.bound = []
        for attribute, value in (
            (ATTR_CURSOR_TYPE, cursor),
            (ATTR_CONCURRENCY, concurrency),
            (ATTR_QUERY_TIMEOUT, timeout),
        ):
            if value is not None:
                self.ask("SQLSetStmtAttrW", ctypes.c_int(attribute), ctypes.c_void_p(value), ctypes.c_int(0))

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.free()

    def execute(self, text=None):
        """Executes a text, or what was prepared."""
        if text is None:
            return self.ask("SQLExecute")
        return self.ask("SQLExecDirectW", wide(text), ctypes.c_int(SQL_NTS))

    def prepare(self, text):
        self.ask("SQLPrepareW", wide(text), ctypes.c_int(SQL_NTS))

    def bind_int(self, place, value=None, direction=PARAM_INPUT):
        """Binds a number; gives back where the driver puts its output."""
        data = ctypes.c_int(value or 0)
        length = ctypes.c_ssize_t(SQL_NULL_DATA if value is None else 4)
        self._bind(place, direction, C_SLONG, SQL_INTEGER, 0, data, 4, length)
        return data

    def bind_text(self, place, value=None, size=4000, direction=PARAM_INPUT, kind=SQL_WVARCHAR):
        data = wide(value) if value is not None and direction == PARAM_INPUT else ctypes.create_string_buffer(size * 2 + 2)
        length = ctypes.c_ssize_t(SQL_NULL_DATA if value is None else SQL_NTS)
        self._bind(place, direction, C_WCHAR, kind, size, data, len(data), length)
        return data

    def _bind(self, place, direction, c_type, sql_type, size, data, buffer, length):
        self.bound.append((data, length))
        self.ask(
            "SQLBindParameter",
            ctypes.c_ushort(place),
            ctypes.c_short(direction),
            ctypes.c_short(c_type),
            ctypes.c_short(sql_type),
            ctypes.c_size_t(size),
            ctypes.c_short(0),
            ctypes.byref(data),
            ctypes.c_ssize_t(buffer),
            ctypes.byref(length),
        )

    def columns(self):
        count = ctypes.c_short()
        self.ask("SQLNumResultCols", ctypes.byref(count))
        return count.value

    def row_count(self):
        count = ctypes.c_ssize_t()
        self.ask("SQLRowCount", ctypes.byref(count))
        return count.value

    def text_of(self, column):
        """A value of the current row, as text."""
        data = ctypes.create_string_buffer(65536)
        length = ctypes.c_ssize_t()
        self.ask(
            "SQLGetData",
            ctypes.c_ushort(column),
            ctypes.c_short(C_WCHAR),
            data,
            ctypes.c_ssize_t(len(data)),
            ctypes.byref(length),
        )
        return None if length.value == SQL_NULL_DATA else data.raw[: length.value].decode("utf-16-le")

    def fetch(self, orientation=FETCH_NEXT, offset=0):
        """The next row, or the one that a scrolling cursor is sent to; `None` beyond the ends."""
        result = self.ask("SQLFetchScroll", ctypes.c_short(orientation), ctypes.c_ssize_t(offset))
        if result == NO_DATA:
            return None
        return tuple(self.text_of(column) for column in range(1, self.columns() + 1))

    def rows(self):
        found = []
        while (row := self.fetch()) is not None:
            found.append(row)
        return found

    def more(self):
        """Goes to the next result; `False` after the last."""
        return self.ask("SQLMoreResults") != NO_DATA

    def every_record(self, text):
        """Errors and messages of a batch to its end, in order."""
        found = []
        step = lambda: self.execute(text)
        while True:
            try:
                result = step()
                found += self.records() if result in (SUCCESS_WITH_INFO, NO_DATA) else []
            except OdbcError as error:
                found += error.records
                result = SUCCESS
            if result == NO_DATA and step == self._next:
                return found
            step = self._next

    def _next(self):
        return self.ask("SQLMoreResults")

    def cancel(self):
        self.ask("SQLCancel")

    def close_cursor(self):
        self.ask("SQLCloseCursor")
