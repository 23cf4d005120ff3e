import type { RefRecords } from '../records/ref-records.ts';
import type { RecordFiles } from './record-files.ts';
import type { RecordLifecycle } from './record-lifecycle.ts';

/** What handles work with. */
export interface HandleServices {
  readonly records: RefRecords;
  readonly lifecycle: RecordLifecycle;
  readonly files: RecordFiles;
}
