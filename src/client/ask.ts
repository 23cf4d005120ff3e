import { type CallOptions, type Client, createClient, type Transport } from '@connectrpc/connect';
import { toStatus } from '../api/error.ts';
import { LLBBridge } from '../api/gen/gateway_pb.js';

/** The header with the id of the build that a call belongs to. */
export const buildHeader = 'buildkit-controlapi-buildid';

/** What is asked of the daemon during a build that builds nothing. */
export type Question = (bridge: Client<typeof LLBBridge>, call: CallOptions) => Promise<Answer>;
export type Answer = ReadonlyMap<string, Uint8Array>;

/** Drives a build that its client drives itself: asks, and ends the build without a result. */
export async function ask(
  transport: Transport,
  ref: string,
  question: Question,
  signal: AbortSignal,
): Promise<Answer> {
  const bridge = createClient(LLBBridge, transport);
  const call = { headers: { [buildHeader]: ref }, signal };
  try {
    const answer = await question(bridge, call);
    await bridge.return({ result: { result: { case: 'ref', value: {} } } }, call);
    return answer;
  } catch (error) {
    // Nobody waits for this: the frontend's error is known, and the build ends with a shorter form of it.
    bridge.return({ error: toStatus(error) }, call).catch(() => {});
    throw error;
  }
}

/** Has a frontend solve these options. Its answer is the metadata of its result. */
export function askFrontend(frontend: string, options: Readonly<Record<string, string>>): Question {
  return async (bridge, call) => {
    const request = { frontend, frontendOptions: { ...options }, allowResultReturn: true };
    const { result } = await bridge.solve(request, call);
    return new Map(Object.entries(result?.metadata ?? {}));
  };
}
