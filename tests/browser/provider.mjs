// An OpenID provider for the tests: the real library, in this process and in memory only. It can be told to give tokens that are wrong in
// one way each, to take a new key, to be away, and to change or disable a person.
import http from 'node:http';
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider, { interactionPolicy } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';
import { SignJWT, decodeJwt, importJWK } from 'jose';

const makeKey = () => ({ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' });
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

/** Ways in which an ID token is wrong; each is given the genuine claims. */
const WRONG = {
  audience: (c) => ({ ...c, aud: 'somebody-else' }),
  issuer: (c) => ({ ...c, iss: `${c.iss}/other` }),
  'no nonce': ({ nonce, ...c }) => c,
  'another nonce': (c) => ({ ...c, nonce: `${c.nonce}x` }),
  expired: (c) => ({ ...c, iat: now() - 7200, exp: now() - 3600 }),
  'from the future': (c) => ({ ...c, iat: now() + 3600, nbf: now() + 3600, exp: now() + 7200 }),
  'no subject': ({ sub, ...c }) => c,
  'another subject': (c) => ({ ...c, sub: 'ann' }),
};
export const WRONG_TOKENS = [...Object.keys(WRONG), 'no signature', 'another key', 'a shared secret', 'no key id'];

export async function startProvider({ secret, clients }) {
  const state = {
    users: {
      ann: { name: 'Ann Admin', email: 'ann@example.test', email_verified: true, groups: ['affiant-admins'] },
      bob: { name: 'Bob Builder', email: 'bob@example.test', email_verified: true, groups: ['payments-team'] },
      carol: { name: 'Carol Clerk', email: 'carol@example.test', email_verified: true, groups: [] },
      mallory: { name: '<img src=x onerror=alert(1)>', email: 'ANN@example.test', email_verified: false, groups: ["x' OR 1=1 --", ...Array.from({ length: 300 }, (_, n) => `g${n}`)] },
    },
    keys: [makeKey()], wrong: null, away: false,
  };
  const server = http.createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  let provider, handle;
  // What it knows outlives a change of keys.
  const store = new Map();
  class Adapter extends MemoryAdapter { constructor(model) { super(model, store); } }

  const spoil = async (token) => {
    const claims = (WRONG[state.wrong] ?? ((c) => c))(decodeJwt(token));
    const key = state.wrong === 'another key' ? makeKey() : state.keys[0];
    const kid = state.wrong === 'no key id' ? undefined : state.keys[0].kid;
    if (state.wrong === 'no signature') return `${encode({ alg: 'none', kid })}.${encode(claims)}.`;
    if (state.wrong === 'a shared secret') {
      // The public key as the secret of an HMAC: what confuses who lets the token choose the algorithm.
      const pem = createPublicKey({ key: { kty: key.kty, n: key.n, e: key.e }, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
      const signed = `${encode({ alg: 'HS256', kid })}.${encode(claims)}`;
      return `${signed}.${createHmac('sha256', pem).update(signed).digest('base64url')}`;
    }
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).sign(await importJWK(key, 'RS256'));
  };
  const build = () => {
    provider = new Provider(issuer, {
      adapter: Adapter,
      // It refuses to call loopback addresses, where everything is in these tests.
      fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
      clients: clients.map(({ id, base, redirect = `${base}/auth/callback` }) => ({
        client_id: id, client_secret: secret, redirect_uris: [redirect], post_logout_redirect_uris: [`${base}/`],
        backchannel_logout_uri: `${base}/auth/backchannel-logout`, backchannel_logout_session_required: true,
        grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      })),
      jwks: { keys: state.keys }, cookies: { keys: ['only for tests'] }, pkce: { required: () => true },
      scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'], conformIdTokenClaims: false,
      acrValues: ['one-factor', 'two-factors'],
      claims: { openid: ['sub', 'acr'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
      findAccount: (_, id) => state.users[id] && !state.users[id].disabled && { accountId: id, claims: async () => ({ sub: id, ...state.users[id] }) },
      issueRefreshToken: async (_, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
      ttl: { AccessToken: 3600, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400 },
      features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true }, backchannelLogout: { enabled: true }, userinfo: { enabled: true } },
      interactions: { url: (_, interaction) => `/choose/${interaction.uid}`, policy: interactionPolicy.base() },
    });
    provider.use(async (ctx, next) => {
      await next();
      if (state.wrong && ctx.oidc?.route === 'token' && ctx.body?.id_token) ctx.body.id_token = await spoil(ctx.body.id_token);
    });
    for (const event of ['server_error', 'backchannel.error']) provider.on(event, (...all) => console.error(event, all.find((one) => one instanceof Error)?.cause ?? all.find((one) => one instanceof Error)?.message));
    handle = provider.callback();
  };
  // Who is it? A page with a link for each person; then consent is given as asked.
  const choose = async (request, response, url) => {
    const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
    const who = url.searchParams.get('who');
    if (prompt.name === 'login' && !who) {
      const links = Object.keys(state.users).map((id) => `<li><a id="${id}" href="${url.pathname}?who=${id}">${id}</a>`);
      return response.writeHead(200, { 'content-type': 'text/html' }).end(`<title>Who are you?</title><h1>Who are you?</h1><ul>${links.join('')}</ul>`);
    }
    const accountId = who ?? session.accountId;
    const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const consent = { grantId: await grant.save() };
    return provider.interactionFinished(request, response, prompt.name === 'login' ? { login: { accountId, acr: state.users[accountId]?.acr ?? 'one-factor' }, consent } : { consent }, { mergeWithLastSubmission: true });
  };
  build();
  server.on('request', (request, response) => {
    const url = new URL(request.url, issuer);
    if (state.away) return response.writeHead(503).end('away');
    if (!url.pathname.startsWith('/choose/')) return handle(request, response);
    return choose(request, response, url).catch((error) => { if (!response.headersSent) response.writeHead(500).end(String(error)); });
  });
  return {
    issuer, state,
    /** Signs with a new key from now on; the old one stays for a while, or goes at once. */
    rotate(drop = false) { state.keys = [makeKey(), ...(drop ? [] : state.keys.slice(0, 1))]; build(); },
    /** A token of the platform for one of its pipelines. */
    async sign(claims, key = state.keys[0]) {
      return new SignJWT({ iss: issuer, iat: now(), exp: now() + 300, ...claims }).setProtectedHeader({ alg: 'RS256', kid: key.kid }).sign(await importJWK(key, 'RS256'));
    },
    makeKey,
    stop() { server.closeAllConnections(); server.close(); },
  };
}
