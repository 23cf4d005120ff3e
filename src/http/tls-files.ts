import { readFile } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { asKilnError } from '../base/errors.ts';

/** Names of files in PEM. */
export interface TlsFiles {
  /** Trusted besides those that this process trusts anyway. */
  readonly ca: readonly string[];
  /** Client certificates. */
  readonly pairs: readonly { readonly cert: string; readonly key: string }[];
}

/** In PEM, as Node's TLS takes it. */
export interface TlsCertificates {
  readonly ca?: string[];
  readonly cert?: string[];
  readonly key?: string[];
}

/** Throws with the name of the file that cannot be read. */
export async function loadTlsFiles({ ca, pairs }: TlsFiles): Promise<TlsCertificates> {
  const authorities = await Promise.all(ca.map(read));
  const cert = await Promise.all(pairs.map((pair) => read(pair.cert)));
  const key = await Promise.all(pairs.map((pair) => read(pair.key)));
  return {
    ...(authorities.length > 0 ? { ca: [...getCACertificates('default'), ...authorities] } : {}),
    ...(cert.length > 0 ? { cert, key } : {}),
  };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw asKilnError(error).wrap(`cannot read the TLS file ${file}`);
  }
}
