import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import {
  ChecksumRequest_Algorithm,
  type ChecksumRequestSchema,
  type ResolveSourceHTTPRequest,
  type ResolveSourceHTTPResponse,
  type ResolveSourceHTTPResponseSchema,
} from '../../api/gen/gateway_pb.js';
import { KilnError } from '../../base/errors.ts';
import type { ChecksumQuestion, HttpMetadata } from '../source-metadata.ts';

const algorithmNumbers: Readonly<Record<ChecksumQuestion['algorithm'], ChecksumRequest_Algorithm>> = {
  sha256: ChecksumRequest_Algorithm.SHA256,
  sha384: ChecksumRequest_Algorithm.SHA384,
  sha512: ChecksumRequest_Algorithm.SHA512,
};
/** Bytes. */
const suffixLimit = 4096;

/** Throws `invalid_argument`. */
export function checksumQuestionOf(
  message: ResolveSourceHTTPRequest | undefined,
): ChecksumQuestion | undefined {
  const wanted = message?.checksum;
  if (!wanted) return undefined;
  const algorithm = (['sha256', 'sha384', 'sha512'] as const).find(
    (name) => algorithmNumbers[name] === wanted.algorithm,
  );
  if (!algorithm) {
    throw new KilnError('invalid_argument', `unsupported checksum algorithm ${wanted.algorithm}`);
  }
  if (wanted.suffix.length > suffixLimit) {
    throw new KilnError('invalid_argument', `http checksum request suffix exceeds max size ${suffixLimit}`);
  }
  return { algorithm, suffix: wanted.suffix };
}

export function checksumQuestionToMessage({
  algorithm,
  suffix,
}: ChecksumQuestion): MessageInitShape<typeof ChecksumRequestSchema> {
  return { algorithm: algorithmNumbers[algorithm], suffix: Uint8Array.from(suffix) };
}

export function httpMetadataFromMessage(message: ResolveSourceHTTPResponse): HttpMetadata {
  const { checksum: digest, filename, lastModified, checksumResponse } = message;
  return {
    digest,
    filename,
    lastModified: lastModified && timestampDate(lastModified),
    checksum: checksumResponse && { digest: checksumResponse.digest, suffix: checksumResponse.suffix },
  };
}

export function httpMetadataToMessage(
  metadata: HttpMetadata,
): MessageInitShape<typeof ResolveSourceHTTPResponseSchema> {
  const { digest, filename, lastModified, checksum } = metadata;
  return {
    checksum: digest,
    filename,
    lastModified: lastModified && timestampFromDate(lastModified),
    checksumResponse: checksum && { digest: checksum.digest, suffix: Uint8Array.from(checksum.suffix) },
  };
}
