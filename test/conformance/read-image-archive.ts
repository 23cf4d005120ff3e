import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { TarEntry } from '../../src/layer-blob/tar/tar-entry.ts';
import { TarParser } from '../../src/layer-blob/tar/tar-parser.ts';
import { builtTime, type ImageOutcome, isBuildTime, type LayerEntry, type LayerOutcome } from './outcome.ts';
import { withoutStepNumber } from './without-step-number.ts';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
}

interface ConfigJson {
  created?: string;
  history?: { created?: string; created_by?: string }[];
  rootfs?: { diff_ids?: string[] };
}

/** Reads the images of an OCI archive. Layers whose uncompressed digest is in `base` are not looked into. */
export function readImageArchive(file: string, base: ReadonlySet<string>): ImageOutcome[] {
  const members = new Map(readTar(readFileSync(file)).map(({ entry, data }) => [entry.name, data]));
  const member = (name: string): Buffer => {
    const data = members.get(name);
    if (!data) throw new Error(`the archive has no ${name}`);
    return data;
  };
  const blob = ({ digest }: Descriptor): Buffer => member(`blobs/${digest.replace(':', '/')}`);
  const imagesOf = (descriptor: Descriptor): ImageOutcome[] => {
    const json = JSON.parse(blob(descriptor).toString()) as {
      manifests?: Descriptor[];
      config: Descriptor;
      layers: Descriptor[] | null;
    };
    if (json.manifests) return json.manifests.flatMap(imagesOf);
    return [readImage(blob(json.config), (json.layers ?? []).map(blob), base)];
  };
  const index = JSON.parse(member('index.json').toString()) as { manifests: Descriptor[] };
  return index.manifests.flatMap(imagesOf);
}

function readImage(configBytes: Buffer, blobs: readonly Buffer[], base: ReadonlySet<string>): ImageOutcome {
  const config = JSON.parse(configBytes.toString()) as ConfigJson;
  const diffIds = config.rootfs?.diff_ids ?? [];
  const layers = blobs.map((data, index): LayerOutcome => {
    if (base.has(diffIds[index] ?? '')) return { kind: 'base' };
    return readLayer(data, diffIds[index] ?? '');
  });
  const times = [config.created, ...(config.history ?? []).map(({ created }) => created)];
  const isFixed =
    times.every((time) => time === undefined || !isBuildTime(Date.parse(time))) &&
    layers.every((layer) => layer.kind === 'changes' && layer.digest !== undefined);
  return {
    config: withoutDifferences(config),
    ...(isFixed && { configDigest: digestOf(configBytes) }),
    layers,
  };
}

/** Times of the build are marked as such, layer digests are left to the layers. */
function withoutDifferences(config: ConfigJson): unknown {
  const time = (text: string) => (isBuildTime(Date.parse(text)) ? builtTime : text);
  return {
    ...config,
    ...(config.created !== undefined && { created: time(config.created) }),
    ...(config.history && {
      history: config.history.map((entry) => ({
        ...entry,
        ...(entry.created_by !== undefined && { created_by: withoutStepNumber(entry.created_by) }),
        ...(entry.created !== undefined && { created: time(entry.created) }),
      })),
    }),
    rootfs: { ...config.rootfs, diff_ids: config.rootfs?.diff_ids?.length ?? 0 },
  };
}

function readLayer(blob: Buffer, diffId: string): LayerOutcome {
  const archive = blob[0] === 0x1f && blob[1] === 0x8b ? gunzipSync(blob) : blob;
  if (digestOf(archive) !== diffId) throw new Error(`a layer is not what its diff id ${diffId} says`);
  const entries = readTar(archive).map(({ entry, data }) => layerEntry(entry, data));
  const isFixed = entries.every(({ mtime }) => mtime !== builtTime);
  entries.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { kind: 'changes', ...(isFixed && { digest: diffId }), entries };
}

function layerEntry(entry: TarEntry, data: Buffer): LayerEntry {
  const isDevice = entry.type === 'character-device' || entry.type === 'block-device';
  return {
    path: readable(entry.name),
    type: entry.type,
    mode: entry.mode.toString(8).padStart(4, '0'),
    owner: `${entry.uid}:${entry.gid}`,
    ...(entry.type === 'file' && {
      size: entry.size,
      sha256: createHash('sha256').update(data).digest('hex'),
    }),
    ...(entry.linkName !== '' && { target: readable(entry.linkName) }),
    ...(isDevice && { device: `${entry.deviceMajor}:${entry.deviceMinor}` }),
    ...(entry.xattrs && {
      xattrs: Object.fromEntries(
        [...entry.xattrs]
          .sort()
          .map(([name, value]) => [name, Buffer.from(value, 'latin1').toString('base64')]),
      ),
    }),
    mtime: timeText(entry.mtime),
  };
}

function timeText(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n;
  if (isBuildTime(Number(seconds) * 1000)) return builtTime;
  const fraction = String(nanoseconds % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const whole = new Date(Number(seconds) * 1000).toISOString().replace('.000Z', '');
  return `${whole}${fraction && `.${fraction}`}Z`;
}

/** As UTF-8 where it is that, with `\xNN` for other bytes. */
function readable(bytes: string): string {
  const buffer = Buffer.from(bytes, 'latin1');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer);
  } catch {
    return bytes.replace(/[^\x20-\x7e]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
  }
}

function readTar(archive: Buffer): { readonly entry: TarEntry; readonly data: Buffer }[] {
  const members: { entry: TarEntry; data: Buffer }[] = [];
  let chunks: Buffer[] = [];
  const parser = new TarParser({
    entry(entry) {
      chunks = [];
      members.push({ entry, data: Buffer.alloc(0) });
    },
    data(chunk) {
      chunks.push(Buffer.from(chunk));
    },
    hole(size) {
      chunks.push(Buffer.alloc(size));
    },
    entryEnd() {
      members.at(-1)!.data = Buffer.concat(chunks);
    },
  });
  parser.write(archive);
  parser.finish();
  return members;
}

function digestOf(data: Uint8Array): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
