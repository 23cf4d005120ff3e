import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import type { Json } from '../../base/json/json-steps.ts';

const extension = '.json';

/**
 * What the JSON files of a directory say of the builder, for the provenance of each build. Where several have a field, the last file by
 * name counts. Without the directory there is nothing. Throws `invalid_argument` naming the file that is no JSON object.
 */
export async function readProvenanceEnvironment(directory: string): Promise<Readonly<Record<string, Json>>> {
  const fields = new Map<string, Json>();
  for (const name of await jsonFiles(directory)) {
    const file = path.join(directory, name);
    for (const [key, value] of Object.entries(parseObject(await readFile(file, 'utf8'), file))) {
      fields.set(key, value);
    }
  }
  return Object.fromEntries(fields);
}

async function jsonFiles(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory() && entry.name.endsWith(extension))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function parseObject(text: string, file: string): Readonly<Record<string, Json>> {
  const invalid = (reason: string, cause?: unknown) =>
    new KilnError('invalid_argument', `failed to parse ${file}: ${reason}`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid((cause as Error).message, cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('it is no JSON object');
  return value as Readonly<Record<string, Json>>;
}
