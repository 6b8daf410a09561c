// An OpenID provider as companies have one: the certified `oidc-provider`, with people and groups that
// the tests change, and with what an attacker would do to its answers.
//
//   node provider.mjs CLIENT_ID CLIENT_SECRET REDIRECT_URI [PORT]
//
// Prints `ready URL`. Under /test, by POST with JSON:
//   person  {login, claims}          what is known of somebody; absent claims: nobody
//   rotate  {alg}                    other keys, and none of those before
//   next    {claims, alg, key, raw}  does that to the next ID token
//   sign    {claims, header, key}    signs a CI job's token; key: own, foreign, none, hmac, public
//   asked   {}                       how often keys were read
import { createServer } from 'node:http';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const modules = createRequire(`${process.env.BOTTEGA_OIDC_PROVIDER}/`);
const load = (name) => import(pathToFileURL(modules.resolve(name)));
const { default: Provider } = await load('oidc-provider');
const jose = await load('jose');

const [clientId, clientSecret, redirectUri, port] = process.argv.slice(2);
const people = new Map();
const adapters = new Map();
let issuer;
let keys;
let foreign;
let handler;
let tampering;
let asked = 0;

async function makeKeys(alg) {
  const made = async () => {
    const pair = await jose.generateKeyPair(alg, { extractable: true });
    const kid = crypto.randomUUID();
    const jwk = { ...(await jose.exportJWK(pair.privateKey)), kid, alg, use: 'sig' };
    return { alg, kid, ...pair, jwk };
  };
  [keys, foreign] = [await made(), await made()];
}

const encode = (value) => Buffer.from(value).toString('base64url');

async function sign(claims, header = {}, key = 'own') {
  if (key === 'own' || key === 'foreign') {
    const by = key === 'own' ? keys : foreign;
    const head = { alg: by.alg, kid: keys.kid, ...header };
    return new jose.SignJWT(claims).setProtectedHeader(head).sign(by.privateKey);
  }
  const alg = key === 'none' ? 'none' : 'HS256';
  const message = [{ alg, kid: keys.kid, ...header }, claims].map((part) => encode(JSON.stringify(part))).join('.');
  if (key === 'none') return `${message}.`;
  // What everybody knows, taken for a shared secret: the public key, or what the client has.
  const secret = key === 'public' ? await jose.exportSPKI(keys.publicKey) : clientSecret;
  return `${message}.${createHmac('sha256', secret).update(message).digest('base64url')}`;
}

// What is on its way outlives a change of keys.
class Adapter {
  constructor(name) {
    if (!adapters.has(name)) adapters.set(name, new Map());
    this.rows = adapters.get(name);
  }
  async upsert(id, payload) { this.rows.set(id, { ...payload }); }
  async find(id) { return this.rows.get(id); }
  async findByUid(uid) { return [...this.rows.values()].find((row) => row.uid === uid); }
  async findByUserCode(code) { return [...this.rows.values()].find((row) => row.userCode === code); }
  async consume(id) { this.rows.get(id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { this.rows.delete(id); }
  async revokeByGrantId(grantId) {
    for (const [id, row] of this.rows) if (row.grantId === grantId) this.rows.delete(id);
  }
}

function start() {
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      redirect_uris: [redirectUri],
      post_logout_redirect_uris: [new URL('/', redirectUri).href],
      grant_types: ['authorization_code'],
      response_types: ['code'],
      id_token_signed_response_alg: keys.alg,
    }],
    jwks: { keys: [keys.jwk] },
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['a test'] },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'] },
    findAccount: (ctx, login) => {
      const claims = people.get(login);
      return claims && { accountId: login, claims: () => ({ sub: login, ...claims }) };
    },
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/jwks') asked += 1;
    if (tampering && ctx.path === '/token' && ctx.body?.id_token) {
      const { claims, header, key, raw } = tampering;
      tampering = undefined;
      const was = jose.decodeJwt(ctx.body.id_token);
      const is = raw ?? await sign({ ...was, ...claims }, header, key);
      ctx.body = { ...ctx.body, id_token: is };
    }
  });
  handler = provider.callback();
}

async function test(path, body) {
  switch (path) {
    case '/test/person':
      if (body.claims) people.set(body.login, body.claims); else people.delete(body.login);
      return {};
    case '/test/rotate':
      await makeKeys(body.alg ?? keys.alg);
      start();
      return { kid: keys.kid };
    case '/test/next':
      tampering = body;
      return {};
    case '/test/sign':
      return { token: await sign(body.claims, body.header, body.key) };
    case '/test/asked':
      return { asked };
    default:
      throw new Error(`no such test: ${path}`);
  }
}

const server = createServer(async (request, response) => {
  if (!request.url.startsWith('/test/')) return handler(request, response);
  try {
    let text = '';
    for await (const piece of request) text += piece;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(await test(request.url, JSON.parse(text || '{}'))));
  } catch (error) {
    response.statusCode = 500;
    response.end(String(error));
  }
});

await makeKeys('RS256');
server.listen(Number(port ?? 0), '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  start();
  console.log(`ready ${issuer}`);
});
