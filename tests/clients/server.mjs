// A running `hearth serve` for the tests: HEARTH_BINARY says which program, HEARTH_MODEL and
// HEARTH_EMBEDDER which models (default: the built-in ones).
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const binary = process.env.HEARTH_BINARY ?? '../../build/release/hearth';

export async function startServer(...flags) {
  const models = [process.env.HEARTH_MODEL ?? 'builtin', process.env.HEARTH_EMBEDDER ?? 'builtin-embed'];
  const home = mkdtempSync(join(tmpdir(), 'hearth-clients-'));
  const kept = Object.entries(process.env).filter(([name]) => !/^(HEARTH_|XDG_)/.test(name));
  const child = spawn(
    binary,
    ['serve', '--port', '0', ...models.flatMap((model) => ['--model', model]), ...flags],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...Object.fromEntries(kept), HOME: home } },
  );
  let complaints = '';
  child.stderr.on('data', (bytes) => { complaints += bytes; });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /https?:\/\/[^\s]+/.exec(line);
      if (found) resolve(found[0]);
    });
    child.once('error', reject);
    ended.then((code) => reject(new Error(`serve ended with ${code}: ${complaints}`)));
  });
  const server = {
    url,
    base: `${url}/v1`,
    // The sum of a metric over its labels.
    async metric(name, key) {
      const headers = key ? { authorization: `Bearer ${key}` } : {};
      const page = await (await fetch(`${url}/metrics`, { headers })).text();
      const values = [...page.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+-]+)$`, 'gm'))];
      return values.reduce((sum, [, value]) => sum + Number(value), 0);
    },
    async stop() {
      child.kill('SIGTERM');
      const code = await ended;
      if (code !== 0) throw new Error(`serve ended with ${code}: ${complaints}`);
    },
  };
  const list = await (await fetch(`${server.base}/models`)).json();
  [server.model, server.embedder] = (list.data ?? []).map((model) => model.id);
  return server;
}

// A server whose model says what a script says, with the servers of `mcp` (as in mcp.json).
export async function startScripted(script, mcp) {
  const folder = mkdtempSync(join(tmpdir(), 'hearth-scripted-'));
  const files = { 'script.json': script, 'mcp.json': mcp };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), JSON.stringify(content));
    chmodSync(join(folder, name), 0o600);
  }
  const program = process.env.HEARTH_SCRIPTED ?? join(dirname(binary), 'tests/scripted_server');
  const child = spawn(program, [join(folder, 'script.json'), '0', join(folder, 'mcp.json')],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /https?:\/\/[^\s]+/.exec(line);
      if (found) resolve(found[0]);
    });
    ended.then((code) => reject(new Error(`the scripted server ended with ${code}`)));
  });
  return { url, async stop() { child.kill('SIGTERM'); await ended; } };
}

export async function eventually(condition, patience = 10_000) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}
