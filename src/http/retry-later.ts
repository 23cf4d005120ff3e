/** The cause of a refusal whose server says when to come back. */
export class RetryLater extends Error {
  readonly milliseconds: number;

  constructor(milliseconds: number) {
    super(`to be tried again in ${Math.ceil(milliseconds / 1000)} s`);
    this.milliseconds = milliseconds;
  }
}

/** Reads the header `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). Undefined when there is none, or when it cannot be read. */
export function parseRetryAfter(header: string | undefined, now = Date.now()): RetryLater | undefined {
  if (header === undefined) return undefined;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return new RetryLater(Number(text) * 1000);
  const date = /^[A-Za-z]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : new RetryLater(Math.max(date - now, 0));
}
