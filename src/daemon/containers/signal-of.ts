import { constants } from 'node:os';
import { ownValue } from '../../base/own-value.ts';

/** The first and last of the real-time signals that a C library leaves to programs (signal(7), for glibc). */
const firstRealTime = 34;
const lastRealTime = 64;

/** Names that stand for others. */
const aliases: Readonly<Record<string, NodeJS.Signals>> = { CLD: 'SIGCHLD' };

/** The number of a signal that BuildKit's clients name: `KILL`, `RTMIN+3`; also with `SIG` before it. Undefined for an unknown name. */
export function signalOf(name: string): number | undefined {
  const short = name.replace(/^SIG/, '');
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(short);
  if (realTime) {
    const [, from, sign, distance = '0'] = realTime;
    const base = from === 'MIN' ? firstRealTime : lastRealTime;
    const number = base + (sign === '-' ? -1 : 1) * Number(distance);
    return number >= firstRealTime && number <= lastRealTime ? number : undefined;
  }
  const full = ownValue(aliases, short) ?? `SIG${short}`;
  return ownValue(constants.signals as Readonly<Record<string, number>>, full);
}
