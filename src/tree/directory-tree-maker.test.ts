import assert from 'node:assert/strict';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { toByteString } from '../base/text/byte-string.ts';
import { bindMount, unmount } from '../linux/mount.ts';
import { listXattrs, setXattr } from '../linux/xattr.ts';
import { DirectoryTreeMaker } from './directory-tree-maker.ts';
import { isMachineAttribute } from './machine-attributes.ts';
import { resolveInTree } from './resolve-in-tree.ts';
import { treeMakerSuite } from './tree-maker-suite.ts';

treeMakerSuite('a tree in a directory', (directory) => ({
  maker: new DirectoryTreeMaker(toByteString(directory)),
  finished: () => directory,
  space: () =>
    readdirSync(directory).reduce((sum, name) => sum + lstatSync(path.join(directory, name)).blocks * 512, 0),
}));

const scratch = mkdtempSync(path.join(tmpdir(), 'kiln-directory-tree-'));
after(() => rmSync(scratch, { recursive: true }));
let directories = 0;
function newDirectory(): string {
  const directory = path.join(scratch, `d${directories++}`);
  mkdirSync(directory);
  return directory;
}
const metadata = { mode: 0o640 };

test('in a directory that others use, what is in the way is replaced and never followed, and files appear whole', () => {
  const [outside, directory] = [newDirectory(), newDirectory()];
  writeFileSync(path.join(outside, 'victim'), 'safe');
  writeFileSync(path.join(directory, 'file'), 'old');
  mkdirSync(path.join(directory, 'dir'));
  writeFileSync(path.join(directory, 'dir/stays'), '');
  symlinkSync(path.join(outside, 'victim'), path.join(directory, 'link'));
  symlinkSync(outside, path.join(directory, 'way'));
  using maker = new DirectoryTreeMaker(toByteString(directory), { existing: 'replace' });
  const file = maker.addFile('file', metadata);
  file.write(Buffer.from('new'));
  assert.equal(readFileSync(path.join(directory, 'file'), 'utf8'), 'old');
  file.finish();
  assert.equal(readFileSync(path.join(directory, 'file'), 'utf8'), 'new');
  maker.add('link', { kind: 'file', metadata, data: Buffer.from('here') });
  maker.add('dir', { kind: 'directory', metadata: { mode: 0o711 } });
  maker.add('way', { kind: 'directory', metadata: { mode: 0o711 } });
  maker.add('way/victim', { kind: 'file', metadata, data: Buffer.from('here') });
  maker.finish();
  assert.equal(readFileSync(path.join(outside, 'victim'), 'utf8'), 'safe');
  assert.equal(lstatSync(path.join(directory, 'link')).isFile(), true);
  assert.equal(existsSync(path.join(directory, 'dir/stays')), true);
  assert.deepEqual(readdirSync(directory).sort(), ['dir', 'file', 'link', 'way']);
});

test('giving up closes what grows, and leaves nothing temporary where others look', () => {
  const directory = newDirectory();
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  {
    using maker = new DirectoryTreeMaker(toByteString(directory), { existing: 'replace' });
    maker.addFile('half', metadata).write(Buffer.from('half'));
    assert.equal(open(), before + 1);
  }
  assert.equal(open(), before);
  assert.deepEqual(readdirSync(directory), []);
});

test('a file that cannot get its name leaves nothing temporary', () => {
  const directory = newDirectory();
  const busy = path.join(directory, 'busy');
  mkdirSync(busy);
  bindMount(busy, busy);
  try {
    using maker = new DirectoryTreeMaker(toByteString(directory), { existing: 'replace' });
    assert.throws(() => maker.add('busy', { kind: 'file', metadata, data: Buffer.from('x') }), {
      code: 'EBUSY',
    });
    assert.deepEqual(readdirSync(directory), ['busy']);
  } finally {
    unmount(busy);
  }
});

test('attributes that the kernel refuses are left out only where that is asked for', () => {
  const refused = { mode: 0o644, xattrs: new Map([['security.capability', 'none']]) };
  const entry = { kind: 'file', metadata: refused, data: Buffer.of() } as const;
  using strict = new DirectoryTreeMaker(toByteString(newDirectory()));
  assert.throws(() => strict.add('file', entry), { code: 'EINVAL' });
  using lenient = new DirectoryTreeMaker(toByteString(newDirectory()), { refusedXattrs: 'leave-out' });
  lenient.add('file', entry);
  assert.equal(lenient.lookup('file')?.kind, 'file');
});

test('two makers of one directory do not meet in their temporary files', () => {
  const directory = newDirectory();
  const open = () => new DirectoryTreeMaker(toByteString(directory), { existing: 'replace' });
  using one = open();
  using two = open();
  const files = [one.addFile('a', metadata), two.addFile('b', metadata)];
  for (const file of files) file.finish();
  assert.deepEqual(readdirSync(directory).sort(), ['a', 'b']);
});

test('what cannot be removed is said by the errno of the kernel', () => {
  using maker = new DirectoryTreeMaker(toByteString(newDirectory()));
  assert.throws(() => maker.remove('x'.repeat(300)), { code: 'ENAMETOOLONG' });
  maker.add('dir', { kind: 'directory', metadata });
  maker.add('dir/file', { kind: 'file', metadata, data: Buffer.alloc(1) });
  maker.remove('dir');
  maker.remove('dir');
  assert.equal(maker.lookup('dir'), undefined);
});

test('a copy leaves out the attributes that its caller names', () => {
  const directory = newDirectory();
  const source = path.join(newDirectory(), 'file');
  writeFileSync(source, '');
  for (const name of ['security.selinux', 'user.kept']) setXattr(source, name, Buffer.from('x'));
  using maker = new DirectoryTreeMaker(toByteString(directory));
  maker.copy('file', { path: toByteString(source) }, { leavesOut: isMachineAttribute });
  assert.deepEqual(listXattrs(path.join(directory, 'file')), ['user.kept']);
});

test('a circle of links is named as text, whatever bytes it has', () => {
  const directory = newDirectory();
  symlinkSync('löp', path.join(directory, 'löp'));
  using maker = new DirectoryTreeMaker(toByteString(directory));
  assert.throws(() => resolveInTree(maker, toByteString('/löp')), { message: /^\/löp: too many levels/ });
});
