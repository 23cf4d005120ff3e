import { createClient, type Transport } from '@connectrpc/connect';
import { Control } from '../api/gen/control_pb.js';
import { platformFromMessage } from '../api/platform-message.ts';
import type { WorkerInfo } from '../frontend/frontend.ts';

/** The workers of the daemon at the other end, the default one first. */
export async function workersOf(transport: Transport, signal?: AbortSignal): Promise<readonly WorkerInfo[]> {
  const { records } = await createClient(Control, transport).listWorkers({}, { signal });
  return records.map(({ id, labels, platforms }) => ({
    id,
    labels,
    platforms: platforms.map(platformFromMessage),
  }));
}
