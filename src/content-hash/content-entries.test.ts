import assert from 'node:assert/strict';
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Digest, digestOf } from '../base/digest.ts';
import { toByteString } from '../base/text/byte-string.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { checksumTree } from './checksum-tree.ts';
import { combinedContent } from './combined-content.ts';
import { type ContentEntries, openContentEntries } from './content-entries.ts';
import { readFileContent } from './entry-digests.ts';
import { pathSelection } from './path-selection.ts';

describe('content entries', () => {
  let root: string;
  let tree: string;
  let pool: ThreadPool;
  let entries: ContentEntries & AsyncDisposable;

  before(() => {
    root = mkdtempSync(path.join(tmpdir(), 'kiln-entries-'));
    pool = new ThreadPool({ size: 1 });
  });
  after(async () => {
    await pool[Symbol.asyncDispose]();
    rmSync(root, { recursive: true });
  });
  beforeEach(async () => {
    entries = await openContentEntries({ directory: mkdtempSync(path.join(root, 'store-')), pool });
    tree = mkdtempSync(path.join(root, 'tree-'));
    mkdirSync(path.join(tree, 'src/ünicode'), { recursive: true });
    writeFileSync(path.join(tree, 'src/main.c'), 'main');
    writeFileSync(path.join(tree, 'src/ünicode/a'), 'a');
    writeFileSync(path.join(tree, 'other'), 'other');
    symlinkSync('other', path.join(tree, 'link'));
  });

  const at = (name: string) => path.join(tree, name);

  function take(): Digest {
    const told: Buffer[] = [];
    const digest = checksumTree(
      [toByteString(tree)],
      pathSelection('/'),
      (entry) => readFileContent(entry, () => {}),
      (bytes) => told.push(bytes),
    );
    entries.keep(digest, Buffer.concat(told));
    return digest;
  }

  const cases: readonly [string, () => void, object[]][] = [
    [
      'new content',
      () => writeFileSync(at('src/main.c'), 'other main'),
      [{ path: 'src/main.c', kind: 'content' }],
    ],
    [
      'another mode',
      () => chmodSync(at('src/main.c'), 0o755),
      [{ path: 'src/main.c', kind: 'mode', before: '0644', after: '0755' }],
    ],
    [
      'another owner',
      () => lchownSync(at('src'), 5, 6),
      [{ path: 'src', kind: 'owner', before: '0:0', after: '5:6' }],
    ],
    [
      'another type',
      () => {
        rmSync(at('other'));
        mkdirSync(at('other'));
      },
      [{ path: 'other', kind: 'type', before: 'file', after: 'directory' }],
    ],
    [
      "a link's new target",
      () => {
        rmSync(at('link'));
        symlinkSync('src', at('link'));
      },
      [{ path: 'link', kind: 'target', before: 'other', after: 'src' }],
    ],
    ['a new file', () => writeFileSync(at('src/new'), ''), [{ path: 'src/new', kind: 'added' }]],
    ['a file that is gone', () => rmSync(at('src/ünicode/a')), [{ path: 'src/ünicode/a', kind: 'removed' }]],
    [
      'a file with a new name',
      () => renameSync(at('src/main.c'), at('src/start.c')),
      [{ path: 'src/main.c', kind: 'renamed', to: 'src/start.c' }],
    ],
    ['new times only', () => utimesSync(at('other'), 1, 1), []],
    [
      'several changes, in the order of the tree',
      () => {
        writeFileSync(at('src/main.c'), 'x');
        chmodSync(at('other'), 0o600);
        writeFileSync(at('added'), '');
      },
      [
        { path: 'added', kind: 'added' },
        { path: 'other', kind: 'mode', before: '0644', after: '0600' },
        { path: 'src/main.c', kind: 'content' },
      ],
    ],
  ];
  for (const [name, edit, changes] of cases)
    it(`tell of ${name}`, async () => {
      const first = take();
      edit();
      const second = take();
      assert.deepEqual(await entries.compare(first, second), {
        first: changes.map((change) => ({ ...change, part: 0 })),
        total: changes.length,
      });
    });

  for (const isInOrderOfUse of [false, true])
    it(`tell which of several checksums, combined ${isInOrderOfUse ? 'in order of use' : 'by path'}, covers a change`, async () => {
      const same = take();
      writeFileSync(at('other'), 'x');
      const first = take();
      writeFileSync(at('other'), 'y');
      const second = take();
      const combined = [first, second].map((digest) => {
        const hashed = combinedContent([same, digest], isInOrderOfUse);
        entries.keep(digestOf(hashed), hashed);
        return digestOf(hashed);
      });
      assert.deepEqual(await entries.compare(combined[0]!, combined[1]!), {
        first: [{ path: 'other', kind: 'content', part: 1 }],
        total: 1,
      });
    });

  it('forget the least recently used when there are too many', async () => {
    const directory = mkdtempSync(path.join(root, 'small-'));
    await using small = await openContentEntries({ directory, pool, maxBytes: 100 });
    entries = small;
    const digests = [1, 2, 3].map((round) => {
      writeFileSync(at('src/main.c'), `content ${round}`);
      return take();
    });
    await small[Symbol.asyncDispose]();
    assert.equal(readdirSync(directory).length, 1);
    assert.equal(await small.compare(digests[0]!, digests[2]!), undefined);
  });

  it('are known after a restart', async () => {
    const directory = mkdtempSync(path.join(root, 'kept-'));
    entries = await openContentEntries({ directory, pool });
    const first = take();
    rmSync(at('other'));
    const second = take();
    await entries[Symbol.asyncDispose]();
    const again = await openContentEntries({ directory, pool });
    assert.equal((await again.compare(first, second))?.total, 1);
  });
});
