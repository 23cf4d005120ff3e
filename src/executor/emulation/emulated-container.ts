import { existsSync, readFileSync } from 'node:fs';
import { restrictionsOfMount } from '../../linux/restrictions-of-mount.ts';
import type { OciMount } from '../mounts/oci-mount.ts';
import type { Emulator } from './emulator.ts';

/** What a container with an emulator needs besides. Paths are the host's. */
export interface EmulatedContainer {
  readonly emulator: Emulator;
  readonly rootfs: string;
  /** Where a sysfs of its network is mounted for it, unless that network is made with it: its user namespace may not mount one of others. */
  readonly sysfs: string | undefined;
}

/** The parts of an OCI runtime configuration that an emulator changes. */
interface EmulatableConfig {
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string }[];
    readonly devices: readonly { readonly path: string }[];
  };
  readonly hooks?: Readonly<Record<string, readonly object[]>>;
}

/** In `/dev`, which is the container's own: nothing of it stays in the file tree. */
const formatsMount: OciMount = {
  destination: '/dev/.kiln_binfmt_misc',
  type: 'binfmt_misc',
  source: 'binfmt_misc',
  options: ['nosuid', 'noexec', 'nodev'],
};

/**
 * Writes `$1` to where the formats are mounted, `$3` in the file tree `$2`. A link in the tree or another mount can lead that path to any
 * directory of the host. Only a directory of binfmt_misc (by its magic number), in which there are no links, is written to, and only one that is
 * mounted in the tree: the machine's own is elsewhere.
 */
const registerScript = [
  // crun fails if nobody reads what it says of the container.
  'read -r state',
  'cd -P -- "$2" && root=$(pwd -P) && cd -P -- "$root$3" && [ "$(stat -f -c %t .)" = 42494e4d ] &&',
  '  case $(pwd -P) in "$root"/*) printf %s "$1" >register && exit ;; esac',
  'echo "cannot register an emulator: the formats of programs are not at $2$3" >&2',
  'exit 1',
].join('\n');

/**
 * The configuration of a container in which the kernel gives programs of the emulator's architecture to the emulator, whoever starts them.
 * The container has a user namespace with the same ids as outside, and in it an instance of binfmt_misc: the registration is made when the
 * mounts are, and ends with the container. No other process of the machine ever sees it.
 */
export function withEmulator<T extends EmulatableConfig>(config: T, container: EmulatedContainer) {
  const { emulator, rootfs } = container;
  const hook = {
    path: '/bin/sh',
    args: ['sh', '-c', registerScript, 'sh', registration(emulator), rootfs, formatsMount.destination],
  };
  const mounts = config.mounts.flatMap((mount): readonly OciMount[] => {
    if (mount.destination === '/dev' && mount.type === 'tmpfs') return [mount, formatsMount];
    if (mount.type === 'sysfs' && container.sysfs !== undefined) {
      return [{ ...mount, type: 'bind', source: container.sysfs, options: ['bind', ...mount.options] }];
    }
    return [mount.type === 'bind' && mount.options.includes('ro') ? withRestrictions(mount) : mount];
  });
  return {
    ...config,
    mounts,
    linux: {
      ...config.linux,
      // In a user namespace nodes are not made but bound from the host.
      devices: config.linux.devices.filter((device) => existsSync(device.path)),
      namespaces: [...config.linux.namespaces, { type: 'user' }],
      uidMappings: sameIds('/proc/self/uid_map'),
      gidMappings: sameIds('/proc/self/gid_map'),
    },
    hooks: { ...config.hooks, createContainer: [hook, ...(config.hooks?.createContainer ?? [])] },
  };
}

/** A user namespace may not take back what restricts a mount: who changes it has to say that again. */
function withRestrictions(mount: OciMount): OciMount {
  return { ...mount, options: [...new Set([...mount.options, ...restrictionsOfMount(mount.source)])] };
}

/** All ids that this process has, as themselves. */
function sameIds(file: string): readonly object[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [inside = 0, , size = 0] = line.trim().split(/\s+/).map(Number);
      return { containerID: inside, hostID: inside, size };
    });
}

/**
 * The line that registers an emulator (Linux, admin-guide/binfmt-misc). It goes by class, byte order, type (executable or shared
 * object) and machine of the ELF header. P hands on the name by which a program was called; C keeps set-user-id bits; F opens the emulator at
 * once, so that it need not be in the container's file tree.
 */
export function registration({ architecture, program }: Emulator): string {
  const { elfClass, elfData, elfMachine } = architecture;
  const little = elfData === 1;
  const magic = Buffer.alloc(20);
  const mask = Buffer.alloc(20);
  magic.write('\x7fELF', 'latin1');
  magic.set([elfClass, elfData, 1], 4);
  mask.fill(0xff, 0, 7);
  magic[little ? 16 : 17] = 2;
  mask.set(little ? [0xfe, 0xff] : [0xff, 0xfe], 16);
  if (little) magic.writeUInt16LE(elfMachine, 18);
  else magic.writeUInt16BE(elfMachine, 18);
  mask.fill(0xff, 18);
  const fields = [`kiln-${architecture.qemuName}`, 'M', '', escaped(magic), escaped(mask), program, 'PCF'];
  const separator = [...':|,;#'].find((each) => !program.includes(each)) ?? ':';
  return `${separator}${fields.join(separator)}`;
}

function escaped(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}
