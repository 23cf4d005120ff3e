import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ChecksumRequest_Algorithm, ResolveSourceHTTPRequestSchema } from '../../api/gen/gateway_pb.js';
import { checksumQuestionOf } from './http-metadata-message.ts';

const ask = (algorithm: number, length: number) =>
  checksumQuestionOf(
    create(ResolveSourceHTTPRequestSchema, { checksum: { algorithm, suffix: new Uint8Array(length) } }),
  );

test('a checksum of a file can be asked for by three algorithms, with 4096 more bytes at most', () => {
  assert.deepEqual(ask(ChecksumRequest_Algorithm.SHA512, 4096), {
    algorithm: 'sha512',
    suffix: new Uint8Array(4096),
  });
  assert.equal(checksumQuestionOf(create(ResolveSourceHTTPRequestSchema)), undefined);
  assert.throws(() => ask(ChecksumRequest_Algorithm.SHA256, 4097), {
    code: 'invalid_argument',
    message: /suffix exceeds max size 4096/,
  });
  assert.throws(() => ask(99, 0), { code: 'invalid_argument', message: 'unsupported checksum algorithm 99' });
});
