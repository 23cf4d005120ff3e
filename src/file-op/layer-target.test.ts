import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { unmount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import { setXattr } from '../linux/xattr.ts';
import type { FileChange, FileCopy } from '../llb/op.ts';
import type { PreparedAction } from './file-op.ts';
import { copyDefaults } from './file-op-rig.ts';
import { createFileOps } from './thread-file-ops.ts';

const pool = new ThreadPool({ size: 1 });
after(() => pool[Symbol.asyncDispose]());
const ops = createFileOps({ pool });
const { signal } = new AbortController();

const below = `
  mkdir -p app/sub etc usr/lib private; chmod 0700 private; chown 7:8 private
  echo old > app/old; echo x > app/sub/deep; ln -s usr/lib lib; echo root > etc/passwd; mkdir gone
`;
/** A second layer, with a whiteout and an opaque directory. */
const between = `
  mknod gone c 0 0; mkdir -p app/sub; echo y > app/sub/other
`;
const from = `
  mkdir -p tree/dir; echo 1 > tree/one; echo 2 > tree/dir/two; ln -s one tree/link; echo f > file
  chown 5:6 tree/one; chmod 4755 tree/one; touch -d @1000000000.123456789 file tree/one
`;

interface Case {
  readonly name: string;
  readonly changes: readonly FileChange[];
  /** How many of the changes need no mount. */
  readonly direct: number;
}

const copy = (options: Partial<FileCopy>): FileChange => ({ kind: 'copy', ...copyDefaults, ...options });
const mkdir = (name: string, makeParents = true): FileChange => ({
  kind: 'mkdir',
  path: name,
  mode: 0o750,
  makeParents,
});
const mkfile = (name: string): FileChange => ({
  kind: 'mkfile',
  path: name,
  mode: 0o640,
  data: Buffer.from(name),
});

const cases: readonly Case[] = [
  { name: 'a file in the root', changes: [mkfile('/new')], direct: 1 },
  { name: 'a file in a directory below', changes: [mkfile('/private/new')], direct: 1 },
  { name: 'a file in place of one below', changes: [mkfile('/app/old')], direct: 0 },
  { name: 'a directory that exists', changes: [mkdir('/app/sub')], direct: 1 },
  { name: 'new directories under one below', changes: [mkdir('/usr/lib/a/b')], direct: 1 },
  { name: 'a directory where one was removed', changes: [mkdir('/gone')], direct: 1 },
  { name: 'a file in an opaque directory', changes: [mkfile('/app/sub/deep')], direct: 1 },
  { name: 'a file through a link', changes: [mkfile('/lib/new')], direct: 0 },
  { name: 'a link', changes: [{ kind: 'symlink', oldPath: '/app', newPath: '/etc/link' }], direct: 1 },
  {
    name: 'a file through a link that was just made',
    changes: [{ kind: 'symlink', oldPath: '/app', newPath: '/l' }, mkfile('/l/new'), mkfile('/after')],
    direct: 1,
  },
  {
    name: 'a removal in between',
    changes: [
      mkfile('/etc/a'),
      { kind: 'rm', path: '/app/old', allowNotFound: false, allowWildcard: false },
      mkfile('/app/old'),
    ],
    direct: 1,
  },
  { name: 'a copied file', changes: [copy({ src: '/file', dest: '/app/' })], direct: 1 },
  {
    name: 'a copied file under a new name',
    changes: [copy({ src: '/file', dest: '/app/new/name' })],
    direct: 1,
  },
  { name: 'a copied file over one below', changes: [copy({ src: '/file', dest: '/app/old' })], direct: 0 },
  {
    name: 'a copied file over one below, by its directory',
    changes: [
      mkdir('/x'),
      copy({ src: '/file', dest: '/x/old' }),
      copy({ src: '/tree', dest: '/', dirCopyContents: true }),
    ],
    direct: 3,
  },
  {
    name: 'a tree into an existing directory',
    changes: [copy({ src: '/tree', dest: '/usr/lib', dirCopyContents: true })],
    direct: 1,
  },
  {
    name: 'a tree into an existing directory, under its name',
    changes: [copy({ src: '/tree', dest: '/usr/lib' })],
    direct: 1,
  },
  {
    name: 'a tree over one of the same names',
    changes: [
      copy({ src: '/', dest: '/', dirCopyContents: true }),
      copy({ src: '/tree', dest: '/tree', dirCopyContents: true }),
    ],
    direct: 2,
  },
  {
    name: 'by wildcard',
    changes: [copy({ src: '/t*', dest: '/app/sub/', allowWildcard: true, dirCopyContents: true })],
    direct: 1,
  },
  {
    name: 'with an owner and a mode',
    changes: [copy({ src: '/tree', dest: '/app/tree', mode: 0o700, owner: { user: { kind: 'id', id: 3 } } })],
    direct: 1,
  },
];

for (const { name, changes, direct } of cases) {
  test(`a layer gets the same without a mount as with one: ${name}`, async () => {
    const root = mkdtempSync(path.join(tmpdir(), 'kiln-layer-target-'));
    try {
      const at = (...names: string[]) => path.join(root, ...names);
      for (const [dir, script] of Object.entries({ below, between, from })) {
        mkdirSync(at(dir));
        execFileSync('bash', ['-euc', script], { cwd: at(dir) });
      }
      setXattr(at('between', 'app', 'sub'), 'trusted.overlay.opaque', Buffer.from('y'));
      const lowerDirs = [at('between'), at('below')];
      const actions = (target: string): PreparedAction[] =>
        changes.map((change) => ({
          target,
          source: { path: at('from') },
          change,
          owners: {},
        }));
      const mounted = async (layer: string, rest: (target: string) => PreparedAction[]) => {
        for (const dir of [`${layer}-work`, `${layer}-view`]) mkdirSync(at(dir), { recursive: true });
        mountOverlay({ lowerDirs, upperDir: at(layer), workDir: at(`${layer}-work`) }, at(`${layer}-view`));
        try {
          await ops.apply(rest(at(`${layer}-view`)), signal);
          return listing(at(`${layer}-view`));
        } finally {
          unmount(at(`${layer}-view`));
        }
      };

      for (const layer of ['with', 'without']) {
        mkdirSync(at(layer));
        execFileSync('touch', ['--reference', at('between'), at(layer)]);
      }
      const expected = await mounted('with', actions);
      const applied = await ops.applyToLayer(
        actions(at('without')),
        { dir: at('without'), lowerDirs },
        signal,
      );
      assert.equal(applied, direct);
      const seen = await mounted('without', (target) => actions(target).slice(applied));
      assert.equal(seen, expected);
      assert.equal(listing(at('without')), listing(at('with')));
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}

/** Everything in a tree: type, mode, owner, link target, and for files the time and content. */
function listing(dir: string): string {
  const script = `find . -mindepth 1 \\( -type f -printf '%P %y %m %U:%G %s ' -exec sh -c 'stat -c %Y "$1" | tr "\\n" " "; md5sum < "$1"' _ {} \\; \\) -o -printf '%P %y %m %U:%G %l\\n' | sort`;
  const text = execFileSync('bash', ['-euc', script], { cwd: dir, encoding: 'utf8' });
  // Files that were just made have the present time.
  const now = Date.now() / 1000;
  return text.replaceAll(/ (\d{10}) /g, (all, seconds) => (now - Number(seconds) < 600 ? ' now ' : all));
}
