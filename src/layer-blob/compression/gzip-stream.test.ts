import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { decompressGzip, type ReadInto } from './gzip-stream.ts';

/** Gives bytes in pieces of `size`. */
function inPieces(bytes: Uint8Array, size: number): ReadInto {
  let at = 0;
  return (buffer) => {
    const piece = bytes.subarray(at, at + Math.min(size, buffer.length));
    buffer.set(piece);
    at += piece.length;
    return piece.length;
  };
}

function decompress(bytes: Uint8Array, size = 1000): Buffer {
  return Buffer.concat([...decompressGzip(inPieces(bytes, size)).map((piece) => Buffer.from(piece))]);
}

/** A member whose header has all that a header can have. */
function fullMember(data: string): Buffer {
  const extra = Buffer.from('extra field');
  const sizes = Buffer.alloc(2);
  sizes.writeUInt16LE(extra.length);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(data), 0);
  trailer.writeUInt32LE(data.length, 4);
  const header = Buffer.from([0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3]);
  const texts = [Buffer.from('name\0'), Buffer.from('a comment\0'), Buffer.from([1, 2])];
  return Buffer.concat([header, sizes, extra, ...texts, deflateRawSync(data), trailer]);
}

describe('gzip', () => {
  test('members of all sizes are read from pieces of all sizes, and what follows them is left out', () => {
    const large = Buffer.alloc(700_000, 'some text that repeats itself ');
    const members = [gzipSync(large), fullMember('one'), gzipSync(''), fullMember('two'), gzipSync(large)];
    const expected = Buffer.concat([large, Buffer.from('onetwo'), large]);
    for (const size of [1, 2, 7, 4096, 1 << 20]) {
      for (const rest of ['', '\x1f', 'something else']) {
        const found = decompress(Buffer.concat([...members, Buffer.from(rest)]), size);
        assert.ok(found.equals(expected), `pieces of ${size}, then ${JSON.stringify(rest)}`);
      }
    }
  });

  test('a member that is cut short anywhere is refused', () => {
    const member = fullMember('some data');
    for (let length = 2; length < member.length; length++) {
      assert.throws(() => decompress(member.subarray(0, length), 3), /cut short/, `${length} bytes`);
    }
  });

  test('damaged data and wrong sums are refused', () => {
    const data = Buffer.from('some data that is damaged');
    for (const [name, at] of [
      ['header', 2],
      ['data', 10],
      ['checksum', -8],
      ['size', -4],
    ] as const) {
      const member = gzipSync(data);
      member[at < 0 ? member.length + at : at]! ^= 0xff;
      assert.throws(() => decompress(member), Error, name);
    }
  });

  test('a reader that stops early ends the decoder', () => {
    const pieces = decompressGzip(inPieces(gzipSync(Buffer.alloc(1 << 20)), 1 << 16));
    assert.equal(pieces.next().done, false);
    pieces.return();
    assert.deepEqual(pieces.next(), { done: true, value: undefined });
  });
});
