import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { hostPlatform } from '../../base/platform.ts';
import { silentProgress } from '../../base/progress.ts';
import { secretsService } from '../../client-services/secrets-service.ts';
import { uploadService } from '../../client-services/upload-service.ts';
import { HttpRig } from '../../http/http-rig.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import { createClientCredentials } from '../../session/requests/client-credentials.ts';
import { openSessionRig } from '../../session/session-rig.ts';
import type { FileResolver, Source, SourceContext } from '../source.ts';
import { HttpDownloads } from './http-downloads.ts';
import { createHttpSource } from './http-source.ts';

/** How a source is asked. Builds have no session by default. */
export interface Asked {
  readonly attrs?: Readonly<Record<string, string>>;
  readonly sessions?: readonly string[];
  readonly signal?: AbortSignal;
  /** Gets the trees that are held for the build. */
  readonly held?: ImmutableRef[];
}

/** For tests: an http source, a server, and a client with secrets and an upload (`one`). */
export interface HttpSourceRig extends AsyncDisposable {
  readonly dir: string;
  readonly database: DatabaseSync;
  readonly diskUsage: DiskUsage;
  readonly server: HttpRig;
  readonly source: Source & FileResolver & AsyncDisposable;
  /** That of the client. */
  readonly session: string;
  /** Asks as another build does: what an earlier one found out counts only as far as it is kept. */
  build(
    url: string,
    asked?: Asked,
  ): Promise<{ digest: string; pin?: string; snapshot(): Promise<ImmutableRef> }>;
}

export async function openHttpSourceRig(): Promise<HttpSourceRig> {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-http-source-'));
  const resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(dir, { recursive: true }));
  const { database, diskUsage, refStore, pool } = await openRefStoreRig(dir, resources, {
    onRemoved: (id) => downloads.forgetRef(id),
  });
  const downloads = new HttpDownloads(database);
  const client = resources.use(
    await openSessionRig([
      secretsService([
        { id: 'named', kind: 'environment', variable: 'PATH' },
        { id: 'HTTP_AUTH_TOKEN_127.0.0.1', kind: 'environment', variable: 'HOME' },
      ]),
      uploadService(new Map([['one', uploaded()]])),
    ]),
  );
  const { sessions } = client;
  const credentials = createClientCredentials(sessions, { directory: path.join(dir, 'sockets') });
  const retry = { attempts: 3, firstDelay: 1 };
  const source = resources.use(createHttpSource({ downloads, pool, refStore, credentials, sessions, retry }));
  const server = resources.use(await HttpRig.start());
  return {
    dir,
    database,
    diskUsage,
    server,
    source,
    session: client.session.id,
    async build(url, asked = {}) {
      const instance = source.open({ identifier: url, attrs: asked.attrs ?? {} }, hostPlatform());
      const context = contextOf(asked);
      const key = await instance.key(context);
      return { ...key, snapshot: () => instance.snapshot(context) };
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export function contextOf({
  sessions = [],
  signal = new AbortController().signal,
  held,
}: Asked): SourceContext {
  return {
    signal,
    progress: silentProgress,
    sessions: () => sessions,
    retain: (ref) => held?.push(ref.clone()),
  };
}

/** The only file of a tree. */
export async function fileOf(ref: ImmutableRef) {
  const [layer] = await ref.layerDirs();
  const names = readdirSync(layer!);
  assert.equal(names.length, 1, `the tree has ${names}`);
  const file = path.join(layer!, names[0]!);
  const { mode, uid, gid, mtime } = statSync(file);
  const owner = `${uid}:${gid}`;
  return { name: names[0], text: readFileSync(file, 'utf8'), mode: mode & 0o7777, owner, mtime };
}

async function* uploaded() {
  yield Buffer.from('sent by ');
  yield Buffer.from('the client');
}
