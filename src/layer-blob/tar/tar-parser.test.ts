import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../../base/errors.ts';
import type { TarEntry } from './tar-entry.ts';
import { TarParser } from './tar-parser.ts';
import { paxMember, type RawMember, rawMember, rawTar, sparsePieces } from './tar-rig.ts';

interface Read extends TarEntry {
  /** Pieces of data, and the sizes of holes. */
  readonly content: (string | number)[];
}

/** `chunk`: how many bytes the parser gets at once. */
function parse(tar: Uint8Array, chunk = tar.length): Read[] {
  const entries: Read[] = [];
  const content = () => entries.at(-1)!.content;
  const parser = new TarParser({
    entry: (entry) => entries.push({ ...entry, content: [] }),
    data(bytes) {
      const text = Buffer.from(bytes).toString('latin1');
      if (typeof content().at(-1) === 'string') content().push(`${content().pop()}${text}`);
      else content().push(text);
    },
    hole: (size) => content().push(size),
    entryEnd() {},
  });
  for (let at = 0; at < tar.length; at += chunk) parser.write(tar.subarray(at, at + chunk));
  parser.finish();
  return entries;
}

const oldSparse = (
  realSize: number,
  pieces: Parameters<typeof sparsePieces>[0],
  more: RawMember = {},
): RawMember => ({
  flag: 'S',
  ...more,
  fields: {
    257: 'ustar  \0',
    386: sparsePieces(pieces.slice(0, 4)),
    483: `${realSize.toString(8).padStart(11, '0')}\0`,
    ...more.fields,
  },
});

const paxSparse = (records: Readonly<Record<string, string>>, member: RawMember = {}): Buffer =>
  Buffer.concat([
    paxMember(Object.entries(records).map(([key, value]) => [`GNU.sparse.${key}`, value] as const)),
    rawMember({ name: 'GNUSparseFile.0/f', ...member }),
  ]);

const version10 = (map: string, data = '', realsize = '100'): Buffer =>
  paxSparse(
    { major: '1', minor: '0', name: 'f', realsize },
    { data: map.padEnd(Math.ceil(map.length / 512) * 512, '\0') + data },
  );

test('the pieces of a sparse file come with the holes between them, in every format', () => {
  const expected = [10, 'ab', 28, 'cde', 57];
  const forms = {
    'old GNU': rawMember(
      oldSparse(
        100,
        [
          [10, 2],
          [40, 3],
          [100, 0],
        ],
        { data: 'abcde' },
      ),
    ),
    'pax 0.0': Buffer.concat([
      paxMember([
        ['GNU.sparse.size', '100'],
        ['GNU.sparse.numblocks', '2'],
        ['GNU.sparse.offset', '10'],
        ['GNU.sparse.numbytes', '2'],
        ['GNU.sparse.offset', '40'],
        ['GNU.sparse.numbytes', '3'],
      ]),
      rawMember({ data: 'abcde' }),
    ]),
    'pax 0.1': paxSparse({ size: '100', numblocks: '2', name: 'f', map: '10,2,40,3' }, { data: 'abcde' }),
    'pax 1.0': version10('2\n10\n2\n40\n3\n', 'abcde'),
  };
  for (const [form, member] of Object.entries(forms)) {
    const tar = rawTar(member, rawMember({ name: 'next', data: 'x' }));
    for (const chunk of [tar.length, 7, 513]) {
      const [sparse, next] = parse(tar, chunk);
      assert.deepEqual([sparse?.name, sparse?.type, sparse?.size], ['f', 'file', 100], form);
      assert.deepEqual(sparse?.content, expected, form);
      assert.deepEqual(next?.content, ['x'], form);
    }
  }
});

test('an old GNU sparse map goes on in blocks after the header', () => {
  const pieces = Array.from({ length: 30 }, (_, index) => [2 * index, 1] as const);
  const block = (from: number, more: boolean) => {
    const bytes = Buffer.alloc(512);
    bytes.set(sparsePieces(pieces.slice(from, from + 21)));
    bytes[504] = more ? 1 : 0;
    return bytes;
  };
  const data = '0123456789'.repeat(3);
  const member = rawMember(
    oldSparse(60, pieces, { data, blocks: [block(4, true), block(25, false)], fields: { 482: '\x01' } }),
  );
  const [sparse] = parse(rawTar(member));
  assert.deepEqual(
    sparse?.content,
    [...data].flatMap((digit) => [digit, 1]),
  );
});

test('a file may be one hole', () => {
  for (const member of [
    rawMember(oldSparse(9, [[9, 0]])),
    paxSparse({ size: '9', numblocks: '0', map: '' }),
    version10('0\n', '', '9'),
  ]) {
    assert.deepEqual(parse(rawTar(member))[0]?.content, [9]);
  }
});

const large = '9223372036854775807';
const hostile: readonly (readonly [why: string, member: Buffer, message: RegExp])[] = [
  [
    'pieces overlap',
    rawMember(
      oldSparse(
        100,
        [
          [10, 5],
          [12, 5],
        ],
        { data: '0123456789' },
      ),
    ),
    /overlaps/,
  ],
  ['pieces go back', paxSparse({ size: '100', map: '50,1,10,1' }, { data: 'ab' }), /out of order/],
  ['a piece reaches beyond the file', version10('1\n99\n2\n', 'ab'), /beyond its size/],
  ['a piece begins beyond the file', version10('1\n101\n0\n'), /beyond its size/],
  ['a sum is beyond 2^63', paxSparse({ size: large, map: `1,${large}` }), /has the number/],
  ['a number is too large to be exact', version10(`1\n${2 ** 53}\n1\n`, 'a', `${2 ** 53}`), /has the number/],
  ['a number has no end', version10(`1\n${'1'.repeat(2000)}`), /no list of numbers/],
  ['a number is negative', paxSparse({ size: '9', map: '-1,1' }, { data: 'a' }), /has the number "-1"/],
  [
    'a binary number is negative',
    rawMember(oldSparse(9, [], { fields: { 386: Buffer.alloc(24, 0xff) } })),
    /negative number/,
  ],
  [
    'the size is negative',
    rawMember(oldSparse(0, [], { fields: { 483: Buffer.alloc(12, 0xff) } })),
    /size is negative/,
  ],
  ['there are millions of pieces', version10('99999999\n'), /more than 1048576 pieces/],
  ['the map is longer than the entry', version10(`01000\n${'0\n'.repeat(253)}`), /longer than the entry/],
  ['the entry has no room for a map', paxSparse({ major: '1', minor: '0', realsize: '9' }), /longer than/],
  ['the map is of more data than there is', version10('1\n0\n9\n', 'abc'), /9 bytes of data, and it has 3/],
  ['the map is of less data than there is', version10('1\n0\n1\n', 'abc'), /1 bytes of data, and it has 3/],
  [
    'a map has half a piece',
    paxSparse({ size: '9', map: '1,2,3' }),
    /malformed|has the number|another length/,
  ],
  ['the count is wrong', paxSparse({ size: '9', numblocks: '3', map: '1,2' }), /another length/],
  [
    'lengths come without offsets',
    Buffer.concat([paxMember([['GNU.sparse.numbytes', '1']])]),
    /malformed sparse map/,
  ],
  ['the version is unknown', paxSparse({ major: '2', minor: '0', realsize: '9' }), /format "2.0" is unknown/],
  ['a directory is sparse', paxSparse({ size: '9', map: '1,2' }, { flag: '5' }), /is no file/],
];

for (const [why, member, message] of hostile) {
  test(`a sparse file is refused by name, before it is made, when ${why}`, () => {
    const made: string[] = [];
    const parser = new TarParser({
      entry: (entry) => made.push(entry.name),
      data() {},
      hole() {},
      entryEnd() {},
    });
    assert.throws(
      () => parser.write(rawTar(rawMember({ name: 'before' }), member)),
      (error) => {
        assert.ok(error instanceof KilnError);
        assert.equal(error.code, 'invalid_argument');
        assert.match(error.message, message);
        assert.match(error.message, /entry "(f|GNUSparseFile\.0\/f|before)"/);
        return true;
      },
    );
    assert.deepEqual(made, ['before']);
  });
}

test('a map that never ends takes no more memory than the largest that is allowed', () => {
  const endless = rawMember(oldSparse(2 ** 33 - 1, [], { fields: { 482: '\x01' } }));
  const parser = new TarParser({ entry() {}, data() {}, hole() {}, entryEnd() {} });
  parser.write(endless);
  assert.throws(
    () => {
      for (let next = 0; next < 2 ** 26; next += 42) {
        const pieces = Array.from({ length: 21 }, (_, index) => [next + 2 * index, 1] as const);
        const block = Buffer.alloc(512, 1);
        block.set(sparsePieces(pieces));
        parser.write(block);
      }
    },
    { message: /more than 1048576 pieces/ },
  );
});

test('members that are unusual are read as GNU tar reads them', () => {
  const tar = rawTar(
    rawMember({ name: 'label', flag: 'V' }),
    rawMember({ name: 'contiguous', flag: '7', data: 'c' }),
    rawMember({ name: 'dump', flag: 'D', data: 'Yname\0\0' }),
    rawMember({ name: 'old/', flag: '\0', fields: { 257: Buffer.alloc(8) } }),
    rawMember({ name: 'old', flag: '\0', data: 'v7', fields: { 257: Buffer.alloc(8) } }),
    rawMember({ name: 'cut', fields: { 100: '644\0junk' } }),
    rawMember({
      name: 'large',
      fields: {
        108: Buffer.from('800000000fffffff', 'hex'),
        136: Buffer.from('ffffffffffffffffffffffff', 'hex'),
      },
    }),
  );
  assert.deepEqual(
    parse(tar).map(({ name, type, mode, uid, mtime, content }) => [name, type, mode, uid, mtime, ...content]),
    [
      ['contiguous', 'file', 0o644, 0, 0n, 'c'],
      ['dump', 'directory', 0o644, 0, 0n],
      ['old/', 'directory', 0o644, 0, 0n],
      ['old', 'file', 0o644, 0, 0n, 'v7'],
      ['cut', 'file', 0o644, 0, 0n],
      ['large', 'file', 0o644, 0x0fffffff, -1_000_000_000n],
    ],
  );
});

test('an empty extended attribute is one', () => {
  const [entry] = parse(rawTar(paxMember([['SCHILY.xattr.user.a', '']]), rawMember({})));
  assert.deepEqual([...(entry?.xattrs ?? [])], [['user.a', '']]);
});

const refused: readonly (readonly [why: string, tar: Buffer, message: RegExp])[] = [
  ['a name with a zero byte', paxMember([['path', 'a\0b']]), /zero byte in a name/],
  [
    'an attribute with a zero byte in its name',
    paxMember([['SCHILY.xattr.user.a\0b', 'x']]),
    /zero byte in a name/,
  ],
  ['a pax header of a gigabyte', rawMember({ flag: 'x', size: 2 ** 30 }), /larger than 1 MiB/],
  ['a long name of a gigabyte', rawMember({ flag: 'L', size: 2 ** 30 }), /larger than 1 MiB/],
  ['a long link of a gigabyte', rawMember({ flag: 'K', size: 2 ** 30 }), /larger than 1 MiB/],
  ['a negative size', rawMember({ fields: { 124: Buffer.alloc(12, 0xff) } }), /negative size/],
  ['a size beyond 2^53', paxMember([['size', '9'.repeat(16)]]), /beyond 2\^53/],
  ['the owner that means none', paxMember([['uid', '4294967295']]), /owner has the number 4294967295/],
  ['a negative owner', rawMember({ fields: { 108: Buffer.alloc(8, 0xff) } }), /owner has the number -1/],
  ['a part of another volume', rawMember({ flag: 'M' }), /continues an entry of another volume/],
  ['a type that nobody knows', rawMember({ flag: 'Q' }), /unknown entry type "Q"/],
];

for (const [what, member, message] of refused) {
  test(`${what} is refused by name`, () => {
    assert.throws(() => parse(rawTar(rawMember({ name: 'before' }), member, rawMember({}))), {
      code: 'invalid_argument',
      message,
    });
  });
}
