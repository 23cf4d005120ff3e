import { KilnError } from '../../../base/errors.ts';
import { type Attributes, booleanAttribute, integerAttribute } from '../../../base/text/attributes.ts';
import { parseGoDuration } from '../../../base/text/go-duration.ts';
import { cacheNames, serviceUrl } from '../service-options.ts';

/** What the options of an `s3` cache say; those that are missing are as BuildKit has them. */
export interface S3Options {
  readonly bucket: string;
  readonly region: string;
  /** Keys begin with it, as it is. */
  readonly prefix: string;
  readonly blobsPrefix: string;
  readonly manifestsPrefix: string;
  readonly names: readonly string[];
  /** Milliseconds after which a blob that is used again is given a fresh date. */
  readonly touchRefresh: number;
  readonly uploads: number;
  readonly endpoint: URL | undefined;
  readonly pathStyle: boolean;
  /** Missing: those of the daemon's environment, files and machine. */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
  readonly retryMode: 'standard' | 'adaptive';
  /** How many times in all. */
  readonly attempts: number | undefined;
}

const day = 24 * 3600 * 1000;

/** `environment` is the daemon's. Throws `invalid_argument`. */
export function s3Options(attributes: Attributes, environment: NodeJS.ProcessEnv): S3Options {
  const bucket = attributes.bucket ?? environment.AWS_BUCKET;
  if (!bucket) throw new KilnError('invalid_argument', 'bucket ($AWS_BUCKET) not set for s3 cache');
  const region = attributes.region ?? environment.AWS_REGION;
  if (!region) throw new KilnError('invalid_argument', 'region ($AWS_REGION) not set for s3 cache');
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = attributes;
  const endpoint = attributes.endpoint_url ? serviceUrl(attributes.endpoint_url, 'endpoint_url') : undefined;
  return {
    bucket,
    region,
    prefix: attributes.prefix ?? '',
    blobsPrefix: attributes.blobs_prefix ?? 'blobs/',
    manifestsPrefix: attributes.manifests_prefix ?? 'manifests/',
    names: cacheNames(attributes),
    touchRefresh: durationAttribute(attributes, 'touch_refresh') ?? day,
    uploads: positiveAttribute(attributes, 'upload_parallelism') ?? 4,
    endpoint,
    pathStyle: endpoint !== undefined && (booleanAttribute(attributes, 'use_path_style') ?? false),
    credentials:
      accessKeyId && secretAccessKey
        ? { accessKeyId, secretAccessKey, sessionToken: attributes.session_token || undefined }
        : undefined,
    retryMode: retryMode(attributes),
    attempts: positiveAttribute(attributes, 'retry_max_attempts'),
  };
}

function retryMode({ retry_mode: mode = 'standard' }: Attributes): 'standard' | 'adaptive' {
  if (mode === 'standard' || mode === 'adaptive') return mode;
  throw new KilnError('invalid_argument', 'retry_mode must be "standard" or "adaptive"');
}

function positiveAttribute(attributes: Attributes, key: string): number | undefined {
  if (attributes[key] === undefined) return undefined;
  const value = integerAttribute(attributes, key) ?? 0;
  if (value > 0) return value;
  throw new KilnError('invalid_argument', `${key} must be a positive integer`);
}

/** Milliseconds. */
function durationAttribute(attributes: Attributes, key: string): number | undefined {
  const text = attributes[key];
  if (text === undefined) return undefined;
  const nanoseconds = parseGoDuration(text);
  if (nanoseconds !== undefined && nanoseconds >= 0) return nanoseconds / 1e6;
  throw new KilnError('invalid_argument', `${key} is no duration: ${JSON.stringify(text)}`, {
    hint: 'write it like 24h or 1h30m',
  });
}
