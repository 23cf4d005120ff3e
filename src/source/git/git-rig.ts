import { execFile, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { HttpRig } from '../../http/http-rig.ts';

/** A file of a commit: its text, a program, or a symbolic link. */
export type CommittedFile = string | { readonly program: string } | { readonly link: string };

const someone = {
  PATH: process.env.PATH,
  HOME: '/dev/null',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'test',
  GIT_AUTHOR_EMAIL: 'test@example.test',
  GIT_COMMITTER_NAME: 'test',
  GIT_COMMITTER_EMAIL: 'test@example.test',
};

/** For tests: a repository to commit to, in a directory that a server serves. */
export class GitRepository {
  readonly directory: string;
  /** What commands get besides an identity. */
  readonly environment: Record<string, string> = {};
  #seconds = 1_600_000_000;

  constructor(directory: string, options: { readonly format?: 'sha1' | 'sha256' } = {}) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    this.git('init', '--quiet', '--initial-branch=main', `--object-format=${options.format ?? 'sha1'}`);
  }

  git(...args: readonly string[]): string {
    const date = `${this.#seconds} +0000`;
    return execFileSync('git', args, {
      cwd: this.directory,
      encoding: 'utf8',
      env: { ...someone, ...this.environment, GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date },
    }).trim();
  }

  /** Writes files and commits everything; answers the commit. Each commit is a second later than the one before. */
  commit(files: Readonly<Record<string, CommittedFile>> = {}): string {
    for (const [name, file] of Object.entries(files)) writeFile(path.join(this.directory, name), file);
    this.#seconds++;
    this.git('add', '--all');
    this.git('commit', '--quiet', '--allow-empty', '--message=a change');
    return this.git('rev-parse', 'HEAD');
  }

  /** Adds another repository at `at` with a URL that is written as it is; to be committed. */
  addSubmodule(at: string, url: string, commit: string): void {
    this.git('config', '--file', '.gitmodules', `submodule.${at}.path`, at);
    this.git('config', '--file', '.gitmodules', `submodule.${at}.url`, url);
    mkdirSync(path.join(this.directory, at), { recursive: true });
    this.git('update-index', '--add', '--cacheinfo', `160000,${commit},${at}`);
    this.git('add', '.gitmodules');
    this.#seconds++;
    this.git('commit', '--quiet', '--message=a submodule');
  }
}

function writeFile(file: string, content: CommittedFile): void {
  mkdirSync(path.dirname(file), { recursive: true });
  if (typeof content === 'string') writeFileSync(file, content);
  else if ('link' in content) symlinkSync(content.link, file);
  else {
    writeFileSync(file, content.program);
    chmodSync(file, 0o755);
  }
}

/** How a server behaves; may be changed while it serves. */
export interface GitServerBehaviour {
  /** The Authorization header that it wants. */
  authorization?: string;
  /** `dumb`: files only, no git. `old`: a protocol in which only what refs point to can be asked for. */
  kind: 'smart' | 'dumb' | 'old';
  /** Called for each request before it is answered. */
  onRequest?: (request: IncomingMessage) => Promise<void> | void;
}

/** For tests: an HTTP server on loopback that gives the repositories in a directory by git's own `http-backend`. */
export class GitServer implements AsyncDisposable {
  readonly behaviour: GitServerBehaviour = { kind: 'smart' };
  /** Methods and paths, in the order they came. */
  readonly requests: string[] = [];
  readonly #server: HttpRig;

  private constructor(server: HttpRig) {
    this.#server = server;
  }

  static async start(directory: string): Promise<GitServer> {
    const server = new GitServer(
      await HttpRig.start({
        otherwise(request, response) {
          server.#answer(directory, request, response).catch(() => response.destroy());
        },
      }),
    );
    return server;
  }

  /** `host:port`. */
  get host(): string {
    return this.#server.host;
  }

  url(name: string): string {
    return this.#server.url(`/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  async #answer(directory: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorization, kind, onRequest } = this.behaviour;
    this.requests.push(`${request.method} ${request.url}`);
    await onRequest?.(request);
    if (authorization !== undefined && request.headers.authorization !== authorization) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    const { pathname, search } = new URL(request.url ?? '', 'http://server');
    if (kind === 'dumb') await prepareDumb(path.join(directory, pathname.split('/')[1] ?? ''));
    const backend = spawn('git', ['http-backend'], {
      env: {
        ...someone,
        GIT_PROJECT_ROOT: directory,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: decodeURIComponent(pathname),
        QUERY_STRING: kind === 'dumb' ? '' : search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        ...(kind === 'smart' && { GIT_PROTOCOL: String(request.headers['git-protocol'] ?? '') }),
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    request.pipe(backend.stdin).on('error', () => {});
    const output = await Array.fromAsync(backend.stdout as AsyncIterable<Buffer>);
    const bytes = Buffer.concat(output);
    const end = bytes.indexOf('\r\n\r\n');
    const headers = bytes
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line) => line.split(/: (.*)/s) as [string, string]);
    const status = headers.find(([name]) => name === 'Status')?.[1] ?? '200';
    for (const [name, value] of headers) if (name !== 'Status') response.setHeader(name, value);
    response.writeHead(Number.parseInt(status, 10)).end(bytes.subarray(end + 4));
  }
}

async function prepareDumb(repository: string): Promise<void> {
  await promisify(execFile)('git', ['update-server-info'], { cwd: repository, env: someone });
}
