import { create } from '@bufbuild/protobuf';
import { type Stat, StatSchema } from '../api/gen/fsutil_stat_pb.js';
import type { FileStat } from '../frontend/frontend.ts';

export function statToMessage(stat: FileStat): Stat {
  return create(StatSchema, stat);
}
