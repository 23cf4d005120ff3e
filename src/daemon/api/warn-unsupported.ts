import type { SolveRequest } from '../../api/gen/control_pb.js';
import { canonicalDigest } from '../../base/text/canonical.ts';
import type { SolverEvents } from '../../solver/solver.ts';

/** Says in the build's progress which parts of its request have no effect, though the result is right without them. */
export function warnUnsupported({ cache }: Pick<SolveRequest, 'cache'>, events: SolverEvents): void {
  const kinds = {
    'importing cache from': new Set(cache?.imports.map(({ type }) => type)),
    'exporting cache to': new Set(cache?.exports.map(({ type }) => type)),
  };
  const parts = Object.entries(kinds).flatMap(([what, types]) => [...types].map((type) => `${what} ${type}`));
  if (parts.length === 0) return;
  const digest = canonicalDigest('unsupported', parts);
  const now = new Date();
  events.vertex({ digest, name: '[internal] check request', inputs: [], started: now, completed: now });
  for (const part of parts) {
    events.warning(digest, { level: 1, short: `${part} is not supported yet and has no effect` });
  }
}
