// Answers held to schemas, asked for as each SDK does.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { generateObject, streamObject } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const messages = [{ role: 'user', content: 'Describe a boat.' }];
const boat = z.object({
  name: z.string().min(1).max(24),
  kind: z.enum(['ship', 'boat', 'raft']),
  length: z.number().int().min(1).max(400),
  colours: z.array(z.string().max(12)).max(3),
  home: z.object({ port: z.string().max(20), berth: z.number().int().min(0).max(99).nullable() }),
  motor: z.union([z.boolean(), z.literal('unknown')]),
});
const ask = (more) => ({ model: server.model, messages, max_tokens: 700, ...more });

test('openai: parse with zod, hot or cold', async () => {
  for (const temperature of [0, 1, 2]) {
    const answer = await client.chat.completions.parse(
      ask({ temperature, seed: 7, response_format: zodResponseFormat(boat, 'boat') }));
    assert.equal(answer.choices[0].finish_reason, 'stop');
    boat.parse(answer.choices[0].message.parsed);
  }
});

test('openai: several answers with log probabilities; a stream gives the same text', async () => {
  const request = ask({ temperature: 1.5, seed: 3, n: 3, logprobs: true, top_logprobs: 2,
    response_format: zodResponseFormat(boat, 'boat') });
  const answer = await client.chat.completions.create(request);
  const texts = answer.choices.map((choice) => choice.message.content);
  for (const text of texts) boat.parse(JSON.parse(text));
  assert.ok(new Set(texts).size > 1);
  const streamed = ['', '', ''];
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
    for (const choice of chunk.choices) streamed[choice.index] += choice.delta.content ?? '';
  assert.deepEqual(streamed, texts);
});

test('openai: json_object, a grammar, choices and a pattern', async () => {
  const text = async (more) => (await client.chat.completions.create(ask({ temperature: 1.5, seed: 1, ...more })))
    .choices[0].message.content;
  const strict = { type: 'json_schema', json_schema: { name: 'n', strict: true, schema: { type: 'integer', minimum: 10, maximum: 12 } } };
  assert.ok([10, 11, 12].includes(JSON.parse(await text({ response_format: strict }))));
  assert.match(await text({ grammar: 'root ::= ("- " [a-z]{1,9} "\\n"){2,3}' }), /^(- [a-z]{1,9}\n){2,3}$/);
  assert.ok(['yes', 'no'].includes(await text({ guided_choice: ['yes', 'no'] })));
  assert.match(await text({ structured_outputs: { regex: '[0-9]{3}-[A-F]{2}' } }), /^[0-9]{3}-[A-F]{2}$/);
  const completion = await client.completions.create({ model: server.model, prompt: 'A number:', max_tokens: 20,
    guided_regex: ' [0-9]{1,4}' });
  assert.match(completion.choices[0].text, /^ [0-9]{1,4}$/);
});

test('openai: no item of a list comes twice; where one must, the error says so, in a stream too', async () => {
  const list = (items, more) => ({ type: 'json_schema', json_schema: { name: 'l', schema: {
    type: 'array', uniqueItems: true, items, ...more } } });
  const words = list({ type: 'string', minLength: 1, maxLength: 2 }, { minItems: 20, maxItems: 24 });
  const request = ask({ response_format: words, temperature: 0, max_tokens: 400 });
  const text = (await client.chat.completions.create(request)).choices[0].message.content;
  const made = JSON.parse(text);
  assert.ok(made.length >= 20);
  assert.equal(new Set(made).size, made.length);
  let streamed = '';
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
    streamed += chunk.choices[0]?.delta.content ?? '';
  assert.equal(streamed, text);
  const never = ask({ response_format: list({ type: 'string', pattern: '^a{1,2}$' }, { minItems: 3 }), max_tokens: 100 });
  await assert.rejects(client.chat.completions.create(never), /uniqueItems: whatever comes next/);
  await assert.rejects(async () => {
    for await (const _ of await client.chat.completions.create({ ...never, stream: true }));
  }, /uniqueItems: whatever comes next/);
});

test('openai: what cannot be held to is a 400 that names the place', async () => {
  const fails = (response_format, words) => assert.rejects(
    client.chat.completions.create(ask({ response_format })), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, `${error}`);
      assert.equal(error.param, 'response_format');
      assert.match(error.message, words);
      return true;
    });
  const format = (schema) => ({ type: 'json_schema', json_schema: { name: 'x', schema } });
  await fails(format({ properties: { a: { not: { uniqueItems: true } } } }), /#\/properties\/a\/not: uniqueItems/);
  await fails(format({ type: 'hiccup' }), /type: '.*hiccup/);
  await fails(format({ $ref: 'http://example.com/schema' }), /nothing is fetched/);
  await fails(format({ type: 'string', pattern: '(a)\\1' }), /pattern: .*references/);
  await fails({ type: 'sound' }, /sound/);
});

test('ollama: a schema, and json', async () => {
  const ollama = new Ollama({ host: server.url });
  const options = { temperature: 1.2, seed: 5, num_predict: 700 };
  const answer = await ollama.chat({ model: server.model, messages, options, format: z.toJSONSchema(boat) });
  boat.parse(JSON.parse(answer.message.content));
  const thinking = await ollama.chat({ model: server.model, messages, options, think: true, format: z.toJSONSchema(boat) });
  boat.parse(JSON.parse(thinking.message.content));
  const schema = { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'], additionalProperties: false };
  let text = '';
  for await (const part of await ollama.generate({ model: server.model, prompt: 'Hi', options, format: schema, stream: true }))
    text += part.response;
  assert.equal(typeof JSON.parse(text).a, 'boolean');
});

test('anthropic: output_config.format', async () => {
  const anthropic = new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0 });
  const format = { type: 'json_schema', schema: z.toJSONSchema(boat) };
  const answer = await anthropic.messages.create({ model: server.model, max_tokens: 700, messages, output_config: { format } });
  boat.parse(JSON.parse(answer.content.map((block) => block.text ?? '').join('')));
});

test('ai: generateObject and streamObject', async () => {
  const provider = createOpenAICompatible({ name: 'hearth', baseURL: server.base, supportsStructuredOutputs: true });
  const request = { model: provider.chatModel(server.model), schema: boat, prompt: 'Describe a boat.',
    maxOutputTokens: 700, temperature: 1, seed: 2, maxRetries: 0 };
  boat.parse((await generateObject(request)).object);
  const stream = streamObject(request);
  let parts = 0;
  for await (const _ of stream.partialObjectStream) ++parts;
  boat.parse(await stream.object);
  assert.ok(parts > 1);
});
