/** A processor architecture by Go's name, as ELF headers and qemu know it. */
export interface Architecture {
  readonly name: string;
  /** What qemu calls it in the names of its programs. */
  readonly qemuName: string;
  /** EI_CLASS: 32-bit words are 1, 64-bit ones 2. */
  readonly elfClass: 1 | 2;
  /** EI_DATA: little-endian is 1, big-endian 2. */
  readonly elfData: 1 | 2;
  /** e_machine. */
  readonly elfMachine: number;
  /** Machine code that ends its process with status 42, as bytes in memory order (`exit` by each architecture's system call convention). */
  readonly exitCode: string;
}

/** In the order in which BuildKit lists what a worker can run. */
export const architectures: readonly Architecture[] = [
  {
    name: 'amd64',
    qemuName: 'x86_64',
    elfClass: 2,
    elfData: 1,
    elfMachine: 62,
    // mov edi, 42; mov eax, 60; syscall
    exitCode: 'bf2a000000 b83c000000 0f05',
  },
  {
    name: 'arm64',
    qemuName: 'aarch64',
    elfClass: 2,
    elfData: 1,
    elfMachine: 183,
    // mov x0, #42; mov x8, #93; svc #0
    exitCode: '400580d2 a80b80d2 010000d4',
  },
  {
    name: 'riscv64',
    qemuName: 'riscv64',
    elfClass: 2,
    elfData: 1,
    elfMachine: 243,
    // li a0, 42; li a7, 93; ecall
    exitCode: '1305a002 9308d005 73000000',
  },
  {
    name: 'ppc64',
    qemuName: 'ppc64',
    elfClass: 2,
    elfData: 2,
    elfMachine: 21,
    // li r3, 42; li r0, 1; sc
    exitCode: '3860002a 38000001 44000002',
  },
  {
    name: 'ppc64le',
    qemuName: 'ppc64le',
    elfClass: 2,
    elfData: 1,
    elfMachine: 21,
    exitCode: '2a006038 01000038 02000044',
  },
  {
    name: 's390x',
    qemuName: 's390x',
    elfClass: 2,
    elfData: 2,
    elfMachine: 22,
    // lghi %r2, 42; svc 1
    exitCode: 'a729002a 0a01',
  },
  {
    name: '386',
    qemuName: 'i386',
    elfClass: 1,
    elfData: 1,
    elfMachine: 3,
    // mov ebx, 42; mov eax, 1; int 0x80
    exitCode: 'bb2a000000 b801000000 cd80',
  },
  {
    name: 'mips64le',
    qemuName: 'mips64el',
    elfClass: 2,
    elfData: 1,
    elfMachine: 8,
    // li a0, 42; li v0, 5058; syscall
    exitCode: '2a000424 c2130224 0c000000',
  },
  {
    name: 'mips64',
    qemuName: 'mips64',
    elfClass: 2,
    elfData: 2,
    elfMachine: 8,
    exitCode: '2404002a 240213c2 0000000c',
  },
  {
    name: 'loong64',
    qemuName: 'loongarch64',
    elfClass: 2,
    elfData: 1,
    elfMachine: 258,
    // ori a0, zero, 42; ori a7, zero, 93; syscall 0
    exitCode: '04a88003 0b748103 00002b00',
  },
  {
    name: 'arm',
    qemuName: 'arm',
    elfClass: 1,
    elfData: 1,
    elfMachine: 40,
    // mov r0, #42; mov r7, #1; svc #0
    exitCode: '2a00a0e3 0170a0e3 000000ef',
  },
];

/** The architecture whose programs begin with such a header; undefined for what is no ELF file or one of an architecture not listed. */
export function architectureOfElf(header: Uint8Array): Architecture | undefined {
  if (header.length < 20) return undefined;
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (bytes.readUInt32BE(0) !== elfMagic) return undefined;
  const [elfClass, elfData] = [bytes[4], bytes[5]];
  const machine = elfData === 2 ? bytes.readUInt16BE(18) : bytes.readUInt16LE(18);
  return architectures.find(
    (each) => each.elfClass === elfClass && each.elfData === elfData && each.elfMachine === machine,
  );
}

export const elfMagic = 0x7f454c46;
