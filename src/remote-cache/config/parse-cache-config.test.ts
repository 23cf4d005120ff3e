import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce } from '../../base/async/in-turns.ts';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { layersOfResult } from './cache-config.ts';
import { encodeCacheConfig } from './encode-cache-config.ts';
import { inOrder, parseCacheConfig, parseInlineRecords } from './parse-cache-config.ts';

const blob = (name: string) => digestOf(`blob ${name}`);
const parseBytes = (bytes: Uint8Array) => atOnce(parseCacheConfig(bytes, 'the config'));
const parse = (value: unknown) => parseBytes(Buffer.from(JSON.stringify(value)));

/** As Go writes it: zeros are left out, and an unknown time is the year 1. */
const written = {
  layers: [{ blob: blob('base') }, { blob: blob('alone'), parent: -1 }, { blob: blob('bottom'), parent: -1 }],
  records: [
    { digest: digestOf('root') },
    {
      digest: digestOf('step'),
      layers: [{ layer: 0, createdAt: '2024-01-01T10:00:00.5Z' }],
      chains: [{ layers: [2, 1], createdAt: '0001-01-01T00:00:00Z' }],
      inputs: [[{ link: 0 }], [{ selector: 'sha256:of-a-path', link: 0 }]],
    },
  ],
};
written.layers[0] = { blob: blob('base'), parent: -1 };
written.layers[1] = { blob: blob('alone') };

test('a config as BuildKit writes it is read, also where zeros are left out', () => {
  const config = parse(written);
  assert.deepEqual(
    config.layers.map(({ parent }) => parent),
    [undefined, 0, undefined],
  );
  const [root, step] = config.records;
  assert.deepEqual(root, { digest: digestOf('root'), inputs: [], results: [] });
  assert.deepEqual(step!.inputs, [
    [{ selector: '', record: 0 }],
    [{ selector: 'sha256:of-a-path', record: 0 }],
  ]);
  const [chain, list] = step!.results;
  assert.equal(chain!.createdAt.toISOString(), '2024-01-01T10:00:00.500Z');
  assert.deepEqual(layersOfResult(chain!, config), [0]);
  assert.deepEqual(layersOfResult(list!, config), [2, 1]);
  assert.equal(list!.createdAt.getTime(), 0);
  assert.deepEqual(layersOfResult({ ...chain!, layers: { kind: 'chain', top: 1 } }, config), [0, 1]);
});

test('what is written is read again', () => {
  const config = parse({
    ...written,
    layers: written.layers.map((layer) => ({
      ...layer,
      annotations: { mediaType: 'm', diffID: blob('diff'), size: 5, createdAt: '2024-01-01T10:00:00Z' },
    })),
  });
  const bytes = encodeCacheConfig(config);
  assert.deepEqual(parseBytes(bytes), config);
  const json = JSON.parse(Buffer.from(bytes).toString());
  assert.equal(json.layers[0].parent, -1);
  assert.equal('parent' in json.layers[1], false, 'BuildKit reads a missing parent as layer 0');
  assert.deepEqual(json.layers[1].annotations, {
    mediaType: 'm',
    diffID: blob('diff'),
    size: 5,
    createdAt: '2024-01-01T10:00:00Z',
  });
});

test('records of an image refer to its layers', () => {
  const records = Buffer.from(JSON.stringify([{ digest: digestOf('x'), layers: [{ layer: 1 }] }]));
  const layers = [
    { blob: blob('a'), parent: undefined },
    { blob: blob('b'), parent: 0 },
  ];
  const config = atOnce(parseInlineRecords(records, layers, 'the image'));
  assert.deepEqual(layersOfResult(config.records[0]!.results[0]!, config), [0, 1]);
  assert.throws(() => atOnce(parseInlineRecords(records, layers.slice(1), 'the image')), /there is no layer/);
});

test('what is no config is refused with a reason', () => {
  const digest = digestOf('x');
  const layer = { blob: digest, parent: -1 };
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [[], /an object is expected/],
    [null, /an object is expected/],
    [{ layers: {} }, /layers is not a list/],
    [{ layers: [{ blob: 'sha256:short' }] }, /not a digest/],
    [{ layers: [{ blob: digest, parent: 1 }] }, /there is no layer 1/],
    [{ layers: [{ blob: digest, parent: -2 }] }, /not a position/],
    [{ layers: [{ blob: digest, parent: 0.5 }] }, /not a position/],
    [{ layers: [{ blob: digest }] }, /a layer lies on itself/],
    [
      {
        layers: [
          { ...layer, parent: 1 },
          { ...layer, parent: 0 },
        ],
      },
      /a layer lies on itself/,
    ],
    [{ layers: [{ ...layer, annotations: { diffID: digest, size: -1 } }] }, /not a number of bytes/],
    [{ records: [{ digest: 'random:1' }] }, /not a digest/],
    [{ records: [{ digest, inputs: [[]] }] }, /an input of a record has no keys/],
    [{ records: [{ digest, inputs: [[{ link: 0 }]] }] }, /a record leads to itself/],
    [{ records: [{ digest, inputs: [[{ link: 5 }]] }] }, /there is no record 5/],
    [{ records: [{ digest, inputs: [[{ link: 0, selector: 3 }]] }] }, /a selector is not text/],
    [{ records: [{ digest, layers: [{ layer: 0 }] }] }, /there is no layer 0/],
    [{ layers: [layer], records: [{ digest, chains: [{ layers: [0, 1] }] }] }, /there is no layer 1/],
  ];
  for (const [value, message] of refused) {
    assert.throws(
      () => parse(value),
      (error) =>
        error instanceof KilnError && error.code === 'invalid_argument' && message.test(error.message),
      JSON.stringify(value),
    );
  }
  assert.throws(() => parseBytes(Buffer.from('{')), /the config is not JSON/);
});

test('long chains and wide meshes take no longer than their size says', () => {
  const count = 20_000;
  const digest = digestOf('x');
  const chained = {
    layers: Array.from({ length: count }, (_, index) => ({ blob: digest, parent: index - 1 })),
    records: Array.from({ length: count }, (_, index) => ({
      digest,
      inputs: index === 0 ? [] : [[{ link: index - 1 }]],
      layers: [{ layer: index }],
    })),
  };
  const config = parse(chained);
  assert.equal(config.records.length, count);
  assert.deepEqual(
    inOrder([[1], [2], []], (needs) => needs),
    [2, 1, 0],
  );
  assert.equal(
    inOrder([[1], [2], [1]], (needs) => needs),
    undefined,
  );
});
