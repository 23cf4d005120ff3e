import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { leftoversOf } from '../rig/leftovers.ts';

/** Mounts, containers and temporary files that builds on `root` left behind, in words. A daemon at work on it is none. */
export function whatIsLeft(root: string): readonly string[] {
  const temporary = ['executor', 'executor/state', 'refs/mounts', 'content/ingest', 'sockets']
    .flatMap((name) => namesIn(path.join(root, name)).map((entry) => `${name}/${entry}`))
    .filter((name) => name !== 'executor/state');
  const running = leftoversOf(root).filter((text) => !/src\/daemon\/main\.ts/.test(text));
  return [...running, ...temporary];
}

/** Waits, half a minute at most, until `ask` answers yes. */
export async function eventually(ask: () => boolean | Promise<boolean>, what: () => unknown): Promise<void> {
  for (const deadline = Date.now() + 30_000; !(await ask()); await delay(10))
    if (Date.now() > deadline) throw new Error(`still not so: ${JSON.stringify(what())}`);
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
