import { KilnError } from '../../base/errors.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import { parseGoBool } from '../../base/text/go-bool.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { SyncRequest } from '../../session/session.ts';

/** A `local://` source's identifier and attributes, parsed. */
export interface LocalOptions {
  readonly request: SyncRequest;
  /** The session that has the directory; empty for the build's own. */
  readonly sessionId: string;
  /** Tells directories of one name apart that a client offers in one session. */
  readonly sharedKeyHint: string;
}

export const localScheme = 'local';

/** Throws `invalid_argument` naming the attribute. Attributes that others define are ignored. */
export function parseLocalOptions(op: SourceOp): LocalOptions {
  const { identifier, attrs } = op;
  const plainName = identifier.slice(`${localScheme}://`.length);
  // A session that a frontend marks as of its own inputs, `prefix:id`, has the directory under a prefixed name.
  const session = attrs['local.session'] ?? '';
  const colon = session.indexOf(':');
  const name = colon < 0 ? plainName : `${session.slice(0, colon)}-${plainName}`;
  if (name === '') {
    throw new KilnError('invalid_argument', `${identifier} names no directory: want ${localScheme}://NAME`);
  }
  const metadataOnly = parseFlag(attrs, 'local.metadatatransfer');
  return {
    sessionId: session.slice(colon + 1),
    sharedKeyHint: attrs['local.sharedkeyhint'] ?? '',
    request: {
      name,
      includePatterns: parseList(attrs, 'local.includepattern'),
      excludePatterns: parseList(attrs, 'local.excludepatterns'),
      followPaths: parseList(attrs, 'local.followpaths'),
      differ: parseDiffer(attrs),
      ...(metadataOnly
        ? { metadataOnly: { exceptions: parseList(attrs, 'local.metadatatransferexclude') } }
        : {}),
    },
  };
}

function parseList(attrs: Attributes, key: string): readonly string[] {
  const text = attrs[key];
  if (text === undefined || text === '') return [];
  let value: unknown;
  try {
    value = JSON.parse(text) ?? [];
  } catch (cause) {
    throw invalid(key, text, 'want a JSON list of strings', cause);
  }
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  throw invalid(key, text, 'want a JSON list of strings');
}

function parseFlag(attrs: Attributes, key: string): boolean {
  const text = attrs[key] ?? 'false';
  const flag = parseGoBool(text.toLowerCase());
  if (flag !== undefined) return flag;
  throw invalid(key, text, 'want true or false');
}

function parseDiffer(attrs: Attributes): SyncRequest['differ'] {
  const text = attrs['local.differ'] ?? '';
  if (text === '' || text === 'metadata') return 'metadata';
  if (text === 'none') return 'none';
  throw invalid('local.differ', text, 'want metadata or none');
}

function invalid(key: string, text: string, want: string, cause?: unknown): KilnError {
  return new KilnError(
    'invalid_argument',
    `invalid ${key} ${JSON.stringify(text)} of a local source: ${want}`,
    { cause },
  );
}
