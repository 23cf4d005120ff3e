import { asKilnError, KilnError } from '../../base/errors.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { cleanPath } from '../../llb/clean-path.ts';
import { type GitUrl, parseGitUrl } from '../../llb/git-url.ts';
import type { SourceOp } from '../../llb/op.ts';
import { type BlobPlace, parseBlobPlace } from '../blob/blob-place.ts';

/** Whose signatures count. */
export interface GitSignature {
  readonly keys: string;
  readonly rejectExpiredKeys: boolean;
  /** That of a commit does not do. */
  readonly requireSignedTag: boolean;
  /** That of a tag does not do. */
  readonly ignoreSignedTag: boolean;
}

/** A `git://` source's identifier and attributes, parsed. */
export interface GitRequest {
  /** The URL that git is given; may hold credentials. */
  readonly remote: string;
  readonly scheme: GitUrl['scheme'];
  /** With its port. */
  readonly host: string;
  /** The URL without credentials. */
  readonly shown: string;
  /** A branch, tag, any other ref or a commit; empty for the remote's default branch. */
  readonly ref: string;
  /** Relative, empty for the whole tree. */
  readonly subdir: string;
  /** What the commit's digits have to begin with; may be empty. */
  readonly checksum: string;
  /** Whether the files are those of a repository; never with `subdir`. */
  readonly keepGitDir: boolean;
  readonly skipSubmodules: boolean;
  /** Whether files have the time of the commit instead of the checkout's. */
  readonly commitTimes: boolean;
  readonly fetchByCommit: boolean;
  /** A bundle that objects come from instead of the remote; needs a checksum. */
  readonly bundle: BlobPlace | undefined;
  /** Whether the tree is one file, a bundle of the commit; never with `subdir` or `keepGitDir`. */
  readonly checkoutBundle: boolean;
  /** Undefined to trust anybody. */
  readonly signature: GitSignature | undefined;
  /** Names of secrets; empty for none. */
  readonly authTokenSecret: string;
  readonly authHeaderSecret: string;
  /** Lines of known_hosts; empty to trust any server. */
  readonly knownSshHosts: string;
  /** Of the client's ssh agent; empty for none. */
  readonly sshAgent: string;
}

export const gitScheme = 'git';

/** Throws `invalid_argument` naming what is wrong. Attributes that others define are ignored. */
export function parseGitRequest({ identifier, attrs }: SourceOp): GitRequest {
  const named = parseRemote(identifier.slice(`${gitScheme}://`.length), identifier);
  const full = attrs['git.fullurl'];
  const url = full ? parseRemote(full, identifier) : named;
  const checksum = attrs['git.checksum'] ?? '';
  if (!/^[0-9a-fA-F]*$/.test(checksum)) {
    throw new KilnError(
      'invalid_argument',
      `invalid checksum ${checksum} for Git URL, expected hex commit hash`,
    );
  }
  if (named.ref.startsWith('-') || /[\x00-\x1f\x7f]/.test(named.ref)) {
    throw new KilnError('invalid_argument', `invalid git ref ${JSON.stringify(named.ref)}`);
  }
  const subdir = cleanPath(`/${named.subdir}`).slice(1);
  const request: GitRequest = {
    remote: url.remote,
    scheme: url.scheme,
    host: url.host,
    shown: withoutCredentials(url.remote),
    ref: named.ref,
    subdir,
    checksum: checksum.toLowerCase(),
    keepGitDir: attrs['git.keepgitdir'] === 'true' && subdir === '',
    bundle: attrs['git.bundle'] ? parseBundle(attrs['git.bundle'], attrs) : undefined,
    checkoutBundle: attrs['git.checkoutbundle'] === 'true',
    skipSubmodules: attrs['git.skipsubmodules'] === 'true',
    commitTimes: parseTimes(attrs['git.mtime'], identifier),
    fetchByCommit: attrs['git.fetchbycommit'] === 'true',
    signature: parseSignature(attrs),
    authTokenSecret: attrs['git.authtokensecret'] ?? '',
    authHeaderSecret: attrs['git.authheadersecret'] ?? '',
    knownSshHosts: attrs['git.knownsshhosts'] ?? '',
    sshAgent: attrs['git.mountsshsock'] ?? '',
  };
  checkBundle(request, attrs);
  if (request.fetchByCommit && !isObjectName(request.ref)) checkFetchByCommit(request);
  return request;
}

/** Whether `text` is all digits of an object's name, in SHA-1 or SHA-256. */
export function isObjectName(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

function parseRemote(text: string, identifier: string): GitUrl {
  const url = parseGitUrl(text) ?? (text.includes('://') ? undefined : parseGitUrl(`https://${text}`));
  if (url) return url;
  const [shown, what] = [identifier, text].map(withoutCredentials);
  throw new KilnError('invalid_argument', `${shown}: ${JSON.stringify(what)} is no git repository`, {
    hint: 'write it as https://host/path.git, ssh://user@host/path or user@host:path',
  });
}

/** Any of the attributes asks for a signature: without keys, nobody is trusted. */
function parseSignature(attrs: SourceOp['attrs']): GitSignature | undefined {
  if (!Object.keys(attrs).some((name) => name.startsWith('git.sig.'))) return undefined;
  return {
    keys: attrs['git.sig.pubkey'] ?? '',
    rejectExpiredKeys: attrs['git.sig.rejectexpired'] === 'true',
    requireSignedTag: attrs['git.sig.requiresignedtag'] === 'true',
    ignoreSignedTag: attrs['git.sig.ignoresignedtag'] === 'true',
  };
}

function parseTimes(text: string | undefined, identifier: string): boolean {
  if (text === undefined || text === '' || text === 'checkout') return false;
  if (text === 'commit') return true;
  throw new KilnError(
    'invalid_argument',
    `${withoutCredentials(identifier)}: invalid git.mtime ${JSON.stringify(text)}: want checkout or commit`,
  );
}

function parseBundle(locator: string, attrs: SourceOp['attrs']): BlobPlace {
  try {
    return parseBlobPlace(locator, { sessionId: attrs['oci.session'], storeId: attrs['oci.store'] });
  } catch (error) {
    throw asKilnError(error).wrap(`failed to parse git.bundle locator ${JSON.stringify(locator)}`);
  }
}

function checkBundle(
  { bundle, checkoutBundle, checksum, ref, subdir }: GitRequest,
  attrs: SourceOp['attrs'],
): void {
  const invalid = (why: string) => new KilnError('invalid_argument', why);
  if (bundle && checksum === '') throw invalid('git.bundle requires git.checksum to be set');
  if (bundle && ref === '' && !isObjectName(checksum)) {
    throw invalid('git.bundle requires all digits of git.checksum, or a ref');
  }
  if (!checkoutBundle) return;
  if (subdir !== '') throw invalid('git.checkoutbundle is incompatible with git.subdir');
  if (attrs['git.keepgitdir'] === 'true') {
    throw invalid('git.checkoutbundle is incompatible with git.keepgitdir');
  }
}

function checkFetchByCommit({ checksum }: GitRequest): void {
  if (checksum === '') {
    throw new KilnError('invalid_argument', 'fetch-by-commit requires a checksum or a commit SHA ref');
  }
  if (!isObjectName(checksum)) {
    throw new KilnError(
      'invalid_argument',
      `fetch-by-commit requires a full commit SHA checksum, got ${JSON.stringify(checksum)}`,
    );
  }
}
