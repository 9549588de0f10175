// Signing in to servers made with @modelcontextprotocol/sdk: its own authorization server, its own
// check of tokens, and others that mean harm.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import express from 'express';
import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { InvalidGrantError, InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { mcpAuthMetadataRouter, mcpAuthRouter, createOAuthMetadata, getOAuthProtectedResourceMetadataUrl }
  from '@modelcontextprotocol/sdk/server/auth/router.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { makeServer } from './mcp-server.mjs';

const binary = process.env.HEARTH_BINARY ?? '../../build/release/hearth';
const folder = mkdtempSync(join(tmpdir(), 'hearth-mcp-oauth-'));
const config = join(folder, 'mcp.json');
const grants = join(folder, '.local/share/hearth/mcp_grants.json');

// A browser is a program that is given an address; what it does before is `first`.  (Not fetch, which
// says of itself what it is.)
const browser = (name, first = '') => {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\nask() { curl -s -o /dev/null -H 'Sec-Fetch-Site: cross-site' -H "Sec-Fetch-Mode: $1" -w '%{http_code}' "$2"; }\n${first}
exec curl -sL -o /dev/null -H 'Sec-Fetch-Site: cross-site' -H 'Sec-Fetch-Mode: navigate' "$1"\n`);
  chmodSync(path, 0o755);
  return path;
};
const follows = browser('follows');

const hearth = (words, program = follows) => new Promise((resolve) =>
  execFile(binary, ['mcp', ...words, '--mcp-config', config, '--json'],
    { env: { PATH: process.env.PATH, HOME: folder, BROWSER: program } }, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, json: stdout ? JSON.parse(stdout) : null, stderr })));
const login = (name, program, ...more) => hearth(['login', name, '--minutes', '1', ...more], program);
const kept = () => JSON.parse(readFileSync(grants, 'utf8'));

const listen = (app) => new Promise((resolve) => {
  const server = createServer(app).listen(0, '127.0.0.1', () => resolve(server));
});
const origin = (server) => `http://127.0.0.1:${server.address().port}`;

// The SDK's example, with tokens that are renewed and can be taken back.
class Provider extends DemoInMemoryAuthProvider {
  seconds = 3600; refreshed = 0; refreshTokens = new Set(); denies = false;
  async authorize(client, params, response) {
    if (!this.denies) return super.authorize(client, params, response);
    const to = new URL(params.redirectUri);
    to.search = new URLSearchParams({ error: 'access_denied', error_description: 'not today', state: params.state }).toString();
    response.redirect(to.href);
  }
  give(tokens) {
    const refresh_token = randomUUID();
    this.refreshTokens.add(refresh_token);
    return { ...tokens, expires_in: this.seconds, refresh_token };
  }
  async exchangeAuthorizationCode(...all) { return this.give(await super.exchangeAuthorizationCode(...all)); }
  async verifyAccessToken(token) {
    try { return await super.verifyAccessToken(token); } catch (error) { throw new InvalidTokenError(error.message); }
  }
  async exchangeRefreshToken(client, old, scopes, resource) {
    if (!this.refreshTokens.delete(old)) throw new InvalidGrantError('used up');
    this.refreshed += 1;
    const token = randomUUID();
    this.tokens.set(token, { token, clientId: client.client_id, scopes: scopes?.length ? scopes : ['mcp:tools'], expiresAt: Date.now() + 3600000, resource, type: 'access' });
    return this.give({ access_token: token, token_type: 'bearer' });
  }
}

let provider, authority, wiki, elsewhere;
const seenElsewhere = [];
before(async () => {
  const authApp = express();
  authority = await listen(authApp);
  const wikiApp = express();
  wiki = await listen(wikiApp);
  const resource = new URL(`${origin(wiki)}/mcp`);
  provider = new Provider((asked) => asked?.href === resource.href);
  authApp.use(mcpAuthRouter({ provider, issuerUrl: new URL(origin(authority)), scopesSupported: ['mcp:tools'], authorizationOptions: { rateLimit: false },
    tokenOptions: { rateLimit: false }, clientRegistrationOptions: { rateLimit: false } }));
  wikiApp.use(mcpAuthMetadataRouter({ oauthMetadata: createOAuthMetadata({ provider, issuerUrl: new URL(origin(authority)) }),
    resourceServerUrl: resource, scopesSupported: ['mcp:tools'] }));
  wikiApp.use(express.json());
  wikiApp.post('/mcp', requireBearerAuth({ verifier: provider, requiredScopes: ['mcp:tools'],
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource) }), async (request, response) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await makeServer().connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
  elsewhere = await listen((request, response) => {
    seenElsewhere.push(request.headers);
    response.writeHead(500).end();
  });
  set({ wiki: { type: 'http', url: resource.href } });
});
after(() => { for (const server of [authority, wiki, elsewhere]) server?.close(); });
const set = (mcpServers) => writeFileSync(config, JSON.stringify({ mcpServers }));
beforeEach(() => { provider.denies = false; provider.seconds = 3600; });

const add = async () => (await hearth(['call', 'wiki', 'add', '{"a": 2, "b": 40}'])).json?.text;
const problem = async () => (await hearth(['list', 'wiki'])).json.servers[0].problem;

test('a server that wants somebody to sign in says how', async () => {
  assert.match(await problem(), /hearth mcp login wiki/);
});

test('signing in: found, registered, proved, kept for oneself', async () => {
  const { code, json, stderr } = await login('wiki');
  assert.equal(code, 0, stderr);
  assert.equal(json.renews, true);
  assert.equal(new URL(json.issuer).origin, origin(authority));
  assert.equal(statSync(grants).mode & 0o777, 0o600);
  assert.equal(await add(), '42');
  assert.equal(await problem(), '');
});

test('a token that is over, or was taken back, is renewed', async () => {
  const first = kept().wiki.access_token;
  provider.tokens.clear();
  const before = provider.refreshed;
  assert.equal(await add(), '42');
  assert.equal(provider.refreshed, before + 1);
  assert.notEqual(kept().wiki.access_token, first);
  const all = kept();
  all.wiki.expires_at = 1;
  writeFileSync(grants, JSON.stringify(all));
  assert.equal(await add(), '42');
  assert.equal(provider.refreshed, before + 2);
});

test('what cannot be renewed needs a person again', async () => {
  provider.tokens.clear();
  provider.refreshTokens.clear();
  assert.match(await problem(), /hearth mcp login wiki/);
  assert.equal((await login('wiki')).code, 0);
  assert.equal(await add(), '42');
});

test('answers with another state are not taken, and do not end the wait', async () => {
  const meddles = browser('meddles', `port=$(printf %s "$1" | sed 's/.*127.0.0.1%3A\\([0-9]*\\)%2Fcallback.*/\\1/')
for query in '' '?code=evil' '?code=evil&state=x'; do [ "$(ask navigate "http://127.0.0.1:$port/callback$query")" = 400 ] || exit 1; done
[ "$(ask no-cors "http://127.0.0.1:$port/callback?code=evil")" = 403 ] || exit 1`);
  const { code, stderr } = await login('wiki', meddles);
  assert.equal(code, 0, stderr);
  assert.equal(await add(), '42');
});

test('a refusal is told', async () => {
  provider.denies = true;
  const { code, stderr } = await login('wiki');
  assert.notEqual(code, 0);
  assert.match(stderr, /access_denied.*not today/);
});

test('tokens go to the address they are for, and to no other', async () => {
  set({ wiki: { type: 'http', url: `${origin(elsewhere)}/mcp` } });
  await hearth(['list', 'wiki']);
  assert.ok(seenElsewhere.length > 0);
  for (const headers of seenElsewhere) assert.equal(headers.authorization, undefined);
  set({ wiki: { type: 'http', url: `${origin(wiki)}/mcp` } });
});

test('logging out deletes the tokens', async () => {
  assert.equal((await hearth(['logout', 'wiki'])).json.forgotten, true);
  assert.equal((await hearth(['logout', 'wiki'])).json.forgotten, false);
  assert.equal(kept().wiki, undefined);
  assert.match(await problem(), /hearth mcp login wiki/);
});

// Servers whose words do not hold together.  `words` makes what they say from their own origin.
const json = (response, body, status = 200, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};
const metadata = (at, more) => ({ issuer: at, authorization_endpoint: `${at}/authorize`, token_endpoint: `${at}/token`,
  registration_endpoint: `${at}/register`, response_types_supported: ['code'], code_challenge_methods_supported: ['S256'], ...more });
for (const [what, words, says] of [
  ['metadata at another server', (at) => ({ challenge: `${origin(elsewhere)}/m` }), /another server/],
  ['metadata of another resource', (at) => ({ resource: { resource: `${origin(elsewhere)}/mcp`, authorization_servers: [at] } }), /another resource/],
  ['an issuer that is another', (at) => ({ provider: metadata(at, { issuer: origin(elsewhere) }) }), /says that it is/],
  ['a provider without proofs', (at) => ({ provider: metadata(at, { code_challenge_methods_supported: ['plain'] }) }), /PKCE/],
  ['a token endpoint without TLS', (at) => ({ provider: metadata(at, { token_endpoint: 'http://id.example/token' }) }), /not an address to sign in at/],
  ['an authorization endpoint that is no address', (at) => ({ provider: metadata(at, { authorization_endpoint: 'file:///etc/passwd' }) }), /not an address/],
  ['no registration', (at) => ({ provider: metadata(at, { registration_endpoint: undefined }) }), /--client-id/],
  ['a provider elsewhere without TLS', (at) => ({ resource: { resource: `${at}/mcp`, authorization_servers: ['http://id.example'] } }), /not an address/],
  ['metadata without end', (at) => ({ long: true }), /too long/],
]) {
  test(`refused: ${what}`, async () => {
    let said;
    const server = await listen((request, response) => {
      if (request.url.startsWith('/mcp'))
        return json(response, {}, 401, said.challenge ? { 'www-authenticate': `Bearer resource_metadata="${said.challenge}"` } : {});
      if (said.long) return response.end('{"a": "' + 'x'.repeat(1 << 20) + '"}');
      if (request.url.includes('oauth-protected-resource'))
        return json(response, said.resource ?? { resource: `${said.at}/mcp`, authorization_servers: [said.at] });
      if (request.url.includes('oauth-authorization-server')) return json(response, said.provider ?? metadata(said.at));
      return json(response, {}, 404);
    });
    said = { at: origin(server), ...words(origin(server)) };
    set({ evil: { type: 'http', url: `${origin(server)}/mcp` } });
    const { code, stderr } = await login('evil');
    server.close();
    assert.notEqual(code, 0);
    assert.match(stderr, says);
  });
}

test('a server that lets everybody in, and one that is a program', async () => {
  const open = await listen((request, response) => json(response, {}, request.url === '/mcp' ? 200 : 404));
  set({ open: { type: 'http', url: `${origin(open)}/mcp` }, program: { command: 'true' } });
  assert.match((await login('open')).stderr, /nothing to sign in to/);
  assert.match((await login('program')).stderr, /is a program/);
  assert.match((await login('absent')).stderr, /no server/);
  open.close();
});

test('a server of before there was metadata', async () => {
  const codes = new Map();
  const old = await listen(express().use(express.json()).use(express.urlencoded({ extended: false }))
    .post('/mcp', (request, response) => json(response, {}, 401))
    .post('/register', (request, response) => json(response, { ...request.body, client_id: 'one', client_secret: 'two' }, 201))
    .get('/authorize', (request, response) => {
      codes.set('code', request.query.code_challenge);
      response.redirect(`${request.query.redirect_uri}?code=code&state=${request.query.state}`);
    })
    .post('/token', (request, response) => json(response,
      request.headers.authorization === `Basic ${btoa('one:two')}` && request.body.code_verifier?.length >= 43
        ? { access_token: 'abc', token_type: 'Bearer' } : {}, 200)));
  set({ old: { type: 'http', url: `${origin(old)}/mcp` } });
  const { code, stderr } = await login('old');
  old.close();
  assert.equal(code, 0, stderr);
  assert.equal(kept().old.access_token, 'abc');
});
