// The events of /api/events over a WebSocket, as the package `ws` reads them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { eventually, startServer } from './server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server?.stop());

const address = (path, { url } = server) => url.replace(/^http/, 'ws') + path;

// An open socket, and what it has been told.
async function listen(url, options) {
  const socket = new WebSocket(url, options), events = [];
  socket.on('message', (data, isBinary) => { assert.ok(!isBinary); events.push(JSON.parse(data)); });
  const closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, String(reason)])));
  await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
  return { socket, events, closed };
}

const status = (url, options) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url, options);
  socket.once('unexpected-response', (_, response) => { resolve(response.statusCode); socket.terminate(); });
  socket.once('open', () => reject(new Error('it was let in')));
  socket.on('error', () => {});
});

test('events come as messages, and the socket closes as agreed', async () => {
  const { socket, events, closed } = await listen(address('/api/events'));
  assert.equal(socket.extensions, '');  // compression was offered
  const body = { model: server.embedder, input: 'x' };
  await fetch(`${server.base}/embeddings`, { method: 'POST', body: JSON.stringify(body) });
  assert.ok(await eventually(() => events.some((event) => event.event === 'system')));
  const pong = new Promise((resolve) => socket.once('pong', (data) => resolve(String(data))));
  socket.ping('are you there?');
  assert.equal(await pong, 'are you there?');
  socket.send('what clients say is not for the server');
  socket.close(1000, 'enough');
  assert.deepEqual(await closed, [1000, 'enough']);
});

test('only the topics that are asked for', async () => {
  const { socket, events } = await listen(address('/api/events?topics=models,downloads'));
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.ok(events.every((event) => event.event !== 'system'));
  socket.terminate();
});

test('pages of other origins and wrong topics are refused', async () => {
  assert.equal(await status(address('/api/events'), { origin: 'https://elsewhere.example' }), 403);
  assert.equal(await status(address('/api/events?topics=weather')), 400);
  assert.equal(await status(address('/v1/models')), 200);
  const own = await listen(address('/api/events'), { origin: server.url });
  own.socket.close();
  assert.equal((await own.closed)[0], 1005);
});

test('keys, and a server that stops', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-events-')), store = join(folder, 'keys.json');
  const made = JSON.parse(execFileSync(process.env.HEARTH_BINARY ?? '../../build/release/hearth',
    ['keys', 'create', 'ada', '--scope', 'metrics', '--key-store', store, '--json'],
    { env: { PATH: process.env.PATH, HOME: folder } }));
  const guarded = await startServer('--key-store', store);
  const url = address('/api/system/events', guarded), headers = { authorization: `Bearer ${made.key}` };
  assert.equal(await status(url), 401);
  assert.equal(await status(address('/api/models/events', guarded), { headers }), 403);
  const { events, closed } = await listen(url, { headers });
  assert.ok(await eventually(() => events.length > 1));
  await guarded.stop();
  assert.deepEqual(await closed, [1001, 'the server stops']);
});
