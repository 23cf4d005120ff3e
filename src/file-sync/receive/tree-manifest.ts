import type { FileStat } from '../protocol/file-stat.ts';
import { hasData, kindOfGoMode } from '../protocol/go-mode.ts';
import { decodeStat } from '../protocol/packet.ts';

/** What a synced tree holds: the stats that the client sent, and the sha256 of each regular file's header and data. */
export interface ManifestEntry {
  readonly stat: FileStat;
  /** 32 bytes; undefined for what has no data of its own. */
  readonly sha256: Buffer | undefined;
}

const digestBytes = 32;
/** To be changed with the format. A manifest of another version is ignored. */
const version = 3;

/** The entries by path, in the order they were sent; undefined for another version's manifest. Values are views. */
export function decodeManifest(bytes: Uint8Array): Map<string, ManifestEntry> | undefined {
  const manifest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (manifest[0] !== version) return undefined;
  const entries = new Map<string, ManifestEntry>();
  let at = 1;
  while (at < manifest.length) {
    const statSize = manifest.readUInt32LE(at);
    const hasDigest = manifest[at + 4] === 1;
    at += 5;
    const stat = decodeStat(manifest.subarray(at, at + statSize));
    at += statSize;
    const sha256 = hasDigest ? manifest.subarray(at, at + digestBytes) : undefined;
    if (hasDigest) at += digestBytes;
    entries.set(stat.path, { stat, sha256 });
  }
  return entries;
}

/** `encodeStat` gives the wire form of a stat. */
export function encodeManifest(
  entries: Iterable<ManifestEntry>,
  encodeStat: (stat: FileStat) => Uint8Array,
): Uint8Array {
  const parts: Uint8Array[] = [Buffer.of(version)];
  for (const { stat, sha256 } of entries) {
    const encoded = encodeStat(stat);
    const head = Buffer.allocUnsafe(5);
    head.writeUInt32LE(encoded.length);
    head[4] = sha256 ? 1 : 0;
    parts.push(head, encoded);
    if (sha256) parts.push(sha256);
  }
  return Buffer.concat(parts);
}

/**
 * Whether a file that was `a` when it was sent need not be sent again now that it is `b`: as fsutil's metadata differ decides, plus
 * extended attributes, plus the change stamp where the sender tells it.
 */
export function isSameFile(a: FileStat, b: FileStat): boolean {
  if (hasData(b.mode) && b.changeStamp !== undefined && a.changeStamp !== b.changeStamp) return false;
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.linkname !== b.linkname) return false;
  if (a.devMajor !== b.devMajor || a.devMinor !== b.devMinor || !sameXattrs(a.xattrs, b.xattrs)) return false;
  // A directory's time and size change with its entries, which are looked at themselves.
  return kindOfGoMode(a.mode) === 'directory' || (a.size === b.size && a.mtime === b.mtime);
}

function sameXattrs(a: FileStat['xattrs'], b: FileStat['xattrs']): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) {
    const other = b.get(name);
    if (!other || Buffer.compare(value, other) !== 0) return false;
  }
  return true;
}
