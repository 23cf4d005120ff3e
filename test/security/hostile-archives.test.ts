import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { paxMember, rawMember, rawTar, sparsePieces } from '../../src/layer-blob/tar/tar-rig.ts';
import { describeTree } from '../rig/file-tree.ts';
import { daemonRig } from '../rig/suite-rig.ts';

const rig = daemonRig();

const dockerfile = 'FROM scratch\nADD a.tar /in/\n';
const contextOf = (archive: Uint8Array) => rig.work.tree({ Dockerfile: dockerfile, 'a.tar': archive });

/** Builds an image of the archive's files and returns what they are. */
async function added(archive: Uint8Array): Promise<Record<string, string>> {
  const out = rig.work.tree({});
  const { bytes } = await rig.kiln.build(contextOf(archive), ['-o', 'type=tar,dest=-']);
  execFileSync('tar', ['-xpf', '-', '-C', out], { input: bytes });
  return describeTree(out);
}

test('nothing of an archive gets out of the tree it is added to', async () => {
  const outside = rig.work.at('outside');
  mkdirSync(outside);
  writeFileSync(path.join(outside, 'kept'), 'kept');
  const files = await added(
    rawTar(
      rawMember({ name: '../../../../up', data: 'x' }),
      rawMember({ name: '/absolute', data: 'x' }),
      rawMember({ name: 'link', flag: '2', fields: { 157: outside } }),
      rawMember({ name: 'link/through', data: 'x' }),
      rawMember({ name: 'far', flag: '2', fields: { 157: '../../../../../../..' } }),
      rawMember({ name: 'far/top', data: 'x' }),
      rawMember({ name: 'in/../../dotted', data: 'x' }),
    ),
  );
  assert.deepEqual(readdirSync(outside), ['kept']);
  const names = Object.keys(files).filter((name) => files[name]!.startsWith('file'));
  assert.deepEqual(
    names.sort(),
    ['absolute', 'dotted', 'top', 'up', `${outside.slice(1)}/through`].map((name) => `in/${name}`).sort(),
  );
});

const sparse = (realSize: string, pieces: Parameters<typeof sparsePieces>[0], data = '') =>
  rawMember({
    name: 's',
    flag: 'S',
    data,
    fields: { 257: 'ustar  \0', 386: sparsePieces(pieces), 483: realSize },
  });
const fromOutside = rawMember({ name: 'h', flag: '1', fields: { 157: '../../../../../../etc/passwd' } });

const refused: Readonly<Record<string, readonly [member: Uint8Array, message: RegExp]>> = {
  'a link to a file of the host': [fromOutside, /"h" is a hard link to ".*passwd", which is not there/],
  'a sparse map that overlaps': [
    sparse(
      '00000001000\0',
      [
        [10, 5],
        [12, 5],
      ],
      '0123456789',
    ),
    /entry "s": its sparse map overlaps/,
  ],
  'a sparse file larger than any': [
    Buffer.concat([
      paxMember([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '9223372036854775807'],
      ]),
      rawMember({ name: 's', data: '0\n' }),
    ]),
    /entry "s": its sparse map has the number "9223372036854775807"/,
  ],
  'a hole that no file system holds': [
    Buffer.concat([
      paxMember([
        ['GNU.sparse.major', '0'],
        ['GNU.sparse.minor', '1'],
        ['GNU.sparse.size', '9007199254740991'],
      ]),
      rawMember({ name: 's' }),
    ]),
    /cannot unpack archive entry "s": EFBIG/,
  ],
  'a pax header of a gigabyte': [rawMember({ flag: 'x', size: 2 ** 30 }), /larger than 1 MiB/],
  'a name of a gigabyte': [rawMember({ flag: 'L', size: 2 ** 30 }), /larger than 1 MiB/],
  'links in a circle': [
    Buffer.concat([
      rawMember({ name: 'a', flag: '2', fields: { 157: 'b' } }),
      rawMember({ name: 'b', flag: '2', fields: { 157: 'a' } }),
      rawMember({ name: 'a/x' }),
    ]),
    /too many symbolic links/,
  ],
  'an archive cut short in its compression': [
    rawMember({ name: 'n', data: 'x'.repeat(5000) }),
    /cut short|unexpected end/,
  ],
};

test('an archive that cannot be right is refused by name', async () => {
  for (const [what, [member, message]] of Object.entries(refused)) {
    const tar = rawTar(rawMember({ name: 'first', data: 'x' }), member, rawMember({ name: 'last' }));
    const archive = what.includes('compression') ? gzipSync(tar).subarray(0, -9) : tar;
    const { stderr } = await rig.kiln.failingBuild(contextOf(archive));
    assert.match(stderr, message, what);
    assert.doesNotMatch(stderr, /\/proc\/self|undefined|at .*\.ts:/, what);
  }
  assert.ok((await added(rawTar(rawMember({ name: 'fine' }))))['in/fine']);
});

test('a file with the name of a deletion or of the root is no such thing', async () => {
  const files = await added(
    rawTar(
      rawMember({ name: 'kept', data: 'x' }),
      rawMember({ name: '.wh.kept', data: 'x' }),
      rawMember({ name: '.wh..wh..opq' }),
      rawMember({ name: '.', data: 'x' }),
      rawMember({ name: '', data: 'x' }),
    ),
  );
  assert.deepEqual(Object.keys(files), ['in', 'in/.wh..wh..opq', 'in/.wh.kept', 'in/kept']);
});

test('a terabyte of holes takes no room', async () => {
  const holes = Buffer.concat([
    paxMember([
      ['GNU.sparse.major', '0'],
      ['GNU.sparse.minor', '1'],
      ['GNU.sparse.size', String(2 ** 40)],
    ]),
    rawMember({ name: 's' }),
  ]);
  const context = rig.work.tree({
    Dockerfile:
      'FROM base AS holes\nADD a.tar /in/\nRUN stat -c "%s %b" /in/s > /size\nFROM scratch\nCOPY --from=holes /size /\n',
    'a.tar': rawTar(rawMember({ name: 'first' }), holes),
  });
  assert.equal(await rig.kiln.textOf('size', context), '1099511627776 0\n');
});
