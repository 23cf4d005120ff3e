import { formatSeconds } from './log-seconds.ts';
import type { Step } from './progress-state.ts';

/** The last lines a failed step wrote, between rules, for the end of the output. */
export function failedStepLog(step: Step, lines: number): string {
  const { lines: last, earlier } = step.log.tail(lines);
  const output = last.map((line) => `${formatSeconds(line.seconds)} ${line.text}\n`).join('');
  const omitted = earlier > 0 && last.length > 0 ? `(${earlier} earlier lines)\n` : '';
  return `------\n > ${step.name}:\n${omitted}${output}------\n`;
}
