import { KilnError } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';
import { addressOf, bind, check } from './libc.ts';

/** Numbers of system calls of an architecture that this process must not make any more, and how the kernel calls the architecture. */
interface DeniedCalls {
  readonly audit: number;
  readonly numbers: readonly number[];
}

/**
 * Calls that reach a network, other processes, the machine, or change files: sockets, signals, tracing, mounts, keys, kernel modules,
 * and io_uring, which can do any of it. Numbers are those of each architecture, in the order of their names in unistd.h.
 */
const denied: Readonly<Record<string, DeniedCalls>> = {
  x64: {
    audit: 0xc000003e,
    numbers: [
      ...[41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 62, 76, 82, 83, 84, 85, 86, 87, 88, 90, 91, 92, 93, 94],
      ...[101, 133, 155, 161, 165, 166, 169, 175, 200, 246, 248, 249, 250, 258, 259, 260, 263, 264, 265],
      ...[266, 268, 272, 288, 298, 304, 307, 308, 310, 311, 313, 316, 321, 322, 323, 424, 425, 452],
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    numbers: [
      ...[33, 34, 35, 36, 37, 38, 39, 40, 41, 45, 51, 52, 53, 54, 55, 97, 104, 105, 117, 129, 130, 142],
      ...[198, 199, 200, 201, 202, 203, 206, 211, 217, 218, 219, 241, 242, 265, 268, 269, 270, 271, 273],
      ...[276, 280, 281, 282, 424, 425, 452],
    ],
  },
};

const limits = { fileSize: 1, data: 2, core: 4 } as const;
const options = { parentDeathSignal: 1, seccomp: 22, noNewPrivileges: 38 } as const;
const filterMode = 2;
const killSignal = 9;

/**
 * Takes from this thread, and from every program that it becomes, what it does not need to compute: networks, other processes, changes of
 * files. It may have `memory` bytes of its own, and ends with its parent. Throws `failed_precondition` where that is not possible.
 */
export function confineProcess({ memory }: { readonly memory: number }): void {
  const calls = ownValue(denied, process.arch);
  if (!calls) {
    throw new KilnError('failed_precondition', `a process cannot be confined on ${process.arch}`);
  }
  const prctl = bind('int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)');
  const setrlimit = bind('int setrlimit(int resource, const void *limit)');
  const limit = (resource: number, most: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt(most), 0);
    bytes.writeBigUInt64LE(BigInt(most), 8);
    check(setrlimit(resource, bytes), 'setrlimit');
  };
  check(prctl(options.parentDeathSignal, killSignal, 0, 0, 0), 'prctl');
  limit(limits.fileSize, 0);
  limit(limits.core, 0);
  limit(limits.data, memory);
  check(prctl(options.noNewPrivileges, 1, 0, 0, 0), 'prctl');
  const program = filterProgram(calls);
  const description = Buffer.alloc(16);
  description.writeUInt16LE(program.length / 8, 0);
  description.writeBigUInt64LE(addressOf(program), 8);
  check(prctl(options.seccomp, filterMode, addressOf(description), 0, 0), 'prctl');
}

/** Classic BPF over `struct seccomp_data`: the number of the call is at 0, the architecture at 4. */
function filterProgram({ audit, numbers }: DeniedCalls): Buffer {
  const load = 0x20;
  const jumpIfEqual = 0x15;
  const jumpIfAtLeast = 0x35;
  const answer = 0x06;
  const allow = 0x7fff0000;
  /** The call fails with EPERM. */
  const refuse = 0x00050001;
  const kill = 0x80000000;
  const count = numbers.length;
  const steps: (readonly [number, number, number, number])[] = [
    [load, 0, 0, 4],
    [jumpIfEqual, 1, 0, audit],
    [answer, 0, 0, kill],
    [load, 0, 0, 0],
    // Numbers of another way into the kernel, x32, have this bit.
    [jumpIfAtLeast, count + 1, 0, 0x40000000],
    ...numbers.map((number, at) => [jumpIfEqual, count - at, 0, number] as const),
    [answer, 0, 0, allow],
    [answer, 0, 0, refuse],
  ];
  const bytes = Buffer.alloc(steps.length * 8);
  for (const [at, [code, ifTrue, ifFalse, value]] of steps.entries()) {
    bytes.writeUInt16LE(code, at * 8);
    bytes.writeUInt8(ifTrue, at * 8 + 2);
    bytes.writeUInt8(ifFalse, at * 8 + 3);
    bytes.writeUInt32LE(value >>> 0, at * 8 + 4);
  }
  return bytes;
}
