import { accessSync, constants, realpathSync } from 'node:fs';
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

/**
 * Every `docker buildx` there is, as a program: those that `$BUILDX` names, separated by colons, `docker-buildx` on the path, and the plugins
 * that Docker looks for.
 */
export function buildxPrograms(): readonly string[] {
  const plugins = ['/usr/local/lib', '/usr/local/libexec', '/usr/lib', '/usr/libexec'].map((directory) =>
    path.join(directory, 'docker/cli-plugins/docker-buildx'),
  );
  const onPath = (process.env.PATH ?? '')
    .split(':')
    .map((directory) => path.join(directory, 'docker-buildx'));
  const named = (process.env.BUILDX ?? '').split(':');
  const found = [...named, ...onPath, ...plugins].filter((file) => file !== '' && isExecutable(file));
  return [...new Set(found.map((file) => realpathSync(file)))];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
