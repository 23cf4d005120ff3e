import { KilnError } from '../errors.ts';
import { parseGoBool } from './go-bool.ts';

/** Options as clients send them: texts by name. */
export type Attributes = Readonly<Record<string, string>>;

/** `true` and `false` in the spellings that Go accepts; an attribute without a value is set. Throws `invalid_argument`. */
export function booleanAttribute(attributes: Attributes, key: string): boolean | undefined {
  const text = attributes[key];
  if (text === undefined) return undefined;
  const value = text === '' ? true : parseGoBool(text);
  if (value !== undefined) return value;
  throw new KilnError('invalid_argument', `non-bool value ${JSON.stringify(text)} specified for ${key}`, {
    hint: 'use true or false',
  });
}

/** A whole number, in decimal. Throws `invalid_argument`. */
export function integerAttribute(attributes: Attributes, key: string): number | undefined {
  const text = attributes[key];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new KilnError('invalid_argument', `non-integer value ${JSON.stringify(text)} specified for ${key}`);
  }
  return value;
}
