import { readFile } from 'node:fs/promises';
import { Secrets } from '../../api/gen/session_secrets_pb.js';
import { methodPath, unaryHandler } from '../../api/unary-call.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { Service } from '../service-host.ts';

/** Bytes. */
const maximumSize = 500 * 1024;

/** Where the value of a secret is; it is read when it is asked for. */
export type SecretSource = { readonly id: string } & (
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly variable: string }
);

/** Gives the engine the secrets that a build may use. */
export function secretsService(sources: readonly SecretSource[]): Service {
  const byId = new Map(sources.map((source) => [source.id, source]));
  return {
    [methodPath(Secrets.method.getSecret)]: unaryHandler(Secrets.method.getSecret, async ({ id }) => {
      const source = byId.get(id);
      if (!source) throw new KilnError('not_found', `secret ${JSON.stringify(id)} not found`);
      const data = await readSecret(source);
      if (data.length > maximumSize) {
        throw new KilnError(
          'invalid_argument',
          `secret ${JSON.stringify(id)} is larger than ${maximumSize} bytes`,
        );
      }
      return { data };
    }),
  };
}

async function readSecret(source: SecretSource): Promise<Uint8Array<ArrayBuffer>> {
  switch (source.kind) {
    case 'file':
      try {
        return await readFile(source.path);
      } catch (error) {
        throw asKilnError(error).wrap(`cannot read secret ${JSON.stringify(source.id)}`);
      }
    case 'environment':
      return Buffer.from(process.env[source.variable] ?? '');
  }
}
