import { KilnError } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';

/** Failures that another attempt a moment later will not change. */
const final: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH']);

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  EAI_AGAIN: 'the host name cannot be resolved right now',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection closed',
  ERR_STREAM_PREMATURE_CLOSE: 'connection closed',
  ETIMEDOUT: 'connection timed out',
};

const failures = {
  ERR_CONNECT_TIMEOUT: 'connection timed out',
  ERR_ANSWER_TIMEOUT: 'no answer in time',
  ERR_TRANSFER_STALLED: 'the transfer stalled',
  ERR_NO_ANSWER: 'connection closed without an answer',
} as const;

export type FailureCode = keyof typeof failures;

/** Failures that Node has no error for: the other side takes too long, or closes a connection in an unusual way. */
export class NetworkFailure extends Error {
  readonly code: FailureCode;

  constructor(code: FailureCode) {
    super(failures[code]);
    this.code = code;
  }
}

/** The code that the system, Node or OpenSSL gives the failure of a connection; empty when there is none. */
export function networkCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** Why a server could not be reached, in a few words; for a name that is not known, in those of BuildKit, which clients look for. */
export function networkReason(error: unknown): string {
  if (networkCode(error) === 'ENOTFOUND') {
    const { hostname } = error as { hostname?: unknown };
    return typeof hostname === 'string' ? `dial tcp: lookup ${hostname}: no such host` : 'no such host';
  }
  return ownValue(reasons, networkCode(error)) ?? (error as Error).message;
}

/** Whether a server that was reached has gone, stalled, or sent something that is not HTTP. */
export function isBrokenConnection(error: unknown): boolean {
  const code = networkCode(error);
  return (
    error instanceof NetworkFailure ||
    /^(ECONNRESET|ETIMEDOUT|EPIPE|ERR_STREAM_PREMATURE_CLOSE|HPE_.*)$/.test(code)
  );
}

/** The server answered a TLS greeting with something that is not TLS. */
export function isNotTls(error: unknown): boolean {
  return /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$|^EPROTO$/.test(networkCode(error));
}

/** The server shows a certificate that nobody here trusts. */
export function isUntrusted(error: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(networkCode(error));
}

/** Whether the server does not exist or does not listen, which another attempt will not change. */
export function isUnreachable(error: unknown): boolean {
  return final.has(networkCode(error));
}

/** Whether a failure may pass by itself: overloaded or restarting servers, broken connections. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof KilnError &&
    error.code === 'unavailable' &&
    !isUnreachable(error.cause) &&
    !isNotTls(error.cause)
  );
}
