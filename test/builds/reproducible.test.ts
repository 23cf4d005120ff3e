import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { foreignBusybox } from '../../src/base/testing/foreign-busybox.ts';
import { startRegistry } from '../../src/registry/registry-rig.ts';
import { tarOf } from '../rig/crafted-image.ts';
import { Daemon } from '../rig/daemon.ts';
import { suiteRig } from '../rig/suite-rig.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const own = process.arch === 'arm64' ? 'arm64' : 'amd64';
const foreign = foreignBusybox();

/** Steps that run at any time and in any order, and write files in any order. */
const dockerfile = `FROM scratch AS programs
ARG TARGETARCH
COPY busybox-\${TARGETARCH} /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]

FROM programs AS one
RUN mkdir -p /out/deep && for i in 3 1 2; do echo $i > /out/$i; done; ln /out/1 /out/deep/same; touch -d '2001-02-03 04:05:06' /out/old

FROM programs AS two
WORKDIR /two
RUN --mount=type=cache,target=/cache echo x > /cache/x; for i in b a c; do echo $i & done; wait; date > /dev/null; echo two > made

FROM programs
ENV A=1
WORKDIR /work
COPY --from=one /out ./one
COPY --link --from=two /two ./two
COPY --chmod=0640 context.txt .
ADD pack.tar /
RUN rm /work/one/2 && echo changed >> /work/one/3 && chmod 700 /work/two
LABEL made=reproducibly
`;

const epoch = '1700000000';

const packed = tarOf([
  { name: 'packed/', type: 'directory' },
  { name: 'packed/file', data: 'p' },
]);

describe('an image with its times rewritten', () => {
  const rig = suiteRig(async (resources) => {
    const work = resources.use(new WorkDirectory());
    const registry = resources.use(await startRegistry());
    // As different as two machines can be set up.
    const daemons = [
      resources.use(await Daemon.start({ args: ['--oci-max-parallelism', '1'] })),
      resources.use(await Daemon.start({ args: ['--oci-worker-snapshotter', 'native'] })),
    ];
    return { work, registry, daemons };
  });

  /** Made anew for each build, so that files have other times. */
  function context(): string {
    const directory = rig.work.tree({ Dockerfile: dockerfile, 'context.txt': 'text', 'pack.tar': packed });
    copyFileSync('/bin/busybox', path.join(directory, `busybox-${own}`));
    copyFileSync(foreign.program, path.join(directory, `busybox-${foreign.platform.architecture}`));
    return directory;
  }

  async function digestsOf(
    output: (index: number) => string,
    more: readonly string[] = [],
  ): Promise<readonly string[]> {
    const digests: string[] = [];
    for (const [index, { kiln }] of rig.daemons.entries()) {
      const metadata = rig.work.at(`metadata-${index}.json`);
      await kiln.build(context(), [
        ...['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`],
        ...['-o', `${output(index)},rewrite-timestamp=true`],
        ...['--metadata-file', metadata],
        ...more,
      ]);
      const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8')) as Record<
        string,
        string
      >;
      digests.push(digest!);
    }
    return digests;
  }

  test('is the same from two roots, however its layers are compressed', async () => {
    for (const compression of ['gzip', 'zstd']) {
      const [first, second] = await digestsOf(
        (index) => `type=oci,compression=${compression},dest=${rig.work.at(`oci-${index}.tar`)}`,
      );
      assert.match(first!, /^sha256:/);
      assert.equal(second, first, compression);
    }
    const archives = [0, 1].map((index) => readFileSync(rig.work.at(`oci-${index}.tar`)));
    assert.ok(archives[0]!.equals(archives[1]!), 'the archives differ');
  });

  test('is the same for several platforms, pushed', async () => {
    const name = (index: number) => `${rig.registry.host}/app:${index}`;
    const output = (index: number) => `type=image,name=${name(index)},push=true,registry.insecure=true`;
    const [first, second] = await digestsOf(output, both);
    assert.match(first!, /^sha256:/);
    assert.equal(second, first);
  });

  const both = ['--platform', `linux/${own}`, '--platform', `linux/${foreign.platform.architecture}`];
});
