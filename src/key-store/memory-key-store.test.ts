import { keyStoreSuite } from './key-store-suite.ts';
import { MemoryKeyStore } from './memory-key-store.ts';

keyStoreSuite('the key store in memory', () => ({
  store: new MemoryKeyStore(),
  [Symbol.dispose]() {},
}));
