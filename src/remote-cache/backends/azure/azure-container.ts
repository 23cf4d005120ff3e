import type { ContainerClient } from '@azure/storage-blob';
import { KilnError } from '../../../base/errors.ts';
import type { AzureOptions } from './azure-options.ts';
import { azureTransport, onlyOnce } from './azure-transport.ts';

/**
 * Loads the vendor's library and returns its client of the container, whose requests end when `signal` aborts. Connects to nothing.
 * Throws `unauthenticated` when the options have no credentials.
 */
export async function openContainer(
  { accountUrl, accountName, accountKey, container }: AzureOptions,
  subject: string,
  signal: AbortSignal,
): Promise<ContainerClient> {
  const { AnonymousCredential, ContainerClient, newPipeline, StorageSharedKeyCredential } = await import(
    '@azure/storage-blob'
  );
  const url = new URL(accountUrl);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${encodeURIComponent(container)}`;
  if (accountKey === undefined && !url.searchParams.has('sig')) {
    throw new KilnError('unauthenticated', `${subject}: there are no credentials for it`, {
      hint: 'set secret_access_key to an access key of the storage account, or give account_url a shared access signature',
    });
  }
  const credential =
    accountKey === undefined
      ? new AnonymousCredential()
      : new StorageSharedKeyCredential(accountName, accountKey);
  const httpClient = azureTransport(subject, signal);
  return new ContainerClient(url.href, newPipeline(credential, { ...onlyOnce, httpClient }));
}
