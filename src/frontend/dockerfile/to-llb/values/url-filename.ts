import { posix } from 'node:path';

/** What the file at a URL is called in a build, whatever its server calls it. */
export function urlFilename(url: string): string {
  if (!URL.canParse(url)) return '__unnamed__';
  let { pathname } = new URL(url);
  try {
    pathname = decodeURIComponent(pathname);
  } catch {
    // A name that is not validly encoded is taken as it is.
  }
  return posix.basename(pathname) || '__unnamed__';
}
