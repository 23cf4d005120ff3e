import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { errnoOf, KilnError } from '../../base/errors.ts';
import type { Random } from '../../base/testing/random.ts';
import { type ByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import type { TarEntry, TarEntryType } from '../../layer-blob/tar/tar-entry.ts';
import { LayerExtractor } from '../../layer-blob/unpack/layer-extractor.ts';
import { makeDevice, mknod } from '../../linux/mknod.ts';
import { setXattr } from '../../linux/xattr.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';

/** Few, so that layers meet; the hostile ones less often. */
const names = ['a', 'b'];
const hostileNames = [
  '.wh.a',
  '.wh..wh..opq',
  '.wh..wh.orph',
  'a:b,c\\d',
  'x\ny',
  toByteString('ü'),
  '\xff\xfe',
  'n'.repeat(255),
  ' ',
  '-rf',
];
/** The kernel acts on the first, with one value only, and reads the others for upper layers at most. */
const overlayNames = ['opaque', 'origin', 'impure', 'nlink', 'protattr', 'uuid', 'overlay.opaque'];
/** Attributes that archives and clients may have, but no layer directory: they are left out. */
const steeringNames = ['redirect', 'metacopy', 'whiteout', 'verify', 'upper'];
const values = ['y', 'n', 'yes', '', 'x', '/a', 'a', '\0\xfb\x1d\0'];
/** `user::rw-, user:1000:rw-, group::r--, mask::rw-, other::---`, as the kernel keeps it. */
const acl = Buffer.from(
  '02000000' +
    '01000600ffffffff' +
    '02000600e8030000' +
    '04000400ffffffff' +
    '10000600ffffffff' +
    '20000000ffffffff',
  'hex',
);
const capability = Buffer.from('0000000200040000000000000000000000000000', 'hex');
const devices = [
  makeDevice(0, 0),
  makeDevice(0, 0),
  makeDevice(1, 3),
  makeDevice(0, 1),
  makeDevice(4095, 255),
];

/** Fills an empty directory with a layer: files and marks made one by one, or an archive that is unpacked. */
export function makeLayer(layer: string, random: Random): void {
  if (random.chance(0.7)) fillByHand(toByteString(layer), random, 0);
  else unpack(layer, random);
}

function fillByHand(dir: ByteString, random: Random, depth: number): void {
  for (const name of [...names, random.pick(hostileNames)]) {
    if (random.chance(0.3)) continue;
    const path = `${dir}/${name}`;
    makeFile(path, dir, random, depth);
    const stats = lstatSync(toSystemPath(path));
    lchownSync(toSystemPath(path), random.below(3), random.below(3));
    if (!stats.isSymbolicLink() && random.chance(0.3)) chmodSync(toSystemPath(path), random.below(0o10000));
    while (random.chance(stats.isDirectory() ? 0.6 : 0.3)) setRandomXattr(path, random, stats);
  }
}

function makeFile(path: ByteString, dir: ByteString, random: Random, depth: number): void {
  const file = toSystemPath(path);
  if (random.chance(0.6)) {
    mkdirSync(file);
    if (depth < 2) fillByHand(path, random, depth + 1);
    return;
  }
  switch (random.below(6)) {
    case 0:
    case 1:
      writeFileSync(file, String(random.below(3)), { flag: 'wx' });
      return;
    case 2:
      symlinkSync(random.pick(['a', '../b', '/c', '/nowhere']), file);
      return;
    case 3:
      mknod(file, random.pick([0o010644, 0o140644]));
      return;
    case 4: {
      const other = readdirSync(toSystemPath(dir), { withFileTypes: true, encoding: 'latin1' }).find(
        (entry) => !entry.isDirectory(),
      );
      if (other) linkSync(toSystemPath(`${dir}/${other.name}`), file);
      else writeFileSync(file, '', { flag: 'wx' });
      return;
    }
    default:
      mknod(file, 0o020000 | random.below(0o1000), random.pick(devices));
  }
}

function setRandomXattr(path: ByteString, random: Random, stats: { isDirectory(): boolean }): void {
  const [name, value] = randomXattr(random, overlayNames);
  // A directory that says `x` has deletions of a kind that Kiln never makes.
  if (stats.isDirectory() && name === 'trusted.overlay.opaque' && value.toString('latin1') === 'x') return;
  try {
    setXattr(toSystemPath(path), name, value);
  } catch (error) {
    // Not every type of file has attributes of each kind.
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'EACCES'].includes(errnoOf(error) ?? '')) throw error;
  }
}

function randomXattr(random: Random, marks: readonly string[]): readonly [string, Buffer] {
  if (random.chance(0.3)) {
    return [`${random.pick(['trusted', 'user'])}.overlay.opaque`, Buffer.from(random.pick(['y', 'yes']))];
  }
  const value = Buffer.from(random.pick(values), 'latin1');
  switch (random.below(8)) {
    case 0:
      return ['user.note', value];
    case 1:
      return ['trusted.note', value];
    case 2:
      return ['security.capability', capability];
    case 3:
      return ['system.posix_acl_access', acl];
    case 4:
      return [`user.overlay.${random.pick([...overlayNames, ...steeringNames])}`, value];
    default:
      return [`trusted.overlay.${random.pick(marks)}`, value];
  }
}

function nameFor(random: Random): ByteString {
  return random.chance(0.85) ? random.pick(names) : random.pick(hostileNames);
}

const types: readonly TarEntryType[] = [
  'file',
  'hardlink',
  'symlink',
  'character-device',
  'character-device',
  'block-device',
  'directory',
  'directory',
  'directory',
  'fifo',
];

/** Some of what the archive says is not possible. */
function unpack(layer: string, random: Random): void {
  using tree = new DirectoryTreeMaker(toByteString(layer));
  const extractor = new LayerExtractor(
    random.chance(0.7) ? { form: 'overlay', tree } : { form: 'tree', tree },
  );
  for (let count = random.below(20); count > 0; count--) {
    try {
      extractor.entry(randomEntry(random));
      extractor.entryEnd();
    } catch (error) {
      if (!(error instanceof KilnError) || error.code !== 'invalid_argument') throw error;
    }
  }
  extractor.finish();
}

function randomEntry(random: Random): TarEntry {
  const type = random.pick(types);
  const xattrs = new Map<string, ByteString>();
  while (random.chance(0.4)) {
    const [name, value] = randomXattr(random, [...overlayNames, ...steeringNames]);
    xattrs.set(name, value.toString('latin1'));
  }
  return {
    name: pathFor(random),
    type,
    mode: random.below(0o10000),
    uid: random.below(3),
    gid: random.below(3),
    size: 0,
    mtime: BigInt(random.below(1000)),
    linkName: type === 'hardlink' || type === 'symlink' ? pathFor(random) : '',
    deviceMajor: random.pick([0, 0, 1]),
    deviceMinor: random.pick([0, 0, 3]),
    xattrs,
  };
}

function pathFor(random: Random): ByteString {
  const path: ByteString[] = [];
  do
    path.push(
      random.chance(0.05) ? '..' : random.chance(0.1) ? `.wh.${random.pick(names)}` : nameFor(random),
    );
  while (path.length < 4 && random.chance(0.5));
  return path.join('/');
}
