// Hearth as a client of servers made with @modelcontextprotocol/sdk, over stdio and HTTP.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { makeServer } from './mcp-server.mjs';

const binary = process.env.HEARTH_BINARY ?? '../../build/release/hearth';
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hearth-mcp-client-'));
const config = join(folder, 'mcp.json');

const hearth = (...words) => new Promise((resolve) => execFile(binary, ['mcp', ...words, '--mcp-config', config, '--json'],
  { env: { PATH: process.env.PATH, HOME: folder } }, (error, stdout, stderr) =>
    resolve({ code: error?.code ?? 0, json: stdout ? JSON.parse(stdout) : null, stderr })));

// One transport a session; `seen` are the headers of all requests.
const seen = [];
let http;
before(async () => {
  const sessions = new Map();
  http = createServer(async (request, response) => {
    seen.push(request.headers);
    let body = '';
    for await (const part of request) body += part;
    const id = request.headers['mcp-session-id'];
    let transport = sessions.get(id);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => `session-${sessions.size}`,
        onsessioninitialized: (own) => sessions.set(own, transport),
        onsessionclosed: (own) => sessions.delete(own) });
      await makeServer().connect(transport);
    }
    await transport.handleRequest(request, response, body ? JSON.parse(body) : undefined);
  });
  http.sessions = sessions;
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  writeFileSync(config, JSON.stringify({ mcpServers: {
    program: { command: process.execPath, args: [join(here, 'mcp-server.mjs'), 'stdio'] },
    address: { type: 'http', url: `http://127.0.0.1:${http.address().port}/mcp`, headers: { Authorization: 'Bearer abc' } },
    absent: { command: '/no/such/program' } } }));
});
after(() => http.close());

test('what all servers offer', async () => {
  const { json } = await hearth('list');
  for (const name of ['program', 'address']) {
    const server = json.servers.find((one) => one.name === name);
    assert.equal(server.problem, '');
    assert.deepEqual(server.tools.map((tool) => tool.name), [`${name}__add`, `${name}__fail`, `${name}__slow`]);
    assert.equal(server.tools[0].only_reads, true);
    assert.equal(server.resources[0].uri, 'notes://one');
    assert.equal(server.prompts[0].name, 'greet');
  }
  assert.match(json.servers.find((one) => one.name === 'absent').problem, /No such file/);
});

for (const name of ['program', 'address']) {
  test(`${name}: tools, resources and prompts`, async () => {
    assert.equal((await hearth('call', name, 'add', '{"a": 2, "b": 40}')).json.text, '42');
    const failed = await hearth('call', name, 'fail');
    assert.equal(failed.json.is_error, true);
    assert.notEqual(failed.code, 0);
    assert.match((await hearth('call', name, 'dance')).stderr + JSON.stringify((await hearth('call', name, 'dance')).json), /dance/);
    assert.match((await hearth('call', name, 'add', '{"a": "x"}')).json?.text ?? '', /nvalid/);
    assert.equal((await hearth('read', name, 'notes://one')).json.text, 'the first note');
    assert.notEqual((await hearth('read', name, 'notes://none')).code, 0);
    assert.match((await hearth('prompt', name, 'greet', 'name=Ada')).json.messages[0].content, /Ada/);
  });
}

test('a tool that tells how far it is, and takes its time, is waited for', async () => {
  for (const name of ['program', 'address'])
    assert.equal((await hearth('call', name, 'slow', '{"ms": 1500}')).json.text, 'done');
});

test('over HTTP: the session, the version and the headers of the settings are sent, and the session ended', async () => {
  assert.ok(seen.every((headers) => headers.authorization === 'Bearer abc'));
  assert.ok(seen.some((headers) => headers['mcp-session-id'] && headers['mcp-protocol-version']));
  assert.equal(http.sessions.size, 0);
});
