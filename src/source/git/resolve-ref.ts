import { KilnError } from '../../base/errors.ts';
import { nearestName } from '../../base/nearest/nearest-name.ts';
import type { Git } from './git.ts';
import { type GitRequest, isObjectName } from './git-request.ts';

/** What a ref is now. */
export interface ResolvedRef {
  /** Its full name; the name of the commit if it was named so. */
  readonly name: string;
  /** What it points to: a commit, or an annotated tag. */
  readonly object: string;
  /** The commit that an annotated tag is of; undefined when `object` is not known to be a tag. */
  readonly commit: string | undefined;
}

/** What a request names, if that is known without asking the remote. Throws `failed_precondition` when the checksum does not match. */
export function knownRef({ ref, checksum, fetchByCommit, bundle }: GitRequest): ResolvedRef | undefined {
  if (isObjectName(ref)) {
    checkChecksum(checksum, [ref]);
    return { name: ref, object: ref, commit: undefined };
  }
  if (bundle && ref === '') return { name: checksum, object: checksum, commit: undefined };
  if (!fetchByCommit) return undefined;
  const qualified = ref === '' || ref.startsWith('refs/') ? ref : `refs/heads/${ref}`;
  return { name: qualified || checksum, object: checksum, commit: undefined };
}

/** Asks the remote what a ref is. Throws `not_found`, with the ref that may have been meant. */
export async function resolveRef(
  git: Git,
  { remote, shown, ref }: Pick<GitRequest, 'remote' | 'shown' | 'ref'>,
): Promise<ResolvedRef> {
  const named = ref === '' ? ['HEAD'] : [ref, `${ref}^{}`];
  const found = parseRefs(
    await git.run(['ls-remote', ...(ref === '' ? ['--symref'] : []), '--', remote, ...named]),
  );
  const resolved = ref === '' ? defaultRef(found) : chooseRef(found, ref);
  if (resolved && isObjectName(resolved.object)) return resolved;
  const all = parseRefs(await git.run(['ls-remote', '--heads', '--tags', '--refs', '--', remote]));
  if (all.objects.size === 0) {
    throw new KilnError('not_found', `the repository ${shown} is empty`);
  }
  throw new KilnError('not_found', `repository does not contain ref ${ref || 'HEAD'}: ${shown}`, {
    hint: hintFor(ref, [...all.objects.keys()]),
  });
}

/** Throws `failed_precondition` unless one of the objects begins with the checksum. */
export function checkChecksum(checksum: string, objects: readonly (string | undefined)[]): void {
  const names = objects.filter((name) => name !== undefined);
  if (names.some((name) => name.startsWith(checksum))) return;
  throw new KilnError(
    'failed_precondition',
    `expected checksum to match ${checksum}, got ${names.join(' or ')}`,
    { hint: 'the ref points to another commit than before: check that, then change the checksum' },
  );
}

interface RemoteRefs {
  readonly objects: ReadonlyMap<string, string>;
  readonly head: string | undefined;
}

/** The output of `git ls-remote`. */
function parseRefs(output: string): RemoteRefs {
  const objects = new Map<string, string>();
  let head: string | undefined;
  for (const line of output.split('\n')) {
    const [value = '', name] = line.split('\t');
    if (name === undefined) continue;
    if (!value.startsWith('ref: ')) objects.set(name, value);
    else if (name === 'HEAD') head = value.slice('ref: '.length);
  }
  return { objects, head };
}

/** The default branch; a commit when the remote has none checked out. */
function defaultRef({ objects, head }: RemoteRefs): ResolvedRef | undefined {
  const object = objects.get('HEAD');
  return object === undefined ? undefined : { name: head ?? object, object, commit: undefined };
}

/** The first that exists of what a ref can mean: the name as it is written below `refs/`, a branch, a tag. */
function chooseRef({ objects }: RemoteRefs, ref: string): ResolvedRef | undefined {
  for (const prefix of ['refs/', 'refs/heads/', 'refs/tags/']) {
    const name = ref.startsWith(prefix) ? ref : prefix + ref;
    const object = objects.get(name);
    if (object !== undefined) return { name, object, commit: objects.get(`${name}^{}`) };
  }
  return undefined;
}

function hintFor(ref: string, names: readonly string[]): string {
  if (/^[0-9a-f]{7,63}$/.test(ref)) return 'if it is a commit, write all its digits (40, or 64)';
  const short = names.map((name) => name.replace(/^refs\/(heads|tags)\//, ''));
  const nearest = nearestName(ref.replace(/^refs\/(heads|tags)\//, ''), short);
  return nearest === undefined
    ? 'name a branch, a tag, or a commit with all its digits'
    : `did you mean ${nearest}?`;
}
