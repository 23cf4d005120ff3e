/** For tests: tar archives byte by byte, right or wrong. */

const blockSize = 512;

export interface RawMember {
  readonly name?: string;
  /** The type flag. */
  readonly flag?: string;
  readonly data?: string | Uint8Array;
  /** What the size field says, if not the size of the data. Text goes there as it is. */
  readonly size?: number | string;
  /** More text or bytes at offsets of the header. */
  readonly fields?: Readonly<Record<number, string | Uint8Array>>;
  /** Blocks between the header and the data. */
  readonly blocks?: readonly Uint8Array[];
}

/** A header with a right checksum, in USTAR's form unless `fields` make it another, then the data in whole blocks. */
export function rawMember({
  name = 'f',
  flag = '0',
  data = '',
  size,
  fields = {},
  blocks = [],
}: RawMember): Buffer {
  const bytes = Buffer.from(data as string, 'latin1');
  const header = Buffer.alloc(blockSize);
  const put = (text: string | Uint8Array, offset: number) =>
    header.set(typeof text === 'string' ? Buffer.from(text, 'latin1') : text, offset);
  put(name.slice(0, 100), 0);
  put('0000644\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  const stated = size ?? bytes.length;
  put(typeof stated === 'string' ? stated : `${stated.toString(8).padStart(11, '0')}\0`, 124);
  put('00000000000\0', 136);
  put(flag, 156);
  put('ustar\x0000', 257);
  for (const [offset, value] of Object.entries(fields)) put(value, Number(offset));
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([
    header,
    ...blocks,
    bytes,
    Buffer.alloc((blockSize - (bytes.length % blockSize)) % blockSize),
  ]);
}

/** A pax header with these records, which may come several times. */
export function paxMember(records: readonly (readonly [key: string, value: string])[], flag = 'x'): Buffer {
  const lines = records.map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return `${length}${rest}`;
  });
  return rawMember({ name: 'pax', flag, data: lines.join('') });
}

/** Members and the two blocks that end an archive. */
export function rawTar(...members: readonly Uint8Array[]): Buffer {
  return Buffer.concat([...members, Buffer.alloc(2 * blockSize)]);
}

/** Numbers as old GNU sparse maps have them: offset and length of each piece. */
export function sparsePieces(pieces: readonly (readonly [offset: number, length: number])[]): Buffer {
  return Buffer.from(
    pieces
      .flat()
      .map((value) => `${value.toString(8).padStart(11, '0')}\0`)
      .join(''),
    'latin1',
  );
}
