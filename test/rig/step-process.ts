import { eventually } from './eventually.ts';
import { runningProcesses } from './running-processes.ts';

/** The root directory, as seen from here, of the running step whose last argument is `mark`. Waits for the step. */
export async function rootOfStep(mark: string): Promise<string> {
  const { pid } = await eventually(
    () => runningProcesses().find(({ args }) => args.at(-1) === mark),
    () => `no step runs with ${mark} as its last argument`,
  );
  return `/proc/${pid}/root`;
}
