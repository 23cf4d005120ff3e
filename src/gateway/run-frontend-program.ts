import { Console } from 'node:console';
import { GrpcConnection } from '../api/grpc-connection.ts';
import type { OpenCall } from '../api/message-stream.ts';
import type { Frontend } from '../frontend/frontend.ts';
import { readSurroundings } from './frontend-surroundings.ts';
import { GatewayBridge } from './gateway-bridge.ts';
import { StandardStreams } from './standard-streams.ts';

/**
 * Makes this process a frontend, as the program of an image that builds name as their syntax: answers the one request that a daemon started it
 * for, and ends the process. What it prints with `console` is shown in the build's progress.
 */
export async function runFrontendProgram(frontend: Pick<Frontend, 'solve'>): Promise<never> {
  // Standard output is the connection.
  globalThis.console = new Console(process.stderr, process.stderr);
  process.exit((await answer(frontend)) ? 0 : 1);
}

/** Whether there was a result. */
async function answer(frontend: Pick<Frontend, 'solve'>): Promise<boolean> {
  const { workers, ...request } = readSurroundings(process.env);
  await using connection = GrpcConnection.over(new StandardStreams());
  const open: OpenCall = (method, metadata, signal) => connection.open(method, metadata, signal);
  const bridge = new GatewayBridge(open, workers);
  try {
    const inputs = await bridge.inputs();
    await bridge.return(await frontend.solve(bridge, { ...request, inputs }, connection.closed));
    return true;
  } catch (error) {
    await bridge.fail(error);
    return false;
  }
}
