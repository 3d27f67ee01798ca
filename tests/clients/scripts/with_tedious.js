// tedious, which implements the protocol in JavaScript. Its argument is the encryption.
//
// A check is a function; its name is what is reported. Everything that is printed goes into the transcript;
// only the lines `ok NAME` and `FAILED NAME: WHY` are read.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { Connection, Request, TYPES, ISOLATION_LEVEL } = require('tedious');

const env = process.env;
const encrypt = process.argv[2] === 'strict' ? 'strict' : true;
const SOON_MS = 10000;
const NON_BMP = 'p\u00e4ris \u0436 \u{1f600}';
const say = (text) => console.log('   ', text);

function connect({ database = env.TDS_DATABASE, password = env.TDS_PASSWORD, authority = env.TDS_CA_FILE, encrypted = encrypt } = {}) {
  const connection = new Connection({
    server: env.TDS_HOST,
    authentication: { type: 'default', options: { userName: env.TDS_USER, password } },
    options: {
      port: Number(env.TDS_PORT),
      database,
      encrypt: encrypted,
      trustServerCertificate: false,
      serverName: env.TDS_HOST,
      cryptoCredentialsDetails: { ca: [fs.readFileSync(authority)] },
      useUTC: true,
      requestTimeout: 60000,
    },
  });
  connection.messages = [];
  connection.errors = [];
  connection.on('infoMessage', (message) => connection.messages.push(message));
  connection.on('errorMessage', (message) => connection.errors.push(message));
  connection.on('error', (error) => say(`connection: ${error.message}`));
  return new Promise((resolve, reject) => {
    connection.connect((error) => (error ? reject(Object.assign(error, { all: connection.errors })) : resolve(connection)));
  });
}

// Everything that a request brings: result sets, status, outputs, errors and messages.
function ask(connection, how, text, { inputs = [], outputs = [] } = {}) {
  return new Promise((resolve, reject) => {
    const found = { sets: [], outputs: {}, status: undefined, rows: undefined };
    connection.messages.length = 0;
    connection.errors.length = 0;
    const request = new Request(text, (error, rows) => {
      found.rows = rows;
      found.messages = [...connection.messages];
      found.errors = [...connection.errors];
      if (error) reject(Object.assign(error, { found }));
      else resolve(found);
    });
    for (const [name, type, value, options] of inputs) request.addParameter(name, type, value, options);
    for (const [name, type, value, options] of outputs) request.addOutputParameter(name, type, value, options);
    request.on('columnMetadata', (columns) => found.sets.push({ columns: columns.map((c) => c.colName), rows: [] }));
    request.on('row', (row) => found.sets.at(-1).rows.push(row.map((cell) => cell.value)));
    request.on('returnValue', (name, value) => { found.outputs[name] = value; });
    request.on('doneProc', (rows, more, status) => { found.status = status; });
    connection[how](request);
  });
}

const batch = (connection, text) => ask(connection, 'execSqlBatch', text);
const sql = (connection, text, inputs) => ask(connection, 'execSql', text, { inputs });
const call = (connection, name, inputs, outputs) => ask(connection, 'callProcedure', name, { inputs, outputs });
const one = async (connection, text, inputs) => {
  const found = inputs ? await sql(connection, text, inputs) : await batch(connection, text);
  return found.sets[0].rows[0][0];
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function fails(promise) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    say(`${error.name} ${error.code}: ${error.message}`);
    return error;
  }
  throw new Error(`an error was needed, ${JSON.stringify(result)} was found`);
}

async function waitUntil(condition, what) {
  const until = Date.now() + SOON_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < until, `within ${SOON_MS} ms: ${what}`);
    await pause(20);
  }
}

async function soon(promise, what) {
  const late = pause(SOON_MS).then(() => { throw new Error(`${what} still waits after ${SOON_MS} ms`); });
  return Promise.race([promise, late]);
}

const closed = (connection) => new Promise((resolve) => { connection.on('end', resolve); connection.close(); });

async function using(connections, work) {
  const open = await Promise.all(connections);
  try {
    return await work(...open);
  } finally {
    for (const connection of open) connection.close();
  }
}

const at = (text, nanoseconds = 0) => ({ at: new Date(text).getTime(), nanoseconds });
// A date with what lies below its milliseconds, which this client keeps beside it, in seconds.
const plain = (value) => {
  if (value instanceof Date) {
    return { at: value.getTime(), nanoseconds: Math.round((value.nanosecondsDelta ?? value.nanosecondDelta ?? 0) * 1e9) };
  }
  return value;
};

// Declared type, literal, what comes out, type of the parameter, its value and options.
const LONG = '\u{1f600}\u0436a'.repeat(4000);
const GUID = '00112233-4455-6677-8899-AABBCCDDEEFF';
const VALUES = [
  ['bit', '1', true, TYPES.Bit],
  ['bit', '0', false, TYPES.Bit],
  ['tinyint', '255', 255, TYPES.TinyInt],
  ['smallint', '-32768', -32768, TYPES.SmallInt],
  ['int', '-2147483648', -2147483648, TYPES.Int],
  ['bigint', '-9223372036854775808', '-9223372036854775808', TYPES.BigInt],
  ['bigint', '9223372036854775807', '9223372036854775807', TYPES.BigInt],
  // This client makes numbers of JavaScript of all decimals.
  ['decimal(9,4)', '-12345.6789', -12345.6789, TYPES.Decimal, undefined, { precision: 9, scale: 4 }],
  ['decimal(19,0)', '9007199254740991', 9007199254740991, TYPES.Decimal, undefined, { precision: 19, scale: 0 }],
  ['numeric(28,10)', '12345.0123456789', 12345.0123456789, TYPES.Numeric, undefined, { precision: 28, scale: 10 }],
  ['decimal(38,0)', '-9007199254740991', -9007199254740991, TYPES.Numeric, undefined, { precision: 38, scale: 0 }],
  ['money', '-922337203.5808', -922337203.5808, TYPES.Money],
  ['smallmoney', '-214748.3648', -214748.3648, TYPES.SmallMoney],
  ['float', '-2.25E-5', -2.25e-5, TYPES.Float],
  ['float', '1.7976931348623157E308', 1.7976931348623157e308, TYPES.Float],
  ['real', '1.5', 1.5, TYPES.Real],
  ['date', "'0001-01-01'", at('0001-01-01T00:00:00Z'), TYPES.Date],
  ['date', "'9999-12-31'", at('9999-12-31T00:00:00Z'), TYPES.Date],
  ['time(0)', "'23:59:59'", at('1970-01-01T23:59:59Z'), TYPES.Time, undefined, { scale: 0 }],
  ['time(7)', "'13:14:15.1234567'", at('1970-01-01T13:14:15.123Z', 456700), TYPES.Time, undefined, { scale: 7 }],
  ['smalldatetime', "'2026-03-01 13:14:00'", at('2026-03-01T13:14:00Z'), TYPES.SmallDateTime],
  ['datetime', "'1753-01-01 00:00:00'", at('1753-01-01T00:00:00Z'), TYPES.DateTime],
  ['datetime', "'9999-12-31 23:59:59.990'", at('9999-12-31T23:59:59.990Z'), TYPES.DateTime],
  ['datetime2(0)', "'0001-01-01 00:00:01'", at('0001-01-01T00:00:01Z'), TYPES.DateTime2, undefined, { scale: 0 }],
  ['datetime2(7)', "'9999-12-31 23:59:59.9999999'", at('9999-12-31T23:59:59.999Z', 999900), TYPES.DateTime2, undefined, { scale: 7 }],
  ['datetimeoffset(7)', "'2026-03-01 13:14:15.1234567 -05:30'", at('2026-03-01T18:44:15.123Z', 456700), TYPES.DateTimeOffset, undefined, { scale: 7 }],
  ['char(6)', "'ab\u20ac'", 'ab\u20ac   ', TYPES.Char],
  ['varchar(20)', "'\u00dcn\u00ef'", '\u00dcn\u00ef', TYPES.VarChar],
  ['varchar(20)', "''", '', TYPES.VarChar],
  ['varchar(max)', "REPLICATE(CAST('v' AS varchar(max)), 9000)", 'v'.repeat(9000), TYPES.VarChar],
  ['nchar(5)', "N'\u0436\u{1f600}'", '\u0436\u{1f600}  ', TYPES.NChar],
  ['nvarchar(40)', `N'${NON_BMP}'`, NON_BMP, TYPES.NVarChar],
  ['nvarchar(max)', "REPLICATE(CAST(N'\u{1f600}\u0436a' AS nvarchar(max)), 4000)", LONG, TYPES.NVarChar],
  ['binary(4)', '0x0102', Buffer.from([1, 2, 0, 0]), TYPES.Binary],
  ['varbinary(8)', '0x00FF80', Buffer.from([0, 255, 128]), TYPES.VarBinary],
  ['varbinary(max)', '0x' + '09'.repeat(9000), Buffer.alloc(9000, 9), TYPES.VarBinary],
  ['uniqueidentifier', `'${GUID}'`, GUID, TYPES.UniqueIdentifier],
  ['xml', "N'<a>\u0436</a>'", '<a>\u0436</a>', TYPES.NVarChar],
  ['text', "'text\u20ac'", 'text\u20ac', TYPES.Text],
  ['ntext', `N'${NON_BMP}'`, NON_BMP, TYPES.NText],
  ['image', '0x0300', Buffer.from([3, 0]), TYPES.Image],
];
// Of these, what a sql_variant is asked for. This client reads the properties of a varchar in the order of its
// own, so that only plain ASCII would survive.
const VARIANTS = ['bit', 'tinyint', 'smallint', 'int', 'bigint', 'float', 'real', 'money', 'date', 'datetime', 'datetime2(7)',
  'datetimeoffset(7)', 'time(7)', 'nvarchar(40)', 'varbinary(8)', 'uniqueidentifier', 'decimal(9,4)'];

// What comes back is padded to the length that the client declares.
const fixed = (declared) => {
  if (declared.endsWith('(max)')) return { length: 100000 };
  const [, length] = /^(?:n?char|binary)\((\d+)\)$/.exec(declared) ?? [];
  return length && { length: Number(length) };
};

// Needs every pair to be equal, and names all that are not.
function allSame(triples) {
  const wrong = [];
  for (const [what, found, wanted] of triples) {
    try {
      assert.deepEqual(plain(found), wanted);
      say(`${what}: ${String(found).slice(0, 60)}`);
    } catch {
      const show = (value) => (Buffer.isBuffer(value) ? value.toString('hex') : JSON.stringify(value) ?? String(value)).slice(0, 120);
      wrong.push(`${what}: ${show(wanted)} was needed, ${show(plain(found))} was found`);
    }
  }
  assert.equal(wrong.join('; '), '');
}

const checks = [
  async function connects_and_is_told_who_the_server_is() {
    await using([connect()], async (connection) => {
      const found = await batch(connection, 'SELECT @@SERVERNAME, DB_NAME(), SUSER_SNAME()');
      assert.deepEqual(found.sets[0].rows, [[env.TDS_SERVER_NAME, env.TDS_DATABASE, 'sa']]);
    });
  },

  async function wrong_password_is_refused_with_18456() {
    const error = await fails(connect({ password: 'not the password' }));
    assert.equal(error.code, 'ELOGIN');
    assert.deepEqual(error.all.map((e) => e.number), [18456]);
  },

  async function restoring_database_is_refused_with_4060() {
    const error = await fails(connect({ database: env.TDS_RESTORING }));
    assert.deepEqual(error.all.map((e) => e.number), [4060, 18456]);
    await using([connect()], async (connection) => {
      assert.equal((await fails(batch(connection, `USE [${env.TDS_RESTORING}]`))).number, 927);
      assert.equal(await one(connection, 'SELECT DB_NAME()'), env.TDS_DATABASE);
    });
  },

  async function certificate_is_verified_and_the_connection_encrypted() {
    const error = await fails(connect({ authority: env.TDS_STRANGER_FILE }));
    assert.match(error.message, /certificate/);
    await using([connect()], async (connection) => {
      const found = await batch(connection,
        'SELECT encrypt_option, protocol_version FROM sys.dm_exec_connections WHERE session_id = @@SPID');
      assert.deepEqual(found.sets[0].rows, [['TRUE', 0x74000004]]);
    });
  },

  async function values_of_every_type_come_out() {
    await using([connect()], async (connection) => {
      const found = [];
      for (const [declared, literal, wanted] of VALUES) {
        found.push([declared, await one(connection, `SELECT CAST(${literal} AS ${declared})`), wanted]);
        if (VARIANTS.includes(declared)) {
          const value = await one(connection, `SELECT CAST(CAST(${literal} AS ${declared}) AS sql_variant)`);
          found.push([`sql_variant of ${declared}`, value, wanted]);
        }
      }
      const columns = VALUES.map(([declared, literal], index) => `CAST(${literal} AS ${declared}) AS c${index}`);
      const row = (await batch(connection, `SELECT ${columns.join(', ')}`)).sets[0].rows[0];
      VALUES.forEach(([declared, , wanted], index) => found.push([`column of ${declared}`, row[index], wanted]));
      allSame(found);
    });
  },

  async function null_of_every_type_comes_out() {
    await using([connect()], async (connection) => {
      const declared = [...VALUES.map(([name]) => name), 'sql_variant'];
      const columns = declared.map((name, index) => `CAST(NULL AS ${name}) AS c${index}`);
      const row = (await batch(connection, `SELECT ${columns.join(', ')}, 17 AS last`)).sets[0].rows[0];
      allSame([...declared.map((name, index) => [name, row[index], null]), ['the last', row.at(-1), 17]]);
    });
  },

  async function values_of_every_type_go_in() {
    await using([connect()], async (connection) => {
      const found = [];
      for (const [declared, literal, wanted, type, , options] of VALUES) {
        let value = wanted;
        if (wanted.at !== undefined && !Buffer.isBuffer(wanted) && typeof wanted === 'object') {
          value = new Date(wanted.at);
          value.nanosecondDelta = wanted.nanoseconds / 1e9;
        }
        const other = { image: 'varbinary(max)', text: 'nvarchar(max)', ntext: 'nvarchar(max)', xml: 'nvarchar(max)' }[declared];
        const as = (text) => (other ? `CAST(CAST(${text} AS ${declared}) AS ${other})` : `CAST(${text} AS ${declared})`);
        // The server compares what it was sent with what its own language reads.
        const text = `SELECT CASE WHEN ${as('@value')} = ${as(literal)} THEN 1 ELSE 0 END`;
        found.push([`${declared} ${literal.slice(0, 30)} equals what was sent`, await one(connection, text, [['value', type, value, options]]), 1]);
      }
      allSame(found);
    });
  },

  async function null_of_every_type_goes_in() {
    await using([connect()], async (connection) => {
      const found = [];
      for (const [declared, , , type, , options] of VALUES) {
        const text = `SELECT CASE WHEN CAST(@value AS ${declared}) IS NULL THEN 1 ELSE 0 END`;
        found.push([`${declared} is NULL`, await one(connection, text, [['value', type, null, options]]), 1]);
      }
      allSame(found);
    });
  },

  async function several_result_sets_keep_their_order() {
    await using([connect()], async (connection) => {
      const found = await batch(connection,
        "SELECT 1 AS a; DECLARE @t TABLE (n int); INSERT @t VALUES (1), (2), (3); SELECT n FROM @t ORDER BY n; " +
        "SELECT CAST(NULL AS int) AS n WHERE 1 = 0; SELECT N'last' AS b");
      assert.deepEqual(found.sets, [
        { columns: ['a'], rows: [[1]] },
        { columns: ['n'], rows: [[1], [2], [3]] },
        { columns: ['n'], rows: [] },
        { columns: ['b'], rows: [['last']] },
      ]);
      assert.equal(await one(connection, 'SELECT 5'), 5);
    });
  },

  async function every_error_of_a_batch_arrives() {
    await using([connect()], async (connection) => {
      const backup = await fails(batch(connection, `BACKUP DATABASE [${env.TDS_DATABASE}] TO DISK = N'Q:\\none\\x.bak'`));
      assert.deepEqual(backup.found.errors.map((e) => e.number), [3201, 3013]);
      const three = await fails(batch(connection, "RAISERROR(N'first', 16, 1); RAISERROR(N'second', 16, 2)\n; SELECT 1 / 0"));
      assert.deepEqual(three.found.errors.map((e) => [e.number, e.class, e.state, e.lineNumber]),
        [[50000, 16, 1, 1], [50000, 16, 2, 1], [8134, 16, 1, 2]]);
      assert.equal(await one(connection, 'SELECT 5'), 5);
    });
  },

  async function messages_arrive_and_are_no_errors() {
    await using([connect()], async (connection) => {
      const found = await batch(connection,
        `PRINT N'${NON_BMP}'; RAISERROR(N'half %d', 10, 1, 50) WITH NOWAIT; RAISERROR(N'mild', 5, 3)`);
      assert.deepEqual(found.messages.map((m) => [m.number, m.class, m.state, m.message]),
        [[0, 0, 1, NON_BMP], [50000, 0, 1, 'half 50'], [50000, 5, 3, 'mild']]);
    });
  },

  async function output_parameters_and_return_status_arrive() {
    await using([connect()], async (connection) => {
      const doubled = await call(connection, 'sp_executesql', [
        ['stmt', TYPES.NVarChar, 'SET @out = @in * 2; SELECT @in AS given'],
        ['params', TYPES.NVarChar, '@in int, @out int OUTPUT'],
        ['in', TYPES.Int, 21],
      ], [['out', TYPES.Int]]);
      assert.deepEqual([doubled.status, doubled.outputs, doubled.sets[0].rows], [0, { out: 42 }, [[21]]]);
      const outputs = VALUES.filter(([declared]) => !['text', 'ntext', 'image'].includes(declared));
      for (const [declared, literal, wanted, type, , options] of outputs) {
        const found = await call(connection, 'sp_executesql', [
          ['stmt', TYPES.NVarChar, `SET @out = ${literal}`],
          ['params', TYPES.NVarChar, `@out ${declared} OUTPUT`],
        ], [['out', type, undefined, fixed(declared) ?? options]]);
        allSame([[`output of ${declared}`, found.outputs.out, wanted]]);
      }
      const job = [['job_name', TYPES.NVarChar, 'night']];
      const made = await call(connection, 'msdb.dbo.sp_add_job', job, [['job_id', TYPES.UniqueIdentifier]]);
      assert.equal(made.status, 0);
      assert.equal(await one(connection, `SELECT name FROM msdb.dbo.sysjobs WHERE job_id = '${made.outputs.job_id}'`), 'night');
      const again = await fails(call(connection, 'msdb.dbo.sp_add_job', job, [['job_id', TYPES.UniqueIdentifier]]));
      assert.equal(again.number, 14261);
      assert.equal(await one(connection, 'SELECT 5'), 5);
    });
  },

  async function values_of_megabytes_go_in_and_come_out() {
    await using([connect()], async (connection) => {
      const many = 1500000;
      const found = await sql(connection, `SELECT LEN(@text), REPLICATE(CAST(N'\u{1f600}' AS nvarchar(max)), ${many})`,
        [['text', TYPES.NVarChar, '\u0436'.repeat(many)]]);
      const [length, text] = found.sets[0].rows[0];
      assert.equal(Number(length), many);
      assert.ok(text === '\u{1f600}'.repeat(many), 'the characters that came out');
      const bytes = Buffer.alloc(2 << 20, 'abcdefg');
      const back = await one(connection, 'SELECT @bytes', [['bytes', TYPES.VarBinary, bytes]]);
      assert.ok(bytes.equals(back), 'the bytes that came back');
      const rows = await batch(connection,
        "SELECT a.object_id, REPLICATE(N'x', 2000) FROM sys.all_objects AS a CROSS JOIN (VALUES (1), (2), (3), (4), (5)) AS b (n)");
      assert.ok(rows.sets[0].rows.every(([, cell]) => cell.length === 2000), 'every row is whole');
      say(`${rows.rows} rows`);
    });
  },

  async function cancelled_statement_stops_and_the_connection_is_usable() {
    await using([connect(), connect()], async (connection, other) => {
      const session = await one(connection, 'SELECT @@SPID');
      const running = async () => (await batch(other, `SELECT 1 FROM sys.dm_exec_requests WHERE session_id = ${session}`)).sets[0].rows.length === 1;
      const waiting = fails(batch(connection, "WAITFOR DELAY '00:01:00'; SELECT 1"));
      await waitUntil(running, 'the statement runs');
      assert.ok(connection.cancel());
      assert.equal((await soon(waiting, 'the cancelled statement')).code, 'ECANCEL');
      await waitUntil(async () => !(await running()), 'nothing runs any more');
      assert.equal(await one(connection, 'SELECT 5'), 5);
      // Crossing the end of the statement: whichever comes first, the next answer is the right one.
      for (let round = 0; round < 30; round += 1) {
        const asked = batch(connection, `SELECT ${round}`).catch((error) => error);
        if (round % 3) await pause(round % 5);
        connection.cancel();
        await soon(asked, 'a statement that was cancelled at its end');
        assert.equal(await one(connection, `SELECT ${round} + 1000`), round + 1000);
      }
    });
  },

  async function committed_transaction_stays() {
    await using([connect(), connect()], async (connection, other) => {
      const count = () => one(other, 'SELECT COUNT(*) FROM dbo.kept WHERE id = 1');
      await new Promise((resolve, reject) => connection.beginTransaction((e) => (e ? reject(e) : resolve()), 'outer', ISOLATION_LEVEL.SERIALIZABLE));
      await batch(connection, "INSERT dbo.kept VALUES (1, N'committed')");
      assert.equal(await one(connection, 'SELECT @@TRANCOUNT'), 1);
      await new Promise((resolve, reject) => connection.commitTransaction((e) => (e ? reject(e) : resolve()), 'outer'));
      assert.equal(await count(), 1);
      assert.equal(await one(connection, 'SELECT @@TRANCOUNT'), 0);
    });
  },

  async function transaction_is_rolled_back() {
    await using([connect(), connect()], async (connection, other) => {
      const count = (id) => one(other, `SELECT COUNT(*) FROM dbo.kept WHERE id = ${id}`);
      const does = (work) => new Promise((resolve, reject) => work((e) => (e ? reject(e) : resolve())));
      await does((then) => connection.beginTransaction(then));
      await batch(connection, "INSERT dbo.kept VALUES (2, N'kept')");
      await does((then) => connection.saveTransaction(then, 'here'));
      await batch(connection, "INSERT dbo.kept VALUES (3, N'undone')");
      await does((then) => connection.rollbackTransaction(then, 'here'));
      assert.equal(await one(connection, 'SELECT @@TRANCOUNT'), 1);
      assert.equal(await one(connection, 'SELECT COUNT(*) FROM dbo.kept WHERE id IN (2, 3)'), 1);
      await does((then) => connection.rollbackTransaction(then));
      assert.deepEqual([await count(2), await count(3)], [0, 0]);
      const error = await fails(does((then) => connection.commitTransaction(then)));
      assert.equal(error.number, 3902);
      // One that nobody ends goes with its connection.
      await does((then) => connection.beginTransaction(then));
      await batch(connection, "INSERT dbo.kept VALUES (4, N'abandoned')");
      await closed(connection);
      await waitUntil(async () => (await count(4)) === 0, 'the abandoned row is gone');
    });
  },

  async function killed_session_is_noticed() {
    await using([connect()], async (other) => {
      const lives = async (session) => (await one(other, `SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE session_id = ${session}`)) === 1;
      const victim = await connect();
      const session = await one(victim, 'SELECT @@SPID');
      const ended = new Promise((resolve) => victim.on('end', resolve));
      const waiting = fails(batch(victim, "WAITFOR DELAY '00:01:00'"));
      await waitUntil(async () => (await batch(other, `SELECT 1 FROM sys.dm_exec_requests WHERE session_id = ${session}`)).sets[0].rows.length === 1, 'it runs');
      await batch(other, `KILL ${session}`);
      await soon(waiting, 'the killed statement');
      say(victim.errors.map((e) => [e.number, e.class, e.message]));
      await soon(ended, 'the connection of the killed session');
      await waitUntil(async () => !(await lives(session)), 'the session is gone');
      const idle = await connect();
      const gone = new Promise((resolve) => idle.on('end', resolve));
      await batch(other, `KILL ${await one(idle, 'SELECT @@SPID')}`);
      await soon(gone, 'the connection of the idle session');
      await using([connect()], async (again) => assert.equal(await one(again, 'SELECT 5'), 5));
    });
  },

  async function prepared_statement_runs_many_times() {
    await using([connect()], async (connection) => {
      let then;
      const rows = [];
      const request = new Request("SELECT @a + 1, @b + N'!'", (error) => (error ? then.reject(error) : then.resolve()));
      request.on('row', (row) => rows.push(row.map((cell) => cell.value)));
      request.addParameter('a', TYPES.Int);
      request.addParameter('b', TYPES.NVarChar);
      const prepared = new Promise((resolve, reject) => { then = { resolve, reject }; request.on('prepared', resolve); });
      connection.prepare(request);
      await soon(prepared, 'the preparation');
      for (let number = 0; number < 50; number += 1) {
        rows.length = 0;
        await new Promise((resolve, reject) => {
          then = { resolve, reject };
          connection.execute(request, { a: number, b: `n${number}` });
        });
        assert.deepEqual(rows, [[number + 1, `n${number}!`]]);
      }
      await new Promise((resolve, reject) => { then = { resolve, reject }; connection.unprepare(request); });
      const error = await fails(new Promise((resolve, reject) => { then = { resolve, reject }; connection.execute(request, { a: 1, b: 'n' }); }));
      assert.equal(error.number, 8179);
    });
  },

  async function reset_connection_forgets_the_session() {
    await using([connect()], async (connection) => {
      await batch(connection, 'CREATE TABLE #mine (n int); USE master; BEGIN TRANSACTION');
      await new Promise((resolve, reject) => connection.reset((error) => (error ? reject(error) : resolve())));
      const found = await batch(connection, "SELECT DB_NAME(), @@TRANCOUNT, OBJECT_ID('tempdb..#mine')");
      assert.deepEqual(found.sets[0].rows, [[env.TDS_DATABASE, 0, null]]);
    });
  },
];

if (encrypt === true) {
  checks.push(async function connects_without_encryption() {
    await using([connect({ encrypted: false })], async (connection) => {
      const option = await one(connection, 'SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID');
      assert.equal(option, 'FALSE');
    });
  });
}

(async () => {
  let failed = 0;
  for (const check of checks) {
    console.log('--', check.name);
    try {
      await check();
      console.log('ok', check.name);
    } catch (error) {
      failed += 1;
      console.log(error.stack);
      console.log(`FAILED ${check.name}: ${String(error.message).replace(/\s+/g, ' ').slice(0, 600)}`);
    }
  }
  process.exit(failed ? 1 : 0);
})();
