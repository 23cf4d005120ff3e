import { KilnError } from '../base/errors.ts';
import { isNotTls, isUnreachable, isUntrusted, networkReason } from '../http/network-failure.ts';

/** The failure of a connection as one sentence: who could not be reached, and why. */
export function networkError(error: unknown, repository: string, host: string): KilnError {
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
    hint: isUnreachable(error) ? 'check the host name, and that the registry is running' : undefined,
  });
}
