import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { ClientTrees } from '../../frontend/dockerfile/to-llb/plan/client-trees.ts';
import { ImageResolver } from '../../frontend/dockerfile/to-llb/plan/image-resolver.ts';
import {
  type NamedContext,
  NamedContextTrees,
} from '../../frontend/dockerfile/to-llb/plan/named-context-trees.ts';
import { parseRequestOptions } from '../../frontend/dockerfile/to-llb/plan/request-options.ts';
import type { Bridge, FrontendRequest } from '../../frontend/frontend.ts';
import { image, type State } from '../../llb/llb.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { formatReference, parseReference, withDefaultTag, withDigest } from '../../oci/reference.ts';

/** A frontend that is an image. */
export interface FrontendImage {
  /** The name with the digest, as errors and progress say it. */
  readonly name: string;
  readonly tree: State;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly labels: ReadonlyMap<string, string>;
}

/** What is run where an image does not say. */
const defaultProgram = '/run';

/**
 * Looks a frontend up: what the request puts in its place by a `context:` option, or the image in its registry. Throws `invalid_argument` for what is
 * no name of an image, and for a config that makes no sense.
 */
export async function findFrontendImage(
  source: string,
  request: FrontendRequest,
  bridge: Bridge,
  signal: AbortSignal,
): Promise<FrontendImage> {
  const platform = bridge.workers[0]!.platforms[0]!;
  const named = await namedContext(source, platform, request, bridge, signal);
  if (named) return { name: source, tree: named.tree, ...programOf(named.config, source) };
  const wanted = formatReference(withDefaultTag(parseReference(source)));
  const { ref, digest, config } = await bridge.resolveImageConfig(wanted, {
    platform,
    resolveMode: 'default',
    logName: `resolve image config for docker-image://${wanted}`,
  });
  const name = formatReference(withDigest(parseReference(ref), digest));
  return { name, tree: image(name, { platform, recordType: 'frontend' }), ...programOf(config, name) };
}

async function namedContext(
  source: string,
  platform: Platform,
  request: FrontendRequest,
  bridge: Bridge,
  signal: AbortSignal,
): Promise<NamedContext | undefined> {
  // Other options are for the frontend to understand.
  const contexts = Object.entries(request.options).filter(([name]) =>
    /^(context|input-metadata):/.test(name),
  );
  if (contexts.length === 0) return undefined;
  const options = parseRequestOptions(Object.fromEntries(contexts));
  const trees = new ClientTrees(bridge, request, options, signal);
  const images = new ImageResolver(bridge);
  return await new NamedContextTrees(request, options, images, trees).find(source, platform, () => []);
}

/** `config`: that of the image, for a tree that has one. */
function programOf(config: Uint8Array | undefined, name: string): Omit<FrontendImage, 'name' | 'tree'> {
  const what = `image config of ${name}`;
  const { Entrypoint, Env, WorkingDir, Labels } = config ? parseImageConfig(config, what).config : {};
  return {
    args: listOf(Entrypoint, `${what}: the entrypoint`) ?? [defaultProgram],
    env: listOf(Env, `${what}: the environment`) ?? [],
    cwd: typeof WorkingDir === 'string' && WorkingDir !== '' ? WorkingDir : '/',
    labels: new Map(
      Object.entries(Labels ?? {}).filter((label): label is [string, string] => typeof label[1] === 'string'),
    ),
  };
}

function listOf(value: unknown, what: string): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value) && value.every((each) => typeof each === 'string' && !each.includes('\0'))) {
    return value.length > 0 ? value : undefined;
  }
  throw new KilnError('invalid_argument', `${what} is not a list of texts`);
}
