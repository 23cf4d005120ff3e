import type { Digest } from '../../base/digest.ts';

/** Bytes of one step's output that clients are sent; `BUILDKIT_STEP_LOG_MAX_SIZE` changes the limit, -1 lifts it. */
const defaultLimit = 2 * 1024 * 1024;

/** Cuts off the output of steps that write too much, saying so once. */
export class StepLogLimit {
  readonly #limit: number;
  readonly #used = new Map<Digest, number>();

  constructor(limit = Number(process.env.BUILDKIT_STEP_LOG_MAX_SIZE ?? defaultLimit)) {
    this.#limit = Number.isFinite(limit) && limit >= 0 ? limit : Number.POSITIVE_INFINITY;
  }

  /** The part of `data` that clients may be sent. */
  admit(step: Digest, data: Uint8Array): Uint8Array {
    const used = this.#used.get(step) ?? 0;
    if (used > this.#limit) return new Uint8Array();
    this.#used.set(step, used + data.length);
    if (used + data.length <= this.#limit) return data;
    this.#used.set(step, Number.POSITIVE_INFINITY);
    const notice = `\n[output clipped, log limit ${Math.round(this.#limit / 1024)}KiB reached]\n`;
    return Buffer.concat([data.subarray(0, this.#limit - used), Buffer.from(notice)]);
  }
}
