import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { KilnError } from '../base/errors.ts';
import { paxMember, rawMember, rawTar } from '../layer-blob/tar/tar-rig.ts';
import { getXattr } from '../linux/xattr.ts';
import { FileOpRig } from './file-op-rig.ts';

function add(rig: FileOpRig, name: string, content: Uint8Array, dest = '/'): Promise<void> {
  writeFileSync(path.join(rig.source, name), content);
  return rig.copy({ src: `/${name}`, dest, unpackArchive: true });
}

const compress = (program: string, data: Uint8Array): Buffer =>
  execFileSync(program, ['-c'], { input: data, maxBuffer: 1 << 26 });
const programs = ['gzip', 'bzip2', 'xz', 'zstd'];

test('names that mean deletions in layers are names of files in an archive', async () => {
  await using rig = new FileOpRig();
  rig.makeTarget('mkdir d; touch d/x d/y');
  const names = ['d/.wh.x', 'd/.wh..wh..opq', 'd/.wh..wh.aufs', '.wh.'];
  await add(rig, 'a.tar', rawTar(...names.map((name) => rawMember({ name, data: name }))));
  assert.deepEqual(rig.found(), ['.wh.', 'd', 'd/.wh..wh..opq', 'd/.wh..wh.aufs', 'd/.wh.x', 'd/x', 'd/y']);
  for (const name of names) assert.equal(readFileSync(path.join(rig.target, name), 'utf8'), name);
});

test('an archive is one whatever its first member is', async () => {
  const f = rawMember({ name: 'f', data: 'data' });
  const firsts: Readonly<Record<string, Buffer>> = {
    'a global pax header': paxMember([['comment', 'x']], 'g'),
    'a pax header': paxMember([['mtime', '1.5']]),
    'a long name': rawMember({
      name: '././@LongLink',
      flag: 'L',
      data: `${'n'.repeat(120)}/${'m'.repeat(120)}\0`,
    }),
    'a volume label': rawMember({ name: 'label', flag: 'V' }),
    'a device': rawMember({ name: 'null', flag: '3', fields: { 329: '0000001\0', 337: '0000003\0' } }),
    'an empty directory': rawMember({ name: 'd/', flag: '5' }),
    'a header without magic': rawMember({ name: 'v7', flag: '\0', fields: { 257: Buffer.alloc(8) } }),
    'a negative time': rawMember({ name: 't', fields: { 136: Buffer.alloc(12, 0xff) } }),
    'a sparse file': rawMember({
      name: 's',
      flag: 'S',
      fields: { 257: 'ustar  \0', 483: '00000001000\0' },
    }),
    'a sparse file of pax': Buffer.concat([
      paxMember([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.name', 's'],
        ['GNU.sparse.realsize', '9'],
      ]),
      rawMember({ data: '0\n'.padEnd(512, '\0') }),
    ]),
  };
  await using rig = new FileOpRig();
  for (const [what, first] of Object.entries(firsts)) {
    const tar = rawTar(first, ...(what === 'a long name' ? [rawMember({ data: 'x' })] : []), f);
    for (const [form, data] of [
      ['plain', tar],
      ...programs.map((program) => [program, compress(program, tar)] as const),
    ] as const) {
      await add(rig, 'a', data, `/${what} ${form}/`);
      assert.equal(
        readFileSync(path.join(rig.target, `${what} ${form}`, 'f'), 'utf8'),
        'data',
        `${what} ${form}`,
      );
    }
  }
});

test('what follows an archive is ignored, compressed or not, whatever it is and however long', async () => {
  const tar = rawTar(rawMember({ name: 'f', data: 'data' }));
  await using rig = new FileOpRig();
  for (const rest of [
    Buffer.from('\n'),
    Buffer.from('PK\x03'),
    Buffer.alloc(1),
    Buffer.alloc(700_001),
    Buffer.concat([Buffer.from('-----BEGIN PGP SIGNATURE-----'), randomBytes(700_000)]),
  ]) {
    for (const program of [undefined, ...programs]) {
      const dest = `/${program}-${rest.length}`;
      await add(rig, 'a', Buffer.concat([program ? compress(program, tar) : tar, rest]), dest);
      assert.equal(readFileSync(path.join(rig.target, dest, 'f'), 'utf8'), 'data', dest);
    }
  }
});

test('an archive may be compressed in several parts', async () => {
  const tar = rawTar(rawMember({ name: 'f', data: randomBytes(1_000_000) }), rawMember({ name: 'g' }));
  await using rig = new FileOpRig();
  for (const program of programs) {
    const parts = [tar.subarray(0, 700), tar.subarray(700, 600_000), tar.subarray(600_000)];
    const data = Buffer.concat(parts.map((part) => compress(program, part)));
    await add(rig, 'a', Buffer.concat([data, Buffer.from('rest')]), `/${program}`);
    assert.equal(lstatSync(path.join(rig.target, program, 'f')).size, 1_000_000);
    assert.ok(existsSync(path.join(rig.target, program, 'g')));
  }
});

test('a damaged archive is refused by its own name', async () => {
  const tar = rawTar(rawMember({ name: 'f', data: randomBytes(1_200_000) }));
  await using rig = new FileOpRig();
  for (const program of programs) {
    const whole = compress(program, tar);
    const flipped = Buffer.from(whole);
    flipped[1_100_000]! ^= 0xff;
    // The end says what the data must be, and comes after the last of it.
    const unchecked = Buffer.from(whole);
    unchecked[whole.length - (program === 'xz' ? 40 : 6)]! ^= 0xff;
    for (const data of [flipped, unchecked, whole.subarray(0, 1_100_000), whole.subarray(0, -6)]) {
      await assert.rejects(add(rig, 'caf\u00e9', data, '/out'), (error) => {
        assert.ok(error instanceof KilnError);
        // What comes out of damaged data may be no tar before the damage is noticed.
        assert.ok(['data_loss', 'invalid_argument'].includes(error.code), error.code);
        assert.match(
          error.message,
          /^copy \/caf\u00e9 to \/out: (\/caf\u00e9 cannot be decompressed|malformed tar)/,
        );
        assert.doesNotMatch(error.message, /\/proc\//);
        return true;
      });
    }
  }
});

test('an archive with nothing in it, or with no end of its first header, is a file', async () => {
  await using rig = new FileOpRig();
  const tar = rawTar(rawMember({ name: 'f', data: 'x' }));
  const files: Readonly<Record<string, Uint8Array>> = {
    nothing: rawTar(),
    short: tar.subarray(0, 511),
    'gzip of nothing': compress('gzip', Buffer.alloc(0)),
    'gzip of text': compress('gzip', Buffer.from('text'.repeat(1000))),
  };
  for (const [name, data] of Object.entries(files)) await add(rig, name, data, '/files/');
  assert.deepEqual(readdirSync(path.join(rig.target, 'files')).sort(), Object.keys(files).sort());
});

test('capabilities stay when a further name of their file is unpacked', async () => {
  await using rig = new FileOpRig();
  const capability = '\x01\0\0\x02\0\x04\0\0'.padEnd(20, '\0');
  const owner = { 108: '0000007\0', 116: '0000010\0' };
  const tar = rawTar(
    paxMember([['SCHILY.xattr.security.capability', capability]]),
    rawMember({ name: 'first', fields: { ...owner, 100: '0004755\0' } }),
    rawMember({ name: 'second', flag: '1', fields: { ...owner, 100: '0004755\0', 157: 'first' } }),
  );
  await add(rig, 'a.tar', tar);
  assert.deepEqual(rig.found('%P %m %U %G %n'), ['first 4755 7 8 2', 'second 4755 7 8 2']);
  const found = getXattr(path.join(rig.target, 'second'), 'security.capability');
  assert.equal(found?.toString('latin1'), capability);
});

test('members that stand for the root itself leave it as it is', async () => {
  await using rig = new FileOpRig();
  const roots = ['', '.', '/', './', 'a/..'].map((name) => rawMember({ name, data: 'data' }));
  await add(rig, 'a.tar', rawTar(rawMember({ name: 'f' }), ...roots, rawMember({ name: 'g' })));
  assert.deepEqual(rig.found(), ['f', 'g']);
});
