/**
 * Becomes the Node that runs a build file, confined before it starts: the first argument is JSON, what that Node is given.
 */
import { confineProcess } from '../linux/confine-process.ts';
import type { ConfinedStart } from './start-child.ts';

const { memory, args } = JSON.parse(process.argv[2]!) as ConfinedStart;
confineProcess({ memory });
process.execve!(process.execPath, [process.execPath, ...args], { ...process.env });
