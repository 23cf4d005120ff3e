import assert from 'node:assert/strict';
import test from 'node:test';
import { resolveSubmoduleUrl } from './submodules.ts';

test('a relative URL of a submodule counts from the repository that it is written in', () => {
  for (const [url, parent, resolved] of [
    ['https://other/x.git', 'https://h/a/b.git', 'https://other/x.git'],
    ['../c.git', 'https://h/a/b.git', 'https://h/a/c.git'],
    ['../c.git/', 'https://h/a/b.git/', 'https://h/a/c.git'],
    ['./c.git', 'https://h/a/b.git', 'https://h/a/b.git/c.git'],
    ['../../c/./../d.git', 'https://h/a/b.git', 'https://h/c/./../d.git'],
    ['../c.git', 'git@h:a/b.git', 'git@h:a/c.git'],
    ['../c.git', 'git@h:b.git', 'git@h:c.git'],
  ] as const) {
    assert.equal(resolveSubmoduleUrl(url, parent), resolved, `${url} of ${parent}`);
  }
});
