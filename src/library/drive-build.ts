import type { OpenCall } from '../api/message-stream.ts';
import { buildHeader } from '../client/ask.ts';
import type { DrivenBuild } from '../client/solve-request.ts';
import type { WorkerInfo } from '../frontend/frontend.ts';
import { GatewayBridge } from '../gateway/gateway-bridge.ts';
import type { Definition } from '../llb/op.ts';
import { bridgeGateway } from './bridge-gateway.ts';
import type { Drive, LocalFrontend } from './gateway.ts';

/** What a frontend in this process is asked. */
export interface LocalRequest {
  readonly options: Readonly<Record<string, string>>;
  readonly inputs: ReadonlyMap<string, Definition>;
}

/** Has this process make the result of a build, by calls of the gateway. Throws what made it fail, once the daemon knows. */
export async function driveBuild(
  open: OpenCall,
  workers: readonly WorkerInfo[],
  driver: Drive | LocalFrontend,
  request: LocalRequest,
  { ref, sessionId, signal }: DrivenBuild,
): Promise<void> {
  const call: OpenCall = (method, metadata, own) =>
    open(method, { ...metadata, [buildHeader]: [ref] }, own ? AbortSignal.any([own, signal]) : signal);
  const bridge = new GatewayBridge(call, workers);
  try {
    const result =
      typeof driver === 'function'
        ? await driver(bridgeGateway(bridge), signal)
        : await driver.solve(bridge, { ...request, sessionId }, signal);
    await bridge.return(result);
  } catch (error) {
    // The daemon may have ended the build itself: then nobody is there to tell.
    await bridge.fail(error).catch(() => {});
    throw error;
  }
}
