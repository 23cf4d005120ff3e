import { KilnError } from '../../../base/errors.ts';
import type { RemoteCache } from '../../../client/solve-request.ts';
import { csvAttributes } from './csv-attributes.ts';
import { parseBoolean } from './parse-values.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** `--export-cache type=registry,ref=…`, or just a reference. `mode` is `min` unless it is given. */
export function parseExportCache(text: string, environment: Environment): RemoteCache {
  const cache = parseCache('--export-cache', text, environment);
  return { ...cache, attributes: { mode: 'min', ...cache.attributes } };
}

/** `--import-cache type=registry,ref=…`, or just a reference. */
export function parseImportCache(text: string, environment: Environment): RemoteCache {
  return parseCache('--import-cache', text, environment);
}

function parseCache(flag: string, text: string, environment: Environment): RemoteCache {
  if (!text.includes('type=')) return { type: 'registry', attributes: { ref: text } };
  const { type, ...attributes } = Object.fromEntries(csvAttributes(flag, text));
  if (!type) throw new KilnError('invalid_argument', `${flag} ${text}: the type is missing`);
  return { type, attributes: type === 'gha' ? githubCache(flag, attributes, environment) : attributes };
}

/** GitHub's runners tell address and token in the environment. */
function githubCache(
  flag: string,
  attributes: Readonly<Record<string, string>>,
  environment: Environment,
): Readonly<Record<string, string>> {
  const service = environment.ACTIONS_CACHE_SERVICE_V2;
  const isV2 =
    attributes.version === '2' ||
    (attributes.version === undefined && !!service && parseBoolean('$ACTIONS_CACHE_SERVICE_V2', service));
  const urlV2 = attributes.url_v2 ?? (isV2 ? environment.ACTIONS_RESULTS_URL : undefined);
  const url = attributes.url ?? environment.ACTIONS_CACHE_URL ?? environment.ACTIONS_RESULTS_URL;
  const token = attributes.token ?? environment.ACTIONS_RUNTIME_TOKEN;
  if ((url === undefined && urlV2 === undefined) || token === undefined) {
    throw new KilnError('invalid_argument', `${flag} type=gha: the cache's url or token is not known`, {
      hint: 'give url= and token=, or run inside a GitHub workflow that exposes ACTIONS_CACHE_URL and ACTIONS_RUNTIME_TOKEN',
    });
  }
  return { ...attributes, token, ...(url && { url }), ...(urlV2 && { url_v2: urlV2 }) };
}
