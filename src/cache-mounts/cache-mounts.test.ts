import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import type { Attributes } from '../base/text/attributes.ts';
import type { CacheDirectories, Sharing } from '../ref/cache-directories.ts';
import { openRefStoreRig } from '../ref/ref-store-rig.ts';
import { createGhaCache } from '../remote-cache/backends/gha/gha-cache.ts';
import { startActionsCache } from '../remote-cache/backends/gha/gha-rig.ts';
import { s3Cache } from '../remote-cache/backends/s3/s3-cache.ts';
import { startS3 } from '../remote-cache/backends/s3/s3-rig.ts';
import type { CachePurpose } from '../remote-cache/cache-backend.ts';
import { CacheMounts } from './cache-mounts.ts';
import type { MountSelection } from './mount-place.ts';

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const temporary = temporaryDirectories();
const s3 = resources.use(await startS3());
const access = { signal: AbortSignal.timeout(120_000), sessions: [] };

/** A machine with cache mounts of its own. */
class Machine {
  readonly mounts: CacheMounts;
  readonly #directories: CacheDirectories;

  private constructor(mounts: CacheMounts, directories: CacheDirectories) {
    this.mounts = mounts;
    this.#directories = directories;
  }

  static async start(): Promise<Machine> {
    const { cacheDirectories, content, pool } = await openRefStoreRig(temporary(), resources);
    const types = new Map([s3Cache, createGhaCache()].map((type) => [type.type, type]));
    return new Machine(
      new CacheMounts({ types, cacheDirectories, content, threads: pool }),
      cacheDirectories,
    );
  }

  /** As a step does that mounts it. */
  async use<T>(
    id: string,
    work: (directory: string) => T | Promise<T>,
    sharing: Sharing = 'shared',
  ): Promise<T> {
    const options = { type: 'exec.cachemount', description: 'a mount', sharing } as const;
    const held = await this.#directories.acquire(`cache:${JSON.stringify(id)}`, undefined, options);
    try {
      await using view = await held.mount();
      return await work(view.path);
    } finally {
      await held.release();
    }
  }

  export(place: string, selection: MountSelection = 'all') {
    return this.mounts.export(this.mounts.openPlace('s3', attributesOf(place), 'export'), selection, access);
  }

  /** What became of the mounts that the place has, by id. */
  async import(place: string): Promise<Readonly<Record<string, string>>> {
    const placed = await this.mounts.read(this.mounts.openPlace('s3', attributesOf(place), 'import'), access);
    const outcomes: [string, string][] = [];
    for (const mount of placed?.mounts ?? []) {
      outcomes.push([mount.id, await this.mounts.import(placed!, mount, access)]);
    }
    return Object.fromEntries(outcomes);
  }
}

function attributesOf(place: string): Attributes {
  return {
    bucket: s3.bucket,
    region: 'eu-west-1',
    prefix: `${place}/`,
    endpoint_url: s3.url,
    use_path_style: 'true',
    access_key_id: s3.accessKeyId,
    secret_access_key: s3.secretAccessKey,
  };
}

/** What is in a directory: paths with all that a mount keeps of them. */
function treeOf(directory: string): readonly string[] {
  const inodes = new Map<number, string>();
  return readdirSync(directory, { recursive: true, encoding: 'latin1' })
    .toSorted()
    .map((name) => {
      const file = Buffer.from(`${directory}/${name}`, 'latin1');
      const { mode, uid, gid, mtimeMs, ino, nlink } = lstatSync(file);
      const stats = `${name} ${mode.toString(8)} ${uid}:${gid} ${mtimeMs}`;
      if ((mode & 0o170000) === 0o120000) return `${stats} -> ${readlinkSync(file)}`;
      if ((mode & 0o170000) === 0o040000) return stats;
      const first = inodes.get(ino);
      inodes.set(ino, name);
      const other = first !== undefined && nlink > 1 ? ` also ${first}` : '';
      return `${stats} ${readFileSync(file).toString('base64')}${other}`;
    });
}

test('a mount that one machine exports is there on another one, with all that files have', async () => {
  const [one, other] = [await Machine.start(), await Machine.start()];
  const tree = await one.use('/cache "ü"', (directory) => {
    const at = (name: string) => path.join(directory, name);
    mkdirSync(at('a/b'), { recursive: true });
    writeFileSync(at('a/empty'), '');
    writeFileSync(at('a/large'), randomBytes(1_000_000));
    writeFileSync(at('a/b/zeros'), Buffer.alloc(700_000));
    writeFileSync(Buffer.from(`${at('a/b')}/\u00ff`, 'latin1'), 'no UTF-8');
    chmodSync(at('a/large'), 0o4711);
    symlinkSync('/etc/passwd', at('link'));
    symlinkSync('..', at('a/up'));
    linkSync(at('a/large'), at('second'));
    utimesSync(at('a/b/zeros'), 1000, 1_000_000.5);
    utimesSync(at('a/b'), 1000, 2000);
    return treeOf(directory);
  });
  const { sent, exported } = await one.export('whole');
  assert.deepEqual(exported, ['/cache "ü"']);
  assert.ok(sent > 1_000_000 && sent < 1_200_000, `${sent}`);
  assert.deepEqual(await other.import('whole'), { '/cache "ü"': 'imported' });
  assert.deepEqual(await other.use('/cache "ü"', treeOf), tree);
});

test('what has not changed is not sent, and little is sent when little has changed', async () => {
  const machine = await Machine.start();
  const name = (index: number) => `${index % 16}/${randomBytes(32).toString('hex')}`;
  let total = 0;
  await machine.use('npm', (directory) => {
    for (let index = 0; index < 16; index++) mkdirSync(path.join(directory, `${index}`));
    for (let index = 0; index < 400; index++) {
      const data = randomBytes(20_000 + (index % 7) * 10_000);
      total += data.length;
      writeFileSync(path.join(directory, name(index)), data);
    }
    // Grows in the middle of each version.
    writeFileSync(path.join(directory, 'registry'), randomBytes(4_000_000));
  });
  total += 4_000_000;
  const first = await machine.export('changes');
  assert.ok(first.sent > total && first.sent < total * 1.05);
  assert.equal((await machine.export('changes')).sent, 0);

  await machine.use('npm', (directory) => {
    for (let index = 0; index < 4; index++) {
      writeFileSync(path.join(directory, name(index)), randomBytes(30_000));
    }
    const registry = readFileSync(path.join(directory, 'registry'));
    const grown = Buffer.concat([
      registry.subarray(0, 2_000_000),
      randomBytes(1000),
      registry.subarray(2_000_000),
    ]);
    writeFileSync(path.join(directory, 'registry'), grown);
  });
  const second = await machine.export('changes');
  assert.ok(second.sent > 0 && second.sent < total * 0.03, `${second.sent} of ${total}`);
  const other = await Machine.start();
  await other.import('changes');
  assert.deepEqual(await other.use('npm', treeOf), await machine.use('npm', treeOf));
});

test('what was used here after the place got what it has stays as it is', async () => {
  const [one, other] = [await Machine.start(), await Machine.start()];
  const write = (machine: Machine, text: string) =>
    machine.use('m', (directory) => writeFileSync(path.join(directory, 'file'), text));
  const read = (machine: Machine) =>
    machine.use('m', (directory) => readFileSync(path.join(directory, 'file'), 'utf8'));
  await write(one, 'old');
  await one.export('newer');
  await write(other, 'mine');
  assert.deepEqual(await other.import('newer'), { m: 'newer' });
  assert.equal(await read(other), 'mine');

  await write(one, 'new');
  await one.export('newer');
  await other.use('m', async (directory) => {
    assert.deepEqual(await other.import('newer'), { m: 'newer' }, 'in use');
    assert.equal(readFileSync(path.join(directory, 'file'), 'utf8'), 'mine');
  });
  await write(one, 'newest');
  await one.export('newer');
  assert.deepEqual(await other.import('newer'), { m: 'imported' });
  assert.equal(await read(other), 'newest');
  assert.equal(other.mounts.list().length, 1);
});

test('looking at a mount to export it is no use of it', async () => {
  const machine = await Machine.start();
  await machine.use('m', (directory) => writeFileSync(path.join(directory, 'file'), ''));
  const before = machine.mounts.list();
  await machine.export('look');
  assert.deepEqual(
    machine.mounts.list().map(({ lastUsedAt }) => lastUsedAt),
    before.map(({ lastUsedAt }) => lastUsedAt),
  );
});

test('a place keeps the mounts of several machines, and the later state of each', async () => {
  const [one, other] = [await Machine.start(), await Machine.start()];
  const write = (machine: Machine, id: string, text: string) =>
    machine.use(id, (directory) => writeFileSync(path.join(directory, 'file'), text));
  await write(one, 'a', 'a of one');
  await write(other, 'a', 'a of other');
  await write(other, 'b', 'b of other');
  await other.export('several');
  await one.export('several');
  const third = await Machine.start();
  assert.deepEqual(await third.import('several'), { a: 'imported', b: 'imported' });
  const read = (id: string) =>
    third.use(id, (directory) => readFileSync(path.join(directory, 'file'), 'utf8'));
  assert.deepEqual([await read('a'), await read('b')], ['a of other', 'b of other']);

  await write(one, 'a', 'a of one, later');
  const { exported, skipped } = await one.export('several', new Set(['a', 'c']));
  assert.deepEqual([exported, skipped], [['a'], ['c']]);
  assert.deepEqual(await third.import('several'), { b: 'newer', a: 'imported' });
  assert.equal(await read('a'), 'a of one, later');
});

test('packs of which little is used are put together anew', async () => {
  const machine = await Machine.start();
  const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
  await machine.use('m', (directory) => {
    for (const name of names) writeFileSync(path.join(directory, name), randomBytes(100_000));
  });
  await machine.export('waste');
  await machine.use('m', (directory) => {
    for (const name of names.slice(4)) rmSync(path.join(directory, name));
  });
  const { sent } = await machine.export('waste');
  assert.ok(sent > 400_000 && sent < 450_000, `${sent}`);
  const placed = await machine.mounts.read(
    machine.mounts.openPlace('s3', attributesOf('waste'), 'import'),
    access,
  );
  const packs = placed!.mounts.flatMap((mount) => mount.packs);
  assert.ok(packs.reduce((sum, { size }) => sum + size, 0) < 450_000);
  const other = await Machine.start();
  await other.import('waste');
  assert.deepEqual(await other.use('m', treeOf), await machine.use('m', treeOf));
});

test('blobs that somebody removed are sent again', async () => {
  const machine = await Machine.start();
  await machine.use('m', (directory) => writeFileSync(path.join(directory, 'one'), randomBytes(50_000)));
  await machine.export('lost');
  rmSync(path.join(s3.storage, s3.bucket, 'lost/blobs'), { recursive: true });
  await machine.use('m', (directory) => writeFileSync(path.join(directory, 'two'), randomBytes(50_000)));
  await machine.export('lost');
  const other = await Machine.start();
  assert.deepEqual(await other.import('lost'), { m: 'imported' });
});

test('a mount that is removed is not there any more', async () => {
  const machine = await Machine.start();
  await machine.use('m', () => {});
  await machine.mounts.remove('m');
  assert.deepEqual(machine.mounts.list(), []);
  await assert.rejects(machine.mounts.remove('m'), { code: 'not_found' });
});

test('a branch begins with the mounts of the branch that it came from, until it has its own', async () => {
  await using actions = await startActionsCache();
  const [main, branch, next] = [await Machine.start(), await Machine.start(), await Machine.start()];
  const place = (machine: Machine, purpose: CachePurpose, ...scopes: string[]) =>
    machine.mounts.openPlace('gha', { url: actions.url, token: actions.token(scopes) }, purpose);
  // Tokens of this server write in their last scope, and read what the first one has first.
  const read = async (machine: Machine) =>
    (await machine.mounts.read(place(machine, 'import', 'branch', 'main'), access))!.mounts.map(
      ({ id }) => id,
    );
  await main.use('of main', () => {});
  await main.mounts.export(place(main, 'export', 'main'), 'all', access);
  assert.deepEqual(await read(branch), ['of main']);
  await branch.use('of branch', () => {});
  await branch.mounts.export(place(branch, 'export', 'branch'), 'all', access);
  assert.deepEqual(await read(next), ['of branch']);
});
