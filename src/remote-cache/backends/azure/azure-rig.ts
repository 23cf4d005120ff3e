import { freePort } from '../../../base/testing/free-port.ts';
import { startServer } from '../server-rig.ts';

/** For tests: Azurite, which is Azure Blob Storage in a program, on a free loopback port. */
export interface AzureRig extends AsyncDisposable {
  /** Of its account. */
  readonly url: string;
  readonly accountName: string;
  readonly accountKey: string;
}

export async function startAzure(): Promise<AzureRig> {
  const port = await freePort();
  const server = await startServer('azurite/dist/src/blob/main.js', port, [
    ...['--blobHost', '127.0.0.1', '--blobPort', `${port}`, '--inMemoryPersistence', '--silent'],
    ...['--disableTelemetry', '--disableProductStyleUrl', '--skipApiVersionCheck'],
  ]);
  return {
    url: `http://127.0.0.1:${port}/devstoreaccount1`,
    accountName: 'devstoreaccount1',
    // Known to everybody: the program has no other.
    accountKey: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
