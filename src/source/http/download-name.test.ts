import assert from 'node:assert/strict';
import { test } from 'node:test';
import { downloadName } from './download-name.ts';

const url = new URL('https://host/dir/from%20url.txt?query#fragment');

test('a file is called as wanted, else as the server says, else as in the URL', () => {
  assert.equal(downloadName(url, 'wanted', 'attachment; filename=said'), 'wanted');
  assert.equal(downloadName(url, undefined, 'attachment; filename=said'), 'said');
  assert.equal(downloadName(url, undefined, undefined), 'from url.txt');
  assert.equal(downloadName(new URL('https://host/dir/'), undefined, undefined), 'dir');
  assert.equal(downloadName(new URL('https://host'), undefined, undefined), 'download');
  assert.equal(downloadName(new URL('https://host/100%'), undefined, undefined), '100%');
});

test('the header is read with quotes, escapes and other character sets', () => {
  const names: Readonly<Record<string, string>> = {
    'attachment; filename="with space.txt"': 'with space.txt',
    'attachment; filename="a \\"quoted\\" name"': 'a "quoted" name',
    'attachment; FileName = plain.txt ; size=3': 'plain.txt',
    "attachment; filename=ascii.txt; filename*=UTF-8''%E2%82%AC.txt": '€.txt',
    "attachment; filename*=UTF-8''%ZZ; filename=fallback.txt": 'fallback.txt',
    'attachment; filename="ends with/"': 'from url.txt',
    inline: 'from url.txt',
  };
  for (const [header, name] of Object.entries(names)) {
    assert.equal(downloadName(url, undefined, header), name, header);
  }
});

test('no name leads out of its directory', () => {
  for (const name of ['..', '.', '/', ' ', 'a\0b', 'a\nb', '../']) {
    assert.equal(downloadName(url, name, undefined), 'download', JSON.stringify(name));
  }
  assert.equal(downloadName(url, '../../etc/passwd', undefined), 'passwd');
  assert.equal(downloadName(new URL('https://host/a%2F..%2F..%2Fb'), undefined, undefined), 'b');
});
