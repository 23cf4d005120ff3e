import { isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { checkJsonBounds } from '../base/json/json-bounds.ts';
import { ownValue } from '../base/own-value.ts';
import { toByteString } from '../base/text/byte-string.ts';
import type { TocEntry } from '../layer-blob/estargz/toc-entry.ts';
import { emptyEntry, type TarEntry, type TarEntryType } from '../layer-blob/tar/tar-entry.ts';
import { type LazyChunk, type LazyFile, lazyFileAttribute } from './lazy-files.ts';

/** A chunk is in memory while it is verified. */
const maxChunkSize = 64 * 1024 * 1024;
/** So much of a member is unpacked for nothing before what is wanted of it. */
const maxInner = 16 * 1024 * 1024;
/** The kernel's largest offset in a file is far above. */
const maxSize = 2 ** 44;
const maxId = 0xffff_fffe;

/** What a table of contents says: the entries of the layer in their order, and its files by the numbers that the entries have for them. */
export interface ParsedToc {
  readonly entries: readonly { readonly entry: TarEntry; readonly file?: number }[];
  readonly files: readonly LazyFile[];
}

const types: Readonly<Record<string, TarEntryType>> = {
  reg: 'file',
  dir: 'directory',
  symlink: 'symlink',
  hardlink: 'hardlink',
  char: 'character-device',
  block: 'block-device',
  fifo: 'fifo',
};

/**
 * Reads the table of contents of an eStargz layer, which anybody may have written. `tocOffset`: where its member begins in the blob, after all
 * others. Throws `failed_precondition` for what cannot be served chunk by chunk.
 */
export function parseToc(json: Uint8Array, tocOffset: number): ParsedToc {
  checkJsonBounds(json, 'the table of contents');
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder('utf8', { fatal: true }).decode(json));
  } catch (cause) {
    throw refused(`is not JSON: ${(cause as Error).message}`);
  }
  const { version, entries } = objectOf(document) as { version?: unknown; entries?: unknown };
  if (version !== 1 || !Array.isArray(entries)) throw refused('is not of version 1');
  const all = entries.map(objectOf) as Partial<Record<keyof TocEntry | 'innerOffset', unknown>>[];
  const offsets = all.filter(hasData).map((entry) => number(entry, 'offset', 0, tocOffset - 1));
  const starts = [...new Set(offsets), tocOffset].sort((a, b) => a - b);
  const next = new Map(starts.slice(1).map((end, index) => [starts[index]!, end]));

  const parsed: { entry: TarEntry; file?: number }[] = [];
  const files: LazyFile[] = [];
  let index = 0;
  let position = 0;
  for (let at = 0; at < all.length; at++) {
    const raw = all[at]!;
    const entry = tarEntryOf(raw);
    if (entry.type !== 'file' || entry.size === 0) {
      parsed.push({ entry });
      continue;
    }
    const chunks: LazyChunk[] = [];
    for (let covered = 0; covered < entry.size; ) {
      const part = covered === 0 ? raw : all[++at];
      if (!part || (covered > 0 && (part.type !== 'chunk' || part.name !== raw.name))) {
        throw refused(`lacks chunks of ${JSON.stringify(raw.name)}`);
      }
      if (number(part, 'chunkOffset', 0, maxSize) !== covered) throw refused('has chunks with gaps');
      const left = entry.size - covered;
      const size = number(part, 'chunkSize', 0, left) || left;
      if (size > maxChunkSize) throw refused(`has a chunk of ${size} bytes`);
      const digest = part.chunkDigest;
      if (typeof digest !== 'string' || !isDigest(digest)) throw refused('has a chunk without a digest');
      const memberOffset = number(part, 'offset', 0, tocOffset - 1);
      const inner = number(part, 'innerOffset', 0, maxInner);
      const memberSize = Math.min(next.get(memberOffset)! - memberOffset, compressedBound(inner + size));
      chunks.push({ index, offset: covered, size, digest, memberOffset, memberSize, inner, position });
      index++;
      position += size;
      covered += size;
    }
    if (position > maxSize) throw refused('has files of too many bytes');
    const xattrs = new Map(entry.xattrs).set(lazyFileAttribute, String(files.length));
    parsed.push({ entry: { ...entry, xattrs }, file: files.length });
    files.push({ size: entry.size, chunks });
  }
  return { entries: parsed, files };
}

function hasData(entry: Partial<Record<keyof TocEntry, unknown>>): boolean {
  return entry.type === 'chunk' || (entry.type === 'reg' && number(entry, 'size', 0, maxSize) > 0);
}

/** No compressor makes more of so many bytes. */
function compressedBound(size: number): number {
  return Math.ceil(size * 1.01) + 4096;
}

function tarEntryOf(raw: Partial<Record<keyof TocEntry, unknown>>): TarEntry {
  const type = ownValue(types, String(raw.type));
  if (!type) throw refused(`has an entry of type ${JSON.stringify(raw.type)}`);
  return {
    ...emptyEntry,
    type,
    name: name(raw, 'name'),
    size: type === 'file' ? number(raw, 'size', 0, maxSize) : 0,
    mode: number(raw, 'mode', 0, 2 ** 32) & 0o7777,
    uid: number(raw, 'uid', 0, maxId),
    gid: number(raw, 'gid', 0, maxId),
    mtime: time(raw.modtime),
    linkName: name(raw, 'linkName'),
    deviceMajor: number(raw, 'devMajor', 0, maxId),
    deviceMinor: number(raw, 'devMinor', 0, maxId),
    xattrs: attributes(raw.xattrs),
  };
}

/** JSON has no names that are not UTF-8: whoever wrote the table put the replacement character into them. */
function name(raw: Partial<Record<keyof TocEntry, unknown>>, key: 'name' | 'linkName'): string {
  const value = raw[key] ?? '';
  if (
    typeof value !== 'string' ||
    value.includes('\0') ||
    value.includes('\ufffd') ||
    !value.isWellFormed()
  ) {
    throw refused(`has a name that cannot be told: ${JSON.stringify(value)}`);
  }
  return toByteString(value);
}

function number(raw: object, key: string, least: number, most: number): number {
  const value = (raw as Readonly<Record<string, unknown>>)[key] ?? 0;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most)
    return value;
  throw refused(`has ${key} ${JSON.stringify(value)}`);
}

function time(value: unknown): bigint {
  if (value === undefined || value === '') return 0n;
  const milliseconds = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(milliseconds)) throw refused(`has the time ${JSON.stringify(value)}`);
  return BigInt(milliseconds) * 1_000_000n;
}

function attributes(value: unknown): ReadonlyMap<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  return new Map(
    Object.entries(objectOf(value))
      .filter(([key]) => key !== lazyFileAttribute)
      .map(([key, text]) => {
        if (typeof text !== 'string') throw refused(`has no text as the value of ${JSON.stringify(key)}`);
        return [key, Buffer.from(text, 'base64').toString('latin1')];
      }),
  );
}

function objectOf(value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw refused('has something else where an object should be');
}

function refused(why: string): KilnError {
  return new KilnError('failed_precondition', `the table of contents ${why}`);
}
