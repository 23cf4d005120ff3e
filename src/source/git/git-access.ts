import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { asKilnError } from '../../base/errors.ts';
import type { ClientCredentials } from '../../session/session.ts';
import type { SourceContext } from '../source.ts';
import { Git } from './git.ts';
import type { GitRequest } from './git-request.ts';

export interface GitAccessOptions {
  readonly credentials: Pick<ClientCredentials, 'secret' | 'sshAgent'>;
  /** For files that git reads; created when missing. */
  readonly directory: string;
}

/** A git that has the access of the build's client to the remote, until it is disposed. */
export interface GitAccess extends AsyncDisposable {
  readonly git: Git;
}

/** Asks the client for what the remote needs. Throws `not_found` when it offers no ssh agent of that name. */
export async function openGitAccess(
  request: GitRequest,
  { credentials, directory }: GitAccessOptions,
  context: SourceContext,
): Promise<GitAccess> {
  await using resources = new AsyncDisposableStack();
  const environment: Record<string, string> = {};
  const config: [string, string][] = [];
  if (request.scheme === 'http' || request.scheme === 'https') {
    const header = await authorization(request, credentials, context);
    if (header !== undefined) config.push([`http.${headerScope(request.remote)}.extraheader`, header]);
  }
  let knownHosts: string | undefined;
  if (request.knownSshHosts !== '') {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = path.join(directory, `known-hosts-${randomUUID()}`);
    resources.defer(() => rm(file, { force: true }));
    await writeFile(file, `${request.knownSshHosts.trimEnd()}\n`, { mode: 0o600 });
    knownHosts = file;
  }
  if (request.sshAgent !== '') {
    const socket = { id: request.sshAgent, uid: process.getuid!(), gid: process.getgid!(), mode: 0o700 };
    const agent = await credentials.sshAgent(
      context.sessions(),
      { ...socket, optional: false },
      context.signal,
    );
    if (agent) environment.SSH_AUTH_SOCK = resources.use(agent).path;
  }
  environment.GIT_SSH_COMMAND = sshCommand(knownHosts);
  environment.GIT_SSH_VARIANT = 'ssh';
  const git = Git.create(context.signal).with({
    environment,
    config,
    redact: (text) => text.replaceAll(request.remote, request.shown),
  });
  const owned = resources.move();
  return { git, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The first of the secrets that a client has, those for the host first. */
async function authorization(
  { host, authHeaderSecret, authTokenSecret }: GitRequest,
  credentials: GitAccessOptions['credentials'],
  { sessions, signal }: SourceContext,
): Promise<string | undefined> {
  const header = (value: string) => value;
  const token = (value: string) => `basic ${Buffer.from(`x-access-token:${value}`).toString('base64')}`;
  const wanted = [
    [authHeaderSecret, header],
    [authTokenSecret, token],
  ] as const;
  for (const suffix of [`.${host}`, '']) {
    for (const [name, format] of wanted) {
      if (name === '') continue;
      try {
        const secret = await credentials.secret(sessions(), name + suffix, signal);
        return `Authorization: ${format(Buffer.from(secret).toString('utf8').trimEnd())}`;
      } catch (error) {
        if (asKilnError(error).code !== 'not_found') throw error;
      }
    }
  }
  return undefined;
}

/** The URLs that the header is sent to: those of the repository, or on GitHub those of all repositories, since submodules may be in others. */
function headerScope(remote: string): string {
  return /^https:\/\/(?:www\.)?github\.com\//.exec(remote)?.[0] ?? remote;
}

/** Uses nothing of the daemon's own: no configuration, keys or known hosts. */
function sshCommand(knownHosts: string | undefined): string {
  const options = [
    'BatchMode=yes',
    'IdentityFile=none',
    'GlobalKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    `StrictHostKeyChecking=${knownHosts === undefined ? 'no' : 'yes'}`,
    `UserKnownHostsFile='${knownHosts ?? '/dev/null'}'`,
  ];
  return `ssh -F /dev/null ${options.map((option) => `-o ${option}`).join(' ')}`;
}
