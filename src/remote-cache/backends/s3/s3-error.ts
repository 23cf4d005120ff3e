import { KilnError } from '../../../base/errors.ts';
import { serviceError } from '../service-error.ts';

/** What errors of the vendor's library have. */
interface S3Failure extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** A failure of a request for `subject` at `host`. */
export function s3Error(error: unknown, subject: string, host: string, signal: AbortSignal): KilnError {
  const { name, message, $metadata } = error as S3Failure;
  if (/^(CredentialsProviderError|ProviderError|TokenProviderError)$/.test(name)) {
    return new KilnError('unauthenticated', `${subject}: there are no credentials for it`, {
      hint: 'set access_key_id and secret_access_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where the client or the daemon runs',
    });
  }
  return serviceError(error, { subject, host, status: $metadata?.httpStatusCode, name, message }, signal);
}

/** What a refusal says of an object; undefined when something else is wrong. */
export function objectState(error: unknown): 'missing' | 'unchanged' | undefined {
  const { name, $metadata } = error as S3Failure;
  if ($metadata?.httpStatusCode === 304) return 'unchanged';
  return $metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket' ? 'missing' : undefined;
}
