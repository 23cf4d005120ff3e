import { normalizePlatform, type Platform } from './platform.ts';

/**
 * How well an image for `candidate` serves `wanted`: 0 not at all, higher is better. What runs the wanted architecture also runs its
 * lesser variants, and those of the 32-bit architecture below it, as containerd has it. On Windows the version counts, see `runsOnWindows`.
 * A candidate must not need an `os.features` that is not wanted; of two that differ in these alone, the one with more is better.
 */
export function platformScore(wanted: Platform, candidate: Platform): number {
  const want = normalizePlatform(wanted);
  const have = normalizePlatform(candidate);
  if (want.os !== have.os) return 0;
  if (want.os === 'windows' && !runsOnWindows(want.osVersion, have.osVersion)) return 0;
  const features = (have.osFeatures ?? []).filter((name) => want.os !== 'windows' || name !== 'win32k');
  if (!features.every((name) => want.osFeatures?.includes(name))) return 0;
  const acceptable = acceptedBy(want);
  const at = acceptable.findIndex(
    ([architecture, variant]) => architecture === have.architecture && variant === have.variant,
  );
  if (at === -1) return 0;
  const steps = 100;
  return (acceptable.length - at) * steps + Math.min(have.osFeatures?.length ?? 0, steps - 1);
}

type Kind = readonly [architecture: string, variant: string | undefined];

/** What runs where `wanted` runs, the best first. */
function acceptedBy({ architecture, variant }: Platform): readonly Kind[] {
  switch (architecture) {
    case 'amd64':
      return [
        ...(variant === undefined ? [] : [[architecture, variant] as const]),
        ...below(numberOf(variant), 2).map((level): Kind => [architecture, `v${level}`]),
        [architecture, undefined],
        ['386', undefined],
      ];
    case 'arm':
      return [
        [architecture, variant],
        ...below(numberOf(variant), 5).map((level): Kind => [architecture, `v${level}`]),
      ];
    case 'arm64': {
      const kinds = arm64Levels(variant).map((level): Kind => [architecture, level]);
      return [
        ...(kinds.length > 0 ? kinds : [[architecture, variant] as const]),
        ...[8, 7, 6, 5].map((level): Kind => ['arm', `v${level}`]),
      ];
    }
    default:
      return [[architecture, variant]];
  }
}

/** v9.N has all of v8.(N+5). */
function arm64Levels(variant: string | undefined): readonly (string | undefined)[] {
  const [, major, minor = '0'] = /^v([89])(?:\.(\d))?$/.exec(variant ?? 'v8') ?? [];
  if (major === undefined) return [];
  const eighth = (from: number) => [...below(from + 1, 1).map((level) => `v8.${level}`), undefined];
  if (major === '8') return eighth(Number(minor));
  return [...below(Number(minor) + 1, 1).map((level) => `v9.${level}`), 'v9', ...eighth(Number(minor) + 5)];
}

/** The numbers below `from`, down to `last`. */
function below(from: number, last: number): readonly number[] {
  return Array.from({ length: Math.max(0, from - last) }, (_, index) => from - 1 - index);
}

/** 0 for what is no number. Variants come from outside: what is far too high counts as the highest that there may ever be. */
function numberOf(variant: string | undefined): number {
  return Math.min(16, Number(/^v(\d+)$/.exec(variant ?? '')?.[1] ?? 0));
}

/** Builds of Windows Server with a long life. From the first on, a version also runs images of the one before it. */
const longTermBuilds = [20348, 26100] as const;

/**
 * Whether an image of one version of Windows runs on another, by Microsoft's rules for process isolation: before Server 2022 only with the same
 * build, then with all builds from the last long-term release on. A version that is not said runs everywhere.
 */
function runsOnWindows(host: string | undefined, image: string | undefined): boolean {
  const on = host === undefined ? undefined : windowsVersion(host);
  if (!on || image === undefined) return true;
  const made = windowsVersion(image);
  if (!made || on.major !== made.major || on.minor !== made.minor) return false;
  if (on.build < longTermBuilds[0]) return on.build === made.build;
  const oldest = longTermBuilds.findLast((build) => build < on.build) ?? longTermBuilds[0];
  return oldest <= made.build && made.build <= on.build;
}

/** Undefined for what no version of Windows can be: as if nothing were said. */
function windowsVersion(text: string) {
  const [, ...parts] = /^(\d{1,3})\.(\d{1,3})\.(\d{1,5})(?:\.|$)/.exec(text) ?? [];
  const [major = 256, minor = 256, build = 65_536] = parts.map(Number);
  return major < 256 && minor < 256 && build < 65_536 ? { major, minor, build } : undefined;
}
