import { asKilnError } from '../../../../base/errors.ts';
import { formatPlatform, type Platform } from '../../../../base/platform.ts';
import { image, type State, scratch } from '../../../../llb/llb.ts';
import { formatReference, parseReference, withDefaultTag, withDigest } from '../../../../oci/reference.ts';
import { linesOf } from '../../dockerfile-error.ts';
import { noVariables } from '../../expand/expand-word.ts';
import { lintRules } from '../../lint/rules.ts';
import { didYouMean } from '../../nearest.ts';
import { baseImage, emptyImage, type ImageDraft } from '../values/image-draft.ts';
import { platformPrefix, stepPrefix } from '../values/step-name.ts';
import type { BuildInputs } from './build-inputs.ts';
import { type ConversionContext, PathSet } from './conversion-context.ts';
import type { ImageResolver } from './image-resolver.ts';
import type { TreeNode } from './stage-graph.ts';

/** What a node without a base among the stages starts from. */
export interface BaseTree {
  readonly tree: State;
  readonly image: ImageDraft;
  /** The image's config as it was resolved; undefined without an image. */
  readonly config: Uint8Array | undefined;
  readonly platform: Platform;
  readonly paths: PathSet;
}

export interface BaseTreeOptions {
  readonly context: ConversionContext;
  readonly inputs: BuildInputs;
  readonly images: ImageResolver;
  readonly buildPlatform: Platform;
  /** How the stage's first step is shown: `[build 1/4]`. */
  readonly display: { readonly name: string; readonly steps: number };
  /** Names for suggestions when there is no such image. */
  readonly stageNames: readonly string[];
}

/** Resolves `scratch`, a named context, or an image. Throws what resolving it throws, with the nearest stage's name. */
export async function resolveBaseTree(node: TreeNode, options: BaseTreeOptions): Promise<BaseTree> {
  const { context, inputs } = options;
  const platform = node.platform ?? context.targetPlatform;
  const paths = new PathSet();
  const replacement = node.stage?.from.name;
  if (replacement !== undefined) {
    const named = await inputs.namedContexts.find(replacement, platform, () => paths.list);
    if (named) {
      const own = named.image ?? { ...emptyImage(platform), config: {} };
      return { tree: named.tree, image: own, config: undefined, platform: own.platform, paths };
    }
  }
  if (node.baseName === 'scratch') {
    const target = context.targetPlatform;
    return { tree: scratch(), image: emptyImage(target), config: undefined, platform: target, paths };
  }
  const reference = formatReference(withDefaultTag(parseStageName(node.baseName)));
  const named = await inputs.namedContexts.find(reference, platform, () => paths.list);
  if (named) {
    const own = named.image ?? emptyImage(platform);
    return { tree: named.tree, image: own, config: named.config, platform, paths };
  }
  return { ...(await resolveImage(node, reference, platform, options)), paths };
}

function parseStageName(name: string) {
  try {
    return parseReference(name);
  } catch (error) {
    throw asKilnError(error).wrap(`failed to parse stage name ${JSON.stringify(name)}`);
  }
}

async function resolveImage(
  node: TreeNode,
  reference: string,
  wanted: Platform,
  { context, images, buildPlatform, display, stageNames }: BaseTreeOptions,
): Promise<Omit<BaseTree, 'paths'>> {
  const { resolveMode, multiPlatform, platforms } = context.options;
  const prefix = multiPlatform ? `[${formatPlatform(wanted)} internal]` : '[internal]';
  const resolved = await images
    .resolve(reference, {
      platform: wanted,
      resolveMode,
      logName: `${prefix} load metadata for ${reference}`,
    })
    .catch((error: unknown) => {
      throw asKilnError(error).wrap(
        node.baseName + didYouMean(node.baseName, [...stageNames, ...commonImages]),
      );
    });
  const own = baseImage(resolved.config, reference, wanted);
  // When no platform is asked for, the image may be for another one that this machine can run.
  const implicit = node.platform === undefined && platforms.length === 0;
  const platform = implicit && samePlatform(own.platform, buildPlatform) ? buildPlatform : wanted;
  const pinned = formatReference(withDigest(parseReference(resolved.ref), resolved.digest));
  if (!samePlatform(own.platform, platform)) {
    context.linter.report(
      lintRules.invalidBaseImagePlatform,
      node.range,
      `Base image ${node.baseName} was pulled with platform "${formatPlatform(own.platform)}", expected "${formatPlatform(platform)}" for current build`,
    );
  }
  const hasLayers = own.diffIds.length > 0 || own.history.some(({ empty_layer }) => !empty_layer);
  const shown = multiPlatform ? platformPrefix(platform, noVariables) : '';
  const tree = hasLayers
    ? image(pinned, {
        platform,
        resolveMode,
        name: `${stepPrefix(display.name, 1, display.steps, shown)}FROM ${pinned}`,
        ...(node.stage && {
          description: { 'com.docker.dockerfile.v1.command': node.stage.from.code },
        }),
        locations: [{ file: context.file, ranges: linesOf(node.range) }],
      })
    : scratch();
  return { tree, image: own, config: resolved.config, platform };
}

/** Images that a misspelt name is often meant to be. */
const commonImages = [
  'alpine',
  'busybox',
  'centos',
  'debian',
  'fedora',
  'golang',
  'node',
  'python',
  'ubuntu',
];

function samePlatform(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture;
}
