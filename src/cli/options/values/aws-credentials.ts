import { existsSync } from 'node:fs';
import path from 'node:path';
import type { RemoteCache } from '../../../client/solve-request.ts';

type Environment = Readonly<Record<string, string | undefined>>;

interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What tells that Amazon's library finds more than what the usual variables say. */
const sources = [
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
];

/**
 * Gives an s3 cache without credentials those of the user, if there are any: those of the environment, or else what Amazon's library finds in
 * the user's profile. As with buildx, the daemon uses its own if there are none here either.
 */
export async function withAwsCredentials(cache: RemoteCache, environment: Environment): Promise<RemoteCache> {
  const { type, attributes } = cache;
  if (type !== 's3' || (attributes.access_key_id && attributes.secret_access_key)) return cache;
  const found = fromEnvironment(environment) ?? (await fromProfile(environment));
  if (!found) return cache;
  return {
    type,
    attributes: {
      access_key_id: found.accessKeyId,
      secret_access_key: found.secretAccessKey,
      ...(found.sessionToken ? { session_token: found.sessionToken } : {}),
      ...attributes,
    },
  };
}

function fromEnvironment(environment: Environment): AwsCredentials | undefined {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = environment;
  if (!accessKeyId || !secretAccessKey) return undefined;
  return { accessKeyId, secretAccessKey, sessionToken: environment.AWS_SESSION_TOKEN };
}

async function fromProfile(environment: Environment): Promise<AwsCredentials | undefined> {
  const { HOME = '/root', AWS_SHARED_CREDENTIALS_FILE: file = path.join(HOME, '.aws/credentials') } =
    environment;
  const known = sources.some((name) => environment[name]) || existsSync(file);
  if (!known && !existsSync(path.join(HOME, '.aws/config'))) return undefined;
  const { S3Client } = await import('@aws-sdk/client-s3');
  try {
    return await new S3Client({ region: 'us-east-1' }).config.credentials();
  } catch {
    // Then the daemon's own credentials count.
    return undefined;
  }
}
