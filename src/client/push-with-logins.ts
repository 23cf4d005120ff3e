import { randomBytes } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { Images } from '../api/gen/kiln_images_pb.js';
import { authService } from '../client-services/auth-service.ts';
import { healthService } from '../client-services/health-service.ts';
import { createServiceHost } from '../session/service-host.ts';
import type { Connection } from './connection.ts';
import type { SolveStatus } from './solve-status.ts';
import { solveStatusFromWire } from './solve-status-from-wire.ts';

/** Has the engine push an image that it keeps, with this client's logins. Yields the progress; throws what the push fails with. */
export async function* pushWithLogins(
  connection: Connection,
  image: { readonly name: string; readonly insecure: boolean },
  signal: AbortSignal,
): AsyncGenerator<SolveStatus> {
  const id = randomBytes(16).toString('hex');
  const services = createServiceHost([healthService(), authService()]);
  await using session = await connection.attachSession(services, { id, name: '', sharedKey: '' }, signal);
  const ended = AbortSignal.any([session.closed, signal]);
  const images = createClient(Images, connection.transport);
  for await (const status of images.push({ ...image, session: id }, { signal: ended })) {
    yield solveStatusFromWire(status);
  }
}
