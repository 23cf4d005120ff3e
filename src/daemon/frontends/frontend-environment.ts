import { KilnError } from '../../base/errors.ts';
import type { FrontendRequest, WorkerInfo } from '../../frontend/frontend.ts';
import { platformToJson } from '../../oci/platform-json.ts';

/** By which frontends tell what they ask for that a daemon lacks. */
const exportedProduct = 'buildkit';

/** What a frontend's program is told by its environment, besides what its image says. Throws `invalid_argument`. */
export function frontendEnvironment(
  { options, sessionId }: FrontendRequest,
  workers: readonly WorkerInfo[],
): readonly string[] {
  const listed = workers.map(({ id, labels, platforms }) => ({
    ID: id,
    Labels: labels,
    Platforms: platforms.map(platformToJson),
  }));
  const environment = [
    ...Object.entries(options).map(([name, value], at) => `BUILDKIT_FRONTEND_OPT_${at}=${name}=${value}`),
    `BUILDKIT_SESSION_ID=${sessionId}`,
    `BUILDKIT_WORKERS=${JSON.stringify(listed)}`,
    `BUILDKIT_EXPORTEDPRODUCT=${exportedProduct}`,
  ];
  const broken = environment.find((entry) => entry.includes('\0'));
  if (broken === undefined) return environment;
  throw new KilnError(
    'invalid_argument',
    `a frontend cannot be told ${JSON.stringify(broken.slice(0, 100))}, since there is a zero byte in it`,
  );
}
