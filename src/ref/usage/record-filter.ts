import { asKilnError, KilnError } from '../../base/errors.ts';
import { GoRegexp } from '../../base/pattern/go-regexp.ts';
import type { UsageRecord } from '../disk-usage.ts';

export type RecordFilter = (record: UsageRecord) => boolean;

interface Selector {
  readonly path: readonly string[];
  readonly matches: (value: string, present: boolean) => boolean;
}

/**
 * Compiles filters as `du --filter` and `prune --filter` take them, in containerd's filter syntax: a filter is
 * a comma separated list of selectors that must all hold, and a record passes when any of the filters does. A selector is
 * `field`, `field==value`, `field!=value` or `field~=regular expression`; values may be quoted. Fields: `id`,
 * `parents` (joined by `;`), `description`, `type`, and the flags `inuse`, `mutable`, `immutable`, `shared` and `private`.
 * Throws `invalid_argument`.
 */
export function parseRecordFilter(filters: readonly string[]): RecordFilter {
  if (filters.length === 0) return () => true;
  const alternatives = filters.map(parseFilter);
  return (record) =>
    alternatives.some((selectors) =>
      selectors.every(({ path, matches }) => {
        const value = fieldOf(record, path);
        return matches(value ?? '', value !== undefined);
      }),
    );
}

/** Returns the text of a field, or undefined when the record does not have it. A flag that is set has the empty text. */
function fieldOf(record: UsageRecord, [name]: readonly string[]): string | undefined {
  const flag = (set: boolean) => (set ? '' : undefined);
  switch (name) {
    case 'id':
      return record.id;
    case 'parents':
    case 'parent':
      return record.parents.length > 0 ? record.parents.join(';') : undefined;
    case 'description':
      return record.description || undefined;
    case 'type':
      return record.type;
    case 'inuse':
      return flag(record.inUse);
    case 'mutable':
      return flag(record.mutable);
    case 'immutable':
      return flag(!record.mutable);
    case 'shared':
      return flag(record.shared);
    case 'private':
      return flag(!record.shared);
    default:
      return undefined;
  }
}

const fieldForm = /^(?:[A-Za-z][A-Za-z0-9_]*|"(?:[^"\\]|\\.)*")/;
const operatorForm = /^(?:==|!=|~=)/;
const valueForm = /^(?:"(?:[^"\\]|\\.)*"|[^\s,"]+)/;
/** A regular expression may also be written unescaped between slashes or bars. */
const patternForm = /^(?:"(?:[^"\\]|\\.)*"|\/[^/]*\/|\|[^|]*\||[^\s,"]+)/;

function parseFilter(text: string): Selector[] {
  let rest = text.trim();
  const fail = (wanted: string): never => {
    throw new KilnError(
      'invalid_argument',
      `invalid filter ${JSON.stringify(text)}: expected ${wanted} at ${JSON.stringify(rest)}`,
      { hint: 'write it as field, field==value, field!=value or field~=expression, joined by commas' },
    );
  };
  const take = (form: RegExp, wanted: string): string => {
    const [token] = form.exec(rest) ?? fail(wanted);
    rest = rest.slice(token.length);
    return token;
  };
  if (rest === '') return [];
  const selectors: Selector[] = [];
  for (;;) {
    const path = [unquote(take(fieldForm, 'a field'))];
    while (rest.startsWith('.')) {
      rest = rest.slice(1);
      path.push(unquote(take(fieldForm, 'a field')));
    }
    const operator = operatorForm.test(rest) ? take(operatorForm, 'an operator') : '';
    switch (operator) {
      case '':
        selectors.push({ path, matches: (_, present) => present });
        break;
      case '==': {
        const value = unquote(take(valueForm, 'a value'));
        selectors.push({ path, matches: (found, present) => present && found === value });
        break;
      }
      case '!=': {
        const value = unquote(take(valueForm, 'a value'));
        selectors.push({ path, matches: (found) => found !== value });
        break;
      }
      default: {
        const pattern = compile(unquotePattern(take(patternForm, 'a regular expression')), text);
        selectors.push({ path, matches: (found, present) => present && pattern.matches(found) });
      }
    }
    if (rest === '') return selectors;
    if (!rest.startsWith(',')) fail('a comma');
    rest = rest.slice(1).trimStart();
  }
}

function unquote(token: string): string {
  return token.startsWith('"') ? token.slice(1, -1).replace(/\\(.)/g, '$1') : token;
}

function unquotePattern(token: string): string {
  if (/^([/|]).*\1$/.test(token) && token.length > 1) return token.slice(1, -1);
  return unquote(token);
}

function compile(pattern: string, filter: string): GoRegexp {
  try {
    return new GoRegexp(pattern);
  } catch (error) {
    throw asKilnError(error).wrap(`invalid filter ${JSON.stringify(filter)}`);
  }
}
