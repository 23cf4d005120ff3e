import { randomBytes } from 'node:crypto';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { FailedSteps, type OpenedShell } from '../../api/gen/kiln_failed_steps_pb.js';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { authService } from '../../client-services/auth-service.ts';
import { healthService } from '../../client-services/health-service.ts';
import { type SecretSource, secretsService } from '../../client-services/secrets-service.ts';
import { openSshService, type SshSource } from '../../client-services/ssh-service.ts';
import { createServiceHost, type Service } from '../../session/service-host.ts';
import type { Connection } from '../connection.ts';
import { endsSoon } from '../solve.ts';
import {
  type ProcessAnswer,
  type ProcessEnd,
  type ProcessUser,
  RequestQueue,
  talkToProcess,
} from './talk-to-process.ts';

export interface ShellRequest {
  /** The ref of a build or its beginning; empty for the build that failed last. */
  readonly build: string;
  /** The number of a step or the beginning of its digest; empty for the one that failed the build. */
  readonly step: string;
  readonly secrets: readonly SecretSource[];
  readonly ssh: readonly SshSource[];
  readonly terminal?: { readonly rows: number; readonly columns: number };
  readonly terminalType: string;
  /** Bring a shell along, also if the step has one. */
  readonly bringTools: boolean;
}

/** A failed step with a shell in it. */
export interface ShellPlace {
  readonly build: string;
  readonly stepName: string;
  readonly keptUntil: Date;
  readonly program: string;
  readonly notes: readonly string[];
}

/** A failed build that the engine remembers. */
export interface FailedBuild {
  readonly ref: string;
  readonly failedAt: Date;
  readonly keptUntil: Date;
  readonly steps: readonly { readonly digest: string; readonly name: string; readonly cause: boolean }[];
}

export interface ShellUser extends ProcessUser {
  /** Called first. */
  opened(place: ShellPlace): void;
}

/** The failed builds whose steps are there, the latest last. Throws `unimplemented` for an engine that is not Kiln's. */
export async function failedBuilds(
  connection: Connection,
  signal: AbortSignal,
): Promise<readonly FailedBuild[]> {
  const { builds } = await answered(createClient(FailedSteps, connection.transport).list({}, { signal }));
  return builds.map(({ ref, failedAt, keptUntil, steps }) => ({
    ref,
    failedAt: timestampDate(failedAt!),
    keptUntil: timestampDate(keptUntil!),
    steps: steps.map(({ digest, name, cause }) => ({ digest, name, cause })),
  }));
}

/** Runs a shell in a failed step. Returns how it ended; throws what keeps it from running. Aborting `signal` ends it at once. */
export async function debugShell(
  connection: Connection,
  { build, step, secrets, ssh, terminal, terminalType, bringTools }: ShellRequest,
  user: ShellUser,
  signal: AbortSignal,
): Promise<ProcessEnd> {
  await using owned = new AsyncDisposableStack();
  const services: Service[] = [healthService(), authService()];
  if (secrets.length > 0) services.push(secretsService(secrets));
  if (ssh.length > 0) services.push(owned.use(await openSshService(ssh)).service);
  const session = randomBytes(16).toString('hex');
  const attached = owned.use(
    await connection.attachSession(
      createServiceHost(services),
      { id: session, name: '', sharedKey: '' },
      signal,
    ),
  );
  const stop = new AbortController();
  const queue = new RequestQueue();
  const start = {
    case: 'start' as const,
    value: { build, step, session, terminal, terminalType, input: user.input !== undefined, bringTools },
  };
  try {
    const answers = createClient(FailedSteps, connection.transport).shell(queue.messages(start), {
      signal: AbortSignal.any([attached.closed, signal, stop.signal]),
    });
    return await talkToProcess(
      withoutOpening(answers, (opened) => user.opened(placeOf(opened))),
      queue,
      user,
    );
  } catch (error) {
    if (signal.aborted) throw asKilnError(signal.reason);
    if (await endsSoon(attached.closed, asKilnError(error))) {
      throw new KilnError('unavailable', 'the connection to the build engine was lost', { cause: error });
    }
    throw error;
  } finally {
    stop.abort(new KilnError('canceled', 'the shell has ended'));
  }
}

type ShellAnswer = ProcessAnswer | { readonly case: 'opened'; readonly value: OpenedShell };

async function* withoutOpening(
  answers: AsyncIterable<{ readonly message: ShellAnswer }>,
  onOpened: (opened: OpenedShell) => void,
): AsyncGenerator<{ readonly message: ProcessAnswer }> {
  for await (const { message } of answers) {
    if (message.case === 'opened') onOpened(message.value);
    else yield { message };
  }
}

function placeOf({ build, stepName, keptUntil, program, notes }: OpenedShell): ShellPlace {
  return { build, stepName, keptUntil: timestampDate(keptUntil!), program, notes };
}

async function answered<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    const error = asKilnError(cause);
    if (error.code !== 'unimplemented') throw error;
    throw new KilnError('unimplemented', 'this build engine keeps no failed steps to look into', {
      cause,
      hint: 'kilnd does; with BuildKit there is docker buildx debug build',
    });
  }
}
