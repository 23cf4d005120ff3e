import { KilnError } from '../../../base/errors.ts';
import type { SecretSource } from '../../../client-services/secrets-service.ts';
import { csvAttributes } from './csv-attributes.ts';

/**
 * `--secret id=name,src=file` or `--secret id=name,env=VARIABLE`. With neither, the variable named like the secret when
 * there is one in `environment`, else the file.
 */
export function parseSecret(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): SecretSource {
  const invalid = (reason: string) =>
    new KilnError('invalid_argument', `--secret ${text}: ${reason}`, {
      hint: 'write it as --secret id=NAME,src=FILE or --secret id=NAME,env=VARIABLE',
    });
  const {
    type,
    id,
    source,
    src = source,
    env,
    ...others
  } = Object.fromEntries(csvAttributes('--secret', text));
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw invalid(`unknown key ${JSON.stringify(unknown)}`);
  if (type !== undefined && type !== 'file' && type !== 'env')
    throw invalid(`unknown type ${JSON.stringify(type)}`);
  if (!id) throw invalid('the id is missing');
  const variable = env ?? (type === 'env' ? src : undefined);
  if (variable) return { id, kind: 'environment', variable };
  if (src) return { id, kind: 'file', path: src };
  return type !== 'file' && environment[id] !== undefined
    ? { id, kind: 'environment', variable: id }
    : { id, kind: 'file', path: id };
}
