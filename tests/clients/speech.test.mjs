// Speech to text through the openai SDK, with a tiny model that has learnt nothing.
import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { after, before, test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { startServer } from './server.mjs';

const speech = '../golden/speech';
let server, client;
before(async () => {
  server = await startServer('--model', `${speech}/tiny`, '--model', `${speech}/ggml-tiny.bin`);
  client = new OpenAI({ baseURL: server.base, apiKey: 'none', maxRetries: 0 });
});
after(() => server.stop());

const ask = (more) => ({ model: 'tiny', language: 'de', file: createReadStream(`${speech}/notes.wav`), ...more });
const transcribe = (more) => client.audio.transcriptions.create(ask(more));

test('the list of models says which ones hear', async () => {
  const models = (await client.models.list()).data;
  const tiny = models.find((model) => model.id === 'tiny');
  assert.deepEqual(tiny.capabilities, ['transcription']);
  assert.deepEqual(tiny.architecture.input_modalities, ['audio']);
});

test('text, subtitles and JSON say the same', async () => {
  const { text, usage } = await transcribe();
  assert.ok(text.length > 0);
  assert.deepEqual(usage, { type: 'duration', seconds: 3 });
  assert.equal((await transcribe({ response_format: 'text' })).trim(), text);
  assert.match(await transcribe({ response_format: 'srt' }), /^1\n00:00:0\d,\d{3} --> 00:00:0/);
  assert.match(await transcribe({ response_format: 'vtt' }), /^WEBVTT\n\n00:/);
  const verbose = await transcribe({ response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] });
  assert.equal(verbose.text, text);
  assert.equal(verbose.language, 'german');
  assert.equal(verbose.segments.map((segment) => segment.text).join('').trim(), text);
  assert.ok(verbose.words.every((word) => word.start <= word.end));
});

test("whisper.cpp's file says what the folder says", async () => {
  const verbose = { response_format: 'verbose_json' };
  const [folder, file] = [await transcribe(verbose), await transcribe({ model: 'ggml-tiny.bin', ...verbose })];
  assert.ok(folder.segments.length > 0 && file.segments.length > 0);
});

test('a stream gives the same text, part by part', async () => {
  const { text } = await transcribe();
  let parts = '', done;
  for await (const event of await transcribe({ stream: true })) {
    if (event.type === 'transcript.text.delta') parts += event.delta;
    if (event.type === 'transcript.text.done') done = event.text;
  }
  assert.equal(parts.trim(), text);
  assert.equal(done, text);
});

test('translations, and the names of the service stand for what is here', async () => {
  const file = () => createReadStream(`${speech}/notes.wav`);
  assert.ok((await client.audio.translations.create({ model: 'whisper-1', file: file() })).text.length > 0);
  const heard = await client.audio.transcriptions.create({ model: 'whisper-1', file: file(), response_format: 'verbose_json' });
  assert.equal(heard.task, 'transcribe');
});

test('what is wrong is said by name', async () => {
  const noise = await toFile(Buffer.from('this is no sound'), 'a.wav');
  const m4a = await toFile(Buffer.from('\0\0\0 ftypM4A isom'), 'a.m4a');
  const rows = [
    [{ file: noise }, 400, /WAV, FLAC/],
    [{ file: m4a }, 400, /ffmpeg/],
    [{ model: 'builtin' }, 400, /cannot write down/],
    [{ model: 'absent' }, 404, /absent/],
    [{ language: 'klingon' }, 400, /language/],
    [{ temperature: 7 }, 400, /temperature/],
    [{ response_format: 'srt', timestamp_granularities: ['word'] }, 400, /verbose_json/],
  ];
  for (const [more, status, says] of rows)
    await assert.rejects(transcribe(more), (error) => {
      assert.equal(error.status, status);
      assert.match(error.message, says);
      return true;
    });
  await assert.rejects(
    client.chat.completions.create({ model: 'tiny', messages: [{ role: 'user', content: 'hello' }] }),
    /hearth transcribe|audio\/transcriptions/,
  );
});
