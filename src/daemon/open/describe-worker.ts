import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import type { RunnablePlatforms } from '../../executor/emulation/runnable-platforms.ts';
import { WorkerDescription } from '../api/worker-description.ts';
import type { WorkerConfig } from '../config/daemon-config.ts';
import type { GcPolicy } from '../config/gc-policy.ts';

export interface WorkerOptions {
  /** The engine's root. */
  readonly directory: string;
  readonly config: WorkerConfig;
  /** The snapshotter that was chosen. */
  readonly snapshotter: string;
  /** Those that the daemon was configured with; the first is that of ops which name none. */
  readonly platforms: readonly Platform[];
  readonly runnable: RunnablePlatforms;
  /** The network of steps, in BuildKit's words. */
  readonly network: string;
  readonly policies: readonly GcPolicy[];
  /** Of Kiln. */
  readonly version: string;
}

/** The engine as clients see it, under an id that its root keeps. */
export async function describeWorker(options: WorkerOptions): Promise<WorkerDescription> {
  const { directory, config, snapshotter, platforms, runnable, network, policies, version } = options;
  return new WorkerDescription({
    id: await workerId(directory),
    labels: {
      'org.mobyproject.buildkit.worker.executor': 'oci',
      'org.mobyproject.buildkit.worker.hostname': hostname(),
      'org.mobyproject.buildkit.worker.network': network,
      'org.mobyproject.buildkit.worker.oci.process-mode': 'sandbox',
      'org.mobyproject.buildkit.worker.selinux.enabled': 'false',
      'org.mobyproject.buildkit.worker.snapshotter': snapshotterLabel(config, snapshotter),
      ...config.labels,
    },
    platforms,
    runnable,
    policies,
    version,
  });
}

/** As buildkitd names them. */
function snapshotterLabel(config: WorkerConfig, snapshotter: WorkerOptions['snapshotter']): string {
  if (snapshotter !== 'overlay') return snapshotter;
  return config.snapshotter === 'stargz' ? 'stargz' : 'overlayfs';
}

async function workerId(root: string): Promise<string> {
  const file = path.join(root, 'workerid');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const id = randomBytes(16).toString('hex');
  await writeFile(`${file}.new`, id, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return id;
}
