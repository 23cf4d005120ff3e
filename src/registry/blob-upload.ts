import { KilnError } from '../base/errors.ts';
import { locationOf } from '../http/follow-redirects.ts';
import { discard } from '../http/read-body.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type ImageReference, repositoryName } from '../oci/reference.ts';
import type { Endpoint } from './host-config.ts';
import type { BlobBody, PushOutcome, RegistryContext, TransferContext } from './registry.ts';
import type { RegistryAnswer, RegistryTransport } from './registry-transport.ts';
import { blobExistsRequest, blobUploadRequest, uploadRequest } from './repository-requests.ts';

/** Milliseconds: a registry may move a large upload to its storage before it answers. */
const commitTimeout = 10 * 60_000;

export interface BlobUpload {
  readonly reference: ImageReference;
  readonly descriptor: Descriptor;
  readonly body: BlobBody;
  /** A repository of the same server that may have the blob. */
  readonly mountFrom: string | undefined;
}

/** One attempt to make a repository have a blob: it may be there already, or be mounted from another repository. */
export async function uploadBlob(
  upload: BlobUpload,
  endpoint: Endpoint,
  transport: RegistryTransport,
  context: TransferContext,
): Promise<PushOutcome> {
  const { reference, descriptor, body } = upload;
  const { digest, size } = descriptor;
  const head = await transport.send(endpoint, blobExistsRequest(reference, endpoint, digest), context);
  await discard(head.body);
  if (head.status === 200) return 'exists';

  const begun = await begin(upload, endpoint, transport, context);
  if (begun.status === 201) return 'mounted';
  const { location } = begun.headers;
  if (typeof location !== 'string') {
    throw new KilnError(
      'failed_precondition',
      `${repositoryName(reference)}: ${endpoint.host} accepted an upload but did not say where to send it`,
    );
  }
  const target = locationOf(begun.url, location, 'sends an upload');
  target.searchParams.set('digest', digest);
  const request = blobUploadRequest(reference, endpoint, target, {
    size,
    body: async () =>
      size === 0 ? new Uint8Array() : counted(await body.open(context.signal), context.onProgress),
    answerTimeout: commitTimeout,
  });
  const answer = await transport.expect(endpoint, request, context, [200, 201, 202, 204]);
  await discard(answer.body);
  return 'uploaded';
}

/** Status 201 says that the blob was mounted, 202 that it has to be sent. */
async function begin(
  { reference, descriptor, mountFrom }: BlobUpload,
  endpoint: Endpoint,
  transport: RegistryTransport,
  context: RegistryContext,
): Promise<RegistryAnswer> {
  if (mountFrom !== undefined) {
    const mount = { digest: descriptor.digest, from: mountFrom };
    const answer = await transport.send(endpoint, uploadRequest(reference, endpoint, mount), context);
    await discard(answer.body);
    if (answer.status === 201 || answer.status === 202) return answer;
    // The other repository may be closed to this client: an upload is as good.
  }
  const answer = await transport.expect(endpoint, uploadRequest(reference, endpoint), context, [202]);
  await discard(answer.body);
  return answer;
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onProgress: ((bytes: number) => void) | undefined,
): AsyncIterable<Uint8Array> {
  let sent = 0;
  for await (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    onProgress?.(sent);
  }
}
