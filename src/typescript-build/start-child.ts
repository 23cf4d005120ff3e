import { type ChildProcessByStdio, spawn } from 'node:child_process';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { kilnRoot } from './kiln-root.ts';

/** What `confined-program.ts` is told. */
export interface ConfinedStart {
  /** Bytes that the process may have of its own. */
  readonly memory: number;
  /** Arguments for Node. */
  readonly args: readonly string[];
}

const own = (file: string) => path.join(import.meta.dirname, file);

/** Bytes that V8 sets aside for code when it starts, whether it uses them or not, and that count as the process's. */
const reserved = 640 * 2 ** 20;
/** How much of the memory V8 may have for objects; the rest is for texts, bytes and code. */
const heapShare = 0.5;

/**
 * Starts the process of a build file, confined: it can read its project's directory and Kiln's own modules, and nothing else of the machine. It
 * has no environment. SIGINT makes it say on standard error where it is, and end.
 */
export function startChild(
  directory: string,
  memory: number,
): ChildProcessByStdio<Writable, Readable, Readable> {
  const start: ConfinedStart = {
    memory: memory + reserved,
    args: [
      '--permission',
      ...[directory, `${kilnRoot}/src`, `${kilnRoot}/node_modules`, `${kilnRoot}/package.json`].map(
        (path) => `--allow-fs-read=${path}`,
      ),
      '--trace-sigint',
      '--no-addons',
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
      `--max-old-space-size=${Math.floor((memory * heapShare) / 2 ** 20)}`,
      own('child-program.ts'),
    ],
  };
  return spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', own('confined-program.ts'), JSON.stringify(start)],
    {
      cwd: directory,
      env: { TZ: 'UTC', LANG: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', 'pipe'],
      // The terminal's Ctrl-C is for the command, which ends this process.
      detached: true,
    },
  );
}
