import { KilnError } from '../../base/errors.ts';
import { checkJsonBounds } from '../../base/json/json-bounds.ts';
import { readBounded } from '../../base/read-bounded.ts';

/** How a network is made: by plugins, one after the other (github.com/containernetworking/cni, SPEC.md, "Network configuration"). */
export interface CniNetwork {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly CniPlugin[];
}

export interface CniPlugin {
  /** The name of its program. */
  readonly type: string;
  /** All that is said of it. */
  readonly config: Readonly<Record<string, unknown>>;
}

const mostBytes = 1024 * 1024;
/** What has no version was written before there were any. */
const firstVersion = '0.1.0';

/** Reads a list of plugins (`.conflist`), or the configuration of a single one. Throws `invalid_argument` and `failed_precondition`, naming the file. */
export async function readCniNetwork(file: string): Promise<CniNetwork> {
  let bytes: Buffer;
  try {
    bytes = await readBounded(file, mostBytes + 1);
  } catch (cause) {
    throw new KilnError(
      'failed_precondition',
      `cannot read the CNI configuration ${file}: ${(cause as Error).message}`,
      {
        cause,
        hint: 'name another with --oci-cni-config-path, or use --oci-worker-net=bridge, which needs none',
      },
    );
  }
  if (bytes.length > mostBytes) throw invalid(file, `it has more than ${mostBytes} bytes`);
  checkJsonBounds(bytes, file);
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw invalid(file, (cause as Error).message);
  }
  return parseCniNetwork(document, file);
}

/** `where` says what was read. Throws `invalid_argument`. */
export function parseCniNetwork(document: unknown, where: string): CniNetwork {
  if (!isRecord(document)) throw invalid(where, 'it is not an object');
  const { name, cniVersion = firstVersion, plugins = [document] } = document;
  // The name gets into paths of plugins.
  if (typeof name !== 'string' || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) {
    throw invalid(
      where,
      'it has no name, or one that is not of letters, digits, dots, dashes and underscores',
    );
  }
  if (typeof cniVersion !== 'string' || !/^\d+\.\d+\.\d+$/.test(cniVersion)) {
    throw invalid(where, 'its cniVersion is not like 1.0.0');
  }
  if (!Array.isArray(plugins) || plugins.length === 0) throw invalid(where, 'it names no plugins');
  return { name, cniVersion, plugins: plugins.map((plugin) => parsePlugin(plugin, where)) };
}

function parsePlugin(config: unknown, where: string): CniPlugin {
  if (!isRecord(config)) throw invalid(where, 'a plugin is not an object');
  const { type } = config;
  if (typeof type !== 'string' || !/^[^/\0]+$/.test(type) || type === '.' || type === '..') {
    throw invalid(where, 'a plugin has no type that is the name of a program');
  }
  return { type, config };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(where: string, what: string): KilnError {
  return new KilnError('invalid_argument', `the CNI configuration ${where} cannot be used: ${what}`);
}
