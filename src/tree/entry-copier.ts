import { type BigIntStats, mkdirSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { copyAccess, copyEntry } from './copy-entry.ts';

/**
 * Copies parts of layers for snapshots, by paths of this machine: entries keep all that they have, and names of one file that one copier brings stay names of
 * one file. Synchronous: for threads.
 */
export class EntryCopier {
  readonly #changes = { firstNames: new Map<string, ByteString>() };

  /** Makes `target`, which does not exist, like `source`, which is not a directory. */
  copy(source: ByteString, stats: BigIntStats, target: ByteString): void {
    copyEntry({ path: source, stats }, target, 'layer', this.#changes);
  }

  /** Makes the directory `target` if it is not there, without contents, like `source` but for its times. */
  copyDirectory(source: ByteString, stats: BigIntStats, target: ByteString): void {
    try {
      mkdirSync(toSystemPath(target), 0o700);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    copyAccess({ path: source, stats }, target, 'layer');
  }
}
