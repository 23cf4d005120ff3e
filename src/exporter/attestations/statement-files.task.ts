import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { respacedJson } from '../../base/json/respaced-json.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { hasData } from '../../file-sync/protocol/go-mode.ts';
import { TreeWalk } from '../../file-sync/send/walk-tree.ts';
import { encodeStatement, type StatementSubject, statementSubjects } from '../../oci/in-toto.ts';
import type { LoadedAttestation } from './load-attestations.ts';

export interface StatementFiles {
  /** The files of the result; undefined is the empty tree. */
  readonly root: string | undefined;
  readonly attestations: readonly LoadedAttestation[];
}

/** Returns the attestations as whole statements, indented for people, about the files of the result. */
export default function statementFilesTask(
  { root, attestations }: StatementFiles,
  context: TaskContext,
): readonly Uint8Array[] {
  const own = root === undefined ? [] : filesOf(root, context);
  return attestations.map(({ predicateType, subjects, predicate }) => {
    const statement = { predicateType, subjects: statementSubjects(subjects, own), predicate };
    return respacedJson(encodeStatement(statement), { indent: 2 });
  });
}

/** Every regular file with its digest, by its path. */
function filesOf(root: string, context: TaskContext): readonly StatementSubject[] {
  const walk = new TreeWalk({ dir: root, includePatterns: [], excludePatterns: [], followPaths: [] });
  const buffer = Buffer.allocUnsafe(1 << 20);
  const files: StatementSubject[] = [];
  for (const { path, mode } of walk.entries()) {
    if (!hasData(mode)) continue;
    const sha256 = hashOf(`${toByteString(root)}/${path}`, buffer, context);
    files.push({ name: fromByteString(path), digest: { sha256 } });
  }
  return files;
}

function hashOf(path: ByteString, buffer: Buffer, context: TaskContext): string {
  const hash = createHash('sha256');
  const file = openSync(toSystemPath(path), 'r');
  try {
    for (;;) {
      context.throwIfAborted();
      const size = readSync(file, buffer, 0, buffer.length, null);
      if (size === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, size));
    }
  } finally {
    closeSync(file);
  }
}
