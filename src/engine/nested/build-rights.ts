import { digestOf } from '../../base/digest.ts';
import { canonicalText, type Plain } from '../../base/text/canonical.ts';
import type { Entitlements } from '../entitlements/entitlements.ts';
import type { SourceGuard } from '../source-policy/source-guard.ts';

/**
 * A name of what a build may do beyond every other, and of what binds its sources; empty for neither. What a nested graph has is not known to who finds
 * its result, so only builds that are bound alike share one.
 */
export function buildRights({ allowed, devices }: Entitlements, { identity }: SourceGuard): string {
  const grants: Plain =
    devices.kind === 'all'
      ? 'all'
      : { names: [...devices.names].sort(), aliases: Object.fromEntries([...devices.aliases].sort()) };
  const hasGrants = devices.kind === 'all' || devices.names.length + devices.aliases.size > 0;
  if (allowed.size === 0 && !hasGrants && identity === '') return '';
  return digestOf(canonicalText([[...allowed].sort(), grants, identity]));
}
