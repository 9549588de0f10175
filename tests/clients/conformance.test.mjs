// Our /v1 answers against OpenAI's own description of its interface (shared/data/conformance/openai-api).
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import Ajv2020 from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { startServer } from './server.mjs';

const file = join(process.env.HEARTH_DATA ?? '../../../shared/data', 'conformance/openai-api/openapi.yaml');
const skip = existsSync(file) ? false : `${file} is absent`;

let server, ajv, description;
before(async () => {
  if (skip) return;
  description = current(parse(readFileSync(file, 'utf8'), { maxAliasCount: -1 }));
  ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ $id: 'openai', ...description });
  server = await startServer();
});
after(() => server?.stop());

// "nullable" is of an older version of OpenAPI; here it means nothing any more.
function current(schema) {
  if (Array.isArray(schema)) return schema.map(current);
  if (!schema || typeof schema !== 'object') return schema;
  const { nullable, ...rest } = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, current(value)]));
  return nullable === true ? { anyOf: [rest, { type: 'null' }] } : typeof nullable === 'object' ? { ...rest, nullable } : rest;
}
const escaped = (path) => path.replaceAll('~', '~0').replaceAll('/', '~1');
function validator(path, method, status = '200', media = 'application/json') {
  const place = `openai#/paths/${encodeURIComponent(escaped(path))}/${method}/responses/${status}/content/${encodeURIComponent(escaped(media))}/schema`;
  return ajv.compile({ $ref: place });
}
const named = (name) => ajv.compile({ $ref: `openai#/components/schemas/${name}` });
function check(validate, value) {
  // What a union of many says when one fits in all but one field is no help: the first errors are enough.
  assert.ok(validate(value), `${JSON.stringify(validate.errors?.slice(0, 6), null, 1)}\n${JSON.stringify(value).slice(0, 2000)}`);
}
async function ask(method, path, body) {
  const response = await fetch(`${server.base}${path}`, { method, body: body && JSON.stringify(body),
    headers: body ? { 'content-type': 'application/json' } : {} });
  const text = await response.text();
  assert.ok(response.ok, text);
  return text;
}
const json = async (...words) => JSON.parse(await ask(...words));
const events = (text) => text.split('\n').filter((line) => line.startsWith('data: ') && !line.includes('[DONE]'))
  .map((line) => JSON.parse(line.slice(6)));
const messages = [{ role: 'user', content: 'How do I serve a model?' }];

test('chat', { skip }, async () => {
  const body = { model: server.model, messages, max_tokens: 8, logprobs: true, top_logprobs: 2, n: 2 };
  check(validator('/chat/completions', 'post'), await json('POST', '/chat/completions', body));
  const whole = named('CreateChatCompletionStreamResponse');
  for (const event of events(await ask('POST', '/chat/completions', { ...body, stream: true, stream_options: { include_usage: true } })))
    check(whole, event);
});
test('completions', { skip }, async () => {
  const body = { model: server.model, prompt: 'The sea', max_tokens: 8, logprobs: 2 };
  check(validator('/completions', 'post'), await json('POST', '/completions', body));
  // A stream's events have no description of their own: finish_reason is null until the last.
});
test('embeddings', { skip }, async () => {
  check(validator('/embeddings', 'post'), await json('POST', '/embeddings', { model: server.embedder, input: ['a', 'b'] }));
});
test('models', { skip }, async () => {
  check(validator('/models', 'get'), await json('GET', '/models'));
  check(validator('/models/{model}', 'get'), await json('GET', `/models/${server.model}`));
});
test('responses', { skip }, async () => {
  const body = { model: server.model, input: 'How do I serve a model?', max_output_tokens: 8 };
  const made = await json('POST', '/responses', body);
  check(validator('/responses', 'post'), made);
  check(validator('/responses/{response_id}', 'get'), await json('GET', `/responses/${made.id}`));
  check(validator('/responses/{response_id}/input_items', 'get'), await json('GET', `/responses/${made.id}/input_items`));
  for (const event of events(await ask('POST', '/responses', { ...body, stream: true }))) {
    const described = Object.entries(description.components.schemas).find(([name, schema]) => /^Response.*Event$/.test(name)
      && (schema.properties?.type?.enum ?? [schema.properties?.type?.const]).includes(event.type));
    assert.ok(described, event.type);
    // Null until the end, as OpenAI's own.
    if (event.response?.usage === null) delete event.response.usage;
    check(named(described[0]), event);
  }
});
test('files, batches and vector stores', { skip }, async () => {
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([JSON.stringify({ custom_id: 'a', method: 'POST', url: '/v1/chat/completions',
    body: { model: server.model, messages, max_tokens: 2 } })]), 'in.jsonl');
  const file = await (await fetch(`${server.base}/files`, { method: 'POST', body: form })).json();
  check(named('OpenAIFile'), file);
  check(validator('/files', 'get'), await json('GET', '/files'));
  const batch = await json('POST', '/batches', { input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' });
  check(named('Batch'), batch);
  check(validator('/batches', 'get'), await json('GET', '/batches'));
  const store = await json('POST', '/vector_stores', { name: 'x' });
  check(validator('/vector_stores', 'post'), store);
  check(validator('/vector_stores', 'get'), await json('GET', '/vector_stores'));
});
test('errors', { skip }, async () => {
  for (const [path, body] of [['/chat/completions', { model: server.model }], ['/chat/completions', { model: 'nobody', messages }],
    ['/embeddings', {}], ['/nothing', {}]]) {
    const response = await fetch(`${server.base}${path}`, { method: 'POST', body: JSON.stringify(body) });
    assert.ok(response.status >= 400);
    check(named('ErrorResponse'), await response.json());
  }
});
