import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const steps = 20;
const megabytes = 10;

/** A context of 20 steps, each of which makes 10 MB that no compression shrinks. */
export function cacheContext(directory: string): string {
  mkdirSync(directory, { recursive: true });
  const lines = ['FROM base', 'ARG NONCE'];
  for (let step = 0; step < steps; step++)
    lines.push(`RUN echo "$NONCE" && head -c ${megabytes * 1024 * 1024} /dev/urandom > /made-${step}`);
  writeFileSync(path.join(directory, 'Dockerfile'), `${lines.join('\n')}\n`);
  return directory;
}
