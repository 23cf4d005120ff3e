import { parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { goJson } from '../../base/json/go-json.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { joinPath } from '../clean-path.ts';
import { parseGitUrl } from '../git-url.ts';
import type { Definition } from '../op.ts';
import { type Capability, capabilities } from '../vertex-capabilities.ts';
import { unmarshalDefinition } from '../wire/unmarshal-definition.ts';
import { State } from './state.ts';
import { type InputNames, opVertex, type VertexOptions } from './vertex.ts';

/** The empty tree. */
export function scratch(): State {
  return State.empty;
}

export interface ImageOptions extends VertexOptions {
  /** `pull` asks the registry even if the image is known, `local` prefers a local image. */
  readonly resolveMode?: 'default' | 'pull' | 'local';
  /** Unpack only this many layers from the bottom. */
  readonly layerLimit?: number;
  /** Fail unless the image has this digest. */
  readonly checksum?: string;
  /** What its tree is listed as among what takes up disk space. */
  readonly recordType?: 'frontend' | 'internal';
}

/**
 * An image in a registry. The name may be short: `alpine` is `docker.io/library/alpine:latest`. Throws `invalid_argument` for what is no name.
 *
 * @example
 * ```ts
 * import { image, toGraph } from 'kiln/llb';
 *
 * const { vertices } = toGraph(image('alpine', { platform: { os: 'linux', architecture: 'arm64' } }));
 * const [vertex] = vertices.values();
 * assert.ok(vertex?.op.action.kind === 'source');
 * assert.equal(vertex.op.action.identifier, 'docker-image://docker.io/library/alpine:latest');
 * ```
 */
export function image(ref: string, options: ImageOptions = {}): State {
  const needs: Capability[] = [capabilities.image];
  const attrs: Record<string, string> = {};
  if (options.recordType) attrs['image.recordtype'] = options.recordType;
  if (options.resolveMode && options.resolveMode !== 'default') {
    attrs['image.resolvemode'] = options.resolveMode;
    if (options.resolveMode === 'pull') needs.push(capabilities.imageResolveMode);
  }
  if (options.layerLimit !== undefined) {
    attrs['image.layerlimit'] = String(options.layerLimit);
    needs.push(capabilities.imageLayerLimit);
  }
  if (options.checksum) {
    attrs['image.checksum'] = parseDigest(options.checksum);
    needs.push(capabilities.imageChecksum);
  }
  const name = formatReference(withDefaultTag(parseReference(ref)));
  return source(`docker-image://${name}`, attrs, needs, options);
}

export interface OciLayoutOptions extends VertexOptions {
  /** The session whose client has the layout; any session of the build by default. */
  readonly sessionId?: string;
  /** The client's name for the layout. */
  readonly storeId?: string;
  readonly layerLimit?: number;
}

/** An image in an OCI layout on the client: `name@sha256:…`. BuildKit wants a name with a host, `example.com/name@sha256:…`. */
export function ociLayout(ref: string, options: OciLayoutOptions = {}): State {
  const attrs: Record<string, string> = {};
  if (options.sessionId) attrs['oci.session'] = options.sessionId;
  if (options.storeId) attrs['oci.store'] = options.storeId;
  if (options.layerLimit !== undefined) attrs['oci.layerlimit'] = String(options.layerLimit);
  return source(`oci-layout://${ref}`, attrs, [capabilities.ociLayout], options);
}

export interface LocalOptions extends VertexOptions {
  readonly sessionId?: string;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Only these paths, their parents, and what symbolic links on the way lead to. */
  readonly followPaths?: readonly string[];
  /** Transfers with the same hint start from each other's files. */
  readonly sharedKeyHint?: string;
  /** `none` sends every file again; `metadata` (the default) those whose metadata changed. */
  readonly differ?: 'none' | 'metadata';
  /** Refuse daemons that do not know `differ`. */
  readonly requireDiffer?: boolean;
  /** Bring only what is known about the files, and the contents of those that match one of these patterns. */
  readonly metadataOnly?: { readonly except?: readonly string[] };
}

/**
 * A directory of the client, by the name the client serves it under.
 *
 * @example
 * ```ts
 * import { files, local, scratch } from 'kiln/llb';
 *
 * const context = local('context', { excludePatterns: ['node_modules', '.git'] });
 * const sources = scratch().file(files().copy(context, '/', '/', { dirCopyContents: true }));
 * assert.equal(sources.settings.dir, '/');
 * ```
 */
export function local(name: string, options: LocalOptions = {}): State {
  const needs: Capability[] = [];
  const attrs: Record<string, string> = {};
  const list = (key: string, values: readonly string[] | undefined, need: Capability) => {
    if (!values?.length) return;
    attrs[key] = goJson(values);
    needs.push(need);
  };
  if (options.sessionId) {
    attrs['local.session'] = options.sessionId;
    needs.push(capabilities.localSessionId);
  }
  list('local.includepattern', options.includePatterns, capabilities.localIncludePatterns);
  list('local.followpaths', options.followPaths, capabilities.localFollowPaths);
  list('local.excludepatterns', options.excludePatterns, capabilities.localExcludePatterns);
  if (options.sharedKeyHint) {
    attrs['local.sharedkeyhint'] = options.sharedKeyHint;
    needs.push(capabilities.localSharedKeyHint);
  }
  if (options.differ) {
    attrs['local.differ'] = options.differ;
    if (options.requireDiffer) needs.push(capabilities.localDiffer);
  }
  if (options.metadataOnly) {
    const { except = [] } = options.metadataOnly;
    attrs['local.metadatatransfer'] = 'true';
    if (except.length > 0) attrs['local.metadatatransferexclude'] = goJson(except);
    needs.push(capabilities.localMetadataTransfer);
  }
  needs.push(capabilities.local);
  if (!options.sessionId) needs.push(capabilities.localUnique);
  const attrsOf = ({ localUniqueId }: InputNames) =>
    options.sessionId ? attrs : { ...attrs, 'local.unique': localUniqueId };
  return source(`local://${name}`, attrsOf, needs, options);
}

export interface GitSignatureOptions {
  readonly keys: string;
  /** Whether a key of OpenPGP has to be valid now, and not only when it signed. */
  readonly rejectExpiredKeys?: boolean;
  /** Whether only the signature of an annotated tag counts. */
  readonly requireSignedTag?: boolean;
  /** Whether only that of the commit counts. */
  readonly ignoreSignedTag?: boolean;
}

export interface GitOptions extends VertexOptions {
  /** Branch, tag or commit; the remote's default branch if empty. */
  readonly ref?: string;
  readonly subdir?: string;
  readonly keepGitDir?: boolean;
  /** Fail unless the commit starts with this. */
  readonly checksum?: string;
  readonly skipSubmodules?: boolean;
  /** `commit` gives files the time of the commit. */
  readonly mtime?: 'checkout' | 'commit';
  /** Trust `checksum` as the commit to fetch, without asking the remote what `ref` is. */
  readonly fetchByCommit?: boolean;
  /** Fail unless the tag or the commit is signed by one of these keys, of OpenPGP (armoured) or SSH. */
  readonly signature?: GitSignatureOptions;
  /** Objects come from this bundle, `docker-image+blob://…` or `oci-layout+blob://…`, instead of the remote; needs `checksum`. */
  readonly bundle?: string;
  /** Where clients have the layout that `bundle` is in. */
  readonly bundleStore?: Pick<OciLayoutOptions, 'sessionId' | 'storeId'>;
  /** Gives one file, `bundle`: a bundle of the commit with its history. */
  readonly checkoutBundle?: boolean;
  /** Names of the secrets with credentials for HTTP. */
  readonly authTokenSecret?: string;
  readonly authHeaderSecret?: string;
  readonly knownSshHosts?: string;
  /** The id of the SSH agent to use. */
  readonly sshSocket?: string;
}

/**
 * A checkout of a git repository. `remote` is a URL, or `user@host:path`; without a protocol it means https. Over SSH name the `knownSshHosts`:
 * nothing is asked of the network when a graph is made.
 *
 * @example
 * ```ts
 * import { git, toGraph } from 'kiln/llb';
 *
 * const { vertices } = toGraph(git('github.com/moby/buildkit', { ref: 'v0.32.2', subdir: 'docs' }));
 * const [vertex] = vertices.values();
 * assert.ok(vertex?.op.action.kind === 'source');
 * assert.equal(vertex.op.action.identifier, 'git://github.com/moby/buildkit#v0.32.2:docs');
 * ```
 */
export function git(remote: string, options: GitOptions = {}): State {
  const url = parseGitUrl(remote) ?? parseGitUrl(`https://${remote}`);
  const needs: Capability[] = [capabilities.gitFullUrl];
  const attrs: Record<string, string> = { 'git.fullurl': url?.remote ?? remote };
  const flag = (on: boolean | undefined, key: string, need: Capability, value = 'true') => {
    if (!on) return;
    attrs[key] = value;
    needs.push(need);
  };
  flag(options.keepGitDir, 'git.keepgitdir', capabilities.gitKeepDir);
  attrs['git.authtokensecret'] = options.authTokenSecret ?? 'GIT_AUTH_TOKEN';
  attrs['git.authheadersecret'] = options.authHeaderSecret ?? 'GIT_AUTH_HEADER';
  if (options.authTokenSecret || options.authHeaderSecret) needs.push(capabilities.gitHttpAuth);
  if (url?.scheme === 'ssh') {
    if (options.knownSshHosts) attrs['git.knownsshhosts'] = options.knownSshHosts;
    attrs['git.mountsshsock'] = options.sshSocket || 'default';
    needs.push(capabilities.gitKnownSshHosts, capabilities.gitMountSshSock);
  }
  flag(Boolean(options.checksum), 'git.checksum', capabilities.gitChecksum, options.checksum);
  flag(options.skipSubmodules, 'git.skipsubmodules', capabilities.gitSkipSubmodules);
  flag(Boolean(options.mtime), 'git.mtime', capabilities.gitMtime, options.mtime);
  flag(options.fetchByCommit, 'git.fetchbycommit', capabilities.gitFetchByCommit);
  const { signature } = options;
  flag(Boolean(signature), 'git.sig.pubkey', capabilities.gitSignature, signature?.keys);
  if (signature?.rejectExpiredKeys) attrs['git.sig.rejectexpired'] = 'true';
  if (signature?.requireSignedTag) attrs['git.sig.requiresignedtag'] = 'true';
  if (signature?.ignoreSignedTag) attrs['git.sig.ignoresignedtag'] = 'true';
  flag(Boolean(options.bundle), 'git.bundle', capabilities.gitBundle, options.bundle);
  flag(options.checkoutBundle, 'git.checkoutbundle', capabilities.gitCheckoutBundle);
  const { sessionId, storeId } = options.bundleStore ?? {};
  if (sessionId) attrs['oci.session'] = sessionId;
  if (storeId) attrs['oci.store'] = storeId;
  needs.push(capabilities.git);
  const { ref = '', subdir = '' } = options;
  const fragment = ref || subdir ? `#${ref}${subdir ? `:${subdir}` : ''}` : '';
  // Without its protocol, so that a repository is the same one over https and ssh.
  const id = url ? url.host + joinPath('/', url.path) + fragment : remote;
  return source(`git://${id}`, attrs, needs, options);
}

export interface FileOptions extends VertexOptions {
  /** What the file is called in the tree; its name in the URL, or the digest of a blob, if empty. */
  readonly filename?: string;
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** A tree with one file, a blob of a repository as it is. `ref` has a digest and no tag: `alpine@sha256:…`. Throws `invalid_argument`. */
export function imageBlob(ref: string, options: FileOptions = {}): State {
  const { attrs } = fileAttributes(options);
  return source(`docker-image+blob://${blobName(ref)}`, attrs, [capabilities.imageBlob], options);
}

export interface LayoutBlobOptions extends FileOptions, Pick<OciLayoutOptions, 'sessionId' | 'storeId'> {}

/** A tree with one file, a blob of an OCI layout on the client as it is: `name@sha256:…`. Throws `invalid_argument`. */
export function layoutBlob(ref: string, options: LayoutBlobOptions = {}): State {
  const { attrs } = fileAttributes(options);
  if (options.sessionId) attrs['oci.session'] = options.sessionId;
  if (options.storeId) attrs['oci.store'] = options.storeId;
  return source(`oci-layout+blob://${blobName(ref)}`, attrs, [capabilities.imageBlob], options);
}

function blobName(ref: string): string {
  const reference = parseReference(ref);
  if (reference.digest && reference.tag === undefined) return formatReference(reference);
  throw new KilnError(
    'invalid_argument',
    `invalid name of a blob ${JSON.stringify(ref)}: it needs a digest, and no tag`,
    { hint: 'write it as name@sha256:…' },
  );
}

/** What says so about the only file of a tree, and what a download needs of the daemon for that. */
function fileAttributes({ filename, mode, uid, gid }: FileOptions) {
  const needs: Capability[] = [];
  const attrs: Record<string, string> = {};
  if (filename) attrs['http.filename'] = filename;
  if (mode) {
    attrs['http.perm'] = `0${mode.toString(8)}`;
    needs.push(capabilities.httpPerm);
  }
  if (uid) attrs['http.uid'] = String(uid);
  if (gid) attrs['http.gid'] = String(gid);
  if (uid || gid) needs.push(capabilities.httpUidGid);
  return { attrs, needs };
}

export interface HttpOptions extends FileOptions {
  /** Fail unless the file has this digest, made by SHA-256, SHA-384 or SHA-512. */
  readonly checksum?: string;
  /** Fail unless the file has this detached signature of one of the keys, all armoured. */
  readonly signature?: { readonly keys: string; readonly signature: string };
  readonly authHeaderSecret?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A tree with one file that is downloaded.
 *
 * @example
 * ```ts
 * import { http } from 'kiln/llb';
 *
 * const script = http('https://example.com/install.sh', { filename: 'install', mode: 0o755 });
 * assert.notEqual(script.output, undefined);
 * ```
 */
export function http(url: string, options: HttpOptions = {}): State {
  const { attrs, needs } = fileAttributes(options);
  needs.push(capabilities.http);
  if (options.checksum) {
    attrs['http.checksum'] = options.checksum;
    needs.push(capabilities.httpChecksum);
  }
  if (options.authHeaderSecret) {
    attrs['http.authheadersecret'] = options.authHeaderSecret;
    needs.push(capabilities.httpAuth);
  }
  if (options.signature) {
    attrs['http.sig.pubkey'] = options.signature.keys;
    attrs['http.sig.signature'] = options.signature.signature;
    needs.push(capabilities.httpSignature);
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    attrs[`http.header.${name.toLowerCase()}`] = value;
    needs.push(capabilities.httpHeader);
  }
  return source(url, attrs, needs, options);
}

/**
 * The result of a marshalled graph, with the platform of the op that makes it. Throws `invalid_argument` when the definition is not valid.
 *
 * @example
 * ```ts
 * import { decodeDefinition, encodeDefinition, files, fromDefinition, image, toDefinition } from 'kiln/llb';
 *
 * const bytes = encodeDefinition(toDefinition(image('alpine')));
 * const tree = fromDefinition(decodeDefinition(bytes)).file(files().mkdir('/data', 0o700));
 * assert.equal(toDefinition(tree).ops.length, 3);
 * ```
 */
export function fromDefinition(definition: Definition): State {
  const graph = unmarshalDefinition(definition);
  const { result } = graph;
  if (!result) return scratch();
  const state = State.of({ kind: 'graph', graph, result });
  const platform = graph.vertices.get(result.digest)?.op.platform;
  return platform ? state.platform(platform) : state;
}

function source(
  identifier: string,
  attrs: Readonly<Record<string, string>> | ((names: InputNames) => Readonly<Record<string, string>>),
  needs: readonly Capability[],
  options: VertexOptions,
): State {
  const platformed = identifier.startsWith('docker-image://') || identifier.startsWith('oci-layout://');
  const state = State.of(
    opVertex([], options, needs, (names) => ({
      inputs: [],
      ...(platformed && { platform: options.platform ?? names.platform }),
      constraints: options.constraints ?? [],
      action: { kind: 'source', identifier, attrs: typeof attrs === 'function' ? attrs(names) : attrs },
    })),
  );
  return options.platform ? state.platform(options.platform) : state;
}
