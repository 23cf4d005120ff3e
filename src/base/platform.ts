import { KilnError } from './errors.ts';
import { ownValue } from './own-value.ts';

/** An OCI platform. `variant` is normalised: `amd64` has none, nor has `arm64` for `v8`; `arm` defaults to `v7`. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

const architectures: Readonly<Record<string, readonly [string, string?]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386'],
  i486: ['386'],
  i586: ['386'],
  i686: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** Node's `process.arch` names that are not Go's. */
const nodeArchitectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  loong64: 'loong64',
};

export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const lower = platform.architecture.toLowerCase();
  const [architecture, implied] = ownValue(architectures, lower) ?? [lower];
  let variant = platform.variant?.toLowerCase() || implied;
  if (architecture === 'amd64' && variant === 'v1') variant = undefined;
  if (architecture === '386') variant = undefined;
  if (architecture === 'arm64') {
    if (variant && ['8', 'v8', 'v8.0'].includes(variant)) variant = undefined;
    else if (variant && ['9', '9.0', 'v9.0'].includes(variant)) variant = 'v9';
  }
  if (architecture === 'arm') {
    if (variant === undefined) variant = 'v7';
    else if (/^[5-8]$/.test(variant)) variant = `v${variant}`;
  }
  return {
    os,
    architecture,
    ...(variant ? { variant } : {}),
    ...(platform.osVersion ? { osVersion: platform.osVersion } : {}),
    ...(platform.osFeatures?.length ? { osFeatures: [...new Set(platform.osFeatures)].sort() } : {}),
  };
}

/** The machine's own platform. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: 'linux', architecture: nodeArchitectures[process.arch] ?? process.arch });
}

/**
 * Parses `os[/arch[/variant]]`, a lone architecture, or `local`. The operating system may have a version and features in brackets,
 * `windows(10.0.20348+win32k)`. Throws `invalid_argument`.
 */
export function parsePlatform(text: string): Platform {
  if (text === 'local') return hostPlatform();
  const parts = text.split('/');
  const hint = 'write it as os/architecture[/variant], for example linux/arm64';
  if (parts.length > 3) {
    throw new KilnError('invalid_argument', `invalid platform ${JSON.stringify(text)}`, { hint });
  }
  for (const [at, part] of parts.entries()) {
    // Only the operating system can have a version.
    const name = at === 0 ? part.replace(/\([A-Za-z0-9_.%+-]*\)$/, '') : part;
    if (/^[A-Za-z0-9_.-]+$/.test(name)) continue;
    throw new KilnError(
      'invalid_argument',
      `${JSON.stringify(part)} is an invalid component of ${JSON.stringify(text)}: platform specifier component must match "^[A-Za-z0-9_.-]+$": invalid argument`,
      { hint },
    );
  }
  const [, osName = '', osOptions = ''] = /^([^(]+)(?:\((.*)\))?$/.exec(parts[0]!) ?? [];
  const [osVersion, ...osFeatures] = osOptions.split('+').map((option) => decodeOption(option, text));
  if (osOptions.includes('++') || osOptions.endsWith('+')) {
    throw new KilnError('invalid_argument', `empty os feature in platform ${JSON.stringify(text)}`, { hint });
  }
  if (parts.length === 1) {
    if (/^(linux|windows|darwin|freebsd|macos|wasip1)$/i.test(osName)) {
      return normalizePlatform({
        os: osName,
        architecture: hostPlatform().architecture,
        osVersion,
        osFeatures,
      });
    }
    if (
      !/^(amd64|arm64|arm|386|riscv64|ppc64le|s390x|mips64le|mips64|loong64|wasm|x86_64|x86-64|i[3-6]86|aarch64|armhf|armel)$/i.test(
        osName,
      )
    ) {
      throw new KilnError(
        'invalid_argument',
        `unknown operating system or architecture in platform ${JSON.stringify(text)}`,
        { hint },
      );
    }
    return normalizePlatform({ os: 'linux', architecture: osName });
  }
  return normalizePlatform({ os: osName, architecture: parts[1]!, variant: parts[2], osVersion, osFeatures });
}

/** What stands in brackets is escaped where it would be taken for something else. */
function decodeOption(option: string, text: string): string {
  try {
    return decodeURIComponent(option);
  } catch (cause) {
    throw new KilnError('invalid_argument', `invalid escape in platform ${JSON.stringify(text)}`, { cause });
  }
}

/** Parses platforms between commas. Throws `invalid_argument`, also for empty ones. */
export function parsePlatforms(text: string): readonly Platform[] {
  return text.split(',').map(parsePlatform);
}

/** `os[(version[+feature…])]/arch[/variant]`, which `parsePlatform` reads. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant, osVersion = '', osFeatures = [] } = normalizePlatform(platform);
  const options = [osVersion, ...osFeatures].map(encodeOption).join('+');
  return [options ? `${os}(${options})` : os, architecture, variant].filter(Boolean).join('/');
}

function encodeOption(option: string): string {
  return option
    .replace(/[%+()/]/g, encodeURIComponent)
    .replace(/[()]/g, (each) => (each === '(' ? '%28' : '%29'));
}
