import assert from 'node:assert/strict';
import { globSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import type { Kiln } from '../rig/kiln.ts';
import { leftoversOf } from '../rig/leftovers.ts';
import { openArchive } from '../rig/oci-archive.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const args = ['--oci-worker-snapshotter', 'erofs'];
/** All that can be seen of the files below a directory, apart from inodes and the times of directories. */
const describeFiles = `describe() { find $1 -exec stat -c '%n %F %a %u:%g %h' {} + | sort; find $1 -type f -exec md5sum {} + | sort; }`;
const dockerfile = `FROM base AS changed
COPY . /all
RUN echo more >> /all/files/7 && chmod 4755 /all/files/8 && rm /all/files/9 && mv /all/files /all/moved && ln /all/moved/10 /all/link
COPY . /all
FROM changed AS again
COPY --from=changed --chown=3:4 /all /again
RUN ${describeFiles}; describe /all > /list; describe /again >> /list
FROM scratch
COPY --from=again /list /list
`;

describe('with layers that are images', () => {
  const rig = suiteRig(async (resources) => {
    const work = resources.use(new WorkDirectory());
    return { work, plain: resources.use(await Daemon.start()) };
  });
  const imagesOf = (root: string) => globSync('snapshots/overlay/s/*/image', { cwd: root });
  /** The digests of the layers of an image of copies alone. */
  const layersOf = async (kiln: Kiln) => {
    const tree = context();
    writeFileSync(path.join(tree, 'Dockerfile'), 'FROM scratch\nCOPY . /all\nCOPY files /again\n');
    const archive = rig.work.at('image.tar');
    const output = `type=oci,rewrite-timestamp=true,dest=${archive}`;
    await kiln.build(tree, ['--build-arg', 'SOURCE_DATE_EPOCH=1700000000', '-o', output]);
    const { manifest } = await openArchive(archive, rig.work);
    rmSync(archive);
    return manifest.layers.map(({ digest }) => digest);
  };
  const context = () => {
    const files = Array.from({ length: 700 }, (_, index) => [`files/${index}`, `${index}`.repeat(index)]);
    const directory = rig.work.tree({ Dockerfile: dockerfile, ...Object.fromEntries(files) });
    symlinkSync('files/1', path.join(directory, 'link-to-file'));
    return directory;
  };

  test('a build has the same files and layers, is cached, survives a kill, and is pruned', async () => {
    const root = rig.work.at('root');
    const tree = context();
    const wanted = await rig.plain.kiln.textOf('list', tree);
    assert.ok(wanted.includes('/again/moved/699 regular file'), wanted.slice(0, 1000));
    const killed = await Daemon.start({ root, args });
    assert.equal(await killed.kiln.textOf('list', tree), wanted);
    assert.ok(imagesOf(root).length >= 2, imagesOf(root).join());
    killed.process.kill('SIGKILL');
    await killed.process.finished;
    {
      await using daemon = await Daemon.start({ root, args });
      const { events } = await daemon.kiln.build(tree);
      assert.deepEqual(
        events.vertices.filter(({ name, cached }) => /COPY|RUN/.test(name) && !cached),
        [],
      );
      assert.equal(await daemon.kiln.textOf('list', tree), wanted);
      writeFileSync(path.join(tree, 'files/699'), 'changed');
      assert.equal(await daemon.kiln.textOf('list', tree), await rig.plain.kiln.textOf('list', tree));
      assert.deepEqual(await layersOf(daemon.kiln), await layersOf(rig.plain.kiln));
    }
    // As overlay directories alone, which shows images that are there.
    await using daemon = await Daemon.start({ root });
    assert.equal(await daemon.kiln.textOf('list', tree), await rig.plain.kiln.textOf('list', tree));
    await daemon.kiln.must(['prune', '--all']);
    assert.deepEqual(imagesOf(root), []);
    assert.deepEqual(
      leftoversOf(root).filter((each) => each.startsWith('mounted')),
      [],
    );
  });
});
