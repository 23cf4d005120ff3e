import { Secrets } from '../api/gen/session_secrets_pb.js';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import { SingleFlight } from '../base/async/single-flight.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { readBounded } from '../base/read-bounded.ts';
import type { Service } from '../session/service-host.ts';

/** Bytes. */
const maximumSize = 500 * 1024;

/** A secret, or where its value is: that is read when it is first asked for, and kept, since a pipe can be read only once. */
export type SecretSource = { readonly id: string } & (
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'value'; readonly value: Uint8Array }
);

/** Gives the engine the secrets that a build may use. */
export function secretsService(sources: readonly SecretSource[]): Service {
  const byId = new Map(sources.map((source) => [source.id, source]));
  const files = new KeptFiles();
  return {
    [methodPath(Secrets.method.getSecret)]: unaryHandler(
      Secrets.method.getSecret,
      async ({ id }, { signal }) => {
        const source = byId.get(id);
        if (!source) throw new KilnError('not_found', `secret ${JSON.stringify(id)} not found`);
        const data = await readSecret(source, files, signal);
        if (data.length > maximumSize) {
          throw new KilnError(
            'invalid_argument',
            `secret ${JSON.stringify(id)} is larger than ${maximumSize} bytes`,
          );
        }
        return { data };
      },
    ),
  };
}

async function readSecret(
  source: SecretSource,
  files: KeptFiles,
  signal: AbortSignal,
): Promise<Buffer<ArrayBuffer>> {
  switch (source.kind) {
    case 'file':
      try {
        return await files.read(source.path, signal);
      } catch (error) {
        throw asKilnError(error).wrap(`cannot read secret ${JSON.stringify(source.id)}`);
      }
    case 'environment':
      return Buffer.from(process.env[source.variable] ?? '');
    case 'value':
      return Buffer.from(source.value);
    default:
      return source satisfies never;
  }
}

/** Values by path: several secrets may come from one pipe. */
class KeptFiles {
  readonly #kept = new Map<string, Buffer<ArrayBuffer>>();
  readonly #reading = new SingleFlight<Buffer<ArrayBuffer>>();

  /** One byte more than a secret may have shows that it is too large. */
  async read(path: string, signal: AbortSignal): Promise<Buffer<ArrayBuffer>> {
    const kept = this.#kept.get(path);
    if (kept) return kept;
    const data = await this.#reading.run(
      path,
      (flight) => readBounded(path, maximumSize + 1, flight.signal),
      { signal },
    );
    this.#kept.set(path, data);
    return data;
  }
}
