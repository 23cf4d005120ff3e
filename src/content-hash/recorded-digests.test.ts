import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { toByteString } from '../base/text/byte-string.ts';
import { mknod } from '../linux/mknod.ts';
import { setXattr } from '../linux/xattr.ts';
import type { ContentSelection } from './checksum.ts';
import { checksumTree } from './checksum-tree.ts';
import { readFileContent } from './entry-digests.ts';
import { pathSelection } from './path-selection.ts';

const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');

function makeTree(root: string): void {
  const at = (name: string) => path.join(root, name);
  const directory = (name: string, mode = 0o755) => {
    mkdirSync(at(name));
    chmodSync(at(name), mode);
  };
  const file = (name: string, data: string, mode = 0o644) => {
    writeFileSync(at(name), data);
    chmodSync(at(name), mode);
  };
  chmodSync(root, 0o755);
  directory('src');
  directory('src/deep', 0o700);
  directory('src/deep/empty', 0o1777);
  file('src/deep/d.c', 'd');
  file('src/a.c', 'a');
  file('src/b.h', '');
  file('src/ünïcode name', 'u');
  file('src/deep-er', 'x', 0o4755);
  directory('alone');
  file('alone/one.txt', 'one');
  file('tool', 'tool', 0o755);
  chownSync(at('tool'), 5, 6);
  setXattr(at('tool'), 'security.capability', capability);
  directory('links');
  symlinkSync('../src/a.c', at('links/file'));
  symlinkSync('/src/deep', at('links/directory'));
  symlinkSync('nowhere', at('links/broken'));
  symlinkSync('links', at('way'));
  mknod(at('fifo'), 0o010640);
}

/** Recorded from BuildKit v0.32.2. */
const recorded: readonly [Partial<ContentSelection> & { readonly path: string }, digest: string][] = [
  [{ path: '/' }, 'b62c06266aa61ea4a296425f677af9cbf831e80e915699446b6fccaf1122144c'],
  [{ path: '/src' }, '24f8c4747939a1fdcfd6b43fc21c3a9ba142555e8292a0347ffa923d08a6acdd'],
  [{ path: '/src/a.c' }, '628b3789be3de958e1610e070a005e688e84e3aa4d7058917338396aee088591'],
  [{ path: '/src/b.h' }, '700591407496206b27e3739e92128dd4d3a119e929d3b3677835a1ab6627aa3d'],
  [{ path: '/src/deep' }, '1cf5b0475a56ad96736508375b2503a5fac7f19c3479e58dff453728342cace5'],
  [{ path: '/src/deep/empty' }, 'b1bbefda9a870b530d613617b852b14deb13b17e42322f94b5b49eaf98ad22f3'],
  [{ path: '/src/deep-er' }, 'e7a610360be2d90053ec3814f42a2c4975376b757c85cae402d8dbdbf25b8c11'],
  [{ path: '/src/ünïcode name' }, 'e628d28ec69483916805b7ae4a905f5386992804ae4c2b43118a546a5c71abd1'],
  [{ path: '/tool' }, 'cefed71d9ac473f4ff824d3187bd9ee1c5595f1a73a102e00c1d202482f95a9d'],
  [{ path: '/fifo' }, '921dab92216293f515c7a13850335f0a497c70cb4ec75fc64a3d070669b9816d'],
  [{ path: '/links' }, '828b780bd9ed8162c78276e390894637490a98476b93afaf1dbf5ffb4a551d07'],
  [{ path: '/links/file' }, '628b3789be3de958e1610e070a005e688e84e3aa4d7058917338396aee088591'],
  [
    { path: '/links/file', followLinks: false },
    '82d39f69a799e8fd35b2abe1a6e951fafc5c790fc5e0d1c0849563413fee5b13',
  ],
  [{ path: '/links/directory' }, '1cf5b0475a56ad96736508375b2503a5fac7f19c3479e58dff453728342cace5'],
  [
    { path: '/links/broken', followLinks: false },
    '5c72eb96388220e413a7e6e4538de1172cad6e4eda9cc0a31631e1ce534c1bd5',
  ],
  [{ path: '/way/directory/d.c' }, '6cfbfb061b0082545008278aad87b383b97d8b0b178b557e69de2d9377c32b0f'],
  [{ path: '/src/*.c', wildcard: true }, '00e3892c567abed7d3efb73b22ef7e3cb36fd8ebf82d2168ba2369d13d1878a1'],
  [{ path: '/src/*', wildcard: true }, '8ee847ce37256775a27da467bfc8b44322625a78aa0f5915dc21471673e6916d'],
  [{ path: '/s*/*/*.c', wildcard: true }, '040c415edfb77989b1b6eaadb9739f2883328876d317dd69eb6251c2cfac506b'],
  [{ path: '/alone/*', wildcard: true }, '659ab569f0a89dfead669b280a4adf1e99418c381d64005a73cea4fbd4e6fef0'],
  [
    { path: '/links/[df]*', wildcard: true },
    '2c8b4d2bd761f28141c4b3b44366bb4c3376257af31ae8477bdc632387c4e48b',
  ],
  [
    { path: '/links/*', wildcard: true, followLinks: false },
    'f3648a708a6acf65cce4bfb7a5968d1ad94687e9fbad99e536fa7bb9cb43826d',
  ],
  [{ path: '/way/f*', wildcard: true }, '066b6bd065b82a58c249440828c29fa56d55228600609df5fdfd0b3808fff873'],
  [{ path: '/none*', wildcard: true }, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  [
    { path: '/alone/o?e.txt', wildcard: true },
    '659ab569f0a89dfead669b280a4adf1e99418c381d64005a73cea4fbd4e6fef0',
  ],
  [
    { path: '/src', excludePatterns: ['*.c'] },
    '2d03c0fa1e907e1659c67e7997f4e50f9d09159887729dd8d6b9996de2cd2241',
  ],
  [
    { path: '/src', excludePatterns: ['deep', '!deep/empty'] },
    '93b11a9367a34369b753e3c6f0dd7cec195ff5e4202c4cf99e1d827ac7d69f91',
  ],
  [
    { path: '/src/a.c', excludePatterns: ['x'] },
    '628b3789be3de958e1610e070a005e688e84e3aa4d7058917338396aee088591',
  ],
  [
    { path: '/alone', excludePatterns: ['*.txt'] },
    '1a2805521573cb10d73bcd51d16bfa84c8f461d68599740e35484b90b2ab1bab',
  ],
  [
    { path: '/', includePatterns: ['src/deep/d.c'] },
    '70d766dd714eeb61ed40f298f54bcd0c8d918df56b01d9bdf9f68acb7890592a',
  ],
  [
    { path: '/', includePatterns: ['src/**/*.c', 'alone'], excludePatterns: ['src/deep/d.c'] },
    'b5a6b9aebbb15ba017d7c601512612fc2abbf886989211ccf9bc40ba97a82abc',
  ],
  [
    { path: '/', includePatterns: ['src/deep/empty'], followLinks: false },
    '07868c1ae6e3edfb074c16cf9e2477e352656a583853dea9c194b17a978377cd',
  ],
  [
    { path: '/', excludePatterns: ['src', 'tool'], followLinks: false },
    '5669e9fc4c4619b0973d3e72ac7ea1938f6d98f1dbea3320cfa6f4f523e886b8',
  ],
  [
    { path: '/s*', wildcard: true, excludePatterns: ['**/d.c'] },
    '821ca183c46f6b5eecde0a7ee2657756ac376ac1354d87790a02c8a1b4e54df8',
  ],
  [
    { path: '/', includePatterns: ['none'] },
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  ],
  [
    { path: '/links/directory', excludePatterns: ['empty'] },
    '1cf5b0475a56ad96736508375b2503a5fac7f19c3479e58dff453728342cace5',
  ],
];

describe('the digests of what is selected of a tree are those that BuildKit has', () => {
  const root = mkdtempSync(path.join(tmpdir(), 'kiln-recorded-'));
  before(() => makeTree(root));
  after(() => rmSync(root, { recursive: true }));
  for (const [selection, digest] of recorded)
    it(`for ${JSON.stringify(selection)}`, () => {
      const found = checksumTree([toByteString(root)], { ...pathSelection('/'), ...selection }, (entry) =>
        readFileContent(entry, () => {}),
      );
      assert.equal(found, `sha256:${digest}`);
    });
});
