import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { digestHex, digestOf, isDigest } from '../base/digest.ts';
import { errnoOf } from '../base/errors.ts';

/** What a document of a registry refers to. */
interface Reference {
  readonly mediaType?: string;
  readonly digest: string;
}

/**
 * For tests: reads the storage of a `docker-registry` (`RegistryRig.storage`) and returns what is missing in it, a sentence each: a
 * manifest or index that is in a repository, under a tag or only by digest, without all that it names being in that repository with
 * the right bytes. That registry itself refuses images that lack blobs, so a push in the wrong order fails there.
 */
export async function missingFromRepositories(storage: string): Promise<readonly string[]> {
  const root = path.join(storage, 'docker/registry/v2');
  const missing: string[] = [];
  for (const repository of await repositoriesIn(path.join(root, 'repositories'), '')) {
    const at = path.join(root, 'repositories', repository);
    const manifests = new Set(await linkedIn(path.join(at, '_manifests/revisions/sha256')));
    const layers = new Set(await linkedIn(path.join(at, '_layers/sha256')));
    for (const tag of await namesIn(path.join(at, '_manifests/tags'))) {
      const digest = await readFile(path.join(at, '_manifests/tags', tag, 'current/link'), 'utf8');
      if (!manifests.has(digest)) missing.push(`${repository}:${tag}: manifest ${digest}`);
    }
    for (const digest of manifests) {
      const bytes = await blobIn(root, digest);
      if (!bytes) {
        missing.push(`${repository}: manifest ${digest}`);
        continue;
      }
      for (const named of referencesOf(bytes)) {
        const linked = manifests.has(named) || layers.has(named);
        if (!linked || !(await blobIn(root, named))) missing.push(`${repository}@${digest}: ${named}`);
      }
    }
  }
  return missing;
}

/** Blobs and manifests that a document needs. A subject may come later. */
function referencesOf(bytes: Uint8Array): readonly string[] {
  const { config, layers, manifests } = JSON.parse(Buffer.from(bytes).toString('utf8')) as {
    readonly config?: Reference;
    readonly layers?: readonly Reference[];
    readonly manifests?: readonly Reference[];
  };
  return [...(config ? [config] : []), ...(layers ?? []), ...(manifests ?? [])].map(({ digest }) => digest);
}

/** The bytes of a blob; undefined when they are not there or are others. */
async function blobIn(root: string, digest: string): Promise<Uint8Array | undefined> {
  if (!isDigest(digest)) return undefined;
  const hex = digestHex(digest);
  try {
    const bytes = await readFile(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex, 'data'));
    return digestOf(bytes) === digest ? bytes : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function linkedIn(directory: string): Promise<readonly string[]> {
  return (await namesIn(directory)).map((hex) => `sha256:${hex}`);
}

async function repositoriesIn(root: string, name: string): Promise<readonly string[]> {
  const names = await namesIn(path.join(root, name));
  const below = names.filter((each) => !each.startsWith('_')).map((each) => path.join(name, each));
  const nested = await Promise.all(below.map((each) => repositoriesIn(root, each)));
  return [...(names.some((each) => each.startsWith('_')) ? [name] : []), ...nested.flat()];
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
