import { readFile } from 'node:fs/promises';
import { KilnError } from '../../base/errors.ts';

/** The number of a group of this machine, by name or number. Throws `not_found`. */
export async function groupId(group: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  const lines = (await readFile('/etc/group', 'utf8')).split('\n');
  const found = lines.map((line) => line.split(':')).find(([name]) => name === group);
  if (!found)
    throw new KilnError('not_found', `there is no group ${JSON.stringify(group)}`, {
      hint: 'see /etc/group',
    });
  return Number(found[2]);
}
