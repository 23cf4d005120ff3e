import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { hostPlatform } from '../../base/platform.ts';
import { silentProgress } from '../../base/progress.ts';
import { Random } from '../../base/testing/random.ts';
import { createContentChecksums } from '../../content-hash/content-checksums.ts';
import { pathSelection } from '../../content-hash/path-selection.ts';
import { fileSyncService } from '../../file-sync/file-sync-service.ts';
import { mknod } from '../../linux/mknod.ts';
import { utimens } from '../../linux/utimens.ts';
import { getXattr, listXattrs, removeXattr, setXattr } from '../../linux/xattr.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import { openRefStoreRig, type RefStoreRig } from '../../ref/ref-store-rig.ts';
import { openSessionRig } from '../../session/session-rig.ts';
import { createLocalSource } from './local-source.ts';
import { LocalTrees } from './local-trees.ts';

/** KILN_FUZZ_CONTEXTS: how many; KILN_FUZZ_SEED: the first seed, which alone decides what is edited. */
const contexts = Number(process.env.KILN_FUZZ_CONTEXTS ?? 6);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);
const syncs = 12;

const wholeTree = pathSelection('/');

test('after any edits, a directory that is synced again is what a copy of it would be', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-local-fuzz-'));
  await using resources = new AsyncDisposableStack();
  resources.defer(() => rmSync(dir, { recursive: true }));
  const rig = await openRefStoreRig(dir, resources);
  for (let seed = firstSeed; seed < firstSeed + contexts; seed++) {
    try {
      await syncEdited(path.join(dir, `context-${seed}`), rig, new Random(seed));
    } catch (error) {
      throw new Error(`KILN_FUZZ_SEED=${seed} KILN_FUZZ_CONTEXTS=1 runs it alone`, { cause: error });
    }
  }
});

async function syncEdited(
  context: string,
  { database, pool, refStore }: RefStoreRig,
  random: Random,
): Promise<void> {
  const checksums = createContentChecksums({ database, pool });
  mkdirSync(context);
  await using rig = await openSessionRig([fileSyncService(new Map([['context', context]]), { pool })], {
    sharedKey: context,
  });
  const trees = new LocalTrees(database);
  const source = createLocalSource({ sessions: rig.sessions, refStore, checksums, trees, pool });
  const { session } = rig;
  const sync = async (exclude: string | undefined): Promise<ImmutableRef> => {
    const patterns: Readonly<Record<string, string>> =
      exclude === undefined ? {} : { 'local.excludepatterns': JSON.stringify([exclude]) };
    const op = { identifier: 'local://context', attrs: { 'local.session': session.id, ...patterns } };
    return await source.open(op, hostPlatform()).snapshot({
      signal: new AbortController().signal,
      progress: silentProgress,
      sessions: () => [session.id],
      retain() {},
    });
  };
  const held: { readonly ref: ImmutableRef; readonly listing: readonly string[] }[] = [];
  for (let round = 0; round < syncs; round++) {
    for (let edits = random.below(6); edits >= 0; edits--) edit(context, random);
    // Times of directories alone do not make another tree.
    writeFileSync(path.join(context, 'round'), `${round}`);
    const exclude = random.chance(0.2) ? random.pick(['a', 'b/a']) : undefined;
    const ref = await sync(exclude);
    const expected = listing(context, exclude);
    assert.deepEqual(await mountedListing(ref), expected);
    using other = new DatabaseSync(':memory:');
    const anew = createContentChecksums({ database: other, pool });
    assert.equal(await checksums.checksum(ref, wholeTree), await anew.checksum(ref, wholeTree));
    for (const earlier of held) assert.deepEqual(await mountedListing(earlier.ref), earlier.listing);
    if (random.chance(0.3)) held.push({ ref, listing: expected });
    else await ref.release();
    if (random.chance(0.3)) await held.shift()?.ref.release();
  }
  for (const { ref } of held) await ref.release();
}

async function mountedListing(ref: ImmutableRef): Promise<readonly string[]> {
  await using view = await ref.mount();
  return listing(view.path);
}

/** Everything below a directory, one line each: what a build could see of it. */
function listing(root: string, exclude?: string): readonly string[] {
  const paths: string[] = [];
  const visit = (below: string): void => {
    for (const name of readdirSync(path.join(root, below)).sort()) {
      const relative = path.join(below, name);
      const stats = lstatSync(path.join(root, relative));
      if (relative === exclude || stats.isCharacterDevice()) continue;
      paths.push(relative);
      if (stats.isDirectory()) visit(relative);
    }
  };
  visit('');
  const names = new Map<bigint, string[]>();
  for (const relative of paths) {
    const { ino } = lstatSync(path.join(root, relative), { bigint: true });
    names.set(ino, [...(names.get(ino) ?? []), relative]);
  }
  return paths.map((relative) => {
    const file = path.join(root, relative);
    const stats = lstatSync(file, { bigint: true });
    const same = stats.isFile() ? names.get(stats.ino)! : [];
    // In a copy no name lies outside.
    if (exclude === undefined && stats.isFile()) assert.equal(Number(stats.nlink), same.length, relative);
    const data = stats.isFile()
      ? readFileSync(file, 'utf8')
      : stats.isSymbolicLink()
        ? readlinkSync(file)
        : '';
    const xattrs = listXattrs(file).map((name) => `${name}=${getXattr(file, name)}`);
    return [relative, stats.mode.toString(8), stats.mtimeNs, stats.rdev, data, same, xattrs].join(' ');
  });
}

const names = ['a', 'b', 'c', 'd'];

function edit(context: string, random: Random): void {
  const directories = ['', ...allPaths(context).filter((each) => isDirectory(path.join(context, each)))];
  const anywhere = () => path.join(context, random.pick(directories), random.pick(names));
  const target = anywhere();
  const existing = allPaths(context).map((each) => path.join(context, each));
  const some = existing.length > 0 ? random.pick(existing) : undefined;
  const files = existing.filter((each) => lstatSync(each).isFile());
  const file = files.length > 0 ? random.pick(files) : undefined;
  const clear = () => rmSync(target, { recursive: true, force: true });
  switch (random.below(12)) {
    case 0:
    case 1:
      if (!lstatSync(target, { throwIfNoEntry: false })?.isFile()) clear();
      writeFileSync(target, `${random.below(1000)}`);
      break;
    case 2:
      if (isDirectory(target)) break;
      clear();
      mkdirSync(target);
      for (const name of names) if (random.chance(0.5)) writeFileSync(path.join(target, name), name);
      break;
    case 3:
      if (some) rmSync(some, { recursive: true });
      break;
    case 4:
      clear();
      symlinkSync(random.pick(['a', '/b', 'nowhere']), target);
      break;
    case 5:
      clear();
      // A device 0/0 is not made: no mount would show it.
      mknod(target, random.chance(0.7) ? 0o010644 : 0o020644);
      break;
    case 6:
      if (!file || file === target || file.startsWith(`${target}/`)) break;
      clear();
      linkSync(file, target);
      break;
    case 7:
      if (some && !some.startsWith(`${target}/`) && !target.startsWith(`${some}/`) && some !== target) {
        clear();
        renameSync(some, target);
      }
      break;
    case 8:
      if (some && !lstatSync(some).isSymbolicLink()) chmodSync(some, random.pick([0o700, 0o755, 0o1777]));
      break;
    case 9:
      if (file) {
        // Other data, and nothing that shows it but the change time.
        const { size, atimeNs, mtimeNs } = lstatSync(file, { bigint: true });
        writeFileSync(file, `${random.pick(['x', 'y', 'z'])}`.repeat(Number(size)));
        utimens(file, atimeNs, mtimeNs);
      }
      break;
    case 10:
      if (!some || !(lstatSync(some).isFile() || isDirectory(some))) break;
      if (random.chance(0.5)) setXattr(some, 'user.note', Buffer.from(random.pick(names)));
      else if (listXattrs(some).length > 0) removeXattr(some, 'user.note');
      break;
    case 11:
      if (some) utimens(some, 0n, BigInt(random.below(1000)));
      break;
  }
}

function isDirectory(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function allPaths(context: string): string[] {
  return readdirSync(context, { recursive: true, encoding: 'utf8' }).sort();
}
