import type { EntryMetadata } from '../tree/tree-maker.ts';

/** One time, in nanoseconds since 1970, as that of access and of modification; undefined without it. */
export function sameTimes(timestamp: bigint | undefined): EntryMetadata['times'] {
  return timestamp === undefined ? undefined : { access: timestamp, modification: timestamp };
}
