import { constants } from 'node:os';

const realTime = /^RTM(?:IN(?:\+(?:[1-9]|1[0-5]))?|AX(?:-(?:[1-9]|1[0-4]))?)$/;
/** Names that Linux knows and Node does not. */
const others: ReadonlySet<string> = new Set(['CLD']);

/** Whether a container can be told to stop with it: a signal's number, or its name with or without `SIG`. */
export function isStopSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) > 0;
  const name = text.toUpperCase().replace(/^SIG/, '');
  return Object.hasOwn(constants.signals, `SIG${name}`) || others.has(name) || realTime.test(name);
}
