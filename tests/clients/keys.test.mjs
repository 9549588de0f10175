// Keys of `hearth keys`, as the SDKs meet their limits.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { eventually, startServer } from './server.mjs';

const binary = process.env.HEARTH_BINARY ?? '../../build/release/hearth';
const folder = mkdtempSync(join(tmpdir(), 'hearth-keys-'));
const store = join(folder, 'keys.json'), log = join(folder, 'audit.jsonl');
const keys = (...words) => JSON.parse(execFileSync(binary, ['keys', ...words, '--key-store', store, '--json'], {
  env: { PATH: process.env.PATH, HOME: folder } }));

let server, limited, admin;
before(async () => {
  limited = keys('create', 'ada', '--scope', 'chat', '--requests-per-minute', '3', '--tokens-per-day', '100000');
  admin = keys('create', 'root', '--scope', 'all');
  server = await startServer('--key-store', store, '--audit-log', log);
  server.model = 'builtin';
});
after(() => server.stop());

const ask = () => ({ model: server.model, max_tokens: 4, messages: [{ role: 'user', content: 'A secret question' }] });
const of = (apiKey) => new OpenAI({ baseURL: server.base, apiKey, maxRetries: 0 });

test('a key is needed, and what it is good for', async () => {
  assert.equal(statSync(store).mode & 0o777, 0o600);
  assert.ok(!readFileSync(store, 'utf8').includes(limited.key));
  await assert.rejects(of('wrong').chat.completions.create(ask()), OpenAI.AuthenticationError);
  await assert.rejects(of(limited.key).embeddings.create({ model: 'builtin-embed', input: 'x' }), OpenAI.PermissionDeniedError);
  assert.ok((await of(limited.key).models.list()).data.length > 0);
});

test('requests a minute: told in the headers and refused in the words of the SDK', async () => {
  const client = of(limited.key);
  for (let left = 2; left >= 0; --left) {
    const { response } = await client.chat.completions.create(ask()).withResponse();
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '3');
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), String(left));
    assert.ok(Number(response.headers.get('x-ratelimit-remaining-tokens')) <= 100000);
  }
  await assert.rejects(client.chat.completions.create(ask()), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.code, 'rate_limit_exceeded');
    assert.ok(Number(error.headers.get('retry-after')) >= 1);
    return true;
  });
  const claude = new Anthropic({ baseURL: server.url, apiKey: limited.key, maxRetries: 0 });
  await assert.rejects(claude.messages.create(ask()), Anthropic.RateLimitError);
});

test('use is told, revoked keys open nothing, and the log tells no content', async () => {
  const usage = await (await fetch(`${server.url}/api/keys/usage`, { headers: { 'x-api-key': admin.key } })).json();
  const ada = usage.data.find((key) => key.id === limited.id);
  assert.equal(ada.usage.requests, 3);
  assert.ok(ada.usage.prompt_tokens > 0 && ada.usage.completion_tokens === 12 && ada.usage.refused === 2, JSON.stringify(ada.usage));
  keys('revoke', 'ada');
  assert.ok(await eventually(async () => {
    try { await of(limited.key).models.list(); return false; } catch (error) { return error.status === 401; }
  }));
  assert.equal(keys('list').keys.length, 1);
  const text = readFileSync(log, 'utf8');
  assert.ok(!/secret/i.test(text));
  const lines = text.trim().split('\n').map((line) => JSON.parse(line));
  const taken = lines.filter((line) => line.name === 'ada' && line.status === 200 && line.route === '/v1/chat/completions');
  assert.equal(taken.length, 3);
  assert.ok(taken.every((line) => line.completion_tokens === 4 && line.model === 'builtin'));
});
