import assert from 'node:assert/strict';
import { linkSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { HttpRig } from '../../src/http/http-rig.ts';
import { diff, files, merge, type State, scratch } from '../../src/llb/llb.ts';
import { GitRepository, GitServer } from '../../src/source/git/git-rig.ts';
import { LlbEngine } from '../rig/llb-engine.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { mustRun } from '../rig/run-program.ts';
import { openDaemon, suiteRig } from '../rig/suite-rig.ts';

/** Fails in a step where a file below `dir` has more than one name, or two names are of one file. */
const expectOwnFiles = (dir: string) =>
  [
    `find ${dir} -type f -exec stat -c '%h %d:%i %n' {} + > /tmp/seen`,
    'test -s /tmp/seen',
    'if grep -v "^1 " /tmp/seen; then echo has other names; exit 1; fi',
    'cut -d" " -f2 /tmp/seen | sort | uniq -d > /tmp/twice',
    'if test -s /tmp/twice; then cat /tmp/seen; echo is one file under two names; exit 1; fi',
    'rm /tmp/seen /tmp/twice',
  ].join(' && ');

/** Does to all files below `dir` what would be seen in another tree that had them. */
const spoil = (dir: string) =>
  `find ${dir} -type f > /tmp/all && while read -r f; do echo spoilt >> "$f"; chown 12:34 "$f"; chmod 6777 "$f"; ln "$f" "$f.again"; done < /tmp/all`;

/** All that can be seen of the files below `dir`, apart from their inodes and access times. */
const describeFiles = (dir: string) =>
  `find ${dir} | sort | while read -r f; do stat -c '%n %F %a %u:%g %h %s %Y' "$f"; test ! -f "$f" || md5sum < "$f"; done`;

for (const snapshotter of ['overlayfs', 'native'] as const) {
  describe(`with the ${snapshotter} snapshotter, a tree owns its files`, () => {
    const rig = suiteRig(async (resources) => {
      const opened = await openDaemon(resources, { args: ['--oci-worker-snapshotter', snapshotter] });
      return {
        ...opened,
        server: resources.use(await HttpRig.start()),
        repositories: resources.use(await GitServer.start(opened.work.at('served'))),
      };
    });

    test('whatever brought them: each has one name, and what a step does to them is seen nowhere else', async () => {
      const archived = rig.work.tree({ packed: 'packed' });
      const archive = rig.work.at('packed.tar');
      await mustRun('tar', ['-cf', archive, '-C', archived, 'packed']);
      const url = rig.server.serve('/file', { content: 'downloaded' });
      new GitRepository(rig.work.at('served/app.git')).commit({ 'd/tracked': 'tracked' });
      const repository = rig.repositories.url('app.git');
      const named = rig.work.tree({ other: 'other', 'e/other': 'other' });
      const stages = `FROM scratch AS origin
COPY d /d
FROM base AS brought
COPY d /t/copy
COPY d /t/copy-again
COPY d/one /t/copy
COPY d/* /t/each/
COPY --chown=1:2 d /t/owned
COPY d /t/
ADD d /t/add
ADD packed.tar /t/unpacked/
ADD packed.tar /t/unpacked-again/
COPY --link d /t/link
COPY --link d/one /t/link-file
COPY --link d/one /t/link-again
COPY --from=origin /d /t/stage
COPY --from=origin /d /d
COPY --from=origin /d /t/stage-again
COPY --link --from=origin /d /t/stage-link
COPY --from=named . /t/named
COPY --from=named . /t/named-again
ADD ${url} /t/http/
ADD ${url} /t/http-again/
ADD --link ${url} /t/http-link/
ADD ${repository} /t/git
ADD ${repository} /t/git-again
ADD --keep-git-dir=true ${repository} /t/git-dir
COPY <<EOF /t/document
text
EOF
COPY <<EOF /t/document-again
text
EOF
FROM origin AS itself
COPY --from=origin /d /d/inside
`;
      const cache = (id: number) =>
        `--mount=type=cache,id=${snapshotter}-${id},target=/cache,from=origin,source=/d`;
      const context = rig.work.tree({ 'd/one': 'one', 'd/two': 'two', 'd/e/three': 'three' });
      linkSync(archive, path.join(context, 'packed.tar'));
      const build = async (last: string) => {
        writeFileSync(path.join(context, 'Dockerfile'), `${stages}${last}\n`);
        return await rig.kiln.textOf('list', context, ['--build-context', `named=${named}`]);
      };
      const look = (round: number) =>
        build(`FROM brought AS looked
RUN : ${round}; ${expectOwnFiles('/t')} && ${expectOwnFiles('/d')}
RUN ${cache(round)} : ${round}; ${expectOwnFiles('/cache')}
RUN --mount=from=origin,source=/d,target=/origin --mount=from=itself,source=/d,target=/itself : ${round}; \\
    ${expectOwnFiles('/itself')} && for dir in /t /d /origin /itself; do ${describeFiles('$dir')}; done > /list
FROM scratch
COPY --from=looked /list /list`);
      const before = await look(1);
      await build(`FROM brought
RUN ${cache(1)} ${spoil('/t /d /cache')} && echo spoilt > /list`);
      await build(`FROM base
RUN --mount=from=itself,source=/d,target=/itself,rw ${spoil('/itself')} && echo spoilt > /list`);
      assert.equal(await look(2), before);
      assert.equal(readFileSync(path.join(context, 'd/one'), 'utf8'), 'one');
      assert.equal(lstatSync(path.join(context, 'd/one')).nlink, 1);
    });

    test('a layer has no hard links that nobody made, and those that somebody made', async () => {
      const context = rig.work.tree({
        'd/one': 'one',
        Dockerfile: `FROM base
RUN mkdir /d && echo one > /d/one && ln /d/one /d/two
COPY --from=base /etc/passwd /etc/passwd.orig
COPY --from=base /etc /etc/again
RUN cp -a /etc /new
COPY d /f
COPY d /g
RUN mkdir /all && cp -a /f /g /all && ln /all/f/one /all/linked
`,
      });
      const archive = rig.work.at('links.tar');
      await rig.kiln.build(context, ['-o', `type=oci,compression=uncompressed,dest=${archive}`]);
      const { directory, manifest } = await openArchive(archive, rig.work);
      const links = await Promise.all(
        manifest.layers.slice(1).map(async ({ digest }) => {
          const listed = await mustRun('tar', ['-tvf', path.join(directory, 'blobs', ...digest.split(':'))]);
          return listed.stdout.split('\n').flatMap((line) => line.match(/\S+ link to \S+$/) ?? []);
        }),
      );
      assert.deepEqual(links, [
        ['d/two link to d/one'],
        [],
        [],
        [],
        [],
        [],
        ['all/linked link to all/f/one'],
      ]);
    });

    describe('in LLB', () => {
      let engine: LlbEngine;
      before(async () => {
        engine = await LlbEngine.open({ config: `[worker.oci]\n  snapshotter = "${snapshotter}"\n` });
      });
      after(() => engine[Symbol.asyncDispose]());

      const shell = (script: string) => ['sh', '-e', '-c', script];
      /** What a new step sees of the files below /d of trees. */
      const seen = async (trees: readonly State[], round: number) => {
        const script = trees.map((_, index) => describeFiles(`/${index}/d`)).join('; ');
        const step = engine.base.run(shell(`: ${round}; (${script}) > /list`), {
          mounts: trees.map((from, index) => ({ dest: `/${index}`, from, readonly: true })),
        });
        return readFileSync(path.join(await engine.build(step.root), 'list'), 'utf8');
      };
      /** One layer, whose files are reached without a mount. */
      const origin = scratch().file(
        files().mkdir('/d', 0o755).mkfile('/d/one', 0o640, 'one\n').mkfile('/d/two', 0o640, 'two\n'),
      );

      test('an archive whose hard link names a copied file changes that file in no other tree', async () => {
        const tree = path.join(engine.work.tree({}), 'tree');
        mkdirSync(path.join(tree, 'd'), { recursive: true });
        // The archive has the link only: what it leads to is in the tree already.
        writeFileSync(path.join(tree, 'd/one'), '');
        linkSync(path.join(tree, 'd/one'), path.join(tree, 'd/link'));
        const file = engine.work.at('hostile.tar');
        const tar = ['--format=ustar', '--owner=12', '--group=34', '--mode=6777', '-C', tree];
        await mustRun('tar', [...tar, '-cf', file, 'd/one', 'd/link']);
        await mustRun('tar', ['--delete', '-f', file, 'd/one']);
        const archive = scratch().file(files().mkfile('/hostile.tar', 0o600, readFileSync(file)));
        const image = origin;
        const before = await seen([image], 1);
        const target = scratch().file(
          files().copy(image, '/d', '/').copy(archive, '/hostile.tar', '/', { unpackArchive: true }),
        );
        const built = await engine.build(target);
        assert.equal(lstatSync(path.join(built, 'd/one')).mode & 0o7777, 0o6777, 'it changes its own');
        assert.equal(await seen([image], 2), before);
        await engine.build(
          image.file(
            files()
              .copy(image, '/d/one', '/d/copied')
              .copy(archive, '/hostile.tar', '/', { unpackArchive: true }),
          ),
        );
        assert.equal(await seen([image], 3), before);
      });

      test('a merge and a difference of trees have files of their own', async () => {
        const base = origin;
        const changed = engine.base
          .run(
            shell(
              'rm -r /tree/d; mkdir /tree/d; echo one > /tree/d/one; chmod 640 /tree/d/one; echo new > /tree/d/new',
            ),
            {
              mounts: [{ dest: '/tree', from: base }],
            },
          )
          .mount('/tree');
        const other = scratch().file(files().mkdir('/d', 0o755).mkfile('/d/strange', 0o644, 'strange'));
        const own = (name: string) => scratch().file(files().copy(base, '/d/one', name));
        const trees = [
          diff(base, changed),
          diff(other, changed),
          merge([other, changed]),
          merge([other, diff(base, changed), diff(other, base)]),
          merge([base, own('/one'), own('/two')]),
        ];
        const before = await seen(trees, 1);
        assert.equal(before.match(/\/d\/one regular file 640 0:0 1 4 /g)?.length, trees.length, before);
        await Promise.all(
          [base, changed, other, ...trees].map((from) =>
            engine.build(
              engine.base.run(shell(`${expectOwnFiles('/tree')}; ${spoil('/tree/d')}`), {
                mounts: [{ dest: '/tree', from }],
              }).root,
            ),
          ),
        );
        assert.equal(await seen(trees, 2), before);
      });
    });
  });
}
