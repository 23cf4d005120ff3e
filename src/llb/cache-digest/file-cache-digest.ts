import { type Digest, digestOf } from '../../base/digest.ts';
import { goJson } from '../../base/json/go-json.ts';
import { changeJson } from '../json/change-json.ts';
import { type FileAction, type FileChange, type FileOp, noIndex } from '../op.ts';

/**
 * The digest by which BuildKit's cache knows a file op with so many inputs. Where the source of a copy lies is the business of the
 * input's selector; what it is called counts. BuildKit leaves out of what kind an action is, and what it works on where that is
 * the usual. So different ops would have one digest: those get another one than there.
 */
export function fileCacheDigest({ actions }: FileOp, inputs: number): Digest {
  const indexes = actions.map(({ input, secondaryInput, output }) => [input, secondaryInput, output]);
  const kinds = actions.map(({ change }) => (isTold(change) ? '' : change.kind));
  return digestOf(
    goJson({
      Type: 'buildkit.file.v0',
      Actions: actions.map((action) =>
        Buffer.from(goJson(changeJson(withoutPlace(action, inputs)))).toString('base64'),
      ),
      ...(!isUsual(indexes) && { indexes }),
      ...(kinds.some((kind) => kind !== '') && { kilnKinds: kinds }),
      ...(!isChain(actions, inputs) && { kilnIndexes: [inputs, ...indexes.flat()] }),
    }),
  );
}

/** The last name of a path, as Go's `path.Base` has it. */
export function goBase(path: string): string {
  if (path === '') return '.';
  const trimmed = path.replace(/\/+$/, '');
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

/** Where the source of a copy lies is left out, if it is in an input of the op. */
function withoutPlace({ change, secondaryInput }: FileAction, inputs: number): FileChange {
  const isInput = secondaryInput !== noIndex && secondaryInput < inputs;
  return change.kind === 'copy' && isInput ? { ...change, src: goBase(change.src) } : change;
}

/** Whether what is hashed of the change cannot be that of a change of another kind. */
function isTold(change: FileChange): boolean {
  switch (change.kind) {
    case 'copy':
      return change.src !== '' || change.dest !== '';
    case 'symlink':
      return change.oldPath !== '' || change.newPath !== '';
    case 'mkfile':
      return change.data.length > 0;
    case 'mkdir':
      return change.makeParents || change.mode !== 0;
    case 'rm':
      return true;
  }
}

/** Whether BuildKit leaves the indexes out: of the first input, then of what comes after as many inputs as there are actions. */
function isUsual(indexes: readonly (readonly number[])[]): boolean {
  const last = indexes.length - 1;
  return indexes.every(
    ([input, secondary, output], position) =>
      input === (position === 0 ? 0 : last + position) &&
      (secondary === noIndex || secondary === 1) &&
      output === (position === last ? 0 : noIndex),
  );
}

/**
 * Whether each action works on the result of the one before, the last one makes the output, and every input is used. What is hashed
 * then tells also how many inputs there are, and which tree each index means.
 */
function isChain(actions: readonly FileAction[], inputs: number): boolean {
  const used = new Set<number>();
  for (const [position, { input, secondaryInput, output, change }] of actions.entries()) {
    const isLast = position === actions.length - 1;
    if (position > 0 && input !== inputs + position - 1) return false;
    if (position === 0 && input >= inputs) return false;
    if (output !== (isLast ? 0 : noIndex)) return false;
    if (change.kind === 'copy' && (secondaryInput === noIndex || secondaryInput >= inputs)) return false;
    for (const index of [input, change.kind === 'copy' ? secondaryInput : noIndex, ...namedInputs(change)])
      used.add(index);
  }
  return Array.from({ length: inputs }, (_, index) => index).every((index) => used.has(index));
}

/** The inputs in which the change looks names of users and groups up. */
export function namedInputs(change: FileChange): readonly number[] {
  if (change.kind === 'rm') return [];
  const { user, group } = change.owner ?? {};
  return [user, group].flatMap((id) => (id?.kind === 'name' && id.input !== noIndex ? [id.input] : []));
}
