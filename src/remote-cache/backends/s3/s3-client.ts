import type { S3Client } from '@aws-sdk/client-s3';
import { isLocalhost } from '../../../http/is-localhost.ts';
import type { S3Options } from './s3-options.ts';

/** Milliseconds. */
const connectionTimeout = 30_000;
const silenceTimeout = 60_000;
const unusedTimeout = 30_000;

/**
 * Loads the vendor's library. Without credentials in the options, the library looks for them as it does everywhere: in the daemon's
 * environment, in files of its user, in the services of the machine that it runs on.
 */
export async function openS3Client(options: S3Options): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const direct = options.endpoint !== undefined && isLocalhost(options.endpoint.host);
  const agent = { keepAlive: true, timeout: unusedTimeout, proxyEnv: direct ? undefined : process.env };
  return new S3Client({
    region: options.region,
    endpoint: options.endpoint?.href,
    forcePathStyle: options.pathStyle,
    credentials: options.credentials,
    retryMode: options.retryMode,
    maxAttempts: options.attempts,
    // Servers that are not Amazon's do not know the checksums that the library would add.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout,
      requestTimeout: silenceTimeout,
      throwOnRequestTimeout: true,
      socketTimeout: silenceTimeout,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
}
