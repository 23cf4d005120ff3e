import type { Digest } from '../base/digest.ts';
import { formatPlatform, type Platform } from '../base/platform.ts';
import { withoutCredentials } from '../base/secrecy/without-credentials.ts';
import { formatReference, type ImageReference, repositoryName } from '../oci/reference.ts';

/** What a result was made of. Each list is sorted by what names its entries, and no two entries have the same name. */
export interface Capture {
  readonly images: readonly ImageMaterial[];
  /** Single blobs of repositories and layouts. */
  readonly blobs: readonly BlobMaterial[];
  readonly repositories: readonly GitMaterial[];
  readonly downloads: readonly HttpMaterial[];
  /** Names of directories of the client. */
  readonly locals: readonly string[];
  readonly secrets: readonly SecretUse[];
  readonly agents: readonly SecretUse[];
  /** Whether a step could reach the network. */
  readonly networkAccess: boolean;
  /** Whether nothing is missing from these lists. */
  readonly complete: boolean;
}

export interface ImageMaterial {
  readonly reference: ImageReference;
  readonly platform: Platform | undefined;
  readonly digest: Digest;
  /** Whether it is in a layout of the client. */
  readonly local: boolean;
}

export interface BlobMaterial {
  /** With the digest of the blob. */
  readonly reference: ImageReference;
  readonly digest: Digest;
  /** Whether it is in a layout of the client. */
  readonly local: boolean;
}

export interface GitMaterial {
  /** With the ref after `#`, if one was named; without credentials. */
  readonly url: string;
  /** SHA-1 or SHA-256. */
  readonly commit: string;
  /** The bundle that the commit came from. */
  readonly bundle?: BlobMaterial;
}

export interface HttpMaterial {
  readonly url: string;
  readonly digest: Digest;
}

/** A secret or an ssh agent. It is optional only if all that ask for it can do without. */
export interface SecretUse {
  readonly id: string;
  readonly optional: boolean;
}

/** Collects what several trees were made of. The first of equally named entries stays. */
export class CaptureBuilder {
  readonly #images = new Map<string, ImageMaterial>();
  readonly #blobs = new Map<string, BlobMaterial>();
  readonly #repositories = new Map<string, GitMaterial>();
  readonly #downloads = new Map<string, HttpMaterial>();
  readonly #locals = new Set<string>();
  readonly #secrets = new Map<string, SecretUse>();
  readonly #agents = new Map<string, SecretUse>();
  #networkAccess = false;
  #complete = true;

  addImage(image: ImageMaterial): void {
    const platform = image.platform && formatPlatform(image.platform);
    addFirst(
      this.#images,
      JSON.stringify([formatReference(image.reference), image.local, platform ?? null]),
      image,
    );
  }

  addBlob(blob: BlobMaterial): void {
    addFirst(this.#blobs, JSON.stringify([formatReference(blob.reference), blob.local]), blob);
  }

  addRepository({ url, ...rest }: GitMaterial): void {
    const shown = withoutCredentials(url);
    addFirst(this.#repositories, shown, { url: shown, ...rest });
  }

  addDownload({ url, digest }: HttpMaterial): void {
    const shown = withoutCredentials(url);
    addFirst(this.#downloads, shown, { url: shown, digest });
  }

  addLocal(name: string): void {
    this.#locals.add(name);
  }

  addSecret(use: SecretUse): void {
    addUse(this.#secrets, use);
  }

  addAgent({ id, optional }: SecretUse): void {
    addUse(this.#agents, { id: id || 'default', optional });
  }

  addNetworkAccess(): void {
    this.#networkAccess = true;
  }

  /** Says that the result was made of something that cannot be named. */
  addUnknown(): void {
    this.#complete = false;
  }

  add(capture: Capture): void {
    for (const image of capture.images) this.addImage(image);
    for (const blob of capture.blobs) this.addBlob(blob);
    for (const repository of capture.repositories) this.addRepository(repository);
    for (const download of capture.downloads) this.addDownload(download);
    for (const local of capture.locals) this.addLocal(local);
    for (const secret of capture.secrets) this.addSecret(secret);
    for (const agent of capture.agents) this.addAgent(agent);
    if (capture.networkAccess) this.addNetworkAccess();
    if (!capture.complete) this.addUnknown();
  }

  finish(): Capture {
    return {
      images: sorted(withoutPinnedTwins([...this.#images.values()]), ({ reference }) =>
        formatReference(reference),
      ),
      blobs: sorted([...this.#blobs.values()], ({ reference }) => formatReference(reference)),
      repositories: sorted([...this.#repositories.values()], ({ url }) => url),
      downloads: sorted([...this.#downloads.values()], ({ url }) => url),
      locals: sorted([...this.#locals], (name) => name),
      secrets: sorted([...this.#secrets.values()], ({ id }) => id),
      agents: sorted([...this.#agents.values()], ({ id }) => id),
      networkAccess: this.#networkAccess,
      complete: this.#complete,
    };
  }
}

function addFirst<T>(map: Map<string, T>, key: string, value: T): void {
  if (!map.has(key)) map.set(key, value);
}

function addUse(uses: Map<string, SecretUse>, { id, optional }: SecretUse): void {
  uses.set(id, { id, optional: optional && (uses.get(id)?.optional ?? true) });
}

/** Without images that are named by a digest when the same tag is there without one: frontends resolve a tag and use what it names. */
function withoutPinnedTwins(images: readonly ImageMaterial[]): readonly ImageMaterial[] {
  const tags = new Set(images.flatMap(({ reference }) => (reference.digest ? [] : [tagOf(reference)])));
  return images.filter(({ reference }) => !reference.digest || !tags.has(tagOf(reference)));
}

function tagOf(reference: ImageReference): string {
  return `${repositoryName(reference)}:${reference.tag ?? 'latest'}`;
}

function sorted<T>(list: readonly T[], nameOf: (value: T) => string): readonly T[] {
  return list
    .map((value) => ({ value, name: nameOf(value) }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
    .map(({ value }) => value);
}
