import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { parsePlatform } from '../base/platform.ts';
import { type Descriptor, mediaTypes } from './descriptor.ts';
import { chainIds, encodeManifest, type Index, parseManifest, selectManifest } from './manifest.ts';

const blob = (text: string, mediaType: string): Descriptor => ({
  mediaType,
  digest: digestOf(text),
  size: text.length,
});
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

test('a manifest survives being written and read', () => {
  const written = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: blob('config', mediaTypes.ociConfig),
    layers: [{ ...blob('layer', mediaTypes.ociLayerGzip), annotations: { b: '<2>', a: '1' } }],
    annotations: { z: 'last', a: 'first' },
  });
  const text = Buffer.from(written).toString();
  assert.ok(
    text.startsWith(`{\n  "schemaVersion": 2,\n  "mediaType": "${mediaTypes.ociManifest}",\n  "config": {`),
  );
  assert.ok(text.includes('"a": "1",\n        "b": "\\u003c2\\u003e"'));
  const read = parseManifest(written, 'test');
  assert.equal(read.kind, 'manifest');
  assert.equal(read.kind === 'manifest' && read.layers[0]!.annotations?.b, '<2>');
  assert.deepEqual(encodeManifest(read), written);
});

test('a document that could be two things is refused', () => {
  const config = blob('config', mediaTypes.ociConfig);
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [{ config, layers: [], manifests: [] }, /both a manifest and an index/],
    [{ schemaVersion: 2 }, /neither/],
    [{ mediaType: mediaTypes.ociIndex, config, layers: [] }, /contradicts/],
    [{ mediaType: mediaTypes.ociManifest, manifests: [] }, /contradicts/],
    [{ config: { ...config, digest: 'md5:1' }, layers: [] }, /unsupported digest/],
    [{ config: { ...config, size: -1 }, layers: [] }, /not a number of bytes/],
  ];
  for (const [document, reason] of cases) {
    assert.throws(() => parseManifest(bytes(document), 'test'), {
      code: 'invalid_argument',
      message: reason,
    });
  }
  assert.throws(() => parseManifest(bytes({ schemaVersion: 1, fsLayers: [] }), 'test'), {
    code: 'failed_precondition',
  });
});

test('the best platform of an index is chosen, attestations never', () => {
  const entry = (platform: string, annotations?: Record<string, string>): Descriptor => ({
    ...blob(platform + JSON.stringify(annotations), mediaTypes.ociManifest),
    platform: parsePlatform(platform),
    annotations,
  });
  const attestation = {
    ...entry('linux/amd64', { 'vnd.docker.reference.type': 'attestation-manifest' }),
    platform: { os: 'unknown', architecture: 'unknown' },
  };
  const index: Index = {
    kind: 'index',
    mediaType: mediaTypes.ociIndex,
    manifests: [
      attestation,
      entry('linux/arm/v6'),
      entry('linux/arm/v7'),
      entry('linux/amd64'),
      entry('linux/arm64'),
    ],
  };
  const chosen = (platform: string) => selectManifest(index, parsePlatform(platform))?.digest;
  assert.equal(chosen('linux/amd64'), index.manifests[3]!.digest);
  assert.equal(chosen('linux/arm/v7'), index.manifests[2]!.digest);
  assert.equal(chosen('linux/arm/v6'), index.manifests[1]!.digest);
  assert.equal(chosen('linux/s390x'), undefined);
});

test('arm64 is written without its implied variant', () => {
  const manifest = { ...blob('m', mediaTypes.ociManifest), platform: parsePlatform('linux/arm64') };
  const index = encodeManifest({ kind: 'index', mediaType: mediaTypes.ociIndex, manifests: [manifest] });
  assert.deepEqual(JSON.parse(Buffer.from(index).toString()).manifests[0].platform, {
    architecture: 'arm64',
    os: 'linux',
  });
});

test('a chain id names the whole stack', () => {
  const [a, b] = [digestOf('a'), digestOf('b')];
  assert.deepEqual(chainIds([]), []);
  assert.deepEqual(chainIds([a, b]), [a, digestOf(`${a} ${b}`)]);
});
