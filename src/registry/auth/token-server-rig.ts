import { execFile } from 'node:child_process';
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { type RegistryRig, startRegistry, tokenIssuer } from '../registry-rig.ts';

/** What the server was asked for a token. */
export interface TokenRequest {
  readonly method: string;
  /** Undefined for nobody. */
  readonly user: string | undefined;
  readonly scopes: readonly string[];
}

/** Who may do what. */
export interface TokenRules {
  /** Passwords by user. */
  readonly users: Readonly<Record<string, string>>;
  /** Users by identity token. */
  readonly identities?: Readonly<Record<string, string>>;
  /** The actions that a user, or nobody, has in a repository. */
  allows(user: string | undefined, repository: string): readonly string[];
  /** A status instead of an answer. */
  refuses?(request: IncomingMessage): number | undefined;
}

/** How many seconds `docker-registry` takes a token after its end. */
const leeway = 60;

/** For tests: a token server that signs tokens as `docker-registry` verifies them, and such a registry. */
export class TokenServerRig implements AsyncDisposable {
  readonly requests: TokenRequest[] = [];
  /** Seconds for which tokens are good; what the answer says is `announced`. */
  lifetime = 300;
  announced = 300;
  /** The token that was given last. */
  latest = '';
  registry!: RegistryRig;
  readonly #directory: string;
  readonly #rules: TokenRules;
  readonly #key: string;
  readonly #certificate: string;
  readonly #server: Server;

  private constructor(directory: string, rules: TokenRules, key: string, certificate: string) {
    this.#directory = directory;
    this.#rules = rules;
    this.#key = key;
    this.#certificate = certificate;
    this.#server = createServer(async (request, response) => {
      const refusal = this.#rules.refuses?.(request);
      const answer = refusal === undefined ? await this.#answer(request) : undefined;
      response.writeHead(refusal ?? (answer ? 200 : 401)).end(JSON.stringify(answer ?? {}));
    });
  }

  static async start(rules: TokenRules): Promise<TokenServerRig> {
    const directory = await mkdtemp(path.join(tmpdir(), 'kiln-tokens-'));
    const [key, certificate] = [path.join(directory, 'key.pem'), path.join(directory, 'cert.pem')];
    const make = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=tokens'];
    await promisify(execFile)('openssl', [...make, '-keyout', key, '-out', certificate]);
    const read = (file: string) => readFile(file, 'utf8');
    const rig = new TokenServerRig(directory, rules, await read(key), await read(certificate));
    await new Promise<void>((resolve) => rig.#server.listen(0, '127.0.0.1', resolve));
    rig.registry = await startRegistry({
      token: { realm: `${rig.url}/token`, service: 'kiln-test', rootcertbundle: certificate },
    });
    return rig;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage): Promise<object | undefined> {
    const url = new URL(request.url ?? '', this.url);
    const form = request.method === 'POST' ? new URLSearchParams(await text(request)) : url.searchParams;
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    const login = loginOf(request, form);
    const { users, identities = {} } = this.#rules;
    const user = login.identity === undefined ? login.name : identities[login.identity];
    this.requests.push({ method: request.method ?? '', user, scopes });
    const refused =
      login.identity === undefined
        ? user !== undefined && users[user] !== login.password
        : user === undefined;
    if (refused) return undefined;
    const token = this.#token(user, scopes);
    this.latest = token;
    const key = request.method === 'POST' ? 'access_token' : 'token';
    return { [key]: token, expires_in: this.announced, issued_at: new Date().toISOString() };
  }

  #token(user: string | undefined, scopes: readonly string[]): string {
    const seconds = Math.floor(Date.now() / 1000);
    const access = scopes.map((scope) => {
      const [type, name, actions = ''] = scope.split(/:(.*):/);
      const allowed = this.#rules.allows(user, name ?? '');
      return { type, name, actions: actions.split(',').filter((action) => allowed.includes(action)) };
    });
    const der = this.#certificate.replaceAll(/-----[^-]*-----|\s/g, '');
    const header = { typ: 'JWT', alg: 'RS256', x5c: [der] };
    const claims = {
      iss: tokenIssuer,
      sub: user ?? '',
      aud: 'kiln-test',
      exp: seconds + this.lifetime - leeway,
      nbf: seconds - leeway - 10,
      iat: seconds,
      jti: randomUUID(),
      access,
    };
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const payload = `${encode(header)}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(payload), createPrivateKey(this.#key));
    return `${payload}.${signature.toString('base64url')}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function loginOf(request: IncomingMessage, form: URLSearchParams) {
  const identity = form.get('refresh_token') ?? undefined;
  if (form.get('grant_type') === 'password') {
    return { identity, name: form.get('username') ?? '', password: form.get('password') ?? '' };
  }
  const { authorization } = request.headers;
  if (authorization === undefined) return { identity, name: undefined, password: undefined };
  const login = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
  const end = login.indexOf(':');
  const [name, password] = [login.slice(0, end), login.slice(end + 1)];
  return { identity, name, password };
}
