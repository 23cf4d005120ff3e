import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import { CaptureBuilder } from './capture.ts';

const digest = digestOf('image');
const amd64 = { os: 'linux', architecture: 'amd64' };
const image = (name: string, parts = {}) => ({
  reference: parseReference(name),
  platform: amd64,
  digest,
  local: false,
  ...parts,
});

describe('what a result was made of', () => {
  test('is listed once, sorted by name', () => {
    const capture = new CaptureBuilder();
    for (const name of ['z', 'a', 'z']) {
      capture.addImage(image(`docker.io/library/${name}:latest`));
      capture.addLocal(name);
      capture.addDownload({ url: `https://host/${name}`, digest });
      capture.addRepository({ url: `https://host/${name}.git`, commit: 'c' });
    }
    const { images, locals, downloads, repositories } = capture.finish();
    assert.deepEqual(
      images.map(({ reference }) => formatReference(reference)),
      ['docker.io/library/a:latest', 'docker.io/library/z:latest'],
    );
    assert.deepEqual(locals, ['a', 'z']);
    assert.deepEqual(
      downloads.map(({ url }) => url),
      ['https://host/a', 'https://host/z'],
    );
    assert.deepEqual(
      repositories.map(({ url }) => url),
      ['https://host/a.git', 'https://host/z.git'],
    );
  });

  test('has an image once for each platform, and by its tag where that was resolved to a digest', () => {
    const capture = new CaptureBuilder();
    const tag = 'docker.io/library/alpine:latest';
    capture.addImage(image(`${tag}@${digest}`));
    capture.addImage(image(`docker.io/library/alpine@${digest}`));
    capture.addImage(image(`docker.io/library/other@${digest}`));
    capture.addImage(image(tag));
    capture.addImage(image(tag, { platform: { os: 'linux', architecture: 'arm64' } }));
    capture.addImage(image(tag));
    assert.deepEqual(
      capture
        .finish()
        .images.map(({ reference, platform }) => [formatReference(reference), platform?.architecture]),
      [
        [tag, 'amd64'],
        [tag, 'arm64'],
        [`docker.io/library/other@${digest}`, 'amd64'],
      ],
    );
  });

  test('needs a secret if any step does, and has no credentials in its URLs', () => {
    const capture = new CaptureBuilder();
    capture.addSecret({ id: 's', optional: true });
    capture.addSecret({ id: 's', optional: false });
    capture.addSecret({ id: 's', optional: true });
    capture.addAgent({ id: '', optional: true });
    capture.addRepository({ url: 'https://user:pass@host/x.git#main', commit: 'c' });
    capture.addDownload({ url: 'https://token@host/x', digest });
    const { secrets, agents, repositories, downloads } = capture.finish();
    assert.deepEqual(secrets, [{ id: 's', optional: false }]);
    assert.deepEqual(agents, [{ id: 'default', optional: true }]);
    assert.equal(repositories[0]?.url, 'https://xxxxx:xxxxx@host/x.git#main');
    assert.equal(downloads[0]?.url, 'https://xxxxx@host/x');
  });

  test('adds up over several trees', () => {
    const one = new CaptureBuilder();
    one.addNetworkAccess();
    one.addSecret({ id: 's', optional: true });
    const other = new CaptureBuilder();
    other.addUnknown();
    other.addLocal('context');
    one.add(other.finish());
    const { networkAccess, complete, locals, secrets } = one.finish();
    assert.deepEqual([networkAccess, complete, locals, secrets.length], [true, false, ['context'], 1]);
  });
});
