import { randomBytes } from 'node:crypto';
import path from 'node:path/posix';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { ContentSelection } from '../../content-hash/checksum.ts';
import { pathSelection } from '../../content-hash/path-selection.ts';
import { execCacheDigest } from '../../llb/cache-digest/exec-cache-digest.ts';
import { cleanPath } from '../../llb/clean-path.ts';
import type { OpVertex } from '../../llb/graph.ts';
import { type ExecMount, type ExecOp, noIndex } from '../../llb/op.ts';
import type { ImmutableRef } from '../../ref/ref.ts';
import type { CacheMap, OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import { tellFailure } from '../result/tell-failure.ts';
import { absoluteMounts } from './absolute-mounts.ts';
import type { BuildOperation } from './build-operation.ts';
import { cacheInputs } from './cache-inputs.ts';
import { ExecMounts } from './exec-mounts.ts';
import { execProcess } from './exec-process.ts';
import type { InputFiles } from './input-files.ts';
import { contentReading, type InputReading, wholeInput } from './input-reading.ts';
import type { OperationServices } from './operation-services.ts';
import { secretVariables } from './step-secrets.ts';
import { withReadFailures } from './with-read-failures.ts';

const rootDest = '/';

/** Runs a process. Inputs that it can only read, and not at `/`, count by content. */
export class ExecOperation implements BuildOperation {
  readonly #op: ExecOp;
  readonly #platform: Platform;
  readonly #vertex: OpVertex;
  readonly #inputs: readonly InputFiles[];
  readonly #services: OperationServices;

  constructor(
    op: ExecOp,
    platform: Platform,
    vertex: OpVertex,
    inputs: readonly InputFiles[],
    services: OperationServices,
  ) {
    this.#op = op;
    this.#platform = platform;
    this.#vertex = vertex;
    this.#inputs = inputs;
    this.#services = services;
  }

  async cacheMap(): Promise<CacheMap<ImmutableRef, JobContext>> {
    const readings = execReadings(this.#op, this.#inputs.length);
    return {
      digest: execCacheDigest(this.#op, this.#platform),
      inputs: cacheInputs(this.#services.checksums, this.#inputs, readings, this.#vertex),
    };
  }

  execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    return withReadFailures(inputs, context.signal, () => this.#execute(context, inputs));
  }

  async #execute(
    context: OperationContext<JobContext>,
    inputs: readonly ImmutableRef[],
  ): Promise<readonly ImmutableRef[]> {
    const { meta, secretEnv } = this.#op;
    const command = meta.args.join(' ');
    const request = { mounts: absoluteMounts(this.#op), owner: `exec ${command}` };
    await using mounts = await ExecMounts.prepare(request, inputs, this.#services, context);
    const secrets = await secretVariables(secretEnv, this.#services.credentials, context);
    const container = randomBytes(12).toString('hex');
    using _ = context.waitsFor(`the process ${JSON.stringify(command)} in container ${container}`);
    try {
      await this.#services.executor.run(
        {
          ...execProcess(this.#op, this.#platform, this.#vertex.metadata.resources, mounts, secrets),
          id: container,
        },
        {
          onOutput: (stream, data) => context.progress.log(stream, data),
          signal: context.signal,
        },
      );
    } catch (error) {
      await tellFailure(this.#vertex, context, async () => {
        const made = await mounts.commitFailed(inputs);
        return { kept: { inputs: this.#op.mounts.map(({ input }) => inputs[input]), mounts: made }, made };
      });
      throw error;
    }
    return await mounts.commit();
  }
}

/** What the process reads of each input: what is mounted of it. Throws `invalid_argument` for content that must not count alone. */
export function execReadings({ mounts }: ExecOp, inputs: number): readonly InputReading[] {
  return Array.from({ length: inputs }, (_, index) => {
    const own = mounts.filter(({ input, type }) => input === index && mountsInput(type));
    if (own.length === 0) return wholeInput;
    return {
      selector: digestOf(own.map((mount) => selectionOf(mount).path).join('\0')),
      content: own.map(countsByContent).every((counts) => counts)
        ? contentReading(own.map((mount) => ({ selection: selectionOf(mount), name: mount.dest })))
        : undefined,
    };
  });
}

function mountsInput({ kind }: ExecMount['type']): boolean {
  return kind === 'bind' || kind === 'cache';
}

/** Where a part of an input can be written to and becomes an output, the output has the other parts, too: content alone would not tell. */
function countsByContent(mount: ExecMount): boolean {
  const isSafe = mount.output === noIndex || mount.readonly || path.join('/', mount.selector) === '/';
  switch (mount.contentCache) {
    case 'on':
      if (isSafe) return true;
      throw new KilnError('invalid_argument', `invalid mount cache content of the mount at ${mount.dest}`, {
        hint: 'mount it read-only, or all of its input',
      });
    case 'off':
      return false;
    case 'default':
      return isSafe && mount.dest !== rootDest;
  }
}

function selectionOf({ selector }: ExecMount): ContentSelection {
  return pathSelection(cleanPath(path.join('/', selector)));
}
