import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { getXattr, setXattr } from '../linux/xattr.ts';
import { copyDefaults, FileOpRig } from './file-op-rig.ts';

const read = (rig: FileOpRig, name: string) => readFileSync(path.join(rig.target, name), 'utf8');

describe('mkdir', () => {
  test('makes a directory with mode, owner and time', async () => {
    await using rig = new FileOpRig();
    const owner = { user: { kind: 'id', id: 5 }, group: { kind: 'id', id: 6 } } as const;
    await rig.mkdir({ path: '/a/b/c', mode: 0o777, makeParents: true, owner, timestamp: 1_000_000_007n });
    assert.deepEqual(rig.found('%P %m %U %G %T@'), [
      'a 777 5 6 1.0000000070',
      'a/b 777 5 6 1.0000000070',
      'a/b/c 777 5 6 1.0000000070',
    ]);
  });

  test('is content with a directory that exists, and not with a file', async () => {
    await using rig = new FileOpRig();
    rig.makeTarget('mkdir -m 700 d; touch f');
    await rig.mkdir({ path: '/d' });
    await rig.mkdir({ path: '/d', makeParents: true });
    assert.deepEqual(rig.found('%P %m'), ['d 700', 'f 644']);
    await assert.rejects(rig.mkdir({ path: '/f', makeParents: true }), {
      code: 'failed_precondition',
      message: 'mkdir /f: /f exists and is not a directory',
    });
    await assert.rejects(rig.mkdir({ path: '/f' }), { code: 'already_exists' });
    await assert.rejects(rig.mkdir({ path: '/x/y' }), { code: 'not_found' });
  });
});

describe('mkfile', () => {
  test('makes a file, and replaces the content of one, but not under its other names', async () => {
    await using rig = new FileOpRig();
    await rig.mkfile({ path: '/f', mode: 0o4640, timestamp: 5n });
    rig.makeTarget('ln f ../shared');
    assert.deepEqual(rig.found('%P %m %s %T@'), ['f 640 3 0.0000000050']);
    await rig.mkfile({ path: '/f', data: Buffer.from('other'), mode: 0o600 });
    assert.equal(read(rig, 'f'), 'other');
    assert.deepEqual(rig.found('%P %m'), ['f 640']);
    assert.equal(readFileSync(path.join(rig.dir, 'shared'), 'utf8'), 'new');
  });
});

describe('symlink', () => {
  test('makes a link that holds any text', async () => {
    await using rig = new FileOpRig();
    await rig.symlink({
      oldPath: '../any where',
      newPath: '/l',
      owner: { user: { kind: 'id', id: 9 } },
      timestamp: 7n,
    });
    assert.equal(readlinkSync(path.join(rig.target, 'l')), '../any where');
    assert.deepEqual(rig.found('%P %U %G %T@'), ['l 9 9 0.0000000070']);
  });
});

describe('rm', () => {
  test('removes files, trees and what a wildcard matches', async () => {
    await using rig = new FileOpRig();
    rig.makeTarget('mkdir -p a/b c/x c/y; touch a/b/f g1 g2 h c/x/1.o c/y/2.o c/y/keep; ln -s h link');
    await rig.rm({ path: '/a' });
    await rig.rm({ path: '/g*', allowWildcard: true });
    await rig.rm({ path: '/c/*/*.o', allowWildcard: true });
    await rig.rm({ path: '/none*', allowWildcard: true });
    await rig.rm({ path: '/link' });
    assert.deepEqual(rig.found(), ['c', 'c/x', 'c/y', 'c/y/keep', 'h']);
    await assert.rejects(rig.rm({ path: '/a' }), { code: 'not_found', message: /\/a: it does not exist/ });
    await rig.rm({ path: '/a', allowNotFound: true });
    await assert.rejects(rig.rm({ path: '/..' }), { code: 'invalid_argument' });
  });
});

describe('copy', () => {
  test('keeps everything about a tree', async () => {
    await using rig = new FileOpRig();
    rig.make(`
      mkdir -p d/sub; echo one > d/one; ln d/one d/sub/two; ln -s ../gone d/link; mkfifo d/fifo; mknod d/null c 1 3; mknod d/disk b 7 9
      chmod 4755 d/one; chmod 1777 d/sub; chown 11:12 d/one; chown -h 13:14 d/link
      truncate -s 10M d/hole; printf x | dd of=d/hole bs=1 seek=5000000 conv=notrunc status=none
      touch -h -d '1999-01-02 03:04:05.123456789Z' d/one d/link d/sub; touch -d '2001-01-01Z' d
      touch "$(printf 'd/\\377\\376')"
    `);
    await rig.copy({ src: '/d', dest: '/' });
    const format = '%P %y %m %U %G %s %T@ %n %l';
    const copied = rig.found(format);
    const original = rig.found(format, rig.source);
    assert.deepEqual(copied, original);
    const of = (name: string) => lstatSync(path.join(rig.target, name));
    assert.equal(of('d/one').ino, of('d/sub/two').ino);
    assert.equal(of('d/null').rdev, lstatSync('/dev/null').rdev);
    assert.ok(of('d/disk').isBlockDevice());
    assert.ok(of('d/hole').blocks * 512 < 1 << 20);
    assert.equal(readFileSync(path.join(rig.target, 'd/hole'))[5_000_000], 'x'.charCodeAt(0));
    assert.ok(readdirSync(path.join(rig.target, 'd'), 'latin1').includes('\xff\xfe'));
  });

  test('keeps extended attributes, also capabilities of files', async () => {
    await using rig = new FileOpRig();
    rig.make('echo x > f; chown 5:5 f');
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    setXattr(path.join(rig.source, 'f'), 'security.capability', capability);
    setXattr(path.join(rig.source, 'f'), 'trusted.overlay.origin', Buffer.from('mark'));
    await rig.copy({ src: '/f', dest: '/' });
    assert.deepEqual(getXattr(path.join(rig.target, 'f'), 'security.capability'), capability);
    assert.equal(getXattr(path.join(rig.target, 'f'), 'trusted.overlay.origin'), undefined);
  });

  test('gives the mode asked for to what has an ACL too', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir d; touch d/f; chmod 600 d/f; chmod 700 d');
    // user::rw- user:1000:rw- group::r-- mask::rwx other::---
    const acl = Buffer.from(
      '0200000001000600ffffffff02000600e803000004000400ffffffff10000700ffffffff20000000ffffffff',
      'hex',
    );
    for (const name of ['d', 'd/f']) {
      setXattr(path.join(rig.source, name), 'system.posix_acl_access', acl);
    }
    await rig.copy({ src: '/d', dest: '/kept/' });
    await rig.copy({ src: '/d', dest: '/set/', mode: 0o751 });
    assert.deepEqual(
      rig.found('%P %m').filter((line) => line.includes('/')),
      ['kept/d 670', 'kept/d/f 670', 'set/d 751', 'set/d/f 751'],
    );
    assert.ok(getXattr(path.join(rig.target, 'set/d/f'), 'system.posix_acl_access'));
  });

  test('puts a file at the name or into the directory that the destination says', async () => {
    await using rig = new FileOpRig();
    rig.make('echo x > f').makeTarget('mkdir dir');
    await rig.copy({ src: '/f', dest: '/name' });
    await rig.copy({ src: '/f', dest: '/dir' });
    await rig.copy({ src: '/f', dest: '/new/' });
    await rig.copy({ src: '/f', dest: '/dot/.' });
    await rig.copy({ src: '/f', dest: '/deep/er/name' });
    assert.deepEqual(rig.found(), [
      'deep',
      'deep/er',
      'deep/er/name',
      'dir',
      'dir/f',
      'dot',
      'dot/f',
      'name',
      'new',
      'new/f',
    ]);
  });

  test('puts a directory, or its contents, where the destination says', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir d; touch d/f').makeTarget('mkdir there');
    await rig.copy({ src: '/d', dest: '/new' });
    await rig.copy({ src: '/d', dest: '/there' });
    await rig.copy({ src: '/d', dest: '/contents', dirCopyContents: true });
    await rig.copy({ src: '/d/', dest: '/there/', dirCopyContents: true });
    assert.deepEqual(rig.found(), [
      'contents',
      'contents/f',
      'new',
      'new/f',
      'there',
      'there/d',
      'there/d/f',
      'there/f',
    ]);
  });

  test('gives new parents and copies the owner, mode and time asked for', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir d; echo x > d/f; chmod 600 d/f; ln -s f d/l');
    const owner = { user: { kind: 'id', id: 3 } } as const;
    await rig.copy({
      src: '/d',
      dest: '/p/q',
      owner,
      mode: 0o750,
      timestamp: 1_500_000_000n,
      dirCopyContents: true,
    });
    assert.deepEqual(rig.found('%P %m %U %G %T@'), [
      'p 750 3 3 1.5000000000',
      'p/q 750 3 3 1.5000000000',
      'p/q/f 750 3 3 1.5000000000',
      'p/q/l 777 3 3 1.5000000000',
    ]);
    await rig.copy({ src: '/d', dest: '/s', modeString: 'u=rwX,go=rX' });
    assert.deepEqual(rig.found('%P %m').slice(-3), ['s 755', 's/f 644', 's/l 777']);
  });

  test('looks names of owners up in the tree', async () => {
    await using rig = new FileOpRig();
    rig
      .make('touch f')
      .makeTarget('mkdir etc; echo app:x:10:20::/:/bin/sh > etc/passwd; echo grp:x:30: > etc/group');
    const named = (name: string) => ({ kind: 'name', name, input: 0 }) as const;
    await rig.copy({ src: '/f', dest: '/1', owner: { user: named('app') } });
    await rig.copy({ src: '/f', dest: '/2', owner: { user: named('app'), group: named('grp') } });
    await rig.copy({ src: '/f', dest: '/3', owner: { user: named('unknown') } });
    assert.deepEqual(rig.found('%P %U:%G').slice(0, 3), ['1 10:20', '2 10:30', '3 0:0']);
  });

  test('does not follow an owner file out of the tree', async () => {
    await using rig = new FileOpRig();
    rig.make('touch f').makeTarget('mkdir etc; ln -s /../../../../../../../../etc/passwd etc/passwd');
    await assert.rejects(
      rig.copy({ src: '/f', dest: '/1', owner: { user: { kind: 'name', name: 'daemon', input: 0 } } }),
      { code: 'failed_precondition' },
    );
  });

  test('matches wildcards as Go does', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir -p a/x b/x c; touch a/x/1.go b/x/2.go c/3.go b/x/n.txt .hidden z[1]; ln -s a la');
    await rig.copy({ src: '/?/x/*.go', dest: '/1/', allowWildcard: true });
    await rig.copy({ src: '/*', dest: '/2/', allowWildcard: true });
    await rig.copy({ src: '/la/x/*', dest: '/3/', allowWildcard: true });
    await rig.copy({ src: '/none*', dest: '/4/', allowWildcard: true, allowEmptyWildcard: true });
    await rig.copy({ src: '/z\\[[1]\\]', dest: '/5/', allowWildcard: true });
    assert.deepEqual(
      rig.found().filter((name) => name.split('/').length === 2),
      ['1/1.go', '1/2.go', '2/.hidden', '2/a', '2/b', '2/c', '2/la', '2/z[1]', '3/1.go', '5/z[1]'].sort(),
    );
    await assert.rejects(rig.copy({ src: '/none*', dest: '/', allowWildcard: true }), {
      code: 'not_found',
      message: 'copy /none* to /: /none*: no such file or directory',
    });
  });

  test('selects by include and exclude patterns, making only the directories that are needed', async () => {
    await using rig = new FileOpRig();
    rig.make(
      'mkdir -p a/b a/empty c; touch a/b/x.go a/b/y.txt a/z.go c/w.txt; chmod 711 a; touch -d 2001-01-01Z a/b a',
    );
    await rig.copy({ src: '/', dest: '/i', dirCopyContents: true, includePatterns: ['**/*.go'] });
    assert.deepEqual(rig.found('%P %m').slice(1), ['i/a 711', 'i/a/b 755', 'i/a/b/x.go 644', 'i/a/z.go 644']);
    assert.equal(statSync(path.join(rig.target, 'i/a')).mtimeMs, Date.UTC(2001, 0, 1));
    await rig.rm({ path: '/i' });
    await rig.copy({ src: '/', dest: '/e', dirCopyContents: true, excludePatterns: ['a', '!a/b/x.go'] });
    assert.deepEqual(rig.found(), ['e', 'e/a', 'e/a/b', 'e/a/b/x.go', 'e/c', 'e/c/w.txt']);
  });

  test('merges directories, replaces files, and refuses to mix them up unless told', async () => {
    await using rig = new FileOpRig();
    rig
      .make('mkdir -p d/sub; echo new > d/f; chmod 700 d/sub')
      .makeTarget('mkdir -p d/sub; touch d/old d/sub/old; echo old > d/f');
    await rig.copy({ src: '/d', dest: '/d', dirCopyContents: true });
    assert.deepEqual(rig.found('%P %m'), ['d 755', 'd/f 644', 'd/old 644', 'd/sub 700', 'd/sub/old 644']);
    assert.equal(read(rig, 'd/f'), 'new\n');
    rig.makeTarget('rm -r d; mkdir -p d/f/x; ln -s / d/sub');
    const copy = { src: '/d', dest: '/d', dirCopyContents: true };
    await assert.rejects(rig.copy(copy), {
      code: 'failed_precondition',
      message: /cannot copy a (file|directory) over/,
    });
    await rig.copy({ ...copy, alwaysReplaceExistingDestPaths: true });
    assert.deepEqual(rig.found('%P %y'), ['d d', 'd/f f', 'd/sub d']);
  });

  test('follows the last link only when told', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir real; touch real/f; ln -s real l; ln -s /real/f lf');
    await rig.copy({ src: '/l', dest: '/link' });
    await rig.copy({ src: '/l', dest: '/followed', followSymlink: true });
    await rig.copy({ src: '/lf*', dest: '/w/', followSymlink: true, allowWildcard: true });
    assert.deepEqual(rig.found('%P %y'), ['followed d', 'followed/f f', 'link l', 'w d', 'w/lf f']);
  });

  test('never leaves its trees, whatever the links in them say', async () => {
    await using rig = new FileOpRig();
    mkdirSync(path.join(rig.dir, 'outside'));
    writeFileSync(path.join(rig.dir, 'outside/secret'), 'secret');
    const outside = path.join(rig.dir, 'outside');
    rig.make(`mkdir d; touch d/f; ln -s ${outside} abs; ln -s ../outside rel`);
    rig.makeTarget(`ln -s ${outside} abs; ln -s ../outside rel; ln -s ${outside}/new file`);
    for (const link of ['abs', 'rel']) {
      await assert.rejects(rig.copy({ src: `/${link}/secret`, dest: '/stolen' }), { code: 'not_found' });
      await assert.rejects(rig.copy({ src: `/${link}/*`, dest: '/', allowWildcard: true }), {
        code: 'not_found',
      });
      await rig.copy({ src: '/d/f', dest: `/${link}/f` });
      await rig.mkdir({ path: `/${link}/dir`, makeParents: true });
      await rig.mkfile({ path: `/${link}/made` });
      await rig.rm({ path: `/${link}/secret`, allowNotFound: true });
      await rig.rm({ path: `/${link}/s*`, allowWildcard: true });
    }
    await rig.mkdir({ path: outside, makeParents: true });
    await rig.mkfile({ path: '/file' });
    await rig.mkfile({ path: '/../../up' });
    assert.deepEqual(readdirSync(outside), ['secret']);
    assert.ok(rig.has('up'));
    assert.deepEqual(readdirSync(rig.dir).sort(), ['outside', 'source', 'target']);
  });

  test('says what is missing, and what was meant', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir src; touch src/main.go package.json');
    await assert.rejects(
      rig.copy({ src: '/src/mian.go', dest: '/' }),
      (error: { code: string; message: string; hint: string }) => {
        assert.deepEqual(
          { code: error.code, message: error.message, hint: error.hint },
          {
            code: 'not_found',
            message: 'copy /src/mian.go to /: /src/mian.go: no such file or directory',
            hint: 'did you mean /src/main.go?',
          },
        );
        return true;
      },
    );
    for (const allowEmptyWildcard of [false, true]) {
      await assert.rejects(
        rig.copy({ src: '/pakage.json', dest: '/', allowWildcard: true, allowEmptyWildcard }),
        { code: 'not_found', hint: 'did you mean /package.json?' },
      );
    }
    await assert.rejects(rig.copy({ src: '/src', dest: '/x/y/z', createDestPath: false }), {
      code: 'not_found',
    });
    await assert.rejects(rig.copy({ src: '/', dest: '/', requiredPaths: ['/nothing/here'] }), {
      code: 'not_found',
    });
  });

  test('unpacks archives of every compression, and copies what is none', async () => {
    await using rig = new FileOpRig();
    rig.make(`
      mkdir in; echo data > in/f; chown 8:9 in/f; ln -s f in/l; touch -d 2001-01-01Z in/f
      tar -cf a.tar -C in .; for c in gzip:gz bzip2:bz2 xz:xz; do tar -c -C in . | \${c%:*} > a.\${c#*:}; done
      head -c 5000 /dev/urandom > plain; head -c 200 a.gz > broken.gz; : > empty; head -c 2000 /dev/zero > zeros
    `);
    for (const name of ['a.tar', 'a.gz', 'a.bz2', 'a.xz']) {
      await rig.copy({ src: `/${name}`, dest: `/${name}-out/`, unpackArchive: true });
      assert.equal(read(rig, `${name}-out/f`), 'data\n');
      const stats = statSync(path.join(rig.target, `${name}-out/f`));
      assert.deepEqual([stats.uid, stats.gid, stats.mtimeMs], [8, 9, Date.UTC(2001, 0, 1)]);
    }
    for (const name of ['plain', 'empty', 'zeros'])
      await rig.copy({ src: `/${name}`, dest: '/files/', unpackArchive: true });
    assert.deepEqual(readdirSync(path.join(rig.target, 'files')).sort(), ['empty', 'plain', 'zeros']);
    await rig.copy({
      src: '/a.gz',
      dest: '/owned',
      unpackArchive: true,
      owner: { user: { kind: 'id', id: 44 } },
    });
    assert.deepEqual(
      rig.found('%P %U %G').filter((line) => line.startsWith('owned/')),
      ['owned/f 44 44', 'owned/l 44 44'],
    );
  });

  test('makes files of their own: only names of one file that one copy brings stay names of one', async () => {
    await using rig = new FileOpRig();
    rig.make('mkdir d; echo x > d/f; ln d/f d/g; echo y > d/single; ln d/single ../elsewhere');
    await rig.copyToLayer([
      { src: '/d', dest: '/one' },
      { src: '/d', dest: '/two' },
      { src: '/d', dest: '/part', excludePatterns: ['g'] },
      { src: '/d/*', dest: '/each/', allowWildcard: true },
    ]);
    const links = rig.found('%P %y %n').filter((line) => line.includes(' f '));
    assert.deepEqual(links, [
      'each/f f 1',
      'each/g f 1',
      'each/single f 1',
      'one/f f 2',
      'one/g f 2',
      'one/single f 1',
      'part/f f 1',
      'part/single f 1',
      'two/f f 2',
      'two/g f 2',
      'two/single f 1',
    ]);
    const inode = (name: string) => lstatSync(path.join(rig.target, name)).ino;
    assert.equal(inode('one/f'), inode('one/g'));
    assert.notEqual(inode('one/f'), inode('two/f'));
    assert.equal(lstatSync(path.join(rig.source, 'd/single')).nlink, 2);
  });

  test('stops when it is cancelled', async () => {
    await using rig = new FileOpRig();
    rig.make('for i in $(seq 1 3000); do : > f$i; done');
    const controller = new AbortController();
    const work = rig.apply({ kind: 'copy', ...copyDefaults, src: '/', dest: '/out' }, {}, controller.signal);
    controller.abort();
    await assert.rejects(work, { code: 'canceled' });
    assert.ok(rig.found().length < 3000);
  });
});
