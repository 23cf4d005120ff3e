import type { RecordFiles } from '../records/record-files.ts';
import type { RecordLifecycle } from '../records/record-lifecycle.ts';
import type { RefRecords } from '../records/ref-records.ts';

/** What handles work with. */
export interface HandleServices {
  readonly records: RefRecords;
  readonly lifecycle: RecordLifecycle;
  readonly files: RecordFiles;
}
