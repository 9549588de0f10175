import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateText, streamText } from 'ai';
import { eventually, startServer } from './server.mjs';

let server, provider;
before(async () => {
  server = await startServer();
  provider = createOpenAICompatible({ name: 'hearth', baseURL: server.base, includeUsage: true });
});
after(() => server.stop());

const ask = (more) => ({ model: provider.chatModel(server.model), prompt: 'Say something about the sea.',
  maxOutputTokens: 12, temperature: 0, maxRetries: 0, ...more });

test('generateText', async () => {
  const { text, usage, finishReason } = await generateText(ask());
  assert.ok(text.length > 0);
  assert.ok(['stop', 'length'].includes(finishReason));
  assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
});

test('streamText gives the same text and usage', async () => {
  const whole = await generateText(ask());
  const stream = streamText(ask());
  let text = '';
  for await (const part of stream.textStream) text += part;
  assert.equal(text, whole.text);
  const usage = await stream.usage;
  assert.equal(usage.outputTokens, whole.usage.outputTokens);
});

test('a second turn finds the first in the cache', async () => {
  const messages = [{ role: 'user', content: 'Tell me about the sea and the sky, please. '.repeat(4) }];
  const first = await generateText({ ...ask(), prompt: undefined, messages });
  messages.push({ role: 'assistant', content: first.text }, { role: 'user', content: 'And the land?' });
  const second = await generateText({ ...ask(), prompt: undefined, messages });
  assert.ok(second.usage.cachedInputTokens >= 0.9 * first.usage.inputTokens);
  assert.ok(second.usage.inputTokens > first.usage.inputTokens);
});

test('an abort stops the work', async () => {
  const controller = new AbortController();
  const stream = streamText(ask({ maxOutputTokens: 100_000, abortSignal: controller.signal, onError() {},
    providerOptions: { hearth: { ignore_eos: true } } }));
  let parts = 0;
  for await (const part of stream.fullStream) {
    if (part.type === 'text-delta' && ++parts === 2) controller.abort();
  }
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
});

test('errors are APICallErrors with the message', async () => {
  await assert.rejects(generateText(ask({ model: provider.chatModel('nobody') })), (error) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /does not exist/);
    return true;
  });
});

test('503 with Retry-After is retried', async () => {
  // Refuses the first request as a full server does, then hands on.
  let refused = 0;
  const gate = createServer((from, to) => {
    if (refused++ === 0) {
      to.writeHead(503, { 'retry-after': '1', 'content-type': 'application/json' });
      to.end('{"error":{"message":"the queue is full","type":"server_error","param":null,"code":"overloaded"}}');
      return;
    }
    const onward = request(server.url + from.url, { method: from.method, headers: { ...from.headers, host: 'localhost' } },
      (answer) => { to.writeHead(answer.statusCode, answer.headers); answer.pipe(to); });
    from.pipe(onward);
  });
  await new Promise((resolve) => gate.listen(0, '127.0.0.1', resolve));
  const behind = createOpenAICompatible({ name: 'hearth', baseURL: `http://127.0.0.1:${gate.address().port}/v1` });
  const { text } = await generateText(ask({ model: behind.chatModel(server.model), maxRetries: 2 }));
  assert.ok(text.length > 0);
  assert.equal(refused, 2);
  gate.closeAllConnections();
  gate.close();
});

test('embedMany', async () => {
  const { embeddings, usage } = await embedMany(
    { model: provider.textEmbeddingModel(server.embedder), values: ['the cat sat', 'on the mat'] });
  assert.equal(embeddings.length, 2);
  assert.ok(embeddings[0].length > 0);
  assert.ok(usage.tokens > 0);
});
