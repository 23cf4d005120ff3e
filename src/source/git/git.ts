import { abortError, throwIfAborted } from '../../base/async/lifetime.ts';
import { unixPath } from '../../base/default-path.ts';
import { KilnError } from '../../base/errors.ts';
import { OutputPipe } from '../../linux/process/output-pipe.ts';
import { spawnProcess } from '../../linux/process/spawn-process.ts';
import { gitFailure } from './git-failure.ts';

/** How the program is run. Nothing that the machine or its users configured for git counts. */
export interface GitSettings {
  readonly signal: AbortSignal;
  readonly cwd: string;
  /** Besides what `Git` sets itself. */
  readonly environment: Readonly<Record<string, string>>;
  /** `section.name` and value. */
  readonly config: readonly (readonly [string, string])[];
  /** The transports that may be used, as in GIT_ALLOW_PROTOCOL. */
  readonly protocols: readonly string[];
  /** How many bytes a command may give. */
  readonly mostOutput: number;
  /** Called with each line that git writes to standard error; each state of a progress display is a line. */
  readonly onMessage: (line: string) => void;
  /** Removes secrets from messages. */
  readonly redact: (text: string) => string;
}

export interface GitEnd {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

const networkProtocols: readonly string[] = ['git', 'http', 'https', 'ssh'];
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY'];
/** What `sh` says when a program is not there. */
const notFound = 127;
/** How many characters of messages are kept, and how long a line of them may be: the last ones say what is wrong. */
const mostMessages = 256 * 1024;
/** Milliseconds that git has to clean up after itself before it is killed. */
const grace = 10_000;

const config: GitSettings['config'] = [
  ['advice.detachedHead', 'false'],
  ['core.hooksPath', '/dev/null'],
  // Nothing that goes on in a repository when the command has ended.
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['fetch.unpackLimit', '1'],
];

/** The `git` program with settings. Immutable: `with` returns one with other settings. */
export class Git {
  readonly #settings: GitSettings;

  private constructor(settings: GitSettings) {
    this.#settings = settings;
  }

  static create(signal: AbortSignal): Git {
    return new Git({
      signal,
      cwd: '/',
      environment: {},
      config,
      protocols: networkProtocols,
      mostOutput: 64 * 1024 * 1024,
      onMessage: () => {},
      redact: (text) => text,
    });
  }

  /** With these settings changed, and with this environment and configuration as well. */
  with(changes: Partial<GitSettings>): Git {
    const { environment, config: more = [], ...rest } = changes;
    return new Git({
      ...this.#settings,
      ...rest,
      environment: { ...this.#settings.environment, ...environment },
      config: [...this.#settings.config, ...more],
    });
  }

  /** Runs a command that has to succeed, and returns its standard output as text. */
  async run(args: readonly string[]): Promise<string> {
    return (await this.read(args)).toString('utf8');
  }

  /** Runs a command that has to succeed, and returns the bytes of its standard output. */
  async read(args: readonly string[]): Promise<Buffer> {
    const end = await this.try(args);
    if (end.code !== 0) throw this.failure(args, end);
    return end.stdout;
  }

  /** The error that a command's failure is. */
  failure(args: readonly string[], end: GitEnd): KilnError {
    return gitFailure(args[0] ?? '', this.#settings.redact(end.stderr));
  }

  /**
   * Runs a command, whatever comes of it. Throws `failed_precondition` when there is no git, `resource_exhausted` when it gives more than
   * it may, and `canceled` once it, and what it started, has ended after an abort.
   */
  async try(args: readonly string[]): Promise<GitEnd> {
    const { signal, cwd, mostOutput, onMessage, redact } = this.#settings;
    throwIfAborted(signal);
    using stdout = new OutputPipe();
    using stderr = new OutputPipe();
    const child = spawnProcess({
      program: 'sh',
      // Whatever the daemon's umask: files of a checkout have the same modes everywhere.
      args: ['-c', 'umask 022 && exec git "$@"', 'git', ...args],
      cwd,
      environment: this.#environment(),
      stdout: stdout.writeEnd,
      stderr: stderr.writeEnd,
    });
    let killer: NodeJS.Timeout | undefined;
    const stop = () => {
      if (killer) return;
      killGroup(child.pid, 'SIGTERM');
      killer = setTimeout(() => killGroup(child.pid, 'SIGKILL'), grace);
    };
    const out: Uint8Array[] = [];
    let size = 0;
    const messages = new Lines((line) => onMessage(redact(line)));
    const output = Promise.all([
      stdout.start((data) => {
        size += data.length;
        if (size <= mostOutput) out.push(data);
        else stop();
      }),
      stderr.start((data) => messages.add(data)),
    ]);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const [end] = await Promise.all([child.ended, output]);
      if (signal.aborted) throw abortError(signal);
      if (size > mostOutput) {
        throw new KilnError('resource_exhausted', `git ${args[0]} gave more than ${mostOutput} bytes`, {
          hint: 'the repository has an object, or a list of refs, that is too large',
        });
      }
      if (end.kind === 'killed') {
        throw new KilnError('aborted', `git ${args[0]} was ended by signal ${end.signal}`);
      }
      if (end.code === notFound) {
        throw new KilnError('failed_precondition', 'there is no git program, which git sources need', {
          hint: 'install git on the machine that the build runs on',
        });
      }
      return { code: end.code, stdout: Buffer.concat(out), stderr: messages.text };
    } finally {
      signal.removeEventListener('abort', stop);
      clearTimeout(killer);
    }
  }

  #environment(): Readonly<Record<string, string>> {
    const proxies = proxyVariables
      .flatMap((name) => [name, name.toLowerCase()])
      .flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]] as const]));
    const { config: entries, environment, protocols } = this.#settings;
    return {
      PATH: process.env.PATH ?? unixPath,
      HOME: '/dev/null',
      LC_ALL: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_TERMINAL_PROMPT: '0',
      // An object is what its name says, whatever refs/replace of a bundle has for it.
      GIT_NO_REPLACE_OBJECTS: '1',
      GIT_ALLOW_PROTOCOL: protocols.join(':'),
      ...Object.fromEntries(proxies),
      // Not as arguments, which everybody on the machine can see.
      GIT_CONFIG_COUNT: String(entries.length),
      ...Object.fromEntries(
        entries.flatMap(([key, value], index) => [
          [`GIT_CONFIG_KEY_${index}`, key],
          [`GIT_CONFIG_VALUE_${index}`, value],
        ]),
      ),
      ...environment,
    };
  }
}

/** Standard error: the end of its text, and each line once it is complete. */
class Lines {
  readonly #onLine: (line: string) => void;
  #rest = '';
  text = '';

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(data: Uint8Array): void {
    const text = Buffer.from(data).toString('utf8');
    this.text = (this.text + text).slice(-mostMessages);
    const lines = (this.#rest + text).split(/[\r\n]/);
    this.#rest = lines.pop()!.slice(-mostMessages);
    for (const line of lines) if (line !== '') this.#onLine(line);
  }
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone already.
  }
}
