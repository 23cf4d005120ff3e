import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Platform } from '../platform.ts';

const root = path.resolve(import.meta.dirname, '../../..');

/** A statically linked busybox that this machine's processor cannot run. `scripts/setup.sh test` gets it. */
export function foreignBusybox(): {
  readonly program: string;
  readonly platform: Platform;
  readonly machine: string;
} {
  const [architecture, machine] = process.arch === 'arm64' ? ['amd64', 'x86_64'] : ['arm64', 'aarch64'];
  const program = path.join(root, '.cache/foreign', `busybox-${architecture}`);
  if (!existsSync(program)) throw new Error(`${program} is missing: run sh scripts/setup.sh test`);
  return { program, platform: { os: 'linux', architecture }, machine };
}
