import { createClient, type Transport } from '@connectrpc/connect';
import { toStatus } from '../api/error.ts';
import { LLBBridge } from '../api/gen/gateway_pb.js';
import type { Attributes } from './solve-request.ts';

/** The header with the id of the build that a call belongs to. */
const buildHeader = 'buildkit-controlapi-buildid';

/**
 * Drives a build that its client drives itself: has a frontend solve these options, and ends the build without a result.
 * Returns the frontend's answer.
 */
export async function askFrontend(
  transport: Transport,
  ref: string,
  question: { readonly frontend: string; readonly options: Attributes },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const bridge = createClient(LLBBridge, transport);
  const call = { headers: { [buildHeader]: ref }, signal };
  try {
    const { result } = await bridge.solve(
      { frontend: question.frontend, frontendOptions: { ...question.options }, allowResultReturn: true },
      call,
    );
    await bridge.return({ result: { result: { case: 'ref', value: {} } } }, call);
    return new Map(Object.entries(result?.metadata ?? {}));
  } catch (error) {
    // Nobody waits for this: the frontend's error is known, and the build ends with a shorter form of it.
    bridge.return({ error: toStatus(error) }, call).catch(() => {});
    throw error;
  }
}
