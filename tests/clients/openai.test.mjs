import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { eventually, startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const messages = [{ role: 'user', content: 'Say something about the sea.' }];
// Never ends by itself before the limit.
const ask = (more) => ({ model: server.model, messages, max_tokens: 12, temperature: 0, ignore_eos: true, ...more });

test('models: list and retrieve', async () => {
  const models = (await client.models.list()).data;
  assert.equal(models[0].id, server.model);
  assert.equal(models[0].object, 'model');
  const one = await client.models.retrieve(server.model);
  assert.equal(one.id, server.model);
  assert.ok(one.context_length > 0);
});

test('chat: plain', async () => {
  const { data, request_id } = await client.chat.completions.create(ask()).withResponse();
  assert.match(request_id, /^req_/);
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.ok(data.choices[0].message.content.length > 0);
  assert.equal(data.choices[0].finish_reason, 'length');
  assert.equal(data.usage.completion_tokens, 12);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + 12);
});

test('chat: a prediction changes no token, and usage tells what it was worth', async () => {
  const plain = await client.chat.completions.create(ask({ max_tokens: 40 }));
  const content = plain.choices[0].message.content;
  const predicted = await client.chat.completions.create(ask({ max_tokens: 40, prediction: { type: 'content', content } }));
  assert.equal(predicted.choices[0].message.content, content);
  const details = predicted.usage.completion_tokens_details;
  assert.ok(details.accepted_prediction_tokens > 0, JSON.stringify(details));
  assert.ok(details.rejected_prediction_tokens >= 0);
  await assert.rejects(client.chat.completions.create(ask({ prediction: { type: 'content' } })), { status: 400 });
});

test('chat: a stream gives the same text, and usage when asked', async () => {
  const plain = await client.chat.completions.create(ask());
  const stream = await client.chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } }));
  let text = '', finishes = 0, usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    finishes += chunk.choices[0]?.finish_reason ? 1 : 0;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, plain.choices[0].message.content);
  assert.equal(finishes, 1);
  assert.equal(usage.completion_tokens, 12);
  assert.ok(usage.prompt_tokens_details.cached_tokens >= 0);
});

test('chat: the stream helper finishes', async () => {
  const runner = client.chat.completions.stream(ask());
  const whole = await runner.finalChatCompletion();
  assert.equal(whole.choices[0].finish_reason, 'length');
});

test('chat: n answers', async () => {
  const answer = await client.chat.completions.create(ask({ n: 3, temperature: 1, seed: 5 }));
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
  assert.equal(answer.usage.completion_tokens, 36);
});

test('a seed repeats, another one differs', async () => {
  const text = async (seed) => (await client.completions.create(
    { model: server.model, prompt: 'zq', seed, temperature: 2, max_tokens: 30, ignore_eos: true })).choices[0].text;
  const first = await text(1);
  assert.equal(await text(1), first);
  const others = await Promise.all([2, 3, 4].map(text));
  assert.ok(others.some((other) => other !== first));
});

test('chat: a stop string ends the answer and is not shown', async () => {
  const whole = (await client.chat.completions.create(ask())).choices[0].message.content;
  const stop = whole.slice(5, 8);
  const cut = await client.chat.completions.create(ask({ stop: [stop] }));
  assert.equal(cut.choices[0].finish_reason, 'stop');
  assert.equal(cut.choices[0].message.content, whole.slice(0, whole.indexOf(stop)));
});

test('chat: log probabilities belong to the text', async () => {
  const answer = await client.chat.completions.create(ask({ logprobs: true, top_logprobs: 3 }));
  const tokens = answer.choices[0].logprobs.content;
  assert.equal(tokens.length, 12);
  const bytes = Buffer.from(tokens.flatMap((token) => token.bytes));
  assert.equal(bytes.toString('utf8'), answer.choices[0].message.content);
  for (const token of tokens) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    // Greedy: the token taken is the likeliest.
    assert.equal(token.top_logprobs[0].token, token.token);
  }
});

test('chat: an abort stops the work', async () => {
  const stream = await client.chat.completions.create(
    ask({ stream: true, max_tokens: undefined, max_completion_tokens: 100_000, n: 2 }));
  let chunks = 0;
  for await (const _ of stream) {
    if (++chunks === 3) stream.controller.abort();
  }
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
  assert.ok((await server.metric('hearth_requests_cancelled_total')) >= 1);
});

test('max_tokens over the room left are lowered, and said so', async () => {
  const { context_length } = await client.models.retrieve(server.model);
  const { data, response } = await client.chat.completions
    .create(ask({ max_tokens: context_length, stop: ['e'], ignore_eos: false })).withResponse();
  const lowered = Number(response.headers.get('x-hearth-max-tokens'));
  assert.equal(lowered, context_length - data.usage.prompt_tokens);
});

test('errors have the class and the words the SDK knows', async () => {
  const fails = (promise, type, check) => assert.rejects(promise, (error) => {
    assert.ok(error instanceof type, `${error}`);
    check(error);
    return true;
  });
  await fails(client.chat.completions.create(ask({ temperature: 9 })), OpenAI.BadRequestError,
    (error) => assert.equal(error.param, 'temperature'));
  await fails(client.chat.completions.create(ask({ model: 'nobody' })), OpenAI.NotFoundError,
    (error) => assert.equal(error.code, 'model_not_found'));
  await fails(client.chat.completions.create(ask({ response_format: { type: 'sound' } })),
    OpenAI.BadRequestError, (error) => assert.equal(error.param, 'response_format'));
  const { context_length } = await client.models.retrieve(server.model);
  const long = [{ role: 'user', content: 'word '.repeat(context_length * 4) }];
  await fails(client.chat.completions.create(ask({ messages: long })), OpenAI.BadRequestError, (error) => {
    assert.equal(error.code, 'context_length_exceeded');
    assert.match(error.message, /maximum context length is \d+ tokens/);
  });
});

test('tools: a model without them says so', async () => {
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
  await assert.rejects(client.chat.completions.create(ask({ tools })), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'tools');
    assert.match(error.message, /does not support tools/);
    return true;
  });
  const without = await client.chat.completions.create(ask({ tools, tool_choice: 'none' }));
  assert.ok(without.choices[0].message.content.length > 0);
});

test('completions: text, echo, log probabilities', async () => {
  const answer = await client.completions.create(
    { model: server.model, prompt: 'Once upon a time', max_tokens: 5, echo: true, logprobs: 2, temperature: 0 });
  const { text, logprobs } = answer.choices[0];
  assert.ok(text.includes('Once upon a time'));
  assert.equal(logprobs.tokens.length, logprobs.token_logprobs.length);
  assert.equal(logprobs.token_logprobs[0], null);
  let streamed = '';
  for await (const chunk of await client.completions.create(
    { model: server.model, prompt: 'Once upon a time', max_tokens: 5, temperature: 0, stream: true }))
    streamed += chunk.choices[0].text;
  assert.ok(text.endsWith(streamed));
});

test('embeddings: base64 by default, floats alike', async () => {
  const input = ['the cat sat', 'on the mat'];
  const coded = await client.embeddings.create({ model: server.embedder, input });
  const plain = await client.embeddings.create({ model: server.embedder, input, encoding_format: 'float' });
  assert.equal(coded.data.length, 2);
  for (let i = 0; i < 2; ++i) {
    assert.equal(coded.data[i].embedding.length, plain.data[i].embedding.length);
    coded.data[i].embedding.forEach((x, k) => assert.ok(Math.abs(x - plain.data[i].embedding[k]) < 1e-6));
  }
  const short = await client.embeddings.create({ model: server.embedder, input: 'a cat', dimensions: 8, encoding_format: 'float' });
  assert.equal(short.data[0].embedding.length, 8);
});

test('keys: refused without, served with, and a key that asks too much waits', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'hearth-keys-')), 'keys');
  writeFileSync(file, 'a-key-of-one-person-01\n');
  chmodSync(file, 0o600);
  const keyed = await startServer('--api-key-file', file);
  try {
    const wrong = new OpenAI({ baseURL: keyed.base, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(wrong.models.list(), OpenAI.AuthenticationError);
    const right = new OpenAI({ baseURL: keyed.base, apiKey: 'a-key-of-one-person-01', maxRetries: 0 });
    const [{ id }] = (await right.models.list()).data;
    const endless = { model: id, messages, max_tokens: 100_000, ignore_eos: true, stream: true };
    const streams = await Promise.all(Array.from({ length: 64 }, () => right.chat.completions.create(endless)));
    const short = { model: id, messages, max_tokens: 2 };
    await assert.rejects(right.chat.completions.create(short), (error) => {
      assert.ok(error instanceof OpenAI.RateLimitError);
      assert.ok(Number(error.headers.get('retry-after')) >= 1);
      return true;
    });
    // The SDK waits as it was told, and finds room.
    const patient = right.chat.completions.create(short, { maxRetries: 5 });
    setTimeout(() => streams.forEach((stream) => stream.controller.abort()), 300);
    assert.ok((await patient).choices.length === 1);
    assert.ok(await eventually(async () =>
      (await keyed.metric('hearth_requests_running', 'a-key-of-one-person-01')) === 0));
  } finally {
    await keyed.stop();
  }
});

test('a prompt that was there before is found in the cache, nine tenths of it at least', async () => {
  const question = { model: server.model, max_tokens: 1, temperature: 0,
    messages: [{ role: 'user', content: 'Tell me about the tides, and what the moon has to do with them, please. '.repeat(6) }] };
  await client.chat.completions.create(question);
  const { usage } = await client.chat.completions.create(question);
  assert.ok(usage.prompt_tokens_details.cached_tokens >= 0.9 * usage.prompt_tokens);
});

test('a conversation that is too long loses its oldest turns when that is asked for, and says so', async () => {
  const turns = Array.from({ length: 60 }, (_, i) => [
    { role: 'user', content: `Question ${i}: what is the weather like at sea, and in the harbour?` },
    { role: 'assistant', content: `Answer ${i}: fair, with light winds from the west.` }]).flat();
  const messages = [{ role: 'system', content: 'You are brief.' }, ...turns, { role: 'user', content: 'And now?' }];
  const ask = { model: server.model, max_tokens: 4, messages };
  await assert.rejects(client.chat.completions.create(ask), { status: 400, code: 'context_length_exceeded' });
  const { data, response } = await client.chat.completions.create({ ...ask, truncation: 'auto' }).withResponse();
  assert.match(response.headers.get('x-hearth-warning'), /^the oldest \d+ of 61 turns were left out: the prompt had \d+ tokens of \d+$/);
  assert.ok(data.usage.prompt_tokens < 1024);
});

test('a compressed request is read', async () => {
  const { gzipSync, deflateSync } = await import('node:zlib');
  const body = JSON.stringify({ model: server.model, max_tokens: 2, messages: [{ role: 'user', content: 'Hello' }] });
  for (const [coding, packed] of [['gzip', gzipSync(body)], ['deflate', deflateSync(body)]]) {
    const answer = await fetch(`${server.base}/chat/completions`, { method: 'POST', body: packed,
      headers: { 'content-type': 'application/json', 'content-encoding': coding } });
    assert.equal(answer.status, 200, coding);
    assert.ok((await answer.json()).choices[0].message);
  }
  const bomb = await fetch(`${server.base}/chat/completions`, { method: 'POST', body: gzipSync(Buffer.alloc(40 << 20, 97)),
    headers: { 'content-encoding': 'gzip' } });
  assert.equal(bomb.status, 413);
});
