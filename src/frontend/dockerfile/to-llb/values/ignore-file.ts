import { cleanPath } from '../../../../llb/clean-path.ts';

/** The patterns of a `.dockerignore`: comments and empty lines left out, paths cleaned and relative to the context. */
export function parseIgnoreFile(data: Uint8Array): string[] {
  const patterns: string[] = [];
  for (const line of Buffer.from(data)
    .toString('utf8')
    .replace(/^\uFEFF/, '')
    .split('\n')) {
    if (line.startsWith('#')) continue;
    const trimmed = line.trim();
    if (trimmed === '') continue;
    const negated = trimmed.startsWith('!');
    const written = negated ? trimmed.slice(1).trim() : trimmed;
    const clean = written === '' ? '' : cleanPath(written);
    const relative = clean.length > 1 && clean.startsWith('/') ? clean.slice(1) : clean;
    patterns.push(negated ? `!${relative}` : relative);
  }
  return patterns;
}
