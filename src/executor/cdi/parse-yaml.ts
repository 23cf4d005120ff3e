import type { ScalarTag } from 'yaml';
import { KilnError } from '../../base/errors.ts';

const timestamp = 'tag:yaml.org,2002:timestamp';

/**
 * Reads YAML 1.1, of which JSON is a part, as CDI files are written: `0666` is octal; but dates are text. Throws
 * `invalid_argument` saying in which line.
 */
export async function parseYaml(text: string): Promise<unknown> {
  // Most machines have no devices: what reads them is loaded when there are some.
  const { parse } = await import('yaml');
  try {
    return parse(text, {
      version: '1.1',
      logLevel: 'error',
      customTags: (tags) => tags.filter((tag) => (tag as ScalarTag).tag !== timestamp),
    });
  } catch (cause) {
    // Below it comes an excerpt.
    const [message = ''] = (cause as Error).message.split('\n');
    throw new KilnError('invalid_argument', message.replace(/:$/, ''), { cause });
  }
}
