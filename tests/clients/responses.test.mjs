import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { eventually, startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const ask = (more) => ({ model: server.model, input: 'How do I serve a model?', temperature: 0, max_output_tokens: 40, ...more });

test('responses: plain, and a stream that gives the same', async () => {
  const whole = await client.responses.create(ask());
  assert.equal(whole.object, 'response');
  assert.match(whole.output_text, /hearth serve/);
  assert.equal(whole.output[0].type, 'message');
  assert.ok(whole.usage.input_tokens > 0 && whole.usage.output_tokens > 0);
  const stream = client.responses.stream(ask());
  const names = new Set();
  let text = '';
  for await (const event of stream) {
    names.add(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(text, whole.output_text);
  assert.equal(final.output_text, whole.output_text);
  assert.equal(final.status, whole.status);
  assert.deepEqual(final.usage.output_tokens, whole.usage.output_tokens);
  for (const name of ['response.created', 'response.output_item.added', 'response.content_part.added', 'response.output_item.done'])
    assert.ok(names.has(name), name);
});

test('stored turns: retrieve, input items, go on, delete', async () => {
  const first = await client.responses.create(ask({ input: [{ role: 'user', content: [{ type: 'input_text', text: 'hello' }] }] }));
  assert.equal((await client.responses.retrieve(first.id)).output_text, first.output_text);
  const items = await client.responses.inputItems.list(first.id);
  assert.equal(items.data[0].content[0].text, 'hello');
  const second = await client.responses.create(ask({ input: 'And then?', previous_response_id: first.id }));
  assert.equal(second.previous_response_id, first.id);
  const alone = await client.responses.create(ask({ input: 'And then?' }));
  assert.ok(second.usage.input_tokens > alone.usage.input_tokens);
  // All of the first turn is in the prefix cache.
  assert.ok(second.usage.input_tokens_details.cached_tokens > 0);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
  const gone = await client.responses.create(ask({ store: false }));
  await assert.rejects(client.responses.retrieve(gone.id), OpenAI.NotFoundError);
});

test('conversations: made, gone on with, listed, deleted', async () => {
  const made = await client.conversations.create({ metadata: { topic: 'serving' }, items: [{ role: 'user', content: 'hello' }] });
  assert.equal(made.object, 'conversation');
  const answer = await client.responses.create(ask({ conversation: made.id }));
  assert.equal(answer.conversation.id, made.id);
  const items = [];
  for await (const item of client.conversations.items.list(made.id, { order: 'asc' })) items.push(item);
  assert.deepEqual(items.map((item) => item.role), ['user', 'user', 'assistant']);
  assert.equal(items[2].content[0].text, answer.output_text);
  const before = answer.usage.input_tokens;
  const more = await client.responses.create(ask({ conversation: { id: made.id }, stream: false }));
  assert.ok(more.usage.input_tokens > before + answer.usage.output_tokens);
  assert.equal((await client.conversations.items.retrieve(items[0].id, { conversation_id: made.id })).id, items[0].id);
  await client.conversations.items.delete(items[0].id, { conversation_id: made.id });
  assert.equal((await client.conversations.update(made.id, { metadata: { topic: 'x' } })).metadata.topic, 'x');
  assert.equal((await client.conversations.delete(made.id)).deleted, true);
  await assert.rejects(client.conversations.retrieve(made.id), OpenAI.NotFoundError);
});

test('a file in a message is read', async () => {
  const plain = await client.responses.create(ask());
  const file_data = 'data:text/plain;base64,' + Buffer.from('The sea is deep.\n').toString('base64');
  const answer = await client.responses.create(ask({ input: [{ role: 'user', content: [
    { type: 'input_file', filename: 'sea.txt', file_data }, { type: 'input_text', text: 'How do I serve a model?' }] }] }));
  assert.ok(answer.usage.input_tokens > plain.usage.input_tokens + 10);
  await assert.rejects(client.responses.create(ask({ input: [{ role: 'user', content: [
    { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,' + Buffer.from('%PDF-1.7').toString('base64') }] }] })),
    (error) => error instanceof OpenAI.BadRequestError && /PDF/.test(error.message));
});

test('structured output', async () => {
  const schema = { type: 'object', properties: { answer: { type: 'string', maxLength: 20 }, sure: { type: 'boolean' } }, required: ['answer', 'sure'], additionalProperties: false };
  const response = await client.responses.create(ask({ max_output_tokens: 200, text: { format: { type: 'json_schema', name: 'answer', strict: true, schema } } }));
  const value = JSON.parse(response.output_text);
  assert.equal(typeof value.answer, 'string');
  assert.equal(typeof value.sure, 'boolean');
});

test('in the background, and cancelled', async () => {
  const begun = await client.responses.create(ask({ background: true }));
  assert.equal(begun.status, 'in_progress');
  assert.ok(await eventually(async () => (await client.responses.retrieve(begun.id)).status !== 'in_progress'));
  assert.match((await client.responses.retrieve(begun.id)).output_text, /hearth serve/);
  const long = await client.responses.create(ask({ background: true, max_output_tokens: 100_000, ignore_eos: true, temperature: 1 }));
  await client.responses.cancel(long.id);
  assert.notEqual((await client.responses.retrieve(long.id)).status, 'in_progress');
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
});

test('an abort stops the work; errors have the class the SDK knows', async () => {
  const stream = await client.responses.create(ask({ stream: true, max_output_tokens: 100_000, temperature: 1 }));
  for await (const event of stream)
    if (event.type === 'response.output_text.delta') stream.controller.abort();
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
  await assert.rejects(client.responses.create(ask({ model: 'nobody' })), OpenAI.NotFoundError);
  await assert.rejects(client.responses.create(ask({ temperature: 9 })), OpenAI.BadRequestError);
  await assert.rejects(client.responses.create(ask({ input: 'word '.repeat(100_000) })), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.code, 'context_length_exceeded');
    return true;
  });
});
