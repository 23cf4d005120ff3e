/**
 * Makes every edit against the daemon at an address, and prints what ran, as JSON by the edit's name: to compare daemons.
 * Usage: print-edits.ts ADDRESS [NAME…]
 */
import { Kiln } from '../rig/kiln.ts';
import { WorkDirectory } from '../rig/work-directory.ts';
import { EditRunner } from './edit-runner.ts';
import { edits } from './edits.ts';

const [address, ...names] = process.argv.slice(2);
if (!address) throw new Error('usage: print-edits.ts ADDRESS [NAME…]');
using work = new WorkDirectory();
const runner = new EditRunner(new Kiln({ address }), work);
const outcomes: Record<string, unknown> = {};
for (const edit of edits.filter(({ name }) => names.length === 0 || names.includes(name)))
  outcomes[edit.name] = await runner.run(edit).catch((error: Error) => error.message);
console.log(JSON.stringify(outcomes, undefined, 2));
