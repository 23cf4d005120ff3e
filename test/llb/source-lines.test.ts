import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  files,
  image,
  merge,
  type OpGraph,
  type SourceLocation,
  type State,
  scratch,
  toGraph,
  withSourceLines,
} from '../../src/llb/llb.ts';

/** What stands on the lines that the source map has for each vertex, in the order of the vertices. */
function linesOf({ vertices, source }: OpGraph): (string | undefined)[] {
  return [...vertices.keys()].map((digest) => {
    const [place] = source?.locations.get(digest) ?? [];
    const [range] = place?.ranges ?? [];
    if (!place || !range) return undefined;
    const text = Buffer.from(source!.files[place.file]!.data).toString('utf8');
    return text.split('\n')[range.start.line - 1]!.trim();
  });
}

test('vertices remember the line that made them, also after something was awaited', async () => {
  const state = await withSourceLines(async () => {
    const base = image('alpine');
    await turn();
    const run = (name: string) => base.run(name).root;
    const made = base.file(files().mkdir('/a', 0o755)); // a directory
    return merge([run('one'), made]);
  });
  const graph = toGraph(state);
  assert.deepEqual(linesOf(graph), [
    "const base = image('alpine');",
    'const run = (name: string) => base.run(name).root;',
    "const made = base.file(files().mkdir('/a', 0o755)); // a directory",
    "return merge([run('one'), made]);",
  ]);
  const [file] = graph.source!.files;
  assert.deepEqual(
    [file!.filename, file!.language],
    [path.relative(process.cwd(), import.meta.filename), 'TypeScript'],
  );
  assert.deepEqual(Buffer.from(file!.data), readFileSync(import.meta.filename));
  const [place] = [...graph.source!.locations.values()][0]!;
  assert.equal(place!.ranges[0]!.start.character, '    const base = image('.indexOf('image('));
});

test('outside of it, and where a vertex says where it was written, nothing is remembered', () => {
  const location: SourceLocation = {
    file: { filename: 'x', language: '', data: new Uint8Array() },
    ranges: [],
  };
  const own = withSourceLines(() => image('alpine', { locations: [location] }));
  assert.deepEqual(
    toGraph(own).source!.files.map(({ filename }) => filename),
    ['x'],
  );
  assert.deepEqual(linesOf(toGraph(own.run('x').root)), [undefined, undefined]);
  assert.equal(toGraph(own.run('x').root).source!.locations.size, 1);
});

test('scripts are read as the caller says, each once, and large ones not at all', () => {
  const read: string[] = [];
  const many = (data: Uint8Array) =>
    withSourceLines(
      () => {
        let state: State = scratch();
        for (let at = 0; at < 100; at++) state = state.file(files().mkfile(`/${at}`, 0o644, ''));
        return state;
      },
      {
        read: (script) => {
          read.push(script);
          return data;
        },
        filename: () => 'build.ts',
      },
    );
  const small = toGraph(many(Buffer.from('text'))).source!;
  assert.deepEqual(small.files, [
    { filename: 'build.ts', language: 'TypeScript', data: Buffer.from('text') },
  ]);
  assert.equal(small.locations.size, 100);
  assert.deepEqual(read, [import.meta.url]);
  const [large] = toGraph(many(new Uint8Array(2 ** 21))).source!.files;
  assert.equal(large!.data.length, 0);
});
