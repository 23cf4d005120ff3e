import { KilnError } from '../base/errors.ts';

/** Failures that another attempt a moment later will not change. */
const final: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH']);

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name cannot be resolved right now',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'network is unreachable',
  ECONNRESET: 'connection reset',
  ETIMEDOUT: 'connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the transfer stalled',
  UND_ERR_SOCKET: 'connection closed',
};

export function networkCode(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/** The server answered a TLS greeting with something that is not TLS. */
export function isNotTls(error: unknown): boolean {
  return /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$|^EPROTO$/.test(networkCode(error));
}

/** The server shows a certificate that nobody here trusts. */
export function isUntrusted(error: unknown): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/.test(networkCode(error));
}

/** Why a server could not be reached, in a few words. */
export function networkReason(error: unknown): string {
  return reasons[networkCode(error)] ?? (error as Error).message;
}

/** The failure of a connection as one sentence: who could not be reached, and why. */
export function networkError(error: unknown, repository: string, host: string): KilnError {
  const code = networkCode(error);
  const message = (error as Error).message;
  const said = `${repository}: cannot reach ${host}`;
  if (isNotTls(error)) {
    return new KilnError('unavailable', `${said} over TLS: the server does not speak it`, {
      cause: error,
      hint: `if the registry is meant to speak plain HTTP, set http = true under [registry."${host}"] in the configuration`,
    });
  }
  if (isUntrusted(error)) {
    return new KilnError('failed_precondition', `${said}: its certificate cannot be trusted (${message})`, {
      cause: error,
      hint: `name the certificate of its authority as ca under [registry."${host}"] in the configuration`,
    });
  }
  return new KilnError('unavailable', `${said}: ${networkReason(error)}`, {
    cause: error,
    hint: final.has(code) ? 'check the host name, and that the registry is running' : undefined,
  });
}

/** Whether a failure may pass by itself: overloaded or restarting servers, broken connections. */
export function isTransient(error: unknown): boolean {
  return (
    error instanceof KilnError &&
    error.code === 'unavailable' &&
    !final.has(networkCode(error.cause)) &&
    !isNotTls(error.cause)
  );
}
