import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { hostPlatform } from '../../src/base/platform.ts';
import { type DescriptorJson, type ImageJson, readBlob } from '../rig/oci-archive.ts';
import { daemonRig } from '../rig/suite-rig.ts';

describe('a Dockerfile', () => {
  const rig = daemonRig();

  test('has heredocs as scripts, as interpreted programs and as files', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
ARG WHO=world
RUN <<EOF
set -e
echo "hello $WHO" > /result
cd /tmp
pwd >> /result
EOF
RUN <<EOF
#!/bin/awk -f
BEGIN { print "awk says " 6 * 7 >> "/result" }
EOF
RUN cat >> /result <<EOF && echo after >> /result
a heredoc of the shell
EOF
COPY <<EOF <<-"RAW" /files/
expanded $WHO
EOF
	raw $WHO
	RAW
RUN cat /files/EOF /files/RAW >> /result
`,
    });
    assert.equal(
      await rig.kiln.textOf('result', context, ['--build-arg', 'WHO=you']),
      'hello you\n/tmp\nawk says 42\na heredoc of the shell\nafter\nexpanded you\nraw $WHO\n',
    );
  });

  test('expands ARG and ENV where they are in scope', async () => {
    const context = rig.work.tree({
      Dockerfile: `
ARG GLOBAL=global
ARG STAGE=second
FROM base AS first
RUN echo "first" > /from
FROM base AS second
RUN echo "second" > /from
FROM \${STAGE}
ARG GLOBAL
ARG OWN=own
ARG GIVEN
ENV ENVIRONMENT=\${OWN}-\${GLOBAL} DEFAULT=\${UNSET:-default} CUT=\${OWN#o}
ENV OWN=env-wins
RUN echo "$(cat /from) $GLOBAL $OWN $GIVEN $ENVIRONMENT $DEFAULT $CUT $STAGE" > /result
RUN env | grep -c '^GIVEN=' >> /result
WORKDIR /\${GLOBAL}/dir
RUN pwd >> /result
`,
    });
    const result = await rig.kiln.textOf('result', context, [
      ...['--build-arg', 'GIVEN=given', '--build-arg', 'STAGE=first', '--build-arg', 'GLOBAL=g'],
    ]);
    assert.equal(result, 'first g env-wins given own-g default wn \n1\n/g/dir\n');
  });

  test('gives files the owner and mode that COPY says, by name or number', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
COPY --chown=nobody:nogroup a /by-name
COPY --chown=12:34 --chmod=0600 a /by-number
COPY --chmod=u=rwx,g=rx,o= dir /dir
COPY --chown=7 dir/b /user-only
RUN stat -c '%n %a %u:%g' /by-name /by-number /dir/b /user-only > /result
`,
      a: { content: 'a', mode: 0o644 },
      'dir/b': { content: 'b', mode: 0o666 },
    });
    assert.equal(
      await rig.kiln.textOf('result', context),
      '/by-name 644 65534:65534\n/by-number 600 12:34\n/dir/b 750 0:0\n/user-only 666 7:7\n',
    );
  });

  test('runs steps as USER, in WORKDIR, with SHELL and in exec form', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
RUN mkdir -m 1777 /out
WORKDIR /out
USER nobody
RUN id -un > result && echo $HOME >> result
USER 0
SHELL ["/bin/sh", "-ec"]
RUN false | true; echo "\${0}" >> result
RUN ["/bin/sh", "-c", "echo $0 exec >> result", "zero"]
`,
    });
    const [user, , shell, exec] = (await rig.kiln.textOf('out/result', context)).split('\n');
    assert.deepEqual([user, shell, exec], ['nobody', '/bin/sh', 'zero exec']);
  });

  test('runs a step without network with --network=none', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM base
RUN --network=none tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' > /interfaces
`,
    });
    assert.equal(await rig.kiln.textOf('interfaces', context), 'lo\n');
    const other = rig.work.tree({
      Dockerfile: 'FROM base\nRUN tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " " > /interfaces\n',
    });
    assert.equal(await rig.kiln.textOf('interfaces', other, ['--network', 'none']), 'lo\n');
  });

  test('supplies /etc/hosts and /etc/resolv.conf with --add-host, and leaves none of it in the image', async () => {
    const context = rig.work.tree({
      Dockerfile: 'FROM base\nRUN cp /etc/hosts /hosts && test -s /etc/resolv.conf\n',
    });
    const args = ['--add-host', 'elsewhere:10.1.2.3'];
    assert.match(await rig.kiln.textOf('hosts', context, args), /^10\.1\.2\.3\s+elsewhere$/m);
    const out = rig.work.at('out');
    await rig.kiln.build(context, [...args, '-o', out]);
    assert.deepEqual(readdirSync(path.join(out, 'etc')).sort(), ['group', 'passwd']);
  });

  test('builds for several platforms into one index', async () => {
    const context = rig.work.tree({
      Dockerfile: `
FROM scratch
ARG TARGETPLATFORM
ARG TARGETARCH
COPY <<EOF /platform
$TARGETPLATFORM $TARGETARCH
EOF
`,
    });
    const out = rig.work.at('multi');
    await rig.kiln.build(context, [
      ...['--platform', 'linux/amd64', '--platform', 'linux/arm64'],
      ...['-t', 'multi:1', '-o', `type=oci,tar=false,dest=${out}`],
    ]);
    const index = JSON.parse(readFileSync(path.join(out, 'index.json'), 'utf8')) as {
      readonly manifests: readonly DescriptorJson[];
    };
    const images = readBlob<{ readonly manifests: readonly DescriptorJson[] }>(
      out,
      index.manifests[0]!.digest,
    ).manifests;
    assert.deepEqual(
      images.map(({ platform }) => `${platform?.os}/${platform?.architecture}`),
      ['linux/amd64', 'linux/arm64'],
    );
    for (const { digest, platform } of images) {
      const manifest = readBlob<{ readonly config: DescriptorJson }>(out, digest);
      const image = readBlob<ImageJson>(out, manifest.config.digest);
      assert.equal(image.architecture, platform?.architecture);
    }
    const local = rig.work.at('multi-local');
    await rig.kiln.build(context, ['--platform', 'linux/amd64,linux/arm64', '-o', local]);
    assert.equal(readFileSync(path.join(local, 'linux_arm64/platform'), 'utf8'), 'linux/arm64 arm64\n');
  });

  test('knows the platform it is built on', async () => {
    const context = rig.work.tree({
      Dockerfile:
        'FROM --platform=$BUILDPLATFORM base\nARG BUILDPLATFORM TARGETOS\nRUN echo $BUILDPLATFORM $TARGETOS > /result\n',
    });
    const { os, architecture } = hostPlatform();
    assert.match(
      await rig.kiln.textOf('result', context),
      new RegExp(`^${os}/${architecture}(/v\\d)? ${os}\n$`),
    );
  });
});
