import { readFile } from 'node:fs/promises';

/** What each level of x86-64 adds (the psABI's micro-architecture levels), by the names of `/proc/cpuinfo`. */
const levels: readonly (readonly string[])[] = [
  [],
  ['cx16', 'lahf_lm', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3'],
  ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave'],
  ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl'],
];

/** The highest level of x86-64 whose instructions a processor has, 1 to 4. `text` is `/proc/cpuinfo`. */
export function amd64Level(text: string): number {
  const [, line = ''] = /^flags\s*:(.*)$/m.exec(text) ?? [];
  const flags = new Set(line.split(' '));
  const missing = levels.findIndex((wanted) => !wanted.every((flag) => flags.has(flag)));
  return missing === -1 ? levels.length : missing;
}

/** That of this machine. */
export async function ownAmd64Level(): Promise<number> {
  return amd64Level(await readFile('/proc/cpuinfo', 'utf8'));
}
