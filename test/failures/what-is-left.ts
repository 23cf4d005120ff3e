import { readdirSync } from 'node:fs';
import path from 'node:path';
import { leftoversOf } from '../rig/leftovers.ts';

/** What the executor has for good. */
const keptDirectories = ['executor/state', 'executor/probe'];

/** Mounts, containers and temporary files that builds on `root` left behind, in words. A daemon at work on it is none. */
export function whatIsLeft(root: string): readonly string[] {
  const temporary = ['executor', 'executor/state', 'refs/mounts', 'content/ingest', 'sockets']
    .flatMap((name) => namesIn(path.join(root, name)).map((entry) => `${name}/${entry}`))
    .filter((name) => !keptDirectories.includes(name));
  const running = leftoversOf(root).filter((text) => !/src\/daemon\/main\.ts/.test(text));
  return [...running, ...temporary];
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
