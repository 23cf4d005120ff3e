import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pathSelection } from '../../content-hash/path-selection.ts';
import { goBase } from '../../llb/cache-digest/file-cache-digest.ts';
import type { ExecMount, ExecOp } from '../../llb/op.ts';
import { execReadings } from './exec-operation.ts';
import { contentReading, type InputUse, pathSelector } from './input-reading.ts';

const copies = (...paths: readonly string[]): readonly InputUse[] =>
  paths.map((path) => ({ selection: pathSelection(path), name: goBase(path) }));

describe('what several copies read of one input', () => {
  const cases: readonly [string, readonly InputUse[], paths: readonly string[], inOrderOfUse: boolean][] = [
    [
      'counts by path where names tell',
      copies('/p.json', '/p-lock.json'),
      ['/p-lock.json', '/p.json'],
      false,
    ],
    [
      'counts by path in directories in order',
      copies('/a/x', '/a/w', '/b/y'),
      ['/a/w', '/a/x', '/b/y'],
      false,
    ],
    ['counts by use where directories could be swapped', copies('/b/f', '/a/f'), ['/b/f', '/a/f'], true],
    ['counts by path where they are in order', copies('/a/f', '/b/f'), ['/a/f', '/b/f'], false],
    ['counts by use where names and paths differ in order', copies('/b/x', '/a/y'), ['/b/x', '/a/y'], true],
    ['counts by use where one is in the other', copies('/a', '/a/b'), ['/a', '/a/b'], true],
    ['counts once for the same', copies('/a', '/a'), ['/a'], false],
    ['does not take a longer name for what is inside', copies('/a', '/ab'), ['/a', '/ab'], false],
    ['counts all of a tree', copies('/', '/a'), ['/', '/a'], true],
  ];
  for (const [name, uses, paths, isInOrderOfUse] of cases)
    it(name, () => {
      const reading = contentReading(uses);
      assert.deepEqual(
        [reading.selections.map(({ path }) => path), reading.isInOrderOfUse],
        [paths, isInOrderOfUse],
      );
    });
});

it('a selector is the digest of paths, unless paths of one name could be swapped', () => {
  const of = (...paths: readonly string[]) =>
    pathSelector(copies(...paths), paths.toSorted().reverse().join('\0'));
  // As BuildKit v0.32.2 has it.
  assert.equal(of('/app'), 'sha256:f53b52ad6d21cceb72dfa78fb67614fe14f110c58e68412b01508d6a485501c3');
  assert.equal(of('/p', '/q'), of('/q', '/p'), 'the digest of the op tells');
  assert.notEqual(of('/a/f', '/b/f'), of('/b/f', '/a/f'));
});

describe('a process', () => {
  const mount = (more: Partial<ExecMount>): ExecMount => ({
    input: 1,
    selector: '',
    dest: '/m',
    output: -1,
    readonly: true,
    resultId: '',
    contentCache: 'default',
    type: { kind: 'bind' },
    ...more,
  });
  const readings = (...mounts: readonly ExecMount[]) =>
    execReadings(
      {
        mounts: [mount({ input: 0, dest: '/', output: 0, readonly: false }), ...mounts],
      } as unknown as ExecOp,
      2,
    );
  const countsByContent = (more: Partial<ExecMount>) => readings(mount(more))[1]!.content !== undefined;

  it('knows its root by definition, with the selector of all of it', () => {
    const [root] = readings();
    assert.equal(root!.content, undefined);
    // As BuildKit v0.32.2 has it.
    assert.equal(root!.selector, 'sha256:8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1');
  });

  it('knows by content what it cannot keep together with more than it read', () => {
    assert.ok(countsByContent({}));
    assert.ok(countsByContent({ output: 1, readonly: true, selector: 'part' }));
    assert.ok(countsByContent({ output: 1, readonly: false }));
    assert.ok(!countsByContent({ output: 1, readonly: false, selector: 'part' }));
    assert.ok(!countsByContent({ contentCache: 'off' }));
    assert.ok(!countsByContent({ dest: '/' }));
    assert.ok(countsByContent({ dest: '/', contentCache: 'on' }));
    const onlySome = readings(mount({}), mount({ dest: '/n', contentCache: 'off' }));
    assert.equal(onlySome[1]!.content, undefined);
    assert.throws(
      () => countsByContent({ output: 1, readonly: false, selector: 'part', contentCache: 'on' }),
      /invalid mount cache content/,
    );
  });

  it('tells mounts of one input apart by where they are', () => {
    const paths = (...mounts: readonly (readonly [selector: string, dest: string])[]) => {
      const { content } = readings(...mounts.map(([selector, dest]) => mount({ selector, dest })))[1]!;
      return [content!.selections.map(({ path }) => path), content!.isInOrderOfUse];
    };
    const sorted = [['/p-lock.json', '/p.json'], false];
    assert.deepEqual(paths(['p.json', '/app/p.json'], ['p-lock.json', '/app/p-lock.json']), sorted);
    assert.deepEqual(paths(['p-lock.json', '/app/p-lock.json'], ['p.json', '/app/p.json']), sorted);
    assert.deepEqual(paths(['p-lock.json', '/app/p.json'], ['p.json', '/app/p-lock.json']), [
      ['/p-lock.json', '/p.json'],
      true,
    ]);
    assert.deepEqual(paths(['', '/a'], ['', '/b']), [['/'], false]);
  });
});
