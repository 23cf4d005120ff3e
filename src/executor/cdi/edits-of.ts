import { type ContainerEdits, joinEdits } from './container-edits.ts';
import type { Device } from './device-spec.ts';

/** What the devices change together, in order; before the first device of a file come the file's own edits. */
export function editsOf(devices: readonly Device[]): ContainerEdits {
  const seen = new Set<Device['spec']>();
  return joinEdits(
    devices.flatMap(({ spec, edits }) => {
      if (seen.has(spec)) return [edits];
      seen.add(spec);
      return [spec.edits, edits];
    }),
  );
}
