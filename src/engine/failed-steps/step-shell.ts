import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path/posix';
import { throwIfAborted } from '../../base/async/lifetime.ts';
import { silentProgress } from '../../base/progress.ts';
import type { ProcessIo, ProcessSpec } from '../../executor/executor.ts';
import { openInRoot } from '../../linux/open-in-root.ts';
import type { ExecMount } from '../../llb/op.ts';
import type { OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { NestedGraphs } from '../nested/nested-graphs.ts';
import { ExecMounts } from '../operations/exec-mounts.ts';
import { execProcess } from '../operations/exec-process.ts';
import type { OperationServices } from '../operations/operation-services.ts';
import { secretVariables } from '../operations/step-secrets.ts';
import type { KeptStep, KeptSteps } from './kept-steps.ts';
import { type ShellPlace, shellCandidates, shellPlace, toolsPlace } from './shell-place.ts';
import type { ShellTools } from './shell-tools.ts';

export interface ShellWish {
  /** The session that secrets and ssh agents come from; empty for none. */
  readonly sessionId: string;
  /** The type of the user's terminal, empty if there is none. */
  readonly terminalType: string;
  /** Bring a shell along, also if the step has one. */
  readonly bringTools: boolean;
}

export interface ShellServices extends OperationServices {
  readonly failedSteps: KeptSteps;
  readonly shellTools: ShellTools;
}

const toolsDirectory = `${toolsPlace}/bin`;

/** A shell in a failed step, ready to run. What it changes is its own, except for what is in caches. Disposing it gives everything back. */
export class StepShell implements AsyncDisposable {
  /** The program, in the container. */
  readonly program: string;
  /** What the user should know. */
  readonly notes: readonly string[];
  readonly #spec: ProcessSpec;
  readonly #services: ShellServices;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    spec: ProcessSpec,
    notes: readonly string[],
    services: ShellServices,
    owned: AsyncDisposableStack,
  ) {
    this.program = spec.args[0]!;
    this.notes = notes;
    this.#spec = spec;
    this.#services = services;
    this.#owned = owned;
  }

  /** Throws `not_found` when files of the step are gone, or when there is no shell anywhere. Waits for cache mounts that others have locked. */
  static async open(
    step: KeptStep,
    wish: ShellWish,
    services: ShellServices,
    signal: AbortSignal,
  ): Promise<StepShell> {
    throwIfAborted(signal);
    await using owned = new AsyncDisposableStack();
    const place = await shellPlace(step, services.failedSteps, (tree) => owned.defer(() => tree.release()));
    const job: JobContext = {
      sessionId: wish.sessionId,
      owned: new AsyncDisposableStack(),
      nested: new NestedGraphs(),
    };
    const context: OperationContext<JobContext> = {
      signal,
      progress: silentProgress,
      waitsFor: () => ({ [Symbol.dispose]() {} }),
      jobs: () => [job],
      eachJob: (listener) => listener(job),
    };
    const mounts = owned.use(
      await ExecMounts.prepare(
        { mounts: place.mounts, owner: `a shell in ${step.name}`, views: true },
        place.trees,
        services,
        context,
      ),
    );
    const secretEnv = place.op.secretEnv.map((each) => ({ ...each, optional: true }));
    const secrets = await secretVariables(secretEnv, services.credentials, context);
    const { security, network } = place.op;
    const notes = [
      ...place.notes,
      ...missingSecrets(place, mounts.others, secrets),
      ...(security === 'insecure'
        ? ['it has all rights over the machine, like the step (security.insecure)']
        : []),
      ...(network === 'none' ? ['it has no network, like the step'] : []),
    ];
    const found = wish.bringTools ? undefined : findShell(place, mounts);
    const tools = found === undefined ? await services.shellTools.directory() : undefined;
    const process = execProcess(
      place.op,
      place.platform ?? services.platform,
      step.resources,
      mounts,
      secrets,
    );
    const spec: ProcessSpec = {
      ...process,
      id: randomBytes(12).toString('hex'),
      args: [found ?? `${toolsDirectory}/sh`],
      env: environment(process.env, wish.terminalType, tools !== undefined),
      mounts: [
        ...process.mounts,
        ...(tools === undefined
          ? []
          : [{ kind: 'host', dest: toolsDirectory, source: tools, readonly: true } as const]),
      ],
      validExitCodes: [],
    };
    return new StepShell(spec, notes, services, owned.move());
  }

  /** To be called once. Resolves and fails as `Executor.run` does. */
  run(io: ProcessIo): Promise<void> {
    return this.#services.executor.run(this.#spec, io);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** The step's own variables count more. */
function environment(own: readonly string[], terminalType: string, hasTools: boolean): readonly string[] {
  const isSet = own.some((variable) => variable.startsWith('TERM='));
  const env = terminalType === '' || isSet ? own : [...own, `TERM=${terminalType}`];
  if (!hasTools) return env;
  const last = env.findLastIndex((variable) => variable.startsWith('PATH='));
  return env.map((variable, index) => (index === last ? `${variable}:${toolsDirectory}` : variable));
}

function missingSecrets(
  { mounts, op }: ShellPlace,
  others: ProcessSpec['mounts'],
  variables: readonly string[],
): readonly string[] {
  const there = new Set(others.map(({ dest }) => dest));
  const files = mounts.flatMap(({ type, dest }) => {
    if (there.has(dest)) return [];
    if (type.kind === 'secret')
      return [`secret ${type.id} at ${dest} is not there: pass --secret id=${type.id},src=FILE`];
    return type.kind === 'ssh' ? [`ssh agent ${type.id} at ${dest} is not there: pass --ssh ${type.id}`] : [];
  });
  const names = new Set(variables.map((variable) => variable.split('=', 1)[0]));
  const values = op.secretEnv
    .filter(({ name }) => !names.has(name))
    .map(({ id, name }) => `secret ${id} in $${name} is not there: pass --secret id=${id},src=FILE`);
  return [...files, ...values];
}

/** The first program that the step's file system has. */
function findShell(place: ShellPlace, mounts: ExecMounts): string | undefined {
  return shellCandidates(place.op).find((program) => isProgram(program, place.mounts, mounts));
}

function isProgram(
  program: string,
  mounts: readonly ExecMount[],
  views: Pick<ExecMounts, 'viewOf'>,
): boolean {
  const over = [...mounts.entries()]
    .filter(([, { dest }]) => isBelow(program, dest))
    .sort(([, a], [, b]) => b.dest.length - a.dest.length);
  const [position, mount] = over[0] ?? [];
  const view = position === undefined ? undefined : views.viewOf(position);
  if (view === undefined || mount === undefined) return false;
  try {
    using file = openInRoot(
      view.path,
      path.join('/', mount.selector, program.slice(mount.dest === '/' ? 0 : mount.dest.length)),
    );
    const stat = statSync(file.path);
    return stat.isFile() && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}

function isBelow(name: string, directory: string): boolean {
  return directory === '/' || name === directory || name.startsWith(`${directory}/`);
}
