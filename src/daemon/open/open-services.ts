import type { ConnectRouter } from '@connectrpc/connect';
import { Content } from '../../api/gen/content_pb.js';
import { Control } from '../../api/gen/control_pb.js';
import { LLBBridge } from '../../api/gen/gateway_pb.js';
import { Health, HealthCheckResponse_ServingStatus } from '../../api/gen/health_pb.js';
import { CacheMounts as CacheMountsApi } from '../../api/gen/kiln_cache_mounts_pb.js';
import { Containers } from '../../api/gen/kiln_containers_pb.js';
import { Debug } from '../../api/gen/kiln_debug_pb.js';
import { FailedSteps } from '../../api/gen/kiln_failed_steps_pb.js';
import { Images } from '../../api/gen/kiln_images_pb.js';
import { TraceService } from '../../api/gen/trace_pb.js';
import type { CacheMounts } from '../../cache-mounts/cache-mounts.ts';
import type { ContentStore } from '../../content/content.ts';
import type { KeptSteps } from '../../engine/failed-steps/kept-steps.ts';
import { blobService } from '../api/blob-service.ts';
import { cacheMountsService } from '../api/cache-mounts-service.ts';
import { containersService } from '../api/containers-service.ts';
import { type ControlServices, controlService } from '../api/control-service.ts';
import { type DebugServices, debugService } from '../api/debug-service.ts';
import { failedStepsService } from '../api/failed-steps-service.ts';
import { gatewayService, namedBuild } from '../api/gateway-service.ts';
import { type ImagesServices, imagesService } from '../api/images-service.ts';
import { RunningCalls } from '../api/running-calls.ts';
import { EventLoopWatch } from '../upkeep/event-loop-watch.ts';

export interface ServicesOptions extends ControlServices {
  readonly images: Omit<ImagesServices, 'diskUsage'>;
  /** Whether clients may have paths of this machine in containers. */
  readonly hostMounts: boolean;
  readonly cacheMounts: CacheMounts;
  readonly failedSteps: KeptSteps;
  readonly solver: DebugServices['solver'];
  /** Where clients find what records of builds point to. */
  readonly blobs: readonly ContentStore[];
}

/** The API as a router serves it. Disposing it cancels the builds that run and all other calls, and waits for what they leave. */
export interface EngineApi extends AsyncDisposable {
  readonly routes: (router: ConnectRouter) => void;
}

export function openServices(options: ServicesOptions): EngineApi {
  const { engine, builds, failedSteps, worker, solver, blobs } = options;
  const owned = new AsyncDisposableStack();
  const control = controlService(options);
  const debug = debugService({ solver, builds, eventLoop: owned.use(new EventLoopWatch()) });
  const calls = owned.use(new RunningCalls());
  owned.defer(() => builds.cancelAll());
  return {
    routes(router) {
      router.service(Control, calls.of(control));
      router.service(LLBBridge, calls.of(gatewayService(namedBuild(builds), worker)));
      router.service(Content, calls.of(blobService(blobs)));
      router.service(Health, { check: () => ({ status: HealthCheckResponse_ServingStatus.SERVING }) });
      router.service(Debug, calls.of(debug));
      router.service(
        Containers,
        calls.of(
          containersService({
            engine,
            builds,
            platform: options.images.platform,
            hostMounts: options.hostMounts,
          }),
        ),
      );
      router.service(FailedSteps, calls.of(failedStepsService({ engine, failedSteps })));
      router.service(Images, calls.of(imagesService({ ...options.images, diskUsage: options.diskUsage })));
      router.service(CacheMountsApi, calls.of(cacheMountsService(options.cacheMounts)));
      router.service(TraceService, { export: () => ({}) });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
