/** Fails when a file in `src/` imports from a room that its own room may not know, or when rooms form a circle. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { rooms } from './rooms.ts';

const root = path.resolve(import.meta.dirname, '..', 'src');
const specifier = /(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|new URL\(\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;
const problems: string[] = [];

const roomOf = (file: string): string => path.relative(root, file).split(path.sep)[0]!;

for (const file of globSync('**/*.ts', { cwd: root }).map((name) => path.join(root, name))) {
  const room = roomOf(file);
  const allowed = rooms[room];
  const name = path.relative(root, file);
  if (!allowed) {
    problems.push(`${name}: src/${room} is not a room; add it to scripts/rooms.ts`);
    continue;
  }
  for (const match of readFileSync(file, 'utf8').matchAll(specifier)) {
    if (match[2] === '../../package.json') continue;
    const target = path.resolve(path.dirname(file), match[2]!);
    if (!target.startsWith(root + path.sep)) {
      problems.push(`${name} imports ${match[2]}, which is outside src/`);
      continue;
    }
    const other = roomOf(target);
    if (other !== room && !allowed.includes(other))
      problems.push(`${name} (${room}) imports ${match[2]} (${other})`);
  }
}

const visit = (room: string, trail: readonly string[]): void => {
  if (trail.includes(room)) problems.push(`rooms form a circle: ${[...trail, room].join(' -> ')}`);
  else for (const next of rooms[room] ?? []) visit(next, [...trail, room]);
};
for (const room of Object.keys(rooms)) visit(room, []);

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`import direction: ${Object.keys(rooms).length} rooms, no import against the direction`);
