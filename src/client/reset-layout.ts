import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Digest, isDigest } from '../base/digest.ts';
import { LayoutBlobs } from '../client-services/layout-blobs.ts';

/** Bytes; a larger blob is no manifest. */
const maxManifest = 16 * 1024 * 1024;

interface Described {
  readonly mediaType?: unknown;
  readonly digest?: unknown;
}

/** Removes the blobs of an OCI layout that nothing in its index leads to. What is being written stays. */
export async function resetLayout(directory: string): Promise<void> {
  const blobs = new LayoutBlobs(directory);
  const needed = new Set<Digest>();
  const pending = referencesOf(await readFile(path.join(directory, 'index.json'), 'utf8'));
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { digest, mediaType } = next;
    if (typeof digest !== 'string' || !isDigest(digest) || needed.has(digest)) continue;
    needed.add(digest);
    if (isDocument(mediaType)) pending.push(...referencesOf(await textOf(blobs, digest)));
  }
  for await (const { digest } of blobs.list()) if (!needed.has(digest)) await blobs.remove(digest);
}

function isDocument(mediaType: unknown): boolean {
  return typeof mediaType === 'string' && /\.(index|manifest|manifest\.list)\.v\d\+json$/.test(mediaType);
}

/** What an index or manifest names; nothing if the text is neither. */
function referencesOf(text: string): Described[] {
  const json = JSON.parse(text) as {
    readonly manifests?: readonly Described[];
    readonly config?: Described;
    readonly layers?: readonly Described[];
  };
  const lists = [json.manifests, json.config && [json.config], json.layers];
  return lists.flatMap((list) => (Array.isArray(list) ? list : []));
}

/** An empty object if the layout does not have the blob. */
async function textOf(blobs: LayoutBlobs, digest: Digest): Promise<string> {
  const blob = await blobs.stat(digest);
  if (!blob || blob.size > maxManifest) return '{}';
  await using file = await blobs.open(digest);
  return await file.readFile('utf8');
}
