import { KilnError } from '../base/errors.ts';
import type { Attributes } from '../base/text/attributes.ts';
import { formatReference, parseReference, withDefaultTag } from '../oci/reference.ts';

const suffix = '-mounts';
const longestTag = 128;

/**
 * The options of the place where the mounts of a cache are: beside the cache, under its tag or name with `-mounts` after it. Who reads the cache
 * never sees them. A client tells `mounts-digest` of a directory of its own. Throws `invalid_argument`.
 */
export function mountAttributes(type: string, attributes: Attributes): Attributes {
  switch (type) {
    case 'registry': {
      const { digest, ...named } = parseReference(attributes.ref ?? '');
      const { tag, ...reference } = withDefaultTag(named);
      const mounts = `${tag}${suffix}`;
      if (digest !== undefined || mounts.length > longestTag) {
        throw new KilnError('invalid_argument', `${attributes.ref}: cache mounts have no place beside it`, {
          hint: 'name the cache by a tag that is not too long, without a digest',
        });
      }
      return { ...attributes, ref: formatReference({ ...reference, tag: mounts }) };
    }
    case 'local': {
      // The client keeps the directory's index, and tells what it has.
      const { digest: _, ...named } = attributes;
      const { src = attributes.dest, 'mounts-digest': digest } = attributes;
      return { ...named, ...(src === undefined ? {} : { src }), ...(digest ? { digest } : {}) };
    }
    case 's3':
    case 'azblob': {
      const names = (attributes.name ?? '').split(';').filter((name) => name !== '');
      const all = names.length > 0 ? names : ['buildkit'];
      return { ...attributes, name: all.map((name) => `${name}${suffix}`).join(';') };
    }
    case 'gha':
      return { ...attributes, scope: `${attributes.scope ?? 'buildkit'}${suffix}` };
    default:
      throw new KilnError(
        'invalid_argument',
        `a cache of type ${JSON.stringify(type)} has no place for cache mounts`,
        {
          hint: 'use registry, local, s3, azblob or gha',
        },
      );
  }
}

/** The ids of cache mounts; `all` for every one there is. */
export type MountSelection = 'all' | ReadonlySet<string>;

/** The option `mounts` of a cache: `all`, or ids, separated by `,` or `;`. Undefined when it is missing. Throws `invalid_argument`. */
export function parseMountSelection({ mounts }: Attributes): MountSelection | undefined {
  if (mounts === undefined) return undefined;
  const ids = mounts.split(/[,;]/).filter((id) => id !== '');
  if (ids.length === 0) {
    throw new KilnError('invalid_argument', 'the option mounts names no cache mount', {
      hint: 'use mounts=all, or ids of cache mounts as `kiln cache-mount ls` shows them',
    });
  }
  return ids.includes('all') ? 'all' : new Set(ids);
}

export function isSelected(selection: MountSelection, id: string): boolean {
  return selection === 'all' || [...selection].some((name) => namesMount(name, id));
}

/** Whether a name is that of a mount: its id, or what a Dockerfile says, whose frontend makes `/npm` of `id=npm`. */
export function namesMount(name: string, id: string): boolean {
  return name === id || `/${name}` === id;
}
