import type { Platform } from '../../base/platform.ts';
import type { ContentChecksums } from '../../content-hash/checksum.ts';
import type { DeviceSource } from '../../executor/cdi/device-registry.ts';
import type { Executor } from '../../executor/executor.ts';
import type { FileOps } from '../../file-op/file-op.ts';
import type { CacheDirectories } from '../../ref/cache-directories.ts';
import type { RefFactory } from '../../ref/ref-store.ts';
import type { ClientCredentials } from '../../session/session.ts';
import type { Source } from '../../source/source.ts';

/** What operations work with. */
export interface OperationServices {
  readonly refStore: RefFactory;
  readonly cacheDirectories: CacheDirectories;
  readonly checksums: ContentChecksums;
  readonly executor: Executor;
  /** The devices that the executor knows. */
  readonly devices: DeviceSource;
  readonly fileOps: FileOps;
  /** By scheme. */
  readonly sources: ReadonlyMap<string, Source>;
  readonly credentials: ClientCredentials;
  /** The platform of ops that name none. */
  readonly platform: Platform;
}
