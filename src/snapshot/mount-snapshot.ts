import { bindMount } from '../linux/mount.ts';
import { mountOverlay } from '../linux/overlay.ts';
import type { SnapshotMount } from './snapshot.ts';

/** Makes a snapshot visible at `target`, a directory. The caller unmounts. Throws a SystemError. */
export function mountSnapshot(snapshot: SnapshotMount, target: string): void {
  switch (snapshot.kind) {
    case 'bind':
      bindMount(snapshot.source, target, { readonly: snapshot.readonly });
      return;
    case 'overlay':
      mountOverlay(snapshot, target);
      return;
    default:
      snapshot satisfies never;
  }
}
