import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metadataOfHeaders } from '../../src/api/http2-metadata.ts';
import { formatPlatform, parsePlatform } from '../../src/base/platform.ts';
import { decodeMetadata } from '../../src/file-sync/protocol/metadata-encoding.ts';
import { Kiln } from '../rig/kiln.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

/** What every object has by these names is nothing that anybody put there. */
const names = Object.getOwnPropertyNames(Object.prototype);
/** A name as any other. */
const usual = 'nonsense';

/** What `work` returns or throws, as text in which the name is the usual one. */
async function outcome(work: (name: string) => unknown, name: string): Promise<string> {
  const told = await Promise.resolve()
    .then(() => work(name))
    .then(
      (answer) => `answered ${JSON.stringify(answer)}`,
      (error: Error) => `threw ${error.name}: ${error.message}`,
    );
  return told.replaceAll(name, usual).replaceAll(name.toLowerCase(), usual);
}

const lookUps: Readonly<Record<string, (name: string) => unknown>> = {
  'an architecture': (name) => formatPlatform(parsePlatform(`linux/${name}`)),
  'metadata of a call': (name) => Object.entries(metadataOfHeaders([name, 'a', name, 'b'])),
  'metadata of a request for files': (name) =>
    Object.entries(decodeMetadata(Object.fromEntries([[name, ['a']]]))),
};

for (const [what, lookUp] of Object.entries(lookUps)) {
  test(`${what} may have the name of what every object has`, async () => {
    const expected = await outcome(lookUp, usual);
    for (const name of names) assert.equal(await outcome(lookUp, name), expected, name);
  });
}

test('a platform with such a name is refused as any other that nobody has', async () => {
  using work = new WorkDirectory();
  const kiln = new Kiln({ root: work.at('root') });
  const context = work.tree({ Dockerfile: 'FROM base\nRUN true\n' });
  const said = async (name: string) => {
    const { code, stderr } = await kiln.run([
      ...[
        'build',
        '--build-context',
        `base=${context}`,
        '--platform',
        `linux/${name}`,
        '--progress',
        'plain',
      ],
      context,
    ]);
    return `${code} ${stderr.slice(stderr.indexOf('error:'))}`.replaceAll(name, usual);
  };
  const expected = await said(usual);
  for (const name of ['__proto__', 'constructor']) assert.equal(await said(name), expected);
});
