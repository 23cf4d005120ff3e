import type { S3Client } from '@aws-sdk/client-s3';

export interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  /** Bytes. */
  readonly size: number;
}

/** Bytes that the service copies by one request. */
const largestCopy = 5 * 1024 ** 3;

/** Gives an object a fresh date, by copying it onto itself within the service, so that rules that remove old objects keep it. */
export async function touchObject(
  client: S3Client,
  { bucket, key, size }: StoredObject,
  signal: AbortSignal,
  copySize = largestCopy,
): Promise<void> {
  const sdk = await import('@aws-sdk/client-s3');
  const object = { Bucket: bucket, Key: key };
  const CopySource = encodeURIComponent(`${bucket}/${key}`).replaceAll('%2F', '/').replaceAll('%3A', ':');
  const options = { abortSignal: signal };
  if (size < copySize) {
    const Metadata = { 'updated-at': new Date().toISOString() };
    const copy = new sdk.CopyObjectCommand({ ...object, CopySource, Metadata, MetadataDirective: 'REPLACE' });
    await client.send(copy, options);
    return;
  }
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(object), options);
  const upload = { ...object, UploadId };
  try {
    const Parts: { readonly ETag: string | undefined; readonly PartNumber: number }[] = [];
    for (let start = 0; start < size; start += copySize) {
      const CopySourceRange = `bytes=${start}-${Math.min(start + copySize, size) - 1}`;
      const PartNumber = Parts.length + 1;
      const part = new sdk.UploadPartCopyCommand({ ...upload, CopySource, CopySourceRange, PartNumber });
      const { CopyPartResult } = await client.send(part, options);
      Parts.push({ ETag: CopyPartResult?.ETag, PartNumber });
    }
    const complete = { ...upload, MultipartUpload: { Parts } };
    await client.send(new sdk.CompleteMultipartUploadCommand(complete), options);
  } catch (error) {
    await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => undefined);
    throw error;
  }
}
