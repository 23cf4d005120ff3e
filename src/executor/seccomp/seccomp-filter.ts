import { closeSync, fstatSync, readSync } from 'node:fs';
import koffi from 'koffi';
import { bind, check } from '../../linux/libc.ts';
import type { Seccomp } from './seccomp-profile.ts';

const actions = { SCMP_ACT_ALLOW: 0x7fff0000, SCMP_ACT_ERRNO: 0x00050000 } as const;
const comparisons = { SCMP_CMP_LT: 2, SCMP_CMP_EQ: 4, SCMP_CMP_GT: 6, SCMP_CMP_MASKED_EQ: 7 } as const;
/** The attribute that chooses how the filter looks a call up, and its value for a binary tree instead of a list. */
const optimize = 8;
const binaryTree = 2;

/**
 * The profile as a BPF program in the kernel's own form, by libseccomp; undefined on a host without that library.
 *
 * Translating the profile takes a runtime most of the time that starting a container costs, so it is done once here. The
 * program also costs each system call less: it searches where a runtime's own visits call after call.
 */
export function seccompFilter(profile: Seccomp): Buffer | undefined {
  const library = load();
  if (!library) return undefined;
  const filter = library.init(actions.SCMP_ACT_ERRNO | profile.defaultErrnoRet);
  if (!filter) return undefined;
  try {
    // Fails on libseccomp before 2.5, which only makes lists.
    library.setAttribute(filter, optimize, binaryTree);
    for (const name of profile.architectures) {
      // The machine's own is there from the start and refused.
      library.addArchitecture(
        filter,
        library.resolveArchitecture(name.slice('SCMP_ARCH_'.length).toLowerCase()),
      );
    }
    for (const rule of profile.syscalls) {
      const action = actions[rule.action] | (rule.errnoRet ?? 0);
      const args = encodeComparisons(rule.args ?? []);
      for (const name of rule.names) {
        const number = library.resolveSyscall(name);
        // Unknown to the library: it stays forbidden, as with any runtime.
        if (number !== -1) library.addRule(filter, action, number, rule.args?.length ?? 0, args);
      }
    }
    return exportProgram(library, filter);
  } finally {
    library.release(filter);
  }
}

/** An array of `struct scmp_arg_cmp`: argument, comparison, and two 64-bit operands. */
function encodeComparisons(args: NonNullable<Seccomp['syscalls'][number]['args']>): Buffer {
  const buffer = Buffer.alloc(args.length * 24);
  for (const [position, { index, op, value, valueTwo }] of args.entries()) {
    buffer.writeUInt32LE(index, position * 24);
    buffer.writeUInt32LE(comparisons[op], position * 24 + 4);
    buffer.writeBigUInt64LE(BigInt(value), position * 24 + 8);
    buffer.writeBigUInt64LE(BigInt(valueTwo ?? 0), position * 24 + 16);
  }
  return buffer;
}

function exportProgram(library: Library, filter: unknown): Buffer | undefined {
  const memfdCreate = bind('int memfd_create(const char *name, unsigned int flags)');
  const fd = check(memfdCreate('seccomp', 1), 'memfd_create');
  try {
    if (library.exportBpf(filter, fd) !== 0) return undefined;
    const program = Buffer.allocUnsafe(fstatSync(fd).size);
    readSync(fd, program, 0, program.length, 0);
    return program;
  } finally {
    closeSync(fd);
  }
}

interface Library {
  readonly init: (defaultAction: number) => unknown;
  readonly setAttribute: (filter: unknown, attribute: number, value: number) => number;
  readonly resolveArchitecture: (name: string) => number;
  readonly addArchitecture: (filter: unknown, token: number) => number;
  readonly resolveSyscall: (name: string) => number;
  readonly addRule: (
    filter: unknown,
    action: number,
    syscall: number,
    count: number,
    comparisons: Buffer,
  ) => number;
  readonly exportBpf: (filter: unknown, fd: number) => number;
  readonly release: (filter: unknown) => void;
}

function load(): Library | undefined {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load('libseccomp.so.2');
  } catch {
    return undefined;
  }
  return {
    init: library.func('void *seccomp_init(uint32_t action)'),
    setAttribute: library.func('int seccomp_attr_set(void *filter, int attribute, uint32_t value)'),
    resolveArchitecture: library.func('uint32_t seccomp_arch_resolve_name(const char *name)'),
    addArchitecture: library.func('int seccomp_arch_add(void *filter, uint32_t token)'),
    resolveSyscall: library.func('int seccomp_syscall_resolve_name(const char *name)'),
    addRule: library.func(
      'int seccomp_rule_add_array(void *filter, uint32_t action, int syscall, unsigned int count, const void *comparisons)',
    ),
    exportBpf: library.func('int seccomp_export_bpf(void *filter, int fd)'),
    release: library.func('void seccomp_release(void *filter)'),
  };
}
