import { open } from 'node:fs/promises';
import { type Architecture, architectureOfElf } from './architecture.ts';

const headerSize = 4096;
const segmentTypeInterpreter = 3;

/**
 * The architecture of a program that needs no libraries: it has no interpreter (PT_INTERP) that loads them. Undefined for another file. A program's
 * headers are in its first page.
 */
export async function architectureOfStatic(program: string): Promise<Architecture | undefined> {
  await using file = await open(program);
  const header = Buffer.alloc(headerSize);
  const { bytesRead } = await file.read(header, 0, headerSize, 0);
  const architecture = architectureOfElf(header.subarray(0, bytesRead));
  if (architecture?.elfClass !== 2 || architecture.elfData !== 1) return undefined;
  const segmentsAt = Number(header.readBigUInt64LE(32));
  const segmentSize = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const at = segmentsAt + index * segmentSize;
    if (at + 4 > bytesRead) return undefined;
    if (header.readUInt32LE(at) === segmentTypeInterpreter) return undefined;
  }
  return architecture;
}
