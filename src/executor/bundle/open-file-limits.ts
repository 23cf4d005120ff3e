import { readFileSync } from 'node:fs';

/** As a process that has no other limits gets them: few to begin with, since some programs visit all of them. */
const usualSoftLimit = 1024;

/** Limits of setrlimit(2); a negative number means no limit. */
export interface OpenFileLimits {
  readonly soft: number;
  readonly hard: number;
}

/**
 * This process's limits for open files as it was started with them. Node raises its own soft limit to the hard one, and children
 * would inherit that: `bin/kiln` and `bin/kilnd` note before what it was.
 */
export function openFileLimits(
  noted = process.env.KILN_SOFT_OPEN_FILES,
  limits = readFileSync('/proc/self/limits', 'utf8'),
): OpenFileLimits {
  const hard = limitOf(/^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1]) ?? usualSoftLimit;
  const soft = limitOf(noted) ?? usualSoftLimit;
  return { soft: hard >= 0 && (soft < 0 || soft > hard) ? hard : soft, hard };
}

function limitOf(text: string | undefined): number | undefined {
  if (text === 'unlimited') return -1;
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}
