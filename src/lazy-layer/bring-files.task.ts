import { statSync } from 'node:fs';
import type { Task } from '../base/threads/task.ts';
import type { FilePart } from '../snapshot/snapshot.ts';
import { LayerFile } from './layer-file.ts';

const blockSize = 1024 * 1024;

/**
 * Reads files that come over the network while they are read, so that whoever reads them next need not wait. What cannot be read is told to
 * that reader.
 */
const bringFiles: Task<readonly FilePart[], void> = (parts, context) => {
  for (const part of parts) {
    context.throwIfAborted();
    try {
      const stats = statSync(part.path);
      if (!stats.isFile()) continue;
      using file = new LayerFile(part.path, 'read');
      const end = Math.min(stats.size, (part.offset ?? 0) + (part.length ?? stats.size));
      for (let at = part.offset ?? 0; at < end; ) {
        context.throwIfAborted();
        const { length } = file.read(at, Math.min(blockSize, end - at));
        if (length === 0) break;
        at += length;
      }
    } catch {
      // Its reader meets the same error.
    }
  }
  context.throwIfAborted();
};

export default bringFiles;
