import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { toStatus } from '../../api/error.ts';
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type BuildHistoryRequest,
  type BuildResultInfo,
  BuildResultInfoSchema,
  type SolveRequest,
  type StatusResponse,
  type UpdateBuildHistoryRequest,
} from '../../api/gen/control_pb.js';
import { stackDetail } from '../../api/stack-detail.ts';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import type { BuildOutcome } from '../../engine/engine.ts';
import type { BuildProgress } from '../builds/build-progress.ts';
import type { HistoryBlobs } from './history-blobs.ts';

/** Records kept besides pinned ones. */
const maxRecords = 50;

/** The record of a running build, completed when the build has ended. It is written in the background: only clients that ask for the history wait for it. */
export interface RunningRecord {
  complete(progress: BuildAccount, outcome: BuildOutcome): void;
  fail(progress: BuildAccount, error: unknown): void;
}

/** What is recorded of the progress of a build that has ended. */
type BuildAccount = Pick<BuildProgress, 'counts' | 'explanations' | 'stream'>;

interface Listener {
  readonly queue: BuildHistoryEvent[];
  arrived: Deferred<void>;
}

export interface BuildHistoryOptions {
  readonly database: DatabaseSync;
  readonly blobs: HistoryBlobs;
  /** Called with the reason when a record could not be written. */
  readonly onFailure: (error: unknown) => void;
}

/** The records of past builds, kept across restarts. Disposing it waits for what is being written. */
export class BuildHistory implements AsyncDisposable {
  readonly #running = new Map<string, BuildHistoryRecord>();
  readonly #writing = new Set<Promise<void>>();
  readonly #onFailure: (error: unknown) => void;
  readonly #listeners = new Set<Listener>();
  readonly #put: StatementSync;
  readonly #all: StatementSync;
  readonly #one: StatementSync;
  readonly #remove: StatementSync;
  readonly #surplus: StatementSync;
  readonly #blobs: HistoryBlobs;

  constructor({ database, blobs, onFailure }: BuildHistoryOptions) {
    this.#blobs = blobs;
    this.#onFailure = onFailure;
    database.exec(`CREATE TABLE IF NOT EXISTS build_history (
      ref TEXT PRIMARY KEY, created INTEGER NOT NULL, pinned INTEGER NOT NULL, record BLOB NOT NULL
    ) WITHOUT ROWID`);
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO build_history (ref, created, pinned, record) VALUES (?, ?, ?, ?)',
    );
    this.#all = database.prepare('SELECT record FROM build_history ORDER BY created');
    this.#one = database.prepare('SELECT record FROM build_history WHERE ref = ?');
    this.#remove = database.prepare('DELETE FROM build_history WHERE ref = ?');
    this.#surplus = database.prepare(
      `SELECT ref FROM build_history WHERE pinned = 0 AND ref NOT IN (SELECT ref FROM build_history ORDER BY created DESC LIMIT ${maxRecords})`,
    );
  }

  start(request: SolveRequest): RunningRecord {
    const createdAt = new Date();
    const record = create(BuildHistoryRecordSchema, {
      ref: request.ref,
      frontend: request.frontend,
      frontendAttrs: withoutCredentials(request.frontendAttrs),
      exporters: request.exporters,
      createdAt: timestampFromDate(createdAt),
    });
    this.#running.set(record.ref, record);
    this.#tell(BuildHistoryEventType.STARTED, record);
    const write = async (progress: BuildAccount, finish: () => Promise<void>) => {
      const counts = progress.counts();
      record.completedAt = timestampFromDate(new Date());
      record.totalSteps = counts.total;
      record.completedSteps = counts.completed;
      record.cachedSteps = counts.cached;
      record.warnings = counts.warnings;
      record.explanations = [...progress.explanations];
      try {
        record.logs = await this.#blobs.putProgress(
          record.ref,
          progress.stream(new AbortController().signal),
        );
        await finish();
      } finally {
        this.#running.delete(record.ref);
        try {
          await this.#saveOrDrop(record);
          await this.#trim();
        } finally {
          this.#tell(BuildHistoryEventType.COMPLETE, record);
        }
      }
    };
    const end = (progress: BuildAccount, finish: () => Promise<void>) => {
      const writing = write(progress, finish).catch(this.#onFailure);
      this.#writing.add(writing);
      void writing.finally(() => this.#writing.delete(writing));
    };
    return {
      complete: (progress, { exporterResponse, images, provenance }) => {
        record.exporterResponse = { ...exporterResponse };
        end(progress, async () => {
          for (const [platform, account] of provenance) {
            const attestation = await this.#blobs.putProvenance(record.ref, account, request.frontendAttrs);
            resultOf(record, platform).attestations.push(attestation);
          }
          for (const [index, image] of images) {
            const descriptor = await this.#blobs.putImage(record.ref, image);
            const result = resultOf(record, '');
            result.oldResult ??= descriptor;
            result.results[String(index)] = descriptor;
          }
        });
      },
      fail: (progress, error) => {
        const status = toStatus(error);
        record.error = { ...status, details: [] };
        status.details.push(stackDetail(error));
        end(progress, async () => {
          record.externalError = await this.#blobs.putError(record.ref, status);
        });
      },
    };
  }

  /** Resolves when the records of all builds that have ended are written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.settled();
  }

  /** Whether it is a past build. */
  has(ref: string): boolean {
    return this.#one.get(ref) !== undefined;
  }

  /** The progress of a past build. Throws `not_found`. */
  progress(ref: string): AsyncIterable<StatusResponse> {
    const logs = this.#record(ref)?.logs;
    if (!logs) throw new KilnError('not_found', `no such job ${ref}`);
    return this.#blobs.progress(logs);
  }

  /** Past and running builds, then (unless `earlyExit`) what happens until the reader leaves. */
  async *listen(request: BuildHistoryRequest, signal: AbortSignal): AsyncGenerator<BuildHistoryEvent> {
    await this.settled();
    const wanted = (record: BuildHistoryRecord) => request.ref === '' || record.ref === request.ref;
    const listener: Listener = { queue: [], arrived: deferred() };
    this.#listeners.add(listener);
    const leave = () => listener.arrived.resolve();
    signal.addEventListener('abort', leave, { once: true });
    try {
      for (const record of this.#running.values()) {
        if (wanted(record)) yield event(BuildHistoryEventType.STARTED, record);
      }
      if (!request.activeOnly) {
        const past = this.#records().filter(wanted);
        const limited = request.limit > 0 ? past.slice(-request.limit) : past;
        for (const record of limited) yield event(BuildHistoryEventType.COMPLETE, record);
      }
      while (!request.earlyExit && !signal.aborted) {
        await listener.arrived.promise;
        listener.arrived = deferred();
        if (signal.aborted) return;
        for (const each of listener.queue.splice(0)) if (each.record && wanted(each.record)) yield each;
      }
    } finally {
      signal.removeEventListener('abort', leave);
      this.#listeners.delete(listener);
    }
  }

  /** Pins or deletes a record, or makes the trace of one that has none. Throws `not_found`. */
  async update(request: UpdateBuildHistoryRequest): Promise<void> {
    await this.settled();
    if (request.finalize && this.#running.has(request.ref)) return;
    const record = this.#record(request.ref);
    if (!record) throw new KilnError('not_found', `no build ${JSON.stringify(request.ref)} in the history`);
    if (request.delete) {
      await this.#drop(record.ref);
      this.#tell(BuildHistoryEventType.DELETED, record);
    } else if (request.finalize) {
      if (record.trace || !record.logs) return;
      record.trace = await this.#blobs.putTrace(record);
      await this.#saveOrDrop(record);
    } else {
      record.pinned = request.pinned;
      this.#save(record);
      this.#tell(BuildHistoryEventType.COMPLETE, record);
    }
  }

  /** Drops the oldest records above the limit. */
  async #trim(): Promise<void> {
    for (const { ref } of this.#surplus.all() as { ref: string }[]) {
      await this.#drop(ref);
    }
  }

  async #drop(ref: string): Promise<void> {
    await this.#blobs.drop(ref, () => this.#remove.run(ref));
  }

  #record(ref: string): BuildHistoryRecord | undefined {
    const row = this.#one.get(ref) as { record: Uint8Array } | undefined;
    return row && fromBinary(BuildHistoryRecordSchema, row.record);
  }

  #records(): readonly BuildHistoryRecord[] {
    return (this.#all.all() as { record: Uint8Array }[]).map(({ record }) =>
      fromBinary(BuildHistoryRecordSchema, record),
    );
  }

  #save(record: BuildHistoryRecord): void {
    record.generation++;
    const created = Number(record.createdAt!.seconds) * 1000 + Math.floor(record.createdAt!.nanos / 1e6);
    this.#put.run(record.ref, created, record.pinned ? 1 : 0, toBinary(BuildHistoryRecordSchema, record));
  }

  /** A record that cannot be written leaves no blobs. */
  async #saveOrDrop(record: BuildHistoryRecord): Promise<void> {
    try {
      this.#save(record);
    } catch (error) {
      await this.#blobs.drop(record.ref);
      throw error;
    }
  }

  #tell(type: BuildHistoryEventType, record: BuildHistoryRecord): void {
    for (const listener of this.#listeners) {
      listener.queue.push(event(type, record));
      listener.arrived.resolve();
    }
  }
}

/** What a record says of the result of one platform; without a platform, of the build as a whole. */
function resultOf(record: BuildHistoryRecord, platform: string): BuildResultInfo {
  if (platform === '') {
    record.result ??= create(BuildResultInfoSchema);
    return record.result;
  }
  const result = record.results[platform] ?? create(BuildResultInfoSchema);
  record.results[platform] = result;
  return result;
}

function event(type: BuildHistoryEventType, record: BuildHistoryRecord): BuildHistoryEvent {
  return create(BuildHistoryEventSchema, { type, record });
}

/** Imports of caches come with tokens and keys, which must not be kept. */
function withoutCredentials(attributes: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => name !== 'cache-imports'));
}
