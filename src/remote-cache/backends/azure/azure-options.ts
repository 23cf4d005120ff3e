import path from 'node:path';
import { KilnError } from '../../../base/errors.ts';
import type { Attributes } from '../../../base/text/attributes.ts';
import { cacheNames, serviceUrl } from '../service-options.ts';

/** What the options of an `azblob` cache say; those that are missing are as BuildKit has them. */
export interface AzureOptions {
  /** Of the storage account. Its query is a shared access signature, if it has one. */
  readonly accountUrl: URL;
  readonly accountName: string;
  /** In base64. */
  readonly accountKey: string | undefined;
  readonly container: string;
  readonly names: readonly string[];
  blobKey(digest: string): string;
  documentKey(name: string): string;
}

/** `environment` is the daemon's. Throws `invalid_argument`. */
export function azureOptions(attributes: Attributes, environment: NodeJS.ProcessEnv): AzureOptions {
  const url = attributes.account_url ?? environment.BUILDKIT_AZURE_STORAGE_ACCOUNT_URL;
  if (!url) {
    throw new KilnError(
      'invalid_argument',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: BuildKit's words.
      'either ${BUILDKIT_AZURE_STORAGE_ACCOUNT_URL} or account_url attribute is required for azblob cache',
    );
  }
  const accountUrl = serviceUrl(url, 'account_url');
  const accountName =
    attributes.account_name ??
    environment.BUILDKIT_AZURE_STORAGE_ACCOUNT_NAME ??
    accountUrl.hostname.split('.')[0]!;
  if (accountName === '') {
    throw new KilnError('invalid_argument', 'account_name is empty', { hint: 'name the storage account' });
  }
  const accountKey = attributes.secret_access_key || undefined;
  if (accountKey !== undefined && !/^[A-Za-z0-9+/]+={0,2}$/.test(accountKey)) {
    throw new KilnError('invalid_argument', 'secret_access_key is not base64', {
      hint: 'give one of the access keys of the storage account',
    });
  }
  const prefix = attributes.prefix ?? environment.BUILDKIT_AZURE_STORAGE_PREFIX ?? '';
  const key = (folder: string, name: string) => path.posix.join(prefix, folder, name);
  return {
    accountUrl,
    accountName,
    accountKey,
    container: attributes.container ?? environment.BUILDKIT_AZURE_STORAGE_CONTAINER ?? 'buildkit-cache',
    names: cacheNames(attributes),
    blobKey: (digest) => key(attributes.blobs_prefix ?? 'blobs', digest),
    documentKey: (name) => key(attributes.manifests_prefix ?? 'manifests', name),
  };
}
