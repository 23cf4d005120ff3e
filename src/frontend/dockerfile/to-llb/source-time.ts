import { posix } from 'node:path';
import type { Digest } from '../../../base/digest.ts';
import { files, git, http, type State, scratch } from '../../../llb/llb.ts';
import type { FileStat, SolvedRef } from '../../frontend.ts';
import { type GitRef, isHttpUrl, parseGitRef } from './git-ref.ts';
import { urlFilename } from './url-filename.ts';

/** A tree that comes from a repository or a URL, which both say when they last changed. */
export type RemoteSource =
  | { readonly kind: 'git'; readonly ref: GitRef }
  | { readonly kind: 'http'; readonly url: string; readonly checksum?: Digest };

/** Undefined for what is neither. Throws `invalid_argument` for a repository with a wrong query. */
export function parseRemoteSource(text: string): RemoteSource | undefined {
  const ref = parseGitRef(text);
  if (ref) return { kind: 'git', ref };
  return isHttpUrl(text) ? { kind: 'http', url: text } : undefined;
}

/** The tree of a solved definition. */
export type SolveTree = (tree: State) => Promise<SolvedRef | undefined>;

/**
 * When a source changed, in seconds since 1970: the commit's time, what the server says of the file, or the latest time in an
 * archive. Undefined when nothing says it.
 */
export async function sourceTime(
  source: RemoteSource,
  solve: SolveTree,
  signal: AbortSignal,
): Promise<number | undefined> {
  switch (source.kind) {
    case 'git': {
      const { remote, options } = source.ref;
      const tree = await solve(git(remote, { ...options, mtime: 'commit', keepGitDir: false }));
      for await (const { modTime } of filesOf(tree, '/', signal)) return seconds(modTime);
      return undefined;
    }
    case 'http': {
      const { url, checksum } = source;
      const filename = urlFilename(url);
      const file = http(url, { filename, ...(checksum && { checksum }) });
      const stat = await (await solve(file))?.statFile(filename, signal);
      if (!stat || stat.modTime > 0n) return stat && seconds(stat.modTime);
      return latestTime(await solve(unpacked(file, filename)), filename, signal);
    }
  }
}

function unpacked(file: State, filename: string): State {
  return scratch().file(files().copy(file, `/${filename}`, '/', { unpackArchive: true }));
}

/** Undefined when it holds no more than the file itself, which was no archive. */
async function latestTime(
  tree: SolvedRef | undefined,
  filename: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  let latest = 0n;
  for await (const { path, modTime } of filesOf(tree, '/', signal)) {
    if (path !== `/${filename}` && modTime > latest) latest = modTime;
  }
  return latest > 0n ? seconds(latest) : undefined;
}

/** Go's bit of a directory, and those of everything that is not a regular file. */
const directoryBit = 0x8000_0000;
const typeBits = 0x8f28_0000;

async function* filesOf(
  tree: SolvedRef | undefined,
  directory: string,
  signal: AbortSignal,
): AsyncGenerator<FileStat> {
  for (const stat of (await tree?.readDir(directory, undefined, signal)) ?? []) {
    const path = posix.join(directory, posix.basename(stat.path));
    if ((stat.mode & directoryBit) !== 0) yield* filesOf(tree, path, signal);
    else if ((stat.mode & typeBits) === 0) yield { ...stat, path };
  }
}

function seconds(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000_000_000n);
}
