import { KilnError } from '../../../base/errors.ts';

/** A branch, tag or pull request whose caches a token gives access to. */
export interface ActionsScope {
  readonly name: string;
  readonly writable: boolean;
}

const writePermission = 2;

/**
 * What a runtime token of GitHub Actions says of itself: the scopes whose caches it can read, in the order in which they are searched. The
 * service checks the token, this does not. Throws `invalid_argument`, or `unauthenticated` outside of the token's time, without saying the token.
 */
export function actionsScopes(token: string, now = Date.now()): readonly ActionsScope[] {
  const { ac, exp, nbf } = claimsOf(token);
  if (typeof ac !== 'string') throw invalid('without access controls');
  if (typeof exp !== 'number') throw invalid('without expiration time');
  if (typeof nbf !== 'number') throw invalid('without the time from which on it is valid');
  if (now > exp * 1000) throw outOfTime(`cache token expired at ${timeOf(exp)}`);
  if (now < nbf * 1000) throw outOfTime(`cache token is not valid before ${timeOf(nbf)}`);
  const scopes = parsed(ac);
  if (!Array.isArray(scopes)) throw invalid('with access controls that are no list');
  return scopes.map((scope: unknown) => {
    const { Scope: name, Permission: permission } = (scope ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || typeof permission !== 'number')
      throw invalid('with a scope that is none');
    return { name, writable: (permission & writePermission) !== 0 };
  });
}

function claimsOf(token: string): { readonly ac?: unknown; readonly exp?: unknown; readonly nbf?: unknown } {
  const parts = token.split('.');
  const claims =
    parts.length === 3 ? parsed(Buffer.from(parts[1]!, 'base64url').toString('utf8')) : undefined;
  if (typeof claims !== 'object' || claims === null) throw invalid('that is no web token');
  return claims;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function invalid(how: string): KilnError {
  return new KilnError('invalid_argument', `invalid token ${how} for github actions cache`, {
    hint: 'give the ACTIONS_RUNTIME_TOKEN of the job',
  });
}

function outOfTime(message: string): KilnError {
  return new KilnError('unauthenticated', message, {
    hint: 'tokens are valid for the job that they were made for',
  });
}

function timeOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `second ${seconds}` : date.toISOString();
}
