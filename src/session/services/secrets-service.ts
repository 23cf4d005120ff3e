import { Secrets } from '../../api/gen/session_secrets_pb.js';
import { methodPath, unaryHandler } from '../../api/unary-call.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { readBounded } from '../../base/read-bounded.ts';
import type { Service } from '../service-host.ts';

/** Bytes. */
const maximumSize = 500 * 1024;

/** Where the value of a secret is; it is read when it is first asked for, and kept: a pipe can be read only once. */
export type SecretSource = { readonly id: string } & (
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly variable: string }
);

/** Gives the engine the secrets that a build may use. */
export function secretsService(sources: readonly SecretSource[]): Service {
  const byId = new Map(sources.map((source) => [source.id, source]));
  const values = new Map<string, Promise<Buffer<ArrayBuffer>>>();
  return {
    [methodPath(Secrets.method.getSecret)]: unaryHandler(Secrets.method.getSecret, async ({ id }) => {
      const source = byId.get(id);
      if (!source) throw new KilnError('not_found', `secret ${JSON.stringify(id)} not found`);
      const data = await secretValue(source, values);
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

async function secretValue(
  source: SecretSource,
  values: Map<string, Promise<Buffer<ArrayBuffer>>>,
): Promise<Buffer<ArrayBuffer>> {
  switch (source.kind) {
    case 'file': {
      // Two secrets may come from one pipe.
      const { path } = source;
      const reading = values.get(path) ?? readBounded(path, maximumSize + 1);
      values.set(path, reading);
      try {
        return await reading;
      } catch (error) {
        values.delete(path);
        throw asKilnError(error).wrap(`cannot read secret ${JSON.stringify(source.id)}`);
      }
    }
    case 'environment':
      return Buffer.from(process.env[source.variable] ?? '');
  }
}
