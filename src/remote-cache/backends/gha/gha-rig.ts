import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** For tests: a server that behaves as the cache service of GitHub Actions is documented to, in both versions, and the storage behind it. */
export interface ActionsCacheRig extends AsyncDisposable {
  /** `http://127.0.0.1:port`, of both versions and of GitHub's own API. */
  readonly url: string;
  /** A token of a job. It writes in the last scope, and reads in all of them, the first one first. */
  token(scopes?: readonly string[]): string;
  /** Keys of finished entries in the order in which they were finished. */
  readonly keys: readonly string[];
  /** Takes a key as a job does that is killed while it uploads. */
  takeKey(key: string, version: string): void;
}

interface Entry {
  readonly id: number;
  readonly scope: string;
  readonly key: string;
  readonly version: string;
  readonly blocks: Map<string, Buffer>;
  data: Buffer | undefined;
}

interface Call {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

interface Answer {
  readonly status: number;
  readonly json?: unknown;
  readonly data?: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

const refKey = 'refs/heads/main';

export async function startActionsCache(): Promise<ActionsCacheRig> {
  const service = new Service();
  const server = createServer((request, response) => void service.serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    token: (scopes = [refKey]) => service.token(scopes),
    get keys() {
      return service.finished.map(({ key }) => key);
    },
    takeKey: (key, version) => void service.reserve({ key, version }, [refKey]),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

class Service {
  readonly #secret = randomUUID();
  readonly #entries: Entry[] = [];
  readonly finished: Entry[] = [];

  token(scopes: readonly string[]): string {
    const seconds = Math.floor(Date.now() / 1000);
    const ac = JSON.stringify(
      scopes.map((Scope, at) => ({ Scope, Permission: at === scopes.length - 1 ? 3 : 1 })),
    );
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ ac, nbf: seconds - 60, exp: seconds + 3600 })}`;
    return `${signed}.${this.#sign(signed)}`;
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const url = new URL(request.url!, `http://${request.headers.host}`);
    const { method = '', headers } = request;
    const {
      status,
      json,
      data,
      headers: more = {},
    } = this.#answer({ method, url, headers, body: Buffer.concat(chunks) });
    const body = data ?? (json === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(json)));
    response.writeHead(status, { 'content-length': body.length, ...more }).end(body);
  }

  #answer(call: Call): Answer {
    const { pathname } = call.url;
    if (pathname.startsWith('/storage/')) return this.#storage(call);
    const scopes = this.#scopesOf(call.headers.authorization);
    if (!scopes) return { status: 401, json: { message: 'the token is not one of this service' } };
    if (pathname.startsWith('/_apis/artifactcache/')) return this.#first(call, scopes);
    if (pathname.startsWith('/twirp/')) return this.#second(call, scopes);
    if (pathname.startsWith('/repos/')) return this.#list(call);
    return { status: 404 };
  }

  #first({ method, url, headers, body }: Call, scopes: readonly string[]): Answer {
    const path = url.pathname.slice('/_apis/artifactcache/'.length);
    if (method === 'GET' && path === 'cache') {
      const keys = (url.searchParams.get('keys') ?? '').split(',');
      const found = this.#find(keys, url.searchParams.get('version')!, scopes);
      if (!found) return { status: 204 };
      const archiveLocation = this.#signedUrl(url, found, 'read');
      return { status: 200, json: { cacheKey: found.key, scope: found.scope, archiveLocation } };
    }
    if (method === 'POST' && path === 'caches') {
      const entry = this.reserve(JSON.parse(body.toString()), scopes);
      const typeKey = 'ArtifactCacheItemAlreadyExistsException';
      return entry
        ? { status: 201, json: { cacheId: entry.id } }
        : { status: 409, json: { message: 'Cache already exists', typeKey } };
    }
    const entry = this.#entries.find(({ id }) => path === `caches/${id}`);
    if (!entry) return { status: 404 };
    if (method === 'PATCH') {
      const [, start, end] = /^bytes (\d+)-(\d+)\/\*$/.exec(headers['content-range'] ?? '') ?? [];
      if (Number(end) - Number(start) + 1 !== body.length) return { status: 400 };
      entry.blocks.set(start!.padStart(20, '0'), body);
      return { status: 204 };
    }
    return this.#finish(entry, JSON.parse(body.toString()).size, [...entry.blocks.keys()].toSorted())
      ? { status: 204 }
      : { status: 400, json: { message: 'the size is not that of what was uploaded' } };
  }

  #second({ url, body }: Call, scopes: readonly string[]): Answer {
    const message = JSON.parse(body.toString());
    switch (url.pathname.split('/').at(-1)) {
      case 'GetCacheEntryDownloadURL': {
        const found = this.#find([message.key, ...message.restore_keys], message.version, scopes);
        if (!found) return { status: 200, json: { ok: false, signed_download_url: '', matched_key: '' } };
        const signed_download_url = this.#signedUrl(url, found, 'read');
        return { status: 200, json: { ok: true, signed_download_url, matched_key: found.key } };
      }
      case 'CreateCacheEntry': {
        const entry = this.reserve(message, scopes);
        return entry
          ? { status: 200, json: { ok: true, signed_upload_url: this.#signedUrl(url, entry, 'write') } }
          : { status: 409, json: { code: 'already_exists', msg: 'cache entry already exists' } };
      }
      default: {
        const entry = this.#entries.find(
          ({ key, version, scope }) =>
            key === message.key && version === message.version && scope === scopes.at(-1),
        );
        const isRight = entry && entry.data?.length === Number(message.size_bytes);
        if (isRight) this.finished.push(entry);
        return { status: 200, json: { ok: Boolean(isRight), entry_id: String(entry?.id ?? 0) } };
      }
    }
  }

  /** As a container of Azure does with blobs under signed addresses. */
  #storage({ method, url, headers, body }: Call): Answer {
    const [, , id = '', right = ''] = url.pathname.split('/');
    const entry = this.#entries.find((each) => String(each.id) === id);
    if (!entry || url.searchParams.get('sig') !== this.#sign(`${id}/${right}`)) return { status: 403 };
    if (method === 'GET') {
      if (!entry.data || right !== 'read') return { status: 404 };
      const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
      const range = `bytes ${from}-${entry.data.length - 1}/${entry.data.length}`;
      return from > 0
        ? { status: 206, data: entry.data.subarray(from), headers: { 'content-range': range } }
        : { status: 200, data: entry.data };
    }
    if (method !== 'PUT' || right !== 'write') return { status: 403 };
    switch (url.searchParams.get('comp')) {
      case 'block':
        entry.blocks.set(url.searchParams.get('blockid')!, body);
        return { status: 201 };
      case 'blocklist': {
        const ids = [...body.toString().matchAll(/<(?:Latest|Uncommitted)>([^<]*)</g)].map(
          ([, each]) => each!,
        );
        if (!ids.every((each) => entry.blocks.has(each))) return { status: 400 };
        entry.data = Buffer.concat(ids.map((each) => entry.blocks.get(each)!));
        return { status: 201, headers: { etag: '"1"' } };
      }
      default:
        entry.data = body;
        return { status: 201, headers: { etag: '"1"' } };
    }
  }

  #list({ url }: Call): Answer {
    const [key, ref] = [url.searchParams.get('key') ?? '', url.searchParams.get('ref')];
    const all = this.finished.filter((entry) => entry.key.startsWith(key) && (!ref || entry.scope === ref));
    const size = Number(url.searchParams.get('per_page'));
    const start = (Number(url.searchParams.get('page')) - 1) * size;
    const actions_caches = all
      .slice(start, start + size)
      .map((entry) => ({ id: entry.id, ref, key: entry.key }));
    return { status: 200, json: { total_count: all.length, actions_caches } };
  }

  /** The newest entry of the first scope, and of the first key there, that begins with a key. */
  #find(keys: readonly string[], version: string, scopes: readonly string[]): Entry | undefined {
    for (const scope of scopes) {
      for (const key of keys) {
        const found = this.finished.findLast(
          (entry) => entry.scope === scope && entry.version === version && entry.key.startsWith(key),
        );
        if (found) return found;
      }
    }
    return undefined;
  }

  /** Undefined when the key is taken, by a finished entry or not. */
  reserve({ key, version }: { key: string; version: string }, scopes: readonly string[]): Entry | undefined {
    const scope = scopes.at(-1)!;
    if (this.#entries.some((each) => each.scope === scope && each.key === key && each.version === version)) {
      return undefined;
    }
    const entry = { id: this.#entries.length + 1, scope, key, version, blocks: new Map(), data: undefined };
    this.#entries.push(entry);
    return entry;
  }

  #finish(entry: Entry, size: number, blocks: readonly string[]): boolean {
    const data = Buffer.concat(blocks.map((block) => entry.blocks.get(block)!));
    if (data.length !== size) return false;
    entry.data = data;
    this.finished.push(entry);
    return true;
  }

  #signedUrl({ origin }: URL, { id }: Entry, right: 'read' | 'write'): string {
    return `${origin}/storage/${id}/${right}?sig=${this.#sign(`${id}/${right}`)}`;
  }

  #sign(text: string): string {
    return createHash('sha256').update(`${this.#secret} ${text}`).digest('base64url');
  }

  #scopesOf(authorization = ''): readonly string[] | undefined {
    const [head = '', claims = '', signature] = authorization.replace('Bearer ', '').split('.');
    if (signature !== this.#sign(`${head}.${claims}`)) return undefined;
    const { ac } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    return JSON.parse(ac).map(({ Scope }: { Scope: string }) => Scope);
  }
}
