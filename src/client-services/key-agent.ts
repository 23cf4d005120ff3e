import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { KilnError } from '../base/errors.ts';
import { readBounded } from '../base/read-bounded.ts';

const run = promisify(execFile);
/** Bytes of a key that comes through a pipe. */
const maximumKeySize = 100 * 1024;

/** An agent that holds some keys, and lives until disposed. */
export interface KeyAgent extends AsyncDisposable {
  readonly socket: string;
}

/** Starts OpenSSH's `ssh-agent` with the keys in these files. Throws `failed_precondition`, naming what does not work. */
export async function startKeyAgent(files: readonly string[]): Promise<KeyAgent> {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-ssh-'));
  const socket = path.join(dir, 'agent.sock');
  const child = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  let ended: Error | undefined;
  child.on('error', (error) => {
    ended = error;
  });
  child.on('exit', () => {
    ended ??= new Error('it ended');
  });
  const agent = {
    socket,
    async [Symbol.asyncDispose]() {
      child.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  try {
    while (!existsSync(socket)) {
      if (ended) throw cannotUse('start ssh-agent', ended);
      await sleep(5);
    }
    for (const file of files) {
      await addKey(file, socket).catch((error) => {
        throw cannotUse(`load the SSH key ${file}`, error);
      });
    }
    return agent;
  } catch (error) {
    await agent[Symbol.asyncDispose]();
    throw error;
  }
}

/** Pipes are read here: `/dev/fd/63` is another file in another process. */
async function addKey(file: string, socket: string): Promise<void> {
  const piped = statSync(file).isFIFO() ? await readBounded(file, maximumKeySize) : undefined;
  const adding = run('ssh-add', ['-q', piped ? '-' : file], {
    env: { ...process.env, SSH_AUTH_SOCK: socket, SSH_ASKPASS_REQUIRE: 'never' },
    timeout: 10_000,
  });
  // It may have ended before it has read everything, and says why itself.
  adding.child.stdin!.on('error', () => {}).end(piped);
  await adding;
}

function cannotUse(what: string, cause: Error): KilnError {
  return new KilnError('failed_precondition', `cannot ${what}: ${cause.message.trim()}`, {
    cause,
    hint: 'install openssh-client, or load the keys into an agent yourself and forward its socket',
  });
}
