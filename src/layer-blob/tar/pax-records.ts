import type { ByteString } from '../../base/text/byte-string.ts';
import type { Fail } from './fail.ts';
import { safeNumber } from './header-block.ts';
import { xattrKeyPrefix } from './tar-entry.ts';

/** Records whose values are names. */
const namingKeys: ReadonlySet<string> = new Set(['path', 'linkpath', 'GNU.sparse.name']);

/** Lines of `length key=value`; the value may hold anything, new lines too. An empty one takes the field back. */
export function readPaxRecords(text: ByteString, fail: Fail): Map<string, ByteString> {
  const records = new Map<string, ByteString>();
  /** Of a sparse map in version 0.0, whose keys come again and again. */
  const pieces: ByteString[] = [];
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at);
    const digits = text.slice(at, space);
    const end = at + Number(digits);
    const equals = text.indexOf('=', space);
    if (
      space < 0 ||
      !/^[0-9]{1,7}$/.test(digits) ||
      equals < 0 ||
      equals >= end ||
      end > text.length ||
      text[end - 1] !== '\n'
    ) {
      throw fail('a pax header has a malformed record');
    }
    const value = text.slice(equals + 1, end - 1);
    const key = text.slice(space + 1, equals);
    at = end;
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      if ((pieces.length % 2 === 0) !== (key === 'GNU.sparse.offset') || value.includes(',')) {
        throw fail('a pax header has a malformed sparse map');
      }
      pieces.push(value);
      continue;
    }
    if (key.includes('\0') || (namingKeys.has(key) && value.includes('\0'))) {
      throw fail('a pax header has a zero byte in a name');
    }
    if (value === '' && !key.startsWith(xattrKeyPrefix)) records.delete(key);
    else records.set(key, value);
  }
  if (pieces.length > 0) records.set('GNU.sparse.map', pieces.join(','));
  return records;
}

/** The decimal number that a record holds; undefined without it. */
export function paxNumber(
  records: ReadonlyMap<string, ByteString>,
  key: string,
  fail: Fail,
): number | undefined {
  const text = records.get(key);
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,16}$/.test(text)) throw fail(`its pax ${key} is ${JSON.stringify(text)}`);
  return safeNumber(Number(text), fail);
}

/** The modification time in nanoseconds since 1970; undefined without it. */
export function paxTime(records: ReadonlyMap<string, ByteString>, fail: Fail): bigint | undefined {
  const text = records.get('mtime');
  if (text === undefined) return undefined;
  const [, sign, seconds, fraction = ''] = /^(-?)([0-9]{1,12})(?:\.([0-9]*))?$/.exec(text) ?? [];
  if (seconds === undefined) throw fail(`its pax mtime is ${JSON.stringify(text)}`);
  const size = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
  return sign === '-' ? -size : size;
}
