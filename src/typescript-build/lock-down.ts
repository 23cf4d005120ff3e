import { realpathSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { KilnError } from '../base/errors.ts';
import { ImportError } from './import-error.ts';
import { kilnRoot } from './kiln-root.ts';

/** What computes, and reaches nothing. */
const harmless: ReadonlySet<string> = new Set(
  'assert assert/strict buffer crypto events path path/posix punycode querystring string_decoder timers timers/promises url util util/types'.split(
    ' ',
  ),
);

const root = pathToFileURL(`${kilnRoot}/`).href;

/** Kiln's own, by the names under which build files import it. */
const own: ReadonlyMap<string, string> = new Map([
  ['kiln', new URL('src/library/library.ts', root).href],
  ['kiln/llb', new URL('src/llb/llb.ts', root).href],
  ['kiln/frontend', new URL('src/frontend-kit/frontend-kit.ts', root).href],
]);

/**
 * Leaves build files what computes: imports from their directory, Kiln's own modules, and harmless ones of Node's. The kernel and Node's permissions
 * keep them from everything else anyway; this says so where they ask for it.
 */
export function lockDown(directory: string): void {
  const inside = pathToFileURL(`${realpathSync(directory)}${path.sep}`).href;
  const isOwn = (url: string | undefined) =>
    url === undefined ||
    (!url.startsWith(inside) && url.startsWith(root)) ||
    url.startsWith(`${root}src/`) ||
    url.startsWith('node:');
  module.registerHooks({
    resolve(specifier, context, next) {
      const { parentURL } = context;
      if (isOwn(parentURL) && parentURL !== undefined && !specifier.startsWith(inside))
        return next(specifier, context);
      const mapped = own.get(specifier);
      if (mapped !== undefined) return { url: mapped, shortCircuit: true };
      const refuse = (why: string) =>
        new ImportError(`cannot import ${specifier}: ${why}`, parentURL, specifier);
      const name = specifier.replace(/^node:/, '');
      if (module.isBuiltin(specifier)) {
        if (harmless.has(name)) return next(specifier, context);
        throw refuse('a build file makes LLB, and reaches neither files, networks nor processes');
      }
      let found: ReturnType<typeof next>;
      try {
        found = next(specifier, context);
      } catch (error) {
        throw refuse((error as Error).message);
      }
      if (found.url.startsWith(inside)) return found;
      throw refuse(`only what is in ${directory} can be imported, kiln, kiln/llb and kiln/frontend`);
    },
  });
  const refused = (what: string) => () => {
    throw new KilnError(
      'permission_denied',
      `a build file has no ${what}: it makes LLB, and reaches nothing`,
      {
        hint: 'let a step of the build do it',
      },
    );
  };
  const getBuiltinModule = process.getBuiltinModule.bind(process);
  const replace = (object: object, name: string, value: unknown) =>
    Object.defineProperty(object, name, { value, writable: false, configurable: false, enumerable: false });
  replace(process, 'getBuiltinModule', (id: string) =>
    harmless.has(id.replace(/^node:/, '')) ? getBuiltinModule(id) : refused(`module ${id}`)(),
  );
  for (const name of [
    'binding',
    '_linkedBinding',
    'dlopen',
    'execve',
    'kill',
    'chdir',
    'abort',
    '_debugProcess',
  ]) {
    replace(process, name, refused(`process.${name}`));
  }
  for (const name of ['fetch', 'WebSocket', 'EventSource', 'XMLHttpRequest'])
    replace(globalThis, name, refused(name));
  // Standard output is the connection.
  Object.defineProperty(process, 'stdout', { get: () => process.stderr, configurable: false });
  replace(process, 'stdin', undefined);
}
