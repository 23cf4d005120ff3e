/** Makes what `npm pack` packs: bundles of the entries and their types, in `dist/`. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundle } from './bundle.ts';
import { writeDeclarations } from './declarations.ts';
import { notices } from './notices.ts';

const root = path.resolve(import.meta.dirname, '../..');
const directory = path.join(root, 'dist');

rmSync(directory, { recursive: true, force: true });
const files = await bundle(root, path.join(directory, 'js'));
writeDeclarations(root, path.join(directory, 'types'));
writeFileSync(path.join(directory, 'NOTICE.md'), notices(files));
