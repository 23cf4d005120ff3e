import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';

/**
 * The names of images in an OCI layout's `index.json` (image-spec, "Image Layout"). What is not understood in the file stays as it is.
 */
const imageNameAnnotation = 'io.containerd.image.name';
const refNameAnnotation = 'org.opencontainers.image.ref.name';

interface IndexEntry {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What a layout's index calls an image: its full name, or a bare tag. */
export type LayoutName =
  | { readonly kind: 'image'; readonly name: string }
  | { readonly kind: 'tag'; readonly tag: string };

/** The digest that `tag` (a tag or a full name) stands for. Throws `not_found`, telling the names that exist. */
export async function resolveLayoutTag(directory: string, tag: string): Promise<string> {
  const { manifests } = await readIndex(directory);
  const named = (annotation: string) => manifests.find((entry) => entry.annotations?.[annotation] === tag);
  const only = tag === 'latest' && manifests.length === 1 ? manifests[0] : undefined;
  const entry = named(imageNameAnnotation) ?? named(refNameAnnotation) ?? only;
  if (entry) return entry.digest;
  const names = manifests.flatMap((candidate) => candidate.annotations?.[refNameAnnotation] ?? []);
  throw new KilnError('not_found', `the OCI layout ${directory} has no image ${JSON.stringify(tag)}`, {
    hint: names.length > 0 ? `it has ${names.join(', ')}` : 'name it by its digest: directory@sha256:…',
  });
}

/** Adds an image to the index under each name, taking the names from other images. Creates layout and index when missing. */
export async function addToLayoutIndex(
  directory: string,
  descriptor: Readonly<Record<string, unknown>> & IndexEntry,
  names: readonly LayoutName[],
): Promise<void> {
  await mkdir(directory, { recursive: true });
  const index = await readIndex(directory).catch((error) => {
    if (asKilnError(error).code === 'not_found') return { manifests: [] as readonly IndexEntry[] };
    throw error;
  });
  const added = names.map((name) => ({
    ...descriptor,
    annotations: { ...descriptor.annotations, ...annotations(name) },
  }));
  const taken = new Set(added.map(nameOf));
  const kept = index.manifests.filter(
    (entry) => !taken.has(nameOf(entry)) && !(nameOf(entry) === ' ' && entry.digest === descriptor.digest),
  );
  await replaceFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await replaceFile(
    join(directory, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      ...index,
      manifests: [...kept, ...added],
    }),
  );
}

function annotations(name: LayoutName): Readonly<Record<string, string>> {
  switch (name.kind) {
    case 'image': {
      const tag = /:([\w][\w.-]*)$/.exec(name.name)?.[1];
      return { [imageNameAnnotation]: name.name, ...(tag && { [refNameAnnotation]: tag }) };
    }
    case 'tag':
      return { [refNameAnnotation]: name.tag };
  }
}

function nameOf(entry: IndexEntry): string {
  return `${entry.annotations?.[imageNameAnnotation] ?? ''} ${entry.annotations?.[refNameAnnotation] ?? ''}`;
}

async function readIndex(directory: string): Promise<{ readonly manifests: readonly IndexEntry[] }> {
  const path = join(directory, 'index.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw asKilnError(error).wrap(`cannot read ${path}`);
    throw new KilnError('not_found', `${directory} is not an OCI layout: it has no index.json`);
  }
  try {
    const json = JSON.parse(text) as { manifests?: readonly IndexEntry[] };
    return { ...json, manifests: json.manifests ?? [] };
  } catch (cause) {
    throw new KilnError('invalid_argument', `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Replaces the file at once: readers see the old content or the new one, never a part. */
async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
