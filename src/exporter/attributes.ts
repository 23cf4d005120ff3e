import { KilnError } from '../base/errors.ts';

export type Attributes = Readonly<Record<string, string>>;

/** `true` and `false` in the spellings that Go accepts; an attribute without a value is set. Throws `invalid_argument`. */
export function booleanAttribute(attributes: Attributes, key: string): boolean | undefined {
  const text = attributes[key];
  if (text === undefined) return undefined;
  if (text === '' || /^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw new KilnError('invalid_argument', `non-bool value ${JSON.stringify(text)} specified for ${key}`, {
    hint: 'use true or false',
  });
}

/** Throws `invalid_argument`. */
export function integerAttribute(attributes: Attributes, key: string): number | undefined {
  const text = attributes[key];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new KilnError('invalid_argument', `non-integer value ${JSON.stringify(text)} specified for ${key}`);
  }
  return value;
}
