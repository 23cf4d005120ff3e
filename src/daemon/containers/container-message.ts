import type { InitMessage, NewContainerRequest } from '../../api/gen/gateway_pb.js';
import { platformFromMessage } from '../../api/platform-message.ts';
import { KilnError } from '../../base/errors.ts';
import type {
  ContainerMount,
  ContainerProcess,
  ContainerRequest,
} from '../../engine/containers/container-request.ts';
import type { SolvedRef } from '../../frontend/frontend.ts';
import { mountTypeOf } from '../../llb/wire/mount-type.ts';
import { networkModes, securityModes } from '../../llb/wire/wire-values.ts';

/** Reads what a client says of a container. `refOf` finds what its mounts name, and throws `not_found`. */
export function containerRequest(
  request: NewContainerRequest,
  refOf: (id: string) => SolvedRef,
): ContainerRequest {
  const network = networkModes.nameOf(request.network);
  if (!network) throw new KilnError('invalid_argument', `unknown network mode ${request.network}`);
  return {
    network,
    hostname: withoutZero(request.hostname, 'host name'),
    extraHosts: request.extraHosts.map(({ host, ip }) => ({ host, ip })),
    platform: request.platform && platformFromMessage(request.platform),
    mounts: request.mounts.map(
      (mount): ContainerMount => ({
        dest: mount.dest,
        selector: mount.selector,
        readonly: mount.readonly,
        type: mountTypeOf(
          mount,
          (problem) => new KilnError('invalid_argument', `invalid container: ${problem}`),
        ),
        ref: mount.resultId === '' ? undefined : refOf(mount.resultId),
      }),
    ),
  };
}

/** Reads what a client says of a process. Throws `invalid_argument`. */
export function containerProcess({ meta, security, secretEnv }: InitMessage): ContainerProcess {
  const mode = securityModes.nameOf(security);
  if (!mode) throw new KilnError('invalid_argument', `invalid security mode: ${security}`);
  const { args = [], env = [], cwd = '', user = '', removeMountStubsRecursive = false } = meta ?? {};
  if (args.length === 0) throw new KilnError('invalid_argument', 'there is no command to run');
  for (const text of [...args, ...env, cwd, user]) withoutZero(text, 'text of a process');
  for (const { id, name } of secretEnv) {
    if (id === '') {
      throw new KilnError(
        'invalid_argument',
        `secret ID missing for ${JSON.stringify(name)} environment variable`,
      );
    }
    withoutZero(name, 'name of a variable');
  }
  return {
    args,
    env,
    cwd,
    user,
    security: mode,
    secretEnv: secretEnv.map(({ id, name, optional }) => ({ id, name, optional })),
    removeMountStubsRecursive,
  };
}

function withoutZero(text: string, what: string): string {
  if (!text.includes('\0')) return text;
  throw new KilnError('invalid_argument', `a ${what} has a zero byte`);
}
