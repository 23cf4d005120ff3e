import { Health, HealthCheckResponse_ServingStatus } from '../api/gen/health_pb.js';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import type { Service } from '../session/service-host.ts';

/** Tells the engine that the client is still there. Some daemons take a client without this service for gone. */
export function healthService(): Service {
  return {
    [methodPath(Health.method.check)]: unaryHandler(Health.method.check, async () => ({
      status: HealthCheckResponse_ServingStatus.SERVING,
    })),
  };
}
