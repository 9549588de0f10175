import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { eventually, startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const messages = [{ role: 'user', content: 'Say something about the sea.' }];
const ask = (more) => ({ model: server.model, max_tokens: 12, temperature: 0, messages, ...more });
const text = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');

test('messages: plain, with system as text and as blocks', async () => {
  const message = await client.messages.create(ask({ system: 'Be kind.' }));
  assert.equal(message.type, 'message');
  assert.equal(message.role, 'assistant');
  assert.ok(text(message).length > 0);
  assert.ok(['end_turn', 'max_tokens'].includes(message.stop_reason));
  assert.ok(message.usage.output_tokens > 0);
  assert.match(message._request_id, /^req_/);
  const same = await client.messages.create(ask({ system: [
    { type: 'text', text: 'x-anthropic-billing-header: cc_version=1; cch=00000;' },
    { type: 'text', text: 'Be kind.', cache_control: { type: 'ephemeral' } }] }));
  assert.equal(text(same), text(message));
});

test('messages: a stream gives the same message', async () => {
  const whole = await client.messages.create(ask());
  const stream = client.messages.stream(ask());
  const names = [];
  stream.on('streamEvent', (event) => names.push(event.type));
  const message = await stream.finalMessage();
  assert.equal(text(message), text(whole));
  assert.equal(message.stop_reason, whole.stop_reason);
  assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
  assert.equal(names[0], 'message_start');
  assert.equal(names.at(-1), 'message_stop');
  assert.ok(names.includes('content_block_start') && names.includes('content_block_stop'));
});

test('stop sequences, and an answer that is begun', async () => {
  const whole = text(await client.messages.create(ask()));
  const stop = whole.slice(3, 6);
  const cut = await client.messages.create(ask({ stop_sequences: [stop] }));
  assert.equal(cut.stop_reason, 'stop_sequence');
  assert.equal(cut.stop_sequence, stop);
  assert.equal(text(cut), whole.slice(0, whole.indexOf(stop)));
  const more = await client.messages.create(ask({ messages: [...messages, { role: 'assistant', content: 'The sea' }] }));
  assert.ok(!text(more).startsWith('The sea The sea'));
});

test('tokens are counted as they are used', async () => {
  const { input_tokens } = await client.messages.countTokens({ model: server.model, messages });
  const { usage } = await client.messages.create(ask());
  assert.equal(usage.input_tokens + usage.cache_read_input_tokens, input_tokens);
});

test('models', async () => {
  const page = await client.models.list();
  assert.equal(page.data[0].id, server.model);
  assert.equal(page.data[0].type, 'model');
  assert.ok(!Number.isNaN(Date.parse(page.data[0].created_at)));
  assert.equal((await client.models.retrieve(server.model)).id, server.model);
});

test('an abort stops the work', async () => {
  const stream = await client.messages.create(ask({ max_tokens: 100_000, temperature: 1, stream: true }));
  for await (const event of stream) {
    if (event.type === 'content_block_delta') stream.controller.abort();
  }
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
});

test('errors have the class and the words the SDK knows', async () => {
  const fails = (promise, type, kind, words) => assert.rejects(promise, (error) => {
    assert.ok(error instanceof type, `${error}`);
    assert.equal(error.error.error.type, kind);
    assert.match(error.error.error.message, words);
    return true;
  });
  await fails(client.messages.create(ask({ model: 'nobody' })), Anthropic.NotFoundError, 'not_found_error', /'nobody'/);
  await fails(client.messages.create(ask({ temperature: 9 })), Anthropic.BadRequestError, 'invalid_request_error', /temperature/);
  const tools = [{ name: 'weather', input_schema: { type: 'object', properties: {} } }];
  await fails(client.messages.create(ask({ tools })), Anthropic.BadRequestError, 'invalid_request_error', /does not support tools/);
  const long = [{ role: 'user', content: 'word '.repeat(100_000) }];
  await fails(client.messages.create(ask({ messages: long })), Anthropic.BadRequestError, 'invalid_request_error',
    /^prompt is too long: \d+ tokens > \d+ maximum context length$/);
});

test('keys', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'hearth-keys-')), 'keys');
  writeFileSync(file, 'a-key-of-one-person-01\n');
  chmodSync(file, 0o600);
  const keyed = await startServer('--api-key-file', file);
  try {
    const wrong = new Anthropic({ baseURL: keyed.url, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(wrong.models.list(), Anthropic.AuthenticationError);
    const right = new Anthropic({ baseURL: keyed.url, apiKey: 'a-key-of-one-person-01', maxRetries: 0 });
    assert.ok((await right.models.list()).data.length > 0);
  } finally {
    await keyed.stop();
  }
});
