import type { Steps } from '../../base/async/in-turns.ts';
import { parseDigest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { ExecOp, Op, SourceOp } from '../../llb/op.ts';
import { type ImageReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { BlobMaterial, CaptureBuilder } from '../../provenance/capture.ts';
import { type BlobPlace, layoutBlobScheme, registryBlobScheme } from '../../source/blob/blob-place.ts';
import { blobPlaceOf } from '../../source/blob/blob-source.ts';
import { parseGitRequest } from '../../source/git/git-request.ts';
import { nameOf } from '../build-sources.ts';
import { SourceOperation, schemeOf } from '../operations/source-operation.ts';
import type { EdgeRef } from '../result/edge-ref.ts';

/** Notes what trees were made of, each vertex once, in a step of its own. They are solved. */
export function* captureTrees(
  trees: Iterable<EdgeRef>,
  platform: Platform,
  capture: CaptureBuilder,
): Steps<void> {
  const seen = new Set<string>();
  const skip = (digest: string) => seen.size === seen.add(digest).size;
  for (const tree of trees) {
    for (const { digest, operation } of tree.operations(skip)) {
      yield;
      const { op } = tree.graph.vertices.get(digest)!;
      switch (op.action.kind) {
        case 'source': {
          const pin = operation instanceof SourceOperation ? operation.pin : undefined;
          captureSource(op.action, op, pin, platform, capture);
          break;
        }
        case 'exec':
          captureStep(op.action, capture);
          break;
        case 'build':
          capture.addUnknown();
          break;
        default:
          break;
      }
    }
  }
}

function captureStep({ mounts, secretEnv, network }: ExecOp, capture: CaptureBuilder): void {
  for (const { type } of mounts) {
    if (type.kind === 'secret') capture.addSecret(type);
    if (type.kind === 'ssh') capture.addAgent(type);
  }
  for (const secret of secretEnv) capture.addSecret(secret);
  if (network !== 'none') capture.addNetworkAccess();
}

/** `pin`: what the source was resolved to. Without it the source is one that cannot be named, unless it never can. */
function captureSource(
  source: SourceOp,
  { platform }: Pick<Op, 'platform'>,
  pin: string | undefined,
  defaultPlatform: Platform,
  capture: CaptureBuilder,
): void {
  const scheme = schemeOf(source);
  if (scheme === 'local') {
    capture.addLocal(nameOf(source));
    return;
  }
  if (pin === undefined) {
    capture.addUnknown();
    return;
  }
  switch (scheme) {
    case 'docker-image':
    case 'oci-layout':
      capture.addImage({
        reference: imageReference(source),
        platform: platform ?? defaultPlatform,
        digest: parseDigest(pin),
        local: scheme === 'oci-layout',
      });
      break;
    case registryBlobScheme:
    case layoutBlobScheme:
      capture.addBlob(blobMaterial(blobPlaceOf(source)));
      break;
    case 'http':
    case 'https':
      capture.addDownload({ url: source.identifier, digest: parseDigest(pin) });
      break;
    case 'git':
      captureRepository(source, pin, capture);
      break;
    default:
      capture.addUnknown();
  }
}

function captureRepository(source: SourceOp, commit: string, capture: CaptureBuilder): void {
  const { remote, ref, bundle, authTokenSecret, authHeaderSecret, sshAgent } = parseGitRequest(source);
  const url = ref === '' ? remote : `${remote}#${ref}`;
  capture.addRepository({ url, commit, bundle: bundle && blobMaterial(bundle) });
  for (const id of [authTokenSecret, authHeaderSecret]) {
    if (id !== '') capture.addSecret({ id, optional: true });
  }
  if (sshAgent !== '') capture.addAgent({ id: sshAgent, optional: true });
}

/** The name of an image. One in a layout can be a name that no registry has. */
export function imageReference(source: SourceOp): ImageReference {
  const name = nameOf(source);
  return schemeOf(source) === 'docker-image' ? withDefaultTag(parseReference(name)) : layoutReference(name);
}

function layoutReference(name: string): ImageReference {
  try {
    return parseReference(name);
  } catch {
    const at = name.lastIndexOf('@');
    return {
      domain: 'docker.io',
      path: `library/${name.slice(0, at)}`,
      digest: parseDigest(name.slice(at + 1)),
    };
  }
}

function blobMaterial(place: BlobPlace): BlobMaterial {
  const { digest } = place;
  return place.kind === 'registry'
    ? { reference: place.reference, digest, local: false }
    : { reference: layoutReference(`${place.name}@${digest}`), digest, local: true };
}
