import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from './server.mjs';

const binary = process.env.HEARTH_BINARY ?? '../../build/release/hearth';
let server;
before(async () => { server = await startServer(); });
after(() => server.stop());

const over = {
  http: () => new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)),
  stdio: () => new StdioClientTransport({
    command: binary, args: ['mcp'], stderr: 'inherit',
    env: { PATH: process.env.PATH, HOME: mkdtempSync(join(tmpdir(), 'hearth-mcp-')) },
  }),
};

for (const [name, transport] of Object.entries(over)) {
  test(`mcp over ${name}: tools and resources`, async () => {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(transport());
    try {
      assert.equal(client.getServerVersion().name, 'hearth');
      const { tools } = await client.listTools();
      for (const wanted of ['get_model_catalog', 'search_models', 'load_remote_model', 'run_model'])
        assert.ok(tools.some((tool) => tool.name === wanted), wanted);
      const answer = await client.callTool({ name: 'run_model', arguments: {
        model: 'builtin', temperature: 0, messages: [{ role: 'user', content: 'How do I serve a model?' }] } });
      assert.match(answer.content[0].text, /hearth serve/);
      assert.ok(!answer.isError);
      const found = await client.callTool({ name: 'search_models', arguments: { q: 'qwen', task: 'code' } });
      assert.ok(found.structuredContent.models.length > 0);
      assert.ok(found.structuredContent.models.every((model) => model.task === 'code'));
      const wrong = await client.callTool({ name: 'run_model', arguments: { model: 'nobody', messages: [] } });
      assert.ok(wrong.isError);
      await assert.rejects(client.callTool({ name: 'dance', arguments: {} }), /dance/);

      const { resources } = await client.listResources();
      assert.ok(resources.some((one) => one.uri === 'mcp://hearth/catalog'));
      const catalog = await client.readResource({ uri: 'mcp://hearth/catalog' });
      assert.ok(JSON.parse(catalog.contents[0].text).models.length > 50);
      const one = await client.readResource({ uri: 'mcp://hearth/models/builtin' });
      assert.equal(JSON.parse(one.contents[0].text).name, 'builtin');
      await assert.rejects(client.readResource({ uri: 'file:///etc/passwd' }));
      // Many at once are answered each to its own.
      const counts = await Promise.all([...Array(20).keys()].map((n) => client.callTool({
        name: 'count_tokens', arguments: { model: 'builtin', content: 'a '.repeat(n + 1) } })));
      for (let n = 1; n < 20; ++n)
        assert.ok(Number(counts[n].content[0].text) >= Number(counts[n - 1].content[0].text));
    } finally {
      await client.close();
    }
  });
}
