/**
 * Fails when a file imports from a room that its own room may not know, or a file that does not exist; when rooms or files form a
 * circle; when nothing uses a permission; when a folder is too full; and when files of different folders share a name.
 */
import path from 'node:path';
import { importProblems } from './imports/import-problems.ts';
import { rooms } from './rooms.ts';

const problems = importProblems(path.resolve(import.meta.dirname, '..'), {
  folders: ['src', 'test', 'bench', 'scripts'],
  rooms,
  generated: ['src/api/gen'],
  filesPerFolder: 25,
  sharedNames: {
    'main.ts': 'the entry of each program',
  },
  outside: ['package.json'],
});

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`imports: ${Object.keys(rooms).length} rooms, no import against the direction, no circle`);
