/** A digest that a file has to have, with its algorithm before it: `sha512:…`. */
export interface FileChecksum {
  readonly algorithm: 'sha256' | 'sha384' | 'sha512';
  readonly digest: string;
}

const digits = { sha256: 64, sha384: 96, sha512: 128 } as const;

export const checksumHint =
  'write it as sha256:<64 hex digits>, sha384:<96 hex digits> or sha512:<128 hex digits>';

/** Undefined for what is no checksum. */
export function parseFileChecksum(text: string): FileChecksum | undefined {
  const [, name, hex = ''] = /^(sha256|sha384|sha512):([0-9a-f]{1,128})$/.exec(text) ?? [];
  const algorithm = name as FileChecksum['algorithm'] | undefined;
  return algorithm && hex.length === digits[algorithm] ? { algorithm, digest: text } : undefined;
}
