import { execFileSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { KilnError } from '../../base/errors.ts';
import { hostPlatform } from '../../base/platform.ts';
import { silentProgress } from '../../base/progress.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { openRefStoreRig } from '../../ref/ref-store-rig.ts';
import { createRegistry } from '../../registry/http-registry.ts';
import type { ClientCredentials } from '../../session/session.ts';
import { SessionRegistry } from '../../session/session-registry.ts';
import { BlobFetcher } from '../blob/blob-fetcher.ts';
import type { CommitResolver, Source, SourceContext, SourceInstance, SourceKey } from '../source.ts';
import { GitRepository, GitServer } from './git-rig.ts';
import { createGitSource } from './git-source.ts';

/** For tests: a git source, and a server with one repository, `app.git`. */
export class GitSourceRig implements AsyncDisposable {
  readonly dir: string;
  readonly resources: AsyncDisposableStack;
  readonly diskUsage: DiskUsage;
  readonly server: GitServer;
  readonly repository: GitRepository;
  readonly source: Source & CommitResolver;
  /** What the client has, by id. */
  readonly secrets: Map<string, string>;
  #sessions = 0;

  private constructor(
    parts: Pick<GitSourceRig, 'dir' | 'resources' | 'diskUsage' | 'server' | 'source' | 'secrets'>,
  ) {
    this.dir = parts.dir;
    this.resources = parts.resources;
    this.diskUsage = parts.diskUsage;
    this.server = parts.server;
    this.source = parts.source;
    this.secrets = parts.secrets;
    this.repository = new GitRepository(path.join(this.dir, 'served/app.git'));
  }

  static async open(): Promise<GitSourceRig> {
    const dir = mkdtempSync(path.join(tmpdir(), 'kiln-git-source-'));
    const secrets = new Map<string, string>();
    const resources = new AsyncDisposableStack();
    resources.defer(() => rmSync(dir, { recursive: true }));
    const { diskUsage, refStore, cacheDirectories, pool, content } = await openRefStoreRig(dir, resources);
    const credentials: Pick<ClientCredentials, 'secret' | 'sshAgent'> = {
      async secret(_, id) {
        const value = secrets.get(id);
        if (value === undefined) throw new KilnError('not_found', `no secret ${id}`);
        return Buffer.from(value);
      },
      sshAgent: async () => undefined,
    };
    const registry = resources.use(createRegistry());
    const blobs = new BlobFetcher({
      ...{ registry, content, sessions: new SessionRegistry() },
      credentials: { login: async () => undefined, token: async () => undefined },
    });
    const source = createGitSource({
      refStore,
      cacheDirectories,
      pool,
      blobs,
      credentials,
      directory: path.join(dir, 'git'),
    });
    const server = resources.use(await GitServer.start(path.join(dir, 'served')));
    return new GitSourceRig({ dir, resources, diskUsage, server, source, secrets });
  }

  /** A build of its own, unless it is given another's session. */
  context(options: Partial<SourceContext> = {}): SourceContext {
    const session = `session-${++this.#sessions}`;
    return {
      signal: AbortSignal.timeout(60_000),
      progress: silentProgress,
      sessions: () => [session],
      retain() {},
      ...options,
    };
  }

  /** A source op for `name#ref:subdir` of the server. */
  opOf(name: string, attrs: Attributes = {}): SourceOp {
    const [repositoryName = ''] = name.split('#');
    return {
      identifier: `git://${this.server.host}/${name}`,
      attrs: { 'git.fullurl': this.server.url(repositoryName), ...attrs },
    };
  }

  open(name: string, attrs: Attributes = {}): SourceInstance {
    return this.source.open(this.opOf(name, attrs), hostPlatform());
  }

  async key(name: string, attrs: Attributes = {}, context = this.context()): Promise<SourceKey> {
    return await this.open(name, attrs).key(context);
  }

  /** The directory of the files. */
  async snapshot(name: string, attrs: Attributes = {}, context = this.context()): Promise<string> {
    return await directoryOf(await this.snapshotRef(name, attrs, context));
  }

  /** The rig owns the handle. */
  async snapshotRef(name: string, attrs: Attributes = {}, context = this.context()): Promise<ImmutableRef> {
    const instance = this.open(name, attrs);
    await instance.key(context);
    return this.resources.adopt(await instance.snapshot(context), (ref) => ref.release());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resources.disposeAsync();
  }
}

export async function directoryOf(ref: ImmutableRef): Promise<string> {
  const [layer] = await ref.layerDirs();
  return layer!;
}

/** What is in a tree: modes, and the content of files or where links lead. */
export function listing(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    entries.map((name) => {
      const file = path.join(directory, name);
      const stats = lstatSync(file);
      const mode = (stats.mode & 0o7777).toString(8);
      if (stats.isDirectory()) return [name, `${mode}/`];
      return [
        name,
        stats.isSymbolicLink() ? `-> ${readlinkSync(file)}` : `${mode} ${readFileSync(file, 'utf8')}`,
      ];
    }),
  );
}

/** What git, run in a directory, writes. */
export function gitIn(directory: string, ...args: readonly string[]): string {
  const env = { PATH: process.env.PATH, HOME: '/dev/null' };
  return execFileSync('git', args, { cwd: directory, encoding: 'utf8', env }).trim();
}
