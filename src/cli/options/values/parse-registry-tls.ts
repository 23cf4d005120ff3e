import { KilnError } from '../../../base/errors.ts';
import type { TokenTls } from '../../../client-services/fetch-token.ts';
import { csvAttributes } from './csv-attributes.ts';
import { parseBoolean } from './parse-values.ts';

/** `--registry-auth-tlscontext host=https://…,ca=…,cert=…,key=…,insecure=…`; several for one host add up. */
export function parseRegistryTls(values: readonly string[]): ReadonlyMap<string, TokenTls> {
  const contexts = new Map<string, TokenTls>();
  for (const text of values) {
    const flag = '--registry-auth-tlscontext';
    const invalid = (reason: string) => new KilnError('invalid_argument', `${flag} ${text}: ${reason}`);
    const { host, ca, cert, key, insecure = 'false' } = Object.fromEntries(csvAttributes(flag, text));
    const isInsecure = parseBoolean(`${flag} ${text}: insecure`, insecure);
    if (!host) throw invalid('the host is missing');
    if ((cert === undefined) !== (key === undefined)) throw invalid('cert and key must be given together');
    if (ca === undefined && cert === undefined && !isInsecure) {
      throw invalid('it changes nothing: give ca, cert and key, or insecure=true');
    }
    const before = contexts.get(host) ?? { insecure: false, caFiles: [], keyPairs: [] };
    contexts.set(host, {
      insecure: before.insecure || isInsecure,
      caFiles: ca === undefined ? before.caFiles : [...before.caFiles, ca],
      keyPairs:
        cert === undefined || key === undefined
          ? before.keyPairs
          : [...before.keyPairs, { certificate: cert, key }],
    });
  }
  return contexts;
}
