// `ai` through ollama-ai-provider-v2, which speaks Ollama's own interface.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { createOllama } from 'ollama-ai-provider-v2';
import { z } from 'zod';
import { eventually, startScripted, startServer } from './server.mjs';

const call = (name, args) => `<tool_call>\n{"name": "${name}", "arguments": ${JSON.stringify(args)}}\n</tool_call>`;
let server, scripted, provider;
before(async () => {
  server = await startServer();
  scripted = await startScripted([
    { if: ['<tool_response>\nsunny'], say: 'It is sunny.' },
    { if: ['<tools>'], say: `Let me look.\n${call('weather', { city: 'Paris' })}` },
    { say: 'Hello.' }], { mcpServers: {} });
  provider = createOllama({ baseURL: `${server.url}/api` });
});
after(async () => { await server.stop(); await scripted.stop(); });

const ask = (more) => ({ model: provider(server.model), prompt: 'Say something about the sea.',
  maxOutputTokens: 12, temperature: 0, maxRetries: 0, ...more });

test('whole and streamed answers are the same', async () => {
  const whole = await generateText(ask());
  assert.ok(whole.text.length > 0);
  assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0);
  const stream = streamText(ask());
  let text = '';
  for await (const part of stream.textStream) text += part;
  assert.equal(text, whole.text);
});

test('a tool is called, and its result read', async () => {
  const asked = [];
  const weather = tool({ description: 'Tells the weather.', inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => { asked.push(city); return 'sunny'; } });
  const { url } = scripted;
  for (const run of [(options) => generateText(options), async (options) => {
    const stream = streamText(options);
    return { text: await stream.text };
  }]) {
    const { text } = await run({ model: createOllama({ baseURL: `${url}/api` })('scripted'), prompt: 'What is the weather in Paris?',
      tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0 });
    assert.match(text, /sunny/);
  }
  assert.deepEqual(asked, ['Paris', 'Paris']);
});

test('an answer held to a schema', async () => {
  const { object } = await generateObject({ model: provider(server.model), prompt: 'A boat.', maxRetries: 0,
    schema: z.object({ name: z.string().max(20), length: z.number().int().min(1).max(400) }), maxOutputTokens: 200 });
  assert.ok(object.length >= 1 && object.length <= 400);
});

test('embeddings', async () => {
  const { embeddings } = await embedMany({ model: provider.textEmbeddingModel(server.embedder), values: ['the cat sat', 'on the mat'] });
  assert.equal(embeddings.length, 2);
  assert.ok(embeddings[0].length > 0);
});

test('an abort stops the work; errors are told', async () => {
  const controller = new AbortController();
  const stream = streamText(ask({ maxOutputTokens: 100_000, abortSignal: controller.signal, onError() {} }));
  for await (const part of stream.fullStream) if (part.type === 'text-delta') controller.abort();
  assert.ok(await eventually(async () => (await server.metric('hearth_requests_running')) === 0));
  await assert.rejects(generateText(ask({ model: provider('nobody') })), /nobody|not found|does not exist|404|Not Found/);
});
