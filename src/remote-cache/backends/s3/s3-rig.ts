import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from '../../../base/testing/free-port.ts';
import { startServer } from '../server-rig.ts';

/** For tests: `s3rver`, a server that speaks S3's protocol and checks signatures, on a free loopback port, with one bucket. */
export interface S3Rig extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Holds the objects, as files. */
  readonly storage: string;
}

export async function startS3(): Promise<S3Rig> {
  const storage = await mkdtemp(path.join(tmpdir(), 'kiln-s3-'));
  const port = await freePort();
  const bucket = 'caches';
  const server = await startServer('s3rver/bin/s3rver.js', port, [
    ...['--directory', storage, '--address', '127.0.0.1', '--port', `${port}`, '--silent'],
    ...['--no-vhost-buckets', '--configure-bucket', bucket],
  ]);
  return {
    url: `http://127.0.0.1:${port}`,
    bucket,
    // The only account that the server has.
    accessKeyId: 'S3RVER',
    secretAccessKey: 'S3RVER',
    storage,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(storage, { recursive: true, force: true });
    },
  };
}
