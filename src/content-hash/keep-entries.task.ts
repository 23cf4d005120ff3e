import { renameSync, writeFileSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import type { Task } from '../base/threads/task.ts';

export interface KeepEntriesInput {
  readonly file: string;
  readonly hashed: Uint8Array;
}

/** Writes what a checksum covers, compressed. Returns the size of the file in bytes. */
const keepEntriesTask: Task<KeepEntriesInput, number> = ({ file, hashed }) => {
  const compressed = zstdCompressSync(hashed, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  writeFileSync(`${file}.new`, compressed, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return compressed.length;
};

export default keepEntriesTask;
