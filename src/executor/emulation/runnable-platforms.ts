import { formatPlatform, hostPlatform, normalizePlatform, type Platform } from '../../base/platform.ts';
import { type Architecture, architectures } from './architecture.ts';
import { ownAmd64Level } from './cpu-level.ts';
import { canRegisterInContainer, type Emulator, findEmulator } from './emulator.ts';
import { probeMachine } from './probe-machine.ts';

/** How programs for a platform can run on this machine. */
export type WayToRun =
  /** By the processor, or by an emulator that is registered with the kernel. */
  | { readonly kind: 'direct' }
  /** By an emulator that the container registers for itself. */
  | { readonly kind: 'emulated'; readonly emulator: Emulator }
  | { readonly kind: 'impossible'; readonly reason: string; readonly hint: string };

/** What this machine can run. Emulators that are installed or registered while a daemon runs count within seconds. */
export interface RunnablePlatforms {
  /** In BuildKit's order: the machine's own first, then its levels, then others. `last` does not wait for what was found before to be checked. */
  list(answer?: 'current' | 'last'): Promise<readonly Platform[]>;
  wayToRun(platform: Platform): Promise<WayToRun>;
}

export interface RunnablePlatformsOptions {
  /** Where programs to try are written; it exists. */
  readonly directory: string;
  /** How to find out what the machine has; its own programs and kernel by default. */
  readonly probe?: typeof probeMachine;
  readonly emulator?: typeof findEmulator;
}

/** How long what was found counts, in milliseconds. */
const keptFor = 10_000;
/** Milliseconds after which it is checked again for those who did not wait for that: a build that asks has begun just then. */
const checkDelay = 1_000;

/** Disposing waits for programs that are being tried. */
export function createRunnablePlatforms(
  options: RunnablePlatformsOptions,
): RunnablePlatforms & AsyncDisposable {
  return new MachinePlatforms(options);
}

interface Found {
  /** By name. */
  readonly direct: ReadonlySet<string>;
  readonly emulated: ReadonlyMap<string, Emulator>;
  readonly canRegister: boolean;
  readonly amd64Level: number;
}

class MachinePlatforms implements RunnablePlatforms, AsyncDisposable {
  readonly #options: RunnablePlatformsOptions;
  #found: { readonly until: number; readonly value: Promise<Found> } | undefined;
  #check: NodeJS.Timeout | undefined;
  readonly #looking = new Set<Promise<Found>>();

  constructor(options: RunnablePlatformsOptions) {
    this.#options = options;
  }

  async list(answer: 'current' | 'last' = 'current'): Promise<readonly Platform[]> {
    const last = answer === 'last' ? this.#found?.value : undefined;
    if (last) this.#checkSoon();
    const found = await (last ?? this.#find());
    const own = hostPlatform();
    const can = ({ name }: Architecture) =>
      found.direct.has(name) || (found.canRegister && found.emulated.has(name));
    const others = architectures.filter(can).flatMap(({ name }) => variantsOf(name, found));
    const names = new Set([formatPlatform(own)]);
    return [
      own,
      ...others.filter((platform) => {
        const name = formatPlatform(platform);
        return !names.has(name) && names.add(name);
      }),
    ];
  }

  async wayToRun(wanted: Platform): Promise<WayToRun> {
    const platform = normalizePlatform(wanted);
    const own = hostPlatform();
    const shown = formatPlatform(platform);
    if (platform.os !== 'linux') {
      return {
        kind: 'impossible',
        reason: `this machine runs linux, not ${platform.os}`,
        hint: `an image for ${shown} can be made here by COPY, ADD and instructions that change its configuration`,
      };
    }
    const isOwn = platform.architecture === own.architecture;
    if (isOwn && platform.variant === own.variant) return { kind: 'direct' };
    const found = await this.#find();
    if (isOwn || found.direct.has(platform.architecture)) {
      const supported = variantsOf(platform.architecture, found);
      if (platform.architecture !== 'amd64' || includes(supported, platform)) return { kind: 'direct' };
      return {
        kind: 'impossible',
        reason: `no support for running processes with ${shown} platform, supported: ${supported.map(formatPlatform).join(', ')}`,
        hint: 'build it on a machine whose processor has these instructions',
      };
    }
    return emulation(platform, found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#check);
    await Promise.allSettled(this.#looking);
  }

  #checkSoon(): void {
    if (this.#found && this.#found.until > Date.now()) return;
    this.#check ??= setTimeout(() => {
      this.#check = undefined;
      this.#find().catch(() => {});
    }, checkDelay).unref();
  }

  #find(): Promise<Found> {
    if (this.#found && this.#found.until > Date.now()) return this.#found.value;
    const value = this.#look();
    this.#found = { until: Date.now() + keptFor, value };
    this.#looking.add(value);
    value
      .catch(() => {
        if (this.#found?.value === value) this.#found = undefined;
      })
      .finally(() => this.#looking.delete(value));
    return value;
  }

  async #look(): Promise<Found> {
    const { directory, probe = probeMachine, emulator = findEmulator } = this.#options;
    const own = hostPlatform().architecture;
    const foreign = architectures.filter(({ name }) => name !== own);
    const [direct, emulators, canRegister, amd64Level] = await Promise.all([
      probe(directory, foreign),
      Promise.all(foreign.map(emulator)),
      canRegisterInContainer(),
      own === 'amd64' ? ownAmd64Level() : 1,
    ]);
    return {
      direct: new Set([own, ...direct.map(({ name }) => name)]),
      emulated: new Map(
        emulators.flatMap((emulator) => (emulator ? [[emulator.architecture.name, emulator]] : [])),
      ),
      canRegister,
      amd64Level,
    };
  }
}

function emulation(platform: Platform, { emulated, canRegister }: Found): WayToRun {
  const shown = formatPlatform(platform);
  const architecture = architectures.find(({ name }) => name === platform.architecture);
  if (!architecture) {
    return {
      kind: 'impossible',
      reason: `no emulator is known for ${shown}`,
      hint: 'register one with the kernel (binfmt_misc, with the flag F)',
    };
  }
  const emulator = emulated.get(architecture.name);
  if (emulator && canRegister) return { kind: 'emulated', emulator };
  const program = `qemu-${architecture.qemuName}-static`;
  return emulator
    ? {
        kind: 'impossible',
        reason: `no emulator for ${shown} is registered with the kernel, and ${program} cannot be registered for one container: that needs Linux 6.7 and user namespaces`,
        hint: 'register it: apt-get install binfmt-support qemu-user-static',
      }
    : {
        kind: 'impossible',
        reason: `no emulator for ${shown}: ${program} is not installed, and none is registered with the kernel`,
        hint: 'install it: apt-get install qemu-user-static',
      };
}

/** The platforms that running an architecture means. An emulated x86-64 has no level above the first. */
function variantsOf(architecture: string, { amd64Level }: Found): readonly Platform[] {
  const platform = (variant?: string): Platform => ({
    os: 'linux',
    architecture,
    ...(variant && { variant }),
  });
  switch (architecture) {
    case 'amd64':
      return Array.from({ length: amd64Level }, (_, index) =>
        platform(index === 0 ? undefined : `v${index + 1}`),
      );
    case 'arm':
      return [platform('v7'), platform('v6')];
    default:
      return [platform()];
  }
}

function includes(platforms: readonly Platform[], platform: Platform): boolean {
  return platforms.some((each) => formatPlatform(each) === formatPlatform(platform));
}
