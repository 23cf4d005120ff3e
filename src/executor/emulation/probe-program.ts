import { type Architecture, elfMagic } from './architecture.ts';

/** The status with which a probe program ends. Neither a failing exec nor a shell that takes the file for a script gives it. */
export const probeStatus = 42;

const loadAddress = 0x10000;
const alignment = 0x10000;

/**
 * The smallest program of an architecture: an ELF header, one segment, and code that exits with `probeStatus`. Sources: the generic ELF
 * specification; for mips64 and ppc64le, e_flags that say which ABI the code is for.
 */
export function probeProgram(architecture: Architecture): Uint8Array {
  const wide = architecture.elfClass === 2;
  const code = Buffer.from(architecture.exitCode.replaceAll(' ', ''), 'hex');
  const headerSize = wide ? 64 : 52;
  const segmentSize = wide ? 56 : 32;
  const codeAt = headerSize + segmentSize;
  // A program for ppc64 (ELFv1) begins with a descriptor of its entry: its address, and two words that it does not use.
  const descriptor = architecture.name === 'ppc64' ? 24 : 0;
  const file = Buffer.alloc(codeAt + descriptor + code.length);
  const field = new FieldWriter(file, architecture.elfData === 1, wide);

  file.writeUInt32BE(elfMagic, 0);
  file[4] = architecture.elfClass;
  file[5] = architecture.elfData;
  file[6] = 1;
  field.at(16).half(2).half(architecture.elfMachine).word(1);
  field.address(loadAddress + codeAt);
  field.address(headerSize).address(0).word(abiFlags(architecture.name));
  field.half(headerSize).half(segmentSize).half(1).half(0).half(0).half(0);

  const readable = 5;
  field.at(headerSize).word(1);
  if (wide) field.word(readable);
  field.address(0).address(loadAddress).address(loadAddress).address(file.length).address(file.length);
  if (!wide) field.word(readable);
  field.address(alignment);
  if (descriptor > 0) {
    field
      .at(codeAt)
      .address(loadAddress + codeAt + descriptor)
      .address(0)
      .address(0);
  }
  code.copy(file, codeAt + descriptor);
  return file;
}

/** e_flags: MIPS64r2 with the 64-bit ABI; ppc64 says which ELF ABI; ARM's EABI 5; LoongArch's base ABI with double floats. */
function abiFlags(name: string): number {
  switch (name) {
    case 'mips64':
    case 'mips64le':
      return 0x8000_0000;
    case 'ppc64':
      return 1;
    case 'ppc64le':
      return 2;
    case 'arm':
      return 0x0500_0000;
    case 'loong64':
      return 0x43;
    default:
      return 0;
  }
}

class FieldWriter {
  readonly #file: Buffer;
  readonly #little: boolean;
  readonly #wide: boolean;
  #position = 0;

  constructor(file: Buffer, little: boolean, wide: boolean) {
    this.#file = file;
    this.#little = little;
    this.#wide = wide;
  }

  at(position: number): this {
    this.#position = position;
    return this;
  }

  half(value: number): this {
    return this.#write(value, 2);
  }

  word(value: number): this {
    return this.#write(value, 4);
  }

  /** 32 or 64 bits, by the program's class. */
  address(value: number): this {
    if (!this.#wide) return this.word(value);
    const [first, second] = this.#little ? [value, 0] : [0, value];
    return this.word(first).word(second);
  }

  #write(value: number, size: 2 | 4): this {
    if (this.#little) this.#file.writeUIntLE(value, this.#position, size);
    else this.#file.writeUIntBE(value, this.#position, size);
    this.#position += size;
    return this;
  }
}
