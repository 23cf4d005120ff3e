/** One way of authenticating that a server offers: `Bearer realm="…",service="…"` (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** Lower-case. */
  readonly scheme: string;
  /** Names are lower-case. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** Reads the value of `WWW-Authenticate`, which may offer several ways. What cannot be read is passed over. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const token = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
  const item = new RegExp(
    `(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))|(${token})(?=\\s|,|$)`,
    'g',
  );
  for (const [, name, quoted, bare, scheme] of header.matchAll(item)) {
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: {} });
    else if (name !== undefined) {
      const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? bare ?? '';
      const current = challenges.at(-1);
      if (current) current.parameters[name.toLowerCase()] = value;
    }
  }
  return challenges;
}
