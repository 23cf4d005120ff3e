/**
 * The bytes that a size with a binary unit stands for (`64m`, `1.5 GiB`, `512kB`, `100`, `100b`), upper or lower case. May have a
 * fraction, which callers round. Undefined for anything else.
 */
export function parseByteSize(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*(?:([kmgtp])i?)?b?$/i.exec(text) ?? [];
  if (amount === undefined) return undefined;
  return Number(amount) * 1024 ** ['', 'k', 'm', 'g', 't', 'p'].indexOf(unit.toLowerCase());
}
