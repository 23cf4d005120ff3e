import assert from 'node:assert/strict';
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { daemonRig } from '../rig/suite-rig.ts';

describe('the context', () => {
  const rig = daemonRig();

  test('travels once: a second build transfers changed files only', async () => {
    const large = 'x'.repeat(300_000);
    const context = rig.work.tree({
      Dockerfile: 'FROM scratch\nCOPY . /',
      'a.txt': large,
      'b.txt': large,
      'c.txt': 'small',
    });
    const transferred = async () => {
      const { events } = await rig.kiln.build(context);
      const vertex = events.vertex('load build context');
      const status = events.statuses.find(
        (item) => item.vertex === vertex.digest && item.id.startsWith('transferring'),
      );
      return status?.current ?? 0;
    };
    assert.ok((await transferred()) > 600_000);
    assert.ok((await transferred()) < 5_000);
    writeFileSync(path.join(context, 'c.txt'), 'changed');
    assert.ok((await transferred()) < 5_000);
    writeFileSync(path.join(context, 'b.txt'), `${large}y`);
    const once = await transferred();
    assert.ok(once > 300_000 && once < 310_000, `${once} bytes`);
  });

  test('a file that is deleted or changes its type is so in the next build', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nCOPY . /in/\nRUN cd /in && find . | sort > /list && cat b > /b',
      a: 'a',
      b: 'b',
      'c/d': 'd',
    });
    assert.match(await rig.kiln.textOf('list', context), /\.\/a\n\.\/b\n\.\/c\n\.\/c\/d\n/);
    rmSync(path.join(context, 'a'));
    rmSync(path.join(context, 'c'), { recursive: true });
    writeFileSync(path.join(context, 'c'), 'now a file');
    assert.equal(await rig.kiln.textOf('list', context), '.\n./Dockerfile\n./b\n./c\n');
  });

  test('.dockerignore keeps files out, and lets some of them in again', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nCOPY . /in/\nRUN cd /in && find . -type f | sort > /list',
      '.dockerignore': '# comment\n*.log\n!keep.log\n**/tmp\nnode_modules/\nDockerfile\n.dockerignore\n',
      'a.txt': '',
      'b.log': '',
      'keep.log': '',
      'src/tmp/x': '',
      'src/c.log': '',
      'node_modules/m/index.js': '',
    });
    assert.equal(await rig.kiln.textOf('list', context), './a.txt\n./keep.log\n./src/c.log\n');
  });

  test("a Dockerfile's own ignore file goes before .dockerignore", async () => {
    const context = rig.work.tree({
      'app.Dockerfile': 'FROM base\nCOPY . /in/\nRUN cd /in && find . -name "*.txt" | sort > /list',
      'app.Dockerfile.dockerignore': 'a.txt\n',
      '.dockerignore': 'b.txt\n',
      'a.txt': '',
      'b.txt': '',
    });
    const list = await rig.kiln.textOf('list', context, ['-f', path.join(context, 'app.Dockerfile')]);
    assert.equal(list, './b.txt\n');
  });

  test('keeps modes, links and times of its files; all belong to root', async () => {
    const context = rig.work.tree({
      Dockerfile:
        'FROM base\nCOPY . /in/\nRUN stat -c "%n %a %u:%g %Y %F" /in/run /in/secret /in/link > /list',
      run: { content: '', mode: 0o755 },
      secret: { content: '', mode: 0o600 },
      link: { link: 'run' },
    });
    for (const name of ['run', 'secret']) utimesSync(path.join(context, name), 1_000_000, 1_000_000);
    const list = await rig.kiln.textOf('list', context);
    const lines = list.split('\n');
    assert.equal(lines[0], '/in/run 755 0:0 1000000 regular empty file');
    assert.equal(lines[1], '/in/secret 600 0:0 1000000 regular empty file');
    assert.match(lines[2] ?? '', /^\/in\/link 777 0:0 \d+ symbolic link$/);
  });

  test('a Dockerfile is read from standard input', async () => {
    const context = rig.work.tree({ 'a.txt': 'from the context' });
    const text = await rig.kiln.textOf('b.txt', context, ['-f', '-'], {
      input: 'FROM scratch\nCOPY a.txt /b.txt\n',
    });
    assert.equal(text, readFileSync(path.join(context, 'a.txt'), 'utf8'));
  });
});
