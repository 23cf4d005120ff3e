import path from 'node:path';
import { asKilnError } from '../../base/errors.ts';
import type { ContentStore } from '../../content/content.ts';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import type { DaemonLog } from '../daemon-log.ts';
import { BuildHistory } from '../history/build-history.ts';
import { HistoryBlobs } from '../history/history-blobs.ts';
import type { EngineRoot } from './open-root.ts';
import type { EngineStorage } from './open-storage.ts';

export interface EngineHistory extends AsyncDisposable {
  readonly builds: BuildHistory;
  /** What the records of builds point to. */
  readonly blobs: ContentStore;
}

/** Opens the records of past builds, and removes what a killed process wrote for a record that it never finished. */
export async function openHistory(
  { directory, database }: EngineRoot,
  { ledger, content }: EngineStorage,
  log: DaemonLog,
): Promise<EngineHistory> {
  const blobs = await openLocalContentStore(path.join(directory, 'history'), {
    doubtfulSince: ledger.doubtfulSince,
  });
  const records = new HistoryBlobs({ database, store: blobs, content });
  const builds = new BuildHistory({
    database,
    blobs: records,
    onFailure: (error) => log.warn(`cannot write the record of a build: ${asKilnError(error).message}`),
  });
  await records.recover();
  return { builds, blobs, [Symbol.asyncDispose]: () => builds[Symbol.asyncDispose]() };
}
