import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { eventually, startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new Ollama({ host: server.url });
});
after(() => server.stop());

const messages = [{ role: 'user', content: 'Say something about the sea.' }];
const options = { num_predict: 12, temperature: 0 };
const ask = (more) => ({ model: server.model, messages, options, ...more });

test('list, ps, show, version', async () => {
  const { models } = await client.list();
  assert.equal(models[0].name, `${server.model}:latest`);
  assert.equal(models[0].details.format, 'gguf');
  assert.match(models[0].digest, /^[0-9a-f]{64}$/);
  const running = (await client.ps()).models[0];
  assert.ok(new Date(running.expires_at) > new Date());
  for (const model of [server.model, models[0].name]) {
    const shown = await client.show({ model });
    assert.ok(shown.capabilities.includes('completion'));
    const [length] = Object.entries(shown.model_info).filter(([name]) => name.endsWith('.context_length'));
    assert.ok(length[1] > 0);
  }
  assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
});

test('chat: plain, and a stream gives the same text', async () => {
  const whole = await client.chat(ask());
  assert.equal(whole.message.role, 'assistant');
  assert.ok(whole.message.content.length > 0);
  assert.ok(['stop', 'length'].includes(whole.done_reason));
  assert.ok(whole.total_duration > 0 && whole.prompt_eval_count > 0 && whole.eval_count > 0);
  let text = '', last;
  for await (const part of await client.chat(ask({ stream: true }))) {
    text += part.message.content;
    last = part;
  }
  assert.equal(text, whole.message.content);
  assert.equal(last.done, true);
  assert.equal(last.eval_count, whole.eval_count);
});

test('generate: the context goes on, raw reads the prompt alone', async () => {
  const first = await client.generate({ model: server.model, prompt: 'Hello', options });
  assert.ok(first.response.length > 0);
  assert.ok(first.context.length > first.eval_count);
  const second = await client.generate({ model: server.model, prompt: 'And then?', context: first.context, options });
  assert.ok(second.prompt_eval_count > first.context.length);
  const raw = await client.generate({ model: server.model, prompt: 'Once', raw: true, options });
  assert.equal(raw.context, undefined);
  let text = '';
  for await (const part of await client.generate({ model: server.model, prompt: 'Once', raw: true, options, stream: true }))
    text += part.response;
  assert.equal(text, raw.response);
});

test('an empty prompt loads', async () => {
  const answer = await client.generate({ model: server.model, prompt: '', keep_alive: '5m' });
  assert.equal(answer.done_reason, 'load');
});

test('embed', async () => {
  const answer = await client.embed({ model: server.embedder, input: ['the cat sat', 'on the mat'] });
  assert.equal(answer.embeddings.length, 2);
  assert.ok(answer.prompt_eval_count > 0 && answer.total_duration > 0);
  const old = await client.embeddings({ model: server.embedder, prompt: 'the cat sat' });
  old.embedding.forEach((x, i) => assert.ok(Math.abs(x - answer.embeddings[0][i]) < 1e-6));
});

test('an abort stops the work', async () => {
  const stream = await client.generate(
    { model: server.model, prompt: 'word '.repeat(40), raw: true, options: { num_predict: -1, temperature: 1 }, stream: true });
  const reading = (async () => { for await (const _ of stream) stream.abort(); })();
  await reading.catch((error) => assert.equal(error.name, 'AbortError'));
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
});

test('errors are texts', async () => {
  const fails = (promise, status, words) => assert.rejects(promise, (error) => {
    assert.equal(error.status_code, status);
    assert.match(error.error ?? error.message, words);
    return true;
  });
  await fails(client.chat(ask({ model: 'nobody' })), 404, /'nobody' does not exist/);
  await fails(client.chat(ask({ options: { temperature: 9 } })), 400, /'temperature'/);
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
  await fails(client.chat(ask({ tools })), 400, /does not support tools/);
  await fails(client.push({ model: 'anything' }), 501, /\/api\/push is not offered/);
  await fails(client.pull({ model: 'builtin' }), 400, /nothing to download/);
  const long = [{ role: 'user', content: 'word '.repeat(100_000) }];
  await fails(client.chat(ask({ messages: long })), 400, /maximum context length is \d+ tokens/);
});
