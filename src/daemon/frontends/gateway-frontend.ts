import { asKilnError, KilnError } from '../../base/errors.ts';
import { ownValue } from '../../base/own-value.ts';
import { BuildBridge } from '../../engine/bridge.ts';
import { standsInFor } from '../../frontend/dockerfile/built-in-syntax.ts';
import { dockerfileFrontend, gatewayFrontend } from '../../frontend/dockerfile/frontend-name.ts';
import type { Bridge, Frontend, FrontendRequest, FrontendResult } from '../../frontend/frontend.ts';
import { unsupportedCapability } from '../../frontend/unsupported-capability.ts';
import type { WorkerDescription } from '../api/worker-description.ts';
import { AllowedRepositories } from './allowed-repositories.ts';
import { type FrontendImage, findFrontendImage } from './frontend-image.ts';
import { runFrontend } from './frontend-run.ts';

export interface GatewayFrontendOptions {
  /** Where frontends may come from; from anywhere, if none are named. */
  readonly allowedRepositories: readonly string[];
  /** Whether the frontend for Dockerfiles is built in. */
  readonly hasDockerfile: boolean;
  readonly worker: WorkerDescription;
}

/** The label of an image with what its frontend can do beyond the oldest one. */
const capabilitiesLabel = 'moby.buildkit.frontend.caps';
const inputsCapability = 'moby.buildkit.frontend.inputs';

/** The frontend that runs others, which are images. */
export function createGatewayFrontend(options: GatewayFrontendOptions): Frontend {
  const allowed = new AllowedRepositories(options.allowedRepositories);
  return {
    name: gatewayFrontend,
    async solve(bridge, request, signal) {
      if (ownValue(request.options, 'gateway-devel') !== undefined) {
        throw new KilnError('unimplemented', 'development gateway is no longer supported');
      }
      const source = ownValue(request.options, 'source');
      if (source === undefined) {
        throw new KilnError('invalid_argument', 'no source specified for gateway', {
          hint: 'name the image of the frontend: --opt source=IMAGE',
        });
      }
      if (options.hasDockerfile && standsInFor(source, request)) return await standIn(bridge, request);
      allowed.check(source);
      if (!(bridge instanceof BuildBridge)) throw new KilnError('internal', 'the bridge is not of a build');
      const image = await found(source, request, bridge, signal);
      checkCapabilities(image, request);
      const { worker } = options;
      return await runFrontend(image, request, { bridge, worker, signal });
    },
  };
}

function standIn(bridge: Bridge, request: FrontendRequest): Promise<FrontendResult> {
  const { source: _image, ...options } = request.options;
  return bridge.solve({ frontend: dockerfileFrontend, options, inputs: request.inputs });
}

async function found(
  source: string,
  request: FrontendRequest,
  bridge: Bridge,
  signal: AbortSignal,
): Promise<FrontendImage> {
  try {
    return await findFrontendImage(source, request, bridge, signal);
  } catch (error) {
    throw asKilnError(error).wrap(`cannot load frontend ${source}`);
  }
}

/** Throws `unimplemented` when the request needs more than the image says that it can do. */
function checkCapabilities({ labels }: FrontendImage, { options, inputs }: FrontendRequest): void {
  const offered = new Set(capabilityNames(labels.get(capabilitiesLabel)));
  const needed = capabilityNames(ownValue(options, 'frontend.caps'));
  if (inputs.size > 0) needed.push(inputsCapability);
  const missing = needed.find((id) => !offered.has(id));
  if (missing !== undefined) throw unsupportedCapability(missing);
}

/** What follows a plus sign says what to do without it. */
function capabilityNames(list = ''): string[] {
  return list
    .split(',')
    .map((text) => text.split('+')[0]!)
    .filter((id) => id !== '');
}
