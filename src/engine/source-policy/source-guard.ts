import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { canonicalText, type Plain } from '../../base/text/canonical.ts';
import { cleanPath } from '../../llb/clean-path.ts';
import type { SourceOp } from '../../llb/op.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { SourceCheck, SourceQuestion, SourceVerdict } from '../../session/requests/source-verifier.ts';
import { CompiledPolicies } from './compiled-policies.ts';
import type { SourcePolicy } from './source-policy.ts';

/** Asks the client about a source. */
export type AskClient = (check: SourceCheck, signal: AbortSignal) => Promise<SourceVerdict>;

/** Finds out what a client wants to know about a source before it decides. */
export type Resolve = (
  source: SourceOp,
  question: SourceQuestion,
) => Promise<Pick<SourceCheck, 'image' | 'http' | 'git'>>;

/** How many answers a client may give about one source before it is taken to go round in circles. */
const answerLimit = 10;

/** Decides, for every source that a build names, whether it may be used, and what is used instead. */
export class SourceGuard {
  readonly #policies: readonly SourcePolicy[];
  readonly #compiled: CompiledPolicies;
  readonly #ask: AskClient | undefined;
  /** Names the client that is asked. */
  readonly #client: string;

  /** Throws `invalid_argument` naming the rule that makes no sense. */
  constructor(policies: readonly SourcePolicy[], ask?: AskClient, client: string = ask ? randomUUID() : '') {
    this.#policies = policies;
    this.#compiled = new CompiledPolicies(policies);
    this.#ask = ask;
    this.#client = client;
  }

  /** Equal for guards that decide alike; empty for one that allows every source as it is. What a client says is known to its own build only. */
  get identity(): string {
    return this.idle ? '' : canonicalText([this.#policies as unknown as Plain, this.#client]);
  }

  /** Whether it allows every source as it is. */
  get idle(): boolean {
    return this.#policies.length === 0 && !this.#ask;
  }

  /** A guard that these policies bind as well. */
  with(policies: readonly SourcePolicy[]): SourceGuard {
    return policies.length === 0
      ? this
      : new SourceGuard([...this.#policies, ...policies], this.#ask, this.#client);
  }

  /** The source to use in the place of `source`. Throws `permission_denied` naming the source, and the rule or the client's reason. */
  async admit(
    source: SourceOp,
    platform: Platform | undefined,
    resolve: Resolve,
    signal: AbortSignal,
  ): Promise<SourceOp> {
    let current = this.#compiled.apply(normalized(source));
    if (!this.#ask) return current;
    let check: SourceCheck = { source: current, platform };
    for (let answers = 0; answers < answerLimit; answers++) {
      const verdict = await this.#ask(check, signal);
      switch (verdict.kind) {
        case 'allow':
          return current;
        case 'deny':
          throw denied(current, verdict.messages);
        case 'convert':
          current = this.#compiled.apply(normalized(verdict.source));
          check = { source: current, platform };
          break;
        case 'resolve':
          checkSame(current, verdict.request.source);
          check = { source: current, platform, ...(await resolve(current, verdict.request)) };
          break;
      }
    }
    throw new KilnError(
      'failed_precondition',
      `source ${JSON.stringify(withoutCredentials(source.identifier))}: too many policy requests: the client came to no decision in ${answerLimit} answers`,
    );
  }
}

/** References of images and blobs in full and directories of repositories without detours, so that rules have one form to match. A reference that is not valid stays as it is: resolving it will say so. */
function normalized(source: SourceOp): SourceOp {
  const [, scheme, name = ''] =
    /^((?:docker-image|docker-image\+blob|git):\/\/)(.*)$/s.exec(source.identifier) ?? [];
  if (scheme === undefined) return source;
  if (scheme === 'git://') return { ...source, identifier: scheme + withCleanSubdir(name) };
  try {
    const reference = parseReference(name);
    const full = scheme === 'docker-image://' ? withDefaultTag(reference) : reference;
    return { ...source, identifier: scheme + formatReference(full) };
  } catch {
    return source;
  }
}

/** The directory after the ref as it is in the repository: `#main:../a` and `#main:/a` are `#main:a`. */
function withCleanSubdir(name: string): string {
  const hash = name.indexOf('#');
  const colon = hash < 0 ? -1 : name.indexOf(':', hash);
  if (colon < 0) return name;
  const subdir = cleanPath(`/${name.slice(colon + 1)}`).slice(1);
  return subdir === '' ? name.slice(0, colon) : `${name.slice(0, colon)}:${subdir}`;
}

function denied({ identifier }: SourceOp, messages: readonly string[]): KilnError {
  const reasons = messages.length > 0 ? `: ${messages.join('; ')}` : '';
  return new KilnError(
    'permission_denied',
    `source ${JSON.stringify(withoutCredentials(identifier))} not allowed by policy: action DENY${reasons}`,
    {
      hint: "the client's own policy decided so",
      details: messages.length > 0 ? [{ kind: 'denied', messages }] : [],
    },
  );
}

function checkSame({ identifier, attrs }: SourceOp, asked: SourceOp): void {
  if (asked.identifier === identifier && isDeepStrictEqual({ ...asked.attrs }, { ...attrs })) return;
  throw new KilnError(
    'invalid_argument',
    `the client's policy was asked about ${JSON.stringify(withoutCredentials(identifier))} and wants to know of ${JSON.stringify(withoutCredentials(asked.identifier))}`,
  );
}
