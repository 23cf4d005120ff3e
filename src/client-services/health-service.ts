import { Health, HealthCheckResponse_ServingStatus } from '../api/gen/health_pb.js';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import type { Service } from '../session/service-host.ts';

/** Answers the engine's question whether the client still is there. Some daemons count one as gone that does not know the question. */
export function healthService(): Service {
  return {
    [methodPath(Health.method.check)]: unaryHandler(Health.method.check, async () => ({
      status: HealthCheckResponse_ServingStatus.SERVING,
    })),
  };
}
