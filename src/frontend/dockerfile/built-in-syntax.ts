import { ownValue } from '../../base/own-value.ts';
import { parseGoBool } from '../../base/text/go-bool.ts';
import { parseReference } from '../../oci/reference.ts';
import type { FrontendRequest } from '../frontend.ts';

/** The option of a request by which a client decides whether images of Docker's Dockerfile frontend are run, or stood in for. */
const builtInSyntaxOption = 'builtin-syntax';

const repositories: ReadonlySet<string> = new Set(['docker/dockerfile', 'docker/dockerfile-upstream']);

/** Whether the frontend that is built in does the work of this image, for a request. It does for images of Docker's Dockerfile frontend. */
export function standsInFor(
  image: string,
  { options, builtInSyntax = true }: Pick<FrontendRequest, 'options' | 'builtInSyntax'>,
): boolean {
  if (!(parseGoBool(ownValue(options, builtInSyntaxOption) ?? '') ?? builtInSyntax)) return false;
  try {
    const { domain, path } = parseReference(image);
    return domain === 'docker.io' && repositories.has(path) && !isReplaced(path, options);
  } catch {
    // Whoever looks for the image says what is wrong with its name.
    return false;
  }
}

/** Whether the client puts a tree of its own in the place of the image. */
function isReplaced(path: string, options: Readonly<Record<string, string>>): boolean {
  return Object.keys(options).some((name) => /^context:(.*?)(:|$)/.exec(name)?.[1] === path);
}
