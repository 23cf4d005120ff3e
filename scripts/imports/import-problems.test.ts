import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { type ImportRules, importProblems } from './import-problems.ts';

const rules: ImportRules = {
  folders: ['src', 'test'],
  rooms: { low: [], high: ['low'] },
  generated: ['src/low/gen'],
  filesPerFolder: 3,
  sharedNames: {},
  outside: ['package.json'],
};

/** What a file that imports `targets` looks like. */
const importing = (...targets: readonly string[]) =>
  targets.map((target) => `import type {} from '${target}';\n`).join('');

const sound = {
  'package.json': '{}',
  'src/low/a.ts': '',
  'src/high/b.ts': importing('../low/a.ts'),
};

function problemsOf(files: Readonly<Record<string, string>>, changes: Partial<ImportRules> = {}) {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-imports-'));
  try {
    for (const [name, text] of Object.entries({ ...sound, ...files })) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    }
    return importProblems(root, { ...rules, ...changes });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('files that keep all rules have no problems', () => {
  assert.deepEqual(problemsOf({ 'src/high/c.ts': importing('./b.ts', '../../package.json') }), []);
});

test('an import against the direction is a problem', () => {
  assert.deepEqual(problemsOf({ 'src/low/c.ts': importing('../high/d.ts'), 'src/high/d.ts': '' }), [
    'src/low/c.ts (low) imports ../high/d.ts (high), which scripts/rooms.ts does not allow',
  ]);
});

test('an import of what is not a room is a problem, and so is a folder that is none', () => {
  assert.deepEqual(problemsOf({ 'src/low/c.ts': importing('../../test/e.ts'), 'test/e.ts': '' }), [
    'src/low/c.ts imports ../../test/e.ts, which is outside of src/',
  ]);
  assert.deepEqual(problemsOf({ 'src/new/c.ts': '' }), ['src/new is not a room: add it to scripts/rooms.ts']);
});

test('an import that leads out of the checked folders is a problem', () => {
  assert.deepEqual(problemsOf({ 'test/c.ts': importing('../docs/d.ts') }), [
    'test/c.ts imports ../docs/d.ts, which is outside of src, test',
  ]);
});

test('a permission that no import uses is a problem, and so is a room without files', () => {
  assert.deepEqual(problemsOf({}, { rooms: { low: [], middle: [], high: ['low', 'middle'] } }), [
    'scripts/rooms.ts has the room middle, but src/middle has no files',
    'scripts/rooms.ts lets high import middle, but no file does: remove that permission',
  ]);
});

test('rooms in a circle are a problem', () => {
  assert.deepEqual(
    problemsOf(
      { 'src/low/c.ts': importing('../high/d.ts'), 'src/high/d.ts': '' },
      { rooms: { low: ['high'], high: ['low'] } },
    ),
    ['rooms form a circle: high -> low -> high'],
  );
});

test('a target that does not exist is a problem, of a URL too', () => {
  assert.deepEqual(
    problemsOf({
      'src/low/c.ts': importing('./gone.ts'),
      'test/d.ts': `${'new URL'}('../src/low/gone.task.ts', import.meta.url)`,
    }),
    [
      'src/low/c.ts imports ./gone.ts, which does not exist',
      'test/d.ts imports ../src/low/gone.task.ts, which does not exist',
    ],
  );
});

test('a circle of files is told in order, with the files that are tied to it', () => {
  const files = {
    'src/low/c.ts': importing('./d.ts'),
    'src/low/d.ts': `${'new URL'}('./deep/c.task.ts', import.meta.url)`,
    'src/low/deep/c.task.ts': importing('../c.ts', './e.ts'),
    'src/low/deep/e.ts': importing('./f.ts'),
    'src/low/deep/f.ts': importing('../d.ts'),
  };
  assert.deepEqual(problemsOf(files), [
    'files import each other in a circle: src/low/c.ts -> src/low/d.ts -> src/low/deep/c.task.ts -> src/low/c.ts; ' +
      'in circles with them: src/low/deep/e.ts, src/low/deep/f.ts',
  ]);
});

test('generated files may form circles, and are not counted', () => {
  const generated = {
    'src/low/gen/c.ts': importing('./d.ts'),
    'src/low/gen/d.ts': importing('./c.ts'),
    'src/low/gen/e.ts': '',
    'src/low/gen/f.ts': '',
  };
  assert.deepEqual(problemsOf(generated), []);
});

test('a folder with too many files is a problem; its subfolders count for themselves', () => {
  const files = { 'src/low/c.ts': '', 'src/low/d.ts': '', 'src/low/deep/e.ts': '' };
  assert.deepEqual(problemsOf(files), []);
  assert.deepEqual(problemsOf({ ...files, 'src/low/f.ts': '' }), [
    'src/low has 4 files, more than 3: give some of them a folder by idea',
  ]);
});

test('files of one name are a problem, unless a reason is given; a reason without them is one, too', () => {
  assert.deepEqual(problemsOf({ 'test/a.ts': '' }), [
    'files of one name in different folders: src/low/a.ts, test/a.ts',
  ]);
  assert.deepEqual(problemsOf({ 'test/a.ts': '' }, { sharedNames: { 'a.ts': 'both are the first' } }), []);
  assert.deepEqual(problemsOf({}, { sharedNames: { 'a.ts': 'both are the first' } }), [
    'only one file, or none, is named a.ts: it needs no exception',
  ]);
});
