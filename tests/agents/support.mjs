// What the agents' tests share: a server with a script, a folder to work in, and a run of a program.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const program = (name) => join(here, 'node_modules/.bin', name);
export const task = 'In the file notes.txt, replace the word old by the word new.';
export const before = 'The old word.\n', afterwards = 'The new word.\n';

// `folder`: with the file to be changed; `home`: of the agent, with nothing in it.
export function workplace() {
  const root = mkdtempSync(join(tmpdir(), 'hearth-agent-'));
  const place = { home: mkdtempSync(join(root, 'home-')), folder: mkdtempSync(join(root, 'work-')) };
  place.notes = join(place.folder, 'notes.txt');
  place.text = () => readFileSync(place.notes, 'utf8');
  place.remove = () => rmSync(root, { recursive: true, force: true });
  writeFileSync(place.notes, before);
  return place;
}

export const call = (name, args) =>
  `<tool_call>\n${JSON.stringify({ name, arguments: args }).replace('{"name":', '{"name": ').replace(',"arguments":', ', "arguments": ')}\n</tool_call>`;

async function listening(command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH, HOME: tmpdir() } });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /https?:\/\/[^\s]+/.exec(line);
      if (found) resolve(found[0]);
    });
    ended.then((code) => reject(new Error(`${command} ended with ${code}`)));
  });
  return { url, async stop() { child.kill('SIGTERM'); return ended; } };
}

// lines: [{ if: [...], unless: [...], say }]
export function scripted(place, lines) {
  const file = join(place.home, 'script.json');
  writeFileSync(file, JSON.stringify(lines));
  return listening(process.env.HEARTH_SCRIPTED, [file]);
}
export const builtin = () => listening(process.env.HEARTH_BINARY, ['serve', '--port', '0', '--model', 'builtin']);

// Without the settings of the person who runs the tests, and without a way out.
export function run(place, command, args, env = {}, patience = 120_000) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: place.folder, stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: {
      PATH: process.env.PATH, HOME: place.home, TERM: 'dumb', CI: '1', NO_COLOR: '1',
      XDG_CONFIG_HOME: join(place.home, 'config'), XDG_DATA_HOME: join(place.home, 'data'),
      XDG_CACHE_HOME: join(place.home, 'cache'), XDG_STATE_HOME: join(place.home, 'state'), ...env } });
    let out = '', errors = '';
    child.stdout.on('data', (bytes) => { out += bytes; });
    child.stderr.on('data', (bytes) => { errors += bytes; });
    const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), patience);
    child.once('exit', (code) => { clearTimeout(timer); resolve({ code, out, errors }); });
  });
}
