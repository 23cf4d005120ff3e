import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errnoOf, KilnError } from '../base/errors.ts';
import { Random } from '../base/testing/random.ts';
import { temporaryDirectories } from '../base/testing/temporary-directories.ts';
import { toByteString } from '../base/text/byte-string.ts';
import { mount, unmount } from '../linux/mount.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import type { EntryMetadata, LayerMaker } from '../tree/tree-maker.ts';
import { imageRanges } from './device-range.ts';
import { ErofsTreeMaker } from './erofs-tree-maker.ts';
import { ErofsImage } from './read/erofs-image.ts';
import { assertSameTrees } from './testing/compare-trees.ts';
import { checkImage, imageMounts, makeImage, withMounted } from './testing/image-rig.ts';

const newDirectory = temporaryDirectories();
const plain: EntryMetadata = { mode: 0o644 };
const second = 1_000_000_000n;

test('the kernel sees times of any century, all modes, the largest ids and device numbers', () => {
  const times = [
    -1n,
    0n,
    -(2n ** 40n) * second + 1n,
    2n ** 33n * second,
    7n * 2n ** 35n * second + 999_999_999n,
  ];
  const modes = [0, 0o7777, 0o4755, 0o2750, 0o1777, 0o111];
  const owner = { uid: 0xffff_fffe, gid: 0xffff_fffe };
  const image = makeImage(newDirectory(), (maker) => {
    for (const [index, modification] of times.entries()) {
      maker.add(`time${index}`, {
        kind: 'directory',
        metadata: { mode: 0, times: { access: 0n, modification } },
      });
    }
    for (const mode of modes) {
      maker.add(`mode${mode}`, { kind: 'file', metadata: { mode, owner }, data: Buffer.of(1) });
    }
    maker.add('device', { kind: 'block-device', metadata: plain, major: 4095, minor: 0xf_ffff });
    maker.setMetadata('', { mode: 0o1700, owner, times: { access: 0n, modification: -5n } });
  });
  withMounted(image, (root) => {
    const at = (name: string) => lstatSync(path.join(root, name), { bigint: true });
    for (const [index, time] of times.entries()) assert.equal(at(`time${index}`).mtimeNs, time);
    for (const mode of modes) {
      const stats = at(`mode${mode}`);
      assert.deepEqual(
        [stats.mode & 0o7777n, stats.uid, stats.gid],
        [BigInt(mode), 0xffff_fffen, 0xffff_fffen],
      );
    }
    assert.equal(at('device').rdev, 0xffff_ffffn);
    assert.deepEqual([at('').mode & 0o7777n, at('').uid, at('').mtimeNs], [0o1700n, 0xffff_fffen, -5n]);
  });
});

test('the kernel sees attributes that are large, many, empty, and on every kind of entry', () => {
  const many = new Map(
    Array.from({ length: 700 }, (_, index) => [`trusted.${index}`, `${index}`.repeat(index % 50)]),
  );
  const large = new Map([
    ['trusted.large', 'x'.repeat(65_535)],
    [`security.${'n'.repeat(246)}`, '\0\xff'],
    ['trusted.none', ''],
    ['trusted.ü', 'ü'],
  ]);
  const image = makeImage(newDirectory(), (maker) => {
    for (const [name, xattrs] of Object.entries({ many, large })) {
      const metadata = { ...plain, xattrs };
      maker.add(`${name}-dir`, { kind: 'directory', metadata });
      maker.add(`${name}-dir/file`, { kind: 'file', metadata, data: Buffer.from('data') });
      maker.add(`${name}-link`, { kind: 'symlink', metadata, target: 'target' });
      maker.add(`${name}-fifo`, { kind: 'fifo', metadata });
      const growing = maker.addFile(`${name}-grown`, metadata);
      growing.hole(100_000);
      growing.write(Buffer.from('data'));
      growing.finish();
    }
    maker.setMetadata('', { xattrs: many });
    maker.setMetadata('', { xattrs: large });
    assert.throws(
      () =>
        maker.add('too-large', {
          kind: 'fifo',
          metadata: { ...plain, xattrs: new Map([['trusted.x', 'x'.repeat(65_536)]]) },
        }),
      (error) => errnoOf(error) === 'E2BIG',
    );
    assert.throws(
      () =>
        maker.setMetadata('many-fifo', {
          xattrs: new Map(Array.from({ length: 5 }, (_, index) => [`trusted.l${index}`, 'x'.repeat(60_000)])),
        }),
      (error) => errnoOf(error) === 'ENOSPC',
    );
  });
  withMounted(image, (root) => {
    for (const [name, xattrs] of Object.entries({ many, large })) {
      for (const kind of ['-dir', '-dir/file', '-link', '-fifo', '-grown']) {
        const file = path.join(root, name + kind);
        assert.deepEqual(listXattrs(file).sort(), [...xattrs.keys()].sort(), file);
        for (const [key, value] of xattrs) assert.equal(getXattr(file, key)?.toString('latin1'), value, key);
      }
      assert.equal(readFileSync(path.join(root, `${name}-dir/file`), 'latin1'), 'data');
      assert.equal(readFileSync(path.join(root, `${name}-grown`), 'latin1').slice(100_000), 'data');
    }
    assert.equal(listXattrs(root).length, many.size + large.size);
    assert.equal(getXattr(root, 'trusted.large')?.length, 65_535);
  });
});

test('a directory has 100,000 names, and directories are 1,000 deep', () => {
  const names = Array.from({ length: 100_000 }, (_, index) =>
    `${index * 7919}`.padStart(1 + (index % 60), 'x'),
  );
  const image = makeImage(newDirectory(), (maker) => {
    maker.add('large', { kind: 'directory', metadata: plain });
    for (const name of names)
      maker.add(`large/${name}`, { kind: 'file', metadata: plain, data: Buffer.from(name) });
    let deep = 'd';
    for (let depth = 0; depth < 1000; depth++, deep += '/d')
      maker.add(deep, { kind: 'directory', metadata: plain });
    maker.add(deep, { kind: 'file', metadata: plain, data: Buffer.from('bottom') });
  });
  withMounted(image, (root) => {
    assert.deepEqual(readdirSync(path.join(root, 'large')).sort(), names.toSorted());
    for (let index = 0; index < names.length; index += 997) {
      assert.equal(readFileSync(path.join(root, 'large', names[index]!), 'latin1'), names[index]);
    }
    assert.equal(lstatSync(path.join(root, 'large/none'), { throwIfNoEntry: false }), undefined);
    assert.equal(lstatSync(path.join(root, 'large')).nlink, 2);
    assert.equal(
      readFileSync(path.join(root, ...Array.from({ length: 1001 }, () => 'd')), 'latin1'),
      'bottom',
    );
    assert.equal(lstatSync(path.join(root, 'd')).nlink, 3);
  });
});

for (const blockSize of [512, 4096] as const) {
  test(`files of any size have their bytes, also those that grow side by side, in blocks of ${blockSize}`, () => {
    const bytes = (size: number, seed: number) =>
      Buffer.from(Array.from({ length: size }, (_, at) => (at * 31 + seed) & 0xff));
    const sizes = [
      0,
      1,
      blockSize - 65,
      blockSize - 64,
      blockSize - 63,
      blockSize - 1,
      blockSize,
      blockSize + 1,
      100_000,
    ];
    const pieces = Array.from({ length: 40 }, (_, index) => bytes(30_000 + index, index));
    const image = makeImage(
      newDirectory(),
      (maker) => {
        for (const size of sizes) {
          maker.add(`whole${size}`, { kind: 'file', metadata: plain, data: bytes(size, 1) });
          const grown = maker.addFile(`grown${size}`, plain);
          grown.write(bytes(size, 1));
          grown.finish();
        }
        const files = ['one', 'two', 'three'].map((name) => maker.addFile(name, plain));
        for (const piece of pieces) for (const file of files) file.write(piece);
        for (const file of files) file.finish();
        maker.setMetadata('two', { xattrs: new Map([['user.late', 'x']]) });
      },
      { blockSize },
    );
    withMounted(image, (root) => {
      for (const size of sizes) {
        for (const kind of ['whole', 'grown']) {
          assert.ok(
            readFileSync(path.join(root, `${kind}${size}`)).equals(bytes(size, 1)),
            `${kind} ${size}`,
          );
        }
      }
      for (const name of ['one', 'two', 'three']) {
        assert.ok(readFileSync(path.join(root, name)).equals(Buffer.concat(pieces)), name);
      }
      assert.equal(getXattr(path.join(root, 'two'), 'user.late')?.toString(), 'x');
    });
  });
}

test('streams go on beside each other, and beside files that are added meanwhile', async () => {
  const directory = newDirectory();
  const image = path.join(directory, 'image');
  using maker = new ErofsTreeMaker(image);
  const pieces = (seed: number) =>
    Array.from({ length: 50 }, (_, index) => Buffer.alloc(10_000 + seed * 977, index + seed));
  const stream = async function* (seed: number) {
    for (const [index, piece] of pieces(seed).entries()) {
      maker.add(`small-${seed}-${index}`, {
        kind: 'file',
        metadata: plain,
        data: piece.subarray(0, 100 * index),
      });
      yield piece;
    }
  };
  const seeds = [0, 1, 2, 3];
  const files = seeds.map((seed) => maker.addFile(`stream-${seed}`, plain));
  await Promise.all(files.map((file, seed) => file.writeAll(stream(seed), new AbortController().signal)));
  for (const file of files) file.finish();
  maker.finish();
  checkImage(image);
  withMounted(image, (root) => {
    for (const seed of seeds) {
      assert.ok(readFileSync(path.join(root, `stream-${seed}`)).equals(Buffer.concat(pieces(seed))));
      for (const [index, piece] of pieces(seed).entries()) {
        assert.ok(
          readFileSync(path.join(root, `small-${seed}-${index}`)).equals(piece.subarray(0, 100 * index)),
        );
      }
    }
  });
});

test('holes take no space, however large they are', () => {
  const terabyte = 2 ** 40;
  const image = makeImage(newDirectory(), (maker) => {
    const files = {
      // What lies between the holes begins where a chunk does, or does not.
      even: [terabyte, 'a', terabyte - 1, 'b'],
      uneven: ['a', terabyte, 'b', 5000, 'c', 2 * terabyte],
      only: [4 * terabyte],
    };
    for (const [name, parts] of Object.entries(files)) {
      const file = maker.addFile(name, plain);
      for (const part of parts) {
        if (typeof part === 'number') file.hole(part);
        else file.write(Buffer.from(part));
      }
      file.finish();
    }
  });
  using other = new ErofsTreeMaker(path.join(newDirectory(), 'image'));
  assert.throws(
    () => other.addFile('too-large', plain).hole(2 ** 45),
    (error) => errnoOf(error) === 'EFBIG',
  );
  assert.ok(statSync(image).blocks * 512 < 1 << 20);
  withMounted(image, (root) => {
    const read = (name: string, position: number) => {
      const descriptor = openSync(path.join(root, name), 'r');
      const buffer = Buffer.alloc(3);
      const length = readSync(descriptor, buffer, 0, 3, position);
      closeSync(descriptor);
      return buffer.toString('latin1', 0, length);
    };
    assert.equal(read('even', terabyte - 1), '\0a\0');
    assert.equal(read('even', 2 * terabyte - 1), '\0b');
    assert.equal(read('uneven', 0), 'a\0\0');
    assert.equal(read('uneven', terabyte), '\0b\0');
    assert.equal(read('uneven', terabyte + 5001), '\0c\0');
    assert.equal(statSync(path.join(root, 'uneven')).size, 3 * terabyte + 5003);
    assert.equal(read('only', 4 * terabyte - 2), '\0\0');
  });
});

test('files refer to data on other devices, at any sector of an archive and in other images', () => {
  const directory = newDirectory();
  const archive = path.join(directory, 'archive.tar');
  mkdirSync(path.join(directory, 'from'));
  const [small, large] = [Buffer.alloc(700, 's'), Buffer.alloc(50_000, 'l')];
  writeFileSync(path.join(directory, 'from/a-small'), small);
  writeFileSync(path.join(directory, 'from/b-large'), large);
  execFileSync('tar', [
    '-C',
    path.join(directory, 'from'),
    '--sort=name',
    '-cf',
    archive,
    'a-small',
    'b-large',
  ]);
  // Headers are sectors of their own; two for the first file's data.
  const [smallAt, largeAt] = [512, 512 + 1024 + 512];
  const devices = [statSync(archive).size];
  mkdirSync(path.join(directory, 'index'));
  const index = makeImage(
    path.join(directory, 'index'),
    (maker) => {
      const at = (offset: number, size: number) => ({ size, on: { index: 0, offset } });
      maker.addFromDevice('small', plain, [at(smallAt, small.length)]);
      maker.addFromDevice('large', plain, [at(largeAt, large.length)]);
      maker.addFromDevice('mixed', plain, [
        at(largeAt, 1024),
        { size: 2048 },
        at(smallAt, 512),
        at(smallAt, 1),
      ]);
      maker.add('own', { kind: 'file', metadata: plain, data: Buffer.alloc(20_000, 'o') });
      for (const ranges of [[at(100, 10)], [at(smallAt, 10), at(smallAt, 10)], [at(smallAt, devices[0]!)]]) {
        assert.throws(
          () => maker.addFromDevice('none', plain, ranges),
          (error) => error instanceof KilnError && error.code === 'invalid_argument',
        );
      }
    },
    { blockSize: 512, devices },
  );
  const mixed = Buffer.concat([
    large.subarray(0, 1024),
    Buffer.alloc(2048),
    small.subarray(0, 512),
    small.subarray(0, 1),
  ]);
  const contents = { small, large, mixed, own: Buffer.alloc(20_000, 'o') };
  mkdirSync(path.join(directory, 'copy'));
  const copy = makeImage(
    path.join(directory, 'copy'),
    (maker) => {
      using image = new ErofsImage(index);
      for (const name of image.names('')) {
        // The image itself, and its device.
        const ranges = imageRanges(image, image.find(name)!, (device) => device);
        assert.ok(ranges, name);
        maker.addFromDevice(`copied-${name}`, plain, ranges);
      }
    },
    { blockSize: 512, devices: [statSync(index).size, ...devices] },
  );
  for (const by of imageMounts()) {
    const look = (prefix: string) => (root: string) => {
      for (const [name, data] of Object.entries(contents)) {
        assert.ok(readFileSync(path.join(root, prefix + name)).equals(data), `${prefix}${name} by ${by}`);
      }
    };
    withMounted(index, look(''), { by, devices: [archive] });
    withMounted(copy, look('copied-'), { by, devices: [index, archive] });
  }
});

test('attributes become what the kernel makes of them in a directory', () => {
  const list = (...entries: readonly (readonly [tag: number, bits: number, id?: number])[]) => {
    const bytes = Buffer.alloc(4 + entries.length * 8);
    bytes.writeUInt32LE(2, 0);
    for (const [index, [tag, bits, id = 0xffff_ffff]] of entries.entries()) {
      bytes.writeUInt16LE(tag, 4 + index * 8);
      bytes.writeUInt16LE(bits, 6 + index * 8);
      bytes.writeUInt32LE(id, 8 + index * 8);
    }
    return bytes.toString('latin1');
  };
  const lists = [
    list(),
    list([1, 7], [4, 0], [0x20, 1]),
    list([1, 7], [2, 6, 1000], [4, 5], [0x10, 7], [0x20, 0]),
    list([1, 7], [4, 5], [8, 6, 9], [0x10, 4], [0x20, 0]),
    list([1, 7], [4, 5], [0x10, 4], [0x20, 0]),
    list([1, 7], [2, 6, 1000], [4, 5], [0x20, 0]),
    list([4, 7], [1, 5], [0x20, 0]),
    list([1, 8], [4, 5], [0x20, 0]),
    'none',
    '',
  ];
  const capabilities = [
    'none',
    '\0\0\0\x02'.padEnd(20, '\0'),
    '\0\0\0\x03'.padEnd(24, '\x01'),
    '\0\0\0\x02'.padEnd(24, '\0'),
  ];
  const attributes = [
    ...lists.flatMap((value) => [
      ['system.posix_acl_access', value] as const,
      ['system.posix_acl_default', value] as const,
    ]),
    ...capabilities.map((value) => ['security.capability', value] as const),
    ['user.x', ''],
    ['user.', 'x'],
    ['unknown.x', 'x'],
    ['system.x', 'x'],
    ['trusted.x\0y', 'x'],
    [`trusted.${'n'.repeat(248)}`, 'x'],
  ] as const;
  const kinds = ['file', 'directory', 'fifo', 'symlink'] as const;
  const bare = { mode: 0o751, times: { access: 0n, modification: 0n } };
  const outcomes = (maker: LayerMaker): string[] =>
    attributes.flatMap(([name, value], index) =>
      kinds.map((kind) => {
        const metadata = {
          mode: 0o640,
          xattrs: new Map([[name, value]]),
          times: { access: 0n, modification: 0n },
        };
        const entry =
          kind === 'file'
            ? { kind, metadata, data: Buffer.of() }
            : kind === 'symlink'
              ? { kind, metadata, target: 'x' }
              : { kind, metadata };
        const at = `${index}-${kind}`;
        try {
          maker.add(at, entry);
        } catch (error) {
          maker.remove(at);
          return `${at}: ${errnoOf(error)}`;
        }
        if (kind === 'directory') {
          const growing = [
            bare,
            {
              ...bare,
              xattrs: new Map([
                ['user.x', 'y'],
                ['system.posix_acl_access', lists[3]!],
              ]),
            },
          ].map((each, index) => maker.addFile(`${at}/grown${index}`, each));
          for (const file of growing) file.finish();
          for (const inside of kinds) {
            const made =
              inside === 'symlink'
                ? { kind: inside, metadata: bare, target: 'x' }
                : inside === 'file'
                  ? { kind: inside, metadata: bare, data: Buffer.of() }
                  : { kind: inside, metadata: bare };
            maker.add(`${at}/${inside}`, made);
          }
          maker.add(`${at}/directory/deep`, { kind: 'fifo', metadata: bare });
          maker.setMetadata(`${at}/directory`, { times: metadata.times });
          maker.setMetadata(at, { times: metadata.times });
        }
        if (kind === 'symlink') return at;
        maker.setMetadata(at, { mode: 0o705 });
        if (index % 2 === 0) maker.setMetadata(at, { owner: { uid: 5, gid: 6 } });
        return at;
      }),
    );
  const directory = newDirectory();
  mkdirSync(path.join(directory, 'plain'));
  const expected = new DirectoryTreeMaker(toByteString(path.join(directory, 'plain')));
  const times = { times: { access: 0n, modification: 0n }, mode: 0o755 };
  const wanted = outcomes(expected);
  expected.setMetadata('', times);
  const image = makeImage(directory, (maker) => {
    assert.deepEqual(outcomes(maker), wanted);
    maker.setMetadata('', times);
  });
  withMounted(image, (root) => assertSameTrees(root, path.join(directory, 'plain')));
});

test('an image that is not whole is none', () => {
  const directory = newDirectory();
  const isLost = (error: unknown) => error instanceof KilnError && error.code === 'data_loss';
  const unfinished = path.join(directory, 'unfinished');
  {
    using maker = new ErofsTreeMaker(unfinished);
    maker.add('file', { kind: 'file', metadata: plain, data: Buffer.alloc(1_000_000) });
  }
  assert.throws(() => new ErofsImage(unfinished), isLost);
  writeFileSync(unfinished, '');
  assert.throws(() => new ErofsImage(unfinished), isLost);
  const whole = makeImage(directory, (maker) => {
    maker.add('file', { kind: 'file', metadata: plain, data: Buffer.alloc(1_000_000, 1) });
    maker.add('link', { kind: 'symlink', metadata: plain, target: 'file' });
  });
  const cut = path.join(directory, 'cut');
  copyFileSync(whole, cut);
  truncateSync(cut, statSync(whole).size - 4096);
  assert.throws(() => new ErofsImage(cut), isLost);
  assert.throws(() => new ErofsTreeMaker(whole), { code: 'EEXIST' });
});

test('a damaged image fails, or says something, and nothing else', () => {
  const directory = newDirectory();
  const image = makeImage(directory, (maker) => {
    maker.add('dir', { kind: 'directory', metadata: { ...plain, xattrs: new Map([['user.a', 'b']]) } });
    maker.add('dir/link', { kind: 'symlink', metadata: plain, target: 'x' });
    const file = maker.addFile('dir/file', plain);
    file.write(Buffer.alloc(5000, 1));
    file.hole(100_000);
    file.finish();
  });
  const bytes = readFileSync(image);
  const random = new Random(1);
  // Not the superblock, which has a checksum.
  const start = bytes.findLastIndex((byte) => byte !== 0) - 8192;
  for (let round = 0; round < 300; round++) {
    const damaged = Buffer.from(bytes);
    for (let spot = 0; spot < 4; spot++)
      damaged[start + random.below(bytes.length - start)] = random.below(256);
    const file = path.join(directory, 'damaged');
    writeFileSync(file, damaged);
    using reader = new ErofsImage(file);
    const look = (name: string) => {
      try {
        const inode = reader.find(name);
        if (!inode) return;
        reader.xattrs(inode);
        reader.read(inode);
        reader.lookup(name);
        if (reader.lookup(name)?.kind === 'symlink') reader.readLink(name);
        if (reader.lookup(name)?.kind === 'directory') reader.names(name);
      } catch (error) {
        const isSaid = error instanceof KilnError || errnoOf(error) !== undefined;
        if (!isSaid) throw error;
      }
    };
    for (const name of ['', 'dir', 'dir/link', 'dir/file', 'dir/file/x']) look(name);
  }
});

test('a full disk is said by its errno', () => {
  const directory = newDirectory();
  mount({ source: 'none', target: directory, type: 'tmpfs', data: 'size=1m' });
  try {
    using maker = new ErofsTreeMaker(path.join(directory, 'image'));
    const fill = () => {
      for (let file = 0; file < 1000; file++) {
        maker.add(`${file}`, { kind: 'file', metadata: plain, data: Buffer.alloc(10_000) });
      }
      maker.finish();
    };
    assert.throws(fill, { code: 'ENOSPC' });
  } finally {
    unmount(directory);
  }
});
