import { create } from '@bufbuild/protobuf';
import { LLBBridge } from '../../api/gen/gateway_pb.js';
import {
  Health,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../../api/gen/health_pb.js';
import { GrpcServer } from '../../api/grpc-server.ts';
import { abortError } from '../../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { parseGoBool } from '../../base/text/go-bool.ts';
import type { BuildBridge } from '../../engine/bridge.ts';
import type { TreeProcess } from '../../engine/run-in-tree.ts';
import type { FrontendRequest, FrontendResult } from '../../frontend/frontend.ts';
import { toGraph } from '../../llb/llb.ts';
import { encodeGraph } from '../../llb/wire/marshal-graph.ts';
import { gatewayService } from '../api/gateway-service.ts';
import type { WorkerDescription } from '../api/worker-description.ts';
import type { GatewayBuild } from '../builds/gateway-build.ts';
import { GatewayRefs } from '../builds/gateway-refs.ts';
import { GatewayContainers } from '../containers/gateway-containers.ts';
import { frontendEnvironment } from './frontend-environment.ts';
import type { FrontendImage } from './frontend-image.ts';
import { FrontendLog } from './frontend-log.ts';
import { ProcessSocket } from './process-socket.ts';

/** Where a frontend finds the definition that its own files were solved from. */
const ownDefinition = '/run/config/buildkit/metadata/frontend.bin';
const withoutNetwork = 'moby.buildkit.frontend.network.none';

export interface FrontendSurroundings {
  readonly bridge: BuildBridge;
  readonly worker: WorkerDescription;
  readonly signal: AbortSignal;
}

type Outcome =
  | { readonly kind: 'none' }
  | { readonly kind: 'result'; readonly result: FrontendResult }
  | { readonly kind: 'failure'; readonly error: unknown };

/**
 * Runs a frontend in a container. It asks over its standard input and output, as a client asks over a socket, and returns a result, or says why there
 * is none, before it ends. Fails with what it says, else with what it ended with.
 */
export async function runFrontend(
  image: FrontendImage,
  request: FrontendRequest,
  { bridge, worker, signal }: FrontendSurroundings,
): Promise<FrontendResult> {
  const { refs } = await bridge.solve({ graph: toGraph(image.tree) });
  const tree = refs.get('');
  if (!tree?.graph) throw new KilnError('failed_precondition', `frontend ${image.name} has no files`);
  const process: TreeProcess = {
    platform: bridge.workers[0]!.platforms[0]!,
    args: image.args,
    env: [...image.env, ...frontendEnvironment(request, bridge.workers)],
    cwd: image.cwd,
    user: '',
    hostname: '',
    network: parseGoBool(image.labels.get(withoutNetwork) ?? '') ? 'none' : 'sandbox',
    readonlyRoot: false,
    mounts: [
      {
        kind: 'file',
        dest: ownDefinition,
        data: await encodeGraph(tree.graph),
        uid: 0,
        gid: 0,
        mode: 0o400,
      },
    ],
  };
  const state: { outcome: Outcome } = { outcome: { kind: 'none' } };
  const decide = (decided: Outcome): void => {
    if (state.outcome.kind !== 'none') {
      throw new KilnError('failed_precondition', 'gateway result is already set');
    }
    state.outcome = decided;
  };
  const over = new AbortController();
  const gatewayBuild: GatewayBuild = {
    build: {
      bridge,
      // Containers that it had end with it.
      signal: AbortSignal.any([signal, over.signal]),
      return: (result) => decide({ kind: 'result', result }),
      fail: (error) => decide({ kind: 'failure', error }),
    },
    refs: new GatewayRefs(),
    containers: new GatewayContainers(),
    inputs: request.inputs,
  };
  const ended = new AbortController();
  const log = new FrontendLog(bridge, image.name);
  const socket = new ProcessSocket();
  await using server = new GrpcServer({
    routes(router) {
      router.service(
        LLBBridge,
        gatewayService(async () => gatewayBuild, worker),
      );
      router.service(Health, {
        check: () => create(HealthCheckResponseSchema, { status: HealthCheckResponse_ServingStatus.SERVING }),
      });
    },
  });
  // Who can ask nothing more, and has not answered, never will.
  void server.serve(socket).then((error) => {
    if (state.outcome.kind === 'none') ended.abort(connectionLost(error));
  });
  let failure: KilnError | undefined;
  try {
    await bridge.runInTree(tree, process, {
      signal: AbortSignal.any([signal, ended.signal]),
      onOutput: (stream, data) => (stream === 1 ? socket.received(data) : log.write(data)),
      dialog: { input: socket.input(), onStarted() {} },
    });
  } catch (error) {
    failure = asKilnError(error);
  } finally {
    socket.destroy();
    over.abort(new KilnError('canceled', `frontend ${image.name} has ended`));
  }
  await log.end(state.outcome.kind === 'failure' ? undefined : failure);
  if (signal.aborted) throw abortError(signal);
  return resultOf(state.outcome, failure, `frontend ${image.name}`);
}

/** What a frontend said went wrong counts more than how it ended, and that more than a result. */
function resultOf(outcome: Outcome, failure: KilnError | undefined, name: string): FrontendResult {
  if (outcome.kind === 'failure') throw outcome.error;
  if (failure) throw failure.wrap(name);
  if (outcome.kind === 'result') return outcome.result;
  throw new KilnError('failed_precondition', `${name} ended without a result`);
}

function connectionLost(error: Error | undefined): KilnError {
  return new KilnError(
    'failed_precondition',
    error
      ? `what it writes to its standard output is not gRPC: ${error.message}`
      : 'it closed the connection without a result',
    { cause: error, hint: 'a frontend writes its log to standard error' },
  );
}
