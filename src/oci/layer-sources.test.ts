import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { mediaTypes } from './descriptor.ts';
import { withSourcesOf } from './layer-sources.ts';

const layer = { mediaType: mediaTypes.ociLayer, digest: digestOf('layer'), size: 5 };
const source = (host: string) => `containerd.io/distribution.source.${host}`;

test('a layer learns in which repositories it is, and nothing else', () => {
  const own = { ...layer, annotations: { [source('a')]: 'one', kept: 'x' } };
  const learnt = withSourcesOf(own, {
    ...layer,
    annotations: { [source('a')]: 'one,two', [source('b')]: 'three', other: 'y' },
  });
  assert.deepEqual(learnt.annotations, { [source('a')]: 'one,two', kept: 'x', [source('b')]: 'three' });
  assert.equal(withSourcesOf(learnt, own), learnt);
  assert.equal(withSourcesOf(layer, layer), layer);
});

test('a layer remembers a few repositories of a registry', () => {
  const names = Array.from({ length: 100 }, (_, index) => `r${index}`).join(',');
  const learnt = withSourcesOf(layer, { ...layer, annotations: { [source('a')]: names } });
  assert.equal(learnt.annotations?.[source('a')], 'r0,r1,r2,r3,r4,r5,r6,r7');
  assert.equal(withSourcesOf(learnt, { ...layer, annotations: { [source('a')]: 'another' } }), learnt);
});
