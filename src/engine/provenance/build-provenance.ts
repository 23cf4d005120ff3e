import { randomBytes } from 'node:crypto';
import type { Steps } from '../../base/async/in-turns.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { formatReference } from '../../oci/reference.ts';
import { type Capture, CaptureBuilder, type ImageMaterial } from '../../provenance/capture.ts';
import type { BuildFacts, ProvenanceAccount } from '../../provenance/provenance-account.ts';
import { EdgeRef } from '../result/edge-ref.ts';
import type { PlatformRef } from '../result/result-platforms.ts';
import { captureTrees } from './capture-trees.ts';
import type { LayerFinder, ProvenanceServices } from './provenance-services.ts';
import type { RequestNode } from './request-node.ts';
import { stepLayers } from './step-layers.ts';

/** The facts of a build that starts. */
export function buildFacts(
  { platform, dockerfileVersion, environment }: ProvenanceServices,
  compatibilityVersion: number,
): BuildFacts {
  const startedAt = new Date();
  let finishedAt: Date | undefined;
  return {
    platform,
    dockerfileVersion,
    environment,
    compatibilityVersion,
    invocationId: randomBytes(16).toString('hex'),
    startedAt,
    finishedAt() {
      // Ends after it began, also within a millisecond.
      finishedAt ??= new Date(Math.max(Date.now(), startedAt.getTime() + 1));
      return finishedAt;
    },
  };
}

/** How the results of a build were made, by the keys of their platforms; none for empty trees. They are solved, and the build has not ended. */
export function* resultAccounts(
  platforms: readonly PlatformRef[],
  root: RequestNode,
  build: BuildFacts,
  finder: LayerFinder,
): Steps<ReadonlyMap<string, ProvenanceAccount>> {
  const results = new Set(platforms.map(({ ref }) => ref));
  const origins = new Map([...root.nodes()].flatMap((node) => node.refs.map((ref) => [ref, node] as const)));
  const accounts = new Map<string, ProvenanceAccount>();
  const others = new Map<RequestNode, OtherWork>();
  for (const result of platforms) {
    const { ref, key } = result;
    if (!(ref instanceof EdgeRef)) continue;
    const node = origins.get(ref) ?? root;
    const other = others.get(node) ?? (yield* otherWork(node, results, build.platform));
    others.set(node, other);
    const capture = new CaptureBuilder();
    yield* captureTrees([ref], build.platform, capture);
    capture.add(other.capture);
    const images = key === '' ? other.images : imagesFor(result.platform, other.images, platforms);
    for (const image of images) capture.addImage(image);
    accounts.set(key, {
      build,
      capture: capture.finish(),
      request: node.request,
      root: node.request && node.root?.identity !== node.request.identity ? node.root : undefined,
      graph: ref.graph,
      layers: yield* stepLayers(ref, finder),
    });
  }
  return accounts;
}

interface OtherWork {
  readonly capture: Capture;
  readonly images: readonly ImageMaterial[];
}

/** What a request looked at besides its results: the Dockerfile, images whose configs it read. */
function* otherWork(node: RequestNode, results: ReadonlySet<unknown>, platform: Platform): Steps<OtherWork> {
  const nodes = [...node.nodes()];
  const trees = nodes.flatMap(({ refs }) => refs.filter((ref) => ref.solved && !results.has(ref)));
  const capture = new CaptureBuilder();
  yield* captureTrees(trees, platform, capture);
  return { capture: capture.finish(), images: nodes.flatMap(({ images }) => images) };
}

/** An image that was looked up for each platform of the result counts for a platform if it was looked up for it. */
function imagesFor(
  platform: Platform,
  images: readonly ImageMaterial[],
  platforms: readonly PlatformRef[],
): readonly ImageMaterial[] {
  const wanted = platforms.map((each) => plain(each.platform));
  const found = new Map<string, Set<string>>();
  for (const image of images) {
    if (!image.platform) continue;
    const name = formatReference(image.reference);
    found.set(name, (found.get(name) ?? new Set()).add(plain(image.platform)));
  }
  return images.filter((image) => {
    const names = found.get(formatReference(image.reference));
    if (!image.platform || !names || !wanted.every((name) => names.has(name))) return true;
    return image.platform.os === platform.os && image.platform.architecture === platform.architecture;
  });
}

/** Without the version of the operating system. */
function plain(platform: Platform): string {
  return formatPlatform({ ...platform, osVersion: undefined });
}
