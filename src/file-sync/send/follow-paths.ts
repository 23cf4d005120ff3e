import { readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../../base/errors.ts';
import { compileGlob } from '../../base/pattern/pattern.ts';

/**
 * The paths that must be sent so that `paths` can be opened inside `root`: each path, and what every symbolic link on the
 * way leads to (absolute links start at `root`). The last name of a part may hold wildcards. Paths that do not exist
 * are kept: they may be patterns. `everything` when one of them is `root` itself.
 */
export function followPaths(root: string, paths: readonly string[]): readonly string[] | 'everything' {
  const resolved = new Set<string>();
  const pending = paths.map(inside);
  for (let wanted = pending.pop(); wanted !== undefined; wanted = pending.pop()) {
    const names = wanted.split('/').filter((name) => name !== '');
    let current = '';
    let followed = false;
    for (const [index, name] of names.entries()) {
      current = current === '' ? name : `${current}/${name}`;
      const targets = linkTargets(root, current);
      if (targets.length === 0) continue;
      followed = true;
      if (!resolved.has(current)) {
        resolved.add(current);
        const rest = names.slice(index + 1).join('/');
        for (const target of targets) pending.push(inside(`${target}/${rest}`));
      }
      break;
    }
    if (followed) continue;
    if (current === '') return 'everything';
    resolved.add(current);
  }
  return [...resolved].sort();
}

/** Cleaned, and relative to the root, which `..` cannot leave. */
function inside(text: string): string {
  return path.posix.join('/', text).slice(1);
}

/** The targets of the links that `name` stands for. Empty when it is not a link. */
function linkTargets(root: string, name: string): readonly string[] {
  const { dir, base } = path.posix.parse(name);
  if (!/[*?[]/.test(base.replace(/\\./g, ''))) {
    const target = linkTarget(root, name);
    return target === undefined ? [] : [target];
  }
  const matches = compileGlob(base);
  return entriesOf(path.posix.join(root, dir))
    .filter(matches)
    .flatMap((entry) => linkTarget(root, path.posix.join(dir, entry)) ?? []);
}

function linkTarget(root: string, name: string): string | undefined {
  try {
    const target = readlinkSync(path.posix.join(root, name));
    return path.posix.isAbsolute(target) ? target : path.posix.join('/', path.posix.dirname(name), target);
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

function entriesOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
}
