import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { toStatus } from '../api/error.ts';
import {
  type BuildHistoryEvent,
  BuildHistoryEventSchema,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  BuildHistoryRecordSchema,
  type BuildHistoryRequest,
  type SolveRequest,
  type UpdateBuildHistoryRequest,
} from '../api/gen/control_pb.js';
import { KilnError } from '../base/errors.ts';
import { type Deferred, deferred } from '../base/lifetime.ts';
import type { BuildProgress } from './build-progress.ts';

/** Records kept besides pinned ones. */
const maxRecords = 50;

/** What is filled in when a build has ended. */
export interface RunningRecord {
  complete(progress: BuildAccount, exporterResponse: Readonly<Record<string, string>>): void;
  fail(progress: BuildAccount, error: unknown): void;
}

/** What is recorded of a build's progress. */
type BuildAccount = Pick<BuildProgress, 'counts' | 'explanations'>;

interface Listener {
  readonly queue: BuildHistoryEvent[];
  arrived: Deferred<void>;
}

/** The account of past builds, kept across restarts. */
export class BuildHistory {
  readonly #running = new Map<string, BuildHistoryRecord>();
  readonly #listeners = new Set<Listener>();
  readonly #put: StatementSync;
  readonly #all: StatementSync;
  readonly #remove: StatementSync;
  readonly #trim: StatementSync;

  constructor(database: DatabaseSync) {
    database.exec(`CREATE TABLE IF NOT EXISTS build_history (
      ref TEXT PRIMARY KEY, created INTEGER NOT NULL, pinned INTEGER NOT NULL, record BLOB NOT NULL
    ) WITHOUT ROWID`);
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO build_history (ref, created, pinned, record) VALUES (?, ?, ?, ?)',
    );
    this.#all = database.prepare('SELECT record FROM build_history ORDER BY created');
    this.#remove = database.prepare('DELETE FROM build_history WHERE ref = ?');
    this.#trim = database.prepare(
      `DELETE FROM build_history WHERE pinned = 0 AND ref NOT IN (SELECT ref FROM build_history ORDER BY created DESC LIMIT ${maxRecords})`,
    );
  }

  start(request: SolveRequest): RunningRecord {
    const createdAt = new Date();
    const record = create(BuildHistoryRecordSchema, {
      ref: request.ref,
      frontend: request.frontend,
      frontendAttrs: request.frontendAttrs,
      exporters: request.exporters,
      createdAt: timestampFromDate(createdAt),
    });
    this.#running.set(record.ref, record);
    this.#tell(BuildHistoryEventType.STARTED, record);
    const end = (progress: BuildAccount, finish: () => void) => {
      const counts = progress.counts();
      record.completedAt = timestampFromDate(new Date());
      record.totalSteps = counts.total;
      record.completedSteps = counts.completed;
      record.cachedSteps = counts.cached;
      record.warnings = counts.warnings;
      record.explanations = [...progress.explanations];
      finish();
      this.#running.delete(record.ref);
      try {
        this.#save(record);
        this.#trim.run();
      } finally {
        this.#tell(BuildHistoryEventType.COMPLETE, record);
      }
    };
    return {
      complete: (progress, exporterResponse) =>
        end(progress, () => {
          record.exporterResponse = { ...exporterResponse };
        }),
      fail: (progress, error) =>
        end(progress, () => {
          record.error = toStatus(error);
        }),
    };
  }

  /** Past and running builds, then (unless `earlyExit`) what happens until the reader leaves. */
  async *listen(request: BuildHistoryRequest, signal: AbortSignal): AsyncGenerator<BuildHistoryEvent> {
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

  /** Throws `not_found`. */
  update(request: UpdateBuildHistoryRequest): void {
    if (request.finalize && this.#running.has(request.ref)) return;
    const record = this.#records().find(({ ref }) => ref === request.ref);
    if (!record) throw new KilnError('not_found', `no build ${JSON.stringify(request.ref)} in the history`);
    if (request.delete) {
      this.#remove.run(record.ref);
      this.#tell(BuildHistoryEventType.DELETED, record);
    } else if (!request.finalize) {
      record.pinned = request.pinned;
      this.#save(record);
      this.#tell(BuildHistoryEventType.COMPLETE, record);
    }
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

  #tell(type: BuildHistoryEventType, record: BuildHistoryRecord): void {
    for (const listener of this.#listeners) {
      listener.queue.push(event(type, record));
      listener.arrived.resolve();
    }
  }
}

function event(type: BuildHistoryEventType, record: BuildHistoryRecord): BuildHistoryEvent {
  return create(BuildHistoryEventSchema, { type, record });
}
