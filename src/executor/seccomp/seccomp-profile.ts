import { allowedSyscalls } from './allowed-syscalls.ts';

/** `linux.seccomp` of the OCI runtime specification, the part in use. */
export interface Seccomp {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: 'SCMP_CMP_LT' | 'SCMP_CMP_EQ' | 'SCMP_CMP_GT' | 'SCMP_CMP_MASKED_EQ';
  }[];
}

const EPERM = 1;
const ENOSYS = 38;
const AF_ALG = 38;
const AF_VSOCK = 40;
/** The `CLONE_NEW*` flags of clone(2), all but `CLONE_NEWTIME`. */
const namespaceFlags = 0x7e020000;
/** personality(2): Linux, 32-bit Linux, both without address randomisation, and "tell". */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** The filter's architectures by Node's `process.arch`: the machine's own, and those it can also run. */
const architectures: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  loong64: ['SCMP_ARCH_LOONGARCH64'],
};

const architectureCalls: Readonly<Record<string, readonly string[]>> = {
  x64: ['arch_prctl', 'modify_ldt'],
  ia32: ['modify_ldt'],
  arm64: [
    'arm_fadvise64_64',
    'arm_sync_file_range',
    'sync_file_range2',
    'breakpoint',
    'cacheflush',
    'set_tls',
  ],
  arm: ['arm_fadvise64_64', 'arm_sync_file_range', 'sync_file_range2', 'breakpoint', 'cacheflush', 'set_tls'],
  ppc64: ['sync_file_range2', 'swapcontext'],
  s390x: ['s390_pci_mmio_read', 's390_pci_mmio_write', 's390_runtime_instr'],
  riscv64: ['riscv_flush_icache'],
};

/** Calls that a capability makes harmless to allow, since the kernel checks it itself. */
const capabilityCalls: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: ['open_by_handle_at'],
  CAP_SYS_ADMIN: [
    'bpf',
    'clone',
    'clone3',
    'fanotify_init',
    'fsconfig',
    'fsmount',
    'fsopen',
    'fspick',
    'lookup_dcookie',
    'lsm_get_self_attr',
    'lsm_list_modules',
    'lsm_set_self_attr',
    'mount',
    'mount_setattr',
    'move_mount',
    'open_tree',
    'perf_event_open',
    'quotactl',
    'quotactl_fd',
    'setdomainname',
    'sethostname',
    'setns',
    'syslog',
    'umount',
    'umount2',
    'unshare',
  ],
  CAP_SYS_BOOT: ['reboot'],
  CAP_SYS_CHROOT: ['chroot'],
  CAP_SYS_MODULE: ['delete_module', 'init_module', 'finit_module'],
  CAP_SYS_PACCT: ['acct'],
  CAP_SYS_PTRACE: ['kcmp', 'pidfd_getfd', 'process_madvise'],
  CAP_SYS_RAWIO: ['iopl', 'ioperm'],
  CAP_SYS_TIME: ['settimeofday', 'stime', 'clock_settime', 'clock_settime64'],
  CAP_SYS_TTY_CONFIG: ['vhangup'],
  CAP_SYS_NICE: ['get_mempolicy', 'mbind', 'set_mempolicy', 'set_mempolicy_home_node'],
  CAP_SYSLOG: ['syslog'],
  CAP_BPF: ['bpf'],
  CAP_PERFMON: ['perf_event_open'],
};

const allow = (names: readonly string[], ...args: NonNullable<SeccompRule['args']>): SeccompRule => ({
  names,
  action: 'SCMP_ACT_ALLOW',
  ...(args.length > 0 ? { args } : {}),
});

/**
 * The field's default filter for a process that holds `capabilities`: a list of allowed calls, everything else fails
 * with EPERM. New namespaces need CAP_SYS_ADMIN; `clone3` then is "not implemented", so that libc falls back to
 * `clone`, whose flags a filter can see.
 */
export function seccompProfile(
  capabilities: readonly string[],
  architecture: string = process.arch,
): Seccomp {
  const held = new Set(capabilities);
  const syscalls: SeccompRule[] = [
    // Tracing is safe on the kernels that Kiln supports: since 4.8 it cannot get around the filter.
    allow([...allowedSyscalls, 'process_vm_readv', 'process_vm_writev', 'ptrace']),
    allow(['socket'], { index: 0, value: AF_ALG, op: 'SCMP_CMP_LT' }),
    allow(['socket'], { index: 0, value: AF_ALG + 1, op: 'SCMP_CMP_EQ' }),
    allow(['socket'], { index: 0, value: AF_VSOCK, op: 'SCMP_CMP_GT' }),
    ...personalities.map((value) => allow(['personality'], { index: 0, value, op: 'SCMP_CMP_EQ' })),
  ];
  const own = architectureCalls[architecture];
  if (own) syscalls.push(allow(own));
  for (const [capability, names] of Object.entries(capabilityCalls))
    if (held.has(capability)) syscalls.push(allow(names));
  if (!held.has('CAP_SYS_ADMIN')) {
    const flagsArgument = architecture === 's390x' ? 1 : 0;
    syscalls.push(
      allow(['clone'], {
        index: flagsArgument,
        value: namespaceFlags,
        valueTwo: 0,
        op: 'SCMP_CMP_MASKED_EQ',
      }),
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    );
  }
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: architectures[architecture] ?? [],
    syscalls,
  };
}
