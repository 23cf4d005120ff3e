import path from 'node:path/posix';
import type { Platform } from '../../base/platform.ts';
import type { ExecMount, ExecOp } from '../../llb/op.ts';
import { noIndex } from '../../llb/op.ts';
import type { ImmutableRef, RefId } from '../../ref/ref.ts';
import { absoluteMounts } from '../operations/absolute-mounts.ts';
import type { KeptStep, KeptSteps } from './kept-steps.ts';

/** What the engine adds to the file system of a shell is below this. */
export const toolsPlace = '/.kiln';
const sourcePlace = `${toolsPlace}/source`;

/** Where a shell runs: the mounts, with what they show, and the exec by which everything else goes. It owns the trees. */
export interface ShellPlace {
  readonly op: ExecOp;
  readonly platform: Platform | undefined;
  /** Absolute; their inputs are positions in `trees`. */
  readonly mounts: readonly ExecMount[];
  readonly trees: readonly ImmutableRef[];
  /** What the user should know. */
  readonly notes: readonly string[];
}

interface Wanted {
  readonly mount: Omit<ExecMount, 'input' | 'output'>;
  readonly tree: RefId | undefined;
}

/**
 * The place of a failed step: that of its process, as it was left. A step that copies or makes files has the tree that it was writing to; what it was copying from
 * is mounted beside. Of a step of whose input the content could not be told, it is that input. Throws `not_found` if the tree at `/` is gone.
 */
export async function shellPlace(
  step: KeptStep,
  kept: Pick<KeptSteps, 'tree'>,
  own: (tree: ImmutableRef) => void,
): Promise<ShellPlace> {
  const { op, wanted, notes: about } = placeOf(step);
  const notes = [...about];
  const trees: ImmutableRef[] = [];
  const mounts: ExecMount[] = [];
  for (const { mount, tree: id } of wanted) {
    const tree = id === undefined ? undefined : await treeOf(id, mount.dest);
    mounts.push({ ...mount, input: tree ? trees.push(tree) - 1 : noIndex, output: noIndex });
  }
  return { op, platform: step.op.platform, mounts, trees, notes };

  async function treeOf(id: RefId, dest: string): Promise<ImmutableRef | undefined> {
    try {
      const tree = await kept.tree(id);
      own(tree);
      return tree;
    } catch (error) {
      if (dest === '/') throw error;
      notes.push(`what was mounted at ${dest} is gone: it was pruned, or a later build has replaced it`);
      return undefined;
    }
  }
}

interface Place {
  readonly op: ExecOp;
  readonly wanted: readonly Wanted[];
  readonly notes: readonly string[];
}

function placeOf({ op: { action, inputs: edges }, inputs, mounts, subject }: KeptStep): Place {
  if (action.kind === 'exec' && !subject) {
    return {
      op: action,
      wanted: absoluteMounts(action).map((mount, index) => ({ mount: optional(mount), tree: mounts[index] })),
      notes: action.mounts.some(({ type }) => type.kind === 'tmpfs')
        ? ['what was in file systems in memory (tmpfs) is gone']
        : [],
    };
  }
  if (action.kind === 'file' && subject?.kind === 'file') {
    const { input, secondaryInput, change } = action.actions[subject.index]!;
    const treeAt = (position: number) =>
      position < edges.length ? inputs[position] : mounts[position - edges.length];
    const source = change.kind === 'copy' ? treeAt(secondaryInput) : undefined;
    return {
      op: bareExec,
      wanted: [
        { mount: bind('/', false), tree: mounts[subject.index] ?? treeAt(input) },
        ...(source === undefined ? [] : [{ mount: bind(sourcePlace, true), tree: source }]),
      ],
      notes: [
        'the step runs no process; these are the files that it was writing to',
        ...(source === undefined ? [] : [`what it copies from is at ${sourcePlace}`]),
      ],
    };
  }
  return {
    op: bareExec,
    wanted: [{ mount: bind('/', false), tree: inputs[0] }],
    notes: ['the step has not begun; these are the files that it lacks something in'],
  };
}

/** Whoever opens the shell need not have what the build's client had. */
function optional(mount: ExecMount): ExecMount {
  const { type } = mount;
  return type.kind === 'secret' || type.kind === 'ssh'
    ? { ...mount, type: { ...type, optional: true } }
    : mount;
}

function bind(dest: string, readonly: boolean): Wanted['mount'] {
  return { dest, readonly, selector: '', resultId: '', contentCache: 'default', type: { kind: 'bind' } };
}

/** For steps without a process. */
const bareExec: ExecOp = {
  meta: {
    args: [],
    env: [],
    cwd: '/',
    user: '',
    extraHosts: [],
    hostname: '',
    ulimits: [],
    cgroupParent: '',
    removeMountStubsRecursive: true,
    validExitCodes: [],
  },
  mounts: [],
  network: 'sandbox',
  security: 'sandbox',
  secretEnv: [],
  devices: [],
};

/** Programs that a shell may be, the best first: the step's own, if that is one. */
export function shellCandidates({ meta }: ExecOp): readonly string[] {
  const [first = ''] = meta.args;
  const own = first.startsWith('/') && shells.has(path.basename(first)) ? [first] : [];
  return [...new Set([...own, '/bin/bash', '/usr/bin/bash', '/bin/sh', '/usr/bin/sh', '/busybox/sh'])];
}

/** Not `sh`, which most steps begin with: another one may be more pleasant. */
const shells: ReadonlySet<string> = new Set(['bash', 'zsh', 'fish', 'ash', 'dash', 'ksh', 'mksh', 'yash']);
