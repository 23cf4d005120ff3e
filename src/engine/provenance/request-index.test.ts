import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { requestAccount } from '../../provenance/request-account.ts';
import { RequestIndex } from './request-index.ts';
import { meantRequest } from './request-node.ts';

const result = digestOf('result');
const request = (target: string) => requestAccount('dockerfile.v0', { target }, new Map());

describe('the index of requests', () => {
  test('knows where a result came from while a build that made it runs', () => {
    const index = new RequestIndex();
    const one = index.add(result, request('a'));
    const other = index.add(result, request('a'));
    assert.equal(index.find(result)?.options.get('target'), 'a');
    assert.equal(index.find(digestOf('other')), undefined);
    one[Symbol.dispose]();
    assert.equal(index.find(result)?.options.get('target'), 'a');
    other[Symbol.dispose]();
    assert.equal(index.find(result), undefined);
  });

  test('does not choose between requests that differ', () => {
    const index = new RequestIndex();
    const one = index.add(result, request('a'));
    using _other = index.add(result, request('b'));
    assert.equal(index.find(result), undefined);
    one[Symbol.dispose]();
    assert.equal(index.find(result)?.options.get('target'), 'b');
  });
});

test('a request to load the built-in frontend is one to that frontend, unless another image is to be used for it', () => {
  const inputs = new Map();
  const gateway = (options: Record<string, string>) =>
    meantRequest({ frontend: 'gateway.v0', options, inputs });
  assert.deepEqual(gateway({ source: 'dockerfile.v0', target: 'a' }), {
    frontend: 'dockerfile.v0',
    options: { target: 'a' },
    inputs,
  });
  const others: readonly Record<string, string>[] = [
    { source: 'docker/dockerfile:1' },
    { source: 'dockerfile.v0', 'context:dockerfile.v0': 'docker-image://x' },
    { source: 'dockerfile.v0', 'context:dockerfile.v0::linux/amd64': 'docker-image://x' },
  ];
  for (const options of others) {
    assert.deepEqual(gateway(options), { frontend: 'gateway.v0', options, inputs });
  }
});
