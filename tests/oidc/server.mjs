// An authorization server for the tests: oidc-provider, which is OpenID-certified and knows nothing of runner.
//
//     node server.mjs SETTINGS
//
// SETTINGS is JSON: clients (as oidc-provider takes them), resources {indicator: "scope scope"}, seconds (a token's life),
// log (a file), modules (the folder with node_modules), delay (milliseconds before each answer of the token endpoint).
// The first line on stdout is {"port": n}. It ends when its stdin does.
//
// The log is the independent record of what was issued: a line of JSON for each event of oidc-provider, with the time
// (epoch milliseconds) and the first 16 hex digits of the token's sha256. The token itself is written nowhere.

import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const require = createRequire(`${settings.modules}/`);
const { Provider, errors } = await import(pathToFileURL(require.resolve('oidc-provider')));
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

const wait = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const digest = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
const write = (event, more) => appendFileSync(settings.log, `${JSON.stringify({ event, at: Date.now(), ...more })}\n`);

const server = createServer();
await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
const issuer = `http://127.0.0.1:${server.address().port}`;

// Its own adapter would forget the oldest of a thousand tokens.
const stored = new Map();
class Store {
  constructor(name) { this.name = name; }
  async upsert(id, payload) { stored.set(`${this.name}:${id}`, payload); }
  async find(id) { return stored.get(`${this.name}:${id}`); }
  async destroy(id) { stored.delete(`${this.name}:${id}`); }
  async consume(id) { stored.get(`${this.name}:${id}`).consumed = true; }
  async revokeByGrantId() {}
  async findByUid() {}
  async findByUserCode() {}
}

const provider = new Provider(issuer, {
  adapter: Store,
  clients: settings.clients,
  scopes: [...new Set(Object.values(settings.resources).flatMap((scopes) => scopes.split(' ')))],
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  ttl: { ClientCredentials: settings.seconds ?? 600, AccessToken: settings.seconds ?? 600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(_, indicator) {
        if (!Object.hasOwn(settings.resources, indicator)) throw new errors.InvalidTarget();
        return { scope: settings.resources[indicator], audience: indicator, accessTokenFormat: 'opaque' };
      },
    },
    richAuthorizationRequests: {
      enabled: true,
      types: { customer: { validate() {} } },
      authorizationDetailsForAccessToken: (ctx) => JSON.parse(ctx.oidc.params.authorization_details),
      authorizationDetailsForIntrospection: (_, token) => token.rar,
      authorizationDetailsForGrantSource: () => undefined,
    },
  },
});

// RFC 8693, as far as a test needs it: the subject token is written to the log, and believed.
provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { client, params } = ctx.oidc;
  if (params.requested_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('another type was requested');
  if (!params.subject_token || !params.subject_token_type) throw new errors.InvalidRequest('no subject token');
  if (!Object.hasOwn(settings.resources, params.resource)) throw new errors.InvalidTarget();
  const known = new Set(settings.resources[params.resource].split(' '));
  const token = new provider.ClientCredentials({
    client, scope: params.scope.split(' ').filter((scope) => known.has(scope)).join(' '),
  });
  token.setAudience(params.resource);
  const value = await token.save();
  write('exchanged', { token: digest(value), subject: digest(params.subject_token), type: params.subject_token_type });
  ctx.body = {
    access_token: value, issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', expires_in: token.expiration,
    scope: token.scope,
  };
}, new Set([
  'scope', 'resource', 'audience', 'subject_token', 'subject_token_type', 'requested_token_type', 'actor_token',
  'actor_token_type',
]));

for (const event of ['client_credentials.saved', 'client_credentials.issued', 'client_credentials.destroyed',
  'access_token.saved', 'access_token.issued', 'access_token.destroyed']) {
  provider.on(event, (token) => write(event, { token: digest(token.jti), scope: token.scope, audience: token.aud }));
}
provider.on('grant.revoked', () => write('grant.revoked', {}));
provider.on('grant.error', (_, error) => write('grant.error', { error: error.message }));
provider.on('server_error', (_, error) => write('server_error', { error: String(error.stack) }));

const answer = provider.callback();
server.on('request', async (request, response) => {
  if (request.url === '/token') {
    write('asked', {});
    if (settings.delay) await wait(settings.delay);
  }
  answer(request, response);
});
process.stdin.on('end', () => process.exit(0)).resume();
process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
