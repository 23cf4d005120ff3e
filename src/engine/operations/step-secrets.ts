import { asKilnError, KilnError } from '../../base/errors.ts';
import type { SecretEnv } from '../../llb/op.ts';
import type { ClientCredentials } from '../../session/session.ts';
import type { OperationContext } from '../../solver/solver.ts';
import { type JobContext, sessionsOf } from '../job-context.ts';

interface WantedSecret {
  readonly id: string;
  readonly optional: boolean;
}

/** A secret of any client that wants this step; undefined when it is optional and nobody has it. */
export async function stepSecret(
  { id, optional }: WantedSecret,
  credentials: ClientCredentials,
  context: OperationContext<JobContext>,
): Promise<Uint8Array | undefined> {
  try {
    using _ = context.waitsFor(`secret ${id} from a client`);
    return await credentials.secret(sessionsOf(context), id, context.signal);
  } catch (cause) {
    const error = asKilnError(cause);
    if (error.code !== 'not_found' && error.code !== 'unavailable' && error.code !== 'unimplemented')
      throw error;
    if (optional) return undefined;
    throw new KilnError('not_found', `secret ${id}: not found`, {
      cause,
      hint: `pass it with --secret id=${id},src=FILE`,
    });
  }
}

/** Variables (`NAME=value`) of a process whose values are secrets. */
export async function secretVariables(
  secrets: readonly SecretEnv[],
  credentials: ClientCredentials,
  context: OperationContext<JobContext>,
): Promise<readonly string[]> {
  const variables = secrets.map(async ({ id, name, optional }) => {
    const value = await stepSecret({ id, optional }, credentials, context);
    return value === undefined ? [] : [`${name}=${Buffer.from(value).toString('utf8')}`];
  });
  return (await Promise.all(variables)).flat();
}
