import { after, before } from 'node:test';
import { Daemon, type DaemonOptions } from './daemon.ts';
import type { Kiln } from './kiln.ts';
import { WorkDirectory } from './work-directory.ts';

/**
 * Opens what the tests of a suite share. Called in `describe`, or at the top of a file: `open` runs before the first test there. What
 * `open` puts into `resources` is closed after the last test, in reverse order, also if `open` fails. The returned object has the properties
 * that `open` returned, from the first test on.
 */
export function suiteRig<Rig extends object>(
  open: (resources: AsyncDisposableStack) => Rig | Promise<Rig>,
): Rig {
  const rig = {} as Rig;
  const resources = new AsyncDisposableStack();
  before(async () => {
    Object.assign(rig, await open(resources));
  });
  after(() => resources.disposeAsync());
  return rig;
}

/** A daemon, its client and a work directory. */
export interface DaemonRig {
  readonly work: WorkDirectory;
  readonly daemon: Daemon;
  /** `bin/kiln` with the daemon's address. */
  readonly kiln: Kiln;
}

/** Opens a daemon that the tests of a suite share: see `suiteRig`. */
export function daemonRig(options?: DaemonOptions): DaemonRig {
  return suiteRig((resources) => openDaemon(resources, options));
}

/** Opens a daemon and a work directory as part of a rig that has more. */
export async function openDaemon(
  resources: AsyncDisposableStack,
  options?: DaemonOptions,
): Promise<DaemonRig> {
  const work = resources.use(new WorkDirectory());
  const daemon = resources.use(await Daemon.start(options));
  return { work, daemon, kiln: daemon.kiln };
}
