import { type Digest, isDigest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';

/**
 * An image reference in its full form, as `distribution/reference` normalises one: `domain` is always there
 * (`docker.io` by default) and official images have their `library/` in `path`.
 */
export interface ImageReference {
  readonly domain: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const defaultDomain = 'docker.io';
const legacyDefaultDomain = 'index.docker.io';
const officialPrefix = 'library/';
const maxNameLength = 255;

const domainLabel = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainForm = new RegExp(`^(?:${domainLabel}(?:\\.${domainLabel})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const pathComponent = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const pathForm = new RegExp(`^${pathComponent}(?:/${pathComponent})*$`);
const tagForm = /^\w[\w.-]{0,127}$/;

/**
 * Parses what people write: `alpine`, `user/app:1.0`, `localhost:5000/app@sha256:…`. No tag is added (see
 * `withDefaultTag`). Throws `invalid_argument`, quoting the reference and what is wrong with it.
 */
export function parseReference(text: string): ImageReference {
  const invalid = (reason: string, hint?: string) =>
    new KilnError('invalid_argument', `invalid image reference ${JSON.stringify(text)}: ${reason}`, { hint });
  if (text === '') throw invalid('it is empty');
  if (/^[a-f0-9]{64}$/.test(text)) throw invalid('a bare image id is not a name');

  const at = text.indexOf('@');
  const digest = at >= 0 ? text.slice(at + 1) : undefined;
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(`${JSON.stringify(digest)} is not a digest, want sha256:<64 hex digits>`);
  }
  const named = at >= 0 ? text.slice(0, at) : text;

  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const tag = hasTag ? named.slice(colon + 1) : undefined;
  if (tag !== undefined && !tagForm.test(tag)) throw invalid(`${JSON.stringify(tag)} is not a tag`);
  const name = hasTag ? named.slice(0, colon) : named;

  const { domain, path } = splitDomain(name);
  if (!domainForm.test(domain)) throw invalid(`${JSON.stringify(domain)} is not a registry host`);
  if (!pathForm.test(path)) {
    const lower = path.toLowerCase();
    if (lower === path || !pathForm.test(lower)) {
      throw invalid(`${JSON.stringify(path)} is not a repository name`);
    }
    const written = name.endsWith(path) ? path : name;
    const start = name.length - written.length;
    const usable = text.slice(0, start) + written.toLowerCase() + text.slice(name.length);
    throw invalid('the repository name must be lower-case', `write it as ${usable}`);
  }
  if (domain.length + 1 + path.length > maxNameLength) {
    throw invalid(`the name is longer than ${maxNameLength} characters`);
  }
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** The first component is a host when it looks like one: a dot, a port, `localhost`, or an upper-case letter. */
function splitDomain(name: string): { readonly domain: string; readonly path: string } {
  const slash = name.indexOf('/');
  const first = slash < 0 ? '' : name.slice(0, slash);
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const domain = !isHost || first === legacyDefaultDomain ? defaultDomain : first;
  const path = isHost ? name.slice(slash + 1) : name;
  return { domain, path: domain === defaultDomain && !path.includes('/') ? officialPrefix + path : path };
}

/** `domain/path`. */
export function repositoryName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The canonical text: `docker.io/library/alpine:latest@sha256:…`. */
export function formatReference(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${repositoryName(reference)}${tag}${digest}`;
}

/** The short text that people use: `alpine:latest` for `docker.io/library/alpine:latest`. */
export function familiarReference(reference: ImageReference): string {
  const full = formatReference(reference);
  if (reference.domain !== defaultDomain) return full;
  const short = full.slice(defaultDomain.length + 1);
  const official =
    reference.path.startsWith(officialPrefix) && reference.path.indexOf('/', officialPrefix.length) < 0;
  return official ? short.slice(officialPrefix.length) : short;
}

/** Adds `:latest` when there is neither tag nor digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === undefined && reference.digest === undefined
    ? { ...reference, tag: 'latest' }
    : reference;
}

export function withDigest(reference: ImageReference, digest: Digest): ImageReference {
  return { ...reference, digest };
}
