import { lstatSync, type Stats } from 'node:fs';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { majorOf, minorOf } from '../../linux/mknod.ts';
import type { DeviceNode, DeviceType } from './container-edits.ts';

/** A device node of the OCI runtime specification, and how the process may use it. */
export interface CompleteNode {
  readonly path: string;
  readonly type: DeviceType;
  readonly major: number;
  readonly minor: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly access: string;
}

/**
 * What a CDI file leaves out is the host's node's; one of whom type and number are given need not exist there. The
 * node belongs to the process's user unless the file says whose it is. Throws `failed_precondition`.
 */
export function completeNode(
  node: DeviceNode,
  user: { readonly uid: number; readonly gid: number },
): CompleteNode {
  const complete = {
    path: node.path,
    fileMode: node.fileMode,
    uid: node.uid ?? (user.uid || undefined),
    gid: node.gid ?? (user.gid || undefined),
    access: node.permissions ?? 'rwm',
  };
  const { type, major = 0, minor = 0 } = node;
  const hostPath = node.hostPath ?? node.path;
  const host = hostNode(hostPath, type === 'p' || (type !== undefined && major !== 0));
  const fileMode = node.fileMode ?? (host && host.mode & 0o7777);
  if (type === 'p' || (type && major !== 0)) return { ...complete, fileMode, type, major, minor };
  const hostType = host && typeOf(host);
  if (!hostType) throw unusable(hostPath, 'it is not a device node');
  if (type !== undefined && type !== hostType && !(type === 'u' && hostType === 'c'))
    throw unusable(hostPath, `it is of type ${hostType}, not ${type}`);
  return {
    ...complete,
    fileMode,
    type: type ?? hostType,
    major: hostType === 'p' ? 0 : majorOf(host.rdev),
    minor: hostType === 'p' ? 0 : minorOf(host.rdev),
  };
}

function hostNode(hostPath: string, optional: boolean): Stats | undefined {
  try {
    return lstatSync(hostPath);
  } catch (cause) {
    if (optional) return undefined;
    throw unusable(
      hostPath,
      errnoOf(cause) === 'ENOENT' ? 'it does not exist' : (cause as Error).message,
      cause,
    );
  }
}

function typeOf(stats: Stats): 'b' | 'c' | 'p' | undefined {
  if (stats.isBlockDevice()) return 'b';
  if (stats.isCharacterDevice()) return 'c';
  return stats.isFIFO() ? 'p' : undefined;
}

function unusable(hostPath: string, why: string, cause?: unknown): KilnError {
  return new KilnError('failed_precondition', `cannot use the device node ${hostPath} of the host: ${why}`, {
    cause,
    hint: 'check the CDI file that names it',
  });
}
