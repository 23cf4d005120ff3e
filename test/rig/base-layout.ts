import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { makeBaseLayout } from '../../scripts/make-base-layout.ts';
import { testCache } from './test-cache.ts';

/** An OCI layout with a base image. */
export interface BaseLayout {
  readonly directory: string;
  /** Of the image's manifest. */
  readonly digest: string;
}

const busybox = '/bin/busybox';

/** An OCI layout of busybox with the tag `latest`, made once on a machine. */
export function baseLayout(): BaseLayout {
  const { size, mtimeMs } = statSync(busybox);
  const directory = path.join(testCache(), `base-${size}-${Math.trunc(mtimeMs)}`);
  if (!existsSync(directory)) {
    mkdirSync(path.dirname(directory), { recursive: true });
    const unfinished = mkdtempSync(`${directory}.`);
    makeBaseLayout(unfinished, busybox);
    try {
      renameSync(unfinished, directory);
    } catch (error) {
      // Another test file made it at the same time.
      rmSync(unfinished, { recursive: true });
      if (!existsSync(directory)) throw error;
    }
  }
  const index = JSON.parse(readFileSync(path.join(directory, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  return { directory, digest: index.manifests[0]!.digest };
}
