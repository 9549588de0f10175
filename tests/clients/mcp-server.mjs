// A server of the Model Context Protocol for the tests: `node mcp-server.mjs stdio`, or made by
// makeServer().
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

export function makeServer() {
  const server = new McpServer({ name: 'test-server', version: '1.0.0' });
  server.registerTool('add', { description: 'Adds two numbers.', annotations: { readOnlyHint: true },
    inputSchema: { a: z.number(), b: z.number() } },
  async ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }));
  server.registerTool('fail', { description: 'Fails.', inputSchema: {} },
    async () => ({ isError: true, content: [{ type: 'text', text: 'it went wrong' }] }));
  server.registerTool('slow', { description: 'Waits.', inputSchema: { ms: z.number() } }, async ({ ms }, extra) => {
    await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data: 'half' } }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, ms));
    return { content: [{ type: 'text', text: 'done' }] };
  });
  server.registerResource('one', 'notes://one', { description: 'A note.', mimeType: 'text/plain' },
    async (uri) => ({ contents: [{ uri: uri.href, text: 'the first note' }] }));
  server.registerPrompt('greet', { description: 'Greets.', argsSchema: { name: z.string() } },
    ({ name }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Say hello to ${name}` } }] }));
  return server;
}

if (process.argv[2] === 'stdio') await makeServer().connect(new StdioServerTransport());
