import { type ErrorDetail, KilnError } from '../../base/errors.ts';
import { type DeviceGrants, parseDeviceGrants } from './device-grants.ts';

export const entitlementNames = ['network.host', 'security.insecure', 'device'] as const;
export type Entitlement = (typeof entitlementNames)[number];

/** What one build may do. */
export interface Entitlements {
  readonly allowed: ReadonlySet<Entitlement>;
  readonly devices: DeviceGrants;
}

/** The entitlement that `name` or `device=…` stands for; undefined for an unknown name. */
export function entitlementOf(text: string): Entitlement | undefined {
  return entitlementNames.find((name) => name === text || (name === 'device' && text.startsWith('device=')));
}

/**
 * Reads what a client allows its build. Throws `permission_denied` for what the daemon does not allow, `invalid_argument`
 * for a device that is not written as `device=NAME[,alias=NAME]`.
 */
export function parseEntitlements(
  texts: readonly string[],
  allowedByDaemon: readonly Entitlement[],
): Entitlements {
  const allowed = texts.map((text) => {
    const name = entitlementOf(text);
    if (name && allowedByDaemon.includes(name)) return name;
    throw new KilnError('permission_denied', `entitlement ${name ?? text} is not allowed by the daemon`, {
      hint: `start the daemon with --allow-insecure-entitlement ${name ?? text}`,
    });
  });
  const devices = texts.filter((text) => entitlementOf(text) === 'device');
  return {
    allowed: new Set(allowed),
    devices: parseDeviceGrants(devices.map((text) => text.slice('device='.length))),
  };
}

/** Throws `permission_denied` when a build is not allowed what it needs. `details` say what needs it. */
export function requireEntitlement(
  needed: Entitlement,
  allowed: ReadonlySet<Entitlement>,
  details: readonly ErrorDetail[] = [],
): void {
  if (allowed.has(needed)) return;
  throw new KilnError('permission_denied', `${needed} is not allowed`, {
    hint: `allow it for the daemon (--allow-insecure-entitlement ${needed}) and for the build (--allow ${needed})`,
    details,
  });
}
