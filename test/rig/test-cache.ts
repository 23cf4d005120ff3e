import path from 'node:path';
import { project } from './project.ts';

/** Where tests keep what is slow to make: `$KILN_TEST_CACHE`, or `.cache/test` of the checkout. It may be deleted at any time. */
export function testCache(): string {
  return process.env.KILN_TEST_CACHE || path.join(project.root, '.cache', 'test');
}
