import type { Range as RangeMessage } from '../api/gen/ops_pb.js';
import type { Range } from '../base/errors.ts';

export function rangeFromMessage({ start, end }: RangeMessage): Range {
  const from = { line: start?.line ?? 0, character: start?.character ?? 0 };
  return { start: from, end: end ? { line: end.line, character: end.character } : from };
}
