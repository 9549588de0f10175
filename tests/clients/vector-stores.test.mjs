// OpenAI's vector stores and files, and /api/collections, through the SDK and fetch.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { startServer } from './server.mjs';

let server, client;
before(async () => {
  server = await startServer();
  client = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const texts = {
  'cats.txt': '# Cats\n\nA cat sleeps on the warm sofa all day.\n',
  'taxes.md': '# Taxes\n\nThe income tax is due in May.\n\n# Refunds\n\nA refund takes six weeks.\n',
};
const upload = async (name) =>
  client.files.create({ file: await toFile(Buffer.from(texts[name]), name), purpose: 'assistants' });

test('files: upload, list, read, delete', async () => {
  const file = await upload('cats.txt');
  assert.match(file.id, /^file-/);
  assert.equal(file.bytes, texts['cats.txt'].length);
  assert.equal((await client.files.retrieve(file.id)).filename, 'cats.txt');
  assert.ok((await client.files.list()).data.some((one) => one.id === file.id));
  assert.equal(await (await client.files.content(file.id)).text(), texts['cats.txt']);
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await assert.rejects(client.files.retrieve(file.id), (error) => error.status === 404);
});

test('vector stores: files in, answers out', async () => {
  const cats = await upload('cats.txt'), taxes = await upload('taxes.md');
  const store = await client.vectorStores.create({ name: 'notes', metadata: { owner: 'me' } });
  assert.match(store.id, /^vs_/);
  assert.equal(store.status, 'completed');
  const put = await client.vectorStores.files.createAndPoll(store.id, { file_id: cats.id, attributes: { topic: 'cats', year: 2021 } });
  assert.equal(put.status, 'completed');
  const batch = await client.vectorStores.fileBatches.createAndPoll(store.id, { file_ids: [taxes.id] });
  assert.equal(batch.file_counts.completed, 1);
  const inBatch = await client.vectorStores.fileBatches.listFiles(batch.id, { vector_store_id: store.id });
  assert.deepEqual(inBatch.data.map((file) => file.id), [taxes.id]);
  assert.equal((await client.vectorStores.fileBatches.retrieve(batch.id, { vector_store_id: store.id })).status, 'completed');
  assert.equal((await client.vectorStores.fileBatches.cancel(batch.id, { vector_store_id: store.id })).file_counts.total, 1);
  const files = await client.vectorStores.files.list(store.id);
  assert.deepEqual(files.data.map((file) => file.id).sort(), [cats.id, taxes.id].sort());
  assert.equal((await client.vectorStores.retrieve(store.id)).file_counts.total, 2);

  const found = await client.vectorStores.search(store.id, { query: 'when must I pay the tax', max_num_results: 2 });
  assert.equal(found.data[0].file_id, taxes.id);
  assert.match(found.data[0].content[0].text, /due in May/);
  assert.ok(found.data[0].score > 0 && found.data[0].score <= 1);
  const filtered = await client.vectorStores.search(store.id, {
    query: 'when must I pay the tax',
    filters: { type: 'and', filters: [{ type: 'eq', key: 'topic', value: 'cats' }, { type: 'gte', key: 'year', value: 2020 }] },
  });
  assert.deepEqual(filtered.data.map((one) => one.file_id), [cats.id]);

  await client.vectorStores.files.update(taxes.id, { vector_store_id: store.id, attributes: { topic: 'money' } });
  assert.equal((await client.vectorStores.files.retrieve(taxes.id, { vector_store_id: store.id })).attributes.topic, 'money');
  const pieces = await client.vectorStores.files.content(taxes.id, { vector_store_id: store.id });
  assert.equal(pieces.data.length, 2);
  assert.equal((await client.vectorStores.update(store.id, { name: 'other' })).name, 'other');
  assert.ok((await client.vectorStores.list()).data.some((one) => one.name === 'other'));

  await client.vectorStores.files.delete(cats.id, { vector_store_id: store.id });
  assert.equal((await client.vectorStores.files.list(store.id)).data.length, 1);
  assert.equal((await client.vectorStores.delete(store.id)).deleted, true);
  await assert.rejects(client.vectorStores.retrieve(store.id), (error) => error.status === 404);
});

test('vector stores: what is wrong is said', async () => {
  const store = await client.vectorStores.create({});
  for (const wrong of [
    () => client.vectorStores.retrieve('vs_nothing'),
    () => client.vectorStores.create({ expires_after: { anchor: 'last_active_at', days: 1 } }),
    () => client.vectorStores.fileBatches.retrieve('vsfb_nothing', { vector_store_id: store.id }),
    () => client.vectorStores.search(store.id, { query: 'x', ranking_options: { ranker: 'nobody' } }),
    () => client.vectorStores.files.create(store.id, { file_id: 'file-nothing' }),
    () => client.vectorStores.search(store.id, { query: '' }),
    () => client.vectorStores.search(store.id, { query: 'x', max_num_results: 51 }),
    () => client.vectorStores.search(store.id, { query: 'x', filters: { type: 'like', key: 'a', value: 'b' } }),
  ])
    await assert.rejects(wrong, (error) => (error.status === 404 || error.status === 400) && error.message.length > 0);
});

const api = async (method, path, body) => {
  const answer = await fetch(server.base.replace('/v1', '') + '/api/collections' + path,
    { method, body: body && JSON.stringify(body) });
  return { status: answer.status, ...(await answer.json()) };
};

test('collections: all of it', async () => {
  assert.equal((await api('POST', '', { name: 'points', dim: 2, metric: 'l2', fields: { n: 'number' } })).documents, 0);
  const documents = [...Array(50).keys()].map((n) => ({ id: `p/${n}`, vector: [n, 0], text: `point ${n}`, metadata: { n } }));
  assert.equal((await api('POST', '/points/documents', { documents })).written, 50);
  const near = await api('POST', '/points/query', { vector: [7.2, 0], k: 3, filter: { n: { $gte: 8 } }, include: ['metadata'] });
  assert.deepEqual(near.matches.map((match) => match.id), ['p/8', 'p/9', 'p/10']);
  assert.equal(near.matches[0].text, undefined);
  const many = await api('POST', '/points/query', { queries: [{ vector: [1, 0], k: 1 }, { query: 'point 42', k: 1 }] });
  assert.deepEqual(many.answers.map((answer) => answer.matches[0].id), ['p/1', 'p/42']);
  assert.deepEqual((await api('GET', '/points/documents/p/3')).vector, [3, 0]);
  assert.equal((await api('POST', '/points/count', { filter: 'n < 10' })).count, 10);
  assert.equal((await api('POST', '/points/delete', { filter: 'n < 10' })).removed, 10);
  assert.equal((await api('DELETE', '/points/documents/p/49')).removed, 1);
  let from, seen = 0;
  do {
    const page = await api('POST', '/points/scroll', { from, limit: 7 });
    seen += page.documents.length;
    from = page.next;
  } while (from);
  assert.equal(seen, 39);
  assert.equal((await api('POST', '/points/get', { ids: ['p/20', 'p/1'] })).documents.length, 1);
  assert.equal((await api('POST', '/points/reindex', { kind: 'hnsw', m: 8 })).index.kind, 'hnsw');
  assert.equal((await api('POST', '/points/tune', {})).measured, 1);
  assert.equal((await api('POST', '/points/snapshot', { label: 'one' })).snapshot, 'points-one');
  assert.deepEqual((await api('GET', '')).snapshots, ['points-one']);
  assert.equal((await api('POST', '', { name: 'again', snapshot: 'points-one' })).documents, 39);
  assert.equal((await api('POST', '/again/query', { vector: [20, 0], k: 1 })).matches[0].id, 'p/20');
  assert.equal((await api('POST', '', { name: 'points', snapshot: 'points-one' })).status, 400);
  assert.equal((await api('POST', '', { name: 'other', snapshot: 'nothing' })).status, 404);
  assert.equal((await api('POST', '/points/feedback', { vector: [1, 0], relevant: ['p/20'] })).status, 501);
  assert.equal((await api('DELETE', '/points/feedback')).forgotten, true);
  const groups = await api('POST', '/points/query', { vector: [0, 0], k: 3, group_by: 'n', mmr: 0.5, max_distance: 1e6 });
  assert.equal(new Set(groups.matches.map((match) => match.group)).size, 3);
  assert.equal((await api('GET', '/points')).documents, 39);
  assert.ok((await api('GET', '')).collections.some((one) => one.name === 'points'));
  for (const [method, path, body, status] of [
    ['GET', '/none', undefined, 404],
    ['POST', '', { name: '../x', dim: 2 }, 400],
    ['POST', '', { name: 'points', dim: 2 }, 400],
    ['POST', '/points/documents', { documents: [{ id: 'a', vector: [1] }] }, 400],
    ['POST', '/points/documents', { documents: [{ id: 'a', text: 'no model' }] }, 400],
    ['POST', '/points/query', { vector: [1, 2], k: 0 }, 400],
    ['POST', '/points/query', { vector: [1, 2], filter: { n: { $near: 1 } } }, 400],
    ['GET', '/points/documents/p/1', undefined, 404],
  ]) {
    const answer = await api(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}`);
    assert.ok(answer.error.message.length > 0);
  }
  assert.equal((await api('DELETE', '/points')).removed, true);
});

test('collections: texts are embedded', async () => {
  await api('POST', '', { name: 'texts' });
  const documents = Object.entries(texts).map(([id, text]) => ({ id, text }));
  assert.equal((await api('POST', '/texts/documents', { documents })).written, 2);
  for (const by of ['both', 'words', 'vector'])
    assert.equal((await api('POST', '/texts/query', { query: 'the tax in May', by, k: 1 })).matches[0].id, 'taxes.md');
});
