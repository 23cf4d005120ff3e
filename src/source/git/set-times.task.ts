import { lstatSync, readdirSync } from 'node:fs';
import { toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import type { Task } from '../../base/threads/task.ts';
import { utimens } from '../../linux/utimens.ts';

export interface SetTimesInput {
  readonly directory: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/** Gives every file of a tree, links and the directory itself included, the same times. */
const setTimesTask: Task<SetTimesInput, void> = ({ directory, time }, { throwIfAborted }) => {
  const nanoseconds = BigInt(time) * 1_000_000_000n;
  const visit = (at: string): void => {
    throwIfAborted();
    const path = toSystemPath(at);
    if (lstatSync(path).isDirectory()) {
      for (const name of readdirSync(path, { encoding: 'latin1' })) visit(`${at}/${name}`);
    }
    utimens(path, nanoseconds, nanoseconds);
  };
  visit(toByteString(directory));
};

export default setTimesTask;
