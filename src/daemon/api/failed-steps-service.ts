import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { FailedSteps, ShellStart } from '../../api/gen/kiln_failed_steps_pb.js';
import { KilnError } from '../../base/errors.ts';
import type { Engine } from '../../engine/engine.ts';
import type { KeptBuild, KeptSteps } from '../../engine/failed-steps/kept-steps.ts';
import type { ShellWish } from '../../engine/failed-steps/step-shell.ts';
import { converse } from '../containers/converse.ts';

export interface FailedStepsServices {
  readonly engine: Engine;
  readonly failedSteps: KeptSteps;
}

/** Each is a container that somebody sits at. */
const maxShells = 100;

/** Kiln's own API to look into steps that failed. */
export function failedStepsService({
  engine,
  failedSteps,
}: FailedStepsServices): ServiceImpl<typeof FailedSteps> {
  let shells = 0;
  return {
    list: () => ({ builds: failedSteps.builds().map(buildToMessage) }),

    async *shell(requests, context) {
      const messages = requests[Symbol.asyncIterator]();
      const first = await messages.next();
      if (first.done || first.value.message.case !== 'start') {
        throw new KilnError('invalid_argument', 'the first message of a shell has to start it');
      }
      const start = first.value.message.value;
      if (shells === maxShells) {
        throw new KilnError('resource_exhausted', `${maxShells} shells in failed steps are open`);
      }
      shells++;
      try {
        const { build, step } = failedSteps.find(start.build, start.step);
        const { signal } = context;
        await using shell = await engine.openShell(step, wishOf(start), signal);
        const { program, notes } = shell;
        const value = {
          build: build.ref,
          stepName: step.name,
          keptUntil: timestampFromDate(build.keptUntil),
          program,
          notes: [...notes],
        };
        yield { message: { case: 'opened', value } };
        const { terminal, input } = start;
        yield* converse(messages, { terminal, input, signal }, (io) => shell.run(io));
      } finally {
        shells--;
      }
    },
  };
}

function wishOf({ session, terminalType, terminal, bringTools }: ShellStart): ShellWish {
  if (terminalType.includes('\0')) {
    throw new KilnError('invalid_argument', 'the type of the terminal has a zero byte');
  }
  return { sessionId: session, terminalType: terminal ? terminalType : '', bringTools };
}

function buildToMessage({ ref, failedAt, keptUntil, steps, cause }: KeptBuild) {
  return {
    ref,
    failedAt: timestampFromDate(failedAt),
    keptUntil: timestampFromDate(keptUntil),
    steps: steps.map((step) => ({ digest: step.vertex, name: step.name, cause: step === cause })),
  };
}
