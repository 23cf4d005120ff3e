import { KilnError } from '../../base/errors.ts';
import { resolveLayoutTag } from '../../client/layout-index.ts';
import { checkDirectory, isRemoteContext } from './build-context.ts';
import { formatLayoutReference, parseLayoutReference } from './values/layout-reference.ts';
import { parsePairs } from './values/parse-values.ts';

export interface NamedContexts {
  readonly options: ReadonlyMap<string, string>;
  readonly locals: ReadonlyMap<string, string>;
  readonly layouts: ReadonlyMap<string, string>;
}

/**
 * `--build-context name=…`: a directory, `docker-image://…`, `oci-layout://directory[:tag][@digest]`, `target:…` or an address
 * the engine fetches. Layouts are offered to the engine as stores; their tags are resolved here, by their `index.json`.
 */
export async function openNamedContexts(values: readonly string[]): Promise<NamedContexts> {
  const options = new Map<string, string>();
  const locals = new Map<string, string>();
  const layouts = new Map<string, string>();
  for (const [name, value] of parsePairs('--build-context', values)) {
    const layout = parseLayoutReference(value);
    if (layout) {
      if (layout.directory === '') {
        throw new KilnError('invalid_argument', `--build-context ${name}=${value}: the directory is missing`);
      }
      await checkDirectory(layout.directory);
      const tag = layout.tag ?? (layout.digest === undefined ? 'latest' : undefined);
      const digest = layout.digest ?? (await resolveLayoutTag(layout.directory, tag!));
      const store = `context-${layouts.size}`;
      layouts.set(store, layout.directory);
      options.set(`context:${name}`, formatLayoutReference(store, { tag, digest }));
    } else if (/^(docker-image:\/\/|target:)/.test(value) || isRemoteContext(value)) {
      options.set(`context:${name}`, value);
    } else {
      await checkDirectory(value);
      // The main context and the Dockerfile's directory have these names.
      const local = name === 'context' || name === 'dockerfile' ? `_${name}` : name;
      locals.set(local, value);
      options.set(`context:${name}`, `local:${local}`);
    }
  }
  return { options, locals, layouts };
}
