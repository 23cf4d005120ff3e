import { lstatSync, realpathSync } from 'node:fs';
import { FileSync } from '../api/gen/session_filesync_pb.js';
import { methodPath } from '../api/unary-call.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { Service } from '../session/service-host.ts';
import { decodeMetadata } from './protocol/metadata-encoding.ts';
import { sendTrees } from './send/send.ts';
import { syncHeaders } from './sync-directory.ts';

/**
 * Lets the engine read these directories, by name. Files are sent as owned by root: who owns them here means nothing there.
 * Transfers are tasks of `pool` that mostly wait.
 */
export function fileSyncService(
  directories: ReadonlyMap<string, string>,
  { pool }: { readonly pool: ThreadPool },
): Service {
  return {
    [methodPath(FileSync.method.diffCopy)]: async ({ metadata, stream, signal }) => {
      const wanted = decodeMetadata(metadata);
      const name = wanted[syncHeaders.name]?.[0] ?? '';
      const dir = directories.get(name);
      if (dir === undefined) {
        throw new KilnError('not_found', `no access allowed to a local directory ${JSON.stringify(name)}`, {
          hint: `allow it with --local ${name}=DIRECTORY`,
        });
      }
      const tree = {
        dir: resolveDirectory(name, dir),
        includePatterns: wanted[syncHeaders.include] ?? [],
        excludePatterns: wanted[syncHeaders.exclude] ?? [],
        followPaths: wanted[syncHeaders.follow] ?? [],
        owner: { uid: 0, gid: 0 },
        changeStamps: wanted[syncHeaders.changeStamps]?.[0] === 'true',
      };
      await sendTrees(stream, [tree], { pool, signal });
    },
  };
}

/** Links to the directory are followed, links in it are not. */
function resolveDirectory(name: string, dir: string): string {
  try {
    const real = realpathSync(dir);
    if (lstatSync(real).isDirectory()) return real;
  } catch (error) {
    throw asKilnError(error).wrap(`cannot read the local directory ${JSON.stringify(name)} at ${dir}`);
  }
  throw new KilnError(
    'failed_precondition',
    `the local directory ${JSON.stringify(name)} at ${dir} is not a directory`,
  );
}
