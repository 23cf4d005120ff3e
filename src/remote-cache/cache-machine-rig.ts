import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { digestOf } from '../base/digest.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import { openRefStoreRig, type RefStoreRig } from '../ref/ref-store-rig.ts';
import { contentKey, recordDigest, rootKey } from '../solver/cache-key.ts';
import type { KeyId, KeyLink, KeySource } from '../solver/key-store.ts';
import type { KnownEdge } from '../solver/solver.ts';
import type { CacheBackendType } from './cache-backend.ts';
import type { BuiltResult } from './export/collect-records.ts';
import { RemoteCaches } from './remote-caches.ts';

/** For tests: a machine with trees of its own, and the caches that it exports and imports. */
export class CacheMachine {
  readonly store: RefStoreRig;
  readonly caches: RemoteCaches;

  private constructor(store: RefStoreRig, types: readonly CacheBackendType[]) {
    this.store = store;
    this.caches = new RemoteCaches({ ...store, types: new Map(types.map((each) => [each.type, each])) });
  }

  static async open(
    directory: string,
    resources: AsyncDisposableStack,
    types: readonly CacheBackendType[],
  ): Promise<CacheMachine> {
    mkdirSync(directory, { recursive: true });
    return new CacheMachine(await openRefStoreRig(directory, resources), types);
  }

  /** A source, and on it one step for each of `files`, which writes that file; each step also counts by the content of a directory of that name. */
  async built(files: Readonly<Record<string, Uint8Array>>): Promise<BuiltResult> {
    const known: KnownEdge<ImmutableRef>[] = [
      {
        operation: digestOf('source'),
        alternatives: [digestOf('the same source')],
        output: 0,
        inputs: [],
        find: async () => undefined,
      },
    ];
    let ref: ImmutableRef | undefined;
    for (const [name, data] of Object.entries(files)) {
      const tree = await this.store.refStore.createMutable(ref, { description: name });
      {
        await using view = await tree.mount();
        writeFileSync(path.join(view.path, name), data);
      }
      const made = await tree.commit();
      ref = made;
      known.push({
        operation: digestOf(name),
        alternatives: [],
        output: 0,
        inputs: [
          { edge: known.length - 1, selector: undefined, contents: [] },
          { edge: undefined, selector: undefined, contents: [contentOf(name)] },
        ],
        find: async () => ({ result: made.clone(), createdAt: new Date(1_700_000_000_000) }),
      });
    }
    return { ref, known };
  }
}

function contentOf(name: string): KeyId {
  return contentKey(digestOf(`files for ${name}`));
}

/** The keys of the steps of `CacheMachine.built`, one after the other, as a cache knows them; ends where it knows no more. */
export async function keysOfSteps(keys: KeySource, names: readonly string[]): Promise<readonly KeyId[]> {
  const found: KeyId[] = [];
  let from = rootKey(digestOf('the same source'), 0);
  for (const name of names) {
    const link = (input: number, each: KeyId): KeyLink => {
      return { from: each, operation: digestOf(name), output: 0, input, selector: undefined };
    };
    const [base, files] = await keys.targets([link(0, from), link(1, contentOf(name))]);
    const [key] = base!.filter((each) => files!.includes(each));
    if (key === undefined) break;
    found.push(key);
    from = key;
  }
  return found;
}

/** The digest of a step's record. */
export function recordOf(name: string): string {
  return recordDigest(digestOf(name), 0);
}
