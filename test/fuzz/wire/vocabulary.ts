import { files, scratch, toDefinition } from '../../../src/llb/llb.ts';
import type { Vocabulary } from './random-message.ts';

const file = scratch().file(files().mkfile('/file', 0o644, 'text'));

/** Words of the programs under test, and ops that can be solved. No name leads to another machine. */
export const vocabulary: Vocabulary = {
  texts: [
    'dockerfile.v0',
    'context',
    'local://context',
    'https://127.0.0.1:1/file',
    'https://127.0.0.1:1/repository.git',
    'oci-layout://store@sha256:0000000000000000000000000000000000000000000000000000000000000000',
    'local',
    'tar',
    'oci',
    'image',
    'name',
    'platform',
    'linux/amd64',
    'linux/__proto__',
    'build-arg:X',
    'requestid',
    'frontend.outline',
    'network.host',
    'ref',
    '/file',
    'id',
  ],
  bytes: toDefinition(file).ops,
};
