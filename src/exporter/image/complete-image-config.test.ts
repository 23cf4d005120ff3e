import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { parsePlatform } from '../../base/platform.ts';
import { mediaTypes } from '../../oci/descriptor.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import { completeImageConfig, type ImageConfigInput } from './complete-image-config.ts';

const platform = parsePlatform('linux/amd64');
const layer = (name: string, created?: string): LayerBlob => ({
  descriptor: { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(`blob ${name}`), size: 1 },
  diffId: digestOf(name),
  description: name,
  createdAt: created === undefined ? undefined : new Date(created),
});

function complete(config: object | undefined, input: Partial<ImageConfigInput> = {}) {
  const bytes = config === undefined ? undefined : Buffer.from(JSON.stringify(config));
  const result = completeImageConfig({ config: bytes, platform, layers: [], ...input });
  return JSON.parse(Buffer.from(result).toString());
}

const base = { os: 'linux', architecture: 'amd64' };

test('a build without a config gets one for its platform', () => {
  const result = complete(undefined, { layers: [layer('mkdir /a', '2024-01-02T03:04:05.600Z')] });
  assert.deepEqual(result, {
    architecture: 'amd64',
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      WorkingDir: '/',
    },
    created: '2024-01-02T03:04:05.6Z',
    history: [
      { created: '2024-01-02T03:04:05.6Z', created_by: 'mkdir /a', comment: 'buildkit.exporter.image.v0' },
    ],
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [digestOf('mkdir /a')] },
  });
});

test('fields that nobody here understands keep their exact text', () => {
  const config = Buffer.from(
    '{"os":"linux","architecture":"amd64","x.future":{"9":1,"10":12345678901234567890}}',
  );
  const text = Buffer.from(completeImageConfig({ config, platform, layers: [] })).toString();
  assert.ok(text.includes('"x.future":{"9":1,"10":12345678901234567890}'));
});

test('history gets an entry for each layer that it lacks, and a time for every entry', () => {
  const config = {
    ...base,
    history: [
      { created: '2020-01-01T00:00:00Z', created_by: 'base' },
      { created_by: 'ENV A=1', empty_layer: true },
      { created_by: 'RUN b' },
      { created_by: 'CMD c', empty_layer: true },
    ],
  };
  const layers = [layer('base'), layer('b', '2024-01-01T00:00:00Z'), layer('c', '2024-01-03T00:00:00Z')];
  assert.deepEqual(complete(config, { layers }).history, [
    { created: '2020-01-01T00:00:00Z', created_by: 'base' },
    { created: '2024-01-01T00:00:00Z', created_by: 'ENV A=1', empty_layer: true },
    { created: '2024-01-01T00:00:00Z', created_by: 'RUN b' },
    { created: '2024-01-01T00:00:00Z', created_by: 'CMD c', empty_layer: true },
    { created: '2024-01-03T00:00:00Z', created_by: 'c', comment: 'buildkit.exporter.image.v0' },
  ]);
});

test('history that claims more layers than there are is corrected', () => {
  const config = { ...base, history: [{ created_by: 'a' }, { created_by: 'b' }] };
  const { history } = complete(config, { layers: [layer('a', '2024-01-01T00:00:00Z')] });
  assert.deepEqual(
    history.map((entry: { empty_layer?: boolean }) => entry.empty_layer ?? false),
    [false, true],
  );
});

test('an epoch clamps later times but leaves the base image alone', () => {
  const inherited = { created: '2030-01-01T00:00:00Z', created_by: 'base' };
  const config = {
    ...base,
    created: '2031-01-01T00:00:00Z',
    history: [
      inherited,
      { created: '2031-01-01T00:00:00Z', created_by: 'new' },
      { created: '1999-01-01T00:00:00Z', created_by: 'old', empty_layer: true },
    ],
  };
  const layers = [layer('base'), layer('new')];
  const baseConfig = Buffer.from(JSON.stringify({ history: [inherited] }));
  const result = complete(config, { layers, baseConfig, epoch: 1_700_000_000 });
  assert.equal(result.created, '2023-11-14T22:13:20Z');
  assert.deepEqual(
    result.history.map((entry: { created: string }) => entry.created),
    ['2030-01-01T00:00:00Z', '2023-11-14T22:13:20Z', '1999-01-01T00:00:00Z'],
  );
});

test('a config that does not say for what it is, is refused', () => {
  assert.throws(() => complete({ os: 'linux' }), {
    code: 'invalid_argument',
    message: /missing architecture/,
  });
});
