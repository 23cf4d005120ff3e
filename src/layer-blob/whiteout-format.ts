import { makeDevice } from '../linux/mknod.ts';
import { isWhiteoutNumber } from '../tree/overlay-marks.ts';
import type { TarEntry } from './tar/tar-entry.ts';

/** Names that stand for deletions in a layer (OCI image layer specification, "Whiteouts"). */
export const whiteoutPrefix = '.wh.';
export const opaqueWhiteout = '.wh..wh..opq';

/** Whether an entry is the device that deletes where layers are unpacked into overlays. It means the same everywhere here, whatever lies below. */
export function isWhiteoutEntry({ type, deviceMajor, deviceMinor }: TarEntry): boolean {
  return type === 'character-device' && isWhiteoutNumber(makeDevice(deviceMajor, deviceMinor));
}
