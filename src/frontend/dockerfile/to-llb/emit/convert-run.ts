import { posix } from 'node:path';
import { KilnError } from '../../../../base/errors.ts';
import { joinPath } from '../../../../llb/clean-path.ts';
import {
  type ExecOptions,
  files,
  type MountSpec,
  type SecretSpec,
  type SshSpec,
  type State,
  scratch,
} from '../../../../llb/llb.ts';
import { atFlag } from '../../dockerfile-error.ts';
import type { Variables } from '../../expand/expand-word.ts';
import type { Linter } from '../../lint/linter.ts';
import type { RunInstruction } from '../../parse/instruction-tree.ts';
import type { Command } from '../plan/stage-graph.ts';
import { parseRunDevice } from '../values/run-device.ts';
import { type RunMount, resolveRunMount } from '../values/run-mount.ts';
import { displayName } from './display-name.ts';
import { withShell } from './shell-form.ts';
import type { StageBuilder } from './stage-builder.ts';
import type { TreeState } from './tree-state.ts';

/** `RUN`: a process on the stage's tree. */
export function convertRun(
  stage: StageBuilder,
  command: Command,
  instruction: RunInstruction,
  linter: Linter,
  treeOf: TreeState,
): void {
  const { context } = stage;
  const { options } = context;
  // A process can read every file of the tree that it runs on.
  stage.paths.add('/');
  const mounts = command.mounts.map((flag, at) =>
    atFlag(instruction, 'mount', at, context.file, () =>
      resolveRunMount(flag, (value) => stage.expand(value, instruction, linter)),
    ),
  );
  const script = runScript(stage, instruction);
  const args = script.args;
  const converted = convertMounts(stage, command, mounts, treeOf);
  const variables = maskSecrets(stage.variables, mounts);
  const name = stage.nextName(
    displayName(stage, instruction.code + script.summary, { keep: true, variables }),
    command,
  );
  let state = stage.stateToRun;
  for (const { host, ip } of options.extraHosts) state = state.extraHost(host, ip);
  for (const { name: limit, soft, hard } of options.ulimits) state = state.ulimit(limit, soft, hard);
  if (options.cgroupParent) state = state.cgroupParent(options.cgroupParent);
  if (instruction.flags.security === 'insecure') state = state.security('insecure');
  const { network } = instruction.flags;
  if (network === 'none' || network === 'host') state = state.network(network);
  const exec: ExecOptions = {
    ...name.of({
      ignoreCache: stage.noCache,
      description: { 'com.docker.dockerfile.v1.command': instruction.code },
    }),
    mounts: [...script.mounts, ...converted.mounts, ...sharedMemory(options.shmSize)],
    secrets: converted.secrets,
    ssh: converted.ssh,
    devices: (instruction.flags.device ?? []).map((text, at) =>
      atFlag(instruction, 'device', at, context.file, () => parseRunDevice(text)),
    ),
    proxyEnv: context.proxyEnv,
    resources: options.resources,
  };
  // Settings of this step alone do not become the stage's.
  const history = `RUN ${historyCommand(stage, args)}`;
  stage.state = stage.state.withTree(state.run(args, exec).root);
  stage.commit(`${history} # buildkit`, true);
}

interface Script {
  readonly args: readonly string[];
  readonly mounts: readonly MountSpec[];
  /** What the display adds to the instruction: a heredoc's first line. */
  readonly summary: string;
}

/** A script in the command itself is text; where bytes were replaced in it, it would be another script. */
function requireText({ name, bytes }: { readonly name: string; readonly bytes?: Uint8Array }): void {
  if (!bytes) return;
  throw new KilnError('invalid_argument', `the heredoc ${name} holds bytes that are not UTF-8`, {
    hint: 'write it in UTF-8, or begin it with #! and an interpreter, which makes it a file',
  });
}

function runScript(stage: StageBuilder, { command }: RunInstruction): Script {
  if (command.form === 'exec') return { args: command.args, mounts: [], summary: '' };
  if (command.form === 'shell') {
    command.documents.forEach(requireText);
    // The shell itself reads heredocs that are part of a command.
    const bodies = command.documents.map(({ name, content }) => `\n${content}${name}`);
    return { args: withShell(stage.image, command.text + bodies.join('')), mounts: [], summary: '' };
  }
  const { name, text, bytes } = command;
  const lines = text.trim().split(/\r?\n/);
  const summary = ` (${lines[0]}${lines.length > 1 ? '...' : ''})`;
  if (stage.os === 'windows' || !text.startsWith('#!')) {
    requireText(command);
    return { args: withShell(stage.image, text), mounts: [], summary };
  }
  const inline = scratch().file(files().mkfile(name, 0o755, bytes ?? text), {
    name: '[internal] preparing inline document',
  });
  const dest = '/dev/pipes/';
  // The kernel runs the file by its shebang. It is still the shell that starts it, as in every shell form.
  return {
    args: withShell(stage.image, joinPath(dest, name)),
    mounts: [{ dest, from: inline, selector: '/', readonly: true }],
    summary,
  };
}

/** The command as image histories show it: with the build arguments it could see before it. */
function historyCommand(stage: StageBuilder, args: readonly string[]): string {
  const values = new Map(
    stage.args.map(({ name, value }) => [name, stage.variables.get(name) ?? value ?? '']),
  );
  if (values.size === 0) return args.join(' ');
  const shown = [...values].map(([name, value]) => `${name}=${value}`);
  return [`|${values.size}`, ...shown, ...args].join(' ');
}

function sharedMemory(size: number): readonly MountSpec[] {
  return size > 0 ? [{ dest: '/dev/shm', type: { kind: 'tmpfs', size } }] : [];
}

function convertMounts(
  stage: StageBuilder,
  command: Command,
  mounts: readonly RunMount[],
  treeOf: TreeState,
): { readonly mounts: MountSpec[]; readonly secrets: SecretSpec[]; readonly ssh: SshSpec[] } {
  const result = { mounts: [] as MountSpec[], secrets: [] as SecretSpec[], ssh: [] as SshSpec[] };
  const { instruction } = command;
  for (const [at, mount] of mounts.entries()) {
    const { required } = mount;
    const { range } = instruction;
    if (mount.type === 'secret') {
      const secret = secretMount(mount);
      result.secrets.push(secret);
      stage.parameters.secrets.push({ name: secret.id, required, range });
    } else if (mount.type === 'ssh') {
      result.ssh.push(sshMount(mount));
      stage.parameters.agents.push({ name: mount.id || 'default', required, range });
    } else {
      result.mounts.push(
        atFlag(instruction, 'mount', at, stage.context.file, () =>
          treeMount(stage, mount, mountedTree(stage, command, mount, at, treeOf)),
        ),
      );
    }
  }
  return result;
}

/**
 * What a mount shows: the tree that its `from` names; without `from`, a bind shows the build context, and a cache or tmpfs
 * begins empty.
 */
function mountedTree(
  stage: StageBuilder,
  command: Command,
  mount: RunMount,
  at: number,
  treeOf: TreeState,
): State {
  if (mount.type === 'tmpfs') return scratch();
  const node = command.sources[at];
  if (!node) {
    if (mount.type === 'cache') return scratch();
    stage.context.contextPaths.add(joinPath('/', mount.source));
    return stage.context.buildContext;
  }
  const source = treeOf(node);
  if (!source) {
    throw new KilnError(
      'invalid_argument',
      `cannot mount from stage "${mount.from}" to "${mount.target}", stage needs to be defined before current command`,
    );
  }
  source.paths.add(joinPath('/', mount.source));
  return source.tree;
}

function treeMount(stage: StageBuilder, mount: RunMount, tree: State): MountSpec {
  const dest = mount.target.startsWith('/')
    ? mount.target
    : posix.join('/', stage.state.settings.dir, mount.target);
  if (posix.resolve(dest) === '/') {
    throw new KilnError('invalid_argument', `invalid mount target ${JSON.stringify(dest)}`);
  }
  const source = joinPath('/', mount.source);
  const owned = mount.uid !== undefined || mount.gid !== undefined || mount.mode !== undefined;
  const from = source === '/' && owned ? ownedDirectory(mount, tree) : tree;
  const selector = source !== '/' ? source : owned ? '/cache' : '';
  return {
    dest,
    from,
    ...(selector && { selector }),
    readonly: mount.readonly,
    noOutput: mount.type === 'bind' && !mount.readonly,
    type: mountType(stage, mount),
  };
}

function mountType(stage: StageBuilder, mount: RunMount): MountSpec['type'] {
  switch (mount.type) {
    case 'tmpfs':
      return { kind: 'tmpfs', size: mount.size };
    case 'cache': {
      const id = mount.id || posix.normalize(mount.target || '.').replace(/(.)\/$/, '$1');
      return {
        kind: 'cache',
        id: `${stage.context.options.cacheNamespace}/${id}`,
        sharing: mount.sharing ?? 'shared',
      };
    }
    default:
      return { kind: 'bind' };
  }
}

/** A directory with the wanted owner and mode, which a new cache starts as. */
function ownedDirectory({ uid = 0, gid = 0, mode = 0o755 }: RunMount, tree: State): State {
  return tree.file(files().mkdir('/cache', mode, { owner: `${uid}:${gid}` }), {
    name: '[internal] setting cache mount permissions',
  });
}

function secretMount(mount: RunMount): SecretSpec {
  const id = mount.source || mount.id || posix.basename(mount.target);
  const dest = mount.target || (mount.env === undefined ? `/run/secrets/${posix.basename(id)}` : undefined);
  return {
    id,
    ...(dest !== undefined && { dest }),
    ...(mount.env !== undefined && { env: mount.env }),
    uid: mount.uid,
    gid: mount.gid,
    mode: mount.mode,
    optional: !mount.required,
  };
}

function sshMount(mount: RunMount): SshSpec {
  if (mount.source !== '') throw new KilnError('invalid_argument', 'ssh does not support source');
  return {
    id: mount.id,
    dest: mount.target,
    uid: mount.uid,
    gid: mount.gid,
    mode: mount.mode,
    optional: !mount.required,
  };
}

/** Variables for display, in which those that come from a secret show that they do. */
function maskSecrets(variables: Variables, mounts: readonly RunMount[]): Variables {
  const secret = new Set(mounts.filter(({ type }) => type === 'secret').map(({ env }) => env));
  if (secret.size === 0) return variables;
  return { ...variables, get: (name) => (secret.has(name) ? '****' : variables.get(name)) };
}
