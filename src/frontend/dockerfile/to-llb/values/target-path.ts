import { KilnError } from '../../../../base/errors.ts';
import { cleanPath, joinPath } from '../../../../llb/clean-path.ts';

/**
 * Paths inside the image that is built, by its operating system. They are written with slashes and without a drive everywhere but
 * in the image config. Windows images have files on `C:` only.
 */

export function toSlash(path: string, os: string): string {
  return os === 'windows' ? path.replaceAll('\\', '/') : path;
}

/**
 * The path, below `parent` if it is relative; absolute and with slashes. An absolute path is not cleaned, nor is the parent where
 * `path` is empty. With `keepSlash`, a relative path keeps its final slash or `/.`.
 */
export function resolveTargetPath(parent: string, path: string, os: string, keepSlash: boolean): string {
  const original = toSlash(path, os);
  const above = withoutDrive(toSlash(parent, os) || '/', os);
  const base = above.startsWith('/') ? above : joinPath('/', above);
  const own = withoutDrive(original === '' ? base : original, os, keepSlash);
  let result = own.startsWith('/') ? own : joinPath(base, own);
  if (keepSlash) {
    if (original.endsWith('/') && !result.endsWith('/')) result += '/';
    else if (original.endsWith('/.')) result = result === '/' ? '/.' : `${result}/.`;
  }
  return result;
}

/** A new working directory as the image config has it, with the system's separators. */
export function resolveWorkdir(current: string, path: string, os: string): string {
  const resolved = resolveTargetPath(current, path, os, false);
  return os === 'windows' ? resolved.replaceAll('/', '\\') : resolved;
}

export function isAbsoluteTargetPath(path: string, os: string): boolean {
  if (os !== 'windows') return path.startsWith('/');
  try {
    return withoutDrive(path, os).startsWith('/');
  } catch {
    return false;
  }
}

/** On Windows cleaned, with slashes and without its `C:`. Throws `invalid_argument` for another drive or a share. */
export function withoutDrive(path: string, os: string, keepSlash = false): string {
  if (os !== 'windows') return path;
  const refuse = (why: string) =>
    new KilnError('invalid_argument', `${why}: ${JSON.stringify(path)}`, {
      hint: 'use a path on C:, such as C:\\app',
    });
  if (/^[^:]:$/.test(path)) throw refuse('no relative path specified');
  if (toSlash(path, os).startsWith('//')) throw refuse('UNC paths are not supported');
  const [drive = '', rest] = path.split(/:(.*)/s);
  if (rest !== undefined && drive.toLowerCase() !== 'c')
    throw refuse('the path is not on the system drive (C:)');
  const slashed = toSlash(rest ?? path, os);
  const clean = cleanPath(slashed);
  return keepSlash && clean.length > 1 && slashed.endsWith('/') ? `${clean}/` : clean;
}
