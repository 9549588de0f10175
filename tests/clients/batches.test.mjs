import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { eventually, startServer } from './server.mjs';

let server, openai, anthropic;
before(async () => {
  server = await startServer();
  openai = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const upload = async (lines) => openai.files.create({
  file: await toFile(Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n')), 'in.jsonl'), purpose: 'batch' });
const chat = (id, more) => ({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body: {
  model: server.model, max_tokens: 8, temperature: 0, messages: [{ role: 'user', content: 'Hello' }], ...more } });

async function finished(id) {
  let batch;
  assert.ok(await eventually(async () => {
    batch = await openai.batches.retrieve(id);
    return ['completed', 'failed', 'cancelled', 'expired'].includes(batch.status);
  }, 60_000), `${id} goes on for too long`);
  return batch;
}
const lines = async (id) => (await (await openai.files.content(id)).text()).trim().split('\n').map((line) => JSON.parse(line));

test('batch: every line is answered, what is wrong with one is its own', async () => {
  const file = await upload([chat('a'), chat('b', { stream: true }), chat('c', { temperature: 9 })]);
  assert.equal(file.purpose, 'batch');
  const made = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions',
    completion_window: '24h', metadata: { of: 'test' } });
  assert.match(made.id, /^batch_/);
  const batch = await finished(made.id);
  assert.equal(batch.status, 'completed');
  assert.deepEqual(batch.request_counts, { total: 3, completed: 2, failed: 1 });
  assert.deepEqual(batch.metadata, { of: 'test' });
  const answers = await lines(batch.output_file_id);
  assert.deepEqual(answers.map((one) => one.custom_id).sort(), ['a', 'b']);
  const direct = await openai.chat.completions.create(chat('x').body);
  for (const one of answers) {
    assert.equal(one.response.status_code, 200);
    assert.equal(one.response.body.choices[0].message.content, direct.choices[0].message.content);
  }
  const [wrong] = await lines(batch.error_file_id);
  assert.equal(wrong.custom_id, 'c');
  assert.equal(wrong.response.status_code, 400);
  assert.equal(wrong.response.body.error.param, 'temperature');
  const page = await openai.batches.list({ limit: 1 });
  assert.equal(page.data[0].id, batch.id);
});

test('batch: embeddings', async () => {
  const file = await upload([{ custom_id: 'e', method: 'POST', url: '/v1/embeddings',
    body: { model: server.embedder, input: 'the sea' } }]);
  const batch = await finished((await openai.batches.create({
    input_file_id: file.id, endpoint: '/v1/embeddings', completion_window: '24h' })).id);
  const [one] = await lines(batch.output_file_id);
  assert.ok(one.response.body.data[0].embedding.length > 10);
});

test('batch: wrong input fails with the line', async () => {
  const file = await upload([chat('a'), chat('a'), { custom_id: 'b' }]);
  const batch = await finished((await openai.batches.create({
    input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' })).id);
  assert.equal(batch.status, 'failed');
  assert.deepEqual(batch.errors.data.map((error) => error.line), [2, 3]);
  await assert.rejects(openai.batches.create({ input_file_id: 'file-none', endpoint: '/v1/chat/completions',
    completion_window: '24h' }), OpenAI.NotFoundError);
});

test('batch: cancelled', async () => {
  const file = await upload([...Array(200).keys()].map((n) => chat(`n${n}`, { max_tokens: 200, ignore_eos: true })));
  const made = await openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  const asked = await openai.batches.cancel(made.id);
  assert.ok(['cancelling', 'cancelled'].includes(asked.status));
  const batch = await finished(made.id);
  assert.equal(batch.status, 'cancelled');
  assert.ok(batch.request_counts.completed < 200);
  assert.ok((await lines(batch.error_file_id)).every((one) => one.error?.code === 'batch_cancelled' || one.response));
});

test('message batches', async () => {
  const params = { model: server.model, max_tokens: 8, messages: [{ role: 'user', content: 'Hello' }] };
  const made = await anthropic.messages.batches.create({ requests: [
    { custom_id: 'a', params }, { custom_id: 'b', params: { ...params, temperature: 9 } }] });
  assert.equal(made.type, 'message_batch');
  assert.ok(await eventually(async () =>
    (await anthropic.messages.batches.retrieve(made.id)).processing_status === 'ended', 60_000));
  const results = {};
  for await (const one of await anthropic.messages.batches.results(made.id)) results[one.custom_id] = one.result;
  assert.equal(results.a.type, 'succeeded');
  assert.equal(results.a.message.role, 'assistant');
  assert.equal(results.b.type, 'errored');
  assert.equal((await anthropic.messages.batches.list()).data[0].id, made.id);
  await anthropic.messages.batches.delete(made.id);
  await assert.rejects(anthropic.messages.batches.retrieve(made.id), Anthropic.NotFoundError);
});
