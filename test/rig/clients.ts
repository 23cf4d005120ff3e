import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { project } from './project.ts';

/** A command line that takes `buildctl`'s flags. */
export interface Client {
  readonly name: string;
  readonly program: string;
}

/**
 * The clients that behaviour over the socket is proved with: `bin/kiln` always, and every `buildctl` there is. Those are the
 * programs that `$BUILDCTL` names, separated by colons, and `buildctl` on the path.
 */
export function buildctlClients(): readonly Client[] {
  const onPath = (process.env.PATH ?? '').split(':').map((directory) => path.join(directory, 'buildctl'));
  const named = (process.env.BUILDCTL ?? '').split(':');
  const found = new Set([...named, ...onPath].filter((file) => file !== '' && isExecutable(file)));
  return [
    { name: 'kiln', program: project.kiln },
    ...[...found].map((program) => ({ name: path.basename(program), program })),
  ];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
