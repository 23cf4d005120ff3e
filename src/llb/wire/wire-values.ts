import { CacheSharing, MountContentCache, NetMode, SecurityMode } from '../../api/gen/ops_pb.js';
import type * as op from '../op.ts';

/** A wire enum's numbers and the names that ops use for them. */
interface Names<Name extends string, Value extends number> {
  readonly byName: Readonly<Record<Name, Value>>;
  /** Undefined for a number that is not known. */
  nameOf(value: number): Name | undefined;
}

function names<Name extends string, Value extends number>(
  byName: Readonly<Record<Name, Value>>,
): Names<Name, Value> {
  const byValue = new Map<number, Name>(
    (Object.entries(byName) as [Name, Value][]).map(([name, value]) => [value, name]),
  );
  return { byName, nameOf: (value) => byValue.get(value) };
}

export const networkModes = names<op.NetworkMode, NetMode>({
  sandbox: NetMode.SANDBOX,
  host: NetMode.HOST,
  none: NetMode.NONE,
});

export const securityModes = names<op.SecurityMode, SecurityMode>({
  sandbox: SecurityMode.SANDBOX,
  insecure: SecurityMode.INSECURE,
});

export const cacheSharings = names<op.CacheSharing, CacheSharing>({
  shared: CacheSharing.SHARED,
  private: CacheSharing.PRIVATE,
  locked: CacheSharing.LOCKED,
});

export const contentCaches = names<op.ExecMount['contentCache'], MountContentCache>({
  default: MountContentCache.DEFAULT,
  on: MountContentCache.ON,
  off: MountContentCache.OFF,
});

/** How the wire says "no mode" and "no timestamp". */
export const unset = -1;
