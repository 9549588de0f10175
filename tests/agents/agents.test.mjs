// Coding agents as their makers ship them, offline: each changes a file by calling a tool, with a model that
// follows a script, and talks with the built-in model.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { afterwards, builtin, call, program, run, scripted, task, workplace } from './support.mjs';

const said = 'The word is new now.';
const agents = {
  codex: {
    script: (place) => [
      { if: ['<tools>', '<tool_response>'], say: said },
      { if: ['<tools>'], say: call('exec_command', { cmd: `sed -i s/old/new/ ${place.notes}` }) },
      { say: said }],
    start: (place, url, model) => {
      mkdirSync(join(place.home, '.codex'));
      const provider = `{name="Hearth",base_url="${url}/v1",wire_api="responses"}`;
      return [['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox',
        '-c', 'model_provider="hearth"', '-c', `model_providers.hearth=${provider}`, '-m', model],
      { CODEX_HOME: join(place.home, '.codex') }];
    } },
  claude: {
    script: (place) => [
      { if: ['has been updated'], say: said },
      { if: ['<tools>', 'The old word.'], say: call('Edit', { file_path: place.notes, old_string: 'old', new_string: 'new' }) },
      { if: ['<tools>'], say: call('Read', { file_path: place.notes }) },
      { say: said }],
    start: (place, url, model) => [['--permission-mode', 'acceptEdits', '--allowedTools', 'Read,Edit', '-p'], {
      ANTHROPIC_BASE_URL: url, ANTHROPIC_AUTH_TOKEN: 'none', ANTHROPIC_MODEL: model, ANTHROPIC_SMALL_FAST_MODEL: model,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1' }] },
  opencode: {
    script: (place) => [
      { if: ['<tools>', 'Edit applied'], say: said },
      { if: ['<tools>', 'The old word.'], say: call('edit', { filePath: place.notes, oldString: 'old', newString: 'new' }) },
      { if: ['<tools>'], say: call('read', { filePath: place.notes }) },
      { say: 'A title' }],
    start: (place, url, model) => [['run', '-m', `hearth/${model}`], {
      OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1', OPENCODE_CONFIG_CONTENT: JSON.stringify({
        provider: { hearth: { npm: '@ai-sdk/openai-compatible', name: 'Hearth', options: { baseURL: `${url}/v1`, apiKey: 'none' },
          models: { [model]: { name: model, limit: { context: 100_000, output: 4000 } } } } },
        model: `hearth/${model}`, permission: { edit: 'allow' } }) }] },
  cn: {
    script: (place) => [
      { if: ['<tools>', 'uccessfully edited'], say: said },
      { if: ['<tools>', 'The old word.'], say: call('Edit', { file_path: place.notes, old_string: 'old', new_string: 'new' }) },
      { if: ['<tools>'], say: call('Read', { filepath: place.notes }) },
      { say: said }],
    start: (place, url, model) => {
      const file = join(place.home, 'continue.yaml');
      writeFileSync(file, `name: Hearth\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: ${model}\n    provider: openai\n    model: ${model}\n`
        + `    apiBase: ${url}/v1\n    apiKey: none\n    roles: [chat, edit, apply]\n    capabilities: [tool_use]\n`
        + '    defaultCompletionOptions:\n      contextLength: 100000\n      maxTokens: 4000\n');
      return [['--config', file, '--auto', '-p'], { CONTINUE_TELEMETRY_ENABLED: '0' }];
    } },
  cline: {
    script: (place) => [
      { if: ['<tools>', '<tool_response>'], say: said },
      { if: ['<tools>'], say: call('editor', { path: place.notes, old_text: 'old', new_text: 'new' }) },
      { say: said }],
    prepare: (place, url, model) => run(place, program('cline'), ['auth', '-p', 'openai-compatible', '-k', 'none', '-m', model,
      '-b', `${url}/v1`, '--data-dir', join(place.home, 'cline')]),
    start: (place, url, model) => [['--data-dir', join(place.home, 'cline'), '-P', 'openai-compatible', '-m', model,
      '--auto-approve', 'true', '-t', '100'], {}] },
};

const wanted = process.env.HEARTH_AGENTS?.split(',') ?? Object.keys(agents);
for (const name of wanted) {
  const agent = agents[name];
  const ask = async (place, url, model, words) => {
    await agent.prepare?.(place, url, model);
    const [args, env] = agent.start(place, url, model);
    return run(place, program(name), [...args, words], env);
  };

  test(`${name}: changes a file by a tool`, async () => {
    const place = workplace();
    const server = await scripted(place, agent.script(place));
    try {
      const done = await ask(place, server.url, 'scripted', task);
      assert.equal(place.text(), afterwards, `${done.out}\n${done.errors}`);
      assert.ok(done.out.includes(said) || name === 'opencode', done.out);
      assert.equal(done.code, 0, done.errors);
    } finally {
      await server.stop();
      place.remove();
    }
  });
}

// The built-in model has a small context and knows no tools: only what asks without them can talk with it.
test('plain talk with the built-in model', async () => {
  const server = await builtin();
  try {
    const answer = await (await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({
      model: 'builtin', temperature: 0, messages: [{ role: 'user', content: 'How do I serve a model?' }] }) })).json();
    assert.match(answer.choices[0].message.content, /hearth serve/);
  } finally {
    await server.stop();
  }
});
