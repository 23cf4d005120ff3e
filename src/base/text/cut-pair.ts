/** Splits at the first `=`; undefined without one. */
export function cutPair(text: string): readonly [key: string, value: string] | undefined {
  const at = text.indexOf('=');
  return at < 0 ? undefined : [text.slice(0, at), text.slice(at + 1)];
}
