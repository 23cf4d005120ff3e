import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { Auth } from '../../api/gen/session_auth_pb.js';
import { Secrets } from '../../api/gen/session_secrets_pb.js';
import { SSH } from '../../api/gen/session_ssh_pb.js';
import { callUnary, methodPath } from '../../api/unary-call.ts';
import { firstAnswer } from '../../base/async/first-answer.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { ClientCredentials, Session, SessionManager, SshAgentRequest } from '../session.ts';
import { forwardSocket } from './forward-socket.ts';

/** The key in a call's metadata that names the agent. */
export const sshIdHeader = 'buildkit.ssh.id';
/** The id of the agent that is asked for without a name. */
export const defaultSshId = 'default';

/** Milliseconds that a client has for an answer about credentials: it may have to ask a helper, or its user. */
const authLimit = 60_000;

/** Milliseconds to wait for one client before others that could answer are asked, too. */
const patience = 3_000;

/** The services of clients, called through their sessions. `directory`, created when missing, is for sockets. */
export function createClientCredentials(
  sessions: SessionManager,
  { directory }: { readonly directory: string },
): ClientCredentials {
  return {
    async secret(ids, id, signal) {
      const answer = await ask(sessions, ids, signal, async (session, own) => {
        const open = session.open.bind(session);
        return await callUnary(open, Secrets.method.getSecret, { id }, { signal: own });
      });
      if (answer) return answer.data;
      throw new KilnError('not_found', `the client has no secret ${JSON.stringify(id)}`, {
        hint: `give it with --secret id=${id},src=FILE`,
      });
    },

    async login(ids, host, signal) {
      const answer = await ask(sessions, ids, signal, async (session, own) => {
        const open = session.open.bind(session);
        return await callUnary(open, Auth.method.credentials, { host }, { signal: withLimit(own) });
      });
      return answer && (answer.username !== '' || answer.secret !== '')
        ? { username: answer.username, secret: answer.secret }
        : undefined;
    },

    async token(ids, request, signal) {
      const answer = await ask(sessions, ids, signal, async (session, own) => {
        const open = session.open.bind(session);
        const { clientId, host, realm, service, scopes } = request;
        const message = { clientId, host, realm, service, scopes: [...scopes] };
        return await callUnary(open, Auth.method.fetchToken, message, { signal: withLimit(own) });
      });
      if (!answer || answer.token === '') return undefined;
      const issuedAt = Number(answer.issuedAt);
      return {
        token: answer.token,
        expiresIn: Number(answer.expiresIn),
        ...(issuedAt > 0 ? { issuedAt: new Date(issuedAt * 1000) } : {}),
      };
    },

    async sshAgent(ids, request, signal) {
      const id = request.id === '' ? defaultSshId : request.id;
      const session = await ask(sessions, ids, signal, async (candidate, own) => {
        await callUnary(candidate.open.bind(candidate), SSH.method.checkAgent, { id }, { signal: own });
        return candidate;
      });
      if (session) return await listenForAgent(session, { ...request, id }, directory);
      if (request.optional) return undefined;
      throw new KilnError('not_found', `no SSH key ${JSON.stringify(id)} forwarded from the client`, {
        hint: `forward one with --ssh ${id}`,
      });
    },
  };
}

/** The first answer. Undefined when all clients say that they do not have it, or have no such service. */
async function ask<T>(
  sessions: SessionManager,
  ids: readonly string[],
  signal: AbortSignal | undefined,
  question: (session: Session, signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const answer = await firstAnswer(ids, async (id, own) => question(await sessions.get(id, own), own), {
    signal,
    patience,
  });
  if (answer.kind === 'answered') return answer.value;
  const failure = answer.failures
    .map(asKilnError)
    .find(({ code }) => code !== 'not_found' && code !== 'unimplemented');
  if (failure) throw failure;
  return undefined;
}

function withLimit(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(authLimit)]);
}

/** Each connection to the socket becomes a call of the client's. */
async function listenForAgent(
  session: Session,
  { id, uid, gid, mode }: SshAgentRequest,
  directory: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const socketPath = path.join(directory, `ssh-${randomBytes(8).toString('hex')}`);
  const closed = new AbortController();
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    // The step may be gone before its client has answered.
    socket.on('error', () => {});
    session
      .open(methodPath(SSH.method.forwardAgent), { [sshIdHeader]: [id] }, closed.signal)
      .then((stream) => forwardSocket(socket, stream))
      .catch(() => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: socketPath }, resolve);
  });
  server.on('error', () => {});
  chownSync(socketPath, uid, gid);
  chmodSync(socketPath, mode);
  return {
    path: socketPath,
    async [Symbol.asyncDispose]() {
      closed.abort(new KilnError('canceled', 'the step that used the ssh agent has ended'));
      for (const socket of connections) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(socketPath, { force: true });
    },
  };
}
