import { setTimeout as sleep } from 'node:timers/promises';
import { Health } from '../api/gen/health_pb.js';
import type { OpenCall } from '../api/message-stream.ts';
import { callUnary } from '../api/unary-call.ts';
import { awakeTimeout } from '../base/async/awake-timeout.ts';
import { asKilnError } from '../base/errors.ts';

/** Times in milliseconds. */
export interface HealthLimits {
  /** Between two checks. */
  readonly interval: number;
  /** How long to wait for an answer; after a slow one, half as long again as that took. */
  readonly timeout: number;
  /** Failures in a row after which the client counts as gone. */
  readonly failures: number;
}

const usualLimits: HealthLimits = { interval: 5_000, timeout: 15_000, failures: 2 };
const shortest = 1_000;

/** What a client asks for in the headers of its session: one time for everything, in milliseconds. */
export function healthLimits(header: string | undefined): HealthLimits {
  const time = /^\d+$/.test(header ?? '') ? Number(header) : 0;
  if (time === 0) return usualLimits;
  const limited = Math.max(time, shortest);
  return { interval: limited, timeout: limited, failures: 1 };
}

/**
 * Asks a client again and again whether it is healthy, and returns when it does not answer any more: a connection can be dead
 * without anybody having ended it. A client without a health service is healthy. Rejects when `signal` aborts.
 */
export async function untilUnresponsive(
  open: OpenCall,
  limits: HealthLimits,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  let lastAnswer = 0;
  while (failures < limits.failures) {
    await sleep(limits.interval, undefined, { signal, ref: false });
    using limit = awakeTimeout(Math.max(limits.timeout, lastAnswer * 1.5));
    const asked = Date.now();
    try {
      await callUnary(open, Health.method.check, {}, { signal: AbortSignal.any([signal, limit.signal]) });
      failures = 0;
    } catch (error) {
      signal.throwIfAborted();
      if (limit.signal.aborted || asKilnError(error).code !== 'unimplemented') failures++;
      else failures = 0;
    }
    lastAnswer = Date.now() - asked;
  }
}
