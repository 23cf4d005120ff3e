import { statSync } from 'node:fs';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { SSH } from '../api/gen/session_ssh_pb.js';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { defaultSshId, sshIdHeader } from '../session/requests/client-credentials.ts';
import { forwardSocket } from '../session/requests/forward-socket.ts';
import type { Service } from '../session/service-host.ts';
import { type KeyAgent, startKeyAgent } from './key-agent.ts';
import { ReadOnlyAgent } from './read-only-agent.ts';

/**
 * An SSH agent for the build: one socket of an agent (`$SSH_AUTH_SOCK` without any path), or files with keys, which are
 * loaded into an agent of their own. `raw`: any socket, passed through as it is.
 */
export interface SshSource {
  readonly id: string;
  readonly paths: readonly string[];
  readonly raw: boolean;
}

/** The service, with the agents it started; disposing ends them. */
export interface SshService extends AsyncDisposable {
  readonly service: Service;
}

interface Agent {
  readonly socket: string;
  readonly raw: boolean;
}

/** Throws `failed_precondition` when there is no such agent or key, `invalid_argument` for sources that do not fit together. */
export async function openSshService(sources: readonly SshSource[]): Promise<SshService> {
  const started = new AsyncDisposableStack();
  const agents = new Map<string, Agent>();
  try {
    for (const source of sources) {
      const id = source.id === '' ? defaultSshId : source.id;
      if (agents.has(id))
        throw new KilnError('invalid_argument', `the ssh agent ${JSON.stringify(id)} is given twice`);
      agents.set(id, await openAgent(source, started));
    }
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
  return { service: sshService(agents), [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function openAgent(source: SshSource, started: AsyncDisposableStack): Promise<Agent> {
  const named = source.paths.filter((path) => path !== '');
  const paths = named.length > 0 ? named : [process.env.SSH_AUTH_SOCK ?? ''];
  if (paths[0] === '') {
    throw new KilnError(
      'failed_precondition',
      'there is no ssh agent to forward: $SSH_AUTH_SOCK is not set',
      {
        hint: 'start one with `eval $(ssh-agent)` and `ssh-add`, or name a key file',
      },
    );
  }
  const sockets = paths.filter(isSocket);
  if (sockets.length === 0 && !source.raw) {
    const agent: KeyAgent = started.use(await startKeyAgent(paths));
    return { socket: agent.socket, raw: false };
  }
  const [socket] = sockets;
  if (socket === undefined || paths.length > 1) {
    throw new KilnError(
      'invalid_argument',
      `cannot forward ${paths.join(', ')}: want one socket, or key files only`,
    );
  }
  return { socket, raw: source.raw };
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch (error) {
    throw asKilnError(error).wrap('cannot use an ssh agent or key');
  }
}

function sshService(agents: ReadonlyMap<string, Agent>): Service {
  const find = (id: string | undefined): Agent => {
    const agent = agents.get(id || defaultSshId);
    if (!agent) throw new KilnError('not_found', `the ssh agent ${JSON.stringify(id)} is not forwarded`);
    return agent;
  };
  return {
    [methodPath(SSH.method.checkAgent)]: unaryHandler(SSH.method.checkAgent, async ({ id }) => {
      find(id);
      return {};
    }),
    [methodPath(SSH.method.forwardAgent)]: async ({ metadata, stream }) => {
      const agent = find(metadata[sshIdHeader]?.[0]);
      await forwardSocket(await openSocket(agent), stream);
    },
  };
}

async function openSocket({ socket: path, raw }: Agent): Promise<Duplex> {
  const socket = connect({ path, allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) =>
      reject(
        new KilnError('unavailable', `cannot connect to the ssh agent at ${path}: ${cause.message}`, {
          cause,
        }),
      ),
    );
  });
  return raw ? socket : new ReadOnlyAgent(socket);
}
