import {
  formatPlatform,
  normalizePlatform,
  type Platform,
  parsePlatform,
} from '../../../../base/platform.ts';
import type { Variables } from '../../expand/expand-word.ts';

/** `[linux/arm64 build 2/4] `; nothing for a tree without steps. */
export function stepPrefix(name: string, step: number, steps: number, platform: string): string {
  if (steps === 0) return '';
  const number = String(step).padStart(String(steps).length);
  return `[${[platform, name, `${number}/${steps}`].filter(Boolean).join(' ')}] `;
}

/** The platform a step runs on, and what it builds for if that is another: `linux/amd64->arm64`. */
export function platformPrefix(platform: Platform, variables: Variables): string {
  return formatPlatform(platform) + targetSuffix(platform, variables);
}

function targetSuffix(base: Platform, variables: Variables): string {
  const target = targetOf(base, variables);
  if (!target || (target.os === base.os && target.architecture === base.architecture)) return '';
  const shown = formatPlatform(target);
  return `->${target.os === base.os ? shown.slice(shown.indexOf('/') + 1) : shown}`;
}

/** The platform that the stage's `TARGET…` arguments name, if it declares any. */
function targetOf(base: Platform, variables: Variables): Platform | undefined {
  const whole = variables.get('TARGETPLATFORM');
  if (whole !== undefined) {
    try {
      return parsePlatform(whole);
    } catch {
      // An argument can be set to anything.
    }
  }
  const os = variables.get('TARGETOS');
  const architecture = variables.get('TARGETARCH');
  const variant = variables.get('TARGETVARIANT');
  if (os === undefined && architecture === undefined && variant === undefined) return undefined;
  return normalizePlatform({
    os: os || base.os,
    architecture: architecture || base.architecture,
    ...(variant && { variant }),
  });
}
