import { after } from 'node:test';
import { cacheBackendSuite } from '../cache-backend-suite.ts';
import { serviceFaultSuite } from '../service-fault-suite.ts';
import { azblobCache } from './azblob-cache.ts';
import { startAzure } from './azure-rig.ts';

const rig = await startAzure();
after(() => rig[Symbol.asyncDispose]());
const attributes = {
  account_url: rig.url,
  account_name: rig.accountName,
  secret_access_key: rig.accountKey,
};
let places = 0;

cacheBackendSuite('azblob', async () => {
  const container = `suite-${places++}`;
  return {
    open: (purpose) => azblobCache.open({ ...attributes, container }, purpose),
    sessions: [],
    async [Symbol.asyncDispose]() {},
  };
});

serviceFaultSuite('azblob', async () => ({
  host: new URL(rig.url).host,
  open: (host, container, purpose) =>
    azblobCache.open(
      { ...attributes, account_url: `http://${host}/${rig.accountName}`, container: `${container}-faults` },
      purpose,
    ),
  secrets: [rig.accountKey],
}));
