/**
 * A process that uses a ref store in the directory `argv[2]` with the snapshotter `argv[3]`, prints what it made, and dies
 * by SIGKILL in the middle of its work.
 */
import { writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ThreadPool } from '../../base/threads/thread-pool.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { createLayerDiffer } from '../../layer-blob/layer-differ.ts';
import { openNativeSnapshotter } from '../../snapshot/native-snapshotter.ts';
import { openOverlaySnapshotter } from '../../snapshot/overlay-snapshotter.ts';
import { openRefStore } from '../open-ref-store.ts';
import type { ImmutableRef } from '../ref.ts';

export interface KilledStoreOutput {
  readonly complete: readonly string[];
  readonly merged: string;
  readonly half: string;
  /** A frozen tree, and one that was thawed and is being written to. */
  readonly frozen: string;
  readonly thawed: string;
}

const [, , dir = '', kind] = process.argv;
const pool = new ThreadPool({ size: 2 });
const database = new DatabaseSync(path.join(dir, 'state.db'));
const open = kind === 'native' ? openNativeSnapshotter : openOverlaySnapshotter;
const snapshotter = open({ root: path.join(dir, 'snapshots'), database, pool });
const content = await openLocalContentStore(path.join(dir, 'content'));
const { refStore, diskUsage } = await openRefStore({
  root: path.join(dir, 'refs'),
  database,
  snapshotter,
  content,
  differ: createLayerDiffer({ pool }),
  pool,
});

const make = async (name: string, parent?: ImmutableRef): Promise<ImmutableRef> => {
  const mutable = await refStore.createMutable(parent, { description: name });
  await using view = await mutable.mount();
  writeFileSync(path.join(view.path, name), name);
  return await mutable.commit();
};
const base = await make('base');
const child = await make('child', base);
const merged = await refStore.merge([await make('other'), child], { description: 'merged' });
await merged.mount();
const half = await refStore.createMutable(child, { description: 'half' });
const view = await half.mount();
writeFileSync(path.join(view.path, 'junk'), '');

const freeze = async (name: string): Promise<ImmutableRef> => {
  const mutable = await refStore.createMutable(undefined, { description: name });
  writeFileSync(path.join((await mutable.plainDir())!, name), name);
  return await mutable.freeze();
};
const frozen = await freeze('frozen');
const thawed = (await refStore.thaw(await freeze('thawed')))!;
writeFileSync(path.join((await thawed.plainDir())!, 'junk'), '');

const usage = await diskUsage.list();
const output: KilledStoreOutput = {
  complete: usage.map((record) => record.id).filter((id) => id !== half.id && id !== thawed.id),
  merged: merged.id,
  half: half.id,
  frozen: frozen.id,
  thawed: thawed.id,
};
writeSync(1, JSON.stringify(output));
process.kill(process.pid, 'SIGKILL');
