import type { TarEntry } from './tar-entry.ts';

/** Receives an archive's entries in order, each as `entry`, any number of `data` and `hole`, and `entryEnd`. */
export interface TarHandler {
  entry(entry: TarEntry): void;
  /** The bytes are only valid during the call. */
  data(chunk: Uint8Array): void;
  /** The next `size` bytes, at least one, are zeros that the archive leaves out. */
  hole(size: number): void;
  entryEnd(): void;
}
